"""The page of figures in Chromium: it fits, loads nothing else, and passes axe-core."""

import pytest

from reports.cli import write_figures
from reports.figures.page import render_figures
from reports.figures.points import evaluate_figures
from specs.figure_page import FigurePage
from specs.strict import validated
from tests.reports.browser import (
    MODES,
    find_broken_links,
    find_violations,
    needs_chromium,
    open_page,
)
from tests.reports.test_figures import figure_content
from tests.reports.test_strips import nearest_content, picture_content, write_samples

pytestmark = [pytest.mark.slow, needs_chromium]
# Texts of plots that overlap, leave their plot or are not the page's own colours.
MEASURE = """() => {
  const box = one => one.getBoundingClientRect();
  const meet = (a, b) =>
    a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
  let overlaps = 0, outside = 0;
  for (const svg of document.querySelectorAll("div.panels > svg")) {
    const texts = [...svg.querySelectorAll("text")].map(box), all = box(svg);
    texts.forEach((a, i) => texts.slice(i + 1).forEach(b => { overlaps += meet(a, b); }));
    outside += texts.filter(a => a.left < all.left || a.right > all.right + 1).length;
  }
  const root = document.documentElement;
  const broken = [...document.images].filter(one => !one.naturalWidth).length;
  return [overlaps, outside, broken, root.scrollWidth - root.clientWidth];
}"""


@pytest.fixture
def page_path(project):
    """A plot against a setting, one against a metric, strips, and neighbours, on one page."""
    content = figure_content(
        project,
        panels=[
            {"across": "guidance_scale", "up": "fid"},
            {"across": "precision", "up": "fid"},
        ],
    )
    for name in ("cond", "cond_1", "cond_3", "cond_10"):
        write_samples(project, name)
    pictures, nearest = picture_content(project), nearest_content(project)
    content["tables"], content["rows"] = pictures["tables"], pictures["rows"]
    for name, one in (("samples", pictures), ("nearest", nearest)):
        content["figures"] += [{**one["figures"][0], "name": name, "title": name}]
    write_figures(project.write_spec(content), project.folder / "report")
    return project.folder / "report" / "figures.html"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width_px", [1440, 360])
def test_the_page_in_a_browser(browser, page_path, width_px, mode):
    asked = []
    with open_page(browser, page_path, width_px=width_px, mode=mode) as page:
        page.on("request", lambda one: asked.append(one.url))
        assert page.locator("div.panels > svg").count() == 2
        assert page.locator(".strips img").count() == 8
        assert page.evaluate(MEASURE) == [0, 0, 0, 0]
        assert find_violations(page) == []
        page.locator("summary", has_text="The numbers").focus()
        page.keyboard.press("Enter")
        cells = page.locator("section", has_text="The numbers").locator("td.n b")
        assert cells.all_inner_texts()[:4] == ["6.10", "0.700", "5.10", "0.700"]
        assert page.evaluate(MEASURE)[3] == 0
    assert [one for one in asked if not one.startswith("data:")] == []


def test_every_link_leads_somewhere(page_path):
    assert "figures/guidance.csv" in page_path.read_text()
    assert find_broken_links(page_path.parent) == []


@pytest.fixture
def linked_path(project):
    """Two plots whose points lead to pages of sample sets."""
    panels = [{"across": across, "up": "fid"} for across in ("guidance_scale", "precision")]
    page = validated(FigurePage, figure_content(project, panels=panels), "spec")
    (project.folder / "samples").mkdir()
    pages = {f"{row}-final": f"samples/{row}.html" for row in ("cond", "cond_1", "cond_3")}
    for address in pages.values():
        (project.folder / address).write_text(f"<!doctype html><title>{address}</title>")
    path = project.folder / "figures.html"
    path.write_text(render_figures(page, evaluate_figures(page, []), [], [], pages))
    return path


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width_px", [1440, 360])
def test_a_point_of_a_plot_leads_to_its_sample_set(browser, linked_path, width_px, mode):
    name = "conditional, cond_1: FID 5.10 (sample set)"
    ring = "one => getComputedStyle(one.querySelector('circle')).stroke"
    with open_page(browser, linked_path, width_px=width_px, mode=mode) as page:
        assert find_violations(page) == [] and page.evaluate(MEASURE)[3] == 0
        points = page.get_by_role("link", name=name, exact=True)
        assert points.count() == 2  # one in each plot
        assert page.get_by_role("img", name="FID against guidance scale").count() == 1
        points.first.click()
        assert page.title() == "samples/cond_1.html"
        page.go_back()
        before = points.last.evaluate(ring)
        page.get_by_role("link", name="conditional, cond: FID 6.10").last.focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.querySelector('title').textContent") == name
        assert points.last.evaluate(ring) != before  # the focus is seen
        page.keyboard.press("Enter")
        page.wait_for_url("**/samples/cond_1.html")


def test_dark_and_light_plots_have_the_pages_colours(browser, page_path):
    colours = {}
    for mode in MODES:
        with open_page(browser, page_path, mode=mode) as page:
            style = "getComputedStyle(document.querySelector('div.panels > svg text')).fill"
            paper = "getComputedStyle(document.body).backgroundColor"
            colours[mode] = (page.evaluate(style), page.evaluate(paper))
    assert colours["light"][0] != colours["dark"][0] and colours["light"][1] != colours["dark"][1]
    assert all(text != background for text, background in colours.values())
