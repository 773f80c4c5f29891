r"""Index letters of LaTeX formulas: subscripts, \sum and its kin, \delta_{ij}, unit vectors.

An index letter is an axis of the array it stands on.  A letter bound by \sum ends with it; a free
one is an axis of the result.  Where the left side of an equation names the free letters, a letter
on two factors of a product and not among them is summed (Einstein's convention).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp

from diffkit.core.errors import ParseError
from diffkit.symbolic.tokens import visible
from diffkit.tensor import views
from diffkit.tensor.notation import open_array as oa
from diffkit.tensor.notation.latex_scripts import entries_of
from diffkit.tensor.notation.lengths import Length, shape_of, tie
from diffkit.tensor.notation.open_array import OpenArray
from diffkit.tensor.notation.syntax import SIZE_NAMES, Token, Tree
from diffkit.tensor.views import View

#: The reader of LaTeX (`matrix_latex._LatexReader`).
Reader = Any


@dataclass
class Letters:
    """The index letters of one formula.

    Args:
        declared: Letters that the left side names; None without one.
    """

    declared: tuple[str, ...] | None = None
    free: dict[str, Length] = field(default_factory=dict)
    bound: dict[str, tuple[Length, int]] = field(default_factory=dict)
    summed: dict[str, int] = field(default_factory=dict)
    traced: set[str] = field(default_factory=set)

    def length(self, letter: str, position: int) -> Length:
        """Length of the axis of a letter, bound or free."""
        if letter in self.bound:
            return self.bound[letter][0]
        name = f"the index {letter}"
        return self.free.setdefault(letter, Length(name=name, position=position))

    def is_open(self, letter: str) -> bool:
        """Whether a repeated letter is summed: the left side does not name it, no sum binds it."""
        return (
            self.declared is not None and letter not in self.declared and letter not in self.bound
        )


# subscripts ---------------------------------------------------------------------------------------


def subscripted(reader: Reader, base: OpenArray, tree: Tree) -> OpenArray:
    """Entries, rows or blocks of an array."""
    entries = entries_of(tree.extra, visible(reader.text))
    is_row = base.rank == 2 and len(entries) == 2 and entries[0] is not None and entries[1] is None
    if base.blocks and len(entries) == 2 and all(isinstance(e, int) for e in entries):
        return _block(reader, base, [e for e in entries if isinstance(e, int)], tree)
    if len(entries) == 1 and isinstance(entries[0], int) and base.rank == 2 and entries[0] > 9:
        entries = [int(digit) for digit in str(entries[0])]
    if len(entries) > base.rank:
        reader.fail(f"{len(entries)} indices for an array of {base.rank} axes", tree)
    places: list[str | int | None] = []
    for axis, entry in enumerate(entries):
        if isinstance(entry, int):
            if entry == 0:
                reader.fail("entries count from 1 in LaTeX; x_1 is the first", tree)
            places.append(entry - 1)
        elif entry is None:
            places.append(None)
        else:
            tie(reader.letters.length(entry, tree.position), base.own[axis])
            places.append(entry)
    repeated = [e for e in places if isinstance(e, str) and places.count(e) > 1]
    result = oa.subscript(base, places)
    gone = {e for e in repeated if reader.letters.is_open(e)}
    reader.letters.traced |= gone
    return oa.sum_over(result, sorted(gone)) if gone else replace(result, is_row=is_row)


def _block(reader: Reader, base: OpenArray, entries: Sequence[int], tree: Tree) -> OpenArray:
    """One block of a block matrix, counted from 1."""
    if base.blocks is None:
        raise AssertionError("a block of an array without blocks")
    starts: list[Sequence[Length]] = []
    for place, lengths in zip(entries, base.blocks, strict=True):
        if not 1 <= place <= len(lengths):
            reader.fail(f"there is no block {place} of {len(lengths)}", tree)
        starts.append(lengths[: place - 1])
    shape = tuple(lengths[k - 1] for k, lengths in zip(entries, base.blocks, strict=True))

    def make() -> View:
        result = base.make()
        for axis, before in enumerate(starts):
            start, length = sum(shape_of(before)), shape_of([shape[axis]])[0]
            result = views.select_linear(result, axis, length, 1, start)
        return result

    return oa.array(shape, make)


def delta(reader: Reader, tree: Tree, letters: Sequence[str]) -> OpenArray:
    r"""\delta_{ij}."""
    left, right = letters
    first, second = (reader.letters.length(letter, tree.position) for letter in letters)
    tie(first, second)
    if left == right:
        return oa.array((first,), lambda: views.number(1, shape_of([first])), (left,))
    return oa.identity(first, (left, right))


def unit_vector(reader: Reader, tree: Tree, place: str | int) -> OpenArray:
    """e_i, of the size that the formula asks for."""
    if isinstance(place, str):
        length = reader.letters.length(place, tree.position)
        return oa.array((length, length), lambda: views.eye(shape_of([length])[0]), (place,))
    length = reader.open_length(f"e_{place}", tree.position)

    def make() -> View:
        (n,) = shape_of([length])
        if not 1 <= place <= n:
            reader.fail(f"there is no unit vector {place} of size {n}; entries count from 1", tree)
        return views.index(views.eye(n), 0, place - 1)

    return oa.array((length,), make)


def index_letters(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The letters of a subscript made of single lower-case letters, else ()."""
    letters = [t for t in tokens if t.text != ","]
    if not letters or any(t.kind != "letter" or not t.text.islower() for t in letters):
        return ()
    return tuple(t.text for t in letters)


# sums and their kin -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    r"""What stands under a \sum.

    Args:
        letters: The letters it binds.
        start: Where it counts from, 0 or 1.
        conditions: Relations between two letters.
    """

    letters: tuple[str, ...]
    start: int
    conditions: tuple[tuple[str, str, str], ...]


def read_range(reader: Reader, tree: Tree) -> Range:
    """The letters under a sum, and what is said of them."""
    letters: list[str] = []
    conditions: list[tuple[str, str, str]] = []
    start = 1
    for part in _parts(tree.extra[0]):
        texts = [token.text for token in part]
        relation = next((t for t in texts if t in ("=", "<", "!=", "<=", ">")), None)
        if relation is None:
            letters += [_letter(reader, token, tree) for token in part]
        elif relation == "=" and len(part) == 3 and part[2].kind == "number":
            letters.append(_letter(reader, part[0], tree))
            start = int(part[2].value)
        elif relation in ("<", "!=", ">") and len(part) == 3:
            left, right = (_letter(reader, part[k], tree) for k in (0, 2))
            pair = (left, right) if relation != ">" else (right, left)
            conditions.append((pair[0], "<" if relation != "!=" else "!=", pair[1]))
            known = {*reader.letters.bound, *(reader.letters.declared or ()), *letters}
            letters += [x for x in (left, right) if x not in known]
        else:
            reader.fail(f"a {tree.name} runs over whole axes: \\{tree.name}_{{i=1}}^n", tree)
    if start not in (0, 1):
        reader.fail(f"a {tree.name} runs over whole axes: it begins at i=1", tree)
    return Range(tuple(letters), start, tuple(conditions))


def ends_of_sums(tokens: Sequence[Token]) -> frozenset[str]:
    r"""Letters above a \sum or \prod, which are lengths: T in \sum_{t=1}^T.

    >>> from diffkit.tensor.notation.latex_tokens import tokenise
    >>> ends_of_sums(tokenise(r"\frac1T\sum_{t=1}^T r_t"))
    frozenset({'T'})
    """
    found: set[str] = set()
    for place, token in enumerate(tokens):
        if token.kind == "command" and token.text in ("sum", "prod"):
            found |= {t.text for t in _end_of_sum(tokens, place + 1) if t.kind == "letter"}
    return frozenset(found)


def _end_of_sum(tokens: Sequence[Token], place: int) -> list[Token]:
    """The first token above a sum whose scripts begin at `place`."""
    while place + 1 < len(tokens) and tokens[place].text in ("_", "^"):
        inner = _script(tokens, place + 1)
        if tokens[place].text == "^":
            return inner[:1]
        place += len(inner) + (3 if tokens[place + 1].text == "{" else 1)
    return []


def _parts(tokens: Sequence[Token]) -> list[list[Token]]:
    """Tokens between commas; "i,j" and "i=1, j=1" alike."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.text == ",":
            parts.append([])
        elif token.text not in ("{", "}"):
            parts[-1].append(token)
    return [part for part in parts if part]


def _letter(reader: Reader, token: Token, tree: Tree) -> str:
    is_letter = token.kind == "letter" or (token.kind == "command" and token.text.isalpha())
    if not is_letter or token.text in ("in", "sim", "mid"):
        reader.fail(f"a {tree.name} runs over whole axes: \\{tree.name}_{{i=1}}^n", tree)
    return token.text


def big_operator(reader: Reader, tree: Tree) -> OpenArray:
    r"""\sum, \prod, \max or \min over index letters; without letters over all entries."""
    (body,) = tree.args
    scope = read_range(reader, tree)
    if not scope.letters:
        if tree.extra[1]:
            reader.fail(f"name the index: \\{tree.name}_{{i=1}}^n", tree)
        return _over_entries(reader, tree, reader.value(body))
    lengths = {x: Length(name=f"the index {x}", position=tree.position) for x in scope.letters}
    for letter in scope.letters:
        if letter in reader.letters.bound or letter in reader.names:
            what = "an input" if letter in reader.names else "an index already"
            reader.fail(f"{letter} is {what}; call this index otherwise", tree)
        reader.letters.summed[letter] = tree.position
    before = dict(reader.letters.bound)
    reader.letters.bound |= {x: (length, scope.start) for x, length in lengths.items()}
    _bind_end(reader, tree, scope, lengths)
    value = oa.numeric(reader.value(body))
    for condition in scope.conditions:
        value = oa.multiply(_mask(reader, condition, tree), value)
    reader.letters.bound = before
    return _closed(reader, tree, value, lengths)


def _closed(
    reader: Reader, tree: Tree, value: OpenArray, lengths: Mapping[str, Length]
) -> OpenArray:
    """The operator applied over letters; one that the body lacks only counts."""
    carried = [letter for letter in lengths if letter in value.indices]
    missing = [letter for letter in lengths if letter not in value.indices]
    if tree.name != "sum":
        result = oa.reduce_over(tree.name, value, carried) if carried else value
        if missing and tree.name == "prod":
            reader.fail(f"the index {missing[0]} does not occur in this product", tree)
        return result
    result = oa.sum_over(value, carried) if carried else value
    for letter in missing:
        result = oa.multiply(oa.size(lengths[letter]), result)
    return result


def _over_entries(reader: Reader, tree: Tree, value: OpenArray) -> OpenArray:
    if not value.rank:
        reader.fail(f"name the index: \\{tree.name}_i x_i", tree)
    letters = [f"entry {k}" for k in range(value.rank)]
    flat = oa.subscript(value, letters)
    return oa.sum_over(flat, letters) if tree.name == "sum" else oa.reduce_over(
        tree.name, flat, letters
    )  # fmt: skip


def _bind_end(reader: Reader, tree: Tree, scope: Range, lengths: Mapping[str, Length]) -> None:
    """Let the end of a sum be the length of its axis: n, or n-1 when it counts from 0."""
    tokens = tree.extra[1]
    if not tokens:
        return
    texts = [token.text for token in tokens]
    is_shifted = len(tokens) == 3 and texts[1:] == ["-", "1"]
    if is_shifted != (scope.start == 0) or len(tokens) not in (1, 3):
        first, last = (1, "n") if scope.start == 1 else (0, "{n-1}")
        reader.fail(f"a sum runs over a whole axis: \\sum_{{i={first}}}^{last}", tree)
    (end, *_) = tokens
    for length in lengths.values():
        if end.kind == "number":
            tie(length, Length(int(end.value) + (1 if is_shifted else 0)))
        elif end.text in reader.names and not reader.names[end.text].rank:
            reader.fail(f"{end.text} is an input; a sum runs over a whole axis", tree)
        elif end.kind == "letter" and (end.text in SIZE_NAMES or end.text.isalpha()):
            tie(length, reader.sizes.length(end.text))
        else:
            reader.fail("a sum ends at a number or a letter such as n", tree)


def _mask(reader: Reader, condition: tuple[str, str, str], tree: Tree) -> OpenArray:
    """1 where i != j, or i < j."""
    left, relation, right = condition
    first, second = (reader.letters.length(x, tree.position) for x in (left, right))
    tie(first, second)

    def make() -> View:
        (n,) = shape_of([first])
        if relation == "<":
            return views.triangle(views.number(1, (n, n)), 1, upper=True)
        return views.add(views.number(1, (n, n)), views.eye(n), -1)

    return oa.array((first, second), make, (left, right))


def index_value(reader: Reader, letter: str) -> OpenArray:
    """A bound index as a number."""
    length, start = reader.letters.bound[letter]

    def make() -> View:
        (n,) = shape_of([length])
        return views.array([sp.Integer(start + k) for k in range(n)], (n,))

    return oa.array((length,), make, (letter,))


# products and results -----------------------------------------------------------------------------


def contracted(reader: Reader, result: OpenArray, factors: Sequence[OpenArray], tree: Tree) -> Any:
    """A product, summed over open letters that two of its factors carry."""
    if reader.letters.declared is None:
        return result
    gone = []
    for letter in result.indices:
        count = sum(letter in x.indices for x in factors)
        if reader.letters.is_open(letter) and count > 1:
            if count > 2 or letter in reader.letters.traced:
                reader.fail(f"the index {letter} occurs thrice; write \\sum_{letter}", tree)
            gone.append(letter)
    return oa.sum_over(result, gone) if gone else result


def left_letters(tokens: Sequence[Token], names: Sequence[str]) -> tuple[str, ...]:
    r"""The index letters that the left side of an equation names, in order.

    >>> from diffkit.tensor.notation.latex_tokens import tokenise
    >>> left_letters(tokenise(r"\frac{\partial Y_{ij}}{\partial X_{kl}}"), ["X"])
    ('i', 'j', 'k', 'l')
    """
    found: list[str] = []
    for place, token in enumerate(tokens):
        if token.text != "_" or token.kind != "symbol":
            continue
        inner = _script(tokens, place + 1)
        if place and tokens[place - 1].text == "nabla":
            continue
        letters = index_letters(inner)
        base = tokens[place - 1].text if place else ""
        joined = "".join(letters)
        if f"{base}_{joined}" in names or f"{base}{joined}" in names:
            continue
        found += [letter for letter in letters if letter not in names]
    return tuple(dict.fromkeys(found))


def _script(tokens: Sequence[Token], start: int) -> list[Token]:
    if start >= len(tokens):
        return []
    if tokens[start].text != "{":
        return [tokens[start]]
    stop = next((k for k in range(start, len(tokens)) if tokens[k].text == "}"), start)
    return list(tokens[start + 1 : stop])


def ordered(reader: Reader, result: OpenArray, tree: Tree) -> OpenArray:
    """The result with its index axes in the order of the left side, else of the alphabet.

    Raises:
        ParseError: a letter is free that the left side does not name, or is summed elsewhere.
    """
    declared = reader.letters.declared
    for letter in result.indices:
        if letter in reader.letters.summed:
            raise ParseError(
                f"the index {letter} is summed here and free elsewhere; put the terms of the sum "
                "in parentheses or call one of them otherwise",
                visible(reader.text),
                reader.letters.summed[letter],
            )
        if declared is not None and letter not in declared:
            reader.fail(
                f"the index {letter} is on the right side only; write \\sum_{letter} or name it "
                "on the left",
                tree,
            )
    if declared is None:
        order = tuple(sorted(result.indices))
    else:
        # A letter that only the left side has: f_i = 1, but also the argument of L(x_i) = ...
        is_short = reader.rank is None or len(result.shape) < reader.rank
        extra = {x for x in declared if is_short and _has_length(reader, x)}
        order = tuple(x for x in declared if x in result.indices or x in extra)
    return _laid(reader, result, order, tree)


def _has_length(reader: Reader, letter: str) -> bool:
    length = reader.letters.free.get(letter)
    return length is not None and length.value is not None


def _laid(reader: Reader, result: OpenArray, order: tuple[str, ...], tree: Tree) -> OpenArray:
    lengths = [
        result.length(x) if x in result.indices else reader.letters.length(x, tree.position)
        for x in order
    ]

    def make() -> View:
        found = result.make()
        places = [result.indices.index(x) for x in order if x in result.indices]
        rest = range(len(result.indices), found.rank)
        found = views.transpose(found, (*places, *rest))
        for place, x in enumerate(order):
            if x not in result.indices:
                found = views.expand(found, place, shape_of([lengths[place]])[0])
        return found

    return oa.array((*lengths, *result.own), make, order)
