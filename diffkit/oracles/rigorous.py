"""Germs of balls run on the jaxpr itself: an enclosure of both one-sided derivatives.

No differentiation rule is used, neither JAX's nor SymPy's, and the lifted formula is not
looked at: an error common to all AD modes, or to lift, is visible here.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.interpret_jaxpr import run
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import TimeLimitExceeded, Undecidable, UsageError
from diffkit.core.evidence import Group
from diffkit.numeric import balls
from diffkit.numeric.balls import DerivativeEnclosure

NAME = "germs of balls"
GROUP = "rigorous"
SECONDS = 10.0
#: Points that go through a program in one pass.
SHARE = 256


class Rigorous:
    """The rigorous witness for one function in one dtype.

    `name` and `group` are how evidence calls it.

    Args:
        subject: The function.
        dtype: Precision of the program: its constants and points enter by their binary values.
        seconds: Time limit of one question.
    """

    name: str = NAME
    group: Group = GROUP

    def __init__(self, subject: Subject, dtype: str, seconds: float = SECONDS):
        self.subject, self.dtype, self.seconds = subject, dtype, seconds

    @cached_property
    def jaxpr(self) -> Any:
        """The program that is enclosed."""
        return self.subject.jaxpr(self.dtype)

    def enclosure(
        self, probe: Probe, order: int = 1, ladder: Sequence[int] = balls.LADDER
    ) -> DerivativeEnclosure:
        """Both one-sided derivatives asked for by a probe, at the point rounded to the dtype."""
        leaves = self.subject.at(self.dtype, probe.leaves)
        phi = self.subject.exact_line(self.jaxpr, leaves, probe)
        try:
            return balls.one_sided(phi, 0, order, ladder=ladder, seconds=self.seconds)
        except (Undecidable, TimeLimitExceeded) as error:
            return DerivativeEnclosure(None, None, None, "undecided", str(error))

    def enclosures(self, points: Sequence[float], order: int = 1) -> list[DerivativeEnclosure]:
        """The derivative of a function of one number at many points, other arguments held.

        Many points go through the program in one pass where it is analytic, at some 10^4 points
        a second; a share that holds a delicate point is asked point by point.

        Raises:
            UsageError: the variable or the result is an array.
        """
        what = self.subject
        if what.values[what.wrt].shape or what.output_shape:
            raise UsageError("many points at once are asked of a function of one number only")
        found = []
        for start in range(0, len(points), SHARE):
            share = [float(x) for x in what.at(self.dtype, [np.asarray(points)])[0][start:][:SHARE]]
            some = self._in_one_pass(share, order)
            found += some if some is not None else [self._alone(x, order) for x in share]
        return found

    def _in_one_pass(self, points: list[float], order: int) -> list[DerivativeEnclosure] | None:
        what = self.subject
        axes = tuple(0 if k == what.wrt else None for k in range(len(what.values)))
        leaves = list(what.at(self.dtype, what.values))
        leaves[what.wrt] = np.asarray(points, leaves[what.wrt].dtype)
        key = "many", self.dtype, len(points)
        if key not in what.memo:
            with compat.x64(self.dtype == "float64"):
                what.memo[key] = compat.trace(jax.vmap(what.call, axes), *leaves)

        def program(numbers: Sequence[Any]) -> Sequence[Any]:
            arguments: list[Any] = list(leaves)
            arguments[what.wrt] = np.array([*numbers, None], dtype=object)[:-1]
            (result,) = run(what.memo[key], arguments, numbers[0].algebra)
            return list(result)

        try:
            return balls.analytic(program, points, [1] * len(points), order, seconds=self.seconds)
        except TimeLimitExceeded:
            return None

    def _alone(self, x: float, order: int) -> DerivativeEnclosure:
        what = self.subject
        leaves = (*what.values[: what.wrt], np.asarray(x), *what.values[what.wrt + 1 :])
        return self.enclosure(Probe(leaves, np.ones(()), np.ones(())), order)
