"""`dk.verify`: does the program JAX runs compute the derivative of the function?

AD's value is compared with the rigorous enclosure of the true derivative of the very program,
at the precision it runs in.  A refutation needs a second witness group that sides with the
balls, and the balls again at doubled precision; anything less is undecided.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.bridge.capped import capped, has_open_loop
from diffkit.bridge.complex_arguments import in_real_parts
from diffkit.bridge.formula import Formula
from diffkit.bridge.joined import joined, single
from diffkit.bridge.subject import Subject, subject
from diffkit.bridge.transforms import TRANSFORMS, check_names
from diffkit.core.claim import Claim
from diffkit.core.domain import Domain
from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.evidence import Evidence
from diffkit.core.finding import Finding
from diffkit.core.suggestions import did_you_mean
from diffkit.core.verdict import Status, Verdict, worst
from diffkit.symbolic.source import source
from diffkit.verify import (
    accuracy,
    findings,
    formal,
    hazards,
    large,
    linearity,
    rules,
    sampling,
    witnesses,
)
from diffkit.verify.answers import Answer, ask, ask_beside
from diffkit.verify.replay import arguments_as_data, can_be_given, reference

DTYPES = ("float64", "float32", "float16", "bfloat16")


def verify(
    f: Callable[..., Any],
    *args: Any,
    wrt: int | str | tuple[str, ...] | None = None,
    order: int = 1,
    dtypes: Sequence[str] = ("float64", "float32"),
    assume: Mapping[str, Any] | None = None,
    domain: Mapping[str, Any] | str | None = None,
    conventions: Mapping[str, float] | None = None,
    points: Sequence[Mapping[str, Any]] = (),
    under: Sequence[str] = (),
    seed: int = 0,
    budget: str = "fast",
    **kwargs: Any,
) -> Verdict:
    """Judge what `jax.grad` and `jax.jvp` return for a function, for all orders up to `order`.

    Args:
        f: A JAX function with one real result; or formula text, which is lowered.
        *args: Example arguments: numbers, real or complex arrays, pytrees.  An array is a shape
            and the first judged point, a `jax.ShapeDtypeStruct` only a shape.  Without any,
            parameters are scalars.
        wrt: Position or name of the differentiated argument (default the first); of a pytree also
            the path of a leaf, the end of one, or a tuple of them.
        order: Highest order judged, 1 to 4.
        dtypes: Precisions in which the program is judged.
        assume: As `domain`.
        domain: Name -> domain, or the domain of the differentiated argument.
        conventions: Values at kinks, such as {"relu0": 0}; none is needed for the Clarke rule.
        points: Further points to judge, name -> array.
        under: Transformations it is judged under as well: "jit", "vmap", "remat",
            "scan".
        seed: Seed of the sampled points.
        budget: "fast" or "full".
        **kwargs: Arguments by name; those that are no float arrays are static.

    Returns:
        A `Verdict`: the worst over dtypes, orders, points and modes.

    Raises:
        UsageError: the question cannot be asked this way; says how it can.
    """
    _check_options(dtypes, order, budget)
    check_names(under)
    text = _text_of(f)
    what = _subject(f if text is None else _lowered(f), args, kwargs, wrt)
    if text is not None:
        _check_variable(what, text, wrt)
        what = replace(what, name=text)
    what = replace(what, notes=(*what.notes, *_other_types(args, kwargs, dtypes)))
    _ = what.output_shape  # a function that cannot be judged is refused here
    if has_open_loop(what.jaxpr(dtypes[0])):  # at a sampled point it may never end
        what = replace(what, call=capped(what.call))
    where = _domains(what, domain, assume)
    if large.is_large(what):
        large.check_order(what, order)
        leaves, mine = large.points(what, where, points, seed)
    else:
        leaves, mine = sampling.judged(what, where, points, seed=seed, budget=budget)
    answers: list[Answer] = []
    about_rules = [rules.judge(what, dtype, leaves[0], seed) for dtype in dtypes]
    notices: list[Finding] = hazards.of_program(what, dtypes[0])
    for current in range(1, order + 1):
        for dtype in dtypes:
            asked, seen = _ask(what, dtype, leaves, mine, current, seed, where, budget)
            answers += asked
            if current == 1:
                bent = linearity.ask(what, asked, dtype, seed)
                answers += bent
                notices += linearity.findings_of(what, bent)
                notices += hazards.of_answers(what, asked, dtype)
            notices += [
                found
                for answer in findings.worth_a_word(asked, dtype)
                for found in findings.of_answer(what, answer, current, is_watched=False)
            ]
            notices += findings.of_watched(what, dtype, current, seen)
            transformed, found = _transformed(what, under, dtype, leaves, mine, current, seed)
            answers += transformed
            notices += found
    proof = formal.unsought(what) if large.is_large(what) else formal.prove(what, where, order)
    claim = _claim(what, f, order, dtypes, domain, conventions, points, under, seed, budget)
    heard = () if large.is_large(what) else witnesses.hear(what, answers, order)
    told = rules.told_once(findings.merged(notices), about_rules)
    seen_rules = tuple(row for each in about_rules for row in each.evidence)
    return _verdict(what, claim, answers, told, proof, (*heard, *seen_rules), order)


def _other_types(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], dtypes: Sequence[str]
) -> list[str]:
    """That arrays are given in a type nothing is asked in: what is said holds in the others."""
    types = {
        str(leaf.dtype)
        for leaf in jax.tree.leaves((args, dict(kwargs)))
        if isinstance(leaf, np.ndarray | np.generic | jax.Array)
        and jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    return [
        f"an argument of {each} is judged in {' and '.join(dtypes)}"
        + (f'; dtypes=("{each}",) asks about {each}' if each in DTYPES else "")
        for each in sorted(types - {"float32", "float64", *dtypes})
    ]


def _subject(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], wrt: Any
) -> Subject:
    """The function of one differentiated array; a pytree is joined to one."""
    real = in_real_parts(f, args, kwargs)
    whole = joined(real.function, real.args, real.kwargs, wrt) if args or kwargs else None
    if whole is None:
        found = subject(
            real.function,
            real.args,
            real.kwargs,
            single(real.function, real.args, real.kwargs, wrt),
        )
        return replace(found, function=f, notes=(*found.notes, *real.notes))
    found = subject(whole.function, whole.arguments, {}, 0)
    return replace(
        found,
        function=f,
        names=(found.names[0], *whole.others),
        notes=(*whole.notes, *real.notes),
        parts=whole.parts,
        apart=whole.apart,
    )


def _ask(
    what: Subject,
    dtype: str,
    leaves: Sequence[sampling.Leaves],
    mine: int,
    order: int,
    seed: int,
    where: Mapping[str, Domain],
    budget: str,
) -> tuple[list[Answer], list[Answer]]:
    """The answers at the judged points and at the adversarial ones."""
    if large.is_large(what):
        return large.ask_large(what, dtype, leaves, mine, seed), []
    beside = sampling.watched(what, where, seed=seed, budget=budget)
    return ask_beside(what, dtype, leaves, mine, order, seed, beside)


def _transformed(
    what: Subject,
    under: Sequence[str],
    dtype: str,
    leaves: Sequence[sampling.Leaves],
    mine: int,
    order: int,
    seed: int,
) -> tuple[list[Answer], list[Finding]]:
    """The same questions put to the function under each transformation, and what is found so."""
    answers: list[Answer] = []
    notices: list[Finding] = []
    for name in under:
        variant = replace(what, call=TRANSFORMS[name](what.call))
        asked = (
            large.ask_large(variant, dtype, leaves, mine, seed)
            if large.is_large(what)
            else ask(variant, dtype, leaves, mine, order, seed)
        )
        answers += [replace(answer, mode=f"{answer.mode} under {name}") for answer in asked]
        if order == 1:
            notices += hazards.missing_under(what, variant, name, dtype)
        notices += [
            replace(found, message=f"under {name}: {found.message}", remedy="")
            for answer in asked
            if answer.outcome == "disagrees"
            for found in findings.of_answer(variant, answer, order, is_watched=False)
        ][:1]
    return answers, notices


def _check_options(dtypes: Sequence[str], order: int, budget: str) -> None:
    if isinstance(dtypes, str) or not dtypes or any(dtype not in DTYPES for dtype in dtypes):
        raise UsageError(f"dtypes={dtypes!r}; name some of: {', '.join(DTYPES)}")
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= 4:
        raise UsageError(f"order={order!r}; verify judges the orders 1 to 4")
    if budget not in sampling.JUDGED:
        raise UsageError(f"budget={budget!r}; write one of: {', '.join(sampling.JUDGED)}")


def _text_of(f: Any) -> str | None:
    """A formula as text, None for a JAX function."""
    if isinstance(f, str):
        return f.strip()
    return source(f) if hasattr(f, "free_symbols") else None


def _check_variable(what: Subject, text: str, wrt: Any) -> None:
    """A formula of several symbols names its variable; a function has a first argument."""
    if wrt is None and len(what.names) > 1:
        raise UsageError(
            f"{text!r} has several symbols ({', '.join(what.names)}): "
            "say which one with wrt (--wrt)"
        )


def _lowered(formula: Any) -> Callable[..., Any]:
    """A formula as the JAX function it lowers to."""
    read = Formula.from_text if isinstance(formula, str) else Formula.from_sympy
    return read(formula).lower()


def _domains(
    what: Subject, domain: Mapping[str, Any] | str | None, assume: Mapping[str, Any] | None
) -> dict[str, Domain]:
    if isinstance(domain, str | Domain):
        domain = {what.variable: domain}
    found = {
        name: Domain.parse(text) for name, text in {**(domain or {}), **(assume or {})}.items()
    }
    for name, where in found.items():
        if name not in what.names:
            raise UnknownNameError(
                f"domain names {name!r}; {did_you_mean(name, what.names)}the arguments are "
                f"{', '.join(what.names)}"
            )
        if where.matrix_set:
            raise UsageError(f"the domain {where} of {name} needs array calculus; give an interval")
    return found


def _verdict(
    what: Subject,
    claim: Claim,
    answers: Sequence[Answer],
    notices: Sequence[Finding],
    proof: formal.FormalProof,
    heard: tuple[Evidence, ...],
    order: int,
) -> Verdict:
    refuted = [answer for answer in answers if answer.outcome == "disagrees"]
    status = _status(answers, proof)
    objection = witnesses.contradiction(heard)
    if objection is not None and not refuted:
        status = "undecided"
    common: dict[str, Any] = {
        "claim": claim,
        "status": status,
        "findings": tuple(notices),
        "assumptions": (*what.notes, *_held(what), *proof.notes),
        "latex": proof.latex,
    }
    if refuted:
        first = min(refuted, key=lambda a: (not a.is_given, "output" in a.probe.entry, _size(a)))
        return Verdict(
            **common,
            statement=_sentence(what, first, order),
            scope=f"{len(refuted)} of {len(answers)} answers wrong",
            evidence=(*first.rows, *heard, *_summary(what, answers)),
            counterexample=findings.point_of(what, first.probe),
            reproducer=findings.reproducer(what, first, order),
        )
    return Verdict(
        **common,
        statement=_claim_sentence(what, proof, order),
        scope=_scope(answers, proof, objection),
        evidence=(*proof.evidence, *heard, *_summary(what, answers)),
    )


def _status(answers: Sequence[Answer], proof: formal.FormalProof) -> Status:
    """The worst over all answers; proved needs the proof and no answer that is not clean."""
    statuses: list[Status] = []
    unsure = 0
    for answer in answers:
        if answer.outcome == "disagrees":
            statuses.append("refuted")
        elif answer.outcome == "unsure":
            unsure += 1
            statuses += ["undecided"] * answer.is_given
        elif answer.outcome == "agrees":
            at_kink = answer.truth.kind != "smooth"
            statuses.append("supported" if at_kink or not proof.is_proved else "proved")
        elif answer.is_given:
            statuses.append("undecided")
    if unsure > len(statuses) // 4:  # too many sampled points left open
        statuses.append("undecided")
    return worst(statuses) if statuses else "undecided"


def _sentence(what: Subject, answer: Answer, order: int) -> str:
    if answer.scale != 1:
        return _scaled_sentence(what, answer)
    mode, _, transformed = answer.mode.partition(" under ")
    call = "jax.grad" if mode == "reverse" else "jax.jvp"
    nested = f"{call}({what.name})" if order == 1 else f"order-{order} {call} of {what.name}"
    place = findings.place(what, answer.probe)
    truth = answer.truth
    if truth.kind == "kink":
        true = f"the one-sided derivatives are {answer.left:g} and {answer.right:g}"
    elif findings.delicate_places(what, answer):
        true = f"the derivative is {answer.true_value:.7g} (left and right limit agree)"
    else:
        true = f"the derivative is {answer.true_value:.7g}"
    dtype = f" in {answer.dtype}" if answer.dtype != "float64" else ""
    under = f" under {transformed}" if transformed else ""
    return f"{nested}({place}) = {answer.value:.7g}{dtype}{under}, {true}"


def _scaled_sentence(what: Subject, answer: Answer) -> str:
    word = "cotangent" if answer.mode == "reverse" else "tangent"
    call = "jax.vjp" if answer.mode == "reverse" else "jax.jvp"
    dtype = f" in {answer.dtype}" if answer.dtype != "float64" else ""
    return (
        f"{call} of {what.name} at {findings.place(what, answer.probe)} gives "
        f"{answer.value:.7g}{dtype} for a {word} of {answer.scale:g}; {answer.scale:g} times the "
        f"derivative is {answer.true_value:.7g}"
    )


def _claim_sentence(what: Subject, proof: formal.FormalProof, order: int) -> str:
    power = f" up to order {order}" if order > 1 else ""
    formula = f": {proof.formula}" if proof.formula else ""
    return f"AD of {what.name} with respect to {what.variable}{power}{formula}"


def _scope(answers: Sequence[Answer], proof: formal.FormalProof, objection: Evidence | None) -> str:
    agreeing = sum(answer.outcome == "agrees" for answer in answers)
    outside = sum(answer.outcome == "out of domain" for answer in answers)
    unsure = [answer for answer in answers if answer.outcome == "unsure"]
    parts = [proof.scope] if proof.is_proved else ([proof.scope] if proof.scope else [])
    parts.append(f"{agreeing} of {len(answers)} AD answers lie within their rounding bounds")
    if outside:
        parts.append(f"{outside} outside the domain")
    if unsure:
        parts.append(f"{len(unsure)} unsure ({unsure[0].note})")
    if objection is not None:
        parts.append(
            f"the {objection.oracle} contradicts ball arithmetic ({objection.value} against it): "
            "a defect of diffkit, please report this function"
        )
    return "; ".join(parts)


def _summary(what: Subject, answers: Sequence[Answer]) -> tuple[Evidence, ...]:
    """One row per dtype and mode, at its worst point."""
    rows = []
    for dtype, mode in dict.fromkeys((answer.dtype, answer.mode) for answer in answers):
        some = [a for a in answers if (a.dtype, a.mode) == (dtype, mode)]
        severity = ("disagrees", "unsure", "agrees", "out of domain")
        worst_one = min(some, key=lambda a: (severity.index(a.outcome), -_ratio(a)))
        agreeing = sum(a.outcome == "agrees" for a in some)
        rows.append(
            Evidence(
                mode,
                "AD rules",
                worst_one.outcome,
                findings.point_of(what, worst_one.probe),
                value=worst_one.value,
                claimed=None,
                error=worst_one.error if isfinite(worst_one.error) else None,
                allowed=worst_one.allowed,
                dtype=dtype,
                note="; ".join(
                    each
                    for each in (
                        f"{agreeing} of {len(some)} points agree",
                        accuracy.digits(what, [a for a in some if a.is_given] or some),
                        worst_one.note,
                    )
                    if each
                ),
            )
        )
    return tuple(rows)


def _ratio(answer: Answer) -> float:
    bound = answer.allowed.value if answer.allowed else 0.0
    return answer.error / bound if bound and isfinite(answer.error) else 0.0


def _held(what: Subject) -> tuple[str, ...]:
    fixed = [
        name for i, name in enumerate(what.names) if i != what.wrt and not what.is_shape_only[i]
    ]
    return (f"{', '.join(fixed)} held at the given values",) if fixed else ()


def _size(answer: Answer) -> float:
    return float(sum(np.abs(leaf).sum() for leaf in answer.probe.leaves))


def _claim(
    what: Subject,
    f: Any,
    order: int,
    dtypes: Sequence[str],
    domain: Any,
    conventions: Mapping[str, float] | None,
    points: Sequence[Mapping[str, Any]],
    under: Sequence[str],
    seed: int,
    budget: str,
) -> Claim:
    name = reference(f) if _text_of(f) is None else what.name
    texts = {what.variable: domain} if isinstance(domain, str) else (domain or {})
    return Claim(
        target=name or what.name,
        wrt=what.variable,
        order=order,
        verb="verify",
        domain={key: str(text) for key, text in texts.items()},
        conventions=dict(conventions or {}),
        points=tuple(dict(point) for point in points),
        options={
            "dtypes": list(dtypes),
            "under": list(under),
            "seed": seed,
            "budget": budget,
            "arguments": arguments_as_data(what),
        },
        is_replayable=bool(name) and can_be_given(what),
    )
