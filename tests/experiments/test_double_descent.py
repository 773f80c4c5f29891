"""The measured test errors against a pseudo-inverse, the judge against known numbers."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab.experiment import Record, execute, load
from experiments.double_descent import report
from experiments.double_descent import run as experiment
from experiments.double_descent.config import Config
from experiments.double_descent.figures import FIGURES
from experiments.double_descent.measure import exact as measure
from experiments.double_descent.measure import least_squares
from experiments.double_descent.parts import exact
from experiments.double_descent.theory import exact as theory

SMALL = ("--parts", "exact", "--samples", "12", "--features", "30", "--widths", "2,5,7,20,30")
SMALL += ("--draws", "300", "--block", "100")
CONFIG = Config()


#: A small run of the experiment, every part.
SLOW_FIXTURES = ("record",)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger") / "runs.sqlite"


@pytest.fixture(scope="module")
def record(ledger: Path) -> Record:
    return execute("double_descent", "quick", SMALL, ledger_path=ledger, stream=None)


def errors(**changes):
    asked = {"samples": 8, "widths": (1, 5, 8, 20), "draws": range(3), "seed": 1, **changes}
    return measure.errors(theory.coefficients(20, 0.75, 0.1), 0.1, **asked)["test"]


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
    right = least_squares.least_norm
    monkeypatch.setattr(least_squares, "least_norm", wrong)
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
    found = record.results["exact"]
    rows = found["rows"]
    assert record.status in ("supported", "undecided")
    assert [row["used"] for row in rows] == [2, 5, 7, 20, 30]
    assert all(abs(row["z"]) < 3 for row in rows)
    assert all(abs(row.get("z_of_training", 0)) < 3 for row in rows)
    assert {"exact", "limit", "ridge"} < set(found["curves"])
    assert all(law["lines"] for law in found["laws"])
    assert [part["name"] for part in record.results["parts"]] == ["exact"]


def test_the_training_error_is_the_mean_square_of_the_residuals():
    squares = theory.coefficients(20, 0.75, 0.1)
    sizes = {"samples": 8, "widths": (5, 20), "draws": range(1), "seed": 1}
    found = measure.errors(squares, 0.1, **sizes)["training"]
    with jax.enable_x64(True):
        key = jax.random.key(1)
        x, y = map(np.asarray, least_squares.training_set(key, 0, np.sqrt(squares), 0.1, 8))
    expected = np.sum((y - x[:, :5] @ np.linalg.lstsq(x[:, :5], y)[0]) ** 2) / 8
    assert found[0, 0] == pytest.approx(expected, rel=1e-9)
    assert found[0, 1] < 1e-20


def claims(training_beyond: float, peak: float) -> dict[str, str]:
    """The verdicts for 50 training sets whose mean errors are given, with a little noise."""
    config = replace(CONFIG, samples=20, features=60, widths=(1, 4, 12, 15, 25, 60))
    squares = theory.coefficients(60, 0.75, 0.05)
    noise = 0.01 * np.random.default_rng(0).standard_normal((50, 6))
    test = np.array([0.9, 0.5, 0.6, peak, peak, 0.4]) + noise
    training = np.array([0.8, 0.4, 0.2, 0.1, training_beyond, training_beyond]) + 0 * noise
    return {c.id: c.verdict for c in exact.claims(config, squares, test, training)}


def test_the_claims_are_decided_by_the_errors():
    assert claims(1e-25, 3.0) == {"C059": "confirmed", "C060": "confirmed"}
    assert claims(0.05, 3.0)["C059"] == "refuted"  # nothing is interpolated
    assert claims(1e-25, 0.3)["C060"] == "refuted"  # no peak: lower than the first minimum


def test_the_report_formats_what_the_record_holds(record):
    found = report.numbers(record)
    assert set(found) == {"exact"}
    assert found["exact"]["within_three"] == "all 5"
    assert {row["id"] for row in record.results["claims"]} == {"C059", "C060"}


def test_an_unknown_part_is_refused(ledger):
    with pytest.raises(UnknownNameError, match="the parts are exact"):
        execute("double_descent", "quick", ("--parts", "exakt"), ledger_path=ledger, stream=None)


def judged(z: float, control: float) -> str:
    rows = [
        {"used": 3, "z": z, "z_of_control": control},
        {"used": 4, "z": 0.0, "z_of_control": 0.0},
    ]
    squares = theory.coefficients(CONFIG.features, CONFIG.decay, CONFIG.noise)
    return exact.finding(CONFIG, squares, rows).status


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
        exact.check(replace(CONFIG, **change))


def test_the_figure_is_the_same_byte_for_byte(record, tmp_path):
    paths = [FIGURES["risk"](record, tmp_path / f"{name}.svg") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_experiment_is_found_by_name():
    assert load("double_descent") is experiment.EXPERIMENT
