"""Rules of optimisers unrolled against plain loops over floats, and bad rules refused."""

import math

import pytest

from diffkit.core.errors import ParseError, UsageError
from diffkit.symbolic.update_rule import UpdateRule, as_rule

GRADIENTS = (0.7, -1.3, 0.4)
AT = {"w": 2.0, "a": 0.3, "b1": 0.8, "b2": 0.9, "eps": 0.01, "b": 0.6, "rho": 0.7, "h": 1.5}


def values(rule: UpdateRule, **options) -> list[float]:
    numbers = {**AT, **{f"g{i}": g for i, g in enumerate(GRADIENTS, 1)}}
    return [
        float(expr.subs({s: numbers[s.name] for s in expr.free_symbols}))
        for expr in rule.parameters(**options)
    ]


def adam(w: float, a: float, b1: float, b2: float, eps: float) -> list[float]:
    """Kingma and Ba's loop over floats."""
    m = v = 0.0
    found = []
    for t, g in enumerate(GRADIENTS, 1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        w -= a * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        found.append(w)
    return found


ADAM = as_rule(
    """m = b1*m + (1 - b1)*g
    v = b2*v + (1 - b2)*g**2
    w = w - a*(m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps)"""
)


def test_a_rule_unrolled_is_its_loop_over_floats():
    expected = adam(*(AT[name] for name in ("w", "a", "b1", "b2", "eps")))
    assert values(ADAM) == pytest.approx(expected, rel=1e-14)
    # the control: without its bias correction the rule is another
    other = ADAM.changed({"w": "w - a*m/(sqrt(v) + eps)"})
    assert abs(values(other)[0] - expected[0]) > 1e-2


def test_memory_starts_where_the_rule_says_and_else_at_zero():
    rule = UpdateRule(("G = G + g**2", "w = w - a*g/sqrt(G)"), start={"G": "s"})
    assert rule.memory == ("G",)
    assert rule.hyper == ("a", "s")
    first = rule.parameters(1, given={"s": "9"})[0]
    assert str(first) == "-a*g1/sqrt(g1**2 + 9) + w"


def test_a_gradient_is_taken_at_the_place_of_the_rule():
    ahead = UpdateRule(("v = b*v - a*g", "w = w + v"), at="w + b*v")
    w, v, expected = AT["w"], 0.0, []
    for _ in range(3):
        v = AT["b"] * v - AT["a"] * AT["h"] * (w + AT["b"] * v)
        w += v
        expected.append(w)
    assert values(ahead, slope="h*w") == pytest.approx(expected, rel=1e-14)
    here = UpdateRule(ahead.lines)
    assert values(here, slope="h*w")[0] == pytest.approx(expected[0])
    assert abs(values(here, slope="h*w")[1] - expected[1]) > 1e-2


def test_a_line_sees_what_the_lines_above_it_assigned():
    below = as_rule("w = w - a*v; v = b*v + g")
    assert str(below.parameters(2)[1]) == "-a*g1 + w"
    assert str(as_rule("v = b*v + g; w = w - a*v").parameters(1)[0]) == "-a*g1 + w"


def test_a_changed_line_keeps_its_place_and_a_new_one_comes_before_the_parameter():
    changed = ADAM.changed({"m": "g", "n": "2*m", "w": "w - n"}, {"m": "a"})
    assert changed.lines[0] == "m = g"
    assert changed.lines[2:] == ("n = 2*m", "w = w - n")
    assert dict(changed.start) == {"m": "a"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("m = g",), "no line of the rule assigns w"),
        (("g = 2*g", "w = w - g"), "assigns g, which is given"),
        (("t = t + 1", "w = w - g"), "assigns t, which is given"),
        (("w - a*g",), 'write "name = formula"'),
        (("2*w = w - a*g",), 'write "name = formula"'),
    ],
)
def test_lines_that_are_no_rule_are_refused(lines, said):
    with pytest.raises(UsageError, match=said):
        UpdateRule(lines)


def test_a_rule_refuses_steps_starts_and_values_it_cannot_use():
    with pytest.raises(UsageError, match=r"start names 'M'.*m"):
        UpdateRule(ADAM.lines, start={"M": "0"})
    for steps in (0, "3"):
        with pytest.raises(UsageError, match="steps="):
            ADAM.parameters(steps)
    for lines, start in ((5, {}), (ADAM.lines, ["m"])):
        with pytest.raises(UsageError, match="a rule is a sequence of lines"):
            UpdateRule(lines, start)
    for lines, said in (
        ("m = 2**900*m**900 + 1; w = w - m", "digits"),
        ("w = 2*w**900", "power 810000"),
    ):
        with pytest.raises(UsageError, match=said):
            as_rule(lines).parameters(3)
    with pytest.raises(UsageError, match="'beta' is no hyper-parameter; they are a, b1, b2, eps"):
        ADAM.parameters(given={"beta": "0"})
    with pytest.raises(ParseError):
        UpdateRule(("w = w - a g",))
