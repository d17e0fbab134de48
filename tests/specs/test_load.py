"""Specs of the wrong kind, and right ones with a mistake in any place: one line, nothing written.

Every mistake goes through the command, so that one the checks let pass would end in a traceback.
"""

import copy
import json
import re

import pytest

from adm.cli import main
from adm.weights.tensors import read_tensors, write_tensors
from records.errors import UserError
from records.files import canonical_json, spec_digest, write_json
from specs.load import load_spec, parse_header, parse_spec
from workflow.accuracy import make_accuracy_spec
from workflow.figures import make_denoising_spec
from workflow.losses import make_loss_spec
from workflow.settings import load_plan

MODEL, SAMPLE = "imagenet_64", "t4_64_adm_dropout"
# A dataset spec may be written by hand, with what decides the images alone.
OPTIONAL = {
    (command, f"{before}{key}")
    for command, before in (
        ("dataset", ""),
        ("train", "training.dataset."),
        ("accuracy", "dataset."),
        ("loss", "dataset."),
    )
    for key in ("recipe", "task", "image_channels", "num_classes", "held_out", "part")
}


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


@pytest.fixture(scope="module")
def specs(plan):
    classifier = next(name for name, one in plan.models.items() if one.kind == "classifier")
    made = {
        "train": plan.models[MODEL],
        "sample": plan.samples[SAMPLE],
        "accuracy": make_accuracy_spec(plan, classifier, max(plan.marks[classifier])),
        "denoise": make_denoising_spec(plan, "t3_cond"),
        "loss": make_loss_spec(plan, "imagenet_128", "final"),
        "dataset": plan.datasets[MODEL],
    }
    return {command: spec.content() for command, spec in made.items()}


@pytest.fixture(scope="module")
def folder(specs, tmp_path_factory):
    """Images and weights, which a right spec would be worked with."""
    folder = tmp_path_factory.mktemp("specs")
    for name in ("dataset", "train"):
        write_json(folder / "spec.json", specs[name])
        assert main(arguments(name, folder, folder / "spec.json")) == 0
        (folder / "out").rename(folder / {"dataset": "data", "train": "weights"}[name])
    return folder


def arguments(command, folder, spec):
    options = {"spec": spec, "out": folder / "out"}
    if command in ("train", "accuracy", "loss"):
        options["data"] = folder / "data"
    if command in ("sample", "denoise", "accuracy", "loss"):
        options["weights"] = folder / "weights"
    if command == "train":
        options |= {"state": folder / "state", "events": folder / "events"}
        options |= {"mark": "final", "iterations": 1}
    return [command, *(str(part) for key, one in options.items() for part in (f"--{key}", one))]


@pytest.fixture
def refuse(folder, tmp_path, capsys):
    """Run a command on what a spec's file holds; return the one line that it ends with."""

    def refuse(command, content):
        path = tmp_path / "spec.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        status = main(arguments(command, folder, path))
        error = capsys.readouterr().err
        # 3: another attempt cannot help. A file that is no JSON may be damaged.
        expected = 2 if re.search("delete it and make it again|write a seed", error) else 3
        assert status == expected and not (folder / "out").exists(), (content, error)
        lines = [line for line in error.splitlines() if line.startswith("error: ")]
        assert lines == error.splitlines()[-1:] and "Traceback" not in error, error
        return lines[0]

    return refuse


def places(tree, prefix=()):
    """List the path of every value in a spec, at every depth."""
    for key, value in tree.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from places(value, (*prefix, key))


def changed(spec, path, change):
    """Copy a spec with one place removed, misspelt or of a type that none has."""
    spec = copy.deepcopy(spec)
    inner = spec
    for key in path[:-1]:
        inner = inner[key]
    value = inner.pop(path[-1])
    if change == "misspelt":
        inner[f"{path[-1]}x"] = value
    elif change == "of another type":
        inner[path[-1]] = {"a": [1]}
    return spec


@pytest.mark.parametrize("change", ["removed", "misspelt", "of another type"])
@pytest.mark.parametrize("command", ["train", "sample", "denoise", "accuracy", "loss", "dataset"])
def test_a_mistake_in_any_place(specs, refuse, command, change):
    for path in places(specs[command]):
        name = ".".join(path)
        if change == "removed" and (command, name) in OPTIONAL:
            continue
        if path == ("training", "microbatch_size") and change != "misspelt":
            continue  # not read
        line = refuse(command, changed(specs[command], path, change))
        assert path[-1] in line, (name, line)
        if change != "misspelt":  # then the place is told to its end
            assert ": ".join(("spec.json", *path)) + ": " in line, (name, line)


@pytest.mark.parametrize("written", [48, 7, None])
def test_the_microbatch_of_specs_of_earlier_versions_is_not_read(specs, written):
    """It is written as the batch, so that most of them have the digest that they had."""
    content = copy.deepcopy(specs["train"])
    content["training"]["microbatch_size"] = written
    if written is None:
        del content["training"]["microbatch_size"]
    spec = parse_spec(content, "model", "test")
    assert not hasattr(spec.training, "microbatch_size")
    assert spec.content() == specs["train"] and spec.training.batch_size == 48
    assert spec.content()["training"]["microbatch_size"] == 48
    assert spec.digest == spec_digest(specs["train"])


KINDS = {
    "train": "a model spec",
    "sample": "a sample spec",
    "denoise": "a denoising spec",
    "accuracy": "an accuracy spec",
    "loss": "a loss spec",
    "dataset": "a dataset spec",
}


@pytest.mark.parametrize("given", KINDS)
@pytest.mark.parametrize("command", KINDS)
def test_a_spec_of_another_kind(specs, refuse, command, given):
    if command != given:
        line = refuse(command, specs[given])
        assert f"spec.json: is {KINDS[given]}; {KINDS[command]} is needed: " in line
        assert "writes one" in line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "is JSON of type list; {} is needed: "),
        ('"spec"', "is JSON of type str; {} is needed: "),
        ("{}", "is an object of none of the kinds known here; {} is needed: "),
        ('{"a": 1}', "is an object of none of the kinds known here; {} is needed: "),
        ('{"format": 1, "counts": {}}', "is a metrics file; {} is needed: "),
        ('{"seed": 0, "rec', "spec: Unterminated string"),
        ("", "spec: Expecting value"),
        ('{"seed": NaN}', "spec: Out of range float"),
        ('{"seed": 1e999}', "spec: Out of range float"),
        ("[" * 100_000, "spec: nested too deeply"),
    ],
)
@pytest.mark.parametrize("command", KINDS)
def test_what_is_no_spec(refuse, command, content, words):
    assert words.format(KINDS[command]) in refuse(command, content)


@pytest.mark.parametrize(
    ("command", "path", "value", "words"),
    [
        ("train", ("training", "seed"), None, "got None; this is the spec of published weights"),
        ("train", ("training", "objective"), "simple", "out_channels: got 2; simple training with"),
        (
            "train",
            ("training", "objective"),
            "cross_entropy",
            "objective: got cross_entropy for kind diffusion; cross_entropy is for classifiers",
        ),
        ("train", ("training", "learning_rate"), "1e-4", "write 1.0e-04 for the number"),
        ("train", ("training", "dataset", "dataset"), "cifar", "dataset: got 'cifar'; needed: dig"),
        ("train", ("architecture", "image_size_px"), 7, "image_size_px 7 1 times; the image must"),
        ("train", ("architecture", "head_channels"), 5, "head_channels 5 does not divide the 24"),
        (
            "train",
            ("architecture", "channel_mult"),
            [1, "2"],
            "channel_mult: 1: got '2' (str); Input",
        ),
        ("train", ("kind",), "gan", "kind: got 'gan'; needed: diffusion, upsampler, classifier"),
        ("train", ("kind",), "upsampler", "low_res_px is None for kind upsampler; an upsampler"),
        ("sample", ("sampler", "respacing"), "ddim", 'after "ddim" it needs a count'),
        ("sample", ("sampler", "guidance_scale"), 1.0, "guidance needs both, no guidance neither"),
        ("sample", ("sampler", "eta"), 1.5, "sampler: eta: got 1.5 (float); Input should be less"),
        ("sample", ("num_images",), 0, "num_images: got 0 (int); Input should be greater than 0"),
        ("sample", ("num_samples",), 1, "num_samples: unknown key; did you mean"),
        ("accuracy", ("dataset",), 3, "dataset: got 3; a mapping is needed"),
        ("accuracy", ("num_ranges",), True, "num_ranges: got True (bool); Input should be a val"),
        ("dataset", ("classes",), ["1"], "classes: 0: got '1' (str); Input should be a valid int"),
        ("dataset", ("place",), "A", "place: unknown key; the keys are: recipe, task, dataset"),
    ],
)
def test_settings_that_cannot_be(specs, refuse, command, path, value, words):
    spec = copy.deepcopy(specs[command])
    inner = spec
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert words in refuse(command, spec)


def test_several_mistakes_are_one_line(specs, refuse):
    spec = copy.deepcopy(specs["train"])
    spec["training"]["sede"] = spec["training"].pop("seed")
    line = refuse("train", spec)
    assert line.endswith(
        "spec.json: training: sede: unknown key; did you mean 'seed'?; training: seed: missing; "
        "write this key"
    )
    line = refuse("train", {**dict.fromkeys(spec), "kind": "diffusion"})
    assert line.count(" got None") == 3 and line.endswith("; and 2 more")


def test_guidance_needs_classes(plan):
    guided = next(one for one in plan.samples.values() if one.classifier).content()
    assert parse_spec(guided, "sample", "x").content() == guided
    with pytest.raises(UserError, match="num_classes: got None; a classifier guides to a class"):
        parse_spec({**guided, "num_classes": None}, "sample", "x")


@pytest.mark.parametrize("scale", ["digits", "paper", "cifar10"])
def test_every_spec_of_the_workflow_passes_as_it_is(scale, tmp_path):
    plan = load_plan({"scale": scale})
    planned = [
        *(("model", one) for one in plan.models.values()),
        *(("sample", one) for one in plan.samples.values()),
        *(("dataset", one) for one in plan.datasets.values()),
    ]
    assert len(planned) > 20
    for what, spec in planned:
        write_json(tmp_path / "spec.json", spec.content())
        read = load_spec(tmp_path / "spec.json", what)
        assert read == spec and type(read) is type(spec)
        assert canonical_json(read.content()) == canonical_json(spec.content())
        assert read.digest == spec.digest == spec_digest(spec.content())
        by_hand = parse_spec(write_whole_numbers(spec.content()), what, "by hand")
        assert by_hand.digest == spec.digest


def write_whole_numbers(tree):
    """What people write by hand: 1 where a fraction may stand, for 1.0."""
    if isinstance(tree, dict):
        return {key: write_whole_numbers(one) for key, one in tree.items()}
    if isinstance(tree, list):
        return [write_whole_numbers(one) for one in tree]
    return int(tree) if isinstance(tree, float) and tree.is_integer() else tree


@pytest.mark.parametrize(
    ("command", "part"), [("train", "architecture"), ("train", "training"), ("sample", "sampler")]
)
def test_a_size_that_no_machine_has_is_refused(specs, command, part):
    """A number in a header must not become an allocation, a loop or an overflow."""
    sizes = [key for key, one in specs[command][part].items() if type(one) is int]
    sizes = [key for key in sizes if not key.endswith(("seed", "iterations", "batch_size"))]
    assert sizes
    for key in sizes:
        for value in (10**12, 10**18):
            spec = copy.deepcopy(specs[command])
            spec[part][key] = value
            with pytest.raises(UserError, match=f"{part}: {key}: got {value} .*less than or equal"):
                parse_spec(spec, "model" if command == "train" else command, "x")


def test_widths_that_no_machine_has_are_refused(specs):
    for value in ([1e300], [1, 2.0] * 100):
        spec = copy.deepcopy(specs["train"])
        spec["architecture"]["channel_mult"] = value
        with pytest.raises(UserError, match="channel_mult"):
            parse_spec(spec, "model", "x")


def test_the_published_weights_specs_pass():
    models = load_plan({"scale": "paper", "source": "resample"}).models
    assert models
    for spec in models.values():
        assert parse_spec(spec.content(), "model", "x") == spec


def test_a_spec_that_was_changed_after_it_was_planned_is_refused(specs, folder, tmp_path, capsys):
    write_json(tmp_path / "spec.json", specs["train"])
    planned = ["--digest", "0123456789abcdef"]
    assert main([*arguments("train", folder, tmp_path / "spec.json"), *planned]) == 2
    words = f"{tmp_path}/spec.json: digest {spec_digest(specs['train'])[:12]}, but 0123456789ab was"
    assert f"{words} planned" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["removed", "misspelt", "of another type"])
def test_a_mistake_in_the_header_of_a_weights_file(specs, folder, tmp_path, capsys, change):
    tensors, texts = read_tensors(folder / "weights", "weights file")
    path, out = tmp_path / "bad.safetensors", tmp_path / "out.pt"
    for place in places(specs["train"]):
        if place[0] == "training" and place[1:] not in ((), ("schedule",), ("num_timesteps",)):
            continue  # of the rest older files may say less
        spec = canonical_json(changed(specs["train"], place, change))
        write_tensors(path, tensors, {**texts, "spec": spec})
        assert main(["export", str(path), "--out", str(out)]) == 3, place
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and not out.exists()
        assert place[-1] in error and "Traceback" not in error
    write_tensors(path, tensors, {**texts, "spec": "[]"})
    assert main(["draw", str(path), "--out", f"{tmp_path}/a.png"]) == 3
    assert f"{path}: model spec in its header" in capsys.readouterr().err


def test_what_a_header_says_of_a_training_of_old_is_kept(specs):
    """Weights made before a setting came, or after it went, are used as they are."""
    spec = copy.deepcopy(specs["train"])
    del spec["training"]["precision"]
    spec["training"]["warmup"] = 5
    header = parse_header(spec, "w.safetensors")
    assert header.content() == spec and header.digest == spec_digest(spec)
    for lines in ({"objective": "sum"}, {"schedule": "sqrt"}, {"num_timesteps": None}):
        with pytest.raises(UserError, match=r"^w\.safetensors: model spec in its header: training"):
            parse_header({**spec, "training": {**spec["training"], **lines}}, "w.safetensors")
