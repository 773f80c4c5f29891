"""`diffkit paper`: judge the ledger, run the quick experiments, draw the figures, compile the PDF.

Every stage keeps what it made under the digest of what it was made from, so that a build which
was killed, or a second one, does only what is missing.
"""

import argparse
import sys
from pathlib import Path

from diffkit.cli import paper_build
from diffkit.cli.paper_record import FULL, PaperRecord, make, update_full
from diffkit.core.errors import UsageError

PAPER = Path("paper")
RECORD = PAPER / "record"
LEDGER = Path("runs/ledger.sqlite")
VERDICTS = Path(".cache/verdicts")


def run(options: argparse.Namespace) -> int:
    """Build the paper, or check the one that was built.

    Raises:
        UsageError: there is no paper here, or the record is incomplete.
    """
    if not (PAPER / "main.typ").is_file():
        raise UsageError(f"no {PAPER}/main.typ here; the paper is built in a checkout of diffkit")
    if options.check:
        return _check(Path(options.from_record) if options.from_record else None)
    if options.update_full:
        update_full(LEDGER, RECORD, say)
        say(f"record   {RECORD / FULL}/ written")
    if options.from_record:
        record = PaperRecord.load(Path(options.from_record))
    else:
        record = make(LEDGER, VERDICTS, RECORD, say)
    if options.update_record:
        record.save(RECORD)
        say(f"record   {RECORD}/ written")
    output = Path(options.output)
    pages = paper_build.build(PAPER, record, output, say)
    print(f"{output}  {pages} pages")
    return 0


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"paper: {text}", file=sys.stderr, flush=True)


def _check(folder: Path | None) -> int:
    record = PaperRecord.load(folder or PAPER / "build" / "record")
    problems = paper_build.problems(PAPER, record)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(paper_build.images(PAPER))} figures, each drawn from its record")
    return 1 if problems else 0
