"""What each part measures."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Factor:
    """The factor of gradients per layer in the limit of wide layers.

    Args:
        activations: Names of `diffkit.nets.mlp.ACTIVATIONS`.
        sigma_w: Weight standard deviation times sqrt(fan_in) of all of them.
        sigma_b: Bias standard deviation.
        designs: Formulas of activations in one symbol; each is measured at the critical
            initialisation that theory designs for it, and at He's.
        widths: n, two or more; what is measured is extrapolated to 1/n = 0.
        networks: Networks of the smallest width; the others have fewer in proportion to 1/n.
        depth: L, layers.
        inputs: Inputs shown to each network.
        tolerance: Allowed relative error of a factor after the extrapolation.
        seed: Root of all random streams.
    """

    activations: tuple[str, ...] = ("tanh", "erf", "relu", "gelu", "swish")
    sigma_w: float = 1.3
    sigma_b: float = 0.3
    designs: tuple[str, ...] = ("x*tanh(softplus(x))", "x + sin(x)^2", "x*erf(x)")
    widths: tuple[int, ...] = (64, 256)
    networks: int = 256
    depth: int = 30
    inputs: int = 4
    tolerance: float = 0.01
    seed: int = 0


@dataclass(frozen=True)
class Phase:
    """The edge of chaos: where gradients neither grow nor vanish.

    Args:
        activations: Those with an edge of chaos at every sigma_b: tanh, erf.
        weights: sigma_w^2 of the grid, rising.
        biases: sigma_b^2 of the grid, > 0.
        widths: n, two or more; the growth of gradients is extrapolated to 1/n = 0.
        networks: Networks of the smallest width; the others have fewer in proportion to 1/n.
        depth: L; the second half of the layers is measured, when the variance has settled.
        tolerance: Allowed relative error of the measured boundary in sigma_w^2.
        seed: Root of all random streams.
    """

    activations: tuple[str, ...] = ("erf", "tanh")
    weights: tuple[float, ...] = (0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 2.7, 3.0)
    biases: tuple[float, ...] = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
    widths: tuple[int, ...] = (128, 256)
    networks: int = 192
    depth: int = 40
    tolerance: float = 0.05
    seed: int = 1


@dataclass(frozen=True)
class FiniteWidth:
    """Exact moments of ReLU layers of finite width at He's initialisation.

    Args:
        widths: n.
        networks: Networks of the smallest width; the others have fewer in proportion to 1/n.
        depth: L, layers.
        seed: Root of all random streams.
    """

    widths: tuple[int, ...] = (8, 16, 64)
    networks: int = 10_240
    depth: int = 10
    seed: int = 2


def networks(asked: Factor | Phase | FiniteWidth, width: int) -> int:
    """Fewer networks where they are wider: their scatter is smaller in the same proportion."""
    return asked.networks * min(asked.widths) // width


@dataclass(frozen=True)
class Starts:
    """Networks of one hidden tanh layer on digits that differ in their start alone.

    Args:
        widths: Hidden units, rising, two or more.
        initialisers: A good one first.
        rates: Learning rates of gradient descent with momentum 0.9, rising; a good one first.
        networks: Independent starts of each, 10 or more.
        steps: Updates.
        batch: Digits of an update.
        seed: Number of the first network.
    """

    widths: tuple[int, ...] = (4, 16, 64)
    initialisers: tuple[str, ...] = ("glorot", "normal 1")
    rates: tuple[float, ...] = (0.05, 2.0)
    networks: int = 64
    steps: int = 300
    batch: int = 32
    seed: int = 0


def choices(initialisers: Sequence[str], rates: Sequence[float]) -> list[tuple[str, float]]:
    """The good initialiser and rate of `Starts`, then those that differ from them in one."""
    (good, *others), (rate, *rest) = initialisers, rates
    return [(good, rate), *((good, each) for each in rest), *((each, rate) for each in others)]


@dataclass(frozen=True)
class Training:
    """Deep networks on scikit-learn's digits from different initialisations.

    Args:
        pairs: "activation initialiser"; he and glorot for relu, tanh and swish are among them.
            Initialisers are those of `diffkit.nets.initialisers`, "lsuv", "normal STD", and
            "critical", the one that theory designs.
        depth: L, weight layers.
        width: Units of a hidden layer.
        rates: Learning rates of gradient descent with momentum 0.9; every pair is judged at its
            best one.
        seeds: Independent networks, even.
        steps: Updates.
        batch: Digits of an update.
        success: Share of right answers on the training set from which a network has learned; one
            in ten is chance.
        depths: Rising depths of He's ReLU networks whose largest stable rate is measured.
        starts: Shallow networks that differ in their start alone.
        seed: Number of the first network.
    """

    pairs: tuple[str, ...] = (
        "relu he", "relu glorot", "tanh he", "tanh glorot", "swish he", "swish glorot",
        "swish critical",
    )  # fmt: skip
    depth: int = 30
    width: int = 32
    rates: tuple[float, ...] = (0.005,)
    seeds: int = 8
    steps: int = 300
    batch: int = 32
    success: float = 0.2
    depths: tuple[int, ...] = (2, 8)
    starts: Starts = Starts()
    seed: int = 0


@dataclass(frozen=True)
class Minima:
    """Where gradient descent from random starts ends: exclusive or, and a double well.

    Args:
        widths: Hidden tanh units, rising, 1 or more.
        starts: Random starts of each width.
        steps: Updates of gradient descent with momentum 0.9.
        tolerance: Allowed distance of a final loss from the nearest predicted level.
        wells: Starts in the double well.
        rates: Step sizes in the double well, rising; the first is so small that no step jumps.
        seed: Root of all random streams.
    """

    widths: tuple[int, ...] = (1, 2, 3, 4, 8)
    starts: int = 400
    steps: int = 6000
    tolerance: float = 0.001
    wells: int = 4000
    rates: tuple[float, ...] = (0.01, 0.1, 0.3, 0.5, 0.7)
    seed: int = 3


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        parts: The parts that run.
        factor: Part factor, growth of gradients per layer.
        phase: Part phase, the edge of chaos.
        finite_width: Part finite_width, the log of a tangent's length.
        training: Part training, thirty layers on digits.
        minima: Part minima, where descent ends.
    """

    parts: tuple[str, ...] = ("factor", "phase", "finite_width", "training", "minima")
    factor: Factor = Factor()
    phase: Phase = Phase()
    finite_width: FiniteWidth = FiniteWidth()
    training: Training = Training()
    minima: Minima = Minima()
