import importlib
import json
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from diffkit.core.claim import Claim
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict
from diffkit.verify.check import check
from diffkit.verify.replay import judge_again, reference, replay
from diffkit.verify.verify import verify


def from_file(verdict: Verdict) -> Verdict:
    return Verdict.from_dict(json.loads(verdict.to_json()))


QUESTIONS = {
    "text": lambda: check("softplus(x)", "2*sigmoid(x)"),
    "domain": lambda: check("sqrt(x**2)", "x", kind="value", domain="positive"),
    "convention": lambda: check("relu(x)", "step(x)", conventions={"relu0": 1}),
    "order and point": lambda: check("x**4", "12*x", order=2, points=[{"x": 7}]),
    "relation": lambda: check("x**3", ">= 0", kind="value"),
    "function at its point": lambda: verify(jax.nn.relu, 0.0, dtypes=("float64",)),
    "array": lambda: check(jnp.tanh, "1 - tanh(x)", jnp.array([0.5, 1.5])),
    "formula": lambda: verify("x**2", dtypes=("float32",)),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_saved_verdict_judged_again_is_the_same_verdict(name: str):
    verdict = QUESTIONS[name]()
    assert verdict.claim.is_replayable
    again = replay(from_file(verdict))
    assert (again.status, again.statement) == (verdict.status, verdict.statement)
    assert again.counterexample == verdict.counterexample
    assert again.findings == verdict.findings


def test_a_function_without_an_importable_name_is_not_replayable():
    verdict = check(lambda x: x**2, "2*x", 1.0)
    assert not verdict.claim.is_replayable
    with pytest.raises(UsageError, match="cannot be found again"):
        replay(verdict)


def test_a_reference_is_given_only_where_it_leads_back_to_the_function():
    assert reference(jnp.sin) == "" or ":" in reference(jnp.sin)
    assert reference(json.dumps) == "json:dumps"
    assert reference(lambda x: x) == ""

    def impostor(x):
        return x

    impostor.__module__, impostor.__qualname__ = "json", "dumps"
    assert reference(impostor) == ""


@pytest.mark.parametrize(
    "damage",
    [
        {"target": 3},
        {"claimed": None},
        {"verb": "destroy"},
        {"domain": {"x": 1}},
        {"options": {"judge": "mine"}},
        {"options": []},
        {"points": ("x",)},
    ],
)
def test_a_claim_with_wrong_types_is_refused_in_a_sentence(damage):
    good = Claim("x**2", "2*x", "x")
    assert judge_again(good).status == "proved"
    with pytest.raises(UsageError, match="damaged"):
        judge_again(replace(good, **damage))


@pytest.mark.parametrize("target", ["nosuchmodule:f", "json:nothing"])
def test_a_reference_that_leads_nowhere_is_refused(target: str):
    with pytest.raises(UsageError, match="cannot be imported again"):
        judge_again(Claim(target, "1", "x"))


def test_damaged_arguments_are_refused():
    broken = Claim("jax.numpy:tanh", "1", "x", options={"arguments": [{"value": "one"}]})
    with pytest.raises(UsageError, match="arguments are damaged"):
        judge_again(broken)


MODULE = """\
import jax.numpy as jnp


def scaled(x, a=1.0, b=2.0):
    return a * jnp.sin(b * x)


def mean(x):
    return jnp.mean(x**2)
"""


@pytest.fixture
def named(tmp_path, monkeypatch):
    """A module with functions that can be imported again."""
    (tmp_path / "replayed_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("replayed_module")
    sys.modules.pop("replayed_module", None)


def test_what_a_check_was_asked_under_and_with_is_kept(named):
    x = jnp.arange(1.0, 6.0)
    verdict = check(named.mean, "2*x/n", x, constants={"n": 5}, under=("jit", "scan"))
    assert verdict.ok
    kept = verdict.claim.options
    assert (kept["constants"], kept["under"]) == ({"n": 5}, ["jit", "scan"])
    again = replay(from_file(verdict))
    assert (again.status, again.claim) == (verdict.status, verdict.claim)
    text = verdict.to_test()
    assert "constants={'n': 5}" in text.replace('"', "'")
    assert "under=['jit', 'scan']" in text.replace('"', "'")


def test_arguments_by_name_are_kept_only_where_they_are_in_order(named):
    ask = {"dtypes": ("float64",)}
    in_order = verify(named.scaled, x=0.5, a=3.0, **ask)
    assert in_order.claim.is_replayable
    assert replay(from_file(in_order)).statement == in_order.statement
    # as positions, b = 3 would be a = 3
    assert not verify(named.scaled, x=0.5, b=3.0, **ask).claim.is_replayable
