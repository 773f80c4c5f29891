import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffkit.core.errors import UsageError
from diffkit.lab.config import as_dict, canonical_json, config_hash, require_config_type


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


def test_a_configuration_that_can_change_is_refused():
    @dataclass
    class Loose:
        width: int = 1

    with pytest.raises(UsageError, match="frozen=True"):
        require_config_type(Loose)
    require_config_type(Config)


def test_an_integer_in_an_optional_float_or_a_mixed_tuple_is_the_float_it_means():
    assert canonical_json(Config(clip=1)) == canonical_json(Config(clip=1.0))
    assert canonical_json(Mixed(pair=(1, 2))) == '{"pair":[1,2.0]}'


@dataclass(frozen=True)
class Mixed:
    pair: tuple[int, float] = (0, 0.0)


@dataclass(frozen=True)
class Momentum:
    rate: float = 0.1
    kind: Literal["sgd", "adam"] = "sgd"


@dataclass(frozen=True)
class Choosing:
    optimiser: Optimiser | Momentum = field(default_factory=Optimiser)


def test_two_dataclasses_with_equal_fields_are_two_configurations():
    first, second = Choosing(), Choosing(Momentum())
    assert as_dict(first)["optimiser"] == {"choice": "optimiser", "kind": "sgd", "rate": 0.1}
    assert config_hash("e", first, "c") != config_hash("e", second, "c")


def test_a_field_that_would_hide_the_choice_is_refused():
    with pytest.raises(UsageError, match="has a field 'choice'"):
        canonical_json(Holds(Other()))


@dataclass(frozen=True)
class Other:
    choice: int = 1


@dataclass(frozen=True)
class Holds:
    inner: Optimiser | Other = field(default_factory=Optimiser)
