"""Where results go: text (or another format) to stdout, JSON to stdout or to a file."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from diffkit.core.errors import UsageError
from diffkit.core.verdict import Verdict, plain, write_atomically


def emit(
    options: argparse.Namespace,
    data: Mapping[str, Any],
    formats: Mapping[str, Callable[[], str]],
) -> None:
    """Print a result in the format asked for.

    Args:
        options: Parsed options with `format` and `json`.
        data: The result as plain data; a "schema" entry names its version.
        formats: Format name -> function that renders it; "text" is required.
    """
    if options.json == "-" or options.format == "json":
        print(json.dumps(plain(data), indent=2, ensure_ascii=False, allow_nan=False))
        return
    if options.json:
        save(options.json, json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n")
    if options.format not in formats:
        known = ", ".join((*formats, "json"))
        raise UsageError(f"this command has no format {options.format!r}; it has: {known}")
    print(formats[options.format]())


def emit_verdict(options: argparse.Namespace, verdict: Verdict) -> int:
    """Print a verdict, save it where asked, and return its exit status."""
    explain = getattr(options, "explain", False)
    emit(
        options,
        verdict.to_dict(),
        {
            "text": verdict.explain if explain else verdict.__str__,
            "latex": lambda: verdict.latex,
            "html": verdict.to_html,
        },
    )
    if getattr(options, "save", None):
        verdict.save(options.save)
        progress(f"saved to {options.save}")
    return verdict.exit_status


def save(path: str, text: str) -> None:
    """Write a result file atomically, with a clear error when the folder cannot be written."""
    try:
        write_atomically(Path(path), text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another file") from error


def save_report(path: str, verdicts: Sequence[Verdict], title: str) -> None:
    """Write the HTML page of verdicts; none at all is a page that says so."""
    from diffkit.verify.report.page import report

    save(path, report(verdicts, title=title, allow_none=True))
    progress(f"report written to {path}")


def progress(message: str) -> None:
    """One line of progress on stderr."""
    print(message, file=sys.stderr, flush=True)
