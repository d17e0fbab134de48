"""MLflow's own page on imported runs, as the system's Chromium shows it."""

import os
import re
import signal
import subprocess
import sys

import pytest
import requests

from records.events import EventLog
from reports.browser import launch
from tests.records.tracking_case import ROOT, free_port
from tests.reports.browser import needs_chromium

pytest.importorskip("mlflow", reason="MLflow is not installed (make env installs it)")
pytestmark = [pytest.mark.slow, needs_chromium]


def write_events(folder):
    """A training with its machine, and two rows with what the paper prints for them."""
    events, tags = folder / "results/mini/retrain/events", {"scale": "mini", "source": "retrain"}
    log = EventLog(events / "train-net.jsonl", tags)
    with log.record(kind="model", job="train", name="net", digest="d", spec={"channels": 8}):
        for iteration in range(50, 1050, 50):
            log.write("progress", iteration=iteration, loss=50 / iteration)
        log.write("system", cpu_utilization_percentage=87.0)
    for row, fid, printed in (("t3_cond-seed1", 3.25, 2.97), ("t3_uncond", 11.5, 10.94)):
        log = EventLog(events / f"evaluate-{row}.jsonl", {**tags, "paper": f"fid={printed}"})
        with log.record(kind="row", job="evaluate", name=row, digest="e", spec={"seed": 0}):
            log.write("metrics", fid=fid)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Address of the page on these runs, as `make ui` prints it."""
    folder = tmp_path_factory.mktemp("ui")
    write_events(folder)
    command = [sys.executable, "-m", "records", "ui", "--port", str(free_port())]
    unset = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**unset, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and "3 new" in process.stdout.readline()
        (address,) = re.findall(r"http://\S+", process.stdout.readline())
        yield address
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def find_runs(page):
    base = page.partition("/#/")[0]
    body = {"experiment_ids": ["1"]}
    answer = requests.post(f"{base}/api/2.0/mlflow/runs/search", json=body, timeout=60)
    runs = [run["info"] for run in answer.json()["runs"]]
    return base, {run["run_name"]: run["run_id"] for run in runs}


def test_the_table_shows_names_whole(page):
    with launch() as browser:
        opened = browser.new_page(viewport={"width": 1600, "height": 900})
        opened.goto(page)
        for name in ("net", "t3_cond-s1", "t3_uncond"):
            link = opened.get_by_role("link", name=name, exact=True)
            link.wait_for(timeout=60_000)
            fits = "one => [one, one.parentElement].every(e => e.scrollWidth <= e.clientWidth + 1)"
            assert link.evaluate(fits), name


def test_a_run_shows_its_curve_and_its_machine(page):
    base, runs = find_runs(page)
    with launch() as browser:
        opened = browser.new_page(viewport={"width": 1600, "height": 900})
        address = f"{base}/#/experiments/1/runs/{runs['net']}"
        opened.goto(f"{address}/model-metrics?workflowType=machine_learning")
        opened.get_by_text("net (loss)").first.wait_for(timeout=60_000)
        opened.locator("path.js-line").first.wait_for(state="attached", timeout=60_000)
        lines = opened.locator("path.js-line").evaluate_all("all => all.map(e => e.outerHTML)")
        drawn = [re.findall(r"[ML](-?[\d.]+),(-?[\d.]+)", line) for line in lines]
        curve = max(drawn, key=len)
        heights = [float(y) for _, y in curve]
        assert len(curve) >= 10 and heights == sorted(heights)  # down the page: the loss falls
        opened.goto(f"{address}/system-metrics?workflowType=machine_learning")
        opened.get_by_text("cpu_utilization_percentage").first.wait_for(timeout=60_000)


def test_the_comparison_shows_the_paper_beside_what_was_measured(page):
    base, runs = find_runs(page)
    with launch() as browser:
        # What is below the window is not drawn.
        opened = browser.new_page(viewport={"width": 1600, "height": 3000})
        chosen = ",".join(f'"{runs[name]}"' for name in ("t3_cond-s1", "t3_uncond"))
        opened.goto(f'{base}/#/compare-runs?runs=[{chosen}]&experiments=["1"]')
        opened.get_by_text("evaluate_wall_s", exact=True).wait_for(timeout=60_000)
        words = " ".join(opened.locator("body").inner_text().split())
        assert " fid paper.fid " in words and " 3.25 11.5 2.97 10.94 " in words
