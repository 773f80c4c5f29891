"""The survey: which public functions of JAX and Optax can be read as formulas.

    python -m diffkit.atlas.lifting [--module jax.nn] [--jobs 1] [--json FILE] [--markdown FILE]

Every function of `public_functions` is lifted, and its formula is held against the function
itself (`attempt`).  The table is generated, never edited.  Nothing heavy is imported before the
environment of XLA is set.
"""

import argparse
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffkit.core.errors import DiffkitError
from diffkit.core.scheduler import guard_scheduler
from diffkit.typeset.tables import markdown

if TYPE_CHECKING:
    from diffkit.atlas.attempt import Attempt

#: Limit for one function.
SECONDS = 20.0

STATUSES = ("lifted", "opaque", "refused", "failed")


@dataclasses.dataclass(frozen=True)
class Survey:
    """The outcome for all names asked.

    Args:
        attempts: One per function with a nonzero gradient.
        unlisted: Public name -> why it is not among them.
    """

    attempts: tuple["Attempt", ...]
    unlisted: dict[str, str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the survey; the status is 1 when a lift failed by a defect of diffkit."""
    options = _parser().parse_args(argv)
    guard_scheduler()
    try:
        found = survey(options.module, jobs=options.jobs, seconds=options.seconds)
    except DiffkitError as error:
        print(f"diffkit.atlas.lifting: {error}", file=sys.stderr)
        return error.exit_status
    for file, text in ((options.json, to_json), (options.markdown, to_markdown)):
        if file is not None:
            file.write_text(text(found), encoding="utf-8")
    print("\n".join(_summary(found)))
    return int(any(each.status == "failed" for each in found.attempts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m diffkit.atlas.lifting", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--module", action="append", metavar="NAME", help="only this module")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default 1)")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit for one function")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all outcomes")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    return parser


def survey(
    modules: Iterable[str] | None = None, *, jobs: int = 1, seconds: float = SECONDS
) -> Survey:
    """Lift every public function of the modules.

    Args:
        modules: Names out of `public_functions.MODULES`; None for all.
        jobs: Processes; 1 works in this one.
        seconds: Limit for one function.

    Raises:
        UsageError: a module is not listed or not installed.
    """
    from diffkit.atlas import attempt, public_functions

    names = tuple(public_functions.public_names(modules or public_functions.MODULES))
    if jobs <= 1:
        outcomes = [attempt.survey(name, seconds) for name in names]
    else:
        outcomes = list(_in_processes(attempt.survey, names, jobs, seconds))
    pairs = list(zip(names, outcomes, strict=True))
    return Survey(
        tuple(each for _, each in pairs if not isinstance(each, str)),
        {name: each for name, each in pairs if isinstance(each, str)},
    )


def _in_processes(
    work: Callable[[str, float], Any], names: Sequence[str], jobs: int, seconds: float
) -> Iterator[Any]:
    # spawn: a forked process would inherit the threads of XLA without their locks
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(work, name, seconds) for name in names]
        for name, future in zip(names, futures, strict=True):
            yield _outcome(name, future)


def _outcome(name: str, future: Future[Any]) -> Any:
    from diffkit.atlas.attempt import Attempt

    try:
        return future.result()
    except BrokenProcessPool as error:
        message = f"{error}; run it with --jobs 1"
        return Attempt(name, "failed", message=message)


def counts(attempts: Iterable["Attempt"]) -> dict[str, Counter[str]]:
    """Module -> status -> number of functions."""
    from diffkit.atlas.public_functions import module_of

    found: dict[str, Counter[str]] = {}
    for each in attempts:
        found.setdefault(module_of(each.name), Counter())[each.status] += 1
    return found


def histogram(names: Iterable[Iterable[str]]) -> list[tuple[str, int]]:
    """Name -> number of rows it is in, most frequent first, then by name.

    >>> histogram([("add", "mul"), ("mul",)])
    [('mul', 2), ('add', 1)]
    """
    found = Counter(name for row in names for name in row)
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def to_json(found: Survey) -> str:
    """All outcomes as JSON."""
    content = {
        "versions": _versions(),
        "attempts": [dataclasses.asdict(each) for each in found.attempts],
        "unlisted": found.unlisted,
        "primitives": dict(histogram(each.primitives for each in found.attempts)),
        "idioms": dict(histogram(each.idioms for each in found.attempts)),
    }
    return json.dumps(content, indent=1) + "\n"


def to_markdown(found: Survey) -> str:
    """The table as Markdown."""
    parts = [
        *_header(),
        *_count_table(found),
        "## Refusals by primitive\n",
        *markdown(("primitive", "refused functions"), _refusals(found)),
        "## Functions\n",
        *markdown(("function", "status", "error / bound", "why not"), map(_row, found.attempts)),
        "## Primitives\n",
        "Number of listed functions whose jaxpr, inner jaxprs included, contains the primitive.\n",
        *markdown(("primitive", "functions"), histogram(e.primitives for e in found.attempts)),
        "## Inner functions with a name\n",
        *markdown(("name", "functions"), histogram(e.idioms for e in found.attempts)),
        "## Arguments by which JAX gives no gradient\n",
        *markdown(("function", "position", "reason"), _without(found)),
        "## Not listed\n",
        *markdown(("name", "reason"), found.unlisted.items()),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _header() -> list[str]:
    versions = ", ".join(f"{name} {number}" for name, number in _versions().items())
    return [
        "# Which public functions can be lifted\n",
        "Generated by `python -m diffkit.atlas.lifting --markdown docs/lifting_table.md` with "
        f"{versions}; do not edit.",
        "A function is listed when the gradient of a weighted sum of its results is finite and not "
        "zero at one point.",
        "Errors are those of the formula's value and gradient against the function and `jax.grad` "
        "in float64, with the bound granted.\n",
    ]


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("jax", "optax", "sympy")}


def _count_table(found: Survey) -> list[str]:
    rows = [
        (module, *(number[status] for status in STATUSES), sum(number.values()))
        for module, number in counts(found.attempts).items()
    ]
    total = ("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:]))
    return markdown(("module", *STATUSES, "all"), [*rows, total])


def _refusals(found: Survey) -> list[tuple[str, int]]:
    refused = (each for each in found.attempts if each.status == "refused")
    return histogram((each.primitive or each.message.partition(":")[0],) for each in refused)


def _without(found: Survey) -> list[tuple[str, int, str]]:
    return [(each.name, k, reason) for each in found.attempts for k, reason in each.without]


def _row(each: "Attempt") -> tuple[str, str, str, str]:
    certificate = each.certificate
    measured = ""
    if certificate is not None:
        measured = (
            f"{certificate.value_error:.0e} / {certificate.value_bound:.0e}, gradient "
            f"{certificate.gradient_error:.0e} / {certificate.gradient_bound:.0e}"
        )
    why = f"`{each.primitive}`: {each.message}" if each.primitive else each.message
    kept = f"keeps {', '.join(each.opaque)}" if each.opaque else ""
    return each.name, each.status, measured, why.partition(". Rows exist")[0] or kept


def _summary(found: Survey) -> Iterator[str]:
    for module, number in counts(found.attempts).items():
        shares = ", ".join(f"{number[status]} {status}" for status in STATUSES)
        yield f"{module}: {sum(number.values())} functions, {shares}"
    for each in found.attempts:
        if each.status == "failed":
            yield f"failed: {each.name}: {each.message}"
    yield f"{len(found.attempts)} functions, {len(found.unlisted)} names not listed"


if __name__ == "__main__":
    sys.exit(main())
