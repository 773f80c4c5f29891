"""Points without one derivative: kinks and ties, where AD follows a convention."""

import jax
import jax.numpy as jnp
import optax
from jax import lax

from diffkit.catalog.traps.row import Trap

KINKS: tuple[Trap, ...] = (
    Trap("sqrt_complex_real", lambda x: jnp.real(jnp.sqrt(x + 0j)), 0.0, [0.0, "inf"], ("kink",)),
    Trap("clip_lo", lambda x: jnp.clip(x, 0.0, 1.0), 0.0, [0.0, 1.0], ("kink",)),
    Trap("abs_complex_0", lambda x: jnp.abs(x + 0j), 0.0, [-1.0, 1.0], ("kink",)),
    Trap(
        "l1_norm_0", lambda x: jnp.linalg.norm(x, ord=1), (0.0, 1.0), [[-1.0, 1.0], 1.0], ("kink",)
    ),
    Trap("relu_0", lambda x: jax.nn.relu(x), 0.0, [0.0, 1.0], ("kink",)),
    Trap("pow_0_0_y", lambda x: jnp.power(0.0, x), 0.0, ["inf", "-inf"], ("kink",)),
    Trap("hinge_1", lambda x: optax.hinge_loss(x, jnp.asarray(1.0)), 1.0, [-1.0, 0.0], ("kink",)),
    Trap(
        "fft_abs_zero_bin",
        lambda x: jnp.sum(jnp.abs(jnp.fft.fft(x))),
        (1.0, 1.0, 1.0, 1.0),
        [[-2.0, 4.0], [-2.0, 4.0], [-2.0, 4.0], [-2.0, 4.0]],
        ("kink",),
    ),
    Trap("hard_tanh_1", lambda x: jax.nn.hard_tanh(x), 1.0, [1.0, 0.0], ("kink",)),
    Trap("where_relu_0", lambda x: jnp.where(x > 0, x, 0.0), 0.0, [0.0, 1.0], ("kink",)),
    Trap("abs_0", lambda x: jnp.abs(x), 0.0, [-1.0, 1.0], ("kink",)),
    Trap("clip_hi", lambda x: jnp.clip(x, 0.0, 1.0), 1.0, [1.0, 0.0], ("kink",)),
    Trap(
        "cond_jump",
        lambda x: lax.cond(x > 0, lambda y: y * y + 1.0, lambda y: y, x),
        0.0,
        [1.0, "inf"],
        ("kink",),
    ),
    Trap(
        "sort_tie",
        lambda x: jnp.sort(x) @ jnp.array([1.0, 2.0]),
        (1.0, 1.0),
        [[1.0, 2.0], [1.0, 2.0]],
        ("kink",),
    ),
    Trap(
        "eigh_max_degenerate",
        lambda x: jnp.linalg.eigh(x.reshape(2, 2))[0][1],
        (1.0, 0.0, 0.0, 1.0),
        [[0.0, 1.0], [-0.5, 0.5], [-0.5, 0.5], [0.0, 1.0]],
        ("kink",),
    ),
    Trap(
        "linf_norm_tie",
        lambda x: jnp.linalg.norm(x, ord=jnp.inf),
        (1.0, -1.0),
        [[0.0, 1.0], [-1.0, 0.0]],
        ("kink",),
    ),
    Trap(
        "segment_max_tie",
        lambda x: jax.ops.segment_max(x, jnp.array([0, 0]), num_segments=1)[0],
        (1.0, 1.0),
        [[0.0, 1.0], [0.0, 1.0]],
        ("kink",),
    ),
    Trap(
        "scatter_max_tie",
        lambda x: jnp.array([1.0, 0.0], x.dtype).at[0].max(x)[0],
        1.0,
        [0.0, 1.0],
        ("kink",),
    ),
    Trap(
        "topk_tie", lambda x: lax.top_k(x, 1)[0][0], (1.0, 1.0), [[0.0, 1.0], [0.0, 1.0]], ("kink",)
    ),
)
