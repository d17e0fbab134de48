"""The tasks of a scale and the specs of their images: what is refused, and what is made."""

import pytest

from specs.datasets import NAME, DigitsSpec, OwnImagesSpec, make_dataset_specs, name_held_out
from specs.scale import load_scale, make_model_spec
from tests.specs.scale_case import change_scale, load_shipped, on, refuse_scale


@pytest.mark.parametrize(
    ("scale", "change", "words"),
    [
        (
            "paper",
            on("tasks", "imagenet_64", dataset="imagnet"),
            "tasks: imagenet_64: dataset: got 'imagnet'; needed: digits, imagenet, lsun, images",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", dataset=["lsun"]),
            "tasks: imagenet_64: dataset: got ['lsun']; needed: digits, imagenet, lsun, images",
        ),
        (
            "digits",
            on("tasks", other={}),
            "tasks: other: dataset: missing; needed: digits, imagenet, lsun, images",
        ),
        ("paper", on("tasks", imagenet_64=3), "tasks: imagenet_64: got 3; a mapping is needed"),
        ("paper", on(tasks=[]), "tasks: got []; a mapping of names is needed"),
        (
            "paper",
            lambda content: content["tasks"].update({7: {}}),
            "paper.yaml: tasks: got the name 7; take letters, digits and _",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", place="ADM_IMAGNET"),
            "tasks: imagenet_64: place: no place 'ADM_IMAGNET'; did you mean 'ADM_IMAGENET'?",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", crops="centre"),
            "tasks: imagenet_64: crops: unknown key; did you mean 'crop'?",
        ),
        (
            "digits",
            on("tasks", "imagenet_64", place="ADM_X"),
            "tasks: imagenet_64: place: unknown key; the keys are: words, image_size_px",
        ),
        (
            "digits",
            on("tasks", "imagenet_64", num_images=1000),
            "tasks: imagenet_64: num_images: unknown key; did you mean 'num_samples'?",
        ),
        (
            "paper",
            on("places", adm_images="x"),
            "paper.yaml: places: got the name 'adm_images' (str); String should match pattern",
        ),
        (
            "paper",
            on("tasks", "lsun_cat_256", num_classes=10),
            "tasks: lsun_cat_256: classes None and num_classes 10; an lmdb of LSUN holds one "
            "category without labels: write null for both",
        ),
        (
            "paper",
            on("tasks", "lsun_cat_256", classes=["cat"]),
            "holds one category without labels: write null for both",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", image_channels=2),
            "tasks: imagenet_64: image_channels: got 2 (int); Input should be 1 or 3",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", image_channels="3"),
            "image_channels: got '3' (str); Input should be 1 or 3; this is read as text: write 3",
        ),
        (
            "cifar10",
            on("tasks", "lsun_cat_256", classes=["cat", "cat"]),
            "classes: got ['cat', 'cat']; needed: different names, or null for all",
        ),
        ("cifar10", on("tasks", "lsun_cat_256", classes=[]), "classes: got []; needed: different"),
        (
            "cifar10",
            on("tasks", "lsun_cat_256", num_classes=4),
            "num_classes 4 for the classes ['cat']; write their number, or null",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", whole="imagenet_128"),
            "whole: got 'imagenet_128'; the whole images need a name",
        ),
        ("paper", on("tasks", "imagenet_64", whole="a b"), "whole: got 'a b'; the whole images"),
        (
            "paper",
            on("tasks", "imagenet_64", classes=["n01440764"], num_classes=1),
            "has the same 'imagenet_whole' with another classes, num_classes; give each its own",
        ),
        (
            "paper",
            on("tasks", "imagenet_128", skip_broken=True),
            "skip_broken: got False; imagenet_128 has True, and both are made from ADM_IMAGENET: "
            "write the same for both",
        ),
        ("digits", on("tasks", "imagenet_64", image_size_px=5), "the digits come with 8 or 4 px"),
        (
            "digits",
            on("tasks", "imagenet_64", image_channels=3),
            "4 px and 3 channels; the digits come with 8 or 4 px and 1 channel",
        ),
        ("digits", on("tasks", "imagenet_64", classes=[1, 11]), "different digits from 0 to 9"),
        ("digits", on("tasks", "imagenet_64", classes=[1, 1]), "different digits from 0 to 9"),
        ("digits", on("tasks", "imagenet_64", classes=[]), "different digits from 0 to 9"),
        ("digits", on("tasks", "imagenet_64", num_classes=9), "num_classes: got 9 for the digits"),
        (
            "digits",
            on("tasks", "lsun_cat_256", num_classes=1),
            "or null for a single one, which has no labels",
        ),
        (
            "digits",
            on("tasks", "imagenet_64", num_samples=0),
            "tasks: imagenet_64: num_samples: got 0 (int); Input should be greater than 0",
        ),
        (
            "digits",
            on("tasks", "imagenet_128", held_out=0),
            "tasks: imagenet_128: held_out: got 0 (int); Input should be greater than 0",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", held_out=1000),
            "has the same 'imagenet_whole' with another held_out; give each its own",
        ),
    ],
)
def test_bad_tasks(tmp_path, scale, change, words):
    message = refuse_scale(tmp_path, scale, change)
    assert f"{scale}.yaml: " in message and words in message


def test_a_task_may_be_called_as_a_kind_of_images(tmp_path):
    def change(content):
        content["tasks"]["digits"] = {**content["tasks"]["imagenet_64"], "flipp": 1}

    message = refuse_scale(tmp_path, "digits", change)
    assert message.endswith("tasks: digits: flipp: unknown key; did you mean 'flip'?")


def test_several_mistakes_are_a_line_each(tmp_path):
    def change(content):
        content["tasks"]["imagenet_64"].update(flip=3, dataset="digit")
        content["tasks"]["imagenet_128"].update(flip="yes", image_size_px=None)

    lines = refuse_scale(tmp_path, "digits", change).splitlines()
    assert [line.partition("digits.yaml: tasks: ")[2].rpartition(": got")[0] for line in lines] == [
        "imagenet_64: dataset",
        "imagenet_128: image_size_px",
        "imagenet_128: flip",
    ]


def test_a_spec_of_digits_holds_what_decides_the_images():
    task = load_shipped("digits").tasks["imagenet_64"]
    assert make_dataset_specs("x", task) == {
        "x": DigitsSpec(
            recipe=1,
            task="x",
            dataset="digits",
            image_size_px=4,
            image_channels=1,
            classes=None,
            num_classes=10,
        )
    }


def test_whole_images_are_a_set_of_their_own(tmp_path):
    path = change_scale(tmp_path, "paper", on("tasks", "imagenet_64", whole="big"))
    specs = make_dataset_specs("small", load_scale(path).tasks["imagenet_64"])
    assert all(isinstance(one, OwnImagesSpec) for one in specs.values())
    small, big = (specs[name].content() for name in ("small", "big"))
    changed = {"task": "big", "image_size_px": None, "crop": "none"}
    assert big == {**small, **changed} and big != small
    assert small["crop"] == "centre"


def test_held_out_images_are_a_set_of_their_own(tmp_path):
    change = on("tasks", "imagenet_64", whole="big", held_out=500)
    task = load_scale(change_scale(tmp_path, "paper", change)).tasks["imagenet_64"]
    specs = {name: one.content() for name, one in make_dataset_specs("small", task).items()}
    assert list(specs) == ["small", "big", "small-held_out"]
    parts = {name: (one.pop("held_out"), one.pop("part")) for name, one in specs.items()}
    assert parts == {
        "small": (500, "training"),
        "big": (500, "training"),
        "small-held_out": (500, "held_out"),
    }
    assert specs["small-held_out"] == {**specs["small"], "task": "small-held_out"}
    plain = load_shipped("paper").tasks["imagenet_64"].model_copy(update={"whole": "big"})
    without = {name: one.content() for name, one in make_dataset_specs("small", plain).items()}
    del specs["small-held_out"]
    assert without == specs


def test_no_task_can_have_the_name_of_held_out_images():
    assert NAME.fullmatch(name_held_out("imagenet_64")) is None


def test_grey_images_of_ones_own_decide_the_network(tmp_path):
    path = change_scale(tmp_path, "paper", on("tasks", "lsun_cat_256", image_channels=1))
    scale = load_scale(path)
    spec = make_model_spec(scale, "cat", scale.models["lsun_cat"], 0)
    assert (spec.architecture.in_channels, spec.architecture.out_channels) == (1, 2)
    assert spec.training.dataset.image_channels == 1
