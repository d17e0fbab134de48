"""Settings and labels of rows: those of the scale's models and samplers, and of nothing else."""

import re

import pytest
import yaml

from records.errors import UserError
from specs.row_facts import describe_row, load_named_tables
from specs.scale import load_scale
from specs.tables import SETTINGS
from tests.specs.scale_case import ROOT, SCALES, TABLES, load_shipped, on, write_changed

COLUMNS = {  # of the paper's tables, by our names
    "table1": [*SETTINGS[:3], *SETTINGS[4:7]],
    "table2": ["heads", "head_channels"],
    "table3": ["conditional", "guidance", "guidance_scale"],
    "table6": ["operation"],
    "lsun_schedules": ["section_steps"],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_at_the_paper_s_scale_settings_are_those_that_the_paper_prints(name):
    facts = yaml.safe_load((ROOT / "tests" / "data" / "paper_tables.yaml").read_text())[name]
    scale = load_shipped("paper")
    table = load_named_tables(TABLES, scale)[name]
    assert table.settings == COLUMNS[name]
    for row, printed in zip(table.rows.values(), facts["rows"], strict=True):
        settings = describe_row(scale, row)
        got = [settings[key] for key in table.settings]
        assert got == [list(one) if isinstance(one, list) else one for one in printed[: len(got)]]


def test_every_scale_has_all_settings_of_every_row_and_none_of_a_baseline():
    for path in SCALES:
        scale = load_scale(path)
        for table in load_named_tables(TABLES, scale).values():
            for row in table.rows.values():
                settings = describe_row(scale, row)
                assert tuple(settings) == SETTINGS
                assert (settings["steps"] is None) == (row.model is None)
                assert "{" not in row.label
            assert not any("{" in claim.text for claim in table.claims.values())


def test_labels_and_claims_have_the_numbers_of_their_scale():
    digits, paper = (load_named_tables(TABLES, load_shipped(one)) for one in ("digits", "paper"))
    for tables, steps, heads, resolutions in (
        (digits, 10, 8, "8, 4, 2"),
        (paper, 25, 32, "32, 16, 8"),
    ):
        rows = tables["table4"].rows | tables["table2"].rows | tables["table1"].rows
        assert rows["t4_128_admg_25"].label == f"ADM-G ({steps} steps)"
        assert rows["t2_head_channels_32"].label == f"{heads} channels per head"
        assert rows["t1_multires"].label == f"attention at {resolutions} px"
    text = digits["table2"].claims["t2_32_beats_128_channels_per_head"].text
    assert text == "Fewer channels per head improve FID: 8 over 32."
    text = digits["table4"].claims["t4_256_guidance_helps"].text
    assert text == "Guidance improves FID on imagenet_256 (8×8 digits, all classes)."


def test_another_guidance_scale_changes_setting_label_and_claim_together(tmp_path):
    change = on("table3", "rows", "t3_uncond_guided_10", "sampler", guidance_scale=5.5)
    scale = load_shipped("digits")
    table = load_named_tables(write_changed(tmp_path, TABLES, change), scale)["table3"]
    row = table.rows["t3_uncond_guided_10"]
    assert row.label == "unconditional, guided at 5.5"
    assert describe_row(scale, row)["guidance_scale"] == 5.5
    assert "scale (5.5), guidance raises" in table.claims["t3_uncond_guided_10_precision"].text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            on("table4", "rows", "t4_128_admg_25", label="ADM-G ({stps} steps)"),
            "rows: t4_128_admg_25: label: 'ADM-G ({stps} steps)' cannot be filled in ('stps'); the",
        ),
        (
            on("table4", "rows", "t4_128_logan", label="LOGAN ({steps} steps)"),
            "rows: t4_128_logan: label: 'LOGAN ({steps} steps)' cannot be filled in ('steps'); the",
        ),
        (
            on("table4", "rows", "t4_128_admg_25", label="ADM-G ({} steps"),
            "label: 'ADM-G ({} steps' cannot be filled in",
        ),
        (
            on("table4", "claims", "t4_64_dropout", text="Dropout at {left[size]}"),
            "claims: t4_64_dropout: text: 'Dropout at {left[size]}' cannot be filled in ('size'); ",
        ),
        (on("table4", "claims", "t4_64_dropout", text="{right.steps}"), "cannot be filled in"),
        (
            on("table4", "claims", "t4_64_dropout", text="{left[steps]:>99999999999}"),
            "cannot be filled in (left[steps] with a layout)",
        ),
    ],
)
def test_a_name_that_is_no_setting_is_refused(tmp_path, change, words):
    path = write_changed(tmp_path, TABLES, change)
    with pytest.raises(UserError) as error:
        load_named_tables(path, load_shipped("digits"))
    assert f"{path}: table4: " in str(error.value) and words in str(error.value)
    assert "\n" not in str(error.value)


def test_no_sentence_of_a_scale_counts_images_that_the_user_brings():
    for path in SCALES:
        scale = load_scale(path)
        if scale.places:
            assert not re.search(
                r"\d,\d{3} (training |real )?(images|photo)", " ".join([scale.about, *scale.notes])
            )
