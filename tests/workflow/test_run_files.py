"""What a page names as the run of a number is what the jobs of the graph write."""

import pytest

from workflow.graph import Graph, name_log
from workflow.settings import load_plan
from workflow.table_spec import make_table_spec


@pytest.mark.parametrize("options", [{}, {"scale": "paper", "source": "resample"}])
def test_runs_name_files_that_jobs_write(options):
    plan = load_plan(options)
    graph = Graph(plan)
    rows = make_table_spec(plan, "table5").rows
    runs = [cell.run for row in rows for cell in row.cells.values() if cell.run]
    assert len(runs) == (8 if plan.source == "retrain" else 7)  # one classifier is not published
    logs = {
        f"{plan.layout.logs}/{name_log(graph.kinds[rule], rule, *names)}.log"
        for rule, *names in graph.jobs
    }
    for run in runs:
        assert {"metrics", "samples", "weights of the model", "log of grading"} <= run.keys()
        needs = graph.find_needs([run["metrics"]])
        jobs = [graph.describe(key) for key in needs]
        events = {word for job in jobs for word in job.options if word.endswith(".jsonl")}
        events |= {str(job.identity["events"]) for job in jobs if "events" in job.identity}
        for role, path in run.items():
            if role.startswith("log of"):
                assert path in logs
            elif role.startswith("events of"):
                assert path in events
            else:
                assert graph.makers[path] in needs
    stacked = [run for run in runs if "samples of the base" in run]
    assert len(stacked) >= 3 and any("weights of the classifier" in run for run in runs)
