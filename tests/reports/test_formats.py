"""A table's numbers are the same in every format: all are read back and compared with the JSON."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from records.errors import main_guard
from reports.cli import main
from reports.format import format_measured

PIECES = re.compile(r"[-+\u2212]?\d[\d.]*")


class Cells(HTMLParser):
    """The texts of the number cells of each sortable table, by their class."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.where, self.inside = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "table":
            self.inside = found.get("class") == "sortable"
            self.tables += [[]] if self.inside else []
        if tag == "td" and self.inside and found.get("class") == "n":
            self.tables[-1].append({"b": "", "interval": "", "published": "", **found})
        self.where.append(found.get("class") or tag)

    def handle_endtag(self, tag):
        self.where.pop()
        self.inside = self.inside and tag != "table"

    def handle_data(self, data):
        if self.inside and self.tables[-1]:
            key = "b" if "b" in self.where else self.where[-1]
            if key in self.tables[-1][-1]:
                self.tables[-1][-1][key] += data.strip()


def numbers_of(text):
    return [float(one.replace("\u2212", "-")) for one in PIECES.findall(text)]


@pytest.fixture(params=["plain", "deltas", "by_task"])
def written(request, project, make_spec, make_row):
    """The folder of a table, and its evaluated content."""
    fids = {"a": (15.25, 0.31), "b": (9.871, 0.0123), "c": (123.4, 36.0)}
    rows = []
    for name, fid in fids.items():
        path = project.write_metrics(name, fid=fid, precision=(0.61234, 0.0213))
        published = {"final": {"fid": 15.33 if name == "a" else -0.21, "precision": 0.7}}
        rows.append(make_row(name, path, label=f"row {name}", published=published))
    ceilings = {"imagenet_256": project.write_metrics("real", fid=(0.25, 0.02))}
    spec = project.write_spec(make_spec(rows, layout=request.param, ceilings=ceilings))
    assert main_guard(main)(["table", "--spec", str(spec), "--out-dir", "report"]) == 0
    folder = project.folder / "report"
    return folder, json.loads((folder / "table3.json").read_text())


def list_shown(table, view):
    """Value, ends and the paper's number of every cell as it is written, real images last."""
    shown = []
    for group in table["groups"]:
        cells = [cell for row in group["rows"] for cell in row["cells"]]
        for cell in cells:
            if view == "values":
                cell = cell["absolute"] or cell
            elif cell["difference"]:
                cell = cell["difference"]
            number, interval = format_measured(cell)
            paper = cell["published"]
            shown.append((*numbers_of(number), *numbers_of(interval), round(paper, 2)))
        for cell in group["ceiling"]["cells"]:
            number, interval = format_measured(cell)
            shown.append((*numbers_of(number), *numbers_of(interval)))
    return shown


def views_of(table):
    order = ["values", "differences"]
    return order[::-1] if table["layout"] == "deltas" else order


def test_html(written):
    folder, table = written
    found = Cells((folder / "table3.html").read_text()).tables
    assert len(found) == 2
    for cells, view in zip(found, views_of(table), strict=True):
        read = [
            tuple(numbers_of(cell["b"]) + numbers_of(cell["interval"]))
            + tuple(numbers_of(cell["published"]))
            for cell in cells
        ]
        assert read == list_shown(table, view)


def test_markdown(written):
    folder, table = written
    parts = (folder / "table3.md").read_text().split("\n## ")[1:]
    for part, view in zip(parts, views_of(table), strict=True):
        read = []
        for line in [one for one in part.splitlines() if one.startswith("| r")][1:]:
            cells = line.replace("\\", "").strip("| ").split(" | ")[2:]
            for paper, here in zip(cells[::2], cells[1::2], strict=True):
                read.append((*numbers_of(here), *numbers_of(paper)))
        assert read == list_shown(table, view)


def test_latex(written):
    folder, table = written
    parts = (folder / "table3.tex").read_text().split(r"\begin{tabular}")[1:3]
    for part, view in zip(parts, views_of(table), strict=True):
        read = []
        for line in part.replace("$-$", "-").splitlines():
            cells = line.removesuffix(r" \\").split(" & ")[2:]
            if r"^{" not in line:
                continue
            for paper, number, ends in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
                up, down = map(float, re.findall(r"\{([-+][\d.]+)\}", ends))
                value = float(number)
                digits = len(number.partition(".")[2])
                low, high = round(value + down, digits), round(value + up, digits)
                read.append((value, low, high, *numbers_of(paper)))
        assert read == list_shown(table, view)


def test_csv_has_what_the_json_has(written):
    folder, table = written
    lines = list(csv.DictReader(io.StringIO((folder / "table3.csv").read_text())))
    cells = [cell for group in table["groups"] for row in group["rows"] for cell in row["cells"]]
    cells += [cell for group in table["groups"] for cell in group["ceiling"]["cells"]]
    assert len(lines) == len(cells)
    for line, cell in zip(lines, cells, strict=True):
        value = cell.get("absolute") or cell
        difference = cell if cell.get("is_difference") else cell.get("difference") or {}
        for key in ("measured", "std_error", "low", "high", "published"):
            expected = value.get(key)
            assert line[key] == ("" if expected is None else repr(expected))
        for key, name in (("difference", "measured"), ("difference_low", "low")):
            expected = difference.get(name)
            assert line[key] == ("" if expected is None else repr(expected))
