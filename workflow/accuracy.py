"""Which noisy classifiers guide the rows of a table, and what their accuracy depends on."""

from specs.page import GuidedRow, PageClassifier
from specs.sampling import AccuracySpec, SampleSpec, WeightsAt
from specs.tables import Table
from workflow.plan import Plan, name_weights

RECIPE = 1
NUM_RANGES = 10
MAX_IMAGES = 10_000  # of a large image set; its standard error is then half a per cent at most


def find_classifiers(plan: Plan, sample: str) -> list[WeightsAt]:
    """Return the classifiers that guide a sample batch and its base."""
    spec = plan.samples[sample]
    if not isinstance(spec, SampleSpec):
        return []
    base = find_classifiers(plan, spec.low_res.name) if spec.low_res else []
    return [spec.classifier, *base] if spec.classifier else base


def make_accuracy_spec(plan: Plan, model: str, mark: str) -> AccuracySpec:
    """Return what the accuracy of a classifier at a mark depends on."""
    return AccuracySpec(
        recipe=RECIPE,
        name=model,
        classifier=name_weights(plan, model, mark),
        dataset=plan.datasets[plan.models[model].task],
        num_ranges=NUM_RANGES,
        max_images=MAX_IMAGES,
        seed=plan.scale.evaluation.seed,
    )


def describe_classifiers(
    plan: Plan, table: Table, shown: dict[str, list[str]]
) -> list[PageClassifier]:
    """Describe the classifiers that guide a table's rows.

    Args:
        plan: the plan.
        table: the table.
        shown: the sample batches of each row's marks, by the row's id.

    Returns:
        One entry for each classifier and mark in the order of the rows.
    """
    guided: dict[tuple[str, str], dict[GuidedRow, None]] = {}
    for row_id, samples in shown.items():
        row = GuidedRow(task=table.rows[row_id].task, label=table.rows[row_id].label)
        for classifier in (one for name in samples for one in find_classifiers(plan, name)):
            guided.setdefault((classifier.name, classifier.mark), {})[row] = None
    return [describe_classifier(plan, *key, list(rows)) for key, rows in guided.items()]


def describe_classifier(plan: Plan, name: str, mark: str, rows: list[GuidedRow]) -> PageClassifier:
    """Describe a classifier at a mark that guides some rows."""
    task = plan.models[name].task
    return PageClassifier(
        name=name,
        mark=mark,
        iteration=plan.marks[name][mark],
        task=task,
        task_words=plan.scale.tasks[task].words,
        accuracy=plan.layout.accuracy(name, mark).file,
        digest=make_accuracy_spec(plan, name, mark).digest,
        rows=rows,
    )
