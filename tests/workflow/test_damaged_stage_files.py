"""What the stages of dvc.yaml and `workflow paper` say of files that are damaged: one sentence."""

import json

import pytest

from records.errors import UserError, main_guard
from tests.reports.conftest import metrics_content
from tests.workflow.test_stage import write_plan
from workflow.cli import run
from workflow.stage import collect_numbers, read_claims

CLAIM = {"id": "a", "verdict": "supported", "deciding": 0, "comparisons": [{"effect": 0.5}]}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def damage(**changes):
    """Return a plan with other values, without the keys that are changed to ... ."""
    return lambda plan: {key: one for key, one in {**plan, **changes}.items() if one is not ...}


@pytest.mark.parametrize("command", [["collect"], ["reproduce"]])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plan: [], "got []; a mapping is needed"),
        (lambda plan: {}, "format: missing"),
        (lambda plan: {"format": 1}, "name: missing"),
        (damage(format=2), "format: got 2 (int); Input should be 1"),
        (damage(metrics=...), "metrics: missing"),
        (damage(pages=...), "pages: missing"),
        (damage(pages=[]), "pages: got [] (list); List should have at least 1 item"),
        (damage(pages=[5]), "pages: 0: got 5 (int); Input should be a valid string"),
        (damage(numbers=""), "numbers: got '' (str); String should have at least 1 character"),
        (damage(reason=5), "reason: got 5 (int); Input should be a valid string"),
        (damage(page="x"), "page: got 'x'; a mapping is needed"),
        (damage(page=None), "page: null, although there are cells"),
        (damage(metrics={}), "cells: t3_cond: its file is not among those of metrics"),
        (damage(metrics={"a.json": 5}), "metrics: a.json: got 5 (int)"),
    ],
)
def test_a_damaged_plan_is_refused(folder, capsys, command, change, words):
    path = write_plan(folder)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    extra = ["snakemake"] if command == ["reproduce"] else []
    assert main_guard(run)([*command, str(path), *extra]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: not a table's plan: {words}")
    assert line.endswith("; write it with `dvc repro --force plan`")
    assert [one.name for one in folder.iterdir()] == ["plan.json"]


def test_a_metrics_file_without_the_number_is_refused(folder):
    content = {**metrics_content(recall=0.5), "digest": "0" * 64}
    del content["metrics"]["fid"]
    (folder / "a.json").write_text(json.dumps(content))
    known = ", ".join(content["metrics"])
    with pytest.raises(UserError) as error:
        collect_numbers(write_plan(folder))
    assert str(error.value) == (
        f"a.json: metrics: has {known}; fid is needed; delete it and run the evaluation again"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "got []; a mapping is needed"),
        ({"claims": {}}, "claims: got {} (dict); Input should be a valid list"),
        ({"claims": [{}]}, "claims: 0: id: missing"),
        ({"claims": [{**CLAIM, "deciding": 1}]}, "claims: 0: deciding: got 1; 0 to 0 is needed"),
        ({"claims": [{**CLAIM, "deciding": -1}]}, "claims: 0: deciding: got -1; 0 to 0 is needed"),
        (
            {"claims": [{**CLAIM, "comparisons": [5]}]},
            "claims: 0: comparisons: 0: got 5; a mapping",
        ),
        (
            {"claims": [{**CLAIM, "comparisons": [{"effect": "x"}]}]},
            "claims: 0: comparisons: 0: effect: got 'x' (str); Input should be a valid number",
        ),
    ],
)
def test_a_damaged_table_is_refused(folder, content, words):
    (folder / "table3.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as error:
        list(read_claims("table3.json"))
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"table3.json: not a table with its claims: {words}")
    assert line.endswith("; delete it and run the workflow again")


def test_claims_without_a_comparison_and_tables_without_claims_are_passed_over(folder):
    path = str(folder / "table3.json")
    assert list(read_claims(path)) == []
    for content in (
        {"name": "table3", "reason": "none"},
        {"claims": [{**CLAIM, "comparisons": []}]},
    ):
        (folder / "table3.json").write_text(json.dumps(content))
        assert list(read_claims(path)) == []
    (folder / "table3.json").write_text(json.dumps({"claims": [CLAIM]}))
    comparison = {"effect": 0.5, "published_effect": None}
    assert list(read_claims(path)) == [("claim.a", "supported", comparison)]


def test_the_paper_revision_names_a_damaged_table(folder, capsys):
    for path, content in (
        ("metrics/digits/retrain/table3.json", {"claim.a.effect": 0.5}),
        ("results/digits/report/table3.json", {"claims": [{}]}),
    ):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(json.dumps(content))
    assert main_guard(run)(["paper"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: results/digits/report/table3.json: not a table with its claims")
