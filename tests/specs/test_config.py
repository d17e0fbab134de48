"""Strict reading of params/*.yaml: every mistake is one clear message."""

from pathlib import Path

import pytest
import yaml

from records.errors import UserError
from specs.checks import check_scale, check_tables
from specs.config import load_scale, load_tables
from specs.strict import read_yaml
from workflow.plan import tables_at

ROOT = Path(__file__).resolve().parents[2]
TABLES = ROOT / "params" / "tables.yaml"
SCALES = sorted((ROOT / "params" / "scales").glob("*.yaml"))


def changed(tmp_path, source, change):
    content = yaml.safe_load(source.read_text())
    change(content)
    path = tmp_path / source.name
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def broken_scale(tmp_path, change):
    path = changed(tmp_path, ROOT / "params" / "scales" / "digits.yaml", change)
    with pytest.raises(UserError) as error:
        scale = load_scale(path)
        check_scale(str(path), scale)
        check_tables(str(TABLES), tables_at(load_tables(TABLES), scale), scale)
    return str(error.value)


def broken_tables(tmp_path, change):
    path = changed(tmp_path, TABLES, change)
    with pytest.raises(UserError) as error:
        scale = load_scale(ROOT / "params" / "scales" / "digits.yaml")
        check_tables(str(path), tables_at(load_tables(path), scale), scale)
    return str(error.value)


@pytest.mark.parametrize("path", SCALES, ids=lambda path: path.stem)
def test_shipped_scales_fit_the_shipped_tables(path):
    scale = load_scale(path)
    check_scale(str(path), scale)
    check_tables(str(TABLES), tables_at(load_tables(TABLES), scale), scale)
    assert scale.name == path.stem


def test_the_three_scales_are_shipped():
    assert [path.stem for path in SCALES] == ["cifar10", "digits", "paper"]


@pytest.mark.parametrize("path", [TABLES, *SCALES], ids=lambda path: path.stem)
def test_snakemake_dvc_and_we_read_the_same(path):
    from dvc.utils.serialize import load_yaml
    from snakemake.common.configfile import load_configfile

    ours = read_yaml(path)
    assert load_yaml(str(path)) == ours
    assert load_configfile(str(path)) == ours


def test_published_numbers_are_the_papers():
    facts = yaml.safe_load((ROOT / "tests" / "data" / "paper_tables.yaml").read_text())
    tables = load_tables(TABLES)
    for name in ("table1", "table2", "table3", "table6"):
        got = [
            [value for values in row.published.values() for value in values.values()]
            for row in tables[name].rows.values()
        ]
        count = len(got[0])
        assert got == [row[-count:] for row in facts[name]["rows"]]
    for name in ("table4", "table5"):
        got_by_task = {}
        for row in tables[name].rows.values():
            values = list(row.published["final"].values())
            got_by_task.setdefault(row.task, []).append([row.label, *values])
        for task, rows in facts[name]["tasks"].items():
            width = len(got_by_task[task][0])
            assert got_by_task[task] == [row[:width] for row in rows]
    for name, table in tables.items():
        numbers = (facts[name].get("neurips"), facts[name]["arxiv_v4"])
        assert (table.neurips, table.arxiv_v4) == numbers


def cell(table, row_id, comparison):
    row = table.rows[row_id]
    value = row.published[comparison.mark][comparison.metric]
    first = next(iter(table.rows.values()))
    if table.layout == "deltas" and row is not first:
        value += first.published[comparison.mark][comparison.metric]
    return value


def test_every_claim_holds_for_the_published_numbers():
    for table in load_tables(TABLES).values():
        for claim_id, claim in table.claims.items():
            for one in claim.comparisons:
                left, right = (cell(table, row, one) for row in (one.left, one.right))
                if one.relation == "less":
                    holds = left < one.factor * right + one.margin
                elif one.relation == "greater":
                    holds = left > one.factor * right - one.margin
                else:
                    towards = cell(table, one.towards, one)
                    holds = abs(left - towards) < one.factor * abs(right - towards)
                assert holds, (claim_id, left, right)


def test_misspelt_key_in_the_tables(tmp_path):
    def change(content):
        row = content["table3"]["rows"]["t3_uncond"]
        row["sampler"]["respacin"] = row["sampler"].pop("respacing")

    message = broken_tables(tmp_path, change)
    assert "tables.yaml: table3: rows: t3_uncond: sampler: respacin" in message
    assert "did you mean 'respacing'?" in message
    assert "respacing: missing" in message


def test_wrong_type_says_what_was_got(tmp_path):
    def change(content):
        content["models"]["imagenet_256"]["training"] = {"learning_rate": "1e-4"}

    message = broken_scale(tmp_path, change)
    assert "digits.yaml: models: imagenet_256: training: learning_rate" in message
    assert "got '1e-4' (str)" in message and "write 1.0e-04 for the number" in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model", "imagnet_256", "no model at scale digits 'imagnet_256'; did you mean"),
        ("task", "imagenet_257", "no task 'imagenet_257'; did you mean 'imagenet_256'?"),
        ("model", "classifier_256", "is a classifier; it does not draw images"),
        ("model", "upsampler_64_256", "an upsampler needs a base"),
        ("model", None, "both a model and a sampler, or neither"),
        ("model", "arch_baseline", "the table needs 'final'"),
    ],
)
def test_bad_row(tmp_path, key, value, words):
    def change(content):
        content["table3"]["rows"]["t3_uncond"][key] = value

    message = broken_tables(tmp_path, change)
    assert "table3: rows: t3_uncond" in message and words in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("respacing", "ddim600", "ddim600"),
        ("respacing", "2000", "2000"),
        ("classifier", "classifier_256", "guidance needs both"),
        ("method", "euler", "'ancestral' or 'ddim'"),
    ],
)
def test_bad_sampler(tmp_path, key, value, words):
    def change(content):
        content["table3"]["rows"]["t3_uncond"]["sampler"][key] = value

    message = broken_tables(tmp_path, change)
    assert "table3: rows: t3_uncond: sampler" in message and words in message


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ({"channel_mult": [1, 2, 2, 2, 2]}, "must be a multiple of 16 px"),
        ({"channel_mult": [1, 1, 1, 1]}, "smallest map at least 2 px"),
        ({"attention_resolutions": [16]}, r"[16] px are not among"),
        ({"channels": 36}, "num_groups 8 for a width of 36"),
        ({"channels": 8, "head_channels": 8}, "at least 2 channels each"),
        ({"heads": 3, "head_channels": None}, "heads 3 does not divide"),
        ({"head_channels": 48}, "head_channels 48 does not divide"),
        ({"heads": 2}, "give exactly one of them"),
        ({"embedding": "film"}, "'adagn' or 'addition'"),
    ],
)
def test_bad_architecture(tmp_path, architecture, words):
    def change(content):
        content["models"]["imagenet_256"]["architecture"] = architecture

    message = broken_scale(tmp_path, change)
    assert "digits.yaml: models: imagenet_256: architecture" in message and words in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["imagenet_256"].update(extends="nothing"), "no model 'nothing'"),
        (lambda m: m["arch_baseline"].update(extends="arch_all"), "goes in a circle"),
        (
            lambda m: m["imagenet_256"].update(kind="gan"),
            "needed: diffusion, upsampler, classifier",
        ),
        (lambda m: m["imagenet_256"].update(task="imagenet_1"), "no task 'imagenet_1'"),
        (lambda m: m["lsun_cat"].update(class_conditional=True), "has no labels"),
        (lambda m: m.update(lsun_cat=None), "a mapping is needed"),
        (lambda m: m["classifier_256"].update(task="imagenet_64"), "must be a multiple of 4 px"),
        (lambda m: m["imagenet_256"].update(training={"microbatch_size": 7}), "take a divisor"),
        (lambda m: m["classifier_256"]["training"].update(schedule="linear"), "both must agree"),
    ],
)
def test_bad_model(tmp_path, change, words):
    message = broken_scale(tmp_path, lambda content: change(content["models"]))
    assert "digits.yaml: models: " in message or "tables.yaml: " in message
    assert words in message


def test_bad_claim(tmp_path):
    def rename(content):
        content["table3"]["claims"]["t3_cond_guided_10"]["comparisons"][0]["left"] = "t3_con"

    assert "no row 't3_con' in this table; did you mean 't3_cond'?" in broken_tables(
        tmp_path, rename
    )


def test_a_row_id_is_used_once(tmp_path):
    def copy(content):
        content["table6"]["rows"]["t2_heads_1"] = content["table6"]["rows"]["t6_adagn"]

    assert "this id is already in table2" in broken_tables(tmp_path, copy)


def test_yaml_itself(tmp_path):
    path = tmp_path / "x.yaml"
    with pytest.raises(UserError, match="no such file"):
        read_yaml(path)
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(UserError, match="'a' is there twice"):
        read_yaml(path)
    path.write_text("a: [1\n")
    with pytest.raises(UserError, match="not valid YAML"):
        read_yaml(path)
    path.write_text("- 1\n")
    with pytest.raises(UserError, match="a mapping is needed"):
        read_yaml(path)
