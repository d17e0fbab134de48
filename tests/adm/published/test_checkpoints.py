"""The authors' checkpoints in and out, and the files that are refused."""

import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from adm.published.checkpoints import (
    compare_shapes,
    export_checkpoint,
    find_nearest,
    format_flags,
    import_checkpoint,
    make_shapes,
    read_state_dict,
)
from adm.published.names import NAMES, find_model, load_catalogue
from adm.published.own import find_small
from adm.weights.files import read_header
from adm.weights.tensors import read_tensors
from records.errors import UserError
from tests.adm.published_miniature import make_weights, pickle_bytes
from workflow.settings import load_plan

CHECKPOINTS = json.loads(
    (Path(__file__).parents[2] / "data" / "reference" / "state_dicts.json").read_text()
)["models"]
CATALOGUE = load_catalogue("digits")
PAPER = load_catalogue()
MODEL = find_model("ADM_diffusion_64_conditioned", CATALOGUE)


@pytest.fixture(scope="module")
def weights():
    return make_weights("imagenet_64")


@pytest.fixture
def checkpoint(tmp_path, weights):
    path = tmp_path / "x.pt"
    path.write_bytes(pickle_bytes(weights))
    return path


def test_import_keeps_every_value_and_adds_the_spec(tmp_path, checkpoint, weights):
    out = tmp_path / "x.safetensors"
    import_checkpoint(checkpoint, out, MODEL, CATALOGUE, about={"source": "there"})
    tensors, texts = read_tensors(out, "weights")
    assert set(tensors) == set(weights) and texts["source"] == "there"
    assert all(torch.equal(tensors[name], weights[name]) for name in weights)
    about = read_header(out)
    planned = load_plan({}).models["imagenet_64"]
    assert about.spec.content() == planned.content() and about.digest == planned.digest
    assert (about.mark, about.iteration) == (MODEL.mark, MODEL.iteration)


def test_export_then_import_is_the_same_bytes(tmp_path, checkpoint, weights):
    first, back, second = (tmp_path / name for name in ("a.safetensors", "b.pt", "c.safetensors"))
    import_checkpoint(checkpoint, first, MODEL, CATALOGUE)
    spec = export_checkpoint(first, back)
    assert spec.content() == MODEL.spec.content()
    content = torch.load(back, weights_only=True)
    assert type(content) is dict and list(content) == list(make_shapes(MODEL.spec.architecture))
    assert all(one.dtype == torch.float32 for one in content.values())
    assert back.stat().st_size < 1.2 * checkpoint.stat().st_size  # views carry no other's memory
    import_checkpoint(back, second, MODEL, CATALOGUE)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_exported_names_shapes_and_flags_are_the_authors(name):
    spec = find_model(name, PAPER).spec
    assert list(make_shapes(spec.architecture).items()) == list(
        CHECKPOINTS[name]["state_dict"].items()
    )
    given, ours = (split_flags(one) for one in (CHECKPOINTS[name]["flags"], format_flags(spec)))
    given.pop("--use_fp16", None)  # how they compute, not what they compute
    resolved = CHECKPOINTS[name]["flags_resolved"]
    for option in ours.keys() - given.keys():  # what they leave at its default we write out
        given[option] = str(resolved.get(option.removeprefix("--"), False))
    if "--dropout" in ours:
        ours["--dropout"], given["--dropout"] = float(ours["--dropout"]), float(given["--dropout"])
    assert ours == given


def split_flags(text):
    parts = text.split()
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_models_that_their_code_cannot_build_have_no_flags():
    assert format_flags(MODEL.spec) == ""
    assert format_flags(find_model("arch_rescale", PAPER).spec) == ""


def test_16_bit_checkpoints_are_widened_exactly(tmp_path, weights):
    path = tmp_path / "half.pt"
    path.write_bytes(pickle_bytes({name: one.half() for name, one in weights.items()}))
    got = read_state_dict(path)
    assert all(torch.equal(got[name], weights[name].half().float()) for name in weights)


def test_the_format_of_old_versions_of_torch_is_read(tmp_path, weights):
    path = tmp_path / "old.pt"
    path.write_bytes(pickle_bytes(weights, _use_new_zipfile_serialization=False))
    assert all(torch.equal(one, weights[name]) for name, one in read_state_dict(path).items())


class Malicious:
    """Unpickled, it writes a file."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.system, (f"touch {self.victim}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_executed(tmp_path, zipped):
    victim, path = tmp_path / "victim", tmp_path / "bad.pt"
    content = {"a": torch.zeros(1), "b": Malicious(victim)}
    path.write_bytes(pickle_bytes(content, _use_new_zipfile_serialization=zipped))
    with pytest.raises(UserError) as error:
        import_checkpoint(path, tmp_path / "out.safetensors", MODEL, CATALOGUE)
    words = str(error.value)
    assert "holds code or objects" in words and "nothing of it was executed" in words
    assert "system" in words or not zipped
    assert not victim.exists() and not (tmp_path / "out.safetensors").exists()


def test_a_bare_pickle_with_code_is_refused_in_our_words_alone(tmp_path):
    """Torch warns of the protocol first; warnings are errors here, and would take the place."""
    victim = tmp_path / "victim"
    words = refusal(tmp_path / "bad.pt", pickle.dumps({"b": Malicious(victim)}, protocol=4))
    assert "holds code or objects" in words and not victim.exists()


def refusal(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_state_dict(path)
    assert str(error.value).startswith(str(path))
    return str(error.value)


def test_files_that_are_no_checkpoints(tmp_path, weights):
    path = tmp_path / "x.pt"
    whole = pickle_bytes(weights)
    old = pickle_bytes(weights, _use_new_zipfile_serialization=False)
    for cut in (whole[: len(whole) // 2], whole[:100], old[: len(old) // 2], old[:50]):
        assert "cut short or damaged: fetch it again" in refusal(path, cut)
    assert "is a web page" in refusal(path, b"\n<!DOCTYPE html><html></html>")
    assert "is empty" in refusal(path, b"")
    assert "neither torch's archive nor a pickle" in refusal(path, b"\x01\x02\x03\x04" * 9)
    assert "is a gzip file" in refusal(path, b"\x1f\x8b" + bytes(50))
    assert "LFS pointer" in refusal(path, b"version https://git-lfs.github.com/spec/v1\n")
    archive = io.BytesIO()
    np.savez(archive, arr_0=np.zeros(3))
    assert "not a whole checkpoint" in refusal(path, archive.getvalue())
    with pytest.raises(UserError, match="no such file; a checkpoint"):
        read_state_dict(tmp_path / "none.pt")
    with pytest.raises(UserError, match="cannot be read"):
        read_state_dict(tmp_path)


def test_safetensors_need_no_import(tmp_path, checkpoint):
    out = tmp_path / "x.safetensors"
    import_checkpoint(checkpoint, out, MODEL, CATALOGUE)
    with pytest.raises(UserError, match="safetensors file already: load it as it is"):
        import_checkpoint(out, tmp_path / "y.safetensors", MODEL, CATALOGUE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(1)], "holds a list; a state dict"),
        ({}, "holds nothing"),
        ({"model": {"a": torch.zeros(1)}, "step": 3}, "take the part 'model' out of it"),
        ({"a": torch.zeros(1, dtype=torch.int64)}, "a is torch.int64; weights are float32"),
    ],
)
def test_pickles_that_hold_something_else(tmp_path, content, words):
    assert words in refusal(tmp_path / "x.pt", pickle_bytes(content))


def test_another_architecture_is_refused_with_its_keys_and_the_nearest_model(tmp_path, checkpoint):
    other = find_model("ADM_diffusion_256_conditioned", CATALOGUE)
    with pytest.raises(UserError) as error:
        import_checkpoint(checkpoint, tmp_path / "y", other, CATALOGUE)
    words = str(error.value)
    assert f"{checkpoint}: not the weights of ADM_diffusion_256_conditioned" in words
    assert "missing: " in words and "of another shape: time_embed.0.weight" in words
    assert "they are those of ADM_diffusion_64_conditioned or imagenet_64_nodropout: name" in words
    assert not (tmp_path / "y").exists()


def test_a_renamed_and_a_missing_key_are_named(tmp_path, weights):
    renamed = {name.replace("out.2.bias", "out.2.bios"): one for name, one in weights.items()}
    path = tmp_path / "x.pt"
    path.write_bytes(pickle_bytes(renamed))
    with pytest.raises(UserError) as error:
        import_checkpoint(path, tmp_path / "y", MODEL, CATALOGUE)
    words = str(error.value)
    assert "1 missing: out.2.bias; 1 unexpected: out.2.bios" in words
    assert "nearest: ADM_diffusion_64_conditioned" in words


def test_values_that_are_not_finite_are_refused(tmp_path, weights):
    path = tmp_path / "x.pt"
    path.write_bytes(pickle_bytes({**weights, "out.2.bias": torch.full((2,), float("nan"))}))
    with pytest.raises(UserError, match=r"out\.2\.bias holds values that are not finite"):
        import_checkpoint(path, tmp_path / "y", MODEL, CATALOGUE)


def test_shapes_are_compared_both_ways():
    assert compare_shapes({"a": [1]}, {"a": [1]}) == []
    assert compare_shapes({"a": [1], "b": [2]}, {"a": [3], "c": [4]}) == [
        "1 missing: b",
        "1 unexpected: c",
        "1 of another shape: a [3] instead of [1]",
    ]


@pytest.mark.slow
def test_published_architectures_are_told_apart():
    for name in ("256x256_diffusion_uncond", "512x512_classifier", "64_256_upsampler"):
        names, exact = find_nearest(CHECKPOINTS[name]["state_dict"], PAPER)
        assert exact and find_model(name, PAPER).model in [NAMES[one] for one in names]


def test_the_nearest_model_is_of_the_same_kind():
    for name, kind in (("small", "diffusion"), ("small_classifier", "classifier")):
        shapes = make_shapes(find_small(name).spec.architecture)
        names, exact = find_nearest(shapes, CATALOGUE)
        kinds = {find_model(one, CATALOGUE).spec.kind for one in names}
        assert kinds == {kind} and not exact


def test_export_refuses_what_does_not_fit_its_spec(tmp_path, checkpoint):
    path = tmp_path / "x.safetensors"
    import_checkpoint(checkpoint, path, MODEL, CATALOGUE)
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"out.2.bias"', b'"out.2.bios"'))
    with pytest.raises(UserError, match="does not fit its own spec: 1 missing: out"):
        export_checkpoint(path, tmp_path / "y.pt")
    path.write_bytes(data[:-4])
    with pytest.raises(UserError, match="cut short"):
        export_checkpoint(path, tmp_path / "y.pt")
    assert not (tmp_path / "y.pt").exists()
