"""`diffkit export RUN --to FILE.nc`: the cells of a run as labelled arrays."""

import argparse
from pathlib import Path

from diffkit.cli.experiments import LEDGER
from diffkit.core.errors import UsageError
from diffkit.lab.export import find_run, to_netcdf
from diffkit.lab.ledger import Ledger


def run(options: argparse.Namespace) -> int:
    """Write the file and say what it holds.

    Raises:
        UsageError: no such ledger or run, no finished cell, or xarray is not installed.
    """
    path = Path(options.ledger or LEDGER)
    if not path.is_file():
        raise UsageError(f"no run ledger {path}; `diffkit run` makes it, --ledger names another")
    with Ledger(path) as ledger:
        chosen = find_run(ledger, options.run)
        target = to_netcdf(chosen, options.to)
        print(f"{target}  {chosen.info.experiment} {chosen.id[:12]}, {len(chosen.cells())} cells")
    return 0
