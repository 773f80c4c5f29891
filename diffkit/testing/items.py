"""Claims as tests: one item per claim of a test module or of a package."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from diffkit.core.errors import ClaimRefuted, ClaimUndecided, DiffkitError, UsageError
from diffkit.core.verdict import Verdict
from diffkit.verify.collect import Collected, collect, judge, load_module

MARKER = "diffkit"
#: Options of the marker and what each must be.
_OPTIONS: Mapping[str, tuple[type, ...]] = {
    "budget": (str,),
    "seed": (int,),
    "dtypes": (tuple, list),
    "allow_undecided": (bool,),
}
_VERDICTS = pytest.StashKey[list[Verdict]]()


class ClaimItem(pytest.Item):
    """The test that one claim is right.

    Args:
        collected: The claim.
        **kwargs: What pytest gives every item.
    """

    def __init__(self, *, collected: Collected, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.collected = collected
        marks = getattr(collected.function, "pytestmark", ())
        self.own_markers.extend(marks)
        self.keywords.update({mark.name: mark for mark in marks})

    @classmethod
    def of(cls, parent: pytest.Collector, collected: Collected, label: str = "") -> "ClaimItem":
        """The item below `parent`, called `claim[label]`."""
        name = f"claim[{label or collected.label}]"
        return cls.from_parent(parent, name=name, collected=collected)

    def runtest(self) -> None:
        """Judge the claim; refuted or undecided is a failure."""
        options = marked_options(self)
        is_allowed = bool(options.pop("allow_undecided", False))
        options.pop("dtypes", None)  # a claim about a formula has none
        verdict = judge(self.collected, **options)
        keep(self, verdict)
        raise_unless_good(verdict, allow_undecided=is_allowed)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The explanation of the verdict, or the refusal: a traceback would show diffkit only."""
        if isinstance(excinfo.value, DiffkitError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the claim stands."""
        file, line = self.collected.place
        return (Path(file), max(line - 1, 0), self.name) if file else (self.path, None, self.name)


class PackageClaims(pytest.Collector):
    """The claims of the package that is the node's name."""

    def collect(self) -> Iterator[ClaimItem]:
        """One item per claim.

        Raises:
            UsageError: the package cannot be imported, or claims nothing.
        """
        claims = collect(load_module(self.name))
        if not claims:
            raise UsageError(
                "it holds no claims; decorate its functions with @diffkit.claim(df=...)"
            )
        for found in claims:
            yield ClaimItem.of(self, found, found.name)


def marked_options(item: pytest.Item) -> dict[str, Any]:
    """The options that the markers of an item give, the nearest marker first.

    Raises:
        UsageError: an unknown option or a value of another type.
    """
    found: dict[str, Any] = {}
    for mark in item.iter_markers(MARKER):
        strangers = sorted(set(mark.kwargs) - set(_OPTIONS))
        if mark.args or strangers:
            named = ", ".join([*map(repr, mark.args), *strangers])
            raise UsageError(
                f"the marker {MARKER} does not know {named}; it takes {', '.join(_OPTIONS)}, "
                "each by name"
            )
        for name, value in mark.kwargs.items():
            is_truth = name == "seed" and isinstance(value, bool)
            if not isinstance(value, _OPTIONS[name]) or is_truth:
                kind = _OPTIONS[name][0].__name__
                raise UsageError(
                    f"the marker {MARKER} has {name}={value!r}; write a value of type {kind}"
                )
        found = {**mark.kwargs, **found}
    return found


def keep(item: pytest.Item, verdict: Verdict) -> None:
    """Note a verdict for the report of the phase that runs."""
    item.stash.setdefault(_VERDICTS, []).append(verdict)
    item.user_properties.append((MARKER, f"{verdict.status}: {verdict.statement}"))


def taken(item: pytest.Item, call: pytest.CallInfo[None]) -> str:
    """The verdicts noted since the last call, and a refusal to judge, as JSON text."""
    verdicts = item.stash.get(_VERDICTS, [])
    item.stash[_VERDICTS] = []
    error = call.excinfo.value if call.excinfo is not None else None
    is_refusal = isinstance(error, DiffkitError) and not isinstance(error, AssertionError)
    data = {
        "verdicts": [verdict.to_dict() for verdict in verdicts],
        "refused": str(error) if is_refusal else "",
    }
    return json.dumps(data, allow_nan=False)


def raise_unless_good(verdict: Verdict, *, allow_undecided: bool) -> Verdict:
    """Return a good verdict.

    Raises:
        ClaimRefuted: the claim is wrong.
        ClaimUndecided: it could not be decided, and that is not allowed.
    """
    __tracebackhide__ = True
    if verdict.status == "refuted":
        raise ClaimRefuted(verdict.explain())
    if verdict.status == "undecided" and not allow_undecided:
        raise ClaimUndecided(verdict.explain())
    return verdict
