"""How each kind of form is written, and its transpose where that is not a sign after it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sympy as sp

from diffkit import typeset as ts
from diffkit.symbolic.layout import layout as scalar_layout
from diffkit.tensor.printing.forms import Form, Ref, Split, flip, is_literal
from diffkit.tensor.printing.layout_products import exact, raised_to, times

if TYPE_CHECKING:
    from diffkit.tensor.printing.writing import Writer

Rule = Callable[["Writer", Any], ts.Node]


def _leaf(write: "Writer", form: Form) -> ts.Node:
    assert form.tree is not None
    return form.tree


def _scaled(write: "Writer", form: Form) -> ts.Node:
    return write.term(write.forms.split(Ref(form)))


def _sum(write: "Writer", form: Form) -> ts.Node:
    return write.linear(list(zip(form.params, form.args, strict=True)))


def _word(word: str) -> ts.Node:
    return ts.Operator(word)


def _call(write: "Writer", form: Form) -> ts.Node:
    word, *extra = form.params
    special = CALLS.get(word)
    if special is not None:
        return special(write, form)
    numbers = [exact(sp.Integer(n)) for n in extra]
    return ts.Apply(_word(word), (*map(write, form.args), *numbers))


def _log_abs_det(write: "Writer", form: Form) -> ts.Node:
    inside = ts.call("det", *map(write, form.args))
    return ts.Times((_word("log"), ts.Fence(inside, "|", "|")))


def _log_det(write: "Writer", form: Form) -> ts.Node:
    return ts.Times((_word("log"), ts.call("det", *map(write, form.args))))


def _sign_det(write: "Writer", form: Form) -> ts.Node:
    return ts.call("sign", ts.call("det", *map(write, form.args)))


def _diag(write: "Writer", form: Form) -> ts.Node:
    """diag(v**a) is diag(v)**a."""
    (arg,) = form.args
    inner = arg.form
    is_power = inner.op == "hadamard" and len(inner.args) == 1 and inner not in write.names
    if form.rank == 2 and is_power:
        base = ts.call("diag", write(inner.args[0]))
        return ts.Superscript(base, raised_to(inner.params[0]))
    return ts.call("diag", write(arg))


CALLS: dict[str, Rule] = {
    "logabsdet": _log_abs_det,
    "log det": _log_det,
    "detsign": _sign_det,
    "diag": _diag,
}


def _total(write: "Writer", form: Form) -> ts.Node:
    (arg,) = form.args
    ones = write.forms.ones
    if write.sums == "word":
        return ts.call("sum", write(arg))
    left = ts.Transpose(write(ones))
    factors = [left, *write.chain(arg)]
    return ts.Times((*factors, write(ones)) if arg.rank == 2 else tuple(factors), "matrix")


def _raised(write: "Writer", form: Form) -> ts.Node:
    (exponent,) = form.params
    base = write(form.args[0])
    if exponent == "e":
        return ts.Superscript(ts.Glyph("e"), base)
    if exponent == "+":
        return ts.Superscript(base, ts.Mark("+"))
    return ts.Superscript(base, exact(sp.Integer(exponent)))


def _batched(write: "Writer", form: Form) -> ts.Node:
    """A function of every matrix of a batch."""
    kind, *numbers = form.params
    exponent = {"inv": -1, "power": numbers[0] if numbers else 1}.get(kind)
    if exponent is not None:
        return ts.Superscript(write(form.args[0]), exact(sp.Integer(exponent)))
    return ts.call(kind, *map(write, form.args))


def _inverse_transpose(write: "Writer", form: Form) -> ts.Node | None:
    if form.params != (-1,):
        return None
    base = write(form.args[0])
    return ts.Superscript(base, ts.Negative(ts.Glyph("transpose")))


def _norm(write: "Writer", form: Form) -> ts.Node:
    (kind,) = form.params
    fence = ts.Fence(write(form.args[0]), "‖", "‖")
    if not kind:
        return fence
    return ts.Subscript(fence, ts.Name(kind) if kind == "F" else ts.Number(kind))


def _bracket(write: "Writer", form: Form) -> ts.Node:
    inside = write(form.args[0])
    return ts.Fence(ts.Not(ts.Fence(inside)) if form.params else inside, "[", "]")


def _where(write: "Writer", form: Form) -> ts.Node:
    condition, on_true, on_false = map(write, form.args)
    return ts.Cases(((on_true, condition), (on_false, ts.Text("otherwise"))))


def _opaque(write: "Writer", form: Form) -> ts.Node:
    name, index = form.params
    *operators, last = map(ts.Operator, name.split())
    function: ts.Node = ts.Subscript(last, ts.Number(str(index))) if index else last
    for operator in reversed(operators):  # "D sort" is the derivative of sort
        function = ts.Prefix(operator, function)
    return ts.Apply(function, tuple(map(write, form.args)))


def _mask(write: "Writer", form: Form) -> ts.Node:
    return _triangle(write, "tril", form.params[0])


def _flipped_mask(write: "Writer", form: Form) -> ts.Node:
    return _triangle(write, "triu", -form.params[0])


def _triangle(write: "Writer", side: str, offset: int) -> ts.Node:
    ones = write(write.forms.ones)
    whole = ts.Times((ones, ts.Transpose(ones)), "matrix")
    numbers = (exact(sp.Integer(offset)),) if offset else ()
    return ts.call(side, whole, *numbers)


def _unit(write: "Writer", form: Form) -> ts.Node:
    letter = ts.Name("e") if "e" not in write.taken else ts.Operator("unit")
    return ts.Subscript(letter, ts.Number(str(form.params[0] + 1)))


def _entry(write: "Writer", form: Form) -> ts.Node:
    """An entry of a vector, or a row or column of a matrix."""
    place, *axis = form.params
    number = ts.Number(str(place + 1))
    if not axis:
        return ts.Subscript(write(form.args[0]), number)
    return ts.Subscript(write(form.args[0]), _along(axis[0], (number,)))


def _along(axis: int, span: tuple[ts.Node, ...]) -> ts.Node:
    """The index of some rows (axis 0) or columns of a matrix."""
    rest = ts.Mark(",")
    whole = ts.Mark(":")
    return ts.Row((*span, rest, whole) if axis == 0 else (whole, rest, *span))


def _pad(write: "Writer", form: Form) -> ts.Node:
    before, _, after = form.params
    return ts.call("pad", write(form.args[0]), ts.Number(str(before)), ts.Number(str(after)))


def _stack(write: "Writer", form: Form) -> ts.Node:
    return ts.Matrix(tuple((write(arg),) for arg in form.args))


def _slice(write: "Writer", form: Form) -> ts.Node:
    """x_{first:last}, or first:step:last."""
    axis, first, last, step = form.params
    ends = [first + 1, *([step] if step != 1 else []), last + 1]
    items: list[ts.Node] = []
    for end in ends:
        items += [ts.Mark(":")] if items else []
        items += [ts.Mark("-")] if end < 0 else []
        items.append(ts.Number(str(abs(end))))
    tree = write(form.args[0])
    span = tuple(items)
    return ts.Subscript(tree, ts.Row(span) if form.rank == 1 else _along(axis, span))


def _constant(write: "Writer", form: Form) -> ts.Node:
    values, shape = form.params
    if not is_literal(values):
        return ts.Text(f"a constant of shape {shape}")
    width = shape[-1]
    cells = [scalar_layout(value) for value in values]
    rows = [tuple(cells[k : k + width]) for k in range(0, len(cells), width)]
    if len(shape) == 1:
        return ts.Fence(ts.Commas(rows[0]), "[", "]")
    return ts.Matrix(tuple(rows))


RULES: dict[str, Rule] = {
    "leaf": _leaf,
    "scaled": _scaled,
    "product": lambda write, form: times(write.chain(Ref(form))),
    "sum": _sum,
    "hadamard": lambda write, form: write.entrywise(form, form.args),
    "kernel": lambda write, form: write.kernel(form),
    "call": _call,
    "total": _total,
    "raised": _raised,
    "norm": _norm,
    "bracket": _bracket,
    "where": _where,
    "opaque": _opaque,
    "batched": _batched,
    "mask": _mask,
    "unit": _unit,
    "entry": _entry,
    "mean": lambda write, form: ts.call("mean", write(form.args[0])),
    "slice": _slice,
    "pad": _pad,
    "stack": _stack,
    "constant": _constant,
}


def _flipped_scaled(write: "Writer", form: Form) -> ts.Node:
    inner = write.forms.split(Ref(form))
    return write.term(Split(inner.coefficient, inner.scalars, inner.body and flip(inner.body)))


def _flipped_sum(write: "Writer", form: Form) -> ts.Node | None:
    """Transpose every term unless that takes more signs."""
    if form.rank < 2 or sum(flip(ref).cost for ref in form.args) > form.cost[0]:
        return None
    return write.linear([(c, flip(ref)) for c, ref in zip(form.params, form.args, strict=True)])


def _flipped_hadamard(write: "Writer", form: Form) -> ts.Node | None:
    if form.rank < 2 or form.cost[1] > form.cost[0]:
        return None
    return write.entrywise(form, tuple(map(flip, form.args)))


FLIPPED: dict[str, Callable[["Writer", Any], ts.Node | None]] = {
    "product": lambda write, form: times(write.chain(Ref(form, True))),
    "scaled": _flipped_scaled,
    "sum": _flipped_sum,
    "hadamard": _flipped_hadamard,
    "raised": _inverse_transpose,
    "mask": _flipped_mask,
}
