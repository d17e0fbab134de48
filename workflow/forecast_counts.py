"""Operations of a scale's networks: committed data, so that reading them takes no torch.

They are keyed by a digest of what they follow from, kind and architecture. Counting itself is done
by `python -m adm.networks.flops` in a process of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from records.errors import UserError
from records.files import digest, read_json, write_json
from specs.models import ModelSpec
from workflow.layout import ROOT
from workflow.plan import Plan

FORMAT = 1
FOLDER = ROOT / "params" / "forecast"
ABOUT = (
    "operations of one image (a multiplication and an addition are two), counted on the meta "
    "device with torch.utils.flop_counter; training is forward and backward; guidance is a "
    "classifier forward and backward to its input"
)


def counts_path(plan: Plan) -> Path:
    """Return the path of the counts of a scale."""
    return FOLDER / f"{plan.scale.name}.json"


def make_network_key(spec: ModelSpec) -> str:
    """Return the digest of what a network's counts follow from."""
    return digest({"kind": spec.kind, "architecture": spec.architecture.content()})[:16]


def recount_command(plan: Plan) -> str:
    """Return the command that counts a scale's networks again."""
    return f"python -m workflow plan --scale {plan.scale.name} --write"


def load_counts(plan: Plan) -> dict[str, dict[str, Any]]:
    """Read the counts of all models of a plan.

    Returns:
        By model: num_parameters, forward_flops, training_flops, guidance_flops (None but for
        classifiers).

    Raises:
        UserError: no file, or a model whose network it does not have.
    """
    path = counts_path(plan)
    if not path.exists():
        raise UserError(
            f"{path}: no such file; the networks of scale {plan.scale.name} have not been counted: "
            f"run {recount_command(plan)}"
        )
    networks = read_json(path, "list of operation counts").get("networks", {})
    keys = {name: make_network_key(spec) for name, spec in plan.models.items()}
    stale = [name for name, key in keys.items() if key not in networks]
    if stale:
        shown = ", ".join(stale[:5]) + (f" and {len(stale) - 5} more" if len(stale) > 5 else "")
        raise UserError(
            f"{path}: no counts for the network of {shown}, which is new or was changed since they "
            f"were written: run {recount_command(plan)}"
        )
    return {name: networks[key] for name, key in keys.items()}


def count_networks(plan: Plan, models: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Count the networks of a plan, each once, in another process that loads torch.

    Args:
        plan: the plan.
        models: names of the models to count; None for all.

    Returns:
        By key: `models` that have the network, `kind`, and what `count_flops` returns.

    Raises:
        UserError: the process failed.
    """
    networks: dict[str, dict[str, Any]] = {}
    for name in plan.models if models is None else models:
        spec = plan.models[name]
        entry = {"models": [], "kind": spec.kind, "architecture": spec.architecture.content()}
        networks.setdefault(make_network_key(spec), entry)["models"].append(name)
    process = subprocess.run(
        [sys.executable, "-m", "adm.networks.flops"],
        input=json.dumps(networks),
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise UserError(f"python -m adm.networks.flops: {process.stderr.strip()}")
    counts = json.loads(process.stdout)
    return {
        key: {"models": entry["models"], "kind": entry["kind"], **counts[key]}
        for key, entry in networks.items()
    }


def write_counts(plan: Plan) -> Path:
    """Count the networks of a plan and write them where `load_counts` reads them.

    Returns:
        The file.

    Raises:
        UserError: a network cannot be counted, or the file cannot be written.
    """
    path = counts_path(plan)
    write_json(path, {"format": FORMAT, "about": ABOUT, "networks": count_networks(plan)})
    return path
