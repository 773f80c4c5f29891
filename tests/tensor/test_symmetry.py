"""Gradients by a symmetric matrix under both conventions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.backend import compat
from diffkit.bridge.derive import derive
from diffkit.bridge.lift import lift
from diffkit.core.errors import UsageError
from diffkit.tensor.symmetry import COUNTED_ONCE, UNCONSTRAINED
from diffkit.verify.check import check

S = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, 0.2], [0.1, 0.2, 1.0]])


def logdet(S):
    return jnp.linalg.slogdet(S)[1]


def by_lower_entries(f, S):
    """The derivative by the free entries, by JAX through the map that mirrors them."""
    rows, columns = np.tril_indices(len(S))

    def mirrored(entries):
        lower = jnp.zeros(S.shape).at[rows, columns].set(entries)
        return lower + lower.T - jnp.diag(jnp.diag(lower))

    with compat.x64():
        found = jax.grad(lambda e: f(mirrored(e)))(jnp.asarray(S[rows, columns]))
    full = np.zeros(S.shape)
    full[rows, columns] = found
    return full + full.T - np.diag(np.diag(full))


def test_both_conventions_are_given_by_name():
    with compat.x64():
        found = lift(logdet, S, assume={"S": "symmetric"}).symmetric_gradients("S")
        free, once = found[UNCONSTRAINED](S), found[COUNTED_ONCE](S)
    assert np.allclose(free, np.linalg.inv(S))
    assert np.allclose(once, by_lower_entries(logdet, S))
    assert not np.allclose(free, once)


def test_an_undeclared_matrix_has_one_convention():
    with pytest.raises(UsageError, match="not declared symmetric"):
        lift(logdet, S).symmetric_gradients("S")


@pytest.mark.parametrize(
    ("claim", "is_noted"), [("inv(S)", False), ("2*inv(S) - diag(diag(inv(S)))", True)]
)
def test_a_claim_in_either_convention_is_proved_and_the_convention_named(claim, is_noted):
    verdict = check(logdet, claim, S, assume={"S": "symmetric"})
    assert verdict.status == "proved", verdict.explain()
    assert any(COUNTED_ONCE in text for text in verdict.assumptions) is is_noted


def test_a_mixture_of_the_conventions_is_refuted():
    assert check(logdet, "2*inv(S)", S, assume={"S": "symmetric"}).status == "refuted"


def test_derive_names_the_other_convention():
    notes = derive(logdet, S, assume={"S": "spd"}).notes
    assert any(COUNTED_ONCE in note for note in notes)
