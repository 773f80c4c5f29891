"""Lift one public function and hold the formula against the function itself.

What is lifted is the weighted sum of the function's results, so that a gradient exists.  A lifted
formula is accepted when its value and gradient agree with the function's own value and `jax.grad`
in float64.  The bound is a mixed forward-backward one: the formula may answer what the function
answers at arguments that differ by `GRANTED` units in the last place, and be off by as much of
that.  The unit is that of the narrowest floating dtype the function computes in: some round to
float32 inside, which no formula repeats.
"""

import re
import signal
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffkit.atlas import census
from diffkit.atlas.public_functions import PublicFunction, find, gradient, public_names, weighted
from diffkit.backend import compat
from diffkit.bridge.arguments import USER_ERRORS
from diffkit.bridge.formula import Formula
from diffkit.bridge.lift import lift
from diffkit.core.errors import (
    CertificateError,
    DiffkitError,
    TimeLimitExceeded,
    UnsupportedPrimitive,
)
from diffkit.tensor.nodes import topological

LIFTED, OPAQUE, REFUSED, FAILED = ("lifted", "opaque", "refused", "failed")

#: Change of arguments and results that is granted, in units in the last place.
GRANTED = 2.0**10
#: Perturbed arguments at which the function is asked how sensitive it is, and a factor for the
#: directions that were not tried.
PERTURBATIONS = 2
UNTRIED = 8.0

#: How the message of what a time limit interrupted begins.
OVERDUE = "not finished within"

#: What a defect of diffkit shows as; a refusal is a `DiffkitError`.
DEFECTS = USER_ERRORS

_MESSAGE = re.compile(r"cannot lift `(?P<primitive>[^`]*)` \((?P<place>.*)\): (?P<remedy>.*)", re.S)


@dataclass(frozen=True)
class Certificate:
    """How far the formula is from the function, and how far it may be.

    Args:
        value_error: |formula - function| of the weighted sum.
        value_bound: What is granted there.
        gradient_error: Largest |formula - jax.grad| over the entries of the worst argument.
        gradient_bound: What is granted there.
    """

    value_error: float
    value_bound: float
    gradient_error: float
    gradient_bound: float

    @property
    def holds(self) -> bool:
        """Whether both errors are within their bounds; NaN is not."""
        return self.value_error <= self.value_bound and self.gradient_error <= self.gradient_bound


@dataclass(frozen=True)
class Attempt:
    """The outcome for one public function.

    Args:
        name: The function.
        status: "lifted", "opaque", "refused" or "failed" (a defect of diffkit).
        certificate: Errors and bounds, when there is a formula.
        opaque: What the formula keeps as opaque calls.
        primitive: The primitive that was refused, "" when the refusal names none.
        place: Equation and line of the refusal.
        message: The remedy of a refusal, or the exception of a failure.
        primitives: All primitives of the function's jaxpr.
        idioms: All inner functions with a name.
        without: (position, reason) of arguments by which JAX itself gives no gradient.
        seconds: Wall time.
    """

    name: str
    status: str
    certificate: Certificate | None = None
    opaque: tuple[str, ...] = ()
    primitive: str = ""
    place: str = ""
    message: str = ""
    primitives: tuple[str, ...] = ()
    idioms: tuple[str, ...] = ()
    without: tuple[tuple[int, str], ...] = ()
    seconds: float = 0.0


def survey(name: str, seconds: float) -> Attempt | str:
    """The attempt for a public name, or the reason why the name is not listed."""
    found = find(name, _names()[name])
    return found if isinstance(found, str) else attempt(found, seconds=seconds)


@cache
def _names() -> Mapping[str, Callable[..., Any]]:
    return public_names()


def attempt(function: PublicFunction, *, seconds: float) -> Attempt:
    """Lift a function and judge the formula.

    Args:
        function: A function and its arguments.
        seconds: Limit for lifting, differentiating and lowering; a refusal when it is reached.
    """
    start = time.monotonic()
    with compat.x64():
        try:
            with time_limit(seconds):
                found = _lifted(function)
        except CertificateError as error:
            found = Attempt(function.name, FAILED, message=_spelt(error))
        except UnsupportedPrimitive as error:
            found = _refusal(function.name, str(error))
        except DiffkitError as error:
            found = Attempt(function.name, REFUSED, message=_spelt(error))
        except DEFECTS as error:
            found = Attempt(function.name, FAILED, message=_spelt(error))
        jaxpr = census.program(function)
    return replace(
        found,
        primitives=census.primitives(jaxpr),
        idioms=census.idioms(jaxpr),
        without=function.without,
        seconds=round(time.monotonic() - start, 3),
    )


def _lifted(function: PublicFunction) -> Attempt:
    formula = lift(function.scalar, *map(jnp.asarray, function.args))
    given = dict(zip(formula.names, function.args, strict=True))
    value = float(np.asarray(_evaluate(formula, given)))
    gradients = [_gradient(formula, formula.names[k], given) for k in function.wrt]
    certificate = _certify(function, value, gradients)
    opaque = _opaque(formula)
    if not certificate.holds:
        message = "the formula disagrees with the function beyond the bound"
        return Attempt(function.name, FAILED, certificate, opaque, message=message)
    return Attempt(function.name, OPAQUE if opaque else LIFTED, certificate, opaque)


def _gradient(formula: Formula, name: str, given: Mapping[str, np.ndarray]) -> np.ndarray:
    """The gradient by one argument, which has its shape unless it is the same number everywhere.

    Raises:
        CertificateError: it has another shape.
    """
    found, shape = _evaluate(formula.grad(name), given), given[name].shape
    if found.ndim and found.shape != shape:
        raise CertificateError(
            f"the gradient by {name} has shape {found.shape}, the argument has {shape}"
        )
    return np.broadcast_to(found, shape)


def _evaluate(formula: Formula, given: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.asarray(formula(*(given[name] for name in formula.names)))


def _opaque(formula: Formula) -> tuple[str, ...]:
    """Names of the calls the formula keeps unread."""
    nodes = (each for each in topological(formula.node) if type(each).__name__ == "Opaque")
    return tuple(sorted({str(getattr(node.key[0], "name", "opaque")) for node in nodes}))


def _certify(function: PublicFunction, value: float, gradients: list[np.ndarray]) -> Certificate:
    """Errors of the formula and what the function's own sensitivity grants."""
    granted = GRANTED * census.precision(census.program(function))
    true_value, true_gradients = _answers(function)
    nearby = [_answers(each) for each in perturbed(function, granted)]
    value_bound = granted * _magnitude(function) + UNTRIED * max(
        abs(each - true_value) for each, _ in nearby
    )
    errors = [_distance(a, b) for a, b in zip(gradients, true_gradients, strict=True)]
    bounds = [
        granted * float(np.max(np.abs(g)))
        + UNTRIED * max(_distance(each[k], g) for _, each in nearby)
        for k, g in enumerate(true_gradients)
    ]
    worst = max(range(len(errors)), key=lambda k: _excess(errors[k], bounds[k]))
    return Certificate(abs(value - true_value), value_bound, errors[worst], bounds[worst])


def _excess(error: float, bound: float) -> float:
    return error / bound if np.isfinite(error) and bound > 0 else inf if error else 0.0


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.abs(a - b), initial=0.0))


def _answers(function: PublicFunction) -> tuple[float, tuple[np.ndarray, ...]]:
    value = float(function.scalar(*map(jnp.asarray, function.args)))
    return value, gradient(function, function.wrt)


def perturbed(function: PublicFunction, change: float) -> Iterator[PublicFunction]:
    """The function at arguments changed by a relative amount, entry by entry up or down."""
    rng = np.random.default_rng(zlib.crc32(function.name.encode()))
    for _ in range(PERTURBATIONS):
        signs = (rng.choice((-1.0, 1.0), each.shape) for each in function.args)
        args = (a * (1 + change * sign) for a, sign in zip(function.args, signs, strict=True))
        yield replace(function, args=tuple(args))


def _magnitude(function: PublicFunction) -> float:
    """Sum of |weight * result|: the size of what the weighted sum adds up."""
    terms = weighted(function.call(*map(jnp.asarray, function.args)), function.name)
    return sum(float(np.sum(np.abs(each))) for each in terms)


def _refusal(name: str, message: str) -> Attempt:
    match = _MESSAGE.match(message)
    if match is None:
        return Attempt(name, REFUSED, message=message)
    remedy = " ".join(match["remedy"].split())
    return Attempt(
        name, REFUSED, primitive=match["primitive"], place=match["place"], message=remedy
    )


def _spelt(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:400]


@contextmanager
def time_limit(seconds: float, error: type[BaseException] = TimeLimitExceeded) -> Generator[None]:
    """Interrupt the block after `seconds`, and every second from then on until it ends.

    Args:
        seconds: Time of the block, > 0.
        error: What it is interrupted with.

    The block is not limited outside the main thread, nor on systems without interval timers.

    Raises:
        TimeLimitExceeded: the time is up.
    """
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return

    running = True

    def interrupt(*_: Any) -> None:
        if running:
            raise error(f"{OVERDUE} {seconds:g} s; raise --seconds")

    start = time.monotonic()
    handler = signal.signal(signal.SIGALRM, interrupt)
    # an exception raised in a destructor is lost, so the alarm is repeated
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        try:
            yield
        finally:
            running = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            remaining = max(left - (time.monotonic() - start), 0.001)
            signal.setitimer(signal.ITIMER_REAL, remaining, interval)
