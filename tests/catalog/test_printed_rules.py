"""The lectures' update rules: slips refuted and mended, the others proved, as in the ledger."""

from dataclasses import replace

import pytest

from diffkit.catalog import ledger
from diffkit.catalog.printed_rules import PRINTED, judge_printed

TRUTHS = {row.id: row.truth for row in ledger.load()}
CLAIMS = {row.id: judge_printed(row) for row in PRINTED}
#: Established by hand, with the ledger.
WRONG = {"F0-50", "F0-51", "F4-49", "F4-52"}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_printed_rule_is_refuted_where_the_ledger_has_it_wrong_and_else_proved(name):
    status = CLAIMS[name].printed.status
    assert status == ("refuted" if name in WRONG else "proved")
    assert (TRUTHS[name] == "wrong") == (name in WRONG)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_the_repair_of_a_slip_is_proved_to_be_the_papers_rule(name):
    repaired = CLAIMS[name].repaired
    assert repaired is not None
    assert repaired.status == "proved"


def test_the_average_printed_as_adagrad_is_rmsprop():
    really = CLAIMS["F0-51"].really
    assert really is not None
    assert really.status == "proved"


def test_epsilon_under_the_root_is_not_what_the_papers_print():
    adopted = {row.id for row in PRINTED if row.adopted}
    assert adopted == {"F4-50", "F4-51", "F4-52"}
    for name in adopted:
        paper = CLAIMS[name].paper
        assert paper is not None
        assert paper.status == "refuted"


def test_a_fed_back_correction_shows_in_the_second_update_only():
    assert CLAIMS["F4-52"].printed.statement.startswith("w after update 2 ")


def test_half_a_repair_of_nesterov_is_refuted():
    """Both changes are needed: the place, and the velocity that moves w."""
    row = next(row for row in PRINTED if row.id == "F4-49")
    for half in (replace(row, mended={}), replace(row, mended_at=None)):
        repaired = judge_printed(half).repaired
        assert repaired is not None
        assert repaired.status == "refuted"
