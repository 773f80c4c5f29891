"""States of a long training on disk, so that a killed one goes on where it was.

Orbax writes a checkpoint beside the others and renames it when it is complete, so that a reader
sees a whole one or none.  A digest of its files tells one that was damaged later: what Orbax makes
of damaged files is anything from another number to an error of any kind.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.core.verdict import write_atomically
from diffkit.lab.config import canonical_json

#: Says what training the checkpoints of a folder are of.
_SUBJECT = "training.json"
#: Step -> digest of the files of its checkpoint.
_DIGESTS = "digests.json"


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
        given = (self.every, self.keep)
        if not all(isinstance(each, Integral) and each >= 1 for each in given):
            raise UsageError(
                f"every={self.every}, keep={self.keep}; give whole numbers of 1 or more"
            )

    def open(self, subject: Mapping[str, Any]) -> "Saved":
        """The checkpoints of the training that `subject` describes.

        Args:
            subject: JSON data: all that decides the numbers of the training.

        Raises:
            UsageError: the folder holds checkpoints of another training or cannot be written, or
                Orbax is missing.
        """
        folder, text = Path(self.folder).resolve(), canonical_json(subject) + "\n"
        note = folder / _SUBJECT
        try:
            if note.is_file() and note.read_text(encoding="utf-8", errors="replace") != text:
                raise UsageError(
                    f"{self.folder} holds checkpoints of another training; name another folder, or "
                    "remove this one"
                )
            write_atomically(note, text)
            return Saved(folder, self.keep)
        except OSError as error:
            raise UsageError(
                f"{self.folder} cannot hold checkpoints ({error.strerror}); name another folder"
            ) from error


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
        self._ocp, self._folder = ocp, folder
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
        self._note({**self._digests(), str(step): self._digest(step)})

    def latest(self, like: Any) -> tuple[int, Any] | None:
        """The newest step that is intact and its state, None where no checkpoint was completed.

        Damaged later ones are removed with a warning; the training makes them again.

        Args:
            like: A state of the same structure.

        Raises:
            UsageError: there are checkpoints, and all of them are damaged.
        """
        import jax

        step = self._newest_intact()
        if step is None:
            return None
        wanted = {
            str(i): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
            for i, leaf in enumerate(numbers(like))
        }
        found = self._manager.restore(step, args=self._ocp.args.StandardRestore(wanted))
        return step, _with_leaves(like, [found[name] for name in wanted])

    def _newest_intact(self) -> int | None:
        """The newest step whose files are those that were written; removes damaged later ones.

        A checkpoint without a digest is whole: the training was killed before it wrote one.
        """
        digests = self._digests()
        steps = sorted(self._manager.all_steps(), reverse=True)
        for place, step in enumerate(steps):
            if digests.get(str(step), self._digest(step)) == self._digest(step):
                self._remove(steps[:place], step)
                return step
        if steps:
            raise UsageError(
                f"every checkpoint in {self._folder} is damaged; remove the folder to train anew"
            )
        return None

    def _remove(self, damaged: Sequence[int], newest: int) -> None:
        """Remove damaged checkpoints, in whose place Orbax would write no other."""
        for step in damaged:
            warnings.warn(
                f"the checkpoint of step {step} in {self._folder} is damaged; the training goes on "
                f"from step {newest}",
                stacklevel=4,
            )
            shutil.rmtree(self._folder / str(step))
        if damaged:
            self._manager.reload()
            self._note(self._digests())

    def _note(self, digests: Mapping[str, str]) -> None:
        """Write the digests of the checkpoints that there are."""
        kept = {str(step) for step in self._manager.all_steps()}
        text = json.dumps({step: each for step, each in digests.items() if step in kept})
        write_atomically(self._folder / _DIGESTS, text + "\n")

    def _digests(self) -> dict[str, str]:
        """What was written after each checkpoint; nothing where that is not readable."""
        try:
            found = json.loads((self._folder / _DIGESTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _digest(self, step: int) -> str:
        """SHA-256 over names and bytes of the files of a checkpoint."""
        place, found = self._folder / str(step), hashlib.sha256()
        for path in sorted(each for each in place.rglob("*") if each.is_file()):
            content = path.read_bytes()
            found.update(f"{path.relative_to(place).as_posix()} {len(content)} ".encode())
            found.update(content)
        return found.hexdigest()


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
