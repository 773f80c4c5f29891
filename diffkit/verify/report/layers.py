"""A drawing of a directed acyclic graph in layers, left to right (Sugiyama, Tagawa, Toda 1981).

Layers by longest paths, long edges through invisible dummies, few crossings by medians, and
places by least squares under the order found.  Everything is deterministic.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

#: Sweeps that reduce crossings; the best order seen counts.
ORDER_SWEEPS = 12
#: Sweeps that move nodes towards their neighbours.
PLACE_SWEEPS = 16
#: How stiff long edges are: a dummy weighs as much as this many nodes.
DUMMY_WEIGHT = 6.0
DUMMY_HEIGHT = 14.0
#: How much a source of one edge weighs: the chain of operations stays straight.
LEAF_WEIGHT = 0.02
#: Further room between two layers for each text beyond the first, and at most.
ROOM_PER_TEXT, MOST_ROOM = 7.0, 130.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Drawing:
    """Where everything lies; y grows downwards.

    Args:
        centres: Centre of each node.
        routes: For each edge the points it passes, from the right side of its source to the
            left side of its target.
        width: Width of the whole.
        height: Height of the whole.
    """

    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def arrange(
    sizes: Sequence[Point],
    edges: Sequence[tuple[int, int]],
    gaps: Mapping[tuple[int, int], float] | None = None,
    *,
    gap: float = 56.0,
    spacing: float = 26.0,
    margin: float = 16.0,
) -> Drawing:
    """Lay out a graph whose nodes are numbered so that every edge goes to a larger number.

    Args:
        sizes: Width and height of each node.
        edges: Pairs (source, target).
        gaps: Room that the text on an edge needs between two layers.
        gap: Least distance between layers.
        spacing: Least distance between nodes of one layer.
        margin: Free border.

    >>> drawing = arrange([(10, 10)] * 3, [(0, 2), (1, 2)], gap=20.0, spacing=10.0, margin=0.0)
    >>> [(round(x), round(y)) for x, y in drawing.centres]
    [(5, 5), (5, 25), (35, 15)]
    """
    layer = layers(len(sizes), edges)
    grid = _Grid(sizes, edges, layer)
    grid.reduce_crossings()
    heights = grid.place(spacing)
    top = min((y - grid.height(v) / 2 for v, y in heights.items()), default=0.0)
    columns = _columns(sizes, layer, edges, gaps or {}, gap, margin)
    centres = tuple(
        (sum(columns[layer[v]]) / 2, heights[v] - top + margin) for v in range(len(sizes))
    )
    routes = tuple(
        _route(grid.chains[number], edge, centres, sizes, columns, heights, margin - top, layer)
        for number, edge in enumerate(edges)
    )
    bottom = max((y + grid.height(v) / 2 for v, y in heights.items()), default=0.0)
    right = columns[-1][1] if columns else 0.0
    return Drawing(centres, routes, right + margin, bottom - top + 2 * margin)


def layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The layer of each node: longest path from the left; sources stand next to their first use.

    >>> layers(4, [(0, 2), (2, 3), (1, 3)])
    [0, 1, 1, 2]
    """
    found = [0] * count
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        found[target] = max(found[target], found[source] + 1)
    entered = {target for _, target in edges}
    for node in range(count):
        after = [found[target] for source, target in edges if source == node]
        if node not in entered and after:
            found[node] = min(after) - 1
    return found


class _Grid:
    """Nodes and dummies by layer; a dummy is a tuple (edge, layer)."""

    def __init__(
        self, sizes: Sequence[Point], edges: Sequence[tuple[int, int]], layer: Sequence[int]
    ) -> None:
        self.sizes = sizes
        depth = max(layer, default=-1) + 1
        self.rows: list[list] = [[] for _ in range(depth)]
        for node, place in enumerate(layer):
            self.rows[place].append(node)
        self.before: dict = {}
        self.after: dict = {}
        self.chains: list[list] = []
        for number, (source, target) in enumerate(edges):
            chain = [(number, place) for place in range(layer[source] + 1, layer[target])]
            for dummy in chain:
                self.rows[dummy[1]].append(dummy)
            self.chains.append(chain)
            path = [source, *chain, target]
            for left, right in pairwise(path):
                self.after.setdefault(left, []).append(right)
                self.before.setdefault(right, []).append(left)

    def height(self, item: object) -> float:
        """Height of a node or a dummy."""
        return self.sizes[item][1] if isinstance(item, int) else DUMMY_HEIGHT

    def weight(self, item: object) -> float:
        """How much an item resists being pushed away."""
        if not isinstance(item, int):
            return DUMMY_WEIGHT
        return LEAF_WEIGHT if self.is_leaf(item) else 1.0

    def reduce_crossings(self) -> None:
        """Order each layer by the medians of its neighbours, back and forth."""
        best, fewest = [list(row) for row in self.rows], self.crossings()
        for sweep in range(ORDER_SWEEPS):
            if fewest == 0:
                break
            forward = sweep % 2 == 0
            steps = range(1, len(self.rows)) if forward else range(len(self.rows) - 2, -1, -1)
            for place in steps:
                self._order(place, self.before if forward else self.after, forward)
            count = self.crossings()
            if count < fewest:
                best, fewest = [list(row) for row in self.rows], count
        self.rows = best

    def _order(self, place: int, neighbours: dict, forward: bool) -> None:
        fixed = {item: k for k, item in enumerate(self.rows[place - 1 if forward else place + 1])}
        now = {item: k for k, item in enumerate(self.rows[place])}

        def key(item: object) -> tuple[float, int]:
            places = [fixed[each] for each in neighbours.get(item, ())]
            return (median(places) if places else now[item], now[item])

        self.rows[place].sort(key=key)

    def is_leaf(self, item: object) -> bool:
        """Whether an item is a source of one edge: it follows, it does not pull."""
        return item not in self.before and len(self.after.get(item, ())) == 1

    def crossings(self) -> int:
        """How many pairs of edges cross between neighbouring layers."""
        total = 0
        for left, right in pairwise(self.rows):
            places = {item: k for k, item in enumerate(right)}
            seen: list[int] = []
            for item in left:
                ends = sorted(places[each] for each in self.after.get(item, ()))
                total += sum(len(seen) - bisect_right(seen, end) for end in ends)
                for end in ends:
                    insort(seen, end)
        return total

    def place(self, spacing: float) -> dict:
        """Heights: each item near the mean of its neighbours, none nearer than `spacing`."""
        heights: dict = {}
        for row in self.rows:
            y = 0.0
            for item in row:
                heights[item] = y + self.height(item) / 2
                y += self.height(item) + spacing
        for sweep in range(PLACE_SWEEPS):
            forward = sweep % 2 == 0
            for row in self.rows if forward else reversed(self.rows):
                self._settle(row, heights, spacing)
        return heights

    def _settle(self, row: list, heights: dict, spacing: float) -> None:
        targets, weights, offsets, offset = [], [], [], 0.0
        for number, item in enumerate(row):
            near = [*self.before.get(item, ()), *self.after.get(item, ())]
            pulls = [LEAF_WEIGHT if self.is_leaf(each) else 1.0 for each in near]
            total = sum(w * heights[each] for w, each in zip(pulls, near, strict=True))
            wanted = total / sum(pulls) if near else heights[item]
            if number:
                previous = row[number - 1]
                offset += (self.height(previous) + self.height(item)) / 2 + spacing
            offsets.append(offset)
            targets.append(wanted - offset)
            weights.append(self.weight(item))
        for item, y, shift in zip(row, monotone(targets, weights), offsets, strict=True):
            heights[item] = y + shift


def monotone(targets: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nondecreasing sequence nearest to `targets` in weighted least squares.

    Pooling adjacent violators: neighbours in the wrong order share their weighted mean.

    >>> monotone([1.0, 3.0, 2.0, 4.0], [1.0, 1.0, 1.0, 1.0])
    [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[list[float]] = []  # mean, weight, count
    for target, weight in zip(targets, weights, strict=True):
        pools.append([target, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, mass, count = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * mass) / (last[1] + mass)
            last[1] += mass
            last[2] += count
    return [mean for mean, _, count in pools for _ in range(int(count))]


def _columns(
    sizes: Sequence[Point],
    layer: Sequence[int],
    edges: Sequence[tuple[int, int]],
    gaps: Mapping[tuple[int, int], float],
    gap: float,
    margin: float,
) -> list[Point]:
    """Left and right side of each layer."""
    depth = max(layer, default=-1) + 1
    widths = [max(sizes[v][0] for v in range(len(sizes)) if layer[v] == k) for k in range(depth)]
    room, texts = [gap] * depth, [0] * depth
    for edge in edges:
        before = layer[edge[1]] - 1  # text stands on the last piece of an edge
        room[before] = max(room[before], gaps.get(edge, 0.0))
        texts[before] += gaps.get(edge, 0.0) > 0
    columns, x = [], margin
    for place, width in enumerate(widths):
        columns.append((x, x + width))
        x += width + room[place] + min(MOST_ROOM, ROOM_PER_TEXT * max(0, texts[place] - 1))
    return columns


def _route(
    chain: list,
    edge: tuple[int, int],
    centres: Sequence[Point],
    sizes: Sequence[Point],
    columns: list[Point],
    heights: dict,
    shift: float,
    layer: Sequence[int],
) -> tuple[Point, ...]:
    source, target = edge
    points = [(centres[source][0] + sizes[source][0] / 2, centres[source][1])]
    if points[0][0] < columns[layer[source]][1]:  # level with its column before it bends
        points.append((columns[layer[source]][1], centres[source][1]))
    for dummy in chain:
        y = heights[dummy] + shift
        points += [(columns[dummy[1]][0], y), (columns[dummy[1]][1], y)]
    left = centres[target][0] - sizes[target][0] / 2
    if columns[layer[target]][0] < left:
        points.append((columns[layer[target]][0], centres[target][1]))
    points.append((left, centres[target][1]))
    return tuple(points)
