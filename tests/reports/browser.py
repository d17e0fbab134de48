"""The system's Chromium for tests of pages: a page that tells of what goes wrong on it."""

import os
import shutil
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from reports.browser import CHROMIUM

needs_chromium = pytest.mark.skipif(
    not (any(map(shutil.which, CHROMIUM)) or os.environ.get("CI")),
    reason="chromium is not installed",  # in CI its absence is a failure
)
MODES = ("light", "dark")


@contextmanager
def open_page(browser, address, *, width_px=1280, height_px=800, mode="light", **options):
    """Open a page, which at the end must have had no error, and no request that failed.

    Args:
        browser: of `reports.browser.launch`.
        address: a path, or an address of a server.
        width_px, height_px: of the window.
        mode: light or dark.
        options: of a context of Playwright.
    """
    view = {"width": width_px, "height": height_px}
    context = browser.new_context(viewport=view, color_scheme=mode, **options)
    page, wrong = context.new_page(), []
    page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: wrong.append(str(one)))
    page.on("requestfailed", lambda one: wrong.append(f"failed: {one.url}"))
    page.on(
        "response", lambda one: wrong.append(f"{one.status}: {one.url}") if not one.ok else None
    )
    page.goto(address.as_uri() if isinstance(address, Path) else address)
    yield page
    context.close()
    assert wrong == []


def find_violations(page):
    """Return what axe-core finds on a page that is serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        (one["id"], node["target"], node.get("failureSummary"))
        for one in Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def count_px_beyond(page):
    """Return by how many pixels a page is wider than its window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


class _Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        self.links += [found[key] for key in ("href", "src") if key in found]


def find_broken_links(folder):
    """Return the links of a folder's pages that lead nowhere, or out of the folder."""
    pages = {path: _Links(path.read_text()) for path in sorted(folder.rglob("*.html"))}
    assert pages
    broken = []
    for path, content in pages.items():
        for link in content.links:
            if link.startswith("data:"):
                continue
            name, anchor = urldefrag(link)
            target = (path.parent / unquote(name)).resolve() if name else path.resolve()
            inside = target.is_relative_to(folder.resolve()) and target.exists()
            known = not anchor or target not in pages or unquote(anchor) in pages[target].ids
            if not inside or not known or "//" in link:
                broken.append((path.name, link))
    return broken
