"""Runs from events: what belongs together, how it ended, and what is left out."""

import json
import math
import shutil

import pytest

from records.events import EventLog, read_events
from records.runs import read_runs
from records.usage import Usage

TAGS = {"scale": "mini", "source": "retrain"}


def begin(log, job="sample", name="a", digest="d1", event="start", **spec):
    kind = "model" if job == "train" else "row"
    log.begin(event=event, kind=kind, job=job, name=name, digest=digest, spec=spec)


def open_log(root, name="one"):
    return EventLog(root / "mini" / "retrain" / "events" / f"{name}.jsonl", TAGS)


def points(run, job, key):
    return [(point.step, point.value) for point in run.jobs[job].points if point.key == key]


def test_sampling_and_grading_of_a_row_are_one_run(tmp_path):
    sampling, grading = open_log(tmp_path, "sample-a"), open_log(tmp_path, "evaluate-a")
    begin(sampling, sampler={"guidance_scale": 10.0, "eta": None}, marks=[1, 2])
    sampling.write("progress", images=4, images_per_second=2.5)
    sampling.write("end", wall_seconds=3.0)
    begin(grading, "evaluate", sampler={"guidance_scale": 10.0, "eta": None}, marks=[1, 2])
    grading.write("metrics", fid=12.5, fid_low=11)
    grading.write("end", wall_seconds=1.0)
    (run,), notices = read_runs(tmp_path)
    assert notices == []
    assert (run.experiment, run.kind, run.name, run.digest) == ("mini-retrain", "row", "a", "d1")
    assert run.params == {
        "sampler.guidance_scale": "10.0", "sampler.eta": "null", "marks": "[1, 2]"
    }  # fmt: skip
    assert points(run, "evaluate", "fid") == [(0, 12.5)]
    assert points(run, "sample", "images_per_second") == [(4, 2.5)]
    assert points(run, "sample", "sample_wall_s") == [(0, 3.0)]
    assert points(run, "evaluate", "evaluate_wall_s") == [(0, 1.0)]
    assert run.status == "FINISHED" and run.started <= run.ended
    assert run.tags["scale"] == "mini" and run.tags["git_commit"]


def test_a_copy_of_a_folder_counts_once(tmp_path):
    for name in ("evaluate-a", "evaluate-b"):
        begin(log := open_log(tmp_path, name), "evaluate", name=name[-1])
        log.write("metrics", fid=12.5)
    alone = read_runs(tmp_path)
    shutil.copytree(tmp_path / "mini", tmp_path / "a-copy")
    log.write("end")  # the copy of this one is shorter now, and comes first
    runs, (notice,) = read_runs(tmp_path)
    assert alone[1] == [] and [run.name for run in runs] == ["a", "b"]
    assert [points(run, "evaluate", "fid") for run in runs] == [[(0, 12.5)]] * 2
    assert [run.jobs["evaluate"].num_attempts for run in runs] == [1, 1]
    assert [run.status for run in runs] == ["RUNNING", "FINISHED"]
    assert "left out, a copy of another file of events, and 1 more" in notice


def test_another_spec_is_another_run(tmp_path):
    log = open_log(tmp_path)
    for digest in ("d1", "d2"):
        begin(log, digest=digest)
        log.write("end", wall_seconds=1.0)
    runs, _ = read_runs(tmp_path)
    assert [run.digest for run in runs] == ["d1", "d2"]


def test_a_restart_is_an_attempt_and_repeats_no_step(tmp_path):
    log = open_log(tmp_path)
    begin(log, "train")
    for iteration, loss in ((50, 0.5), (100, 0.4)):
        log.write("progress", iteration=iteration, loss=loss)
    begin(log, "train", event="resume")  # from iteration 50
    for iteration, loss in ((100, 0.41), (150, 0.3)):
        log.write("progress", iteration=iteration, loss=loss)
    log.write("end", iteration=150, wall_seconds=1.0)
    begin(log, "train", event="restored")
    (run,), _ = read_runs(tmp_path)
    assert points(run, "train", "loss") == [(50, 0.5), (100, 0.4), (150, 0.3)]
    assert run.jobs["train"].num_attempts == 2 and run.status == "FINISHED"


def test_grading_again_keeps_both_results(tmp_path):
    log = open_log(tmp_path)
    for fid in (12.0, 13.0):
        begin(log, "evaluate")
        log.write("metrics", fid=fid)
        log.write("end")
    (run,), _ = read_runs(tmp_path)
    assert points(run, "evaluate", "fid") == [(0, 12.0), (1, 13.0)]


@pytest.mark.parametrize(
    ("last", "status"),
    [("end", "FINISHED"), ("failed", "FAILED"), ("diverged", "FAILED"), ("stopped", "KILLED"),
     ("progress", "RUNNING")],
)  # fmt: skip
def test_the_last_event_says_how_it_went(tmp_path, last, status):
    log = open_log(tmp_path)
    begin(log)
    log.write(last)
    other = open_log(tmp_path, "other")
    begin(other, "evaluate")
    other.write("end")
    (run,), _ = read_runs(tmp_path)
    assert run.status == status


def test_only_finite_numbers_become_metrics(tmp_path):
    log = open_log(tmp_path)
    begin(log)
    log.write("progress", images=1, a=float("nan"), b=float("inf"), c=True, d="7", e=None, f=[1, 2])
    (run,), _ = read_runs(tmp_path)
    assert [(point.key, point.value) for point in run.jobs["sample"].points] == [
        ("f_1", 1.0), ("f_2", 2.0)
    ]  # fmt: skip


def write_lines(log, *lines):
    """Append events with times of their own."""
    with open(log.path, "a") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)


def test_the_machine_is_told_by_seconds_under_the_names_of_mlflow(tmp_path):
    log = open_log(tmp_path)
    log.path.parent.mkdir(parents=True)
    for began, name in ((1000.0, "start"), (5000.0, "resume")):  # requeued after a long while
        about = {"kind": "model", "job": "train", "name": "a", "digest": "d", "tags": TAGS}
        write_lines(log, {"event": name, "time": began, **about})
        for later in (10.2, 20.4):
            line = {"event": "system", "time": began + later, "gpu_0_utilization_percentage": later}
            write_lines(log, line)
    (run,), notices = read_runs(tmp_path)
    found = points(run, "train", "system/gpu_0_utilization_percentage")
    assert found == [(10, 10.2), (20, 20.4), (4010, 10.2), (4020, 20.4)] and notices == []


def test_values_that_are_not_finite_and_a_clock_that_went_back_are_counted(tmp_path):
    log = open_log(tmp_path)
    begin(log, "train")
    now = read_events(log.path)[0][0]["time"]
    write_lines(
        log,
        {"event": "progress", "time": now + 9, "iteration": 1, "loss": math.nan, "lr": -math.inf},
        {"event": "progress", "time": now - 3600, "iteration": 2, "loss": 10**400, "lr": 0.1},
        {"event": "progress", "time": now - 3600.01, "iteration": 3, "loss": 0.5, "lr": 0.1},
        {"event": "progress", "time": math.nan, "iteration": 4, "loss": 0.5},
        {"event": "progress", "time": 1e300, "iteration": 5, "loss": 0.5},
    )
    (run,), (notice,) = read_runs(tmp_path)
    assert "one.jsonl: left out 2 lines cut short" in notice
    assert "; left out 3 values, NaN or infinite; the clock went back 1 time;" in notice
    assert points(run, "train", "loss") == [(3, 0.5)]
    assert points(run, "train", "lr") == [(2, 0.1), (3, 0.1)]
    assert run.started < run.ended  # by what the clock said


def test_names_fit_the_columns_of_mlflow_and_losses_of_two_kinds_differ(tmp_path):
    progress = {"loss": 0.5, "grad_norm": 1.0, "images_per_second": 9.0, "lr": 0.1}
    for name, kind in (("net", "diffusion"), ("guide", "classifier")):
        log = open_log(tmp_path, f"train-{name}")
        begin(log, "train", name, kind=kind)
        log.write("progress", iteration=1, accuracy_by_quarter=[0.5] * 4, **progress)
        log.write("end", iteration=1, **Usage().read())
    for job in ("evaluate", "accuracy", "nearest"):
        with open_log(tmp_path, job).record(kind="row", job=job, name="a", digest="d", spec={}):
            pass
    runs = read_runs(tmp_path)[0]
    net, guide = (next(run for run in runs if run.name == name) for name in ("net", "guide"))
    assert points(net, "train", "loss") == points(guide, "train", "cross_entropy") == [(1, 0.5)]
    assert points(net, "train", "cross_entropy") == points(guide, "train", "loss") == []
    names = {point.key for run in runs for job in run.jobs.values() for point in job.points}
    assert {"acc_by_quarter_4", "evaluate_peak_mb", "train_cpu_s"} <= names
    assert [name for name in names if len(name) > 17] == []


def test_odd_lines_and_names_are_told_and_harmless(tmp_path):
    log = open_log(tmp_path)
    log.write("progress", loss=1.0)  # nothing says what it is about
    begin(log, **{"a b/<c>": {"ü": 1}})
    with open(log.path, "a") as file:
        file.write('{"event": "progr\n')
        file.write(
            json.dumps({"event": "end", "time": 1.0, "kind": 5, "spec": [], "tags": 3}) + "\n"
        )
    ((run,), (notice,)) = read_runs(tmp_path)
    assert "left out 2 lines cut short, damaged or without a start" in notice
    assert run.params == {"a_b__c_._": "1"}


@pytest.mark.parametrize(
    "kind", ["dataset", "network", "reference", "weights", "published", "of the future"]
)
def test_what_no_experiment_compares_is_left_alone(tmp_path, kind):
    log = open_log(tmp_path)
    with log.record(kind=kind, job="make", name="a", digest="d1", spec={}):
        log.write("progress", images=1)
    assert read_runs(tmp_path) == ([], [])


def test_a_scale_with_a_slash_is_no_folder(tmp_path):
    log = EventLog(tmp_path / "events" / "a.jsonl", {"scale": "a/b", "source": "retrain"})
    begin(log)
    ((run,), _) = read_runs(tmp_path)
    assert run.experiment == "a-b-retrain"


def test_a_long_series_is_thinned_without_regard_to_what_follows(tmp_path):
    log = open_log(tmp_path, "train-a")
    begin(log, "train")
    lines = [
        {"event": "progress", "time": 1.0 + step, "iteration": 100 * step, "loss": 1 / step}
        for step in range(1, 12001)
    ]
    kept = []
    for upto in (100, 6000, 12000):
        start = log.path.read_text().splitlines()[0]
        log.path.write_text("\n".join([start, *(json.dumps(line) for line in lines[:upto])]))
        (run,), _ = read_runs(tmp_path)
        kept.append(points(run, "train", "loss"))
    assert [len(one) for one in kept] == [100, 800, 938]
    assert kept[2][: len(kept[1])] == kept[1] and kept[1][:100] == kept[0]
    assert kept[2][-1][0] >= 1_190_000


def test_what_the_paper_prints_stands_beside_what_is_measured(tmp_path):
    tags = {**TAGS, "paper": "fid=2.97,recall=0.63,sfid=nan,broken,is=x"}
    log = EventLog(tmp_path / "mini" / "retrain" / "events" / "evaluate-a.jsonl", tags)
    for _ in range(2):  # a second attempt
        begin(log, "evaluate")
        log.write("metrics", fid=12.5)
    (run,), notices = read_runs(tmp_path)
    assert notices == [] and "paper" not in run.tags
    assert points(run, "evaluate", "paper.fid") == [(0, 2.97)]
    assert points(run, "evaluate", "paper.recall") == [(0, 0.63)]
    assert {key for key, *_ in run.jobs["evaluate"].points} == {"paper.fid", "paper.recall", "fid"}
