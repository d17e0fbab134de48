"""Tables 3 and 4 from images that a user brings, trained and graded end to end in miniature."""

import hashlib
import json

import numpy as np
import pytest
import yaml
from PIL import Image

from adm.datasets.centre_crop import make_square
from adm.datasets.image_zip import ImageZip
from adm.weights.files import read_header
from records.manifest import manifest_path
from tests.eval.inception_graph import write_graph
from tests.records.file_server import run_file_server
from tests.workflow.conftest import copy_project, cut_tables, snakemake, write_params
from tests.workflow.own_images_case import (
    NAMES,
    NUM_HORSES,
    ROWS,
    WNIDS,
    make_horse,
    make_scale,
    write_sources,
)
from tests.workflow.released_case import LARGE_PX, NUM_IMAGES, make_references, make_released
from tests.workflow.test_snakefile import job_counts

pytestmark = pytest.mark.slow
TARGETS = ("reproduce_table3", "reproduce_table4")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A copy of the project with both scales, the environment of its user, the network's hash."""
    folder, work = copy_project(tmp_path_factory.mktemp("project")), tmp_path_factory.mktemp("work")
    graph = work / "graph.pb"
    write_graph(graph)
    sha256 = hashlib.sha256(graph.read_bytes()).hexdigest()
    environment = write_sources(work) | {
        "ADM_INCEPTION": str(graph), "ADM_MIRROR": "", "XDG_CACHE_HOME": str(work / "cache"),
    }  # fmt: skip
    with run_file_server() as server:
        released = make_released(server.base, sha256)
        batch = make_references(graph, work)[LARGE_PX]
        for entry in released["references"].values():
            server.add("/" + entry["path"], batch)
        write_params(folder, tables=cut_tables(ROWS), released=released)
        write_params(folder, **{name: make_scale(name, sha256) for name in ("paper", "cifar10")})
        yield folder, environment, sha256


def run(case, scale, *targets, options=(), **environment):
    folder, own, _ = case
    config = (f"{key}={folder}/{name}.yaml" for key, name in (
        ("scale", scale), ("tables", "tables"), ("released", "released")
    ))  # fmt: skip
    return snakemake(folder, *options, "--config", *config, "--", *targets, **own | environment)


def dry_run(case, scale, *targets, **environment):
    return job_counts(run(case, scale, *targets, options=("-n", "--quiet", "rules"), **environment))


@pytest.fixture(scope="module")
def paper(case):
    """The paper's scale: references that were published, classifiers on crops of whole images."""
    process = run(case, "paper", *TARGETS)
    assert process.returncode == 0, process.stdout + process.stderr
    return case[0] / "results/mini_paper"


@pytest.fixture(scope="module")
def cifar10(case):
    """The middle scale: own references, and horses that are one class of all images."""
    process = run(case, "cifar10", *TARGETS)
    assert process.returncode == 0, process.stdout + process.stderr
    return case[0] / "results/mini_cifar10"


def read_json(path):
    return json.loads(path.read_text())


def open_set(results, name):
    path = results / "data" / f"{name}.zip"
    return ImageZip(path), read_json(manifest_path(path))


def test_image_sets_of_the_papers_scale(paper):
    square, manifest = open_set(paper, "imagenet_256")
    assert (len(square), square.image_size_px, square.num_classes) == (24, LARGE_PX, 3)
    assert manifest["class_names"] == list(WNIDS) and manifest["source_kind"] == "imagenet_tar"
    whole, _ = open_set(paper, "imagenet_whole")
    assert whole.image_size_px is None and whole.read(0).shape == (30, 40, 3)
    assert whole.labels.tolist() == square.labels.tolist()
    horses, manifest = open_set(paper, "lsun_horse_256")
    assert len(horses) == NUM_HORSES and horses.labels is None
    assert [name for name, _ in manifest["skipped"]] == ["99"]
    for number in range(NUM_HORSES):
        image = Image.fromarray(make_horse(number))
        box, halved = (
            np.asarray(make_square(image, image_size_px=LARGE_PX, crop=crop))
            for crop in ("centre_box", "centre")
        )
        np.testing.assert_array_equal(horses.read(number), box)
        assert (box != halved).any()


def test_the_middle_scales_image_sets(cifar10):
    square, manifest = open_set(cifar10, "imagenet_256")
    assert square.labels.tolist() == [one for one in range(3) for _ in range(NUM_HORSES)]
    assert manifest["class_names"] == list(NAMES) and manifest["source_kind"] == "zip"
    horses, _ = open_set(cifar10, "lsun_horse_256")
    assert horses.labels is None and len(horses) == NUM_HORSES
    middle = range(NUM_HORSES, 2 * NUM_HORSES)
    np.testing.assert_array_equal(horses.load(range(NUM_HORSES)), square.load(middle))


@pytest.mark.parametrize(
    ("shipped", "whole", "num_images", "last_mark"),
    [("paper", "imagenet_whole", 24, 7), ("cifar10", "cifar10_whole", 60, 2)],
)
def test_classifiers_learn_from_whole_images_and_are_measured_on_square_ones(
    shipped, whole, num_images, last_mark, request
):
    results = request.getfixturevalue(shipped)
    folder = results / "retrain/models/classifier_256"
    training = read_header(folder / "ema-final.safetensors").spec.content()["training"]
    assert training["dataset"]["task"] == whole and training["augmentation"]["random_crop"]
    accuracy = read_json(folder / "accuracy-final.json")
    assert accuracy["spec"]["dataset"]["task"] == "imagenet_256"
    assert accuracy["num_images"] == num_images and accuracy["num_classes"] == 3
    data = (results / "data/imagenet_256.zip").read_bytes()
    assert accuracy["inputs"]["data"] == hashlib.sha256(data).hexdigest()
    model = read_header(results / "retrain/models/imagenet_256/ema-final.safetensors")
    assert model.spec.content()["training"]["dataset"]["task"] == "imagenet_256"
    assert model.iteration == last_mark


@pytest.mark.parametrize("shipped", ["paper", "cifar10"])
def test_every_number_comes_from_the_networks_features(shipped, case, request):
    results = request.getfixturevalue(shipped)
    names = [*(row for rows in ROWS.values() for row in rows)]
    paths = [results / f"retrain/metrics/{name}.json" for name in names]
    tasks = ("imagenet_256", "lsun_horse_256")
    paths += [results / f"metrics/real-{task}.json" for task in tasks]
    for path in paths:
        found = read_json(path)
        assert all(np.isfinite(one["value"]) for one in found["metrics"].values())
        assert found["protocol"]["network"]["sha256"] == case[2]
    with np.load(results / "retrain/samples/t3_cond_guided_1/samples.npz") as batch:
        assert batch["arr_0"].shape == (NUM_IMAGES, LARGE_PX, LARGE_PX, 3)
        assert set(batch["arr_1"]) <= {0, 1, 2}
    for name in ("table3", "table4"):
        page = (results / f"report/{name}.html").read_text()
        assert "</html>" in page
        rows = (results / f"report/{name}.csv").read_text().splitlines()[1:]
        assert sum(",measured," in row for row in rows) >= 4 * len(ROWS[name])


def test_own_references_are_of_all_images(cifar10, case):
    for task, count in (("imagenet_256", 60), ("lsun_horse_256", NUM_HORSES)):
        with np.load(cifar10 / f"references/{task}.npz") as reference:
            assert len(reference["arr_0"]) == reference["num_images"] == count
            assert str(reference["network_sha256"]) == case[2]
            assert reference["sigma"].shape == (2048, 2048)
        protocol = read_json(cifar10 / f"references/{task}.json")
        data = (cifar10 / f"data/{task}.zip").read_bytes()
        assert protocol["inputs"]["data"] == hashlib.sha256(data).hexdigest()
    metrics = read_json(cifar10 / "retrain/metrics/t3_cond.json")
    assert 0 <= metrics["metrics"]["memorised"]["value"] <= 1
    assert metrics["counts"]["reference"] == 60


def test_images_that_have_moved_make_nothing_stale(paper, case, tmp_path):
    moved = {"ADM_IMAGENET": str(tmp_path / "gone.tar"), "ADM_LSUN_HORSE": str(tmp_path)}
    assert dry_run(case, "paper", *TARGETS, **moved) == {}


def test_broken_images_stop_the_run_with_what_to_do(case):
    folder, results = case[0], "results/mini_strict"
    scale = yaml.safe_load((folder / "paper.yaml").read_text())
    scale["name"] = "mini_strict"
    del scale["tasks"]["lsun_horse_256"]["skip_broken"]
    write_params(folder, strict=scale)
    process = run(case, "strict", f"{results}/data/lsun_horse_256.zip")
    assert process.returncode != 0 and sorted((folder / results).rglob("*.zip")) == []
    log = (folder / results / "logs/data/lsun_horse_256.log").read_text()
    assert "1 of 21 images cannot be used" in log and "`skip_broken: true` in the tasks" in log
    broken = (folder / results / "data/lsun_horse_256.broken.txt").read_text()
    assert broken.startswith("99: no image of a known format")
    assert dry_run(case, "strict", "datasets")["prepare"] == 8
