"""How far back a number goes (its source); which rows have which source, and why others do not."""

from typing import Any

from records.errors import UserError
from specs.evaluation import Inception
from specs.released import Artefact, Released, find_checkpoint
from specs.scale import Scale
from specs.tables import Row, Table

SOURCES = ("rescore", "resample", "retrain")
QUOTED = "published value, quoted by the authors from an earlier paper; no samples were released"
UNRELEASED = "published value: no model of this kind here, and no samples were released"
EARLIER = "weights were published of the end of training alone; source=retrain makes it"
RELEASED = (
    "published value: no model of this kind here; its samples were released and can be graded "
    "(source=rescore)"
)


def check_source(where: str, source: str, scale: Scale) -> None:
    """Check that a scale can have a source at all.

    Raises:
        UserError: no such source; published samples or weights at a scale that has its own
            references; published references without the network that made their statistics.
    """
    if source not in SOURCES:
        raise UserError(f"source: got {source!r}; needed: one of {', '.join(SOURCES)}")
    reference = scale.evaluation.reference
    if reference == "released" and not isinstance(scale.network, Inception):
        raise UserError(
            f"{where}: evaluation: reference: released needs network: kind: inception, whose "
            f"statistics the published references hold; got {scale.network.kind}"
        )
    if source != "retrain" and reference != "released":
        raise UserError(
            f"source {source} at scale {scale.name}: the authors published samples and weights of "
            f"their own images alone, and {scale.name} uses others (evaluation: reference: "
            f"{reference}); use source=retrain, or scale=paper"
        )


def check_references(scale: Scale, tables: dict[str, Table], released: Released) -> None:
    """Check that every task of the tables has a published reference where a scale asks for them.

    Raises:
        UserError: a task without one.
    """
    tasks = {row.task for table in tables.values() for row in table.rows.values()}
    lacking = sorted(tasks - set(released.references))
    if scale.evaluation.reference == "released" and lacking:
        raise UserError(
            f"scale {scale.name}: evaluation: reference: released, and no reference of "
            f"{', '.join(lacking)} is among the published ones; add it to the list of published "
            "files, or say own"
        )


def explain_absence(
    row_id: str, row: Row, table: Table, *, source: str, released: Released
) -> str | None:
    """Say why a row cannot have a source; None when it has it.

    Args:
        row_id: the row's id, by which published samples are listed.
        row: the row, with models by the scale's own names.
        table: the row's table.
        source: one of SOURCES.
        released: what was published.
    """
    published = row_id in released.samples
    if row.model is None:
        if published and source == "rescore":
            return None
        return RELEASED if published else QUOTED if "quoted" in row.notes else UNRELEASED
    if source == "retrain":
        return None
    unpublished = _find_unpublished_weights(row, released)
    is_earlier = any(
        half.mark or (half.sampler and half.sampler.classifier_mark) for half in row.halves
    )
    if source == "rescore":
        if published and len(table.marks) == 1:
            return None
        rest = (
            EARLIER
            if is_earlier and not unpublished
            else "the weights behind it were, and source=resample draws from them"
            if not unpublished
            else "neither were all weights behind it; source=retrain makes it"
        )
        note = _checkpoint_note(row, released)
        return f"no samples of this row were published; {rest}" + (f" ({note})" if note else "")
    if not unpublished:
        return EARLIER if is_earlier else None
    reasons = "; ".join(dict.fromkeys(unpublished.values()))
    rest = "source=rescore grades its published samples" if published else "source=retrain makes it"
    return f"no published weights: {reasons}; {rest}"


def _find_unpublished_weights(row: Row, released: Released) -> dict[str, str]:
    """Return the networks behind a row whose weights were not published, and why each."""
    return {
        name: f"{name}: {released.never_released.get(name, 'nothing was published')}"
        for name in list_networks(row)
        if find_checkpoint(released, name) is None
    }


def _checkpoint_note(row: Row, released: Released) -> str | None:
    """Return what is known of the checkpoint of a row's model."""
    found = find_checkpoint(released, str(row.model))
    return found[1].note if found else None


def explain_empty_table(plan: Any, name: str) -> str:
    """Say why a source has no cell of a table.

    Args:
        plan: the plan (`workflow.plan.Plan`).
        name: the table.
    """
    reasons = dict.fromkeys(
        plan.absent[row_id] for row_id, row in plan.tables[name].rows.items() if row.model
    )
    return (
        f"{name}: no row of it has source {plan.source}: {next(iter(reasons))}; "
        f"{plan.source} has {', '.join(plan.shown_tables)}"
    )


def list_networks(row: Row) -> list[str]:
    """Return the networks that draw a row's samples: models and classifiers of it and its base."""
    names = []
    for half in (row, row.base):
        if half is not None and half.sampler is not None:
            names += [half.model, half.sampler.classifier]
    return [name for name in dict.fromkeys(names) if name is not None]


def list_artefacts(released: Released) -> dict[str, dict[str, Any]]:
    """Return every published file by its path: base of the address, hash, size and licence."""
    kinds: list[tuple[str, list[Artefact]]] = [
        ("weights", list(released.checkpoints.values())),
        ("batches", [*released.references.values(), *released.samples.values()]),
        ("inception_graph", [released.inception_graph]),
    ]
    return {
        one.path: {
            "path": one.path,
            "base": released.base,
            "sha256": one.sha256,
            "num_bytes": one.bytes,
            "licence": getattr(released.licence, kind),
        }
        for kind, artefacts in kinds
        for one in artefacts
    }
