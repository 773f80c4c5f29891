"""A new experiment works as it is written, and nothing that is there is written over."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffkit.cli.main import main
from diffkit.core.scheduler import guard_scheduler

FILES = {"README.md", "__init__.py", "figures.py", "measure.py", "report.py", "run.py", "theory.py"}


def checkout(place: Path) -> Path:
    (place / "experiments").mkdir()
    (place / "experiments" / "__init__.py").write_text('"""Questions."""\n')
    return place


def shell(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    guard_scheduler(environment)
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_new_experiment_runs_and_is_supported(tmp_path):
    place = checkout(tmp_path)
    made = shell(place, "diffkit", "new", "batch_noise")
    assert made.returncode == 0, made.stderr
    assert {path.name for path in (place / "experiments" / "batch_noise").iterdir()} == FILES
    ran = shell(place, "diffkit", "run", "batch_noise", "--json", "--seeds", "40")
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert (record["experiment"], record["status"]) == ("batch_noise", "supported")
    # the variance of a mean is that of a sample over their number; the control divides twice
    for row in record["results"]["rows"]:
        assert row["exact"] == pytest.approx(2 / row["batch"])
        assert abs(row["measured"] - row["exact"]) < 3 * row["standard_error"]
        assert row["batch"] == 1 or abs(row["z_of_control"]) > 3


def test_the_files_keep_to_the_style_of_the_house(tmp_path):
    root = Path(__file__).parents[2]
    (checkout(tmp_path) / "pyproject.toml").write_text((root / "pyproject.toml").read_text())
    assert shell(tmp_path, "diffkit", "new", "batch_noise").returncode == 0
    # ruff tells our own packages from others by the folders it sees
    (tmp_path / "diffkit").symlink_to(root / "diffkit")
    for words in (["format", "--check"], ["check", "--no-cache"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *words, "experiments", "tests"]
        said = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout


@pytest.mark.slow
def test_the_tests_of_a_new_experiment_pass_and_fail_with_a_wrong_theory(tmp_path):
    place = checkout(tmp_path)
    assert shell(place, "diffkit", "new", "batch_noise").returncode == 0
    test = "tests/experiments/test_batch_noise.py"
    passed = shell(place, "pytest", "-q", "-p", "no:cacheprovider", test)
    assert passed.returncode == 0, passed.stdout
    theory = place / "experiments" / "batch_noise" / "theory.py"
    theory.write_text(theory.read_text().replace("formula=s2 / n,", "formula=s2 / n**2,"))
    failed = shell(place, "pytest", "-q", "-p", "no:cacheprovider", test)
    assert failed.returncode == 1
    assert "test_the_prediction_passes" in failed.stdout


@pytest.mark.parametrize(
    "name", ["Batch", "batch-noise", "1st", "class", "", "a/b", "../x", 61 * "a"]
)
def test_what_is_no_name_is_refused(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(checkout(tmp_path))
    assert main(["new", name]) == 2
    assert "is no name of an experiment" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "experiments").iterdir()] == ["__init__.py"]


def test_what_is_there_is_never_written_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(checkout(tmp_path))
    (tmp_path / "experiments" / "mine").mkdir()
    (tmp_path / "tests" / "experiments").mkdir(parents=True)
    (tmp_path / "tests" / "experiments" / "test_other.py").write_text("mine")
    for name in ("mine", "other"):
        assert main(["new", name]) == 2
        assert "is there already; choose another name" in capsys.readouterr().err
    assert not list((tmp_path / "experiments" / "mine").iterdir())
    assert (tmp_path / "tests" / "experiments" / "test_other.py").read_text() == "mine"


def test_outside_of_a_checkout_the_place_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine"]) == 2
    assert "say it in a checkout" in capsys.readouterr().err
