"""The paper is built from a record, the same byte for byte, and holds no number of its own."""

import json
import re
import shutil
from pathlib import Path

import pytest

from diffkit.cli import paper, paper_build, paper_data, paper_record
from diffkit.cli.main import main
from diffkit.cli.paper_record import PaperRecord
from diffkit.core.errors import UsageError
from diffkit.lab import wording

ROOT = Path(__file__).parents[2]
#: The whole record, built: every figure of every experiment.
SLOW_FIXTURES = ("built",)
SOURCES = ("main.typ", "style.typ", "references.bib")


def checkout(folder: Path) -> Path:
    """A folder with the paper's sources and its record, nothing built."""
    (folder / "paper").mkdir(parents=True)
    for name in SOURCES:
        shutil.copy(ROOT / "paper" / name, folder / "paper" / name)
    for name in ("record", "sections"):
        shutil.copytree(ROOT / "paper" / name, folder / "paper" / name)
    return folder


def build(folder: Path, *words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return main(["paper", *words])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = checkout(tmp_path_factory.mktemp("one") / "place")
    assert build(folder, "--from-record", "paper/record") == 0
    return folder


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "copy"))


def rows(folder: Path) -> list[dict]:
    return json.loads((folder / "paper/record/ledger.json").read_text())["rows"]


def test_another_place_gives_the_same_bytes(built: Path, tmp_path: Path):
    other = checkout(tmp_path / "another")
    assert build(other, "--from-record", "paper/record", "--output", "out/p.pdf") == 0
    assert (other / "out/p.pdf").read_bytes() == (built / "paper/build/paper.pdf").read_bytes()
    assert (built / "paper/build/paper.pdf").read_bytes().startswith(b"%PDF")


def test_every_law_of_the_record_is_exported_as_latex(built: Path):
    shown = (built / "paper/build/latex/all.tex").read_text()
    for path in (built / "paper/record").glob("*.json"):
        results = json.loads(path.read_text()).get("results", {})
        parts = [results, *(part for part in results.values() if isinstance(part, dict))]
        laws = [law for part in parts for law in part.get("laws", ())]
        if laws:
            text = (built / f"paper/build/latex/{path.stem}-laws.tex").read_text()
            assert text.count(r"\begin{equation}") == len(laws)
            assert rf"\input{{{path.stem}-laws}}" in shown
    assert "jax.nn" in (built / "paper/build/latex/atlas-table.tex").read_text()


def test_a_record_is_enough(copied: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> PaperRecord:
        raise AssertionError("judged or ran something")

    monkeypatch.setattr(paper, "make", refuse)
    shutil.rmtree(copied / "paper/build")
    assert build(copied, "--from-record", "paper/record") == 0


def test_a_second_build_makes_nothing_again(copied: Path, capsys: pytest.CaptureFixture[str]):
    assert build(copied, "--from-record", "paper/record") == 0
    assert "figure" not in capsys.readouterr().err
    before = (copied / "paper/build/paper.pdf").stat().st_mtime_ns
    build(copied, "--from-record", "paper/record")
    assert (copied / "paper/build/paper.pdf").stat().st_mtime_ns == before


def test_the_counts_are_those_of_the_record(built: Path):
    ledger = json.loads((built / "paper/build/data.json").read_text())["ledger"]
    assert ledger["total"] == str(len(rows(built)))
    wrong = [row for row in rows(built) if row["truth"] == "wrong"]
    assert [row["id"] for row in ledger["wrong"]] == [row["id"] for row in wrong]
    assert ledger["wrong_refuted"] == str(sum(row["status"] == "refuted" for row in wrong))
    assert sum(int(line[-1]) for line in ledger["table"]) == len(rows(built))
    assert len(ledger["all"]) == len(rows(built))


def test_an_accepted_wrong_row_would_be_counted(built: Path):
    edited = [dict(row) for row in rows(built)]
    row = next(row for row in edited if row["status"] == "refuted")
    row.update(status="proved", as_it_should_be=False)
    numbers = paper_data.ledger_numbers(edited)
    assert numbers["wrong_accepted"] == "one"
    assert f"{row['id']} (proved)" in numbers["astray"]


def test_the_factors_are_those_of_the_record(built: Path):
    numbers = json.loads((built / "paper/build/data.json").read_text())["vanishing_gradients"]
    run = json.loads((built / "paper/record/vanishing_gradients.json").read_text())
    assert len(numbers["table"]) == len(run["results"]["depth"]["rows"])
    for line, row in zip(numbers["table"], run["results"]["depth"]["rows"], strict=True):
        # log of the printed factor, to the printed digits
        assert float(line[2]) == pytest.approx(
            2.718281828459045 ** row["factor_predicted"], abs=6e-5
        )
    assert numbers["run"]["address"] == run["address"][:12]


def test_every_formula_of_a_judged_wrong_row_is_typeset(built: Path):
    ledger = json.loads((built / "paper/build/data.json").read_text())["ledger"]
    plain = [
        row["id"] for row in ledger["wrong"] if row["status"] == "refuted" and not row["claim"]
    ]
    assert plain == []


def literal_numbers(text: str) -> list[str]:
    """Numbers of two digits or with a point that are no lengths, colours or numbering patterns."""
    text = re.sub(r'//.*|luma\([^)]*\)|rgb\([^)]*\)|@\w+|numbering: "[^"]*"', "", text)
    text = re.sub(r"(?<![\w.])-?\d*\.?\d+(?:pt|em|cm|fr|%)", "", text)
    return re.findall(r"(?<![\w.-])\d+\.\d+|(?<![\w.-])\d{2,}", text)


@pytest.mark.parametrize("path", paper_build.sources(ROOT / "paper"), ids=lambda path: path.name)
def test_the_text_holds_no_number_that_was_measured(path):
    assert literal_numbers(path.read_text()) == []


@pytest.mark.parametrize("text", ["the judge refutes 43 of them", "by 0.006 at most"])
def test_a_measured_number_in_main_typ_would_be_found(text: str):
    assert len(literal_numbers(text)) == 1


def test_every_figure_of_the_paper_has_a_producer(built: Path):
    record = PaperRecord.load(built / "paper/record")
    assert len(paper_build.images(ROOT / "paper")) >= 2
    assert paper_build.problems(built / "paper", record) == []
    assert build(built, "--check") == 0


def test_a_figure_without_a_producer_fails_the_check(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    with (copied / "paper/main.typ").open("a") as stream:
        stream.write('\n#image("build/figures/nobody.svg")\n')
    assert build(copied, "--check") == 1
    assert "nobody.svg has no producer" in capsys.readouterr().err
    assert build(copied, "--from-record", "paper/record") == 2


def test_a_figure_older_than_its_record_fails_the_check(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    path = copied / "paper/record/vanishing_gradients.json"
    run = json.loads(path.read_text())
    run["results"]["depth"]["rows"][0]["measured"][0] += 1.0
    path.write_text(json.dumps(run))
    assert build(copied, "--check", "--from-record", "paper/record") == 1
    assert "older than its record" in capsys.readouterr().err


def test_a_record_survives_writing_and_reading(built: Path, tmp_path: Path):
    record = PaperRecord.load(built / "paper/record")
    record.save(tmp_path)
    assert PaperRecord.load(tmp_path) == record


@pytest.mark.parametrize("content", ["", "[]", '{"schema": "other/1"}'])
def test_a_damaged_record_is_refused_with_the_remedy(
    copied: Path, content: str, capsys: pytest.CaptureFixture[str]
):
    (copied / "paper/record/ledger.json").write_text(content)
    assert build(copied, "--from-record", "paper/record") == 2
    assert "make the record again" in capsys.readouterr().err


def test_a_missing_record_names_the_command_that_makes_it(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    assert build(copied, "--from-record", "nowhere") == 2
    assert "--update-record" in capsys.readouterr().err


def test_outside_a_checkout_there_is_no_paper(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert build(tmp_path) == 2
    assert "checkout" in capsys.readouterr().err


def test_a_document_that_does_not_compile_is_a_clear_error(
    copied: Path, capsys: pytest.CaptureFixture[str]
):
    with (copied / "paper/main.typ").open("a") as stream:
        stream.write("\n#nonsense(\n")
    assert build(copied, "--from-record", "paper/record") == 2
    assert "does not compile" in capsys.readouterr().err


def test_update_record_writes_what_was_judged_and_run(
    copied: Path, monkeypatch: pytest.MonkeyPatch
):
    record = PaperRecord.load(copied / "paper/record")
    monkeypatch.setattr(paper, "make", lambda *_: record)
    shutil.rmtree(copied / "paper/record")
    assert build(copied, "--update-record") == 0
    assert PaperRecord.load(copied / "paper/record") == record


def test_a_row_that_cannot_be_judged_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from diffkit.catalog import judge
    from diffkit.core.errors import Undecidable

    def fail(*_: object) -> None:
        raise Undecidable("no")

    monkeypatch.setattr(judge, "judge_row", fail)
    with pytest.raises(Undecidable, match="ledger row F0-01"):
        paper_record.judged_ledger(tmp_path, lambda _: None)


@pytest.mark.parametrize(
    ("natural", "text"),
    [
        (0.0, "1"),
        (-0.02, "0.98"),
        (-41.99, "5.8 dot 10^(-19)"),
        (-46.0517018599, "1.0 dot 10^(-20)"),
    ],
)
def test_small_numbers_are_printed_as_powers_of_ten(natural: float, text: str):
    assert wording.power_of_ten(natural) == text


def test_a_record_without_the_atlas_says_how_to_make_it(copied: Path):
    (copied / "paper/record/atlas.json").unlink()
    with pytest.raises(UsageError, match=r"`diffkit atlas --record .*atlas.json` makes it"):
        PaperRecord.load(copied / "paper/record")


def test_the_defects_of_a_function_are_one_line_with_four_digits():
    rows = [
        {"function": "f", "argument": name, "dtype": "float64, float32", "message": text}
        for name, text in (("x", "at x = 0.20702065986294677, y = 1.0 AD gives nan"), ("y", ""))
    ]
    assert paper_data._by_function(rows) == [
        ["f", "x, y", "float64", "at x = 0.207, y = 1.0 AD gives nan"]
    ]
