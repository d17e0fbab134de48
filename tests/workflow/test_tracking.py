"""A miniature run, brought into a real MLflow server: every row has its run."""

import json

import pytest

from records.files import digest
from tests.records.tracking_case import read_back, serve, track
from tests.workflow.conftest import KEEP, cut_tables, snakemake, write_params


@pytest.mark.slow
def test_every_row_of_a_table_has_a_run_with_its_metrics(project, tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
    rows = KEEP["table3"]
    tables = write_params(tmp_path, tables=cut_tables({"table3": rows}))["tables"]
    config = ["--config", "scale=mini.yaml", f"tables={tables}", f"results={tmp_path}/results"]
    process = snakemake(project, *config, "--", "reproduce_table3")
    assert process.returncode == 0, process.stderr
    with serve(f"sqlite:///{tmp_path}/server.db", tmp_path) as address:
        said = [track(tmp_path, uri=address).stdout for _ in range(2)]
        runs = read_back(address)["mini-retrain"]
    assert "0 as they were" in said[0] and "0 new, 0 brought up to date" in said[1]
    for row in rows:
        path = tmp_path / "results" / "mini" / "retrain" / "metrics" / f"{row}.json"
        metrics = json.loads(path.read_text())
        run, spec = runs[row], metrics["protocol"]["samples"]["spec"]
        for name, metric in metrics["metrics"].items():
            assert run["metrics"][name] == pytest.approx(metric["value"], rel=1e-12)
        assert run["params"]["sampler.guidance_scale"] == json.dumps(
            spec["sampler"]["guidance_scale"]
        )
        assert run["params"]["model.name"] == spec["model"]["name"]
        assert run["tags"]["git_commit"] == metrics["protocol"]["git_commit"]
        assert run["tags"]["metrics_digest"] == metrics["digest"]
        assert run["info"]["status"] == "FINISHED"
    trained = {name for name, run in runs.items() if run["tags"]["kind"] == "model"}
    assert {"imagenet_256", "imagenet_256_uncond", "classifier_256"} <= trained
    assert runs["imagenet_256"]["metrics"]["loss"] > 0
    assert "real-imagenet_256" in runs
    report = tmp_path / "results" / "mini" / "report"
    page, claims = runs["table3"], json.loads((report / "table3.json").read_text())["claims"]
    assert page["metrics"]["supported"] == sum(one["verdict"] == "supported" for one in claims)
    assert page["tags"]["adm.sent.page.html"] == digest((report / "table3.html").read_text())
    assert "index" not in runs
