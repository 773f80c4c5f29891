r"""Identity testing: is a formula zero, when its normal form is too big to write out?

The formula is evaluated modulo a random prime of 61 bits at random values of its generators.  A
non-zero numerator of degree d vanishes at a random point with probability at most $d/p$ (Schwartz
1980, Zippel 1979); roots multiply d by their degree, since the norm must vanish.  A zero answer is
"equal with error probability at most ...", never a certainty.
"""

import random
from dataclasses import dataclass

import sympy as sp
from sympy import QQ
from sympy.polys.rings import PolyElement

from diffkit.core.errors import Undecidable
from diffkit.symbolic.reduction import Reduction
from diffkit.symbolic.tower import Element

#: Independent points; each multiplies the error probability.
TRIALS = 2
#: Draws that may hit a pole or a number without a root before the test gives up.
DRAWS = 200
LARGEST_DEGREE = 2**44
_FEWEST_PRIMES = 5 * 10**15  # between 2^60 and 2^61 in the residue classes of `_prime`


class _Unlucky(Exception):
    """The point is a pole or a root does not exist there."""


@dataclass(frozen=True)
class _Residue:
    """A value modulo p, and degrees of numerator and denominator as polynomials."""

    value: int
    above: int
    below: int


def error_probability_of_zero(reduction: Reduction, expr: sp.Expr) -> float | None:
    """Return a bound on the probability that `expr` is not zero although it tested as zero.

    Args:
        reduction: Holds the tower; small parts of `expr` are reduced in it.
        expr: The difference of two sides.

    Returns:
        None if the test shows that the formula in the generators is not zero.

    Raises:
        Undecidable: no point could be drawn, or the degree is out of bounds.
        TooLarge: an argument of a function is itself too big.
    """
    chooser = random.Random(20_611)
    bound = 1.0
    for _ in range(TRIALS):
        degree, bits = _one_trial(reduction, expr, chooser)
        if degree is None:
            return None
        bound *= degree / 2**60 + bits / (60 * _FEWEST_PRIMES)
    return bound


def _one_trial(
    reduction: Reduction, expr: sp.Expr, chooser: random.Random
) -> tuple[int | None, int]:
    for _ in range(DRAWS):
        try:
            evaluation = _Evaluation(reduction, chooser)
            residue = evaluation(expr)
        except (_Unlucky, ZeroDivisionError):
            continue
        degree = (residue.above + residue.below + 1) * evaluation.cover
        if degree > LARGEST_DEGREE:
            raise Undecidable("the degree is too high for identity testing; compare numerically")
        return (None if residue.value else degree), evaluation.bits * degree
    raise Undecidable("identity testing found no point where everything is defined")


class _Evaluation:
    def __init__(self, reduction: Reduction, chooser: random.Random):
        self.reduction = reduction
        self.chooser = chooser
        self.p = _prime(chooser)
        self.memo: dict[sp.Basic, _Residue] = {}
        self.values: dict[int, _Residue] = {}
        self.cover = 1
        self.bits = 64

    def __call__(self, expr: sp.Basic) -> _Residue:
        found = self.memo.get(expr)
        if found is None:
            found = self.memo[expr] = self._visit(expr)
        return found

    def _visit(self, expr: sp.Basic) -> _Residue:
        if isinstance(expr, sp.Rational):
            self.bits += int(abs(expr.p)).bit_length() + int(expr.q).bit_length()
            return self._rational(int(expr.p), int(expr.q))
        if expr.is_Add:
            total = self(expr.args[0])
            for term in expr.args[1:]:
                total = self._add(total, self(term))
            return total
        if expr.is_Mul:
            product = self(expr.args[0])
            for factor in expr.args[1:]:
                product = self._multiply(product, self(factor))
            return product
        if expr.is_Pow and expr.exp.is_Integer:
            return self._power(self(expr.base), int(expr.exp))
        return self._element(self.reduction(expr))

    def _rational(self, above: int, below: int) -> _Residue:
        if below % self.p == 0:
            raise _Unlucky
        return _Residue(above * pow(below, -1, self.p) % self.p, 0, 0)

    def _add(self, a: _Residue, b: _Residue) -> _Residue:
        above = max(a.above + b.below, b.above + a.below)
        return self._checked((a.value + b.value) % self.p, above, a.below + b.below)

    def _multiply(self, a: _Residue, b: _Residue) -> _Residue:
        return self._checked(a.value * b.value % self.p, a.above + b.above, a.below + b.below)

    def _power(self, a: _Residue, n: int) -> _Residue:
        if n < 0:
            if not a.value:
                raise _Unlucky
            return self._checked(pow(a.value, n, self.p), -n * a.below, -n * a.above)
        return self._checked(pow(a.value, n, self.p), n * a.above, n * a.below)

    def _checked(self, value: int, above: int, below: int) -> _Residue:
        if above + below > LARGEST_DEGREE:
            raise Undecidable("the degree is too high for identity testing; compare numerically")
        return _Residue(value, above, below)

    def _element(self, element: Element) -> _Residue:
        total = self._poly(element.poly)
        for factor, exponent in element.factors.items():
            total = self._multiply(total, self._power(self._poly(factor), exponent))
        return total

    def _poly(self, poly: PolyElement) -> _Residue:
        total = _Residue(0, 0, 0)
        for monomial, coefficient in poly.terms():
            term = self._rational(int(QQ.numer(coefficient)), int(QQ.denom(coefficient)))
            for index, exponent in enumerate(monomial):
                if exponent:
                    term = self._multiply(term, self._power(self._generator(index), exponent))
            total = self._add(total, term)
        return total

    def _generator(self, index: int) -> _Residue:
        if index not in self.values:
            self._choose(index)
        return self.values[index]

    def _choose(self, index: int) -> None:
        kernel, pairs = self.reduction.tower.kernels[index], self.reduction.tower.pairs
        cosine = next((c for c, s in pairs.items() if index in (c, s)), None)
        if cosine is not None:
            # cos = (1 - t^2)/(1 + t^2), sin = 2 t/(1 + t^2): the circle, by one free parameter.
            t = self.chooser.randrange(1, self.p)
            under = pow(1 + t * t, -1, self.p)
            self.values[cosine] = _Residue((1 - t * t) * under % self.p, 2, 2)
            self.values[pairs[cosine]] = _Residue(2 * t * under % self.p, 1, 2)
        elif kernel.degree:
            rhs = self._poly(kernel.rhs)
            self.cover *= kernel.degree
            root = self._root(rhs.value, kernel.degree)
            self.values[index] = _Residue(root, rhs.above + 1, rhs.below)
        else:
            self.values[index] = _Residue(self.chooser.randrange(1, self.p), 1, 0)

    def _root(self, value: int, degree: int) -> int:
        """A root of the given degree modulo p, p = 3 modulo 4; either sign of a square root."""
        while degree % 2 == 0:
            value, squared = pow(value, (self.p + 1) // 4, self.p), value
            if value * value % self.p != squared % self.p:
                raise _Unlucky
            value = self.chooser.choice((value, self.p - value))
            degree //= 2
        if degree == 1:
            return value
        return pow(value, pow(degree, -1, self.p - 1), self.p)


def _prime(chooser: random.Random) -> int:
    while True:
        candidate = sp.nextprime(chooser.randrange(2**60, 2**61 - 2**32))
        if candidate % 4 == 3 and candidate % 3 == 2 and candidate % 5 != 1:
            return int(candidate)
