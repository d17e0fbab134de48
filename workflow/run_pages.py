"""What the pages of models and sample sets show: where everything about a run is stored."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from records.errors import UserError
from specs.models import GuideSpec
from specs.page import WantedFile
from specs.run_pages import (
    PageBatch,
    PageMark,
    PageModel,
    PageSamples,
    RunPages,
    ShownCell,
    TrainedModel,
    UsedModel,
)
from specs.sampling import PublishedSamples, SampleSpec
from specs.strict import validated
from specs.tables import SETTING
from workflow.accuracy import describe_classifier
from workflow.figures import extend_table, list_tables
from workflow.forecast_counts import load_counts
from workflow.forecast_facts import choose_speed
from workflow.forecast_jobs import compute_job_cost
from workflow.losses import find_model_loss
from workflow.other_sources import name_metrics
from workflow.plan import FIGURES, Plan, variant_name
from workflow.table_spec import describe_mark, link_pages, list_run, number_table, seed_variants

Forecast = Callable[..., float | None]  # of a rule and the names of its job: seconds


@dataclass
class SampleSet:
    """The batches of a cell by training seed, the cells that show them, and the set beneath."""

    batches: dict[int, str] = field(default_factory=dict)
    cells: dict[ShownCell, None] = field(default_factory=dict)
    base: str | None = None


def make_run_pages(plan: Plan, page: str) -> RunPages:
    """Describe the models and sample sets behind a page.

    Args:
        plan: the plan.
        page: a table of it, or `figures`.
    """
    sets, forecast = find_sets(plan), make_forecaster(plan)
    tables = {page, *(list_tables(plan) if page == FIGURES else ())}
    shown = [name for name, one in sets.items() if tables & {cell.page for cell in one.cells}]
    samples = [_describe_samples(plan, forecast, name, sets[name]) for name in shown]
    models = dict.fromkeys(model.name for one in samples for model in one.models)
    content = {
        "format": 1,
        "scale": plan.scale.name,
        "source": plan.source,
        "root": plan.layout.root,
        "pages": link_pages(plan),
        "samples": [one.content() for one in samples],
        "models": [_describe_model(plan, forecast, name, sets).content() for name in models],
    }
    return validated(RunPages, content, f"runs of {page}")


def find_sets(plan: Plan) -> dict[str, SampleSet]:
    """Return the sample sets of all cells, those that only figures show included, and their bases.

    Returns:
        By the name of the first batch; cells that share it are of one set.
    """
    sets: dict[str, SampleSet] = {}

    def add(batches: Mapping[int, str], cell: ShownCell) -> str:
        name = next(iter(batches.values()))
        one = sets.setdefault(name, SampleSet())
        one.batches |= batches
        one.cells[cell] = None
        return name

    for table_name in plan.tables:
        table, added = extend_table(plan, table_name), plan.added.get(table_name, {})
        for row_id, row in table.rows.items():
            for mark in table.marks:
                batches = seed_variants(plan, table, row_id, mark)
                if not batches:
                    continue
                cell = ShownCell(
                    page=FIGURES if row_id in added else table_name,
                    number="Figures" if row_id in added else number_table(table),
                    row=row_id,
                    mark=mark,
                    label=row.label + describe_mark(plan, table, mark),
                    role="",
                )
                name, bases = add(batches, cell), _find_bases(plan, batches)
                if bases:
                    sets[name].base = add(bases, cell.model_copy(update={"role": "base"}))
    return sets


def _find_bases(plan: Plan, batches: Mapping[int, str]) -> dict[int, str]:
    drawn = {seed: plan.samples[name] for seed, name in batches.items()}
    return {
        seed: batch.low_res.name
        for seed, batch in drawn.items()
        if isinstance(batch, SampleSpec) and batch.low_res
    }


def make_forecaster(plan: Plan) -> Forecast:
    """Return what forecasts the seconds of a job; None where a scale's networks are not counted."""
    try:
        counts, speed = load_counts(plan), choose_speed(plan)
    except UserError:
        return lambda *_: None

    def compute_seconds(rule: str, *names: str) -> float | None:
        cost = compute_job_cost(plan, counts, rule, *names)
        try:
            return cost.flops / speed.compute_rates(cost.work, cost.precision, cost.kind)[1]
        except UserError:
            return None

    return compute_seconds


def _describe_samples(plan: Plan, forecast: Forecast, name: str, one: SampleSet) -> PageSamples:
    first = plan.samples[name]
    settings: dict[str, SETTING] = {"samples": "published by the authors"}
    models = []
    if isinstance(first, SampleSpec):
        settings = {**first.sampler.content(), "label_policy": first.label_policy}
        parts = {"model": first.model, "classifier": first.classifier}
        models = [
            UsedModel(
                role=role, name=_find_family(plan, at.name), mark=at.mark, iteration=at.iteration
            )
            for role, at in parts.items()
            if at
        ]
    return PageSamples(
        name=name,
        task=first.task,
        task_words=plan.scale.tasks[first.task].words,
        settings=settings,
        num_samples=first.num_samples,
        batches=[
            PageBatch(
                name=batch,
                seed=seed,
                metrics=name_metrics(plan, batch),
                samples=WantedFile(
                    path=plan.layout.samples(plan.samples[batch]).file,
                    digest=plan.samples[batch].digest,
                ),
                run=list_run(plan, batch),
                forecast_seconds=None
                if isinstance(plan.samples[batch], PublishedSamples)
                else forecast("sample", batch),
            )
            for seed, batch in one.batches.items()
        ],
        models=models,
        base=one.base,
        cells=list(one.cells),
    )


def _find_family(plan: Plan, model: str) -> str:
    """Return the name that a model has with its first training seed."""
    for name in plan.scale.models:
        if model in _list_variants(plan, name).values():
            return name
    return model


def _list_variants(plan: Plan, name: str) -> dict[int, str]:
    """Return a model's names by training seed, those of models that the source has."""
    seeds = plan.seeds(name)
    variants = {seed: variant_name(name, seeds, seed) for seed in seeds}
    return {seed: one for seed, one in variants.items() if one in plan.models}


def _describe_model(
    plan: Plan, forecast: Forecast, name: str, sets: Mapping[str, SampleSet]
) -> PageModel:
    spec, variants = plan.models[name], _list_variants(plan, name)
    samples: dict[str, list[ShownCell]] = {}
    for sample, one in sets.items():
        batch = plan.samples[sample]
        if isinstance(batch, SampleSpec):
            guides = batch.classifier is not None and batch.classifier.name == name
            if guides or batch.model.name == name:
                samples[sample] = list(one.cells)
    return PageModel(
        name=name,
        task=spec.task,
        task_words=plan.scale.tasks[spec.task].words,
        spec=spec,
        trained=[
            TrainedModel(
                name=one,
                seed=plan.models[one].training.seed,
                digest=plan.models[one].digest,
                marks=[
                    _describe_mark(plan, forecast, one, mark)
                    for mark in sorted(plan.marks[one], key=plan.marks[one].__getitem__)
                ],
                events=plan.layout.events(f"train-{one}") if plan.source == "retrain" else None,
            )
            for one in variants.values()
        ],
        samples=samples,
    )


def _describe_mark(plan: Plan, forecast: Forecast, model: str, mark: str) -> PageMark:
    """Describe the weights of a model at a mark."""
    files, spec = plan.layout, plan.models[model]
    stored, trained = files.weights(model, mark), plan.source == "retrain"
    run = {"weights": stored.file, "spec": stored.spec}
    rule = "train" if trained else "import_weights"
    run["log"] = f"{files.logs}/{'train' if trained else 'import'}/{model}-{mark}.log"
    is_guide = trained and isinstance(spec, GuideSpec)
    return PageMark(
        mark=mark,
        iteration=plan.marks[model][mark],
        weights=WantedFile(path=stored.file, digest=spec.digest),
        run=run,
        loss=find_model_loss(plan, model, mark),
        accuracy=describe_classifier(plan, model, mark, []) if is_guide else None,
        forecast_seconds=forecast(rule, model, mark) if trained else None,
    )
