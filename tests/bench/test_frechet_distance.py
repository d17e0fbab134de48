"""The bench of the Fréchet distance in small: both ways find one distance, in every case."""

import json
import sys

import pytest

from bench import frechet_distance
from eval.metrics.fid import compute_frechet_distance


@pytest.mark.parametrize("against", frechet_distance.OTHERS)
@pytest.mark.parametrize("images_per_dim", [4.0, 1.02])
def test_the_others_give_our_distance(images_per_dim, against):
    moments = frechet_distance.make_gaussians(24, images_per_dim)
    expected = compute_frechet_distance(*moments)
    assert expected > 0.01
    compute = frechet_distance.OTHERS[against]
    assert compute(*moments) == pytest.approx(expected, rel=1e-6)


def test_every_case_has_a_row(monkeypatch, capsys, tmp_path):
    command = ["bench", "--dims", "16", "--threads", "1", "--json", str(tmp_path / "out.json")]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # main sets them: they are to be as before afterwards
    monkeypatch.setattr(sys, "argv", command)
    frechet_distance.main()
    told = json.loads((tmp_path / "out.json").read_text())
    assert [row["case"] for row in told["rows"]] == list(frechet_distance.CASES)
    printed = capsys.readouterr().out
    for row in told["rows"]:
        assert row["ratio"] == pytest.approx(row["other_seconds"] / row["seconds"])
        assert abs(row["relative_difference"]) < 1e-5
        assert f"{row['distance']:12.6f}" in printed
