"""PDF and screenshots of finished pages."""

import re
import shutil
from pathlib import Path

import pytest

from records.errors import UserError, main_guard
from reports.browser import SCREENSHOTS, join_tables, launch, print_pdf, take_screenshots
from reports.cli import main
from tests.reports.browser import MODES, needs_chromium


@pytest.fixture
def report(project, make_spec, make_row):
    for number in (3, 4):
        rows = [make_row("a", project.write_metrics("a", fid=12.5), label=f"row of {number}")]
        spec = make_spec(rows)
        spec["table"] |= {"name": f"table{number}", "neurips": number}
        path = project.write_spec(spec)
        assert main_guard(main)(["table", "--spec", str(path), "--out-dir", "report"]) == 0
    folder = project.folder / "report"
    tables = [str(folder / f"table{number}.json") for number in (3, 4)]
    assert main_guard(main)(["index", *tables, "--out-dir", "report"]) == 0
    return folder


def test_joined_tables_are_whole_and_need_no_other_page(report):
    text = join_tables([report / "table3.html", report / "table4.html"])
    assert text.count('<section class="sheet">') == text.count("<h1>") == 2
    assert "row of 3" in text and "row of 4" in text and "12.5" in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids)) and "href" not in text


def test_without_a_report_or_a_browser_nothing_is_written(tmp_path, monkeypatch):
    for make in (print_pdf, take_screenshots):
        with pytest.raises(UserError, match="make one, with make reproduce"):
            make(tmp_path, tmp_path / "out")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="no Chromium on the PATH"), launch():
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_readme_shows_all_screenshots():
    root = Path(__file__).resolve().parents[2]
    shown = re.findall(r'"(docs/images/[^"]+)"', (root / "README.md").read_text())
    named = [f"docs/images/{name}-{mode}.png" for name in SCREENSHOTS for mode in MODES]
    assert sorted(shown) == sorted(named)
    assert all((root / one).stat().st_size < 300_000 for one in shown)


@pytest.mark.slow
@needs_chromium
def test_pdf_and_screenshots(report, project, capsys):
    run = main_guard(main)
    assert run(["pdf", "report", "--out", "tables.pdf"]) == 0
    pdf = (project.folder / "tables.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", pdf)) == 2
    assert run(["screenshots", "report", "--out", "images"]) == 0
    pictures = sorted((project.folder / "images").iterdir())
    names = [f"{name}-{mode}.png" for name in ("index", "table3") for mode in ("dark", "light")]
    assert [one.name for one in pictures] == names
    assert all(1000 < one.stat().st_size < 300_000 for one in pictures)
    assert pictures[0].read_bytes() != pictures[1].read_bytes()
