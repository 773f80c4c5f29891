"""Orientation changes the order in which axes are stored, and nothing else."""

import numpy as np
import pytest
import sympy as sp

from diffkit.tensor import build
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import Einsum, map_node, raw_add, raw_einsum, topological, var
from diffkit.tensor.orientation import oriented

A, B, C = var("A", (3, 4)), var("B", (4, 3)), var("C", (3, 5))
D, w = var("D", (5, 4)), var("w", (4,))
t = sp.Symbol("t", real=True)


def turned(node):
    return raw_einsum([(node, (0, 1))], (1, 0))


def scaled(node):
    """Column k of the matrix times w_k, written transposed."""
    return raw_einsum([(node, (0, 1)), (w, (1,))], (1, 0))


def total(*nodes):
    return raw_add([(sp.S.One, x, (0, 1)) for x in nodes], nodes[0].shape)


PRODUCT = raw_einsum([(D, (0, 1)), (C, (2, 0))], (1, 2))
NODES = {
    "a transposed transpose": turned(turned(A)),
    "weights": turned(scaled(A)),
    "a kernel of a transpose": map_node(sp.Lambda((t,), sp.exp(t)), turned(A)),
    "a sum of both orders": total(turned(A), B, scaled(A)),
    "a product in a sum": turned(total(PRODUCT, turned(A))),
    "a product of sums": raw_einsum([(total(turned(A), B), (0, 1)), (C, (1, 2))], (2, 0)),
    "an outer product": raw_einsum([(A, (0, 1)), (w, (2,))], (2, 1, 0)),
    "a reduction": build.reduce("logsumexp", turned(A), [0]),
}


@pytest.mark.parametrize("name", NODES)
def test_values_stay(name, seed):
    rng = np.random.default_rng(seed)
    values = {x.name: rng.normal(size=x.shape) for x in (A, B, C, D, w)}
    (found,) = oriented([NODES[name]])
    assert found.shape == NODES[name].shape
    np.testing.assert_allclose(
        evaluate(found, values), evaluate(NODES[name], values), rtol=1e-12, atol=1e-14
    )


def test_a_product_that_only_a_sum_needs_follows_its_order():
    (found,) = oriented([NODES["a product in a sum"]])
    alone = [x for x in topological(found) if isinstance(x, Einsum) and len(x.operands) == 1]
    assert alone == []


def test_results_keep_the_order_that_was_asked_for():
    first, second = oriented([turned(A), A])
    assert (first.shape, second) == ((4, 3), A)
