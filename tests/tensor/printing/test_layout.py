"""Printed formulas, as a researcher would write them; what they look like is in layout.golden.

The golden strings are read and judged by people: a change there is a change of notation.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from diffkit.core.errors import UsageError
from diffkit.symbolic.vocabulary import FUNCTIONS
from diffkit.tensor import build
from diffkit.tensor import views as v
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import Node, Var, opaque, topological, var
from diffkit.tensor.printing.layout import differential, layout, show
from diffkit.tensor.sweep import gradient, hessian, jacobian
from diffkit.tensor.views import View

HALF = sp.Rational(1, 2)
STYLES = ("text", "latex", "typst", "mathml")


def array(name: str, *shape: int, facts: tuple[str, ...] = ()) -> View:
    return v.view(var(name, shape, facts=frozenset(facts)))


A, B, C = array("A", 3, 4), array("B", 4, 5), array("C", 5, 3)
M, S = array("M", 3, 3), array("S", 4, 4)
P, Sigma = array("P", 4, 4, facts=("spd",)), array("Sigma", 4, 4, facts=("spd",))
X, Y, W = array("X", 6, 4), array("Y", 6, 3), array("W", 4, 3)
W1, W2, b1, b2 = array("W1", 4, 7), array("W2", 7, 3), array("b1", 7), array("b2", 3)
U, V, D = array("U", 6, 2), array("V", 5, 2), array("D", 6, 5)
Q, K, G, H = array("Q", 5, 4), array("K", 6, 4), array("G", 5, 3), array("H", 6, 3)
a, y, d, z = array("a", 3), array("y", 6), array("d", 6), array("z", 5)
b, w, x, mu = (array(name, 4) for name in ("b", "w", "x", "mu"))
labels = array("y", 5, facts=("simplex",))
one_hot = array("Y", 6, 3, facts=("one_hot",))
epsilon, lam, s = array("epsilon"), array("lambda"), array("s")


def minus(left: View, right: View) -> View:
    return v.add(left, right, -1)


def at(*factors: View) -> View:
    product = factors[0]
    for factor in factors[1:]:
        product = v.matmul(product, factor)
    return product


def t(matrix: View) -> View:
    return v.matrix_transpose(matrix)


def of(function: str, argument: View) -> View:
    return v.elementwise(FUNCTIONS[function], argument)


def tanh(argument: View) -> View:
    return v.elementwise(sp.tanh, argument)


def exp(argument: View) -> View:
    return v.elementwise(sp.exp, argument)


def log(argument: View) -> View:
    return v.elementwise(sp.log, argument)


def square(argument: View) -> View:
    return v.power(argument, 2)


def root(argument: View) -> View:
    return v.power(argument, HALF)


def logsumexp(u: View) -> View:
    return v.reduce("logsumexp", u, [-1])


def log_softmax(u: View) -> View:
    return minus(u, v.expand(logsumexp(u), u.rank - 1))


def softmax(u: View) -> View:
    return exp(log_softmax(u))


def half(argument: View) -> View:
    return v.scale(HALF, argument)


def inv(matrix: View) -> View:
    return v.matrix_inverse(matrix)


def logdet(matrix: View) -> View:
    return v.determinant(matrix, "logabsdet")


def grad(f: View, variable: View) -> Node:
    (found,) = gradient(v.dense(f), [of_view(variable)])
    return found


def hess(f: View, variable: View) -> Node:
    return hessian(v.dense(f), of_view(variable))


def jac(f: View, variable: View) -> Node:
    return jacobian(v.dense(f), of_view(variable))


def of_view(view: View) -> Var:
    assert isinstance(view.node, Var)
    return view.node


residual = minus(at(X, w), y)
least_squares = v.mean(square(residual))
matrix_least_squares = half(v.total(square(minus(at(X, W), Y))))
ridge = v.add(half(v.total(square(residual))), half(v.multiply(lam, v.total(square(w)))))
logits = at(X, w)
logistic = v.mean(minus(of("softplus", logits), v.multiply(y, logits)))
cross_entropy = v.scale(-1, v.total(v.multiply(labels, log_softmax(z))))
class_scores = v.multiply(one_hot, log_softmax(at(X, W)))
batch_cross_entropy = v.scale(sp.Rational(-1, 6), v.total(class_scores))
hidden = tanh(v.add(at(X, W1), b1))
mlp = v.scale(sp.Rational(1, 12), v.total(square(minus(v.add(at(hidden, W2), b2), Y))))
second = tanh(at(hidden, array("W2", 7, 5)))
deep = v.mean(square(minus(at(second, array("W3", 5, 3)), Y)))
relu_mlp = v.mean(square(minus(at(of("relu", v.add(at(X, W1), b1)), W2), Y)))
sigmoid_mlp = v.scale(
    sp.Rational(-1, 6),
    v.total(v.multiply(one_hot, log_softmax(at(of("sigmoid", at(X, W1)), W2)))),
)
centred = minus(x, v.mean(x))
centred_rows = minus(X, v.mean(X, [0]))
margins = v.elementwise(lambda u: sp.Max(0, 1 - u), v.multiply(y, at(X, w)))
gram = v.add(at(t(X), X), v.multiply(lam, v.eye(4)))
matrices = array("B", 2, 3, 3)
stack = array("B", 2, 3, 4)
spectrum = v.part_of_matrix("eigenvalues", P, [4])
singular = v.part_of_matrix("singular_values", X, [4])
distance = v.total(square(minus(x, w)))
unit_rows = v.divide(X, v.expand(root(v.total(square(X), [1])), 1))
piecewise = v.choose(v.elementwise(lambda u: u > 0, x), square(x), v.scale(2, x))
rewarded = v.total(v.multiply(array("a", 5), log_softmax(z)))
layer_norm = v.divide(centred, root(v.add(v.mean(square(centred)), epsilon)))
rms_norm = v.divide(x, root(v.add(v.mean(square(x)), epsilon)))
gaussian = v.add(half(at(minus(x, mu), inv(Sigma), minus(x, mu))), half(logdet(Sigma)))
factorisation = half(v.total(square(minus(at(U, t(V)), D))))
attention = at(softmax(half(at(Q, t(K)))), H)
attended = v.total(v.multiply(G, attention))
rayleigh = v.divide(at(x, P, x), v.total(square(x)))
norm = root(v.total(square(x)))
cosine = v.divide(at(x, b), root(v.multiply(v.total(square(x)), v.total(square(b)))))
n = sp.Symbol("n", positive=True, integer=True)


def golden() -> dict[str, tuple[str, str]]:
    """What stands in layout.golden: name -> text and LaTeX."""
    lines = Path(__file__).with_name("layout.golden").read_text(encoding="utf-8").splitlines()
    found: dict[str, tuple[str, str]] = {}
    for k, line in enumerate(lines):
        if line and line[0] not in "# ":
            found[line] = (lines[k + 1].strip(), lines[k + 2].strip())
    return found


FORMULAS: dict[str, Callable[[], Node]] = {
    "trace of a product": lambda: v.dense(v.trace(at(A, B, C))),
    "its gradient": lambda: grad(v.trace(at(A, B, C)), B),
    "bilinear form": lambda: v.dense(at(a, A, b)),
    "its gradient by the matrix": lambda: grad(at(a, A, b), A),
    "quadratic form": lambda: v.dense(at(x, S, x)),
    "gradient of a quadratic form": lambda: grad(at(x, S, x), x),
    "Hessian of a quadratic form": lambda: hess(at(x, S, x), x),
    "gradient with a symmetric matrix": lambda: grad(at(x, P, x), x),
    "gradient of tr X'SX": lambda: grad(v.trace(at(t(B), S, B)), B),
    "Frobenius product": lambda: v.dense(v.total(v.multiply(A, array("F", 3, 4)))),
    "entrywise product": lambda: v.dense(v.multiply(A, array("F", 3, 4))),
    "determinant": lambda: v.dense(v.determinant(M)),
    "gradient of the determinant": lambda: grad(v.determinant(M), M),
    "log determinant": lambda: v.dense(logdet(M)),
    "its gradient by M": lambda: grad(logdet(M), M),
    "gradient of log det X'X": lambda: grad(logdet(at(t(X), X)), X),
    "gradient of tr inv X": lambda: grad(v.trace(inv(M)), M),
    "gradient of a'inv(X)a": lambda: grad(at(a, inv(M), a), M),
    "matrix power": lambda: v.dense(v.raise_matrix(M, 5)),
    "matrix exponential": lambda: v.dense(v.function_of_matrix("expm", M)),
    "entrywise exponential": lambda: v.dense(exp(M)),
    "normal equations": lambda: v.dense(at(inv(gram), at(t(X), y))),
    "norm": lambda: v.dense(norm),
    "gradient of the norm": lambda: grad(norm, x),
    "Hessian of the norm": lambda: hess(norm, x),
    "Frobenius norm": lambda: v.dense(root(v.total(square(A)))),
    "sum of absolute values": lambda: v.dense(v.total(v.elementwise(sp.Abs, x))),
    "cosine": lambda: v.dense(cosine),
    "gradient of the cosine": lambda: grad(cosine, x),
    "Rayleigh quotient": lambda: v.dense(rayleigh),
    "gradient of the Rayleigh quotient": lambda: grad(rayleigh, x),
    "least squares": lambda: v.dense(least_squares),
    "gradient of least squares": lambda: grad(least_squares, w),
    "with a symbolic length": lambda: build.scale(6 / n, grad(least_squares, w)),
    "Hessian of least squares": lambda: hess(least_squares, w),
    "matrix least squares": lambda: v.dense(matrix_least_squares),
    "gradient of matrix least squares": lambda: grad(matrix_least_squares, W),
    "weighted least squares": lambda: grad(half(at(residual, v.diag(d), residual)), w),
    "ridge regression": lambda: v.dense(ridge),
    "gradient of ridge regression": lambda: grad(ridge, w),
    "Hessian of ridge regression": lambda: hess(ridge, w),
    "logistic regression": lambda: v.dense(logistic),
    "gradient of logistic regression": lambda: grad(logistic, w),
    "Hessian of logistic regression": lambda: hess(logistic, w),
    "hinge loss": lambda: v.dense(v.mean(margins)),
    "softmax": lambda: v.dense(softmax(z)),
    "Jacobian of softmax": lambda: jac(softmax(z), z),
    "Jacobian of softmax of Ab": lambda: jac(softmax(at(A, b)), b),
    "logsumexp": lambda: v.dense(logsumexp(z)),
    "Hessian of logsumexp": lambda: hess(logsumexp(z), z),
    "cross entropy": lambda: v.dense(cross_entropy),
    "gradient of cross entropy": lambda: grad(cross_entropy, z),
    "Hessian of cross entropy": lambda: hess(cross_entropy, z),
    "cross entropy of a batch": lambda: v.dense(batch_cross_entropy),
    "its gradient by W": lambda: grad(batch_cross_entropy, W),
    "policy gradient": lambda: grad(rewarded, z),
    "MLP by W1": lambda: grad(mlp, W1),
    "three layers by W1": lambda: grad(deep, W1),
    "MLP by b1": lambda: grad(mlp, b1),
    "MLP by W2": lambda: grad(mlp, W2),
    "MLP by b2": lambda: grad(mlp, b2),
    "ReLU network by W1": lambda: grad(relu_mlp, W1),
    "sigmoid classifier by W1": lambda: grad(sigmoid_mlp, W1),
    "layer norm": lambda: v.dense(layer_norm),
    "vector-Jacobian product of layer norm": lambda: grad(at(layer_norm, b), x),
    "vector-Jacobian product of RMS norm": lambda: grad(at(rms_norm, b), x),
    "Gaussian likelihood": lambda: v.dense(gaussian),
    "its gradient by the mean": lambda: grad(gaussian, mu),
    "its gradient by the covariance": lambda: grad(gaussian, Sigma),
    "matrix factorisation": lambda: v.dense(factorisation),
    "its gradient by U": lambda: grad(factorisation, U),
    "its gradient by V": lambda: grad(factorisation, V),
    "attention": lambda: v.dense(attention),
    "attention by Q": lambda: grad(attended, Q),
    "attention by the values": lambda: grad(attended, H),
    "covariance": lambda: v.dense(v.scale(sp.Rational(1, 6), at(t(centred_rows), centred_rows))),
    "gradient of a radial kernel": lambda: grad(exp(v.scale(-HALF, distance)), x),
    "entropy's gradient": lambda: grad(v.scale(-1, v.total(v.multiply(x, log(x)))), x),
    "gradient of a divergence": lambda: grad(v.total(v.multiply(x, minus(log(x), log(b)))), b),
    "Jacobian of tanh(Sx)": lambda: jac(tanh(at(S, x)), x),
    "Hessian of a sum of cubes": lambda: hess(v.total(v.power(x, 3)), x),
    "gradient of silu": lambda: grad(v.total(of("silu", at(X, W))), W),
    "gradient of a maximum": lambda: grad(v.reduce("max", x, [0]), x),
    "gradient of a product of entries": lambda: grad(v.reduce("prod", x, [0]), x),
    "choice": lambda: v.dense(piecewise),
    "identity": lambda: v.dense(v.eye(4)),
    "diagonal matrix": lambda: v.dense(v.diag(x)),
    "diagonal of a matrix": lambda: v.dense(v.diagonal(S)),
    "rows and columns scaled": lambda: v.dense(at(v.diag(a), A, v.diag(b))),
    "rows normalised": lambda: v.dense(unit_rows),
    "lower triangle": lambda: v.dense(v.triangle(S)),
    "sum of all entries": lambda: v.dense(v.total(X)),
    "row sums": lambda: v.dense(v.total(X, [1])),
    "bias": lambda: v.dense(v.add(at(X, W), b2)),
    "one entry": lambda: v.dense(v.index(x, 0, 2)),
    "its gradient by x": lambda: grad(v.index(x, 0, 2), x),
    "slice": lambda: v.dense(v.select_linear(x, 0, 2, 1, 1)),
    "stack": lambda: v.dense(v.concatenate([x, a], 0)),
    "sums up to each entry": lambda: v.dense(v.cumulative_sum(x, 0)),
    "gradient through eigenvalues": lambda: grad(v.total(square(spectrum)), P),
    "nuclear norm's gradient": lambda: grad(v.total(singular), X),
    "variance": lambda: v.dense(v.mean(square(centred))),
}

INDICES: dict[str, Callable[[], Node]] = {
    "product of matrices": lambda: v.dense(at(A, B)),
    "bilinear form": lambda: v.dense(at(a, A, b)),
    "least squares": lambda: v.dense(least_squares),
    "gradient of least squares": lambda: grad(least_squares, w),
    "Hessian of matrix least squares": lambda: hess(matrix_least_squares, W),
    "Hessian of matrix factorisation": lambda: hess(factorisation, U),
    "Jacobian of the inverse": lambda: jac(inv(M), M),
    "Hessian of log det": lambda: hess(logdet(M), M),
    "Jacobian of softmax": lambda: jac(softmax(z), z),
    "softmax": lambda: v.dense(softmax(z)),
    "Hessian of the norm": lambda: hess(norm, x),
    "logsumexp": lambda: v.dense(logsumexp(z)),
    "batch of products": lambda: v.dense(at(array("B", 2, 3, 4), array("C", 2, 4, 5))),
    "batch of inverses": lambda: v.dense(inv(matrices)),
    "gradient through a batch of determinants": lambda: grad(v.total(logdet(matrices)), matrices),
    "batch of softmaxes": lambda: v.dense(softmax(array("Z", 2, 3, 4))),
    "layer norm": lambda: v.dense(layer_norm),
    "lower triangle": lambda: v.dense(v.triangle(S)),
    "choice": lambda: v.dense(piecewise),
    "maximum": lambda: v.dense(v.reduce("max", X, [1])),
    "one entry": lambda: v.dense(v.index(x, 0, 2)),
    "attention": lambda: v.dense(attention),
}

GRADIENTS = [
    (v.trace(at(A, B, C)), B, "df = tr(CA dB)"),
    (least_squares, w, "df = 1/3 (Xw − y)ᵀX dw"),
    (matrix_least_squares, W, "df = tr((XW − Y)ᵀX dW)"),
    (cross_entropy, z, "df = (p − y)ᵀ dz     where p = softmax(z)"),
    (batch_cross_entropy, W, "df = 1/6 tr((P − Y)ᵀX dW)     where P = softmax(XW)"),
    (gaussian, mu, "df = −(x − μ)ᵀΣ⁻¹ dμ"),
    (gaussian, Sigma, "df = 1/2 tr((Σ⁻¹ − v vᵀ) dΣ)     where v = Σ⁻¹(x − μ)"),
    (logdet(M), M, "df = tr(M⁻¹ dM)"),
    (v.determinant(M), M, "df = det(M) tr(M⁻¹ dM)"),
    (factorisation, U, "df = tr(Vᵀ(UVᵀ − D)ᵀ dU)"),
    (rayleigh, x, "df = 2 rᵀ dx       where r = Px/‖x‖² − (xᵀPx) x/‖x‖⁴"),
    (v.multiply(s, s), s, "df = 2 s ds"),
]

DIFFERENTIALS = [
    (inv(M), [M], "d(M⁻¹) = −M⁻¹ dM M⁻¹"),
    (at(A, B), [A, B], "d(AB) = dA B + A dB"),
    (at(t(B), S, B), [B], "d(BᵀSB) = (dB)ᵀSB + BᵀS dB"),
    (v.determinant(M), [M], "d(det(M)) = det(M) tr(M⁻¹ dM)"),
    (v.raise_matrix(M, 3), [M], "d(M³) = dM M² + M dM M + M² dM"),
    (tanh(at(X, W)), [W], "d(tanh(XW)) = (X dW) ⊙ (1 − tanh²(XW))"),
    (softmax(z), [z], "d(softmax(z)) = p ⊙ (dz − (pᵀ dz) 𝟏)     where p = softmax(z)"),
    (norm, [x], "d‖x‖ = xᵀ dx/‖x‖"),
    (at(U, t(V)), [U, V], "d(UVᵀ) = dU Vᵀ + U(dV)ᵀ"),
    (at(tanh(at(X, W1)), W2), [W1], "d(tanh(X W₁) W₂) = ((X dW₁) ⊙ (1 − tanh²(X W₁))) W₂"),
    (at(stack, array("C", 2, 4, 5)), [stack], "(dF)_ijk = Σ_l (dB)_ijl C_ilk"),
]


GOLDEN = golden()


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_written_as_a_researcher_would(name):
    node = FORMULAS[name]()
    assert (show(node), show(node, "latex")) == GOLDEN[name]


@pytest.mark.parametrize("name", INDICES)
def test_a_formula_is_written_with_indices(name):
    node = INDICES[name]()
    written = show(node, form="index"), show(node, "latex", "index")
    assert written == GOLDEN[f"indices: {name}"]


def test_the_golden_file_has_no_formula_that_is_gone():
    assert GOLDEN.keys() == FORMULAS.keys() | {f"indices: {name}" for name in INDICES}


@pytest.mark.parametrize(("f", "variable", "text"), GRADIENTS)
def test_the_differential_of_a_number_shows_its_gradient(f, variable, text):
    found = grad(f, variable)
    assert show(found, form="differential", wrt=of_view(variable)) == text


@pytest.mark.parametrize(("f", "variables", "text"), DIFFERENTIALS)
def test_the_differential_of_a_matrix_needs_no_jacobian(f, variables, text):
    found = differential(v.dense(f), [of_view(each) for each in variables])
    assert found.show() == text


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("form", ["matrix", "index"])
def test_every_style_writes_every_formula_and_always_the_same(style, form):
    for name, formula in FORMULAS.items():
        written = show(formula(), style, form)
        assert written, name
        assert written == show(formula(), style, form), name


@pytest.mark.parametrize("form", ["matrix", "index"])
def test_formulas_written_alike_have_the_same_values(form):
    seen: dict[tuple[str, tuple[int, ...]], Node] = {}
    for name, formula in FORMULAS.items():
        node = formula()
        twin = seen.setdefault((show(node, form=form), node.shape), node)
        if twin is not node:
            values = point(v.add(v.view(node), v.view(twin)).node)
            assert np.allclose(evaluate(node, values), evaluate(twin, values)), name


def point(root: Node) -> dict[str, np.ndarray]:
    """Values of all inputs: those of a simplex add up to one, squares are positive definite."""
    random = np.random.default_rng(0)
    values: dict[str, np.ndarray] = {}
    for node in topological(root):
        if not isinstance(node, Var):
            continue
        entries = random.uniform(0.3, 1.7, node.shape)
        if "spd" in node.facts:
            entries = entries @ entries.T + np.eye(len(entries))
        if node.facts & {"simplex", "one_hot"}:
            entries = entries / entries.sum(-1, keepdims=True)
        values[node.name] = entries
    return values


#: Formulas whose LaTeX is not read back, with the reason.
NOT_READ = {
    "with a symbolic length": "n has no value",
    "rows normalised": "the reader takes whole powers of matrices only",
    "slice": "the reader takes single entries only",
    "stack": "the reader stacks numbers and matrices only",
    "gradient through eigenvalues": "the reader has no eigenvectors",
    "nuclear norm's gradient": "the reader has no singular vectors",
}


@pytest.mark.parametrize("name", [name for name in FORMULAS if name not in NOT_READ])
def test_the_printed_latex_read_back_has_the_same_values(name):
    node = FORMULAS[name]()
    inputs = {each.name: v.view(each) for each in topological(node) if isinstance(each, Var)}
    found = layout(node, sums="ones")
    free = f"T_{{{''.join(found.indices)}}} = " if found.indices else ""
    read_latex = pytest.importorskip("diffkit.tensor.notation.matrix_latex").read_latex
    reading = read_latex(free + found.show("latex"), inputs, shape=node.shape, choices=ENTRYWISE)
    values = point(node)
    assert np.allclose(evaluate(v.dense(reading.view), values), evaluate(node, values))


#: What a sign with two meanings means here: exp(M) acts entry by entry, e^M is the series.
ENTRYWISE = {"exp": "entries"}


def test_four_axes_are_written_with_indices_and_their_letters_are_told():
    found = layout(jac(inv(M), M))
    assert found.indices == ("i", "j", "k", "l")
    assert layout(grad(logdet(M), M)).indices == ()


class Sort:
    """A program that is not read."""

    name = "sort"

    def __str__(self) -> str:
        return self.name


class SortDerivative(Sort):
    name = "D sort"


def test_a_program_that_is_not_read_goes_by_its_name():
    ordered = opaque(Sort(), 0, [x.node], (4,))
    assert show(v.dense(at(S, v.view(ordered)))) == "S sort(x)"
    slope = opaque(SortDerivative(), 1, [x.node, array("T", 2, 3, 4).node], (2, 3, 4))
    assert show(slope) == "D sort₁(x, T)_ijk"


def test_typst_compiles_every_formula():
    typst = pytest.importorskip("typst")
    shown = (show(formula(), "typst") for formula in FORMULAS.values())
    page = "\n\n".join(f"$ {formula} $" for formula in shown)
    assert typst.compile(page.encode(), format="pdf").startswith(b"%PDF")


def test_a_name_that_an_input_has_is_not_given_again():
    logits = array("z", 5)
    p = array("p", 5)
    node = grad(v.add(logsumexp(logits), at(p, logits)), logits)
    assert show(node) == "q + p              where q = softmax(z)"
    assert show(v.dense(v.eye(2))) == "I"
    assert show(v.dense(v.add(v.eye(2), array("I", 2, 2)))) == "I + Id"


def test_a_function_letter_that_an_input_has_gives_way_to_the_word():
    assert show(v.dense(of("sigmoid", array("sigma", 4)))) == "sigmoid(σ)"


def test_a_shared_part_is_written_once_however_often_it_is_used():
    node = at(S, x)
    for _ in range(60):
        node = v.multiply(tanh(v.add(node, at(S, node))), v.add(node, x))
    written = show(v.dense(node))
    assert len(written) < 60 * 120
    assert written == show(v.dense(node))


def test_a_constant_axis_is_laid_out_on_demand():
    total = array("c")
    assert show(total.node, shape=(4,)) == "c 𝟏"
    assert show(total.node) == "c"


def test_a_large_constant_is_no_more_than_mentioned():
    numbers = v.array([sp.Integer(k * k) for k in range(25)], (5, 5))
    assert (
        show(v.dense(at(numbers, z))) == "Cz                 where C = a constant of shape (5, 5)"
    )
    few = v.array([sp.Integer(1), sp.Rational(1, 2), sp.Integer(3)], (3,))
    assert show(v.dense(at(few, a))) == "aᵀ [1, 1/2, 3]"


def test_a_differential_needs_its_variable():
    with pytest.raises(UsageError, match="wrt="):
        show(grad(logdet(M), M), form="differential")
    with pytest.raises(UsageError, match="variables that change"):
        differential(M.node, [])
    with pytest.raises(UsageError, match="shape of its variable"):
        show(grad(logdet(M), M), form="differential", wrt=of_view(x))


@pytest.mark.parametrize(
    ("factors", "text"),
    [
        ("wXXw", "‖Xw‖²"),
        ("wAAw", "‖Aw‖²"),
        ("wSw", "wᵀSw"),
        ("wSSw", "‖Sw‖²"),
        ("wSSSw", "wᵀS³w"),
        ("wAAAAw", "‖AᵀAw‖²"),
    ],
)
def test_a_quadratic_form_is_the_square_of_the_norm_of_its_own_half(factors, text):
    """Built from the left, so that one factor of the product is a product itself."""
    arrays = {
        "w": v.view(var("w", (3,))),
        "X": v.view(var("X", (5, 3))),
        "A": v.view(var("A", (3, 3))),
        "S": v.view(var("S", (3, 3), "", frozenset({"spd"}))),
    }
    result, turned = arrays["w"], True
    for letter in factors[1:]:
        factor = arrays[letter]
        is_turned = turned and factor.rank == 2
        result = v.matmul(result, v.matrix_transpose(factor) if is_turned else factor)
        turned = not turned
    assert show(v.dense(result)) == text
