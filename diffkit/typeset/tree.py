"""The layout tree: what a formula looks like, before any style decides how it is written.

Nodes say structure (a fraction, a power, a list of signed terms), never brackets: each
emitter knows which of its forms bind how strongly (`Level`) and adds the brackets its
own style needs, so that a fraction is bare in two dimensions and bracketed in a line.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Literal

from diffkit.core.errors import UsageError
from diffkit.typeset.marks import ACCENTS, DELIMITERS, GLYPHS, INFIX, MARKS, is_decimal


class Level(IntEnum):
    """How strongly an emitted form holds together, weakest first."""

    LIST = 0
    LOGIC = 1
    RELATION = 2
    SUM = 3
    NEGATION = 4
    BIG = 5
    PRODUCT = 6
    FRACTION = 7
    POWER = 8
    ATOM = 9


class Node:
    """A piece of a formula; `children` are its parts in the order emitters receive them."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    @property
    def children(self) -> "tuple[Node | None, ...]":
        """The parts in the order of the fields, None for an optional part that is absent."""
        return tuple(part for name in self.__match_args__ for part in _parts(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Text(Node):
    """Upright words, such as "otherwise"; any characters are allowed and escaped."""

    text: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """An identifier with its subscripts spelled in it: "w_1", "theta1", "W^{(l)}_{ij}"."""

    text: str


@dataclass(frozen=True, slots=True)
class Operator(Node):
    """An upright function word: "log", "softplus"."""

    text: str


@dataclass(frozen=True, slots=True)
class Glyph(Node):
    """A sign with a fixed meaning: "infinity", "e", "pi", "nabla", "expectation", ..."""

    name: str

    def __post_init__(self) -> None:
        _known(self.name, GLYPHS, "glyph")


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number without sign, already formatted: "12", "0.25", "1.5e-07"."""

    text: str

    def __post_init__(self) -> None:
        if not is_decimal(self.text):
            raise UsageError(f"{self.text[:40]!r} is no unsigned decimal; build it with `number`")


@dataclass(frozen=True, slots=True)
class Mark(Node):
    """One sign of `+ - = , * / : | ⊙` set close, as in the index `t+1`."""

    sign: str

    def __post_init__(self) -> None:
        _known(self.sign, MARKS, "mark")


@dataclass(frozen=True, slots=True)
class Row(Node):
    """Parts set side by side without any sign between them."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Plus(Node):
    """A sum; a `Negative` term gives its body as the child and a minus sign before it."""

    terms: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        """The terms without their signs."""
        return tuple(term.body if isinstance(term, Negative) else term for term in self.terms)


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """Minus a term."""

    body: Node


@dataclass(frozen=True, slots=True)
class Times(Node):
    """A product: `sign` is "" (scalars side by side), "matrix" (set close) or in `· ⊙ ⊘ ⊗ ×`."""

    factors: tuple[Node, ...]
    sign: str = ""

    def __post_init__(self) -> None:
        _known(self.sign, ("", "matrix", "·", "⊙", "⊘", "⊗", "×"), "product sign")


@dataclass(frozen=True, slots=True)
class Fraction(Node):
    """A quotient; `inline` keeps the slash in every style, as exponents want it."""

    numerator: Node
    denominator: Node
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Superscript(Node):
    """A power, or an upper label."""

    base: Node
    exponent: Node


@dataclass(frozen=True, slots=True)
class Subscript(Node):
    """A lower index."""

    base: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Transpose(Node):
    """A transposed matrix."""

    body: Node


@dataclass(frozen=True, slots=True)
class Prime(Node):
    """A function differentiated `order` times with respect to its only argument."""

    body: Node
    order: int = 1


@dataclass(frozen=True, slots=True)
class Root(Node):
    """A root; `index` None is the square root."""

    radicand: Node
    index: Node | None = None


@dataclass(frozen=True, slots=True)
class Fence(Node):
    """Something between delimiters; "|", "‖", "⌊", "⟨" and mixed pairs such as "[", ")"."""

    body: Node
    left: str = "("
    right: str = ")"

    def __post_init__(self) -> None:
        _known(self.left, DELIMITERS, "delimiter")
        _known(self.right, DELIMITERS, "delimiter")


@dataclass(frozen=True, slots=True)
class Commas(Node):
    """Items separated by commas."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Apply(Node):
    """A function applied to arguments between brackets, "(" or "["."""

    function: Node
    arguments: tuple[Node, ...]
    bracket: Literal["(", "["] = "("


@dataclass(frozen=True, slots=True)
class Prefix(Node):
    """An operator written before what it acts on: a gradient, a differential."""

    operator: Node
    body: Node


@dataclass(frozen=True, slots=True)
class Big(Node):
    """A large operator with limits: "sum", "prod", or a word such as "max", "argmin", "lim"."""

    operator: str
    body: Node
    lower: Node | None = None
    upper: Node | None = None


@dataclass(frozen=True, slots=True)
class Integral(Node):
    """An integral over `variable`."""

    body: Node
    variable: Node
    lower: Node | None = None
    upper: Node | None = None


@dataclass(frozen=True, slots=True)
class Derivative(Node):
    """The operator d/dx (or partial) before its body; one (variable, order) per variable."""

    body: Node
    variables: tuple[tuple[Node, int], ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Accent(Node):
    """A mark over a letter: "hat", "bar", "tilde", "dot", "vec", or "overline" over anything."""

    body: Node
    kind: str

    def __post_init__(self) -> None:
        _known(self.kind, ACCENTS, "accent")


@dataclass(frozen=True, slots=True)
class Cases(Node):
    """A definition by cases; a condition given as `Text` ("otherwise") is written without "if"."""

    rows: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Matrix(Node):
    """A matrix by rows of equal length."""

    rows: tuple[tuple[Node, ...], ...]

    def __post_init__(self) -> None:
        if len({len(row) for row in self.rows}) > 1:
            raise UsageError("the rows of a matrix need equal lengths")


@dataclass(frozen=True, slots=True)
class Relation(Node):
    """Operands chained by relation signs: `operands[0] signs[0] operands[1] ...`."""

    operands: tuple[Node, ...]
    signs: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.operands) != len(self.signs) + 1:
            raise UsageError("a relation needs one sign between each two operands")
        for sign in self.signs:
            _known(sign, INFIX, "relation sign")


@dataclass(frozen=True, slots=True)
class Logic(Node):
    """Statements joined by "∧" or "∨"."""

    operands: tuple[Node, ...]
    sign: Literal["∧", "∨"]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """The negation of a statement."""

    body: Node


def applied_level(node: "Apply") -> Level:
    """How strongly an application holds together: `tanh (x)^2` would be read two ways."""
    function = node.function.base if isinstance(node.function, Superscript) else node.function
    return Level.POWER if isinstance(function, Operator | Subscript) else Level.ATOM


def begins_with_number(node: Node) -> bool:
    """Whether the first thing written is a digit, which needs a dot after another factor."""
    while not isinstance(node, Number):
        if isinstance(node, Superscript):
            node = node.base
        elif isinstance(node, Times):
            node = node.factors[0]
        elif isinstance(node, Fraction) and node.inline:
            node = node.numerator
        else:
            return False
    return True


def _known(value: str, table: Collection[str], kind: str) -> None:
    if value not in table:
        raise UsageError(f"unknown {kind} {value!r}; known: {' '.join(table)}")


def _parts(value: Any) -> Iterator[Node | None]:
    if value is None or isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item)
