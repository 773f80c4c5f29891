"""What every file of the repository keeps to."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 600  # lines; a subject that needs more is two subjects
TEXT = {".py", ".md", ".toml", ".cff", ".typ", ".json", ".lock", ".yml", ".svg", ".csv", ""}
# Spelt in parts, so that this file does not hold what it forbids.
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:root|work|home|tmp|Users)" + r"/\w")
FORBIDDEN_CALLS = {"eval", "exec", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "shelve", "marshal"}


def tracked() -> list[Path]:
    """Files of the repository that git does not ignore; every file in a tree without git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        return [path for name in listing.stdout.splitlines() if (path := ROOT / name).is_file()]
    return [
        p
        for p in ROOT.rglob("*")
        if p.is_file() and not p.relative_to(ROOT).parts[0].startswith(".")
    ]


PYTHON = [path for path in tracked() if path.suffix == ".py"]
PACKAGE = [path for path in PYTHON if ROOT / "diffkit" in path.parents]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_lock_names_no_host():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert not re.search(
        r"^\s*(-i|-f|--index|--extra-index|--find-links|--trusted)", text, re.MULTILINE
    )


def test_the_lock_pins_every_requirement_with_hashes():
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) > 50
    assert [line for line in lines if "==" not in line or "--hash=sha256:" not in line] == []


def test_the_lock_holds_every_direct_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = set(
        re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["lab"],
        *project["dependency-groups"]["dev"],
    ]
    assert {re.split(r"[^\w-]", line)[0].lower() for line in wanted} <= locked


def test_no_file_names_a_path_of_one_machine():
    found = []
    for path in tracked():
        if path.suffix in TEXT:
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{path.relative_to(ROOT)}: {m.group()}" for m in MACHINE_PATH.finditer(text)]
    assert found == []


def test_the_search_for_machine_paths_finds_one():
    assert MACHINE_PATH.search("see /" + "home/someone")
    assert not MACHINE_PATH.search("https://site.org/" + "home/page")


@pytest.mark.parametrize("path", sorted((ROOT / "diffkit").glob("*/**/__init__.py")), ids=str)
def test_a_package_init_holds_only_a_docstring_and_reexports(path: Path):
    first, *rest = tree(path).body
    assert isinstance(first, ast.Expr)
    assert isinstance(first.value, ast.Constant)
    package = ".".join(path.parent.relative_to(ROOT).parts)
    for node in rest:
        if isinstance(node, ast.Assign):
            assert ast.unparse(node.targets[0]) == "__all__"
        else:
            assert isinstance(node, ast.ImportFrom), f"{path}:{node.lineno}"
            assert (node.module or "").startswith(f"{package}."), f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_never_executes_text_or_unpickles(path: Path):
    assert executed_text(tree(path)) == []


@pytest.mark.parametrize(
    ("code", "is_refused"),
    [
        ("eval(text)", True),
        ("sympy.sympify(text)", True),
        ("sympify(value, strict=True)", False),  # strict refuses text
        ("import pickle", True),
        ("from pickle import loads", True),
        ("jax.core.eval(x)", False),
    ],
)
def test_text_that_is_executed_is_noticed(code: str, is_refused: bool):
    assert bool(executed_text(ast.parse(code))) is is_refused


def executed_text(module: ast.Module) -> list[str]:
    """Calls and imports of a module that turn text or bytes into code."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in FORBIDDEN_MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call) and executes(node):
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}")
    return found


def executes(call: ast.Call) -> bool:
    is_method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if is_method else getattr(call.func, "id", "")
    if name == "sympify":
        return not any(
            word.arg == "strict" and ast.unparse(word.value) == "True" for word in call.keywords
        )
    # A method of some object that is called eval is another thing.
    return name in FORBIDDEN_CALLS and not is_method


def test_no_python_file_is_too_long():
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert {path: n for path, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_package_code_catches_every_exception():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PACKAGE
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) == "Exception")
    ]
    assert found == []


def test_no_module_is_named_for_what_it_is_not():
    nameless = {"utils", "util", "misc", "common", "helpers", "helper"}
    assert [str(path) for path in PACKAGE if {path.stem, *path.parts} & nameless] == []


def test_the_package_is_marked_as_typed():
    assert (ROOT / "diffkit" / "py.typed").is_file()


def test_the_changelog_has_a_section_for_what_is_unreleased():
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "name",
    ["LICENSE", "README.md", "CITATION.cff", "CONTRIBUTING.md", "ARCHITECTURE.md", "Makefile"],
)
def test_a_document_everybody_looks_for_is_there_and_not_empty(name: str):
    assert (ROOT / name).stat().st_size > 0


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}" in (ROOT / "CITATION.cff").read_text()


def test_a_decision_record_has_its_four_parts():
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert records
    for number, record in enumerate(records, start=1):
        assert record.name.startswith(f"{number:04d}-")
        text = record.read_text(encoding="utf-8")
        for part in ("Context", "Options", "Decision", "Consequence"):
            assert f"\n## {part}" in text, f"{record.name}: no section {part}"


@pytest.mark.parametrize("packed", [b"\x1f\x8b"])
def test_bytes_name_a_test_by_their_number(packed, request):
    """A file that holds its time would name a test otherwise in each process of pytest-xdist."""
    assert request.node.name.endswith(f"[{len(packed)} bytes]")
