"""Formula text to SymPy, without eval: what `diffkit check` reads.

`grammar.read` makes a tree, this module builds the expression from it.  Decimals are the exact
rational they spell; names are real symbols (`symbols.symbol`); `E`, `pi` and `oo` are constants;
a relation stays a relation.  Names of the caller (`known`) win over constants and functions.

A bare `e` is a symbol like any other (an error, an edge); as the base of a power with a symbolic
exponent it almost always means Euler's number, so there it is refused unless it is known.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NoReturn, TypeVar

import sympy as sp
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from diffkit.core.errors import (
    DomainError,
    ParseError,
    Undecidable,
    UnknownNameError,
    UnsupportedFunction,
)
from diffkit.core.suggestions import did_you_mean
from diffkit.symbolic import guards
from diffkit.symbolic.evaluation import enclosure
from diffkit.symbolic.grammar import Node, read
from diffkit.symbolic.names import (
    ALSO_SYMBOLS,
    CALLEES,
    CONSTANTS,
    INFINITE,
    SPECIAL_FORMS,
    function_names,
)
from diffkit.symbolic.symbols import symbol

#: Highest order of a derivative that text may ask for.
MAX_ORDER = 100

Built = TypeVar("Built")

#: What SymPy 1.14 raises for constants outside a function's domain and for divergent sums
#: when it tries to decide a sign; a reader of text cannot foresee every such place.
_SYMPY_FAILURES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)
#: What a condition must not contain: SymPy would try to decide it by expanding every case.
_NOT_IN_CONDITIONS = (sp.Piecewise, sp.Sum, sp.Product, sp.Integral, sp.Derivative)

_RELATIONS: dict[str, type[Relational]] = {
    "<": sp.Lt,
    "<=": sp.Le,
    ">": sp.Gt,
    ">=": sp.Ge,
    "==": sp.Eq,
    "!=": sp.Ne,
}


def parse(
    text: str, *, known: Iterable[str] | None = None, integers: Iterable[str] = ()
) -> sp.Basic:
    """Read a formula.

    Args:
        text: At most 10 000 characters, such as "log(1 + exp(-y*x))" or "0 < f < 1".
        known: The only names that may stand for symbols; None: any name may.
        integers: Names of whole numbers.

    Returns:
        An expression, or a relation or Boolean for a comparison.

    Raises:
        ParseError: the text is not a formula; says where and what to write.
        UnknownNameError: a function or a symbol nobody knows; lists the known ones.

    >>> parse("2*x^2 - 0.5")
    2*x**2 - 1/2
    >>> parse("2x")
    Traceback (most recent call last):
        ...
    diffkit.core.errors.ParseError: an operator is missing between 2 and x: write 2*x for a product
      2x
       ^
    """
    if not isinstance(text, str):
        raise ParseError(f"a formula is text, not {type(text).__name__}", repr(text)[:60], 0)
    names = None if known is None else frozenset(known)
    return _Builder(text, names, frozenset(integers)).formula(read(text))


class _Builder:
    """Builds the expression of one text; `indices` holds the indices of enclosing sums."""

    def __init__(self, text: str, known: frozenset[str] | None, integers: frozenset[str]):
        self.text = text
        self.known = known
        self.integers = integers
        self.indices: frozenset[str] = frozenset()
        self.comparisons = 0

    def fail(self, reason: str, node: Node) -> NoReturn:
        raise ParseError(reason, self.text, node.position)

    def unknown(self, reason: str, node: Node) -> NoReturn:
        raise UnknownNameError(str(ParseError(reason, self.text, node.position)))

    def formula(self, node: Node) -> sp.Basic:
        result = self.build(node)
        if isinstance(result, sp.Tuple):
            self.fail("a comma only separates the arguments of a function; delete it", node)
        return result

    def build(self, node: Node) -> sp.Basic:
        """The expression, relation or Boolean of `node`, checked to be a finite real formula."""
        try:
            result = getattr(self, f"build_{node.kind}")(node)
            guards.check_result(result)
            if isinstance(result, sp.Expr):
                self.check_real(result, node)
        except guards.TooLargeError as error:
            self.fail(str(error), node)
        except (ParseError, UnknownNameError):
            raise
        except _SYMPY_FAILURES as error:
            self.fail(f"SymPy cannot build this part ({type(error).__name__}); rewrite it", node)
        return result

    def check_real(self, result: sp.Expr, node: Node) -> None:
        if result.has(sp.nan, sp.zoo):
            self.fail("this divides by zero or has no value", node)
        if result.has(sp.I):
            self.fail("this is not a real number; formulas are real", node)
        if node.kind in ("call", "power") and not result.free_symbols:
            try:
                enclosure(result, bits=64)
            except DomainError:
                self.fail("this is not a real number; formulas are real", node)
            except (Undecidable, UnsupportedFunction, UnknownNameError):
                return

    def closed(self, node: Node) -> sp.Expr:
        """`node` as an expression whose sign SymPy may ask for: without a series of numbers."""
        result = self.value(node)
        if _is_open_number(result):
            self.fail("a Sum or Integral of numbers cannot stand here; write its value", node)
        return result

    def value(self, node: Node) -> sp.Expr:
        """`node` as an expression."""
        result = self.build(node)
        if not isinstance(result, sp.Expr):
            self.fail("a number is needed here, not a condition; use where(condition, a, b)", node)
        return result

    def condition(self, node: Node) -> Boolean:
        """`node` as a condition."""
        if node.kind == "name" and node.name in ("True", "False"):
            return sp.true if node.name == "True" else sp.false
        result = self.build(node)
        if not isinstance(result, Boolean) or isinstance(result, sp.Symbol):
            self.fail("a condition such as x > 0 is needed here", node)
        return result

    def branch_condition(self, node: Node) -> Boolean:
        """`node` as a condition of a Piecewise."""
        result = self.condition(node)
        if result.has(*_NOT_IN_CONDITIONS):
            self.fail("a condition compares plain expressions; name a part and use its name", node)
        if any(not part.free_symbols for part in result.atoms(Relational)):
            self.fail("this compares numbers that SymPy cannot tell apart; decide it", node)
        return result

    def bound(self, node: Node) -> sp.Expr:
        """`node` as the end of a range, the one place where oo may stand."""
        if node.kind == "negate":
            return -self.bound(node.args[0])
        if node.kind == "name" and node.name in INFINITE and not self.is_known(node.name):
            return sp.oo
        return self.closed(node)

    def is_known(self, name: str) -> bool:
        return name in self.indices or (self.known is not None and name in self.known)

    def build_number(self, node: Node) -> sp.Expr:
        return sp.Rational(node.value.numerator, node.value.denominator)

    def build_name(self, node: Node) -> sp.Expr:
        name = node.name
        if name in self.indices:
            return symbol(name, integer=True)
        if self.known is not None and name in self.known:
            return self.symbol(name)
        if name in INFINITE:
            self.fail("oo only stands in a range such as (x, 0, oo)", node)
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in ("True", "False"):
            self.fail(f"{name} is a condition; it only stands in Piecewise or where", node)
        is_function = name in CALLEES or name in SPECIAL_FORMS
        if is_function and name not in ALSO_SYMBOLS:
            self.fail(f"{name} is a function: write {name}(...)", node)
        if self.known is not None:
            known = ", ".join(sorted(self.known)) or "none"
            hint = did_you_mean(name, self.known)
            self.unknown(f"no symbol is called {name!r}; {hint}known symbols: {known}", node)
        return self.symbol(name)

    def symbol(self, name: str) -> sp.Symbol:
        return symbol(name, integer=name in self.integers)

    def build_tuple(self, node: Node) -> NoReturn:
        self.fail("a comma only separates the arguments of a function; write one value", node)

    def build_negate(self, node: Node) -> sp.Expr:
        return -self.value(node.args[0])

    def build_sum(self, node: Node) -> sp.Expr:
        operators = ("+", *node.operators)
        terms = [self.value(arg) for arg in node.args]
        guards.check_sum(terms)
        return sp.Add(
            *(-term if op == "-" else term for op, term in zip(operators, terms, strict=True))
        )

    def build_product(self, node: Node) -> sp.Expr:
        factors = [self.value(node.args[0])]
        for operator, arg in zip(node.operators, node.args[1:], strict=True):
            factor = self.closed(arg) if operator == "/" else self.value(arg)
            if operator == "/" and factor.is_zero:
                self.fail("this divides by zero", arg)
            factors.append(1 / factor if operator == "/" else factor)
        guards.check_product(factors)
        return sp.Mul(*factors)

    def build_power(self, node: Node) -> sp.Expr:
        base, exponent = (self.closed(arg) for arg in node.args)
        return self.power(base, exponent, node)

    def power(self, base: sp.Expr, exponent: sp.Expr, node: Node) -> sp.Expr:
        is_euler = base == symbol("e") and not exponent.is_number
        if is_euler and (self.known is None or "e" not in self.known):
            self.fail(
                "write exp(...) or E**(...) for Euler's number; call a symbol otherwise", node
            )
        if base.is_zero and exponent.is_negative:
            self.fail("this divides by zero", node)
        guards.check_power(base, exponent)
        return sp.Pow(base, exponent)

    def build_compare(self, node: Node) -> Boolean:
        sides = [self.value(arg) for arg in node.args]
        pairs = zip(sides, node.operators, sides[1:], strict=False)
        return self.join(sp.And, [_relation(left, op, right) for left, op, right in pairs])

    def build_and(self, node: Node) -> Boolean:
        return self.join(sp.And, [self.condition(arg) for arg in node.args])

    def build_or(self, node: Node) -> Boolean:
        return self.join(sp.Or, [self.condition(arg) for arg in node.args])

    def build_not(self, node: Node) -> Boolean:
        return sp.Not(self.condition(node.args[0]))

    def join(self, connective: Callable[..., Boolean], parts: list[Boolean]) -> Boolean:
        return parts[0] if len(parts) == 1 else connective(*parts)

    def build_call(self, node: Node) -> sp.Basic:
        name = node.name
        if self.known is not None and name in self.known and name not in CALLEES:
            self.fail(f"{name} is a symbol: write {name}*(...) for a product", node)
        if name in SPECIAL_FORMS:
            self.check_arity(node, *SPECIAL_FORMS[name])
            return getattr(self, f"form_{_FORMS.get(name, name)}")(node)
        callee = CALLEES.get(name)
        if callee is None:
            hint = did_you_mean(name, {*CALLEES, *SPECIAL_FORMS})
            self.unknown(
                f"no function is called {name!r}; {hint}for a product write {name}*(...); "
                f"known functions: {', '.join(function_names())}",
                node,
            )
        self.check_arity(node, callee.least, callee.most)
        args = [self.closed(arg) for arg in node.args]
        if callee.make is sp.Pow:
            return self.power(*args, node)
        guards.check_call(getattr(callee.make, "__name__", name), args)
        result = callee.make(*args)
        if isinstance(result, sp.Max | sp.Min):
            self.comparisons += len(result.args) ** 2
            if self.comparisons > guards.MAX_COMPARISONS:
                self.fail("too many arguments of Max and Min in one formula; name its parts", node)
        return result

    def check_arity(self, node: Node, least: int, most: float) -> None:
        count = len(node.args)
        if least <= count <= most:
            return
        if least == most:
            wanted = f"{least} argument{'s' if least != 1 else ''}"
        else:
            wanted = f"{least} to {most} arguments" if most < 100 else f"at least {least} arguments"
        self.fail(f"{node.name} takes {wanted}, not {count}", node)

    def form_Rational(self, node: Node) -> sp.Expr:
        parts = [self.value(arg) for arg in node.args]
        if not all(part.is_Rational for part in parts):
            self.fail("Rational takes plain numbers; write a/b for a quotient", node)
        if len(parts) == 2 and parts[1] == 0:
            self.fail("this divides by zero", node)
        return parts[0] if len(parts) == 1 else parts[0] / parts[1]

    def form_where(self, node: Node) -> sp.Expr:
        condition = self.branch_condition(node.args[0])
        return sp.Piecewise((self.value(node.args[1]), condition), (self.value(node.args[2]), True))

    def form_Piecewise(self, node: Node) -> sp.Expr:
        pairs = []
        for arg in node.args:
            if arg.kind != "tuple" or len(arg.args) != 2:
                self.fail(
                    "Piecewise takes pairs: Piecewise((value, condition), (value, True))", arg
                )
            pairs.append((self.value(arg.args[0]), self.branch_condition(arg.args[1])))
        return sp.Piecewise(*pairs)

    def form_derivative(self, node: Node) -> sp.Expr:
        target = self.value(node.args[0])
        variables: list[tuple[sp.Symbol, int]] = []
        for arg in node.args[1:]:
            if arg.kind == "number" and variables:
                variables[-1] = (variables[-1][0], self.order(arg))
            elif arg.kind == "tuple" and len(arg.args) == 2:
                variables.append((self.variable(arg.args[0]), self.order(arg.args[1])))
            else:
                variables.append((self.variable(arg), 1))
        if sum(order for _, order in variables) > MAX_ORDER:
            self.fail(f"derivatives up to order {MAX_ORDER} are read", node)
        return sp.Derivative(target, *variables)

    def order(self, node: Node) -> int:
        value = node.value if node.kind == "number" else Fraction(-1)
        if value.denominator != 1 or not 0 <= value <= MAX_ORDER:
            self.fail(f"the order of a derivative is a whole number up to {MAX_ORDER}", node)
        return int(value)

    def variable(self, node: Node) -> sp.Symbol:
        variable = self.build(node) if node.kind == "name" else None
        if not isinstance(variable, sp.Symbol):
            self.fail("a variable is needed here, such as x or (x, 2)", node)
        return variable

    def form_Integral(self, node: Node) -> sp.Expr:
        target = self.value(node.args[0])
        limits = []
        for arg in node.args[1:]:
            if arg.kind != "tuple" or len(arg.args) != 3:
                self.fail("an integral takes its range: Integral(f, (x, a, b))", arg)
            variable, low, high = arg.args
            limits.append((self.variable(variable), self.bound(low), self.bound(high)))
        return sp.Integral(target, *limits)

    def form_series(self, node: Node) -> sp.Expr:
        """Sum or Product; stays unevaluated, however long."""
        ranges = node.args[1:]
        for arg in ranges:
            if arg.kind != "tuple" or len(arg.args) != 3 or arg.args[0].kind != "name":
                self.fail(f"{node.name} takes a range: {node.name}(f, (i, 1, n))", arg)
        names = [arg.args[0].name for arg in ranges]
        for name, arg in zip(names, ranges, strict=True):
            if name in CONSTANTS or name in INFINITE:
                self.fail(f"{name} is a constant; call the index i", arg)
        target = self.within(names, lambda: self.value(node.args[0]))
        limits = []
        for position, (name, arg) in enumerate(zip(names, ranges, strict=True)):
            # The first range is the innermost, so its bounds may use the indices after it.
            low, high = self.within(
                names[position + 1 :], lambda arg=arg: [self.bound(end) for end in arg.args[1:]]
            )
            limits.append((symbol(name, integer=True), low, high))
        return (sp.Sum if node.name == "Sum" else sp.Product)(target, *limits)

    def within(self, names: list[str], build: Callable[[], Built]) -> Built:
        """What `build` returns while `names` are indices."""
        before = self.indices
        self.indices = before | frozenset(names)
        try:
            return build()
        finally:
            self.indices = before


_FORMS = {"Derivative": "derivative", "diff": "derivative", "Sum": "series", "Product": "series"}


def _is_open_number(expr: sp.Expr) -> bool:
    """Whether `expr` contains a sum, product or integral of numbers, whose value is open."""
    return any(not part.free_symbols for part in expr.atoms(sp.Sum, sp.Product, sp.Integral))


def _relation(left: sp.Expr, operator: str, right: sp.Expr) -> Boolean:
    """The relation as written; decided at once only between numbers."""
    is_decided = all(side.is_number and not side.has(*_NOT_IN_CONDITIONS) for side in (left, right))
    return _RELATIONS[operator](left, right, evaluate=is_decided)
