"""The pytest plugin: fixture, marker, claims as tests, summary and report.

Loading it imports neither JAX nor SymPy; the first judged claim does.  Options:

- `--diffkit-claims PACKAGE` collects the claims of a package, one test each;
- `--diffkit-report FILE` writes every verdict as JSON, with the skipped and expected failures.
"""

import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from diffkit.core.errors import DiffkitError, UsageError
from diffkit.core.scheduler import guard_scheduler
from diffkit.core.verdict import Verdict
from diffkit.testing.items import (
    ClaimItem,
    PackageClaims,
    keep,
    marked_options,
    raise_unless_good,
    taken,
)
from diffkit.testing.ledger import Ledger
from diffkit.verify.collect import collect_own

FIXTURE = "check_gradient"
_FLAGS = pytest.StashKey[str | None]()
#: Options of the marker that only `dk.verify` has.
_ONLY_VERIFY = frozenset({"dtypes"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the two options."""
    group = parser.getgroup("diffkit", "claims about derivatives")
    group.addoption(
        "--diffkit-claims",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="judge the claims of this module or package, one test each (may be repeated)",
    )
    group.addoption(
        "--diffkit-report", metavar="FILE", help="write all verdicts of this session as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and, except in a worker of pytest-xdist, the ledger."""
    config.addinivalue_line(
        "markers",
        "diffkit(budget, seed, dtypes, allow_undecided): options of the claims judged in a test",
    )
    if hasattr(config, "workerinput"):
        return
    report = config.getoption("--diffkit-report")
    if report is not None and (not report.strip() or Path(report).is_dir()):
        raise pytest.UsageError(f"--diffkit-report {report!r} is no file; name one to write")
    config.pluginmanager.register(Ledger(Path(report) if report else None), "diffkit-ledger")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the environment as it was."""
    if _FLAGS in config.stash:
        flags = config.stash[_FLAGS]
        if flags is None:
            os.environ.pop("XLA_FLAGS", None)
        else:
            os.environ["XLA_FLAGS"] = flags


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Add the claims of a test module to its tests."""
    report = yield
    # the collectors of doctests are another view of the same module, or of a text without one
    is_module = isinstance(collector, pytest.Module) and not type(collector).__name__.startswith(
        "Doctest"
    )
    if is_module and report.passed:
        found = collect_own(collector.obj)
        report.result.extend(ClaimItem.of(collector, claim) for claim in found)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the claims of the packages asked for, and refuse markers nobody understands."""
    for name in config.getoption("--diffkit-claims"):
        try:
            items += PackageClaims.from_parent(session, name=name, nodeid=name).collect()
        except UsageError as error:
            raise pytest.UsageError(f"--diffkit-claims {name}: {error}") from error
    for item in items:
        try:
            marked_options(item)
        except UsageError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from error
    if any(map(_judges, items)):
        config.stash[_FLAGS] = os.environ.get("XLA_FLAGS")
        guard_scheduler()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let the verdicts of this phase travel with its report, also out of a worker."""
    report = yield
    if _judges(item):
        report.diffkit = taken(item, call)  # ty: ignore[missing-attribute]
    return report


@pytest.fixture
def check_gradient(request: pytest.FixtureRequest) -> Callable[..., Verdict]:
    """Judge a gradient and fail unless it is good.

    `check_gradient(f, *args)` asks whether AD computes the derivative of `f` (`dk.verify`),
    `check_gradient(f, *args, claim=...)` whether the claimed derivative is right (`dk.check`).
    Further keywords are those of the verb; what the marker `diffkit` gives is their default.
    An undecided claim fails too, unless `allow_undecided=True`.  Returns the verdict.
    """
    marked = marked_options(request.node)

    def judge(f: Any, /, *args: Any, claim: Any = None, **options: Any) -> Verdict:
        __tracebackhide__ = True
        if claim is not None and "dtypes" in options:
            raise UsageError("dtypes= belongs to check_gradient(f, ...) without claim=; leave one")
        given = {**marked, **options}
        is_allowed = bool(given.pop("allow_undecided", False))
        try:
            verdict = _verdict(f, args, claim, given)
        except DiffkitError as error:
            # the frames below show diffkit alone; the line of the test is what helps
            raise error.with_traceback(None) from None
        keep(request.node, verdict)
        return raise_unless_good(verdict, allow_undecided=is_allowed)

    return judge


def _verdict(f: Any, args: tuple[Any, ...], claim: Any, given: Mapping[str, Any]) -> Verdict:
    if claim is None:
        from diffkit.verify.verify import verify

        return verify(f, *args, **given)
    from diffkit.verify.check import check

    kept = {key: value for key, value in given.items() if key not in _ONLY_VERIFY}
    return check(f, claim, *args, **kept)


def _judges(item: pytest.Item) -> bool:
    return isinstance(item, ClaimItem) or FIXTURE in getattr(item, "fixturenames", ())
