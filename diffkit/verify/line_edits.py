"""Search for the one line of an update rule that an edit makes the program's.

The edits are those of any formula (`edits.EDITS`) on the right side of a line, after two that
optimisers are prone to: where epsilon stands, and a bias correction too many or too few.  The
search sees the printed rule and never the program; what it proposes is compared with the program
after the last update, in floating point first, then by the judge after every update.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from diffkit.core.errors import UsageError
from diffkit.core.verdict import Repair, Status
from diffkit.symbolic.layout import show, source
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.update_rule import STEP, UpdateRule
from diffkit.verify.edits import Candidate, Subject, candidates, nodes, replace_at
from diffkit.verify.question import Expr, Question
from diffkit.verify.repair import SECONDS, Sieve


def find(
    rule: UpdateRule,
    question: Question,
    unrolled: Callable[[Mapping[str, Expr]], Sequence[Expr]],
    judge: Callable[[Sequence[Expr]], Status],
) -> Repair | None:
    """The simplest edit of one line whose rule is judged to be the program, or None.

    Args:
        rule: The refuted rule.
        question: The program's parameter after the last update against the rule's.
        unrolled: Line -> other right side, to the parameters after each update.
        judge: Whether such parameters are the program's, the worst status of all updates.
    """
    sieve = Sieve(question, question.target)
    if not sieve.is_useful:
        return None
    deadline = time.monotonic() + SECONDS
    for name, candidate in _candidates(rule):
        if time.monotonic() > deadline:
            return None
        try:
            parameters = unrolled({name: candidate.expr})
        except UsageError:  # an edit may raise to too high a power
            continue
        if not sieve.passes(parameters[-1]):
            continue
        status = judge(parameters)
        if status in ("proved", "supported"):
            return Repair(
                text=f"{name} = {source(candidate.expr)}",
                edit=candidate.edit,
                status=status,
                latex=f"{name} = {show(candidate.expr, 'latex')}",
            )
    return None


def _candidates(rule: UpdateRule) -> Iterator[tuple[str, Candidate]]:
    """Edited lines: what optimisers are prone to first, in every line, then any edit."""
    lines = rule.formulas()
    names = [*rule.hyper, *rule.memory, "w", "g"]
    symbols = tuple(symbol(name) for name in names)
    for name, formula in lines.items():
        for candidate in chain(_epsilon(rule, formula), _correction(rule, formula)):
            yield name, candidate
    for name, formula in lines.items():
        for candidate in candidates(Subject(formula, formula, None, symbols)):
            yield name, candidate


def _epsilon(rule: UpdateRule, formula: Expr) -> Iterator[Candidate]:
    """A hyper-parameter added to a root moves under it, or out of it."""
    hyper = {symbol(name) for name in rule.hyper}
    for path, node in nodes(formula):
        for part in hyper & set(node.args) if node.is_Add else ():
            rest = node - part
            if rest.is_Pow and rest.exp * 2 == 1:
                moved = (rest.base + part) ** rest.exp
                yield Candidate(
                    "{} moved under the root", replace_at(formula, path, moved), (part,)
                )
        if node.is_Pow and abs(node.exp) * 2 == 1 and node.base.is_Add:
            for part in hyper & set(node.base.args):
                moved = (node.base - part) ** abs(node.exp) + part
                new = moved if node.exp > 0 else 1 / moved
                yield Candidate("{} moved out of the root", replace_at(formula, path, new), (part,))


def _correction(rule: UpdateRule, formula: Expr) -> Iterator[Candidate]:
    """A memory is divided by 1 - b^t, or no longer."""
    step = symbol(STEP)
    for memory in (symbol(name) for name in rule.memory):
        for decay in (symbol(name) for name in rule.hyper):
            weight = 1 - decay**step
            for words, new in (
                ("{} corrected by 1 - {}**t", memory / weight),
                ("{} no longer corrected by 1 - {}**t", memory * weight),
            ):
                if formula.has(memory):
                    edited = formula.xreplace({memory: new})
                    yield Candidate(words, edited, (memory, decay))
