"""Where a user's own images are, and what to say when they are not there."""

import os
from collections.abc import Iterable
from pathlib import Path

from specs.datasets import OwnImagesSpec
from workflow.plan import Plan


def find_images(plan: Plan, place: str) -> Path:
    """Return where images are: the environment variable of that name, else the scale's path."""
    return Path(os.environ.get(place) or plan.scale.places[place])


def list_missing(plan: Plan, datasets: Iterable[str]) -> list[str]:
    """Say which of the user's own images are missing, a line for each place.

    Args:
        plan: the plan.
        datasets: names of the image sets that would be made.

    Returns:
        Place, path and what it is for; an image set that is already made needs no place.
    """
    needed: dict[str, list[str]] = {}
    for name in datasets:
        spec = plan.datasets[name]
        if isinstance(spec, OwnImagesSpec) and not Path(plan.layout.data(name).file).exists():
            needed.setdefault(spec.place, []).append(name)
    return [
        f"{place}: no file or folder at {find_images(plan, place)} (for "
        f"{', '.join(sorted(names))}); set {place}=/path/to/the/images, or its path under "
        f"`places` of scale {plan.scale.name}"
        for place, names in needed.items()
        if not find_images(plan, place).exists()
    ]
