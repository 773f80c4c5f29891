"""What the atlas says of a derivative: known traps, planted defects, and clean functions."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb

from diffkit.atlas import examine
from diffkit.atlas.entry import from_data, place_of, to_data
from diffkit.atlas.examine import all_of
from diffkit.atlas.public_functions import ZERO, PublicFunction, find, public_names
from diffkit.atlas.questions import question
from diffkit.atlas.tables import entry_text
from diffkit.backend import compat
from diffkit.bridge.subject import Probe
from diffkit.numeric.balls import DerivativeEnclosure, Enclosure
from diffkit.verify import accuracy
from diffkit.verify.answers import Answer


@pytest.fixture(scope="module")
def names():
    return public_names()


@pytest.fixture(scope="module")
def entries(names):
    kept = {}

    def of(name):
        if name not in kept:
            kept[name] = {entry.argument: entry for entry in all_of(find(name, names[name]))}
        return kept[name]

    return of


def kinds(entry):
    return {trap.kind for trap in entry.traps}


def at(entry, kind):
    return [trap.point for trap in entry.traps if trap.kind == kind]


def test_abs_has_a_kink_at_zero_and_is_exact_elsewhere(entries):
    (entry,) = entries("jax.numpy.abs").values()
    assert at(entry, "kink") == [{"x": 0.0}]
    assert kinds(entry) == {"kink"}
    assert entry.verdict == "accurate"
    assert entry.form == "elementwise"
    assert entry.modes == {"reverse": "", "forward": ""}


def test_the_norm_gives_nan_at_zero(entries):
    (entry,) = entries("jax.numpy.linalg.norm").values()
    nan = next(trap for trap in entry.traps if trap.kind == "nan-gradient")
    assert nan.point["x"] == [0.0] * 4
    assert nan.severity == "wrong"
    assert not nan.is_defect  # a kink: there is no derivative to be wrong about
    assert set(nan.groups) == {"rigorous", "high precision"}


def test_maximum_has_kinks_at_ties(entries):
    for entry in entries("jax.numpy.maximum").values():
        assert all(point["x"] == point["y"] for point in at(entry, "kink"))
        assert at(entry, "kink")


def test_logsumexp_gives_nan_where_every_entry_is_minus_infinity(entries):
    (entry,) = entries("jax.nn.logsumexp").values()
    assert [-np.inf] * 4 in [point["a"] for point in at(entry, "nan-gradient")]


def test_a_power_with_exponent_zero_gives_nan_at_zero_although_it_is_constant(entries):
    entry = entries("jax.numpy.power")["x1"]
    (defect,) = entry.defects
    assert defect.point == {"x1": 0.0, "x2": 0.0}
    assert "the derivative is 0" in defect.message


def test_sinc_loses_its_digits_near_zero(entries):
    (entry,) = entries("jax.numpy.sinc").values()
    assert "cancellation" in kinds(entry)
    verdicts = {row["dtype"]: row["verdict"] for row in entry.accuracy if row["mode"] == "reverse"}
    assert verdicts["float64"] == "unstable"
    assert verdicts["float32"] == "wrong"  # x**2 underflows, and what is divided by it is inf
    assert entry.defects
    for defect in entry.defects:
        x = defect.point["x"]
        # sinc'(x) = -pi^2 x / 3 + O(x^3)
        truth = float(defect.reproducer.rpartition("is ")[2])
        assert truth == pytest.approx(-(np.pi**2) * x / 3, rel=1e-3)


def test_arctan2_gives_nan_at_the_origin(entries):
    for entry in entries("jax.numpy.arctan2").values():
        assert {"x1": 0.0, "x2": 0.0} in at(entry, "nan-gradient")


@pytest.mark.parametrize("name", ["jax.numpy.sin", "jax.numpy.arctan", "jax.numpy.square"])
def test_a_clean_function_has_no_trap(entries, name):
    (entry,) = entries(name).values()
    assert not [trap for trap in entry.traps if trap.severity != "note"]
    assert entry.verdict in ("accurate", "ill-conditioned")
    assert not entry.unfinished


def planted(factor):
    @jax.custom_jvp
    def sine(x):
        return jnp.sin(x)

    sine.defjvp(lambda x, v: (jnp.sin(x[0]), factor(x[0]) * jnp.cos(x[0]) * v[0]))
    return PublicFunction("jax.numpy.sin", sine, (np.array([0.3, 0.7, 1.1]),), (0,))


def test_a_planted_defect_is_found_and_confirmed_by_two_groups():
    (entry,) = all_of(planted(lambda x: jnp.where(x > 9, 1.01, 1.0)))
    assert entry.verdict == "wrong"
    assert entry.defects
    assert set(entry.defects[0].groups) == {"rigorous", "high precision"}
    assert all(trap.point["x"] > 9 for trap in entry.defects)


def test_the_same_rule_without_the_defect_is_clean():
    (entry,) = all_of(planted(lambda x: 1.0))
    assert not entry.defects
    assert entry.verdict in ("accurate", "ill-conditioned")


def test_a_missing_mode_is_named():
    @jax.custom_vjp
    def sine(x):
        return jnp.sin(x)

    sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, ct: (jnp.cos(x) * ct,))
    function = PublicFunction("jax.numpy.sin", sine, (np.array([0.3, 0.7, 1.1]),), (0,))
    (entry,) = all_of(function)
    assert entry.modes["reverse"] == ""
    assert "custom_vjp" in entry.modes["forward"]


def test_a_stage_without_time_is_named_and_what_was_found_is_kept(monkeypatch):
    monkeypatch.setattr(examine, "LEAST", 1e-3)
    (entry,) = all_of(planted(lambda x: 1.0), seconds=1e-3)
    assert any("not finished within" in each for each in entry.unfinished)


def test_an_argument_without_a_rule_has_an_entry_that_says_so(names):
    function = find("jax.scipy.special.betainc", names["jax.scipy.special.betainc"])
    entries = {entry.argument: entry for entry in all_of(function, seconds=20)}
    assert len(entries) == len(function.wrt) + len(function.without)
    assert sum(bool(entry.modes["reverse"]) for entry in entries.values()) == len(function.without)


def test_an_argument_by_which_the_derivative_is_zero_has_an_entry_that_says_so(names):
    function = find("jax.numpy.copysign", names["jax.numpy.copysign"])
    by_x, by_y = all_of(function, seconds=20)
    assert by_x.form == "elementwise"
    assert by_y.argument == "x2"
    assert by_y.skipped == {"derivative": ZERO}
    assert not any(by_y.modes.values())


def test_an_entry_comes_back_from_json_as_it_was(entries):
    for entry in entries("jax.numpy.sinc").values():
        text = json.dumps(to_data(entry), allow_nan=False)
        again = from_data(json.loads(text))
        assert again.traps == entry.traps
        assert again.title == entry.title
        assert json.dumps(to_data(again)) == text  # nan is not equal to itself


def array_rows(call, *args):
    """Accuracy rows of an array function: dtype and mode -> row."""
    asked = question(PublicFunction("jax.numpy.planted", call, args, (0,)), 0)
    survey = examine._Survey(asked)
    with compat.x64():
        for dtype in ("float64", "float32"):
            survey._accuracy_here(dtype)
    return {(row["dtype"], row["mode"]): row for row in survey.found_accuracy}


def adjugate_inverse(m):
    adjugate = jnp.array([[m[1, 1], -m[0, 1]], [-m[1, 0], m[0, 0]]])
    return adjugate / (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])


def test_the_inverse_of_an_ill_conditioned_matrix_is_not_called_unstable():
    # the last entry is 1e-5 away from a singular matrix, so the condition is of order 1e5
    nearly_singular = np.array([[1.1, 0.7], [0.7, 0.49 / 1.1 + 1e-5]])
    rows = array_rows(adjugate_inverse, nearly_singular)
    for row in rows.values():
        assert row["worst"] > 16
        assert row["condition"] > 1e4
        assert row["verdict"] == "ill-conditioned"


def test_a_formula_that_loses_digits_of_an_array_is_called_unstable():
    # sum((1 - cos x) / x): the derivative tends to 1/2, its condition to 0
    rows = array_rows(lambda x: jnp.sum((1 - jnp.cos(x)) / x), np.array([1e-5, 2e-5]))
    assert {row["verdict"] for row in rows.values()} == {"unstable"}


def test_a_truth_from_differences_is_held_against_errors_they_can_see():
    """LU has no row of balls; differences know ten digits of the gradient, AD sixteen."""
    rows = array_rows(jnp.linalg.inv, np.array([[0.1, 0.7], [0.9, 1.3]]))
    assert {row["verdict"] for row in rows.values()} == {"accurate"}


def test_the_place_of_an_error_is_the_entry_or_the_value_of_a_number():
    rows = array_rows(lambda x, y: jnp.sum(x * y), np.array([2.5, 3.5]), np.array([0.5, 0.7]))
    (place,) = {place_of(row) for row in rows.values()}
    assert place in ("entry [0] = 2.5", "entry [1] = 3.5")
    # float32 rounds 0.3; the mean over both axes keeps it a number among arrays
    rows = array_rows(lambda x, y: jnp.sum(x * y), np.array(2.5), np.array([0.5, 0.7]))
    assert {place_of(row) for row in rows.values()} == {"2.5"}


def answer(value, truth, outcome, number):
    tangent = np.zeros(2)
    tangent[number] = 1.0
    probe = Probe((np.array([3.0, 4.0]),), tangent, np.ones(()), f"entry [{number}]")
    found = Enclosure.of(arb(truth))
    enclosed = DerivativeEnclosure(found, found, found, "smooth", "")
    return Answer(probe, "float64", "reverse", value, enclosed, outcome)


def test_the_worst_class_is_shown_not_the_largest_error(monkeypatch):
    what = question(PublicFunction("jax.numpy.p", jnp.sum, (np.array([3.0, 4.0]),), (0,)), 0).what
    monkeypatch.setattr(accuracy, "condition", lambda *_: 0.0)
    wrong = answer(1.0 + 1e-8, 1.0, "disagrees", 1)
    row = examine._summary(what, "float64", "reverse", [answer(1.001, 1.0, "agrees", 0), wrong])
    assert row["verdict"] == "wrong"
    assert place_of(row) == "entry [1] = 4"


def test_a_nan_is_an_error_only_where_a_second_witness_says_so(monkeypatch):
    what = question(PublicFunction("jax.numpy.p", jnp.sum, (np.array([3.0, 4.0]),), (0,)), 0).what
    monkeypatch.setattr(accuracy, "condition", lambda *_: 0.0)
    clean = answer(1.0, 1.0, "agrees", 0)
    for outcome, verdict, points in (("disagrees", "wrong", 2), ("unsure", "accurate", 1)):
        row = examine._summary(what, "float64", "reverse", [clean, answer(np.nan, 1.0, outcome, 1)])
        assert (row["verdict"], row["points"]) == (verdict, points)


def test_what_a_narrow_format_raises_is_told():
    def refuses(x):
        if x.dtype == jnp.float16:
            raise TypeError("a defect of our own\nsecond line")
        return jnp.sin(x)

    (entry,) = all_of(PublicFunction("jax.numpy.sin", refuses, (np.array([0.3, 0.7]),), (0,)))
    said = {"accuracy float16": "TypeError: a defect of our own"}
    assert {k: entry.skipped[k] for k in said} == said
    assert "not asked accuracy float16: TypeError: a defect of our own" in entry_text(entry)
    assert {row["dtype"] for row in entry.accuracy} == {"float64", "float32", "bfloat16"}


def beside_large_entries(error):
    """A gradient of (1e4, 1, 1, ...), the last entry of which is off by `error` in float32."""

    @jax.custom_jvp
    def steep(x):
        return 1e4 * x[0] + jnp.sum(x[1:])

    @steep.defjvp
    def rule(x, v):
        (x,), (v,) = x, v
        return steep(x), steep(v) + (error if x.dtype == jnp.float32 else 0) * v[-1]

    return PublicFunction("jax.numpy.planted", steep, (np.linspace(0.25, 0.75, 8),), (0,))


@pytest.mark.parametrize(("error", "is_defect"), [(2.0, False), (100.0, True)])
def test_the_rounding_of_large_entries_is_no_defect_of_a_small_one(error, is_defect):
    (entry,) = all_of(beside_large_entries(error))
    assert bool(entry.defects) is is_defect
