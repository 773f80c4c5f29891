r"""Recurrent cells with a spectral radius or a forget bias that one sets, and what they remember.

The cells are Flax's own, their weights drawn as the theory of long memories asks: a plain cell
h' = phi(W_h h + W_x x + b) whose W_h has a given spectral radius, and an LSTM cell
c' = f c + i g, h' = o tanh(c') whose forget gate f starts open.
"""

from collections.abc import Callable
from math import log
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import Initializer

from diffkit.core.errors import UsageError
from diffkit.nets.factorisations import drawn_one_at_a_time, singular_values, spectral_radius
from diffkit.nets.mlp import Activation, activation

Cell = nnx.SimpleCell | nnx.OptimizedLSTMCell


def orthogonal_of_radius(radius: float) -> Initializer:
    """A random orthogonal matrix times the radius: every power keeps the shape of its spectrum."""
    _require_positive(radius, "radius")
    return drawn_one_at_a_time(nnx.initializers.orthogonal(radius))


def gaussian_of_radius(radius: float) -> Initializer:
    """A matrix of independent Gaussian entries (Ginibre), scaled to the spectral radius exactly.

    Its norm is about twice its radius, so that its powers grow before they fall.
    """
    _require_positive(radius, "radius")

    def make(key: jax.Array, shape: tuple[int, int], dtype: Any = None) -> jax.Array:
        matrix = jax.random.normal(key, shape, dtype)
        return matrix * (radius / spectral_radius(matrix)).astype(matrix.dtype)

    return make


def plain_cell(
    inputs: int,
    units: int,
    recurrent: Initializer,
    activation_name: str | Activation = "tanh",
    *,
    rngs: nnx.Rngs,
) -> nnx.SimpleCell:
    """h' = phi(W_h h + W_x x + b), biases 0 at the start.

    Args:
        inputs: Entries of x.
        units: Entries of h.
        recurrent: Initialiser of W_h, such as `orthogonal_of_radius(0.9)`.
        activation_name: phi.
        rngs: Random streams; "params" is used.
    """
    precision = jnp.result_type(float)
    return nnx.SimpleCell(
        inputs,
        units,
        activation_fn=activation(activation_name),
        recurrent_kernel_init=recurrent,
        dtype=precision,
        param_dtype=precision,
        rngs=rngs,
    )


def lstm_cell(
    inputs: int,
    units: int,
    *,
    forget_bias: float = 1.0,
    chrono: int | None = None,
    recurrent: Initializer | None = None,
    rngs: nnx.Rngs,
) -> nnx.OptimizedLSTMCell:
    """An LSTM cell whose forget gate starts open.

    Args:
        inputs: Entries of x.
        units: Entries of h and c.
        forget_bias: b_f at the start; the other biases are 0.
        chrono: T, longest dependence: b_f = log u with u uniform in [1, T - 1] for each unit and
            b_i = -b_f (Tallec and Ollivier 2018, arXiv:1804.11188), in place of `forget_bias`.
        recurrent: Initialiser of the weights of h; orthogonal if None.
        rngs: Random streams; "params" is used.

    Raises:
        UsageError: T < 3.
    """
    return nnx.OptimizedLSTMCell(
        inputs,
        units,
        bias_init=_gate_biases(forget_bias, chrono),
        recurrent_kernel_init=recurrent or orthogonal_of_radius(1.0),
        param_dtype=jnp.result_type(float),
        rngs=rngs,
    )


def critical_forget_bias(horizon: int) -> float:
    """log(T - 1): a forget gate that keeps 1 - 1/T a step, so that 1/e is left after T steps.

    >>> round(critical_forget_bias(101), 4)
    4.6052
    """
    if horizon < 3:
        raise UsageError(f"a horizon of {horizon} steps; give 3 or more")
    return log(horizon - 1)


def _gate_biases(forget_bias: float, chrono: int | None) -> Initializer:
    """Biases of the gates i, f, g, o, in the order in which Flax stacks them."""
    if chrono is not None:
        critical_forget_bias(chrono)

    def make(key: jax.Array, shape: tuple[int, ...], dtype: Any = None) -> jax.Array:
        units = shape[-1] // 4
        forget, zero = jnp.full(units, forget_bias, dtype), jnp.zeros(units, dtype)
        if chrono is None:
            return jnp.concatenate([zero, forget, zero, zero])
        drawn = jnp.log(jax.random.uniform(key, (units,), dtype, 1.0, chrono - 1.0))
        return jnp.concatenate([-drawn, drawn, zero, zero])

    return make


class Reader(nnx.Module):
    """Reads a sequence and answers once, from the last h.

    Args:
        cell: The cell.
        outputs: Numbers of the answer.
        rngs: Random streams; "params" is used.
    """

    def __init__(self, cell: Cell, outputs: int, *, rngs: nnx.Rngs):
        self.cell = cell
        self.last = nnx.Linear(
            cell.hidden_features, outputs, param_dtype=jnp.result_type(float), rngs=rngs
        )

    def __call__(self, sequences: jax.Array) -> jax.Array:
        """Answers (batch, outputs) to sequences (batch, T, inputs)."""
        carry = start(self.cell, sequences.shape[:1])
        by_time = jnp.swapaxes(sequences, 0, 1)
        _, h = _scan(self.cell, lambda cell, carry, x: cell(carry, x), carry, by_time)
        return self.last(h[-1])


def start(cell: Cell, batch: tuple[int, ...] = ()) -> Any:
    """The state of a cell before anything was read: h = 0, or (c, h) = (0, 0)."""
    zeros = jnp.zeros((*batch, cell.hidden_features), cell.param_dtype)
    return zeros if isinstance(cell, nnx.SimpleCell) else (zeros, zeros)


def sensitivities(cell: nnx.SimpleCell, inputs: jax.Array) -> jax.Array:
    """Norms of the Jacobian dh_T/dh_t of a plain cell for t = T - 1, ..., 0, by forward mode.

    Args:
        cell: The cell.
        inputs: x_1, ..., x_T, (T, inputs).

    Returns:
        (T, 2): the largest singular value and the root mean square one.
    """
    states = _scan(cell, lambda cell, h, x: (cell(h, x)[0], h), start(cell), inputs)[1]

    def back(product: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """dh_T/dh_{t+1} -> dh_T/dh_t: each row is pulled back through one step."""
        h, x = step
        pull = jax.vjp(lambda h: cell(h, x)[0], h)[1]
        product = jax.vmap(lambda row: pull(row)[0])(product)
        values = singular_values(product)
        return product, jnp.stack([values[0], jnp.sqrt(jnp.mean(values**2))])

    eye = jnp.eye(cell.hidden_features, dtype=states.dtype)
    return jax.lax.scan(back, eye, (states, inputs), reverse=True)[1][::-1]


class CellPath(NamedTuple):
    """What is left of the content c_0 of an LSTM cell after T steps, unit by unit.

    Args:
        gates: f_1, ..., f_T, (T, units).
        direct: dc_T/dc_0 with every h held fixed, by AD: the path through the cell alone.
        whole: The diagonal of dc_T/dc_0 by AD, the paths through h included.
    """

    gates: jax.Array
    direct: jax.Array
    whole: jax.Array


def cell_path(
    cell: nnx.OptimizedLSTMCell, inputs: jax.Array, kind: Literal["direct", "both"] = "both"
) -> CellPath:
    """The memory of an LSTM cell: its forget gates and the derivative of its content.

    Args:
        cell: The cell.
        inputs: x_1, ..., x_T, (T, inputs).
        kind: "both", or "direct" where the whole Jacobian is not wanted (`whole` is `direct`).
    """
    carry = start(cell)

    def gate(cell: nnx.OptimizedLSTMCell, carry: Any, x: jax.Array) -> Any:
        stacked = cell.dense_i(x) + cell.dense_h(carry[1])
        return cell(carry, x)[0], jax.nn.sigmoid(jnp.split(stacked, 4)[1])

    def through_the_cell(cell: nnx.OptimizedLSTMCell, carry: Any, x: jax.Array) -> Any:
        c, h = carry
        return cell((c, jax.lax.stop_gradient(h)), x)[0], None

    def content(step: Callable[..., Any]) -> Callable[[jax.Array], jax.Array]:
        return lambda c: _scan(cell, step, (c, carry[1]), inputs)[0][0]

    _, gates = _scan(cell, gate, carry, inputs)
    ones = jnp.ones_like(carry[0])
    # With h fixed each unit of c sees itself alone: one tangent of ones gives the diagonal.
    direct = jax.jvp(content(through_the_cell), (carry[0],), (ones,))[1]
    if kind == "direct":
        return CellPath(gates, direct, direct)
    whole = jax.jacfwd(content(lambda cell, carry, x: (cell(carry, x)[0], None)))(carry[0])
    return CellPath(gates, direct, jnp.diagonal(whole))


def _scan(cell: Cell, step: Callable[..., Any], carry: Any, inputs: jax.Array) -> Any:
    """step(cell, carry, x) -> (carry, found) over time; the cell has no state of its own."""
    graph, state = nnx.split(cell)
    return jax.lax.scan(lambda carry, x: step(nnx.merge(graph, state), carry, x), carry, inputs)


def _require_positive(value: float, name: str) -> None:
    if not value > 0:
        raise UsageError(f"{name}={value!r}; give a number > 0")
