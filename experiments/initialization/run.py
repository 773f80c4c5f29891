"""Which initialisations let signals and gradients through a deep network, and does it matter?

Each part has its own prediction, its own negative control and its own verdict; see README.md.
"""

from collections.abc import Mapping
from dataclasses import replace

from diffkit.lab.config import Preset
from diffkit.lab.experiment import Experiment
from diffkit.lab.outcome import Outcome
from diffkit.lab.parts import PartCheck, PartRunner, check_parts, of_field, run_parts
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store
from experiments.initialization.config import Config, Factor, FiniteWidth, Phase, Starts, Training
from experiments.initialization.parts import factor, finite_width, minima, phase, training

QUESTION = (
    "Is the edge of chaos where theory derives it, for any activation, and do deep networks train "
    "only near it? Refuted by a factor of gradients that misses theory by more than 1 %."
)
#: Name -> part; they run in this order.
PARTS: Mapping[str, PartRunner] = {
    "factor": factor.run,
    "phase": phase.run,
    "finite_width": finite_width.run,
    "training": training.run,
    "minima": minima.run,
}


#: Name -> what refuses a configuration that the part cannot answer.
CHECKS: Mapping[str, PartCheck] = {
    name: of_field(name, part.check)
    for name, part in (
        ("factor", factor),
        ("phase", phase),
        ("finite_width", finite_width),
        ("training", training),
        ("minima", minima),
    )
}


def check(config: Config) -> None:
    """Refuse a configuration that has no answer, before anything runs."""
    check_parts(PARTS, CHECKS, config)


def run(config: Config, store: Store, progress: Progress) -> Outcome:
    """Measure and judge the parts that are asked for."""
    seeds = (config.factor.seed, config.phase.seed, config.finite_width.seed)
    return run_parts(PARTS, config.parts, config, store, progress, dtype="float32", seeds=seeds)


FULL = replace(
    Config(),
    factor=Factor(widths=(64, 128, 256, 512), networks=2000),
    training=Training(
        pairs=(
            *Training().pairs,
            "relu lsuv",
            "relu normal 0.01",
            "tanh orthogonal",
            "tanh critical",
        ),
        rates=(0.002, 0.005, 0.02),
        seeds=20,
        steps=1000,
        depths=(2, 4, 8, 16, 32),
        starts=Starts(widths=(4, 8, 16, 32, 64, 128, 256), networks=100, steps=1000),
    ),
    phase=Phase(widths=(128, 256, 512), networks=2000),
    finite_width=FiniteWidth(widths=(8, 16, 32, 64), networks=102_400),
)

EXPERIMENT = Experiment(
    name="initialization",
    question=QUESTION,
    config=Config,
    presets={"quick": Preset(Config(), budget=90.0), "full": Preset(FULL, budget=900.0)},
    run=run,
    check=check,
)
