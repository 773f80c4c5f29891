"""Right first derivatives whose second ones are wrong, missing or one of many."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import optax
from jax import lax

from diffkit.catalog.traps.row import Trap

SECOND_ORDER: tuple[Trap, ...] = (
    Trap(
        "spence_1",
        lambda x: jsp.special.spence(x),
        0.5,
        -1.3862943611198906,
        (
            "kink",
            "wrong-limit",
            "nan-gradient",
            "rule-mismatch",
            "cancellation",
            "missing-mode",
            "domain-edge",
        ),
        order=2,
    ),
    Trap(
        "svd_nuc_identity",
        lambda x: jnp.sum(jnp.linalg.svd(x.reshape(2, 2), compute_uv=False)),
        (1.0, 0.0, 0.0, 1.0),
        [1.0, 0.0, 0.0, 1.0],
        ("nan-gradient",),
        order=2,
    ),
    Trap(
        "expn_0",
        lambda x: jsp.special.expn(2, x),
        0.0,
        ["undefined", "-inf"],
        (
            "kink",
            "wrong-limit",
            "nan-gradient",
            "rule-mismatch",
            "cancellation",
            "missing-mode",
            "domain-edge",
        ),
        order=2,
    ),
    Trap("i1_0", lambda x: jsp.special.i1(x), 0.0, 0.5, ("wrong-limit",), order=2),
    Trap(
        "rule_jvp_2nd",
        (lambda f: (f.defjvps(lambda t, ans, x: t * lax.stop_gradient(jnp.cos(x))), f)[1])(
            jax.custom_jvp(lambda x: jnp.sin(x))
        ),
        0.5,
        0.8775825618903728,
        ("rule-mismatch",),
        order=2,
    ),
    Trap(
        "gammaincc_da_tail",
        lambda x: jsp.special.gammaincc(x, 60.0),
        2.0,
        1.970053552845756e-24,
        (
            "kink",
            "wrong-limit",
            "nan-gradient",
            "rule-mismatch",
            "cancellation",
            "missing-mode",
            "domain-edge",
        ),
        order=2,
    ),
    Trap("x_abs_x", lambda x: x * jnp.abs(x), 0.0, 0.0, ("kink",), order=2),
    Trap("relu_sq", lambda x: jax.nn.relu(x) ** 2, 0.0, 0.0, ("kink",), order=2),
    Trap(
        "huber_delta",
        lambda x: optax.huber_loss(x, jnp.asarray(0.0), delta=1.0),
        1.0,
        1.0,
        ("kink",),
        order=2,
    ),
)
