"""Traps are found and named, and clean functions are never called wrong.

`traps.golden` holds what the judge says of each row: status, and the kinds of its findings.  What
is found stays found.  `python tests/catalog/test_traps.py` adds the rows that are missing, with
`--all` it writes the file anew.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from diffkit.catalog.traps import TRAPS, judge_trap
from diffkit.core.errors import DiffkitError, TimeLimitExceeded
from diffkit.core.finding import KINDS
from diffkit.verify.verify import verify

GOLDEN = Path(__file__).with_name("traps.golden")
#: One of each kind, in the fast suite; the others are slow.
CHOSEN = frozenset(
    (
        "abs_0 topk_tie where_sqrt_neg linalg_norm_0 log1mexp_naive sigmoid_40 relu_minus_relu "
        "rule_vjp_ignores_g rule_vjp_no_fwd while_rev stop_grad_target ce_zero_label_neginf_logit "
        "hypot_big x_abs_x bf16_roundtrip bisection_root angle_0 c_softplus c_custom_jvp c_fft"
    ).split()
)


def line(judged):
    return f"{judged.row.name} | {judged.verdict.status} | {' '.join(judged.kinds) or '-'}"


@cache
def recorded():
    lines = GOLDEN.read_text().splitlines()
    return {name: (status, kinds) for name, status, kinds in (row.split(" | ") for row in lines)}


def parameters():
    return [
        pytest.param(row, id=row.name, marks=() if row.name in CHOSEN else pytest.mark.slow)
        for row in TRAPS
    ]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("row", parameters())
def test_what_is_found_stays_found(row):
    status, kinds = recorded()[row.name]
    try:
        judged = judge_trap(row)
    except TimeLimitExceeded:
        if status != "error":
            raise
        pytest.xfail("XLA compiles it for longer than a question may take; the record says so")
    assert not judged.is_false_alarm, judged.verdict.explain()
    if row.kinds and set(kinds.split()) & set(row.kinds):
        assert judged.is_named, judged.verdict.explain()


def test_the_record_finds_and_names_what_it_must():
    rows = recorded()
    assert set(rows) == {row.name for row in TRAPS}
    traps = [row for row in TRAPS if row.kinds]
    detected = [row for row in traps if rows[row.name][0] == "refuted" or rows[row.name][1] != "-"]
    named = [row for row in traps if set(rows[row.name][1].split()) & set(row.kinds)]
    assert len(detected) / len(traps) >= 0.95
    assert len(named) / len(traps) >= 0.90
    clean = [row for row in TRAPS if not row.kinds]
    assert [row.name for row in clean if rows[row.name][0] == "refuted"] == []


def test_a_clean_function_with_a_planted_sign_is_refuted():
    # the negative control of the controls: the same judge, a wrong rule
    import jax

    @jax.custom_jvp
    def f(x):
        return jax.nn.softplus(x)

    f.defjvp(lambda p, t: (f(*p), -t[0] * jax.nn.sigmoid(p[0])))
    assert verify(f, 0.5).status == "refuted"


def test_every_row_is_complete():
    assert len({row.name for row in TRAPS}) == len(TRAPS)
    for row in TRAPS:
        assert set(row.kinds) <= set(KINDS)
        assert not (row.is_control and row.kinds)
        assert np.all(np.isfinite(row.argument))


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    known = recorded() if GOLDEN.exists() else {}
    found = {}
    for each in TRAPS:
        if each.name in known and "--all" not in sys.argv:
            found[each.name] = " | ".join((each.name, *known[each.name]))
            continue
        try:
            found[each.name] = line(judge_trap(each))
        except DiffkitError as error:
            found[each.name] = f"{each.name} | error | -"
            print(error, file=sys.stderr)
        print(found[each.name], flush=True)
        rows = [found.get(row.name) for row in TRAPS]
        GOLDEN.write_text("".join(f"{row}\n" for row in rows if row is not None))
