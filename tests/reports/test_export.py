import csv
import io

import pytest

from reports.export import CSV_COLUMNS, render_csv, render_latex, render_markdown
from reports.tables import make_table

HOSTILE = r'<script>alert("&%_|$")</script>'


@pytest.fixture
def table(project, make_spec, make_row, make_claim):
    rows = [
        make_row("a", project.write_metrics("a", fid=(12.0, 0.5)), label=HOSTILE),
        make_row("gan", kind="baseline", reason="quoted"),
    ]
    ceilings = {"imagenet_256": project.write_metrics("real", fid=0.25)}
    claims = [make_claim("fid", "a", "less", "gan")]
    return make_table(make_spec(rows, claims=claims, ceilings=ceilings))


def test_csv_has_a_line_per_number(table):
    lines = list(csv.DictReader(io.StringIO(render_csv(table))))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert len(lines) == 6
    first = lines[0]
    assert first["label"] == HOSTILE
    assert (first["measured"], first["low"], first["high"]) == ("12", "11", "13")
    assert lines[2]["measured"] == "" and lines[2]["status"] == "published value"
    assert lines[4]["row"] == "real" and lines[4]["measured"] == "0.25"


def test_markdown_escapes_labels_and_lists_claims(table):
    text = render_markdown(table)
    assert "<script>" not in text
    assert r"\|" in text
    assert "12.00 (11.00 to 13.00)" in text
    assert "- **not run**: a less gan" in text
    body = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in body}) == 1


def test_latex_escapes_labels_and_is_balanced(table):
    text = render_latex(table)
    assert r"\textless{}script\textgreater{}" in text
    assert r"\&\%\_\textbar{}\$" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    rows = [
        line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]
    assert len({line.replace(r"\&", "").count("&") for line in rows}) == 1
    assert r"\label{tab:table3}" in text
