r"""Derivatives of losses, likelihoods, penalties and update rules, as people write them by hand.

Notation: a prediction, y truth, p probability, z logit, s score, t = -1 or 1, w weight, r ratio of
probabilities.  Two or three samples or classes stand for N of them.

Sources: Huber (1964), Ann. Math. Statist. 35; Lin et al. (2017), arXiv:1708.02002 (focal);
Szegedy et al. (2015), arXiv:1512.00567 (label smoothing); Leng et al. (2022), arXiv:2204.12511
(PolyLoss); Kingma and Welling (2013), arXiv:1312.6114 (KL to the standard normal); Schulman et al.
(2017), arXiv:1707.06347 (clipped surrogate); Kingma and Ba (2014), arXiv:1412.6980 (Adam).
"""

from diffkit.catalog.known import Counterpart, KnownClaim

_PROBABILITY = {"p": "probability"}
_BOTH_PROBABILITIES = {"p": "probability", "q": "probability"}
_SIGMA = {"sigma": "positive"}
_SCALES = {"s1": "positive", "s2": "positive"}

_SQUARES = "((a1 - y1)**2 + (a2 - y2)**2 + (a3 - y3)**2)"
_SAMPLES = (("a1", "a2", "a3"), ("y1", "y2", "y3"))
_NORMAL_NLL = "log(sigma) + (y - mu)**2/(2*sigma**2) + log(2*pi)/2"
_NORMAL = Counterpart("jax.scipy.stats.norm.logpdf", ("y", "mu", "sigma"), factor=-1)
_KL_NORMALS = "log(s2/s1) + (s1**2 + (m1 - m2)**2)/(2*s2**2) - 1/2"
_KL_BERNOULLI = "p*log(p/q) + (1 - p)*log((1 - p)/(1 - q))"
_KL_COUNTERPART = Counterpart(
    "optax.losses.kl_divergence", (("log(q)", "log(1 - q)"), ("p", "1 - p"))
)
_ADAM = {"v": "positive", "eps": "positive", "eta": "positive"}
_LENGTHS = "(sqrt(a1**2 + a2**2)*sqrt(b1**2 + b2**2))"

REGRESSION = (
    KnownClaim(
        "squared error",
        "(y - a)**2",
        "2*(a - y)",
        "a",
        jax=Counterpart("optax.losses.squared_error", ("a", "y")),
        variant="without 1/2",
    ),
    KnownClaim(
        "half squared error",
        "(y - a)**2/2",
        "a - y",
        "a",
        jax=Counterpart("optax.losses.l2_loss", ("a", "y")),
        variant="with 1/2",
    ),
    KnownClaim(
        "mean squared error of three",
        f"{_SQUARES}/3",
        "2*(a1 - y1)/3",
        "a1",
        jax=Counterpart("optax.losses.squared_error", _SAMPLES, reduction="mean"),
        variant="1/N sum",
    ),
    KnownClaim(
        "half sum of squares of three",
        f"{_SQUARES}/2",
        "a1 - y1",
        "a1",
        jax=Counterpart("optax.losses.l2_loss", _SAMPLES, reduction="sum"),
        variant="1/2 sum",
    ),
    KnownClaim(
        "half mean squared error of three",
        f"{_SQUARES}/(2*3)",
        "(a1 - y1)/3",
        "a1",
        jax=Counterpart("optax.losses.l2_loss", _SAMPLES, reduction="mean"),
        variant="1/(2N) sum",
    ),
    KnownClaim(
        "mean squared error of two",
        "((a1 - y1)**2 + (a2 - y2)**2)/2",
        "a1 - y1",
        "a1",
        jax=Counterpart(
            "optax.losses.squared_error", (("a1", "a2"), ("y1", "y2")), reduction="mean"
        ),
        variant="1/N sum; with N = 2 it looks like 1/2 sum",
    ),
    KnownClaim(
        "linear regression, wrt weight",
        "((w*x1 + b - y1)**2 + (w*x2 + b - y2)**2)/2",
        "(w*x1 + b - y1)*x1 + (w*x2 + b - y2)*x2",
        "w",
    ),
    KnownClaim(
        "linear regression, wrt bias",
        "((w*x1 + b - y1)**2 + (w*x2 + b - y2)**2)/2",
        "w*(x1 + x2) + 2*b - y1 - y2",
        "b",
    ),
    KnownClaim("absolute error", "abs(a - y)", "where(a > y, 1, -1)", "a"),
    KnownClaim(
        "huber loss",
        "where(abs(a - y) <= d, (a - y)**2/2, d*(abs(a - y) - d/2))",
        "where(abs(a - y) <= d, a - y, d*sign(a - y))",
        "a",
        {"d": "positive"},
        Counterpart("optax.losses.huber_loss", ("a", "y"), {"delta": "d"}),
        "Huber (1964)",
    ),
    KnownClaim(
        "smooth L1",
        "where(abs(a - y) < b, (a - y)**2/(2*b), abs(a - y) - b/2)",
        "where(abs(a - y) < b, (a - y)/b, sign(a - y))",
        "a",
        {"b": "positive"},
        variant="huber divided by its threshold",
    ),
    KnownClaim(
        "pseudo huber",
        "d**2*(sqrt(1 + ((a - y)/d)**2) - 1)",
        "d*(a - y)/sqrt(d**2 + (a - y)**2)",
        "a",
        {"d": "positive"},
    ),
    KnownClaim(
        "log cosh loss",
        "log(cosh(a - y))",
        "tanh(a - y)",
        "a",
        jax=Counterpart("optax.losses.log_cosh", ("a", "y")),
    ),
    KnownClaim(
        "pinball loss",
        "where(y >= a, q*(y - a), (1 - q)*(a - y))",
        "where(y >= a, -q, 1 - q)",
        "a",
        {"q": "probability"},
    ),
    KnownClaim(
        "squared logarithmic error",
        "(log(1 + a) - log(1 + y))**2",
        "2*log((1 + a)/(1 + y))/(1 + a)",
        "a",
        {"a": "positive", "y": "positive"},
    ),
)

CLASSIFICATION = (
    KnownClaim(
        "cross entropy of a probability",
        "-(y*log(p) + (1 - y)*log(1 - p))",
        "(p - y)/(p*(1 - p))",
        "p",
        _PROBABILITY,
    ),
    KnownClaim(
        "cross entropy with logits",
        "log(1 + exp(z)) - y*z",
        "1/(1 + exp(-z)) - y",
        "z",
        jax=Counterpart("optax.losses.sigmoid_binary_cross_entropy", ("z", "y")),
    ),
    KnownClaim(
        "logistic regression, wrt weight",
        "-(y*log(sigmoid(w*x + b)) + (1 - y)*log(1 - sigmoid(w*x + b)))",
        "(sigmoid(w*x + b) - y)*x",
        "w",
    ),
    KnownClaim(
        "squared error of a sigmoid",
        "(sigmoid(z) - y)**2/2",
        "(sigmoid(z) - y)*sigmoid(z)*(1 - sigmoid(z))",
        "z",
        variant="with 1/2",
    ),
    KnownClaim(
        "softmax cross entropy of two",
        "log(exp(z1) + exp(z2)) - y*z1 - (1 - y)*z2",
        "exp(z1)/(exp(z1) + exp(z2)) - y",
        "z1",
        jax=Counterpart("optax.losses.softmax_cross_entropy", (("z1", "z2"), ("y", "1 - y"))),
    ),
    KnownClaim(
        "softmax cross entropy of three, true class",
        "-log(exp(z1)/(exp(z1) + exp(z2) + exp(z3)))",
        "exp(z1)/(exp(z1) + exp(z2) + exp(z3)) - 1",
        "z1",
        jax=Counterpart(
            "optax.losses.softmax_cross_entropy", (("z1", "z2", "z3"), ("1", "0", "0"))
        ),
    ),
    KnownClaim(
        "softmax cross entropy of three, other class",
        "-log(exp(z1)/(exp(z1) + exp(z2) + exp(z3)))",
        "exp(z2)/(exp(z1) + exp(z2) + exp(z3))",
        "z2",
        jax=Counterpart(
            "optax.losses.softmax_cross_entropy", (("z1", "z2", "z3"), ("1", "0", "0"))
        ),
    ),
    KnownClaim(
        "cross entropy with smoothed labels",
        "log(exp(z1) + exp(z2)) - ((1 - a)*y + a/2)*z1 - ((1 - a)*(1 - y) + a/2)*z2",
        "1/(1 + exp(z2 - z1)) - (1 - a)*y - a/2",
        "z1",
        {"a": "probability"},
        Counterpart(
            "optax.losses.softmax_cross_entropy",
            (("z1", "z2"), ("(1 - a)*y + a/2", "(1 - a)*(1 - y) + a/2")),
        ),
        "arXiv:1512.00567",
    ),
    KnownClaim(
        "poly loss of two",
        "log(1 + exp(z2 - z1)) + eps*(1 - 1/(1 + exp(z2 - z1)))",
        "-(1 + eps*sigmoid(z1 - z2))*sigmoid(z2 - z1)",
        "z1",
        jax=Counterpart(
            "optax.losses.poly_loss_cross_entropy", (("z1", "z2"), ("1", "0")), {"epsilon": "eps"}
        ),
        source="arXiv:2204.12511",
    ),
    KnownClaim(
        "focal loss of a probability",
        "-(1 - p)**g*log(p)",
        "(1 - p)**(g - 1)*(g*log(p) - (1 - p)/p)",
        "p",
        {"p": "probability", "g": "positive"},
        source="arXiv:1708.02002",
    ),
    KnownClaim(
        "focal loss with logits",
        "-(1 - sigmoid(z))**2*log(sigmoid(z))",
        "(1 - sigmoid(z))**2*(2*sigmoid(z)*log(sigmoid(z)) + sigmoid(z) - 1)",
        "z",
        jax=Counterpart("optax.losses.sigmoid_focal_loss", ("z", "1"), {"gamma": 2.0}),
        source="arXiv:1708.02002",
        variant="gamma = 2, no class weight",
    ),
    KnownClaim(
        "hinge loss",
        "Max(0, 1 - s*t)",
        "where(s*t < 1, -t, 0)",
        "s",
        jax=Counterpart("optax.losses.hinge_loss", ("s", "t")),
    ),
    KnownClaim(
        "hinge loss with margin", "Max(0, m - s*t)", "where(s*t < m, -t, 0)", "s", {"m": "positive"}
    ),
    KnownClaim("squared hinge loss", "Max(0, 1 - s*t)**2", "-2*t*Max(0, 1 - s*t)", "s"),
    KnownClaim(
        "perceptron loss",
        "Max(0, -s*t)",
        "where(s*t < 0, -t, 0)",
        "s",
        jax=Counterpart("optax.losses.perceptron_loss", ("s", "t")),
    ),
    KnownClaim("exponential loss", "exp(-s*t)", "-t*exp(-s*t)", "s"),
    KnownClaim("logistic loss of a margin", "log(1 + exp(-s*t))", "-t/(1 + exp(s*t))", "s"),
    KnownClaim(
        "contrastive loss",
        "y*d**2 + (1 - y)*Max(0, m - d)**2",
        "2*y*d - 2*(1 - y)*Max(0, m - d)",
        "d",
        {"d": "positive", "m": "positive"},
    ),
    KnownClaim(
        "cosine distance of two",
        f"1 - (a1*b1 + a2*b2)/{_LENGTHS}",
        f"a1*(a1*b1 + a2*b2)/((a1**2 + a2**2)*{_LENGTHS}) - b1/{_LENGTHS}",
        "a1",
        jax=Counterpart("optax.losses.cosine_distance", (("a1", "a2"), ("b1", "b2"))),
    ),
    KnownClaim(
        "soft dice loss of two",
        "1 - 2*(p1*y1 + p2*y2)/(p1 + p2 + y1 + y2)",
        "2*(p1*y1 + p2*y2)/(p1 + p2 + y1 + y2)**2 - 2*y1/(p1 + p2 + y1 + y2)",
        "p1",
        {"p1": "probability", "p2": "probability", "y1": "probability", "y2": "probability"},
    ),
)

LIKELIHOODS = (
    KnownClaim(
        "Poisson NLL, wrt rate",
        "lam - k*log(lam)",
        "1 - k/lam",
        "lam",
        {"lam": "positive", "k": "natural"},
        Counterpart("jax.scipy.stats.poisson.logpmf", ("k", "lam"), factor=-1),
        variant="up to log k!, which has no derivative",
    ),
    KnownClaim(
        "Poisson NLL, wrt log rate",
        "exp(eta) - k*eta",
        "exp(eta) - k",
        "eta",
    ),
    KnownClaim("normal NLL, wrt mean", _NORMAL_NLL, "(mu - y)/sigma**2", "mu", _SIGMA, _NORMAL),
    KnownClaim(
        "normal NLL, wrt scale",
        _NORMAL_NLL,
        "(sigma**2 - (y - mu)**2)/sigma**3",
        "sigma",
        _SIGMA,
        _NORMAL,
    ),
    KnownClaim(
        "normal NLL, wrt log variance",
        "u/2 + (y - mu)**2*exp(-u)/2 + log(2*pi)/2",
        "(1 - (y - mu)**2*exp(-u))/2",
        "u",
        variant="u = log(sigma**2)",
    ),
    KnownClaim(
        "Laplace NLL, wrt location",
        "log(2*b) + abs(y - mu)/b",
        "sign(mu - y)/b",
        "mu",
        {"b": "positive"},
        Counterpart("jax.scipy.stats.laplace.logpdf", ("y", "mu", "b"), factor=-1),
    ),
    KnownClaim(
        "Cauchy NLL, wrt location",
        "log(pi*b) + log(1 + ((y - mu)/b)**2)",
        "2*(mu - y)/(b**2 + (y - mu)**2)",
        "mu",
        {"b": "positive"},
        Counterpart("jax.scipy.stats.cauchy.logpdf", ("y", "mu", "b"), factor=-1),
    ),
    KnownClaim("KL of normals, wrt first mean", _KL_NORMALS, "(m1 - m2)/s2**2", "m1", _SCALES),
    KnownClaim("KL of normals, wrt second mean", _KL_NORMALS, "(m2 - m1)/s2**2", "m2", _SCALES),
    KnownClaim("KL of normals, wrt first scale", _KL_NORMALS, "s1/s2**2 - 1/s1", "s1", _SCALES),
    KnownClaim(
        "KL of normals, wrt second scale",
        _KL_NORMALS,
        "(s2**2 - s1**2 - (m1 - m2)**2)/s2**3",
        "s2",
        _SCALES,
    ),
    KnownClaim(
        "KL to the standard normal, wrt scale",
        "-(1 + log(sigma**2) - mu**2 - sigma**2)/2",
        "sigma - 1/sigma",
        "sigma",
        _SIGMA,
        source="arXiv:1312.6114",
    ),
    KnownClaim(
        "KL of Bernoullis, wrt first",
        _KL_BERNOULLI,
        "log(p/(1 - p)) - log(q/(1 - q))",
        "p",
        _BOTH_PROBABILITIES,
        _KL_COUNTERPART,
    ),
    KnownClaim(
        "KL of Bernoullis, wrt second",
        _KL_BERNOULLI,
        "(q - p)/(q*(1 - q))",
        "q",
        _BOTH_PROBABILITIES,
        _KL_COUNTERPART,
    ),
    KnownClaim(
        "entropy of a Bernoulli",
        "-p*log(p) - (1 - p)*log(1 - p)",
        "log((1 - p)/p)",
        "p",
        _PROBABILITY,
    ),
)

PENALTIES = (
    KnownClaim("L1 penalty", "lam*(abs(w1) + abs(w2))", "lam*sign(w1)", "w1"),
    KnownClaim("L2 penalty", "lam*(w1**2 + w2**2)", "2*lam*w1", "w1", variant="without 1/2"),
    KnownClaim("half L2 penalty", "lam/2*(w1**2 + w2**2)", "lam*w1", "w1", variant="with 1/2"),
    KnownClaim(
        "elastic net",
        "lam*(a*(abs(w1) + abs(w2)) + (1 - a)/2*(w1**2 + w2**2))",
        "lam*(a*sign(w1) + (1 - a)*w1)",
        "w1",
        {"a": "probability"},
    ),
    KnownClaim(
        "norm, eps inside the root",
        "sqrt(w1**2 + w2**2 + eps)",
        "w1/sqrt(w1**2 + w2**2 + eps)",
        "w1",
        {"eps": "positive"},
        variant="eps inside the root",
    ),
    KnownClaim(
        "norm, eps outside the root",
        "sqrt(w1**2 + w2**2) + eps",
        "w1/sqrt(w1**2 + w2**2)",
        "w1",
        {"eps": "positive"},
        variant="eps outside the root",
    ),
)

UPDATES = (
    KnownClaim(
        "Adam step, eps outside the root",
        "eta*m/(sqrt(v) + eps)",
        "-eta*m/(2*sqrt(v)*(sqrt(v) + eps)**2)",
        "v",
        _ADAM,
        source="arXiv:1412.6980",
        variant="eps outside the root",
    ),
    KnownClaim(
        "Adam step, eps inside the root",
        "eta*m/sqrt(v + eps)",
        "-eta*m/(2*(v + eps)*sqrt(v + eps))",
        "v",
        _ADAM,
        variant="eps inside the root",
    ),
    KnownClaim(
        "momentum step as a sum",
        "w - eta*(beta*m + (w - y))",
        "1 - eta",
        "w",
        variant="m = beta m + g",
    ),
    KnownClaim(
        "momentum step as an average",
        "w - eta*(beta*m + (1 - beta)*(w - y))",
        "1 - eta*(1 - beta)",
        "w",
        variant="m = beta m + (1 - beta) g",
    ),
    KnownClaim(
        "clipped surrogate",
        "-Min(r*A, clip(r, 1 - e, 1 + e)*A)",
        "where(A >= 0, where(r < 1 + e, -A, 0), where(r > 1 - e, -A, 0))",
        "r",
        {"r": "positive", "e": "probability"},
        source="arXiv:1707.06347",
        supported_because="the proof by cases does not reach the signs of A times r - 1 - e",
    ),
)

LOSSES = REGRESSION + CLASSIFICATION + LIKELIHOODS + PENALTIES + UPDATES
