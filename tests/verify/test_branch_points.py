"""A case that holds where numbers are equal is judged there: two programs that differ are two."""

import jax.numpy as jnp
import pytest

import diffkit as dk


@pytest.mark.parametrize(
    ("target", "claim", "options"),
    [
        ("where(x==7, 1, 0)", "0", {}),
        ("where(x==7, 2*x, x)", "x", {}),
        ("where(x==1/3, x+1, x)", "x", {}),
        ("x", "where(x==7, 2*x, x)", {}),
        ("where(x==y, 1+a, a)", "a", {}),
        ("where(x*y==3, 1+a, a)", "a", {}),
        ("where(n==5, x*2, x)", "x", {"domain": {"n": "integer"}}),
        ("where(x>7, 2*x, x)", "where(x>=7, 2*x, x)", {}),
        ("where(x!=7, x, 0)", "x", {"domain": {"x": "positive"}}),
    ],
)
def test_a_difference_at_one_point_refutes_a_claim_about_values(target, claim, options):
    verdict = dk.check(target, claim, kind="value", **options)
    assert verdict.status == "refuted"
    assert verdict.counterexample is not None


def test_the_same_is_seen_in_a_program():
    verdict = dk.check(
        lambda x, a: jnp.where(x == 7, 2 * a * x, a * x), "a*x", 1.0, 2.0, kind="value"
    )
    assert (verdict.status, verdict.counterexample["x"]) == ("refuted", 7)


@pytest.mark.parametrize(
    ("target", "claim"),
    [
        ("where(x==7, 14, 2*x)", "2*x"),
        ("where(x==0, 1, sin(x)/x)", "sinc(x)"),
        ("relu(x)", "where(x>0, x, 0)"),
        ("where(x==7, 2*x, x)", "where(x==7, x+x, x)"),
        # where the claim has no value, it says nothing
        ("where(x**2>0, x/sqrt(x**2), 0)", "x/sqrt(x**2)"),
        ("where(x**2+y**2>0, x/sqrt(x**2+y**2), 0)", "x/sqrt(x**2+y**2)"),
    ],
)
def test_sides_that_are_equal_there_too_are_proved(target, claim):
    assert dk.check(target, claim, kind="value").status == "proved"


def test_a_place_that_no_fraction_spells_leaves_the_claim_without_a_proof():
    verdict = dk.check("where(x**2==2, 1, 0)", "0", kind="value")
    assert verdict.status == "supported"
    assert "nothing was shown where x² \N{MINUS SIGN} 2 = 0" in verdict.scope


def test_arrays_with_such_a_case_have_no_proof_by_identity_testing():
    x = jnp.arange(1.0, 4.0)

    def total(x):
        return jnp.sum(jnp.where(x == 7, 2 * x, x) @ x)

    assert dk.check(total, lambda x: jnp.sum(x * x), x, kind="value").status == "supported"


def test_a_gradient_leaves_the_kinks_of_its_function_out():
    verdict = dk.check("where(x==7, 2*x, x)", "1", wrt="x")
    assert verdict.status == "proved"
    assert "except at x = 7" in verdict.scope
