"""The paper's own scale: models, steps and budgets are the published ones; every table plans."""

import json
import time
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml

from adm.networks.model import make_network
from specs.row_facts import describe_row
from specs.tables import load_tables
from tests.workflow.conftest import ROOT, snakemake
from tests.workflow.test_snakefile import job_counts
from workflow.own_images import find_images, list_missing
from workflow.settings import load_plan

DATA = ROOT / "tests" / "data"
FACTS = yaml.safe_load((DATA / "paper_hyperparameters.yaml").read_text())
TABLES = yaml.safe_load((DATA / "paper_tables.yaml").read_text())
RELEASED = json.loads((DATA / "reference" / "state_dicts.json").read_text())["models"]
RAW = yaml.safe_load((ROOT / "params" / "scales" / "paper.yaml").read_text())
PLAN = load_plan({"scale": "paper"})

LSUN = ("lsun_bedroom", "lsun_horse", "lsun_horse_nodropout", "lsun_cat")
CHECKPOINTS = {
    "64x64_classifier": "classifier_64",
    "64x64_diffusion": "imagenet_64",
    "128x128_classifier": "classifier_128",
    "128x128_diffusion": "imagenet_128",
    "256x256_classifier": "classifier_256",
    "256x256_diffusion": "imagenet_256",
    "256x256_diffusion_uncond": "imagenet_256_uncond",
    "512x512_classifier": "classifier_512",
    "512x512_diffusion": "imagenet_512",
    "64_256_upsampler": "upsampler_64_256",
    "128_512_upsampler": "upsampler_128_512",
    **{name: name for name in LSUN},
}
PRINTED = {
    **dict.fromkeys(LSUN, FACTS["diffusion"]["lsun"]),
    **{name: facts for name, facts in FACTS["diffusion"].items() if name != "lsun"},
    "imagenet_64_nodropout": {**FACTS["diffusion"]["imagenet_64"], "dropout": 0.0},
    "lsun_horse_nodropout": {**FACTS["diffusion"]["lsun"], "dropout": 0.0},
    **{
        name.replace("imagenet", "classifier"): facts for name, facts in FACTS["classifier"].items()
    },
    "classifier_128_stack": {
        **FACTS["classifier"]["imagenet_128"],
        **FACTS["classifier"]["imagenet_128"]["for_the_128_to_512_stack"],
    },
    "upsampler_64_256": FACTS["upsampler"]["imagenet_64_to_256"],
    "upsampler_128_512": {
        **FACTS["upsampler"]["imagenet_128_to_512"],
        "attention_resolutions": [32, 16],  # the smallest map has 16 pixels
    },
}
ABLATIONS = [name for name in PLAN.models if name.startswith(("arch_", "attention_", "embedding"))]
KEYS = {
    "batch": "batch_size",
    "steps": "num_timesteps",
    "class_conditional": None,
    "size_m": None,
    "iterations": None,
    "note": None,
    "for_the_128_to_512_stack": None,
}


@cache
def make_shapes(name):
    with torch.device("meta"):
        model = make_network(PLAN.models[name].architecture)
    return {key: list(value.shape) for key, value in model.state_dict().items()}


def count_parameters(name):
    return sum(torch.Size(shape).numel() for shape in make_shapes(name).values())


@pytest.mark.parametrize(("checkpoint", "name"), CHECKPOINTS.items())
def test_names_and_shapes_are_those_of_the_released_checkpoint(checkpoint, name):
    released = RELEASED[checkpoint]
    assert list(make_shapes(name).items()) == list(released["state_dict"].items())
    assert count_parameters(name) == released["total_params"]


def test_every_released_checkpoint_has_a_model():
    assert set(CHECKPOINTS) == set(RELEASED)


@pytest.mark.parametrize("name", PRINTED)
def test_sizes_and_hyperparameters_are_the_printed_ones(name):
    facts, spec = PRINTED[name], PLAN.models[name]
    assert abs(count_parameters(name) / 1e6 - facts["size_m"]) < 1  # 552 is 552.81 cut short
    values = {**spec.architecture.content(), **spec.training.content()}
    for key, printed in facts.items():
        if (own := KEYS.get(key, key)) is not None:
            assert values[own] == printed, key
    if "class_conditional" in facts:
        assert (values["num_classes"] is not None) == facts["class_conditional"]
    iterations = facts["iterations"]
    if isinstance(iterations, dict):
        iterations = iterations[name.split("_")[1]]
    assert PLAN.marks[name][PLAN.last_mark(name)] == iterations
    assert PLAN.last_mark(name) == "final"
    if spec.kind == "classifier":
        assert values["anneal_iterations"] == iterations


@pytest.mark.parametrize("name", PLAN.models)
def test_what_all_models_share(name):
    spec = PLAN.models[name]
    training, architecture = spec.training, spec.architecture
    classifies = spec.kind == "classifier"
    assert training.ema_decay == (0.0 if classifies else FACTS["common"]["ema_decay"])
    assert training.precision == "fp16" and architecture.num_groups == 32
    assert training.augmentation.content() == {"flip": True, "random_crop": classifies}
    assert training.dataset.task == ("imagenet_whole" if classifies else spec.task)
    assert PLAN.training_data(name) == training.dataset.task
    if not classifies:
        assert training.weight_decay == 0.0 and training.objective == "hybrid"
        assert (architecture.qkv_order == "new") == (spec.task == "imagenet_64")


def test_ablations_take_what_is_not_printed_from_the_128_model():
    base = PLAN.models["imagenet_128"]
    for name in ABLATIONS:
        spec = PLAN.models[name]
        assert spec.training == base.training and spec.task == "imagenet_128"
        for key in ("channel_mult", "dropout", "num_classes"):
            assert getattr(spec.architecture, key) == getattr(base.architecture, key)
    assert len(ABLATIONS) == 15


def test_guidance_scales_and_steps_are_the_printed_ones():
    for row_id, row in PLAN.tables["table4"].rows.items():
        if row.model is None:
            continue
        lsun = row.task.startswith("lsun")
        steps = "ddim_25" if row_id.endswith("_25") else "steps_250"
        assert row.sampler.respacing == (
            "1000" if lsun else steps.replace("steps_", "").replace("_", "")
        )
        if row.sampler.classifier:
            assert row.sampler.guidance_scale == FACTS["guidance_scale"][steps][row.task]
    for row in PLAN.tables["table5"].rows.values():
        for half in [row, row.base] if row.base else [row]:
            if half.sampler.classifier:
                printed = FACTS["guidance_scale"]["steps_250"][half.task]
                assert half.sampler.guidance_scale == printed
    counts = {batch.num_samples for batch in PLAN.samples.values()}
    assert counts == {FACTS["evaluation"]["samples"]}
    assert PLAN.scale.evaluation.reference_images == 10_000
    assert PLAN.scale.network.sha256.startswith("009d6814d1bc560d")


def test_no_value_is_typed_that_is_inherited_anyway():
    for name, entry in RAW["models"].items():
        inherited = {}
        for layer in reversed(list(find_layers(RAW["models"], entry.get("extends")))):
            for key, value in layer.items():
                nested = isinstance(value, dict) and key in ("architecture", "training")
                inherited[key] = {**inherited.get(key, {}), **value} if nested else value
        for key, value in entry.items():
            if key in ("architecture", "training"):
                again = [one for one in value if inherited.get(key, {}).get(one, ...) == value[one]]
                assert not again, (name, key, again)
            elif key != "extends":
                assert inherited.get(key, ...) != value, (name, key)


def find_layers(models, name):
    while name is not None:
        yield models[name]
        name = models[name].get("extends")


def test_what_the_paper_does_not_print_is_marked():
    ablation = ["channel multiples", "learning rate", "dropout", "class conditioning"]
    for table in PLAN.tables.values():
        for row_id, row in table.rows.items():
            if row.model in ABLATIONS:
                assert row.assumed == ablation, row_id
            elif row.base and row.base.sampler.classifier:
                assert row.assumed[0] == "guidance scale of the base", row_id
            elif row.sampler is not None and row.sampler.classifier_mark:
                assert "learning rate of the classifier" in row.assumed[0], row_id
            elif row.model == "imagenet_256_uncond":
                exact = "exact iterations (2M are printed)"
                assert row.assumed == ["learning rate", "dropout", exact], row_id
            elif row.model == "imagenet_64_nodropout":
                assert row.assumed == ["learning rate", "iterations"], row_id
            else:
                assert row.assumed == [], row_id


def test_the_appendix_schedules_are_the_papers():
    sweep = PLAN.tables["lsun_schedules"].rows.values()
    assert [
        [describe_row(PLAN.scale, row)["section_steps"], row.published["final"]["fid"]]
        for row in sweep
    ] == TABLES["lsun_schedules"]["rows"]
    applied = PLAN.tables["lsun_schedules_applied"].rows.values()
    got = [[row.task, row.label, *row.published["final"].values()] for row in applied]
    assert got == TABLES["lsun_schedules_applied"]["rows"]
    cells = PLAN.cells
    for task in ("bedroom", "horse", "cat"):
        assert cells[f"t16_{task}_1000"] == cells[f"t4_{task}_adm_dropout"]
    assert cells["t16_bedroom_250_uniform"] == cells["t15_50_50_50_50_50"]
    assert cells["t16_bedroom_250_sweep"] == cells["t15_90_60_60_20_20"]


def test_the_rows_of_training_that_was_stopped_early_are_the_papers():
    for size in (128, 256):
        name = f"early_stopping_imagenet_{size}"
        got = [
            [describe_row(PLAN.scale, row)["iterations"], *row.published["final"].values()]
            for row in PLAN.tables[name].rows.values()
        ]
        assert got == TABLES[name]["rows"]
    printed = {tuple(row[5:]) for row in TABLES["compute"]["rows"]}
    rows = PLAN.tables["compute"].rows
    assert len(rows) == 5
    assert all(tuple(row.published["final"].values()) in printed for row in rows.values())
    spec = PLAN.drawn("c10_256_750K_150K")
    assert (spec.model.iteration, spec.classifier.iteration) == (750_000, 150_000)
    base = PLAN.drawn("c10_256_200K_150K-base")
    assert (base.model.iteration, base.classifier.iteration) == (200_000, 300_000)
    assert PLAN.drawn("c10_256_200K_150K").model.iteration == 150_000
    assert PLAN.cells["es256_1980K"] == PLAN.cells["t3_cond_guided_1"]


def test_tables_of_the_appendix_are_computed_where_they_say():
    tables = load_tables(ROOT / "params" / "tables.yaml")
    for plan in (load_plan({}), PLAN):
        name = plan.scale.name
        assert set(plan.tables) == {
            key for key, table in tables.items() if table.scales is None or name in table.scales
        }


def test_stacks_stand_on_the_models_of_table_4():
    assert "imagenet_128_base" not in PLAN.models and "imagenet_128_base" not in PLAN.datasets
    assert PLAN.drawn("t5_512_adm_admu").low_res.name == PLAN.cells["t4_128_adm"]
    assert PLAN.drawn("t5_256_adm_admu").low_res.name == PLAN.cells["t4_64_adm_dropout"]
    base = PLAN.drawn("t5_512_admg_admu-base")
    assert base.model.name == "imagenet_128"
    assert base.classifier.name == "classifier_128_stack"


def test_own_images_are_described_without_where_they_are(monkeypatch, tmp_path):
    spec = PLAN.datasets["imagenet_64"]
    assert spec.content() == {
        "recipe": 1,
        "task": "imagenet_64",
        "dataset": "imagenet",
        "place": "ADM_IMAGENET",
        "crop": "centre",
        "image_size_px": 64,
        "image_channels": 3,
        "classes": None,
        "num_classes": 1000,
        "skip_broken": False,
    }
    whole = PLAN.datasets["imagenet_whole"]
    assert (whole.image_size_px, whole.crop) == (None, "none")
    assert PLAN.datasets["lsun_cat_256"].crop == "centre_box"
    monkeypatch.setenv("ADM_IMAGENET", str(tmp_path))
    assert load_plan({"scale": "paper"}).datasets == PLAN.datasets
    assert find_images(PLAN, "ADM_IMAGENET") == tmp_path
    missing = list_missing(PLAN, ["imagenet_64", "imagenet_128", "lsun_cat_256"])
    assert len(missing) == 1
    assert missing[0].startswith("ADM_LSUN_CAT: no file or folder at data/cat_train_lmdb")


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        pytest.param(
            "reproduce_table1", {"train": 14, "sample": 14, "evaluate": 14}, marks=pytest.mark.slow
        ),
        pytest.param(
            "reproduce_table3", {"train": 9, "sample": 6, "evaluate": 6}, marks=pytest.mark.slow
        ),
        ("reproduce_table4", {"train": 24, "sample": 15, "evaluate": 15, "accuracy": 3}),
        pytest.param(
            "reproduce_table5", {"train": 24, "sample": 12, "evaluate": 8}, marks=pytest.mark.slow
        ),
        pytest.param(
            "reproduce_lsun_steps", {"train": 3, "sample": 9, "evaluate": 9}, marks=pytest.mark.slow
        ),
        ("reproduce_all", {"train": 53, "sample": 76, "evaluate": 72, "table": 11}),
    ],
)
def test_a_dry_run_needs_neither_data_nor_time(tmp_path, target, counts):
    started = time.monotonic()
    process = snakemake(
        ROOT, "--dry-run", "--quiet", "rules",
        "--config", "scale=paper", f"results={tmp_path}", "--", target,
        ADM_IMAGENET="",
    )  # fmt: skip
    got = job_counts(process)
    assert time.monotonic() - started < 15
    assert {name: got.get(name, 0) for name in counts} == counts
    images = "ADM_LSUN_CAT" if "lsun" in target else "ADM_IMAGENET"
    said = f"own images are missing: {images}: no file or folder at data/"
    assert process.stderr.count(said) == 1


def test_a_real_run_says_what_is_missing_before_its_first_job(tmp_path):
    process = snakemake(
        ROOT, "--config", "scale=paper", f"results={tmp_path}", "--",
        f"{tmp_path}/paper/data/lsun_cat_256.zip",
        ADM_LSUN_CAT=str(tmp_path / "nowhere"),
    )  # fmt: skip
    output = process.stdout + process.stderr
    assert process.returncode != 0 and "Traceback" not in output
    assert f"ADM_LSUN_CAT: no file or folder at {tmp_path}/nowhere (for lsun_cat_256)" in output
    assert "set ADM_LSUN_CAT=/path/to/the/images" in output
    assert list(Path(tmp_path).rglob("*.zip")) == []
