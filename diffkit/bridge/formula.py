"""`Formula`: one type for scalars and arrays, from text, from SymPy or lifted from JAX.

A formula is a node with named inputs.  Where every input reaches the result entry by entry it is
one scalar expression (`sympy`), else its node is differentiated and shown as matrix algebra.
Nothing here imports JAX: a formula made from text is differentiated, shown and proved without it;
only `lower` and calling need it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from typing import Any

import sympy as sp

from diffkit.core.domain import Domain
from diffkit.core.errors import UsageError
from diffkit.symbolic.differentiate import derivative
from diffkit.symbolic.layout import show
from diffkit.symbolic.nth import nth_derivative
from diffkit.symbolic.parse import parse
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.textbook import textbook
from diffkit.symbolic.tokens import spelled_out
from diffkit.symbolic.walk import written_size
from diffkit.tensor import build, sweep, symmetry, views
from diffkit.tensor.compose import Composed, compose, differentiate, is_elementwise
from diffkit.tensor.nodes import Node, Shape, Var, map_node, topological, var
from diffkit.tensor.substitute import substitute, symbols_of
from diffkit.typeset import Style

Wrt = str | int | sp.Symbol
#: A longer formula of numbers is shown in named parts.
_MOST_SYMBOLS = 2_000
Styles = ("matrix", "index", "differential")


@dataclass(frozen=True)
class Formula:
    """A function of named inputs.

    Args:
        node: What it computes.
        inputs: Its arguments, in the order in which it is called.
        shape: Shape of the result for inputs of the shapes given; () for a number.
        name: Name of the function it was lifted from, "" for a formula given as such.
        notes: What a reader must know: constants read as exact numbers, what was left out.
        domains: Declared domain of some inputs.
        gradient_by: The input it is the gradient by, when it is one of a number.
        hessian_of: The number and the input of which it is the Hessian, else None.
        aliases: (path of a leaf, its short name), where an input has both.
    """

    node: Node
    inputs: tuple[Var, ...]
    shape: Shape = ()
    name: str = ""
    notes: tuple[str, ...] = ()
    domains: tuple[tuple[str, Domain], ...] = ()
    hessian_of: tuple[Node, Var] | None = None
    gradient_by: Var | None = None
    aliases: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_text(cls, text: str, *, known: Iterable[str] | None = None) -> "Formula":
        """Read formula text; its symbols, sorted, are the inputs.

        >>> str(Formula.from_text("x**2").grad().sympy())
        '2*x'
        """
        return cls.from_sympy(parse(text, known=known))

    @classmethod
    def from_sympy(cls, expr: sp.Basic, names: Sequence[str] | None = None) -> "Formula":
        """Wrap a SymPy expression: one Map of as many scalars as it has symbols.

        Args:
            expr: An expression; its symbols are made real if they are not.
            names: Order of the inputs; by default sorted.

        Raises:
            UsageError: `names` leaves out a symbol of the expression.
        """
        expr = _with_own_symbols(expr)
        free = sorted(each.name for each in symbols_of(expr))
        names = free if names is None else list(names)
        missing = sorted(set(free) - set(names))
        if missing:
            raise UsageError(f"the expression holds {', '.join(missing)}, which names leaves out")
        whole = {each.name for each in symbols_of(expr) if each.is_integer}
        inputs = tuple(var(name, (), "int" if name in whole else "") for name in names)
        return cls(_as_map(expr, inputs), inputs)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(each.name for each in self.inputs)

    @cached_property
    def is_elementwise(self) -> bool:
        """Whether every input reaches the result entry by entry, so that `sympy` exists."""
        rank = len(self.shape)
        node = self.node
        if len(node.shape) > rank:
            return False
        axes = (None,) * (rank - len(node.shape)) + tuple(range(len(node.shape)))
        return is_elementwise(views.View(node, axes, self.shape))

    @property
    def is_scalar(self) -> bool:
        """Whether result and inputs are numbers."""
        return not self.shape and not any(each.shape for each in self.inputs)

    def sympy(self) -> sp.Basic:
        """The formula as one SymPy expression, to be applied entry by entry.

        Raises:
            UsageError: it is no elementwise formula, or holds an array of constants.
        """
        composed = self.composed()
        if composed.arrays:
            shapes = ", ".join(str(array.shape) for array in composed.arrays.values())
            raise UsageError(
                f"the formula holds constant arrays of shape {shapes}, which no scalar expression "
                "can; pass them as arguments"
            )
        return composed.expr

    def composed(self) -> Composed:
        """The formula as one expression, with symbols for constant arrays.

        Raises:
            UsageError: it is no elementwise formula.
        """
        if not self.is_elementwise:
            raise UsageError(
                f"{self.name or 'the formula'} joins the entries of arrays, so it is no scalar "
                "expression; use grad, jacobian, hessian, latex and lower of the formula itself"
            )
        return compose(self.node)

    def with_expression(self, expr: sp.Basic, notes: Iterable[str] = ()) -> "Formula":
        """A formula of the same inputs and shape that computes `expr`."""
        used = {each for each in topological(self.node) if isinstance(each, Var)}
        kept = tuple(each for each in self.inputs if each in used)
        merged = tuple(dict.fromkeys((*self.notes, *notes)))
        return replace(self, node=_as_map(expr, kept), notes=merged, name="", hessian_of=None)

    def grad(self, wrt: Wrt | tuple[Wrt, ...] | None = None) -> Any:
        """The gradient by `wrt`; the elementwise derivative when the formula is elementwise.

        Args:
            wrt: Name or position of an input, or a tuple of them (then the result is a tuple);
                None when there is only one input.

        Raises:
            UsageError: `wrt` names no input, or an input of whole numbers or booleans; or the
                result is an array whose entries join several entries of the input.
        """
        if self.is_elementwise and (self.shape or self.is_scalar):
            if isinstance(wrt, tuple):
                return tuple(self._grad(self.input(each)) for each in wrt)
            return self._grad(self.input(wrt))
        if self.shape:
            raise UsageError(
                f"{self.name or 'the formula'} has a result of shape {self.shape} that is not "
                "elementwise in its inputs; ask for jacobian(wrt) instead of grad(wrt)"
            )
        targets = [self.input(each) for each in (wrt if isinstance(wrt, tuple) else (wrt,))]
        nodes = sweep.gradient(self.node, targets)
        found = tuple(
            replace(self.with_node(node, each.shape), gradient_by=each)
            for node, each in zip(nodes, targets, strict=True)
        )
        return found if isinstance(wrt, tuple) else found[0]

    def symmetric_gradients(self, wrt: Wrt | None = None) -> dict[str, "Formula"]:
        """The gradient by a matrix declared symmetric, under both conventions, by name.

        Raises:
            UsageError: the input is not declared symmetric (assume={"S": "symmetric"}).
        """
        target = self.input(wrt)
        if not symmetry.is_symmetric_variable(target):
            raise UsageError(
                f'{target.name} is not declared symmetric; lift with assume={{"{target.name}": '
                '"symmetric"}'
            )
        free = self.grad(target.name)
        once = free.with_node(symmetry.counted_once(free.whole), target.shape)
        return {symmetry.UNCONSTRAINED: free, symmetry.COUNTED_ONCE: once}

    def with_node(self, node: Node, shape: Shape) -> "Formula":
        """A formula of the same inputs that computes another node."""
        return replace(self, node=node, shape=shape, name="", hessian_of=None)

    def nth(
        self,
        wrt: Wrt | None = None,
        n: int = 1,
        *,
        conventions: Mapping[str, float] | None = None,
    ) -> "Formula":
        """The derivative of order `n` >= 0 by one input, in the form of the recurrences."""
        target = self.input(wrt)
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise UsageError(f"the order must be a whole number >= 0, not {n!r}")
        if not self.is_elementwise:
            return self._nth_of_array(target, n)
        composed = self.composed()
        if n > 1 and not composed.arrays and not conventions:
            domains = dict(self.domains)
            return self.with_expression(
                nth_derivative(composed.expr, symbol(target.name), n, domains=domains)
            )
        result = self
        for _ in range(n):
            result = result._grad(target, conventions)
        return result

    def _nth_of_array(self, target: Var, n: int) -> "Formula":
        """Derivatives by a number, one after the other; by an array up to the second."""
        if target.shape and n > 2:
            raise UsageError(
                f"a derivative of order {n} by an array has {n} times its axes; orders 1 and 2 "
                "are grad (or jacobian) and hessian"
            )
        if target.shape:
            return (self.hessian if n == 2 else self.grad)(target.name) if n else self
        result = self
        for _ in range(n):
            result = result.jacobian(target.name)
        return result

    def jacobian(self, wrt: Wrt | None = None) -> "Formula":
        """The Jacobian: the axes of the result, then those of the input."""
        target = self.input(wrt)
        if self.is_scalar:
            return self._grad(target)
        node = sweep.jacobian(self.whole, target)
        return self.with_node(node, (*self.shape, *target.shape))

    def hessian(self, wrt: Wrt | tuple[Wrt, Wrt] | None = None) -> "Formula":
        """The Hessian of a formula with a number as result; of a pair, the mixed block.

        Raises:
            UsageError: the result is an array.
        """
        left, right = wrt if isinstance(wrt, tuple) else (wrt, wrt)
        first, second = self.input(left), self.input(right)
        if self.is_scalar and first is second:
            return replace(self.nth(first.name, 2), hessian_of=(self.node, first))
        if self.shape:
            raise UsageError(
                f"the hessian is that of a number; this result has shape {self.shape}: "
                "take its sum, or the jacobian twice"
            )
        node = sweep.hessian(self.whole, first, second)
        found = self.with_node(node, (*first.shape, *second.shape))
        return replace(found, hessian_of=(self.whole, first) if first is second else None)

    def structured(self) -> Any:
        """What a Hessian is made of: diagonal, of low rank, Kronecker, blocks, or dense.

        Raises:
            UsageError: the formula is no `hessian` by one input.
        """
        from diffkit.bridge.hessian import structured

        return structured(self)

    def hvp(self, wrt: Wrt | None = None) -> Callable[..., Any]:
        """A JAX function of the inputs and v: the Hessian by one input, applied to v."""
        from diffkit.bridge.hessian import hvp

        return hvp(self, wrt)

    def value_and_grad(self, wrt: Wrt | tuple[Wrt, ...] | None = None) -> Callable[..., Any]:
        """A JAX function of the inputs: the value and the gradient, shared parts once."""
        from diffkit.bridge.hessian import value_and_grad

        return value_and_grad(self, wrt)

    @property
    def whole(self) -> Node:
        """The node with all axes of the result."""
        axes = tuple(range(len(self.shape) - len(self.node.shape), len(self.shape)))
        return build.spread(self.node, axes, self.shape)

    def latex(self, style: str = "matrix") -> str:
        """LaTeX: matrix algebra, sums over indices, or the differential (df = tr(G' dX)).

        For formulas of numbers the three styles agree.
        """
        if style not in Styles:
            raise UsageError(f"unknown style {style!r}; known: {', '.join(Styles)}")
        return self._show("latex", style)

    def lower(self, *, stable: bool = True) -> Callable[..., Any]:
        """A JAX function of the inputs in order (or by name), safe under jit, vmap and grad."""
        from diffkit.bridge.lower import lower

        return lower(self, stable=stable)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the formula at its inputs, by position or by name; compiled the first time."""
        return self._compiled(*args, **kwargs)

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        import jax

        return jax.jit(self.lower())

    def __str__(self) -> str:
        return self._show("text")

    def __repr__(self) -> str:
        return f"Formula({self}, inputs={', '.join(self.names)})"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<div>{self._show('mathml')}</div>" + (f"<ul>{notes}</ul>" if notes else "")

    def _show(self, style: Style, form: str = "matrix") -> str:
        if self.is_elementwise and (self.is_scalar or (self.shape and self._is_of_one_vector)):
            composed = self.composed()
            if not composed.arrays and written_size(composed.expr) <= _MOST_SYMBOLS:
                return show(composed.expr, style)
        from diffkit.tensor.printing import choice, layout

        node = choice.shortest(self.node)
        if form == "differential" and self.gradient_by is None:
            return layout.differential(node, self.inputs, sums="ones").show(style)
        if form == "differential":
            return layout.show(node, style, "differential", wrt=self.gradient_by)
        return layout.show(node, style, "index" if form == "index" else "matrix")

    @property
    def _is_of_one_vector(self) -> bool:
        """Whether juxtaposition and powers cannot be taken for those of matrices."""
        arrays = [each for each in self.inputs if each.shape]
        return len(arrays) == 1 and len(arrays[0].shape) == 1

    def input(self, wrt: Wrt | None) -> Var:
        """The input `wrt` names.

        Raises:
            UsageError: there is none, or nothing can be differentiated by it.
        """
        listed = ", ".join(self.names) or "none"
        if wrt is None:
            if len(self.inputs) == 1:
                return self.inputs[0]
            raise UsageError(f"the formula has several symbols; give wrt=, one of: {listed}")
        if isinstance(wrt, bool) or not isinstance(wrt, str | int | sp.Symbol):
            raise UsageError(f"wrt is a name or a position, not {wrt!r}; symbols: {listed}")
        if isinstance(wrt, int):
            if not -len(self.inputs) <= wrt < len(self.inputs):
                raise UsageError(f"wrt={wrt} is no position of {listed}")
            found = self.inputs[wrt]
        else:
            name = dict(self.aliases).get(str(wrt), str(wrt))
            spellings = (name, spelled_out(name))
            matches = [each for each in self.inputs if each.name in spellings]
            if not matches:
                raise UsageError(f"wrt={name!r} is none of the symbols: {listed}")
            found = matches[0]
        return _differentiable(found)

    def _grad(self, target: Var, conventions: Mapping[str, float] | None = None) -> "Formula":
        """Differentiate the composed expression where there is one, else node by node."""
        notes: list[str] = []
        composed = self.composed()
        if composed.arrays:
            node = differentiate(self.node, target, notes)
            merged = tuple(dict.fromkeys((*self.notes, *notes)))
            return replace(self, node=node, notes=merged, name="", hessian_of=None)
        raw = derivative(composed.expr, symbol(target.name), conventions=conventions, notes=notes)
        return self.with_expression(textbook(raw), notes)


def _differentiable(found: Var) -> Var:
    if found.dtype.startswith(("int", "uint", "bool")):
        raise UsageError(
            f"{found.name} has dtype {found.dtype}, and nothing can be differentiated by whole "
            "numbers; pass a float such as 1.0"
        )
    return found


def _as_map(expr: sp.Basic, inputs: tuple[Var, ...]) -> Node:
    """An expression in the inputs as one Map; it keeps every input, so shapes broadcast."""
    return map_node(sp.Lambda(tuple(each.symbol for each in inputs), expr), *inputs)


def _with_own_symbols(expr: sp.Basic) -> sp.Basic:
    """The expression in the symbols of `diffkit.symbolic.symbols`.

    Raises:
        UsageError: two symbols of one name, which would become one.
    """
    found: dict[str, sp.Symbol] = {}
    for each in symbols_of(expr):
        if found.setdefault(each.name, each) != each:
            raise UsageError(
                f"two different symbols are called {each.name} (their assumptions differ); "
                "make every symbol once"
            )
    own = {each: symbol(each.name, integer=bool(each.is_integer)) for each in found.values()}
    return substitute(expr, own)
