"""Eigenvalues, singular values, factorisations and functions of a matrix."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl

from diffkit.catalog.identities.inverses import logdet
from diffkit.catalog.identities.linear import COOKBOOK
from diffkit.catalog.identities.row import Array, Identity

inv, trace = jnp.linalg.inv, jnp.trace


def cholesky_pullback(X: Array, G: Array) -> Array:
    """Murray's closed form: sym(L^-T Phi(L' G) L^-1)."""
    factor = jnp.linalg.cholesky(X)
    product = jnp.tril(factor.T @ jnp.tril(G))
    halved = product - 0.5 * jnp.diag(jnp.diag(product))
    left = jsl.solve_triangular(factor.T, halved, lower=False)
    both = jsl.solve_triangular(factor.T, left.T, lower=False).T
    return 0.5 * (both + both.T)


def top_eigenvector(X: Array) -> Array:
    """The eigenvector of the largest eigenvalue."""
    return jnp.linalg.eigh(X)[1][:, -1]


def block_exponential(X: Array, dX: Array) -> Array:
    """The upper right block of exp [[X, dX], [0, X]]."""
    block = jnp.block([[X, dX], [jnp.zeros((4, 4)), X]])
    return jsl.expm(block)[:4, 4:]


SPECTRAL = (
    Identity(
        "sum_of_eigenvalues",
        "X 4x4 symmetric",
        "X",
        lambda X: jnp.sum(jnp.linalg.eigvalsh(X)),
        lambda X: jnp.eye(4),
        r"\sum_i \lambda_i(X)",
        "I",
        f"{COOKBOOK} 65",
        wrong=lambda X: jnp.ones((4, 4)),
        mistake="all entries instead of the diagonal",
        reads=True,
    ),
    Identity(
        "largest_eigenvalue",
        "X 4x4 symmetric",
        "X",
        lambda X: jnp.linalg.eigvalsh(X)[-1],
        lambda X: jnp.outer(top_eigenvector(X), top_eigenvector(X)),
        r"\lambda_{\max}(X)",
        r"v v^\top",
        f"{COOKBOOK} 67",
        wrong=lambda X: 2 * jnp.outer(top_eigenvector(X), top_eigenvector(X)),
        mistake="factor 2",
    ),
    Identity(
        "sum_of_squared_eigenvalues",
        "X 4x4 symmetric",
        "X",
        lambda X: jnp.sum(jnp.linalg.eigvalsh(X) ** 2),
        lambda X: 2 * X,
        r"\sum_i \lambda_i(X)^2",
        "2 X",
        "trace of the square",
        wrong=lambda X: X,
        mistake="factor 2",
        reads=True,
    ),
    Identity(
        "log_determinant_by_eigenvalues",
        "X 4x4 spd",
        "X",
        lambda X: jnp.sum(jnp.log(jnp.linalg.eigvalsh(X))),
        lambda X: inv(X),
        r"\sum_i \log \lambda_i(X)",
        "X^{-1}",
        f"{COOKBOOK} 57 and 66",
        wrong=lambda X: -inv(X),
        mistake="sign",
        reads=True,
    ),
    Identity(
        "nuclear_norm",
        "X 5x3",
        "X",
        lambda X: jnp.sum(jnp.linalg.svd(X, compute_uv=False)),
        lambda X: (lambda u, s, vt: u @ vt)(*jnp.linalg.svd(X, full_matrices=False)),
        r"\lVert X \rVert_*",
        r"U V^\top",
        "Watson (1992), full rank",
        wrong=lambda X: (lambda u, s, vt: u * s @ vt)(*jnp.linalg.svd(X, full_matrices=False)),
        mistake="X itself: the singular values are left in",
    ),
    Identity(
        "spectral_norm",
        "X 4x3",
        "X",
        lambda X: jnp.linalg.svd(X, compute_uv=False)[0],
        lambda X: (lambda u, s, vt: jnp.outer(u[:, 0], vt[0]))(
            *jnp.linalg.svd(X, full_matrices=False)
        ),
        r"\lVert X \rVert_2",
        r"u_1 v_1^\top",
        "Watson (1992)",
        wrong=lambda X: (lambda u, s, vt: s[0] * jnp.outer(u[:, 0], vt[0]))(
            *jnp.linalg.svd(X, full_matrices=False)
        ),
        mistake="the singular value is left in",
    ),
    Identity(
        "squared_singular_values",
        "X 4x3",
        "X",
        lambda X: jnp.sum(jnp.linalg.svd(X, compute_uv=False) ** 2),
        lambda X: 2 * X,
        r"\sum_i \sigma_i(X)^2",
        "2 X",
        "squared Frobenius norm",
        wrong=lambda X: X,
        mistake="factor 2",
        reads=True,
    ),
    Identity(
        "log_singular_values",
        "X 4x3",
        "X",
        lambda X: jnp.sum(jnp.log(jnp.linalg.svd(X, compute_uv=False))),
        lambda X: X @ inv(X.T @ X),
        r"\sum_i \log \sigma_i(X)",
        r"X (X^\top X)^{-1}",
        "half of eq. 55 of the Matrix Cookbook",
        wrong=lambda X: 2 * X @ inv(X.T @ X),
        mistake="factor 2",
        reads=True,
    ),
    Identity(
        "cholesky_pullback",
        "X 4x4 spd, G 4x4",
        "X",
        lambda X, G: jnp.sum(jnp.tril(G) * jnp.linalg.cholesky(X)),
        cholesky_pullback,
        r"\langle G, \mathrm{chol}(X) \rangle",
        r"\mathrm{sym}\left(L^{-\top} \Phi(L^\top \bar L) L^{-1}\right)",
        "Murray (2016), arXiv:1602.07527; JAX symmetrises the input",
    ),
    Identity(
        "log_determinant_by_cholesky",
        "X 4x4 spd",
        "X",
        lambda X: 2 * jnp.sum(jnp.log(jnp.diag(jnp.linalg.cholesky(X)))),
        lambda X: inv(X),
        r"2 \sum_i \log L_{ii},\ L L^\top = X",
        "X^{-1}",
        "Rasmussen & Williams (2006), A.18",
        wrong=lambda X: 0.5 * inv(X),
        mistake="factor 2",
        reads=True,
    ),
    Identity(
        "quadratic_form_by_cholesky",
        "X 4x4 spd, b 4",
        "X",
        lambda X, b: jnp.sum(jsl.solve_triangular(jnp.linalg.cholesky(X), b, lower=True) ** 2),
        lambda X, b: -jnp.outer(inv(X) @ b, inv(X) @ b),
        r"\lVert L^{-1} b \rVert^2,\ L L^\top = X",
        r"-X^{-1} b b^\top X^{-1}",
        "Rasmussen & Williams (2006), algorithm 2.1",
        wrong=lambda X, b: jnp.outer(inv(X) @ b, inv(X) @ b),
        mistake="sign",
        reads=True,
    ),
    Identity(
        "matrix_exponential_direction",
        "X 4x4",
        "X",
        lambda X: jsl.expm(X),
        block_exponential,
        "e^X",
        r"\left[\exp\begin{pmatrix} X & V \\ 0 & X \end{pmatrix}\right]_{12}",
        "Mathias (1996); Van Loan (1978)",
        kind="jvp",
        wrong=lambda X, dX: jsl.expm(X) @ dX,
        mistake="as if X and V commuted",
    ),
    Identity(
        "trace_of_the_exponential",
        "X 4x4",
        "X",
        lambda X: trace(jsl.expm(X)),
        lambda X: jsl.expm(X).T,
        r"\mathrm{tr}(e^X)",
        r"(e^X)^\top",
        f"{COOKBOOK} 128 for the exponential",
        wrong=lambda X: jsl.expm(X),
        mistake="transpose",
    ),
    Identity(
        "log_determinant_of_the_exponential",
        "X 3x3",
        "X",
        lambda X: logdet(jsl.expm(X)),
        lambda X: jnp.eye(3),
        r"\log\det e^X",
        "I",
        "Jacobi's formula",
        wrong=lambda X: jnp.ones((3, 3)),
        mistake="all entries instead of the diagonal",
        reads=True,
    ),
    Identity(
        "spectral_entropy",
        "X 3x3 spd",
        "X",
        lambda X: (lambda s: jnp.sum(s * jnp.log(s)))(jnp.linalg.eigvalsh(X)),
        lambda X: (lambda s, v: v * (jnp.log(s) + 1) @ v.T)(*jnp.linalg.eigh(X)),
        r"\mathrm{tr}(X \log X)",
        r"\log X + I",
        "von Neumann entropy; spectral functions, Lewis (1996)",
        wrong=lambda X: (lambda s, v: v * jnp.log(s) @ v.T)(*jnp.linalg.eigh(X)),
        mistake="forgets the identity",
    ),
)
