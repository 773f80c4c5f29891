"""Functions that need arguments of their own: one line each, and those that cannot be asked.

`CALLS` gives the recipe of a function by its public name; `FAMILIES` one recipe for all functions
of a submodule (the methods of a distribution); `REFUSED` the reason why a function is not called
at all.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.atlas.recipes import Recipe

_CHOSEN = np.array([0, 2, 1])
_COUNTS = np.array([1, 0, 2, 3])
_LABELS = np.array([0, 2])
_ONE_HOT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
_MASK = np.array([True, False, True, True])
_PIVOTS = np.array([1, 1, 2], dtype=np.int32)
_ROWS = np.array([[0], [2], [1]])
_EDGES = np.array([0.0, 0.3, 0.6, 1.0])


def _symmetric(x: Any) -> Any:
    """Half of x + x^T: a function that reads one triangle has a gradient only in symmetric x."""
    return (x + x.T) / 2


_NN = {
    "dot_product_attention": Recipe("ABC"),
    "leaky_relu": Recipe("z"),
    "elu": Recipe("z"),
    "celu": Recipe("z"),
    "selu": Recipe("z"),
    "one_hot": Recipe("v", lambda f, x: f(x, 3)),
}

_NUMPY = {
    "acosh": Recipe("X"),
    "append": Recipe("vw"),
    "apply_along_axis": Recipe("M", lambda f, x: f(jnp.prod, 0, x)),
    "apply_over_axes": Recipe("M", lambda f, x: f(jnp.prod, x, (0,))),
    "arccosh": Recipe("X"),
    "argwhere": Recipe("v", lambda f, x: f(x, size=4)),
    "array_split": Recipe("v", lambda f, x: f(x, 2)),
    "astype": Recipe("v", lambda f, x: f(x, jnp.float64)),
    "average": Recipe("vw", lambda f, x, y: f(x, weights=y)),
    "bincount": Recipe("b", lambda f, x: f(_CHOSEN, weights=x, length=3)),
    "block": Recipe("vw", lambda f, x, y: f([[x], [y]])),
    "broadcast_to": Recipe("v", lambda f, x: f(x, (2, 4))),
    "choose": Recipe("bc", lambda f, x, y: f(np.array([0, 1, 0]), [x, y], mode="clip")),
    "clip": Recipe("v", lambda f, x: f(x, 0.3, 0.7)),
    "compress": Recipe("v", lambda f, x: f(_MASK, x, size=3)),
    "convolve": Recipe("vb"),
    "corrcoef": Recipe("R"),
    "correlate": Recipe("vb"),
    "cross": Recipe("bc"),
    "delete": Recipe("v", lambda f, x: f(x, 1)),
    "diff": Recipe("v"),
    "einsum": Recipe("MN", lambda f, x, y: f("ij,jk->ik", x, y)),
    "expand_dims": Recipe("v", lambda f, x: f(x, 0)),
    "extract": Recipe("v", lambda f, x: f(_MASK, x, size=3)),
    "flatnonzero": Recipe("v", lambda f, x: f(x, size=4)),
    "fill_diagonal": Recipe("Ms", lambda f, x, y: f(x, y, inplace=False)),
    "flip": Recipe("M"),
    "frompyfunc": Recipe("vw", lambda f, x, y: f(jnp.multiply, 2, 1)(x, y)),
    "fromfunction": Recipe("s", lambda f, x: f(lambda i: x * i, (3,))),
    "full": Recipe("s", lambda f, x: f((2, 3), x)),
    "full_like": Recipe("s", lambda f, x: f(np.zeros((2, 3)), x)),
    "geomspace": Recipe("st", lambda f, x, y: f(x, y, 4)),
    "heaviside": Recipe("v", lambda f, x: f(np.zeros(4), x)),
    "histogram": Recipe("v", lambda f, x: f(np.linspace(0.1, 0.9, 4), _EDGES, weights=x)),
    "histogram2d": Recipe(
        "v",
        lambda f, x: f(np.linspace(0.1, 0.9, 4), np.linspace(0.2, 0.8, 4), [_EDGES] * 2, weights=x),
    ),
    "histogramdd": Recipe(
        "v", lambda f, x: f(np.linspace(0.1, 0.9, 8).reshape(4, 2), [_EDGES] * 2, weights=x)
    ),
    "insert": Recipe("vs", lambda f, x, y: f(x, 1, y)),
    "interp": Recipe("viw"),
    "intersect1d": Recipe("v", lambda f, x: f(x, x[:3], size=3)),
    "kaiser": Recipe("s", lambda f, x: f(5, x)),
    "ldexp": Recipe("v", lambda f, x: f(x, _COUNTS)),
    "linspace": Recipe("st", lambda f, x, y: f(x, y, 4)),
    "logspace": Recipe("st", lambda f, x, y: f(x, y, 4)),
    "matvec": Recipe("Mb"),
    "moveaxis": Recipe("M", lambda f, x: f(x, 0, 1)),
    "pad": Recipe("v", lambda f, x: f(x, 1)),
    "partition": Recipe("v", lambda f, x: f(x, 2)),
    "nonzero": Recipe("v", lambda f, x: f(x, size=4)),
    "nanpercentile": Recipe("v", lambda f, x: f(x, 30.0)),
    "nanquantile": Recipe("vs"),
    "percentile": Recipe("v", lambda f, x: f(x, 30.0)),
    "permute_dims": Recipe("M", lambda f, x: f(x, (1, 0))),
    "piecewise": Recipe("v", lambda f, x: f(x, [x < 0.4, x >= 0.4], [jnp.sin, jnp.cos])),
    "place": Recipe("vw", lambda f, x, y: f(x, _MASK, y, inplace=False)),
    "poly": Recipe("v"),
    "polydiv": Recipe("vb", lambda f, x, y: f(x, y, trim_leading_zeros=False)),
    "polyfit": Recipe("iv", lambda f, x, y: f(x, y, 1)),
    "polyval": Recipe("bv"),
    "put": Recipe("vb", lambda f, x, y: f(x, _CHOSEN, y, inplace=False)),
    "put_along_axis": Recipe("Mb", lambda f, x, y: f(x, _ROWS, y[:, None], 1, inplace=False)),
    "quantile": Recipe("vs"),
    "repeat": Recipe("v", lambda f, x: f(x, 2)),
    "reshape": Recipe("M", lambda f, x: f(x, (9,))),
    "resize": Recipe("v", lambda f, x: f(x, (2, 4))),
    "roll": Recipe("v", lambda f, x: f(x, 1)),
    "roots": Recipe("v", lambda f, x: f(x, strip_zeros=False)),
    "rollaxis": Recipe("M", lambda f, x: f(x, 1)),
    "select": Recipe("vw", lambda f, x, y: f([_MASK, ~_MASK], [x, y])),
    "setdiff1d": Recipe("v", lambda f, x: f(x, np.array([0.5]), size=4)),
    "setxor1d": Recipe("v", lambda f, x: f(x, np.array([0.5]), size=5)),
    "split": Recipe("v", lambda f, x: f(x, 2)),
    "dsplit": Recipe("T", lambda f, x: f(x, 2)),
    "hsplit": Recipe("v", lambda f, x: f(x, 2)),
    "vsplit": Recipe("R", lambda f, x: f(x, 2)),
    "swapaxes": Recipe("M", lambda f, x: f(x, 0, 1)),
    "take": Recipe("v", lambda f, x: f(x, _CHOSEN)),
    "take_along_axis": Recipe("M", lambda f, x: f(x, _ROWS, 1)),
    "tensordot": Recipe("MN"),
    "tile": Recipe("v", lambda f, x: f(x, 2)),
    "union1d": Recipe("v", lambda f, x: f(x, np.array([0.5]), size=5)),
    "unique": Recipe("v", lambda f, x: f(x, size=4)),
    "unique_all": Recipe("v", lambda f, x: f(x, size=4)),
    "unique_counts": Recipe("v", lambda f, x: f(x, size=4)),
    "unique_inverse": Recipe("v", lambda f, x: f(x, size=4)),
    "unique_values": Recipe("v", lambda f, x: f(x, size=4)),
    "unwrap": Recipe("z"),
    "vecmat": Recipe("bM"),
    "vectorize": Recipe("vw", lambda f, x, y: f(jnp.multiply)(x, y)),
    "where": Recipe("vw", lambda f, x, y: f(_MASK, x, y)),
}

_LINALG = {
    "cholesky": Recipe("S"),
    "cross": Recipe("bc"),
    "eigh": Recipe("S"),
    "eigvalsh": Recipe("S"),
    "lstsq": Recipe("Rv"),
    "matrix_power": Recipe("M", lambda f, x: f(x, 3)),
    "multi_dot": Recipe("MNS", lambda f, *x: f(list(x))),
    "qr": Recipe("M"),
    "solve": Recipe("Mb"),
    "svd": Recipe("M", lambda f, x: f(x, full_matrices=False)),
    "tensorinv": Recipe("M", lambda f, x: f(x, ind=1)),
    "tensorsolve": Recipe("Mb"),
}

_SPECIAL = {
    "bessel_jn": Recipe("v", lambda f, x: f(x, v=3)),
    "expn": Recipe("v", lambda f, x: f(2, x)),
    "multigammaln": Recipe("X", lambda f, x: f(x, 2)),
    "polygamma": Recipe("v", lambda f, x: f(1, x)),
    "sph_harm_y": Recipe(
        "s", lambda f, x: f(np.array([2]), np.array([1]), x[None], x[None], n_max=2)
    ),
    "zeta": Recipe("Xw"),
}

_SCIPY_LINALG = {
    "cho_factor": Recipe("S", lambda f, x: f(_symmetric(x))),
    "cho_solve": Recipe("Lb", lambda f, x, y: f((x, True), y)),
    "cholesky": Recipe("S", lambda f, x: f(_symmetric(x))),
    "convolution_matrix": Recipe("b", lambda f, x: f(x, 4)),
    "eigh": Recipe("S"),
    "eigh_tridiagonal": Recipe("vb", lambda f, x, y: f(x, y, eigvals_only=True)),
    "expm_frechet": Recipe("MN"),
    "funm": Recipe("S", lambda f, x: f(x, jnp.exp)),
    "leslie": Recipe("vb"),
    "lu_solve": Recipe("Mb", lambda f, x, y: f((x, _PIVOTS), y)),
    "polar": Recipe("M", lambda f, x: f(x, method="svd")),
    "qr_multiply": Recipe("Mb"),
    "rsf2csf": Recipe("MN"),
    "solve": Recipe("Mb"),
    "solve_sylvester": Recipe("MNS"),
    "solve_triangular": Recipe("Lb", lambda f, x, y: f(x, y, lower=True)),
    "svd": Recipe("M", lambda f, x: f(x, full_matrices=False)),
    "toeplitz": Recipe("vw"),
    "hankel": Recipe("vw"),
}

_LOSSES = {
    "ctc_loss": Recipe(
        "A",
        lambda f, x: f(
            jnp.concatenate([x[:, :, 0], -x[:, :, 0], x[:, :, 0] ** 2], axis=1).repeat(2, axis=2),
            np.zeros((1, 6)),
            np.array([[1, 2]]),
            np.zeros((1, 2)),
        ),
    ),
    "ctc_loss_with_forward_probs": Recipe(
        "A",
        lambda f, x: f(
            jnp.concatenate([x[:, :, 0], -x[:, :, 0], x[:, :, 0] ** 2], axis=1).repeat(2, axis=2),
            np.zeros((1, 6)),
            np.array([[1, 2]]),
            np.zeros((1, 2)),
        ),
    ),
    "binary_dice_loss": Recipe("z", lambda f, x: f(x, _MASK.astype(float))),
    "convex_kl_divergence": Recipe("zp"),
    "dice_loss": Recipe("Z", lambda f, x: f(x[None], _ONE_HOT[None])),
    "generalized_kl_divergence": Recipe("zp"),
    "hinge_loss": Recipe("v", lambda f, x: f(x, _SIGNS)),
    "kl_divergence": Recipe("zp"),
    "kl_divergence_with_log_targets": Recipe("zn"),
    "make_fenchel_young_loss": Recipe(
        "Z", lambda f, x: f(lambda y: jnp.log(jnp.sum(jnp.exp(y))))(x[0], _ONE_HOT[0])
    ),
    "multiclass_generalized_dice_loss": Recipe("Z", lambda f, x: f(x[None], _ONE_HOT[None])),
    "multiclass_hinge_loss": Recipe("Z", lambda f, x: f(x, _LABELS)),
    "multiclass_perceptron_loss": Recipe("Z", lambda f, x: f(x, _LABELS)),
    "multiclass_sparsemax_loss": Recipe("Z", lambda f, x: f(x, _LABELS)),
    "ntxent": Recipe("R", lambda f, x: f(x, np.array([0, 1, 0, 1]))),
    "perceptron_loss": Recipe("z", lambda f, x: f(x, _SIGNS)),
    "poly_loss_cross_entropy": Recipe("Z", lambda f, x: f(x, _ONE_HOT)),
    "ranking_softmax_loss": Recipe("zv"),
    "safe_softmax_cross_entropy": Recipe("Z", lambda f, x: f(x, _ONE_HOT)),
    "sigmoid_binary_cross_entropy": Recipe("zv"),
    "sigmoid_focal_loss": Recipe("z", lambda f, x: f(x, _MASK.astype(float))),
    "smooth_labels": Recipe("p", lambda f, x: f(x, 0.1)),
    "softmax_cross_entropy": Recipe("zp"),
    "softmax_cross_entropy_with_integer_labels": Recipe("Z", lambda f, x: f(x, _LABELS)),
    "sparsemax_loss": Recipe("z", lambda f, x: f(x, _MASK.astype(float))),
    "triplet_margin_loss": Recipe("vwu"),
}

#: Public name -> the recipe with which it is called.
CALLS: dict[str, Recipe] = {
    f"{module}.{name}": recipe
    for module, table in {
        "jax.nn": _NN,
        "jax.numpy": _NUMPY,
        "jax.numpy.linalg": _LINALG,
        "jax.scipy.special": _SPECIAL,
        "jax.scipy.linalg": _SCIPY_LINALG,
        "optax.losses": _LOSSES,
    }.items()
    for name, recipe in table.items()
} | {
    "jax.scipy.stats.poisson.entropy": Recipe("X"),
}

#: Submodule -> the recipe of its functions; (x, shape parameters, loc, scale) where there are such.
FAMILIES: dict[str, Recipe] = {
    f"jax.scipy.stats.{name}": recipe
    for name, recipe in {
        "bernoulli": Recipe("v", lambda f, p: f(np.array([0, 1, 1, 0]), p)),
        "beta": Recipe("vXw"),
        "betabinom": Recipe("vw", lambda f, a, b: f(_COUNTS, 5, a, b)),
        "binom": Recipe("v", lambda f, p: f(_COUNTS, 5, p)),
        "cauchy": Recipe("vou"),
        "chi2": Recipe("vX"),
        "dirichlet": Recipe("pX"),
        "expon": Recipe("vou"),
        "gamma": Recipe("vX"),
        "gennorm": Recipe("vX"),
        "geom": Recipe("v", lambda f, p: f(_COUNTS + 1, p)),
        "gumbel_l": Recipe("vou"),
        "gumbel_r": Recipe("vou"),
        "laplace": Recipe("vou"),
        "logistic": Recipe("vou"),
        "multinomial": Recipe("p", lambda f, p: f(_COUNTS, 6, p)),
        "multivariate_normal": Recipe("bcS"),
        "nbinom": Recipe("Xv", lambda f, n, p: f(_COUNTS, n, p)),
        "norm": Recipe("vou"),
        "pareto": Recipe("Xw"),
        "poisson": Recipe("X", lambda f, mu: f(_COUNTS, mu)),
        "t": Recipe("vX"),
        "truncnorm": Recipe("vnX"),
        "uniform": Recipe("voX"),
        "vonmises": Recipe("vX"),
        "wrapcauchy": Recipe("vw"),
    }.items()
}
#: A quantile is a probability, whatever the support.
FAMILIES["jax.scipy.stats.pareto.ppf"] = Recipe("vw")

_FILES = "reads or writes a file or a buffer"
_SETTINGS = "changes or shows a setting"
_TYPES = "answers about types, shapes or objects, not numbers"
_NO_INPUT = "has no float argument"
_WHOLE = "works on integers only"
_CONCRETE = "needs concrete values, so it has no jaxpr"

#: Public name -> why it is not called.
REFUSED: dict[str, str] = {
    f"jax.numpy.{name}": reason
    for reason, names in {
        _FILES: "from_dlpack frombuffer fromfile fromiter fromstring load save savez",
        _SETTINGS: "get_printoptions printoptions set_printoptions",
        _TYPES: (
            "array_repr array_str broadcast_shapes can_cast einsum_path isdtype issubdtype "
            "iterable ndim promote_types result_type shape size"
        ),
        _WHOLE: (
            "bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or "
            "bitwise_right_shift bitwise_xor gcd invert lcm left_shift packbits ravel_multi_index "
            "right_shift unpackbits unravel_index"
        ),
        _CONCRETE: "arange trim_zeros",
        _NO_INPUT: (
            "bartlett blackman diag_indices empty eye hamming hanning identity indices "
            "mask_indices ones tri tril_indices triu_indices zeros"
        ),
    }.items()
    for name in names.split()
} | {
    "jax.nn.get_scaled_dot_general_config": "returns a configuration, no array",
    "jax.nn.scaled_dot_general": "needs an accelerator with block-scaled matrix products",
    "jax.nn.scaled_matmul": "needs an accelerator with block-scaled matrix products",
    "jax.scipy.special.bernoulli": _NO_INPUT,
    **{
        f"jax.scipy.linalg.{name}": _NO_INPUT
        for name in "dft hadamard helmert hilbert invhilbert invpascal pascal".split()
    },
}
