"""n-th derivatives of scalar functions against nested `jax.grad` and `jax.experimental.jet`.

Question: for n <= 12 and tanh, sigmoid, swish, exp(-x^2) and a 1-16-1 tanh network at 10,000
points, is deriving and compiling at least 20 times faster than nested grad at n = 8, running at
least as fast as jet at n = 10, and every error at most 1e-13?

Correctness comes first: every contender is compared with flint's ball series of 300 bits.  A
derivative of order n has about n zeros, where no float64 program is relatively accurate, so the
error is relative to max(|d(x)|, scale), where the scale at x is the largest |d| within 1/4 of x.
The column `plain` is relative to |d(x)| alone, `within` the share of points where that is at most
1e-13.  `formula` is `Formula.nth(...).lower()`, `taylor` is `diffkit.bridge.taylor.nth`.
What XLA needs to compile the function itself, without any derivative, bounds every ratio of cold
times: `limit` is nested grad's time over that one.

Run `python benchmarks/nth_derivatives.py` (some minutes) or `--quick`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flint
import harness
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.jet import jet

from diffkit.bridge.formula import Formula
from diffkit.bridge.taylor import nth

HIGHEST = 12
ALLOWED = 1e-13
#: The scale of a derivative at x is its largest value within this distance of x.
NEAR = 0.25
BITS = 300
WIDTH = 16
EDGE = 8.0

Scalar = Callable[[Any], Any]


@dataclass(frozen=True)
class Subject:
    """A function in three forms that share no code.

    Args:
        name: What the table calls it.
        program: As a JAX function of a number.
        series: As a function of a flint ball series.
        text: As formula text, "" where the formula language has no arrays.
        stride: The reference is computed at every `stride`-th point.
    """

    name: str
    program: Scalar
    series: Callable[[flint.arb_series], flint.arb_series]
    text: str = ""
    stride: int = 1


def network(seed: int = 0) -> Subject:
    """sum_j v_j tanh(w_j x + b_j) with standard normal weights."""
    weights = np.random.default_rng(seed).normal(size=(3, WIDTH))
    w, b, v = map(jnp.asarray, weights)
    exact = [[flint.arb(float(each)) for each in row] for row in weights]

    def series(x: flint.arb_series) -> flint.arb_series:
        terms = (vj * tanh_series(wj * x + bj) for wj, bj, vj in zip(*exact, strict=True))
        return sum(terms, flint.arb_series([0]))

    return Subject("net 1-16-1", lambda x: jnp.dot(v, jnp.tanh(w * x + b)), series, stride=8)


def tanh_series(x: flint.arb_series) -> flint.arb_series:
    return 1 - 2 / ((2 * x).exp() + 1)


def sigmoid_series(x: flint.arb_series) -> flint.arb_series:
    return 1 / (1 + (-x).exp())


SUBJECTS = (
    Subject("tanh", jnp.tanh, tanh_series, "tanh(x)"),
    Subject("sigmoid", jax.nn.sigmoid, sigmoid_series, "sigmoid(x)"),
    Subject("swish", jax.nn.silu, lambda x: x * sigmoid_series(x), "silu(x)"),
    Subject("exp(-x^2)", lambda x: jnp.exp(-x * x), lambda x: (-x * x).exp(), "exp(-x**2)"),
    network(),
)


# --- contenders: (subject, n) -> a function of an array of points --------------------------------


def by_formula(subject: Subject, n: int) -> Scalar:
    return Formula.from_text(subject.text).nth("x", n).lower()


def by_taylor(subject: Subject, n: int) -> Scalar:
    return jax.vmap(nth(subject.program, n))


def by_jet(subject: Subject, n: int) -> Scalar:
    def derivative(x: Any) -> Any:
        terms = [jnp.ones_like(x), *[jnp.zeros_like(x)] * (n - 1)]
        return jet(subject.program, (x,), (terms,))[1][n - 1]

    return jax.vmap(derivative)


def by_nested_grad(subject: Subject, n: int) -> Scalar:
    derivative = subject.program
    for _ in range(n):
        derivative = jax.grad(derivative)
    return jax.vmap(derivative)


def itself(subject: Subject, n: int) -> Scalar:
    """The function without a derivative: what no derivative compiles faster than."""
    return jax.vmap(subject.program)


CONTENDERS = {"formula": by_formula, "taylor": by_taylor, "jet": by_jet}
OURS = ("formula", "taylor")


def contenders(subject: Subject) -> dict[str, Callable[[Subject, int], Scalar]]:
    return {name: make for name, make in CONTENDERS.items() if subject.text or name != "formula"}


def compiled(make: Callable[[Subject, int], Scalar], subject: Subject, n: int, x: Any) -> Scalar:
    """Derive, trace and compile for the shape of `x`."""
    return jax.jit(make(subject, n)).lower(x).compile()


# --- correctness ---------------------------------------------------------------------------------


def reference(subject: Subject, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives 0 to HIGHEST as unevaluated sums high + low of floats, (points, orders)."""
    flint.ctx.prec = BITS
    flint.ctx.cap = HIGHEST + 1
    high, low = np.zeros((2, len(points), HIGHEST + 1))
    for i, point in enumerate(points):
        found = subject.series(flint.arb_series([flint.arb(float(point)), 1]))
        for n in range(HIGHEST + 1):
            ball = found[n] * flint.arb.fac_ui(n)
            if ball.rel_accuracy_bits() < 100 and not ball.contains(0):
                raise ArithmeticError(f"the reference for {subject.name} is not accurate enough")
            high[i, n] = float(ball.mid())
            low[i, n] = float(ball.mid() - flint.arb(high[i, n]))
    return high, low


def errors(values: np.ndarray, high: np.ndarray, low: np.ndarray, spacing: float) -> dict:
    """The three error columns of one contender at one order."""
    difference = np.abs((values - high) - low)
    reach = int(NEAR / spacing)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(np.abs(high), reach, mode="edge"), 2 * reach + 1
    )
    plain = np.where(difference == 0, 0, difference / np.maximum(np.abs(high), 1e-300))
    return {
        "error": float(np.max(difference / windows.max(axis=-1))),
        "plain": float(np.max(plain)),
        "within": float(np.mean(plain <= ALLOWED)),
    }


# --- the measurement -----------------------------------------------------------------------------


def measure(subject: Subject, orders: list[int], options: argparse.Namespace) -> list[dict]:
    x = jnp.linspace(-EDGE, EDGE, options.points)
    stride = subject.stride * options.thin
    at = np.asarray(x)[::stride]
    high, low = reference(subject, at)
    rows = []
    for n in orders:
        rows += _measure_order(subject, n, x, (high[:, n], low[:, n], at[1] - at[0]), options)
        shown = [row for row in rows if row["n"] == n]
        print(harness.table(shown, COLUMNS), flush=True)
    return rows


COLUMNS = (
    "function", "n", "contender", "error", "plain", "within", "run_us", "jet/run", "cold_s",
    "nested/cold",
)  # fmt: skip


def _measure_order(
    subject: Subject, n: int, x: Any, truth: tuple[Any, Any, float], options: argparse.Namespace
) -> list[dict]:
    stride = subject.stride * options.thin
    makers = contenders(subject)
    is_nested = n in options.nested
    if is_nested:
        makers = {**makers, "nested grad": by_nested_grad}
    programs = {name: compiled(make, subject, n, x) for name, make in makers.items()}
    checked = {name: errors(np.asarray(run(x))[::stride], *truth) for name, run in programs.items()}
    warm = harness.interleaved(
        {name: lambda run=run: run(x).block_until_ready() for name, run in programs.items()},
        options.rounds,
    )
    cold = harness.cold(
        {
            name: lambda make=make: compiled(make, subject, n, x)
            for name, make in {**makers, "itself": itself}.items()
        },
        options.cold,
    )
    return [
        {
            "function": subject.name,
            "n": n,
            "contender": name,
            **checked[name],
            "run_us": warm[name] * 1e6,
            "jet/run": warm.ratio("jet", name),
            "cold_s": cold[name],
            "jet/cold": cold.ratio("jet", name),
            "nested/cold": cold.ratio("nested grad", name) if is_nested else None,
            "limit": cold.ratio("nested grad", "itself") if is_nested else None,
            "nested/run": warm.ratio("nested grad", name) if is_nested else None,
        }
        for name in makers
    ]


def summary(rows: list[dict]) -> list[dict]:
    """For each function and each of our contenders, the three requirements."""

    def find(function: str, contender: str, n: int, column: str) -> Any:
        for row in rows:
            if (row["function"], row["contender"], row["n"]) == (function, contender, n):
                return row[column]
        return None

    pairs = dict.fromkeys((row["function"], row["contender"]) for row in rows)
    result = []
    for function, contender in pairs:
        if contender not in OURS:
            continue
        worst = max(
            row["error"]
            for row in rows
            if (row["function"], row["contender"]) == (function, contender)
        )
        compile_ratio = find(function, contender, 8, "nested/cold")
        run_ratio = find(function, contender, 10, "jet/run")
        result.append(
            {
                "function": function,
                "contender": contender,
                "nested/cold n=8": compile_ratio,
                "limit": find(function, contender, 8, "limit"),
                ">= 20": None if compile_ratio is None else compile_ratio >= 20,
                "jet/run n=10": run_ratio,
                ">= 1": None if run_ratio is None else run_ratio >= 1,
                "worst error": worst,
                "<= 1e-13": worst <= ALLOWED,
            }
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description="n-th derivatives against nested grad and jet: errors first, then ratios"
    )
    parser.add_argument(
        "--quick", action="store_true", help="orders 2, 6 and 10; nested grad at n = 6 only"
    )
    parser.add_argument("--points", type=int, default=10_000, help="number of points on [-8, 8]")
    parser.add_argument("--only", default="", help="measure functions whose name contains this")
    options = parser.parse_args()
    options.thin, options.rounds, options.cold = (50, 7, 1) if options.quick else (1, 61, 5)
    options.nested = (6,) if options.quick else (2, 4, 6, 8)
    orders = [2, 6, 10] if options.quick else list(range(2, HIGHEST + 1))

    chosen = [subject for subject in SUBJECTS if options.only in subject.name]
    if not chosen:
        parser.error(f"no function is called {options.only!r}")
    warm_up = jnp.linspace(-1.0, 1.0, 8)
    for make in (*CONTENDERS.values(), by_nested_grad):
        compiled(make, Subject("sin", jnp.sin, flint.arb_series.sin, "sin(x)"), 2, warm_up)
    rows = [row for subject in chosen for row in measure(subject, orders, options)]
    verdicts = summary(rows)
    print("\n" + harness.table(verdicts))
    if not options.quick and not options.only:
        notes = {"points": options.points, "interval": [-EDGE, EDGE], "summary": verdicts}
        print(f"\nwrote {harness.write_results('nth_derivatives', rows, **notes).name}")


if __name__ == "__main__":
    main()
