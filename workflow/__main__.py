"""Run `python -m workflow plan|table-spec|allotment|summary`."""

import sys

from workflow.cli import main

sys.exit(main())
