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
_OPERATORS = {"div": ast.Div, "pow": ast.Pow, "integer_pow": ast.Pow}


@dataclass(frozen=True)
class Guarded:
    """A guarded expression.

    Args:
        inner: The expression with its argument guarded.
        condition: Where the argument may stay.
        letter: What a letter in it stands for, or "".
    """

    inner: str
    condition: str
    letter: str = ""

    def alone(self) -> str:
        """The expression as it stands."""
        return self.inner + self.letter

    def outer(self, value: float) -> str:
        """The same with its value outside of the condition."""
        return f"jnp.where({self.condition}, {self.inner}, {value}){self.letter}"


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
        inside = condition.format(x="s", most=most)
        return Guarded(
            f"jnp.sqrt(jnp.where({inside}, s, {safe}))",
            f"(s := jnp.sum(x**2)) {condition.removeprefix('{x} ')}",
        )
    found = _expression(node)
    place = 1 if node.primitive == "div" else 0
    if found is None:
        inside = condition.format(x="u", most=most)
        caller = f" in {node.within[-1]}" if node.within else ""
        return Guarded(
            _plain(node.primitive, f"jnp.where({inside}, u, {safe})"),
            inside,
            f", u being what {node.primitive}{caller} is given",
        )
    operands = list(found.args) if isinstance(found, ast.Call) else [found.left, found.right]
    x = ast.unparse(operands[place])
    inside = condition.format(x=f"({x})" if _is_compound(operands[place]) else x, most=most)
    wrapped = f"jnp.where({inside}, {x}, {safe})"
    return Guarded(_rebuilt(found, place, wrapped), inside)


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
