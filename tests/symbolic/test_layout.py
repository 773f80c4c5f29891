"""What a person reads, and that what they read is the expression."""

import ast
import operator
import re
import time
from types import MappingProxyType

import mpmath
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diffkit.core.errors import UnsupportedFunction, UsageError
from diffkit.symbolic.layout import layout, show, source
from diffkit.symbolic.symbols import symbol
from diffkit.symbolic.vocabulary import FUNCTIONS

a, b, c, w, x, y = map(symbol, ("a", "b", "c", "w", "x", "y"))
mu, sigma = symbol("mu"), symbol("sigma")
i, n = symbol("i", integer=True), symbol("n", integer=True)
f = sp.Function("f")
sigmoid = FUNCTIONS["sigmoid"]
third = sp.Rational(1, 3)

READS = (
    (a * x**2 + b * x + c, "a x² + b x + c"),
    (1 - x**2, "1 − x²"),
    (-(x**2) + 3 * x + 1, "1 + 3 x − x²"),
    (x - y, "x − y"),
    (-a - b, "−a − b"),
    (y - w * x - b, "y − w x − b"),
    (sum(symbol(f"w_{k}") * symbol(f"x_{k}") for k in (10, 2)), "w₂ x₂ + w₁₀ x₁₀"),
    (-x / 2, "−x/2"),
    (x / (2 * y), "x/(2 y)"),
    (2 * x * y / (a * (x + 1)), "2 x y/(a (x + 1))"),
    ((x - 1) / (x + 1), "(x − 1)/(x + 1)"),
    (x ** sp.Rational(-3, 2), "1/x^(3/2)"),
    ((3 * x**2 - x + 1) ** third, "(3 x² − x + 1)^(1/3)"),
    (sp.sqrt(x**2 + 1), "√(x² + 1)"),
    (1 / sp.sqrt(2 * sp.pi), "1/√(2 π)"),
    (sp.sqrt(2 / sp.pi) * x, "√(2/π) x"),
    (sp.erf(x / sp.sqrt(2)), "erf(x/√2)"),
    (sp.exp(-((x - mu) ** 2) / (2 * sigma**2)), "e^(−(x − μ)²/(2 σ²))"),
    (1 / (1 + sp.exp(-x)), "1/(1 + e^(−x))"),
    (sigmoid(x) * (1 - sigmoid(x)), "σ(x) (1 − σ(x))"),
    (sigma * sigmoid(x), "σ sigmoid(x)"),
    (symbol("e") * sp.exp(x), "e exp(x)"),
    (sp.exp(sp.exp(sp.exp(x))), "exp(e^(e^x))"),
    (x * (1 - x) * sp.exp(-x) * sp.sin(x), "x (1 − x) e^(−x) sin(x)"),
    (1 - sp.tanh(x) ** 2, "1 − tanh²(x)"),
    (sp.Max(x, 0) ** 2, "(max(0, x))²"),
    (sp.Abs(x + sp.Abs(y)), "abs(x + |y|)"),
    (FUNCTIONS["leaky_relu"](x), "leaky_relu(x)"),
    (FUNCTIONS["leaky_relu"](x, third), "leaky_relu(x, 1/3)"),
    (FUNCTIONS["log2"](x), "log₂(x)"),
    (FUNCTIONS["normal_cdf"](x), "Φ(x)"),
    (sp.loggamma(x) + sp.digamma(x), "log(Γ(x)) + ψ(x)"),
    (1.0 * x, "x"),
    (sp.Float("0.044715") * x**3, "0.044715 x³"),
    (1e-7 * x + 2.5e10, "10⁻⁷ x + 2.5·10¹⁰"),
    (x**n, "xⁿ"),
    (n * x ** (n - 1), "n x^(n − 1)"),
    (3 * 2**x, "3·2^x"),
    (sp.Mul(2, 3, x, evaluate=False), "2·3 x"),
    (sp.Mul(-1, a + b, evaluate=False), "−(a + b)"),
    (sp.Add(-y, x, x, evaluate=False), "x + x − y"),
    (sp.Piecewise((x, x > 0), (a * (sp.exp(x) - 1), True)), "{x if x > 0; a (e^x − 1) otherwise}"),
    (sp.Sum((x - symbol("x_i")) ** 2, (i, 1, n)) / n, "1/n Σ_{i=1}^n (x − xᵢ)²"),
    (sp.Product(x - i, (i, 1, n)), "Π_{i=1}^n (x − i)"),
    (sp.Integral(sp.exp(-(x**2)), (x, -sp.oo, sp.oo)), "∫_{−∞}^∞ e^(−x²) dx"),
    (sp.Derivative(x**2, x), "d/dx (x²)"),
    (sp.Derivative(f(x, y), x, (y, 2)), "∂³/∂x∂y² f(x, y)"),
    (f(x**2).diff(x), "2 x f′(x²)"),
    (sp.And(x > 0, sp.Or(y < 1, sp.Ne(x, y))), "x > 0 and (y < 1 or x ≠ y)"),
    (sp.Eq(y, x**2), "y = x²"),
    (sp.Matrix([[x, 1], [0, y]]), "[x, 1; 0, y]"),
    (sp.Lambda(x, x**2), "x ↦ x²"),
    (sp.floor(x) * sp.Heaviside(y), "Heaviside(y) ⌊x⌋"),
    (symbol("W^{(l)}_{ij}") ** 2, "(Wᵢⱼ⁽ˡ⁾)²"),
    (sp.I * sp.E + sp.EulerGamma - sp.oo * sp.I, None),
)


@pytest.mark.parametrize(("expr", "text"), [row for row in READS if row[1]], ids=lambda v: str(v))
def test_text_is_what_a_textbook_prints(expr, text):
    assert show(expr) == text


@pytest.mark.parametrize("expr", [row[0] for row in READS], ids=str)
@pytest.mark.parametrize("style", ["text", "latex", "typst", "mathml"])
def test_every_style_writes_every_expression(expr, style):
    assert show(expr, style)


def test_typst_compiles_what_the_layouts_say():
    typst = pytest.importorskip("typst")
    page = "\n\n".join(f"$ {show(expr, 'typst')} $" for expr, _ in READS)
    assert typst.compile(page.encode(), format="pdf").startswith(b"%PDF")


def test_latex_keeps_two_dimensions():
    density = sp.exp(-((x - mu) ** 2) / (2 * sigma**2)) / sp.sqrt(2 * sp.pi)
    assert show(density, "latex") == (r"\frac{e^{-(x - \mu)^{2} / (2 \sigma^{2})}}{\sqrt{2 \pi}}")


@pytest.mark.parametrize("write", [show, source])
def test_a_class_without_a_rule_is_named_never_guessed(write):
    with pytest.raises(UnsupportedFunction, match="airyai"):
        write(1 + 2 * sp.airyai(x))


def test_a_function_made_by_the_user_of_sympy_is_not_taken_for_a_known_one():
    class sigmoid_like(sp.Function):
        pass

    with pytest.raises(UnsupportedFunction, match="sigmoid_like"):
        show(sigmoid_like(x))


@pytest.mark.parametrize("expr", [sp.I * x, sp.zoo, f(x), sp.Lambda(x, x), sp.Matrix([x])])
def test_source_refuses_what_formula_text_cannot_say(expr):
    with pytest.raises(UnsupportedFunction):
        source(expr)


def test_source_refuses_a_symbol_it_cannot_spell():
    with pytest.raises(UsageError, match="rename it"):
        source(symbol("W^{(l)}") + 1)


def test_source_is_readable():
    assert source(-x / (2 * y)) == "-x/(2*y)"
    assert source(x - (a + b) * c) == "x - c*(a + b)"
    assert source(sp.Piecewise((x, x > 0), (0, True))) == "Piecewise((x, x > 0), (0, True))"
    assert source(sp.Derivative(x**2, (x, 2))) == "Derivative(x**2, (x, 2))"
    assert source(sp.Sum(i * x, (i, 1, n))) == "Sum(i*x, (i, 1, n))"
    assert source(FUNCTIONS["huber"](x) / 3) == "huber(x)/3"
    assert source(sp.Float("0.1") * x - sp.Float("1e-7")) == "0.1*x - 1e-07"
    assert source(sp.And(x > 0, sp.Or(y < 1, sp.Ne(x, y)))) == "x > 0 and (y < 1 or x != y)"


def test_deep_and_shared_expressions_are_laid_out_in_linear_time():
    deep, shared = x, x
    for k in range(1000):
        deep = sp.Mul(2, sp.Add(deep, 1, evaluate=False), evaluate=False)
        shift = sp.Add(shared, k, evaluate=False)
        shared = sp.Mul(shift, sp.Pow(shared, 2, evaluate=False), evaluate=False)
    start = time.perf_counter()
    assert show(deep).count("(") == 1000
    layout(shared)
    assert time.perf_counter() - start < 10
    for write in (show, source):
        with pytest.raises(UsageError, match="repeats large subexpressions"):
            write(shared)


POINT = {"x": sp.Rational(7, 5), "y": sp.Rational(-3, 4), "w_1": sp.Rational(11, 13)}
_UNARY = (sp.exp, sp.log, sp.sin, sp.tanh, sp.sqrt, sp.Abs, sigmoid, lambda u: u**third)
_BINARY = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    sp.Max,
    lambda u, v: u**v,
    lambda u, v: sp.Mul(u, v, evaluate=False),
    lambda u, v: sp.Add(u, v, evaluate=False),
)


def _apply(function, *args):
    try:
        return function(*args)
    except (ArithmeticError, TypeError, ValueError):  # no value, or complex numbers compared
        return args[0]


EXPRESSIONS = st.recursive(
    st.sampled_from([symbol(name) for name in POINT])
    | st.integers(-3, 4).map(sp.Integer)
    | st.fractions(-2, 3, max_denominator=4).map(lambda q: sp.Rational(q.numerator, q.denominator))
    | st.sampled_from([sp.pi, sp.Float("0.25"), sp.Float("-1.5")]),
    lambda sub: st.builds(_apply, st.sampled_from(_UNARY), sub)
    | st.builds(_apply, st.sampled_from(_BINARY), sub, sub),
    max_leaves=12,
)


def true_value(expr):
    """The value at `POINT` by SymPy alone; None where it is undefined or out of reach."""
    called = {type(call).__name__ for call in expr.atoms(sp.Function)}
    if expr.has(sp.I, sp.nan, sp.zoo, sp.oo) or not called <= _CALLS.keys():
        return None
    exact = expr.replace(lambda node: node.is_Float, lambda node: sp.Rational(float(node)))
    plain = exact.replace(sigmoid, lambda u: 1 / (1 + sp.exp(-u)))
    try:
        at_point = plain.xreplace({symbol(name): value for name, value in POINT.items()})
    except ValueError:  # the maximum of complex numbers
        return None
    value = sp.N(at_point, 30)
    if not value.is_number or value.has(sp.nan, sp.zoo, sp.oo):
        return None
    value = mpmath.mpmathify(value)
    is_moderate = mpmath.isfinite(value) and (value == 0 or 1e-60 < abs(value) < 1e60)
    return value if is_moderate else None


_CALLS = {
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "sign": mpmath.sign,
    "tanh": mpmath.tanh,
    "sqrt": mpmath.sqrt,
    "Abs": abs,
    "sigmoid": lambda u: 1 / (1 + mpmath.exp(-u)),
    "Max": lambda *values: max(values, key=lambda value: mpmath.re(value)),
}
_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def read_value(text):
    """The value of formula text at `POINT`, by Python's own grammar."""

    def value(node):
        match node:
            case ast.Constant():
                return mpmath.mpf(ast.get_source_segment(text, node))
            case ast.Name(id="pi"):
                return +mpmath.pi
            case ast.Name(id="E"):
                return +mpmath.e
            case ast.Name():
                return mpmath.mpf(POINT[node.id].p) / POINT[node.id].q
            case ast.UnaryOp(op=ast.USub()):
                return -value(node.operand)
            case ast.BinOp():
                return _OPERATIONS[type(node.op)](value(node.left), value(node.right))
            case ast.Call():
                return _CALLS[node.func.id](*map(value, node.args))
        raise AssertionError(ast.dump(node))

    return value(ast.parse(text, mode="eval").body)


class TextReader:
    """Values of the text style at `POINT`, by the reading rules in diffkit/typeset/text.py.

    A space or a dot between factors binds more weakly than `/`, which binds more weakly than a
    power; a name directly before a bracket is a function, with a space between it is a factor.
    """

    TOKENS = re.compile(r"[−+/^(),|√]| - | |·|\d+(?:\.\d+)?|w₁|[A-Za-zα-ωΑ-Ω]+|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
    RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    NAMES = MappingProxyType({"x": "x", "y": "y", "w₁": "w_1"})
    FUNCTIONS = MappingProxyType(
        {**_CALLS, "max": _CALLS["Max"], "σ": _CALLS["sigmoid"], "abs": abs}
    )

    def __init__(self, text):
        spaced = text.replace(" + ", "+").replace(" − ", "−").replace(", ", ",")
        self.tokens = [*self.TOKENS.findall(spaced), "end"]
        assert "".join(self.tokens[:-1]) == spaced, spaced

    def takes(self, token):
        if self.tokens[0] == token:
            return self.tokens.pop(0)
        return None

    def expect(self, token):
        assert self.takes(token), (token, self.tokens)

    def read(self):
        value = self.sum()
        self.expect("end")
        return value

    def sum(self):
        value = -self.product() if self.takes("−") else self.product()
        while self.tokens[0] in ("+", "−"):
            value = value + self.product() if self.takes("+") else value + self.negative()
        return value

    def negative(self):
        self.expect("−")
        return -self.product()

    def product(self):
        value = self.quotient()
        while self.tokens[0] in (" ", "·"):
            self.tokens.pop(0)
            value = value * self.quotient()
        return value

    def quotient(self):
        value = self.power()
        while self.takes("/"):
            value = value / self.power()
        return value

    def power(self):
        if self.takes("√"):
            return mpmath.sqrt(self.atom())
        base = self.atom()
        if self.takes("^"):
            return mpmath.power(base, self.atom())
        return mpmath.power(base, self.raised()) if self.is_raised() else base

    def is_raised(self):
        return self.tokens[0][0] in "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"

    def raised(self):
        return int(self.tokens.pop(0).translate(self.RAISED)) if self.is_raised() else 1

    def atom(self):
        token = self.tokens.pop(0)
        if token in "(|":
            value = self.sum()
            self.expect({"(": ")", "|": "|"}[token])
            return abs(value) if token == "|" else value
        if token[0].isdigit():
            return mpmath.mpf(token)
        if token in self.FUNCTIONS:
            return self.call(token)
        if token in ("e", "π"):
            return +mpmath.e if token == "e" else +mpmath.pi
        return read_value(self.NAMES[token])

    def call(self, name):
        exponent = self.raised()
        self.expect("(")
        arguments = [self.sum()]
        while self.takes(","):
            arguments.append(self.sum())
        self.expect(")")
        return mpmath.power(self.FUNCTIONS[name](*arguments), exponent)


@settings(max_examples=300)
@given(EXPRESSIONS)
def test_the_text_a_person_reads_has_the_value_of_the_expression(expr):
    expected = true_value(expr)
    assume(expected is not None)
    # Floats show eight digits: longer ones are rounded on purpose.
    assume(all(float(f"{float(v):.8g}") == float(v) for v in expr.atoms(sp.Float)))
    with mpmath.workdps(30):
        read = TextReader(show(expr)).read()
        assert abs(read - expected) <= 1e-12 * (1 + abs(expected)), show(expr)


def test_the_reader_tells_factors_from_functions_and_products_from_denominators():
    """The control of the test above: wrong writings of an expression have another value."""
    with mpmath.workdps(30):
        value = lambda text: TextReader(text).read()
        assert abs(value("1/2 x") - 0.7) < 1e-12
        assert abs(value("1/(2 x)") - 1 / 2.8) < 1e-12
        assert abs(value("x − (y − 1)") - value("x − y − 1")) > 1
        with pytest.raises(KeyError):
            value("q(x)")


@settings(max_examples=300)
@given(EXPRESSIONS)
def test_source_text_has_the_value_of_the_expression(expr):
    expected = true_value(expr)
    assume(expected is not None)
    with mpmath.workdps(30):
        assert abs(read_value(source(expr)) - expected) <= 1e-12 * (1 + abs(expected)), source(expr)


def test_a_lost_parenthesis_changes_the_value():
    """The control of the test above."""
    expr = x * (y - 1)
    wrong = source(expr).replace("(", "").replace(")", "")
    with mpmath.workdps(30):
        assert abs(read_value(source(expr)) - true_value(expr)) < 1e-12
        assert abs(read_value(wrong) - true_value(expr)) > 0.1
