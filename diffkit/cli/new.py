"""`diffkit new NAME`: the files of a small experiment that works."""

import argparse
from pathlib import Path

from diffkit.lab.new import new


def run(options: argparse.Namespace) -> int:
    """Write the files and say what to do with them."""
    root = Path.cwd()
    for path in new(options.name, root):
        print(path.relative_to(root))
    print(f"diffkit run {options.name}")
    print(f'make test ARGS="tests/experiments/test_{options.name}.py"')
    return 0
