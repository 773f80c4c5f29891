"""A derivation written by hand: the first wrong line, and why."""

import numpy as np
import pytest

from diffkit.core.errors import DiffkitError, UsageError
from diffkit.verify.check_steps import check_steps

RANDOM = np.random.default_rng(0).normal
X, w, y = RANDOM(size=(5, 3)), RANDOM(size=3), RANDOM(size=5)
SQUARE = r"\lVert Xw - y\rVert_2^2"


def test_a_right_derivation_is_proved():
    verdict = check_steps(
        [
            "Derivative(sigmoid(x), x)",
            "= exp(-x)/(1 + exp(-x))**2",
            "= sigmoid(x)*(1 - sigmoid(x))",
        ]
    )
    assert verdict.status == "proved"
    assert "in 2 steps" in verdict.statement


def test_the_first_wrong_line_is_named_with_its_repair():
    verdict = check_steps(["(x + 1)**2", "= x**2 + 2*x + 1", "= x*(x + 2) + 2", "= 7"])
    assert verdict.status == "refuted"
    assert verdict.statement.startswith("line 3:")
    assert verdict.repair.text == "x*(x + 2) + 1"
    assert verdict.counterexample == {"x": 0}


def test_latex_of_numbers():
    assert check_steps([r"\frac{1}{1+e^{-x}}", r"= \frac{e^x}{1+e^x}"]).status == "proved"
    assert check_steps([r"\frac{1}{1+e^{-x}}", r"= \frac{e^x}{1-e^x}"]).status == "refuted"


def test_lines_about_arrays():
    arrays = {"X": X, "w": w, "y": y}
    right = [
        SQUARE,
        r"= (Xw-y)^\top (Xw-y)",
        r"= w^\top X^\top X w - 2 y^\top X w + y^\top y",
    ]
    assert check_steps(right, **arrays).status == "proved"
    wrong = check_steps([*right[:2], right[2].replace("- 2", "+ 2")], **arrays)
    assert wrong.status == "refuted"
    assert wrong.statement.startswith("line 3:")
    assert wrong.repair.edit.startswith("sign of term")


def test_text_about_arrays_with_a_declared_fact():
    S = np.eye(3) + 0.1
    lines = ["x @ S @ x", "= x @ S.T @ x", "= sum(x * (S @ x))"]
    assert check_steps(lines, x=w, S=S, assume={"S": "symmetric"}).status == "proved"


def test_several_sides_on_one_line_and_an_environment():
    assert check_steps("x + x &= 2*x \\\\\n &= 3*x - x").status == "proved"


@pytest.mark.parametrize(
    ("lines", "part"),
    [(["x"], "one formula only"), ([1, 2], "is a int"), (["x"] * 2000, "at most")],
)
def test_what_is_no_derivation_is_refused(lines, part):
    with pytest.raises(UsageError, match=part):
        check_steps(lines)


def test_a_line_that_cannot_be_read_is_an_error_of_one_sentence():
    with pytest.raises(DiffkitError):
        check_steps(["x + 1", "= x + __import__('os')"])


@pytest.mark.parametrize("A", ["x", None, [[1.0, 2.0]], True])
def test_an_example_that_is_no_array_is_refused(A):
    with pytest.raises(UsageError, match=r"A=.* is no array of numbers"):
        check_steps(["A", "= A"], A=A)


def test_lines_that_are_none_are_refused():
    with pytest.raises(UsageError, match=r"a list of formulas"):
        check_steps(3)
