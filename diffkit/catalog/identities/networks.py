"""Layers, attention, implicit layers and factorisations."""

import jax
import jax.numpy as jnp

from diffkit.catalog.identities.row import Array, Identity

sigmoid, softmax = jax.nn.sigmoid, jax.nn.softmax


def equilibrium(W: Array, x: Array) -> Array:
    """The fixed point z = tanh(W z + x) by 200 steps."""
    return jax.lax.fori_loop(0, 200, lambda i, z: jnp.tanh(W @ z + x), jnp.zeros(4))


def equilibrium_adjoint(W: Array, x: Array, c: Array) -> Array:
    """D (I - W' D)^-1 c at the equilibrium."""
    slope = 1 - equilibrium(W, x) ** 2
    return slope * jnp.linalg.solve((jnp.eye(4) - slope[:, None] * W).T, c)


def normalised(x: Array) -> tuple[Array, Array]:
    """LayerNorm without parameters, and the standard deviation."""
    deviation = jnp.sqrt(jnp.mean((x - jnp.mean(x)) ** 2) + 1e-5)
    return (x - jnp.mean(x)) / deviation, deviation


def layernorm_pullback(x: Array, g: Array) -> Array:
    """(g - mean g - h mean(g h)) / s."""
    h, s = normalised(x)
    return (g - jnp.mean(g) - h * jnp.mean(g * h)) / s


def attention(Q: Array, K: Array, V: Array) -> Array:
    """softmax(Q K' / sqrt d) V."""
    return softmax(Q @ K.T / jnp.sqrt(4.0)) @ V


def score_cotangent(Q: Array, K: Array, V: Array, G: Array) -> Array:
    """Cotangent of the scores: P * (G V' - rowsum(P * G V'))."""
    p = softmax(Q @ K.T / jnp.sqrt(4.0))
    back = G @ V.T
    return p * (back - jnp.sum(p * back, axis=1, keepdims=True))


def two_layers(X: Array, W1: Array, W2: Array, Y: Array) -> Array:
    """Half the squared error of a sigmoid network."""
    return 0.5 * jnp.sum((sigmoid(X @ W1) @ W2 - Y) ** 2)


NETWORKS = (
    Identity(
        "relu_layer",
        "X 6x4, W 4x3, G 6x3",
        "W",
        lambda X, W, G: jnp.sum(G * jax.nn.relu(X @ W)),
        lambda X, W, G: X.T @ (G * (X @ W > 0)),
        r"\langle G, \mathrm{relu}(XW) \rangle",
        r"X^\top (G \odot [X W > 0])",
        "backpropagation; the kink has measure zero",
        wrong=lambda X, W, G: X.T @ G,
        mistake="forgets the mask",
    ),
    Identity(
        "tanh_layer_bias",
        "X 5x3, W 3x2, b 2, G 5x2",
        "b",
        lambda X, W, b, G: jnp.sum(G * jnp.tanh(X @ W + b)),
        lambda X, W, b, G: jnp.sum(G * (1 - jnp.tanh(X @ W + b) ** 2), axis=0),
        r"\langle G, \tanh(XW + \mathbf 1 b^\top) \rangle",
        r"\left(G \odot (1 - T \odot T)\right)^\top \mathbf 1",
        "backpropagation",
        wrong=lambda X, W, b, G: jnp.sum(G * (1 - jnp.tanh(X @ W + b)), axis=0),
        mistake="1 - t for 1 - t^2",
    ),
    Identity(
        "first_layer",
        "X 6x4, W1 4x5, W2 5x2, Y 6x2",
        "W1",
        two_layers,
        lambda X, W1, W2, Y: (
            X.T @ (((sigmoid(X @ W1) @ W2 - Y) @ W2.T) * sigmoid(X @ W1) * (1 - sigmoid(X @ W1)))
        ),
        r"\frac12 \lVert \sigma(X W_1) W_2 - Y \rVert_F^2",
        r"X^\top \left((R W_2^\top) \odot S \odot (1 - S)\right)",
        "backpropagation",
        wrong=lambda X, W1, W2, Y: (X.T @ (((sigmoid(X @ W1) @ W2 - Y) @ W2.T) * sigmoid(X @ W1))),
        mistake="forgets the factor 1 - S",
    ),
    Identity(
        "second_layer",
        "X 6x4, W1 4x5, W2 5x2, Y 6x2",
        "W2",
        two_layers,
        lambda X, W1, W2, Y: sigmoid(X @ W1).T @ (sigmoid(X @ W1) @ W2 - Y),
        r"\frac12 \lVert \sigma(X W_1) W_2 - Y \rVert_F^2",
        r"S^\top (S W_2 - Y)",
        "backpropagation",
        wrong=lambda X, W1, W2, Y: 2 * sigmoid(X @ W1).T @ (sigmoid(X @ W1) @ W2 - Y),
        mistake="factor 2",
    ),
    Identity(
        "sine_network",
        "A 4x4, x 4",
        "x",
        lambda A, x: jnp.sum(jnp.sin(A @ x) * x),
        lambda A, x: A.T @ (jnp.cos(A @ x) * x) + jnp.sin(A @ x),
        r"x^\top \sin(Ax)",
        r"A^\top (\cos(A x) \odot x) + \sin(A x)",
        "derived",
        wrong=lambda A, x: A.T @ (jnp.cos(A @ x) * x),
        mistake="holds the outer x constant",
        reads=True,
    ),
    Identity(
        "layer_norm_pullback",
        "x 6, g 6",
        "x",
        lambda x, g: jnp.sum(g * normalised(x)[0]),
        layernorm_pullback,
        r"\langle g, \mathrm{LN}(x) \rangle",
        r"\frac1s \left(g - \bar g - \hat x\, \overline{g \hat x}\right)",
        "Ba et al. (2016)",
        wrong=lambda x, g: g / normalised(x)[1],
        mistake="holds mean and variance constant",
    ),
    Identity(
        "rms_norm_pullback",
        "x 6, g 6",
        "x",
        lambda x, g: jnp.sum(g * x / jnp.sqrt(jnp.mean(x**2))),
        lambda x, g: (g / jnp.sqrt(jnp.mean(x**2)) - x * (g @ x) / (6 * jnp.mean(x**2) ** 1.5)),
        r"\langle g, \mathrm{RMSNorm}(x) \rangle",
        r"\frac{g}{r} - \frac{g^\top x}{n r^3} x",
        "Zhang & Sennrich (2019)",
        wrong=lambda x, g: g / jnp.sqrt(jnp.mean(x**2)),
        mistake="holds the norm constant",
    ),
    Identity(
        "attention_values",
        "Q 3x4, K 5x4, V 5x2, G 3x2",
        "V",
        lambda Q, K, V, G: jnp.sum(G * attention(Q, K, V)),
        lambda Q, K, V, G: softmax(Q @ K.T / jnp.sqrt(4.0)).T @ G,
        r"\langle G, \mathrm{softmax}(QK^\top/\sqrt d) V \rangle",
        r"P^\top G",
        "Vaswani et al. (2017)",
        wrong=lambda Q, K, V, G: softmax(Q @ K.T).T @ G,
        mistake="forgets the scale",
    ),
    Identity(
        "attention_queries",
        "Q 3x4, K 5x4, V 5x2, G 3x2",
        "Q",
        lambda Q, K, V, G: jnp.sum(G * attention(Q, K, V)),
        lambda Q, K, V, G: score_cotangent(Q, K, V, G) @ K / 2,
        r"\langle G, \mathrm{softmax}(QK^\top/\sqrt d) V \rangle",
        r"\frac{1}{\sqrt d} \left(P \odot (G V^\top - \mathrm{rowsum})\right) K",
        "FlashAttention (Dao et al. 2022), backward pass",
        wrong=lambda Q, K, V, G: (softmax(Q @ K.T / jnp.sqrt(4.0)) * (G @ V.T)) @ K / 2,
        mistake="forgets the normaliser of the softmax",
    ),
    Identity(
        "attention_keys",
        "Q 3x4, K 5x4, V 5x2, G 3x2",
        "K",
        lambda Q, K, V, G: jnp.sum(G * attention(Q, K, V)),
        lambda Q, K, V, G: score_cotangent(Q, K, V, G).T @ Q / 2,
        r"\langle G, \mathrm{softmax}(QK^\top/\sqrt d) V \rangle",
        r"\frac{1}{\sqrt d} \left(P \odot (G V^\top - \mathrm{rowsum})\right)^\top Q",
        "FlashAttention (Dao et al. 2022), backward pass",
        wrong=lambda Q, K, V, G: score_cotangent(Q, K, V, G).T @ Q,
        mistake="forgets the scale",
    ),
    Identity(
        "equilibrium_weights",
        "W 4x4 contraction, x 4, c 4",
        "W",
        lambda W, x, c: c @ equilibrium(W, x),
        lambda W, x, c: jnp.outer(equilibrium_adjoint(W, x, c), equilibrium(W, x)),
        r"c^\top z^*,\ z^* = \tanh(W z^* + x)",
        r"D (I - W^\top D)^{-1} c\, z^{*\top}",
        "Bai et al. (2019), deep equilibrium models",
        wrong=lambda W, x, c: jnp.outer(c * (1 - equilibrium(W, x) ** 2), equilibrium(W, x)),
        mistake="one step instead of the fixed point",
    ),
    Identity(
        "equilibrium_input",
        "W 4x4 contraction, x 4, c 4",
        "x",
        lambda W, x, c: c @ equilibrium(W, x),
        equilibrium_adjoint,
        r"c^\top z^*,\ z^* = \tanh(W z^* + x)",
        r"D (I - W^\top D)^{-1} c",
        "Bai et al. (2019), deep equilibrium models",
        wrong=lambda W, x, c: c * (1 - equilibrium(W, x) ** 2),
        mistake="one step instead of the fixed point",
    ),
    Identity(
        "matrix_factorisation",
        "T 5x4, U 5x2, V 4x2",
        "U",
        lambda T, U, V: jnp.sum((T - U @ V.T) ** 2),
        lambda T, U, V: -2 * (T - U @ V.T) @ V,
        r"\lVert T - UV^\top \rVert_F^2",
        r"-2 (T - U V^\top) V",
        "Laue et al. (2018) benchmark function 2",
        wrong=lambda T, U, V: 2 * (T - U @ V.T) @ V,
        mistake="sign",
        reads=True,
    ),
    Identity(
        "matrix_factorisation_second",
        "T 5x4, U 5x2, V 4x2",
        "V",
        lambda T, U, V: jnp.sum((T - U @ V.T) ** 2),
        lambda T, U, V: -2 * (T - U @ V.T).T @ U,
        r"\lVert T - UV^\top \rVert_F^2",
        r"-2 (T - U V^\top)^\top U",
        "Laue et al. (2018) benchmark function 2",
        wrong=lambda T, U, V: -(T - U @ V.T).T @ U,
        mistake="factor 2",
        reads=True,
    ),
    Identity(
        "matrix_factorisation_hessian",
        "T 3x4, U 3x2, V 4x2",
        "U",
        lambda T, U, V: jnp.sum((T - U @ V.T) ** 2),
        lambda T, U, V: 2 * jnp.einsum("ik,jl->ijkl", jnp.eye(3), V.T @ V),
        r"\lVert T - UV^\top \rVert_F^2",
        r"H_{ijkl} = 2 \delta_{ik} (V^\top V)_{jl}",
        "Laue et al. (2020): the compressible Hessian",
        kind="hessian",
        wrong=lambda T, U, V: jnp.einsum("ik,jl->ijkl", jnp.eye(3), V.T @ V),
        mistake="factor 2",
        reads=True,
    ),
    Identity(
        "masked_factorisation",
        "T 5x4, M 5x4 sign, U 5x2, V 4x2",
        "U",
        lambda T, M, U, V: jnp.sum((M * (T - U @ V.T)) ** 2),
        lambda T, M, U, V: -2 * (M * M * (T - U @ V.T)) @ V,
        r"\lVert M \odot (T - UV^\top) \rVert_F^2",
        r"-2 (M \odot M \odot (T - U V^\top)) V",
        "matrix completion",
        wrong=lambda T, M, U, V: -2 * (M * (T - U @ V.T)) @ V,
        mistake="the mask once",
        reads=True,
    ),
    Identity(
        "linear_autoencoder",
        "X 6x4, W 4x2",
        "W",
        lambda X, W: jnp.sum((X - X @ W @ W.T) ** 2),
        lambda X, W: (-2 * X.T @ (X - X @ W @ W.T) @ W - 2 * (X - X @ W @ W.T).T @ X @ W),
        r"\lVert X - X W W^\top \rVert_F^2",
        r"-2 X^\top (X - X W W^\top) W - 2 (X - X W W^\top)^\top X W",
        "principal components by tied weights",
        wrong=lambda X, W: -4 * X.T @ (X - X @ W @ W.T) @ W,
        mistake="as if the residual were symmetric",
        reads=True,
    ),
    Identity(
        "contrastive_loss",
        "Z 4x3, Y 4x3",
        "Z",
        lambda Z, Y: -jnp.trace(jax.nn.log_softmax(Z @ Y.T, axis=1)) / 4,
        lambda Z, Y: (softmax(Z @ Y.T, axis=1) - jnp.eye(4)) @ Y / 4,
        r"-\frac1n \mathrm{tr} \log\mathrm{softmax}(Z Y^\top)",
        r"\frac1n (P - I) Y",
        "InfoNCE (van den Oord et al. 2018)",
        wrong=lambda Z, Y: (softmax(Z @ Y.T, axis=1) - jnp.eye(4)) @ Y,
        mistake="missing 1/n",
    ),
    Identity(
        "linear_quadratic_cost",
        "A 3x3, B 3x2, Q 3x3 symmetric, R 2x2 symmetric, K 2x3, x 3",
        "K",
        lambda A, B, Q, R, K, x: (
            ((A + B @ K) @ x) @ Q @ ((A + B @ K) @ x) + (K @ x) @ R @ (K @ x)
        ),
        lambda A, B, Q, R, K, x: 2 * (B.T @ Q @ (A + B @ K) + R @ K) @ jnp.outer(x, x),
        r"x_1^\top Q x_1 + u^\top R u,\ u = Kx,\ x_1 = Ax + Bu",
        r"2 (B^\top Q (A + B K) + R K) x x^\top",
        "one step of a linear-quadratic regulator",
        wrong=lambda A, B, Q, R, K, x: 2 * B.T @ Q @ (A + B @ K) @ jnp.outer(x, x),
        mistake="forgets the cost of control",
        reads=True,
    ),
)
