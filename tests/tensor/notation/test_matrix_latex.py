"""Formulas as papers print them mean the mathematics written by hand in NumPy, or are refused."""

import numpy as np
import pytest

from diffkit.core.errors import UnknownNameError
from diffkit.tensor import views
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.notation.matrix_latex import read_latex
from diffkit.tensor.notation.reading import bind

inv, det, norm, outer, diag, tr = (
    np.linalg.inv,
    np.linalg.det,
    np.linalg.norm,
    np.outer,
    np.diag,
    np.trace,
)
eye, einsum, kron = np.eye, np.einsum, np.kron
#: Values of size symbols that a formula leaves open.
SIZES = {"n": 6, "m": 4, "d": 4, "N": 6, "K": 3}


def softmax(x):
    top = np.exp(x - x.max(-1, keepdims=True))
    return top / top.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def logdet(x):
    return np.linalg.slogdet(x)[1]


def expm(x):
    total = term = np.eye(len(x))
    for k in range(1, 80):
        term = term @ x / k
        total = total + term
    return total


#: LaTeX, the arrays it names, the same in NumPy.
PRINTED = [
    # least squares, ridge, weights
    (r"\lVert Xw-y\rVert_2^2", "X:64 w:4 y:6", lambda X, w, y: norm(X @ w - y) ** 2),
    (r"2X^\top(Xw-y)", "X:64 w:4 y:6", lambda X, w, y: 2 * X.T @ (X @ w - y)),
    (r"\frac1n X^\top(Xw-y)", "X:64 w:4 y:6", lambda X, w, y: X.T @ (X @ w - y) / 6),
    (
        r"\frac{1}{2n}\|y-X\theta\|^2+\frac{\lambda}{2}\|\theta\|_2^2",
        "X:64 theta:4 y:6 lam:",
        lambda X, theta, y, lam: norm(y - X @ theta) ** 2 / 12 + lam / 2 * theta @ theta,
    ),
    (
        r"\frac1n\sum_{i=1}^n (x_i^\top w-y_i)x_i",
        "X:64 w:4 y:6",
        lambda X, w, y: X.T @ (X @ w - y) / 6,
    ),
    (
        r"\frac{1}{n}\sum_{i=1}^{n}\left(y_i-w^\top x_i\right)^2",
        "X:64 w:4 y:6",
        lambda X, w, y: np.mean((y - X @ w) ** 2),
    ),
    (
        r"-\frac{2}{N}\sum_{i=1}^N (y_i-w^Tx_i)x_i",
        "X:64 w:4 y:6",
        lambda X, w, y: -2 / 6 * X.T @ (y - X @ w),
    ),
    (
        r"(X^\top X+\lambda I)^{-1}X^\top y",
        "X:64 y:6 lambda_:+",
        lambda X, y, lambda_: inv(X.T @ X + lambda_ * eye(4)) @ X.T @ y,
    ),
    (r"X^\top X+\alpha I_d", "X:64 alpha:", lambda X, alpha: X.T @ X + alpha * eye(4)),
    (r"(X'X)^{-1}X'y", "X:64 y:6", lambda X, y: inv(X.T @ X) @ X.T @ y),
    (r"I-X(X^\top X)^{-1}X^\top", "X:64", lambda X: eye(6) - X @ inv(X.T @ X) @ X.T),
    (
        r"X^\top\mathrm{diag}(v)(Xw-y)",
        "X:64 w:4 y:6 v:6",
        lambda X, w, y, v: X.T @ (v * (X @ w - y)),
    ),
    (r"X^{\dagger}y", "X:64 y:6", lambda X, y: np.linalg.pinv(X) @ y),
    (
        r"\mathbf{X}^{\top}(\mathbf{X}\mathbf{w}-\mathbf{y})",
        "X:64 w:4 y:6",
        lambda X, w, y: X.T @ (X @ w - y),
    ),
    (
        r"\boldsymbol{X}^{\mathsf{T}}\boldsymbol{X}\boldsymbol{\theta}",
        "X:64 theta:4",
        lambda X, theta: X.T @ X @ theta,
    ),
    # logistic regression, softmax, cross entropy
    (
        r"-\sum_i\left[y_i\log\sigma(x_i^\top w)+(1-y_i)\log(1-\sigma(x_i^\top w))\right]",
        "X:64 w:4 y:6",
        lambda X, w, y: (
            -np.sum(y * np.log(sigmoid(X @ w)) + (1 - y) * np.log(1 - sigmoid(X @ w)))
        ),
    ),
    (r"X^\top(\sigma(Xw)-y)", "X:64 w:4 y:6", lambda X, w, y: X.T @ (sigmoid(X @ w) - y)),
    (
        r"X^\top\operatorname{diag}\big(\sigma(Xw)\odot(1-\sigma(Xw))\big)X",
        "X:64 w:4",
        lambda X, w: X.T @ diag(sigmoid(X @ w) * (1 - sigmoid(X @ w))) @ X,
    ),
    (
        r"\sum_{i=1}^n\sigma(x_i^\top w)(1-\sigma(x_i^\top w))x_ix_i^\top",
        "X:64 w:4",
        lambda X, w: X.T @ diag(sigmoid(X @ w) * (1 - sigmoid(X @ w))) @ X,
    ),
    (
        r"\frac1n\sum_i\log\left(1+e^{-y_ix_i^\top w}\right)",
        "X:64 w:4 y:6",
        lambda X, w, y: np.mean(np.log(1 + np.exp(-y * (X @ w)))),
    ),
    (r"-\sum_i p_i\log q_i", "p:6% q:6%", lambda p, q: -np.sum(p * np.log(q))),
    (
        r"-p^\top\log\operatorname{softmax}(z)",
        "p:6% z:6",
        lambda p, z: -p @ np.log(softmax(z)),
    ),
    (r"\mathrm{softmax}(z)-p", "p:6% z:6", lambda p, z: softmax(z) - p),
    (r"\operatorname{diag}(p)-pp^\top", "p:6%", lambda p: diag(p) - outer(p, p)),
    (r"\sum_i p_i\log\frac{p_i}{q_i}", "p:6% q:6%", lambda p, q: np.sum(p * np.log(p / q))),
    (r"\frac{e^{z_i}}{\sum_j e^{z_j}}", "z:6", softmax),
    (r"\log\sum_{k=1}^K e^{z_k}", "z:6", lambda z: np.log(np.sum(np.exp(z)))),
    (
        r"\frac{\partial p_i}{\partial z_j}=p_i(\delta_{ij}-p_j)",
        "p:6%",
        lambda p: diag(p) - outer(p, p),
    ),
    (
        r"-\frac1n\sum_{i=1}^n\sum_{j}P_{ij}\log\mathrm{softmax}(z_i)_j",
        "P:63% Z:63",
        lambda P, Z: -np.sum(P * np.log(softmax(Z))) / 6,
    ),
    (
        r"X^\top(\operatorname{softmax}(XW)-Y)",
        "X:64 W:43 Y:63",
        lambda X, W, Y: X.T @ (softmax(X @ W) - Y),
    ),
    (
        r"\mathrm{softmax}\!\left(QK^\top/\sqrt d\right)V",
        "Q:54 K:64 V:63",
        lambda Q, K, V: softmax(Q @ K.T / 2) @ V,
    ),
    # networks
    (
        r"X^\top\left((RW_2^\top)\odot H\odot(1-H)\right),\quad H=\sigma(XW_1),\ R=HW_2-Y",
        "X:64 W1:45 W_2:53 Y:63",
        lambda X, W1, W_2, Y: (
            X.T @ (((sigmoid(X @ W1) @ W_2 - Y) @ W_2.T) * sigmoid(X @ W1) * (1 - sigmoid(X @ W1)))
        ),
    ),
    (
        r"X^\top\left(G\odot\mathbb 1[XW>0]\right)",
        "X:64 W:43 G:63",
        lambda X, W, G: X.T @ (G * (X @ W > 0)),
    ),
    (
        r"X^\top(G\odot\sigma'(XW))",
        "X:64 W:43 G:63",
        lambda X, W, G: X.T @ (G * sigmoid(X @ W) * (1 - sigmoid(X @ W))),
    ),
    (
        r"\langle G,\mathrm{ReLU}(XW+\mathbf 1c^\top)\rangle",
        "X:64 W:43 G:63 c:3",
        lambda X, W, G, c: np.sum(G * np.maximum(X @ W + c, 0)),
    ),
    (r"G^\top\mathbf 1", "G:63", lambda G: G.sum(0)),
    (r"\mathbf{1}_n^\top G", "G:63", lambda G: G.sum(0)),
    (r"1^\top(A\odot A)1", "A:43", lambda A: np.sum(A * A)),
    (r"\max(0,Xw)", "X:64 w:4", lambda X, w: np.maximum(X @ w, 0)),
    (r"1-\tanh^2(z)", "z:6", lambda z: 1 - np.tanh(z) ** 2),
    (
        r"\operatorname{diag}(1-\tanh^2(Aw))A",
        "A:44 w:4",
        lambda A, w: diag(1 - np.tanh(A @ w) ** 2) @ A,
    ),
    (
        r"\frac{1}{s}\left(g-\bar g-\hat x\odot\overline{g\odot\hat x}\right)",
        "g:6 x_hat:6 s:+",
        lambda g, x_hat, s: (g - g.mean() - x_hat * np.mean(g * x_hat)) / s,
    ),
    (
        r"X^\top\operatorname{sign}(Xw-y)+2\alpha w",
        "X:64 w:4 y:6 alpha:",
        lambda X, w, y, alpha: X.T @ np.sign(X @ w - y) + 2 * alpha * w,
    ),
    # traces, determinants, inverses
    (r"\mathrm{tr}(B^\top AB)", "A:44 B:43", lambda A, B: tr(B.T @ A @ B)),
    (r"(A+A^\top)B", "A:44 B:43", lambda A, B: (A + A.T) @ B),
    (r"\operatorname{Tr}\left(A^{-1}C\right)", "A:44! C:44", lambda A, C: tr(inv(A) @ C)),
    (
        r"-A^{-\top}ab^\top A^{-\top}",
        "A:44! a:4 b:4",
        lambda A, a, b: -inv(A).T @ outer(a, b) @ inv(A).T,
    ),
    (r"-A^{-2\top}", "A:44!", lambda A: -(inv(A) @ inv(A)).T),
    (r"\log|\Sigma|", "Sigma:44+", logdet),
    (r"\log\lvert\det A\rvert", "A:44", logdet),
    (r"\det(A)\,A^{-T}", "A:44!", lambda A: det(A) * inv(A).T),
    (
        r"-\frac12(x-\mu)^\top\Sigma^{-1}(x-\mu)-\frac12\log\det(2\pi\Sigma)",
        "x:4 mu:4 Sigma:44+",
        lambda x, mu, Sigma: (
            -(x - mu) @ inv(Sigma) @ (x - mu) / 2 - logdet(2 * np.pi * Sigma) / 2
        ),
    ),
    (r"3(A^2)^\top", "A:44", lambda A: 3 * (A @ A).T),
    (
        r"\left[\exp\begin{pmatrix}A&C\\0&A\end{pmatrix}\right]_{12}",
        "A:44 C:44",
        lambda A, C: expm(np.block([[A, C], [np.zeros((4, 4)), A]]))[:4, 4:],
    ),
    (r"e^{tA}x", "A:44 x:4 t:", lambda A, x, t: expm(t * A) @ x),
    # norms and quotients
    (r"x/\lVert x\rVert_2", "x:4", lambda x: x / norm(x)),
    (
        r"\frac{1}{\|x\|_2}\left(I-\frac{xx^\top}{x^\top x}\right)",
        "x:4",
        lambda x: (eye(4) - outer(x, x) / (x @ x)) / norm(x),
    ),
    (
        r"\frac{x^\top y}{\lVert x\rVert\,\lVert y\rVert}",
        "x:4 y:4",
        lambda x, y: x @ y / norm(x) / norm(y),
    ),
    (
        r"e^{-\lVert x-z\rVert^2/2s^2}",
        "x:4 z:4 s:+",
        lambda x, z, s: np.exp(-(norm(x - z) ** 2) / (2 * s**2)),
    ),
    (
        r"\lVert x\rVert_1+\lVert x\rVert_\infty+\lVert x\rVert_3",
        "x:4",
        lambda x: norm(x, 1) + norm(x, np.inf) + norm(x, 3),
    ),
    (
        r"\left\|X\right\|_F^2+\|X\|_*+\|X\|_2",
        "X:64",
        lambda X: norm(X) ** 2 + norm(X, "nuc") + norm(X, 2),
    ),
    (
        r"\frac{2}{x^\top x}\left(Sx-\frac{x^\top Sx}{x^\top x}x\right)",
        "x:4 S:44+",
        lambda x, S: 2 / (x @ x) * (S @ x - (x @ S @ x) / (x @ x) * x),
    ),
    (r"\|x\|^2_2+\|A\|^2_F", "x:4 A:43", lambda x, A: x @ x + norm(A) ** 2),
    (r"\sum_i\mathbb{1}_{\{x_i>0\}}x_i", "x:4", lambda x: x[x > 0].sum()),
    (r"\frac{\partial f}{\partial x_i}=1", "x:4", lambda x: np.ones(4)),
    (r"L(x_i)=x^\top x", "x:4", lambda x: x @ x),
    (r"\norm{x}_2^2+\tr(A)\abs{x_1}", "x:4 A:44", lambda x, A: x @ x + tr(A) * abs(x[0])),
    (r"|x_1|+|x_2|^2", "x:4", lambda x: abs(x[0]) + x[1] ** 2),
    (r"\sqrt{x^\top Sx}", "x:4 S:44+", lambda x, S: np.sqrt(x @ S @ x)),
    # sums over indices
    (r"\sum_{i,j}A_{ij}x_ix_j", "A:44 x:4", lambda A, x: x @ A @ x),
    (r"\sum_{i=1}^m\sum_{j=1}^n A_{ij}a_ib_j", "A:43 a:4 b:3", lambda A, a, b: a @ A @ b),
    (r"\sum_{i\ne j}A_{ij}", "A:44", lambda A: A.sum() - tr(A)),
    (
        r"\sum_{i<j}(x_i-x_j)^2",
        "x:4",
        lambda x: sum((x[i] - x[j]) ** 2 for j in range(4) for i in range(j)),
    ),
    (r"\sum_{ij}|Z_{ij}|", "Z:63", lambda Z: abs(Z).sum()),
    (r"\prod_{i=1}^n p_i", "p:6%", np.prod),
    (r"\max_i z_i-\min_j z_j", "z:6", lambda z: z.max() - z.min()),
    (
        r"\frac1n\sum_i\max(0,1-y_i\,x_i^\top w)",
        "X:64 w:4 y:6",
        lambda X, w, y: np.mean(np.maximum(0, 1 - y * (X @ w))),
    ),
    (
        r"\sum_{i=1}^n\sum_{j=1}^n (x_i-x_j)^\top(x_i-x_j)",
        "X:64",
        lambda X: ((X[:, None] - X) ** 2).sum(),
    ),
    (
        r"\frac1n\sum_{i=1}^n(x_i-\bar x)(x_i-\bar x)^\top",
        "X:64",
        lambda X: np.cov(X.T, bias=True),
    ),
    (
        r"\frac{\partial f}{\partial x_k}=\sum_j(A_{kj}+A_{jk})x_j",
        "A:44 x:4",
        lambda A, x: (A + A.T) @ x,
    ),
    (r"M_{ij}=A_{ik}C_{kj}", "A:43 C:35", lambda A, C: A @ C),
    (r"M_{ji}=A_{ik}C_{kj}", "A:43 C:35", lambda A, C: (A @ C).T),
    (
        r"\frac1T\sum_{t=1}^T\gamma^t r_t",
        "gamma:+ r:6",
        lambda gamma, r: sum(gamma ** (t + 1) * r[t] for t in range(6)) / 6,
    ),
    (r"(Ax)_i\,x_i", "A:44 x:4", lambda A, x: (A @ x) * x),
    (r"X_{:,2}", "X:64", lambda X: X[:, 1]),
    (r"\frac{1}{n}\sum_{i=1}^n x^{(i)}", "X:64", lambda X: X.mean(0)),
    (r"2e_1^\top A", "A:43", lambda A: 2 * A[0]),
    # products of entries, Kronecker products, definitions
    (r"A\circ C+x\mathbf{1}^\top", "A:43 C:43 x:4", lambda A, C, x: A * C + x[:, None]),
    (r"x^{\odot 2}\oslash(1+a^{\odot 2})", "x:4 a:4", lambda x, a: x**2 / (1 + a**2)),
    (r"(A\otimes I)v", "A:44 v:8", lambda A, v: kron(A, eye(2)) @ v),
    (r"A:C", "A:43 C:43", lambda A, C: np.sum(A * C)),
    (
        r"p\odot(r-p^\top r),\text{ where } p=\mathrm{softmax}(\theta)",
        "theta:6 r:6",
        lambda theta, r: softmax(theta) * (r - softmax(theta) @ r),
    ),
    (
        r"p_k(\delta_{kl}-p_l),\quad p_k=\frac{e^{z_k}}{\sum_j e^{z_j}}",
        "z:6",
        lambda z: diag(softmax(z)) - outer(softmax(z), softmax(z)),
    ),
    (r"\left(I-\tfrac1n\mathbf 1\mathbf 1^\top\right)X", "X:64", lambda X: X - X.mean(0)),
    (
        r"z^\ast{}^\top x+\sigma_w^2",
        "z_star:4 x:4 sigma_w:",
        lambda z_star, x, sigma_w: z_star @ x + sigma_w**2,
    ),
    (
        r"\frac{1}{2}\begin{cases}x^2&\text{if }x>0\\0&\text{otherwise}\end{cases}",
        "x:4",
        lambda x: np.where(x > 0, x**2, 0) / 2,
    ),
]

#: Development identities, the function and its closed form.
IDENTITIES = [
    (r"\det(X^k)", "X:33!", lambda X: det(X @ X @ X)),
    (r"k\det(X^k)X^{-\top}", "X:33!", lambda X: 3 * det(X @ X @ X) * inv(X).T),
    (r"\log\det(X^\top X)", "X:53", lambda X: logdet(X.T @ X)),
    (r"2(X^{+})^\top", "X:53", lambda X: 2 * np.linalg.pinv(X).T),
    (r"\log\det X", "X:33!", logdet),
    (
        r"H_{ijkl}=-(X^{-1})_{jk}(X^{-1})_{li}",
        "X:33!",
        lambda X: -einsum("jk,li->ijkl", inv(X), inv(X)),
    ),
    (r"\det(X^\top AX)", "X:53 A:55!", lambda X, A: det(X.T @ A @ X)),
    (
        r"\det(X^\top AX)\left(AX(X^\top AX)^{-1}+A^\top X(X^\top A^\top X)^{-1}\right)",
        "X:53 A:55!",
        lambda X, A: det(X.T @ A @ X) * (A @ X @ inv(X.T @ A @ X) + A.T @ X @ inv(X.T @ A.T @ X)),
    ),
    (r"c^\top A^{-1}b", "A:44! b:4 c:4", lambda A, b, c: c @ inv(A) @ b),
    (
        r"-\lambda x^\top,\ A^\top\lambda=c,\ Ax=b",
        "A:44! b:4 c:4",
        lambda A, b, c: -outer(inv(A).T @ c, inv(A) @ b),
    ),
    (r"\mathrm{tr}(AX^{-1}B)", "A:34 X:44! B:43", lambda A, X, B: tr(A @ inv(X) @ B)),
    (
        r"-(X^{-1}BAX^{-1})^\top",
        "A:34 X:44! B:43",
        lambda A, X, B: -(inv(X) @ B @ A @ inv(X)).T,
    ),
    (
        r"\frac{\partial (X^{-1})_{ij}}{\partial X_{kl}}=-(X^{-1})_{ik}(X^{-1})_{lj}",
        "X:33!",
        lambda X: -einsum("ik,lj->ijkl", inv(X), inv(X)),
    ),
    (r"a^\top X^{-1}b", "X:44! a:4 b:4", lambda X, a, b: a @ inv(X) @ b),
    (r"e^{X}", "X:44", expm),
    (r"\mathbf 1^\top(A\odot X\odot X)\mathbf 1", "A:43 X:43", lambda A, X: np.sum(A * X * X)),
    (r"2A\odot X", "A:43 X:43", lambda A, X: 2 * A * X),
    (r"a^\top X^\top b", "a:3 X:43 b:4", lambda a, X, b: a @ X.T @ b),
    (r"ba^\top", "a:3 b:4", lambda a, b: outer(b, a)),
    (r"a^\top x", "a:5 x:5", lambda a, x: a @ x),
    (r"a", "a:5", lambda a: a),
    (r"\lVert x\rVert_2", "x:5", norm),
    (
        r"b^\top X^\top DXc",
        "b:3 X:43 D:44 c:3",
        lambda b, X, D, c: b @ X.T @ D @ X @ c,
    ),
    (
        r"D^\top Xbc^\top+DXcb^\top",
        "b:3 X:43 D:44 c:3",
        lambda b, X, D, c: D.T @ X @ outer(b, c) + D @ X @ outer(c, b),
    ),
    (r"b^\top X^\top Xc", "b:3 X:43 c:3", lambda b, X, c: b @ X.T @ X @ c),
    (r"X(bc^\top+cb^\top)", "b:3 X:43 c:3", lambda b, X, c: X @ (outer(b, c) + outer(c, b))),
    (r"x^\top\sin(Ax)", "A:44 x:4", lambda A, x: x @ np.sin(A @ x)),
    (
        r"A^\top(\cos(Ax)\odot x)+\sin(Ax)",
        "A:44 x:4",
        lambda A, x: A.T @ (np.cos(A @ x) * x) + np.sin(A @ x),
    ),
    (r"\log\sum_i e^{z_i}", "z:5", lambda z: np.log(np.sum(np.exp(z)))),
    (r"\mathrm{softmax}(z)", "z:5", softmax),
    (r"\lVert T-UV^\top\rVert_F^2", "T:54 U:52 V:42", lambda T, U, V: norm(T - U @ V.T) ** 2),
    (r"-2(T-UV^\top)V", "T:54 U:52 V:42", lambda T, U, V: -2 * (T - U @ V.T) @ V),
    (
        r"\frac{x^\top y}{\lVert x\rVert\lVert y\rVert}",
        "x:4 y:4",
        lambda x, y: x @ y / norm(x) / norm(y),
    ),
    (
        r"H_{ijkl}=2\delta_{ik}(V^\top V)_{jl}",
        "U:32 V:42",
        lambda U, V: 2 * einsum("ik,jl->ijkl", eye(3), V.T @ V),
    ),
    (r"\lVert Ax-y\rVert_1", "A:53 x:3 y:5", lambda A, x, y: abs(A @ x - y).sum()),
    (r"A^\top\mathrm{sign}(Ax-y)", "A:53 x:3 y:5", lambda A, x, y: A.T @ np.sign(A @ x - y)),
    (
        r"\langle G,\mathrm{relu}(XW)\rangle",
        "G:63 X:64 W:43",
        lambda G, X, W: np.sum(G * np.maximum(X @ W, 0)),
    ),
    (r"X^\top(G\odot[XW>0])", "G:63 X:64 W:43", lambda G, X, W: X.T @ (G * (X @ W > 0))),
    (
        r"\frac12\lVert\sigma(XW_1)W_2-Y\rVert_F^2",
        "X:64 W1:45 W2:52 Y:62",
        lambda X, W1, W2, Y: norm(sigmoid(X @ W1) @ W2 - Y) ** 2 / 2,
    ),
    (
        r"\frac12d^\top\Sigma^{-1}d+\frac12\log\det\Sigma",
        "d:4 Sigma:44+",
        lambda d, Sigma: d @ inv(Sigma) @ d / 2 + logdet(Sigma) / 2,
    ),
    (
        r"\frac12\left(\Sigma^{-\top}-\Sigma^{-\top}dd^\top\Sigma^{-\top}\right)",
        "d:4 Sigma:44+",
        lambda d, Sigma: (inv(Sigma) - inv(Sigma) @ outer(d, d) @ inv(Sigma)) / 2,
    ),
    (r"a^\top(X\otimes B)c", "a:6 X:32 B:23 c:6", lambda a, X, B, c: a @ kron(X, B) @ c),
    (
        r"\mathrm{mat}(a)\,B\,\mathrm{mat}(c)^\top",
        "a:6 B:23 c:6",
        lambda a, B, c: a.reshape(3, 2) @ B @ c.reshape(2, 3).T,
    ),
    (r"AXB", "A:23 X:34 B:42", lambda A, X, B: A @ X @ B),
    (
        r"\frac{\partial Y_{ij}}{\partial X_{kl}}=A_{ik}B_{lj}",
        "A:23 X:34 B:42",
        lambda A, X, B: einsum("ik,lj->ijkl", A, B),
    ),
    (r"XX^\top", "X:32", lambda X: X @ X.T),
    (
        r"\delta_{ik}X_{jl}+\delta_{jk}X_{il}",
        "X:32",
        lambda X: einsum("ik,jl->ijkl", eye(3), X) + einsum("jk,il->ijkl", eye(3), X),
    ),
    (
        r"\langle G,\mathrm{chol}(X)\rangle",
        "G:44 X:44+",
        lambda G, X: np.sum(G * np.linalg.cholesky(X)),
    ),
    (r"\lVert X\rVert_*", "X:53", lambda X: norm(X, "nuc")),
    (r"\mathrm{tr}(AXBXC)", "A:54 X:43 B:34 C:35", lambda A, X, B, C: tr(A @ X @ B @ X @ C)),
    (
        r"A^\top (BXC)^\top+(AXB)^\top C^\top",
        "A:54 X:43 B:34 C:35",
        lambda A, X, B, C: A.T @ (B @ X @ C).T + (A @ X @ B).T @ C.T,
    ),
    (r"\mathrm{tr}X", "X:44", tr),
    (r"I", "X:44", lambda X: eye(4)),
    (r"A^\top B^\top", "A:54 B:35", lambda A, B: A.T @ B.T),
    (r"X/\lVert X\rVert_F", "X:43", lambda X: X / norm(X)),
    (r"2X", "X:43", lambda X: 2 * X),
    (
        r"\mathrm{tr}\left((X^\top CX)^{-1}A\right)",
        "X:53 C:55+ A:33",
        lambda X, C, A: tr(inv(X.T @ C @ X) @ A),
    ),
    (
        r"-CX(X^\top CX)^{-1}(A+A^\top)(X^\top CX)^{-1}",
        "X:53 C:55+ A:33",
        lambda X, C, A: -C @ X @ inv(X.T @ C @ X) @ (A + A.T) @ inv(X.T @ C @ X),
    ),
    (r"\mathrm{tr}(X^2)", "X:44", lambda X: tr(X @ X)),
    (r"2X^\top", "X:44", lambda X: 2 * X.T),
]


def test_at_least_fifty_printed_formulas_are_tried():
    assert len({latex for latex, _, _ in PRINTED}) >= 90
    assert len({latex for latex, _, _ in PRINTED + IDENTITIES}) >= 140


@pytest.mark.parametrize(
    ("latex", "spec", "numpy"), PRINTED + IDENTITIES, ids=[row[0] for row in PRINTED + IDENTITIES]
)
def test_a_printed_formula_means_its_mathematics(latex, spec, numpy, draw):
    values, names = draw(spec)
    expected = np.asarray(numpy(*values.values()))
    constants = {"k": 3} if "X^k" in latex else {}
    reading = read_latex(latex, names, shape=expected.shape, constants=constants)
    view = bind(reading, {s.name: SIZES[s.name] for s in reading.sizes})
    found = np.asarray(evaluate(views.dense(view), values))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


#: Formulas whose names are not defined, and the name that the error gives.
INCOMPLETE = {
    r"\pi_\theta^\top r": "pi_theta",
    r"\pi\odot(r-\pi^\top r)": "pi",
    r"D(I-W^\top D)^{-1}c\,z^{\ast\top}": "D",
    r"\frac1{\lVert x\rVert}\left(\hat y-\cos\theta\,\hat x\right)": "y_hat",
    r"X^\top\left((RW_2^\top)\odot S\odot(1-S)\right)": "R",
    r"e_r-\pi": "pi",
    r"\mathrm{diag}(p)-pp^\top": "p",
    r"\langle r,\mathrm{LN}(x)\rangle": "LN",
    r"\frac1s\left(r-\bar r-\hat x\,\overline{r\hat x}\right)": "s",
    r"\mathrm{sym}\left(L^{-\top}\Phi(L^\top \bar L)L^{-1}\right)": "L",
    r"UV^\top": "U",
}


@pytest.mark.parametrize("latex", INCOMPLETE)
def test_an_undefined_name_is_named_with_the_known_ones(latex, draw):
    _, names = draw("W:44 W2:44 X:44 c:4 r:4 x:4 y:4")
    with pytest.raises(UnknownNameError) as caught:
        read_latex(latex, names)
    assert f"no array is called '{INCOMPLETE[latex]}'" in str(caught.value)
    assert "known names: W, W2, X, c, r, x, y" in str(caught.value)
