"""The measured test errors against a pseudo-inverse, the judge against known numbers."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.experiment import Record, execute, load
from experiments.double_descent import figures, measure, theory
from experiments.double_descent import run as experiment

SMALL = ("--samples", "12", "--features", "30", "--widths", "2,5,7,20,30")
SMALL += ("--draws", "300", "--block", "100")
CONFIG = experiment.Config()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger") / "runs.sqlite"


@pytest.fixture(scope="module")
def record(ledger: Path) -> Record:
    return execute("double_descent", "quick", SMALL, ledger_path=ledger, stream=None)


def errors(**changes):
    asked = {"samples": 8, "widths": (1, 5, 8, 20), "draws": range(3), "seed": 1, **changes}
    return measure.test_errors(theory.coefficients(20, 0.75, 0.1), 0.1, **asked)


def test_an_error_is_that_of_the_pseudo_inverse():
    squares = theory.coefficients(20, 0.75, 0.1)
    found = errors()
    with jax.enable_x64(True):
        for number in range(3):
            of_features, of_noise = jax.random.split(jax.random.fold_in(jax.random.key(1), number))
            x = np.asarray(jax.random.normal(of_features, (8, 20)))
            y = x @ np.sqrt(squares) + np.sqrt(0.1) * np.asarray(jax.random.normal(of_noise, (8,)))
            for place, p in enumerate((1, 5, 8, 20)):
                b = np.zeros(20)
                b[:p] = np.linalg.pinv(x[:, :p]) @ y
                expected = np.sum((b - np.sqrt(squares)) ** 2) + 0.1
                assert found[number, place] == pytest.approx(expected, rel=1e-8)


def test_a_training_set_does_not_depend_on_the_block_or_the_widths():
    assert np.array_equal(errors()[1:], errors(draws=range(1, 3)))
    assert np.allclose(errors()[:, 1:2], errors(widths=(5,)), rtol=1e-9)


def test_an_estimate_that_is_no_minimiser_is_refused(monkeypatch):
    jax.clear_caches()
    wrong = lambda x, y, widths: [1.01 * b for b in right(x, y, widths)]
    right = measure._estimates
    monkeypatch.setattr(measure, "_estimates", wrong)
    with pytest.raises(UsageError, match="the gradient at an estimate is"):
        errors(draws=range(2))
    jax.clear_caches()


def test_the_exact_curve_is_infinite_within_one_of_the_threshold():
    squares = theory.coefficients(30, 0.75, 0.05)
    curves = theory.curves(12, range(1, 31), squares, 0.05)
    assert [p for p, v in enumerate(curves["exact"], 1) if v is None] == [11, 12, 13]
    assert all(v is not None for v in curves["ridge"])
    # ridge has no peak: more features never hurt by more than rounding when they are useful
    assert max(np.diff(curves["ridge"])) < 1e-12


def test_the_default_has_a_u_and_a_second_descent_below_it():
    squares = theory.coefficients(CONFIG.features, CONFIG.decay, CONFIG.noise)
    exact = np.array(
        [theory.test_error(CONFIG.samples, p, squares, CONFIG.noise) for p in range(1, 101)]
    )
    first = exact[: CONFIG.samples - 2].min()
    assert exact[0] > first < exact[CONFIG.samples - 3]
    assert exact[CONFIG.samples + 2 :].min() < first


def test_a_small_run_agrees_and_its_control_is_judged_by_the_same_rule(record):
    rows = record.results["rows"]
    assert record.status in ("supported", "undecided")
    assert [row["used"] for row in rows] == [2, 5, 7, 20, 30]
    assert all(abs(row["z"]) < 3 for row in rows)
    assert {"exact", "limit", "ridge"} < set(record.results["curves"])
    assert all(law["lines"] for law in record.results["laws"])


def judged(z: float, control: float) -> str:
    rows = [
        {"used": 3, "z": z, "z_of_control": control},
        {"used": 4, "z": 0.0, "z_of_control": 0.0},
    ]
    squares = theory.coefficients(CONFIG.features, CONFIG.decay, CONFIG.noise)
    return experiment.outcome(CONFIG, squares, rows).status


def test_a_miss_refutes_and_a_blind_control_decides_nothing():
    assert judged(2.9, 5.0) == "supported"
    assert judged(-3.1, 5.0) == "refuted"
    assert judged(0.5, 2.0) == "undecided"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"widths": (2, 48)}, r"within 5 of samples = 50"),
        ({"widths": (0,)}, "between 1 and features"),
        ({"widths": (101,)}, "between 1 and features"),
        ({"widths": ()}, "between 1 and features"),
        ({"widths": (2, 2)}, "twice"),
        ({"noise": 0.0}, "between 0 and 1"),
        ({"draws": 1}, "at least 2"),
        ({"block": 0}, "block"),
    ],
)
def test_a_configuration_without_an_answer_is_refused(change, said):
    with pytest.raises(UsageError, match=said):
        experiment.check(replace(CONFIG, **change))


def test_the_figure_is_the_same_byte_for_byte(record, tmp_path):
    paths = [figures.risk(record, tmp_path / f"{name}.svg") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_experiment_is_found_by_name():
    assert load("double_descent") is experiment.EXPERIMENT
