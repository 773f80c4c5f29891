"""The facade offers the names of the contract, lazily, each with a docstring."""

import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import diffkit

ROOT = Path(diffkit.__file__).parents[1]
#: The public names and their homes; other tools are written against the names.
CONTRACT = {
    "Claim": "diffkit.core.claim",
    "Derivation": "diffkit.bridge.derive",
    "Domain": "diffkit.core.domain",
    "Evidence": "diffkit.core.evidence",
    "Finding": "diffkit.core.finding",
    "Formula": "diffkit.bridge.formula",
    "Verdict": "diffkit.core.verdict",
    "blame": "diffkit.verify.blame",
    "check": "diffkit.verify.check",
    "check_steps": "diffkit.verify.check_steps",
    "claim": "diffkit.verify.collect",
    "derive": "diffkit.bridge.derive",
    "lift": "diffkit.bridge.lift",
    "lower": "diffkit.bridge.lower",
    "verify": "diffkit.verify.verify",
    "verify_estimator": "diffkit.verify.verify_estimator",
}


def exists(module: str) -> bool:
    return (ROOT / f"{module.replace('.', '/')}.py").is_file()


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_facade_holds_exactly_the_names_of_the_contract_whose_module_exists():
    assert sorted(diffkit.__all__) == sorted(name for name in CONTRACT if exists(CONTRACT[name]))


@pytest.mark.parametrize("name", diffkit.__all__)
def test_a_public_name_is_the_one_of_its_home_and_documented(name: str):
    thing = getattr(diffkit, name)
    assert thing is getattr(importlib.import_module(CONTRACT[name]), name)
    assert len(inspect.getdoc(thing) or "") > 20


def test_dir_lists_the_public_names_in_order():
    assert dir(diffkit) == sorted(diffkit.__all__)


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known():
    with pytest.raises(AttributeError, match=r"no attribute 'grad'.*Verdict"):
        _ = diffkit.grad
    assert not hasattr(diffkit, "__wrapped__")


@pytest.mark.parametrize("heavy", ["jax", "sympy", "numpy", "rich"])
def test_importing_the_root_imports_nothing_heavy(heavy: str):
    result = run(f"import sys, diffkit; sys.exit({heavy!r} in sys.modules)")
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(not exists("diffkit.verify.verify"), reason="verify is not written")
def test_verify_stays_the_verb_after_its_package_is_imported():
    code = "import diffkit, diffkit.verify.verify, inspect, sys;"
    result = run(f"{code} sys.exit(not inspect.isfunction(diffkit.verify))")
    assert result.returncode == 0, result.stderr
