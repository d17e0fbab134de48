"""What the system's Chromium makes of finished pages: one PDF, and screenshots for the README."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from records.errors import UserError
from records.files import atomic_write

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
STYLE = re.compile(r"<style>(.*?)</style>", re.S)
TABLE = re.compile(r'(<h1>.*?</h1>).*?(<h2 id="numbers">.*?)(?=<h2|<footer|</main>)', re.S)
NAMES = re.compile(r'( id="|url\(#|aria-labelledby=")')  # known within one page
SCREENSHOTS = {  # by file: page, what is at its top, height in pixels
    "index": ("index.html", None, 900),
    "table3": ("table3.html", "#numbers", 900),
    "sweep": ("figures.html", "#guidance", 900),
}


@contextmanager
def launch() -> Iterator["Browser"]:
    """Start the system's Chromium, without its sandbox, which a container does not allow.

    Raises:
        UserError: there is none, or Playwright, which drives it, is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError("Playwright is not installed; type make env") from None
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        raise UserError("no Chromium on the PATH; install it, on Debian: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def join_tables(pages: Sequence[Path]) -> str:
    """Join the tables of finished pages into one page, each on sheets of its own, without links."""
    styles, sections = dict[str, None](), []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        styles |= dict.fromkeys(STYLE.findall(text))
        if found := TABLE.search(text):
            table = NAMES.sub(rf"\1{page.stem}-", found[1] + found[2])
            sections.append(re.sub(r"<a\b[^>]*>|</a>", "", table))
    style = "\n".join([*styles, "section.sheet + section.sheet { break-before: page; }"])
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{style}</style>'
    body = "".join(f'<section class="sheet">{one}</section>' for one in sections)
    return f"{head}<title>Tables</title><body>{body}</body></html>"


def print_pdf(report: Path, out: Path) -> None:
    """Print all tables of a report into one PDF.

    Args:
        report: folder of a finished report.
        out: the PDF.

    Raises:
        UserError: no report there, or no browser.
    """
    # Every table has a .tex beside its page; those of the appendix come last.
    names = sorted(path.stem for path in report.glob("*.tex"))
    names.sort(key=lambda name: not name.startswith("table"))
    pages = [page for name in names if (page := report / f"{name}.html").is_file()]
    if not pages:
        raise UserError(f"{report}: no report with tables there; make one, with make reproduce")
    with launch() as browser:
        page = browser.new_page()
        page.set_content(join_tables(pages))
        content = page.pdf(prefer_css_page_size=True, tagged=True, outline=True)
    with atomic_write(out) as file:
        file.write(content)


def take_screenshots(report: Path, out: Path) -> list[Path]:
    """Picture what the README shows, in light and dark, as far as its pages exist.

    Args:
        report: folder of a finished report.
        out: folder of <name>-light.png and <name>-dark.png.

    Returns:
        The files written.

    Raises:
        UserError: no report there, or no browser.
    """
    shown = {name: one for name, one in SCREENSHOTS.items() if (report / one[0]).is_file()}
    if not shown:
        raise UserError(f"{report}: no report there; make one, with make reproduce")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with launch() as browser:
        for name, (file_name, top, height_px) in shown.items():
            for mode in ("light", "dark"):
                view = {"width": 1280, "height": height_px}
                context = browser.new_context(viewport=view, color_scheme=mode)  # pyright: ignore
                page = context.new_page()
                page.goto((report / file_name).resolve().as_uri() + (top or ""))
                written.append(out / f"{name}-{mode}.png")
                with atomic_write(written[-1]) as file:
                    file.write(page.screenshot())
                context.close()
    return written
