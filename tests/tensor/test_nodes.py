"""Nodes are interned: equal structure is one object."""

import copy
import gc

import pytest
import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.tensor.nodes import (
    Node,
    broadcast_shape,
    const,
    is_predicate,
    map_node,
    select,
    topological,
    var,
)

A, B = sp.symbols("a b", real=True)
TIMES, LESS = sp.Lambda((A, B), A * B), sp.Lambda((A, B), sp.Lt(A, B))


def test_equal_structure_is_the_same_object():
    left = map_node(TIMES, var("x"), const(2))
    renamed = sp.Lambda((B, A), B * A)
    assert left is map_node(renamed, var("x"), const(2))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (lambda: var("x"), lambda: var("y")),
        (lambda: var("x"), lambda: var("x", (3,))),
        (lambda: var("x"), lambda: var("x", (), "float32")),
        (lambda: const(1), lambda: const(2)),
        (lambda: const(1), lambda: const([1, 1], (2,))),
        (lambda: map_node(TIMES, var("x"), var("y")), lambda: map_node(TIMES, var("y"), var("x"))),
        (lambda: map_node(LESS, var("x"), var("y")), lambda: map_node(TIMES, var("x"), var("y"))),
    ],
)
def test_different_structure_is_a_different_object(left, right):
    assert left() is not right()


def test_the_table_forgets_nodes_nobody_holds():
    node = map_node(TIMES, var("forgotten"), var("also forgotten"))
    count = len(Node._table)
    del node
    gc.collect()
    assert len(Node._table) < count


def test_a_shared_part_is_visited_once_and_before_its_users():
    x = var("x")
    square = map_node(TIMES, x, x)
    fourth = map_node(TIMES, square, square)
    assert list(topological(fourth)) == [x, square, fourth]


def test_a_chain_of_ten_thousand_nodes_needs_no_recursion():
    node = var("x")
    for _ in range(10_000):
        node = map_node(TIMES, node, node)
    assert sum(1 for _ in topological(node)) == 10_001


def test_nodes_are_immutable_and_not_copied():
    x = var("x")
    with pytest.raises(AttributeError):
        x.shape = (2,)
    assert copy.copy(x) is x
    assert copy.deepcopy(x) is x


def test_shapes_broadcast_as_in_numpy():
    assert map_node(TIMES, var("x", (3, 1)), var("y", (4,))).shape == (3, 4)
    with pytest.raises(UsageError, match="do not broadcast"):
        broadcast_shape((3,), (4,))


def test_a_float_is_no_exact_constant():
    with pytest.raises(UsageError, match="no exact number"):
        const(sp.Float(0.1))


def test_the_number_of_operands_is_checked():
    with pytest.raises(UsageError, match="takes 2 operands"):
        map_node(TIMES, var("x"))


def test_only_a_comparison_selects():
    x, y = var("x"), var("y")
    assert is_predicate(map_node(LESS, x, y))
    assert not is_predicate(map_node(sp.Lambda(A, A), x))
    with pytest.raises(UsageError, match="no predicate"):
        select(x, x, y)
    assert select(map_node(LESS, x, y), x, x) is x
