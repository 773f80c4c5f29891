"""The identities of matrix calculus are proved, their mistakes refuted and repaired.

`identities.golden` holds what the judge says of each row.  A verdict may only get better:
undecided to supported to proved, no repair to a repair.  `python tests/catalog/test_identities.py`
writes the file anew.
"""

from functools import cache, partial
from pathlib import Path

import jax
import numpy as np
import pytest

from diffkit.catalog.identities import CLASSES, IDENTITIES, judge_identity
from diffkit.catalog.identities.row import KINDS, Identity
from diffkit.core.domain import Domain
from diffkit.numeric.matrix_sets import belongs

GOLDEN = Path(__file__).with_name("identities.golden")
RANK = {"refuted": 0, "undecided": 1, "supported": 2, "proved": 3}


#: Rows of each class in the fast suite; the others are slow.
MOST_FAST = 3


def parameters():
    return [
        pytest.param(row, id=row.name, marks=() if place < MOST_FAST else pytest.mark.slow)
        for rows in CLASSES.values()
        for place, row in enumerate(rows)
    ]


@cache
def recorded() -> dict[str, tuple[str, ...]]:
    lines = GOLDEN.read_text().splitlines()
    return {name: tuple(rest) for name, *rest in (line.split(" | ") for line in lines)}


def judged(row: Identity) -> tuple[str, str, str, str]:
    """Status of the claim, of its LaTeX and of the wrong claim, and the repairing edit."""
    found = judge_identity(row)
    repair = None if found.wrong is None else found.wrong.repair
    edit = "-" if repair is None else repair.edit
    verdicts = (found.claim, found.written, found.wrong)
    statuses = ("-" if v is None else v.status for v in verdicts)
    return (*statuses, edit)


@pytest.fixture(autouse=True, scope="module")
def _programs_are_given_back():
    yield
    jax.clear_caches()


@pytest.mark.parametrize("row", parameters())
def test_the_claim_holds_and_the_mistake_is_refuted(row):
    claim, written, wrong, edit = judged(row)
    known_claim, known_written, known_wrong, known_edit = recorded()[row.name]
    assert RANK[claim] >= RANK[known_claim]
    assert written == "-" or RANK[written] >= RANK[known_written]
    assert wrong == known_wrong
    assert edit != "-" or known_edit == "-"


def test_the_record_proves_what_it_must():
    rows = recorded()
    assert set(rows) == {row.name for row in IDENTITIES}
    claims = [claim for claim, *_ in rows.values()]
    assert "refuted" not in claims
    assert "undecided" not in claims
    assert claims.count("proved") >= 138
    assert [
        written for _, written, *_ in rows.values() if written in ("refuted", "undecided")
    ] == []
    assert {wrong for *_, wrong, _ in rows.values()} == {"refuted", "-"}
    wrong = [edit for *_, wrong, edit in rows.values() if wrong == "refuted"]
    assert sum(edit != "-" for edit in wrong) / len(wrong) >= 0.97


@pytest.mark.parametrize("row", parameters())
def test_jax_agrees_with_the_claim_and_not_with_the_mistake(row):
    values = list(row.draw(1).values())
    place = list(row.samples).index(row.wrt)
    with jax.enable_x64(True):
        values = [jax.numpy.asarray(value) for value in values]
        tangent = jax.numpy.asarray(np.random.default_rng(2).normal(size=values[place].shape))
        true, claimed, wrong = map(np.asarray, jax.jit(partial(sides, row))(values, tangent))
    assert np.max(np.abs(claimed - true)) <= 1e-9 * max(1.0, np.max(np.abs(true)))
    if row.wrong is not None:
        assert np.max(np.abs(wrong - true)) > 1e-3 * np.max(np.abs(true))


def sides(row, values, tangent):
    """JAX's derivative, the claim and the mistake (the claim again where there is none)."""
    if row.kind == "jvp":
        true = jax.jvp(row.f, values, [tangent])[1]
        values = [*values, tangent]
    else:
        mode = {"gradient": jax.grad, "jacobian": jax.jacrev, "hessian": jax.hessian}[row.kind]
        true = mode(row.f, list(row.samples).index(row.wrt))(*values)
    others = (row.claim, row.wrong or row.claim)
    return true, *(jax.numpy.reshape(each(*values), true.shape) for each in others)


def test_every_row_says_where_it_stands_and_what_is_wrong():
    assert (
        len({row.name for row in IDENTITIES}) == len(IDENTITIES) == sum(map(len, CLASSES.values()))
    )
    for row in IDENTITIES:
        assert row.source
        assert row.latex_f
        assert row.latex_claim
        assert bool(row.wrong) == bool(row.mistake)
        assert row.wrt in row.samples
        assert {sample.kind for sample in row.samples.values()} <= set(KINDS)


@pytest.mark.parametrize("row", [row for row in IDENTITIES if row.domains], ids=str)
def test_samples_lie_in_the_declared_domains(row):
    values = row.draw(3)
    for name, domain in row.domains.items():
        assert belongs(values[name], Domain.parse(domain))


if __name__ == "__main__":
    lines = [" | ".join((row.name, *judged(row))) for row in IDENTITIES]
    GOLDEN.write_text("\n".join(lines) + "\n")
