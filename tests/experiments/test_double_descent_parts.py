"""Ridge, bias and variance, trained networks: measurements against NumPy, rules against tables."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.experiment import Record, execute
from diffkit.problems.load import load
from experiments.double_descent import report
from experiments.double_descent.config import BiasVariance, Config, Ridge, Trained
from experiments.double_descent.figures import FIGURES
from experiments.double_descent.measure import bias_variance as pairs
from experiments.double_descent.measure import least_squares
from experiments.double_descent.measure import ridge as penalised
from experiments.double_descent.measure import trained as training
from experiments.double_descent.parts import bias_variance, ridge, trained, training_claims
from experiments.double_descent.theory import bias_variance as theory
from experiments.double_descent.theory import exact
from experiments.double_descent.theory import ridge as ridge_theory

SMALL = (
    "--parts", "ridge,bias_variance,trained", "--samples", "12", "--features", "30",
    "--ridge.widths", "3,12,30", "--ridge.draws", "400",
    "--ridge.sizes", "6,9", "--ridge.sizes_draws", "2000",
    "--bias_variance.points", "12", "--bias_variance.degrees", "0,2,5",
    "--bias_variance.penalties", "0.1,10", "--bias_variance.widths", "2,6,20,30",
    "--bias_variance.sizes", "3,6,20", "--bias_variance.pairs", "300",
    "--trained.samples", "20", "--trained.widths", "2,30", "--trained.densities", "1,0.2",
    "--trained.dense_width", "30", "--trained.runs", "4", "--trained.steps", "60",
    "--trained.every", "20",
)  # fmt: skip
CONFIG = Config()


#: A small run of the experiment, every part.
SLOW_FIXTURES = ("record",)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    ledger = tmp_path_factory.mktemp("ledger") / "runs.sqlite"
    return execute("double_descent", "quick", SMALL, ledger_path=ledger, stream=None)


def test_a_ridge_error_is_that_of_the_normal_equations():
    squares = exact.coefficients(10, 0.75, 0.1)
    sizes = {"samples": 6, "widths": (3, 10), "penalties": (0.5, 2.0)}
    found = penalised.errors(squares, 0.1, **sizes, draws=range(2), seed=1)
    with jax.enable_x64(True):
        key = jax.random.key(1)
        data = least_squares.training_set(key, 1, np.sqrt(squares), 0.1, 6)
    x, y = map(np.asarray, data)
    for place, (p, penalty) in enumerate(((3, 0.5), (10, 2.0))):
        b = np.zeros(10)
        b[:p] = np.linalg.solve(x[:, :p].T @ x[:, :p] + penalty * np.eye(p), x[:, :p].T @ y)
        expected = np.sum((b - np.sqrt(squares)) ** 2) + 0.1
        assert found[1, place] == pytest.approx(expected, rel=1e-9)


def test_the_penalty_is_the_best_one_at_every_size():
    """Against the mean error over random matrices at other penalties, the same matrices for all."""
    squares, rng = exact.coefficients(8, 0.75, 0.3), np.random.default_rng(0)
    best = ridge_theory.penalty(6, 8, squares, 0.3)
    x = rng.standard_normal((20_000, 6, 8))
    means = []
    for penalty in (0.7 * best, best, 1.4 * best):
        inverse = np.linalg.inv(np.swapaxes(x, 1, 2) @ x + penalty * np.eye(8))
        off = penalty * inverse @ np.sqrt(squares)
        spread = np.trace(inverse - penalty * inverse @ inverse, axis1=1, axis2=2)
        means.append(np.mean(np.sum(off**2, axis=1) + 0.3 * spread))
    assert means[1] < min(means[0], means[2])


def test_the_extrapolation_finds_the_value_at_infinite_size():
    sizes = (10, 20, 40)
    rows = [
        {"samples": n, "scaled": 0.2 - 0.5 / n, "scaled_error": 0.01, "expected": 0.2}
        for n in sizes
    ]
    found = ridge.extrapolate(rows)
    assert found["measured"] == pytest.approx(0.2)
    assert found["slope"] == pytest.approx(-0.5)
    assert found["z"] == pytest.approx(0, abs=1e-6)
    assert found["z_of_control"] > 3


def test_a_pair_gives_bias_and_variance_of_its_two_estimates():
    design = np.random.default_rng(0).standard_normal((7, 3))
    truth, noise = np.arange(7.0), 0.2
    sizes = {"widths": (2,), "penalties": (1.5,)}
    found = pairs.fixed_design(design, truth, noise, **sizes, pairs=range(3), seed=4)
    with jax.enable_x64(True):
        drawn = jax.random.normal(jax.random.fold_in(jax.random.key(4), 2), (3, 7))
    first, second, new = truth + np.sqrt(noise) * np.asarray(drawn)
    hats = (
        design[:, :2] @ np.linalg.pinv(design[:, :2]),
        design @ np.linalg.solve(design.T @ design + 1.5 * np.eye(3), design.T),
    )
    for place, hat in enumerate(hats):
        a, b = hat @ first - truth, hat @ second - truth
        assert found["bias"][2, place] == pytest.approx(np.mean(a * b))
        assert found["variance"][2, place] == pytest.approx(np.mean((a - b) ** 2) / 2)
        assert found["error"][2, place] == pytest.approx(np.mean((hat @ first - new) ** 2))


def test_gaussian_pairs_are_those_of_the_pseudo_inverse():
    squares = exact.coefficients(9, 0.75, 0.1)
    found = pairs.gaussian(squares, 0.1, sizes=[(4, 9), (12, 3)], pairs=range(2), seed=0)
    with jax.enable_x64(True):
        signal, key = np.sqrt(squares), jax.random.key(0)
        sets = [least_squares.training_set(key, k, signal, 0.1, 12) for k in (2, 3)]
    for place, (n, p) in enumerate(((4, 9), (12, 3))):
        off = []
        for x, y in (map(np.asarray, each) for each in sets):
            off.append(-signal.copy())
            off[-1][:p] += np.linalg.pinv(x[:n, :p]) @ y[:n]
        assert found["bias"][1, place] == pytest.approx(off[0] @ off[1])
        assert found["variance"][1, place] == pytest.approx(np.sum((off[0] - off[1]) ** 2) / 2)


def test_the_exact_parts_are_those_of_hat_matrices():
    x, design = theory.legendre(9, 4)
    target = theory.truth(x)
    for hat, found in (
        (design @ np.linalg.pinv(design), theory.projection(design, target, 0.3)),
        (
            design @ np.linalg.solve(design.T @ design + 2 * np.eye(5), design.T),
            theory.ridge(design, target, 0.3, 2.0),
        ),
    ):
        bias = np.mean((hat @ target - target) ** 2)
        variance = 0.3 * np.sum(hat**2) / 9
        assert found["bias"] == pytest.approx(bias)
        assert found["variance"] == pytest.approx(variance)
        assert found["error"] == pytest.approx(bias + variance + 0.3)
        assert found["control"] == pytest.approx(0.3 * np.trace(hat) / 9)


def test_a_student_has_its_share_of_wrong_labels_and_connections():
    from flax import nnx

    data, task = load("digits"), training.Task(300, 50)
    pool = data.inputs[:900], data.targets[:900]
    clean, noisy = (
        training.Student(task, *pool, nnx.Rngs(jax.random.key(0)), share, 0.4)
        for share in (0.0, 0.3)
    )
    assert np.mean(clean.masks[0][...]) == pytest.approx(0.4, abs=0.04)  # 4.6 standard errors
    differ = np.mean(clean.labels[...] != noisy.labels[...])
    assert differ == pytest.approx(0.3, abs=0.1)  # 3.8 standard errors
    digit = np.asarray(clean.inputs[...][0])
    place = int(np.flatnonzero((pool[0] == digit).all(axis=1))[0])
    assert clean.labels[...][0] == pool[1][place]


def test_a_small_run_is_judged_part_by_part(record):
    assert [part["name"] for part in record.results["parts"]] == [
        "ridge", "bias_variance", "trained",
    ]  # fmt: skip
    assert all(abs(row["z"]) < 3 for row in record.results["ridge"]["rows"])
    rows = record.results["bias_variance"]["gaussian"]
    assert [(row["samples"], row["used"]) for row in rows[:4]] == [
        (12, 2), (12, 6), (12, 20), (12, 30),
    ]  # fmt: skip
    assert [row["density"] for row in record.results["trained"]["sparse"]] == [1, 0.2] * 2
    decided = {row["id"] for row in record.results["claims"]}
    assert {"C035", "C044", "C045", "C046", "C047", "C077", "C103"} <= decided


def test_the_report_formats_every_part(record):
    found = report.numbers(record)
    assert set(found) == {"ridge", "bias_variance", "trained"}
    assert found["trained"]["fitted"] == "200"
    assert found["ridge"]["sizes"] == "6, 9"


@pytest.mark.parametrize("name", ["ridge", "parts", "trained"])
def test_a_figure_is_the_same_byte_for_byte(record, name, tmp_path: Path):
    paths = [FIGURES[name](record, tmp_path / f"{copy}.svg") for copy in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def halves(bias: list[float], variance: list[float]) -> dict[str, np.ndarray]:
    noise = 0.001 * np.random.default_rng(0).standard_normal((50, len(bias)))
    return {"bias": np.array(bias) + noise, "variance": np.array(variance) + noise}


def test_the_claims_of_bias_and_variance_follow_from_the_tables():
    config = replace(
        CONFIG,
        bias_variance=BiasVariance(degrees=(0, 1), widths=(5, 40, 60, 100), sizes=(5, 40, 60, 99)),
    )
    polynomials = halves([0.5, 0.1], [0.01, 0.3])
    width, data = ([0.5, 0.4, 0.3, 0.35], [0.1, 1.0, 1.0, 0.3]), ([0.5] * 4, [0.1, 1.0, 1.0, 0.3])
    gaussian = halves(width[0] + data[0], width[1] + data[1])
    found = {c.id: c.verdict for c in bias_variance.claims(config, polynomials, gaussian)}
    assert found == {
        "C044": "confirmed", "C045": "refuted", "C046": "mixed", "C047": "mixed",
    }  # fmt: skip
    rising = halves([0.5, 0.4, 0.3, 0.2] + data[0], [0.1, 0.2, 0.3, 0.4, 0.4, 0.3, 0.2, 0.1])
    found = {c.id: c.verdict for c in bias_variance.claims(config, polynomials, rising)}
    assert found["C045"] == found["C046"] == found["C047"] == "confirmed"


def curves(test: list[float], training: list[float], fits_at: int = 0) -> dict[str, np.ndarray]:
    """Curves of 20 runs at one label noise, three looks each, with a little noise."""
    noise = 0.001 * np.random.default_rng(len(test)).standard_normal((1, 20, 3))
    wrong = np.where(np.arange(3) >= fits_at, 0.0, 0.5) + np.zeros((1, 20, 3))
    return {
        "test": np.array(test) + noise,
        "validation": np.array(test) + noise[..., ::-1],
        "training": np.array(training) + noise,
        "training_wrong": wrong,
        "test_wrong": np.array(test) + noise,
    }


def decided(widths, densities) -> dict[str, str]:
    config = Trained(widths=(4, 9, 99), densities=(1.0, 0.5, 0.1), label_noise=(0.2,), every=1)
    found = training_claims.decide(config, widths, densities)
    return {claim.id: claim.verdict for claim in found}


def test_the_claims_of_training_follow_from_the_curves():
    rising, falling = [0.5, 0.6, 0.9], [0.9, 0.6, 0.5]
    few, wide = curves(rising, falling, 2), curves([0.4, 0.5, 0.6], falling)
    found = decided([curves(rising, falling, 9), few, wide], [wide, few, few])
    assert found["C077"] == found["C103"] == "confirmed"
    assert found["C024"] == found["C025"] == "mixed"  # slow and rapid, but the wide one is better
    still = curves([0.9, 0.6, 0.5], falling)
    found = decided([still] * 3, [few, wide, curves([0.1] * 3, falling)])
    assert found["C077"] == found["C103"] == "refuted"
    assert found["C035"] == "confirmed"  # the gap falls with the connections


@pytest.mark.parametrize(
    ("check", "change", "said"),
    [
        (ridge.check, {"ridge": Ridge(widths=(0, 5))}, "between 1 and features"),
        (ridge.check, {"ridge": Ridge(widths=(9, 5))}, "rising order"),
        (ridge.check, {"ridge": Ridge(sizes=(8,))}, "two or more sizes"),
        (ridge.check, {"ridge": Ridge(draws=1)}, "at least 2"),
        (bias_variance.check, {"bias_variance": BiasVariance(widths=(2, 48))}, r"\[48\]"),
        (bias_variance.check, {"bias_variance": BiasVariance(widths=(2, 101))}, "between 1"),
        (bias_variance.check, {"bias_variance": BiasVariance(degrees=(3, 2))}, "rising order"),
        (bias_variance.check, {"bias_variance": BiasVariance(degrees=(2, 30))}, "points - 1"),
        (bias_variance.check, {"bias_variance": BiasVariance(noise=0.0)}, "positive"),
    ],
)
def test_a_configuration_without_an_answer_is_refused(check, change, said):
    with pytest.raises(UsageError, match=said):
        check(replace(CONFIG, **change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"widths": (2, 1, 3)}, "rising order"),
        ({"densities": (0.5, 0.1)}, "from 1"),
        ({"densities": (0.1, 1.0)}, "falling order"),
        ({"label_noise": (0.2, 0.0)}, "rising order"),
        ({"runs": 1}, "2 or more runs"),
        ({"every": 7}, "every divides"),
    ],
)
def test_a_training_without_an_answer_is_refused(change, said):
    with pytest.raises(UsageError, match=said):
        trained.check(Trained(**change))
