"""Taylor arithmetic on jaxprs: against mpmath's derivatives at 50 digits and flint's series."""

import functools

import flint
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from jax import lax

from diffkit.backend.compat import x64
from diffkit.backend.fixed_point import fixed_point
from diffkit.backend.kernels import FUSED, KERNELS
from diffkit.bridge import taylor as module
from diffkit.bridge.taylor import nth, supported, taylor
from diffkit.bridge.taylor_rules import RULES
from diffkit.core.errors import UnsupportedPrimitive, UsageError

ORDER = 8


@pytest.fixture(autouse=True)
def float64():
    with x64():
        yield


def true_coefficients(function, at: float, order: int) -> list[mp.mpf]:
    with mp.mp.workdps(60):
        return mp.taylor(function, mp.mpf(at), order)


def worst(found, function, at: float) -> float:
    """The largest error of a coefficient, relative to it or to 1e-3 of the largest one."""
    true = true_coefficients(function, at, len(found) - 1)
    scale = max(map(abs, true)) / 1000
    with mp.mp.workdps(60):
        pairs = zip(np.asarray(found), true, strict=True)
        return float(max(abs(mp.mpf(float(a)) - b) / (abs(b) + scale) for a, b in pairs))


def logistic(x):
    return 1 / (1 + mp.exp(-x))


FUNCTIONS = {
    "exp": (jnp.exp, mp.exp),
    "expm1": (jnp.expm1, mp.expm1),
    "exp2": (jnp.exp2, lambda x: 2**x),
    "log": (jnp.log, mp.log),
    "log1p": (jnp.log1p, lambda x: mp.log(1 + x)),
    "log2": (jnp.log2, lambda x: mp.log(x) / mp.log(2)),
    "sqrt": (jnp.sqrt, mp.sqrt),
    "rsqrt": (lax.rsqrt, lambda x: 1 / mp.sqrt(x)),
    "cbrt": (jnp.cbrt, mp.cbrt),
    "square": (jnp.square, lambda x: x * x),
    "sin": (jnp.sin, mp.sin),
    "cos": (jnp.cos, mp.cos),
    "tan": (jnp.tan, mp.tan),
    "asin": (lambda x: jnp.arcsin(x / 2), lambda x: mp.asin(x / 2)),
    "acos": (lambda x: jnp.arccos(x / 2), lambda x: mp.acos(x / 2)),
    "atan": (jnp.arctan, mp.atan),
    "sinh": (jnp.sinh, mp.sinh),
    "cosh": (jnp.cosh, mp.cosh),
    "tanh": (jnp.tanh, mp.tanh),
    "asinh": (jnp.arcsinh, mp.asinh),
    "acosh": (lambda x: jnp.arccosh(x + 1), lambda x: mp.acosh(x + 1)),
    "atanh": (lambda x: jnp.arctanh(x / 2), lambda x: mp.atanh(x / 2)),
    "erf": (lax.erf, mp.erf),
    "erfc": (lax.erfc, mp.erfc),
    "erf_inv": (lambda x: lax.erf_inv(x / 2), lambda x: mp.erfinv(x / 2)),
    "lgamma": (lax.lgamma, mp.loggamma),
    "digamma": (lax.digamma, mp.digamma),
    "polygamma": (lambda x: lax.polygamma(2.0, x), lambda x: mp.polygamma(2, x)),
    "sigmoid": (jax.nn.sigmoid, logistic),
    "softplus": (jax.nn.softplus, lambda x: mp.log(1 + mp.exp(x))),
    "silu": (jax.nn.silu, lambda x: x * logistic(x)),
    "gelu": (
        functools.partial(jax.nn.gelu, approximate=False),
        lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2,
    ),
    "kernel gamma": (KERNELS["gamma"], mp.gamma),
    "kernel gelu": (KERNELS["gelu"], lambda x: x * mp.ncdf(x)),
    "kernel sigmoid_prime": (FUSED["sigmoid_prime"], lambda x: logistic(x) * logistic(-x)),
    "kernel sech_squared": (FUSED["sech_squared"], lambda x: mp.sech(x) ** 2),
    "cumprod": (
        lambda x: jnp.cumprod(jnp.stack([x, jnp.sin(x), x + 1]))[2],
        lambda x: x * mp.sin(x) * (x + 1),
    ),
    "mish": (jax.nn.mish, lambda x: x * mp.tanh(mp.log(1 + mp.exp(x)))),
    "kernel log_cosh": (KERNELS["log_cosh"], lambda x: mp.log(mp.cosh(x))),
    "kernel normal_cdf": (KERNELS["normal_cdf"], mp.ncdf),
    "x^x": (lambda x: x**x, lambda x: x**x),
    "x^2.5": (lambda x: x**2.5, lambda x: x ** mp.mpf("2.5")),
    "x^-3": (lambda x: x**-3, lambda x: x**-3),
    "3^x": (lambda x: 3.0**x, lambda x: mp.mpf(3) ** x),
    "quotient": (lambda x: jnp.sin(x) / (1 + x**2), lambda x: mp.sin(x) / (1 + x**2)),
    "nested tanh": (lambda x: jnp.tanh(x * x + jnp.sin(x)), lambda x: mp.tanh(x * x + mp.sin(x))),
    "atan2": (lambda x: jnp.arctan2(jnp.sin(x), 1 + x), lambda x: mp.atan(mp.sin(x) / (1 + x))),
    "abs": (lambda x: jnp.abs(jnp.sin(-x)), mp.sin),
    "max": (lambda x: jnp.max(jnp.stack([x**2, jnp.sin(x) - 1, -x])), lambda x: x * x),
    "clip": (lambda x: jnp.clip(x**3, -1, 7), lambda x: x**3),
    "remainder": (lambda x: lax.rem(x**2, 0.05), lambda x: x * x - mp.floor(0.37**2 / 0.05) * 0.05),
    "product": (
        lambda x: jnp.prod(jnp.stack([x, x + 2, jnp.exp(x)])),
        lambda x: x * (x + 2) * mp.exp(x),
    ),
    "cumsum": (
        lambda x: jnp.cumsum(jnp.stack([x, x**2, jnp.cos(x)]))[2],
        lambda x: x + x**2 + mp.cos(x),
    ),
    "logsumexp": (
        lambda x: jax.nn.logsumexp(jnp.stack([x, 2 * x, jnp.sin(x)])),
        lambda x: mp.log(mp.exp(x) + mp.exp(2 * x) + mp.exp(mp.sin(x))),
    ),
    "softmax": (
        lambda x: jax.nn.softmax(jnp.stack([x, x * x]))[0],
        lambda x: 1 / (1 + mp.exp(x * x - x)),
    ),
    "gather": (
        lambda x: jnp.stack([x, x**2, x**3])[jnp.array([2, 0])] @ jnp.array([1.0, 2.0]),
        lambda x: x**3 + 2 * x,
    ),
    "set": (lambda x: jnp.zeros(3).at[1].set(x**2).at[1].add(x).sum(), lambda x: x**2 + x),
    "convolution": (
        lambda x: jnp.convolve(jnp.stack([x, 1.0, x**2]), jnp.stack([x, jnp.sin(x)]))[1],
        lambda x: x * mp.sin(x) + x,
    ),
    "sum of a broadcast": (
        lambda x: jnp.sum(jnp.exp(x) * jnp.ones((2, 3))),
        lambda x: 6 * mp.exp(x),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_coefficients_are_those_of_the_function(name):
    program, function = FUNCTIONS[name]
    assert worst(jax.jit(taylor(program, ORDER))(0.37), function, 0.37) < 5e-14


# --- linear algebra, loops, implicit functions ---------------------------------------------------


def matrix(x, lib, rows):
    return rows(
        [
            [2 + x, lib.sin(x), 0.5],
            [x * x, 3 + 0 * x, lib.exp(-x)],
            [0.25, x, 4 + lib.cos(x)],
        ]
    )


def spd(x, lib, rows):
    return rows([[4 + x * x, lib.sin(x)], [lib.sin(x), 3 + x]])


def jax_matrix(x):
    return matrix(x, jnp, jnp.array)


def exact_matrix(x):
    return matrix(x, mp, mp.matrix)


def right_side(x):
    return [x, 1 + 0 * x, x**2]


def iterated_cosine(x):
    z = x
    for _ in range(5):
        z = mp.cos(z) * x
    return z


PROGRAMS = {
    "inverse": (
        lambda x: jnp.linalg.inv(jax_matrix(x))[0, 2],
        lambda x: (exact_matrix(x) ** -1)[0, 2],
    ),
    "solve": (
        lambda x: jnp.linalg.solve(jax_matrix(x), jnp.array(right_side(x)))[1],
        lambda x: mp.lu_solve(exact_matrix(x), mp.matrix(right_side(x)))[1],
    ),
    "solve with a constant matrix": (
        lambda x: jnp.linalg.solve(jax_matrix(0.5), jnp.array(right_side(x)))[1],
        lambda x: (exact_matrix(mp.mpf(0.5)) ** -1 * mp.matrix(right_side(x)))[1],
    ),
    "solve with a matrix on the right": (
        lambda x: jnp.linalg.solve(jax_matrix(x), jax_matrix(x * x))[1, 0],
        lambda x: (exact_matrix(x) ** -1 * exact_matrix(x * x))[1, 0],
    ),
    "det by LU": (
        lambda x: jnp.linalg.det(jnp.kron(jax_matrix(x), jnp.eye(2))),
        lambda x: mp.det(exact_matrix(x)) ** 2,
    ),
    "slogdet": (
        lambda x: jnp.linalg.slogdet(jax_matrix(x))[1],
        lambda x: mp.log(mp.det(exact_matrix(x))),
    ),
    "cholesky": (
        lambda x: jnp.linalg.cholesky(spd(x, jnp, jnp.array))[1, 1],
        lambda x: mp.sqrt(3 + x - mp.sin(x) ** 2 / (4 + x * x)),
    ),
    "triangular solve": (
        lambda x: jax.scipy.linalg.solve_triangular(
            jax_matrix(x), jnp.array(right_side(x)), lower=True
        )[1],
        lambda x: (1 - x**3 / (2 + x)) / 3,
    ),
    "triangular solve, transposed, unit diagonal": (
        lambda x: jax.scipy.linalg.solve_triangular(
            jax_matrix(x), jnp.array(right_side(x)), trans=1, lower=False, unit_diagonal=True
        )[1],
        lambda x: 1 - mp.sin(x) * x,
    ),
    "cho_solve": (
        lambda x: jax.scipy.linalg.cho_solve(
            jax.scipy.linalg.cho_factor(spd(x, jnp, jnp.array)), jnp.stack([x, 1.0])
        )[0],
        lambda x: (spd(x, mp, mp.matrix) ** -1 * mp.matrix([x, 1]))[0],
    ),
    "fori_loop": (
        lambda x: lax.fori_loop(0, 5, lambda i, z: jnp.cos(z) * x, x),
        iterated_cosine,
    ),
    "while with a counter": (
        lambda x: lax.while_loop(
            lambda state: state[0] < 5, lambda state: (state[0] + 1, jnp.cos(state[1]) * x), (0, x)
        )[1],
        iterated_cosine,
    ),
    "scan over rows": (
        lambda x: lax.scan(lambda c, r: (c * r + x, c), x, jnp.stack([x, 2 * x, x**2]))[1][2],
        lambda x: (x * x + x) * 2 * x + x,
    ),
    "cond": (lambda x: lax.cond(x > 0, jnp.sin, jnp.exp, x), mp.sin),
    "scalar fixed point": (
        lambda x: fixed_point(lambda z: jnp.cos(z) * x / 2, 0.5),
        lambda x: mp.findroot(lambda z: mp.cos(z) * x / 2 - z, 0.2),
    ),
    "linear fixed point": (
        lambda x: fixed_point(lambda z: jax_matrix(x) @ z / 9 + 1, jnp.zeros(3))[0],
        lambda x: ((mp.eye(3) - exact_matrix(x) / 9) ** -1 * mp.matrix([1, 1, 1]))[0],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_solvers_and_loops_have_the_derivatives_of_what_they_compute(name):
    program, function = PROGRAMS[name]
    series = jax.jit(taylor(program, 6))
    for at in (0.37, 0.9):
        assert worst(series(at), function, at) < 5e-14


@pytest.fixture
def flint_context():
    """Flint's precision and length of series, which are global, put back after the test."""
    before = flint.ctx.prec, flint.ctx.cap
    flint.ctx.prec, flint.ctx.cap = 200, 16
    yield
    flint.ctx.prec, flint.ctx.cap = before


@pytest.mark.usefixtures("flint_context")
def test_the_inverse_agrees_with_a_rigorous_series():
    """(1 + t + a)^-1 through flint's balls: [[x, 1], [1, 3]]^-1 has 3/(3x - 1) in a corner."""
    ball = 3 / (3 * flint.arb_series([flint.arb(1.25), 1]) - 1)
    found = taylor(lambda x: jnp.linalg.inv(jnp.array([[x, 1.0], [1.0, 3.0]]))[0, 0], 8)(1.25)
    for k in range(9):
        assert abs(float(found[k]) - float(ball[k].mid())) <= 1e-14 * abs(float(ball[k].mid()))


# --- the network of the benchmark ----------------------------------------------------------------


def network(x, w, b, v):
    return jnp.dot(v, jnp.tanh(w * x + b))


@pytest.mark.parametrize("n", [2, 5, 8, 10, 12])
@pytest.mark.usefixtures("flint_context")
def test_a_network_is_accurate_to_1e_13_of_its_local_scale(n, rng):
    w, b, v = rng.normal(size=(3, 16))
    points = np.linspace(-6, 6, 121)
    found = jax.jit(jax.vmap(nth(network, n), (0, None, None, None)))(points, w, b, v)

    def exact(point: float) -> float:
        x = flint.arb_series([flint.arb(point), 1])
        units = zip(*(map(flint.arb, map(float, each)) for each in (w, b, v)), strict=True)
        total = sum((vj * (1 - 2 / ((2 * (wj * x + bj)).exp() + 1)) for wj, bj, vj in units), 0 * x)
        return float((total[n] * flint.arb.fac_ui(n)).mid())

    true = np.array([exact(float(point)) for point in points])
    # one zero lies between neighbours at most, so the larger neighbour is the local scale
    scale = np.maximum(
        np.abs(true), np.maximum(np.abs(np.roll(true, 1)), np.abs(np.roll(true, -1)))
    )
    assert np.max(np.abs(found - true) / scale) < 1e-13


def test_the_tail_of_a_sigmoid_keeps_its_digits():
    found = float(nth(jax.nn.sigmoid, 10)(30.0))
    true = true_coefficients(logistic, 30.0, 10)[10] * mp.factorial(10)
    assert abs(found - true) <= 1e-13 * abs(true)


def test_odd_derivatives_of_tanh_vanish_relatively_at_zero():
    found = float(nth(jnp.tanh, 2)(1e-9))
    assert abs(found + 2e-9) <= 1e-24


def test_nothing_overflows_that_the_function_does_not():
    found = nth(lambda x: jnp.exp(1e20 * x), 12)(0.0)
    assert float(found) == pytest.approx(1e240, rel=1e-13)


# --- kinks and joints ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "value"),
    [
        (jax.nn.softplus, 0.25),
        (jax.nn.log_sigmoid, -0.25),
        (lambda x: jax.nn.logsumexp(jnp.stack([x, -x])), 1.0),
        (lambda x: jnp.maximum(x**2, 0), 2.0),
        (lambda x: jnp.abs(x**2), 2.0),
        (lambda x: jnp.maximum(3 * x**2, 3 * x**2), 6.0),
        (lambda x: jnp.where(x > 0, x**2 + x**3, x**2), 2.0),
        (lambda x: jnp.where(x > -1, x**2, 0.0), 2.0),
    ],
)
def test_where_both_sides_agree_the_second_derivative_at_0_is_given(program, value):
    assert float(nth(program, 2)(0.0)) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "program",
    [
        jax.nn.relu,
        jnp.abs,
        jnp.sign,
        jnp.floor,
        lambda x: jnp.where(x > 0, 1.0, 0.0),
        lambda x: (x > 0).astype(float),
        lambda x: jnp.max(jnp.stack([x, -x])),
        lambda x: lax.cond(x > 0, lambda z: 2 * z, lambda z: z, x),
        lambda x: jnp.clip(x, 0, 1),
        lambda x: jnp.where(x == 0, 1.0, jnp.sin(x) / x),
        lambda x: jnp.floor(jnp.floor(x) / 2),
        lambda x: jnp.array([1.0, 2.0])[(x > 0).astype(int)] * x,
    ],
)
@pytest.mark.parametrize("n", [1, 3])
def test_at_a_kink_it_is_nan_and_never_one_side(program, n):
    assert np.isnan(float(nth(program, n)(0.0)))


def test_a_table_looked_up_is_constant_between_its_places():
    def program(x):
        return jnp.array([1.0, 2.0])[(x > 0).astype(int)] * jnp.floor(jnp.floor(x)) * x**2

    assert float(nth(program, 2)(1.5)) == 4


def test_a_joint_of_order_three_has_two_derivatives():
    def program(x):
        return jnp.where(x > 0, x**3, 0.0)

    assert float(nth(program, 2)(0.0)) == 0
    assert np.isnan(float(nth(program, 3)(0.0)))
    assert float(nth(program, 3)(1.0)) == 6


# --- refusals ------------------------------------------------------------------------------------


def test_an_unknown_primitive_is_named_with_its_line():
    def program(x):
        return jnp.linalg.eigvalsh(spd(x, jnp, jnp.array))[0]

    with pytest.raises(
        UnsupportedPrimitive, match=r"`eigh?.*test_taylor.py:\d+: return jnp.linalg"
    ):
        nth(program, 2)(0.5)


@pytest.mark.parametrize(
    "program",
    [
        lambda x: jnp.sort(jnp.stack([x, 2 * x]))[0],
        lambda x: lax.while_loop(lambda z: z < 10, lambda z: z * x, x),
        lambda x: jnp.fft.fft(jnp.stack([x, x]))[0].real,
        lambda x: lax.bessel_i1e(x),
        lambda x: jnp.interp(x, jnp.array([0.0, 1.0, 2.0]), jnp.array([0.0, 3.0, 9.0])),
        lambda x: jnp.array([1.0, 2.0])[x.astype(int)],
        lambda x: jnp.stack([x, 1.0])[jnp.argmax(jnp.stack([x, 1.0]))],
        KERNELS["normal_quantile"],
    ],
)
def test_what_has_no_rule_raises_and_is_never_zero(program):
    with pytest.raises(UnsupportedPrimitive, match="no Taylor rule"):
        nth(program, 2)(0.5)


def test_constants_may_use_any_primitive():
    def program(x):
        one = jnp.sort(jnp.array([3.0, 1.0]))[0] * jnp.linalg.eigvalsh(jnp.eye(2))[0]
        two = jnp.linalg.solve(jax_matrix(0.0), jnp.array([0.0, 6.0, 0.0]))[1]
        four = lax.while_loop(lambda z: z < 4, lambda z: z * 2, two)
        five = lax.fori_loop(0, 1, lambda i, z: z + lax.cond(z > 0, jnp.sign, jnp.cos, z), four)
        return x**3 * one + 0 * five

    assert float(jax.jit(nth(program, 2))(2.0)) == pytest.approx(12)


@pytest.mark.parametrize("n", [-1, 1.0, True])
def test_an_order_that_is_no_whole_number_is_a_usage_error(n):
    with pytest.raises(UsageError, match="order"):
        nth(jnp.sin, n)


def test_an_array_argument_is_a_usage_error_that_names_vmap():
    with pytest.raises(UsageError, match=r"jax\.vmap"):
        nth(jnp.sin, 2)(jnp.ones(3))


# --- behaviour as a JAX function -----------------------------------------------------------------


def test_it_is_jitted_vmapped_and_differentiated():
    points = jnp.linspace(-1.0, 1.0, 5)
    fourth = jax.vmap(jax.grad(nth(jnp.tanh, 3)))(points)
    assert np.allclose(fourth, jax.jit(jax.vmap(nth(jnp.tanh, 4)))(points), rtol=1e-12, atol=1e-13)


def test_two_more_gradients_at_zero_are_right():
    # tanh^(5)(0) = 16
    assert float(jax.grad(jax.grad(nth(jnp.tanh, 3)))(0.0)) == pytest.approx(16, rel=1e-12)


def test_the_result_has_the_structure_of_the_function():
    found = nth(lambda x, a: {"a": a * x**2, "b": (x, x * jnp.ones((2, 1)))}, 2)(1.5, 3.0)
    assert float(found["a"]) == 6
    assert found["b"][1].shape == (2, 1)
    assert not np.any(found["b"][1])


def test_a_result_that_is_no_float_is_a_usage_error():
    with pytest.raises(UsageError, match="floating"):
        nth(lambda x: x > 0, 1)(0.5)


def test_float32_stays_float32():
    found = nth(jnp.tanh, 3)(jnp.float32(0.5))
    assert found.dtype == jnp.float32
    true = true_coefficients(mp.tanh, 0.5, 3)[3] * 6
    assert abs(float(found) - true) <= 1e-5 * abs(true)


def test_a_whole_number_is_read_as_a_float():
    assert float(nth(lambda x: x**3, 2)(2)) == 12


def test_custom_rules_are_ignored():
    @jax.custom_jvp
    def sine(x):
        return jnp.sin(x)

    sine.defjvp(lambda primals, tangents: (jnp.sin(primals[0]), 7 * tangents[0]))
    assert float(nth(sine, 1)(0.3)) == pytest.approx(np.cos(0.3), rel=1e-15)


def test_a_function_called_softplus_is_read_as_the_program_it_is():
    @jax.jit
    def softplus(x):
        return jnp.maximum(x, 0) + x**2

    assert float(nth(softplus, 2)(0.5)) == 2


def test_nobody_asked_for_the_lower_orders():
    lower = len(jax.make_jaxpr(nth(jnp.tanh, 12))(0.5).eqns)
    whole = len(jax.make_jaxpr(taylor(jnp.tanh, 12))(0.5).eqns)
    assert lower < whole / 3


def test_a_wrong_rule_is_seen_by_these_tests(monkeypatch):
    monkeypatch.setitem(RULES, "sin", RULES["cos"])
    program, function = FUNCTIONS["nested tanh"]
    assert worst(taylor(program, ORDER)(0.37), function, 0.37) > 1e-3


def test_every_rule_is_listed():
    assert {"tanh", "custom_linear_solve", "cholesky", "scan", "jit"} <= set(supported())
    assert set(module.RULES) <= set(supported())
