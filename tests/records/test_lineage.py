"""From a number back to the images, by hashes alone."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from records.cli import run
from records.errors import UserError
from records.files import sha256_file
from records.lineage import describe, find_artefacts, list_artefacts, trace, verify
from records.lineage_drawing import draw_svg, draw_tree
from records.manifest import make_manifest, manifest_path, write_manifest
from tests.records.lineage_case import CHAIN, write_chain, write_file

ROOT = Path(__file__).resolve().parents[2]
TREE = """\
metrics metrics/row.json
├─ network network/features.safetensors
│  └─ data data/images.zip
├─ reference references/images.npz
│  ├─ data data/images.zip
│  └─ network network/features.safetensors
└─ samples samples/up/samples.npz
   ├─ low_res samples/base/samples.npz
   │  ├─ classifier models/classifier/ema.safetensors
   │  │  └─ data data/images.zip
   │  └─ weights models/base/ema.safetensors
   │     └─ data data/images.zip
   └─ weights models/up/ema.safetensors
      └─ data data/images.zip"""


@pytest.fixture
def results(tmp_path):
    root = tmp_path / "results"
    write_chain(root)
    return root


def find(first, name):
    return next(one for one in list_artefacts(first) if one.name == name)


def test_it_walks_from_a_number_to_the_images(results):
    first = trace(results / "metrics/row.json", results)
    lines = draw_tree(first).splitlines()
    assert "\n".join(line.partition(":")[0] for line in lines) == TREE
    assert {one.name for one in list_artefacts(first)} == {name for name, _, _ in CHAIN}
    assert all(one.fault is None for one in list_artefacts(first))
    assert sum("as above" in line for line in lines) == 5
    assert str(results / "samples/up/samples.npz") in lines[6]
    # Readers come before what they read, so that the picture can go from left to right.
    places = {id(one): place for place, one in enumerate(list_artefacts(first))}
    assert all(
        places[id(one)] < places[id(of)] for one in list_artefacts(first) for _, of in one.inputs
    )


def test_a_moved_folder_is_walked_as_well(results, tmp_path):
    moved = tmp_path / "elsewhere"
    results.rename(moved)
    first = trace(moved / "metrics/row.json", moved)
    assert len(list_artefacts(first)) == len(CHAIN) and verify(first) == len(CHAIN)
    assert all(one.fault is None for one in list_artefacts(first))


@pytest.mark.parametrize("name", [name for name, _, _ in CHAIN])
def test_a_changed_file_is_found_by_its_hash(results, name):
    path = results / name
    content = bytearray(path.read_bytes())
    content[0] ^= 1  # as long as before
    path.write_bytes(content)
    first = trace(results / "metrics/row.json", results)
    assert all(one.fault is None for one in list_artefacts(first))
    verify(first)
    faults = {one.name: one.fault for one in list_artefacts(first) if one.fault}
    assert list(faults) == [name] and "changed after it was made" in faults[name]
    assert sha256_file(path)[:12] in faults[name]


@pytest.mark.parametrize("name", [name for name, _, _ in CHAIN[:-1]])
def test_a_missing_file_is_named_by_role_and_hash(results, name, capsys):
    sha256 = sha256_file(results / name)
    (results / name).unlink()
    first = trace(results / "metrics/row.json", results)
    faults = [one.fault for one in list_artefacts(first) if one.fault]
    assert len(faults) == 1 and sha256[:12] in faults[0]
    arguments = ["trace", str(results / "metrics/row.json"), "--results", str(results)]
    assert run(arguments) == 1
    told = capsys.readouterr()
    assert "BROKEN: no " in told.out
    (line,) = told.err.splitlines()  # names who reads it, and a cure
    assert re.match(rf"error: {results}/\S+: no \w+ with the SHA-256 {sha256[:12]}", line)
    assert line.endswith("; make or pull it again, or name the folder that has it with --results")


def test_the_nearest_of_equal_files_is_taken(results):
    for copy in ("state/base/ema.safetensors", "other/base/ema.safetensors"):
        (results / copy).parent.mkdir(parents=True)
        for path in (results / "models/base").iterdir():
            shutil.copy(path, results / copy.rpartition("/")[0] / path.name)
    first = trace(results / "samples/base/samples.npz", results)
    weights = dict(first.inputs)["weights"]
    assert weights.path == results / "models/base/ema.safetensors"
    assert len(find_artefacts(results)[str(weights.sha256)]) == 3


def test_a_file_made_of_itself_ends(results):
    path = results / "samples/base/samples.npz"
    manifest = {
        **make_manifest(kind="samples", name="circle"),
        "inputs": {"low_res": sha256_file(path)},
        "sha256": sha256_file(path),
    }
    write_manifest(path, manifest)
    first = trace(path, results)
    assert any("made of itself" in (one.fault or "") for one in list_artefacts(first))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda root: (root / "metrics/row.json").unlink(), "no such file"),
        (
            lambda root: manifest_path(root / "metrics/row.json").unlink(),
            "nothing is recorded about it",
        ),
        (
            lambda root: manifest_path(root / "metrics/row.json").write_text("{"),
            "not a manifest of row.json",
        ),
    ],
)
def test_what_cannot_be_walked_from_is_refused(results, change, words):
    change(results)
    with pytest.raises(UserError, match=words):
        trace(results / "metrics/row.json", results)


def test_another_file_with_a_broken_manifest_does_not_stop_the_walk(results):
    (results / "models/base/other.safetensors").write_text("x")
    (results / "models/base/other.manifest.json").write_text("{")
    assert len(list_artefacts(trace(results / "metrics/row.json", results))) == len(CHAIN)


def test_a_line_tells_what_the_manifest_says(results):
    details = {"num_images": 500, "git_commit": "a" * 40 + "-dirty"}
    write_file(results, "samples/base/samples.npz", "samples", {}, **details)
    first = trace(results / "samples/base/samples.npz", results)
    assert describe(first).startswith("500 images, seed 3, ")
    assert describe(first).endswith(", commit aaaaaaa-dirty")


def test_the_picture_has_a_box_each_and_hides_nothing(results):
    name, kind, inputs = CHAIN[6]
    write_file(results, name, kind, inputs, num_images="<b>&")
    write_file(results, *CHAIN[-1][:2], CHAIN[-1][2])
    first = trace(results / "metrics/row.json", results)
    svg = draw_svg(first)
    assert svg == draw_svg(trace(results / "metrics/row.json", results))
    picture = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    boxes = [(one.attrib["x"], one.attrib["y"]) for one in picture.iter(f"{space}rect")]
    assert len(set(boxes)) == len(boxes) == len(list_artefacts(first))
    edges = sum(len(one.inputs) for one in list_artefacts(first))
    assert len(list(picture.iter(f"{space}path"))) == edges
    titles = "".join(str(one.text) for one in picture.iter(f"{space}title"))
    assert "<b>&" in titles and "<b>" not in svg


def test_the_command_verifies_and_draws(results, tmp_path, capsys):
    svg = tmp_path / "chain.svg"
    arguments = ["trace", str(results / "metrics/row.json"), "--results", str(results)]
    assert run([*arguments, "--verify", "--svg", str(svg)]) == 0
    assert f"{len(CHAIN)} files hashed" in capsys.readouterr().out
    ElementTree.parse(svg)


def test_a_reader_that_has_enough_is_no_fault(results):
    command = [sys.executable, "-m", "records", "trace", str(results / "metrics/row.json")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*command, "--results", str(results)],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        check=False,
    )
    os.close(writing)
    assert done.returncode == 141 and done.stderr == b""
