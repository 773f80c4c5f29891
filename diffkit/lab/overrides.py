"""Fields of a configuration set by words of the command line, each read by the field's type."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.suggestions import closest, did_you_mean
from diffkit.lab.config import choices, hints, union_parts

Config = TypeVar("Config")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def with_overrides(config: Config, arguments: Sequence[str]) -> Config:
    """Return `config` with fields replaced by command-line `arguments`.

    `--width 256`, `--width=256`, `--depths 5,10,20`, `--use_bias false` (or `--use-bias`),
    `--optimiser.rate 0.1` for a nested dataclass, `--optimiser adam` for one of several: it has
    its own defaults, which later words change.

    Raises:
        UnknownNameError: no such field; the message names the near one, or the fields.
        UsageError: a value that is not of the field's type, or one that is missing.
    """
    for name, text in _pairs(arguments):
        config = _replaced(config, name.split("."), text, name)
    return config


def named_fields(arguments: Sequence[str]) -> list[str]:
    """The fields that command-line `arguments` set, as they are spelt in a configuration."""
    return [name for name, _ in _pairs(arguments)]


def fields_with_types(config: Any) -> dict[str, str]:
    """Field name -> type in words, nested dataclasses with dotted names."""
    listing: dict[str, str] = {}
    for name, hint in hints(type(config)).items():
        inner = getattr(config, name)
        if choices(hint) or not dataclasses.is_dataclass(inner):
            listing[name] = in_words(hint)
        if dataclasses.is_dataclass(inner):
            listing |= {f"{name}.{key}": text for key, text in fields_with_types(inner).items()}
    return listing


def field_type(config: Any, name: str) -> Any:
    """The type of a field, dots for those of nested dataclasses.

    Raises:
        UnknownNameError: no such field; the message names the near one, or the fields.
    """
    inner = config
    *outer, field = name.split(".")
    for each in outer:
        inner = getattr(inner, each, None)
    found = hints(type(inner)) if dataclasses.is_dataclass(inner) else {}
    if field not in found:
        raise UnknownNameError(_unknown_field(config, name))
    return found[field]


def in_words(hint: Any) -> str:
    """A type as a message names it."""
    if choices(hint):
        return " or ".join(choices(hint))
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)


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
    field, *deeper = path
    found = hints(type(config))
    if field not in found:
        raise UnknownNameError(_unknown_field(config, ".".join(path), name))
    if deeper:
        inner = getattr(config, field)
        if not dataclasses.is_dataclass(inner):
            raise UnknownNameError(f"--{name}: {field} has no fields of its own")
        return dataclasses.replace(config, **{field: _replaced(inner, deeper, text, name)})
    read = _chosen if choices(found[field]) else _read
    return dataclasses.replace(config, **{field: read(text, found[field], name)})


def _unknown_field(config: Any, field: str, name: str = "") -> str:
    """What to say of a field that `config` lacks.

    Args:
        config: The configuration, or one inside it.
        field: What was asked of it, with dots.
        name: The same from the outermost configuration on.
    """
    outer = (name or field).removesuffix(field)
    near = closest(f"--{field}", [f"--{each}" for each in fields_with_types(config)])
    if near:
        near = f"--{outer}{near.removeprefix('--')}"
        return f"no field {(name or field)!r}; did you mean {near}? --help lists the fields"
    own = ", ".join(f"{outer}{each}" for each in hints(type(config)))
    return f"no field {(name or field)!r}; the fields are {own}; --help tells their types"


def _chosen(text: str | None, hint: Any, name: str) -> Any:
    """The dataclass of that name with its defaults."""
    known = choices(hint)
    if text is not None and text.lower() == "none" and type(None) in get_args(hint):
        return None
    spelt = (text or "").replace("_", "-").lower()
    if spelt not in known:
        guess = did_you_mean(spelt, known)
        raise UsageError(f"--{name} {text!r} is none of its choices; {guess}write {in_words(hint)}")
    try:
        return known[spelt]()
    except TypeError as error:
        raise UsageError(f"--{name} {spelt}: {error}; give its fields defaults") from error


def _read(text: str | None, hint: Any, name: str) -> Any:
    """Read `text` as a value of type `hint`."""
    if text is None:
        if hint is bool:
            return True
        raise UsageError(f"--{name} needs a value of type {in_words(hint)}")
    try:
        return _convert(text, hint)
    except ValueError:
        raise UsageError(f"--{name} {text!r} is not of type {in_words(hint)}") from None


def _convert(text: str, hint: Any) -> Any:
    """Read `text` as `hint`; ValueError when it is none."""
    origin, parts = get_origin(hint), get_args(hint)
    if union_parts(hint):
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
    items = _items(text)
    if len(parts) == 2 and parts[1] is Ellipsis:
        return tuple(_convert(item, parts[0]) for item in items)
    if len(items) != len(parts):
        raise ValueError(text)
    return tuple(_convert(item, part) for item, part in zip(items, parts, strict=True))


def _items(text: str) -> list[str]:
    """The entries of "1,2", "(1, 2)" or "[1,2]"; a comma inside of brackets separates nothing."""
    text = text.strip()
    if text[:1] in ("(", "[") and _closes_at(text) == len(text) - 1:
        text = text[1:-1]
    items, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            items.append("")
        else:
            items[-1] += character
    return [item.strip() for item in items if item.strip()]


def _closes_at(text: str) -> int:
    """Place of the bracket that closes the first one; -1 where none does."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if depth == 0:
            return place
    return -1
