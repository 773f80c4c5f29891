"""LaTeX formulas of numbers, as lectures print them, become SymPy expressions or are refused."""

import pytest
import sympy as sp

from diffkit.core.errors import ParseError, UnknownNameError
from diffkit.tensor.notation.matrix_latex import read_scalar_latex

X, Y, N = (sp.Symbol(name, real=True) for name in ("x", "y_n", "a_ln"))


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (
            r"\frac{1}{3}(3x^2 - x + 1)^{-\frac{2}{3}}(6x - 1)",
            (6 * X - 1) / (3 * (3 * X**2 - X + 1) ** sp.Rational(2, 3)),
        ),
        (r"g(z) = (1 + \exp(-x))^{-1}", 1 / (1 + sp.exp(-X))),
        (r"\frac{e^x - e^{-x}}{e^x + e^{-x}}", (sp.exp(X) - sp.exp(-X)) / (sp.exp(X) + sp.exp(-X))),
        (r"\text{ReLU}(x) = \max\{0, x\}", sp.Max(0, X)),
        (r"\frac{\partial L_n}{\partial a_{ln}} = -(y_n - a_{ln})", N - Y),
        (
            r"\begin{cases} 1 & \text{when } x > 0\\ 0 & \text{otherwise} \end{cases}",
            sp.Piecewise((1, X > 0), (0, True)),
        ),
        (r"0 \times 0 + 1 \times 1 + 3 \times 2 + 4 \times 3", sp.Integer(19)),
        (r"\sin^2 x + \sqrt[3]{8}\,|x|", sp.sin(X) ** 2 + 2 * sp.Abs(X)),
        (
            r"\sum_{i=1}^{3} i^2 x",
            sp.Sum(sp.Symbol("i", integer=True) ** 2 * X, (sp.Symbol("i", integer=True), 1, 3)),
        ),
    ],
)
def test_a_lecture_formula_of_numbers_becomes_sympy(latex, expected):
    found = read_scalar_latex(latex)
    assert found == expected or sp.simplify(found - expected) == 0


@pytest.mark.parametrize(
    ("latex", "reason"),
    [
        (r"g(z)(1-g(z))", "no function is called g; write g\\cdot x for a product"),
        (r"w^T x", "a transpose is read only in formulas of arrays"),
        (r"\sum_{i=1}^{n} x_i", "entries x_i are read only in formulas of arrays; write the terms"),
        (
            r"\frac{dy}{du}\frac{du}{dx}",
            "a derivative only stands on the left of =; give its value",
        ),
        (r"\sigma'(x)", "sigmoid is no function of numbers here; give its value"),
    ],
)
def test_a_formula_of_numbers_that_would_be_misread_is_refused(latex, reason):
    with pytest.raises(ParseError) as caught:
        read_scalar_latex(latex)
    assert caught.value.reason == reason


def test_a_symbol_that_is_not_known_is_refused_in_a_formula_of_numbers():
    with pytest.raises(UnknownNameError, match="no symbol is called 'y'"):
        read_scalar_latex("x+y", known=["x"])
