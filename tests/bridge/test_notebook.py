"""What a notebook shows of a formula, a derivation, its steps and a verdict."""

import xml.etree.ElementTree as ET

import pytest

from diffkit.bridge.derive import derive
from diffkit.bridge.formula import Formula
from diffkit.verify.check import check

MATH = "{http://www.w3.org/1998/Math/MathML}math"


def shown():
    derivation = derive("x*sigmoid(x)")
    return {
        "formula": Formula.from_text("x*sigmoid(x)"),
        "derivation": derivation,
        "step": derivation.steps[0],
        "verdict": check("x**2", "2*x"),
    }


@pytest.mark.parametrize("name", ["formula", "derivation", "step"])
def test_mathematics_is_mathml_that_a_browser_can_parse(name):
    page = ET.fromstring(f"<body>{shown()[name]._repr_html_()}</body>")
    assert next(page.iter(MATH), None) is not None


@pytest.mark.parametrize("name", ["formula", "derivation", "step", "verdict"])
def test_latex_stands_between_dollar_signs(name):
    latex = shown()[name]._repr_latex_()
    assert latex.startswith("$")
    assert latex.endswith("$")
    assert latex.count("{") == latex.count("}")


def test_a_verdict_with_a_relation_sign_is_escaped():
    verdict = check("x**2", ">= 0", kind="value")
    assert "&gt;= 0" in verdict._repr_html_()
    ET.fromstring(verdict._repr_html_())
