"""Do optimisers do what their formulas say: on quadratics, on counterexamples, on a network?

Refuted by a rate, a stationary variance, an expected loss or a largest step that misses its closed
form, or by an optimiser of Optax that is not its paper's rule up to the deviations listed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment
from diffkit.lab.outcome import Outcome
from diffkit.lab.parts import PartCheck, PartRunner, check_parts, of_field, run_parts
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.optimizers.parts import (
    counterexample,
    learning_rate,
    noise_floor,
    quadratic_deep,
    rates,
    rules,
    training,
)
from experiments.optimizers.parts.counterexample import CounterexampleConfig
from experiments.optimizers.parts.learning_rate import LearningRateConfig
from experiments.optimizers.parts.noise_floor import NoiseConfig
from experiments.optimizers.parts.quadratic_deep import DeepConfig
from experiments.optimizers.parts.rates import RatesConfig
from experiments.optimizers.parts.training import TrainingConfig

QUESTION = (
    "Do optimisers do what their formulas say: the paper's rule, its rate, its noise floor, its "
    "largest step? Refuted by one that misses its closed form."
)
PARTS: Mapping[str, PartRunner] = {
    part.NAME: part.run
    for part in (
        rules,
        rates,
        noise_floor,
        quadratic_deep,
        counterexample,
        learning_rate,
        training,
    )
}
#: Name -> what refuses a configuration that the part cannot answer; `rules` has no fields.
CHECKS: Mapping[str, PartCheck] = {
    part.NAME: of_field(part.NAME, part.check)
    for part in (rates, noise_floor, quadratic_deep, counterexample, learning_rate, training)
}
#: The parts with a theory; the race of ten optimisers is for the larger presets.
QUICK = tuple(name for name in PARTS if name != training.NAME)


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        parts: Which parts run.
        rates: Linear methods on a quadratic without noise.
        noise_floor: The same with noise.
        quadratic_deep: The noisy quadratic of DeepOBS.
        counterexample: Adam's steps, and Reddi's losses.
        learning_rate: What the learning rate decides.
        training: A race on digits.
        seed: Root of all random streams.
    """

    parts: tuple[str, ...] = QUICK
    rates: RatesConfig = field(default_factory=RatesConfig)
    noise_floor: NoiseConfig = field(default_factory=NoiseConfig)
    quadratic_deep: DeepConfig = field(default_factory=DeepConfig)
    counterexample: CounterexampleConfig = field(default_factory=CounterexampleConfig)
    learning_rate: LearningRateConfig = field(default_factory=LearningRateConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0


def check(config: Config) -> None:
    """Refuse a configuration that has no answer, before anything runs."""
    check_parts(PARTS, CHECKS, config)


def run(config: Config, store: Store, progress: Progress) -> Outcome:
    """Run the parts that are asked for."""
    return run_parts(
        PARTS, config.parts, config, store, progress, dtype="float64", seeds=(config.seed,)
    )


FULL = Config(
    parts=tuple(PARTS),
    noise_floor=NoiseConfig(chains=16_384),
    quadratic_deep=DeepConfig(shufflings=512, epochs=60),
    counterexample=CounterexampleConfig(periods=100_000, sequences=65_536),
    learning_rate=LearningRateConfig(batches=(1, 8, 64, 512), epochs=20, seeds=10),
)

#: The full measurement with a race as long as benchmarks have it.
GPU = replace(FULL, training=TrainingConfig(seeds=10, steps=10_000))

EXPERIMENT = Experiment(
    name="optimizers",
    question=QUESTION,
    config=Config,
    presets={
        "quick": Preset(Config(), budget=40.0),
        "full": Preset(FULL, budget=900.0),
        "gpu": Preset(GPU, budget=1800.0),
    },
    run=run,
    check=check,
)
