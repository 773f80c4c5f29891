"""What each part measures.  The fields of the part "depth" stand at the top."""

from dataclasses import dataclass

#: Widths start from this many units where the batch is smaller.
NARROWEST = 32


@dataclass(frozen=True)
class Recurrent:
    """Sensitivities of recurrent cells over time.

    Args:
        units: n, entries of h.
        inputs: Entries of x_t, independent N(0, 1).
        length: T, steps; rates are read off between T/2 and T.
        radii: Spectral radii of the recurrent matrix.
        networks: Independent cells and input sequences.
        tolerance: Of the log rate per step of a linear cell with a Gaussian matrix.
        allowance: Bias allowed to the mean-field rate of tanh cells, in units of 1/units.
        gate_units: Units of the LSTM cells.
        gate_length: T of the LSTM cells, and the horizon of the bias log(T - 1).
        gate_biases: b_f; log(T - 1) is measured besides.
        gate_recurrent: Standard deviation of the LSTM's recurrent weights times sqrt(units); small,
            so that the path through the cell dominates.
        gate_networks: Independent LSTM cells and input sequences.
        seed: Root of all random streams.
    """

    units: int = 48
    inputs: int = 4
    length: int = 200
    radii: tuple[float, ...] = (0.8, 1.0, 1.2)
    networks: int = 8
    tolerance: float = 0.005
    allowance: float = 5.0
    gate_units: int = 32
    gate_length: int = 100
    gate_biases: tuple[float, ...] = (0.0, 1.0, 3.0)
    gate_recurrent: float = 0.02
    gate_networks: int = 16
    seed: int = 0


@dataclass(frozen=True)
class BatchNorm:
    """Growth of gradients under batch normalisation.

    Args:
        batches: B, samples of a batch, each > 5; from 8 on the drift is 1/n up to 1/n^2.
        factors: Widths n as multiples of max(B, 32), extrapolated in 1/n; two or more.
        depth: L, layers.
        skip: Layers left out at both ends, where the network is not in its steady state.
        networks: Independent networks of each width and batch.
        seed: Root of all random streams.
    """

    batches: tuple[int, ...] = (8, 16, 32)
    factors: tuple[int, ...] = (2, 8)
    depth: int = 24
    skip: int = 4
    networks: int = 32
    seed: int = 0


@dataclass(frozen=True)
class Training:
    """Gradients of networks that are trained, after Glorot and Bengio (2010).

    Args:
        activations: phi.
        initialisers: Of all layers; "standard" is U[-1/sqrt n, 1/sqrt n].
        width: Units of a hidden layer.
        layers: Hidden layers.
        samples: Digits that are trained on and looked at.
        rate: Step size of SGD.
        batch: Samples of a step.
        moments: Numbers of steps after which gradients are looked at, 0 first.
        networks: Independent networks.
        allowance: Bias allowed per layer to the log of a variance, in units of 1/width.
        seed: Root of all random streams.
    """

    activations: tuple[str, ...] = ("tanh", "sigmoid")
    initialisers: tuple[str, ...] = ("standard", "glorot")
    width: int = 100
    layers: int = 5
    samples: int = 512
    rate: float = 0.1
    batch: int = 32
    moments: tuple[int, ...] = (0, 30, 300)
    networks: int = 8
    allowance: float = 5.0
    seed: int = 0


@dataclass(frozen=True)
class Trainability:
    """Small networks trained on digits.

    Args:
        names: Activations of the program that trains them all; those below are among them.
        activations: phi of the sweep over scales.
        depths: Square hidden layers of the sweep.
        scales: sigma_w of the square layers.
        width: Units of a hidden layer.
        rate: Step size of the sweep, with momentum 0.9.
        steps: Updates.
        batch: Samples of an update.
        seeds: Networks of each setting.
        target: Training loss that is to be reached.
        success: Training accuracy of a network that has learned.
        norm_depths: Square layers of the networks with and without batch normalisation.
        norm_rates: Their step sizes, ascending.
        task_rates: Step sizes of the tasks on which swish is compared with ReLU.
        task_seeds: Networks of each of these; none, and C093 is not decided, as it should be where
            the steps do not suffice to learn the tasks.
        smooth_depths: Square layers of networks that learn a smooth function; none, and C094 is
            not decided.
        smooth_activations: phi of these networks; swish is among them.
        smooth_rates: Step sizes of Adam.
        smooth_seeds: Networks of each of these.
        seed: Of the first network.
    """

    names: tuple[str, ...] = ("tanh", "relu", "sigmoid", "swish")
    activations: tuple[str, ...] = ("tanh", "relu", "sigmoid")
    depths: tuple[int, ...] = (2, 12)
    scales: tuple[float, ...] = (0.577, 1.0, 1.414, 2.0, 3.0)
    width: int = 32
    rate: float = 0.02
    steps: int = 160
    batch: int = 32
    seeds: int = 6
    target: float = 0.5
    success: float = 0.5
    norm_depths: tuple[int, ...] = (2, 12)
    norm_rates: tuple[float, ...] = (0.01, 0.1, 1.0)
    task_rates: tuple[float, ...] = (0.05,)
    task_seeds: int = 0
    smooth_depths: tuple[int, ...] = ()
    smooth_activations: tuple[str, ...] = ("swish", "softplus", "tanh", "gelu", "elu", "relu")
    smooth_rates: tuple[float, ...] = (0.001, 0.004)
    smooth_seeds: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Memory:
    """Recurrent cells on the adding problem.

    Args:
        lengths: T.
        units: Units of a cell.
        samples: Training sequences, and as many new ones.
        steps: Updates.
        batch: Sequences of an update.
        rate: Step size of Adam.
        seeds: Networks of each kind.
        seed: Of the first network.
    """

    lengths: tuple[int, ...] = (10, 40, 100)
    units: int = 32
    samples: int = 4096
    steps: int = 1500
    batch: int = 32
    rate: float = 0.005
    seeds: int = 8
    seed: int = 0


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        parts: The parts that run.
        activations: Activations, names of `diffkit.nets.mlp.ACTIVATIONS`.
        initialisers: Names of `diffkit.nets.initialisers.INITIALISERS`.
        width: n, units per layer; mean-field theory is the limit of large n.
        depth: L, layers; beyond 60 the gradients of sigmoid leave the range of float32.
        networks: Independent networks of each initialiser; the activations share them.
        block: Networks of one cell of the run ledger.
        batch: Digits shown to each network.
        seed: Root of all random streams.
        allowance: Bias allowed per layer in units of 1/width.  The exact drift of the mean log
            norm of ReLU layers is 5/(2n); the other activations have corrections of that order.
        recurrent: Part recurrent, sensitivities over time.
        batch_norm: Part batch_norm, growth under batch normalisation.
        training: Part training, gradients layer by layer as networks learn.
        trainability: Part trainability, which networks learn.
        memory: Part memory, the adding problem; left out of the quick preset.
    """

    parts: tuple[str, ...] = ("depth", "recurrent", "batch_norm", "training", "trainability")
    activations: tuple[str, ...] = ("sigmoid", "tanh", "relu", "swish")
    initialisers: tuple[str, ...] = ("lecun", "glorot", "he", "orthogonal")
    width: int = 256
    depth: int = 30
    networks: int = 16
    block: int = 8
    batch: int = 8
    seed: int = 0
    allowance: float = 5.0
    recurrent: Recurrent = Recurrent()
    batch_norm: BatchNorm = BatchNorm()
    training: Training = Training()
    trainability: Trainability = Trainability()
    memory: Memory = Memory()
