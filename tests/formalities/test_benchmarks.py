"""The benchmarks start, and their harness measures what it says."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.name != "harness.py")


@pytest.fixture
def harness(monkeypatch):
    # the harness sets these for a process of its own; this process gets its own values back
    monkeypatch.setenv("JAX_ENABLE_X64", "0")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_concurrency_optimized_scheduler=false")
    spec = importlib.util.spec_from_file_location("benchmark_harness", FOLDER / "harness.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_harness", module)
    spec.loader.exec_module(module)
    return module


def test_every_contender_runs_in_every_round_and_ratios_are_of_medians(harness):
    seen = []
    pause = {"slow": 4e-3, "fast": 2e-3}

    def contender(name):
        def run():
            seen.append(name)
            time.sleep(pause[name])

        return run

    times = harness.interleaved({name: contender(name) for name in pause}, rounds=5)
    assert [len(times.rounds[name]) for name in pause] == [5, 5]
    assert seen.count("slow") == seen.count("fast")
    assert 1.2 < times.ratio("slow", "fast") < 4
    assert times["slow"] > 4e-3


def test_results_are_written_whole_with_their_machine(harness, tmp_path):
    rows = [{"name": "a", "ratio": 1.23456, "missing": float("nan")}]
    path = harness.write_results("test", rows, folder=tmp_path, points=3)
    content = json.loads(path.read_text())
    assert content["rows"] == [{"name": "a", "ratio": 1.235, "missing": None}]
    assert content["points"] == 3
    assert content["machine"]["cores"] >= 1
    assert content["machine"]["versions"]["sympy"]
    assert [each.name for each in tmp_path.iterdir()] == ["test.json"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_benchmark_has_help(script):
    done = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
