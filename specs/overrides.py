"""What an experiment changes of the tables: settings of samplers (params/run.yaml: overrides)."""

from pathlib import Path
from typing import Any

from specs.datasets import Name
from specs.strict import Strict, read_yaml, validated


class Run(Strict):
    """What `dvc repro` computes; `overrides`: by row, settings of its sampler."""

    scale: str
    source: str
    overrides: dict[Name, dict[str, Any]] | None = None


def load_overrides(path: str | Path) -> dict[str, dict[str, Any]]:
    """Read the settings of rows' samplers that are other ones than those of the tables.

    Args:
        path: params/run.yaml, or another file like it.

    Returns:
        The settings by row; rows without any are left out.

    Raises:
        UserError: no such file, not YAML, an unknown key or a wrong type.
    """
    run = validated(Run, read_yaml(path), str(path))
    return {row_id: changes for row_id, changes in (run.overrides or {}).items() if changes}
