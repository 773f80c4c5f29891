"""Recurrent cells against recursions written out in NumPy and against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.nets import recurrent

T, UNITS = 12, 5
INPUTS = np.random.default_rng(0).normal(size=(T, 3))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def weights(linear) -> np.ndarray:
    return np.asarray(linear.kernel[...], float)


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("make", [recurrent.orthogonal_of_radius, recurrent.gaussian_of_radius])
def test_the_recurrent_matrix_has_the_radius_that_is_asked_for(make, key):
    matrix = np.asarray(make(0.7)(key, (30, 30), float))
    radii = np.abs(np.linalg.eigvals(matrix))
    assert radii.max() == pytest.approx(0.7, rel=1e-10)
    is_orthogonal = make is recurrent.orthogonal_of_radius
    assert (radii.min() == pytest.approx(0.7, rel=1e-10)) == is_orthogonal
    with pytest.raises(UsageError, match="radius=0"):
        make(0)


@pytest.mark.parametrize("name", ["tanh", "linear"])
def test_sensitivities_are_norms_of_the_product_of_jacobians(name: str):
    make = recurrent.gaussian_of_radius(1.1)
    cell = recurrent.plain_cell(3, UNITS, make, name, rngs=nnx.Rngs(0))
    found = np.asarray(recurrent.sensitivities(cell, jnp.asarray(INPUTS)))
    phi, slope = {"tanh": (np.tanh, lambda h: 1 - h**2), "linear": (lambda z: z, np.ones_like)}[
        name
    ]
    h, states = np.zeros(UNITS), []
    for x in INPUTS:
        h = phi(h @ weights(cell.dense_h) + x @ weights(cell.dense_i))
        states.append(h)
    product, expected = np.eye(UNITS), []
    for h in reversed(states):
        product = product @ np.diag(slope(h)) @ weights(cell.dense_h).T
        values = np.linalg.svd(product, compute_uv=False)
        expected.append([values[0], np.sqrt(np.mean(values**2))])
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_scaled_orthogonal_linear_cell_forgets_at_its_radius_exactly():
    make = recurrent.orthogonal_of_radius(0.8)
    cell = recurrent.plain_cell(3, UNITS, make, "linear", rngs=nnx.Rngs(0))
    found = recurrent.sensitivities(cell, jnp.asarray(INPUTS))
    expected = 0.8 ** np.arange(1, T + 1)[:, None]
    np.testing.assert_allclose(found, np.broadcast_to(expected, (T, 2)), rtol=1e-12)


def test_the_path_through_the_cell_is_the_product_of_the_gates():
    cell = recurrent.lstm_cell(3, UNITS, forget_bias=1.0, rngs=nnx.Rngs(0))
    found = recurrent.cell_path(cell, jnp.asarray(INPUTS))
    bias = np.asarray(cell.dense_h.bias[...])
    c, h, gates = np.zeros(UNITS), np.zeros(UNITS), []
    for x in INPUTS:
        z = x @ weights(cell.dense_i) + h @ weights(cell.dense_h) + bias
        i, f, g, o = np.split(z, 4)
        gates.append(sigmoid(f))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(found.gates, gates, rtol=1e-12)
    np.testing.assert_allclose(found.direct, np.prod(gates, axis=0), rtol=1e-12)
    assert not np.allclose(found.whole, found.direct, rtol=1e-3)  # h matters in this cell
    alone = recurrent.cell_path(cell, jnp.asarray(INPUTS), "direct")
    np.testing.assert_array_equal(alone.whole, found.direct)


def test_without_recurrent_weights_the_path_is_the_whole_derivative():
    cell = recurrent.lstm_cell(3, UNITS, recurrent=nnx.initializers.zeros, rngs=nnx.Rngs(0))
    found = recurrent.cell_path(cell, jnp.asarray(INPUTS))
    np.testing.assert_allclose(found.whole, found.direct, rtol=1e-13)


def test_biases_of_the_gates_stand_where_they_should():
    def blocks(**options):
        cell = recurrent.lstm_cell(3, 4000, rngs=nnx.Rngs(0), recurrent=nnx.initializers.zeros,
                                   **options)  # fmt: skip
        return np.split(np.asarray(cell.dense_h.bias[...]), 4)

    i, f, g, o = blocks(forget_bias=2.5)
    assert np.all(f == 2.5)
    assert not any(np.any(each) for each in (i, g, o))
    i, f, g, o = blocks(chrono=50)
    np.testing.assert_array_equal(i, -f)
    assert np.all((np.exp(f) >= 1) & (np.exp(f) <= 49))
    assert np.mean(np.exp(f)) == pytest.approx(25, rel=0.03)  # uniform in [1, 49]
    assert not np.any(g)
    with pytest.raises(UsageError, match="3 or more"):
        blocks(chrono=2)


@pytest.mark.parametrize("kind", ["plain", "lstm"])
def test_a_reader_answers_from_the_last_state(kind: str):
    rngs = nnx.Rngs(3)
    if kind == "plain":
        cell = recurrent.plain_cell(3, UNITS, recurrent.orthogonal_of_radius(1.0), rngs=rngs)
    else:
        cell = recurrent.lstm_cell(3, UNITS, rngs=rngs)
    reader = recurrent.Reader(cell, 2, rngs=rngs)
    carry = recurrent.start(cell, (4,))
    sequences = jnp.asarray(np.random.default_rng(1).normal(size=(4, T, 3)))
    for t in range(T):
        carry, h = cell(carry, sequences[:, t])
    np.testing.assert_allclose(reader(sequences), reader.last(h), rtol=1e-12)
