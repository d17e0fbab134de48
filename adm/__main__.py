"""Run `python -m adm dataset|train|sample`."""

import sys

from adm.cli import main

sys.exit(main())
