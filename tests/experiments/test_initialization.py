"""Gradients against explicit products, levels against enumeration, judges on known data."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab.experiment import Record, execute, load
from diffkit.numeric.statistics import at_zero
from experiments.initialization import config as configs
from experiments.initialization import run as experiment
from experiments.initialization.figures import FIGURES
from experiments.initialization.measure import finite_width as tangents
from experiments.initialization.measure import minima as descents
from experiments.initialization.measure import propagation
from experiments.initialization.parts import factor, finite_width, minima, phase, starts, training
from experiments.initialization.report import numbers
from experiments.initialization.theory import minima as levels
from experiments.initialization.theory import propagation as theory

SMALL = (
    *("--factor.activations", "relu,tanh", "--factor.designs", "x*erf(x)"),
    *("--factor.widths", "8,16", "--factor.networks", "40", "--factor.depth", "4"),
    *("--phase.activations", "erf", "--phase.widths", "16,32", "--phase.networks", "64"),
    *("--phase.weights", "0.5,1,2,4,8", "--phase.biases", "0.3", "--phase.depth", "12"),
    *("--finite_width.widths", "4,8", "--finite_width.networks", "400"),
    *("--finite_width.depth", "3", "--training.depth", "3", "--training.width", "8"),
    *("--training.pairs", ",".join((*training.NEEDED, "swish critical"))),
    *("--training.depths", "2,3", "--training.seeds", "4", "--training.steps", "20"),
    *("--training.starts.widths", "2,4", "--training.starts.networks", "10"),
    *("--training.starts.steps", "20"),
    *("--minima.widths", "1,2", "--minima.starts", "20", "--minima.wells", "200"),
)


#: A small run of the experiment, every part.
SLOW_FIXTURES = ("record",)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    ledger = tmp_path_factory.mktemp("ledger") / "runs.sqlite"
    return execute("initialization", "quick", SMALL, ledger_path=ledger, stream=None)


def test_a_gradient_is_the_product_of_the_layers():
    rows = propagation.rows_of([jnp.tanh, jax.nn.relu], [1.2, 0.7], [0.3, 0.0], [1.0, 2.0])
    found, square = propagation.log_gradients(
        rows, width=3, depth=3, inputs=1, networks=range(2), seed=4
    )
    assert found.shape == (2, 3, 2)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(4), 3), 1)
    of_start, of_functional, of_layers = jax.random.split(key, 3)
    for row, (phi, slope) in enumerate(
        [(np.tanh, lambda h: 1 - np.tanh(h) ** 2), (lambda h: np.maximum(h, 0), lambda h: h > 0)]
    ):
        h = np.sqrt([1.0, 2.0][row]) * np.asarray(jax.random.normal(of_start, (1, 3)))
        passed, weights = [h], []
        for layer_key in jax.random.split(of_layers, 2):
            of_weights, of_biases = jax.random.split(layer_key)
            w = [1.2, 0.7][row] * np.asarray(jax.random.normal(of_weights, (3, 3))) / np.sqrt(3)
            b = [0.3, 0.0][row] * np.asarray(jax.random.normal(of_biases, (3,)))
            weights.append(w)
            passed.append(phi(passed[-1]) @ w + b)
        g = np.asarray(jax.random.normal(of_functional, (1, 3))) / np.sqrt(3)
        expected = [np.log(np.sum(g**2))]
        for h, w in zip(passed[1::-1], weights[::-1], strict=True):
            g = (g @ w.T) * slope(h)
            expected.append(np.log(np.sum(g**2)))
        assert np.allclose(found[1, :, row], expected[::-1], atol=2e-5)
        assert square[1, row] == pytest.approx(np.mean(passed[-1] ** 2), rel=1e-5)


def test_a_network_does_not_depend_on_the_block_it_is_measured_in():
    rows = propagation.rows_of([jnp.sin], [1.0], [0.1], [1.0])
    ask = {"width": 4, "depth": 5, "inputs": 2, "seed": 0}
    first, _ = propagation.log_gradients(rows, networks=range(2), **ask)
    later, _ = propagation.log_gradients(rows, networks=range(1, 3), **ask)
    assert np.allclose(first[1], later[0], atol=1e-5)
    assert not np.allclose(first[0], later[0], atol=1e-1)


def test_a_tangent_is_that_of_finite_differences_on_a_piece_of_the_network():
    # ReLU networks are homogeneous: along the input itself the tangent is the output
    logs = tangents.log_tangents(width=6, depth=2, networks=300, seed=0)
    assert logs.shape == (300, 2)
    alive = np.isfinite(logs)
    assert np.all(alive[:, 0] >= alive[:, 1])  # what is dead stays dead
    assert abs(np.exp(logs[alive[:, 0], 0]).mean() - 1) < 0.3


def test_the_line_through_weighted_points_is_that_of_polyfit(rng):
    x, y, errors = np.array([0.1, 0.2, 0.4]), rng.normal(size=3), np.array([0.1, 0.2, 0.3])
    coefficients, covariance = np.polyfit(x, y, 1, w=1 / errors, cov="unscaled")
    value, error = at_zero(x, y, errors)
    assert value == pytest.approx(coefficients[1])
    assert error == pytest.approx(np.sqrt(covariance[1, 1]))


def test_the_levels_are_the_losses_of_all_ways_to_merge_corners():
    targets, found = np.array(levels.EITHER, float), set()
    for labels in product(range(4), repeat=4):
        answers = np.array([targets[np.array(labels) == k].mean() for k in labels])
        found.add(round(float(np.mean((answers - targets) ** 2)), 12))
    assert sorted(found) == [round(level, 12) for level in levels.levels()]
    assert levels.one_unit_level() == pytest.approx(2 / 3)


def test_one_unit_ends_no_lower_than_its_level_and_two_solve_it():
    one = descents.final_losses(1, starts=20, steps=3000, seed=1)
    two = descents.final_losses(2, starts=20, steps=3000, seed=1)
    assert one.min() > levels.one_unit_level() - 1e-3
    assert two.min() < 1e-6


def test_small_steps_stay_in_their_basin_and_a_jump_leaves_it():
    starts = np.linspace(-2, 2, 81)
    low, middle, high = levels.stationary_points()
    (ends,) = descents.ends(lambda x: x**3 - x + 0.2, starts, [0.05])
    assert np.allclose(ends[starts < middle], low)
    assert np.allclose(ends[starts > middle], high)
    assert 0.05 < levels.jumping_rate() < 0.1
    (ends,) = descents.ends(lambda x: x**3 - x + 0.2, starts, [0.7])
    assert np.any(ends[starts > middle] < middle)


@pytest.mark.parametrize(("scheme", "units"), [("random", 6), ("equal", 1), ("zero", 1)])
def test_equal_units_stay_equal(scheme, units):
    assert descents.distinct_units(scheme, width=6, steps=50, seed=0)[0] == units


def test_the_edge_of_erf_is_its_closed_form_and_that_of_small_signals_another():
    weight, bias = theory.laws()
    assert theory.edge("erf", bias.at(q=0.5)) == pytest.approx(weight.at(q=0.5), rel=1e-6)
    assert theory.small_signal_edge("erf") == pytest.approx(np.pi / 4)
    assert theory.small_signal_edge("tanh") == 1.0


def test_the_control_of_the_factor_is_the_mean_slope():
    # E[1 - tanh^2] by Monte Carlo
    z = np.random.default_rng(0).standard_normal(1_000_000)
    mean = np.mean(1 - np.tanh(z) ** 2)
    assert theory.mean_slope_factor("tanh", 1.5, 1.0) == pytest.approx(2.25 * mean**2, rel=3e-3)
    assert theory.mean_slope_factor("relu", 2**0.5, 3.0) == pytest.approx(0.5)


FACTOR = configs.Factor(widths=(64, 128), tolerance=0.01)


def judged_factor(measured: float, error: float, control: float = 0.8) -> str:
    growth = np.log(measured) + error * np.array([-1, 1] * 50) / np.sqrt(0.99)
    row = {"activation": "tanh", "kind": "given", "predicted": 1.0, "control": control}
    return factor.part_of(FACTOR, [factor.judge(FACTOR, row, [growth, growth])]).status


def test_a_factor_that_misses_refutes_and_scatter_or_a_blind_control_decide_nothing():
    assert judged_factor(1.005, 0.01) == "supported"
    assert judged_factor(1.02, 0.01) == "refuted"
    assert judged_factor(1.0, 0.2) == "undecided"
    assert judged_factor(1.03, 0.1) == "undecided"  # off, and within three standard errors
    assert judged_factor(1.0, 0.01, control=1.001) == "undecided"


def test_a_moment_that_misses_refutes():
    row = {"width": 8, "z": {"mean": 1.0, "variance": -2.9}, "z_of_control": 9.0}
    asked = configs.FiniteWidth()
    assert finite_width.part_of(asked, [row]).status == "supported"
    assert finite_width.part_of(asked, [{**row, "z": {"mean": 3.1}}]).status == "refuted"
    assert finite_width.part_of(asked, [{**row, "z_of_control": 1.0}]).status == "undecided"


def test_a_boundary_is_where_the_growth_crosses_zero_once():
    weights = np.linspace(1, 3, 9)
    assert phase.crossing(weights, np.log(weights / 2.1), "erf", 0.1) == pytest.approx(
        2.1, abs=5e-3
    )
    for growth in (np.ones(9), np.cos(4 * weights)):
        with pytest.raises(UsageError, match=r"widen phase\.weights"):
            phase.crossing(weights, growth, "erf", 0.1)


def rows_of_training(relu_he, relu_glorot):
    rows = {}
    for phi in training.CLAIMED:
        for name in ("he", "glorot"):
            values = [0.5 + 0.01 * k for k in range(8)]
            if phi == "relu":
                values = relu_he if name == "he" else relu_glorot
            count = sum(value >= 0.2 for value in values)
            rows[phi, name] = {"train": values, "test": values, "successes": count}
            rows[phi, name]["log10_gradient"] = -4.0
    return rows


def test_he_must_learn_more_than_glorot():
    asked, rates = configs.Training(), [np.full(8, 0.2), np.full(8, 0.1)] * 2
    good, bad = [0.5 + 0.01 * k for k in range(8)], [0.1 + 0.001 * k for k in range(8)]
    asked = replace(asked, depths=(2, 4))
    shallow = rows_of_starts(asked.starts, [0.1, 0.02, 0.01])
    part = training.part_of(asked, rows_of_training(good, bad), rates[:2], shallow)
    verdicts = {claim.id: claim.verdict for claim in part.claims}
    assert part.status == "supported"
    assert verdicts == {
        "C009": "confirmed", "C089": "mixed", "C096": "confirmed", "C097": "mixed",
    }  # fmt: skip
    for he, glorot in ((bad, good), (good, good)):
        refuted = training.part_of(asked, rows_of_training(he, glorot), rates[:2], shallow)
        assert refuted.status == "refuted"


def rows_of_starts(asked, good, others=None):
    """Accuracies spread evenly about a half: by `good` at each width, by `others` if not good."""
    unit, rows = np.linspace(-0.5, 0.5, 41), []
    for name, rate in product(asked.initialisers, asked.rates):
        is_good = (name, rate) == (asked.initialisers[0], asked.rates[0])
        for width, spread in zip(asked.widths, good if is_good else others or good, strict=True):
            test = (0.5 + spread * unit).tolist()
            row = {"initialiser": name, "rate": rate, "width": width, "test": test}
            rows.append({**row, "median": 0.5, "spread": spread / 2})
    return rows


@pytest.mark.parametrize(
    ("good", "others", "verdict"),
    [
        ((0.1, 0.02, 0.01), None, "confirmed"),
        ((0.1, 0.02, 0.01), (0.1, 0.02, 0.011), "confirmed"),  # no difference that is seen
        ((0.1, 0.02, 0.01), (0.1, 0.1, 0.1), "mixed"),
        ((0.01, 0.02, 0.1), (0.5, 0.5, 0.5), "refuted"),
        ((0.1, 0.1, 0.1), None, "undecided"),
    ],
)
def test_networks_perform_alike_where_their_accuracies_close_up(good, others, verdict):
    asked = configs.Starts()
    found = starts.claim(asked, rows_of_starts(asked, good, others))
    assert (found.id, found.verdict) == ("C009", verdict)
    assert f"{50 * good[-1]:.1f} points about 50 % with 64" in found.evidence


def test_ends_off_the_levels_refute_and_counts_decide_the_claims():
    asked = configs.Minima(widths=(1, 2, 4), starts=100)
    losses = {1: np.full(100, 2 / 3), 2: np.repeat([0.0, 0.5], [80, 20]), 4: np.zeros(100)}
    rows = [minima.by_width(asked, width, values) for width, values in losses.items()]
    share = levels.trapped_share()
    wells = [
        {"rate": r, "share": s, "trapped": int(4000 * s)} for r, s in ((0.01, share), (0.5, 0.1))
    ]
    units = {"random": 8, "equal": 1, "zero": 1}
    alike = {name: {"units": count, "slope": 0.0} for name, count in units.items()}
    part = minima.part_of(asked, rows, wells, alike)
    assert part.status == "supported"
    assert {c.id: c.verdict for c in part.claims} == {
        "C008": "confirmed", "C064": "confirmed", "C071": "confirmed", "C126": "confirmed",
    }  # fmt: skip
    strange = [minima.by_width(asked, 2, np.full(100, 0.3)), *rows]
    assert minima.part_of(asked, strange, wells, alike).status == "refuted"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--parts", "phases"), "did you mean phase"),
        (("--factor.widths", "64"), "two or more different widths"),
        (("--phase.weights", "2,1"), "must rise"),
        (("--phase.biases", "0"), "biases > 0"),
        (("--finite_width.depth", "1"), "depth >= 2"),
        (("--training.pairs", "relu he"), "lacks 'relu glorot'"),
        (("--training.seeds", "5"), "even number of seeds"),
        (("--training.pairs", "relu he,tahn he"), "did you mean tanh"),
        (("--training.pairs", "relu normal x"), "'normal x'; write normal and a number"),
        (("--training.starts.widths", "64,4"), r"training\.starts\.widths must rise"),
        (("--training.starts.networks", "9"), r"training\.starts\.networks = 9; give 10"),
        (("--training.starts.batch", "4000"), r"training\.starts\.batch = 4000; give 1347"),
        (("--training.starts.initialisers", "he"), "two or more, a good one first"),
        (("--training.starts.initialisers", "he,glrot"), "did you mean glorot"),
        (("--minima.rates", "0.5,0.7"), "no step jumps"),
    ],
)
def test_a_configuration_without_an_answer_is_refused(words, said, tmp_path):
    part = words[0].strip("-").partition(".")[0]
    chosen = () if part == "parts" else ("--parts", part)
    with pytest.raises((UsageError, UnknownNameError), match=said):
        execute(
            "initialization", "quick", (*chosen, *words), ledger_path=tmp_path / "l", stream=None
        )


@pytest.mark.slow
@pytest.mark.timeout(600)  # nine training programs are compiled
def test_a_small_run_has_every_part_figure_and_number(record: Record, tmp_path: Path):
    assert [row["name"] for row in record.results["parts"]] == list(experiment.PARTS)
    assert set(numbers(record)) == set(experiment.PARTS)
    for name, draw in FIGURES.items():
        paths = [draw(record, tmp_path / f"{name}-{k}.svg") for k in range(2)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    decided = {claim["id"] for claim in record.results["claims"]}
    assert decided == {"C008", "C009", "C064", "C071", "C089", "C090", "C096", "C097", "C126"}


def test_the_experiment_is_found_by_name():
    assert load("initialization") is experiment.EXPERIMENT
