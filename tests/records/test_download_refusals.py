"""What downloads refuse, where else files may come from, and what messages keep to themselves."""

import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest
import requests
import torch

from records.downloads import fetch
from records.errors import UserError
from records.orders import Order, hide_secrets
from records.transfers import _refuse_downgrade
from tests.eval.inception_graph import write_graph
from tests.records.test_downloads import CONTENT, QUICK, ROOT, SHA256, names, start_fetch

BASE = "https://no-such-host.invalid/released/"


# ---- what comes instead of the file ----------------------------------------------------------


@pytest.mark.parametrize("disguised", [False, True])
def test_a_web_page_is_refused(server, tmp_path, disguised):
    if disguised:
        url = server.add("/f.bin", b"\n <!DOCTYPE HTML><html>Please log in</html>")
        answered = url
    else:
        url = server.add("/f.bin", CONTENT, "to:/login?back=f.bin")
        answered = server.add("/login", b"", "html")
    with pytest.raises(UserError) as caught:
        fetch(url, tmp_path / "f.bin", num_bytes=len(CONTENT), **QUICK)
    words = f"{url} gave a web page instead of the file (answered by {answered}): a login, a proxy"
    assert words in str(caught.value)
    assert names(tmp_path) == []


MESSAGES = [b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', b'{"error": 1}', b"",
            b"\n<?xml ?>", b"Not found\n"]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("suffix", ["npz", "pt", "pb"])
def test_a_message_with_status_200_is_refused_and_its_hash_not_recorded(
    server, tmp_path, suffix, message
):
    url, path = server.add("/f", message), tmp_path / f"f.{suffix}"
    with pytest.raises(UserError, match=rf"begins with b.*, as no \.{suffix} file does; it is a "):
        fetch(url, path, **QUICK)
    assert names(tmp_path) == []
    path.write_bytes(message)
    with pytest.raises(UserError, match=rf"begins with b.*, as no \.{suffix} file does; delete it"):
        fetch(url, path, **QUICK)
    assert names(tmp_path) == [path.name]


def test_files_of_the_published_kinds_are_taken_without_a_known_hash(server, tmp_path):
    np.savez(tmp_path / "made.npz", np.zeros(3))
    torch.save({"a": torch.zeros(2)}, tmp_path / "made.pt")
    torch.save({"a": torch.zeros(2)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    write_graph(tmp_path / "made.pb")
    for made in ("made.npz", "made.pt", "legacy.pt", "made.pb"):
        content = (tmp_path / made).read_bytes()
        path = tmp_path / "kept" / made
        fetch(server.add("/" + made, content), path, **QUICK)
        assert path.read_bytes() == content
        assert path.with_name(made + ".sha256").exists()


def test_a_redirect_to_the_file_is_followed_and_a_circle_is_not(server, tmp_path):
    server.add("/real.bin", CONTENT)
    fetch(server.add("/f.bin", b"", "to:/real.bin"), tmp_path / "f.bin", sha256=SHA256, **QUICK)
    url = server.add("/circle", b"", "to:/circle")
    with pytest.raises(UserError, match="/circle cannot be fetched: it redirects in circles; "):
        fetch(url, tmp_path / "circle", **QUICK)
    url = server.add("/away", b"", "to:ftp://elsewhere/f.bin")
    with pytest.raises(UserError, match="leads to, an address that is not http or https"):
        fetch(url, tmp_path / "away", **QUICK)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ("drip", r"the server sent \d+ bytes in \d+ s"),
        ("drip-head", "the server does not come to the end of its answer's head"),
    ],
)
def test_a_server_that_drips_is_left(server, tmp_path, plan, words):
    """It is never silent for long, and never done."""
    url = server.add("/f.bin", CONTENT, plan, pause_s=0.02)
    start = time.monotonic()
    with pytest.raises(UserError, match=rf"{words} \(2 tries without progress\)"):
        fetch(url, tmp_path / "f.bin", pause_s=0.01, timeout_s=0.2, num_tries=2)
    assert time.monotonic() - start < 5


def test_broken_chunks_are_no_wrong_address(server, tmp_path):
    url = server.add("/f.bin", CONTENT, "bad-chunks", "ok")
    path = fetch(url, tmp_path / "f.bin", **QUICK)
    assert path.read_bytes() == CONTENT
    server.add("/g.bin", CONTENT, "bad-chunks")
    with pytest.raises(UserError, match="the server sent broken chunks"):
        fetch(f"{server.base}/g.bin", tmp_path / "g.bin", **QUICK)


def test_an_encrypted_address_leads_to_no_other(tmp_path):
    order = Order("https://a.example/f", "https://a.example/f", tmp_path / "f", None, None)
    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://user:secret@a.example/f"
    for target, is_refused in (
        ("http://b.example/f?key=secret", True),
        ("HTTP://b.example/f", True),
        ("https://b.example/f", False),
        ("/g", False),
        ("//b.example/f", False),
    ):
        answer.headers["Location"] = target
        if is_refused:
            words = "https://a.example/f redirects to http://b.example/f, which is not encrypted"
            with pytest.raises(UserError, match=words) as error:
                _refuse_downgrade(order, answer)
            assert "secret" not in str(error.value)
        else:
            _refuse_downgrade(order, answer)


def test_a_missing_file_is_not_asked_for_twice(server, tmp_path):
    with pytest.raises(UserError, match="/gone answered 404 Not Found; check the address"):
        fetch(server.base + "/gone", tmp_path / "f.bin", **QUICK)
    assert len(server.asked) == 1


def test_a_server_with_a_passing_fault_is_asked_again(server, tmp_path, capsys):
    url = server.add("/f.bin", CONTENT, "500", "503", "ok")
    fetch(url, tmp_path / "f.bin", sha256=SHA256, **QUICK)
    assert [asked.status for asked in server.asked] == [500, 503, 200]
    assert "answered 503 Service Unavailable at 0.0 MB; trying again" in capsys.readouterr().err


def test_compression_that_nobody_asked_for_is_refused(server, tmp_path):
    with pytest.raises(UserError, match="sends it as gzip although that was not asked for"):
        fetch(server.add("/f.bin", CONTENT, "gzip"), tmp_path / "f.bin", **QUICK)
    assert server.asked[0].headers["accept-encoding"] == "identity"


# ---- space and places ------------------------------------------------------------------------


def test_space_is_checked_before_anything_is_asked_for(server, tmp_path):
    url = server.add("/f.bin", CONTENT)
    with pytest.raises(UserError, match=r"1000000.00 GB are needed .*, [0-9.]+ GB are free there"):
        fetch(url, tmp_path / "f.bin", num_bytes=10**15, **QUICK)
    assert server.asked == []


def test_space_is_checked_with_the_length_that_the_server_tells(server, tmp_path):
    url = server.add("/f.bin", CONTENT, "huge")
    with pytest.raises(UserError, match=r"1000000.00 GB are needed .* free some space, or choose"):
        fetch(url, tmp_path / "f.bin", **QUICK)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_is_refused(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        UserError, match=r"cannot be written \(.*\); choose another place: there is a file"
    ):
        fetch(server.add("/f.bin", CONTENT), tmp_path / "file" / "f.bin", **QUICK)
    with pytest.raises(UserError, match="not a file; move it away"):
        fetch(server.base + "/f.bin", tmp_path, **QUICK)


# ---- offline, mirrors, files -----------------------------------------------------------------


def test_offline_nothing_is_asked_for(server, tmp_path, monkeypatch):
    url = server.add("/f.bin", CONTENT)
    path = tmp_path / "f.bin"
    monkeypatch.setenv("ADM_OFFLINE", "1")
    with pytest.raises(UserError) as caught:
        fetch(url, path, sha256=SHA256, **QUICK)
    assert str(caught.value) == (
        f"{path}: not there, and ADM_OFFLINE is set, so nothing is downloaded; get {url} "
        f"(SHA-256 {SHA256}) on another machine and put it at {path}, or unset ADM_OFFLINE"
    )
    path.write_bytes(CONTENT)
    fetch(url, path, sha256=SHA256)
    assert server.asked == []
    path.unlink()
    monkeypatch.setenv("ADM_OFFLINE", "0")
    fetch(url, path, sha256=SHA256, **QUICK)
    assert len(server.asked) == 1


def test_a_mirror_takes_the_place_of_the_base(server, tmp_path, monkeypatch):
    server.add("/copy/batches/f.bin", CONTENT)
    monkeypatch.setenv("ADM_MIRROR", server.base + "/copy")
    fetch(BASE + "batches/f.bin", tmp_path / "f.bin", base=BASE, sha256=SHA256, **QUICK)
    with pytest.raises(UserError, match=r"/copy/gone answered 404 .*/copy/gone \(ADM_MIRROR\)"):
        fetch(BASE + "gone", tmp_path / "gone", base=BASE, **QUICK)
    with pytest.raises(UserError, match="no-such-host"):  # without a base there is no mirror
        fetch(BASE + "g.bin", tmp_path / "g.bin", **{**QUICK, "num_tries": 1})


def test_a_folder_can_be_the_mirror_even_offline(tmp_path, monkeypatch):
    mirror = tmp_path / "a mirror"
    (mirror / "batches").mkdir(parents=True)
    (mirror / "batches" / "f.bin").write_bytes(CONTENT)
    monkeypatch.setenv("ADM_MIRROR", mirror.as_uri())
    monkeypatch.setenv("ADM_OFFLINE", "1")
    path = tmp_path / "cache" / "f.bin"
    fetch(BASE + "batches/f.bin", path, base=BASE, sha256=SHA256, **QUICK)
    assert path.read_bytes() == CONTENT and names(path.parent) == ["f.bin", "f.bin.mirror"]
    with pytest.raises(UserError, match=r"there is no file at file:///.*/gone \(ADM_MIRROR\); "):
        fetch(BASE + "gone", tmp_path / "gone", base=BASE, **QUICK)


@pytest.mark.parametrize(
    "mirror", ["ftp://host/x", "/mnt/copy", "https://", "file://host/x", "http://[x"]
)
def test_other_addresses_are_refused(tmp_path, monkeypatch, mirror):
    with pytest.raises(UserError, match=r"^ftp://host/f not an address to fetch from; needed is"):
        fetch("ftp://host/f", tmp_path / "f")
    monkeypatch.setenv("ADM_MIRROR", mirror)
    with pytest.raises(UserError, match=r"^ADM_MIRROR: .* not an address to fetch from"):
        fetch(BASE + "f", tmp_path / "f", base=BASE)


# ---- several processes, secrets, memory ------------------------------------------------------


def test_two_processes_fetch_a_file_once(server, tmp_path):
    url = server.add("/f.bin", CONTENT, "slow", pause_s=0.05)
    both = [start_fetch(url, tmp_path / "f.bin") for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert (tmp_path / "f.bin").read_bytes() == CONTENT
    assert len(server.asked) == 1
    assert "f.bin: waiting; " in "".join(errors)


def test_messages_keep_secrets_to_themselves(server, tmp_path, capsys):
    server.add("/f.bin", CONTENT, "die", "500")
    server.add("/page", b"", "html")
    for path in ("/f.bin", "/page", "/gone"):
        url = server.base.replace("://", "://me:pa55@") + path + "?sig=t0ken#frag"
        with pytest.raises(UserError) as caught:
            fetch(url, tmp_path / "f.bin", **QUICK)
        said = str(caught.value) + capsys.readouterr().err
        said += "".join(file.read_text() for file in tmp_path.glob("*.json"))
        assert server.base + path in said
        assert not [word for word in ("me:", "pa55", "t0ken", "frag") if word in said]
    assert server.asked[0].headers["authorization"].startswith("Basic ")
    assert hide_secrets("https://u:p@host:81/a/b?c=d#e") == "https://host:81/a/b"
    assert "pa55" not in hide_secrets("me:pa55@host/a")
    assert "pa55" not in hide_secrets("http://me:pa55@[host/a")


def test_memory_does_not_grow_with_the_file(server, tmp_path):
    content = bytes(200_000_000)
    sha256 = hashlib.sha256(content).hexdigest()
    url = server.add("/f.bin", content)
    program = (
        "import resource, requests, tqdm\n"
        "from records.downloads import fetch\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        f"fetch({url!r}, {str(tmp_path / 'f.bin')!r}, sha256={sha256!r})\n"
        "print((peak() - before) / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 20  # MiB


def test_the_libraries_are_loaded_only_when_something_is_fetched():
    program = (
        "import sys\nimport records.downloads\n"
        "print([name for name in ('requests', 'urllib3', 'tqdm') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"
