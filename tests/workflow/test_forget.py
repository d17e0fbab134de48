"""A wrong published file of unknown hash: its error names the command that gets rid of it."""

import re
import shlex

import numpy as np
import pytest

from adm.cli import main as adm
from eval.cli import run as evaluate
from records.batches import read_batch
from records.errors import UserError
from tests.adm.published_miniature import make_weights, pickle_bytes
from tests.records.file_server import run_file_server
from workflow.availability import list_artefacts
from workflow.cli import main as workflow
from workflow.fetching import place_artefact
from workflow.settings import load_plan

WEIGHTS = "64x64_diffusion.pt"
BATCH = "ref_batches/imagenet/64/admnet_imagenet64.npz"
WRONG = b"PK\x03\x04" + bytes(range(256)) * 8
RIGHT = WRONG[:4] + b"the right one"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("ADM_MIRROR", "ADM_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "adm-tables"


@pytest.fixture
def server():
    with run_file_server() as running:
        for path in (WEIGHTS, BATCH):
            running.add(f"/{path}", WRONG)
        yield running


def bring(server, path, scale="paper"):
    """Fetch a published file into the results, as the workflow's rule does."""
    released = f"results/{scale}/released"
    artefact = {"path": path, "sha256": None, "num_bytes": None}
    place_artefact(
        artefact, base=server.base + "/", licence="for research",
        folder=f"{released}/downloads", out=f"{released}/{path}",
    )  # fmt: skip
    return f"{released}/{path}"


def run_advice(text):
    """Run the command that a message names."""
    (command,) = set(re.findall("`python -m (workflow forget [^`]+)`", text))
    assert workflow(shlex.split(command)[1:]) == 0


def list_files(folder):
    """Return the files of a folder but locks, which a waiting process may hold."""
    return sorted(one.name for one in folder.rglob("*") if one.is_file() and one.suffix != ".lock")


@pytest.mark.parametrize("cached", [False, True])
def test_a_wrong_checkpoint_is_forgotten_and_the_right_one_imported(
    server, cache, tmp_path, capsys, cached
):
    if cached:
        cache.mkdir(parents=True)
        (cache / WEIGHTS).write_bytes(WRONG)
    out = bring(server, WEIGHTS)
    arguments = ["import", out, "--model", "imagenet_64", "--scale", "digits", "--out", "w"]
    assert adm(arguments) == 2
    advice = capsys.readouterr().err.splitlines()[-1]
    server.add(f"/{WEIGHTS}", pickle_bytes(make_weights("imagenet_64")))
    run_advice(advice)
    assert list_files(tmp_path / "results") == [] and list_files(tmp_path / "cache") == []
    assert adm(["import", bring(server, WEIGHTS), *arguments[2:]]) == 0


def test_a_wrong_batch_is_forgotten_and_the_right_one_read(server, tmp_path, capsys):
    out = bring(server, BATCH)
    said = capsys.readouterr().err
    assert "its hash was not published" in said and "demanded from now on" in said
    with pytest.raises(UserError, match=r"not a readable \.npz"):
        read_batch(out)
    run_advice(said)
    images = np.zeros((2, 4, 4, 3), np.uint8)
    np.savez(tmp_path / "right.npz", arr_0=images)
    server.add(f"/{BATCH}", (tmp_path / "right.npz").read_bytes())
    assert np.array_equal(read_batch(bring(server, BATCH))[0], images)


def test_a_wrong_batch_that_is_graded_names_the_command(server, tmp_path, capsys):
    out = bring(server, BATCH)
    capsys.readouterr()
    assert evaluate(["audit", f"./{out}"]) == 2
    error = capsys.readouterr().err
    assert f"error: {out}: not a readable .npz" in error and error.count("\n") == 1
    run_advice(error)
    assert list_files(tmp_path / "results") == []


def test_a_right_file_that_the_recorded_hash_refuses_names_the_command(server, tmp_path):
    out = bring(server, BATCH)
    for path in (tmp_path / "results").rglob("admnet_imagenet64.npz"):
        path.unlink()  # what one tries first: the record of the wrong file stays
    server.add(f"/{BATCH}", RIGHT)
    with pytest.raises(UserError, match="recorded on first use") as error:
        bring(server, BATCH)
    run_advice(str(error.value))
    assert (tmp_path / bring(server, BATCH)).read_bytes() == RIGHT
    assert out == bring(server, BATCH)


def test_what_was_kept_while_it_was_right_says_nothing_more(server, capsys):
    bring(server, BATCH)
    capsys.readouterr()
    bring(server, BATCH)
    assert "its hash was not published" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "path",
    [
        WEIGHTS,
        f"results/paper/released/{WEIGHTS}",
        f"./results/paper/released/downloads/{WEIGHTS}",
        f"cache/adm-tables/{WEIGHTS}",
    ],
)
def test_every_way_to_name_a_file_removes_all_of_it_and_nothing_else(
    server, cache, tmp_path, capsys, path
):
    for one in (WEIGHTS, BATCH):
        bring(server, one)
    cache.mkdir(parents=True, exist_ok=True)
    names = (WEIGHTS, f"{WEIGHTS}.part", f"{WEIGHTS}.part.json", "64x64_diffusion.safetensors")
    for name in (*names, "128x128_diffusion.pt"):
        (cache / name).write_bytes(b"x")
    (tmp_path / WEIGHTS).write_bytes(b"the user's own")
    batch = [name for name in list_files(tmp_path / "results") if "admnet" in name]
    assert workflow(["forget", path]) == 0
    assert capsys.readouterr().out.count("removed ") == 9
    assert list_files(tmp_path / "results") == batch and len(batch) == 5
    assert list_files(tmp_path / "cache") == ["128x128_diffusion.pt"]
    assert (tmp_path / WEIGHTS).read_bytes() == b"the user's own"


def test_other_results_are_named_by_the_path_of_a_copy_or_by_the_options(server, tmp_path):
    out = bring(server, WEIGHTS, scale="cifar10")
    assert workflow(["forget", WEIGHTS]) == 2 and (tmp_path / out).exists()
    assert workflow(["forget", WEIGHTS, "--scale", "cifar10"]) == 0
    out = bring(server, WEIGHTS, scale="cifar10")
    assert workflow(["forget", out]) == 0
    assert list_files(tmp_path / "results") == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("64x64_difusion.pt", "no published file; did you mean 64x64_diffusion.pt?"),
        ("x", "x: no published file; params/released.yaml lists them"),
        (WEIGHTS, "nothing of it is in results/paper/released or"),
    ],
)
def test_what_cannot_be_forgotten(path, words, capsys):
    assert workflow(["forget", path]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_copy_that_cannot_be_removed_is_named(cache, capsys):
    (cache / WEIGHTS).mkdir(parents=True)
    assert workflow(["forget", WEIGHTS]) == 2
    assert f"{cache / WEIGHTS}: cannot be removed" in capsys.readouterr().err


def test_no_two_published_files_share_the_name_of_their_cached_copy():
    paths = list(list_artefacts(load_plan({}).released))
    assert len({path.rpartition("/")[2] for path in paths}) == len(paths)
