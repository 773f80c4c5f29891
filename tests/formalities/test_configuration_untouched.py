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


before = state()
import diffkit as dk
for name in dk.__all__:
    getattr(dk, name)
x = jax.numpy.asarray(0.5)
{verb}
after = state()
print(json.dumps([[key, str(before[key]), str(after[key])] for key in before
                  if before[key] != after[key]]))
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


def changes(verb: str, before: str = "") -> list[list[str]]:
    code = PROGRAM.format(verb=verb, before=before)
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=110
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb in diffkit.__all__])
def test_a_verb_changes_no_setting(verb: str):
    assert changes(VERBS[verb]) == []


def test_importing_every_public_name_changes_no_setting():
    assert changes("") == []


def test_a_user_who_wants_x64_keeps_it():
    verb = VERBS["verify"] if "verify" in diffkit.__all__ else ""
    assert changes(verb, before='jax.config.update("jax_enable_x64", True)') == []


def test_a_verb_that_would_change_a_setting_is_noticed():
    changed = changes('jax.config.update("jax_enable_x64", True)')
    assert ["jax_enable_x64", "False", "True"] in changed
