import hashlib

import pytest

from eval.networks.inception import load_inception
from eval.networks.weights import (
    INCEPTION_BYTES,
    INCEPTION_SHA256,
    copy_inception,
    find_inception,
    get_cache_folder,
    locate_inception,
)
from records.errors import UserError
from records.files import sha256_file
from tests.eval.inception_graph import write_graph
from tests.records.file_server import run_file_server

NAME = "classify_image_graph_def.pb"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("ADM_INCEPTION", "ADM_MIRROR", "ADM_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "adm-tables"


@pytest.fixture
def other_graph(tmp_path):
    path = tmp_path / "other.pb"
    path.write_bytes(b"other weights")
    return path


def test_the_cache_follows_the_xdg_rules(cache, monkeypatch, tmp_path):
    assert get_cache_folder() == cache
    monkeypatch.setenv("HOME", str(tmp_path))
    for ignored in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert get_cache_folder() == tmp_path / ".cache" / "adm-tables"


def test_a_named_file_comes_before_the_variable_and_the_cache(cache, monkeypatch, other_graph):
    assert locate_inception() == (cache / NAME, False)
    monkeypatch.setenv("ADM_INCEPTION", str(other_graph))
    assert locate_inception() == (other_graph, True)
    assert locate_inception("given.pb")[0].name == "given.pb"
    assert find_inception(verify=False) == other_graph


def test_another_hash_is_refused_unless_it_is_meant(other_graph, monkeypatch):
    assert find_inception(other_graph, verify=False) == other_graph
    with pytest.raises(UserError) as caught:
        find_inception(other_graph)
    sha256 = hashlib.sha256(b"other weights").hexdigest()
    words = str(caught.value)
    sizes = f"(13 bytes, not {INCEPTION_BYTES})"
    assert words.startswith(f"{other_graph}: its SHA-256 is {sha256} {sizes}; the published graph ")
    assert INCEPTION_SHA256 in words and "say --any-weights if" in words
    monkeypatch.setenv("ADM_INCEPTION", str(other_graph))
    with pytest.raises(UserError, match=r"other.pb \(from ADM_INCEPTION\): its SHA-256 is"):
        find_inception()
    with open(other_graph, "r+b") as file:
        file.truncate(INCEPTION_BYTES)
    with pytest.raises(UserError, match=r"its SHA-256 is [0-9a-f]{64}; the published graph has"):
        find_inception()


def test_a_named_file_that_is_missing_is_not_downloaded_over(tmp_path):
    with pytest.raises(UserError, match=r"gone\.pb: no such file; .* without a path"):
        find_inception(tmp_path / "gone.pb", verify=False)


def test_the_cached_graph_is_always_verified(cache):
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(b"cut short")
    with pytest.raises(UserError, match=f"has 9 bytes; {INCEPTION_BYTES} are needed; delete it"):
        find_inception(verify=False)
    with open(cache / NAME, "wb") as file:
        file.truncate(INCEPTION_BYTES)
    with pytest.raises(UserError, match=f"its SHA-256 is [0-9a-f]+; {INCEPTION_SHA256} is needed"):
        find_inception(verify=False)


def test_an_absent_graph_is_downloaded_from_its_place_on_the_mirror(cache, monkeypatch):
    """The true bytes are not at hand; others of the same length arrive and are found out."""
    with run_file_server() as server:
        server.add("/copy/ref_batches/" + NAME, bytes(INCEPTION_BYTES))
        monkeypatch.setenv("ADM_MIRROR", server.base + "/copy/")
        with pytest.raises(UserError) as caught:
            find_inception(progress=False)
        assert [asked.status for asked in server.asked] == [200]
    assert f"{INCEPTION_SHA256} is needed; it is another file and was not kept" in str(caught.value)
    assert not (cache / NAME).exists()


def test_offline_the_message_names_the_address_and_the_place(cache, monkeypatch):
    monkeypatch.setenv("ADM_OFFLINE", "1")
    with pytest.raises(UserError) as caught:
        find_inception()
    words = str(caught.value)
    assert "openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches/" + NAME in words
    assert f"put it at {cache / NAME}" in words and INCEPTION_SHA256 in words


def test_another_graph_is_put_in_place_only_when_its_hash_is_asked_for(tmp_path, monkeypatch):
    graph, out = tmp_path / "other.pb", tmp_path / "network" / "inception.pb"
    graph.write_bytes(b"another graph")
    monkeypatch.setenv("ADM_INCEPTION", str(graph))
    with pytest.raises(UserError, match=f"{INCEPTION_SHA256} is asked for; give that file in ADM"):
        copy_inception(out)
    assert not out.exists()
    copy_inception(out, sha256=hashlib.sha256(b"another graph").hexdigest())
    assert out.read_bytes() == b"another graph"


def test_only_the_published_graph_has_the_published_name(tmp_path, monkeypatch):
    path = write_graph(tmp_path / "graph.pb")
    monkeypatch.setattr("eval.networks.inception._make_torch", lambda graph, device: (None, "0"))
    sha256 = sha256_file(path)
    other = load_inception(path)
    assert other.name == other.description["name"] == f"inception-{sha256[:12]}"
    monkeypatch.setattr("eval.networks.inception.INCEPTION_SHA256", sha256)
    assert load_inception(path).name == "inception-2015-12-05"
