r"""The table of stable kernels: name of a scalar function -> JAX function of that name.

`KERNELS` has a row for every function of the vocabulary and for SymPy's own functions of real
numbers.  Every kernel broadcasts, follows the dtype of its operands, and is safe under `jit`,
`vmap` and `grad`.  `FUSED` holds combinations that lose digits when their parts are computed
apart (`sigmoid_prime`, `gelu_prime`, ...).
"""

import jax
import jax.numpy as jnp
from jax import lax

from diffkit.backend import exponential as e
from diffkit.backend import gaussian as g
from diffkit.backend.elementwise import Kernel, elementwise, with_partials


@with_partials(lambda x: e.sigmoid(x) * (1 + x * e.sigmoid(-x)))
def _silu(x: jax.Array) -> jax.Array:
    return x * e.sigmoid(x)


def _mish_prime(x: jax.Array) -> jax.Array:
    s = e.softplus(x)
    return e.tanh(s) + x * e.sech_squared(s) * e.sigmoid(x)


@with_partials(_mish_prime)
def _mish(x: jax.Array) -> jax.Array:
    return x * e.tanh(e.softplus(x))


def _squareplus(x: jax.Array, b: jax.Array) -> jax.Array:
    root = jnp.sqrt(x * x + b)
    # x + root cancels for x < 0; the product of the two conjugates is b.
    return jnp.where(x < 0, b / (root + jnp.abs(x)), x + root) / 2


squareplus = with_partials(
    lambda x, b: _squareplus(x, b) / jnp.sqrt(x * x + b),
    lambda x, b: 1 / (4 * jnp.sqrt(x * x + b)),
)(_squareplus)


def _negative_part(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, 0, x)


def _elu(x: jax.Array, a: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, a * jnp.expm1(_negative_part(x)))


def _celu(x: jax.Array, a: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, a * jnp.expm1(_negative_part(x) / a))


def _selu(x: jax.Array) -> jax.Array:
    alpha, scale = 1.6732632423543772848, 1.0507009873554804934
    return scale * _elu(x, jnp.full_like(x, alpha))


def _leaky_relu(x: jax.Array, a: jax.Array) -> jax.Array:
    return jnp.where(x >= 0, x, a * x)


@with_partials(lambda x: 1 / lax.square(1 + jnp.abs(x)))
def _softsign(x: jax.Array) -> jax.Array:
    return x / (1 + jnp.abs(x))


def _step(x: jax.Array, at_zero: jax.Array) -> jax.Array:
    return jnp.where(x > 0, 1, jnp.where(x == 0, at_zero, 0)).astype(x.dtype)


def _huber(x: jax.Array, d: jax.Array) -> jax.Array:
    a = jnp.abs(x)
    return jnp.where(a <= d, lax.square(jnp.where(a <= d, x, 0)) / 2, d * (a - d / 2))


def _hinge(score: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.maximum(1 - score * target, 0)


def _clip(x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    return jnp.minimum(jnp.maximum(x, low), high)


def _sparse_plus(x: jax.Array) -> jax.Array:
    inside = jnp.clip(x, -1, 1)
    return jnp.where(x <= -1, 0, jnp.where(x >= 1, x, lax.square(inside + 1) / 4))


def _polygamma(n: jax.Array, x: jax.Array) -> jax.Array:
    return lax.polygamma(*jnp.broadcast_arrays(n, x))


def _lgamma(x: jax.Array) -> jax.Array:
    return lax.lgamma(x)


ACTIVATIONS: dict[str, Kernel] = {
    "sigmoid": e.sigmoid,
    "softplus": e.softplus,
    "log_sigmoid": e.log_sigmoid,
    "silu": _silu,
    "gelu": g.gelu,
    "gelu_tanh": g.gelu_tanh,
    "mish": _mish,
    "squareplus": squareplus,
    "log_cosh": e.log_cosh,
    "step": _step,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "leaky_relu": _leaky_relu,
    "prelu": _leaky_relu,
    "elu": _elu,
    "selu": _selu,
    "celu": _celu,
    "softsign": _softsign,
    "hard_tanh": jax.nn.hard_tanh,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_swish": jax.nn.hard_swish,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": jax.nn.sparse_sigmoid,
    "huber": _huber,
    "hinge": _hinge,
    "clip": _clip,
}

LOGARITHMS: dict[str, Kernel] = {
    "log": jnp.log,
    "log1p": e.log1p,
    "log2": jnp.log2,
    "log10": jnp.log10,
    "log1p_over": e.log1p_over,
    "log1mexp": e.log1mexp,
    "logaddexp": e.logaddexp,
    "logaddexp2": e.logaddexp2,
    "logit": e.logit,
    "xlogy": jax.scipy.special.xlogy,
    "xlog1py": jax.scipy.special.xlog1py,
    "entr": jax.scipy.special.entr,
    "rel_entr": jax.scipy.special.rel_entr,
    "kl_div": jax.scipy.special.kl_div,
}

ELEMENTARY: dict[str, Kernel] = {
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "exp2": e.exp2,
    "expm1_over": e.expm1_over,
    "sqrt": jnp.sqrt,
    "rsqrt": lambda x: 1 / jnp.sqrt(x),
    "cbrt": jnp.cbrt,
    "square": lax.square,
    "abs": jnp.abs,
    "sign": e.sign,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "max": jnp.maximum,
    "min": jnp.minimum,
    "hypot": e.hypot,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tan": jnp.tan,
    "asin": jnp.arcsin,
    "acos": jnp.arccos,
    "atan": jnp.arctan,
    "atan2": jnp.arctan2,
    "sinh": e.sinh,
    "cosh": e.cosh,
    "tanh": e.tanh,
    "asinh": jnp.arcsinh,
    "acosh": jnp.arccosh,
    "atanh": e.atanh,
    "sinc": e.sinc,
    "cosm1": e.cosm1,
}

SPECIAL: dict[str, Kernel] = {
    "erf": lax.erf,
    "erfc": g.erfc,
    "erfinv": lax.erf_inv,
    "lgamma": _lgamma,
    "digamma": lax.digamma,
    "gamma": jax.scipy.special.gamma,
    "polygamma": _polygamma,
    "bessel_i0e": lax.bessel_i0e,
    "bessel_i1e": lax.bessel_i1e,
    "betainc": lambda a, b, x: lax.betainc(*jnp.broadcast_arrays(a, b, x)),
    "beta": lambda a, b: jax.scipy.special.beta(a, b),
    "expi": jax.scipy.special.expi,
    "zeta": lambda x, q: lax.zeta(*jnp.broadcast_arrays(x, q)),
    "normal_pdf": g.normal_pdf,
    "normal_cdf": g.normal_cdf,
    "log_normal_cdf": g.log_normal_cdf,
    "normal_quantile": g.normal_quantile,
}

KERNELS: dict[str, Kernel] = {
    name: elementwise(name, kernel)
    for name, kernel in (ACTIVATIONS | LOGARITHMS | ELEMENTARY | SPECIAL).items()
}

FUSED: dict[str, Kernel] = {
    name: elementwise(name, kernel)
    for name, kernel in {
        "sigmoid_prime": e.sigmoid_prime,
        "sech_squared": e.sech_squared,
        "exp_square": e.exp_square,
        "erfcx": g.erfcx,
        "normal_hazard": g.normal_hazard,
        "gelu_prime": g.gelu_prime,
    }.items()
}
