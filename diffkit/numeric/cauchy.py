r"""Rigorous n-th derivatives by Cauchy's formula, for functions given on complex balls.

$$\frac{f^{(n)}(x)}{n!}
= \frac{1}{r^n} \int_0^1 f(x + r e^{2\pi i\theta}) e^{-2\pi i n\theta}\,d\theta$$

Used where python-flint knows a function on `acb` but has no series for it.
"""

from collections.abc import Callable
from math import factorial

from flint import acb, arb, ctx

from diffkit.core.errors import DomainError, Undecidable


def cauchy_derivative(
    f: Callable[[acb], acb], x: arb, order: int, radius: arb | float, *, bits: int = 128
) -> arb:
    """Enclose the derivative of order `order` of a function analytic in a disc.

    Args:
        f: Complex ball -> complex ball; it must give a non-finite ball on a disc where it is not
            analytic, as all functions of python-flint do at poles (not across branch cuts).
        x: The centre, real.
        order: n >= 0.
        radius: Radius r > 0 of a circle inside (and with it its disc) the domain of analyticity.
        bits: Working precision.

    Raises:
        DomainError: the radius is not positive.
        Undecidable: no finite enclosure (a singularity within the disc, or too few bits).

    >>> bool(cauchy_derivative(lambda z: z.exp(), arb(0), 3, 1.0).contains(1))
    True
    """
    if not radius > 0:
        raise DomainError(f"the circle needs a positive radius, not {radius}")
    coefficient = taylor_coefficient(f, x, order, radius, bits=bits)
    return coefficient * factorial(order)


def taylor_coefficient(
    f: Callable[[acb], acb], x: arb, order: int, radius: arb | float, *, bits: int = 128
) -> arb:
    """Enclose the Taylor coefficient f^(n)(x)/n!; arguments as `cauchy_derivative`."""
    previous = ctx.prec
    ctx.prec = bits
    try:
        disc = f(acb(arb(x.mid(), (x.rad() + arb(radius)).upper()), arb(0, arb(radius).upper())))
        if not disc.is_finite():
            raise Undecidable("the function is not bounded on the disc; use a smaller radius")

        def integrand(theta: acb, _: bool) -> acb:
            # entire in theta as long as f is analytic on the image, which finiteness of f attests
            turn = (2 * theta).exp_pi_i()
            return f(acb(x) + arb(radius) * turn) * (-2 * order * theta).exp_pi_i()

        found = acb.integral(integrand, acb(0), acb(1))
        if not found.is_finite():
            raise Undecidable("the Cauchy integral has no finite enclosure; use more bits")
        return found.real / arb(radius) ** order
    finally:
        ctx.prec = previous
