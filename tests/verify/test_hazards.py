"""Findings about a program as a whole, each with a program that must not have it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from diffkit.verify.verify import verify


def with_rule(backward):
    """sin with a backward pass of one's own."""

    @jax.custom_vjp
    def f(x):
        return jnp.sin(x)

    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (backward(x, g),))
    return f


def kinds(f, *args, **options):
    return {finding.kind for finding in verify(f, *args, **options).findings}


@pytest.mark.parametrize(
    ("backward", "is_bent"),
    [
        (lambda x, g: g * jnp.cos(x), False),
        (lambda x, g: jnp.cos(x), True),
        (lambda x, g: jnp.clip(g, -1, 1) * jnp.cos(x), True),
        (lambda x, g: jnp.abs(g) * jnp.cos(x), True),
    ],
)
def test_a_rule_that_is_not_linear_in_its_cotangent_is_told(backward, is_bent):
    verdict = verify(with_rule(backward), 0.5, dtypes=("float64",))
    # at a cotangent of 1 all of them are right, and only the first one is a linear map
    assert (verdict.status == "refuted") is is_bent
    assert ("nonlinear-cotangent" in {f.kind for f in verdict.findings}) is is_bent


def test_missing_modes_are_named_with_the_one_that_works():
    def power(x):
        return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, x))[1]

    (found,) = verify(power, 2.0, dtypes=("float64",)).findings
    assert (found.kind, found.remedy) == ("missing-mode", "jax.jacfwd works")
    finding = verify(with_rule(lambda x, g: g * jnp.cos(x)), 0.5, dtypes=("float64",)).findings
    assert [(f.kind, f.remedy) for f in finding] == [("missing-mode", "jax.grad works")]


def test_rounding_to_a_narrower_type_is_noted_and_widening_is_not():
    assert "dtype-loss" in kinds(lambda x: x.astype(jnp.bfloat16).astype(x.dtype) * x, 1.5)
    wide = kinds(lambda x: (x * 2).astype(jnp.float64) * x, 1.5, dtypes=("float64",))
    assert "dtype-loss" not in wide


def test_a_staircase_is_told_from_a_constant():
    assert "silent-zero" in kinds(lambda x: jnp.floor(4 * x), 0.3)
    assert "silent-zero" not in kinds(lambda x: 0 * x + 3, 0.3)


def test_a_function_that_counts_in_python_is_nondeterministic():
    count = itertools.count()
    assert "nondeterministic" in kinds(lambda x: x * next(count), 0.3)
    assert "nondeterministic" not in kinds(lambda x: x * 2, 0.3)


def test_overflow_by_the_way_is_named():
    big = np.full(2, 1e200)
    assert "overflow" in kinds(lambda x: jnp.sqrt(x @ x), big)
    assert "overflow" not in kinds(lambda x: jnp.sqrt(x @ x), big * 1e-190)


def test_where_the_value_jumps_there_is_a_kink():
    (finding,) = verify(lambda x: jnp.where(x > 0, x + 1, x), 0.0, dtypes=("float64",)).findings
    assert finding.kind == "kink"
    assert "the value jumps" in finding.message


def test_functions_without_balls_are_judged_by_differences():
    verdict = verify(lambda x: jnp.sum(jnp.abs(jnp.fft.fft(x)) ** 2), np.arange(1.0, 4.0))
    assert verdict.status == "supported"
    assert "finite differences" in {row.oracle for row in verdict.evidence}


@pytest.mark.slow
def test_a_wrong_rule_around_a_function_without_balls_is_refuted_by_two_groups():
    @jax.custom_jvp
    def f(x):
        return jnp.linalg.eigvalsh(x + x.T)[-1]

    f.defjvp(lambda p, t: (f(*p), -jax.jvp(lambda x: jnp.linalg.eigvalsh(x + x.T)[-1], p, t)[1]))
    verdict = verify(f, np.array([[2.0, 0.3], [0.1, 1.0]]), dtypes=("float64",))
    assert verdict.status == "refuted"
    groups = {row.group for row in verdict.evidence if row.outcome == "disagrees"}
    assert {"numerical", "closed form"} <= groups
