"""`diffkit replay claim.json`: judge a saved claim again and compare the verdicts."""

import argparse
import json
from pathlib import Path

from diffkit.cli import output, targets
from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict

LARGEST_FILE = 16 * 2**20


def run(options: argparse.Namespace) -> int:
    """Judge again; the exit status is that of the new verdict."""
    from diffkit.verify.replay import replay

    saved = Verdict.from_dict(_read(Path(options.file)))
    targets.look_in_current_folder()
    verdict = replay(saved)
    if verdict.status != saved.status:
        output.progress(f"the saved verdict was {saved.status}, the new one is {verdict.status}")
    return output.emit_verdict(options, verdict)


def _read(path: Path) -> dict:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{path} is larger than any saved verdict; name the right file")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; name a saved verdict") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON ({error}); save the verdict again") from error
