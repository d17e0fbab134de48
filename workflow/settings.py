"""Read what `--config` and profiles say: which scale, which source, where results go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.options import DEVICE, DEVICES
from workflow.plan import Plan, make_plan

ROOT = Path(__file__).resolve().parent.parent
DEFAULTS = {
    "scale": "digits",
    "source": "retrain",
    "results": "results",
    "tables": "params/tables.yaml",
    "released": "params/released.yaml",
}
DEVICE_KEY = "device"  # apart: it is in no spec, and no command that writes one takes it


def load_plan(config: Mapping[str, Any]) -> Plan:
    """Make the plan that a configuration asks for.

    Args:
        config: `scale` (a name in params/scales/ or a path), `source`, `results`, `tables`,
            `released`; a missing one takes its default. `device` is where jobs compute; a missing
            one is the scale's.

    Raises:
        UserError: an unknown key or scale, or anything wrong in the files.
    """
    keys = [*DEFAULTS, DEVICE_KEY]
    unknown = sorted(set(config) - set(keys))
    if unknown:
        raise UserError(
            f"--config: unknown key {', '.join(unknown)}; the keys are {', '.join(keys)}"
        )
    settings = {**DEFAULTS, **{key: str(value) for key, value in config.items()}}
    device = settings.get(DEVICE_KEY)
    if device is not None and not DEVICE.fullmatch(device):
        raise UserError(f"--config device: got {device!r}; needed: {DEVICES}")
    return make_plan(
        tables_path=_shipped(settings["tables"]),
        scale_path=scale_path(settings["scale"]),
        source=settings["source"],
        results=settings["results"],
        released_path=_shipped(settings["released"]),
        device=device,
    )


def describe_run(plan: Plan) -> str:
    """Return the line that every run says first: scale, source, and where results are."""
    return f"scale {plan.scale.name}, source {plan.source}, results in {plan.root}"


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
