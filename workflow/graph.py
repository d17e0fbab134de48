"""The jobs of a plan: what each reads and writes, what makes its work stale, and how it is run.

Snakemake's rules, the forecast and the targets ask here; costs are in `workflow.forecast_jobs`.
"""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from records.files import canonical_json, digest, sha256_file
from specs.datasets import OwnImagesSpec, name_held_out
from specs.evaluation import Inception
from specs.models import GuideSpec
from specs.sampling import SampleSpec
from workflow import grading_jobs as grading
from workflow.accuracy import make_accuracy_spec
from workflow.availability import list_artefacts
from workflow.code_digest import digest_page_code
from workflow.fetching import name_file
from workflow.figures import (
    PICTURES,
    figure_inputs,
    list_batches,
    make_between_spec,
    make_denoising_spec,
    make_figure_page,
)
from workflow.job import Job, Key, Kind
from workflow.job_events import record_events, tag_events
from workflow.layout import Layout, Stored
from workflow.losses import has_loss, make_loss_spec
from workflow.own_images import find_images, list_missing
from workflow.plan import FIGURES, Plan
from workflow.table_spec import make_table_spec, table_inputs


def _make_images(plan: Plan, task: str) -> Job:
    """Make a set of images: digits, or the user's own, which are the same wherever they are."""
    spec = plan.datasets[task]
    identity = {"spec": canonical_json(spec.content())}
    options = record_events(plan, f"dataset-{task}")
    if not isinstance(spec, OwnImagesSpec):
        return Job(identity, options=options)
    options += ["--path", str(find_images(plan, spec.place))]
    missing = list_missing(plan, [task])
    return Job({**identity, "place": spec.place}, options=options, missing=missing)


def _fetch(plan: Plan, published: str, suffix: str) -> Job:
    """Fetch a published file."""
    artefact = list_artefacts(plan.released)[published + suffix]
    record = record_events(plan, f"fetch-{(published + suffix).replace('/', '-')}")
    options = ["--artefact", name_file(artefact), *_list_terms(artefact), *record]
    return Job({"folder": plan.layout.downloads}, options=options)


def _list_terms(artefact: dict[str, Any]) -> list[str]:
    """Say where a published file is from and on what terms."""
    return [f"--base={artefact['base']}", f"--licence={artefact['licence']}"]


def _make_network(plan: Plan) -> Job:
    """Train a small feature network on a task's images, or bring the published Inception graph."""
    network, files = plan.scale.network, plan.layout
    if not isinstance(network, Inception):
        spec = network.model_dump(exclude={"kind", "task"})
        dataset = plan.datasets[network.task].content()
        identity = {"spec": canonical_json(spec), "dataset": canonical_json(dataset)}
        reads = {"data": [files.data(network.task)]}
        return Job(identity, reads=reads, options=record_events(plan, "network"))
    artefact = list_artefacts(plan.released)[plan.released.inception_graph.path]
    # A file of the user's own comes from nowhere (`eval weights` in the rule).
    terms = [] if os.environ.get("ADM_INCEPTION") else _list_terms(artefact)
    return Job(
        identity={
            "spec": canonical_json(plan.network_spec()),
            "sha256": network.sha256,
            "artefact": name_file({**artefact, "sha256": network.sha256}),
            "folder": files.downloads,
        },
        options=[*terms, *record_events(plan, "network")],
    )


def _import_weights(plan: Plan, model: str, mark: str) -> Job:
    """Turn published weights into safetensors with the spec of their model."""
    spec = plan.models[model]
    return Job(
        reads={"checkpoint": [plan.layout.released(spec.training.released)]},
        identity={
            "spec": canonical_json(spec.content()),
            "iteration": plan.marks[model][mark],
            "scale": plan.settings["scale"],
        },
        options=record_events(plan, f"import-{model}-{mark}", model),
    )


def _train(plan: Plan, model: str, mark: str, part: str | None = None) -> Job:
    """Train a model up to a mark; the state of its run is no output and survives a failed job.

    A part of a training that is longer than a walltime notes how far it came.
    """
    files, spec, previous = plan.layout, plan.models[model], plan.previous_mark(model, mark)
    is_last = part is None and mark == plan.last_mark(model)
    before = (plan.segments.get((model, mark), 1) if part is None else int(part)) - 1
    options = ["--device", plan.device, *tag_events(plan, model)]
    options += ["--drop-state", str(int(is_last and not plan.scale.compute.keep_state))]
    at_a_time = plan.scale.compute.microbatch_size.get(spec.kind, {})
    if (images := at_a_time.get(spec.architecture.image_size_px)) is not None:
        options += ["--microbatch-size", str(plan.machine.fit_microbatch(images))]
    if plan.machine.walltime_minutes is not None:
        options += ["--stop-after-seconds", str(int(plan.machine.usable_seconds))]
    return Job(
        reads={
            "data": [files.data(plan.training_data(model))],
            "previous": [] if previous is None else [files.weights(model, previous)],
        },
        gathers={"parts": [files.segment(model, mark, str(before)).file] if before else []},
        identity={
            "spec": canonical_json(spec.content()),
            "iterations": plan.marks[model][mark],
            "state": files.state(spec),
            "events": files.events(f"train-{model}"),
            "save_every_seconds": plan.scale.compute.save_every_seconds,
        },
        options=options,
    )


def _measure_accuracy(plan: Plan, classifier: str, mark: str) -> Job:
    """Measure how well a classifier that guides reads noisy images."""
    files, task = plan.layout, plan.models[classifier].task
    return Job(
        reads={"weights": [files.weights(classifier, mark)], "data": [files.data(task)]},
        identity={
            "spec": canonical_json(make_accuracy_spec(plan, classifier, mark).content()),
            "batch_size": plan.scale.evaluation.batch_size,
        },
        options=[
            "--device",
            plan.device,
            *record_events(plan, f"accuracy-{classifier}-{mark}", classifier),
        ],
    )


def _measure_loss(plan: Plan, model: str, mark: str) -> Job:
    """Measure the loss of a denoiser on held-out images, with noise that all models share."""
    files, spec = plan.layout, make_loss_spec(plan, model, mark)
    return Job(
        reads={
            "weights": [files.weights(model, mark)],
            "data": [files.data(name_held_out(plan.models[model].task))],
        },
        identity={"spec": canonical_json(spec.content())},
        options=[
            *("--device", plan.device, "--batch-size", str(plan.scale.evaluation.batch_size)),
            *record_events(plan, f"loss-{model}-{mark}", model),
        ],
    )


def _sample(plan: Plan, sample: str, part: str | None = None) -> Job:
    """Draw a batch of samples, or a part of it; parts that several jobs draw are put together."""
    files, spec, settings = plan.layout, plan.drawn(sample), plan.scale.sampling
    cut, name, only = plan.cuts.get(sample), f"sample-{sample}", ["--device", plan.device]
    parts = [files.part(sample, one).file for one in cut.names] if cut and part is None else []
    if parts:
        only = ["--device", "cpu", "--only", "join"]
    elif part is not None:
        first, last = part.split("-")
        only += ["--only", "draw", "--start", str(int(first)), "--stop", str(int(last))]
        name += f"-{part}"
    reads, given = _read_networks(plan, spec)
    return Job(
        reads=reads,
        gathers={"parts": parts} if cut else {},
        identity={
            "spec": canonical_json(spec.content()),
            "batch_size": settings.batch_size,
            "shards": files.shards(spec),
        },
        options=[
            *given,
            *(*only, "--images-per-shard", str(plan.images_per_shard(sample))),
            *record_events(plan, name, sample),
        ],
    )


def _read_networks(plan: Plan, spec: SampleSpec) -> tuple[dict[str, list[Stored]], list[str]]:
    """Return what samples are drawn from, and the options that name what not every batch has."""
    files = plan.layout
    more = {
        "classifier": [files.weights(one.name, one.mark) for one in [spec.classifier] if one],
        "low_res": [files.samples(plan.samples[one.name]) for one in [spec.low_res] if one],
    }
    options = [
        word
        for role, stored in more.items()
        for one in stored
        for word in (f"--{role.replace('_', '-')}", one.file)
    ]
    return {"weights": [files.weights(spec.model.name, spec.model.mark)], **more}, options


def _denoise(plan: Plan, sample: str) -> Job:
    """Draw the first samples of a batch again, and keep what they were taken to be on the way."""
    reads, given = _read_networks(plan, plan.drawn(sample))
    return Job(
        reads=reads,
        identity={
            "spec": canonical_json(make_denoising_spec(plan, sample).content()),
            "batch_size": plan.scale.sampling.batch_size,
        },
        options=[
            *(*given, "--device", plan.device),
            *record_events(plan, f"denoising-{sample}", sample),
        ],
    )


def _interpolate(plan: Plan, sample: str) -> Job:
    """Draw what lies between real images with the model of a batch."""
    files, model, spec = plan.layout, plan.drawn(sample).model, make_between_spec(plan, sample)
    return Job(
        reads={
            "weights": [files.weights(model.name, model.mark)],
            "data": [files.data(plan.training_data(model.name))],
        },
        identity={
            "digest": digest(spec),
            **{key: spec[key] for key in ("num_images", "num_steps", "respacing")},
        },
        options=[
            *("--device", plan.device, "--batch-size", str(plan.scale.sampling.batch_size)),
            *record_events(plan, f"between-{sample}", sample),
        ],
    )


def _make_table(plan: Plan, table: str) -> Job:
    """Write the pages of a table."""
    inputs = table_inputs(plan, table)
    return Job(
        gathers=inputs,
        identity={
            "spec": lambda: make_table_spec(plan, table).digest,
            # Other sources' numbers are made by other runs: only their content tells what is new.
            "others": lambda: [sha256_file(path) for path in inputs["others"]],
            **_identify_pages(plan),
        },
        options=record_events(plan, f"table-{table}", table),
    )


def _make_figures(plan: Plan) -> Job:
    """Write the page of all figures."""
    return Job(
        gathers=figure_inputs(plan),
        identity={"spec": lambda: make_figure_page(plan).digest, **_identify_pages(plan)},
        options=[*record_events(plan, FIGURES), "--index-tables", *_list_tables(plan)],
    )


def _make_index(plan: Plan) -> Job:
    """Write the first page, and what the jobs cost."""
    pages = {"tables": _list_tables(plan)}
    figures = os.path.exists(plan.layout.page(FIGURES))  # it has a link when there is such a page
    identity = {"figures": figures, **_identify_pages(plan)}
    return Job(identity, gathers=pages, options=record_events(plan, "index"))


def _list_tables(plan: Plan) -> list[str]:
    return [plan.layout.page(one, "json") for one in plan.shown_tables]


def _identify_pages(plan: Plan) -> dict[str, Any]:
    options = [f"--{key}={value}" for key, value in plan.settings.items()]
    return {"sources": digest_page_code, "options": options}


def name_log(kind: Kind, rule: str, *names: str) -> str:
    """Return a job's name in the folder of logs."""
    return f"{kind.folder or rule}/{'-'.join(names) or rule}"


def make_kinds(plan: Plan) -> dict[str, Kind]:
    """Return the kinds of jobs by the names of their rules."""
    task, sample, weights = ("task",), ("sample",), ("model", "mark")
    accuracy, published = ("classifier", "mark"), ("published",)
    kinds = {
        "dataset": Kind(task, _make_images, Layout.data, "data"),
        "prepare": Kind(task, _make_images, Layout.data, "data"),
        "network": Kind((), _make_network, partial(Layout.network, network=plan.scale.network)),
        "reference": Kind(task, grading.make_reference, Layout.reference, on_device=True),
        "ceiling": Kind(task, grading.grade_real_images, Layout.ceiling, on_device=True),
        "import_weights": Kind(weights, _import_weights, Layout.weights, "import"),
        "train": Kind(weights, _train, Layout.weights, on_device=True),
        "segment": Kind((*weights, "part"), _train, Layout.segment, on_device=True),
        "accuracy": Kind(accuracy, _measure_accuracy, Layout.accuracy, on_device=True),
        "loss": Kind(weights, _measure_loss, Layout.losses, on_device=True),
        "shard": Kind((*sample, "part"), _sample, Layout.part, on_device=True),
        "sample": Kind(sample, _sample, Layout.drawn, on_device=True),
        "evaluate": Kind(sample, grading.evaluate, Layout.metrics, on_device=True),
        "nearest": Kind(sample, grading.find_nearest, Layout.nearest, on_device=True),
        "between": Kind(sample, _interpolate, Layout.between, on_device=True),
        "denoising": Kind(sample, _denoise, Layout.denoising, on_device=True),
        "table": Kind(("table",), _make_table, Layout.pages),
        "figures": Kind((), _make_figures, partial(Layout.figures, names=list(plan.figures))),
        "index": Kind((), _make_index, Layout.first_page),
    }
    for suffix in {PurePosixPath(path).suffix for path in list_artefacts(plan.released)}:
        fetch, write = partial(_fetch, suffix=suffix), partial(Layout.fetched, suffix=suffix)
        kinds[f"fetch_{suffix[1:]}"] = Kind(published, fetch, write, "fetch")
    return kinds


def list_jobs(plan: Plan) -> Iterator[Key]:
    """List all jobs that a plan can have, also those that no table needs."""
    trained = plan.source == "retrain"
    for task, dataset in plan.datasets.items():
        yield "prepare" if isinstance(dataset, OwnImagesSpec) else "dataset", task
    for path in map(PurePosixPath, list_artefacts(plan.released)):
        yield f"fetch_{path.suffix[1:]}", str(path.with_suffix(""))
    yield ("network",)
    for task in plan.scale.tasks if trained else ():
        yield "ceiling", task
        if plan.scale.evaluation.reference == "own":
            yield "reference", task
    for model, marks in plan.marks.items():
        for mark in marks:
            yield "train" if trained else "import_weights", model, mark
            for part in range(1, plan.segments.get((model, mark), 1)):
                yield "segment", model, mark, str(part)
            if trained and isinstance(plan.models[model], GuideSpec):
                yield "accuracy", model, mark
            if has_loss(plan, model):
                yield "loss", model, mark
    for sample, batch in plan.samples.items():
        yield "evaluate", sample
        if isinstance(batch, SampleSpec):
            yield "sample", sample
            for part in plan.cuts[sample].names if sample in plan.cuts else ():
                yield "shard", sample, part
    for rule in PICTURES:
        for sample in list_batches(plan, rule):
            yield rule, sample
    for table in plan.shown_tables:
        yield "table", table
    if plan.figures:
        yield (FIGURES,)
    yield ("index",)


class Graph:
    """The jobs of a plan: their kinds, and which of them makes a file."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.kinds, self.jobs = plan, make_kinds(plan), list(list_jobs(plan))
        self.makers = {path: key for key in self.jobs for path in self.write(key).values()}
        self._described: dict[Key, Job] = {}

    def write(self, key: Key) -> dict[str, str]:
        """Return a job's outputs by name; its names may also be `{model}` and so on."""
        written = self.kinds[key[0]].write(self.plan.layout, *key[1:])
        if isinstance(written, str):
            return {"file": written}
        return written._asdict() if isinstance(written, Stored) else written

    def describe(self, key: Key) -> Job:
        """Return what a job is made of; it is worked out once."""
        if key not in self._described:
            self._described[key] = self.kinds[key[0]].describe(self.plan, *key[1:])
        return self._described[key]

    def find_needs(self, files: Iterable[str]) -> dict[Key, list[Key]]:
        """Find the jobs behind some files.

        Returns:
            Each of these jobs, after those that it needs itself, with their keys.
        """
        needs: dict[Key, list[Key]] = {}

        def add(path: str) -> None:
            key = self.makers.get(path)  # None: a run of another source made it
            if key is None or key in needs:
                return
            inputs = [one for paths in self.describe(key).inputs.values() for one in paths]
            for one in inputs:
                add(one)
            made = [self.makers[one] for one in inputs if one in self.makers]
            needs[key] = list(dict.fromkeys(made))

        for path in files:
            add(path)
        return needs
