"""`dvc repro` in a fresh clone at a miniature scale: what runs, what does not, what is recorded."""

import json
import re
import shutil
import sys
import time
from urllib.parse import unquote

import pytest
import requests
import yaml

from tests.workflow.conftest import snakemake
from tests.workflow.dvc_case import SEALED, change, choose, commit, dvc, git, make_clone, run
from workflow.sealing import MADE as MADE_FOLDERS
from workflow.sealing import SHARED as SHARED_FOLDERS

pytest.importorskip("dvc")
pytestmark = pytest.mark.slow

RUNNING = re.compile(r"^Running stage '(\w+)':", re.M)
SKIPPED = re.compile(r"^Stage '(\w+)' didn't change, skipping", re.M)
RULE = re.compile(r"^(?:local)?rule (\w+):", re.M)
LINK = re.compile(r'href="(?!#|\w+:)([^"#?]+)')
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
    recall = graded["metrics"]["recall"]["value"]
    assert numbers["t3_uncond_guided_10.recall"] == pytest.approx(recall, rel=1e-6)
    assert len([key for key in numbers if not key.startswith("claim.")]) == 2 * 5
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
    changed = {name.rpartition(".")[0] for name in after if after[name] != before[name]}
    row = "t3_uncond_guided_10"
    claims = yaml.safe_load((copied / "params" / "tables.yaml").read_text())["table3"]["claims"]
    of_the_row = {
        f"claim.{name}"
        for name, claim in claims.items()
        if any(row in (one["left"], one["right"]) for one in claim["comparisons"])
    }
    assert {row} <= changed <= {row, *of_the_row}
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


@pytest.fixture(scope="module")
def shared(finished, tmp_path_factory):
    """A finished clone whose results are sealed, committed and pushed to a folder; and that."""
    root = tmp_path_factory.mktemp("shared")
    folder, store = root / "project", root / "store"
    shutil.copytree(finished[0], folder)
    printed = run(folder, "python", "-m", "workflow", "seal", "--scale", "mini")
    assert "git add artefacts/mini/shared.dvc artefacts/mini/retrain.dvc" in printed
    commit(folder)
    dvc(folder, "remote", "modify", "--local", "store", "url", str(store))
    dvc(folder, "push")
    return folder, store


def pull(shared, clone):
    """Make a second clone and pull into it what the first has pushed."""
    git(clone.parent, "clone", "--quiet", str(shared[0]), str(clone))
    dvc(clone, "remote", "modify", "--local", "store", "url", str(shared[1]))
    dvc(clone, "pull", *SEALED, "plan", "table2", "table3")
    return clone


def plan_rules(folder, *targets):
    """Return the rules that Snakemake would run for two tables."""
    options = ("--dry-run", "--config", "scale=mini", "source=retrain", "--", *targets)
    done = snakemake(folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(set(RULE.findall(done.stdout + done.stderr)))


def find_broken_links(folder):
    """Return the links of a report that lead to no file, by page."""
    return {
        (page.name, link)
        for page in (folder / "results/mini/report").rglob("*.html")
        for link in map(unquote, LINK.findall(page.read_text()))
        if not (page.parent / link).exists()
    }


def test_sealing_keeps_one_copy_and_leaves_the_state_alone(shared):
    folder = shared[0]
    weights = next((folder / MADE / "models").glob("*/ema-*.safetensors"))
    cache = {path.stat().st_ino for path in (folder / ".dvc/cache").rglob("*") if path.is_file()}
    assert weights.stat().st_ino in cache
    tracked = "".join(path.read_text() for path in (folder / "artefacts/mini").glob("*.dvc"))
    assert "path: models" in tracked and "state" not in tracked
    names = {path.name for path in (folder / MADE).iterdir()}
    assert names - {"state", "plan"} <= set(MADE_FOLDERS)
    names = {path.name for path in (folder / "results/mini").iterdir()}
    assert names - {"benchmarks", "report", "retrain"} <= set(SHARED_FOLDERS)
    assert plan_rules(folder, "reproduce_table2", "reproduce_table3") == []


def test_a_second_clone_pulls_and_has_nothing_to_compute(shared, tmp_path):
    clone = pull(shared, tmp_path / "clone")
    assert not (clone / ".snakemake").exists()
    assert find_broken_links(clone) <= find_broken_links(shared[0])
    for name in ("table2.html", "table3.html", "table3.csv"):
        path = f"results/mini/report/{name}"
        assert (clone / path).read_bytes() == (shared[0] / path).read_bytes()
    assert plan_rules(clone, "reproduce_table2", "reproduce_table3") == []
    assert RUNNING.findall(dvc(clone, "repro", "table2", "table3")) == []


def test_a_changed_guidance_scale_is_noticed_after_a_pull_and_undone_after_a_checkout(
    shared, tmp_path
):
    clone = pull(shared, tmp_path / "clone")
    pulled = (clone / f"{MADE}/samples/t3_uncond_guided_10/samples.npz").read_bytes()

    def halve(tables):
        tables["table3"]["rows"]["t3_uncond_guided_10"]["sampler"]["guidance_scale"] = 5.0

    change(clone / "params" / "tables.yaml", halve)
    needed = ["evaluate", "reproduce_table3", "sample", "table"]
    assert plan_rules(clone, "reproduce_table3") == needed
    # What DVC has pulled is read-only, which Snakemake takes for protected; root may write anyway.
    command = (sys.executable, "-c", READ_ONLY, "--cores", "2", "--config", "scale=mini")
    output = run(clone, *command, "--", "reproduce_table3")
    assert sorted(set(RULE.findall(output))) == needed
    path = clone / f"{MADE}/samples/t3_uncond_guided_10/samples.npz"
    assert path.read_bytes() != pulled
    git(clone, "checkout", "--quiet", ".")
    dvc(clone, "checkout", "--force", "--allow-missing")
    assert path.read_bytes() == pulled
    assert set(plan_rules(clone, "reproduce_table3")) <= {"reproduce_table3", "table"}


# Snakemake where files that DVC has linked cannot be written to, whoever runs it.
READ_ONLY = """
import os, stat, sys
ask = os.access

def answer(path, mode, **options):
    given = ask(path, mode, **options)
    if not given or not mode & os.W_OK or not os.path.isfile(path):
        return given
    return bool(os.stat(path).st_mode & stat.S_IWUSR)

os.access = answer
from snakemake.cli import main
main(sys.argv[1:])
"""


def test_a_bucket_holds_what_a_folder_holds(shared, tmp_path):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        secret = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "a-secret"}
        secret["AWS_DEFAULT_REGION"] = "us-east-1"
        address = f"http://{host}:{port}"
        requests.put(f"{address}/artefacts", timeout=10).raise_for_status()
        first = tmp_path / "first"
        shutil.copytree(shared[0], first, symlinks=True)
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(shared[0]), str(clone))
        for folder in (first, clone):
            for key, value in (("url", "s3://artefacts/adm"), ("endpointurl", address)):
                dvc(folder, "remote", "modify", "--local", "store", key, value)
        dvc(first, "push", **secret)
        dvc(clone, "pull", *SEALED, "plan", "table2", "table3", **secret)
        path = f"{MADE}/samples/t3_uncond/samples.npz"
        assert (clone / path).read_bytes() == (first / path).read_bytes()
        files = [one for one in clone.rglob("*") if one.is_file() and ".git/" not in str(one)]
        assert not any(b"a-secret" in one.read_bytes() for one in files)
    finally:
        server.stop()
