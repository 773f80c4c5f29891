"""Random features against NumPy's least squares, their theory against sampling, the claims."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.experiment import Record, execute
from experiments.double_descent import report
from experiments.double_descent.config import RandomFeatures
from experiments.double_descent.figures import FIGURES
from experiments.double_descent.measure import random_features as measure
from experiments.double_descent.parts import digits_claims, random_features
from experiments.double_descent.theory import random_features as theory

SMALL = (
    "--parts", "random_features", "--random_features.samples", "60",
    "--random_features.widths", "20,60,80,400", "--random_features.label_noise", "0,0.2",
    "--random_features.pairs", "2", "--random_features.gaussian_widths", "100,200",
    "--random_features.gaussian_pairs", "2", "--random_features.kernels", "50",
    "--random_features.kernel_samples", "20", "--random_features.grid_samples", "50,100",
    "--random_features.grid_widths", "25,150", "--random_features.grid", "2",
)  # fmt: skip
CONFIG = RandomFeatures()


#: A small run of the experiment, every part.
SLOW_FIXTURES = ("record",)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    ledger = tmp_path_factory.mktemp("ledger") / "runs.sqlite"
    return execute("double_descent", "quick", SMALL, ledger_path=ledger, stream=None)


@pytest.fixture(scope="module")
def tiny() -> measure.Digits:
    """Points in three dimensions instead of digits: fast, and with a kernel that is not trivial."""
    rng = np.random.default_rng(0)
    pool, test = rng.uniform(size=(14, 3)), rng.uniform(size=(9, 3))
    return measure.Digits(pool, test, rng.integers(0, 10, 14), rng.integers(0, 10, 9))


@pytest.fixture(scope="module")
def found(tiny):
    sizes = {"samples": 8, "widths": (4, 8, 20), "label_noise": (0.0, 0.5)}
    return measure.cosine(tiny, **sizes, repetitions=range(2), seed=3)


def features(tiny, rows, count=20):
    """Cosine features of the second member of pair 1, rebuilt from its random streams."""
    with jax.enable_x64(True):
        key = jax.random.split(jax.random.fold_in(jax.random.key(3), 1))[1]
        of_features = jax.random.split(key, 3)[2]
        of_v, of_u = jax.random.split(of_features)
        v = np.asarray(jax.random.normal(of_v, (count, 3))) / tiny.scale
        u = np.asarray(jax.random.uniform(of_u, (count,), maxval=2 * np.pi))
    return [np.sqrt(2) * np.cos(x @ v.T + u) for x in (tiny.pool[rows], tiny.test)]


def test_the_errors_are_those_of_numpys_least_squares(tiny, found):
    x, new = features(tiny, found["rows"][1, 1])
    for level in range(2):
        targets = np.eye(10)[found["labels"][1, 1, level]]
        for place, N in enumerate((4, 8, 20)):
            w = np.linalg.lstsq(x[:, :N], targets)[0]
            predicted = new[:, :N] @ w
            squared = np.mean(np.sum((predicted - np.eye(10)[tiny.truth]) ** 2, axis=1))
            wrong = np.mean(predicted.argmax(axis=1) != tiny.truth)
            at = (1, 1, place, level)
            assert found["squared"][at] == pytest.approx(squared, rel=1e-6)
            assert found["wrong"][at] == pytest.approx(wrong)
            assert found["norm"][at] == pytest.approx(np.sqrt(N) * np.linalg.norm(w), rel=1e-6)


@pytest.mark.statistical
def test_the_error_of_the_kernel_has_its_exact_mean(tiny):
    """Fails by chance with probability 1.3e-4: two widths at 4 standard errors."""
    found = measure.kernels(tiny, samples=6, widths=(5, 40), repetitions=range(2000), seed=1)
    exact, control = (
        np.array([rule(tiny.pool[row], tiny.scale, (5, 40)) for row in found["rows"]])
        for rule in (theory.kernel_error, theory.product_error)
    )
    error = np.std(found["kernel"] - exact, axis=0) / np.sqrt(2000)
    assert np.all(np.abs((found["kernel"] - exact).mean(axis=0)) < 4 * error)
    assert np.all(np.abs((found["kernel"] - control).mean(axis=0)) > 4 * error)


def test_bias_and_variance_of_a_pair_add_up_to_its_mean_error(found):
    mean = found["squared"].mean(axis=1)
    assert np.allclose(found["bias"] + found["variance"], mean, rtol=1e-9)


def test_a_repetition_does_not_depend_on_its_block(tiny, found):
    sizes = {"samples": 8, "widths": (4, 8, 20), "label_noise": (0.0, 0.5)}
    alone = measure.cosine(tiny, **sizes, repetitions=range(1, 2), seed=3)
    assert all(np.allclose(alone[name][0], found[name][1]) for name in found)


def test_wrong_labels_are_other_labels_in_the_share_asked_for():
    labels = np.arange(5000) % 10
    clean, some, all_ = measure._with_noise(jax.random.key(0), labels, (0.0, 0.2, 1.0))
    assert np.array_equal(clean, labels)
    assert np.mean(some != labels) == pytest.approx(0.2, abs=0.02)  # 3.5 standard errors
    assert np.all(all_ != labels)
    assert np.all((some == labels) | (some == all_))


@pytest.fixture(scope="module")
def regression() -> tuple[theory.Regression, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    inputs, test = rng.uniform(size=(40, 4)), rng.uniform(size=(30, 4))
    task = theory.Regression(inputs, test, 0.4)
    return task, rng.standard_normal((40, 2)), rng.standard_normal((30, 2))


def sampled(task: theory.Regression, targets, truth, N: int, draws: int) -> tuple[float, float]:
    """Mean test error of the least-norm fit with N Gaussian features, and its standard error."""
    rng = np.random.default_rng(N)
    inputs = np.concatenate([task.inputs, task.test])
    root = np.linalg.cholesky(
        np.exp(-np.sum((inputs[:, None] - inputs) ** 2, axis=-1) / (2 * task.scale**2))
        + 1e-12 * np.eye(len(inputs))
    )
    drawn = root @ rng.standard_normal((draws, len(inputs), N))
    fitted = drawn[:, 40:] @ np.linalg.pinv(drawn[:, :40]) @ targets
    errors = np.mean(np.sum((fitted - truth) ** 2, axis=-1), axis=-1)
    return float(errors.mean()), float(errors.std(ddof=1) / np.sqrt(draws))


@pytest.mark.statistical
def test_the_error_beyond_n_is_the_mean_over_gaussian_features(regression):
    """Fails by chance with probability 6e-5: 4 standard errors."""
    task, targets, truth = regression
    mean, error = sampled(task, targets, truth, 60, 2000)
    (exact,) = task.errors([60], targets, truth)
    (first_order,) = task.first_order([60], targets, truth)
    assert abs(mean - exact) < 4 * error
    assert abs(mean - first_order) > 4 * error  # the control


def test_the_equivalent_before_n_is_near_the_mean_over_gaussian_features(regression):
    task, targets, truth = regression
    mean, error = sampled(task, targets, truth, 20, 2000)
    (equivalent,) = task.errors([20], targets, truth)
    assert abs(mean - equivalent) < 0.05 * mean + 4 * error
    assert abs(mean - task.kernel_limit(targets, truth)) > 0.2 * mean


def test_the_error_tends_to_that_of_the_kernel_interpolator(regression):
    task, targets, truth = regression
    near, far = (
        np.exp(-np.sum((x[:, None] - task.inputs) ** 2, axis=-1) / (2 * task.scale**2))
        for x in (task.inputs, task.test)
    )
    expected = np.mean(np.sum((far @ np.linalg.solve(near, targets) - truth) ** 2, axis=1))
    assert task.kernel_limit(targets, truth) == pytest.approx(expected, rel=1e-8)
    assert task.errors([10**12], targets, truth)[0] == pytest.approx(expected, rel=1e-6)
    assert np.isinf(task.errors([39, 40, 41], targets, truth)).all()


def test_the_effective_penalty_leaves_as_many_degrees_of_freedom():
    values = np.geomspace(1e-6, 10, 30)
    for freedom in (1, 10, 29):
        penalty = theory.effective_penalty(values, freedom)
        assert np.sum(values / (values + penalty)) == pytest.approx(freedom, rel=1e-9)


def test_a_small_run_has_its_peak_at_n_and_exact_kernels(record):
    found = record.results["random_features"]
    assert found["peak"]["at"] == 60
    assert all(abs(row["z"]) < 3 for row in found["kernels"])
    judged = [row["features"] for row in found["cosine"] if "predicted" in row]
    assert judged == [20, 80, 400] * 2
    assert found["data"]["name"] == "digits"


def test_the_claims_are_named_once_and_reported(record):
    assert [row["id"] for row in record.results["claims"]] == ["C055", "C058", "C102", "C123"]
    numbers = report.numbers(record)["random_features"]
    assert numbers["peak"]["features"] == "60"
    assert numbers["test"] == "597"


def test_the_figure_is_the_same_byte_for_byte(record, tmp_path: Path):
    paths = [FIGURES["digits"](record, tmp_path / f"{name}.svg") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def grid(table: list[list[float]]) -> np.ndarray:
    """Repetitions of a table of errors, with a little noise."""
    noise = 0.001 * np.random.default_rng(0).standard_normal((10, len(table), len(table[0])))
    return np.array(table) + noise


SIZES = replace(CONFIG, grid_samples=(50, 400), grid_widths=(25, 100, 1000))


def test_a_larger_network_that_is_always_better_refutes_the_need_of_data():
    better = grid([[0.9, 0.5, 0.3], [0.8, 0.4, 0.1]])
    assert digits_claims._complex_networks(SIZES, better, 0 * better).verdict == "refuted"
    assert digits_claims._better_solutions(SIZES, better).verdict == "refuted"


def test_a_larger_network_that_is_worse_with_little_data_confirms_the_need_of_data():
    needs = grid([[0.5, 0.7, 0.9], [0.4, 0.2, 0.1]])
    training = grid([[0.2, 0.1, 0.0], [0.39, 0.0, 0.0]])
    assert digits_claims._complex_networks(SIZES, needs, training).verdict == "confirmed"
    assert digits_claims._better_solutions(SIZES, needs).verdict == "confirmed"


def test_many_parameters_help_at_some_label_noise_only():
    config = replace(CONFIG, samples=300, widths=(100, 300, 3000), label_noise=(0.0, 0.4))
    errors = np.stack([grid([[0.4, 90.0, 0.1]])[:, 0], grid([[0.4, 90.0, 0.8]])[:, 0]], axis=-1)
    assert digits_claims._many_parameters(config, errors).verdict == "mixed"
    assert digits_claims._many_parameters(config, errors[:, :, ::-1] * 0 + 0.1).verdict == "refuted"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pool": 1797}, "test set"),
        ({"samples": 1500}, "test set"),
        ({"widths": (100, 290, 600)}, r"widths \[290\] are within 20"),
        ({"gaussian_widths": (310,)}, "within 20"),
        ({"grid_widths": (60,)}, "within 20"),
        ({"widths": (400, 500)}, "both sides"),
        ({"label_noise": (0.1,)}, "starts with 0"),
        ({"pairs": 1}, "2 or more"),
        ({"block": 0}, "block = 0; give 1"),
    ],
)
def test_a_configuration_without_an_answer_is_refused(change, said):
    with pytest.raises(UsageError, match=said):
        random_features.check(replace(CONFIG, **change))
