"""One answer on every JAX generation."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from diffkit.backend import compat


def scanned(x, w):
    def body(carry, t):
        total, count = carry
        return (total * t + w[0], count + t), t

    return lax.scan(body, (x, x), jnp.arange(3.0) + w)


def equations(f, *args):
    return compat.open_jaxpr(compat.trace(f, *args))[0].eqns


def test_a_trace_opens_to_equations_and_constants():
    table = jnp.arange(3.0)
    jaxpr, constants = compat.open_jaxpr(compat.trace(lambda x: x * table, 1.0))
    assert jaxpr.eqns[-1].primitive.name == "mul"
    assert len(constants) == 1


def test_the_split_of_a_scan_counts_constants_and_carry():
    (eqn,) = [e for e in equations(scanned, 1.0, jnp.ones(3)) if e.primitive.name == "scan"]
    split = compat.scan_split(eqn.params)
    assert split.carry == 2
    # The rest of the operands is what is scanned over: one array.
    assert len(eqn.invars) - split.constants - split.carry == 1


def test_x64_holds_inside_the_block_only():
    before = compat.x64_enabled()
    with compat.x64(not before):
        assert compat.x64_enabled() is not before
    assert compat.x64_enabled() is before


def test_x64_is_restored_after_an_error():
    before = compat.x64_enabled()
    with pytest.raises(ZeroDivisionError), compat.x64(not before):
        raise ZeroDivisionError
    assert compat.x64_enabled() is before


def test_an_equation_names_the_line_of_user_code():
    eqn = equations(lambda x: jnp.tanh(x), 1.0)[0]
    place = compat.source(eqn)
    assert place.file == __file__
    assert "jnp.tanh(x)" in place.text


@pytest.mark.parametrize("name", ["relu", "softplus", "gelu", "selu", "hard_swish", "mish"])
def test_two_traces_of_one_function_are_the_same(name):
    f = getattr(jax.nn, name)
    assert compat.same_jaxpr(compat.trace(f, 1.0), compat.trace(lambda other: f(other), 2.0))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (lambda x: x + 1.0, lambda x: x + 2.0),
        (lambda x: x - 2.0 * x, lambda x: 2.0 * x - x),
        (jnp.sin, jnp.cos),
        (lambda x: x**2, lambda x: x**3),
        (jax.nn.gelu, lambda x: jax.nn.gelu(x, approximate=False)),
        (lambda x: jnp.sin(x), lambda x: jnp.sin(jnp.sin(x))),
    ],
    ids=["literal", "operands", "primitive", "parameter", "inner", "length"],
)
def test_traces_that_compute_different_things_differ(left, right):
    assert not compat.same_jaxpr(compat.trace(left, 1.0), compat.trace(right, 1.0))


def test_a_custom_rule_is_called_by_the_name_of_its_function():
    assert compat.called_name(equations(jax.nn.relu, 1.0)[0]) == "relu"
    assert compat.called_name(equations(jax.nn.silu, 1.0)[0]) == "silu"
    assert compat.called_name(equations(jnp.sin, 1.0)[-1]) == ""


def root(x):
    return lax.custom_root(
        lambda z: z - jnp.cos(z * x),
        0.5,
        lambda f, z: lax.fori_loop(0, 90, lambda i, z: z - f(z), z),
        lambda linear, y: y / linear(1.0),
    )


def test_a_call_runs_the_jaxpr_it_names_on_every_generation():
    # JAX 0.12 keeps a custom root as an object that has no jaxpr among its parameters.
    (call,) = [e for e in equations(root, 0.7) if e.primitive.name in compat.CALLS]
    operands = [atom.val if compat.is_literal(atom) else 0.7 for atom in call.invars]
    found = jax.core.eval_jaxpr(*compat.open_jaxpr(compat.called_jaxpr(call)), *operands)
    assert abs(found[0] - root(0.7)) < 1e-6
    assert {"cos", "scan"} <= {e.primitive.name for e in inner_equations(call)}


def inner_equations(eqn):
    for inner in compat.inner_jaxprs(eqn):
        for each in compat.open_jaxpr(inner)[0].eqns:
            yield each
            yield from inner_equations(each)
