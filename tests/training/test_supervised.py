"""The training loop against one written out in NumPy, and what its state must do."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.nets.mlp import Classifier
from diffkit.problems.load import load
from diffkit.problems.synthetic import linear_teacher, xor
from diffkit.training import supervised
from diffkit.training.supervised import Trainer, fit, squared_error

XOR = xor(64)


def net(rngs: nnx.Rngs) -> Classifier:
    return Classifier((2, 8, 2), "tanh", rngs=rngs)


def line(rngs: nnx.Rngs) -> nnx.Module:
    return nnx.Linear(3, 1, rngs=rngs)


def test_sgd_with_momentum_is_the_recursion_of_the_textbook():
    data, _ = linear_teacher(40, 3)
    x, y = data.inputs.astype(float), data.targets.astype(float)
    found = fit(
        line,
        data.inputs,
        data.targets,
        lambda: optax.sgd(0.05, momentum=0.9),
        steps=25,
        batch=8,
        seeds=(7,),
        loss=squared_error,
    )
    of_weights, of_batches = jax.random.split(jax.random.key(7))
    start = line(nnx.Rngs(of_weights))
    w = np.append(np.asarray(start.kernel[...], float).ravel(), 0.0)  # weights, bias
    memory = np.zeros(4)
    for step, rows in enumerate(supervised._batches(of_batches[None], 40, 8, 25)[0]):
        design = np.column_stack([x[rows], np.ones(8)])
        residual = design @ w - y[rows]
        assert found.losses[0, step] == pytest.approx(np.mean(residual**2), rel=1e-4)
        memory = 2 * design.T @ residual / 8 + 0.9 * memory
        w = w - 0.05 * memory
    trained = found.module(0)
    np.testing.assert_allclose(np.asarray(trained.kernel[...]).ravel(), w[:3], rtol=1e-4)
    np.testing.assert_allclose(np.asarray(trained.bias[...]), w[3:], rtol=1e-4)


def test_every_epoch_is_a_shuffling_without_repetition():
    (rows,) = supervised._batches(jax.random.key(0)[None], 10, 3, 8)
    assert rows.shape == (8, 3)
    for epoch in (rows[:3], rows[3:6]):
        assert len(set(epoch.ravel())) == 9  # one of ten is left out
    assert not np.array_equal(rows[:3], rows[3:6])


@pytest.mark.parametrize("samples", [10, 1437])
def test_the_shufflings_are_those_of_jax(samples: int):
    keys = jax.random.split(jax.random.key(3), 2)
    found = supervised._batches(keys, samples, samples, 3)
    for rows, key in zip(found, keys, strict=True):
        orders = [jax.random.permutation(k, samples) for k in jax.random.split(key, 3)]
        np.testing.assert_array_equal(rows, orders)


def test_a_run_does_not_depend_on_what_is_trained_beside_it(monkeypatch):
    asked = {"steps": 60, "batch": 16}
    alone = fit(net, XOR.inputs, XOR.targets, lambda: optax.adam(0.02), seeds=(5,), **asked)
    monkeypatch.setattr(supervised, "BLOCK", 2)  # five runs: three blocks, the last one filled
    beside = fit(
        net, XOR.inputs, XOR.targets, lambda: optax.adam(0.02), seeds=(1, 2, 3, 4, 5), **asked
    )
    assert len(beside) == 5
    np.testing.assert_allclose(beside.losses[4], alone.losses[0], rtol=2e-3, atol=1e-6)
    assert not np.allclose(beside.losses[3], beside.losses[4], rtol=2e-3)
    out = [f.module(run)(jnp.asarray(XOR.inputs)) for f, run in ((beside, 4), (alone, 0))]
    np.testing.assert_allclose(*out, rtol=5e-2, atol=1e-3)


def test_a_trainer_gives_the_same_again_and_takes_other_data():
    trainer = Trainer(net, lambda: optax.adam(0.02), 20, 16)
    first = trainer(XOR.inputs, XOR.targets, range(10))
    second = trainer(XOR.inputs, XOR.targets, range(10))
    np.testing.assert_allclose(first.losses, second.losses, rtol=1e-5)
    assert trainer(XOR.inputs[:32], XOR.targets[:32]).losses.shape == (1, 20)


def test_settings_are_all_combinations_and_a_rate_of_zero_changes_nothing():
    found = fit(
        net,
        XOR.inputs,
        XOR.targets,
        lambda rate, momentum: optax.sgd(rate, momentum),
        steps=64,
        batch=64,
        seeds=(0, 1),
        settings={"rate": (0.0, 0.5), "momentum": (0.0, 0.5, 0.9)},
    )
    assert found.settings["rate"].tolist() == [0.0] * 6 + [0.5] * 6
    assert found.settings["momentum"].tolist() == [0, 0, 0.5, 0.5, 0.9, 0.9] * 2
    assert found.seeds.tolist() == [0, 1] * 6
    still = found.losses[:6]
    np.testing.assert_allclose(still, still[:, :1] * np.ones(64), rtol=1e-4)
    assert (found.losses[6:, -1] < found.losses[6:, 0]).all()


def test_every_block_of_runs_has_the_precision_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(supervised, "BLOCK", 1)
    exact = lambda rngs: nnx.Linear(2, 2, param_dtype=np.float64, rngs=rngs)
    with jax.enable_x64(True):
        trainer = Trainer(exact, lambda: optax.sgd(0.1), 10, 16)
        beside = trainer(XOR.inputs.astype(float), XOR.targets, (0, 1, 2))
        alone = trainer(XOR.inputs.astype(float), XOR.targets, (2,))
        assert {leaf.dtype for leaf in jax.tree.leaves(beside.params)} == {np.dtype(float)}
        np.testing.assert_allclose(beside.losses[2], alone.losses[0], rtol=1e-13)


def test_a_setting_of_the_module_is_where_it_starts():
    def scaled(rngs: nnx.Rngs, scale) -> Classifier:
        module = net(rngs)
        module.first.kernel[...] = scale * module.first.kernel[...]
        return module

    trainer = Trainer(scaled, optax.sgd, 5, 64, initial=("scale",))
    settings = {"scale": (1.0, 3.0), "learning_rate": (0.0,)}
    found = trainer(XOR.inputs, XOR.targets, (0, 1), settings)
    kernels = [np.asarray(found.module(run).first.kernel[...]) for run in range(4)]
    np.testing.assert_allclose(kernels[2], 3 * kernels[0], rtol=1e-6)
    np.testing.assert_allclose(kernels[3], 3 * kernels[1], rtol=1e-6)
    with pytest.raises(UsageError, match="no value for the setting 'scale'"):
        trainer(XOR.inputs, XOR.targets, (0, 1), {"learning_rate": (0.1,)})


class Regularised(nnx.Module):
    """Batch norm and dropout, which keep state."""

    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(2, momentum=0.5, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(self.norm(x)))


def test_statistics_are_kept_and_masks_are_drawn_anew():
    shifted = XOR.inputs + np.float32(3.0)
    found = fit(
        Regularised, shifted, XOR.targets, lambda: optax.sgd(0.0), steps=30, batch=64, seeds=(0, 1)
    )
    for run in range(2):
        mean = np.asarray(found.module(run).norm.mean[...])
        np.testing.assert_allclose(mean, shifted.mean(0), rtol=1e-4)  # 0.5^30 of the start is left
    assert np.std(found.losses[0]) > 1e-3  # the same batch and weights, another mask
    twice = [found.accuracy(shifted, XOR.targets) for _ in range(2)]
    assert np.array_equal(*twice)  # evaluation draws nothing


def test_digits_are_learned():
    train, test = load("digits").split(0.2)
    found = fit(
        lambda rngs: Classifier((64, 32, 10), "relu", rngs=rngs),
        train.inputs,
        train.targets,
        optax.adam,
        steps=400,
        batch=64,
        seeds=(0, 1),
        settings={"learning_rate": (3e-3,)},
    )
    assert found.accuracy(test.inputs, test.targets).min() > 0.93
    shuffled = np.random.default_rng(0).permutation(test.targets)
    assert found.accuracy(test.inputs, shuffled).max() < 0.2  # the control


def test_a_run_that_diverges_is_told():
    data, _ = linear_teacher(40, 3)
    found = fit(
        line,
        data.inputs,
        data.targets,
        optax.sgd,
        steps=300,
        batch=40,
        settings={"learning_rate": (0.1, 100.0)},
        loss=squared_error,
    )
    assert found.has_diverged.tolist() == [False, True]


GOOD = {"steps": 3, "batch": 4}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *(({"steps": n}, f"steps={n!r}") for n in (0, 1.5, "3", None, True)),
        *(({"batch": n}, f"batch={n!r}; .* from 1 to 64") for n in (0, 65, 1.5, "3", None)),
        *(
            ({"seeds": s}, "seeds=.* give one or more whole")
            for s in ((), (-1,), (1.5,), "3", None)
        ),
        ({"seeds": (1, 1)}, "all different"),
        ({"seeds": (7, 7 + 2**32)}, "<= 4294967295"),
        ({"settings": {"learning_rate": ()}}, "no value"),
        ({"settings": {"learning_rate": 0.1}}, "give a sequence"),
        ({"settings": {"learning_rate": ("a",)}}, "no numbers"),
        (
            {"settings": {"rate": (0.1,)}},
            "settings rate: .* it takes learning_rate, momentum",
        ),
        ({"settings": None}, "missing a required argument: 'learning_rate'"),
        ({"targets": np.where(XOR.targets > 0, 2, 0)}, "the label 2 is none of the 2 classes"),
        ({"targets": -XOR.targets}, "the label -1 is none of the 2 classes"),
        (
            {"targets": XOR.targets[:, None]},
            r"labels of shape \(4, 1\) .* an array of shape \(4,\)",
        ),
        ({"targets": np.eye(2)[XOR.targets]}, r"labels of shape \(4, 2\)"),
        ({"targets": XOR.targets * 1.0}, "give whole numbers 0, 1"),
        ({"inputs": np.zeros((64, 3))}, r"cannot take inputs \(4, 3\) and .*: TypeError"),
        ({"settings": {1: (0.1,)}}, "a setting is called 1"),
        ({"optimiser": optax.sgd(0.1)}, "the optimiser is .*give a function that builds it"),
        ({"make": 5}, "the module is int; give a function"),
        ({"inputs": XOR.inputs.astype(object)}, "inputs hold object and no numbers"),
        ({"inputs": XOR.inputs.astype(str)}, "inputs hold .* and no numbers"),
        ({"inputs": XOR.inputs[:0], "targets": XOR.targets[:0]}, "there are no samples"),
        ({"loss": lambda module, x, y: module(x)}, "the loss has the shape"),
    ],
)
def test_a_training_that_cannot_be_is_refused(change, said):
    asked = {"settings": {"learning_rate": (0.1,)}, **GOOD, **change}
    asked = {"make": net, "inputs": XOR.inputs, "targets": XOR.targets, **asked}
    with pytest.raises(UsageError, match=said) as caught:
        fit(**{"optimiser": optax.sgd, **asked})
    assert "\n" not in str(caught.value)


def test_other_refusals():
    with pytest.raises(UsageError, match="2 inputs and 3 targets"):
        fit(net, np.zeros((2, 2)), np.zeros(3, int), lambda: optax.sgd(0.1), **GOOD)
    drop = lambda rngs: nnx.Dropout(0.5, rngs=rngs)
    with pytest.raises(UsageError, match=r"no nnx\.Param"):
        fit(drop, XOR.inputs, XOR.targets, lambda: optax.sgd(0.1), **GOOD)
    found = fit(net, XOR.inputs, XOR.targets, lambda: optax.sgd(0.1), **GOOD)
    with pytest.raises(UsageError, match="none of the 1 runs"):
        found.module(1)
    with pytest.raises(UsageError, match=r"run 0\.5 is none"):
        found.module(0.5)
    for targets in (XOR.targets[:, None], XOR.targets[:1], XOR.targets * 0.5):
        with pytest.raises(UsageError, match=r"labels|give as many"):
            found.accuracy(XOR.inputs, targets)
    with pytest.raises(UsageError, match="there are no samples"):
        found.accuracy(XOR.inputs[:0], XOR.targets[:0])
    with pytest.raises(UsageError, match="has no value: TypeError"):
        found.accuracy(XOR.inputs[:, :1], XOR.targets)
    with pytest.raises(UsageError, match="inputs and the outputs"):
        Classifier((3,), "relu", rngs=nnx.Rngs(0))


def test_what_is_watched_is_the_module_after_as_many_steps():
    size = lambda module: jnp.sum(module.kernel[...] ** 2)
    sizes = {"steps": 6, "batch": 8, "loss": squared_error}
    data, _ = linear_teacher(40, 3)
    rule = lambda: optax.sgd(0.05)
    trainer = Trainer(line, rule, **sizes, watch=size, every=2)
    found = trainer(data.inputs, data.targets, seeds=(0, 1))
    assert found.watched.shape == (2, 3)
    plain = fit(line, data.inputs, data.targets, rule, **sizes, seeds=(0, 1))
    np.testing.assert_allclose(found.losses, plain.losses, rtol=1e-5)
    last = [float(size(plain.module(run))) for run in (0, 1)]
    np.testing.assert_allclose(found.watched[:, -1], last, rtol=1e-5)
    assert plain.watched is None


def test_a_watch_that_does_not_divide_the_steps_is_refused():
    trainer = Trainer(net, lambda: optax.sgd(0.1), 7, 8, watch=lambda module: 0.0, every=2)
    with pytest.raises(UsageError, match="divisor of steps=7"):
        trainer(XOR.inputs, XOR.targets)
