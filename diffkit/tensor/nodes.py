"""The nodes of an array formula: immutable, hash-consed, with SymPy only inside `Map`.

Equal nodes are the same object: a weak table hands out the node that already exists, so
equality is identity, a shared part is stored once, and a walk visits it once.

A node says which axes of an operand are which axes of its result (`Map`, `Select`, `Add`) or
which labels they carry (`Einsum`), so transposes and broadcasts are never nodes of their own.
This module checks and interns; it rewrites nothing.  Simplifying constructors: `tensor.build`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import sympy as sp
from sympy.logic.boolalg import Boolean

from diffkit.core.errors import UsageError
from diffkit.symbolic.symbols import symbol
from diffkit.tensor.substitute import substitute

Shape = tuple[int, ...]
Axes = tuple[int, ...]
Labels = tuple[int, ...]


class Node:
    """Base of all nodes; use the classes below.

    Args:
        key: What tells this node from all others: its class's fields.
        operands: The nodes it is computed from.
        shape: Shape of its value, () for a number.
    """

    __slots__ = ("__weakref__", "_digest", "key", "operands", "shape")
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
                object.__setattr__(found, "_digest", "")
                Node._table[name] = found
            return found

    @property
    def digest(self) -> str:
        """A name of the structure that is the same in every process; canonical orders use it."""
        stack: list[Node] = [] if self._digest else [self]
        while stack:
            node = stack[-1]
            # A node has its name only after everything below it has.
            nameless = [operand for operand in node.operands if not operand._digest]
            if nameless:
                stack.extend(nameless)
                continue
            parts = (type(node).__name__, *map(_spell, node.key), *node._operand_digests())
            text = hashlib.blake2b("|".join(parts).encode(), digest_size=12).hexdigest()
            object.__setattr__(node, "_digest", text)
            stack.pop()
        return self._digest

    def _operand_digests(self) -> tuple[str, ...]:
        return tuple(operand._digest for operand in self.operands)

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
    """A named input; `key` is (name, shape, dtype, facts)."""

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
    def facts(self) -> frozenset[str]:
        """What is declared of it: "symmetric", "spd", "orthogonal", "simplex", "one_hot", ..."""
        return self.key[3]

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

    @property
    def axes(self) -> tuple[Axes, ...]:
        """For each operand, which axis of the result each of its axes is."""
        return self.key[1]


class Select(Node):
    """`on_true` where the predicate holds, `on_false` elsewhere, entry by entry."""

    __slots__ = ()

    @property
    def axes(self) -> tuple[Axes, ...]:
        """For each operand, which axis of the result each of its axes is."""
        return self.key[0]

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


class Affine(Node):
    r"""The 0/1 array that is 1 where $\sum_k c_k i_k + c_0$ is zero ("=") or not negative (">=").

    The identity, a column of it, all-ones, triangular masks, and the selections behind slices,
    paddings, reshapes and convolutions are such arrays.
    """

    __slots__ = ()

    @property
    def coefficients(self) -> tuple[int, ...]:
        """c_k, one per axis."""
        return self.key[0]

    @property
    def offset(self) -> int:
        """c_0."""
        return self.key[1]

    @property
    def relation(self) -> str:
        """Either "=" or ">="."""
        return self.key[2]

    @property
    def is_ones(self) -> bool:
        """Whether every entry is 1 because no index counts."""
        holds = self.offset == 0 if self.relation == "=" else self.offset >= 0
        return holds and not any(self.coefficients)

    @property
    def is_identity(self) -> bool:
        """Whether it is the identity matrix."""
        return (
            self.relation == "="
            and self.offset == 0
            and self.coefficients == (1, -1)
            and self.shape[0] == self.shape[1]
        )


class Add(Node):
    """A linear combination of operands with exact coefficients; without operands it is zero."""

    __slots__ = ()

    @property
    def coefficients(self) -> tuple[sp.Expr, ...]:
        """One exact number (or expression of size symbols) per operand."""
        return self.key[0]

    @property
    def axes(self) -> tuple[Axes, ...]:
        """For each operand, which axis of the result each of its axes is."""
        return self.key[1]

    @property
    def terms(self) -> tuple[tuple[sp.Expr, Node, Axes], ...]:
        """Coefficient, operand and axes together."""
        return tuple(zip(self.coefficients, self.operands, self.axes, strict=True))


class Einsum(Node):
    """A product of operands, summed over the labels the result does not carry."""

    __slots__ = ()

    @property
    def labels(self) -> tuple[Labels, ...]:
        """For each operand, the label of each of its axes."""
        return self.key[0]

    @property
    def out(self) -> Labels:
        """The labels of the result's axes."""
        return self.key[1]

    @property
    def factors(self) -> tuple[tuple[Node, Labels], ...]:
        """Operand and labels together."""
        return tuple(zip(self.operands, self.labels, strict=True))

    @property
    def sizes(self) -> dict[int, int]:
        """Length of the axis behind every label."""
        pairs = zip(self.operands, self.labels, strict=True)
        return {label: n for x, ls in pairs for label, n in zip(ls, x.shape, strict=True)}


class Reduce(Node):
    """A "max", "min", "prod" or "logsumexp" over some axes of one operand."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """Which reduction."""
        return self.key[0]

    @property
    def axes(self) -> Axes:
        """The axes that vanish, ascending."""
        return self.key[1]

    @property
    def kept(self) -> Axes:
        """The axes that stay, ascending."""
        return tuple(k for k in range(len(self.operands[0].shape)) if k not in self.axes)


class LinOp(Node):
    """A function of matrices, the last two axes of its operand; earlier axes are a batch."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """Name of the function: "inv", "det", "logabsdet", "cholesky", ... (`tensor.matrices`)."""
        return self.key[0]

    @property
    def params(self) -> tuple[Any, ...]:
        """What else it depends on, for example the exponent."""
        return self.key[1]


class Opaque(Node):
    """One result of a program diffkit does not read; it is differentiated by its payload."""

    __slots__ = ()

    @property
    def payload(self) -> Any:
        """What runs and differentiates it (see `tensor.opaque.Payload`)."""
        return self.key[0]

    @property
    def index(self) -> int:
        """Which of the payload's results."""
        return self.key[1]


def var(
    name: str, shape: Sequence[int] = (), dtype: str = "", facts: frozenset[str] = frozenset()
) -> Var:
    """The input called `name`.

    >>> var("x") is var("x"), var("x") is var("x", (3,))
    (True, False)
    """
    return Var._intern((name, tuple(shape), dtype, facts), (), tuple(shape))


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


def map_node(kernel: sp.Lambda, *operands: Node, axes: Sequence[Axes] | None = None) -> Map:
    """Apply `kernel` entry by entry.

    Args:
        kernel: Lambda of as many scalars as there are operands.
        *operands: What it is applied to.
        axes: For each operand, which axis of the result each of its axes is; None aligns shapes
            as NumPy does.

    Raises:
        UsageError: the number of operands is not the kernel's, or shapes do not broadcast.
    """
    if len(kernel.signature) != len(operands):
        raise UsageError(
            f"kernel {kernel} takes {len(kernel.signature)} operands, not {len(operands)}"
        )
    operands, axes, shape = _aligned(operands, axes)
    return Map._intern((_canonical(kernel, operands), axes), operands, shape)


def select(
    predicate: Node, on_true: Node, on_false: Node, axes: Sequence[Axes] | None = None
) -> Node:
    """Choose entry by entry; equal branches are returned as they are.

    Raises:
        UsageError: the predicate is not Boolean.
    """
    if not is_predicate(predicate):
        raise UsageError(f"{predicate!r} is no predicate: its kernel is not a comparison")
    if on_true is on_false and (axes is None or axes[1] == axes[2] == _all_axes(on_true)):
        return on_true
    operands, axes, shape = _aligned((predicate, on_true, on_false), axes)
    return Select._intern((axes,), operands, shape)


def affine(
    shape: Sequence[int], coefficients: Sequence[int], offset: int = 0, relation: str = "="
) -> Affine:
    """The 0/1 array of an index equation or inequality; an equation's first coefficient is > 0.

    >>> affine((2, 2), (1, -1)).is_identity
    True
    """
    coefficients = tuple(int(c) for c in coefficients)
    first = next((c for c in coefficients if c), 1)
    if relation == "=" and first < 0:
        coefficients, offset = tuple(-c for c in coefficients), -offset
    return Affine._intern((coefficients, int(offset), relation, tuple(shape)), (), tuple(shape))


def raw_add(terms: Sequence[tuple[sp.Expr, Node, Axes]], shape: Sequence[int]) -> Add:
    """A linear combination as it is given; `tensor.build.add` simplifies."""
    coefficients = tuple(c for c, _, _ in terms)
    axes = tuple(tuple(a) for _, _, a in terms)
    return Add._intern(
        (coefficients, axes, tuple(shape)), tuple(x for _, x, _ in terms), tuple(shape)
    )


def raw_einsum(factors: Sequence[tuple[Node, Labels]], out: Labels) -> Einsum:
    """A product as it is given; `tensor.build.einsum` simplifies.

    Raises:
        UsageError: one label names axes of different lengths, or a label of the result none.
    """
    sizes: dict[int, int] = {}
    for node, labels in factors:
        if len(labels) != len(node.shape):
            raise UsageError(f"{len(labels)} labels for the {len(node.shape)} axes of {node!r}")
        for label, length in zip(labels, node.shape, strict=True):
            if sizes.setdefault(label, length) != length:
                raise UsageError(
                    f"one label for axes of length {sizes[label]} and {length}; they must agree"
                )
    missing = [label for label in out if label not in sizes]
    if missing or len(set(out)) != len(out):
        raise UsageError(f"the result carries the labels {out}, of which {missing} have no axis")
    labels = tuple(tuple(ls) for _, ls in factors)
    shape = tuple(sizes[label] for label in out)
    return Einsum._intern((labels, tuple(out)), tuple(x for x, _ in factors), shape)


def raw_reduce(kind: str, operand: Node, axes: Sequence[int]) -> Reduce:
    """A reduction over `axes`."""
    gone = tuple(sorted(axes))
    shape = tuple(n for k, n in enumerate(operand.shape) if k not in gone)
    return Reduce._intern((kind, gone), (operand,), shape)


def raw_linop(
    kind: str, operands: Sequence[Node], shape: Sequence[int], params: tuple[Any, ...] = ()
) -> LinOp:
    """A function of matrices whose result has the given shape."""
    return LinOp._intern((kind, params), tuple(operands), tuple(shape))


def opaque(payload: Any, index: int, operands: Sequence[Node], shape: Sequence[int]) -> Opaque:
    """Result number `index` of a program that is not read."""
    return Opaque._intern((payload, index), tuple(operands), tuple(shape))


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


def _all_axes(node: Node) -> Axes:
    return tuple(range(len(node.shape)))


def _aligned(
    operands: tuple[Node, ...], axes: Sequence[Axes] | None
) -> tuple[tuple[Node, ...], tuple[Axes, ...], Shape]:
    """Operands, their axes in the result, and the result's shape.

    Raises:
        UsageError: lengths disagree, or an axis of the result belongs to no operand.
    """
    if axes is None:
        shape = broadcast_shape(*(operand.shape for operand in operands))
        squeezed = tuple(_squeeze(operand, shape) for operand in operands)
        return tuple(x for x, _ in squeezed), tuple(a for _, a in squeezed), shape
    lengths: dict[int, int] = {}
    for operand, places in zip(operands, axes, strict=True):
        for place, length in zip(places, operand.shape, strict=True):
            if lengths.setdefault(place, length) != length:
                raise UsageError(f"axis {place} has the lengths {lengths[place]} and {length}")
        if len(set(places)) != len(places):
            raise UsageError(f"an operand's axes {places} go to one axis of the result")
    if sorted(lengths) != list(range(len(lengths))):
        raise UsageError(f"the axes {sorted(lengths)} of the result leave a gap")
    return operands, tuple(map(tuple, axes)), tuple(lengths[k] for k in range(len(lengths)))


def _squeeze(operand: Node, shape: Shape) -> tuple[Node, Axes]:
    """The operand without the axes of length 1 that are stretched, and where its axes go."""
    first = len(shape) - len(operand.shape)
    kept = tuple(k for k, n in enumerate(operand.shape) if n == shape[first + k])
    if len(kept) < len(operand.shape):
        operand = raw_einsum([(operand, _all_axes(operand))], kept)
    return operand, tuple(first + k for k in kept)


@lru_cache(maxsize=4096)
def _spell_basic(expr: sp.Basic) -> str:
    return sp.srepr(expr)


def _spell(part: Any) -> str:
    """A part of a key as text that does not depend on the process."""
    if isinstance(part, sp.Basic):
        return _spell_basic(part)
    if isinstance(part, frozenset):
        return ",".join(sorted(part))
    if isinstance(part, tuple):
        return "(" + ",".join(map(_spell, part)) + ")"
    return str(part)


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
