import json
import zipfile

import pytest

from eval.images.damaged_files import DAMAGE, advise_forgetting, tell_damage
from records.errors import UserError


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_readers_raise_becomes_advice(kind):
    words = "a.npz: not a readable .npz, it may be cut short .*broken.*; make or fetch it again"
    with pytest.raises(UserError, match=words), tell_damage("a.npz", ".npz"):
        raise kind("broken")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(), "a.zip: no such file; a readable zip is needed here"),
        (PermissionError(), "a.zip: no permission to read it; change its owner or mode"),
        (ValueError("Object arrays: allow_pickle=False"), "pickled .* never opened .* plain uint8"),
        (ValueError("a header that says pickle"), r"cut short \(a header that says pickle\)"),
        (
            RuntimeError("File 'x' is encrypted"),
            "a.zip: its members are encrypted; pack",
        ),
        (zipfile.BadZipFile("Bad CRC-32"), r"cut short \(Bad CRC-32\)"),
    ],
)
def test_some_have_words_of_their_own(error, words):
    with pytest.raises(UserError, match=words), tell_damage("a.zip", "zip"):
        raise error


def test_other_errors_pass():
    with pytest.raises(UserError, match=r"^mine$"), tell_damage("a", "zip"):
        raise UserError("mine")
    with pytest.raises(ZeroDivisionError), tell_damage("a", "zip"):
        raise ZeroDivisionError
    with tell_damage("a", "zip"):
        pass


def write_fetched(path):
    """Write a file and what the workflow writes beside those that it fetched."""
    path.write_bytes(b"x")
    path.with_suffix(".json").write_text(json.dumps({"source": "published by the authors"}))
    return path


def raise_within(paths, message):
    """Return the words of an error that passes advise_forgetting."""
    with pytest.raises(UserError) as caught, advise_forgetting(*map(str, paths)):
        raise UserError(message)
    return str(caught.value)


def test_a_fetched_file_can_be_forgotten(tmp_path):
    fetched, own = write_fetched(tmp_path / "a b.npz"), tmp_path / "own.npz"
    own.write_bytes(b"x")
    advice = f"`python -m workflow forget '{fetched}'`"
    for about in (fetched, tmp_path / "a b.json"):
        error = raise_within([own, fetched], f"{about}: damaged; fetch it again")
        assert error.startswith(f"{about}: damaged; fetch it again. ") and advice in error
    mine = f"{own}: damaged", f"{fetched}.old: damaged", "--metrics x: none"
    for message in mine:
        assert raise_within([own, fetched], message) == message
    (tmp_path / "own.json").write_text('{"source": "drawn here"}')
    assert raise_within([own], mine[0]) == mine[0]
    (tmp_path / "own.json").write_text("[")
    assert raise_within([own], mine[0]) == mine[0]
    fetched.unlink()
    gone = f"{fetched}: no such file"
    assert raise_within([fetched, "."], gone) == gone
