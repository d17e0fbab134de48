"""The bench of seeds: what all rows have in common is removed, what each has alone is not."""

import json
import sys

import pytest

from bench import seeds
from tests.reports.conftest import metrics_content, page_content, read_page, row_spec


def write_page(folder, precisions):
    """Write the metrics of rows by seed; return the page that shows them."""
    rows = []
    for row, values in precisions.items():
        paths = []
        for seed, value in enumerate(values):
            paths.append(folder / f"{row}-{seed}.json")
            content = metrics_content(f"{row}-{seed}", seed=seed, precision=(value, 0.01))
            paths[-1].write_text(json.dumps(content))
        rows.append(row_spec(row, seeds=map(str, paths)))
    return page_content(rows)


@pytest.mark.parametrize(
    ("left", "right", "removed"),
    [
        ([0.5, 0.6, 0.7], [0.4, 0.5, 0.6], 1.0),  # a seed moves both alike
        ([0.5, 0.6, 0.7], [0.6, 0.5, 0.4], -1.0),  # and here against one another
        ([0.5, 0.7, 0.6, 0.6], [0.5, 0.5, 0.4, 0.6], 0.0),  # and here each its own way
    ],
)
def test_the_share_that_equal_seeds_remove(tmp_path, left, right, removed):
    spec = read_page(write_page(tmp_path, {"one": left, "two": right}))
    spread = seeds.measure_spread(spec)["imagenet_256", "final", "precision"]
    assert spread.removed == pytest.approx(removed) and spread.num_rows == 2


def test_every_page_has_a_line_for_each_metric(tmp_path, monkeypatch, capsys):
    path = tmp_path / "table3.spec.json"
    page = write_page(tmp_path, {"one": [0.5, 0.6, 0.7], "two": [0.5, 0.5, 0.6]})
    path.write_text(json.dumps(page))
    monkeypatch.setattr(sys, "argv", ["seeds", str(path)])
    seeds.main()
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "page,",
        "task,",
        "mark,",
        "metric",
        "rows",
        "alone",
        "paired",
        "removed",
    ]
    assert any(line.startswith("table3 imagenet_256 final precision") for line in lines)
