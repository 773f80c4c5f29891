"""Proofs of equality: what is equal is found so, what is not never is."""

import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diffkit.tensor import build
from diffkit.tensor import views as v
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.identity import _test, prove_equal_nodes
from diffkit.tensor.nodes import var
from diffkit.tensor.normal_form import normal_form


def named(name, *shape, fact=""):
    return v.view(var(name, shape, "", frozenset({fact} if fact else ())))


def kernel(function):
    return lambda *arrays: v.elementwise(function, *arrays)


exp, log, tanh, cos, sin = map(kernel, (sp.exp, sp.log, sp.tanh, sp.cos, sp.sin))
A, B, X, Y = named("A", 3, 3), named("B", 3, 3), named("X", 4, 3), named("Y", 4, 3)
S, Q, L = named("S", 3, 3, fact="spd"), named("Q", 3, 3, fact="orthogonal"), named("L", 3, 3)
x, y, z = named("x", 5), named("y", 5), named("z", 5)
p = named("p", 5, fact="simplex")
T, inv = v.matrix_transpose, v.matrix_inverse


def minus(a, b):
    return v.add(a, b, -1)


def chain(*factors):
    result = factors[0]
    for each in factors[1:]:
        result = v.matmul(result, each)
    return result


def softmax(u):
    """The way people write it: with the maximum subtracted."""
    top = v.expand(v.reduce("max", u, [0]), 0)
    e = exp(minus(u, top))
    return v.divide(e, v.expand(v.total(e), 0))


def norm(u):
    return v.power(v.total(v.multiply(u, u)), sp.S.Half)


EQUAL = {
    "transpose of a product": (T(chain(A, B)), chain(T(B), T(A))),
    "inverse of a product": (inv(chain(A, B)), chain(inv(B), inv(A))),
    "inverse cancels": (chain(inv(A), A, B), B),
    "push through": (
        chain(X, inv(v.add(v.eye(3), chain(T(X), X)))),
        chain(inv(v.add(v.eye(4), chain(X, T(X)))), X),
    ),
    "Woodbury": (
        inv(v.add(v.eye(4), chain(X, A, T(X)))),
        minus(v.eye(4), chain(X, inv(v.add(inv(A), chain(T(X), X))), T(X))),
    ),
    "square of a sum": (
        v.power(v.add(x, y), 2),
        v.add(v.add(v.multiply(x, x), v.multiply(y, y)), v.scale(2, v.multiply(x, y))),
    ),
    "trace is cyclic": (v.trace(chain(A, B, S)), v.trace(chain(S, A, B))),
    "det of a product": (
        v.determinant(chain(A, B)),
        v.multiply(v.determinant(A), v.determinant(B)),
    ),
    "det of an inverse": (v.determinant(inv(A)), v.power(v.determinant(A), -1)),
    "log det of a product": (
        v.determinant(chain(A, B), "logabsdet"),
        v.add(v.determinant(A, "logabsdet"), v.determinant(B, "logabsdet")),
    ),
    "pseudo-inverse of full rank": (
        v.function_of_matrix("pinv", X),
        chain(inv(chain(T(X), X)), T(X)),
    ),
    "shifted softmax": (softmax(x), softmax(v.add(x, v.number(3)))),
    "softmax sums to one": (v.total(softmax(x)), v.number(1)),
    "log of a softmax": (log(softmax(x)), minus(x, v.expand(v.reduce("logsumexp", x, [0]), 0))),
    "exp of a sum": (exp(v.add(x, y)), v.multiply(exp(x), exp(y))),
    "exp of an irrational multiple": (
        kernel(lambda a: sp.exp(sp.sqrt(2) * a))(v.add(x, y)),
        v.multiply(exp(v.scale(sp.sqrt(2), x)), exp(v.scale(sp.sqrt(2), y))),
    ),
    "tanh of an irrational multiple": (
        kernel(lambda a: sp.tanh(sp.sqrt(2 / sp.pi) * a))(v.add(x, v.power(x, 3))),
        tanh(v.scale(sp.sqrt(2 / sp.pi), v.add(x, v.power(x, 3)))),
    ),
    "tanh by exp": (
        tanh(x),
        v.divide(minus(exp(v.scale(2, x)), v.number(1)), v.add(exp(v.scale(2, x)), v.number(1))),
    ),
    "circle": (v.add(v.power(cos(x), 2), v.power(sin(x), 2)), v.number(1, (5,))),
    "unit vector": (v.total(v.power(v.divide(x, norm(x)), 2)), v.number(1)),
    "norm squared": (v.multiply(norm(x), norm(x)), v.total(v.multiply(x, x))),
    "relu by where": (
        kernel(lambda a: sp.Max(a, 0))(x),
        v.scale(sp.S.Half, v.add(x, kernel(sp.Abs)(x))),
    ),
    "symmetric": (S, T(S)),
    "orthogonal": (chain(Q, T(Q)), v.eye(3)),
    "cholesky": (
        chain(v.function_of_matrix("cholesky", S), T(v.function_of_matrix("cholesky", S))),
        S,
    ),
    "simplex": (v.total(p), v.number(1)),
    "kron": (
        chain(v.kron(A, B), v.kron(S, Q)),
        v.kron(chain(A, S), chain(B, Q)),
    ),
    "reshape and back": (v.reshape(v.reshape(X, (2, 6)), (4, 3)), X),
    "slices put together": (
        v.concatenate([v.select_linear(x, 0, 2, 1, 0), v.select_linear(x, 0, 3, 1, 2)], 0),
        x,
    ),
}
DIFFERENT = {
    "transpose": (A, T(A)),
    "order": (chain(A, B), chain(B, A)),
    "factor": (chain(A, B), v.scale(2, chain(A, B))),
    "almost": (x, v.add(x, v.number(sp.Rational(1, 10**30)))),
    "sum of squares": (v.power(v.total(x), 2), v.total(v.multiply(x, x))),
    "exp of a product": (exp(v.multiply(x, y)), v.multiply(exp(x), exp(y))),
    "exp of two irrational multiples": (
        kernel(lambda a: sp.exp(sp.sqrt(2) * a))(v.add(x, y)),
        v.multiply(exp(v.scale(sp.sqrt(2), x)), exp(v.scale(2 * sp.sqrt(2), y))),
    ),
    "log of a sum": (log(v.add(x, y)), v.add(log(x), log(y))),
    "softmax and sigmoid": (softmax(x), kernel(lambda a: 1 / (1 + sp.exp(-a)))(x)),
    "not orthogonal": (chain(A, T(A)), v.eye(3)),
    "abs": (kernel(sp.Abs)(x), x),
    "pseudo-inverse of the other side": (
        chain(v.function_of_matrix("pinv", X), X),
        chain(inv(chain(T(X), X)), T(Y), X),
    ),
    "tanh": (tanh(x), x),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_formulas_are_proved_equal(name):
    left, right = (v.dense(v.broadcast_to(side, EQUAL[name][0].shape)) for side in EQUAL[name])
    found = prove_equal_nodes(left, right)
    assert found.is_equal, found.method
    assert found.error < 1e-9


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_formulas_are_never_proved_equal(name):
    left, right = map(v.dense, DIFFERENT[name])
    assert not prove_equal_nodes(left, right).is_equal
    assert not _test(left, right, {}).is_equal


def test_shapes_are_compared_first():
    assert not prove_equal_nodes(v.dense(x), v.dense(v.total(x))).is_equal


squares_sum, other_sum = v.total(v.multiply(x, x)), v.total(v.multiply(y, y))
MERSENNE = 2**31 - 1


@pytest.mark.parametrize("factor", [2, 3, 5, 6, 7, 22])
def test_the_root_of_a_number_is_its_positive_root(factor):
    """A residue has two roots, and the one that is a square need not be the positive number."""
    root = v.power(v.add(v.scale(factor**2, squares_sum), v.scale(factor**2, other_sum)), sp.S.Half)
    right = v.scale(factor, v.power(v.add(squares_sum, other_sum), sp.S.Half))
    assert prove_equal_nodes(v.dense(root), v.dense(right)).is_equal
    wrong = prove_equal_nodes(v.dense(root), v.dense(v.scale(-1, right)))
    assert not wrong.is_equal


def test_a_root_whose_sign_is_open_is_told_apart_from_its_base():
    # sqrt(s^2) = s where s >= 0 alone: agreement of values at a few points would hide it
    base = v.total(v.power(x, 3))
    root = v.power(v.power(base, 2), sp.S.Half)
    assert prove_equal_nodes(v.dense(root), v.dense(base)).differs


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (v.scale(MERSENNE + 1, x), x),
        (v.scale(sp.Rational(MERSENNE, 10**26), x), v.scale(0, x)),
        (v.add(x, v.scale(sp.Rational(7, MERSENNE), y)), x),
        (v.power(x, MERSENNE), x),
        (exp(v.scale(sp.Rational(MERSENNE - 1, 24) + 1, x)), exp(x)),
        (exp(v.scale(sp.Rational(-(MERSENNE - 1), 48), x)), exp(v.scale(-(MERSENNE - 1) // 16, x))),
    ],
    ids=str,
)
def test_a_number_that_one_prime_divides_is_not_taken_for_zero(left, right):
    left, right = (v.dense(v.broadcast_to(side, (5,))) for side in (left, right))
    assert not prove_equal_nodes(left, right).is_equal


def test_an_irrational_power_of_a_sum_of_exponentials_is_an_atom():
    total = v.expand(v.reduce("logsumexp", x, [0]), 0)
    power = kernel(lambda a: sp.exp(sp.pi * a))(total)
    assert prove_equal_nodes(v.dense(power), v.dense(power)).is_equal
    other = kernel(lambda a: sp.exp(sp.sqrt(10) * a))(total)
    assert not _test(v.dense(power), v.dense(other), {}).is_equal


def test_a_test_that_takes_too_long_is_given_up_with_the_reason():
    left, right = map(v.dense, EQUAL["tanh by exp"])
    found = prove_equal_nodes(left, right, seconds=0.0)
    assert not found.is_equal
    assert found.method.endswith("no identity test: it was not finished within 0 s")


def grown(inner):
    pairs = st.tuples(inner, inner)
    return (
        pairs.map(lambda t: chain(*t))
        | pairs.map(lambda t: v.add(*t))
        | pairs.map(lambda t: v.multiply(*t))
        | inner.map(T)
        | inner.map(tanh)
        | inner.map(lambda m: v.scale(sp.Rational(-3, 2), m))
        | inner.map(lambda m: v.multiply(v.trace(m), m))
    )


VIEWS = st.recursive(st.sampled_from([A, B, L]), grown, max_leaves=5)


@given(VIEWS, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_the_normal_form_has_the_value_of_the_formula(view, seed):
    import numpy as np

    random = np.random.default_rng(seed)
    node = v.dense(view)
    values = {name: random.normal(size=(3, 3)) for name in "ABL"}
    before, after = evaluate(node, values), evaluate(normal_form(node), values)
    assume(np.abs(before).max() < 1e12)
    assert np.allclose(before, after, rtol=1e-9, atol=1e-9 * max(1, np.abs(before).max()))


@given(VIEWS)
@settings(max_examples=40, deadline=None)
def test_a_formula_equals_itself_and_not_its_double(view):
    node = v.dense(view)
    double = build.scale(2, node)
    assert _test(node, node, {}).is_equal
    assert build.is_zero(node) or not prove_equal_nodes(node, double).is_equal
