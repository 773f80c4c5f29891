r"""The names of LaTeX formulas: which commands are letters, which words are functions.

Functions come from `symbolic.names` (scalar) and `array_functions` (arrays); this module knows
only how papers spell them.
"""

from collections.abc import Iterable, Mapping

from diffkit.symbolic.names import CALLEES
from diffkit.tensor.notation.array_functions import ARRAY_FUNCTIONS, function_named
from diffkit.tensor.notation.syntax import Token

#: Commands that are letters.
GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau "
    "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell "
    "hbar imath jmath aleph".split()
)
#: Commands that are functions, by their names here.
COMMANDS: Mapping[str, str] = {
    **{name: name for name in "sin cos tan cot sec csc sinh cosh tanh coth exp log".split()},
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "det": "det",
    "max": "max",
    "min": "min",
    "sgn": "sign",
    "lg": "log10",
}
#: Words that are functions under another name here.
_WORDS: Mapping[str, str] = {
    "Diag": "diag",
    "diagonal": "diag",
    "LSE": "logsumexp",
    "lse": "logsumexp",
    "Relu": "relu",
    "RELU": "relu",
    "LeakyReLU": "leaky_relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Swish": "swish",
    "ELU": "elu",
    "SELU": "selu",
    "Softmax": "softmax",
    "SoftMax": "softmax",
    "logsoftmax": "log_softmax",
    "lsm": "log_softmax",
    "vect": "vec",
    "Vec": "vec",
    "unvec": "mat",
    "chol": "cholesky",
    "Chol": "cholesky",
    "logdet": "logdet",
    "Sym": "sym",
    "symm": "sym",
    "adjugate": "adj",
    "erfcx": "",
    "arg": "",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "signum": "sign",
    "Tr": "trace",
    "tr": "trace",
    "abs": "Abs",
}
#: Commands that papers define for words.
MACROS = frozenset(
    "tr Tr trace diag Diag sign softmax Softmax relu ReLU sigmoid softplus vec mat erf logdet "
    "logsumexp LSE adj sym skew expm arcsinh arccosh arctanh sech csch".split()
)
#: Letters that are functions before a parenthesis unless an input has their name.
LETTER_FUNCTIONS: Mapping[str, str] = {
    "sigma": "sigmoid",
    "Phi": "Phi",
    "Gamma": "gamma",
    "psi": "digamma",
}
#: Functions that take what stands beside them without parentheses: \sin 2x, \mathrm{tr} AB.
LOOSE = frozenset("sin cos tan cot sec csc sinh cosh tanh coth exp log log10 trace".split())
#: Big operators.
BIG: Mapping[str, str] = {"sum": "sum", "prod": "prod"}
#: Decorations of a letter.
ACCENTS = frozenset("hat bar tilde dot ddot check breve acute grave mathring".split())
#: Commands that say something a formula of arrays cannot.
REFUSED: Mapping[str, str] = {
    "partial": "a derivative only stands on the left of =; give its value",
    "nabla": "a gradient only stands on the left of =; give its value",
    "mathrm d": "a differential is not read; give the gradient",
    "int": "an integral is not read; give its value",
    "infty": "infinity is only read as the index of a norm",
    "dots": "dots are not read; write the sum with \\sum",
    "ldots": "dots are not read; write the sum with \\sum",
    "cdots": "dots are not read; write the sum with \\sum",
    "pm": "two formulas in one: write + or -",
    "mp": "two formulas in one: write + or -",
    "in": "membership is not read; a sum runs over a whole axis: \\sum_{i=1}^n",
    "sim": "distributions are not read",
    "propto": "a claim is an equation; give the factor",
    "approx": "a claim is exact; give the exact value",
    "argmax": "an index is no value that can be differentiated",
    "argmin": "an index is no value that can be differentiated",
    "arg": "an index is no value that can be differentiated",
    "lim": "a limit is not read; give its value",
    "sup": "write \\max",
    "inf": "write \\min",
    "middle": "leave \\middle out",
    "to": "an arrow is not read; one formula at a time",
    "leftarrow": "an update is not read; give the gradient itself",
    "rightarrow": "an arrow is not read; one formula at a time",
    "Rightarrow": "an arrow is not read; one formula at a time",
    "label": "leave labels out",
    "tag": "leave tags out",
    "over": "write \\frac{a}{b}",
    "choose": "write \\binom{n}{k}",
    "input": "a formula reads no files",
    "include": "a formula reads no files",
    "def": "a formula defines nothing",
    "newcommand": "a formula defines nothing",
    "href": "a formula has no links",
    "top": "\\top is written raised: X^\\top",
}


def function_of_word(word: str) -> str:
    r"""The function a word such as \mathrm{softmax} names, "" if none.

    >>> function_of_word("ReLU"), function_of_word("log-softmax"), function_of_word("foo")
    ('ReLU', 'log_softmax', '')
    """
    plain = word.replace("-", "_").replace(" ", "_")
    if plain in _WORDS:
        return _WORDS[plain]
    is_function = plain in ARRAY_FUNCTIONS or plain in CALLEES or function_named(plain)
    return plain if plain == "mat" or is_function else ""


def spelled(token: Token) -> str:
    r"""A token as part of a name: \theta is theta."""
    return token.text.replace(" ", "_").replace("-", "_")


def candidates(base: str, suffix: str = "") -> tuple[str, ...]:
    """The names of Python that a name in a formula may have.

    >>> candidates("W", "1")
    ('W_1', 'W1', 'W_1_', 'W1_')
    """
    joined = (f"{base}_{suffix}", f"{base}{suffix}") if suffix else (base,)
    names = [*joined, *(name + "_" for name in joined)]
    if base == "lambda":
        names += [f"{other}{suffix}" for other in ("lamda", "lam")]
    return tuple(names)


def accented(accent: str, base: str) -> tuple[str, ...]:
    """The names an accented letter may have: x_hat, xhat, hat_x."""
    return (f"{base}_{accent}", f"{base}{accent}", f"{accent}_{base}", f"{accent}{base}")


def first_known(names: Iterable[str], known: Iterable[str]) -> str | None:
    """The first of the names that is known."""
    have = set(known)
    return next((name for name in names if name in have), None)
