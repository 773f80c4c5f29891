import jax
import jax.numpy as jnp
import pytest

from diffkit.bridge.subject import subject
from diffkit.bridge.survey import has_iterated_rule
from diffkit.oracles import forward, jet, reverse
from diffkit.verify.modes import mode_error
from diffkit.verify.verify import verify


def looped(x):
    return jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, x))[1]


@jax.custom_vjp
def backward_only(x):
    return jnp.sin(x)


backward_only.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x),))


@pytest.mark.parametrize(
    ("f", "missing"),
    [
        (jnp.sin, set()),
        (looped, {"reverse", "jet"}),
        (backward_only, {"forward", "jet"}),
        (jax.scipy.special.digamma, {"jet"}),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_mode_is_missing_exactly_where_jax_refuses_it(f, missing, dtype):
    what = subject(f, (0.5,), {}, None)
    errors = {mode.NAME: mode_error(what, dtype, mode.row(what, 1)) for mode in (forward, reverse)}
    errors["jet"] = mode_error(what, dtype, jet.row(what, 1))
    assert {name for name, reason in errors.items() if reason is not None} == missing
    assert all(reason for reason in errors.values() if reason is not None)


def test_a_loop_without_reverse_mode_is_a_finding_and_forward_mode_is_judged():
    verdict = verify(looped, 0.5, dtypes=("float64",))
    assert verdict.ok, verdict.explain()
    (finding,) = [f for f in verdict.findings if f.kind == "missing-mode"]
    assert finding.severity == "warning"
    assert finding.remedy == "jax.jacfwd works"
    assert {row.oracle for row in verdict.evidence} >= {"forward"}


def test_a_rule_written_for_reverse_mode_only_is_a_note():
    verdict = verify(backward_only, 0.5, dtypes=("float64",))
    assert verdict.status == "proved", verdict.explain()
    (finding,) = verdict.findings
    assert (finding.kind, finding.severity) == ("missing-mode", "note")


def test_a_custom_rule_of_a_loop_is_recognised():
    @jax.custom_jvp
    def iterated(x):
        return jax.lax.fori_loop(0, 3, lambda i, y: 0.5 * (y + x / y), x)

    iterated.defjvp(lambda p, t: (iterated(*p), t[0]))
    assert has_iterated_rule(jax.make_jaxpr(lambda x: 2 * iterated(x))(2.0))
    assert not has_iterated_rule(jax.make_jaxpr(jax.nn.relu)(2.0))  # a rule, no loop
    assert not has_iterated_rule(jax.make_jaxpr(looped)(2.0))  # a loop, no rule
