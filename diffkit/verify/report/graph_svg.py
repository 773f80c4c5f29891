"""The computational graph as inline SVG with a slider; the script only shows and hides.

Without the script the page shows the finished graph and all steps below each other.
"""

from html import escape
from itertools import pairwise
from json import dumps

from diffkit.bridge.graph import Edge, Graph, Node
from diffkit.typeset import render
from diffkit.verify.report.layers import Drawing, Point, arrange
from diffkit.verify.report.timeline import Timeline, edge_detail, edge_label, spelt, timeline
from diffkit.verify.report.writing import brief, cut, text

#: Widths of characters at the sizes the style sheet sets, on the safe side.
NAME_WIDTH, VALUE_WIDTH, LABEL_WIDTH = 7.9, 7.3, 6.4
PADDING, LINE = 12.0, 19.0
LABEL_HEIGHT = 15.0
MOST_CHARACTERS = 28
#: Buttons drawn without a font: name, outline, words.
_BUTTONS = (
    ("first", "M2 2h2.4v12H2zM14 2v12L5 8z", "first step"),
    ("previous", "M12 2v12L3 8z", "previous step"),
    ("next", "M4 2v12l9-6z", "next step"),
    ("last", "M11.600 2H14v12h-2.400zM2 2v12l9-6z", "last step"),
)
#: Where along the last piece of an edge its text may stand, best first.
PLACES = tuple(0.5 + sign * 0.03 * k for k in range(14) for sign in (1, -1))
#: Arrows of one node arrive this far apart.
PORT = 13.0


def graph_figure(graph: Graph, number: int, title: str, where: str) -> str:
    """The drawing, the controls and the list of steps.

    Args:
        graph: What is drawn.
        number: Which graph of the page it is; its identifiers begin with it.
        title: What it is of, for those who hear the page.
        where: At which point, in words.
    """
    play = timeline(graph)
    last = len(play.steps) - 1
    has_reverse = not graph.refusal
    legend = "<span class='key value'>→ value</span>" + (
        "<span class='key adjoint'>← adjoint, the derivative of the result by it</span>"
        "<span class='key partial'>on an arrow: the local partial derivative</span>"
        if has_reverse
        else ""
    )
    return (
        f"<figure class='graph' id='graph-{number}' data-last='{last}'>"
        f"<figcaption>{legend} <span>{text(where)}</span></figcaption>"
        f"<div class='scroll drawing' tabindex='0' role='region' "
        f"aria-label='drawing of the computational graph'>{_svg(graph, play, number, title)}</div>"
        f"{_controls(play, number)}"
        f"<ol class='steps' start='0' aria-live='polite'>{_steps(play)}</ol></figure>"
    )


def _controls(play: Timeline, number: int) -> str:
    last = len(play.steps) - 1
    written = {
        name: f"<button type='button' data-go='{name}' aria-label='{label}'>"
        f"<svg viewBox='0 0 16 16' width='14' height='14' aria-hidden='true'>"
        f"<path d='{path}'/></svg></button>"
        for name, path, label in _BUTTONS
    }
    written["play"] = "<button type='button' data-go='play'>Play</button>"
    return (
        f"<div class='controls' role='group' aria-label='steps of the graph'>{written['play']}"
        f"{written['first']}{written['previous']}"
        f"<input type='range' id='slider-{number}' min='0' max='{last}' value='{last}' step='1' "
        f"aria-label='step of the graph' aria-valuetext='{escape(play.steps[last].label)}'>"
        f"{written['next']}{written['last']}"
        f"<output for='slider-{number}'>{last} of {last}</output></div>"
    )


def _steps(play: Timeline) -> str:
    return "".join(
        f"<li data-phase='{step.phase}' data-label='{escape(step.label)}'>"
        f"<h4>{escape(step.label)}</h4>{step.html}</li>"
        for step in play.steps
    )


def _svg(graph: Graph, play: Timeline, number: int, title: str) -> str:
    lines = [_lines(node) for node in graph.nodes]
    sizes = [_size(node, each) for node, each in zip(graph.nodes, lines, strict=True)]
    labels = {edge: edge_label(edge) for edge in graph.edges}
    pairs = [(edge.source, edge.target) for edge in graph.edges]
    gaps = {
        pair: len(labels[edge]) * LABEL_WIDTH + 34.0 if labels[edge] else 0.0
        for pair, edge in zip(pairs, graph.edges, strict=True)
    }
    drawing = arrange(sizes, pairs, gaps)
    routes = _ports(graph, drawing, sizes)
    texts = _placed(graph, routes, labels, drawing, sizes)
    edges = "".join(
        _edge(graph, play, edge, route, labels[edge], texts.get(k), number)
        for k, (edge, route) in enumerate(zip(graph.edges, routes, strict=True))
    )
    nodes = "".join(
        _node(graph, play, k, drawing.centres[k], sizes[k], lines[k])
        for k in range(len(graph.nodes))
    )
    marker = (
        f"<defs><marker id='arrow-{number}' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='9' "
        "markerHeight='9' markerUnits='userSpaceOnUse' orient='auto'>"
        "<path d='M0 .6L7.4 4L0 7.4z'/></marker></defs>"
    )
    width, height = drawing.width, drawing.height
    return (
        f"<svg viewBox='0 0 {width:.0f} {height:.0f}' width='{width:.0f}' height='{height:.0f}' "
        f"role='img' aria-label='{text(title)}: computational graph of {len(graph.nodes)} nodes'>"
        f"{marker}{edges}{nodes}</svg>"
    )


def _lines(node: Node) -> tuple[str, str, str]:
    """Name with formula, value and adjoint, as text."""
    head = spelt(node.name)
    if node.kind == "operation":
        formula = render(node.formula, "text") if node.formula is not None else node.operation
        head = f"{head} = {cut(formula, MOST_CHARACTERS)}"
    adjoint = "" if node.adjoint is None else brief(node.adjoint)
    return head, brief(node.value), adjoint


def _size(node: Node, lines: tuple[str, str, str]) -> Point:
    head, value, adjoint = lines
    widest = max(
        len(head) * NAME_WIDTH, (len(value) + 2) * VALUE_WIDTH, (len(adjoint) + 2) * VALUE_WIDTH
    )
    return max(62.0, widest + 2 * PADDING), PADDING + LINE * (3 if adjoint else 2)


def _node(
    graph: Graph,
    play: Timeline,
    place: int,
    centre: Point,
    size: Point,
    lines: tuple[str, str, str],
) -> str:
    node = graph.nodes[place]
    x, y = centre[0] - size[0] / 2, centre[1] - size[1] / 2
    events = [[step, brief(value)] for step, value in play.adjoints.get(place, ())]
    kinds = [node.kind, *(["output"] if place == graph.output else [])]
    kinds += ["rule"] if node.has_rule else []
    tip = f"{lines[0]}\n{node.place}" if node.place else lines[0]
    adjoint = (
        f"<text class='adjoint' x='{centre[0]:.1f}' y='{y + 57:.1f}'>← {escape(lines[2])}</text>"
    )
    reverse = play.reverse.get(place, "")
    return (
        f"<g class='node {' '.join(kinds)}' data-forward='{play.forward[place]}' "
        f"data-reverse='{reverse}' data-adjoint='{escape(dumps(events, ensure_ascii=False))}'>"
        f"<title>{text(tip)}</title>"
        f"<rect x='{x:.1f}' y='{y:.1f}' width='{size[0]:.1f}' height='{size[1]:.1f}' rx='8'/>"
        f"<text class='head' x='{centre[0]:.1f}' y='{y + 20:.1f}'>{escape(lines[0])}</text>"
        f"<text class='value' x='{centre[0]:.1f}' y='{y + 38.5:.1f}'>→ {escape(lines[1])}</text>"
        f"{adjoint if lines[2] else ''}</g>"
    )


def _ports(graph: Graph, drawing: Drawing, sizes: list[Point]) -> list[tuple[Point, ...]]:
    """Routes whose last points are spread over the left side of their target."""
    routes = list(drawing.routes)
    for target in range(len(graph.nodes)):
        into = [k for k, edge in enumerate(graph.edges) if edge.target == target]
        # by where they come from; lines of one source keep their order
        into.sort(key=lambda k: (routes[k][-2][1], graph.edges[k].source))
        room = sizes[target][1] - 16.0
        step = min(PORT, room / max(1, len(into) - 1))
        for rank, k in enumerate(into):
            shift = (rank - (len(into) - 1) / 2) * step
            x, y = routes[k][-1]
            ends = [(x, y + shift)]
            rest = routes[k][:-1]
            if len(rest) > 1 and rest[-1][1] == y:  # level with its column: that point moves too
                ends.insert(0, (rest[-1][0], y + shift))
                rest = rest[:-1]
            routes[k] = (*rest, *ends)
    return routes


def _bend(route: tuple[Point, ...]) -> tuple[Point, Point]:
    """The piece of a route that text stands on: the last one that is not level."""
    pieces = list(pairwise(route))
    return max(pieces[-2:], key=lambda piece: piece[1][0] - piece[0][0])


def _placed(
    graph: Graph,
    routes: list[tuple[Point, ...]],
    labels: dict[Edge, str],
    drawing: Drawing,
    sizes: list[Point],
) -> dict[int, Point]:
    """Places of the labels: none over another one, nor over a node."""
    taken = [
        (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        for (cx, cy), (w, h) in zip(drawing.centres, sizes, strict=True)
    ]
    found: dict[int, Point] = {}
    for k, edge in enumerate(graph.edges):
        if not labels[edge]:
            continue
        start, stop = _bend(routes[k])
        half = len(labels[edge]) * LABEL_WIDTH / 2 + 3
        best = None
        for part in PLACES:
            x, y = _on_curve(start, stop, part)
            box = (x - half, y - LABEL_HEIGHT / 2, x + half, y + LABEL_HEIGHT / 2)
            overlap = sum(_overlap(box, other) for other in taken)
            if best is None or overlap < best[0]:
                best = (overlap, (x, y), box)
            if overlap == 0:
                break
        assert best is not None
        found[k] = best[1]
        taken.append(best[2])
    return found


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def _on_curve(start: Point, stop: Point, part: float) -> Point:
    """A point of the cubic from `start` to `stop` whose ends are level."""
    rest = 1 - part
    middle = (start[0] + stop[0]) / 2
    weights = rest**3, 3 * rest**2 * part, 3 * rest * part**2, part**3
    x = sum(w * p for w, p in zip(weights, (start[0], middle, middle, stop[0]), strict=True))
    y = (weights[0] + weights[1]) * start[1] + (weights[2] + weights[3]) * stop[1]
    return x, y


def _edge(
    graph: Graph,
    play: Timeline,
    edge: Edge,
    route: tuple[Point, ...],
    label: str,
    place: Point | None,
    number: int,
) -> str:
    path = f"M{route[0][0]:.1f} {route[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(route):
        middle = (x0 + x1) / 2
        is_level = abs(y0 - y1) < 0.05
        path += (
            f"L{x1:.1f} {y1:.1f}"
            if is_level
            else f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        )
    written = ""
    if place:
        half = len(label) * LABEL_WIDTH / 2 + 2
        written = (
            f"<rect x='{place[0] - half:.1f}' y='{place[1] - 8:.1f}' width='{2 * half:.1f}' "
            f"height='16' rx='4'/>"
            f"<text x='{place[0]:.1f}' y='{place[1] + 4:.1f}'>{escape(label)}</text>"
        )
    kind = "" if edge.contribution is not None or graph.refusal else " still"
    reverse = play.reverse.get(edge.target, "") if edge.contribution is not None else ""
    return (
        f"<g class='edge{kind}' data-forward='{play.forward[edge.target]}' "
        f"data-reverse='{reverse}'><title>{text(edge_detail(graph, edge))}</title>"
        f"<path d='{path}' marker-end='url(#arrow-{number})'/>{written}</g>"
    )
