"""Germs against closed forms worked out by hand, and against mpmath's own Taylor series."""

from collections.abc import Callable
from fractions import Fraction

import mpmath
import pytest
from flint import arb, ctx, fmpq

from diffkit.core.errors import Undecidable, UnsupportedFunction
from diffkit.numeric import germ_functions
from diffkit.numeric.algebra import ARITY, DEFAULTS
from diffkit.numeric.germs import Germ, GermAlgebra, Singular
from diffkit.numeric.precise import FUNCTIONS

# Points inside every function's domain and away from its kinks; the rest takes -3/8 and 5/8.
_POINTS = {
    **dict.fromkeys("acosh".split(), (Fraction(5, 4), Fraction(7))),
    **dict.fromkeys("acoth".split(), (Fraction(5, 4),)),
    **dict.fromkeys(
        "log log2 log10 sqrt rsqrt entr logit erfcinv lambertw".split(),
        (Fraction(1, 8), Fraction(5, 8)),
    ),
}
_DEFAULT_POINTS = (Fraction(-3, 8), Fraction(5, 8))


@pytest.fixture(autouse=True)
def _wide_context():
    """The expected values of a test are computed with more bits than the germs have."""
    bits, ctx.prec = ctx.prec, 400
    yield
    ctx.prec = bits


_UNARY = sorted(name for name, (least, _) in ARITY.items() if least == 1)


def _taylor(name: str, x0: Fraction, terms: int) -> list[mpmath.mpf]:
    """Coefficients by mpmath's differences at 50 digits, from the other algebra's formulas."""
    context = mpmath.mp.clone()
    context.dps = 50
    default = DEFAULTS.get(name)
    rest = [] if default is None else [context.mpf(default.numerator) / default.denominator]
    point = context.mpf(x0.numerator) / x0.denominator
    return context.taylor(lambda x: FUNCTIONS[name](context, x, *rest), point, terms - 1)


@pytest.mark.parametrize("name", _UNARY)
def test_the_taylor_coefficients_of_every_function_agree_with_mpmath(name: str):
    for x0 in _POINTS.get(name, _DEFAULT_POINTS):
        algebra = GermAlgebra(terms=4, bits=160)
        germ = algebra.function(name)(algebra.variable(x0))
        for k, expected in enumerate(_taylor(name, x0, 4)):
            found = algebra.derivative(germ, k) / int(mpmath.factorial(k))
            text = found.mid().str(40, radius=False)
            difference = abs(expected.context.mpf(text) - expected)
            assert difference <= 1e-25 * max(abs(expected), 1), (name, x0, k)


@pytest.mark.parametrize("name", ["exp", "tanh", "lgamma", "erf", "asinh"])
def test_a_corrupted_row_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch):
    wrong = dict(germ_functions.RULES)
    wrong[name] = lambda A, x: germ_functions.RULES[name](A, x) * fmpq(1001, 1000)
    monkeypatch.setattr(GermAlgebra, "rules", wrong)
    with pytest.raises(AssertionError):
        test_the_taylor_coefficients_of_every_function_agree_with_mpmath(name)


Program = Callable[[Germ], Germ]


def _call(name: str, *rest: object) -> Program:
    return lambda x: x.algebra.function(name)(x, *rest)


def _ramp(x: Germ) -> Germ:
    return (x + x.algebra.function("sqrt")(x * x)) / 2


_KINKS = [
    ("relu", _call("relu"), 0, 0, 1),
    ("abs", _call("abs"), 0, -1, 1),
    ("(x + sqrt(x*x))/2", _ramp, 0, 0, 1),
    ("max(x, -x)", lambda x: x.algebra.function("max")(x, -x), 0, -1, 1),
    ("max(x, x): a tie of equals", lambda x: x.algebra.function("max")(x, x), 0, 1, 1),
    ("relu6 at 6", _call("relu6"), 6, 1, 0),
    ("hard_tanh at -1", _call("hard_tanh"), -1, 0, 1),
    ("huber at 1", _call("huber"), 1, 1, 1),
    ("leaky_relu", _call("leaky_relu"), 0, Fraction(1, 100), 1),
    ("relu(x) - relu(-x)", lambda x: _call("relu")(x) - _call("relu")(-x), 0, 1, 1),
    ("floor(x) x", lambda x: _call("floor")(x) * x, 0, -1, 0),
]


@pytest.mark.parametrize(
    ("program", "x0", "left", "right"), [row[1:] for row in _KINKS], ids=[row[0] for row in _KINKS]
)
def test_one_sided_derivatives_at_kinks_come_out_exactly(program, x0, left, right):
    for direction, expected in ((-1, left), (1, right)):
        algebra = GermAlgebra(terms=2, direction=direction, bits=64)
        found = algebra.derivative(program(algebra.variable(x0)), 1)
        assert found.overlaps(arb(fmpq(*Fraction(expected).as_integer_ratio())))
        assert found.rad() < 1e-20


# f, then f(0), f'(0), f''(0), by hand from the power series
_REMOVABLE = [
    ("(exp x - 1)/x", lambda x: (_call("exp")(x) - 1) / x, (1, Fraction(1, 2), Fraction(1, 3))),
    ("expm1(x)/x", lambda x: _call("expm1")(x) / x, (1, Fraction(1, 2), Fraction(1, 3))),
    ("sin(x)/x", lambda x: _call("sin")(x) / x, (1, 0, Fraction(-1, 3))),
    (
        "(1 - cos x)/x^2",
        lambda x: (1 - _call("cos")(x)) / (x * x),
        (Fraction(1, 2), 0, Fraction(-1, 12)),
    ),
    ("log1p(x)/x", lambda x: _call("log1p")(x) / x, (1, Fraction(-1, 2), Fraction(2, 3))),
    ("x/x", lambda x: x / x, (1, 0, 0)),
    ("sqrt(x)^2", lambda x: _call("sqrt")(x) ** 2, (0, 1, 0)),
]


@pytest.mark.parametrize(
    ("program", "expected"), [row[1:] for row in _REMOVABLE], ids=[row[0] for row in _REMOVABLE]
)
def test_removable_singularities_have_the_derivatives_of_the_limit(program, expected):
    algebra = GermAlgebra(terms=3, bits=128)
    germ = program(algebra.variable(0))
    for order, value in enumerate(expected):
        ball = algebra.derivative(germ, order)
        assert ball.contains(arb(fmpq(*Fraction(value).as_integer_ratio())))
        assert ball.rad() < 1e-30


@pytest.mark.parametrize(
    ("program", "order", "sign"),
    [
        (_call("sqrt"), 1, 1),  # 1/(2 sqrt t)
        (_call("sqrt"), 2, -1),
        (lambda x: x * _call("log")(x), 1, -1),  # log t + 1
        (lambda x: x * _call("log")(x), 2, 1),  # 1/t
        (lambda x: x.algebra.function("pow")(x, x), 1, -1),  # x^x (log x + 1)
        (_call("asin"), None, None),
        (lambda x: 1 / x, 0, 1),
        (lambda x: _call("log")(x), 0, -1),
        (lambda x: x ** Fraction(3, 2), 2, 1),
    ],
)
def test_an_infinite_derivative_is_signalled_with_its_sign(program, order, sign):
    algebra = GermAlgebra(terms=3, direction=1, bits=64)
    if order is None:  # asin at 1 from the left: slope +inf
        algebra, order, sign, x0 = GermAlgebra(3, -1, 64), 1, 1, 1
    else:
        x0 = 0
    with pytest.raises(Singular) as caught:
        algebra.derivative(program(algebra.variable(x0)), order)
    assert (caught.value.kind, caught.value.sign) == ("infinite", sign)


def test_a_nan_is_undefined_and_the_untaken_branch_does_not_poison():
    algebra = GermAlgebra(terms=2, direction=-1, bits=64)
    x = algebra.variable(0)
    bad = algebra.function("log")(x)
    with pytest.raises(Singular, match="undefined"):
        algebra.derivative(bad, 1)
    good = algebra.select(algebra.truth("gt", x, 0), bad, x * 3)
    assert algebra.derivative(good, 1) == 3


def test_an_exponential_flat_at_zero_has_only_zero_derivatives():
    algebra = GermAlgebra(terms=5, bits=64)
    x = algebra.variable(0)
    flat = algebra.function("exp")(-1 / (x * x))
    assert all(algebra.derivative(flat, order) == 0 for order in range(5))
    with pytest.raises(Undecidable):  # it is positive, but no known term says so
        algebra.truth("gt", flat, 0)


def test_a_ball_that_contains_zero_is_never_taken_for_zero():
    algebra = GermAlgebra(terms=2, direction=0, bits=64)
    x = algebra.constant(Fraction(1, 3))
    residue = algebra.function("sin")(x) ** 2 + algebra.function("cos")(x) ** 2 - 1
    assert not residue.is_exact_zero
    with pytest.raises(Undecidable):
        algebra.truth("eq", residue, 0)
    with pytest.raises(Undecidable):
        algebra.derivative(1 / residue, 0)


def test_equal_computations_are_one_germ_so_that_their_difference_is_zero():
    algebra = GermAlgebra(terms=2, bits=64)
    x = algebra.variable(0.3)
    one, other = algebra.function("sin")(x * 2), algebra.function("sin")(x * 2)
    assert one is other
    assert (one - other).is_exact_zero


def test_the_root_of_a_square_is_the_absolute_value_exactly():
    algebra = GermAlgebra(terms=3, bits=64)
    x = algebra.function("sin")(algebra.variable(-0.3))
    root = algebra.function("sqrt")(x * x + 0)
    assert (root + x).is_exact_zero
    assert (x / -root).rational() == 1  # the cosine of the angle between x and itself


def test_infinite_constants_follow_ieee():
    algebra = GermAlgebra(terms=2, bits=64)
    low = algebra.constant(float("-inf"))
    assert algebra.function("exp")(low - 5).is_exact_zero
    assert algebra.function("max")(low, 2).rational() == 2
    assert algebra.truth("lt", low, -1e300)
    assert (low - low).fault == "nan"
    assert algebra.function("tanh")(low).rational() == -1


def test_an_unknown_function_is_refused_by_name():
    with pytest.raises(UnsupportedFunction, match="airy_of_mine"):
        GermAlgebra().function("airy_of_mine")


def test_the_global_precision_is_put_back():
    bits, cap = ctx.prec, ctx.cap
    algebra = GermAlgebra(terms=30, bits=500)
    algebra.derivative(algebra.function("exp")(algebra.variable(1)), 20)
    assert (ctx.prec, ctx.cap) == (bits, cap)
