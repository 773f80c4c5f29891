"""What the words of a command line mean: targets, arguments, domains, conventions."""

import difflib
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.verify.collect import load_module, look_in_current_folder, mentions_claims

_REFERENCE = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
_MODULE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
_SHAPE = re.compile(r"^(f64|f32|f16|bf16|float64|float32)\[([\d,\s]*)\]$")
_DTYPES = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}
EXAMPLES = {"--arg": "x=1.5", "--domain": "x=positive", "--convention": "relu0=1"}


def is_reference(text: str) -> bool:
    """Whether `text` is written "package.module:function"."""
    return bool(_REFERENCE.match(text.strip()))


def is_module(text: str) -> bool:
    """Whether `text` names a module that can be imported: dotted, or found as a top-level one."""
    name = text.strip()
    if _MODULE.match(name):
        return True
    return name.isidentifier() and _finds(name)


def is_file(text: str) -> bool:
    """Whether `text` names a Python file: "package/losses.py"."""
    return text.strip().endswith(".py")


def holds_claims(text: str) -> bool:
    """Whether a target is a file or a module, judged claim by claim, and not one function."""
    return is_file(text) or (not is_reference(text) and is_module(text))


def may_hold_claims(path: str) -> bool:
    """Whether the text of a file mentions claims; it is read and not imported.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        return mentions_claims(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; name a Python file") from error
    except ValueError as error:  # another encoding
        raise UsageError(f"{path} is not UTF-8 text ({error}); save it as such") from error


def load_file(path: str) -> ModuleType:
    """Import a Python file under the name it has in its package.

    The folder that holds its outermost package (the nearest folder without an `__init__.py`) is
    put on the import path.

    Raises:
        UsageError: there is no such file, its name is none of a module, or it fails.
    """
    file = Path(path.strip()).resolve()
    if not file.is_file():
        raise UsageError(f"there is no file {path}; name one that exists")
    parts = [] if file.name == "__init__.py" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if not parts or not all(part.isidentifier() for part in parts):
        raise UsageError(f"{path} cannot be imported under that name; rename it")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = load_module(".".join(parts))
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != file:
        raise UsageError(
            f"{path} is hidden by another module {'.'.join(parts)} ({found}); rename one of them"
        )
    return module


def load(reference: str) -> Callable[..., Any]:
    """The function that "package.module:function" names.

    Raises:
        UsageError: the module cannot be imported or the object is not callable.
        UnknownNameError: the module has no such attribute; the message lists near names.
    """
    module_name, _, path = reference.strip().partition(":")
    found: Any = load_module(module_name)
    for part in path.split("."):
        if not hasattr(found, part):
            raise UnknownNameError(
                f"{module_name} has no function {path!r}; it has: {_functions(found, part)}"
            )
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(
            f"{reference} is a value of type {type(found).__name__}; name a function of the module"
        )
    return found


def _functions(holder: Any, wanted: str) -> str:
    """The functions `holder` defines itself, those of a similar name first."""
    home = getattr(holder, "__name__", "")
    names = [
        name
        for name, value in vars(holder).items()
        if callable(value)
        and not name.startswith("_")
        and str(getattr(value, "__module__", "")).startswith(home)
    ]
    near = difflib.get_close_matches(wanted, names, n=4)
    return ", ".join([*near, *(name for name in names if name not in near)][:12]) or "none"


def arguments(words: Sequence[str]) -> dict[str, Any]:
    """Read --arg NAME=VALUE: a number, a JSON list of numbers, or a shape such as f64[100,5]."""
    return {name: _argument(name, text) for name, text in _pairs(words, "--arg")}


def domains(words: Sequence[str]) -> dict[str, str]:
    """Read --domain NAME=SET; the set itself is read by `Domain.parse`."""
    return dict(_pairs(words, "--domain"))


def conventions(words: Sequence[str]) -> dict[str, float]:
    """Read --convention NAME=VALUE with a number as value."""
    found = {}
    for name, text in _pairs(words, "--convention"):
        try:
            found[name] = float(text)
        except ValueError:
            raise UsageError(
                f"--convention {name}={text}: {text!r} is not a number; write one such as 0.5"
            ) from None
    return found


def _pairs(words: Sequence[str], option: str) -> list[tuple[str, str]]:
    pairs = []
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} wants NAME=VALUE, such as {EXAMPLES[option]}, not {word!r}")
        pairs.append((name.strip(), text.strip()))
    return pairs


def _argument(name: str, text: str) -> Any:
    shape = _SHAPE.match(text)
    if shape is not None:
        import jax  # only a shape needs JAX

        sizes = tuple(int(size) for size in shape.group(2).split(",") if size.strip())
        return jax.ShapeDtypeStruct(sizes, _DTYPES.get(shape.group(1), shape.group(1)))
    try:
        value = json.loads(text)
    except ValueError:
        raise UsageError(
            f"--arg {name}={text}: write a number (1.5), a list ([1, 2]) or a shape (f64[100,5])"
        ) from None
    if isinstance(value, list):
        import numpy as np

        try:
            return np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise UsageError(f"--arg {name}: write numbers, in rows of equal length") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"--arg {name}={text} is not a number")
    return value


def describe(points: Mapping[str, Any]) -> str:
    """A point as "x = 1, y = 2"."""
    return ", ".join(f"{name} = {value}" for name, value in points.items())


def _finds(name: str) -> bool:
    look_in_current_folder()
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
