"""The float table against the mpmath table: same names, same values."""

import numpy as np
import pytest

from diffkit.core.errors import UnsupportedFunction
from diffkit.numeric.algebra import ARITY
from diffkit.numeric.floating import FUNCTIONS, FloatAlgebra
from diffkit.numeric.germs import GermAlgebra
from diffkit.numeric.precise import MpAlgebra

_POINTS = (-20.0, -1.5, -0.4, 0.0, 1e-9, 0.4, 1.5, 20.0)


@pytest.mark.parametrize("name", sorted(ARITY))
def test_floats_agree_with_forty_digits(name: str):
    floats, precise = FloatAlgebra().function(name), MpAlgebra(40).function(name)
    for x in _POINTS:
        rest = (0.75,) if ARITY[name][0] == 2 else ()
        arguments = (2.0, abs(x) + 0.5) if name == "polygamma" else (x, *rest)
        found, expected = float(floats(*arguments)), float(precise(*arguments))
        if np.isnan(expected) or np.isinf(expected):
            assert not np.isfinite(found), (name, x)
        else:
            assert abs(found - expected) <= 1e-13 * max(abs(expected), 1e-2), (name, x)


def test_every_algebra_has_every_function():
    names = set(ARITY)
    assert names <= set(FUNCTIONS)
    assert names <= set(GermAlgebra.rules)


def test_arrays_are_mapped_entry_by_entry():
    x = np.array([-1.0, 0.0, 2.0])
    algebra = FloatAlgebra()
    assert algebra.function("relu")(x).tolist() == [0.0, 0.0, 2.0]
    assert algebra.select(algebra.truth("gt", x, 0), x, -x).tolist() == [1.0, 0.0, 2.0]


def test_an_unknown_function_is_refused_by_name():
    with pytest.raises(UnsupportedFunction, match="nosuch"):
        FloatAlgebra().function("nosuch")
