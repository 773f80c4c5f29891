"""Claims about functions of arrays: proved, refuted with a reason, repaired."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.verify.check import check

RANDOM = np.random.default_rng(0)
X, w, y = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=3), RANDOM.normal(size=7)
A = RANDOM.normal(size=(4, 4)) + 4 * np.eye(4)
u, t = RANDOM.normal(size=4), RANDOM.normal(size=4)


def mse(X, w, y):
    return jnp.mean((X @ w - y) ** 2)


def bilinear(u, A, t):
    return u @ jnp.linalg.inv(A) @ t


def loss(X, w, y):
    p = jax.nn.sigmoid(X @ w)
    return -jnp.sum(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))


PROVED = {
    "function": (mse, lambda X, w, y: 2 * X.T @ (X @ w - y) / 7, (X, w, y), {"wrt": "w"}),
    "text with a size": (mse, "2*X.T@(X@w-y)/n", (X, w, y), {"wrt": "w"}),
    "latex": (mse, r"\frac{2}{n} X^\top (X w - y)", (X, w, y), {"wrt": "w"}),
    "latex sum": (mse, r"\frac2n\sum_{i=1}^n (x_i^\top w - y_i) x_i", (X, w, y), {"wrt": "w"}),
    "hessian": (mse, "2*X.T@X/n", (X, w, y), {"wrt": "w", "kind": "hessian"}),
    "inverse": (
        bilinear,
        "-inv(A).T @ outer(u, t) @ inv(A).T",
        (u, A, t),
        {"wrt": "A"},
    ),
    "jacobian": (lambda A, x: A @ x, "A", (A, u), {"wrt": "x", "kind": "jacobian"}),
    "jvp": (
        lambda A: jnp.linalg.inv(A),
        lambda A, dA: -jnp.linalg.inv(A) @ dA @ jnp.linalg.inv(A),
        (A,),
        {"kind": "jvp"},
    ),
    "value": (lambda A: jnp.trace(A @ A), "sum(A * A.T)", (A,), {"kind": "value"}),
    "function kind": (
        lambda z: jax.nn.softmax(z),
        lambda z: jnp.exp(z) / jnp.sum(jnp.exp(z)),
        (u,),
        {"kind": "function"},
    ),
    "logistic": (loss, "X.T @ (sigmoid(X@w) - y)", (X, w, y), {"wrt": "w"}),
}


@pytest.mark.parametrize("name", PROVED)
def test_a_true_claim_is_proved(name):
    f, claim, args, options = PROVED[name]
    verdict = check(f, claim, *args, **options)
    assert verdict.status == "proved", verdict.explain()


REFUTED = {
    "missing 1/n": (mse, "2*X.T@(X@w-y)", (X, w, y), {"wrt": "w"}, "missing 1/n"),
    "sign": (mse, "-2*X.T@(X@w-y)/7", (X, w, y), {"wrt": "w"}, "sign"),
    "factor": (mse, "X.T@(X@w-y)/7", (X, w, y), {"wrt": "w"}, "factor 2"),
    "transpose": (
        bilinear,
        "-inv(A) @ outer(u, t) @ inv(A)",
        (u, A, t),
        {"wrt": "A"},
        "transpose of A",
    ),
    "symmetric only": (
        lambda x, A: x @ A @ x,
        "2*A@x",
        (u, A),
        {"wrt": "x"},
        "symmetrise in A",
    ),
    "term": (
        lambda A: jnp.linalg.slogdet(A)[1] + jnp.sum(A**2),
        "inv(A).T - 2*A",
        (A,),
        {},
        "sign of term",
    ),
    "chain factor": (
        lambda X, w, y: jnp.sum(y * jnp.tanh(X @ w)),
        "X.T @ y",
        (X, w, y),
        {"wrt": "w"},
        "missing chain factor",
    ),
}


@pytest.mark.parametrize("name", REFUTED)
def test_a_wrong_claim_is_refuted_and_its_repair_proved(name):
    f, claim, args, options, edit = REFUTED[name]
    verdict = check(f, claim, *args, **options)
    assert verdict.status == "refuted", verdict.explain()
    assert verdict.repair is not None
    assert verdict.repair.edit.startswith(edit)
    assert verdict.repair.status == "proved"
    assert set(verdict.counterexample) >= {"w"} or verdict.counterexample


def test_a_claim_for_symmetric_matrices_says_so():
    verdict = check(lambda x, A: x @ A @ x, "2*A@x", u, A, wrt="x")
    assert verdict.diagnosis == "holds for symmetric A"
    declared = check(
        lambda x, A: x @ A @ x, "2*A@x", u, A + A.T, wrt="x", assume={"A": "symmetric"}
    )
    assert declared.status == "proved"


def test_a_wrong_shape_is_refuted_and_a_flattened_jacobian_accepted():
    assert check(mse, "X.T@X", X, w, y, wrt="w").status == "refuted"
    flat = check(
        lambda W, x: W @ x, lambda W, x: jnp.kron(jnp.eye(4), x[None, :]), A, u, kind="jacobian"
    )
    assert flat.status == "proved"
    assert any("flattening" in text for text in flat.assumptions)


def test_two_open_sizes_are_asked_for():
    with pytest.raises(UsageError, match="constants"):
        check(lambda x: jnp.sum(x), "ones(4)*m/N", u, wrt="x")
    verdict = check(mse, "2*X.T@(X@w-y)/N", X, w, y, wrt="w", constants={"N": 7})
    assert verdict.status == "proved"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UnknownNameError, match="X, w, y"):
        check(mse, "2*Z.T@(X@w-y)", X, w, y, wrt="w")


def test_a_claim_that_cannot_be_read_is_judged_by_its_values():
    verdict = check(
        lambda x: jnp.sum(x**2), lambda x: 2 * jnp.sort(x)[jnp.argsort(jnp.argsort(x))], u
    )
    assert verdict.status in ("supported", "proved"), verdict.explain()
    wrong = check(lambda x: jnp.sum(x**2), lambda x: 2 * jnp.sort(x), u)
    assert wrong.status == "refuted"


def test_the_same_seed_gives_the_same_verdict():
    first, second = (check(mse, "2*X.T@(X@w-y)", X, w, y, wrt="w", seed=3) for _ in range(2))
    assert first.to_json() == second.to_json()


def test_configuration_is_left_as_it_is():
    before = jax.config.jax_enable_x64
    check(mse, "2*X.T@(X@w-y)/n", X, w, y, wrt="w")
    assert jax.config.jax_enable_x64 == before
