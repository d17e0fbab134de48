"""The stages of dvc.yaml: that they name the files that are made, and what their commands do."""

import json
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from records.errors import UserError
from tests.reports.conftest import metrics_content, page_content, row_spec
from tests.workflow.conftest import ROOT
from workflow.cli import make_parser
from workflow.cli import run as run_workflow
from workflow.layout import PAGE_ENDINGS
from workflow.resolve import STAGES
from workflow.settings import load_plan
from workflow.stage import collect_numbers, make_command, reproduce_table


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """The stages of dvc.yaml as DVC reads them."""
    repo = pytest.importorskip("dvc.repo")
    folder = tmp_path_factory.mktemp("stages")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc")
    (folder / "params").mkdir()
    for name in ("dvc.yaml", "params/run.yaml"):
        shutil.copy(ROOT / name, folder / name)
    with repo.Repo(str(folder)) as opened:
        return {stage.name: stage for stage in opened.index.stages}


def test_dvc_computes_the_embedded_scale(stages):
    settings = yaml.safe_load((ROOT / "params" / "run.yaml").read_text())
    assert settings == {"scale": "digits", "source": "retrain", "overrides": {}}
    command = "python -m workflow resolve --scale digits --source retrain"
    command += " --overrides params/run.yaml"
    assert stages["plan"].cmd == command
    (params,) = stages["plan"].params
    assert params.def_path == "params/run.yaml" and params.params == [
        "scale",
        "source",
        "overrides",
    ]


def test_dvc_names_the_files_that_the_stages_make(stages):
    plan = load_plan({})
    assert set(stages) == {"plan", *STAGES}
    plans = [plan.layout.table_plan(name) for name in STAGES]
    assert [out.def_path for out in stages["plan"].outs] == plans
    for name in STAGES:
        stage = stages[name]
        assert [one.def_path for one in stage.deps] == [plan.layout.table_plan(name)]
        outs = {out.def_path: out for out in stage.outs}
        pages = [plan.layout.page(name, ending) for ending in PAGE_ENDINGS]
        assert list(outs) == [*pages, plan.layout.plots(name), plan.layout.numbers(name)]
        assert all(out.persist for out in outs.values())
        numbers = outs[plan.layout.numbers(name)]
        assert numbers.metric and not numbers.use_cache
        assert all(out.use_cache for path, out in outs.items() if out is not numbers)
        assert stage.desc == plan.tables[name].title


def test_dvc_follows_all_that_the_plan_reads(stages):
    followed = {one.def_path for one in stages["plan"].deps}
    assert {"params/tables.yaml", "params/scales", "params/released.yaml"} <= followed
    assert {"records", "reports", "specs", "workflow"} <= followed
    assert "results" not in (ROOT / ".dvcignore").read_text()


@pytest.mark.parametrize("name", STAGES)
def test_the_commands_of_a_stage_parse(stages, name):
    from snakemake.cli import get_argument_parser

    path = load_plan({}).layout.table_plan(name)
    parsed = []
    *commands, plots = stages[name].cmd
    for command in commands:
        python, *arguments = shlex.split(command)
        assert [python, *arguments[:2]] == ["python", "-m", "workflow"]
        parsed.append(make_parser().parse_args(arguments[2:]))
    assert [one.command for one in parsed] == ["reproduce", "collect"]
    assert [one.plan for one in parsed] == [path, path]
    assert parsed[0].snakemake[0] == "snakemake"
    options = get_argument_parser().parse_args(parsed[0].snakemake[1:])
    assert options.targets == [f"reproduce_{name}"]
    page, folder = load_plan({}).layout.page(name), load_plan({}).layout.plots(name)
    assert plots == f"python -m reports plots {page} --out {folder}"
    settings = ["scale=digits", "source=retrain", "overrides=params/run.yaml"]
    assert options.config == settings
    assert set(options.forcerun) == {"table"} and options.cores is None


def test_a_stage_takes_all_cores_unless_a_profile_says_where_jobs_run():
    command = ["snakemake", "--config", "scale=digits", "--", "reproduce_table3"]
    for environment in ({}, {"SNAKEMAKE_PROFILE": ""}, {"SNAKEMAKE_PROFILE": "none"}):
        assert make_command(command, environment)[1:5] == ["-m", "snakemake", "--cores", "all"]
    on_cluster = make_command(command, {"SNAKEMAKE_PROFILE": "slurm"})
    assert on_cluster[1:] == ["-m", *command]
    with pytest.raises(UserError, match="got the command rm -r x; needed: snakemake"):
        make_command(["rm", "-r", "x"], {})


def write_plan(folder, **changes):
    """Write what a small table depends on."""
    plan = {
        "format": 1, "name": "table3", "root": "results/mini", "reason": None,
        "pages": [f"results/mini/report/table3.{ending}" for ending in ("html", "json")],
        "numbers": "metrics/table3.json", "page": page_content([row_spec("t3_cond")]),
        "cells": {"t3_cond": "a.json"}, "metrics": {"a.json": "0" * 64}, **changes,
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder / "plan.json"


def test_numbers_are_collected_flat(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_plan(tmp_path)
    content = {**metrics_content(fid=2.5 * (1 + 1e-12), recall=0.5), "digest": "0" * 64}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert run_workflow(["collect", str(path)]) == 0
    numbers = json.loads((tmp_path / "metrics/table3.json").read_text())
    assert numbers == {"t3_cond.fid": 2.5, "t3_cond.precision": 0.6}  # the table's own alone


def test_numbers_of_other_settings_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_plan(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({**metrics_content(), "digest": "1" * 64}))
    with pytest.raises(UserError) as error:
        collect_numbers(path)
    assert str(error.value) == (
        f"a.json: made with other settings than those of {path} (digest 111111111111, needed "
        "000000000000), and Snakemake has no record of how; move the results away (mv results/mini "
        "results/mini.old) and run the same command again"
    )
    assert not (tmp_path / "metrics").exists()


def test_claims_are_metrics_as_effect_and_verdict(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_plan(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({**metrics_content(), "digest": "0" * 64}))
    verdicts = {"a": "supported", "b": "contradicted", "c": "inconclusive", "d": "not run"}
    claims = [
        {"id": name, "verdict": verdict, "deciding": 0, "comparisons": [{"effect": 0.5}]}
        for name, verdict in verdicts.items()
    ]
    claims[-1]["comparisons"] = [{"effect": None}]
    page = tmp_path / next(one for one in json.loads(path.read_text())["pages"] if "json" in one)
    page.parent.mkdir(parents=True)
    page.write_text(json.dumps({"claims": claims}))
    numbers = json.loads((tmp_path / collect_numbers(path)).read_text())
    found = {key: value for key, value in numbers.items() if key.startswith("claim.")}
    effects = {f"claim.{name}.effect": 0.5 for name in "abc"}
    assert found == {**effects, "claim.a.verdict": 1, "claim.b.verdict": -1, "claim.c.verdict": 0}


def test_a_broken_metrics_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps({"digest": "0" * 64, "metrics": {}}))
    with pytest.raises(UserError, match=r"a\.json: not a metrics file: format: missing"):
        collect_numbers(write_plan(tmp_path))


def test_a_table_that_the_scale_lacks_gets_a_page_that_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    reason = "table3: scale <mini> has no such table (params/tables.yaml)"
    path = write_plan(tmp_path, page=None, reason=reason, cells={}, metrics={})
    assert reproduce_table(path, ["snakemake"]) == 0
    assert reason in capsys.readouterr().out
    page = (tmp_path / "results/mini/report/table3.html").read_text()
    assert "scale &lt;mini&gt; has no such table" in page
    collect_numbers(path)
    assert json.loads((tmp_path / "metrics/table3.json").read_text()) == {}


def test_a_python_without_the_packages_says_what_to_do():
    command = [sys.executable, "-S", "-m", "workflow", "resolve"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {sys.executable} has no package ")
    assert "activate the environment of this project (. .venv/bin/activate)" in done.stderr
