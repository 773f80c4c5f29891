"""An estimator judged by enumeration: every case with its probability, summed without rounding."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from numbers import Rational
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.core.errors import UsageError
from diffkit.core.evidence import ErrorBound
from diffkit.core.verdict import Status
from diffkit.numeric.rational import weighted_sum
from diffkit.verify.estimator import Candidate, Draws, coarsest_dtype
from diffkit.verify.estimator_verdict import Comparison, cosine

MOST_CASES = 10**6
#: Roundings a given number may carry; a candidate in floats, beyond those of a sum over the cases.
_ROUNDINGS = 16
#: Where rounding could explain more than this share of what is refuted, nothing is proved.
_SHARE_PROVED = 1 / 8


@dataclass(frozen=True)
class Support:
    """All cases of positive probability.

    Args:
        probabilities: Their probabilities without rounding.
        cases: The cases stacked along a new first axis, leaf by leaf.
        epsilon: Spacing of the floats at 1 the probabilities were given in; 0 if exact.
    """

    probabilities: tuple[Fraction, ...]
    cases: Any
    epsilon: float

    def case(self, number: Any) -> Any:
        """One case, or several stacked for an array of numbers."""
        return jax.tree.map(lambda leaf: leaf[number], self.cases)

    @property
    def shortfall(self) -> float:
        """How far the probabilities are from a sum of one."""
        return float(abs(sum(self.probabilities) - 1))


@dataclass(frozen=True)
class Enumeration:
    """What the sum over all cases is.

    Args:
        comparisons: One a candidate.
        variance: Variance of a draw, entry by entry.
        bad_case: Number of the first case whose draw is not finite, or None.
        bad_entry: The entry in which it is not.
        bad_value: What it is there.
    """

    comparisons: tuple[Comparison, ...] = ()
    variance: np.ndarray | None = None
    bad_case: int | None = None
    bad_entry: str = ""
    bad_value: float = 0.0


def read_support(support: Iterable[Any]) -> Support:
    """Read [(probability, case), ...].

    Raises:
        UsageError: no such list, probabilities that are none, cases of several structures.
    """
    if isinstance(support, str | bytes | Mapping) or not isinstance(support, Iterable):
        raise UsageError(
            "support= is a list of pairs (probability, case), for example [(0.5, 0), (0.5, 1)]"
        )
    pairs = list(islice(support, MOST_CASES + 1))
    if len(pairs) > MOST_CASES:
        raise UsageError(
            f"support= has more than {MOST_CASES:,} cases; leave it out and sample with key="
        )
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise UsageError("every entry of support= is a pair (probability, case)")
    weights, spacing = _probabilities([weight for weight, _ in pairs])
    kept = [i for i, weight in enumerate(weights) if weight > 0]
    return Support(tuple(weights[i] for i in kept), _stack([pairs[i][1] for i in kept]), spacing)


def _probabilities(given: Sequence[Any]) -> tuple[list[Fraction], float]:
    """The probabilities without rounding, and the spacing of their floats at 1."""
    read = [_probability(weight, number) for number, weight in enumerate(given)]
    spacing = max((spacing for _, spacing in read), default=0.0)
    weights = [weight for weight, _ in read]
    off = abs(sum(weights) - 1)
    if not weights or off > (len(weights) + _ROUNDINGS) * Fraction(spacing):
        raise UsageError(
            f"the probabilities of support= sum to {float(sum(weights)):.10g}, not to 1; "
            "list every case once"
        )
    return weights, spacing


def _probability(weight: Any, number: int) -> tuple[Fraction, float]:
    where = f"the probability of case {number} of support="
    if isinstance(weight, Rational) and not isinstance(weight, bool):
        exact, spacing = Fraction(int(weight.numerator), int(weight.denominator)), 0.0
    else:
        value = np.asarray(weight) if not isinstance(weight, str) else np.asarray(None)
        if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
            raise UsageError(f"{where} is {weight!r:.40}; give a float or a Fraction")
        if not np.isfinite(value.astype(np.float64)):
            raise UsageError(f"{where} is {float(value)}; give a number between 0 and 1")
        exact = Fraction(float(value))
        spacing = float(jnp.finfo(value.dtype).eps)
    if exact < 0:
        raise UsageError(f"{where} is {float(exact)}; give a number between 0 and 1")
    return exact, spacing


def _stack(cases: Sequence[Any]) -> Any:
    structures = {jax.tree.structure(case) for case in cases}
    if len(structures) != 1:
        raise UsageError(
            "the cases of support= have several structures; make all of them alike, such as one "
            "array of one shape"
        )
    try:
        stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *cases)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the cases of support= cannot be stacked ({error})") from error
    for leaf in jax.tree.leaves(stacked):
        if leaf.dtype.kind not in "biufcV":
            raise UsageError(f"a case of support= holds {leaf.dtype} values; make cases of numbers")
    return stacked


def enumerate_cases(
    draws: Draws, candidates: Sequence[Candidate], support: Support, truncation: float
) -> Enumeration:
    """Compute the mean over all cases exactly and hold it against every candidate."""
    blocks = []
    for start, table in _tables(draws, support):
        if not np.all(np.isfinite(table)):
            case, entry = np.argwhere(~np.isfinite(table))[0]
            return Enumeration(
                bad_case=start + int(case),
                bad_entry=draws.entries[int(entry)],
                bad_value=float(table[case, entry]),
            )
        blocks.append((start, table))
    total = [Fraction(0)] * draws.size
    size, square = np.zeros(draws.size), np.zeros(draws.size)
    for start, table in blocks:
        weights = support.probabilities[start : start + len(table)]
        total = [a + b for a, b in zip(total, weighted_sum(weights, table), strict=True)]
        floats = np.array([float(weight) for weight in weights])
        size += floats @ np.abs(table)
    mean = np.array([float(value) for value in total])
    for start, table in blocks:
        weights = support.probabilities[start : start + len(table)]
        floats = np.array([float(weight) for weight in weights])
        square += floats @ (table - mean) ** 2
    found = [_compare(draws, each, total, size, support, truncation) for each in candidates]
    return Enumeration(tuple(found), square)


def _tables(draws: Draws, support: Support) -> Iterator[tuple[int, np.ndarray]]:
    """The draws of all cases in blocks of one size, so that one program serves."""
    count, step = len(support.probabilities), min(draws.block, len(support.probabilities))
    for start in range(0, count, step):
        numbers = np.minimum(np.arange(start, start + step), count - 1)
        table = draws.from_cases(support.case(numbers))
        yield start, table[: count - start]


def _compare(
    draws: Draws,
    candidate: Candidate,
    total: Sequence[Fraction],
    size: np.ndarray,
    support: Support,
    truncation: float,
) -> Comparison:
    """Three zones: explained by the rounding of the numbers given, too large for it, between."""
    spacing = np.maximum(np.maximum(draws.epsilon, candidate.epsilon), support.epsilon)
    sizes = size + np.abs(candidate.values)
    generous = np.sqrt(spacing) * sizes
    # The sum over the cases is rational.  Only a candidate in floats may be a sum made in floats.
    given = _ROUNDINGS * max(draws.epsilon, support.epsilon)
    summed = (len(support.probabilities) + _ROUNDINGS) * candidate.epsilon
    tight = np.minimum((given + summed) * sizes, _SHARE_PROVED * generous)
    bias = np.array([float(abs(a - b)) for a, b in zip(total, candidate.rationals, strict=True)])
    status: Status = "proved"
    reason = ""
    if np.any(bias > truncation + generous):
        status = "refuted"
    elif np.any(bias > truncation + tight):
        i = int(np.argmax(bias - truncation - tight))
        status = "undecided"
        reason = (
            f"a bias of {bias[i]:.1g}{f' at {draws.entries[i]}' if draws.entries[i] else ''} is "
            f"more than the rounding of the numbers given ({tight[i]:.1g}) and less than half the "
            f"digits of {coarsest_dtype(float(spacing[i]))}; enumerate in float64"
        )
    limit = generous if status == "refuted" else tight
    mean = np.array([float(value) for value in total])
    length = float(np.linalg.norm(candidate.values))
    slope = float(mean @ candidate.values) / length if length else 0.0
    return Comparison(
        name=candidate.name,
        status=status,
        entries=draws.entries,
        mean=mean,
        exact=candidate.values,
        standard_error=np.zeros(len(mean)),
        allowed=tuple(
            ErrorBound({"truncation": truncation, "rounding": float(each)}) for each in limit
        ),
        cosine=cosine(mean, candidate.values),
        slope=slope,
        slope_error=0.0,
        points_away=slope < -float(np.linalg.norm(generous)),
        reason=reason,
    )
