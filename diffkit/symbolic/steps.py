r"""Derivations: the steps a person would write, logged by the engine that finds the answer.

Every step says `before = after` as values, with unevaluated `Derivative` nodes for what is still to
do.  The right side of an opening step comes from the rule table of
`diffkit.symbolic.differentiate` with the derivatives of the parts deferred; the same rule with
their values closes it.  Each step is certified numerically before it is returned.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.derivation import Derivation, Step
from diffkit.symbolic.differentiate import Differentiator, Number, check_variable, postorder
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.textbook import named_textbook

#: Names for inner functions, in the order a person takes them.
INNER_NAMES = ("u", "v", "w", "r", "s", "t", "q", "p")
NAMED_RULES: Mapping[type, str] = {
    sp.Pow: "power",
    sp.exp: "exponential",
    sp.log: "logarithm",
}


def derive_steps(
    expr: sp.Expr,
    x: sp.Symbol,
    *,
    order: int = 1,
    conventions: Mapping[str, Number] | None = None,
    domains: Mapping[str, Domain] | None = None,
) -> Derivation:
    r"""Differentiate `expr` with every step written down and certified.

    Args:
        expr: A scalar expression.
        x: The variable.
        order: How often, >= 1; the result of one round is the target of the next.
        conventions: See `diffkit.symbolic.differentiate.derivative`.
        domains: Name -> where that symbol is drawn for the certificates.

    Raises:
        UnsupportedFunction: a node has no rule.
        CertificateError: a step is wrong at a random point (a defect of diffkit).
        DomainError: no point was found where `expr` is defined.

    >>> x = sp.Symbol("x", real=True)
    >>> derive_steps((3 * x**2 - x + 1) ** sp.Rational(1, 3), x).result
    (6*x - 1)/(3*(3*x**2 - x + 1)**(2/3))
    """
    check_variable(x, order)
    steps: list[Step] = []
    notes: list[str] = []
    result = expr
    for round_number in range(1, order + 1):
        taken = {node for node in postorder(result) if isinstance(node, sp.Symbol)}
        log = _Log(x, conventions, notes, domains, taken | {x})
        result = log.run(result)
        steps += [replace(step, round_number=round_number) for step in log.steps]
    whole = certify(sp.Derivative(expr, (x, order)), result, domains=domains)
    return Derivation(expr, x, result, tuple(steps), whole, order, tuple(notes))


class _Deferred(Differentiator):
    """Differentiates nothing but constants, the variable and its multiples."""

    def __call__(self, expr: sp.Expr) -> sp.Expr:
        value = immediate(self, expr)
        if value is not None:
            return value
        if has_sign(expr):
            return -sp.Derivative(-expr, self.x)
        return sp.Derivative(expr, self.x)


def immediate(d: Differentiator, expr: sp.Expr) -> sp.Expr | None:
    """The derivative that is written down without a step: of a constant, of c x; else None."""
    if not d.depends(expr):
        return sp.S.Zero
    if expr == d.x:
        return sp.S.One
    if isinstance(expr, sp.Mul):
        constants, dependent = split_factors(d, expr)
        if dependent == [d.x]:
            return sp.Mul(*constants)
    return None


def has_sign(expr: sp.Expr) -> bool:
    """Whether `expr` is written with a minus in front of everything else."""
    return isinstance(expr, sp.Mul) and expr.args[0] is sp.S.NegativeOne


def split_factors(d: Differentiator, node: sp.Expr) -> tuple[list[sp.Expr], list[sp.Expr]]:
    """The factors free of the variable, and the others."""
    constants = [factor for factor in node.args if not d.depends(factor)]
    return constants, [factor for factor in node.args if d.depends(factor)]


@dataclass
class _Log(Differentiator):
    """A differentiator that writes down what it does, outermost first."""

    x: sp.Symbol
    conventions: Mapping[str, Number] | None
    notes: list[str]
    domains: Mapping[str, Domain] | None
    taken: set[sp.Symbol]
    steps: list[Step] = field(default_factory=list)
    level: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.x, self.conventions, self.notes)
        self.deferred = _Deferred(self.x, self.conventions, self.notes)
        self.where: dict[sp.Symbol, sp.Expr] = {}

    def run(self, expr: sp.Expr) -> sp.Expr:
        """The derivative in textbook form; the last step ends in it."""
        value = immediate(self, expr)
        if value is not None:
            rule = "constant multiple" if self.depends(expr) else "constant"
            self.write(rule, sp.Derivative(expr, self.x, evaluate=False), value)
            return value
        raw = self(expr)
        if self.steps[-1].after != raw:
            self.write("substitution", sp.Derivative(expr, self.x), raw)
        result, rewritings = named_textbook(raw)
        if result != raw:
            self.write("rewrite", raw, result, note=", ".join(rewritings))
        return result

    def __call__(self, expr: sp.Expr) -> sp.Expr:
        value = immediate(self, expr)
        if value is not None:
            return value
        if self.level > 0 and has_sign(expr):
            return -self(-expr)  # a sign is carried along without a step
        if expr not in self._memo:
            self._memo[expr] = self._explain(expr)
        return self._memo[expr]

    def write(
        self,
        rule: str,
        before: sp.Expr,
        after: sp.Expr,
        *,
        note: str = "",
        where: Mapping[sp.Symbol, sp.Expr] | None = None,
    ) -> None:
        """Certify a step and add it."""
        certificate = certify(before, after, where=where, domains=self.domains)
        step = Step(rule, before, after, note, certificate, self.level, dict(where or {}))
        self.steps.append(step)

    def _explain(self, node: sp.Expr) -> sp.Expr:
        if isinstance(node, sp.Add):
            return self._sum(node)
        if isinstance(node, sp.Mul):
            return self._product_or_quotient(node)
        if isinstance(node, sp.Pow | sp.Function | sp.Abs) and not isinstance(node, sp.Piecewise):
            inner = [arg for arg in node.args if self.depends(arg)]
            if len(inner) == 1:
                return self._composition(node, inner[0])
        return self._by_table(node)

    def _sum(self, node: sp.Expr) -> sp.Expr:
        if all(immediate(self, term) is not None for term in node.args):
            value = self.deferred.local(node)
            self.write("sum", self._of(node), value)
            return value
        return self._open_and_close("sum", node, self.deferred.local(node), node.args)

    def _product_or_quotient(self, node: sp.Expr) -> sp.Expr:
        constants, dependent = split_factors(self, node)
        if constants:
            return self._constant_multiple(node, sp.Mul(*constants), sp.Mul(*dependent))
        below = [f for f in dependent if isinstance(f, sp.Pow) and f.exp.is_negative]
        above = [f for f in dependent if f not in below]
        if below and above:
            return self._quotient(node, sp.Mul(*above), 1 / sp.Mul(*below))
        return self._open_and_close("product", node, self.deferred.local(node), dependent)

    def _constant_multiple(self, node: sp.Expr, constant: sp.Expr, rest: sp.Expr) -> sp.Expr:
        opened = sp.Mul(constant, self.deferred(rest))
        self.write("constant multiple", self._of(node), opened)
        value = sp.Mul(constant, self(rest))
        if self.level == 0:
            self.write("substitution", opened, value)
        return value

    def _quotient(self, node: sp.Expr, above: sp.Expr, below: sp.Expr) -> sp.Expr:
        def rule(d: Differentiator) -> sp.Expr:
            return (d(above) * below - above * d(below)) / below**2

        opened = rule(self.deferred)
        self.write("quotient", self._of(node), opened)
        self._go_down(above, below)
        value = rule(self)
        if value != opened:
            self.write("substitution", opened, value)
        return value

    def _composition(self, node: sp.Expr, inner: sp.Expr) -> sp.Expr:
        """A function of one inner expression: a named rule; the chain rule unless that is x."""
        if inner == self.x:
            value = self.local(node)
            self.write(_rule_name(node), self._of(node), value)
            return value
        u = self._name(inner)
        outer = node.func(*(u if arg == inner else arg for arg in node.args))
        opened = sp.Mul(sp.Derivative(outer, u), self.deferred(inner))
        where = {u: inner}
        self.write("chain", self._of(node), opened, where=where)
        self.level += 1
        slope = Differentiator(u, self.conventions, notes=[])(outer)
        self.write(_rule_name(outer), sp.Derivative(outer, u), slope, where=where)
        self(inner)
        self.level -= 1
        value = self.local(node)
        self.write("substitution", opened, value, where=where)
        return value

    def _by_table(self, node: sp.Expr) -> sp.Expr:
        """Everything else: the rule with deferred parts, the parts, the rule with their values."""
        rule = "piecewise" if isinstance(node, sp.Piecewise) else f"rule of {type(node).__name__}"
        if isinstance(node, sp.Pow):
            rule = "logarithmic differentiation"
        opened = self.deferred.local(node)
        parts = [part.expr for part in _derivatives(opened)]
        return self._open_and_close(rule, node, opened, parts)

    def _open_and_close(
        self, rule: str, node: sp.Expr, opened: sp.Expr, parts: "list[sp.Expr] | tuple"
    ) -> sp.Expr:
        self.write(rule, self._of(node), opened)
        self._go_down(*parts)
        self.level += 1  # rules of binders differentiate parts of their own
        value = self.local(node)
        self.level -= 1
        # A single part without a factor has just been worked out: nothing to put together.
        if value != opened and not isinstance(opened, sp.Derivative):
            self.write("substitution", opened, value)
        return value

    def _go_down(self, *parts: sp.Expr) -> None:
        self.level += 1
        for part in parts:
            self(part)
        self.level -= 1

    def _of(self, node: sp.Expr) -> sp.Expr:
        return sp.Derivative(node, self.x)

    def _name(self, inner: sp.Expr) -> sp.Symbol:
        """The name given to `inner` before, or the next one that is free."""
        for u, known in self.where.items():
            if known == inner:
                return u
        names = (*INNER_NAMES, *(f"u{k}" for k in range(1, 1000)))
        u = next(made for made in map(symbol, names) if made not in self.taken)
        self.taken.add(u)
        self.where[u] = inner
        return u


def _derivatives(opened: sp.Expr) -> list[sp.Derivative]:
    return [node for node in postorder(opened) if isinstance(node, sp.Derivative)]


def _rule_name(outer: sp.Expr) -> str:
    if isinstance(outer, sp.Pow) and not outer.base.is_Symbol:
        return "exponential"
    return NAMED_RULES.get(type(outer), f"derivative of {type(outer).__name__}")
