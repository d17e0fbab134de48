"""The bench of shards: what is made of the times of jobs, and which times are read."""

import json

import pytest

from bench.shards import JobTimes, read_times, summarise

SAID = """\
JobId=7 JobName=a Comment=x StartTime=2026-01-02T03:04:05 EndTime=2026-01-02T03:04:35 NodeList=n1
JobId=8 JobName=b Comment=y StartTime=2026-01-02T03:04:05 EndTime=2026-01-02T03:04:25 NodeList=n2
"""


def test_what_two_nodes_did():
    jobs = [JobTimes(100, 130, 106, 25), JobTimes(100, 120, 104, 15), JobTimes(122, 132, 127, 6)]
    assert summarise(jobs) == {
        "wall_seconds": 32,
        "job_seconds": 60,
        "at_a_time": 60 / 32,
        "startup_seconds": 5,
        "around_seconds": 14,
        "idle_seconds": 4,
    }


def test_jobs_are_found_by_their_events(tmp_path):
    folder = tmp_path / "results/mini/retrain/events"
    folder.mkdir(parents=True)
    for part, job in (("000000-000008", "8"), ("000008-000016", "7")):
        events = [
            {"event": "start", "time": 5.5, "cluster_job": job},
            {"event": "progress", "time": 7.0},
            {"event": "end", "time": 9.0, "wall_seconds": 3.25},
        ]
        lines = "".join(json.dumps(one) + "\n" for one in events)
        (folder / f"sample-t3_uncond-{part}.jsonl").write_text(lines)
    (folder / "sample-t3_uncond.jsonl").write_text("{}\n")  # of the job that joins
    times = sorted(read_times(SAID, tmp_path), key=lambda one: one.end)
    assert [one.end - one.start for one in times] == [20, 30]
    assert [one[2:] for one in times] == [(5.5, 3.25)] * 2
    with pytest.raises(KeyError):
        read_times("", tmp_path)
