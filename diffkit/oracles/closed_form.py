"""The closed form: the lifted formula, differentiated by symbolic rules, evaluated in balls."""

from fractions import Fraction

import numpy as np

from diffkit.backend import compat
from diffkit.bridge.interpret import interpret_expression
from diffkit.bridge.lift import lift
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import UsageError
from diffkit.core.evidence import ErrorBound, Estimate
from diffkit.numeric import balls
from diffkit.numeric.germs import GermAlgebra, Singular

NAME = "closed form"
GROUP = "closed form"
#: A constant of the program is read as the simplest number that rounds to it; its derivative
#: then differs from the program's by about this much, relative.
CONSTANTS = 1e-9


def estimate(subject: Subject, probe: Probe, order: int = 1) -> Estimate:
    """The derivative of the lifted formula at the probe's point.

    Raises:
        UnsupportedPrimitive: the function cannot be lifted.
        UsageError: the probe asks about a direction, not about one entry.
    """
    with compat.x64():
        formula = lift(subject.renamed(subject.call), *subject.values)
    variable = subject.variable.replace(".", "_")
    slope = formula.nth(variable, order)
    point = _entry(subject, probe)

    def attempt(bits: int) -> object:
        algebra = GermAlgebra(1, 0, bits)
        env = {name: algebra.constant(value) for name, value in point.items()}
        return algebra.derivative(
            algebra.lifted(interpret_expression(slope.sympy(), env, algebra)), 0
        )

    try:
        found = balls.enclose(attempt)
    except Singular as singular:
        return Estimate(float("nan"), ErrorBound({"enclosure": 0.0}), note=singular.kind)
    read = CONSTANTS * abs(found.value) if formula.notes else 0.0
    return Estimate(
        found.value, ErrorBound({"enclosure": found.high - found.low, "constants": read})
    )


def _entry(subject: Subject, probe: Probe) -> dict[str, Fraction]:
    """The coordinates of the one entry an elementwise probe asks about."""
    shape = probe.tangent.shape
    asked = np.flatnonzero(np.ravel(probe.tangent))
    if (
        shape != probe.cotangent.shape
        or len(asked) != 1
        or not np.array_equal(probe.tangent, probe.cotangent)
    ):
        raise UsageError("a closed form answers about one entry of an elementwise function")
    place = np.unravel_index(asked[0], shape) if shape else ()
    return {
        name.replace(".", "_"): Fraction(float(np.broadcast_to(leaf, shape)[place]))
        for name, leaf in zip(subject.names, probe.leaves, strict=True)
    }
