"""Fields out of their bounds are named with their value and with what they may be."""

from dataclasses import dataclass, field

import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab import bounds


@dataclass(frozen=True)
class Inner:
    seed: int = 0


@dataclass(frozen=True)
class Config:
    width: int = 2
    scales: tuple[float, ...] = (0.5, 1.0)
    names: tuple[str, ...] = ("relu", "tanh")
    seed: int = 0
    inner: Inner = field(default_factory=Inner)


def look_up(name: str) -> None:
    if name not in ("relu", "tanh"):
        raise UnknownNameError(f"no {name}")


def test_what_lies_within_its_bounds_passes():
    config = Config(seed=2**32 - 1)
    bounds.at_least(0.5, config, "width", "scales")
    bounds.at_most(2, config, "width", "scales", why="")
    bounds.positive(config, "width", "scales")
    bounds.rising(config, "scales")
    bounds.known(look_up, config, "names")
    bounds.check_seeds(config)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda c: bounds.at_least(3, c, "width"), "^width = 2; give 3 or more$"),
        (lambda c: bounds.at_least(1, c, "scales", part="p"), r"^p\.scales = 0\.5; give 1 or"),
        (lambda c: bounds.at_most(1, c, "width", why="so"), "^width = 2; give 1 or less, so$"),
        (lambda c: bounds.positive(Config(0), "width"), "^width = 0; give a number above 0$"),
        (lambda c: bounds.positive(Config(scales=()), "scales"), "^scales is empty; list one"),
        (lambda c: bounds.rising(Config(scales=(2.0, 1.0)), "scales"), "^scales must rise, two"),
        (lambda c: bounds.rising(Config(scales=(1.0, 1.0)), "scales"), "^scales must rise, two"),
        (lambda c: bounds.rising(Config(scales=(1.0,)), "scales", part="p"), r"^p\.scales must"),
        (lambda c: bounds.known(look_up, Config(names=("elu",)), "names"), "^no elu$"),
        (lambda c: bounds.known(look_up, Config(names=("tanh",) * 2), "names"), "tanh twice"),
        (lambda c: bounds.check_seeds(Config(seed=-1)), "^seed = -1; a seed is a whole"),
        (lambda c: bounds.check_seeds(Config(seed=2**32)), "^seed = 4294967296; a seed is"),
        (lambda c: bounds.check_seeds(Config(inner=Inner(2**64))), r"^inner\.seed = 18446744"),
    ],
)
def test_what_lies_outside_is_named(check, said):
    with pytest.raises(UsageError, match=said):
        check(Config())
