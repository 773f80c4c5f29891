"""The public verbs leave the user's JAX configuration and environment as they were."""

import json
import subprocess
import sys

import pytest

import diffkit

PROGRAM = """
import json, os, sys
import jax
{before}
jax.numpy.zeros(1).block_until_ready()


def state():
    names = ("jax_enable_x64", "jax_numpy_rank_promotion", "jax_debug_nans", "jax_platforms",
             "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_disable_jit")
    return {{**{{name: jax.config.values.get(name) for name in names}},
             "environment": dict(os.environ), "default dtype": str(jax.numpy.zeros(1).dtype)}}


found = {{}}
before = state()
import diffkit as dk
for name in dk.__all__:
    getattr(dk, name)
x = jax.numpy.asarray(0.5)
for name, verb in {verbs!r}.items():
    exec(verb)
    after = state()
    found[name] = [[key, str(before[key]), str(after[key])] for key in before
                   if before[key] != after[key]]
    before = after
print(json.dumps(found))
"""
VERBS = {
    "derive": 'dk.derive("x**2*exp(x)", wrt="x")',
    "check": 'dk.check("x**2", "2*x", wrt="x")',
    "lower": 'dk.lower(dk.derive("x**2", wrt="x").formula)(x)',
    "lift": "dk.lift(lambda x: jax.numpy.sin(x) * x, x)",
    "verify": "dk.verify(lambda x: jax.numpy.sin(x) * x, x)",
    "verify_estimator": (
        "dk.verify_estimator(lambda key: jax.random.normal(key), 0.0, key=jax.random.key(0))"
    ),
    "blame": "dk.blame(lambda x: jax.numpy.sqrt(x * x), 0.0 * x)",
}


def changes(verbs: dict[str, str], before: str = "") -> dict[str, list[list[str]]]:
    """What each verb changes, one after the other in one fresh process; the imports come first."""
    code = PROGRAM.format(verbs=verbs, before=before)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=110
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def changed() -> dict[str, list[list[str]]]:
    return changes({"import": "", **{v: c for v, c in VERBS.items() if v in diffkit.__all__}})


@pytest.mark.parametrize("verb", ["import", *(verb for verb in VERBS if verb in diffkit.__all__)])
def test_a_verb_changes_no_setting(verb: str, changed: dict[str, list[list[str]]]):
    assert changed[verb] == []


def test_a_user_who_wants_x64_keeps_it():
    verb = {"verify": VERBS["verify"]}
    found = changes(verb, before='jax.config.update("jax_enable_x64", True)')
    assert found == {"verify": []}


def test_a_verb_that_would_change_a_setting_is_noticed():
    found = changes({"import": "", "wrong": 'jax.config.update("jax_enable_x64", True)'})
    assert found["import"] == []
    assert ["jax_enable_x64", "False", "True"] in found["wrong"]
