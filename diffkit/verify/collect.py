"""Claims that stand beside the code they are about, and how a module's claims are found.

`@dk.claim(df="sigmoid(x)*(1-sigmoid(x))")` leaves the function as it is and records the
claim under the function's module; `diffkit verify mypackage` and pytest judge the record.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from diffkit.core.claim import Claim
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict

F = TypeVar("F", bound=Callable[..., Any])
#: Module -> the import that states its claims, and these by what tells them apart.
_RECORD: dict[str, tuple[Any, dict[Any, "Collected"]]] = {}
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

    @property
    def label(self) -> str:
        """The name within its module."""
        return self.name.partition(":")[2]

    @property
    def place(self) -> tuple[str, int]:
        """File and line of the function, or of the assignment of the `Claim`; ("", 0) unknown."""
        if self.function is not None:
            return place_of(self.function)
        module = sys.modules.get(self.name.partition(":")[0])
        file = getattr(module, "__file__", None) or ""
        return (file, _line_of_assignment(file, self.label)) if file else ("", 0)


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
        known = _claims_of(module)
        key = label, _positions(function), wrt  # two lambdas are two functions
        others = {each.label for mark, each in known.items() if mark != key}
        name = next(each for each in _labels(label, function, wrt) if each not in others)
        known[key] = Collected(f"{module}:{name}", function, df, wrt, tuple(args), domain)
        return function

    return record


def _claims_of(module: str) -> dict[Any, Collected]:
    """The claims of a module so far; a module that is imported again states them anew."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    kept = _RECORD.get(module)
    if kept is None or kept[0] is not spec:
        kept = _RECORD[module] = spec, {}
    return kept[1]


def _positions(function: Any) -> tuple[Any, ...]:
    """Where the code of a function stands, to the column."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return (code.co_filename, *code.co_positions()) if code is not None else ()


def _labels(label: str, function: Any, wrt: int | str) -> Iterator[str]:
    """Names for a claim, from the shortest on, until one is free."""
    yield label
    at_line = f"{label} (line {place_of(function)[1]})"
    yield at_line
    yield f"{label} (by {wrt})"
    yield from (f"{at_line}, {number}" for number in count(2))


def collect(module: ModuleType) -> list[Collected]:
    """Every claim of a module and, for a package, of its submodules, in order of definition.

    Raises:
        UsageError: a submodule cannot be imported.
    """
    return [found for member in _with_submodules(module) for found in collect_own(member)]


def collect_own(module: ModuleType) -> list[Collected]:
    """Every claim of one module, its submodules left out."""
    found = list(_RECORD.get(module.__name__, (None, {}))[1].values())
    found += [
        Collected(f"{module.__name__}:{label}", claim=value)
        for label, value in vars(module).items()
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


def look_in_current_folder() -> None:
    """Put the current folder on the import path, as `python script.py` does."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def mentions_claims(source: str) -> bool:
    r"""Whether the text of a module decorates with `claim` or makes a `Claim`; it is not run.

    >>> mentions_claims('@dk.claim(df="1")\ndef f(x): return x')
    True
    >>> mentions_claims("claim = 3  # dk.claim(df=...)")
    False
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False  # what does not compile claims nothing; importing it says why
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(getattr(f, "attr", getattr(f, "id", "")) in ("claim", "Claim") for f in calls)


def place_of(function: Any) -> tuple[str, int]:
    """File and first line of a function's code, or ("", 0)."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)


def _line_of_assignment(file: str, name: str) -> int:
    """The line on which a module binds `name` first, 0 where it cannot be read."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return 0
    bound = (
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
    )
    return min(bound, default=0)


def _with_submodules(module: ModuleType) -> list[ModuleType]:
    members = [module]
    paths, prefix = getattr(module, "__path__", ()), f"{module.__name__}."
    # a subpackage that fails is imported again below, where the failure is told
    inside = pkgutil.walk_packages(paths, prefix, onerror=lambda name: None)
    names = [info.name for info in inside if not info.name.endswith("__main__")]
    return [*members, *map(load_module, names)]
