"""How a mend is written: the user's own expression with the guard in it, read from its statement.

The code is parsed, never evaluated.  Where the statement does not hold exactly one such expression
on the line, or not all of its arguments can be seen, the mend is written with letters.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.blocks import Node

#: Primitive -> names under which programs call it.
_CALLED = {
    "acos": ("arccos", "acos"),
    "acosh": ("arccosh", "acosh"),
    "asin": ("arcsin", "asin"),
    "atanh": ("arctanh", "atanh"),
    "lgamma": ("gammaln", "lgamma"),
    "erf_inv": ("erfinv", "erf_inv"),
    "pow": ("power", "pow", "float_power"),
    "div": ("divide", "true_divide", "div"),
}
_WORD = re.compile(r"[^\W\d]\w*")
#: Where the guard stands in a guarded expression.
_GUARD = "{condition}"
_OPERATORS = {"div": ast.Div, "pow": ast.Pow, "integer_pow": ast.Pow}


@dataclass(frozen=True)
class Guarded:
    """A guarded expression.

    Args:
        inner: The expression with its argument guarded, with {condition} for the guard.
        condition: Where the argument may stay, as it is written first.
        again: The same where it is written a second time, "" where that is no other text.
        letter: What a letter in it stands for, or "".
        target: The expression of the line that it replaces, "" where it is written with letters.
    """

    inner: str
    condition: str
    again: str = ""
    letter: str = ""
    target: str = ""

    def alone(self) -> str:
        """The expression as it stands."""
        return self.inner.replace(_GUARD, self.condition) + self.letter

    def outer(self, value: float) -> str:
        """The same with its value outside of the condition."""
        inner = self.inner.replace(_GUARD, self.again or self.condition)
        return f"jnp.where({self.condition}, {inner}, {value}){self.letter}"


def guarded(node: Node, condition: str, safe: float, dtype: Any) -> Guarded:
    """The expression of an equation with a guarded argument.

    Args:
        node: The equation.
        condition: Where the argument may stay, with {x} for it.
        safe: What stands in elsewhere.
        dtype: Type of the argument, for the bound of an exponential.
    """
    most = float(np.floor(np.log(float(jnp.finfo(dtype).max))))
    norm = _norm(node)
    if norm is not None:
        return _guarded_norm(norm, node, condition, safe)
    found = _expression(node)
    place = 1 if node.primitive == "div" else 0
    if found is None:
        inside = condition.format(x="u", most=most)
        caller = f" in {node.within[-1]}" if node.within else ""
        return Guarded(
            _plain(node.primitive, f"jnp.where({_GUARD}, u, {safe})"),
            inside,
            letter=f", u being what {node.primitive}{caller} is given",
        )
    operands = list(found.args) if isinstance(found, ast.Call) else [found.left, found.right]
    x = ast.unparse(operands[place])
    inside = condition.format(x=f"({x})" if _is_compound(operands[place]) else x, most=most)
    wrapped = f"jnp.where({_GUARD}, {x}, {safe})"
    return Guarded(_rebuilt(found, place, wrapped), inside, target=ast.unparse(found))


def composed(mends: Sequence[tuple[str, str]], names: Iterable[str] = ()) -> list[str]:
    """Mends of one line, those inside of another's expression written into it.

    Args:
        mends: Pairs of the new code and the expression it replaces, "" where that is not known.
        names: Names the user's file holds, which a new one must not hide.

    >>> composed([("1 / jnp.where(f(x) != 0, f(x), 1.0)", "1 / f(x)"), ("g(x)", "f(x)")])
    ['1 / jnp.where((kept := g(x)) != 0, kept, 1.0)']
    """
    written: list[tuple[str, str]] = []
    taken = frozenset(names)
    for code, target in sorted(dict.fromkeys(mends), key=lambda each: -len(each[1])):
        for n, (outer, around) in enumerate(written):
            whole = _written_into(outer, target, code, taken) if target else None
            if whole is not None:
                written[n] = (whole, around)
                break
        else:
            written.append((code, target))
    return [code for code, _ in written]


def _written_into(outer: str, target: str, code: str, taken: frozenset[str]) -> str | None:
    """An expression with another one for a part of it, named where it is written twice.

    None where the part does not occur.  Inside of a lambda or a comprehension it gets no name: one
    given there is unknown outside, or not allowed.
    """
    try:
        tree, new = ast.parse(outer, mode="eval"), ast.parse(code, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # written with letters
    places = [
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.expr) and ast.unparse(each) == target
    ]
    if not places:
        return None
    scoped = _in_scopes(tree)
    is_named = len(places) > 1 and not any(each in scoped for each in places)
    letter = ast.Name(_unused("kept", taken | _identifiers(tree) | _identifiers(new)), ast.Load())
    first = ast.NamedExpr(ast.Name(letter.id, ast.Store()), new)

    class Writer(ast.NodeTransformer):
        is_first = True

        def visit(self, node: ast.AST) -> ast.AST:
            if not any(node is each for each in places):
                return self.generic_visit(node)
            if not is_named:
                return new
            found, self.is_first = (first if self.is_first else letter), False
            return found

    return ast.unparse(ast.fix_missing_locations(Writer().visit(tree)))


def _norm(node: Node) -> ast.Call | None:
    """The call of `linalg.norm` of which an equation is the root."""
    if "norm" not in node.within or node.primitive != "sqrt":
        return None
    found = _only(node, lambda each: _name(each) == "norm" and _shows_its_arguments(each))
    # another function of that name may be another norm
    is_known = found is not None and ast.unparse(found.func).endswith("linalg.norm")
    return found if is_known else None


def _guarded_norm(found: ast.Call, node: Node, condition: str, safe: float) -> Guarded:
    """A norm as the root of a guarded sum of squares."""
    x = ast.unparse(found.args[0])
    x = x if isinstance(found.args[0], ast.Name | ast.Attribute | ast.Subscript) else f"({x})"
    given = dict(zip(("ord", "axis", "keepdims"), found.args[1:], strict=False))
    given |= {each.arg: each.value for each in found.keywords if each.arg}
    options = "".join(
        f", {name}={ast.unparse(given[name])}" for name in ("axis", "keepdims") if name in given
    )
    total = f"jnp.sum({x}**2{options})"
    if any(found in _in_iterables(each) for each in _statement(node)):
        named = again = total  # no name may be given there
    else:
        again = _unused("squares", names_of(node.source))
        named = f"({again} := {total})"
    return Guarded(
        f"jnp.sqrt(jnp.where({_GUARD}, {again}, {safe}))",
        condition.format(x=named),
        condition.format(x=again),
        target=ast.unparse(found),
    )


def _in_scopes(tree: ast.AST) -> set[ast.AST]:
    """Nodes inside of a lambda or a comprehension, where a new name is another scope's."""
    scopes = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    return {
        inner
        for each in ast.walk(tree)
        if isinstance(each, scopes)
        for inner in ast.walk(each)
        if inner is not each
    }


def _in_iterables(tree: ast.AST) -> set[ast.AST]:
    """Nodes inside of what a comprehension runs over."""
    loops = (each for each in ast.walk(tree) if isinstance(each, ast.comprehension))
    return {inner for each in loops for inner in ast.walk(each.iter)}


def _identifiers(tree: ast.AST) -> set[str]:
    """Names and parameters."""
    found = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    return found | {each.arg for each in ast.walk(tree) if isinstance(each, ast.arg)}


def names_of(source: compat.Source) -> frozenset[str]:
    """Names that the file of a line holds, or the line alone where there is no file."""
    tree = _file(source.file)
    if tree is None:
        return frozenset(_WORD.findall(source.text))
    return frozenset(_identifiers(tree))


def _unused(name: str, taken: Iterable[str]) -> str:
    """A name, or the first of name_1, name_2, ... that is not taken."""
    held = set(taken)
    if name not in held:
        return name
    return next(f"{name}_{k}" for k in range(1, len(held) + 2) if f"{name}_{k}" not in held)


def masked_softmax(node: Node, axes: Sequence[int], rank: int) -> str:
    """A softmax that knows its mask."""
    found = _only(node, lambda each: _name(each) == "softmax")
    mask = _only(node, lambda each: _name(each) == "where")
    scores, given = "s", "m"
    if found is not None and found.args:
        argument = found.args[0]
        if isinstance(argument, ast.Name):
            scores = argument.id
        elif mask is not None and len(mask.args) == 3:
            given, scores = ast.unparse(mask.args[0]), ast.unparse(mask.args[1])
    return f"jax.nn.softmax({scores}, axis={axis(axes, rank)}, where={given})"


def shift(node: Node) -> str:
    """A maximum that stays finite in a row without entries."""
    return "jnp.where(jnp.isfinite(top), top, 0.0) for the maximum top that is subtracted"


def axis(axes: Sequence[int], rank: int) -> str:
    """Axes as a person writes them, the last one as -1.

    >>> axis((2,), 3), axis((0, 1), 3)
    ('-1', '(0, 1)')
    """
    written = tuple(-1 if each == rank - 1 else each for each in axes)
    return str(written[0]) if len(written) == 1 else str(written)


def _plain(primitive: str, x: str) -> str:
    if primitive == "div":
        return f"y / {x}"
    if primitive in ("pow", "integer_pow"):
        return f"{x} ** p"
    return f"jnp.{_CALLED.get(primitive, (primitive,))[0]}({x})"


def _rebuilt(found: ast.Call | ast.BinOp, place: int, wrapped: str) -> str:
    if isinstance(found, ast.Call):
        arguments = [ast.unparse(each) for each in found.args]
        arguments[place] = wrapped
        arguments += [f"{each.arg}={ast.unparse(each.value)}" for each in found.keywords]
        return f"{ast.unparse(found.func)}({', '.join(arguments)})"
    sign = "/" if isinstance(found.op, ast.Div) else "**"
    sides = [
        f"({ast.unparse(each)})" if _is_compound(each) else ast.unparse(each)
        for each in (found.left, found.right)
    ]
    sides[place] = wrapped
    return f"{sides[0]} {sign} {sides[1]}"


def _is_compound(tree: ast.expr) -> bool:
    """Whether an operand needs parentheses."""
    if isinstance(tree, ast.UnaryOp):
        return isinstance(tree.op, ast.Not)
    loose = ast.BinOp | ast.Compare | ast.BoolOp | ast.IfExp | ast.Lambda | ast.NamedExpr
    return isinstance(tree, loose)


def _expression(node: Node) -> Any:
    """The one call or operation of the line that the equation can be."""
    names = _CALLED.get(node.primitive, (node.primitive,))
    operator = _OPERATORS.get(node.primitive)
    place = 1 if node.primitive == "div" else 0

    def matches(each: ast.AST) -> bool:
        if operator is not None and isinstance(each, ast.BinOp):
            return isinstance(each.op, operator)
        return _name(each) in names and _shows_its_arguments(each, place + 1)

    return _only(node, matches)


def _shows_its_arguments(tree: ast.AST, count: int = 1) -> bool:
    """Whether the first arguments of a call stand there, none behind a star."""
    return (
        isinstance(tree, ast.Call)
        and len(tree.args) >= count
        and not any(isinstance(each, ast.Starred) for each in tree.args)
        and all(each.arg is not None for each in tree.keywords)
    )


def _name(tree: ast.AST) -> str:
    if not isinstance(tree, ast.Call):
        return ""
    function = tree.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _only(node: Node, matches: Any) -> Any:
    """The one expression of the statement that matches and lies on the line."""
    found = [each for part in _statement(node) for each in ast.walk(part) if matches(each)]
    return found[0] if len(found) == 1 else None


def _statement(node: Node) -> list[ast.AST]:
    """What is run on the line of an equation: a statement over several lines is read whole.

    Of a statement with a body it is the head alone.  Where there is no file, a line that is not
    complete in itself gives nothing.
    """
    source = node.source
    tree = _file(source.file)
    if tree is None:
        return _of_text(source.text)
    return [part for part in _heads(tree) if part.lineno <= source.line <= part.end_lineno]


def _heads(tree: ast.AST) -> Iterator[Any]:
    """Statements without a body, and the expressions in the heads of the others."""
    for each in ast.walk(tree):
        if not isinstance(each, ast.stmt):
            continue
        if not hasattr(each, "body"):
            yield each
            continue
        for child in ast.iter_child_nodes(each):
            if isinstance(child, ast.expr):
                yield child
            elif isinstance(child, ast.withitem):
                yield child.context_expr


def _file(path: str) -> ast.Module | None:
    """The file of a line, None where it cannot be read or parsed."""
    lines = compat.lines_of(path) if path else []
    return _parse("".join(lines)) if lines else None


def _of_text(text: str) -> list[ast.AST]:
    text = text.removeprefix(">>> ").removeprefix("... ").strip()
    tree = _parse(text) or _parse(f"{text} pass")  # a line may open a block
    return [] if tree is None else [tree]


@lru_cache(maxsize=64)
def _parse(text: str) -> ast.Module | None:
    """The tree of a text, the same one each time; None where it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
