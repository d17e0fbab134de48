"""Turn tables and a scale into specs: one entry for each dataset, model, sample batch and metric.

Equal specs are made once: rows that need the same samples share those of the first such row.
The digest of a spec decides whether work is done again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from specs.datasets import ImageSpec, make_dataset_specs
from specs.evaluation import Inception
from specs.figures import Figure, load_figures_at, make_added_row
from specs.models import ModelSpec
from specs.released import Released, find_checkpoint, load_released
from specs.row_facts import load_named_tables
from specs.sampling import Batch, BatchRef, PublishedSamples, Sampler, SampleSpec, WeightsAt
from specs.scale import Scale, load_scale, make_model_spec
from specs.tables import Base, Row, Table
from workflow.availability import check_references, check_source, explain_absence
from workflow.layout import Layout, find_scale, find_shipped
from workflow.machine import Cut, Machine

PUBLISHED_RECIPE = 1
SPLIT_SIZE = 5000
NEIGHBOURS = 3
FIGURES = "figures"  # the page of all figures
NONE = "none"  # no figures, no overrides


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that can be made at one scale from one source, keyed by name.

    `settings` are the words that it was made of; `cells` name the samples of each cell, and `pages`
    the tables that show a batch; `added` are the rows that figures add to a table. `device` is
    where jobs compute, `machine` what they may use of a cluster, `segments` the number of jobs one
    after the other that train a model up to a mark, where it is not one, and `cuts` how a batch is
    drawn by several jobs: no spec holds them, so that others make nothing stale.
    """

    scale: Scale
    tables: dict[str, Table]
    source: str
    layout: Layout
    released: Released
    settings: dict[str, str]
    device: str
    machine: Machine = field(default_factory=Machine)
    segments: dict[tuple[str, str], int] = field(default_factory=dict)
    cuts: dict[str, Cut] = field(default_factory=dict)
    datasets: dict[str, ImageSpec] = field(default_factory=dict)
    models: dict[str, ModelSpec] = field(default_factory=dict)
    marks: dict[str, dict[str, int]] = field(default_factory=dict)
    samples: dict[str, Batch] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    pages: dict[str, set[str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    added: dict[str, dict[str, Row]] = field(default_factory=dict)

    @property
    def shown_tables(self) -> list[str]:
        """Return the tables of which this source can make at least one cell."""
        return [
            name
            for name, table in self.tables.items()
            if any(row_id not in self.absent for row_id in table.rows)
        ]

    def seeds(self, model: str) -> list[int]:
        """Return the training seeds of a model; published weights are those of one training."""
        seeds = self.scale.models[model].seeds
        return seeds if self.source == "retrain" else seeds[:1]

    def cell_seeds(self, table: Table, row: Row) -> list[int]:
        """Return the seeds that a row's cells have: one where no claim asks how far they spread."""
        if row.model is None:
            return [0]
        return self.seeds(row.model) if table.claims else self.seeds(row.model)[:1]

    def drawn(self, sample: str) -> SampleSpec:
        """Return the spec of a sample batch that was not published but is drawn here."""
        batch = self.samples[sample]
        assert isinstance(batch, SampleSpec)
        return batch

    def images_per_shard(self, sample: str) -> int:
        """Return how many images of a batch are stored at a time while it is drawn."""
        cut = self.cuts.get(sample)
        most = self.scale.sampling.images_per_shard
        return min(cut.images_per_shard, most) if cut else most

    def training_data(self, model: str) -> str:
        """Return the name of the image set that a model learns from."""
        return self.models[model].training.dataset.task

    def last_mark(self, model: str) -> str:
        """Return the mark at which a model's training ends."""
        return max(self.marks[model], key=lambda mark: self.marks[model][mark])

    def previous_mark(self, model: str, mark: str) -> str | None:
        """Return the mark of a model that comes before another, None for the first."""
        marks = sorted(self.marks[model], key=lambda name: self.marks[model][name])
        place = marks.index(mark)
        return marks[place - 1] if place else None

    def network_spec(self) -> dict[str, Any]:
        """Return the spec of the scale's feature network."""
        network = self.scale.network
        if isinstance(network, Inception):
            return network.model_dump()
        return {
            **network.model_dump(exclude={"task"}),
            "dataset": self.datasets[network.task].content(),
        }

    def metric_spec(self, name: str) -> dict[str, Any]:
        """Return what the metrics of a sample batch depend on."""
        batch = self.samples[name]
        return {**self.reference_spec(batch.task), "samples": batch.digest}

    def reference_spec(self, task: str) -> dict[str, Any]:
        """Return what the reference statistics of a task depend on."""
        if self.scale.evaluation.reference == "released":
            images: dict[str, Any] = {"released": self.released.references[task].path}
        else:
            images = {"dataset": self.datasets[task].content()}
        return {
            **self.scale.evaluation.identity(),
            **images,
            "network": self.network_spec(),
            "k": NEIGHBOURS,
            "inception_split_size": SPLIT_SIZE,
        }


def make_plan(
    *,
    scale: str,
    source: str,
    results: str,
    tables: str,
    released: str,
    figures: str = NONE,
    overrides: str = NONE,
    device: str | None = None,
    machine: Machine | None = None,
) -> Plan:
    """Read the parameters and work out every spec.

    Args:
        scale: a name in params/scales/, or a path.
        source: where numbers come from, one of SOURCES.
        results: folder for everything that is made.
        tables: params/tables.yaml, or another path.
        released: what was published; params/released.yaml, or another path.
        figures: params/figures.yaml, or another path; `none` for none.
        overrides: params/run.yaml, or another path; `none` for none.
        device: where jobs compute; None: as the scale says.
        machine: what jobs may use of a cluster; None: one device each, without a limit of time.

    Raises:
        UserError: anything wrong in the files, or a source that the scale cannot have.
    """
    settings = {"scale": scale, "source": source, "results": results}
    settings |= {"tables": tables, "released": released, "figures": figures, "overrides": overrides}
    changes = None if overrides == NONE else find_shipped(overrides)
    scale_path = find_scale(scale)
    loaded = load_scale(scale_path)
    check_source(str(scale_path), source, loaded)
    plan = Plan(
        scale=loaded,
        tables=load_named_tables(find_shipped(tables), loaded, changes),
        source=source,
        layout=Layout(results, loaded.name, source),
        released=load_released(find_shipped(released)),
        settings=settings,
        device=device or loaded.compute.device,
        machine=machine or Machine(),
    )
    check_references(plan.scale, plan.tables, plan.released)
    if source == "retrain":
        for name, task in plan.scale.tasks.items():
            plan.datasets.update(make_dataset_specs(name, task))
    if source != "rescore":
        _add_models(plan)
    known = _name_unchanged(settings) if changes else {}
    for name, table in plan.tables.items():
        for row_id, row in table.rows.items():
            num_cells = len(plan.cells)
            reason = explain_absence(row_id, row, table, source=source, released=plan.released)
            if reason is not None:
                plan.absent[row_id] = reason
            elif source == "rescore":
                cell = cell_name(table, row_id, table.marks[0], [0], 0)
                plan.cells[cell] = _add_published(plan, known, cell, row_id, row)
            else:
                _add_cells(plan, known, table, row_id, row)
            for cell in list(plan.cells)[num_cells:]:
                plan.pages.setdefault(plan.cells[cell], set()).add(name)
    if figures != NONE:
        plan.figures.update(load_figures_at(find_shipped(figures), loaded, plan.tables))
        _add_figure_rows(plan, known)
    _drop_unused_marks(plan)
    return plan


@cache
def find_pages(plan: Plan, name: str) -> set[str]:
    """Return the tables that show a batch of samples, or samples that are drawn with a model."""
    found = set(plan.pages.get(name, ()))
    for sample, batch in plan.samples.items():
        if isinstance(batch, SampleSpec):
            parts = (batch.model, batch.classifier, batch.low_res)
            if name in [part.name for part in parts if part]:
                found |= find_pages(plan, sample)
    return found


def _name_unchanged(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the names of batches by digest as they are without overrides.

    What an experiment draws goes by other names, so that coming back from it draws nothing.
    """
    unchanged: dict[str, Any] = {**settings, "overrides": NONE}
    return {batch.digest: name for name, batch in make_plan(**unchanged).samples.items()}


def _add_models(plan: Plan) -> None:
    """Add the models that are trained, or those whose weights were published."""
    for name, model in plan.scale.models.items():
        if plan.source == "retrain":
            for seed in model.seeds:
                variant = variant_name(name, model.seeds, seed)
                plan.models[variant] = make_model_spec(plan.scale, variant, model, seed)
                plan.marks[variant] = model.marks
        elif (found := find_checkpoint(plan.released, name)) is not None:
            spec = make_model_spec(plan.scale, name, model, model.seeds[0])
            changes = {"seed": None, "released": found[1].path}
            training = spec.training.model_copy(update=changes)
            # How this project trains does not concern them.
            changes = {"recipe": PUBLISHED_RECIPE, "training": training}
            plan.models[name] = spec.model_copy(update=changes)
            last = max(model.marks, key=lambda mark: model.marks[mark])
            plan.marks[name] = {last: model.marks[last]}


def _drop_unused_marks(plan: Plan) -> None:
    """Leave each model the marks at which samples need it, and the last one.

    The seeds of a model have its marks in common, and not every seed is sampled at each.
    """
    batches = [batch for batch in plan.samples.values() if isinstance(batch, SampleSpec)]
    parts = [part for batch in batches for part in (batch.model, batch.classifier) if part]
    used = {(part.name, part.mark) for part in parts}
    for model, marks in plan.marks.items():
        used.add((model, plan.last_mark(model)))
        plan.marks[model] = {mark: one for mark, one in marks.items() if (model, mark) in used}


def _add_figure_rows(plan: Plan, known: dict[str, str]) -> None:
    """Add the rows that figures add to tables; samples that a table draws too are its own."""
    homes = {row_id: name for name, table in plan.tables.items() for row_id in table.rows}
    for title, figure in plan.figures.items():
        for row_id, added in figure.rows.items():
            name = homes[added.like]
            table = plan.tables[name]
            where = f"{plan.settings['figures']}: {title}: rows: {row_id}"
            row = make_added_row(added, table.rows[added.like], where)
            plan.added.setdefault(name, {})[row_id] = row
            reason = explain_absence(row_id, row, table, source=plan.source, released=plan.released)
            if reason is not None:
                plan.absent[row_id] = reason
                continue
            num_cells = len(plan.cells)
            _add_cells(plan, known, table, row_id, row)
            for cell in list(plan.cells)[num_cells:]:
                plan.pages.setdefault(plan.cells[cell], set()).add(FIGURES)


def _add_cells(plan: Plan, known: dict[str, str], table: Table, row_id: str, row: Row) -> None:
    """Add the samples of a row that are drawn here, for each mark and training seed."""
    assert row.model is not None
    seeds = plan.cell_seeds(table, row)
    for mark in table.marks:
        for seed in seeds:
            cell = cell_name(table, row_id, mark, seeds, seed)
            plan.cells[cell] = _add_row(plan, known, cell, row, row.mark or mark, seed)


def variant_name(name: str, seeds: list[int], seed: int) -> str:
    """Return the name of a model trained with one of its seeds; the first has the plain name."""
    return name if seed == seeds[0] else f"{name}-seed{seed}"


def _find_variant(plan: Plan, name: str, seed: int) -> str:
    """Return the name of a model with a training seed, the first where it has no such one."""
    seeds = plan.seeds(name)
    return variant_name(name, seeds, seed if seed in seeds else seeds[0])


def cell_name(table: Table, row_id: str, mark: str, seeds: list[int], seed: int) -> str:
    """Return the name of a cell: the row's id, its mark where a table has several, its seed."""
    name = row_id if len(table.marks) == 1 else f"{row_id}-{mark}"
    return variant_name(name, seeds, seed)


def name_weights(plan: Plan, model: str, mark: str) -> WeightsAt:
    """Name the weights of a model at a mark."""
    return WeightsAt(
        name=model,
        digest=plan.models[model].digest,
        mark=mark,
        iteration=plan.marks[model][mark],
    )


def _add_row(plan: Plan, known: dict[str, str], cell: str, row: Row, mark: str, seed: int) -> str:
    """Add the samples of a cell (and of a stack's base); return the name they go by."""
    low_res = None
    if row.base is not None:
        base_mark = row.base.mark or plan.last_mark(row.base.model)
        low_res = _add_samples(
            plan, known, f"{cell}-base", row.base, row.base.model, base_mark, None, seed
        )
    assert row.model is not None
    return _add_samples(plan, known, cell, row, row.model, mark, low_res, seed)


def _add_published(plan: Plan, known: dict[str, str], name: str, row_id: str, row: Row) -> str:
    """Add a published sample batch unless it is there; return the name it goes by."""
    path = plan.released.samples[row_id].path
    same = known.setdefault(path, name)
    if same == name:
        plan.samples[name] = PublishedSamples(
            recipe=PUBLISHED_RECIPE,
            name=name,
            task=row.task,
            num_images=plan.scale.tasks[row.task].num_samples,
            released=path,
        )
    return same


def _add_samples(
    plan: Plan,
    known: dict[str, str],
    name: str,
    half: Row | Base,
    model: str,
    mark: str,
    low_res: str | None,
    seed: int,
) -> str:
    """Add one sample batch unless an equal one is there; return the name it goes by.

    Networks that were trained with the same seed draw together, and each training seed draws other
    noise, so that what the noise does to a number is averaged over the seeds too.
    """
    assert half.sampler is not None
    settings, task = plan.scale.sampling, plan.scale.tasks[half.task]
    first_seed = plan.seeds(model)[0]
    model = _find_variant(plan, model, seed)
    training = plan.models[model].training
    guide = half.sampler.classifier and _find_variant(plan, half.sampler.classifier, seed)
    conditional = plan.models[model].architecture.num_classes
    precision: dict[str, Any] = {}
    if settings.precision != "float32":  # specs of float32 keep their digests
        precision["precision"] = settings.precision
    spec = SampleSpec(
        recipe=settings.recipe,
        name=name,
        task=half.task,
        num_images=task.num_samples,
        seed=settings.seed + seed - first_seed,
        label_policy=settings.label_policy,
        num_classes=task.num_classes if conditional or guide else None,
        model=name_weights(plan, model, mark),
        sampler=Sampler(
            **half.sampler.model_dump(
                exclude={"classifier", "classifier_mark"}, exclude_unset=True
            ),
            schedule=training.schedule,
            num_timesteps=training.num_timesteps,
            **precision,
        ),
        classifier=(
            name_weights(plan, guide, half.sampler.classifier_mark or plan.last_mark(guide))
            if guide
            else None
        ),
        low_res=BatchRef(name=low_res, digest=plan.samples[low_res].digest) if low_res else None,
    )
    own = name if plan.settings["overrides"] == NONE else f"{name}-{spec.digest[:8]}"
    same = known.setdefault(spec.digest, own)
    if same not in plan.samples:
        plan.samples[same] = spec.model_copy(update={"name": same})
    return same
