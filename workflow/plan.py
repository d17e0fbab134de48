"""Turn tables and a scale into specs: one entry for each dataset, model, sample batch and metric.

Equal specs are made once: rows that need the same samples share those of the first such row.
A spec is a JSON object; its digest decides whether work is done again.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adm.checks import check_scale, check_tables
from adm.config import (
    Base,
    Classifier,
    Diffusion,
    Row,
    Sampler,
    Scale,
    Table,
    Upsampler,
    load_scale,
    load_tables,
)
from records.errors import UserError
from records.files import spec_digest

DATASET_RECIPE = 1
SOURCES = ("retrain",)
SPLIT_SIZE = 5000
NEIGHBOURS = 3


@dataclass(frozen=True)
class Plan:
    """Everything that can be made at one scale from one source, keyed by name."""

    scale: Scale
    tables: dict[str, Table]
    source: str
    root: str
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    marks: dict[str, dict[str, int]] = field(default_factory=dict)
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)

    @property
    def logs(self) -> str:
        """Return the folder of the jobs' logs."""
        return f"{self.root}/logs"

    def data_path(self, task: str) -> str:
        """Return where the images of a task lie."""
        return f"{self.root}/data/{task}.zip"

    def model_path(self, model: str, mark: str) -> str:
        """Return where the averaged weights of a model at a mark lie."""
        return f"{self.root}/{self.source}/models/{model}/ema-{mark}.safetensors"

    def data_spec_path(self, task: str) -> str:
        """Return the spec of a task's images, as it was when they were made."""
        return f"{self.root}/data/{task}.spec.json"

    def model_spec_path(self, model: str, mark: str) -> str:
        """Return the spec of a model's weights, as it was when they were made."""
        return f"{self.root}/{self.source}/models/{model}/ema-{mark}.spec.json"

    def samples_spec_path(self, name: str) -> str:
        """Return the spec of a sample batch, as it was when it was drawn."""
        return f"{self.root}/{self.source}/samples/{name}/spec.json"

    def samples_path(self, name: str) -> str:
        """Return where a sample batch lies."""
        return f"{self.root}/{self.source}/samples/{name}/samples.npz"

    def metrics_path(self, name: str) -> str:
        """Return where the metrics of a sample batch lie."""
        return f"{self.root}/{self.source}/metrics/{name}.json"

    def ceiling_path(self, task: str) -> str:
        """Return where the metrics of real images against real images lie."""
        return f"{self.root}/metrics/real-{task}.json"

    def state_path(self, model: str) -> str:
        """Return the folder of a training run's own state; another spec has another folder."""
        return f"{self.root}/{self.source}/state/{model}-{spec_digest(self.models[model])[:12]}"

    def previous_mark(self, model: str, mark: str) -> str | None:
        """Return the mark of a model that comes before another, None for the first."""
        marks = sorted(self.marks[model], key=lambda name: self.marks[model][name])
        place = marks.index(mark)
        return marks[place - 1] if place else None

    def network_spec(self) -> dict[str, Any]:
        """Return the spec of the scale's feature network."""
        network = self.scale.network
        return {
            **network.model_dump(exclude={"task"}),
            "dataset": self.datasets[network.task],
        }

    def metric_spec(self, name: str) -> dict[str, Any]:
        """Return what the metrics of a sample batch depend on."""
        task = self.samples[name]["task"]
        return {**self.reference_spec(task), "samples": spec_digest(self.samples[name])}

    def reference_spec(self, task: str) -> dict[str, Any]:
        """Return what the reference statistics of a task depend on."""
        return {
            **self.scale.evaluation.model_dump(exclude={"batch_size"}),
            "dataset": self.datasets[task],
            "network": self.network_spec(),
            "k": NEIGHBOURS,
            "inception_split_size": SPLIT_SIZE,
        }


def make_plan(
    *, tables_path: str | Path, scale_path: str | Path, source: str, results: str
) -> Plan:
    """Read the parameters and work out every spec.

    Args:
        tables_path: params/tables.yaml.
        scale_path: a scale file.
        source: where numbers come from, one of SOURCES.
        results: folder for everything that is made.

    Raises:
        UserError: anything wrong in the files, or an unknown source.
    """
    if source not in SOURCES:
        raise UserError(f"source: got {source!r}; needed: one of {', '.join(SOURCES)}")
    tables, scale = load_tables(tables_path), load_scale(scale_path)
    check_scale(str(scale_path), scale)
    check_tables(str(tables_path), tables, scale)
    plan = Plan(scale=scale, tables=tables, source=source, root=f"{results}/{scale.name}")
    for task in scale.tasks:
        plan.datasets[task] = _dataset_spec(scale, task)
    for name, model in scale.models.items():
        for seed in model.seeds:
            variant = variant_name(name, model.seeds, seed)
            plan.models[variant] = _model_spec(plan, variant, model, seed)
            plan.marks[variant] = model.marks
    known: dict[str, str] = {}
    for table in tables.values():
        for row_id, row in table.rows.items():
            if row.model is None:
                continue
            seeds = scale.models[row.model].seeds
            for mark in table.marks:
                for seed in seeds:
                    cell = cell_name(table, row_id, mark, seeds, seed)
                    plan.cells[cell] = _add_row(plan, known, cell, row, mark, seed)
    return plan


def variant_name(name: str, seeds: list[int], seed: int) -> str:
    """Return the name of a model trained with one of its seeds; the first has the plain name."""
    return name if seed == seeds[0] else f"{name}-seed{seed}"


def cell_name(table: Table, row_id: str, mark: str, seeds: list[int], seed: int) -> str:
    """Return the name of a cell: the row's id, its mark where a table has several, its seed."""
    name = row_id if len(table.marks) == 1 else f"{row_id}-{mark}"
    return variant_name(name, seeds, seed)


def _dataset_spec(scale: Scale, task: str) -> dict[str, Any]:
    """Describe the images of a task, without the words that only people read."""
    entry = scale.tasks[task].model_dump(exclude={"words", "num_images", "flip"})
    return {"recipe": DATASET_RECIPE, "task": task, **entry}


def _model_spec(
    plan: Plan, name: str, model: Diffusion | Upsampler | Classifier, seed: int
) -> dict[str, Any]:
    """Resolve a model: every argument of its network and of its training."""
    task = plan.scale.tasks[model.task]
    architecture = {
        "image_size_px": task.image_size_px,
        "in_channels": task.image_channels,
        **model.architecture.model_dump(),
    }
    if isinstance(model, Classifier):
        architecture["num_classes"] = task.num_classes
    else:
        learned = model.training.objective != "simple"  # then the variance's share is put out too
        architecture["out_channels"] = (2 if learned else 1) * task.image_channels
        architecture["num_classes"] = task.num_classes if model.class_conditional else None
    if isinstance(model, Upsampler):
        architecture["low_res_px"] = plan.scale.tasks[model.low_res_task].image_size_px
    training = model.training.model_dump(exclude={"random_crop"})
    return {
        "kind": model.kind,
        "recipe": model.recipe,
        "name": name,
        "task": model.task,
        "architecture": architecture,
        "training": {
            **training,
            "dataset": plan.datasets[model.task],
            "augmentation": {"flip": task.flip, "random_crop": model.training.random_crop},
            "seed": seed,
        },
    }


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
