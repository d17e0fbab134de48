"""Dry runs of every target and source at the paper's scale: their jobs, their time, without torch.

The forecast's own jobs are held against Snakemake's.
"""

import os
import resource
import subprocess
import sys

import pytest

from tests.workflow.conftest import ROOT, snakemake
from tests.workflow.test_snakefile import job_counts
from workflow.availability import SOURCES
from workflow.forecast import make_forecast
from workflow.settings import load_plan
from workflow.targets import MADE_BY

MAX_CPU_SECONDS = 15.0
FAST = {
    ("retrain", "reproduce_all"),
    ("rescore", "reproduce_table4"),
    ("retrain", "metrics"),
    ("resample", "models"),
}
JOBS = """
rescore  reproduce_table3    fetch_npz 3 network 1 evaluate 2 table 1
rescore  reproduce_table4    fetch_npz 30 network 1 evaluate 23 table 1
rescore  reproduce_table5    fetch_npz 10 network 1 evaluate 8 table 1
rescore  reproduce_lsun_schedules_applied fetch_npz 6 network 1 evaluate 3 table 1
rescore  reproduce_early_stopping_imagenet_256 fetch_npz 2 network 1 evaluate 1 table 1
rescore  reproduce_all       fetch_npz 34 network 1 evaluate 27 table 5 index 1
resample reproduce_table3    fetch_pt 3 import_weights 3 sample 6 fetch_npz 1 network 1 evaluate 6 table 1
resample reproduce_table4    fetch_pt 11 import_weights 11 sample 14 fetch_npz 7 network 1 evaluate 14 table 1
resample reproduce_table5    fetch_pt 9 import_weights 9 sample 10 fetch_npz 2 network 1 evaluate 7 table 1
resample reproduce_lsun_schedules fetch_pt 1 import_weights 1 sample 8 fetch_npz 1 network 1 evaluate 8 table 1
resample reproduce_lsun_schedules_applied fetch_pt 3 import_weights 3 sample 9 fetch_npz 3 network 1 evaluate 9 table 1
resample reproduce_early_stopping_imagenet_128 fetch_npz 1 fetch_pt 2 import_weights 2 sample 1 network 1 evaluate 1 table 1
resample reproduce_early_stopping_imagenet_256 fetch_npz 1 fetch_pt 2 import_weights 2 sample 1 network 1 evaluate 1 table 1
resample reproduce_all       fetch_pt 15 import_weights 15 sample 35 fetch_npz 7 network 1 evaluate 34 table 7 index 1
retrain  reproduce_table1    prepare 1 train 14 sample 14 fetch_npz 1 network 1 evaluate 14 ceiling 1 table 1
retrain  reproduce_table2    prepare 1 train 7 sample 7 fetch_npz 1 network 1 evaluate 7 ceiling 1 table 1
retrain  reproduce_table3    prepare 2 train 9 sample 6 fetch_npz 1 network 1 evaluate 6 ceiling 1 accuracy 1 table 1
retrain  reproduce_table4    prepare 8 train 24 sample 15 fetch_npz 7 network 1 evaluate 15 ceiling 7 accuracy 3 table 1
retrain  reproduce_table5    prepare 5 train 24 sample 12 fetch_npz 2 network 1 evaluate 8 ceiling 2 accuracy 4 table 1
retrain  reproduce_table6    prepare 1 train 2 sample 2 fetch_npz 1 network 1 evaluate 2 ceiling 1 table 1
retrain  reproduce_lsun_schedules prepare 1 train 1 sample 8 fetch_npz 1 network 1 evaluate 8 ceiling 1 table 1
retrain  reproduce_lsun_schedules_applied prepare 3 train 3 sample 9 fetch_npz 3 network 1 evaluate 9 ceiling 3 table 1
retrain  reproduce_early_stopping_imagenet_128 fetch_npz 1 prepare 2 train 7 sample 5 network 1 evaluate 5 ceiling 1 accuracy 1 table 1
retrain  reproduce_early_stopping_imagenet_256 fetch_npz 1 prepare 2 train 8 sample 6 network 1 evaluate 6 ceiling 1 accuracy 1 table 1
retrain  reproduce_compute fetch_npz 3 prepare 5 train 13 sample 8 network 1 evaluate 5 ceiling 3 accuracy 3 table 1
retrain  reproduce_all       prepare 8 train 53 sample 76 fetch_npz 7 network 1 evaluate 72 ceiling 7 accuracy 6 table 11 index 1"""  # noqa: E501


# Targets that are no tables, which are not forecast, and a table by its other name.
OTHER_JOBS = """
rescore  datasets
rescore  models
rescore  samples  fetch_npz 27
rescore  metrics  fetch_npz 34 network 1 evaluate 27
rescore  reproduce_sota fetch_npz 30 network 1 evaluate 23 table 1
resample datasets
resample models   fetch_pt 15 import_weights 15
resample samples  fetch_pt 15 import_weights 15 sample 35
resample metrics  fetch_pt 15 import_weights 15 sample 35 fetch_npz 7 network 1 evaluate 35
retrain  datasets prepare 8
retrain  models   prepare 8 train 53
retrain  samples  prepare 8 train 53 sample 76
retrain  metrics  prepare 8 train 53 sample 76 fetch_npz 7 network 1 evaluate 76 ceiling 7"""


def read_jobs(text):
    for line in text.strip().splitlines():
        source, target, *words = line.split()
        yield source, target, dict(zip(words[::2], map(int, words[1::2]), strict=True))


def with_marks(text):
    for source, target, jobs in read_jobs(text):
        marks = () if (source, target) in FAST else pytest.mark.slow
        yield pytest.param(source, target, jobs, marks=marks, id=f"{source}-{target}")


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory):
    """A PYTHONPATH on which torch and tensorflow refuse to be imported."""
    folder = tmp_path_factory.mktemp("blocked")
    for name in ("torch", "tensorflow"):
        (folder / f"{name}.py").write_text("raise SystemExit('a dry run imported ' + __name__)\n")
    return os.pathsep.join([str(folder), str(ROOT)])


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def dry_run(tmp_path, without_torch):
    """A dry run at the paper's scale that returns its jobs, the target's own left out."""

    def run(source, target, *arguments):
        before = cpu_seconds()  # unlike the clock's, these do not grow when the machine is busy
        process = snakemake(
            ROOT, "--dry-run", "--quiet", "rules", *arguments,
            "--config", "scale=paper", f"source={source}", f"results={tmp_path}", "--", target,
            PYTHONPATH=without_torch,
        )  # fmt: skip
        used = cpu_seconds() - before
        got = {name: count for name, count in job_counts(process).items() if name != target}
        print(f"{source} {target}: {sum(got.values())} jobs, planned in {used:.1f} CPU seconds")
        assert used < MAX_CPU_SECONDS
        return got

    return run


@pytest.mark.parametrize(("source", "target", "jobs"), list(with_marks(JOBS)))
def test_a_dry_run_of(source, target, jobs, dry_run):
    assert dry_run(source, target) == jobs
    plan = load_plan({"scale": "paper", "source": source})
    assert make_forecast(plan, [target])["jobs"] == jobs


@pytest.mark.parametrize(
    "target",
    [
        "reproduce_all",
        *(
            pytest.param(f"reproduce_{name}", marks=pytest.mark.slow)
            for name in load_plan({"scale": "paper"}).shown_tables
        ),
    ],
)
def test_a_dry_run_with_segments_and_shards(target, dry_run):
    got = dry_run("retrain", target, "--profile", "slurm")
    assert got["segment"] > got["train"] and got["shard"] == 16 * got["sample"]


@pytest.mark.parametrize(("source", "target", "jobs"), list(with_marks(OTHER_JOBS)))
def test_a_dry_run_of_the_other_target(source, target, jobs, dry_run):
    assert dry_run(source, target) == jobs


def test_every_target_of_every_source_is_among_them():
    named = {"samples", *MADE_BY} - {"losses"}  # of which the paper's scale measures none
    planned = {(source, target) for source, target, _ in read_jobs(JOBS)}
    others = {(source, target) for source, target, _ in read_jobs(OTHER_JOBS)}
    assert others - {("rescore", "reproduce_sota")} == {
        (source, target) for source in SOURCES for target in named
    }
    assert planned == {
        (source, f"reproduce_{name}")
        for source in SOURCES
        for name in ["all", *load_plan({"scale": "paper", "source": source}).shown_tables]
    }


@pytest.mark.parametrize("scale", ["digits", "cifar10"])
def test_a_forecast_has_snakemakes_jobs_at_other_scales_too(scale, tmp_path):
    process = snakemake(
        ROOT, "--dry-run", "--quiet", "rules",
        "--config", f"scale={scale}", f"results={tmp_path}", "--", "reproduce_all",
    )  # fmt: skip
    got = {name: count for name, count in job_counts(process).items() if name != "reproduce_all"}
    assert make_forecast(load_plan({"scale": scale}), ["reproduce_all"])["jobs"] == got


def test_a_forecast_needs_no_torch(without_torch):
    process = subprocess.run(
        [sys.executable, "-m", "workflow", "plan", "--scale", "paper", "reproduce_table5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": without_torch},
    )
    assert process.returncode == 0, process.stderr
    assert "upsampler_128_512" in process.stdout


def test_a_run_says_what_it_costs_before_its_first_job(tmp_path):
    process = snakemake(
        ROOT, "--config", "scale=paper", f"results={tmp_path}", "--", "reproduce_table6",
        ADM_IMAGENET=str(tmp_path / "nowhere"),
    )  # fmt: skip
    output = process.stdout + process.stderr
    assert process.returncode != 0 and "Traceback" not in output
    said = output.index("forecast: 7 jobs that compute, ")
    assert "; python -m workflow plan --scale paper --source retrain says more" in output
    assert said < output.index("your own images are missing")
