"""Germs of balls run on the jaxpr itself: an enclosure of both one-sided derivatives.

No differentiation rule is used, neither JAX's nor SymPy's, and the lifted formula is not
looked at: an error common to all AD modes, or to lift, is visible here.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import TimeLimitExceeded, Undecidable
from diffkit.numeric import balls
from diffkit.numeric.balls import DerivativeEnclosure

NAME = "germs of balls"
GROUP = "rigorous"
SECONDS = 10.0


class Rigorous:
    """The rigorous witness for one function in one dtype.

    `name` and `group` are how evidence calls it.

    Args:
        subject: The function.
        dtype: Precision of the program: its constants and points enter by their binary values.
        seconds: Time limit of one question.
    """

    name, group = NAME, GROUP

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
