"""`python -m diffkit`: the command, where its script is not on the path."""

import sys

from diffkit.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
