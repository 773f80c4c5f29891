"""run.py sets the environment up once, and says what to do when it cannot."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The module run.py with a repository of its own and a set-up that only takes notes."""
    spec = importlib.util.spec_from_file_location("run_script", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements.lock").write_text("a==1\n")
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setattr(module, "version", lambda python: (3, 11))
    module.commands = []

    def take_note(command: list[str]) -> bool:
        module.commands.append(command)
        return True

    monkeypatch.setattr(module, "set_up", take_note)
    (tmp_path / ".venv").mkdir()
    return module


def test_the_second_call_installs_nothing(run, tmp_path: Path):
    first = run.environment(tmp_path / ".venv")
    assert any("--require-hashes" in command for command in run.commands)
    run.commands.clear()
    assert run.environment(tmp_path / ".venv") == first
    assert run.commands == []


def test_a_changed_lock_is_installed(run, tmp_path: Path):
    run.environment(tmp_path / ".venv")
    run.commands.clear()
    (tmp_path / "requirements.lock").write_text("a==2\n")
    run.environment(tmp_path / ".venv")
    assert run.commands != []


def test_an_installation_that_broke_off_is_done_again(run, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(run, "set_up", lambda command: "--require-hashes" not in command)
    for _ in range(2):
        with pytest.raises(run.SetupError, match="could not be installed"):
            run.environment(tmp_path / ".venv")


def test_without_a_python_the_remedy_is_named(run, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(run, "version", lambda python: (3, 10))
    with pytest.raises(run.SetupError, match=r"no Python 3.11 to 3.14.*DIFFKIT_PYTHON"):
        run.environment(tmp_path / ".venv")


def test_the_newest_python_is_chosen_for_the_newest_jax(run, monkeypatch):
    names = {"python3.11": (3, 11), "python3.12": (3, 12), "python3.13": (3, 13)}
    monkeypatch.setattr(run.shutil, "which", lambda name: name if name in names else None)
    monkeypatch.setattr(run, "version", names.get)
    monkeypatch.delenv("DIFFKIT_PYTHON", raising=False)
    monkeypatch.setattr(run.Path, "home", lambda: Path("nowhere"))
    assert run.find_python() == "python3.11"
    assert run.find_python(oldest=(3, 12), newest_first=True) == "python3.13"


@pytest.mark.parametrize("arguments", [[], ["papr"]])
def test_an_unknown_verb_is_answered_with_the_known(arguments: list[str]):
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "paper|test|check" in answer.stderr


def test_the_script_needs_the_standard_library_only():
    command = [sys.executable, "-S", str(ROOT / "run.py"), "help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "usage" in answer.stderr
