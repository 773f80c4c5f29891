"""How a mend is written: the user's own expression with the guard in it, read from its line.

The line is parsed, never evaluated.  Where it does not hold exactly one such expression, the mend
is written with letters.
"""

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

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
    if "norm" in node.within and node.primitive == "sqrt":
        return _guarded_norm(node, condition, safe)
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


def composed(mends: Sequence[tuple[str, str]]) -> list[str]:
    """Mends of one line, those inside of another's expression written into it.

    Args:
        mends: Pairs of the new code and the expression it replaces, "" where that is not known.

    >>> composed([("1 / jnp.where(f(x) != 0, f(x), 1.0)", "1 / f(x)"), ("g(x)", "f(x)")])
    ['1 / jnp.where((n := g(x)) != 0, n, 1.0)']
    """
    written: list[tuple[str, str]] = []
    for code, target in sorted(dict.fromkeys(mends), key=lambda each: -len(each[1])):
        for n, (outer, around) in enumerate(written):
            whole = _written_into(outer, target, code) if target else None
            if whole is not None:
                written[n] = (whole, around)
                break
        else:
            written.append((code, target))
    return [code for code, _ in written]


def _written_into(outer: str, target: str, code: str) -> str | None:
    """An expression with another one for a part of it, evaluated once; None where it has none."""
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
    letter = ast.Name(_unused("n", outer, code), ast.Load())
    first = ast.NamedExpr(ast.Name(letter.id, ast.Store()), new)

    class Writer(ast.NodeTransformer):
        is_first = True

        def visit(self, node: ast.AST) -> ast.AST:
            if not any(node is each for each in places):
                return self.generic_visit(node)
            if len(places) == 1:
                return new
            found, self.is_first = (first if self.is_first else letter), False
            return found

    return ast.unparse(ast.fix_missing_locations(Writer().visit(tree)))


def _guarded_norm(node: Node, condition: str, safe: float) -> Guarded:
    """A norm as the root of a guarded sum of squares."""
    found = _only(node, lambda each: _name(each) == "norm" and bool(each.args))
    x, options, text = "x", "", node.source.text
    if found is not None:
        x = ast.unparse(found.args[0])
        x = x if isinstance(found.args[0], ast.Name | ast.Attribute | ast.Subscript) else f"({x})"
        given = dict(zip(("ord", "axis", "keepdims"), found.args[1:], strict=False))
        given |= {each.arg: each.value for each in found.keywords if each.arg}
        options = "".join(
            f", {name}={ast.unparse(given[name])}" for name in ("axis", "keepdims") if name in given
        )
    s = _unused("s", text)
    return Guarded(
        f"jnp.sqrt(jnp.where({_GUARD}, {s}, {safe}))",
        condition.format(x=f"({s} := jnp.sum({x}**2{options}))"),
        condition.format(x=s),
        "" if found is not None else ", x being what norm is given",
        "" if found is None else ast.unparse(found),
    )


def _unused(letter: str, *texts: str) -> str:
    """A letter, or the first of letter_1, letter_2, ... that no text holds as a name."""
    names = {each.id for text in texts for each in _parsed(text) if isinstance(each, ast.Name)}
    if letter not in names:
        return letter
    return next(f"{letter}_{k}" for k in range(1, len(names) + 2) if f"{letter}_{k}" not in names)


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
        return f"{ast.unparse(found.func)}({', '.join(arguments)})"
    sign = "/" if isinstance(found.op, ast.Div) else "**"
    sides = [
        f"({ast.unparse(each)})" if _is_compound(each) else ast.unparse(each)
        for each in (found.left, found.right)
    ]
    sides[place] = wrapped
    return f"{sides[0]} {sign} {sides[1]}"


def _is_compound(tree: ast.expr) -> bool:
    return isinstance(tree, ast.BinOp | ast.Compare | ast.BoolOp | ast.IfExp | ast.Lambda)


def _expression(node: Node) -> Any:
    """The one call or operation of the line that the equation can be."""
    names = _CALLED.get(node.primitive, (node.primitive,))
    operator = _OPERATORS.get(node.primitive)

    def matches(each: ast.AST) -> bool:
        if operator is not None and isinstance(each, ast.BinOp):
            return isinstance(each.op, operator)
        return isinstance(each, ast.Call) and _name(each) in names and bool(each.args)

    return _only(node, matches)


def _name(tree: ast.AST) -> str:
    if not isinstance(tree, ast.Call):
        return ""
    function = tree.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _only(node: Node, matches: Any) -> Any:
    found = [each for each in _parsed(node.source.text) if matches(each)]
    return found[0] if len(found) == 1 else None


def _parsed(text: str) -> Iterator[ast.AST]:
    """The nodes of a line, which may open a block or be the first or last of a longer call."""
    text = text.removeprefix(">>> ").removeprefix("... ").strip()
    for attempt in (text, f"{text} pass", f"{text})", f"({text}", text.rstrip(","), f"{text}))"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(attempt)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        yield from ast.walk(tree)
        return
