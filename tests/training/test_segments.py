"""A training in segments: the same numbers, whether it was interrupted or not."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from diffkit.core.errors import UsageError
from diffkit.lab.checkpoints import Checkpoints, Saved
from diffkit.problems.synthetic import xor
from diffkit.training import segments, supervised
from diffkit.training.supervised import Fit, Trainer

XOR = xor(64)


class Net(nnx.Module):
    """Keeps a random stream beside its parameters."""

    def __init__(self, rngs: nnx.Rngs, width: int = 2):
        self.drop = nnx.Dropout(0.3, rngs=rngs)
        self.last = nnx.Linear(width, 2, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(x))


class Wider(Net):
    """The same with a hidden layer."""

    def __init__(self, rngs: nnx.Rngs):
        super().__init__(rngs, 3)
        self.first = nnx.Linear(2, 3, rngs=rngs)

    def __call__(self, x):
        return super().__call__(self.first(x))


def train(checkpoints: Checkpoints | None, rate: float = 0.05, **changes) -> Fit:
    asked = {"make": Net, "steps": 25, "batch": 16, **changes}
    trainer = Trainer(optimiser=lambda: optax.adam(rate), checkpoints=checkpoints, **asked)
    return trainer(XOR.inputs, XOR.targets, seeds=(0, 1, 2))


def bits(found: Fit) -> list[bytes]:
    """All numbers of a training."""
    leaves = jax.tree.leaves((found.params, found.rest))
    keys = [jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    assert any(keys)  # the streams of the dropout are part of the state
    plain = [
        jax.random.key_data(leaf) if key else leaf for key, leaf in zip(keys, leaves, strict=True)
    ]
    return [found.losses.tobytes(), *(np.asarray(leaf).tobytes() for leaf in plain)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Fit:
    """Twenty-five steps in segments of ten, never interrupted."""
    return train(Checkpoints(tmp_path_factory.mktemp("whole"), every=10))


class Killed(BaseException):
    pass


def test_an_interrupted_training_goes_on_with_the_same_bits(whole, tmp_path, monkeypatch):
    original, counted = Saved.save, []

    def save(self, step, state):
        original(self, step, state)
        counted.append(step)
        if len(counted) == 1:
            raise Killed

    monkeypatch.setattr(Saved, "save", save)
    with pytest.raises(Killed):
        train(Checkpoints(tmp_path, every=10))
    found = train(Checkpoints(tmp_path, every=10))
    assert counted == [10, 20, 25]  # no segment was trained twice
    assert bits(found) == bits(whole)


def test_segments_compute_what_one_program_computes(whole):
    np.testing.assert_allclose(whole.losses, train(None).losses, rtol=1e-5)
    assert not np.allclose(whole.losses[0], whole.losses[1], rtol=1e-2)


def test_blocks_of_runs_are_saved_together(tmp_path, monkeypatch):
    monkeypatch.setattr(supervised, "BLOCK", 2)  # three runs: two blocks, the last one filled
    first = train(Checkpoints(tmp_path, every=10))
    assert first.losses.shape == (3, 25)
    assert np.isfinite(first.losses).all()
    again = train(Checkpoints(tmp_path, every=10))  # finished: read, not trained
    assert bits(again) == bits(first)


@pytest.mark.parametrize(
    "change",
    [{"rate": 0.06}, {"steps": 26}, {"batch": 8}, {"make": Wider}],
    ids=["optimiser", "steps", "batch", "network"],
)
def test_checkpoints_of_another_training_are_refused(tmp_path_factory, change, another):
    with pytest.raises(UsageError, match="checkpoints of another training; name another folder"):
        train(Checkpoints(another, every=10), **change)


@pytest.fixture(scope="module")
def another(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("another")
    train(Checkpoints(folder, every=10))
    return folder


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    train(Checkpoints(tmp_path, every=5, keep=2))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["20", "25"]


STATE = {"w": np.arange(6.0), "b": np.ones((2, 2))}


def saved(folder: Path) -> Saved:
    return Checkpoints(folder, every=2).open({"x": 1})


def written(folder: Path) -> Path:
    """A folder with the checkpoints of steps 2 and 4."""
    with saved(folder) as opened:
        for step in (2, 4):
            opened.save(step, {name: step * value for name, value in STATE.items()})
    return folder


def flipped(path: Path) -> None:
    path.write_bytes(bytes(255 ^ byte for byte in path.read_bytes()))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def largest(place: Path) -> Path:
    """The file that holds the numbers."""
    files = [each for each in place.rglob("*") if each.is_file()]
    return max(files, key=lambda each: each.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda place: flipped(largest(place)),
        lambda place: emptied(largest(place)),
        lambda place: (place / "default/_METADATA").unlink(),
        lambda place: (shutil.rmtree(place), place.mkdir()),
    ],
    ids=["flipped", "emptied", "without metadata", "empty"],
)
def test_after_a_damaged_checkpoint_the_one_before_is_taken(tmp_path, damage):
    damage(written(tmp_path) / "4")
    with saved(tmp_path) as opened:
        with pytest.warns(UserWarning, match=r"step 4 in .* is damaged; .* goes on from step 2$"):
            step, state = opened.latest(STATE)
        assert step == 2
        np.testing.assert_array_equal(state["w"], 2 * STATE["w"])
        opened.save(4, STATE)  # made again
    with saved(tmp_path) as opened:
        step, state = opened.latest(STATE)
    assert (step, state["w"][5]) == (4, 5.0)


def test_checkpoints_that_are_all_damaged_are_refused(tmp_path):
    written(tmp_path)
    for step in ("2", "4"):
        flipped(largest(tmp_path / step))
    with saved(tmp_path) as opened, pytest.raises(UsageError, match="every checkpoint in"):
        opened.latest(STATE)


def test_a_checkpoint_whose_digest_was_not_written_any_more_is_whole(tmp_path):
    (written(tmp_path) / "digests.json").unlink()
    with saved(tmp_path) as opened:
        assert opened.latest(STATE)[0] == 4


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    for place in ("taken", "taken/inner"):
        with pytest.raises(UsageError, match=rf"{place} cannot hold checkpoints \(.*name another"):
            saved(tmp_path / place)


@pytest.mark.parametrize("asked", [{"every": 0}, {"every": 1, "keep": 0}, {"every": 1.5}])
def test_checkpoints_that_cannot_be_are_refused(tmp_path, asked):
    with pytest.raises(UsageError, match="1 or more"):
        Checkpoints(tmp_path, **asked)


def test_without_orbax_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "orbax", None)
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    with pytest.raises(UsageError, match=r'pip install "diffkit\[lab\]"'):
        Checkpoints(tmp_path, every=1).open({})


def test_addresses_of_objects_are_no_part_of_a_program():
    assert segments._ADDRESS.sub("", "<function f at 0x7f00ab>") == "<function f at >"


PROGRAM = """
import sys
import numpy as np
import optax
from flax import nnx
from diffkit.lab.checkpoints import Checkpoints
from diffkit.nets.mlp import Classifier
from diffkit.problems.synthetic import xor
from diffkit.training.supervised import fit
data = xor(64)
found = fit(
    lambda rngs: Classifier((2, 8, 2), "tanh", rngs=rngs), data.inputs, data.targets, optax.adam,
    steps=4000, batch=16, seeds=range(4), settings={"learning_rate": (0.01,)},
    checkpoints=Checkpoints(sys.argv[1], every=100),
)
np.save(sys.argv[1] + ".npy", found.losses)
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_with_the_same_bits(tmp_path, rng):
    def start(name: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / name)])

    assert start("whole").wait(timeout=100) == 0
    kills = 0
    while not (tmp_path / "killed.npy").exists():
        process, before = start("killed"), steps(tmp_path / "killed")
        deadline = time.monotonic() + 60
        # killed at a random moment after its first new checkpoint, up to four times
        while kills < 4 and steps(tmp_path / "killed") == before and time.monotonic() < deadline:
            time.sleep(0.01)
        if kills < 4:
            time.sleep(rng.uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait(timeout=100)
    whole, killed = (np.load(tmp_path / f"{name}.npy") for name in ("whole", "killed"))
    assert whole.tobytes() == killed.tobytes()


def steps(folder: Path) -> int:
    """The newest checkpoint of a folder, 0 if there is none."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return max((int(name) for name in names if name.isdecimal()), default=0)
