"""The parts of the experiment beyond depth: measurements by another route, judges on known data."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special

from diffkit.core.errors import UsageError
from diffkit.lab.comparison import Mean
from diffkit.lab.config import as_dict
from diffkit.lab.experiment import Record, execute
from diffkit.lab.outcome import join
from diffkit.problems.synthetic import xor
from experiments.vanishing_gradients import figures, report
from experiments.vanishing_gradients.config import BatchNorm, Config, Recurrent, Training
from experiments.vanishing_gradients.measure import adaptable, trainability
from experiments.vanishing_gradients.measure.memory import adding
from experiments.vanishing_gradients.parts import (
    batch_norm,
    depth_claims,
    memory,
    normalisation_claims,
    recurrent,
    smooth_claim,
    swish_claim,
    trainability_claims,
    training,
)
from experiments.vanishing_gradients.parts import trainability as trainability_part
from experiments.vanishing_gradients.theory import batch_norm as batch_norm_theory
from experiments.vanishing_gradients.theory import memory as memory_theory
from experiments.vanishing_gradients.theory import recurrent as recurrent_theory
from experiments.vanishing_gradients.theory import trainability as trainability_theory

SMALL = (
    "--parts recurrent,batch_norm,training --recurrent.units 6 --recurrent.length 12 "
    "--recurrent.radii 0.8,1.2 --recurrent.networks 3 --recurrent.gate_units 4 "
    "--recurrent.gate_length 8 --recurrent.gate_networks 3 --batch_norm.batches 6 "
    "--batch_norm.factors 1,2 --batch_norm.depth 6 --batch_norm.skip 1 --batch_norm.networks 4 "
    "--training.width 8 --training.layers 2 --training.samples 32 --training.batch 8 "
    "--training.moments 0,4 --training.networks 2 --training.activations tanh"
).split()


# --- recurrent ----------------------------------------------------------------------------------

CONFIG = Recurrent(radii=(0.8,), length=20, units=50, networks=4)
STEPS = np.arange(1, 21)


def plain(rate: float, norm: float) -> dict[str, np.ndarray]:
    logs = np.tile(rate * STEPS, (1, 4, 1)) + 1e-4 * np.arange(4)[:, None] * (STEPS > 5)
    return {"largest": logs, "mean": logs, "norm": np.full((1, 4), norm)}


def test_a_gaussian_cell_at_the_rate_of_its_norm_is_refuted():
    right = recurrent.linear_row(CONFIG, "gaussian", 0, plain(np.log(0.8), 1.5))
    assert right["agrees"]
    assert not right["control_agrees"]
    wrong = recurrent.linear_row(CONFIG, "gaussian", 0, plain(np.log(1.5), 1.5))
    assert not wrong["agrees"]
    assert wrong["control_agrees"]


def test_an_orthogonal_cell_must_keep_its_rate_at_every_step():
    logs = plain(np.log(0.8), 0.8)
    assert not recurrent.linear_row(CONFIG, "orthogonal", 0, logs)["agrees"]  # off by 3e-4
    logs["largest"] = np.tile(np.log(0.8) * STEPS, (1, 4, 1))
    assert recurrent.linear_row(CONFIG, "orthogonal", 0, logs)["agrees"]


def test_one_step_above_the_bound_is_seen():
    logs = plain(recurrent_theory.tanh_log_rate(0.8), 0.8)
    row = recurrent.tanh_row(CONFIG, "orthogonal", 0, logs)
    assert row["is_bounded"]
    assert row["agrees"]
    assert not row["control_agrees"]
    logs["largest"][0, 2, 7] = 8 * np.log(0.8) + 1e-3
    assert not recurrent.tanh_row(CONFIG, "orthogonal", 0, logs)["is_bounded"]


def test_gates_that_forget_as_their_bias_says_fail():
    biases = np.array(recurrent._biases(CONFIG))
    rng = np.random.default_rng(0)
    exact = np.array([recurrent_theory.log_gate(bias) for bias in biases])
    shape = {"error": np.zeros(4), "others": np.zeros(4), "profile": np.zeros((4, 5))}
    noise = 1e-4 * rng.normal(size=(4, 12))
    noise -= noise.mean(axis=1, keepdims=True)
    rows = recurrent.gate_rows(CONFIG, {"log_gate": exact[:, None] + noise, **shape})
    assert all(abs(row["z"]) < 3 < abs(row["z_of_control"]) for row in rows)
    naive = special.log_expit(biases)
    rows = recurrent.gate_rows(CONFIG, {"log_gate": naive[:, None] + noise, **shape})
    assert all(abs(row["z"]) > 3 > abs(row["z_of_control"]) for row in rows)
    linear = [recurrent.linear_row(CONFIG, "gaussian", 0, plain(np.log(0.8), 1.5))]
    assert recurrent.judge(CONFIG, linear, [], rows).status == "refuted"


# --- batch_norm ---------------------------------------------------------------------------------


def growth(limit: float, drift: float = 2.0) -> dict[int, np.ndarray]:
    """Networks that grow by the limit up to a drift in 1/n."""
    noise = np.random.default_rng(1).normal(size=16)
    noise -= noise.mean()
    return {width: limit + drift / width + 0.02 * noise for width in (64, 128, 256)}


def test_the_drift_with_the_width_is_extrapolated_and_the_limit_of_large_batches_fails():
    row = batch_norm.row(8, growth(batch_norm_theory.log_growth(8)))
    assert abs(row["z"]) < 1e-6
    assert abs(row["z_of_limit"]) > 3
    assert batch_norm.judge(BatchNorm(), [row]).status == "supported"
    without = batch_norm.row(8, growth(batch_norm_theory.limit()))
    assert batch_norm.judge(BatchNorm(), [without]).status == "refuted"


def test_large_batches_alone_cannot_tell_the_formulas_apart():
    row = batch_norm.row(4096, growth(batch_norm_theory.log_growth(4096)))
    assert batch_norm.judge(BatchNorm(), [row]).status == "undecided"


@pytest.mark.parametrize(
    ("part", "config", "said"),
    [
        (batch_norm, BatchNorm(batches=(5, 8)), "larger than 5; up to there .* no variance"),
        (batch_norm, BatchNorm(factors=(2,)), "two or more factors"),
        (batch_norm, BatchNorm(depth=5, skip=2), "depth more than"),
        (recurrent, Recurrent(radii=(0.0,)), "numbers > 0"),
        (recurrent, Recurrent(networks=1), "2 or more"),
        (training, Training(moments=(5, 10)), "ascend from 0"),
        (training, Training(samples=5000), "between 1 and 1797"),
        (trainability_part, replace(Config().trainability, names=("tanh",)), "missing in names"),
    ],
)
def test_a_configuration_without_an_answer_is_refused(part, config, said):
    with pytest.raises(UsageError, match=said):
        part.check(config)


# --- training -----------------------------------------------------------------------------------


def spreads(ratio: float) -> dict[str, np.ndarray]:
    """Gradients of five layers whose logs rise evenly towards the output, at three moments."""
    logs = np.linspace(ratio, 0.0, 5) + 0.01 * np.random.default_rng(2).normal(size=(8, 3, 5))
    counts = np.tile(1 + np.arange(81), (3, 5, 1))
    return {"log_std": logs, "counts": counts, "loss": np.ones((8, 3))}


def test_a_ratio_is_held_against_its_prediction_and_against_equal_gradients():
    predicted = training.row(Training(), "tanh", "standard", 0.23, spreads(0.0))["predicted"]
    right = training.row(Training(), "tanh", "standard", 0.23, spreads(predicted))
    equal = training.row(Training(), "tanh", "standard", 0.23, spreads(0.0))
    assert training.judge(Training(), [right]).status == "supported"
    assert training.judge(Training(), [equal]).status == "refuted"
    assert right["slope"][0] == pytest.approx(-predicted / 4, rel=0.02)
    assert right["vanishes"] == [True, True, True]


def test_a_claim_that_holds_for_one_initialiser_is_mixed():
    row = lambda name, vanishes: {
        "activation": "tanh",
        "initialiser": name,
        "ratio": [-2.0, -1.0],
        "vanishes": [vanishes, False],
    }
    assert training.decide([row("standard", True), row("glorot", False)]).verdict == "mixed"
    assert training.decide([row("standard", True)]).verdict == "confirmed"


# --- trainability -------------------------------------------------------------------------------

NAMES = ("tanh", "relu")


def built(**choice) -> adaptable.Adaptable:
    asked = {"activation": 0, "depth": 3, "normalised": 0, "sigma_w": 1.2, "sigma_b": 0.3}
    return adaptable.Adaptable((4, 5, 3, 2), NAMES, rngs=nnx.Rngs(0), **{**asked, **choice})


@pytest.mark.parametrize("normalised", [0, 1])
@pytest.mark.parametrize(("place", "depth"), [(0, 3), (1, 1)])
def test_the_network_of_numbers_is_the_recursion(place: int, depth: int, normalised: int):
    net = built(activation=place, depth=depth, normalised=normalised)
    x = np.random.default_rng(0).normal(size=(6, 4))
    phi = (np.tanh, lambda h: np.maximum(h, 0))[place]

    def features(h):
        if normalised:
            h = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)
        return phi(h)

    h = x @ net.first[...] + net.biases[...][0]
    for layer in range(depth):
        h = features(h) @ net.hidden[...][layer] + net.biases[...][layer + 1]
    np.testing.assert_allclose(net(jnp.asarray(x)), features(h) @ net.last[...], atol=2e-5)


def test_the_same_seed_draws_the_same_weights_in_every_setting():
    one, other = built(), built(activation=1, depth=1, normalised=1, sigma_w=2.4)
    np.testing.assert_array_equal(one.first[...], other.first[...])
    np.testing.assert_allclose(2 * one.hidden[...], other.hidden[...], rtol=1e-6)


def test_escape_from_a_saddle_takes_the_predicted_steps_and_none_without_noise():
    assert all(line.holds() for line in trainability_theory.escape().lines)
    noises = (1e-3, 1e-6)
    steps, place = trainability.escapes(noises, rate=0.1, limit=1000, runs=20, seed=1)
    slope = (steps[1] - steps[0]).mean() / np.log(1e3)
    assert slope == pytest.approx(trainability_theory.steps_per_e_fold(0.1), rel=0.01)
    assert slope != pytest.approx(10.0, rel=0.01)
    assert place[0] == 0
    assert abs(place[1]) < 1e-30


def test_steps_to_a_target_are_those_of_the_running_mean():
    falling = np.linspace(2.0, 0.0, 101)  # the mean of ten is at 1 after step 55
    never = np.full(101, 3.0)
    lost = np.where(np.arange(101) > 5, np.nan, 2.0)
    found = trainability_claims.steps_to_target(np.stack([falling, never, lost]), 1.0)
    assert found.tolist() == [56, 102, 102]


def rows(correlated: bool) -> list[dict]:
    rng = np.random.default_rng(3)
    found = []
    for run in range(60):
        size = rng.uniform(0.1, 9)
        loss = size if correlated else rng.uniform(0, 9)
        found.append(
            {
                "activation": ("tanh", "sigmoid")[run % 2],
                "depth": (2, 12)[run // 2 % 2],
                "scale": 1.0,
                "log_ratio": -size,
                "unevenness": size,
                "change": size,
                "theory": size,
                "steps": 20 * loss,
                "final": loss,
                "accuracy": 1.0 - loss / 10,
            }
        )
    return found


def test_claims_follow_what_the_networks_did():
    config = replace(
        Config().trainability, activations=("tanh", "sigmoid"), scales=(1.0,), seeds=15
    )
    verdicts = {each.id: each.verdict for each in trainability_claims.decide(config, rows(True))}
    assert verdicts["C052"] == verdicts["C061"] == "confirmed"
    verdicts = {each.id: each.verdict for each in trainability_claims.decide(config, rows(False))}
    assert verdicts["C052"] == verdicts["C061"] == "refuted"


def test_a_slope_that_is_not_the_predicted_one_leaves_the_stall_half_decided():
    at_saddle = np.array([0.0, 1e-40])
    assert trainability_claims.stall(at_saddle, Mean(10.5, 0.1), 10.5).verdict == "confirmed"
    assert trainability_claims.stall(at_saddle, Mean(11.5, 0.1), 10.5).verdict == "mixed"
    assert trainability_claims.stall(np.ones(2), Mean(11.5, 0.1), 10.5).verdict == "refuted"


def test_batch_normalisation_must_be_faster_and_better_at_every_depth():
    config = replace(Config().trainability, norm_depths=(2,), norm_rates=(0.1, 1.0), seeds=4)
    ends = np.array([[90, 90], [40, 60]])  # (kind, rate): the loss is 0 from then on
    losses = np.stack(
        [
            np.where(np.arange(100) < end + seed, 5.0, 0.0)
            for end in ends.ravel()
            for seed in range(4)
        ]
    )
    tests = np.repeat([0.8, 0.7, 0.9, 0.6], 4) + np.tile([0.0, 0.01, 0.0, 0.01], 4)
    found = {"losses": losses, "test": tests}
    assert normalisation_claims.batch_norm(config, found).verdict == "confirmed"
    worse = {**found, "test": tests[::-1]}
    assert normalisation_claims.batch_norm(config, worse).verdict == "mixed"


def test_holm_stops_at_the_first_that_is_not_rejected():
    assert swish_claim.holm({"a": 0.001, "b": 0.04, "c": 0.02}) == ["a", "c", "b"]
    assert swish_claim.holm({"a": 0.001, "b": 0.04, "c": 0.03}) == ["a"]
    assert swish_claim.holm({"a": 0.02, "b": 0.5, "c": 0.9}) == []


@pytest.mark.parametrize(
    ("gain", "verdict"), [((0.1, 0.0), "confirmed"), ((-0.1, 0.0), "refuted"),
                          ((0.1, -0.1), "mixed"), ((0.0, 0.0), "undecided")]
)  # fmt: skip
def test_swish_is_better_where_it_wins_and_nowhere_loses(gain, verdict):
    config = replace(Config().trainability, task_rates=(0.1,), task_seeds=5)
    noise = np.array([0.0, 0.001, -0.001, 0.002, -0.002])
    found = {
        str(place): np.concatenate([0.8 + each + noise, np.full(5, 0.8)])
        for place, each in enumerate(gain)
    }
    assert swish_claim.decide(config, found).verdict == verdict


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [((-2.0, -1.0), "confirmed"), ((-1.0, -1.0), "mixed"), ((-1.0, -2.0), "refuted")],
)
def test_swish_is_the_best_where_all_others_are_worse(levels, verdict):
    config = replace(
        Config().trainability, smooth_depths=(2, 8), smooth_rates=(0.1,), smooth_seeds=6
    )
    noise = 0.01 * np.random.default_rng(5).normal(size=(2, 6))
    errors = lambda place: np.concatenate([np.ones(6), 10 ** (levels[place] + noise[place])])
    found = {"swish": errors(0), "tanh": errors(1)}
    assert smooth_claim.decide(config, found).verdict == verdict


def test_who_remembers_less_than_half_of_the_baseline_has_not_learned():
    assert all(line.holds() for line in memory_theory.baseline().lines)
    config = replace(Config().memory, lengths=(10, 100), seeds=4)
    errors = lambda level: [level, level + 1e-3, level - 1e-3, level]

    def decided(plain: float, lstm: float, baseline: float = 1 / 6):
        found = [
            {"cell": cell, "length": length, "errors": errors(lstm if "lstm" in cell else plain)}
            for length in config.lengths
            for cell in ("gaussian", "orthogonal", "lstm, bias 0", "lstm, bias 1")
        ]
        return memory.judge(config, found, Mean(baseline, 1e-4))

    part = decided(0.166, 0.002)
    assert [each.verdict for each in part.claims] == ["confirmed", "confirmed"]
    assert part.status == "supported"
    assert [each.verdict for each in decided(0.002, 0.166).claims] == ["refuted", "refuted"]
    assert decided(0.1, 0.1, 0.1767).status == "refuted"


def test_the_adding_problem_marks_one_number_in_each_half():
    sequences, answers = adding(50, 9, 0)
    marks = sequences[..., 1]
    assert np.all(marks[:, :4].sum(axis=1) == 1)
    assert np.all(marks[:, 4:].sum(axis=1) == 1)
    np.testing.assert_allclose((sequences[..., 0] * marks).sum(axis=1), answers, rtol=1e-5)


def test_tasks_come_in_one_shape_and_samples_take_turns():
    data = xor(40)
    train, test = swish_claim.shaped(data, 0.25, (100, 15), 6)
    assert train.inputs.shape == (100, 6)
    assert not train.inputs[:, 2:].any()
    np.testing.assert_array_equal(train.inputs[:30], train.inputs[30:60])
    np.testing.assert_allclose(train.inputs[:30, :2].std(axis=0), 1, rtol=1e-5)
    assert len(test) == 15
    np.testing.assert_array_equal(test.inputs[10:], test.inputs[:5])


# --- depth --------------------------------------------------------------------------------------


def depth_row(activation: str, name: str, factor: float, zeros: int = 0) -> dict:
    return {
        "activation": activation,
        "initialiser": name,
        "factor_measured": factor,
        "factor_error": 0.01,
        "histograms": [{"zeros": zeros, "counts": [50, 50]}],
    }


def test_claims_about_relu_hold_only_if_no_initialiser_loses_the_gradient():
    sigmoid = depth_row("sigmoid", "he", -2.0)
    kept, lost = depth_row("relu", "he", 0.0, 100), depth_row("relu", "lecun", -0.69, 100)
    verdicts = lambda *found: {each.id: each.verdict for each in depth_claims.decide(found)}
    assert verdicts(sigmoid, kept) == {"C022": "confirmed", "C053": "mixed"}
    assert verdicts(sigmoid, kept, lost) == {"C022": "mixed", "C053": "refuted"}
    assert verdicts(depth_row("sigmoid", "he", 0.0), lost)["C022"] == "refuted"


# --- figures and numbers ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn() -> Record:
    """A record of parts that were judged on made-up measurements."""
    exact = np.array([recurrent_theory.log_gate(bias) for bias in recurrent._biases(CONFIG)])
    gates = recurrent.gate_rows(
        CONFIG,
        {
            "log_gate": exact[:, None] + 1e-4 * np.arange(3),
            "error": np.full(4, 2e-15),
            "others": np.full(4, 0.1),
            "profile": exact[:, None] * STEPS,
        },
    )
    parts = [
        recurrent.judge(
            CONFIG,
            [recurrent.linear_row(CONFIG, kind, 0, plain(np.log(0.8), 1.5))
             for kind in ("gaussian", "orthogonal")],
            [recurrent.tanh_row(CONFIG, "orthogonal", 0, plain(-0.66, 0.8))],
            gates,
        ),
        batch_norm.judge(
            BatchNorm(), [batch_norm.row(8, growth(batch_norm_theory.log_growth(8)))]
        ),
        training.judge(
            Training(), [training.row(Training(), "tanh", "standard", 0.23, spreads(-2.3))]
        ),
        trainability_part.judge(
            Mean(10.4, 0.1), np.arange(6)[:, None] * 24.0 + 90 + np.zeros(3), rows(True), []
        ),
    ]  # fmt: skip
    learned = [
        {"cell": cell, "length": length, "errors": [0.1, 0.2, 0.15]}
        for length in Config().memory.lengths
        for cell in ("gaussian", "orthogonal", "lstm, bias 0", "lstm, bias 1")
    ]
    parts.append(memory.judge(Config().memory, learned, Mean(1 / 6, 1e-4)))
    outcome = join(parts)
    return Record(
        experiment="vanishing_gradients",
        question="",
        preset="quick",
        config=as_dict(replace(Config(), recurrent=CONFIG)),
        address="0" * 64,
        code="",
        status=outcome.status,
        statement=outcome.statement,
        results=outcome.results,
        seconds=1.0,
        budget=1.0,
        cells=1,
        provenance={},
    )


@pytest.mark.parametrize("name", ["memory", "explosion", "backpropagated", "small_gradients"])
def test_a_figure_is_the_same_byte_for_byte(name: str, drawn: Record, tmp_path: Path):
    paths = [figures.FIGURES[name](drawn, tmp_path / f"{each}.svg") for each in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_every_number_of_the_section_is_text(drawn: Record):
    def leaves(value):
        if isinstance(value, dict):
            return [leaf for each in value.values() for leaf in leaves(each)]
        return (
            [leaf for each in value for leaf in leaves(each)]
            if isinstance(value, list)
            else [value]
        )

    found = report.numbers(drawn)
    assert {"recurrent", "batch_norm", "training", "trainability", "memory"} <= set(found)
    assert all(isinstance(leaf, str) for leaf in leaves(found))


@pytest.mark.slow
def test_a_small_run_of_the_parts_keeps_what_is_exact(tmp_path: Path):
    ledger = tmp_path / "runs.sqlite"
    found = execute("vanishing_gradients", "quick", SMALL, ledger_path=ledger, stream=None).results
    plain_cells = found["recurrent"]["linear"]
    assert all(row["agrees"] for row in plain_cells if row["matrix"] == "orthogonal")
    assert all(row["is_bounded"] for row in found["recurrent"]["tanh"])
    assert max(row["ad_error"] for row in found["recurrent"]["gates"]) < 1e-12
    for row in found["training"]["rows"]:
        counts = np.array(row["counts"])  # (moments, layers, bins), two networks of 32 x 8 entries
        assert counts.shape == (2, 2, 81)
        assert np.all(counts.sum(axis=2) <= 2 * 32 * 8)
        assert np.all(counts.sum(axis=2) > 0.95 * 2 * 32 * 8)  # few beyond 4 standard deviations
    assert [each["status"] for each in found["parts"]].count("undecided") <= 1
    assert found["batch_norm"]["rows"][0]["widths"] == [32, 64]
