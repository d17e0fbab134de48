"""Published files on their way into the results: kept, linked, described, or clearly refused."""

import hashlib
import json
import os
from datetime import UTC, datetime

import pytest

from records.cache import get_cache_folder
from records.downloads import fetch
from records.errors import UserError
from records.events import read_events
from tests.records.file_server import run_file_server
from workflow.fetching import main, place_artefact

CONTENT = b"PK\x03\x04" + bytes(range(256)) * 4096  # begins as an .npz does
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("ADM_MIRROR", "ADM_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "adm-tables"


@pytest.fixture
def server():
    with run_file_server() as running:
        running.add("/batches/x.npz", CONTENT)
        yield running


def bring(base, tmp_path, out, **changes):
    artefact = {"path": "batches/x.npz", "sha256": None, "num_bytes": None, **changes}
    folder = tmp_path / "downloads"
    place_artefact(artefact, base=base + "/", licence="for research", folder=folder, out=out)


def run(tmp_path, artefact, base, out):
    return main(
        ["--artefact", artefact, "--base", base, "--licence", "for research", "--folder",
         str(tmp_path / "downloads"), "--out", str(out), "--events", str(tmp_path / "events")]
    )  # fmt: skip


def test_a_file_is_kept_linked_and_described(server, tmp_path):
    out = tmp_path / "released" / "batches" / "x.npz"
    bring(server.base, tmp_path, out)
    kept = tmp_path / "downloads" / "batches" / "x.npz"
    assert out.read_bytes() == CONTENT and os.path.samefile(out, kept)
    manifest = json.loads(out.with_suffix(".json").read_text())
    known = {
        "format": 1,
        "source": "published by the authors",
        "url": f"{server.base}/batches/x.npz",
        "mirror": None,
        "licence": "for research",
        "sha256": SHA256,
        "num_bytes": len(CONTENT),
        "retrieved": datetime.now(UTC).date().isoformat(),
    }
    assert manifest["kind"] == "published" and manifest.items() >= known.items()
    assert out.with_name("x.npz.sha256").read_text() == f"{SHA256}  x.npz\n"


def test_what_has_arrived_is_never_fetched_again(server, tmp_path):
    out = tmp_path / "x.npz"
    bring(server.base, tmp_path, out)
    for path in (out, out.with_suffix(".json"), out.with_name("x.npz.sha256")):
        path.unlink()  # as Snakemake does before a job runs and after it failed
    num_asked = len(server.gets())
    bring(server.base, tmp_path, out)
    assert out.read_bytes() == CONTENT and len(server.gets()) == num_asked


def test_the_cache_of_this_machine_is_looked_into_first(tmp_path, cache, monkeypatch):
    cache.mkdir(parents=True)
    (cache / "x.npz").write_bytes(CONTENT)
    monkeypatch.setenv("ADM_OFFLINE", "1")
    out = tmp_path / "x.npz"
    bring("http://127.0.0.1:9", tmp_path, out, sha256=SHA256)
    assert out.read_bytes() == CONTENT


def test_a_mirror_stands_for_the_base_alone(server, tmp_path, monkeypatch):
    mirror = server.base.replace("://", "://me:pa55@")
    server.add("/copy/batches/x.npz", CONTENT)
    monkeypatch.setenv("ADM_MIRROR", mirror + "/copy")
    out = tmp_path / "x.npz"
    bring("https://published.example", tmp_path, out)
    monkeypatch.delenv("ADM_MIRROR")
    out.with_suffix(".json").unlink()
    bring("https://published.example", tmp_path, out)  # what has arrived still came from there
    manifest = json.loads(out.with_suffix(".json").read_text())
    assert manifest["url"] == "https://published.example/batches/x.npz"
    assert manifest["mirror"] == f"{server.base}/copy/batches/x.npz"
    (tmp_path / "downloads" / "batches" / "x.npz").unlink()
    bring(server.base, tmp_path, out)
    assert json.loads(out.with_suffix(".json").read_text())["mirror"] is None


def test_what_the_cache_got_from_a_mirror_is_said_to_be_from_there(server, tmp_path, monkeypatch):
    monkeypatch.setenv("ADM_MIRROR", server.base)
    base = "https://published.example/"
    fetch(base + "batches/x.npz", get_cache_folder() / "x.npz", base=base)
    out = tmp_path / "x.npz"
    bring("https://published.example", tmp_path, out)
    manifest = json.loads(out.with_suffix(".json").read_text())
    assert manifest["mirror"] == f"{server.base}/batches/x.npz" and len(server.gets()) == 1


def test_a_wrong_file_is_refused_and_leaves_nothing(server, tmp_path, capsys):
    out = tmp_path / "x.npz"
    wrong = json.dumps({"path": "batches/x.npz", "sha256": "0" * 64, "num_bytes": None})
    assert run(tmp_path, wrong, server.base + "/", out) == 2
    assert "another file and was not kept" in capsys.readouterr().err
    assert not out.exists() and not (tmp_path / "downloads" / "batches" / "x.npz").exists()


def test_a_file_that_changes_after_its_first_use_is_refused(server, tmp_path):
    out = tmp_path / "x.npz"
    bring(server.base, tmp_path, out)
    kept = tmp_path / "downloads" / "batches" / "x.npz"
    kept.unlink()
    server.add("/batches/x.npz", CONTENT + b"more")
    with pytest.raises(UserError, match="recorded on first use"):
        bring(server.base, tmp_path, out)


def test_a_fetched_file_and_a_failure_are_recorded(server, tmp_path):
    artefact = {"path": "batches/x.npz", "sha256": SHA256, "num_bytes": len(CONTENT)}
    for name in ("x.npz", "absent.npz"):
        wanted = json.dumps({**artefact, "path": f"batches/{name}"})
        run(tmp_path, wanted, server.base + "/", tmp_path / "out" / name)
    events, _ = read_events(tmp_path / "events")
    assert [event["event"] for event in events] == ["start", "end", "start", "failed"]
    known = {"kind": "published", "job": "fetch", "name": "batches/x.npz", "digest": SHA256}
    assert events[0].items() >= known.items()


def test_the_artefact_must_be_json(tmp_path, capsys):
    assert run(tmp_path, "x", "https://published.example/", tmp_path / "x.npz") == 2
    assert "--artefact: not JSON" in capsys.readouterr().err
