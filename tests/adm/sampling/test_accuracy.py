"""Accuracy of a noisy classifier by timestep: closed forms, independence of batches, bad input."""

import json

import numpy as np
import pytest
import torch

from adm.cli import main
from adm.datasets.image_zip import ImageZip
from adm.sampling.accuracy import choose_images, compute_range_edges, count_correct, draw_noising
from adm.weights.files import read_header
from adm.weights.tensors import read_tensors, write_tensors
from records.files import canonical_json, spec_digest, write_json
from specs.schedule import make_schedule
from tests.adm.training_case import IMAGES, make_data, make_spec, run


def test_ranges_cover_every_timestep_once():
    assert compute_range_edges(1000, 10) == list(range(0, 1001, 100))
    assert compute_range_edges(7, 3) == [0, 2, 4, 7]


def test_all_images_of_a_small_set_and_a_fixed_part_of_a_large_one():
    assert choose_images(5, max_images=5, seed=0).tolist() == [0, 1, 2, 3, 4]
    chosen = choose_images(1000, max_images=50, seed=0)
    assert len(set(chosen.tolist())) == 50 and (np.diff(chosen) > 0).all()
    assert (chosen == choose_images(1000, max_images=50, seed=0)).all()
    assert (chosen != choose_images(1000, max_images=50, seed=1)).any()


def test_timesteps_are_even_within_their_range_and_noise_is_normal():
    edges = [0, 10, 100]
    t, eps = draw_noising(range(2000), edges, torch.Size([1, 2, 2]), seed=0)
    assert t.shape == (2, 2000) and eps.shape == (2, 2000, 1, 2, 2)
    counts = torch.bincount(t[0], minlength=10)
    assert len(counts) == 10 and counts.min() > 140 and counts.max() < 260  # 200 +- 4.5 sigma
    assert t[1].min() == 10 and t[1].max() == 99
    assert abs(float(eps.mean())) < 0.04 and abs(float(eps.std()) - 1) < 0.03


def test_an_image_has_the_same_noise_in_any_batch():
    edges, shape = [0, 50, 100], torch.Size([1, 4, 4])
    t, eps = draw_noising([3, 8, 5], edges, shape, seed=0)
    t_alone, eps_alone = draw_noising([8], edges, shape, seed=0)
    assert torch.equal(t[:, 1:2], t_alone) and torch.equal(eps[:, 1:2], eps_alone)


class Oracle(torch.nn.Module):
    """Knows the clean images: at its own timesteps reads the nearest one's label, else class 0."""

    def __init__(self, images, labels, last_timestep):
        super().__init__()
        self.images, self.labels, self.last = images.flatten(1), labels, last_timestep

    def forward(self, x_t, t):
        nearest = torch.cdist(x_t.flatten(1), self.images).argmin(dim=1)
        read = torch.where(t <= self.last, self.labels[nearest], 0)
        return torch.nn.functional.one_hot(read, 10).float()


def test_counts_are_those_of_a_reader_whose_answers_are_known(tmp_path):
    dataset = ImageZip(make_data(tmp_path))
    indices = np.arange(60)
    images = torch.from_numpy(dataset.load(indices)[..., :1]).permute(0, 3, 1, 2) / 127.5 - 1
    labels = torch.from_numpy(dataset.labels[indices])
    arguments = {
        "classifier": Oracle(images, labels, last_timestep=99),
        "schedule": make_schedule("linear", 1000),
        "dataset": dataset,
        "indices": indices,
        "edges": [0, 100, 1000],
        "in_channels": 1,
        "seed": 0,
        "device": "cpu",
    }
    num_zeros = int((labels == 0).sum())
    assert count_correct(**arguments, batch_size=60) == [60, num_zeros]
    assert count_correct(**arguments, batch_size=7) == [60, num_zeros]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accuracy")
    for kind in ("classifier", "diffusion"):
        run(folder, make_spec(kind), 3, state=f"state-{kind}", out=kind)
    return folder


def accuracy_spec(weights, **changes):
    about = read_header(weights)
    return {
        "recipe": 1,
        "name": "tiny",
        "classifier": {
            "name": about.spec.name,
            "digest": about.digest,
            "mark": "final",
            "iteration": 3,
        },
        "dataset": IMAGES,
        "num_ranges": 4,
        "max_images": 40,
        "seed": 0,
        **changes,
    }


def measure(trained, tmp_path, kind="classifier", name="accuracy", **changes):
    weights = trained / f"{kind}.safetensors"
    write_json(tmp_path / "spec.json", accuracy_spec(weights, **changes))
    out = tmp_path / f"{name}.json"
    arguments = ["accuracy", "--spec", f"{tmp_path}/spec.json", "--weights", str(weights)]
    arguments += ["--data", f"{trained}/data.zip", "--out", str(out), "--batch-size", "16"]
    status = main(arguments)
    return status, json.loads(out.read_text()) if out.exists() else None


def test_the_command_writes_counts_and_where_they_come_from(trained, tmp_path):
    status, content = measure(trained, tmp_path)
    assert status == 0
    assert content["num_images"] == 40 and content["num_classes"] == 10
    assert [(one["first"], one["last"]) for one in content["ranges"]] == [
        (0, 24),
        (25, 49),
        (50, 74),
        (75, 99),
    ]
    assert all(0 <= one["num_correct"] <= 40 for one in content["ranges"])
    assert content["trained_on_these_images"] is True
    assert len(content["inputs"]["weights"]) == 64 and "torch" in content["versions"]
    assert measure(trained, tmp_path)[1] == content
    cut = measure(trained, tmp_path, dataset={**IMAGES, "task": "cut", "image_size_px": 4})[1]
    assert cut["trained_on_these_images"] is True
    for images in (
        {**IMAGES, "task": "some classes", "classes": [0, 1]},
        {"dataset": "images", "task": "held out", "place": "ELSEWHERE"},
    ):
        other = measure(trained, tmp_path, dataset=images)[1]
        assert other["trained_on_these_images"] is False


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("diffusion", {}, "tiny_diffusion is a diffusion model; accuracy needs the weights of a"),
        ("classifier", {"num_ranges": 101}, "num_ranges is 101; needed: 1 to 100"),
        ("classifier", {"num_ranges": 0}, "num_ranges is 0; needed: 1 to 100"),
    ],
)
def test_refusals(trained, tmp_path, capsys, kind, changes, words):
    status, content = measure(trained, tmp_path, kind=kind, **changes)
    error = capsys.readouterr().err
    assert status == 2 and content is None
    assert words in error and "Traceback" not in error


@pytest.mark.parametrize("key", ["dataset", "augmentation"])
def test_weights_that_do_not_say_what_they_were_trained_on(trained, tmp_path, capsys, key):
    tensors, texts = read_tensors(trained / "classifier.safetensors", "weights file")
    spec = json.loads(texts["spec"])
    del spec["training"][key]
    texts = {**texts, "spec": canonical_json(spec), "digest": spec_digest(spec)}
    write_tensors(tmp_path / "classifier.safetensors", tensors, texts)
    (tmp_path / "data.zip").symlink_to(trained / "data.zip")
    status, content = measure(tmp_path, tmp_path)
    assert status == 2 and content is None
    words = f"classifier.safetensors: model spec in its header: training: {key}: missing"
    assert words in capsys.readouterr().err
