"""An output that is an input, under any of its names."""

import os

import pytest

from records.errors import UserError
from records.inputs import refuse_replacing


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A file with two more names, a folder, and another file; gone into."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    for name in ("a.npz", "b.json"):
        (tmp_path / name).write_text(name)
    (tmp_path / "soft.npz").symlink_to("a.npz")
    os.link("a.npz", "hard.npz")
    return tmp_path


@pytest.mark.parametrize("out", ["a.npz", "deep/../a.npz", "soft.npz", "hard.npz", "ABSOLUTE"])
def test_an_input_by_any_name_is_refused(folder, out):
    out = str(folder / "a.npz") if out == "ABSOLUTE" else out
    words = f"^{out}: is an input of the same command; give the output another name$"
    with pytest.raises(UserError, match=words):
        refuse_replacing(out, None, "b.json", folder / "a.npz")
    with pytest.raises(UserError, match=words):
        refuse_replacing(out, "soft.npz")


def test_what_is_written_beside_an_output_is_named(folder):
    words = "^b.npz: b.json, which is written beside it, is an input of the same command; give"
    with pytest.raises(UserError, match=words):
        refuse_replacing("b.npz", "a.npz", folder / "b.json", beside=["b.txt", "b.json"])


def test_other_names_are_taken(folder):
    refuse_replacing("new", "a.npz", None, "deep", beside=["new.json"])
    refuse_replacing("new", "new")  # not there: nothing to lose, and its absence is told elsewhere
    refuse_replacing("a.npz", "b.json", "a.npz/c", "none")
