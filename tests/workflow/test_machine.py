"""What a run may use of a cluster: limits, cuts and launchers, and what jobs then ask for."""

import math
import re
import socket
import sys
from argparse import Namespace

import pytest

from records.errors import UserError
from workflow.forecast import compute_resources
from workflow.graph import Graph
from workflow.launch import make_command
from workflow.machine import Machine, make_launcher
from workflow.rule_parts import make_rules
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
        ({"shard_minutes": 0}, r"--config: shard_minutes: .*greater than 0"),
        ({"processes_per_training": 0}, r"--config: processes_per_training"),
        ({"gpu_type": "a100:2"}, r"--config: gpu_type"),
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


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ({}, {"gpu": 1}),
        ({"processes_per_training": 8}, {"gpu": 8, "nodes": 1}),
        ({"processes_per_training": 8, "device": "cpu", "gpu_type": "a100"}, {"gpu": 0}),
        ({"gpu_type": "a100"}, {"gpu": 1, "gpu_model": "a100"}),
        (
            {"processes_per_training": 16, "processes_per_node": 8},
            {"gpu": 0, "gres": "gpu:8", "nodes": 2, "tasks": 2, "mpi": "srun", "tasks_per_gpu": 0},
        ),
        (
            {"processes_per_training": 4, "processes_per_node": 2, "gpu_type": "a100"},
            dict(gpu=0, gres="gpu:a100:2", nodes=2, tasks=2, mpi="srun", tasks_per_gpu=0),
        ),
    ],
)
def test_the_gpus_of_a_training_are_on_as_many_nodes_as_were_asked_for(told, asked):
    resources = make_rules(load_plan({**PAPER, **told}), pages=False)["train"].resources
    wildcards = Namespace(model="imagenet_256", mark="final")
    found = {
        name: value(wildcards) if callable(value) else value
        for name, value in resources.items()
        if name not in ("mem_mb", "runtime")
    }
    assert found == asked


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


def test_large_batches_are_cut_by_time_and_equally():
    machine = Machine(shard_minutes=60, walltime_minutes=1440)
    assert machine.cut_batch(1000, 3600, 3600, 8) is None
    assert Machine().cut_batch(1000, 1e9, 1e9, 8) is None
    cut = machine.cut_batch(1000, 2 * 3600 + 1, 8000, 8)
    assert cut.parts == ((0, 328), (328, 664), (664, 1000))
    assert cut.images_per_shard == 120  # a quarter of an hour, in batches of 8
    assert len(machine.cut_batch(1000, 7200, 5 * 82080, 8).parts) == 5  # slow ones end in time
    assert len(machine.cut_batch(1000, 1e9, 1e9, 8).parts) == 16
    few = machine.cut_batch(10, 1e9, 1e9, 8)
    assert few.parts == ((0, 8), (8, 10)) and few.images_per_shard == 8


def test_parts_of_a_batch_ask_for_a_gpu_each_and_who_joins_them_for_none():
    plan = load_plan({**PAPER, "walltime_minutes": 1440, "shard_minutes": 120, "gpu_type": "a100"})
    rules = make_rules(plan)
    name = "t4_512_adm"
    (cut, whole) = plan.cuts[name], load_plan({**PAPER, "walltime_minutes": 1440})
    assert not whole.cuts and cut.images_per_shard < 1000
    parts = [(name, part) for part in cut.names]
    assert [key[1:] for key in rules["shard"].graph.jobs if key[:2] == ("shard", name)] == parts
    wildcards = Namespace(sample=name, part=parts[0][1])
    assert rules["sample"].resources["gpu"](wildcards) == 0 and rules["shard"].resources["gpu"] == 1
    assert rules["sample"].resources["gpu_model"](wildcards) == ""
    assert rules["shard"].resources["gpu_model"] == "a100"
    assert rules["sample"].resources["runtime"](wildcards) == 60
    asked = compute_resources(plan, "shard", *parts[0])
    assert asked["runtime"] <= 1440 and asked["mem_mb"] == pytest.approx(
        compute_resources(plan, "sample", name)["mem_mb"]
    )
    graph = rules["sample"].graph
    joined, drawn = (graph.describe(key) for key in (("sample", name), ("shard", *parts[0])))
    plain = Graph(whole).describe(("sample", name))
    assert joined.identity == plain.identity == drawn.identity
    assert joined.inputs["parts"] == [plan.layout.part(*one).file for one in parts]
    assert "--only join" in " ".join(joined.options) and "cuda" not in joined.options
    assert " ".join(drawn.options).count("--only draw --start 0 --stop 3") == 1
    assert "--only" not in plain.options and "parts" not in plain.inputs
    # A job that only reads its own low-resolution images needs no memory for all of them.
    stack = compute_resources(plan, "shard", "t5_512_adm_admu", plan.cuts[name].names[0])
    assert stack["mem_mb"] - asked["mem_mb"] < 1000


@pytest.mark.parametrize(("told", "images"), [({}, 8), ({"gpu_memory_gb": 80}, 20)])
def test_trainings_take_as_many_images_at_a_time_as_a_gpu_holds(told, images):
    job = Graph(load_plan({**PAPER, **told})).describe(("train", "imagenet_256", "final"))
    assert job.options[-2:] == ["--microbatch-size", str(images)]
    assert Machine(gpu_memory_gb=1).fit_microbatch(8) == 1
    digits = Graph(load_plan({})).describe(("train", "imagenet_256", "final"))
    assert "--microbatch-size" not in digits.options
    assert (
        job.identity
        == Graph(load_plan(PAPER)).describe(("train", "imagenet_256", "final")).identity
    )


def test_segments_are_a_chain_before_the_mark():
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
