"""Judge a saved claim again: text and importable names only, nothing is ever unpickled."""

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from diffkit.core.claim import Claim, Verb
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict

_REFERENCE = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")

#: Larger arrays are kept by their shape and dtype alone.
MOST_ENTRIES = 10_000
#: Keywords a claim may carry into the verb.
_OPTIONS = frozenset({"dtypes", "under", "seed", "budget", "constants", "arguments"})


def replay(saved: Verdict) -> Verdict:
    """Judge the claim of a saved verdict again, with the same points and seed."""
    return judge_again(saved.claim)


def judge_again(claim: Claim) -> Verdict:
    """Judge a claim given as data.

    Raises:
        UsageError: the claim holds a function that has no importable name.
    """
    if not claim.is_replayable:
        raise UsageError(f"{claim.target!r} cannot be found again; save claims given as text")
    if not _is_wellformed(claim):
        raise UsageError("the saved claim is damaged; save the verdict again")
    kept = dict(claim.options)
    arguments = _arguments(kept.pop("arguments", ()))
    options: dict[str, Any] = {
        "wrt": claim.wrt or None,
        "order": claim.order,
        "domain": dict(claim.domain),
        "conventions": dict(claim.conventions),
        "points": [dict(point) for point in claim.points],
        **kept,
    }
    if claim.verb == "verify":
        from diffkit.verify.verify import verify

        return verify(_side(claim.target), *arguments, **options)
    from diffkit.verify.check import check

    return check(_side(claim.target), _side(claim.claimed), *arguments, kind=claim.kind, **options)


def names_a_module(text: str) -> bool:
    """Whether the text is "module:name", which is found by running that module.

    >>> names_a_module("package.losses:softplus"), names_a_module("a*x + b")
    (True, False)
    """
    return _REFERENCE.match(text.strip()) is not None


def target_of(claim: Claim) -> tuple[Any, list[Any]]:
    """The function or formula a claim is about, and its example arguments; imports a module.

    Raises:
        UsageError: the function cannot be imported, or the claim is damaged.
    """
    if not _is_wellformed(claim):
        raise UsageError("the saved claim is damaged; save the verdict again")
    return _side(claim.target), _arguments(claim.options.get("arguments", ()))


def _is_wellformed(claim: Claim) -> bool:
    """Whether a claim read from a file holds what `Claim` says it holds."""
    texts = (claim.target, claim.claimed, claim.wrt, *claim.domain, *claim.domain.values())
    return (
        all(isinstance(text, str) for text in texts)
        and claim.verb in get_args(Verb)
        and isinstance(claim.options, Mapping)
        and set(claim.options) <= _OPTIONS
        and all(isinstance(point, Mapping) for point in claim.points)
    )


def arguments_as_data(what: Any) -> list[Any]:
    """The example arguments of a `bridge.subject.Subject` in JSON: numbers, lists, shapes."""
    return [
        {"shape": list(value.shape), "dtype": value.dtype.name}
        if is_shape or value.size > MOST_ENTRIES
        else {"value": value.tolist(), "dtype": value.dtype.name}
        for value, is_shape in zip(what.values, what.is_shape_only, strict=True)
    ]


def can_be_given(what: Any) -> bool:
    """Whether the arguments as data say everything: no pytree, nothing static, large or by name."""
    is_small = all(value.size <= MOST_ENTRIES for value in what.values)
    is_plain = not what.notes and all(name.isidentifier() for name in what.names)
    return is_small and is_plain and _are_in_order(what.function, what.names)


def _are_in_order(function: Any, names: Sequence[str]) -> bool:
    """Whether the arguments are the first positional ones: data have no keywords."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True  # what has no signature was called with positions alone
    positional = [
        p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        names = names[: len(positional)]
    return list(names) == positional[: len(names)]


def _arguments(data: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What `arguments_as_data` wrote, as arguments again.

    Raises:
        UsageError: the data are damaged.
    """
    if not data:
        return []
    import jax
    import numpy as np

    try:
        return [
            jax.ShapeDtypeStruct(tuple(row["shape"]), row["dtype"])
            if "shape" in row
            else np.asarray(row["value"], dtype=row["dtype"])
            for row in data
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the saved arguments are damaged ({error}); save it again") from error


def reference(function: Any) -> str:
    """The importable "module:name" of a function, or "" when it has none."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or not name or "<" in name or module == "__main__":
        return ""
    text = f"{module}:{name}"
    return text if _REFERENCE.match(text) and _resolves(text, function) else ""


def _resolves(text: str, function: Any) -> bool:
    try:
        return _load(text) is function
    except UsageError:
        return False


def _side(text: str) -> Any:
    return _load(text) if names_a_module(text) else text


def _load(text: str) -> Any:
    module, _, path = text.strip().partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{text} cannot be imported again ({error})") from error
    return found
