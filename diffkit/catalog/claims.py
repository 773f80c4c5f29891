"""The claims of the five lecture texts: sentences that an experiment decides, as rows of data.

A row says what is claimed and where; the verdict comes from a recorded run, never from here.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from diffkit.core.errors import UnknownNameError, UsageError
from diffkit.core.suggestions import did_you_mean

FILE = Path(__file__).parent / "claims.toml"
_PLACE = re.compile(r"\d{3}:\d+(-\d+)?(,\d+(-\d+)?)*")


@dataclass(frozen=True)
class LectureClaim:
    """A sentence of a lecture that is true or false of networks and data.

    Args:
        id: "C001" and on.
        text: What is claimed, in the words of the lecture, shortened.
        places: Text and lines, "002:368-372".
        experiment: The experiment that decides it, "" where there is none yet.
    """

    id: str
    text: str
    places: tuple[str, ...]
    experiment: str = ""


@cache
def load(path: Path = FILE) -> dict[str, LectureClaim]:
    """Every claim by its id, in order.

    Raises:
        UsageError: a damaged file, an id that occurs twice, a place that cannot be read.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["claim"]
        claims = [LectureClaim(places=tuple(row.pop("places")), **row) for row in rows]
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path.name} cannot be read ({error}); restore the file") from error
    found = {claim.id: claim for claim in claims}
    if len(found) < len(claims):
        raise UsageError(f"{path.name}: an id occurs twice; give each claim its own")
    for claim in claims:
        if not claim.places or not all(map(_PLACE.fullmatch, claim.places)):
            raise UsageError(f"{path.name}: {claim.id} needs places such as 002:368-372")
    return found


def claim(identifier: str) -> LectureClaim:
    """The claim of that id.

    Raises:
        UnknownNameError: there is none.

    >>> claim("C060").text
    'Risk curve is a double descent'
    """
    rows = load()
    if identifier not in rows:
        hint = did_you_mean(identifier, list(rows))
        raise UnknownNameError(f"no claim {identifier!r}; {hint}there are {len(rows)}")
    return rows[identifier]
