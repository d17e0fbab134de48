"""Figures in the plan and the graph: they alone ask for their samples, and none is drawn twice."""

import pytest

from records.errors import UserError
from tests.workflow.conftest import KEEP, ROOT, cut_tables, snakemake, write_params
from tests.workflow.test_snakefile import job_counts
from workflow.figures import make_figure_page
from workflow.forecast import make_forecast
from workflow.forecast_counts import load_counts
from workflow.forecast_jobs import compute_job_cost
from workflow.graph import Graph
from workflow.plan import FIGURES, find_pages
from workflow.settings import load_plan
from workflow.targets import find_files, find_tables


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


def list_added(plan):
    return [row for figure in plan.figures.values() for row in figure.rows]


def test_added_rows_have_the_seeds_labels_and_noise_of_their_like(plan):
    for seed in ("", "-seed1", "-seed2"):
        like, added = plan.drawn(f"t3_cond_guided_1{seed}"), plan.drawn(f"f4_cond_3{seed}")
        scales = (like.sampler.guidance_scale, added.sampler.guidance_scale)
        assert scales == (1.0, 3.0)
        changes = {"sampler": like.sampler, "name": like.name}
        assert added.model_copy(update=changes) == like


def test_rows_that_a_table_draws_are_not_drawn_again(plan, tmp_path):
    text = (ROOT / "params" / "figures.yaml").read_text()
    path = tmp_path / "figures.yaml"
    path.write_text(text.replace("guidance_scale: 2.0", "guidance_scale: 10.0"))
    changed = load_plan({"figures": str(path)})
    assert changed.cells["f4_cond_2"] == "t3_cond_guided_10"
    assert "f4_cond_2" not in changed.samples and "f4_cond_2" in plan.samples


def test_points_know_where_the_paper_has_its_own(plan):
    figures = {one.name: one for one in make_figure_page(plan).figures}
    points = [one for name in ("heads", "guidance") for one in figures[name].lines[1].points]
    own = {one.row: one.paper_settings for one in points}
    assert own["t2_head_channels_32"] == {"head_channels": 32} and own["t3_uncond"] == {}
    mark = figures["stopping"].lines[0].points[0]
    assert mark.settings["iterations"] < 1000
    assert mark.paper_settings["iterations"] == 250_000


def test_only_figures_ask_for_what_only_they_show(plan):
    graph = Graph(plan)
    added = {one for one in plan.samples if find_pages(plan, one) == {FIGURES}}
    assert {one.split("-")[0] for one in added} == {*list_added(plan)}
    own = {(rule, name) for rule in ("sample", "evaluate") for name in added}
    own |= {("nearest", "t3_cond_guided_1"), ("between", "t3_uncond")}
    own |= {("denoising", "t3_cond"), ("denoising", "t3_uncond_guided_10")}
    for target in ("reproduce_all", "samples", "metrics", "table3", "models"):
        assert not own & {*graph.find_needs(find_files(plan, target))}
    needs = {*graph.find_needs(find_files(plan, FIGURES))}
    assert own <= needs
    tables = [find_files(plan, name) for name in make_figure_page(plan).tables]
    others = {*graph.find_needs([path for files in tables for path in files])}
    assert {key for key in needs - others if key[0] != FIGURES} == own


def test_a_dry_run_of_the_figures_counts_their_own_jobs_beside_those_of_tables(tmp_path):
    counts = {}
    for target in ("reproduce_all", "reproduce_figures"):
        config = ["--config", f"results={tmp_path}", "--", target]
        counts[target] = job_counts(snakemake(ROOT, "-n", "--quiet", "rules", *config))
    assert counts["reproduce_figures"]["figures"] == 1
    assert "table" not in counts["reproduce_figures"] and "figures" not in counts["reproduce_all"]


def test_the_forecast_counts_figures_only_when_asked(plan):
    assert FIGURES not in find_tables(plan, ["reproduce_all"])
    assert find_tables(plan, ["figures"]) == find_tables(plan, ["reproduce_figures"]) == [FIGURES]
    forecast = make_forecast(plan, ["figures"])
    assert forecast["jobs"]["between"] == forecast["jobs"]["nearest"] == 1
    assert forecast["stages"]["between"]["flops"] > 0
    work = {
        name: compute_job_cost(plan, load_counts(plan), *name)
        for name in (("denoising", "t3_uncond_guided_10"), ("sample", "t3_uncond_guided_10"))
    }
    few, all_of_them = (one.flops for one in work.values())
    assert few == all_of_them * 10 / plan.samples["t3_uncond_guided_10"].num_samples


@pytest.mark.parametrize("source", ["rescore", "resample"])
def test_a_source_without_a_rows_samples_says_why(source):
    plan = load_plan({"scale": "paper", "source": source})
    page = make_figure_page(plan)
    reasons = {row.id: row.reason for rows in page.rows.values() for row in rows}
    if source == "resample":
        assert reasons["f4_cond_2"] is None and plan.cells["f4_cond_2"] == "f4_cond_2"
        assert ("denoising", "t3_cond") in Graph(plan).jobs
    else:
        assert reasons["f4_cond_2"].startswith("no samples of this row were published")
        assert not {"denoising", "between"} & {rule for rule, *_ in Graph(plan).jobs}


def test_other_tables_have_no_figures_unless_these_are_named_too(tmp_path):
    write_params(tmp_path, tables=cut_tables(KEEP))
    config = {"tables": str(tmp_path / "tables.yaml")}
    assert load_plan(config).figures == {} and load_plan({"figures": "none"}).figures == {}
    assert ("figures",) not in Graph(load_plan(config)).jobs
    with pytest.raises(UserError, match=r"figures.yaml: guidance: rows: f4_cond_2: like: got"):
        load_plan({**config, "figures": "./params/figures.yaml"})
