"""The ledger of the lectures is complete and whole, and a damaged one is refused."""

import tomllib
from collections import Counter

import pytest

from diffkit.catalog.ledger import (
    EDITS,
    FOLDER,
    LECTURES,
    check_formulas,
    load,
    load_file,
)
from diffkit.core.errors import UsageError

# Counted in the five texts, before any row was written here.
ROWS_OF_LECTURE = {"000": 65, "001": 29, "002": 39, "003": 30, "004": 99}
ROWS_OF_TRUTH = {"correct": 115, "definition": 64, "wrong": 49, "ambiguous": 34}
ROWS_OF_KIND = {"d": 36, "id": 29, "val": 29, "ineq": 9, "step": 38, "def": 67, "stmt": 54}

GOOD = {
    "id": '"F0-90"',
    "source": '"000_text.txt"',
    "lines": '"12-13 20"',
    "label": '"the square"',
    "printed": '"(x^2)\' = 2x"',
    "kind": '"d"',
    "truth": '"correct"',
    "relation": '"gradient"',
    "target": '"x**2"',
    "claim": '"2*x"',
    "wrt": '"x"',
}
WRONG = {"truth": '"wrong"', "claim": '"x"', "correction": '"2x"', "edit": '"factor"'}
READINGS = """
[[row.reading]]
name = "one-sided from the right"
claim = "2*abs(x)"
domain = {x = "positive"}
holds = true

[[row.reading]]
name = "everywhere"
claim = "2*abs(x)"
holds = false
"""


def damaged(tmp_path, tail="", **changes):
    """A lecture of one row; a field set to None is left out."""
    fields = {name: value for name, value in (GOOD | changes).items() if value is not None}
    text = "[[row]]\n" + "\n".join(f"{name} = {value}" for name, value in fields.items())
    path = tmp_path / "000.toml"
    path.write_text(f"{text}\n{tail}", encoding="utf-8")
    return path


def test_the_ledger_holds_all_262_formulas_of_the_five_lectures():
    rows = load()
    assert len(rows) == 262
    assert Counter(row.source[:3] for row in rows) == ROWS_OF_LECTURE
    assert Counter(row.truth for row in rows) == ROWS_OF_TRUTH
    assert Counter(row.kind for row in rows) == ROWS_OF_KIND


@pytest.mark.parametrize("lecture", LECTURES)
def test_every_formula_of_a_lecture_is_read_by_the_grammar(lecture):
    rows = load_file(FOLDER / f"{lecture}.toml")
    assert len(rows) == ROWS_OF_LECTURE[lecture]
    check_formulas(rows)


def test_ids_are_unique():
    ids = [row.id for row in load()]
    assert len(set(ids)) == len(ids)


def test_everything_but_sentences_is_judged():
    rows = load()
    assert all(row.judged for row in rows if row.kind != "stmt")
    assert sum(row.judged for row in rows) >= 208
    assert all(row.reason.startswith("not a formula: ") for row in rows if not row.judged)


def test_every_wrong_row_has_a_correction_and_only_wrong_rows_an_edit_of_the_list():
    rows = load()
    assert all(row.correction.strip() for row in rows if row.truth == "wrong")
    assert {row.edit for row in rows if row.truth == "wrong"} <= {"", *EDITS}
    assert not any(row.edit for row in rows if row.truth != "wrong")


def test_a_judged_ambiguous_row_has_two_readings_of_different_names():
    ambiguous = [row for row in load() if row.truth == "ambiguous" and row.judged]
    assert ambiguous
    for row in ambiguous:
        assert len({reading.name for reading in row.readings}) == len(row.readings) >= 2, row.id


def test_a_reading_takes_from_its_row_what_it_leaves_out(tmp_path):
    row = load_file(damaged(tmp_path, READINGS, truth='"ambiguous"', domain='{x = "real"}'))[0]
    right, everywhere = row.readings
    assert (right.target, right.wrt, right.relation) == ("x**2", "x", "gradient")
    assert (dict(right.domain), dict(everywhere.domain)) == ({"x": "positive"}, {"x": "real"})
    assert (right.holds, everywhere.holds) == (True, False)


def test_the_undamaged_row_is_accepted(tmp_path):
    rows = load_file(damaged(tmp_path))
    check_formulas(rows)
    assert rows[0].claim == "2*x"
    assert load_file(damaged(tmp_path, **WRONG))[0].edit == "factor"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": '"F-1"'}, r'write it as "F2-17"'),
        ({"id": '"F1-90"'}, r"another lecture; move the row"),
        ({"source": '"001_text.txt"'}, r"another lecture; move the row"),
        ({"source": None}, r"'source' is missing; add it"),
        ({"lines": '"somewhere"'}, r'names no lines; write "90"'),
        ({"label": '" "'}, r"label or printed is empty; say"),
        ({"kind": '"lemma"'}, r"kind = 'lemma' is not one; known: d, id"),
        ({"truth": '"true"'}, r"truth = 'true' is not one; known: correct"),
        ({"relation": '"equals"'}, r"relation = 'equals' is not one; known: gradient"),
        ({"relation": None}, r"relation = '' is not one"),
        ({"claim": None}, r"the claim is empty; write"),
        ({"claim": "2"}, r"claim = 2 has the wrong type; write a str"),
        ({"order": "true"}, r"order = True has the wrong type; write a int"),
        ({"order": "0"}, r"order = 0; a gradient has wrt and an order"),
        ({"target": None}, r"target = '' with relation \"gradient\"; write what"),
        ({"relation": '"holds"', "wrt": None}, r'with relation "holds"; delete it'),
        ({"relation": '"value"'}, r"wrt = 'x', order = 1; a gradient has wrt"),
        ({"relation": '"rounds"', "wrt": None}, r"'2\*x' is no decimal; write its digits"),
        ({"domain": '{x = "(1, 0)"}'}, r"domain of x: the interval \(1, 0\) is empty"),
        ({"domain": "{x = 1}"}, r"domain of x: "),
        ({"conventions": '{relu0 = "1"}'}, r"convention relu0 = '1' is no number; write"),
        ({"clam": '"x"'}, r"unknown field 'clam'; known fields: id, source"),
        ({"judged": "false"}, r"it is not judged; judge it, or"),
        ({"judged": "false", "kind": '"stmt"'}, r"it is not judged; judge it, or"),
        ({"reason": '"not a formula: words"'}, r"a reason not to be; delete the reason"),
        (WRONG | {"correction": None}, r"no correction; say in words"),
        (WRONG | {"edit": '"rewrite"'}, r"edit = 'rewrite' is not one; known: sign, sign of term"),
        ({"edit": '"sign"'}, r"correct has an edit; delete the edit"),
        ({"truth": '"ambiguous"'}, r"fewer than two readings; add"),
    ],
)
def test_a_damaged_row_is_refused_with_file_row_and_remedy(tmp_path, changes, message):
    path = damaged(tmp_path, **changes)
    named = changes.get("id", GOOD["id"]).strip('"')
    with pytest.raises(UsageError, match=rf"^000\.toml: row 1 \({named}\).*{message}"):
        load_file(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claim": '"2x"'}, r"claim: '2x' is no formula: an operator is missing"),
        ({"target": '"x**2 + squire(x)"'}, r"target: .*no function is called 'squire'"),
        ({"claim": '"2*x*y"'}, r"the target lacks the symbols y of the claim; write them in"),
        ({"claim": '"x == 2"'}, r'relation "gradient"; only "holds" claims a relation'),
        ({"target": '"x > 2"'}, r"the target is a relation; write an expression"),
        ({"wrt": '"t"'}, r"the target has no t; differentiate by one"),
        ({"domain": '{t = "real"}'}, r"the domain names t, no side does; delete or rename"),
        (WRONG | {"corrected": '"2**"'}, r"corrected: '2\*\*' is no formula"),
    ],
)
def test_a_damaged_formula_is_refused_with_file_row_and_remedy(tmp_path, changes, message):
    rows = load_file(damaged(tmp_path, **changes))
    with pytest.raises(UsageError, match=rf"(?s)^000_text\.txt: row F0-90.*{message}"):
        check_formulas(rows)


def test_a_damaged_reading_is_named(tmp_path):
    tail = READINGS.replace("holds = false", "")
    with pytest.raises(UsageError, match="reading 'everywhere': the field 'holds' is missing"):
        load_file(damaged(tmp_path, tail, truth='"ambiguous"'))
    with pytest.raises(UsageError, match="a row that is correct has readings; delete them"):
        load_file(damaged(tmp_path, READINGS))


def test_two_rows_of_one_id_are_refused(tmp_path):
    path = damaged(tmp_path)
    path.write_text(path.read_text() * 2)
    with pytest.raises(UsageError, match=r"row 2 \(F0-90\): the id occurs twice; number one"):
        load_file(path)


def test_a_broken_missing_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "000.toml"
    with pytest.raises(UsageError, match=r"000\.toml: cannot be read .* install diffkit anew"):
        load(tmp_path)
    path.write_text("[[row]]\nid = ")
    with pytest.raises(UsageError, match=r"000\.toml: not TOML: .* mend that line"):
        load_file(path)
    path.write_text("[table]\nid = 1")
    with pytest.raises(UsageError, match=r"a lecture is \[\[row\]\] tables only"):
        load_file(path)


def test_no_file_holds_more_than_its_rows():
    found = sorted(path.name for path in FOLDER.iterdir())
    assert found == [f"{lecture}.toml" for lecture in LECTURES]
    tables = [tomllib.loads((FOLDER / name).read_text(encoding="utf-8")) for name in found]
    assert sum(len(table["row"]) for table in tables) == len(load())
