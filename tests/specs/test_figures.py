"""The figures as shipped, and mistakes in them: refused with file, figure and field."""

import pytest
import yaml

from records.errors import UserError
from specs.figures import load_figures_at, make_added_row
from specs.row_facts import load_named_tables
from tests.specs.scale_case import ROOT, SCALES, TABLES, load_shipped, on

FIGURES = ROOT / "params" / "figures.yaml"


def tables_at(scale):
    return load_named_tables(TABLES, load_shipped(scale))


@pytest.mark.parametrize("scale", [path.stem for path in SCALES])
def test_every_scale_has_figures_of_rows_that_it_computes(scale):
    figures = load_figures_at(FIGURES, load_shipped(scale), tables_at(scale))
    assert {"guidance", "tradeoff", "training", "heads", "embedding"} <= {*figures}
    assert ("stopping" in figures) == (scale in ("digits", "paper"))


def test_an_added_row_is_its_like_but_for_what_is_given():
    tables = tables_at("digits")
    added = load_figures_at(FIGURES, load_shipped("digits"), tables)["guidance"].rows["f4_cond_3"]
    like = tables["table3"].rows["t3_cond_guided_1"]
    row = make_added_row(added, like, "here")
    assert row.sampler.content() == {**like.sampler.content(), "guidance_scale": 3.0}
    assert (row.model, row.task, row.published) == (like.model, like.task, {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (on("guidance", heading="x"), "guidance: heading: unknown key"),
        (on("guidance", scales="digits"), "guidance: scales: "),
        (on("guidance", panels=[]), "guidance: panels: got 0; numbers need some"),
        (on("guidance", num_images=3), "guidance: num_images: got 3; images need a number"),
        (on("samples", num_neighbours=3), "samples: num_neighbours: got 3; a figure that shows"),
        (
            on("guidance", "panels", 0, across="guidance_scael"),
            "guidance: panels: 0: across: got 'guidance_scael'; needed: a setting or a metric; "
            "did you mean 'guidance_scale'?",
        ),
        (on("between", num_steps=1), "between: num_steps: "),
        (on("denoising", num_steps=None), "denoising: num_steps: got None; a figure that shows"),
        (on("between", num_steps=None), "between: num_steps: got None; a figure that shows betw"),
        (on("guidance", "panels", 0, up="fiid"), "guidance: panels: 0: up: "),
        (
            on("guidance", "lines", 0, rows=["t3_cnd"]),
            "guidance: lines: 0 (conditional model): rows: got 't3_cnd'; needed: a row of a table "
            "of this scale, or of a figure; did you mean 't3_cond'?",
        ),
        (
            on("training", "lines", 0, marks=["800K"]),
            "training: lines: 0 (deeper and narrower): marks: got '800K'; t1_deeper of table1 has",
        ),
        (
            on("heads", "panels", 0, up="recall"),
            "heads: lines: 0 (fixed number of heads): t2_heads_1: table2 has ['fid']; the figure "
            "needs 'recall'",
        ),
        (
            on("guidance", "rows", t3_cond={"like": "t3_uncond", "sampler": {"eta": 0.5}}),
            "guidance: rows: t3_cond: this id is already in table3",
        ),
        (on("guidance", "rows", "f4_cond_2", like="t9"), "f4_cond_2: like: got 't9'; needed"),
        (
            on("guidance", "rows", "f4_cond_3", like="f4_cond_2"),
            "rows: f4_cond_3: like: 'f4_cond_2' is of a figure; name a table's row",
        ),
        (
            on("guidance", "rows", "f4_cond_2", sampler={}),
            "guidance: rows: f4_cond_2: sampler: ",
        ),
    ],
)
def test_mistakes(tmp_path, change, words):
    content = yaml.safe_load(FIGURES.read_text())
    change(content)
    path = tmp_path / "figures.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(UserError) as caught:
        load_figures_at(path, load_shipped("digits"), tables_at("digits"))
    assert f"{path}: " in str(caught.value) and words in str(caught.value)


@pytest.mark.parametrize(
    ("like", "sampler", "words"),
    [
        ("t3_cond_guided_1", {"guidance_scael": 2.0}, "sampler: guidance_scael: unknown key"),
        ("t3_cond_guided_1", {"guidance_scale": "2"}, "sampler: guidance_scale: "),
        ("t3_cond", {"guidance_scale": 2.0}, "guidance needs both, no guidance neither"),
        (
            "t4_256_sr3",
            {"eta": 1.0},
            "like t4_256_sr3: sampler: a baseline, which draws no samples",
        ),
    ],
)
def test_settings_that_an_added_row_cannot_have(like, sampler, words):
    figures = load_figures_at(FIGURES, load_shipped("digits"), tables_at("digits"))
    added = figures["guidance"].rows["f4_cond_2"]
    added = added.model_copy(update={"like": like, "sampler": sampler})
    rows = {key: row for table in tables_at("digits").values() for key, row in table.rows.items()}
    with pytest.raises(UserError, match=r"^here: .*") as caught:
        make_added_row(added, rows[like], "here")
    assert words in str(caught.value)
