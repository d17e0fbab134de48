"""The graph: which jobs each target needs, what runs them again, and what does not."""

import json
import os
import re
import shutil
import time
import zipfile

import pytest
import yaml

from records.manifest import read_manifest, write_manifest
from tests.workflow.conftest import MINI, ROOT, snakemake

MADE = ("sha256", "num_bytes")


def job_counts(process):
    """Read the table of jobs that a dry run prints."""
    output = process.stdout + process.stderr
    assert process.returncode == 0, output
    if "Nothing to be done" in output:
        return {}
    table = output.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ("reproduce_table3", {"train": 14, "sample": 18, "evaluate": 18, "table": 1}),
        ("reproduce_guidance", {"train": 14, "sample": 18, "evaluate": 18, "table": 1}),
        ("reproduce_table6", {"train": 6, "sample": 6, "evaluate": 6, "loss": 6, "table": 1}),
        ("reproduce_table1", {"train": 42, "sample": 42, "evaluate": 42, "loss": 21, "table": 1}),
        ("reproduce_upsampling", {"train": 35, "sample": 36, "evaluate": 24, "table": 1}),
        ("reproduce_all", {"train": 125, "sample": 150, "evaluate": 141, "loss": 48, "table": 8}),
    ],
)
def test_jobs_of_a_target(tmp_path, target, counts):
    process = snakemake(
        ROOT, "--dry-run", "--quiet", "rules", "--config", f"results={tmp_path}", "--", target
    )
    got = job_counts(process)
    assert {name: got.get(name, 0) for name in counts} == counts


def test_a_mistake_in_the_parameters_stops_before_any_job(project, tmp_path):
    tables = yaml.safe_load((project / "mini_tables.yaml").read_text())
    tables["table3"]["rows"]["t3_cond"]["model"] = "imagenet_25"
    path = tmp_path / "tables.yaml"
    path.write_text(yaml.safe_dump(tables, sort_keys=False))
    process = snakemake(project, "-n", "--config", "scale=mini.yaml", f"tables={path}")
    assert process.returncode != 0
    output = process.stdout + process.stderr
    assert "t3_cond: model: no model at scale mini 'imagenet_25'; did you mean" in output
    assert "Traceback" not in output
    process = snakemake(project, "-n", "--config", "scael=mini.yaml")
    assert process.returncode != 0
    assert "unknown key scael" in process.stdout + process.stderr


def test_a_folder_of_temporary_files_that_is_full_stops_before_any_job(project, tmp_path):
    (tmp_path / "file").touch()
    config = [f"results={tmp_path}/results" if one == "--" else one for one in MINI] + ["--"]
    process = snakemake(project, *config, "datasets", TMPDIR=str(tmp_path / "file"))
    output = process.stdout + process.stderr
    assert process.returncode != 0 and "Traceback" not in output
    assert f"folder of temporary files {tmp_path}/file: cannot be written" in output
    assert "or choose another with TMPDIR=FOLDER" in output
    assert not list((tmp_path / "results").rglob("*.zip"))


@pytest.fixture(scope="module")
def finished(project, tmp_path_factory):
    """The whole miniature, run for real."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(project, folder)
    process = snakemake(folder, *MINI, "reproduce_all")
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


def test_figures_are_made_of_a_finished_run(finished, tmp_path):
    """One figure of each kind: an added row, samples, their neighbours, and what lies between."""
    head = {"arxiv_v4": None, "title": "x", "about": "x", "scales": None, "rows": {}, "panels": []}
    guided = {**head, "shows": "numbers", "num_images": None}
    guided["rows"] = {"f_5": {"like": "t3_uncond_guided_10", "sampler": {"guidance_scale": 5.0}}}
    guided["lines"] = [{"label": "x", "rows": ["t3_uncond", "f_5", "t3_uncond_guided_10"]}]
    guided["panels"] = [{"across": "guidance_scale", "up": "fid"}]
    figures = {"guided": guided}
    for shows, more in (
        ("samples", {}),
        ("nearest", {"num_neighbours": 2}),
        ("between", {"num_steps": 2}),
    ):
        lines = [{"label": "x", "rows": ["t3_uncond"]}]
        figures[shows] = {**head, "shows": shows, "num_images": 2, "lines": lines, **more}
    path = tmp_path / "figures.yaml"
    path.write_text(yaml.safe_dump(figures, sort_keys=False))
    folder = shutil.copytree(finished, tmp_path / "project")
    config = [*MINI[:-1], f"figures={path}", "--", "reproduce_figures"]
    wanted = {"sample": 1, "evaluate": 1, "nearest": 1, "between": 1, "figures": 1}
    counts = job_counts(snakemake(folder, "--dry-run", "--quiet", "rules", *config))
    assert counts == {**wanted, "reproduce_figures": 1}
    process = snakemake(folder, *config)
    assert process.returncode == 0, process.stdout + process.stderr
    report = folder / "results" / "mini" / "report"
    points = (report / "figures" / "guided.csv").read_text().splitlines()
    assert [line.split(",")[6] for line in points[1:]] == ["measured"] * 3
    page = (report / "figures.html").read_text()
    assert page.count("<img ") == 1 + 3 + 4 and "drawn yet" not in page
    first = finished / "results" / "mini" / "report" / "index.html"
    assert 'href="figures.html"' not in first.read_text()
    assert 'href="figures.html"' in (report / "index.html").read_text()
    assert job_counts(snakemake(folder, "--dry-run", "--quiet", "rules", *config)) == {}


def dry_run(folder, *arguments):
    return job_counts(snakemake(folder, "--dry-run", "--quiet", "rules", *MINI, *arguments))


def test_every_page_is_there(finished):
    report = finished / "results" / "mini" / "report"
    for name in ("index", "table1", "table2", "table3", "table4", "table5"):
        page = (report / f"{name}.html").read_text()
        assert "<html" in page and "</html>" in page
    seeded = [json.loads((report / f"table{one}.json").read_text())["seeds"] for one in (1, 2)]
    counts = [[len(row["values"]) for row in spread["rows"]] for (spread,) in seeded]
    assert set(counts[0]) == {2} and counts[1] == []  # no claim is about a table of one row
    for ending in ("csv", "md", "tex", "json"):
        assert (report / f"table3.{ending}").stat().st_size > 0
    assert "26.21" in (report / "table3.html").read_text()
    metrics = json.loads((finished / "results/mini/retrain/metrics/t3_cond.json").read_text())
    assert metrics["name"] == "t3_cond" and metrics["counts"]["samples"] == 12


def test_a_report_by_snakemake_holds_the_pages_with_captions(finished, tmp_path):
    path = tmp_path / "report.zip"
    process = snakemake(finished, "--report", str(path), *MINI, "reproduce_all")
    assert process.returncode == 0, process.stderr
    with zipfile.ZipFile(path) as found:
        pages = {name.rpartition("/")[2] for name in found.namelist()}
        text = found.read("report/report.html").decode()
    assert pages == {"report.html", "index.html", *(f"table{one}.html" for one in range(1, 6))}
    assert "how many of the paper" in text and "A table of the paper beside" in text
    assert '"Overview"' in text and '"Tables"' in text


def test_another_device_makes_nothing_stale(finished):
    config = [*MINI[:-1], "device=cuda", "--"]
    process = snakemake(finished, "--dry-run", "--quiet", "rules", *config, "reproduce_all")
    assert job_counts(process) == {}


def test_a_second_run_does_nothing(finished):
    started = time.monotonic()
    process = snakemake(finished, *MINI, "reproduce_all")
    assert process.returncode == 0 and "Nothing to be done" in process.stdout + process.stderr
    assert time.monotonic() - started < 20


@pytest.fixture(params=[True, False], ids=["with records", "without records"])
def copied(request, finished, tmp_path):
    """The finished miniature elsewhere, with and without what Snakemake itself noted of it."""
    kept_here = [] if request.param else [".snakemake"]
    shutil.copytree(finished, tmp_path / "project", ignore=shutil.ignore_patterns(*kept_here))
    return tmp_path / "project"


def test_neither_comments_nor_new_times_run_anything_again(copied):
    folder = copied
    for name in (
        "adm/training/loop.py",
        "adm/networks/unet.py",
        "adm/sampling/draw.py",
        "eval/metrics/fid.py",
    ):
        with open(folder / name, "a") as file:
            file.write("\n# a comment\n")
    for name in ("workflow/rules/train.smk", "workflow/rules/sample.smk"):
        path = folder / name
        path.write_text("# a comment\n" + path.read_text().replace("python -m", "python -u -m"))
    for name in ("mini.yaml", "environment.yml"):
        path = folder / name
        path.write_text("# a comment\n" + path.read_text())
    for path in (folder / "results").rglob("*"):  # new times for all, as after rsync or a checkout
        if path.is_file():
            os.utime(path)
    heavy = {"dataset", "train", "sample", "network", "reference", "evaluate"}
    assert not heavy & set(dry_run(folder, "reproduce_all"))


def test_a_changed_spec_runs_what_hangs_on_it(copied):
    folder = copied
    scale = yaml.safe_load((folder / "mini.yaml").read_text())
    scale["models"]["classifier_64"]["training"]["learning_rate"] = 2.0e-3
    (folder / "mini.yaml").write_text(yaml.safe_dump(scale, sort_keys=False))
    counts = dry_run(folder, "reproduce_all")
    assert counts["train"] == 1
    assert counts["sample"] == 2  # the guided base and the stack on top of it
    assert counts["evaluate"] == 1
    assert counts["table"] == 1


def test_numbers_of_another_row_are_graded_again(copied):
    """With its own manifest: a row's name is no part of what it is."""
    metrics = copied / "results/mini/retrain/metrics"
    for ending in (".json", ".manifest.json"):
        shutil.copy(metrics / f"t3_cond{ending}", metrics / f"t3_uncond{ending}")
    assert dry_run(copied, "reproduce_table3")["evaluate"] == 1


def test_other_images_are_learned_from_again(copied):
    data = copied / "results/mini/data/imagenet_64.zip"
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("more", b"another image")
    manifest = read_manifest(data)
    write_manifest(data, {key: manifest[key] for key in manifest if key not in MADE})
    counts = dry_run(copied, "reproduce_table5")
    # The classifier and the denoiser.
    assert counts["train"] == 2 and "dataset" not in counts


def test_a_published_number_changes_its_page_alone(copied):
    folder = copied
    tables = yaml.safe_load((folder / "mini_tables.yaml").read_text())
    tables["table3"]["rows"]["t3_cond"]["published"]["final"]["fid"] = 11.0
    (folder / "mini_tables.yaml").write_text(yaml.safe_dump(tables, sort_keys=False))
    assert set(dry_run(folder, "reproduce_all")) == {"table", "index", "reproduce_all"}


def test_one_deleted_metrics_file_is_all_that_is_made_again(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    (folder / "results/mini/retrain/metrics/t3_uncond.json").unlink()
    counts = dry_run(folder, "reproduce_all")
    assert counts == {"evaluate": 1, "table": 1, "index": 1, "reproduce_all": 1}


def test_samples_are_the_same_for_one_core_and_two(finished, tmp_path):
    other = tmp_path / "project"
    shutil.copytree(finished, other, ignore=shutil.ignore_patterns("results", ".snakemake"))
    process = snakemake(other, *MINI, "reproduce_table3", cores=1, timeout=900)
    assert process.returncode == 0, process.stderr
    for name in ("t3_uncond", "t3_uncond_guided_10", "t3_cond"):
        path = f"results/mini/retrain/samples/{name}/samples.npz"
        assert (finished / path).read_bytes() == (other / path).read_bytes()
    for name in ("table3.html", "table3.csv", "table3.tex"):
        path = f"results/mini/report/{name}"
        assert (finished / path).read_bytes() == (other / path).read_bytes()


def test_results_of_a_failed_job_are_not_taken_for_whole(project, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    scale = yaml.safe_load((folder / "mini.yaml").read_text())
    for model in scale["models"].values():
        model["training"]["learning_rate"] = 1.0e30
    (folder / "mini.yaml").write_text(yaml.safe_dump(scale, sort_keys=False))
    target = "results/mini/retrain/models/arch_heads/ema-1200K.safetensors"
    process = snakemake(folder, *MINI, target)
    assert process.returncode != 0
    assert not (folder / target).exists()
    log = (folder / "results/mini/logs/train/arch_heads-700K.log").read_text()
    assert "error: " in log and "Traceback" not in log
