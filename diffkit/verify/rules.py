r"""Each custom derivative rule a program calls, judged by itself at the values it meets.

A rule stands for a linear map: with the Jacobian J of its primal, forward mode is $t \mapsto J t$
and reverse mode $g \mapsto J^\top g$.  Asked is whether it is that map (of the primal, by the
witnesses of any function), whether it is linear at all, whether both modes are transposes, whether
nothing comes of nothing, and whether it bears arguments and results that do not take part.  An
error that cancels in the whole function, or that a zero cotangent hides, shows here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.batch import interpreted
from diffkit.bridge.rule_calls import Met, RuleCall, has_looped_rules, met
from diffkit.bridge.subject import Subject
from diffkit.bridge.survey import CUSTOM_RULES
from diffkit.core.errors import DiffkitError
from diffkit.core.evidence import Evidence
from diffkit.core.finding import Finding
from diffkit.verify import answers, findings, large
from diffkit.verify.flat import (
    Flat,
    drawn,
    gap_of,
    inner,
    is_finite,
    largest_of,
    or_none,
    plain,
    pull_back,
    push_forward,
    scaled,
    size_of,
)
from diffkit.verify.sampling import Leaves
from diffkit.verify.tolerance import allowance

#: Linear up to this share: solvers inside a rule stop at a tolerance of their own.
GROSS = 1e-3
#: Rounding of a narrow type, in units of its precision.
ULPS = 64.0
#: Nothing comes of nothing up to this share: the square root of the precision.
NOTHING = 0.5
#: Cotangents and tangents are scaled by these as well; powers of two are exact.
SCALES = (-4.0, 2.0**12)
#: A rule that agrees with AD of its primal up to so many units needs no further witness.
SCREENED_ULPS = 256.0
#: Up to so many pairs of entries the witnesses are asked entry by entry, else along directions.
MOST_PAIRS = 16
DIRECTIONS = 3
#: Larger calls are judged along directions, by differences.
MOST_ENTRIES = 600
KINDS = frozenset({"rule-mismatch", "nonlinear-cotangent"})
Complaint = tuple[str, str]


@dataclass(frozen=True)
class Report:
    """What is found about the rules of one program in one precision.

    Args:
        findings: What is wrong with them.
        evidence: One row, none where no rule is met.
        decides: Whether AD without the rules gives another derivative of the whole function.
    """

    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    decides: bool = False


class _Unasked(Exception):
    """A check that cannot be made of a rule; the message is the reason."""


def judge(what: Subject, dtype: str, leaves: Leaves, seed: int) -> Report:
    """Judge every rule call met at one point.

    Args:
        what: The function.
        dtype: Precision of the program.
        leaves: The point.
        seed: Seed of the cotangents.
    """
    if not what.is_representable(dtype, leaves):
        return Report()
    with compat.x64(dtype == "float64"), np.errstate(all="ignore"):
        try:
            seen = met(what.jaxpr(dtype), what.at(dtype, leaves), what.wrt)
        except USER_ERRORS:  # a program that cannot be run by equation is judged as a whole
            return Report()
        found: list[Finding] = []
        unasked: dict[str, str] = {}
        point = findings.point_at(what, leaves)
        for number, call in enumerate(seen.calls):
            rule = _Rule(call, dtype, np.random.default_rng([seed, number]), seed)
            found += [
                Finding(kind, "warning", message, where=call.where, point=point, dtype=dtype)
                for kind, message in rule.complaints()
            ]
            unasked = {**rule.unasked, **unasked}
        decides = bool(found) and _decides(what, dtype, leaves, seed)
    return Report(tuple(found), _row(seen, found, unasked, dtype), decides)


def _row(
    seen: Met, found: Sequence[Finding], unasked: Mapping[str, str], dtype: str
) -> tuple[Evidence, ...]:
    if not seen.calls:
        return ()
    names = ", ".join(dict.fromkeys(call.name for call in seen.calls))
    number = len(seen.calls)
    count = f"{number} calls" if number > 1 else "1 call"
    if seen.passed_over:
        count = f"{number} of {number + seen.passed_over} calls"
    told = dict.fromkeys(each.kind for each in found)
    done = told or [name for name in _TOLD if name not in unasked]
    left = [f"{name} is not asked ({reason})" for name, reason in unasked.items()]
    note = "; ".join([", ".join(done), *left] if done else left)
    return (
        Evidence(
            "custom rules",
            "AD rules",
            "unsure" if found or unasked else "agrees",
            dtype=dtype,
            note=f"{count} of {names}: {note}",
        ),
    )


def _decides(what: Subject, dtype: str, leaves: Leaves, seed: int) -> bool:
    """Whether AD that goes through the primals of all rules gives another derivative.

    Rules inside of loops are not taken away; then they are taken to decide.
    """
    jaxpr, rounded = what.jaxpr(dtype), what.at(dtype, leaves)
    if has_looped_rules(jaxpr):
        return True

    operand = (jnp.asarray(rounded[what.wrt]),)
    cotangent = drawn([what.output_shape], np.random.default_rng(seed))

    def derivative(entered: frozenset[str]) -> np.ndarray:
        def run(x: Any) -> Any:
            moved = [*rounded[: what.wrt], x, *rounded[what.wrt + 1 :]]
            return tuple(compat.run_equations(jaxpr, moved, entered)[:1])

        return pull_back(run, operand, cotangent)[0]

    try:
        ours, theirs = derivative(compat.CALLS - CUSTOM_RULES), derivative(compat.CALLS)
    except USER_ERRORS:
        return True
    slack = max(GROSS, allowance(ULPS, dtype))
    size = float(np.max(np.abs(theirs), where=np.isfinite(theirs), initial=0.0))
    return not np.allclose(ours, theirs, rtol=slack, atol=slack * size, equal_nan=True)


def told_once(notices: Sequence[Finding], reports: Sequence[Report]) -> list[Finding]:
    """All findings, each rule that is wrong told once.

    Where the whole function is wrong through a rule, the line of the rule is put there; a rule
    whose error cancels in the whole is told beside it.
    """
    local: dict[tuple[str, str], Finding] = {}
    for report in reports:
        for each in report.findings:
            local.setdefault((each.kind, each.where), each)
    found = []
    deciding = {each.dtype for report in reports if report.decides for each in report.findings}
    mismatch = next(
        (
            each
            for each in local.values()
            if each.kind == "rule-mismatch" and each.dtype in deciding
        ),
        None,
    )
    for notice in notices:
        is_limit = (notice.kind, notice.severity, notice.order) == ("wrong-limit", "wrong", 1)
        if is_limit and mismatch is not None:  # a tie beside it is not what is wrong
            notice = replace(notice, kind=mismatch.kind, message=mismatch.message, remedy="")
        culprit = next((each for each in local.values() if each.kind == notice.kind), None)
        is_whole = notice.kind in KINDS and notice.severity == "wrong" and notice.order == 1
        if is_whole and culprit is not None:
            found.append(replace(notice, where=culprit.where))
            del local[culprit.kind, culprit.where]
        else:
            found.append(notice)
    return [*found, *local.values()]


@dataclass(frozen=True)
class _Rule:
    """One call under examination; what it answers is computed once."""

    call: RuleCall
    dtype: str
    random: np.random.Generator
    seed: int
    unasked: dict[str, str] = field(default_factory=dict)

    def complaints(self) -> Iterator[Complaint]:
        """Kind and message of everything that is wrong with the rule.

        What could not be asked is kept in `unasked` with the reason: there the whole function is
        judged alone.
        """
        for name, check in _CHECKS.items():
            try:
                yield from check(self)
            except (DiffkitError, _Unasked, *USER_ERRORS) as error:
                self.unasked[name] = str(error).strip().partition("\n")[0]

    # --- the two modes ---------------------------------------------------------------------------

    @cached_property
    def results(self) -> Flat:
        """The values of the call."""
        return plain(self.call.with_rule(*self.call.operands))

    @cached_property
    def tangents(self) -> tuple[Flat, Flat]:
        """Two random tangents."""
        shapes = [each.shape for each in self.call.operands]
        return drawn(shapes, self.random), drawn(shapes, self.random)

    @cached_property
    def cotangents(self) -> tuple[Flat, Flat]:
        """Two random cotangents."""
        shapes = [each.shape for each in self.results]
        return drawn(shapes, self.random), drawn(shapes, self.random)

    def backward(self, cotangent: Flat) -> Flat:
        """J^T g by the rule."""
        return pull_back(self.call.with_rule, self.call.operands, cotangent)

    def forward(self, tangent: Flat) -> Flat:
        """J t by the rule."""
        return push_forward(self.call.with_rule, self.call.operands, tangent)

    @cached_property
    def pulled(self) -> Flat | None:
        """J^T g of the first cotangent; None where the rule has no reverse mode."""
        return or_none(lambda: self.backward(self.cotangents[0]))

    @cached_property
    def pushed(self) -> Flat | None:
        """J t of the first tangent; None where the rule has no forward mode."""
        if self.call.is_reverse_only:
            return None
        return or_none(lambda: self.forward(self.tangents[0]))

    @property
    def modes(self) -> list[tuple[str, Callable[[Flat], Flat], tuple[Flat, Flat], Flat]]:
        """Word, map, inputs and first answer of each mode there is.

        Raises:
            _Unasked: no mode has a finite answer.
        """
        if self.failure:
            raise _Unasked(self.failure)
        found = []
        if self.pulled is not None and is_finite(self.pulled):
            found.append(("cotangent", self.backward, self.cotangents, self.pulled))
        if self.pushed is not None and is_finite(self.pushed):
            found.append(("tangent", self.forward, self.tangents, self.pushed))
        if not found:
            raise _Unasked("its answer is not finite")
        return found

    @cached_property
    def failure(self) -> str:
        """Why the rule has no answer, "" where it has one."""
        if not self.results:
            return "its results are no real numbers"
        if self.pulled is not None or self.pushed is not None:
            return ""
        try:
            self.backward(self.cotangents[0])
        except USER_ERRORS as error:
            return f"the rule raises {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return ""

    @cached_property
    def narrowest(self) -> str:
        """The coarsest type the call computes in: it may be narrower than the program's."""
        arrays = (*self.call.operands, *self.call.with_rule(*self.call.operands))
        types = [self.dtype, *(str(each.dtype) for each in arrays)]
        return max(types, key=lambda each: float(jnp.finfo(each).eps))

    @property
    def gross(self) -> float:
        """What is more than rounding."""
        return max(GROSS, allowance(ULPS, self.narrowest))


def _mismatch(rule: _Rule) -> Iterator[Complaint]:
    """A rule that is not the derivative of its primal, by the witnesses of any function."""
    if rule.failure:
        raise _Unasked(rule.failure)
    if _agrees_with_primal(rule):
        return
    kinds = {str(each.dtype) for each in rule.call.operands}
    if kinds != {rule.dtype}:
        raise _Unasked(f"it differs from AD of the primal, at operands of {_listed(kinds)}")
    what = rule.call.subject()
    asked = _asked(what, rule.dtype, rule.seed)
    for answer in asked:
        if answer.outcome == "disagrees":
            at = findings.place(what, answer.probe)
            truth = findings.truth_of(answer)
            yield (
                "rule-mismatch",
                f"the rule of `{rule.call.name}` gives {answer.value:.6g} at {at}, {truth}",
            )
            return
    if not any(answer.outcome == "agrees" for answer in asked):
        notes = [answer.note for answer in asked if answer.note]
        raise _Unasked(notes[0] if notes else "no witness can answer")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _asked(what: Subject, dtype: str, seed: int) -> list[answers.Answer]:
    size = what.values[0].size
    with_pairs = size * int(np.prod(what.output_shape)) <= MOST_PAIRS
    if max(size, int(np.prod(what.output_shape))) > MOST_ENTRIES:
        return large.ask_large(what, dtype, [what.values], 1, seed)
    asked = what if with_pairs else replace(what, directions=DIRECTIONS)
    with interpreted():
        return answers.ask(asked, dtype, [what.values], 1, 1, seed)


def _agrees_with_primal(rule: _Rule) -> bool:
    """Whether AD of the primal gives the same in every mode the rule has."""
    operands, primal = rule.call.operands, rule.call.without_rule
    asked = False
    if rule.pulled is not None:
        cotangent = rule.cotangents[0]
        if not _close(rule.pulled, or_none(lambda: pull_back(primal, operands, cotangent)), rule):
            return False
        asked = True
    if rule.pushed is not None:
        tangent = rule.tangents[0]
        if not _close(rule.pushed, or_none(lambda: push_forward(primal, operands, tangent)), rule):
            return False
        asked = True
    return asked


def _close(found: Flat, expected: Flat | None, rule: _Rule) -> bool:
    if expected is None:
        return False
    eps = allowance(SCREENED_ULPS, rule.narrowest)
    return all(
        bool(np.all(np.abs(a - b) <= eps * np.abs(b) + eps / 16 * np.max(np.abs(b), initial=0.0)))
        for a, b in zip(found, expected, strict=True)
    )


def _nonlinear(rule: _Rule) -> Iterator[Complaint]:
    """A rule that does not scale with what it is given, or is not additive."""
    for word, run, (first, second), once in rule.modes:
        for scale in SCALES:
            found = or_none(lambda run=run, x=first, s=scale: run(scaled(x, s)))
            expected = scaled(once, scale)
            if found is None or not (is_finite(found) and is_finite(expected)):
                continue
            gap = gap_of(found, expected)
            if gap > rule.gross:
                yield (
                    "nonlinear-cotangent",
                    f"the rule of `{rule.call.name}` is not linear in its {word}: {scale:g} times "
                    f"the {word} gives an answer that is {gap:.0%} off {scale:g} times the answer",
                )
                return
        gap = _additive_gap(run, first, second, once)
        if gap > rule.gross:
            yield (
                "nonlinear-cotangent",
                f"the rule of `{rule.call.name}` is not additive in its {word}: the answer for a "
                f"sum of two is {gap:.0%} off the sum of the answers",
            )
            return


def _additive_gap(run: Callable[[Flat], Flat], first: Flat, second: Flat, once: Flat) -> float:
    both = tuple(a + b for a, b in zip(first, second, strict=True))
    other, whole = or_none(lambda: run(second)), or_none(lambda: run(both))
    if other is None or whole is None or not (is_finite(other) and is_finite(whole)):
        return 0.0
    return gap_of(whole, tuple(a + b for a, b in zip(once, other, strict=True)), (*once, *other))


def _zero(rule: _Rule) -> Iterator[Complaint]:
    """A rule that makes something, or NaN, of a cotangent of zeros."""
    for word, run, (first, _), once in rule.modes:
        nothing = tuple(np.zeros_like(each) for each in first)
        found = or_none(lambda run=run, x=nothing: run(x))
        if found is None:
            continue
        if not is_finite(found):
            yield (
                "nan-gradient",
                f"the rule of `{rule.call.name}` makes nan of a {word} of zeros, which jit, vmap, "
                "scan and masks pass to it",
            )
        elif size_of(found) > float(jnp.finfo(rule.narrowest).eps) ** NOTHING * size_of(once):
            yield (
                "nonlinear-cotangent",
                f"the rule of `{rule.call.name}` gives {largest_of(found):.4g} for a {word} of "
                "zeros, not 0",
            )


def _transposed(rule: _Rule) -> Iterator[Complaint]:
    """Modes that are not transposes of each other: <g, J t> = <J^T g, t>."""
    if rule.pulled is None or rule.pushed is None:
        return
    left = inner(rule.cotangents[0], rule.pushed)
    right = inner(rule.pulled, rule.tangents[0])
    size = inner(tuple(map(np.abs, rule.pulled)), tuple(map(np.abs, rule.tangents[0])))
    size += inner(tuple(map(np.abs, rule.cotangents[0])), tuple(map(np.abs, rule.pushed)))
    if abs(left - right) > rule.gross * size:
        yield (
            "rule-mismatch",
            f"forward and reverse mode of `{rule.call.name}` are no transposes: <g, J t> = "
            f"{left:.6g}, <J^T g, t> = {right:.6g}",
        )


def _alone(rule: _Rule) -> Iterator[Complaint]:
    """Arguments and results that do not take part: their tangents are symbolic zeros."""
    if rule.pulled is None or not is_finite(rule.pulled):
        return
    whole, names = rule.pulled, rule.call.parameters
    for k, name in enumerate(names if len(names) > 1 else ()):
        yield from _part(rule, f"only {name} is differentiated", _only(rule, k), (whole[k],))
    for k in range(len(rule.results) if len(rule.results) > 1 else 0):
        nothing = tuple(
            each if j == k else np.zeros_like(each) for j, each in enumerate(rule.cotangents[0])
        )
        expected = or_none(lambda x=nothing: rule.backward(x))
        if expected is not None:
            told = f"only result {k} is used"
            yield from _part(rule, told, _of_result(rule, k), expected)
    yield from _integers(rule)


def _part(rule: _Rule, told: str, run: Callable[[], Flat], expected: Flat) -> Iterator[Complaint]:
    try:
        found = run()
    except USER_ERRORS as error:
        reason = str(error).partition("\n")[0]
        yield (
            "missing-mode",
            f"the rule of `{rule.call.name}` raises where {told}: {reason}",
        )
        return
    if not is_finite(found):
        yield "nan-gradient", f"the rule of `{rule.call.name}` gives nan where {told}"
    elif gap_of(found, expected) > rule.gross:
        yield (
            "rule-mismatch",
            f"the rule of `{rule.call.name}` gives another derivative where {told}, "
            f"{gap_of(found, expected):.0%} off",
        )


def _only(rule: _Rule, k: int) -> Callable[[], Flat]:
    """J^T g of one operand, the others being constants."""
    operands = rule.call.operands

    def of_one(x: Any) -> Any:
        return rule.call.with_rule(*operands[:k], x, *operands[k + 1 :])

    return lambda: pull_back(of_one, (operands[k],), rule.cotangents[0])


def _of_result(rule: _Rule, k: int) -> Callable[[], Flat]:
    """J^T g of one result, the others not being used."""

    def one(*operands: Any) -> Any:
        return (rule.call.with_rule(*operands)[k],)

    return lambda: pull_back(one, rule.call.operands, (rule.cotangents[0][k],))


def _integers(rule: _Rule) -> Iterator[Complaint]:
    """Integers among the arguments, which are owed cotangents of no dtype."""
    places = [
        k
        for k, value in enumerate(rule.call.values)
        if jnp.issubdtype(jnp.result_type(value), jnp.integer)
    ]
    if not places:
        return

    def whole(moving: Any, integers: Any) -> Any:
        given = dict(zip(places, integers, strict=True))
        return replace(rule.call, values=_placed(rule.call.values, given)).with_rule(*moving)

    integers = [jnp.asarray(rule.call.values[k]) for k in places]
    try:
        results, pull = jax.vjp(whole, list(rule.call.operands), integers)
        weights = [
            jnp.asarray(g, each.dtype) for g, each in zip(rule.cotangents[0], results, strict=True)
        ]
        pull(tuple(weights))
    except USER_ERRORS as error:
        reason = str(error).partition("\n")[0]
        yield (
            "missing-mode",
            f"the rule of `{rule.call.name}` raises for its integer arguments, which are owed "
            f"None: {reason}",
        )


def _placed(values: Sequence[Any], given: Mapping[int, Any]) -> tuple[Any, ...]:
    return tuple(given.get(k, value) for k, value in enumerate(values))


def _other_every_time(rule: _Rule) -> Iterator[Complaint]:
    """A rule that answers the same question in two ways."""
    for word, run, (first, _), once in rule.modes:
        again = or_none(lambda run=run, x=first: run(x))
        eps = allowance(ULPS, rule.narrowest)
        if again is not None and gap_of(again, once) > eps:
            yield (
                "nondeterministic",
                f"the rule of `{rule.call.name}` gives two answers to one {word}: it draws or "
                "keeps a state",
            )


_CHECKS: dict[str, Callable[[_Rule], Iterator[Complaint]]] = {
    "the derivative of the primal": _mismatch,
    "linear": _nonlinear,
    "0 at 0": _zero,
    "transposes": _transposed,
    "one argument alone": _alone,
    "the same twice": _other_every_time,
}
#: What is said of a rule in which nothing is found.
_TOLD = ("the derivative of the primal", "linear", "0 at 0", "the same twice")
