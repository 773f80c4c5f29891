"""A formula compiled to a register program: a list of steps run on JAX arrays, without exec.

Every distinct subexpression is one register.  A branch of a Piecewise that is only defined on its
own side is computed from arguments that are replaced, elsewhere, by a point of that side: so the
untaken branch is finite, and so is its derivative (`where` alone would leak NaN into gradients).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import sympy as sp
from jax import lax

from diffkit.backend.kernels import FUSED, KERNELS
from diffkit.bridge.safe_points import is_fragile, safe_point
from diffkit.core.errors import UnsupportedFunction, UsageError
from diffkit.symbolic.scalar_function import ScalarFunction
from diffkit.symbolic.walk import nodes

Operation = Callable[..., Any]


@dataclass(frozen=True)
class Step:
    """One operation on registers; its result is the next register."""

    operation: Operation
    operands: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """A straight-line program.

    Args:
        inputs: Number of arguments; they fill the first registers.
        steps: What fills the following ones, in order.
        outputs: Registers returned.
    """

    inputs: int
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        """Run on arrays (or anything the operations take)."""
        registers = list(args)
        for step in self.steps:
            registers.append(step.operation(*(registers[i] for i in step.operands)))
        return tuple(registers[i] for i in self.outputs)


def compile_program(exprs: Sequence[sp.Basic], symbols: Sequence[sp.Symbol]) -> Program:
    """Compile expressions in `symbols` to one program with a result for each.

    Raises:
        UnsupportedFunction: a node has no kernel.
        UsageError: a symbol that is not among `symbols`.
    """
    compiler = _Compiler(symbols)
    outputs = tuple(compiler.compile(expr) for expr in exprs)
    return Program(len(symbols), tuple(compiler.steps), outputs)


class _Compiler:
    """Holds the registers; a scope says which register each symbol is read from."""

    def __init__(self, symbols: Sequence[sp.Symbol]) -> None:
        self.count = len(symbols)
        self.steps: list[Step] = []
        self.scope: dict[sp.Symbol, int] = {symbol: i for i, symbol in enumerate(symbols)}
        self.known: dict[sp.Basic, int] = {}
        self.emitted: dict[tuple[Any, ...], int] = {}
        self.scopes: dict[tuple[Any, ...], dict[sp.Basic, int]] = {}
        self.numbers: dict[sp.Basic, bool] = {}

    def emit(self, name: str, operation: Operation, *operands: int) -> int:
        """Add a step, or return the register that already holds its result."""
        key = (name, operands)
        if key not in self.emitted:
            self.emitted[key] = self.count + len(self.steps)
            self.steps.append(Step(operation, operands))
        return self.emitted[key]

    def compile(self, expr: sp.Basic) -> int:
        """The register that holds `expr`; deep expressions do not recurse."""
        for node in nodes(expr):
            self.is_number(node)
        stack = [expr]
        while stack:
            node = stack[-1]
            if node in self.known:
                stack.pop()
                continue
            operands = () if self.is_number(node) else _operands(node)
            waiting = [each for each in operands if each not in self.known]
            if waiting:
                stack.extend(waiting)
                continue
            self.known[node] = self.rule(node)
            stack.pop()
        return self.known[expr]

    def rule(self, node: sp.Basic) -> int:
        """The register of one node whose operands are known."""
        if isinstance(node, sp.Symbol):
            return self.symbol(node)
        if isinstance(node, sp.logic.boolalg.BooleanAtom):
            return self.constant(bool(node))
        if self.is_number(node):
            return self.number(node)
        for kind in type(node).__mro__:
            if kind in _RULES:
                return _RULES[kind](self, node)
        if isinstance(node, ScalarFunction) and node.row.name in KERNELS:
            return self.call(node.row.name, KERNELS[node.row.name], node.args)
        if type(node).__name__ in FUSED and node.func.__module__.startswith("diffkit."):
            return self.call(type(node).__name__, FUSED[type(node).__name__], node.args)
        raise UnsupportedFunction(
            f"cannot lower `{type(node).__name__}`: no kernel. Evaluate or rewrite it first "
            "(for example expr.doit()), or add a row in backend/kernels.py - see docs/extending.md"
        )

    def is_number(self, node: sp.Basic) -> bool:
        """Whether no symbol is below `node`; SymPy's own test walks the tree, this the DAG."""
        if node not in self.numbers:
            is_free = isinstance(node, sp.Symbol)
            self.numbers[node] = not is_free and all(self.is_number(arg) for arg in node.args)
        return self.numbers[node]

    def symbol(self, node: sp.Symbol) -> int:
        """The register a symbol is read from in this scope."""
        if node not in self.scope:
            names = ", ".join(sorted(str(each) for each in self.scope)) or "none"
            raise UsageError(f"{node} is none of the arguments; they are {names}")
        return self.scope[node]

    def constant(self, value: bool | int | float) -> int:
        """A register with a Python number, whose dtype follows the arrays it meets."""
        return self.emit(f"constant {value!r} {type(value).__name__}", lambda: value)

    def number(self, node: sp.Basic) -> int:
        """A subexpression without symbols, rounded once."""
        if isinstance(node, sp.logic.boolalg.Boolean):
            return self.constant(bool(node.doit()))
        if node.is_Integer and abs(int(node)) < 2**31:
            return self.constant(int(node))
        return self.constant(_float(node))

    def call(self, name: str, kernel: Operation, args: Sequence[sp.Basic]) -> int:
        """A kernel applied to known operands."""
        return self.emit(name, kernel, *(self.known[arg] for arg in args))

    def fold(self, name: str, operation: Operation, registers: Sequence[int]) -> int:
        """Combine several registers from the left."""
        return reduce(lambda a, b: self.emit(name, operation, a, b), registers)

    def piecewise(self, node: sp.Piecewise) -> int:
        """The first branch whose condition holds; fragile branches get guarded arguments."""
        conditions = [self.compile(pair.cond) for pair in node.args]
        values = []
        for index, pair in enumerate(node.args):
            earlier = [other.cond for other in node.args[:index]]
            values.append(self.branch(pair, earlier, conditions[: index + 1]))
        if node.args[-1].cond == sp.true:
            result = values[-1]
            rest = list(zip(conditions, values, strict=True))[:-1]
        else:
            result = self.constant(float("nan"))
            rest = list(zip(conditions, values, strict=True))
        for condition, value in reversed(rest):
            result = self.emit("where", jnp.where, condition, value, result)
        return result

    def branch(self, pair: Any, earlier: Sequence[sp.Basic], conditions: Sequence[int]) -> int:
        """One branch, from guarded arguments where it might not be finite elsewhere."""
        where = sp.And(pair.cond, *(sp.Not(other) for other in earlier))
        if where == sp.true or not is_fragile(pair.expr):
            return self.compile(pair.expr)
        point = safe_point(pair.expr, where)
        if point is None:
            return self.compile(pair.expr)
        taken = self.taken(conditions)
        guarded = dict(self.scope)
        for symbol, value in point.items():
            safe = self.number(value)
            guarded[symbol] = self.emit("where", jnp.where, taken, self.symbol(symbol), safe)
        return self.inside(guarded, pair.expr)

    def taken(self, conditions: Sequence[int]) -> int:
        """Whether the last condition holds and none before it."""
        *before, last = conditions
        for condition in before:
            refused = self.emit("not", jnp.logical_not, condition)
            last = self.emit("and", jnp.logical_and, last, refused)
        return last

    def inside(self, scope: dict[sp.Symbol, int], expr: sp.Basic) -> int:
        """Compile `expr` with symbols read from other registers."""
        outer_scope, outer_known = self.scope, self.known
        key = tuple(sorted(scope.values()))
        self.scope, self.known = scope, self.scopes.setdefault(key, {})
        try:
            return self.compile(expr)
        finally:
            self.scope, self.known = outer_scope, outer_known


def _operands(node: sp.Basic) -> Sequence[sp.Basic]:
    """The subexpressions whose registers the rule of `node` reads."""
    if isinstance(node, sp.Piecewise | sp.Symbol | _BINDERS):
        return ()
    if isinstance(node, sp.Mul):
        above, below = _split(node)
        return (*above, *below)
    if isinstance(node, sp.Pow):
        return (node.base,) if node.exp.is_Rational else (node.base, node.exp)
    if isinstance(node, sp.polygamma):
        return node.args[1:]
    return node.args


_BINDERS = sp.Integral | sp.Sum | sp.Product | sp.Derivative | sp.Subs | sp.Lambda


def _float(node: sp.Basic) -> float:
    """A number without symbols as a float.

    Raises:
        UnsupportedFunction: it is no real number.
    """
    if node in (sp.oo, -sp.oo):
        return float(node)
    if node is sp.nan:
        return float("nan")
    value = node.evalf(30)
    if not (value.is_Float or value.is_Rational or value in (sp.oo, -sp.oo)):
        raise UnsupportedFunction(f"{node} is no real number, so it cannot be lowered")
    return float(value)


def _split(product: sp.Mul) -> tuple[list[sp.Basic], list[sp.Basic]]:
    """Factors above and below the fraction line; no factor has a negative rational power."""
    above: list[sp.Basic] = []
    below: list[sp.Basic] = []
    for factor in product.args:
        if factor.is_Rational:
            if abs(factor.p) != 1 or factor.p == -1:
                above.append(sp.Integer(factor.p))
            if factor.q != 1:
                below.append(sp.Integer(factor.q))
        elif isinstance(factor, sp.Pow) and factor.exp.is_Rational and factor.exp.is_negative:
            below.append(sp.Pow(factor.base, -factor.exp))
        else:
            above.append(factor)
    return above, below


def _add(c: _Compiler, node: sp.Add) -> int:
    """Terms in order; a term with coefficient -1 is subtracted."""
    registers = [c.known[term] for term in node.args]
    return c.fold("add", jnp.add, registers)


def _multiply(c: _Compiler, node: sp.Mul) -> int:
    above, below = ([c.known[factor] for factor in part] for part in _split(node))
    minus = c.constant(-1)
    is_negative = minus in above
    above = [register for register in above if register != minus]
    result = c.fold("multiply", jnp.multiply, above) if above else c.constant(1)
    if below:
        result = c.emit("divide", _divide, result, c.fold("multiply", jnp.multiply, below))
    return c.emit("negative", jnp.negative, result) if is_negative else result


def _divide(a: Any, b: Any) -> Any:
    return jnp.true_divide(a, b)


def _power(c: _Compiler, node: sp.Pow) -> int:
    base, exponent = c.known[node.base], node.exp
    if exponent.is_Rational:
        if exponent.is_negative:
            positive = _rational_power(c, base, -exponent)
            return c.emit("divide", _divide, c.constant(1), positive)
        return _rational_power(c, base, exponent)
    if node.base == 2:
        return c.emit("exp2", KERNELS["exp2"], c.known[exponent])
    return c.emit("power", jnp.power, base, c.known[exponent])


def _rational_power(c: _Compiler, base: int, exponent: sp.Rational) -> int:
    """base**exponent for a rational exponent > 0."""
    if exponent == 1:
        return base
    if exponent == sp.S.Half:
        return c.emit("sqrt", KERNELS["sqrt"], base)
    if exponent.is_Integer:
        n = int(exponent)
        return c.emit(f"integer_pow {n}", lambda x: lax.integer_pow(jnp.asarray(x), n), base)
    if exponent.q == 2:
        whole = _rational_power(c, base, sp.Integer(exponent.p // 2))
        return c.emit("multiply", jnp.multiply, whole, c.emit("sqrt", KERNELS["sqrt"], base))
    value = float(exponent)
    return c.emit(f"power {exponent}", lambda x: jnp.power(x, value), base)


def _extremum(name: str) -> Callable[[_Compiler, sp.Basic], int]:
    return lambda c, node: c.fold(name, KERNELS[name], [c.known[arg] for arg in node.args])


def _plain(name: str) -> Callable[[_Compiler, sp.Basic], int]:
    return lambda c, node: c.call(name, KERNELS[name], node.args)


def _compare(name: str) -> Callable[[_Compiler, sp.Basic], int]:
    operation = getattr(jnp, name)
    return lambda c, node: c.call(name, operation, node.args)


def _connect(name: str) -> Callable[[_Compiler, sp.Basic], int]:
    operation = getattr(jnp, f"logical_{name}")
    return lambda c, node: c.fold(name, operation, [c.known[arg] for arg in node.args])


def _negate(c: _Compiler, node: sp.Not) -> int:
    return c.call("not", jnp.logical_not, node.args)


def _choose(c: _Compiler, node: sp.ITE) -> int:
    return c.call("where", jnp.where, node.args)


def _mod(c: _Compiler, node: sp.Mod) -> int:
    return c.call("mod", jnp.mod, node.args)


def _heaviside(c: _Compiler, node: sp.Heaviside) -> int:
    return c.call("step", KERNELS["step"], node.args)


def _polygamma(c: _Compiler, node: sp.polygamma) -> int:
    order, x = node.args
    if not order.is_Integer:
        raise UnsupportedFunction(f"cannot lower polygamma of order {order}; give a whole number")
    if order == 0:
        return c.emit("digamma", KERNELS["digamma"], c.known[x])
    n = float(order)
    return c.emit(f"polygamma {n}", lambda value: KERNELS["polygamma"](n, value), c.known[x])


def _incomplete_beta(c: _Compiler, node: sp.betainc_regularized) -> int:
    """I_x(a, b), the integral from 0."""
    a, b, low, x = node.args
    if low != 0:
        raise UnsupportedFunction("cannot lower betainc_regularized that does not start at 0")
    return c.call("betainc", KERNELS["betainc"], (a, b, x))


def _expint(c: _Compiler, node: sp.expint) -> int:
    """E_n(x) for a whole n."""
    order, x = node.args
    if not order.is_Integer:
        raise UnsupportedFunction(f"cannot lower expint of order {order}; give a whole number")
    n = int(order)
    return c.emit(f"expint {n}", lambda value: jax.scipy.special.expn(n, value), c.known[x])


def _reciprocal(name: str) -> Callable[[_Compiler, sp.Basic], int]:
    def rule(c: _Compiler, node: sp.Basic) -> int:
        return c.emit("divide", _divide, c.constant(1), c.call(name, KERNELS[name], node.args))

    return rule


def _names() -> Iterator[tuple[type, str]]:
    """SymPy's classes whose kernel has another or the same name."""
    renamed = {"Abs": "abs", "loggamma": "lgamma", "ceiling": "ceil", "Ei": "expi"}
    plain = (
        "exp log sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh "
        "erf erfc erfinv gamma sign floor zeta beta"
    ).split()
    for sympy_name, kernel in {**{name: name for name in plain}, **renamed}.items():
        yield getattr(sp, sympy_name), kernel


_RULES: dict[type, Callable[[_Compiler, Any], int]] = {
    sp.Add: _add,
    sp.Mul: _multiply,
    sp.Pow: _power,
    sp.Piecewise: _Compiler.piecewise,
    sp.Max: _extremum("max"),
    sp.Min: _extremum("min"),
    sp.Mod: _mod,
    sp.Heaviside: _heaviside,
    sp.polygamma: _polygamma,
    sp.betainc_regularized: _incomplete_beta,
    sp.expint: _expint,
    sp.sec: _reciprocal("cos"),
    sp.csc: _reciprocal("sin"),
    sp.cot: _reciprocal("tan"),
    sp.sech: _reciprocal("cosh"),
    sp.csch: _reciprocal("sinh"),
    sp.coth: _reciprocal("tanh"),
    sp.Eq: _compare("equal"),
    sp.Ne: _compare("not_equal"),
    sp.StrictLessThan: _compare("less"),
    sp.LessThan: _compare("less_equal"),
    sp.StrictGreaterThan: _compare("greater"),
    sp.GreaterThan: _compare("greater_equal"),
    sp.And: _connect("and"),
    sp.Or: _connect("or"),
    sp.Xor: _connect("xor"),
    sp.Not: _negate,
    sp.ITE: _choose,
    **{kind: _plain(name) for kind, name in _names()},
}
