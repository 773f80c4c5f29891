"""Training small networks: vmapped and scanned against PyTorch eager and a per-step `nnx.jit`.

Question: how many updates of a 64-64-10 network (digits, batch 32, Adam) does a second hold, all
runs counted?  At least 20 times a PyTorch eager loop of one thread and 30 times a per-step
`nnx.jit` loop, in the same process, at the same work.

Correctness comes first: all contenders start from the same weights, see the same batches, and
must end at the same loss to 1e-3 after `CHECKED` updates.  Contenders:

- *diffkit*: `Trainer`, many seeds at once, the whole training one program.
- *scan*: the same with one seed.
- *nnx.jit*: a jitted step with `nnx.Optimizer`, called from a Python loop.
- *torch*: `torch.optim.Adam` in a Python loop, one thread; joins where PyTorch is installed.

Run `python benchmarks/training.py` (about a minute) or `--quick`.
"""

import argparse
from importlib.util import find_spec
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from diffkit.nets.mlp import Classifier
from diffkit.problems.load import load
from diffkit.training.supervised import Trainer, _batches, cross_entropy

WIDTHS = (64, 64, 10)
BATCH = 32
RATE = 1e-3
CHECKED = 100
SAME = 1e-3
TORCH, NNX = 20.0, 30.0


def make(rngs: nnx.Rngs) -> Classifier:
    """The network of all contenders."""
    return Classifier(WIDTHS, "relu", rngs=rngs)


def main() -> None:
    """Check, time, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer updates and rounds")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", False)  # float32, as PyTorch computes
    steps, rounds, seeds = (100, 3, 8) if options.quick else (400, 7, 32)
    train, _ = load("digits").split(0.2)
    inputs, targets = np.asarray(train.inputs), np.asarray(train.targets)
    final = {name: run(inputs, targets, CHECKED) for name, run in single().items()}
    for name, value in final.items():
        if not abs(value - final["diffkit"]) <= SAME * abs(final["diffkit"]):
            raise SystemExit(f"{name} ends at {value}, diffkit at {final['diffkit']}")
    trainer = Trainer(make, lambda: optax.adam(RATE), steps, BATCH)
    many = tuple(range(seeds))
    contenders: dict[str, harness.Contender] = {
        "diffkit": lambda: trainer(inputs, targets, many),
        "scan": lambda: trainer(inputs, targets),
        **{
            name: (lambda run=run: run(inputs, targets, steps))
            for name, run in single().items()
            if name != "diffkit"
        },
    }
    times = harness.interleaved(contenders, rounds)
    rows = [
        {
            "contender": name,
            "runs": seeds if name == "diffkit" else 1,
            "updates/s": (seeds if name == "diffkit" else 1) * steps / times[name],
            "diffkit is faster": times.ratio(name, "diffkit") * (seeds if name != "diffkit" else 1),
            "target": {"nnx.jit": NNX, "torch": TORCH}.get(name),
            "final loss": final.get(name),
        }
        for name in contenders
    ]
    print(harness.table(rows))
    if not options.no_write:
        harness.write_results("training", rows, steps=steps, batch=BATCH, widths=list(WIDTHS))


def single() -> dict[str, Any]:
    """Contender -> (inputs, targets, steps) -> last loss, of the run of seed 0."""
    found = {"diffkit": by_diffkit, "nnx.jit": by_nnx}
    if find_spec("torch") is not None:
        found["torch"] = by_torch
    return found


def by_diffkit(inputs: np.ndarray, targets: np.ndarray, steps: int) -> float:
    """Loss of the last batch by `Trainer`."""
    return float(
        Trainer(make, lambda: optax.adam(RATE), steps, BATCH)(inputs, targets).losses[0, -1]
    )


def start(samples: int, steps: int) -> tuple[nnx.Module, np.ndarray]:
    """The network and the batches that seed 0 has in `Trainer`."""
    of_weights, of_batches = jax.random.split(jax.random.key(0))
    return make(nnx.Rngs(of_weights)), _batches(of_batches[None], samples, BATCH, steps)[0]


@nnx.jit
def _step(model: Any, optimiser: Any, x: Any, y: Any) -> Any:
    value, slope = nnx.value_and_grad(cross_entropy)(model, x, y)
    optimiser.update(model, slope)
    return value


def by_nnx(inputs: np.ndarray, targets: np.ndarray, steps: int) -> float:
    """The loop that tutorials show."""
    model, rows = start(len(targets), steps)
    optimiser = nnx.Optimizer(model, optax.adam(RATE), wrt=nnx.Param)
    x, y = jnp.asarray(inputs), jnp.asarray(targets)
    value = jnp.zeros(())
    for batch in rows:
        value = _step(model, optimiser, x[batch], y[batch])
    return float(value)


def by_torch(inputs: np.ndarray, targets: np.ndarray, steps: int) -> float:
    """PyTorch, eager, one thread."""
    import torch

    torch.set_num_threads(1)
    model, rows = start(len(targets), steps)
    layers = []
    for kernel, bias in model.linears():
        linear = torch.nn.Linear(*np.shape(kernel))
        linear.weight.data = torch.from_numpy(np.array(kernel).T.copy())
        linear.bias.data = torch.from_numpy(np.array(bias))
        layers += [linear, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    optimiser = torch.optim.Adam(net.parameters(), lr=RATE)
    loss = torch.nn.CrossEntropyLoss()
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets.astype(np.int64))
    batches = torch.from_numpy(np.array(rows))
    value = torch.zeros(())
    for batch in batches:
        optimiser.zero_grad()
        value = loss(net(x[batch]), y[batch])
        value.backward()
        optimiser.step()
    return value.item()


if __name__ == "__main__":
    main()
