"""A program against a printed rule: equal for all values, or refuted at the update that differs."""

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


def test_two_rules_with_gradients_at_different_places_are_told_apart_by_a_slope():
    ahead = as_rule(MOMENTUM).changed({}, at="w - a*b*v")
    assert check_updates(ahead, MOMENTUM, HYPER).status == "proved"
    values = {**HYPER, "h": 0.5}
    assert check_updates(ahead, MOMENTUM, values, slope="h*w").status == "refuted"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": 0}, "steps=0; give 1 to 6"),
        ({"hyper": {"a": 1.0}}, "the rule holds b; give each a value"),
        ({"hyper": {**HYPER, "g1": 1.0}}, "'g1' is no name for a hyper-parameter"),
        ({"slope": "h*w"}, "slope= tells two rules apart"),
        ({"rule": "v = g"}, "no line of the rule assigns w"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(changes, said):
    asked = {"rule": MOMENTUM, "hyper": HYPER, **changes}
    with pytest.raises(UsageError, match=said):
        check_updates(momentum, asked.pop("rule"), asked.pop("hyper"), **asked)
