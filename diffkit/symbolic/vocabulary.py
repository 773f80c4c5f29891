"""The vocabulary: every scalar function SymPy lacks, as SymPy classes made from a table.

`ROWS` is the table (`activations.py`, `elementary.py`, `special.py`), `FUNCTIONS` the classes by
every name they answer to.  A function not in this table and not SymPy's own does not exist for
diffkit.
"""

from collections.abc import Mapping

import sympy as sp
from sympy.core.function import ArgumentIndexError
from sympy.core.relational import Relational

from diffkit.core.errors import UnknownNameError
from diffkit.symbolic.activations import ACTIVATIONS
from diffkit.symbolic.elementary import ELEMENTARY
from diffkit.symbolic.evaluation import evaluate
from diffkit.symbolic.scalar_function import Kink, Row, ScalarFunction, make_function
from diffkit.symbolic.special import SPECIAL
from diffkit.symbolic.walk import nodes

__all__ = [
    "CONVENTIONS",
    "FUNCTIONS",
    "ROWS",
    "Kink",
    "Row",
    "ScalarFunction",
    "definition",
    "evaluate",
    "kinks",
    "partial",
]

ROWS: tuple[Row, ...] = ACTIVATIONS + ELEMENTARY + SPECIAL

_CLASSES = {row.name: make_function(row) for row in ROWS}

#: Class by name, aliases included.
FUNCTIONS: dict[str, type[ScalarFunction]] = {
    name: _CLASSES[row.name] for row in ROWS for name in (row.name, *row.aliases)
}

#: What a derivative is at a kink, by "<name>0": the value its `step` takes there.
CONVENTIONS: dict[str, sp.Expr] = {
    f"{row.name}0": row.convention for row in ROWS if row.convention is not None
}


def __getattr__(name: str) -> type[ScalarFunction]:
    """The class of a row as an attribute of this module, which is where pickle looks."""
    if name in _CLASSES:
        return _CLASSES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def partial(
    call: ScalarFunction, index: int, conventions: Mapping[str, sp.Expr | float] | None = None
) -> sp.Expr:
    r"""Return $\partial f/\partial x_i$ of a vocabulary function under chosen conventions.

    Args:
        call: A call such as `relu(x)`.
        index: Position of the argument, counted from 0.
        conventions: "<name>0" -> value of the derivative's step at the kink, in [0, 1];
            what is left out keeps the value in `CONVENTIONS`.

    Raises:
        UnknownNameError: a convention nobody has defined.

    >>> x = sp.Symbol("x", real=True)
    >>> partial(FUNCTIONS["relu"](x), 0, {"relu0": 1})
    step(x, 1)
    """
    chosen = dict(conventions or {})
    unknown = sorted(chosen.keys() - CONVENTIONS.keys())
    if unknown:
        known = ", ".join(sorted(CONVENTIONS))
        raise UnknownNameError(f"no convention is called {unknown[0]!r}; known: {known}")
    if not 0 <= index < len(call.args):
        raise ArgumentIndexError(call, index + 1)
    value = chosen.get(f"{call.row.name}0", call.row.convention)
    rule = call.row.derivatives[index]
    if value == call.row.convention:
        return rule(*call.args)
    # Through place-holders, so that a step inside an argument keeps its own value.
    holders = [sp.Dummy(real=True) for _ in call.args]
    step = FUNCTIONS["step"]
    changed = rule(*holders).replace(
        lambda node: isinstance(node, step) and node.args[1] == call.row.convention,
        lambda node: step(node.args[0], sp.nsimplify(value)),
    )
    return changed.xreplace(dict(zip(holders, call.args, strict=True)))


def definition(expr: sp.Basic) -> sp.Basic:
    """Return `expr` with every vocabulary function replaced by its elementary definition.

    >>> x = sp.Symbol("x", real=True)
    >>> definition(FUNCTIONS["sigmoid"](x))
    1/(1 + exp(-x))
    """
    done: dict[sp.Basic, sp.Basic] = {}
    for node in nodes(expr):
        args = tuple(done[arg] for arg in node.args)
        if isinstance(node, ScalarFunction):
            done[node] = node.row.definition(*args)
        else:
            done[node] = node.func(*args) if args != node.args else node
    return done[expr]


def kinks(expr: sp.Basic, x: sp.Symbol | None = None) -> tuple[sp.Expr, ...]:
    """Return the expressions at whose zeros `expr` may fail to be smooth.

    Args:
        expr: Any expression.
        x: Only those that depend on this symbol; None for all.

    >>> x = sp.Symbol("x", real=True)
    >>> kinks(sp.Abs(x - 1) + FUNCTIONS["relu"](2 * x), x)
    (x - 1, 2*x)
    """
    found: dict[sp.Expr, None] = {}
    for node in nodes(expr):
        for zero in _zeros(node):
            if not zero.is_number and (x is None or zero.has(x)):
                found.setdefault(zero)
    return tuple(found)


def _zeros(node: sp.Basic) -> tuple[sp.Expr, ...]:
    """Expressions at whose zeros this one node is not smooth in its own arguments."""
    if isinstance(node, ScalarFunction):
        return tuple(kink.zero for kink in node.row.kinks(*node.args))
    if isinstance(node, sp.Abs | sp.sign | sp.Heaviside):
        return (node.args[0],)
    if isinstance(node, sp.Max | sp.Min):
        args = node.args
        return tuple(args[i] - args[j] for j in range(len(args)) for i in range(j))
    if isinstance(node, sp.floor | sp.ceiling):
        return (sp.sin(sp.pi * node.args[0]),)
    if isinstance(node, Relational):
        return (node.lhs - node.rhs,)
    if isinstance(node, sp.Pow) and node.exp.is_Rational and not node.exp.is_Integer:
        return (node.base,) if node.exp > 0 else ()
    return ()
