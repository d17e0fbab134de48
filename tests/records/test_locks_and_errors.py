"""Locks, errors and provenance."""

import errno
import fcntl
import json
import subprocess
import sys

import pytest
import scipy

from records.errors import UserError, main_guard
from records.locks import check_locks, exclusive_lock
from records.provenance import environment


def test_lock_is_refused_to_another_process_and_freed_by_its_death(tmp_path):
    path = tmp_path / "run.lock"
    hold = (
        "import sys, time\n"
        "from records.locks import exclusive_lock\n"
        f"with exclusive_lock({str(path)!r}, 'model a'):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        words = f"model a: already being worked on by process {holder.pid}"
        with pytest.raises(UserError, match=words), exclusive_lock(path, "model a"):
            pass
        holder.kill()
    with exclusive_lock(path, "model a"):
        pass


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch):
    check_locks(tmp_path)

    def refuse(file, how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    words = r"no locks \(Function not implemented\), as Lustre mounted without flock; ask for `-o "
    told = pytest.raises(UserError, match=f"lock: this file system has {words}")
    with told, exclusive_lock(tmp_path / "lock", "model a"):
        pass
    with pytest.raises(UserError, match=words):
        check_locks(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_main_guard_prints_one_line(capsys):
    class Special(UserError):
        exit_code = 4

    def command(argv):
        raise Special("row x: broken; fix it")

    assert main_guard(command)([]) == 4
    assert capsys.readouterr().err == "error: row x: broken; fix it\n"
    assert main_guard(lambda argv: None)([]) == 0


def test_environment_is_json_and_names_versions():
    content = environment()
    assert json.loads(json.dumps(content)) == content
    assert content["versions"]["numpy"] and content["git_commit"]
    assert content["versions"]["scipy"] == scipy.__version__


def test_ctrl_c_is_one_line(capsys):
    def command(argv):
        raise KeyboardInterrupt

    assert main_guard(command)([]) == 130
    assert capsys.readouterr().err == "error: stopped by Ctrl-C\n"
