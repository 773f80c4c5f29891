"""The table of JAX primitives diffkit can read: one line per primitive, its kernel in SymPy.

`ELEMENTWISE` rows apply a scalar kernel entry by entry; `COMPARISONS` and `LOGIC` give truth
values; `IDENTITIES` change a value at most by rounding; `compat.CALLS` run an inner jaxpr; the
rules of `SPECIAL` and `ARRAY` are code in the modules that `bridge.lift` names.  What has no
row raises `UnsupportedPrimitive`; nothing is ever skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from diffkit.backend.compat import CALLS
from diffkit.core.errors import UnsupportedPrimitive
from diffkit.symbolic.vocabulary import FUNCTIONS

Kernel = Callable[..., sp.Basic]


@dataclass(frozen=True)
class Row:
    """One primitive.

    Args:
        name: Name of the primitive in a jaxpr.
        kernel: SymPy arguments (and parameters by keyword) -> the value.
        params: Parameters of the equation the kernel needs.
        note: What the formula leaves out, "" when nothing.
        whole: The kernel for whole numbers, where it is another.
    """

    name: str
    kernel: Kernel
    params: tuple[str, ...] = ()
    note: str = ""
    whole: Kernel | None = None


f = FUNCTIONS


def _truncated(x: sp.Expr) -> sp.Expr:
    """The whole part towards zero."""
    return sp.sign(x) * sp.floor(sp.Abs(x))


def _rounded(x: sp.Expr, *, rounding_method: Any) -> sp.Expr:
    """The nearest whole number; halves go away from zero (method 0) or to the even one."""
    if int(rounding_method) == 0:
        return sp.sign(x) * sp.floor(sp.Abs(x) + sp.S.Half)
    # both are whole only at halves, where one of the two steps falls back
    return sp.ceiling(x / 2 - sp.Rational(1, 4)) + sp.floor(x / 2 + sp.Rational(1, 4))


_ROWS = (
    Row("add", lambda x, y: x + y),
    Row("add_any", lambda x, y: x + y),
    Row("sub", lambda x, y: x - y),
    Row("mul", lambda x, y: x * y),
    Row("div", lambda x, y: x / y, whole=lambda x, y: _truncated(x / y)),
    Row("neg", lambda x: -x),
    Row("pow", lambda x, y: x**y),
    Row("integer_pow", lambda x, *, y: x**y, params=("y",)),
    Row("square", lambda x: x**2),
    Row("one_minus_square", lambda x: 1 - x**2),
    Row("sqrt", sp.sqrt),
    Row("rsqrt", lambda x: 1 / sp.sqrt(x)),
    Row("cbrt", f["cbrt"]),
    Row("exp", sp.exp),
    Row("exp2", f["exp2"]),
    Row("expm1", f["expm1"]),
    Row("log", sp.log),
    Row("log2", f["log2"]),
    Row("log1p", f["log1p"]),
    Row("logistic", f["sigmoid"]),
    Row("sin", sp.sin),
    Row("cos", sp.cos),
    Row("tan", sp.tan),
    Row("asin", sp.asin),
    Row("acos", sp.acos),
    Row("atan", sp.atan),
    Row("atan2", sp.atan2),
    Row("sinh", sp.sinh),
    Row("cosh", sp.cosh),
    Row("tanh", sp.tanh),
    Row("asinh", sp.asinh),
    Row("acosh", sp.acosh),
    Row("atanh", sp.atanh),
    Row("erf", sp.erf),
    Row("erfc", sp.erfc),
    Row("erf_inv", sp.erfinv),
    Row("lgamma", sp.loggamma, note="lgamma is read as log(gamma(x)), x > 0"),
    Row("digamma", sp.digamma),
    Row("polygamma", sp.polygamma),
    Row("zeta", sp.zeta),
    Row("bessel_i0e", f["bessel_i0e"]),
    Row("bessel_i1e", f["bessel_i1e"]),
    Row(
        "regularized_incomplete_beta",
        lambda a, b, x: sp.betainc_regularized(a, b, sp.S.Zero, x),
    ),
    Row("abs", sp.Abs),
    Row("sign", sp.sign),
    Row("floor", sp.floor),
    Row("ceil", sp.ceiling),
    Row(
        "round",
        _rounded,
        params=("rounding_method",),
        note="round is piecewise constant; its derivative is 0 between the jumps",
    ),
    Row("max", sp.Max),
    Row("min", sp.Min),
    Row("clamp", lambda low, x, high: sp.Min(sp.Max(x, low), high)),
    Row("rem", lambda x, y: x - y * _truncated(x / y)),
)
ELEMENTWISE: dict[str, Row] = {row.name: row for row in _ROWS}

COMPARISONS: dict[str, Kernel] = {
    "eq": sp.Eq,
    "ne": sp.Ne,
    "lt": sp.Lt,
    "le": sp.Le,
    "gt": sp.Gt,
    "ge": sp.Ge,
    "lt_to": sp.Lt,
    "le_to": sp.Le,
}

LOGIC: dict[str, Kernel] = {"and": sp.And, "or": sp.Or, "not": sp.Not, "xor": sp.Xor}

#: Primitive -> what the formula leaves out.
IDENTITIES: dict[str, str] = {
    "copy": "",
    "copy_p": "",
    "device_put": "",
    "name": "",
    "sharding_constraint": "",
    "optimization_barrier": "",
    "reduce_precision": "reduce_precision is read as exact",
    "stop_gradient": "stop_gradient is read as the identity; jax.grad takes it as constant",
}

#: Primitives whose rule is code, because it depends on shapes, dtypes or branches
#: (`structure_rules`, `control_rules`).
SPECIAL: frozenset[str] = frozenset(
    (
        "broadcast_in_dim cond convert_element_type is_finite platform_index polynomial reshape "
        "scan select_n squeeze transpose while"
    ).split()
)

#: Primitives that join or pick entries of arrays (`array_rules`, `matrix_rules`).
ARRAY: frozenset[str] = frozenset(
    (
        "argmax argmin cholesky clamp concatenate conv_general_dilated cumlogsumexp cummax cummin "
        "cumprod cumsum custom_linear_solve dot_general dynamic_slice dynamic_update_slice eigh "
        "gather iota lu pad psum qr reduce_and reduce_max reduce_min reduce_or "
        "reduce_prod reduce_sum reduce_window_max reduce_window_min reduce_window_sum rev "
        "scatter scatter-add scatter_add slice split square stack svd tile triangular_solve unstack"
    ).split()
)


def over_devices(eqn: Any) -> str:
    """Why a collective is no reduction of one array, or "": a `vmap` axis has become a number."""
    named = [axis for axis in eqn.params["axes"] if isinstance(axis, str)]
    if named:
        return f"it reduces over the axis {named[0]!r} of devices"
    return "" if eqn.params["axis_index_groups"] is None else "it reduces over groups of an axis"


def supported() -> tuple[str, ...]:
    """Names of all primitives that can be lifted, sorted."""
    names = {*ELEMENTWISE, *COMPARISONS, *LOGIC, *IDENTITIES, *CALLS, *SPECIAL, *ARRAY}
    return tuple(sorted(names))


def unsupported(name: str, where: str, *, reason: str = "") -> UnsupportedPrimitive:
    """The error for a primitive that cannot be lifted; raise it.

    Args:
        name: The primitive.
        where: Equation, function and line of the user's code.
        reason: Why, when a row exists but does not apply here.
    """
    return UnsupportedPrimitive(
        f"cannot lift `{name}` ({where}): {reason or 'it has no closed form here'}.\n"
        f"  Rows exist for {len(supported())} primitives (diffkit.bridge.primitives.supported()). "
        f"Split the function before `{name}`,\n"
        "  keep it as a call that JAX differentiates with lift(..., opaque=True), or add a row in\n"
        "  bridge/primitives.py - see docs/extending.md#primitive."
    )


def kernel_of(row: Row, params: dict[str, Any], count: int, *, is_whole: bool = False) -> sp.Lambda:
    """The kernel of an elementwise row as a Lambda of `count` scalars."""
    places = sp.symbols(f"a:{count}", real=True)
    kernel = row.whole if is_whole and row.whole is not None else row.kernel
    return sp.Lambda(places, kernel(*places, **{name: params[name] for name in row.params}))
