"""Spacings, distances and samples over exponents, against NumPy's own."""

from math import inf, nan, nextafter

import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.numeric.ulps import (
    FORMATS,
    distance,
    exponent_uniform,
    float_format,
    from_ordered,
    ordered,
    spacing,
)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_spacing_is_numpys(dtype: str):
    for x in (1.0, 1.5, 0.1, 3.0e-5, 1000.0, 0.0):
        value = np.dtype(dtype).type(x)
        assert spacing(float(value), dtype) == float(np.spacing(value))


def test_the_parameters_are_numpys():
    for name in ("float64", "float32", "float16"):
        info, form = np.finfo(name), FORMATS[name]
        assert form.tiny == float(info.tiny)
        assert form.largest == float(info.max)
        assert form.subnormal == float(info.smallest_subnormal)
        assert 2 * form.unit == float(info.eps)


def test_a_nan_agrees_with_nothing_and_infinities_with_themselves():
    assert distance(nan, nan) == inf
    assert distance(inf, inf) == 0
    assert distance(inf, 1.0) == inf
    assert distance(nextafter(1.0, 2.0), 1.0) == 1


def test_the_order_of_doubles_is_a_bijection_of_neighbours():
    for x in (-2.0, -1e-310, -0.0, 0.0, 5e-324, 0.1, 1e300):
        assert from_ordered(ordered(x)) == x
        assert ordered(nextafter(x, inf)) == ordered(x) + 1
    with pytest.raises(UsageError):
        ordered(nan)


def test_samples_cover_the_exponents_and_stay_inside():
    found = exponent_uniform(1e-20, 1.0, 2000, np.random.default_rng(0))
    assert all(1e-20 <= x <= 1.0 for x in found)
    assert 0.4 < np.mean(np.array(found) < 1e-10) < 0.6
    assert len(exponent_uniform(-inf, inf, 5, np.random.default_rng(0))) == 5


def test_an_integer_dtype_is_no_float_format():
    with pytest.raises(UsageError):
        float_format("int32")
