"""Which parts of a formula get a name, and which name a person would give them.

A part is named when it is written more than once, when it is a softmax inside something larger,
or when the line grows too long without it.  Names say what a part is: R a residual, P
probabilities, H a hidden layer, Z what goes into it; capitals for matrices, lower case for
vectors.  Names of inputs are never taken.
"""

from collections.abc import Collection, Iterator

import sympy as sp

from diffkit.tensor.nodes import is_truth
from diffkit.tensor.printing.forms import Form, Ref, is_change, is_literal

#: A part with fewer leaves is written out every time.
SMALLEST_NAMED = 3

#: A line with more leaves is broken up.
LONGEST_LINE = 7

#: Parts that are always a definition of their own.
ALWAYS = ("indexed", "selection")
DECOMPOSITIONS = frozenset(
    (
        *("chol", "eigenvectors", "eigenvalues", "inverse_gaps"),
        *("left_singular", "right_singular", "singular_values"),
    )
)

#: Letters by what a part is, best first, written for a matrix; a vector takes the lower case.
LETTERS: dict[str, str | tuple[str, ...]] = {
    "softmax": "PQ",
    "log_softmax": "LK",
    "residual": "RED",
    "preactivation": "ZUA",
    "hidden": "HAF",
    "sigmoid": "SA",
    "mask": "MB",
    "inverse": "KM",
    "error": ("Delta", "D"),
    "product": "MKQG",
    "vector": "VUQG",
    "norm": "NQ",
    "chol": "LC",
    "eigenvectors": "VQ",
    "left_singular": "UQ",
    "right_singular": "VQ",
    "inverse_gaps": "FD",
    "indexed": "TFG",
    "selection": "EJ",
    "constant": "C",
    "other": "FGVU",
}
SCALARS: dict[str, str] = {"norm": "rq", "sum": "sct", "other": "cstkq"}

#: Letters that mean something else in a formula.
RESERVED = frozenset("Iednf")


def order_of(roots: Collection[Ref]) -> list[Form]:
    """Every form below the roots once, parts before wholes."""
    order: dict[Form, None] = {}
    stack = [(ref.form, False) for ref in reversed(list(roots))]
    while stack:
        form, is_expanded = stack.pop()
        if form in order:
            continue
        if is_expanded:
            order[form] = None
        else:
            stack.append((form, True))
            stack.extend((arg.form, False) for arg in reversed(form.args))
    return list(order)


def choose(root: Ref, order: list[Form]) -> list[Form]:
    """The forms that get a name, parts before wholes.

    Args:
        root: The formula.
        order: `order_of` it.
    """
    uses: dict[Form, int] = dict.fromkeys(order, 0)
    for form in order:
        for arg in form.args:
            uses[arg.form] += 1
    chosen = {form for form in order if form is not root.form and _is_named(form, uses[form])}
    for form in order:
        _shorten(form, chosen, root.form)
    return [form for form in order if form in chosen]


def _is_named(form: Form, uses: int) -> bool:
    if form.op in ALWAYS or (form.op == "call" and form.params[0] in DECOMPOSITIONS):
        return True
    if form.op == "constant":
        return not is_literal(form.params[0])
    if (form.op == "call" and form.params[0] == "softmax") or is_error(form):
        return True
    if form.op == "mean":
        return uses > 1 and form.args[0].form.op == "leaf"
    return uses > 1 and _is_value(form) and written(form, frozenset()) >= SMALLEST_NAMED


def _is_value(form: Form) -> bool:
    """Whether the form may have a name: not what is written in one sign, and no statement."""
    if form.op == "kernel":
        return not is_truth(form.params[0])
    return form.op in ("sum", "product", "hadamard", "call", "raised", "norm", "bracket", "where")


def written(form: Form, chosen: Collection[Form]) -> int:
    """How many leaves are written for a form, a name counting as one."""
    total = 0
    stack = [form]
    while stack and total <= 4 * LONGEST_LINE:
        part = stack.pop()
        if part is not form and part in chosen:
            total += 1
            continue
        total += _is_sign(part)
        stack.extend(arg.form for arg in part.args)
    return total


def _is_sign(part: Form) -> bool:
    """Whether a sign of its own is written for the part: a letter or a function word."""
    if part.op == "kernel":
        return isinstance(part.params[0], sp.Function)
    return not part.args or part.op in ("call", "mean", "norm", "opaque", "where")


def _shorten(form: Form, chosen: set[Form], root: Form) -> None:
    """Name parts of a line until it is short enough."""
    if form is not root and form not in chosen:
        return
    while written(form, chosen) > LONGEST_LINE:
        parts = [p for p in _inside(form, chosen) if _is_nameable(p, form, chosen)]
        if not parts:
            return
        part = max(parts, key=lambda p: (_appeal(p), written(p, chosen)))
        chosen.add(part)
        _shorten(part, chosen, root)


def _inside(form: Form, chosen: set[Form]) -> Iterator[Form]:
    """The parts written in the line of a form."""
    stack = [arg.form for arg in reversed(form.args) if arg.form not in chosen]
    seen: set[Form] = set()
    while stack:
        part = stack.pop()
        if part in seen:
            continue
        seen.add(part)
        yield part
        stack.extend(arg.form for arg in reversed(part.args) if arg.form not in chosen)


def _is_nameable(part: Form, line: Form, chosen: set[Form]) -> bool:
    size = written(part, chosen)
    is_kind = part.op not in ("product", "bracket") and _is_value(part)
    return is_kind and SMALLEST_NAMED <= size < written(line, chosen)


def _appeal(part: Form) -> int:
    """What a person names first: a residual, a layer, a pre-activation."""
    if part.op == "sum" and part.rank:
        return 3
    return 2 if part.op in ("kernel", "call") and part.rank else 1


def is_error(form: Form) -> bool:
    """Whether it is what backpropagation passes on: a product times a layer's derivative."""
    if form.op != "hadamard":
        return False
    slopes = [arg for arg in form.args if _is_slope(arg.form)]
    passed = [arg for arg in form.args if arg.form.op == "product"]
    return bool(slopes and passed) and not any(map(is_change, map(Ref, order_of(passed))))


def _is_slope(form: Form) -> bool:
    """Whether it is like 1 - H*H or [Z > 0]."""
    if form.op == "kernel" and not isinstance(form.params[0], sp.Function):
        return any(arg.form.op == "kernel" for arg in form.args)
    return form.op == "bracket"


def kind_of(form: Form) -> str:
    """What a part is."""
    if is_error(form):
        return "error"
    match form.op:
        case "call":
            word = form.params[0]
            return word if word in LETTERS else "other"
        case "kernel":
            expr = form.params[0]
            name = type(expr).__name__
            if name == "sigmoid":
                return "sigmoid"
            return "hidden" if isinstance(expr, sp.Function) else "other"
        case "sum":
            if form.rank == 0:
                return "sum"
            has_minus = any(c.could_extract_minus_sign() for c in form.params)
            return "residual" if has_minus else "preactivation"
        case "bracket":
            return "mask"
        case "raised":
            return "inverse"
        case "product" | "norm" | "indexed" | "selection" | "constant":
            return form.op
    return "other"


def names_for(chosen: list[Form], taken: Collection[str]) -> dict[Form, str]:
    """A name for each chosen form.

    Args:
        chosen: In the order of their definitions.
        taken: Names in use.
    """
    used = set(taken) | RESERVED
    names: dict[Form, str] = {}
    wanted = [_wanted(form) for form in chosen]
    for form, options in zip(chosen, wanted, strict=True):
        names[form] = _pick(options, used, wanted.count(options) > 1)
        used.add(names[form])
    return names


def _wanted(form: Form) -> tuple[str, ...]:
    if form.op == "mean":
        return (f"{form.args[0].form.key}_bar",)
    kind = kind_of(form)
    if kind == "other" and form.op == "call" and form.params[0] == "eigenvalues":
        return ("lambda", "w")
    if kind == "other" and form.op == "call" and form.params[0] == "singular_values":
        return ("s",)
    if form.rank == 0:
        return tuple(SCALARS.get(kind, SCALARS["other"]))
    if kind == "product" and form.rank == 1:
        kind = "vector"
    letters = LETTERS.get(kind, LETTERS["other"])
    return tuple(letter.lower() if form.rank == 1 else letter for letter in letters)


def _pick(options: tuple[str, ...], used: set[str], is_numbered: bool) -> str:
    """The first free letter, or the first letter numbered."""
    first = options[0]
    if not is_numbered:
        free = [name for name in options if name not in used]
        if free:
            return free[0]
    number = 1
    while f"{first}{number}" in used:
        number += 1
    return f"{first}{number}"
