"""Read what `--config` and profiles say: which scale, which source, where results go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.errors import UserError
from workflow.plan import Plan, make_plan

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = {
    "scale": "digits",
    "source": "retrain",
    "results": "results",
    "tables": "params/tables.yaml",
    "released": "params/released.yaml",
}


def load_plan(config: Mapping[str, Any]) -> Plan:
    """Make the plan that a configuration asks for.

    Args:
        config: `scale` (a name in params/scales/ or a path), `source`, `results`, `tables`,
            `released`; a missing one takes its default.

    Raises:
        UserError: an unknown key or scale, or anything wrong in the files.
    """
    unknown = sorted(set(config) - set(DEFAULTS))
    if unknown:
        raise UserError(
            f"--config: unknown key {', '.join(unknown)}; the keys are {', '.join(DEFAULTS)}"
        )
    settings = {**DEFAULTS, **{key: str(value) for key, value in config.items()}}
    return make_plan(
        tables_path=_shipped(settings["tables"]),
        scale_path=scale_path(settings["scale"]),
        source=settings["source"],
        results=settings["results"],
        released_path=_shipped(settings["released"]),
    )


def _shipped(path: str) -> Path:
    """Return a path as given if it exists, else the shipped file of that name."""
    return Path(path) if Path(path).exists() else ROOT / path


def scale_path(scale: str) -> Path:
    """Return the file of a scale: a path as given, or a name in params/scales/.

    Raises:
        UserError: no such scale.
    """
    if scale.endswith((".yaml", ".yml")):
        return Path(scale)
    path = ROOT / "params" / "scales" / f"{scale}.yaml"
    if not path.exists():
        names = sorted(one.stem for one in path.parent.glob("*.yaml"))
        raise UserError(f"scale: got {scale!r}; needed: one of {', '.join(names)}, or a .yaml path")
    return path
