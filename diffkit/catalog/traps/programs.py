"""Programs that AD cannot or must not follow: loops without reverse mode, wrong rules."""

import jax
import jax.numpy as jnp
from jax import lax

from diffkit.catalog.traps.row import Trap

PROGRAMS: tuple[Trap, ...] = (
    Trap(
        "newton_early_exit",
        lambda x: lax.while_loop(
            lambda y: jnp.abs(y * y - x) > 16 * jnp.finfo(x.dtype).eps,
            lambda y: 0.5 * (y + x / y),
            2.0 * jnp.ones_like(x),
        ),
        4.0,
        0.25,
        ("missing-mode",),
    ),
    Trap(
        "rule_vjp_no_fwd",
        (lambda f: (f.defvjp(lambda x: (jnp.sin(x), x), lambda r, g: (g * jnp.cos(r),)), f)[1])(
            jax.custom_vjp(lambda x: jnp.sin(x))
        ),
        0.5,
        0.8775825618903728,
        ("missing-mode",),
    ),
    Trap(
        "newton_loose_tol",
        lambda x: lax.while_loop(
            lambda y: jnp.abs(y * y - x) > 1e-1, lambda y: 0.5 * (y + x / y), 1.5 * jnp.ones_like(x)
        ),
        2.0,
        0.3535533905932738,
        ("missing-mode",),
    ),
    Trap(
        "while_rev",
        lambda x: lax.while_loop(
            lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, jnp.ones_like(x))
        )[1],
        2.0,
        12.0,
        ("missing-mode",),
    ),
    Trap(
        "rule_vjp_grad_clip",
        (
            lambda f: (
                f.defvjp(lambda x: (x**2, x), lambda r, g: (jnp.clip(g * 2.0 * r, -1, 1),)),
                f,
            )[1]
        )(jax.custom_vjp(lambda x: x**2)),
        3.0,
        6.0,
        ("rule-mismatch", "nonlinear-cotangent"),
    ),
    Trap(
        "rule_vjp_ignores_g",
        (
            lambda f: (
                lambda x: 5.0
                * (f.defvjp(lambda x: (jnp.sin(x), x), lambda r, g: (jnp.cos(r),)), f(x))[1]
            )
        )(jax.custom_vjp(lambda x: jnp.sin(x))),
        0.5,
        4.387912809451864,
        ("rule-mismatch", "nonlinear-cotangent"),
    ),
    Trap(
        "rule_vjp_transpose",
        (
            lambda W: (
                lambda f: (
                    lambda x: jnp.sum(
                        jnp.array([1.0, 10.0])
                        * (f.defvjp(lambda x: (W @ x, None), lambda r, g: (W @ g,)), f(x))[1]
                    )
                )
            )(jax.custom_vjp(lambda x: W @ x))
        )(jnp.array([[1.0, 2.0], [3.0, 4.0]])),
        (1.0, 1.0),
        [31.0, 42.0],
        ("rule-mismatch", "nonlinear-cotangent"),
    ),
    Trap(
        "stop_grad_target",
        lambda x: (x**2 - lax.stop_gradient(2.0 * x)) ** 2,
        3.0,
        24.0,
        ("stop-gradient",),
    ),
)
