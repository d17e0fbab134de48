import dataclasses
import zipfile

import numpy as np
import pytest

from eval.grade import grade
from eval.images.open import STATISTICS
from eval.networks.weights import INCEPTION_SHA256
from eval.reference_statistics import load_reference_statistics
from records.batches import open_array
from records.errors import UserError


@pytest.fixture
def arrays(reference_path):
    with np.load(reference_path) as loaded:
        return {name: loaded[name] for name in loaded.files}


def save(path, arrays, **changes):
    """Write arrays as an .npz, some changed and those that are None left out."""
    arrays = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    np.savez(path, **arrays)
    return path


def test_what_is_stored_is_loaded(reference_path, arrays, network, tmp_path):
    moments, count = load_reference_statistics(reference_path, network)
    assert count == 1797 and tuple(moments) == STATISTICS
    for name in STATISTICS:
        np.testing.assert_array_equal(moments[name], arrays[name])
    path = save(tmp_path / "a.npz", arrays, num_images=None)
    assert load_reference_statistics(path, network)[1] is None
    path = save(tmp_path / "a.npz", arrays, **dict.fromkeys(STATISTICS))
    assert load_reference_statistics(path, network) is None


def test_the_authors_files_go_with_the_published_inception_alone(arrays, network, tmp_path):
    """They name no network; by whatever name and with --any-weights, others are refused."""
    path = save(tmp_path / "a.npz", arrays, network_sha256=None)
    published = dataclasses.replace(network, sha256=INCEPTION_SHA256)
    moments, _ = load_reference_statistics(path, published)
    np.testing.assert_array_equal(moments["mu"], arrays["mu"])
    other = dataclasses.replace(network, name="inception-2015-12-05", sha256="f" * 64)
    message = (
        rf"made with {INCEPTION_SHA256} \(the published Inception: it names no other\), the "
        r"network given is f{64} \(inception-2015-12-05\); give the same weights, or make it again"
    )
    with pytest.raises(UserError, match=message):
        load_reference_statistics(path, other)


def test_a_reference_made_with_other_weights_goes_with_them(arrays, network, tmp_path):
    other = dataclasses.replace(network, name="inception-2015-12-05", sha256="f" * 64)
    path = save(tmp_path / "a.npz", arrays, network_sha256=np.array("f" * 64))
    assert load_reference_statistics(path, other)[1] == 1797
    with pytest.raises(
        UserError, match=f"made with f{{64}}, the network given is {network.sha256}"
    ):
        load_reference_statistics(path, network)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mu": np.full(64, np.nan)}, "mu holds NaN or infinity in 64 of 64 places; make it again"),
        ({"sigma": np.full((64, 64), np.inf)}, "sigma holds NaN or infinity in 4096 of 4096 pl"),
        ({"mu": np.full(64, "1.0")}, r"mu is <U3 \[64\]; floating-point numbers are needed"),
        ({"mu": np.zeros(64, np.int64)}, r"mu is int64 \[64\]; floating-point numbers are needed"),
        ({"mu": np.array([None] * 64)}, "mu: holds pickled Python objects"),
        ({"sigma_s": np.eye(2023)}, r"sigma_s is float64 \[2023, 2023\]; .* needs \[112, 112\]"),
        ({"mu_s": None}, "holds sigma_s but lacks mu_s; make it again with"),
        ({"sigma": None}, "holds mu but lacks sigma; make it again with"),
        ({"mu_s": None, "sigma_s": None}, "holds statistics without mu_s and sigma_s, which sfid"),
        ({"sigma": -np.eye(64)}, "sigma has an eigenvalue of -1; those of a covariance are not"),
        ({"sigma": np.tri(64)}, r"sigma is not symmetric \(by up to 1\); a covariance is; make it"),
        ({"mu": np.full(64, 1e200)}, r"mu reaches 1e\+200; features are float32, at most 3.4e\+38"),
        ({"sigma": np.eye(64) * 1e200}, r"sigma reaches 1e\+200; features are float32"),
        ({"num_images": np.array("many")}, r"num_images is <U4 \[\]; a single whole number is"),
        ({"num_images": np.array(np.nan)}, r"num_images is float64 \[\]; a single whole number"),
        ({"num_images": np.array([7, 8])}, r"num_images is int64 \[2\]; a single whole number is"),
        ({"num_images": np.array(1)}, "num_images is 1; 2 or more are needed; make it again"),
        ({"num_images": np.array(-5)}, "num_images is -5; 2 or more are needed"),
        ({"network_sha256": np.array(3)}, r"network_sha256 is int64 \[\]; a single text of 64"),
        ({"network_sha256": np.array("a" * 65)}, r"network_sha256 is <U65 \[\]; a single text of"),
    ],
)
def test_damage_is_told_before_the_network_runs(
    arrays, network, samples_path, tmp_path, changes, words
):
    def run(images):
        raise AssertionError("the samples went through the network")

    path = save(tmp_path / "a.npz", arrays, **changes)
    with pytest.raises(UserError, match=f"a.npz: {words}"):
        grade(path, samples_path, dataclasses.replace(network, run=run), name="a")


def test_statistics_suffice_for_what_is_compared_with_them(
    reference_path, arrays, network, samples_path, tmp_path
):
    whole = grade(reference_path, samples_path, network, name="a")
    alone = {"arr_0": None, "arr_1": None}
    for absent, metrics in (
        ({}, ("is", "fid", "sfid")),
        ({"mu_s": None, "sigma_s": None}, ("is", "fid")),
        ({"mu": None, "sigma": None}, ("sfid",)),
    ):
        path = save(tmp_path / "a.npz", arrays, **alone, **absent)
        result = grade(path, samples_path, network, name="a", metrics=metrics)
        assert result.values == {name: whole.values[name] for name in metrics}
        assert result.counts == {
            "samples": 300,
            "reference": 1797,
            "reference_precision_recall": None,
        }
        assert result.warnings == () and "300 samples against 1,797 ref" in repr(result)
    path = save(tmp_path / "a.npz", arrays, **alone)
    words = "a.npz: holds statistics without images, which precision, recall need; give --metrics"
    with pytest.raises(UserError, match=f"{words} is,fid,sfid, or a reference made"):
        grade(path, samples_path, network, name="a")
    with pytest.raises(UserError, match=r"lacks \['arr_0'\].*alone they can be REFERENCE"):
        grade(reference_path, path, network, name="a")
    path = save(tmp_path / "a.npz", arrays, **alone, network_sha256=None)
    published = dataclasses.replace(network, sha256=INCEPTION_SHA256)
    (told,) = grade(path, samples_path, published, name="a", metrics=["fid"]).warnings
    assert told.startswith(f"{path}: its statistics name no network and are taken for those of")


def test_sides_that_seem_exchanged_are_told(reference_path, samples_path, network):
    told = grade(samples_path, reference_path, network, name="a").warnings
    assert told[0].startswith(f"{reference_path}: holds statistics (mu, sigma, mu_s, sigma_s), wh")
    assert f"{samples_path} has none; are they the wrong way round?" in told[0]
    for right in (samples_path, reference_path):
        assert grade(reference_path, right, network, name="a", metrics=["fid"]).warnings == ()


def write_lying_header(path, arrays, name, dtype, shape):
    """Write an .npz in which one array's header announces far more than there is."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays.items():
            with open_array(archive, key) as member:
                if key != name:
                    np.lib.format.write_array(member, array)
                    continue
                header = {"descr": dtype, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                member.write(bytes(80))


@pytest.mark.parametrize(
    ("name", "dtype", "shape", "words"),
    [
        ("mu", "<f8", (10**15,), r"mu is float64 \[1000000000000000\]; network .* needs \[64\]"),
        ("network_sha256", "<U500000000", (), r"network_sha256 is <U500000000 \[\]; a single"),
        ("sigma", "<f8", (64, 64), "sigma: not a readable array, it may be cut short"),
    ],
)
def test_a_header_is_not_believed(arrays, network, tmp_path, name, dtype, shape, words):
    write_lying_header(tmp_path / "a.npz", arrays, name, dtype, shape)
    with pytest.raises(UserError, match=f"a.npz: {words}"):
        load_reference_statistics(tmp_path / "a.npz", network)
