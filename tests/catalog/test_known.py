"""Known derivatives of activations and losses are proved, and JAX differentiates to them."""

import importlib
import random
import zlib
from fractions import Fraction
from functools import cache
from math import inf

import pytest

from diffkit.catalog.activations import ACTIVATIONS
from diffkit.catalog.known import Counterpart, KnownClaim
from diffkit.catalog.losses import LOSSES
from diffkit.core.domain import Domain
from diffkit.core.verdict import Verdict
from diffkit.symbolic.parse import parse
from diffkit.symbolic.vocabulary import ROWS, evaluate

KNOWN = ACTIVATIONS + LOSSES
WITH_COUNTERPART = [row for row in KNOWN if row.jax]
POINTS = 6


def numbers(row: KnownClaim, count: int) -> list[dict[str, Fraction]]:
    """Points inside the domain, off every kink that stands at a round number."""
    generator = random.Random(zlib.crc32(row.name.encode()))
    question = row.question()
    return [
        {name: _draw(where, generator) for name, where in question.domains.items()}
        for _ in range(count)
    ]


def _draw(where: Domain, generator: random.Random) -> Fraction:
    if where.integer:
        return Fraction(generator.randint(1, 9))
    if where.low > -inf and where.high < inf:
        part = Fraction(generator.randint(500, 9500), 9973)
        return where.low + part * (where.high - where.low)
    size = Fraction(generator.randint(1000, 30000), 9973)
    if where.low > -inf:
        return where.low + size
    return size if generator.random() < 0.5 else -size


def differentiated_by_jax(row: KnownClaim, point: dict[str, Fraction]) -> float:
    """The derivative of the row's counterpart by reverse-mode AD."""
    jax = importlib.import_module("jax")
    lower = importlib.import_module("diffkit.bridge.lower").lower
    module, _, function = row.jax.name.rpartition(".")
    g = getattr(importlib.import_module(module), function)
    names = sorted(point)

    def passed(argument, values):
        if isinstance(argument, tuple):
            return jax.numpy.stack([passed(entry, values) for entry in argument])
        return jax.numpy.asarray(lower(parse(argument), names)(*values), float)

    def f(x):
        values = [x if name == row.wrt else float(point[name]) for name in names]
        named = {
            name: passed(value, values) if isinstance(value, str) else value
            for name, value in row.jax.kwargs.items()
        }
        found = g(*(passed(a, values) for a in row.jax.arguments), **named)
        reduced = getattr(jax.numpy, row.jax.reduction)(found) if row.jax.reduction else found
        return row.jax.factor * reduced

    with importlib.import_module("diffkit.backend.compat").x64():
        return float(jax.grad(f)(float(point[row.wrt])))


@cache
def verdict(name: str) -> Verdict:
    return next(row for row in KNOWN if row.name == name).judge()


def test_every_function_of_the_vocabulary_has_a_known_derivative():
    called = {row.formula.partition("(")[0] for row in ACTIVATIONS}
    assert {row.name for row in ROWS} <= called


def test_the_catalogue_is_as_big_as_promised_and_no_name_occurs_twice():
    names = [row.name for row in KNOWN]
    assert len(set(names)) == len(names)
    assert len(ACTIVATIONS) >= len(ROWS)
    assert len(LOSSES) >= 20


def test_conventions_that_people_mix_have_rows_of_their_own():
    variants = {row.variant for row in KNOWN}
    for wanted in (
        *("relu'(0) = 0", "relu'(0) = 1", "relu'(0) = 1/2", "1/2 sum", "1/N sum", "1/(2N) sum"),
        *("eps inside the root", "eps outside the root"),
        *("m = beta m + g", "m = beta m + (1 - beta) g"),
    ):
        assert wanted in variants


@pytest.mark.parametrize("row", KNOWN, ids=str)
def test_the_textbook_derivative_is_proved(row):
    expected = "supported" if row.supported_because else "proved"
    assert verdict(row.name).status == expected, verdict(row.name).explain()


@pytest.mark.parametrize("row", KNOWN, ids=str)
def test_every_proof_was_put_before_ball_arithmetic(row):
    heard = [found for found in verdict(row.name).evidence if found.group == "rigorous"]
    assert any(found.outcome == "agrees" for found in heard)


@pytest.mark.parametrize("row", WITH_COUNTERPART, ids=str)
def test_jax_differentiates_its_own_function_to_the_textbook_derivative(row):
    claimed = row.question().claimed
    for point in numbers(row, POINTS):
        expected = float(evaluate(claimed, point))
        # float64 AD of a loss cancels a few digits; a wrong formula misses by far more
        assert differentiated_by_jax(row, point) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("formula", "derivative"),
    [
        ("relu(x)", "where(x > 0, 1, 0)"),
        ("hinge(x, 1)", "where(x <= 1, 1, 0)"),
        ("clip(x, -1, 1)", "where(x < 1, 1, 0)"),
        ("normal_quantile(x)", "sqrt(2*pi)*exp(erfinv(2*x - 1)**2)/2"),
        ("kl_div(x, 2)", "log(x)"),
    ],
)
def test_a_wrong_row_is_refuted(formula, derivative):
    wrong = KnownClaim(
        "wrong",
        formula,
        derivative,
        domain={"x": "probability"} if "quantile" in formula else {},
        conventions={"relu0": 1} if formula == "relu(x)" else {},
    )
    assert wrong.judge().status == "refuted"


def test_jax_disagrees_with_a_wrong_row():
    """The negative control of the comparison with JAX."""
    wrong = KnownClaim(
        "wrong", "softplus(x)", "1/(1 + exp(x))", jax=Counterpart("jax.nn.softplus", ("x",))
    )
    point = numbers(wrong, 1)[0]
    expected = float(evaluate(wrong.question().claimed, point))
    assert differentiated_by_jax(wrong, point) != pytest.approx(expected, rel=1e-3)
