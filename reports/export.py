"""Tables for other programs: CSV, Markdown and LaTeX."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from reports.claims import PUBLISHED_ONLY
from reports.format import (
    column_name,
    describe_comparison,
    describe_effect,
    describe_paper,
    escape_markdown,
    escape_tex,
    format_count,
    format_exact,
    format_interval,
    format_number,
    format_published,
    format_setting,
    setting_name,
)

CSV_COLUMNS = (
    "table", "scale", "source", "task", "row", "label", "settings", "mark", "metric", "status",
    "is_difference", "published", "measured", "low", "high", "absolute_published", "absolute",
    "absolute_low", "absolute_high", "num_samples", "reason", "agreement",
)  # fmt: skip
ABSOLUTE = "The measured values themselves"


def render_csv(table: Mapping[str, Any]) -> str:
    """Write one line per row, mark and metric, with every number in full.

    In a table of differences `published` and `measured` are differences to the first row where
    `is_difference` is true; the columns of `absolute` hold the row's own value. `agreement` judges
    that value, never a difference. What another source says of a cell is a line of its own, with
    that source.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in _list_csv_lines(table):
        writer.writerow({key: format_exact(value) for key, value in line.items()})
    return out.getvalue()


def _list_csv_lines(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of the CSV; what a line does not have is left out."""
    lines = []
    for group in table["groups"]:
        common = {"table": table["name"], "scale": table["scale"], "source": table["source"]}
        common["task"] = group["task"]
        for row in group["rows"]:
            samples = {mark["mark"]: mark["num_samples"] for mark in row["marks"]}
            settings = "; ".join(
                f"{key}={format_exact(row['settings'].get(key))}" for key in table["settings"]
            )
            named = {**common, "row": row["id"], "label": row["label"], "settings": settings}
            for cell in row["cells"]:
                place = {**named, "mark": cell["mark"], "metric": cell["metric"]}
                known = {"num_samples": samples[cell["mark"]], "reason": row["reason"]}
                lines.append({**place, **known, **_list_numbers(cell)})
                lines += [{**place, **other} for other in _list_others(cell)]
        if group["ceiling"]:
            real = {
                **common,
                "row": group["ceiling"]["name"],
                "label": "real images against real images",
                "status": "measured",
                "is_difference": False,
                "num_samples": group["ceiling"]["num_samples"],
            }
            lines += [{**real, **cell} for cell in group["ceiling"]["cells"]]
    return lines


def _list_numbers(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a cell that hold its numbers and its verdict."""
    keys = ("status", "is_difference", "published", "measured", "low", "high")
    fields = {key: cell[key] for key in keys}
    absolute = cell["absolute"]
    if absolute:
        fields["absolute"] = absolute["measured"]
        fields |= {f"absolute_{key}": absolute[key] for key in ("published", "low", "high")}
    return {**fields, "agreement": _agreement(absolute or cell)}


def _list_others(cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of the lines that other sources have of a cell."""
    value = cell["absolute"] or cell
    common = {"is_difference": False, "published": value["published"]}
    return [{**common, **one, "agreement": _agreement(one)} for one in value["others"]]


def _numbers(table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the columns of numbers: every metric at every mark."""
    return table["groups"][0]["rows"][0]["cells"]


def _measured(cell: Mapping[str, Any]) -> tuple[str, str]:
    """Return a cell's measured number, and its interval and verdict in brackets, as words."""
    if cell["measured"] is None:
        return cell["status"] if cell["status"] != "measured" else "\u2013", ""
    number = format_number(cell["measured"], cell["metric"], signed=cell["is_difference"])
    interval = format_interval(
        cell["low"], cell["high"], cell["metric"], signed=cell["is_difference"]
    )
    return number, "; ".join(words for words in (interval, _agreement(cell)) if words)


def _agreement(cell: Mapping[str, Any]) -> str:
    """Return the verdict on a number, or why it has none; empty where it is not judged."""
    found = cell["agreement"]
    return (found["verdict"] or found["words"]) if found else ""


def _list_rows(
    table: Mapping[str, Any], group: Mapping[str, Any], *, absolute: bool
) -> list[tuple[str, list[str], list[str], list[tuple[str, str, str]]]]:
    """Return the lines of a group: its rows, other sources beneath each, and its ceiling.

    Args:
        table: evaluated table.
        group: one of its groups.
        absolute: the rows' own values instead of differences.

    Returns:
        Label, marks of the notes, settings, and for each column the published number, the measured
        one and the words on it.
    """
    lines = []
    for row in group["rows"]:
        cells = [cell["absolute"] if absolute else cell for cell in row["cells"]]
        paper = [
            format_published(cell["published"], signed=cell["is_difference"]) for cell in cells
        ]
        settings = [format_setting(row["settings"].get(key)) for key in table["settings"]]
        numbers = [(one, *_measured(cell)) for one, cell in zip(paper, cells, strict=True)]
        lines.append((row["label"], row["footnotes"], settings, numbers))
        for source in dict.fromkeys(one["source"] for cell in cells for one in cell["others"]):
            found = [_find_other(cell, source) for cell in cells]
            numbers = [(one, *_measured(other)) for one, other in zip(paper, found, strict=True)]
            lines.append((f"{row['label']}: {source}", [], settings, numbers))
    if group["ceiling"] and not absolute:
        by_metric = {cell["metric"]: cell["measured"] for cell in group["ceiling"]["cells"]}
        metrics = [column["metric"] for column in _numbers(table)]
        numbers = [("", format_number(by_metric[metric], metric), "") for metric in metrics]
        lines.append(
            (_ceiling_label(group["ceiling"]), [], ["" for _ in table["settings"]], numbers)
        )
    return lines


def _find_other(cell: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return what another source says of a cell, as a cell; a dash where it says nothing."""
    nothing = {"status": "measured", "measured": None, "agreement": None}
    found = next((one for one in cell["others"] if one["source"] == source), nothing)
    return {**found, "metric": cell["metric"], "is_difference": False}


def _note(note: Mapping[str, str]) -> str:
    return f"{note['text']} {note['command']}".strip()


def _title(table: Mapping[str, Any]) -> str:
    first = f"NeurIPS 2021 Table {table['neurips']}, " if table["neurips"] else ""
    return (
        f"{table['title']} ({first}arXiv v4 Table "
        f"{table['arxiv_v4']}; scale {table['scale']}, source {table['source']})"
    )


def _ceiling_label(ceiling: Mapping[str, Any]) -> str:
    return (
        f"real images against real images ({format_count(ceiling['num_samples'])} against "
        f"{format_count(ceiling['num_reference'])})"
    )


def render_markdown(table: Mapping[str, Any]) -> str:
    """Write the table, its notes and its claims as Markdown."""
    lines = [f"# {escape_markdown(_title(table))}", "", escape_markdown(table["about"]), ""]
    lines += [f"- {escape_markdown(note)}" for note in table["scale_notes"]]
    lines += [f"- **check:** {escape_markdown(flag)}" for flag in table["flags"]]
    for group in table["groups"]:
        words = f"{group['task']}: {group['task_words']}"
        lines += ["", f"## {escape_markdown(words)}", ""]
        lines += _make_markdown_table(table, group, absolute=False)
        if table["layout"] == "deltas":
            lines += ["", f"### {ABSOLUTE}", ""]
            lines += _make_markdown_table(table, group, absolute=True)
    if table["footnotes"]:
        lines.append("")
        lines += [f"- {n['mark']}: {escape_markdown(_note(n))}" for n in table["footnotes"]]
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


def _make_markdown_table(
    table: Mapping[str, Any], group: Mapping[str, Any], *, absolute: bool
) -> list[str]:
    heads = ["row", *(setting_name(key) for key in table["settings"])]
    for column in _numbers(table):
        heads += [f"{column_name(column)}, {kind}" for kind in ("paper", "here")]
    lines = [_markdown_row(heads), "|" + " --- |" * len(heads)]
    for label, marks, settings, numbers in _list_rows(table, group, absolute=absolute):
        cells = [label + "".join(f" ({mark})" for mark in marks), *settings]
        for paper, number, words in numbers:
            cells += [paper, f"{number} ({words})" if words else number]
        lines.append(_markdown_row(cells))
    return lines


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"


def render_latex(table: Mapping[str, Any]) -> str:
    """Write the table as a LaTeX float; it needs the package booktabs."""
    lines = [
        "% needs \\usepackage{booktabs}; made from the metrics files, not by hand",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_tex(_title(table))}. {escape_tex(table['about'])}}}",
        rf"\label{{tab:{table['name'].replace('_', '-')}}}",
        *_make_tabular(table, absolute=False),
    ]
    if table["layout"] == "deltas":
        lines += [rf"\par\medskip {ABSOLUTE}:\par\smallskip", *_make_tabular(table, absolute=True)]
    if table["footnotes"]:
        notes = " ".join(
            rf"\textsuperscript{{{note['mark']}}}{escape_tex(_note(note))}."
            for note in table["footnotes"]
        )
        lines.append(rf"\par\smallskip\footnotesize {notes}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _make_tabular(table: Mapping[str, Any], *, absolute: bool) -> list[str]:
    columns, settings = _numbers(table), table["settings"]
    width = 1 + len(settings) + 2 * len(columns)
    spans = [rf"\multicolumn{{2}}{{c}}{{{escape_tex(column_name(column))}}}" for column in columns]
    heads = ["", *(escape_tex(setting_name(key)) for key in settings)]
    lines = [
        rf"\begin{{tabular}}{{l{'l' * len(settings)}{'rl' * len(columns)}}}",
        r"\toprule",
        " & ".join([*heads, *spans]) + r" \\",
        " & ".join([""] * (1 + len(settings)) + ["paper & here"] * len(columns)) + r" \\",
    ]
    for group in table["groups"]:
        lines.append(r"\midrule")
        if table["layout"] == "by_task":
            heading = escape_tex(f"{group['task']}: {group['task_words']}")
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{heading}}}}} \\")
        for label, marks, row_settings, numbers in _list_rows(table, group, absolute=absolute):
            notes = rf"\textsuperscript{{{','.join(marks)}}}" if marks else ""
            cells = [escape_tex(label) + notes, *map(escape_tex, row_settings)]
            for paper, number, words in numbers:
                small = rf" {{\scriptsize ({escape_tex(words)})}}" if words else ""
                cells += [escape_tex(paper), escape_tex(number) + small]
            lines.append(" & ".join(cells) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}"]
