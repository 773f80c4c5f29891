"""MNIST and CIFAR-10 from their publishers' own files, checked by checksum before they are read.

Nothing is downloaded and nothing stands in for a file that is not there.  The files lie in
`$DIFFKIT_DATA/mnist` and `$DIFFKIT_DATA/cifar-10-batches-py`, or in a folder that is given.
"""

import gzip
import hashlib
import io
import os
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.problems.dataset import Dataset

#: Environment variable that names the folder of all data sets.
VARIABLE = "DIFFKIT_DATA"

#: File -> MD5 that the publishers and torchvision give.
MNIST: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
CIFAR10: Mapping[str, str] = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
_IDX_TYPES = {0x08: np.dtype(np.uint8)}


def mnist(folder: str | Path | None = None) -> Dataset:
    """MNIST: 60,000 training and 10,000 test images of 28x28 pixels in [0, 1].

    Raises:
        UsageError: a file is missing or is not the published one; says which and where.
    """
    place = _folder(folder, "mnist")
    parts = [_idx(gzip.decompress(_read(place, name, MNIST)), name) for name in MNIST]
    train, train_labels, test, test_labels = parts
    return Dataset(
        "mnist",
        np.concatenate([train, test]).astype(np.float32) / np.float32(255),
        np.concatenate([train_labels, test_labels]).astype(np.int32),
        tuple(map(str, range(10))),
        "MNIST, LeCun, Cortes and Burges",
        len(train),
    )


def cifar10(folder: str | Path | None = None) -> Dataset:
    """CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels and 3 colours in [0, 1].

    Raises:
        UsageError: a file is missing or is not the published one; says which and where.
    """
    place = _folder(folder, "cifar-10-batches-py")
    batches = [_batch(_read(place, name, CIFAR10), name) for name in CIFAR10]
    pixels = np.concatenate([each[b"data"] for each in batches])
    # rows are planes of red, green and blue; images have their channels last
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Dataset(
        "cifar10",
        images.astype(np.float32) / np.float32(255),
        np.concatenate([np.asarray(each[b"labels"], np.int32) for each in batches]),
        CIFAR10_CLASSES,
        "CIFAR-10, Krizhevsky (2009)",
        sum(len(each[b"labels"]) for each in batches[:-1]),
    )


def _folder(given: str | Path | None, name: str) -> Path:
    if given is not None:
        return Path(given)
    root = os.environ.get(VARIABLE, "")
    if not root:
        raise UsageError(
            f"no folder of data sets: set {VARIABLE} to the folder that holds {name}/, or ask for "
            "a data set that needs no file, such as digits"
        )
    return Path(root) / name


def _read(folder: Path, name: str, checksums: Mapping[str, str]) -> bytes:
    """A file of its publishers, whole."""
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        listed = ", ".join(checksums)
        raise UsageError(
            f"{path}: {error.strerror or error}; the folder must hold {listed}, as published"
        ) from error
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != checksums[name]:
        raise UsageError(
            f"{path} has the MD5 {found}, the published file has {checksums[name]}; fetch it again"
        )
    return data


def _idx(data: bytes, name: str) -> np.ndarray[Any, Any]:
    """An array in IDX: two zero bytes, type, number of axes, lengths, values, all big-endian."""
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        raise UsageError(f"{name} is no IDX file of bytes")
    axes = data[3]
    start = 4 + 4 * axes
    if len(data) < start:
        raise UsageError(f"{name} ends within its head")
    shape = struct.unpack(f">{axes}I", data[4:start])
    dtype = _IDX_TYPES[data[2]]
    if len(data) - start != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
        raise UsageError(f"{name} holds {len(data) - start} bytes of values, not {shape}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


class _Arrays(pickle.Unpickler):
    """Reads what a batch holds, arrays and lists, and nothing that could run code."""

    _ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every other name."""
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"a batch does not hold a {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _batch(data: bytes, name: str) -> Mapping[bytes, Any]:
    try:
        found = _Arrays(io.BytesIO(data), encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{name} is no batch of CIFAR-10 ({error})") from error
    if not isinstance(found, dict) or not {b"data", b"labels"} <= set(found):
        raise UsageError(f"{name} is no batch of CIFAR-10: it holds no data and labels")
    return found
