"""What each table depends on, and which changes touch which tables."""

import copy
import json
import shutil

import pytest
import yaml

from records.errors import UserError
from tests.workflow.conftest import ROOT
from workflow import code_digest
from workflow.code_digest import describe_code, digest_code
from workflow.plan import make_plan
from workflow.resolve import STAGES, check_places, load_run, make_table_plan
from workflow.settings import load_plan

TABLES = yaml.safe_load((ROOT / "params" / "tables.yaml").read_text())
DIGITS = yaml.safe_load((ROOT / "params" / "scales" / "digits.yaml").read_text())


def resolve(folder, tables=TABLES, scale=DIGITS, comment=""):
    """What every table depends on, with these parameters."""
    for name, content in (("tables", tables), ("digits", scale)):
        text = yaml.safe_dump(content, sort_keys=False)
        (folder / f"{name}.yaml").write_text(comment + text + comment)
    plan = make_plan(
        tables=str(folder / "tables.yaml"),
        scale=str(folder / "digits.yaml"),
        source="retrain",
        results="results",
        released="params/released.yaml",
    )
    return {name: make_table_plan(plan, name, renderer="") for name in STAGES}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    return resolve(tmp_path_factory.mktemp("shipped"))


def set_guidance(row_id, guidance_scale):
    def change(tables, scale):
        tables["table3"]["rows"][row_id]["sampler"]["guidance_scale"] = guidance_scale

    return change


def set_label(tables, scale):
    tables["table3"]["rows"]["t3_cond"]["label"] = "ADM with labels"


def set_published(tables, scale):
    tables["table3"]["rows"]["t3_cond"]["published"]["final"]["fid"] = 11.0


def set_title(tables, scale):
    tables["table3"]["title"] = "Guidance"


def set_training(model, **settings):
    def change(tables, scale):
        scale["models"][model].setdefault("training", {}).update(settings)

    return change


def set_network(tables, scale):
    scale["network"]["seed"] = 1


def set_machine(tables, scale):
    scale["compute"]["device"] = "cuda"
    scale["sampling"]["batch_size"] = 7


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (set_guidance("t3_uncond_guided_10", 5.0), {"table3"}),
        (set_guidance("t3_cond_guided_1", 2.0), {"table3", "table4", "table5"}),  # ADM-G
        (set_label, {"table3"}),
        (set_published, {"table3"}),
        (set_title, set(STAGES)),  # every page links to it by its title
        (set_training("embedding_addition", learning_rate=1.0e-3), {"table6"}),
        (set_training("attention_head_channels_64", grad_clip=1.0), {*STAGES} - {"table1"}),
        (set_training("arch_baseline", weight_decay=0.1), set(STAGES)),  # all extend it
        (set_training("classifier_64", learning_rate=2.0e-3), {"table5"}),  # guides a base
        (set_network, set(STAGES)),
        (set_machine, set()),
    ],
)
def test_a_change_touches_the_tables_that_depend_on_it(tmp_path, shipped, change, changed):
    tables, scale = copy.deepcopy((TABLES, DIGITS))
    change(tables, scale)
    now = resolve(tmp_path, tables, scale)
    assert {name for name in STAGES if now[name] != shipped[name]} == changed


def test_comments_in_parameters_touch_nothing(tmp_path, shipped):
    assert resolve(tmp_path, comment="# a comment\n") == shipped


def test_a_plan_holds_all_that_is_behind_its_cells(shipped):
    table = shipped["table5"]
    assert table["cells"]["t5_256_adm"] == "results/digits/retrain/metrics/t3_cond.json"
    assert table["samples"]["t5_256_admg_admu-base"]["classifier"]["name"] == "classifier_64"
    assert {"upsampler_64_256", "imagenet_64", "classifier_64"} <= set(table["models"])
    assert table["models"]["imagenet_64"]["training"]["dataset"]["dataset"] == "digits"
    assert table["references"]["imagenet_256"]["network"]["iterations"] == 1000
    assert len(table["accuracies"]) == len(table["page"]["classifiers"]) > 0
    assert table["reason"] is None
    assert "results/digits/retrain/metrics/t3_cond-seed2.json" in table["metrics"]
    assert "t1_baseline-1200K-seed2" in shipped["table1"]["cells"]
    assert all(path in table["metrics"] for path in table["cells"].values())
    assert json.loads(json.dumps(table)) == table


@pytest.mark.parametrize("source", ["rescore", "resample"])
def test_published_files_are_in_the_plan(source):
    plan = load_plan({"scale": "paper", "source": source})
    table = make_table_plan(plan, "table4", renderer="")
    assert table["cells"] and set(table["cells"].values()) <= set(table["metrics"])
    parts = (
        table["samples"]
        if source == "rescore"
        else {name: model["training"] for name, model in table["models"].items()}
    )
    urls = {one["url"] for one in table["page"]["artefacts"]}
    published = [one["released"] for one in parts.values()]
    assert published and all(any(url.endswith(path) for url in urls) for path in published)
    empty = make_table_plan(plan, "table1", renderer="")
    assert empty["cells"] == {}
    assert empty["reason"].startswith(f"table1: no row of it has source {source}")


def test_a_comment_a_docstring_and_layout_change_no_meaning():
    code = "X = 1\n\n\ndef f(a):\n    return a + X\n"
    same = (
        '"""What it is."""\n# why\nX = 1  # one\ndef f( a ):\n    """Add."""\n    return (a + X)\n'
    )
    assert describe_code(code) == describe_code(same)
    for other in (code.replace("+", "-"), code.replace("1", "2"), code.replace("1", "None")):
        assert describe_code(other) != describe_code(code)
    assert describe_code("def f():\n    'only'\n") == describe_code("def f():\n    'another'\n")
    assert describe_code("x = 'a'") != describe_code("x = 'b'")


def test_what_renders_a_page_is_followed(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "reports", tmp_path / "reports")
    monkeypatch.setattr(code_digest, "ROOT", tmp_path)
    before = digest_code("reports")
    module = tmp_path / "reports" / "tables.py"
    module.write_text("# a comment\n" + module.read_text())
    assert digest_code("reports") == before
    template = tmp_path / "reports" / "templates" / "table.html.j2"
    template.write_text(template.read_text() + "<hr>\n")
    assert digest_code("reports") != before


def test_a_scale_must_be_the_name_of_a_file():
    for scale in ("nope", "params/scales/digits.yaml"):
        with pytest.raises(UserError) as error:
            load_run(scale, "retrain")
        assert str(error.value) == (
            f"params/run.yaml: scale: got {scale!r}; needed: the name of a file in params/scales, "
            "one of cifar10, decide, digits, paper"
        )
    with pytest.raises(UserError, match="source: got 'retrian'; needed: one of rescore"):
        load_run("digits", "retrian")


def test_a_scale_of_another_name_does_not_take_its_results(tmp_path, monkeypatch):
    (tmp_path / "params" / "scales").mkdir(parents=True)
    shutil.copy(ROOT / "params" / "scales" / "digits.yaml", tmp_path / "params/scales/mine.yaml")
    for module in ("workflow.layout", "workflow.resolve"):
        monkeypatch.setattr(f"{module}.ROOT", tmp_path)
    monkeypatch.chdir(ROOT)
    with pytest.raises(UserError) as error:
        load_run("mine", "retrain")
    assert str(error.value) == (
        "params/scales/mine.yaml: name: got 'digits'; needed: mine, as the file is called, or its "
        "results would be among those of digits"
    )


def test_what_stands_in_the_way_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").write_text("a file")
    with pytest.raises(UserError) as error:
        check_places(["results/mini/report/table3.html"])
    assert str(error.value) == (
        "results: there is a file where a folder is needed; move it away (mv results results.old) "
        "and run the same command again"
    )
    (tmp_path / "metrics" / "table3.json").mkdir(parents=True)
    with pytest.raises(UserError, match=r"metrics/table3.json: there is a folder where a file is"):
        check_places(["metrics/table3.json"])
    check_places(["metrics/new/table4.json"])
