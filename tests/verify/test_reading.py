"""What is said of a value at a point."""

import pytest
from flint import arb, ctx

from diffkit.numeric.balls import Enclosure
from diffkit.verify.reading import display


def enclosed(off: float = 0.0) -> Enclosure:
    """29/33 + off with 128 bits."""
    with ctx.workprec(128):
        ball = arb(29) / 33 + off
    return Enclosure.of(ball)


@pytest.mark.parametrize("ambient", [53, 64, 400])
def test_a_short_fraction_is_recognised_whatever_the_global_precision_is(ambient):
    with ctx.workprec(ambient):
        assert display(enclosed()) == "29/33"


def test_a_number_near_a_short_fraction_is_not_called_one():
    assert display(enclosed(off=2.0**-60)) == "0.8787879"


def test_a_number_beyond_every_double_has_seven_digits_and_no_bracket():
    with ctx.workprec(128):
        assert display(Enclosure.of(-(arb(10) ** 8685) * arb("1.25"))) == "-1.250000e+8685"
