"""The page for reviewers: answers from manifests, whatever is missing named."""

import json

import pytest

from records.errors import UserError
from reports.cli import main, write_table
from reports.reviewer import render_checklist
from tests.records.lineage_case import CHAIN, write_chain, write_file
from tests.reports.browser import (
    MODES,
    count_px_beyond,
    find_violations,
    needs_chromium,
    open_page,
)


@pytest.fixture
def report(project, metrics, make_spec, make_row):
    """The page of a table with two training seeds, made of everything that a row can be made of."""
    root = project.folder / "results" / "digits"
    write_chain(root)
    data = {"dataset": "digits"}
    write_file(root, *CHAIN[0][:2], {}, spec=data, licence="<b>mine</b>", url="https://a.test/x")
    name, kind, inputs = CHAIN[-1]
    for path in (name, "metrics/second.json"):
        write_file(root, path, kind, inputs, content=json.dumps(metrics("row")))
    row = make_row("row", f"results/digits/{name}", ["results/digits/metrics/second.json"])
    write_table(project.write_spec(make_spec([row])), root / "report")
    stages = {"train": {"jobs": 4, "cpu_seconds": 7200.0}}
    costs = {"stages": stages, "models": [], "rows": [], "total_cpu_seconds": 7200.0}
    (root / "report" / "costs.json").write_text(json.dumps(costs))
    return root / "report"


def test_it_answers_from_manifests(report, capsys):
    out = report / "reviewer.html"
    main(["reviewer", str(report), "--out", str(out)])
    assert capsys.readouterr().out == f"{out}\n"
    page = out.read_text()
    for words in (
        "<code>snakemake --cores all reproduce_table3</code>",
        "<td>0, 1</td><td>row (imagenet_256)</td>",
        '<th scope="row">train</th><td>4</td><td>2.0 h</td>',
        "by scikit-learn: CC BY 4.0",
        '<th scope="row">https://a.test/x</th><td>&lt;b&gt;mine&lt;/b&gt;</td>',
        "0 are supported here, 0 contradicted and 0 undecided",
    ):
        assert words in page, words
    assert "<b>mine</b>" not in page and "Missing behind" not in page


def test_what_is_missing_is_named(report):
    (report.parent / "models/up/ema.safetensors").unlink()
    page = render_checklist(report)
    assert "Missing behind these pages" in page and "no weights with the SHA-256" in page


def test_without_costs_it_says_what_it_knows(report):
    (report / "costs.json").unlink()
    assert "By kind of job" not in render_checklist(report)


def test_a_broken_or_missing_report_is_told(report, tmp_path):
    with pytest.raises(UserError, match="no pages there"):
        render_checklist(tmp_path)
    (report / "costs.json").write_text('{"models": 3}')
    with pytest.raises(UserError, match=r"costs\.json"):
        render_checklist(report)


@needs_chromium
@pytest.mark.slow
def test_it_is_accessible(report, browser):
    out = report / "reviewer.html"
    main(["reviewer", str(report), "--out", str(out)])
    for mode in MODES:
        for width_px in (1440, 360):
            with open_page(browser, out, width_px=width_px, mode=mode) as page:
                assert find_violations(page) == []
                assert count_px_beyond(page) <= 0
                page.add_style_tag(content="html { font-size: 200% }")
                assert count_px_beyond(page) <= 0
