"""Where other systems fail without a word: the derivative is right, and printed as people write it.

`SILENT` holds what SymPy 1.14 gives for the functions a `MatrixSymbol` can say; the test fails
when SymPy mends one, so that no text of diffkit accuses it wrongly.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp

import diffkit as dk
from diffkit.core.errors import UsageError

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape)


X, A, B = 2 * np.eye(4) + 0.5 * normal(4, 4), normal(4, 4), normal(4, 4)
T, W, C, D, x, y, z = (
    normal(5, 3), normal(5, 3), normal(3, 5), normal(2, 3), normal(4), normal(4), normal(5)
)  # fmt: skip
S, P, M, b = A @ A.T / 4 + np.eye(4) / 2, np.abs(normal(4, 4)) + 0.5, normal(5, 3) > 0, normal(3)
one_hot = np.eye(5)[2]
inv, det, trace = jnp.linalg.inv, jnp.linalg.det, jnp.trace


def logdet(matrix):
    return jnp.linalg.slogdet(matrix)[1]


def power(k):
    return lambda X: trace(jnp.linalg.matrix_power(X, k))


#: Name -> function, arguments, variable, and the gradient as it prints ("": only values count).
ROWS = {
    "log of a determinant": (lambda X: jnp.log(det(X)), (X,), "X", "X⁻ᵀ"),
    "slogdet": (logdet, (X,), "matrix", "matrix⁻ᵀ"),
    "determinant of a product": (
        lambda X, A, B: det(A @ X @ B), (X, A, B), "X", "det(A) det(B) det(X) X⁻ᵀ",
    ),
    "log determinant of a Gram matrix": (
        lambda T: jnp.log(det(T.T @ T)), (T,), "T", "2 T(TᵀT)⁻¹",
    ),
    "logsumexp": (lambda z: jnp.log(jnp.sum(jnp.exp(z))), (z,), "z", "softmax(z)"),
    "sum of two traces": (
        lambda X, A: trace(X.T @ X) + trace(A.T @ A), (X, A), "X", "2 X",
    ),
    "trace plus one": (lambda X: trace(X.T @ X) + 1, (X,), "X", "2 X"),
    "Rayleigh quotient": (
        lambda x, A: (x @ A @ x) / (x @ x), (x, A), "x", "Ax/‖x‖² + Aᵀx/‖x‖² − 2 (xᵀAx) x/‖x‖⁴",
    ),
    "Gaussian likelihood": (
        lambda S, x: x @ jnp.linalg.solve(S, x) + logdet(S), (S, x), "S",
        "(S⁻¹ − S⁻¹x xᵀS⁻¹)ᵀ",
    ),
    "trace": (power(1), (X,), "X", "I"),
    "trace of the square": (power(2), (X,), "X", "2 Xᵀ"),
    "trace of the cube": (power(3), (X,), "X", "3 (X²)ᵀ"),
    "trace of the 4th power": (power(4), (X,), "X", "4 (X³)ᵀ"),
    "trace of the 5th power": (power(5), (X,), "X", "5 (X⁴)ᵀ"),
    "one entry": (lambda X: X[1, 1], (X,), "X", "e₂ e₂ᵀ"),
    "Kronecker product": (
        lambda D, C: jnp.sum(jnp.kron(D, C) ** 2), (D, C), "D", "2 ‖C‖_F² D",
    ),
    "trace of a Kronecker product": (
        lambda X, A: trace(jnp.kron(X, A)), (X, A), "X", "tr(A) I",
    ),
    "masked entries": (
        lambda T, M: jnp.sum(jnp.where(M, jax.nn.softplus(T), 0.0)), (T, M), "T",
        "[M ≠ 0] ⊙ σ(T)",
    ),
    "weighted entries": (
        lambda T, W: jnp.sum(W * jnp.log1p(jnp.exp(T))), (T, W), "T", "W ⊙ σ(T)",
    ),
    "Hadamard product": (lambda X, A: trace((A * X) @ X.T), (X, A), "X", "2 A ⊙ X"),
    "root of x'x": (lambda x: jnp.sqrt(x @ x), (x,), "x", "x/‖x‖"),
    "bilinear form": (lambda X, x, y: x @ X @ y, (X, x, y), "X", "x yᵀ"),
    "bilinear form of the inverse": (
        lambda X, x, y: x @ inv(X) @ y, (X, x, y), "X", "−X⁻ᵀx yᵀX⁻ᵀ",
    ),
    "inverse under a trace": (
        lambda X, A: trace(A @ inv(X)), (X, A), "X", "−X⁻ᵀAᵀX⁻ᵀ",
    ),
    "inverse of a sum": (
        lambda X, A: trace(inv(X @ X.T + jnp.eye(4)) @ A), (X, A), "X",
        "−K(A + Aᵀ) KX      where K = (XXᵀ + I)⁻¹",
    ),
    "sum of all entries": (lambda X: jnp.sum(X), (X,), "X", "𝟏 𝟏ᵀ"),
    "diagonal": (lambda X: jnp.sum(jnp.diag(X) ** 2), (X,), "X", "2 diag(diag(X))"),
    "diagonal matrix": (
        lambda x, A: det(jnp.diag(x) + A), (x, A), "x",
        "det(Z) diag(Z⁻¹)     where Z = diag(x) + A",
    ),
    "transposed variable": (lambda X, A: jnp.sum(X.T * A), (X, A), "X", "Aᵀ"),
    "entropy": (lambda P: jnp.sum(P * jnp.log(P)), (P,), "P", "1 + log(P)"),
    "norm of a residual": (
        lambda x, A, y: jnp.linalg.norm(A @ x - y), (x, A, y), "x",
        "Aᵀr/‖r‖            where r = Ax − y",
    ),
    "squared distance": (
        lambda x, y: jnp.sum(jnp.abs(x - y) ** 2), (x, y), "x", "2 (x − y)",
    ),
    "function of a quadratic form": (lambda x, A: jnp.exp(-x @ A @ x), (x, A), "x", ""),
    "quotient of traces": (lambda X, A: trace(A @ X) / trace(X), (X, A), "X", ""),
    "determinant times trace": (lambda X: det(X) * trace(X), (X,), "X", ""),
    "squared row sums": (
        lambda T: jnp.sum(jnp.sum(T, axis=1) ** 2), (T,), "T", "2 T 𝟏 𝟏ᵀ",
    ),
    "broadcast bias": (lambda b, T: jnp.sum((T + b) ** 2), (b, T), "b", "10 b + 2 Tᵀ 𝟏"),
    "outer product": (
        lambda x, A: jnp.sum(jnp.outer(x, x) * A), (x, A), "x", "(A + Aᵀ) x",
    ),
    "softmax of labels": (
        lambda z, y: -jnp.sum(y * jax.nn.log_softmax(z)), (z, one_hot), "z",
        "sum(y) p − y       where p = softmax(z)",
    ),
    "concatenation": (
        lambda x, y: jnp.sum(jnp.concatenate([x, y]) ** 3), (x, y), "y", "",
    ),
    "reshape": (
        lambda X, x: jnp.sum(X.reshape(2, 8) ** 2) + x @ X @ x, (X, x), "X", "",
    ),
    "cumulative sum": (
        lambda x: jnp.sum(jnp.cumsum(x) ** 2), (x,), "x", "2 reversed_cumsum(cumsum(x))",
    ),
    "commutator": (lambda X, A: trace(A @ X - X @ A), (X, A), "X", "0"),
    "held constant": (lambda X, x: x @ x, (X, x), "X", "0"),
    "pseudo-inverse": (
        lambda T, z: jnp.sum((jnp.linalg.pinv(T) @ z) ** 2), (T, z), "T", "",
    ),
    "Cholesky factor": (
        lambda S: jnp.sum(jnp.log(jnp.diag(jnp.linalg.cholesky(S)))), (S,), "S", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_the_gradient_is_that_of_jax_and_prints_as_people_write_it(name):
    f, args, wrt, shown = ROWS[name]
    with jax.enable_x64(True):
        formula = dk.lift(f, *args)
        found = formula.grad(wrt)
        place = formula.names.index(wrt)
        true = jax.grad(f, place)(*map(jnp.asarray, args))
        value = found.lower()(*args)
        assert value.shape == true.shape
        np.testing.assert_allclose(value, true, rtol=1e-10, atol=1e-10)
    if shown:
        assert str(found) == shown


def test_what_is_no_gradient_is_refused_with_the_remedy():
    with pytest.raises(UsageError, match="jacobian"):
        dk.lift(lambda X: X @ X, X).grad("X")


# SymPy 1.14 ---------------------------------------------------------------------------------------

n, m = 3, 4
sX, sA, sB = (sp.MatrixSymbol(name, n, n) for name in "XAB")
sY, sx = sp.MatrixSymbol("Y", m, n), sp.MatrixSymbol("x", n, 1)
sa, sb = sp.MatrixSymbol("a", m, 1), sp.MatrixSymbol("b", n, 1)
sDet, sTr = sp.Determinant, sp.Trace


def is_zero(found):
    return found == sp.ZeroMatrix(*found.shape)


#: Functions whose derivative SymPy 1.14 says is zero; it never is.
SILENT = {
    "log of a determinant": (sp.log(sDet(sX)), sX),
    "log determinant of a Gram matrix": (sp.log(sDet(sY.T * sY)), sY),
    "logsumexp": (sp.log((sp.OneMatrix(1, n) * sx.applyfunc(sp.exp))[0, 0]), sx),
    "sum of two traces": (sTr(sY.T * sY) + sTr(sA.T * sA), sY),
    "trace plus one": (sTr(sY.T * sY) + 1, sY),
    "Gaussian likelihood": (sTr(sx.T * sX.inv() * sx) + sp.log(sDet(sX)), sX),
    "one entry": (sX[1, 1], sX),
    "function of a quadratic form": (sp.exp(sTr(sx.T * sA * sx)), sx),
}


@pytest.mark.parametrize("name", SILENT)
def test_sympy_says_zero(name):
    function, variable = SILENT[name]
    assert name in ROWS
    assert is_zero(function.diff(variable))


def test_sympy_loses_a_term():
    quotient = (sTr(sx.T * sA * sx) / sTr(sx.T * sx)).diff(sx)
    assert str(quotient) == "1/Trace(x.T*x)*A*x + 1/Trace(x.T*x)*A.T*x"
    product = (sDet(sX) * sTr(sX)).diff(sX)
    assert product == sDet(sX) * sp.Identity(n)


def test_sympy_gives_a_wrong_shape_or_no_answer():
    assert (sa.T * sY * sb).diff(sY).shape == (m, n, 1, 1)
    k = sp.Symbol("k", integer=True, positive=True)
    assert sTr(sX**k).diff(sX).shape == (n,)
    assert isinstance(sDet(sA * sX * sB).diff(sX), sp.Derivative)
    with pytest.raises(AttributeError):
        sTr(sp.KroneckerProduct(sX, sA)).diff(sX)
    with pytest.raises(TypeError):
        sp.sqrt(sTr(sx.T * sx)).diff(sx)
