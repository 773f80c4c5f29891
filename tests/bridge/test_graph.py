"""The computational graph: values, adjoints and partials against closed forms and `jax.grad`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.backend import compat
from diffkit.bridge import graph as graph_module
from diffkit.bridge.graph import MOST_NODES, Graph, computational_graph
from diffkit.bridge.subject import subject
from diffkit.core.errors import UsageError
from diffkit.typeset import render


def graph_of(f, *args, **kwargs) -> Graph:
    return computational_graph(subject(f, args, kwargs, None))


def node(graph: Graph, name: str):
    (found,) = (each for each in graph.nodes if each.name == name)
    return found


def network(W1, b1, W2, b2, x, y):
    hidden = jnp.tanh(W1 @ x + b1)
    output = jax.nn.sigmoid(W2 @ hidden + b2)
    return jnp.mean((output - y) ** 2)


WEIGHTS = (
    np.array([[0.5, -0.3], [0.2, 0.8]]),
    np.array([0.1, -0.2]),
    np.array([[1.0, -1.0]]),
    np.array([0.05]),
    np.array([1.0, 0.5]),
    np.array([1.0]),
)


@jax.custom_jvp
def doubled(x):
    return 2 * jnp.tanh(x)


@doubled.defjvp
def _rule(primals, tangents):
    t = jnp.tanh(primals[0])
    return 2 * t, (1 - t**2) * tangents[0]  # the factor 2 is lost


@jax.custom_vjp
def scaled(x):
    return jnp.exp(x)


scaled.defvjp(lambda x: (jnp.exp(x), x), lambda x, g: (3.0 * g * x,))


def softmax(z):
    """The library's name, another function."""
    return jnp.exp(z) / jnp.sum(jnp.exp(z)) + 1.0


Z = np.array([0.3, -0.2, 0.7])
A = np.array([[2.0, 0.3], [0.1, 1.5]])
PROGRAMS = {
    "network": (network, WEIGHTS),
    "cross entropy": (lambda z, y: -jnp.sum(y * jax.nn.log_softmax(z)), (Z, np.ones(3) / 3)),
    "softmax": (lambda z: jnp.max(jax.nn.softmax(z)) + jax.nn.logsumexp(z), (Z,)),
    "own softmax": (lambda z: jnp.sum(softmax(z) ** 2), (Z,)),
    "used twice": (lambda x: x * x + jnp.sin(x) * x, (1.3,)),
    "entries": (lambda w: w[0] * w[1] - w[2] ** 3, (Z,)),
    "scan": (
        lambda x: jax.lax.scan(lambda c, _: (jnp.sin(c * x), c), x, None, length=4)[0],
        (0.7,),
    ),
    "cond": (lambda x: jax.lax.cond(x > 0, jnp.sin, jnp.cos, x), (0.7,)),
    "determinant": (lambda a: jnp.linalg.slogdet(a)[1] + jnp.trace(jnp.linalg.inv(a)), (A,)),
    "wrong rule": (lambda x: jnp.sin(doubled(x)), (0.4,)),
    "vjp rule": (lambda x: scaled(x) * x, (0.4,)),
    "integer": (lambda x, k: x**k + x * k, (1.5, np.int32(3))),
    "stopped": (lambda x: jax.lax.stop_gradient(x) * x, (1.5,)),
    "branches": (lambda x: jnp.where(x == 0, 1.0, jnp.expm1(x) / x), (0.4,)),
    "variance": (lambda z: jnp.var(z) / jnp.std(z), (Z,)),
    "remat": (jax.checkpoint(lambda x: jnp.sin(jnp.exp(x))), (0.4,)),
    "vector": (lambda z: jnp.cumsum(z) * jnp.tanh(z), (Z,)),
}


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    return {name: graph_of(f, *args) for name, (f, args) in PROGRAMS.items()}


def test_the_graph_of_log_of_a_product_is_that_of_the_textbook():
    graph = graph_of(lambda a, b: jnp.log(a * b), 2.0, 3.0)
    assert [each.name for each in graph.nodes] == ["a", "b", "v_1", "v_2"]
    assert [float(each.value) for each in graph.nodes] == [2, 3, 6, pytest.approx(np.log(6))]
    adjoints = [float(each.adjoint) for each in graph.nodes]
    assert adjoints == pytest.approx([1 / 2, 1 / 3, 1 / 6, 1])
    assert [(edge.source, edge.target) for edge in graph.edges] == [(0, 2), (1, 2), (2, 3)]
    assert [float(edge.diagonal) for edge in graph.edges] == pytest.approx([3, 2, 1 / 6])
    assert [render(edge.formula) for edge in graph.edges] == ["b", "a", "1/v₁"]
    assert graph.disagreement == 0


@pytest.mark.parametrize("name", PROGRAMS)
def test_adjoints_of_the_inputs_are_the_gradient_of_jax(name: str, graphs):
    f, args = PROGRAMS[name]
    graph = graphs[name]
    floating = [k for k, arg in enumerate(args) if np.asarray(arg).dtype.kind == "f"]
    with compat.x64():
        wanted = jax.grad(lambda *a: jnp.sum(f(*a)), tuple(floating))(*map(jnp.asarray, args))
    for k, expected in zip(floating, wanted, strict=True):
        np.testing.assert_allclose(graph.nodes[k].adjoint, expected, rtol=1e-12, atol=1e-15)
    assert graph.disagreement is not None
    assert graph.disagreement < 1e-12


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_value_at_the_output_is_that_of_the_function(name: str, graphs):
    f, args = PROGRAMS[name]
    with compat.x64():
        wanted = f(*map(jnp.asarray, args))
    np.testing.assert_allclose(graphs[name].nodes[graphs[name].output].value, wanted, rtol=1e-14)


@pytest.mark.parametrize("name", PROGRAMS)
def test_adjoints_are_sums_over_outgoing_edges_of_partial_times_adjoint(name: str, graphs):
    graph = graphs[name]
    sums = dict.fromkeys(range(len(graph.nodes)), 0.0)
    sums[graph.output] = np.ones_like(graph.nodes[graph.output].value)
    for edge in graph.edges:
        above = graph.nodes[edge.target].adjoint
        if edge.diagonal is not None:
            product = above * edge.diagonal
        elif edge.partial is not None:
            product = np.tensordot(above, edge.partial, above.ndim)
        else:
            continue
        np.testing.assert_allclose(product, edge.contribution, rtol=1e-12, atol=1e-15)
        sums[edge.source] = sums[edge.source] + product
    for k, each in enumerate(graph.nodes):
        if each.adjoint is not None:
            np.testing.assert_allclose(sums[k], each.adjoint, rtol=1e-12, atol=1e-14)


def test_a_wrong_sweep_is_noticed(monkeypatch):
    right = graph_module._with_pullback

    def wrong(operation, values):
        value, (sources, pull) = right(operation, values)
        if operation.name != "tanh":
            return value, (sources, pull)
        return value, (sources, lambda bar: tuple(1.001 * part for part in pull(bar)))

    monkeypatch.setattr(graph_module, "_with_pullback", wrong)
    assert graph_of(network, *WEIGHTS).disagreement == pytest.approx(1e-3, rel=0.1)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("network", "mean"),
        ("softmax", "softmax"),
        ("softmax", "logsumexp"),
        ("cross entropy", "log_softmax"),
        ("determinant", "inv"),
        ("wrong rule", "doubled"),
        ("scan", "scan"),
    ],
)
def test_functions_with_a_name_are_one_node(name: str, operation: str, graphs):
    assert [each.operation for each in graphs[name].nodes].count(operation) == 1


def test_a_function_that_only_has_the_name_of_one_of_the_library_is_opened(graphs):
    operations = [each.operation for each in graphs["own softmax"].nodes]
    assert "softmax" not in operations
    assert "exp" in operations


def test_a_custom_rule_is_marked_and_swept_as_jax_sweeps_it(graphs):
    graph = graphs["wrong rule"]
    assert [each.operation for each in graph.nodes if each.has_rule] == ["doubled"]
    t = np.tanh(0.4)  # JAX follows the rule, which lost a factor 2
    assert graph.nodes[0].adjoint == pytest.approx(np.cos(2 * t) * (1 - t**2))


def test_partials_reuse_the_value_that_is_at_hand(graphs):
    graph = graphs["network"]
    formulas = {
        graph.nodes[edge.target].operation: render(edge.formula)
        for edge in graph.edges
        if edge.formula is not None
    }
    assert formulas["tanh"] == "1 − v₃²"
    assert formulas["logistic"] == "v₆ (1 − v₆)"
    assert formulas["dot_general"] == "W₂"


def test_a_formula_jax_does_not_follow_is_not_shown():
    # |x|' at 0 is 1 in JAX, sign(0) = 0 in the formula
    (edge,) = graph_of(jnp.abs, 0.0).edges
    assert float(edge.diagonal) == 1.0
    assert edge.formula is None
    (edge,) = graph_of(jnp.abs, -2.0).edges
    assert float(edge.diagonal) == -1.0
    assert edge.formula is not None


def test_a_loop_without_reverse_mode_has_values_and_says_why_there_is_no_sweep():
    def power(x):
        return jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * x), (0, x))[1]

    graph = graph_of(power, 1.5)
    assert float(graph.nodes[graph.output].value) == 1.5**4
    assert "while_loop" in graph.refusal
    assert all(each.adjoint is None for each in graph.nodes)
    assert graph.disagreement is None


def test_names_of_inputs_are_kept_and_never_taken_twice():
    graph = graph_of(lambda v1, v, u: v1 * v + u, 1.0, 2.0, 3.0)
    names = [each.name for each in graph.nodes]
    assert names == ["v1", "v", "u", "t_1", "t_2"]


def test_what_nobody_needs_is_left_out_and_constants_are_folded():
    def f(x):
        _ = jnp.exp(x)  # dead
        return x * (jnp.sin(0.5) + 1.0) * jnp.ones(())

    graph = graph_of(f, 2.0)
    assert {each.operation for each in graph.nodes} <= {"", "mul"}


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: jnp.float32(1.0) + 0 * jnp.zeros(()), "does not depend"),
        (lambda x: sum(jnp.sin(k * x) for k in range(1, MOST_NODES)), "operations"),
        (lambda x: (x, x), "returns 2 arrays"),
    ],
)
def test_what_cannot_be_drawn_is_a_usage_error_that_says_so(f, words: str):
    with pytest.raises(UsageError, match=words):
        graph_of(f, 1.0)


def test_nan_and_infinity_are_values_like_others():
    graph = graph_of(lambda x: jnp.sqrt(x * x), 0.0)
    assert np.isnan(graph.nodes[0].adjoint)
    assert graph.disagreement == 0


def test_the_users_precision_is_untouched():
    before = jax.config.jax_enable_x64
    with jax.enable_x64(False):
        graph = graph_of(lambda x: x * x, jnp.float32(0.1))
        assert jnp.ones(()).dtype == jnp.float32
    assert graph.nodes[0].value.dtype == np.float64
    assert jax.config.jax_enable_x64 == before
