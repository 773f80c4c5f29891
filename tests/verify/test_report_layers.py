"""The layered drawing: what holds for every graph, on random ones."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.verify.report.layers import arrange, layers, monotone


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 14))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=24)) if pairs else []
    sizes = [(draw(st.floats(20, 120)), draw(st.floats(20, 70))) for _ in range(count)]
    return sizes, edges


@given(graphs())
def test_edges_go_right_and_no_two_boxes_touch(graph):
    sizes, edges = graph
    drawing = arrange(sizes, edges, spacing=10.0)
    boxes = [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for (x, y), (w, h) in zip(drawing.centres, sizes, strict=True)
    ]
    for source, target in edges:
        assert boxes[source][2] < boxes[target][0]
    for a, b in itertools.combinations(boxes, 2):
        is_apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 1e-6 or b[3] <= a[1] + 1e-6
        assert is_apart
    for left, top, right, bottom in boxes:
        assert left >= 0
        assert top >= -1e-6
        assert right <= drawing.width
        assert bottom <= drawing.height + 1e-6


@given(graphs())
def test_a_route_leads_from_its_source_to_its_target_without_turning_back(graph):
    sizes, edges = graph
    drawing = arrange(sizes, edges)
    for (source, target), route in zip(edges, drawing.routes, strict=True):
        xs = [x for x, _ in route]
        assert xs == sorted(xs)
        assert route[0] == (
            drawing.centres[source][0] + sizes[source][0] / 2,
            drawing.centres[source][1],
        )
        assert route[-1] == (
            drawing.centres[target][0] - sizes[target][0] / 2,
            drawing.centres[target][1],
        )


@given(graphs())
def test_the_same_graph_has_the_same_drawing(graph):
    assert arrange(*graph) == arrange(*graph)


def crossings(drawing, edges) -> int:
    heights = [(drawing.centres[a][1], drawing.centres[b][1]) for a, b in edges]
    return sum((p[0] - q[0]) * (p[1] - q[1]) < 0 for p, q in itertools.combinations(heights, 2))


def test_crossings_that_can_be_avoided_are():
    # two layers of four; drawn as numbered, the matching crosses six times
    sizes, edges = [(20, 20)] * 8, [(0, 7), (1, 6), (2, 5), (3, 4)]
    assert crossings(arrange(sizes, edges), edges) == 0
    complete = [(0, 2), (0, 3), (1, 2), (1, 3)]  # K(2, 2) crosses once whatever one does
    assert crossings(arrange([(20, 20)] * 4, complete), complete) == 1


def test_a_chain_is_straight_whatever_hangs_on_it():
    # operations 1, 3, 5 in a chain, each with an input of its own
    edges = [(0, 1), (1, 3), (2, 3), (3, 5), (4, 5)]
    drawing = arrange([(40, 20)] * 6, edges)
    heights = [drawing.centres[k][1] for k in (1, 3, 5)]
    assert max(heights) - min(heights) < 5


def test_sources_stand_next_to_their_first_use():
    assert layers(5, [(0, 2), (2, 3), (3, 4), (1, 4)]) == [0, 2, 1, 2, 3]


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(0.1, 9)), min_size=1, max_size=7),
    st.integers(0, 2**32 - 1),
)
def test_the_monotone_fit_is_monotone_and_no_other_is_nearer(rows, seed):
    targets, weights = map(np.array, zip(*rows, strict=True))
    found = np.array(monotone(list(targets), list(weights)))
    assert np.all(np.diff(found) >= 0)
    best = np.sum(weights * (found - targets) ** 2)
    rng = np.random.default_rng(seed)
    for scale in (1e-3, 0.1, 3.0):
        other = np.sort(found + scale * rng.standard_normal(len(found)))
        assert np.sum(weights * (other - targets) ** 2) >= best - 1e-9


def test_an_empty_graph_and_one_node_are_drawings_too():
    assert arrange([], []).centres == ()
    assert len(arrange([(10, 10)], []).centres) == 1


@pytest.mark.parametrize("count", [300])
def test_some_hundreds_of_nodes_take_no_noticeable_time(count: int, rng):
    edges = sorted({(int(a), b) for b in range(1, count) for a in rng.integers(0, b, 2)})
    drawing = arrange([(80, 60)] * count, edges)
    assert len(drawing.centres) == count
