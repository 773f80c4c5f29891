r"""Derivatives of the activation functions and the elementary functions around them.

The derivative of a row is written in exp, log, erf, sqrt and cases only, never in the closed
form that the vocabulary differentiates to, so that a proof says something.  Values at kinks are
those of the JAX counterpart.

Sources: Hendrycks and Gimpel (2016), arXiv:1606.08415 (gelu); Ramachandran et al. (2017),
arXiv:1710.05941 (swish); Klambauer et al. (2017), arXiv:1706.02515 (selu); Misra (2019),
arXiv:1908.08681 (mish); Barron (2017), arXiv:1704.07483 (celu); Barron (2021), arXiv:2112.11687
(squareplus); Martins and Astudillo (2016), arXiv:1602.02068 (sparse_plus).
"""

from collections.abc import Mapping

from diffkit.catalog.known import Counterpart, KnownClaim

_POSITIVE_Y = {"y": "positive"}
_POSITIVE = {"x": "positive"}
_POSITIVE_BOTH = {"x": "positive", "y": "positive"}
_ABOVE_MINUS_ONE = {"x": "(-1, oo)"}
_PROBABILITY = {"p": "probability"}

_U = "(sqrt(2/pi)*(x + 0.044715*x**3))"
_SELU_SCALE = "1.0507009873554804934193349852946"
_SELU_ALPHA = "1.6732632423543772848170429916717"


def _row(
    formula: str,
    derivative: str,
    jax: str = "",
    arguments: tuple[str, ...] = ("x",),
    kwargs: Mapping[str, str | float | bool | None] | None = None,
    *,
    name: str = "",
    wrt: str = "x",
    domain: Mapping[str, str] | None = None,
    variant: str = "",
    conventions: Mapping[str, float] | None = None,
    source: str = "",
    supported_because: str = "",
) -> KnownClaim:
    """A row whose counterpart takes the symbols in order; its name is that of the function."""
    return KnownClaim(
        name=name or formula.partition("(")[0],
        formula=formula,
        derivative=derivative,
        wrt=wrt,
        domain=domain or {},
        jax=Counterpart(jax, arguments, kwargs or {}) if jax else None,
        source=source,
        variant=variant,
        conventions=conventions or {},
        supported_because=supported_because,
    )


SMOOTH = (
    _row("sigmoid(x)", "exp(-x)/(1 + exp(-x))**2", "jax.nn.sigmoid"),
    _row("softplus(x)", "1/(1 + exp(-x))", "jax.nn.softplus"),
    _row("log_sigmoid(x)", "1/(1 + exp(x))", "jax.nn.log_sigmoid"),
    _row("tanh(x)", "4/(exp(x) + exp(-x))**2", "jax.numpy.tanh"),
    _row("x - tanh(x)", "tanh(x)**2", name="tanh_shrink"),
    _row(
        "silu(x)",
        "(1 + exp(-x) + x*exp(-x))/(1 + exp(-x))**2",
        "jax.nn.silu",
        source="arXiv:1710.05941",
    ),
    _row(
        "x*sigmoid(beta*x)",
        "1/(1 + exp(-beta*x)) + beta*x*exp(-beta*x)/(1 + exp(-beta*x))**2",
        name="swish with beta",
        source="arXiv:1710.05941",
    ),
    _row(
        "x*sigmoid(beta*x)",
        "x**2*exp(-beta*x)/(1 + exp(-beta*x))**2",
        name="swish with beta, wrt beta",
        wrt="beta",
    ),
    _row(
        "gelu(x)",
        "(1 + erf(x/sqrt(2)))/2 + x*exp(-x**2/2)/sqrt(2*pi)",
        "jax.nn.gelu",
        kwargs={"approximate": False},
        variant="the exact form with erf",
        source="arXiv:1606.08415",
    ),
    _row(
        "gelu_tanh(x)",
        f"(1 + tanh{_U})/2 + x/(2*cosh{_U}**2)*sqrt(2/pi)*(1 + 0.134145*x**2)",
        "jax.nn.gelu",
        kwargs={"approximate": True},
        variant="the approximation by tanh",
        source="arXiv:1606.08415",
    ),
    _row(
        "x*sigmoid(1.702*x)",
        "(1 + exp(-1.702*x) + 1.702*x*exp(-1.702*x))/(1 + exp(-1.702*x))**2",
        name="quick_gelu",
        variant="the approximation by sigmoid",
        source="arXiv:1606.08415",
    ),
    _row(
        "mish(x)",
        "exp(x)*(4*(x + 1) + 4*exp(2*x) + exp(3*x) + exp(x)*(4*x + 6))"
        "/(2*exp(x) + exp(2*x) + 2)**2",
        "jax.nn.mish",
        source="arXiv:1908.08681",
    ),
    _row(
        "squareplus(x, b)",
        "(1 + x/sqrt(x**2 + b))/2",
        "jax.nn.squareplus",
        ("x", "b"),
        domain={"b": "positive"},
        source="arXiv:2112.11687",
    ),
    _row(
        "squareplus(x, b)",
        "1/(4*sqrt(x**2 + b))",
        name="squareplus, wrt b",
        wrt="b",
        domain={"b": "positive"},
    ),
    _row(
        "log_cosh(x)",
        "(exp(x) - exp(-x))/(exp(x) + exp(-x))",
        "optax.losses.log_cosh",
    ),
    _row("x*sigmoid(g)", "1/(1 + exp(-g))", name="glu"),
    _row("x*sigmoid(g)", "x*exp(-g)/(1 + exp(-g))**2", name="glu, wrt gate", wrt="g"),
    _row("exp(-x**2)", "-2*x*exp(-x**2)", name="gaussian"),
    _row(
        "exp(x)/(exp(x) + exp(y))",
        "exp(x)*exp(y)/(exp(x) + exp(y))**2",
        name="softmax of two",
    ),
    _row(
        "exp(x)/(exp(x) + exp(y) + exp(z))",
        "-exp(x)*exp(y)/(exp(x) + exp(y) + exp(z))**2",
        name="softmax of three, the other score",
        wrt="y",
    ),
    _row(
        "exp(x/T)/(exp(x/T) + exp(y/T))",
        "(y - x)/T**2*exp(x/T)*exp(y/T)/(exp(x/T) + exp(y/T))**2",
        name="softmax of two, wrt temperature",
        wrt="T",
        domain={"T": "positive"},
    ),
)

KINKED = (
    _row("step(x)", "0", variant="0 at the jump"),
    _row(
        "relu(x)",
        "where(x > 0, 1, 0)",
        "jax.nn.relu",
        variant="relu'(0) = 0",
        conventions={"relu0": 0},
    ),
    _row(
        "relu(x)",
        "where(x >= 0, 1, 0)",
        name="relu, 1 at the kink",
        variant="relu'(0) = 1",
        conventions={"relu0": 1},
    ),
    _row(
        "relu(x)",
        "(1 + sign(x))/2",
        name="relu, 1/2 at the kink",
        variant="relu'(0) = 1/2",
        conventions={"relu0": 0.5},
    ),
    _row("relu6(x)", "where(x <= 0, 0, where(x >= 6, 0, 1))", "jax.nn.relu6"),
    _row("leaky_relu(x)", "where(x >= 0, 1, 1/100)", "jax.nn.leaky_relu"),
    _row(
        "leaky_relu(x, a)",
        "where(x >= 0, 1, a)",
        "jax.nn.leaky_relu",
        ("x", "a"),
        name="leaky_relu with slope",
    ),
    _row("prelu(x, a)", "where(x >= 0, 1, a)", "jax.nn.leaky_relu", ("x", "a")),
    _row(
        "prelu(x, a)",
        "Min(x, 0)",
        "jax.nn.leaky_relu",
        ("x", "a"),
        name="prelu, wrt slope",
        wrt="a",
        source="arXiv:1502.01852",
    ),
    _row("elu(x)", "where(x > 0, 1, exp(x))", "jax.nn.elu"),
    _row(
        "elu(x, a)",
        "where(x > 0, 1, a*exp(x))",
        "jax.nn.elu",
        ("x", "a"),
        name="elu with scale",
    ),
    _row("elu(x, a)", "where(x > 0, 0, exp(x) - 1)", name="elu, wrt scale", wrt="a"),
    _row(
        "selu(x)",
        f"{_SELU_SCALE}*where(x > 0, 1, {_SELU_ALPHA}*exp(x))",
        "jax.nn.selu",
        source="arXiv:1706.02515",
    ),
    _row(
        "celu(x, a)",
        "where(x > 0, 1, exp(x/a))",
        "jax.nn.celu",
        ("x", "a"),
        domain={"a": "positive"},
        source="arXiv:1704.07483",
    ),
    _row(
        "celu(x, a)",
        "where(x > 0, 0, exp(x/a) - 1 - x/a*exp(x/a))",
        name="celu, wrt scale",
        wrt="a",
        domain={"a": "positive"},
    ),
    _row("softsign(x)", "1/(1 + abs(x))**2", "jax.nn.soft_sign"),
    _row("hard_tanh(x)", "where(abs(x) <= 1, 1, 0)", "jax.nn.hard_tanh"),
    _row("hard_sigmoid(x)", "where(abs(x) < 3, 1/6, 0)", "jax.nn.hard_sigmoid"),
    _row(
        "hard_swish(x)",
        "where(x <= -3, 0, where(x >= 3, 1, (2*x + 3)/6))",
        "jax.nn.hard_swish",
    ),
    _row(
        "sparse_plus(x)",
        "where(x <= -1, 0, where(x >= 1, 1, (x + 1)/2))",
        "jax.nn.sparse_plus",
        source="arXiv:1602.02068",
    ),
    _row("sparse_sigmoid(x)", "where(abs(x) < 1, 1/2, 0)", "jax.nn.sparse_sigmoid"),
    _row(
        "huber(x, d)",
        "where(abs(x) <= d, x, d*sign(x))",
        "optax.losses.huber_loss",
        kwargs={"delta": "d"},
        domain={"d": "positive"},
    ),
    _row(
        "huber(x, d)",
        "where(abs(x) <= d, 0, abs(x) - d)",
        name="huber, wrt threshold",
        wrt="d",
        domain={"d": "positive"},
    ),
    _row(
        "hinge(s, t)",
        "where(s*t < 1, -t, 0)",
        "optax.losses.hinge_loss",
        ("s", "t"),
        wrt="s",
    ),
    _row(
        "clip(x, low, high)",
        "where(low < x, where(x < high, 1, 0), 0)",
        "jax.numpy.clip",
        ("x", "low", "high"),
    ),
)

LOGARITHMS = (
    _row("logaddexp(x, y)", "exp(x)/(exp(x) + exp(y))", "jax.numpy.logaddexp", ("x", "y")),
    _row("logaddexp2(x, y)", "2**x/(2**x + 2**y)", "jax.numpy.logaddexp2", ("x", "y")),
    _row("xlogy(x, y)", "log(y)", "jax.scipy.special.xlogy", ("x", "y"), domain=_POSITIVE_Y),
    _row(
        "xlogy(x, y)",
        "x/y",
        "jax.scipy.special.xlogy",
        ("x", "y"),
        name="xlogy, wrt y",
        wrt="y",
        domain=_POSITIVE_Y,
    ),
    _row(
        "xlog1py(x, y)",
        "x/(1 + y)",
        "jax.scipy.special.xlog1py",
        ("x", "y"),
        wrt="y",
        domain={"y": "(-1, oo)"},
    ),
    _row("entr(x)", "-1 - log(x)", "jax.scipy.special.entr", domain=_POSITIVE),
    _row(
        "rel_entr(x, y)",
        "1 + log(x) - log(y)",
        "jax.scipy.special.rel_entr",
        ("x", "y"),
        domain=_POSITIVE_BOTH,
    ),
    _row(
        "rel_entr(x, y)",
        "-x/y",
        "jax.scipy.special.rel_entr",
        ("x", "y"),
        name="rel_entr, wrt y",
        wrt="y",
        domain=_POSITIVE_BOTH,
    ),
    _row(
        "kl_div(x, y)",
        "log(x) - log(y)",
        "jax.scipy.special.kl_div",
        ("x", "y"),
        domain=_POSITIVE_BOTH,
    ),
    _row(
        "kl_div(x, y)",
        "(y - x)/y",
        "jax.scipy.special.kl_div",
        ("x", "y"),
        name="kl_div, wrt y",
        wrt="y",
        domain=_POSITIVE_BOTH,
    ),
    _row("log1p(x)", "1/(1 + x)", "jax.numpy.log1p", domain=_ABOVE_MINUS_ONE),
    _row(
        "log1p_over(x)",
        "where(x == 0, -1/2, (x - (1 + x)*log(1 + x))/(x**2*(1 + x)))",
        domain=_ABOVE_MINUS_ONE,
    ),
    _row("log1mexp(x)", "exp(-x)/(1 - exp(-x))", "jax.nn.log1mexp", domain=_POSITIVE),
    _row("log2(x)", "1/(x*log(2))", "jax.numpy.log2", domain=_POSITIVE),
    _row("log10(x)", "1/(x*log(10))", "jax.numpy.log10", domain=_POSITIVE),
    _row(
        "logit(p)",
        "1/p + 1/(1 - p)",
        "jax.scipy.special.logit",
        ("p",),
        wrt="p",
        domain=_PROBABILITY,
    ),
)

POWERS = (
    _row("expm1(x)", "exp(x)", "jax.numpy.expm1"),
    _row("expm1_over(x)", "where(x == 0, 1/2, (1 + (x - 1)*exp(x))/x**2)"),
    _row("exp2(x)", "exp(x*log(2))*log(2)", "jax.numpy.exp2"),
    _row("square(x)", "2*x", "jax.numpy.square"),
    _row("cbrt(x)", "abs(x)**(-2/3)/3", "jax.numpy.cbrt"),
    _row("rsqrt(x)", "-1/(2*x*sqrt(x))", "jax.lax.rsqrt", domain=_POSITIVE),
    _row("hypot(x, y)", "x/sqrt(x**2 + y**2)", "jax.numpy.hypot", ("x", "y")),
)

OTHERS = (
    _row(
        "sinc(x)",
        "where(x == 0, 0, cos(x)/x - sin(x)/x**2)",
        variant="sin(x)/x; JAX has sin(pi x)/(pi x)",
    ),
    _row("cosm1(x)", "-sin(x)"),
    _row("normal_pdf(x)", "-x*exp(-x**2/2)/sqrt(2*pi)", "jax.scipy.stats.norm.pdf"),
    _row("normal_cdf(x)", "exp(-x**2/2)/sqrt(2*pi)", "jax.scipy.special.ndtr"),
    _row(
        "log_normal_cdf(x)",
        "sqrt(2/pi)*exp(-x**2/2)/(1 + erf(x/sqrt(2)))",
        "jax.scipy.special.log_ndtr",
    ),
    _row(
        "normal_quantile(p)",
        "sqrt(2*pi)*exp(erfinv(2*p - 1)**2)",
        "jax.scipy.special.ndtri",
        ("p",),
        wrt="p",
        domain=_PROBABILITY,
    ),
)

SPECIAL = (
    _row("bessel_i0e(x)", "bessel_i1e(x) - sign(x)*bessel_i0e(x)", "jax.scipy.special.i0e"),
    _row(
        "bessel_i1e(x)",
        "where(x == 0, 1/2, bessel_i0e(x) - bessel_i1e(x)/x - sign(x)*bessel_i1e(x))",
        "jax.scipy.special.i1e",
    ),
)

#: At least one row of every function of the vocabulary, and the activations made of them.
ACTIVATIONS = SMOOTH + KINKED + LOGARITHMS + POWERS + OTHERS + SPECIAL
