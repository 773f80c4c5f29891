"""What AD returns, judged: expected derivatives come from a line of calculus or a difference."""

import math

import jax
import jax.numpy as jnp
import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.verify.verify import verify

RELUS = {
    "relu": (jax.nn.relu, 0.0),
    "maximum": (lambda x: jnp.maximum(x, 0.0), 0.5),
    "where >=": (lambda x: jnp.where(x >= 0, x, 0.0), 1.0),
    "where >": (lambda x: jnp.where(x > 0, x, 0.0), 0.0),
    "abs": (lambda x: (x + jnp.abs(x)) / 2, 1.0),
}


def kinds(verdict) -> dict[str, str]:
    return {finding.kind: finding.severity for finding in verdict.findings}


def phi(x):
    s = jnp.where(x == 0, 1.0, x)
    return jnp.where(x == 0, 1.0, jnp.expm1(s) / s)


PHI_LINE = phi.__code__.co_firstlineno + 1


def ruled(scale: float, slope: float):
    """scale sin(x) with the custom derivative slope cos(x)."""

    @jax.custom_jvp
    def f(x):
        return scale * jnp.sin(x)

    f.defjvp(lambda primals, tangents: (f(*primals), slope * jnp.cos(primals[0]) * tangents[0]))
    return f


@pytest.mark.parametrize("f", [jax.nn.sigmoid, jax.nn.softplus, jnp.sin, jnp.tanh, jnp.exp])
def test_a_clean_function_is_proved_without_a_finding(f):
    verdict = verify(f, 0.5)
    assert verdict.status == "proved", verdict.explain()
    assert verdict.findings == ()
    assert {row.dtype for row in verdict.evidence if row.dtype} == {"float64", "float32"}


@pytest.mark.parametrize("name", RELUS)
def test_every_spelling_of_relu_with_a_derivative_in_0_to_1_is_supported_with_a_kink(name: str):
    f, convention = RELUS[name]
    verdict = verify(f, 0.0)
    assert verdict.status == "supported", verdict.explain()
    assert kinds(verdict) == {"kink": "note"}
    (kink,) = verdict.findings
    assert "one-sided derivatives are 0 and 1" in kink.message
    assert f"gives {convention:g}," in kink.message
    assert kink.point == {"x": 0.0}


@pytest.mark.parametrize("name", RELUS)
def test_a_spelling_of_relu_is_proved_away_from_its_kink(name: str):
    verdict = verify(RELUS[name][0], 0.75, domain="(1/2, 1)")
    assert verdict.status == "proved", verdict.explain()


def test_the_spelling_of_relu_by_a_root_has_a_nan_gradient_at_0():
    verdict = verify(lambda x: (x + jnp.sqrt(x * x)) / 2, 0.0)
    assert verdict.status == "refuted"
    assert verdict.counterexample == {"x": 0.0}
    assert kinds(verdict)["nan-gradient"] == "wrong"


def test_relu_of_x_minus_relu_of_minus_x_is_the_identity_and_ad_says_0():
    verdict = verify(lambda x: jax.nn.relu(x) - jax.nn.relu(-x), 0.0)
    assert verdict.status == "refuted"
    assert "= 0, the derivative is 1" in verdict.statement
    assert kinds(verdict)["wrong-limit"] == "wrong"


def test_the_double_where_is_refuted_with_its_line_and_a_mend_that_was_run():
    verdict = verify(phi, 0.0)
    assert verdict.status == "refuted"
    assert verdict.statement.startswith("jax.grad(phi)(0.0) = 0, the derivative is 0.5")
    found = next(f for f in verdict.findings if f.kind == "wrong-limit")
    assert found.where == f"test_verify.py:{PHI_LINE}"
    assert "series for |x| < 0.5" in found.remedy
    assert kinds(verdict)["cancellation"] == "warning"
    assert len({row.group for row in verdict.evidence if row.outcome == "disagrees"}) >= 2


def test_the_double_where_is_right_away_from_0():
    verdict = verify(phi, 2.0, domain="(1, 3)")
    assert verdict.ok, verdict.explain()
    assert "wrong" not in kinds(verdict).values()


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_a_custom_rule_with_the_wrong_sign_is_a_rule_mismatch_at_every_scale(scale: float):
    verdict = verify(ruled(scale, -scale), 0.5)
    assert verdict.status == "refuted"
    assert kinds(verdict) == {"rule-mismatch": "wrong"}
    assert verdict.counterexample == {"x": 0.5}


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
def test_the_right_custom_rule_is_proved_at_every_scale(scale: float):
    verdict = verify(ruled(scale, scale), 0.5)
    assert verdict.ok, verdict.explain()
    assert verdict.findings == ()


@pytest.mark.parametrize(("factor", "status"), [(1.0, "proved"), (None, "refuted")])
def test_a_custom_vjp_that_ignores_its_cotangent_is_refuted_once_it_is_scaled(factor, status):
    @jax.custom_vjp
    def f(x):
        return jnp.sin(x)

    def backward(x, cotangent):
        return (jnp.cos(x) * (1.0 if factor is None else cotangent),)

    f.defvjp(lambda x: (jnp.sin(x), x), backward)
    verdict = verify(lambda x: 5.0 * f(x), 0.5)
    assert verdict.status == status, verdict.explain()
    assert ("rule-mismatch" in kinds(verdict)) == (status == "refuted")


def test_an_infinite_derivative_that_ad_calls_infinite_is_not_refuted():
    verdict = verify(jnp.sqrt, 0.0)
    assert verdict.status == "supported", verdict.explain()


@pytest.mark.parametrize("x", [1e150, 1e-200, 1e20, -1e-30, 1e-45])
def test_a_square_is_not_refuted_where_float32_overflows_or_underflows(x: float):
    verdict = verify(lambda x: x**2, x)
    assert verdict.status == "proved", verdict.explain()


def test_a_point_that_no_dtype_holds_leaves_the_question_undecided():
    verdict = verify(lambda x: x**2, 1e200, dtypes=("float32",), domain="(1e199, 1e201)")
    assert verdict.status == "undecided"


def test_a_gradient_that_is_nan_in_float32_alone_is_refuted_in_float32_alone():
    # 1/(1 + e^x) at 60: the value 1e-26 is a float32, but its derivative by AD is
    # -e^x * (1 + e^x)^-2 = -1e26 * 0 there, the square having overflowed: 0 instead of -1e-26
    def f(x):
        return jax.lax.div(jnp.ones_like(x), 1 + jnp.exp(x))

    options = {"domain": "(59, 61)"}
    assert verify(f, 60.0, dtypes=("float64",), **options).ok
    single = verify(f, 60.0, dtypes=("float32",), **options)
    assert single.status == "refuted" or "silent-zero" in kinds(single), single.explain()
    assert all(finding.dtype == "float32" for finding in single.findings)


def test_the_second_order_is_judged_only_when_it_is_asked_for():
    @jax.custom_jvp
    def f(x):
        return x**3

    @f.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        return x**3, 3 * jax.lax.stop_gradient(x) ** 2 * t

    assert verify(f, 0.5).ok
    second = verify(f, 0.5, order=2)
    assert second.status == "refuted", second.explain()
    # d2/dx2 x**3 = 6x = 3 at 1/2, AD of the rule says 0
    assert "the derivative is 3" in second.statement
    assert {finding.order for finding in second.findings if finding.severity == "wrong"} == {2}


def test_an_array_argument_is_judged_entry_by_entry():
    right = verify(jnp.tanh, jnp.array([0.25, -3.0]), dtypes=("float64",))
    assert right.status == "proved", right.explain()
    wrong = verify(ruled(1.0, 2.0), jnp.array([0.5, 1.5]), dtypes=("float64",))
    assert wrong.status == "refuted"
    assert wrong.counterexample == {"x": [0.5, 1.5]}
    entry = verify(lambda x: jnp.sqrt(x**2), jnp.array([1.0, 0.0]), dtypes=("float64",))
    assert entry.status == "refuted"
    assert "x[1] = 0.0" in entry.statement


def test_a_scalar_of_an_array_is_judged():
    verdict = verify(lambda w: jnp.sum(w**2), jnp.array([1.0, 2.0]), dtypes=("float64",))
    assert verdict.ok, verdict.explain()


def test_only_the_differentiated_argument_moves_and_the_verdict_says_so():
    verdict = verify(lambda x, y: x * y, 1.0, 2.0, wrt="y", dtypes=("float64",))
    assert verdict.ok
    assert "x held at the given values" in verdict.assumptions


def test_a_sampled_point_outside_the_domain_neither_passes_nor_fails():
    verdict = verify(jnp.log, 2.0, dtypes=("float64",))
    assert verdict.ok
    assert "outside the domain" in verdict.scope
    assert verify(jnp.log, -2.0, dtypes=("float64",)).status == "undecided"


@pytest.mark.parametrize(("slope", "status"), [(0.5, "supported"), (1.0, "refuted")])
def test_the_rule_of_an_iteration_is_judged_where_it_has_converged(slope: float, status: str):
    # four steps of Newton's method from 1 are within 1e-11 of sqrt(x) near x = 2
    @jax.custom_jvp
    def root(x):
        return jax.lax.fori_loop(0, 4, lambda i, y: 0.5 * (y + x / y), jnp.ones_like(x))

    root.defjvp(lambda p, t: (root(*p), slope * t[0] / root(*p)))
    verdict = verify(root, 2.0, dtypes=("float32",), domain="(3/2, 5/2)")
    assert verdict.status == status, verdict.explain()


def test_the_reproducer_of_a_refutation_is_three_lines_with_both_numbers():
    lines = verify(phi, 0.0, dtypes=("float64",)).reproducer.splitlines()
    assert len(lines) == 3
    assert "jax.grad(phi, 0)(0.0)" in lines[2]
    assert lines[2].rstrip(")").endswith("0.5")


def test_a_formula_is_verified_as_the_function_it_lowers_to():
    verdict = verify("log(1 + exp(x))")
    assert verdict.status == "proved"
    assert verdict.claim.target == "log(1 + exp(x))"
    with pytest.raises(UsageError, match=r"several symbols \(x, y\)"):
        verify("x*y")


def test_the_same_seed_gives_the_same_verdict_and_another_seed_other_points():
    def points(seed: int) -> str:
        return verify(jnp.tanh, 0.5, seed=seed, dtypes=("float64",)).to_json()

    assert points(1) == points(1)
    assert points(1) != points(2)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        ((1,), {}, UsageError, "integers have no derivative"),
        ((math.nan,), {}, UsageError, "nan or inf"),
        ((1j,), {}, UsageError, "complex"),
        ((1.0,), {"wrt": "q"}, UnknownNameError, "known: x"),
        ((1.0,), {"wrt": 3}, UsageError, "no position of f"),
        ((1.0,), {"dtypes": "float64"}, UsageError, "name some of"),
        ((1.0,), {"order": 0}, UsageError, "orders 1 to 4"),
        ((1.0,), {"budget": "huge"}, UsageError, "fast, full"),
        ((1.0,), {"domain": {"q": "real"}}, UnknownNameError, "the arguments are x"),
        ((-1.0,), {"domain": "positive"}, UsageError, "outside its domain"),
        ((1.0, 2.0), {}, UsageError, "takes 1 positional"),
    ],
)
def test_a_question_that_cannot_be_asked_says_how_it_can(arguments, options, error, said):
    with pytest.raises(error, match=said):
        verify(lambda x: x**2, *arguments, **options)


def test_a_function_that_raises_is_a_usage_error_and_names_the_reason():
    def broken(x):
        raise ZeroDivisionError("on purpose")

    with pytest.raises(UsageError, match="broken raises ZeroDivisionError: on purpose"):
        verify(broken, 1.0)
    with pytest.raises(UsageError, match="JAX cannot trace sin"):
        verify(math.sin, 1.0)
    with pytest.raises(UsageError, match="returns no array"):
        verify(lambda x: "text", 1.0)
    with pytest.raises(UsageError, match="returns 2 arrays"):
        verify(lambda x: (x, x), 1.0)


@pytest.mark.parametrize(
    ("dtypes", "is_told"), [(("float32",), True), (("bfloat16", "float32"), False)]
)
def test_an_argument_of_a_type_nothing_is_asked_in_is_told(dtypes, is_told):
    verdict = verify(jnp.sin, jnp.bfloat16(0.5), dtypes=dtypes)
    told = [each for each in verdict.assumptions if "bfloat16" in each]
    assert bool(told) == is_told
    assert all('dtypes=("bfloat16",)' in each for each in told)
