"""The symbols of every formula: made in one place, so that one name always means one object.

SymPy tells symbols apart by name *and* assumptions: `Symbol("x")` and `Symbol("x", real=True)`
are different and do not cancel.  Every module makes its symbols here.
"""

from functools import lru_cache

import sympy as sp


@lru_cache(maxsize=4096)
def symbol(name: str, *, integer: bool = False) -> sp.Symbol:
    """Return the real (or integer) symbol called `name`.

    Args:
        name: Any non-empty name; "alpha_1" prints with a subscript.
        integer: Whether it only takes whole numbers (an index, a size).

    >>> symbol("x") is symbol("x"), symbol("x").is_real, symbol("n", integer=True).is_integer
    (True, True, True)
    """
    if integer:
        return sp.Symbol(name, integer=True)
    return sp.Symbol(name, real=True)
