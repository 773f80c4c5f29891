"""What the words of a command line mean: targets, arguments, domains, conventions."""

import difflib
import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from diffkit.core.errors import UnknownNameError, UsageError

_REFERENCE = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")
_MODULE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
_SHAPE = re.compile(r"^(f64|f32|f16|bf16|float64|float32)\[([\d,\s]*)\]$")
_DTYPES = {"f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}
EXAMPLES = {"--arg": "x=1.5", "--domain": "x=positive", "--convention": "relu0=1"}
#: What the code of a module may raise while it is imported.
FAILURES = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    NameError,
    RuntimeError,
    AssertionError,
    OSError,
)


def is_reference(text: str) -> bool:
    """Whether `text` is written "package.module:function"."""
    return bool(_REFERENCE.match(text.strip()))


def is_module(text: str) -> bool:
    """Whether `text` names a module that can be imported: dotted, or found as a top-level one."""
    name = text.strip()
    if _MODULE.match(name):
        return True
    return name.isidentifier() and _finds(name)


def load_module(name: str) -> ModuleType:
    """Import `name` with the current folder on the path.

    Raises:
        UsageError: there is no such module, or it fails while it is imported.
    """
    look_in_current_folder()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"no module named {error.name!r}; run the command in the folder that holds it, "
            "or install its package"
        ) from error
    except SyntaxError as error:
        raise UsageError(f"{name} does not compile: {error}; mend it first") from error
    except (ImportError, *FAILURES) as error:
        raise UsageError(
            f"importing {name} fails ({type(error).__name__}: {error}); mend it first"
        ) from error


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


def look_in_current_folder() -> None:
    """Put the current folder on the import path, as `python script.py` does."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
