"""Update rules of optimisers, written line by line as papers print them, and unrolled.

A rule is a list of assignments.  `w` is the parameter, `g` the gradient, `t` the number of the
step (1, 2, ...); every other name that a line assigns is memory, 0 before the first step unless
`start` says otherwise; what no line assigns is a hyper-parameter.  A line sees what the lines
above it have just assigned.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.core.ranges import is_whole
from diffkit.core.suggestions import did_you_mean
from diffkit.symbolic.parse import parse
from diffkit.symbolic.symbols import symbol

PARAMETER, GRADIENT, STEP = "w", "g", "t"
#: Steps that are told apart: the first has no past, the second one, the third a past of the past.
STEPS = 3
#: Bits of a number that a rule may come to.
MOST_BITS = 10_000
#: A power beyond this one is a slip: rules have squares and roots, and SymPy multiplies it out.
MOST_POWER = 1000


@dataclass(frozen=True)
class UpdateRule:
    """One rule, as text.

    Args:
        lines: Assignments "name = formula" in order; one of them assigns `w`.
        start: Memory -> its formula before the first step.
        at: Where the gradient is taken, in `w` and the memory of the step before.

    >>> adam = UpdateRule((
    ...     "m = b1*m + (1 - b1)*g", "v = b2*v + (1 - b2)*g**2",
    ...     "w = w - a*(m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps)",
    ... ))
    >>> adam.parameters()[0]
    -a*g1/(eps + Abs(g1)) + w
    """

    lines: tuple[str, ...]
    start: Mapping[str, str] = field(default_factory=dict)
    at: str = PARAMETER

    def __post_init__(self) -> None:
        if not isinstance(self.lines, Sequence) or not isinstance(self.start, Mapping):
            raise UsageError(
                "a rule is a sequence of lines and a mapping of memory to its start, such as "
                'UpdateRule(("m = m + g", "w = w - a*m"), start={"m": "0"})'
            )
        names = [name for name, _ in self._assignments]
        if PARAMETER not in names:
            raise UsageError(
                f'no line of the rule assigns {PARAMETER}; add one such as "w = w - a*g"'
            )
        taken = sorted({GRADIENT, STEP} & set(names))
        if taken:
            raise UsageError(
                f"a line assigns {taken[0]}, which is given (w parameter, g gradient, t number of "
                "the step); call it otherwise"
            )
        unknown = sorted(set(self.start) - set(names))
        if unknown:
            raise UsageError(
                f"start names {unknown[0]!r}, which no line assigns; "
                f"{did_you_mean(unknown[0], names)}the lines assign {', '.join(names)}"
            )

    @cached_property
    def _assignments(self) -> tuple[tuple[str, sp.Expr], ...]:
        return tuple(_assignment(line) for line in self.lines)

    @cached_property
    def memory(self) -> tuple[str, ...]:
        """Names that the lines assign, the parameter aside, in order."""
        names = (name for name, _ in self._assignments if name != PARAMETER)
        return tuple(dict.fromkeys(names))

    @cached_property
    def hyper(self) -> tuple[str, ...]:
        """Names of the hyper-parameters, sorted."""
        formulas = [formula for _, formula in self._assignments]
        formulas += [parse(text) for text in (*self.start.values(), self.at)]
        free = {each.name for formula in formulas for each in formula.free_symbols}
        return tuple(sorted(free - {PARAMETER, GRADIENT, STEP, *self.memory}))

    def formulas(self) -> dict[str, sp.Expr]:
        """Line -> its right side; of two lines of one name the last."""
        return dict(self._assignments)

    def parameters(
        self,
        steps: int = STEPS,
        slope: str | None = None,
        given: Mapping[str, str] | None = None,
        instead: Mapping[str, sp.Expr] | None = None,
    ) -> tuple[sp.Expr, ...]:
        """The parameter after 1, 2, ... steps, starting from `w`.

        Args:
            steps: How many, >= 1.
            slope: The gradient as a formula in `w`, taken at the rule's place ("h*w"); by default
                the gradients are symbols g1, g2, ..., whatever the place.
            given: Hyper-parameter -> formula it is replaced by.
            instead: Line -> another right side.

        Raises:
            UsageError: steps < 1, `given` names no hyper-parameter, or a power beyond `MOST_POWER`.
        """
        if not is_whole(steps, 1):
            raise UsageError(f"steps={steps!r}; give 1 or more")
        unknown = sorted(set(given or {}) - set(self.hyper))
        if unknown:
            raise UsageError(
                f"{unknown[0]!r} is no hyper-parameter; they are {', '.join(self.hyper) or 'none'}"
            )
        fixed = {symbol(name): parse(text) for name, text in (given or {}).items()}
        state = {symbol(name): sp.Integer(0) for name in self.memory}
        state |= {symbol(name): parse(text).xreplace(fixed) for name, text in self.start.items()}
        state[symbol(PARAMETER)] = symbol(PARAMETER)
        found = []
        for number in range(1, steps + 1):
            gradient = self._gradient(number, slope, state, fixed)
            constants = {symbol(STEP): sp.Integer(number), symbol(GRADIENT): gradient, **fixed}
            for name, formula in self._assignments:
                chosen = (instead or {}).get(name, formula)
                _check_powers(chosen, constants)
                state[symbol(name)] = chosen.xreplace({**constants, **state})
            found.append(without_choices(state[symbol(PARAMETER)]))
            _check_powers(found[-1], {})
        return tuple(found)

    def _gradient(
        self, number: int, slope: str | None, state: Mapping[sp.Expr, sp.Expr], fixed: Mapping
    ) -> sp.Expr:
        if slope is None:
            return symbol(f"{GRADIENT}{number}")
        place = parse(self.at).xreplace({**fixed, **state})
        return parse(slope).xreplace({symbol(PARAMETER): place})

    def changed(
        self,
        lines: Mapping[str, str],
        start: Mapping[str, str] | None = None,
        at: str | None = None,
    ) -> "UpdateRule":
        """The rule with other right sides of some lines, other starts, another place.

        A name that no line assigns becomes a new line before that of `w`.
        """
        right = dict(lines)
        kept = [
            f"{name} = {right.pop(name)}" if name in right else line
            for line, (name, _) in zip(self.lines, self._assignments, strict=True)
        ]
        place = next(i for i, (name, _) in enumerate(self._assignments) if name == PARAMETER)
        kept[place:place] = [f"{name} = {text}" for name, text in right.items()]
        started = {**self.start, **(start or {})}
        return replace(self, lines=tuple(kept), start=started, at=self.at if at is None else at)


def as_rule(rule: "UpdateRule | str | Sequence[str]") -> UpdateRule:
    """A rule from its lines, or from one text with a line each or semicolons between them."""
    if isinstance(rule, UpdateRule):
        return rule
    if isinstance(rule, bytes | Mapping) or not isinstance(rule, str | Sequence):
        raise UsageError(f'a rule is text or lines of text such as "w = w - a*g", not {rule!r}')
    if isinstance(rule, str):
        rule = [line for part in rule.splitlines() for line in part.split(";") if line.strip()]
    return UpdateRule(tuple(rule))


def without_choices(expr: sp.Expr) -> sp.Expr:
    """The same with `and`, `or` and `not` where SymPy has a choice between two conditions.

    It makes them of a condition about a Piecewise, and formula text has no word for them.
    """
    return expr.replace(sp.ITE, lambda test, yes, no: (test & yes) | (~test & no))


def is_undefined(expr: sp.Expr) -> bool:
    """Whether a division by zero or a NaN stands in the formula."""
    return expr.has(sp.nan, sp.zoo)


def _check_powers(formula: sp.Expr, values: Mapping[sp.Expr, sp.Expr]) -> None:
    """Refuse a high power before it is computed: those inside of others first."""
    for node in sp.postorder_traversal(formula):
        power = node.exp.xreplace(values) if isinstance(node, sp.Pow) else sp.S.One
        if power.is_Rational and abs(power) > MOST_POWER:
            raise UsageError(
                f"a line raises to the power {power}; powers up to {MOST_POWER} are compared, "
                "give a name to a higher one"
            )
        if node.is_Rational and max(abs(node.p), node.q).bit_length() > MOST_BITS:
            raise UsageError("a line comes to a number of thousands of digits; give a name to it")


def _assignment(line: str) -> tuple[str, sp.Expr]:
    if not isinstance(line, str):
        raise UsageError(f'{line!r} is no line of a rule; write text such as "w = w - a*g"')
    name, equals, text = line.partition("=")
    name = name.strip()
    if not equals or not name.isidentifier():
        raise UsageError(f'{line!r} is no line of a rule; write "name = formula"')
    return name, parse(text)
