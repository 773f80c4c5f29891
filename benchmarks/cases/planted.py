"""Functions with a planted bug in their derivative, and clean ones, in JAX and in torch.

One row is one function at one point, the same in both libraries where both can say it.  `torch`
takes the module, so that it need not be installed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

W = [[1.0, 2.0, -1.0], [0.5, -1.5, 3.0], [2.0, 0.25, 1.0]]
KINDS = (
    "sign", "factor 1.01", "zero gradient", "missing term", "transposed Jacobian",
    "wrong rule in both modes", "ignores its cotangent", "NaN at a branch", "wrong limit",
    "float32 only", "1e-12 scale", "clean",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One function at one point.

    Args:
        kind: What is wrong, one of `KINDS`.
        name: What the table calls it.
        point: The argument.
        function: In JAX.
        torch: Module -> the function in torch; None where torch computes otherwise.
        modes: Modes of JAX that exist.
    """

    kind: str
    name: str
    point: Any
    function: Callable[..., Any]
    torch: Callable[[Any], Callable[..., Any]] | None = None
    modes: tuple[str, ...] = ("fwd", "rev")


# --- rules ---------------------------------------------------------------------------------------


def jvp(f: Callable[..., Any], tangent: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with the forward rule (x, t) -> tangent."""
    rule = jax.custom_jvp(lambda x: f(x))  # of x alone: f may have options
    rule.defjvp(lambda primals, tangents: (f(*primals), tangent(primals[0], tangents[0])))
    return lambda x: rule(x)


def vjp(f: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with the backward rule (x, g) -> cotangent."""
    rule = jax.custom_vjp(lambda x: f(x))
    rule.defvjp(lambda x: (f(x), x), lambda x, g: (backward(x, g),))
    return lambda x: rule(x)


def torch_rule(
    forward: Callable[..., Any], backward: Callable[..., Any]
) -> Callable[[Any], Callable[..., Any]]:
    """A torch function with the backward rule (torch, x, g) -> cotangent."""

    def make(torch: Any) -> Callable[..., Any]:
        class Rule(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                ctx.save_for_backward(x)
                return forward(torch, x)

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                (x,) = ctx.saved_tensors
                return backward(torch, x, g)

        return Rule.apply

    return make


def matrix(x: Any) -> Any:
    return jnp.asarray(W, x.dtype)


def torch_matrix(torch: Any, x: Any) -> Any:
    return torch.tensor(W, dtype=x.dtype)


def silu_slope(x: Any) -> Any:
    s = jax.nn.sigmoid(x)
    return s * (1 + x * (1 - s))


def loss_of_first(z: Any) -> Any:
    return -jax.nn.log_softmax(z)[0]


def loss_slope(z: Any) -> Any:
    return jax.nn.softmax(z) - jnp.array([1.0, 0.0, 0.0], z.dtype)


def torch_loss(scale: float, weigh: bool) -> Callable[[Any], Callable[..., Any]]:
    """Cross entropy of the first class; its backward pass ignores the cotangent or not."""

    def backward(torch: Any, z: Any, g: Any) -> Any:
        slope = torch.softmax(z, 0) - torch.tensor([1.0, 0.0, 0.0], dtype=z.dtype)
        return slope * g if weigh else slope

    def make(torch: Any) -> Callable[..., Any]:
        rule = torch_rule(lambda t, z: -t.log_softmax(z, 0)[0], backward)(torch)
        return lambda z: scale * rule(z)

    return make


BATCH = [[0.3, -1.0, 2.0], [1.0, 0.5, -0.5], [0.0, 2.0, 1.0], [-1.0, 1.5, 0.25]]
VECTOR = [0.5, -1.25, 2.0]
square_alone = vjp(lambda x: x * x, lambda x, g: 2 * x)
loss_alone = vjp(loss_of_first, lambda z, g: loss_slope(z))


def only_in_float32(x: Any, t: Any) -> Any:
    return jnp.cos(x) * t * (1.5 if x.dtype == jnp.float32 else 1.0)


def double_where(top: Callable[[Any], Any], value: float) -> Callable[..., Any]:
    """top(x)/x with the usual guard at 0, where the derivative of the constant is taken."""

    def f(x: Any) -> Any:
        s = jnp.where(x == 0, 1.0, x)
        return jnp.where(x == 0, value, top(s) / s)

    return f


def torch_double_where(name: str, value: float) -> Callable[[Any], Callable[..., Any]]:
    def make(torch: Any) -> Callable[..., Any]:
        top = {"expm1": torch.expm1, "sin squared": lambda s: torch.sin(s) ** 2}[name]

        def f(x: Any) -> Any:
            s = torch.where(x == 0, torch.ones_like(x), x)
            return torch.where(x == 0, torch.full_like(x, value), top(s) / s)

        return f

    return make


BUGS = (
    Case(
        "sign", "sin, rule -cos", 0.7,
        jvp(jnp.sin, lambda x, t: -jnp.cos(x) * t),
        torch_rule(lambda t, x: t.sin(x), lambda t, x, g: -t.cos(x) * g),
    ),
    Case(
        "sign", "softplus of 3 numbers", VECTOR,
        jvp(jax.nn.softplus, lambda x, t: -jax.nn.sigmoid(x) * t),
        torch_rule(
            lambda t, x: t.nn.functional.softplus(x), lambda t, x, g: -t.sigmoid(x) * g
        ),
    ),
    Case(
        "sign", "squared norm", [1.0, 2.0, 3.0],
        jvp(lambda x: jnp.sum(x**2), lambda x, t: -2 * jnp.sum(x * t)),
        torch_rule(lambda t, x: t.sum(x**2), lambda t, x, g: -2 * x * g),
    ),
    Case(
        "factor 1.01", "tanh", 0.5,
        jvp(jnp.tanh, lambda x, t: 1.01 * (1 - jnp.tanh(x) ** 2) * t),
        torch_rule(lambda t, x: t.tanh(x), lambda t, x, g: 1.01 * (1 - t.tanh(x) ** 2) * g),
    ),
    Case(
        "factor 1.01", "exp of 3 numbers", VECTOR,
        jvp(jnp.exp, lambda x, t: 1.01 * jnp.exp(x) * t),
        torch_rule(lambda t, x: t.exp(x), lambda t, x, g: 1.01 * t.exp(x) * g),
    ),
    Case(
        "factor 1.01", "mean of 100 squares", list(np.linspace(-1, 1, 100)),
        jvp(lambda x: jnp.mean(x**2), lambda x, t: 1.01 * jnp.mean(2 * x * t)),
        torch_rule(lambda t, x: t.mean(x**2), lambda t, x, g: 1.01 * 2 * x * g / x.numel()),
    ),
    Case(
        "zero gradient", "sigmoid", 0.5,
        jvp(jax.nn.sigmoid, lambda x, t: 0 * t),
        torch_rule(lambda t, x: t.sigmoid(x), lambda t, x, g: 0 * g),
    ),
    Case(
        "zero gradient", "norm", [3.0, 4.0],
        jvp(lambda x: jnp.linalg.norm(x), lambda x, t: 0 * jnp.sum(t)),
        torch_rule(lambda t, x: t.linalg.norm(x), lambda t, x, g: 0 * x * g),
    ),
    Case(
        "zero gradient", "mean of 100 cubes", list(np.linspace(-1, 1, 100)),
        jvp(lambda x: jnp.mean(x**3), lambda x, t: 0 * jnp.mean(t)),
        torch_rule(lambda t, x: t.mean(x**3), lambda t, x, g: 0 * x * g),
    ),
    Case(
        "missing term", "x sin x", 1.2,
        jvp(lambda x: x * jnp.sin(x), lambda x, t: jnp.sin(x) * t),
        torch_rule(lambda t, x: x * t.sin(x), lambda t, x, g: t.sin(x) * g),
    ),
    Case(
        "missing term", "softmax without -ss'", VECTOR,
        jvp(jax.nn.softmax, lambda x, t: jax.nn.softmax(x) * t),
        torch_rule(lambda t, x: t.softmax(x, 0), lambda t, x, g: t.softmax(x, 0) * g),
    ),
    Case(
        "missing term", "stop_gradient(x) x", 3.0,
        lambda x: jax.lax.stop_gradient(x) * x,
        lambda torch: lambda x: x.detach() * x,
    ),
    Case(
        "transposed Jacobian", "W x", VECTOR,
        jvp(lambda x: matrix(x) @ x, lambda x, t: matrix(x).T @ t),
        torch_rule(
            lambda t, x: torch_matrix(t, x) @ x, lambda t, x, g: torch_matrix(t, x) @ g
        ),
    ),
    Case(
        "transposed Jacobian", "cumulative sum", VECTOR,
        jvp(jnp.cumsum, lambda x, t: jnp.cumsum(t[::-1])[::-1]),
        torch_rule(lambda t, x: t.cumsum(x, 0), lambda t, x, g: t.cumsum(g, 0)),
    ),
    Case(
        "transposed Jacobian", "tanh(W x)", VECTOR,
        jvp(
            lambda x: jnp.tanh(matrix(x) @ x),
            lambda x, t: matrix(x).T @ ((1 - jnp.tanh(matrix(x) @ x) ** 2) * t),
        ),
        torch_rule(
            lambda t, x: t.tanh(torch_matrix(t, x) @ x),
            lambda t, x, g: (1 - t.tanh(torch_matrix(t, x) @ x) ** 2) * (torch_matrix(t, x) @ g),
        ),
    ),
    Case(
        "wrong rule in both modes", "gelu with the slope of silu", 0.9,
        jvp(lambda x: jax.nn.gelu(x, approximate=False), lambda x, t: silu_slope(x) * t),
        torch_rule(
            lambda t, x: t.nn.functional.gelu(x),
            lambda t, x, g: t.sigmoid(x) * (1 + x * (1 - t.sigmoid(x))) * g,
        ),
    ),
    Case(
        "wrong rule in both modes", "erf with 2/pi", 0.3,
        jvp(jax.scipy.special.erf, lambda x, t: 2 / jnp.pi * jnp.exp(-x * x) * t),
        torch_rule(lambda t, x: t.erf(x), lambda t, x, g: 2 / np.pi * t.exp(-x * x) * g),
    ),
    Case(
        "wrong rule in both modes", "logsumexp with equal weights", VECTOR,
        jvp(jax.nn.logsumexp, lambda x, t: jnp.mean(t)),
        torch_rule(lambda t, x: t.logsumexp(x, 0), lambda t, x, g: t.ones_like(x) / 3 * g),
    ),
    Case(
        "ignores its cotangent", "cross entropy alone", VECTOR, loss_alone,
        torch_loss(1.0, weigh=False), ("rev",),
    ),
    Case(
        "ignores its cotangent", "cross entropy / 4", VECTOR, lambda z: loss_alone(z) / 4,
        torch_loss(0.25, weigh=False), ("rev",),
    ),
    Case(
        "ignores its cotangent", "weighted sum of squares", VECTOR,
        lambda x: jnp.sum(square_alone(x) * jnp.arange(1, 4, dtype=x.dtype)),
        lambda torch: lambda x: torch.sum(
            torch_rule(lambda t, v: v * v, lambda t, v, g: 2 * v)(torch)(x)
            * torch.arange(1, 4, dtype=x.dtype)
        ),
        ("rev",),
    ),
    Case(
        "NaN at a branch", "where(x > 0, sqrt x, 0) at -1", -1.0,
        lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0),
        lambda torch: lambda x: torch.where(x > 0, torch.sqrt(x), torch.zeros_like(x)),
    ),
    Case(
        "NaN at a branch", "where(x == 0, 1, sin x / x) at 0", 0.0,
        lambda x: jnp.where(x == 0, 1.0, jnp.sin(x) / x),
        lambda torch: lambda x: torch.where(x == 0, torch.ones_like(x), torch.sin(x) / x),
    ),
    Case(
        "NaN at a branch", "where(x < 20, log(1 + exp x), x) at 1000", 1000.0,
        lambda x: jnp.where(x < 20, jnp.log1p(jnp.exp(x)), x),
        lambda torch: lambda x: torch.where(x < 20, torch.log1p(torch.exp(x)), x),
    ),
    Case(
        "wrong limit", "(exp x - 1)/x at 0", 0.0, double_where(jnp.expm1, 1.0),
        torch_double_where("expm1", 1.0),
    ),
    Case(
        "wrong limit", "sin(x)^2/x at 0", 0.0, double_where(lambda s: jnp.sin(s) ** 2, 0.0),
        torch_double_where("sin squared", 0.0),
    ),
    Case(
        "wrong limit", "relu(x) - relu(-x) at 0", 0.0,
        lambda x: jax.nn.relu(x) - jax.nn.relu(-x),
        lambda torch: lambda x: torch.relu(x) - torch.relu(-x),
    ),
    Case(
        "float32 only", "sin, factor 1.5 in float32", 0.7, jvp(jnp.sin, only_in_float32),
        torch_rule(
            lambda t, x: t.sin(x),
            lambda t, x, g: t.cos(x) * g * (1.5 if x.dtype == t.float32 else 1.0),
        ),
    ),
    Case(
        "float32 only", "sqrt(x^2 + 1) at 1e25", 1e25,
        lambda x: jnp.sqrt(x**2 + 1),
        lambda torch: lambda x: torch.sqrt(x**2 + 1),
    ),
    Case(
        "float32 only", "log cosh x at 100", 100.0,
        lambda x: jnp.log(jnp.cosh(x)),
        lambda torch: lambda x: torch.log(torch.cosh(x)),
    ),
    Case(
        "1e-12 scale", "1e-12 sin, wrong sign", 0.7,
        jvp(lambda x: 1e-12 * jnp.sin(x), lambda x, t: -1e-12 * jnp.cos(x) * t),
        torch_rule(lambda t, x: 1e-12 * t.sin(x), lambda t, x, g: -1e-12 * t.cos(x) * g),
    ),
    Case(
        "1e-12 scale", "1e-12 |x|^2, zero gradient", VECTOR,
        jvp(lambda x: 1e-12 * jnp.sum(x**2), lambda x, t: 0 * jnp.sum(t)),
        torch_rule(lambda t, x: 1e-12 * t.sum(x**2), lambda t, x, g: 0 * x * g),
    ),
    Case(
        "1e-12 scale", "1e-12 x sin x, missing term", 1.2,
        jvp(lambda x: 1e-12 * x * jnp.sin(x), lambda x, t: 1e-12 * jnp.sin(x) * t),
        torch_rule(
            lambda t, x: 1e-12 * x * t.sin(x), lambda t, x, g: 1e-12 * t.sin(x) * g
        ),
    ),
)  # fmt: skip

CONTROLS = (
    Case("clean", "sin", 0.7, jnp.sin, lambda torch: torch.sin),
    Case("clean", "tanh(W x)", VECTOR, lambda x: jnp.tanh(matrix(x) @ x),
         lambda torch: lambda x: torch.tanh(torch_matrix(torch, x) @ x)),
    Case("clean", "softmax", VECTOR, jax.nn.softmax, lambda torch: lambda x: torch.softmax(x, 0)),
    Case("clean", "cross entropy of 4 rows", BATCH,
         lambda Z: -jnp.mean(jax.nn.log_softmax(Z)[:, 0]),
         lambda torch: lambda Z: -torch.mean(torch.log_softmax(Z, 1)[:, 0])),
    Case("clean", "logsumexp", VECTOR, jax.nn.logsumexp,
         lambda torch: lambda x: torch.logsumexp(x, 0)),
    Case("clean", "gelu", 0.9, lambda x: jax.nn.gelu(x, approximate=False),
         lambda torch: torch.nn.functional.gelu),
    Case("clean", "norm", [3.0, 4.0], jnp.linalg.norm, lambda torch: torch.linalg.norm),
    Case("clean", "x sin x by a right custom_vjp", 1.2,
         vjp(lambda x: x * jnp.sin(x), lambda x, g: (jnp.sin(x) + x * jnp.cos(x)) * g),
         torch_rule(lambda t, x: x * t.sin(x), lambda t, x, g: (t.sin(x) + x * t.cos(x)) * g),
         ("rev",)),
    Case("clean", "softplus at 1000", 1000.0, jax.nn.softplus,
         lambda torch: torch.nn.functional.softplus),
    Case("clean", "1e-12 sin", 0.7, lambda x: 1e-12 * jnp.sin(x),
         lambda torch: lambda x: 1e-12 * torch.sin(x)),
    Case("clean", "relu at 2^-30", 2.0**-30, jax.nn.relu, lambda torch: torch.relu),
    Case("clean", "sqrt at 1e-6", 1e-6, jnp.sqrt, lambda torch: torch.sqrt),
    Case("clean", "1/x at 1e-3", 1e-3, lambda x: 1 / x, lambda torch: lambda x: 1 / x),
    Case("clean", "sin(10^4 x)", 0.3, lambda x: jnp.sin(1e4 * x),
         lambda torch: lambda x: torch.sin(1e4 * x)),
    Case("clean", "x^3 at 1000", 1000.0, lambda x: x**3, lambda torch: lambda x: x**3),
    Case("clean", "exp at 50", 50.0, jnp.exp, lambda torch: torch.exp),
)  # fmt: skip
CASES = (*BUGS, *CONTROLS)
