"""A name is believed only when the program under it is the library's."""

import jax
import jax.numpy as jnp
import pytest
import sympy as sp

from diffkit.bridge.lift import lift
from diffkit.bridge.lower import lower
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS as f
from diffkit.symbolic.vocabulary import ROWS, definition, evaluate

X = symbol("x")
ONE = {
    "relu": f["relu"],
    "relu6": f["relu6"],
    "softplus": f["softplus"],
    "silu": f["silu"],
    "elu": f["elu"],
    "selu": f["selu"],
    "celu": f["celu"],
    "leaky_relu": f["leaky_relu"],
    "hard_tanh": f["hard_tanh"],
    "hard_sigmoid": f["hard_sigmoid"],
    "hard_swish": f["hard_swish"],
    "log_sigmoid": f["log_sigmoid"],
    "mish": f["mish"],
    "soft_sign": f["softsign"],
    "squareplus": f["squareplus"],
    "sigmoid": f["sigmoid"],
}


@pytest.mark.parametrize("name", ONE)
def test_a_function_of_jax_nn_is_recognised(name):
    assert lift(lambda x: getattr(jax.nn, name)(x), 1.0).sympy() == ONE[name](X)


@pytest.mark.parametrize("name", ONE)
def test_it_is_recognised_on_arrays_under_jit_and_in_any_float(name):
    function = jax.jit(lambda x: 2 * getattr(jax.nn, name)(x))
    for dtype in (jnp.float32, jnp.float16):
        assert lift(function, jnp.ones((2, 3), dtype)).sympy() == 2 * ONE[name](X)


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "celu"])
def test_a_parameter_other_than_the_default_is_kept(name):
    expr = lift(lambda x: getattr(jax.nn, name)(x, 0.25), 1.0).sympy()
    assert expr == f[name](X, sp.Rational(1, 4))


def impostor(name):
    """A jitted function called `name` that computes something else."""

    def body(x):
        return jnp.maximum(x, 0.0) + x**2

    body.__name__ = body.__qualname__ = name
    return jax.jit(body)


@pytest.mark.parametrize("name", ["relu", "softplus", "gelu", "selu", "log_sigmoid"])
def test_a_function_that_only_borrows_the_name_is_read_as_it_is(name):
    assert lift(impostor(name), 1.0).sympy() == sp.Max(0, X) + X**2


def test_a_custom_rule_of_the_user_is_inlined():
    @jax.custom_jvp
    def softplus(x):
        return x**2

    softplus.defjvp(lambda primals, tangents: (softplus(*primals), 7 * tangents[0]))

    @jax.custom_vjp
    def relu(x):
        return x**3

    relu.defvjp(lambda x: (relu(x), None), lambda _, t: (t,))
    assert lift(softplus, 1.0).sympy() == X**2
    assert lift(relu, 1.0).sympy() == X**3


NAMED = [row for row in ROWS if row.jax.startswith("jax.") and row.name != "step"]


@pytest.mark.parametrize("row", NAMED, ids=lambda row: row.name)
def test_what_a_name_means_has_the_value_of_its_program(row):
    """The row's definition against the lowered kernel, which is the program's independent twin."""
    point = [sp.Rational(3, 8), sp.Rational(5, 8), sp.Rational(7, 8)][: row.arity]
    names = [symbol(name) for name in ("u", "v", "w")[: row.arity]]
    expr = definition(f[row.name](*names))
    exact = evaluate(expr, dict(zip([n.name for n in names], point, strict=True)), 20)
    computed = lower(f[row.name](*names), names)(*map(float, point))
    assert float(computed) == pytest.approx(float(exact), rel=3e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda S: jnp.linalg.slogdet(S)[1],
        lambda S: jnp.linalg.inv(S),
        lambda S: jnp.linalg.det(S),
        lambda S: jnp.linalg.pinv(S),
        jax.scipy.linalg.expm,
    ],
    ids=["slogdet", "inv", "det", "pinv", "expm"],
)
def test_a_library_function_is_known_after_jax_forgot_its_traces(function):
    matrix = jnp.eye(3) * 2
    before = lift(function, matrix)
    jax.clear_caches()
    assert lift(function, matrix).node is before.node
