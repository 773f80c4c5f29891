"""Search the closed list of edits for one that turns a refuted claim into a true one.

The search proposes from the claim and the target alone; the closed form of the truth is
only what candidates are compared with: first in floating point at a handful of points (all
candidates share their subexpressions, so this is cheap), then by proof.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from diffkit.bridge.interpret import evaluator
from diffkit.core.errors import DiffkitError
from diffkit.core.verdict import Repair, Status
from diffkit.numeric.floating import FloatAlgebra
from diffkit.symbolic.layout import show, source
from diffkit.symbolic.parse import parse
from diffkit.symbolic.prove import prove_equal
from diffkit.verify.edits import Candidate, Subject, candidates
from diffkit.verify.points import points
from diffkit.verify.question import Expr, Question

SIEVE_POINTS = 10
#: Relative agreement in float64 that lets a candidate through to the proof.
SIEVE = 1e-7
MOST_PROOFS = 12
#: A search that takes longer gives up: a refutation without a repair is still a refutation.
SECONDS = 6.0
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def find(question: Question, truth: Expr) -> Repair | None:
    """Return the simplest edit whose result is proved or supported, or None.

    Args:
        question: The refuted question.
        truth: Closed form of what the claim should have said.
    """
    # The right side of a claim about a value IS the truth: the edits may not look at it.
    seen = question.target if question.order else question.claimed
    subject = Subject(question.claimed, seen, question.wrt)
    sample = _sample(question, truth)
    if sample is None:
        return None
    env, expected = sample
    # one evaluator for all: candidates share nearly all of their subexpressions
    value_of = evaluator(env, FloatAlgebra())
    deadline = time.monotonic() + SECONDS
    tried = 0
    best: Repair | None = None
    for candidate in candidates(subject):
        if time.monotonic() > deadline:
            break
        if not _survives(_values(candidate.expr, value_of, expected.shape), expected):
            continue
        tried += 1
        status = _judge(question, truth, candidate.expr)
        if status == "proved":
            return _repair(question, candidate, status)
        if status == "supported" and best is None:
            best = _repair(question, candidate, status)
        if tried >= MOST_PROOFS:
            break
    return best


def _judge(question: Question, truth: Expr, expr: Expr) -> Status | None:
    from diffkit.verify.expression import supports

    try:
        if prove_equal(truth, expr, question.domains).status == "equal":
            return "proved"
        return "supported" if supports(question, expr) else None
    except DiffkitError:
        return None


def _sample(question: Question, truth: Expr) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """Random points as arrays, and the truth there, where it is finite and not zero throughout."""
    chosen = list(points(question.domains, seed=1, count=4 * SIEVE_POINTS))[-2 * SIEVE_POINTS :]
    env = {
        name: np.array([float(point[name]) for point in chosen]) for name in question.domains
    }
    expected = _values(truth, evaluator(env, FloatAlgebra()), (len(chosen),))
    if expected is None:
        return None
    good = np.isfinite(expected) & (np.abs(expected) < 1e100)
    if good.sum() < min(4, len(chosen)):
        return None
    return {name: values[good] for name, values in env.items()}, expected[good]


def _survives(found: np.ndarray | None, expected: np.ndarray) -> bool:
    if found is None or not np.all(np.isfinite(found)):
        return False
    scale = np.maximum(np.abs(found), np.abs(expected))
    return bool(np.all(np.abs(found - expected) <= SIEVE * scale + 1e-290))


def _values(
    expr: Expr, value_of: Callable[[Expr], Any], shape: tuple[int, ...]
) -> np.ndarray | None:
    try:
        with np.errstate(all="ignore"):
            found = value_of(expr)
    except (DiffkitError, ArithmeticError, ValueError):
        return None
    return np.broadcast_to(np.asarray(found, dtype=float), shape)


def _repair(question: Question, candidate: Candidate, status: Status) -> Repair:
    from diffkit.symbolic.textbook import textbook

    text = source(candidate.expr)
    try:
        short = source(textbook(candidate.expr))
    except DiffkitError:
        short = text
    if len(short) < len(text):
        text = f"{text} = {short}"
    return Repair(
        text=text,
        edit=_in_words(question, candidate.edit),
        status=status,
        latex=show(candidate.expr, "latex"),
    )


def _in_words(question: Question, edit: str) -> str:
    """Name a term by its place in the claim as the user wrote it: "sign of the first term"."""
    match = re.match(r"sign of the term (.+)$", edit)
    if match is None:
        return edit
    for place, term in enumerate(_written_terms(question)):
        if str(term) == match.group(1) and place < len(_ORDINALS):
            return f"sign of the {_ORDINALS[place]} term"
    return edit


def _written_terms(question: Question) -> list[Any]:
    """The top-level terms of the claim in written order."""
    terms, depth, start, text = [], 0, 0, question.claim.claimed
    for i, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        before = text[:i].rstrip()
        if depth == 0 and character in "+-" and before and before[-1] not in "*/^(,eE+-":
            terms.append(text[start:i])
            start = i
    terms.append(text[start:])
    integers = [name for name, domain in question.domains.items() if domain.integer]
    try:
        return [parse(term.strip().removeprefix("+"), integers=integers) for term in terms]
    except DiffkitError:
        return []

