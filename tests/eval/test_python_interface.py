import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

import adm_eval
from eval.cli import run
from eval.reference import make_reference
from records.errors import UserError
from records.files import sha256_file
from tests.eval.conftest import write_zip

# All but the metric that needs 1,000 images of each side.
ALL = tuple(one for one in (*adm_eval.METRICS, *adm_eval.EXTRAS) if one != "kid_subsets")


@pytest.fixture(scope="module")
def images(digits):
    """Noisy digits, uint8 [300, 8, 8, 1]."""
    noise = np.random.default_rng(0).integers(-40, 41, (300, 8, 8, 1))
    return np.clip(digits[0][:300, :, :, None].astype(np.int64) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def real_zip(digits, tmp_path_factory):
    """200 real digits without statistics."""
    return write_zip(tmp_path_factory.mktemp("real") / "real.zip", digits[0][300:500])


@pytest.fixture(scope="module")
def statistics_path(real_zip, network):
    """The reference batch of them, with statistics."""
    path = real_zip.with_suffix(".npz")
    make_reference(real_zip, network, path, num_images=150)
    return path


@pytest.fixture
def counted(network):
    """The network, and the sizes of the batches that it was given."""
    sizes = []

    def run_and_count(images):
        sizes.append(len(images))
        return network.run(images)

    return dataclasses.replace(network, run=run_and_count), sizes


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], {}),
        (
            ["--intervals", "--metrics", ",".join(ALL), "--seed", "3", "--name", "x"],
            {"intervals": True, "metrics": ALL, "seed": 3, "name": "x"},
        ),
        (
            ["--half-distances", "--metrics", "recall,precision", "--batch-size", "100"],
            {"half_distances": True, "metrics": ["recall", "precision"], "batch_size": 100},
        ),
    ],
)
def test_the_json_is_the_commands_byte_for_byte(
    statistics_path, samples_path, network_path, tmp_path, options, settings
):
    out = tmp_path / "out.json"
    threads = ["--threads", str(torch.get_num_threads())]
    command = [str(statistics_path), str(samples_path), "--weights", str(network_path), *threads]
    assert run([*command, *options, "--json", str(out)]) == 0
    for network in (network_path, str(network_path), adm_eval.load_network(network_path)):
        result = adm_eval.grade(samples_path, statistics_path, network=network, **settings)
        assert result.to_json().encode() == out.read_bytes()
        assert result.as_dict() == json.loads(out.read_text())


def test_an_array_is_graded_as_the_npy_file_of_it(images, real_zip, network, tmp_path):
    np.save(tmp_path / "samples.npy", images)
    filed = adm_eval.grade(tmp_path / "samples.npy", real_zip, network=network, metrics=ALL)
    expected = filed.as_dict()
    assert expected["protocol"]["samples"].pop("path") == str(tmp_path / "samples.npy")
    labels = np.arange(300) % 10
    strided = np.repeat(images, 2, axis=0)[::2]
    for given in (images, torch.from_numpy(images), strided, (images, labels), images.tolist()):
        if isinstance(given, list):
            given = np.array(given, np.uint8)
        found = adm_eval.grade(given, real_zip, network=network, metrics=ALL).as_dict()
        assert found["protocol"]["samples"].pop("path") == "array [300, 8, 8, 1]"
        assert found == expected
    assert expected["protocol"]["samples"]["sha256"] == sha256_file(tmp_path / "samples.npy")


def test_an_array_as_reference(images, digits, network, tmp_path):
    reference = digits[0][300:500, :, :, None]
    np.save(tmp_path / "reference.npy", reference)
    filed = adm_eval.grade(images, tmp_path / "reference.npy", network=network, intervals=True)
    found = adm_eval.grade(images, reference, network=network, intervals=True)
    assert found.metrics == filed.metrics and found.counts == filed.counts
    sides = [one.protocol["reference"] for one in (found, filed)]
    assert sides[0]["sha256"] == sides[1]["sha256"]
    assert sides[0]["path"] == "array [200, 8, 8, 1]"


def test_features_are_computed_once_and_graded_like_their_files(
    statistics_path, real_zip, samples_path, counted, tmp_path
):
    network, sizes = counted
    np.savez(tmp_path / "wild.npz", np.random.default_rng(0).integers(0, 256, (50, 8, 8, 1), "u1"))
    batches = [samples_path, tmp_path / "wild.npz"]
    for reference in (statistics_path, real_zip):
        features = adm_eval.compute_features(reference, network=network)
        expected = [
            adm_eval.grade(batch, reference, network=network, metrics=ALL, intervals=True)
            for batch in batches
        ]
        sizes.clear()
        for batch, result in zip(batches, expected, strict=True):
            computed = adm_eval.compute_features(batch, network=network)
            for samples in (batch, computed):
                found = adm_eval.grade(samples, features, metrics=ALL, intervals=True)
                assert found.to_json() == result.to_json()
        assert sum(sizes) == 2 * (300 + 50)  # the reference's images are not among them


def test_features_of_another_network_are_refused(images, network, tmp_path, monkeypatch):
    other = dataclasses.replace(network, name="other", sha256="1" * 64, run=None)
    features = adm_eval.compute_features(images, network=network)
    words = (
        rf"array \[300, 8, 8, 1\]: its features are of network {network.name} \(SHA-256 "
        rf"{network.sha256}\), the network given is other \({'1' * 64}\); compute the features of "
        "both sides with one network$"
    )
    for pair in ((features, images), (images, features)):
        with pytest.raises(adm_eval.UserError, match=words):
            adm_eval.grade(*pair, network=other)
    strange = dataclasses.replace(features, network=other)
    with pytest.raises(UserError, match=r"its features are of network .*, the network given is"):
        adm_eval.grade(features, strange)


def test_statistics_of_another_network_are_refused(statistics_path, network):
    other = dataclasses.replace(network, sha256="1" * 64, run=None)
    with pytest.raises(UserError, match=r"its statistics were made with .*, the network given is"):
        adm_eval.compute_features(statistics_path, network=other)


def test_without_a_network_the_published_one_is_taken(images, network, monkeypatch):
    asked = []

    def load(path, **settings):
        asked.append((path, settings))
        return network

    monkeypatch.setattr(adm_eval, "load_network", load)
    features = adm_eval.compute_features(images)
    adm_eval.grade(images, images, metrics=["is"])
    assert asked == [(None, {"device": "cpu"})] * 2
    adm_eval.grade(images, features, metrics=["is"])
    adm_eval.grade(features, images, metrics=["is"])
    assert len(asked) == 2
    adm_eval.grade(features, images, metrics=["is"], network=pathlib.Path("n.safetensors"))
    assert asked[2:] == [(pathlib.Path("n.safetensors"), {"device": "cpu"})]


def test_the_result_says_what_was_found(statistics_path, samples_path, network):
    result = adm_eval.grade(samples_path, statistics_path, network=network, intervals=True)
    assert list(result.values) == list(adm_eval.METRICS)
    for name, (low, high) in result.intervals.items():
        assert low <= result.values[name] <= high
    assert result.metrics["is"].details["num_splits"] == 1
    assert result.counts["samples"] == 300 and result.warnings == ()
    assert result.protocol["samples"]["seed"] == 5  # from the protocol beside the file
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.name = "other"
    plain = adm_eval.grade(samples_path, statistics_path, network=network, metrics=["fid"])
    assert plain.intervals == {"fid": None}
    assert repr(plain) == (
        "noisy: 300 samples against 200 reference images\n"
        f"  FID: {plain.values['fid']:.6g}\n"
        f"  features: {network.name}"
    )
    assert "\n  FID: {:.6g} (95 % interval {:.6g} to {:.6g})\n".format(
        result.values["fid"], *result.intervals["fid"]
    ) in repr(result)


def test_warnings_are_part_of_the_result(images, network):
    inception = dataclasses.replace(network, name="inception-2015-12-05")
    result = adm_eval.grade(images, images, network=inception, metrics=["fid"])
    assert len(result.warnings) == 1 and repr(result).endswith(f"\n  {result.warnings[0]}")
    features = adm_eval.compute_features(images, network=inception)
    assert repr(features) == (
        "ImageFeatures(array [300, 8, 8, 1]: 300 images of 8x8 px with 1 channel, by "
        "inception-2015-12-05)"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda x: x / np.float32(255), r"array \[300, 8, 8, 1\]: images are float32 .*x \* 255"),
        (lambda x: x.transpose(0, 3, 1, 2), r"move the channels last"),
        (lambda x: x[:, :, :, 0], r"images are uint8 \[300, 8, 8\]; uint8 \[n, h, w, 3\]"),
        (lambda x: x[:3], r"array \[3, 8, 8, 1\]: got 3 images; at least 4 are needed"),
        (lambda x: (x, np.arange(5)), r"labels are int64 \[5\] for 300 images"),
        (lambda x: (x, x, x), r"got a tuple of 3; a pair \(images, labels\)"),
        (lambda x: [x[0], x[0, :4]], r"list: cannot be read as an array"),
        (lambda x: torch.empty(9, 8, 8, 1, device="meta"), r"Tensor: cannot be read as an array"),
        (lambda x: "none.npz", r"none.npz: no such file or folder; needed is one of"),
        (lambda x: pathlib.Path("none.npz"), r"none.npz: no such file or folder; needed is one of"),
        (lambda x: x[:, ::2, ::2], r"\[300, 4, 4, 1\]: images are 4x4 px, those of .* 8x8 px"),
    ],
)
def test_bad_images_are_told_before_a_network_runs(images, real_zip, network, given, words):
    bad, idle = given(images), dataclasses.replace(network, run=None)
    with pytest.raises(UserError, match=words):
        adm_eval.grade(bad, real_zip, network=idle)
    if "px" not in words:
        with pytest.raises(UserError, match=words):
            adm_eval.compute_features(bad, network=idle)


def test_a_reference_of_another_size_is_told(images, network, digits):
    small = digits[0][:50, ::2, ::2, None]
    features = adm_eval.compute_features(small, network=network)
    for reference in (small, features):
        with pytest.raises(UserError, match=r"8x8 px, those of array \[50, .* 4x4 px"):
            adm_eval.grade(images, reference, network=network)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metrics": ["fid", "fidd"]}, "metrics: got 'fidd'; choose out of is, fid, sfid"),
        ({"metrics": "fid,kid"}, "metrics: got 'fid,kid'; choose out of"),
        ({"metrics": []}, "metrics: got none; choose out of"),
        ({"batch_size": 0}, "batch_size is 0; give 1 or more"),
        ({"seed": -1}, "seed is -1; give 0 or more"),
        ({"device": "tpu"}, "device tpu"),
        ({"network": "none.safetensors"}, "none.safetensors: no such file"),
    ],
)
def test_wrong_settings_are_told(images, settings, words):
    with pytest.raises(UserError, match=words):
        adm_eval.grade(images, images, **settings)


def test_too_few_for_intervals_are_told_of_features_too(images, network):
    few = adm_eval.compute_features(images[:9], network=network)
    with pytest.raises(UserError, match=r"\[9, .*got 9 images; at least 10 .* \(intervals"):
        adm_eval.grade(few, images, intervals=True)


def test_jpegs_need_a_permission(digits, network, tmp_path):
    write_zip(tmp_path / "real.zip", digits[0][:50])
    from PIL import Image

    (tmp_path / "folder").mkdir()
    for index in range(12):
        Image.fromarray(digits[0][index]).save(tmp_path / "folder" / f"{index}.jpg")
    pair = (tmp_path / "folder", tmp_path / "real.zip")
    with pytest.raises(UserError, match="JPEG"):
        adm_eval.grade(*pair, network=network)
    assert adm_eval.grade(*pair, network=network, allow_jpeg=True).counts["samples"] == 12
    assert adm_eval.compute_features(pair[0], network=network, allow_jpeg=True).num_images == 12


def test_nothing_hides_the_builtin():
    """`import adm_eval` leaves eval alone; `from eval import grade` always gives the module."""
    program = (
        "import adm_eval\n"
        "from eval import grade\n"
        "assert eval('1 + 1') == 2 and grade.__name__ == 'eval.grade'\n"
        "assert callable(adm_eval.grade) and set(adm_eval.__all__) <= set(dir(adm_eval))\n"
    )
    root = pathlib.Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
