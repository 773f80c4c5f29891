r"""One supervised training loop: scanned over steps, vmapped over seeds and hyper-parameters.

A module is split once into its parameters and the rest of its state; what runs is a plain function
of these pytrees, compiled once.  (`nnx.jit` of a step splits and merges the module each time, which
costs more than the step of a small network.)
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.core.ranges import is_whole
from diffkit.lab.checkpoints import Checkpoints
from diffkit.training import arguments
from diffkit.training.segments import in_segments

Array = Any
#: Runs of one program on a CPU: XLA runs a small network on one core, so that blocks of runs go
#: side by side.
BLOCK = 8
#: Seeds and settings, name -> value, of the runs of one program.
Block = tuple[Array, Mapping[str, Array]]
#: (module, inputs, targets) -> a number.
Loss = Callable[[nnx.Module, Array, Array], Array]


def cross_entropy(module: Any, inputs: Array, targets: Array) -> Array:
    r"""Mean of $-\log \operatorname{softmax}(z)_y$, z the logits the module returns."""
    logits = module(inputs)
    arguments.check_logits(logits, targets)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


def squared_error(module: Any, inputs: Array, targets: Array) -> Array:
    """Mean of (f(x) - y)^2, f of one output."""
    found = module(inputs)
    return jnp.mean((found.reshape(targets.shape) - targets) ** 2)


@dataclass(frozen=True)
class Fit:
    """Trained networks, one for each seed and setting.

    Args:
        graph: Structure of the module, the same for all.
        params: Parameters, with a leading axis of runs.
        rest: The other state (statistics, random streams), with the same axis.
        losses: Loss of each step's batch before the step, (runs, steps).
        seeds: Seed of each run.
        settings: Hyper-parameters of each run, name -> (runs,).
        watched: What was looked at on the way, with leading axes (runs, looks); None if nothing.
    """

    graph: Any
    params: Any
    rest: Any
    losses: np.ndarray
    seeds: np.ndarray
    settings: Mapping[str, np.ndarray]
    watched: Any = None

    def __len__(self) -> int:
        return len(self.seeds)

    def module(self, run: int) -> Any:
        """The trained module of one run."""
        if not is_whole(run, -len(self), len(self) - 1):
            raise UsageError(f"run {run!r} is none of the {len(self)} runs")
        params, rest = jax.tree.map(lambda leaf: leaf[run], (self.params, self.rest))
        return nnx.merge(self.graph, params, rest)

    def evaluate(self, metric: Loss, inputs: Array, targets: Array) -> np.ndarray:
        """A number of every run on some data, (runs,); modules are in evaluation mode.

        Raises:
            UsageError: not as many targets as inputs, none, or no data of the module and metric.
        """
        inputs, targets = map(jnp.asarray, arguments.samples(inputs, targets))
        asked = self.graph, metric, self.params, self.rest, inputs, targets
        with arguments.traced(
            f"the metric of inputs {inputs.shape} and targets {targets.shape} has no value"
        ):
            _evaluate.eval_shape(*asked)
        return np.asarray(_evaluate(*asked))

    def accuracy(self, inputs: Array, targets: Array) -> np.ndarray:
        """Share of samples whose largest logit is that of their class, (runs,)."""
        return self.evaluate(_accuracy, inputs, targets)

    @cached_property
    def has_diverged(self) -> np.ndarray:
        """Which runs met a loss that is no finite number, (runs,)."""
        return np.asarray(~np.isfinite(self.losses).all(axis=1))


@partial(jax.jit, static_argnums=(0, 1))
def _evaluate(
    graph: Any, metric: Loss, params: Any, rest: Any, inputs: Array, targets: Array
) -> Array:
    """A number of every run; compiled once for each structure, metric and shape."""

    def one(params: Any, rest: Any) -> Array:
        module = nnx.merge(graph, params, rest)
        module.eval()
        return metric(module, inputs, targets)

    return jax.vmap(one)(params, rest)


def _accuracy(module: Any, inputs: Array, targets: Array) -> Array:
    logits = module(inputs)
    arguments.check_logits(logits, targets)
    return jnp.mean(jnp.argmax(logits, axis=-1) == targets)


@dataclass(frozen=True, eq=False)
class Trainer:
    """A training program, compiled once for each shape of data and number of runs.

    Args:
        make: Builds the module from random streams; takes the settings of `initial` by name.
        optimiser: Builds the optimiser; takes the other settings by name.
        steps: Updates, >= 1.
        batch: Samples of an update.
        loss: What is minimised.
        checkpoints: Where the state of a long training is saved; a killed one goes on there.
        initial: Names of settings that say how the module starts, such as the scale of its
            weights; its shapes may not depend on them.
        watch: What is looked at on the way, module -> arrays; the module is in evaluation mode.
        every: Steps between two looks, a divisor of `steps`; the first is after as many.
    """

    make: Callable[..., nnx.Module]
    optimiser: Callable[..., optax.GradientTransformation]
    steps: int
    batch: int
    loss: Loss = cross_entropy
    checkpoints: Checkpoints | None = None
    initial: Sequence[str] = ()
    watch: Callable[[Any], Any] | None = None
    every: int = 1

    def __call__(
        self,
        inputs: Array,
        targets: Array,
        seeds: Sequence[int] = (0,),
        settings: Mapping[str, Sequence[float]] | None = None,
    ) -> Fit:
        """Train from every seed with every setting; see `fit`."""
        inputs, targets = arguments.samples(inputs, targets)
        self._check_numbers(len(inputs))
        given = arguments.seeds_of_runs(seeds)
        chosen = arguments.settings_of_runs({} if settings is None else settings)
        self._check_settings(tuple(chosen))
        graph = self._graph  # a module without parameters is refused before anything is traced
        self._check_data(inputs, targets)
        inputs, targets = jnp.asarray(inputs), jnp.asarray(targets)
        numbers, chosen = _grid(given, chosen)

        runs = jnp.asarray(numbers), {name: jnp.asarray(v) for name, v in chosen.items()}
        blocks = _blocks(len(numbers))
        if self.checkpoints is None:
            parts = self._at_once(runs, blocks, inputs, targets)
        else:
            of_blocks = [_rows_of(runs, rows, blocks) for rows in blocks]
            parts = self._in_segments(of_blocks, inputs, targets, self.checkpoints)
        (params, rest), losses, seen = _joined(parts, len(numbers))
        watched = jax.tree.map(np.asarray, seen)
        return Fit(graph, params, rest, np.asarray(losses), numbers, chosen, watched)

    def _at_once(
        self, runs: Block, blocks: Sequence[np.ndarray], inputs: Array, targets: Array
    ) -> list[Any]:
        """Trained state and losses of each block, by one program; all are started together."""
        begun = (*self._begin_all(*runs, targets), runs[1])

        def train(rows: np.ndarray) -> Any:
            of_rows = _rows_of(begun, rows, blocks)
            return jax.block_until_ready(self._program(*of_rows, inputs, targets))

        shapes = len(blocks[0]), inputs.shape, targets.shape
        parts = _side_by_side(train, blocks, is_compiled=shapes in self._compiled)
        self._compiled.add(shapes)
        return parts

    def _in_segments(
        self, blocks: Sequence[Block], inputs: Array, targets: Array, checkpoints: Checkpoints
    ) -> list[Any]:
        """The same, its state saved now and then."""
        parts = in_segments(
            partial(self._begin_all, targets=targets),
            self._advance,
            checkpoints,
            self.steps,
            blocks,
            (inputs, targets),
            partial(_side_by_side, is_compiled=False),
        )
        return [((params, rest), losses, None) for (params, rest, _), losses in parts]

    @property
    def _graph(self) -> Any:
        """Structure of the module."""
        return self._shapes[0]

    @cached_property
    def _shapes(self) -> tuple[Any, Any, Any]:
        """Structure, parameters and other state, found without computing any of its arrays."""
        numbers = dict.fromkeys(self.initial, jnp.ones(()))
        shapes = nnx.eval_shape(lambda: self.make(nnx.Rngs(0), **numbers))
        graph, params, rest = nnx.split(shapes, nnx.Param, ...)
        if not jax.tree.leaves(params):
            raise UsageError("the module has no nnx.Param to train")
        return graph, params, rest

    @cached_property
    def _compiled(self) -> set[Any]:
        """Shapes that the program was compiled for."""
        return set()

    @cached_property
    def _program(self) -> Callable[..., Any]:
        return jax.jit(jax.vmap(self._run, (0, 0, 0, None, None)))

    def _run(
        self,
        state: Any,
        rows: Array,
        setting: Mapping[str, Array],
        inputs: Array,
        targets: Array,
    ) -> tuple[tuple[Any, Any], Array, Any]:
        """Trained state of one run, its losses, and what was watched."""
        watch = self.watch
        if watch is None:
            (params, rest, _), losses = self._advance(state, setting, rows, inputs, targets)
            return (params, rest), losses, None

        def segment(state: Any, rows: Array) -> Any:
            state, losses = self._advance(state, setting, rows, inputs, targets)
            return state, (losses, self._look(watch, *state[:2]))

        segments = rows.reshape(-1, self.every, self.batch)
        (params, rest, _), (losses, seen) = jax.lax.scan(segment, state, segments)
        return (params, rest), losses.ravel(), seen

    def _look(self, watch: Callable[[Any], Any], params: Any, rest: Any) -> Any:
        """What is seen of the module in this state."""
        module = nnx.merge(self._graph, params, rest, copy=True)
        module.eval()
        return watch(module)

    def _begin_all(
        self, seeds: Array, settings: Mapping[str, Array], targets: Array
    ) -> tuple[Any, Any]:
        """States before the first step, and rows of each step's batch, of a block of runs.

        Not compiled as a whole: the programs of `jax.random`, which take longer to compile than a
        training step, are then shared by all modules whose arrays have the same shapes.
        """
        states, of_batches = jax.vmap(self._begin)(seeds, settings)
        return states, _batches(of_batches, len(targets), self.batch, self.steps)

    def _begin(self, seed: Array, setting: Mapping[str, Array]) -> tuple[Any, Any]:
        """State of one run before its first step, and the key of its batches."""
        of_weights, of_batches = jax.random.split(jax.random.key(seed))
        of_rule, of_make = self._parted(setting)
        _, params, rest = nnx.split(self.make(nnx.Rngs(of_weights), **of_make), nnx.Param, ...)
        return (params, rest, self.optimiser(**of_rule).init(params)), of_batches

    def _parted(self, setting: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
        """Settings of the optimiser and settings of the module."""
        of_rule = dict(setting)
        return of_rule, {name: of_rule.pop(name) for name in self.initial}

    def _advance(
        self,
        state: Any,
        setting: Mapping[str, Array],
        rows: Array,
        inputs: Array,
        targets: Array,
    ) -> tuple[Any, Array]:
        """State of one run after the steps of these batches, and their losses."""
        rule = self.optimiser(**self._parted(setting)[0])

        def step(state: Any, rows: Array) -> Any:
            params, rest, memory = state
            (value, rest), slope = jax.value_and_grad(self._objective, has_aux=True)(
                params, rest, inputs[rows], targets[rows]
            )
            update, memory = rule.update(slope, memory, params)
            return (optax.apply_updates(params, update), rest, memory), value

        return jax.lax.scan(step, state, rows)

    def _objective(self, params: Any, rest: Any, inputs: Array, targets: Array) -> Any:
        """The loss, and the state that the forward pass left (statistics, random streams)."""
        module = nnx.merge(self._graph, params, rest, copy=True)
        value = self.loss(module, inputs, targets)
        return value, nnx.split(module, nnx.Param, ...)[2]

    def _check_numbers(self, samples: int) -> None:
        arguments.whole("steps", self.steps)
        if self.watch is not None:
            arguments.whole("every", self.every)
            if self.steps % self.every:
                raise UsageError(f"every={self.every}; give a divisor of steps={self.steps}")
            if self.checkpoints is not None:
                raise UsageError("a training that is watched is not saved; leave out checkpoints")
        arguments.whole("batch", self.batch, samples)

    def _check_settings(self, names: Sequence[str]) -> None:
        if missing := [name for name in self.initial if name not in names]:
            raise UsageError(
                f"no value for the setting {missing[0]!r} of the module; give settings"
            )
        others = [name for name in names if name not in self.initial]
        arguments.check_takes(self.optimiser, "optimiser", others)
        arguments.check_takes(self.make, "module", self.initial, (None,))

    def _check_data(self, inputs: Array, targets: Array) -> None:
        """The module takes a batch, its loss is a number, every label is a class."""
        sides = [
            jax.ShapeDtypeStruct((self.batch, *side.shape[1:]), jnp.asarray(side[:0]).dtype)
            for side in (inputs, targets)
        ]
        key = tuple((side.shape, side.dtype) for side in sides)
        if key not in self._outputs:
            self._outputs[key] = self._output(*sides)
        if self.loss is cross_entropy:
            arguments.check_classes(targets, self._outputs[key])

    @cached_property
    def _outputs(self) -> dict[Any, int]:
        """Shapes of a batch that were traced -> how many classes the module tells apart."""
        return {}

    def _output(self, inputs: Any, targets: Any) -> int:
        """The same of batches of these shapes, found without computing; 0 for another loss."""

        def logits(params: Any, rest: Any, inputs: Array) -> Array:
            return nnx.merge(self._graph, params, rest, copy=True)(inputs)

        state = self._shapes[1:]
        with arguments.traced(
            f"the module or its loss cannot take inputs {inputs.shape} and targets {targets.shape}"
        ):
            if self.loss is cross_entropy:
                found = jax.eval_shape(logits, *state, inputs)
                arguments.check_logits(found, targets)
                return found.shape[-1]
            value, _ = jax.eval_shape(self._objective, *state, inputs, targets)
        if value.shape:
            raise UsageError(f"the loss has the shape {value.shape}; give one number, as the mean")
        return 0


def fit(
    make: Callable[[nnx.Rngs], nnx.Module],
    inputs: Array,
    targets: Array,
    optimiser: Callable[..., optax.GradientTransformation],
    *,
    steps: int,
    batch: int,
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Sequence[float]] | None = None,
    loss: Loss = cross_entropy,
    checkpoints: Checkpoints | None = None,
) -> Fit:
    """Train a network from every seed with every setting of the optimiser, all at once.

    Every epoch is a new shuffling; a batch never holds a sample twice, and samples that do not
    fill a batch are left out of their epoch.  A run's numbers depend on its seed and setting
    alone, rounding aside, not on what is trained beside it.

    Args:
        make: Builds the module from random streams.
        inputs: Samples, (N, ...).
        targets: Classes or numbers, (N,).
        optimiser: Builds the optimiser; takes the settings by name.
        steps: Updates, >= 1.
        batch: Samples of an update, 1 to N.
        seeds: Whole numbers from 0 to 2^32 - 1, all different.
        settings: Hyper-parameter -> values; the runs are all combinations with the seeds, the
            seeds varying fastest.
        loss: What is minimised.
        checkpoints: Where the state of a long training is saved; a killed one goes on there.

    Raises:
        UsageError: a number outside of its range, a label that is no class, a setting that nothing
            takes, data that the module does not take, or no parameter.

    >>> from diffkit.nets.mlp import Classifier
    >>> from diffkit.problems.synthetic import xor
    >>> data = xor(64)
    >>> found = fit(
    ...     lambda rngs: Classifier((2, 8, 2), "tanh", rngs=rngs),
    ...     data.inputs, data.targets, optax.adam, steps=200, batch=32,
    ...     seeds=(0, 1), settings={"learning_rate": (0.001, 0.03)},
    ... )
    >>> found.losses.shape, found.accuracy(data.inputs, data.targets)[2:].min().item()
    ((4, 200), 1.0)
    """
    trainer = Trainer(make, optimiser, steps, batch, loss, checkpoints)
    return trainer(inputs, targets, seeds, settings)


def _batches(keys: Array, samples: int, batch: int, steps: int) -> np.ndarray:
    """Rows of every step's batch, (runs, steps, batch): one shuffling an epoch.

    They are those of `jax.random.permutation`, whose sort XLA:CPU takes fifteen times as long for
    as NumPy; beyond 1600 samples it sorts twice, where once is as random.
    """
    in_epoch = samples // batch
    epochs = -(-steps // in_epoch)

    def drawn(key: Array) -> Array:
        return jax.random.bits(jax.random.split(key)[1], (samples,))

    of_epochs = jax.vmap(lambda key: jax.vmap(drawn)(jax.random.split(key, epochs)))
    orders = np.argsort(np.asarray(of_epochs(keys)), axis=-1, kind="stable").astype(np.int32)
    return orders[..., : in_epoch * batch].reshape(len(keys), -1, batch)[:, :steps]


def _blocks(runs: int) -> list[np.ndarray]:
    """Rows of runs that are trained as one program: all of them, or a few on a CPU.

    The blocks are of one size, so that they share a compiled program; the last run fills the rest.
    """
    if jax.default_backend() != "cpu" or runs <= BLOCK:
        return [np.arange(runs)]
    count = -(-runs // BLOCK)
    size = -(-runs // count)
    return list(np.minimum(np.arange(count * size), runs - 1).reshape(count, size))


def _rows_of(runs: Any, rows: np.ndarray, blocks: Sequence[np.ndarray]) -> Any:
    """Some of the runs of a pytree with a leading axis of runs; all of them where one block is."""
    if len(blocks) == 1:
        return runs

    def taken(leaf: Any) -> Any:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        # a slice by JAX would be a program for each shape of leaf
        return leaf[rows] if is_key else np.asarray(leaf)[rows]

    return jax.tree.map(taken, runs)


def _side_by_side(
    train: Callable[[Any], Any], blocks: Sequence[Any], *, is_compiled: bool
) -> list[Any]:
    """The blocks, one for each core; the first alone where it has to be compiled."""
    is_x64 = jax.config.jax_enable_x64  # each thread has its own

    def of_thread(block: Any) -> Any:
        with jax.enable_x64(is_x64):
            return train(block)

    alone = [] if is_compiled and len(blocks) > 1 else [train(blocks[0])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [*alone, *pool.map(of_thread, blocks[len(alone) :])]


def _joined(parts: Sequence[Any], runs: int) -> Any:
    if len(parts) == 1:
        return parts[0]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:runs], *parts)


def _grid(
    seeds: np.ndarray, settings: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Seed and hyper-parameters of every run."""
    axes = np.meshgrid(*settings.values(), seeds, indexing="ij")
    flat = [axis.ravel() for axis in axes]
    return flat[-1], dict(zip(settings, flat, strict=False))
