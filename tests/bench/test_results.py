"""The page of results: made from the tables of a run, below a head that stays."""

import json

import pytest

from bench import results
from records.batches import write_batch
from reports.cli import write_table
from tests.reports.conftest import DIGEST, metrics_content
from workflow.settings import load_plan
from workflow.table_spec import make_table_spec, table_inputs

HEAD = f"# Results\n\nOn my machine.\n\n{results.MARKER}\n"
COMMIT = "c0ffee"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Tables 1 and 4 of the embedded scale with made-up numbers, and the times of some jobs."""
    monkeypatch.chdir(tmp_path)
    plan = load_plan({"results": "results"})
    for name in ("table1", "table4"):
        spec = make_table_spec(plan, name).content()
        for group in ("metrics", "ceilings"):
            for path in table_inputs(plan, name)[group]:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                values = {"sfid": 20.0, "is": 8.0, "recall": 0.5, "fid": float(10 + len(path))}
                content = metrics_content(path, num_samples=500, **values)
                (tmp_path / path).write_text(json.dumps(content))
        path = tmp_path / f"{name}.spec.json"
        path.write_text(json.dumps(without_pictures(spec)))
        write_table(path, tmp_path / "results/digits/report")
        (tmp_path / f"results/digits/report/{name}.manifest.json").unlink()  # what this test took
    for job, line in {"train/arch_heads-700K": "10 8 1", "sample/t3_cond": "5 4 0.5"}.items():
        path = tmp_path / f"results/digits/logs/{job}.times"
        path.parent.mkdir(parents=True)
        path.write_text(f"{line}\n")
    return tmp_path / "results/digits"


def without_pictures(spec):
    """A table's specification without files that are no numbers, for numbers that are made up."""
    made_up = {"digest": DIGEST, "samples": None}
    for row in spec["rows"]:
        for cell in row["cells"].values():
            cell["samples"] = None
            for one in [*cell["seeds"], *([cell] if cell["metrics"] else [])]:
                one["metrics"] |= made_up
    ceilings = {task: one | made_up for task, one in spec["ceilings"].items()}
    return {**spec, "classifiers": [], "ceilings": ceilings}


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "results.md"
    path.write_text(HEAD + "\nwhat was there before\n")
    return path


def test_the_page_tells_costs_tables_and_claims(root, page, capsys):
    assert results.main([str(root), "--page", str(page)]) == 0
    assert capsys.readouterr().out == f"wrote {page}\n"
    text = page.read_text()
    assert text.startswith(HEAD) and "what was there before" not in text
    assert "took 0.2 minutes of CPU time in all" in text
    assert "| train | 1 | 9.0 s |" in text and "| arch_heads | 300 | 9.0 s |" in text
    numbers = "[JSON](../metrics/digits/retrain/table1.json)"
    pages = "[HTML](../results/digits/report/table1.html), [CSV](../results/digits/report/table1.c"
    line = f"| Table 1. Architecture ablation | 7 of 7 | 14 | {numbers} | {pages}sv)"
    assert line in text
    assert "**supported**: Greater depth at a similar size improves FID. Effect +3.08" in text
    assert "### Table 4" in text and f"- commit: {COMMIT}\n" in text
    assert len(text.splitlines()) < 100


def test_the_page_is_the_same_when_made_again(root, page):
    texts = set()
    for _ in range(2):
        assert results.main([str(root), "--page", str(page)]) == 0
        texts.add(page.read_text())
    assert len(texts) == 1


def test_costs_are_those_of_the_report_where_it_has_an_index(root, page):
    costs = {"models": [], "rows": [], "stages": {"train": {"jobs": 3, "cpu_seconds": 7200.0}}}
    costs |= {"total_cpu_seconds": 7200.0, "peak_memory_mb": 606.4}
    (root / "report/costs.json").write_text(json.dumps(costs))
    assert results.main([str(root), "--page", str(page)]) == 0
    assert "took 120.0 minutes of CPU time in all. The largest used 606 MB" in page.read_text()


def test_samples_that_are_there_are_read(root):
    from adm.datasets.digits import load_digit_images

    images, labels = load_digit_images(8)
    images = images[:50, :, :, None].repeat(3, axis=3)
    write_batch(root / "retrain/samples/t3_cond/samples.npz", images, labels[:50], {})
    text = " ".join("\n".join(results.render_recognition(root)).split())
    assert "it reads 0.963 correctly at 8×8 pixels and 0.890 at 4×4" in text
    assert "each of 1 batches" in text and "median share is 0.980; the lowest is 0.980" in text


@pytest.mark.parametrize(
    ("folder", "text", "words"),
    [
        ("empty", HEAD, "empty/report: no table there; run `make reproduce` first"),
        ("results/digits", "# Results\n", "results.md: has no line '<!-- Everything below"),
        ("results/digits", None, "results.md: no such file; name a page that has the line"),
    ],
)
def test_what_cannot_be_written_is_one_line(root, page, capsys, folder, text, words):
    page.write_text(text) if text else page.unlink()
    assert results.main([folder, "--page", str(page)]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
