"""What a run may use of a cluster: limits, cuts and launchers, and what jobs then ask for."""

import math
import re
import socket
import sys

import pytest

from records.errors import UserError
from workflow.forecast import compute_resources
from workflow.launch import make_command
from workflow.machine import Machine, make_launcher
from workflow.settings import load_plan

PAPER = {"scale": "paper"}


def test_a_job_has_time_to_start_and_to_save():
    assert Machine().usable_seconds == math.inf
    assert Machine(walltime_minutes=20).usable_seconds == 600
    assert Machine(walltime_minutes=1440).usable_seconds == pytest.approx(0.95 * 86400)


def test_trainings_are_cut_by_usable_time():
    machine = Machine(walltime_minutes=20)
    assert [machine.count_segments(one) for one in (0, 600, 601, 6000)] == [1, 1, 2, 10]
    assert machine.count_segments(1e9) == 60
    assert Machine().count_segments(1e9) == 1


def test_a_smaller_batch_takes_as_many_processes_as_divide_it():
    machine = Machine(processes_per_training=32, processes_per_node=8)
    assert [machine.count_processes(one) for one in (2048, 256, 24, 7)] == [32, 32, 8, 1]
    assert [machine.count_nodes(one) for one in (32, 8, 1)] == [4, 1, 1]
    assert Machine(processes_per_training=4).count_nodes(4) == 1


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"walltime_minutes": 5}, r"--config: walltime_minutes: .*greater than or equal to 20"),
        ({"walltime_minutes": "day"}, r"--config: walltime_minutes"),
        ({"processes_per_training": 0}, r"--config: processes_per_training"),
        ({"processes_per_training": 8, "processes_per_node": 3}, r"8 is no multiple of .* 3"),
    ],
)
def test_what_a_cluster_cannot_be_is_refused(told, words):
    with pytest.raises(UserError, match=words):
        load_plan({**PAPER, **told})


def test_launchers():
    assert make_launcher(1, 1) == ["python"]
    assert make_launcher(32, 4) == ["python", "-m", "workflow.launch", "32", "4"]
    words = ["-m", "adm", "train"]
    assert make_command(4, 1, words, {}) == [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4"),
        *words,
    ]
    several = make_command(32, 4, words, {"SLURM_JOB_ID": "40007"})
    options = ["--nodes=4", "--ntasks=4", "--ntasks-per-node=1", "--cpu-bind=none"]
    assert several[:5] == ["srun", *options]
    assert {"--nnodes=4", "--nproc-per-node=8", "--rdzv-id=40007"} < set(several)
    assert several[-4:] == [f"--rdzv-endpoint={socket.gethostname()}:20007", *words]


def test_long_trainings_of_the_paper_are_cut_and_ask_for_no_more_than_the_walltime():
    plan = load_plan({**PAPER, "walltime_minutes": 1440, "processes_per_training": 16})
    whole = load_plan({**PAPER, "processes_per_training": 16})
    assert not whole.segments
    (number,) = (n for key, n in plan.segments.items() if key == ("imagenet_256", "final"))
    # As many as the longest the training may take, and the walltime less what saving takes.
    minutes = compute_resources(whole, "train", "imagenet_256", "final")["runtime"]
    assert number == pytest.approx(minutes / (0.95 * 1440), abs=1.5) and 2 < number < 60
    for rule, names in (("train", ()), ("segment", ("1",))):
        asked = compute_resources(plan, rule, "imagenet_256", "final", *names)
        assert asked["runtime"] == 1440
    assert compute_resources(plan, "sample", "t3_cond")["runtime"] <= 1440


def test_segments_are_a_chain_before_the_mark():
    from workflow.graph import Graph

    plan = load_plan({**PAPER, "walltime_minutes": 1440, "processes_per_training": 8})
    plan.segments["imagenet_256", "final"] = 3
    graph = Graph(plan)
    note = "results/paper/retrain/models/imagenet_256/segments/final-{}.json"
    parts = [
        graph.describe(("segment", "imagenet_256", "final", part)).inputs["parts"]
        for part in ("1", "2")
    ]
    assert parts == [[], [note.format(1)]]
    last = graph.describe(("train", "imagenet_256", "final"))
    assert last.inputs["parts"] == [note.format(2)]
    # The walltime is in no identity, so that another one makes nothing stale.
    plain = Graph(load_plan(PAPER)).describe(("train", "imagenet_256", "final"))
    assert plain.identity == last.identity
    assert re.search(r"--stop-after-seconds 82080", " ".join(last.options))
