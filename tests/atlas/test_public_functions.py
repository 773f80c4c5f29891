"""A public function is listed because its gradient was measured, or unlisted with the reason."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from diffkit.atlas import public_functions as atlas
from diffkit.atlas.public_functions import PublicFunction, find, public_names
from diffkit.atlas.recipes import ARRAYS
from diffkit.backend import compat
from diffkit.core.errors import UsageError

LISTED = (
    "jax.nn.softmax",
    "jax.nn.logsumexp",
    "jax.numpy.add",
    "jax.numpy.einsum",
    "jax.numpy.trace",
    "jax.numpy.linalg.inv",
    "jax.numpy.linalg.slogdet",
    "jax.numpy.linalg.solve",
    "jax.scipy.linalg.cholesky",
    "jax.scipy.special.polygamma",
    "jax.scipy.stats.norm.logpdf",
    "optax.losses.softmax_cross_entropy",
)
UNLISTED = {
    "jax.numpy.floor": atlas.ZERO,
    "jax.numpy.sign": atlas.ZERO,
    "jax.numpy.argmax": atlas.INTEGERS,
    "jax.numpy.isfinite": atlas.INTEGERS,
    "jax.numpy.linalg.eigvals": atlas.COMPLEX,
    "jax.numpy.savez": "reads or writes a file",
    "jax.numpy.set_printoptions": "changes or shows a setting",
    "jax.numpy.gcd": "works on integers only",
}


@pytest.fixture(scope="module")
def names():
    return public_names()


@pytest.mark.parametrize("name", LISTED)
def test_a_function_with_a_gradient_is_listed(names, name: str):
    found = find(name, names[name])
    assert isinstance(found, PublicFunction), found
    assert found.name == name
    assert found.wrt


@pytest.mark.parametrize("name", UNLISTED)
def test_a_function_without_a_gradient_is_unlisted_with_the_reason(names, name: str):
    found = find(name, names[name])
    assert isinstance(found, str)
    assert found.startswith(UNLISTED[name])


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: jnp.round(x), atlas.ZERO),
        (lambda x: jnp.sum(x) * jnp.nan, atlas.NOT_FINITE),
        (lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: c + jnp.abs(x), x), atlas.NO_RULE),
        (lambda x: x + 1j, atlas.COMPLEX),
        (lambda x: x > 0.5, atlas.INTEGERS),
        (lambda x: None, atlas.NO_ARRAYS),
        (lambda x: x if x[0] > 0 else -x, atlas.NEEDS),
        (lambda *, axis: axis, atlas.NEEDS),
    ],
)
def test_every_way_to_have_no_gradient_has_its_reason(function, reason: str):
    found = find("jax.numpy.unheard_of", function)
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_an_argument_without_a_rule_does_not_spoil_the_others():
    def function(x, y):
        return x * lax.while_loop(lambda c: c[0] < 3, lambda c: c + y, y)

    found = find("jax.numpy.unheard_of", function)
    assert isinstance(found, PublicFunction)
    assert found.wrt == (0,)
    ((position, reason),) = found.without
    assert position == 1
    assert reason.startswith(atlas.NO_RULE)


def test_an_argument_by_which_a_function_is_constant_is_listed_as_such(names):
    found = find("jax.scipy.stats.uniform.pdf", names["jax.scipy.stats.uniform.pdf"])
    assert found.wrt == (2,)  # the scale alone
    assert found.zero == (0, 1)
    assert found.without == ()


def test_a_zero_that_differences_contradict_is_examined():
    found = find("jax.numpy.unheard_of", lambda x, y: x * jnp.sin(lax.stop_gradient(y)))
    assert found.wrt == (0, 1)
    assert found.zero == ()


@pytest.mark.parametrize("size", [1.0, 1e-8, 1e8])
def test_a_jump_is_no_derivative_at_any_size(size):
    # ties: every step of the first entry jumps over the others
    def function(x):
        return size * (x[0] > x[1]) + 0 * jnp.sum(x)

    candidate = PublicFunction("jax.numpy.unheard_of", function, (np.array([0.5, 0.5]),))
    with compat.x64():
        assert not atlas._moves(candidate, 0)


def test_an_infinite_gradient_at_a_finite_value_is_examined():
    @jax.custom_jvp
    def sine(x):
        return jnp.sin(x)

    sine.defjvp(lambda x, v: (jnp.sin(x[0]), jnp.nan * v[0]))
    found = find("jax.numpy.unheard_of", sine)
    assert isinstance(found, PublicFunction)
    assert found.wrt == (0,)
    assert isinstance(find("jax.numpy.unheard_of", lambda x: jnp.log(-x) * 0), str)


def test_an_alias_is_listed_once_under_its_first_name(names):
    assert jax.nn.swish is jax.nn.silu
    assert "jax.nn.silu" in names
    assert "jax.nn.swish" not in names


def test_an_alias_in_a_later_module_is_not_listed_there_alone():
    assert jax.scipy.special.logsumexp is jax.nn.logsumexp
    assert "jax.scipy.special.logsumexp" not in public_names(["jax.scipy.special"])


def test_classes_and_private_names_are_no_functions(names):
    assert not any(name.rpartition(".")[2].startswith("_") for name in names)
    assert not {"jax.numpy.float32", "jax.numpy.ndarray", "jax.scipy.stats.gaussian_kde"} & set(
        names
    )


def test_two_enumerations_are_equal():
    first, second = (atlas.public_functions(["jax.nn"]) for _ in range(2))
    assert [each.name for each in first] == [each.name for each in second]
    assert len(first) > 20
    for one, other in zip(first, second, strict=True):
        assert one.wrt == other.wrt
        with compat.x64():
            assert one.scalar(*one.args) == other.scalar(*other.args)


def test_an_unknown_module_is_answered_with_the_known():
    with pytest.raises(UsageError, match=r"jax\.fft is not listed; choose from jax\.nn"):
        public_names(["jax.fft"])


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 3), (2, 1, 5)])
def test_weights_are_distinct_in_size_and_never_zero(rng, shape: tuple[int, ...]):
    found = np.abs(atlas.weights(rng, shape)).ravel()
    assert np.all(found > 0)
    assert len(set(found.tolist())) == found.size


def test_equal_weights_would_hide_the_gradient_of_softmax():
    # softmax sums to 1, so the gradient of its plain sum is zero at every point
    plain = jax.grad(lambda x: jnp.sum(jax.nn.softmax(x)))(jnp.asarray(ARRAYS["z"]))
    assert float(jnp.max(jnp.abs(plain))) < 1e-6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_most_public_functions_have_a_gradient(names):
    found = {name: find(name, function) for name, function in names.items()}
    listed = [each for each in found.values() if isinstance(each, PublicFunction)]
    assert len(listed) >= 450  # 500 with JAX 0.10.2 and Optax 0.2.8
    assert {each.name for each in listed} >= set(LISTED)
    assert all(found[name] for name in found)
