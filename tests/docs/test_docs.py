"""Every example of README.md and docs/**/*.md runs, and prints what the page says it prints.

A page is one session, from top to bottom, in an empty folder of its own:

- a `python` block with `>>>` is a doctest; names live on to the end of the page;
- a `python` block without `>>>` is a file, named by its first line (`# losses.py`), written
  into the folder of the page and imported, so that later examples may use it;
- a `console` block holds commands after `$ ` and their results: what went to stdout, or after a
  wrong usage (exit status 2) the complaint on stderr; progress depends on the clock and is left
  out; `$ echo $?` prints the exit status of the command before it;
- in printed output `...` stands for any text, as in doctest, and for nothing else;
- a command that cannot run here is named in `CHECKED_ONLY` with what is checked instead.

Any other command, and any other language of a block, fails.
"""

import contextlib
import doctest
import importlib
import importlib.util
import io
import re
import shlex
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import pytest

from diffkit.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(
    path for path in (ROOT / "diffkit").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")
)
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
#: Languages of blocks that are shown and not run.
SHOWN = {"text", "toml"}
FLAGS = doctest.ELLIPSIS
LARGEST_PICTURE = 200_000  # bytes


@dataclass(frozen=True)
class Block:
    """A fenced block: language, text, and the line of the page its text begins on."""

    language: str
    body: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("body")) + 1
        yield Block(found["language"], found["body"], line)


class Page:
    """The session of one page: its namespace, its folder, the last exit status."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.names: dict = {"__name__": "__main__"}
        self.status = 0

    def play(self, block: Block) -> None:
        if block.language == "console":
            for command, printed in commands(block.body):
                self.command(command, printed, block.line)
        elif block.language == "python" and ">>> " in block.body:
            self.doctest(block)
        elif block.language == "python":
            self.file(block)
        else:
            assert block.language in SHOWN, f"{self.place(block)}: {block.language!r} cannot run"

    def place(self, block: Block) -> str:
        return f"{self.name}:{block.line}"

    def doctest(self, block: Block) -> None:
        parser = doctest.DocTestParser()
        # A name without a folder: findings print it as the place of a function defined here.
        name = Path(self.name).name
        test = parser.get_doctest(block.body, self.names, name, self.name, block.line - 1)
        report = io.StringIO()
        runner = doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
        runner.run(test, out=report.write, clear_globs=False)
        self.names.update(test.globs)
        assert runner.failures == 0, report.getvalue()

    def file(self, block: Block) -> None:
        named = re.match(r"# (\w+)\.py\n", block.body)
        assert named, f"{self.place(block)}: a file needs its name as first line, `# name.py`"
        Path(f"{named[1]}.py").write_text(block.body, encoding="utf-8")
        importlib.invalidate_caches()
        sys.modules.pop(named[1], None)
        importlib.import_module(named[1])

    def command(self, command: str, printed: str, line: int) -> None:
        if command == "echo $?":
            got = f"{self.status}\n"
        elif command.startswith("diffkit "):
            self.status, got = diffkit(command)
        else:
            checks = [check for pattern, check in CHECKED_ONLY if re.fullmatch(pattern, command)]
            assert checks, f"{self.name}:{line}: no rule for `{command}`"
            assert checks[0](command), f"{self.name}:{line}: `{command}` cannot work"
            return
        is_right = doctest.OutputChecker().check_output(printed, got, FLAGS)
        assert is_right, f"{self.name}:{line}: $ {command}\nprinted\n{got}\npage says\n{printed}"


def commands(body: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output printed below it."""
    assert body.startswith("$ "), f"a console block begins with a command, not {body[:20]!r}"
    parts = re.split(r"^\$ ", body.replace("\\\n", " "), flags=re.MULTILINE)[1:]
    pairs = [part.partition("\n") for part in parts]
    return [(command.partition("  #")[0].strip(), printed) for command, _, printed in pairs]


def diffkit(command: str) -> tuple[int, str]:
    """Run `diffkit ...` in this process: the exit status, and the result or the complaint."""
    results, complaints = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(results), contextlib.redirect_stderr(complaints):
        try:
            status = main(shlex.split(command)[1:])
        except SystemExit as left:
            status = int(left.code or 0)
    return status, (complaints if status == 2 else results).getvalue()


def is_verb(command: str) -> bool:
    """The verb is one of run.py and has its rule in the Makefile."""
    verb = re.fullmatch(r"(?:make|python run\.py) (\w+).*", command)[1]
    verbs = re.search(r"^VERBS = \{(.*)\}$", (ROOT / "run.py").read_text(), re.MULTILINE)[1]
    rules = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    return f'"{verb}"' in verbs and verb in rules.split()


def is_installable(command: str) -> bool:
    """The extras named in brackets are extras of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name for group in re.findall(r"\[(.*?)\]", command) for name in group.split(",")}
    return extras <= set(project["optional-dependencies"])


#: Commands that would set up or test the whole checkout: what is checked of them instead.
CHECKED_ONLY: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (r"(make|python run\.py) \w+( .*)?", is_verb),
    (r"pip install [\"']?\.(\[[\w,]+\])?[\"']?", is_installable),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, on the path as the CLI and a shell session have it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("NO_COLOR", "1")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


#: Pages whose examples take long: CI runs them by `-m slow`.
LONG_PAGES = {
    "README.md",
    "blame_a_nan.md",
    "check_an_optimiser.md",
    "custom_rules_and_modules.md",
    "design_an_initialisation.md",
    "experiments_and_paper.md",
    "testing_gradients.md",
    "verify_a_function.md",
}


def page_case(path: Path):
    marks = [pytest.mark.slow] if path.name in LONG_PAGES else []
    return pytest.param(path, id=str(path.relative_to(ROOT)), marks=marks)


@pytest.mark.parametrize("path", [page_case(path) for path in PAGES])
def test_every_example_of_a_page_prints_what_the_page_says(path: Path, folder: Path):
    page = Page(str(path.relative_to(ROOT)))
    for block in blocks(path.read_text(encoding="utf-8")):
        page.play(block)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_fence_of_a_page_is_read_and_every_link_leads_to_a_file(path: Path):
    text = path.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(list(blocks(text)))
    assert [link for link in LINK.findall(text) if not (path.parent / link).exists()] == []


@pytest.mark.parametrize(
    "body",
    [
        "```console\n$ diffkit check x**2 2*x\nPROVED    d/dx [x**2] = 3*x\n```\n",
        "```console\n$ diffkit check x**2 x\n...\n$ echo $?\n0\n```\n",
        "```console\n$ diffkit check x**2 2*x\n```\n",
        "```console\n$ rm -rf build\n```\n",
        "```console\n$ make coffee\n```\n",
        '```console\n$ pip install ".[coffee]"\n```\n',
        "```python\n>>> 1 + 1\n3\n```\n",
        "```python\n>>> undefined_name\n```\n",
        "```python\nx = 1\n```\n",
        "```python\n# broken.py\nx = undefined_name\n```\n",
        "```julia\n1 + 1\n```\n",
    ],
)
def test_a_page_with_a_wrong_example_fails(body: str, folder: Path):
    (block,) = blocks(body)
    with pytest.raises((AssertionError, NameError)):
        Page("wrong.md").play(block)


def test_a_page_keeps_names_files_and_exit_statuses_from_block_to_block(folder: Path):
    page = Page("right.md")
    text = (
        "```python\n>>> a = 2\n```\n```python\n# two.py\nb = 3\n```\n"
        "```python\n>>> from two import b\n>>> a * b\n6\n```\n"
        '```console\n$ diffkit check "x**3" "x**2"\nREFUTED ...\n$ echo $?\n1\n```\n'
    )
    for block in blocks(text):
        page.play(block)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_doctest_of_a_module_runs_and_passes(path: Path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    module = importlib.import_module(name.removesuffix(".__init__"))
    results = doctest.testmod(module, optionflags=FLAGS)
    written = len(re.findall(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert results.failed == 0
    assert results.attempted == written, "an example stands where doctest does not look"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "img").glob("*")), ids=lambda path: path.name
)
def test_a_picture_is_small_has_a_producer_and_is_shown(path: Path):
    assert path.suffix == ".svg"
    assert path.stat().st_size < LARGEST_PICTURE
    assert f"img/{path.name}" in "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert f'"{path.name}"' in (ROOT / "docs" / "figures.py").read_text(encoding="utf-8")


def test_the_picture_of_the_double_where_shows_what_its_caption_says(tmp_path: Path):
    spec = importlib.util.spec_from_file_location("docs_figures", ROOT / "docs" / "figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    tiny = np.geomspace(1e-12, 1e-8, 40).astype(np.float32)
    wide = np.geomspace(1e-12, 1.0, 121).astype(np.float32)
    lowered = figures.dk.lower(figures.parse("expm1_over(x)"))
    assert figures.relative_errors(jax.grad(figures.phi), tiny).min() > 0.99
    assert figures.relative_errors(jax.grad(lowered), wide).max() < 2 * 2.0**-23
    assert figures.double_where(tmp_path / "picture.svg").stat().st_size < LARGEST_PICTURE
