"""Is the optimiser a program runs the one a paper prints?

The program is read for symbolic gradients and hyper-parameters, update after update, and held
against the printed lines, unrolled as often.  What is compared is the parameter itself, so that it
does not matter how either side arranges its memory.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import isfinite, nan
from numbers import Rational
from typing import Any

from diffkit.backend import compat
from diffkit.bridge.lift import lift
from diffkit.core.claim import Claim
from diffkit.core.errors import UnknownNameError, UnsupportedFunction, UsageError
from diffkit.core.ranges import is_whole
from diffkit.core.suggestions import did_you_mean
from diffkit.core.verdict import SEVERITY, Status, Verdict
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.update_rule import (
    GRADIENT,
    PARAMETER,
    STEP,
    STEPS,
    UpdateRule,
    as_rule,
    is_undefined,
    without_choices,
)
from diffkit.verify import line_edits
from diffkit.verify.check import judge_question
from diffkit.verify.points import exact
from diffkit.verify.question import Question, read
from diffkit.verify.reading import read_point

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
        UsageError: a hyper-parameter has no value, a domain is one of no symbol, or `slope` with a
            program.

    >>> import optax
    >>> print(check_updates(
    ...     lambda a, b: optax.sgd(a, momentum=b), "v = b*v + a*g; w = w - v",
    ...     {"a": 0.1, "b": 0.9}, domain={"b": "(0, 1)"},
    ... ))
    PROVED    w after update 3 of the program = w of the rule
    """
    claimed = as_rule(rule)
    _check_steps(steps)
    values = _values(hyper)
    _check_names(claimed, values, steps, given, domain)
    domains = {**dict.fromkeys(values, "positive"), **(domain or {})}

    def ask(true: Any, claim: Any, number: int) -> Verdict:
        return _judged(true, claim, _point(values, number), domains, seed)

    wanted = claimed.parameters(steps, slope, given)
    found, name, notes = _parameters(optimiser, slope, values, steps)
    _check_values((*found, *wanted), values, steps)
    for number in range(1, steps + 1):
        # An edit of an unrolled formula repairs no line of a rule: lines have edits of their own.
        verdict = ask(found[number - 1], wanted[number - 1], number)
        if not verdict.ok or number == steps:
            break
    verdict = replace(
        verdict,
        statement=f"w after update {number} of {name} = w of the rule",
        assumptions=(*verdict.assumptions, *notes),
    )
    if verdict.status != "refuted" or not with_repair or any(map(is_undefined, found)):
        return verdict

    # equal normal forms leave out where a claim is undefined: that may be where this one failed
    failed = {**_point(values, number), **(verdict.counterexample or {})}

    def status(claims: Sequence[Any]) -> Status:
        asked = _question(found[number - 1], claims[number - 1], failed, domains)
        at = exact(asked.claim.points[0], asked.domains)
        if read_point(asked, at).outcome != "agrees":
            return "undecided"
        pairs = enumerate(zip(found, claims, strict=True), 1)
        statuses = {ask(true, claim, count).status for count, (true, claim) in pairs}
        return next(each for each in SEVERITY if each in statuses)

    last = _question(found[-1], wanted[-1], _point(values, steps), domains)
    repair = line_edits.find(
        claimed, last, lambda e: claimed.parameters(steps, slope, given, e), status
    )
    return replace(verdict, repair=repair, diagnosis=repair.edit if repair else None)


def _parameters(
    optimiser: Any, slope: str | None, hyper: Mapping[str, Fraction], steps: int
) -> tuple[Sequence[Any], str, tuple[str, ...]]:
    """The optimiser's parameter after 1, 2, ... updates, what it is called, and notes on it."""
    if isinstance(optimiser, UpdateRule):
        return optimiser.parameters(steps, slope), "the one rule", ()
    if slope is not None:
        raise UsageError("slope= tells two rules apart; a program is read for any gradients")
    if not callable(optimiser):
        raise UsageError(
            f"the optimiser is {type(optimiser).__name__}; give a function of the hyper-parameters "
            "that builds it, such as lambda a: optax.sgd(a)"
        )
    found, notes = _lifted(optimiser, hyper, steps)
    return found, "the program", notes


def _check_steps(steps: Any) -> None:
    if not is_whole(steps, 1, len(GRADIENTS)):
        raise UsageError(f"steps={steps!r}; give 1 to {len(GRADIENTS)}")


def _values(hyper: Any) -> dict[str, Fraction]:
    """Hyper-parameter -> the number as it was written: 0.1 is 1/10, as in a program that is read.

    The nearest double is another number, which a rule and a program would be told apart by.
    """
    _check_names_map("hyper", hyper, "a value", '{"a": 0.1}')
    return {name: _value(name, value) for name, value in hyper.items()}


def _value(name: str, value: Any) -> Fraction:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = nan
    if isinstance(value, str | bool) or not isfinite(number):
        raise UsageError(f"{name} = {value!r} in hyper= is no finite number; give one such as 0.5")
    return Fraction(value) if isinstance(value, Rational) else Fraction(repr(number))


def _check_names_map(argument: str, given: Any, what: str, example: str) -> None:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise UsageError(f"{argument}= gives each name {what}, as {example}; not {given!r}")


def _check_names(
    rule: UpdateRule,
    hyper: Mapping[str, Any],
    steps: int,
    given: Mapping[str, str] | None,
    domain: Mapping[str, str] | None,
) -> None:
    """What the caller names is a hyper-parameter, or a symbol of the rule."""
    _check_names_map("given", given or {}, "a formula", '{"eps": "0"}')
    _check_names_map("domain", domain or {}, "a domain", '{"b": "(0, 1)"}')
    missing = sorted(set(rule.hyper) - set(hyper) - set(given or {}))
    if missing:
        raise UsageError(f"the rule holds {', '.join(missing)}; give each a value in hyper=")
    drawn = _drawn(steps)
    clash = sorted({*drawn, GRADIENT, STEP} & set(hyper))
    if clash:
        raise UsageError(
            f"{clash[0]!r} is no name for a hyper-parameter (w parameter, g and g1, g2, ... "
            "gradients, t number of the step); call it otherwise"
        )
    known = (*hyper, *drawn)
    unknown = sorted(set(domain or {}) - set(known))
    if unknown:
        raise UnknownNameError(
            f"domain= names {unknown[0]!r}, which is no hyper-parameter; "
            f"{did_you_mean(unknown[0], known)}known: {', '.join(known)}"
        )


def _check_values(formulas: Sequence[Any], hyper: Mapping[str, Any], steps: int) -> None:
    """Refuse a symbol without a value, which `given`, `slope` or a second rule brought in."""
    free = {each.name for formula in formulas for each in formula.free_symbols}
    missing = sorted(free - {*hyper, *_drawn(steps)})
    if missing:
        raise UsageError(
            f"the formulas to compare hold {', '.join(missing)}; give each a value in hyper="
        )


def _drawn(steps: int) -> tuple[str, ...]:
    """Symbols of the parameters after some steps that are no hyper-parameters."""
    return PARAMETER, *(f"{GRADIENT}{number}" for number in range(1, steps + 1))


def _lifted(
    optimiser: Callable[..., Any], hyper: Mapping[str, Fraction], steps: int
) -> tuple[list[Any], tuple[str, ...]]:
    """The parameter after each number of updates, as expressions of w, g1, ... and `hyper`.

    Also returns what a reader of the program must know, such as how its constants were read.
    """
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

    values = {name: float(value) for name, value in hyper.items()}
    example = dict(zip(names, GRADIENTS, strict=False))
    with compat.x64():
        formulas = [
            lift(parameter_after(number), START, example, values) for number in range(1, steps + 1)
        ]
    return [_flat(formula.sympy()) for formula in formulas], formulas[-1].notes


def _flat(expr: Any) -> Any:
    """Symbols without the path of the argument they came in: `hyper.a` is a."""
    names = {each: symbol(each.name.rpartition(".")[2]) for each in expr.free_symbols}
    return without_choices(expr.xreplace(names))


def _point(hyper: Mapping[str, Fraction], number: int) -> dict[str, Any]:
    """The first point that is judged after so many updates."""
    gradients = {f"{GRADIENT}{i}": GRADIENTS[i - 1] for i in range(1, number + 1)}
    return {PARAMETER: START, **gradients, **hyper}


def _judged(
    true: Any, claimed: Any, point: Mapping[str, Any], domains: Mapping[str, str], seed: int
) -> Verdict:
    """The verdict on the parameter after an update; undecided where it is no formula."""
    try:
        question = _question(true, claimed, point, domains)
    except UnsupportedFunction as error:
        claim = Claim("w of the program", "w of the rule", kind="value", is_replayable=False)
        reason = "is no number" if is_undefined(true) else f"cannot be compared: {error}"
        return Verdict(claim, "undecided", scope=f"w after this update {reason}")
    return judge_question(question, seed=seed, with_repair=False)


def _question(
    true: Any, claimed: Any, point: Mapping[str, Any], domains: Mapping[str, str]
) -> Question:
    """Whether the parameter after an update is the claimed one, at the given point first."""
    used = {each.name for each in true.free_symbols | claimed.free_symbols}
    return read(
        true,
        claimed,
        kind="value",
        domain={name: where for name, where in domains.items() if name in used},
        points=[{name: _kept(value) for name, value in point.items() if name in used}],
        parameters=sorted(used),
    )


def _kept(value: float | Fraction) -> float | str:
    """A coordinate as a claim keeps it: text where no double is the number."""
    return float(value) if Fraction(float(value)) == value else str(value)
