"""`dvc exp run` with a changed setting, at a miniature scale: what runs, and what it leaves."""

import csv
import io
import re
import shutil

import pytest

from tests.workflow.dvc_case import commit, dvc, git, make_clone, run

pytest.importorskip("dvc")
pytestmark = pytest.mark.slow

RULE = re.compile(r"^(?:local)?rule (\w+):", re.M)
METRICS = "metrics/mini/retrain/table3.json"
SET = "params/run.yaml:++overrides.t3_uncond_guided_10.guidance_scale=5.0"
FID = "t3_uncond_guided_10.fid"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A clone in which Table 3 is computed and committed."""
    folder = make_clone(tmp_path_factory.mktemp("finished") / "project")
    dvc(folder, "repro", "table3")
    git(folder, "config", "user.name", "A Person")  # DVC commits experiments
    git(folder, "config", "user.email", "person@example.org")
    commit(folder)
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "project")
    return tmp_path / "project"


def show(folder):
    """Return the column of a number and that of its setting, by experiment."""
    lines = csv.DictReader(io.StringIO(dvc(folder, "exp", "show", "--csv")))
    key = "overrides.t3_uncond_guided_10.guidance_scale"
    return {line["Experiment"] or line["rev"]: (line[FID], line[key]) for line in lines}


def list_finished(folder):
    """Return the files of weights, samples and numbers."""
    made = (folder / "results/mini/retrain").rglob("*")
    return {str(path.relative_to(folder)) for path in made if "state" not in path.parts}


@pytest.mark.parametrize("sealed", [False, True])
def test_an_experiment_runs_its_row_and_going_back_draws_nothing(copied, sealed):
    if sealed:
        run(copied, "python", "-m", "workflow", "seal", "--scale", "mini")
        commit(copied)
    before = (copied / METRICS).read_bytes()
    output = dvc(copied, "exp", "run", "table3", "--name", "half", "-S", SET)
    assert sorted(RULE.findall(output)) == ["evaluate", "reproduce_table3", "sample", "table"]
    after, finished = (copied / METRICS).read_bytes(), list_finished(copied)
    found = show(copied)
    assert found["half"][1] == "5.0" and found["master"][1] == ""
    assert found["half"][0] != found["master"][0]
    batches = {path.name for path in (copied / "results/mini/retrain/samples").iterdir()}
    assert len(batches) == 3 and {"t3_uncond", "t3_uncond_guided_10"} < batches

    git(copied, "checkout", "--quiet", ".")
    output = dvc(copied, "repro", "table3")
    assert set(RULE.findall(output)) <= {"table", "reproduce_table3"}
    assert (copied / METRICS).read_bytes() == before
    assert git(copied, "status", "--porcelain") == ""
    assert list_finished(copied) >= finished
    assert RULE.findall(dvc(copied, "repro", "table3")) == []
    assert set(RULE.findall(dvc(copied, "repro", "--force", "--single-item", "table3"))) == {
        "table",
        "reproduce_table3",
    }

    output = dvc(copied, "exp", "run", "table3", "--name", "again", "--force", "-S", SET)
    assert set(RULE.findall(output)) == {"table", "reproduce_table3"}
    assert (copied / METRICS).read_bytes() == after
    assert list_finished(copied) >= finished


def test_a_setting_that_does_not_exist_is_named(copied):
    wrong = SET.replace("guidance_scale", "guidance_scael")
    output = dvc(copied, "exp", "run", "table3", "-S", wrong, code=255)
    assert (
        "error: params/run.yaml: overrides: t3_uncond_guided_10: guidance_scael: unknown key; did "
        "you mean 'guidance_scale'?"
    ) in output.splitlines()
    assert "Traceback" not in output


def test_plots_are_shown_and_compared_between_commits(copied, tmp_path):
    plots = copied / "results/mini/report/plots/table3"
    names = {path.name for path in plots.iterdir()}
    assert {"table3-precision-against-recall.svg"} < names
    assert "classifier_256-accuracy-of-classifier_256-by-timestep.svg" in names
    dvc(copied, "exp", "run", "table3", "-S", SET)
    for arguments in (("show",), ("diff", "HEAD")):
        out = tmp_path / arguments[0]
        dvc(copied, "plots", *arguments, "--out", str(out))
        shown = {path.name for path in (out / "static").iterdir()}
        revisions = ["workspace", "HEAD"][: len(arguments)]
        for name in names:
            for revision in revisions:
                assert f"{revision}_results_mini_report_plots_table3_{name}" in shown
        images = re.findall('<img src="([^"]*)"', (out / "index.html").read_text())
        assert len(images) == len(names) * len(revisions)
        assert all((out / image).is_file() for image in images)  # needs no network
