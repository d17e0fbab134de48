"""Figures by matplotlib: the same on every run, whatever surrounds them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reports.cli import write_table
from reports.svg import Link, clean_text, render_svg

ROOT = Path(__file__).resolve().parents[2]


def draw(figure):
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot([0, 1, 2], [0, 1, 0], marker="o")
    axes.text(0.5, 0.5, "words")


def render(**changes):
    return render_svg(
        draw, **{"width_px": 200, "height_px": 100, "name": "a", "words": "w", **changes}
    )


def test_equal_figures_are_equal_and_named_ones_share_no_id():
    assert render() == render()
    one, other = (set(re.findall(r' id="(\w+)"', render(name=name))) for name in "ab")
    assert one and not one & other


def test_nothing_reaches_beyond_the_figure():
    svg = render()
    assert svg.startswith("<svg ") and svg.endswith("</svg>")
    for word in ("<style", "metadata", "http", "font-family", "matplotlib", "figure_1", "<?xml"):
        assert word not in svg.lower()
    assert 'width="200" height="100" role="img" aria-label="w"' in svg


def test_points_that_lead_somewhere_lie_over_the_picture_and_not_in_it():
    words = """<b> & "quotes" 'too' #fa0000\x00"""
    links = [Link(50, 80, 'a/b&c"<d>.html', words), Link(60, 80, "x.html", "near"),
             Link(150, 20, "y.html", "far")]  # fmt: skip
    svg = ElementTree.fromstring(
        render_svg(
            lambda figure: draw(figure) or links, width_px=200, height_px=100, name="a", words="w"
        )
    )
    picture, *found = svg
    assert svg.get("role") is None and picture.attrib == {"role": "img", "aria-label": "w"}
    assert list(picture.iter("text")) and not list(picture.iter("a"))
    assert found[0].get("href") == 'a/b&c"<d>.html'
    assert found[0].find("title").text.startswith("""<b> & "quotes" 'too' """)
    circles = [one.find("circle") for one in found]
    assert [(one.get("cx"), one.get("cy")) for one in circles] == [
        ("50.0", "20.0"), ("60.0", "20.0"), ("150.0", "80.0"),
    ]  # fmt: skip
    # No larger than the way to the next one, and else as large as a finger needs.
    assert [one.get("r") for one in circles] == ["5.0", "5.0", "12.0"]


def test_coordinates_are_hundredths_of_a_pixel():
    assert not re.search(r"\d\.\d{3}", render())


def test_the_user_s_settings_of_matplotlib_change_nothing():
    import matplotlib

    expected = render()
    with matplotlib.rc_context({"lines.linewidth": 9, "text.usetex": True, "svg.fonttype": "path"}):
        assert render() == expected
        assert matplotlib.rcParams["lines.linewidth"] == 9


def test_texts_are_one_printable_line():
    assert clean_text(" a\n\tb\x00\u2028c\ud800 ") == "a b c"


@pytest.fixture
def spec_path(project, guided_spec):
    return project.write_spec(guided_spec())


def run(spec_path, out_dir, **environment):
    command = [sys.executable, "-W", "error", "-m", "reports", "table", "--spec", str(spec_path)]
    return subprocess.run(
        [*command, "--out-dir", out_dir],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )


def test_pages_are_equal_in_other_processes_with_any_number_of_threads(project, spec_path):
    write_table(spec_path, "here")
    expected = (project.folder / "here/table3.html").read_bytes()
    assert b"<svg" in expected
    for threads, seed in (("1", "0"), ("4", "1")):
        run(spec_path, threads, OMP_NUM_THREADS=threads, PYTHONHASHSEED=seed, SOURCE_DATE_EPOCH="1")
        assert (project.folder / threads / "table3.html").read_bytes() == expected


def test_a_folder_of_settings_that_cannot_be_written_is_no_matter(project, spec_path):
    """Nor are settings that lie in the current folder, nor a display that is not there."""
    write_table(spec_path, "here")
    (project.folder / "matplotlibrc").write_text("lines.linewidth: 9\nno such key\n")
    done = run(spec_path, "out", MPLCONFIGDIR="/proc/nowhere", HOME="/proc/nowhere", DISPLAY=":99")
    assert done.stdout + done.stderr == ""
    files = [project.folder / folder / "table3.html" for folder in ("here", "out")]
    assert files[0].read_bytes() == files[1].read_bytes()
