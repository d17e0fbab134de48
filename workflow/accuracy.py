"""Which noisy classifiers guide the rows of a table, and what their accuracy depends on."""

from typing import Any

from records.files import spec_digest
from specs.config import Table
from workflow.plan import Plan

RECIPE = 1
NUM_RANGES = 10
MAX_IMAGES = 10_000  # of a large image set; its standard error is then half a per cent at most


def find_classifiers(plan: Plan, sample: str) -> list[dict[str, Any]]:
    """Return the classifiers (name, digest, mark, iteration) of a sample batch and of its base."""
    spec = plan.samples[sample]
    base = find_classifiers(plan, spec["low_res"]["name"]) if spec["low_res"] else []
    return [spec["classifier"], *base] if spec["classifier"] else base


def accuracy_path(plan: Plan, model: str, mark: str) -> str:
    """Return the path of the accuracy of a classifier at a mark."""
    return f"{plan.root}/{plan.source}/models/{model}/accuracy-{mark}.json"


def make_accuracy_spec(plan: Plan, model: str, mark: str) -> dict[str, Any]:
    """Return what the accuracy of a classifier at a mark depends on."""
    return {
        "recipe": RECIPE,
        "name": model,
        "classifier": {
            "name": model,
            "digest": spec_digest(plan.models[model]),
            "mark": mark,
            "iteration": plan.marks[model][mark],
        },
        "dataset": plan.datasets[plan.models[model]["task"]],
        "num_ranges": NUM_RANGES,
        "max_images": MAX_IMAGES,
        "seed": plan.scale.evaluation.seed,
    }


def describe_classifiers(
    plan: Plan, table: Table, shown: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """Describe the classifiers that guide a table's rows.

    Args:
        plan: the plan.
        table: the table.
        shown: the sample batches of each row's marks, by the row's id.

    Returns:
        One entry for each classifier and mark in the order of the rows: name, task, iterations,
        the file of its accuracy, and the rows it guides.
    """
    described: dict[tuple[str, str], dict[str, Any]] = {}
    for row_id, samples in shown.items():
        for classifier in (one for name in samples for one in find_classifiers(plan, name)):
            name, mark = classifier["name"], classifier["mark"]
            task = plan.models[name]["task"]
            entry = described.setdefault(
                (name, mark),
                {
                    "name": name,
                    "mark": mark,
                    "iteration": classifier["iteration"],
                    "task": task,
                    "task_words": plan.scale.tasks[task].words,
                    "accuracy": accuracy_path(plan, name, mark),
                    "rows": [],
                },
            )
            row = {"task": table.rows[row_id].task, "label": table.rows[row_id].label}
            if row not in entry["rows"]:
                entry["rows"].append(row)
    return list(described.values())
