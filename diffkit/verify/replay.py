"""Judge a saved claim again: text and importable names only, nothing is ever unpickled."""

import importlib
import re
from typing import Any

from diffkit.core.claim import Claim
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict

_REFERENCE = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")


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
    options: dict[str, Any] = {
        "wrt": claim.wrt or None,
        "order": claim.order,
        "domain": dict(claim.domain),
        "conventions": dict(claim.conventions),
        "points": [dict(point) for point in claim.points],
        **claim.options,
    }
    if claim.verb == "verify":
        from diffkit.verify.verify import verify

        return verify(_side(claim.target), **options)
    from diffkit.verify.check import check

    return check(_side(claim.target), _side(claim.claimed), kind=claim.kind, **options)


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
    return _load(text) if _REFERENCE.match(text.strip()) else text


def _load(text: str) -> Any:
    module, _, path = text.strip().partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{text} cannot be imported again ({error})") from error
    return found
