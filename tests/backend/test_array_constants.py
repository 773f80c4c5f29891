"""NumPy constants of a function have the type of the precision it is traced in, every time."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffkit as dk
from diffkit.backend import compat
from diffkit.backend.array_constants import Canonical

CHOSEN = np.array([0, 2, 1])
WEIGHTS = np.array([0.1, 0.2, 0.3])


def chosen(x):
    return jnp.sum(jnp.take(x, CHOSEN) * WEIGHTS)


def types(x64):
    with compat.x64(x64):
        opened, _ = compat.open_jaxpr(compat.trace(chosen, np.ones(3, float if x64 else "float32")))
    return {str(each.aval.dtype) for each in opened.constvars}


@pytest.mark.parametrize("modes", [(True, False, True), (False, True, False)])
def test_constants_follow_the_precision_whatever_was_traced_before(modes):
    for x64 in modes:
        assert types(x64) == ({"int64", "float64"} if x64 else {"int32", "float32"})


def test_a_function_of_module_level_arrays_lowers_after_it_was_traced_with_64_bits():
    with compat.x64():
        compat.trace(chosen, np.ones(3))
    gradient = jax.jit(jax.grad(chosen))(np.ones(3, np.float32))
    assert np.array_equal(gradient, np.float32(WEIGHTS)[[0, 2, 1]])


def test_such_a_function_is_judged_in_both_precisions():
    verdict = dk.verify(chosen, jnp.array([1.0, 2.0, 3.0]))
    assert verdict.ok
    assert {row.dtype for row in verdict.evidence} >= {"float64", "float32"}


def test_one_array_has_one_answer_while_that_lives_and_none_is_kept():
    canonical = Canonical()
    array = np.ones(3)
    first = canonical(array)
    assert canonical(array) is first
    del first
    gc.collect()
    assert not canonical._known
    for _ in range(100):  # addresses are used again
        assert canonical(np.arange(3)).dtype == jax.dtypes.canonicalize_dtype(int)
