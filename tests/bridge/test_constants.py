"""Which exact number a float stands for."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from diffkit.bridge.constants import TABLE, read, simplest_between

WRITTEN = (
    "1/10",
    "1/3",
    "2/3",
    "1/7",
    "0.044715",
    "0.01",
    "0.00001",
    "3",
    "0.5",
    "123.456",
    "1e-8",
    "0.9999",
)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("text", WRITTEN)
def test_a_constant_people_write_comes_back_exactly(text, dtype):
    exact = Fraction(text)
    value = float(np.dtype(dtype).type(float(exact)))
    assert read(value, dtype).value == sp.Rational(exact.numerator, exact.denominator)
    assert read(-value, dtype).value == -sp.Rational(exact.numerator, exact.denominator)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("constant", TABLE, ids=str)
def test_a_tabled_constant_comes_back_exactly(constant, dtype):
    value = float(np.dtype(dtype).type(float(constant.evalf(40))))
    assert read(value, dtype).value == constant


@given(st.floats(min_value=1e-30, max_value=1e30, allow_nan=False))
def test_what_is_read_rounds_to_the_float(value):
    found = read(value, "float64").value
    assert value in (float(found), 1.0 - float(1 - found))


@given(st.floats(min_value=2.0**-60, max_value=2.0**60, width=32))
def test_what_is_read_rounds_to_the_single_precision_float(value):
    assert float(np.float32(float(read(value, "float32").value))) == value


def test_a_constant_of_all_digits_is_not_taken_for_a_short_one():
    # 17 digits of a number that is in no table: no rational of few digits is near.
    assert read(0.7390851332151607, "float64").value.q > 10**6


@pytest.mark.parametrize("decay", ["0.9", "0.99", "0.999", "2/3"])
def test_one_minus_a_short_constant_is_read_as_such(decay):
    value = 1.0 - float(Fraction(decay))
    reading = read(value, "float64")
    assert reading.value == 1 - sp.Rational(decay)
    assert reading.note == f"{value!r} read as 1 - {sp.Rational(decay)}"
    # the next float is no such difference
    assert read(float(np.nextafter(value, 1)), "float64").value.q > 10**6


def test_an_inexact_reading_is_noted_and_an_exact_one_is_not():
    assert "1/10" in read(0.1, "float64").note
    assert read(0.5, "float64").note == ""


@pytest.mark.parametrize(("value", "exact"), [(np.inf, sp.oo), (-np.inf, -sp.oo), (np.nan, sp.nan)])
def test_what_is_no_number_stays_what_it_is(value, exact):
    assert read(value, "float32").value is exact


@given(st.fractions(0, 10), st.fractions(0, 1))
def test_no_fraction_of_smaller_denominator_lies_between(low, width):
    high = low + width
    found = simplest_between(low, high)
    assert low <= found <= high
    smaller = range(1, min(found.denominator, 200))
    assert not any(-(-low * q // 1) <= high * q // 1 for q in smaller)
