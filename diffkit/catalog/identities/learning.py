"""Losses, likelihoods and scores of machine learning."""

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from diffkit.catalog.identities.inverses import logdet
from diffkit.catalog.identities.linear import COOKBOOK
from diffkit.catalog.identities.row import Array, Identity

inv, solve, trace = jnp.linalg.inv, jnp.linalg.solve, jnp.trace
sigmoid, softmax = jax.nn.sigmoid, jax.nn.softmax


def rbf(x: Array, z: Array, s: Array) -> Array:
    """exp(-|x - z|^2 / 2 s^2)."""
    return jnp.exp(-0.5 * jnp.sum((x - z) ** 2) / s**2)


REGRESSION = (
    Identity(
        "least_squares_mean",
        "X 6x3, Y 6x2, W 3x2",
        "W",
        lambda X, Y, W: jnp.mean((X @ W - Y) ** 2),
        lambda X, Y, W: X.T @ (X @ W - Y) / 6,
        r"\frac{1}{NK} \lVert XW - Y \rVert_F^2",
        r"\frac{2}{NK} X^\top (X W - Y)",
        "standard; jnp.mean divides by N K",
        wrong=lambda X, Y, W: 2 * X.T @ (X @ W - Y) / 6,
        mistake="divides by N only",
    ),
    Identity(
        "ridge",
        "X 6x3, y 6, w 3, a scalar positive",
        "w",
        lambda X, y, w, a: jnp.sum((X @ w - y) ** 2) + a * w @ w,
        lambda X, y, w, a: 2 * X.T @ (X @ w - y) + 2 * a * w,
        r"\lVert Xw - y \rVert^2 + a \lVert w \rVert^2",
        r"2 X^\top (X w - y) + 2 a w",
        "standard",
        wrong=lambda X, y, w, a: 2 * X.T @ (X @ w - y) + a * w,
        mistake="factor 2 of the penalty",
        reads=True,
    ),
    Identity(
        "absolute_deviation",
        "A 5x3, x 3, y 5",
        "x",
        lambda A, x, y: jnp.sum(jnp.abs(A @ x - y)),
        lambda A, x, y: A.T @ jnp.sign(A @ x - y),
        r"\lVert Ax - y \rVert_1",
        r"A^\top \mathrm{sign}(A x - y)",
        "matrixcalculus.org example norm1(A*x-y)",
        wrong=lambda A, x, y: jnp.sum(A, axis=0),
        mistake="forgets the sign",
        reads=True,
    ),
    Identity(
        "huber",
        "A 5x3, x 3, y 5",
        "x",
        lambda A, x, y: jnp.sum(
            jnp.where(jnp.abs(A @ x - y) <= 1, 0.5 * (A @ x - y) ** 2, jnp.abs(A @ x - y) - 0.5)
        ),
        lambda A, x, y: A.T @ jnp.clip(A @ x - y, -1, 1),
        r"\sum_i \mathrm{huber}_1((Ax - y)_i)",
        r"A^\top \mathrm{clip}(A x - y, -1, 1)",
        "Huber (1964)",
        wrong=lambda A, x, y: A.T @ (A @ x - y),
        mistake="that of the square",
    ),
    Identity(
        "logistic_loss",
        "X 6x3, y 6 sign, w 3",
        "w",
        lambda X, y, w: jnp.sum(jnp.log(1 + jnp.exp(-y * (X @ w)))),
        lambda X, y, w: -X.T @ (y * sigmoid(-y * (X @ w))),
        r"\sum_i \log(1 + e^{-y_i x_i^\top w})",
        r"-X^\top (y \odot \sigma(-y \odot (X w)))",
        "Murphy (2022) 10.2, labels -1 and 1",
        wrong=lambda X, y, w: -X.T @ (y * sigmoid(y * (X @ w))),
        mistake="sign inside the sigmoid",
        reads=True,
    ),
    Identity(
        "logistic_regression",
        "X 6x3, y 6 positive, w 3",
        "w",
        lambda X, y, w: (
            -jnp.sum(y * jnp.log(sigmoid(X @ w)) + (1 - y) * jnp.log(1 - sigmoid(X @ w)))
        ),
        lambda X, y, w: X.T @ (sigmoid(X @ w) - y),
        r"-\sum_i y_i \log p_i + (1 - y_i) \log(1 - p_i)",
        r"X^\top (\sigma(X w) - y)",
        "Bishop (2006) eq. 4.91",
        wrong=lambda X, y, w: X.T @ (y - sigmoid(X @ w)),
        mistake="sign",
        reads=True,
    ),
    Identity(
        "logistic_regression_hessian",
        "X 6x3, y 6 positive, w 3",
        "w",
        lambda X, y, w: jnp.sum(jax.nn.softplus(X @ w) - y * (X @ w)),
        lambda X, y, w: X.T @ jnp.diag(sigmoid(X @ w) * (1 - sigmoid(X @ w))) @ X,
        r"\sum_i \log(1 + e^{x_i^\top w}) - y_i x_i^\top w",
        r"X^\top \mathrm{diag}(\sigma(X w) \odot (1 - \sigma(X w))) X",
        "Bishop (2006) eq. 4.97",
        kind="hessian",
        wrong=lambda X, y, w: X.T @ jnp.diag(sigmoid(X @ w)) @ X,
        mistake="forgets 1 - p",
        reads=True,
    ),
    Identity(
        "poisson_regression",
        "X 6x3, y 6 positive, w 3",
        "w",
        lambda X, y, w: jnp.sum(jnp.exp(X @ w) - y * (X @ w)),
        lambda X, y, w: X.T @ (jnp.exp(X @ w) - y),
        r"\sum_i e^{x_i^\top w} - y_i x_i^\top w",
        r"X^\top (e^{X w} - y)",
        "standard",
        wrong=lambda X, y, w: X.T @ (X @ w - y),
        mistake="the identity link",
    ),
    Identity(
        "softmax_regression",
        "X 6x3, W 3x4, Y 6x4 one_hot",
        "W",
        lambda X, W, Y: -jnp.sum(Y * jax.nn.log_softmax(X @ W)),
        lambda X, W, Y: X.T @ (softmax(X @ W) - Y),
        r"-\langle Y, \log\mathrm{softmax}(XW) \rangle",
        r"X^\top (\mathrm{softmax}(X W) - Y)",
        "Bishop (2006) eq. 4.109",
        wrong=lambda X, W, Y: X.T @ softmax(X @ W),
        mistake="forgets the labels",
    ),
    Identity(
        "logsumexp",
        "z 5",
        "z",
        lambda z: logsumexp(z),
        lambda z: softmax(z),
        r"\log \sum_i e^{z_i}",
        r"\mathrm{softmax}(z)",
        "standard",
        wrong=lambda z: jnp.exp(z),
        mistake="forgets the normaliser",
        reads=True,
    ),
    Identity(
        "logsumexp_hessian",
        "z 5",
        "z",
        lambda z: logsumexp(z),
        lambda z: jnp.diag(softmax(z)) - jnp.outer(softmax(z), softmax(z)),
        r"\log \sum_i e^{z_i}",
        r"\mathrm{diag}(\mathrm{softmax}(z)) - \mathrm{softmax}(z)\,\mathrm{softmax}(z)^\top",
        "standard",
        kind="hessian",
        wrong=lambda z: jnp.diag(softmax(z) * (1 - softmax(z))),
        mistake="diagonal only",
        reads=True,
    ),
    Identity(
        "softmax_jacobian",
        "z 5",
        "z",
        lambda z: softmax(z),
        lambda z: jnp.diag(softmax(z)) - jnp.outer(softmax(z), softmax(z)),
        r"\mathrm{softmax}(z)",
        r"\mathrm{diag}(\mathrm{softmax}(z)) - \mathrm{softmax}(z)\,\mathrm{softmax}(z)^\top",
        "standard",
        kind="jacobian",
        wrong=lambda z: jnp.diag(softmax(z)),
        mistake="forgets the normaliser",
        reads=True,
    ),
    Identity(
        "cross_entropy",
        "z 5, y 5 simplex",
        "z",
        lambda z, y: -jnp.sum(y * jax.nn.log_softmax(z)),
        lambda z, y: softmax(z) - y,
        r"-y^\top \log\mathrm{softmax}(z)",
        r"\mathrm{softmax}(z) - y",
        "standard; y sums to 1",
        wrong=lambda z, y: softmax(z),
        mistake="forgets the labels",
        reads=True,
    ),
    Identity(
        "entropy_of_softmax",
        "z 5",
        "z",
        lambda z: -jnp.sum(softmax(z) * jax.nn.log_softmax(z)),
        lambda z: (
            -softmax(z) * (jax.nn.log_softmax(z) - jnp.sum(softmax(z) * jax.nn.log_softmax(z)))
        ),
        r"-\sum_i p_i \log p_i",
        r"-p \odot (\log p + H)",
        "maximum-entropy policies",
        wrong=lambda z: -softmax(z) * (jax.nn.log_softmax(z) + 1),
        mistake="the derivative by p, not by z",
    ),
    Identity(
        "temperature",
        "z 5, t scalar positive",
        "t",
        lambda z, t: t * logsumexp(z / t),
        lambda z, t: logsumexp(z / t) - softmax(z / t) @ z / t,
        r"t \log \sum_i e^{z_i / t}",
        r"\log\sum_i e^{z_i/t} - \frac{1}{t} \mathrm{softmax}(z/t)^\top z",
        "soft value of a bandit",
        wrong=lambda z, t: logsumexp(z / t),
        mistake="forgets t inside",
    ),
    Identity(
        "policy_gradient",
        "h 5, r 5",
        "h",
        lambda h, r: softmax(h) @ r,
        lambda h, r: softmax(h) * (r - softmax(h) @ r),
        r"\pi_h^\top r",
        r"\mathrm{softmax}(h) \odot (r - \mathrm{softmax}(h)^\top r)",
        "bandit policy gradient",
        wrong=lambda h, r: softmax(h) * r,
        mistake="no baseline",
        reads=True,
    ),
    Identity(
        "softmax_score",
        "h 5",
        "h",
        lambda h: jax.nn.log_softmax(h)[2],
        lambda h: jnp.eye(5)[2] - softmax(h),
        r"\log \pi_h(a)",
        r"e_a - \pi",
        "policy gradient score function",
        wrong=lambda h: jnp.eye(5)[2],
        mistake="forgets the normaliser",
    ),
)

LIKELIHOODS = (
    Identity(
        "gaussian_nll_covariance",
        "S 4x4 spd, d 4",
        "S",
        lambda S, d: 0.5 * d @ solve(S, d) + 0.5 * logdet(S),
        lambda S, d: 0.5 * (inv(S).T - inv(S).T @ jnp.outer(d, d) @ inv(S).T),
        r"\frac12 d^\top \Sigma^{-1} d + \frac12 \log\det\Sigma",
        r"\frac12 \left(S^{-\top} - S^{-\top} d d^\top S^{-\top}\right)",
        f"{COOKBOOK} 57 and 61; SymPy 1.14 loses the log det",
        wrong=lambda S, d: 0.5 * (inv(S) - jnp.outer(d, d)),
        mistake="drops the sandwich",
        reads=True,
    ),
    Identity(
        "gaussian_score",
        "x 4, m 4, S 4x4 spd",
        "x",
        lambda x, m, S: -0.5 * (x - m) @ solve(S, x - m) - 0.5 * logdet(S),
        lambda x, m, S: -solve(S, x - m),
        r"\log N(x; m, S)",
        r"-S^{-1} (x - m)",
        "score function of a Gaussian",
        wrong=lambda x, m, S: solve(S, x - m),
        mistake="sign",
        reads=True,
    ),
    Identity(
        "gaussian_nll_precision",
        "P 4x4 spd, d 4",
        "P",
        lambda P, d: 0.5 * d @ P @ d - 0.5 * logdet(P),
        lambda P, d: 0.5 * (jnp.outer(d, d) - inv(P)),
        r"\frac12 d^\top P d - \frac12 \log\det P",
        r"\frac12 (d d^\top - P^{-1})",
        "Boyd & Vandenberghe 7.1.1",
        wrong=lambda P, d: 0.5 * (jnp.outer(d, d) + inv(P)),
        mistake="sign of the second term",
        reads=True,
    ),
    Identity(
        "gaussian_kl_mean",
        "m 3, n 3, S 3x3 spd, T 3x3 spd",
        "m",
        lambda m, n, S, T: (
            0.5 * (trace(solve(T, S)) + (n - m) @ solve(T, n - m) - 3 + logdet(T) - logdet(S))
        ),
        lambda m, n, S, T: solve(T, m - n),
        r"\mathrm{KL}(N(m, S) \Vert N(n, T))",
        r"T^{-1} (m - n)",
        "standard",
        wrong=lambda m, n, S, T: solve(T, n - m),
        mistake="sign",
        reads=True,
    ),
    Identity(
        "gaussian_kl_covariance",
        "m 3, n 3, S 3x3 spd, T 3x3 spd",
        "S",
        lambda m, n, S, T: (
            0.5 * (trace(solve(T, S)) + (n - m) @ solve(T, n - m) - 3 + logdet(T) - logdet(S))
        ),
        lambda m, n, S, T: 0.5 * (inv(T) - inv(S)),
        r"\mathrm{KL}(N(m, S) \Vert N(n, T))",
        r"\frac12 (T^{-1} - S^{-1})",
        "standard",
        wrong=lambda m, n, S, T: 0.5 * inv(T),
        mistake="forgets the entropy",
        reads=True,
    ),
    Identity(
        "gaussian_kl_other_covariance",
        "m 3, n 3, S 3x3 spd, T 3x3 spd",
        "T",
        lambda m, n, S, T: (
            0.5 * (trace(solve(T, S)) + (n - m) @ solve(T, n - m) - 3 + logdet(T) - logdet(S))
        ),
        lambda m, n, S, T: 0.5 * (inv(T) - inv(T) @ (S + jnp.outer(n - m, n - m)) @ inv(T)),
        r"\mathrm{KL}(N(m, S) \Vert N(n, T))",
        r"\frac12 \left(T^{-1} - T^{-1} (S + (n - m)(n - m)^\top) T^{-1}\right)",
        "standard",
        wrong=lambda m, n, S, T: 0.5 * (inv(T) - inv(T) @ S @ inv(T)),
        mistake="forgets the means",
        reads=True,
    ),
    Identity(
        "variational_kl",
        "m 4, v 4",
        "v",
        lambda m, v: -0.5 * jnp.sum(1 + v - m**2 - jnp.exp(v)),
        lambda m, v: 0.5 * (jnp.exp(v) - 1),
        r"-\frac12 \sum_j (1 + v_j - m_j^2 - e^{v_j})",
        r"\frac12 (e^v - 1)",
        "Kingma & Welling (2014), v the log variance",
        wrong=lambda m, v: 0.5 * jnp.exp(v),
        mistake="forgets the constant",
    ),
    Identity(
        "gp_marginal_likelihood_noise",
        "K 4x4 spd, y 4, a scalar positive",
        "a",
        lambda K, y, a: (0.5 * y @ solve(K + a * jnp.eye(4), y) + 0.5 * logdet(K + a * jnp.eye(4))),
        lambda K, y, a: (
            0.5 * (trace(inv(K + a * jnp.eye(4))) - jnp.sum(solve(K + a * jnp.eye(4), y) ** 2))
        ),
        r"\frac12 y^\top (K + aI)^{-1} y + \frac12 \log\det(K + aI)",
        r"\frac12 \left(\mathrm{tr}((K + a I)^{-1}) - \lVert (K + a I)^{-1} y \rVert^2\right)",
        "Rasmussen & Williams (2006) eq. 5.9",
        wrong=lambda K, y, a: 0.5 * trace(inv(K + a * jnp.eye(4))),
        mistake="forgets the data term",
        reads=True,
    ),
    Identity(
        "gp_marginal_likelihood_scale",
        "K 4x4 spd, y 4, s scalar positive",
        "s",
        lambda K, y, s: (0.5 * y @ solve(s * K + jnp.eye(4), y) + 0.5 * logdet(s * K + jnp.eye(4))),
        lambda K, y, s: (
            0.5
            * (
                trace(solve(s * K + jnp.eye(4), K))
                - solve(s * K + jnp.eye(4), y) @ K @ solve(s * K + jnp.eye(4), y)
            )
        ),
        r"\frac12 y^\top (sK + I)^{-1} y + \frac12 \log\det(sK + I)",
        r"\frac12 \left(\mathrm{tr}((s K + I)^{-1} K) - y^\top (s K + I)^{-1} K (s K + I)^{-1} y"
        r"\right)",
        "Rasmussen & Williams (2006) eq. 5.9",
        wrong=lambda K, y, s: (
            0.5
            * (
                trace(solve(s * K + jnp.eye(4), K))
                + solve(s * K + jnp.eye(4), y) @ K @ solve(s * K + jnp.eye(4), y)
            )
        ),
        mistake="sign of the data term",
        reads=True,
    ),
    Identity(
        "rbf_kernel",
        "x 3, z 3, s scalar positive",
        "x",
        rbf,
        lambda x, z, s: -(x - z) / s**2 * rbf(x, z, s),
        r"e^{-\lVert x - z \rVert^2 / 2 s^2}",
        r"-\frac{x - z}{s^2} k(x, z)",
        "standard",
        wrong=lambda x, z, s: -(x - z) / s * rbf(x, z, s),
        mistake="s for s^2",
    ),
    Identity(
        "rbf_lengthscale",
        "x 3, z 3, s scalar positive",
        "s",
        rbf,
        lambda x, z, s: jnp.sum((x - z) ** 2) / s**3 * rbf(x, z, s),
        r"e^{-\lVert x - z \rVert^2 / 2 s^2}",
        r"\frac{\lVert x - z \rVert^2}{s^3} k(x, z)",
        "Rasmussen & Williams (2006) 5.1",
        wrong=lambda x, z, s: -jnp.sum((x - z) ** 2) / s**3 * rbf(x, z, s),
        mistake="sign",
    ),
    Identity(
        "student_t",
        "x 3, m 3, P 3x3 spd",
        "x",
        lambda x, m, P: -2 * jnp.log(1 + (x - m) @ P @ (x - m) / 4),
        lambda x, m, P: -P @ (x - m) / (1 + (x - m) @ P @ (x - m) / 4),
        r"-2 \log(1 + \frac14 (x - m)^\top P (x - m))",
        r"-\frac{P (x - m)}{1 + \frac14 (x - m)^\top P (x - m)}",
        "heavy-tailed likelihood",
        wrong=lambda x, m, P: -P @ (x - m),
        mistake="that of a Gaussian",
        reads=True,
    ),
    Identity(
        "innovation_likelihood",
        "P 3x3 spd, H 2x3, R 2x2 spd, v 2",
        "P",
        lambda P, H, R, v: (0.5 * v @ solve(H @ P @ H.T + R, v) + 0.5 * logdet(H @ P @ H.T + R)),
        lambda P, H, R, v: (
            0.5
            * H.T
            @ (
                inv(H @ P @ H.T + R)
                - jnp.outer(solve(H @ P @ H.T + R, v), solve(H @ P @ H.T + R, v))
            )
            @ H
        ),
        r"\frac12 v^\top S^{-1} v + \frac12 \log\det S,\ S = H P H^\top + R",
        r"\frac12 H^\top (S^{-1} - S^{-1} v v^\top S^{-1}) H",
        "Kalman filter likelihood",
        wrong=lambda P, H, R, v: 0.5 * H.T @ inv(H @ P @ H.T + R) @ H,
        mistake="forgets the innovation",
    ),
    Identity(
        "kalman_update_trace",
        "P 3x3 spd, H 2x3, R 2x2 spd, K 3x2",
        "K",
        lambda P, H, R, K: (trace((jnp.eye(3) - K @ H) @ P @ (jnp.eye(3) - K @ H).T + K @ R @ K.T)),
        lambda P, H, R, K: -2 * P @ H.T + 2 * K @ (H @ P @ H.T + R),
        r"\mathrm{tr}\left((I - KH) P (I - KH)^\top + K R K^\top\right)",
        r"-2 P H^\top + 2 K (H P H^\top + R)",
        "Joseph form; its zero is the Kalman gain",
        wrong=lambda P, H, R, K: -2 * P @ H.T + K @ (H @ P @ H.T + R),
        mistake="factor 2 of one term",
        reads=True,
    ),
)
