"""`dk.verify_estimator`: is the mean of a stochastic estimator what it is said to be?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import jax
import numpy as np

from diffkit.core.claim import Claim
from diffkit.core.errors import UsageError
from diffkit.core.finding import Finding
from diffkit.core.verdict import Status
from diffkit.verify.estimator import (
    Draws,
    check_key,
    read_candidates,
    read_draws,
)
from diffkit.verify.estimator_sampling import (
    Sample,
    Settings,
    draws_of_a_constant,
    moments_of,
    sample,
)
from diffkit.verify.estimator_support import Enumeration, Support, enumerate_cases, read_support
from diffkit.verify.estimator_verdict import Comparison, EstimatorVerdict

#: Draws of the other estimator its variance is taken from, at most.
MOST_COMPARED = 2**16
FEWEST_SAMPLES = 100


def verify_estimator(
    estimator: Callable[[Any], Any],
    exact: Any,
    *,
    key: Any = None,
    alpha: float = 1e-3,
    detectable: float = 0.01,
    power: float = 0.99,
    truncation: float = 0.0,
    max_samples: int = 10**6,
    support: Iterable[tuple[Any, Any]] | None = None,
    against: Callable[[Any], Any] | None = None,
) -> EstimatorVerdict:
    r"""Judge whether $\mathrm{E}[\text{estimator}]$ is `exact`.

    Without `support`, by a group-sequential test of every entry: refuted if a mean is off by more
    than chance (false with probability at most `alpha`, over all looks, entries and candidates,
    unless events rarer than about one in the number of draws made carry the mean); supported once
    a bias of `detectable` times the largest entry of the exact array would have been found with
    probability `power`; undecided after `max_samples` draws.

    With `support`, by enumeration: the mean over all cases is computed in rational arithmetic from
    the numbers the estimator returns.  Proved if the bias is no larger than the rounding of the
    numbers given explains, and the bound is printed.  An estimator that ignores its key is one
    case of probability one.

    Args:
        estimator: key -> one draw, a pytree of floating-point arrays; with `support`, case -> the
            draw in that case.  It is vmapped and compiled.
        exact: What the mean should be: a pytree of the structure of a draw (numbers, arrays, or
            fractions), or a dict of named candidates, each of that structure.  A dict of the
            structure of a draw is one pytree; no dict can be read both ways.
        key: A typed key, `jax.random.key(0)`; not needed with `support`.
        alpha: Probability of refuting what is true, in (0, 1/2); no test of means keeps it where
            events that no draw has shown carry the mean.
        detectable: Relative bias to be found, > 0.
        power: Probability of finding it, in [1/2, 1).
        truncation: Absolute bias, entry by entry, that is known and allowed, >= 0.
        max_samples: Largest number of draws.
        support: All cases, [(probability, case), ...]; floats or fractions that sum to one.
        against: Another estimator of the same thing, to compare the variance with.

    Returns:
        A verdict.  Its `candidates` hold mean, bias, standard error, z and cosine of each;
        `samples`, `variance` and `efficiency` are those of the estimator.  Several candidates:
        supported (or proved) if one of them alone is left, refuted if none is.

    Raises:
        UsageError: the question cannot be asked this way.

    >>> flip = lambda side: side * 2.0 - 1.0
    >>> print(verify_estimator(flip, {"fair": 0, "loaded": 0.5}, support=[(0.5, 0), (0.5, 1)]))
    PROVED    E[flip] = fair, the only one of 2 candidates
              proved    fair    exact 0, bias 0
              refuted   loaded  exact 0.5, bias -0.5
              all 2 cases enumerated, variance of a draw 1
    """
    settings = _settings(alpha, detectable, power, truncation, max_samples)
    if support is not None:
        cases = read_support(support)
        draws = read_draws(estimator, cases.case(0))
        return _by_enumeration(draws, exact, cases, settings, against)
    key = check_key(key)
    draws = read_draws(estimator, key)
    candidates = read_candidates(exact, draws)
    _check_sizes(draws, candidates, settings)
    if all(draws.is_fixed):
        cases = read_support([(1, 0)])
        once = replace(draws, function=lambda case: estimator(key))
        note = f"{draws.name} ignores its key: every draw is the same"
        return _by_enumeration(once, exact, cases, settings, against, key=key, note=note)
    found = sample(draws, candidates, draws.per_entry(draws.is_fixed), key, settings)
    if found.bad_draw is not None:
        return _not_finite(
            draws,
            [each.name for each in candidates],
            settings,
            f"draw {found.bad_draw}, {draws.name}(jax.random.fold_in(key, {found.bad_draw}))",
            found,
            {"draw": found.bad_draw},
        )
    return _by_sampling(draws, found, settings, key, against)


def _settings(
    alpha: Any, detectable: Any, power: Any, truncation: Any, max_samples: Any
) -> Settings:
    """The keywords, each in its range.

    Raises:
        UsageError: one is not.
    """
    rules = (
        ("alpha", alpha, "a probability between 0 and 1/2", lambda x: 0 < x < 0.5),
        ("detectable", detectable, "a positive number", lambda x: x > 0),
        ("power", power, "a probability of at least 1/2 and below 1", lambda x: 0.5 <= x < 1),
        ("truncation", truncation, "a number >= 0", lambda x: x >= 0),
    )
    numbers = []
    for name, value, what, holds in rules:
        number = _number(value)
        if number is None or not holds(number):
            raise UsageError(f"{name}= is {what}, not {value!r:.40}")
        numbers.append(number)
    most = _number(max_samples)
    if most is None or most != int(most) or not FEWEST_SAMPLES <= most < 2**32:
        raise UsageError(
            f"max_samples= is a whole number from {FEWEST_SAMPLES} to {2**32 - 1}, "
            f"not {max_samples!r:.40}"
        )
    return Settings(*numbers, int(most))


def _number(value: Any) -> float | None:
    if isinstance(value, bool | str | bytes | complex):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _check_sizes(draws: Draws, candidates: Sequence[Any], settings: Settings) -> None:
    """Refuse a question no number of draws could answer."""
    for each in candidates:
        largest = settings.detectable * float(np.abs(each.values).max())
        if 0 < largest <= settings.truncation:
            raise UsageError(
                f"truncation={settings.truncation:g} hides the bias to be detected, "
                f"{settings.detectable:g} of the largest entry of {each.name} = {largest:.3g}; "
                "raise detectable="
            )


# --- the two routes -----------------------------------------------------------------------------


def _by_enumeration(
    draws: Draws,
    exact: Any,
    cases: Support,
    settings: Settings,
    against: Callable[[Any], Any] | None,
    *,
    key: Any = None,
    note: str = "",
) -> EstimatorVerdict:
    """The verdict on all cases; with a key, on the one case of an estimator that ignores it."""
    candidates = read_candidates(exact, draws)
    found = enumerate_cases(draws, candidates, cases, settings.truncation)
    names = [each.name for each in candidates]
    if found.bad_case is not None:
        case = jax.tree.map(lambda leaf: leaf.tolist(), cases.case(found.bad_case))
        place = note or f"case {case!r:.60}"
        return _not_finite(draws, names, settings, place, found, {"case": case})
    assert found.variance is not None
    status, tail = _joined(found.comparisons)
    count = len(cases.probabilities)
    efficiency, told = None, ""
    if against is not None and key is not None:
        efficiency, told = _efficiency(draws, key, against, found.variance, settings.most)
    elif against is not None:
        efficiency, told = _efficiency_exactly(draws, cases, against, found.variance)
    number = f"all {count:,} cases enumerated" if count > 1 or not note else note
    return EstimatorVerdict(
        claim=_claim(draws, names, settings),
        status=status,
        statement=f"E[{draws.name}] {tail}",
        scope=_scope_of_enumeration(found.comparisons, status, cases),
        evidence=tuple(
            row
            for each in found.comparisons
            for row in each.rows("enumeration", "rigorous", draws.dtype_names, f"{count} cases")
        ),
        assumptions=_assumptions_of_enumeration(cases, settings),
        candidates={each.name: each for each in found.comparisons},
        samples=count,
        variance=found.variance,
        efficiency=efficiency,
        summary=(f"{number}, variance of a draw {found.variance.sum():.4g}{told}",),
    )


def _by_sampling(
    draws: Draws,
    found: Sample,
    settings: Settings,
    key: Any,
    against: Callable[[Any], Any] | None,
) -> EstimatorVerdict:
    assert found.moments is not None
    moments, names = found.moments, [each.name for each in found.comparisons]
    status, tail = _joined(found.comparisons)
    variance = np.asarray(moments.variance)
    efficiency, told = None, ""
    if against is not None:
        efficiency, told = _efficiency(draws, key, against, variance, moments.count)
    n = moments.count
    return EstimatorVerdict(
        claim=_claim(draws, names, settings),
        status=status,
        statement=f"E[{draws.name}] {tail}",
        scope=(
            f"{n:,} draws; anything true is refuted with probability at most {settings.alpha:g}, "
            f"unless events rarer than about {1 / n:.1g} carry the mean; where supported, a bias "
            f"of {settings.detectable:g} of the largest entry would have been found with "
            f"probability {settings.power:g}{_scope_of_constants(found, settings)}"
        ),
        evidence=tuple(
            row
            for each in found.comparisons
            for row in each.rows("sampling", "numerical", draws.dtype_names, f"{n} draws")
        ),
        assumptions=(
            "the draws have a finite variance, and events rarer than about "
            f"{1 / n:.1g} carry no part of the mean that matters",
            "draws are right to half the digits of their dtype",
            *((f"truncation bias of at most {settings.truncation:g}",) * (settings.truncation > 0)),
        ),
        candidates={each.name: each for each in found.comparisons},
        samples=n,
        variance=variance,
        efficiency=efficiency,
        summary=(f"{n:,} draws, variance of a draw {variance.sum():.4g}{told}",),
    )


def _scope_of_constants(found: Sample, settings: Settings) -> str:
    if found.moments is None or not found.moments.is_constant.any():
        return ""
    needed = draws_of_a_constant(settings.power)
    return f"; an entry that agrees and never varied counts as constant after {needed:,} draws"


def _joined(comparisons: Sequence[Comparison]) -> tuple[Status, str]:
    """The status of "it is one of these", and how the statement ends."""
    if len(comparisons) == 1:
        return comparisons[0].status, f"= exact{_within(comparisons[0])}"
    left = [each for each in comparisons if each.status != "refuted"]
    if not left:
        return "refuted", f"is none of {len(comparisons)} candidates"
    names = " or ".join(each.name for each in left)
    if len(left) == 1 and left[0].status != "undecided":
        within = _within(left[0])
        return left[0].status, f"= {names}{within}, the only one of {len(comparisons)} candidates"
    if len(left) == 1:
        return "undecided", f"= {names}, if any of {len(comparisons)} candidates"
    if all(each.status != "undecided" for each in left):
        return "undecided", f"= {names}: too close to tell apart; lower detectable="
    return "undecided", f"= {names}, if any of {len(comparisons)} candidates"


def _within(comparison: Comparison) -> str:
    """The bias that is proved not to be exceeded, where it is not exactly 0."""
    largest = float(np.abs(comparison.bias).max())
    return f" within {largest:.2g}" if comparison.status == "proved" and largest else ""


def _scope_of_enumeration(comparisons: Sequence[Comparison], status: Status, cases: Support) -> str:
    bound = max(
        (float(np.abs(each.bias).max()) for each in comparisons if each.status == "proved"),
        default=None,
    )
    count = len(cases.probabilities)
    text = f"the numbers this program returns in its {count:,} cases, summed in rational arithmetic"
    if status == "proved" and bound is not None:
        size = f"at most {bound:.2g}" if bound else "exactly 0"
        text += f": the bias is {size}; this is no identity in the parameters"
    return text


def _assumptions_of_enumeration(cases: Support, settings: Settings) -> tuple[str, ...]:
    rows = ["support= lists every case that can happen"]
    if cases.epsilon:
        rows.append(f"probabilities as given; they sum to 1 within {cases.shortfall:.1g}")
    rows.append(
        "a bias that the rounding of draws, probabilities and exact explains counts as none"
    )
    if settings.truncation:
        rows.append(f"truncation bias of at most {settings.truncation:g}")
    return tuple(rows)


def _not_finite(
    draws: Draws,
    names: Sequence[str],
    settings: Settings,
    place: str,
    found: Sample | Enumeration,
    point: dict[str, Any],
) -> EstimatorVerdict:
    """A draw that is not finite has no mean that could be exact."""
    entry = f" at {found.bad_entry}" if found.bad_entry else ""
    message = f"{place} is {found.bad_value}{entry}: the mean is not finite"
    what = "= exact" if len(names) == 1 else f"is none of {len(names)} candidates"
    return EstimatorVerdict(
        claim=_claim(draws, names, settings),
        status="refuted",
        statement=f"E[{draws.name}] {what}",
        scope="one draw that is not finite",
        counterexample=point,
        findings=(
            Finding(
                "nan-value", "wrong", message, point=point, order=0, dtype=draws.dtype_names[0]
            ),
        ),
    )


def _claim(draws: Draws, names: Sequence[str], settings: Settings) -> Claim:
    return Claim(
        target=f"E[{draws.name}]",
        claimed=" | ".join(names),
        kind="value",
        options={
            "alpha": settings.alpha,
            "detectable": settings.detectable,
            "power": settings.power,
            "truncation": settings.truncation,
            "max_samples": settings.most,
        },
        is_replayable=False,
    )


# --- the other estimator ------------------------------------------------------------------------


def _efficiency(
    draws: Draws, key: Any, against: Callable[[Any], Any], variance: np.ndarray, count: int
) -> tuple[float, str]:
    """Variance of the other estimator divided by that of this one, from sampled draws."""
    other = _same_draws(draws, read_draws(against, key, "against"))
    try:
        moments = moments_of(other, key, min(count, MOST_COMPARED))
    except FloatingPointError as error:
        raise UsageError(f"{error}; a variance needs finite draws, mend against=") from error
    return _ratio(other, float(moments.variance.sum()), float(variance.sum()))


def _efficiency_exactly(
    draws: Draws, cases: Support, against: Callable[[Any], Any], variance: np.ndarray
) -> tuple[float, str]:
    other = _same_draws(draws, read_draws(against, cases.case(0), "against"))
    found = enumerate_cases(other, (), cases, 0.0)
    if found.variance is None:
        raise UsageError(f"{other.name} is {found.bad_value} in one case; mend against=")
    return _ratio(other, float(found.variance.sum()), float(variance.sum()))


def _same_draws(draws: Draws, other: Draws) -> Draws:
    if (draws.treedef, draws.shapes) != (other.treedef, other.shapes):
        raise UsageError(
            f"a draw of {other.name} has another structure or shape than one of {draws.name}; "
            "compare estimators of the same thing"
        )
    return other


def _ratio(other: Draws, theirs: float, ours: float) -> tuple[float, str]:
    ratio = theirs / ours if ours > 0 else float("nan") if theirs == 0 else float("inf")
    return ratio, f", that of {other.name} is {ratio:.3g} times as large"
