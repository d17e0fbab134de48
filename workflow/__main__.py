"""Run `python -m workflow COMMAND`; `workflow.cli` has the commands."""

import sys

try:
    from workflow.cli import main
except ModuleNotFoundError as error:
    # `dvc repro` runs whatever `python` comes first on PATH.
    sys.exit(
        f"error: {sys.executable} has no package {error.name}; activate the environment of this "
        "project (. .venv/bin/activate) and run the same command again"
    )

sys.exit(main())
