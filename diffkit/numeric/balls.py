r"""Rigorous enclosures of values and one-sided derivatives, by escalating the precision of germs.

An answer is an interval that provably contains the real number asked for (real arithmetic on the
program, every constant with its exact value).  The precision grows until the interval is
narrower than asked; a question no precision decides is answered "undecided", never guessed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf, nan, nextafter
from typing import Literal

from flint import arb, ctx

from diffkit.core.errors import TimeLimitExceeded, Undecidable
from diffkit.numeric import jets
from diffkit.numeric.algebra import Exact
from diffkit.numeric.germs import Germ, GermAlgebra, Singular

LADDER = (64, 128, 256, 512, 1024, 2048)
WIDTH = 2.0**-60
_INVISIBLE = arb(2) ** -1080  # an absolute width below every double counts as narrow
#: Jets are tried from this precision on, at so many precisions; germs have the last word.
_JET_BITS, _JET_RUNGS = 128, 3
#: A jump smaller than this, relative, is a rounded constant in the program and no kink.
NEGLIGIBLE = 2.0**-48

#: How notes begin where the function breaks: its value, or an infinite derivative's sign.
JUMP = "the value jumps"
CUSP = "a cusp: the two sides have opposite signs"

Kind = Literal["smooth", "kink", "infinite", "undefined", "undecided"]
Program = Callable[[Sequence[Germ]], Sequence[Germ]]


@dataclass(frozen=True)
class Enclosure:
    """An interval that contains the number asked for.

    Args:
        low: Lower bound, rounded down to a double; -inf when it is below all doubles.
        high: Upper bound, rounded up.
        ball: The ball itself; None for an infinite value (low == high == +-inf).
        is_narrow: Whether the width asked for was reached.
    """

    low: float
    high: float
    ball: arb | None = field(default=None, compare=False)
    is_narrow: bool = True

    @classmethod
    def of(cls, ball: arb, width: float = WIDTH) -> "Enclosure":
        """Return the enclosure of `ball`, rounded outward."""
        low, high = outward(ball)
        return cls(low, high, ball, is_narrow(ball, width))

    @classmethod
    def infinite(cls, sign: int) -> "Enclosure":
        """Return the value +inf or -inf; of unknown sign: [-inf, inf]."""
        return cls(inf * sign if sign else -inf, inf * sign if sign else inf)

    @property
    def is_infinite(self) -> bool:
        """Whether the value is an infinity (not merely beyond the doubles)."""
        return self.ball is None

    @property
    def value(self) -> float:
        """The double nearest to the middle; +-inf when infinite, nan when the sign is unknown."""
        if self.ball is None:
            return self.low if self.low == self.high else nan
        return nearest(self.ball)

    def overlaps(self, other: "Enclosure") -> bool:
        """Whether the two have a number in common (infinities: the same one)."""
        if self.ball is None or other.ball is None:
            return self.ball is other.ball and (self.low, self.high) == (other.low, other.high)
        return bool(self.ball.overlaps(other.ball))

    def agrees(self, other: "Enclosure", size: float = 0.0) -> bool:
        """Whether they overlap, or differ by a rounded constant only (`NEGLIGIBLE`).

        Args:
            other: The other enclosure.
            size: A magnitude the difference is small against, besides the two values.
        """
        if self.overlaps(other):
            return True
        if self.ball is None or other.ball is None:
            return False
        scale = max(abs(self.value), abs(other.value), size if size < inf else 0.0)
        return abs(nearest(self.ball - other.ball)) <= NEGLIGIBLE * scale < inf


@dataclass(frozen=True)
class DerivativeEnclosure:
    """What is proved about one derivative at one point.

    Args:
        left: One-sided derivative from the left; None where it does not exist or is undecided.
        right: One-sided derivative from the right.
        value: The value of the function at the point itself; None where it has none.
        kind: "smooth" (both sides agree), "kink" (they differ, or a lower derivative jumps),
            "infinite", "undefined" (jump, NaN, edge of the domain), "undecided".
        note: One clause on what a reader must know.
    """

    left: Enclosure | None
    right: Enclosure | None
    value: Enclosure | None
    kind: Kind
    note: str = ""

    @property
    def is_break(self) -> bool:
        """Whether the value jumps, or the derivative is infinite with two signs."""
        return self.note.startswith((JUMP, CUSP))

    @property
    def derivative(self) -> Enclosure | None:
        """The derivative where it exists (finite, or infinite from both sides), else None."""
        if self.kind == "smooth":
            return self.right
        if self.kind == "infinite":
            return self.right if self.right is not None else self.left
        return None


def is_narrow(ball: arb, width: float = WIDTH) -> bool:
    """Whether the radius is at most `width` relative to the middle, or below every double."""
    if not ball.is_finite():
        return False
    if ball.is_exact():
        return True
    radius = ball.rad()
    return bool(radius <= abs(ball.mid()) * width) or bool(radius < _INVISIBLE)


def outward(ball: arb) -> tuple[float, float]:
    """Return doubles low <= ball <= high, at most one ulp outside its ends."""
    if not ball.is_finite():
        return -inf, inf
    previous = ctx.prec
    ctx.prec = max(previous, 128)
    try:
        low, high = float(ball.lower()), float(ball.upper())
        while low == inf or arb(low) > ball.lower():
            low = nextafter(low, -inf)
        while high == -inf or arb(high) < ball.upper():
            high = nextafter(high, inf)
    finally:
        ctx.prec = previous
    return low, high


def nearest(ball: arb) -> float:
    """The double nearest to the middle of `ball`; nan for a ball without a middle."""
    return float(ball.mid()) if ball.is_finite() else nan


def enclose(
    attempt: Callable[[int], arb],
    *,
    ladder: Sequence[int] = LADDER,
    width: float = WIDTH,
    seconds: float = 10.0,
) -> Enclosure:
    """Return the first narrow enclosure along the ladder of precisions, else the best found.

    Args:
        attempt: bits -> ball computed with that precision; may raise `Undecidable`.
        ladder: Precisions in bits, growing.
        width: Relative radius asked for.
        seconds: Time limit, checked between attempts.

    Raises:
        Undecidable: no precision gave a ball.
        TimeLimitExceeded: the time was used up before the first ball.
    """
    best, deadline = None, time.monotonic() + seconds
    for bits in ladder:
        if time.monotonic() > deadline:
            break
        try:
            found = Enclosure.of(attempt(bits), width)
        except Undecidable:
            continue
        if found.is_narrow:
            return found
        best = found
    if best is not None:
        return best
    if time.monotonic() > deadline:
        raise TimeLimitExceeded(f"no enclosure within {seconds:g} s; allow more seconds")
    raise Undecidable(f"no enclosure at {ladder[-1]} bits")


def one_sided(
    program: Callable[[Germ], Germ],
    x0: Exact,
    order: int = 1,
    *,
    ladder: Sequence[int] = LADDER,
    width: float = WIDTH,
    seconds: float = 10.0,
) -> DerivativeEnclosure:
    r"""Enclose the left and right derivatives of a program of one variable.

    $$f^{(n)}_\pm(x_0) = \lim_{t \to 0^+} f^{(n)}(x_0 \pm t)$$

    Args:
        program: Germ -> germ; `germ.algebra` offers constants and functions.
        x0: The point, with its exact binary (or rational) value.
        order: Order of the derivative, >= 0.
        ladder: Precisions in bits.
        width: Relative radius asked for.
        seconds: Time limit of the whole question.

    Raises:
        TimeLimitExceeded: the time was used up.

    >>> one_sided(lambda x: x.algebra.function("abs")(x), 0).kind
    'kink'
    """
    (found,) = along(
        lambda germs: [program(germs[0])],
        [x0],
        [1],
        order,
        ladder=ladder,
        width=width,
        seconds=seconds,
    )
    return found


def along(
    program: Program,
    point: Sequence[Exact],
    tangent: Sequence[Exact],
    order: int = 1,
    *,
    ladder: Sequence[int] = LADDER,
    width: float = WIDTH,
    seconds: float = 10.0,
) -> list[DerivativeEnclosure]:
    """Enclose the directional derivatives of every output of a program at `point`.

    Args:
        program: Germs of the inputs -> germs of the outputs.
        point: Exact coordinates.
        tangent: Exact direction, as long as `point`; "right" means along it.
        order: Order of the derivative along the line, >= 0.
        ladder: Precisions in bits.
        width: Relative radius asked for.
        seconds: Time limit of the whole question.

    Raises:
        TimeLimitExceeded: the time was used up.
    """
    deadline = time.monotonic() + seconds
    inputs = (program, point, tangent)
    smooth = analytic(*inputs, order, ladder=ladder, width=width, seconds=seconds)
    if smooth is not None:
        return smooth
    here = _side(*inputs, 0, 0, ladder, width, deadline)
    left = _side(*inputs, -1, order, ladder, width, deadline)
    right = _side(*inputs, 1, order, ladder, width, deadline)
    if here is None or left is None or right is None:
        count = max(len(side) for side in (here, left, right, [None]) if side is not None)
        note = "a comparison of the program is not decided at the highest precision"
        return [DerivativeEnclosure(None, None, None, "undecided", note)] * count
    size = max((abs(float(x)) for x in point), default=0.0)
    return [
        _judge(values[0], before, after, order, size)
        for values, before, after in zip(here, left, right, strict=True)
    ]


def analytic(
    program: Program,
    point: Sequence[Exact],
    tangent: Sequence[Exact],
    order: int = 1,
    *,
    ladder: Sequence[int] = LADDER,
    width: float = WIDTH,
    seconds: float = 10.0,
) -> list[DerivativeEnclosure] | None:
    """As `along` where the program is analytic beyond doubt; None where germs must be asked.

    Raises:
        TimeLimitExceeded: the time was used up.
    """
    deadline = time.monotonic() + seconds
    for bits in [bits for bits in ladder if bits >= _JET_BITS][:_JET_RUNGS]:
        found = jets.taylor(program, point, tangent, order, bits, deadline)
        if found is None:
            return None
        if all(is_narrow(ball, width) for pair in found for ball in pair):
            return [_smooth(*pair, width) for pair in found]
    return None


def _smooth(value: arb, slope: arb, width: float) -> DerivativeEnclosure:
    side = Enclosure.of(slope, width)
    return DerivativeEnclosure(side, side, Enclosure.of(value, width), "smooth")


# One answer of one side: an enclosure (finite or infinite), "undefined", or None (undecided).
_Answer = Enclosure | Literal["undefined"] | None


def _side(
    program: Program,
    point: Sequence[Exact],
    tangent: Sequence[Exact],
    direction: int,
    order: int,
    ladder: Sequence[int],
    width: float,
    deadline: float,
) -> list[list[_Answer]] | None:
    """For each output the derivatives 0..order from one side; None when no precision decides."""
    best: list[list[_Answer]] | None = None
    for bits, more_terms in _attempts(ladder):
        algebra = GermAlgebra(order + 1 + more_terms, direction, bits, deadline)
        germs = [
            algebra.variable(Fraction(x), Fraction(u)) for x, u in zip(point, tangent, strict=True)
        ]
        try:
            outputs = [algebra.lifted(output) for output in program(germs)]
        except Undecidable:
            continue
        found = [
            [_answer(algebra, output, k, width) for k in range(order + 1)] for output in outputs
        ]
        best = (
            found
            if best is None
            else [_better(old, new) for old, new in zip(best, found, strict=True)]
        )
        if all(_is_final(answer) for row in best for answer in row):
            break
    return best


def _attempts(ladder: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(bits, further terms): more terms too, for a cancellation may eat any number of them."""
    for index, bits in enumerate(ladder):
        yield bits, 4 * index


def _answer(algebra: GermAlgebra, germ: Germ, order: int, width: float) -> _Answer:
    if germ.fault in ("+inf", "-inf") and germ.order == inf and algebra.direction:
        # the program returns an infinite constant on this side: outside the domain, as NaN is
        return "undefined"
    try:
        return Enclosure.of(algebra.derivative(germ, order), width)
    except Undecidable:
        return None
    except Singular as singular:
        return "undefined" if singular.kind == "undefined" else Enclosure.infinite(singular.sign)


def _is_final(answer: _Answer) -> bool:
    return answer == "undefined" or (isinstance(answer, Enclosure) and answer.is_narrow)


def _better(old: list[_Answer], new: list[_Answer]) -> list[_Answer]:
    return [
        before if _is_final(before) or now is None else now
        for before, now in zip(old, new, strict=True)
    ]


def _judge(
    here: _Answer, left: list[_Answer], right: list[_Answer], order: int, size: float
) -> DerivativeEnclosure:
    value = here if isinstance(here, Enclosure) and not here.is_infinite else None
    before, after = (_proper(side[order]) for side in (left, right))

    def verdict(kind: Kind, note: str = "") -> DerivativeEnclosure:
        return DerivativeEnclosure(before, after, value, kind, note)

    undecided = [answer for answer in (here, *left, *right) if answer is None]
    if undecided:
        return verdict("undecided", "an enclosure stays too wide at the highest precision")
    if value is None:
        agree = _finite(left[0]) and _finite(right[0]) and _same(left[0], right[0])
        agree = agree and _same(left[order], right[order])
        tail = "; removable, the one-sided derivatives agree" if agree else ""
        return verdict("undefined", f"the function has no finite value at the point{tail}")
    sides = {"left": left, "right": right}
    existing = {name: side for name, side in sides.items() if side[0] != "undefined"}
    for name, side in existing.items():
        start = side[0]
        slope = side[1] if order else None
        shift = size * abs(slope.value) if isinstance(slope, Enclosure) else 0.0
        if not isinstance(start, Enclosure) or not value.agrees(start, shift):
            return verdict("undefined", f"{JUMP}: it is not the limit from the {name}")
    if not existing:
        return verdict("undefined", "an isolated point of the domain")
    if len(existing) == 1:
        (name, side) = next(iter(existing.items()))
        edge = f"edge of the domain: defined on the {name} only"
        answer = side[order]
        is_infinite = isinstance(answer, Enclosure) and answer.is_infinite
        return verdict("infinite" if is_infinite else "undefined", edge)
    return _two_sided(left, right, order, verdict)


def _two_sided(
    left: list[_Answer],
    right: list[_Answer],
    order: int,
    verdict: Callable[..., DerivativeEnclosure],
) -> DerivativeEnclosure:
    pairs = [
        (a, b)
        for a, b in zip(left, right, strict=True)
        if isinstance(a, Enclosure) and isinstance(b, Enclosure)
    ]
    if len(pairs) <= order:
        return verdict("undefined", "a one-sided derivative does not exist")
    for k, (a, b) in enumerate(pairs[1:order], start=1):
        if not a.agrees(b):
            return verdict("kink", f"the derivative of order {k} jumps")
        if a.is_infinite:
            return verdict("infinite", f"the derivative of order {k} is infinite")
    before, after = pairs[order]
    if before.is_infinite and after.is_infinite:
        note = "" if before.overlaps(after) else CUSP
        return verdict("infinite", note)
    if not before.agrees(after):
        return verdict("kink")
    if not (before.is_narrow and after.is_narrow):
        return verdict("undecided", "an enclosure stays too wide at the highest precision")
    return verdict("smooth")


def _finite(answer: _Answer) -> bool:
    return isinstance(answer, Enclosure) and not answer.is_infinite


def _same(a: _Answer, b: _Answer) -> bool:
    return isinstance(a, Enclosure) and isinstance(b, Enclosure) and a.agrees(b)


def _proper(answer: _Answer) -> Enclosure | None:
    return answer if isinstance(answer, Enclosure) and not _is_unsigned(answer) else None


def _is_unsigned(answer: Enclosure) -> bool:
    """Whether the answer is an infinity of unknown sign."""
    return answer.is_infinite and answer.low != answer.high
