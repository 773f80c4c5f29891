"""Arithmetic modulo a prime, against Python's own integers."""

import numpy as np
import pytest

from diffkit.numeric import modular
from diffkit.numeric.modular import LARGEST, SHORTEST_BLAS, SMALLEST, SQUARES, Singular

FIELD = modular.drawn(0)
PRIME = FIELD.prime


@pytest.mark.parametrize("inner", [0, 1, SHORTEST_BLAS - 1, SHORTEST_BLAS, 200])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_the_matrix_product_is_exact(inner, batch):
    random = np.random.default_rng(inner)
    a = random.integers(0, PRIME, (*batch, 4, inner))
    b = random.integers(0, PRIME, (inner, 5))
    a[..., :1, :] = PRIME - 1  # the largest residues: nothing may round
    b[:, :1] = PRIME - 1
    exact = (a.astype(object) @ b.astype(object)) % PRIME if inner else np.zeros((*batch, 4, 5))
    assert np.array_equal(FIELD.matmul(a, b), exact.astype(np.int64))


def test_a_long_sum_of_the_largest_residues_is_exact(monkeypatch):
    n = 100_000
    a = np.full((1, n), PRIME - 1)
    assert FIELD.matmul(a, a.T) == n  # (-1)^2 = 1 each
    monkeypatch.setattr(modular, "LONGEST_BLAS", 7)
    assert FIELD.matmul(a[:, :1000], a.T[:1000]) == 1000


def test_a_drawn_prime_is_one_and_makes_squares_of_small_numbers():
    primes = [modular.drawn(seed).prime for seed in range(40)]
    assert len(set(primes)) == 40
    for p in primes:
        assert SMALLEST <= p < LARGEST
        assert p % 4 == 3
        for q in (2, *SQUARES):
            assert pow(q, (p - 1) // 2, p) == 1  # Euler's criterion
    import sympy

    assert all(map(sympy.isprime, primes))


def test_the_root_of_a_small_number_squared_is_the_number():
    for q in (2, 3, 5, 6, 7, 10, 22, 23):
        assert FIELD.root(np.int64(q * q)) == q


def test_a_denominator_that_the_prime_divides_is_no_zero():
    with pytest.raises(Singular, match="divides"):
        FIELD.rational(1, 3 * PRIME)
