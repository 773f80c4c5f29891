"""Check and run the parts of an experiment that are asked for; join what they found."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.suggestions import did_you_mean
from diffkit.lab.outcome import Outcome, Part, join
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store

PartRunner = Callable[[Any, Store, Progress], Part]
#: Given the configuration of the experiment, raises a UsageError where the part has no answer.
PartCheck = Callable[[Any], object]


def of_field(name: str, check: Callable[[Any], object]) -> PartCheck:
    """A check of one field, as a check of the configuration that holds it."""
    return lambda config: check(getattr(config, name))


def check_parts(
    parts: Mapping[str, PartRunner], checks: Mapping[str, PartCheck], config: Any
) -> None:
    """Refuse a configuration that a part it asks for cannot answer.

    Args:
        parts: Name -> part.
        checks: Name -> check, of the parts that have one.
        config: The configuration of the experiment; `parts` names those that run.

    Raises:
        UnknownNameError: a part that does not exist; the message lists the parts.
        UsageError: no part, a part twice, or what its check refuses.
    """
    _require_parts(parts, config.parts)
    for name in config.parts:
        if name in checks:
            checks[name](config)


def run_parts(
    parts: Mapping[str, PartRunner],
    asked: Sequence[str],
    config: Any,
    store: Store,
    progress: Progress,
    *,
    dtype: str = "",
    seeds: Sequence[int] = (),
) -> Outcome:
    """Measure and judge the parts that are asked for, in the order of the table.

    Args:
        parts: Name -> part.
        asked: Names of those that run.
        config: The configuration of the experiment, given to every part.
        store: Where cells are kept; the keys of a part name it.
        progress: Told of each finished cell.
        dtype: Precision of the measurements.
        seeds: Seeds of the random streams.

    Raises:
        UnknownNameError: a part that does not exist; the message lists the parts.
        UsageError: no part, or a part twice.
    """
    _require_parts(parts, asked)
    found = [run(config, store, progress) for name, run in parts.items() if name in asked]
    return join(found, dtype=dtype, seeds=seeds)


def _require_parts(parts: Mapping[str, PartRunner], asked: Sequence[str]) -> None:
    if not asked:
        raise UsageError(f"no part is named; give one or more of {', '.join(parts)}")
    for name in asked:
        if name not in parts:
            raise UnknownNameError(
                f"no part {name!r}; {did_you_mean(name, list(parts))}the parts are "
                f"{', '.join(parts)}"
            )
        if asked.count(name) > 1:
            raise UsageError(f"the part {name} is named twice; name each one once")
