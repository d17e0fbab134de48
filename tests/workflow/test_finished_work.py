"""What lies beside an output decides whether it is what is planned."""

import json
import os
from pathlib import Path

import pytest

from adm.sampling.shards import KEPT_NAME
from records.files import canonical_json, sha256_file, write_json
from records.manifest import manifest_path
from specs.run_pages import list_run_pages
from workflow.finished_work import find_differences, is_whole, list_saved, mend
from workflow.graph import Graph
from workflow.machine import Cut
from workflow.run_pages import make_run_pages
from workflow.settings import load_plan
from workflow.table_spec import make_table_spec

WEIGHTS, SAMPLES = ("train", "classifier_64", "final"), ("sample", "t4_64_adm_dropout")
METRICS, REFERENCE = ("evaluate", "t4_64_adm_dropout"), ("reference", "imagenet_64")


@pytest.fixture
def graph(tmp_path):
    return Graph(load_plan({"results": str(tmp_path)}))


def finish(graph, key, content="x", inputs=None, **texts):
    """Write a job's work with what is written beside it; `texts` change its manifest."""
    job, written = graph.describe(key), graph.write(key)
    Path(written["file"]).parent.mkdir(parents=True, exist_ok=True)
    Path(written["file"]).write_text(content)
    if Path(written.get("spec", "")) not in (Path(""), manifest_path(written["file"])):
        Path(written["spec"]).write_text(job.identity["spec"])
    sha256 = sha256_file(written["file"])
    manifest = {"sha256": sha256, "num_bytes": len(content), "inputs": inputs or {}, **texts}
    write_json(manifest_path(written["file"]), manifest)
    return written["file"], sha256


def finish_metrics(graph, **changes):
    identity = graph.describe(METRICS).identity
    names = identity["metrics"].split(",")
    result = {"digest": identity["digest"], "metrics": dict.fromkeys(names), **changes}
    return finish(graph, METRICS, canonical_json(result), digest=result["digest"])


def test_what_is_as_planned(graph):
    iterations = graph.describe(WEIGHTS).identity["iterations"]
    finish(graph, WEIGHTS, iteration=iterations)
    finish(graph, SAMPLES)
    finish(graph, REFERENCE, digest=graph.describe(REFERENCE).digest)
    finish_metrics(graph)
    for key in (WEIGHTS, SAMPLES, REFERENCE, METRICS):
        assert find_differences(graph, key) == [] and is_whole(graph, key), key


def test_a_page_has_no_manifest_that_could_say_that_it_is_whole(graph):
    key = next(one for one in graph.jobs if one[0] == "table")
    for path in map(Path, graph.write(key).values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert not is_whole(graph, key)


@pytest.mark.parametrize("key", [WEIGHTS, SAMPLES, METRICS, REFERENCE])
def test_what_a_job_has_saved_is_listed(graph, key):
    job, layout = graph.describe(key), graph.plan.layout
    folder = {"train": job.identity.get("state"), "sample": job.identity.get("shards")}.get(key[0])
    folder = Path(folder or layout.features(key[1]))
    folder.mkdir(parents=True)
    for name in ("lock", ".000000-000010.npz.x.tmp"):
        (folder / name).touch()
    assert list_saved(graph, key) == {}
    (folder / "part").touch()
    saved = list_saved(graph, key)
    assert list(saved) == ([] if key == REFERENCE else [str(folder / "part")])
    os.utime(folder / "part", ns=(1, 1))
    assert list_saved(graph, key) != saved or key == REFERENCE


def test_pages_of_runs_that_are_gone_are_written_again(graph):
    """Several tables write one, so that none has it among its outputs."""
    key = ("table", "table3")
    written, runs = graph.write(key), make_run_pages(graph.plan, "table3")
    report = Path(written["runs"]).parent
    for folder in ("samples", "models"):
        (report / folder).mkdir(parents=True)
    write_json(written["spec"], make_table_spec(graph.plan, "table3").content())
    write_json(written["runs"], runs.content())
    addresses = list_run_pages(runs.content())
    assert {"samples/t3_cond.html", "models/imagenet_256_uncond.html"} < {*addresses}
    assert len(addresses) == len(runs.samples) + len(runs.models)
    for address in addresses:
        (report / address).write_text("page")
    assert find_differences(graph, key) is None  # all else, Snakemake knows
    (report / "models/imagenet_256_uncond.html").unlink()
    gone = f"{report}/models/imagenet_256_uncond.html: no such file"
    assert find_differences(graph, key) == [gone]
    Path(written["runs"]).write_text("[]")
    assert "runs.json: " in find_differences(graph, key)[0]
    write_json(written["spec"], {"other": 1})
    assert "spec.json: " in find_differences(graph, key)[0]


def test_names_are_no_difference_and_neither_are_whole_numbers(graph):
    spec = json.loads(graph.describe(SAMPLES).identity["spec"])
    assert spec["sampler"]["eta"] == 0.0
    spec["sampler"]["eta"], spec["name"] = 0, "before"
    finish(graph, SAMPLES, spec=spec)
    Path(graph.write(SAMPLES)["spec"]).write_text(json.dumps(spec))
    assert find_differences(graph, SAMPLES) == []


def test_results_of_earlier_versions_have_a_spec_alone(graph):
    file, _ = finish(graph, WEIGHTS)
    manifest_path(file).unlink()
    assert find_differences(graph, WEIGHTS) == []
    finish(graph, REFERENCE)
    assert find_differences(graph, REFERENCE) is None


def test_what_is_not_there_is_not_told(graph):
    assert find_differences(graph, WEIGHTS) is None
    finish(graph, SAMPLES)
    Path(graph.write(SAMPLES)["protocol"]).unlink()
    Path(graph.write(SAMPLES)["spec"]).unlink()
    assert not is_whole(graph, SAMPLES)


def test_another_spec_iteration_or_digest_is_told(graph):
    iterations = graph.describe(WEIGHTS).identity["iterations"]
    file, _ = finish(graph, WEIGHTS, iteration=1)
    assert find_differences(graph, WEIGHTS) == [f"{file}: iteration 1, not {iterations}"]
    file, _ = finish(graph, SAMPLES, spec={"name": "t4_64_adm_dropout"})
    (words,) = find_differences(graph, SAMPLES)
    assert words.startswith(f"{file}: spec ") and not is_whole(graph, SAMPLES)
    file, _ = finish_metrics(graph, digest="0" * 64)
    assert find_differences(graph, METRICS)[0].startswith(f"{file}: digest 000000000000, not ")


def test_numbers_that_were_edited_or_are_too_few_are_told(graph):
    file, _ = finish_metrics(graph, metrics={"fid": None})
    assert find_differences(graph, METRICS)[0].startswith(f"{file}: lacks is, ")
    file, _ = finish_metrics(graph)
    Path(file).write_text(Path(file).read_text().replace("null", "0.1", 1))
    assert find_differences(graph, METRICS) == [f"{file}: changed since it was made"]


def test_inputs_that_are_others_now_are_told(graph):
    """By their manifests alone, while these fit the files' sizes."""
    images, sha256 = finish(graph, ("dataset", "imagenet_64"), "images")
    finish(graph, WEIGHTS, inputs={"data": sha256})
    assert find_differences(graph, WEIGHTS) == []
    Path(images).write_text("IMAGES")
    assert find_differences(graph, WEIGHTS) == []
    Path(images).write_text("other images")
    assert find_differences(graph, ("dataset", "imagenet_64")) == [
        f"{images}: changed since it was made"
    ]
    (words,) = find_differences(graph, WEIGHTS)
    other = sha256_file(images)
    assert words == f"{images}: SHA-256 {other[:12]}, was {sha256[:12]} when read"


@pytest.mark.parametrize("content", ["[]", "{", "null"])
def test_what_is_broken_is_made_again(graph, content):
    file, _ = finish_metrics(graph)
    Path(file).write_text(content)
    assert find_differences(graph, METRICS)


def test_a_job_that_outlived_snakemake_gets_its_spec_back(graph):
    """The run after the kill deleted the spec and failed, since the job still held its lock."""
    for key in (SAMPLES, WEIGHTS):
        finish(graph, key)
        Path(graph.write(key)["spec"]).unlink()
    Path(graph.write(WEIGHTS)["file"]).write_text("half")
    mend(graph)
    assert find_differences(graph, SAMPLES) == [] and is_whole(graph, SAMPLES)
    assert not Path(graph.write(WEIGHTS)["spec"]).exists()


def test_notes_of_parts_go_with_their_shards(graph):
    """Shards of other weights, or removed by hand, would else be waited for forever."""
    name, part = SAMPLES[1], "000000-000008"
    graph.plan.cuts[name] = Cut(4, ((0, 8), (8, 12)))
    cut = Graph(graph.plan)
    key = ("shard", name, part)
    shards = Path(cut.describe(key).identity["shards"])
    shards.mkdir(parents=True)
    for span in ("000000-000004", "000003-000009"):
        (shards / f"{span}.npz").touch()
    spec = json.loads(cut.describe(key).identity["spec"])
    note = Path(finish(cut, key, canonical_json({"spec": spec, "inputs": {"weights": "0"}}))[0])
    manifest_path(note).unlink()
    mend(cut)
    assert note.exists() and find_differences(cut, key) == []
    weights, sha256 = finish(cut, ("train", spec["model"]["name"], spec["model"]["mark"]))
    (words,) = find_differences(cut, key)
    assert words == f"{weights}: SHA-256 {sha256[:12]}, was 0 when read"
    (shards / "000003-000009.npz").unlink()
    mend(cut)
    assert not note.exists()
    (shards / KEPT_NAME).touch()
    finish(cut, key)
    mend(cut)
    assert note.exists()


def test_a_batch_of_another_name_is_kept_for_the_row_that_needs_it(graph):
    spec = graph.plan.drawn(SAMPLES[1])
    other = Path(graph.plan.layout.drawn("before")["file"])
    finish(graph, SAMPLES, digest=spec.digest)
    Path(graph.write(SAMPLES)["file"]).parent.rename(other.parent)
    kept = Path(graph.describe(SAMPLES).identity["shards"])
    for _ in range(2):
        mend(graph)
        assert [path.name for path in sorted(kept.iterdir())] == ["samples.json", KEPT_NAME]
        assert os.path.samefile(kept / KEPT_NAME, other)
    finish(graph, SAMPLES, digest=spec.digest)
    mend(graph)
    assert not kept.exists() and other.exists()
