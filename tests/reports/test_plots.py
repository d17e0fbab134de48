"""Plots of finished pages as files: what they show, in colours of their own."""

import json
import re
import shutil
from xml.etree import ElementTree

import pytest

from records.errors import UserError
from reports.cli import main
from reports.plots import write_plots

PLOT = (
    '<svg viewBox="0 0 9 9" width="9" height="9" role="img" aria-label="{label}">'
    '<a href="../samples/a.html"><path style="stroke: var(--series-1)" d="M0 0"/></a>'
    '<line class="grid" x1="0" x2="9" y1="1" y2="1"/></svg>'
)
LABELS = ("FID against scale. Here, a &amp; b", "FID against scale, in the paper", "../x&lt;y")


@pytest.fixture
def page(tmp_path):
    plots = "".join(PLOT.format(label=label) for label in LABELS)
    path = tmp_path / "table3.html"
    path.write_text(f'<!doctype html><svg aria-hidden="true"><path d="M1 1"/></svg>{plots}')
    return path


def test_each_plot_is_a_file_named_after_what_it_shows(page, tmp_path):
    found = write_plots(page, tmp_path / "plots" / "table3")
    assert [path.name for path in found] == [
        "table3-fid-against-scale.svg",
        "table3-fid-against-scale-2.svg",
        "table3.svg",
    ]
    assert set((tmp_path / "plots" / "table3").iterdir()) == set(found)
    root = ElementTree.fromstring(found[0].read_bytes())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root[0].text == root.attrib["aria-label"] == "FID against scale. Here, a & b"
    assert not list(root.iter("{http://www.w3.org/2000/svg}a"))


def test_every_colour_of_a_plot_is_in_its_file(page, tmp_path):
    text = write_plots(page, tmp_path / "plots")[0].read_text()
    used = set(re.findall(r"var\((--[\w-]+)\)", text))
    assert {"--series-1", "--paper", "--line"} <= used
    assert used <= set(re.findall(r"(--[\w-]+): #", text))
    assert text.count(":root {") == 2 and "@media" not in text


def test_an_earlier_folder_is_replaced(page, tmp_path):
    out = tmp_path / "plots"
    out.mkdir()
    (out / "old.svg").write_text("old")
    main(["plots", str(page), "--out", str(out)])
    assert len(list(out.iterdir())) == 3 and not (out / "old.svg").exists()


def test_a_missing_page_costs_nothing(page, tmp_path):
    out = tmp_path / "plots"
    write_plots(page, out)
    page.unlink()
    with pytest.raises(UserError, match=r"table3\.html: no such page; render it first"):
        write_plots(page, out)
    assert len(list(out.iterdir())) == 3
    shutil.rmtree(out)


def test_pages_of_models_count_to_a_table_and_not_to_the_figures(page, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.html").write_text(PLOT.format(label="Training loss against steps"))
    spec = {"models": [{"name": "m"}, {"name": "gone"}], "samples": [{"name": "a"}]}
    (tmp_path / "table3.runs.json").write_text(json.dumps(spec))
    assert len(write_plots(page, tmp_path / "plots")) == 3
    (tmp_path / "table3.json").write_text("{}")
    names = [path.name for path in write_plots(page, tmp_path / "plots")]
    assert names[3:] == ["m-training-loss-against-steps.svg"]
