"""Blocks write calls out, keep loops and branches, and know through what derivatives flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.backend import compat
from diffkit.bridge.blocks import activate, all_nodes, loops, node_at, read, run
from diffkit.bridge.cotangents import Question, Replay


def program(x, n):
    y = jax.jit(jnp.linalg.norm)(x)
    z = jax.checkpoint(lambda y: jnp.sin(y) * y)(y)
    noise = jax.lax.stop_gradient(jnp.exp(x))
    w = jax.lax.cond(n > 0, jnp.cos, jnp.log, z)

    def step(c, t):
        return c * t, jnp.floor(c)

    last, rows = jax.lax.scan(step, w, jnp.arange(1.0, 5.0))
    return last + jnp.sum(rows) + jnp.sum(noise)


X = np.array([0.5, -1.0, 2.0], np.float32)


def test_a_block_computes_what_the_function_does():
    block = read(compat.trace(program, X, 1))
    np.testing.assert_allclose(run(block, [X, 1])[0], program(X, 1), rtol=1e-6)


def test_calls_are_written_out_and_loops_are_kept():
    block = read(compat.trace(program, X, 1))
    names = [node.primitive for _, _, node in all_nodes(block)]
    assert not {"jit", "pjit"} & set(names)
    assert {"scan", "cond", "sin", "cos", "log", "floor"} <= set(names)
    (norm,) = {node.within for _, _, node in all_nodes(block) if node.primitive == "sqrt"}
    assert norm[-1] == "norm"
    (path,) = [path for path, _, node in all_nodes(block) if node.primitive == "floor"]
    assert loops(block, path) == (4,)
    assert node_at(block, path).primitive == "floor"


def test_nothing_flows_through_what_has_no_derivative():
    block = read(compat.trace(program, X, 1))
    activate(block, [True, False])
    active = {
        node.primitive: any(v in inner.active for v in node.outputs)
        for _, inner, node in all_nodes(block)
    }
    assert active["sqrt"]
    assert active["cos"]
    assert active["scan"]
    assert not active["floor"]
    assert not active["stop_gradient"]


def test_counts_are_those_of_the_arrays_step_by_step():
    def loss(x):
        def step(c, t):
            return c, jnp.log(t - x)

        rows = jax.lax.scan(step, 0.0, jnp.arange(4.0))[1]
        return jnp.sum(jnp.where(rows > 0, rows, 0.0))

    block = read(compat.trace(loss, np.float32(1.0)))
    activate(block, [True])
    replay = Replay(block, (np.float32(1.0),), (0,))
    (path,) = [path for path, _, node in all_nodes(block) if node.primitive == "log"]
    value, share = Question(path, "value", 0), Question(path, "share", 0)
    found = replay.run([value, share])
    # t - x = -1, 0, 1, 2: nan, -inf, 0, log 2; cotangents 0, 0, 0, 1 over -1, 0, 1, 2
    np.testing.assert_array_equal(found.counts[value], [[1, 0], [0, 1], [0, 0], [0, 0]])
    np.testing.assert_array_equal(found.counts[share], [[0, 0], [1, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(found.gradient, [[1, 0]])


@pytest.mark.parametrize("step", range(4))
def test_an_equation_is_caught_at_the_step_that_is_asked_for(step: int):
    def loss(x):
        return jax.lax.scan(lambda c, t: (c * t, None), x, jnp.arange(1.0, 5.0))[0]

    block = read(compat.trace(loss, np.float32(2.0)))
    activate(block, [True])
    (path,) = [path for path, _, node in all_nodes(block) if node.primitive == "mul"]
    found = Replay(block, (np.float32(2.0),), (0,)).run(catch=[path], step=(step,))
    caught = found.caught[path]
    before, after = np.prod(np.arange(1, step + 1)), np.prod(np.arange(step + 2, 5))
    assert [float(each) for each in caught.operands] == [2.0 * before, step + 1.0]
    assert float(caught.cotangents[0]) == after
    assert float(found.leaves[0]) == 24.0
