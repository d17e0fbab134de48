"""What published names stand for, and what is said of those that stand for nothing."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from adm.cli import make_parser
from adm.published.names import (
    GUIDED,
    NAMES,
    SHORT,
    classifier_name,
    explain_absence,
    explain_short,
    find_base,
    find_classifier,
    find_model,
    find_published_sampler,
    find_scale_of,
    load_catalogue,
    published_name,
)
from records.errors import UserError
from specs.released import find_checkpoint
from workflow.settings import load_plan

PAPER = load_catalogue()
DIGITS = load_catalogue("digits")
UNPUBLISHED = [f"ADM_diffusion_{size}_unconditioned" for size in (64, 128, 512)]


def test_every_name_of_the_paper_is_there():
    sizes = (64, 128, 256, 512)
    conditioned = [f"ADM_diffusion_{size}_conditioned" for size in sizes]
    unconditioned = [f"ADM_diffusion_{size}_unconditioned" for size in sizes]
    assert {*conditioned, *unconditioned, *(f"ADM_classifier_{size}" for size in sizes)} < set(
        NAMES
    )
    for name in NAMES:
        named = find_model(name, PAPER)
        size = next((int(part) for part in reversed(name.split("_")) if part.isdigit()), 256)
        shape = named.spec.architecture
        assert shape.image_size_px == size and named.spec.name == named.model
        if "classifier" not in name:
            assert (shape.num_classes is None) == ("uncond" in name or "lsun" in name)
        assert (find_checkpoint(PAPER.released, named.model) is None) == (name in UNPUBLISHED)
        assert published_name(named.model) == name
    assert published_name("arch_baseline") == "arch_baseline"


def test_every_published_checkpoint_has_a_name():
    models = {one.model for one in PAPER.released.checkpoints.values()}
    assert models <= set(NAMES.values())


def test_a_model_has_three_names():
    named = find_model("ADM_diffusion_256_conditioned", PAPER)
    for name in ("imagenet_256", "256x256_diffusion"):
        assert find_model(name, PAPER).spec == named.spec
    assert (named.mark, named.iteration) == ("final", 1_980_000)
    assert find_model("ADM_U", PAPER).name == "ADM_U_64_256"


def test_the_unconditional_twin_differs_by_its_classes_alone():
    one = find_model("ADM_diffusion_512_conditioned", PAPER).spec
    twin = find_model("ADM_diffusion_512_unconditioned", PAPER).spec
    assert twin.architecture == one.architecture.model_copy(update={"num_classes": None})
    assert twin.training == one.training and twin.name == "imagenet_512_uncond"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ADM_difusion_256_conditioned", "did you mean ADM_diffusion_256_conditioned"),
        ("zzz", "zzz: no model of that name and no file; the names are ADM_diffusion_64_cond"),
        ("ADM_G_128", "ADM_diffusion_128_conditioned is its model and ADM_classifier_128 its"),
    ],
)
def test_names_that_stand_for_nothing(name, words):
    with pytest.raises(UserError) as error:
        find_model(name, PAPER)
    assert words in str(error.value)


def test_the_list_of_names_is_whole():
    with pytest.raises(UserError) as error:
        find_model("zzz", PAPER)
    names = str(error.value).partition("the names are ")[2].split(", ")
    assert set(names) == {*NAMES, *GUIDED, *SHORT} and "ADM_G_256_unconditioned" in names


def test_a_name_that_a_scale_lacks():
    models = {name: one for name, one in DIGITS.scale.models.items() if "512" not in name}
    catalogue = replace(DIGITS, scale=DIGITS.scale.model_copy(update={"models": models}))
    with pytest.raises(UserError, match="which scale digits does not have; its models are arch"):
        find_model("ADM_classifier_512", catalogue)


@pytest.mark.parametrize("name", UNPUBLISHED)
def test_absent_weights_are_explained_with_the_way_to_train_them(name):
    text = str(explain_absence(find_model(name, PAPER), PAPER))
    assert f"{name}: no weights are available: the authors published no weights" in text
    assert f"python -m adm spec {name} --out {NAMES[name]}.json" in text
    stack = explain_absence(find_model("classifier_128_stack", PAPER), PAPER)
    assert "the published 128x128 one is another" in str(stack)


def test_the_advice_names_a_scale_as_it_was_given():
    catalogue = replace(DIGITS, given="my scales/x.yaml")
    text = str(explain_absence(find_model("imagenet_64", catalogue), catalogue))
    assert "--config 'scale=my scales/x.yaml' -- " in text
    assert "adm spec imagenet_64 --scale 'my scales/x.yaml' --out" in text


def read_commands(name, catalogue=PAPER):
    """Return what `python -m adm` would be told by the commands of the advice, parsed."""
    text = str(explain_absence(find_model(name, catalogue), catalogue))
    commands = [shlex.split(one) for one in re.findall("`([^`]+)`", text)]
    ours = [one for one in commands if one[:3] == ["python", "-m", "adm"]]
    return commands, [make_parser().parse_args(one[3:]) for one in ours]


@pytest.mark.parametrize("name", [*UNPUBLISHED, "imagenet_64_nodropout", "classifier_128_stack"])
def test_the_printed_commands_make_the_images_write_the_spec_and_train(name):
    commands, (dataset, spec, train) = read_commands(name)
    assert len(commands) == 3
    assert [one.command for one in (dataset, spec, train)] == ["dataset", "spec", "train"]
    named = find_model(name, PAPER)
    images = named.spec.training.dataset
    assert str(dataset.out) == train.data and spec.out == train.spec and spec.model == name
    assert (dataset.dataset, dataset.num_classes) == ("imagenet", 1000)
    assert str(dataset.path) == PAPER.scale.places["ADM_IMAGENET"]
    assert (dataset.crop, dataset.image_size_px) == (images.crop, images.image_size_px)
    assert (train.mark, train.iterations) == (named.mark, named.iteration)
    assert (train.device, train.threads) == ("cuda", 8)


def test_whole_images_are_made_without_a_crop():
    _, (dataset, _, train) = read_commands("classifier_128_stack")
    assert (dataset.crop, dataset.image_size_px) == ("none", None)
    assert train.data == "imagenet_whole.zip"


def test_images_without_labels_and_of_some_classes_are_asked_for_so():
    cifar10 = load_catalogue("cifar10")
    _, (dataset, spec, _) = read_commands("lsun_bedroom", cifar10)
    assert (dataset.dataset, dataset.labels, dataset.num_classes) == ("images", "none", None)
    images = find_model("lsun_bedroom", cifar10).spec.training.dataset
    assert dataset.classes == images.classes
    assert spec.scale == "cifar10"


def test_embedded_images_are_made_by_the_workflow():
    commands, (spec, train) = read_commands("imagenet_64", DIGITS)
    assert commands[0][0] == "snakemake" and commands[0][-1] == train.data
    assert train.data == load_plan({}).layout.data("imagenet_64").file
    assert (spec.scale, train.device) == ("digits", "cpu")


@pytest.mark.parametrize(
    ("model", "guided", "respacing", "expected"),
    [
        ("imagenet_256", False, None, ("ancestral", "250", None)),
        ("imagenet_256", True, None, ("ancestral", "250", 1.0)),
        ("imagenet_256", True, "ddim25", ("ddim", "ddim25", 2.5)),
        ("imagenet_128", True, None, ("ancestral", "250", 0.5)),
        ("imagenet_128", True, "ddim25", ("ddim", "ddim25", 1.25)),
        ("imagenet_512", True, None, ("ancestral", "250", 4.0)),
        ("imagenet_512", True, "ddim25", ("ddim", "ddim25", 9.0)),
        ("imagenet_64", True, None, ("ancestral", "250", 1.0)),
        ("imagenet_256_uncond", True, None, ("ancestral", "250", 10.0)),  # 33.03 at 1, 12.00 at 10
        ("imagenet_64_uncond", False, None, ("ancestral", "250", None)),
        ("lsun_cat", False, None, ("ancestral", "1000", None)),
        ("lsun_cat", False, "90,60,60,20,20", ("ancestral", "90,60,60,20,20", None)),
        ("upsampler_64_256", False, None, ("ancestral", "250", None)),
    ],
)
def test_settings_are_the_papers(model, guided, respacing, expected):
    found = find_published_sampler(model, PAPER, guided=guided, respacing=respacing)
    assert (found.method, found.respacing, found.guidance_scale) == expected


def test_settings_at_another_scale_have_its_steps():
    for respacing in (None, "250", "20"):
        found = find_published_sampler("imagenet_256", DIGITS, guided=False, respacing=respacing)
        assert found.respacing == "20"
    assert find_published_sampler("imagenet_256", DIGITS, guided=False, respacing="7") is None
    assert find_published_sampler("imagenet_64_uncond", PAPER, guided=True) is None


def test_classifiers_and_bases():
    for size in (64, 128, 256, 512):
        assert find_classifier(f"imagenet_{size}", PAPER.scale) == f"classifier_{size}"
    assert find_classifier("lsun_cat_256", PAPER.scale) is None
    assert find_base("upsampler_64_256", PAPER)[0] == "imagenet_64"
    assert find_base("upsampler_128_512", PAPER)[0] == "imagenet_128"
    assert find_base("upsampler_128_512", DIGITS)[0] == "imagenet_128_base"
    assert find_base("imagenet_256", PAPER) is None
    assert {classifier_name(one) for one in GUIDED.values()} < set(NAMES)


def test_short_names_are_explained():
    assert (
        explain_short("ADM_U")
        == "ADM_U: taken as ADM_U_64_256; there are ADM_U_64_256, ADM_U_128_512"
    )
    assert "ADM_G_256_unconditioned" in explain_short("ADM_G")
    assert explain_short("ADM_G_64") is None


def test_the_scale_of_a_results_folder():
    file = "results/digits/retrain/models/imagenet_256/ema-final.safetensors"
    assert find_scale_of(file) == "digits"
    assert find_scale_of("results/other/retrain/models/imagenet_256/ema.safetensors") is None
    assert find_scale_of("w.safetensors") is None


def test_importing_adm_and_looking_up_names_loads_no_torch():
    program = (
        "import sys, json, adm, adm.published.names, specs.released\n"
        "adm.published.names.find_model('ADM_U', adm.published.names.load_catalogue())\n"
        "light = 'torch' not in sys.modules\n"
        "from adm import ADM, ADM_classifier, ADM_U, ADM_G, load\n"
        "names = {'ADM', 'ADM_classifier', 'ADM_U', 'ADM_G', 'load'}\n"
        "print(json.dumps([light, 'torch' in sys.modules, names <= set(dir(adm))]))\n"
        "try: adm.ADMX\n"
        "except AttributeError as error: assert 'ADMX' in str(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, True, True]
