"""A SymPy expression and a jaxpr over balls, floats and mpmath numbers."""

import subprocess
import sys
from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import sympy as sp

import diffkit as dk
from diffkit.backend.compat import trace, x64
from diffkit.bridge import interpret_rules
from diffkit.bridge.interpret import interpret_expression, interpret_jaxpr
from diffkit.bridge.interpret_jaxpr import run, supported
from diffkit.core.errors import (
    Undecidable,
    UnknownNameError,
    UnsupportedFunction,
    UnsupportedPrimitive,
    UsageError,
)
from diffkit.numeric.balls import one_sided
from diffkit.numeric.floating import FloatAlgebra
from diffkit.numeric.germs import GermAlgebra
from diffkit.numeric.precise import MpAlgebra, derivative
from diffkit.numeric.rounding import RunningErrorAlgebra

x, y = sp.symbols("x y", real=True)

_EXPRESSIONS = [
    sp.log(1 + sp.exp(-x)),
    sp.Piecewise((x**2, x > 0), (sp.sin(x) / x, True)),
    sp.Piecewise((1, sp.And(x > 0, x < 1)), (2, sp.Or(x > 2, sp.Eq(x, -1))), (x, True)),
    x ** sp.Rational(7, 3) / (1 + x**2) ** 2,
    sp.pi * sp.E**x + sp.EulerGamma * sp.Float(0.1),
    sp.Max(x, 1, y) * sp.Min(x, y) + sp.Abs(x - y),
    sp.Sum(x ** sp.Symbol("k", integer=True) / 3, (sp.Symbol("k", integer=True), 0, 4)),
    sp.Heaviside(x - sp.Rational(3, 10)) + sp.floor(4 * x) + sp.ceiling(y) + sp.sign(y - x),
    sp.erf(x) + sp.gamma(x + 1) + sp.loggamma(x + 2) + sp.digamma(x + 1) + sp.atan2(y, x),
    -x / y**2 + sp.sqrt(x) / sp.sqrt(y),
]


@pytest.mark.parametrize("expr", _EXPRESSIONS, ids=str)
def test_every_algebra_agrees_with_sympys_own_evaluation(expr: sp.Expr):
    point = {x: sp.Rational(5, 8), y: sp.Rational(9, 4)}
    expected = float(sp.N(expr.doit().subs(point), 30))
    values = {"x": Fraction(5, 8), "y": Fraction(9, 4)}
    germs = GermAlgebra(terms=1, direction=0, bits=128)
    ball = interpret_expression(expr, {k: germs.constant(v) for k, v in values.items()}, germs)
    assert float(germs.derivative(ball, 0).mid()) == pytest.approx(expected, rel=1e-15)
    for algebra in (FloatAlgebra(), MpAlgebra(40), RunningErrorAlgebra("float64")):
        env = {name: algebra.constant(value) for name, value in values.items()}
        found = interpret_expression(expr, env, algebra)
        number = found.value if isinstance(algebra, RunningErrorAlgebra) else float(found)
        assert number == pytest.approx(expected, rel=1e-13)


def test_floats_are_evaluated_on_whole_arrays():
    expr = sp.Piecewise((x, x > 0), (x**2, True))
    found = interpret_expression(expr, {"x": np.array([-2.0, 3.0])}, FloatAlgebra())
    assert found.tolist() == [4.0, 3.0]


def test_only_the_chosen_branch_of_a_piecewise_is_evaluated():
    nobody = sp.Function("nobody_knows")
    expr = sp.Piecewise((x, x > 0), (nobody(x), True))
    algebra = GermAlgebra(direction=0)
    assert interpret_expression(expr, {"x": algebra.constant(2)}, algebra).rational() == 2


def test_what_has_no_row_is_refused_by_name():
    algebra = FloatAlgebra()
    with pytest.raises(UnsupportedFunction, match="besselj"):
        interpret_expression(sp.besselj(0, x), {"x": 1.0}, algebra)
    with pytest.raises(UnsupportedFunction, match="Derivative"):
        interpret_expression(sp.Derivative(sp.Function("f")(x), x), {"x": 1.0}, algebra)
    with pytest.raises(UnsupportedFunction, match="ImaginaryUnit"):
        interpret_expression(sp.I * x, {"x": 1.0}, algebra)
    with pytest.raises(UnknownNameError, match="'y'"):
        interpret_expression(x + y, {"x": 1.0}, algebra)


def test_a_chain_of_thousands_of_nodes_needs_no_recursion():
    expr = x
    for _ in range(3000):
        expr = sp.sin(expr, evaluate=False)
    found = interpret_expression(expr, {"x": 0.5}, FloatAlgebra())
    assert 0 < float(found) < 0.05


def test_text_only_use_does_not_import_jax():
    program = (
        "import sys, sympy; from diffkit.bridge.interpret import interpret_expression;"
        "from diffkit.numeric.germs import GermAlgebra; A = GermAlgebra();"
        "interpret_expression(sympy.Symbol('x'), {'x': A.variable(0)}, A);"
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# Jaxprs


def _phi(v):
    """(exp v - 1)/v with the usual double where."""
    safe = jnp.where(v == 0, 1.0, v)
    return jnp.where(v == 0, 1.0, jnp.expm1(safe) / safe)


def _three(v):
    return jnp.stack([v, 2 * v, jnp.sin(v)])


def _scan(v):
    return jax.lax.scan(lambda c, k: (c * k + v, c), 1.0, jnp.arange(1.0, 4.0))[0]


def _while(v):
    return jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * v), (0, v))[1]


m = mpmath
#: name -> (JAX function, the same in mpmath)
_JAX = {
    "softplus": (jax.nn.softplus, lambda t: m.log1p(m.exp(t))),
    "gelu_tanh": (
        jax.nn.gelu,
        # the constant sqrt(2/pi) enters the program as a double
        lambda t: t / 2 * (1 + m.tanh(m.mpf(np.sqrt(2 / np.pi)) * (t + m.mpf(0.044715) * t**3))),
    ),
    "gelu": (
        lambda v: jax.nn.gelu(v, approximate=False),
        lambda t: t / 2 * m.erfc(-t * m.mpf(np.sqrt(0.5))),
    ),
    "mish": (jax.nn.mish, lambda t: t * m.tanh(m.log1p(m.exp(t)))),
    "silu": (jax.nn.silu, lambda t: t / (1 + m.exp(-t))),
    "log_sigmoid": (jax.nn.log_sigmoid, lambda t: -m.log1p(m.exp(-t))),
    "soft_sign": (jax.nn.soft_sign, lambda t: t / (1 + abs(t))),
    "tanh": (jnp.tanh, m.tanh),
    "phi": (_phi, lambda t: m.expm1(t) / t),
    "logsumexp": (
        lambda v: jax.scipy.special.logsumexp(_three(v)),
        lambda t: m.log(m.exp(t) + m.exp(2 * t) + m.exp(m.sin(t))),
    ),
    "softmax": (
        lambda v: jax.nn.softmax(_three(v))[1],
        lambda t: m.exp(2 * t) / (m.exp(t) + m.exp(2 * t) + m.exp(m.sin(t))),
    ),
    "norm": (
        lambda v: jnp.linalg.norm(_three(v)),
        lambda t: m.sqrt(5 * t * t + m.sin(t) ** 2),
    ),
    "variance": (
        lambda v: jnp.var(jnp.stack([v, v * v])),
        lambda t: (t - t * t) ** 2 / 4,
    ),
    "matrix product": (
        lambda v: jnp.ones(3) @ (jnp.arange(6.0).reshape(3, 2) * v) @ jnp.stack([v, 1 + v]),
        lambda t: 6 * t * t + 9 * t * (1 + t),
    ),
    "scan": (_scan, lambda t: ((1 + t) * 2 + t) * 3 + t),
    "while": (_while, lambda t: t**4),
    "cond": (
        lambda v: jax.lax.cond(v > 1, lambda u: u * u, lambda u: u**3, v),
        lambda t: t * t if t > 1 else t**3,
    ),
    "sort": (lambda v: jnp.sort(jnp.stack([v, 1 - v, v + 2]))[2] * v, lambda t: (t + 2) * t),
    "gather": (
        lambda v: jnp.sum(jnp.stack([v, v**2, v**3])[jnp.array([2, 0])]),
        lambda t: t**3 + t,
    ),
    "cumsum": (lambda v: jnp.cumsum(_three(v))[1], lambda t: 3 * t),
    "power": (lambda v: (1 + v * v) ** 1.7, lambda t: (1 + t * t) ** m.mpf(1.7)),
    "xlogy": (lambda v: jax.scipy.special.xlogy(v * v, 2.0), lambda t: t * t * m.log(2)),
    "lgamma": (
        lambda v: jax.scipy.special.gammaln(v * v + 1),
        lambda t: m.loggamma(t * t + 1),
    ),
    "checkpoint": (jax.checkpoint(lambda v: jnp.sin(jnp.cos(v))), lambda t: m.sin(m.cos(t))),
    "the AD program of a gather": (
        jax.grad(lambda v: jnp.sum(jnp.stack([v, v**2])[jnp.array([1, 0, 1])] ** 2)),
        lambda t: 8 * t**3 + 2 * t,
    ),
}


def _program(f, x0):
    with x64():
        jaxpr = jax.make_jaxpr(f)(np.float64(x0))
    return lambda number: interpret_jaxpr(jaxpr, [number], number.algebra)[0][()]


@pytest.mark.parametrize("name", _JAX)
def test_the_jaxpr_of_a_function_has_the_derivative_mpmath_finds(name: str):
    f, expected = _JAX[name]
    for x0 in (0.625, 1.75, -0.4375):
        found = one_sided(_program(f, x0), x0)
        with mpmath.workdps(40):
            value, slope = expected(m.mpf(x0)), m.diff(expected, m.mpf(x0))
        assert found.kind == "smooth", found.note
        assert found.value.value == pytest.approx(float(value), rel=1e-14)
        assert found.right.value == pytest.approx(float(slope), rel=1e-14)


def test_a_corrupted_row_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(interpret_rules.RULES, "log1p", interpret_rules.function("expm1"))
    with pytest.raises(AssertionError):
        test_the_jaxpr_of_a_function_has_the_derivative_mpmath_finds("softplus")


def test_the_double_where_has_slope_one_half_and_ad_says_zero():
    found = one_sided(_program(_phi, 0.0), 0.0)
    assert (found.kind, found.right.value) == ("smooth", 0.5)
    assert float(jax.grad(_phi)(0.0)) == 0.0


@pytest.mark.parametrize(
    ("f", "left", "right"),
    [
        (jax.nn.relu, 0.0, 1.0),
        (lambda v: jnp.maximum(v, 0.0), 0.0, 1.0),
        (lambda v: jnp.where(v >= 0, v, 0.0), 0.0, 1.0),
        (lambda v: (v + jnp.sqrt(v * v)) / 2, 0.0, 1.0),
        (lambda v: jnp.max(jnp.stack([v, 2 * v])), 1.0, 2.0),
        (lambda v: jnp.clip(v, 0.0, 1.0), 0.0, 1.0),
        (lambda v: jnp.linalg.norm(jnp.stack([v])), -1.0, 1.0),
    ],
)
def test_spellings_of_a_kink_have_the_same_two_slopes(f, left, right):
    found = one_sided(_program(f, 0.0), 0.0)
    assert found.kind == "kink"
    assert (found.left.value, found.right.value) == (left, right)


def test_a_tie_of_equal_branches_is_smooth():
    found = one_sided(_program(lambda v: jnp.max(jnp.stack([jnp.sin(v), jnp.sin(v)])), 1.0), 1.0)
    assert found.kind == "smooth"


def test_an_infinite_mask_disappears_in_a_softmax():
    def masked(v):
        scores = jnp.where(jnp.array([True, True, False]), _three(v), -jnp.inf)
        return jax.nn.softmax(scores)[0]

    found = one_sided(_program(masked, 0.5), 0.5)  # sigmoid(-v)
    assert found.kind == "smooth"
    assert found.right.value == pytest.approx(-0.2350037122015945, rel=1e-14)


def test_constants_count_with_their_binary_value():
    algebra = GermAlgebra(direction=0)
    jaxpr = jax.make_jaxpr(lambda v: v + 0.1)(np.float32(0))
    (found,) = interpret_jaxpr(jaxpr, [0.0], algebra)
    assert found[()].rational() == Fraction(float(np.float32(0.1)))


def test_the_other_algebras_run_the_same_jaxpr():
    program = _program(_JAX["mish"][0], 0.5)
    assert float(derivative(program, 0.5).right.value) == pytest.approx(
        one_sided(program, 0.5).right.value, rel=1e-14
    )
    running = program(RunningErrorAlgebra("float64").constant(0.5))
    assert abs(float(jax.nn.mish(0.5)) - running.value) < 1e-6
    assert 0 < running.bound < 1e-12


def test_integers_keep_the_width_the_program_gives_them():
    """Index arithmetic of a program traced with int32 ran on int64, which scatter refuses."""

    def counted(v):
        order = jnp.argsort(jnp.array([2, 1, 0]))
        places = jnp.zeros(3, jnp.int32).at[order].add(jax.lax.iota(jnp.int32, 3))
        return v * (jnp.sum(places) + 1)

    def wrapped(v):
        return v * jax.lax.shift_left(jnp.int32(3), jnp.int32(30))

    for f, expected in ((counted, 4.0), (wrapped, -(2.0**30))):  # 3 * 2**30 in 32 bits
        (found,) = interpret_jaxpr(jax.make_jaxpr(f)(np.float32(1)), [1.0], FloatAlgebra())
        assert float(found[()]) == expected


def mapped(reduce):
    """Entries minus a reduction over the mapped axis, squared and summed."""
    over = lambda x: x - reduce(x, "batch")
    return lambda x: jnp.sum(jax.vmap(over, axis_name="batch")(x) ** 3)


@pytest.mark.parametrize("reduce", [jax.lax.pmean, jax.lax.pmax, jax.lax.pmin, jax.lax.psum])
def test_a_reduction_over_a_mapped_axis_is_one_of_an_array(reduce):
    point = np.array([[0.5, -1.0], [2.0, 0.25], [-0.75, 3.0]])
    f = mapped(reduce)
    if reduce in (jax.lax.pmean, jax.lax.psum):  # JAX differentiates no other
        assert dk.verify(f, point, dtypes=("float64",)).status == "proved"
    with x64():
        (found,) = interpret_jaxpr(trace(f, point), [point], FloatAlgebra())
        assert float(found[()]) == pytest.approx(float(f(point)), rel=1e-14)


def test_a_reduction_over_devices_is_refused():
    summed = jax.make_jaxpr(lambda v: jax.lax.psum(v, "i"), axis_env=[("i", 2)])(np.float32(0))
    with pytest.raises(UnsupportedPrimitive, match="the axis 'i' of devices"):
        interpret_jaxpr(summed, [1.0], FloatAlgebra())


def test_an_unknown_primitive_names_itself_its_place_and_the_remedy():
    def user_function(v):
        return jnp.fft.fft(v).real

    jaxpr = jax.make_jaxpr(user_function)(np.zeros(4, np.float32))
    with pytest.raises(UnsupportedPrimitive) as caught:
        interpret_jaxpr(jaxpr, [np.zeros(4)], FloatAlgebra())
    message = str(caught.value)
    assert "test_interpret.py" in message
    assert "add a row" in message
    assert "fft" in message or "complex" in message


def test_a_wrong_shape_or_number_of_arguments_is_a_usage_error():
    jaxpr = jax.make_jaxpr(jnp.sin)(np.zeros(3, np.float32))
    with pytest.raises(UsageError, match="shape"):
        interpret_jaxpr(jaxpr, [np.zeros(4)], FloatAlgebra())
    with pytest.raises(UsageError, match="takes 1"):
        interpret_jaxpr(jaxpr, [], FloatAlgebra())


def test_a_branch_the_balls_cannot_decide_is_undecidable():
    def f(v):
        zero = jnp.sin(v) ** 2 + jnp.cos(v) ** 2 - 1
        return jax.lax.cond(zero > 0, lambda u: u, lambda u: -u, v)

    algebra = GermAlgebra()
    jaxpr = jax.make_jaxpr(f)(np.float32(0.5))
    with pytest.raises(Undecidable):
        interpret_jaxpr(jaxpr, [algebra.variable(0.5)], algebra)


def test_at_least_a_hundred_primitives_have_a_row():
    assert len(supported()) >= 100
    assert "nextafter" not in supported()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_the_slope_of_erf_has_a_rounding_bound(dtype, shape):
    # since JAX 0.12 its exp(-x^2) splits x by its bits
    with x64():
        x = np.full(shape, 1.75, dtype)
        slope = jax.grad(lambda x: jnp.sum(jax.scipy.special.erf(x)))
        jaxpr = trace(slope, x)
        computed = np.ravel(np.asarray(slope(x)))[0]
    (found,) = run(jaxpr, [x], RunningErrorAlgebra(dtype))
    entry = np.ravel(found)[0]
    true = float(2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-(mpmath.mpf(1.75) ** 2)))
    assert entry.value == pytest.approx(true, rel=1e-7)
    assert abs(float(computed) - entry.value) <= entry.bound < 64 * jnp.finfo(dtype).eps * true


def test_a_function_of_the_users_with_the_name_of_a_library_function_is_read_itself():
    @jax.custom_jvp
    def exp_neg_sq(x):
        return 3 * x

    exp_neg_sq.defjvp(lambda p, t: (3 * p[0], 3 * t[0]))
    with x64():
        jaxpr = trace(exp_neg_sq, 1.0)
    (found,) = run(jaxpr, [2.0], FloatAlgebra())
    assert float(found) == 6.0


def test_a_comparison_of_an_undecided_truth_value_stays_undecided():
    # (x - x < 0) != (y < 0): jnp.mod asks so where the remainder is 0
    def program(x, y):
        return jnp.where((x * 0 < 0) != (y < 0), x, y)

    verdict_at = dk.verify(jnp.mod, 0.0, 0.3)
    assert verdict_at.status == "undecided"  # the value jumps there
    assert dk.verify(jnp.mod, 0.5, 0.3).ok
    assert dk.verify(program, 0.5, 0.3).ok


def test_a_position_among_undecided_truth_values_stays_undecided():
    # jnp.piecewise takes the argmax of its conditions
    def bent(x):
        return jnp.piecewise(x, [x < 1.0, x >= 1.0], [jnp.sin, jnp.cos])

    assert dk.verify(bent, 0.5).ok
    assert dk.verify(bent, 1.0).status in ("undecided", "supported")
