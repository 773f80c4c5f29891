"""Calls of public functions as code that runs and says the same."""

import contextlib
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.atlas.public_functions import PublicFunction, find, public_names
from diffkit.atlas.questions import argument_names, question
from diffkit.atlas.recipes import ARRAYS
from diffkit.atlas.spelling import reproducer, spell
from diffkit.backend import compat

NAMES = (
    "jax.numpy.abs",
    "jax.numpy.roll",
    "jax.numpy.block",
    "jax.numpy.stack",  # a list of arguments
    "jax.numpy.take",  # a constant of the table
    "jax.numpy.piecewise",  # a lambda that names jnp
    "jax.numpy.where",
    "jax.scipy.linalg.cholesky",  # a function of the table
    "jax.scipy.stats.geom.logpmf",
    "jax.numpy.linalg.multi_dot",  # starred arguments
    "optax.losses.hinge_loss",
)


@pytest.fixture(scope="module")
def names():
    return public_names()


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_a_call_evaluates_to_what_the_call_returns(names, name):
    function = find(name, names[name])
    given = dict(zip(argument_names(function), map(jnp.asarray, function.args), strict=True))
    root = {name.partition(".")[0]: __import__(name.partition(".")[0])}
    with compat.x64():
        given = {key: jnp.asarray(np.asarray(value), float) for key, value in given.items()}
        spelt = eval(spell(function), {"jax": jax, **root, **given})  # our own text
        expected = function.call(*given.values())
    for a, b in zip(jax.tree.leaves(spelt), jax.tree.leaves(expected), strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


@pytest.mark.parametrize("name", ["jax.numpy.sinc", "jax.nn.softmax", "jax.scipy.special.sici"])
def test_a_reproducer_runs_without_diffkit_and_prints_what_ad_gives(names, name):
    function = find(name, names[name])
    what = question(function, 0).what
    direction = np.zeros(what.values[0].shape)
    direction.flat[0] = 1.0
    with compat.x64():
        gradient = np.ravel(np.asarray(jax.grad(function.scalar)(jnp.asarray(what.values[0]))))[0]
    text = reproducer(function, what, asked(what, direction, "reverse", float(gradient)))
    assert "diffkit" not in text
    assert "jax.grad" in text
    assert printed_by(text) == pytest.approx(float(gradient), rel=1e-6)


def asked(what, direction, mode, value=0.0, order=1):
    return {
        "point": what.values,
        "dtype": "float64",
        "mode": mode,
        "order": order,
        "value": value,
        "truth": 0.0,
        "direction": direction,
    }


def printed_by(text):
    printed = io.StringIO()
    before = jax.config.jax_enable_x64
    try:
        with contextlib.redirect_stdout(printed):
            exec(text, {})  # our own text
    finally:
        jax.config.update("jax_enable_x64", before)
    return float(printed.getvalue())


#: Functions whose results are not all real: a rank, a flag, a permutation; signs are real.
MIXED = {
    "jax.numpy.linalg.lstsq": (jnp.linalg.lstsq, (ARRAYS["M"], ARRAYS["b"])),
    "jax.scipy.linalg.cho_factor": (jax.scipy.linalg.cho_factor, (ARRAYS["S"],)),
    "jax.scipy.linalg.lu_factor": (jax.scipy.linalg.lu_factor, (ARRAYS["M"],)),
    "jax.numpy.linalg.slogdet": (jnp.linalg.slogdet, (ARRAYS["M"],)),
    "jax.numpy.frexp": (jnp.frexp, (ARRAYS["s"],)),  # one real number and an integer
    "jax.numpy.multiply": (jnp.multiply, (ARRAYS["M"], ARRAYS["N"])),
}


@pytest.mark.parametrize("mode", ["reverse", "forward"])
@pytest.mark.parametrize("name", MIXED)
def test_a_reproducer_prints_the_derivative_along_a_direction(name, mode):
    call, args = MIXED[name]
    function = PublicFunction(name, call, args, (0,))
    what = question(function, 0).what
    shape = what.values[0].shape
    direction = np.random.default_rng(1).uniform(0.5, 1.0, shape) if shape else np.ones(())
    direction = direction + direction.T if shape else direction  # Cholesky reads one triangle
    text = reproducer(function, what, asked(what, direction, mode))
    assert ("jax.jvp" in text) == (mode == "forward")
    assert ("jax.grad" in text) == (mode == "reverse")
    with compat.x64():
        step = 1e-6 * direction

        def value(x):
            return float(function.scalar(*map(jnp.asarray, (x, *what.values[1:]))))

        difference = (value(what.values[0] + step) - value(what.values[0] - step)) / 2e-6
    assert printed_by(text) == pytest.approx(difference, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_a_second_derivative_is_spelt_in_the_mode_that_was_asked(mode):
    sine = find("jax.numpy.sin", jnp.sin)
    what = question(sine, 0).what
    x = float(what.values[0])
    text = reproducer(sine, what, asked(what, np.ones(()), mode, order=2))
    assert ("jax.jvp" in text) == (mode == "forward")
    assert printed_by(text) == pytest.approx(-np.sin(x))
