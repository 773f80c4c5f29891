r"""Does a relation hold everywhere on a domain?  A proof, an exact counterexample, or "unknown".

$a < b$ is the sign of $b - a$.  That sign is read off intervals, off the irreducible factors of the
normal form, off a derivative of one sign in one variable, off the minimum over a variable, or off
enclosures on a grid of boxes.  "false" needs a rational point at which an
enclosure contradicts the relation.  Kinks split the domain and are then looked at themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from math import inf

import sympy as sp
from sympy.core.relational import Relational

from diffkit.core.domain import Domain
from diffkit.core.errors import DiffkitError, NoClosedForm, UsageError
from diffkit.symbolic.cells import is_empty, root, tightened
from diffkit.symbolic.enclosure import enclose
from diffkit.symbolic.inequality_rules import Budget, Signs
from diffkit.symbolic.minima import is_regular, minima, without_infinity, without_moduli
from diffkit.symbolic.normal_form import reduce_in
from diffkit.symbolic.points import Point, domain_of, ordinary_points, simple_points
from diffkit.symbolic.prove import Proof, Status, prove_equal
from diffkit.symbolic.reduction import NeedSign, Reduction, Setting, Undefined
from diffkit.symbolic.signs import range_of, to_rational
from diffkit.symbolic.sums import closed_forms
from diffkit.symbolic.tower import TooLarge
from diffkit.symbolic.vocabulary import definition

Domains = Mapping[str, Domain]

CELLS, ORDINARY, SIMPLE, BOXES = 16, 60, 80, 1500
#: Derivatives taken one after the other in a monotonicity argument.
DEPTH = 3
_ANCHORS = tuple(map(sp.Integer, (0, 1, -1)))
_JUMPS = (sp.Piecewise, sp.sign, sp.Heaviside, sp.floor, sp.ceiling)


def prove_relation(relation: sp.Basic, domains: Domains | None = None) -> Proof:
    """Decide whether a relation holds for all real values of its symbols in `domains`.

    Args:
        relation: <, <=, >, >=, =, != of real expressions, or And, Or, Not of such.
        domains: Name -> domain of a symbol; what is left out is any real number.

    Returns:
        "true": it holds wherever both sides are real.  "false": it fails at the witness.
        "unknown": neither was shown.

    Raises:
        UsageError: `relation` is no relation.

    >>> x = sp.Symbol("x", real=True)
    >>> prove_relation(x**2 - 2 * x + 1 >= 0).status
    'true'
    >>> prove_relation(x**2 > x).witness
    {'x': Fraction(1, 2)}
    """
    domains = domains or {}
    if relation in (sp.true, sp.false):
        status = "true" if relation == sp.true else "false"
        return Proof(
            status, "evaluated", "a statement about numbers", 0.0, {} if not relation else None
        )
    if isinstance(relation, sp.And):
        return _all_of([prove_relation(part, domains) for part in relation.args])
    if isinstance(relation, sp.Or):
        return _any_of([prove_relation(part, domains) for part in relation.args])
    if isinstance(relation, sp.Not):
        return prove_relation(sp.to_nnf(relation), domains)
    if not isinstance(relation, Relational):
        raise UsageError(f"{relation} is no relation; write it with <, <=, >, >=, = or !=")
    if isinstance(relation, sp.Equality):
        return _equality(relation, domains)
    try:
        return _Inequality(relation, domains).answer()
    except NoClosedForm as error:
        return Proof("unknown", "no closed form", str(error))


def _all_of(proofs: list[Proof]) -> Proof:
    for status in ("false", "unknown"):
        for proof in proofs:
            if proof.status == status:
                return proof
    methods = ", ".join(dict.fromkeys(proof.method for proof in proofs))
    scopes = "; ".join(dict.fromkeys(proof.scope for proof in proofs))
    return Proof("true", methods, scopes, max(proof.error_probability or 0.0 for proof in proofs))


def _any_of(proofs: list[Proof]) -> Proof:
    for proof in proofs:
        if proof.status == "true":
            return proof
    return Proof("unknown", "no alternative was shown", "; ".join(p.scope for p in proofs))


def _equality(relation: sp.Equality, domains: Domains) -> Proof:
    proof = prove_equal(relation.lhs, relation.rhs, domains)
    statuses: dict[str, Status] = {"equal": "true", "different": "false"}
    return replace(proof, status=statuses.get(proof.status, "unknown"))


class _Inequality:
    """difference > 0 (strict) or >= 0, or != 0."""

    def __init__(self, relation: Relational, domains: Domains):
        self.relation, self.domains = relation, domains
        if isinstance(relation, sp.Unequality):
            self.shown = relation.lhs - relation.rhs
        else:
            self.shown = relation.gts - relation.lts
        self.strict = isinstance(relation, sp.StrictLessThan | sp.StrictGreaterThan | sp.Unequality)
        self.both_signs = isinstance(relation, sp.Unequality)
        self.difference = closed_forms(definition(self.shown), domains)
        self.symbols: list[sp.Symbol] = sorted(self.difference.free_symbols, key=str)

    def answer(self) -> Proof:
        for contradicts in (self.is_reversed_at, self.is_equal_at):
            for point in self.points():
                if contradicts(point):
                    return self.refuted(point)
        search = _Search(self.domains)
        for sign in (1, -1) if self.both_signs else (1,):
            method = self.by_range(sign) or search.holds(sign * self.difference, strict=self.strict)
            if method:
                return Proof("true", method, self.scope(search), 0.0)
        reason = search.failure or "no method decides the sign of the difference"
        return Proof("unknown", "no proof and no counterexample found", reason)

    def by_range(self, sign: int) -> str:
        if self.shown.has(sp.Derivative, sp.Sum, sp.Integral):
            return ""
        found = range_of(self.shown, self.domains)
        known = found.strict_sign if self.strict else found.sign
        return "intervals of the parts" if known == sign else ""

    def points(self) -> Iterator[Point]:
        zero = {s: Fraction(0) for s in self.symbols}
        is_inside = all(domain_of(s, self.domains).contains(Fraction(0)) for s in self.symbols)
        return chain(
            [zero] if is_inside else [],
            simple_points(self.symbols, self.domains, SIMPLE if self.symbols else 0),
            ordinary_points(self.symbols, self.domains, ORDINARY if self.symbols else 0),
        )

    def enclosure(self, point: Point) -> tuple[Fraction | float, Fraction | float]:
        """Bounds of the difference at `point`; no bounds where it is not real."""
        try:
            return enclose(self.difference, {s: (x, x) for s, x in point.items()}, 40)
        except DiffkitError:
            return -inf, inf

    def is_reversed_at(self, point: Point) -> bool:
        """Whether the difference is certainly negative at `point`."""
        return not self.both_signs and self.enclosure(point)[1] < 0

    def is_equal_at(self, point: Point) -> bool:
        """Whether the sides of a strict relation are equal at `point`, by exact arithmetic."""
        if not self.strict:
            return False
        low, high = self.enclosure(point)
        return -inf < low <= 0 <= high < inf and self.is_zero_at(point)

    def is_zero_at(self, point: Point) -> bool:
        exact = {s: sp.Rational(x.numerator, x.denominator) for s, x in point.items()}
        return prove_equal(self.difference.subs(exact), sp.S.Zero).status == "equal"

    def refuted(self, point: Point) -> Proof:
        where = ", ".join(f"{s} = {x}" for s, x in point.items()) or "these numbers"
        low, high = enclose(self.difference, {s: (x, x) for s, x in point.items()}, 40)
        middle = Fraction((low + high) / 2)  # may be beyond every double
        gap = sp.Rational(middle.numerator, middle.denominator).evalf(6)
        scope = f"at {where} the right side minus the left side is {gap}"
        if self.both_signs or self.relation.gts == self.relation.lhs:
            scope = f"at {where} the left side minus the right side is {gap}"
        return Proof(
            "false", "enclosure at a point", scope, 0.0, {s.name: x for s, x in point.items()}
        )

    def scope(self, search: "_Search") -> str:
        names = ", ".join(f"{s.name} {domain_of(s, self.domains)}" for s in self.symbols)
        parts = [names or "a statement about numbers"]
        if search.poles or search.conditions:
            parts.append("wherever both sides are real")
        if search.included:
            parts.append("kinks included")
        return "; ".join(parts)


class _Search:
    """Arguments that an expression is > 0 or >= 0; `holds` returns the one that works."""

    def __init__(self, domains: Domains, depth: int = 0, budget: Budget | None = None):
        self.domains, self.depth = domains, depth
        self.budget = budget or Budget()
        self.cells = 0
        self.poles: dict[sp.Expr, None] = {}
        self.conditions: dict[sp.Expr, bool] = {}
        self.included = False
        self.failure = ""

    def holds(self, expr: sp.Expr, *, strict: bool) -> str:
        """The argument that expr > 0 (or >= 0) on the domain, "" if none is found."""
        kinks: dict[sp.Expr, bool] = {}
        methods: dict[str, None] = {}
        if not self._in_cells(expr, {}, strict, kinks, methods):
            return ""
        for kink, jumps in kinks.items():
            if (strict or jumps) and not self._holds_at(expr, kink, strict):
                self.failure = f"it holds off {kink} = 0, but was not shown there"
                return ""
        self.included = bool(kinks)
        return ", ".join(methods) or "no point of the domain has a real value"

    def _holds_at(self, expr: sp.Expr, kink: sp.Expr, strict: bool) -> bool:
        place = root(kink)
        if place is None or self.depth >= DEPTH:
            return False
        there = expr.subs({place[0]: place[1]})
        if there.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
            return False
        found = range_of(there, self.domains)
        if (found.strict_sign if strict else found.sign) == 1:
            return True
        return bool(_Search(self.domains, self.depth + 1, self.budget).holds(there, strict=strict))

    def _in_cells(
        self,
        expr: sp.Expr,
        facts: dict[sp.Expr, int],
        strict: bool,
        kinks: dict[sp.Expr, bool],
        methods: dict[str, None],
    ) -> bool:
        cut = tightened(self.domains, facts)
        if cut is None or is_empty(facts, cut):
            return True
        self.cells += 1
        if self.cells > 2 * CELLS:
            self.failure = f"more than {CELLS} cases"
            return False
        setting = Setting(cut, facts, outer=self.domains)
        rest: list[sp.Expr] = []
        try:
            method = reduce_in(setting, lambda r: self._by_factors(r, expr, strict, kinks, rest))
        except NeedSign as question:
            parts = [{**facts, question.expr: sign} for sign in (1, -1)]
            return all(self._in_cells(expr, part, strict, kinks, methods) for part in parts)
        except Undefined:
            return True
        except (DiffkitError, TooLarge) as error:
            self.failure = str(error)
            method = ""
        for shown in rest or [expr]:
            method = method or self._by_variable(shown, cut, strict, facts)
        method = method or _by_boxes(expr, cut, strict)
        if method:
            methods[method] = None
            return True
        return self._on_half_lines(expr, facts, strict, kinks, methods)

    def _on_half_lines(
        self,
        expr: sp.Expr,
        facts: dict[sp.Expr, int],
        strict: bool,
        kinks: dict[sp.Expr, bool],
        methods: dict[str, None],
    ) -> bool:
        """A single variable on both sides of 0, and at 0."""
        if self.depth or len(expr.free_symbols) != 1 or facts:
            return False
        (x,) = expr.free_symbols
        domain = domain_of(x, self.domains)
        if not domain.low < 0 < domain.high:
            return False
        kinks[x] = True
        return all(self._in_cells(expr, {x: sign}, strict, kinks, methods) for sign in (1, -1))

    def _by_factors(
        self,
        r: Reduction,
        expr: sp.Expr,
        strict: bool,
        kinks: dict[sp.Expr, bool],
        rest: list[sp.Expr],
    ) -> str:
        element = r(expr)
        kinks.update(r.kinks)
        self.poles.update(r.poles)
        self.conditions.update(r.conditions)
        if element.is_zero:
            return "" if strict else "equal normal forms"
        signs = Signs(r, self.budget)
        if signs.of_element(element, strict=strict) == 1:
            return "signs of the factors of the normal form"
        rest[:] = [
            without_moduli(factor, r.setting.domains)
            for factor in signs.undecided(element, strict=strict)
        ]
        return ""

    def _by_variable(
        self, expr: sp.Expr, domains: Domains, strict: bool, facts: Mapping[sp.Expr, int]
    ) -> str:
        """By what the expression does along one of its variables."""
        return (
            self._by_minimum(expr, domains, strict)
            or self._by_infinity(expr, domains, strict)
            or self._by_derivative(expr, domains, strict, facts)
        )

    def _by_derivative(
        self, expr: sp.Expr, domains: Domains, strict: bool, facts: Mapping[sp.Expr, int]
    ) -> str:
        """One variable: minimum at an anchor, from which the function does not fall."""
        if len(expr.free_symbols) != 1 or self.depth >= DEPTH or expr.has(*_JUMPS):
            return ""
        (x,) = sorted(expr.free_symbols, key=str)
        domain = domain_of(x, domains)
        if domain.integer or not self._is_continuous(expr, domains, facts):
            return ""
        smooth = without_moduli(expr, domains)
        slope = sp.diff(smooth, x)
        for anchor in (*_finite_ends(domain), *_ANCHORS):
            if self._falls_and_rises(smooth, slope, x, anchor, domain, strict):
                return "a derivative of one sign on each side of the minimum"
        return ""

    def _by_minimum(self, expr: sp.Expr, domains: Domains, strict: bool) -> str:
        """The least value over one of the variables is a value that holds."""
        if self.depth >= DEPTH or expr.has(*_JUMPS):
            return ""
        for least, is_reached in minima(expr, domains, self.budget):
            needed = strict and is_reached
            if not least.free_symbols:
                found = _is_at_least_zero(least, strict=needed)
            else:
                search = _Search(domains, self.depth + 1, self.budget)
                found = bool(search.holds(least, strict=needed)) and not search.conditions
            if found:
                return "the value at the only minimum in one variable"
        return ""

    def _by_infinity(self, expr: sp.Expr, domains: Domains, strict: bool) -> str:
        """A single variable that tends to infinity, by u = exp(-x)."""
        if self.depth >= 1 or expr.has(*_JUMPS):
            return ""
        changed = without_infinity(expr, domains)
        if changed is None:
            return ""
        search = _Search(changed[1], DEPTH - 1, self.budget)
        if not search.holds(changed[0], strict=strict) or search.poles or search.conditions:
            return ""
        return "a derivative of one sign up to infinity"

    def _is_continuous(self, expr: sp.Expr, domains: Domains, facts: Mapping[sp.Expr, int]) -> bool:
        if not is_regular(expr, domains):
            return False

        def task(r: Reduction) -> bool:
            r(expr)
            return not r.poles and not r.conditions

        try:
            return reduce_in(Setting(domains, facts), task)
        except (DiffkitError, TooLarge, Undefined, NeedSign):
            return False

    def _falls_and_rises(
        self,
        expr: sp.Expr,
        slope: sp.Expr,
        x: sp.Symbol,
        anchor: sp.Rational,
        domain: Domain,
        strict: bool,
    ) -> bool:
        at = Fraction(int(anchor.p), int(anchor.q))
        if at < domain.low or at > domain.high:
            return False
        is_inside = domain.contains(at)
        if not _is_at_least_zero(expr.subs(x, anchor), strict=strict and is_inside):
            return False
        sides = [
            (1, Domain(at, domain.high, True, domain.open_high)),
            (-1, Domain(domain.low, at, domain.open_low, True)),
        ]
        for sign, side in sides:
            if side.low < side.high:
                search = _Search({**self.domains, x.name: side}, self.depth + 1, self.budget)
                if not search.holds(sign * slope, strict=strict and not is_inside):
                    return False
        return True


def _finite_ends(domain: Domain) -> list[sp.Rational]:
    ends = [end for end in (domain.low, domain.high) if abs(end) < inf]
    return [to_rational(end) for end in ends]


def _is_at_least_zero(number: sp.Expr, *, strict: bool) -> bool:
    if number.free_symbols or number.has(sp.nan, sp.zoo, sp.oo, -sp.oo):
        return False
    try:
        low, _ = enclose(number, {}, 40)
    except DiffkitError:
        return False
    if low > 0:
        return True
    return not strict and prove_equal(number, sp.S.Zero).status == "equal"


def _by_boxes(expr: sp.Expr, domains: Domains, strict: bool) -> str:
    """Enclosures on ever smaller boxes of a bounded domain."""
    box = {}
    for symbol in expr.free_symbols:
        domain = domain_of(symbol, domains)
        if inf in (abs(domain.low), abs(domain.high)):
            return ""
        box[symbol] = (Fraction(domain.low), Fraction(domain.high))
    if not box or len(box) > 3:
        return ""
    boxes, seen = [box], 0
    while boxes:
        seen += 1
        current = boxes.pop()
        if seen > BOXES:
            return ""
        try:
            low, high = enclose(expr, current, 15)
        except DiffkitError:
            low, high = -inf, inf
        if low > 0 or (low == 0 and not strict):
            continue
        if high < 0:
            return ""
        widest = max(current, key=lambda s: current[s][1] - current[s][0])
        start, stop = current[widest]
        if stop - start < Fraction(1, 4096):
            return ""
        middle = (start + stop) / 2
        boxes += [{**current, widest: (start, middle)}, {**current, widest: (middle, stop)}]
    return f"enclosures on {seen} boxes"
