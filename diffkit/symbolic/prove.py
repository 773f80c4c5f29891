"""Is one formula equal to another, everywhere on a domain?  A proof, a witness, or "unknown".

The law of the file: "equal" comes only from equal normal forms (or identity testing, with its error
probability), "different" only from a point where two evaluations separate the sides.  What a proof
leaves out (poles, kinks, where a logarithm is real) stands in its scope; sides that are real on
different sets are never called equal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import (
    CertificateError,
    DiffkitError,
    DomainError,
    NoClosedForm,
    Undecidable,
    UnsupportedFunction,
)
from diffkit.symbolic.cells import is_empty, root, tightened
from diffkit.symbolic.enclosure import enclose, value
from diffkit.symbolic.identity import error_probability_of_zero
from diffkit.symbolic.normal_form import reduce_in
from diffkit.symbolic.points import Point, domain_of, ordinary_points, simple_points
from diffkit.symbolic.reduction import NeedSign, Reduction, Setting, Undefined
from diffkit.symbolic.signs import range_of
from diffkit.symbolic.sums import closed_forms
from diffkit.symbolic.tower import TooLarge
from diffkit.symbolic.vocabulary import definition, nodes

Domains = Mapping[str, Domain]
Status = Literal["equal", "different", "unknown", "true", "false"]

#: Cells a proof by cases may have, and points at which the sides are compared.
CELLS, POINTS = 16, 12
#: Digits of a comparison, and how much of them two precisions must share to separate two sides.
DIGITS, MARGIN = 50, 20
#: Nested proofs at kinks.
DEPTH = 2


@dataclass(frozen=True)
class Proof:
    """What was shown of two sides, how, and where it holds.

    Args:
        status: "equal", "different" or "unknown"; of a relation "true", "false" or "unknown".
        method: One clause: normal forms, cases, identity testing, a witness.
        scope: Where it holds and what it leaves out; for "unknown" the reason.
        error_probability: 0 for a proof or a certified witness, the bound of identity testing,
            None where nothing was shown.
        witness: Name -> exact value at which the sides differ, or one of them alone is real.
        jumps: Where a side jumps and the sides were not shown to be equal, as zeros: the places
            that "equal" leaves out, such as x - 7 for a case x == 7.
    """

    status: Status
    method: str
    scope: str = ""
    error_probability: float | None = None
    witness: dict[str, Fraction] | None = None
    jumps: tuple[sp.Expr, ...] = ()

    def __bool__(self) -> bool:
        """Whether the identity or the relation was proved."""
        return self.status in ("equal", "true")


def prove_equal(
    a: sp.Expr, b: sp.Expr, domains: Domains | None = None, *, within: sp.Expr | None = None
) -> Proof:
    """Decide whether `a` equals `b` for all real values of their symbols in `domains`.

    Args:
        a: A real expression.
        b: A real expression.
        domains: Name -> domain of a symbol; what is left out is any real number.
        within: An expression; only points where it is real count (the function whose derivative
            the sides are, say).

    Returns:
        "equal": they agree wherever both are real, and up to a null set they are real at the same
        points.  "different": the witness separates them.  "unknown": the scope says why.

    Raises:
        CertificateError: the proof contradicts a numerical comparison: a defect of diffkit.

    >>> x = sp.Symbol("x", real=True)
    >>> prove_equal(sp.log(1 + sp.exp(x)) - sp.log(1 + sp.exp(-x)), x).status
    'equal'
    >>> prove_equal(sp.sqrt(x**2), x).status
    'different'
    """
    try:
        return _Question(
            sp.sympify(a, strict=True), sp.sympify(b, strict=True), domains or {}, within
        ).answer()
    except NoClosedForm as error:
        return Proof("unknown", "no closed form", str(error))


@dataclass
class _Outcome:
    """What one cell (or all of them) showed."""

    error: float = 0.0
    kinks: dict[sp.Expr, bool] = field(default_factory=dict)
    poles: dict[sp.Expr, None] = field(default_factory=dict)
    conditions: dict[sp.Expr, bool] = field(default_factory=dict)
    cells: int = 0
    is_inhabited: bool = False
    failure: str = ""
    failed_in: Domains | None = None


class _Question:
    def __init__(
        self, a: sp.Expr, b: sp.Expr, domains: Domains, within: sp.Expr | None, depth: int = 0
    ):
        self.shown = (a, b)
        self.domains, self.depth = domains, depth
        self.left, self.right = (closed_forms(definition(side), domains) for side in (a, b))
        self.within = sp.S.Zero if within is None else closed_forms(definition(within), domains)
        free = self.left.free_symbols | self.right.free_symbols | self.within.free_symbols
        self.symbols = sorted(free, key=str)

    def answer(self) -> Proof:
        comparison = Comparison(self.left, self.right, self.within, self.symbols, self.domains)
        if comparison.witness is not None:
            return self.different(comparison)
        if self.left == self.right:
            how = "the same expression"
            how += "" if self.shown[0] == self.shown[1] else " once definitions are written out"
            return Proof("equal", how, self.same_scope(), 0.0)
        if comparison.one_sided is not None:
            return self.one_sided(comparison.one_sided)
        if comparison.can_evaluate and not comparison.agreements:
            reason = "no point was found where both sides are real"
            return Proof("unknown", "numerical comparison", reason)
        outcome = _Outcome()
        self.by_cases({}, outcome)
        if outcome.failed_in is not None:
            # The cell may be a part of the domain that no ordinary point has hit.
            nearer = Comparison(self.left, self.right, self.within, self.symbols, outcome.failed_in)
            if nearer.witness is not None:
                return self.different(nearer)
        for place in (*outcome.kinks, *outcome.poles):
            if self.vanishes_everywhere(place):
                outcome.failure = f"{place} seems to be zero everywhere"
        if outcome.failure or not outcome.is_inhabited:
            return self.unknown(outcome, comparison)
        if comparison.disagreements:
            raise CertificateError(
                f"{self.shown[0]} and {self.shown[1]} share a normal form but not their values; "
                "please report this defect"
            )
        return self.equal(self.method(outcome), outcome)

    def vanishes_everywhere(self, place: sp.Expr) -> bool:
        """Whether a kink or pole, expected on a null set, is zero at every point tried."""
        symbols = sorted(place.free_symbols, key=str)
        numbers = []
        for point in ordinary_points(symbols, self.domains, POINTS if symbols else 1):
            try:
                numbers.append(_value_or_none(place, point))
            except UnsupportedFunction:
                return False
        known = [abs(number) for number in numbers if number is not None]
        return bool(known) and max(known) < 10.0**-MARGIN

    def same_scope(self) -> str:
        return f"{_describe_domains(self.symbols, self.domains)}; wherever it is a real number"

    def by_cases(self, facts: dict[sp.Expr, int], outcome: _Outcome) -> None:
        """Prove the sides equal in the cell where `facts` hold, splitting it where needed."""
        cut = tightened(self.domains, facts)
        if cut is None or is_empty(facts, cut):
            return
        setting = Setting(cut, facts, outer=self.domains)
        try:
            reduce_in(setting, lambda r: self.in_cell(r, outcome))
        except NeedSign as question:
            for sign in (1, -1):
                if outcome.failure:
                    return
                self.by_cases({**facts, question.expr: sign}, outcome)
            return
        except TooLarge:
            outcome.failure = "the normal forms are too big, also for identity testing"
        except (Undecidable, UnsupportedFunction) as error:
            outcome.failure = str(error)
        outcome.cells += 1
        if outcome.cells > CELLS:
            outcome.failure = f"more than {CELLS} cases"

    def in_cell(self, r: Reduction, outcome: _Outcome) -> None:
        """Compare the sides where no kink lies."""
        try:
            _walk(r, self.within)
        except Undefined:
            return
        given = _take_conditions(r)
        sides = []
        for side in (self.left, self.right):
            try:
                element = _walk(r, side)
            except Undefined:
                element = None
            except TooLarge:
                element = side
            sides.append((element, _take_conditions(r)))
        (left, left_conditions), (right, right_conditions) = sides
        if left is None and right is None:
            return
        if left is None or right is None:
            outcome.failure = "in a part of the domain only one side is a real number"
            return
        self.compare(r, left, right, outcome)
        if outcome.failure:
            return
        outcome.failure = _domain_mismatch(given, left_conditions, right_conditions, r.setting)
        outcome.kinks.update(r.kinks)
        outcome.poles.update(r.poles)
        outcome.conditions.update(left_conditions)
        outcome.is_inhabited = True

    def compare(self, r: Reduction, left: Any, right: Any, outcome: _Outcome) -> None:
        """Test left - right for zero, by normal form or else by identity testing."""
        try:
            if isinstance(left, sp.Basic) or isinstance(right, sp.Basic):
                raise TooLarge
            is_zero = r.tower.subtract(left, right).is_zero
            error = 0.0
        except TooLarge:
            r.tower.work = 0
            found = error_probability_of_zero(r, self.left - self.right)
            is_zero, error = found is not None, found or 0.0
        outcome.error += error
        if not is_zero:
            outcome.failed_in = r.setting.domains
            outcome.failure = "the normal forms differ, yet no point was found that separates them"

    def method(self, outcome: _Outcome) -> str:
        how = "identity testing modulo a 61-bit prime" if outcome.error else "equal normal forms"
        return f"{how} in each of {outcome.cells} cases" if outcome.cells > 1 else how

    def equal(self, method: str, outcome: _Outcome) -> Proof:
        scope, jumps = self.scope(outcome)
        return Proof("equal", method, scope, outcome.error, jumps=jumps)

    def scope(self, outcome: _Outcome) -> tuple[str, tuple[sp.Expr, ...]]:
        """Where the proof holds, what it leaves out, and the jumps among that."""
        where = [_describe_domains(self.symbols, self.domains)]
        if outcome.conditions:
            needed = list(outcome.conditions.items())[:4]
            names = " and ".join(f"{c} {'>' if is_strict else '>='} 0" for c, is_strict in needed)
            where.append(f"where both sides are real ({names})")
        # Each place is a proof of its own, so that it is asked for once.
        found = {kink: self.at_place(kink) for kink, jumps in outcome.kinks.items() if jumps}
        kinks, included = self.at_kinks(outcome, found)
        jumps = (kink for kink, said in found.items() if said == "unknown")
        poles = [pole for pole in outcome.poles if pole not in included]
        if poles:
            where.append(f"except at poles ({_zeros(poles)})")
        return "; ".join(where + kinks), tuple(jumps)

    def at_kinks(
        self, outcome: _Outcome, found: Mapping[sp.Expr, str]
    ) -> tuple[list[str], list[sp.Expr]]:
        """What holds where a branch changes, by continuity or by inserting the place."""
        if not outcome.kinks:
            return [], []
        if not any(outcome.kinks.values()):
            return [f"kinks included, by continuity ({_zeros(outcome.kinks)})"], []
        included, excluded = [], []
        for kink, jumps in outcome.kinks.items():
            agrees = not jumps or found[kink] == "equal"
            (included if agrees else excluded).append(kink)
        parts = [f"except at {_zeros(excluded)}"] if excluded else []
        return parts + ([f"at {_zeros(included)} too"] if included else []), included

    def at_place(self, kink: sp.Expr) -> Literal["equal", "not real", "unknown"]:
        """What the sides are at the place itself: proved equal, one of them without a value."""
        place = _place(kink)
        if place is None or self.depth >= DEPTH:
            return "unknown"
        try:
            sides = [_with_signs_expanded(side.subs(place)) for side in (self.left, self.right)]
        except TypeError:  # SymPy compares an infinity inside a condition
            return "unknown"
        if any(side.has(sp.nan, sp.zoo, sp.oo, -sp.oo) for side in sides):
            return "not real"
        question = _Question(*sides, self.domains, None, self.depth + 1)
        return "equal" if question.answer().status == "equal" else "unknown"

    def different(self, comparison: "Comparison") -> Proof:
        point = comparison.simplest_witness()
        left, right = (_digits(side, point) for side in (self.left, self.right))
        scope = f"at {_describe_point(point)} the left side is {left}, the right side {right}"
        return Proof("different", comparison.certificate, scope, 0.0, _by_name(point))

    def one_sided(self, point: Point) -> Proof:
        scope = f"at {_describe_point(point)} only one side is a real number"
        return Proof("unknown", "domains differ", scope, None, _by_name(point))

    def unknown(self, outcome: _Outcome, comparison: "Comparison") -> Proof:
        reason = outcome.failure or "no part of the domain was found where both sides are real"
        if comparison.agreements:
            reason += f"; they agree to {DIGITS} digits at {comparison.agreements} points"
        return Proof("unknown", "no proof found", reason)


def _place(kink: sp.Expr) -> dict[sp.Expr, sp.Expr] | None:
    """The only point where `kink` is zero, as a substitution; None where that is not so simple."""
    found = root(kink)
    if found is not None:
        return {found[0]: found[1]}
    if not kink.is_polynomial():
        return None
    poly = sp.Poly(kink)
    # a sum of even powers, such as g1^2 + g2^2, is zero at 0 alone
    is_even = all(n % 2 == 0 for powers in poly.monoms() for n in powers)
    alone = {powers.index(max(powers)) for powers in poly.monoms() if sum(map(bool, powers)) == 1}
    if is_even and all(c.is_positive for c in poly.coeffs()) and len(alone) == len(poly.gens):
        return dict.fromkeys(poly.gens, sp.S.Zero) if poly.eval([0] * len(poly.gens)) == 0 else None
    return None


def _with_signs_expanded(expr: sp.Expr) -> sp.Expr:
    """`expr` with the arguments of signs multiplied out.

    At a kink an argument is 0 in another guise, which rounding would give a sign.
    """
    return expr.replace(sp.sign, lambda argument: sp.sign(sp.expand(argument)))


class Comparison:
    """Values of two sides at ordinary points: agreements, or a first point that separates them."""

    def __init__(
        self,
        left: sp.Expr,
        right: sp.Expr,
        within: sp.Expr,
        symbols: list[sp.Symbol],
        domains: Domains,
    ):
        """Compare at once; the attributes hold the result."""
        self.left, self.right, self.within = left, right, within
        self.symbols, self.domains = symbols, domains
        self.agreements = self.disagreements = 0
        self.can_evaluate = True
        self.witness: Point | None = None
        self.one_sided: Point | None = None
        self.certificate = ""
        self._look()

    def _look(self) -> None:
        points = ordinary_points(self.symbols, self.domains, POINTS if self.symbols else 1)
        for point in points:
            try:
                certificate = self.separates(point)
            except UnsupportedFunction:
                self.can_evaluate = False
                return
            if certificate:
                self.witness, self.certificate = point, certificate
                return

    def separates(self, point: Point) -> str:
        """How the sides are told apart at `point`; "" if they are not."""
        try:
            if _real_or_none(self.within, point) is None:
                return ""
            left, right = (_real_or_none(side, point) for side in (self.left, self.right))
        except Undecidable:
            return ""
        if left is None or right is None:
            if (left is None) != (right is None) and self.one_sided is None:
                self.one_sided = point
            return ""
        if _is_close(left, right):
            self.agreements += 1
            return ""
        certificate = certified_difference(self.left, self.right, point)
        if not certificate:
            self._look_closer(point)
        return certificate

    def _look_closer(self, point: Point) -> None:
        """Values that differ without a certificate: cancellation, or a defect."""
        sides = [_value_or_none(side, point, 4 * DIGITS) for side in (self.left, self.right)]
        if None in sides:
            return
        if _is_close(*sides):
            self.agreements += 1
        else:
            self.disagreements += 1

    def simplest_witness(self) -> Point:
        """A separating point with small numbers, off the kinks; the found one if there is none."""
        found = self.witness
        if found is None:
            raise CertificateError("there is no witness")
        for point in simple_points(self.symbols, self.domains):
            if not _is_on_kink(self.left, point) and not _is_on_kink(self.right, point):
                certificate = self.separates(point)
                if certificate:
                    self.certificate = certificate
                    return point
        return found


def certified_difference(left: sp.Expr, right: sp.Expr, point: Point) -> str:
    """How `left` and `right` are certainly different at `point`; "" if that cannot be said."""
    box = {symbol: (x, x) for symbol, x in point.items()}
    try:
        low, high = enclose(left - right, box, DIGITS)
        return "disjoint enclosures at a point" if low > 0 or high < 0 else ""
    except UnsupportedFunction:
        return _two_precisions(left, right, point)
    except DiffkitError:
        return ""


def _two_precisions(left: sp.Expr, right: sp.Expr, point: Point) -> str:
    first, second = (value(left - right, point, digits) for digits in (DIGITS, 2 * DIGITS))
    is_stable = abs(first - second) <= abs(second) * 10.0**-MARGIN
    size = max(abs(value(left, point, DIGITS)), 1)
    is_wide = abs(second) > size * 10.0**-MARGIN
    return "two precisions agree on a difference at a point" if is_stable and is_wide else ""


def _is_close(left: Any, right: Any) -> bool:
    return abs(left - right) <= max(abs(left), abs(right), 1) * 10.0 ** (MARGIN - DIGITS)


def _real_or_none(expr: sp.Expr, point: Point) -> Any:
    """The value, None where it is certainly not a finite real number."""
    try:
        return value(expr, point, DIGITS)
    except DomainError:
        return None


def _value_or_none(expr: sp.Expr, point: Point, digits: int = DIGITS) -> Any:
    """The value, None where there is none or it cannot be worked out."""
    try:
        return value(expr, point, digits)
    except (DomainError, Undecidable):
        return None


def _walk(r: Reduction, expr: sp.Expr) -> Any:
    r.memo.clear()
    return r(expr)


def _take_conditions(r: Reduction) -> dict[sp.Expr, bool]:
    taken = dict(r.conditions)
    r.conditions.clear()
    return taken


def _domain_mismatch(
    given: Iterable[sp.Expr],
    left: Mapping[sp.Expr, bool],
    right: Mapping[sp.Expr, bool],
    setting: Setting,
) -> str:
    """What only one side needs in order to be real; "" if each condition holds for both."""
    for own, other in ((left, right), (right, left)):
        known = {**dict.fromkeys(given), **other}
        cut = tightened(setting.domains, {**setting.facts, **dict.fromkeys(known, 1)})
        for condition in own:
            if condition in known or cut is None or range_of(condition, cut).sign == 1:
                continue
            return f"only one side needs {condition} >= 0 to be real; give a domain that ensures it"
    return ""


def _is_on_kink(expr: sp.Expr, point: Point) -> bool:
    """Whether a comparison, modulus or step of `expr` sits exactly at its place at `point`."""
    for node in nodes(expr):
        zeros: tuple[sp.Expr, ...] = ()
        if isinstance(node, sp.Abs | sp.sign | sp.Heaviside):
            zeros = (node.args[0],)
        elif isinstance(node, sp.Max | sp.Min):
            zeros = tuple(node.args[0] - other for other in node.args[1:])
        elif isinstance(node, sp.core.relational.Relational):
            zeros = (node.lhs - node.rhs,)
        elif isinstance(node, sp.floor | sp.ceiling):
            zeros = (sp.sin(sp.pi * node.args[0]),)
        if any(_value_or_none(zero, point) in (0, None) for zero in zeros):
            return True
    return False


def _describe_domains(symbols: list[sp.Symbol], domains: Domains) -> str:
    if not symbols:
        return "a statement about numbers"
    by_domain: dict[str, list[str]] = {}
    for symbol in symbols:
        by_domain.setdefault(str(domain_of(symbol, domains)), []).append(symbol.name)
    return "; ".join(f"{', '.join(names)} {domain}" for domain, names in by_domain.items())


def _describe_point(point: Point) -> str:
    return ", ".join(f"{symbol} = {x}" for symbol, x in point.items()) or "every point"


def _by_name(point: Point) -> dict[str, Fraction]:
    return {symbol.name: x for symbol, x in point.items()}


def _digits(expr: sp.Expr, point: Point) -> str:
    number = _value_or_none(expr, point)
    return "not real" if number is None else sp.Float(number, 8).__str__().rstrip("0").rstrip(".")


def _zeros(kinks: Iterable[sp.Expr]) -> str:
    places = []
    for kink in kinks:
        if isinstance(kink, sp.sin):
            places.append(f"whole {kink.args[0] / sp.pi}")
            continue
        place = root(kink)
        places.append(f"{kink} = 0" if place is None else f"{place[0]} = {place[1]}")
    return ", ".join(places[:4])


__all__ = ["Comparison", "Proof", "certified_difference", "prove_equal"]
