"""Laws: a line is checked by SymPy, a wrong one is not, and values need every symbol."""

import pytest
import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.theory.law import Law, Line

t, a = sp.symbols("t a", positive=True)
AREA = Line("area", sp.Integral(sp.exp(-a * t), (t, 0, sp.oo)), 1 / a)


def test_a_line_is_kept_as_it_is_read_and_checked():
    assert AREA.holds()
    assert str(AREA) == "area: Integral(exp(-a*t), (t, 0, oo)) = 1/a"
    assert not Line("area", AREA.left, 2 / a).holds()


def test_a_long_left_side_is_checked_and_a_short_one_printed():
    line = Line("slope", sp.diff(sp.sin(t) ** 2 + sp.cos(t) ** 2, t), sp.Integer(0), sp.Symbol("R"))
    assert line.holds()
    assert line.latex() == "R = 0"


def test_a_law_has_a_value_where_every_symbol_has_one():
    law = Law("area", sp.Symbol("A"), 1 / a, "a > 0", (AREA,), "exponentials")
    assert law.at(a=4) == 0.25
    assert law.latex() == r"A = \frac{1}{a} \quad (a > 0)"
    assert law.text().splitlines()[0] == "area (a > 0)"
    for wrong in ({}, {"b": 1}, {"a": 1, "b": 1}):
        with pytest.raises(UsageError, match="is a formula in a, not in"):
            law.at(**wrong)
