"""Runtime shape checks bite: a mistyped package name would switch them off silently."""

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import numpy as np
from jaxtyping import Float


def row_sums(matrix: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows"]:
    return matrix.sum(axis=1)


def wrong_sums(matrix: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows"]:
    return matrix.sum(axis=0)
"""
PROGRAM = """
import numpy as np
from jaxtyping import install_import_hook

with install_import_hook({hooked!r}, "beartype.beartype"):
    import canary
canary.{function}(np.ones({shape}))
"""


def run(folder: Path, **values: object) -> subprocess.CompletedProcess[str]:
    (folder / "canary.py").write_text(MODULE)
    command = [sys.executable, "-c", PROGRAM.format(**values)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("function", "shape"), [("row_sums", (2,)), ("row_sums", (2, 3, 4)), ("wrong_sums", (2, 3))]
)
def test_a_wrong_shape_raises(tmp_path: Path, function: str, shape: tuple[int, ...]):
    result = run(tmp_path, hooked="canary", function=function, shape=shape)
    assert "TypeCheckError" in result.stderr


def test_a_right_shape_passes(tmp_path: Path):
    result = run(tmp_path, hooked="canary", function="row_sums", shape=(2, 3))
    assert result.returncode == 0, result.stderr


def test_a_mistyped_package_name_switches_the_check_off(tmp_path: Path):
    result = run(tmp_path, hooked="canari", function="row_sums", shape=(2, 3, 4))
    assert "TypeCheckError" not in result.stderr
