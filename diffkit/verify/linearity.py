"""Whether AD of the whole function is a linear map where custom rules are in it.

Reverse mode must scale with its cotangent and forward mode with its tangent, and both must be
additive: they are asked again along directions without a zero entry.  A rule that returns p - y
whatever its cotangent is gives the right gradient of a loss, and the wrong one of twice the loss.
An answer that does not scale is judged like any other one: against the derivative in the scaled
direction, with bounds and a second witness.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite

import jax.numpy as jnp
import numpy as np

from diffkit.bridge.batch import interpreted, run_rows
from diffkit.bridge.rule_calls import has_rules
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import DiffkitError
from diffkit.core.finding import Finding
from diffkit.oracles import reverse
from diffkit.verify import findings, large
from diffkit.verify.answers import JUDGED_MODES, Answer, ask_probes
from diffkit.verify.flat import drawn

#: A cotangent scaled by these must scale the answer by them: powers of two, so to the last bit of
#: a linear rule, one of them negative; the others leave the range in which a rule clips.
SCALES = (-4.0, 2.0**12, 2.0**-12)
#: Units in the last place that are granted all the same, of the largest answer.
SCALING_ULPS = 8.0
#: What is no rounding even where no witness confirms it.
GROSS = 1e-3
#: At most so many questions are asked again.
MOST = 8


def ask(what: Subject, answers: Sequence[Answer], dtype: str, seed: int) -> list[Answer]:
    """The answers of AD to scaled questions that are not those to the questions, scaled.

    Args:
        what: The function.
        answers: Those to the questions themselves.
        dtype: Precision of the program.
        seed: Seed of a dense cotangent, asked about where the result is an array.

    Returns:
        [] for a program that is linear, or has no custom rule.
    """
    asked = [
        answer
        for answer in answers
        if answer.dtype == dtype and answer.is_given and answer.order == 1
    ]
    if not asked or not has_rules(what.jaxpr(dtype)):
        return []
    if large.is_large(what):
        return large.ask_scaled(what, dtype, asked, SCALES)
    with interpreted():  # equation by equation: a power of two then scales to the last bit
        return [*_scaled(what, asked, dtype), *_dense(what, asked, dtype, seed)]


def findings_of(what: Subject, answers: Sequence[Answer]) -> list[Finding]:
    """What is told of scaled answers: wrong where a second witness confirms, else a warning."""
    told = []
    for answer in answers:
        is_wrong = answer.outcome == "disagrees"
        if is_wrong or (answer.outcome == "unsure" and _is_gross(answer)):
            told.append(
                Finding(
                    "nonlinear-cotangent" if answer.scale != 1 else "rule-mismatch",
                    "wrong" if is_wrong else "warning",
                    _message(what, answer),
                    point=findings.point_of(what, answer.probe),
                    dtype=answer.dtype,
                )
            )
    return told[:1]


def _message(what: Subject, answer: Answer) -> str:
    at = findings.place(what, answer.probe)
    word = "cotangent" if answer.mode == reverse.NAME else "tangent"
    if answer.scale == 1:
        return f"at {at} a custom rule gives {answer.value:.6g}, {findings.truth_of(answer)}"
    return (
        f"at {at} a {word} of {answer.scale:g} instead of 1 gives {answer.value:.6g}, and "
        f"{answer.scale:g} times the derivative is {answer.true_value:.6g}: a custom rule ignores, "
        "clips or bends it"
    )


def _is_gross(answer: Answer) -> bool:
    return answer.truth.kind == "smooth" and answer.error > GROSS * abs(answer.true_value)


def _scaled(what: Subject, answers: Sequence[Answer], dtype: str) -> Iterator[Answer]:
    for mode in JUDGED_MODES:
        mine = [a for a in answers if a.mode == mode.NAME and isfinite(a.value)][:MOST]
        if not mine:
            continue
        asked = [
            (a.probe if scale == 1 else _times(a.probe, mode.NAME, scale), scale)
            for a in mine
            for scale in (1.0, *SCALES)
        ]
        try:
            rows = {mode.NAME: mode.row(what, 1)}
            values = run_rows(what, dtype, [probe for probe, _ in asked], rows)[mode.NAME]
        except DiffkitError:
            continue
        once = np.repeat(values[:: 1 + len(SCALES)], 1 + len(SCALES))
        bent = {
            id(probe): (probe, scale)
            for (probe, scale), value, base in zip(asked, values, once, strict=True)
            if _is_off(value, scale * base, dtype)
        }
        chosen = list(bent.values())[:MOST]
        known = [True] * len(chosen)
        for answer in ask_probes(what, dtype, [probe for probe, _ in chosen], known, known, 1):
            if answer.mode == mode.NAME:
                yield replace(answer, scale=bent[id(answer.probe)][1])


def _times(probe: Probe, mode: str, scale: float) -> Probe:
    if mode == reverse.NAME:
        return replace(probe, cotangent=scale * probe.cotangent)
    return replace(probe, tangent=scale * probe.tangent)


def _is_off(value: float, expected: float, dtype: str) -> bool:
    """Whether a finite answer is not the one expected; what leaves the range says nothing."""
    limits = jnp.finfo(dtype)
    if not abs(expected) < float(limits.max) / 4:
        return False
    slack = SCALING_ULPS * float(limits.eps) * abs(expected) + float(limits.tiny)
    return not abs(value - expected) <= slack


def _dense(what: Subject, answers: Sequence[Answer], dtype: str, seed: int) -> list[Answer]:
    """Two directions of no zero entry: a rule that is not additive shows only there.

    A mode that is wrong, or not finite, along plain directions already says nothing here.
    """
    if max(int(np.prod(what.output_shape)), what.values[what.wrt].size) < 2:
        return []
    told = {a.mode for a in answers if a.outcome == "disagrees" or not isfinite(a.value)}
    random = np.random.default_rng(seed)
    base = answers[0].probe
    probes = [_direction(base, random, f"direction {number}") for number in range(2)]
    known = [True] * len(probes)
    found = ask_probes(what, dtype, probes, known, known, 1)
    return [answer for answer in found if answer.outcome == "disagrees" and answer.mode not in told]


def _direction(base: Probe, random: np.random.Generator, entry: str) -> Probe:
    tangent, cotangent = drawn((base.tangent.shape, base.cotangent.shape), random)
    return Probe(base.leaves, tangent, cotangent, entry)
