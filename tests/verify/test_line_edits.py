"""A slip in one line of a rule is found and mended; two slips are not, and say so by silence."""

import optax
import pytest

from diffkit.verify import line_edits
from diffkit.verify.updates import check_updates

VALUES = {"a": 0.1, "b1": 0.9, "b2": 0.99, "eps": 0.01}
DECAYS = {"b1": "(0, 1)", "b2": "(0, 1)"}
FIRST, SECOND = "m = b1*m + (1 - b1)*g", "v = b2*v + (1 - b2)*g**2"
STEP = "w = w - a*(m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps)"


def adam(a, b1, b2, eps):
    return optax.adam(a, b1, b2, eps)


def verdict(*lines: str, **options):
    return check_updates(adam, lines, VALUES, domain=DECAYS, **options)


# Every slip is made by hand in one line of the rule that is proved.
@pytest.mark.parametrize(
    ("lines", "edit", "line"),
    [
        (
            (FIRST, SECOND, "w = w - a*(m/(1 - b1**t))/sqrt(v/(1 - b2**t) + eps)"),
            "eps moved out of the root",
            "w = w - a*m/((1 - b1**t)*(eps + sqrt(v/(1 - b2**t))))",
        ),
        (
            (FIRST, SECOND, "w = w - a*m/(sqrt(v/(1 - b2**t)) + eps)"),
            "m corrected by 1 - b1**t",
            "w = w - a*m/((1 - b1**t)*(eps + sqrt(v/(1 - b2**t))))",
        ),
        (
            (FIRST, "v = b2*v + (1 - b2)*g", STEP),
            "missing factor g in g*(1 - b2)",
            "v = g**2*(1 - b2) + b2*v",
        ),
        (
            ("m = b1*m - (1 - b1)*g", SECOND, STEP),
            "sign of the term -g*(1 - b1)",
            "m = b1*m + g*(1 - b1)",
        ),
    ],
    ids=["epsilon", "correction", "square", "sign"],
)
def test_a_slip_is_mended_in_its_line(lines, edit, line):
    found = verdict(*lines)
    assert found.status == "refuted"
    assert found.repair is not None
    assert (found.repair.edit, found.repair.text) == (edit, line)
    assert found.repair.status == "proved"
    assert verdict(*[line if line[0] == each[0] else each for each in lines]).status == "proved"


def test_two_slips_have_no_repair_of_one_line(monkeypatch):
    monkeypatch.setattr(line_edits, "SECONDS", 1.0)
    found = verdict(
        "m = b1*m - (1 - b1)*g", "v = b2*v + (1 - b2)*g**2", STEP.replace("b2**t", "b2")
    )
    assert found.status == "refuted"
    assert found.repair is None


def test_no_repair_is_searched_where_none_is_asked_for_or_needed():
    assert verdict("m = b1*m - (1 - b1)*g", SECOND, STEP, with_repair=False).repair is None
    assert verdict(FIRST, SECOND, STEP).repair is None
