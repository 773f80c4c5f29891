"""Sensitivities of recurrent cells over time, found by AD in float64.  No SymPy here."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from diffkit.nets.factorisations import singular_values
from diffkit.nets.recurrent import (
    cell_path,
    gaussian_of_radius,
    lstm_cell,
    orthogonal_of_radius,
    plain_cell,
    sensitivities,
)

#: Recurrent matrices of spectral radius 1.
MATRICES = {"orthogonal": orthogonal_of_radius, "gaussian": gaussian_of_radius}


def plain(
    matrix: str,
    activation: str,
    radii: tuple[float, ...],
    *,
    units: int,
    inputs: int,
    length: int,
    networks: int,
    seed: int,
) -> Mapping[str, np.ndarray]:
    """log |dh_T/dh_t| of plain cells, for every radius and network.

    Args:
        matrix: A key of `MATRICES`; the networks share it over radii and activations.
        activation: phi.
        radii: Spectral radii of the recurrent matrix.
        units: n.
        inputs: Entries of x_t, independent N(0, 1).
        length: T.
        networks: Independent networks and sequences.
        seed: Root of all random streams.

    Returns:
        "largest" and "mean": log of the largest and of the root mean square singular value for
        T - t = 1, ..., T, (radii, networks, T); "norm": largest singular value of the recurrent
        matrix, (radii, networks).
    """
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), networks)
        sizes = (units, inputs, length)
        norms, of_matrix = _plain(matrix, activation, sizes, keys, jnp.asarray(radii, float))
    logs = np.log(np.asarray(norms))
    return {"largest": logs[..., 0], "mean": logs[..., 1], "norm": np.asarray(of_matrix)}


@partial(jax.jit, static_argnums=(0, 1, 2))
def _plain(
    matrix: str, activation: str, sizes: tuple[int, int, int], keys: jax.Array, radii: jax.Array
) -> tuple[jax.Array, jax.Array]:
    units, inputs, length = sizes

    def one(radius: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        of_weights, of_inputs = jax.random.split(key)
        make = MATRICES[matrix](1.0)
        cell = plain_cell(inputs, units, make, activation, rngs=nnx.Rngs(of_weights))
        cell.dense_h.kernel[...] = radius * cell.dense_h.kernel[...]
        read = jax.random.normal(of_inputs, (length, inputs))
        return sensitivities(cell, read), singular_values(cell.dense_h.kernel[...])[0]

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(radii, keys)


def gates(
    biases: tuple[float, ...],
    *,
    units: int,
    inputs: int,
    length: int,
    recurrent: float,
    networks: int,
    seed: int,
) -> Mapping[str, np.ndarray]:
    """What LSTM cells keep of their content over T steps, for every forget bias and network.

    Args:
        biases: b_f.
        units: Units of a cell.
        inputs: Entries of x_t, independent N(0, 1); a gate reads a combination of variance 1.
        length: T.
        recurrent: Standard deviation of the recurrent weights times sqrt(units).
        networks: Independent networks and sequences.
        seed: Root of all random streams.

    Returns:
        "log_gate": mean of log f over units and time, (biases, networks); "error": largest
        relative distance of dc_T/dc_0 by AD, h held fixed, to the product of the gates,
        (biases,); "others": what the paths through h add to the trace of dc_T/dc_0, relative,
        median over the networks, (biases,); "profile": mean over units of the sum of log f up to a
        step, (biases, T).
    """
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(seed), networks)
        sizes = (units, inputs, length)
        found = _gates(sizes, recurrent, keys, jnp.asarray(biases, float))
    names = ("log_gate", "error", "others", "profile")
    return dict(zip(names, map(np.asarray, found), strict=True))


@partial(jax.jit, static_argnums=(0, 1))
def _gates(
    sizes: tuple[int, int, int], recurrent: float, keys: jax.Array, biases: jax.Array
) -> tuple[jax.Array, ...]:
    units, inputs, length = sizes
    small = nnx.initializers.normal(recurrent / units**0.5)

    def one(bias: jax.Array, key: jax.Array) -> tuple[jax.Array, ...]:
        of_weights, of_inputs = jax.random.split(key)
        cell = lstm_cell(inputs, units, forget_bias=0.0, recurrent=small, rngs=nnx.Rngs(of_weights))
        # Columns of norm 1: what a gate reads of N(0, I) is N(0, 1) for every unit.
        cell.dense_i.kernel[...] /= jnp.linalg.norm(cell.dense_i.kernel[...], axis=0)
        cell.dense_h.bias[...] = cell.dense_h.bias[...].at[units : 2 * units].set(bias)
        read = jax.random.normal(of_inputs, (length, inputs))
        path = cell_path(cell, read)
        logs = jnp.log(path.gates)
        product = jnp.exp(jnp.sum(logs, axis=0))
        error = jnp.max(jnp.abs(path.direct / product - 1))
        others = jnp.abs(jnp.sum(path.whole) / jnp.sum(path.direct) - 1)
        return jnp.mean(logs), error, others, jnp.cumsum(jnp.mean(logs, axis=1))

    means, errors, others, profiles = jax.vmap(jax.vmap(one, (None, 0)), (0, None))(biases, keys)
    return means, errors.max(axis=1), jnp.median(others, axis=1), profiles.mean(axis=1)
