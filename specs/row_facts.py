"""How a row's samples are made at a scale: settings that its table shows, and words in labels.

The numbers are those of the scale's model and of the row's sampler, so that no label or claim says
what was not run.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

from records.errors import UserError
from specs.scale import Scale
from specs.schedule import space_timesteps
from specs.tables import SETTING, SETTINGS, Base, Row, Table, load_tables_at

EMBEDDINGS = {"adagn": "AdaGN", "addition": "addition + GroupNorm"}


def describe_row(scale: Scale, half: Row | Base) -> dict[str, SETTING]:
    """Return the settings of a row, or of the base of a stack, at a scale.

    Args:
        scale: the scale.
        half: with models and steps by the scale's own names.

    Returns:
        A value for each of SETTINGS; None where a row has no model, or its model no such setting.
    """
    settings: dict[str, SETTING] = dict.fromkeys(SETTINGS)
    if half.model is None or half.sampler is None:
        return settings
    model, sampler = scale.models[half.model], half.sampler
    switches = model.architecture.model_dump()
    settings |= {key: switches[key] for key in SETTINGS if key in switches}
    sections = [int(part) for part in sampler.respacing.split(",") if part.isdecimal()]
    return settings | {
        "operation": EMBEDDINGS[model.architecture.embedding],
        "conditional": getattr(model, "class_conditional", None),
        "guidance": sampler.guidance_scale is not None,
        "guidance_scale": sampler.guidance_scale,
        "steps": len(space_timesteps(model.training.num_timesteps, sampler.respacing)),
        "section_steps": sections if len(sections) > 1 else None,
        "iterations": model.marks.get(half.mark or "final"),
    }


def load_named_tables(
    path: str | Path, scale: Scale, overrides: str | Path | None = None
) -> dict[str, Table]:
    """Read the tables that a scale computes, with labels and claims in its own numbers.

    Args:
        path, scale, overrides: see `load_tables_at`.

    Raises:
        UserError: see `load_tables_at`; or a label or claim names a setting that is not there.
    """
    tables = {}
    for name, table in load_tables_at(path, scale, overrides).items():
        facts = {row_id: _list_words(scale, row) for row_id, row in table.rows.items()}
        rows = {
            row_id: _fill(row, "label", facts[row_id], f"{path}: {name}: rows: {row_id}")
            for row_id, row in table.rows.items()
        }
        claims = {}
        for claim_id, claim in table.claims.items():
            first = claim.comparisons[0]
            task = table.rows[first.left].task
            fields: dict[str, Any] = {"left": facts[first.left], "right": facts[first.right]}
            fields["task"] = f"{task} ({scale.tasks[task].words})"
            claims[claim_id] = _fill(claim, "text", fields, f"{path}: {name}: claims: {claim_id}")
        tables[name] = table.model_copy(update={"rows": rows, "claims": claims})
    return tables


def _list_words(scale: Scale, row: Row) -> dict[str, str]:
    """Return the settings that a row has, in words; those of its base as `base_iterations`."""
    words = {}
    for half in row.halves:
        prefix = "" if half is row else "base_"
        for key, value in describe_row(scale, half).items():
            if value is not None:
                words[prefix + key] = _write(key, value)
    return words


def _write(key: str, value: SETTING) -> str:
    if isinstance(value, list):
        return ("-" if key == "section_steps" else ", ").join(map(str, value))
    if key == "iterations":
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fill(one: Any, key: str, fields: Mapping[str, Any], where: str) -> Any:
    """Return a row or a claim with the names in braces of its text replaced."""
    text = getattr(one, key)
    try:
        for _, name, layout, conversion in Formatter().parse(text):
            if layout or conversion:  # a width of millions is no layout of a label
                raise ValueError(f"{name} with a layout")
        return one.model_copy(update={key: text.format_map(fields)})
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        known = ", ".join(f"{{{name}}}" for name in _list_names(fields))
        raise UserError(
            f"{where}: {key}: {text!r} cannot be filled in ({error}); the names are {known}"
        ) from None


def _list_names(fields: Mapping[str, Any]) -> Iterable[str]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from (f"{name}[{key}]" for key in value)
        else:
            yield name
