"""`diffkit atlas [MODULE ...]`: the survey of a library's derivatives."""

import argparse
import json
import sys

from diffkit.cli import output
from diffkit.core.errors import UsageError
from diffkit.core.verdict import plain


def run(options: argparse.Namespace) -> int:
    """Examine the derivatives asked for and write what was found."""
    if options.jobs is not None and options.jobs < 1:
        raise UsageError("--jobs is the number of processes, 1 or more")
    if not 1 <= options.seconds <= 3600:
        raise UsageError("--seconds is the limit of one derivative, from 1 to 3600")
    from diffkit.atlas import survey, tables, workers

    found = survey.sweep(
        options.target,
        jobs=options.jobs or workers.default_jobs(),
        seconds=options.seconds,
        ledger=options.ledger or survey.LEDGER,
        stream=sys.stderr,
    )
    if options.report:
        from diffkit.atlas.page import page

        output.save(options.report, page(found))
        output.progress(f"page written to {options.report}")
    if options.record:
        text = json.dumps(plain(tables.record(found)), indent=1, ensure_ascii=False)
        output.save(options.record, text + "\n")
        output.progress(f"record written to {options.record}")
    output.emit(
        options,
        tables.to_data(found),
        {
            "text": lambda: tables.to_text(found),
            "markdown": lambda: tables.to_markdown(found),
        },
    )
    return 0
