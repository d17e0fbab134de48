"""Where a user's own images are, and what to say when they are not there."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

from workflow.plan import Plan


def find_place(plan: Plan, name: str) -> Path:
    """Return where images are: the environment variable of that name, else the scale's path."""
    return Path(os.environ.get(name) or plan.scale.places[name])


def place_of(plan: Plan, dataset: str) -> str | None:
    """Return the name of the place that an image set is made from; None for embedded images."""
    return plan.datasets[dataset].get("place")


def set_places(plan: Plan) -> str:
    """Return the settings of all places, to be written before a shell command."""
    return " ".join(f"{name}={quote(str(find_place(plan, name)))}" for name in plan.scale.places)


def list_missing(plan: Plan, datasets: list[str]) -> list[str]:
    """Say which images are missing, a line for each place.

    Args:
        plan: the plan.
        datasets: names of the image sets that would be made.

    Returns:
        Place, path and what it is for; an image set that is already made needs no place.
    """
    needed: dict[str, list[str]] = {}
    for dataset in datasets:
        name = place_of(plan, dataset)
        if name is not None and not Path(plan.data_path(dataset)).exists():
            needed.setdefault(name, []).append(dataset)
    return [
        f"{name}: no file or folder at {find_place(plan, name)} (for {', '.join(sorted(names))}); "
        f"set {name}=/path/to/the/images, or its path under `places` of scale {plan.scale.name}"
        for name, names in needed.items()
        if not find_place(plan, name).exists()
    ]


def note_planned(plan: Plan, planned: set[str]) -> Callable[[Any], list[str]]:
    """Make the input function of the rule that prepares images, which are not its inputs.

    Args:
        plan: the plan.
        planned: where the function notes the image sets that are to be made.

    Returns:
        A function of wildcards that says, once a place, what is missing, and returns no file.
    """
    said: set[str] = set()

    def note(wildcards: Any) -> list[str]:
        planned.add(wildcards.task)
        name = place_of(plan, wildcards.task)
        if name is not None and name not in said and list_missing(plan, [wildcards.task]):
            said.add(name)
            print(f"to bring: {name}, now {find_place(plan, name)}", file=sys.stderr)
        return []

    return note
