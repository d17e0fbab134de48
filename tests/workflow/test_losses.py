"""Which losses are measured, what they depend on, and which of them belong to a table."""

import re

import pytest

from tests.workflow.conftest import ROOT, snakemake
from workflow.forecast_counts import load_counts
from workflow.forecast_jobs import compute_job_cost
from workflow.graph import Graph
from workflow.losses import find_loss, has_loss, make_loss_spec
from workflow.settings import load_plan
from workflow.table_spec import list_losses


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


def names(plan, table):
    paths = list_losses(plan, plan.tables[table])
    return [re.fullmatch(r".*/models/(.+)/loss-(.+)\.json", path).groups() for path in paths]


def test_losses_are_those_of_denoisers_of_the_task_with_held_out_images(plan):
    found = {name for name in plan.models if has_loss(plan, name)}
    expected = {
        name
        for name, spec in plan.models.items()
        if spec.task == "imagenet_128" and spec.kind == "diffusion"
    }
    assert found == expected and {"arch_baseline-seed1", "imagenet_128"} <= found
    assert "classifier_128" in plan.models and "imagenet_256" in plan.models
    assert find_loss(plan, "t3_cond") is None


def test_a_table_has_a_loss_for_each_row_and_seed_at_the_last_mark(plan):
    baseline = [(f"arch_baseline{seed}", "1200K") for seed in ("", "-seed1", "-seed2")]
    assert len(names(plan, "table1")) == 7 * 3
    rows = plan.tables["table1"].rows.values()
    assert set(baseline) < set(names(plan, "table1"))
    assert {model for model, _ in names(plan, "table1")} >= {row.model for row in rows}
    assert {mark for _, mark in names(plan, "table4")} == {"final"}
    assert names(plan, "table3") == names(plan, "table5") == []
    for scale in ("paper", "cifar10"):
        other = load_plan({"scale": scale})
        assert [one for name in other.tables for one in names(other, name)] == []


def test_all_models_of_a_task_see_the_same_images_timesteps_and_noise(plan):
    first, second = (make_loss_spec(plan, name, "1200K") for name in ("arch_baseline", "arch_all"))
    assert first.dataset == plan.datasets["imagenet_128-held_out"]
    assert first.model.digest == plan.models["arch_baseline"].digest
    for key in ("dataset", "loss_timesteps", "seed", "recipe"):
        assert getattr(first, key) == getattr(second, key)
    job = Graph(plan).describe(("loss", "arch_all", "1200K"))
    assert job.reads["data"] == [plan.layout.data("imagenet_128-held_out")]


def test_a_loss_is_forecast(plan):
    counts = load_counts(plan)
    cost = compute_job_cost(plan, counts, "loss", "arch_baseline", "1200K")
    timesteps = plan.scale.evaluation.loss_timesteps
    assert cost.flops == 297 * timesteps * counts["arch_baseline"]["forward_flops"]


def test_the_target_asks_for_all_of_them(tmp_path):
    arguments = ["--dry-run", "--quiet", "rules", "--config", f"results={tmp_path}", "--"]
    process = snakemake(ROOT, *arguments, "losses")
    assert process.returncode == 0, process.stderr
    lines = [line.split() for line in (process.stdout + process.stderr).splitlines()]
    counts = {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}
    plan = load_plan({})
    assert counts["loss"] == sum(len(m) for name, m in plan.marks.items() if has_loss(plan, name))
    assert counts["dataset"] == 2
