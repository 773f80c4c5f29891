"""Array text means what NumPy computes; nothing else is read, and nothing is ever executed."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.core.errors import ParseError, UnknownNameError, UsageError
from diffkit.tensor import views
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import var
from diffkit.tensor.notation.matrix_text import read_text
from diffkit.tensor.notation.reading import bind

inv, norm = np.linalg.inv, np.linalg.norm


def softmax(x, axis=-1):
    top = np.exp(x - x.max(axis, keepdims=True))
    return top / top.sum(axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


#: Text, the arrays it names, the same in NumPy.
TEXTS = [
    ("2*X.T@(X@w-y)/6", "X:64 w:4 y:6", lambda X, w, y: 2 * X.T @ (X @ w - y) / 6),
    ("inv(A).T", "A:44!", lambda A: inv(A).T),
    ("outer(a,b)", "a:4 b:3", np.outer),
    (
        "A.T @ (cos(A@x)*x) + sin(A@x)",
        "A:44 x:4",
        lambda A, x: A.T @ (np.cos(A @ x) * x) + np.sin(A @ x),
    ),
    ("softmax(z) - p", "z:6 p:6%", lambda z, p: softmax(z) - p),
    ("diag(p) - outer(p,p)", "p:6%", lambda p: np.diag(p) - np.outer(p, p)),
    ("X / norm(X)", "X:64", lambda X: X / norm(X)),
    ("eye(4)@A - I", "A:44", lambda A: A - np.eye(4)),
    ("I - outer(x,x)/(x@x)", "x:4", lambda x: np.eye(4) - np.outer(x, x) / (x @ x)),
    ("trace(A@B)", "A:43 B:34", lambda A, B: np.trace(A @ B)),
    ("det(X)*inv(X).T", "X:44!", lambda X: np.linalg.det(X) * inv(X).T),
    ("sum(x**2) + mean(x)", "x:4", lambda x: np.sum(x**2) + np.mean(x)),
    ("sum(X, axis=0) - X.mean(axis=0)", "X:64", lambda X: X.sum(0) - X.mean(0)),
    ("max(x) - min(x)", "x:4", lambda x: x.max() - x.min()),
    ("max(x, 0) + jnp.max(X, 0)", "x:4 X:64", lambda x, X: np.maximum(x, 0) + X.max(0)),
    ("x[2] + x[-1]", "x:4", lambda x: x[2] + x[-1]),
    ("X[:, 0]", "X:64", lambda X: X[:, 0]),
    ("X[1:, :2]", "X:64", lambda X: X[1:, :2]),
    ("X[::-1, -3::2]", "X:64", lambda X: X[::-1, -3::2]),
    ("X[..., 1] + X[2][0]", "X:64", lambda X: X[..., 1] + X[2][0]),
    ("x[:, None]*A[None, 0]", "x:4 A:44", lambda x, A: x[:, None] * A[None, 0]),
    ("where(x > 0, x, 0)", "x:4", lambda x: np.where(x > 0, x, 0)),
    ("X.T@(G*(X@W > 0))", "X:64 W:43 G:63", lambda X, W, G: X.T @ (G * (X @ W > 0))),
    (
        "(x > 0) & (y <= 0) | ~(x < 1)",
        "x:4 y:4",
        lambda x, y: ((x > 0) & (y <= 0) | ~(x < 1)) * 1.0,
    ),
    ("0 < x < 1", "x:4", lambda x: ((x > 0) & (x < 1)) * 1.0),
    ("sigmoid(Z)*(1-sigmoid(Z))", "Z:63", lambda Z: sigmoid(Z) * (1 - sigmoid(Z))),
    ("einsum('ij,jk->ik', A, B)", "A:43 B:35", lambda A, B: A @ B),
    ("einsum('ii->i', A) + jnp.einsum('ij,j', A, x)", "A:44 x:4", lambda A, x: np.diag(A) + A @ x),
    ("einsum('jk,li->ijkl', A, A)", "A:33", lambda A: np.einsum("jk,li->ijkl", A, A)),
    (
        "solve(A,b) - jnp.linalg.solve(A, B)[:, 0]",
        "A:44! b:4 B:43",
        lambda A, b, B: np.linalg.solve(A, b) - np.linalg.solve(A, B)[:, 0],
    ),
    ("pinv(X)", "X:64", np.linalg.pinv),
    ("inner(A, B) + vdot(A, A)", "A:43 B:53", lambda A, B: A @ B.T + np.sum(A * A)),
    (
        "logdet(S) + slogdet(S)[1]*slogdet(S)[0] + log(det(S))",
        "S:44+",
        lambda S: 3 * np.linalg.slogdet(S)[1],
    ),
    ("kron(A,B)", "A:43 B:22", np.kron),
    ("vec(X) + reshape(X.T, (24,))[::-1]", "X:64", lambda X: X.ravel() + X.T.ravel()[::-1]),
    ("reshape(x,(2,-1)) + x.reshape(2, 2)", "x:4", lambda x: 2 * x.reshape(2, 2)),
    ("ones(4) + zeros((4,)) + full(4, x[0])", "x:4", lambda x: 1 + x[0] + np.zeros(4)),
    ("tril(A) - triu(A, k=1)", "A:44", lambda A: np.tril(A) - np.triu(A, 1)),
    ("cholesky(S)", "S:44+", np.linalg.cholesky),
    ("matrix_power(X,3) - X@X@X.mT.T", "X:44", lambda X: np.zeros((4, 4))),
    ("expm(zeros((4,4))) + transpose(A)", "A:44", lambda A: np.eye(4) + A.T),
    ("X.sum() + x.dot(x) + np.dot(X, x)[0]", "X:64 x:4", lambda X, x: X.sum() + x @ x + X[0] @ x),
    (
        "jnp.linalg.norm(x) + jax.nn.relu(x) + np.linalg.norm(X, 'nuc')",
        "x:4 X:64",
        lambda x, X: norm(x) + np.maximum(x, 0) + norm(X, "nuc"),
    ),
    (
        "norm(x, 1) + norm(x, inf) + norm(X, axis=1)[0] + norm(A, 2)",
        "x:4 X:64 A:44",
        lambda x, X, A: norm(x, 1) + norm(x, np.inf) + norm(X[0]) + norm(A, 2),
    ),
    (
        "logsumexp(Z, axis=1, keepdims=True) + jss.logsumexp(Z)",
        "Z:63",
        lambda Z: np.log(np.exp(Z).sum(1, keepdims=True)) + np.log(np.exp(Z).sum()),
    ),
    (
        "log_softmax(Z)[2] + softmax(Z, axis=0)[0]",
        "Z:63",
        lambda Z: np.log(softmax(Z))[2] + softmax(Z, 0)[0],
    ),
    ("var(Z, axis=0) + std(Z)", "Z:63", lambda Z: Z.var(0) + Z.std()),
    (
        "(g - mean(g) - h*mean(g*h))/s",
        "g:6 h:6 s:+",
        lambda g, h, s: (g - g.mean() - h * np.mean(g * h)) / s,
    ),
    (
        "block([[A, B], [zeros((2, 4)), ones((2, 3))]])",
        "A:44 B:43",
        lambda A, B: np.block([[A, B], [np.zeros((2, 4)), np.ones((2, 3))]]),
    ),
    (
        "concatenate([x, y]) * hstack([y, x])",
        "x:4 y:4",
        lambda x, y: np.hstack([x, y]) * np.hstack([y, x]),
    ),
    (
        "array([[1, 0.5], [x[0], 3]]) @ stack([x[:2], y[:2]])",
        "x:4 y:4",
        lambda x, y: np.array([[1, 0.5], [x[0], 3]]) @ np.stack([x[:2], y[:2]]),
    ),
    ("-x**2 + 2**-1*x + x**0.5**2", "x:4", lambda x: -(x**2) + x / 2 + x**0.25),
    ("X.T@y/X.shape[0] + X.size*len(y)", "X:64 y:6", lambda X, y: X.T @ y / 6 + 144),
    ("0.1*x + 1e-3", "x:4", lambda x: 0.1 * x + 1e-3),
    (
        "\N{GREEK SMALL LETTER THETA}*x \N{MINUS SIGN} pi",
        "theta: x:4",
        lambda theta, x: theta * x - np.pi,
    ),
    (
        "cumsum(x) + jnp.cumsum(X, axis=0)[3]",
        "x:4 X:64",
        lambda x, X: np.cumsum(x) + X.cumsum(0)[3],
    ),
    ("S_@S_ - sp@x", "S_:44 sp:44 x:4", lambda S_, sp, x: S_ @ S_ - sp @ x),
    (
        "0.5*jnp.sum((jax.nn.sigmoid(X@W1)@W2-Y)**2)",
        "X:64 W1:45 W2:52 Y:62",
        lambda X, W1, W2, Y: np.sum((sigmoid(X @ W1) @ W2 - Y) ** 2) / 2,
    ),
]


@pytest.mark.parametrize(("text", "spec", "numpy"), TEXTS, ids=[row[0] for row in TEXTS])
def test_text_means_what_numpy_computes(text, spec, numpy, draw):
    values, names = draw(spec)
    if "**0.5" in text:
        values = {name: abs(x) for name, x in values.items()}
    expected = np.asarray(numpy(*values.values()))
    found = np.asarray(evaluate(views.dense(read_text(text, names).view), values))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


# trees of expressions, printed and read back ------------------------------------------------------

ARRAYS = {"x": (3,), "y": (3,), "A": (3, 3), "B": (3, 3), "s": ()}


def _leaf(name):
    return name, lambda values: values[name]


def _joined(operator, apply):
    def join(pair):
        (left, f), (right, g) = pair
        return f"({left}){operator}({right})", lambda values: apply(f(values), g(values))

    return join


def _called(name, function):
    return lambda part: (f"{name}({part[0]})", lambda values: function(part[1](values)))


VECTORS = st.sampled_from([_leaf("x"), _leaf("y")])
MATRICES = st.sampled_from([_leaf("A"), _leaf("B")])
NUMBERS = st.one_of(
    st.just(_leaf("s")),
    st.integers(1, 9).map(lambda k: (f"{k}/4", lambda values: k / 4)),
)


def _grown(kinds):
    vectors, matrices, numbers = kinds
    entry = [_joined("+", np.add), _joined("-", np.subtract), _joined("*", np.multiply)]
    return (
        st.one_of(
            *(st.tuples(vectors, vectors).map(rule) for rule in entry),
            st.tuples(matrices, vectors).map(_joined("@", np.matmul)),
            st.tuples(vectors, matrices).map(_joined("@", np.matmul)),
            st.tuples(numbers, vectors).map(_joined("*", np.multiply)),
            vectors.map(_called("tanh", np.tanh)),
            vectors.map(_called("softmax", softmax)),
            matrices.map(_called("diag", np.diag)),
            vectors.map(lambda part: (f"-({part[0]})", lambda values: -part[1](values))),
        ),
        st.one_of(
            *(st.tuples(matrices, matrices).map(rule) for rule in entry),
            st.tuples(matrices, matrices).map(_joined("@", np.matmul)),
            st.tuples(matrices, vectors).map(_joined("*", np.multiply)),
            matrices.map(lambda part: (f"({part[0]}).T", lambda values: part[1](values).T)),
            vectors.map(_called("diag", np.diag)),
            matrices.map(_called("sin", np.sin)),
        ),
        st.one_of(
            st.tuples(vectors, vectors).map(_joined("@", np.matmul)),
            matrices.map(_called("trace", np.trace)),
            vectors.map(_called("sum", np.sum)),
            matrices.map(_called("mean", np.mean)),
        ),
    )


ONCE = _grown((VECTORS, MATRICES, NUMBERS))
TWICE = _grown(tuple(a | b for a, b in zip(ONCE, (VECTORS, MATRICES, NUMBERS), strict=True)))
NAMES = {name: views.view(var(name, shape)) for name, shape in ARRAYS.items()}


@settings(max_examples=150)
@given(st.one_of(*TWICE), st.integers(0, 2**31))
def test_a_printed_expression_is_read_back(expression, seed):
    text, compute = expression
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=shape) for name, shape in ARRAYS.items()}
    expected = np.asarray(compute(values))
    found = np.asarray(evaluate(views.dense(read_text(text, NAMES).view), values))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=300)
@given(st.text(alphabet="xAs012.+-*/@()[],:=<>&|~'\"_ {}\\^tanhsumI", max_size=40))
def test_any_text_is_read_or_refused_on_purpose(text):
    with contextlib.suppress(UsageError):
        read_text(text, NAMES)


# refusals -----------------------------------------------------------------------------------------

REFUSED = {
    "": "the formula is empty; write one such as A @ x",
    "x" * 10_001: "the text has 10001 characters; a formula has at most 10000: split it",
    "(" * 60 + "x": "more than 50 levels are nested; name a part and use its name",
    "x" + "+x" * 3000: "a formula has at most 2000 parts; name some of them",
    "x*" * 1500 + "x": "too many factors or levels are nested; name a part and use its name",
    "__import__('os').system('ls')": "a name begins with a letter",
    "x.__class__": "a name begins with a letter",
    "lambda x: x": (
        "`lambda` is not part of a formula: write the formula itself, without lambda and its "
        "arguments"
    ),
    "[x for x in A]": (
        "`for` is not part of a formula: write a sum or einsum of arrays instead of a loop"
    ),
    "x; y": "';' is not part of an array formula: one formula at a time",
    "\\frac{x}{2}": (
        "'\\\\' is not part of an array formula: this is LaTeX, which is read by read_latex"
    ),
    "A x": "an operator is missing between A and x: write A*x for entries, A@x for matrices",
    "A@": "the formula ends where a number, a name or ( must follow",
    "(x": "this ( is never closed; write ) at its end",
    "x)": "this ) closes nothing; delete it or open it",
    "x, y": "a comma only separates the arguments of a function; delete it",
    "x = y": "write == for a comparison; `=` assigns",
    "A@B": "axes of length 4 and 3 do not match",
    "x@s": "@ needs arrays on both sides; write * for a product with a number",
    "x + c": "axes of length 4 and 3 do not match",
    "det(B)": "det needs a square matrix, not shape (3, 4)",
    "9**9**9": "this power has more than 1000 digits; write a name for it",
    "(7*x)**(10**9)": "an exponent is at most 1000; write a name for it",
    "factorial(10**8)": "factorial of a number beyond 300 is not computed; write a name for it",
    "ones((10**4, 10**4))": "an array of numbers has at most 1000000 entries here",
    "x/0": "this divides by zero",
    "sqrt(-1)*x": "this is not a real number; formulas are real",
    "x[4]": "there is no entry 4 on an axis of length 4",
    "x[s]": "an index is a whole number, a slice or None",
    "A[0, 0, 0]": "3 indices for an array of 2 axes",
    "where(x, 1, 0)": "a condition such as x > 0 is needed here; put it in parentheses",
    "slogdet(A)": "slogdet(X)[1] is the logarithm, slogdet(X)[0] the sign",
    "sum(x, axis=3)": "there is no axis 3 in an array of 1 axes",
    "einsum('ij,jk->ik', A)": "these labels do not fit 1 arrays",
    "reshape(x, (3, 2))": "4 entries of shape (4,) do not fit into shape (3, 2)",
    "I": "the size of I does not follow from the formula; write eye(4)",
    "x\u200b": "the invisible character U+200B is not part of a formula: delete it",
    "\N{CYRILLIC SMALL LETTER HA}*x": (
        "the letter '\N{CYRILLIC SMALL LETTER HA}' (cyrillic small letter ha) is not read; use "
        "Latin or Greek letters"
    ),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:30])
def test_what_is_not_read_is_refused_with_its_remedy(text, draw):
    _, names = draw("A:44 B:34 x:4 y:4 c:3 s:")
    with pytest.raises(ParseError) as caught:
        read_text(text, names)
    assert caught.value.reason == REFUSED[text]
    assert str(caught.value).splitlines()[-1].strip() == "^"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thta*x", "no array is called 'thta'; did you mean theta? known names: theta, x"),
        ("softmx(x)", "no function is called 'softmx'; did you mean softmax?"),
        ("eval('1')", "no function is called 'eval'"),
        ("open(x)", "no function is called 'open'"),
        ("k*x", "no array is called 'k'; known names: theta, x"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(text, message, draw):
    _, names = draw("theta: x:4")
    with pytest.raises(UnknownNameError) as caught:
        read_text(text, names)
    assert str(caught.value).startswith(message)


def test_text_that_is_no_text_is_refused():
    with pytest.raises(ParseError, match="a formula is text, not int"):
        read_text(3, {})  # ty: ignore


def test_a_size_is_open_until_it_is_bound_or_an_axis_fixes_it(draw):
    values, names = draw("X:64 y:6")
    reading = read_text("X.T @ y / n", names)
    assert [s.name for s in reading.sizes] == ["n"]
    found = evaluate(views.dense(bind(reading, {"n": 6})), values)
    np.testing.assert_allclose(found, values["X"].T @ values["y"] / 6)
    fixed = read_text("(eye(n) - ones((n, n))/n) @ y", names)
    assert fixed.fixed == {"n": 6}
    found = evaluate(views.dense(fixed.view), values)
    np.testing.assert_allclose(found, values["y"] - values["y"].mean())


def test_an_identity_without_a_size_takes_the_shape_that_is_asked_for(draw):
    _, names = draw("X:44")
    assert read_text("2*I", names, shape=(4, 4)).view.shape == (4, 4)


def test_an_input_wins_over_a_function_and_a_module(draw):
    values, names = draw("sum:4 jnp:4")
    found = evaluate(views.dense(read_text("sum*jnp", names).view), values)
    np.testing.assert_allclose(found, values["sum"] * values["jnp"])
    with pytest.raises(ParseError, match=r"sum is an array: write sum\*\(...\) for a product"):
        read_text("sum(jnp)", names)
