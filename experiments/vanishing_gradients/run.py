"""Do gradients vanish with depth and over time as theory says?

Each part has its own prediction, its own negative control and its own verdict; see README.md.
"""

from collections.abc import Mapping

from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment
from diffkit.lab.outcome import Outcome
from diffkit.lab.parts import PartCheck, PartRunner, check_parts, of_field, run_parts
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.vanishing_gradients.config import (
    BatchNorm,
    Config,
    Recurrent,
    Trainability,
    Training,
)
from experiments.vanishing_gradients.parts import (
    batch_norm,
    depth,
    memory,
    recurrent,
    trainability,
    training,
)

QUESTION = (
    "Do gradients vanish with depth at the rate chi that Gaussian integrals predict? Refuted by "
    "a cell that misses it by more than 3 standard errors + 5/n per layer."
)
#: Name -> part; they run in this order.
PARTS: Mapping[str, PartRunner] = {
    "depth": depth.run,
    "recurrent": recurrent.run,
    "batch_norm": batch_norm.run,
    "training": training.run,
    "trainability": trainability.run,
    "memory": memory.run,
}


#: Name -> what refuses a configuration that the part cannot answer.
CHECKS: Mapping[str, PartCheck] = {
    "depth": depth.check,
    "recurrent": of_field("recurrent", recurrent.check),
    "batch_norm": of_field("batch_norm", batch_norm.check),
    "training": of_field("training", training.check),
    "trainability": of_field("trainability", trainability.check),
    "memory": of_field("memory", memory.check),
}


def check(config: Config) -> None:
    """Refuse a configuration that has no answer, before anything runs."""
    check_parts(PARTS, CHECKS, config)


def run(config: Config, store: Store, progress: Progress) -> Outcome:
    """Measure and judge the parts that are asked for."""
    return run_parts(
        PARTS, config.parts, config, store, progress, dtype="float32", seeds=(config.seed,)
    )


FULL = Config(
    parts=tuple(PARTS),
    width=512,
    depth=50,
    networks=64,
    recurrent=Recurrent(units=64, length=300, networks=32, gate_networks=64),
    batch_norm=BatchNorm(batches=(8, 12, 16, 32, 64), factors=(2, 4, 8), networks=48),
    training=Training(samples=1024, moments=(0, 30, 300, 3000), networks=16),
    trainability=Trainability(
        depths=(2, 8, 16),
        steps=1000,
        seeds=10,
        norm_depths=(2, 16),
        norm_rates=(0.01, 0.03, 0.1, 0.3, 1.0),
        task_rates=(0.01, 0.05),
        task_seeds=12,
        smooth_depths=(2, 8, 16),
    ),
)
EXPERIMENT = Experiment(
    name="vanishing_gradients",
    question=QUESTION,
    config=Config,
    presets={
        "quick": Preset(Config(), budget=120.0),
        "full": Preset(FULL, budget=900.0),
        "gpu": Preset(Config(width=4096, depth=60, networks=64, block=4), budget=900.0),
    },
    run=run,
    check=check,
)
