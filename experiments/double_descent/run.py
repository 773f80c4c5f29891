"""Does the test error fall a second time beyond as many features as samples, and by how much?

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
from experiments.double_descent.config import (
    BiasVariance,
    Config,
    RandomFeatures,
    Ridge,
    Trained,
)
from experiments.double_descent.parts import bias_variance, exact, random_features, ridge, trained

QUESTION = (
    "Does the test error of least squares fall a second time beyond p = n, as its exact risk says? "
    "Refuted by a width whose mean misses it by 3 standard errors."
)
#: Name -> part; they run in this order.
PARTS: Mapping[str, PartRunner] = {
    "exact": exact.run,
    "ridge": ridge.run,
    "random_features": random_features.run,
    "bias_variance": bias_variance.run,
    "trained": trained.run,
}


#: Name -> what refuses a configuration that the part cannot answer.
CHECKS: Mapping[str, PartCheck] = {
    "exact": exact.check,
    "ridge": ridge.check,
    "random_features": of_field("random_features", random_features.check),
    "bias_variance": bias_variance.check,
    "trained": of_field("trained", trained.check),
}


def check(config: Config) -> None:
    """Refuse a configuration that has no answer, before anything runs."""
    check_parts(PARTS, CHECKS, config)


def run(config: Config, store: Store, progress: Progress) -> Outcome:
    """Measure and judge the parts that are asked for."""
    return run_parts(
        PARTS, config.parts, config, store, progress, dtype="float64", seeds=(config.seed,)
    )


#: Numbers of cosine features of the full preset.
ALL_WIDTHS = (
    20, 50, 100, 150, 200, 250, 280, 300, 320, 350, 400, 500, 700, 1000, 1700, 3000,
)  # fmt: skip
FULL = replace(
    Config(),
    draws=40_000,
    block=4000,
    ridge=Ridge(draws=40_000, sizes_draws=40_000),
    random_features=RandomFeatures(
        widths=ALL_WIDTHS,
        pairs=100,
        gaussian_pairs=200,
        kernels=2000,
        grid=60,
        block=10,
    ),
    bias_variance=BiasVariance(pairs=10_000, block=2500),
    trained=Trained(
        samples=150,
        widths=(2, 6, 12, 16, 20, 26, 40, 90, 300),
        densities=(1.0, 0.5, 0.25, 0.1, 0.05),
        dense_width=90,
        label_noise=(0.0, 0.1, 0.2),
        runs=30,
        steps=3000,
    ),
)

EXPERIMENT = Experiment(
    name="double_descent",
    question=QUESTION,
    config=Config,
    presets={"quick": Preset(Config(), budget=150.0), "full": Preset(FULL, budget=900.0)},
    run=run,
    check=check,
)
