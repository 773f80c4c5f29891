"""A formula is accepted only when it agrees with the function it was lifted from."""

import signal
import time
from contextlib import suppress

import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.atlas import attempt as attempts
from diffkit.atlas.attempt import Certificate, attempt, time_limit
from diffkit.atlas.public_functions import PublicFunction
from diffkit.backend import compat
from diffkit.bridge.lift import lift
from diffkit.core.errors import CertificateError, TimeLimitExceeded, UsageError

SECONDS = 60.0


def function(call, *args: float) -> PublicFunction:
    arrays = tuple(map(np.asarray, args))
    return PublicFunction("jax.numpy.unheard_of", call, arrays, tuple(range(len(args))))


def wave(x, y):
    return jnp.sin(x) * jnp.exp(y) + x**2


def test_an_elementwise_function_is_lifted_with_a_certificate():
    found = attempt(function(wave, 0.3, 0.7), seconds=SECONDS)
    assert found.status == "lifted"
    assert found.certificate.holds
    assert found.certificate.gradient_bound < 1e-10
    assert {"exp", "sin"} <= set(found.primitives)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, y: jnp.sin(x) * jnp.exp(y) + x**2 + 1e-9,
        lambda x, y: wave(x, y) + 1e-9 * jnp.sin(1e9 * (y - 0.7)),
    ],
    ids=["value", "gradient"],
)
def test_a_formula_that_disagrees_is_a_failure(monkeypatch, wrong):
    monkeypatch.setattr(attempts, "lift", lambda _, *args: lift(wrong, *args))
    found = attempt(function(wave, 0.3, 0.7), seconds=SECONDS)
    assert found.status == "failed"
    assert "disagrees" in found.message


def test_a_refusal_names_the_primitive_and_the_remedy():
    found = attempt(function(lambda x: jnp.nextafter(x, 1.0) + x, 0.3), seconds=SECONDS)
    assert (found.status, found.primitive) == ("refused", "nextafter")
    assert "add a row in bridge/primitives.py" in found.message
    assert found.place.startswith("eqn 0")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("ask otherwise"), "refused"),
        (TimeLimitExceeded("too long"), "refused"),
        (CertificateError("a rewrite changed the value"), "failed"),
        (TypeError("Invalid NaN comparison"), "failed"),
        (RecursionError("too deep"), "failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_an_error_is_reported_and_never_raised(monkeypatch, error: Exception, status: str):
    def fails(*_):
        raise error

    monkeypatch.setattr(attempts, "lift", fails)
    found = attempt(function(wave, 0.3, 0.7), seconds=SECONDS)
    assert found.status == status
    assert found.message == f"{type(error).__name__}: {error}"


def test_a_lift_that_takes_too_long_is_a_refusal(monkeypatch):
    monkeypatch.setattr(attempts, "lift", lambda *_: busy(20.0))
    found = attempt(function(wave, 0.3, 0.7), seconds=0.1)
    assert found.status == "refused"
    assert "TimeLimitExceeded: not finished within 0.1 s" in found.message


def test_a_time_limit_that_is_swallowed_once_comes_again():
    def swallows() -> None:
        with suppress(TimeLimitExceeded):
            busy(20.0)
        busy(20.0)

    with pytest.raises(TimeLimitExceeded), time_limit(0.05):
        swallows()


def test_a_time_limit_leaves_the_timer_around_it_running():
    handler = signal.signal(signal.SIGALRM, lambda *_: None)
    before = signal.setitimer(signal.ITIMER_REAL, 50.0)
    try:
        with time_limit(10.0):
            pass
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 40.0 < left <= 50.0
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *before)


def busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize(
    ("errors", "holds"), [((0.0, 0.0), True), ((2.0, 0.0), False), ((0.0, np.nan), False)]
)
def test_a_certificate_holds_when_both_errors_are_within_their_bounds(errors, holds: bool):
    value, gradient = errors
    assert Certificate(value, 1.0, gradient, 1.0).holds is holds


def test_a_function_that_rounds_to_float32_inside_is_judged_at_float32():
    def rounds(x):
        return jnp.sin(x.astype(jnp.float32)).astype(jnp.float64)

    found = attempt(function(rounds, 0.3), seconds=SECONDS)
    assert found.status == "lifted"
    assert 1e-10 < found.certificate.value_error < found.certificate.value_bound < 1e-2


def test_the_bound_grows_with_the_condition_of_the_function():
    def bound(scale: float) -> float:
        steep = function(lambda x: jnp.sin(scale * x), 1.0)
        with compat.x64():
            value = float(steep.scalar(*steep.args))
            gradient = np.asarray(scale * np.cos(scale))
            return attempts._certify(steep, value, [gradient]).value_bound

    # |f(x (1 + d)) - f(x)| ~ d x |f'|, and f' = scale cos(scale x)
    assert bound(1e4) > 100 * bound(1.0)
