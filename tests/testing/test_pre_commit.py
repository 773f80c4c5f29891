"""The hooks are read as pre-commit reads them, and their entry is run on files."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
CLAIMED = 'import diffkit as dk\n\nSTATED = dk.Claim("{}", "2*x", "x")\n'


def run(folder: Path, hook: dict, *files: str) -> subprocess.CompletedProcess[str]:
    """The hook's entry with files, as pre-commit calls it: in the root of the repository."""
    program, *words = shlex.split(hook["entry"])
    assert program == "diffkit"  # the script that installing diffkit brings
    command = [sys.executable, "-m", "diffkit", *words, *files]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture
def repository(tmp_path):
    package = tmp_path / "src" / "losses"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "right.py").write_text("from losses import nothing\n" + CLAIMED.format("x**2"))
    (package / "nothing.py").write_text("VALUE = 1\n")
    (package / "wrong.py").write_text(CLAIMED.format("x**3"))
    (tmp_path / "script.py").write_text("raise SystemExit('a hook must not run this')\n")
    (tmp_path / "unfinished.py").write_text("def f(:\n")
    return tmp_path


def test_a_hook_has_what_pre_commit_demands():
    assert [hook["id"] for hook in HOOKS] == ["diffkit-verify", "diffkit-verify-isolated"]
    for hook in HOOKS:
        assert {"id", "name", "entry", "language", "types"} <= set(hook)
        assert hook["types"] == ["python"]
        assert hook["require_serial"] is True
    assert [hook["language"] for hook in HOOKS] == ["system", "python"]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_the_claims_of_changed_files_are_judged(repository, hook):
    result = run(repository, hook, "src/losses/right.py", "src/losses/wrong.py", "script.py")
    assert result.returncode == 1
    assert "PROVED    d/dx [x**2] = 2*x" in result.stdout
    assert "REFUTED   d/dx [x**3] = 2*x" in result.stdout


def test_files_without_claims_are_passed_over_and_not_imported(repository):
    result = run(repository, HOOKS[0], "script.py", "src/losses/nothing.py", "unfinished.py")
    assert result.returncode == 0
    assert "no claims to judge" in result.stderr


def test_a_good_commit_passes(repository):
    assert run(repository, HOOKS[0], "src/losses/right.py").returncode == 0
