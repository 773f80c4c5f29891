"""AD answers nan or infinity: an untaken branch, 0 times infinity, a value that is none."""

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import optax

from diffkit.catalog.traps.row import Trap

NAN_GRADIENTS: tuple[Trap, ...] = (
    Trap(
        "log1mexp_naive",
        lambda x: jnp.log1p(-jnp.exp(x)),
        -8.673617379884035e-19,
        -1.152921504606847e18,
        ("inf-gradient",),
    ),
    Trap(
        "nansum_sq",
        lambda x: jnp.nansum(jnp.stack([x[0], jnp.sqrt(x[1])])),
        (1.0, -1.0),
        [1.0, 0.0],
        ("nan-gradient",),
    ),
    Trap(
        "sigmoid_naive",
        lambda x: 1.0 / (1.0 + jnp.exp(-x)),
        -1000.0,
        "5.075958897549456765291809e-435",
        ("nan-gradient",),
    ),
    Trap(
        "optax_kl_target0",
        lambda x: optax.kl_divergence(jnp.log(jnp.array([0.5, 0.5])), x),
        (0.0, 1.0),
        [[0.6931471805599453, "-inf"], 1.6931471805599454],
        ("nan-gradient",),
    ),
    Trap(
        "cumprod_zero_log",
        lambda x: jnp.exp(jnp.sum(jnp.log(x))),
        (2.0, 0.0, 3.0),
        [0.0, 6.0, 0.0],
        ("nan-gradient",),
    ),
    Trap("betainc_x1", lambda x: jsp.special.betainc(2.0, 1.0, x), 1.0, 2.0, ("nan-gradient",)),
    Trap(
        "flat_exp_where",
        lambda x: jnp.where(x == 0, 0.0, jnp.exp(-1.0 / x**2)),
        0.0,
        0.0,
        ("nan-gradient",),
    ),
    Trap("xlogy_0_y", lambda x: jsp.special.xlogy(0.0, x), 0.0, 0.0, ("nan-gradient",)),
    Trap(
        "safe_ce_zero_label_neginf",
        lambda x: optax.safe_softmax_cross_entropy(
            jnp.stack([x[0], x[1], -jnp.inf]), jnp.array([1.0, 0.0, 0.0])
        ),
        (1.0, 2.0),
        [-0.7310585786300049, 0.7310585786300049],
        ("nan-gradient",),
    ),
    Trap(
        "where_xlogx_neg",
        lambda x: jnp.where(x > 0, x * jnp.log(x), 0.0),
        0.0,
        [0.0, "-inf"],
        ("nan-gradient",),
    ),
    Trap(
        "beta_logpdf_x0", lambda x: jsp.stats.beta.logpdf(x, 1.0, 2.0), 0.0, -1.0, ("nan-gradient",)
    ),
    Trap(
        "prod_over_x",
        lambda x: jnp.prod(x) / x[1],
        (2.0, 0.0, 3.0),
        [3.0, 0.0, 2.0],
        ("nan-gradient",),
    ),
    Trap("pow_arange", lambda x: jnp.sum(x ** jnp.arange(3.0)), 0.0, 1.0, ("nan-gradient",)),
    Trap(
        "norm_sqrt_sum",
        lambda x: jnp.sqrt(jnp.sum(x**2)),
        (0.0, 0.0),
        [[-1.0, 1.0], [-1.0, 1.0]],
        ("nan-gradient",),
    ),
    Trap(
        "exp_mean_log",
        lambda x: jnp.exp(jnp.mean(jnp.log(x))),
        (0.0, 1.0),
        [["undefined", "inf"], 0.0],
        ("nan-gradient",),
    ),
    Trap("xlog1py_0_m1", lambda x: jsp.special.xlog1py(0.0, x), -1.0, 0.0, ("nan-gradient",)),
    Trap(
        "bern_logpmf_p0", lambda x: jsp.stats.bernoulli.logpmf(0, x), 0.0, -1.0, ("nan-gradient",)
    ),
    Trap("log_sigmoid_naive", lambda x: jnp.log(jax.nn.sigmoid(x)), -800.0, 1.0, ("nan-gradient",)),
    Trap(
        "xlogy_xx", lambda x: jsp.special.xlogy(x, x), 0.0, ["undefined", "-inf"], ("nan-gradient",)
    ),
    Trap("flat_exp_raw", lambda x: jnp.exp(-1.0 / x**2), 0.0, 0.0, ("nan-gradient",)),
    Trap(
        "linalg_norm_0",
        lambda x: jnp.linalg.norm(x),
        (0.0, 0.0),
        [[-1.0, 1.0], [-1.0, 1.0]],
        ("nan-gradient",),
    ),
    Trap(
        "logit_sigmoid",
        lambda x: jsp.special.logit(jax.nn.sigmoid(x)),
        40.0,
        1.0,
        ("nan-gradient",),
    ),
    Trap(
        "angle_same_vectors",
        lambda x: jnp.arccos(jnp.clip(x @ jnp.array([1.0, 0.0]) / jnp.linalg.norm(x), -1, 1)),
        (2.0, 0.0),
        [0.0, [-0.5, 0.5]],
        ("nan-gradient",),
    ),
    Trap("cbrt_cubed", lambda x: jnp.cbrt(x) ** 3, 0.0, 1.0, ("nan-gradient",)),
    Trap(
        "pairwise_dist",
        lambda x: jnp.sum(jnp.sqrt((x[:, None] - x[None, :]) ** 2)),
        (0.0, 1.0),
        [-2.0, 2.0],
        ("nan-gradient",),
    ),
    Trap(
        "entropy_naive",
        lambda x: -jnp.sum(x * jnp.log(x)),
        (1.0, 0.0),
        [-1.0, "inf"],
        ("nan-gradient",),
    ),
    Trap(
        "inv_ill",
        lambda x: jnp.sum(
            jnp.linalg.inv(
                jnp.array([[1.0, 1.0], [1.0, 1.0]], x.dtype)
                + jnp.diag(jnp.stack([x, jnp.zeros_like(x)]))
            )
        ),
        1.4901161193847656e-08,
        0.0,
        ("nan-gradient",),
    ),
    Trap(
        "pow_neg_base_traced",
        lambda x: jnp.power(x[0], x[1]),
        (-2.0, 2.0),
        [-4.0, "undefined"],
        ("nan-gradient",),
    ),
    Trap(
        "where_sqrt_neg", lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), -1.0, 0.0, ("nan-gradient",)
    ),
    Trap(
        "ce_one_hot_naive",
        lambda x: -jnp.sum(jnp.array([1.0, 0.0]) * jnp.log(x)),
        (1.0, 0.0),
        [-1.0, 0.0],
        ("nan-gradient",),
    ),
    Trap("gamma_logpdf_x0", lambda x: jsp.stats.gamma.logpdf(x, 1.0), 0.0, -1.0, ("nan-gradient",)),
    Trap("sqrt_pow4", lambda x: jnp.sqrt(x**4), 0.0, 0.0, ("nan-gradient",)),
    Trap("atanh_tanh", lambda x: jnp.arctanh(jnp.tanh(x)), 20.0, 1.0, ("nan-gradient",)),
    Trap(
        "ce_zero_label_neginf_logit",
        lambda x: optax.softmax_cross_entropy(
            jnp.stack([x[0], x[1], -jnp.inf]), jnp.array([1.0, 0.0, 0.0])
        ),
        (1.0, 2.0),
        [-0.7310585786300049, 0.7310585786300049],
        ("nan-value",),
    ),
    Trap(
        "all_masked_softmax",
        lambda x: jnp.sum(
            jax.nn.softmax(jnp.where(jnp.array([False, False]), x, -jnp.inf))
            * jnp.array([1.0, 2.0])
        ),
        (1.0, 2.0),
        "undefined",
        ("nan-gradient", "nan-value", "domain-edge"),
    ),
    Trap(
        "angle_0",
        lambda x: jnp.angle(x[0] + 1j * x[1]),
        (0.0, 0.0),
        "undefined",
        ("nan-gradient", "nan-value", "domain-edge"),
    ),
    Trap(
        "cosine_sim_0",
        lambda x: optax.cosine_similarity(x, jnp.array([1.0, 0.0]), epsilon=0.0),
        (0.0, 0.0),
        "undefined",
        ("nan-gradient", "nan-value", "domain-edge"),
    ),
)
