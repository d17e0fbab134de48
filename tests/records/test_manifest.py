"""The manifest beside an artefact: one shape, beside every kind of file, old ones read too."""

import json
import os

import pytest

from records.errors import UserError
from records.files import sha256_file, write_json
from records.manifest import (
    hash_artefact,
    hash_inputs,
    make_manifest,
    manifest_path,
    read_manifest,
    read_protocol,
    write_manifest,
)
from records.usage import Usage

KEYS = {
    *("format", "kind", "name", "spec", "digest", "inputs", "seeds", "sha256", "num_bytes"),
    *("versions", "git_commit", "platform", "cpus", "run"),
}


def write_artefact(path, content=b"content", **details):
    path.write_bytes(content)
    manifest = make_manifest(kind="weights", name="a", **details)
    return write_manifest(path, manifest, Usage())


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("samples.npz", "samples.json"),
        ("ema-final.safetensors", "ema-final.manifest.json"),
        ("64x64_diffusion.pt", "64x64_diffusion.json"),
        ("digits.zip", "digits.manifest.json"),
        ("t3_cond.json", "t3_cond.manifest.json"),
        ("table3.html", "table3.manifest.json"),
    ],
)
def test_it_is_beside_its_artefact(tmp_path, name, beside):
    content = write_artefact(tmp_path / name, mark="final")
    assert sorted(os.listdir(tmp_path)) == sorted([name, beside])
    assert read_manifest(tmp_path / name) == content == json.loads((tmp_path / beside).read_text())
    assert content.keys() == {*KEYS, "mark"}
    assert content["sha256"] == sha256_file(tmp_path / name) and content["num_bytes"] == 7


def test_inputs_are_hashed_by_role(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    paths = [tmp_path / "a", tmp_path / "b"]
    hashes = [sha256_file(path) for path in paths]
    manifest = make_manifest(
        kind="page",
        name="x",
        inputs=hash_inputs(one=paths[0], several=paths, absent=None, none=[]),
    )
    assert manifest["inputs"] == {"one": hashes[0], "several": hashes}


def test_what_differs_each_time_is_no_part_of_the_protocol(tmp_path):
    content = write_artefact(tmp_path / "x.npz")
    assert content["run"].keys() == {"ended", "wall_seconds", "cpu_seconds", "peak_memory_mb"}
    assert content["run"]["ended"].endswith("+00:00")
    protocol = read_protocol(tmp_path / "x.npz")
    assert protocol is not None and protocol.keys() == content.keys() - {"run"}
    assert read_protocol(tmp_path / "y.npz") is None


def test_a_known_hash_is_taken_from_a_manifest_of_this_very_file(tmp_path):
    path = tmp_path / "data.zip"
    known = {**write_artefact(path), "sha256": "f" * 64}
    write_json(manifest_path(path), known)
    assert hash_artefact(path) == "f" * 64
    later = os.stat(manifest_path(path)).st_mtime + 10
    os.utime(path, (later, later))  # written anew, with as many bytes
    assert hash_artefact(path) == sha256_file(path)
    path.write_bytes(b"another content")
    os.utime(path, (1, 1))
    assert hash_artefact(path) == sha256_file(path)
    manifest_path(path).write_text("{")
    assert hash_artefact(path) == sha256_file(path)


def test_the_sidecar_of_an_earlier_version_is_read(tmp_path):
    old = {"digest": "d" * 64, "sha256": "a" * 64, "inputs": {"weights": "b" * 64}}
    write_json(tmp_path / "samples.json", old)
    assert read_manifest(tmp_path / "samples.npz") == old
    (tmp_path / "samples.npz").write_bytes(b"x")
    assert hash_artefact(tmp_path / "samples.npz") == sha256_file(tmp_path / "samples.npz")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "Expecting property name"),
        (b'{"name": "\xe9"}', "can't decode byte 0xe9"),
        (b"[1, 2]", "it holds a list, not an object"),
        (b"null", "it holds a NoneType, not an object"),
        (b'{"loss": NaN}', "not JSON compliant"),
        (b'{"loss": [-Infinity]}', "not JSON compliant"),
        (b'{"loss": 1e999}', "not JSON compliant"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_manifest_is_told(tmp_path, content, words):
    path = tmp_path / "x.npz"
    manifest_path(path).write_bytes(content)
    with pytest.raises(UserError, match=f"x.json: not a manifest of x.npz: .*{words}"):
        read_manifest(path)


def test_nothing_lies_beside_a_folder_without_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_manifest(".") is None and read_manifest("/") is None
    (tmp_path / "x.json").mkdir()
    with pytest.raises(UserError, match=r"x\.json: not a manifest of x.npz: .*directory"):
        read_manifest("x.npz")
