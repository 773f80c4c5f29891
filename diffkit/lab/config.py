"""Configurations of experiments: frozen dataclasses, their canonical JSON, presets, overrides.

A run is addressed by the hash of its configuration, so two configurations that mean the same
must have one text: keys sorted, a float field holding 1 written as 1.0, tuples as lists.
"""

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.suggestions import did_you_mean

Config = TypeVar("Config")
#: The presets an experiment may have, smallest first.
PRESETS = ("quick", "full", "gpu")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


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


def with_overrides(config: Config, arguments: Sequence[str]) -> Config:
    """Return `config` with fields replaced by command-line `arguments`.

    `--width 256`, `--width=256`, `--depths 5,10,20`, `--use_bias false` (or `--use-bias`),
    `--optimizer.rate 0.1` for a nested dataclass.  A value is read by the field's type.

    Raises:
        UnknownNameError: no such field; the message lists the fields with their types.
        UsageError: a value that is not of the field's type, or one that is missing.
    """
    for name, text in _pairs(arguments):
        config = _replaced(config, name.split("."), text, name)
    return config


def fields_with_types(config: Any) -> dict[str, str]:
    """Field name -> type in words, nested dataclasses with dotted names."""
    listing: dict[str, str] = {}
    for name, hint in _hints(type(config)).items():
        inner = getattr(config, name)
        if dataclasses.is_dataclass(inner):
            listing |= {f"{name}.{key}": text for key, text in fields_with_types(inner).items()}
        else:
            listing[name] = _in_words(hint)
    return listing


def require_config_type(kind: type) -> None:
    """Refuse a configuration type that could change after it was hashed.

    Raises:
        UsageError: `kind` is not a frozen dataclass.
    """
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is None or not parameters.frozen:
        raise UsageError(f"{kind.__qualname__} is no configuration; write @dataclass(frozen=True)")


def _plain(value: Any, hint: Any, where: str) -> Any:
    """`value` as JSON data; a float field that holds an int becomes a float."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = _hints(type(value))
        return {
            name: _plain(getattr(value, name), hints[name], f"{where}.{name}") for name in hints
        }
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UsageError(f"{where} has the key {key!r}; only text may be a key")
        return {key: _plain(item, None, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        inner = next((part for part in get_args(hint) if part is not Ellipsis), None)
        return [_plain(item, inner, f"{where}[{i}]") for i, item in enumerate(value)]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(
            f"{where} is {value}; a configuration holds finite numbers (None if unset)"
        )
    if isinstance(value, int) and not isinstance(value, bool) and hint is float:
        return float(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise UsageError(
        f"{where} is of type {type(value).__name__}; a configuration holds numbers, text, "
        "booleans, None, sequences, mappings and frozen dataclasses"
    )


def _pairs(arguments: Sequence[str]) -> list[tuple[str, str | None]]:
    """Split `--name value`, `--name=value` and a lone `--name` into pairs."""
    pairs: list[tuple[str, str | None]] = []
    rest = list(arguments)
    while rest:
        head = rest.pop(0)
        if not head.startswith("--") or head == "--":
            raise UsageError(f"{head!r} does not belong to a field; write --field value")
        name, equals, text = head[2:].partition("=")
        value: str | None = text if equals else None
        # "--mean -1" gives a negative number, "--use_bias --width 3" a flag.
        if not equals and rest and not rest[0].startswith("--"):
            value = rest.pop(0)
        pairs.append((name.replace("-", "_"), value))
    return pairs


def _replaced(config: Any, path: list[str], text: str | None, name: str) -> Any:
    hints = _hints(type(config))
    field, *deeper = path
    if field not in hints:
        raise UnknownNameError(_unknown_field(config, field, name))
    if deeper:
        inner = getattr(config, field)
        if not dataclasses.is_dataclass(inner):
            raise UnknownNameError(f"--{name}: {field} has no fields of its own")
        return dataclasses.replace(config, **{field: _replaced(inner, deeper, text, name)})
    return dataclasses.replace(config, **{field: _read(text, hints[field], name)})


def _unknown_field(config: Any, field: str, name: str) -> str:
    known = fields_with_types(config)
    hint = did_you_mean(f"--{field}", [f"--{each}" for each in known])
    listing = ", ".join(f"{key} ({kind})" for key, kind in known.items())
    return f"no field {name!r}; {hint}fields: {listing}"


def _read(text: str | None, hint: Any, name: str) -> Any:
    """Read `text` as a value of type `hint`."""
    if text is None:
        if hint is bool:
            return True
        raise UsageError(f"--{name} needs a value of type {_in_words(hint)}")
    try:
        return _convert(text, hint)
    except ValueError:
        raise UsageError(f"--{name} {text!r} is not of type {_in_words(hint)}") from None


def _convert(text: str, hint: Any) -> Any:
    """Read `text` as `hint`; ValueError when it is none."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(text, parts)
    if origin is Literal:
        for choice in parts:
            if text == str(choice):
                return choice
        raise ValueError(text)
    if origin is tuple:
        return _convert_tuple(text, parts)
    if hint is bool:
        if text.lower() not in _WORDS:
            raise ValueError(text)
        return _WORDS[text.lower()]
    if hint is float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(text)
        return value
    if hint in (int, str):
        return hint(text)
    raise ValueError(text)


def _convert_union(text: str, parts: tuple[Any, ...]) -> Any:
    if type(None) in parts and text.lower() == "none":
        return None
    for part in parts:
        if part is not type(None):
            try:
                return _convert(text, part)
            except ValueError:
                continue
    raise ValueError(text)


def _convert_tuple(text: str, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    items = [item.strip() for item in text.strip("()[] ").split(",") if item.strip()]
    if len(parts) == 2 and parts[1] is Ellipsis:
        return tuple(_convert(item, parts[0]) for item in items)
    if len(items) != len(parts):
        raise ValueError(text)
    return tuple(_convert(item, part) for item, part in zip(items, parts, strict=True))


def _hints(kind: Any) -> dict[str, Any]:
    """Type of each field, in the order of definition."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _in_words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
