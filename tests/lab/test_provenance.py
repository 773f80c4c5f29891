import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diffkit.core.errors import UsageError
from diffkit.lab import provenance


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_everything_is_json_and_names_no_path_or_host():
    record = provenance.collect(dtype="float64", seeds=range(3))
    text = json.dumps(record)
    assert record["seeds"] == [0, 1, 2]
    assert record["peak_memory_bytes"] > 10 * 2**20
    assert record["versions"]["numpy"]
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text


def test_a_clean_and_a_changed_checkout_are_told_apart(checkout: Path):
    state = provenance.git_state(checkout)
    assert state == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}
    (checkout / "file").write_text("2")
    assert provenance.git_state(checkout)["dirty"] is True


def test_outside_a_checkout_the_commit_is_unknown(tmp_path: Path):
    assert provenance.git_state(tmp_path) == {"commit": "unknown", "dirty": "unknown"}


def test_inside_somebody_elses_checkout_the_commit_is_unknown(checkout: Path):
    installed = checkout / "site-packages"
    installed.mkdir()
    assert provenance.git_state(installed)["commit"] == "unknown"


def test_without_git_the_commit_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.git_state(checkout)["commit"] == "unknown"


def test_collecting_does_not_start_jax():
    code = "import sys; from diffkit.lab.provenance import collect; "
    code += "assert collect()['jax'] == {'device': 'unknown'}; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_device_is_named_when_jax_is_there():
    pytest.importorskip("jax")
    state = provenance.jax_state()
    assert state["devices"] >= 1
    assert state["backend"] in ("cpu", "gpu", "tpu")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "reach"
    folder.mkdir()
    sources = {
        "__init__": "",
        "run": "from reach import direct\nimport json\n",
        "direct": "def f():\n    import reach.lazy\n",
        "lazy": "import reach.run  # a cycle\n",
        "apart": "",
    }
    for name, text in sources.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "reach"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("module", "matters"), [("run", True), ("direct", True), ("lazy", True), ("apart", False)]
)
def test_the_code_version_follows_what_can_be_reached(package: Path, module: str, matters: bool):
    before = provenance.code_version("reach.run", ("reach",))
    assert re.fullmatch("[0-9a-f]{16}", before)
    (package / f"{module}.py").write_text((package / f"{module}.py").read_text() + "x = 1\n")
    assert (provenance.code_version("reach.run", ("reach",)) != before) is matters


def test_line_endings_do_not_change_the_code_version(package: Path):
    before = provenance.code_version("reach.run", ("reach",))
    text = (package / "run.py").read_bytes().replace(b"\n", b"\r\n")
    (package / "run.py").write_bytes(text)
    assert provenance.code_version("reach.run", ("reach",)) == before


def test_a_module_without_source_has_no_version(package: Path):
    with pytest.raises(UsageError, match="no source file"):
        provenance.code_version("reach.nowhere", ("reach",))


def test_the_version_of_a_tree_without_git_is_the_same(tmp_path: Path):
    shutil.copytree(provenance.PACKAGE / "core", tmp_path / "diffkit" / "core")
    shutil.copytree(provenance.PACKAGE / "lab", tmp_path / "diffkit" / "lab")
    shutil.copy(provenance.PACKAGE / "__init__.py", tmp_path / "diffkit")
    code = "from diffkit.lab.provenance import code_version, collect; "
    code += "print(code_version('diffkit.lab.ledger'), collect()['git']['commit'])"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == [provenance.code_version("diffkit.lab.ledger"), "unknown"]
