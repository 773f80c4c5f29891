"""Models as people write them: read whole, gradients for all parameters, printed legibly."""

import time

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
import pytest
from flax import nnx

import diffkit as dk
from diffkit.tensor.nodes import Opaque, topological

RANDOM = np.random.default_rng(0)
LABELS = np.eye(3)[[0, 2, 1, 0, 2]]


def normal(*shape):
    return RANDOM.normal(size=shape)


def parameters(**shapes):
    return {name: normal(*shape) for name, shape in shapes.items()}


def cross_entropy(logits, y):
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=-1))


class MLP(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, 6, rngs=rngs)
        self.norm = nnx.LayerNorm(6, rngs=rngs)
        self.second = nnx.Linear(6, 5, rngs=rngs)
        self.last = nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x):
        h = nnx.swish(self.norm(self.first(x)))
        return self.last(nnx.swish(self.second(h)))


def flax_mlp():
    """The loss of a Flax network as a function of its state, and its state in float64."""
    graph, state = nnx.split(MLP(nnx.Rngs(0)))
    state = jax.tree.map(lambda leaf: np.asarray(leaf, float) + 0.1 * normal(*leaf.shape), state)

    def loss(params, x, y):
        return cross_entropy(nnx.merge(graph, params)(x), y)

    return loss, (state, normal(5, 4), LABELS)


def convolutional(p, x, y):
    numbers = ("NHWC", "HWIO", "NHWC")
    h = jax.lax.conv_general_dilated(x, p["kernel"], (1, 1), "SAME", dimension_numbers=numbers)
    h = jax.nn.relu(h + p["bias"])
    h = jax.lax.reduce_window(h, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    return cross_entropy(h.reshape(h.shape[0], -1) @ p["dense"], y)


def attention(p, x, g):
    q, k, v = x @ p["q"], x @ p["k"], x @ p["v"]
    return jnp.sum(g * (jax.nn.softmax(q @ k.T / jnp.sqrt(q.shape[-1])) @ v @ p["o"]))


def causal_attention(p, x, g):
    q, k, v = x @ p["q"], x @ p["k"], x @ p["v"]
    scores = q @ k.T / jnp.sqrt(q.shape[-1])
    mask = jnp.tril(jnp.ones(scores.shape, bool))
    return jnp.sum(g * (jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)) @ v))


def recurrent_scan(p, xs, y):
    def step(h, x):
        return jnp.tanh(p["w"] @ h + p["u"] @ x + p["b"]), None

    return jnp.sum((jax.lax.scan(step, jnp.zeros(3), xs)[0] - y) ** 2)


def recurrent_loop(p, xs, y):
    h = jnp.zeros(3)
    for x in xs:
        h = jnp.tanh(p["w"] @ h + p["u"] @ x + p["b"])
    return jnp.sum((h - y) ** 2)


def kernel(p, x):
    gaps = jnp.sum((x[:, None] - x[None]) ** 2, axis=-1)
    return jnp.exp(p["amp"] - 0.5 * gaps / p["width"] ** 2) + p["noise"] * jnp.eye(x.shape[0])


def process_by_cholesky(p, x, y):
    factor = jnp.linalg.cholesky(kernel(p, x))
    solved = jsl.cho_solve((factor, True), y)
    return 0.5 * y @ solved + jnp.sum(jnp.log(jnp.diag(factor)))


def process_by_substitution(p, x, y):
    factor = jnp.linalg.cholesky(kernel(p, x))
    solved = jsl.solve_triangular(factor, y, lower=True)
    return 0.5 * solved @ solved + jnp.sum(jnp.log(jnp.diag(factor)))


def process_by_solve(p, x, y):
    K = kernel(p, x)
    return 0.5 * y @ jnp.linalg.solve(K, y) + 0.5 * jnp.linalg.slogdet(K)[1]


def dropout(p, x, keep, y):
    h = jnp.where(keep, jax.nn.relu(x @ p["w"]) / 0.8, 0.0)
    return jnp.mean((h @ p["v"] - y) ** 2)


def batch_norm(p, x, y):
    h = x @ p["w"]
    h = (h - jnp.mean(h, axis=0)) / jnp.sqrt(jnp.var(h, axis=0) + 1e-5)
    return jnp.mean((jnp.tanh(h * p["g"] + p["b"]) - y) ** 2)


def tangent_kernel(p, x, z):
    """Inner product of two parameter gradients: a derivative inside the function itself."""

    def net(p, x):
        return p["v"] @ jnp.tanh(p["w"] @ x)

    left, right = jax.grad(net)(p, x), jax.grad(net)(p, z)
    return jnp.sum(left["w"] * right["w"]) + left["v"] @ right["v"]


ROOM = {"amp": np.array(0.3), "width": np.array(1.2), "noise": np.array(0.1)}
RECURRENT = (parameters(w=(3, 3), u=(3, 2), b=(3,)), normal(5, 2), normal(3))
HEADS = parameters(q=(4, 2), k=(4, 2), v=(4, 3))

#: Model -> function and arguments, parameters first; fragments of the printed gradients by leaf.
MODELS = {
    "flax mlp": (
        *flax_mlp(),
        {
            "W4": "Hᵀ(diag(y 𝟏) P − y)",
            "b3": "Δᵀ 𝟏",
            "W3": "H₁ᵀΔ",
            "W1": "xᵀ",
        },
    ),
    "convolution": (
        convolutional,
        (parameters(kernel=(3, 3, 2, 3), bias=(3,), dense=(12, 3)), normal(2, 4, 4, 2), LABELS[:2]),
        {"p.dense": "Tᵀ(diag(y 𝟏) P − y)", "W1": "> 0]"},
    ),
    "attention": (
        attention,
        ({**HEADS, "o": normal(3, 2)}, normal(5, 4), normal(5, 2)),
        {
            "p.v": "xᵀPᵀg oₚᵀ",
            "p.o": "vₚᵀxᵀPᵀg",
            "p.q": "xᵀRx kₚ",
            "p.k": "xᵀRᵀx qₚ",
        },
    ),
    "causal attention": (
        causal_attention,
        (HEADS, normal(5, 4), normal(5, 3)),
        {"p.v": "xᵀPᵀg", "p.q": "xᵀRx kₚ"},
    ),
    "scan": (recurrent_scan, RECURRENT, {"p.w": "δ₃ h₁ᵀ + δ₂ h₂ᵀ + δ₁ h₃ᵀ + g h₄ᵀ"}),
    "loop": (recurrent_loop, RECURRENT, {"p.b": "δ₄ + δ₃ + δ₂ + δ₁ + g"}),
    "process by cholesky": (
        process_by_cholesky, (ROOM, normal(5, 2), normal(5)), {"p.noise": "chol("},
    ),
    "process by substitution": (
        process_by_substitution, (ROOM, normal(5, 2), normal(5)), {"p.noise": "chol("},
    ),
    "process by solve": (
        process_by_solve,
        (ROOM, normal(5, 2), normal(5)),
        {"p.noise": "1/2 tr(K − Ky yᵀK)", "p.amp": "1/2 tr((K − Ky yᵀK) H)"},
    ),
    "dropout": (
        dropout,
        (parameters(w=(4, 3), v=(3, 2)), normal(5, 4), normal(5, 3) > -0.8, normal(5, 2)),
        {"p.v": "1/5 Fᵀ(F vₚ − y)", "p.w": "[x wₚ > 0]"},
    ),
    "batch norm": (
        batch_norm,
        (parameters(w=(4, 3), g=(3,), b=(3,)), normal(5, 4), normal(5, 3)),
        {"p.b": "((H − y) ⊙ (1 − H ⊙ H))ᵀ 𝟏"},
    ),
    "tangent kernel": (
        tangent_kernel, (parameters(w=(3, 4), v=(3,)), normal(4), normal(4)), {},
    ),
}  # fmt: skip


def gradients(f, args):
    """The lifted function and its gradients by every parameter leaf."""
    formula = dk.lift(f, *args)
    return formula, formula.grad(tuple(range(len(jax.tree.leaves(args[0])))))


#: Rows that take most of the time.
LONG = {"flax mlp", "convolution", "process by cholesky"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in MODELS]
)
def test_gradients_of_all_parameters_are_those_of_jax(name):
    f, args, _ = MODELS[name]
    with jax.enable_x64(True):
        _, found = gradients(f, args)
        true = jax.tree.leaves(jax.grad(f)(*jax.tree.map(jnp.asarray, args)))
        leaves = jax.tree.leaves(args)
        assert len(found) == len(true)
        for gradient, expected in zip(found, true, strict=True):
            value = gradient.lower()(*leaves)
            assert value.shape == expected.shape
            np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MODELS)
def test_the_whole_model_is_read_and_prints_legibly(name):
    f, args, fragments = MODELS[name]
    with jax.enable_x64(True):
        formula, found = gradients(f, args)
    assert not any(isinstance(x, Opaque) for g in found for x in topological(g.node))
    shown = dict(zip(formula.names, map(str, found), strict=False))
    for leaf, fragment in fragments.items():
        assert fragment in shown[leaf]
    assert all(len(text) < 1500 for text in shown.values())


def test_a_scan_and_a_loop_are_one_formula():
    with jax.enable_x64(True):
        assert dk.lift(recurrent_scan, *RECURRENT).node is dk.lift(recurrent_loop, *RECURRENT).node


def deep(depth):
    def loss(p, x, y):
        h = x
        for k in range(depth):
            h = jax.nn.swish(h @ p[f"w{k:02}"] + p[f"b{k:02}"])
        return jnp.mean((h - y) ** 2)

    params = {f"w{k:02}": normal(6, 6) for k in range(depth)}
    params |= {f"b{k:02}": normal(6) for k in range(depth)}
    return loss, (params, normal(5, 6), normal(5, 6))


def size(depth):
    _, found = gradients(*deep(depth))
    return sum(1 for _ in topological(*(g.node for g in found)))


def test_nodes_grow_linearly_with_depth():
    four, eight, twelve = map(size, (4, 8, 12))
    # 38, 75 and 110: which factors are joined first depends on names, by a node or two.
    assert abs((twelve - eight) - (eight - four)) <= 4
    assert twelve < 12 * 12


def test_a_net_of_twelve_layers_is_derived_within_seconds():
    f, args = deep(12)
    start = time.perf_counter()
    _, found = gradients(f, args)
    assert time.perf_counter() - start < 10
    assert all(map(str, found))
    assert time.perf_counter() - start < 30
