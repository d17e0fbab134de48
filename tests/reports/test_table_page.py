"""The page of a table in a browser: sorting, the switch, copying, by pointer and by keyboard."""

import json

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
from tests.reports.conftest import wanted

pytestmark = [pytest.mark.slow, needs_chromium]
OPEN_ALL = "document.querySelectorAll('details').forEach(one => { one.open = true })"


def write_page(project, spec):
    path = project.write_spec(spec)
    assert main_guard(main)(["table", "--spec", str(path), "--out-dir", "report"]) == 0
    assert main_guard(main)(["index", "--out-dir", "report", "report/table3.json"]) == 0
    return project.folder / "report" / "table3.html"


@pytest.fixture
def make_page(project, make_spec, make_row, make_claim):
    """The page of three measured rows and a baseline, with everything that a page may have."""

    def make(layout="plain", num_claims=12):
        fids = {"alpha": (12.0, 0.1), "beta": (3.5, 0.1), "gamma": (100.5, 0.1)}
        rows = []
        for place, (name, fid) in enumerate(fids.items()):
            path = project.write_metrics(name, fid=fid, precision=0.9 - place / 10)
            row = make_row(name, path, label=f"<b>{name}</b> & a long label", notes=["own"])
            row["published"]["final"] = {"fid": 5.0 - place, "precision": 0.6 + place / 10}
            row["cells"]["final"]["samples"] = wanted(project.write_samples(f"batch-{name}"))
            row["cells"]["final"]["run"] = {"metrics": path, "samples": f"batch-{name}.npz"}
            rows.append(row)
        rows.append(make_row("gan", kind="baseline", reason="quoted", label="a baseline"))
        ceilings = {"imagenet_256": project.write_metrics("real", fid=0.25)}
        claims = [make_claim("fid", "beta", "less", "alpha") for _ in range(num_claims)]
        for place, claim in enumerate(claims):
            claim["id"] = f"claim_{place}"
            claim["text"] = "A sentence of the paper that is long enough to need two lines or so."
        differences = [
            {"what": f"setting {place}", "paper": "a value " * 9, "here": "another " * 9}
            for place in range(20)
        ]
        options = {"claims": claims, "ceilings": ceilings, "differences": differences}
        spec = make_spec(rows, layout=layout, **options)
        return write_page(project, spec)

    return make


def list_rows(page):
    """The first word of every row of the table in sight, in their order."""
    heads = page.locator("table.sortable:visible tbody th").all_inner_texts()
    return [head.split("\n")[0].replace("<b>", "").split("<")[0].split(" ")[0] for head in heads]


def press(page, name):
    page.locator("table.sortable:visible thead button", has_text=name).click()


def read_sort(page, name):
    head = page.locator("table.sortable:visible thead th", has_text=name)
    return head.get_attribute("aria-sort")


PAPER = ["alpha", "beta", "gamma", "a", "real"]  # real images stay last, the unmeasured before them


def test_sorting_knows_which_way_is_better(browser, make_page):
    with open_page(browser, make_page()) as page:
        assert list_rows(page) == PAPER and read_sort(page, "FID") is None
        press(page, "FID")
        assert list_rows(page) == ["beta", "alpha", "gamma", "a", "real"]  # numbers, not text
        assert read_sort(page, "FID") == "ascending"
        assert page.locator("#said").inner_text() == "Sorted by FID, ascending, best first."
        press(page, "FID")
        assert list_rows(page) == ["gamma", "alpha", "beta", "a", "real"]
        press(page, "Precision")
        assert list_rows(page)[:3] == ["alpha", "beta", "gamma"]
        assert (read_sort(page, "Precision"), read_sort(page, "FID")) == ("descending", None)
        for _ in range(2):
            press(page, "Precision")
        assert list_rows(page) == PAPER and read_sort(page, "Precision") is None


def test_the_row_that_others_differ_from_is_sorted_as_no_difference(
    browser, project, make_spec, make_row
):
    fids = {"first": 12.0, "worse": 15.0, "better": 10.0}
    rows = [make_row(name, project.write_metrics(name, fid=fid)) for name, fid in fids.items()]
    with open_page(browser, write_page(project, make_spec(rows, layout="deltas"))) as page:
        press(page, "FID")
        assert list_rows(page) == ["better", "first", "worse"]


def test_claims_behind_a_fold_are_printed(browser, make_page):
    with open_page(browser, make_page()) as page:
        rest = page.locator("details.rest")
        assert rest.get_attribute("open") is None
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert rest.locator("li[id]").first.is_visible()
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not rest.locator("li[id]").first.is_visible()


def test_the_switch_shows_values_or_differences(browser, make_page):
    for layout, first in (("plain", "values"), ("deltas", "differences")):
        with open_page(browser, make_page(layout)) as page:
            assert page.get_by_role("radio", name=first).is_checked()
            shown = {}
            for name in ("values", "differences"):
                page.get_by_role("radio", name=name).check()
                assert page.locator("section.view:visible").count() == 1
                shown[name] = page.locator("section.view:visible tr.row td.n b").all_inner_texts()
            assert shown["values"][2] == "3.50"
            assert shown["differences"][2] == "\u22128.50"
            assert shown["values"][0] == shown["differences"][0] == "12.00"


def test_the_keyboard_is_enough(browser, make_page):
    with open_page(browser, make_page()) as page:
        page.get_by_role("radio", name="values").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("radio", name="differences").is_checked()
        assert page.locator("#view-differences").is_visible()
        page.keyboard.press("ArrowLeft")
        for _ in range(12):  # past the buttons that copy, into the table's heads
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "FID":
                break
        page.keyboard.press("Enter")
        assert list_rows(page)[0] == "beta"
        page.keyboard.press("Space")
        assert list_rows(page)[0] == "gamma"


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_copied_text_is_that_of_the_files(browser, make_page, has_clipboard):
    path = make_page()
    permissions = ["clipboard-read", "clipboard-write"]
    with open_page(browser, path, permissions=permissions) as page:
        if not has_clipboard:
            refuse = "navigator.clipboard.writeText = () => Promise.reject(new Error())"
            page.evaluate(f"() => {{ {refuse} }}")
        for name, ending in (("LaTeX", "tex"), ("Markdown", "md"), ("CSV", "csv")):
            page.get_by_role("button", name=f"Copy {name}").click()
            page.wait_for_function(f"said.textContent === '{name} copied.'")
            copied = page.evaluate("navigator.clipboard.readText()")
            assert copied.strip() == path.with_suffix(f".{ending}").read_text().strip()


def test_without_script_all_is_there_in_the_order_of_the_paper(browser, make_page):
    with open_page(browser, make_page("deltas"), java_script_enabled=False) as page:
        views = page.locator("section.view")
        assert [views.nth(one).is_visible() for one in range(2)] == [True, True]
        assert not page.get_by_role("button").count()
        page.locator("details.copy summary").click()
        assert r"\begin{tabular}" in page.locator("#text-LaTeX").inner_text()


@pytest.mark.parametrize(("width_px", "height_px", "screens"), [(1280, 800, 2), (360, 740, 4)])
@pytest.mark.parametrize("num_claims", [1, 20])
def test_claim_and_table_are_soon_in_sight(
    browser, make_page, width_px, height_px, screens, num_claims
):
    path = make_page(num_claims=num_claims)
    with open_page(browser, path, width_px=width_px, height_px=height_px) as page:
        for part in ("ul.verdicts > li", "table.sortable tbody tr"):
            box = page.locator(part).first.bounding_box()
            assert box["y"] + box["height"] < screens * height_px
        assert count_px_beyond(page) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("width_px", [320, 360, 1440])
def test_everybody_can_read_it(browser, make_page, mode, width_px):
    with open_page(browser, make_page(), width_px=width_px, mode=mode) as page:
        page.evaluate(OPEN_ALL)
        assert find_violations(page) == []
        page.add_style_tag(content="html { font-size: 200% }")
        assert count_px_beyond(page) == 0


def test_targets_are_large_enough(browser, make_page):
    with open_page(browser, make_page()) as page:
        for one in page.locator(".tools button, .tools label, thead button").all():
            box = one.bounding_box()
            assert box is None or min(box["width"], box["height"]) >= 24


def test_every_link_leads_somewhere(browser, make_page):
    path = make_page()
    out = {"../alpha.json", "../beta.json", "../gamma.json"}
    out |= {f"../batch-{name}.npz" for name in ("alpha", "beta", "gamma")}
    links = {link for page, link in find_broken_links(path.parent) if page == path.name}
    assert links == out  # all beside the folder, and only those
    assert all((path.parent / link).exists() for link in out)
    with open_page(browser, path) as page:
        page.locator("section.view:visible tr.row td.n a").first.click()
        protocol = page.locator("#protocol-alpha-final")
        assert protocol.is_visible()
        command = "snakemake --cores all alpha.json"
        assert command in protocol.inner_text()
        assert protocol.get_by_role("link", name="alpha.json").is_visible()


def test_moved_pages_still_name_their_files(project, make_page):
    path = make_page()
    table = json.loads(path.with_suffix(".json").read_text())
    (project.folder / "batch-beta.npz").unlink()
    assert table["numbers"][1]["run"]["samples"] == "batch-beta.npz"
    spec = str(project.folder / "spec.json")
    assert main_guard(main)(["table", "--spec", spec, "--out-dir", "moved/report"]) == 0
    text = (project.folder / "moved" / "report" / "table3.html").read_text()
    assert "<code>batch-beta.npz</code> (not here)" in text
    assert '<a href="../../batch-alpha.npz"><code>batch-alpha.npz</code></a>' in text
