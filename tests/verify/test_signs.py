"""No proof by one sign of a root, and no repair between claim and truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shift", range(1000, 1006))
def test_root_of_a_square_is_not_proved_to_be_its_base(shift):
    verdict = dk.check(
        lambda x: jnp.sqrt((jnp.sum(x**3) + shift) ** 2),
        f"sum(x**3) + {shift}",
        jnp.array([1.0, 2.0]),
        kind="value",
    )
    assert verdict.status in ("undecided", "refuted")


@pytest.mark.parametrize(
    ("function", "claim", "shape"),
    [
        (lambda x: jnp.linalg.norm(3 * x), "3*norm(x)", (2,)),
        (lambda x: jnp.sqrt(jnp.sum(x**2)) ** 2, "sum(x**2)", (3,)),
        (lambda x: jnp.sqrt(4 + 4 * x @ x), "2*sqrt(1 + x@x)", (3,)),
    ],
    ids=["factor", "square", "common factor"],
)
def test_laws_of_roots_are_still_proved(function, claim, shape):
    assert dk.check(function, claim, RANDOM.normal(size=shape), kind="value").status == "proved"


def test_orthogonal_matrices_have_either_determinant():
    shape = jax.ShapeDtypeStruct((3, 3), "float32")
    verdict = dk.check(
        jnp.linalg.det, "1 + 0*trace(a)", shape, domain={"a": "orthogonal"}, kind="value"
    )
    assert verdict.status != "proved"


def test_no_repair_between_claim_and_truth():
    verdict = dk.check(lambda x: jnp.sum(x**2), "2.0000001*x", jnp.array([0.3, 0.8, 0.3, -1.3]))
    assert verdict.status == "refuted"
    assert verdict.repair is None


def test_a_claim_without_values_is_not_proved():
    verdict = dk.check(
        lambda x: jnp.sum(x),
        lambda x: jnp.sum(jnp.exp(jnp.log(x))),
        jnp.array([-1.0, -2.0]),
        kind="value",
    )
    assert verdict.status == "undecided"
    assert "outside the domain of the claim" in verdict.scope
