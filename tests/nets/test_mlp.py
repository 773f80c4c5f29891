import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy import special

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.nets.initialisers import initialiser, mean_field
from diffkit.nets.mlp import ACTIVATIONS, MLP, Classifier, activation

X = np.asarray(jax.random.normal(jax.random.key(1), (6, 5)))


def net(name: str = "tanh", depth: int = 4) -> MLP:
    return MLP(5, 7, depth, name, "lecun", rngs=nnx.Rngs(0))


Z = np.linspace(-4.0, 4.0, 17)
SOFTPLUS = np.log1p(np.exp(Z))
SIGMOID = 1 / (1 + np.exp(-Z))
FORMULAS = {
    "linear": Z,
    "relu": np.maximum(Z, 0),
    "leaky_relu": np.where(Z > 0, Z, 0.01 * Z),
    "sigmoid": SIGMOID,
    "swish": Z * SIGMOID,
    "mish": Z * np.tanh(SOFTPLUS),
    "tanh": np.tanh(Z),
    "softsign": Z / (1 + np.abs(Z)),
    "gelu": Z * (1 + special.erf(Z / np.sqrt(2))) / 2,
    "elu": np.where(Z > 0, Z, np.expm1(Z)),
    "selu": 1.0507009873554805 * np.where(Z > 0, Z, 1.6732632423543772 * np.expm1(Z)),
    "erf": special.erf(Z),
    "sin": np.sin(Z),
    "softplus": SOFTPLUS,
}


def test_every_activation_is_its_formula():
    assert set(FORMULAS) == set(ACTIVATIONS)
    for name, expected in FORMULAS.items():
        np.testing.assert_allclose(activation(name)(Z), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_scanned_layers_equal_a_loop(name: str):
    model = net(name)
    (first, _), *others = model.linears()
    h = [X @ first]
    for kernel, _ in others:
        h.append(activation(name)(h[-1]) @ kernel)
    np.testing.assert_allclose(model.pre_activations(X), jnp.stack(h), rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(model(X), h[-1], rtol=2e-5, atol=1e-6)


def batch_norm(h: np.ndarray) -> np.ndarray:
    return (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)


NORMS = {
    "none": lambda h: h,
    "batch": batch_norm,
    "layer": lambda h: (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-6),
}


@pytest.mark.parametrize("normalisation", sorted(NORMS))
@pytest.mark.parametrize("residual", [None, 0.5])
def test_every_design_is_the_recursion_of_the_docstring(normalisation, residual):
    """Widths 5, 4, 4, 4, 3: two of the layers keep their width and are residual."""
    model = Classifier(
        (5, 4, 4, 4, 3),
        jnp.sin,
        mean_field(1.5, 0.3),
        normalisation=normalisation,
        residual=residual,
        rngs=nnx.Rngs(2),
    )
    (first, bias), *others = model.linears()
    h = [X @ first + bias]
    for kernel, bias in others:
        branch = np.sin(NORMS[normalisation](np.asarray(h[-1]))) @ kernel + bias
        is_residual = residual is not None and kernel.shape == (4, 4)
        h.append(h[-1] + residual * branch if is_residual else branch)
    found = model.pre_activations(X)
    assert [each.shape for each in found] == [(6, 4), (6, 4), (6, 4), (6, 3)]
    for left, right in zip(found, h, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(X), h[-1], rtol=1e-4, atol=1e-5)


def test_batch_statistics_are_kept_in_every_layer_of_a_scan():
    model = Classifier((5, 4, 4, 4, 3), "relu", normalisation="batch", rngs=nnx.Rngs(0))
    h_2 = np.asarray(model.pre_activations(X)[1])
    stack = model.stacks[0]
    np.testing.assert_allclose(stack.layers.norm.mean[...][1], 0.1 * h_2.mean(0), rtol=1e-4)
    model.eval()
    alone = model(X[:1])
    np.testing.assert_allclose(model(X)[:1], alone, rtol=1e-5)  # no longer those of the batch


def test_dropout_draws_another_mask_in_every_layer_and_call_and_none_in_evaluation():
    """phi = 1 everywhere, so that what is left of a layer's features is seen in its output."""
    model = Classifier(
        (5, 400, 400, 400),
        jnp.ones_like,
        "orthogonal",
        dropout=0.25,
        use_bias=False,
        rngs=nnx.Rngs(0),
    )
    kernels = [np.asarray(kernel, float) for kernel, _ in model.linears()]

    def masks() -> list[np.ndarray]:
        _, *rest = model.pre_activations(X[:1])
        return [
            np.asarray(h, float)[0] @ kernel.T for h, kernel in zip(rest, kernels[1:], strict=True)
        ]

    first, second = masks(), masks()
    for mask in (*first, *second):
        assert np.abs(mask[:, None] - [0, 4 / 3]).min(axis=1).max() < 1e-3
        assert np.mean(mask < 0.5) == pytest.approx(0.25, abs=0.1)  # 4.6 standard deviations
    assert not np.allclose(first[0], first[1], atol=0.1)
    assert not np.allclose(first[0], second[0], atol=0.1)
    model.eval()
    np.testing.assert_allclose(masks()[0], 1.0, atol=1e-3)


def test_a_network_of_float64_computes_in_float64():
    with jax.enable_x64(True):
        model = Classifier((5, 4, 4, 4), "tanh", normalisation="batch", rngs=nnx.Rngs(0))
        leaves = jax.tree.leaves(nnx.state(model))
        assert {leaf.dtype.name for leaf in leaves} == {"float64"}
        model(jnp.asarray(X, float))
        assert {leaf.dtype.name for leaf in jax.tree.leaves(nnx.state(model))} == {"float64"}


@pytest.mark.parametrize("kind", [MLP, Classifier])
def test_a_perturbation_is_added_to_its_own_layer(kind):
    model = net(depth=3) if kind is MLP else Classifier((5, 7, 7, 7), "tanh", rngs=nnx.Rngs(0))
    bump = jnp.zeros((3, 6, 7)).at[1].set(0.5)
    plain = model.pre_activations(X)
    bumped = model.pre_activations(X, bump if kind is MLP else list(bump))
    np.testing.assert_array_equal(bumped[0], plain[0])
    np.testing.assert_allclose(bumped[1], plain[1] + 0.5, rtol=1e-6)
    assert not np.allclose(bumped[2], plain[2])


def test_first_and_last_layers_may_be_drawn_otherwise():
    model = Classifier(
        (300, 300, 300, 300),
        "relu",
        first_initialiser="lecun",
        last_initialiser=mean_field(0.01),
        rngs=nnx.Rngs(0),
    )
    scales = [np.sqrt(300 * np.mean(np.square(kernel))) for kernel, _ in model.linears()]
    np.testing.assert_allclose(scales, [1.0, initialiser("he").sigma_w(1, 1), 0.01], rtol=0.02)


def test_thirty_layers_are_one_stack_and_train():
    model = Classifier((5, *[8] * 30, 2), "relu", residual=30**-0.5, rngs=nnx.Rngs(0))
    assert [stack.count for stack in model.stacks] == [29, 1]
    graph, params = nnx.split(model)
    y = jnp.arange(6) % 2

    def loss(params):
        logits = nnx.merge(graph, params)(X)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    slopes = jax.grad(loss)(params)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slopes))


def test_an_unknown_activation_lists_the_known():
    with pytest.raises(UnknownNameError, match=r"did you mean swish\? known: elu"):
        activation("swisch")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"normalisation": "group"}, "one of none, batch, layer"),
        ({"dropout": 1.0}, r"lies in \[0, 1\)"),
        ({"widths": (3, 0)}, "each >= 1"),
        ({"widths": (3,)}, "inputs and the outputs"),
    ],
)
def test_a_network_that_cannot_be_is_refused(change, said):
    asked = {"widths": (3, 4, 2), **change}
    with pytest.raises(UsageError, match=said):
        Classifier(activation_name="relu", rngs=nnx.Rngs(0), **asked)
    with pytest.raises(UsageError, match="2 or more"):
        MLP(3, 4, 1, "relu", "he", rngs=nnx.Rngs(0))
