"""Tables for other programs: CSV, Markdown and LaTeX.

pandas is imported where a table is written: it takes half a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from pandas import DataFrame

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
    import pandas

    lines = [
        {key: format_exact(value) for key, value in line.items()} for line in _list_csv_lines(table)
    ]
    return pandas.DataFrame(lines, columns=CSV_COLUMNS).to_csv(index=False, lineterminator="\n")


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


def make_frame(table: Mapping[str, Any], *, absolute: bool) -> DataFrame:
    """Lay a table out as it is printed: other sources beneath each row, real images last.

    Args:
        table: evaluated table (reports.tables.make_table).
        absolute: the rows' own values instead of differences, without real images.

    Returns:
        A frame with the task of each line as index and pairs of headings as columns. A cell is its
        text, the words on it in small print, and the marks of its notes.
    """
    import pandas

    columns = table["groups"][0]["rows"][0]["cells"]
    heads = [("", ""), *((setting_name(key), "") for key in table["settings"])]
    heads += [(column_name(column), kind) for column in columns for kind in ("paper", "here")]
    tasks, lines = [], []
    for group in table["groups"]:
        for row in group["rows"]:
            lines += _list_lines(table, row, absolute=absolute)
        if group["ceiling"] and not absolute:
            lines.append(_make_ceiling_line(table, columns, group["ceiling"]))
        tasks += [f"{group['task']}: {group['task_words']}"] * (len(lines) - len(tasks))
    return pandas.DataFrame(lines, tasks, pandas.MultiIndex.from_tuples(heads))


def _list_lines(
    table: Mapping[str, Any], row: Mapping[str, Any], *, absolute: bool
) -> list[list[tuple[str, str, str]]]:
    """Return the cells of a row, and beneath them those of each other source."""
    cells = [cell["absolute"] if absolute else cell for cell in row["cells"]]
    settings = [(format_setting(row["settings"].get(key)), "", "") for key in table["settings"]]
    named = {(row["label"], "", ",".join(row["footnotes"])): cells}
    for source in dict.fromkeys(one["source"] for cell in cells for one in cell["others"]):
        named[f"{row['label']}: {source}", "", ""] = [_find_other(cell, source) for cell in cells]
    lines = []
    for label, numbers in named.items():
        lines.append([label, *settings])
        for cell, number in zip(cells, numbers, strict=True):
            paper = format_published(cell["published"], signed=cell["is_difference"])
            lines[-1] += [(paper, "", ""), (*_measured(number), "")]
    return lines


def _find_other(cell: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return what another source says of a cell, as a cell; a dash where it says nothing."""
    nothing = {"status": "measured", "measured": None, "agreement": None}
    found = next((one for one in cell["others"] if one["source"] == source), nothing)
    return {**found, "metric": cell["metric"], "is_difference": False}


def _make_ceiling_line(
    table: Mapping[str, Any], columns: list[Mapping[str, Any]], ceiling: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Return the cells of real images, whose numbers are the same at every mark."""
    label = (
        f"real images against real images ({format_count(ceiling['num_samples'])} against "
        f"{format_count(ceiling['num_reference'])})"
    )
    common = {"status": "measured", "is_difference": False, "agreement": None}
    known = {cell["metric"]: {**common, **cell} for cell in ceiling["cells"]}
    words = "values, not differences" if table["layout"] == "deltas" else ""
    line = [(label, words, ""), *(("", "", "") for _ in table["settings"])]
    for column in columns:
        line += [("", "", ""), (*_measured(known[column["metric"]]), "")]
    return line


def _note(note: Mapping[str, str]) -> str:
    return f"{note['text']} {note['command']}".strip()


def _title(table: Mapping[str, Any]) -> str:
    first = f"NeurIPS 2021 Table {table['neurips']}, " if table["neurips"] else ""
    return (
        f"{table['title']} ({first}arXiv v4 Table "
        f"{table['arxiv_v4']}; scale {table['scale']}, source {table['source']})"
    )


def render_markdown(table: Mapping[str, Any]) -> str:
    """Write the table, its notes and its claims as Markdown."""
    lines = [f"# {escape_markdown(_title(table))}", "", escape_markdown(table["about"]), ""]
    lines += [f"- {escape_markdown(note)}" for note in table["scale_notes"]]
    if table["differences"]:
        lines += ["", "| what differs | paper | here |", "| --- | --- | --- |"]
        lines += [
            f"| {' | '.join(escape_markdown(one[key]) for key in ('what', 'paper', 'here'))} |"
            for one in table["differences"]
        ]
        lines.append("")
    lines += [f"- **check:** {escape_markdown(flag)}" for flag in table["flags"]]
    frame = make_frame(table, absolute=False)
    for task, part in frame.groupby(level=0, sort=False):
        lines += ["", f"## {escape_markdown(str(task))}", "", *_list_markdown_lines(part)]
        if table["layout"] == "deltas":
            values = make_frame(table, absolute=True).loc[[task]]
            lines += ["", f"### {ABSOLUTE}", "", *_list_markdown_lines(values)]
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


def _list_markdown_lines(frame: DataFrame) -> list[str]:
    heads = [", ".join(filter(None, head)) or "row" for head in frame.columns]
    cells = frame.map(lambda cell: cell[0] + "".join(f" ({words})" for words in cell[1:] if words))
    lines = [heads, ["---"] * len(heads), *cells.to_numpy()]
    return ["| " + " | ".join(map(escape_markdown, line)) + " |" for line in lines]


def render_latex(table: Mapping[str, Any]) -> str:
    """Write the table as a LaTeX float; it needs the package booktabs."""
    lines = [
        "% needs \\usepackage{booktabs}; made from the metrics files, not by hand",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_tex(_title(table))}. {escape_tex(table['about'])}}}",
        rf"\label{{tab:{table['name'].replace('_', '-')}}}",
        _make_tabular(table, absolute=False),
    ]
    if table["layout"] == "deltas":
        lines += [rf"\par\medskip {ABSOLUTE}:\par\smallskip", _make_tabular(table, absolute=True)]
    if table["differences"]:
        words = "; ".join(
            f"{d['what']}: {d['here']} (paper: {d['paper']})" for d in table["differences"]
        )
        lines.append(rf"\par\smallskip\footnotesize Differs from the paper: {escape_tex(words)}.")
    if table["footnotes"]:
        notes = " ".join(
            rf"\textsuperscript{{{note['mark']}}}{escape_tex(_note(note))}."
            for note in table["footnotes"]
        )
        lines.append(rf"\par\smallskip\footnotesize {notes}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _make_tabular(table: Mapping[str, Any], *, absolute: bool) -> str:
    frame = make_frame(table, absolute=absolute).rename(columns=escape_tex).map(_make_tex_cell)
    # pandas has no headings between rows: they go in front of the first cell beneath them.
    for place in (~frame.index.duplicated()).nonzero()[0]:
        heading = escape_tex(frame.index[place])
        heading = rf"\multicolumn{{{frame.shape[1]}}}{{l}}{{\emph{{{heading}}}}} \\" + "\n"
        above = heading if table["layout"] == "by_task" else ""
        frame.iat[place, 0] = ("\\midrule\n" if place else "") + above + frame.iat[place, 0]
    num_texts = 1 + len(table["settings"])
    form = "l" * num_texts + "rl" * ((frame.shape[1] - num_texts) // 2)
    return frame.to_latex(
        index=False, escape=False, column_format=form, multicolumn_format="c"
    ).strip()


def _make_tex_cell(cell: tuple[str, str, str]) -> str:
    text, words, notes = map(escape_tex, cell)
    small = rf" {{\scriptsize ({words})}}" if words else ""
    return text + small + (rf"\textsuperscript{{{notes}}}" if notes else "")
