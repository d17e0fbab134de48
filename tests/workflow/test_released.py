"""Tables 3, 4 and 5 from published samples and from published weights, end to end in miniature."""

import json
import os
import re
import shutil
import time

import numpy as np
import pytest
import yaml

from adm.weights.files import read_header
from tests.records.file_server import run_file_server
from tests.workflow.conftest import copy_project, snakemake, write_params
from tests.workflow.released_case import NUM_IMAGES, serve
from tests.workflow.test_snakefile import job_counts
from workflow.sealing import MADE, SHARED

pytestmark = pytest.mark.slow
TARGETS = ("reproduce_table3", "reproduce_table4", "reproduce_table5")
SOURCES = ("rescore", "resample")
PATHS = "ref_batches/imagenet/256/"


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A copy of the project, its miniature parameters, and the server of what was published."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    with run_file_server() as server:
        config = serve(server, folder, tmp_path_factory.mktemp("work"))
        yield folder, config, server, tmp_path_factory.mktemp("cache")


def run(case, source, *targets, options=(), cache=None, config=None, **environment):
    folder, own, _, empty = case
    pairs = [f"{key}={value}" for key, value in {**own, **(config or {})}.items()]
    return snakemake(
        folder, *options, "--config", *pairs, f"source={source}", "--", *targets,
        XDG_CACHE_HOME=str(cache or empty), ADM_INCEPTION="", ADM_MIRROR="", **environment,
    )  # fmt: skip


def read_metrics(folder, source, name):
    return json.loads((folder / f"results/mini/{source}/metrics/{name}.json").read_text())


@pytest.fixture(scope="module")
def rescored(case):
    """Source rescore; the server dies in the middle of two files and then goes on."""
    server = case[2]
    for name in ("admnet_imagenet256", "VIRTUAL_imagenet256_labeled"):
        server.served[f"/{PATHS}{name}.npz"].plans[:] = ["die", "ok"]
    process = run(case, "rescore", *TARGETS)
    assert process.returncode == 0, process.stdout + process.stderr
    return case[0]


@pytest.fixture(scope="module")
def resampled(case, rescored):
    """Source resample beside it; the server dies in the middle of a checkpoint."""
    case[2].served["/256x256_diffusion.pt"].plans[:] = ["die", "ok"]
    process = run(case, "resample", *TARGETS)
    assert process.returncode == 0, process.stdout + process.stderr
    return rescored


def list_graded(folder, source):
    paths = (folder / "results" / "mini" / source / "metrics").glob("*.json")
    return sorted(path.stem for path in paths if not path.stem.endswith(".manifest"))


def test_published_samples_are_graded(rescored):
    graded = list_graded(rescored, "rescore")
    assert graded == [
        "t3_cond", "t3_cond_guided_1", "t4_64_adm", "t4_64_biggandeep", "t4_horse_adm_dropout",
        "t5_256_admg_admu", "t5_512_adm_admu", "t5_512_admg_admu",
    ]  # fmt: skip
    metrics = read_metrics(rescored, "rescore", "t3_cond")
    assert metrics["counts"]["samples"] == NUM_IMAGES and metrics["counts"]["reference"] is None
    assert metrics["protocol"]["samples"]["url"].endswith(PATHS + "admnet_imagenet256.npz")
    assert all(np.isfinite(one["value"]) for one in metrics["metrics"].values())
    page = (rescored / "results/mini/report/table4.html").read_text()
    assert "BigGAN-deep" in page and "not commercial" in page
    assert "quoted by the authors from an earlier paper" in page
    rows = (rescored / "results/mini/report/table4.csv").read_text().splitlines()[1:]
    assert sum(",measured," in row for row in rows) == 16  # 4 metrics of 4 batches


def test_a_broken_download_went_on_where_it_stopped(rescored, case):
    first, second = case[2].gets(f"/{PATHS}VIRTUAL_imagenet256_labeled.npz")
    assert first.num_bytes > 0 and int(re.findall(r"\d+", second.headers["range"])[0]) > 0
    assert len(case[2].gets(f"/{PATHS}admnet_imagenet256.npz")) == 2  # too small to go on within


def test_published_weights_draw_samples(resampled):
    drawn = list_graded(resampled, "resample")
    assert drawn == [
        "t3_cond", "t3_cond_guided_1", "t3_uncond", "t3_uncond_guided_10", "t4_64_adm_dropout",
        "t4_horse_adm_dropout", "t5_256_admg_admu", "t5_512_adm_admu",
    ]  # fmt: skip
    models = resampled / "results/mini/resample/models"
    found = read_header(models / "imagenet_256" / "ema-final.safetensors")
    assert found.spec.content()["training"]["released"] == "256x256_diffusion.pt"
    assert found.iteration == 1_980_000
    with np.load(resampled / "results/mini/resample/samples/t5_256_admg_admu/samples.npz") as batch:
        assert batch["arr_0"].shape == (NUM_IMAGES, 16, 16, 3) and len(batch["arr_1"]) == NUM_IMAGES
    page = (resampled / "results/mini/report/table5.html").read_text()
    assert "classifier_128_stack" in page and "64_256_upsampler.pt" in page


def test_sources_stand_side_by_side(resampled):
    page = (resampled / "results/mini/report/table3.html").read_text()
    assert '<span class="other">rescore <b>' in page and "source <b>resample</b>" in page
    first, second = (read_metrics(resampled, s, "t3_cond") for s in ("rescore", "resample"))
    assert first["digest"] != second["digest"]
    assert first["metrics"]["fid"]["value"] != second["metrics"]["fid"]["value"]


def test_a_number_of_older_settings_leaves_the_page_and_a_new_one_comes_back(resampled, case):
    path = resampled / "results/mini/rescore/metrics/t3_cond.json"
    fresh = path.read_text()
    older = fresh.replace(json.loads(fresh)["digest"], "0" * 64)
    for content in (older, fresh):
        path.write_text(content)
        process = run(case, "resample", "reproduce_table3")
        assert process.returncode == 0, process.stdout + process.stderr
        page = (resampled / "results/mini/report/table3.html").read_text()
        assert ("source rescore that was made with other settings" in page) == (content == older)


def test_a_second_run_makes_at_most_the_page(resampled, case):
    assert job_counts(run(case, "resample", *TARGETS, options=("-n", "--quiet", "rules"))) == {}
    counts = job_counts(run(case, "rescore", *TARGETS, options=("-n", "--quiet", "rules")))
    assert set(counts) == {"table", *TARGETS}


def test_an_ablation_has_neither(case):
    process = run(case, "resample", "reproduce_table1", options=("-n",))
    output = process.stdout + process.stderr
    assert process.returncode != 0 and "the ablation models of Tables 1, 2 and 6" in output


def change_released(folder, tmp_path, base=None, **entry):
    """Write another list of published files; return the configuration with results of its own."""
    released = yaml.safe_load((folder / "released.yaml").read_text())
    released["base"] = base or released["base"]
    for section, changes in entry.items():
        for name, values in changes.items():
            released[section][name] |= values
    config = write_params(tmp_path, released=released)
    return {**config, "results": str(tmp_path / "results")}


@pytest.mark.parametrize(
    ("source", "section", "name", "path"),
    [
        ("rescore", "samples", "t3_cond", PATHS + "admnet_imagenet256.npz"),
        ("resample", "checkpoints", "256x256_diffusion", "256x256_diffusion.pt"),
    ],
)
def test_a_wrong_file_stops_the_run_with_a_clear_word(case, source, section, name, path, tmp_path):
    changes = {section: {name: {"sha256": "0" * 64}}}
    config = change_released(case[0], tmp_path, **changes)
    process = run(case, source, f"{config['results']}/mini/released/{path}", config=config)
    output = process.stdout + process.stderr
    assert process.returncode != 0 and "Traceback" not in output
    assert f"{'0' * 64} is needed" in output and "another file and was not kept" in output
    assert not list(tmp_path.rglob(path.rpartition("/")[2] + "*"))


def test_weights_of_another_model_are_refused(case, tmp_path):
    other = {"256x256_diffusion": {"path": "256x256_diffusion_uncond.pt"}}
    config = change_released(case[0], tmp_path, checkpoints=other)
    results = tmp_path / "results/mini"
    weights = results / "resample/models/imagenet_256/ema-final.safetensors"
    process = run(case, "resample", str(weights), config=config)
    assert process.returncode != 0 and not weights.exists()
    log = (results / "logs/resample/import/imagenet_256-final.log").read_text()
    assert "256x256_diffusion_uncond.pt" in log and "label_emb.weight" in log
    assert log.count("error: ") == 1 and "Traceback" not in log


@pytest.fixture(scope="module")
def warm(resampled, tmp_path_factory):
    """A machine's cache that holds everything that both sources fetched."""
    cache = tmp_path_factory.mktemp("warm") / "adm-tables"
    cache.mkdir()
    for path in (resampled / "results/mini/released/downloads").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            os.link(path, cache / path.name)
    return cache.parent


def list_fetched(folder):
    """The published files in the results, by their path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for suffix in ("npz", "pt")
        for path in folder.rglob(f"*.{suffix}")
        if "downloads" not in path.parts
    }


@pytest.mark.parametrize("source", ["rescore", "resample"])
def test_a_warm_cache_needs_no_server(resampled, case, warm, source, tmp_path):
    config = change_released(resampled, tmp_path, base="http://127.0.0.1:9/")  # nobody listens
    options = ("--until", "fetch_npz", "fetch_pt", "network")
    process = run(case, source, *TARGETS, options=options, config=config, cache=warm)
    assert process.returncode == 0, process.stdout + process.stderr
    results, first = tmp_path / "results/mini", resampled / "results/mini"
    fetched, known = list_fetched(results / "released"), list_fetched(first / "released")
    assert all(content == known[name] for name, content in fetched.items())
    needed = {"rescore": r"\.npz$", "resample": r"VIRTUAL_|\.pt$"}[source]
    assert set(fetched) == {name for name in known if re.search(needed, name)}
    graph = "network/inception.pb"
    assert (results / graph).read_bytes() == (first / graph).read_bytes()
    # What was made of the same files before stands for the jobs in between; the pages are made.
    # Snakemake made none of it here and judges by its times: none is older than what it depends on.
    shutil.copytree(
        first / source, results / source, copy_function=shutil.copyfile, dirs_exist_ok=True
    )
    now = time.time()
    for path in (results / source).rglob("*"):
        os.utime(path, (now, now))
    process = run(case, source, *TARGETS, config=config, cache=warm)
    assert process.returncode == 0, process.stdout + process.stderr
    for number in (3, 4, 5):
        page = f"report/table{number}.html"
        assert "<html" in (results / page).read_text()
    logs = results / "logs" / source
    rules = {path.relative_to(logs).parts[0] for path in logs.rglob("*.log")}
    assert rules == {"fetch", "network", "table"}


def test_published_samples_are_graded_from_a_warm_cache(resampled, case, warm, tmp_path):
    config = change_released(resampled, tmp_path, base="http://127.0.0.1:9/")
    process = run(case, "rescore", "reproduce_table3", config=config, cache=warm)
    assert process.returncode == 0, process.stdout + process.stderr
    fresh = json.loads((tmp_path / "results/mini/rescore/metrics/t3_cond.json").read_text())
    assert fresh["metrics"] == read_metrics(resampled, "rescore", "t3_cond")["metrics"]


def test_without_server_and_cache_the_file_to_bring_is_named(case, tmp_path):
    target = f"{tmp_path}/mini/released/{PATHS}admnet_imagenet256.npz"
    process = run(case, "rescore", target, config={"results": tmp_path}, ADM_OFFLINE="1")
    output = process.stdout + process.stderr
    assert process.returncode != 0 and "Traceback" not in output
    assert "ADM_OFFLINE is set" in output and "admnet_imagenet256.npz" in output


def test_what_is_sealed_is_all_that_finished_numbers_need(case, resampled, tmp_path):
    """As in a clone that has pulled it: neither Snakemake's notes nor logs nor states are there."""
    folder = tmp_path / "project"
    shutil.copytree(resampled, folder)
    made = folder / "results" / "mini"
    left = {*made.iterdir()} - {made / name for name in (*SHARED, "report", *SOURCES)}
    left |= {one for name in SOURCES for one in (made / name).iterdir() if one.name not in MADE}
    for path in (folder / ".snakemake", *left):
        shutil.rmtree(path)
    for source in SOURCES:
        process = run((folder, *case[1:]), source, *TARGETS, options=("--dry-run",))
        assert process.returncode == 0, process.stdout + process.stderr
        planned = set(re.findall(r"^(?:local)?rule (\w+):", process.stdout, re.M))
        assert planned <= {"table", "index", *TARGETS}, planned
