"""Downloads from a real server that fails in the ways servers do."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from records.downloads import fetch
from records.errors import UserError
from tests.records.file_server import run_file_server

ROOT = Path(__file__).resolve().parents[2]
CONTENT = hashlib.shake_256(b"content").digest(3_000_000)
OTHER = hashlib.shake_256(b"other").digest(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = {"pause_s": 0.01, "timeout_s": 5.0, "num_tries": 3}
CHUNK_BYTES = 1 << 16  # what a break may cost: the chunk that was being read


def names(folder):
    """What lies in a folder, locks left out."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def count_waste(server, content=CONTENT):
    """Bytes sent beyond one copy of the file."""
    return sum(asked.num_bytes for asked in server.asked) - len(content)


def start_fetch(url, path, **options):
    """Fetch in a process of its own."""
    program = f"from records.downloads import fetch\nfetch({url!r}, {str(path)!r}, **{options!r})"
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def break_off(server, url, path, **options):
    """Leave a half file behind, as a server that dies and stays dead does."""
    served = server.served[url.removeprefix(server.base)]
    plans, served.plans = served.plans, ["die", "500"]
    with pytest.raises(UserError, match="answered 500"):
        fetch(url, path, **{**QUICK, "num_tries": 2, **options})
    served.plans = plans
    server.asked.clear()
    return path.with_name(path.name + ".part").stat().st_size


def test_a_file_arrives_whole_with_a_bar_and_nothing_else_beside_it(server, tmp_path, capsys):
    url = server.add("/deep/weights.pb", CONTENT)
    path = tmp_path / "cache" / "weights.pb"
    assert fetch(url, path, sha256=SHA256.upper(), num_bytes=len(CONTENT)) == path
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["weights.pb"]
    bar = capsys.readouterr().err
    assert "weights.pb: 100%" in bar and "3.00M/3.00M" in bar
    fetch(url, path, sha256=SHA256)
    assert len(server.asked) == 1  # what is there is not asked for again


def test_silence_is_possible(server, tmp_path, capsys):
    url = server.add("/f.bin", CONTENT, "die", "ok")
    fetch(url, tmp_path / "f.bin", progress=False, **QUICK)
    assert capsys.readouterr().err == ""


def test_a_broken_connection_goes_on_where_it_broke(server, tmp_path, capsys):
    url = server.add("/f.bin", CONTENT, "die", "die", "ok")
    fetch(url, tmp_path / "f.bin", sha256=SHA256, **QUICK)
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    assert 0 <= count_waste(server) < 2 * CHUNK_BYTES
    assert [asked.status for asked in server.asked] == [200, 206, 206]
    assert "connection broke off at 1.5 MB; trying again" in capsys.readouterr().err


def test_progress_makes_patience_anew(server, tmp_path):
    """Five failures in a row are survived with three tries, as each got further."""
    big = CONTENT * 3
    url = server.add("/f.bin", big, *["die"] * 5, "ok", part=0.2)
    fetch(url, tmp_path / "f.bin", sha256=hashlib.sha256(big).hexdigest(), **QUICK)
    assert 0 <= count_waste(server, big) < 5 * CHUNK_BYTES


def test_a_silent_server_is_left_and_asked_again(server, tmp_path):
    url = server.add("/f.bin", CONTENT, "stall", "ok")
    fetch(url, tmp_path / "f.bin", sha256=SHA256, pause_s=0.01, timeout_s=0.3)
    assert 0 <= count_waste(server) < CHUNK_BYTES


def test_a_killed_download_goes_on_in_the_next_process(server, tmp_path):
    url = server.add("/f.bin", CONTENT, "slow", pause_s=0.05)
    path, part = tmp_path / "f.bin", tmp_path / "f.bin.part"
    process = start_fetch(url, path, sha256=SHA256)
    while not (part.exists() and part.stat().st_size > len(CONTENT) // 2):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not path.exists()
    arrived = part.stat().st_size
    server.asked.clear()
    server.served["/f.bin"].plans = ["ok"]
    fetch(url, path, sha256=SHA256, **QUICK)
    assert path.read_bytes() == CONTENT
    assert [asked.status for asked in server.asked] == [206]
    assert server.asked[0].num_bytes == len(CONTENT) - arrived < len(CONTENT) // 2
    assert server.asked[0].headers["if-range"].startswith('"')
    assert names(tmp_path) == ["f.bin"]


def test_a_dead_server_says_how_far_it_got_and_where_to_put_the_file(tmp_path):
    path = tmp_path / "f.bin"
    with run_file_server() as dying:
        url = dying.add("/f.bin", CONTENT)
        arrived = break_off(dying, url, path, sha256=SHA256)
    with pytest.raises(UserError) as caught:
        fetch(url, path, sha256=SHA256, num_bytes=len(CONTENT), **QUICK)
    words = str(caught.value)
    assert f"could not be fetched from {url}: connection refused (3 tries" in words
    assert f"1.5 MB have arrived and are kept in {path}.part; run the same command again" in words
    assert words.endswith(f"get the file (SHA-256 {SHA256}) some other way and put it at {path}")
    # The server comes back under another address; the known hash judges the whole.
    with run_file_server() as other:
        url = other.add("/f.bin", CONTENT)
        fetch(url, path, sha256=SHA256, **QUICK)
        assert other.asked[0].num_bytes == len(CONTENT) - arrived


def test_a_server_that_never_was_says_so(tmp_path):
    with run_file_server() as gone:
        url = gone.add("/f.bin", b"")
    with pytest.raises(UserError, match="nothing arrived; run the same command again later, or"):
        fetch(url, tmp_path / "f.bin", **QUICK)
    with pytest.raises(UserError, match="the server's name is not known here"):
        fetch("http://no-such-host.invalid/f.bin", tmp_path / "f.bin", **QUICK)


def test_a_server_that_ignores_range_starts_over(server, tmp_path):
    url = server.add("/f.bin", CONTENT, "die", "no-range")
    fetch(url, tmp_path / "f.bin", sha256=SHA256, **QUICK)
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    assert [asked.status for asked in server.asked] == [200, 200]


def test_a_length_that_is_not_told_is_no_hindrance(server, tmp_path):
    url = server.add("/f.bin", CONTENT, "chunked")
    fetch(url, tmp_path / "f.bin", sha256=SHA256, **QUICK)
    assert (tmp_path / "f.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("sha256", [None, hashlib.sha256(OTHER).hexdigest()])
def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(server, tmp_path, sha256):
    url = server.add("/f.bin", CONTENT)
    break_off(server, url, tmp_path / "f.bin", sha256=sha256)
    server.add("/f.bin", OTHER)
    fetch(url, tmp_path / "f.bin", sha256=sha256, **QUICK)
    assert (tmp_path / "f.bin").read_bytes() == OTHER
    assert server.asked[0].status == 200  # If-Range told


def test_a_server_that_resumes_another_version_is_not_believed(server, tmp_path):
    url = server.add("/f.bin", CONTENT)
    break_off(server, url, tmp_path / "f.bin")
    server.add("/f.bin", OTHER, "lying-206", "ok")
    fetch(url, tmp_path / "f.bin", **QUICK)
    assert (tmp_path / "f.bin").read_bytes() == OTHER


def test_a_rest_from_elsewhere_in_the_file_is_not_believed(server, tmp_path):
    url = server.add("/f.bin", CONTENT, "die", "shifted", "ok")
    fetch(url, tmp_path / "f.bin", **QUICK)
    assert (tmp_path / "f.bin").read_bytes() == CONTENT


def test_without_etag_a_known_hash_finds_mixed_parts_and_starts_over(server, tmp_path, capsys):
    url = server.add("/f.bin", CONTENT, "no-etag")
    sha256 = hashlib.sha256(OTHER).hexdigest()
    served = server.served["/f.bin"]
    break_off(server, url, tmp_path / "f.bin", sha256=sha256)
    state = json.loads((tmp_path / "f.bin.part.json").read_text())
    (tmp_path / "f.bin.part.json").write_text(json.dumps({**state, "validator": ""}))
    served.content = OTHER
    fetch(url, tmp_path / "f.bin", sha256=sha256, **QUICK)
    assert (tmp_path / "f.bin").read_bytes() == OTHER
    assert [asked.status for asked in server.asked] == [206, 200]
    assert "fetching it from its beginning again" in capsys.readouterr().err


def test_a_half_file_of_unknown_origin_is_of_use_only_with_a_known_hash(server, tmp_path):
    url = server.add("/f.bin", CONTENT)
    (tmp_path / "f.bin.part").write_bytes(CONTENT[:2_000_000])
    fetch(url, tmp_path / "f.bin", sha256=SHA256, **QUICK)
    (tmp_path / "g.bin.part").write_bytes(OTHER[:2_000_000])
    fetch(url, tmp_path / "g.bin", **QUICK)
    assert [asked.num_bytes for asked in server.asked] == [1_000_000, 3_000_000]
    assert (tmp_path / "f.bin").read_bytes() == (tmp_path / "g.bin").read_bytes() == CONTENT


def test_a_half_file_that_is_whole_or_too_long(server, tmp_path):
    url = server.add("/f.bin", CONTENT)
    (tmp_path / "f.bin.part").write_bytes(CONTENT)
    fetch(url, tmp_path / "f.bin", sha256=SHA256, **QUICK)
    (tmp_path / "g.bin.part").write_bytes(CONTENT + b"more")
    fetch(url, tmp_path / "g.bin", sha256=SHA256, **QUICK)
    assert [asked.status for asked in server.asked] == [416, 416, 200]
    (tmp_path / "h.bin.part").write_bytes(CONTENT)
    fetch(url, tmp_path / "h.bin", sha256=SHA256, num_bytes=len(CONTENT), **QUICK)
    assert len(server.asked) == 3
    assert (tmp_path / "f.bin").read_bytes() == (tmp_path / "g.bin").read_bytes() == CONTENT


def test_wrong_content_shows_both_hashes_and_leaves_nothing(server, tmp_path):
    url = server.add("/f.bin", OTHER)
    with pytest.raises(UserError) as caught:
        fetch(url, tmp_path / "f.bin", sha256=SHA256, **QUICK)
    words = str(caught.value)
    assert f"came from {url} is {hashlib.sha256(OTHER).hexdigest()}; {SHA256} is needed" in words
    assert "was not kept; check the address" in words and f"put it at {tmp_path}/f.bin" in words
    assert names(tmp_path) == []


def test_the_hash_of_the_first_use_is_demanded_afterwards(server, tmp_path):
    url = server.add("/f.bin", CONTENT)
    path, record = tmp_path / "f.bin", tmp_path / "f.bin.sha256"
    fetch(url, path, **QUICK)
    assert record.read_text() == f"{SHA256}  f.bin\n"
    subprocess.run(["sha256sum", "--check", "--quiet", record.name], cwd=tmp_path, check=True)
    path.unlink()
    server.add("/f.bin", OTHER)
    words = re.escape(f"{SHA256} is needed (recorded on first use in {record}; delete that too")
    with pytest.raises(UserError, match=words):
        fetch(url, path, **QUICK)
    assert names(tmp_path) == ["f.bin.sha256"]
    path.write_bytes(OTHER)
    with pytest.raises(UserError, match=words + ".*delete it and run the same command again"):
        fetch(url, path, **QUICK)
    record.write_text("nonsense")
    with pytest.raises(UserError, match=r"f.bin.sha256: not a SHA-256 as sha256sum writes it"):
        fetch(url, path, **QUICK)


def test_a_file_put_there_by_hand_is_recorded_and_a_wrong_one_stays(server, tmp_path):
    path = tmp_path / "f.bin"
    path.write_bytes(CONTENT)
    fetch("http://no-such-host.invalid/f.bin", path)
    assert names(tmp_path) == ["f.bin", "f.bin.sha256"]
    with pytest.raises(UserError, match=r"its SHA-256 is .*; 0000.* is needed; delete it and run"):
        fetch("http://no-such-host.invalid/f.bin", path, sha256="0" * 64)
    with pytest.raises(UserError, match="has 3000000 bytes; 7 are needed; delete it and run"):
        fetch("http://no-such-host.invalid/f.bin", path, num_bytes=7)
    assert path.read_bytes() == CONTENT


def test_another_size_is_refused_before_it_is_fetched(server, tmp_path):
    url = server.add("/f.bin", CONTENT)
    with pytest.raises(UserError, match="has 3000000 bytes; 3000001 are needed; it is another"):
        fetch(url, tmp_path / "f.bin", num_bytes=3_000_001, **QUICK)
    assert names(tmp_path) == []
