import dataclasses
import json

import numpy as np
import pytest

from eval.metrics.fid import compute_moments
from eval.networks.features import compute_features
from eval.reference import load_reference, make_reference
from records.errors import UserError
from records.files import sha256_file
from records.metrics import PAPER
from tests.eval.conftest import make_source


def load_arrays(path):
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def load(path, network, *, metrics=PAPER, image_size_px=(8, 8)):
    return load_reference(
        path, network, metrics=metrics, image_size_px=image_size_px, samples_path="s.npz"
    )


def test_layout_and_metadata(reference_path, digits, digits_zip, network):
    arrays = load_arrays(reference_path)
    assert arrays["arr_0"].shape == (1797, 8, 8, 1) and arrays["arr_0"].dtype == np.uint8
    np.testing.assert_array_equal(arrays["arr_1"], digits[1])
    assert {name: arrays[name].shape for name in ("mu", "sigma", "mu_s", "sigma_s")} == {
        "mu": (64,),
        "sigma": (64, 64),
        "mu_s": (112,),
        "sigma_s": (112, 112),
    }
    about = json.loads(reference_path.with_suffix(".json").read_text())
    assert about["inputs"]["data"] == sha256_file(digits_zip)
    assert about["sha256"] == sha256_file(reference_path)
    assert about["network"] == network.description
    assert about["counts"] == {"statistics": 1797, "precision_recall": 1797}


def test_statistics_are_over_all_images_whatever_is_stored(
    reference_path, digits_zip, network, tmp_path
):
    few, again = tmp_path / "few.npz", tmp_path / "again.npz"
    for path in (few, again):
        make_reference(digits_zip, network, path, num_images=100, digest="d", seed=3)
    assert json.loads(few.with_suffix(".json").read_text())["digest"] == "d"
    assert few.read_bytes() == again.read_bytes()
    whole, part = load_arrays(reference_path), load_arrays(few)
    assert len(part["arr_0"]) == len(part["arr_1"]) == 100
    np.testing.assert_array_equal(part["mu"], whole["mu"])
    make_reference(digits_zip, network, again, num_images=100, seed=4)
    assert (load_arrays(again)["arr_0"] != part["arr_0"]).any()
    reference = load(few, network)
    assert reference.num_images == 1797 and reference.num_stored == len(reference.pool) == 100
    np.testing.assert_array_equal(reference.sigma_s, whole["sigma_s"])


def test_images_alone_serve_as_reference(digits, digits_zip, network, tmp_path):
    np.savez(tmp_path / "a.npz", digits[0][..., None])
    mu, sigma = compute_moments(compute_features(make_source(digits[0][..., None]), network).pool)
    for path in (tmp_path / "a.npz", digits_zip):
        reference = load(path, network)
        np.testing.assert_array_equal(reference.mu, mu)
        np.testing.assert_array_equal(reference.sigma, sigma)
        assert reference.num_images == 1797


def test_statistics_of_another_network_are_refused_and_both_hashes_shown(reference_path, network):
    other = dataclasses.replace(network, sha256="f" * 64)
    message = f"were made with {network.sha256}, the network given is {'f' * 64}"
    with pytest.raises(UserError, match=message):
        load(reference_path, other)


def test_only_what_metrics_need_is_computed(reference_path, network):
    def run(images):
        raise AssertionError("no features are needed")

    unused = dataclasses.replace(network, run=run)
    reference = load(reference_path, unused, metrics=("is", "fid", "sfid"))
    assert reference.pool is None and reference.mu.shape == (64,) and reference.num_stored == 1797


def test_statistics_of_images_are_left_out_where_no_metric_needs_them(digits_zip, network):
    reference = load(digits_zip, network, metrics=("sfid",))
    assert reference.pool is None and reference.mu is None and reference.mu_s.shape == (112,)


def test_one_image_makes_no_reference(network, digits, tmp_path):
    np.savez(tmp_path / "a.npz", digits[0][:1, :, :, None])
    with pytest.raises(UserError, match=r"a.npz: got 1 image; the statistics of a reference need"):
        make_reference(tmp_path / "a.npz", network, tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()
