"""How many points a second are checked: by AD and closed form in floats, by balls, by the peers.

Question: once a program is compiled, how many points a second go through the witnesses?

- *float witnesses*: forward mode, reverse mode, jet and the lowered closed form in one compiled,
  vmapped program in float64; a point counts when all four answers are there and have been
  compared with each other in NumPy.  jet is left out where it has no rule for a matrix function.
- *rigorous*: enclosures of value and derivative by balls, radius below 2^-60 of the value.
- *check_grads*: `jax.test_util.check_grads(f, (x,), order=1)` of the function and of the jitted
  function; one call checks one point along one direction.
- *gradcheck*: `torch.autograd.gradcheck(f, x, fast_mode=True)`, the same; torch joins where it
  is installed.
- *dk.verify*: the whole verdict, cold, with compilation, lift, proof and findings; per verdict.

Run `python benchmarks/checks_per_second.py` (about a minute).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

import diffkit as dk
from diffkit.bridge.batch import run_columns
from diffkit.bridge.subject import Subject, subject
from diffkit.core.errors import UnsupportedPrimitive
from diffkit.oracles import forward, jet, reverse
from diffkit.oracles.rigorous import Rigorous
from diffkit.verify.modes import mode_error

ELEMENTWISE_POINTS, MATRIX_POINTS, RIGOROUS_POINTS = 100_000, 10_000, 2_000
#: Points a second that were asked for.
TARGETS = {"elementwise": 5e5, "matrix": 5e4, "rigorous": 1e4}
SIZE = 8
#: The answers agree to this share of the largest: the benchmark is about speed.
AGREEMENT = 1e-6


@dataclass(frozen=True)
class Function:
    """One function that is checked.

    Args:
        name: What the table calls it.
        jax: In JAX, of a number or of an 8 x 8 matrix.
        torch: Module -> the same in torch.
        is_matrix: Whether its argument is a matrix.
    """

    name: str
    jax: Callable[..., Any]
    torch: Callable[[Any], Callable[..., Any]]
    is_matrix: bool = False


FUNCTIONS = (
    Function("tanh(x) x^2", lambda x: jnp.tanh(x) * x**2, lambda t: lambda x: t.tanh(x) * x**2),
    Function("silu", jax.nn.silu, lambda t: t.nn.functional.silu),
    Function(
        "gelu (erf)",
        lambda x: jax.nn.gelu(x, approximate=False),
        lambda t: t.nn.functional.gelu,
    ),
    Function(
        "log det X",
        lambda X: jnp.linalg.slogdet(X)[1],
        lambda t: lambda X: t.linalg.slogdet(X)[1],
        True,
    ),
    Function(
        "tr(X'X X)", lambda X: jnp.trace(X.T @ X @ X), lambda t: lambda X: t.trace(X.T @ X @ X),
        True,
    ),
    Function(
        "sum of tanh(X X)",
        lambda X: jnp.sum(jnp.tanh(X @ X)),
        lambda t: lambda X: t.sum(t.tanh(X @ X)),
        True,
    ),
)  # fmt: skip


def sample(function: Function, count: int) -> np.ndarray:
    """Points: normal numbers, or well-conditioned matrices."""
    rng = np.random.default_rng(0)
    if not function.is_matrix:
        return rng.normal(size=count)
    return rng.normal(size=(count, SIZE, SIZE)) / SIZE + np.eye(SIZE)


def by_floats(function: Function) -> dict[str, Any]:
    """Points a second through the float witnesses, warm, and where the time goes."""
    count = MATRIX_POINTS if function.is_matrix else ELEMENTWISE_POINTS
    points = sample(function, count)
    what = subject(function.jax, (points[0],), {}, None)
    rows = {
        mode.NAME: mode.row(what, 1)
        for mode in (forward, reverse, jet)
        if mode_error(what, "float64", mode.row(what, 1)) is None
    }
    rows["closed form"] = closed_form_row(what)
    tangents = directions(points)
    columns = ((points,), tangents, np.ones(count))
    check_agreement(run_columns(what, "float64", columns, rows))  # compiles

    def check() -> None:
        check_agreement(run_columns(what, "float64", columns, rows))

    each = {name: {name: row} for name, row in rows.items()}
    for one in each.values():
        run_columns(what, "float64", columns, one)
    times = harness.interleaved(
        {
            "all": check,
            **{
                name: lambda one=one: run_columns(what, "float64", columns, one)
                for name, one in each.items()
            },
        },
        rounds=5,
    )
    shares = {name: times[name] / count * 1e9 for name in each}
    return {
        "witnesses": len(rows),
        "points_per_second": count / times["all"],
        "ns_per_point": {name: round(value, 1) for name, value in shares.items()},
    }


def directions(points: np.ndarray) -> np.ndarray:
    """Ones for numbers, random unit directions for matrices."""
    if points.ndim == 1:
        return np.ones(len(points))
    drawn = np.random.default_rng(1).normal(size=points.shape)
    return drawn / np.linalg.norm(drawn, axis=(1, 2), keepdims=True)


def closed_form_row(what: Subject) -> Callable[[Any, Any, Any], Any]:
    """The lowered closed form of the gradient, against the direction."""
    gradient = dk.lift(what.function, *what.values).grad(what.names[0]).lower()

    def row(leaves: Any, tangent: Any, cotangent: Any) -> Any:
        return cotangent * jnp.sum(gradient(*leaves) * tangent)

    return row


def check_agreement(found: dict[str, np.ndarray]) -> None:
    """All witnesses say the same at every point."""
    first, *others = found.values()
    size = np.max(np.abs(first))
    for other in others:
        worst = np.max(np.abs(other - first))
        if not worst <= AGREEMENT * size:
            raise AssertionError(f"witnesses differ by {worst:.1e}; nothing is timed")


def by_balls(function: Function) -> float | None:
    """Points a second through the rigorous witness; matrices are asked one direction a time."""
    if function.is_matrix:
        points = sample(function, 4)
        what = subject(function.jax, (points[0],), {}, None)
        (probe, *_) = what.probes(what.values)
        rigorous = Rigorous(what, "float64")
        try:
            rigorous.enclosure(probe)
        except UnsupportedPrimitive:  # no balls for a factorisation
            return None
        return 1 / harness.interleaved({"one": lambda: rigorous.enclosure(probe)}, 3)["one"]
    points = sample(function, RIGOROUS_POINTS)
    what = subject(function.jax, (points[0],), {}, None)
    rigorous = Rigorous(what, "float64")
    found = rigorous.enclosures(points)  # traces
    assert all(each.kind == "smooth" for each in found)
    seconds = harness.interleaved({"all": lambda: rigorous.enclosures(points)}, 5)["all"]
    return len(points) / seconds


def by_check_grads(function: Function, jitted: bool) -> float:
    """Calls a second of JAX's checker, warm."""
    x = jnp.asarray(sample(function, 1)[0])
    run = jax.jit(function.jax) if jitted else function.jax
    times = harness.interleaved({"one": lambda: check_grads(run, (x,), order=1)}, rounds=5)
    return 1 / times["one"]


def by_gradcheck(function: Function) -> float | None:
    """Calls a second of torch's checker in fast mode, warm; None without torch."""
    if find_spec("torch") is None:
        return None
    import torch
    from torch.autograd.gradcheck import gradcheck

    torch.set_num_threads(1)
    x = torch.tensor(sample(function, 1)[0], requires_grad=True)
    run = function.torch(torch)
    times = harness.interleaved({"one": lambda: gradcheck(run, x, fast_mode=True)}, rounds=5)
    return 1 / times["one"]


def by_verdict(function: Function) -> float:
    """Seconds of one whole verdict, nothing compiled before."""
    x = jnp.asarray(sample(function, 1)[0])
    harness.forget()
    start = perf_counter()
    assert dk.verify(function.jax, x).ok
    return perf_counter() - start


def measure() -> list[dict[str, Any]]:
    """One row per function."""
    dk.verify(jnp.sin, 0.5)  # imports and the start of the backend
    rows = []
    for function in FUNCTIONS:
        floats = by_floats(function)
        balls = by_balls(function)
        target = TARGETS["matrix" if function.is_matrix else "elementwise"]
        row = {
            "function": function.name,
            "floats/s": floats["points_per_second"],
            "target": target,
            "met": floats["points_per_second"] >= target,
            "witnesses": floats["witnesses"],
            "rigorous/s": balls,
            "rigorous target": None if function.is_matrix else TARGETS["rigorous"],
            "rigorous met": None if function.is_matrix else balls >= TARGETS["rigorous"],
            "check_grads/s": by_check_grads(function, jitted=False),
            "check_grads jit/s": by_check_grads(function, jitted=True),
            "gradcheck fast/s": by_gradcheck(function),
            "verify, s": by_verdict(function),
            "ns_per_point": floats["ns_per_point"],
        }
        rows.append(row)
        print(harness.table([{k: v for k, v in row.items() if k != "ns_per_point"}]), flush=True)
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The page of results."""
    machine = harness.machine()
    torch = f", torch {version('torch')}" if find_spec("torch") is not None else ", no torch"
    columns = [name for name in rows[0] if name != "ns_per_point"]
    lines = [
        "# Points checked per second",
        "",
        "Written by `python benchmarks/checks_per_second.py`, which says what each column is.",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']}, "
        f"JAX {machine['versions']['jax']}{torch}, Python {machine['python']}.",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(cell(row[name]) for name in columns)} |" for row in rows),
        "",
        "Where the time goes, ns per point and witness:",
        "",
        *(
            f"- {row['function']}: "
            + ", ".join(f"{name} {value:g}" for name, value in row["ns_per_point"].items())
            for row in rows
        ),
        "",
    ]
    return "\n".join(lines)


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return (
        f"{value:,.0f}"
        if isinstance(value, float) and value >= 100
        else (f"{value:.3g}" if isinstance(value, float) else str(value))
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-write", action="store_true", help="print only")
    chosen = parser.parse_args()
    rows = measure()
    if chosen.no_write:
        return
    torch = version("torch") if find_spec("torch") is not None else None
    path = harness.write_results("checks_per_second", rows, torch=torch)
    page = Path(harness.RESULTS) / "checks_per_second.md"
    page.write_text(markdown(rows), encoding="utf-8")
    print(f"wrote {path.name} and {page.name}")


if __name__ == "__main__":
    main()
