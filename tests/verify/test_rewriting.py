"""The stable form that is recommended is stable: its derivative against mpmath."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import diffkit as dk
from diffkit.backend import compat
from diffkit.bridge.subject import Probe, subject
from diffkit.verify import rewriting
from diffkit.verify.rewriting import stable_form

#: Program, the same for mpmath, a point and a format in which its derivative loses digits.
UNSTABLE = {
    "softplus": (
        lambda x: jnp.log(1 + jnp.exp(x)),
        lambda x: mpmath.log(1 + mpmath.exp(x)),
        100.0,
        "float32",
    ),
    "difference of roots": (
        lambda x: jnp.sqrt(x + 1) - jnp.sqrt(x),
        lambda x: mpmath.sqrt(x + 1) - mpmath.sqrt(x),
        1e10,
        "float64",
    ),
    "log cosh": (
        lambda x: jnp.log(jnp.cosh(x)),
        lambda x: mpmath.log(mpmath.cosh(x)),
        100.0,
        "float32",
    ),
    "(exp(x) - 1)/x": (
        lambda x: (jnp.exp(x) - 1) / x,
        lambda x: mpmath.expm1(x) / x,
        1e-6,
        "float64",
    ),
    "1 - tanh^2": (
        lambda x: 1 - jnp.tanh(x) ** 2,
        lambda x: mpmath.sech(x) ** 2,
        8.0,
        "float32",
    ),
}


def proposed(f, x, dtype):
    probe = Probe((np.asarray(x),), np.ones(()), np.ones(()))
    return stable_form(subject(f, (x,), {}, None), probe, dtype)


@pytest.mark.parametrize("name", UNSTABLE)
def test_the_form_recommended_has_the_derivative_and_keeps_its_digits(name):
    f, exact, x, dtype = UNSTABLE[name]
    remedy = proposed(f, x, dtype)
    assert remedy is not None
    form, _, rest = remedy.partition(", by dk.lower(dk.lift(")
    ulps = float(rest.partition("<= ")[2].partition(" ulp")[0])
    with compat.x64(dtype == "float64"), mpmath.workdps(60):
        at = jnp.asarray(x, dtype)
        truth = float(mpmath.diff(exact, mpmath.mpf(float(at))))
        mended = float(jax.grad(dk.lower(dk.Formula.from_text(form)))(at))
        plain = float(jax.grad(f)(at))
    unit = float(np.spacing(np.asarray(abs(truth), dtype)))
    assert abs(mended - truth) <= max(ulps, 1.0) * unit
    assert not abs(plain - truth) <= 8 * unit


@pytest.mark.parametrize(
    "f",
    [jnp.sin, lambda x: jnp.exp(x) - 1, lambda x: x * x, jax.nn.softplus],
    ids=["sin", "exp - 1", "square", "softplus"],
)
def test_nothing_is_recommended_where_no_digit_is_lost(f):
    assert proposed(f, 0.75, "float64") is None


def test_functions_of_arrays_and_without_a_formula_have_none():
    whole = subject(lambda x: jnp.sum(jnp.log(1 + jnp.exp(x))), (jnp.ones(3),), {}, None)
    probe = Probe((np.ones(3),), np.eye(3)[0], np.ones(()))
    assert stable_form(whole, probe, "float32") is None
    assert proposed(lambda x: jnp.sort(jnp.stack([x, 2 * x]))[0], 0.5, "float32") is None


def test_beside_zero_the_neighbours_are_other_points():
    what = subject(jnp.sin, (0.0,), {}, 0)
    here = Probe(what.values, np.ones(()), np.ones(()))
    around = {float(each.leaves[0]) for each in rewriting._around(what, here, "float64")}
    assert len(around) == len(rewriting.AROUND)
