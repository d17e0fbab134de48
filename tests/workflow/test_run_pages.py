"""What pages of models and sample sets show: each set once, with all its seeds, rows and files."""

import pytest

from workflow.plan import FIGURES
from workflow.run_pages import find_sets, make_run_pages
from workflow.settings import load_plan


@pytest.fixture(scope="module")
def plan():
    return load_plan({})


def test_a_set_has_the_seeds_of_all_tables_that_show_it(plan):
    pages = {name: make_run_pages(plan, name) for name in ("table4", "early_stopping_imagenet_256")}
    shared = [
        next(one for one in page.samples if one.name == "t3_cond_guided_1")
        for page in pages.values()
    ]
    assert shared[0] == shared[1]
    assert [one.seed for one in shared[0].batches] == [0, 1, 2]
    numbers = {cell.number for cell in shared[0].cells}
    assert numbers == {"Table 3", "Table 4", "Table 5", "arXiv Table 9"}
    assert [model.name for model in shared[0].models] == ["imagenet_256", "classifier_256"]


def test_every_batch_is_in_one_set(plan):
    sets = find_sets(plan)
    batches = [name for one in sets.values() for name in one.batches.values()]
    assert sorted(batches) == sorted(plan.samples)
    stack = sets["t5_256_admg_admu"]
    assert stack.base in sets and "base" in {cell.role for cell in sets[stack.base].cells}
    assert len(sets[stack.base].batches) == len(stack.batches) == 3


@pytest.mark.parametrize("source", ["retrain", "resample", "rescore"])
def test_every_source_has_pages(source):
    settings = {} if source == "retrain" else {"scale": "paper", "source": source}
    plan = load_plan(settings)
    for table in plan.shown_tables:
        runs = make_run_pages(plan, table)
        shown = {(c.row, c.mark) for one in runs.samples for c in one.cells if c.page == table}
        rows = [row for row in plan.tables[table].rows if row not in plan.absent]
        assert {row for row, _ in shown} == {*rows}
        used = {model.name for one in runs.samples for model in one.models}
        assert used == {model.name for model in runs.models}
        assert (source == "rescore") == (not runs.models)


def test_figures_have_the_pages_of_all_their_points(plan):
    names = {one.name for one in make_run_pages(plan, FIGURES).samples}
    assert {"f4_cond_3", "t3_cond", "t1_all-700K"} <= names


def test_forecasts_are_there_where_networks_were_counted(plan):
    runs = make_run_pages(plan, "table3")
    assert all(batch.forecast_seconds for one in runs.samples for batch in one.batches)
    assert all(m.forecast_seconds for one in runs.models for t in one.trained for m in t.marks)
