"""Why a claim about arrays is wrong: the fact under which it holds, and the edit that mends it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from diffkit.bridge.array_claim import lifted
from diffkit.core.errors import DiffkitError
from diffkit.core.verdict import Repair, Status
from diffkit.tensor.edits import Candidate, candidates
from diffkit.tensor.edits import Subject as Edited
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.identity import prove_equal_nodes
from diffkit.tensor.nodes import Node, Var, var
from diffkit.tensor.notation.reading import candidates as lengths_of
from diffkit.tensor.printing import layout
from diffkit.tensor.rewrite import replace as rewritten
from diffkit.tensor.views import view
from diffkit.verify.array_question import ArrayQuestion, random_values, read_question

#: Candidates of a repair that are put to a proof.
MOST_PROOFS = 12


def narrower(question: ArrayQuestion) -> str:
    """The declared fact under which the claim does hold, in words."""
    node = question.claimed.node
    if node is None:
        return ""
    for each in question.inputs:
        is_square = len(each.shape) == 2 and each.shape[0] == each.shape[1]
        if each.facts or not is_square:
            continue
        for fact in ("symmetric", "orthogonal"):
            if _holds_under(question, each, fact):
                return f"holds for {fact} {each.name}"
    return ""


def _holds_under(question: ArrayQuestion, each: Var, fact: str) -> bool:
    declared = var(each.name, each.shape, each.dtype, frozenset({fact}))
    changes: dict[Node, Node] = {each: declared}
    node = question.claimed.node
    assert node is not None
    try:
        left = rewritten(question.truth.whole, changes)
        right = rewritten(node, changes)
        return prove_equal_nodes(left, right).is_equal
    except DiffkitError:
        return False


def find_repair(question: ArrayQuestion) -> tuple[str, Repair, str] | None:
    """The simplest edit whose result is proved or supported.

    Returns:
        The repaired claim as text, the repair, and the size it names ("n = 3 (axis 0 of X, y)").
    """
    found = _matching(question)
    if not found:
        return None
    others = [each for each in (_resized(question, shift) for shift in SHIFTS) if each is not None]
    best = None
    for candidate in found[:MOST_PROOFS]:
        kept = [_same_edit(other, candidate.edit) for other in others]
        is_general = bool(others) and all(kept)
        equality = prove_equal_nodes(question.truth.whole, candidate.node, _named_sizes(question))
        if equality.differs:
            continue
        rank = (equality.is_equal, is_general)
        if best is None or rank > best[0]:
            is_everywhere = (
                is_general
                and equality.error == 0
                and all(
                    prove_equal_nodes(other.truth.whole, each.node, _named_sizes(other)).error == 0
                    for other, each in zip(others, kept, strict=True)
                    if each is not None
                )
            )
            best = (rank, candidate, equality, is_everywhere)
        if rank == (True, True) or (equality.is_equal and not others):
            break
    if best is None:
        return None
    _, candidate, equality, is_everywhere = best
    return _repair(question, candidate, equality.is_equal, is_everywhere)


#: By how much all axes are lengthened to see which repair (and which proof) keeps its form.
SHIFTS = (1, 2)


def _resized(question: ArrayQuestion, shift: int) -> ArrayQuestion | None:
    """The same question for longer axes; None when the function has one size only."""
    what = question.what
    if question.claimed.size is not None or question.constants:
        return None
    values = tuple(
        np.zeros(tuple(n + shift if n > 1 else n for n in value.shape), value.dtype)
        for value in what.values
    )
    longer = replace(what, values=values, is_shape_only=(True,) * len(values))
    try:
        facts = {name: str(where) for name, where in question.domains.items()}
        target = lifted(longer, facts)
        other = read_question(
            longer, question.asked, question.kind, target, question.domains, None, (), {}
        )
    except (DiffkitError, TypeError, ValueError):
        return None
    return other if other.claimed.shape == other.truth.shape else None


def _named_sizes(question: ArrayQuestion) -> dict[str, int]:
    return {name: length for length, name, _ in _lengths(question) if name.isidentifier()}


def _matching(question: ArrayQuestion, edit: str = "") -> list[Candidate]:
    """Edited claims that have the truth's values at two random points."""
    node = question.claimed.node
    if node is None:
        return []
    truth, sizes = question.truth.whole, _named_sizes(question)
    values = [_values_near(question, (truth, node), seed) for seed in (11, 12)]
    expected = [_evaluated(truth, each, sizes) for each in values]
    if any(each is None for each in expected):
        return []
    subject = Edited(
        node,
        _edited_target(question),
        question.target.input(question.variable) if question.kind != "value" else None,
        [(length, name) for length, name, _ in _lengths(question)],
    )
    found = []
    for candidate in candidates(subject):
        if edit and candidate.edit != edit:
            continue
        pairs = zip(values, expected, strict=True)
        if all(_has_values(candidate.node, each, e, sizes) for each, e in pairs):
            found.append(candidate)
            if edit or len(found) >= MOST_PROOFS:
                break
    return found


def _values_near(question: ArrayQuestion, nodes: tuple[Node, ...], seed: int) -> dict[str, Any]:
    """Random values; near the given ones where there are any, so that loops still converge."""
    values = random_values(nodes, seed)
    facts = {each.name: each.facts for each in question.inputs}
    what = question.what
    for name, value, is_shape in zip(what.names, what.values, what.is_shape_only, strict=True):
        own = name.replace(".", "_")
        is_free = own in values and not facts.get(own)
        if is_free and not is_shape and np.issubdtype(value.dtype, np.floating):
            step = 0.05 * values[own]
            values[own] = value + step * np.maximum(np.abs(value), 0.1)
    return values


def _has_values(node: Node, values: Mapping[str, Any], expected: Any, sizes: Any) -> bool:
    found = _evaluated(node, values, sizes)
    if found is None:
        return False
    return bool(np.allclose(found, expected, rtol=1e-7, atol=1e-9 * _size(expected)))


def _same_edit(question: ArrayQuestion, edit: str) -> Candidate | None:
    """The same edit at another size, when it repairs the claim there too."""
    found = _matching(question, edit)
    return found[0] if found else None


def _edited_target(question: ArrayQuestion) -> Node | None:
    if question.kind == "value":
        return None
    if question.kind == "hessian":
        return question.target.grad(question.variable).whole
    return question.target.whole


def _size(value: Any) -> float:
    return max(1.0, float(np.max(np.abs(value), initial=0.0)))


def _evaluated(node: Node, values: Mapping[str, Any], sizes: Mapping[str, int]) -> Any:
    try:
        found = evaluate(node, values, sizes)
    except (DiffkitError, np.linalg.LinAlgError, ValueError):
        return None
    return found if np.all(np.isfinite(found)) else None


def _lengths(question: ArrayQuestion) -> list[tuple[int, str, str]]:
    """Lengths of axes, a letter for each, and the axes that have it."""
    taken = {each.name for each in question.inputs}
    letters = [letter for letter in ("n", "d", "m", "k", "p", "q") if letter not in taken]
    found = lengths_of({each.name: view(each) for each in question.inputs})
    named = zip(found, [*letters, *("" for _ in found)], strict=False)
    return [(length, name or str(length), axes) for (length, axes), name in named]


def _repair(
    question: ArrayQuestion, candidate: Candidate, is_proved: bool, is_everywhere: bool
) -> tuple[str, Repair, str]:
    text = layout.show(candidate.node)
    latex = layout.show(candidate.node, "latex")
    edit = candidate.edit
    used = next(
        (
            f"{name} = {length} ({axes})"
            for length, name, axes in _lengths(question)
            if edit in (f"missing 1/{name}", f"missing factor {name}")
        ),
        "",
    )
    status: Status = "proved" if is_proved else "supported"
    form = latex if question.claimed.form == "latex" else text
    scope = _every_size(question) if is_everywhere else ""
    return text, Repair(text=form, edit=edit, status=status, latex=latex, scope=scope), used


def _every_size(question: ArrayQuestion) -> str:
    """The arrays whose sizes a proof does not depend on."""
    names = [each.name for each in question.inputs if len(each.shape) > 1]
    names = names or [each.name for each in question.inputs if each.shape]
    return f"for every size of {', '.join(names)}"
