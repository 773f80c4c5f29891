"""How causes and mends are told: one clause each, with the numbers."""

from collections.abc import Mapping, Sequence
from math import isnan, prod
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge import local
from diffkit.bridge.blocks import Block, Node, Path, block_at, node_at
from diffkit.bridge.cotangents import Caught, without_bad_share
from diffkit.bridge.culprits import Culprit
from diffkit.bridge.local import Entry
from diffkit.bridge.survey import Place
from diffkit.verify.mended import Comparison

#: A choice is looked for within this many equations.
REACH = 40
#: At most this many choices are looked at.
MOST_CHOICES = 3
#: Where a rule in words helps more than numbers.
_SIGNS = {"sub": "-", "add": "+", "mul": "*", "div": "/", "pow": "**"}


def line_of(source: compat.Source) -> str:
    """The place as `losses.py:12`, `line 12` in an example, "" where JAX recorded nothing."""
    return Place("", source, "").line


def tell_share(node: Node, caught: Caught, culprit: Culprit, entry: Entry | None) -> str:
    """How cotangents stop being finite in an equation."""
    if culprit.is_sum:
        return "finite cotangents from the uses of its result add up to one that is not finite"
    if entry is None:
        return "it hands on a cotangent that is not finite"
    if entry.partial is not None:
        return (
            f"cotangent {_n(entry.cotangent)} * partial derivative {_n(entry.partial)} = "
            f"{_n(entry.result)}{_entry(entry.index)}, where {_operands(entry.operands)}"
        )
    given = _bad_operand(node, caught)
    if given:
        return given
    if entry.inner:
        place = line_of(entry.source) if entry.source is not None else ""
        inside = f" ({place})" if place and place != line_of(node.source) else ""
        return f"its backward {_rule(node)} computes {_made(entry.inner, entry)}{inside}"
    return f"its operand's cotangent is {_n(entry.result)}{_entry(entry.index)}"


def tell_result(node: Node, caught: Caught, entry: Entry | None) -> str:
    """How a result stops being finite in an equation."""
    if entry is None:
        return "its result is not finite"
    made = _made(entry.inner or node.primitive, entry)
    row = _dead_row(node, caught)
    steps = _loop(node, caught)
    return made + (f"; {row}" if row else "") + (f"; {steps}" if steps else "")


def tell_argument(name: str, array: Any, index: tuple[int, ...]) -> str:
    """An argument that is not finite."""
    value = np.asarray(jnp.asarray(array)[index])
    return f"{name}{_index(index)} = {_n(float(np.real(value)))}"


def untaken(block: Block, path: Path) -> list[Path]:
    """Choices that an equation's result may go through, entry by entry."""
    node = block.nodes[path[-1]]
    consumers = block.consumers()
    reached, found = set(node.outputs), []
    shapes = {block.types[v].shape for v in node.outputs}
    for n in range(path[-1] + 1, min(len(block.nodes), path[-1] + REACH)):
        other = block.nodes[n]
        if not any(n == user for v in reached for user, _ in consumers.get(v, [])):
            continue
        if {block.types[v].shape for v in other.outputs} != shapes:
            continue
        if other.primitive == "select_n" and reached & set(other.inputs[1:]):
            found.append((*path[:-1], n))
        else:
            reached |= set(other.outputs)
    return found[:MOST_CHOICES]


def tell_branch(
    root: Block,
    culprit: Culprit,
    caught: Caught,
    entry: Entry | None,
    choices: Mapping[Path, Caught],
) -> str:
    """The choice that does not take the culprit's result at the bad entry, or ""."""
    if entry is None or entry.cotangent != 0:
        return ""
    block = block_at(root, culprit.path[:-1])
    reached = _reached(block, culprit.path)
    for path, arrays in choices.items():
        select = node_at(root, path)
        mine = [j for j, v in enumerate(select.inputs[1:]) if v in reached]
        which = np.asarray(arrays.operands[0])
        taken = int(which[entry.index] if which.shape else which)
        if taken not in mine:
            line = f"{line_of(select.source)}: " if line_of(select.source) else ""
            text = f" in `{select.source.text}`" if select.source.text else ""
            return f"{line}the choice{text} does not take this value{_entry(entry.index)}"
    return ""


def tell_truth(compared: Sequence[Comparison], value: float, *, is_exact: bool) -> str:
    """What running a mend showed."""
    said = "run: loss and gradient are finite"
    for outcome in ("wrong", "infinite"):
        bad = next((each for each in compared if each.outcome == outcome), None)
        if bad is not None:
            return f"run: its gradient along {bad.direction} is {_n(bad.mended)}, {_sides(bad)}"
    sided = next((each for each in compared if each.outcome == "one-sided"), None)
    if sided is not None:
        return (
            f"{said}; along {sided.direction} the derivative does not exist ({_sides(sided)}), "
            f"the mend gives {_n(sided.mended)}"
        )
    agreed = [each for each in compared if each.outcome == "agrees"]
    if agreed:
        told = ", ".join(f"{each.direction} ({_n(each.mended)})" for each in agreed)
        witnesses = " and ".join(dict.fromkeys(each.witness for each in agreed))
        return f"{said}, and right along {told} by {witnesses}"
    if is_exact:
        return f"{said}; it computes the same function"
    if not np.isfinite(value):
        return (
            f"{said}; the loss is {_n(value)} as written and has no derivative there: the mend "
            "says what it shall be"
        )
    return f"{said}; too large or too noisy to compare with differences"


def cut_off(node: Node, operands: list[Any], env: Any) -> list[Any]:
    """The equation with the bad entries of its contributions left out."""
    kept = [
        without_bad_share(each) if jnp.issubdtype(jnp.asarray(each).dtype, jnp.inexact) else each
        for each in operands
    ]
    return compat.run_equation(node.eqn, kept)


def _reached(block: Block, path: Path) -> set[int]:
    """Values that depend on an equation."""
    reached = set(block.nodes[path[-1]].outputs)
    for node in block.nodes[path[-1] + 1 :]:
        if reached & set(node.inputs):
            reached |= set(node.outputs)
    return reached


def _bad_operand(node: Node, caught: Caught) -> str:
    """An operand of a product that is not finite already."""
    for j, operand in enumerate(caught.operands):
        index = local.first_bad(jnp.asarray(operand))
        if index is None:
            continue
        value = _n(float(np.real(np.asarray(jnp.asarray(operand)[index]))))
        count = int(jnp.sum(~jnp.isfinite(operand)))
        text = (
            f"its operand {j} is {value}{_entry(index)} ({count} of {prod(operand.shape)} entries)"
        )
        if node.primitive == "dot_general" and caught.cotangents[0] is not None:
            beside = local.cotangents_beside(node, caught, j, index)
            if not bool(jnp.any(beside)):
                return f"{text}, the cotangents it meets are 0, and 0 * {value} = nan"
        return f"{text}, which multiplies cotangents"
    return ""


def _rule(node: Node) -> str:
    """A custom backward rule by its name and place, else "pass"."""
    info = getattr(node.eqn.params.get("bwd"), "debug_info", None)
    name, _, place = (getattr(info, "func_src_info", None) or "").partition(" at ")
    return f"rule {name} ({place.rsplit('/', 1)[-1]})" if place else "pass"


def _made(primitive: str, entry: Entry) -> str:
    numbers = entry.operands
    result = f"{_n(entry.result)}{_entry(entry.index)}"
    if primitive in _SIGNS and len(numbers) == 2 and None not in numbers:
        return f"{_n(numbers[0])} {_SIGNS[primitive]} {_n(numbers[1])} = {result}"
    if numbers and None not in numbers:
        return f"{primitive}({', '.join(map(_n, numbers))}) = {result}"
    return f"{primitive} gives {result}"


def _dead_row(node: Node, caught: Caught) -> str:
    """Rows of a softmax of which every entry is -inf."""
    if node.primitive != "sub" or np.ndim(caught.operands[0]) == 0:
        return ""
    dead = np.asarray(jnp.all(jnp.isneginf(caught.operands[0]), axis=-1))
    rows = [tuple(map(int, at)) for at in np.argwhere(dead)]
    if not rows:
        return ""
    if rows == [()]:
        return "every entry is -inf"
    told = ", ".join(str(at[0] if len(at) == 1 else at) for at in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"every entry of row {told}{more} is -inf"


def _loop(node: Node, caught: Caught) -> str:
    """At which step a while loop leaves the finite numbers."""
    if node.primitive != "while":
        return ""
    return f"{local.finite_steps(node, caught)} steps of the loop are finite"


def _sides(found: Comparison) -> str:
    if found.left is None or found.right is None:
        known = found.left if found.right is None else found.right
        side = "left" if found.right is None else "right"
        return f"the derivative on the {side} is {_n(known)} ({found.witness})"
    if found.left == found.right or abs(found.left - found.right) <= 1e-6 * abs(found.left):
        return f"the derivative is {_n(found.right)} ({found.witness})"
    return f"left {_n(found.left)}, right {_n(found.right)} ({found.witness})"


def _operands(numbers: tuple[float | None, ...]) -> str:
    if len(numbers) == 1:
        return f"the operand is {_n(numbers[0])}"
    return f"the operands are {', '.join(map(_n, numbers))}"


def _entry(index: tuple[int, ...]) -> str:
    return f" at entry {_index(index)}" if index else ""


def _index(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""


def _n(number: float | None) -> str:
    if number is None:
        return "?"
    return "nan" if isnan(number) else f"{number:.6g}"
