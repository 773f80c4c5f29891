"""The nodes of an array formula: immutable, hash-consed, with SymPy only inside `Map`.

Equal nodes are the same object: a weak table hands out the node that already exists, so
equality is identity, a shared part is stored once, and a walk visits it once.
Shapes broadcast as NumPy's do.
"""

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import sympy as sp
from sympy.logic.boolalg import Boolean

from diffkit.core.errors import UsageError
from diffkit.symbolic.symbols import symbol
from diffkit.tensor.substitute import substitute

Shape = tuple[int, ...]


class Node:
    """Base of all nodes; use the classes below.

    Args:
        key: What tells this node from all others: its class's fields.
        operands: The nodes it is computed from.
        shape: Shape of its value, () for a number.
    """

    __slots__ = ("__weakref__", "key", "operands", "shape")
    _table: ClassVar[WeakValueDictionary[Any, "Node"]] = WeakValueDictionary()
    _lock: ClassVar[Lock] = Lock()

    key: tuple[Any, ...]
    operands: tuple["Node", ...]
    shape: Shape

    def __init__(self) -> None:
        raise TypeError("make nodes by var, const, map_node and select")

    @classmethod
    def _intern(cls, key: tuple[Any, ...], operands: tuple["Node", ...], shape: Shape) -> Any:
        name = (cls, key, tuple(map(id, operands)))
        with cls._lock:
            found = Node._table.get(name)
            if found is None:
                found = object.__new__(cls)
                object.__setattr__(found, "key", key)
                object.__setattr__(found, "operands", operands)
                object.__setattr__(found, "shape", shape)
                Node._table[name] = found
            return found

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("nodes are immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("nodes are immutable")

    def __reduce__(self) -> Any:
        raise TypeError("nodes are not pickled; save the formula as text")

    def __copy__(self) -> "Node":
        return self

    def __deepcopy__(self, memo: Any) -> "Node":
        return self

    def __repr__(self) -> str:
        parts = [str(part) for part in self.key] + [f"<{type(x).__name__}>" for x in self.operands]
        return f"{type(self).__name__}({', '.join(parts)})"


class Var(Node):
    """A named input; `key` is (name, shape, dtype)."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name of the argument it stands for."""
        return self.key[0]

    @property
    def dtype(self) -> str:
        """Name of its dtype, "" when it follows the argument."""
        return self.key[2]

    @property
    def symbol(self) -> sp.Symbol:
        """Its symbol in a composed expression: an integer one for an input of whole numbers."""
        return symbol(self.name, integer=self.dtype.startswith(("int", "uint")))


class Const(Node):
    """An exact number, or an array of exact numbers in row-major order."""

    __slots__ = ()

    @property
    def values(self) -> tuple[sp.Expr, ...]:
        """The entries; one for a number."""
        return self.key[0]


class Map(Node):
    """A scalar kernel applied entry by entry to its operands."""

    __slots__ = ()

    @property
    def kernel(self) -> sp.Lambda:
        """Lambda of as many scalars as there are operands."""
        return self.key[0]


class Select(Node):
    """`on_true` where the predicate holds, `on_false` elsewhere, entry by entry."""

    __slots__ = ()

    @property
    def predicate(self) -> Node:
        """A node whose kernel is Boolean."""
        return self.operands[0]

    @property
    def on_true(self) -> Node:
        """Value where the predicate holds."""
        return self.operands[1]

    @property
    def on_false(self) -> Node:
        """Value where it does not."""
        return self.operands[2]


def var(name: str, shape: Sequence[int] = (), dtype: str = "") -> Var:
    """The input called `name`.

    >>> var("x") is var("x"), var("x") is var("x", (3,))
    (True, False)
    """
    return Var._intern((name, tuple(shape), dtype), (), tuple(shape))


def const(values: sp.Expr | int | Sequence[sp.Expr], shape: Sequence[int] = ()) -> Const:
    """An exact constant.

    Args:
        values: One exact number, or the entries of an array in row-major order.
        shape: Its shape; the number of entries must fit.

    Raises:
        UsageError: a float among the entries (it is no exact number), or a wrong count.
    """
    entries = values if isinstance(values, list | tuple) else (values,)
    exact = tuple(sp.Integer(entry) if isinstance(entry, int) else entry for entry in entries)
    size = 1
    for length in shape:
        size *= length
    if len(exact) != size:
        raise UsageError(
            f"a constant of shape {tuple(shape)} needs {size} entries, not {len(exact)}"
        )
    for entry in exact:
        if not isinstance(entry, sp.Basic) or entry.has(sp.Float):
            raise UsageError(f"{entry} is no exact number; give a rational")
    return Const._intern((exact, tuple(shape)), (), tuple(shape))


def map_node(kernel: sp.Lambda, *operands: Node) -> Map:
    """Apply `kernel` entry by entry.

    Raises:
        UsageError: the number of operands is not the kernel's, or shapes do not broadcast.
    """
    if len(kernel.signature) != len(operands):
        raise UsageError(
            f"kernel {kernel} takes {len(kernel.signature)} operands, not {len(operands)}"
        )
    shape = broadcast_shape(*(operand.shape for operand in operands))
    return Map._intern((_canonical(kernel, operands),), operands, shape)


def select(predicate: Node, on_true: Node, on_false: Node) -> Node:
    """Choose entry by entry; equal branches are returned as they are.

    Raises:
        UsageError: the predicate is not Boolean.
    """
    if not is_predicate(predicate):
        raise UsageError(f"{predicate!r} is no predicate: its kernel is not a comparison")
    if on_true is on_false:
        return on_true
    operands = (predicate, on_true, on_false)
    shape = broadcast_shape(*(operand.shape for operand in operands))
    return Select._intern((), operands, shape)


def is_predicate(node: Node) -> bool:
    """Whether the node's value is true or false."""
    if isinstance(node, Map):
        return is_truth(node.kernel.expr)
    if isinstance(node, Const):
        return all(map(is_truth, node.values))
    return isinstance(node, Select) and is_predicate(node.on_true)


def is_truth(expr: sp.Basic) -> bool:
    """Whether an expression is true or false; SymPy counts every symbol as Boolean, we do not."""
    return isinstance(expr, Boolean) and not isinstance(expr, sp.Symbol)


def topological(*roots: Node) -> Iterator[Node]:
    """Every node below `roots` once, operands before the node that uses them."""
    seen: set[Node] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, is_expanded = stack.pop()
        if node in seen:
            continue
        if is_expanded:
            seen.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((operand, False) for operand in reversed(node.operands))


def broadcast_shape(*shapes: Shape) -> Shape:
    """The shape to which `shapes` broadcast.

    Raises:
        UsageError: two lengths of one axis differ and neither is 1.

    >>> broadcast_shape((3, 1), (4,), ())
    (3, 4)
    """
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for lengths in zip(*padded, strict=True):
        distinct = set(lengths) - {1}
        if len(distinct) > 1:
            raise UsageError(f"shapes {', '.join(map(str, shapes))} do not broadcast")
        result.append(distinct.pop() if distinct else 1)
    return tuple(result)


def _canonical(kernel: sp.Lambda, operands: tuple[Node, ...]) -> sp.Lambda:
    """The same kernel with its bound symbols named after its operands.

    Over distinct inputs they carry the inputs' own symbols, so that a formula given as text, one
    large kernel, is neither rebuilt here nor when it is composed; elsewhere they are numbered.
    """
    inputs = [operand.symbol for operand in operands if isinstance(operand, Var)]
    if len(set(inputs)) == len(operands):
        names = tuple(inputs)
    else:
        names = tuple(sp.Symbol(f"_{index}", real=True) for index in range(len(operands)))
    if kernel.signature == names:
        return kernel
    return sp.Lambda(
        names, substitute(kernel.expr, dict(zip(kernel.signature, names, strict=True)))
    )
