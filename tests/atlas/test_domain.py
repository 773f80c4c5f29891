"""Which points are outside a function's domain, and where differences are no derivative."""

from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.atlas.domain import is_differentiable, outside, peer
from diffkit.atlas.public_functions import PublicFunction, find, public_names
from diffkit.atlas.questions import Question, question


@cache
def listed(name: str) -> PublicFunction:
    found = find(name, public_names()[name])
    assert isinstance(found, PublicFunction)
    return found


def leaves(*values):
    return tuple(np.asarray(value, np.float64) for value in values)


@pytest.mark.parametrize(
    ("name", "point", "wrt", "said"),
    [
        ("jax.scipy.stats.norm.logpdf", (0.2, 0.0, 1.0), 2, ""),
        ("jax.scipy.stats.norm.logpdf", (0.2, 0.0, 1e-25), 2, ""),
        ("jax.scipy.stats.norm.logpdf", (0.2, 0.0, 0.0), 2, "another value, or none, here"),
        ("jax.scipy.stats.norm.logpdf", (0.2, 0.0, -1.0), 2, "another value, or none, here"),
        ("jax.scipy.stats.binom.pmf", ([1.0] * 4,), 0, "another value, or none, beside it"),
        ("jax.scipy.special.xlogy", (0.0, 0.0), 1, ""),
        ("jax.numpy.sinc", (1e-25,), 0, ""),
        ("jax.numpy.log", (-1.0,), 0, "another value, or none, here"),
        ("jax.nn.gelu", (1e25,), 0, ""),  # nobody else has it: the whole line is its domain
    ],
)
def test_scipy_and_numpy_say_where_a_function_is_defined(name, point, wrt, said):
    found = outside(listed(name), leaves(*point), wrt)
    assert said in found
    assert bool(said) == bool(found)


def test_a_refusal_of_scipy_is_one_sentence():
    dirichlet = listed("jax.scipy.stats.dirichlet.pdf")
    x, alpha = dirichlet.args
    assert outside(dirichlet, (x, alpha), 1) == ""
    assert outside(dirichlet, (x, 0 * alpha), 1) == (
        "SciPy refuses it: All parameters must be greater than 0"
    )


def test_a_peer_that_means_another_function_is_not_heard():
    """A function named like one of NumPy, with another value everywhere."""
    strange = PublicFunction("jax.numpy.log", lambda x: jnp.log(x) + 1, leaves(0.5), (0,))
    assert outside(strange, leaves(-1.0), 0) == ""
    assert peer("jax.numpy.no_such") is None


def test_an_error_of_jax_itself_is_no_opinion_of_its_peer():
    def refuses_twos(x):
        if np.any(np.asarray(x) > 1.5):
            raise TypeError("JAX refuses it")
        return jnp.log(x)

    function = PublicFunction("jax.numpy.log", refuses_twos, leaves(0.5), (0,))
    assert outside(function, leaves(2.0), 0) == ""
    assert outside(function, leaves(-1.0), 0) == "NumPy has another value, or none, here"


def asked(call, *args) -> Question:
    return question(PublicFunction("jax.numpy.planted", call, leaves(*args), (0,)), 0)


@pytest.mark.parametrize("size", [1e-9, 1e-12])
def test_quotients_near_zero_are_not_drowned_by_the_size_of_the_value(size):
    """The exponential of a small matrix is 1 on the diagonal: steps of 1e-15 would be rounding."""
    expm = listed("jax.scipy.linalg.expm")
    (matrix,) = expm.args
    along = np.zeros(matrix.shape)
    along[0, 1] = 1.0
    assert is_differentiable(question(expm, 0), (size * matrix,), along)


@pytest.mark.parametrize(
    ("call", "point", "expected"),
    [
        (lambda x: jnp.sum(x**2) + x[0] * x[1], [1.0, 2.0], True),
        (lambda x: jnp.sum(x**3), [0.0, 0.0], True),
        (lambda x: jnp.max(x), [1.0, 1.0], False),
        (lambda x: jnp.abs(x[0]) + x[1], [0.0, 1.0], False),
        # odd along every axis, so smooth along each, and not linear
        (lambda x: x[0] ** 2 * x[1] / jnp.sum(x**2 + 1e-300), [0.0, 0.0], False),
    ],
)
def test_quotients_of_a_derivative_add_up(call, point, expected):
    question = asked(call, point)
    along = np.array([1.0, 0.0])
    assert is_differentiable(question, leaves(point), along) is expected
