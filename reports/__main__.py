"""Run `python -m reports`."""

import sys

from records.errors import main_guard
from reports.cli import main

if __name__ == "__main__":
    sys.exit(main_guard(main)())
