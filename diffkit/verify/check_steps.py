"""`dk.check_steps`: a derivation written by hand, line by line; the first wrong line, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from diffkit.bridge.formula import Formula
from diffkit.core.claim import Claim
from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.core.verdict import SEVERITY, Verdict
from diffkit.tensor.notation.scalar_latex import read_scalar_latex

MOST_LINES = 1000
_OPEN, _CLOSE = "([{", ")]}"


def check_steps(
    lines: Sequence[str],
    *,
    domain: Mapping[str, Any] | str | None = None,
    assume: Mapping[str, Any] | None = None,
    constants: Mapping[str, int] | None = None,
    seed: int = 0,
    budget: str = "fast",
    **arrays: Any,
) -> Verdict:
    r"""Judge a chain of equalities: every line must equal the one before.

    Args:
        lines: Formulas as text or LaTeX, one a line; a line may hold several sides joined by
            "=", or begin with "=".  `Derivative(f, x)` stands for a derivative still to be done.
        domain: Where the equalities are claimed.
        assume: Declared facts of arrays, name -> "symmetric", "spd", ...
        constants: Values of size symbols.
        seed: Seed of the random points.
        budget: "fast" or "full".
        **arrays: Example arrays by name; without any, the lines are about numbers.

    Returns:
        The verdict on the first wrong line (its repair is that of the line), else the worst.

    Raises:
        UsageError: fewer than two sides, or a side that cannot be read.

    >>> print(check_steps(["(x + 1)**2", "= x**2 + 2*x + 1", "= x*(x + 2) + 2"]))
    REFUTED   line 3: x**2 + 2*x + 1 = x*(x + 2) + 2
              at x = 0: claimed 2, true 1
    repair    x*(x + 2) + 1    1 for 2; PROVED
    """
    sides = _sides(lines)
    _check_arrays(arrays)
    judge = _of_arrays if arrays else _of_numbers
    options = {"seed": seed, "budget": budget}
    found: list[Verdict] = []
    for (_, before), (number, after) in pairwise(sides):
        verdict = judge(before, after, domain, assume, constants, options, arrays)
        verdict = replace(verdict, statement=f"line {number}: {before} = {after}")
        if verdict.status == "refuted":
            return verdict
        found.append(verdict)
    worst = min(found, key=lambda verdict: SEVERITY.index(verdict.status))
    if worst.status != "proved":
        return worst
    return replace(
        worst,
        statement=f"{sides[0][1]} = {sides[-1][1]}, in {len(found)} step{'s' * (len(found) > 1)}",
        scope=f"every step is proved; the last one: {worst.scope}",
    )


def _sides(lines: Sequence[str]) -> list[tuple[int, str]]:
    """Line number and text of every side of the chain.

    Raises:
        UsageError: there is nothing to compare.
    """
    if isinstance(lines, str):
        lines = lines.splitlines()
    if not isinstance(lines, Sequence):
        raise UsageError(f"lines= is a list of formulas, a line a step; not {lines!r:.60}")
    if len(lines) > MOST_LINES:
        raise UsageError(f"{len(lines)} lines; check at most {MOST_LINES} at once")
    found = []
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise UsageError(f"line {number} is a {type(line).__name__}; write every line as text")
        text = line.replace("&=", "=").replace("\\\\", " ").strip()
        found += [(number, side.strip()) for side in _split(text) if side.strip()]
    if len(found) < 2:
        raise UsageError('there is one formula only; write a line a step: ["x + x", "= 2*x"]')
    return found


def _check_arrays(arrays: Mapping[str, Any]) -> None:
    """Refuse examples that are no arrays of numbers.

    Raises:
        UsageError: one is none.
    """
    for name, value in arrays.items():
        dtype = getattr(value, "dtype", None)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number and (dtype is None or dtype.kind not in "fiuV"):
            raise UsageError(
                f"{name}={value!r:.60} is no array of numbers; give an example, {name}=jnp.ones(3)"
            )


def _split(text: str) -> list[str]:
    """The text at every "=" outside brackets that is no comparison."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in _OPEN) - (letter in _CLOSE)
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        is_alone = letter == "=" and before not in "<>!=" and after != "="
        if depth == 0 and (is_alone or (letter == "=" and not before and after != "=")):
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _of_numbers(
    before: str,
    after: str,
    domain: Any,
    assume: Any,
    constants: Any,
    options: Mapping[str, Any],
    arrays: Any,
) -> Verdict:
    """One step between two formulas of numbers."""
    from diffkit.verify.check import check

    return check(
        _number(before), _number(after), kind="value", domain=domain, assume=assume, **options
    )


def _number(text: str) -> Any:
    return read_scalar_latex(text) if "\\" in text or "^" in text else text


def _of_arrays(
    before: str,
    after: str,
    domain: Any,
    assume: Mapping[str, Any] | None,
    constants: Mapping[str, int] | None,
    options: Mapping[str, Any],
    arrays: Mapping[str, Any],
) -> Verdict:
    """One step between two formulas of arrays."""
    from diffkit.backend import compat
    from diffkit.bridge.array_claim import read_node
    from diffkit.bridge.subject import subject
    from diffkit.verify.array_question import ArrayQuestion, read_question
    from diffkit.verify.arrays import judge_arrays

    given = {**dict(assume or {}), **({} if not isinstance(domain, Mapping) else dict(domain))}
    domains = {name: Domain.parse(where) for name, where in given.items()}
    with compat.x64():
        node, inputs = read_node(before, arrays, domains, constants or {})
        target = Formula(node, inputs, shape=node.shape, name="f")
        what = subject(target.lower(), tuple(arrays.values()), {}, 0)
        question: ArrayQuestion = read_question(
            what, after, "value", target, domains, constants, (), options
        )
        verdict = judge_arrays(question)
    claim = Claim(target=before, claimed=after, kind="value", is_replayable=False)
    return replace(verdict, claim=claim)
