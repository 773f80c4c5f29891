"""MNIST and CIFAR-10 files: written here byte by byte as their formats say, and damaged ones."""

import gzip
import hashlib
import io
import struct
import tarfile

import numpy as np
import pytest

from diffkit.core.errors import UsageError
from diffkit.problems import images
from diffkit.problems.load import load


def idx(array: np.ndarray) -> bytes:
    head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def write(folder, files, monkeypatch, table):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    sums = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    monkeypatch.setattr(images, table, sums)


@pytest.fixture
def mnist_files(rng):
    arrays = [
        rng.integers(0, 256, (6, 28, 28), dtype=np.uint8),
        np.arange(6, dtype=np.uint8),
        rng.integers(0, 256, (3, 28, 28), dtype=np.uint8),
        np.array([9, 8, 7], np.uint8),
    ]
    return arrays, {
        name: gzip.compress(idx(array)) for name, array in zip(images.MNIST, arrays, strict=True)
    }


def test_mnist_is_read_from_the_folder_of_the_environment(tmp_path, monkeypatch, mnist_files):
    arrays, files = mnist_files
    write(tmp_path / "mnist", files, monkeypatch, "MNIST")
    monkeypatch.setenv(images.VARIABLE, str(tmp_path))
    data = load("mnist")
    assert np.array_equal(data.inputs[:6], arrays[0].astype(np.float32) / np.float32(255))
    train, test = data.split()
    assert (train.targets.tolist(), test.targets.tolist()) == ([0, 1, 2, 3, 4, 5], [9, 8, 7])


PACKED = gzip.compress(idx(np.zeros((6, 28, 28), np.uint8)))


@pytest.mark.parametrize(
    ("place", "data", "said"),
    [
        (0, PACKED[:-20], "train-images.* is no whole gzip file"),
        (2, b"\0\0\x08\x01", "t10k-images.* is no whole gzip file"),
        (3, PACKED[:12] + b"\xff" * 20, "t10k-labels.* is no whole gzip file"),
        (0, gzip.compress(idx(np.zeros(6, np.uint8))), r"train-images.* shape \(6,\), no images"),
        (2, gzip.compress(idx(np.zeros((3, 9, 9), np.uint8))), "t10k-images.* no images of 28x28"),
        (1, PACKED, "train-labels.* not one label for each of the 6"),
        (3, gzip.compress(idx(np.array([1, 10, 2], np.uint8))), "t10k-labels.* holds the label 10"),
    ],
)
def test_a_file_of_the_right_checksum_and_another_content_is_refused(
    place, data, said, tmp_path, monkeypatch, mnist_files
):
    files = mnist_files[1]
    write(tmp_path, {**files, [*files][place]: data}, monkeypatch, "MNIST")
    with pytest.raises(UsageError, match=said):
        load("mnist", tmp_path)


def archive(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_cifar_planes_become_channels(tmp_path, monkeypatch, rng):
    records = rng.integers(0, 256, (6, 2, 3073), dtype=np.uint8)
    records[:, 0, 0], records[:, 1, 0] = range(6), 9
    parts = {n: r.tobytes() for n, r in zip(images.CIFAR10_MEMBERS, records, strict=True)}
    write(tmp_path, {"cifar-10-binary.tar.gz": archive(parts)}, monkeypatch, "CIFAR10")
    data = load("cifar10", tmp_path)
    assert data.inputs.shape == (12, 32, 32, 3)
    # green of row 5, column 7 of the second image
    pixel = records[0, 1, 1 + 1024 + 32 * 5 + 7]
    assert data.inputs[1, 5, 7, 1] == np.float32(pixel) / np.float32(255)
    assert data.official_train == 10
    assert data.classes[data.targets[1]] == "truck"


def test_a_missing_file_is_named_with_its_folder_and_never_replaced(tmp_path, monkeypatch):
    monkeypatch.delenv(images.VARIABLE, raising=False)
    with pytest.raises(UsageError, match="set DIFFKIT_DATA to the folder that holds mnist"):
        load("mnist")
    with pytest.raises(UsageError, match=r"train-images-idx3-ubyte.gz: No such file"):
        load("mnist", tmp_path)


def test_a_file_of_another_content_is_refused(tmp_path, monkeypatch, mnist_files):
    _, files = mnist_files
    write(tmp_path, files, monkeypatch, "MNIST")
    name = "t10k-labels-idx1-ubyte.gz"
    (tmp_path / name).write_bytes(gzip.compress(idx(np.zeros(3, np.uint8))))
    with pytest.raises(UsageError, match=rf"{name} has the MD5 .* fetch it again"):
        load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no IDX file"),
        (b"\0\0\x0d\x01\0\0\0\1\0", "no IDX file"),
        (b"\0\0\x08\x03\0\0", "ends within its head"),
        (b"\0\0\x08\x01\0\0\0\x05\1\2", r"holds 2 bytes of values, not \(5,\)"),
    ],
)
def test_a_damaged_idx_file_is_refused(data, said):
    with pytest.raises(UsageError, match=said):
        images._idx(data, "file")


@pytest.mark.parametrize(
    "data",
    [b"", b"junk", archive({}), archive({"other": b"1"})],
    ids=["empty", "junk", "no file", "another file"],  # an archive holds the time it was made at
)
def test_what_is_no_archive_of_batches_is_refused(data):
    with pytest.raises(UsageError, match="not the archive of CIFAR-10"):
        images._members(data, "file")


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "0 bytes"), (bytes(3072), "3072 bytes"), (b"\x0a" * 3073, "label 10")]
)
def test_a_damaged_batch_is_refused(data, said):
    with pytest.raises(UsageError, match=said):
        images._records(data, "file")
