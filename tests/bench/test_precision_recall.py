"""The bench of precision and recall in small: the plain way finds what ours finds."""

import json
import sys

import numpy as np
import pytest

from bench import precision_recall
from eval.metrics import neighbours
from eval.metrics.precision_recall import compute_precision_recall


@pytest.mark.parametrize("kind", ["network", "independent"])
@pytest.mark.parametrize("block_rows", [7, 1000])
def test_the_baseline_finds_what_ours_finds(kind, block_rows):
    reference = precision_recall.make_features(kind, 90, 12, shift=0.0, seed=1)
    samples = precision_recall.make_features(kind, 70, 12, shift=1.0, seed=2)
    ours = compute_precision_recall(reference, samples)
    found = precision_recall.compute_baseline(reference, samples, block_rows)
    assert found == pytest.approx((ours.precision, ours.recall), abs=1e-9)
    assert 0 < ours.precision < 1 and 0 < ours.recall < 1


def test_features_are_like_a_networks():
    features = precision_recall.make_features("network", 50, 8, shift=0.0, seed=1)
    assert features.shape == (50, 8) and features.dtype == np.float32 and features.min() == 0


def test_figures_of_both_are_told(monkeypatch, capsys, tmp_path):
    out = tmp_path / "out.json"
    monkeypatch.setitem(neighbours.BLOCK_ROWS, "cpu", neighbours.BLOCK_ROWS["cpu"])
    command = "bench --num-samples 60 --num-reference 40 --dims 8 --rounds 1 --block-rows 16"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--json", str(out)])
    precision_recall.main()
    told = json.loads(out.read_text())
    assert told["shape"] == [60, 40, 8] and told["block_rows"] == 16
    found = told["precision_and_recall"]
    assert found["ours"] == pytest.approx(found["baseline"], abs=1e-9)
    ratio = told["measured"]["ratio of seconds"]["seconds"]
    seconds = {name: told["measured"][name]["seconds"] for name in ("ours", "baseline")}
    assert ratio == pytest.approx(seconds["baseline"] / seconds["ours"])
    assert "60 x 40 x 8 network features, 1 threads" in capsys.readouterr().out
