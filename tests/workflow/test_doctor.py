"""Whether a run can go through, seen before it starts: each fault is named with what to do."""

import errno
import fcntl
import os
import shutil
from collections import namedtuple

import pytest

from tests.workflow.conftest import ROOT
from workflow import doctor
from workflow.cli import main
from workflow.doctor_slurm import load_profile


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Work in a folder with the shipped profile."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ADM_MIRROR", raising=False)
    shutil.copytree(ROOT / "slurm", tmp_path / "slurm")
    return tmp_path


def see(capsys, *arguments, code):
    assert main(["doctor", *arguments]) == code
    return dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())


def test_a_machine_on_which_all_is_well(project, capsys):
    said = see(capsys, code=0)
    assert list(said) == [
        f"ok    {name}" for name in ("file system", "clock", "locks", "disk", "packages")
    ]
    assert os.listdir(project / "results/digits") == []


def test_a_full_disk_is_told_with_what_is_needed(project, capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(9, 9, 5_000_000))
    said = see(capsys, code=1)
    assert said["FIX   disk"].startswith("5.0 MB free, 1.0")
    assert "needed at most; free some space" in said["FIX   disk"]


def test_a_file_system_without_locks_is_explained(project, capsys, monkeypatch):
    def refuse(file, how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    said = see(capsys, code=1)
    assert "Lustre mounted without flock; ask for `-o flock`" in said["FIX   locks"]


@pytest.mark.parametrize(("skew", "words"), [(60, "60 s ahead"), (-60, "60 s behind")])
def test_a_clock_that_is_off_is_told(project, capsys, monkeypatch, skew, words):
    now = doctor.time.time
    monkeypatch.setattr(doctor.time, "time", lambda: now() - skew)
    said = see(capsys, code=1)
    assert f"the file system is {words}; no result is lost" in said["FIX   clock"]


def test_a_results_folder_that_cannot_be_is_all_that_is_said(project, capsys):
    (project / "results").mkdir()
    (project / "results/digits").write_text("a file")
    said = see(capsys, code=1)
    assert list(said) == ["FIX   results"]
    assert "there is a file where a folder is needed" in said["FIX   results"]


def test_a_server_that_is_away_is_named(project, capsys, monkeypatch):
    monkeypatch.setenv("ADM_MIRROR", "http://127.0.0.1:9/")
    said = see(capsys, "--scale", "paper", "--source", "rescore", code=1)
    assert "http://127.0.0.1:9/ does not answer (ConnectionError)" in said["FIX   network"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_mirror_in_a_folder_is_looked_for(project, capsys, monkeypatch, is_there):
    folder = project / "my files"
    monkeypatch.setenv("ADM_MIRROR", folder.as_uri() + "/")
    if is_there:
        folder.mkdir()
    main(["doctor", "--scale", "paper", "--source", "rescore"])
    said = capsys.readouterr().out
    words = "is there" if is_there else "is no folder; name another in ADM_MIRROR"
    assert f"{'ok  ' if is_there else 'FIX '}  network: {folder}/ {words}\n" in said


def test_without_slurm_the_cluster_is_one_line(project, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    said = see(capsys, "--profile", "slurm", "--scale", "digits", code=1)
    assert "SLURM's command sbatch is not on this machine" in said["FIX   controller"]
    assert list(said)[-1] == "FIX   controller"


def test_a_profile_gives_its_settings(project):
    profile, settings = load_profile("slurm")
    assert profile["executor"] == "slurm" and settings["scale"] == "paper"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nope", None, "error: --profile nope: no file "),
        ("mine", "a: [", "mine/config.yaml: not a profile"),
        ("mine", "configfile: gone.yaml", "no file mine/gone.yaml"),
    ],
)
def test_a_profile_that_is_none_is_told(project, capsys, name, content, words):
    if content is not None:
        (project / name).mkdir()
        (project / name / "config.yaml").write_text(content)
    assert main(["doctor", "--profile", name]) == 2
    assert words in capsys.readouterr().err
