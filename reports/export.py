"""Tables for other programs: CSV and Markdown; `reports.latex` writes LaTeX."""

from collections.abc import Mapping
from typing import Any

from reports.claims import PUBLISHED_ONLY
from reports.csv_text import render_lines
from reports.format import (
    column_name,
    describe_comparison,
    describe_effect,
    describe_paper,
    escape_markdown,
    format_exact,
    setting_name,
)
from reports.printed import (
    VIEWS,
    describe_agreement,
    describe_note,
    describe_table,
    list_lines,
    list_views,
)

NUMBERS = ("published", "measured", "std_error", "low", "high", "rank")
CSV_COLUMNS = (
    "table", "scale", "source", "task", "row", "label", "settings", "mark", "metric", "status",
    *NUMBERS, "num_seeds", "seed_spread", "num_samples", "difference_published", "difference",
    "difference_low", "difference_high", "reason", "agreement", "digest",
)  # fmt: skip


def render_csv(table: Mapping[str, Any]) -> str:
    """Write one line per row, mark and metric, with every number in full.

    A value is the row's own; beside it are its difference to the first row, where the table has
    one, and the standard deviation between training seeds. What another source says of a cell is a
    line of its own, with that source. Text that a spreadsheet would run as a formula starts with
    an apostrophe.
    """
    lines = _list_csv_lines(table)
    return render_lines(CSV_COLUMNS, ([line.get(key, "") for key in CSV_COLUMNS] for line in lines))


def _list_csv_lines(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of the CSV; what a line does not have is left out."""
    lines = []
    for group in table["groups"]:
        common = {key: table[name] for key, name in
                  (("table", "name"), ("scale", "scale"), ("source", "source"))}  # fmt: skip
        common["task"] = group["task"]
        for row in group["rows"]:
            samples = {mark["mark"]: mark["num_samples"] for mark in row["marks"]}
            settings = "; ".join(
                f"{key}={format_exact(row['settings'].get(key))}" for key in table["settings"]
            )
            named = {**common, "row": row["id"], "label": row["label"], "settings": settings}
            for cell in row["cells"]:
                value = cell["absolute"] or cell
                place = {**named, "mark": cell["mark"], "metric": cell["metric"]}
                known = {"num_samples": samples[cell["mark"]], "reason": row["reason"]}
                lines.append({**place, **value, **known, **_list_difference(cell)})
                lines[-1]["agreement"] = describe_agreement(value)
                for other in value["others"]:
                    words = {"agreement": describe_agreement(other)}
                    lines.append({**place, "published": value["published"], **other, **words})
        if group["ceiling"]:
            real = {"row": group["ceiling"]["name"], "label": "real images against real images"}
            real |= {"status": "measured", "num_samples": group["ceiling"]["num_samples"]}
            lines += [{**common, **real, **cell} for cell in group["ceiling"]["cells"]]
    return lines


def _list_difference(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a cell's difference to the first row."""
    found = cell if cell["is_difference"] else cell["difference"]
    if found is None:
        return {"difference": None}
    ends = {f"difference_{key}": found[key] for key in ("published", "low", "high")}
    return {"difference": found["measured"], **ends}


def render_markdown(table: Mapping[str, Any]) -> str:
    """Write the table, its notes and its claims as Markdown."""
    lines = [f"# {escape_markdown(describe_table(table))}", "", escape_markdown(table["about"]), ""]
    lines += [f"- {escape_markdown(note)}" for note in table["scale_notes"]]
    if table["differences"]:
        lines += ["", "| what differs | paper | here |", "| --- | --- | --- |"]
        lines += [
            f"| {' | '.join(escape_markdown(one[key]) for key in ('what', 'paper', 'here'))} |"
            for one in table["differences"]
        ]
        lines.append("")
    lines += [f"- **check:** {escape_markdown(flag)}" for flag in table["flags"]]
    for view in list_views(table):
        for group in table["groups"]:
            heading = f"{group['task']}: {group['task_words']}"
            if view != list_views(table)[0]:
                heading = f"{VIEWS[view]}: {heading}"
            lines += ["", f"## {escape_markdown(heading)}", "", *_list_lines(table, group, view)]
    if table["footnotes"]:
        lines.append("")
        lines += [f"- {n['mark']}: {escape_markdown(describe_note(n))}" for n in table["footnotes"]]
    if table["claims"]:
        lines += ["", "## Claims", ""]
        for claim in table["claims"]:
            deciding = claim["comparisons"][claim["deciding"]]
            effect = "" if claim["verdict"] == PUBLISHED_ONLY else describe_effect(deciding)
            parts = [f"{claim['text']} ({claim['where']})", describe_comparison(deciding), effect]
            parts += [claim["reason"] or "", describe_paper(claim["holds_in_paper"])]
            text = "; ".join(escape_markdown(part) for part in parts if part)
            lines.append(f"- **{claim['verdict']}**: {text}")
    return "\n".join(lines) + "\n"


def _list_lines(table: Mapping[str, Any], group: Mapping[str, Any], view: str) -> list[str]:
    """Write one group of rows as a table, a column for the paper and one for what is measured."""
    columns = [column_name(cell) for cell in group["rows"][0]["cells"]]
    heads = ["row", *map(setting_name, table["settings"])]
    heads += [f"{column}, {kind}" for column in columns for kind in ("paper", "here")]
    texts = [heads, ["---"] * len(heads)]
    for line, _ in list_lines(table, group, view):
        texts.append([line.label + (f" ({line.notes})" if line.notes else ""), *line.settings])
        for cell in line.cells:
            words = "; ".join(text for text in (cell.interval, cell.words) if text)
            texts[-1] += [cell.paper, cell.number + (f" ({words})" if words else "")]
    return ["| " + " | ".join(map(escape_markdown, line)) + " |" for line in texts]
