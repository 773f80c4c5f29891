"""Read the two sides of a claim about scalars: text or SymPy in, one `Question` out.

Symbols bind by name to the target's; a claim in one unknown symbol about a target in one
symbol binds silently; anything else unknown is an error that lists what is known.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from diffkit.core.claim import Claim, Kind
from diffkit.core.domain import Domain
from diffkit.core.errors import NoClosedForm, UnknownNameError, UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.parse import parse
from diffkit.symbolic.sums import closed_forms
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.tokens import spelled_out

Expr = Any
Form = Literal["value", "relation", "rounding"]

HIGHEST_ORDER = 64
_NAME = re.compile(r"[^\W\d]\w*")
_RELATION = re.compile(r"^\s*(<=|>=|<|>|==|!=|≤|≥)")
_ROUNDING = re.compile(r"^\s*~\s*([+-]?\d+(?:\.(\d*))?)\s*$")
_TRUTH = ("true", "false")


@dataclass(frozen=True)
class Question:
    """What is asked, with both sides as expressions of the same symbols.

    Args:
        claim: The question as text, for reports and replay.
        target: The formula the claim is about; a relation when `form` is "relation" of itself.
        claimed: The claimed expression; None for relations and roundings.
        wrt: The variable, None for kind "value".
        order: Order of the derivative; 0 for kind "value".
        form: "value" (equality), "relation" (">= 0") or "rounding" ("~0.002").
        relation: The relation to decide, for form "relation".
        decimals: Digits after the point that were printed, for form "rounding".
        domains: Name -> domain of every symbol.
        notes: How the sides were read, where the user must know.
    """

    claim: Claim
    target: Expr
    claimed: Expr
    wrt: Expr | None
    order: int
    form: Form
    relation: Expr | None
    decimals: int
    domains: Mapping[str, Domain]
    notes: tuple[str, ...] = ()

    @property
    def quantity(self) -> Expr:
        """What the claim is about in closed form: the target, or its derivative."""
        if self.order == 0:
            return evaluated(self.target, self.domains)
        conventions = self.claim.conventions or None
        return derivative(self.target, self.wrt, self.order, conventions=conventions, notes=[])

    @property
    def statement(self) -> str:
        """The claim in one line, as the user wrote it."""
        target, claimed = self.claim.target.strip(), self.claim.claimed.strip()
        if self.order:
            left = (
                f"d/d{self.wrt}" if self.order == 1 else f"d^{self.order}/d{self.wrt}^{self.order}"
            )
            left = f"{left} [{_shorten(target)}]"
        else:
            left = _shorten(target)
        if self.form == "relation":
            return left if claimed in _TRUTH else f"{left} {_shorten(claimed)}"
        if self.form == "rounding":
            return f"{left} rounds to {claimed.lstrip(' ~')}"
        return f"{left} = {_shorten(claimed)}"


def read(
    target: Any,
    claimed: Any,
    *,
    wrt: Any = None,
    kind: Kind = "gradient",
    order: int = 1,
    domain: Mapping[str, Any] | str | None = None,
    conventions: Mapping[str, float] | None = None,
    points: Sequence[Mapping[str, Any]] = (),
    options: Mapping[str, Any] | None = None,
    parameters: Sequence[str] = (),
) -> Question:
    """Read both sides of a claim about scalars.

    Args:
        target: Formula text or SymPy expression.
        claimed: Formula text, SymPy expression, number, ">= 0" or "~0.002" (rounded as printed).
        wrt: Name of the variable; may be left out when there is only one.
        kind: "gradient", "hessian" (order 2), "value" or "function".
        order: Order of the derivative, >= 1.
        domain: Name -> domain; a single domain is that of the variable.
        conventions: As in `derivative`.
        points: Points to judge first.
        options: Further options kept for replay.
        parameters: Names the target could hold and need not: a constant has a derivative too.

    Raises:
        UsageError: the sides cannot be put to each other; the message says how they can.
    """
    kind = "value" if kind == "function" else kind
    if kind in ("jacobian", "jvp"):
        raise UsageError(f'kind="{kind}" needs a JAX function; for a formula use kind="gradient"')
    if kind == "hessian":
        order = 2
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order <= HIGHEST_ORDER:
        raise UsageError(f"order={order!r}; write a whole number from 1 to {HIGHEST_ORDER}")
    names = _names(target) | set(parameters)
    domains = _domains(domain, names, wrt)
    integers = [name for name, where in domains.items() if where.integer]
    expr = _expression(target, None, integers)
    is_relation = bool(getattr(expr, "is_Boolean", False) or getattr(expr, "is_Relational", False))
    free = sorted(_free(expr), key=str)
    known = names | {str(s) for s in free}
    for name in domains:
        if name not in known:
            raise UnknownNameError(f"domain of an unknown symbol {name!r}; known: {_list(known)}")
    variable = None
    if kind != "value" and not is_relation:
        variable = _variable(wrt, free, known, target)
    symbols = sorted({*free, *_unused(parameters, free)}, key=str)
    form, relation, claim_expr, decimals = _claimed(claimed, known, symbols, integers, is_relation)
    actual_order = 0 if variable is None else order
    occurring = set(symbols) | ({variable} if variable is not None else set())
    occurring |= set() if claim_expr is None else _free(claim_expr)
    everything = sorted(occurring, key=str)
    complete = {str(s): domains.get(str(s), _default(s)) for s in everything}
    claim = Claim(
        target=_text(target),
        claimed=_text(claimed),
        wrt="" if variable is None else str(variable),
        kind="value" if variable is None else kind,
        order=max(order, 1),
        domain={name: str(where) for name, where in domains.items()},
        conventions=dict(conventions or {}),
        points=tuple(dict(point) for point in points),
        options=dict(options or {}),
    )
    if claim_expr is not None:
        claim_expr = evaluated(claim_expr, complete)
    notes = _read_as(claimed, known, symbols) if form == "value" else ()
    question = Question(
        claim, expr, claim_expr, variable, actual_order, form, None, decimals, complete, notes
    )
    if form != "relation":
        return question
    decided = expr if is_relation else _about(relation, question.quantity)
    if is_relation and claimed.strip().lower() == "false":
        decided = ~decided
    return Question(claim, expr, None, variable, actual_order, form, decided, decimals, complete)


def _unused(parameters: Sequence[str], occurring: Sequence[Expr]) -> set[Expr]:
    """Parameters without a symbol: points give them a value all the same."""
    spellings = {name for s in occurring for name in (s.name, spelled_out(s.name))}
    return {
        symbol(name)
        for name in parameters
        if name not in spellings and spelled_out(name) not in spellings
    }


_PLACE = symbol("claimed_quantity")


def evaluated(expr: Expr, domains: Mapping[str, Domain]) -> Expr:
    """`expr` with the derivatives written inside it carried out by our own rules."""
    found = [node for node in walk(expr) if node.func.__name__ == "Derivative"]
    if not found:
        return _summed(expr, domains)
    # innermost first, so that a derivative of a derivative sees a finished expression
    inner = found[-1]
    result = inner.args[0]
    for variable, count in (tuple(pair.args) for pair in inner.args[1:]):
        result = derivative(result, variable, int(count), notes=[])
    return evaluated(expr.xreplace({inner: result}), domains)


def _summed(expr: Expr, domains: Mapping[str, Domain]) -> Expr:
    """`expr` with infinite sums and integrals in closed form, where the table has one.

    Finite sums stay: the witnesses add them up themselves.
    """
    endless = any(
        node.func.__name__ == "Integral"
        or (node.func.__name__ == "Sum" and any(s.is_infinite for s in node.args[1].args[1:]))
        for node in walk(expr)
    )
    if not endless:
        return expr
    try:
        return closed_forms(expr, domains)
    except NoClosedForm:
        return expr


def walk(expr: Expr) -> list[Expr]:
    """Every node of `expr`."""
    found, stack = [], [expr]
    while stack:
        node = stack.pop()
        found.append(node)
        stack.extend(node.args)
    return found


def _about(relation: Any, quantity: Expr) -> Expr:
    """A relation such as ">= 0" applied to the quantity it is claimed of."""
    return relation.xreplace({_PLACE: quantity})


def _claimed(
    claimed: Any, known: set[str], free: list[Expr], integers: list[str], is_relation: bool
) -> tuple[Form, Expr | None, Expr | None, int]:
    """Form, relation, expression and printed decimals of the claimed side."""
    if is_relation:
        if not isinstance(claimed, str) or claimed.strip().lower() not in _TRUTH:
            raise UsageError('a relation is claimed to be "true" or "false"; write one of the two')
        return "relation", None, None, 0
    if isinstance(claimed, str) and _RELATION.match(claimed):
        text = f"claimed_quantity {claimed.strip()}"
        spellings = {*known, *map(spelled_out, known), str(_PLACE)}
        return "relation", _own(parse(text, known=spellings, integers=integers), free), None, 0
    rounding = _ROUNDING.match(claimed) if isinstance(claimed, str) else None
    if rounding:
        digits = rounding.group(2) or ""
        return "rounding", None, parse(rounding.group(1)), len(digits)
    expr = _bind(claimed, known, free, integers)
    if getattr(expr, "is_Boolean", False) or getattr(expr, "is_Relational", False):
        raise UsageError('a claimed relation is written after the quantity: ">= 0", not a full one')
    return "value", None, expr, 0


def _read_as(claimed: Any, known: set[str], free: list[Expr]) -> tuple[str, ...]:
    """A note where the one symbol of the claim was bound to the target's under another name."""
    strangers = sorted(_names(claimed) - known) if isinstance(claimed, str) else []
    return tuple(f"{name} in the claim is read as {free[0]}" for name in strangers[:1] if free)


def _bind(claimed: Any, known: set[str], free: list[Expr], integers: list[str]) -> Expr:
    if isinstance(claimed, str) and len(free) == 1:
        expr = _expression(claimed, None, integers)
        strangers = sorted((s for s in _free(expr) if str(s) not in known), key=str)
        if len(strangers) == 1 and len(_free(expr)) == 1:
            return expr.xreplace({strangers[0]: free[0]})
    if isinstance(claimed, str):
        spellings = {spelled_out(name) for name in known}
        return _own(_expression(claimed, known | spellings, integers), free)
    expr = _own(_expression(claimed, None, integers), free)
    strangers = sorted(str(s) for s in _free(expr) if str(s) not in known)
    if strangers:
        raise UnknownNameError(
            f"the claim has unknown symbols {_list(strangers)}; the target has: {_list(known)}"
        )
    return expr


def _own(expr: Expr, free: list[Expr]) -> Expr:
    """Symbols spelled out (theta) as the target has them (a parameter may be a Greek letter)."""
    ours = {spelled_out(s.name): s for s in free}
    names = {s: ours[s.name] for s in _free(expr) if ours.get(s.name, s) != s}
    return expr.xreplace(names) if names else expr


def _expression(side: Any, known: set[str] | None, integers: list[str]) -> Expr:
    """One side as an expression whose symbols are diffkit's own."""
    if isinstance(side, str):
        if not side.strip():
            raise UsageError('the formula is empty; write one such as "log(1 + exp(-x))"')
        return parse(side, known=known, integers=integers)
    if isinstance(side, bool) or not (
        hasattr(side, "free_symbols") or isinstance(side, int | float)
    ):
        raise UsageError(f"a formula is text or a SymPy expression, not {type(side).__name__}")
    if isinstance(side, int | float):
        return parse(repr(side))
    ours = {s: symbol(s.name, integer=s.name in integers) for s in side.free_symbols}
    return side.xreplace(ours)


def _variable(wrt: Any, free: list[Expr], known: set[str], target: Any) -> Expr:
    if wrt is None or wrt == "":
        if len(free) == 1:
            return free[0]
        if not free:
            raise UsageError(
                f"{_text(target)!r} holds no symbol to differentiate with respect to; "
                'for a claim about its value use kind="value"'
            )
        raise UsageError(
            f"several symbols ({_list(str(s) for s in free)}): say which one with wrt (--wrt)"
        )
    if isinstance(wrt, int) and not isinstance(wrt, bool):
        if not -len(free) <= wrt < len(free):
            raise UsageError(
                f"wrt={wrt}, but there are {len(free)} symbols: {_list(map(str, free))}"
            )
        return free[wrt]
    name = str(wrt)
    for candidate in free:
        if str(candidate) in (name, spelled_out(name)):
            if candidate.is_integer:
                raise UsageError(f"{name} is an integer; nothing is differentiable in it")
            return candidate
    if name in known:
        return symbol(name)
    hint = did_you_mean(name, known)
    raise UnknownNameError(f"wrt={name!r} is no symbol of the target; {hint}known: {_list(known)}")


def _domains(
    domain: Mapping[str, Any] | str | None, names: set[str], wrt: Any
) -> dict[str, Domain]:
    if domain is None:
        return {}
    if isinstance(domain, str | Domain):
        if isinstance(wrt, str) and wrt:
            return {wrt: Domain.parse(domain)}
        symbols = sorted(names)
        if len(symbols) != 1:
            raise UsageError('several symbols: give the domain by name, domain={"x": "(0, 1)"}')
        return {symbols[0]: Domain.parse(domain)}
    found = {name: Domain.parse(where) for name, where in domain.items()}
    for name, where in found.items():
        if where.matrix_set:
            raise UsageError(f"{name} is a scalar here; the domain {where} is one of arrays")
    return found


def _names(side: Any) -> set[str]:
    """Names that can stand for symbols of one side; functions are told apart by the parser."""
    if isinstance(side, str):
        calls = {m.group(0) for m in re.finditer(r"[^\W\d]\w*(?=\s*\()", side)}
        return {name for name in _NAME.findall(side) if name not in calls} - {"pi", "E", "oo"}
    return {s.name for s in getattr(side, "free_symbols", ())}


def _free(expr: Expr) -> set[Expr]:
    return set(getattr(expr, "free_symbols", ()))


def _default(s: Expr) -> Domain:
    return Domain(integer=True) if s.is_integer else Domain()


def _text(side: Any) -> str:
    if isinstance(side, str):
        return side
    from diffkit.symbolic.layout import source

    return source(side) if hasattr(side, "free_symbols") else str(side)


def _shorten(text: str, most: int = 120) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
