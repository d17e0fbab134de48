"""Pages state what was run: the paper's own settings stand in one small table, and nowhere else."""

import re

import pytest
import yaml

from reports.export import render_markdown
from reports.latex import render_latex
from reports.render import render_table
from reports.tables import make_table
from tests.workflow.conftest import ROOT
from workflow.differences import list_differences
from workflow.settings import load_plan
from workflow.table_spec import make_table_spec

DIGITS = load_plan({"results": "nowhere"})
# What the paper ran and the digits did not; numbers of the paper's tables have two decimals.
NOT_RUN = re.compile(
    r"\b(250|1000|25) (DDIM |sampling )?steps|\b(700|1200|250|1980|4360)K\b|\b(160|192) |"
    r"\b(64|128|256|512)[x×](64|128|256|512)\b|\b(64|128) (base )?channels|batch 256|50,000"
)


def render(plan, name):
    """A page without what differs from the paper, in all forms that are read."""
    page = make_table_spec(plan, name)
    table = make_table(page)
    assert table["differences"]
    table |= {"differences": []}
    html = render_table(table, [], page.pages)
    html = re.sub(rf"(?m)^{name},{plan.scale.name},.*$", "", html)  # CSV to copy: marks are keys
    return html, render_markdown(table), render_latex(table)


def drop_untested_claims(text):
    """Remove claims that only published values test: they speak of the paper."""
    text = re.sub(
        r"(?s)<li id=\"claim-(?:(?!</details>).)*published values only.*?</details>", "", text
    )
    return re.sub(r"(?m)^- \*\*published values only\*\*.*$", "", text)


@pytest.mark.parametrize("name", DIGITS.shown_tables)
def test_no_label_head_or_claim_states_a_protocol_that_was_not_run(name):
    for text in render(DIGITS, name):
        found = NOT_RUN.findall(drop_untested_claims(text))
        assert not found, NOT_RUN.search(drop_untested_claims(text))


def test_the_check_would_find_it():
    for words in ("ADM-G (25 steps)", "FID at 700K", "with 250 sampling steps", "ImageNet 128×128"):
        assert NOT_RUN.search(words)


def test_what_differs_is_listed_with_the_paper_s_first():
    found = {one.what: (one.paper, one.here) for one in list_differences(DIGITS, "table1")}
    assert found["sampling steps"] == ("250", "20")
    assert found["iterations"] == ("700,000 and 1,200,000", "175 and 300")
    assert found["channels"] == ("160; 128", "40; 32")
    assert found["attention at (px)"] == ("16; 32, 16, 8", "4; 8, 4, 2")
    assert found["images"] == ("ImageNet 128×128", "8×8 digits, all classes")
    assert found["samples per row"] == ("50,000", "500 of each of 3 training seeds")
    assert "features" in found
    assert "learning rate" not in found  # the paper does not print it for these models
    found = {one.what: (one.paper, one.here) for one in list_differences(DIGITS, "table4")}
    assert found["sampling steps"] == ("1000; 250; 25", "20; 20; 10")
    assert found["classifier: channels"] == ("128", "16")


@pytest.mark.parametrize("source", ["rescore", "resample", "retrain"])
def test_the_paper_s_own_scale_differs_in_nothing(source):
    plan = load_plan({"scale": "paper", "source": source, "results": "nowhere"})
    assert all(list_differences(plan, name) == [] for name in plan.tables)


def test_steps_that_a_scale_maps_are_those_on_its_page(tmp_path):
    scale = yaml.safe_load((ROOT / "params" / "scales" / "digits.yaml").read_text())
    scale["sampling"]["respacing"] = {"250": "37", "1000": "38", "ddim25": "ddim25"}
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(scale))
    plan = load_plan({"scale": str(path), "results": "nowhere"})
    page = make_table_spec(plan, "table4")
    labels = {row.id: row.label for row in page.rows}
    assert labels["t4_128_admg_25"] == "ADM-G (25 steps)"
    steps = next(one for one in page.differences if one.what == "sampling steps")
    assert (steps.paper, steps.here) == ("1000; 250", "38; 37")


@pytest.mark.parametrize(("precision", "shown"), [("bf16", True), ("float32", False)])
def test_another_precision_of_sampling_is_on_the_page(tmp_path, precision, shown):
    scale = yaml.safe_load((ROOT / "params" / "scales" / "digits.yaml").read_text())
    scale["sampling"]["precision"] = precision
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(scale))
    page = make_table_spec(load_plan({"scale": str(path), "results": "nowhere"}), "table4")
    found = [one for one in page.differences if one.what == "precision of sampling"]
    assert [(one.paper, one.here) for one in found] == (
        [("fp16 (the authors' code)", "bf16")] if shown else []
    )


def test_claims_that_only_published_values_test_speak_of_the_paper():
    claims = {claim.id: claim for claim in make_table_spec(DIGITS, "table4").claims}
    assert "with 25 sampling steps" in claims["t4_128_25_steps"].text
    assert claims["t4_horse_beats_stylegan2"].sources == []
    assert "LSUN horses 256×256" in claims["t4_horse_beats_stylegan2"].text
    assert "8×8 digits" in claims["t4_128_guidance_helps"].text


def test_tables_of_one_s_own_rows_have_nothing_to_differ_from(tmp_path):
    tables = yaml.safe_load((ROOT / "params" / "tables.yaml").read_text())
    scale = yaml.safe_load((ROOT / "params" / "scales" / "digits.yaml").read_text())
    scale["models"]["mine"] = {"extends": "arch_baseline"}
    tables["table6"]["rows"]["t6_adagn"]["model"] = "mine"
    for name, content in (("tables", tables), ("scale", scale)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    plan = load_plan(
        {"scale": str(tmp_path / "scale.yaml"), "tables": str(tmp_path / "tables.yaml")}
    )
    assert make_table_spec(plan, "table6").differences == []


@pytest.mark.parametrize(
    ("row", "changes", "shown"),
    [
        ("t3_cond_guided_1", {"guidance_scale": 2.5}, ("guidance scale", "1", "2.5")),
        (
            "t3_cond",
            {"guidance_scale": 2.0, "classifier": "classifier_256"},
            ("guidance scale", "–", "2"),
        ),
        ("t3_cond", {"noise_temperature": 0.9}, ("noise temperature", "1", "0.9")),
    ],
)
def test_what_an_experiment_changes_is_on_the_page(tmp_path, row, changes, shown):
    path = tmp_path / "run.yaml"
    run = {"scale": "digits", "source": "retrain", "overrides": {row: changes}}
    path.write_text(yaml.safe_dump(run))
    plan = load_plan({"results": "nowhere", "overrides": str(path)})
    found = {(one.what, one.paper, one.here) for one in list_differences(plan, "table3")}
    before = {(one.what, one.paper, one.here) for one in list_differences(DIGITS, "table3")}
    assert {one for one in found - before if not one[0].startswith("classifier")} == {shown}
