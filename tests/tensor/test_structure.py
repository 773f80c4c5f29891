"""Structures of Hessians: their parts, put together by NumPy, are the Hessian of the sweep.

The evaluator (`tensor.evaluate`, NumPy) and the assembly below share nothing with the lowering.
"""

from functools import singledispatch

import numpy as np
import pytest
import sympy as sp

from diffkit.tensor import build
from diffkit.tensor import structure as s
from diffkit.tensor import views as v
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.frontier import frontier, hessian_pieces
from diffkit.tensor.nodes import Einsum, affine, raw_einsum, topological, var
from diffkit.tensor.paths import cost_of, planned
from diffkit.tensor.sweep import hessian
from diffkit.tensor.ties import constant_axes, dropped, identified, ties


def named(name, *shape):
    return v.view(var(name, shape))


def kernel(function):
    return lambda *arrays: v.elementwise(function, *arrays)


def softmax_loss(z, y):
    top = v.expand(v.reduce("logsumexp", z, [z.rank - 1]), z.rank - 1)
    return v.scale(-1, v.total(v.multiply(y, v.add(z, top, -1))))


def squares(x):
    return v.total(v.multiply(x, x))


def softplus(x):
    return kernel(lambda t: sp.log(1 + sp.exp(t)))(x)


def network(w, inputs, weights):
    hidden = kernel(sp.tanh)(v.matmul(inputs, w))
    for weight in weights:
        hidden = kernel(sp.tanh)(v.matmul(hidden, weight))
    return v.total(hidden)


A, B, T, U, V = (
    named("A", 5, 5),
    named("B", 4, 3),
    named("T", 6, 4),
    named("U", 6, 2),
    named("V", 4, 2),
)
W, X, Y = named("W", 5, 3), named("X", 2, 5), named("Y", 6, 4)
Z, S = named("Z", 6, 4), named("S", 3, 3)
n, x, y, z = named("n", 5), named("x", 5), named("y", 5), named("z", 12)
K = [named(f"K{k}", 3, 3) for k in range(3)]
residual = v.add(T, v.matmul(U, v.matrix_transpose(V)), -1)


def part(array, first, count, stride=1):
    return v.select_linear(array, 0, count, stride, first)


def chain(array):
    """Every entry against the square of the one before: the Hessian has three diagonals."""
    count = array.shape[0] - 1
    left, right = part(array, 0, count), part(array, 1, count)
    return squares(v.add(right, v.multiply(left, left), -1))


#: name -> (a number, the variable, the structure of its Hessian).
NUMBERS = {
    "a quadratic form": (v.matmul(v.matmul(x, A), x), "x", "Const"),
    "least squares": (squares(v.add(v.matmul(A, x), y, -1)), "x", "Const"),
    "an affine function": (v.matmul(y, x), "x", "Diagonal"),
    "an elementwise sum": (v.total(kernel(sp.exp)(v.multiply(x, y))), "x", "Diagonal"),
    "an elementwise sum over a matrix": (v.total(kernel(sp.sin)(Z)), "Z", "Diagonal"),
    "a sum over a slice": (v.total(kernel(sp.exp)(part(x, 1, 3))), "x", "Diagonal"),
    "a sum over every other entry": (v.total(kernel(sp.exp)(part(z, 1, 5, 2))), "z", "Diagonal"),
    "a sum backwards": (
        v.total(v.multiply(y, kernel(sp.exp)(part(x, 4, 5, -1)))),
        "x",
        "Diagonal",
    ),
    "a chain of neighbours": (chain(x), "x", "Dense"),
    "pairs of entries": (
        v.total(kernel(sp.sin)(v.multiply(v.expand(x, 1), v.expand(x, 0)))),
        "x",
        "Dense",
    ),
    "matrix factorisation": (squares(residual), "U", "KroneckerIdentity(Const)"),
    "matrix factorisation, other factor": (squares(residual), "V", "KroneckerIdentity(Const)"),
    "matrix factorisation with a ridge": (
        v.add(squares(residual), squares(U)),
        "U",
        "KroneckerIdentity(Const)",
    ),
    "cross entropy of logits": (softmax_loss(x, y), "x", "DiagonalPlusLowRank(rank 1)"),
    "a batch of cross entropies": (softmax_loss(Z, Y), "Z", "Block(DiagonalPlusLowRank(rank 1))"),
    "a norm": (v.power(squares(x), sp.S.Half), "x", "DiagonalPlusLowRank(rank 1)"),
    "a square of squares": (v.power(squares(x), 2), "x", "DiagonalPlusLowRank(rank 1)"),
    "a cosine": (
        v.divide(v.matmul(x, y), v.power(v.multiply(squares(x), squares(y)), sp.S.Half)),
        "x",
        "Dense",
    ),
    "few samples and a ridge": (
        v.add(v.total(softplus(v.matmul(named("F", 3, 12), z))), squares(z)),
        "z",
        "DiagonalPlusLowRank(rank 3)",
    ),
    "few samples": (v.total(softplus(v.matmul(named("F", 3, 12), z))), "z", "Factored"),
    "many samples": (v.total(softplus(v.matmul(named("G", 20, 5), x))), "x", "Dense"),
    "log det": (v.determinant(S, "logabsdet"), "S", "Factored"),
    "two fixed factors": (squares(v.matmul(v.matmul(X, W), S)), "W", "Factored"),
    "rows apart, one matrix each": (
        v.total(kernel(sp.exp)(v.matmul(Z, B))),
        "Z",
        "Block(Dense)",
    ),
    "first layer of a network": (network(W, X, K), "W", "Factored"),
    "first layer over one sample": (network(W, named("a", 1, 5), K[:1]), "W", "Factored"),
}


def drawn(root, seed):
    """Random values of every input below a node; S is near the identity, so that it inverts."""
    rng = np.random.default_rng(seed)
    values = {}
    for node in topological(root):
        if not node.operands and hasattr(node, "name"):
            values[node.name] = rng.normal(size=node.shape)
    if "S" in values:
        values["S"] = np.eye(3) + 0.3 * values["S"]
    return values


@singledispatch
def assembled(found, values):
    raise TypeError(type(found).__name__)


def diagonal(d):
    return np.diag(d.ravel()).reshape(*d.shape, *d.shape)


@assembled.register
def _(found: s.Diagonal, values):
    d = evaluate(found.diagonal, values)
    return over_batch(found, diagonal, d)


@assembled.register
def _(found: s.DiagonalPlusLowRank, values):
    total = assembled(s.Diagonal(found.shape, found.batch, found.diagonal), values)
    for part in found.parts:
        left, weights, right = (evaluate(p, values) for p in (part.left, part.weights, part.right))
        total = total + over_batch(
            found,
            lambda a, c, b: np.tensordot(a * c, b, axes=([-1], [-1])),
            left,
            weights,
            right,
        )
    return total


@assembled.register
def _(found: s.Dense, values):
    return evaluate(found.node, values)


@assembled.register
def _(found: s.Factored, values):
    total = 0.0
    for product in found.products:
        arrays = [evaluate(node, values) for node in product.factors]
        # Every label gets a letter; one that stands on both sides a second one and an identity.
        right, extra = list(product.right), []
        for k, label in enumerate(right):
            if label in product.left:
                right[k] = 100 + k
                size = found.shape[k]
                extra += [np.eye(size), [label, right[k]]]
        pairs = [p for x, ls in zip(arrays, product.labels, strict=True) for p in (x, list(ls))]
        total = total + np.einsum(*relabelled([*pairs, *extra, [*product.left, *right]]))
    return total


def relabelled(arguments):
    """Small numbers for labels, as einsum wants them."""
    numbers = {}
    return [
        [numbers.setdefault(l, len(numbers)) for l in each] if isinstance(each, list) else each
        for each in arguments
    ]


def over_batch(found, function, *arrays):
    """The function for every index of the batch."""
    lengths = found.batch
    if not lengths:
        return function(*arrays)
    result = [function(*(a[k] for a in arrays)) for k in np.ndindex(*lengths)]
    return np.array(result).reshape(*lengths, *result[0].shape)


@assembled.register
def _(found: s.KroneckerIdentity, values):
    return laid_out(found, assembled(found.core, values), ())


@assembled.register
def _(found: s.Block, values):
    return laid_out(found, assembled(found.core, values), found.axes)


def laid_out(found, core, batch_axes):
    rank = len(found.shape)
    result = np.zeros((*found.shape, *found.shape))
    for index in np.ndindex(*(found.shape[k] for k in found.axes)):
        place = [slice(None)] * (2 * rank)
        for k, i in zip(found.axes, index, strict=True):
            place[k] = place[rank + k] = i
        result[tuple(place)] = core[index] if batch_axes else core
    return result


@pytest.mark.parametrize("name", NUMBERS)
def test_the_parts_of_a_structure_are_the_hessian(name, seed):
    loss, wrt, kind = NUMBERS[name]
    root = v.dense(loss)
    variable = next(x for x in topological(root) if getattr(x, "name", "") == wrt)
    found = s.structure(root, variable)
    assert str(found) == kind
    values = drawn(root, seed)
    expected = evaluate(hessian(root, variable), values)
    np.testing.assert_allclose(assembled(found, values), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", NUMBERS)
def test_products_in_pairs_have_the_value_of_the_whole_product(name, seed):
    loss, wrt, _ = NUMBERS[name]
    root = v.dense(loss)
    variable = next(x for x in topological(root) if getattr(x, "name", "") == wrt)
    whole = hessian(root, variable)
    (pairs,) = planned([whole])
    assert all(len(x.operands) <= 2 for x in topological(pairs) if isinstance(x, Einsum))
    values = drawn(whole, seed)
    np.testing.assert_allclose(
        evaluate(pairs, values), evaluate(whole, values), rtol=1e-10, atol=1e-12
    )


def test_only_what_depends_on_the_variable_is_not_constant():
    root = v.dense(squares(residual))
    found = s.structure(root, var("U", (6, 2)))
    assert not found.depends_on(var("U", (6, 2)))
    assert found.depends_on(var("V", (4, 2)))


def test_the_hessian_of_a_deep_net_costs_in_proportion_to_its_depth():
    def cost(depth):
        weights = [named(f"K{k}", 30, 30) for k in range(depth)]
        root = v.dense(network(named("W", 30, 30), named("a", 1, 30), weights))
        return cost_of(s.structure(root, var("W", (30, 30))).nodes)

    assert cost(9) - cost(6) < 1.2 * (cost(6) - cost(3))


def test_the_hessian_of_a_chain_is_written_without_a_sum_over_the_chain():
    x = named("x", 100)
    found = s.structure(v.dense(chain(x)), var("x", (100,)))
    assert cost_of(found.nodes) < 10 * 6 * 100**2


def test_pairs_of_entries_cost_no_third_power():
    x = named("x", 300)
    root = v.total(kernel(sp.sin)(v.multiply(v.expand(x, 1), v.expand(x, 0))))
    assert cost_of(s.structure(v.dense(root), var("x", (300,))).nodes) < 300**3 / 2


def test_a_common_matrix_of_two_terms_is_applied_once():
    def product(node):
        return raw_einsum([(A.node, (0, 1)), (node, (1, 2))], (0, 2))

    one, other = var("P", (5, 4)), var("Q", (5, 4))
    axes = (0, 1)
    whole = build.add(
        [(sp.Integer(2), product(one), axes), (sp.S.One, product(other), axes)], (5, 4)
    )
    (pairs,) = planned([whole])
    assert sum(A.node in x.operands for x in topological(pairs)) == 1
    values = drawn(whole, 0)
    np.testing.assert_allclose(evaluate(pairs, values), evaluate(whole, values), rtol=1e-12)


def test_a_part_that_two_products_contain_is_computed_once():
    a, b, c, d = (var(name, (20, 20)) for name in "abcd")
    chain = [(a, (0, 1)), (b, (1, 2)), (c, (2, 3))]
    short = raw_einsum(chain, (0, 3))
    long = raw_einsum([*chain, (d, (3, 4))], (0, 4))
    alone, both = cost_of([long]), cost_of([short, long])
    assert both < alone * 1.01


def test_the_frontier_is_where_the_formula_stops_being_affine():
    inner = v.add(v.matmul(A, x), y)
    root = v.dense(v.total(kernel(sp.exp)(inner)))
    assert frontier(root, var("x", (5,))) == [inner.node]
    assert len(hessian_pieces(root, var("x", (5,)))) == 2


def test_a_product_is_tied_where_a_chain_of_identities_ties_it():
    eye = build.identity(4)
    product = raw_einsum([(eye, (0, 1)), (eye, (1, 2)), (var("M", (4, 3)), (1, 3))], (0, 3, 2))
    assert ties(product) == (0, 1, 0)


def test_a_sum_is_tied_only_where_all_its_terms_are():
    eye, full = build.identity(4), var("M", (4, 4))
    assert ties(build.add([(sp.S.One, eye, (0, 1)), (sp.S.One, full, (0, 1))], (4, 4))) == (0, 1)
    lone = build.einsum([(full, (0, 0)), (eye, (0, 1))], (0, 1))
    assert ties(build.add([(sp.S.One, eye, (0, 1)), (sp.S.One, lone, (0, 1))], (4, 4))) == (0, 0)


@pytest.mark.parametrize(
    "node",
    [
        affine((4, 4), (1, -1), 0, ">="),
        affine((4, 4), (1, 1), -3),
        build.identity(4),
        var("M", (4, 4)),
        raw_einsum([(var("M", (4, 4)), (0, 1)), (var("R", (4, 4)), (1, 2))], (0, 2)),
        v.dense(v.add(named("M", 4, 4), v.multiply(v.eye(4), named("R", 4, 4)))),
        v.dense(kernel(sp.exp)(v.add(named("M", 4, 4), named("r", 4)))),
    ],
    ids=lambda node: type(node).__name__,
)
def test_identified_axes_give_the_diagonal(node, seed):
    values = drawn(node, seed)
    small = identified(node, (0, 0))
    np.testing.assert_allclose(
        evaluate(small, values), np.diagonal(evaluate(node, values)), rtol=1e-12
    )


def test_a_dropped_axis_is_one_along_which_nothing_changes(seed):
    ones = build.ones((3,))
    node = build.add(
        [
            (sp.S.One, build.einsum([(var("r", (4,)), (0,)), (ones, (1,))], (0, 1)), (0, 1)),
            (sp.Integer(2), build.ones((4, 3)), (0, 1)),
        ],
        (4, 3),
    )
    assert constant_axes(node) == {1}
    values = drawn(node, seed)
    np.testing.assert_allclose(
        evaluate(dropped(node, [1]), values), evaluate(node, values)[:, 0], rtol=1e-12
    )
