"""The tables as shipped, and every mistake in them: refused with table, row and key."""

import pytest
import yaml

from specs.row_facts import load_named_tables
from specs.scale import load_scale
from specs.tables import load_tables, load_tables_at
from tests.specs.scale_case import (
    ROOT,
    SCALES,
    TABLES,
    load_shipped,
    on,
    refuse_scale,
    refuse_tables,
)

GUIDED, STACK = ("table3", "rows", "t3_uncond_guided_1"), ("table5", "rows", "t5_256_admg_admu")
BASE_OF_8_PX = {
    "task": "imagenet_128",
    "model": "imagenet_128",
    "sampler": {
        "method": "ancestral",
        "respacing": "250",
        "eta": 0.0,
        "guidance_scale": None,
        "classifier": None,
    },
}
FIRST_COMPARISON = ("table3", "claims", "t3_cond_guided_10", "comparisons", 0)


def test_published_numbers_are_the_papers():
    facts = yaml.safe_load((ROOT / "tests" / "data" / "paper_tables.yaml").read_text())
    tables = load_named_tables(TABLES, load_shipped("paper"))
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


def test_claims_compare_ratios_of_distances_and_differences_of_shares():
    one = load_tables(TABLES)["table3"].claims["t3_cond_guided_10"].comparisons
    assert [(c.metric, c.compared) for c in one] == [("recall", "difference"), ("is", "ratio")]
    changed = one[0].model_copy(update={"statistic": "ratio"})
    assert changed.compared == "ratio"


def test_misspelt_key_in_the_tables(tmp_path):
    def change(content):
        row = content["table3"]["rows"]["t3_uncond"]
        row["sampler"]["respacin"] = row["sampler"].pop("respacing")

    place = f"{tmp_path}/tables.yaml: table3: rows: t3_uncond: sampler"
    assert refuse_tables(tmp_path, change).splitlines() == [
        f"{place}: respacing: missing; write this key",
        f"{place}: respacin: unknown key; did you mean 'respacing'?",
    ]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model", "imagnet_256", "no model at scale digits 'imagnet_256'; did you mean"),
        ("task", "imagenet_257", "no task 'imagenet_257'; did you mean 'imagenet_256'?"),
        ("model", "classifier_256", "is a classifier; it does not draw images"),
        (
            "model",
            "upsampler_64_256",
            "model upsampler_64_256 is of kind upsampler with the base None; an upsampler needs a",
        ),
        ("model", None, "both a model and a sampler, or neither"),
        ("sampler", None, "both a model and a sampler, or neither"),
        ("model", "arch_baseline", "the table needs 'final'"),
        (
            "settings",
            {"steps": 250},
            "settings: unknown key; the keys are: label, task",
        ),
        ("published", {}, "published: got []; the table has ['final'], in this order"),
        (
            "published",
            {"final": {"fid": 1.0, "is": 1.0}},
            "published: final: got ['fid', 'is']; the table has ['fid', 'sfid', 'is', 'precision'",
        ),
        ("published", {"final": {"fdi": 1.0}}, "published: final: got the name 'fdi' (str); Input"),
        ("notes", ["rejections"], "notes: 0: got 'rejections' (str); Input should be 'own', 'quot"),
        ("base", 3, "base: got 3; a mapping is needed"),
        ("marks", ["final"], "marks: unknown key; did you mean 'mark'?"),
        ("mark", "5K", "model imagenet_256_uncond has marks ['final']; the table needs '5K': add"),
    ],
)
def test_bad_row(tmp_path, key, value, words):
    message = refuse_tables(tmp_path, on("table3", "rows", "t3_uncond", **{key: value}))
    assert "tables.yaml: table3: rows: t3_uncond: " in message and words in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("respacing", "ddim600", "respacing: respacing 'ddim600': no integer stride takes exactly"),
        ("respacing", "2000", "respacing: respacing '2000' asks for 2000 of the 1000 timesteps"),
        ("respacing", 250, "respacing: got 250 (int); Input should be a valid string; write quo"),
        ("classifier", "classifier_256", "guidance_scale None with classifier classifier_256; gui"),
        ("guidance_scale", 1.0, "guidance_scale 1.0 with classifier None; guidance needs both"),
        ("guidance_scale", -1.0, "guidance_scale: got -1.0 (float); Input should be greater than"),
        ("classifier_mark", 5, "classifier_mark: got 5 (int); Input should be a valid string"),
        ("method", "euler", "method: got 'euler' (str); Input should be 'ancestral' or 'ddim'"),
        ("eta", 1.5, "eta: got 1.5 (float); Input should be less than or equal to 1"),
    ],
)
def test_bad_sampler(tmp_path, key, value, words):
    message = refuse_tables(tmp_path, on("table3", "rows", "t3_uncond", "sampler", **{key: value}))
    assert f"tables.yaml: table3: rows: t3_uncond: sampler: {words}" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            on(*GUIDED, "sampler", classifier="classifier_25"),
            "sampler: classifier: no model at scale digits 'classifier_25'; did you mean",
        ),
        (
            on(*GUIDED, "sampler", classifier="imagenet_64"),
            "sampler: classifier: imagenet_64 is of kind diffusion; give a classifier",
        ),
        (on(*STACK, "base", task="imagenet_65"), "base: task: no task 'imagenet_65'; did you mean"),
        (on(*STACK, "base", model="imagenet_65"), "base: model: no model at scale digits 'imagen"),
        (on(*STACK, base=None), "an upsampler needs a base, other models have none"),
        (
            on(*STACK, "base", task="imagenet_128"),
            "base: task imagenet_128 has image_size_px 8; imagenet_64 is trained on imagenet_64 "
            "with 4: take a model of that task",
        ),
        (
            on(*STACK, base=BASE_OF_8_PX),
            "base imagenet_128: 8 px and 500 samples; upsampler_64_256 enlarges 4 px and the row "
            "needs 500 samples",
        ),
        (
            on(*STACK, "base", "sampler", guidance_scale=None),
            "base: sampler: guidance_scale None with classifier classifier_64; guidance needs both",
        ),
        (on(*STACK, model=None, sampler=None), "base: a baseline has none; write null"),
    ],
)
def test_what_guides_and_what_is_enlarged_fit(tmp_path, change, words):
    message = refuse_tables(tmp_path, change)
    assert message.count("\n") == 0 and words in message
    assert "table3: rows: t3_uncond_guided_1: " in message or "t5_256_admg_admu: " in message


def test_a_base_on_a_model_that_enlarges_nothing_is_refused(tmp_path):
    def change(content):
        base = content["table5"]["rows"]["t5_256_admg_admu"]["base"]
        content["table3"]["rows"]["t3_uncond"]["base"] = base

    words = "model imagenet_256_uncond is of kind diffusion with the base imagenet_64; an upsampler"
    assert words in refuse_tables(tmp_path, change)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"left": "t3_con"}, "left: no row 't3_con' in this table; did you mean 't3_cond'?"),
        ({"right": "zzz"}, "right: no row 'zzz' in this table; rows: t3_uncond, "),
        ({"mark": "700K"}, "mark: got '700K'; the table has ['final']"),
        ({"metric": "fdi"}, "metric: got 'fdi' (str); Input should be 'is', 'fid', 'sfid'"),
        ({"relation": "nearer"}, "towards: None with relation 'nearer'; `nearer` needs it"),
        ({"towards": "t3_cond"}, "towards: 't3_cond' with relation 'less'; `nearer` needs it"),
        ({"relation": "below"}, "relation: got 'below' (str); Input should be 'greater', 'less'"),
        ({"factor": 0.0}, "factor: got 0.0 (float); Input should be greater than 0"),
        (
            {"statistic": "logarithm"},
            "statistic: got 'logarithm' (str); Input should be 'ratio' or",
        ),
        ({"margn": 0.0}, "margn: unknown key; did you mean 'margin'?"),
    ],
)
def test_bad_claim(tmp_path, values, words):
    message = refuse_tables(tmp_path, on(*FIRST_COMPARISON, **values))
    place = "tables.yaml: table3: claims: t3_cond_guided_10: comparisons: 0: "
    assert place + words in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (on(table3=3), "table3: got 3; a mapping is needed"),
        (
            on("table3", "rows", **{"a b": {}}),
            "table3: rows: got the name 'a b' (str); String should",
        ),
        (on("table3", rows=[]), "table3: rows: got []; a mapping is needed"),
        (on("table3", layout="wide"), "table3: layout: got 'wide' (str); Input should be 'deltas'"),
        (on("table3", settings=["scale"]), "table3: settings: got 'scale'; one of channels, depth"),
        (on("table3", marks=[]), "table3: marks: got [] (list); List should have at least 1 item"),
        (
            on("table3", metrics=["fid", "sfid", "is", "precision"]),
            "table3: rows: t3_uncond: published: final: got ['fid', 'sfid', 'is', 'precision', "
            "'recall']; the table has ['fid', 'sfid', 'is', 'precision'], in this order",
        ),
        (
            lambda content: content["table6"]["rows"].update(
                t2_heads_1=content["table6"]["rows"]["t6_adagn"]
            ),
            "table6: rows: t2_heads_1: this id is already in table2; ids are unique",
        ),
    ],
)
def test_bad_table(tmp_path, change, words):
    assert refuse_tables(tmp_path, change).startswith(f"{tmp_path}/tables.yaml: {words}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            on("evaluation", metrics=["fid"]),
            "metrics: ['sfid', 'is', 'precision', 'recall'] are not among evaluation: metrics of "
            "scale digits, ['fid']; add them there",
        ),
        (
            on("models", "imagenet_256_uncond", task="imagenet_64", architecture={
                "channel_mult": [1, 2], "attention_resolutions": [4, 2]}),
            "task imagenet_256 has image_size_px 8; imagenet_256_uncond is trained on imagenet_64",
        ),
        (
            on("models", "classifier_256", "training", num_timesteps=500),
            "cosine noise of 500 timesteps, imagenet_256_uncond 8 px",
        ),
        (
            on("models", "classifier_256", "training", schedule="linear"),
            "linear noise of 1000 timesteps, imagenet_256_uncond 8 px, 1 channels and cosine noise "
            "of 1000 timesteps; both must agree",
        ),
    ],
)  # fmt: skip
def test_a_scale_that_cannot_make_a_row_is_refused(tmp_path, change, words):
    message = refuse_scale(tmp_path, "digits", change)
    assert message.startswith(f"{TABLES}: table") and words in message


def test_classes_of_a_stack_and_of_its_guide_agree(tmp_path):
    def fewer(*tasks):
        def change(content):
            for task in tasks:
                content["tasks"][task].update(classes=["cat", "dog"], num_classes=2, whole=None)

        return change

    message = refuse_scale(tmp_path, "cifar10", fewer("imagenet_64"))
    assert "base imagenet_64: 2 classes, imagenet_256 10" in message
    content = on("models", "classifier_256", task="imagenet_512")

    def change(scale):
        fewer("imagenet_512")(scale)
        content(scale)

    message = refuse_scale(tmp_path, "cifar10", change)
    assert "classifier_256 tells 2 classes apart, task imagenet_256 has 10" in message


def test_a_name_may_stand_for_another():
    scale = load_shipped("paper")
    written = load_tables(TABLES)["table5"].rows["t5_512_admg_admu"]
    assert written.base.model in scale.same_as.models
    assert written.base.task in scale.same_as.tasks
    row = load_tables_at(TABLES, scale)["table5"].rows["t5_512_admg_admu"]
    assert (row.base.task, row.base.model) == ("imagenet_128", "imagenet_128")
    assert row.base.sampler.classifier == "classifier_128_stack"
    assert (row.task, row.model, row.label) == (written.task, written.model, written.label)


def test_steps_are_those_that_the_scale_has_for_them():
    scale = load_shipped("digits")
    before = load_tables(TABLES)
    steps = {
        (before[name].rows[row_id].sampler.respacing, row.sampler.respacing)
        for name, table in load_tables_at(TABLES, scale).items()
        for row_id, row in table.rows.items()
        if row.sampler is not None
    }
    assert {("250", "20"), ("1000", "20"), ("ddim25", "ddim10")} <= steps
    assert all(scale.sampling.respacing.get(old, old) == new for old, new in steps)


def test_a_scale_has_the_tables_that_name_it_or_none():
    for path in SCALES:
        scale = load_scale(path)
        named = {name for name, one in load_tables(TABLES).items() if one.scales is not None}
        got = load_tables_at(TABLES, scale)
        assert {f"table{number}" for number in range(1, 7)} <= got.keys()
        assert {name for name in named if scale.name in load_tables(TABLES)[name].scales} == (
            named & got.keys()
        )
