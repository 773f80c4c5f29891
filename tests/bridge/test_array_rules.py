"""Every rule of array primitives: the formula equals the function, and so do its gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from diffkit.backend import compat
from diffkit.bridge import walk
from diffkit.bridge.control_rules import LONGEST_UNROLLED
from diffkit.bridge.lift import lift
from diffkit.core.errors import UnsupportedPrimitive
from diffkit.tensor import views

#: Only in other generations of JAX.
NOT_CALLED = {"platform_index", "polynomial", "scatter_add", "stack", "tile", "unstack"}
#: Lengths of the axes of a matrix.
LENGTHS = st.tuples(st.integers(2, 3), st.integers(2, 4))


@dataclass(frozen=True)
class Case:
    """A function of one array that uses a primitive.

    Args:
        function: Array -> array.
        kind: "matrix", "square", "spd", "vector" or "image": what the array is.
    """

    function: Callable[..., Any]
    kind: str = "matrix"

    def draw(self, shape, rng):
        """A random argument; its entries are distinct and none is zero."""
        n, m = shape
        if self.kind == "image":
            return rng.normal(size=(1, 2, n + 2, m + 2))
        if self.kind == "vector":
            return rng.normal(size=n + 1)
        if self.kind == "tall":
            return rng.normal(size=(n + m, n))
        values = rng.normal(size=(n, n if self.kind in ("square", "spd") else m))
        return values @ values.T + n * np.eye(n) if self.kind == "spd" else values


def _select(x):
    which = jnp.clip(jnp.floor(x).astype(int) + 1, 0, 2)
    return lax.select_n(which, x, x**2, jnp.sin(x))


def _loop(count):
    return lambda x: lax.fori_loop(0, count, lambda k, c: c * 0.9 + k * x, x)


def _counted(x):
    return lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] * 0.9 + x), (0, x))[1]


def _scanned(x):
    carry, rows = lax.scan(lambda c, row: (c + row**2, c * row), x[0], x, reverse=True)
    return rows + carry


def _reduce_window(reducer, start, *window):
    def function(x):
        return lax.reduce_window(x, start, reducer, window, (1,) * len(window), "VALID")

    return function


def _convolution(x):
    kernel = jnp.arange(2.0 * 3 * 2 * 2).reshape(3, 2, 2, 2) / 10
    return lax.conv_general_dilated(
        x, kernel, (1, 2), ((1, 0), (0, 1)), lhs_dilation=(1, 2), rhs_dilation=(2, 1)
    )


CASES = {
    "argmax": Case(lambda x: x[jnp.argmax(x[:, 0])]),
    "argmin": Case(lambda x: x[:, jnp.argmin(x[0])]),
    "broadcast_in_dim": Case(lambda x: jnp.broadcast_to(x[:, None, :1], (*x.shape, 3)) ** 2),
    "cholesky": Case(lax.linalg.cholesky, "spd"),
    "clamp": Case(lambda x: lax.clamp(-0.5, x, 0.5) * x),
    "concatenate": Case(lambda x: lax.concatenate([x, x**2], 1)),
    "cond": Case(lambda x: lax.cond(x[0, 0] > 0, jnp.sin, lambda v: v**2, x)),
    "conv_general_dilated": Case(_convolution, "image"),
    "convert_element_type": Case(lambda x: (x > 0).astype(x.dtype) * x),
    "cumlogsumexp": Case(lambda x: lax.cumlogsumexp(x, 1)),
    "cummax": Case(lambda x: lax.cummax(x, 0, reverse=True) ** 2),
    "cummin": Case(lambda x: lax.cummin(x, 1) ** 2),
    "cumprod": Case(lambda x: lax.cumprod(x, 0)),
    "cumsum": Case(lambda x: lax.cumsum(x, 1, reverse=True) ** 2),
    "custom_linear_solve": Case(lambda x: jnp.linalg.solve(x + 3 * jnp.eye(len(x)), x), "square"),
    "dot_general": Case(lambda x: jnp.einsum("ij,kj->ik", x, x**2)),
    "dynamic_slice": Case(
        lambda x: lax.dynamic_slice(x**2, ((x[0, 0] > 0).astype(int), 0), (1, 2))
    ),
    "dynamic_update_slice": Case(
        lambda x: lax.dynamic_update_slice(x**2, x[:1, :2], ((x[0, 0] > 0).astype(int), 0))
    ),
    "eigh": Case(lambda x: jnp.linalg.eigh(x)[0], "spd"),
    "gather": Case(lambda x: x[jnp.array([0, 1, 0]), jnp.array([1, 0, 0])] ** 2),
    "iota": Case(lambda x: x * jnp.arange(x.shape[1])),
    "is_finite": Case(lambda x: jnp.where(jnp.isfinite(x), x**2, 0)),
    "lu": Case(lambda x: lax.linalg.lu(x)[0], "square"),
    "pad": Case(lambda x: lax.pad(x**2, 1.5, ((1, -1, 1), (0, 2, 0)))),
    "psum": Case(
        lambda x: jax.vmap(lambda row: row**2 - lax.pmean(row, "rows"), axis_name="rows")(x)
    ),
    "qr": Case(lambda x: jnp.linalg.qr(x)[1], "tall"),
    "reduce_and": Case(lambda x: jnp.where(jnp.all(x > -1, axis=0), x**2, x)),
    "reduce_max": Case(lambda x: jnp.max(x, 0) ** 2),
    "reduce_min": Case(lambda x: jnp.min(x, 1) ** 2),
    "reduce_or": Case(lambda x: jnp.where(jnp.any(x > 1, axis=1, keepdims=True), x**2, x)),
    "reduce_prod": Case(lambda x: jnp.prod(x, 1)),
    "reduce_sum": Case(lambda x: jnp.sum(x**3, 0)),
    "reduce_window_max": Case(_reduce_window(lax.max, -np.inf, 2, 1)),
    "reduce_window_min": Case(_reduce_window(lax.min, np.inf, 1, 2)),
    "reduce_window_sum": Case(_reduce_window(lax.add, 0.0, 2, 2)),
    "reshape": Case(lambda x: jnp.reshape(x, (-1,)) * jnp.reshape(x.T, (-1,))),
    "rev": Case(lambda x: x[:, ::-1] * x),
    "scan": Case(_scanned),
    "scatter": Case(lambda x: (x**2).at[jnp.array([1, 0])].set(x[:2])),
    "scatter-add": Case(lambda x: (x**2).at[jnp.array([1, 1])].add(x[:2])),
    "select_n": Case(_select),
    "slice": Case(lambda x: x[1:, ::2] ** 2),
    "split": Case(lambda x: jnp.multiply(*jnp.split(jnp.concatenate([x, x]), 2))),
    "square": Case(lax.square),
    "squeeze": Case(lambda x: lax.squeeze(x[:1] ** 2, (0,))),
    "svd": Case(lambda x: jnp.linalg.svd(x, compute_uv=False)),
    "transpose": Case(lambda x: jnp.transpose(x) @ x),
    "triangular_solve": Case(
        lambda x: jax.scipy.linalg.solve_triangular(x + 3 * jnp.eye(len(x)), x, lower=True),
        "square",
    ),
    "while": Case(_counted),
}
#: More ways to use a primitive, and library functions read by name.
MORE = {
    "batched product": Case(lambda x: jnp.einsum("aij,akj->aik", x[None], x[None] ** 2)),
    "choice among branches": Case(
        lambda x: lax.switch(
            jnp.floor(x[0, 0]).astype(int) + 1, [jnp.sin, jnp.cos, lambda v: v**2], x
        )
    ),
    "copysign": Case(lambda x: jnp.copysign(x**2, x)),
    "expm": Case(jax.scipy.linalg.expm, "square"),
    "first that holds": Case(
        lambda x: jnp.select([x < -0.5, x > 0.5], [x**2, jnp.sin(x)], default=x**3)
    ),
    "interp": Case(lambda x: jnp.interp(x, jnp.arange(-3.0, 4.0), jnp.arange(7.0) ** 2)),
    "masks": Case(lambda x: jnp.where((x > 0)[:, ::-1], x, x**2)),
    "piecewise": Case(lambda x: jnp.piecewise(x, [x < -1, x > 0], [jnp.sin, jnp.cos, jnp.exp])),
    "pinv": Case(jnp.linalg.pinv, "tall"),
    "polynomial": Case(lambda x: jnp.polyval(jnp.array([1.0, -2.0, 3.0]), x)),
    "remainder": Case(lambda x: jnp.remainder(x, 0.75) * x),
    "repeat": Case(lambda x: jnp.repeat(x, 2, axis=1) ** 2),
    "roll": Case(lambda x: jnp.roll(x, 1, axis=0) * x),
    "round": Case(lambda x: jnp.round(x) * x**2),
    "slogdet": Case(lambda x: jnp.linalg.slogdet(x)[1], "square"),
    "stack": Case(lambda x: jnp.stack([x, x**2], axis=1)),
    "take along": Case(lambda x: jnp.take_along_axis(x, jnp.zeros((len(x), 1), int), 1)),
    "tile": Case(lambda x: jnp.tile(x**2, (2, 1))),
    "triangle": Case(lambda x: jnp.tril(x, -1) @ jnp.triu(x).T),
    "unstack": Case(lambda x: jnp.multiply(*jnp.unstack(x[:2]))),
    "singular vectors": Case(lambda x: jnp.linalg.svd(x, full_matrices=False)[0] ** 2, "tall"),
    "left out of a vector": Case(lambda x: jnp.delete(x, 1) ** 2, "vector"),
}


def number(case):
    """The function's results summed with unequal weights."""

    def f(x):
        found = case.function(x)
        return jnp.sum(jnp.cos(jnp.arange(float(found.size))).reshape(found.shape) * found)

    return f


def disagreement(case, values):
    """Largest relative error of the formula's value and gradient."""
    f = number(case)
    with compat.x64():
        x = jnp.asarray(values)
        formula = lift(f, x)
        value, gradient = formula.lower(), formula.grad("x").lower()
        # forward mode, which also takes loops whose count JAX does not know; one compilation
        pairs = jax.jit(lambda x: ((value(x), f(x)), (gradient(x), jax.jacfwd(f)(x))))(x)
        return max(float(jnp.max(jnp.abs(a - b)) / (1 + jnp.max(jnp.abs(b)))) for a, b in pairs)


@pytest.mark.parametrize("name", [*CASES, *MORE])
@settings(max_examples=2)
@given(shape=LENGTHS, seed=st.integers(0, 2**16))
def test_a_rule_gives_the_value_and_the_gradient_of_the_program(name, shape, seed):
    case = {**CASES, **MORE}[name]
    assert disagreement(case, case.draw(shape, np.random.default_rng(seed))) < 1e-9


@pytest.mark.parametrize("name", CASES)
def test_the_case_of_a_rule_uses_its_primitive(name):
    case = CASES[name]
    with compat.x64():
        x = jnp.asarray(case.draw((3, 3), np.random.default_rng(0)))
        assert name in compat.primitives(compat.trace(case.function, x))


def test_every_rule_has_a_case():
    assert walk.RULES.keys() - NOT_CALLED <= CASES.keys()


WRONG = {
    "cumsum": lambda w, eqn, xs, k: [views.cumulative_sum(w.view(xs[0]), 1)],
    "rev": lambda w, eqn, xs, k: [w.view(xs[0])],
    "transpose": lambda w, eqn, xs, k: [views.scale(-1, views.matrix_transpose(w.view(xs[0])))],
    "reduce_max": lambda w, eqn, xs, k: [views.reduce("min", w.view(xs[0]), [0])],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_noticed(name, monkeypatch):
    monkeypatch.setitem(walk.RULES, name, WRONG[name])
    case = CASES[name]
    assert disagreement(case, case.draw((3, 3), np.random.default_rng(1))) > 1e-3


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: jnp.sort(x), "no closed form"),
        (lambda x: jnp.linalg.qr(x[:1])[1], "thin form"),
        (lambda x: x.at[jnp.array([0, 0])].set(x[:2]), "replaced twice"),
        (lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 1), (1, 1), "VALID", (1, 2)), "dilated"),
        (lambda x: lax.linalg.svd(x[:2], full_matrices=True)[0], "full matrices"),
    ],
)
def test_what_a_rule_does_not_cover_is_refused_with_the_reason(function, reason):
    with pytest.raises(UnsupportedPrimitive, match=reason):
        lift(function, jnp.ones((3, 4)))


def test_a_product_says_that_no_entry_may_be_zero():
    assert any("none of which may be zero" in n for n in lift(jnp.prod, jnp.ones(3)).notes)


def test_a_short_loop_is_written_out_and_a_long_one_is_one_step():
    short = lift(_loop(LONGEST_UNROLLED), jnp.ones(2))
    long = lift(_loop(LONGEST_UNROLLED + 1), jnp.ones(2))
    assert "scan" not in str(short)
    assert "scan" in str(long)


def test_a_branch_that_is_not_taken_does_not_spoil_the_gradient():
    formula = lift(lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0)), jnp.ones(3))
    found = formula.grad("x")(jnp.array([4.0, 0.0, -1.0]))
    assert found.tolist() == [0.25, 0.0, 0.0]
