"""What the jobs cost, read from the manifests of what they made."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from records.files import write_json
from records.manifest import manifest_path
from specs.scale import Prices
from workflow.cli import main
from workflow.costs import (
    add_up_wall_seconds,
    format_costs,
    make_costs,
    read_times,
    read_unfinished,
)
from workflow.settings import load_plan


@pytest.fixture
def plan(tmp_path):
    return load_plan({"results": str(tmp_path)})


def test_times_of_a_jobs_commands_are_added(tmp_path):
    path = tmp_path / "x.times"
    path.write_text("1.5 1.0 0.25\n0.5 0.5 0.25\nsome other line of stderr\n")
    assert read_times(path) == {"wall_seconds": 2.0, "cpu_seconds": 2.0}


def test_a_price_is_said_where_hours_have_one(plan):
    files = plan.layout
    for path, device in (("train", "cuda"), ("sample", "cpu")):
        run = {"wall_seconds": 1800.0, "cpu_seconds": 3600.0, "peak_memory_mb": 1.0}
        file = files.weights("arch_heads", "700K") if path == "train" else files.drawn("t3_cond")
        file = file.file if path == "train" else file["file"]
        write_json(manifest_path(file), {"format": 1, "device": device, "run": run})
    assert "price" not in make_costs(plan)
    prices = Prices(currency="EUR", gpu_hour=3.0, cpu_hour=0.05)
    compute = plan.scale.compute.model_copy(update={"prices": prices})
    plan = replace(plan, scale=plan.scale.model_copy(update={"compute": compute}))
    assert make_costs(plan)["price"] == "1.55 EUR"
    # A batch that a CPU put together: GPUs drew its parts for an hour, which costs 3 EUR.
    drawn = {"wall_seconds": 3600.0, "cpu_seconds": 7200.0, "device": "cuda"}
    run = {"wall_seconds": 1800.0, "cpu_seconds": 3600.0, "peak_memory_mb": 1.0, "shards": drawn}
    write_json(manifest_path(file), {"format": 1, "run": run})
    assert make_costs(plan)["price"] == "4.55 EUR"
    # One process drew and wrote it: half an hour of a GPU. And a training kept 4 GPUs that long.
    run = {"wall_seconds": 1800.0, "cpu_seconds": 3600.0, "peak_memory_mb": 1.0, "device": "cuda"}
    write_json(manifest_path(file), {"format": 1, "run": run})
    weights = files.weights("arch_heads", "700K").file
    about = {"format": 1, "device": "cuda", "processes": 4, "run": {**run, "device": "cuda"}}
    write_json(manifest_path(weights), about)
    assert make_costs(plan)["price"] == "7.50 EUR"


def test_costs_list_what_was_done(plan):
    files = plan.layout
    for path, cpu_seconds in (
        (files.weights("arch_heads", "700K").file, 9.0),
        (files.weights("arch_heads", "1200K").file, 18.0),
        (files.drawn("t3_cond")["file"], 4.5),
        (files.metrics("t3_cond"), 1.0),
        (files.page("table3"), 2.0),
    ):
        run = {
            "wall_seconds": 20.0,
            "cpu_seconds": cpu_seconds,
            "peak_memory_mb": 100 + cpu_seconds,
        }
        write_json(manifest_path(path), {"format": 1, "run": run})
    costs = make_costs(plan)
    assert [model["name"] for model in costs["models"]] == ["arch_heads"]
    assert costs["models"][0]["cpu_seconds"] == 27.0 and costs["models"][0]["wall_seconds"] == 40.0
    assert costs["rows"][0]["num_images"] == 500
    assert set(costs["stages"]) == {"train", "sample", "evaluate", "table"}
    assert costs["total_cpu_seconds"] == 34.5
    assert costs["peak_memory_mb"] == 118.0
    text = format_costs(costs)
    assert "sum of the jobs' CPU time: 0.6 minutes" in text and "arch_heads" in text


def test_jobs_side_by_side_share_their_wall_time(plan):
    ends = {"12:00:10": 10.0, "12:00:14": 8.0, "12:01:00": 5.0}
    runs = [
        {"ended": f"2026-01-02T{end}+00:00", "wall_seconds": seconds}
        for end, seconds in ends.items()
    ]
    assert add_up_wall_seconds([*runs, {"wall_seconds": 99.0}]) == 14.0 + 5.0
    files = plan.layout
    for path, run in zip((files.metrics("t3_cond"), files.page("table3")), runs, strict=False):
        run |= {"cpu_seconds": 1.0, "peak_memory_mb": 1.0}
        manifest = {"format": 1, "run": run, "platform": "Linux x86_64", "cpus": 2}
        write_json(manifest_path(path), manifest)
    costs = make_costs(plan)
    assert costs["total_wall_seconds"] == 14.0 and costs["machine"] == "Linux x86_64, 2 CPUs"
    assert costs["last_ended"] == "2026-01-02T12:00:10+00:00"  # of a number, not of its page


def test_the_logs_of_times_of_an_earlier_version_are_read(plan, tmp_path):
    logs, bench = tmp_path / "digits" / "logs", tmp_path / "digits" / "benchmarks" / "train"
    for name, line in (("train/arch_heads-700K", "10 8 1"), ("sample/t3_cond", "5 4 0.5")):
        path = logs / f"{name}.times"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(line + "\n")
    bench.mkdir(parents=True)
    (bench / "arch_heads-700K.tsv").write_text("s\tmax_rss\n1.0\t466.5\n")
    costs = make_costs(plan)
    assert costs["models"][0]["cpu_seconds"] == 9.0 and costs["total_cpu_seconds"] == 13.5
    assert costs["peak_memory_mb"] == 466.5
    (bench / "arch_heads-700K.tsv").write_text("s\tmax_rss\n1.0\tNA\n")
    assert make_costs(plan)["peak_memory_mb"] == 0


def test_nothing_done_yet(plan):
    assert make_costs(plan)["total_cpu_seconds"] == 0


def test_a_summary_of_nothing_is_one_line(tmp_path, capsys):
    assert main(["summary", "--results", str(tmp_path)]) == 0
    line = "no job of scale digits, source retrain has run here: nothing in "
    assert capsys.readouterr().out == f"{line}{tmp_path}/digits/logs\n"


def test_a_summary_names_pages_that_are_there(tmp_path, capsys):
    report = tmp_path / "digits" / "report"
    for folder in (report, tmp_path / "digits" / "logs" / "table"):
        folder.mkdir(parents=True)
    (tmp_path / "digits" / "logs" / "table" / "table3.times").write_text("1 1 0\n")

    def list_pages():
        assert main(["summary", "--results", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.removeprefix("report: ") for line in lines if line.startswith("report: ")]

    assert list_pages() == []
    (report / "table3.html").touch()
    assert list_pages() == [str(report / "table3.html")]
    (report / "index.html").touch()
    assert list_pages() == [str(report / "index.html")]


def test_attempts_that_were_stopped_or_killed_count(plan):
    files = plan.layout
    path = files.weights("arch_heads", plan.last_mark("arch_heads")).file
    run = {"wall_seconds": 5.0, "cpu_seconds": 4.0, "peak_memory_mb": 1.0}
    write_json(manifest_path(path), {"format": 1, "run": run})
    begun = {"kind": "model", "job": "train", "threads": 2, "processes": 3}
    events = [
        {"event": "start", "time": 10.0, **begun}, {"event": "progress", "time": 12.0},
        {"event": "resume", "time": 20.0, **begun}, {"event": "stopped", "time": 23.0},
        {"event": "resume", "time": 30.0, **begun}, {"event": "end", "time": 35.0},
        {"event": "restored", "time": 40.0, "kind": "model"}, {"event": "dropped", "time": 49.0},
    ]  # fmt: skip
    log = Path(files.events("train-arch_heads"))
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(map(json.dumps, events)) + "\n")
    assert read_unfinished(log) == {"wall_seconds": 5.0, "cpu_seconds": 30.0}
    (model,) = make_costs(plan)["models"]
    assert (model["wall_seconds"], model["cpu_seconds"]) == (10.0, 34.0)
    assert make_costs(plan)["stages"]["train"] == {"jobs": 1, "cpu_seconds": 34.0}
    assert read_unfinished("missing") == {"wall_seconds": 0.0, "cpu_seconds": 0.0}
