"""What a LaTeX reader refuses, leaves open and says about the meaning it took."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffkit.core.errors import ParseError, UsageError
from diffkit.tensor import views
from diffkit.tensor.evaluate import evaluate
from diffkit.tensor.nodes import var
from diffkit.tensor.notation.matrix_latex import read_latex
from diffkit.tensor.notation.reading import bind, candidates

REFUSED = {
    "": "the formula is empty; write one such as A^\\top x",
    "x" * 10_001: "the text has 10001 characters; a formula has at most 10000: split it",
    "(" * 60 + "x": "more than 50 levels are nested; name a part and use its name",
    r"\left(x": "this ( is never closed; write ) at its end",
    "x)": "this ) closes nothing; delete it or open it",
    r"\frac{x}": "an argument in braces is missing here",
    r"\lVert x": "this \\lVert is never closed; write \\rVert at its end",
    r"\begin{pmatrix}A": "\\begin{pmatrix} is never ended",
    r"\input{secrets}": "\\input: a formula reads no files",
    r"\def\x{x}": "\\def: a formula defines nothing",
    r"\write18{ls}": "the command \\write is not read; write it with known ones",
    "__import__('os')": "a number, a letter or ( must come before '_'; complete or delete it",
    r"\mathbb{E}[x]": "\\mathbb{E} is an expectation, which a formula of arrays lacks",
    r"\frac{dy}{dx}": "a derivative only stands on the left of =; give its value",
    r"\mathrm{tr}(A\,dA)": "a differential is not read; give the gradient, or write d\\,x",
    r"\mathrm{d}x": "a differential is not read; give the gradient",
    r"\nabla f": "\\nabla: a gradient only stands on the left of =; give its value",
    r"\sum_{i\in S}x_i": "a sum runs over whole axes: \\sum_{i=1}^n",
    r"\sum_{i=2}^n x_i": "a sum runs over whole axes: it begins at i=1",
    r"\sum_{i=1}^3 x_i": "axes of length 3 and 4 do not match",
    r"\sum_i\sum_i x_i": "i is an index already; call this index otherwise",
    r"x_i+\sum_i x_i": (
        "the index i is summed here and free elsewhere; put the terms of the sum in parentheses "
        "or call one of them otherwise"
    ),
    r"\det A B": "put the argument of det in parentheses: its end is unclear",
    r"\log x(1-x)": "put the argument of log in parentheses: its end is unclear",
    "xy": (
        "two columns stand beside each other; write x^\\top y for a number, xy^\\top for a "
        "matrix, x\\odot y for the product of entries"
    ),
    "AX": "axes of length 4 and 6 do not match",
    "X^2": "only a square matrix has powers; write X^{\\odot 2} for its entries",
    "A^{1/2}": "the power of a matrix is a whole number; write X^{\\odot 1/2} for entries",
    "1/2s": "write \\frac12 x or 1/(2x): 1/2x can mean both",
    "x/A": "a matrix has no quotient; write X^{-1}, or \\oslash for entries",
    r"x\times y": (
        "between arrays this sign has several meanings; write AB, x\\odot y or x^\\top y"
    ),
    "A_{ij}^{-1}": "write (X^{-1})_{ij} or 1/X_{ij}: this can mean both",
    "x^2^2": "two superscripts on one letter; write (x^2)^2",
    "x_{1:2}": "slices are read in text, as x[0:2]",
    "x_0": "entries count from 1 in LaTeX; x_1 is the first",
    "A_{i+1}": (
        "an index is a letter or a number, such as x_i, X_{ij} or X_{1,2}; shifted indices are "
        "not read"
    ),
    "H_{ij}=A_{ik}": (
        "the index k is on the right side only; write \\sum_k or name it on the left"
    ),
    "H_{ij}=A_{ik}A_{kj}A_{kk}": "the index k occurs thrice; write \\sum_k",
    "x=y=1": "one equation has one =; give the right side that is claimed",
    "x, A=2": "A is an input; define a new name",
    "R, R=R": "R is defined by itself; give its value",
    "x>0": "a condition is no value; write \\mathbf 1[x > 0]",
    "I": (
        "the size of I does not follow from the formula; give it a size, such as I_n or "
        "\\mathbf{1}_n"
    ),
    r"\sin^{-1}x": "write \\arcsin or 1/\\sin(...): a raised -1 can mean both",
    r"\sqrt A": ("the root of a matrix is not read; write X^{\\odot 1/2} for its entries"),
    "x\u200by": "the invisible character U+200B is not part of a formula: delete it",
    "\N{CYRILLIC SMALL LETTER HA}": (
        "the letter '\N{CYRILLIC SMALL LETTER HA}' (cyrillic small letter ha) is not read; use "
        "Latin or Greek letters"
    ),
}


@pytest.mark.parametrize("latex", REFUSED, ids=lambda text: text[:30])
def test_what_is_not_read_is_refused_with_its_remedy(latex, draw):
    _, names = draw("A:44 B:43 X:64 x:4 y:4 s:")
    with pytest.raises(ParseError) as caught:
        read_latex(latex, names)
    assert caught.value.reason == REFUSED[latex]
    assert str(caught.value).splitlines()[-1].strip() == "^"


PIECES = (
    r"x y s A B X i j 1 2 0.5 n N + - = , . ( ) [ ] { } _ ^ ' | & \\ \top"
    r" \odot \otimes \cdot \frac "
    r"\sum \sqrt \exp \log \det \max \hat \bar \lVert \rVert \left( \right) \mathbf1 I e \delta "
    r"\sigma \mathrm{tr} \mathrm{diag} \mathrm{softmax} \text{where} \begin{pmatrix} \end{pmatrix} "
    r"\langle \rangle / < \le ^{-1} ^\top _i _{ij} _{i=1} ^n \partial \pi : || \mathrm{mat}"
).split()


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_any_pieces_are_read_or_refused_on_purpose(pieces):
    names = {n: views.view(var(n, s)) for n, s in {"x": (4,), "s": (), "A": (4, 4)}.items()}
    with contextlib.suppress(UsageError):
        read_latex(" ".join(pieces), names)


RANKS = {"A": 2, "C": 2, "x": 1, "y": 1}


@st.composite
def index_products(draw_one):
    """A product of two or three entries with letters, and which of them are summed."""
    names = draw_one(st.lists(st.sampled_from(sorted(RANKS)), min_size=2, max_size=3))
    letters = [
        "".join(draw_one(st.sampled_from("ijk")) for _ in range(RANKS[name])) for name in names
    ]
    used = sorted(set("".join(letters)))
    summed = [letter for letter in used if draw_one(st.booleans())]
    return names, letters, summed


@settings(max_examples=150)
@given(index_products())
def test_a_product_of_entries_is_an_einsum(product):
    names, letters, summed = product
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(4,) * rank) for name, rank in RANKS.items()}
    free = "".join(sorted(set("".join(letters)) - set(summed)))
    sums = f"\\sum_{{{','.join(summed)}}}" if summed else ""
    text = sums + " ".join(f"{n}_{{{ls}}}" for n, ls in zip(names, letters, strict=True))
    arrays = {name: views.view(var(name, x.shape)) for name, x in values.items()}
    reading = read_latex(text, arrays)
    expected = np.einsum(f"{','.join(letters)}->{free}", *(values[name] for name in names))
    assert reading.indices == tuple(free)
    found = evaluate(views.dense(reading.view), values)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_sum_fixes_the_length_of_its_end(draw):
    _, names = draw("X:64 w:4 y:6")
    reading = read_latex(r"\frac1n\sum_{i=1}^n (x_i^\top w-y_i)^2", names)
    assert (reading.fixed, reading.sizes) == ({"n": 6}, frozenset())
    with pytest.raises(UsageError, match="n is 6 by the formula itself; 7 was given"):
        bind(reading, {"n": 7})


def test_an_open_size_stays_a_symbol_until_it_is_bound(draw):
    values, names = draw("X:64 w:4")
    reading = read_latex(r"\frac{2}{nd}X^\top Xw", names)
    assert sorted(s.name for s in reading.sizes) == ["d", "n"]
    assert all(s.is_integer and s.is_positive for s in reading.sizes)
    with pytest.raises(UsageError, match="d, n has no value"):
        bind(reading, {})
    X, w = values.values()
    found = evaluate(views.dense(bind(reading, {"n": 6, "d": 4})), values)
    np.testing.assert_allclose(found, X.T @ X @ w / 12)
    open_value = evaluate(views.dense(reading.view), values, {"n": 6, "d": 4})
    np.testing.assert_allclose(open_value, found)
    assert candidates(names) == [(6, "axis 0 of X"), (4, "axis 0 of w, axis 1 of X")]


def _exponential(x):
    total = term = np.eye(len(x))
    for k in range(1, 60):
        term = term @ x / k
        total = total + term
    return total


def test_a_sign_with_two_meanings_says_so_and_takes_the_other(draw):
    values, names = draw("A:44")
    reading = read_latex(r"\exp(A)", names)
    assert reading.choices == {"exp": ("matrix", "entries")}
    other = read_latex(r"\exp(A)", names, choices={"exp": "entries"})
    np.testing.assert_allclose(evaluate(reading.view.node, values), _exponential(values["A"]))
    np.testing.assert_allclose(evaluate(other.view.node, values), np.exp(values["A"]))
    bars = read_latex("|A|", names)
    assert bars.choices == {"bars": ("determinant", "entries")}
    assert bars.view.shape == ()
    assert read_latex("|A|", names, choices={"bars": "entries"}).view.shape == (4, 4)


@pytest.mark.parametrize(
    ("latex", "note"),
    [
        ("x^2", "a power of a vector is taken entry by entry"),
        ("X+x", "a vector added to a matrix is added to each of its rows"),
        (r"\lVert X\rVert_1", "the matrix norm with index 1 is the sum of moduli of entries"),
        (r"\mathrm{vec}(X)", "vec and mat go row by row"),
        (r"X'X", "the prime of an array is its transpose"),
        (r"\pi x", "pi is the number 3.14159...; no array is called so"),
    ],
)
def test_a_reading_that_is_not_the_only_one_is_noted(latex, note, draw):
    _, names = draw("X:64 x:4")
    assert note in read_latex(latex, names).notes


def test_an_input_wins_over_a_function_of_its_name(draw):
    values, names = draw("sigma:+ x:4")
    found = evaluate(read_latex(r"\sigma(x)", names).view.node, values)
    np.testing.assert_allclose(found, values["sigma"] * values["x"])


def test_letters_are_read_one_by_one_unless_they_mean_nothing(draw):
    values, names = draw("th:4 A:44")
    found = evaluate(read_latex(r"Ath", names).view.node, values)
    np.testing.assert_allclose(found, values["A"] @ values["th"])
