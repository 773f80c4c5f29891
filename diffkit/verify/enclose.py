"""The value of a formula at an exact point, as a ball."""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from diffkit.bridge.interpret import interpret_expression
from diffkit.numeric import balls
from diffkit.numeric.algebra import ARITY
from diffkit.numeric.balls import Enclosure
from diffkit.numeric.germs import GermAlgebra
from diffkit.symbolic.vocabulary import ScalarFunction
from diffkit.verify.question import Expr


def enclose_value(
    expr: Expr, point: Mapping[str, Fraction], ladder: tuple[int, ...] = balls.LADDER
) -> Enclosure:
    """The value of an expression at an exact point, as a ball.

    Raises:
        Singular: the value is infinite or does not exist.
        Undecidable: no precision decides a comparison inside it.
    """

    def attempt(bits: int) -> Any:
        algebra = GermAlgebra(1, 0, bits)
        env = {name: algebra.constant(value) for name, value in point.items()}
        return algebra.derivative(algebra.lifted(interpret_expression(ready, env, algebra)), 0)

    ready = grounded(expr, point)
    return balls.enclose(attempt, ladder=ladder)


def grounded(expr: Expr, point: Mapping[str, Fraction]) -> Expr:
    """`expr` as the numbers can evaluate it at `point`.

    Whole-number symbols become their values, because the bounds of a sum count with them.
    """
    known = written_out(expr)
    whole = {s: int(point[s.name]) for s in known.free_symbols if s.is_integer and s.name in point}
    return known.subs(whole) if whole else known


@lru_cache(maxsize=512)
def written_out(expr: Expr) -> Expr:
    """`expr` with the functions of the vocabulary that `numeric` has no row for, by definition.

    A row of `numeric` with another number of arguments is another function.
    """
    foreign = {
        call: call.row.definition(*map(written_out, call.args))
        for call in expr.atoms(ScalarFunction)
        if ARITY.get(call.row.name) != (call.row.min_arity, call.row.arity)
    }
    return expr.xreplace(foreign) if foreign else expr
