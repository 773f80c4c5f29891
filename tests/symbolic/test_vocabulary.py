"""Every row of the vocabulary against routes that share nothing with it.

mpmath differentiates the definition numerically at 50 digits; JAX evaluates the counterpart.
"""

import importlib
import itertools
import pickle
import random
from fractions import Fraction
from math import inf

import mpmath
import pytest
import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import DomainError, Undecidable, UnknownNameError, UnsupportedFunction
from diffkit.symbolic.evaluation import enclosure
from diffkit.symbolic.scalar_function import Row, ScalarFunction
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import (
    CONVENTIONS,
    FUNCTIONS,
    ROWS,
    definition,
    evaluate,
    kinks,
    partial,
)
from diffkit.symbolic.walk import nodes

DIGITS = 50
ARGUMENTS = [symbol(name) for name in ("a1", "a2", "a3")]
by_name = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
x, y = symbol("x"), symbol("y")


def variables(row: Row) -> list[sp.Symbol]:
    return ARGUMENTS[: row.arity]


def draw(domain: Domain, rng: random.Random, width: float = 4) -> Fraction:
    """A rational point of an interval, denominators below 1000."""
    low, high = domain.low, domain.high
    if low == -inf and high == inf:
        value = rng.uniform(-width, width)
    elif high == inf:
        value = float(low) + 0.02 + abs(rng.gauss(0, width / 2))
    elif low == -inf:
        value = float(high) - 0.02 - abs(rng.gauss(0, width / 2))
    else:
        value = rng.uniform(float(low) + 0.02, float(high) - 0.02)
    return Fraction(round(value * 997), 997)


def points(row: Row, count: int, *, gap: Fraction = Fraction(1, 20)) -> list[tuple[Fraction, ...]]:
    """Points of the domain that keep a distance from every kink."""
    rng = random.Random(f"points of {row.name}")
    zeros = [kink.zero for kink in row.kinks(*variables(row))]
    found: list[tuple[Fraction, ...]] = []
    while len(found) < count:
        point = tuple(draw(domain, rng) for domain in row.domain)
        if row.name == "clip":
            point = (point[0], *sorted(point[1:]))
        values = dict(zip(variables(row), map(sp.Rational, point), strict=True))
        if all(abs(zero.subs(values)) > gap for zero in zeros):
            found.append(point)
    return found


def as_mpmath(row: Row, expr: sp.Expr):
    return sp.lambdify(variables(row), definition(expr), "mpmath")


def numerical_partial(row: Row, index: int, point: tuple[Fraction, ...]) -> mpmath.mpf:
    """The derivative of the definition by mpmath's differences; a constant branch gives 0."""
    function = as_mpmath(row, row.definition(*variables(row)))
    values = [mpmath.mpf(number.numerator) / number.denominator for number in point]

    def along(value):
        return mpmath.mpf(function(*values[:index], value, *values[index + 1 :]))

    return mpmath.diff(along, values[index])


def disagreement(row: Row, index: int, rule: sp.Expr) -> float:
    """Largest relative difference between a derivative rule and the numerical derivative."""
    worst = 0.0
    with mpmath.workdps(DIGITS):
        claimed = as_mpmath(row, rule)
        for point in points(row, 6):
            values = [mpmath.mpf(number.numerator) / number.denominator for number in point]
            truth = numerical_partial(row, index, point)
            worst = max(worst, float(abs(claimed(*values) - truth) / (1 + abs(truth))))
    return worst


@by_name
def test_each_derivative_is_the_numerical_derivative_of_the_definition(row):
    call = FUNCTIONS[row.name](*variables(row))
    for index in range(row.arity):
        assert disagreement(row, index, partial(call, index)) < 1e-20


@by_name
def test_a_derivative_that_is_off_by_a_millionth_is_noticed(row):
    rule = partial(FUNCTIONS[row.name](*variables(row)), 0)
    wrong = rule * (1 + sp.Rational(1, 10**6)) + sp.Rational(1, 10**6)
    assert disagreement(row, 0, wrong) > 1e-8


def kink_cases() -> list:
    """Each kink of each row with exact parameters: (row, parameters, location, kink)."""
    parameters = {
        "hinge": [(sp.Rational(3, 2),), (sp.Rational(-3, 2),)],
        "clip": [(sp.Rational(-1, 2), sp.Integer(2))],
        "hypot": [(sp.Integer(0),)],
        "step": [(sp.Integer(0),)],
        "prelu": [(sp.Rational(1, 4),)],
        "elu": [(sp.Integer(1),), (sp.Rational(1, 2),)],
        "celu": [(sp.Integer(1),), (sp.Rational(1, 2),)],
    }
    cases = []
    for row in ROWS:
        for rest in parameters.get(row.name, [row.defaults]):
            for number, kink in enumerate(row.kinks(x, *rest)):
                (place,) = sp.solve(kink.zero, x)
                cases.append(pytest.param(row, rest, place, kink, id=f"{row.name}-{rest}-{number}"))
    return cases


def one_sided(f, order: int, place, step):
    """The one-sided derivative of order 0, 1 or 2 by a forward quotient."""
    if order == 0:
        return f(place + step)
    if order == 1:
        return (f(place + step) - f(place)) / step
    return (f(place) - 2 * f(place + step) + f(place + 2 * step)) / step**2


@pytest.mark.parametrize(("row", "rest", "place", "kink"), kink_cases())
def test_the_one_sided_derivatives_at_a_kink_are_those_of_the_definition(row, rest, place, kink):
    with mpmath.workdps(DIGITS):
        f = sp.lambdify(x, definition(row.definition(x, *rest)), "mpmath")
        step = mpmath.mpf(10) ** -15
        for side, claimed in ((-step, kink.left), (step, kink.right)):
            found = one_sided(f, kink.order, mpmath.mpf(place.p) / place.q, side)
            if claimed is sp.oo:
                assert found > 1e9
            else:
                assert abs(found - mpmath.mpf(str(sp.N(claimed, 40)))) < 1e-12


@pytest.mark.parametrize(("row", "rest", "place", "kink"), kink_cases())
def test_the_two_sides_of_a_kink_differ(row, rest, place, kink):
    assert kink.left != kink.right or kink.left is sp.oo


def counterpart(row: Row):
    """The JAX function of a row, of all its arguments, or None if its package is missing."""
    module, _, name = row.jax.rpartition(".")
    function = getattr(
        pytest.importorskip(module) if "optax" in module else importlib.import_module(module), name
    )
    positional = row.arity - len(row.jax_names)

    def call(*args):
        named = dict(zip(row.jax_names, args[positional:], strict=False))
        return function(*args[:positional], **named, **dict(row.jax_kwargs))

    return call


WITHOUT_DEFAULT_IN_JAX = ("step",)
#: JAX 0.12 sums a truncated series near p = q: off by 1.2e-8 relative at q = 1.05 p in float64.
INACCURATE_IN_JAX = {"kl_div": 1e-10}
WITH_JAX = [row for row in ROWS if row.jax]


def defaults_only(row: Row) -> list[tuple[Fraction, ...]]:
    """50 points whose trailing arguments are the defaults, with the kinks among them."""
    defaults = tuple(Fraction(int(value.p), int(value.q)) for value in row.defaults)
    free = row.arity - len(defaults)
    found = [(*point[:free], *defaults) for point in points(row, 45)]
    if free == 1:
        found += [
            (Fraction(str(place)), *defaults)
            for kink in row.kinks(x, *row.defaults)
            for place in sp.solve(kink.zero, x)
        ]
    return found


@pytest.mark.parametrize("row", WITH_JAX, ids=lambda row: row.name)
def test_the_jax_counterpart_with_its_own_defaults_has_the_same_values(row):
    jax = pytest.importorskip("jax")
    function = counterpart(row)
    free = row.arity if row.name in WITHOUT_DEFAULT_IN_JAX else row.min_arity
    with jax.enable_x64(True):
        for point in defaults_only(row):
            # Only the arguments without default are passed: JAX's defaults must be ours.
            passed = [float(number) for number in point[:free]]
            found = float(function(*map(jax.numpy.asarray, passed)))
            exact = evaluate_or_zero(FUNCTIONS[row.name](*map(sp.Rational, passed)))
            allowed = INACCURATE_IN_JAX.get(row.name, 1e-12)
            assert abs(found - exact) <= allowed * max(1.0, abs(exact)), point


def evaluate_or_zero(value: sp.Expr) -> float:
    return float(evaluate(value, digits=20)) if value != 0 else 0.0


@pytest.mark.parametrize("row", [row for row in WITH_JAX if row.defaults], ids=lambda row: row.name)
def test_the_jax_counterpart_takes_the_other_parameters_as_we_do(row):
    jax = pytest.importorskip("jax")
    function = counterpart(row)
    with jax.enable_x64(True):
        for point in points(row, 8):
            passed = [float(number) for number in point]
            found = float(function(*map(jax.numpy.asarray, passed)))
            exact = evaluate_or_zero(FUNCTIONS[row.name](*map(sp.Rational, passed)))
            assert abs(found - exact) <= 1e-12 * max(1.0, abs(exact)), point


def test_the_erf_form_of_gelu_is_told_apart_from_the_tanh_form():
    values = [evaluate(FUNCTIONS[name](x), {x: 2}) for name in ("gelu", "gelu_tanh")]
    assert 1e-5 < abs(values[0] - values[1]) < 4.8e-4


KINKED_WITH_CONVENTION = [
    row for row in WITH_JAX if row.convention is not None and row.min_arity == 1
]


@pytest.mark.parametrize("row", KINKED_WITH_CONVENTION, ids=lambda row: row.name)
def test_the_default_convention_at_a_kink_is_what_jax_grad_returns(row):
    jax = pytest.importorskip("jax")
    gradient = jax.grad(counterpart(row))
    with jax.enable_x64(True):
        for kink in row.kinks(x, *row.defaults):
            (place,) = sp.solve(kink.zero, x)
            ours = definition(partial(FUNCTIONS[row.name](x), 0)).subs(x, place)
            extra = [float(value) for value in row.defaults]
            found = float(gradient(jax.numpy.asarray(float(place)), *extra))
            assert abs(found - float(ours)) < 1e-15


def test_another_convention_changes_the_derivative_only_at_the_kink():
    relu = FUNCTIONS["relu"](x)
    usual, other = partial(relu, 0), partial(relu, 0, {"relu0": 1})
    difference = definition(usual - other)
    assert [difference.subs(x, place) for place in (-1, 0, 1)] == [0, -1, 0]


def test_a_convention_does_not_reach_into_the_argument():
    inner = FUNCTIONS["step"](x) * x
    changed = partial(FUNCTIONS["relu"](inner), 0, {"relu0": 1})
    assert changed == FUNCTIONS["step"](inner, 1)


def test_every_kinked_first_order_row_obeys_its_convention():
    for row in KINKED_WITH_CONVENTION:
        call = FUNCTIONS[row.name](x)
        assert partial(call, 0, {f"{row.name}0": sp.Rational(1, 3)}) != partial(call, 0), row.name


def test_a_convention_nobody_defined_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="relu0"):
        partial(FUNCTIONS["relu"](x), 0, {"rleu0": 1})


def test_conventions_are_exactly_the_rows_that_have_one():
    assert set(CONVENTIONS) == {f"{row.name}0" for row in ROWS if row.convention is not None}


def test_the_classes_are_exactly_the_table():
    assert {made.row.name for made in FUNCTIONS.values()} == {row.name for row in ROWS}
    assert {row.name for row in ROWS} == set(FUNCTIONS) - {a for row in ROWS for a in row.aliases}


def test_no_two_rows_share_a_name_or_alias():
    names = [name for row in ROWS for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names)) == len(FUNCTIONS)


def test_the_functions_every_layer_counts_on_exist():
    promised = (
        "sigmoid softplus log_sigmoid relu relu6 leaky_relu prelu elu selu celu gelu gelu_tanh "
        "silu swish mish softsign hard_tanh hard_sigmoid hard_swish squareplus logaddexp xlogy "
        "xlog1py entr step huber log_cosh hinge expm1 log1p exp2 log2 log10 cbrt rsqrt square "
        "logit sinc normal_pdf normal_cdf log_normal_cdf hypot expm1_over"
    )
    assert set(promised.split()) <= set(FUNCTIONS)


@by_name
def test_the_range_holds_every_value(row):
    rng = random.Random(f"range of {row.name}")
    free = row.min_arity
    for width in (1, 5, 40):
        for _ in range(8):
            point = [sp.Rational(draw(domain, rng, width)) for domain in row.domain[:free]]
            value = evaluate_or_zero(FUNCTIONS[row.name](*point))
            assert inside(row.range, value), (point, value)


def inside(domain: Domain, value: float) -> bool:
    """Whether a rounded value may belong to `domain`: a bound itself is a rounded neighbour."""
    return float(domain.low) <= value <= float(domain.high)


def test_a_bound_that_cuts_into_the_range_of_silu_is_noticed():
    low = evaluate(FUNCTIONS["silu"](sp.Rational(-1278, 1000)))
    assert not inside(Domain(Fraction(-278, 1000), inf), float(low))


SAYABLE = (Domain(), Domain.parse("positive"), Domain.parse("(-1, oo)"))
SIGNED = [row for row in ROWS if set(row.domain[: row.min_arity]) <= set(SAYABLE)]


@pytest.mark.parametrize("row", SIGNED, ids=lambda row: row.name)
def test_the_signs_that_follow_from_the_range_are_known_to_sympy(row):
    arguments = [symbol_in(domain, name) for domain, name in zip(row.domain, "abc", strict=False)]
    call = FUNCTIONS[row.name](*arguments[: row.min_arity])
    assert call.is_real
    if row.range.low > 0 or (row.range.low == 0 and row.range.open_low):
        assert call.is_positive
    if row.range.high < 0 or (row.range.high == 0 and row.range.open_high):
        assert call.is_negative


def symbol_in(domain: Domain, name: str) -> sp.Symbol:
    return symbol(name) if domain.is_real_line else sp.Symbol(name, positive=True)


def test_a_function_of_a_function_is_real_where_the_ranges_fit():
    sigmoid, logit, softplus = (FUNCTIONS[name] for name in ("sigmoid", "logit", "softplus"))
    assert logit(sigmoid(x)).is_real
    assert logit(softplus(x)).is_real is None


@by_name
def test_stated_special_values_are_the_values_of_the_definition(row):
    for args, value in row.table.items():
        if any(arg.is_infinite for arg in args):
            limit = sp.limit(row.definition(x), x, args[0])
            assert limit == value
            continue
        error = row.definition(*args).doit() - value
        assert error == 0 or abs(error.evalf(30)) < 1e-25


@pytest.mark.parametrize("row", [row for row in ROWS if row.stable], ids=lambda row: row.name)
def test_the_accurate_form_equals_the_definition(row):
    arguments = variables(row)
    with mpmath.workdps(DIGITS):
        stable = as_mpmath(row, row.stable(*arguments))
        plain = as_mpmath(row, row.definition(*arguments))
        for point in points(row, 6):
            values = [mpmath.mpf(number.numerator) / number.denominator for number in point]
            assert abs(stable(*values) - plain(*values)) < 1e-40 * (1 + abs(plain(*values)))


def test_rational_arguments_of_piecewise_rational_functions_are_evaluated_exactly():
    exact = {
        ("relu", 3): 3,
        ("relu", -3): 0,
        ("relu6", sp.Rational(13, 2)): 6,
        ("step", 2): 1,
        ("step", 0): 0,
        ("hard_sigmoid", 0): sp.Rational(1, 2),
        ("huber", 3): sp.Rational(5, 2),
        ("softsign", -3): sp.Rational(-3, 4),
        ("relu", sp.pi): sp.pi,
    }
    for (name, argument), value in exact.items():
        assert FUNCTIONS[name](argument) == value


def test_defaults_are_filled_in_so_that_equal_calls_are_equal():
    leaky_relu = FUNCTIONS["leaky_relu"]
    assert leaky_relu(x) == leaky_relu(x, sp.Rational(1, 100)) != leaky_relu(x, y)
    assert (str(leaky_relu(x)), str(leaky_relu(x, y))) == ("leaky_relu(x)", "leaky_relu(x, y)")


def test_a_call_survives_pickling_and_rebuilding():
    call = FUNCTIONS["huber"](x) + FUNCTIONS["swish"](y)
    assert pickle.loads(pickle.dumps(call)) == call
    assert all(part.func(*part.args) == part for part in call.args)


def test_a_call_with_too_few_or_too_many_arguments_raises():
    for name, args in (("logaddexp", (x,)), ("sigmoid", (x, y)), ("sigmoid", ())):
        with pytest.raises(TypeError):
            FUNCTIONS[name](*args)


def test_latex_keeps_the_power_between_name_and_argument():
    assert sp.latex(FUNCTIONS["sigmoid"](x) ** 2) == r"\sigma^{2}\left(x\right)"


def test_a_float_argument_evaluates_like_sympys_own_functions():
    assert abs(FUNCTIONS["sigmoid"](0.5) - 1 / (1 + sp.exp(-0.5))) < 1e-15


def test_definition_leaves_no_vocabulary_function_behind():
    nested = FUNCTIONS["gelu"](FUNCTIONS["relu"](x) + sp.sin(FUNCTIONS["mish"](y)))
    assert not definition(nested).atoms(ScalarFunction)
    assert nested.atoms(ScalarFunction)


def test_definition_of_a_chain_with_shared_parts_stays_linear():
    expr = x
    for _ in range(12):  # written out as a tree this has 2**12 leaves
        expr = FUNCTIONS["sigmoid"](expr) * expr
    assert len(list(nodes(definition(expr)))) < 20 * 12


def test_kinks_are_the_zeros_of_abs_max_conditions_and_rows():
    expr = (
        sp.Abs(x - 1)
        + sp.Max(x, y)
        + FUNCTIONS["hard_tanh"](2 * x)
        + sp.Piecewise((x, x > 5), (0, True))
        + sp.Abs(y)
    )
    found = {
        abs(sp.Poly(zero, x, y).primitive()[1].as_expr().subs({x: 7, y: 11}))
        for zero in kinks(expr)
    }
    by_hand = [x - 1, x - y, 2 * x + 1, 2 * x - 1, x - 5, y]
    assert found == {abs(zero.subs({x: 7, y: 11})) for zero in by_hand}
    assert all(zero.has(x) for zero in kinks(expr, x))
    assert kinks(FUNCTIONS["gelu"](x) + sp.exp(x)) == ()


@by_name
@pytest.mark.parametrize("digits", [15, 60])
def test_evaluation_agrees_with_mpmath_to_the_digits_asked_for(row, digits):
    with mpmath.workdps(digits + 60):
        reference = as_mpmath(row, row.definition(*variables(row)))
        for point in points(row, 4):
            env = dict(zip(variables(row), point, strict=True))
            value = evaluate_or_exact(FUNCTIONS[row.name](*variables(row)), env, digits)
            truth = reference(*(mpmath.mpf(n.numerator) / n.denominator for n in point))
            assert abs(value - truth) <= abs(truth) * mpmath.mpf(10) ** (1 - digits)


def evaluate_or_exact(call: sp.Expr, env: dict, digits: int) -> mpmath.mpf:
    value = evaluate(call, env, digits)
    return mpmath.mpf(value._mpf_) if isinstance(value, sp.Float) else mpmath.mpf(0)


def test_cancellation_does_not_cost_digits():
    # log(1 + exp(-1000)) is exp(-1000) to 400 digits; in 30 digits naive arithmetic gives 0.
    value = evaluate(sp.log(1 + sp.exp(-x)), {x: 1000}, 20)
    with mpmath.workdps(30):
        assert abs(mpmath.mpf(value._mpf_) / mpmath.exp(-1000) - 1) < mpmath.mpf(10) ** -19


def test_an_untaken_branch_may_be_undefined():
    guarded = sp.Piecewise((sp.log(x), x > 0), (x, True))
    assert float(evaluate(guarded, {x: -2})) == -2


def test_what_is_not_real_or_not_finite_raises():
    third = Fraction(1, 3)  # not a binary number, so its value is a bar and not a point
    cases = ((sp.log(x), -1), (1 / x, 0), (sp.sqrt(x), -2), (sp.log(x), 0), (sp.acosh(x), third))
    for expr, value in cases:
        with pytest.raises(DomainError):
            evaluate(expr, {x: value})


def test_an_expression_that_vanishes_identically_is_not_given_a_value():
    hidden_zero = sp.sin(x) ** 2 + sp.cos(x) ** 2 - 1
    with pytest.raises(Undecidable):
        evaluate(hidden_zero, {x: 1})
    value, error = enclosure(hidden_zero, {x: 1})
    assert abs(value) <= error < 1e-30


def test_a_symbol_without_value_and_a_function_without_rule_are_named():
    with pytest.raises(UnknownNameError, match="'y'"):
        evaluate(x + y, {x: 1})
    with pytest.raises(UnsupportedFunction, match="Integral"):
        evaluate(sp.Integral(sp.exp(x), (x, 0, 1)))


def test_a_value_too_large_to_compute_is_refused_at_once():
    with pytest.raises(DomainError):
        evaluate(sp.exp(sp.exp(sp.exp(x))), {x: 100})


def test_a_finite_sum_is_added_up():
    i = symbol("i", integer=True)
    harmonic = evaluate(sp.Sum(x / i, (i, 1, 100)), {x: 1}, 20)
    exact = sum(Fraction(1, k) for k in range(1, 101))
    assert abs(Fraction(str(harmonic)) - exact) < Fraction(1, 10**18)


def test_float_arguments_stand_for_their_binary_value():
    assert evaluate(x, {x: 0.1}, 30) == sp.Float(sp.Rational(*(0.1).as_integer_ratio()), 30)


def test_precisions_of_other_users_of_mpmath_stay_as_they_are():
    before = mpmath.mp.prec
    evaluate(sp.exp(x), {x: 1}, 200)
    assert mpmath.mp.prec == before


def test_pairs_of_functions_that_are_inverse_to_each_other_are():
    pairs = [("expm1", "log1p"), ("sigmoid", "logit"), ("normal_cdf", "normal_quantile")]
    for (outer, inner), value in itertools.product(pairs, (Fraction(1, 3), Fraction(7, 9))):
        there = FUNCTIONS[outer](FUNCTIONS[inner](x))
        assert abs(evaluate(there, {x: value}, 40) - sp.Rational(value)) < 1e-38
