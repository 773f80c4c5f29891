"""Stable rewriting: forms that neither overflow nor cancel, by named rules.

The law of the file: a rule keeps the value (each use is certified at random points to 40 digits)
and is applied from the leaves upwards until none applies; nothing is simplified for its own sake.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import DomainError
from diffkit.symbolic.certificate import certify
from diffkit.symbolic.stable_quotients import exponential_quotient
from diffkit.symbolic.stable_rules import LOGARITHMS, PRODUCTS, SUMS, Rule, zero_safe_product
from diffkit.symbolic.vocabulary import nodes

Domains = Mapping[str, Domain]

#: Digits to which a rewrite is certified, the points it takes, and uses of rules at one node.
DIGITS, POINTS, ROUNDS = 40, 2, 12


@dataclass(frozen=True)
class Rewrite:
    """A stable form and the names of the rules that made it, in the order of their first use."""

    expr: sp.Expr
    rules: tuple[str, ...]


def stable(expr: sp.Expr, domains: Domains | None = None) -> Rewrite:
    """Return `expr` in a form that is accurate in floating point where the plain one is not.

    Args:
        expr: A real expression of SymPy and vocabulary functions.
        domains: Name -> domain of a symbol.  `x*log(y)` becomes `xlogy(x, y)` only where the
            domain of x is closed at 0.

    Returns:
        The rewritten expression (`expr` itself where no rule applies) and the rules used.

    Raises:
        CertificateError: a rule changed a value: a defect of diffkit.

    >>> x = sp.Symbol("x", real=True)
    >>> stable(sp.log(1 + sp.exp(x)))
    Rewrite(expr=softplus(x), rules=('softplus',))
    """
    domains = domains or {}
    used: dict[str, None] = {}
    done: dict[sp.Basic, sp.Basic] = {}
    for node in nodes(expr):
        args = tuple(done[argument] for argument in node.args)
        made = node.func(*args) if args != node.args else node
        done[node] = _settle(made, domains, used)
    return Rewrite(done[expr], tuple(used))


def _settle(node: sp.Basic, domains: Domains, used: dict[str, None]) -> sp.Basic:
    for _ in range(ROUNDS):
        for name, rule in _rules_for(node, domains):
            after = rule(node)
            if after is None or after == node or not _is_certified(node, after, domains):
                continue
            used.setdefault(name)
            node = after
            break
        else:
            return node
    return node


def _rules_for(node: sp.Basic, domains: Domains) -> tuple[tuple[str, Rule], ...]:
    if isinstance(node, sp.Add):
        return SUMS
    if isinstance(node, sp.log):
        return LOGARITHMS
    if isinstance(node, sp.Mul | sp.Pow):
        safe = ("xlogy", lambda product: zero_safe_product(product, domains))
        return (("sigmoid quotient", exponential_quotient), *PRODUCTS, safe)
    return ()


def _is_certified(before: sp.Expr, after: sp.Expr, domains: Domains) -> bool:
    """Whether both have the same value; False where no point with a real value is found.

    Raises:
        CertificateError: the values differ.
    """
    try:
        certify(before, after, domains=domains, points=POINTS, digits=DIGITS)
    except DomainError:
        return False
    return True
