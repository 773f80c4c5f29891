"""What a scalar function of the vocabulary is: one row of a table, and the SymPy class made of it.

The law of the file: a class knows nothing that its row does not say.  Its derivative, special
values, sign, printing and evaluation are read from the row, so a row that is right is enough.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from types import SimpleNamespace
from typing import Any, ClassVar

import sympy as sp
from sympy.printing.printer import Printer

from diffkit.core.domain import Domain

Rule = Callable[..., sp.Expr]
REALS = Domain()

#: The classes by name, as attributes: rows refer to each other as `v.sigmoid(x)`.
#: Rows are functions, so the look-up happens after all classes exist.
v = SimpleNamespace()


@dataclass(frozen=True)
class Kink:
    """A place where a function is not smooth.

    Args:
        zero: Expression whose zero is the place.
        left: One-sided derivative of order `order` where the first argument grows towards it.
        right: The same from the other side.
        order: Lowest order of the derivative that jumps; 0 where the value itself jumps.
    """

    zero: sp.Expr
    left: sp.Expr
    right: sp.Expr
    order: int = 1


@dataclass(frozen=True)
class Row:
    r"""One scalar function $f(x_1, \ldots, x_k)$; trailing arguments may have defaults.

    Args:
        name: Name in every layer, and of the SymPy class.
        definition: SymPy arguments -> the defining elementary expression.
        derivatives: One rule per argument, closed in terms of the function itself where possible.
        stable: The definition arranged so that nothing cancels, in terms of expm1, log1p, erfc
            and other rows; None where the definition already is.
        arity: Number of arguments, defaults included.
        defaults: Exact values of the last arguments.
        kinks: SymPy arguments -> where the function is not smooth in its first argument.
        domain: One set per argument on which the definition is real and finite.
        range: A set that holds every value on the domain at the default arguments.
        values: Exact values: ((arguments), value).
        is_piecewise_rational: Whether rational arguments give a rational value.
        convention: Value of the derivative's `step` at a kink; None where there is none.
        latex: LaTeX of the function's name.
        jax: Dotted name of the JAX (or Optax) counterpart, "" if there is none.
        jax_names: Parameter names under which JAX takes the last arguments.
        jax_kwargs: Fixed keyword arguments that make the counterpart this function.
        aliases: Other names the parser accepts.
    """

    name: str
    definition: Rule
    derivatives: tuple[Rule, ...]
    stable: Rule | None = None
    arity: int = 1
    defaults: tuple[sp.Expr, ...] = ()
    kinks: Callable[..., tuple[Kink, ...]] = lambda *_: ()
    domain: tuple[Domain, ...] = ()
    range: Domain = REALS
    values: tuple[tuple[tuple[Any, ...], Any], ...] = ()
    is_piecewise_rational: bool = False
    convention: sp.Expr | None = None
    latex: str = ""
    jax: str = ""
    jax_names: tuple[str, ...] = ()
    jax_kwargs: tuple[tuple[str, Any], ...] = ()
    aliases: tuple[str, ...] = ()
    table: dict[tuple[sp.Expr, ...], sp.Expr] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the number of rules and fill in what follows from the other fields."""
        if len(self.derivatives) != self.arity:
            raise ValueError(
                f"row {self.name}: {len(self.derivatives)} derivatives, {self.arity} arguments"
            )
        fill = object.__setattr__
        fill(self, "domain", self.domain or (REALS,) * self.arity)
        escaped = self.name.replace("_", r"\_")
        fill(self, "latex", self.latex or rf"\operatorname{{{escaped}}}")
        table = {
            tuple(sp.sympify(arg, strict=True) for arg in args): sp.sympify(value, strict=True)
            for args, value in self.values
        }
        fill(self, "table", table)

    @property
    def min_arity(self) -> int:
        """Number of arguments without a default."""
        return self.arity - len(self.defaults)


class ScalarFunction(sp.Function):
    """Base of all classes of the vocabulary; an instance always carries all its arguments."""

    row: ClassVar[Row]

    def __new__(cls, *args: Any, **options: Any) -> sp.Basic:
        """Apply the function, with defaults for the arguments left out."""
        missing = cls.row.arity - len(args)
        if 0 < missing <= len(cls.row.defaults):
            args += cls.row.defaults[-missing:]
        return super().__new__(cls, *args, **options)

    @classmethod
    def eval(cls, *args: sp.Expr) -> sp.Expr | None:
        """Exact value at special arguments; None leaves the function as it is."""
        if sp.nan in args or sp.zoo in args:
            return sp.nan
        if args in cls.row.table:
            return cls.row.table[args]
        if cls.row.is_piecewise_rational and all(map(_is_plain, args)):
            return cls.row.definition(*args).doit()
        return None

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Partial derivative in terms of the vocabulary."""
        if not 1 <= argindex <= len(self.args):
            raise sp.core.function.ArgumentIndexError(self, argindex)
        return self.row.derivatives[argindex - 1](*self.args)

    def _eval_is_extended_real(self) -> bool | None:
        return self._eval_is_real()

    def _eval_is_real(self) -> bool | None:
        return True if self._is_inside_domain() else None

    def _eval_is_finite(self) -> bool | None:
        return True if self._is_inside_domain() else None

    def _eval_is_extended_positive(self) -> bool | None:
        low, is_open = self.row.range.low, self.row.range.open_low
        return True if self._has_range() and (low > 0 or (low == 0 and is_open)) else None

    def _eval_is_extended_nonnegative(self) -> bool | None:
        return True if self._has_range() and self.row.range.low >= 0 else None

    def _eval_is_extended_negative(self) -> bool | None:
        high, is_open = self.row.range.high, self.row.range.open_high
        return True if self._has_range() and (high < 0 or (high == 0 and is_open)) else None

    def _has_range(self) -> bool:
        count = len(self.row.defaults)
        has_defaults = not count or self.args[-count:] == self.row.defaults
        return has_defaults and self._is_inside_domain()

    def _is_inside_domain(self) -> bool:
        pairs = zip(self.args, self.row.domain, strict=True)
        return all(_is_known_inside(arg, domain) for arg, domain in pairs)

    def _eval_evalf(self, prec: int) -> sp.Expr | None:
        from diffkit.symbolic.evaluation import evaluate_at_precision  # it evaluates rows

        if self.free_symbols:
            return None
        return evaluate_at_precision(self, prec)

    def _shown_args(self) -> tuple[sp.Expr, ...]:
        """The arguments without trailing defaults."""
        shown = list(self.args)
        for default in reversed(self.row.defaults):
            if shown[-1] != default:
                break
            shown.pop()
        return tuple(shown)

    def _sympystr(self, printer: Printer) -> str:
        return f"{self.row.name}({', '.join(map(printer._print, self._shown_args()))})"

    def _latex(self, printer: Printer, exp: str | None = None) -> str:
        power = f"^{{{exp}}}" if exp is not None else ""
        inside = ", ".join(map(printer._print, self._shown_args()))
        return rf"{self.row.latex}{power}\left({inside}\right)"


def make_function(row: Row) -> type[ScalarFunction]:
    """Make the SymPy class of `row` and let other rows find it as `v.<name>`."""
    namespace = {
        "row": row,
        "nargs": row.arity,
        "__doc__": f"{row.name}, as its row in the vocabulary defines it.",
        "__module__": "diffkit.symbolic.vocabulary",  # where pickle looks it up
    }
    made = type(row.name, (ScalarFunction,), namespace)
    setattr(v, row.name, made)
    return made


def _is_plain(arg: sp.Expr) -> bool:
    """Whether SymPy compares this number with a rational at no cost."""
    return bool(arg.is_Rational or arg.is_NumberSymbol)


def _is_known_inside(arg: sp.Expr, domain: Domain) -> bool:
    """Whether the assumptions of `arg` already say that it lies in `domain`."""
    if domain.is_real_line:
        return bool(arg.is_real)
    if arg.is_Rational:
        return domain.contains(arg)
    if isinstance(arg, ScalarFunction) and arg._has_range():
        return _holds(domain, arg.row.range)
    if domain.high == inf:
        gap = arg - sp.Rational(domain.low)
        return bool(gap.is_positive if domain.open_low else gap.is_nonnegative)
    return False


def _holds(outer: Domain, inner: Domain) -> bool:
    """Whether the interval `inner` is part of `outer`."""
    low = inner.low > outer.low or (
        inner.low == outer.low and (inner.open_low or not outer.open_low)
    )
    high = inner.high < outer.high or (
        inner.high == outer.high and (inner.open_high or not outer.open_high)
    )
    return low and high
