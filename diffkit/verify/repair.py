"""Search the closed list of edits for one that turns a refuted claim into a true one.

The search proposes from the claim and the target alone; the closed form of the truth is
only what candidates are compared with: first in floating point at a handful of points (all
candidates share their subexpressions, so this is cheap), then by proof.
"""

import re
import time
from typing import Any

import numpy as np

from diffkit.bridge.interpret import evaluator
from diffkit.core.errors import DiffkitError
from diffkit.core.verdict import Repair, Status
from diffkit.numeric.floating import FloatAlgebra
from diffkit.symbolic.layout import show, source
from diffkit.symbolic.parse import parse
from diffkit.verify.edits import Candidate, Subject, candidates
from diffkit.verify.points import points
from diffkit.verify.question import Expr, Question

SIEVE_POINTS = 16
#: Relative agreement in float64 that lets a candidate through to the proof.
SIEVE = 1e-7
ROUNDING = 1e-13
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
    names = {s.name: s for s in (*question.target.free_symbols, *question.claimed.free_symbols)}
    subject = Subject(question.claimed, seen, question.wrt, tuple(names.values()))
    sieve = Sieve(question, truth)
    if not sieve.is_useful:
        return None
    deadline = time.monotonic() + SECONDS
    tried = 0
    best: Repair | None = None
    for candidate in candidates(subject):
        if time.monotonic() > deadline:
            break
        if not sieve.passes(candidate.expr):
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
    from diffkit.verify.expression import is_contradicted, proven, supports

    try:
        if proven(question, truth, expr).status == "equal":
            # equal normal forms leave out the kinks, where a repair is judged as well
            return None if is_contradicted(question, expr) else "proved"
        return "supported" if supports(question, expr) else None
    except (DiffkitError, TypeError):  # SymPy compares no infinities: 1/x > 0 at x = 0
        return None


class Sieve:
    """The truth at random points, and candidates held against it in floating point."""

    def __init__(self, question: Question, truth: Expr):
        drawn = list(points(question.domains, seed=1, count=4 * SIEVE_POINTS))
        self.points = drawn[-2 * SIEVE_POINTS :]
        self.whole = {n for n, domain in question.domains.items() if domain.integer}
        self._restart()
        expected = self.values(truth)
        good = np.zeros(len(self.points), bool)
        if expected is not None:
            good = np.isfinite(expected) & (np.abs(expected) < 1e100)
        self.points = [point for point, is_good in zip(self.points, good, strict=True) if is_good]
        self.expected: np.ndarray = np.zeros(0) if expected is None else expected[good]
        self._restart()

    @property
    def is_useful(self) -> bool:
        """Whether the truth is finite at enough points."""
        return len(self.points) >= min(4, 2 * SIEVE_POINTS)

    def _restart(self) -> None:
        """One evaluator per group of points that share their whole numbers (bounds of sums)."""
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, point in enumerate(self.points):
            key = tuple((name, int(point[name])) for name in sorted(self.whole))
            groups.setdefault(key, []).append(place)
        self.groups = []
        for key, places in groups.items():
            env = {
                name: np.array([float(self.points[place][name]) for place in places])
                for name in (self.points[0] if self.points else ())
            }
            self.groups.append((dict(key), places, evaluator(env, FloatAlgebra())))

    def values(self, expr: Expr) -> np.ndarray | None:
        """`expr` at every point, or None where it cannot be evaluated."""
        found = np.full(len(self.points), np.nan)
        for whole, places, value_of in self.groups:
            grounded = expr
            if whole:
                grounded = expr.subs(
                    {s: whole[s.name] for s in expr.free_symbols if s.name in whole}
                )
            try:
                with np.errstate(all="ignore"):
                    value = value_of(grounded)
            except (DiffkitError, ArithmeticError, ValueError):
                return None
            found[places] = np.broadcast_to(np.asarray(value, dtype=float), (len(places),))
        return found

    def passes(self, expr: Expr) -> bool:
        """Whether `expr` agrees with the truth at every point, up to rounding."""
        found = self.values(expr)
        if found is None or not np.all(np.isfinite(found)):
            return False
        scale = np.maximum(np.abs(found), np.abs(self.expected))
        # 1 - sigmoid(40) is 0 in floating point: a loss against the largest value is rounding
        lost = ROUNDING * np.max(np.abs(self.expected), initial=0.0)
        return bool(np.all(np.abs(found - self.expected) <= SIEVE * scale + lost + 1e-290))


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
