"""Calls of array text whose arguments are not all arrays: shapes, lists, labels, entries."""

import string
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, NoReturn

import sympy as sp

from diffkit.tensor import views
from diffkit.tensor.notation import open_array as oa
from diffkit.tensor.notation import open_matrices as om
from diffkit.tensor.notation.lengths import Length, is_known, shape_of
from diffkit.tensor.notation.open_array import OpenArray
from diffkit.tensor.notation.syntax import Tree
from diffkit.tensor.views import View

#: Entries of an array of numbers that text may ask for.
MAX_ENTRIES = 10**6

#: Methods of arrays and the functions they are.
METHODS: Mapping[str, str] = {
    **{name: name for name in "sum mean prod max min var std dot trace diagonal cumsum".split()},
    **{name: name for name in "reshape ravel flatten transpose squeeze swapaxes".split()},
}

#: The reader of text (`matrix_text._TextReader`), whose methods forms call.
Reader = Any


def place_of(tree: Tree | None) -> int | None:
    """The whole number a tree spells, else None."""
    if tree is None:
        return None
    if tree.kind == "negate":
        inner = place_of(tree.args[0])
        return None if inner is None else -inner
    if tree.kind != "number" or tree.value.denominator != 1:
        return None
    return int(tree.value)


def _lengths(reader: Reader, tree: Tree) -> tuple[Length, ...]:
    parts = tree.args if tree.kind in ("tuple", "list") else (tree,)
    lengths = tuple(reader.length(part) for part in parts)
    if is_known(lengths) and prod(shape_of(lengths)) > MAX_ENTRIES:
        reader.fail(f"an array of numbers has at most {MAX_ENTRIES} entries here", tree)
    return lengths


def _positional(reader: Reader, tree: Tree, least: int, most: int) -> None:
    """Check the number of arguments; a dtype changes nothing in exact arithmetic."""
    wrong = [name for name, _ in tree.keywords if name not in ("dtype", "shape")]
    if wrong or not least <= len(tree.args) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        plural = "s" if most > 1 else ""
        reader.fail(f"{tree.name} takes {wanted} argument{plural}", tree)


def filled(value: int) -> Callable[[Reader, Tree], OpenArray]:
    """Ones or zeros."""

    def form(reader: Reader, tree: Tree) -> OpenArray:
        _positional(reader, tree, 1, 2)
        return oa.constant(value, _lengths(reader, tree.args[0]))

    return form


def full(reader: Reader, tree: Tree) -> OpenArray:
    """One value everywhere."""
    _positional(reader, tree, 2, 2)
    ones = oa.constant(1, _lengths(reader, tree.args[0]))
    return oa.multiply(ones, reader.value(tree.args[1]))


def eye(reader: Reader, tree: Tree) -> OpenArray:
    """The identity matrix, or ones on another diagonal."""
    offset = [place_of(value) for name, value in tree.keywords if name == "k"]
    plain = Tree(tree.kind, tree.position, tree.name, tree.args)
    _positional(reader, plain, 1, 2)
    rows, *columns = (_lengths(reader, arg)[0] for arg in tree.args)
    if not columns and not offset:
        return oa.identity(rows)
    if offset == [None]:
        reader.fail("the offset k is a whole number", tree)
    shift = (offset[0] if offset else 0) or 0
    lengths = (rows, columns[0] if columns else rows)

    def make() -> View:
        height, width = shape_of(lengths)
        return views.eye(height, width, shift)

    return oa.array(lengths, make)


def where(reader: Reader, tree: Tree) -> OpenArray:
    """A choice entry by entry."""
    _positional(reader, tree, 3, 3)
    condition, *branches = tree.args
    return oa.choose(reader.condition(condition), *map(reader.value, branches))


def einsum(reader: Reader, tree: Tree) -> OpenArray:
    """Products over labelled axes."""
    return reader.einsum(tree)


def check_einsum(reader: Reader, tree: Tree) -> tuple[list[str], str]:
    """Labels of the operands and of the result.

    Raises:
        ParseError: they are no labels, or their number is wrong.
    """
    if not tree.args or tree.args[0].kind != "quoted":
        reader.fail("einsum begins with its labels: einsum('ij,jk->ik', A, B)", tree)
    labels = tree.args[0].name.replace(" ", "")
    left, arrow, out = labels.partition("->")
    inputs = left.split(",")
    if not set(left + out) <= set(string.ascii_letters + ","):
        reader.fail("labels are letters: 'ij,jk->ik'", tree.args[0])
    if not arrow:
        out = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    if len(inputs) != len(tree.args) - 1 or len(set(out)) < len(out) or not set(out) <= set(left):
        reader.fail(f"these labels do not fit {len(tree.args) - 1} arrays", tree.args[0])
    return inputs, out


def slogdet(reader: Reader, tree: Tree) -> NoReturn:
    """Refused without an index."""
    raise reader.error("slogdet(X)[1] is the logarithm, slogdet(X)[0] the sign", tree)


def logarithm(reader: Reader, tree: Tree) -> OpenArray:
    """log; of a determinant it is the logarithm of its absolute value."""
    _positional(reader, tree, 1, 1)
    (inner,) = tree.args
    if inner.kind == "call" and inner.name == "det" and len(inner.args) == 1:
        return om.determinant(reader.value(inner.args[0]), "logabsdet")
    return oa.scalar_function(sp.log, "log", reader.value(inner))


def singular_values(reader: Reader, tree: Tree) -> OpenArray:
    """svd(X, compute_uv=False)."""
    flags = dict(tree.keywords)
    flag = flags.get("compute_uv")
    if len(tree.args) != 1 or flag is None or flag.name != "False":
        reader.fail("svd is read as svd(X, compute_uv=False), the singular values", tree)
    plain = Tree("call", tree.position, "svdvals", tree.args, extra=("",))
    return reader.build(plain)


def literal_array(reader: Reader, tree: Tree) -> OpenArray:
    """array([[1, 2], [3, 4]]): entries are numbers."""
    _positional(reader, tree, 1, 2)
    (inner, *_) = tree.args
    if inner.kind not in ("list", "tuple"):
        return reader.value(inner)
    return stacked(reader, inner)


def stacked(reader: Reader, tree: Tree) -> OpenArray:
    """Nested lists as an array."""
    if tree.kind not in ("list", "tuple"):
        return reader.value(tree)
    parts = [stacked(reader, arg) for arg in tree.args]
    if not parts:
        reader.fail("an empty list is no array", tree)
    if len({part.rank for part in parts}) > 1:
        reader.fail("the rows of an array have one shape", tree)

    def join(*rows: View) -> View:
        return views.concatenate([views.expand(row, 0) for row in rows], 0)

    return oa.apply(join, *parts)


def stack(reader: Reader, tree: Tree) -> OpenArray:
    """Arrays of one shape along a new first axis."""
    _positional(reader, tree, 1, 1)
    return stacked(reader, _list_of(reader, tree))


def _list_of(reader: Reader, tree: Tree) -> Tree:
    if not tree.args or tree.args[0].kind not in ("list", "tuple") or not tree.args[0].args:
        reader.fail(f"{tree.name} takes a list of arrays: {tree.name}([A, B])", tree)
    return tree.args[0]


def _joined(axis: int | None) -> Callable[[Reader, Tree], OpenArray]:
    def form(reader: Reader, tree: Tree) -> OpenArray:
        parts = [reader.value(arg) for arg in _list_of(reader, tree).args]
        asked = [value for name, value in tree.keywords if name == "axis"] or list(tree.args[1:])
        place = reader.option_whole(asked[0]) if asked else 0
        if axis is not None:
            place = axis if parts[0].rank > 1 else 0
        if any(x.rank != parts[0].rank or not x.rank for x in parts):
            reader.fail("arrays of one rank are joined", tree)
        if not -parts[0].rank <= place < parts[0].rank:
            reader.fail(f"there is no axis {place}", tree)
        return oa.apply(lambda *v: views.concatenate(v, place % v[0].rank), *parts)

    return form


def block(reader: Reader, tree: Tree) -> OpenArray:
    """A matrix made of matrices."""
    rows = _list_of(reader, tree).args
    if any(row.kind != "list" for row in rows):
        reader.fail("block takes rows of matrices: block([[A, B], [C, D]])", tree)
    cells = [[reader.value(cell) for cell in row.args] for row in rows]
    flat = [cell for row in cells for cell in row]
    if len({len(row) for row in cells}) != 1 or any(cell.rank != 2 for cell in flat):
        reader.fail("block takes rows of as many matrices", tree)
    width = len(cells[0])

    def join(*parts: View) -> View:
        lines = [views.concatenate(parts[k : k + width], 1) for k in range(0, len(parts), width)]
        return views.concatenate(lines, 0)

    return oa.apply(join, *flat)


def length(reader: Reader, tree: Tree) -> OpenArray:
    """len(x)."""
    _positional(reader, tree, 1, 1)
    return reader.length_of(tree.args[0], Tree("number", tree.position))


def relative(name: str) -> Callable[[Reader, Tree], OpenArray]:
    """NumPy's names of the operators."""

    def form(reader: Reader, tree: Tree) -> OpenArray:
        _positional(reader, tree, 2, 2)
        kind = {"+": "sum", "-": "sum", "*": "product", "/": "product"}[name]
        plain = Tree(kind, tree.position, args=tree.args, operators=(name,))
        return reader.build(plain)

    return form


FORMS: Mapping[str, Callable[[Reader, Tree], OpenArray]] = {
    "ones": filled(1),
    "zeros": filled(0),
    "full": full,
    "eye": eye,
    "identity": eye,
    "where": where,
    "einsum": einsum,
    "slogdet": slogdet,
    "log": logarithm,
    "svd": singular_values,
    "array": literal_array,
    "asarray": literal_array,
    "stack": stack,
    "vstack": _joined(0),
    "hstack": _joined(1),
    "concatenate": _joined(None),
    "block": block,
    "len": length,
    "add": relative("+"),
    "subtract": relative("-"),
    "multiply": relative("*"),
    "divide": relative("/"),
    "true_divide": relative("/"),
    "negative": lambda reader, tree: reader.build_negate(tree),
}


# entries ------------------------------------------------------------------------------------------


def take_entries(reader: Reader, x: OpenArray, entries: Sequence[Tree]) -> OpenArray:
    """x[entries], as NumPy's basic indexing; entries count from 0."""
    x = oa.numeric(x)
    axes = [e for e in entries if e.kind != "ellipsis" and not _is_new(e)]
    if len(axes) > x.rank:
        reader.fail(f"{len(axes)} indices for an array of {x.rank} axes", axes[x.rank])
    if sum(e.kind == "ellipsis" for e in entries) > 1:
        reader.fail("an index has one ... at most", entries[-1])
    missing = x.rank - len(axes)
    axis = 0
    for entry in entries:
        if entry.kind == "ellipsis":
            axis += missing
        elif _is_new(entry):
            x = _expanded(x, axis)
            axis += 1
        elif entry.kind == "slice":
            x = _sliced(reader, x, axis, entry)
            axis += 1
        else:
            place = place_of(entry)
            if place is None:
                reader.fail("an index is a whole number, a slice or None", entry)
            x = reader.located(entry, partial(oa.at, x, axis, int(place or 0)))
    return x


def _is_new(entry: Tree) -> bool:
    return entry.kind == "name" and entry.name in ("None", "newaxis")


def _expanded(x: OpenArray, axis: int) -> OpenArray:
    shape = (*x.shape[:axis], Length(1), *x.shape[axis:])
    return oa.array(shape, lambda: views.expand(x.make(), axis))


def _sliced(reader: Reader, x: OpenArray, axis: int, entry: Tree) -> OpenArray:
    if all(arg is None for arg in entry.args):
        return x
    size = x.own[axis].value or 0
    if x.own[axis].value is None:
        reader.fail("the size of this array is not known here; write eye(4)", entry)
    bounds = [place_of(arg) for arg in entry.args]
    if any(b is None and arg is not None for b, arg in zip(bounds, entry.args, strict=True)):
        reader.fail("the ends of a slice are whole numbers", entry)
    if bounds[2] == 0:
        reader.fail("the step of a slice is not 0", entry)
    chosen = range(size)[slice(*bounds)]
    shape = (*x.shape[:axis], Length(len(chosen)), *x.shape[axis + 1 :])
    return oa.array(
        shape,
        lambda: views.select_linear(x.make(), axis, len(chosen), chosen.step, chosen.start),
    )
