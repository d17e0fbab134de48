"""The list of published files: complete against the tables, typed, and without contradictions."""

import json
from pathlib import Path

import pytest
import yaml

from eval.networks.weights import INCEPTION_BYTES, INCEPTION_SHA256, INCEPTION_URL, PUBLISHED_BASE
from records.errors import UserError
from specs.released import (
    RELEASED_PATH,
    Artefact,
    cached_path,
    fetch_artefact,
    find_checkpoint,
    load_released,
)
from specs.row_facts import load_named_tables
from specs.scale import load_scale
from tests.records.file_server import run_file_server

ROOT = Path(__file__).resolve().parents[2]
SCALE = load_scale(ROOT / "params" / "scales" / "paper.yaml")
TABLES = load_named_tables(ROOT / "params" / "tables.yaml", SCALE)
ROWS = {row_id: row for table in TABLES.values() for row_id, row in table.rows.items()}
RELEASED = load_released()
DATA = ROOT / "tests" / "data"
FACTS = json.loads((DATA / "reference" / "state_dicts.json").read_text())
PAPER = yaml.safe_load((DATA / "paper_released.yaml").read_text())


def test_address_and_graph_are_the_published_ones():
    assert PAPER["base"] == RELEASED.base
    graph = RELEASED.inception_graph.model_dump()
    for key in ("path", "sha256", "bytes"):
        assert graph[key] == PAPER["inception_graph"][key], key


@pytest.mark.parametrize("name", PAPER["checkpoints"])
def test_a_checkpoint_has_the_published_path_hash_and_size(name):
    got, published = RELEASED.checkpoints[name], PAPER["checkpoints"][name]
    assert got.path == published["path"]
    assert (got.sha256, got.bytes) == (published["sha256"], published.get("bytes"))
    if "parameters" in published:
        assert FACTS["models"][name]["total_params"] == published["parameters"]


def test_no_checkpoint_is_made_up():
    assert list(RELEASED.checkpoints) == list(PAPER["checkpoints"])


def test_references_are_the_published_ones():
    assert {task: one.path for task, one in RELEASED.references.items()} == PAPER["references"]
    hashes = [*RELEASED.references.values(), *RELEASED.samples.values()]
    assert all(one.sha256 is one.bytes is None for one in hashes)  # none was documented


@pytest.mark.parametrize("table", ["table4", "table5"])
def test_samples_are_those_published_for_a_row(table):
    rows = TABLES[table].rows
    for row_id in rows.keys() & RELEASED.samples.keys():
        row = rows[row_id]
        assert RELEASED.samples[row_id].path == PAPER["samples"][row.task][row.label], row_id


def test_every_published_batch_is_that_of_a_row():
    rows = {**TABLES["table4"].rows, **TABLES["table5"].rows}
    published = {(task, label) for task, batch in PAPER["samples"].items() for label in batch}
    listed = {(rows[key].task, rows[key].label) for key in rows.keys() & RELEASED.samples.keys()}
    assert listed == published
    paths = {path for batch in PAPER["samples"].values() for path in batch.values()}
    assert {one.path for one in RELEASED.samples.values()} == paths


def test_the_known_evaluation_is_the_published_one():
    known, values = RELEASED.known_evaluation, dict(PAPER["known_evaluation"])
    assert known.reference == "imagenet_256"
    assert RELEASED.samples[known.samples].path == PAPER["samples"]["imagenet_256"]["ADM-G, ADM-U"]
    assert known.values == {"is": values.pop("inception_score"), **values}


def test_released_rows_have_a_batch_and_others_none():
    assert set(RELEASED.samples) == {row_id for row_id, row in ROWS.items() if row.released}


def test_batches_lie_in_the_folder_of_their_rows_task():
    for row_id, artefact in RELEASED.samples.items():
        task = ROWS[row_id].task
        folder = artefact.path.split("/")[1:3]
        assert "_".join(folder) + ("_256" if folder[0] == "lsun" else "") == task, row_id


def test_rows_that_are_one_batch_share_it_and_no_others_do():
    shared = {}
    for row_id, artefact in RELEASED.samples.items():
        shared.setdefault(artefact.path, []).append(row_id)
    for row_ids in shared.values():
        rows = [ROWS[row_id] for row_id in row_ids]
        assert len({(row.model, row.task, row.sampler, row.base) for row in rows}) == 1, row_ids
        if rows[0].model is None:
            assert len(rows) == 1
    assert RELEASED.samples["t3_cond"] == RELEASED.samples["t4_256_adm"]
    assert RELEASED.samples["t3_cond_guided_1"] == RELEASED.samples["t4_256_admg"]
    assert len(shared) == 27


def test_every_task_of_a_batch_has_a_reference():
    tasks = {ROWS[row_id].task for row_id in RELEASED.samples}
    assert tasks == set(RELEASED.references) == set(SCALE.tasks)
    counts = {task: one.num_images for task, one in RELEASED.references.items()}
    assert counts.pop("imagenet_512") == 1000 and set(counts.values()) == {10_000}
    assert "1,000 images" in RELEASED.references["imagenet_512"].note


def test_every_model_of_the_paper_was_released_or_says_why_not():
    published = {one.model for one in RELEASED.checkpoints.values()}
    assert published | set(RELEASED.never_released) == set(SCALE.models)
    assert set(RELEASED.checkpoints) == set(FACTS["models"])
    assert find_checkpoint(RELEASED, "imagenet_256")[0] == "256x256_diffusion"
    assert find_checkpoint(RELEASED, "imagenet_64_nodropout") is None


def test_what_is_not_what_its_name_says_is_noted():
    assert ROWS["t4_64_adm"].model == "imagenet_64_nodropout"
    assert "without dropout" in RELEASED.samples["t4_64_adm"].note
    checkpoint = RELEASED.checkpoints["64x64_diffusion"]
    assert checkpoint.model == "imagenet_64" and "with dropout" in checkpoint.note
    assert "6e-5" in RELEASED.never_released["classifier_128_stack"]
    assert all(RELEASED.licence.model_dump().values())


def test_the_graph_and_the_base_are_those_of_the_evaluator():
    graph = RELEASED.inception_graph
    assert RELEASED.base == PUBLISHED_BASE and RELEASED.base + graph.path == INCEPTION_URL
    assert (graph.sha256, graph.bytes) == (INCEPTION_SHA256, INCEPTION_BYTES)
    assert SCALE.network.sha256 == graph.sha256


def test_the_known_evaluation_rounds_to_the_paper():
    known = RELEASED.known_evaluation
    row = ROWS[known.samples]
    assert row.task == known.reference
    for metric, printed in row.published["final"].items():
        assert known.values[metric] == pytest.approx(printed, abs=0.0051)


def changed(tmp_path, change):
    content = yaml.safe_load(RELEASED_PATH.read_text())
    change(content)
    path = tmp_path / "released.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(sample={}), "sample: unknown key; did you mean 'samples'?"),
        (lambda c: c["checkpoints"]["lsun_cat"].pop("model"), "lsun_cat: model: missing"),
        (lambda c: c["samples"]["t3_cond"].update(sha256="abc"), "samples: t3_cond: sha256: got"),
        (lambda c: c.update(base="ftp://x/"), "base: got 'ftp://x/'"),
        (
            lambda c: c["checkpoints"]["lsun_cat"].update(model="lsun_horse"),
            "model: lsun_horse: is already that of lsun_cat",
        ),
        (
            lambda c: c["never_released"].update(lsun_cat="no"),
            "model: lsun_cat: is under never_released too",
        ),
        (
            lambda c: c["known_evaluation"].update(samples="t3_uncond"),
            "known_evaluation: t3_uncond against imagenet_256; both must be listed",
        ),
    ],
)
def test_a_list_that_is_wrong_is_refused(tmp_path, change, words):
    path = changed(tmp_path, change)
    with pytest.raises(UserError) as error:
        load_released(path)
    assert str(path) in str(error.value) and words in str(error.value)


def test_a_file_is_fetched_into_the_cache_and_from_a_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    artefact = Artefact(path="ref_batches/a.npz", sha256=None, bytes=4)
    with run_file_server() as server:
        server.add("/mirror/ref_batches/a.npz", b"PK\x03\x04")
        monkeypatch.setenv("ADM_MIRROR", f"{server.base}/mirror")
        path = fetch_artefact(RELEASED, artefact, progress=False)
        assert path == cached_path(artefact) == tmp_path / "cache" / "adm-tables" / "a.npz"
        assert path.read_bytes() == b"PK\x03\x04"
        elsewhere = fetch_artefact(RELEASED, artefact, tmp_path / "b.npz", progress=False)
        assert elsewhere.read_bytes() == b"PK\x03\x04"
