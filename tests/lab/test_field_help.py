"""The page of help shows words as they are read."""

import re
import sys
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest

from diffkit.core.errors import UsageError
from diffkit.lab.field_help import field_help
from diffkit.lab.overrides import fields_with_types, with_overrides


@dataclass(frozen=True)
class Sgd:
    """Plain descent.

    Args:
        rate: Step size, > 0.
    """

    rate: float = 0.1


@dataclass(frozen=True)
class Adam:
    """Means of gradients and of their squares.

    Args:
        b1: Decay of the mean,
            in (0, 1).
    """

    b1: float = 0.9


@dataclass(frozen=True)
class Config:
    """What is measured.

    Args:
        width: Units of a layer.
    """

    width: int = 64
    depths: tuple[int, ...] = (5, 10)
    span: tuple[float, str] = (0.5, "a")
    kinds: tuple[Literal["relu", "tanh"], ...] = ("relu",)
    clip: float | None = None
    use_bias: bool = False
    inner: Sgd = field(default_factory=Sgd)
    optimiser: Sgd | Adam = field(default_factory=Sgd)


def page(config: Config) -> str:
    return field_help(config, "diffkit run e", "What is it?")


def defaults(text: str) -> dict[str, str]:
    """Field -> the default that a page shows."""
    entries = re.split(r"^  --", text.replace("\n\n", "\n  --\n"), flags=re.MULTILINE)
    found = {entry.split()[0]: re.search(r"\(default:\s+(.*?)\)", entry, re.S) for entry in entries}
    return {name: match[1] for name, match in found.items() if match is not None}


def test_every_field_is_shown_with_type_description_and_the_value_of_the_preset():
    text = page(Config(width=32))
    assert "--width INT" in text
    assert re.search(r"Units of a layer\. \(default: 32\)", text)
    assert "What is it?" in text
    assert "Step size, > 0. (default: 0.1)" in text
    for name in fields_with_types(Config()):
        assert f"--{name} " in text


@pytest.mark.parametrize("config", [Config(), Config(3, (1,), optimiser=Adam(0.5))])
def test_each_default_is_read_back_as_the_value_it_stands_for(config):
    shown = defaults(page(config))
    assert len(shown) == len(fields_with_types(config)) - 1  # the choice is told in words
    other = replace(Config(width=1, depths=(), clip=3.0, use_bias=True), optimiser=config.optimiser)
    words = [f"--{name}={text}" for name, text in shown.items()]
    assert with_overrides(other, words) == config


def test_a_choice_says_what_else_there_is_and_how_to_see_it():
    text = page(Config())
    assert "--optimiser is sgd (below) or adam: diffkit run e --optimiser adam --help" in text
    assert "--optimiser.rate" in text
    assert "--optimiser.b1" not in text
    chosen = page(Config(optimiser=Adam()))
    assert "Decay of the mean, in (0, 1). (default: 0.9)" in chosen
    assert "--optimiser is adam (below) or sgd" in chosen


def test_words_stand_for_values_as_they_are_written():
    text = page(Config())
    for shown in ("--depths INT,INT,...", "--span FLOAT,STR", "--kinds relu|tanh,relu|tanh,..."):
        assert shown in text


def test_without_tyro_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tyro", None)
    with pytest.raises(UsageError, match=r'pip install "diffkit\[lab\]"'):
        page(Config())
