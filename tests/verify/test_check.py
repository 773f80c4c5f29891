"""Claims whose truth follows from a line of calculus written beside them."""

import math

import jax
import jax.numpy as jnp
import pytest
import sympy as sp

from diffkit.core.errors import DiffkitError, DomainError, UnknownNameError
from diffkit.verify.check import check

RIGHT = [
    ("x**3", "3*x**2"),
    ("log(x)", "1/x"),
    ("tan(x)", "1 + tan(x)**2"),
    ("sigmoid(x)", "sigmoid(x)*sigmoid(-x)"),
    ("softplus(x)", "sigmoid(x)"),
    ("erf(x)", "2*exp(-x**2)/sqrt(pi)"),
    ("exp(sin(x)**2)", "sin(2*x)*exp(sin(x)**2)"),
    ("sqrt(x)", "1/(2*sqrt(x))"),
    ("gamma(x)", "gamma(x)*digamma(x)"),
    ("x*(1 - x)", "1 - 2*x"),
]


@pytest.mark.parametrize(("target", "claim"), RIGHT)
def test_a_right_derivative_is_proved(target: str, claim: str):
    verdict = check(target, claim)
    assert verdict.status == "proved", verdict.explain()
    assert (verdict.counterexample, verdict.repair, verdict.diagnosis) == (None, None, None)


@pytest.mark.parametrize(("target", "claim"), RIGHT)
def test_the_same_claim_off_by_one_part_in_a_million_is_refuted(target: str, claim: str):
    verdict = check(target, f"({claim})*1.000001")
    assert verdict.status == "refuted", verdict.explain()
    assert {row.group for row in verdict.evidence} >= {"rigorous", "closed form"}


def test_two_witness_groups_stand_behind_a_refutation():
    verdict = check("sin(x)", "-cos(x)")
    assert [row.outcome for row in verdict.evidence] == ["disagrees"] * len(verdict.evidence)
    assert len({row.group for row in verdict.evidence}) >= 2


def test_the_counterexample_is_the_simplest_point_at_which_the_claim_fails():
    # 4 x**3 = 4 x at 0, 1 and -1: 2 is the next simple number
    assert check("x**4", "4*x").counterexample == {"x": 2}
    assert check("x**2 + x", "2*x").counterexample == {"x": 0}


def test_the_lost_minus_of_cross_entropy_is_found_and_its_repair_proved():
    verdict = check(
        "-(y*log(sigmoid(w*x)) + (1-y)*log(1-sigmoid(w*x)))",
        "y*(1-sigmoid(w*x))*x + (1-y)*sigmoid(w*x)*x",
        wrt="w",
    )
    assert verdict.status == "refuted"
    assert verdict.counterexample == {"w": 0, "x": 1, "y": 1}
    assert verdict.contradiction.startswith("at w = 0, x = 1, y = 1: claimed 1/2, true -1/2")
    assert verdict.diagnosis == "sign of the first term"
    assert verdict.repair.status == "proved"
    repaired = verdict.repair.text.split(" = ")[-1]
    assert check("x*(sigmoid(w*x) - y)", repaired, kind="value").status == "proved"


def test_agreement_without_a_proof_is_only_supported():
    # d/dx of a finite geometric sum of unknown length, term by term
    verdict = check(
        "Sum(x**k, (k, 0, n))",
        "Sum(k*x**(k-1), (k, 0, n))",
        wrt="x",
        domain={"n": "natural"},
    )
    assert verdict.status == "supported"
    assert "no proof" in verdict.scope


def test_a_claim_without_a_point_in_common_with_its_target_is_undecided():
    # sqrt(-1 - x**2) has no real value anywhere
    verdict = check("sqrt(-1 - x**2)", "-x/sqrt(-1 - x**2)")
    assert verdict.status == "undecided"
    assert verdict.exit_status == 3


@pytest.mark.parametrize(
    ("claim", "conventions", "status"),
    [
        ("where(x > 0, 1, 0)", None, "proved"),
        ("where(x >= 0, 1, 0)", None, "proved"),
        ("where(x > 0, 1, where(x < 0, 0, 1/2))", None, "proved"),
        ("where(x > 0, 1, where(x < 0, 0, 2))", None, "refuted"),
        ("where(x > 0, 1, where(x < 0, 0, -1/10))", None, "refuted"),
        ("where(x >= 0, 1, 0)", {"relu0": 1}, "proved"),
        ("where(x >= 0, 1, 0)", {"relu0": 0}, "refuted"),
        ("where(x > 0, 1, 0)", {"relu0": 0}, "proved"),
        ("where(x > 0, 1, 0)", {"relu0": 1}, "refuted"),
    ],
)
def test_at_the_kink_of_relu_the_interval_from_0_to_1_counts_unless_a_convention_is_set(
    claim: str, conventions, status: str
):
    verdict = check("relu(x)", claim, conventions=conventions)
    assert verdict.status == status, verdict.explain()
    if status == "refuted":
        assert verdict.counterexample == {"x": 0}
    elif conventions is None:
        assert any("one-sided derivatives 0 and 1" in text for text in verdict.assumptions)


@pytest.mark.parametrize("at", ["0", "3/7", "1/9", "-5"])
def test_a_single_wrong_point_of_a_branch_is_refuted_at_that_point(at: str):
    verdict = check("sin(x)", f"where(x == {at}, 5, cos(x))")
    assert verdict.status == "refuted"
    assert verdict.counterexample["x"] == pytest.approx(float(sp.Rational(at)))


def test_a_branch_that_ends_without_changing_the_value_is_still_proved():
    assert check("sin(x)", "where(x > 1/9, cos(x), cos(x))").status == "proved"
    assert check("x**2", "where(x == 1, 2, 2*x)").status == "proved"


@pytest.mark.parametrize(
    ("target", "claim", "kind", "status"),
    [
        ("softplus(x)", ">= 0", "gradient", "proved"),
        ("softplus(x)", ">= 1/2", "gradient", "refuted"),
        ("sin(x)", "<= 1", "gradient", "proved"),
        ("x**2", ">= 0", "value", "proved"),
        ("x**3", ">= 0", "value", "refuted"),
        ("x**2 >= 0", "true", "gradient", "proved"),
        ("x**3 >= 0", "true", "gradient", "refuted"),
    ],
)
def test_relations_are_decided_on_the_whole_domain(target, claim, kind, status):
    verdict = check(target, claim, kind=kind)
    assert verdict.status == status, verdict.explain()
    assert (verdict.counterexample is not None) == (status == "refuted")


@pytest.mark.parametrize("digits", range(1, 9))
def test_a_number_is_right_when_it_rounds_as_printed_and_wrong_one_unit_further(digits: int):
    printed = f"{math.exp(-6):.{digits}f}"
    neighbour = f"{float(printed) + 10.0**-digits:.{digits}f}"
    assert check("exp(-6)", f"~{printed}", kind="value").status == "proved"
    assert check("exp(-6)", f"~{neighbour}", kind="value").status == "refuted"


def test_a_claim_true_on_half_the_line_needs_its_domain():
    assert check("sqrt(x**2)", "x", kind="value", domain="positive").status == "proved"
    free = check("sqrt(x**2)", "x", kind="value")
    assert free.status == "refuted"
    assert free.counterexample["x"] < 0
    assert "positive x" in free.explain()


def test_second_derivatives_go_by_order_or_by_kind():
    assert check("x**4", "12*x**2", kind="hessian").status == "proved"
    assert check("x**4", "12*x**2", order=2).status == "proved"
    assert check("x**4", "12*x**2").status == "refuted"
    assert check("x**4", "4*x**3", order=2).status == "refuted"


def test_sympy_claims_bind_by_name():
    x = sp.Symbol("x")
    assert check(sp.exp(x) * x, sp.exp(x) * (x + 1)).status == "proved"
    assert check(sp.exp(x) * x, sp.exp(x) * x).status == "refuted"
    with pytest.raises(UnknownNameError, match=r"unknown symbols q; the target has: x"):
        check("sin(x)", sp.cos(sp.Symbol("q")))


def test_one_free_symbol_binds_silently_and_two_do_not():
    assert check("x**2", "2*t").status == "proved"
    assert check("x**2", "3*t").status == "refuted"
    with pytest.raises(UnknownNameError, match="no symbol is called 't'"):
        check("x**2", "t + x")


def test_an_elementwise_jax_function_is_checked_at_its_example_first():
    wrong = check(lambda u: jnp.tanh(u) ** 2, "2*tanh(u)", 0.25)
    assert wrong.status == "refuted"
    assert wrong.counterexample == {"u": 0.25}
    assert "1 - tanh(u)**2" in wrong.diagnosis
    assert check(lambda u: jnp.tanh(u) ** 2, "2*tanh(u)*(1-tanh(u)**2)", 0.25).status == "proved"


def test_a_jax_function_is_a_claim_too():
    def f(a, b):
        return a * b**2

    assert check(f, lambda a, b: 2 * a * b, 1.0, 2.0, wrt="b").status == "proved"
    assert check(f, lambda a, b: b**2, 1.0, 2.0, wrt=0).status == "proved"
    assert check(f, lambda a, b: 2 * a * b, 1.0, 2.0, wrt="a").status == "refuted"
    x = jnp.array([1.0, 2.0])
    bell = check(lambda x: jnp.exp(-(x**2)), lambda x: -2 * x * jnp.exp(-(x**2)), x)
    assert bell.status == "proved"


def test_kind_value_compares_the_functions_and_names_the_constants_it_read():
    tanh_form = check(jax.nn.gelu, "gelu_tanh(x)", 0.5, kind="value")
    assert tanh_form.status == "proved"
    assert any("0.044715 read as" in text for text in tanh_form.assumptions)
    assert check(jax.nn.gelu, "gelu(x)", 0.5, kind="value").status == "refuted"


def test_kind_function_asks_for_value_and_gradient():
    def port(x):
        return jnp.log1p(jnp.exp(x))

    assert check(port, jax.nn.softplus, 0.5, kind="function").status == "proved"
    assert check(port, lambda x: jax.nn.softplus(x) + 1, 0.5, kind="function").status == "refuted"


def test_a_given_point_is_judged_first():
    assert check("x**2", "x", points=[{"x": 7}]).counterexample == {"x": 7}
    with pytest.raises(DomainError, match="x = 2 lies outside its domain"):
        check("x**2", "2*x", domain="(0, 1/2)", points=[{"x": 2}])


def test_the_same_seed_gives_the_same_verdict():
    first, second = (check("sin(x)*y", "y*cos(x) + x*y/10**9", wrt="x", seed=3) for _ in "ab")
    assert first.to_json() == second.to_json()


@pytest.mark.parametrize(
    ("question", "options", "said"),
    [
        (("x*y", "y"), {}, r"several symbols \(x, y\)"),
        (("x*y", "y"), {"wrt": "q"}, "wrt='q' is no symbol"),
        (("2", "0"), {}, "no symbol to differentiate"),
        (("", "0"), {}, "empty"),
        (("x**2", ""), {}, "empty"),
        (("x**2", "2*x"), {"points": [{"x": math.nan}]}, "no finite number"),
        (("x**2", "2*x"), {"points": [{"y": 1}]}, "exactly x; got y"),
        (("x**2", "2*x"), {"domain": {"y": "positive"}}, "unknown symbol 'y'"),
        (("x**2", "2*x"), {"domain": {"x": "symmetric"}}, "one of arrays"),
        (("x**2", "2*x"), {"kind": "jacobian"}, "needs a JAX function"),
        (("x**2", "2*x"), {"budget": "huge"}, "fast, full"),
        (("x**2", "2*x", 1.0), {}, "takes no example arguments"),
        (("x**2", jnp.sin), {}, "claimed about by a formula"),
        (("x > 0", "1"), {}, 'claimed to be "true" or "false"'),
        ((jnp.sort, "1", jnp.ones(3)), {}, "sort"),
        ((jnp.sin, "cos(x)", 3), {}, "integers have no derivative"),
    ],
)
def test_a_question_that_cannot_be_asked_says_how_it_can(question, options, said):
    with pytest.raises(DiffkitError, match=said):
        check(*question, **options)


@pytest.mark.parametrize("claim", ["2*θ*x", "2*theta*x", r"2\theta x"])
def test_a_parameter_may_be_a_greek_letter(claim):
    assert check(lambda θ, x: θ**2 * x, claim, θ=0.4, x=1.5).status == "proved"
    wrong = check(lambda θ, x: θ**2 * x, claim.replace("2", "3"), θ=0.4, x=1.5)
    assert wrong.status == "refuted"


@pytest.mark.parametrize("claim", ["2*θ", "2*theta", r"2\theta"])
def test_an_array_may_be_called_by_a_greek_letter(claim):
    θ = jnp.arange(3.0)
    assert check(lambda θ: jnp.sum(θ**2), claim, θ=θ).status == "proved"
    assert check(lambda θ: jnp.sum(θ**2), claim.replace("2", "3"), θ=θ).status == "refuted"


def test_text_and_wrt_spell_a_greek_letter_as_they_like():
    assert check("θ**2*x", "2*x*theta", wrt="θ").status == "proved"


def test_latex_about_a_function_of_a_number():
    assert check(jnp.log, r"\frac{1}{x}", x=0.4).status == "proved"
    wrong = check(jnp.log, r"\frac{2}{x}", x=0.4)
    assert wrong.status == "refuted"
    assert wrong.repair.text == "1/x"


def test_a_relation_about_a_function_reads_as_one():
    verdict = check(lambda x: x**2, ">= 0", x=0.4, domain="positive")
    assert verdict.statement.endswith("dx >= 0")


@pytest.mark.parametrize("target", ["x - x", "0*x", "(x - x)*sin(x)"])
def test_a_target_from_which_its_variable_cancels_has_the_derivative_zero(target):
    assert check(target, "0", wrt="x").status == "proved"
    assert check(target, "cos(x)", wrt="x").status == "refuted"


@pytest.mark.parametrize("f", [lambda x: x - x, lambda x: 0 * x, lambda x: jnp.zeros_like(x)])
def test_a_constant_function_has_the_derivative_zero(f):
    assert check(f, "0", 1.0).status == "proved"
    assert check(f, "x", 1.0).status == "refuted"
    assert check(f, lambda x: 0.0 * x, 1.0, kind="function").status == "proved"


@pytest.mark.parametrize(("kind", "claim"), [("gradient", "1"), ("value", "x"), ("function", "x")])
def test_a_parameter_that_has_no_part_in_the_result_may_be_given(kind, claim):
    def first(x, θ):
        return x + 0 * θ

    assert check(first, claim, 1.0, 2.0, kind=kind).status == "proved"
    assert check(first, f"{claim} + theta", 1.0, 2.0, kind=kind).status == "refuted"


@pytest.mark.parametrize(
    ("target", "claim", "point", "said"),
    [
        ("1 - 2*a", "4/5", {"a": 0.1}, "claimed 0.8, true 0.8, which differ by 1.1e-17"),
        ("a*(1 + 1e-12)", "a", {"a": 1}, "claimed 1, true 1, which differ by 1.0e-12"),
    ],
)
def test_two_values_that_seven_digits_do_not_tell_apart_are_spelled_alike(
    target, claim, point, said
):
    verdict = check(target, claim, kind="value", points=[point])
    assert verdict.contradiction.endswith(said)
