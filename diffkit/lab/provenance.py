"""Where a result comes from: code, versions, machine, time.

Nothing here names a host, a user or a path, since records are committed.  What cannot be found
out is the text "unknown", never a guess.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from diffkit.core.errors import UsageError

UNKNOWN = "unknown"
PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
LIBRARIES = (
    "diffkit",
    "flax",
    "jax",
    "jaxlib",
    "matplotlib",
    "mpmath",
    "numpy",
    "optax",
    "python-flint",
    "scikit-learn",
    "scipy",
    "sympy",
)
#: Variables that change what a program computes or how fast.
VARIABLES = ("XLA_FLAGS", "JAX_ENABLE_X64", "JAX_PLATFORMS", "JAX_DEFAULT_MATMUL_PRECISION")


def collect(*, dtype: str = "", seeds: Iterable[int] = ()) -> dict[str, Any]:
    """Return everything that is needed to judge where a result comes from, as JSON data.

    Args:
        dtype: Precision the experiment computed in, "" if it does not say.
        seeds: Seeds of the random streams.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_state(ROOT),
        "lock": _digest(ROOT / "requirements.lock"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "versions": versions(),
        "jax": jax_state(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "dtype": dtype or UNKNOWN,
        "seeds": [int(seed) for seed in seeds],
        "peak_memory_bytes": peak_memory(),
    }


def git_state(root: Path) -> dict[str, Any]:
    """Commit and whether files differ from it; "unknown" outside a checkout rooted at `root`.

    An installed package may lie inside somebody else's checkout; its commit would be a lie.
    """
    nothing = {"commit": UNKNOWN, "dirty": UNKNOWN}
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != root.resolve():
        return nothing
    commit, status = _git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain")
    if commit is None or status is None:
        return nothing
    return {"commit": commit, "dirty": bool(status)}


def versions() -> dict[str, str]:
    """Version of each library that is installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu_model() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or UNKNOWN


def jax_state() -> dict[str, Any]:
    """Device and precision settings of JAX, if the program has imported it; else "unknown".

    Importing JAX here would start a backend that the program did not ask for.
    """
    jax = sys.modules.get("jax")
    if jax is None:
        return {"device": UNKNOWN}
    devices = jax.devices()
    return {
        "device": devices[0].device_kind,
        "backend": devices[0].platform,
        "devices": len(devices),
        "x64": bool(jax.config.jax_enable_x64),
        "matmul_precision": str(jax.config.jax_default_matmul_precision),
    }


def peak_memory() -> int | str:
    """Largest resident size of this process in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return UNKNOWN
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    return peak if sys.platform == "darwin" else peak * 1024


def code_version(module: str, packages: tuple[str, ...] = ("diffkit", "experiments")) -> str:
    """Digest of every source file of `packages` that `module` can reach by imports.

    A result stays valid while this digest is the same; a commit that touches other files does
    not outdate it.  Imports inside functions count.

    Args:
        module: Dotted name, for example "experiments.vanishing_gradients.run".
        packages: Top-level packages that are followed; others are covered by their versions.

    Raises:
        UsageError: the module has no source file.
    """
    waiting, sources = [module], dict[str, str]()
    while waiting:
        name = waiting.pop()
        path = None if name in sources else _source(name)
        if path is None:
            continue
        text = path.read_bytes().replace(b"\r\n", b"\n")
        sources[name] = hashlib.sha256(text).hexdigest()
        waiting += [found for found in _imports(text) if found.partition(".")[0] in packages]
    if module not in sources:
        raise UsageError(f"the module {module!r} has no source file to take a version of")
    return _digest_of(sources)


def _source(name: str) -> Path | None:
    """Source file of a module without importing it (only its parents); None if it is none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.has_location else None


def _imports(source: bytes) -> set[str]:
    """Dotted names a source may import; `from a import b` gives a and a.b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return UNKNOWN


def _digest_of(sources: Mapping[str, str]) -> str:
    lines = "\n".join(f"{name} {digest}" for name, digest in sorted(sources.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
