"""Annotations as GitHub reads them: decoded here by the runner's own rules."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.cli.annotations import Place, annotation, of_verdict
from diffkit.cli.main import main
from diffkit.core.claim import Claim
from diffkit.core.finding import Finding
from diffkit.core.verdict import Verdict

COMMAND = re.compile(
    r"^::(?P<level>error|warning|notice)(?: (?P<properties>[^:]*))?::(?P<data>.*)$"
)
REFUTED = Verdict(Claim("f", "g", "x"), "refuted", "d f/dx = g", contradiction="off by 50%")


def read(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as the runner decodes it (actions/runner, ActionCommand.cs)."""
    found = COMMAND.match(line)
    assert found, line
    pairs = [pair.partition("=") for pair in (found["properties"] or "").split(",") if pair]
    properties = {name: _decoded(value, ":,") for name, _, value in pairs}
    return found["level"], properties, _decoded(found["data"], "")


def _decoded(text: str, more: str) -> str:
    codes = {"%0D": "\r", "%0A": "\n", **{f"%{ord(sign):02X}": sign for sign in more}}
    for code, sign in codes.items():
        text = text.replace(code, sign)
    return text.replace("%25", "%")


@given(st.text(), st.text(min_size=1), st.text())
def test_any_text_is_one_line_and_decodes_to_itself(message, file, title):
    line = annotation("error", message, Place(file, 3), title)
    assert not set(line) & {"\n", "\r"}
    level, properties, data = read(line)
    assert (level, data) == ("error", message)
    assert properties == {"file": file, "line": "3"} | ({"title": title} if title else {})


def test_a_line_without_a_file_is_left_out():
    assert annotation("notice", "hello", Place("", 7)) == "::notice::hello"


def test_a_refuted_claim_is_an_error_with_its_contradiction(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    (line,) = of_verdict(REFUTED, Place(str(tmp_path / "src" / "a.py"), 12))
    level, properties, data = read(line)
    assert level == "error"
    assert properties == {"file": "src/a.py", "line": "12", "title": "diffkit: refuted"}
    assert data == "d f/dx = g\noff by 50%"


def test_files_are_named_relative_to_the_workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    (inside,) = of_verdict(REFUTED, Place(str(tmp_path / "a.py"), 1))
    (outside,) = of_verdict(REFUTED, Place(str(tmp_path.parent / "b.py"), 1))
    assert read(inside)[1]["file"] == "a.py"
    assert Path(read(outside)[1]["file"]).is_absolute()


@pytest.mark.parametrize(
    ("status", "levels"),
    [("proved", []), ("supported", []), ("undecided", ["warning"]), ("refuted", ["error"])],
)
def test_the_status_decides_the_level(status, levels):
    assert [read(line)[0] for line in of_verdict(replace(REFUTED, status=status))] == levels


def test_findings_are_shown_at_their_own_line():
    findings = tuple(
        Finding("kink", severity, "a tie", "guard it", "losses.py:9")
        for severity in ("wrong", "warning", "note")
    )
    verdict = replace(REFUTED, status="supported", findings=findings)
    lines = [read(line) for line in of_verdict(verdict, Place("pkg/losses.py", 2))]
    assert [level for level, _, _ in lines] == ["error", "warning", "notice"]
    for _, properties, data in lines:
        assert properties == {"file": "pkg/losses.py", "line": "9", "title": "diffkit: kink"}
        assert data == "losses.py:9: a tie\nremedy: guard it"


def test_a_finding_in_an_unknown_file_stays_with_its_claim():
    finding = Finding("kink", "note", "a tie", where="nowhere_at_all.py:9")
    verdict = replace(REFUTED, status="proved", findings=(finding,))
    (line,) = of_verdict(verdict, Place("pkg/losses.py", 2))
    assert read(line)[1]["file"] == "pkg/losses.py"
    assert read(line)[1]["line"] == "2"


MODULE = """\
import jax.numpy as jnp
import diffkit as dk


@dk.claim(df="3*x")
def wrong(x):
    return x * x


@dk.claim(df="2*q + x")
def unusable(x):
    return x * x


FALSE = dk.Claim("x**3", "2*x", "x")


def length(x):
    return jnp.sqrt(x * x)
"""


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    (tmp_path / "annotated_claims.py").write_text(MODULE)
    return tmp_path


def annotations(capsys) -> list[tuple[str, dict[str, str], str]]:
    lines = capsys.readouterr().err.splitlines()
    return [read(line) for line in lines if line.startswith("::")]


def test_claims_of_a_module_are_annotated_where_they_stand(sandbox, capsys):
    assert main(["verify", "annotated_claims", "--github"]) == 2
    found = annotations(capsys)
    places = [(level, p["file"], p["line"], p["title"]) for level, p, _ in found]
    assert places == [
        ("error", "annotated_claims.py", "5", "diffkit: refuted"),
        ("error", "annotated_claims.py", "10", "diffkit: not judged"),
        ("error", "annotated_claims.py", "15", "diffkit: refuted"),
    ]
    assert "no symbol is called 'q'" in found[1][2]


def test_a_function_and_its_finding_are_annotated(sandbox, capsys):
    words = ["verify", "annotated_claims:length", "--arg", "x=0.0", "--github"]
    assert main(words) == 1
    (claim, finding) = annotations(capsys)
    assert (claim[0], claim[1]["line"]) == ("error", "18")
    assert (finding[0], finding[1]["line"]) == ("error", "19")
    assert finding[1]["title"] == "diffkit: nan-gradient"


def test_check_annotates_as_well_and_its_result_stays_alone_on_stdout(sandbox, capsys):
    words = ["check", "annotated_claims:wrong", "5*x", "--github", "--json"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out.startswith("{")
    assert [read(line)[1]["line"] for line in said.err.splitlines()] == ["5"]
    assert main(["check", "x**2", "5*x", "--github"]) == 1
    assert annotations(capsys)[0][1] == {"title": "diffkit: refuted"}


def test_nothing_is_annotated_unless_asked_for(sandbox, capsys):
    assert main(["check", "x**2", "5*x"]) == 1
    assert annotations(capsys) == []


def test_a_question_that_cannot_be_asked_is_annotated_too(sandbox, capsys):
    assert main(["verify", "annotated_claims:length", "--arg", "x=3", "--github"]) == 2
    assert [each[1]["title"] for each in annotations(capsys)] == ["diffkit: not judged"]
