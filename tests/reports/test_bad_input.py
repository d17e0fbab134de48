"""A page shows what it has, says what it lacks, and never shows a number that is not its own."""

import json

import jinja2
import pytest

from records.errors import main_guard
from reports.cli import main
from reports.render import make_environment
from tests.reports.conftest import wanted

HOSTILE = "<img src=x onerror=alert(1)> \\input{/etc/passwd} $x$ & |"


def cut(text):
    return text[: len(text) // 2]


def change(**changes):
    return lambda text: json.dumps({**json.loads(text), **changes})


def put_value(value):
    return lambda text: text.replace('"value": 77.25', f'"value": {value}')


BROKEN = {
    "missing": (None, "not run"),
    "cut short": (cut, "broken file"),
    "no JSON object": (lambda _: "[]", "broken file"),
    "older format": (change(format=0), "broken file"),
    "another row, scale or network": (change(digest="e" * 64), "other settings"),
    "NaN": (put_value("NaN"), "broken file"),
    "infinite": (put_value("Infinity"), "broken file"),
    "impossible": (put_value("-1.0"), "broken file"),
}


@pytest.fixture
def render(project, make_spec, make_row):
    """Write the page of a good row and one whose file was changed; return the page's texts."""

    def write(break_file, layout="plain", **options):
        path = project.write_metrics("bad", fid=77.25)
        text = (project.folder / path).read_text()
        if break_file is None:
            (project.folder / path).unlink()
        else:
            (project.folder / path).write_text(break_file(text))
        good = make_row("good", project.write_metrics("good", fid=4.5))
        rows = [good, make_row("bad", path, **options)]
        spec = project.write_spec(make_spec(rows, layout=layout))
        assert main_guard(main)(["table", "--spec", str(spec), "--out-dir", "report"]) == 0
        report = project.folder / "report"
        return {path.suffix: path.read_text() for path in report.iterdir()}

    return write


@pytest.mark.parametrize("layout", ["plain", "deltas"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_shown_costs_its_own_cells(render, case, layout):
    break_file, status = BROKEN[case]
    texts = render(break_file, layout)
    for ending in (".html", ".md", ".tex", ".csv"):
        assert "77.2" not in texts[ending]
        assert "4.5" in texts[ending] and status in texts[ending]
    assert "snakemake --cores all reproduce_table3" in texts[".html"]
    if case != "missing":
        assert "bad.json" in texts[".html"].split('id="claims"')[0].split('id="check"')[1]


@pytest.mark.parametrize("lost", ["row-0", "row-1"])
def test_a_mean_says_which_training_seeds_it_lacks(project, make_spec, make_row, lost):
    names = [f"row-{seed}" for seed in range(3)]
    first, *others = [project.write_metrics(name, fid=4.5) for name in names]
    (project.folder / f"{lost}.json").unlink()
    spec = project.write_spec(make_spec([make_row("row", first, others)]))
    assert main_guard(main)(["table", "--spec", str(spec), "--out-dir", "report"]) == 0
    texts = {one.suffix: one.read_text() for one in (project.folder / "report").iterdir()}
    for ending in (".html", ".md", ".tex"):
        assert f"mean without training seed {lost[-1]}; to run it:" in texts[ending]
    fid = next(one for one in texts[".csv"].splitlines() if ",fid," in one)
    assert ",fid,measured," in fid and ",4.5," in fid and ",2," in fid


@pytest.mark.parametrize("label", [HOSTILE, '=HYPERLINK("x")', "+1", "-1", "@SUM(A1)"])
def test_labels_do_nothing_anywhere(render, label):
    texts = render(lambda text: text, label=label)
    assert "<img src=x" not in texts[".html"] + texts[".md"]
    assert r"\input{" not in texts[".tex"]
    cells = [line.split(",")[5].strip('"') for line in texts[".csv"].splitlines()[1:]]
    assert not [cell for cell in cells if cell[:1] in "=+-@"]


def test_a_row_without_samples_and_images_that_are_missing_are_said(project, make_spec, make_row):
    rows = [make_row(name, project.write_metrics(name)) for name in ("none", "gone", "torn")]
    rows[1]["cells"]["final"]["samples"] = wanted("gone.npz")
    rows[2]["cells"]["final"]["samples"] = wanted("torn.npz")
    (project.folder / "torn.npz").write_bytes(b"no images")
    spec = project.write_spec(make_spec(rows))
    assert main_guard(main)(["table", "--spec", str(spec), "--out-dir", "report"]) == 0
    text = (project.folder / "report" / "table3.html").read_text()
    assert text.count("10.000") > 3 and "torn.npz" in text.split('id="check"')[1]
    assert "No images here of: gone; torn." in text


def test_a_template_that_names_a_missing_field_fails_with_its_name():
    template = make_environment().from_string("{{ table.no_such_field }}")
    with pytest.raises(jinja2.UndefinedError, match="no_such_field"):
        template.render(table={"name": "table3"})
