"""Structured Hessians in numbers, held against the dense Hessian of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.backend.compat import x64
from diffkit.bridge import hessian
from diffkit.bridge.formula import Formula
from diffkit.bridge.lift import lift
from diffkit.bridge.structured import DiagonalPlusLowRank, KroneckerIdentity
from diffkit.core.errors import UsageError
from diffkit.tensor import build
from diffkit.tensor.identity import prove_equal_nodes
from diffkit.tensor.nodes import Einsum, topological


@pytest.fixture(autouse=True)
def float64():
    with x64():
        yield


def cross_entropy(z, y):
    return -jnp.sum(y * jax.nn.log_softmax(z))


def factorisation(U, V, T):
    return jnp.sum((T - U @ V.T) ** 2)


def logistic(w, X, y):
    return jnp.mean(jnp.logaddexp(0.0, -y * (X @ w)))


def ridge(w, X, y):
    return logistic(w, X, y) + jnp.sum(w**2)


def network(W, x, V1, V2):
    return jax.nn.logsumexp(jnp.tanh(jnp.tanh(x @ W) @ V1) @ V2)


def relu_network(W, x, V1, V2):
    return jax.nn.logsumexp(jax.nn.relu(jax.nn.relu(x @ W) @ V1) @ V2)


def attention(q, k, v):
    return jnp.sum(jnp.sin(jax.nn.softmax(k @ q) @ v))


#: name -> (function, shapes, the variable, the structure).
FUNCTIONS = {
    "quadratic form": (lambda A, x: x @ A @ x, [(5, 5), (5,)], "x", "Const"),
    "elementwise": (lambda x: jnp.sum(jnp.tanh(x) * x**2 + 3 * x**2), [(6,)], "x", "Diagonal"),
    "elementwise matrix": (lambda x: jnp.sum(jnp.exp(x)), [(3, 4)], "x", "Diagonal"),
    "affine": (lambda x, a: a @ x, [(4,), (4,)], "x", "Diagonal"),
    "number": (lambda x: x**4 + x**2, [()], "x", "Diagonal"),
    "logits": (cross_entropy, [(5,), (5,)], "z", "DiagonalPlusLowRank(rank 1)"),
    "log(1 + |x|^2)": (
        lambda x: jnp.log(1 + x @ x),
        [(6,)],
        "x",
        "DiagonalPlusLowRank(rank 1)",
    ),
    "ridge": (ridge, [(12,), (4, 12), (4,)], "w", "DiagonalPlusLowRank(rank 4)"),
    "factorisation": (factorisation, [(7, 2), (6, 2), (7, 6)], "U", "KroneckerIdentity(Const)"),
    "batch of logits": (
        cross_entropy,
        [(4, 3), (4, 3)],
        "z",
        "Block(DiagonalPlusLowRank(rank 1))",
    ),
    "a matrix per row": (
        lambda Z, B: jnp.sum(jnp.exp(Z @ B)),
        [(4, 3), (3, 5)],
        "Z",
        "Block(Dense)",
    ),
    "log det": (lambda S: jnp.linalg.slogdet(S)[1], [(3, 3)], "S", "Factored"),
    "few samples": (logistic, [(12,), (4, 12), (4,)], "w", "Factored"),
    "many samples": (logistic, [(3,), (20, 3), (20,)], "w", "Dense"),
    "first layer": (network, [(5, 6), (5,), (6, 6), (6, 4)], "W", "Factored"),
    "first layer of relu": (relu_network, [(5, 6), (5,), (6, 6), (6, 4)], "W", "Factored"),
    "first layer, batch": (network, [(8, 6), (2, 8), (6, 6), (6, 4)], "W", "Factored"),
    "softmax regression": (
        lambda W, X, Y: cross_entropy(X @ W, Y),
        [(8, 6), (3, 8), (3, 6)],
        "W",
        "Factored",
    ),
    "attention": (attention, [(5,), (9, 5), (9, 3)], "q", "Dense"),
}
#: Hessians that are singular for every input: nothing is solved with them.
SINGULAR = {
    "affine", "logits", "batch of logits", "few samples", "first layer", "first layer of relu",
    "first layer, batch", "softmax regression",
}  # fmt: skip


@pytest.fixture
def case(request, seed):
    function, shapes, wrt, kind = FUNCTIONS[request.param]
    rng = np.random.default_rng(seed)
    values = [jnp.asarray(rng.normal(size=shape)) for shape in shapes]
    if request.param == "log det":
        values[0] = values[0] + 3 * jnp.eye(3)
    return request.param, function, values, wrt, kind


def matrix_of(function, values, place):
    n = values[place].size
    return np.asarray(jax.jit(jax.hessian(function, argnums=place))(*values)).reshape(n, n)


def close(found, expected, tolerance=1e-9):
    scale = np.max(np.abs(expected), initial=1e-300)
    np.testing.assert_allclose(np.asarray(found) / scale, expected / scale, atol=tolerance)


every_case = pytest.mark.parametrize("case", FUNCTIONS, indirect=True)


@every_case
def test_a_structure_applies_and_solves_as_the_dense_hessian_does(case, seed):
    name, function, values, wrt, kind = case
    formula = lift(function, *values)
    place = formula.names.index(wrt)
    found = formula.hessian(wrt).structured()
    assert str(found.structure) == kind
    numbers = jax.jit(lambda *inputs: found(*inputs))(*values)
    expected = matrix_of(function, values, place)
    shape = values[place].shape
    vector = jax.random.normal(jax.random.key(seed), shape)
    flat = np.ravel(vector)
    close(numbers.dense(), expected.reshape((*shape, *shape)))
    close(jax.jit(lambda h, v: h.matvec(v))(numbers, vector), (expected @ flat).reshape(shape))
    if name not in SINGULAR:
        solution = jax.jit(lambda h, g: h.solve(g))(numbers, vector)
        close(solution, np.linalg.solve(expected, flat).reshape(shape))
        np.testing.assert_allclose(numbers.logdet(), np.linalg.slogdet(expected)[1], rtol=1e-9)


@every_case
def test_a_lowered_hessian_is_that_of_jax(case):
    _, function, values, wrt, _ = case
    formula = lift(function, *values)
    place = formula.names.index(wrt)
    expected = matrix_of(function, values, place)
    lowered = jax.jit(formula.hessian(wrt).lower())(*values)
    assert lowered.shape == 2 * values[place].shape
    close(np.ravel(lowered), np.ravel(expected))


@every_case
def test_a_hessian_vector_product_never_forms_the_hessian(case, seed):
    _, function, values, wrt, _ = case
    formula = lift(function, *values)
    place = formula.names.index(wrt)
    vector = jax.random.normal(jax.random.key(seed), values[place].shape)
    expected = matrix_of(function, values, place) @ np.ravel(vector)
    run = formula.hvp(wrt)
    close(jax.jit(run)(*values, vector), expected.reshape(vector.shape))
    largest = max(
        (eqn.outvars[0].aval.size for eqn in jax.make_jaxpr(run)(*values, vector).jaxpr.eqns),
        default=0,
    )
    assert largest < vector.size**2 or vector.size <= max(x.size for x in values)


@every_case
def test_value_and_gradient_come_together(case):
    _, function, values, wrt, _ = case
    formula = lift(function, *values)
    place = formula.names.index(wrt)
    value, gradient = jax.jit(formula.value_and_grad(wrt))(*values)
    expected_value, expected = jax.value_and_grad(function, argnums=place)(*values)
    np.testing.assert_allclose(value, expected_value, rtol=1e-12)
    close(gradient, np.asarray(expected))


def test_value_and_gradients_by_several_inputs_are_a_tuple():
    values = [jnp.ones(shape) for shape in [(7, 2), (6, 2), (7, 6)]]
    formula = lift(factorisation, *values)
    _, gradients = formula.value_and_grad(("U", "V"))(*values)
    expected = jax.grad(factorisation, argnums=(0, 1))(*values)
    for found, wanted in zip(gradients, expected, strict=True):
        close(found, np.asarray(wanted))


def test_structures_are_pytrees_that_vmap_and_keep_float32():
    z = jnp.linspace(-1, 1, 15, dtype=jnp.float32).reshape(3, 5)
    found = lift(jax.nn.logsumexp, z[0]).hessian().structured()
    batch = jax.vmap(lambda one: found(one))(z)
    assert isinstance(batch, DiagonalPlusLowRank)
    assert batch.diagonal.dtype == jnp.float32
    dense = jax.vmap(lambda h: h.dense())(batch)
    close(dense, np.asarray(jax.vmap(jax.hessian(jax.nn.logsumexp))(z)), 1e-6)


def test_the_first_layer_of_a_net_stores_no_matrix_of_its_size():
    values = [jnp.ones(shape) for shape in [(5, 6), (5,), (6, 6), (6, 4)]]
    found = lift(network, *values).hessian("W").structured()(*values)
    assert sum(x.size for x in jax.tree.leaves(found)) < 60
    assert found.size**2 == 900


def test_the_structure_of_the_softmax_hessian_is_printed_with_its_formula():
    z, y = jnp.zeros(5), jnp.ones(5) / 5
    formula = lift(cross_entropy, z, y, assume={"y": "simplex"})
    shown = str(formula.hessian("z").structured())
    assert shown == "diag(p) − p pᵀ     DiagonalPlusLowRank(rank 1)"


def test_a_constant_hessian_says_so():
    values = [jnp.ones(shape) for shape in [(7, 2), (6, 2), (7, 6)]]
    found = lift(factorisation, *values).hessian("U").structured()
    assert (found.kind, found.is_constant) == ("KroneckerIdentity", True)
    assert isinstance(found(*values), KroneckerIdentity)


def drawn_factorisation(seed):
    keys = jax.random.split(jax.random.key(seed), 3)
    shapes = [(7, 2), (6, 2), (7, 6)]
    return [jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]


def test_newtons_step_on_matrix_factorisation_is_alternating_least_squares(seed):
    U, V, T = drawn_factorisation(seed)
    formula = lift(factorisation, U, V, T)
    H = formula.hessian("U").structured()(U, V, T)
    step = U - H.solve(formula.grad("U")(U, V, T))
    expected = T @ V @ jnp.linalg.inv(V.T @ V)
    np.testing.assert_allclose(step, expected, rtol=1e-10, atol=1e-10)


def test_newtons_step_is_proved_to_be_alternating_least_squares(seed):
    values = drawn_factorisation(seed)
    formula = lift(factorisation, *values)
    solution = formula.hessian("U").structured().solve(formula.grad("U"))
    U = formula.input("U")
    step = build.add([(1, U, (0, 1)), (-1, solution.node, (0, 1))], U.shape)
    least_squares = lift(lambda U, V, T: T @ V @ jnp.linalg.inv(V.T @ V), *values)
    found = prove_equal_nodes(step, least_squares.node)
    assert found.is_equal
    assert found.error < 1e-12


@pytest.mark.parametrize(
    ("function", "shapes", "wrt"),
    [
        (lambda x: jnp.sum(jnp.exp(x)), [(3, 4)], "x"),
        (lambda Z, B: jnp.sum(jnp.exp(Z @ B)), [(4, 3), (3, 5)], "Z"),
        (logistic, [(3,), (20, 3), (20,)], "w"),
    ],
    ids=["Diagonal", "Block", "Dense"],
)
def test_a_solution_as_a_formula_has_the_value_of_the_solution_in_numbers(
    function, shapes, wrt, seed
):
    rng = np.random.default_rng(seed)
    values = [jnp.asarray(rng.normal(size=shape)) for shape in shapes]
    formula = lift(function, *values)
    found, gradient = formula.hessian(wrt).structured(), formula.grad(wrt)
    expected = found(*values).solve(gradient(*values))
    close(found.solve(gradient)(*values), np.asarray(expected))


def test_low_rank_hessians_have_no_solution_as_a_formula():
    formula = lift(jax.nn.logsumexp, jnp.zeros(5))
    with pytest.raises(UsageError, match="solve it in numbers"):
        formula.hessian().structured().solve(formula.grad())


def test_only_hessians_have_a_structure():
    formula = lift(factorisation, *[jnp.ones(s) for s in [(7, 2), (6, 2), (7, 6)]])
    with pytest.raises(UsageError, match="Hessian by one input"):
        formula.grad("U").structured()
    with pytest.raises(UsageError, match="Hessian by one input"):
        formula.hessian(("U", "V")).structured()


def test_a_formula_given_as_text_has_a_structure_too():
    found = Formula.from_text("exp(2*x)").hessian("x").structured()
    np.testing.assert_allclose(found(0.5).dense(), 4 * np.exp(1.0), rtol=1e-12)


def test_a_large_symmetric_product_is_multiplied_by_blocks(seed):
    rng = np.random.default_rng(seed)
    w, X, y = (jnp.asarray(rng.normal(size=shape)) for shape in [(129,), (300, 129), (300,)])
    lowered = lift(logistic, w, X, y).hessian("w").lower()
    close(lowered(w, X, y), np.asarray(jax.hessian(logistic)(w, X, y)))
    shapes = [
        eqn.outvars[0].aval.shape
        for eqn in jax.make_jaxpr(lowered)(w, X, y).jaxpr.eqns
        if eqn.primitive.name == "dot_general"
    ]
    assert (129, 129) not in shapes


def test_a_large_transposed_array_is_added_in_a_branch_of_its_own(seed):
    A = jax.random.normal(jax.random.key(seed), (257, 257))
    lowered = lift(lambda A, x: x @ A @ x, A, A[0]).hessian("x").lower()
    np.testing.assert_array_equal(lowered(A, A[0]), A + A.T)
    at_nan = lowered(A.at[0, 0].set(jnp.nan), A[0])
    assert int(jnp.isnan(at_nan).sum()) == 1


def test_no_product_of_more_than_two_arrays_is_left_to_the_compiler():
    formula = lift(logistic, *[jnp.ones(s) for s in [(3,), (20, 3), (20,)]])
    (node,) = formula.hessian("w").structured().structure.nodes
    assert any(len(x.operands) > 2 for x in topological(node) if isinstance(x, Einsum))


def test_a_hessian_whose_closed_form_is_dearer_is_left_to_jax(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    values = [jnp.asarray(rng.normal(size=shape)) for shape in [(5,), (9, 5), (9, 3)]]
    monkeypatch.setattr(hessian, "TANGENT", 0.0)
    called = []
    original = hessian._by_jax
    monkeypatch.setattr(hessian, "_by_jax", lambda *args: called.append(args) or original(*args))
    lowered = lift(attention, *values).hessian("q").lower()
    assert called
    close(jax.jit(lowered)(*values), np.asarray(jax.hessian(attention)(*values)))
