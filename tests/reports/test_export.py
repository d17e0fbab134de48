import csv
import io

import pytest

from reports.export import CSV_COLUMNS, render_csv, render_markdown
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


def read_csv(table):
    return list(csv.DictReader(io.StringIO(render_csv(table))))


def test_csv_has_a_line_per_number(table):
    lines = read_csv(table)
    assert tuple(lines[0]) == CSV_COLUMNS
    assert len(lines) == 6
    first = lines[0]
    assert first["label"] == HOSTILE
    keys = ("measured", "std_error", "low", "high", "num_seeds", "seed_spread", "digest")
    values = ["12.0", "0.5", "11.0", "13.0", "1", "", "d" * 64]
    assert [first[key] for key in keys] == values
    assert lines[2]["measured"] == "" and lines[2]["status"] == "published value"
    assert lines[4]["row"] == "real" and lines[4]["measured"] == "0.25"


def test_csv_has_every_digit_and_what_lies_between_seeds(project, make_spec, make_row):
    paths = [project.write_metrics(f"a{seed}", fid=10 + seed / 3, seed=seed) for seed in (0, 1)]
    first = project.write_metrics("first", fid=9.1)
    rows = [make_row("first", first), make_row("a", paths[0], seeds=paths[1:])]
    line = read_csv(evaluate(make_spec(rows)))[2]
    mean = (10 + 1 / 3 + 10) / 2
    assert float(line["measured"]) == mean and line["num_seeds"] == "2" and line["rank"] == "1"
    assert float(line["seed_spread"]) == pytest.approx(1 / 3 / 2**0.5)
    assert float(line["difference"]) == 10 - 9.1  # of the seed that both were trained with


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_labels_are_no_formulas_of_a_spreadsheet(project, make_spec, make_row, start):
    label = f'{start}HYPERLINK("http://example.org")'
    table = evaluate(make_spec([make_row("a", project.write_metrics("a", fid=9.0), label=label)]))
    line = read_csv(table)[0]
    assert line["label"] == f"'{label}" and line["measured"] == "9.0"


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
    fid = [line for line in read_csv(compared) if line["metric"] == "fid"]
    assert [(line["row"], line["source"]) for line in fid] == [
        ("a", "retrain"), ("a", "rescore"), ("b", "retrain"), ("b", "rescore"),
    ]  # fmt: skip
    older, own, other = fid[1:]
    assert (older["status"], older["measured"]) == ("other settings", "")
    keys = ("difference_published", "difference", "published", "measured", "agreement")
    assert [own[key] for key in keys] == ["-1.0", repr(15.1 - 15), "14.0", "15.1", "differs"]
    assert [other[key] for key in keys] == ["", "", "14.0", "14.001", "agrees"]
    assert other["num_samples"] == "500"


def test_markdown_judges_values_and_names_other_sources(compared):
    differences, values = render_markdown(compared).split("## Measured values")
    assert "differs" not in differences and "rescore" not in differences
    assert "| b | no | 14.00 | 15.100 (15.080 to 15.120; differs) |" in values.replace(" – |", "")
    assert "| b: rescore | no | 14.00 | 14.001 (13.981 to 14.021; agrees) |" in values
    assert "| a: rescore | no | 15.00 | other settings |" in values


def test_groups_have_headings(project, make_spec, make_row):
    rows = [make_row("a", project.write_metrics("a")), make_row("b", task="other_task")]
    markdown = render_markdown(evaluate(make_spec(rows, layout="by_task")))
    assert r"## other\_task: 8x8 digits" in markdown and markdown.count("\n| --- ") == 3


def test_real_images_are_values_with_their_interval_also_among_differences(
    project, make_spec, make_row
):
    rows = [make_row(name, project.write_metrics(name)) for name in "ab"]
    ceilings = {"imagenet_256": project.write_metrics("real", fid=0.25)}
    table = evaluate(make_spec(rows, layout="deltas", ceilings=ceilings))
    words = "| real images against real images (1,000 against 1,797; values, not differences) |"
    line = next(one for one in render_markdown(table).splitlines() if one.startswith(words))
    assert "| 0.250 (0.230 to 0.270) |" in line


def test_markdown_escapes_labels_and_lists_claims(table):
    text = render_markdown(table)
    assert "<script>" not in text
    assert r"\|" in text
    assert "12.0 (11.0 to 13.0)" in text
    assert "- **not run**: a less gan" in text
    lines = text.partition("\n## ")[2].splitlines()  # after what differs from the paper
    body = [line for line in lines if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in body}) == 1
