"""The derivative known by construction is the one JAX computes, with and without a bug."""

import dataclasses
import random

import jax
import numpy as np
import pytest

from diffkit.backend import compat
from diffkit.testing.bugs import KINDS, Bug, places, planted, wrong_derivative
from diffkit.testing.duals import FUNCTIONS, Dual, exact, precision
from diffkit.testing.operations import ELEMENTWISE
from diffkit.testing.random_programs import array_program, program, scalar_program

SEEDS = [*range(12), *range(19, 200, 10)]


def direction(made, leaves, rng):
    """A point, a tangent and a cotangent."""
    with compat.x64():
        shape = np.shape(made(*leaves))
    return rng.normal(size=leaves[0].shape), rng.normal(size=shape)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_has_the_derivative_its_construction_says(seed, rng):
    made = program(seed)
    (leaves,) = made.points(1)
    v, u = direction(made, leaves, rng)
    with compat.x64():
        _, moved = jax.jvp(lambda x: made(x, *leaves[1:]), (leaves[0],), (v,))
    expected = float(np.sum(u * np.asarray(moved)))
    known = made.derivative(leaves, v, u)
    assert float(known.rad()) <= 1e-30 * (1 + abs(expected))
    assert float(known) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.dtype])
def test_what_a_bug_makes_of_the_derivative_is_known(name, rng):
    kind, judged = KINDS[name], 0
    for seed in SEEDS:
        made = program(seed)
        steps = places(made, kind)
        if not steps or judged == 8:
            continue
        judged += 1
        (leaves,) = made.points(1)
        v, u = direction(made, leaves, rng)
        bug = Bug(kind, random.Random(seed).choice(steps), "vjp")
        known = float(wrong_derivative(made, bug, leaves, v, u))
        with compat.x64():
            wrong = planted(made, bug)
            _, pull = jax.vjp(lambda x: wrong(x, *leaves[1:]), leaves[0])  # noqa: B023
            found = float(np.sum(v * np.asarray(pull(u)[0])))
            assert found == pytest.approx(known, rel=1e-8, abs=1e-11), f"{made}\n{bug}"
            if not kind.ignores_cotangent:
                wrong = planted(made, dataclasses.replace(bug, mode="jvp"))
                _, moved = jax.jvp(lambda x: wrong(x, *leaves[1:]), (leaves[0],), (v,))  # noqa: B023
                found = float(np.sum(u * np.asarray(moved)))
                assert found == pytest.approx(known, rel=1e-8, abs=1e-11), f"{made}\n{bug}"
    assert judged


def test_a_bug_of_one_precision_is_none_in_the_other():
    made = scalar_program(3)
    (leaves,) = made.points(1)
    kind = KINDS["float32 only"]
    wrong = planted(made, Bug(kind, len(made.steps) - 1, "jvp"))
    right = {}
    for dtype in ("float32", "float64"):
        with compat.x64():
            x = leaves[0].astype(dtype)
            others = [leaf.astype(dtype) for leaf in leaves[1:]]
            right[dtype] = float(jax.grad(wrong)(x, *others)) / float(jax.grad(made)(x, *others))
    assert right["float64"] == 1
    assert right["float32"] == pytest.approx(1.5, rel=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_slope_written_by_hand_is_the_limit_of_quotients(name):
    """Central differences in 200 bits: neither AD nor a rule."""
    row = ELEMENTWISE[name]
    for place in range(row.arity):
        at = [exact(0.75 + k / 8) for k in range(row.arity)]
        with precision(400):
            step = exact(2.0**-60)
            moved = [Dual(x, exact(float(k == place))) for k, x in enumerate(at)]
            slope = FUNCTIONS[name](*moved).slope
            ends = [
                FUNCTIONS[name](
                    *(Dual(x + side * step * (k == place), exact(0)) for k, x in enumerate(at))
                ).value
                for side in (1, -1)
            ]
            assert abs(float((ends[0] - ends[1]) / (2 * step) - slope)) < 1e-30


def test_a_seed_makes_one_program_and_other_seeds_make_others():
    listings = {str(scalar_program(seed)).partition("\n")[2] for seed in range(60)}
    assert len(listings) > 55
    assert str(array_program(5)) == str(array_program(5))


def test_programs_cover_every_operation_and_all_depths():
    made = [program(seed) for seed in range(600)]
    used = {step.operation.name for each in made for step in each.steps}
    assert set(ELEMENTWISE) <= used
    assert {each.depth for each in made if each.is_scalar} == set(range(2, 9))
    assert {"matmul", "outer", "transpose", "dot", "sum", "norm"} <= used
    assert any(name.startswith("softmax") for name in used)
    assert sum(not each.is_scalar for each in made) == 60


def test_every_point_is_exact_in_float32_and_inside_the_range():
    made = program(5)
    for leaves in made.points(20):
        for leaf, given in zip(leaves, made.inputs, strict=True):
            assert np.all(leaf.astype(np.float32) == leaf)
            assert np.all(np.abs(leaf - given.centre) <= 0.5)
