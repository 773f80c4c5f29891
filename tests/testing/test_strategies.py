"""Strategies: derivatives held against difference quotients in many digits, distances measured."""

import ast
import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from diffkit.core.errors import UnsupportedPrimitive, UsageError
from diffkit.testing import arrays_away_from, points_away_from_kinks, smooth_functions
from diffkit.testing.kinks import margin
from diffkit.testing.smooth import BINARY, RULES, UNARY, SmoothFunction, X, constant, of, operations
from diffkit.verify.check import check

POINTS = st.floats(-3, 3, allow_nan=False).map(lambda x: round(x, 3))


def quotient(f: SmoothFunction, x: float) -> mpmath.mpf:
    """The symmetric difference quotient in 60 digits, extrapolated once: error of order h**4."""
    with mpmath.workdps(60):
        at = mpmath.mpf(x)

        def slope(h: mpmath.mpf) -> mpmath.mpf:
            return (f.value(mpmath, at + h) - f.value(mpmath, at - h)) / (2 * h)

        h = mpmath.mpf(10) ** -10
        return (4 * slope(h / 2) - slope(h)) / 3


@given(smooth_functions(), POINTS)
@settings(max_examples=200)
def test_the_exact_derivative_is_the_limit_of_quotients(f, x):
    true = quotient(f, x)
    with mpmath.workdps(60):
        value, slope = f.pair(mpmath, mpmath.mpf(x))
    assert abs(slope - true) <= mpmath.mpf(10) ** -25 * (1 + abs(true))
    assert value == pytest.approx(f.value(mpmath, x), rel=1e-9)


@pytest.mark.parametrize("name", [*UNARY, *BINARY])
def test_a_wrong_rule_would_be_noticed(name, monkeypatch):
    from dataclasses import replace

    rule = RULES[name]

    def doubled(m, *operands):
        return tuple(2 * slope for slope in rule.slopes(m, *operands))

    f = of(name, of("add", X, constant(0.5)), *([of("sin", X)] if name in BINARY else []))
    assert f.pair(mpmath, mpmath.mpf(0.7))[1] == pytest.approx(quotient(f, 0.7), rel=1e-12)
    monkeypatch.setitem(RULES, name, replace(rule, slopes=doubled))
    assert f.pair(mpmath, mpmath.mpf(0.7))[1] != pytest.approx(quotient(f, 0.7), rel=1e-3)


@given(smooth_functions(), POINTS)
@settings(max_examples=60)
def test_both_texts_say_what_the_program_computes(f, x):
    names = {"sin", "cos", "tanh", "atan", "exp", "log", "sqrt"}
    for text, true in ((f.source, f.value(math, x)), (f.derivative_source, f.pair(math, x)[1])):
        assert _calls(text) <= names
        assert _computed(text, x) == pytest.approx(true, rel=1e-9, abs=1e-9)


def _calls(text: str) -> set[str]:
    return {node.func.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)}


def _computed(text: str, x: float) -> float:
    """The text read as Python by an interpreter of its own."""
    operators = {
        ast.Add: lambda a, b: a + b,
        ast.Sub: lambda a, b: a - b,
        ast.Mult: lambda a, b: a * b,
        ast.Div: lambda a, b: a / b,
        ast.Pow: lambda a, b: a**b,
    }

    def value(node: ast.AST) -> float:
        match node:
            case ast.BinOp():
                return operators[type(node.op)](value(node.left), value(node.right))
            case ast.UnaryOp():
                return -value(node.operand)
            case ast.Call():
                return getattr(math, node.func.id)(value(node.args[0]))
            case ast.Name():
                return x
        return float(node.value)

    return value(ast.parse(text, mode="eval").body)


@given(smooth_functions(max_depth=2))
@settings(max_examples=15)
def test_the_judge_never_refutes_the_exact_derivative(f):
    assert check(f.source, f.derivative_source, wrt="x").status != "refuted"


def test_the_judge_refutes_the_exact_derivative_with_a_term_too_many():
    f = of("multiply", of("sin", X), of("bell", X))
    assert check(f.source, f"{f.derivative_source} + 1/8").status == "refuted"


def test_a_smooth_function_is_a_function_for_jax():
    f = of("multiply", X, of("tanh", X))
    x = jnp.linspace(-2.0, 2.0, 5)
    assert np.allclose(jax.jit(f)(x), x * jnp.tanh(x))
    assert np.allclose(jax.vmap(jax.grad(f))(x), f.derivative(x), rtol=1e-4)
    assert f.derivative(x).shape == x.shape
    assert of("add", X, constant(1)).derivative(x).shape == x.shape


def test_every_operation_is_drawn_and_shrinking_leads_to_the_simplest():
    for name in (*UNARY, *BINARY):
        smallest = find(smooth_functions(), lambda f, name=name: name in operations(f))
        assert operations(smallest) == [name]
    assert find(smooth_functions(), lambda f: True) == X


@pytest.mark.parametrize("depth", [0, 9, True, 1.5, "3"])
def test_a_depth_that_is_none_is_refused(depth):
    with pytest.raises(UsageError, match="max_depth="):
        smooth_functions(max_depth=depth)


@given(st.data())
@settings(max_examples=150)
def test_entries_keep_their_distance_from_kinks_and_from_each_other(data):
    kinks = data.draw(st.lists(st.floats(-4, 4), max_size=4))
    distance = data.draw(st.sampled_from([1e-6, 1e-3, 0.1]))
    shape = data.draw(st.sampled_from([(), (3,), (2, 2)]))
    x = data.draw(arrays_away_from(kinks, shape, distance=distance))
    assert x.shape == shape
    assert x.dtype == np.float64
    assert np.all((x >= -3) & (x <= 3))
    for kink in kinks:
        assert np.all(np.abs(x - kink) >= distance)
    entries = np.sort(x.ravel())
    assert np.all(np.diff(entries) >= distance)


@given(arrays_away_from([0.0], (2,), distance=0.5, ties=False))
def test_without_ties_entries_may_be_equal(x):
    assert np.all(np.abs(x) >= 0.5)


def test_ties_occur_when_they_may_and_every_side_of_a_kink_is_reached():
    tied = find(arrays_away_from([0.0], 2, distance=0.5, ties=False), lambda x: x[0] == x[1])
    assert tied[0] == tied[1]
    strategy = arrays_away_from([-1.0, 1.0], distance=0.5)
    for low, high in ((-3, -1.5), (-0.5, 0.5), (1.5, 3)):
        assert low <= find(strategy, lambda x, a=low, b=high: a <= x <= b) <= high
    order = find(arrays_away_from([], 3), lambda x: x[0] > x[2] > x[1])
    assert order[0] > order[2] > order[1]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: arrays_away_from([0.0], distance=4.0), "keep the distance 4.0"),
        (lambda: arrays_away_from([], 100, distance=0.1), "and from each other"),
        (lambda: arrays_away_from([], distance=0.0), "must be positive"),
        (lambda: arrays_away_from([], low=1.0, high=1.0), "low=1.0"),
        (lambda: arrays_away_from([float("nan")]), "kinks: nan is no finite number"),
        (lambda: arrays_away_from(["0"]), "kinks: '0' is no finite number"),
        (lambda: arrays_away_from([], high=float("inf")), "high: inf"),
        (lambda: arrays_away_from([], (-1,)), "shape="),
        (lambda: arrays_away_from([], (2.5,)), "shape="),
    ],
)
def test_what_leaves_nothing_to_draw_is_refused(call, said):
    with pytest.raises(UsageError, match=said):
        call()


def pooled(name, sizes=(2,), strides=(2,), padding="VALID", **dilation):
    start, of_two = {"max": (-jnp.inf, jax.lax.max), "min": (jnp.inf, jax.lax.min)}[name]
    return lambda x: jax.lax.reduce_window(x, start, of_two, sizes, strides, padding, **dilation)


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (jax.nn.relu, 0.25, 0.25),
        (lambda x: jnp.abs(x - 1), 0.75, 0.25),
        (lambda x: jnp.where(x > 1, x, 2 * x), 1.5, 0.5),
        (lambda x: jnp.clip(x, -1.0, 1.0), 0.75, 0.25),
        (lambda x: jnp.floor(x), 1.9375, 0.0625),
        (lambda x: jnp.round(x), 1.25, 0.25),
        (lambda x: jnp.sqrt(x), 0.5, 0.5),
        (lambda x: 1 / (x - 2), 1.75, 0.25),
        (lambda x: x**2 + jnp.sin(x), 0.0, math.inf),
        (lambda x: x**1.5, 0.25, 0.25),
        (lambda x: x % 1.0, 0.75, 0.25),
        (lambda x: jax.lax.cond(x > 1, jnp.abs, jnp.sin, x), 3.0, 2.0),
        (lambda x: jnp.max(x), np.array([1.0, 4.0, 3.5]), 0.5),
        (lambda x: jnp.sort(x)[0], np.array([3.0, 1.0, 1.25]), 0.25),
        (lambda x: jnp.max(x, axis=0), np.array([[1.0, 5.0], [3.0, 4.5]]), 0.5),
        (lambda x: jnp.where(jnp.arange(2) < 1, x, 0.0), np.array([0.0, 0.0]), math.inf),
        (jax.checkpoint(lambda x: jax.jit(jnp.abs)(x)), -0.125, 0.125),
        (jnp.sqrt, -1.0, -1.0),
        (jnp.log, -1.0, -1.0),
        (jax.lax.rsqrt, -0.5, -0.5),
        (jnp.log1p, -1.25, -0.25),
        (jnp.log1p, -0.75, 0.25),
        (lambda x: x**1.5, -0.25, -0.25),
        (lambda x: x**-2, -0.25, 0.25),
        (lambda x: x ** jnp.array([2.0, 0.5]), np.array([-3.0, 0.25]), 0.25),
        (jax.lax.asin, -0.75, 0.25),
        (jax.lax.acos, 1.25, -0.25),
        (jax.lax.acosh, 1.25, 0.25),
        (jax.lax.acosh, 0.5, -0.5),
        (jax.lax.atanh, 0.75, 0.25),
        (jax.lax.erf_inv, -0.875, 0.125),
        (jax.lax.erf_inv, 1.5, -0.5),
        (jax.lax.lgamma, 0.25, 0.25),
        (jax.lax.digamma, -1.75, 0.25),
        (lambda x: jnp.arctan2(x, -1.0), 0.25, 0.25),
        (lambda x: jnp.arctan2(x, 1.0), 0.0, 1.0),
        (lambda x: jnp.abs(jnp.log(x)), -1.0, -1.0),
        (lambda x: jnp.abs(jnp.arctanh(x) - 0.5), 1.5, -0.5),
        (lambda x: x % x, 0.0, 0.0),
        (lambda x: jnp.where(jnp.isnan(x), 0.0, x), 3.0, math.inf),
        (pooled("max"), np.array([1.0, 4.0, 3.5, 3.0]), 0.5),
        (pooled("min"), np.array([1.0, 4.0, 3.5, 3.0]), 0.5),
        (pooled("max", (3,), (1,)), np.array([1.0, 1.0, 4.0, 3.5]), 0.5),
        (pooled("max", (2,), (1,), window_dilation=(2,)), np.array([1.0, 4.0, 1.25, 4.0]), 0.0),
        (pooled("max", (1,), (1,)), np.array([2.0, 2.0]), math.inf),
        (pooled("max", padding="SAME"), np.array([1.0, 4.0, 4.0]), 3.0),
    ],
)
def test_the_margin_is_the_distance_from_the_nearest_event(f, x, expected):
    assert margin(f, x) == expected


def test_a_comparison_inside_a_loop_is_refused_and_a_counter_is_none():
    def counted(x):
        return jax.lax.fori_loop(0, 3, lambda i, y: jnp.sin(y), x)

    def compared(x):
        return jax.lax.while_loop(lambda y: y < 10.0, lambda y: 2 * y, x)

    assert margin(counted, 0.5) == math.inf
    with pytest.raises(UnsupportedPrimitive, match="kinks inside `while`"):
        margin(compared, 0.5)


@pytest.mark.parametrize("name", ["max", "min"])
def test_a_comparison_inside_a_scatter_is_refused(name):
    def met(x):
        return getattr(jnp.zeros(2, x.dtype).at[jnp.array([0, 0])], name)(x)

    with pytest.raises(UnsupportedPrimitive, match=f"kinks inside `scatter-{name}`"):
        margin(met, np.array([1.0, 2.0]))
    assert margin(lambda x: x * met(jnp.arange(2))[0], 3.0) == math.inf
    with pytest.raises(UnsupportedPrimitive, match="kinks inside `scan`"):
        margin(lambda x: jax.lax.fori_loop(0, 2, lambda i, y: met(y), x), np.array([1.0, 2.0]))


def test_the_gradient_of_a_pooling_is_refused():
    slope = jax.grad(lambda x: pooled("max")(x).sum())
    with pytest.raises(UnsupportedPrimitive, match="kinks inside `select_and_scatter_add`"):
        margin(slope, np.array([1.0, 1.0]))


@given(points_away_from_kinks(jnp.sqrt, (2,), distance=0.1))
@settings(max_examples=30)
def test_points_stay_inside_the_domain_of_a_root(x):
    assert np.all(x >= 0.1)


@given(points_away_from_kinks(lambda x: jnp.max(jnp.abs(x - 1.0)), (3,), distance=0.05))
@settings(max_examples=40)
def test_points_keep_away_from_the_kinks_of_a_program(x):
    away = np.abs(x - 1.0)
    assert np.all(away >= 0.05)
    assert np.all(np.diff(np.sort(away)) >= 0.05)


def test_a_program_with_kinks_everywhere_has_no_point():
    strategy = points_away_from_kinks(lambda x: jnp.abs(jnp.sin(x)), distance=2.0)
    with pytest.raises(Unsatisfiable):
        find(strategy, lambda x: True, settings=settings(max_examples=4))


def test_importing_the_package_imports_nothing_heavy():
    heavy = "{'jax', 'sympy', 'numpy', 'hypothesis', 'pytest', 'mpmath'}"
    program = f"import sys, diffkit.testing; print({heavy} & set(sys.modules))"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


def test_without_hypothesis_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match=r'pip install "diffkit\[testing\]"'):
        smooth_functions()
