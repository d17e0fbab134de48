"""Models by name: fetched once, checked, converted, and loaded without a second copy."""

import subprocess
import sys

import pytest
import torch

import adm
from adm import ADM, ADM_G, ADM_U, ADM_classifier
from adm.published.names import find_model, load_catalogue
from adm.sampling.draw import load_network
from adm.weights.files import read_header
from adm.weights.tensors import read_tensors
from records.errors import UserError
from tests.adm.published_miniature import make_weights, pickle_bytes, publish
from workflow.settings import load_plan

DIGITS_STEPS = load_plan({}).scale.sampling.respacing["250"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    models = ("imagenet_256", "classifier_256", "upsampler_64_256", "imagenet_64", "lsun_cat")
    with publish(tmp_path_factory.mktemp("published"), *models) as one:
        yield one


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ADM_OFFLINE", raising=False)
    monkeypatch.delenv("ADM_MIRROR", raising=False)
    return tmp_path / "cache" / "adm-tables"


def equal(model, weights):
    state = model.state_dict()
    return set(state) == set(weights) and all(torch.equal(state[k], weights[k]) for k in state)


def test_a_published_model_is_fetched_converted_and_then_read(published, cache, capsys):
    model = adm.load("ADM_diffusion_256_conditioned", **published.lists)
    assert isinstance(model, ADM) and not model.training and model.respacing == DIGITS_STEPS
    assert equal(model, published.weights["imagenet_256"])
    said = capsys.readouterr().err
    assert "research use only" in said and "256x256_diffusion.safetensors: made of" in said
    file = cache / "256x256_diffusion.safetensors"
    about = read_header(file)
    planned = load_plan({}).models["imagenet_256"]
    assert about.spec.content() == planned.content() and about.digest == planned.digest
    _, texts = read_tensors(file, "weights")
    assert texts["source"] == f"{published.server.base}/256x256_diffusion.pt"
    assert "research use only" in texts["licence"] and len(texts["source_sha256"]) == 64
    (cache / "256x256_diffusion.pt").unlink()  # not needed any more
    asked = len(published.server.asked)
    again = adm.load("256x256_diffusion", **published.lists)
    assert equal(again, published.weights["imagenet_256"])
    assert len(published.server.asked) == asked and capsys.readouterr().err == ""


def test_what_the_workflow_reads_is_the_same_file(published, cache):
    adm.load("ADM_diffusion_256_conditioned", **published.lists, progress=False)
    order = load_plan({}).samples["t3_cond"]
    network, spec = load_network(cache / "256x256_diffusion.safetensors", order.model, "cpu")
    assert spec.name == "imagenet_256" and equal(network, published.weights["imagenet_256"])


def test_each_kind_of_name(published, capsys):
    classifier = adm.load("ADM_classifier_256", **published.lists)
    assert isinstance(classifier, ADM_classifier)
    assert isinstance(adm.load("ADM_diffusion_lsun_cat", **published.lists), ADM)
    capsys.readouterr()
    upsampler = adm.load("ADM_U", **published.lists)
    assert isinstance(upsampler, ADM_U)
    assert "ADM_U: taken as ADM_U_64_256; there are" in capsys.readouterr().err
    joined = adm.load("ADM_G", **published.lists)
    assert isinstance(joined, ADM_G) and joined.guidance_scale == 1.0
    assert equal(joined.classifier, published.weights["classifier_256"])
    assert joined.sample(2, seed=0, labels=3, respacing="3").shape == (2, 8, 8, 1)


def test_a_file_that_was_imported_or_trained_here(published, cache, tmp_path):
    adm.load("ADM_diffusion_64_conditioned", **published.lists, progress=False)
    file = cache / "64x64_diffusion.safetensors"
    outside = adm.load(file)
    assert equal(outside, published.weights["imagenet_64"]) and outside.respacing == "250"
    inside = tmp_path / "digits" / "retrain" / "models" / "imagenet_64" / "ema-final.safetensors"
    inside.parent.mkdir(parents=True)
    inside.write_bytes(file.read_bytes())
    assert adm.load(str(inside)).respacing == DIGITS_STEPS  # the scale of the folder it lies in


@pytest.mark.parametrize("name", ["ADM_diffusion_64_unconditioned", "classifier_128_stack"])
def test_weights_that_were_never_published(published, name):
    with pytest.raises(
        UserError, match=f"{name}: no weights are available: .*adm spec {name} --scale digits"
    ):
        adm.load(name, **published.lists)
    with pytest.raises(UserError, match="zzz: no model of that name and no file"):
        adm.load("zzz", **published.lists)


def test_published_weights_are_not_those_of_another_scale(cache):
    with pytest.raises(UserError, match="those of scale paper, and scale digits is asked for"):
        adm.load("ADM_diffusion_256_conditioned", scale="digits")
    assert not cache.exists()


def test_files_that_are_not_weights(tmp_path):
    with pytest.raises(UserError, match="no such file; a weights file is needed"):
        adm.load(tmp_path / "none.safetensors")
    path = tmp_path / "x.pt"
    path.write_bytes(pickle_bytes({"a": torch.zeros(1)}))
    with pytest.raises(UserError, match=r"a \.pt file must be imported first"):
        adm.load(str(path))


def serve(published, content, *plans):
    published.server.add("/512x512_diffusion.pt", content, *plans)
    return lambda: adm.load("ADM_diffusion_512_conditioned", **published.lists, progress=False)


def test_a_wrong_file_on_the_server_is_refused(published, cache):
    load = serve(published, pickle_bytes(make_weights("imagenet_256")))
    with pytest.raises(UserError, match="512_conditioned: 2 missing: ") as error:
        load()
    assert "they are those of ADM_diffusion_256_conditioned or " in str(error.value)
    assert "delete it, and the .sha256 beside it" in str(error.value)
    assert not (cache / "512x512_diffusion.safetensors").exists()


def test_a_web_page_and_a_missing_file_are_refused(published, cache):
    with pytest.raises(UserError, match="web page"):
        serve(published, b"", "html")()
    with pytest.raises(UserError, match="404"):
        serve(published, b"", "404")()
    assert not list(cache.glob("*.safetensors"))


def test_a_download_that_dies_goes_on(published):
    weights = make_weights("imagenet_512")
    model = serve(published, pickle_bytes(weights), "die", "ok")()
    assert equal(model, weights)


def test_offline_with_a_warm_cache_and_without(published, monkeypatch):
    adm.load("ADM_classifier_256", **published.lists, progress=False)
    monkeypatch.setenv("ADM_OFFLINE", "1")
    adm.load("ADM_classifier_256", **published.lists)
    with pytest.raises(UserError, match="ADM_OFFLINE is set"):
        adm.load("ADM_diffusion_256_conditioned", **published.lists, progress=False)


def test_a_damaged_conversion_is_made_again(published, cache):
    adm.load("ADM_classifier_256", **published.lists, progress=False)
    file = cache / "256x256_classifier.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    model = adm.load("ADM_classifier_256", **published.lists, progress=False)
    assert equal(model, published.weights["classifier_256"]) and file.read_bytes() == whole


def test_a_spec_that_changed_is_written_anew(published, cache):
    adm.load("ADM_classifier_256", **published.lists, progress=False)
    named = find_model("classifier_256", load_catalogue("digits"))
    file = cache / "256x256_classifier.safetensors"
    about = read_header(file)
    assert about.digest == named.spec.digest
    file.write_bytes(file.read_bytes().replace(about.digest.encode(), b"0" * 64))
    adm.load("ADM_classifier_256", **published.lists, progress=False)
    assert read_header(file).digest == about.digest


PROGRAM = """
import sys, adm
model = adm.load(sys.argv[1])
name, size = next((n, p) for n, p in model.named_parameters() if p.numel() > 1000)
size.data.add_(1)
"""


def test_changing_a_loaded_model_does_not_change_the_file(published, cache):
    adm.load("ADM_classifier_256", **published.lists, progress=False)
    file = cache / "256x256_classifier.safetensors"
    before = file.read_bytes()
    subprocess.run([sys.executable, "-c", PROGRAM, str(file)], check=True)
    assert file.read_bytes() == before
