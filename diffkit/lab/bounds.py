"""Bounds of the fields of a configuration: refused in one sentence, before anything runs."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.core.ranges import SEEDS


def at_least(least: float, config: Any, *fields: str, part: str = "") -> None:
    """Refuse a field, or an entry of a tuple, that is smaller; a tuple has entries.

    Args:
        least: The smallest value there is.
        config: Holds the fields.
        fields: Their names.
        part: Name of the field that holds `config`, "" for a whole configuration.

    Raises:
        UsageError: says which field, its value, and what it may be.
    """
    for name, value in _values(config, fields, part):
        if not value >= least:
            raise UsageError(f"{name} = {value}; give {least:g} or more")


def positive(config: Any, *fields: str, part: str = "") -> None:
    """Refuse a field, or an entry of a tuple, that is not above 0; a tuple has entries.

    Raises:
        UsageError: says which field, its value, and what it may be.
    """
    for name, value in _values(config, fields, part):
        if not value > 0:
            raise UsageError(f"{name} = {value}; give a number above 0")


def at_most(most: float, config: Any, *fields: str, part: str = "", why: str) -> None:
    """Refuse a field, or an entry of a tuple, that is larger; a tuple has entries.

    Raises:
        UsageError: says which field, its value, and what it may be.
    """
    for name, value in _values(config, fields, part):
        if not value <= most:
            raise UsageError(f"{name} = {value}; give {most:g} or less, {why}")


def rising(config: Any, *fields: str, part: str = "") -> None:
    """Refuse a tuple whose entries do not rise, or that has fewer than two.

    Raises:
        UsageError: says which field.
    """
    for field in fields:
        values = list(getattr(config, field))
        if len(values) < 2 or values != sorted(set(values)):
            raise UsageError(f"{_named(field, part)} must rise, two or more of them")


def known(look_up: Callable[[str], object], config: Any, *fields: str, part: str = "") -> None:
    """Refuse a name that `look_up` does not know, or that stands twice; a tuple has entries.

    Raises:
        UnknownNameError: as `look_up` says it.
        UsageError: a name stands twice.
    """
    seen = set()
    for name, value in _values(config, fields, part):
        look_up(value)
        if (name, value) in seen:
            raise UsageError(f"{name} has {value} twice; list each one once")
        seen.add((name, value))


def check_seeds(config: Any, part: str = "") -> None:
    """Refuse a field `seed`, of a configuration or of one inside it, that is no seed of JAX.

    Raises:
        UsageError: says which field, and what it may be.
    """
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{part}{field.name}"
        if dataclasses.is_dataclass(value):
            check_seeds(value, f"{name}.")
        elif field.name == "seed" and isinstance(value, int) and not 0 <= value < SEEDS:
            raise UsageError(f"{name} = {value}; a seed is a whole number from 0 to {SEEDS - 1}")


def _named(field: str, part: str) -> str:
    return f"{part}.{field}" if part else field


def _values(config: Any, fields: tuple[str, ...], part: str) -> Iterator[tuple[str, Any]]:
    """Name and value of each field, of each entry where it is a tuple."""
    for field in fields:
        name, value = _named(field, part), getattr(config, field)
        if value == ():
            raise UsageError(f"{name} is empty; list one or more")
        for each in value if isinstance(value, tuple) else (value,):
            yield name, each
