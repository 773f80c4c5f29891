"""A new experiment: a small one that works, to be changed into what one wants to ask."""

import keyword
import re
from pathlib import Path
from string import Template

from diffkit.core.errors import UsageError
from diffkit.core.verdict import write_atomically

TEMPLATES = Path(__file__).parent / "templates"
#: Longer ones make paths that a file system may refuse when half of the files are written.
LONGEST = 60
_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{LONGEST - 1}}}")


def new(name: str, root: Path) -> list[Path]:
    """Write `experiments/NAME` and `tests/experiments/test_NAME.py`; return the files.

    Args:
        name: Name of the experiment, as a module is named.
        root: Folder that holds `experiments`.

    Raises:
        UsageError: no such folder, no name of a module, or a file that is there already.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UsageError(
            f"{name[:LONGEST]!r} is no name of an experiment; write small letters, digits and _, "
            f"{LONGEST} at most, as in batch_noise"
        )
    if not (root / "experiments" / "__init__.py").is_file():
        raise UsageError(
            "no folder experiments with an __init__.py here; say it in a checkout of diffkit"
        )
    folder, test = root / "experiments" / name, root / "tests" / "experiments" / f"test_{name}.py"
    for place in (folder, test):
        if place.exists():
            raise UsageError(f"{place.relative_to(root)} is there already; choose another name")
    written = []
    for template in sorted(TEMPLATES.glob("*.in")):
        path = test if template.stem == "test.py" else folder / template.stem
        text = Template(template.read_text(encoding="utf-8")).substitute(name=name)
        write_atomically(path, text)
        written.append(path)
    return written
