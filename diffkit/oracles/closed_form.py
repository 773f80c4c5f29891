"""The closed form: the lifted formula, differentiated by symbolic rules, evaluated in balls."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from diffkit.backend import compat
from diffkit.bridge.array_claim import tangent_of
from diffkit.bridge.formula import Formula
from diffkit.bridge.interpret import interpret_expression
from diffkit.bridge.joined import split
from diffkit.bridge.lift import lift
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import UsageError
from diffkit.core.evidence import ErrorBound, Estimate
from diffkit.numeric import balls
from diffkit.numeric.germs import GermAlgebra, Singular
from diffkit.tensor.nodes import var
from diffkit.tensor.sweep import pushforward

NAME = "closed form"
GROUP = "closed form"
#: A constant of the program is read as the simplest number that rounds to it; its derivative
#: then differs from the program's by about this much, relative.  Notes name the narrow ones.
CONSTANTS = {"bfloat16": 2.0**-2, "float16": 2.0**-5, "float32": 2.0**-18, "": 1e-9}
#: Of entries up to this size float64 holds the squares and cubes.
LARGEST = 1e100
EPS = 2.0**-52


def estimate(subject: Subject, probe: Probe, order: int = 1, dtype: str = "float64") -> Estimate:
    """The derivative of the lifted formula at the probe's point.

    Args:
        subject: The function.
        probe: The question.
        order: Order of the derivative.
        dtype: Precision of the program asked about; what it draws in float64 is that program's.

    Raises:
        UnsupportedPrimitive: the function cannot be lifted.
        UsageError: a higher derivative of a function that joins the entries of arrays.
    """
    with compat.asked_in_x64() if dtype == "float64" else compat.x64():
        return _estimate(subject, probe, order)


def _estimate(subject: Subject, probe: Probe, order: int) -> Estimate:
    if subject.apart is not None:
        return _of_parts(subject, probe, order)
    formula = lift(subject.renamed(subject.call), *subject.values)
    variable = subject.variable.replace(".", "_")
    if not formula.is_elementwise or not _is_entry(probe):
        return _of_arrays(formula, variable, probe, order)
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
    read = _read(formula) * abs(found.value)
    return Estimate(
        found.value, ErrorBound({"enclosure": found.high - found.low, "constants": read})
    )


def _of_parts(subject: Subject, probe: Probe, order: int) -> Estimate:
    """The directional derivative of a function of a pytree, lifted leaf by leaf."""
    assert subject.apart is not None
    leaves = [*split(probe.leaves[0], subject.parts).values(), *probe.leaves[1:]]
    tangents = list(split(probe.tangent, subject.parts).values())
    formula = lift(subject.apart, *leaves)
    moved = {x: var(f"d{x.name}", x.shape) for x in formula.inputs[: len(tangents)]}
    node = pushforward(formula.whole, moved)
    along = replace(formula, node=node, inputs=(*formula.inputs, *moved.values()), name="")
    return _evaluated(along, leaves, tangents, probe.cotangent, order, _read(formula))


def _of_arrays(formula: Formula, variable: str, probe: Probe, order: int) -> Estimate:
    """The directional derivative of a function that joins the entries of arrays."""
    along = tangent_of(formula, variable)
    leaves, tangents = probe.leaves, [probe.tangent]
    return _evaluated(along, leaves, tangents, probe.cotangent, order, _read(formula))


def _evaluated(
    along: Formula,
    leaves: Sequence[np.ndarray],
    tangents: Sequence[np.ndarray],
    cotangent: np.ndarray,
    order: int,
    read: float,
) -> Estimate:
    """A directional derivative in float64; its bound is what 4 ulps of the arguments change."""
    if order > 1:
        raise UsageError("a closed form of arrays answers about the first derivative")
    if any(map(_may_overflow, leaves)):
        return Estimate(float("nan"), note="the closed form may overflow in float64")
    random = np.random.default_rng(0)
    moved = [
        leaf * (1 + 4 * EPS * random.choice([-1.0, 1.0], size=leaf.shape))
        if np.issubdtype(leaf.dtype, np.floating)
        else leaf
        for leaf in leaves
    ]
    here, there = (np.asarray(along(*some, *tangents), dtype=float) for some in (leaves, moved))
    value, other = (float(np.sum(cotangent * each)) for each in (here, there))
    size = float(np.sum(np.abs(cotangent * here)))
    spread = 32 * abs(other - value) + 256 * EPS * size
    # the arguments' conditioning stands for that of narrow constants
    constants = read * abs(value) + (read * spread / (128 * EPS) if read > CONSTANTS[""] else 0.0)
    return Estimate(value, ErrorBound({"conditioning": spread, "constants": constants}))


def _may_overflow(leaf: np.ndarray) -> bool:
    """Whether a power of an entry may leave the range of float64."""
    return leaf.dtype.kind == "f" and bool(np.any(np.abs(leaf) > LARGEST))


def _read(formula: Formula) -> float:
    """How far constants of a formula may be from the program's, relative."""
    if not formula.notes:
        return 0.0
    named = [name for name in CONSTANTS if any(f"{name} constant" in n for n in formula.notes)]
    return CONSTANTS[named[0] if named else ""]


def _is_entry(probe: Probe) -> bool:
    """Whether a probe asks about one entry of an elementwise function."""
    return (
        probe.tangent.shape == probe.cotangent.shape
        and np.count_nonzero(probe.tangent) == 1
        and np.array_equal(probe.tangent, probe.cotangent)
    )


def _entry(subject: Subject, probe: Probe) -> dict[str, Fraction]:
    """The coordinates of the one entry an elementwise probe asks about."""
    shape = probe.tangent.shape
    asked = np.flatnonzero(np.ravel(probe.tangent))
    place = np.unravel_index(asked[0], shape) if shape else ()
    return {
        name.replace(".", "_"): Fraction(float(np.broadcast_to(leaf, shape)[place]))
        for name, leaf in zip(subject.names, probe.leaves, strict=True)
        if _reaches(leaf.shape, shape)
    }


def _reaches(shape: tuple[int, ...], result: tuple[int, ...]) -> bool:
    """Whether an array can be broadcast to the result; one that cannot has no part in it."""
    ends = zip(reversed(shape), reversed(result), strict=False)
    return len(shape) <= len(result) and all(size in (1, wanted) for size, wanted in ends)
