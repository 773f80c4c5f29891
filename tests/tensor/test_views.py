"""Random array programs built through views have the value NumPy gives them.

Every operation is applied twice, to a view and to an array; the simplifications on the way
(merged powers, logsumexp, cancelled inverses, index equations) must not change the value.
"""

import numpy as np
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diffkit.tensor import views as v
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import var
from diffkit.tensor.normal_form import normal_form
from diffkit.tensor.sweep import pushforward

N = 3
VALUES = {
    "A": np.random.default_rng(1).normal(size=(N, N)),
    "S": np.array([[2.0, 0.5, 0.1], [0.5, 1.5, -0.3], [0.1, -0.3, 1.0]]),
    "Q": np.linalg.qr(np.random.default_rng(2).normal(size=(N, N)))[0],
    "x": np.random.default_rng(3).normal(size=N),
    "p": np.array([0.2, 0.5, 0.3]),
    "h": np.array([0.0, 1.0, 0.0]),
    "c": np.array(0.7),
}
FACTS = {"S": "spd", "Q": "orthogonal", "p": "simplex", "h": "one_hot"}


def leaf(name):
    facts = frozenset({FACTS[name]} if name in FACTS else ())
    value = VALUES[name]
    return v.view(var(name, value.shape, "", facts)), value


def kernel(name):
    function = getattr(sp, name)
    numbers = {"tanh": np.tanh, "sin": np.sin, "exp": np.exp}[name]
    return lambda pair: (v.elementwise(function, pair[0]), numbers(pair[1]))


def logsumexp(pair):
    top = pair[1].max(axis=-1, keepdims=True)
    value = np.log(np.exp(pair[1] - top).sum(axis=-1)) + top[..., 0]
    return v.reduce("logsumexp", pair[0], [-1]), value


def softmax(pair):
    """As people write it: exp(x - max) / sum exp(x - max)."""
    view, value = pair
    last = view.rank - 1
    top = v.expand(v.reduce("max", view, [last]), last)
    e = v.elementwise(sp.exp, v.add(view, top, -1))
    shown = v.divide(e, v.expand(v.total(e, [last]), last))
    numbers = np.exp(value - value.max(axis=-1, keepdims=True))
    return shown, numbers / numbers.sum(axis=-1, keepdims=True)


def same_shape(left, right):
    return left[1].shape == right[1].shape


def joined(pair):
    """Entrywise sums, products and quotients, and matrix products where the shapes fit."""
    left, right = pair
    options = [
        st.just((v.add(left[0], right[0]), left[1] + right[1])),
        st.just((v.add(left[0], right[0], -1), left[1] - right[1])),
        st.just((v.multiply(left[0], right[0]), left[1] * right[1])),
    ]
    if left[1].ndim and right[1].ndim:
        options.append(st.just((v.matmul(left[0], right[0]), left[1] @ right[1])))
    if np.all(np.abs(right[1]) > 1e-2):
        options.append(st.just((v.divide(left[0], right[0]), left[1] / right[1])))
    return st.one_of(options)


def changed(pair):
    view, value = pair
    options = [
        st.sampled_from(["tanh", "sin", "exp"]).map(lambda name: kernel(name)(pair)),
        st.sampled_from([2, 3, sp.Rational(-1, 2)]).map(
            lambda c: (v.scale(c, view), float(c) * value)
        ),
    ]
    if value.ndim:
        options += [
            st.just((v.total(view, [-1]), value.sum(axis=-1))),
            st.just(logsumexp(pair)),
            st.just(softmax(pair)),
            st.just((v.cumulative_sum(view, view.rank - 1), np.cumsum(value, axis=-1))),
            st.just((v.index(view, 0, 1), value[1])),
            st.just((v.power(view, 2), value**2)),
        ]
    if value.ndim == 2:
        options += [
            st.just((v.matrix_transpose(view), value.T)),
            st.just((v.triangle(view), np.tril(value))),
            st.just((v.diagonal(view), np.diagonal(value))),
            st.just((v.trace(view), np.trace(value))),
            st.just((v.reshape(v.reshape(view, (N * N,)), (N, N)), value)),
        ]
        if abs(np.linalg.det(value)) > 1e-2:
            options.append(st.just((v.matrix_inverse(view), np.linalg.inv(value))))
    if np.all(value > 1e-2):
        options += [
            st.just((v.elementwise(sp.log, view), np.log(value))),
            st.just((v.power(view, sp.Rational(-1, 2)), value**-0.5)),
            st.just((v.power(view, -1), 1 / value)),
        ]
    return st.one_of(options)


PROGRAMS = st.recursive(
    st.sampled_from(sorted(VALUES)).map(leaf),
    lambda inner: inner.flatmap(changed) | st.tuples(inner, inner).flatmap(joined),
    max_leaves=6,
)


def is_tame(value):
    return bool(np.all(np.isfinite(value)) and np.max(np.abs(value), initial=0.0) < 1e6)


@given(PROGRAMS)
@settings(max_examples=400, deadline=None)
def test_a_program_of_views_has_the_value_of_the_arrays(program):
    view, value = program
    assume(is_tame(value))
    node = v.dense(view)
    scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
    assert node.shape == value.shape
    assert np.allclose(evaluate(node, VALUES), value, rtol=1e-6, atol=1e-7 * scale)
    assert np.allclose(evaluate(normal_form(node), VALUES), value, rtol=1e-5, atol=1e-6 * scale)


@given(PROGRAMS, st.sampled_from(["A", "x", "c"]))
@settings(max_examples=150, deadline=None)
def test_a_tangent_is_the_rate_of_change(program, name):
    view, value = program
    assume(is_tame(value))
    node = v.dense(view)
    target, base = leaf(name)[0].node, VALUES[name]
    direction = np.random.default_rng(5).normal(size=base.shape)
    tangent = pushforward(node, {target: var("the direction", base.shape)})
    found = evaluate(tangent, {**VALUES, "the direction": direction})

    def slope(step):
        ends = [evaluate(node, {**VALUES, name: base + s * step * direction}) for s in (1, -1)]
        return (ends[0] - ends[1]) / (2 * step)

    coarse, fine = slope(2e-5), slope(1e-5)
    assume(is_tame(found) and is_tame(fine))
    noise = np.abs(coarse - fine).max() + 1e-6 * max(1.0, np.abs(fine).max(), np.abs(value).max())
    assert np.all(np.abs(found - fine) <= 10 * noise)
