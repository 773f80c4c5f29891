"""Settings every test runs under, and the two sources of randomness a test may use."""

import importlib
import importlib.util
import os
import sys
import zlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Before jax is imported anywhere: JAX 0.10 on two cores hangs in some jitted, vmapped
# programs (several LU factorisations) with the concurrency-optimised scheduler.
XLA_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
if XLA_FLAG not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {XLA_FLAG}".strip()

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

MARKERS = ("slow", "gpu", "statistical")
_ran: Counter[str] = Counter()
_workers_jax: set[str] = set()


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A number that depends on the test's id only, so that no test shares its randomness."""
    return zlib.crc32(request.node.nodeid.encode())


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A NumPy generator seeded by the test's id."""
    return np.random.default_rng(seed)


@pytest.fixture
def key(seed: int):
    """A typed JAX key seeded by the test's id."""
    jax = importlib.import_module("jax")
    return jax.random.key(seed)


@pytest.fixture(autouse=True)
def precision_of_balls():
    """Flint's precision is global: a test that left it changed would change later answers."""
    yield
    flint = sys.modules.get("flint")
    assert flint is None or flint.ctx.prec == 53, "the test leaves flint.ctx.prec changed"


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their number: a gzip file holds the second it was packed in.

    The processes of pytest-xdist must give every test the same id, whenever each collects.
    """
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def has_accelerator() -> bool:
    """Whether JAX finds a device other than the CPU."""
    if importlib.util.find_spec("jax") is None:
        return False
    return importlib.import_module("jax").default_backend() != "cpu"


def asks_for_a_slow_fixture(item: pytest.Item) -> bool:
    """Whether a test asks for a fixture that its module lists as slow, by whatever way."""
    slow = getattr(getattr(item, "module", None), "SLOW_FIXTURES", ())
    return not set(slow).isdisjoint(getattr(item, "fixturenames", ()))


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in filter(asks_for_a_slow_fixture, items):
        item.add_marker(pytest.mark.slow)
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not has_accelerator():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="JAX finds no accelerator"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or (report.when == "setup" and report.skipped):
        outcome = "skipped" if report.skipped else "ran"
        _ran.update(f"{name} {outcome}" for name in MARKERS if name in report.keywords)


def _jax_version() -> str:
    """Version and backend of JAX, "" where no test imported it."""
    jax = sys.modules.get("jax")
    return f"jax {jax.__version__} on {jax.default_backend()}" if jax is not None else ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)  # in a process of pytest-xdist alone
    if output is not None:
        output["jax"] = _jax_version()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node) -> None:
    _workers_jax.add(getattr(node, "workeroutput", {}).get("jax", ""))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    versions = [f"Python {sys.version.split()[0]}", *filter(None, {_jax_version(), *_workers_jax})]
    counts = [f"{name}: {count}" for name, count in sorted(_ran.items())]
    terminalreporter.write_line("; ".join([*versions, *counts]))
