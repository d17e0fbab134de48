"""What `--config` may say, where jobs compute above all, which changes nothing that is made."""

import re
from pathlib import Path

import pytest
from snakemake.cli import parse_config

from records.errors import UserError
from tests.workflow.conftest import ROOT, snakemake
from workflow.forecast import compute_resources
from workflow.forecast_text import warn_of_missing_gpu
from workflow.graph import Graph
from workflow.settings import load_plan
from workflow.table_spec import make_table_spec

PAPER, ON_CPU = (load_plan({"scale": "paper", **more}) for more in ({}, {"device": "cpu"}))


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_a_device_takes_the_place_of_the_scales(device):
    plan = load_plan({"scale": "paper", "device": device})
    for job in Graph(plan), Graph(PAPER):
        options = job.describe(("evaluate", "t3_cond")).options
        assert f"--device {job.plan.device} " in " ".join(options)
    assert plan.device == device and PAPER.device == "cuda"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:1; true", "CPU", "mps", "cpu\n"])
def test_a_device_that_jobs_do_not_take_is_refused(device):
    with pytest.raises(UserError, match=r"device: got .*; needed: cpu, cuda, or one of s"):
        load_plan({"device": device})


def test_an_unknown_key_is_refused_with_the_keys_that_there_are():
    with pytest.raises(UserError, match=r"unknown key devise; the keys are scale, .*, device"):
        load_plan({"devise": "cpu"})


def test_no_spec_holds_the_device():
    for part in ("datasets", "models", "marks", "samples", "cells"):
        assert getattr(ON_CPU, part) == getattr(PAPER, part)
    for sample in PAPER.samples:
        assert ON_CPU.metric_spec(sample) == PAPER.metric_spec(sample)
    for table in PAPER.shown_tables:
        assert make_table_spec(ON_CPU, table) == make_table_spec(PAPER, table)


def test_a_job_on_a_cpu_asks_for_no_memory_for_a_gpus_context():
    wanted = [compute_resources(one, "evaluate", "t3_cond")["mem_mb"] for one in (PAPER, ON_CPU)]
    assert wanted[0] > wanted[1]


def test_jobs_that_need_a_gpu_which_this_machine_does_not_show_are_told_of(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = warn_of_missing_gpu(PAPER, [("fetch_npz", "x"), ("evaluate", "t3_cond")])
    assert said.startswith("warning: jobs compute on device cuda and this machine shows no GPU")
    assert "add device=cpu to --config" in said
    assert warn_of_missing_gpu(PAPER, [("fetch_npz", "x"), ("table", "table3")]) is None
    assert warn_of_missing_gpu(ON_CPU, [("evaluate", "t3_cond")]) is None
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert warn_of_missing_gpu(PAPER, [("evaluate", "t3_cond")]) is None


def test_the_jobs_commands_get_the_device(tmp_path):
    process = snakemake(
        ROOT, "--dry-run", "--printshellcmds", "--config", "scale=paper", "device=cpu",
        f"results={tmp_path}", "--", "reproduce_table3",
    )  # fmt: skip
    output = process.stdout + process.stderr
    assert process.returncode == 0, output
    assert process.stderr.startswith(f"scale paper, source retrain, results in {tmp_path}/paper\n")
    for command in ("adm train", "adm sample", "adm accuracy", "eval ceiling", "eval "):
        lines = [line for line in output.splitlines() if f"python -m {command}" in line]
        lines = [line for line in lines if "eval weights" not in line]
        assert lines and all("--device cpu" in line for line in lines), command
    assert "--device cuda" not in output


def read_commands():
    """The README's commands that say where the user's own images are."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^    (ADM_[A-Z].*)$", text, re.M)


@pytest.mark.parametrize("command", read_commands())
def test_the_readmes_commands_find_the_images_that_a_user_brings(command, tmp_path):
    settings, _, options = command.partition("snakemake --cores all ")
    places = {}
    for variable, place in (one.split("=") for one in settings.split()):
        places[variable] = str(tmp_path / Path(place).name)
        Path(places[variable]).mkdir()
    options = options.replace("--config", f"--config results={tmp_path}").split()
    process = snakemake(ROOT, "--dry-run", "--quiet", "rules", *options, **places)
    output = process.stdout + process.stderr
    assert process.returncode == 0 and "own images are missing" not in output, output


def test_the_readme_names_all_places_of_images():
    named = {
        variable for command in read_commands() for variable in re.findall(r"ADM_\w+", command)
    }
    scales = (load_plan({"scale": name}).scale for name in ("digits", "cifar10", "paper"))
    assert named == {place for scale in scales for place in scale.places}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("results", None, "results: got nothing; write results=WORD"),
        ("results", "", "results: got nothing; write results=WORD"),
        ("results", {"foo": None}, r"results: got \{'foo': None\}; write results=WORD"),
        ("results", True, "results: got True; write results=WORD"),
        ("results", "a{b}", r"results: got 'a\{b\}'; needed: a name without braces"),
        ("results", "-x", "results: got '-x'; needed: a name without braces"),
        ("results", "a\nb", r"results: got 'a\\nb'; needed: a name without braces, line breaks"),
        ("results", "/dev/null", "null: cannot be written .*a file where a folder is needed"),
        ("results", "/dev/null/x", "null/x: cannot be written .*a file where a folder is needed"),
        (
            "scale",
            "/dev/null",
            "scale: got '/dev/null'; needed: one of cifar10, decide, digits, paper, or",
        ),
        ("tables", "/dev/zero", "/dev/zero: a device; give the name of a regular file"),
        ("results", 7, r"results: Snakemake takes the word for the number 7, .* results=\./WORD"),
        ("scale", 1e3, "scale: Snakemake takes the word for the number 1000.0"),
        ("device", 1, "device: Snakemake takes the word for the number 1"),
        ("device", "", "device: got nothing; write device=WORD"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(key, value, words):
    with pytest.raises(UserError, match=words):
        load_plan({key: value})


def test_a_folder_whose_name_is_a_number_has_a_path_that_snakemake_leaves_alone():
    """As a word 007 is 7 to Snakemake, and quoted it is so again in its jobs."""
    assert parse_config(["results=007"]) == {"results": 7}
    found = parse_config(["results=./007"])
    assert load_plan(found).layout.root == "007/digits"
    assert load_plan({"results": "a/"}).layout.root == "a/digits"


def test_results_where_links_lead_in_a_circle_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match=r"results: cannot be .*links lead in a circle there"):
        load_plan({"results": str(tmp_path / "loop" / "results")})
