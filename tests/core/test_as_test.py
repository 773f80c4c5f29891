"""The tests that verdicts write are run by pytest and hold, in a process of their own."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.core.claim import Claim
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict
from diffkit.verify.check import check
from diffkit.verify.verify import verify

ROOT = Path(__file__).parents[2]
MODULE = """\
import jax.numpy as jnp


def mse(X, w, y):
    return jnp.mean((X @ w - y) ** 2)


class Scaled:
    @staticmethod
    def root(x):
        return 3 * jnp.sqrt(x)
"""


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An importable module with two functions."""
    (tmp_path / "written_models.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__("importlib").import_module("written_models")
    sys.modules.pop("written_models", None)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_the_written_tests_reproduce_their_verdicts(models, tmp_path):
    X, w = jnp.arange(6.0).reshape(3, 2), jnp.ones(2)
    shape = jax.ShapeDtypeStruct((3,), "float32")
    verdicts = [
        check("softplus(x)", "sigmoid(x)**2"),
        check("softplus(x)", "sigmoid(x)", seed=4),
        check("relu(x)", "step(x)", conventions={"relu0": 0.0}, domain={"x": "[0, oo)"}),
        check("sqrt(x**2)", "x", kind="value", points=[{"x": Fraction(-1, 3)}]),
        check("sqrt(-1 - x**2)", "-x/sqrt(-1 - x**2)"),
        check(models.mse, "2*X.T@(X@w - y)", X, w, shape, wrt="w"),
        verify(models.Scaled.root, 2.0, dtypes=("float32",), domain={"x": "positive"}),
        verify("sin(x)"),
    ]
    for number, verdict in enumerate(verdicts):
        (tmp_path / f"test_{number}.py").write_text(verdict.to_test(), encoding="utf-8")
    assert {verdict.status for verdict in verdicts} >= {"proved", "refuted", "undecided"}
    result = run(tmp_path)
    assert f"{len(verdicts)} passed" in result.stdout, result.stdout


def test_a_test_fails_when_the_verdict_turns_out_otherwise(tmp_path):
    wrong = replace(check("x**2", "2*x"), status="refuted")
    (tmp_path / "test_wrong.py").write_text(wrong.to_test())
    result = run(tmp_path)
    assert result.returncode == 1
    assert "PROVED    d/dx [x**2] = 2*x" in result.stdout


def test_a_function_without_a_name_is_refused_with_the_remedy():
    verdict = check(lambda x: jnp.sin(x), "cos(x)", 0.5)
    with pytest.raises(UsageError, match="define it at the top of a module"):
        verdict.to_test()


def test_arguments_that_are_no_arrays_are_refused_with_the_remedy(models):
    verdict = verify(models.mse, jnp.ones((2, 2)), w=jnp.ones(2), y=jnp.ones(2))
    with pytest.raises(UsageError, match="written_models:mse cannot be written as text"):
        replace(verdict, claim=replace(verdict.claim, is_replayable=False)).to_test()


def test_an_argument_too_large_for_text_is_refused():
    row = {"value": np.zeros((101, 100)).tolist(), "dtype": "float64"}
    claim = Claim("jax.numpy:sin", "cos(x)", "x", options={"arguments": [row]})
    with pytest.raises(UsageError, match="more than 10000 entries"):
        Verdict(claim, "proved").to_test()


@pytest.mark.parametrize(
    "row", [{}, {"value": 1.0}, {"shape": "wide", "dtype": "float64"}, {"shape": 3}]
)
def test_damaged_arguments_are_refused(row):
    claim = Claim("jax.numpy:sin", "cos(x)", "x", options={"arguments": [row]})
    with pytest.raises(UsageError, match="damaged"):
        Verdict(claim, "proved").to_test()


@pytest.mark.parametrize(
    "text",
    [
        '"); import os; os.remove("x")  # ',
        "'''\n\"\"\"",
        "x\\",
        "σ(x)\u2028import os",
        "x\n    assert False",
    ],
)
def test_text_of_a_claim_is_a_literal_and_never_code(text):
    verdict = Verdict(Claim(text, text, "x", domain={text: text}), "proved", statement=text)
    tree = ast.parse(verdict.to_test())
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(function.body) == 2
    assert [node for node in tree.body if isinstance(node, ast.Expr)] == []
    assert [alias.name for node in tree.body[:-1] for alias in node.names] == ["diffkit"]
    call = function.body[0].value
    assert [ast.literal_eval(word) for word in call.args] == [text, text]


def test_a_reference_with_a_keyword_in_it_is_refused():
    with pytest.raises(UsageError, match="no name Python can import"):
        Verdict(Claim("a.if:f", "1", "x"), "proved").to_test()


def test_what_only_looks_like_a_reference_is_a_literal():
    source = Verdict(Claim("os:system.__class__ x", "1", "x"), "proved").to_test()
    assert 'dk.check("os:system.__class__ x", "1", wrt="x")' in source
    assert "import os" not in source


def test_numbers_come_back_as_they_were():
    points = [{"x": 0.1, "y": float("inf"), "z": Fraction(1, 3), "n": 2, "a": np.array([1.0, 2.5])}]
    source = Verdict(Claim("x", "1", "x", points=tuple(points)), "proved").to_test()
    written = re.search(r"points=(\[.*\])", source)[1]
    names = {"Fraction": Fraction, "float": float}
    found = _evaluated(written, names)
    assert found == [{"x": 0.1, "y": float("inf"), "z": Fraction(1, 3), "n": 2, "a": [1.0, 2.5]}]
    assert "from fractions import Fraction" in source


def _evaluated(text: str, names: dict):
    """The literal, in which the names may be called on literals."""

    def value(node):
        if isinstance(node, ast.Call):
            return names[node.func.id](*map(value, node.args))
        if isinstance(node, ast.List):
            return [value(each) for each in node.elts]
        if isinstance(node, ast.Dict):
            return {value(k): value(v) for k, v in zip(node.keys, node.values, strict=True)}
        return ast.literal_eval(node)

    return value(ast.parse(text, mode="eval").body)


def test_a_value_that_cannot_be_written_is_refused():
    with pytest.raises(UsageError, match="set of the claim cannot be written"):
        Verdict(Claim("x", "1", "x", points=({"x": {1}},)), "proved").to_test()
