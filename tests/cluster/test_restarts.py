"""What outlives a run that was killed is neither lost nor made twice; what is stopped goes on."""

import getpass
import os
import signal
import subprocess
import sys
import time

import pytest

from records.events import read_events
from tests.cluster.conftest import make_environment, run, take_interrupts
from tests.cluster.two_nodes import ask, two_nodes, wait_for
from tests.workflow.conftest import KEEP, copy_project, cut_tables, mini_scale, write_params

pytestmark = pytest.mark.slow
CONFIG = ["--config", "scale=mini.yaml", "tables=mini_tables.yaml"]
SLURM = ["--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1", "--jobs", "4"]
MADE = "results/mini/retrain"
BATCH = f"{MADE}/samples/t3_uncond/samples.npz"
METRICS = f"{MADE}/metrics/t3_uncond.json"
WEIGHTS = f"{MADE}/models/imagenet_256_uncond/ema-final.safetensors"
NUM_SHARDS = 12


@pytest.fixture(scope="module")
def cluster(installed, tmp_path_factory):
    with two_nodes(tmp_path_factory.mktemp("cluster")) as environment:
        yield environment


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project whose sampling takes a while, with its models trained."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    scale = mini_scale()
    scale["sampling"] |= {"images_per_shard": 40, "respacing": {"250": "25", "1000": "25"}}
    for task in scale["tasks"].values():
        task["num_samples"] = 40 * NUM_SHARDS
    write_params(folder, mini_tables=cut_tables({"table3": KEEP["table3"]}), mini=scale)
    process, output = run(
        folder, {"PATH": f"/:{os.environ['PATH']}"}, "--cores", "1", *CONFIG, "--", WEIGHTS
    )
    assert process.returncode == 0, output
    return folder


@pytest.fixture
def folder(project, tmp_path):
    subprocess.run(["cp", "-a", f"{project}/.", tmp_path], check=True)
    return tmp_path


def start(folder, cluster, *arguments):
    with open(folder / "killed.log", "w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments], cwd=folder, stdout=log, stderr=log,
            env=make_environment(folder, cluster), process_group=0,
            preexec_fn=take_interrupts,
        )  # fmt: skip


def find_shards(folder):
    return {
        path.name: path.stat().st_mtime_ns
        for path in folder.glob(f"{MADE}/state/samples-*/[0-9]*.npz")
    }


def kill_while_sampling(folder, cluster, *options):
    """Kill Snakemake, and it alone, when some shards are drawn; return these."""
    process = start(folder, cluster, *options, *CONFIG, "--", BATCH)
    wait_for(lambda: len(find_shards(folder)) >= 2, "shards are drawn", seconds=90)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return find_shards(folder)


def count_starts(folder, job):
    (path,) = folder.glob(f"{MADE}/events/{job}*.jsonl")
    return [one["event"] for one in read_events(path)[0]].count("start")


def list_states(cluster, rule):
    lines = ask(cluster, "squeue", "--noheader", "--states=all", "--format=%k|%T").splitlines()
    return [
        state
        for about, state in (line.split("|") for line in lines)
        if about.startswith(f"rule_{rule}")
    ]


@pytest.fixture(scope="module")
def drawn(project, tmp_path_factory):
    """The project with a batch, and with what it is compared with."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(["cp", "-a", f"{project}/.", folder], check=True)
    targets = [BATCH, "results/mini/references/imagenet_256.npz"]
    process, output = run(
        folder, {"PATH": f"/:{os.environ['PATH']}"}, "--cores", "1", *CONFIG, "--", *targets
    )
    assert process.returncode == 0, output
    return folder


@pytest.fixture(scope="module")
def undisturbed(drawn):
    return (drawn / BATCH).read_bytes()


@pytest.mark.parametrize("where", ["slurm", "local"])
def test_a_restart_waits_for_the_grading_that_runs(where, drawn, tmp_path, cluster):
    subprocess.run(["cp", "-a", f"{drawn}/.", tmp_path], check=True)
    program = tmp_path / "eval" / "grade.py"
    step = "        features = compute_sample_features("
    text = program.read_text()
    assert step in text
    slow = f"        __import__('time').sleep(15)\n{step}"
    program.write_text(text.replace(step, slow))
    options = SLURM if where == "slurm" else ["--cores", "1"]
    process = start(tmp_path, cluster, *options, *CONFIG, "--", METRICS)
    events = tmp_path / f"{MADE}/events/evaluate-t3_uncond.jsonl"
    wait_for(events.exists, "the batch is graded", seconds=90)
    process.kill()
    process.wait()
    unlocked, output = run(tmp_path, cluster, "--unlock", "--cores", "1", *CONFIG, "--", METRICS)
    assert unlocked.returncode == 0, output
    process, output = run(tmp_path, cluster, *options, *CONFIG, "--", METRICS)
    assert process.returncode == 0, output
    what = "SLURM job " if where == "slurm" else "evaluate t3_uncond (process "
    assert f"1 jobs of an earlier run still run and are waited for: {what}" in output
    assert "Nothing to be done" in output and count_starts(tmp_path, "evaluate-t3_uncond") == 1


@pytest.mark.parametrize("how", ["requeue", "kill"])
def test_what_dies_after_it_has_finished_is_not_done_again(how, drawn, tmp_path, cluster):
    subprocess.run(["cp", "-a", f"{drawn}/.", tmp_path], check=True)
    frame = tmp_path / "workflow" / "attempt.sh"
    text = frame.read_text()
    assert "end_attempt() {\n" in text
    slow = 'end_attempt() {\n    [ -e "finished" ] || { touch finished; sleep 20; }\n'
    frame.write_text(text.replace("end_attempt() {\n", slow))
    jobs = len(list_states(cluster, "evaluate"))
    process = start(tmp_path, cluster, *SLURM, *CONFIG, "--", METRICS)
    wait_for((tmp_path / "finished").exists, "the batch is graded", seconds=90)
    log = tmp_path / "results/mini/logs/evaluate/t3_uncond.log"
    about = log.read_text().splitlines()[0]
    number, frame_process = about.split("SLURM job ")[1], about.split("process ")[1].split(",")[0]
    if how == "requeue":
        assert ask(cluster, "scontrol", "requeue", number) is not None
    else:
        os.kill(int(frame_process), signal.SIGKILL)
    assert process.wait(timeout=200) == 0, (tmp_path / "killed.log").read_text()
    state = "COMPLETED" if how == "requeue" else "FAILED"
    assert list_states(cluster, "evaluate")[jobs:] == [state]
    assert count_starts(tmp_path, "evaluate-t3_uncond") == 1
    again = "it had been finished by an attempt before, which died after that"
    assert (again in log.read_text()) == (how == "requeue")


@pytest.mark.parametrize("where", ["slurm", "local"])
def test_a_restart_waits_for_the_job_that_runs(where, folder, cluster, undisturbed):
    options = SLURM if where == "slurm" else ["--cores", "1"]
    kill_while_sampling(folder, cluster, *options)
    unlocked, output = run(folder, cluster, "--unlock", "--cores", "1", *CONFIG, "--", BATCH)
    assert unlocked.returncode == 0, output
    process, output = run(folder, cluster, *options, *CONFIG, "--", BATCH)
    assert process.returncode == 0, output
    what = "SLURM job " if where == "slurm" else "sample t3_uncond (process "
    assert f"1 jobs of an earlier run still run and are waited for: {what}" in output
    assert "Nothing to be done" in output and count_starts(folder, "sample-t3_uncond") == 1
    assert (folder / BATCH).read_bytes() == undisturbed


def test_ctrl_c_ends_a_restart_that_waits(folder, cluster):
    kill_while_sampling(folder, cluster, *SLURM)
    second = start(folder, cluster, *SLURM, *CONFIG, "--", BATCH)
    log = folder / "killed.log"
    wait_for(lambda: "are waited for" in log.read_text(), "the first is waited for", seconds=60)
    os.killpg(second.pid, signal.SIGINT)
    assert second.wait(timeout=10) == 130
    said = log.read_text()
    assert said.endswith("error: stopped by Ctrl-C; no job was started\n")
    assert "Traceback" not in said
    ask(cluster, "scancel", "--user", getpass.getuser())
    wait_for(lambda: not ask(cluster, "squeue", "--noheader"), "jobs have ended", seconds=60)


def test_a_restart_cancels_what_runs_where_asked(folder, cluster, undisturbed):
    drawn = kill_while_sampling(folder, cluster, *SLURM)
    process, output = run(folder, cluster, *SLURM, *CONFIG, "running_jobs=cancel", "--", BATCH)
    assert process.returncode == 0, output
    assert "1 jobs of an earlier run still run and are cancelled: SLURM job " in output
    assert "CANCELLED" in list_states(cluster, "sample")
    assert (folder / BATCH).read_bytes() == undisturbed
    events = read_events(next(folder.glob(f"{MADE}/events/sample-t3_uncond*.jsonl")))[0]
    num_drawn = [one["event"] for one in events].count("progress")
    assert NUM_SHARDS <= num_drawn <= NUM_SHARDS + 1 and len(drawn) >= 2  # none of them twice


def test_a_second_run_is_refused_while_the_first_lives(folder, cluster):
    first = start(folder, cluster, *SLURM, *CONFIG, "--", BATCH)
    wait_for(lambda: find_shards(folder), "shards are drawn", seconds=90)
    process, output = run(folder, cluster, *SLURM, *CONFIG, "--", BATCH, timeout=60)
    assert (
        process.returncode == 1
        and f"another run works on these results: process {first.pid}" in output
    )
    os.killpg(first.pid, signal.SIGINT)
    first.wait(timeout=120)
    time.sleep(1.0)
    assert not ask(cluster, "squeue", "--noheader", "--states=running,pending").strip()


def test_a_training_whose_time_is_up_goes_on_by_itself(folder, cluster):
    """Also the last one, which no segment follows: of three steps two take more than its second."""
    machine = folder / "workflow" / "machine.py"
    text = machine.read_text()
    machine.write_text(
        text.replace(
            "RESERVE_SECONDS, RESERVE_SHARE = 600.0", "RESERVE_SECONDS, RESERVE_SHARE = 1199.0"
        )
    )
    loop = folder / "adm" / "training" / "loop.py"
    step = "                result = train_step("
    text = loop.read_text()
    assert step in text
    loop.write_text(text.replace(step, f"                time.sleep(0.6)\n{step}"))
    scale = (folder / "mini.yaml").read_text()
    assert "final: 2" in scale
    (folder / "mini.yaml").write_text(scale.replace("final: 2", "final: 3"))
    jobs = len(list_states(cluster, "train"))
    config = [*CONFIG, "walltime_minutes=20", "--", WEIGHTS]
    process, output = run(folder, cluster, *SLURM, *config)
    assert process.returncode == 0, output
    states = list_states(cluster, "train")[jobs:]
    assert len(states) >= 2 and sorted({*states}) == ["COMPLETED", "FAILED"]
    assert (
        "stopped by --stop-after-seconds after iteration" in output
        and "it is submitted again" in output
    )


def test_what_cannot_succeed_is_submitted_once(folder, cluster):
    program = folder / "adm" / "training" / "loop.py"
    text = program.read_text()
    program.write_text(
        text.replace(
            "    with join_ranks(",
            "    raise Diverged('model x: loss nan')\n    with join_ranks(",
            1,
        )
    )
    (folder / WEIGHTS).unlink()
    jobs = len(list_states(cluster, "train"))
    process, output = run(folder, cluster, *SLURM, *CONFIG, "--", WEIGHTS)
    assert process.returncode == 1 and "    error: model x: loss nan\n" in output
    assert list_states(cluster, "train")[jobs:] == ["FAILED"] and "Trying to restart" not in output
