r"""Textbook form: targeted rewriting of derivatives into what a person would write.

Exponential quotients become sigmoid and tanh, common factors such as s(1 - s) are collected, signs
are pulled out; every rewrite is a rational identity in the generators (functions, symbols, roots),
checked at random points.  Bottom-up over the DAG with a memo and size guards, never a global
simplification; a form is replaced only by one that is no longer.
"""

from collections.abc import Iterator, Mapping

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import DomainError
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.differentiate import postorder
from diffkit.symbolic.polynomial import cancelled_forms, generators
from diffkit.symbolic.products import Product, base_and_exponent, common_factors, quotient
from diffkit.symbolic.recognise import recognise, sigmoid

#: Sums that take more operations than this to write down are left as they are.
MAX_COST = 400
#: Ranks of the forms of a sum with its common factor pulled out: as it stands, expanded, factored.
#: The sum itself has rank 1: at equal cost it yields to a factored form, never to an expanded one.
RANKS = (0, 2, 0)
NAMES = ("common factor", "like terms", "factored")


def textbook(
    expr: sp.Expr,
    *,
    domains: Mapping[str, Domain] | None = None,
    certified: bool = True,
) -> sp.Expr:
    r"""Rewrite `expr` as a textbook prints it, without changing its value.

    $$\frac{e^{-u}}{(1 + e^{-u})^2} = \sigma(u)(1 - \sigma(u))$$

    Args:
        expr: Any scalar expression; parts that no rewriting fits are kept, and all of it is when
            it holds rounded numbers.
        domains: Name -> where to draw that symbol for the check.
        certified: Whether the value is compared at two random points (30 digits).

    Raises:
        CertificateError: a rewrite changed the value (a defect of diffkit).

    >>> x = sp.Symbol("x", real=True)
    >>> textbook(sp.exp(-x) / (1 + sp.exp(-x)) ** 2)
    (1 - sigmoid(x))*sigmoid(x)
    """
    result, _ = named_textbook(expr)
    if certified and result != expr:
        certify_rewrite(expr, result, domains)
    return result


def named_textbook(expr: sp.Expr) -> tuple[sp.Expr, tuple[str, ...]]:
    """The textbook form, not yet certified, and the names of the rewritings that lead to it."""
    if any(isinstance(node, sp.Float) for node in postorder(expr)):
        return expr, ()
    rewrite = Rewriter()
    result = rewrite(expr)
    doubled = _tanh_and_sigmoid(result)
    if doubled:
        result = rewrite(result.xreplace(doubled))
    return result, tuple(rewrite.names)


def certify_rewrite(
    before: sp.Expr, after: sp.Expr, domains: Mapping[str, Domain] | None = None
) -> None:
    """Compare the two at two points; what is defined nowhere found has no value to preserve."""
    try:
        certify(before, after, domains=domains, points=2)
    except DomainError:
        if domains:
            raise


class Rewriter:
    """Textbook form of every node, once.

    Args:
        collects: Whether sums are factored; without, only generators are recognised.

    Attributes:
        names: The rewritings that were used, as keys in order of use.
    """

    def __init__(self, *, collects: bool = True):
        self.collects = collects
        self.names: dict[str, None] = {}
        self._memo: dict[sp.Basic, sp.Basic] = {}
        self._costs: dict[sp.Expr, int] = {}
        self._complements: set[sp.Expr] = set()

    def __call__(self, expr: sp.Expr) -> sp.Expr:
        """The textbook form of `expr`."""
        memo = self._memo
        nodes = list(postorder(expr, memo))
        self._complements |= {-node.args[1] for node in nodes if _is_one_minus_symbol(node)}
        for node in nodes:
            memo[node] = self._rewrite(node)
        return memo[expr]

    def _rewrite(self, node: sp.Basic) -> sp.Basic:
        if not node.args or not isinstance(node, sp.Expr):
            return node
        if isinstance(node, sp.Add):
            return self._collect(sp.Add(*(self._memo[term] for term in node.args)))
        if isinstance(node, sp.Mul) or (isinstance(node, sp.Pow) and node.exp.is_Rational):
            return self._product(node)
        changed = [self._memo.get(arg, arg) for arg in node.args]
        return node if list(node.args) == changed else node.func(*changed)

    def _product(self, node: sp.Expr) -> sp.Expr:
        product = Product(self._complements)
        for factor in sp.Mul.make_args(node):
            # A power is rebuilt from its base: 1/(1 + e^x) alone would hide e^x/(1 + e^x).
            base, exponent = base_and_exponent(factor)
            product.multiply(self._memo.get(base, base), exponent)
        if recognise(product):
            self.names["exponentials as sigmoid or tanh"] = None
        if not self.collects:
            return product.expr()
        cleared = ((form, 1, "denominators cleared") for form in _clear_denominators(product))
        return self._cheapest([(product.expr(), 0, ""), *cleared])

    def _collect(self, total: sp.Expr) -> sp.Expr:
        """The cheapest of the sum as it stands and its factored forms."""
        if not (isinstance(total, sp.Add) and self.collects) or self._cost(total) > MAX_COST:
            return total
        if _is_plain_polynomial(total):
            return total
        forms = [(total, 1, "")]
        terms = [Product.of(term, self._complements) for term in total.args]
        for common in common_factors(terms):
            rest = sp.Add(*(quotient(term, common) for term in terms))
            for rank, name, (coefficient, factors) in zip(
                RANKS, NAMES, cancelled_forms(rest), strict=False
            ):
                product = common.copy()
                product.coefficient = coefficient
                for base, exponent in factors:
                    product.multiply(base, exponent)
                is_empty = name == NAMES[0] and not common.powers
                forms.append((product.expr(), rank, "" if is_empty else name))
        return self._cheapest(forms)

    def _cheapest(self, forms: list[tuple[sp.Expr, int, str]]) -> sp.Expr:
        """The cheapest of (form, rank, name); of two that cost the same the one of lower rank."""
        best, _, name = min(forms, key=lambda form: (self._cost(form[0]), form[1]))
        if name and best != forms[0][0]:
            self.names[name] = None
        return best

    def _cost(self, expr: sp.Expr) -> int:
        return cost(expr, self._costs)


def _is_one_minus_symbol(node: sp.Basic) -> bool:
    return (
        isinstance(node, sp.Add)
        and len(node.args) == 2
        and node.args[0] == 1
        and isinstance(-node.args[1], sp.Symbol)
    )


def _is_plain_polynomial(total: sp.Add) -> bool:
    """A polynomial in one symbol with rational coefficients is printed expanded."""
    found = generators(total)
    return len(found) == 1 and isinstance(found[0], sp.Symbol)


def _clear_denominators(product: Product) -> Iterator[sp.Expr]:
    """The product with the denominators of one of its sums multiplied out; they may cancel."""
    for base, exponent in product.powers.items():
        if not (isinstance(base, sp.Add) and exponent.is_Integer and exponent > 0):
            continue
        terms = [Product.of(term, product.complements) for term in base.args]
        *_, common = common_factors(terms)
        if not any(power < 0 for power in common.powers.values()):
            continue
        cleared = product.copy()
        cleared.shift(base, -exponent)
        cleared.multiply(sp.Add(*(quotient(term, common) for term in terms)), exponent)
        for key, power in common.powers.items():
            cleared.multiply(key, power * exponent)
        yield cleared.expr()


def _tanh_and_sigmoid(expr: sp.Expr) -> dict[sp.Expr, sp.Expr]:
    """sigmoid(2u) = (1 + tanh(u))/2 wherever both occur."""
    functions = [node for node in postorder(expr) if isinstance(node, sp.tanh | sigmoid)]
    arguments = {node.args[0] for node in functions if isinstance(node, sp.tanh)}
    return {
        node: (1 + sp.tanh(node.args[0] / 2)) / 2
        for node in functions
        if isinstance(node, sigmoid) and node.args[0] / 2 in arguments
    }


def cost(expr: sp.Expr, known: dict[sp.Expr, int] | None = None) -> int:
    """Operations to write `expr` down, a function or root of anything counting one.

    Args:
        expr: Any expression.
        known: Memo; with it a shared DAG is priced in linear time.

    >>> x, y = sp.symbols("x y", real=True)
    >>> cost(2 * x * (x - y))
    3
    """
    known = {} if known is None else known
    if expr not in known:
        known[expr] = _price(expr, known)
    return known[expr]


def _price(expr: sp.Expr, known: dict[sp.Expr, int]) -> int:
    if isinstance(expr, sp.Add):
        return len(expr.args) - 1 + sum(cost(term, known) for term in expr.args)
    if isinstance(expr, sp.Mul):
        factors = [factor for factor in expr.args if factor is not sp.S.NegativeOne]
        # Dividing by a factor costs no more than multiplying by it.
        bases = [factor.base if _is_inverse(factor) else factor for factor in factors]
        return len(factors) - 1 + sum(cost(base, known) for base in bases)
    if isinstance(expr, sp.Pow):
        return 1 + cost(expr.base, known) if expr.exp.is_Integer else 1
    if isinstance(expr, sp.Rational):
        return int(expr.q != 1)
    return int(bool(expr.args))


def _is_inverse(factor: sp.Expr) -> bool:
    return isinstance(factor, sp.Pow) and factor.exp == -1
