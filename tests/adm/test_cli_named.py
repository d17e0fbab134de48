"""Models by name from the shell: grids, import, export, specs, and what they refuse."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adm.cli import main
from adm.networks.model import make_network
from adm.published import modules
from adm.published.draw import draw_named
from adm.published.load import load
from adm.published.names import find_model, load_catalogue
from adm.sampling.draw import draw_samples
from adm.weights.files import load_weights, read_header
from records.batches import read_batch
from records.errors import UserError
from records.events import read_events
from records.files import sha256_file
from records.manifest import read_manifest
from specs.load import parse_spec
from tests.adm.published_miniature import make_weights, pickle_bytes, publish
from workflow.settings import load_plan

MODELS = (
    "imagenet_256",
    "imagenet_256_uncond",
    "classifier_256",
    "imagenet_64",
    "classifier_64",
    "upsampler_64_256",
    "lsun_cat",
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    with publish(tmp_path_factory.mktemp("published"), *MODELS) as one:
        yield one


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def environment(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("ADM_OFFLINE", raising=False)
    monkeypatch.delenv("ADM_MIRROR", raising=False)


def draw(published, name, out, *more):
    lists = ("--scale", "digits", "--released", str(published.released), "--threads", "1")
    return main(["draw", str(name), "--out", str(out), *lists, *more])


def read_sampling(path):
    with Image.open(path) as image:
        manifest = json.loads(image.text["manifest"])
    return manifest["sampling"], manifest


def test_a_guided_grid_of_the_unconditional_model(published, tmp_path, capsys):
    out = tmp_path / "grid.png"
    name = "ADM_diffusion_256_unconditioned"
    options = ("--label", "3", "--guidance-scale", "10", "--num-images", "4")
    assert draw(published, name, out, *options) == 0
    assert "grid.png: 4 images" in capsys.readouterr().out
    sampling, manifest = read_sampling(out)
    (half,) = sampling["halves"]
    assert half == {
        "name": name,
        "model": "imagenet_256_uncond",
        "digest": half["digest"],
        "respacing": "20",
        "classifier": "classifier_256",
        "guidance_scale": 10.0,
    }
    assert manifest["labels"] == [3] * 4 and sampling["seed"] == 0


def test_joined_names_take_the_published_scale_and_labels_in_turn(published, tmp_path):
    out = tmp_path / "batch.npz"
    options = ("--label", "3", "5", "--num-images", "3", "--respacing", "ddim10", "--seed", "7")
    assert draw(published, "ADM_G", out, *options) == 0
    images, labels = read_batch(out)
    assert images.shape == (3, 8, 8, 3) and labels.tolist() == [3, 5, 3]
    (half,) = read_manifest(out)["sampling"]["halves"]
    assert (half["respacing"], half["guidance_scale"]) == ("ddim10", 2.5)
    again = tmp_path / "again.npz"
    assert draw(published, "ADM_G", again, *options, "--batch-size", "2") == 0
    assert np.abs(read_batch(again)[0].astype(int) - images).max() <= 1


def test_temperatures_are_options(published, tmp_path):
    def images(*options):
        out = tmp_path / "batch.npz"
        more = ("--num-images", "2", "--respacing", "6", *options)
        assert draw(published, "ADM_diffusion_256_conditioned", out, *more) == 0
        return read_batch(out)[0]

    plain, cold = images(), images("--noise-temperature", "0.5")
    assert (plain == images("--noise-temperature", "1", "--eps-temperature", "1")).all()
    assert (plain != cold).any() and (plain != images("--eps-temperature", "0.9")).any()
    model = load("ADM_diffusion_256_conditioned", **published.lists)
    again = model.sample(2, seed=0, respacing="6", noise_temperature=0.5)
    assert (again.numpy() == cold[..., :1]).all()


def test_the_precision_is_an_option(published, tmp_path, monkeypatch):
    seen = []

    def note(indices, **options):
        seen.append(options["sampler"].precision)
        return draw_samples(indices, **options)

    monkeypatch.setattr(modules, "draw_samples", note)
    out = tmp_path / "batch.npz"
    for options, precision in (((), "float32"), (("--precision", "bf16"), "bf16")):
        options = ("--num-images", "1", "--respacing", "2", *options)
        assert draw(published, "ADM_diffusion_256_conditioned", out, *options) == 0
        assert read_manifest(out)["precision"] == seen.pop() == precision


def test_a_stack_guides_its_base(published, tmp_path):
    out = tmp_path / "grid.png"
    options = ("--label", "3", "--guidance-scale", "1", "--num-images", "2")
    assert draw(published, "ADM_U_64_256", out, *options, "--respacing", "ddim5") == 0
    base, upsampler = read_sampling(out)[0]["halves"]
    assert (base["model"], base["classifier"]) == ("imagenet_64", "classifier_64")
    assert (upsampler["model"], upsampler["classifier"]) == ("upsampler_64_256", None)
    assert read_sampling(out)[1]["inputs"].keys() == {"base", "classifier", "weights"}
    assert base["respacing"] == upsampler["respacing"] == "ddim5"


def test_without_classes_there_are_no_captions(published, tmp_path):
    out = tmp_path / "batch.npz"
    assert draw(published, "ADM_diffusion_lsun_cat", out, "--num-images", "2") == 0
    images, labels = read_batch(out)
    assert len(images) == 2 and labels is None


def place(folder, model):
    """Put weights where the workflow does."""
    path = folder / "digits" / "retrain" / "models" / model / "ema-final.safetensors"
    path.parent.mkdir(parents=True)
    pickled = path.with_suffix(".pt")
    pickled.write_bytes(pickle_bytes(make_weights(model)))
    options = ["--model", model, "--out", str(path), "--scale", "digits"]
    assert main(["import", str(pickled), *options]) == 0
    return path


def test_models_trained_here_find_classifier_and_base_beside_them(published, tmp_path, capsys):
    model = place(tmp_path, "imagenet_256")
    out = tmp_path / "grid.png"
    options = ("--label", "1", "--guidance-scale", "2", "--num-images", "1")
    assert draw(published, model, out, *options) == 2
    beside = tmp_path / "digits" / "retrain" / "models" / "classifier_256"
    assert f"there is none at {beside}/ema-final.safetensors" in capsys.readouterr().err
    classifier = place(tmp_path, "classifier_256")
    assert main(["draw", str(model), "--out", str(out), *options, "--threads", "1"]) == 0
    sampling, manifest = read_sampling(out)
    (half,) = sampling["halves"]
    assert (half["respacing"], half["classifier"]) == ("20", "classifier_256")
    read = {"weights": model, "classifier": classifier}
    assert manifest["inputs"] == {role: sha256_file(path) for role, path in read.items()}
    moved = classifier.rename(tmp_path / "moved.safetensors")
    given = (*options, "--classifier", str(moved))
    assert draw(published, model, tmp_path / "b.png", *given) == 0
    upsampler = place(tmp_path, "upsampler_64_256")
    assert draw(published, upsampler, out, "--num-images", "1") == 2
    assert "is an upsampler; its base is not at" in capsys.readouterr().err
    place(tmp_path, "imagenet_64")
    assert draw(published, upsampler, out, "--num-images", "1", "--respacing", "ddim5") == 0


def test_import_and_export(tmp_path, capsys):
    model, back = place(tmp_path, "imagenet_64"), tmp_path / "back.pt"
    assert main(["export", str(model), "--out", str(back)]) == 0
    assert capsys.readouterr().out.endswith(
        "they cannot build this model: image_size_px 4 (theirs 64, 128, 256, 512), in_channels 1 "
        "(theirs 3), num_groups 8 (theirs 32), num_classes 10 (theirs 1000)\n"
    )
    weights = torch.load(back, weights_only=True)
    expected = make_weights("imagenet_64")
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    wrong = ["import", str(back), "--model", "imagenet_256", "--out", "x", "--scale", "digits"]
    assert main(wrong) == 2
    assert "they are those of ADM_diffusion_64_conditioned" in capsys.readouterr().err


def test_specs_are_written_for_training(tmp_path, capsys):
    out = tmp_path / "spec.json"
    name = "ADM_diffusion_64_unconditioned"
    assert main(["spec", name, "--out", str(out)]) == 0
    assert "540000 iterations to mark final, data imagenet_64" in capsys.readouterr().out
    assert json.loads(out.read_text()) == find_model(name, load_catalogue()).spec.content()
    assert main(["spec", "imagenet_256", "--scale", "digits", "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == load_plan({}).models["imagenet_256"].content()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["draw", "ADM_G", "--out", "a.jpg"], "give a .png for a grid or an .npz"),
        (["draw", "ADM_H", "--out", "a.png"], "ADM_H: no model of that name and no file; did"),
        (["draw", "ADM_G", "--weights", "raw", "--out", "a.png"], "published weights are averages"),
        (["draw", "ADM_G", "--grid", "b.png", "--out", "a.png"], "--grid b.png: give a .png here"),
        (["spec", "ADM_H", "--out", "a.json"], "no model of that name"),
        (["spec", "ADM_U", "--scale", "none", "--out", "a.json"], "none.yaml: no such file"),
        (["export", "none.safetensors", "--out", "a.pt"], "no such file; a weights file"),
        (["import", "none.pt", "--model", "ADM_U", "--out", "a"], "no such file; a checkpoint"),
        (
            ["draw", "ADM_diffusion_64_unconditioned", "--out", "a.png"],
            "no weights are available",
        ),
    ],
)
def test_commands_that_cannot_be_done(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [[], ["--spec", "s.json"], ["--label", "263"]])
def test_a_name_is_sent_to_draw(more, capsys, tmp_path, monkeypatch):
    """What this command was before: some of its options are known here no more."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["ADM_G", *more], [*more, "ADM_G"]):
        assert main(["sample", *arguments, "--out", "a.png"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: sample: needs a spec (--spec, --weights); to draw from a")
        assert "run `python -m adm draw NAME --out FILE`" in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_spec_is_sent_to_sample(capsys):
    for arguments in (["--spec", "s", "--weights", "w"], ["ADM_G", "--spec", "s"]):
        assert main(["draw", *arguments, "--out", "a.npz"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: draw: needs a published name or a weights file; to draw")
        assert "run `python -m adm sample --spec FILE" in error and error.count("\n") == 1


def test_a_wrong_fetched_checkpoint_is_refused_with_the_way_to_forget_it(tmp_path, capsys):
    wrong = tmp_path / "64x64 diffusion.pt"
    wrong.write_bytes(b"another file")
    arguments = ["import", str(wrong), "--model", "imagenet_64", "--out", str(tmp_path / "o")]
    assert main([*arguments, "--scale", "digits"]) == 2
    assert "workflow forget" not in capsys.readouterr().err  # the user's own
    Path(f"{wrong}.sha256").write_text("0" * 64)
    assert main([*arguments, "--scale", "digits"]) == 2
    words = f"`python -m workflow forget {shlex.quote(str(wrong))}` removes every copy"
    error = capsys.readouterr().err
    assert "no checkpoint" in error and words in error


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("ADM_classifier_256", {}, "is a classifier, which draws nothing"),
        ("ADM_diffusion_lsun_cat", {"guidance_scale": 1.0}, "there is no classifier for lsun_cat"),
        ("ADM_diffusion_lsun_cat", {"labels": [1]}, "knows no classes, so a label does nothing"),
        ("ADM_diffusion_256_conditioned", {"labels": [10]}, "there are 10 classes: 0 to 9"),
        ("ADM_diffusion_256_conditioned", {"base": "ADM_U"}, "not an upsampler, so it has no base"),
        ("ADM_U_64_256", {"base": "ADM_classifier_256"}, "not a diffusion model, which a base"),
        (
            "ADM_diffusion_256_conditioned",
            {"guidance_scale": 1.0, "classifier": "ADM_classifier_64"},
            "has image_size_px 8 and classifier_64 4",
        ),
        (
            "ADM_diffusion_256_conditioned",
            {"guidance_scale": 1.0, "classifier": "ADM_diffusion_lsun_cat"},
            "not a classifier; give one",
        ),
        (
            "ADM_diffusion_256_conditioned",
            {"classifier": "ADM_classifier_256", "respacing": "7"},
            "no guidance scale is published for these steps; give --guidance-scale",
        ),
    ],
)
def test_settings_that_cannot_be_done(published, name, settings, words):
    options = {
        "num_images": 1,
        "labels": None,
        "guidance_scale": None,
        "classifier": None,
        "base": None,
        "respacing": None,
        "seed": 0,
        "batch_size": 1,
        "device": "cpu",
        "scale": "digits",
        "released": str(published.released),
        **settings,
    }
    with pytest.raises(UserError) as error:
        draw_named(name, **options)
    assert words in str(error.value)


def test_the_header_of_imported_weights_is_the_workflows(tmp_path):
    about = read_header(place(tmp_path, "classifier_256"))
    plan = load_plan({})
    assert about.spec.content() == plan.models["classifier_256"].content()
    assert about.iteration == plan.marks["classifier_256"][about.mark]


def write_case(folder, name):
    """Write a model's weights as a checkpoint, and its spec as the workflow plans it."""
    content = load_plan({}).models[name].content()
    content["training"] |= {"seed": None, "released": f"{name}.pt"}
    spec = parse_spec(content, "model", name)
    model = make_network(spec.architecture)
    torch.save(model.state_dict(), folder / f"{name}.pt")
    (folder / f"{name}.json").write_text(json.dumps(spec.content()))
    return spec, model


def import_planned(folder, checkpoint, spec):
    return main(
        ["import", str(folder / checkpoint), "--spec", str(folder / spec), "--mark", "final",
         "--iteration", "7", "--scale", "digits", "--out", str(folder / "out.safetensors"),
         "--events", str(folder / "events")]
    )  # fmt: skip


def test_weights_carry_the_planned_spec(tmp_path):
    spec, model = write_case(tmp_path, "imagenet_64")
    assert import_planned(tmp_path, "imagenet_64.pt", "imagenet_64.json") == 0
    found = read_header(tmp_path / "out.safetensors")
    assert found.spec.content() == spec.content() and found.digest == spec.digest
    assert (found.mark, found.iteration) == ("final", 7)
    start, end = read_events(tmp_path / "events")[0]
    known = {"kind": "weights", "job": "import", "name": "imagenet_64", "digest": spec.digest}
    assert start.items() >= known.items() and end["event"] == "end"
    other = make_network(spec.architecture)
    load_weights(tmp_path / "out.safetensors", other, expected_digest=spec.digest)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_a_checkpoint_of_another_model_is_refused(tmp_path, capsys):
    write_case(tmp_path, "imagenet_64")
    write_case(tmp_path, "upsampler_64_256")
    assert import_planned(tmp_path, "upsampler_64_256.pt", "imagenet_64.json") == 2
    assert "not the weights of imagenet_64" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "one of the arguments --model --spec is required"),
        (["--model", "ADM_U", "--spec", "s.json"], "--spec: not allowed with argument --model"),
    ],
)
def test_import_needs_one_name_for_the_weights(capsys, options, words):
    with pytest.raises(SystemExit, match="2"):
        main(["import", "x.pt", "--out", "y", *options])
    assert words in capsys.readouterr().err


def test_a_spec_alone_does_not_say_at_which_mark_the_weights_are(capsys, tmp_path):
    options = ["--out", f"{tmp_path}/y", "--spec", "s.json", "--mark", "final"]
    assert main(["import", "x.pt", *options]) == 2
    assert "--mark and --iteration are missing" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "1000001", "1000000000000"])
def test_no_more_images_are_drawn_than_memory_holds(number, capsys):
    with pytest.raises(SystemExit):
        main(["draw", "ADM_64", "--out", "a.png", "--num-images", number])
    needed = "needed: a whole number, at least 1 and at most 1000000"
    assert f"--num-images: got '{number}'; {needed}" in capsys.readouterr().err
