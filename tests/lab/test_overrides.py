import re
from dataclasses import dataclass, field
from typing import Literal

import pytest

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.lab.overrides import fields_with_types, with_overrides


@dataclass(frozen=True)
class Optimiser:
    rate: float = 0.1
    kind: Literal["sgd", "adam"] = "sgd"


@dataclass(frozen=True)
class Ema:
    decay: float = 0.9


@dataclass(frozen=True)
class MovingMean:
    window: int = 3


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
    smoothing: Ema | MovingMean | None = None


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
        (["--smoothing", "ema"], {"smoothing": Ema()}),
        (["--smoothing", "moving-mean"], {"smoothing": MovingMean()}),
        (["--smoothing=moving_mean", "--smoothing.window=5"], {"smoothing": MovingMean(5)}),
        (["--smoothing", "ema", "--smoothing", "none"], {}),
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
        (["--smoothing", "emma"], r"did you mean ema\? write ema or moving-mean"),
        (["--smoothing"], "none of its choices"),
    ],
)
def test_a_value_of_another_type_is_refused(arguments: list[str], message: str):
    with pytest.raises(UsageError, match=message):
        with_overrides(Config(), arguments)


@pytest.mark.parametrize(
    "name", ["widht", "optimiser.rat", "width.x", "optimizer.rate", "smoothing.window"]
)
def test_an_unknown_field_is_refused(name: str):
    with pytest.raises(UnknownNameError, match=name.replace(".", r"\.")):
        with_overrides(Config(), [f"--{name}", "3"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("widht", "did you mean --width? --help lists the fields"),
        ("optimizer.rate", "did you mean --optimiser.rate? --help lists the fields"),
        ("optimiser.raet", "did you mean --optimiser.rate? --help lists the fields"),
        ("optimiser.zzz", "the fields are optimiser.rate, optimiser.kind"),
    ],
)
def test_an_unknown_field_is_answered_with_the_near_one_or_else_with_the_list(name, said):
    with pytest.raises(UnknownNameError, match=rf"^no field '{name}'; {re.escape(said)}"):
        with_overrides(Config(), [f"--{name}", "3"])
    with pytest.raises(UnknownNameError, match=r"the fields are width, .*; --help tells"):
        with_overrides(Config(), ["--zzz", "3"])


def test_nested_fields_are_listed_with_dots():
    assert fields_with_types(Config())["optimiser.kind"] == "sgd or adam"


def test_the_fields_of_the_chosen_dataclass_are_listed():
    listing = fields_with_types(Config(smoothing=Ema()))
    assert listing["smoothing"] == "ema or moving-mean"
    assert listing["smoothing.decay"] == "float"


def test_a_choice_that_needs_values_is_refused():
    with pytest.raises(UsageError, match="give its fields defaults"):
        with_overrides(Needs(), ["--inner", "strict"])


@dataclass(frozen=True)
class Strict:
    rate: float


@dataclass(frozen=True)
class Needs:
    inner: Ema | Strict = field(default_factory=Ema)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x*erf(x)", ("x*erf(x)",)),
        ("max(x, 0),[x]", ("max(x, 0)", "[x]")),
        ("(a, b)", ("a", "b")),
        ("(a)*(b)", ("(a)*(b)",)),
        ("", ()),
    ],
)
def test_brackets_inside_of_an_entry_belong_to_it(text: str, names: tuple[str, ...]):
    @dataclass(frozen=True)
    class Formulas:
        names: tuple[str, ...] = ("x",)

    assert with_overrides(Formulas(), ["--names", text]).names == names
