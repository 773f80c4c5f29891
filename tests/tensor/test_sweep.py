"""Every rule of differentiation, forward and reverse, against differences of the plain evaluator.

The evaluator (`tensor.evaluate`, NumPy) shares nothing with the rules.
"""

import numpy as np
import pytest
import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.tensor import views as v
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import Var, topological, var
from diffkit.tensor.sweep import gradient, hessian, jacobian, pushforward_all


def named(name, *shape):
    return v.view(var(name, shape))


def kernel(function):
    return lambda *arrays: v.elementwise(function, *arrays)


def softmax(z):
    total = v.expand(v.reduce("logsumexp", z, [z.rank - 1]), z.rank - 1)
    return kernel(sp.exp)(v.add(z, total, -1))


def norm(x):
    return v.power(v.total(v.multiply(x, x)), sp.S.Half)


def layernorm(x):
    centred = v.add(x, v.mean(x), -1)
    variance = v.add(v.mean(v.multiply(centred, centred)), v.number(sp.Rational(1, 10**5)))
    return v.multiply(centred, v.power(variance, -sp.S.Half))


A, X, B, Y = named("A", 3, 4), named("X", 4, 4), named("B", 4, 3), named("Y", 4, 3)
S, W, G = named("S", 4, 4), named("W", 5, 3), named("G", 4, 4)
b, c, x, y, z = named("b", 4), named("c", 4), named("x", 5), named("y", 5), named("z", 6)

#: name -> (a number, the variable).
NUMBERS = {
    "trace of an inverse": (v.trace(v.matmul(v.matmul(A, v.matrix_inverse(X)), B)), "X"),
    "log det": (v.determinant(X, "logabsdet"), "X"),
    "det": (v.determinant(X), "X"),
    "det of a power": (v.determinant(v.raise_matrix(X, 3)), "X"),
    "solve": (v.matmul(c, v.solve(X, b)), "X"),
    "pinv": (v.total(v.multiply(v.function_of_matrix("pinv", Y), A)), "Y"),
    "cholesky": (v.total(v.multiply(v.function_of_matrix("cholesky", S), G)), "S"),
    "eigenvalues": (v.total(v.multiply(v.part_of_matrix("eigenvalues", S, (4,)), b)), "S"),
    "expm": (
        v.total(v.multiply(v.function_of_matrix("expm", v.scale(sp.Rational(1, 3), X)), G)),
        "X",
    ),
    "logsumexp": (v.reduce("logsumexp", z, [0]), "z"),
    "softmax": (v.matmul(softmax(z), named("r", 6)), "z"),
    "norm": (norm(x), "x"),
    "cosine": (v.divide(v.matmul(x, y), v.multiply(norm(x), norm(y))), "x"),
    "layer": (v.total(v.multiply(kernel(sp.tanh)(v.matmul(x, W)), named("g", 3))), "W"),
    "layer norm": (v.matmul(y, layernorm(x)), "x"),
    "kron": (
        v.matmul(
            v.matmul(named("k", 6), v.kron(named("P", 3, 2), named("Q", 2, 3))), named("m", 6)
        ),
        "P",
    ),
    "cumulative sum": (v.matmul(v.cumulative_sum(v.multiply(x, x), 0), y), "x"),
    "concatenate": (v.total(v.power(v.concatenate([x, v.multiply(x, y)], 0), 3)), "x"),
    "slice": (v.total(v.power(v.select_linear(x, 0, 2, 2, 1), 2)), "x"),
    "pad": (v.matmul(v.pad(v.multiply(x, x), 0, 2, -1), z), "x"),
    "max and prod": (v.multiply(v.reduce("max", x, [0]), v.reduce("prod", x, [0])), "x"),
    "reshape": (v.total(v.multiply(v.reshape(v.multiply(A, A), (2, 6)), named("M", 2, 6))), "A"),
    "diagonal": (v.total(v.power(v.diagonal(X, 1), 3)), "X"),
    "triangle": (v.total(v.power(v.triangle(X), 3)), "X"),
    "transpose": (v.trace(v.matmul(X, v.matrix_transpose(v.multiply(X, X)))), "X"),
}
#: No second derivative: their rules hold where the values are distinct.
FIRST_ONLY = {
    "eigenvectors": (
        v.total(v.multiply(v.power(v.part_of_matrix("eigenvectors", S, (4, 4)), 2), G)),
        "S",
    ),
    **{
        f"{kind} of a {rows}x{columns} matrix": (
            v.total(v.multiply(v.part_of_matrix(kind, named("Z", rows, columns), tail), weight)),
            "Z",
        )
        for rows, columns in ((4, 3), (3, 4), (3, 3))
        for kind, tail in (("left_singular", (rows, 3)), ("right_singular", (3, columns)))
        for weight in [named("R", *tail)]
    },
    **{
        f"{kind} of a {rows}x3 matrix": (
            v.total(
                v.multiply(v.part_of_matrix(kind, named("Z", rows, 3), tail), named("R", *tail))
            ),
            "Z",
        )
        for kind, rows, tail in (
            ("qr_orthogonal", 4, (4, 3)),
            ("qr_orthogonal", 3, (3, 3)),
            ("qr_triangular", 4, (3, 3)),
            ("lu_lower", 3, (3, 3)),
            ("lu_upper", 3, (3, 3)),
        )
    },
    "singular values": (
        v.total(
            v.multiply(
                v.part_of_matrix("singular_values", Y, (3,)),
                v.index(v.matrix_transpose(Y), 1, 0),
            )
        ),
        "Y",
    ),
}


def point(node, seed=0):
    """Random values; S is positive definite."""
    random = np.random.default_rng(seed)
    values = {}
    for each in topological(node):
        if isinstance(each, Var):
            drawn = random.normal(size=each.shape)
            values[each.name] = drawn @ drawn.T / 4 + np.eye(4) if each.name == "S" else drawn
    return values


def variable(node, name):
    return next(n for n in topological(node) if isinstance(n, Var) and n.name == name)


def differences(node, values, name, step=1e-6):
    """Central differences: axes of the node, then of the variable."""
    base = values[name]
    found = np.zeros(node.shape + base.shape)
    for place in np.ndindex(*base.shape):
        up, down = base.copy(), base.copy()
        up[place] += step
        down[place] -= step
        rise = evaluate(node, {**values, name: up}) - evaluate(node, {**values, name: down})
        found[(..., *place)] = rise / (2 * step)
    return found


def distance(left, right):
    return np.abs(left - right).max() / max(np.abs(right).max(), 1e-300)


@pytest.mark.parametrize("name", [*NUMBERS, *FIRST_ONLY])
def test_the_gradient_is_what_differences_say_in_both_modes(name):
    view, wrt = {**NUMBERS, **FIRST_ONLY}[name]
    node = v.dense(view)
    values, target = point(node), variable(node, wrt)
    expected = differences(node, values, wrt)
    (found,) = gradient(node, [target])
    assert found.shape == target.shape
    assert distance(evaluate(found, values), expected) < 1e-6
    assert distance(evaluate(pushforward_all(node, target), values), expected) < 1e-6
    # A control: the gradient at another point is another one.
    elsewhere = evaluate(found, point(node, 1))
    assert distance(elsewhere, expected) > 1e-3 or not np.any(expected - expected.flat[0])


@pytest.mark.parametrize("name", NUMBERS)
def test_the_hessian_is_the_derivative_of_the_gradient(name):
    view, wrt = NUMBERS[name]
    node = v.dense(view)
    values, target = point(node), variable(node, wrt)
    (first,) = gradient(node, [target])
    found = evaluate(hessian(node, target), values)
    expected = differences(first, values, wrt)
    assert np.abs(found - expected).max() < 1e-6 * max(np.abs(expected).max(), 1)


@pytest.mark.parametrize(
    "view", [v.matmul(v.matmul(A, X), B), v.matrix_inverse(X), v.kron(X, A), softmax(X)]
)
def test_the_jacobian_has_the_axes_of_the_result_and_then_of_the_variable(view):
    node = v.dense(view)
    values, target = point(node), variable(node, "X")
    found = jacobian(node, target)
    assert found.shape == (*node.shape, 4, 4)
    assert distance(evaluate(found, values), differences(node, values, "X")) < 1e-6


def test_one_sweep_gives_all_gradients_and_zero_for_what_does_not_occur():
    node = v.dense(v.matmul(c, v.solve(X, b)))
    by_x, by_b, by_other = gradient(
        node, [variable(node, "X"), variable(node, "b"), var("other", (2,))]
    )
    assert (by_x.shape, by_b.shape) == ((4, 4), (4,))
    assert np.array_equal(evaluate(by_other, point(node)), np.zeros(2))


def test_the_gradient_of_an_array_is_refused():
    with pytest.raises(UsageError, match="jacobian"):
        gradient(v.dense(softmax(z)), [var("z", (6,))])


def test_the_gradient_of_a_deep_net_grows_linearly():
    def depth(count):
        hidden = named("h0", 5)
        for layer in range(count):
            hidden = kernel(sp.tanh)(v.matmul(named(f"W{layer}", 5, 5), hidden))
        root = v.dense(v.total(hidden))
        weights = [variable(root, f"W{layer}") for layer in range(count)]
        return sum(1 for _ in topological(*gradient(root, weights)))

    assert depth(12) - depth(8) == depth(8) - depth(4)
