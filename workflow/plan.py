"""Turn tables and a scale into specs: one entry for each dataset, model, sample batch and metric.

Equal specs are made once: rows that need the same samples share those of the first such row.
A spec is a JSON object; its digest decides whether work is done again.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from records.files import spec_digest
from specs.checks import check_scale, check_tables
from specs.config import (
    Base,
    Inception,
    Row,
    Sampler,
    Scale,
    SmallNetwork,
    Table,
    load_scale,
    load_tables,
)
from specs.models import make_dataset_specs, make_model_spec
from specs.released import Released, find_checkpoint, load_released
from workflow.availability import check_references, check_source, explain_absence
from workflow.scale_tables import tables_at

PUBLISHED_RECIPE = 1
SPLIT_SIZE = 5000
NEIGHBOURS = 3


@dataclass(frozen=True)
class Plan:
    """Everything that can be made at one scale from one source, keyed by name.

    `device` is where jobs compute: no spec holds it, so that another one makes nothing stale.
    """

    scale: Scale
    tables: dict[str, Table]
    source: str
    root: str
    released: Released
    files: dict[str, str | Path | None]
    device: str
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    marks: dict[str, dict[str, int]] = field(default_factory=dict)
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def logs(self) -> str:
        """Return the folder of the jobs' logs."""
        return f"{self.root}/logs" + ("" if self.source == "retrain" else f"/{self.source}")

    @property
    def benchmarks(self) -> str:
        """Return the folder of the jobs' measured times and memory."""
        return f"{self.root}/benchmarks" + ("" if self.source == "retrain" else f"/{self.source}")

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

    def checkpoint_path(self, model: str) -> str:
        """Return the path of the published weights of a model."""
        return self.released_path(self.models[model]["training"]["released"])

    def released_path(self, path: str) -> str:
        """Return the path of a published file; beside it its hash and its manifest."""
        return f"{self.root}/released/{path}"

    def data_path(self, task: str) -> str:
        """Return the path of the images of a task."""
        return f"{self.root}/data/{task}.zip"

    def model_path(self, model: str, mark: str) -> str:
        """Return the path of the averaged weights of a model at a mark."""
        return f"{self.root}/{self.source}/models/{model}/ema-{mark}.safetensors"

    def data_spec_path(self, task: str) -> str:
        """Return the spec of a task's images, as it was when they were made."""
        return f"{self.root}/data/{task}.spec.json"

    def model_spec_path(self, model: str, mark: str) -> str:
        """Return the spec of a model's weights, as it was when they were made."""
        return f"{self.root}/{self.source}/models/{model}/ema-{mark}.spec.json"

    def samples_spec_path(self, name: str) -> str:
        """Return what says which samples a batch holds: their spec, or a published file's hash."""
        if self.source == "rescore":
            return self.samples_path(name) + ".sha256"
        return f"{self.root}/{self.source}/samples/{name}/spec.json"

    def samples_path(self, name: str) -> str:
        """Return the path of a sample batch."""
        if self.source == "rescore":
            return self.released_path(self.samples[name]["released"])
        return f"{self.root}/{self.source}/samples/{name}/samples.npz"

    def reference_path(self, task: str) -> str:
        """Return the path of the reference batch of a task."""
        if self.scale.evaluation.reference == "released":
            return self.released_path(self.released.references[task].path)
        return f"{self.root}/references/{task}.npz"

    def reference_protocol_path(self, task: str) -> str:
        """Return what says which reference this is: its protocol, or the published file's hash."""
        if self.scale.evaluation.reference == "released":
            return self.reference_path(task) + ".sha256"
        return f"{self.root}/references/{task}.json"

    def metrics_path(self, name: str) -> str:
        """Return the path of the metrics of a sample batch."""
        return f"{self.root}/{self.source}/metrics/{name}.json"

    def ceiling_path(self, task: str) -> str:
        """Return the path of the metrics of real images against real images."""
        return f"{self.root}/metrics/real-{task}.json"

    def state_path(self, model: str) -> str:
        """Return the folder of a training run's own state; another spec has another folder."""
        return f"{self.root}/{self.source}/state/{model}-{spec_digest(self.models[model])[:12]}"

    def shards_path(self, sample: str) -> str:
        """Return the folder of the finished shards of a batch that is being drawn."""
        digest = spec_digest(self.samples[sample])[:12]
        return f"{self.root}/{self.source}/state/samples-{sample}-{digest}"

    def training_data(self, model: str) -> str:
        """Return the name of the image set that a model learns from."""
        return str(self.models[model]["training"]["dataset"]["task"])

    def drops_state(self, model: str, mark: str) -> bool:
        """Tell whether a training's state goes once a mark is written: after the last, if ever."""
        return not self.scale.compute.keep_state and mark == _last_mark(self, model)

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
            "dataset": self.datasets[network.task],
        }

    def evaluation_options(self) -> str:
        """Return what the evaluation's commands are told of network and machine, quoted."""
        options = ["--device", self.device]
        options += ["--threads", str(self.scale.compute.threads)]
        options += ["--batch-size", str(self.scale.evaluation.batch_size)]
        if isinstance(self.scale.network, Inception):
            options += ["--backend", self.scale.network.backend, "--any-weights"]
        return shlex.join(options)

    @property
    def network_path(self) -> str:
        """Return the path of the feature network."""
        own = isinstance(self.scale.network, SmallNetwork)
        return f"{self.root}/network/" + ("features.safetensors" if own else "inception.pb")

    @property
    def network_spec_path(self) -> str:
        """Return the spec of the feature network, as it was when it was made."""
        return f"{self.root}/network/spec.json"

    def metric_spec(self, name: str) -> dict[str, Any]:
        """Return what the metrics of a sample batch depend on."""
        task = self.samples[name]["task"]
        return {**self.reference_spec(task), "samples": spec_digest(self.samples[name])}

    def reference_spec(self, task: str) -> dict[str, Any]:
        """Return what the reference statistics of a task depend on."""
        settings = self.scale.evaluation.model_dump(exclude={"batch_size", "reference"})
        if self.scale.evaluation.reference == "released":
            del settings["reference_images"]  # the published file holds what it holds
            images = {"released": self.released.references[task].path}
        else:
            images = {"dataset": self.datasets[task]}
        return {
            **settings,
            **images,
            "network": self.network_spec(),
            "k": NEIGHBOURS,
            "inception_split_size": SPLIT_SIZE,
        }


def make_plan(
    *,
    tables_path: str | Path,
    scale_path: str | Path,
    source: str,
    results: str,
    released_path: str | Path | None = None,
    device: str | None = None,
) -> Plan:
    """Read the parameters and work out every spec.

    Args:
        tables_path: params/tables.yaml.
        scale_path: a scale file.
        source: where numbers come from, one of SOURCES.
        results: folder for everything that is made.
        released_path: what was published; None: params/released.yaml.
        device: where jobs compute; None: as the scale says.

    Raises:
        UserError: anything wrong in the files, or a source that the scale cannot have.
    """
    tables, scale = load_tables(tables_path), load_scale(scale_path)
    check_scale(str(scale_path), scale)
    check_source(str(scale_path), source, scale)
    tables = tables_at(tables, scale)
    check_tables(str(tables_path), tables, scale)
    plan = Plan(
        scale=scale,
        tables=tables,
        source=source,
        root=f"{results}/{scale.name}",
        released=load_released(released_path),
        files={
            "tables_path": tables_path,
            "scale_path": scale_path,
            "results": results,
            "released_path": released_path,
        },
        device=device or scale.compute.device,
    )
    check_references(scale, tables, plan.released)
    if source == "retrain":
        for task in scale.tasks:
            plan.datasets.update(make_dataset_specs(scale, task))
    if source != "rescore":
        _add_models(plan)
    known: dict[str, str] = {}
    for table in tables.values():
        for row_id, row in table.rows.items():
            reason = explain_absence(row_id, row, table, source=source, released=plan.released)
            if reason is not None:
                plan.absent[row_id] = reason
            elif source == "rescore":
                cell = cell_name(table, row_id, table.marks[0], [0], 0)
                plan.cells[cell] = _add_published(plan, known, cell, row_id, row)
            else:
                _add_cells(plan, known, table, row_id, row)
    return plan


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
            last = max(model.marks, key=lambda mark: model.marks[mark])
            training = {**spec["training"], "seed": None, "released": found[1].path}
            plan.models[name] = {**spec, "training": training}
            plan.marks[name] = {last: model.marks[last]}


def _add_cells(plan: Plan, known: dict[str, str], table: Table, row_id: str, row: Row) -> None:
    """Add the samples of a row that are drawn here, for each mark and training seed."""
    assert row.model is not None
    seeds = plan.seeds(row.model)
    for mark in table.marks:
        for seed in seeds:
            cell = cell_name(table, row_id, mark, seeds, seed)
            plan.cells[cell] = _add_row(plan, known, cell, row, mark, seed)


def variant_name(name: str, seeds: list[int], seed: int) -> str:
    """Return the name of a model trained with one of its seeds; the first has the plain name."""
    return name if seed == seeds[0] else f"{name}-seed{seed}"


def cell_name(table: Table, row_id: str, mark: str, seeds: list[int], seed: int) -> str:
    """Return the name of a cell: the row's id, its mark where a table has several, its seed."""
    name = row_id if len(table.marks) == 1 else f"{row_id}-{mark}"
    return variant_name(name, seeds, seed)


def _weights(plan: Plan, model: str, mark: str) -> dict[str, Any]:
    """Name the weights of a model at a mark."""
    return {
        "name": model,
        "digest": spec_digest(plan.models[model]),
        "mark": mark,
        "iteration": plan.marks[model][mark],
    }


def _last_mark(plan: Plan, model: str) -> str:
    """Return the mark at which a model's training ends."""
    return max(plan.marks[model], key=lambda mark: plan.marks[model][mark])


def _add_row(plan: Plan, known: dict[str, str], cell: str, row: Row, mark: str, seed: int) -> str:
    """Add the samples of a cell (and of a stack's base); return the name they go by."""
    low_res = None
    if row.base is not None:
        base_mark = _last_mark(plan, row.base.model)
        low_res = _add_samples(
            plan, known, f"{cell}-base", row.base, row.base.model, base_mark, None
        )
    assert row.model is not None
    model = variant_name(row.model, plan.scale.models[row.model].seeds, seed)
    return _add_samples(plan, known, cell, row, model, mark, low_res)


def _add_published(plan: Plan, known: dict[str, str], name: str, row_id: str, row: Row) -> str:
    """Add a published sample batch unless it is there; return the name it goes by."""
    path = plan.released.samples[row_id].path
    same = known.setdefault(path, name)
    if same == name:
        plan.samples[name] = {
            "recipe": PUBLISHED_RECIPE,
            "name": name,
            "task": row.task,
            "num_images": plan.scale.tasks[row.task].num_images,
            "released": path,
        }
    return same


def _add_samples(
    plan: Plan,
    known: dict[str, str],
    name: str,
    half: Row | Base,
    model: str,
    mark: str,
    low_res: str | None,
) -> str:
    """Add one sample batch unless an equal one is there; return the name it goes by."""
    sampler = half.sampler
    assert isinstance(sampler, Sampler)
    settings = plan.scale.sampling
    task = plan.scale.tasks[half.task]
    training = plan.models[model]["training"]
    classifier = sampler.classifier
    conditional = plan.models[model]["architecture"]["num_classes"]
    spec = {
        "recipe": settings.recipe,
        "name": name,
        "task": half.task,
        "num_images": task.num_images,
        "seed": settings.seed,
        "label_policy": settings.label_policy,
        "num_classes": task.num_classes if conditional or classifier else None,
        "model": _weights(plan, model, mark),
        "sampler": {
            "method": sampler.method,
            "respacing": settings.respacing.get(sampler.respacing, sampler.respacing),
            "eta": sampler.eta,
            "guidance_scale": sampler.guidance_scale,
            "schedule": training["schedule"],
            "num_timesteps": training["num_timesteps"],
        },
        "classifier": classifier and _weights(plan, classifier, _last_mark(plan, classifier)),
        "low_res": low_res and {"name": low_res, "digest": spec_digest(plan.samples[low_res])},
    }
    same = known.setdefault(spec_digest(spec), name)
    if same == name:
        plan.samples[name] = spec
    return same
