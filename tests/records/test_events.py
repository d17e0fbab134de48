"""Event logs: whole lines whatever happens, and a first line that explains the rest."""

import argparse

import pytest

from records.errors import UserError
from records.events import EventLog, add_event_options, open_events, read_events

ABOUT = {"kind": "row", "job": "sample", "name": "a", "digest": "d", "spec": {"seed": 1}}


def test_events_are_lines_and_what_is_cut_short_is_left_out(tmp_path):
    log = EventLog(tmp_path / "deep" / "events.jsonl")
    log.write("start", iteration=0)
    log.write("progress", iteration=5, loss=0.25)
    with open(log.path, "a") as file:
        file.write('{"event": "pro')
    events, num_left_out = read_events(log.path)
    assert [event["event"] for event in events] == ["start", "progress"]
    assert events[1]["loss"] == 0.25 and "time" in events[1]
    assert num_left_out == 0  # it may still be being written


def test_a_job_that_goes_on_after_a_cut_line_begins_a_new_one(tmp_path):
    path = tmp_path / "events.jsonl"
    EventLog(path).write("start")
    with open(path, "a") as file:
        file.write('{"event": "pro')
    log = EventLog(path)
    log.write("resume")
    log.write("end")
    events, num_left_out = read_events(path)
    assert [event["event"] for event in events] == ["start", "resume", "end"]
    assert num_left_out == 1
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize(
    "line",
    [b"nonsense", b"[1]", b'{"event": 1, "time": 1}', b'{"event": "a"}', b"\xff\xfe", b"[" * 99999],
)  # fmt: skip
def test_lines_that_are_no_events_are_counted(tmp_path, line):
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.write("start")
    with open(path, "ab") as file:
        file.write(line + b"\n")
    log.write("end")
    events, num_left_out = read_events(path)
    assert [event["event"] for event in events] == ["start", "end"] and num_left_out == 1


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_events(tmp_path / "none.jsonl")


def test_the_first_line_explains_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    log = EventLog(tmp_path / "events.jsonl", {"scale": "digits"})
    with log.record(**ABOUT, device="cpu"):
        log.write("progress", images=2)
    (start, _, end), _ = read_events(log.path)
    assert ABOUT.items() <= start.items()
    assert start["tags"] == {"scale": "digits"} and start["cluster_job"] == "17"
    assert start["device"] == "cpu" and "git_commit" in start and "torch" in start["versions"]
    assert end["event"] == "end" and end["wall_seconds"] >= 0


def test_a_failed_job_says_so(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    with pytest.raises(UserError), log.record(**ABOUT):
        raise UserError("broken; fix it")
    events, _ = read_events(log.path)
    assert [event["event"] for event in events] == ["start", "failed"]
    assert events[1]["text"] == "UserError: broken; fix it"


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with EventLog(None).record(**ABOUT):
        pass
    assert list(tmp_path.iterdir()) == []


def test_options_of_a_command(capsys):
    parser = argparse.ArgumentParser()
    add_event_options(parser)
    log = open_events(parser.parse_args(["--events", "e", "--tag", "a=b=c", "--tag", "d="]))
    assert str(log.path) == "e" and log.tags == {"a": "b=c", "d": ""}
    assert open_events(parser.parse_args([])).path is None
    with pytest.raises(SystemExit):
        parser.parse_args(["--tag", "scale"])
    assert "'scale' is not KEY=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_sealed_file_gets_a_body_of_its_own_and_the_sealed_one_stays(tmp_path, is_linked):
    """As DVC leaves it: read-only, under a second name in its cache."""
    path, sealed = tmp_path / "a.jsonl", tmp_path / "sealed"
    EventLog(path).write("first")
    before = path.read_bytes()
    if is_linked:
        sealed.hardlink_to(path)
    path.chmod(0o444)
    log = EventLog(path)
    log.write("second")
    log.write("third")
    assert [event["event"] for event in read_events(path)[0]] == ["first", "second", "third"]
    assert path.stat().st_mode & 0o200 and path.stat().st_nlink == 1
    assert not is_linked or sealed.read_bytes() == before
