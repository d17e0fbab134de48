"""Pages from evaluated tables."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from records.manifest import manifest_path
from reports import format as words
from reports.accuracy import collect_ranges, make_accuracy_plot
from reports.agreement import RULES
from reports.cell_plots import find_marks, make_plots
from reports.claims import CONFIDENCE, VERDICTS, count_verdicts
from reports.evaluator import describe_evaluator
from reports.forest import (
    describe_cells,
    describe_strip,
    format_effect,
    make_groups,
)
from reports.losses import LOSS_NAMES
from reports.printed import VIEWS, list_views, take_view
from reports.ranks import describe_order
from reports.story import describe_chance, make_facts, make_sentences, mark_surviving
from reports.tradeoff import make_tradeoffs
from reports.tradeoff_plot import make_tradeoff_plot
from specs.page import PageLink


def squeeze(style: str) -> Markup:
    """Return rules of CSS without comments, line breaks and indents, which every page repeats."""
    bare = re.sub(r"/\*.*?\*/", "", style, flags=re.S)
    return Markup(re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"\s+", " ", bare)).strip())


FILTERS = {
    "squeeze": squeeze,
    "number": words.format_number,
    "measured": words.format_measured,
    "published": words.format_published,
    "share": words.format_share,
    "count": words.format_count,
    "seconds": words.format_seconds,
    "memory": words.format_memory,
    "setting": words.format_setting,
    "setting_name": words.setting_name,
    "metric_name": words.metric_name,
    "metric_direction": words.metric_direction,
    "statistic": words.statistic_name,
    "order": describe_order,
    "comparison": words.describe_comparison,
    "effect": words.describe_effect,
    "per_cent": words.format_per_cent,
    "evaluator": describe_evaluator,
    "paper": words.describe_paper,
    "sentence": words.start_sentence,
    "strip_words": describe_strip,
    "compared": describe_cells,
    "effect_parts": words.split_effect,
}


def make_environment() -> Environment:
    """Return the templates: everything escaped, a missing name is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    environment.globals.update(
        interval=words.format_interval,
        source_words=words.SOURCE_WORDS,
        agreement_rules=RULES,
        column_name=words.column_name,
        table_number=words.table_number,
        verdict_names=VERDICTS,
        loss_names=LOSS_NAMES,
        format_effect=format_effect,
        count_decimals=words.count_decimals,
        collect_ranges=collect_ranges,
        accuracy_plot=make_accuracy_plot,
        find_marks=find_marks,
        make_plots=make_plots,
        take_view=take_view,
        list_views=list_views,
        view_names=VIEWS,
        make_tradeoffs=make_tradeoffs,
        tradeoff_plot=make_tradeoff_plot,
    )
    return environment


def render_table(
    table: Mapping[str, Any],
    grids: Sequence[Mapping[str, Any]],
    pages: Sequence[PageLink],
    folder: str | Path = ".",
    sample_pages: Mapping[str, str] = {},
    texts: Mapping[str, str] = {},
) -> str:
    """Write the page of one table.

    Args:
        table: evaluated table (reports.tables.make_table).
        grids: groups of sheets of images (reports.pictures.make_pictures).
        pages: the pages that the source has.
        folder: where the page is stored; files that are there are linked from it.
        sample_pages: the addresses of sample sets' pages, by `row-mark`.
        texts: the table in other formats, by their names, to copy from the page.

    Returns:
        HTML that needs nothing outside itself.
    """
    template = make_environment().get_template("table.html.j2")

    def link(path: str) -> str | None:
        return Path(os.path.relpath(path, folder)).as_posix() if Path(path).exists() else None

    known = {"table": table, "grids": grids, "pages": pages, "texts": texts}
    known["sample_pages"] = sample_pages
    return template.render(**known, link=link, has_figures=has_page(folder, "figures"))


def has_page(folder: str | Path, name: str) -> bool:
    """Tell whether a folder has a table's or the figures' page, if only its manifest for now.

    Snakemake deletes a page before it is rendered again, at the same time as others.
    """
    page = Path(folder) / f"{name}.html"
    return page.exists() or manifest_path(page).exists()


def render_index(
    tables: Sequence[Mapping[str, Any]],
    costs: Mapping[str, Any] | None,
    *,
    has_figures: bool = False,
    run_pages: Mapping[str, Collection[str]] = {},
) -> str:
    """Write the page that leads to all tables: their claims first, then what they cost.

    Args:
        tables: evaluated tables in the order of the paper.
        costs: models, rows, stages and totals; None when nothing is known of the cost.
        has_figures: whether the page of figures lies beside it.
        run_pages: the pages of models and of rows that lie beside it, by name.
    """
    tables, costs = mark_surviving(tables), costs or {}
    claims = [claim for table in tables for claim in table["claims"]]
    template = make_environment().get_template("index.html.j2")
    return template.render(
        tables=tables,
        has_figures=has_figures,
        facts=make_facts(tables, costs),
        counts=count_verdicts(claims),
        sentences=make_sentences(tables),
        groups=make_groups(tables),
        chance=describe_chance(tables, CONFIDENCE),
        scales=list(dict.fromkeys(table["scale"] for table in tables)),
        sources=list(dict.fromkeys(table["source"] for table in tables)),
        scale_notes=list(dict.fromkeys(note for table in tables for note in table["scale_notes"])),
        cost_tables=make_cost_tables(costs, run_pages),
        run_pages=run_pages if any(run_pages.values()) else {},
        cost_totals=make_cost_totals(costs),
    )


def make_cost_tables(
    costs: Mapping[str, Any], run_pages: Mapping[str, Collection[str]]
) -> list[dict[str, Any]]:
    """Turn the lists (models, rows) and the mapping (stages) of all costs into small tables."""
    tables = []
    for key in sorted(costs, key=lambda name: (name != "models", name != "rows", name)):
        value = costs[key]
        if isinstance(value, Mapping):
            value = [{"name": name, **fields} for name, fields in sorted(value.items())]
        if not isinstance(value, list) or not value:
            continue
        columns = list(dict.fromkeys(key for entry in value for key in entry))
        columns.remove("name")
        tables.append(
            {
                "title": key,
                "columns": [_cost_name(name) for name in columns],
                "rows": [
                    {
                        "name": entry["name"],
                        "has_page": entry["name"] in run_pages.get(key, ()),
                        "cells": [_cost(name, entry.get(name)) for name in columns],
                    }
                    for entry in value
                ],
            }
        )
    return tables


def make_cost_totals(costs: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the single numbers of all costs as pairs of name and words."""
    return [
        (_cost_name(key), _cost(key, value))
        for key, value in sorted(costs.items())
        if not isinstance(value, (list, Mapping))
    ]


def _cost_name(name: str) -> str:
    return words.setting_name(name.replace("_seconds", " time")).replace("cpu", "CPU")


def _cost(name: str, value: Any) -> str:
    """Write one number of the costs in its unit."""
    if value is None or isinstance(value, str):
        return value or words.format_count(None)
    if name.endswith("_seconds"):
        return words.format_seconds(value)
    return words.format_count(value)
