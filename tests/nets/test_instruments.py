"""Instruments against closed forms and against matrices written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.nets import instruments
from diffkit.nets.initialisers import mean_field
from diffkit.nets.mlp import MLP, Classifier

X = np.random.default_rng(0).normal(size=(4, 3))


@pytest.fixture(scope="module")
def net():
    """Three layers of width three in float64, with the numbers of NumPy beside it."""
    with jax.enable_x64(True):
        model = Classifier((3, 3, 3, 3), "tanh", mean_field(1.4, 0.2), rngs=nnx.Rngs(1))
        yield model, [(np.asarray(w), np.asarray(b)) for w, b in model.linears()]


def forward(layers, x):
    h = [x @ layers[0][0] + layers[0][1]]
    for w, b in layers[1:]:
        h.append(np.tanh(h[-1]) @ w + b)
    return h


def by_hand(layers, x):
    """dh_1/dx and dh_{l+1}/dh_l = W' diag(1 - tanh(h_l)^2) at one sample."""
    h = forward(layers, x)
    return [layers[0][0].T] + [
        w.T @ np.diag(1 - np.tanh(before) ** 2)
        for (w, _), before in zip(layers[1:], h, strict=False)
    ]


def test_the_jacobian_is_the_product_of_its_layers_to_rounding(net):
    model, layers = net
    with jax.enable_x64(True):
        whole = np.asarray(instruments.jacobians(model, jnp.asarray(X)))
        parts = [np.asarray(j) for j in instruments.layer_jacobians(model, jnp.asarray(X))]
        values = np.asarray(instruments.singular_values(model, jnp.asarray(X)))
    for sample, x in enumerate(X):
        expected = by_hand(layers, x)
        for part, by_layer in zip(parts, expected, strict=True):
            np.testing.assert_allclose(part[sample], by_layer, rtol=0, atol=1e-14)
        product = expected[2] @ expected[1] @ expected[0]
        np.testing.assert_allclose(whole[sample], product, rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            values[sample], np.linalg.svd(product, compute_uv=False), rtol=0, atol=1e-12
        )
        assert not np.allclose(whole[sample], expected[0] @ expected[1] @ expected[2], rtol=1e-3)


def test_gradients_by_layer_are_those_of_the_product(net):
    model, layers = net
    c = np.random.default_rng(1).normal(size=(4, 3))
    with jax.enable_x64(True):
        found = instruments.signals(model, jnp.asarray(X), lambda h: jnp.sum(c * jnp.sin(h)))
    for sample, x in enumerate(X):
        h, parts = forward(layers, x), by_hand(layers, x)
        slope = c[sample] * np.cos(h[2])
        for place, expected in enumerate(
            [parts[1].T @ parts[2].T @ slope, parts[2].T @ slope, slope]
        ):
            np.testing.assert_allclose(found.gradients[place][sample], expected, atol=1e-13)
            np.testing.assert_allclose(found.pre_activations[place][sample], h[place], atol=1e-13)
    assert found.value == pytest.approx(np.sum(c * np.sin(forward(layers, X)[2])), abs=1e-13)


def test_signals_of_a_stacked_network_are_stacked():
    model = MLP(3, 5, 4, "relu", "he", normalisation="layer", rngs=nnx.Rngs(0))
    found = instruments.signals(model, jnp.asarray(X, "float32"), jnp.sum)
    assert found.pre_activations.shape == found.gradients.shape == (4, 4, 5)
    np.testing.assert_array_equal(found.gradients[-1], 1.0)


def test_looking_leaves_statistics_and_masks_as_they_were():
    model = Classifier((3, 8, 8, 2), "relu", normalisation="batch", dropout=0.5, rngs=nnx.Rngs(0))
    before = jax.tree.leaves(nnx.state(model, nnx.BatchStat))
    instruments.signals(model, jnp.asarray(X, "float32"), jnp.sum)
    instruments.jacobians(model, jnp.asarray(X, "float32"))
    after = jax.tree.leaves(nnx.state(model, nnx.BatchStat))
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    assert model.stacks[0].layers.drop.deterministic is False


def test_a_deep_orthogonal_linear_network_is_an_isometry_and_a_gaussian_one_is_not():
    inputs = jnp.ones((1, 40))
    deep = lambda kind: MLP(40, 40, 12, "linear", kind, first_initialiser=kind, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(
        instruments.singular_values(deep("orthogonal"), inputs), 1.0, rtol=1e-4
    )
    assert instruments.singular_values(deep("lecun"), inputs).min() < 1e-3


def symmetric(size: int) -> np.ndarray:
    a = np.random.default_rng(size).normal(size=(size, size))
    return a + a.T


@pytest.mark.parametrize("size", [1, 3, 8, 9, 40])
def test_the_sharpness_of_a_quadratic_is_its_largest_eigenvalue(size: int):
    a = symmetric(size)
    expected = np.linalg.eigvalsh(a)[-1]
    with jax.enable_x64(True):
        loss = lambda p: p["w"] @ jnp.asarray(a) @ p["w"] / 2
        params = {"w": jnp.ones(size)}
        found = instruments.sharpness(loss, params, key=jax.random.key(0))
        spectrum = instruments.hessian_spectrum(loss, params)
    assert found.value == pytest.approx(expected, rel=1e-10)
    assert found.residual < 1e-8 * abs(expected)
    np.testing.assert_allclose(spectrum, np.linalg.eigvalsh(a), atol=1e-12)


def test_the_residual_says_that_two_iterations_did_not_suffice():
    a = symmetric(60)
    with jax.enable_x64(True):
        found = instruments.largest_eigenvalue(
            lambda v: jnp.asarray(a) @ v, 60, key=jax.random.key(0), iterations=2
        )
    assert found.residual > 0.1
    assert np.abs(np.linalg.eigvalsh(a) - found.value).min() <= found.residual


def test_at_its_minimum_a_deep_linear_network_has_the_sharpness_of_the_closed_form():
    """L = (w_2 w_1 - 1)^2/2 with w_1 w_2 = 1: eigenvalues 0 and w_1^2 + w_2^2."""
    model = Classifier((1, 1, 1), "linear", use_bias=False, rngs=nnx.Rngs(0))
    model.first.kernel[...] = jnp.full((1, 1), 2.0)
    model.stacks[0].layers.linear.kernel[...] = jnp.full((1, 1), 0.5)
    loss = lambda module, x, y: jnp.sum((module(x) - y) ** 2) / 2
    of, params = instruments.objective(model, loss, jnp.ones((1, 1)), jnp.ones((1, 1)))
    np.testing.assert_allclose(instruments.hessian_spectrum(of, params), [0, 4.25], atol=1e-6)
    value = instruments.sharpness(of, params, key=jax.random.key(0)).value
    assert value == pytest.approx(4.25, rel=1e-6)


def test_a_hessian_that_is_too_large_is_refused():
    with pytest.raises(UsageError, match="use sharpness"):
        instruments.hessian_spectrum(jnp.sum, jnp.zeros(5000))


def test_the_search_goes_on_however_many_parameters_there_are():
    # relative to a million parameters the rounding of float32 is no bound at all
    curvatures = jnp.linspace(0.0, 1.0, 1_000_000).at[-1].set(2.0)
    found = instruments.largest_eigenvalue(
        lambda v: curvatures * v, curvatures.size, key=jax.random.key(0)
    )
    assert found.residual <= 0.02 * found.value
    assert found.value == pytest.approx(2.0, rel=1e-3)
