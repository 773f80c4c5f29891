"""Gaussian expectations: every rule holds, and every value is that of numerical integration."""

import mpmath as mp
import pytest
import sympy as sp

from diffkit.core.errors import NoClosedForm
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.vocabulary import FUNCTIONS, definition
from diffkit.theory import gaussian_integrals as gi
from diffkit.theory.gaussian_integrals import q, x

NAMES = ("relu", "leaky_relu", "elu", "selu", "gelu", "hard_tanh", "relu6", "hard_swish", "huber")
ACTIVATIONS = {name: FUNCTIONS[name](x) for name in (*NAMES, "normal_cdf", "sparse_plus")} | {
    "erf": sp.erf(x),
    "erfc": sp.erfc(2 * x),
    "sin": sp.sin(x),
    "cos": sp.cos(3 * x),
    "exp": sp.exp(x / 2),
    "bump": sp.exp(-(x**2)),
    "snake": x + sp.sin(x) ** 2,
    "abs": sp.Abs(x),
    "square": sp.Max(0, x) ** 2,
}


def integral(f: sp.Expr, variance: float) -> float:
    """E[f] by mpmath's quadrature over the pieces between the whole numbers."""
    value = sp.lambdify(x, definition(f), "mpmath")
    with mp.workdps(20):
        density = lambda t: mp.npdf(t, 0, mp.sqrt(variance))
        ends = [mp.mpf(k) for k in range(-9, 10)]
        far = 14 * mp.sqrt(variance)
        ends = [-far - 9, *ends, far + 9]
        return float(mp.quad(lambda t: value(t) * density(t), ends))


@pytest.mark.parametrize("rule", gi.RULES)
def test_every_rule_holds_and_its_neighbour_does_not(rule):
    for line in gi.RULES[rule]:
        assert line.holds(), line.reason
        assert not gi.Line(line.reason, line.left, 2 * line.right + 1).holds()


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("order", [0, 1])
def test_a_second_moment_is_the_integral(name, order):
    f = ACTIVATIONS[name]
    square = (derivative(f, x) if order else f) ** 2
    law = gi.expectation(square)
    for variance in (0.3, 1.7):
        found = float(law.formula.subs(q, sp.Float(variance, 30)).evalf(20))
        assert found == pytest.approx(integral(square, variance), rel=1e-11)


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_a_distribution_function_on_a_half_line_is_integrated(power):
    f = sp.Piecewise((x**power * FUNCTIONS["normal_cdf"](2 * x), x > 0), (x**3, True))
    found = float(gi.expectation(f).formula.subs(q, 0.7))
    assert found == pytest.approx(integral(f, 0.7), rel=1e-11)


def test_a_lost_term_would_be_seen():
    law = gi.expectation(ACTIVATIONS["gelu"] ** 2)
    wrong = float((law.formula - q / 4).subs(q, 0.3))
    assert wrong != pytest.approx(integral(ACTIVATIONS["gelu"] ** 2, 0.3), rel=1e-3)


def test_the_known_forms_come_out():
    moment = lambda f: gi.expectation(f**2).formula
    assert moment(sp.Max(0, x)) == q / 2
    assert moment(sp.erf(x)) == 2 * sp.asin(2 * q / (2 * q + 1)) / sp.pi
    assert sp.simplify(moment(sp.sin(x)) - (1 - sp.exp(-2 * q)) / 2) == 0
    slope = sp.Symbol("a", real=True)
    leaky = sp.Piecewise((x, x > 0), (slope * x, True))
    assert sp.simplify(moment(leaky) - (1 + slope**2) * q / 2) == 0


def test_three_distribution_functions_are_an_angle_and_four_have_no_form():
    phi = FUNCTIONS["normal_cdf"](x)
    assert float(gi.expectation(phi**3).formula.subs(q, 1)) == pytest.approx(integral(phi**3, 1))
    with pytest.raises(NoClosedForm, match="product of 4"):
        gi.expectation(phi**4)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "silu", "softplus", "mish", "softsign"])
def test_what_has_no_closed_form_says_so(name):
    f = FUNCTIONS[name](x) if name in FUNCTIONS else sp.tanh(x)
    with pytest.raises(NoClosedForm, match="outside of the rules"):
        gi.expectation(f**2)


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (sp.exp(x**2), "infinite expectation"),
        (sp.Max(0, x**2 - 1), "not decided by an affine function"),
        (sp.exp(x) * sp.erf(x), r"exp\(c x\) Phi"),
        (sp.Max(0, x - 1) * sp.erf(x), "on an interval"),
        (1 / (1 + x**2), "outside of the rules"),
    ],
)
def test_what_the_rules_do_not_reach_is_refused_with_the_reason(f, said):
    with pytest.raises(NoClosedForm, match=said):
        gi.expectation(f)


def test_a_derivation_names_the_rules_it_used_and_no_other():
    assert gi.expectation(x**2).lines == gi.RULES["parts"]
    reasons = [line.reason for line in gi.expectation(ACTIVATIONS["gelu"] ** 2).lines]
    assert [r for r in reasons if r.startswith("slope of E[Phi(a x) Phi(b x)]")]
    assert not [r for r in reasons if "exponential" in r]


def test_pieces_are_those_of_the_definition():
    found = list(gi.pieces(FUNCTIONS["hard_tanh"](x)))
    assert found == [(-1, -sp.oo, -1), (x, -1, 1), (1, 1, sp.oo)]
