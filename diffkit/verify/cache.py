"""Verdicts kept on disk, addressed by the question and by the code that answered it.

An entry is one JSON file written atomically, so a run killed at any moment loses at most the
verdict in flight and two processes may share a folder.  A damaged entry counts as absent.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict, plain, write_atomically

#: What a verdict depends on besides the question.
_LIBRARIES = ("sympy", "python-flint", "mpmath", "numpy", "jax", "jaxlib")
_PACKAGE = Path(__file__).parent.parent
_LAYERS = (
    "core",
    "typeset",
    "symbolic",
    "numeric",
    "backend",
    "tensor",
    "bridge",
    "oracles",
    "verify",
)


class VerdictCache:
    """A folder of verdicts.

    Args:
        folder: Where the entries lie; made when the first one is written.

    >>> import tempfile
    >>> from diffkit.core.claim import Claim
    >>> kept = VerdictCache(Path(tempfile.mkdtemp()))
    >>> answers = [Verdict(Claim("x**2", "2*x", "x"), "proved")]
    >>> [kept.get({"q": 1}, answers.pop).status for _ in range(2)]
    ['proved', 'proved']
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def get(self, question: Mapping[str, Any], compute: Callable[[], Verdict]) -> Verdict:
        """The verdict on `question`: from the folder, else computed and kept."""
        path = self.folder / f"{self.key(question)}.json"
        found = _read(path)
        if found is not None:
            return found
        verdict = compute()
        write_atomically(path, verdict.to_json(indent=None) + "\n")
        return verdict

    @staticmethod
    def key(question: Mapping[str, Any]) -> str:
        """Address of a question: a hash of it, of diffkit's own code and of the libraries."""
        text = json.dumps(plain(dict(question)), sort_keys=True, allow_nan=False)
        return hashlib.sha256(f"{text}\n{engine()}".encode()).hexdigest()[:40]


@cache
def engine() -> str:
    """Digest of everything that judges: the layers up to verify and the libraries' versions."""
    digest = hashlib.sha256()
    for layer in _LAYERS:
        for path in sorted((_PACKAGE / layer).rglob("*.py")):
            digest.update(path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name} {metadata.version(name)}".encode())
    return digest.hexdigest()


def _read(path: Path) -> Verdict | None:
    try:
        return Verdict.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, UsageError):
        return None
