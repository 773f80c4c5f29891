#!/usr/bin/env python3
"""Set up `.venv` and run one verb in it: `python run.py paper|test|check|next [arguments]`.

Standard library only; needs Python >= 3.11 somewhere on the machine and nothing else.  The
Makefile calls this file, so both ways do the same.  The environment comes from the hash-pinned
`requirements.lock`; a stamp keyed by the lock's hash makes the second call start at once.

Environment: DIFFKIT_PYTHON names the interpreter to build `.venv` with.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent
LOCK = ROOT / "requirements.lock"
OLDEST, NEWEST = (3, 11), (3, 14)
#: JAX 0.10 on two cores hangs in some jitted, vmapped programs with this scheduler on.
XLA_FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler=false"
#: One pytest process per core; each may take 4 GB, so never more than four.
PARALLEL = ("-n", "auto", "--maxprocesses", "4", "--dist", "worksteal")
#: Folders of tests that must also pass on the newest Python and the newest JAX.
CORE_TESTS = (
    "core",
    "typeset",
    "symbolic",
    "numeric",
    "backend",
    "tensor",
    "bridge",
    "oracles",
    "verify",
)


class SetupError(Exception):
    """The environment cannot be made; the message says what to do."""


def main(arguments: list[str]) -> int:
    """Run the verb named first in `arguments` and return its exit status."""
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if verb not in VERBS:
        say(f"usage: python run.py {'|'.join(VERBS)} [arguments]")
        return 2
    try:
        return VERBS[verb](rest)
    except SetupError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted; the same command continues where this one stopped")
        return 130


def paper(arguments: list[str]) -> int:
    """Verify the catalogue, run the quick experiments, build the figures and the PDF."""
    python = environment(ROOT / ".venv")
    return call([python, "-m", "diffkit.cli.main", "paper", *arguments])


def test(arguments: list[str]) -> int:
    """Run the fast test suite (`-m slow` for the rest), or what `arguments` ask pytest for."""
    python = environment(ROOT / ".venv")
    return call([python, "-m", "pytest", *(arguments or ["-q", "-m", "not slow", *PARALLEL])])


def check(arguments: list[str]) -> int:
    """Run formatter, linter, type checker, import contracts and formalities; report them all."""
    if arguments:
        raise SetupError(f"check takes no arguments, got {' '.join(arguments)}")
    python = environment(ROOT / ".venv")
    tools = Path(python).parent
    steps = {
        "format": [tools / "ruff", "format", "--check", "."],
        "lint": [tools / "ruff", "check", "."],
        "types": [tools / "ty", "check", "--python", tools.parent, "diffkit"],
        "imports": [tools / "lint-imports", "--no-logo"],
        "formalities": [python, "-m", "pytest", "-q", "tests/formalities"],
    }
    failed = []
    for name, command in steps.items():
        say(f"check: {name}")
        if call([str(part) for part in command]) != 0:
            failed.append(name)
    say(f"check: failed: {', '.join(failed)}" if failed else "check: all passed")
    return 1 if failed else 0


def newest(arguments: list[str]) -> int:
    """Run the core tests on the newest Python of the machine, in `.venv-next`."""
    python = find_python(oldest=(3, 12), newest_first=True)
    if python is None:
        say("next: no Python 3.12 to 3.14 on this machine; the core tests were NOT run on one")
        return 0
    python = environment(ROOT / ".venv-next", python)
    folders = [f"tests/{name}" for name in CORE_TESTS if (ROOT / "tests" / name).is_dir()]
    return call([python, "-m", "pytest", "-q", *(arguments or [*folders, *PARALLEL])])


VERBS = {"paper": paper, "test": test, "check": check, "next": newest}


def environment(venv: Path, python: str | None = None) -> str:
    """Return the interpreter of `venv`, which is made or brought up to date first."""
    inside = str(venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    stamp = venv / ".diffkit-stamp"
    key = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    with one_at_a_time(venv):
        if stamp.is_file() and stamp.read_text() == key and version(inside) is not None:
            return inside
        stamp.unlink(missing_ok=True)
        uv = shutil.which("uv")
        make_venv(venv, inside, python, uv)
        install(inside, uv)
        stamp.write_text(key)
    say(f"set-up: {venv.name} is ready")
    return inside


def make_venv(venv: Path, inside: str, python: str | None, uv: str | None) -> None:
    """Create `venv` unless it holds a Python of a supported version."""
    if OLDEST <= (version(inside) or (0, 0)) <= NEWEST:
        return
    python = python or find_python()
    if python is None:
        raise SetupError(
            "no Python 3.11 to 3.14 found on PATH; install one, or name it: "
            "DIFFKIT_PYTHON=/path/to/python3.11"
        )
    say(f"set-up: making {venv.name} with Python {'.'.join(map(str, version(python) or ()))}")
    if uv:
        command = [uv, "venv", "--quiet", "--clear", "--python", python, str(venv)]
    else:
        command = [python, "-m", "venv", "--clear", str(venv)]
    if not set_up(command):
        raise SetupError(
            f"{python} could not make a virtual environment; on Debian and Ubuntu install the "
            "package python3-venv, or name another interpreter with DIFFKIT_PYTHON"
        )


def install(python: str, uv: str | None) -> None:
    """Install the locked requirements, then diffkit itself, editable, without the network."""
    if uv:
        pip = [uv, "pip", "install", "--python", python]
    else:
        if not set_up([python, "-m", "ensurepip", "--default-pip"]):
            raise SetupError(f"{python} has no pip; remove .venv and try again")
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    say("set-up: installing requirements.lock (some minutes the first time)")
    if not set_up([*pip, "--require-hashes", "-r", str(LOCK)]):
        raise SetupError(
            "the requirements could not be installed; the lines above say why. With a network "
            "connection (or the wheels on a configured index) the same command tries again"
        )
    say("set-up: installing diffkit")
    if not set_up([*pip, "--no-build-isolation", "--no-deps", "--editable", str(ROOT)]):
        raise SetupError("diffkit itself could not be installed; the lines above say why")


def find_python(oldest: tuple[int, int] = OLDEST, *, newest_first: bool = False) -> str | None:
    """Return an interpreter between `oldest` and 3.14 that runs, or None.

    The oldest is preferred unless `newest_first`: it is the one every result was recorded with.
    """
    minors = range(oldest[1], NEWEST[1] + 1)
    names = [f"python3.{minor}" for minor in (reversed(minors) if newest_first else minors)]
    chosen = os.environ.get("DIFFKIT_PYTHON")
    if newest_first:
        # Interpreters of pyenv need not be active to be usable.
        folder = Path.home() / ".pyenv" / "versions"
        groups = [[shutil.which(name), *sorted(folder.glob(f"*/bin/{name}"))] for name in names]
        candidates = [path for group in groups for path in group]
    elif chosen:
        candidates = [chosen]
    else:
        candidates = [*map(shutil.which, [*names, "python3"]), sys.executable]
    for path in candidates:
        if path and oldest <= (version(str(path)) or (0, 0)) <= NEWEST:
            return str(path)
    return None


def version(python: str) -> tuple[int, int] | None:
    """Return (major, minor) of an interpreter, or None when it does not run."""
    question = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-c", question], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor = answer.stdout.split()
    return int(major), int(minor)


def call(command: list[str], stdout: TextIO | int | None = None) -> int:
    """Run `command` in the repository with the flags diffkit needs; return its exit status."""
    variables = dict(os.environ)
    if XLA_FLAG not in variables.get("XLA_FLAGS", ""):
        variables["XLA_FLAGS"] = f"{variables.get('XLA_FLAGS', '')} {XLA_FLAG}".strip()
    # A foreign virtual environment or import path must not leak into ours.
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        variables.pop(name, None)
    return subprocess.run(command, cwd=ROOT, env=variables, stdout=stdout, check=False).returncode


def set_up(command: list[str]) -> bool:
    """Run one command of the set-up, its output on stderr; return whether it succeeded."""
    return call(command, stdout=sys.stderr) == 0


@contextlib.contextmanager
def one_at_a_time(venv: Path):
    """Hold a lock beside `venv`, so that two commands started together set it up once."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with venv.with_name(f"{venv.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def say(text: str) -> None:
    """Print one line of progress."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
