"""Evaluate a SymPy expression, or a jaxpr, over any `Algebra` of numbers.

One walk over the DAG, each node once.  A class without a row raises `UnsupportedFunction` with
its name; nothing unknown ever counts as zero.  JAX is imported by `interpret_jaxpr` only, so a
question asked in text never pays for it.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import sympy as sp

from diffkit.core.errors import UnknownNameError, UnsupportedFunction
from diffkit.numeric.algebra import ARITY, Algebra, Number

#: SymPy class name -> function name of the algebras, where the two differ.
RENAMED: dict[str, str] = {
    "Abs": "abs",
    "Max": "max",
    "Min": "min",
    "ceiling": "ceil",
    "loggamma": "lgamma",
    "LambertW": "lambertw",
    "Mod": "mod",
}

_RELATIONS: dict[type, str] = {
    sp.StrictLessThan: "lt",
    sp.LessThan: "le",
    sp.StrictGreaterThan: "gt",
    sp.GreaterThan: "ge",
    sp.Equality: "eq",
    sp.Unequality: "ne",
}
_NAMED = {sp.pi: "pi", sp.E: "E", sp.EulerGamma: "EulerGamma"}
_MOST_TERMS = 10_000

Environment = Mapping[str, Number]


def interpret_expression(expr: sp.Basic, env: Environment, algebra: Algebra) -> Any:
    """Return the value of `expr` over `algebra`.

    Args:
        expr: Expression (a number of the algebra is returned) or condition (a truth value).
        env: Symbol name -> number of the algebra.
        algebra: The kind of number to compute with.

    Raises:
        UnsupportedFunction: a class without a row, or a `Derivative` that was not carried out.
        UnknownNameError: a symbol that `env` does not name.
        Undecidable: a condition the numbers cannot decide.

    >>> from diffkit.numeric.floating import FloatAlgebra
    >>> x = sp.Symbol("x", real=True)
    >>> float(interpret_expression(sp.sqrt(x) + sp.Rational(1, 2), {"x": 4.0}, FloatAlgebra()))
    2.5
    """
    return _Walk(env, algebra).value(sp.sympify(expr, strict=True))


def evaluator(env: Environment, algebra: Algebra) -> Callable[[sp.Basic], Any]:
    """Return a function that evaluates many expressions and remembers every subexpression."""
    return _Walk(env, algebra).value


def interpret_jaxpr(jaxpr: Any, args: Sequence[Any], algebra: Algebra) -> list[Any]:
    """Return the outputs of `jaxpr` as object arrays over `algebra`.

    See `diffkit.bridge.interpret_jaxpr.run`; JAX is imported here, not with this module.
    """
    from diffkit.bridge.interpret_jaxpr import run

    return run(jaxpr, args, algebra)


class _Walk:
    """One evaluation: environment, algebra and the values found so far."""

    def __init__(self, env: Environment, algebra: Algebra):
        self.env, self.algebra = env, algebra
        self.memo: dict[sp.Basic, Any] = {}

    def value(self, root: sp.Basic) -> Any:
        # an explicit stack: a chain of a thousand layers is no recursion
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.memo:
                stack.pop()
                continue
            waiting = [arg for arg in _operands(node) if arg not in self.memo]
            if waiting:
                stack.extend(waiting)
            else:
                self.memo[node] = self.evaluate(node)
                stack.pop()
        return self.memo[root]

    def evaluate(self, node: sp.Basic) -> Any:
        for kind, rule in _RULES:
            if isinstance(node, kind):
                return rule(self, node)
        name = RENAMED.get(type(node).__name__, type(node).__name__)
        if name in ARITY and isinstance(node, sp.Function | sp.Max | sp.Min):
            return self.call(name, *node.args)
        raise UnsupportedFunction(
            f"cannot evaluate {type(node).__name__} in {str(node)[:60]!r}: no row for it; rewrite "
            "it with the functions of diffkit.numeric.algebra.ARITY or add a row there"
        )

    def call(self, name: str, *args: sp.Basic) -> Number:
        return self.algebra.function(name)(*(self.memo[arg] for arg in args))

    def constant(self, value: Fraction | int) -> Number:
        return self.algebra.constant(value)


def _operands(node: sp.Basic) -> tuple[sp.Basic, ...]:
    """The children to evaluate first; branches and bound variables are walked on demand."""
    if isinstance(node, sp.Piecewise | sp.Sum | sp.Product | sp.Derivative | sp.Integral):
        return ()
    if isinstance(node, sp.Pow):
        return (node.base,) if node.exp.is_Rational else (node.base, node.exp)
    if isinstance(node, sp.Mul):
        above, below = _fraction(node)
        return (*above, *(power.base for power in below))
    return node.args


def _fraction(node: sp.Mul) -> tuple[list[sp.Basic], list[sp.Pow]]:
    """Factors above and powers below the fraction bar (x*y**-1 is one division)."""
    below = [arg for arg in node.args if arg.is_Pow and arg.exp.is_Rational and arg.exp < 0]
    return [arg for arg in node.args if arg not in below], below


def _rational(walk: _Walk, node: sp.Rational) -> Number:
    return walk.constant(Fraction(int(node.p), int(node.q)))


def _float(walk: _Walk, node: sp.Float) -> Number:
    return _rational(walk, sp.Rational(node))  # the exact binary value


def _infinity(walk: _Walk, node: sp.Basic) -> Number:
    return walk.algebra.constant(float("inf") if node == sp.oo else float("-inf"))


def _symbol(walk: _Walk, node: sp.Symbol) -> Number:
    if node.name not in walk.env:
        known = ", ".join(sorted(walk.env)) or "none"
        raise UnknownNameError(f"no value for the symbol {node.name!r}; values given for: {known}")
    return walk.env[node.name]


def _sum_of(walk: _Walk, node: sp.Add) -> Number:
    total, *rest = (walk.memo[arg] for arg in node.args)
    for term in rest:
        total = total + term
    return total


def _product_of(walk: _Walk, node: sp.Mul) -> Number:
    above, below = _fraction(node)
    if above and above[0] == -1 and len(above) > 1:
        return -_times([walk.memo[arg] for arg in above[1:]], _bottom(walk, below))
    if not above:
        return walk.constant(1) / _bottom(walk, below)
    return _times([walk.memo[arg] for arg in above], _bottom(walk, below))


def _times(factors: list[Number], bottom: Number | None) -> Number:
    total, *rest = factors
    for factor in rest:
        total = total * factor
    return total if bottom is None else total / bottom


def _bottom(walk: _Walk, powers: list[sp.Pow]) -> Number | None:
    total = None
    for node in powers:
        factor = walk.algebra.power(
            walk.memo[node.base], Fraction(-int(node.exp.p), int(node.exp.q))
        )
        total = factor if total is None else total * factor
    return total


def _power_of(walk: _Walk, node: sp.Pow) -> Number:
    base = walk.memo[node.base]
    if node.exp.is_Rational:
        return walk.algebra.power(base, Fraction(int(node.exp.p), int(node.exp.q)))
    power = walk.algebra.function("pow")(base, walk.memo[node.exp])
    if node.exp.is_integer:
        return power
    # x**y of a real y is exp(y log x): it has no value unless x > 0, not even at the
    # isolated points where y happens to be whole
    has_no_log = walk.algebra.truth("le", base, walk.constant(0))
    return walk.algebra.select(has_no_log, walk.algebra.constant(float("nan")), power)


def _piecewise(walk: _Walk, node: sp.Piecewise) -> Number:
    branches = list(node.args)
    return _branch(walk, branches)


def _branch(walk: _Walk, branches: list[sp.Basic]) -> Number:
    """The value of the first branch whose condition holds; nan when none does."""
    if not branches:
        return walk.algebra.constant(float("nan"))
    (value, condition), *rest = branches
    holds = walk.value(condition)
    if isinstance(holds, bool):
        # only the chosen branch is evaluated: the others may have no value here
        return walk.value(value) if holds else _branch(walk, rest)
    return walk.algebra.select(holds, walk.value(value), _branch(walk, rest))


def _relation(walk: _Walk, node: sp.Basic) -> Any:
    name = next(name for kind, name in _RELATIONS.items() if isinstance(node, kind))
    return walk.algebra.truth(name, walk.memo[node.lhs], walk.memo[node.rhs])


def _connective(combine: Callable[[Any, Any], Any]) -> Callable[[_Walk, sp.Basic], Any]:
    def rule(walk: _Walk, node: sp.Basic) -> Any:
        total, *rest = (walk.memo[arg] for arg in node.args)
        for value in rest:
            total = combine(total, value)
        return total

    return rule


def _not(walk: _Walk, node: sp.Basic) -> Any:
    value = walk.memo[node.args[0]]
    return not value if isinstance(value, bool) else ~value


def _repeated(combine: Callable[[Any, Any], Any], empty: int) -> Callable[[_Walk, sp.Basic], Any]:
    def rule(walk: _Walk, node: sp.Basic) -> Any:
        if len(node.limits) != 1 or not all(bound.is_Integer for bound in node.limits[0][1:]):
            raise UnsupportedFunction(f"{str(node)[:60]!r} needs one index with whole bounds")
        index, low, high = node.limits[0]
        if high - low >= _MOST_TERMS:
            raise UnsupportedFunction(f"{str(node)[:60]!r} has more than {_MOST_TERMS} terms")
        if high < low - 1:
            raise UnsupportedFunction(
                f"{str(node)[:60]!r} runs backwards, which books read in two ways; "
                "give bounds in order"
            )
        total = walk.constant(empty)
        for k in range(int(low), int(high) + 1):
            env = {**walk.env, index.name: walk.constant(k)}
            total = combine(total, _Walk(env, walk.algebra).value(node.function))
        return total

    return rule


def _heaviside(walk: _Walk, node: sp.Basic) -> Number:
    return walk.call("step", *node.args)


def _polygamma(walk: _Walk, node: sp.Basic) -> Number:
    if node.args[0] == 0:
        return walk.call("digamma", node.args[1])
    return walk.call("polygamma", *node.args)


def _factorial(walk: _Walk, node: sp.Basic) -> Number:
    return walk.algebra.function("gamma")(walk.memo[node.args[0]] + walk.constant(1))


#: Tried in this order; the functions of one name in every layer need no row.
_RULES: tuple[tuple[Any, Callable[[_Walk, Any], Any]], ...] = (
    (sp.Rational, _rational),
    (sp.Float, _float),
    ((type(sp.oo), type(-sp.oo)), _infinity),
    (tuple(type(name) for name in _NAMED), lambda walk, node: walk.algebra.named(_NAMED[node])),
    (type(sp.nan), lambda walk, node: walk.algebra.constant(float("nan"))),
    (sp.Symbol, _symbol),
    (sp.Add, _sum_of),
    (sp.Mul, _product_of),
    (sp.Pow, _power_of),
    (sp.Piecewise, _piecewise),
    (tuple(_RELATIONS), _relation),
    (sp.And, _connective(lambda a, b: a & b)),
    (sp.Or, _connective(lambda a, b: a | b)),
    (sp.Not, _not),
    (type(sp.true), lambda walk, node: True),
    (type(sp.false), lambda walk, node: False),
    (sp.Sum, _repeated(lambda a, b: a + b, 0)),
    (sp.Product, _repeated(lambda a, b: a * b, 1)),
    (sp.Heaviside, _heaviside),
    (sp.polygamma, _polygamma),
    (sp.factorial, _factorial),
)
