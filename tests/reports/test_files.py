"""What is shown of the files behind a page: of this page's settings, and whole."""

import json

import pytest

from records.files import sha256_file
from reports.cli import load_table, main
from reports.files import BROKEN, MEASURED, NOT_RUN, OTHER_SETTINGS, find_metrics
from specs.page import WantedMetrics
from specs.results import read_metrics
from tests.reports.conftest import DIGEST, evaluate, metrics_content, wanted
from tests.reports.test_tables import rows_of


def find(path, digest=DIGEST, samples=None):
    return find_metrics(WantedMetrics(path=path, digest=digest, samples=samples))


def write_samples_of(project, digest):
    content = metrics_content("a")
    content["protocol"]["samples"]["digest"] = digest
    (project.folder / "a.json").write_text(json.dumps(content))
    return "a.json"


def test_a_file_is_shown_when_it_has_the_digest_of_the_plan(project):
    path = project.write_metrics("a")
    assert find_metrics(None).status == find("none.json").status == NOT_RUN
    found = find(path)
    assert (found.status, found.content.name, found.problem) == (MEASURED, "a", None)
    for digest in ("e" * 64, "0" * 64):
        found = find(path, digest=digest)
        assert (found.status, found.content) == (OTHER_SETTINGS, None)
        assert found.problem.startswith("a.json: made for another row or scale, or with other sett")
        assert f"needed {digest[:12]}" in found.problem


def test_numbers_of_other_samples_under_a_right_digest_are_not_shown(project):
    path = write_samples_of(project, "a" * 64)
    assert find(path, samples="a" * 64).status == MEASURED
    found = find(path, samples="b" * 64)
    assert (found.status, found.content) == (OTHER_SETTINGS, None)
    assert found.problem.startswith("a.json: protocol: samples: made for another row or scale")


def test_a_file_without_a_digest_is_nobody_s(project):
    content = metrics_content("a")
    del content["digest"]
    (project.folder / "a.json").write_text(json.dumps(content))
    assert find("a.json").status == OTHER_SETTINGS


BREAKS = {
    "cut": lambda path: path.write_text(path.read_text()[:40]),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "value": lambda path: path.write_text(json.dumps(metrics_content("b", precision=7.5))),
    "digest": lambda path: path.write_text(
        json.dumps({**metrics_content("b"), "digest": "0" * 64})
    ),
}


@pytest.mark.parametrize("place", ["cell", "seed", "ceiling"])
@pytest.mark.parametrize("how", BREAKS)
def test_one_such_file_costs_its_own_cells_alone(
    project, make_spec, make_row, make_claim, capsys, how, place
):
    first, second = (project.write_metrics(name) for name in "ab")
    BREAKS[how](project.folder / second)
    rows = [make_row("a", first), make_row("b", second if place == "cell" else None)]
    if place == "seed":
        rows[0]["cells"]["final"]["seeds"].append({"seed": 1, "metrics": wanted(second)})
    ceilings = {"imagenet_256": second} if place == "ceiling" else {}
    claims = [make_claim("fid", "b", "less", "a")]
    path = project.write_spec(make_spec(rows, claims=claims, ceilings=ceilings))
    assert main(["table", "--spec", str(path), "--out-dir", "x"]) is None
    table = load_table("x/table3.json")
    cells = rows_of(table)
    assert cells["a"]["cells"][0]["measured"] == 10.0 and cells["b"]["cells"][0]["measured"] is None
    status = OTHER_SETTINGS if how == "digest" else BROKEN
    assert cells["b"]["cells"][0]["status"] == (status if place == "cell" else NOT_RUN)
    assert table["claims"][0]["verdict"] == "not run"
    assert table["groups"][0]["ceiling"] is None
    assert table["flags"][0].startswith("b.json: ")
    assert table["flags"][0] in (project.folder / "x/table3.md").read_text().replace("\\", "")
    assert f"warning: {table['flags'][0]}" in capsys.readouterr().err
    inputs = json.loads((project.folder / "x/table3.manifest.json").read_text())["inputs"]
    assert inputs["metrics"] in (sha256_file("a.json"), [sha256_file("a.json")])


def test_a_row_of_other_settings_says_how_to_run_it(project, make_spec, make_row):
    row = make_row("a", project.write_metrics("a"))
    cell = row["cells"]["final"]
    for file in (cell["metrics"], cell["seeds"][0]["metrics"]):
        file["digest"] = "e" * 64
    (note,) = evaluate(make_spec([row]))["footnotes"]
    assert note["text"] == "other settings; to run it:" and "reproduce_table3" in note["command"]


def test_many_files_of_other_settings_are_one_sentence(project, make_spec, make_row, capsys):
    rows = [make_row(name, project.write_metrics(name)) for name in "abcde"]
    for row in rows[:4]:
        cell = row["cells"]["final"]
        for one in (cell["metrics"], cell["seeds"][0]["metrics"]):
            one["digest"] = "e" * 64
    (project.folder / "e.json").write_text("{")
    main(["table", "--spec", str(project.write_spec(make_spec(rows))), "--out-dir", "x"])
    first, second = load_table("x/table3.json")["flags"]
    assert first.startswith(
        "4 files are not of these settings, the first: a.json: made for another"
    )
    assert second.startswith("e.json: not a metrics file")
    assert capsys.readouterr().err.count("warning: ") == 2


@pytest.mark.parametrize("how", ["cut", "digest"])
def test_samples_that_are_not_the_row_s_are_not_pictured(project, make_spec, make_row, how):
    rows = [make_row(name, project.write_metrics(name)) for name in "ab"]
    for row in rows:
        row["cells"]["final"]["samples"] = wanted(project.write_samples(f"batch-{row['id']}"))
    path = project.folder / "batch-b.npz"
    if how == "cut":
        path.write_bytes(path.read_bytes()[:500])
    else:
        manifest = path.with_suffix(".json")
        content = json.loads(manifest.read_text()) if manifest.exists() else {}
        manifest.write_text(json.dumps({**content, "digest": "0" * 64}))
    main(["table", "--spec", str(project.write_spec(make_spec(rows))), "--out-dir", "x"])
    page = (project.folder / "x/table3.html").read_text()
    assert "Samples of a:" in page and "Samples of b:" not in page
    assert load_table("x/table3.json")["flags"][-1].startswith("batch-b.npz: ")


def test_a_file_is_read_once_while_it_stays_as_it_is(project):
    reads = []

    def read(path):
        reads.append(path)
        return read_metrics(path)

    one = WantedMetrics(path=project.write_metrics("once", fid=5.0), digest="d" * 64)
    assert find_metrics(one, read).content.metrics["fid"].value == 5.0
    assert find_metrics(one, read).status == "measured" and len(reads) == 1
    project.write_metrics("once", fid=15.25)
    assert find_metrics(one, read).content.metrics["fid"].value == 15.25 and len(reads) == 2
