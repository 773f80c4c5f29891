"""Hessians by structure against jitted `jax.hessian`, `jacfwd(jacrev)` and `jacrev(jacrev)`.

Question: how many times faster than the best of the three is the Hessian of a lifted function,
as a dense array, in its structure, and in a Newton step?  Each row has the ratio it must reach.

Every Hessian comes from `dk.lift` of ordinary JAX code.  Correctness comes first: a contender
whose entries differ from `jacrev(jacrev)` by more than `ALLOWED` of the largest is not timed.
A ratio is the median over rounds of the baseline's time over ours; all contenders of a row run in
turn in one process.  `structured` returns the numbers of which the Hessian is made and no dense
array; `newton` is U - H^-1 G, for the baselines by `jnp.linalg.solve` with the dense Hessian.

Two settings hold for all contenders.  LAPACK's threads are set to one: they spin, and on a busy
machine a 32 x 32 triangular solve then waits for milliseconds, in the baselines as in ours.  JAX
runs a program in the thread that calls it (`jax_cpu_enable_async_dispatch` off): every call here
waits for its result, and handing it to another thread takes 25 us.
torch, CasADi and SymEngine join the small race of the peers where they are installed.

Run `python benchmarks/hessians.py` (some minutes) or `--quick`.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy and SciPy load their libraries

import harness
import jax
import jax.numpy as jnp
import numpy as np

import diffkit as dk

jax.config.update("jax_cpu_enable_async_dispatch", False)

#: Largest difference from `jacrev(jacrev)`, as a share of the largest entry.
ALLOWED = {"float64": 1e-11, "float32": 3e-5}
LAYERS = 10
WIDTH = 50

Arrays = tuple[Any, ...]


@dataclass(frozen=True)
class Subject:
    """A function, its arguments and the ratios its Hessian must reach.

    Args:
        name: What the table calls it.
        function: Ordinary JAX code.
        wrt: Position of the variable.
        arguments: Draws the arguments.
        required: "dense", "structured", "newton" -> least ratio to the best baseline.
        least: As `required`, but to `jax.hessian` alone.
    """

    name: str
    function: Callable[..., Any]
    wrt: int
    arguments: Callable[[np.random.Generator], Any]
    required: Mapping[str, float]
    least: Mapping[str, float] = field(default_factory=dict)


# --- the functions -------------------------------------------------------------------------------


def quadratic(A: Any, x: Any) -> Any:
    return x @ A @ x


def factorisation(U: Any, V: Any, T: Any) -> Any:
    return jnp.sum((T - U @ V.T) ** 2)


def log_determinant(S: Any) -> Any:
    return jnp.linalg.slogdet(S)[1]


def logistic(w: Any, X: Any, y: Any) -> Any:
    return jnp.mean(jnp.logaddexp(0.0, -y * (X @ w)))


def elementwise(x: Any) -> Any:
    return jnp.sum(jnp.tanh(x) * x**2)


def relu_net(W: Any, x: Any, layers: Sequence[Any]) -> Any:
    hidden = jax.nn.relu(x @ W)
    for weight in layers:
        hidden = jax.nn.relu(hidden @ weight)
    return jax.nn.logsumexp(hidden)


def tanh_net(W: Any, x: Any, layers: Sequence[Any]) -> Any:
    hidden = jnp.tanh(x @ W)
    for weight in layers:
        hidden = jnp.tanh(hidden @ weight)
    return jax.nn.logsumexp(hidden)


def rosenbrock(x: Any) -> Any:
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def pairs(x: Any) -> Any:
    return jnp.sum(jnp.sin(x[:, None] * x[None, :]))


def attention(q: Any, K: Any, V: Any) -> Any:
    return jnp.sum(jnp.tanh(jax.nn.softmax(K @ q) @ V))


def perceptron(v: Any, W: Any, X: Any, Y: Any) -> Any:
    hidden = jnp.tanh(X @ W)
    return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(hidden @ v), axis=1))


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Any]:
    """Standard normal arrays."""
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def samples(count: int, size: int) -> Callable[[np.random.Generator], Any]:
    """Weights, inputs and labels -1 or 1 of a logistic regression."""
    return lambda rng: (
        rng.normal(size=size) / size**0.5,
        rng.normal(size=(count, size)),
        np.sign(rng.normal(size=count)),
    )


def layers(gain: float) -> Callable[[np.random.Generator], Any]:
    """First weight, one sample and the other weights of a net of `LAYERS` layers."""

    def draw(rng: np.random.Generator) -> Any:
        weights = [rng.normal(size=(WIDTH, WIDTH)) * gain / WIDTH**0.5 for _ in range(LAYERS)]
        return weights[0], rng.normal(size=WIDTH), weights[1:]

    return draw


MATRIX_FACTORISATION = {"dense": 80.0, "structured": 900.0, "newton": 300.0}
SUBJECTS = (
    Subject("x'Ax, n = 1024", quadratic, 1, normal((1024, 1024), (1024,)), {"dense": 8.0}),
    *(
        Subject(
            f"|T - UV'|^2, {n} x {n}, rank 5",
            factorisation,
            0,
            normal((n, 5), (n, 5), (n, n)),
            MATRIX_FACTORISATION,
        )
        for n in (100, 200)
    ),
    Subject("relu net, layer 1 of 10, n = 50", relu_net, 0, layers(2**0.5), {"structured": 90.0}),
    Subject("tanh net, layer 1 of 10, n = 50", tanh_net, 0, layers(1.0), {"structured": 90.0}),
    Subject(
        "log det, 32 x 32",
        log_determinant,
        0,
        lambda rng: (rng.normal(size=(32, 32)) + 8 * np.eye(32),),
        {"dense": 4.0},
    ),
    Subject(
        "logistic regression (4096, 256)",
        logistic,
        0,
        samples(4096, 256),
        {"dense": 1.0},
        {"dense": 1.5},
    ),
    Subject("logsumexp, n = 1024", jax.nn.logsumexp, 0, normal((1024,)), {"dense": 0.9}),
    Subject("diagonal, n = 1024", elementwise, 0, normal((1024,)), {"dense": 0.9}),
    Subject("Rosenbrock, n = 1024", rosenbrock, 0, normal((1024,)), {"dense": 0.9}),
    Subject("sum of sin(x_i x_j), n = 128", pairs, 0, normal((128,)), {"dense": 0.9}),
    Subject(
        "attention, n = 256",
        attention,
        0,
        lambda rng: (
            rng.normal(size=256) / 16,
            rng.normal(size=(512, 256)) / 4,
            rng.normal(size=(512, 64)),
        ),
        {"dense": 0.9},
    ),
    Subject(
        "last layer of a perceptron",
        perceptron,
        0,
        lambda rng: (
            rng.normal(size=(64, 10)) / 8,
            rng.normal(size=(64, 64)) / 8,
            rng.normal(size=(256, 64)),
            np.eye(10)[rng.integers(10, size=256)],
        ),
        {"dense": 0.9},
    ),
)
BASELINES: Mapping[str, Callable[..., Any]] = {
    "jax.hessian": jax.hessian,
    "jacfwd(jacrev)": lambda f, wrt: jax.jacfwd(jax.jacrev(f, wrt), wrt),
    "jacrev(jacrev)": lambda f, wrt: jax.jacrev(jax.jacrev(f, wrt), wrt),
}


# --- contenders: each takes the arguments as leaves ----------------------------------------------


def on_leaves(f: Callable[..., Any], arguments: Any) -> Callable[..., Any]:
    """The function of the leaves of its arguments."""
    structure = jax.tree.structure(arguments)
    return lambda *leaves: f(*jax.tree.unflatten(structure, leaves))


def contenders(subject: Subject, arguments: Any) -> dict[str, dict[str, Callable[..., Any]]]:
    """What is asked for -> contender -> function of the leaves."""
    formula = dk.lift(subject.function, *arguments)
    wrt = formula.names[subject.wrt]
    hessian = formula.hessian(wrt)
    structured, gradient = hessian.structured(), formula.grad(wrt).lower()
    dense = {
        name: on_leaves(make(subject.function, subject.wrt), arguments)
        for name, make in BASELINES.items()
    }
    found = {
        "dense": {**dense, "ours": hessian.lower()},
        "structured": {**dense, "ours": structured.lower()},
    }
    if "newton" in subject.required:
        by_gradient = on_leaves(jax.grad(subject.function, subject.wrt), arguments)

        def step(make: Callable[..., Any], *leaves: Any) -> Any:
            variable, matrix = leaves[subject.wrt], make(*leaves)
            n = variable.size
            flat = jnp.linalg.solve(matrix.reshape(n, n), by_gradient(*leaves).reshape(n))
            return variable - flat.reshape(variable.shape)

        def ours(*leaves: Any) -> Any:
            return leaves[subject.wrt] - structured(*leaves).solve(gradient(*leaves))

        found["newton"] = {
            **{name: lambda *x, make=make: step(make, *x) for name, make in dense.items()},
            "ours": ours,
        }
    return {kind: found[kind] for kind in found if kind == "dense" or kind in subject.required}


def error(kind: str, found: Any, expected: Any) -> float:
    """Largest difference as a share of the largest entry."""
    value = found.dense() if kind == "structured" else found
    return float(jnp.max(jnp.abs(value - expected)) / jnp.max(jnp.abs(expected)))


def measure(subject: Subject, dtype: str, rounds: int) -> list[dict[str, Any]]:
    """One row for each thing that is asked of the subject."""
    drawn = subject.arguments(np.random.default_rng(0))
    arguments = jax.tree.map(lambda x: jnp.asarray(x, dtype), drawn)
    leaves = jax.tree.leaves(arguments)
    name = str(dk.lift(subject.function, *arguments).names[subject.wrt])
    shown = dk.lift(subject.function, *arguments).hessian(name).structured().structure
    rows = []
    for kind, makers in contenders(subject, arguments).items():
        programs = {each: jax.jit(f) for each, f in makers.items()}
        expected = programs["jacrev(jacrev)"](*leaves)
        difference = error(kind, programs["ours"](*leaves), expected)
        allowed = ALLOWED[dtype] * (100 if kind == "newton" else 1)
        if not difference <= allowed:
            raise ArithmeticError(f"{subject.name}, {kind}: error {difference:.1e}")
        del expected
        times = harness.interleaved(
            {
                each: lambda run=run: jax.block_until_ready(run(*leaves))
                for each, run in programs.items()
            },
            rounds,
        )
        rows.append(_row(subject, kind, dtype, str(shown), difference, times))
    return rows


def _row(
    subject: Subject, kind: str, dtype: str, shown: str, difference: float, times: harness.Times
) -> dict[str, Any]:
    best = min(BASELINES, key=lambda each: times[each])
    ratio, plain = times.ratio(best, "ours"), times.ratio("jax.hessian", "ours")
    required, least = subject.required.get(kind), subject.least.get(kind)
    is_met = None
    if required is not None:
        is_met = bool(ratio >= required and (least is None or plain >= least))
    return {
        "function": subject.name,
        "what": kind,
        "dtype": dtype,
        "structure": shown,
        "error": difference,
        "best": best,
        "best_us": times[best] * 1e6,
        "ours_us": times["ours"] * 1e6,
        "best/ours": ratio,
        "required": required,
        "hessian/ours": plain,
        "required of it": least,
        "met": is_met,
    }


# --- peers, on a function that all of them take --------------------------------------------------

PEER_SAMPLES, PEER_SIZE = 32, 4


def by_sympy(w: Any, X: Any, y: Any) -> Callable[[], Any]:
    import sympy as sp

    symbols = sp.symbols(f"w:{len(w)}")
    margins = -y[:, None] * X @ np.array(symbols)
    loss = sum(sp.log(1 + sp.exp(m)) for m in margins) / len(y)
    run = sp.lambdify([symbols], sp.hessian(loss, symbols), "numpy", cse=True)
    return lambda: np.asarray(run(w))


def by_symengine(w: Any, X: Any, y: Any) -> Callable[[], Any]:
    import symengine as se

    symbols = se.symbols(f"w:{len(w)}")
    margins = -y[:, None] * X @ np.array(symbols)
    loss = sum(se.log(1 + se.exp(m)) for m in margins) / len(y)
    rows = [[loss.diff(a).diff(b) for b in symbols] for a in symbols]
    run = se.Lambdify(symbols, se.Matrix(rows), cse=True)
    return lambda: np.asarray(run(w))


def by_casadi(w: Any, X: Any, y: Any) -> Callable[[], Any]:
    import casadi as ca

    symbol = ca.SX.sym("w", len(w))
    margins = -ca.DM(y) * ca.mtimes(ca.DM(X), symbol)
    loss = ca.sum1(ca.log(1 + ca.exp(margins))) / len(y)
    run = ca.Function("hessian", [symbol], [ca.hessian(loss, symbol)[0]])
    return lambda: np.asarray(run(w))


def by_torch(w: Any, X: Any, y: Any) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(1)
    inputs, labels = torch.tensor(X), torch.tensor(y)

    def loss(v: Any) -> Any:
        return torch.nn.functional.softplus(-labels * (inputs @ v)).mean()

    run, at = torch.func.hessian(loss), torch.tensor(w)
    return lambda: run(at).numpy()


PEERS = {"sympy": by_sympy, "symengine": by_symengine, "casadi": by_casadi, "torch": by_torch}


def measure_peers(rounds: int) -> list[dict[str, Any]]:
    """Logistic regression so small that SymPy finishes."""
    w, X, y = samples(PEER_SAMPLES, PEER_SIZE)(np.random.default_rng(0))
    program = jax.jit(dk.lift(logistic, w, X, y).hessian("w").lower())
    expected = np.asarray(jax.hessian(logistic)(w, X, y))
    device = tuple(map(jnp.asarray, (w, X, y)))
    runs = {"ours": lambda: program(*device).block_until_ready()}
    rows = []
    for name, make in PEERS.items():
        if find_spec(name) is None:
            print(f"{name}: not installed")
            rows.append({"peer": name, "us": None, "peer/ours": None})
            continue
        runs[name] = make(w, X, y)
        np.testing.assert_allclose(runs[name](), expected, rtol=1e-9, atol=1e-12)
    times = harness.interleaved(runs, rounds)
    measured = [
        {"peer": name, "us": times[name] * 1e6, "peer/ours": times.ratio(name, "ours")}
        for name in runs
    ]
    return [*measured, *rows]


def dispatch_seconds() -> float:
    """What a jitted call that computes nothing takes: no ratio of this file can beat it."""
    run, x = jax.jit(lambda x: x + 1), jnp.zeros(())
    return harness.interleaved({"empty": lambda: run(x).block_until_ready()}, 11)["empty"]


# --- the table -----------------------------------------------------------------------------------

COLUMNS = (
    "function", "what", "dtype", "structure", "best", "best_us", "ours_us", "best/ours", "required",
    "hessian/ours", "met",
)  # fmt: skip


def markdown(
    rows: Sequence[Mapping[str, Any]], peers: Sequence[Mapping[str, Any]], dispatch_us: float
) -> str:
    """The table of results as a page."""
    machine = harness.machine()
    lines = [
        "# Hessians by structure",
        "",
        "Written by `python benchmarks/hessians.py`, which says how it measures. `best` is",
        "the fastest of `jax.hessian`, `jacfwd(jacrev)` and `jacrev(jacrev)`, jitted; ratios are",
        "medians of rounds in which all contenders run in turn. Times in microseconds; a jitted",
        f"call that computes nothing takes {dispatch_us:.0f}: no contender is faster than that.",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']}, "
        f"JAX {machine['versions']['jax']}, Python {machine['python']}.",
        "",
        *_grid(rows, COLUMNS),
        "",
        f"Logistic regression ({PEER_SAMPLES}, {PEER_SIZE}), float64, per call:",
        "",
        *_grid(peers, ("peer", "us", "peer/ours")),
        "",
    ]
    return "\n".join(lines)


def _grid(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    body = [f"| {' | '.join(_cell(row[column]) for column in columns)} |" for row in rows]
    return head + body


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return str(value).replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Hessians by structure against the orders of AD: errors first, then ratios"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds; nothing is written")
    parser.add_argument("--only", default="", help="measure functions whose name contains this")
    parser.add_argument("--dtype", choices=[*ALLOWED, "both"], default="both")
    options = parser.parse_args()
    rounds = 3 if options.quick else 15
    chosen = [each for each in SUBJECTS if options.only in each.name]
    if not chosen:
        parser.error(f"no function is called {options.only!r}")
    dtypes = list(ALLOWED) if options.dtype == "both" else [options.dtype]
    rows: list[dict[str, Any]] = []
    for dtype in dtypes:
        for subject in chosen:
            found = measure(subject, dtype, rounds)
            print(harness.table(found, COLUMNS), flush=True)
            rows += found
            jax.clear_caches()
    peers = [] if options.only else measure_peers(rounds)
    print("\n" + harness.table(rows, COLUMNS) + "\n\n" + harness.table(peers))
    if not options.quick and not options.only and options.dtype == "both":
        dispatch_us = dispatch_seconds() * 1e6
        notes = {"peers": peers, "blas_threads": 1, "dispatch_us": dispatch_us}
        path = harness.write_results("hessians", rows, **notes)
        page = Path(path).with_suffix(".md")
        page.write_text(markdown(rows, peers, dispatch_us), encoding="utf-8")
        print(f"\nwrote {path.name} and {page.name}")


if __name__ == "__main__":
    main()
