"""The real images nearest to samples, against a brute force, and what is refused."""

import numpy as np
import pytest

from eval.cli import run
from eval.images.open import open_images, read_all
from eval.networks.features import compute_features
from records.batches import read_arrays
from records.manifest import read_manifest


@pytest.fixture
def command(reference_path, samples_path, network_path, tmp_path):
    out = tmp_path / "nearest.npz"
    return [
        *("nearest", str(reference_path), str(samples_path), "--weights", str(network_path)),
        *("--out", str(out), "--num-images", "7", "--num-neighbours", "3", "--digest", "d" * 64),
    ]


def test_they_are_those_of_a_brute_force(command, reference_path, samples_path, network, tmp_path):
    assert run(command) == 0
    found = read_arrays(tmp_path / "nearest.npz")
    sets = [open_images(path) for path in (samples_path, reference_path)]
    pools = [compute_features(one, network).pool.astype(np.float64) for one in sets]
    distances = np.linalg.norm(pools[0][:7, None] - pools[1][None], axis=-1)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :3]
    assert found["rows"].tolist() == rows.tolist()
    np.testing.assert_allclose(found["distances"], np.take_along_axis(distances, rows, 1), 1e-6)
    real, _ = read_all(sets[1])
    np.testing.assert_array_equal(found["neighbours"], real[rows])
    np.testing.assert_array_equal(found["samples"], read_all(sets[0])[0][:7])
    own = np.linalg.norm(pools[1][rows[:, 0], None] - pools[1][None], axis=-1)
    np.testing.assert_allclose(found["own_distances"], np.sort(own, axis=1)[:, 1], 1e-6)


def test_the_manifest_says_what_was_compared(command, network, tmp_path):
    assert run(command) == 0
    manifest = read_manifest(tmp_path / "nearest.npz")
    assert manifest["kind"] == "nearest" and manifest["digest"] == "d" * 64
    assert manifest["inputs"]["network"] == network.sha256
    assert {*manifest["inputs"]} == {"samples", "reference", "network"}


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--num-images", "301", "holds 300 images, --num-images (num_images) is 301"),
        ("--num-neighbours", "1797", "1798"),
        ("--num-neighbours", "0", "--num-neighbours"),
    ],
)
def test_too_few_images_are_refused_and_nothing_is_written(
    command, tmp_path, capsys, option, value, words
):
    command[command.index(option) + 1] = value
    try:
        code = run(command)
    except SystemExit as stopped:
        code = stopped.code
    printed = capsys.readouterr().err
    assert code == 2 and words in printed and "Traceback" not in printed
    assert not (tmp_path / "nearest.npz").exists()
