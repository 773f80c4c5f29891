"""Run the parts of an experiment that are asked for and join what they found."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffkit.core.errors import UnknownNameError
from diffkit.core.suggestions import did_you_mean
from diffkit.lab.outcome import Outcome, Part, join
from diffkit.lab.progress import Progress
from diffkit.lab.sweep import Store

PartRunner = Callable[[Any, Store, Progress], Part]


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
    """
    for name in asked:
        if name not in parts:
            raise UnknownNameError(
                f"no part {name!r}; {did_you_mean(name, list(parts))}the parts are "
                f"{', '.join(parts)}"
            )
    found = [run(config, store, progress) for name, run in parts.items() if name in asked]
    return join(found, dtype=dtype, seeds=seeds)
