"""The report as text: what it holds, that it is alone, and that user text stays text."""

import itertools
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.bridge.subject import subject
from diffkit.core.claim import Claim
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.core.evidence import ErrorBound, Evidence
from diffkit.core.finding import Finding
from diffkit.core.verdict import Repair, Verdict
from diffkit.verify.check import check
from diffkit.verify.report import error_curve
from diffkit.verify.report.error_curve import abscissae, error_curves, spread, worst
from diffkit.verify.report.error_plot import plot
from diffkit.verify.report.judged import Judged
from diffkit.verify.report.page import MOST_DETAILED, report
from diffkit.verify.report.writing import brief, number, table
from diffkit.verify.verify import verify

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&]]>--!><!--"
#: Elements without an end tag.
VOID = {"meta", "input", "br"}
NAMESPACES = {"http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg"}


class Outline(HTMLParser):
    """Counts elements, checks that they close in order, collects attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.count: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not self.stack or self.stack[-1] not in ("script", "style"):
            self.words.append(data)


def outside(outline: Outline) -> list[tuple[str, str, str]]:
    """Attributes that would fetch something or run something."""
    found = []
    for tag, name, value in outline.attributes:
        leads = name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
        if (leads and not value.startswith("#")) or name.startswith("on"):
            found.append((tag, name, value))
    return found


def softplus(x):
    return jax.nn.softplus(x)


def squared(x):
    return x * x


@pytest.fixture(scope="module")
def proved() -> str:
    return report(check("log(a*b)", "1/a", wrt="a"))


@pytest.fixture(scope="module")
def refuted() -> str:
    return report(check("x*exp(-x)", "(1 + x)*exp(-x)"))


def test_a_page_is_well_formed_and_fetches_nothing(proved, refuted):
    for page in (proved, refuted):
        outline = Outline(page)
        assert outside(outline) == []
        assert outline.count["script"] == outline.count["style"] == 1
        assert set(re.findall(r"https?://[^\"'\s<]+", page)) <= NAMESPACES
        assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", page)
        assert len(page.encode()) < 300_000


@pytest.mark.parametrize(
    "attack",
    ["<img src='a.png'>", "<a href='https://a.b'>x</a>", "<svg onload='f()'></svg>"],
)
def test_the_search_for_what_is_fetched_or_run_finds_it(attack: str):
    assert outside(Outline(f"<p>{attack}</p>".replace("'a.png'>", "'a.png'/>"))) != []


def test_a_proved_claim_has_graph_curve_evidence_and_derivation(proved):
    outline = Outline(proved)
    text = " ".join(outline.words)
    assert outline.count["figure"] == 2
    assert outline.count["math"] > 10
    for words in ("proved", "normal forms", "Derivation", "Error of AD over the domain", "float32"):
        assert words in text
    assert "Left out:" not in text.replace("Left out: 6", "")


def test_a_refuted_claim_has_counterexample_repair_and_reproducer(refuted):
    verdict = check("x*exp(-x)", "(1 + x)*exp(-x)")
    text = " ".join(Outline(refuted).words)
    assert verdict.contradiction in text
    assert "Repair" in text
    assert verdict.repair is not None
    assert verdict.repair.edit in text
    for line in verdict.reproducer.splitlines():
        assert line in text


def hostile_verdict() -> Verdict:
    claim = Claim(target=HOSTILE, claimed=HOSTILE, wrt=HOSTILE, domain={HOSTILE: HOSTILE})
    return Verdict(
        claim=claim,
        status="refuted",
        statement=HOSTILE,
        scope=HOSTILE,
        evidence=(
            Evidence(
                HOSTILE,
                "rigorous",
                "disagrees",
                {HOSTILE: HOSTILE, "m": [[1.0], [2.0, 3.0]]},
                HOSTILE,
                HOSTILE,
                float("nan"),
                ErrorBound({HOSTILE: float("inf")}),
                HOSTILE,
                note=HOSTILE,
            ),
        ),
        counterexample={HOSTILE: HOSTILE},
        contradiction=HOSTILE,
        diagnosis=HOSTILE,
        repair=Repair(HOSTILE, HOSTILE, "supported", scope=HOSTILE),
        findings=(Finding("kink", "wrong", HOSTILE, HOSTILE, HOSTILE, {HOSTILE: 1}, 2, HOSTILE),),
        assumptions=(HOSTILE,),
        reproducer=HOSTILE,
    )


def test_hostile_text_stays_text_everywhere():
    page = report(hostile_verdict(), title=HOSTILE)
    outline = Outline(page)
    assert outline.count["script"] == 1
    assert "img" not in outline.count
    assert outside(outline) == []
    assert sum(HOSTILE in words for words in outline.words) >= 10


def test_hostile_names_of_functions_and_leaves_stay_text():
    def square(tree):
        return tree["</svg><script>"] ** 2 * tree["<b>"]

    square.__name__ = square.__qualname__ = HOSTILE
    verdict = replace(check("x**2", "2*x"), claim=Claim(HOSTILE, wrt="", verb="verify"))
    page = report(verdict, square, {"</svg><script>": 2.0, "<b>": 3.0})
    outline = Outline(page)
    assert outline.count["script"] == 1
    assert "b" not in outline.count
    assert any(tag == "g" and name == "data-forward" for tag, name, _ in outline.attributes)


def test_the_policy_names_the_script_by_its_hash(proved):
    import base64
    import hashlib

    (script,) = re.findall(r"<script>(.*?)</script>", proved, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in proved
    assert "default-src 'none'" in proved


def test_the_same_verdict_has_the_same_page():
    verdict = check("x**2*sin(x)", "2*x*sin(x) + x**2*cos(x)")
    assert report(verdict) == report(verdict)


@pytest.mark.slow
def test_two_hundred_verdicts_detail_the_worst_and_say_so():
    good, bad = check("x**2", "2*x"), check("x**3", "x**2")
    page = report([*[good] * 150, *[bad] * 50])
    outline = Outline(page)
    figures = [v for tag, name, v in outline.attributes if (tag, name) == ("figure", "id")]
    assert figures == [f"graph-{k}" for k in range(151, 151 + MOST_DETAILED)]
    assert outline.count["section"] == 200
    identifiers = [value for _, name, value in outline.attributes if name == "id"]
    assert len(set(identifiers)) == len(identifiers)
    assert "shown for the worst verdicts only" in page


def test_a_function_that_cannot_be_found_again_is_told_and_the_rest_shown():
    verdict = check(lambda x: x * x, "2*x")
    text = " ".join(Outline(report(verdict)).words)
    assert "report(verdict, f, *args)" in text
    assert "Evidence" in text
    text = " ".join(Outline(report(verdict, squared)).words)
    assert "report(verdict" not in text


def read_again(verdict: Verdict) -> Verdict:
    return Verdict.from_dict(json.loads(verdict.to_json()))


@pytest.fixture
def module_of_others(tmp_path, monkeypatch):
    """A module that is noticed when it is imported."""
    (tmp_path / "of_others.py").write_text("def f(x):\n    return x * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "of_others:f"
    sys.modules.pop("of_others", None)


def test_data_that_name_a_module_do_not_have_it_imported(module_of_others):
    live = verify(lambda x: x * x, 2.0, dtypes=("float64",))
    verdict = read_again(
        replace(live, claim=replace(live.claim, target=module_of_others, is_replayable=True))
    )
    text = " ".join(Outline(report(verdict)).words)
    assert "of_others" not in sys.modules
    assert "of_others:f is not imported for them" in text
    assert "Evidence" in text
    given = " ".join(Outline(report(verdict, squared, 2.0)).words)
    assert "of_others" not in sys.modules
    assert "not imported" not in given
    trusted = report(Judged(verdict, args=(2.0,), may_import=True))
    assert "of_others" in sys.modules
    assert "not imported" not in trusted


def test_a_formula_read_from_data_is_shown_in_full():
    verdict = check("log(a*b)", "1/a", wrt="a")
    assert report(read_again(verdict)) == report(verdict)


def test_a_verdict_of_now_finds_its_function_by_its_name():
    verdict = verify(jax.nn.softplus, 1.0, dtypes=("float64",))
    assert ":softplus" in verdict.claim.target
    assert "not imported" not in report(verdict)
    assert "is not imported for them" in report(read_again(verdict))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None,), "NoneType"),
        (([],), "empty list"),
        (([1, 2],), "int"),
        (("text",), "str"),
        (([check("x", "1")] * 2, softplus), "one verdict"),
        ((check("x", "1"), None, 1.0), "need their function"),
    ],
)
def test_what_is_no_verdict_is_a_usage_error(arguments, words: str):
    with pytest.raises(UsageError, match=words):
        report(*arguments)


def test_the_point_is_the_counterexample_else_the_given_one_else_easy_numbers():
    bad = Judged(check("x**2", "x"))
    what = bad.subject()
    leaves, where = bad.point(what)
    assert where == "at the counterexample"
    assert float(leaves[0]) == float(bad.verdict.counterexample["x"])
    given = Judged(check("x**2", "2*x", points=[{"x": 0.3}]))
    assert float(given.point(what)[0][0]) == 0.3
    assert float(Judged(check("x**2", "2*x")).point(what)[0][0]) == 2.0
    inside = Judged(check("log(x)", "1/x", domain="(0, 1)"))
    assert 0 < float(inside.point(inside.subject())[0][0]) < 1


def test_the_curve_shows_cancellation_where_it_is_and_none_where_there_is_none():
    # of sqrt(x + 1) - sqrt(x) the derivative loses a factor 2 x: 200 half-ulps at x = 100
    def naive(x):
        return jnp.sqrt(x + 1) - jnp.sqrt(x)

    def stable(x):
        return 1 / (jnp.sqrt(x + 1) + jnp.sqrt(x))

    positive = Domain.parse("(0, oo)")
    errors = {}
    for f in (naive, stable):
        curves = error_curves(subject(f, (1.0,), {}, None), (np.array(1.0),), positive)
        errors[f] = {dtype: row[0] for dtype, row in worst(curves).items()}
    assert 20 < errors[naive]["float32"] < 200
    assert errors[stable]["float32"] < 5


def test_the_truth_of_the_curve_is_the_derivative():
    # exp' = exp: NumPy's longdouble is another route to the error of JAX's float32
    what = subject(jnp.exp, (1.0,), {}, None)
    curves = error_curves(what, (np.array(1.0),), Domain.parse("(1, 4)"), dtypes=("float32",))
    (curve,) = curves.curves
    assert len(curve.points) > 100
    with jax.enable_x64(False):
        values = np.asarray(jax.vmap(jax.grad(jnp.exp))(jnp.float32(np.array(curve.points))))
    truth = np.exp(np.array(curve.points, dtype=np.longdouble))
    wanted = np.abs(values - truth) / np.spacing(truth.astype(np.float32))
    np.testing.assert_allclose(curve.errors, wanted.astype(float), atol=1e-3)


@pytest.mark.parametrize(
    ("f", "args", "domain", "words"),
    [
        (jnp.sum, (np.ones(3),), "real", "arrays"),
        (jnp.sin, (1.0,), "integer", "domain"),
    ],
)
def test_a_curve_that_does_not_apply_says_why(f, args, domain: str, words: str):
    what = subject(f, args, {}, None)
    with pytest.raises(UsageError, match=words):
        error_curves(what, what.values, Domain.parse(domain))


def curves_of(f, domain: str, **options):
    what = subject(f, (1.0,), {}, None)
    return error_curves(what, (np.array(1.0),), Domain.parse(domain), **options)


def test_time_that_runs_out_leaves_points_over_the_whole_domain(monkeypatch):
    # every look at the clock takes 0.1 s, so that 50 of 121 points are asked in 5 s
    ticks = itertools.count()
    monkeypatch.setattr(error_curve, "monotonic", lambda: next(ticks) / 10)
    curves = curves_of(jnp.exp, "[1, 4]", dtypes=("float64",))
    (curve,) = curves.curves
    assert len(curve.points) == 50
    assert (curve.not_smooth, curve.not_representable, curve.out_of_time) == (0, 0, 71)
    assert list(curve.points) == sorted(curve.points)
    assert curve.points[0] == 1
    assert curve.points[-1] > 3.9
    assert max(np.diff(curve.points)) < 3 * 6 / 120  # nowhere six steps without a point
    assert "Left out: 71 out of time." in plot(curves, "exp")


def test_points_that_are_left_out_are_counted_by_their_reason():
    # 1e39 is no float32, and exp(x) beyond 88.7 is none
    curves = curves_of(jnp.exp, "[80, 100]", dtypes=("float32",))
    (curve,) = curves.curves
    beyond = sum(x > np.log(np.finfo(np.float32).max) for x in np.linspace(80, 100, 121))
    assert (curve.not_smooth, curve.not_representable, curve.out_of_time) == (0, beyond, 0)
    assert f"{beyond} outside of the range of a precision" in plot(curves, "exp")
    with pytest.raises(UsageError, match=r"drawn: 12[01] outside of the range of a precision$"):
        curves_of(jnp.sin, "[1e39, 2e39]", dtypes=("float32",))
    with pytest.raises(UsageError, match="drawn: 121 without a smooth"):
        curves_of(jnp.log, "[-2, -1]", dtypes=("float32",))
    with pytest.raises(UsageError, match="no floating-point number"):
        curves_of(jnp.log, "[1/3, 1/3]")


def test_the_sentence_names_the_range_that_was_drawn():
    page = plot(curves_of(jnp.log, "(1000, oo)", dtypes=("float64",)), "log")
    assert f"x from {number(1000 * (1 + 2**-10), 3)} to {number(1e7, 3)}" in page
    page = plot(curves_of(jnp.sin, "(-1, 1e4]", dtypes=("float64",)), "sin")
    assert (
        f"x from {number(-(1 - 2**-10), 3)} to {number(1e4, 3)}, magnitudes from 10⁻¹² on" in page
    )


@pytest.mark.parametrize("domain", ["[1, 1]", "[0, 0]", "[-2, -2]"])
def test_a_domain_of_one_point_is_drawn(domain: str):
    page = plot(curves_of(jnp.sin, domain), "sin")
    assert f"at x = {number(float(domain[1:].partition(',')[0]), 3)}. float64" in page


@pytest.mark.parametrize(
    ("domain", "first", "last"),
    [
        ("(1000, oo)", 1000, 1e7),
        ("(-oo, -1000)", -1e7, -1000),
        ("[0, 1e6]", 0, 1e6),
        ("(0, 1e-20)", 0, 1e-20),
        ("[-5, oo)", -5, 100),
        ("real", -100, 100),
        ("[1, 1e400)", 1, 1e4),
        ("(1e-20, 1e20)", 1e-20, 1e20),
        ("(-1e5, -1)", -1e5, -1),
    ],
)
def test_the_points_reach_the_ends_of_the_domain(domain: str, first: float, last: float):
    points, is_logarithmic = abscissae(Domain.parse(domain))
    assert is_logarithmic
    assert len(points) >= 60
    size = max(abs(first), abs(last))
    slack = 2e-8 * size  # towards an end at 0, eight decades
    assert points[0] == pytest.approx(first, rel=2**-9, abs=0 if first else slack)
    assert points[-1] == pytest.approx(last, rel=2**-9, abs=0 if last else slack)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 121])
def test_every_number_is_visited_once(count: int):
    assert sorted(spread(count)) == list(range(count))


@pytest.mark.parametrize(
    "domain",
    [
        *("real", "positive", "(0, 1)", "[2, 5]", "(-3, -1)", "(-1, 1)", "(1000, oo)"),
        *(
            "(1e-20, 1e20)",
            "(-oo, -1000)",
            "(0, 1e-20)",
            "(-1e-300, 1e300)",
            "negative",
            "[-1e-9, 0)",
        ),
    ],
)
def test_points_of_the_curve_lie_in_the_domain(domain: str):
    where = Domain.parse(domain)
    points, _ = abscissae(where)
    assert len(points) > 50
    assert all(where.contains(x) for x in points)
    assert points == sorted(points)


@pytest.mark.parametrize(
    ("value", "written"),
    [(-0.0, "0"), (1e22, "10²²"), (-1.5e-7, "−1.5·10⁻⁷"), (float("-inf"), "−∞"), (True, "true")],
)
def test_numbers_are_written_for_readers(value, written: str):
    assert number(value) == written


def test_arrays_in_a_box_are_entries_or_shape_and_size():
    assert brief(np.array([1.0, -2.0])) == "[1 −2]"
    assert brief(np.full((3, 4), 2.0)) == f"3×4, norm {np.sqrt(48):.3g}"
    assert brief(np.array([True] * 3 + [False] * 2)) == "5, 3 of 5 true"


def test_columns_nobody_fills_are_not_shown():
    assert '<th scope="col">b' not in table("t", ["a", "b"], [["1", ""], ["2", ""]])
    assert '<th scope="col">b' in table("t", ["a", "b"], [["1", ""], ["2", "x"]])
