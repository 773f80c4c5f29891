"""Kernels against ball arithmetic: bounds in ulps, measured on arguments of all magnitudes."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb, ctx

from diffkit.backend import compat
from diffkit.backend.kernels import FUSED, KERNELS
from diffkit.symbolic.vocabulary import ROWS

BITS = 300
DTYPES = (np.float64, np.float32)


@pytest.fixture(autouse=True)
def precision():
    before, ctx.prec = ctx.prec, BITS
    yield
    ctx.prec = before


def cdf(a: arb) -> arb:
    return (-a / arb(2).sqrt()).erfc() / 2


def pdf(a: arb) -> arb:
    return (-a * a / 2).exp() / (2 * arb.pi()).sqrt()


def softplus(a: arb) -> arb:
    return a.exp().log1p() if a < 0 else a + (-a).exp().log1p()


# name -> (truth, ulps allowed)
EVERYWHERE: dict[str, tuple[Callable[[arb], arb], float]] = {
    "sigmoid": (lambda a: 1 / (1 + (-a).exp()), 3),
    "softplus": (softplus, 4),
    "tanh": (lambda a: a.tanh(), 5),
    "sinh": (lambda a: a.sinh(), 3),
    "cosh": (lambda a: a.cosh(), 3),
    "exp2": (lambda a: arb(2) ** a, 3),
    "log_cosh": (lambda a: a.cosh().log(), 5),
    "erfc": (lambda a: a.erfc(), 6),
    "normal_pdf": (pdf, 4),
    "normal_cdf": (cdf, 7),
    "log_normal_cdf": (lambda a: cdf(a).log() if a < 0 else (-cdf(-a)).log1p(), 8),
    "gelu": (lambda a: a * cdf(a), 8),
    "sinc": (lambda a: a.sin() / a, 3),
    "cosm1": (lambda a: -2 * (a / 2).sin() ** 2, 3),
    "expm1_over": (lambda a: a.expm1() / a, 4),
    "sigmoid_prime": (lambda a: 1 / (2 + a.exp() + (-a).exp()), 3),
    "sech_squared": (lambda a: 4 / (2 + (2 * a).exp() + (-2 * a).exp()), 3),
    "normal_hazard": (lambda a: pdf(a) / cdf(a), 8),
    "gelu_prime": (lambda a: cdf(a) + a * pdf(a), 9),
}
POSITIVE: dict[str, tuple[Callable[[arb], arb], float]] = {
    "log1p": (lambda a: a.log1p(), 4),
    "log1mexp": (lambda a: (-(-a).exp()).log1p() if a > 1 else (-(-a).expm1()).log(), 5),
}
UNIT: dict[str, tuple[Callable[[arb], arb], float]] = {
    "log1p": (lambda a: a.log1p(), 4),
    "log1p_over": (lambda a: a.log1p() / a, 5),
    "atanh": (lambda a: a.atanh(), 5),
}


def arguments(dtype, low: float, high: float, count: int = 700) -> np.ndarray:
    """Magnitudes drawn uniformly over exponents, of both signs."""
    random = np.random.default_rng(7)
    return (
        2.0 ** random.uniform(low, np.log2(high), count) * random.choice([-1, 1], count)
    ).astype(dtype)


def worst_ulps(function, truth, points: np.ndarray) -> float:
    """The largest error in ulps of the true value where that is a normal number."""
    dtype = points.dtype.type
    info = np.finfo(dtype)
    with compat.x64():
        values = np.asarray(jax.jit(function)(jnp.asarray(points)))
    assert values.dtype == points.dtype
    worst = 0.0
    for point, value in zip(points, values, strict=True):
        true = truth(arb(float(point)))
        size = abs(float(true))
        if 4 * float(info.tiny) < size < float(info.max):
            error = float(abs(arb(float(value)) - true)) if np.isfinite(value) else np.inf
            worst = max(worst, error / float(np.spacing(dtype(size))))
    return worst


def kernel(name: str):
    return KERNELS.get(name) or FUSED[name]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_kernel_is_accurate_on_the_whole_line(name, dtype):
    truth, allowed = EVERYWHERE[name]
    assert worst_ulps(kernel(name), truth, arguments(dtype, -30, 1000)) <= allowed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", POSITIVE)
def test_a_kernel_is_accurate_for_positive_numbers(name, dtype):
    truth, allowed = POSITIVE[name]
    assert worst_ulps(kernel(name), truth, abs(arguments(dtype, -30, 1000))) <= allowed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNIT)
def test_a_kernel_is_accurate_inside_the_unit_interval(name, dtype):
    truth, allowed = UNIT[name]
    assert worst_ulps(kernel(name), truth, arguments(dtype, -30, 0.99)) <= allowed


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_prime_is_accurate_across_its_root(dtype):
    near = (-0.75179152 + np.random.default_rng(3).uniform(-0.3, 0.3, 800)).astype(dtype)
    assert worst_ulps(FUSED["gelu_prime"], lambda a: cdf(a) + a * pdf(a), near) <= 9


def test_the_measure_refuses_the_plain_formula():
    # Negative control: 1 - tanh(x)**2 cancels, exp(-x*x/2) rounds its argument.
    points = arguments(np.float64, -30, 30)
    assert worst_ulps(lambda x: 1 - jnp.tanh(x) ** 2, EVERYWHERE["sech_squared"][0], points) > 1e6
    plain = worst_ulps(lambda x: jnp.exp(-x * x / 2) / jnp.sqrt(2 * jnp.pi), pdf, points)
    assert plain > 50


def test_every_vocabulary_function_has_a_kernel():
    assert {row.name for row in ROWS} <= KERNELS.keys()


SLOPES = ("sigmoid", "softplus", "tanh", "log_cosh", "gelu", "silu", "mish", "sinc", "erfc", "exp2")


@pytest.mark.parametrize(
    "name", [*SLOPES, "normal_cdf", "log_normal_cdf", "gelu_tanh", "expm1_over"]
)
def test_grad_of_a_kernel_is_finite_everywhere_and_right_at_zero(name):
    function = KERNELS[name]
    with compat.x64():
        points = jnp.asarray([-1000.0, -40.0, -1.0, 0.0, 1.0, 40.0, 700.0])
        first = jax.vmap(jax.grad(function))(points)
        step = 1e-5
        around = [function(jnp.asarray(s)) for s in (-2 * step, -step, step, 2 * step)]
        slope = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * step)
    assert np.isfinite(np.asarray(first)).all()
    assert abs(float(first[3]) - float(slope)) < 1e-9


@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "softplus", "gelu", "log_cosh", "sinc", "normal_cdf"]
)
def test_higher_derivatives_at_zero_survive_the_branches(name):
    # |x| inside a kernel would make every even derivative of an odd function wrong at 0.
    series = {
        "sigmoid": lambda a: 1 / (1 + (-a).exp()),
        "tanh": lambda a: a.tanh(),
        "softplus": lambda a: a.exp().log1p(),
        "gelu": lambda a: a * (1 + (a / arb(2).sqrt()).erf()) / 2,
        "log_cosh": lambda a: a.cosh().log(),
        "sinc": lambda a: a.sinc(),
        "normal_cdf": lambda a: (1 + (a / arb(2).sqrt()).erf()) / 2,
    }
    h = arb(2) ** -30
    f = series[name]
    second = (f(h) - 2 * f(arb(0)) + f(-h)) / h**2
    third = (f(2 * h) - 2 * f(h) + 2 * f(-h) - f(-2 * h)) / (2 * h**3)
    with compat.x64():
        g2 = float(jax.grad(jax.grad(KERNELS[name]))(0.0))
        g3 = float(jax.grad(jax.grad(jax.grad(KERNELS[name])))(0.0))
    assert g2 == pytest.approx(float(second), abs=1e-12)
    assert g3 == pytest.approx(float(third), abs=1e-12)


@pytest.mark.parametrize("name", ["sigmoid", "logaddexp", "hypot", "gelu"])
def test_a_kernel_follows_the_dtype_of_its_operands(name):
    count = 2 if name in ("logaddexp", "hypot") else 1
    for dtype in (jnp.float32, jnp.float16, jnp.bfloat16):
        operands = [jnp.asarray([0.5, 1.5], dtype)] * count
        assert KERNELS[name](*operands).dtype == dtype


def test_logaddexp_takes_infinities_without_nan_in_its_gradient():
    with compat.x64():
        slopes = jax.grad(KERNELS["logaddexp"], argnums=(0, 1))(-jnp.inf, -jnp.inf)
        assert not any(np.isnan(np.asarray(slopes)))
        assert float(KERNELS["logaddexp"](-jnp.inf, 3.0)) == 3.0
