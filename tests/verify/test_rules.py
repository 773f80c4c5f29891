"""Custom rules judged by themselves: what is planted is found, and a right rule is let alone.

Every function below computes sin(x), x y or another primal of one line of calculus; the rule is
what is wrong with it, or nothing is.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from diffkit.backend import compat
from diffkit.bridge.rule_calls import has_rules, met
from diffkit.bridge.subject import subject
from diffkit.core.errors import UsageError
from diffkit.verify import rules
from diffkit.verify.verify import verify

ONE = {"dtypes": ("float64",)}


def backward(rule, primal=jnp.sin, **options):
    """`primal` with the backward rule (x, g) -> cotangent."""
    f = jax.custom_vjp(primal)
    f.defvjp(lambda x: (primal(x), x), lambda x, g: (rule(x, g),), **options)
    return f


def forward(rule, primal=jnp.sin):
    """`primal` with the forward rule (x, t) -> tangent."""
    f = jax.custom_jvp(primal)
    f.defjvp(lambda p, t: (primal(*p), rule(*p, *t)))
    return f


def local(f, *args, dtype="float64", wrt=None):
    what = subject(f, args, {}, wrt)
    return rules.judge(what, dtype, what.values, 0)


def kinds(report):
    return {finding.kind for finding in report.findings}


RIGHT = {
    "vjp": backward(lambda x, g: g * jnp.cos(x)),
    "jvp": forward(lambda x, t: t * jnp.cos(x)),
    "jvp by another formula": forward(lambda x, t: t * jnp.sin(x + jnp.pi / 2)),
    "zero at zero": forward(lambda x, t: 0.0 * t, lambda x: 0.0 * x),
}
WRONG = {
    "sign": (backward(lambda x, g: -g * jnp.cos(x)), {"rule-mismatch"}),
    "sign of the jvp": (forward(lambda x, t: -t * jnp.cos(x)), {"rule-mismatch"}),
    "ignores": (backward(lambda x, g: jnp.cos(x)), {"nonlinear-cotangent"}),
    "clips": (backward(lambda x, g: jnp.clip(g, -1, 1) * jnp.cos(x)), {"nonlinear-cotangent"}),
    "clips far": (backward(lambda x, g: jnp.clip(g, -9, 9) * jnp.cos(x)), {"nonlinear-cotangent"}),
    "affine": (backward(lambda x, g: g * jnp.cos(x) + 1e-3), {"nonlinear-cotangent"}),
    "nan of nothing": (
        backward(lambda x, g: jnp.where(g == 0, jnp.nan, g) * jnp.cos(x)),
        {"nan-gradient"},
    ),
    "tangent bent": (forward(lambda x, t: jnp.abs(t) * jnp.cos(x)), {"nonlinear-cotangent"}),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_right_rule_is_let_alone(name, dtype):
    report = local(RIGHT[name], np.array([0.5, -1.25]), dtype=dtype)
    assert report.findings == ()
    assert [row.outcome for row in report.evidence] == ["agrees"]


HALF = ("float16", "bfloat16")
ASKED = [
    (name, dtype)
    for name in WRONG
    for dtype in ("float64", "float32", *HALF)
    if (name, dtype) not in {("affine", each) for each in HALF}  # within their rounding
]


@pytest.mark.parametrize(("name", "dtype"), ASKED)
def test_a_wrong_rule_is_found_and_its_line_named(name, dtype):
    f, expected = WRONG[name]
    report = local(f, np.array([0.5, -1.25]), dtype=dtype)
    assert expected <= kinds(report)
    assert {finding.severity for finding in report.findings} == {"warning"}
    assert all(finding.where.startswith("test_rules.py:") for finding in report.findings)
    assert all(finding.point == {"x": [0.5, -1.25]} for finding in report.findings)


SIGN = WRONG["sign"][0]


def scanned(x):
    return lax.scan(lambda c, row: (c + SIGN(row), None), 0.0, x)[0]


def looped(x):
    return lax.fori_loop(0, 3, lambda i, c: SIGN(c), x[0])


#: Where the rule is: the calls of a whole function reach it at these operands.
PLACES = {
    "alone": (lambda x: SIGN(x), [0.5, 2.0]),
    "jit": (lambda x: jax.jit(SIGN)(x), [0.5, 2.0]),
    "remat": (lambda x: jax.checkpoint(SIGN)(x), [0.5, 2.0]),
    "vmap": (lambda x: jax.vmap(SIGN)(x), [0.5, 2.0]),
    "scan": (scanned, [0.5, 2.0]),
    "loop": (looped, [0.5, 2.0]),
    "cond": (lambda x: lax.cond(x[0] > 0, SIGN, jnp.cos, x), [0.5, 2.0]),
    "nested": (forward(lambda x, t: t * jnp.cos(x), lambda x: SIGN(x)), [0.5, 2.0]),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_rule_is_found_wherever_it_is_called(place):
    f, point = PLACES[place]
    assert "rule-mismatch" in kinds(local(f, np.array(point)))


def test_a_branch_that_is_not_taken_is_not_judged():
    f = PLACES["cond"][0]
    assert has_rules(jax.make_jaxpr(f)(np.array([-0.5, 2.0])))
    assert local(f, np.array([-0.5, 2.0])).evidence == ()


def test_an_error_that_cancels_in_the_whole_function_is_told_and_not_refuted():
    verdict = verify(lambda x: SIGN(x) - SIGN(x) + x, 0.5, **ONE)
    assert verdict.ok
    assert [f.kind for f in verdict.findings if f.severity == "warning"] == ["rule-mismatch"]


def test_an_error_masked_by_a_zero_cotangent_is_told():
    verdict = verify(lambda x: jnp.sum(SIGN(x) * jnp.array([0.0, 0.0])) + x[0], np.ones(2), **ONE)
    assert verdict.ok
    assert "rule-mismatch" in {f.kind for f in verdict.findings}


def test_a_rule_that_is_wrong_at_the_value_met_alone():
    right_at_one = forward(lambda x, t: jnp.where(x > 1, 2.0, 1.0) * t * jnp.cos(x))
    assert "rule-mismatch" in kinds(local(lambda x: right_at_one(4 * x), 0.5))
    assert local(lambda x: right_at_one(x), 0.5).findings == ()


@jax.custom_vjp
def labelled(x, label):
    return x * label


labelled.defvjp(lambda x, label: (x * label, label), lambda label, g: (g * label, jnp.zeros(())))


def test_a_rule_owes_nothing_about_arguments_that_do_not_move():
    assert local(labelled, 2.0, 3.0).findings == ()
    assert "rule-mismatch" in kinds(local(labelled, 2.0, 3.0, wrt="label"))


@pytest.mark.parametrize("owed", [None, "zeros of float0"])
def test_integer_arguments_get_no_cotangent(owed):
    f = jax.custom_vjp(lambda x, n: x * n)
    nothing = None if owed is None else np.zeros((), jax.dtypes.float0)
    f.defvjp(lambda x, n: (x * n, n), lambda n, g: (g * n, nothing))
    assert local(f, 2.0, 3).findings == ()


def symbolic(bears_zeros: bool):
    """x y with a rule that sees symbolic zeros, and bears them or not."""
    f = jax.custom_jvp(lambda x, y: x * y)

    def rule(primals, tangents):
        (x, y), (s, t) = primals, tangents
        if bears_zeros:
            s, t = (
                jnp.zeros_like(p) if isinstance(d, jax.custom_derivatives.SymbolicZero) else d
                for p, d in ((x, s), (y, t))
            )
        return x * y, s * y + t * x

    f.defjvp(rule, symbolic_zeros=True)
    return lambda p: f(p[0], p[1])


@pytest.mark.parametrize("bears_zeros", [True, False])
def test_a_rule_that_does_not_bear_symbolic_zeros_is_told(bears_zeros):
    found = local(symbolic(bears_zeros), np.array([2.0, 3.0]))
    assert ("missing-mode" in kinds(found)) is not bears_zeros


def test_a_rule_that_counts_is_nondeterministic():
    count = itertools.count()
    f = backward(lambda x, g: g * jnp.cos(x) * (1 + next(count) % 2))
    assert "nondeterministic" in kinds(local(f, 0.5))
    assert "nondeterministic" not in kinds(local(RIGHT["vjp"], 0.5))


def test_modes_that_are_no_transposes_are_told():
    def linear(factor):
        call = jax.custom_derivatives.linear_call
        return lambda t: call(lambda _, t: t, lambda _, g: factor * g, (), t)

    def ruled(factor):
        return forward(lambda x, t: linear(factor)(t * jnp.cos(x)))

    masked = np.array([0.5, 0.25])
    assert local(ruled(1.0), masked).findings == ()
    messages = [found.message for found in local(ruled(2.0), masked).findings]
    assert any("no transposes" in message for message in messages)


def test_the_rules_of_the_library_agree_with_their_primals():
    for f in (jax.nn.relu, jax.nn.relu6, jax.nn.logsumexp, jax.scipy.special.xlogy):
        args = (np.array([0.5, -1.25]),) if f is not jax.scipy.special.xlogy else (0.5, 2.0)
        assert local(f, *args).findings == ()


def test_at_a_kink_any_element_of_the_subdifferential_will_do():
    assert local(jax.nn.relu, 0.0).findings == ()
    assert local(forward(lambda x, t: 0.3 * t, jax.nn.relu), 0.0).findings == ()
    assert "rule-mismatch" in kinds(local(forward(lambda x, t: 1.3 * t, jax.nn.relu), 0.0))


def test_an_implicit_rule_is_judged_by_all_copies_of_its_operand_together():
    def root(x):
        def solve(f, guess):
            return lax.fori_loop(0, 8, lambda i, y: 0.5 * (y + x / y), guess)

        return lax.custom_root(lambda y: y * y - x, 1.0, solve, lambda g, y: y / g(1.0))

    assert local(root, 2.0).findings == ()


def test_many_entries_are_judged_along_directions():
    f = backward(lambda x, g: 1.01 * g * jnp.cos(x))
    assert "rule-mismatch" in kinds(local(f, np.linspace(0, 1, 700)))
    assert local(RIGHT["vjp"], np.linspace(0, 1, 700)).findings == ()


# --- the whole function --------------------------------------------------------------------------


def test_a_loss_whose_rule_ignores_its_cotangent_is_refuted_alone():
    label = jnp.array([1.0, 0.0, 0.0])

    def loss(z):
        return -jax.nn.log_softmax(z)[0]

    right = backward(lambda z, g: g * (jax.nn.softmax(z) - label), loss)
    wrong = backward(lambda z, g: jax.nn.softmax(z) - label, loss)
    z = np.array([0.5, -1.25, 2.0])
    assert verify(right, z, **ONE).ok
    verdict = verify(wrong, z, **ONE)
    assert verdict.status == "refuted"
    assert "for a cotangent of -4" in verdict.statement
    (found,) = [f for f in verdict.findings if f.severity == "wrong"]
    assert found.kind == "nonlinear-cotangent"
    assert len({row.group for row in verdict.evidence if row.outcome == "disagrees"}) >= 2


def test_a_large_loss_whose_rule_ignores_its_cotangent_is_refuted_alone():
    def total(x):
        return jnp.sum(jnp.sin(x))

    right = backward(lambda x, g: g * jnp.cos(x), total)
    wrong = backward(lambda x, g: jnp.cos(x), total)
    x = np.linspace(0, 1, 10_001)
    assert verify(right, x, **ONE).ok
    assert verify(wrong, x, **ONE).status == "refuted"


def test_a_rule_that_scales_and_is_not_additive_is_refuted():
    def mixed(x, g):
        return jnp.cos(x) * jnp.where(jnp.sum(g != 0) > 1, jnp.flip(g), g)

    x = np.array([0.5, -1.25])
    assert verify(backward(mixed), x, **ONE).status == "refuted"
    assert verify(RIGHT["vjp"], x, **ONE).ok


@pytest.mark.parametrize("under", ["jit", "vmap", "remat", "scan"])
def test_a_right_rule_is_proved_under_every_transformation(under):
    verdict = verify(RIGHT["jvp"], 0.5, under=(under,), **ONE)
    assert verdict.status == "proved"
    assert any(row.oracle == f"reverse under {under}" for row in verdict.evidence)


def test_the_cotangent_of_zeros_of_a_scan_shows_in_the_derivative():
    f = WRONG["nan of nothing"][0]
    assert verify(f, 0.5, **ONE).ok
    verdict = verify(f, 0.5, under=("scan",), **ONE)
    assert verdict.status == "refuted"
    assert "nan under scan" in verdict.statement


def test_a_transformation_that_is_none_is_refused():
    with pytest.raises(UsageError, match="jit, vmap, remat, scan"):
        verify(jnp.sin, 0.5, under=("pmap",))


def test_a_missing_mode_names_the_line_of_the_rule():
    (found,) = verify(RIGHT["vjp"], 0.5, **ONE).findings
    rule = backward.__code__.co_firstlineno + 3
    assert (found.kind, found.severity) == ("missing-mode", "note")
    assert found.where == f"test_rules.py:{rule}"


# --- overflow on the way -------------------------------------------------------------------------


def root(x):
    return jnp.sqrt(x * x + 1)


def test_an_overflow_on_the_way_to_numbers_of_the_type_is_refuted_in_that_type_alone():
    single = verify(root, 1e25, dtypes=("float32",), domain="(9e24, 2e25)")
    assert single.status == "refuted"
    assert "= 0 in float32, the derivative is 1" in single.statement
    assert "overflows on the way" in single.findings[0].message
    assert len({row.group for row in single.evidence if row.outcome == "disagrees"}) >= 2
    assert verify(root, 1e25, dtypes=("float64",), domain="(9e24, 2e25)").ok


def test_an_overflow_of_the_value_itself_is_no_question_of_the_type():
    verdict = verify(lambda x: x * x, 1e25, dtypes=("float32",), domain="(9e24, 2e25)")
    assert verdict.status != "refuted"


def test_an_overflow_beside_the_users_point_does_not_refute():
    verdict = verify(root, 2.0, dtypes=("float32",), domain="(1, 1e30)")
    assert verdict.status != "refuted"


def test_what_is_met_is_listed_in_program_order_with_the_parameters_names():
    def f(x):
        return RIGHT["jvp"](x) + symbolic(True)(jnp.stack([x, 2 * x]))

    calls = met(jax.make_jaxpr(f)(0.5), [np.float32(0.5)], 0).calls
    assert [len(call.moving) for call in calls] == [1, 2]
    assert calls[1].parameters == ("x", "y")
    assert float(calls[1].values[1]) == 1.0


def note(report):
    (row,) = report.evidence
    return row.outcome, row.note


def test_the_row_says_what_was_not_asked():
    """Operands of two precisions, complex results and a rule that raises are not called right."""
    right = backward(lambda x, g: g * jnp.cos(x))
    assert note(local(right, 0.5)) == (
        "agrees",
        "1 call of sin: the derivative of the primal, linear, 0 at 0, the same twice",
    )

    def narrow(x):
        return SIGN(x.astype(jnp.float32)).astype(jnp.float64)

    outcome, told = note(local(narrow, 0.5))
    assert outcome == "unsure"
    assert "the derivative of the primal is not asked" in told
    assert "float32" in told

    turn = forward(lambda x, t: 0.0 * t * jnp.exp(1j * x), lambda x: jnp.exp(1j * x))
    outcome, told = note(local(lambda x: jnp.real(turn(x)), 0.5))
    assert outcome == "unsure"
    assert "no real numbers" in told

    def refuse(x, g):
        raise ValueError("not today")

    outcome, told = note(local(backward(refuse), 0.5))
    assert outcome == "unsure"
    assert "the rule raises ValueError: not today" in told


@pytest.mark.slow
def test_the_first_call_of_every_rule_is_judged_however_many_there_are():
    def f(x):
        for width in range(1, 12):
            for _ in range(3):
                x = x + jnp.sum(jax.nn.relu(x * jnp.ones(width)))
        return SIGN(x)

    report = local(f, 0.5)
    assert kinds(report) == {"rule-mismatch"}
    assert note(report)[1].startswith("25 of 34 calls of relu, sin")


def test_a_rule_whose_error_cancels_does_not_hide_another_defect():
    """sine's rule is wrong, and so is the double where; only the latter decides."""

    def f(x):
        safe = jnp.where(x == 0, 1.0, x)
        return SIGN(x) - SIGN(x) + jnp.where(x == 0, 1.0, jnp.expm1(safe) / safe)

    found = verify(f, 0.0, **ONE).findings
    assert {(each.kind, each.severity) for each in found} >= {
        ("wrong-limit", "wrong"),
        ("rule-mismatch", "warning"),
    }


def test_a_defect_beside_a_rule_is_not_blamed_on_the_rule():
    def f(x):
        return jnp.where(x > 0, jnp.sqrt(x), 0.0) + jax.nn.relu(x)

    found = verify(f, np.array([4.0, -1.0]), **ONE).findings
    assert "nan-gradient" in {each.kind for each in found}
    assert not [each for each in found if each.kind == "rule-mismatch"]


def test_a_tangent_of_one_entry_alone_is_asked_of_scalar_results_too():
    """Right along every axis and homogeneous, but the map of a sum is not the sum of the maps."""

    def largest(x, t):
        return t[jnp.argmax(jnp.abs(t))]

    f = forward(largest, lambda x: jnp.sum(x))
    assert verify(f, np.array([0.5, 2.0, -1.0]), **ONE).status == "refuted"


def run_reproducer(verdict, f):
    """The number the program of a verdict prints, with the function in its place."""
    *_, line = verdict.reproducer.splitlines()
    program = line.removeprefix("print(").partition(", 'AD gave'")[0]
    with compat.x64():
        return float(eval(program, {"jax": jax, "jnp": jnp, verdict.claim.target: f, "f": f}))


@pytest.mark.parametrize("name", ["ignores", "tangent bent"])
def test_the_reproducer_asks_with_the_cotangent_that_shows_it(name):
    f = WRONG[name][0]
    f.__name__ = "f"
    verdict = verify(f, 0.5, **ONE)
    assert verdict.status == "refuted"
    said = verdict.reproducer.splitlines()[-1]
    gave = float(said.partition("'AD gave', ")[2].partition(",")[0])
    truth = float(said.partition("'true', ")[2].rstrip(")"))
    assert gave != pytest.approx(truth, rel=0.1)
    assert run_reproducer(verdict, f) == pytest.approx(gave, rel=1e-12)


def test_the_rounding_of_a_narrower_type_inside_is_no_nonlinearity():
    right = backward(lambda x, g: g * jnp.cos(x))

    def narrow(x):
        return jnp.sum(right(x.astype(jnp.bfloat16)).astype(jnp.float32))

    found = verify(narrow, np.array([0.5, 2.0]), dtypes=("float32",)).findings
    assert "nonlinear-cotangent" not in {each.kind for each in found}


def test_a_rule_with_a_name_that_does_not_exist_is_a_missing_mode():
    f = forward(lambda x, t: undefined_name * t)  # noqa: F821
    verdict = verify(f, 0.5, **ONE)
    assert verdict.status == "undecided"
    assert "missing-mode" in {each.kind for each in verdict.findings}
