"""Configurations of experiments: frozen dataclasses, their canonical JSON, presets.

A run is addressed by the hash of its configuration, so two configurations that mean the same
must have one text: keys sorted, a float field holding 1 written as 1.0, tuples as lists.  A field
that is one of several dataclasses (`optimiser: Sgd | Adam`) tells which one beside its fields.
"""

import dataclasses
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from diffkit.core.errors import UsageError

#: The presets an experiment may have, smallest first.
PRESETS = ("quick", "full", "gpu")
#: Key of the canonical text that names the chosen one of several dataclasses.
CHOICE = "choice"


@dataclass(frozen=True)
class Preset:
    """A named configuration and the time it may take.

    Args:
        config: The frozen dataclass the experiment runs with.
        budget: Seconds allowed on the machine the preset is meant for, > 0.
    """

    config: Any
    budget: float


def canonical_json(value: Any) -> str:
    """The one text of a configuration or of plain data.

    Raises:
        UsageError: a value that is no number, text, boolean, None, sequence, mapping with text
            keys or dataclass; NaN and infinities have no JSON.

    >>> canonical_json({"b": (1, 2), "a": 0.5})
    '{"a":0.5,"b":[1,2]}'
    """
    return json.dumps(
        _plain(value, None, "config"),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def config_hash(experiment: str, config: Any, code_version: str) -> str:
    """The address of a run: SHA-256 over experiment, configuration and code version."""
    text = canonical_json({"code": code_version, "config": config, "experiment": experiment})
    return hashlib.sha256(text.encode()).hexdigest()


def as_dict(config: Any) -> dict[str, Any]:
    """The configuration as JSON data."""
    return json.loads(canonical_json(config))


def require_config_type(kind: type) -> None:
    """Refuse a configuration type that could change after it was hashed.

    Raises:
        UsageError: `kind` is not a frozen dataclass.
    """
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise UsageError(f"{kind.__qualname__} is no configuration; write @dataclass(frozen=True)")


def hints(kind: Any) -> dict[str, Any]:
    """Type of each field, in the order of definition."""
    found = typing.get_type_hints(kind)
    return {field.name: found[field.name] for field in dataclasses.fields(kind)}


def choices(hint: Any) -> dict[str, type]:
    """The dataclasses a field of type `hint` may hold, by name; none if they are not several.

    >>> choices(Preset), choices(float | None)
    ({}, {})
    """
    kinds = [part for part in union_parts(hint) if dataclasses.is_dataclass(part)]
    return {choice_name(kind): kind for kind in kinds} if len(kinds) > 1 else {}


def choice_name(kind: type) -> str:
    """A dataclass as the command line spells it.

    >>> choice_name(Preset)
    'preset'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", kind.__name__).lower()


def union_parts(hint: Any) -> tuple[Any, ...]:
    """The types of a union, () for any other type."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else ()


def _plain(value: Any, hint: Any, where: str) -> Any:
    """`value` as JSON data; a float field that holds an int becomes a float."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain_fields(value, hint, where)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UsageError(f"{where} has the key {key!r}; only text may be a key")
        return {key: _plain(item, None, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        inner = _of_items(hint, len(value))
        return [_plain(item, inner[i], f"{where}[{i}]") for i, item in enumerate(value)]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(
            f"{where} is {value}; a configuration holds finite numbers (None if unset)"
        )
    if isinstance(value, int) and not isinstance(value, bool) and _means_float(hint):
        return float(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise UsageError(
        f"{where} is of type {type(value).__name__}; a configuration holds numbers, text, "
        "booleans, None, sequences, mappings and frozen dataclasses"
    )


def _plain_fields(value: Any, hint: Any, where: str) -> dict[str, Any]:
    of_fields = hints(type(value))
    found = {
        name: _plain(getattr(value, name), inner, f"{where}.{name}")
        for name, inner in of_fields.items()
    }
    if not choices(hint):
        return found
    if CHOICE in found:
        raise UsageError(f"{where} has a field {CHOICE!r}, which names the dataclass; rename it")
    return {CHOICE: choice_name(type(value)), **found}


def _of_items(hint: Any, count: int) -> tuple[Any, ...]:
    """Type of each item of a sequence."""
    parts = get_args(hint)
    if len(parts) == count and Ellipsis not in parts:
        return parts
    return (parts[0] if parts else None,) * count


def _means_float(hint: Any) -> bool:
    """Whether a whole number in a field of that type is a float that was written short."""
    return hint is float or (float in union_parts(hint) and int not in union_parts(hint))
