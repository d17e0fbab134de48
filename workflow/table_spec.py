"""Write down what a page shows: rows, where their numbers are, and the claims to be tested."""

from collections.abc import Iterable
from pathlib import Path

from records.files import digest
from specs.page import (
    Agreement,
    Artefact,
    CellAddress,
    KnownMetrics,
    PageCell,
    PageClaim,
    PageClassifier,
    PageComparison,
    PageRow,
    PageSpec,
    SeedMetrics,
    WantedFile,
    WantedMetrics,
)
from specs.row_facts import describe_row
from specs.sampling import PublishedSamples
from specs.strict import validated
from specs.tables import SETTING, Claim, Row, Source, Table
from workflow.accuracy import describe_classifiers
from workflow.availability import SOURCES, explain_absence, list_artefacts
from workflow.differences import list_differences, load_paper
from workflow.losses import find_loss
from workflow.other_sources import find_others, name_metrics
from workflow.plan import Plan, cell_name


def make_table_spec(plan: Plan, name: str) -> PageSpec:
    """Describe one table for `reports`.

    Args:
        plan: the plan of a scale and source.
        name: a table of the plan.

    Raises:
        UserError: a table without rows or metrics; a name that no file can have.
    """
    table = plan.tables[name]
    rows = [make_page_row(plan, table, row_id, row) for row_id, row in table.rows.items()]
    tasks = list(dict.fromkeys(row.task for row in table.rows.values()))
    content = {
        "format": 1,
        "scale": plan.scale.name,
        "source": plan.source,
        "root": plan.layout.root,
        "table": {
            "name": name,
            **table.model_dump(exclude={"rows", "claims", "scales"}),
            "after": {mark: describe_mark(plan, table, mark) for mark in table.marks},
        },
        "scale_notes": [plan.scale.about + ".", *plan.scale.notes],
        "differences": list_differences(plan, name),
        "rows": rows,
        "agreement": _agreement(plan),
        "artefacts": _artefacts(plan, table),
        "known_evaluation": _known_evaluation(plan, table),
        "ceilings": _ceilings(plan, tasks),
        "claims": [_claim(plan, name, key, claim) for key, claim in table.claims.items()],
        "classifiers": _classifiers(plan, table),
        "pages": link_pages(plan),
    }
    return validated(PageSpec, content, f"page of {name}")


def link_pages(plan: Plan) -> list[dict[str, str]]:
    """Name the pages of tables that there are, as `PageLink` has it."""
    shown = {name: plan.tables[name] for name in plan.shown_tables}
    return [
        {"name": name, "title": f"{number_table(table)}: {table.title}"}
        for name, table in shown.items()
    ]


def describe_mark(plan: Plan, table: Table, mark: str) -> str:
    """Say after how many iterations a mark is; nothing of the end of training."""
    models = {row.model for row in table.rows.values() if row.model is not None}
    if mark == "final" or not models:
        return ""
    counts = sorted({plan.scale.models[model].marks[mark] for model in models})
    return f" after {' or '.join(f'{count:,}' for count in counts)} iterations"


def number_table(table: Table) -> str:
    """Return a table's number: the NeurIPS version's where that is known, else arXiv's."""
    if table.neurips is None:
        return f"arXiv Table {table.arxiv_v4}"
    return f"Table {table.neurips}"


def _agreement(plan: Plan) -> Agreement | None:
    """Say how numbers are compared with the published ones; None where they do not compare."""
    if plan.scale.evaluation.reference != "released":
        return None
    return Agreement(reference_images=plan.scale.evaluation.reference_images)


def _known_evaluation(plan: Plan, table: Table) -> KnownMetrics | None:
    """Return the row of a published batch whose metrics its authors printed, with their values.

    Only rescore grades that very batch; None elsewhere, and where the table does not have it.
    """
    known = plan.released.known_evaluation
    if plan.source != "rescore" or known is None:
        return None
    path = plan.released.samples[known.samples].path
    for row_id, (name,) in shown_samples(plan, table).items():
        batch, same_reference = plan.samples[name], table.rows[row_id].task == known.reference
        if same_reference and isinstance(batch, PublishedSamples) and batch.released == path:
            return KnownMetrics(row=row_id, values=known.values)
    return None


def _reference_note(plan: Plan, task: str) -> list[str]:
    """Say so where a published reference holds fewer images than the paper's others."""
    if plan.scale.evaluation.reference != "released":
        return []
    stored = plan.released.references[task].num_images
    if stored >= plan.scale.evaluation.reference_images:
        return []
    return [f"precision and recall: {stored:,} reference images"]


def _ceilings(plan: Plan, tasks: Iterable[str]) -> dict[str, WantedMetrics]:
    """Return the ceilings of tasks; they take the whole data set, which retraining alone needs."""
    return {
        task: WantedMetrics(
            path=plan.layout.ceiling(task), digest=digest(plan.reference_spec(task))
        )
        for task in tasks
        if plan.source == "retrain"
    }


def _classifiers(plan: Plan, table: Table) -> list[PageClassifier]:
    """Describe the classifiers whose accuracy is measured, on images that only retraining needs."""
    if plan.source != "retrain":
        return []
    return describe_classifiers(plan, table, shown_samples(plan, table))


def _artefacts(plan: Plan, table: Table) -> list[Artefact]:
    """List the published files behind a table: what each is for, address, licence, manifest."""
    used: dict[str, list[str]] = {}
    for row_id, row in table.rows.items():
        if row_id in plan.absent:
            continue
        if plan.scale.evaluation.reference == "released":
            path = plan.released.references[row.task].path
            used.setdefault(path, []).append(f"reference of {row.task}")
        for sample in shown_samples(plan, table)[row_id]:
            for path in _published_files(plan, sample):
                used.setdefault(path, []).append(row.label)
    known = list_artefacts(plan.released)
    return [
        Artefact(
            url=known[path]["base"] + path,
            licence=known[path]["licence"],
            sha256=known[path]["sha256"],
            used_for=list(dict.fromkeys(words)),
            manifest=plan.layout.manifest(path),
        )
        for path, words in used.items()
    ]


def _published_files(plan: Plan, sample: str) -> list[str]:
    """Return the published files that a sample batch comes from, its base's too."""
    spec = plan.samples[sample]
    if isinstance(spec, PublishedSamples):
        return [spec.released]
    networks = [plan.models[one.name] for one in (spec.model, spec.classifier) if one]
    files = [model.training.released for model in networks if model.training.released]
    return files + (_published_files(plan, spec.low_res.name) if spec.low_res else [])


def seed_variants(plan: Plan, table: Table, row_id: str, mark: str) -> dict[int, str]:
    """Return the sample names of a cell by training seed, the shown one first."""
    row = table.rows[row_id]
    if row_id in plan.absent:
        return {}
    seeds = plan.cell_seeds(table, row)
    return {seed: plan.cells[cell_name(table, row_id, mark, seeds, seed)] for seed in seeds}


def list_samples(plan: Plan, table: Table) -> list[str]:
    """Return the sample batches of all cells of a table, with every training seed."""
    cells = [seed_variants(plan, table, row, mark) for row in table.rows for mark in table.marks]
    return list(dict.fromkeys(name for cell in cells for name in cell.values()))


def list_losses(plan: Plan, table: Table) -> list[str]:
    """Return the loss files of a table's rows with every training seed, each once."""
    found = [find_loss(plan, sample) for sample in list_samples(plan, table)]
    return list(dict.fromkeys(one.path for one in found if one))


def shown_samples(plan: Plan, table: Table) -> dict[str, list[str]]:
    """Return, by the id of each row that has this source, the sample batches of its marks."""
    return {
        row_id: [
            next(iter(seed_variants(plan, table, row_id, mark).values())) for mark in table.marks
        ]
        for row_id in table.rows
        if row_id not in plan.absent
    }


def table_inputs(plan: Plan, name: str) -> dict[str, list[str]]:
    """Return the files that a table's page is made from; of other sources those that are there."""
    table = plan.tables[name]
    samples = shown_samples(plan, table)
    shown = dict.fromkeys(name for names in samples.values() for name in names)
    tasks = dict.fromkeys(row.task for row in table.rows.values())
    return {
        "metrics": [plan.layout.metrics(sample) for sample in list_samples(plan, table)],
        "losses": list_losses(plan, table),
        "samples": [plan.layout.samples(plan.samples[sample]).file for sample in shown],
        "ceilings": [one.path for one in _ceilings(plan, tasks).values()],
        "accuracies": [one.accuracy for one in _classifiers(plan, table)],
        "others": sorted(
            {
                file.path
                for row_id in table.rows
                for mark in table.marks
                for file in find_others(plan, table, row_id, mark).values()
                if Path(file.path).exists()
            }
        ),
    }


def make_page_row(plan: Plan, table: Table, row_id: str, row: Row) -> PageRow:
    """Describe one row of a table for `reports`."""
    settings = describe_row(plan.scale, row)
    return PageRow(
        id=row_id,
        label=row.label,
        task=row.task,
        task_words=plan.scale.tasks[row.task].words,
        kind="baseline" if row.model is None else "model",
        trained=_trained(row) or row_id,
        settings={key: settings[key] for key in table.settings},
        published=row.published,
        notes=[*row.notes, *_reference_note(plan, row.task)],
        assumed=_assumed(plan, row),
        reason=plan.absent.get(row_id),
        cells={mark: _cell(plan, table, row_id, mark) for mark in table.marks},
        recipe_words=_recipe_words(plan, table, row_id, row),
    )


def _cell(plan: Plan, table: Table, row_id: str, mark: str) -> PageCell:
    """Name the files of a row at a mark."""
    own = cell_name(table, row_id, mark, [0], 0)
    samples = seed_variants(plan, table, row_id, mark)
    first = next(iter(samples.values()), None)
    return PageCell(
        metrics=name_metrics(plan, first) if first else None,
        samples=_name_samples(plan, first) if first else None,
        shared_with=None if first == own else first,
        seeds=[
            SeedMetrics(seed=seed, metrics=name_metrics(plan, one), loss=find_loss(plan, one))
            for seed, one in samples.items()
        ],
        others=find_others(plan, table, row_id, mark),
        run=list_run(plan, first) if first else {},
    )


def _trained(row: Row) -> str:
    """Name the models that draw a row's samples; what guides them is not among them."""
    return "+".join(one for one in (row.model, row.base and row.base.model) if one)


def _name_samples(plan: Plan, sample: str) -> WantedFile:
    """Name a batch of samples with the digest that it must have."""
    batch = plan.samples[sample]
    return WantedFile(path=plan.layout.samples(batch).file, digest=batch.digest)


def list_run(plan: Plan, sample: str) -> dict[str, str]:
    """Name the files of the jobs behind the metrics of a batch, by what they are."""
    files, batch = plan.layout, plan.samples[sample]
    found = {"metrics": files.metrics(sample), "samples": files.samples(batch).file}
    jobs = {"grading": ("evaluate", sample, sample)}
    if isinstance(batch, PublishedSamples):
        found["origin of the samples"] = files.manifest(batch.released)
    else:
        found["manifest of the samples"] = files.drawn(sample)["protocol"]
        if batch.low_res is not None:
            found["samples of the base"] = files.samples(plan.samples[batch.low_res.name]).file
        jobs["sampling"] = ("sample", sample, sample)
        for role, one in (("model", batch.model), ("classifier", batch.classifier)):
            if one is not None:
                found[f"weights of the {role}"] = files.weights(one.name, one.mark).file
                if plan.source == "retrain":
                    jobs[f"training of the {role}"] = ("train", one.name, f"{one.name}-{one.mark}")
    for what, (job, name, log) in jobs.items():
        found[f"log of {what}"] = f"{files.logs}/{job}/{log}.log"
        found[f"events of {what}"] = files.events(f"{job}-{name}")
    return found


def _assumed(plan: Plan, row: Row) -> list[str]:
    """Return what the paper does not say and had to be chosen here: published files settle it."""
    if plan.source == "retrain":
        return row.assumed
    chosen = [words for words in row.assumed if words.startswith("guidance scale")]
    return chosen if plan.source == "resample" else []


def _recipe_words(plan: Plan, table: Table, row_id: str, row: Row) -> dict[str, SETTING]:
    """Say how the samples of a row come about, given those of its last mark."""
    if row_id in plan.absent:
        return {}
    last = plan.samples[shown_samples(plan, table)[row_id][-1]]
    if isinstance(last, PublishedSamples):
        return {"samples": "published by the authors", "file": last.released}
    assert row.model is not None and row.sampler is not None
    words: dict[str, SETTING] = {
        "model": row.model,
        "iterations": ", ".join(
            str(plan.scale.models[row.model].marks[row.mark or mark]) for mark in table.marks
        ),
        "sampler": f"{last.sampler.method}, respacing {last.sampler.respacing}",
        "guidance_scale": last.sampler.guidance_scale,
        "classifier": row.sampler.classifier,
        "base": row.base and row.base.model,
        "base_guidance_scale": row.base and row.base.sampler.guidance_scale,
        "num_images": last.num_samples,
    }
    if plan.source == "resample":
        words["weights"] = ", ".join(dict.fromkeys(_published_files(plan, last.name)))
    return words


def _claim(plan: Plan, name: str, claim_id: str, claim: Claim) -> PageClaim:
    """Describe one claim, saying which comparisons are between different trained models.

    A claim that is not tested here speaks of the paper's own numbers of steps and images.
    """
    table, comparisons = plan.tables[name], []
    sources, paper = _claim_sources(plan, table, claim), load_paper(plan)
    if sources is not None and plan.source not in sources and paper is not None:
        claim = paper[1][name].claims.get(claim_id, claim)
    for one in claim.comparisons:
        ids = [row_id for row_id in (one.left, one.right, one.towards) if row_id is not None]
        rows = [table.rows[row_id] for row_id in ids]
        trained = {_trained(row) for row in rows}
        left, right, *towards = (CellAddress(row=row_id, mark=one.mark) for row_id in ids)
        comparisons.append(
            PageComparison(
                metric=one.metric,
                left=left,
                relation=one.relation,
                right=right,
                factor=one.factor,
                margin=one.margin,
                towards=towards[0] if towards else None,
                statistic=one.compared,
                trained_models_differ=len(trained) > 1,
            )
        )
    return PageClaim(
        id=claim_id,
        text=claim.text,
        where=claim.where,
        varies=claim.varies,
        sources=sources,
        comparisons=comparisons,
    )


def _claim_sources(plan: Plan, table: Table, claim: Claim) -> list[Source] | None:
    """Return the sources that have all rows of a claim; None for all that this scale can have."""
    if plan.source == "retrain":
        return claim.sources
    rows = {
        row_id
        for one in claim.comparisons
        for row_id in (one.left, one.right, one.towards)
        if row_id is not None
    }
    return [
        source
        for source in (claim.sources or SOURCES)
        if not any(
            explain_absence(
                row_id, table.rows[row_id], table, source=source, released=plan.released
            )
            for row_id in rows
        )
    ]
