"""MNIST and CIFAR-10 from their publishers' own files, checked by checksum before they are read.

Nothing is downloaded and nothing stands in for a file that is not there.  The files lie in
`$DIFFKIT_DATA/mnist` and `$DIFFKIT_DATA/cifar10`, or in a folder that is given.
"""

import gzip
import hashlib
import io
import os
import struct
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from diffkit.core.errors import UsageError
from diffkit.problems.dataset import Dataset

#: Environment variable that names the folder of all data sets.
VARIABLE = "DIFFKIT_DATA"

#: File -> MD5 that the publishers give, or torchvision.
MNIST: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
CIFAR10: Mapping[str, str] = {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}
#: Files of the archive: 10,000 records each, a label and 3 planes of 32x32 bytes.
CIFAR10_MEMBERS = tuple(
    f"cifar-10-batches-bin/{name}.bin"
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
)
_RECORD = 1 + 3 * 32 * 32
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
_MNIST_SHAPE = (28, 28)
_IDX_TYPES = {0x08: np.dtype(np.uint8)}


def mnist(folder: str | Path | None = None) -> Dataset:
    """MNIST: 60,000 training and 10,000 test images of 28x28 pixels in [0, 1].

    Raises:
        UsageError: a file is missing or is not the published one; says which and where.
    """
    place = _folder(folder, "mnist")
    parts = [_idx(_unpacked(_read(place, name, MNIST), name), name) for name in MNIST]
    for images, labels, names in ((*parts[:2], [*MNIST][:2]), (*parts[2:], [*MNIST][2:])):
        _check_pair(images, labels, *names)
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

    The binary version is read, which is bytes alone; the Python version is pickles, which run code.

    Raises:
        UsageError: the archive is missing or is not the published one; says which and where.
    """
    (name,) = CIFAR10
    parts = _members(_read(_folder(folder, "cifar10"), name, CIFAR10), name)
    records = [_records(part, member) for part, member in zip(parts, CIFAR10_MEMBERS, strict=True)]
    rows = np.concatenate(records)
    # planes of red, green and blue; images have their channels last
    images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Dataset(
        "cifar10",
        images.astype(np.float32) / np.float32(255),
        rows[:, 0].astype(np.int32),
        CIFAR10_CLASSES,
        "CIFAR-10, Krizhevsky (2009)",
        len(rows) - len(records[-1]),
    )


def _folder(given: str | Path | None, name: str) -> Path:
    if given is not None:
        if not isinstance(given, str | os.PathLike):
            raise UsageError(f"folder={given!r}; give the path of the folder that holds {name}")
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


def _unpacked(data: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{name} is no whole gzip file ({error}); fetch it again") from error


def _check_pair(images: np.ndarray, labels: np.ndarray, images_name: str, labels_name: str) -> None:
    """Refuse what reads as IDX and holds no images, or not their labels."""
    if images.shape[1:] != _MNIST_SHAPE:
        raise UsageError(
            f"{images_name} holds an array of shape {images.shape}, no images of 28x28 pixels; "
            "put the published file in its place"
        )
    if labels.shape != images.shape[:1]:
        raise UsageError(
            f"{labels_name} holds an array of shape {labels.shape}, not one label for each of the "
            f"{len(images)} images; put the published file in its place"
        )
    if labels.max(initial=0) > 9:
        raise UsageError(f"{labels_name} holds the label {labels.max()}; MNIST has ten classes")


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


def _members(data: bytes, name: str) -> list[bytes]:
    """The batches of an archive, in memory."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            files = [archive.extractfile(member) for member in CIFAR10_MEMBERS]
            return [b"" if file is None else file.read() for file in files]
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise UsageError(f"{name} is not the archive of CIFAR-10 ({error})") from error


def _records(data: bytes, name: str) -> np.ndarray[Any, Any]:
    """Records of a batch, (n, 3073) bytes."""
    if not data or len(data) % _RECORD:
        raise UsageError(f"{name} holds {len(data)} bytes, which is no number of {_RECORD}")
    found = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    if found[:, 0].max() >= len(CIFAR10_CLASSES):
        raise UsageError(f"{name} holds the label {found[:, 0].max()}; CIFAR-10 has ten classes")
    return found
