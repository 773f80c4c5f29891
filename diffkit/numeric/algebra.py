"""The numbers a formula can be evaluated over, and the scalar functions they share.

One walker (`diffkit.bridge.interpret`) evaluates one formula over floats, mpmath numbers,
germs of balls or values with a running error bound; each kind of number is an `Algebra`.
A function has ONE name in every layer; its arity stands here, its meaning in each algebra.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

from diffkit.core.errors import UnsupportedFunction

Relation = str  # one of RELATIONS
RELATIONS = ("lt", "le", "gt", "ge", "eq", "ne")
Exact = Fraction | int | float
Number = Any

#: Function name -> (least, greatest) number of arguments; missing arguments have defaults.
ARITY: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        "exp expm1 exp2 log log1p log2 log10 sqrt rsqrt cbrt square abs sign floor ceil round "
        "trunc sin cos tan cot sec csc asin acos atan sinh cosh tanh coth sech csch asinh acosh "
        "atanh erf erfc erfi erfinv erfcinv lgamma digamma gamma lambertw bessel_i0e bessel_i1e "
        "sigmoid softplus log_sigmoid relu relu6 selu gelu gelu_tanh silu swish mish softsign "
        "hard_tanh hard_sigmoid hard_swish entr log_cosh logit sinc "
        "normal_pdf normal_cdf log_normal_cdf expm1_over cosm1_over".split(),
        (1, 1),
    ),
    **dict.fromkeys(
        "atan2 logaddexp xlogy xlog1py hypot prelu rem mod pow polygamma".split(), (2, 2)
    ),
    **dict.fromkeys("leaky_relu elu celu squareplus step huber".split(), (1, 2)),
    "max": (1, 64),
    "min": (1, 64),
}

#: What a missing second argument means.
DEFAULTS: dict[str, Fraction] = {
    "leaky_relu": Fraction(1, 100),
    "elu": Fraction(1),
    "celu": Fraction(1),
    "squareplus": Fraction(4),
    "step": Fraction(0),
    "huber": Fraction(1),
}

NAMED = ("pi", "E", "EulerGamma")


class Algebra(Protocol):
    """A kind of number: constants, named constants, functions and comparisons.

    The numbers themselves carry `+ - * / ** -x`.
    """

    def constant(self, value: Exact) -> Number:
        """Return the number equal to `value`; a float counts with its binary value."""
        ...

    def named(self, name: str) -> Number:
        """Return "pi", "E" or "EulerGamma"."""
        ...

    def function(self, name: str) -> Callable[..., Number]:
        """Return the function called `name`.

        Raises:
            UnsupportedFunction: the algebra has no such function.
        """
        ...

    def power(self, base: Number, exponent: Fraction) -> Number:
        """Return base**exponent for an exact rational exponent (real branch)."""
        ...

    def truth(self, relation: Relation, a: Number, b: Number) -> Any:
        """Decide `a relation b`.

        Raises:
            Undecidable: the numbers are not known well enough.
        """
        ...

    def is_finite(self, value: Number) -> Any:
        """Whether `value` is neither infinite nor nan."""
        ...

    def integer(self, value: Number) -> int:
        """Return `value` rounded toward zero.

        Raises:
            Undecidable: the number is not known well enough.
        """
        ...

    def select(self, condition: Any, if_true: Number, if_false: Number) -> Number:
        """Return `if_true` where `condition` holds, else `if_false`."""
        ...


def with_defaults(name: str, arguments: tuple[Number, ...], algebra: Algebra) -> tuple[Number, ...]:
    """Return `arguments` completed by the default of the last one.

    Raises:
        UnsupportedFunction: unknown name or a number of arguments outside its arity.
    """
    if name not in ARITY:
        raise unsupported(name, type(algebra).__name__)
    least, greatest = ARITY[name]
    if not least <= len(arguments) <= greatest:
        wanted = str(least) if least == greatest else f"{least} to {greatest}"
        raise UnsupportedFunction(f"{name} takes {wanted} arguments, not {len(arguments)}")
    if len(arguments) < greatest and name in DEFAULTS:
        return (*arguments, algebra.constant(DEFAULTS[name]))
    return arguments


def unsupported(name: str, algebra: str) -> UnsupportedFunction:
    """The error for a function without a row; the message names the remedy."""
    return UnsupportedFunction(
        f"{algebra} has no function {name!r}; rewrite it with functions of "
        "diffkit.numeric.algebra.ARITY, or add a row there and in the algebra's own table"
    )
