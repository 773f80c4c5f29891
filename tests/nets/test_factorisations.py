"""Factorisations under `vmap`: NumPy's numbers, and no batched call in the program."""

import re

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from diffkit.nets.factorisations import drawn_one_at_a_time, singular_values, spectral_radius

MATRICES = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype("float32")


def twice(f):
    return jax.vmap(jax.vmap(f))


def test_they_are_those_of_numpy_under_vmap():
    expected = np.linalg.svd(MATRICES, compute_uv=False)
    np.testing.assert_allclose(twice(singular_values)(MATRICES), expected, rtol=1e-4)
    radii = np.abs(np.linalg.eigvals(MATRICES)).max(axis=-1)
    np.testing.assert_allclose(twice(spectral_radius)(MATRICES), radii, rtol=1e-4)


def results_of_svd(f) -> list[str]:
    """Type of what each factorisation of the mapped program returns."""
    text = str(jax.make_jaxpr(twice(f))(MATRICES))
    return re.findall(r"\w+:(f32\[[\d,]*\]) = svd\[", text)


def test_no_factorisation_of_a_mapped_program_is_batched():
    assert results_of_svd(singular_values) == ["f32[4]"]
    assert results_of_svd(lambda matrix: jnp.linalg.svd(matrix, compute_uv=False)) == ["f32[2,3,4]"]


def test_an_orthogonal_draw_is_the_one_of_its_key_mapped_or_not():
    draw = drawn_one_at_a_time(nnx.initializers.orthogonal())
    keys = jax.random.split(jax.random.key(0), 3)
    mapped = jax.vmap(lambda key: draw(key, (5, 5)))(keys)
    for key, matrix in zip(keys, mapped, strict=True):
        np.testing.assert_allclose(
            matrix, nnx.initializers.orthogonal()(key, (5, 5), jnp.float32), atol=1e-6
        )
    np.testing.assert_allclose(mapped[0].T @ mapped[0], np.eye(5), atol=1e-5)
