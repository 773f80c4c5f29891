"""Products of nodes with labelled axes, in canonical order.

Coefficients are pulled out, index equations eliminated, powers of one base merged, exp(u) exp(v)
joined, inverses cancelled, operands sorted and labels renumbered.  Sums are not multiplied out
here (`normal_form` does that).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import sympy as sp

from diffkit.tensor import kernels, sums
from diffkit.tensor.affine import Equation, eliminate
from diffkit.tensor.basics import (
    LARGEST_PRODUCT_POWER,
    ONE,
    ZERO,
    Factor,
    Term,
    all_axes,
    inverse_order,
    number,
    ones,
    zero,
)
from diffkit.tensor.canonical import canonical_order, standard_axes
from diffkit.tensor.facts import Pending, cancel
from diffkit.tensor.nodes import (
    Add,
    Affine,
    Axes,
    Einsum,
    Labels,
    Map,
    Node,
    Reduce,
    Shape,
    affine,
    const,
    is_truth,
    raw_add,
    raw_einsum,
)
from diffkit.tensor.substitute import substitute

#: A product of more factors keeps its parts whole, so that chains stay linear in size.
MOST_FACTORS = 12

_A = sp.Symbol("_0", real=True)


def einsum(
    factors: Sequence[Factor],
    out: Sequence[int],
    coefficient: sp.Expr | int = 1,
    sizes: Mapping[int, int] | None = None,
    *,
    flat: bool = False,
    unfused: bool = False,
) -> Node:
    """A product summed over the labels that `out` lacks.

    Args:
        factors: Node and the label of each of its axes.
        out: Labels of the result, in order.
        coefficient: An exact factor.
        sizes: Length of labels of the result that no factor carries.
        flat: Whether a chain of any length is written as factors (and nothing is fused).
        unfused: Whether functions of one node stay separate factors.
    """
    exact = sp.sympify(coefficient, strict=True)
    product = _Product(factors, tuple(out), exact, dict(sizes or {}), flat)
    product.unfused = flat or unfused
    return product.node()


class _Product:
    """One product while it is simplified."""

    def __init__(
        self,
        factors: Sequence[Factor],
        out: Labels,
        coefficient: sp.Expr,
        sizes: dict[int, int],
        flat: bool,
    ) -> None:
        self.flat = flat
        self.unfused = flat
        self.coefficient = coefficient
        self.out = out
        self.factors: list[Factor] = []
        self.equations: list[Equation] = []
        self.sizes = sizes
        self.fresh = 1 + max([*out, *(l for _, ls in factors for l in ls), *sizes, -1])
        for node, labels in factors:
            self.take(node, tuple(labels))

    def take(self, node: Node, labels: Labels) -> None:
        """Add a factor, opened as far as it is a product itself."""
        for label, length in zip(labels, node.shape, strict=True):
            self.sizes[label] = length
        value = number(node)
        if value is not None:
            self.coefficient *= value
            return
        match node:
            case Affine():
                equation = Equation.of(labels, node.coefficients, node.offset, node.relation)
                self.equations.append(equation)
            case Add() if len(node.operands) <= 1:
                if not node.operands:
                    self.coefficient = ZERO
                    return
                ((c, operand, axes),) = node.terms
                self.coefficient *= c
                self.take(operand, tuple(labels[a] for a in axes))
            case Einsum():
                self.open(node, labels)
            case _:
                node, labels = standard_axes(node, labels)
                self.factors.append((node, labels))

    def open(self, node: Einsum, labels: Labels) -> None:
        """Take the parts of a product that share no summed label; a lone part stays whole."""
        parts = components(node)
        outer = dict(zip(node.out, labels, strict=True))
        is_long = len(self.factors) + len(node.operands) > MOST_FACTORS
        is_plain = not self.flat and not any(isinstance(x, Affine) for x in node.operands)
        if (len(parts) == 1 and len(node.operands) > 1) or (is_long and is_plain):
            standard, where = standard_axes(node, labels)
            self.factors.append((standard, where))
            return
        for factors, summed in parts:
            if len(factors) == 1 or not summed:
                names = dict(outer)
                for label in sorted(summed):
                    names[label] = self.fresh
                    self.fresh += 1
                if len(factors) == 1 and summed and not isinstance(factors[0][0], Affine):
                    kept = tuple(dict.fromkeys(l for l in factors[0][1] if l in outer))
                    core = raw_einsum(factors, kept)
                    self.factors.append(standard_axes(core, tuple(outer[l] for l in kept)))
                    for l in kept:
                        self.sizes[outer[l]] = node.sizes[l]
                    continue
                for operand, ls in factors:
                    self.take(operand, tuple(names[l] for l in ls))
            else:
                kept = tuple(dict.fromkeys(l for _, ls in factors for l in ls if l in outer))
                core = einsum(factors, kept)
                self.take(core, tuple(outer[l] for l in kept))

    def node(self) -> Node:
        """The simplified product."""
        shape_out = tuple(self.sizes[label] for label in self.out)
        for _ in range(50):
            if self.coefficient == 0:
                return zero(shape_out)
            if not (self.reduce_equations() or self.reduce_factors()):
                break
        if self.coefficient == 0:
            return zero(shape_out)
        return self.finish(shape_out)

    @property
    def carried(self) -> list[int]:
        """Labels of the factors, with repetition."""
        return [label for _, labels in self.factors for label in labels]

    def reduce_equations(self) -> bool:
        """Eliminate index equations and labels that nothing carries."""
        everything = set(self.sizes)
        summed = everything - set(self.out)
        found = eliminate(self.equations, self.out, self.carried, self.sizes)
        changed = bool(found.renames) or found.equations != self.equations
        self.equations = found.equations
        self.coefficient *= found.coefficient
        if found.renames:
            names = found.renames
            self.factors = [
                (x, tuple(names.get(l, l) for l in labels)) for x, labels in self.factors
            ]
        alive = set(self.carried) | {l for e in self.equations for l in e.labels}
        for label in summed - found.gone - alive:
            self.coefficient *= self.sizes[label]
        for label in everything - alive - set(self.out):
            del self.sizes[label]
        return changed and self.coefficient != 0

    def reduce_factors(self) -> bool:
        """Powers of one base, products of exponentials, inverses and declared facts."""
        return self.merge_powers() or self.merge_exponentials() or self.use_facts()

    def merge_powers(self) -> bool:
        """u**a * u**b = u**(a + b) for factors with the same labels."""
        groups: dict[tuple[Node, Labels], list[tuple[int, sp.Expr]]] = {}
        for index, (node, labels) in enumerate(self.factors):
            base, exponent, where = base_of(node, labels)
            groups.setdefault((base, where), []).append((index, exponent))
        for (base, where), members in groups.items():
            exponents = [e for _, e in members]
            total = sum(exponents, ZERO)
            many = len(members) > LARGEST_PRODUCT_POWER
            if len(members) > 1 and (any(e != 1 for e in exponents) or many):
                gone = {index for index, _ in members}
                self.factors = [f for k, f in enumerate(self.factors) if k not in gone]
                for label, length in zip(where, base.shape, strict=True):
                    self.sizes[label] = length
                self.take_power(base, where, total)
                return True
        return False

    def take_power(self, base: Node, labels: Labels, exponent: sp.Expr) -> None:
        if exponent == 0:
            return
        if exponent.is_Integer and 1 <= exponent <= LARGEST_PRODUCT_POWER:
            self.factors += [standard_axes(base, labels)] * int(exponent)
        else:
            self.take(kernels.power(base, exponent), labels)

    def merge_exponentials(self) -> bool:
        """exp(u) exp(v) = exp(u + v) where v has no label that u lacks; a softmax stays whole."""
        found = [
            (index, exponent, labels)
            for index, (node, labels) in enumerate(self.factors)
            if (exponent := kernels.exponent_of(node)) is not None
            and len(set(labels)) == len(labels)
        ]
        for i, left, names in found:
            for j, right, others in found:
                if i == j or not set(others) <= set(names):
                    continue
                if kernels.is_probability(self.factors[i][0]) or kernels.is_probability(
                    self.factors[j][0]
                ):
                    continue
                if left is right and names == others:
                    continue
                places = tuple(names.index(l) for l in others)
                joined = sums.add([(ONE, left, all_axes(left)), (ONE, right, places)], left.shape)
                self.factors = [f for k, f in enumerate(self.factors) if k not in (i, j)]
                self.take(kernels.exponential(joined), names)
                return True
        return False

    def use_facts(self) -> bool:
        """Cancel a matrix against its inverse, sum probabilities to one, use what is declared."""
        pending = Pending(self.factors, self.equations, set(self.out), set())
        if not cancel(pending):
            return False
        self.factors = [standard_axes(x, labels) for x, labels in pending.factors]
        self.equations = pending.equations
        for label in pending.gone:
            del self.sizes[label]
        return True

    def finish(self, shape: Shape) -> Node:
        """The node in canonical order, with its coefficient."""
        carried = set(self.carried) | {l for e in self.equations for l in e.labels}
        bare = [label for label in self.out if label not in carried]
        factors = list(self.factors)
        if not factors and not self.equations and not bare:
            return const(self.coefficient)
        fused = self.fused(bare)
        if fused is not None:
            return fused
        for equation in self.equations:
            lengths = tuple(self.sizes[label] for label in equation.labels)
            coefficients = tuple(c for _, c in equation.terms)
            node = affine(lengths, coefficients, equation.offset, equation.relation)
            factors.append((node, equation.labels))
        factors += [(ones((self.sizes[label],)), (label,)) for label in bare]
        ordered, out = canonical_order(factors, self.out)
        ((first, labels), *rest) = ordered
        if not rest and labels == out:
            result: Node = first
        else:
            result = raw_einsum(ordered, out)
        if self.coefficient == 1:
            return result
        return raw_add([(self.coefficient, result, all_axes(result))], shape)

    def fused(self, bare: list[int]) -> Node | None:
        """One kernel where all factors are functions of one node, entry by entry."""
        if self.unfused or self.equations or bare or len(self.factors) < 2:
            return None
        if any(set(labels) - set(self.out) for _, labels in self.factors):
            return None
        found = _one_base([(x, labels) for x, labels in self.factors])
        if found is None:
            return None
        curves, base, labels = found
        expr = self.coefficient
        for kernel in curves:
            expr = expr * kernel
        if not kernels.is_small(expr):
            return None
        return sums.permute(kernels.unary(expr, base), tuple(labels.index(l) for l in self.out))


def base_of(node: Node, labels: Labels) -> tuple[Node, sp.Expr, Labels]:
    """Base, exponent and labels of a factor u**a; (u, 1) for any other."""
    if isinstance(node, Map) and len(node.operands) == 1:
        (place,), kernel = node.kernel.signature, node.kernel.expr
        if isinstance(kernel, sp.Pow) and kernel.base == place and kernel.exp.is_Rational:
            where = tuple(labels[a] for a in node.axes[0])
            base, where = standard_axes(node.operands[0], where)
            return base, kernel.exp, where
    return node, ONE, labels


def _one_base(parts: Sequence[Factor]) -> tuple[list[sp.Basic], Node, Labels] | None:
    """The curves of parts that are all functions of one node, at least one not a power."""
    curves, bases, is_curved = [], set(), False
    for node, labels in parts:
        if kernels.is_probability(node):
            return None
        kernel, base, where = _A, node, labels
        if isinstance(node, Map) and len(node.operands) == 1:
            (place,) = node.kernel.signature
            kernel = substitute(node.kernel.expr, {place: _A})
            base, where = node.operands[0], tuple(labels[a] for a in node.axes[0])
            is_curved |= not (isinstance(kernel, sp.Pow) and kernel.base == _A)
            if is_truth(kernel):
                return None
            if is_normalising(base):
                return None
        coefficient, rest = sums.scaled(base)
        if coefficient != 1:
            kernel, base = substitute(kernel, {_A: coefficient * _A}), rest
        base, where = standard_axes(base, where)
        curves.append(kernel)
        bases.add((base, where))
    if len(bases) != 1 or not is_curved:
        return None
    ((base, where),) = bases
    return (curves, base, where) if len(set(where)) == len(where) else None


def is_normalising(node: Node) -> bool:
    """Whether a logsumexp is among the terms: such exponents must stay visible."""
    terms = node.operands if isinstance(node, Add) else (node,)
    return any(isinstance(x, Reduce) and x.kind == "logsumexp" for x in terms)


def fused_sum(terms: Sequence[Term], shape: Shape) -> Node | None:
    """One kernel for a sum of functions of one node, entry by entry, and numbers."""
    constants = [c for c, node, _ in terms if number(node) is not None and not node.shape]
    rest = [(c, node, axes) for c, node, axes in terms if number(node) is None or node.shape]
    if not rest or len(terms) < 2:
        return None
    found = _one_base([part for _, node, axes in rest for part in _elementwise_parts(node, axes)])
    if found is None:
        return None
    _, base, where = found
    if len(where) != len(shape):
        return None
    expr = sum(constants, ZERO)
    for c, node, axes in rest:
        curves, _, _ = _kernels_over(base, _elementwise_parts(node, axes))
        for kernel in curves:
            c = c * kernel
        expr = expr + c
    if not kernels.is_small(expr):
        return None
    return sums.permute(kernels.unary(expr, base), inverse_order(where))


def _elementwise_parts(node: Node, axes: Axes) -> list[Factor]:
    if isinstance(node, Einsum) and kernels.is_entrywise(node):
        names = dict(zip(node.out, axes, strict=True))
        return [(x, tuple(names[l] for l in labels)) for x, labels in node.factors]
    return [(node, axes)]


def _kernels_over(base: Node, parts: Sequence[Factor]) -> tuple[list[sp.Basic], Node, Labels]:
    """The curves of parts known to be functions of `base`."""
    curves = []
    where: Labels = ()
    for node, labels in parts:
        kernel, inner, where = _A, node, labels
        if isinstance(node, Map) and len(node.operands) == 1:
            (place,) = node.kernel.signature
            kernel = substitute(node.kernel.expr, {place: _A})
            inner = node.operands[0]
        coefficient, _ = sums.scaled(inner)
        if coefficient != 1 and inner is not base:
            kernel = substitute(kernel, {_A: coefficient * _A})
        curves.append(kernel)
    return curves, base, where


Components = list[tuple[list[Factor], set[int]]]


@lru_cache(maxsize=8192)
def components(node: Einsum) -> Components:
    """Groups of factors linked by summed labels, and the labels each sums over."""
    groups: Components = []
    out = set(node.out)
    for factor in node.factors:
        summed = set(factor[1]) - out
        members, linked = [factor], set(summed)
        rest: Components = []
        for group, labels in groups:
            if labels & linked:
                members, linked = group + members, linked | labels
            else:
                rest.append((group, labels))
        groups = [*rest, (members, linked)]
    return groups
