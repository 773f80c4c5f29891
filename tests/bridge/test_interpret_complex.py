"""Complex primitives over pairs against Python's own complex numbers."""

import cmath

import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.backend import compat
from diffkit.bridge.interpret_complex import Pair
from diffkit.bridge.interpret_jaxpr import run
from diffkit.core.errors import UnsupportedPrimitive
from diffkit.numeric.precise import MpAlgebra

X, Y = 0.75, -1.25
Z = complex(X, Y)

#: A function of the parts in JAX, and the same number by Python.
CASES = {
    "abs": (lambda z: jnp.abs(z), abs(Z)),
    "conj": (lambda z: jnp.conj(z), Z.conjugate()),
    "exp": (lambda z: jnp.exp(z), cmath.exp(Z)),
    "log": (lambda z: jnp.log(z), cmath.log(Z)),
    "sqrt": (lambda z: jnp.sqrt(z), cmath.sqrt(Z)),
    "sin": (lambda z: jnp.sin(z), cmath.sin(Z)),
    "cos": (lambda z: jnp.cos(z), cmath.cos(Z)),
    "sinh": (lambda z: jnp.sinh(z), cmath.sinh(Z)),
    "cosh": (lambda z: jnp.cosh(z), cmath.cosh(Z)),
    "tanh": (lambda z: jnp.tanh(z), cmath.tanh(Z)),
    "sign": (lambda z: jnp.sign(z), Z / abs(Z)),
    "arithmetic": (lambda z: (z * z - 2j) / (z + 1j) + (-z), (Z * Z - 2j) / (Z + 1j) - Z),
    "cube": (lambda z: z**3, Z**3),
    "inverse square": (lambda z: z**-2, Z**-2),
    "power 0": (lambda z: z**0 + z, 1 + Z),
    "where": (lambda z: jnp.where(z.real > 0, z, -z), Z),
    "sum of a matrix product": (
        lambda z: jnp.sum(jnp.stack([z, 2 * z]) @ jnp.array([[1.0, 1j], [2.0, 0.0]])),
        Z + 4 * Z + Z * 1j,
    ),
    "equality": (lambda z: jnp.where(z == z, z, 0), Z),
}


def computed(f):
    with compat.x64():
        jaxpr = compat.trace(lambda x, y: f(jnp.asarray(x + 1j * y)), np.float64(X), np.float64(Y))
    (found,) = run(jaxpr, [np.float64(X), np.float64(Y)], MpAlgebra(30))
    value = np.asarray(found, dtype=object).item()
    if isinstance(value, Pair):
        return complex(float(value.re.value), float(value.im.value))
    return complex(float(value.value))


@pytest.mark.parametrize("name", CASES)
def test_a_complex_primitive_is_what_python_computes(name):
    f, expected = CASES[name]
    assert abs(computed(f) - expected) <= 1e-14 * abs(expected)


def test_a_primitive_without_a_row_is_named():
    with pytest.raises(UnsupportedPrimitive, match="atan"):
        computed(jnp.arctan)
