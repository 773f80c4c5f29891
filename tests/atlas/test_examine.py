"""What the atlas says of a derivative: known traps, planted defects, and clean functions."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.atlas import examine
from diffkit.atlas.entry import from_data, to_data
from diffkit.atlas.examine import all_of
from diffkit.atlas.public_functions import PublicFunction, find, public_names


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
    assert entry.verdict == "unstable"
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


def test_an_entry_comes_back_from_json_as_it_was(entries):
    for entry in entries("jax.numpy.sinc").values():
        text = json.dumps(to_data(entry), allow_nan=False)
        again = from_data(json.loads(text))
        assert again.traps == entry.traps
        assert again.title == entry.title
        assert json.dumps(to_data(again)) == text  # nan is not equal to itself
