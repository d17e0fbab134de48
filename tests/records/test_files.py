"""Atomic files, digests and links."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from records.errors import UserError
from records.files import (
    atomic_write,
    canonical_json,
    check_folder,
    check_writable,
    demand_folder,
    digest,
    link_or_copy,
    read_json,
    sha256_file,
    write_json,
)


def test_canonical_json_ignores_order_of_keys():
    assert canonical_json({"b": [1, 2.5], "a": None}) == '{"a":null,"b":[1,2.5]}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_sha256_of_known_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(path) == known


def test_atomic_write_leaves_nothing_behind_after_an_error(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EISDIR, "choose another name: a folder has this one"),
        (errno.ENOTDIR, "choose another place: there is a file where a folder is needed"),
        (errno.EEXIST, "choose another place: there is a file where a folder is needed"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
    ],
)
def test_atomic_write_explains_what_the_system_refuses(tmp_path, number, words):
    with pytest.raises(UserError, match=words), atomic_write(tmp_path / "x"):
        raise OSError(number, os.strerror(number))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("folder", r"folder: cannot be written \(Is a directory\); choose another name"),
        ("file/x", r"file/x: cannot be written \(File exists\); choose another place"),
        ("file/x/y", r"file/x/y: cannot be written \(Not a directory\); choose another place"),
        ("x" * 255, r"x: cannot be written \(File name too long\); choose a shorter name"),
        ("x" * 256, r"x: cannot be written \(File name too long\); choose a shorter name"),
    ],
)
def test_an_impossible_place_is_told_before_the_work_and_after_it(tmp_path, place, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(UserError, match=words):
        check_writable(tmp_path / place)
    with pytest.raises(UserError, match=words), atomic_write(tmp_path / place) as file:
        file.write(b"2")
    with pytest.raises(UserError, match=words):
        link_or_copy(tmp_path / "file", tmp_path / place)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"1" and not os.listdir(tmp_path / "folder")


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "stdout"])
def test_what_is_no_regular_file_is_not_replaced(tmp_path, kind):
    path, source = tmp_path / "out", tmp_path / "source"
    source.write_bytes(b"1")
    if kind == "stdout":
        path.symlink_to("/proc/self/fd/1")  # as /dev/stdout is
    else:
        pipe = path if kind == "pipe" else tmp_path / "pipe"
        os.mkfifo(pipe)
        if pipe != path:
            path.symlink_to(pipe)
    before = {one.name: stat.S_IFMT(one.lstat().st_mode) for one in tmp_path.iterdir()}
    words = "out: a device, a pipe or a socket, which the output would replace; give the name of a"
    with pytest.raises(UserError, match=words):
        check_writable(path)
    with pytest.raises(UserError, match=words), atomic_write(path) as file:
        file.write(b"2")
    with pytest.raises(UserError, match=words):
        link_or_copy(source, path)
    assert {one.name: stat.S_IFMT(one.lstat().st_mode) for one in tmp_path.iterdir()} == before


def test_a_link_to_a_file_or_to_nothing_can_be_written(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    for name, target in (("b", "a"), ("c", "nothing")):
        (tmp_path / name).symlink_to(target)
        with atomic_write(tmp_path / name) as file:
            file.write(b"2")
    assert [(tmp_path / name).read_bytes() for name in "abc"] == [b"1", b"2", b"2"]


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path):
    (tmp_path / "old").write_bytes(b"1")
    check_writable(tmp_path / "old")
    check_writable(tmp_path / "new" / "x")
    assert (tmp_path / "old").read_bytes() == b"1" and not os.listdir(tmp_path / "new")


def test_a_really_full_disk_is_explained_and_leaves_nothing(tmp_path):
    script = (
        "import resource, signal, sys\n"
        "from records.files import atomic_write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"with atomic_write({str(tmp_path / 'big')!r}) as file:\n"
        "    file.write(bytes(100000))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode != 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("check", [check_writable, check_folder])
def test_a_full_disk_is_told_before_the_work(tmp_path, monkeypatch, check):
    """An empty file needs no space, so that making one proves nothing."""

    def fill(handle, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(UserError, match=r"out: cannot be written .* the disk is full; free some"):
        check(tmp_path / "out")
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


def test_a_folder_that_is_a_file_or_a_circle_of_links_is_told(tmp_path):
    demand_folder(tmp_path / "absent" / "folder")
    assert not (tmp_path / "absent").exists()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name, words in (("file", "a file where a folder is"), ("loop", "links lead in a circle")):
        for place in (tmp_path / name, tmp_path / name / "inner"):
            with pytest.raises(UserError, match=f"{name}.*: cannot be written .*{words}"):
                demand_folder(place)


def test_killed_writer_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    script = (
        "import os, signal\n"
        "from records.files import atomic_write\n"
        f"with atomic_write({str(path)!r}) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", script])
    assert run.returncode == -9
    assert path.read_bytes() == b"old"


def test_json_round_trip_and_errors(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1})
    assert read_json(path, "spec") == {"b": 1}
    path.write_text("{")
    with pytest.raises(UserError, match="not a spec"):
        read_json(path, "spec")
    with pytest.raises(UserError, match="no such file; a spec is needed"):
        read_json(tmp_path / "b.json", "spec")


def test_link_or_copy_replaces_the_target(tmp_path):
    source, target = tmp_path / "s", tmp_path / "deep" / "t"
    source.write_bytes(b"1")
    link_or_copy(source, target)
    link_or_copy(source, target)
    assert target.read_bytes() == b"1" and os.path.samefile(source, target)
    other = tmp_path / "o"
    other.write_bytes(b"2")
    link_or_copy(other, target)
    assert target.read_bytes() == b"2" and source.read_bytes() == b"1"


def test_link_or_copy_copies_where_links_are_refused(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "other device")

    monkeypatch.setattr(os, "link", refuse)
    source = tmp_path / "s"
    source.write_bytes(b"1" * 3_000_000)
    link_or_copy(source, tmp_path / "t")
    assert (tmp_path / "t").read_bytes() == source.read_bytes()
