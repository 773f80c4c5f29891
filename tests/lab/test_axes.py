import time
from dataclasses import dataclass, field
from typing import Literal

import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab.axes import points
from diffkit.lab.executors import executor
from diffkit.lab.runs import sweep


@dataclass(frozen=True)
class Adam:
    rate: float = 0.1


@dataclass(frozen=True)
class Sgd:
    rate: float = 0.1


@dataclass(frozen=True)
class Config:
    width: int = 64
    scale: float = 1.0
    clip: float | None = None
    depths: tuple[int, ...] = (5, 10)
    kind: Literal["a", "b"] = "a"
    inner: Sgd = field(default_factory=Sgd)
    optimiser: Sgd | Adam = field(default_factory=Sgd)


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("width=8,16", ["8", "16"]),
        ("width=10:40:4", ["10", "20", "30", "40"]),
        ("width=1:1000:4:log", ["1", "10", "100", "1000"]),
        ("width=1:10:3:log", ["1", "3", "10"]),  # 3.16 is rounded
        ("scale=0:1:3", ["0.0", "0.5", "1.0"]),
        ("scale=1e-3:10:5:log", ["0.001", "0.01", "0.1", "1.0", "10.0"]),
        ("clip=none,0.5", ["none", "0.5"]),
        ("clip=1:2:2", ["1.0", "2.0"]),
        ("depths=5,10;20,40", ["5,10", "20,40"]),
        ("depths=5,10", ["5,10"]),
        ("kind=a,b", ["a", "b"]),
        ("inner.rate=1,2", ["1", "2"]),
        ("optimiser=adam,sgd", ["adam", "sgd"]),
    ],
)
def test_an_axis_lists_the_values_of_its_field(axis, values):
    name = axis.partition("=")[0]
    assert points(Config(), [axis]) == [{name: value} for value in values]


def test_axes_are_combined_and_the_last_varies_fastest():
    found = points(Config(), ["width=1,2", "kind=a,b"])
    assert [(p["width"], p["kind"]) for p in found] == [
        ("1", "a"), ("1", "b"), ("2", "a"), ("2", "b"),
    ]  # fmt: skip


def test_axes_in_step_go_together():
    found = points(Config(), ["width=1,2", "kind=a,b"], in_step=True)
    assert found == [{"width": "1", "kind": "a"}, {"width": "2", "kind": "b"}]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([], "needs an axis"),
        (["width"], "names no values"),
        (["width="], "names no values"),
        (["width=,"], "names no values of type int"),
        (["width=1", "width=2"], "a field occurs twice"),
        (["width=wide"], "'wide' is not of type int"),
        (["width=1:2:5"], "occurs twice in the sweep"),
        (["scale=1,1.0"], "--scale=1.0 occurs twice in the sweep"),
        (["scale=0:1:3:log"], "has ends > 0"),
        (["scale=0:1:1"], "2 or more values"),
        (["scale=0:inf:3"], "finite ends"),
        (["scale=a:b:3"], "must be numbers"),
        (["scale=0.1:0.2:-5"], "is no range; write scale=start:stop:count"),
        (["scale=0.1:0.2"], "is no range"),
        (["clip=1:2:3:lin"], "is no range"),
        (["scale=0.1:0.2:10001"], "too many values; give 10000 or fewer"),
        ([f"scale=0.1:0.2:{'9' * 5000}"], "too many values"),
        (["scale=0:1:101", "clip=0:1:100"], "^10100 points are too many"),
        (["kind=a:b:3"], "'a:b:3' is not of type a or b"),
    ],
)
def test_an_axis_that_means_nothing_is_refused(axes, message):
    with pytest.raises(UsageError, match=message):
        points(Config(), axes)


def test_axes_in_step_are_of_one_length():
    with pytest.raises(UsageError, match="one length, not width 2, scale 3"):
        points(Config(), ["width=1,2", "scale=1,2,3"], in_step=True)


@pytest.mark.parametrize("axis", ["widht=1,2", "inner.rat=1", "kind.a=1"])
def test_an_axis_of_no_field_is_refused(axis):
    with pytest.raises(UnknownNameError, match="no field"):
        points(Config(), [axis])


def test_a_misspelt_axis_is_answered_with_the_near_one():
    with pytest.raises(UnknownNameError, match="did you mean --width"):
        points(Config(), ["widht=1,2"])


def test_the_longest_sweep_is_quick():
    start = time.perf_counter()
    assert len(points(Config(), ["scale=0:1:10000"])) == 10_000
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("words", [["--draws=9", "--noise=0.2"], ["--noise", "0.2"]])
def test_a_field_beside_the_axis_that_sets_it_is_refused(words, tmp_path):
    asked = ("double_descent", "quick", words, [{"noise": "0.1"}], executor("serial"))
    with pytest.raises(UsageError, match=r"^--noise is set and noise is an axis"):
        sweep(*asked, ledger_path=tmp_path / "ledger.sqlite")
    assert not any(tmp_path.iterdir())
