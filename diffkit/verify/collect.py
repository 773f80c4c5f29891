"""Claims that stand beside the code they are about, and how a module's claims are found.

`@dk.claim(df="sigmoid(x)*(1-sigmoid(x))")` leaves the function as it is and records the
claim under the function's module; `diffkit verify mypackage` and pytest judge the record.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from diffkit.core.claim import Claim
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict

F = TypeVar("F", bound=Callable[..., Any])
_RECORD: dict[str, dict[str, "Collected"]] = {}


@dataclass(frozen=True)
class Collected:
    """One claim found in a module: a decorated function, or a `Claim` object.

    Args:
        name: "module:function" or "module:NAME" of the `Claim`.
        function: The decorated function, None for a `Claim` object.
        df: The claimed derivative.
        wrt: As in `check`.
        args: Example arguments, needed for functions of arrays.
        domain: Name -> domain text.
        claim: The `Claim` object, None for a decorated function.
    """

    name: str
    function: Callable[..., Any] | None = None
    df: Any = None
    wrt: int | str = 0
    args: Sequence[Any] = ()
    domain: Mapping[str, str] | str | None = None
    claim: Claim | None = None


def claim(
    *,
    df: Any,
    wrt: int | str = 0,
    args: Sequence[Any] = (),
    domain: Mapping[str, str] | str | None = None,
) -> Callable[[F], F]:
    """Record that `df` is the derivative of the decorated function.

    Args:
        df: Claimed derivative: formula text, or a function of the same arguments.
        wrt: Position or name of the variable.
        args: Example arguments; needed when a parameter is an array.
        domain: Where the claim is made, as in `check`.

    Returns:
        A decorator that gives the function back unchanged.

    >>> @claim(df="2*x")
    ... def f(x):
    ...     return x * x
    >>> f(3)
    9
    """

    def record(function: F) -> F:
        if not callable(function):
            raise UsageError("@diffkit.claim decorates a function")
        module, label = function.__module__, getattr(function, "__qualname__", repr(function))
        found = Collected(f"{module}:{label}", function, df, wrt, tuple(args), domain)
        _RECORD.setdefault(module, {})[label] = found
        return function

    return record


def collect(module: ModuleType) -> list[Collected]:
    """Every claim of a module and, for a package, of its submodules, in order of definition."""
    found: list[Collected] = []
    for member in _with_submodules(module):
        found += _RECORD.get(member.__name__, {}).values()
        found += [
            Collected(f"{member.__name__}:{label}", claim=value)
            for label, value in vars(member).items()
            if isinstance(value, Claim)
        ]
    return found


def judge(collected: Collected, *, seed: int = 0, budget: str = "fast") -> Verdict:
    """Judge one collected claim."""
    if collected.claim is not None:
        from diffkit.verify.replay import judge_again

        return judge_again(collected.claim)
    from diffkit.verify.check import check

    return check(
        collected.function,
        collected.df,
        *collected.args,
        wrt=collected.wrt,
        domain=collected.domain,
        seed=seed,
        budget=budget,
    )


def _with_submodules(module: ModuleType) -> list[ModuleType]:
    members = [module]
    inside = pkgutil.walk_packages(getattr(module, "__path__", ()), f"{module.__name__}.")
    names = [info.name for info in inside if not info.name.endswith("__main__")]
    return [*members, *map(importlib.import_module, names)]
