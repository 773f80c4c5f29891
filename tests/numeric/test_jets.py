"""Jets answer where germs answer "smooth", with the same numbers, and nowhere else."""

from fractions import Fraction

import pytest
from flint import arb

from diffkit.numeric import balls, germ_functions
from diffkit.numeric.germs import Germ
from diffkit.numeric.jets import Jet, JetAlgebra, taylor

#: One argument at which a function is analytic.
SMOOTH = {
    **dict.fromkeys(
        "exp expm1 sin cos tan tanh sinh cosh atan erf erfc sigmoid softplus".split(), 0.75
    ),
    **dict.fromkeys(
        "log log1p sqrt rsqrt cbrt square gamma lgamma digamma abs relu gelu".split(), 1.5
    ),
    **dict.fromkeys("asin acos atanh erfinv log_sigmoid logit".split(), 0.25),
}
#: Functions at points where they are not analytic, or where that is not plain.
DELICATE = [
    ("abs", 0),
    ("relu", 0),
    ("sqrt", 0),
    ("log", 0),
    ("floor", 2),
    ("cbrt", 0),
    ("asin", 1),
    ("gamma", -1),
]


def by_germs(program, x, order, monkeypatch):
    """What germs alone say."""
    with monkeypatch.context() as patch:
        patch.setattr(balls, "analytic", lambda *_, **__: None)
        return balls.one_sided(program, x, order)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_jet_and_a_germ_enclose_the_same_derivative(name, order, monkeypatch):
    seen = set()

    def program(x):
        seen.add(type(x))
        return x.algebra.function(name)(x * Fraction(3, 4) + Fraction(1, 8))

    x = Fraction(SMOOTH[name])
    fast = balls.one_sided(program, x, order)
    assert seen == {Jet}
    slow = by_germs(program, x, order, monkeypatch)
    assert Germ in seen
    assert fast.kind == slow.kind == "smooth"
    assert fast.derivative.overlaps(slow.derivative)
    assert fast.value.overlaps(slow.value)
    assert balls.is_narrow(fast.derivative.ball)


@pytest.mark.parametrize(("name", "x"), DELICATE)
def test_a_point_that_is_not_plainly_analytic_is_left_to_germs(name, x):
    assert taylor(lambda t: [t[0].algebra.function(name)(t[0])], [x], [1], 1, 128) is None


@pytest.mark.parametrize(
    "program",
    [
        lambda x: x / x,
        lambda x: 1 / x,
        lambda x: (x * x).algebra.function("sqrt")(x * x),
        lambda x: x ** Fraction(-2),
        lambda x: x ** Fraction(1, 3),
        lambda x: x.algebra.function("max")(x, -x),
        lambda x: x * float("inf"),
        lambda x: x + float("nan"),
    ],
)
def test_what_is_singular_at_zero_has_no_jet(program):
    assert taylor(lambda t: [program(t[0])], [0], [1], 1, 128) is None


def test_the_branch_that_is_not_taken_may_be_unknown():
    def program(t):
        (x,) = t
        algebra = x.algebra
        return [algebra.select(algebra.truth("gt", x, algebra.constant(0)), x * x, 1 / (x - x))]

    [(value, slope)] = taylor(program, [3], [1], 1, 128)
    assert (value, slope) == (arb(9), arb(6))


def test_infinities_are_compared_and_keep_their_sign():
    algebra = JetAlgebra(2, 128)
    x, top = algebra.variable(2, 1), algebra.constant(float("inf"))
    assert algebra.truth("lt", x, top)
    assert algebra.truth("lt", -top, x)
    assert algebra.truth("gt", x, -top)
    assert algebra.truth("eq", top, algebra.constant(float("inf")))
    assert (algebra.function("max")(x, -top) - x).rational() == 0


def test_a_wrong_row_of_the_table_is_wrong_for_jets_too(monkeypatch):
    """One table: there is no second opinion hidden in the fast way."""
    honest = germ_functions.RULES["sin"]
    monkeypatch.setitem(germ_functions.RULES, "sin", lambda algebra, x: honest(algebra, x) * 2)
    [(value, _)] = taylor(lambda t: [t[0].algebra.function("sin")(t[0])], [1], [1], 1, 128)
    assert value.overlaps(2 * arb(1).sin())
