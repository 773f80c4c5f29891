r"""Differentiation of scalar expressions: one table of rules, one memo, every node visited once.

The law of the file: `derivative` is linear in the nodes of the expression DAG, and a node without
a rule raises; only an expression free of the variable is zero.  Rules never simplify: that is
`diffkit.symbolic.textbook`.  `diffkit.symbolic.steps` uses the same table and logs each use.
"""

from collections.abc import Callable, Container, Iterator, Mapping

import sympy as sp
from sympy.core.function import AppliedUndef, ArgumentIndexError, PoleError

from diffkit.core.errors import UnknownNameError, UnsupportedFunction, UsageError
from diffkit.symbolic.vocabulary import CONVENTIONS as KINK_CONVENTIONS
from diffkit.symbolic.vocabulary import FUNCTIONS, ScalarFunction, definition, partial

Number = int | float | sp.Expr
Rule = Callable[["Differentiator", sp.Expr], sp.Expr]

#: Values where a derivative does not exist: those of the vocabulary ("relu0": ReLU'(0), which
#: Max(0, x) obeys too), |.|'(0), and the weight of either side where two arguments of Max tie.
CONVENTIONS: Mapping[str, sp.Expr] = {
    **KINK_CONVENTIONS,
    "abs0": sp.Integer(0),
    "tie": sp.Rational(1, 2),
}
step = FUNCTIONS["step"]
#: sp.limit is asked only about expressions of at most this many operations.
LIMIT_OPERATIONS = 60


def derivative(
    expr: sp.Expr,
    x: sp.Symbol,
    order: int = 1,
    *,
    conventions: Mapping[str, Number] | None = None,
    notes: list[str] | None = None,
) -> sp.Expr:
    r"""Return the derivative of `expr`, away from its kinks, unsimplified.

    $$\frac{d^n}{dx^n} f$$

    Args:
        expr: A scalar expression.
        x: The variable; every other symbol is a constant.
        order: n, >= 0.
        conventions: Values where the derivative does not exist, see `CONVENTIONS`.
        notes: Receives what the answer leaves out ("floor is piecewise constant").  Needed when
            `expr` contains floor, ceiling or Mod, whose zero derivative must not go unrecorded.

    Raises:
        UnsupportedFunction: a node has no rule; the message names it and the remedy.
        UsageError: `x` is no symbol, or `order` is negative.

    >>> x = sp.Symbol("x", real=True)
    >>> derivative(sp.sin(x**2), x)
    2*x*cos(x**2)
    """
    check_variable(x, order)
    for _ in range(order):
        expr = Differentiator(x, conventions, notes)(expr)
    return expr


def check_variable(x: sp.Symbol, order: int) -> None:
    """Refuse a variable that is no real symbol, or an order that is no whole number >= 0."""
    if not isinstance(x, sp.Symbol):
        raise UsageError(f"cannot differentiate with respect to {x}; name a single symbol")
    if x.is_integer:
        raise UsageError(f"{x} is an integer and has no derivatives; declare it real")
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise UsageError(f"the order must be a whole number >= 0, not {order!r}")


def read_conventions(conventions: Mapping[str, Number] | None) -> dict[str, sp.Expr]:
    """`CONVENTIONS` overridden by the user's choices.

    Raises:
        UnknownNameError: a name not in `CONVENTIONS`.
    """
    chosen = dict(CONVENTIONS)
    for name, value in (conventions or {}).items():
        if name not in CONVENTIONS:
            known = ", ".join(CONVENTIONS)
            raise UnknownNameError(f"unknown convention {name!r}; known: {known}")
        chosen[name] = sp.nsimplify(value) if isinstance(value, float) else sp.S(value)
    return chosen


class Differentiator:
    """The derivative with respect to one variable, memoised over all expressions it is asked.

    Args:
        x: The variable.
        conventions: See `derivative`.
        notes: See `derivative`; None refuses what would need a note.
    """

    def __init__(
        self,
        x: sp.Symbol,
        conventions: Mapping[str, Number] | None = None,
        notes: list[str] | None = None,
    ):
        self.x = x
        self.conventions = read_conventions(conventions)
        self.notes = notes
        self._dependence: dict[sp.Basic, bool] = {}
        self._memo: dict[sp.Expr, sp.Expr] = {}

    def __call__(self, expr: sp.Expr) -> sp.Expr:
        """The derivative of `expr`."""
        memo = self._memo
        # Children first, so that no rule recurses deeper than its own node.
        for node in postorder(expr, memo):
            if node in memo or not isinstance(node, sp.Expr):
                continue
            memo[node] = self.local(node) if self.depends(node) else sp.S.Zero
        return memo[expr]

    def local(self, node: sp.Expr) -> sp.Expr:
        """Apply the one rule that fits `node`; its arguments are differentiated through `self`."""
        return find_rule(node)(self, node)

    def depends(self, node: sp.Basic) -> bool:
        """Whether `x` occurs free in `node`."""
        known = self._dependence
        if node not in known:
            for part in postorder(node, known):
                if part in known:
                    continue
                if isinstance(part, BINDERS):
                    known[part] = self.x in part.free_symbols
                else:
                    known[part] = part == self.x or any(known[arg] for arg in part.args)
        return known[node]

    def note(self, template: str, *parts: sp.Basic) -> None:
        """Record what the answer leaves out, once; nothing is printed when nobody listens."""
        if self.notes is None:
            return
        text = template.format(*map(sp.sstr, parts))
        if text not in self.notes:
            self.notes.append(text)


BINDERS = (sp.Sum, sp.Product, sp.Integral, sp.Derivative, sp.Subs, sp.Lambda)


def postorder(expr: sp.Basic, done: Container[sp.Basic] = ()) -> Iterator[sp.Basic]:
    """The nodes of the DAG under `expr`, arguments first, without those already in `done`.

    SymPy's own traversals visit the tree, which is exponential in the depth of a shared DAG.
    Binders (sums, integrals) are leaves: their rules look inside.
    """
    seen: set[sp.Basic] = set()
    stack: list[tuple[sp.Basic, bool]] = [(expr, False)]
    while stack:
        node, is_expanded = stack.pop()
        if is_expanded:
            yield node
        elif node not in seen and node not in done:
            seen.add(node)
            stack.append((node, True))
            if not isinstance(node, BINDERS):
                stack.extend((arg, False) for arg in reversed(node.args))


# --- rules -----------------------------------------------------------------------------------


def _symbol(d: Differentiator, node: sp.Expr) -> sp.Expr:
    return sp.S.One if node == d.x else sp.S.Zero


def _sum_of_terms(d: Differentiator, node: sp.Expr) -> sp.Expr:
    return sp.Add(*(d(term) for term in node.args))


def _product(d: Differentiator, node: sp.Expr) -> sp.Expr:
    # (f g h)' = f' g h + f g' h + f g h'
    factors = node.args
    return sp.Add(
        *(
            sp.Mul(*factors[:k], d(factor), *factors[k + 1 :])
            for k, factor in enumerate(factors)
            if d.depends(factor)
        )
    )


def _power(d: Differentiator, node: sp.Expr) -> sp.Expr:
    base, exponent = node.as_base_exp()
    if not d.depends(exponent):
        return sp.Mul(exponent, sp.Pow(base, exponent - 1), d(base))
    if not d.depends(base):
        return sp.Mul(node, sp.log(base), d(exponent))
    growth = sp.Add(d(exponent) * sp.log(base), exponent * d(base) / base)
    return sp.Mul(node, growth)


def _absolute(d: Differentiator, node: sp.Expr) -> sp.Expr:
    (inner,) = node.args
    at_zero = d.conventions["abs0"]
    d.note("away from the kink {} = 0", inner)
    slope = sp.sign(inner) if at_zero == 0 else 2 * step(inner, (1 + at_zero) / 2) - 1
    return slope * d(inner)


def _extremum(d: Differentiator, node: sp.Expr) -> sp.Expr:
    r"""Max and Min: the branch that is taken, $\sum_k f_k' \prod_{j \ne k} step(f_k - f_j)$."""
    sign = 1 if isinstance(node, sp.Max) else -1
    terms = []
    for k, branch in enumerate(node.args):
        if not d.depends(branch):
            continue
        others = node.args[:k] + node.args[k + 1 :]
        weights = (step(sign * (branch - other), _at_tie(d, branch, other)) for other in others)
        terms.append(sp.Mul(*weights, d(branch)))
    d.note("away from the ties of {}", node)
    return sp.Add(*terms)


def _at_tie(d: Differentiator, branch: sp.Expr, other: sp.Expr) -> sp.Expr:
    if other.is_zero and d.depends(branch):
        return d.conventions["relu0"]
    if branch.is_zero:
        return 1 - d.conventions["relu0"]
    return d.conventions["tie"]


def _flat(d: Differentiator, node: sp.Expr) -> sp.Expr:
    """Sign and step: zero away from the jump, which `kinks` lists."""
    d.note("{} is piecewise constant; its derivative is 0 away from the jump", node)
    return sp.S.Zero


def _jump(d: Differentiator, node: sp.Expr) -> sp.Expr:
    """A step: zero by its argument, and by its value at the jump 1 there."""
    argument, at_jump = node.args
    if d.depends(argument):
        _flat(d, node)
    if not d.depends(at_jump):
        return sp.S.Zero
    return sp.Piecewise((d(at_jump), sp.Eq(argument, 0)), (0, True))


def _recorded_flat(d: Differentiator, node: sp.Expr) -> sp.Expr:
    """Floor and ceiling: zero away from the jumps, and only where that can be recorded."""
    _require_notes(d, node)
    return _flat(d, node)


def _remainder(d: Differentiator, node: sp.Expr) -> sp.Expr:
    """Mod(a, b) = a - b floor(a/b), so a' - b' floor(a/b) away from the jumps."""
    _require_notes(d, node)
    dividend, divisor = node.args
    d.note("away from the jumps of {}", node)
    return d(dividend) - d(divisor) * sp.floor(dividend / divisor)


def _require_notes(d: Differentiator, node: sp.Expr) -> None:
    if d.notes is None:
        raise UnsupportedFunction(
            f"{type(node).__name__} jumps, and its derivative is 0 only between the jumps; "
            "pass notes=[] to have that recorded, or replace it by a smooth function"
        )


def _piecewise(d: Differentiator, node: sp.Expr) -> sp.Expr:
    branches = [(d(value), condition) for value, condition in node.args]
    if any(_pins_a_point(condition, d) for _, condition in node.args):
        branches = _with_limits(d, node, branches)
    d.note("away from the boundaries between the cases")
    return sp.Piecewise(*branches)


def _pins_a_point(condition: sp.Basic, d: Differentiator) -> bool:
    return any(d.depends(atom) for atom in condition.atoms(sp.Eq, sp.Ne))


def _with_limits(
    d: Differentiator, node: sp.Expr, branches: list[tuple[sp.Expr, sp.Basic]]
) -> list[tuple[sp.Expr, sp.Basic]]:
    """Cases for x = c get the limit of the other case's derivative, never the constant's zero.

    If f is continuous at c and f'(x) has a limit there, that limit is f'(c) (mean value theorem).
    """
    (_, condition), *rest = node.args
    is_pair = len(rest) == 1 and rest[0][1] == sp.true and isinstance(condition, sp.Eq | sp.Ne)
    if not is_pair or d.x not in condition.args:
        raise UnsupportedFunction(
            f"the case {condition} of a Piecewise is a single point, where branchwise "
            "differentiation is wrong; write the point as the first of two cases, Eq(x, c)"
        )
    pinned, other = (0, 1) if isinstance(condition, sp.Eq) else (1, 0)
    place = condition.args[1] if condition.args[0] == d.x else condition.args[0]
    value, smooth = node.args[pinned][0], node.args[other][0]
    slope = _limit(branches[other][0], d.x, place)
    reached = _limit(smooth, d.x, place)
    if sp.simplify(reached - value.subs(d.x, place)) != 0:
        slope = sp.nan
    branches[pinned] = (slope, branches[pinned][1])
    return branches


def _limit(expr: sp.Expr, x: sp.Symbol, place: sp.Expr) -> sp.Expr:
    elementary = definition(expr)
    refusal = UnsupportedFunction(
        f"the derivative at the single point {x} = {place} needs a limit that is not known; "
        "give the derivative at that point as its own case"
    )
    if sp.count_ops(elementary) > LIMIT_OPERATIONS:
        raise refusal
    try:
        left, right = (sp.limit(elementary, x, place, side) for side in "-+")
    except (NotImplementedError, ValueError, PoleError) as error:
        raise refusal from error
    return right if left == right else sp.nan


def _under_the_sign(d: Differentiator, node: sp.Expr) -> sp.Expr:
    limits = node.limits
    if any(d.depends(bound) for _, *bounds in limits for bound in bounds):
        if isinstance(node, sp.Integral) and len(limits) == 1 and len(limits[0]) == 3:
            return _leibniz_integral(d, node)
        raise UnsupportedFunction(
            f"the bounds of {type(node).__name__} depend on {d.x}; write the sum without them"
        )
    if any(bound.is_infinite for _, *bounds in limits for bound in bounds):
        d.note("derivative and infinite sum or integral are interchanged")
    return type(node)(d(node.function), *limits)


def _leibniz_integral(d: Differentiator, node: sp.Expr) -> sp.Expr:
    # d/dx int_a^b f(t, x) dt = f(b) b' - f(a) a' + int_a^b df/dx dt
    ((t, low, high),) = node.limits
    inside = sp.Integral(d(node.function), (t, low, high)) if d.depends(node.function) else 0
    at_high = node.function.subs(t, high) * d(high)
    at_low = node.function.subs(t, low) * d(low)
    return at_high - at_low + inside


def _evaluated(d: Differentiator, node: sp.Expr) -> sp.Expr:
    """A derivative inside the expression is evaluated by the same rules, then differentiated."""
    return d(evaluate_derivative(d, node))


def evaluate_derivative(d: Differentiator, node: sp.Derivative) -> sp.Expr:
    """The value of an unevaluated `Derivative` node."""
    result = node.expr
    for variable, count in node.variable_count:
        check_variable(variable, int(count))
        for _ in range(int(count)):
            result = Differentiator(variable, d.conventions, d.notes)(result)
    return result


def _named_function(d: Differentiator, node: sp.Expr) -> sp.Expr:
    if d.notes is not None and isinstance(node, ScalarFunction):
        for kink in node.row.kinks(*node.args):
            if kink.order <= 1:
                d.note("away from the kink {} = 0", kink.zero)
    return sp.Add(
        *(
            partial_derivative(node, k, d.conventions) * d(argument)
            for k, argument in enumerate(node.args, start=1)
            if d.depends(argument)
        )
    )


def partial_derivative(
    node: sp.Expr, k: int, conventions: Mapping[str, sp.Expr] = CONVENTIONS
) -> sp.Expr:
    """The derivative of a function with respect to its k-th argument, 1 <= k <= arity.

    Raises:
        UnsupportedFunction: the function states none.
    """
    name = type(node).__name__
    if isinstance(node, ScalarFunction):
        chosen = {key: value for key, value in conventions.items() if key in KINK_CONVENTIONS}
        return partial(node, k - 1, chosen)
    refusal = UnsupportedFunction(
        f"{name} has no derivative rule for its argument {k}; {_remedy(name)}"
    )
    if isinstance(node, AppliedUndef) or type(node).fdiff is sp.Function.fdiff:
        raise refusal
    try:
        result = node.fdiff(k)
    except (ArgumentIndexError, NotImplementedError) as error:
        raise refusal from error
    # Only what the rule wrote is searched: the arguments may be large.
    if result is None or any(
        isinstance(part, sp.Derivative | sp.Subs) for part in postorder(result, set(node.args))
    ):
        raise refusal
    return result


def _remedy(name: str) -> str:
    return "write it with elementary functions, or add a row to diffkit/symbolic/vocabulary.py"


def _unsupported(_: Differentiator, node: sp.Expr) -> sp.Expr:
    name = type(node).__name__
    raise UnsupportedFunction(f"{name} has no differentiation rule; {_remedy(name)}")


RULES: dict[type, Rule] = {
    sp.Symbol: _symbol,
    sp.Add: _sum_of_terms,
    sp.Mul: _product,
    sp.Pow: _power,
    sp.Abs: _absolute,
    sp.Max: _extremum,
    sp.Min: _extremum,
    sp.sign: _flat,
    sp.Heaviside: _flat,
    sp.floor: _recorded_flat,
    sp.ceiling: _recorded_flat,
    sp.frac: _unsupported,
    sp.Mod: _remainder,
    sp.Piecewise: _piecewise,
    sp.Sum: _under_the_sign,
    sp.Integral: _under_the_sign,
    sp.Derivative: _evaluated,
    step: _jump,
    # SymPy writes these through re, im or distributions, which are not derivatives on the reals.
    sp.re: _unsupported,
    sp.im: _unsupported,
    sp.arg: _unsupported,
    sp.conjugate: _unsupported,
    sp.DiracDelta: _unsupported,
    sp.Function: _named_function,
}


def find_rule(node: sp.Expr) -> Rule:
    """The rule of the nearest class `node` belongs to; a class without one gets a refusal."""
    for kind in type(node).__mro__:
        rule = RULES.get(kind)
        if rule is not None:
            return rule
    return _unsupported
