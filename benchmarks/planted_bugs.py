"""Which gradient checker catches which bug: diffkit, `check_grads`, chex and torch on one table.

Question: of eleven kinds of planted bugs, each in three functions, which does each checker
catch, and how often does it object to a function that is right?

Every checker runs with its default settings: `dk.verify(f, x)`; `jax.test_util.check_grads(f,
(x,), order=1)` and `chex.assert_numerical_grads(f, (x,), order=1)` with float64 and with float32
arguments (a custom_vjp with the modes that exist); `torch.autograd.gradcheck(f, x)` with double
arguments, as its documentation asks.  The bug is planted in torch as an `autograd.Function`.
JAX's checker draws its direction from `RandomState(0)`, torch's default compares whole Jacobians,
diffkit's seed is 0.  chex and torch join where they are installed.

Run `python benchmarks/planted_bugs.py` (about two minutes).
"""

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import harness
import jax.numpy as jnp
import numpy as np
from cases.planted import CASES, KINDS, Case
from jax.test_util import check_grads

import diffkit as dk

#: What a checker made of a function.  Only diffkit warns (the verdict stands, a finding names a
#: fault beside it) or leaves a question open.
OBJECTS, WARNS, OPEN, PASSES, ABSENT = "objects", "warns", "open", "passes", "-"
Checker = Callable[[Case], str]


def by_diffkit(case: Case) -> str:
    verdict = dk.verify(case.function, jnp.asarray(case.point))
    if verdict.ok:
        return WARNS if any(each.severity != "note" for each in verdict.findings) else PASSES
    return OBJECTS if verdict.status == "refuted" else OPEN


def by_check_grads(dtype: str) -> Checker:
    def check(case: Case) -> str:
        x = jnp.asarray(case.point, dtype)
        return assertion(lambda: check_grads(case.function, (x,), order=1, modes=case.modes))

    return check


def by_chex(dtype: str) -> Checker:
    import chex

    def check(case: Case) -> str:
        x = jnp.asarray(case.point, dtype)
        return assertion(
            lambda: chex.assert_numerical_grads(case.function, (x,), order=1, modes=case.modes)
        )

    return check


def by_gradcheck(case: Case) -> str:
    import torch
    from torch.autograd.gradcheck import GradcheckError, gradcheck

    if case.torch is None:
        return ABSENT
    function = case.torch(torch)
    x = torch.tensor(case.point, dtype=torch.float64, requires_grad=True)
    try:
        gradcheck(function, x)
    except GradcheckError:
        return OBJECTS
    return PASSES


def assertion(run: Callable[[], Any]) -> str:
    """What a checker says that raises `AssertionError` where it objects."""
    try:
        run()
    except AssertionError:
        return OBJECTS
    return PASSES


def checkers() -> dict[str, Checker]:
    """The checkers that are installed."""
    found: dict[str, Checker] = {
        "diffkit": by_diffkit,
        "check_grads f64": by_check_grads("float64"),
        "check_grads f32": by_check_grads("float32"),
    }
    if find_spec("chex") is not None:
        found["chex f64"], found["chex f32"] = by_chex("float64"), by_chex("float32")
    if find_spec("torch") is not None:
        found["gradcheck"] = by_gradcheck
    return found


def measure(chosen: Mapping[str, Checker]) -> list[dict[str, Any]]:
    """One row per function: what every checker says, and how long diffkit takes."""
    rows = []
    for case in CASES:
        row: dict[str, Any] = {"kind": case.kind, "function": case.name}
        for name, check in chosen.items():
            start = perf_counter()
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                row[name] = check(case)
            if name == "diffkit":
                row["diffkit_seconds"] = perf_counter() - start
        print(harness.table([row]).splitlines()[1], flush=True)
        rows.append(row)
    return rows


def by_kind(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """How many functions of each kind each checker objects to."""
    found = []
    for kind in KINDS:
        some = [row for row in rows if row["kind"] == kind]
        found.append({"bug": kind, **{name: _count([row[name] for row in some]) for name in names}})
    return found


def _count(said: Sequence[str]) -> str:
    """Objections of so many, and what else is no acquittal."""
    others = [(word, said.count(word)) for word in (WARNS, OPEN) if word in said]
    rest = "".join(f", {count} {word}" for word, count in others)
    return f"{said.count(OBJECTS)} of {len(said)}{rest}"


def markdown(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """The page of results."""
    machine = harness.machine()
    used = {
        "JAX": machine["versions"]["jax"],
        **{name: version(name) for name in ("chex", "torch") if find_spec(name) is not None},
    }
    bugs = [row for row in rows if row["kind"] != "clean"]
    totals = {name: sum(row[name] == OBJECTS for row in bugs) for name in names}
    clean = [row for row in rows if row["kind"] == "clean"]
    alarms = {name: sum(row[name] == OBJECTS for row in clean) for name in names}
    lines = [
        "# Which checker catches which planted bug",
        "",
        "Written by `python benchmarks/planted_bugs.py`, which says how each checker is called:",
        "with its default settings, torch in double. A cell counts the functions it objects to;",
        "in the last row, clean functions, every objection is a false alarm. `warns`: the verdict",
        "is good and a finding beside it names a fault; `open`: undecided, which is no acquittal.",
        "",
        f"{', '.join(f'{name} {number}' for name, number in used.items())}, "
        f"Python {machine['python']}.",
        "",
        *grid(by_kind(rows, names), ("bug", *names)),
        "",
        *(
            f"- **{name}**: {totals[name]} of {len(bugs)} bugs caught, "
            f"{alarms[name]} of {len(clean)} clean functions called wrong."
            for name in names
        ),
        "",
        *absent(),
        "## Function by function",
        "",
        *grid(rows, ("kind", "function", *names)),
        "",
    ]
    return "\n".join(lines)


def absent() -> list[str]:
    """Which peers were not there."""
    missing = [name for name in ("chex", "torch") if find_spec(name) is None]
    return [f"Not installed: {', '.join(missing)}.", ""] if missing else []


def grid(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Rows as a Markdown table."""
    cells = [[str(row[column]).replace("|", "\\|") for column in columns] for row in rows]
    return [
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(line)} |" for line in cells),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--no-write", action="store_true", help="print only")
    chosen = parser.parse_args()
    found = checkers()
    rows = measure(found)
    print()
    print(harness.table(by_kind(rows, list(found))))
    print(*absent(), sep="\n")
    if chosen.no_write:
        return
    peers = {name: version(name) for name in ("chex", "torch") if find_spec(name) is not None}
    path = harness.write_results("planted_bugs", rows, peers=peers, seed=0)
    page = Path(harness.RESULTS) / "planted_bugs.md"
    page.write_text(markdown(rows, list(found)), encoding="utf-8")
    print(f"wrote {path.name} and {page.name}")


if __name__ == "__main__":
    main()
