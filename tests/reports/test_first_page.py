"""The first page in a browser: what is in sight, by keyboard, in both modes, on a phone."""

import pytest

from records.errors import main_guard
from reports.cli import main
from tests.reports.browser import (
    MODES,
    count_px_beyond,
    find_broken_links,
    find_violations,
    needs_chromium,
    open_page,
)

pytestmark = [pytest.mark.slow, needs_chromium]
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture
def index(project, make_spec, make_row, make_claim):
    """A first page with claims of every verdict, beside the page of their table."""
    fids = {"a": (12.0, 0.1), "b": (14.0, 0.1), "c": (12.1, 0.1)}
    rows = [make_row(name, project.write_metrics(name, fid=fid)) for name, fid in fids.items()]
    rows.append(make_row("late", "later.json", label="a-very-long-label-" * 4))
    claims = [
        make_claim("fid", "a", "less", "b"),
        make_claim("fid", "b", "less", "a"),
        make_claim("fid", "c", "less", "a"),
        make_claim("fid", "late", "less", "a"),
    ]
    claims[0]["text"] = "A sentence long enough that it has to be broken on a small screen. " * 3
    path = project.write_spec(make_spec(rows, claims=claims))
    run = main_guard(main)
    assert run(["table", "--spec", str(path), "--out-dir", "report"]) == 0
    assert run(["index", "--out-dir", "report", "report/table3.json"]) == 0
    return project.folder / "report" / "index.html"


@pytest.mark.parametrize(("width_px", "height_px", "screens"), [(1280, 800, 2), (360, 740, 4)])
def test_the_first_claim_is_soon_in_sight(browser, index, width_px, height_px, screens):
    with open_page(browser, index, width_px=width_px, height_px=height_px) as page:
        claim = page.locator("ul.forest > li").first
        box = claim.bounding_box()
        assert claim.is_visible() and box["y"] + box["height"] < screens * height_px
        assert count_px_beyond(page) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width_px", [360, 1440])
def test_everybody_can_read_it(browser, index, mode, width_px):
    with open_page(browser, index, width_px=width_px, mode=mode) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert find_violations(page) == []


def test_text_of_twice_the_size_fits_a_phone(browser, index):
    with open_page(browser, index, width_px=360, height_px=740) as page:
        page.add_style_tag(content="html { font-size: 200% }")
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert count_px_beyond(page) == 0


def test_both_modes_have_colours_of_their_own(browser, index):
    seen = {}
    for mode in MODES:
        with open_page(browser, index, mode=mode) as page:
            seen[mode] = page.evaluate(BACKGROUND)
            marks = page.locator(".strip .at")
            colours = [
                marks.nth(k).evaluate("one => getComputedStyle(one).stroke") for k in range(3)
            ]
            assert len(set(colours)) == 3
    assert seen == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}


def test_the_keyboard_is_enough(browser, index):
    with open_page(browser, index) as page:
        page.keyboard.press("Tab")
        skip = page.locator(":focus")
        assert skip.inner_text() == "Skip to the content" and skip.bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.locator(":focus").get_attribute("href") == "#supported"
        fold = page.locator("details.group summary").first
        for _ in range(20):
            if fold.evaluate("one => one === document.activeElement"):
                break
            page.keyboard.press("Tab")
        assert fold.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
        claim = page.locator("ul.forest a").first
        page.keyboard.press("Enter")
        assert not claim.is_visible()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert claim.evaluate("one => one === document.activeElement")
        page.keyboard.press("Enter")
        page.wait_for_url("**/table3.html#claim-claim_a")


def test_a_phone_folds_all_groups_but_the_first(browser, index):
    with open_page(browser, index, width_px=360) as page:
        groups = page.locator("details.group")
        states = [groups.nth(k).evaluate("one => one.open") for k in range(groups.count())]
        assert states == [True, False, False, False]
        page.locator(".verdicts a").nth(1).click()  # a link to a folded group opens it
        assert groups.nth(1).evaluate("one => one.open")


def test_it_is_whole_without_javascript(browser, index):
    with open_page(browser, index, width_px=360, java_script_enabled=False) as page:
        assert page.locator("ul.forest > li").count() == 4
        assert all(one.is_visible() for one in page.locator("ul.forest > li").all())


def test_what_can_be_clicked_is_large_enough(browser, index):
    with open_page(browser, index, width_px=360) as page:
        for one in page.locator("nav a, .verdicts a, summary, td.files a").all():
            assert not one.is_visible() or one.bounding_box()["height"] >= 24, one.inner_text()


def test_a_table_that_scrolls_says_so(browser, index):
    with open_page(browser, index, width_px=360) as page:
        box = page.locator(".scroll").first
        assert "more" in box.get_attribute("class").split()
        box.evaluate("one => { one.scrollLeft = one.scrollWidth }")
        page.wait_for_function("!document.querySelector('.scroll').matches('.more')")
        assert "scrolls" in box.get_attribute("class").split()
    with open_page(browser, index, width_px=1440) as page:
        assert page.locator(".scroll").first.get_attribute("class") == "scroll"


def test_every_link_leads_somewhere(index):
    assert find_broken_links(index.parent) == []


def test_paper_is_white_and_tables_are_whole_on_it(browser, index):
    with open_page(browser, index, mode="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
        assert page.locator("nav").is_hidden()
        table = page.locator(".scroll").first
        assert table.evaluate("one => getComputedStyle(one).overflowX") == "visible"


def test_folded_claims_are_printed(browser, index):
    folded = ".group:not([open]), .rest:not([open])"
    with open_page(browser, index, width_px=360) as page:
        num_folded = page.locator(folded).count()
        page.evaluate(
            "one => addEventListener('beforeprint', () => { window.left = "
            "document.querySelectorAll(one).length })",
            folded,
        )
        page.pdf()
        assert num_folded > 0 and page.evaluate("window.left") == 0
        assert page.locator(folded).count() == num_folded
