"""The bench of the feature network: turns and ratios; the whole of it in small where it is slow."""

import argparse
import importlib.util

import pytest

from bench import features


def test_variants_are_measured_in_turns_after_a_warm_up():
    calls = []
    work = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    clock, processor = features.measure(work, 3)
    assert "".join(calls) == "ab" * 4
    for seconds in (clock, processor):
        assert set(seconds) == {"a", "b"} and all(len(times) == 3 for times in seconds.values())
        assert min(times for row in seconds.values() for times in row) >= 0


def test_a_ratio_is_the_median_of_the_rounds():
    assert features.compute_ratio([1.0, 2.0, 1.0], [3.0, 2.0, 2.0]) == 2.0


def test_utilisation_is_asked_of_gpus_alone():
    with features.watch_utilisation("cpu") as samples:
        pass
    assert samples == []


@pytest.mark.slow
def test_every_variant_has_a_row():
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed")
    options = {"weights": None, "image_size_px": 16, "num_images": 2, "batch_size": 2}
    options |= {"rounds": 1, "threads": 1, "device": "cpu"}
    told = features.run(argparse.Namespace(**options))
    assert set(told["rows"]) == {"torch", features.FROM_FILE, "tensorflow"}
    for row in told["rows"].values():
        assert row["images_per_second"] > 0 and row["gpu_utilisation_percent"] is None
    assert told["rows"]["torch"]["ratio"] == 1
