"""Closed forms of derivatives of array functions, with evidence and steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.bridge.derive import derive
from diffkit.core.errors import CertificateError, UsageError
from diffkit.verify.check import check

RANDOM = np.random.default_rng(0).normal
X, w, y = RANDOM(size=(7, 3)), RANDOM(size=3), RANDOM(size=7)
A = RANDOM(size=(3, 3)) + 3 * np.eye(3)


def mse(X, w, y):
    return jnp.mean((X @ w - y) ** 2)


def net(W1, W2, x, y):
    a = jnp.tanh(W1 @ x)
    return 0.5 * jnp.sum((W2 @ a - y) ** 2)


NET = [RANDOM(size=s) for s in ((4, 3), (2, 4), 3, 2)]


def test_all_gradients_come_from_one_call_and_are_certified():
    found = derive(mse, X, w, y, wrt=("w", "X", "y"))
    assert [formula.shape for formula in found.formula] == [(3,), (7, 3), (7,)]
    assert found.certificate.error <= found.certificate.bound
    values = found(X, w, y)
    for value, place in zip(values, (1, 0, 2), strict=True):
        assert np.allclose(value, jax.grad(mse, place)(X, w, y), rtol=1e-4, atol=1e-5)


def test_the_text_is_matrix_algebra():
    assert str(derive(mse, X, w, y, wrt="w")) == "2/7 Xᵀ(Xw − y)"
    assert str(derive(lambda S: jnp.linalg.slogdet(S)[1], A)) == "S⁻ᵀ"
    assert derive(mse, X, w, y, wrt="w").latex() == r"\frac{2}{7} X^{\top} (X w - y)"


def test_a_hessian_and_a_jacobian():
    assert str(derive(mse, X, w, y, wrt="w", order=2)) == "2/7 XᵀX"
    assert derive(lambda A, w: A @ w, A, w, wrt="w").formula.shape == (3, 3)


def test_steps_show_backpropagation():
    steps = derive(net, *NET, wrt="W1").steps
    assert any("(W₂ᵀ" in step.equation() for step in steps)
    with pytest.raises(UsageError, match="gradient of a number"):
        _ = derive(net, *NET, wrt="W1", order=2).steps


def test_activations_where_pre_activations_stand_are_refuted_and_repaired():
    """The lectures' slip: the gradient by W2 is delta times the activation, not its argument."""

    def printed(W1, W2, x, y):
        z = W1 @ x
        return jnp.outer(W2 @ jnp.tanh(z) - y, z)

    verdict = check(net, printed, *NET, wrt="W2")
    assert verdict.status == "refuted"
    assert verdict.repair.edit == "missing activation"
    assert verdict.repair.status == "proved"


def test_a_function_with_a_wrong_rule_has_no_certificate():
    @jax.custom_jvp
    def square(x):
        return x @ x

    square.defjvp(lambda primals, tangents: (square(*primals), 3 * primals[0] @ tangents[0]))
    with pytest.raises(CertificateError, match="custom rule"):
        derive(square, w)


def test_a_domain_of_matrices_is_drawn_from():
    found = derive(
        lambda S: jnp.linalg.slogdet(jnp.linalg.cholesky(S))[1], np.eye(3), domain={"S": "spd"}
    )
    assert found.certificate.error <= found.certificate.bound


def test_data_of_a_derivation_are_plain():
    data = derive(mse, X, w, y, wrt="w").to_dict()
    assert data["result"] == ["2/7 Xᵀ(Xw − y)"]
    assert data["steps"][-1]["rule"] == "gradient"
