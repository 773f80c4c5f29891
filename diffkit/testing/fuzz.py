r"""Random programs put before the judge: right ones must pass, planted bugs must be refuted.

Every program is judged twice, as it is and with one bug in one rule.  The derivative of both is
known by construction (`diffkit.testing.duals`), so every refutation and every acquittal is right
or wrong without anybody's opinion; the judge's own enclosure of the truth is held against the
construction as well.  A bug counts when it changes an answer by more than half of the digits,

$$|w - d| > \sqrt{\varepsilon}\,\max(|w|, |d|),$$

d the derivative, w what the bug makes of it.  Programs run equation by equation; a share is
compiled as well.  Run `python -m diffkit.testing.fuzz --help`.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Any

import jax.numpy as jnp
import numpy as np
from flint import arb

from diffkit.bridge.batch import interpreted
from diffkit.bridge.subject import Probe, Subject, subject
from diffkit.core.errors import DiffkitError
from diffkit.testing.bugs import KINDS, Bug, places, planted, wrong_derivative
from diffkit.testing.programs import Program
from diffkit.testing.random_programs import program
from diffkit.testing.tally import Tally
from diffkit.verify.answers import Answer, ask

#: One program in so many is compiled as well.
COMPILED = 20
#: A program of numbers is judged at so many points, one of arrays along so many directions.
POINTS = DIRECTIONS = 2
_NARROW_SHARE = 0.25


@dataclass(frozen=True)
class Case:
    """One question: a program, its points and the precision it is judged in."""

    program: Program
    leaves: tuple[tuple[np.ndarray, ...], ...]
    dtype: str

    def at(self, number: int) -> "Case":
        """The same question at one of its points only."""
        return changed(self, leaves=(self.leaves[number],))

    def subject(self, function: Callable[..., Any]) -> Subject:
        """`function`, the program or a buggy version of it, as the judge sees it."""
        found = subject(function, self.leaves[0], {}, 0)
        return found if self.program.is_scalar else changed(found, directions=DIRECTIONS)

    def answers(self, function: Callable[..., Any], compiled: bool = False) -> list[Answer]:
        """The judge's answers about `function`."""
        with nullcontext() if compiled else interpreted():
            what = self.subject(function)
            return ask(what, self.dtype, self.leaves, len(self.leaves), 1, self.program.seed)

    def probes(self) -> list[Probe]:
        """The questions the judge will ask."""
        what = self.subject(self.program)
        return [each for leaves in self.leaves for each in what.probes(leaves, self.program.seed)]

    def truth(self, probe: Probe) -> arb:
        """The derivative by construction."""
        return self.program.derivative(probe.leaves, probe.tangent, probe.cotangent)


def case(seed: int, dtype: str = "") -> Case:
    """The question of a seed; a quarter of them in float32."""
    made = program(seed)
    narrow = random.Random(f"dtype {seed}").random() < _NARROW_SHARE
    points = made.points(POINTS if made.is_scalar else 1)
    return Case(made, tuple(points), dtype or ("float32" if narrow else "float64"))


def bug_of(seed: int) -> tuple[Bug, Case] | None:
    """A bug in a seed's program, and the question (one point) at which it shows.

    Kinds take turns, so that every kind is planted; the first that applies and shows is taken.
    """
    generator = random.Random(f"bug {seed}")
    kinds = list(KINDS.values())
    turn = seed % len(kinds)
    for kind in kinds[turn:] + kinds[:turn]:
        asked = case(seed, kind.dtype)
        where = places(asked.program, kind)
        for step in generator.sample(where, len(where)):
            mode = "vjp" if kind.ignores_cotangent else generator.choice(("jvp", "vjp"))
            bug = Bug(kind, step, mode)
            for number in range(len(asked.leaves)):
                if is_visible(asked.at(number), bug):
                    return bug, asked.at(number)
    return None


def is_visible(asked: Case, bug: Bug) -> bool:
    """Whether the bug changes one of the answers by more than half of the digits."""
    share = arb(float(jnp.finfo(asked.dtype).eps)).sqrt()
    for probe in asked.probes():
        right = asked.truth(probe)
        wrong = wrong_derivative(asked.program, bug, probe.leaves, probe.tangent, probe.cotangent)
        if abs(wrong - right) > share * abs(right).max(abs(wrong)):
            return True
    return False


def is_compiled(seed: int) -> bool:
    """Whether a program is judged in its compiled form as well: one in every twenty.

    Every second one of them with its bug.
    """
    return (seed + seed // COMPILED) % COMPILED == 0


def run(seeds: Iterable[int], *, progress: Callable[[int], None] = lambda _: None) -> Tally:
    """Judge the programs of these seeds, each as it is and with a bug."""
    tally = Tally()
    for count, seed in enumerate(seeds, start=1):
        _judge(seed, tally)
        progress(count)
    return tally


def _judge(seed: int, tally: Tally) -> None:
    asked = case(seed)
    tally.add_program(asked.program.is_scalar, is_compiled(seed))
    _judge_clean(asked, tally, compiled=False)
    found = bug_of(seed)
    if found is None:
        tally.without_bug.append(seed)
    else:
        _judge_bug(*found, tally, compiled=False)
    if not is_compiled(seed):
        return
    if found is None or seed // COMPILED % 2 == 0:
        _judge_clean(asked, tally, compiled=True)
    else:
        _judge_bug(*found, tally, compiled=True)


def _judge_clean(asked: Case, tally: Tally, compiled: bool) -> None:
    answers = _answers(asked, asked.program, tally, compiled)
    if answers is None:
        return
    outcomes = {answer.outcome for answer in answers}
    if "disagrees" in outcomes:
        tally.defect("false refutation", _report(asked, None, answers, compiled))
    tally.clean[_worst(outcomes)] += 1


def _judge_bug(bug: Bug, asked: Case, tally: Tally, compiled: bool) -> None:
    answers = _answers(asked, planted(asked.program, bug), tally, compiled)
    if answers is None:
        return
    outcomes = {answer.outcome for answer in answers}
    is_refuted = "disagrees" in outcomes
    tally.add_bug(bug.kind.name, "refuted" if is_refuted else _worst(outcomes))
    if not is_refuted:
        tally.defect("missed bug", _report(asked, bug, answers, compiled))


def _answers(
    asked: Case, function: Callable[..., Any], tally: Tally, compiled: bool
) -> list[Answer] | None:
    """The judge's answers, whose enclosures must hold the derivative known by construction."""
    try:
        answers = asked.answers(function, compiled)
    except DiffkitError as error:
        where = f"{asked.program}\n{type(error).__name__}: {error}"
        tally.defect("failed", where)
        return None
    if not answers:
        tally.defect("failed", f"{asked.program}\nno answer")
        return None
    for answer in answers:
        enclosed = answer.truth.derivative
        ball = enclosed.ball if enclosed is not None else None
        if ball is not None and not ball.overlaps(asked.truth(answer.probe)):
            tally.defect("wrong enclosure", _report(asked, None, [answer], compiled))
    return answers


def _worst(outcomes: Iterable[str]) -> str:
    order = ("disagrees", "unsure", "out of domain", "agrees")
    return min(outcomes, key=order.index)


def _report(asked: Case, bug: Bug | None, answers: Sequence[Answer], compiled: bool) -> str:
    """The program, the bug and the answers, as one reads them to find the fault."""
    how = "compiled" if compiled else "by equation"
    lines = [str(asked.program), f"{asked.dtype}, {how}" + (f", {bug}" if bug else "")]
    for answer in answers:
        point = ", ".join(str(np.asarray(leaf).tolist()) for leaf in answer.probe.leaves)
        allowed = answer.allowed.value if answer.allowed else float("nan")
        lines.append(
            f"{answer.mode} at {point} {answer.probe.entry}: {answer.value!r}, "
            f"true {float(asked.truth(answer.probe).mid())!r}, allowed {allowed:.3g}, "
            f"{answer.outcome} {answer.note}".rstrip()
        )
    return "\n".join(lines)


def summary(found: Mapping[str, Any]) -> str:
    """The counts in three lines."""
    return "\n".join(
        (
            f"{found['programs']} programs ({found['array_programs']} of arrays, "
            f"{found['compiled']} compiled as well)",
            f"{found['false_refutations']} false refutations; clean: {found['clean']}",
            f"{found['refuted']} of {found['bugs']} planted bugs refuted ({found['share']:.2%})",
        )
    )


if __name__ == "__main__":
    from diffkit.testing.fuzz_command import main

    raise SystemExit(main())
