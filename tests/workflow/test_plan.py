"""What the plan makes out of tables and a scale."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from records.errors import UserError
from records.files import digest
from specs.page import WantedFile, WantedMetrics
from workflow.settings import load_plan
from workflow.table_spec import list_samples, make_table_spec, seed_variants

DIGITS = Path(__file__).resolve().parents[2] / "params" / "scales" / "digits.yaml"


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


def test_rows_with_equal_specs_share_samples(plan):
    assert plan.cells["t4_256_adm"] == plan.cells["t5_256_adm"] == "t3_cond"
    assert plan.cells["t5_256_admg"] == "t3_cond_guided_1"
    assert plan.cells["t6_adagn"] == "t2_head_channels_64"
    assert plan.drawn("t5_256_adm_admu").low_res.name == "t4_64_adm_dropout"
    digests = [spec.digest for spec in plan.samples.values()]
    assert len(set(digests)) == len(digests)


def test_rows_with_several_marks_and_seeds_have_a_cell_for_each(plan):
    names = [name for name in plan.cells if name.startswith("t1_baseline")]
    assert names == [
        "t1_baseline-700K",
        "t1_baseline-700K-seed1",
        "t1_baseline-700K-seed2",
        "t1_baseline-1200K",
        "t1_baseline-1200K-seed1",
        "t1_baseline-1200K-seed2",
    ]
    assert plan.previous_mark("arch_baseline", "1200K") == "700K"
    assert plan.previous_mark("arch_baseline", "700K") is None


def test_every_model_of_a_claim_has_the_same_three_seeds(plan):
    for table in plan.tables.values():
        for claim in table.claims.values():
            for one in claim.comparisons:
                rows = [row for row in (one.left, one.right, one.towards) if row is not None]
                if any(row in plan.absent for row in rows):
                    continue
                cells = [seed_variants(plan, table, row, one.mark) for row in rows]
                assert all([*cell] == [0, 1, 2] for cell in cells), rows
    assert seed_variants(plan, plan.tables["table1"], "t1_heads", "1200K") == {
        0: "t1_heads-1200K",
        1: "t1_heads-1200K-seed1",
        2: "t1_heads-1200K-seed2",
    }
    assert len(list_samples(plan, plan.tables["table1"])) == 7 * 2 * 3


def test_networks_of_one_seed_draw_together_and_with_other_noise(plan):
    guided = plan.drawn("t3_cond_guided_1-seed2")
    assert guided.classifier is not None
    assert (guided.model.name, guided.classifier.name) == (
        "imagenet_256-seed2",
        "classifier_256-seed2",
    )
    assert (plan.drawn("t3_cond_guided_1").seed, guided.seed) == (0, 2)
    stack = plan.drawn("t5_256_adm_admu-seed1")
    assert stack.low_res is not None
    base = plan.drawn(stack.low_res.name)
    assert (base.model.name, base.seed, stack.seed) == ("imagenet_64-seed1", 1, 1)


def test_floors_of_the_embedded_scale(plan):
    assert all(spec.num_samples >= 500 for spec in plan.samples.values())
    for row in [*plan.tables["table1"].rows.values(), *plan.tables["table2"].rows.values()]:
        assert max(plan.scale.models[row.model].marks.values()) >= 300


def test_cells_of_one_claim_have_the_same_number_of_samples(plan):
    for table in plan.tables.values():
        for claim_id, claim in table.claims.items():
            tasks = {
                table.rows[row_id].task
                for one in claim.comparisons
                for row_id in (one.left, one.right, one.towards)
                if row_id is not None
            }
            assert len({plan.scale.tasks[task].num_samples for task in tasks}) == 1, claim_id


def test_marks_are_not_part_of_a_models_digest(plan, tmp_path):
    text = DIGITS.read_text()
    path = tmp_path / "digits.yaml"
    path.write_text(text.replace("marks: {250K: 152,", "marks: {early: 600, 250K: 152,"))
    other = load_plan({"scale": str(path)})
    assert other.scale.models["imagenet_256"].marks["early"] == 600
    assert other.marks == plan.marks  # no sample needs it
    assert other.models == plan.models
    assert {k: v.digest for k, v in other.samples.items()} == {
        k: v.digest for k, v in plan.samples.items()
    }


def test_a_model_that_changes_changes_everything_that_hangs_on_it(plan, tmp_path):
    text = DIGITS.read_text()
    path = tmp_path / "digits.yaml"
    path.write_text(
        text.replace("recipe: 1\n    task: imagenet_256", "recipe: 2\n    task: imagenet_256")
    )
    other = load_plan({"scale": str(path)})
    changed = {name for name in plan.models if plan.models[name] != other.models[name]}
    classifiers = ("256", "128", "512", "64", "128_stack")
    seeds = ("", "-seed1", "-seed2")
    assert changed == {f"classifier_{one}{seed}" for one in classifiers for seed in seeds}
    hang = {name for name in plan.samples if plan.metric_spec(name) != other.metric_spec(name)}
    assert "t3_cond_guided_1" in hang and "t3_cond" not in hang


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_precision_of_sampling_is_in_a_spec_where_it_is_not_float32(plan, tmp_path, precision):
    scale = yaml.safe_load(DIGITS.read_text())
    scale["sampling"]["precision"] = precision
    path = tmp_path / "digits.yaml"
    path.write_text(yaml.safe_dump(scale, sort_keys=False))
    other = load_plan({"scale": str(path)})
    for name, spec in plan.samples.items():
        found = other.samples[name]
        assert found.sampler.precision == precision
        assert (found.digest == spec.digest) == (precision == "float32")
        assert ("precision" in found.content()["sampler"]) == (precision != "float32")


def skip_broken(tmp_path, value, *names):
    """The path of the paper's scale with another word on broken images in some tasks."""
    scale = yaml.safe_load(DIGITS.with_name("paper.yaml").read_text())
    for name in names:
        scale["tasks"][name]["skip_broken"] = value
    path = tmp_path / "paper.yaml"
    path.write_text(yaml.safe_dump(scale, sort_keys=False))
    return {"scale": str(path)}


def test_leaving_out_broken_images_makes_other_image_sets(tmp_path):
    paper = load_plan({"scale": "paper"})
    sizes = [f"imagenet_{size}" for size in (64, 128, 256, 512)]
    other = load_plan(skip_broken(tmp_path, True, *sizes))
    changed = {name for name in paper.datasets if paper.datasets[name] != other.datasets[name]}
    assert changed == {*sizes, "imagenet_whole"}
    assert all(other.datasets[name].skip_broken is True for name in changed)
    for model in paper.models:
        hangs_on_it = paper.training_data(model) in changed
        assert (paper.models[model] != other.models[model]) == hangs_on_it


@pytest.mark.parametrize(
    ("value", "names", "words"),
    [
        (
            True,
            ["imagenet_64"],
            "imagenet_64: skip_broken: got True; imagenet_128 has False, and bo",
        ),
        ("yes", ["lsun_cat_256"], r"lsun_cat_256: skip_broken: got 'yes' \(str\)"),
        (1, ["lsun_cat_256"], r"lsun_cat_256: skip_broken: got 1 \(int\)"),
    ],
)
def test_broken_images_are_left_out_by_a_clear_word_alone(tmp_path, value, names, words):
    with pytest.raises(UserError, match=words):
        load_plan(skip_broken(tmp_path, value, *names))


def test_table_specs_name_rows_cells_and_claims(plan):
    spec = make_table_spec(plan, "table5")
    rows = {row.id: row for row in spec.rows}
    cell = rows["t5_256_adm"].cells["final"]
    assert cell.shared_with == "t3_cond"
    assert cell.metrics == WantedMetrics(
        path="results/digits/retrain/metrics/t3_cond.json",
        digest=digest(plan.metric_spec("t3_cond")),
        samples=plan.samples["t3_cond"].digest,
    )
    assert cell.samples == WantedFile(
        path="results/digits/retrain/samples/t3_cond/samples.npz",
        digest=plan.samples["t3_cond"].digest,
    )
    assert spec.ceilings["imagenet_256"].digest == digest(plan.reference_spec("imagenet_256"))
    assert rows["t5_256_admg_admu"].recipe_words["base_guidance_scale"] == 1.0
    claims = {claim.id: claim for claim in spec.claims}
    assert claims["t5_256_guidance_lowers_recall"].comparisons[0].trained_models_differ is False
    assert claims["t5_256_both_best"].comparisons[0].trained_models_differ is True
    baselines = [row for row in make_table_spec(plan, "table4").rows if row.kind == "baseline"]
    assert len(baselines) == 20 and all(row.reason for row in baselines)


def test_a_page_with_a_name_that_no_file_can_have_is_refused(plan):
    tables = {**plan.tables, "a b": plan.tables["table3"]}
    with pytest.raises(UserError, match=r"^page of a b: table: name: got 'a b'"):
        make_table_spec(replace(plan, tables=tables), "a b")


def test_the_metric_spec_says_what_eval_does(plan):
    from eval.grade import RECIPE
    from eval.metrics.inception_score import SPLIT_SIZE
    from eval.metrics.precision_recall import NUM_NEIGHBOURS

    spec = plan.metric_spec("t3_cond")
    assert spec["k"] == NUM_NEIGHBOURS
    assert spec["inception_split_size"] == SPLIT_SIZE
    assert spec["recipe"] == RECIPE


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"scal": "digits"}, "unknown key scal; the keys are scale, source, results, tables"),
        ({"scale": "digit"}, "needed: one of cifar10, decide, digits, paper"),
        ({"source": "guess"}, "source: got 'guess'"),
        ({"scale": "nowhere.yaml"}, "nowhere.yaml: no such file"),
    ],
)
def test_bad_settings(config, words):
    with pytest.raises(UserError, match=words):
        load_plan(config)


def test_an_experiment_draws_under_names_of_its_own(plan, tmp_path):
    run = {"scale": "digits", "source": "retrain"}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({**run, "overrides": {"t3_cond": {"respacing": "10"}}}))
    changed = load_plan({"overrides": str(path)})
    moved = {cell: name for cell, name in changed.cells.items() if name != plan.cells[cell]}
    digest_of = {cell: changed.samples[name].digest for cell, name in moved.items()}
    assert moved == {cell: f"{cell}-{one[:8]}" for cell, one in digest_of.items()}
    alike = {key for one in plan.figures.values() for key, row in one.rows.items()
             if row.like == "t3_cond"}  # fmt: skip
    assert alike and {cell.partition("-")[0] for cell in moved} == {"t3_cond", *alike}
    # Rows of other tables that shared the batch go on using it.
    assert changed.cells["t4_256_adm"] == "t3_cond"
    assert changed.samples["t3_cond"] == plan.samples["t3_cond"]


def test_an_override_that_changes_nothing_draws_nothing(plan, tmp_path):
    run = {"scale": "digits", "source": "retrain"}
    path = tmp_path / "run.yaml"
    sampler = {"guidance_scale": plan.drawn("t3_cond_guided_1").sampler.guidance_scale}
    path.write_text(yaml.safe_dump({**run, "overrides": {"t3_cond_guided_1": sampler}}))
    assert load_plan({"overrides": str(path)}).samples == plan.samples


def test_a_file_without_overrides_is_none(plan):
    assert load_plan({"overrides": "params/run.yaml"}).settings == plan.settings
