"""How busy a machine is: values that are true, in a thread that nothing waits for."""

import stat
import threading
import time

import psutil
import pytest

from records.errors import UserError
from records.events import EventLog, read_events
from records.system_metrics import read_gpus, watch_machine

ABOUT = {"kind": "row", "job": "sample", "name": "a", "digest": "d", "spec": {}}


def wait_for(told, count=1):
    end = time.monotonic() + 20
    while len(told) < count and time.monotonic() < end:
        time.sleep(0.01)


def watch(seconds, work):
    told = []
    with watch_machine(lambda event, **values: told.append((event, values)), interval_s=seconds):
        work(told)
    return told


def test_a_busy_process_is_told_from_an_idle_one():
    def burn(told):
        end = time.monotonic() + 20
        while len(told) < 3 and time.monotonic() < end:
            pass

    busy = watch(0.2, burn)[-1][1]
    idle = watch(0.2, lambda told: wait_for(told, 3))[-1][1]
    assert busy["process_cpu_utilization_percentage"] > 30
    assert idle["process_cpu_utilization_percentage"] < 15
    assert 0 < busy["cpu_utilization_percentage"] <= 100


def test_memory_is_that_of_machine_and_process():
    ((event, values), *_) = watch(0.05, wait_for)
    assert event == "system"
    resident = psutil.Process().memory_info().rss / 1e6
    assert values["process_memory_usage_megabytes"] == pytest.approx(resident, rel=0.2)
    total = psutil.virtual_memory().total / 1e6
    share = 100 * values["system_memory_usage_megabytes"] / total
    assert values["system_memory_usage_percentage"] == pytest.approx(share, abs=0.1)


def test_nothing_is_told_after_the_end_and_a_short_block_tells_nothing():
    told = watch(0.02, wait_for)
    count = len(told)
    time.sleep(0.2)
    assert len(told) == count
    assert watch(10.0, lambda told: None) == []


def test_a_block_does_not_wait_for_a_look_that_hangs(monkeypatch):
    hangs = threading.Event()
    monkeypatch.setattr("records.system_metrics.read_gpus", lambda: hangs.wait(20) and {})
    started = time.monotonic()
    told = watch(0.01, lambda told: time.sleep(0.1))
    assert told == [] and time.monotonic() - started < 5
    hangs.set()


def test_what_cannot_be_written_costs_no_work():
    def refuse(event, **values):
        told.append(event)
        raise UserError("disk is full")

    told = []
    with watch_machine(refuse, interval_s=0.01):
        wait_for(told, 2)
    assert len(told) >= 2


def test_a_log_tells_it_between_start_and_end(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "records.events.watch_machine", lambda write: watch_machine(write, interval_s=0.02)
    )
    log = EventLog(tmp_path / "events.jsonl")
    with log.record(**ABOUT):
        end = time.monotonic() + 20
        while len(read_events(log.path)[0]) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    words = [event["event"] for event in read_events(log.path)[0]]
    assert words[0] == "start" and words[-1] == "end" and {*words[1:-1]} == {"system"}


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A program of this name that notes its arguments and says what it is given."""

    def make(text, code=0):
        path = tmp_path / "nvidia-smi"
        path.write_text(
            f"#!/bin/sh\necho \"$*\" > {tmp_path}/asked\ncat <<'E'\n{text}\nE\nexit {code}\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        return tmp_path / "asked"

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return make


def test_gpus_have_the_names_that_mlflow_gives_them(nvidia_smi, monkeypatch):
    asked = nvidia_smi("87, 1000, 80000, 350.5, 700.00\n0, 0, 80000, [N/A], [N/A]")
    assert read_gpus() == {
        "gpu_0_utilization_percentage": 87.0,
        "gpu_0_memory_usage_megabytes": 1048.576,
        "gpu_0_memory_usage_percentage": 1.25,
        "gpu_0_power_usage_watts": 350.5,
        "gpu_0_power_usage_percentage": pytest.approx(50.07, abs=0.01),
        "gpu_1_utilization_percentage": 0.0,
        "gpu_1_memory_usage_megabytes": 0.0,
        "gpu_1_memory_usage_percentage": 0.0,
    }
    assert "--id" not in asked.read_text()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert read_gpus() and "--id=2,3" in asked.read_text()


@pytest.mark.parametrize(("text", "code"), [("NVIDIA-SMI has failed", 0), ("1,2,3,4,5", 9)])
def test_a_driver_that_fails_says_nothing(nvidia_smi, text, code):
    nvidia_smi(text, code)
    assert read_gpus() == {}


def test_names_are_those_of_mlflow():
    pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

    monitor = CPUMonitor()
    monitor.collect_metrics()
    ((_, values), *_) = watch(0.05, wait_for)
    assert {*monitor.aggregate_metrics()} <= {*values}
