"""Arithmetic modulo a prime, against Python's own integers."""

import numpy as np
import pytest

from diffkit.numeric import modular
from diffkit.numeric.modular import PRIME, SHORTEST_BLAS


@pytest.mark.parametrize("inner", [0, 1, SHORTEST_BLAS - 1, SHORTEST_BLAS, 200])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_the_matrix_product_is_exact(inner, batch):
    random = np.random.default_rng(inner)
    a = random.integers(0, PRIME, (*batch, 4, inner))
    b = random.integers(0, PRIME, (inner, 5))
    a[..., :1, :] = PRIME - 1  # the largest residues: nothing may round
    b[:, :1] = PRIME - 1
    exact = (a.astype(object) @ b.astype(object)) % PRIME if inner else np.zeros((*batch, 4, 5))
    assert np.array_equal(modular.matmul(a, b), exact.astype(np.int64))


def test_a_long_sum_of_the_largest_residues_is_exact(monkeypatch):
    n = 100_000
    a = np.full((1, n), PRIME - 1)
    assert modular.matmul(a, a.T) == n  # (-1)^2 = 1 each
    monkeypatch.setattr(modular, "LONGEST_BLAS", 7)
    assert modular.matmul(a[:, :1000], a.T[:1000]) == 1000
