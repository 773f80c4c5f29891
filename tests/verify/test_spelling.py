"""How mends are written: whatever stands around the expression, the text means what was run."""

import ast

import jax
import jax.numpy as jnp
import pytest

import diffkit as dk


def test_the_guard_of_a_norm_that_is_not_taken_names_what_it_is_of():
    def logs(h):
        y = jnp.linalg.norm(h, axis=-1)
        return jnp.sum(jnp.where(y > 0, jnp.log(y), 0.0))

    found = dk.blame(logs, jnp.zeros((2, 3)).at[0].set(1.0))
    guard = "jnp.sqrt(jnp.where((squares_1 := jnp.sum(h**2, axis=-1)) > 0, squares_1, 1.0))"
    assert guard in found.mend.code


ROWS = jnp.zeros((3, 3)).at[0].set(2.0).at[2].set(jnp.array([1.0, 2.0, 5.0]))
AXIS = {"axis": -1}


def with_names(h):
    kept = h.shape[0]
    squares = 5.0
    return (
        jnp.sum(jnp.where(h.sum(-1) > 0, jnp.log(jnp.linalg.norm(h, axis=-1)), 0.0)) / kept
        + squares
    )


def in_a_list(h):
    return jnp.sum(
        jnp.where(h.sum(-1) > 0, 1 / sum([jnp.linalg.norm(v, axis=-1) for v in (3 * h, h)]), 0.0)
    )


def in_an_iterable(h):
    return sum(v * 2.0 for v in jnp.linalg.norm(h, axis=-1))


def over_two_lines(h):
    return jnp.sum(h / jnp.linalg.norm(h, axis=-1,
                                       keepdims=True))  # fmt: skip


def behind_stars(h):
    return jnp.sum(jnp.linalg.norm(h, **AXIS))


def a_quotient_behind_a_star(h):
    both = (jnp.ones((3, 3)), h)
    return jnp.sum(jnp.where(h != 0, jnp.divide(*both), 0.0))


@jax.jit
def norm(v):
    return jnp.sqrt(jnp.sum(jnp.abs(v), axis=-1))


def of_another_norm(h):
    return jnp.sum(jnp.where(h.sum(-1) > 0, norm(h), 0.0))


def negated(h):
    return jnp.sum(jnp.where(h != 0, (not False) / h, 0.0))


@pytest.mark.parametrize(
    ("loss", "part"),
    [
        (with_names, "(kept_1 := jnp.sqrt(jnp.where((squares_1 := jnp.sum(h ** 2, axis=-1)) > 0"),
        (
            in_a_list,
            "1 / jnp.where(sum([jnp.sqrt(jnp.where((squares_1 := jnp.sum(v ** 2, axis=-1)) > 0",
        ),
        (in_an_iterable, "jnp.where(jnp.sum(h**2, axis=-1) > 0, jnp.sqrt("),
        (over_two_lines, "jnp.sum(h ** 2, axis=-1, keepdims=True)"),
        (behind_stars, "u being what sqrt in norm is given"),
        (a_quotient_behind_a_star, "u being what div is given"),
        (of_another_norm, "jnp.sqrt(jnp.where(jnp.sum(jnp.abs(v), axis=-1) > 0"),
        (negated, "(not False) / jnp.where(h != 0, h, 1.0)"),
    ],
)
def test_the_printed_mend_means_what_was_run_wherever_the_expression_stands(loss, part):
    found = dk.blame(loss, ROWS)
    assert found.mend.is_recommended
    assert part in found.mend.code
    if "being what" not in found.mend.code:
        ast.parse(found.mend.code, mode="eval")


def test_a_line_without_a_file_is_read_by_itself():
    scope = {"jnp": jnp}
    exec("def rows(h): return sum(v * 2.0 for v in jnp.linalg.norm(h, axis=-1))", scope)
    found = dk.blame(scope["rows"], ROWS)
    assert found.cause.primitive == "sqrt"
    assert found.mend is None or ":=" not in found.mend.code
