"""Arithmetic modulo primes below 2**31 on NumPy arrays: exact, fast, and blind to rounding.

Products of two residues fit in 63 bits.  A prime leaves remainder 3 on division by 4, so the root
of a square is one power, and exactly one of the two roots is a square itself: taking that one makes
sqrt(a) sqrt(b) = sqrt(a b) hold.  That this is the positive root of an ordinary number needs the
number itself to be a square: the primes that are drawn make squares of 2, 3, 5, ..., 23.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import flint
import numpy as np

#: Odd primes that are squares modulo every prime that is drawn; so is 2.
SQUARES = (3, 5, 7, 11, 13, 17, 19, 23)
#: The primes that are drawn lie between these; there are about 50,000.
SMALLEST, LARGEST = 2**30, 2**31
#: Sums of at least this many products go to BLAS, in pieces of so many: NumPy multiplies matrices
#: of integers without it, up to 17 times slower.
SHORTEST_BLAS, LONGEST_BLAS = 16, 1 << 19

Array = Any


class NotASquare(ArithmeticError):
    """A residue has no square root; draw another point."""


class Singular(ArithmeticError):
    """A matrix or number has no inverse; draw another point."""


@lru_cache(maxsize=4096)
def drawn(seed: int) -> "Field":
    """The field of a random prime; the same seed, the same prime."""
    random = np.random.default_rng((seed, SMALLEST))
    while True:
        start = int(random.integers(SMALLEST, LARGEST)) // 8 * 8 + 7
        candidates = start + 8 * np.arange(_WINDOW)
        is_good = candidates < LARGEST
        for q in SQUARES:
            is_good &= _makes_a_square(q)[candidates % q]
        for prime in candidates[is_good].tolist():
            if flint.fmpz(prime).is_prime():
                return Field(prime)


#: Candidates that are looked at together; about one in a hundred thousand numbers is good.
_WINDOW = 1 << 16


@lru_cache
def _makes_a_square(q: int) -> Array:
    """Residues r of p modulo q for which q is a square modulo p, by reciprocity for p % 4 == 3."""
    squares = {k * k % q for k in range(1, q)}
    is_square = np.array([r in squares for r in range(q)])
    found = is_square if q % 4 == 1 else ~is_square
    found[0] = False
    return found


@dataclass(frozen=True)
class Field:
    """Residues modulo a prime.

    Args:
        prime: p < 2**31 with p % 4 == 3: the root of a square is one power of it.
    """

    prime: int

    def rational(self, numerator: int, denominator: int) -> int:
        """A fraction as a residue.

        Raises:
            Singular: the prime divides the denominator.
        """
        if denominator % self.prime == 0:
            raise Singular("the prime divides a denominator")
        return (
            numerator
            % self.prime
            * pow(denominator % self.prime, self.prime - 2, self.prime)
            % self.prime
        )

    def power(self, a: Array, exponent: int) -> Array:
        """A whole power, entry by entry.

        Raises:
            Singular: a negative power of 0.
        """
        a = np.asarray(a, dtype=np.int64)
        if exponent < 0:
            if np.any(a == 0):
                raise Singular("0 has no inverse")
            return self.power(self.power(a, self.prime - 2), -exponent)
        result = np.ones_like(a)
        while exponent:
            if exponent & 1:
                result = result * a % self.prime
            a = a * a % self.prime
            exponent >>= 1
        return result

    def root(self, a: Array) -> Array:
        """The square root that is a square itself.

        Raises:
            NotASquare: an entry has none.
        """
        found = self.power(a, (self.prime + 1) // 4)
        if np.any(found * found % self.prime != a):
            raise NotASquare("an entry is no square")
        return found

    def matmul(self, a: Array, b: Array) -> Array:
        """The matrix product of the last two axes, earlier ones broadcast."""
        if a.shape[-1] < SHORTEST_BLAS:
            return self._short_matmul(a, b)
        total: Array = np.int64(0)
        for first in range(0, a.shape[-1], LONGEST_BLAS):
            part = slice(first, first + LONGEST_BLAS)
            total = (total + self._blas_matmul(a[..., part], b[..., part, :])) % self.prime
        return total

    def _short_matmul(self, a: Array, b: Array) -> Array:
        """The same in integers: halves have 16 bits, so few products stay below 2**62."""
        upper = (a >> 16) @ b % self.prime
        lower = (a & 0xFFFF) @ b % self.prime
        return ((upper << 16) + lower) % self.prime

    def _blas_matmul(self, a: Array, b: Array) -> Array:
        """The same in float64: 2**19 products of halves, two of them each, stay below 2**53."""
        (a_high, a_low), (b_high, b_low) = (
            ((x >> 16).astype(np.float64), (x & 0xFFFF).astype(np.float64)) for x in (a, b)
        )
        high, middle, low = (
            x.astype(np.int64) % self.prime
            for x in (a_high @ b_high, a_high @ b_low + a_low @ b_high, a_low @ b_low)
        )
        return ((((high << 16) + middle) % self.prime << 16) + low) % self.prime

    def contract(
        self,
        operands: Sequence[tuple[Array, Sequence[int]]],
        out: Sequence[int],
        sizes: dict[int, int],
    ) -> Array:
        """A product summed over the labels `out` lacks, operand by operand."""
        remaining = [(np.asarray(x, dtype=np.int64), list(labels)) for x, labels in operands]
        x, labels = remaining.pop(0)
        x, labels = _diagonal(x, labels)
        x, labels = self._sum_alone(x, labels, remaining, out)
        while remaining:
            k = _next(labels, remaining)
            y, others = remaining.pop(k)
            y, others = _diagonal(y, others)
            y, others = self._sum_alone(y, others, [(x, labels), *remaining], out)
            x, labels = self._pair(x, labels, y, others, remaining, out)
        missing = [label for label in out if label not in labels]
        shape = [*x.shape, *(sizes[label] for label in missing)]
        x = np.broadcast_to(x.reshape((*x.shape, *(1 for _ in missing))), shape)
        labels = [*labels, *missing]
        return np.transpose(x, [labels.index(label) for label in out])

    def _sum_alone(
        self, x: Array, labels: list[int], rest: list[tuple[Array, list[int]]], out: Sequence[int]
    ) -> tuple[Array, list[int]]:
        elsewhere = {label for _, others in rest for label in others} | set(out)
        gone = [k for k, label in enumerate(labels) if label not in elsewhere]
        if gone:
            x = x.sum(axis=tuple(gone)) % self.prime
            labels = [label for k, label in enumerate(labels) if k not in gone]
        return x, labels

    def _pair(
        self,
        x: Array,
        left: list[int],
        y: Array,
        right: list[int],
        rest: list[tuple[Array, list[int]]],
        out: Sequence[int],
    ) -> tuple[Array, list[int]]:
        """One product of two operands as a batched matrix product."""
        later = {label for _, others in rest for label in others} | set(out)
        batch = [l for l in left if l in right and l in later]
        summed = [l for l in left if l in right and l not in later]
        rows = [l for l in left if l not in right]
        columns = [l for l in right if l not in left]
        a = np.transpose(x, [left.index(l) for l in (*batch, *rows, *summed)])
        b = np.transpose(y, [right.index(l) for l in (*batch, *summed, *columns)])
        lengths = {
            l: n for ls, z in ((left, x), (right, y)) for l, n in zip(ls, z.shape, strict=True)
        }
        size = {
            k: int(np.prod([lengths[l] for l in ls], dtype=np.int64))
            for k, ls in (("b", batch), ("r", rows), ("s", summed), ("c", columns))
        }
        a = a.reshape(size["b"], size["r"], size["s"])
        b = b.reshape(size["b"], size["s"], size["c"])
        found = self.matmul(a, b)
        labels = [*batch, *rows, *columns]
        return found.reshape([lengths[l] for l in labels]), labels

    def inverse(self, matrix: Array) -> Array:
        """The inverse of the last two axes.

        Raises:
            Singular: there is none.
        """
        return _each(matrix, self._inverse)

    def determinant(self, matrix: Array) -> Array:
        """The determinant of the last two axes."""
        batch = matrix.shape[:-2]
        flat = matrix.reshape(-1, *matrix.shape[-2:])
        found = [int(self._flint(each).det()) for each in flat]
        return np.asarray(found, dtype=np.int64).reshape(batch)

    def _flint(self, matrix: Array) -> Any:
        rows, columns = matrix.shape
        return flint.nmod_mat(rows, columns, [int(v) for v in matrix.ravel()], self.prime)

    def _inverse(self, matrix: Array) -> Array:
        try:
            found = self._flint(matrix).inv()
        except ZeroDivisionError as error:
            raise Singular("the matrix is singular") from error
        return np.asarray([int(v) for v in found.entries()], dtype=np.int64).reshape(matrix.shape)

    def inverse_gaps(self, values: Array) -> Array:
        """1/(w_j - w_i) off the diagonal, 0 on it."""
        gaps = (values[..., None, :] - values[..., :, None]) % self.prime
        eye = np.eye(values.shape[-1], dtype=np.int64)
        return self.power((gaps + eye) % self.prime, -1) * (1 - eye) % self.prime

    def cholesky(self, matrix: Array) -> Array:
        """L with L L' = S, from squares of the pivots.

        Raises:
            NotASquare: a pivot has no root.
            Singular: a pivot is 0.
        """
        return _each(matrix, self._cholesky)

    def _cholesky(self, matrix: Array) -> Array:
        n = len(matrix)
        left = np.zeros_like(matrix)
        for j in range(n):
            row = left[j, :j]
            pivot = self.root((matrix[j, j] - (row * row % self.prime).sum()) % self.prime)
            inverse_pivot = self.power(pivot, -1)
            left[j, j] = pivot
            for i in range(j + 1, n):
                rest = (matrix[i, j] - (left[i, :j] * row % self.prime).sum()) % self.prime
                left[i, j] = rest * inverse_pivot % self.prime
        return left

    def hashed(self, seed: int, *parts: Array) -> Array:
        """A pseudo-random residue for every tuple of entries: the same tuple, the same residue."""
        shape = np.broadcast_shapes(*(np.shape(p) for p in parts))
        state = np.full(shape, np.uint64(seed & (2**64 - 1)), dtype=np.uint64)
        with np.errstate(over="ignore"):
            for part in parts:
                state = _mix(
                    state ^ _mix(np.asarray(part).astype(np.uint64) + np.uint64(0x9E3779B9))
                )
        return (state % np.uint64(self.prime - 1) + np.uint64(1)).astype(np.int64)


def _next(labels: list[int], remaining: list[tuple[Array, list[int]]]) -> int:
    """The operand that shares most labels."""
    shared = [len(set(labels) & set(others)) for _, others in remaining]
    return int(np.argmax(shared))


def _diagonal(x: Array, labels: list[int]) -> tuple[Array, list[int]]:
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            x = np.diagonal(x, axis1=i, axis2=j)
            labels = [l for k, l in enumerate(labels) if k not in (i, j)] + [label]
    return x, labels


def _each(matrix: Array, function: Any) -> Array:
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    found = [function(each) for each in flat]
    return np.stack(found).reshape(matrix.shape) if found else matrix


def _mix(state: Array) -> Array:
    """One step of splitmix64."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
