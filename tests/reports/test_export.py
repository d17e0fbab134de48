import csv
import io

import pytest

from reports.export import CSV_COLUMNS, make_frame, render_csv, render_latex, render_markdown
from reports.render import render_table
from tests.reports.conftest import evaluate

HOSTILE = r'<script>alert("&%_|$")</script>'


@pytest.fixture
def table(project, make_spec, make_row, make_claim):
    rows = [
        make_row("a", project.write_metrics("a", fid=(12.0, 0.5)), label=HOSTILE),
        make_row("gan", kind="baseline", reason="quoted"),
    ]
    ceilings = {"imagenet_256": project.write_metrics("real", fid=0.25)}
    claims = [make_claim("fid", "a", "less", "gan")]
    return evaluate(make_spec(rows, claims=claims, ceilings=ceilings))


def test_csv_has_a_line_per_number(table):
    lines = list(csv.DictReader(io.StringIO(render_csv(table))))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert len(lines) == 6
    first = lines[0]
    assert first["label"] == HOSTILE
    assert (first["measured"], first["low"], first["high"]) == ("12", "11", "13")
    assert lines[2]["measured"] == "" and lines[2]["status"] == "published value"
    assert lines[4]["row"] == "real" and lines[4]["measured"] == "0.25"


@pytest.fixture
def compared(project, make_spec, make_row):
    """Differences with verdicts; of the second row another source, of the first an older one."""
    rows = [
        make_row("a", project.write_metrics("a", fid=15.0), published={"final": {"fid": 15.0}}),
        make_row("b", project.write_metrics("b", fid=15.1), published={"final": {"fid": -1.0}}),
    ]
    for row, name, digest in ((rows[0], "c", "e"), (rows[1], "d", "d")):
        path = project.write_metrics(name, fid=14.001, num_samples=500)
        row["cells"]["final"]["others"] = {"rescore": {"path": path, "digest": digest * 64}}
    return evaluate(make_spec(rows, layout="deltas", agreement={"reference_images": 1000}))


def test_other_sources_are_lines_of_the_csv(compared):
    lines = list(csv.DictReader(io.StringIO(render_csv(compared))))
    fid = [line for line in lines if line["metric"] == "fid"]
    assert [(line["row"], line["source"]) for line in fid] == [
        ("a", "retrain"), ("a", "rescore"), ("b", "retrain"), ("b", "rescore"),
    ]  # fmt: skip
    older, own, other = fid[1:]
    assert (older["status"], older["measured"]) == ("other settings", "")
    keys = ("published", "is_difference", "absolute_published", "absolute", "agreement")
    assert [own[key] for key in keys] == ["-1", "true", "14", "15.1", "differs"]
    assert [other[key] for key in keys] == ["14", "false", "", "", "agrees"]
    assert (other["measured"], other["num_samples"]) == ("14.001", "500")


def test_markdown_and_latex_judge_values_and_name_other_sources(compared):
    text = render_markdown(compared)
    differences, values = text.split("### The measured values themselves")
    assert "differs" not in differences and "rescore" not in differences
    assert "| b | no | 14.00 | 15.10 (15.08 to 15.12; differs) |" in values.replace(" – |", "")
    assert "| b: rescore | no | 14.00 | 14.00 (13.98 to 14.02; agrees) |" in values
    assert "| a: rescore | no | 15.00 | other settings |" in values
    differences, values = render_latex(compared).split("The measured values themselves")
    assert "differs" not in differences and "rescore" not in differences
    assert r"b: rescore & no & 14.00 & 14.00 {\scriptsize (13.98 to 14.02; agrees)}" in values
    assert values.count(r"\begin{tabular}") == differences.count(r"\begin{tabular}") == 1


def test_the_frame_has_a_line_per_row_source_and_ceiling(table, compared):
    frame = make_frame(table, absolute=False)
    assert list(frame.columns[:3]) == [("", ""), ("guidance", ""), ("FID", "paper")]
    assert set(frame.index) == {"imagenet_256: 8x8 digits"}
    assert list(frame["FID", "here"]) == [
        ("12.00", "11.00 to 13.00", ""), ("published value", "", ""), ("0.25", "0.23 to 0.27", ""),
    ]  # fmt: skip
    assert frame.iat[0, 0] == (HOSTILE, "", "") and frame.iat[1, 0] == ("gan", "", "a")
    labels = [label for label, _, _ in make_frame(compared, absolute=True).iloc[:, 0]]
    assert labels == ["a", "a: rescore", "b", "b: rescore"]


def test_numbers_are_the_same_in_all_three_formats(compared):
    lines = csv.DictReader(io.StringIO(render_csv(compared)))
    values = [line["absolute"] or line["measured"] for line in lines]
    texts = [f"{float(value):.2f}" for value in values if value]
    assert len(texts) == 6
    for text in (render_markdown(compared), render_latex(compared)):
        assert all(value in text for value in texts)


def test_groups_have_rules_and_headings(project, make_spec, make_row):
    rows = [make_row("a", project.write_metrics("a")), make_row("b", task="other_task")]
    text = render_latex(evaluate(make_spec(rows, layout="by_task")))
    assert text.count(r"\midrule") == 2
    heading = r"\multicolumn{6}{l}{\emph{other\_task: 8x8 digits}} \\"
    assert text.splitlines().index(heading) > 6
    assert render_latex(evaluate(make_spec(rows))).count("midrule") == 2
    markdown = render_markdown(evaluate(make_spec(rows, layout="by_task")))
    assert r"## other\_task: 8x8 digits" in markdown and markdown.count("\n| --- ") == 3


def test_real_images_are_values_with_their_interval_also_among_differences(
    project, make_spec, make_row
):
    rows = [make_row(name, project.write_metrics(name)) for name in "ab"]
    ceilings = {"imagenet_256": project.write_metrics("real", fid=0.25)}
    table = evaluate(make_spec(rows, layout="deltas", ceilings=ceilings))
    words = "real images against real images (1,000 against 1,797)"
    line = next(one for one in render_markdown(table).splitlines() if one.startswith(f"| {words}"))
    assert "(values, not differences)" in line and "| 0.25 (0.23 to 0.27) |" in line
    line = next(one for one in render_latex(table).splitlines() if one.startswith(words))
    assert r"{\scriptsize (values, not differences)}" in line
    assert r"0.25 {\scriptsize (0.23 to 0.27)}" in line
    page = render_table(table, [], [])
    row = page[page.index('<tr class="real">') :]
    row = row[: row.index("</tr>")]
    assert "values, not differences" in row and "0.25</a></b><span>0.23 to 0.27</span>" in row
    plain = evaluate(make_spec(rows, ceilings=ceilings))
    assert "not differences" not in render_markdown(plain) + render_latex(plain)


def test_markdown_escapes_labels_and_lists_claims(table):
    text = render_markdown(table)
    assert "<script>" not in text
    assert r"\|" in text
    assert "12.00 (11.00 to 13.00)" in text
    assert "- **not run**: a less gan" in text
    lines = text.partition("\n## ")[2].splitlines()  # after what differs from the paper
    body = [line for line in lines if line.startswith("|")]
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
