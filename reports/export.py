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
    "is_difference", "published", "measured", "low", "high", "absolute", "absolute_low",
    "absolute_high", "num_samples", "reason", "agreement",
)  # fmt: skip


def render_csv(table: Mapping[str, Any]) -> str:
    """Write one line per row, mark and metric, with every number in full.

    In a table of differences `published` and `measured` are differences to the first row where
    `is_difference` is true, and `absolute` is the measured value itself.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for group in table["groups"]:
        for row in group["rows"]:
            samples = {mark["mark"]: mark["num_samples"] for mark in row["marks"]}
            settings = "; ".join(
                f"{key}={format_exact(row['settings'].get(key))}" for key in table["settings"]
            )
            for cell in row["cells"]:
                absolute = cell["absolute"] or {"measured": None, "low": None, "high": None}
                values = [
                    table["name"], table["scale"], table["source"], row["task"], row["id"],
                    row["label"], settings, cell["mark"], cell["metric"], cell["status"],
                    cell["is_difference"], cell["published"], cell["measured"], cell["low"],
                    cell["high"], absolute["measured"], absolute["low"], absolute["high"],
                    samples[cell["mark"]], row["reason"], _agreement(cell),
                ]  # fmt: skip
                writer.writerow([format_exact(value) for value in values])
        if group["ceiling"]:
            for cell in group["ceiling"]["cells"]:
                values = dict.fromkeys(CSV_COLUMNS)
                values.update(
                    {key: table[key] for key in ("scale", "source")},
                    table=table["name"],
                    task=group["task"],
                    row=group["ceiling"]["name"],
                    label="real images against real images",
                    metric=cell["metric"],
                    status="measured",
                    is_difference=False,
                    measured=cell["measured"],
                    low=cell["low"],
                    high=cell["high"],
                    num_samples=group["ceiling"]["num_samples"],
                )
                writer.writerow([format_exact(values[key]) for key in CSV_COLUMNS])
    return out.getvalue()


def _numbers(table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the columns of numbers: every metric at every mark."""
    return table["groups"][0]["rows"][0]["cells"]


def _measured(cell: Mapping[str, Any]) -> tuple[str, str]:
    """Return a cell's measured number, and its interval and verdict, as words."""
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
    columns = _numbers(table)
    heads = ["row", *(setting_name(key) for key in table["settings"])]
    heads += [f"{column_name(column)}, {kind}" for column in columns for kind in ("paper", "here")]
    lines = [f"# {escape_markdown(_title(table))}", "", escape_markdown(table["about"]), ""]
    lines += [f"- {escape_markdown(note)}" for note in table["scale_notes"]]
    lines += [f"- **check:** {escape_markdown(flag)}" for flag in table["flags"]]
    for group in table["groups"]:
        lines += [
            "",
            f"## {escape_markdown(group['task'])}: {escape_markdown(group['task_words'])}",
        ]
        lines += ["", _markdown_row(heads), "|" + " --- |" * len(heads)]
        for row in group["rows"]:
            label = row["label"] + "".join(f" ({mark})" for mark in row["footnotes"])
            cells = [label, *(format_setting(row["settings"].get(k)) for k in table["settings"])]
            for cell in row["cells"]:
                number, interval = _measured(cell)
                paper = format_published(cell["published"], signed=cell["is_difference"])
                cells += [paper, f"{number} ({interval})" if interval else number]
            lines.append(_markdown_row(cells))
        if group["ceiling"]:
            cells = [_ceiling_label(group["ceiling"]), *("" for _ in table["settings"])]
            by_metric = {cell["metric"]: cell for cell in group["ceiling"]["cells"]}
            for column in columns:
                value = by_metric[column["metric"]]["measured"]
                cells += ["", format_number(value, column["metric"])]
            lines.append(_markdown_row(cells))
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


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(escape_markdown(cell) for cell in cells) + " |"


def render_latex(table: Mapping[str, Any]) -> str:
    """Write the table as a LaTeX float; it needs the package booktabs."""
    columns = _numbers(table)
    settings = table["settings"]
    width = 1 + len(settings) + 2 * len(columns)
    spans = [rf"\multicolumn{{2}}{{c}}{{{escape_tex(column_name(column))}}}" for column in columns]
    heads = ["", *(escape_tex(setting_name(key)) for key in settings)]
    lines = [
        "% needs \\usepackage{booktabs}; made from the metrics files, not by hand",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_tex(_title(table))}. {escape_tex(table['about'])}}}",
        rf"\label{{tab:{table['name'].replace('_', '-')}}}",
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
        for row in group["rows"]:
            label = escape_tex(row["label"])
            if row["footnotes"]:
                label += rf"\textsuperscript{{{','.join(row['footnotes'])}}}"
            cells = [label, *(escape_tex(format_setting(row["settings"].get(k))) for k in settings)]
            for cell in row["cells"]:
                number, interval = _measured(cell)
                paper = format_published(cell["published"], signed=cell["is_difference"])
                here = escape_tex(number)
                if interval:
                    here += rf" {{\scriptsize ({escape_tex(interval)})}}"
                cells += [escape_tex(paper), here]
            lines.append(" & ".join(cells) + r" \\")
        if group["ceiling"]:
            cells = [escape_tex(_ceiling_label(group["ceiling"])), *("" for _ in settings)]
            by_metric = {cell["metric"]: cell for cell in group["ceiling"]["cells"]}
            for column in columns:
                value = by_metric[column["metric"]]["measured"]
                cells += ["", escape_tex(format_number(value, column["metric"]))]
            lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table["footnotes"]:
        notes = " ".join(
            rf"\textsuperscript{{{note['mark']}}}{escape_tex(_note(note))}."
            for note in table["footnotes"]
        )
        lines.append(rf"\par\smallskip\footnotesize {notes}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"
