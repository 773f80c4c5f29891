"""How long it takes to derive a deep composition: reading the code, and differentiating it.

Question: is the derivative of tanh and swish nested in each other 18 deep there in at most 50 ms,
from a JAX function and from formula text?  SymPy's `diff` of the same expression is the peer.

Correctness comes first: the derivative is lowered and compared with `jax.grad` at points.  Times
are medians with all caches emptied before each call (a first derivation in a running program), in
CPU seconds of the process, for nothing here runs in parallel and a busy machine shall not count;
`trace` is `jax.make_jaxpr` alone and is part of `lift`.

Run `python benchmarks/derivation.py` or `--quick`.
"""

import argparse
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp

from diffkit.bridge.formula import Formula
from diffkit.bridge.lift import lift

DEPTHS = (6, 12, 18, 24)
#: SymPy's time doubles with every swish; beyond this depth it is not asked.
DEEPEST_SYMPY = 18
ALLOWED_MS = 50.0
POINTS = np.linspace(-3.0, 3.0, 61)
COLUMNS = (
    "depth", "trace_ms", "lift_ms", "grad_ms", "code_ms", "read_ms", "text_grad_ms", "text_ms",
    "sympy_ms", "sympy/code", "error", "<= 50 ms",
)  # fmt: skip


def program(depth: int) -> Callable[[Any], Any]:
    def nested(x: Any) -> Any:
        for k in range(depth):
            x = jax.nn.swish(x) if k % 2 else jnp.tanh(x)
        return x

    return nested


def text(depth: int) -> str:
    nested = "x"
    for k in range(depth):
        nested = f"swish({nested})" if k % 2 else f"tanh({nested})"
    return nested


def expression(depth: int) -> sp.Expr:
    nested = sp.Symbol("x", real=True)
    for k in range(depth):
        nested = nested / (1 + sp.exp(-nested)) if k % 2 else sp.tanh(nested)
    return nested


def error(depth: int) -> float:
    """The largest relative disagreement with reverse mode, of both ways."""
    true = jax.vmap(jax.grad(program(depth)))(POINTS)
    ways = (lift(program(depth), 1.0).grad(), Formula.from_text(text(depth)).grad())
    found = [np.asarray(way.lower()(POINTS)) for way in ways]
    return max(float(np.max(np.abs(each - true) / np.abs(true))) for each in found)


def cold(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of a call after all caches were emptied, contenders in turn."""
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            harness.forget()
            start = process_time()
            run()
            samples[name].append(process_time() - start)
    return {name: median(values) for name, values in samples.items()}


def measure(depth: int, rounds: int) -> dict[str, Any]:
    f, formula, read = program(depth), lift(program(depth), 1.0), Formula.from_text(text(depth))
    contenders: dict[str, Callable[[], Any]] = {
        "trace": lambda: jax.make_jaxpr(f)(1.0),
        "lift": lambda: lift(f, 1.0),
        "grad": lambda: formula.grad(),
        "code": lambda: lift(f, 1.0).grad(),
        "read": lambda: Formula.from_text(text(depth)),
        "text_grad": lambda: read.grad(),
        "text": lambda: Formula.from_text(text(depth)).grad(),
    }
    times = cold(contenders, rounds)
    row = {f"{name}_ms": 1e3 * times[name] for name in contenders}
    if depth <= DEEPEST_SYMPY:
        expr = expression(depth)
        peer = cold({"sympy": lambda: sp.diff(expr)}, 1)
        row["sympy_ms"] = 1e3 * peer["sympy"]
        row["sympy/code"] = row["sympy_ms"] / row["code_ms"]
    is_fast = max(row["code_ms"], row["text_ms"]) <= ALLOWED_MS
    return {"depth": depth, **row, "error": error(depth), "<= 50 ms": is_fast}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two depths, three rounds")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    options = parser.parse_args()
    measure(2, 1)
    depths, rounds = ((6, 18), 3) if options.quick else (DEPTHS, 15)
    rows = [measure(depth, rounds) for depth in depths]
    print(harness.table(rows, COLUMNS))
    if options.save:
        harness.write_results("derivation", rows, points=len(POINTS))


if __name__ == "__main__":
    main()
