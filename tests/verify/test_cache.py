import json

import pytest

from diffkit.core.claim import Claim
from diffkit.core.verdict import Verdict
from diffkit.verify import cache
from diffkit.verify.cache import VerdictCache

PROVED = Verdict(Claim("x**2", "2*x", "x"), "proved", "d/dx [x**2] = 2*x")
QUESTION = {"target": "x**2", "claim": "2*x", "seed": 0}


def never() -> Verdict:
    raise AssertionError("judged again")


def test_a_verdict_is_computed_once_and_read_back_the_same(tmp_path):
    kept = VerdictCache(tmp_path)
    assert kept.get(QUESTION, lambda: PROVED) is PROVED
    assert VerdictCache(tmp_path).get(QUESTION, never).to_json() == PROVED.to_json()


def test_the_order_of_the_question_does_not_matter_and_its_content_does(tmp_path):
    kept = VerdictCache(tmp_path)
    kept.get(QUESTION, lambda: PROVED)
    assert kept.get(dict(reversed(QUESTION.items())), never).ok
    other = Verdict(PROVED.claim, "refuted")
    assert kept.get({**QUESTION, "seed": 1}, lambda: other).status == "refuted"
    assert kept.get(QUESTION, never).status == "proved"


def test_a_damaged_entry_counts_as_absent_and_is_mended(tmp_path):
    kept = VerdictCache(tmp_path)
    kept.get(QUESTION, lambda: PROVED)
    (entry,) = tmp_path.iterdir()
    for damage in ("", "{", "[]", json.dumps({"schema": "diffkit.verdict/1"}), "\x00\xff"):
        entry.write_text(damage, encoding="utf-8")
        assert kept.get(QUESTION, lambda: PROVED) is PROVED
        assert kept.get(QUESTION, never).ok


def test_another_version_of_the_code_asks_again(tmp_path, monkeypatch):
    kept = VerdictCache(tmp_path)
    kept.get(QUESTION, lambda: PROVED)
    monkeypatch.setattr(cache, "engine", lambda: "another engine")
    asked = []
    kept.get(QUESTION, lambda: asked.append(1) or PROVED)
    assert asked == [1]


def test_a_judge_that_raises_leaves_no_entry(tmp_path):
    kept = VerdictCache(tmp_path)
    with pytest.raises(AssertionError, match="judged again"):
        kept.get(QUESTION, never)
    assert not tmp_path.exists() or not list(tmp_path.iterdir())
