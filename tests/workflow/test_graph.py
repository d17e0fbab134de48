"""The jobs of a plan: who needs whom, what makes work stale, and what does not."""

import re
import shlex
import subprocess
from inspect import signature
from pathlib import Path

import pytest
import yaml

from records.errors import UserError
from specs.datasets import OwnImagesSpec
from tests.workflow.conftest import KEEP, ROOT, cut_tables, mini_scale, snakemake, write_params
from workflow.availability import SOURCES
from workflow.graph import Graph
from workflow.rule_parts import make_rules, run
from workflow.settings import load_plan

RUNS = [("digits", "retrain"), ("cifar10", "retrain"), *(("paper", source) for source in SOURCES)]
HOSTILE = "$(touch hostile)"


def load_scale(name):
    return yaml.safe_load((ROOT / "params" / "scales" / f"{name}.yaml").read_text())


def identify(plan):
    graph = Graph(plan)
    return {key: graph.describe(key).identity for key in graph.jobs if key[0] not in PAGES}


PAGES = ("table", "figures", "index")  # their identity holds the paths of the parameters


@pytest.mark.parametrize(("scale", "source"), RUNS)
def test_some_job_makes_every_input_and_goes_before(scale, source):
    plan = load_plan({"scale": scale, "source": source})
    graph = Graph(plan)
    assert len(graph.makers) > len(graph.jobs)
    for key in graph.jobs:
        for path in (one for paths in graph.describe(key).inputs.values() for one in paths):
            assert path in graph.makers, (key, path)
    needs = graph.find_needs([plan.layout.page("index")])
    places = {key: place for place, key in enumerate(needs)}
    for key, needed in needs.items():
        assert all(places[one] < places[key] for one in needed), key


@pytest.mark.parametrize(("scale", "source"), RUNS)
def test_what_stands_beside_an_input_is_made_with_it(scale, source):
    graph = Graph(load_plan({"scale": scale, "source": source}))
    reads = [graph.describe(key).reads for key in graph.jobs]
    stored = [one for found in reads for many in found.values() for one in many]
    assert stored
    for file, spec in stored:
        assert graph.makers[file] == graph.makers[spec]


@pytest.mark.parametrize(("scale", "source"), RUNS)
def test_every_job_records_events_in_a_file_of_its_own(scale, source):
    """The marks of a model are stages of one training, which has one file."""
    plan = load_plan({"scale": scale, "source": source})
    graph, owners = Graph(plan), {}
    folder = plan.layout.events("").removesuffix(".jsonl")
    for key in graph.jobs:
        job = graph.describe(key)
        words = ["--events", str(job.identity.get("events")), *job.options]
        path = words[len(words) - words[::-1].index("--events")]
        assert path.startswith(folder) and "/" not in path.removeprefix(folder), key
        assert {f"scale={plan.scale.name}", f"source={source}"} <= {*words}, key
        shown = plan.shown_tables if key[0] == "table" else []
        assert not shown or f"pages={key[1]}" in words
        owner = key[:2] if key[0] == "train" else key
        assert owners.setdefault(path, owner) == owner


def test_a_guided_upsampler_needs_its_base_and_all_their_weights():
    graph = Graph(load_plan({}))
    needs = graph.find_needs([graph.plan.layout.metrics("t5_256_admg_admu")])
    assert needs["sample", "t5_256_admg_admu"] == [
        ("train", "upsampler_64_256", "final"), ("sample", "t5_256_admg_admu-base"),
    ]  # fmt: skip
    assert ("train", "classifier_64", "final") in needs["sample", "t5_256_admg_admu-base"]
    assert ("evaluate", "t3_cond") not in needs and ("table", "table5") not in needs


def test_how_jobs_are_run_makes_nothing_stale(tmp_path):
    scale = load_scale("cifar10")
    scale["compute"] |= {"device": "cuda:1", "threads": 3, "keep_state": False}
    scale["sampling"]["images_per_shard"] = 7
    scale["places"] = dict.fromkeys(scale["places"], "elsewhere")
    shipped = load_plan({"scale": "cifar10"})
    other = load_plan({**write_params(tmp_path, scale=scale)})
    assert identify(other) == identify(shipped)
    for key, option in {
        ("train", "imagenet_256", "final"): ["--drop-state", "1"],
        ("sample", "t3_cond"): ["--images-per-shard", "7"],
        ("evaluate", "t3_cond"): ["--device", "cuda:1", "--threads", "3"],
        ("prepare", "imagenet_256"): ["--path", "elsewhere"],
    }.items():
        shown, before = (" ".join(Graph(one).describe(key).options) for one in (other, shipped))
        assert " ".join(option) in shown and " ".join(option) not in before


def test_where_published_files_are_from_makes_nothing_stale(tmp_path):
    released = yaml.safe_load((ROOT / "params" / "released.yaml").read_text())
    released["base"] = "https://elsewhere.example/"
    released["licence"] = dict.fromkeys(released["licence"], "none")
    config = {"scale": "paper", "source": "resample"}
    other = load_plan({**config, **write_params(tmp_path, released=released)})
    assert identify(other) == identify(load_plan(config))


def test_where_own_images_are_is_an_option_alone(monkeypatch, tmp_path):
    plan = load_plan({"scale": "paper"})
    before = Graph(plan).describe(("prepare", "imagenet_64"))
    monkeypatch.setenv("ADM_IMAGENET", str(tmp_path))
    after = Graph(plan).describe(("prepare", "imagenet_64"))
    assert after.options[-2:] == ["--path", str(tmp_path)] != before.options[-2:]
    assert after.identity == before.identity and before.missing and not after.missing
    assert isinstance(plan.datasets["imagenet_64"], OwnImagesSpec)


def test_a_device_that_is_none_is_refused_where_the_scale_says_it(tmp_path):
    scale = load_scale("digits")
    scale["compute"]["device"] = f"cpu:{HOSTILE}"
    with pytest.raises(UserError, match=r"scale.yaml: compute: device: got 'cpu:\$.*; needed: cp"):
        load_plan(write_params(tmp_path, scale=scale))


def list_texts(tree, path=()):
    """The paths of all texts of a file; that of a mapping's name ends in None."""
    if isinstance(tree, str):
        yield path
    places = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in places:
        if isinstance(tree, dict):
            yield (*path, key, None)
        yield from list_texts(tree[key], (*path, key))


def make_hostile(tree, path):
    """A file in which one text, or one name, is a command."""
    if not path:
        return HOSTILE
    if path[1:] == (None,):
        return {HOSTILE if key == path[0] else key: one for key, one in tree.items()}
    changed = dict(tree) if isinstance(tree, dict) else list(tree)
    changed[path[0]] = make_hostile(tree[path[0]], path[1:])
    return changed


SHOWN = cut_tables({"table3": KEEP["table3"]})
FILES = {
    "retrain": {"scale": mini_scale(), "tables": SHOWN},
    "rescore": {
        "tables": SHOWN,
        "released": yaml.safe_load((ROOT / "params" / "released.yaml").read_text()),
    },
}


@pytest.mark.parametrize(
    ("source", "name"), [("retrain", "scale"), ("retrain", "tables"), ("rescore", "released")]
)
def test_no_text_of_a_parameter_file_is_a_command(tmp_path, source, name):
    """Each is refused, or the commands with it, which are run without a Python, do nothing."""
    files, num_taken = dict(FILES[source]), 0
    config = {"source": source, "results": str(tmp_path / f"results {HOSTILE}")}
    config["scale"] = "paper" if source == "rescore" else "digits"
    # Of equal places in equal entries one will do.
    places = {(path[0], path[-1], len(path)): path for path in list_texts(files[name])}
    # Names last, the innermost first: the paths of the others go by them.
    for path in sorted(places.values(), key=lambda path: (path[-1] is None, -len(path))):
        changed = {**files, name: make_hostile(files[name], path)}
        try:
            load_plan({**config, **write_params(tmp_path, **changed)})
        except UserError:
            continue
        files, num_taken = changed, num_taken + 1
    assert num_taken > 2 and len(places) > 10
    config |= write_params(tmp_path, **files)
    process = snakemake(
        ROOT, "--dry-run", "--printshellcmds", "--config",
        *(f"{key}={value}" for key, value in config.items()), "--", "reproduce_table3",
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    commands = [line for line in process.stdout.splitlines() if "python -m" in line]
    assert len(commands) > 4
    script = ["python() { :; }"]
    for command in commands:
        folders = [
            str(Path(word).parent)
            for word in shlex.split(command)
            if word.startswith(config["results"])
        ]
        script += [shlex.join(["mkdir", "-p", *folders]), command.removeprefix("Shell command: ")]
    done = subprocess.run(["bash", "-eu"], input="\n".join(script), text=True, cwd=tmp_path)
    assert done.returncode == 0 and not (tmp_path / "hostile").exists()


def test_every_word_of_a_rules_command_is_quoted():
    """A placeholder without `:q` is a command as soon as its text is one."""
    texts = [path.read_text() for path in (ROOT / "workflow").rglob("*.smk")]
    texts += [run(writes_spec=True), run(shows=True)]
    found = re.findall(
        r"\{((?:input|output|params|wildcards|log|threads|resources|config)\b[^{}]*)\}",
        "\n".join(texts),
    )
    assert len(found) > 50
    assert [one for one in found if not one.endswith(":q")] == []


def test_a_page_is_made_again_when_another_sources_numbers_are_new(tmp_path):
    plan = load_plan({"scale": "paper", "results": str(tmp_path)})
    other = load_plan({"scale": "paper", "results": str(tmp_path), "source": "rescore"})
    path = tmp_path / "paper/rescore/metrics/t3_cond.json"
    path.parent.mkdir(parents=True)
    assert str(path) == other.layout.metrics("t3_cond")
    found = []
    for content in ("{}", "{ }"):
        path.write_text(content)
        job = Graph(plan).describe(("table", "table3"))
        assert job.inputs["others"] == [str(path)]
        found.append(job.identity["others"]())
    assert len(found[0]) == 1 and found[0] != found[1]


@pytest.mark.parametrize(("scale", "source"), RUNS)
def test_snakemake_sees_the_identity_and_no_option(scale, source):
    """A param whose function takes inputs, outputs, threads or resources is none that it keeps."""
    for rule, parts in make_rules(load_plan({"scale": scale, "source": source})).items():
        taken = {name: {*signature(find).parameters} for name, find in parts.params.items()}
        assert taken["run_options"] == {"wildcards", "output"}
        assert taken.pop("attempt") == {"wildcards", "output", "resources"}
        for option in ("run_options", "ended", "launch", "threads"):
            assert taken.pop(option, {"wildcards", "output"}) == {"wildcards", "output"}
        assert taken and all(names == {"wildcards"} for names in taken.values()), rule


@pytest.mark.parametrize(("scale", "shown"), [("paper", True), ("digits", False)])
def test_numbers_that_are_held_against_published_ones_take_their_arithmetic(scale, shown):
    graph = Graph(load_plan({"scale": scale}))
    keys = [key for key in graph.jobs if key[0] in ("evaluate", "ceiling")]
    assert {key[0] for key in keys} == {"evaluate", "ceiling"}
    assert {"--half-distances" in graph.describe(key).options for key in keys} == {shown}
