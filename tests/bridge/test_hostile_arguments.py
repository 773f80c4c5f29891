"""What is no array function of real arrays gets one sentence with the remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.core.errors import CertificateError, DomainError, UsageError

RANDOM = np.random.default_rng(0)
X, W, Y = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=3), RANDOM.normal(size=5)


def loss(X, w, y):
    return jnp.sum((X @ w - y) ** 2)


def test_complex_argument():
    with pytest.raises(UsageError, match=r"z is complex.*real and imaginary part"):
        dk.derive(lambda z: jnp.sum(jnp.abs(z)), np.ones(3) + 1j)


def test_claim_that_raises():
    with pytest.raises(UsageError, match=r"raises ZeroDivisionError.*mend it"):
        dk.check(loss, lambda X, w, y: 1 / 0, X, W, Y, wrt="w")


def test_claim_that_is_no_claim():
    with pytest.raises(UsageError, match=r"a claim is a JAX function, text, LaTeX.*not a list"):
        dk.check(loss, [1, 2, 3], X, W, Y, wrt="w")


def test_argument_outside_its_domain():
    with pytest.raises(DomainError, match=r"S is not in its domain.*only its shape"):
        dk.check(lambda S: jnp.trace(S), "eye(3)", np.ones((3, 3)), domain={"S": "orthogonal"})


def test_data_of_a_closure_keeps_its_digits_and_gets_a_name():
    data = X[:2]
    found = dk.derive(lambda w: jnp.mean((jnp.asarray(data) @ w) ** 2), W)
    assert "a constant of shape" in str(found)
    assert np.allclose(found(W), data.T @ (data @ W), rtol=1e-6)


def test_large_data_of_a_closure_belongs_into_an_argument():
    data = RANDOM.normal(size=(500, 100))
    with pytest.raises(UsageError, match=r"50000 entries; pass it as an argument"):
        dk.derive(lambda w: jnp.mean((jnp.asarray(data) @ w) ** 2), RANDOM.normal(size=100))


def test_compiled_derivative_keeps_its_shapes():
    found = dk.derive(lambda w, y: jnp.sum((w - y) ** 2), W, W)
    with pytest.raises(UsageError, match="lift the function again at the new shapes"):
        found(W, W[:, None])


def test_kink_at_the_given_point_is_told():
    found = dk.derive(lambda w: jnp.sum(jnp.abs(w)), np.zeros(3))
    assert any("is a kink" in note for note in found.notes)
    assert np.allclose(found(W), np.sign(W))


@pytest.mark.parametrize(
    ("function", "point"),
    [(jnp.prod, np.array([0.0, 2.0, 3.0])), (jnp.linalg.det, np.ones((3, 3)))],
    ids=["product", "determinant"],
)
def test_closed_form_without_value_at_the_given_point_is_told(function, point):
    found = dk.derive(lambda x: function(x), point)
    assert any("not finite at the given point" in note for note in found.notes)


def test_stop_gradient_is_refused_with_its_reason():
    with pytest.raises(CertificateError, match="holds stop_gradient"):
        dk.derive(lambda x: jnp.sum(x + jax.lax.stop_gradient(jnp.round(x) - x)), np.full(3, 0.3))


def test_loop_of_open_length_is_compared_forwards():
    def grown(x):
        return jax.lax.while_loop(lambda s: jnp.sum(s) < 50, lambda s: s * 2, jnp.abs(x)).sum()

    with jax.enable_x64(True):
        assert np.allclose(dk.derive(grown, np.ones(4))(np.ones(4)), 16.0)


def test_an_empty_variable_is_no_question():
    with pytest.raises(UsageError, match="w is empty, so nothing is claimed"):
        dk.check(lambda w: jnp.sum(w**2), "17*w", np.zeros(0))


def test_leaf_and_parameter_of_one_name():
    with pytest.raises(UsageError, match="one name in claims"):
        dk.check(lambda p, p_W: jnp.sum(p["W"] * p_W), "p_W", {"W": W}, W, wrt="p.W")


@pytest.mark.parametrize(
    "options",
    [
        {"assume": "spd"},
        {"assume": {"w": 3}},
        {"domain": 3},
        {"constants": {"n": "a"}},
        {"constants": 5},
    ],
    ids=str,
)
def test_options_of_a_wrong_type(options):
    with pytest.raises(UsageError, match=r"domain|whole numbers"):
        dk.check(lambda w: jnp.sum(w**2), "2*w", W, **options)


def test_a_relation_is_no_claim_about_arrays():
    with pytest.raises(UsageError, match="relation, which is judged for formulas of numbers"):
        dk.check(lambda w: jnp.sum(w**2), ">= 0", W, kind="value")


def raises(x):
    raise KeyError("a")


@pytest.mark.parametrize("value", [1.0, W])
@pytest.mark.parametrize("ask", [dk.lift, dk.derive, lambda f, x: dk.check(f, "x", x)])
def test_function_that_raises(ask, value):
    with pytest.raises(UsageError, match=r"raises KeyError: 'a'; mend it"):
        ask(raises, value)


def test_conventions_of_arrays_are_refused_not_ignored():
    with pytest.raises(UsageError, match=r"conventions= holds for formulas of numbers"):
        dk.derive(lambda x: jnp.sum(jnp.abs(x)), W, conventions={"abs0": 1})


def test_constant_that_is_called_like_an_argument():
    with pytest.raises(UsageError, match=r"constants= gives w a length"):
        dk.check(loss, "2*X.T@(X@w - y)", X, W, Y, wrt="w", constants={"w": 2})


def test_claim_of_several_arrays():
    with pytest.raises(UsageError, match=r"returns 2 arrays; return one"):
        dk.check(loss, lambda X, w, y: (w, w), X, W, Y, wrt="w")


def test_claim_of_one_array_in_a_tuple():
    verdict = dk.check(loss, lambda X, w, y: (2 * X.T @ (X @ w - y),), X, W, Y, wrt="w")
    assert verdict.status == "proved"


def test_python_number_beside_float32():
    # in float64 the number is float64 and lax.pad wants one dtype
    def padded(x):
        return jnp.sum(jax.lax.pad(x, 0.0, [(1, 1, 0)]) ** 2)

    found = dk.derive(padded, jnp.ones(3, "float32"))
    assert np.allclose(found(jnp.arange(3.0)), [0, 2, 4])
