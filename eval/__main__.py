"""`python -m eval`."""

import sys

from eval.cli import run

if __name__ == "__main__":
    sys.exit(run())
