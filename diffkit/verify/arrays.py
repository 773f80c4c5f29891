"""Judge a claim about a function of arrays: prove it, or find where it fails and why.

A proof is about the lifted formula: equal normal forms, or identity testing with its error
probability.  A refutation needs a disagreement beyond the error model at a point, seen by the
closed form and confirmed by a group that does not share its rules (AD, differences of values),
and identity testing in exact arithmetic that tells the sides apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from diffkit.backend import compat
from diffkit.bridge.array_claim import Claimed, lifted, tangent_name, truth_of
from diffkit.bridge.formula import Formula
from diffkit.bridge.subject import Subject
from diffkit.core.claim import Kind
from diffkit.core.domain import Domain
from diffkit.core.errors import CertificateError
from diffkit.core.evidence import ErrorBound, Evidence
from diffkit.core.verdict import Status, Verdict
from diffkit.tensor import views
from diffkit.tensor.identity import Equality, prove_equal_nodes, tests_equality
from diffkit.verify.array_court import Court, Reading
from diffkit.verify.array_question import ArrayQuestion, read_domains, read_question
from diffkit.verify.array_repair import find_repair, narrower

#: Fewest agreeing points for "supported".
FEWEST = 6


def check_arrays(
    what: Subject,
    claim: Any,
    *,
    kind: Kind,
    domain: Mapping[str, Any] | str | None,
    constants: Mapping[str, int] | None,
    points: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
) -> Verdict:
    """Judge a claim about a function of arrays.

    Args:
        what: The function with its example arguments.
        claim: JAX function, text, LaTeX, SymPy expression or `Formula`.
        kind: "gradient", "jacobian", "hessian", "jvp", "value" or "function".
        domain: Declared domains: of the variable, or by name.
        constants: Values of size symbols.
        points: Points judged after the given one.
        options: Seed, budget and what else is kept for replay.

    Raises:
        UsageError: the question cannot be asked this way; says how it can.
        UnsupportedPrimitive: the function cannot be read; names the line and the remedy.
    """
    domains = read_domains(what, domain)
    facts = {name: str(where) for name, where in domains.items()}
    with compat.x64():
        target = lifted(what, facts)
        if kind == "function":
            return _function(what, claim, target, domains, constants, points, options)
        question = read_question(what, claim, kind, target, domains, constants, points, options)
        return judge_arrays(question)


def _function(
    what: Subject,
    claim: Any,
    target: Formula,
    domains: Mapping[str, Domain],
    constants: Mapping[str, int] | None,
    points: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
) -> Verdict:
    """kind="function": the values, and then the derivatives of the two implementations."""
    by_value = read_question(what, claim, "value", target, domains, constants, points, options)
    verdict = judge_arrays(by_value)
    if not verdict.ok or by_value.claimed.node is None:
        return replace(verdict, claim=replace(verdict.claim, kind="function"))
    other = Formula(by_value.claimed.node, target.inputs, shape=by_value.claimed.shape)
    kind: Kind = "jacobian" if target.shape else "gradient"
    slope = truth_of(other, by_value.variable, kind)
    by_slope = read_question(what, slope, kind, target, domains, constants, points, options)
    second = judge_arrays(by_slope)
    worse = second if not second.ok or verdict.status == "proved" else verdict
    return replace(
        worse,
        claim=replace(worse.claim, kind="function"),
        statement=f"{what.name} = {by_value.claimed.shown}, values and derivatives",
    )


# the judge ----------------------------------------------------------------------------------------


def judge_arrays(question: ArrayQuestion) -> Verdict:
    """Prove, refute or support a claim whose sides were read."""
    question = _same_layout(question)
    if question.claimed.shape != question.truth.shape:
        return _wrong_shape(question)
    node = question.claimed.node
    if node is not None:
        equality = prove_equal_nodes(question.truth.whole, node)
        tested = equality.is_equal and equality.error > 0
        if tested and question.kind == "value" and tests_equality(question.truth.whole, node):
            equality = Equality(
                False, "identity testing looks beside the points where a case asks for equality"
            )
    else:
        equality = Equality(False, "the claim is no formula")
    court = Court(question)
    readings = court.hear()
    failing = next((r for r in readings if r.disagrees), None)
    if equality.is_equal:
        return _proved(question, equality, readings, failing)
    if failing is not None:
        return _refuted(question, court, failing, equality)
    return _unproved(question, equality, readings)


def _same_layout(question: ArrayQuestion) -> ArrayQuestion:
    """A Jacobian or Hessian claimed as a matrix, its axes merged row-major, is unfolded."""
    claimed, shape = question.claimed, question.truth.shape
    wrt = question.target.input(question.variable).shape
    out = shape[: len(shape) - len(wrt)]
    flat = (int(np.prod(out, dtype=int)), int(np.prod(wrt, dtype=int)))
    is_flat = question.kind in ("jacobian", "hessian") and claimed.shape == flat
    if not is_flat or flat == shape:
        return question

    def value(*leaves: Any) -> Any:
        return claimed.value(*leaves).reshape(shape)

    node = claimed.node
    if node is not None:
        node = views.dense(views.reshape(views.view(node), shape))
    note = f"the claim of shape {flat} is read as the row-major flattening of {shape}"
    unfolded = replace(claimed, node=node, shape=shape, value=value, notes=(*claimed.notes, note))
    return replace(question, claimed=unfolded)


# verdicts -----------------------------------------------------------------------------------------


def _left(question: ArrayQuestion) -> str:
    """What the claim is about: d f/dw, d^2 f/dw^2, f."""
    name, wrt = question.what.name, question.what.variable
    match question.kind:
        case "value" | "function":
            return name
        case "hessian":
            return f"d^2 {name}/d{wrt}^2"
        case "jvp":
            return f"d {name} along {tangent_name(wrt)}"
    return f"d {name}/d{wrt}"


def _sizes(claimed: Claimed) -> str:
    return (
        "" if claimed.size is None else f"{claimed.size[1]} = {claimed.size[0]} ({claimed.size[2]})"
    )


def _proved(
    question: ArrayQuestion,
    equality: Equality,
    readings: Sequence[Reading],
    failing: Reading | None,
) -> Verdict:
    agreeing = [r for r in readings if r.is_finite]
    if failing is not None and not np.all(np.isfinite(failing.claimed)):
        return _verdict(
            question,
            "undecided",
            scope=f"{equality.method} in real arithmetic, but the claim is not finite at a judged "
            "point where the truth is: it is outside the domain of the claim, or overflows; "
            "give domain= or another example",
        )
    if failing is not None:
        raise CertificateError(
            f"a proof of {_left(question)} = {question.claimed.shown} ({equality.method}) is "
            f"contradicted by its values: error {failing.error:.1e}, allowed "
            f"{failing.allowed:.1e}; please report this formula"
        )
    if not agreeing:
        return _verdict(
            question,
            "undecided",
            scope="the function is finite at no judged point; give domain= or points=",
        )
    shapes = ", ".join(f"{x.name} {_times(x.shape)}" for x in question.inputs if x.shape)
    scope = f"the formula read from the program, in real arithmetic, for {shapes or 'numbers'}"
    return _verdict(
        question,
        "proved",
        scope=f"{scope}; {equality.method}; values agree at {len(agreeing)} points",
        evidence=(
            Evidence("normal forms", "closed form", "agrees", note=equality.method),
            *_agreeing_rows(agreeing),
        ),
    )


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _agreeing_rows(readings: Sequence[Reading]) -> tuple[Evidence, ...]:
    if not readings:
        return ()
    worst = max(readings, key=lambda r: r.error / r.allowed if r.allowed else 0.0)
    return (
        Evidence(
            "values",
            "numerical",
            "agrees",
            error=worst.error,
            allowed=ErrorBound({"rounding": worst.allowed}),
            dtype="float64",
            note=f"the worst of {len(readings)} points",
        ),
    )


def _unproved(question: ArrayQuestion, equality: Equality, readings: Sequence[Reading]) -> Verdict:
    agreeing = [r for r in readings if r.is_finite]
    outside = len(readings) - len(agreeing)
    status: Status = "supported" if len(agreeing) >= FEWEST else "undecided"
    if equality.differs and status == "supported":
        status = "undecided"
    scope = f"values agree at {len(agreeing)} of {len(readings)} points"
    if outside:
        scope += f", {outside} where the function is not finite"
    return _verdict(
        question,
        status,
        scope=f"{scope}; no proof: {equality.method}",
        evidence=_agreeing_rows(agreeing),
    )


def _wrong_shape(question: ArrayQuestion) -> Verdict:
    claimed, true = question.claimed.shape, question.truth.shape
    said = f"has shape {claimed}, the derivative has shape {true}"
    if question.kind == "value":
        said = f"has shape {claimed}, the value has shape {true}"
    return _verdict(
        question,
        "refuted",
        scope="shapes are compared before values",
        contradiction=f"the claim {said}",
    )


def _refuted(
    question: ArrayQuestion, court: Court, failing: Reading, equality: Equality
) -> Verdict:
    rows = court.witnesses(failing)
    confirmed = [row for row in rows if row.outcome == "disagrees"]
    own = Evidence(
        "closed form",
        "closed form",
        "disagrees",
        error=failing.error,
        allowed=ErrorBound({"rounding": failing.allowed}),
        dtype="float64",
        note=equality.method,
    )
    if not confirmed:
        return _verdict(
            question,
            "undecided",
            scope="the closed form and the claim differ, and no second witness confirms it",
            evidence=(own, *rows),
        )
    limited = narrower(question)
    found = find_repair(question)
    shown = question.claimed.shown
    statement = f"{_left(question)} = {shown}"
    said = _said(failing)
    if found is not None:
        truth, repair, size = found
        statement = f"{_left(question)} = {truth}"
        if size:
            statement = f"{statement}, {size}"
    else:
        repair = None
    if limited:
        said = f"{said}; the claim {limited}"
    return replace(
        _verdict(
            question,
            "refuted",
            scope="fails at the point shown",
            evidence=(own, *rows),
            contradiction=said,
        ),
        statement=statement,
        counterexample=dict(failing.point),
        diagnosis=limited or (repair.edit if repair else None),
        repair=repair,
    )


def _said(reading: Reading) -> str:
    """Both values at the counterexample; long arrays by their worst entry."""
    true, claimed = np.asarray(reading.true), np.asarray(reading.claimed)
    if true.size <= 6:
        return f"here {_compact(true)}, claimed {_compact(claimed)}"
    place = list(reading.place)
    return (
        f"entry {place}: here {float(true[reading.place]):.4g}, "
        f"claimed {float(claimed[reading.place]):.4g}"
    )


def _compact(value: Any) -> str:
    if value.ndim == 0:
        return f"{float(value):.4g}"
    inner = " ".join(_compact(each) for each in value)
    return f"[{inner}]"


def _verdict(
    question: ArrayQuestion,
    status: Status,
    *,
    scope: str,
    evidence: Sequence[Evidence] = (),
    contradiction: str = "",
) -> Verdict:
    claimed = question.claimed
    held = [n for k, n in enumerate(question.what.names) if k != question.what.wrt]
    assumptions = list(dict.fromkeys((*question.target.notes, *claimed.notes)))
    if held and question.kind != "value":
        assumptions.append(f"{', '.join(held)} as given")
    size = _sizes(claimed)
    statement = f"{_left(question)} = {claimed.shown}{f', {size}' if size else ''}"
    return Verdict(
        claim=question.claim,
        status=status,
        statement=statement,
        scope=scope,
        evidence=tuple(evidence),
        contradiction=contradiction,
        assumptions=tuple(assumptions),
    )
