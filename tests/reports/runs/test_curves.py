"""Training curves from events: those of the model's own spec, each iteration once."""

import json
import math

import pytest

from reports.runs.curves import BOTTOM_PX, HEIGHT_PX, TOP_PX, make_plots, read_curves
from reports.runs.curves import _choose_ticks as choose_ticks
from specs.run_pages import TrainedModel


def write_events(path, *events):
    path.write_text("".join(json.dumps(one) + "\n" for one in events))
    return TrainedModel(name="a", seed=0, digest="d", marks=[], events=str(path))


def progress(iteration, **values):
    return {"event": "progress", "time": 1.0, "iteration": iteration, **values}


def start(digest):
    return {"event": "start", "kind": "model", "time": 0.0, "digest": digest}


def test_events_of_other_specs_are_left_out_and_the_last_word_counts(tmp_path):
    model = write_events(
        tmp_path / "train-a.jsonl",
        start("other"), progress(1, loss=9.0),
        start("d"), progress(1, loss=2.0, grad_norm=1.0), progress(2, loss=1.5),
        start("d"), progress(2, loss=1.0, vb=math.nan), progress(3, loss=0.5),
    )  # fmt: skip
    assert read_curves(model) == {"loss": [(1, 2.0), (2, 1.0), (3, 0.5)], "grad_norm": [(1, 1.0)]}
    assert read_curves(model.model_copy(update={"events": None})) == {}


def test_a_plot_has_a_line_for_each_seed(tmp_path):
    line = [(0, 4.0), (100, 1.0)]
    curves = {"seed 0": {"loss": line, "grad_norm": [(1, 1.0)]}, "seed 1": {"loss": line[::-1]}}
    (plot,) = make_plots(curves)
    assert [one["words"] for one in plot["lines"]] == ["seed 0", "seed 1"]
    first, last = plot["lines"][0]["points"].split()
    assert first == f"48.0,{TOP_PX}.0" and last == f"308.0,{HEIGHT_PX - BOTTOM_PX}.0"
    assert plot["grid"] == [("154.0", "1"), ("81.0", "2"), ("38.3", "3"), ("8.0", "4")]


def test_accuracies_are_those_of_one_seed(tmp_path):
    event = {"accuracy_by_quarter": [0.9, 0.5]}
    model = write_events(tmp_path / "e", start("d"), progress(1, **event), progress(2, **event))
    curves = read_curves(model)
    (plot,) = make_plots({"training seed 0": curves, "training seed 1": curves})
    assert [one["words"] for one in plot["lines"]] == ["quarter 1", "quarter 2"]
    assert [text for _, text in plot["grid"]] == ["0%", "50%", "100%"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.001, 50.0, [0.001, 0.01, 0.1, 1.0, 10.0]),
        (0.9, 2.1, [1.0, 1.5, 2.0]),
        (-0.5, 0.5, [-0.4, -0.2, 0.0, 0.2, 0.4]),
        (1.0, 7.5, [2.0, 4.0, 6.0]),
        (0.0, 700.0, [0.0, 200.0, 400.0, 600.0]),
    ],
)
def test_ticks_are_few_and_round(low, high, ticks):
    assert choose_ticks(low, high) == pytest.approx(ticks)
