"""What each part measures.  The fields of the exact part stand at the top."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ridge:
    """Ridge regression at the best penalty, with the teacher of the exact part.

    Args:
        widths: The p that are measured; n may be among them.
        draws: Training sets.
        sizes: Training sizes n of the extrapolation, at p = n with all features used.
        sizes_draws: Training sets of each.
        sizes_noise: Var e of the extrapolation, where the signal has variance 1.
        seed: Root of all random streams; another one than that of the exact part, so that a
            chance deviation is not shared.
    """

    widths: tuple[int, ...] = (5, 10, 20, 35, 50, 65, 80, 100)
    draws: int = 6000
    sizes: tuple[int, ...] = (8, 12, 20, 40)
    sizes_draws: int = 6000
    sizes_noise: float = 0.1
    seed: int = 1


@dataclass(frozen=True)
class BiasVariance:
    """Bias and variance: smoothers on a fixed design, and Gaussian features.

    Args:
        points: Design points, evenly spread over [-1, 1].
        degrees: Degrees of the polynomials, below the number of points.
        penalties: Penalties of the ridge smoother of the largest degree.
        noise: Var e on the fixed design.
        widths: The p of the Gaussian features at n samples, both of the exact part.
        sizes: The n of the Gaussian features at p = samples of the exact part.
        pairs: Pairs of independent data sets.
        block: Pairs of one cell of the run ledger.
        seed: Root of all random streams.
    """

    points: int = 30
    degrees: tuple[int, ...] = tuple(range(16))
    penalties: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
    noise: float = 0.1
    widths: tuple[int, ...] = (2, 5, 10, 20, 30, 40, 60, 70, 80, 100)
    sizes: tuple[int, ...] = (5, 10, 20, 30, 40, 60, 70, 80, 120)
    pairs: int = 2000
    block: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class RandomFeatures:
    """Random features on scikit-learn's digits.

    Args:
        samples: n, digits of a training set.
        pool: Digits the training sets are drawn from; the others are the test set.
        widths: Numbers of cosine features N; n may be among them, no other within 20 of it.
        label_noise: Shares of training labels that are replaced by another class; 0 comes first.
        pairs: Pairs of independent training sets with their features.
        gaussian_widths: Numbers of Gaussian features, none within 20 of n.
        gaussian_pairs: Pairs with Gaussian features of the same kernel.
        gaussian_test: Digits of the test set that these are tested with.
        kernel_samples: Digits between which the kernel of N features is measured.
        kernels: Draws of them with their features.
        grid_samples: Training sizes of the grid of learning curves, at most the pool.
        grid_widths: Numbers of features of that grid, none within 20 of a training size.
        grid_label_noise: Share of wrong labels of that grid.
        grid: Repetitions of the grid.
        block: Pairs, or repetitions, of one cell of the run ledger.
        seed: Root of all random streams.
    """

    samples: int = 300
    pool: int = 1200
    widths: tuple[int, ...] = (20, 50, 100, 200, 250, 300, 350, 500, 1000, 3000)
    label_noise: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4)
    pairs: int = 12
    gaussian_widths: tuple[int, ...] = (50, 100, 200, 400, 600, 1000)
    gaussian_pairs: int = 32
    gaussian_test: int = 200
    kernel_samples: int = 100
    kernels: int = 200
    grid_samples: tuple[int, ...] = (50, 100, 200, 400, 800)
    grid_widths: tuple[int, ...] = (25, 70, 150, 300, 600, 1500)
    grid_label_noise: float = 0.1
    grid: int = 8
    block: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """Networks of one hidden layer trained on digits with wrong labels.

    Args:
        samples: n, digits of a training set.
        widths: Hidden units; the network has 75 parameters a unit, and 10.
        densities: Shares of weights that exist, in falling order from 1.
        dense_width: Hidden units of those sparse networks.
        label_noise: Shares of wrong labels.
        runs: Training sets with their networks; the widths share the training sets.
        steps: Updates with the whole training set.
        every: Steps between two looks, a divisor of steps.
        learning_rate: Of Adam, decayed to 0.
        seed: Of the first run; the others follow.
    """

    samples: int = 60
    widths: tuple[int, ...] = (2, 6, 9, 13, 30, 120)
    densities: tuple[float, ...] = (1.0, 0.3, 0.1)
    dense_width: int = 30
    label_noise: tuple[float, ...] = (0.0, 0.2)
    runs: int = 12
    steps: int = 1000
    every: int = 25
    learning_rate: float = 0.02
    seed: int = 0


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        parts: The parts that run.
        samples: n of the exact part.
        features: D, how many there are; the first p are used.
        widths: The p that are measured, none within 5 of n.
        decay: b_j^2 falls as j^-decay.
        noise: Var e; the signal has variance 1 - noise.
        draws: Independent training sets, >= 1000 for a z-score; the widths share them.
        block: Training sets of one cell of the run ledger.
        seed: Root of all random streams.
        ridge: Part ridge, the best penalty.
        random_features: Part random_features, cosines on digits.
        bias_variance: Part bias_variance, both sides of the error apart.
        trained: Part trained, networks of many widths.
    """

    parts: tuple[str, ...] = (
        "exact",
        "ridge",
        "random_features",
        "bias_variance",
        "trained",
    )
    samples: int = 50
    features: int = 100
    widths: tuple[int, ...] = (
        1, 2, 4, 6, 9, 12, 16, 20, 25, 30, 35, 39, 42, 45, 55, 58, 61, 65, 70, 75, 80, 90, 100,
    )  # fmt: skip
    decay: float = 0.75
    noise: float = 0.05
    draws: int = 4000
    block: int = 500
    seed: int = 0
    ridge: Ridge = Ridge()
    random_features: RandomFeatures = RandomFeatures()
    bias_variance: BiasVariance = BiasVariance()
    trained: Trained = Trained()
