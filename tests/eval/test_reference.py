import dataclasses
import json

import numpy as np
import pytest

from eval.features import compute_features
from eval.fid import compute_moments
from eval.reference import load_reference, make_reference
from records.errors import UserError
from records.files import sha256_file


def load(path):
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_layout_and_metadata(reference_path, digits, digits_zip, network):
    arrays = load(reference_path)
    assert arrays["arr_0"].shape == (1797, 8, 8, 1) and arrays["arr_0"].dtype == np.uint8
    np.testing.assert_array_equal(arrays["arr_1"], digits[1])
    assert {name: arrays[name].shape for name in ("mu", "sigma", "mu_s", "sigma_s")} == {
        "mu": (64,),
        "sigma": (64, 64),
        "mu_s": (112,),
        "sigma_s": (112, 112),
    }
    about = json.loads(reference_path.with_suffix(".json").read_text())
    assert about["data"]["sha256"] == sha256_file(digits_zip)
    assert about["sha256"] == sha256_file(reference_path)
    assert about["network"] == network.describe()
    assert about["counts"] == {"statistics": 1797, "precision_recall": 1797}


def test_statistics_are_over_all_images_whatever_is_stored(
    reference_path, digits_zip, network, tmp_path
):
    few, again = tmp_path / "few.npz", tmp_path / "again.npz"
    for path in (few, again):
        make_reference(digits_zip, network, path, num_images=100, seed=3)
    assert few.read_bytes() == again.read_bytes()
    whole, part = load(reference_path), load(few)
    assert len(part["arr_0"]) == len(part["arr_1"]) == 100
    np.testing.assert_array_equal(part["mu"], whole["mu"])
    make_reference(digits_zip, network, again, num_images=100, seed=4)
    assert (load(again)["arr_0"] != part["arr_0"]).any()
    reference, size = load_reference(few, network)
    assert size == (8, 8) and reference.num_images == 1797 and len(reference.pool) == 100
    np.testing.assert_array_equal(reference.sigma_s, whole["sigma_s"])


def test_images_alone_serve_as_reference(digits, digits_zip, network, tmp_path):
    np.savez(tmp_path / "a.npz", digits[0][..., None])
    mu, sigma = compute_moments(compute_features(digits[0][..., None], network).pool)
    for path in (tmp_path / "a.npz", digits_zip):
        reference, _ = load_reference(path, network)
        np.testing.assert_array_equal(reference.mu, mu)
        np.testing.assert_array_equal(reference.sigma, sigma)
        assert reference.num_images == 1797


def test_statistics_of_another_network_are_refused_and_both_hashes_shown(reference_path, network):
    other = dataclasses.replace(network, sha256="f" * 64)
    message = f"were made with {network.sha256}, the network given is {'f' * 64}"
    with pytest.raises(UserError, match=message):
        load_reference(reference_path, other)


def test_statistics_of_nobody_knows_which_network_are_refused(reference_path, network, tmp_path):
    arrays = load(reference_path)
    del arrays["network_sha256"]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match="were made with an unnamed network, the network given"):
        load_reference(tmp_path / "a.npz", network)


def test_statistics_of_another_dimension_are_refused(reference_path, network, tmp_path):
    arrays = {**load(reference_path), "sigma_s": np.eye(2023)}
    np.savez(tmp_path / "a.npz", **arrays)
    message = r"sigma_s is \[2023, 2023\]; network convnet-8px-32ch needs \[112, 112\]"
    with pytest.raises(UserError, match=message):
        load_reference(tmp_path / "a.npz", network)


def test_incomplete_statistics_are_refused(reference_path, network, tmp_path):
    arrays = load(reference_path)
    del arrays["mu_s"]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match="holds statistics but lacks mu_s; make it again"):
        load_reference(tmp_path / "a.npz", network)
