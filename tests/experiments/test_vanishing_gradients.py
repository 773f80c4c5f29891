"""The measurement against an explicit product of Jacobians, the judge against known networks."""

import importlib
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.experiment import Record, execute, load
from experiments.vanishing_gradients import figures
from experiments.vanishing_gradients.config import Config
from experiments.vanishing_gradients.measure import depth as measure
from experiments.vanishing_gradients.parts import depth
from experiments.vanishing_gradients.theory import depth as theory

SMALL = ("--activations", "tanh,relu", "--initialisers", "lecun,he", "--width", "24")
SMALL += ("--parts", "depth", "--depth", "6", "--networks", "4", "--block", "2", "--batch", "2")
SLOPES = {"tanh": lambda h: 1 - np.tanh(h) ** 2, "relu": lambda h: (h > 0).astype(float)}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger") / "runs.sqlite"


@pytest.fixture(scope="module")
def record(ledger: Path) -> Record:
    return execute("vanishing_gradients", "quick", SMALL, ledger_path=ledger, stream=None)


@pytest.mark.parametrize("name", sorted(SLOPES))
def test_the_gradients_are_the_product_of_the_jacobians(name: str):
    sizes = measure.Sizes(features=3, width=3, depth=3)
    # With this key some units of each layer are alive, so that no ReLU gradient is all zero.
    weights, functional = measure._sample("he", sizes, 2, jax.random.key(1))
    x = jax.random.normal(jax.random.key(6), (2, 3))
    log_square, found = measure.layer_gradients(name, sizes, weights, x, functional)

    first = np.asarray(weights["first"]["kernel"][...], dtype=float)
    hidden = np.asarray(weights["stacks"][0]["layers"]["linear"]["kernel"][...], dtype=float)
    phi = {"tanh": np.tanh, "relu": lambda h: np.maximum(h, 0)}[name]
    h_1 = np.asarray(x, dtype=float) @ first
    h_2 = phi(h_1) @ hidden[0]
    for sample in range(2):
        c = np.asarray(functional, dtype=float)[sample]
        step_1 = np.diag(SLOPES[name](h_1[sample])) @ hidden[0]
        step_2 = np.diag(SLOPES[name](h_2[sample])) @ hidden[1]
        expected = np.stack([step_1 @ step_2 @ c, step_2 @ c, c])
        scale = np.abs(expected).max()
        assert np.abs(np.asarray(found)[:, sample] - expected).max() < 1e-5 * scale
    squares = np.sum(np.asarray(found, dtype=float) ** 2, axis=(1, 2))
    assert np.allclose(log_square, np.log(squares / squares[-1]), atol=1e-5)


def test_a_jacobian_without_its_slopes_is_not_the_gradient():
    sizes = measure.Sizes(features=3, width=3, depth=3)
    weights, functional = measure._sample("he", sizes, 2, jax.random.key(5))
    x = jnp.ones((2, 3))
    _, found = measure.layer_gradients("tanh", sizes, weights, x, functional)
    kernels = np.asarray(weights["stacks"][0]["layers"]["linear"]["kernel"][...])
    assert not np.allclose(
        found[0], np.asarray(functional) @ kernels[1].T @ kernels[0].T, rtol=0.01
    )


def test_gradients_beyond_float32_are_refused_and_not_recorded():
    with pytest.raises(UsageError, match="float32; use fewer layers"):
        measure.gradients(
            ["sigmoid"],
            "lecun",
            np.ones((1, 4)),
            measure.Sizes(4, 8, 90),
            networks=[0],
            seed=0,
            layers=[1],
        )


def test_the_weights_of_a_network_do_not_depend_on_the_block():
    config = Config(activations=("relu",), width=8, depth=3, networks=4, block=4, batch=1)
    images = depth.inputs(config)
    whole = depth.cell(config, images, "lecun", 0)["relu log_square"]
    half = depth.cell(replace(config, block=2), images, "lecun", 2)["relu log_square"]
    np.testing.assert_array_equal(whole[2:], half)


def blocks(profile: list[float], scatter: float = 0.01) -> list[dict[str, np.ndarray]]:
    """One block of 16 networks that follow `profile` up to a small scatter."""
    noise = scatter * np.random.default_rng(0).normal(size=(16, len(profile)))
    noise[:, -1] = 0
    counts = np.ones((4, len(measure.EDGES) - 1), dtype=int)
    log_square = np.array(profile) + noise
    return [{"tanh log_square": log_square, "tanh counts": counts, "tanh zeros": np.zeros(4)}]


def test_networks_that_follow_the_theory_agree_and_the_control_fails():
    config = Config()
    row = depth.judge(config, "tanh", "he", blocks(theory.log_profile("tanh", 2**0.5, 30)))
    assert row["agrees"]
    assert not row["control_agrees"]
    assert depth.part(config, [row]).status == "supported"


def test_networks_that_follow_the_steepest_slope_refute_the_theory():
    config = Config()
    row = depth.judge(config, "tanh", "he", blocks(theory.control_profile("tanh", 2**0.5, 30)))
    assert not row["agrees"]
    assert row["control_agrees"]
    assert depth.part(config, [row]).status == "refuted"


def test_a_control_that_is_not_refuted_leaves_the_question_undecided():
    config = Config(allowance=500.0)
    row = depth.judge(config, "tanh", "he", blocks(theory.log_profile("tanh", 2**0.5, 30)))
    assert row["control_agrees"]
    assert depth.part(config, [row]).status == "undecided"


def test_the_jackknife_of_equal_networks_is_zero_and_their_mean_exact():
    value, error = depth.log_mean(np.tile([-3.0, 0.0], (5, 1)))
    assert value.tolist() == [-3.0, 0.0]
    assert error.tolist() == [0.0, 0.0]


def test_the_jackknife_is_the_standard_error_of_the_mean(rng: np.random.Generator):
    # For a small scatter the logarithm is linear: SE = sd / sqrt(networks).
    sample = 1e-4 * rng.normal(size=(40, 1))
    _, error = depth.log_mean(sample)
    assert error[0] == pytest.approx(sample.std(ddof=1) / np.sqrt(40), rel=1e-3)


def test_a_small_run_records_every_cell_and_is_read_the_second_time(record: Record, ledger: Path):
    assert record.cells == 4  # two initialisers, two blocks
    assert len(record.results["depth"]["rows"]) == 4
    stream = io.StringIO()
    again = execute("vanishing_gradients", "quick", SMALL, ledger_path=ledger, stream=stream)
    assert again == record
    assert "done in an earlier run" in stream.getvalue()


def test_histograms_count_every_entry(record: Record):
    for row in record.results["depth"]["rows"]:
        for each in row["histograms"]:
            # networks * batch * width entries of a layer
            assert sum(each["counts"]) + each["zeros"] == 4 * 2 * 24


@pytest.mark.parametrize("name", ["histograms", "profile"])
def test_a_figure_is_the_same_byte_for_byte(name: str, record: Record, tmp_path: Path):
    first = figures.FIGURES[name](record, tmp_path / "a.svg").read_bytes()
    again = Record.from_dict(record.to_dict())
    assert figures.FIGURES[name](again, tmp_path / "b.svg").read_bytes() == first
    assert record.address[:12].encode() in first


def test_the_presets_are_in_order_of_size():
    sizes = [preset.config.width for preset in load("vanishing_gradients").presets.values()]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(("side", "forbidden"), [("measure", "sympy"), ("theory", "jax")])
def test_theory_and_measurement_share_no_library(side: str, forbidden: str):
    package = f"experiments.vanishing_gradients.{side}"
    folder = Path(importlib.import_module(package).__file__).parent
    names = ", ".join(f"{package}.{file.stem}" for file in sorted(folder.glob("[a-z]*.py")))
    code = f"import sys, {names}; sys.exit('{forbidden}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
