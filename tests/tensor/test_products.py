"""Simplified products have the value of the product as it is written."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.core.errors import UsageError
from diffkit.tensor import build
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import affine, raw_einsum, var
from diffkit.tensor.normal_form import normal_form

SIZES = (1, 2, 3, 4, 6)


@st.composite
def products(draw):
    """Factors over a few labels: index equations, inputs, powers, and the labels of the result."""
    count = draw(st.integers(2, 5))
    sizes = [draw(st.sampled_from(SIZES)) for _ in range(count)]
    factors = []
    for number in range(draw(st.integers(1, 4))):
        labels = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3))
        shape = tuple(sizes[label] for label in labels)
        if draw(st.booleans()):
            coefficients = [draw(st.integers(-3, 3)) for _ in labels]
            relation = draw(st.sampled_from(["=", ">="]))
            node = affine(shape, coefficients, draw(st.integers(-3, 3)), relation)
        else:
            node = var(f"a{number % 2}{'x'.join(map(str, shape))}", shape)
        factors.append((node, tuple(labels)))
    present = sorted({label for _, labels in factors for label in labels})
    out = draw(st.permutations(present))[: draw(st.integers(0, len(present)))]
    return factors, tuple(out)


def values_of(factors):
    random = np.random.default_rng(0)
    nodes = {node.name: node.shape for node, _ in factors if hasattr(node, "name")}
    return {name: random.normal(size=shape) for name, shape in nodes.items()}


@given(products())
@settings(max_examples=400, deadline=None)
def test_the_simplified_product_has_the_value_of_the_plain_one(product):
    factors, out = product
    values = values_of(factors)
    plain = evaluate(raw_einsum(factors, out), values)
    assert np.allclose(evaluate(build.einsum(factors, out), values), plain)
    assert np.allclose(evaluate(normal_form(raw_einsum(factors, out)), values), plain)


@given(products(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_the_factors_and_the_names_of_the_labels_do_not_matter(product, random):
    factors, out = product
    names = list(range(50, 60))
    random.shuffle(names)
    renamed = [(node, tuple(names[label] for label in labels)) for node, labels in factors]
    random.shuffle(renamed)
    again = build.einsum(renamed, tuple(names[label] for label in out))
    first = build.einsum(factors, out)
    values = values_of(factors)
    assert np.allclose(evaluate(first, values), evaluate(again, values))
    # One canonical node, but for ties that are cut; those are few on so few labels.
    assert again is first or len(factors) > 2


A, B, x = var("A", (3, 3)), var("B", (3, 3)), var("x", (3,))


def test_the_identity_renames_and_the_trace_of_the_identity_counts():
    eye = build.identity(3)
    assert build.einsum([(A, (0, 1)), (eye, (1, 2))], (0, 2)) is A
    assert build.number(build.einsum([(eye, (0, 0))], ())) == 3


def test_powers_of_one_base_are_merged():
    s = build.einsum([(x, (0,)), (x, (0,))], ())
    root = build.power(s, sp.S.Half)
    assert build.einsum([(root, ()), (root, ())], ()) is s
    assert build.number(build.einsum([(s, ()), (build.power(s, -1), ())], ())) == 1


def test_an_inverse_cancels_its_matrix_on_either_side_only():
    inverse = build.linop("inv", A, (3, 3))
    assert build.einsum([(A, (0, 1)), (inverse, (1, 2))], (0, 2)) is build.identity(3)
    assert build.einsum([(inverse, (0, 1)), (A, (1, 2))], (0, 2)) is build.identity(3)
    transposed = build.einsum([(A, (1, 0)), (inverse, (1, 2))], (0, 2))
    assert transposed is not build.identity(3)


def test_a_label_for_axes_of_two_lengths_is_refused():
    with pytest.raises(UsageError, match="one label"):
        raw_einsum([(A, (0, 1)), (var("y", (4,)), (1,))], (0,))
