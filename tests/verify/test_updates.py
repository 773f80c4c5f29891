"""A program against a printed rule: equal for all values, or refuted at the update that differs."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax
import pytest

from diffkit.core.errors import UsageError
from diffkit.symbolic.update_rule import as_rule
from diffkit.verify.updates import check_updates

MOMENTUM = "v = b*v + g; w = w - a*v"
HYPER = {"a": 0.125, "b": 0.5}


def momentum(a, b):
    return optax.sgd(a, momentum=b)


class Own(NamedTuple):
    """A user's optimiser: heavy ball whose momentum waits for a second gradient."""

    a: float
    b: float
    slip: float = 0.0

    def init(self, w):
        return jnp.zeros_like(w), jnp.zeros((), int)

    def update(self, g, state, params=None):
        v, count = state
        v = self.b * v + g + self.slip * jnp.where(count == 2, g, 0.0)
        return -self.a * v, (v, count + 1)


def test_a_users_own_optimiser_is_proved_to_be_the_papers():
    verdict = check_updates(Own, MOMENTUM, HYPER, domain={"b": "(0, 1)"})
    assert verdict.status == "proved"
    assert verdict.statement == "w after update 3 of the program = w of the rule"


def test_a_slip_that_shows_in_the_third_update_is_refuted_there():
    def slipped(a, b):
        return Own(a, b, slip=0.25)

    verdict = check_updates(slipped, MOMENTUM, HYPER, domain={"b": "(0, 1)"})
    assert verdict.status == "refuted"
    assert verdict.statement.startswith("w after update 3 ")
    # gradients 2, 1, -3: v = 2, 2, -2, so w = 1 - (2 + 2 - 2)/8; the slip adds -a s g3 = 3/32
    assert verdict.contradiction.endswith("claimed 3/4, true 27/32")
    # two updates do not see it
    assert check_updates(slipped, MOMENTUM, HYPER, steps=2).status == "proved"


@pytest.mark.parametrize(
    "mutant",
    ["v = b*v - g; w = w - a*v", "v = b*v + g; w = w + a*v", "v = (1 - b)*v + g; w = w - a*v"],
)
def test_a_mutated_rule_is_refuted(mutant):
    # b = 1/2 at the given point cannot tell b from 1 - b; random points do
    assert check_updates(momentum, mutant, HYPER, domain={"b": "(0, 1)"}).status == "refuted"


def test_a_value_of_the_rule_may_be_given():
    verdict = check_updates(lambda a: optax.sgd(a), MOMENTUM, {"a": 0.5}, given={"b": "0"})
    assert verdict.status == "proved"


def test_decay_rates_that_a_program_holds_as_floats_are_the_rules():
    # Adam computes 1 - 0.9 in floating point, which is two units in the last place off 1/10
    rule = (
        "m = b1*m + (1 - b1)*g; v = b2*v + (1 - b2)*g**2;"
        "w = w - a*(m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps)"
    )
    given = {"b1": "0.9", "b2": "0.999", "eps": "1e-8"}
    verdict = check_updates(lambda a: optax.adam(a), rule, {"a": 0.1}, given=given)
    assert verdict.status == "proved"
    assert any("read as 1 - 9/10" in text for text in verdict.assumptions)
    # the control: no other rate is
    other = {**given, "b1": "0.9001"}
    asked = {"given": other, "with_repair": False}
    assert check_updates(lambda a: optax.adam(a), rule, {"a": 0.1}, **asked).status == "refuted"


def test_a_value_is_the_number_that_is_written():
    verdict = check_updates(lambda a: optax.sgd(0.1), "w = w - a*g", {"a": 0.1}, with_repair=False)
    # a = 1/10 tells nothing, since the program's 0.1 is the same number
    assert verdict.contradiction == "at a = 1, g1 = 1, w = 0: claimed -1, true -1/10"
    assert verdict.claim.points[0]["a"] == "1/10"


class Stateless(NamedTuple):
    """A step that is a function of the gradient and the parameter."""

    step: Callable

    def init(self, w):
        return ()

    def update(self, g, state, params=None):
        return self.step(g, params), state


@pytest.mark.parametrize(
    ("step", "rule", "status"),
    [
        (lambda a, g, w: jnp.where(w < -50, 0.0, -a * g), "w = w - a*g", "refuted"),
        (
            lambda a, g, w: jnp.where(w < -50, 0.0, -a * g),
            "w = w - where(w < -50, 0, a*g)",
            "proved",
        ),
        (lambda a, g, w: g * jnp.nan, "w = w - a*g", "undecided"),
    ],
    ids=["other", "same", "nan"],
)
def test_a_rule_of_several_cases_is_judged(step, rule, status):
    def program(a):
        return Stateless(lambda g, w: step(a, g, w))

    verdict = check_updates(program, rule, {"a": 0.125}, with_repair=False)
    assert verdict.status == status
    assert (verdict.scope == "w after this update is no number") == (status == "undecided")


def test_a_repair_holds_where_the_claim_failed():
    def signed(a):
        return Stateless(lambda g, w: -a * jnp.where(g == 0, 1.0, jnp.sign(g)))

    # 1/sign(g) is sign(g) wherever it is defined, and not at the counterexample g = 0
    verdict = check_updates(signed, "w = w - a*sign(g)", {"a": 0.125})
    assert verdict.counterexample["g1"] == 0
    assert verdict.repair is None


def test_two_rules_with_gradients_at_different_places_are_told_apart_by_a_slope():
    ahead = as_rule(MOMENTUM).changed({}, at="w - a*b*v")
    assert check_updates(ahead, MOMENTUM, HYPER).status == "proved"
    values = {**HYPER, "h": 0.5}
    assert check_updates(ahead, MOMENTUM, values, slope="h*w").status == "refuted"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(({"steps": n}, f"steps={n!r}; give 1 to 6") for n in (0, 7, 2.5, "3", None, True)),
        *(({"rule": r}, "rule is text or lines of text") for r in (5, None, b"w = w - g")),
        ({"rule": ["w = w - a*g", 5]}, "5 is no line of a rule"),
        ({"rule": "w = w - a*g**10**10"}, "powers up to 1000"),
        ({"rule": "m = m + b*g; w = w - a*g**10**(2*t)"}, "powers up to 1000"),
        ({"hyper": {"a": 1.0}}, "the rule holds b; give each a value"),
        ({"hyper": ["a"]}, "hyper= gives each name a value"),
        *(({"hyper": {**HYPER, "b": b}}, "b = .* is no finite") for b in ("x", None, math.inf)),
        ({"domain": {"B": "(0, 1)"}}, "domain= names 'B'.* did you mean b[?] known: a, b, w, g1"),
        ({"domain": "(0, 1)"}, "domain= gives each name a domain"),
        ({"given": {"a": "exec"}}, "the formulas to compare hold exec; give"),
        ({"given": ["a"]}, "given= gives each name a formula"),
        ({"hyper": {**HYPER, "g1": 1.0}}, "'g1' is no name for a hyper-parameter"),
        ({"slope": "h*w"}, "slope= tells two rules apart"),
        ({"rule": "v = g"}, "no line of the rule assigns w"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(changes, said):
    asked = {"rule": MOMENTUM, "hyper": HYPER, **changes}
    with pytest.raises(UsageError, match=said):
        check_updates(momentum, asked.pop("rule"), asked.pop("hyper"), **asked)


@pytest.mark.parametrize("optimiser", [5, optax.sgd(0.1)], ids=["number", "built"])
def test_an_optimiser_that_builds_nothing_is_refused(optimiser):
    with pytest.raises(UsageError, match="give a function of the hyper-parameters"):
        check_updates(optimiser, "w = w - a*g", {"a": 0.5})
