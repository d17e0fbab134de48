"""The tables that a scale computes, by its own names of tasks and models."""

from typing import Any

from specs.config import Base, Row, Scale, Table


def tables_at(tables: dict[str, Table], scale: Scale) -> dict[str, Table]:
    """Return the tables that a scale computes, with tasks and models by the scale's own names."""
    tasks, models = scale.same_as.tasks, scale.same_as.models

    def half(entry: Row | Base) -> dict[str, Any]:
        classifier = entry.sampler and entry.sampler.classifier
        return {
            "task": tasks.get(entry.task, entry.task),
            "model": models.get(str(entry.model), entry.model),
            "sampler": entry.sampler
            and entry.sampler.model_copy(
                update={"classifier": models.get(str(classifier), classifier)}
            ),
        }

    def named(row: Row) -> Row:
        base = row.base and row.base.model_copy(update=half(row.base))
        return row.model_copy(update={**half(row), "base": base})

    return {
        name: table.model_copy(
            update={"rows": {row_id: named(row) for row_id, row in table.rows.items()}}
        )
        for name, table in tables.items()
        if table.scales is None or scale.name in table.scales
    }
