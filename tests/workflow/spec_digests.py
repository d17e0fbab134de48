"""Digests of every spec of every shipped scale: what decides whether users compute again.

`python -m tests.workflow.spec_digests > tests/data/spec_digests.json` writes today's.
"""

import json

from records.files import digest
from workflow.plan import Plan
from workflow.settings import load_plan

RUNS = {
    "cifar10": ["retrain"],
    "digits": ["retrain"],
    "paper": ["retrain", "resample", "rescore"],
}
LENGTH = 16  # characters of each digest: enough to see a change


def list_digests(plan: Plan) -> dict[str, dict[str, str]]:
    """The digests of a plan's specs, by kind and name."""
    found = {
        kind: {name: spec.digest for name, spec in specs.items()}
        for kind, specs in (
            ("datasets", plan.datasets),
            ("models", plan.models),
            ("samples", plan.samples),
        )
    }
    found["metrics"] = {name: digest(plan.metric_spec(name)) for name in plan.samples}
    return {
        kind: {name: one[:LENGTH] for name, one in digests.items()}
        for kind, digests in found.items()
    }


def list_all() -> dict[str, dict[str, dict[str, str]]]:
    """The digests of all shipped scales and sources."""
    return {
        f"{scale} {source}": list_digests(load_plan({"scale": scale, "source": source}))
        for scale, sources in RUNS.items()
        for source in sources
    }


if __name__ == "__main__":
    print(json.dumps(list_all(), indent=1, sort_keys=True))
