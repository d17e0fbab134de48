import pytest

from eval.paths import check_paths
from records.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A batch, a reference with its notes, a folder of images and one of shards; gone into."""
    for name in ("samples.npz", "ref.npz", "ref.json", "pngs/0/a.png", "shards/part.npz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "out", "words"),
    [
        (["ref.npz", "samples.npz"], "samples.npz", "is an input of the same command"),
        (["ref.npz", "samples.npz"], "pngs/../ref.npz", "is an input of the same command"),
        (
            ["ref.npz", "samples.npz"],
            "samples.json",
            "is where the manifest of samples.npz belongs",
        ),
        (["ref.npz", "samples.npz"], "ref.json", "is where the manifest of ref.npz belongs"),
        (["pngs"], "pngs.manifest.json", "is where the manifest of pngs belongs"),
        (["pngs"], "pngs/dataset.json", "is a part of pngs, or would be read as one"),
        (["pngs"], "pngs/0/a.png", "is a part of pngs, or would be read as one"),
        (["shards"], "shards/other.npz", "is a part of shards, or would be read as one"),
        (["shards"], "shards/part.json", "is a part of shards, or would be read as one"),
        (["."], "out.npz", r"is a part of \., or would be read as one"),
    ],
)
def test_an_output_that_is_read_is_refused(folder, inputs, out, words):
    before = sorted((path, path.is_file() and path.read_text()) for path in folder.rglob("*"))
    with pytest.raises(UserError, match=f"{out}: {words}; give the output another name"):
        check_paths(inputs, [None, out])
    with pytest.raises(UserError, match=words):
        check_paths([], [str(folder / out)], [None, *inputs])
    after = sorted((path, path.is_file() and path.read_text()) for path in folder.rglob("*"))
    assert before == after


def test_a_link_to_an_input_is_known(folder):
    (folder / "link.npz").symlink_to("samples.npz")
    for path, out in (("link.npz", "samples.npz"), ("samples.npz", "link.npz")):
        with pytest.raises(UserError, match="is an input of the same command"):
            check_paths([path], [out])


def test_other_outputs_are_taken_and_not_made(folder):
    names = {path.name for path in folder.rglob("*")}
    check_paths(["ref.npz", "samples.npz"], ["metrics.json", None], ["gone.safetensors", None])
    check_paths(["pngs"], ["pngs/metrics.json", "pngs-reference.npz", "pngs-reference.json"])
    check_paths(["."], ["metrics.json"])
    check_paths(["ref.npz"])
    assert {path.name for path in folder.rglob("*")} == names


def test_missing_inputs_and_impossible_outputs_are_told(folder):
    with pytest.raises(UserError, match=r"gone: no such file or folder; needed is one of: \.npz"):
        check_paths(["ref.npz", "gone"], ["pngs"])
    with pytest.raises(UserError, match=r"pngs: cannot be written .*; choose another name: a fol"):
        check_paths(["ref.npz"], ["pngs"])
    with pytest.raises(UserError, match=r"choose another place: there is a file where a folder is"):
        check_paths(["samples.npz"], ["ref.npz/out.json"])


def test_a_link_that_leads_nowhere_is_named(folder):
    (folder / "linked.npz").symlink_to("/gone/samples.npz")
    words = "linked.npz: a link to /gone/samples.npz, which is not there; needed is one of: "
    with pytest.raises(UserError, match=words):
        check_paths(["linked.npz"])


def test_an_input_that_links_to_itself_is_told(tmp_path):
    (tmp_path / "self.npz").symlink_to("self.npz")
    with pytest.raises(UserError, match=r"self\.npz: a link that leads back to itself; needed is"):
        check_paths([tmp_path / "self.npz"], [tmp_path / "out.json"])
