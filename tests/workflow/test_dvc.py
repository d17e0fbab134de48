"""`dvc repro` in a fresh clone at a miniature scale: what runs, what does not, what is recorded."""

import json
import re
import shutil
import time

import pytest
import yaml

from tests.workflow.conftest import snakemake
from tests.workflow.dvc_case import change, choose, commit, dvc, git, make_clone, run

pytest.importorskip("dvc")
pytestmark = pytest.mark.slow

RUNNING = re.compile(r"^Running stage '(\w+)':", re.M)
SKIPPED = re.compile(r"^Stage '(\w+)' didn't change, skipping", re.M)
RULE = re.compile(r"^(?:local)?rule (\w+):", re.M)
MADE = "results/mini/retrain"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A clone in which nothing has run."""
    return make_clone(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture(scope="module")
def finished(fresh, tmp_path_factory):
    """Table 2 by Snakemake and taken over by DVC, Table 3 by DVC; what they printed; committed."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(fresh, folder)
    first = snakemake(folder, "--config", "scale=mini", "source=retrain", "--", "reproduce_table2")
    assert first.returncode == 0, first.stdout + first.stderr
    printed = {name: dvc(folder, "repro", name) for name in ("table2", "table3")}
    commit(folder)
    return folder, printed


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished clone to do things to."""
    shutil.copytree(finished[0], tmp_path / "project")
    return tmp_path / "project"


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_results_of_snakemake_are_taken_over(finished):
    folder, printed = finished
    assert RUNNING.findall(printed["table2"]) == ["plan", "table2"]
    assert set(RULE.findall(printed["table2"])) == {"table", "reproduce_table2"}
    assert read(folder, "metrics/mini/retrain/table2.json").keys() == {"t2_head_channels_64.fid"}


def test_a_table_is_computed_in_sight(finished):
    folder, printed = finished
    assert SKIPPED.findall(printed["table3"]) == ["plan"]
    assert RUNNING.findall(printed["table3"]) == ["table3"]
    assert {"train", "sample", "evaluate", "table"} <= set(RULE.findall(printed["table3"]))
    assert re.search(r"\d+ of \d+ steps \(\d+%\) done", printed["table3"])
    for ending in ("html", "csv", "md", "tex", "json"):
        assert (folder / f"results/mini/report/table3.{ending}").stat().st_size > 0
    numbers = read(folder, "metrics/mini/retrain/table3.json")
    graded = read(folder, f"{MADE}/metrics/t3_uncond_guided_10.json")
    assert numbers["t3_uncond_guided_10.recall"] == graded["metrics"]["recall"]["value"]
    assert len(numbers) == 2 * 5
    assert "results/" not in git(folder, "ls-files") and (folder / "dvc.lock").exists()
    assert "t3_uncond.fid" in dvc(folder, "metrics", "show")


def test_a_second_repro_does_nothing(finished):
    started = time.monotonic()
    output = dvc(finished[0], "repro", "table2", "table3")
    assert time.monotonic() - started < 20
    assert RUNNING.findall(output) == []
    assert sorted(SKIPPED.findall(output)) == ["plan", "table2", "table3"]


def test_comments_run_no_table(copied):
    names = [
        "params/tables.yaml",
        "params/scales/mini.yaml",
        "workflow/plan.py",
        "adm/training/loop.py",
    ]
    for name in [*names, "reports/tables.py", "eval/metrics/fid.py", "Snakefile"]:
        with open(copied / name, "a") as file:
            file.write("\n# a comment\n")
    output = dvc(copied, "repro", "table2", "table3")
    assert RUNNING.findall(output) == ["plan"]
    assert sorted(SKIPPED.findall(output)) == ["table2", "table3"]


def test_a_changed_guidance_scale_runs_its_table_and_no_other(copied):
    before = read(copied, "metrics/mini/retrain/table3.json")
    old = git(copied, "rev-parse", "HEAD~1")

    def halve(tables):
        tables["table3"]["rows"]["t3_uncond_guided_10"]["sampler"]["guidance_scale"] = 5.0

    change(copied / "params" / "tables.yaml", halve)
    new = commit(copied)
    output = dvc(copied, "repro", "table2", "table3")
    assert RUNNING.findall(output) == ["plan", "table3"]
    assert SKIPPED.findall(output) == ["table2"]
    rules = RULE.findall(output)
    assert sorted(rules) == ["evaluate", "reproduce_table3", "sample", "table"]
    after = read(copied, "metrics/mini/retrain/table3.json")
    changed = {name.split(".")[0] for name in after if after[name] != before[name]}
    assert changed == {"t3_uncond_guided_10"}
    # The stage `plan` had changed dvc.lock by then, which decides no number.
    assert "dvc.lock" in git(copied, "status", "--porcelain")
    commits = {"t3_uncond": old, "t3_uncond_guided_10": new}
    for name, made_with in commits.items():
        protocol = read(copied, f"{MADE}/metrics/{name}.json")["protocol"]
        assert {protocol["git_commit"], protocol["samples"]["git_commit"]} == {made_with}
    assert "t3_uncond_guided_10.fid" in dvc(copied, "metrics", "diff")
    assert RUNNING.findall(dvc(copied, "repro", "table2", "table3")) == []


def test_a_fresh_clone_with_committed_numbers_counts_as_changed(copied, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(copied), str(clone))
    assert (clone / "metrics/mini/retrain/table3.json").exists()
    missing = r"not in cache: +results/mini/report/table3.html"
    assert re.search(missing, dvc(clone, "status", "table3"))
    assert RUNNING.findall(dvc(clone, "repro", "plan")) == ["plan"]
    assert not git(clone, "status", "--porcelain")  # the same plan, so the lock stays as it was
    assert RUNNING.findall(dvc(clone, "repro", "--dry", "table3")) == ["table3"]


def test_a_profile_says_where_the_jobs_of_a_stage_run(copied):
    command = "python -m workflow reproduce results/mini/retrain/plan/table3.json snakemake"
    command += " --dry-run --forcerun table --config scale=mini source=retrain -- reproduce_table3"
    output = run(copied, *command.split(), SNAKEMAKE_PROFILE="slurm")
    assert output.startswith("scale mini, source retrain") or "\nscale mini, source" in output
    assert "--cores" not in output and set(RULE.findall(output)) == {"table", "reproduce_table3"}


def test_a_page_of_another_run_is_replaced(copied):
    page = copied / "results/mini/report/table3.html"
    wanted = page.read_bytes()
    page.unlink()
    page.write_text("<p>as another source left it</p>")
    output = dvc(copied, "repro", "table3")
    assert set(RULE.findall(output)) == {"table", "reproduce_table3"}
    assert page.read_bytes() == wanted


def test_a_failure_is_snakemakes_own_and_loses_nothing(copied):
    kept = ["results/mini/report/table3.html", "metrics/mini/retrain/table3.json"]
    kept += [f"{MADE}/samples/t3_uncond/samples.npz", f"{MADE}/plan/table2.json"]
    before = {name: (copied / name).read_bytes() for name in kept}

    def diverge(scale):
        scale["models"]["classifier_256"]["training"]["learning_rate"] = 1.0e30

    change(copied / "params" / "scales" / "mini.yaml", diverge)
    output = dvc(copied, "repro", "table3", code=255)
    assert "training diverged" in output and "failed to reproduce 'table3'" in output
    assert "Traceback" not in output
    assert {name: (copied / name).read_bytes() for name in kept} == before
    git(copied, "checkout", "--quiet", "params")
    assert RUNNING.findall(dvc(copied, "repro", "table3")) == ["plan"]


def test_results_of_other_settings_are_made_again(copied):
    """As when a folder of results is copied in from elsewhere, without Snakemake's notes of it."""
    shutil.rmtree(copied / ".snakemake")
    before = yaml.safe_load((copied / "dvc.lock").read_text())["stages"]

    def enlarge(scale):
        scale["tasks"]["imagenet_256"]["num_samples"] = 14

    change(copied / "params" / "scales" / "mini.yaml", enlarge)
    dvc(copied, "repro", "table3")
    assert read(copied, f"{MADE}/metrics/t3_uncond.json")["counts"]["samples"] == 14
    after = yaml.safe_load((copied / "dvc.lock").read_text())["stages"]
    moved = {name for name in before if before[name] != after[name]}
    assert moved == {"plan", "table3"}


def test_a_source_without_rows_says_so_on_the_page(fresh, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    choose(folder, "paper", "rescore")
    output = dvc(folder, "repro", "table1", "table6")
    assert RUNNING.findall(output)[0] == "plan" and len(RUNNING.findall(output)) == 3
    assert "no number to compute: table1: no row of it has source rescore" in output
    assert RULE.findall(output) == []
    page = (folder / "results/paper/report/table1.html").read_text()
    assert "no samples of this row were published" in page and "0.82" in page
    assert read(folder, "metrics/paper/rescore/table1.json") == {}
    assert not (folder / "results/paper/report/table1.spec.json").exists()
    assert RUNNING.findall(dvc(folder, "repro", "table1", "table6")) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            lambda folder: choose(folder, "nope", "retrain"),
            "error: params/run.yaml: scale: got 'nope'; needed: the name of a file in "
            "params/scales, one of cifar10, decide, digits, mini, paper",
        ),
        (
            lambda folder: (folder / "results").write_text("a file"),
            "error: results: cannot be written (Not a directory); choose another place: there is a "
            "file where a folder is needed",
        ),
        (
            lambda folder: (folder / "params" / "run.yaml").unlink(),
            "ERROR: failed to parse 'vars' in 'dvc.yaml': 'params/run.yaml' does not exist",
        ),
        (
            lambda folder: shutil.rmtree(folder / ".dvc"),
            "ERROR: you are not inside of a DVC repository (checked up to mount point '/')",
        ),
        (
            lambda folder: shutil.rmtree(folder / ".git"),
            "ERROR: {folder} is not a git repository",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(fresh, tmp_path, wrong, words):
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    wrong(folder)
    output = dvc(folder, "repro", "table3", code=255)
    assert words.format(folder=folder) in output.splitlines()
    assert "Traceback" not in output


def test_without_git_one_setting_is_enough(fresh, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    shutil.rmtree(folder / ".git")
    dvc(folder, "config", "--local", "core.no_scm", "true")
    assert RUNNING.findall(dvc(folder, "repro", "plan")) == ["plan"]
