"""Kernels with kinks and decompositions: laws that identity testing has built in."""

import pytest
import sympy as sp

from diffkit.tensor import views as v
from diffkit.tensor.identity import prove_equal_nodes
from diffkit.tensor.nodes import var
from diffkit.tensor.regions import by_regions

T = sp.Symbol("t", real=True)
x, G, X = v.view(var("x", (5,))), v.view(var("G", (4, 4))), v.view(var("X", (4, 3)))
S = v.view(var("S", (4, 4), "", frozenset({"symmetric"})))


def of(function, array=x):
    return v.elementwise(function, array)


def where(test, yes, no, array=x):
    return v.choose(of(test, array), of(yes, array), of(no, array))


def part(kind, array, *tail):
    return v.part_of_matrix(kind, array, tail)


def spectral(array):
    vectors, values = part("eigenvectors", array, 4, 4), part("eigenvalues", array, 4)
    return v.matmul(v.multiply(vectors, values), v.matrix_transpose(vectors))


def singular(array):
    left, right = part("left_singular", array, 4, 3), part("right_singular", array, 3, 3)
    return v.matmul(v.multiply(left, part("singular_values", array, 3)), right)


EQUAL = {
    "huber's slope": (
        where(lambda t: abs(t) <= 1, lambda t: t, sp.sign),
        of(lambda t: sp.Min(1, sp.Max(-1, t))),
    ),
    "soft threshold": (
        where(lambda t: abs(t) <= 2, lambda t: 0 * t, lambda t: t - 2 * sp.sign(t)),
        of(lambda t: sp.sign(t) * sp.Max(abs(t) - 2, 0)),
    ),
    "leaky relu": (
        where(lambda t: t > 0, lambda t: t, lambda t: t / 10),
        of(lambda t: sp.Max(t, t / 10)),
    ),
    "product of kinks": (
        v.multiply(of(lambda t: sp.Max(t, 0)), of(lambda t: (1 + sp.sign(t)) / 2)),
        of(lambda t: sp.Max(t, 0)),
    ),
    "clipped exponential": (
        of(lambda t: sp.exp(sp.Min(t, 1))),
        where(lambda t: t < 1, sp.exp, lambda t: 0 * t + sp.E),
    ),
    "eigenvalues": (v.total(part("eigenvalues", S, 4)), v.trace(S)),
    "spectral form": (spectral(S), S),
    "symmetric part": (spectral(G), v.scale(sp.S.Half, v.add(G, v.matrix_transpose(G)))),
    "singular values": (singular(X), X),
}

DIFFERENT = {
    "another threshold": (of(lambda t: sp.Max(t, 1)), of(lambda t: sp.Max(t, 2))),
    "far kink": (of(lambda t: sp.Max(t, 1000) - sp.Max(t, 1001)), of(lambda t: 0 * t - 1)),
    "other branch": (of(sp.Abs), of(lambda t: sp.Max(t, 0))),
    "step for clip": (of(sp.sign), of(lambda t: sp.Min(1, sp.Max(-1, t)))),
    "squared eigenvalues": (v.total(v.power(part("eigenvalues", S, 4), 2)), v.trace(S)),
    "singular values of another order": (
        v.index(part("singular_values", X, 3), 0, 0),
        v.index(part("singular_values", X, 3), 0, 1),
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_formulas_are_proved(name):
    left, right = EQUAL[name]
    assert prove_equal_nodes(v.dense(left), v.dense(right)).is_equal


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_formulas_are_not(name):
    left, right = DIFFERENT[name]
    assert not prove_equal_nodes(v.dense(left), v.dense(right)).is_equal


def test_a_missing_law_is_not_taken_for_a_difference():
    u, w = v.view(var("u", (3,))), v.view(var("w", (3,)))
    gamma = v.elementwise(sp.gamma, v.add(u, v.number(1)))
    assert not prove_equal_nodes(v.dense(gamma), v.dense(of(sp.gamma, u))).differs
    assert prove_equal_nodes(v.dense(v.power(u, 2)), v.dense(v.multiply(u, w))).differs


@pytest.mark.parametrize(
    "kernel",
    [
        sp.Abs(T - 3),
        sp.Max(T, 2 * T, -1),
        sp.Piecewise((T**2, sp.Abs(T) <= 1), (2 * sp.Abs(T) - 1, True)),
        sp.Min(sp.Max(T, -1), 1) * sp.exp(T),
    ],
)
def test_the_form_by_regions_has_the_same_values(kernel):
    form = by_regions(kernel)
    for place in (sp.Rational(k, 7) for k in range(-40, 41, 3)):
        assert sp.simplify(form.subs(T, place) - kernel.subs(T, place)) == 0


def test_kinks_at_no_rational_number_are_left_alone():
    kernel = sp.Max(sp.exp(T), 2)
    assert by_regions(kernel) == kernel
