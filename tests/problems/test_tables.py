"""Data sets of scikit-learn: known facts of each, checksums, splits that keep the classes."""

from dataclasses import replace

import numpy as np
import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.problems import tables
from diffkit.problems.dataset import Dataset
from diffkit.problems.load import NAMES, load

#: Name -> samples, features, classes; as their publishers say.
FACTS = {
    "digits": (1797, 64, 10),
    "iris": (150, 4, 3),
    "wine": (178, 13, 3),
    "breast_cancer": (569, 30, 2),
    "diabetes": (442, 10, 0),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_table_is_what_its_publishers_say(name):
    found = load(name)
    assert (*found.inputs.shape, len(found.classes)) == FACTS[name]
    assert found.inputs.dtype == np.float32
    assert found.describe()["checksum"] == tables.TABLES[name].checksum
    if found.classes:
        assert set(found.targets) == set(range(len(found.classes)))


def test_pixels_lie_between_0_and_1():
    digits = load("digits").inputs
    assert (digits.min(), digits.max()) == (0.0, 1.0)


def test_a_copy_that_was_changed_is_noticed(monkeypatch):
    from sklearn import datasets

    right = datasets.load_iris()
    right.data[3, 2] += 0.1
    monkeypatch.setattr(datasets, "load_iris", lambda: right)
    with pytest.raises(UsageError, match=r"copy of iris has the checksum .* another data set"):
        load("iris")


@pytest.mark.parametrize("name", [n for n in FACTS if FACTS[n][2]])
def test_a_split_keeps_every_sample_once_and_the_shares_of_the_classes(name):
    data = load(name)
    numbered = replace(data, inputs=np.arange(len(data), dtype=np.float32)[:, None])
    train, test = numbered.split(0.25, seed=3)
    together = np.concatenate([train.inputs, test.inputs]).ravel()
    assert sorted(together) == list(range(len(data)))
    for part in (train, test):
        rows = part.inputs.ravel().astype(int)
        assert np.array_equal(part.targets, data.targets[rows])
    for label in range(len(data.classes)):
        count = np.sum(data.targets == label)
        assert abs(np.sum(test.targets == label) - 0.25 * count) <= 0.5


def test_another_seed_is_another_split_and_the_same_seed_the_same():
    data = load("wine")
    first, same, other = (data.split(0.3, seed)[1].checksum for seed in (0, 0, 1))
    assert first == same != other


def test_rows_are_taken_by_number_in_order_and_by_mask():
    data = load("digits")
    threes = data.take(data.targets == 3)
    assert len(threes) == 183
    assert set(threes.targets) == {3}
    assert data.take([2, 0, -1]).targets.tolist() == [2, 0, data.targets[-1]]
    assert len(data.take([])) == 0


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: load("digit"), "did you mean digits"),
        (lambda: load("nothing"), ", ".join(NAMES)),
        *((lambda name=name: load(name), "no data set is called") for name in (None, [], 3)),
        (lambda: load("iris", "folder"), "not from a folder"),
        (lambda: load("iris").split("x"), r"test_share='x'.* in \(0, 1\)"),
        *((lambda seed=s: load("iris").split(0.2, seed), "seed=") for s in (-1, 1.5, None)),
        (lambda: load("iris").take([1.7]), "give whole numbers"),
        (lambda: load("iris").take([[1], [2]]), "give whole numbers"),
        (lambda: load("iris").take([True, False]), "a mask of the 150 samples"),
        (lambda: load("iris").take([0, 150]), "row 150 is none of the 150 samples"),
        (lambda: load("iris").take([-151]), "row -151 is none"),
        (lambda: load("iris").split(), "no official split"),
        (lambda: load("iris").split(1.0), r"in \(0, 1\)"),
        (lambda: load("iris").split(float("nan")), r"in \(0, 1\)"),
        (lambda: load("iris").split(0.001), "leaves a part of iris empty"),
        (lambda: Dataset("x", np.ones(3), np.ones(2), (), ""), "3 inputs and 2 targets"),
    ],
)
def test_what_cannot_be_had_is_refused_in_a_sentence(ask, said):
    with pytest.raises((UsageError, UnknownNameError), match=said):
        ask()
