import errno
import hashlib
import os
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from adm.weights.tensors import CHECKSUM, fill_tensors, read_tensors, verify_tensors, write_tensors
from records.errors import UserError

TENSORS = {
    "b": torch.arange(6.0).reshape(2, 3).t(),
    "a": torch.tensor(2.5),
    "empty": torch.zeros(0, 4),
}


def test_the_library_reads_what_is_written(tmp_path):
    write_tensors(tmp_path / "x.safetensors", TENSORS, {"spec": "é", "k": "1"})
    loaded = load_file(tmp_path / "x.safetensors")
    ours, texts = read_tensors(tmp_path / "x.safetensors", "file")
    for name, tensor in TENSORS.items():
        assert torch.equal(loaded[name], tensor)
        assert torch.equal(ours[name], tensor)
    stored = (tmp_path / "x.safetensors").read_bytes()[-4 * 7 :]
    assert texts == {"spec": "é", "k": "1", CHECKSUM: hashlib.sha256(stored).hexdigest()}


def test_memory_that_is_there_is_filled(tmp_path):
    write_tensors(tmp_path / "x.safetensors", TENSORS, {"k": "1"})
    places = {name: torch.full(TENSORS[name].shape, -1.0) for name in ("b", "a", "empty")}
    before = {name: place.data_ptr() for name, place in places.items()}
    fill_tensors(tmp_path / "x.safetensors", "file", {"a": places["a"]})
    assert places["a"] == 2.5 and (places["b"] == -1).all()
    fill_tensors(tmp_path / "x.safetensors", "file", places)
    for name, place in places.items():
        assert torch.equal(place, TENSORS[name]) and place.data_ptr() == before[name]
    with pytest.raises(UserError, match=r"no such file; a weights file is needed here"):
        fill_tensors(tmp_path / "none", "weights file", places)


def test_equal_content_makes_equal_bytes(tmp_path):
    metadata = {str(i): "x" for i in range(20)}
    write_tensors(tmp_path / "a", TENSORS, metadata)
    write_tensors(tmp_path / "b", TENSORS, dict(reversed(metadata.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "the file system is read-only; choose another results folder"),
        (errno.EACCES, "no permission to write"),
    ],
)
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, number, advice):
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS, {})
    before = path.read_bytes()

    def fail(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=advice):
        write_tensors(path, {"c": torch.ones(100)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing(tmp_path):
    with pytest.raises(UserError, match=r"no such file; a weights file is needed here"):
        read_tensors(tmp_path / "none", "weights file")


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_cut_short(tmp_path, share):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"c": torch.ones(1000)}, {"k": "v"})
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"not a whole safetensors file .* make it again"):
        read_tensors(path, "weights file")


@pytest.mark.parametrize("damage", [slice(-4, None), slice(-1000, -999)])
def test_tensors_that_are_not_as_written_are_told(tmp_path, damage):
    """Zeroed in place, with the length and the header whole: the file still opens."""
    path, places = tmp_path / "x.safetensors", {"c": torch.zeros(1000)}
    write_tensors(path, {"c": torch.full((1000,), 1.1)}, {"spec": f'"{CHECKSUM}":"'})
    content = bytearray(path.read_bytes())
    content[damage] = bytes(len(content[damage]))
    path.write_bytes(content)
    for read in (verify_tensors, read_tensors, lambda *two: fill_tensors(*two, places)):
        with pytest.raises(UserError, match=r"damaged: .* was written; a whole file is needed"):
            read(path, "file")
    assert (places["c"] == 0).all()


def test_files_without_a_checksum_are_read(tmp_path):
    """Those of earlier versions and of other tools."""
    save_file({"c": torch.ones(3)}, tmp_path / "x.safetensors")
    assert torch.equal(read_tensors(tmp_path / "x.safetensors", "file")[0]["c"], torch.ones(3))


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def test_a_pickle_is_refused_and_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save({"weight": torch.ones(2)}, tmp_path / "t.pt")
    for name in ("p.pt", "t.pt"):
        with pytest.raises(UserError, match=r"a \.pt file must be imported first"):
            read_tensors(tmp_path / name, "weights file")
    assert not (tmp_path / "executed").exists()
