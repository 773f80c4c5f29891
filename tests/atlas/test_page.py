"""The page and the tables of the atlas: everything is there, escaped, and can be searched."""

import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from diffkit.atlas import tables
from diffkit.atlas.entry import Entry, Trap
from diffkit.atlas.page import page, tags
from diffkit.atlas.survey import Atlas
from diffkit.core.finding import KINDS as KINDS_OF_FINDINGS
from diffkit.verify.accuracy import CLASSES

NAN = float("nan")
ROW = {
    "dtype": "float32",
    "mode": "reverse",
    "points": 9,
    "outside": 0,
    "median": 0.5,
    "worst": 300.0,
    "scaled": 2.0,
    "at": 0.25,
    "value": 1.0,
    "truth": 1.5,
    "condition": NAN,
    "verdict": "unstable",
}
#: A row that compared nothing.
EMPTY = {**ROW, "points": 0, "outside": 9, "median": NAN, "worst": NAN, "verdict": "accurate"}
DEFECT = Trap(
    "inf-gradient",
    "wrong",
    "at 1e-25 AD gives inf",
    {"x": 1e-25},
    dtype="float32",
    is_defect=True,
    groups=("rigorous", "high precision"),
    reproducer="print('<b>')",
)
MEASURED = replace(DEFECT, groups=("numerical", "closed form"))
KINK = Trap("kink", "note", "at 0.0 the one-sided derivatives are -1 and 1", {"x": 0.0}, more=2)
ENTRIES = (
    Entry(
        "jax.numpy.sinc",
        "x",
        "jax.numpy",
        "elementwise",
        "jax.numpy.sinc(x)",
        {},
        (ROW,),
        (DEFECT,),
    ),
    Entry("jax.numpy.abs", "x", "jax.numpy", "elementwise", "jax.numpy.abs(x)", {}, (), (KINK,)),
    Entry(
        "jax.nn.<evil>",
        "a&b",
        "jax.nn",
        modes={"forward": "no <rule>"},
        accuracy=(EMPTY,),
        skipped={"accuracy float16": "TypeError: <no> such"},
    ),
)
ATLAS = Atlas(ENTRIES, {"jax.numpy.floor": "zero & nothing"}, {"jax": "0.10.2"}, "a CPU", 12.0)


def test_every_derivative_defect_and_reason_is_on_the_page():
    text = page(ATLAS)
    for expected in (
        "id='jax.numpy.sinc-x'",
        "300 ulp",
        "suspected defect",
        "contradicted by: rigorous, high precision",
        "print(&#x27;&lt;b&gt;&#x27;)",
        "2 more such points",
        "no forward mode",
        "zero &amp; nothing",
    ):
        assert expected in text
    assert "<evil>" not in text
    assert "<rule>" not in text
    assert "http" not in re.sub(r"http-equiv", "", text)


def test_a_row_that_compared_no_point_is_not_called_accurate():
    text = page(Atlas(ENTRIES[2:], {}, {}, "a CPU", 1.0))
    assert "<table>" not in text
    assert text.count("digits accurate") == 1  # the legend
    assert "accurate" not in tables.entry_text(ENTRIES[2])


def test_the_place_of_an_error_in_an_array_is_told_by_its_entry():
    entry = replace(ENTRIES[0], accuracy=({**ROW, "entry": "entry [0, 1]"},))
    assert "entry [0, 1] = 0.25" in tables.entry_text(entry)
    assert "<td>entry [0, 1] = 0.25</td>" in page(replace(ATLAS, entries=(entry,)))


def test_what_was_not_asked_is_told_on_the_page_and_in_text():
    assert "not asked: accuracy float16: TypeError: &lt;no&gt; such" in page(ATLAS)
    assert "not asked accuracy float16: TypeError: <no> such" in tables.entry_text(ENTRIES[2])


def test_tags_are_what_rows_can_be_filtered_by():
    assert tags(ENTRIES[0]) == ["inf-gradient", "defect", "unstable"]
    assert tags(ENTRIES[1]) == ["kink"]
    assert tags(ENTRIES[2]) == ["missing-mode"]


def test_json_has_a_schema_and_the_counts_add_up():
    data = json.loads(json.dumps(tables.to_data(ATLAS)))
    assert data["schema"] == "diffkit.atlas/1"
    summary = data["summary"]
    assert summary["derivatives"] == len(data["derivatives"]) == 3
    assert sum(counts["derivatives"] for counts in summary["modules"].values()) == 3
    for counts in summary["modules"].values():
        by_class = (counts.get(name, 0) for name in (*CLASSES, "not measured"))
        assert sum(by_class) == counts["derivatives"]
    assert summary["kinds"] == {"inf-gradient": 1, "kink": 1 + KINK.more}
    assert summary["modules"]["jax.numpy"]["with a defect"] == 1
    head, *rows, total = tables.module_table(ATLAS)
    for column in range(1, len(head)):
        assert int(total[column]) == sum(int(row[column]) for row in rows)
    (defect,) = data["summary"]["defects"]
    assert defect["function"] == "jax.numpy.sinc"
    short = tables.record(ATLAS)
    assert short["summary"] == tables.summary(ATLAS)
    assert "derivatives" not in short


def test_a_cell_shows_the_worst_class_whatever_its_error():
    wrong = {**ROW, "mode": "forward", "verdict": "wrong", "worst": 20.0}
    entry = replace(ENTRIES[0], accuracy=(ROW, wrong))
    assert "class='digits wrong' title='float32: wrong" in page(replace(ATLAS, entries=(entry,)))


def test_defects_name_who_contradicts_them_and_no_one_else():
    entry = replace(ENTRIES[0], traps=(MEASURED,))
    text = page(replace(ATLAS, entries=(entry,)))
    listed = text[text.index("Suspected defects (1)") : text.index("class='controls'")]
    assert "contradicted by: numerical, closed form" in listed
    assert "both contradict" not in listed


def test_every_kind_that_occurs_can_be_chosen():
    traps = tuple(Trap(kind, "warning", "", {}) for kind in KINDS_OF_FINDINGS)
    text = page(replace(ATLAS, entries=(replace(ENTRIES[0], traps=traps),)))
    for kind in KINDS_OF_FINDINGS:
        assert f"<option value='{kind}'>" in text


def test_an_entry_that_was_never_examined_says_so():
    assert "was not examined" in page(ATLAS)
    assert "(not examined)" in tables.entry_text(ENTRIES[2])
    assert "not examined" not in tables.entry_text(ENTRIES[0])


def test_text_of_one_name_says_why_it_has_no_derivative():
    alone = Atlas((), {"jax.numpy.floor": "zero & nothing"}, {}, "a CPU", 1.0)
    assert tables.to_text(alone) == "jax.numpy.floor is not listed: zero & nothing"
    both = tables.to_text(replace(ATLAS, entries=ENTRIES[:1]))
    assert "zero & nothing" in both
    assert "held against balls" in both
    assert "1 public names have no derivative" in tables.to_text(ATLAS)


def test_text_and_markdown_name_the_defects_and_traps():
    for text in (tables.to_text(ATLAS), tables.to_markdown(ATLAS)):
        assert "jax.numpy.sinc by x" in text
        assert "one-sided derivatives are -1 and 1" in text
    assert "unstable" in tables.entry_text(ENTRIES[0])
    assert "no forward mode: no <rule>" in tables.entry_text(ENTRIES[2])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH")
def test_a_browser_filters_the_rows_and_opens_the_one_named_in_the_address(tmp_path):
    file = tmp_path / "atlas.html"
    file.write_text(page(ATLAS), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    plain = _dom([*command, file.as_uri()])
    assert "3 of 3 derivatives" in plain
    assert not re.search(r"<details class=\"row\"[^>]* open", plain)
    opened = _dom([*command, f"{file.as_uri()}#jax.numpy.sinc-x"])
    assert re.search(r"<details class=\"row\" id=\"jax.numpy.sinc-x\"[^>]* open", opened)


def _dom(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_text_of_a_derivative_begins_with_the_answer():
    def first(entry: Entry) -> str:
        return tables.entry_text(entry).splitlines()[1].strip()

    unstable = "AD loses digits that the derivative has"
    assert first(ENTRIES[0]) == f"{unstable}; 1 suspected defect"
    assert first(ENTRIES[1]) == "no accuracy was measured; 1 kink"
    assert first(ENTRIES[2]) == "no accuracy was measured; no forward mode"
    assert "300 ulp at 0.25, 2 ulp of the usual size" in tables.entry_text(ENTRIES[0])
    assert set(tables._ANSWERS) == {"", *CLASSES}
