"""The judge is judged by random programs: none that is right is refuted, planted bugs are.

Record: `python -m diffkit.testing.fuzz --programs 10000 --processes 2 --out FILE` writes
fuzz.json beside this file.
"""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from diffkit.lab import provenance
from diffkit.numeric import germ_functions
from diffkit.testing import fuzz, fuzz_command
from diffkit.testing.bugs import KINDS
from diffkit.testing.fuzz_command import Plan
from diffkit.testing.tally import Tally

RECORD = json.loads((Path(__file__).parent / "fuzz.json").read_text(encoding="utf-8"))
#: Reached when this was written; raise it when the record rises, never lower it.
LEAST_SHARE = 0.999
#: Seeds beyond those of the record: programs nobody has seen.
UNSEEN = 1_000_000


def test_on_record_nothing_right_is_refuted_and_the_share_of_bugs_refuted_only_rises():
    assert RECORD["programs"] >= 10_000
    assert RECORD["array_programs"] >= 1_000
    assert RECORD["compiled"] >= 500
    assert RECORD["false_refutations"] == 0
    assert RECORD["defects"]["wrong enclosure"] == RECORD["defects"]["failed"] == 0
    assert RECORD["share"] >= max(LEAST_SHARE, 0.99)
    assert RECORD["refuted"] == sum(counts["refuted"] for counts in RECORD["by_kind"].values())


def test_on_record_every_kind_of_bug_was_planted_and_none_is_overlooked():
    assert set(RECORD["by_kind"]) == set(KINDS)
    for kind, counts in RECORD["by_kind"].items():
        planted = sum(counts.values())
        assert planted >= 10, kind
        assert counts["refuted"] / planted >= 0.99, kind
        # what is not refuted is left open; none is called right
        assert set(counts) <= {"refuted", "unsure"}, kind


def test_programs_nobody_has_seen_are_judged_rightly():
    found = fuzz.run(range(UNSEEN, UNSEEN + 25)).to_dict()
    assert found["programs"] == 25
    assert not any(found["defects"].values()), found["reports"]
    assert found["share"] == 1.0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_hundreds_of_programs_nobody_has_seen_are_judged_rightly():
    found = fuzz.run(range(UNSEEN + 1000, UNSEEN + 1300)).to_dict()
    assert fuzz_command.is_good(found), found["reports"]
    assert found["share"] >= 0.99, found["reports"]


# --- the fuzzer notices ---------------------------------------------------------------------------


def with_outcome(outcome):
    """A judge that says the same whatever it is asked."""
    return lambda *asked: [replace(each, outcome=outcome) for each in honest(*asked)]


honest = fuzz.ask


def test_a_judge_that_refutes_everything_is_caught(monkeypatch):
    monkeypatch.setattr(fuzz, "ask", with_outcome("disagrees"))
    found = fuzz.run(range(1, 4)).to_dict()
    assert found["false_refutations"] == 3
    assert found["false_alarm_share"] == 1.0
    assert not fuzz_command.is_good(found)


def test_a_judge_that_believes_everything_is_caught(monkeypatch):
    monkeypatch.setattr(fuzz, "ask", with_outcome("agrees"))
    found = fuzz.run(range(1, 4)).to_dict()
    assert found["defects"]["missed bug"] == found["bugs"] == 3
    assert not fuzz_command.is_good(found)


def test_a_wrong_ball_function_is_caught(monkeypatch):
    seed = next(
        k
        for k in range(100)
        if any(step.operation.name == "sin" for step in fuzz.case(k).program.steps)
    )
    right = germ_functions.RULES["sin"]
    monkeypatch.setitem(germ_functions.RULES, "sin", lambda A, x: right(A, x) * 2)
    found = fuzz.run([seed]).to_dict()
    assert found["defects"]["wrong enclosure"] > 0
    assert "sin" in found["reports"]["wrong enclosure"][0]
    assert not fuzz_command.is_good(found)


def test_a_bug_that_changes_no_answer_is_not_planted():
    """Every bug shows at its point by much more than rounding, by construction."""
    for seed in range(11):
        bug, asked = fuzz.bug_of(seed)
        assert fuzz.is_visible(asked, bug)
        harmless = replace(bug, kind=replace(bug.kind, factor=1.0, is_identity=False))
        if harmless.kind == replace(KINDS["factor 2"], name=bug.kind.name, factor=1.0):
            assert not fuzz.is_visible(asked, harmless)


def test_one_program_in_twenty_is_compiled_and_among_them_arrays():
    compiled = [seed for seed in range(2000) if fuzz.is_compiled(seed)]
    assert len(compiled) == 100
    assert {seed % 10 for seed in compiled} == set(range(10))


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """Blocks of two programs, and the list of those that were judged."""
    judged = []
    run = fuzz_command.judge_block

    def counted(block):
        judged.append(block)
        return run(block)

    monkeypatch.setattr(fuzz_command, "BLOCK", 2)
    monkeypatch.setattr(fuzz_command, "judge_block", counted)
    return judged


def test_a_run_that_was_stopped_goes_on_where_it_was(small, monkeypatch, tmp_path, capsys):
    out = tmp_path / "fuzz.json"
    counted = fuzz_command.judge_block

    def stopped(block):
        if block[0] == 2:
            raise KeyboardInterrupt
        return counted(block)

    arguments = ["--programs", "4", "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(fuzz_command, "judge_block", stopped)
        assert fuzz_command.main(arguments) == 130
    assert not out.exists()
    assert "go on from" in capsys.readouterr().err
    assert fuzz_command.main(arguments) == 0
    assert small == [(0, 2), (2, 4)]
    assert [path.name for path in tmp_path.iterdir()] == ["fuzz.json"]
    found = json.loads(out.read_text(encoding="utf-8"))
    whole = fuzz.run(range(4)).to_dict()
    assert {key: found[key] for key in whole} == whole


def test_blocks_of_another_plan_are_not_taken_over(small, tmp_path):
    out = tmp_path / "fuzz.json"
    part = tmp_path / "fuzz.json.part"
    part.write_text(json.dumps({"plan": {"seed": 7}, "blocks": {"0-2": {}}}))
    fuzz_command.judge(Plan(2, 0, 1), out)
    assert small == [(0, 2)]


@pytest.mark.parametrize("change", [None, "code", "diffkit", "sympy"])
def test_blocks_of_other_code_or_libraries_are_not_taken_over(change, small, tmp_path, monkeypatch):
    out, plan = tmp_path / "fuzz.json", Plan(2, 0, 1)
    block = {**fuzz.run(range(2)).to_dict(), "cpu_seconds": 1.0}
    fuzz_command._save(plan, {"0-2": block}, out)
    if change == "code":  # as an edit that is not committed makes it
        source = tmp_path / "tally.py"
        source.write_text("edited = True\n")
        found = provenance._source
        monkeypatch.setattr(
            provenance,
            "_source",
            lambda name: source if name == "diffkit.testing.tally" else found(name),
        )
        fuzz_command._code.cache_clear()
    elif change is not None:
        versions = {**provenance.versions(), change: "another"}
        monkeypatch.setattr(provenance, "versions", lambda: versions)
    fuzz_command.judge(plan, out)
    fuzz_command._code.cache_clear()
    assert small == ([] if change is None else [(0, 2)])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--programs", "0"], "at least 1"),
        (["--processes", "-1"], "at least 1"),
        (["--seed", "-3"], "from 0 on"),
    ],
)
def test_a_wrong_question_is_refused_in_a_sentence(arguments, said, capsys):
    assert fuzz_command.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told_before_anything_is_judged(tmp_path, small, capsys):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "fuzz.json"
    assert fuzz_command.main(["--programs", "2", "--out", str(out)]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert not small


@pytest.mark.parametrize("text", ["[]", "{}", "not json", '{"schema": "diffkit.mutants/1"}'])
def test_a_file_that_is_no_result_is_not_overwritten(text, tmp_path, capsys):
    out = tmp_path / "fuzz.json"
    out.write_text(text)
    assert fuzz_command.main(["--programs", "1", "--out", str(out)]) == 2
    assert out.read_text() == text
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("better", "said"),
    [
        ({"programs": 9}, "another file"),
        ({"share": 1.5}, "share of bugs refuted"),
        ({"false_alarm_share": -1.0}, "share of false alarms"),
    ],
)
def test_a_record_may_only_improve(better, said, small, tmp_path, capsys):
    out = tmp_path / "fuzz.json"
    fuzz_command.judge(Plan(2, 0, 1), out)
    record = json.loads(out.read_text()) | better
    out.write_text(json.dumps(record))
    assert fuzz_command.main(["--programs", "2", "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert json.loads(out.read_text()) == record


def test_tallies_add_up_and_survive_json():
    first, second = fuzz.run([0, 1]), fuzz.run([2])
    both = Tally.from_dict(json.loads(json.dumps(first.to_dict())))
    both.merge(Tally.from_dict(second.to_dict()))
    assert both.to_dict() == fuzz.run([0, 1, 2]).to_dict()
    assert sum(sum(counts.values()) for counts in both.bugs.values()) == 3
    assert both.clean == Counter({"agrees": 3 + sum(map(fuzz.is_compiled, range(3)))})
