r"""All partial derivatives of one expression at once, in textbook form, sharing what they share.

One reverse sweep over blocks.  A block names the argument of a function (z) or its value (h); the
adjoint of a z with several targets is a delta, as in the textbooks on backpropagation.  Rewriting
happens on the small named expressions, never on the composed ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.differentiate import (
    RULES,
    Differentiator,
    Number,
    check_variable,
    find_rule,
    partial_derivative,
    postorder,
    read_conventions,
)
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.textbook import Rewriter, cost

#: Arguments and adjoints of at most this cost are not worth a name.
UNNAMED_COST = 1


@dataclass(frozen=True)
class Gradient:
    """Partial derivatives over named shared parts.

    Args:
        definitions: Name -> expression, each in terms of the variables and earlier names.
        partials: Variable -> its partial derivative, in terms of the names.
    """

    definitions: Mapping[sp.Symbol, sp.Expr]
    partials: Mapping[sp.Symbol, sp.Expr]

    def expanded(self) -> dict[sp.Symbol, sp.Expr]:
        """The partial derivatives without names."""
        values: dict[sp.Symbol, sp.Expr] = {}
        for name, inner in self.definitions.items():
            values[name] = inner.xreplace(values)
        return {variable: part.xreplace(values) for variable, part in self.partials.items()}

    def operations(self) -> int:
        """Operations of all definitions and partials together, each name written once."""
        parts = (*self.definitions.values(), *self.partials.values())
        return sum(cost(part) for part in parts)

    def __iter__(self) -> Iterator[Mapping[sp.Symbol, sp.Expr]]:
        return iter((self.definitions, self.partials))


def gradient(
    expr: sp.Expr,
    variables: Iterable[sp.Symbol],
    *,
    conventions: Mapping[str, Number] | None = None,
    domains: Mapping[str, Domain] | None = None,
) -> dict[sp.Symbol, sp.Expr]:
    r"""Return $\partial f/\partial v$ for every variable, in textbook form.

    Each is compared with a difference quotient of `expr` at a random point (25 digits).

    Args:
        expr: A scalar expression.
        variables: The variables; other symbols are constants.
        conventions: See `diffkit.symbolic.differentiate.derivative`.
        domains: Name -> where to draw that symbol for the comparison.

    Raises:
        UnsupportedFunction: a node has no rule.
        CertificateError: a partial derivative fails the comparison (a defect of diffkit).

    >>> w, x, y = sp.symbols("w x y", real=True)
    >>> gradient((w * x - y) ** 2 / 2, [w, y])
    {w: x*(w*x - y), y: -w*x + y}
    """
    sweep = _Sweep(expr, tuple(variables), conventions, names_adjoints=False)
    partials = sweep.run().expanded()
    _certify(expr, partials, domains)
    return partials


def named_gradient(
    expr: sp.Expr,
    variables: Iterable[sp.Symbol],
    *,
    conventions: Mapping[str, Number] | None = None,
    domains: Mapping[str, Domain] | None = None,
) -> Gradient:
    r"""Return the gradient with its shared parts named: z (argument), h (value), delta (adjoint).

    $$\delta_k = \frac{\partial f}{\partial z_k}$$

    Arguments and errors are those of `gradient`.
    """
    sweep = _Sweep(expr, tuple(variables), conventions, names_adjoints=True)
    result = sweep.run()
    _certify(expr, result.expanded(), domains)
    return result


def _certify(
    expr: sp.Expr,
    partials: Mapping[sp.Symbol, sp.Expr],
    domains: Mapping[str, Domain] | None,
) -> None:
    for variable, part in partials.items():
        before = sp.Derivative(expr, variable, evaluate=False)
        certify(before, part, domains=domains, points=1, digits=25)


@dataclass
class _Block:
    """One named part: `name` stands for `inner`; a value block also knows its argument."""

    name: sp.Symbol
    inner: sp.Expr
    number: int = 0


@dataclass
class _Sweep:
    expr: sp.Expr
    variables: tuple[sp.Symbol, ...]
    conventions: Mapping[str, Number] | None
    names_adjoints: bool
    blocks: list[_Block] = field(default_factory=list)
    deltas: dict[sp.Symbol, sp.Expr] = field(default_factory=dict)

    def run(self) -> Gradient:
        for variable in self.variables:
            check_variable(variable, 1)
        expr = Rewriter(collects=False)(self.expr)
        self.taken = {node.name for node in postorder(expr) if isinstance(node, sp.Symbol)}
        self.chosen = read_conventions(self.conventions)
        self.rewrite = Rewriter()
        output = self._name_functions(expr)
        adjoints = self._reverse(output)
        partials = {
            variable: self.rewrite(sp.Add(*adjoints.get(variable, [])))
            for variable in self.variables
        }
        return Gradient(self._needed(partials), partials)

    def _name_functions(self, expr: sp.Expr) -> sp.Expr:
        """Replace every function of the variables by a name, innermost first."""
        targets = set(self.variables)
        named: dict[sp.Basic, sp.Basic] = {}
        for node in postorder(expr):
            args = [named.get(arg, arg) for arg in node.args]
            rebuilt = node if args == list(node.args) else node.func(*args)
            if isinstance(node, sp.Function) and _symbols(rebuilt) & targets:
                rebuilt = self._name_call(rebuilt, targets)
            named[node] = rebuilt
        return named[expr]

    def _name_call(self, call: sp.Expr, targets: set[sp.Symbol]) -> sp.Expr:
        number = sum(block.number > 0 for block in self.blocks) + 1
        arguments = []
        for argument in call.args:
            if cost(argument) > UNNAMED_COST and _symbols(argument) & targets:
                argument = self._add_block(f"z{number}", argument, 0, targets)
            arguments.append(argument)
        return self._add_block(f"h{number}", call.func(*arguments), number, targets)

    def _add_block(
        self, name: str, inner: sp.Expr, number: int, targets: set[sp.Symbol]
    ) -> sp.Symbol:
        made = self._fresh(name)
        self.blocks.append(_Block(made, inner, number))
        targets.add(made)
        return made

    def _fresh(self, name: str) -> sp.Symbol:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return symbol(name)

    def _reverse(self, output: sp.Expr) -> dict[sp.Symbol, list[sp.Expr]]:
        adjoints: dict[sp.Symbol, list[sp.Expr]] = {}
        targets = {*self.variables, *(block.name for block in self.blocks)}
        self._push(output, sp.S.One, targets, adjoints)
        for block in reversed(self.blocks):
            if block.name not in adjoints:
                continue
            total = self.rewrite(sp.Add(*adjoints.pop(block.name)))
            is_argument = block.number == 0
            if is_argument and self._is_worth_a_name(total, block, targets):
                delta = self._fresh(block.name.name.replace("z", "delta", 1))
                self.deltas[delta], total = total, delta
            self._push(block.inner, total, targets, adjoints, call=None if is_argument else block)
        return adjoints

    def _is_worth_a_name(self, total: sp.Expr, block: _Block, targets: set[sp.Symbol]) -> bool:
        is_shared = len(_symbols(block.inner) & targets) > 1
        return self.names_adjoints and is_shared and cost(total) > UNNAMED_COST

    def _push(
        self,
        inner: sp.Expr,
        adjoint: sp.Expr,
        targets: set[sp.Symbol],
        adjoints: dict[sp.Symbol, list[sp.Expr]],
        call: _Block | None = None,
    ) -> None:
        """Add adjoint * d(inner)/d(t) to the adjoint of every target t in `inner`."""
        for target in sorted(_symbols(inner) & targets, key=str):
            slope = self._slope(inner, target, call)
            if slope != 0:
                adjoints.setdefault(target, []).append(self.rewrite(adjoint * slope))

    def _slope(self, inner: sp.Expr, target: sp.Symbol, call: _Block | None) -> sp.Expr:
        d = Differentiator(target, self.chosen)
        if call is None or find_rule(inner) is not RULES[sp.Function]:
            return d(inner)
        parts = (
            partial_derivative(inner, k, self.chosen) * d(argument)
            for k, argument in enumerate(inner.args, start=1)
            if d.depends(argument)
        )
        # sigma'(z) = sigma(z)(1 - sigma(z)) is h(1 - h): the value has a name already.
        return sp.Add(*parts).xreplace({inner: call.name})

    def _needed(self, partials: Mapping[sp.Symbol, sp.Expr]) -> dict[sp.Symbol, sp.Expr]:
        """The definitions the partials use, in an order in which each needs only earlier ones."""
        named = {block.name: block.inner for block in self.blocks} | self.deltas
        wanted = set().union(*map(_symbols, partials.values())) if partials else set()
        for name in reversed(named):
            if name in wanted:
                wanted |= _symbols(named[name])
        return {name: inner for name, inner in named.items() if name in wanted}


def _symbols(expr: sp.Basic) -> set[sp.Symbol]:
    return {node for node in postorder(expr) if isinstance(node, sp.Symbol)}
