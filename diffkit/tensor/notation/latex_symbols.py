r"""Names and letters of LaTeX formulas: what a symbol, a subscript, an accent stands for.

An input wins over a definition, a definition over a size symbol; rows of a matrix X answer to x_i.
What stands for nothing raises with the names that are known.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NoReturn

import sympy as sp

from diffkit.core.errors import ParseError, UnknownNameError, UsageError
from diffkit.symbolic.names import CONSTANTS
from diffkit.symbolic.tokens import visible
from diffkit.tensor.notation import latex_indices as ix
from diffkit.tensor.notation import latex_operations as ops
from diffkit.tensor.notation import open_array as oa
from diffkit.tensor.notation import open_matrices as om
from diffkit.tensor.notation.latex_definitions import Definition, lookup, spellings, within
from diffkit.tensor.notation.latex_grammar import parse
from diffkit.tensor.notation.lengths import Length
from diffkit.tensor.notation.open_array import OpenArray
from diffkit.tensor.notation.reading import Sizes, size_symbol
from diffkit.tensor.notation.syntax import RELATIONS, SIZE_NAMES, Token, Tree, unknown_name
from diffkit.tensor.views import View


@dataclass
class SymbolReader:
    """Computes the arrays of names; `build_<kind>` reads one kind of tree."""

    text: str
    names: Mapping[str, View]
    sizes: Sizes
    choices: Mapping[str, str]
    definitions: dict[str, Definition] = field(default_factory=dict)
    letters: ix.Letters = field(default_factory=ix.Letters)
    notes: dict[str, None] = field(default_factory=dict)
    open_choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    open: list[Length] = field(default_factory=list)
    factorisations: list[tuple[Length, Length, Length]] = field(default_factory=list)
    defined: dict[str, OpenArray | None] = field(default_factory=dict)
    ends: frozenset[str] = frozenset()
    rank: int | None = None

    @property
    def known(self) -> frozenset[str]:
        """Names the formula may use."""
        return frozenset({*self.names, *self.definitions, *self.sizes.values})

    def error(self, reason: str, tree: Tree) -> ParseError:
        """The error that refuses the text at a tree."""
        return ParseError(reason, visible(self.text), tree.position)

    def fail(self, reason: str, tree: Tree) -> NoReturn:
        """Refuse the text at a tree."""
        raise self.error(reason, tree)

    def note(self, sentence: str) -> None:
        """Say how a sign with several meanings was read."""
        self.notes.setdefault(sentence)

    def choose(self, name: str, options: tuple[str, ...]) -> str:
        """The meaning of a sign with several: as the caller chose, else the first."""
        self.open_choices[name] = options
        return self.choices.get(name, options[0])

    def open_length(self, name: str, position: int) -> Length:
        """A length that the rest of the formula must settle."""
        length = Length(name=name, position=position)
        self.open.append(length)
        return length

    # one tree -------------------------------------------------------------------------------------

    def value(self, tree: Tree) -> OpenArray:
        """The array of a tree; errors of arrays point at it, also when its view is made later."""
        return self.located(tree, lambda: getattr(self, f"build_{tree.kind}")(tree))

    def located(self, tree: Tree, compute: Callable[[], OpenArray]) -> OpenArray:
        """What `compute` returns; its errors point at a tree."""
        try:
            result = compute()
        except UsageError as error:
            self.relocate(error, tree)
        make = result.make

        def located_make() -> View:
            try:
                return make()
            except UsageError as error:
                self.relocate(error, tree)

        return oa.OpenArray(
            result.shape,
            located_make,
            result.indices,
            is_row=result.is_row,
            is_truth=result.is_truth,
            blocks=result.blocks,
        )

    def relocate(self, error: UsageError, tree: Tree) -> NoReturn:
        """Raise an error again with the place in the text, unless it has one."""
        if isinstance(error, ParseError | UnknownNameError):
            raise error
        self.fail(str(error), tree)

    def build_number(self, tree: Tree) -> OpenArray:
        """A number."""
        return oa.number(sp.Rational(tree.value.numerator, tree.value.denominator))

    def build_ones(self, tree: Tree) -> OpenArray:
        r"""\mathbf 1."""
        return oa.constant(1, (self.open_length("\\mathbf{1}", tree.position),))

    def build_zeros(self, tree: Tree) -> OpenArray:
        r"""\mathbf 0."""
        return oa.constant(0, (self.open_length("\\mathbf{0}", tree.position),))

    # names ----------------------------------------------------------------------------------------

    def named(self, tree: Tree) -> OpenArray | None:
        """The array that a tree names, None if it names none."""
        name = lookup(tree, self.names)
        if name is not None:
            return oa.given(self.names[name])
        name = lookup(tree, self.definitions)
        return None if name is None else self.defined_value(name, tree)

    def defined_value(self, name: str, tree: Tree) -> OpenArray:
        """The array of a definition, read once."""
        if name in self.defined:
            found = self.defined[name]
            if found is None:
                self.fail(f"{name} is defined by itself; give its value", tree)
            return found
        self.defined[name] = None
        definition = self.definitions[name]
        found = within(self.letters, definition.letters, lambda: self.define(definition))
        self.defined[name] = found
        return found

    def define(self, definition: Definition) -> OpenArray:
        """The array that a definition gives its name."""
        tree = parse(self.text, definition.right, self.known)
        result = oa.numeric(self.value(tree))
        if definition.factors:
            matrix = reduce(om.product, map(self.value, definition.factors))
            return self.located(tree, lambda: om.product(om.inverse(matrix), result))
        result = ix.ordered(self, result, tree)
        return oa.array(result.shape, result.make, is_row=result.is_row and not result.indices)

    def unknown(self, tree: Tree, name: str = "") -> UnknownNameError:
        """The error for a name that stands for nothing."""
        spelled = name or (spellings(tree) or ("?",))[0]
        known = sorted({*self.names, *self.definitions})
        remedy = f"define it: \\text{{where }} {spelled} = ..."
        return unknown_name(spelled, known, self.text, tree.position, remedy)

    def build_symbol(self, tree: Tree) -> OpenArray:
        """A letter."""
        name = tree.name
        if name in self.letters.bound and name not in self.names:
            return ix.index_value(self, name)
        found = self.named(tree)
        if found is not None:
            return found
        if name in self.sizes.values or name in SIZE_NAMES or name in self.ends:
            self.sizes.used.add(name)
            return oa.size(self.sizes.length(name), size_symbol(name))
        if name == "I":
            return oa.identity(self.open_length("I", tree.position))
        if name == "pi":
            self.note("pi is the number 3.14159...; no array is called so")
            return oa.number(CONSTANTS["pi"])
        raise self.unknown(tree)

    def build_accent(self, tree: Tree) -> OpenArray:
        r"""\hat y, and \bar x for a mean."""
        found = self.named(tree)
        if found is not None:
            return found
        (inner,) = tree.args
        if tree.name != "bar":
            raise self.unknown(tree)
        rows = self.rows_of(inner)
        if rows is not None and self.named(inner) is None:
            return ops.mean_row(self, rows)
        return ops.mean(self, self.value(inner))

    def rows_of(self, tree: Tree) -> OpenArray | None:
        """The matrix whose rows a small letter means: X for x_i."""
        if tree.kind != "symbol" or len(tree.name) != 1 or not tree.name.islower():
            return None
        matrix = self.named(Tree("symbol", tree.position, name=tree.name.upper()))
        return matrix if matrix is not None and matrix.rank >= 2 else None

    def build_subscript(self, tree: Tree) -> OpenArray:
        """A name with a subscript, or parts of an array."""
        (base,) = tree.args
        letters = ix.index_letters(tree.extra)
        is_index = bool(letters) and all(x in self.letters.bound for x in letters)
        found = None if is_index else self.named(tree)
        if found is not None:
            return found
        special = self.special_subscript(base, tree)
        if special is not None:
            return special
        array = self.named(base)
        if array is None:
            array = self.rows_of(base)
        if any(token.kind == "word" for token in tree.extra):
            raise self.unknown(tree)
        if array is None and base.kind == "symbol":
            raise self.unknown(tree if not letters else base)
        return ix.subscripted(self, self.value(base) if array is None else array, tree)

    def special_subscript(self, base: Tree, tree: Tree) -> OpenArray | None:
        r"""\delta_{ij}, I_n, e_i, 1_n and 1_{x > 0}; None for any other."""
        letters = ix.index_letters(tree.extra)
        is_free = base.kind == "symbol" and self.named(base) is None
        if is_free and base.name in ("delta", "I") and len(letters) == 2:
            return ix.delta(self, tree, letters)
        if is_free and base.name == "e" and len(tree.extra) == 1:
            (place,) = tree.extra
            if letters or place.kind == "number":
                return ix.unit_vector(self, tree, letters[0] if letters else int(place.value))
        if is_free and base.name == "I":
            return oa.identity(self.size_of(tree.extra, tree))
        is_one = base.kind == "ones" or (base.kind == "number" and base.value == 1)
        if not is_one and base.kind != "zeros":
            return None
        if is_one and any(token.text in RELATIONS or token.text == "=" for token in tree.extra):
            return oa.numeric(self.condition(self.parsed(tree.extra, tree)))
        sides = [[]]
        for token in tree.extra:
            sides.append([]) if token.text in ("times", "cdot", ",") else sides[-1].append(token)
        lengths = [self.size_of(side, tree) for side in sides]
        return oa.constant(1 if is_one else 0, lengths)

    def parsed(self, tokens: Sequence[Token], tree: Tree) -> Tree:
        """The tree of the tokens of a script."""
        inner = [token for token in tokens if token.text not in ("\\{", "\\}")]
        end = Token("end", "", tree.position, end=tree.position)
        return parse(self.text, [*inner, end], self.known)

    def size_of(self, tokens: Sequence[Token], tree: Tree) -> Length:
        """The length that a subscript of I or 1 names."""
        if len(tokens) == 1 and tokens[0].kind == "number":
            return Length(int(tokens[0].value))
        if len(tokens) == 1 and tokens[0].kind in ("letter", "command"):
            length = self.sizes.length(tokens[0].text)
            length.position = tree.position
            self.open.append(length)
            return length
        raise self.error("a size is a number or a letter: I_n, \\mathbf{1}_3", tree)

    def build_label(self, tree: Tree) -> OpenArray:
        """x^{(i)}."""
        found = self.named(tree)
        if found is not None:
            return found
        if tree.extra[0].kind == "letter":
            (base,) = tree.args
            array = self.named(base)
            array = self.rows_of(base) if array is None else array
            if array is not None:
                return ix.subscripted(self, array, tree)
        raise self.unknown(tree)

    def condition(self, tree: Tree) -> OpenArray:
        """A relation, or several in a row."""
        if tree.kind == "group":
            return self.condition(tree.args[0])
        if tree.kind != "compare":
            self.fail("a condition such as x > 0 is needed here", tree)
        sides = [self.value(arg) for arg in tree.args]
        pairs = zip(sides, tree.operators, sides[1:], strict=False)
        kinds = {**RELATIONS, "=": sp.Eq}
        return reduce(oa.both, (oa.compare(kinds[op], a, b) for a, op, b in pairs))
