"""Figures: what they plot, what they say, and what they say is missing."""

import csv
import io
import re
from xml.etree import ElementTree

import pytest

from reports.cli import write_figures
from reports.figures.page import render_points
from reports.figures.plot import make_panel_svg
from reports.figures.points import evaluate_figures
from reports.figures.words import describe_finding, describe_points, list_lacking
from reports.svg import COLOURS
from specs.figure_page import FigurePage
from specs.strict import validated
from tests.reports.conftest import page_content, row_spec
from tests.workflow.conftest import ROOT

POINTS = [("cond", 0.0), ("cond_1", 1.0), ("cond_3", 3.0), ("cond_10", 10.0)]
FID = {"cond": 6.0, "cond_1": 5.0, "cond_3": 3.5, "cond_10": 8.0}


def figure_content(project, rows=tuple(FID), panels=None, label="conditional"):
    """A sweep of one model: three rows of a table and one that the figure adds."""
    specs = {}
    for row in FID:
        paths = [f"{row}-{seed}.json" for seed in range(2)]
        if row in rows:
            for seed, path in enumerate(paths):
                name = path.removesuffix(".json")
                project.write_metrics(name, fid=(FID[row] + 0.2 * seed, 0.1), precision=0.7)
        specs[row] = row_spec(row, paths[0], paths[1:])
    added = specs.pop("cond_3") | {"published": {}}
    panels = panels or [{"across": "guidance_scale", "up": "fid"}]
    points = [
        {"table": "table3", "row": row, "mark": "final", "settings": {"guidance_scale": scale}}
        for row, scale in POINTS
    ]
    return {
        "format": 1,
        "scale": "digits",
        "source": "retrain",
        "root": "results/digits",
        "scale_notes": ["values compare only among themselves"],
        "tables": {"table3": page_content(list(specs.values()))},
        "rows": {"table3": [added]},
        "figures": [
            {
                "name": "guidance",
                "arxiv_v4": 4,
                "title": "Guidance",
                "about": "A sweep.",
                "shows": "numbers",
                "num_images": None,
                "panels": panels,
                "lines": [{"label": label, "points": points}],
            }
        ],
    }


def evaluate(content):
    problems = []
    page = validated(FigurePage, content, "figures.spec.json")
    (figure,) = evaluate_figures(page, problems)
    return figure, problems


def test_points_are_means_over_seeds_with_the_papers_values_beside(project):
    figure, problems = evaluate(figure_content(project))
    values = [one["values"]["fid"] for one in figure["lines"][0]["points"]]
    assert [round(one["measured"], 3) for one in values] == [6.1, 5.1, 3.6, 8.1]
    assert values[2]["seeds"] == {0: 3.5, 1: 3.7}
    assert [one["published"] for one in values] == [5.0, 5.0, None, 5.0]
    assert values[0]["low"] < 6.1 < values[0]["high"] and problems == []
    assert describe_finding(figure)[0].startswith(
        "FID of “conditional” is lowest at guidance scale 3 (3.60, 95\u00a0% "
    )
    assert "1,000 samples of each of 2 training seeds" in describe_points(figure)


def test_the_papers_values_lie_at_its_own_settings(project):
    content = figure_content(project, panels=[{"across": "iterations", "up": "fid"}])
    points = content["figures"][0]["lines"][0]["points"]
    for place, point in enumerate(points):
        point["settings"] = {"iterations": 100 * (place + 1)}
        point["paper_settings"] = {"iterations": 250_000 * (place + 1)}
    content["tables"]["table3"]["rows"][2]["published"]["final"]["fid"] = 3.0
    figure, _ = evaluate(content)
    finding = describe_finding(figure)[0]
    assert finding.startswith("FID of “conditional” is lowest at 300 iterations (3.60, ")
    assert finding.endswith("; in the paper at 1000K iterations (3.00).")
    text = make_panel_svg(figure, 0)
    assert "In the paper, conditional 250K: 5.00, 500K: 5.00, 1000K: 3.00." in text
    assert "Here, conditional 100: 6.10" in text
    ticks = [one.strip() for one in re.findall("<text[^>]*>([^<]*)", text)]
    assert {"100", "300", "250K", "1000K"} <= {*ticks}


def test_a_move_names_the_setting_that_grows(project):
    panels = [{"across": "precision", "up": "fid"}]
    figure, _ = evaluate(figure_content(project, panels=panels))
    assert describe_finding(figure) == [
        "“conditional”, guidance scale 0 to 10: FID rises from 6.10 to 8.10 and Precision stays at "
        "0.700."
    ]


def test_an_added_rows_interval_takes_the_spread_of_its_table_alone(project):
    figure, _ = evaluate(figure_content(project))
    widths = [
        round(one["values"]["fid"]["high"] - one["values"]["fid"]["low"], 6)
        for one in figure["lines"][0]["points"]
    ]
    assert len({*widths}) == 1


def test_what_is_missing_is_said_and_the_rest_is_shown(project):
    figure, _ = evaluate(figure_content(project, rows=("cond", "cond_10")))
    assert list_lacking(figure) == [
        "conditional, cond_1 (not run)",
        "conditional, cond_3 (not run)",
    ]
    assert "is lowest at guidance scale 0" in describe_finding(figure)[0]
    assert "conditional 0: 6.10, 10: 8.10" in make_panel_svg(figure, 0)
    (project.folder / "cond_1-0.json").write_text("{")
    project.write_metrics("cond_1-1", fid=5.2)
    figure, problems = evaluate(figure_content(project, rows=("cond", "cond_10")))
    assert list_lacking(figure)[0] == "conditional, cond_1 (1 of 2 training seeds)"
    assert any("cond_1-0.json" in one for one in problems)


def test_a_file_of_other_settings_is_not_shown(project):
    content = figure_content(project)
    content["rows"]["table3"][0]["cells"]["final"]["seeds"] = [
        {"seed": 0, "metrics": {"path": "cond_3-0.json", "digest": "e" * 64}}
    ]
    content["rows"]["table3"][0]["cells"]["final"]["metrics"]["digest"] = "e" * 64
    figure, problems = evaluate(content)
    assert list_lacking(figure) == ["conditional, cond_3 (other settings)"]
    assert any("made for another row or scale" in one for one in problems)


def test_nothing_measured_is_a_page_of_the_papers_values(project):
    write = project.write_spec(figure_content(project, rows=()))
    write_figures(write, project.folder / "report")
    page = (project.folder / "report" / "figures.html").read_text()
    assert "Nothing of it was measured yet" in page and "cond_3 (not run)" in page
    assert "In the paper, conditional 0: 5.00" in page


def test_tables_that_are_rendered_meanwhile_are_linked(project):
    content = figure_content(project)
    pages = [{"name": name, "title": f"{name}: a title"} for name in ("table1", "table3")]
    content["tables"]["table3"]["pages"] = pages
    spec, report = project.write_spec(content), project.folder / "report"
    for known, links in ([], []), (["table3"], ["index", "table3"]):
        for name in known:
            (report / f"{name}.manifest.json").write_text("{}")  # Snakemake has deleted the page
        write_figures(spec, report)
        page = (report / "figures.html").read_text().split("</nav>")[0].split("<nav")[1]
        assert re.findall(r'href="(\w+)\.html"', page) == links


def test_a_first_page_gets_its_link_or_stays_as_it_was(project, capsys):
    spec, report = project.write_spec(figure_content(project)), project.folder / "report"
    report.mkdir()
    index, table = report / "index.html", report / "table.json"
    for content, words in ((None, ""), ("{}", f"warning: {index} is as it was: {table}: not an")):
        for is_there in (False, True):
            index.unlink(missing_ok=True)
            if is_there:
                index.write_text("as it was")
            if content:
                table.write_text(content)
            write_figures(spec, report, index_tables=[str(table)])
            assert (report / "figures.html").exists() and index.exists() == is_there
            said, expected = capsys.readouterr().err, words if is_there else ""
            assert said.startswith(expected) and bool(said) == bool(expected)
            assert not is_there or index.read_text() == "as it was"


@pytest.mark.parametrize(
    "panel",
    [
        {"across": "guidance_scale", "up": "fid"},
        {"across": "guidance_scale", "up": "fid", "log": ["across", "up"]},
        {"across": "precision", "up": "fid"},
    ],
)
def test_a_figure_is_the_same_on_every_run_and_takes_the_pages_colours(project, panel):
    content = figure_content(project, panels=[panel])
    if panel.get("log"):
        for place, point in enumerate(content["figures"][0]["lines"][0]["points"]):
            point["settings"]["guidance_scale"] = 2.0**place
    figure, _ = evaluate(content)
    svg = make_panel_svg(figure, 0)
    assert svg == make_panel_svg(figure, 0)
    assert {"var(--ink)", "var(--soft)", "var(--line)", "var(--series-1)"} <= {
        *re.findall(r"var\(--[a-z0-9-]+\)", svg)
    }
    assert not re.search(r"#[0-9a-f]{6}\b", svg)  # neither black by itself nor a stand-in
    assert "</text>" in svg and 3_000 < len(svg) < 21_000
    ElementTree.fromstring(svg)


def test_points_lead_to_their_sample_sets(project):
    figure, _ = evaluate(figure_content(project, label="<i> & co", rows=("cond", "cond_1")))
    pages = {"cond-final": 'samples/a"&<b>.html', "cond_10-final": "samples/c.html"}
    (link,) = ElementTree.fromstring(make_panel_svg(figure, 0, pages)).iter("a")
    assert link.get("href") == 'samples/a"&<b>.html'
    assert link.find("title").text == "<i> & co, cond: FID 6.10 (sample set)"
    assert "<a" not in make_panel_svg(figure, 0)


def test_every_colour_of_a_figure_is_one_of_the_page():
    style = (ROOT / "reports" / "templates" / "style.css").read_text()
    assert all(f"--{name}:" in style for name in COLOURS)


def test_the_csv_holds_every_number_in_full(project):
    figure, _ = evaluate(figure_content(project, rows=("cond", "cond_1", "cond_3")))
    rows = list(csv.DictReader(io.StringIO(render_points(figure))))
    assert [float(row["guidance_scale"]) for row in rows] == [0, 1, 3, 10]
    assert [row["fid"] for row in rows] == ["6.1", "5.1", "3.6", ""]
    assert [row["fid_seed1"] for row in rows] == ["6.2", "5.2", "3.7", ""]
    assert rows[3]["status"] == "not run" and rows[3]["fid_published"] == "5.0"


def test_no_label_is_a_formula_in_a_spreadsheet(project):
    figure, _ = evaluate(figure_content(project, label="=HYPERLINK(A1)"))
    rows = list(csv.DictReader(io.StringIO(render_points(figure))))
    assert {row["line"] for row in rows} == {"'=HYPERLINK(A1)"}


def test_words_of_parameters_are_escaped(project):
    content = figure_content(project, label="<b>bold</b> & $x$")
    content["figures"][0]["title"] = "<script>alert(1)</script>"
    write_figures(project.write_spec(content), project.folder / "report")
    page = (project.folder / "report" / "figures.html").read_text()
    assert "<script>alert" not in page and "<b>bold" not in page
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; $x$" in page


def test_a_point_of_a_row_that_is_not_there_is_refused(project):
    content = figure_content(project)
    content["figures"][0]["lines"][0]["points"][0]["row"] = "nope"
    with pytest.raises(Exception, match=r"figures: guidance: nope: row: neither in table3"):
        evaluate(content)
