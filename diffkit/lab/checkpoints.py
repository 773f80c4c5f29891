"""States of a long training on disk, so that a killed one goes on where it was.

Orbax writes a checkpoint beside the others and renames it when it is complete, so that a reader
sees a whole one or none.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.core.verdict import write_atomically
from diffkit.lab.config import canonical_json

#: Says what training the checkpoints of a folder are of.
_SUBJECT = "training.json"


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often the state of a training is saved.

    Args:
        folder: A folder for one training; made when missing.
        every: Steps between two checkpoints, >= 1; a killed training repeats at most so many.
        keep: The newest checkpoints that are kept, >= 1.
    """

    folder: str | Path
    every: int
    keep: int = 2

    def __post_init__(self) -> None:
        if self.every < 1 or self.keep < 1:
            raise UsageError(
                f"every={self.every}, keep={self.keep}; give whole numbers of 1 or more"
            )

    def open(self, subject: Mapping[str, Any]) -> "Saved":
        """The checkpoints of the training that `subject` describes.

        Args:
            subject: JSON data: all that decides the numbers of the training.

        Raises:
            UsageError: the folder holds checkpoints of another training, or Orbax is missing.
        """
        folder, text = Path(self.folder).resolve(), canonical_json(subject) + "\n"
        note = folder / _SUBJECT
        if note.is_file() and note.read_text(encoding="utf-8") != text:
            raise UsageError(
                f"{self.folder} holds checkpoints of another training; name another folder, or "
                "remove this one"
            )
        write_atomically(note, text)
        return Saved(folder, self.keep)


class Saved:
    """The checkpoints of one training; use it in a `with` block.

    Args:
        folder: Where they lie.
        keep: How many are kept.
    """

    def __init__(self, folder: Path, keep: int):
        try:
            import orbax.checkpoint as ocp
        except ImportError as error:
            raise UsageError(
                'checkpoints need Orbax; install it with pip install "diffkit[lab]"'
            ) from error
        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, create=True)
        self._manager = ocp.CheckpointManager(folder, options=options)

    def __enter__(self) -> "Saved":
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def save(self, step: int, state: Any) -> None:
        """Save the state after `step` steps; it is on disk when this returns."""
        leaves = {str(i): leaf for i, leaf in enumerate(numbers(state))}
        self._manager.save(step, args=self._ocp.args.StandardSave(leaves))
        self._manager.wait_until_finished()

    def latest(self, like: Any) -> tuple[int, Any] | None:
        """The newest step and its state, None where there is none.

        Args:
            like: A state of the same structure.
        """
        import jax

        step = self._manager.latest_step()
        if step is None:
            return None
        wanted = {
            str(i): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
            for i, leaf in enumerate(numbers(like))
        }
        found = self._manager.restore(step, args=self._ocp.args.StandardRestore(wanted))
        return step, _with_leaves(like, [found[name] for name in wanted])


def digest(*arrays: Any) -> str:
    """SHA-256 over types, shapes and bytes of arrays."""
    import numpy as np

    found = hashlib.sha256()
    for array in map(np.asarray, arrays):
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def numbers(state: Any) -> list[Any]:
    """The arrays of a pytree, keys of random streams as the numbers they hold."""
    import jax

    return [jax.random.key_data(leaf) if _is_key(leaf) else leaf for leaf in jax.tree.leaves(state)]


def _with_leaves(like: Any, leaves: list[Any]) -> Any:
    """A state of the structure of `like` that holds these arrays."""
    import jax

    before, structure = jax.tree.flatten(like)
    found = [
        jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(old)) if _is_key(old) else leaf
        for old, leaf in zip(before, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, found)


def _is_key(leaf: Any) -> bool:
    import jax

    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
