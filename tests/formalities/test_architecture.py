"""The layers of ARCHITECTURE.md hold, and the contracts that say so can fail."""

import ast
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")
#: Third-party packages a layer may import; the other layers are held by the contracts alone.
EXTERNAL = {
    "core": set(),
    "typeset": set(),
    "symbolic": {"sympy", "mpmath"},
    "numeric": {"numpy", "mpmath", "flint"},
    "backend": {"jax", "jaxlib", "numpy"},
    "tensor": {"sympy", "mpmath", "numpy"},
}
JAX = {"jax", "jaxlib", "flax", "optax"}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINTER), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    """A repository of the same shape: every package, one module in each layer, no code."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in [*(ROOT / "diffkit").glob("**/__init__.py"), ROOT / "experiments/__init__.py"]:
        target = tmp_path / package.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text('"""A package."""\n')
    question = tmp_path / "experiments" / "question"
    question.mkdir()
    for name in ("__init__", "theory", "measure", "run"):
        (question / f"{name}.py").write_text('"""A module."""\n')
    return tmp_path


def test_every_contract_holds():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_copied_tree_itself_passes(copied_tree: Path):
    result = lint(copied_tree)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("diffkit/utils/__init__.py", "", "no stray package"),
        ("diffkit/core/bad.py", "import diffkit.symbolic", "downwards only"),
        ("diffkit/symbolic/bad.py", "import diffkit.numeric", "siblings"),
        ("diffkit/lab/bad.py", "import diffkit.nets", "siblings"),
        ("diffkit/lab/bad.py", "from diffkit import Claim", "lazy root"),
        ("diffkit/lab/bad.py", "def f():\n    import sympy", "never import SymPy"),
        ("diffkit/verify/bad.py", "import sympy", "never import SymPy"),
        ("diffkit/core/bad.py", "import numpy", "standard library only"),
        ("diffkit/typeset/bad.py", "import rich.text", "standard library only"),
        ("diffkit/theory/bad.py", "def f():\n    import jax", "never reach JAX"),
        ("diffkit/numeric/bad.py", "import jax.numpy", "neither SymPy nor JAX"),
        ("diffkit/verify/bad.py", "import experiments.question.run", "never imports an experim"),
        ("experiments/question/theory.py", "import optax", "never reach JAX"),
        ("experiments/question/theory.py", "import experiments.question.measure", "A theory"),
        ("experiments/question/measure.py", "import diffkit.theory", "A measurement"),
        ("experiments/question/measure.py", "import diffkit.verify.path", "A measurement"),
    ],
)
def test_a_violation_is_caught(copied_tree: Path, file: str, line: str, contract: str):
    # A chain for the transitive contracts: verify reaches symbolic.
    (copied_tree / "diffkit/verify/path.py").write_text("import diffkit.symbolic\n")
    (copied_tree / file).parent.mkdir(exist_ok=True)
    (copied_tree / file).write_text(f'"""A module."""\n{line}\n')
    result = lint(copied_tree)
    broken = [row for row in result.stdout.splitlines() if row.endswith("BROKEN")]
    assert result.returncode == 1
    assert any(contract in row for row in broken), result.stdout + result.stderr


def test_an_oracle_that_imports_another_is_caught(copied_tree: Path):
    (copied_tree / "diffkit/oracles/forward.py").write_text("")
    (copied_tree / "diffkit/oracles/reverse.py").write_text("import diffkit.oracles.forward\n")
    assert "Oracles never import each other BROKEN" in lint(copied_tree).stdout


@cache
def imported_packages(path: Path) -> frozenset[str]:
    """Top-level packages a file imports anywhere, inside functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the import in full"
            names.append(node.module or "")
    return frozenset(name.partition(".")[0] for name in names)


def modules(layer: str) -> list[Path]:
    return sorted((ROOT / "diffkit" / layer).rglob("*.py"))


@pytest.mark.parametrize("layer", EXTERNAL)
def test_a_low_layer_imports_only_the_libraries_it_is_allowed(layer: str):
    allowed = EXTERNAL[layer] | {"diffkit"} | sys.stdlib_module_names
    stray = {
        str(path): found - allowed
        for path in modules(layer)
        if (found := imported_packages(path)) - allowed
    }
    assert stray == {}


def test_outside_bridge_no_module_imports_jax_and_sympy_both():
    paths = [path for path in modules(".") if (ROOT / "diffkit/bridge") not in path.parents]
    both = [str(p) for p in paths if "sympy" in (found := imported_packages(p)) and found & JAX]
    assert both == []


def measurements() -> dict[str, list[str]]:
    """Experiment -> the modules that measure, one file or a package of them."""
    found: dict[str, list[str]] = {}
    for pattern in ("*/measure.py", "*/measure/*.py"):
        for path in sorted((ROOT / "experiments").glob(pattern)):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found.setdefault(name.split(".")[1], []).append(name.removesuffix(".__init__"))
    return found


def test_every_experiment_has_a_measurement():
    folders = {path.parent.name for path in (ROOT / "experiments").glob("*/run.py")}
    assert set(measurements()) == folders


@pytest.mark.parametrize("experiment", sorted(measurements()))
def test_a_measurement_leaves_sympy_unimported(experiment: str):
    code = f"import sys, {', '.join(measurements()[experiment])}; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
