"""Modules of Flax and Equinox: dropout, batch norm, keys and counters, leaves by their paths."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.verify.verify import verify

ONE = {"dtypes": ("float32",)}
KEY = jax.random.key(0)
X = np.array([[0.5, -1.0], [1.5, 0.25], [-0.75, 2.0]], np.float32)
Y = np.array([0, 1, 1])


@jax.custom_jvp
def twice_off(x):
    return jnp.tanh(x)


twice_off.defjvp(lambda p, t: (jnp.tanh(*p), 2 * t[0] * (1 - jnp.tanh(*p) ** 2)))


def cross_entropy(logits, labels):
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
    return -jnp.mean(picked)


class Linen(nn.Module):
    act: object = jnp.tanh

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, name="norm")(nn.Dense(2, name="first")(x))
        x = nn.Dropout(0.5, deterministic=not train)(self.act(x))
        return nn.Dense(2, name="last")(x)


def linen_loss(train, act=jnp.tanh):
    """A loss of the parameters as a user writes it, and example parameters."""
    model = Linen(act)
    given = model.init({"params": KEY, "dropout": KEY}, X, train=False)

    def loss(params):
        variables = {"params": params, "batch_stats": given["batch_stats"]}
        options = {"rngs": {"dropout": KEY}, "mutable": ["batch_stats"]}
        logits, _ = model.apply(variables, X, train=train, **options)
        return cross_entropy(logits, Y)

    return loss, given["params"]


@pytest.mark.parametrize("train", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_linen_module_with_dropout_and_batch_norm(train):
    verdict = verify(*linen_loss(train), wrt="norm.scale", **ONE)
    assert verdict.ok, verdict.explain()
    assert verdict.claim.wrt == "params.norm.scale"
    assert not [f for f in verdict.findings if f.kind == "nondeterministic"]


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.slow
def test_a_wrong_rule_in_a_linen_module_is_refuted(train):
    verdict = verify(*linen_loss(train, twice_off), wrt="norm.bias", **ONE)
    assert verdict.status == "refuted"
    wrong = [f for f in verdict.findings if f.severity == "wrong"]
    assert [(f.kind, f.where.partition(":")[0]) for f in wrong] == [
        ("rule-mismatch", "test_modules.py")
    ]


def test_several_leaves_and_a_whole_layer_by_their_paths():
    loss, params = linen_loss(False)
    two = verify(loss, params, wrt=("last.bias", "norm.bias"), **ONE)
    assert two.ok
    assert "params is all of params.last.bias 2, params.norm.bias 2" in two.assumptions
    layer = verify(loss, params, wrt="norm", **ONE)
    assert "params is all of params.norm.bias 2, params.norm.scale 2" in layer.assumptions
    with pytest.raises(UsageError, match="names several"):
        verify(loss, params, wrt="kernel", **ONE)


def test_a_key_as_an_argument_is_fixed_and_named():
    def loss(params, key):
        mask = jax.random.bernoulli(key, 0.5, params["w"].shape)
        return jnp.sum(jnp.where(mask, jnp.sin(params["w"]), 0.0))

    w = np.array([0.5, -1.25, 2.0])
    verdict = verify(loss, {"w": w}, KEY)
    assert verdict.ok, verdict.explain()
    assert "key (a random key) is fixed" in verdict.assumptions


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(2, 2, rngs=rngs), nnx.Linear(2, 2, rngs=rngs)])
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.layers[1](self.drop(jnp.tanh(self.norm(self.layers[0](x)))))


def nnx_loss(model, x):
    return cross_entropy(model(x), Y)


@pytest.mark.parametrize("train", [pytest.param(True, marks=pytest.mark.slow), False])
def test_an_nnx_module_as_an_argument_is_judged_and_left_unchanged(train):
    model = Nnx(nnx.Rngs(0))
    (model.train if train else model.eval)()
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)))
    count = int(model.drop.rngs.count[...])
    verdict = verify(nnx_loss, model, X, wrt="layers.0.bias", **ONE)
    assert verdict.ok, verdict.explain()
    fixed = [note for note in verdict.assumptions if note.endswith("is fixed")]
    assert "model.drop.rngs.key (a random key) is fixed" in fixed
    assert "model.drop.rngs.count (uint32) is fixed" in fixed
    after = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
    assert jax.tree.all(jax.tree.map(np.array_equal, before, after))
    assert int(model.drop.rngs.count[...]) == count


@pytest.mark.filterwarnings("ignore:scatter inputs have incompatible types:FutureWarning")
def test_an_nnx_module_taken_apart():
    model = Nnx(nnx.Rngs(0))
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, rest):
        return cross_entropy(nnx.merge(graph, params, rest)(X), Y)

    assert verify(loss, params, rest, wrt="layers.1.bias", **ONE).ok
    with pytest.raises(UsageError, match="pass the module, or its state, as an argument"):
        verify(lambda params: loss(params, rest), params, **ONE)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Module:
    """Fields as Equinox has them: arrays, a function, a rate, a flag, a counter."""

    weight: jax.Array
    act: object
    rate: float
    inference: bool
    count: int


def dataclass_loss(model, x, key):
    mask = jax.random.bernoulli(key, model.rate, (3, 1))
    return jnp.sum(jnp.where(mask, model.act(x @ model.weight), 0.0)) * model.count


@pytest.mark.parametrize(
    ("act", "status"),
    [(jnp.tanh, "supported"), pytest.param(twice_off, "refuted", marks=pytest.mark.slow)],
)
def test_fields_that_are_no_parameters_are_fixed_and_named(act, status):
    model = Module(np.array([[0.5], [0.25]]), act, 0.5, False, 3)
    verdict = verify(dataclass_loss, model, X, KEY, **ONE)
    assert verdict.status == status, verdict.explain()
    fixed = {note.partition(" ")[0] for note in verdict.assumptions if note.endswith("is fixed")}
    named = {f"model.{name}" for name in ("act", "rate", "inference", "count")}
    assert fixed == {*named, "key"}


# --- Equinox -------------------------------------------------------------------------------------


class Equinox(eqx.Module):
    """Linear, batch norm, an activation and dropout, of one example."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    drop: eqx.nn.Dropout
    act: Callable[[jax.Array], jax.Array]

    def __init__(self, act, key):
        self.first = eqx.nn.Linear(2, 2, key=key)
        self.norm = eqx.nn.BatchNorm(2, axis_name="batch", mode="batch")
        self.drop, self.act = eqx.nn.Dropout(0.5), act

    def __call__(self, x, state, key):
        x, state = self.norm(self.first(x), state)
        return self.drop(self.act(x), key=key), state


def equinox_loss(model, state, x, key):
    keys = jax.random.split(key, len(x))
    run = jax.vmap(model, axis_name="batch", in_axes=(0, None, 0), out_axes=(0, None))
    return jnp.mean(run(x, state, keys)[0] ** 2)


@pytest.mark.slow
@pytest.mark.parametrize("is_inference", [False, True])
def test_an_equinox_module_is_judged_in_the_mode_it_is_in(is_inference):
    for act in (jnp.tanh, twice_off):
        model, state = eqx.nn.make_with_state(Equinox)(act, KEY)
        model = eqx.nn.inference_mode(model, is_inference)
        verdict = verify(equinox_loss, model, state, X, KEY, **ONE)
        right = "proved" if is_inference else "supported"  # dropout draws, so nothing is proved
        assert verdict.status == (right if act is jnp.tanh else "refuted"), verdict.explain()


@pytest.mark.slow
def test_a_part_of_an_equinox_module_is_judged():
    def loss(params, rest, state):
        return equinox_loss(eqx.combine(params, rest), state, X, KEY)

    for act in (jnp.tanh, twice_off):
        model, state = eqx.nn.make_with_state(Equinox)(act, KEY)
        params, rest = eqx.partition(model, eqx.is_inexact_array)
        verdict = verify(loss, params, rest, state, wrt="norm.bias", **ONE)
        assert verdict.status == ("supported" if act is jnp.tanh else "refuted"), verdict.explain()


# --- constants of a narrower type ----------------------------------------------------------------

NARROW = jnp.array([0.3, 1.7], jnp.float32)


def test_what_is_computed_of_narrow_constants_is_rounded_as_such():
    # in float64 sqrt(NARROW) is computed in float32: wrong by 1e-8, and nobody's fault
    verdict = verify(lambda w: jnp.sum(w * jnp.sqrt(NARROW)), np.array([0.5, 2.0]))
    assert verdict.status == "proved", verdict.explain()
    assert verdict.findings == ()


@pytest.mark.slow
def test_a_wrong_rule_beside_narrow_constants_is_refuted():
    verdict = verify(lambda w: jnp.sum(twice_off(w) * jnp.sqrt(NARROW)), np.array([0.5, 2.0]))
    assert verdict.status == "refuted"


def test_a_large_model_with_dropout_is_judged_with_the_masks_of_its_own_precision():
    def loss(w):
        return jnp.sum(jnp.sin(w) * jax.random.bernoulli(KEY, 0.5, w.shape))

    verdict = verify(loss, np.linspace(0, 1, 10_001))
    assert verdict.ok, verdict.explain()
    assert {row.dtype for row in verdict.evidence if row.oracle == "reverse"} == {
        "float64",
        "float32",
    }
