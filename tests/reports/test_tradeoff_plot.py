"""The figure of precision against recall as SVG on its page."""

import re
from xml.etree import ElementTree

import pytest

from reports.render import render_table
from reports.tradeoff import make_tradeoffs
from reports.tradeoff_plot import make_tradeoff_plot
from tests.reports.conftest import evaluate
from tests.reports.test_render import HOSTILE, Page


def draw(spec, place=0):
    panel = make_tradeoffs(evaluate(spec))[0]["panels"][place]
    return ElementTree.fromstring(make_tradeoff_plot(panel, "name"))


def read_lines(svg):
    """Pixels of the points of every line, in the order of their guidance."""
    paths = [one for one in svg.iter("path") if "stroke-width: 1.8" in one.get("style", "")]
    paths = [
        [tuple(map(float, p)) for p in re.findall(r"[ML] (\S+) (\S+)", one.get("d"))]
        for one in paths
    ]
    return [path for path in paths if len({y for _, y in path}) > 1]  # without the legend's samples


def list_texts(svg):
    return [text.text for text in svg.iter("text")]


def test_the_guided_point_is_up_and_to_the_left(guided_spec):
    lines = read_lines(draw(guided_spec()))
    assert [len(line) for line in lines] == [2, 3]
    for (x0, y0), *_, (x1, y1) in lines:
        assert x1 < x0 and y1 < y0  # pixels count from the top


def test_pixels_are_the_values_on_the_axes(guided_spec):
    svg = draw(guided_spec())
    ticks = {
        text.text: (float(text.get("x")), float(text.get("y")))
        for text in svg.iter("text")
        if re.fullmatch(r"0\.\d+", text.text)
    }
    upright = [one for one in ticks if ticks[one][0] == min(x for x, _ in ticks.values())]
    (_, first), (_, last) = ticks[upright[0]], ticks[upright[-1]]
    per_px = (float(upright[-1]) - float(upright[0])) / (first - last)
    offset = 4.18  # from a number's baseline to its line
    (_, y), _ = read_lines(svg)[0]
    assert float(upright[0]) + (first - offset - y) * per_px == pytest.approx(0.71, abs=1e-3)


def test_lines_differ_in_more_than_colour_and_paper_from_here(guided_spec):
    spec = guided_spec(agreement={"reference_images": 1000})
    text = ElementTree.tostring(draw(spec), encoding="unicode")
    assert len(set(re.findall(r"stroke-dasharray: ([\d.,]+)", text))) >= 2
    shapes = {one.get("id"): one.get("d") for one in draw(spec).iter("path") if one.get("id")}
    assert len(set(shapes.values())) == len(shapes) >= 4
    assert "fill: var(--paper)" in text  # the published ones are hollow
    names = [one for one in list_texts(draw(spec)) if one.startswith(("cond", "uncond"))]
    assert names == [
        "uncond, here", "cond, here", "uncond, in the paper", "cond, in the paper",
    ]  # fmt: skip


def test_each_point_is_labelled_once_and_axes_say_what_is_better(guided_spec):
    for agreement in (None, {"reference_images": 1000}):
        texts = list_texts(draw(guided_spec(agreement=agreement)))
        assert texts.count("no guidance") == texts.count("scale 10.0") == 2
        assert texts.count("scale 1.0") == 1
        assert {"Recall (higher is better)", "Precision (higher is better)", "better"} <= {*texts}


def test_measured_points_lead_to_their_sample_sets(guided_spec):
    spec = guided_spec(agreement={"reference_images": 1000})  # the paper's values are there too
    panel = make_tradeoffs(evaluate(spec))[0]["panels"][0]
    pages = {"cond_1-final": "samples/cond_1.html"}
    (link,) = ElementTree.fromstring(make_tradeoff_plot(panel, "name", pages)).iter("a")
    assert link.get("href") == "samples/cond_1.html"
    assert link.find("title").text == "cond, scale 1.0: precision 0.870, recall 0.840 (sample set)"


def test_the_figure_is_described_in_words(guided_spec):
    svg = draw(guided_spec())
    assert svg.get("role") == "img"
    assert svg.get("aria-label").startswith(
        "Precision against recall, here. uncond, here: no guidance precision 0.710, recall 0.930; "
        "scale 10.0 precision 0.840, recall 0.840; cond, here: no guidance"
    )


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (HOSTILE, HOSTILE),
        ("$x$ \\alpha ^_", "$x$ \\alpha ^_"),
        ("$\\frac{", "$\\frac{"),
        ("a\nb\tc\x00d\ud800\x1b", "a b c d"),
        ("_hidden", "_hidden"),
        ("]]><b>&amp;", "]]><b>&amp;"),
        ("数字 🙂", "数字 🙂"),
        ("#figure_1 url(#a)", "#figure_1 url(#a)"),
        ("", ""),
    ],
)
def test_labels_are_text(guided_spec, label, shown):
    svg = draw(guided_spec(labels={"uncond": label}))
    assert (shown or None) in list_texts(svg) or not shown
    assert shown in svg.get("aria-label")
    assert len(list(svg.iter("text"))) == len(list(draw(guided_spec()).iter("text"))) - (not shown)


def test_a_long_label_is_cut(guided_spec):
    for label in ("m" * 500, "数" * 500):
        (text,) = [
            one for one in list_texts(draw(guided_spec(labels={"cond": label}))) if "…" in one
        ]
        assert len(text) < 40


def test_hostile_labels_stay_text_on_the_page(guided_spec):
    html = render_table(evaluate(guided_spec(labels={"uncond": HOSTILE})), [], [])
    page = Page(html)
    assert html.count("<script") == 1  # the page's own
    assert page.text.count(HOSTILE) > 4


def test_the_page_holds_both_figures_and_nothing_from_outside(guided_spec):
    html = render_table(evaluate(guided_spec()), [], [])
    page = Page(html)
    svgs = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert all(one.get("aria-label") or one.get("aria-hidden") for one in svgs)
    assert len([one for one in svgs if "aria-label" in one]) == 2
    assert len(page.ids) == len(set(page.ids))
    used = re.findall(r'url\(#(\w+)\)|href="#(m\w+)"', html)
    assert used and {first or second for first, second in used} <= set(page.ids)
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        assert "http" not in svg and "<style" not in svg and "<image" not in svg
        assert len(svg) < 15_000


def test_points_in_one_place_without_intervals_are_drawn(guided_spec, project):
    spec = guided_spec()
    for name in ("uncond", "uncond_10", "cond", "cond_1", "cond_10"):
        project.write_metrics(name, precision=(1.0, None), recall=(1.0, None))
    assert len(list_texts(draw(spec))) > 8


def test_many_models_have_room(guided_spec, project, make_row):
    spec = guided_spec()
    spec["rows"] = []
    for number in range(12):
        row = make_row(f"r{number}", project.write_metrics(f"r{number}", recall=0.05 * number))
        row["settings"] = {"conditional": number // 2, "guidance_scale": float(number % 2)}
        spec["rows"].append(row)
    svg = draw(spec)
    assert float(svg.get("height")) > float(draw(guided_spec()).get("height"))
    assert list_texts(svg).count("scale 1.0") == 6
