import zipfile

import pytest

from eval.damage import DAMAGE, tell_damage
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
