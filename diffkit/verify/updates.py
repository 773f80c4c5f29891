"""Is the optimiser a program runs the one a paper prints?

The program is read for symbolic gradients and hyper-parameters, update after update, and held
against the printed lines, unrolled as often.  What is compared is the parameter itself, so that it
does not matter how either side arranges its memory.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from diffkit.backend import compat
from diffkit.bridge.lift import lift
from diffkit.core.errors import UsageError
from diffkit.core.verdict import SEVERITY, Status, Verdict
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.update_rule import GRADIENT, PARAMETER, STEP, STEPS, UpdateRule, as_rule
from diffkit.verify import line_edits
from diffkit.verify.check import judge_question
from diffkit.verify.question import Question, read

#: The first point that is judged: gradients of both signs that no rule can confuse.
GRADIENTS = (2.0, 1.0, -3.0, 0.5, -1.5, 4.0)
START = 1.0

Rule = UpdateRule | str | Sequence[str]


def check_updates(
    optimiser: Callable[..., Any] | UpdateRule,
    rule: Rule,
    hyper: Mapping[str, float],
    *,
    steps: int = STEPS,
    domain: Mapping[str, str] | None = None,
    slope: str | None = None,
    given: Mapping[str, str] | None = None,
    seed: int = 0,
    with_repair: bool = True,
) -> Verdict:
    """Judge whether an optimiser's parameters are those of a rule, after 1, 2, ... updates.

    Args:
        optimiser: Builds an Optax transformation (anything with `init` and `update`) from the
            hyper-parameters by keyword; or another rule.
        rule: The printed lines; see `UpdateRule`.
        hyper: Hyper-parameter -> its value at the first judged point; a proof holds for all.
        steps: Updates, 1 to 6.
        domain: Hyper-parameter -> domain; "positive" where nothing is said.
        slope: The gradient as a formula in `w`, for two rules that take it at different places.
        given: Hyper-parameter of the rule -> formula it is replaced by ("0").
        seed: Seed of the random points.
        with_repair: Whether to search for the edit of one line that makes the rule the program's.

    Returns:
        The verdict on the first update that differs, else on the last.

    Raises:
        UsageError: a hyper-parameter of the rule has no value, or `slope` with a program.

    >>> import optax
    >>> print(check_updates(
    ...     lambda a, b: optax.sgd(a, momentum=b), "v = b*v + a*g; w = w - v",
    ...     {"a": 0.1, "b": 0.9}, domain={"b": "(0, 1)"},
    ... ))
    PROVED    w after update 3 of the program = w of the rule
    """
    claimed = as_rule(rule)
    _check(claimed, hyper, steps, given or {})
    domains = {**dict.fromkeys(hyper, "positive"), **(domain or {})}
    wanted = claimed.parameters(steps, slope, given)
    if isinstance(optimiser, UpdateRule):
        found, name = optimiser.parameters(steps, slope), "the one rule"
    elif slope is not None:
        raise UsageError("slope= tells two rules apart; a program is read for any gradients")
    else:
        found, name = _lifted(optimiser, hyper, steps), "the program"
    for number in range(1, steps + 1):
        question = _question(found[number - 1], wanted[number - 1], number, hyper, domains)
        # An edit of an unrolled formula repairs no line of a rule: lines have edits of their own.
        verdict = judge_question(question, seed=seed, with_repair=False)
        if not verdict.ok or number == steps:
            break
    verdict = replace(verdict, statement=f"w after update {number} of {name} = w of the rule")
    if verdict.status != "refuted" or not with_repair:
        return verdict

    def last(claim: Any) -> Question:
        return _question(found[-1], claim, steps, hyper, domains)

    def status(claims: Sequence[Any]) -> Status:
        asked = (
            _question(true, claim, number, hyper, domains)
            for number, (true, claim) in enumerate(zip(found, claims, strict=True), 1)
        )
        statuses = {judge_question(each, seed=seed, with_repair=False).status for each in asked}
        return next(each for each in SEVERITY if each in statuses)

    repair = line_edits.find(
        claimed, last(wanted[-1]), lambda e: claimed.parameters(steps, slope, given, e), status
    )
    return replace(verdict, repair=repair, diagnosis=repair.edit if repair else None)


def _check(
    rule: UpdateRule, hyper: Mapping[str, float], steps: int, given: Mapping[str, str]
) -> None:
    if not 1 <= steps <= len(GRADIENTS):
        raise UsageError(f"steps={steps}; give 1 to {len(GRADIENTS)}")
    missing = sorted(set(rule.hyper) - set(hyper) - set(given))
    if missing:
        raise UsageError(f"the rule holds {', '.join(missing)}; give each a value in hyper=")
    taken = {PARAMETER, GRADIENT, STEP, *(f"{GRADIENT}{i}" for i in range(1, steps + 1))}
    clash = sorted(taken & set(hyper))
    if clash:
        raise UsageError(
            f"{clash[0]!r} is no name for a hyper-parameter (w parameter, g and g1, g2, ... "
            "gradients, t number of the step); call it otherwise"
        )


def _lifted(optimiser: Callable[..., Any], hyper: Mapping[str, float], steps: int) -> list[Any]:
    """The parameter after each number of updates, as expressions of w, g1, ... and `hyper`."""
    names = [f"{GRADIENT}{number}" for number in range(1, steps + 1)]

    def parameter_after(number: int) -> Callable[..., Any]:
        def program(w: Any, gradients: Mapping[str, Any], hyper: Mapping[str, Any]) -> Any:
            rule = optimiser(**hyper)
            memory = rule.init(w)
            for name in names[:number]:
                change, memory = rule.update(gradients[name], memory, w)
                w = w + change
            return w

        return program

    example = dict(zip(names, GRADIENTS, strict=False))
    with compat.x64():
        formulas = [
            lift(parameter_after(number), START, example, dict(hyper))
            for number in range(1, steps + 1)
        ]
    return [_flat(formula.sympy()) for formula in formulas]


def _flat(expr: Any) -> Any:
    """Symbols without the path of the argument they came in: `hyper.a` is a."""
    return expr.xreplace({each: symbol(each.name.rpartition(".")[2]) for each in expr.free_symbols})


def _question(
    true: Any, claimed: Any, number: int, hyper: Mapping[str, float], domains: Mapping[str, str]
) -> Question:
    """Whether the parameter after an update is the claimed one, at the given point first."""
    gradients = {f"{GRADIENT}{i}": GRADIENTS[i - 1] for i in range(1, number + 1)}
    used = {each.name for each in true.free_symbols | claimed.free_symbols}
    point = {PARAMETER: START, **gradients, **hyper}
    return read(
        true,
        claimed,
        kind="value",
        domain={name: where for name, where in domains.items() if name in used},
        points=[{name: value for name, value in point.items() if name in used}],
        parameters=sorted(used),
    )
