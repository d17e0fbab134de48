"""Read what `--config` and profiles say: which scale, which source, where results go."""

from collections.abc import Mapping
from typing import Any

from records.errors import UserError
from records.options import DEVICE, DEVICES
from workflow.plan import Plan, make_plan

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
    return make_plan(**settings)


def describe_run(plan: Plan) -> str:
    """Return the line that every run says first: scale, source, and where results are."""
    return f"scale {plan.scale.name}, source {plan.source}, results in {plan.layout.root}"
