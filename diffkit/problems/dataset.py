"""A data set as arrays, with its name, where it comes from and a checksum that records keep."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.core.ranges import is_real, is_whole

Array = np.ndarray[Any, Any]


def check_seed(seed: int) -> None:
    """Refuse what NumPy takes for no seed, and `None`, of which every draw is another."""
    if not is_whole(seed, 0):
        raise UsageError(f"seed={seed!r}; give a whole number >= 0")


@dataclass(frozen=True)
class Dataset:
    """Samples and what is to be predicted of them.

    Args:
        name: How it is asked for.
        inputs: Samples, (N, ...), float32; pixels lie in [0, 1].
        targets: Classes 0, 1, ... as int32, or real numbers as float32, (N,).
        classes: Names of the classes, () for real targets.
        source: Where the samples come from, one clause.
        official_train: How many leading samples its publishers train with, None where they do not
            say.
    """

    name: str
    inputs: Array
    targets: Array
    classes: tuple[str, ...]
    source: str
    official_train: int | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise UsageError(
                f"{self.name} has {len(self.inputs)} inputs and {len(self.targets)} targets"
            )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def checksum(self) -> str:
        """SHA-256 of the arrays as they are used, types and shapes included."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.targets):
            digest.update(f"{array.dtype.str} {array.shape};".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def take(self, rows: Sequence[int] | Array) -> "Dataset":
        """Some of the samples, in this order; there is no official training part any more.

        Args:
            rows: Their numbers, from the end where negative; or a mask, True where one is taken.

        Raises:
            UsageError: a row that is none of the samples, or a mask of another length.
        """
        index = self._rows(rows)
        return Dataset(
            self.name, self.inputs[index], self.targets[index], self.classes, self.source
        )

    def _rows(self, rows: Sequence[int] | Array) -> Array:
        try:
            found = np.asarray(rows)
        except ValueError:  # lists of several lengths
            found = np.asarray(None)
        if found.size == 0 and found.ndim == 1:
            return np.zeros(0, np.int64)
        if found.dtype == np.bool_ and found.shape == (len(self),):
            return np.flatnonzero(found)
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise UsageError(
                f"rows of {found.dtype} and shape {found.shape}; give whole numbers, or a mask of "
                f"the {len(self)} samples of {self.name}"
            )
        low, high = int(found.min()), int(found.max())
        if low < -len(self) or high >= len(self):
            raise UsageError(
                f"row {low if low < -len(self) else high} is none of the {len(self)} samples of "
                f"{self.name}; give 0 to {len(self) - 1}"
            )
        return found.astype(np.int64)

    def split(self, test_share: float | None = None, seed: int = 0) -> "tuple[Dataset, Dataset]":
        """Training and test part; each class is in both in the same share.

        Args:
            test_share: Share of the test part in (0, 1); None takes the publishers' own split.
            seed: Of the shuffling.

        Raises:
            UsageError: no official split, a share outside (0, 1), a seed < 0, or an empty part.
        """
        if test_share is None:
            if self.official_train is None:
                raise UsageError(
                    f"{self.name} has no official split; give test_share=, such as 0.2"
                )
            rows = np.arange(len(self))
            return self.take(rows[: self.official_train]), self.take(rows[self.official_train :])
        if not (is_real(test_share) and 0 < test_share < 1):
            raise UsageError(f"test_share={test_share!r}; the share of the test part is in (0, 1)")
        check_seed(seed)
        random = np.random.default_rng(seed)
        groups = (
            [np.flatnonzero(self.targets == k) for k in range(len(self.classes))]
            if self.classes
            else [np.arange(len(self))]
        )
        train: list[Array] = []
        test: list[Array] = []
        for group in groups:
            shuffled = random.permutation(group)
            count = round(test_share * len(group))
            test.append(shuffled[:count])
            train.append(shuffled[count:])
        parts = [random.permutation(np.concatenate(part)) for part in (train, test)]
        if not all(len(part) for part in parts):
            raise UsageError(f"test_share={test_share} leaves a part of {self.name} empty")
        return self.take(parts[0]), self.take(parts[1])

    def describe(self) -> dict[str, Any]:
        """What a record keeps of it."""
        return {
            "name": self.name,
            "samples": len(self),
            "shape": list(self.inputs.shape[1:]),
            "classes": len(self.classes),
            "source": self.source,
            "checksum": self.checksum,
        }
