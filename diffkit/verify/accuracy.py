"""How many digits AD keeps, in units in the last place, beside what the conditioning allows.

The error of a derivative is told apart by what explains it.  With u the spacing of the float
format at the truth and kappa = |x g'(x) / g(x)| the condition number of the derivative g,

    accurate          error <= ACCURATE u
    ill-conditioned   error <= ACCURATE (1 + kappa) u: rounding x alone costs as much
    unstable          error <= running error bound of the program: its formula loses the digits;
                      where no bound can be given, half of the digits are left all the same
    wrong             error beyond all three: no rounding explains it

A derivative far below its usual size may lose every digit without harm (tanh'(300) = 0), so the
error is also given in spacings at the usual size, the upper quartile of |g| over the points.

The truth is the rigorous enclosure of the float64 program at the point rounded to the format, so
a constant that a narrow format rounds counts as an error of that format.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite, isnan, nan
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np

from diffkit.bridge.batch import Row, run_columns
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import UsageError
from diffkit.numeric.balls import DerivativeEnclosure
from diffkit.numeric.ulps import FORMATS, exponent_uniform, float_format, spacing
from diffkit.oracles import forward, reverse
from diffkit.oracles.measured import Measured
from diffkit.oracles.rigorous import Rigorous
from diffkit.verify.answers import PRIMAL, Answer, primal_row
from diffkit.verify.modes import mode_error
from diffkit.verify.tolerance import Tolerance

Class = Literal["accurate", "ill-conditioned", "unstable", "wrong"]
CLASSES: tuple[Class, ...] = get_args(Class)

#: Spacings that correctly rounded parts of a formula may add up to.
ACCURATE = 16.0
#: Points at which the condition number and the rounding bound are asked for, the worst first.
MOST_EXAMINED = 8
#: Orders of the derivative that the rows are about.
_ORDERS = {PRIMAL: 0, reverse.NAME: 1, forward.NAME: 1}


@dataclass(frozen=True)
class Accuracy:
    """The errors of one program in one float format over many points.

    Args:
        dtype: The float format.
        mode: "primal" (the function's own value), "reverse" or "forward".
        points: How many points were compared.
        outside: How many were not: no finite value or derivative, or not representable, or not
            decided by the balls.
        median: Median error, in spacings of the format at the truth.
        worst: Error at the point shown, likewise; inf where AD is not finite.
        scaled: That error in spacings at the usual size of the truth.
        at: The point shown: of the worst class, and of these the largest scaled error.
        value: What the program returned there.
        truth: What is true there.
        condition: Condition number there, nan when it was not needed.
        verdict: The worst class of the points examined.
        undecided: How many of those outside the balls could not decide.
    """

    dtype: str
    mode: str
    points: int
    outside: int
    median: float
    worst: float
    scaled: float
    at: float
    value: float
    truth: float
    condition: float
    verdict: Class
    undecided: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite stay floats."""
        return asdict(self)

    def __str__(self) -> str:
        conditioned = "" if isnan(self.condition) else f", condition {self.condition:.2g}"
        undecided = f", {self.undecided} more undecided" if self.undecided else ""
        return (
            f"{self.dtype} {self.mode}: {self.verdict}, median {self.median:.1f} ulp, worst "
            f"{self.worst:.3g} ulp ({self.scaled:.3g} of the usual size) at {self.at:.6g}"
            f"{conditioned} ({self.points} points{undecided})"
        )


def sample(count: int, dtype: str, seed: int = 0, bound: float = 8.0) -> list[float]:
    """Points of a format: half uniform on [-bound, bound], half uniform over the exponents.

    Args:
        count: How many are drawn; equal ones are left out.
        dtype: The format they are rounded to.
        seed: Same seed, same points.
        bound: Half width of the uniform part, > 0.
    """
    rng = np.random.default_rng(seed)
    limit = min(1e30, float_format(dtype).largest / 4)
    smallest = max(1e-30, 4 * float_format(dtype).tiny)
    drawn = [
        *rng.uniform(-bound, bound, count - count // 2),
        *exponent_uniform(-limit, limit, count // 2, rng, smallest=smallest),
    ]
    rounded = _rounded(drawn, dtype)
    return [float(x) for x in dict.fromkeys(rounded.tolist()) if x != 0 and isfinite(x)]


def measure(
    what: Subject,
    points: Sequence[float],
    dtypes: Sequence[str] = tuple(FORMATS),
    *,
    seconds: float = 10.0,
) -> list[Accuracy]:
    """Errors of value, reverse and forward mode of a function of one number, per format.

    Args:
        what: The function; other arguments are held at their values, rounded to the format.
        points: Where; each is rounded to the format.
        dtypes: Float formats.
        seconds: Time limit of one question to the balls.

    Raises:
        UsageError: the variable or the result is an array.
        UnsupportedPrimitive: balls have no row for a primitive of the function.
    """
    if what.values[what.wrt].shape or what.output_shape:
        raise UsageError("accuracy over a range of points is asked of a function of one number")
    return [each for dtype in dtypes for each in _measure(what, points, dtype, seconds)]


def _measure(what: Subject, points: Sequence[float], dtype: str, seconds: float) -> list[Accuracy]:
    rounded = tuple(np.asarray(leaf, np.float64) for leaf in what.at(dtype, what.values))
    here = replace(what, values=rounded)
    xs = np.unique(_rounded(points, dtype))
    xs = xs[np.isfinite(xs)]
    oracle = Rigorous(here, "float64", seconds)
    truths = oracle.enclosures(xs.tolist())
    rows: dict[str, Row] = {PRIMAL: primal_row(here)}
    for mode in (reverse, forward):
        if mode_error(here, dtype, mode.row(here, 1)) is None:
            rows[mode.NAME] = mode.row(here, 1)
    values = run_columns(here, dtype, _columns(here, dtype, xs), rows)
    return [
        _summary(_Run(here, oracle, dtype, name, rows[name], xs, truths, values[name]))
        for name in rows
    ]


def _rounded(points: Sequence[float], dtype: str) -> np.ndarray:
    """The points rounded to a format, as doubles."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(points, np.float64).astype(jnp.dtype(dtype)).astype(np.float64)


def _columns(what: Subject, dtype: str, xs: np.ndarray) -> tuple[Any, Any, Any]:
    """The questions as arrays: leaves, tangents and cotangents, batch axis first."""
    kind = jnp.dtype(dtype)
    leaves = [np.broadcast_to(leaf, (len(xs), *leaf.shape)) for leaf in what.at(dtype, what.values)]
    leaves[what.wrt] = xs.astype(kind)
    ones = np.ones(len(xs), kind)
    return tuple(leaves), ones, ones


@dataclass(frozen=True)
class _Run:
    """What one program answered at all points, and the truth."""

    what: Subject
    oracle: Rigorous
    dtype: str
    mode: str
    row: Row
    xs: np.ndarray
    truths: Sequence[DerivativeEnclosure]
    values: np.ndarray

    def true(self, number: int) -> float:
        """The truth at a point; nan where none is to be compared with."""
        truth = self.truths[number]
        if truth.kind != "smooth" or truth.value is None or truth.derivative is None:
            return nan
        found = truth.value.value if _ORDERS[self.mode] == 0 else truth.derivative.value
        largest = float_format(self.dtype).largest
        is_inside = isfinite(found) and max(abs(found), abs(truth.value.value)) <= largest
        return found if is_inside else nan

    def probe(self, number: int) -> Probe:
        """The question asked at a point."""
        leaves = list(self.what.values)
        leaves[self.what.wrt] = np.asarray(self.xs[number])
        return Probe(tuple(leaves), np.ones(()), np.ones(()))


def _summary(run: _Run) -> Accuracy:
    true = np.array([run.true(number) for number in range(len(run.xs))])
    is_compared = np.isfinite(true)
    ulps = np.array(
        [
            ulps_of(value, truth, run.dtype) if compared else nan
            for value, truth, compared in zip(run.values, true, is_compared, strict=True)
        ]
    )
    common = run.dtype, run.mode, int(is_compared.sum()), int((~is_compared).sum())
    undecided = sum(truth.kind == "undecided" for truth in run.truths)
    if not is_compared.any():
        return Accuracy(*common, nan, nan, nan, nan, nan, nan, nan, "accurate", undecided)
    usual = spacing(
        max(float(np.quantile(np.abs(true[is_compared]), 0.75)), float_format(run.dtype).tiny),
        run.dtype,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.where(np.isfinite(run.values), np.abs(run.values - true) / usual, inf)
    chosen = {*_largest(ulps, is_compared), *_largest(scaled, is_compared)}
    examined = [
        (number, *_class(run, number, float(true[number]), float(ulps[number])))
        for number in sorted(chosen)
    ]
    shown, verdict, condition = max(
        examined, key=lambda each: (CLASSES.index(each[1]), scaled[each[0]], ulps[each[0]])
    )
    return Accuracy(
        *common,
        float(np.median(ulps[is_compared])),
        float(ulps[shown]),
        float(scaled[shown]),
        float(run.xs[shown]),
        float(run.values[shown]),
        float(true[shown]),
        condition,
        verdict,
        undecided,
    )


def _largest(errors: np.ndarray, is_compared: np.ndarray) -> list[int]:
    """Numbers of the points with the largest errors."""
    order = np.argsort(-np.where(is_compared, errors, -1.0), kind="stable")[:MOST_EXAMINED]
    return [int(k) for k in order if is_compared[k]]


def ulps_of(value: float, truth: float, dtype: str) -> float:
    """|value - truth| in spacings at the truth; an error below the normal numbers is none.

    >>> ulps_of(1.0 + 2.0**-23, 1.0, "float32"), ulps_of(0.0, 1e-42, "float32")
    (1.0, 0.0)
    """
    if not isfinite(value):
        return inf
    gap = float(abs(value - truth))
    tiny = float_format(dtype).tiny  # XLA flushes what lies below to 0
    return 0.0 if gap <= tiny else gap / spacing(max(abs(truth), tiny), dtype)


def _class(run: _Run, number: int, truth: float, ulps: float) -> tuple[Class, float]:
    """What explains the error at one point, and the condition number when it was asked for."""
    if ulps <= ACCURATE:
        return "accurate", nan
    condition = _condition(run, number, truth)
    if isfinite(ulps) and ulps <= ACCURATE * (1 + condition):
        return "ill-conditioned", condition
    return ("unstable" if _is_explained(run, number, truth) else "wrong"), condition


def _is_explained(run: _Run, number: int, truth: float) -> bool:
    """Whether the roundings of the program, or of its constants, may add up to the error."""
    probe, value = run.probe(number), float(run.values[number])
    if not isfinite(value):
        return False
    allowed = Tolerance(run.what, run.dtype, run.row).bound(probe, truth).value
    if not isfinite(allowed):
        allowed = float(jnp.finfo(run.dtype).eps) ** 0.5 * abs(truth)
    if abs(value - truth) <= allowed:
        return True
    if run.dtype == run.oracle.dtype:
        return False
    own = Rigorous(run.what, run.dtype, run.oracle.seconds).enclosure(probe)
    found = own.value if run.mode == PRIMAL else own.derivative
    return found is not None and abs(value - found.value) <= allowed


def _condition(run: _Run, number: int, truth: float) -> float:
    """|x g'/g| of the value or of the derivative; 0 where it is not known or the truth is 0."""
    following = run.oracle.enclosure(run.probe(number), _ORDERS[run.mode] + 1)
    return _relative(float(run.xs[number]), following, truth)


def condition(what: Subject, answer: Answer, order: int) -> float:
    """|x g'/g| of the derivative g at an answer: what rounding the argument alone costs."""
    oracle = Measured if answer.measured else Rigorous
    following = oracle(what, answer.dtype).enclosure(answer.probe, order + 1)
    x = float(np.max(np.abs(answer.probe.leaves[what.wrt]), initial=0.0))
    return _relative(x, following, answer.true_value)


def _relative(x: float, following: DerivativeEnclosure, truth: float) -> float:
    """|x g'/g|; 0 where it is not known or no number: then it explains no error."""
    if following.derivative is None or truth == 0:
        return 0.0
    found = abs(x * following.derivative.value / truth)
    return found if isfinite(found) else 0.0


def digits(what: Subject, answers: Sequence[Answer]) -> str:
    """The largest error of answers in units in the last place, and what explains it.

    Args:
        what: The function.
        answers: Of one mode and dtype; those at kinks and by differences are left out.

    Returns:
        "1.5 ulp, accurate", or "5e+03 ulp, unstable (condition 0.8)"; "" without any answer.
    """
    compared = [
        each
        for each in answers
        if each.truth.kind == "smooth" and each.outcome != "out of domain" and not each.measured
    ]
    if not compared:
        return ""
    errors = [ulps_of(each.value, each.true_value, each.dtype) for each in compared]
    worst = int(np.argmax(errors))
    told = f"{errors[worst]:.2g} ulp"
    if errors[worst] <= ACCURATE:
        return f"{told}, accurate"
    shown = compared[worst]
    found = condition(what, shown, shown.order)
    if isfinite(errors[worst]) and errors[worst] <= ACCURATE * (1 + found):
        explained: Class = "ill-conditioned"
    else:
        explained = "wrong" if shown.outcome == "disagrees" else "unstable"
    return f"{told}, {explained} (condition {found:.2g})"
