"""Finite and wrong: zeros and digits lost to saturation, overflow, narrow types and staircases."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
from jax import lax

from diffkit.catalog.traps.row import Trap

LOST_VALUES: tuple[Trap, ...] = (
    Trap("i0e_50", lambda x: jsp.special.i0e(x), 512.0, -1.7230333469880672e-05, ("cancellation",)),
    Trap(
        "int_cast",
        lambda x: (x * 1000.0).astype(jnp.int32).astype(x.dtype) * x,
        0.3,
        299.0,
        ("cancellation", "silent-zero", "dtype-loss"),
    ),
    Trap(
        "gammainc_da_big",
        lambda x: jsp.special.gammainc(x, 400.0),
        400.0,
        -0.01995127044562288,
        ("cancellation",),
    ),
    Trap(
        "bf16_roundtrip",
        lambda x: jnp.sum(x.astype(jnp.bfloat16) * jnp.asarray(1.2345, jnp.bfloat16)).astype(
            x.dtype
        ),
        (1.0, 2.0),
        [1.2345, 1.2345],
        ("dtype-loss",),
    ),
    Trap(
        "bf16_cumsum",
        lambda x: jnp.mean((x * jnp.ones((1000,), x.dtype)).astype(jnp.bfloat16) ** 2).astype(
            x.dtype
        ),
        1.5,
        3.0,
        ("dtype-loss",),
    ),
    Trap(
        "norm_f16",
        lambda x: jnp.linalg.norm(x.astype(jnp.float16)).astype(x.dtype),
        (100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0),
        [
            0.3333333333333333,
            0.3333333333333333,
            0.3333333333333333,
            0.3333333333333333,
            0.3333333333333333,
            0.3333333333333333,
            0.3333333333333333,
            0.3333333333333333,
            0.3333333333333333,
        ],
        ("silent-zero",),
    ),
    Trap("elu_m40", lambda x: jax.nn.elu(x), -40.0, 4.248354255291589e-18, ("silent-zero",)),
    Trap(
        "poisson_sample",
        lambda x: jnp.mean(jax.random.poisson(jax.random.key(0), x, (20000,)).astype(x.dtype)),
        3.0,
        1.0,
        ("silent-zero",),
    ),
    Trap(
        "div_big",
        lambda x: x[0] / x[1],
        (4.149515568880993e180, 4.149515568880993e180),
        [2.409919865102884e-181, -2.409919865102884e-181],
        ("silent-zero",),
    ),
    Trap(
        "i0_tiny", lambda x: jnp.i0(x), 7.52316384526264e-37, 3.76158192263132e-37, ("silent-zero",)
    ),
    Trap("sigmoid_40", lambda x: jax.nn.sigmoid(x), 40.0, 4.248354255291589e-18, ("silent-zero",)),
    Trap(
        "bisection_root",
        lambda x: lax.fori_loop(
            0,
            60,
            lambda i, s: (lambda m: (jnp.where(m * m < x, m, s[0]), jnp.where(m * m < x, s[1], m)))(
                0.5 * (s[0] + s[1])
            ),
            (jnp.zeros_like(x), 2.0 * jnp.ones_like(x)),
        )[0],
        2.0,
        0.3535533905932738,
        ("silent-zero",),
    ),
    Trap(
        "one_minus_cos",
        lambda x: (1.0 - jnp.cos(x)) / x**2,
        1.4901161193847656e-08,
        -1.241763432820638e-09,
        ("silent-zero",),
    ),
    Trap("selu_m100", lambda x: jax.nn.selu(x), -100.0, 6.540263121344393e-44, ("silent-zero",)),
    Trap(
        "squareplus_m1e5",
        lambda x: jax.nn.squareplus(x),
        -65536.0,
        2.328306434912393e-10,
        ("silent-zero",),
    ),
    Trap("sigmoid_20", lambda x: jax.nn.sigmoid(x), 20.0, 2.061153613941849e-09, ("silent-zero",)),
    Trap("relu_minus_relu", lambda x: jax.nn.relu(x) - jax.nn.relu(-x), 0.0, 1.0, ("wrong-limit",)),
    Trap(
        "sinc_small",
        lambda x: jnp.sinc(x),
        9.5367431640625e-07,
        -3.1374627434668537e-06,
        ("silent-zero",),
    ),
    Trap(
        "det_singular4",
        lambda x: jnp.linalg.det(jnp.diag(x)),
        (0.0, 2.0, 3.0, 4.0),
        [24.0, 0.0, 0.0, 0.0],
        ("silent-zero",),
    ),
    Trap(
        "norm_f32_big",
        lambda x: jnp.linalg.norm(x),
        (1.1805916207174113e21, 1.1805916207174113e21),
        [0.7071067811865476, 0.7071067811865476],
        ("silent-zero",),
    ),
    Trap(
        "norm_big",
        lambda x: jnp.linalg.norm(x),
        (4.149515568880993e180, 4.149515568880993e180),
        [0.7071067811865476, 0.7071067811865476],
        ("silent-zero",),
    ),
    Trap(
        "hypot_big",
        lambda x: jnp.hypot(x[0], x[1]),
        (4.149515568880993e180, 4.149515568880993e180),
        [0.7071067811865476, 0.7071067811865476],
        ("wrong-limit", "overflow"),
    ),
    Trap(
        "kl_div_p0",
        lambda x: jsp.special.kl_div(x, 0.5),
        0.0,
        ["undefined", "-inf"],
        ("wrong-limit", "overflow"),
    ),
    Trap(
        "hypot_big_f32",
        lambda x: jnp.hypot(x[0], x[1]),
        (1.1805916207174113e21, 1.1805916207174113e21),
        [0.7071067811865476, 0.7071067811865476],
        ("wrong-limit", "overflow"),
    ),
    Trap(
        "fixed_point_unrolled",
        lambda x: lax.fori_loop(0, 3, lambda i, y: jnp.cos(x * y), 0.7 * jnp.ones_like(x)),
        1.0,
        -0.29747434150983226,
        ("wrong-limit", "overflow"),
    ),
)
