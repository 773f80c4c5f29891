"""Optax's optimisers are the papers' rules up to the deviations listed, all of which are needed."""

from functools import cache

import jax
import numpy as np
import optax
import pytest

from diffkit.catalog import optimisers
from diffkit.catalog.optimisers import ROWS, OptimiserClaim, judge_optimiser
from diffkit.core.errors import UnknownNameError
from diffkit.symbolic.update_rule import UpdateRule
from diffkit.verify.updates import check_updates

BY_NAME = {row.name: row for row in ROWS}
#: Read off the papers and Optax 0.2.8 by hand, before the judge ran.
EQUAL = {"SGD", "momentum", "Adam", "Lion"}
DEVIATIONS = {
    "Nesterov": ["variable"],
    "Adagrad": ["start", "epsilon"],
    "Adadelta": ["learning rate"],
    "RMSProp": ["epsilon"],
    "AdaMax": ["epsilon"],
    "Nadam": ["schedule"],
    "AMSGrad": ["bias correction", "bias correction", "epsilon"],
    "AdamW": ["learning rate"],
}


@cache
def claim(name: str) -> OptimiserClaim:
    return judge_optimiser(BY_NAME[name])


def test_the_twelve_rules_are_there():
    assert set(BY_NAME) == EQUAL | set(DEVIATIONS)
    assert {row.name: [d.kind for d in row.deviations] for row in ROWS if row.deviations} == (
        DEVIATIONS
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_a_program_is_the_papers_rule_with_the_listed_deviations_and_with_no_fewer(name):
    found = claim(name)
    assert found.is_located
    assert found.paper.status == ("proved" if name in EQUAL else "refuted")
    if found.deviating is not None:
        assert found.deviating.status == "proved"
        assert len(found.fewer) == 2 ** len(found.row.deviations) - 2


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.call])
def test_the_call_that_is_said_to_be_the_papers_rule_is(name):
    cured = claim(name).cured
    assert cured is not None
    assert cured.status == "proved"


# One slip a rule: a sign, where epsilon stands, a missing or misplaced bias correction, a start.
MUTANTS = {
    "SGD": {"w": "w + a*g"},
    "momentum": {"w": "w - a*g - b*(w - before)"},
    "Nesterov": {"x": "x + v", "w": "x - b*v"},
    "Adagrad": {"w": "w - a*g/(sqrt(G) + eps)"},
    "Adadelta": {"u": "rho*u + (1 - rho)*g**2"},
    "RMSProp": {"w": "w - a*g/(sqrt(v) + eps)"},
    "Adam": {"w": "w - a*(m/(1 - b1**t))/sqrt(v/(1 - b2**t) + eps)"},
    "AdaMax": {"w": "w - a*m/u"},
    "Nadam": {"next": "b1**2"},
    "AMSGrad": {"u": "v/(1 - b2**t)"},
    "AdamW": {"w": "w - a*((m/(1 - b1**t))/(sqrt(v/(1 - b2**t)) + eps) - lam*w)"},
    "Lion": {"c": "b2*m + (1 - b2)*g"},
}


def asked(row: optimisers.OptimiserRow, rule: UpdateRule):
    values = optimisers._values(row)
    domains = optimisers.domains_of(values)
    return check_updates(row.build(), rule, values, domain=domains, with_repair=False)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutant_of_the_rule_that_was_proved_is_refuted(name):
    row = BY_NAME[name]
    rule = row.with_deviations(row.deviations)
    assert asked(row, rule.changed(MUTANTS[name])).status == "refuted"


@pytest.mark.parametrize("name", ["Adagrad", "Nadam", "AMSGrad"])
def test_the_rule_that_was_proved_is_what_optax_computes_in_floats(name):
    row = BY_NAME[name]
    gradients, hyper = np.array([0.3, -2.0, 0.9]), optimisers._values(row)
    with jax.enable_x64(True):
        made = row.build()(**hyper)
        w, found = jax.numpy.asarray(1.5), []
        memory = made.init(w)
        for g in gradients:
            change, memory = made.update(jax.numpy.asarray(g), memory, w)
            w = optax.apply_updates(w, change)
            found.append(float(w))
    at = {"w": 1.5, **hyper, **{f"g{i}": g for i, g in enumerate(gradients, 1)}}
    wanted = [
        float(expr.subs({s: at[s.name] for s in expr.free_symbols}))
        for expr in row.with_deviations(row.deviations).parameters()
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-13)


def test_a_look_ahead_sees_the_gradients_at_the_places_of_the_paper():
    """Optax's parameter with gradients h w is the paper's x + b v with gradients there."""
    row = BY_NAME["Nesterov"]
    optax_rule = row.with_deviations(row.deviations)
    places = UpdateRule(("v = b*v - a*g", "x = x + v", "w = x + b*v"), {"x": "w"}, "x + b*v")
    verdict = check_updates(optax_rule, places, {"a": 0.5, "b": 0.5, "h": 0.75}, slope="h*w")
    assert verdict.status == "proved"


def test_an_unknown_optimiser_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="no optimiser 'adam'; known: SGD"):
        optimisers.optimiser_claims(["adam"])
