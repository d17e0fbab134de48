"""What the checks of a scale refuse beyond types: image sets, trainings, stacks and names."""

from pathlib import Path

import pytest
import yaml

from records.errors import UserError
from specs.checks import check_scale, check_tables
from specs.config import load_scale, load_tables
from workflow.plan import make_plan, tables_at

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "params" / "tables.yaml"


def refuse(tmp_path, scale_name, change):
    content = yaml.safe_load((ROOT / "params" / "scales" / f"{scale_name}.yaml").read_text())
    change(content)
    path = tmp_path / f"{scale_name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(UserError) as error:
        scale = load_scale(path)
        check_scale(str(path), scale)
        check_tables(str(TABLES), tables_at(load_tables(TABLES), scale), scale)
    return str(error.value)


def on(*keys, **values):
    """Make a change that updates the mapping under some keys."""

    def change(content):
        for key in keys:
            content = content[key]
        content.update(values)

    return change


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
            on("tasks", "imagenet_64", place="ADM_IMAGNET"),
            "place: no place 'ADM_IMAGNET'; did you mean 'ADM_IMAGENET'?",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", crops="centre"),
            "crops: unknown key; did you mean 'crop'?",
        ),
        (
            "digits",
            on("tasks", "imagenet_64", place="ADM_X"),
            "tasks: imagenet_64: place: unknown key; the keys are: words, image_size_px",
        ),
        (
            "paper",
            on("tasks", imagenet_64=3),
            "tasks: imagenet_64: got 3; a mapping is needed",
        ),
        ("paper", on(tasks=[]), "tasks: got []; a mapping of names is needed"),
        (
            "paper",
            on("places", adm_images="x"),
            "places: adm_images: [key]: got 'adm_images'",
        ),
        (
            "paper",
            on("tasks", "lsun_cat_256", num_classes=10),
            "holds one category without labels: write null for both",
        ),
        (
            "paper",
            on("tasks", "imagenet_64", image_channels=1),
            "your own images are stored with 3",
        ),
        (
            "cifar10",
            on("tasks", "lsun_cat_256", classes=["cat", "cat"]),
            "classes: got ['cat', 'cat']; needed: different names",
        ),
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
        (
            "paper",
            on("tasks", "imagenet_64", classes=["n01440764"], num_classes=1),
            "has the same 'imagenet_whole' with another classes, num_classes; give each its own",
        ),
        ("digits", on("tasks", "imagenet_64", image_size_px=5), "the digits come with 8 or 4 px"),
        ("digits", on("tasks", "imagenet_64", classes=[1, 11]), "different digits from 0 to 9"),
        ("digits", on("tasks", "imagenet_64", num_classes=9), "num_classes: got 9 for the digits"),
        ("digits", on("tasks", other={}), "tasks: other: dataset: got None; needed: digits"),
    ],
)
def test_bad_tasks(tmp_path, scale, change, words):
    message = refuse(tmp_path, scale, change)
    assert f"{scale}.yaml: " in message and words in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            on("models", "classifier_256", "training", objective="hybrid"),
            "classifier_256: training: objective: got hybrid for a classifier",
        ),
        (
            on("models", "arch_baseline", "training", objective="cross_entropy"),
            "objective: got cross_entropy for a diffusion",
        ),
        (
            on("models", "arch_baseline", "training", schedule="linear", num_timesteps=10),
            "training: num_timesteps is 10, but the linear schedule needs at least 20",
        ),
        (
            on("models", "classifier_256", "architecture", heads=4, head_channels=None),
            "architecture: head_channels: got null; pool attention needs it, not heads",
        ),
        (
            on("models", "arch_baseline", marks={"700K": 5, "1200K": 5}),
            "two marks at one iteration",
        ),
        (on("models", "arch_baseline", marks={"700_K": 5}), "named by letters and digits"),
        (on("models", "arch_baseline", seeds=[0, 0]), "seeds: got [0, 0]; each seed is written"),
        (
            on("models", "upsampler_64_256", low_res_task="imagenet_256"),
            "the smaller size must divide the larger",
        ),
        (
            on("models", "upsampler_64_256", low_res_task="imagenet_65"),
            "low_res_task: no task 'imagenet_65'; did you mean",
        ),
        (
            on("models", **{"bad name": {"extends": "arch_all"}}),
            "models: got the name 'bad name'; take letters, digits and _",
        ),
        (
            on(same_as={"tasks": {"imagenet_64": "imagenet_64"}, "models": {}}),
            "same_as: tasks: imagenet_64: the scale has imagenet_64 itself; remove one",
        ),
        (on(same_as={"tasks": {}, "models": {"x": "lsun_ca"}}), "did you mean 'lsun_cat'?"),
        (on("evaluation", metrics=["fid"]), "are not among evaluation: metrics of scale digits"),
        (
            on("models", "imagenet_256_uncond", task="imagenet_64", architecture={
                "channel_mult": [1, 2], "attention_resolutions": [4, 2]}),
            "task imagenet_256 has image_size_px 8; imagenet_256_uncond is trained on imagenet_64",
        ),
        (
            on("models", "classifier_256", "training", num_timesteps=500),
            "cosine noise of 500 timesteps, imagenet_256_uncond 8 px",
        ),
    ],
)  # fmt: skip
def test_bad_models(tmp_path, change, words):
    assert words in refuse(tmp_path, "digits", change)


def test_classes_of_a_stack_and_of_its_guide_agree(tmp_path):
    def fewer(*tasks):
        def change(content):
            for task in tasks:
                content["tasks"][task].update(classes=["cat", "dog"], num_classes=2, whole=None)

        return change

    message = refuse(tmp_path, "cifar10", fewer("imagenet_64"))
    assert "base imagenet_64: 2 classes, imagenet_256 10" in message
    content = on("models", "classifier_256", task="imagenet_512")

    def change(scale):
        fewer("imagenet_512")(scale)
        content(scale)

    message = refuse(tmp_path, "cifar10", change)
    assert "classifier_256 tells 2 classes apart, task imagenet_256 has 10" in message


def test_a_name_may_stand_for_another(tmp_path):
    scale = yaml.safe_load((ROOT / "params" / "scales" / "paper.yaml").read_text())
    tables = yaml.safe_load(TABLES.read_text())
    plan = make_plan(
        tables_path=TABLES,
        scale_path=ROOT / "params" / "scales" / "paper.yaml",
        source="retrain",
        results=str(tmp_path),
    )
    written = tables["table5"]["rows"]["t5_512_admg_admu"]["base"]
    assert written["model"] in scale["same_as"]["models"]
    row = plan.tables["table5"].rows["t5_512_admg_admu"]
    assert (row.base.task, row.base.model) == ("imagenet_128", "imagenet_128")
    assert row.base.sampler.classifier == "classifier_128_stack"
