"""The steps of a graph: inputs, forward pass, seed, reverse sweep, result; and their words.

Step 0 gives the inputs; then each operation once, the seed 1 at the result, each operation once
more in reverse, and the gradient.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from diffkit.bridge.graph import Edge, Graph, Node
from diffkit.typeset import (
    Accent,
    Fence,
    Fraction,
    Glyph,
    Name,
    Negative,
    Number,
    Plus,
    Relation,
    Row,
    Subscript,
    Text,
    Times,
    Transpose,
    hadamard,
    render,
)
from diffkit.typeset import Node as Layout
from diffkit.verify.report.writing import brief, cut, math, number, size_of, text, value_layout

_LETTER = re.compile(r"([A-Za-z])_?([1-9]\d*)")


@dataclass(frozen=True)
class Step:
    """One position of the slider.

    Args:
        phase: "inputs", "forward", "seed", "reverse" or "result".
        label: The step in words, as the slider reads it out.
        html: What is shown below the graph.
    """

    phase: str
    label: str
    html: str


@dataclass(frozen=True)
class Timeline:
    """When each node gets its value and its adjoint.

    Args:
        steps: In order.
        forward: Node -> step at which its value is known.
        reverse: Node -> step at which its adjoint is handed on to its operands.
        adjoints: Node -> (step, adjoint so far), in order.
    """

    steps: tuple[Step, ...]
    forward: Mapping[int, int]
    reverse: Mapping[int, int]
    adjoints: Mapping[int, list[tuple[int, Any]]] = field(default_factory=dict)


def timeline(graph: Graph) -> Timeline:
    """Play the two sweeps on the numbers of the graph."""
    known = [k for k, node in enumerate(graph.nodes) if node.kind != "operation"]
    operations = [k for k, node in enumerate(graph.nodes) if node.kind == "operation"]
    forward = dict.fromkeys(known, 0)
    steps = [_inputs(graph, known)]
    for count, place in enumerate(operations, start=1):
        forward[place] = len(steps)
        steps.append(_forward(graph, place, count, len(operations)))
    if graph.refusal:
        return Timeline((*steps, _refused(graph)), forward, {})
    adjoints: dict[int, list[tuple[int, Any]]] = {graph.output: [(len(steps), _seed(graph))]}
    steps.append(_seeded(graph))
    reverse: dict[int, int] = {}
    moving = [k for k in reversed(operations) if any(_moves(e) for e in graph.into(k))]
    for count, place in enumerate(moving, start=1):
        reverse[place] = len(steps)
        handed = []
        for edge in (edge for edge in graph.into(place) if _moves(edge)):
            before = adjoints.setdefault(edge.source, [])
            so_far = edge.contribution if not before else before[-1][1] + edge.contribution
            before.append((len(steps), so_far))
            waits = any(
                _moves(other) and other.target not in reverse
                for other in graph.edges
                if other.source == edge.source
            )
            handed.append(_handed(graph, edge, len(before) > 1, so_far, waits))
        steps.append(_reverse(graph.nodes[place], handed, count, len(moving)))
    steps.append(_result(graph))
    return Timeline(tuple(steps), forward, reverse, adjoints)


def _moves(edge: Edge) -> bool:
    return edge.contribution is not None


def _seed(graph: Graph) -> np.ndarray:
    return np.ones_like(graph.nodes[graph.output].value)


def spelt(name: str) -> str:
    """A name as plain text with its subscript."""
    return cut(render(Name(name), "text"), 40)


def _value(node: Node) -> Layout:
    return value_layout(node.value)


def _bar(name: str) -> Layout:
    """The adjoint of a variable: the bar stands over the letter, not over its subscript."""
    split = _LETTER.fullmatch(name)
    if split is None:
        return Accent(Name(name), "overline")
    return Subscript(Accent(Name(split[1]), "overline"), Number(split[2]))


def _equation(*sides: Layout) -> str:
    return math(Relation(sides, ("=",) * (len(sides) - 1)))


def _inputs(graph: Graph, known: list[int]) -> Step:
    written = "".join(
        f"<li>{_equation(Name(graph.nodes[k].name), _value(graph.nodes[k]))}</li>" for k in known
    )
    label = f"Inputs: {', '.join(spelt(graph.nodes[k].name) for k in known)}"
    lead = "The point the program runs at. Each further step computes one variable."
    return Step("inputs", label, f"<p>{lead}</p><ul class='equations'>{written}</ul>")


def _forward(graph: Graph, place: int, count: int, total: int) -> Step:
    node = graph.nodes[place]
    formula = node.formula if node.formula is not None else Text(node.operation)
    label = f"Forward {count} of {total}: {spelt(node.name)} = {brief(node.value)}"
    return Step("forward", label, _equation(Name(node.name), formula, _value(node)) + _place(node))


def _place(node: Node) -> str:
    rule = "<p class='aside'>Differentiated by a rule of its own.</p>" if node.has_rule else ""
    where = f"<p class='aside'><code>{text(node.place, 160)}</code></p>" if node.place else ""
    return where + rule


def _refused(graph: Graph) -> Step:
    return Step(
        "result",
        "No reverse sweep",
        f"<p>JAX has no reverse sweep here: {text(graph.refusal)}</p>",
    )


def _seeded(graph: Graph) -> Step:
    node = graph.nodes[graph.output]
    entries = (
        " in every entry: what follows is the gradient of their sum" if node.value.ndim else ""
    )
    equation = _equation(
        _bar(node.name), _partial(node.name, node.name), value_layout(_seed(graph))
    )
    html = (
        f"{equation}<p>The reverse sweep starts at the result with 1{entries}. A bar marks an "
        "adjoint: the derivative of the result by that variable.</p>"
    )
    return Step("seed", f"Seed: the adjoint of {spelt(node.name)} is 1", html)


def _partial(of: str, by: str) -> Layout:
    sign = Glyph("partial")
    return Fraction(Row((sign, Name(of))), Row((sign, Name(by))))


def _handed(graph: Graph, edge: Edge, is_further: bool, so_far: Any, waits: bool) -> str:
    """What one operand gets: the product, the sum so far, whether more comes."""
    source, target = graph.nodes[edge.source], graph.nodes[edge.target]
    part = edge.contribution
    assert part is not None
    product = _product(edge, source, target)
    sides: tuple[Layout, ...] = (*product, value_layout(part))
    lead = "adds" if is_further or waits else "is"
    line = f"<span class='to'>to {math(Name(source.name), inline=True)}</span>"
    line += f"<span class='sum'>{_equation(*sides)}</span>"
    if is_further or waits:
        total = Relation((_bar(source.name), value_layout(so_far)), ("=",))
        state = "so far" if waits else "complete"
        line += f"<span class='state'>{lead} to {math(total, inline=True)}, {state}</span>"
    return f"<li>{line}</li>"


def _product(edge: Edge, source: Node, target: Node) -> tuple[Layout, ...]:
    """The terms of one contribution: by name, by formula, in numbers."""
    bar = _bar(target.name)
    slope = _partial(target.name, source.name)
    if target.value.ndim == 0 and source.value.ndim == 0:
        number_of = edge.diagonal if edge.diagonal is not None else edge.partial
        named = (Times((bar, slope), "·"),)
        formula = () if edge.formula is None else (Times((bar, _grouped(edge.formula)), "·"),)
        if number_of is None:
            return (*named, *formula)
        factors = (_grouped(value_layout(target.adjoint)), _grouped(value_layout(number_of)))
        return (*named, *formula, Times(factors, "·"))
    if edge.diagonal is not None:
        factor = _grouped(edge.formula) if edge.formula is not None else slope
        return (hadamard(bar, factor),)
    general = Times((Transpose(Fence(slope)), bar), "matrix")
    if edge.formula is None:
        return (general,)
    # the Jacobian of a product with a matrix is that matrix
    matrix = edge.formula
    turned = matrix.body if isinstance(matrix, Transpose) else Transpose(matrix)
    return (general, Times((turned, bar), "matrix"))


def _grouped(node: Layout) -> Layout:
    return Fence(node) if isinstance(node, Negative | Plus) else node


def _reverse(node: Node, handed: list[str], count: int, total: int) -> Step:
    label = f"Reverse {count} of {total}: from {spelt(node.name)} to its operands"
    head = _equation(_bar(node.name), value_layout(node.adjoint))
    return Step(
        "reverse",
        label,
        f"<div class='from'>{head}<span>is complete and handed on:</span></div>"
        f"<ul class='equations handed'>{''.join(handed)}</ul>{_place(node)}",
    )


def _result(graph: Graph) -> Step:
    output = graph.nodes[graph.output].name
    inputs = [node for node in graph.nodes if node.kind == "input" and node.adjoint is not None]
    written = "".join(
        f"<li>{_equation(_partial(output, node.name), value_layout(node.adjoint))}</li>"
        for node in inputs
    )
    return Step(
        "result",
        f"Result: the gradient by {', '.join(spelt(node.name) for node in inputs)}",
        f"<p>The adjoints of the inputs are the gradient.</p>"
        f"<ul class='equations'>{written}</ul><p class='aside'>{escape(_check(graph))}</p>",
    )


def _check(graph: Graph) -> str:
    if graph.disagreement is None:
        return ""
    if graph.disagreement == 0:
        return "jax.vjp of the whole function returns exactly these numbers."
    return (
        "jax.vjp of the whole function returns these numbers up to "
        f"{number(graph.disagreement, 2)}, relative."
    )


def edge_label(edge: Edge) -> str:
    """The local partial in a few characters: formula and number, or the size of the Jacobian."""
    formula = "" if edge.formula is None else cut(render(edge.formula, "text"), 15)
    if edge.diagonal is not None and edge.diagonal.ndim == 0:
        value = number(edge.diagonal, 4)
        is_short = formula and formula.replace(" ", "") != value and not formula.endswith("…")
        return f"{formula} = {value}" if is_short else value
    if edge.diagonal is not None:
        entries = np.unique(edge.diagonal)
        if entries.size == 1:
            return number(entries[0], 4)
        return formula or f"diagonal, {size_of(edge.diagonal)}"
    if edge.partial is None:
        return ""
    if edge.partial.ndim == 0:
        return number(edge.partial, 4)
    return formula or f"norm {number(np.linalg.norm(edge.partial), 3)}"


def edge_detail(graph: Graph, edge: Edge) -> str:
    """The local partial at length, for a tooltip."""
    names = spelt(graph.nodes[edge.target].name), spelt(graph.nodes[edge.source].name)
    head = f"∂{names[0]}/∂{names[1]}"
    if edge.formula is not None:
        head += f" = {cut(render(edge.formula, 'text'), 60)}"
    numbers = edge.diagonal if edge.diagonal is not None else edge.partial
    if numbers is None:
        return (
            head
            if edge.contribution is not None
            else f"{names[1]} enters {names[0]} without a derivative"
        )
    kind = "entry by entry: " if edge.diagonal is not None and numbers.ndim else ""
    if numbers.size <= 16:
        written = " ".join(number(each, 4) for each in numbers.ravel().tolist())
        return f"{head} = {kind}{written}"
    return f"{head}: {kind}{size_of(numbers)}, largest {number(np.max(np.abs(numbers)), 4)}"
