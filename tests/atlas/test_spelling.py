"""Calls of public functions as code that runs and says the same."""

import contextlib
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.atlas.public_functions import find, public_names
from diffkit.atlas.questions import argument_names, question
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
    module = __import__(name.rpartition(".")[0], fromlist=["x"])
    root = {name.partition(".")[0]: __import__(name.partition(".")[0])}
    assert module is not None
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
    trap = {
        "point": what.values,
        "dtype": "float64",
        "order": 1,
        "value": float(gradient),
        "truth": 0.0,
        "direction": direction,
    }
    text = reproducer(function, what, trap)
    assert "diffkit" not in text
    printed = io.StringIO()
    before = jax.config.jax_enable_x64
    try:
        with contextlib.redirect_stdout(printed):
            exec(text, {})  # our own text
    finally:
        jax.config.update("jax_enable_x64", before)
    assert float(printed.getvalue()) == pytest.approx(float(gradient), rel=1e-6)
