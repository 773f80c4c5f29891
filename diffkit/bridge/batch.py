"""One compiled program for all scalar questions about a function in one dtype.

Compiling dominates: value, forward, reverse and jet for all probes go into a single jitted,
vmapped program.  Calls run under a time limit, because a compiled program cannot be
interrupted (and JAX 0.10 can hang on few cores).  Inside `interpreted` nothing is compiled: the
programs run equation by equation, which is faster for few points.
"""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffkit.backend import compat
from diffkit.bridge.subject import Probe, Subject
from diffkit.core.errors import TimeLimitExceeded

Row = Callable[[Any, Any, Any], Any]  # (leaves, tangent, cotangent) -> scalar

SECONDS = 60.0
#: What a tangent is pushed through where a custom_vjp has no forward rule; it cannot be run.
NO_FORWARD = "custom_lin"
_INTERPRETED: ContextVar[bool] = ContextVar("interpreted", default=False)


@contextmanager
def interpreted() -> Generator[None]:
    """Inside the block derivative programs run equation by equation instead of compiled.

    Tracing is the same and every equation is run by XLA, so the answers are those of
    `jax.disable_jit()`; for a handful of points this takes a tenth of the time of compiling.
    """
    token = _INTERPRETED.set(True)
    try:
        yield
    finally:
        _INTERPRETED.reset(token)


def once(make: Callable[[Subject, int], Row]) -> Callable[[Subject, int], Row]:
    """Decorate a maker of rows: one row per subject and order, so that it is traced once."""

    @wraps(make)
    def row(subject: Subject, order: int) -> Row:
        key = make, order
        if key not in subject.memo:
            subject.memo[key] = make(subject, order)
        return subject.memo[key]

    return row


def traced(subject: Subject, dtype: str, row: Row) -> Any:
    """The jaxpr of a row at one point, traced once."""
    key = row, dtype
    if key not in subject.memo:
        with compat.x64(dtype == "float64"):
            subject.memo[key] = compat.trace(row, *_example(subject, dtype))
    return subject.memo[key]


def check_row(subject: Subject, dtype: str, row: Row) -> None:
    """Trace the program `run_rows` would run; whatever JAX raises where a rule is missing.

    Forward mode through a custom_vjp is refused only in a batch, and while equations are run.
    """
    if _INTERPRETED.get() and NO_FORWARD not in compat.primitives(traced(subject, dtype, row)):
        return
    with compat.x64(dtype == "float64"):
        batch = jax.tree.map(lambda x: x[None], _example(subject, dtype))
        jax.eval_shape(jax.vmap(row), *batch)


def _example(subject: Subject, dtype: str) -> tuple[Any, Any, Any]:
    """Leaves, a tangent and a cotangent of the right shapes."""
    kind = jnp.dtype(dtype)
    leaves = subject.at(dtype, subject.values)
    return leaves, np.ones(leaves[subject.wrt].shape, kind), np.ones(subject.output_shape, kind)


def run_rows(
    subject: Subject,
    dtype: str,
    probes: Sequence[Probe],
    rows: Mapping[str, Row],
    *,
    seconds: float = SECONDS,
) -> dict[str, np.ndarray]:
    """Evaluate every row function at every probe; name -> array of float64, one per probe.

    Raises:
        TimeLimitExceeded: compiling and running took longer than `seconds`.
    """
    if _INTERPRETED.get():
        with compat.x64(dtype == "float64"):
            return {name: _by_equation(subject, dtype, row, probes) for name, row in rows.items()}
    return run_columns(subject, dtype, _stack(subject, dtype, probes), rows, seconds=seconds)


def run_columns(
    subject: Subject,
    dtype: str,
    columns: tuple[Sequence[Any], Any, Any],
    rows: Mapping[str, Row],
    *,
    seconds: float = SECONDS,
) -> dict[str, np.ndarray]:
    """As `run_rows`, of many questions as arrays: (leaves, tangents, cotangents), batch axis first.

    The program is compiled once for a subject, its rows and the number of questions.

    Raises:
        TimeLimitExceeded: compiling and running took longer than `seconds`.
    """
    with compat.x64(dtype == "float64"):
        program = _compiled(subject, dtype, rows)
        found = within(seconds, lambda: jax.block_until_ready(program(*columns)))
    return {name: np.asarray(value).astype(np.float64) for name, value in found.items()}


def _compiled(subject: Subject, dtype: str, rows: Mapping[str, Row]) -> Callable[..., Any]:
    key = dtype, *rows.items()
    if key not in subject.memo:
        wanted = dict(rows)

        def everything(leaves: Any, tangent: Any, cotangent: Any) -> dict[str, Any]:
            return {name: row(leaves, tangent, cotangent) for name, row in wanted.items()}

        subject.memo[key] = jax.jit(jax.vmap(everything))
    return subject.memo[key]


def _by_equation(subject: Subject, dtype: str, row: Row, probes: Sequence[Probe]) -> np.ndarray:
    program = traced(subject, dtype, row)
    kind = jnp.dtype(dtype)
    found = []
    for probe in probes:
        leaves = subject.at(dtype, probe.leaves)
        weights = probe.tangent.astype(kind), probe.cotangent.astype(kind)
        (value,) = compat.run_equations(program, [*leaves, *weights])
        found.append(float(value))
    return np.array(found)


def _stack(
    subject: Subject, dtype: str, probes: Sequence[Probe]
) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    kind = jnp.dtype(dtype)
    points = [subject.at(dtype, probe.leaves) for probe in probes]
    leaves = tuple(np.stack(column) for column in zip(*points, strict=True))
    tangent = np.stack([probe.tangent.astype(kind) for probe in probes])
    cotangent = np.stack([probe.cotangent.astype(kind) for probe in probes])
    return leaves, tangent, cotangent


#: Threads whose call did not return in time.
_OVERDUE: list[threading.Thread] = []


def is_overdue() -> bool:
    """Whether a call that was given up still runs; it can be neither stopped nor waited for."""
    return any(thread.is_alive() for thread in _OVERDUE)


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Run `call` in a thread of its own and wait for it no longer than `seconds`.

    Raises:
        TimeLimitExceeded: it had not finished; the thread is left to end by itself.
    """
    box: dict[str, Any] = {}
    x64 = compat.x64_enabled()

    def work() -> None:
        try:
            with compat.x64(x64):  # JAX's settings are per thread
                box["value"] = call()
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _OVERDUE.append(thread)
        raise TimeLimitExceeded(
            f"the compiled program did not finish within {seconds:g} s; judge a smaller function "
            "or raise the limit"
        )
    if "error" in box:
        raise box["error"]
    return box["value"]
