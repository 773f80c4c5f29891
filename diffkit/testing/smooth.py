r"""Smooth scalar functions whose derivative is known by construction.

A function is a small tree of operations.  Each operation knows its value and, from the values and
slopes of its operands, its slope: the pair (u, u') of forward mode, built with the function.  No
AD and no SymPy is involved, so that either may be tested against it.  Every operation is smooth
on the whole line and grows at most like a polynomial there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

#: The library the numbers belong to: `math`, `jax.numpy`, `mpmath`, ... with sin, cos, exp, ...
Library = Any
#: The binding strength of a text: a sum, a product, a power, an atom.
_SUM, _PRODUCT, _POWER, _ATOM = range(4)


@dataclass(frozen=True)
class Rule:
    """One operation.

    Args:
        text: The value as text; `{0}` and `{1}` are the operands.
        level: How strongly that text binds.
        needs: How strongly each operand must bind to stand without parentheses.
        value: (library, operands) -> value.
        slopes: (library, operands) -> the derivative by each operand.
        slope_texts: The same as text, a factor each; `{a}` and `{b}` are the operands as atoms.
    """

    text: str
    level: int
    needs: tuple[int, ...]
    value: Callable[..., Any]
    slopes: Callable[..., tuple[Any, ...]]
    slope_texts: tuple[str, ...]


RULES: Mapping[str, Rule] = {
    "sin": Rule(
        "sin({0})", _ATOM, (_SUM,), lambda m, u: m.sin(u), lambda m, u: (m.cos(u),), ("cos({0})",)
    ),
    "cos": Rule(
        "cos({0})",
        _ATOM,
        (_SUM,),
        lambda m, u: m.cos(u),
        lambda m, u: (-m.sin(u),),
        ("(-sin({0}))",),
    ),
    "tanh": Rule(
        "tanh({0})",
        _ATOM,
        (_SUM,),
        lambda m, u: m.tanh(u),
        lambda m, u: (1 / m.cosh(u) ** 2,),
        ("(1 - tanh({0})**2)",),
    ),
    "atan": Rule(
        "atan({0})",
        _ATOM,
        (_SUM,),
        lambda m, u: m.atan(u),
        lambda m, u: (1 / (1 + u * u),),
        ("1/(1 + {a}**2)",),
    ),
    "bell": Rule(
        "exp(-{0}**2)",
        _ATOM,
        (_ATOM,),
        lambda m, u: m.exp(-u * u),
        lambda m, u: (-2 * u * m.exp(-u * u),),
        ("(-2*{a}*exp(-{a}**2))",),
    ),
    # not 1/(1 + exp(-u)), whose gradient by AD is NaN where exp overflows
    "logistic": Rule(
        "(1 + tanh({0}/2))/2",
        _PRODUCT,
        (_POWER,),
        lambda m, u: (1 + m.tanh(u / 2)) / 2,
        lambda m, u: (1 / (2 + m.exp(u) + m.exp(-u)),),
        ("1/(2 + exp({0}) + exp(-{a}))",),
    ),
    "log_square": Rule(
        "log(1 + {0}**2)",
        _ATOM,
        (_ATOM,),
        lambda m, u: m.log(1 + u * u),
        lambda m, u: (2 * u / (1 + u * u),),
        ("2*{a}/(1 + {a}**2)",),
    ),
    "hyperbola": Rule(
        "sqrt(1 + {0}**2)",
        _ATOM,
        (_ATOM,),
        lambda m, u: m.sqrt(1 + u * u),
        lambda m, u: (u / m.sqrt(1 + u * u),),
        ("{a}/sqrt(1 + {a}**2)",),
    ),
    "square": Rule(
        "{0}**2", _POWER, (_ATOM,), lambda m, u: u * u, lambda m, u: (2 * u,), ("2*{a}",)
    ),
    "add": Rule(
        "{0} + {1}",
        _SUM,
        (_SUM, _PRODUCT),
        lambda m, u, v: u + v,
        lambda m, u, v: (1, 1),
        ("1", "1"),
    ),
    "subtract": Rule(
        "{0} - {1}",
        _SUM,
        (_SUM, _PRODUCT),
        lambda m, u, v: u - v,
        lambda m, u, v: (1, -1),
        ("1", "(-1)"),
    ),
    "multiply": Rule(
        "{0}*{1}",
        _PRODUCT,
        (_PRODUCT, _POWER),
        lambda m, u, v: u * v,
        lambda m, u, v: (v, u),
        ("{b}", "{a}"),
    ),
}
UNARY = tuple(name for name, rule in RULES.items() if len(rule.needs) == 1)
BINARY = tuple(name for name, rule in RULES.items() if len(rule.needs) == 2)


@dataclass(frozen=True)
class SmoothFunction:
    """A smooth function of a number x, its exact derivative, and both as text.

    It is a JAX function: `f(x)` with an array gives the array of values.

    Args:
        rule: Name of the operation; "x" for the variable, "constant" for a number.
        operands: What it is applied to.
        number: The number, for "constant"; a double.

    >>> f = of("multiply", X, of("sin", X))
    >>> print(f.source, "|", f.derivative_source)
    x*sin(x) | sin(x) + x*cos(x)
    """

    rule: str
    operands: tuple["SmoothFunction", ...] = ()
    number: float = 0.0

    def __call__(self, x: Any) -> Any:
        """The value, computed with `jax.numpy`."""
        import jax.numpy as jnp

        return self.value(jnp, x)

    @property
    def __name__(self) -> str:
        return "f"

    def derivative(self, x: Any) -> Any:
        """The derivative, computed with `jax.numpy` from its own formula: no AD runs."""
        import jax.numpy as jnp

        return self.pair(jnp, x)[1]

    def value(self, library: Library, x: Any) -> Any:
        """The value, computed with the functions of `library` (`math`, `mpmath`, `numpy`)."""
        if not self.operands:
            return x if self.rule == "x" else self.number
        values = [each.value(library, x) for each in self.operands]
        return RULES[self.rule].value(library, *values)

    def pair(self, library: Library, x: Any) -> tuple[Any, Any]:
        """Value and derivative, computed together with the functions of `library`."""
        if not self.operands:
            # 0*x and not 0: a constant has the shape of its argument
            return (x, 0 * x + 1) if self.rule == "x" else (self.number, 0 * x)
        pairs = [each.pair(library, x) for each in self.operands]
        values = [value for value, _ in pairs]
        rule = RULES[self.rule]
        slopes = rule.slopes(library, *values)
        terms = (outer * inner for outer, (_, inner) in zip(slopes, pairs, strict=True))
        return rule.value(library, *values), sum(terms)

    @property
    def source(self) -> str:
        """The function as formula text that diffkit, Python and SymPy read alike."""
        return self._text(_SUM)

    @property
    def derivative_source(self) -> str:
        """The derivative as formula text, term by term as the chain rule gives it."""
        return self._slope()[0]

    def _slope(self) -> tuple[str, int]:
        """The text of the derivative and how strongly it binds."""
        if not self.operands:
            return ("1" if self.rule == "x" else "0"), _ATOM
        texts = [each.source for each in self.operands]
        atoms = [each._text(_ATOM) for each in self.operands]
        held = dict(zip("ab", atoms, strict=False))
        terms = []
        for each, slope in zip(self.operands, RULES[self.rule].slope_texts, strict=True):
            inner, level = each._slope()
            outer = slope.format(*texts, **held)
            if inner != "0":
                terms.append(_times(outer, inner if level > _SUM else f"({inner})"))
        if len(terms) > 1:
            return " + ".join(terms), _SUM
        return terms[0] if terms else "0", _PRODUCT

    def _text(self, needed: int) -> str:
        if not self.operands:
            text, level = ("x", _ATOM) if self.rule == "x" else _number(self.number)
        else:
            rule = RULES[self.rule]
            needs = zip(self.operands, rule.needs, strict=True)
            text = rule.text.format(*(each._text(need) for each, need in needs))
            level = rule.level
        return text if level >= needed else f"({text})"


X = SmoothFunction("x")


def of(rule: str, *operands: SmoothFunction) -> SmoothFunction:
    """The operation `rule` applied to functions."""
    return SmoothFunction(rule, operands)


def constant(number: float) -> SmoothFunction:
    """A number; part of a function of x, hardly one by itself."""
    return SmoothFunction("constant", number=float(number))


def _number(number: float) -> tuple[str, int]:
    """A double as the exact fraction it is."""
    exact = Fraction(number)
    if exact.denominator == 1:
        return str(exact), _ATOM if exact >= 0 else _SUM
    return str(exact), _PRODUCT if exact >= 0 else _SUM


def _times(outer: str, inner: str) -> str:
    if inner == "1":
        return outer
    return inner if outer == "1" else f"{outer}*{inner}"


def depth(function: SmoothFunction) -> int:
    """How many operations lie between x and the result, at most."""
    return 1 + max(map(depth, function.operands)) if function.operands else 0


def operations(function: SmoothFunction) -> Sequence[str]:
    """The names of all operations, from the outside in."""
    inner = [name for each in function.operands for name in operations(each)]
    return [function.rule, *inner] if function.operands else inner
