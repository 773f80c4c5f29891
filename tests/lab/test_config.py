import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab.config import (
    as_dict,
    canonical_json,
    config_hash,
    fields_with_types,
    require_config_type,
    with_overrides,
)


@dataclass(frozen=True)
class Optimiser:
    rate: float = 0.1
    kind: Literal["sgd", "adam"] = "sgd"


@dataclass(frozen=True)
class Config:
    width: int = 64
    scale: float = 1.0
    depths: tuple[int, ...] = (5, 10)
    span: tuple[float, float] = (0.0, 1.0)
    use_bias: bool = False
    clip: float | None = None
    name: str = "plain"
    optimiser: Optimiser = field(default_factory=Optimiser)


def test_the_hash_is_sha256_of_the_canonical_text():
    text = '{"code":"c1","config":{"kind":"sgd","rate":0.1},"experiment":"e"}'
    assert config_hash("e", Optimiser(), "c1") == hashlib.sha256(text.encode()).hexdigest()


def test_the_order_of_keys_and_the_kind_of_sequence_do_not_matter():
    assert canonical_json({"b": [1], "a": 2}) == canonical_json({"a": 2, "b": (1,)})


def test_an_integer_in_a_float_field_has_the_text_of_the_float():
    assert canonical_json(Config(scale=2)) == canonical_json(Config(scale=2.0))
    assert canonical_json(Config(span=(0, 1))) == canonical_json(Config())


def test_numpy_numbers_read_like_python_numbers():
    assert canonical_json(Config(width=np.int64(64), scale=np.float64(1))) == canonical_json(
        Config()
    )


def test_different_configurations_have_different_addresses():
    base = config_hash("e", Config(), "c")
    others = [("e", Config(width=65), "c"), ("e", Config(), "d"), ("f", Config(), "c")]
    assert base not in {config_hash(*other) for other in others}


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_survives_its_text(x: float):
    assert as_dict(Config(scale=x))["scale"] == x


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1: 2}, {1, 2}, b"x"])
def test_what_has_no_canonical_text_is_refused(value: object):
    with pytest.raises(UsageError, match="config"):
        canonical_json({"a": value} if not isinstance(value, dict) else value)


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["--width", "256"], {"width": 256}),
        (["--width=256"], {"width": 256}),
        (["--scale", "-1e-3"], {"scale": -1e-3}),
        (["--depths", "1,2,3"], {"depths": (1, 2, 3)}),
        (["--depths", "(7,)"], {"depths": (7,)}),
        (["--span", "-1,1"], {"span": (-1.0, 1.0)}),
        (["--use-bias"], {"use_bias": True}),
        (["--use_bias", "yes", "--width", "3"], {"use_bias": True, "width": 3}),
        (["--clip", "0.5"], {"clip": 0.5}),
        (["--clip", "none"], {"clip": None}),
        (["--optimiser.kind", "adam"], {"optimiser": Optimiser(kind="adam")}),
        ([], {}),
    ],
)
def test_a_field_is_overridden_by_its_type(arguments: list[str], changed: dict[str, object]):
    assert with_overrides(Config(), arguments) == Config(**changed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "wide"], "'wide' is not of type int"),
        (["--width", "1.5"], "not of type int"),
        (["--scale", "nan"], "not of type float"),
        (["--use_bias", "maybe"], "not of type bool"),
        (["--span", "1"], "not of type tuple"),
        (["--optimiser.kind", "lion"], "sgd or adam"),
        (["--width"], "needs a value of type int"),
        (["width", "3"], "write --field value"),
    ],
)
def test_a_value_of_another_type_is_refused(arguments: list[str], message: str):
    with pytest.raises(UsageError, match=message):
        with_overrides(Config(), arguments)


@pytest.mark.parametrize("name", ["widht", "optimiser.rat", "width.x", "optimizer.rate"])
def test_an_unknown_field_is_refused(name: str):
    with pytest.raises(UnknownNameError, match=name.replace(".", r"\.")):
        with_overrides(Config(), [f"--{name}", "3"])


def test_a_misspelt_field_is_answered_with_the_near_one_and_the_list():
    with pytest.raises(UnknownNameError, match=r"did you mean --width\?.*depths \(tuple\[int"):
        with_overrides(Config(), ["--widht", "3"])


def test_nested_fields_are_listed_with_dots():
    assert fields_with_types(Config())["optimiser.kind"] == "sgd or adam"


def test_a_configuration_that_can_change_is_refused():
    @dataclass
    class Loose:
        width: int = 1

    with pytest.raises(UsageError, match="frozen=True"):
        require_config_type(Loose)
    require_config_type(Config)
