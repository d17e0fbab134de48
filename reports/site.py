"""A copy of a report that a web server can show: its pages, and the files that they link to.

Pages stay as they are, except for links; one to the PDF of all tables is added where there is one.
Of the files outside the report's folder a site has the records (JSON) that pages link to, in
`files/`; links to images, weights, logs, and to what is missing, become text.
"""

import re
import shutil
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag

from records.errors import UserError
from records.files import atomic_write

LINK = re.compile(r'(<a\b[^>]*?) href="([^"]*)"')
MARK = ".nojekyll"  # tells GitHub Pages to serve all files as they are; here, that a folder is ours
MAX_BYTES = 200_000  # of a record
PDF = "tables.pdf"  # where `make pdf` writes it; the first page has a place for its link
PDF_PLACE = "<!-- pdf -->"
PDF_LINK = f'<p><a href="{PDF}">All tables in one PDF</a></p>'


def make_site(report: Path, out: Path) -> tuple[int, int]:
    """Copy a report's pages and what they link to into a folder of its own.

    Args:
        report: folder with index.html.
        out: the site, which takes the place of an earlier one.

    Returns:
        How many files the site has, and their bytes.

    Raises:
        UserError: no report there, or `out` is a folder that is no site.
    """
    if not (report / "index.html").is_file():
        raise UserError(f"{report}: no index.html there; make a report first, with make reproduce")
    if out.exists() and not (out / MARK).exists():
        raise UserError(f"{out}: exists and is no site; name a folder that may be replaced")
    fresh = out.with_name(f"{out.name}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    (fresh / MARK).touch()
    waiting, done = [report / "index.html"], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in done:
            continue
        done.add(path)
        if path.suffix == ".html":
            text, found = _move_links(path, report)
            waiting += found
            content = text.encode("utf-8")
        else:
            content = path.read_bytes()
        target = fresh / _place(path, report)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as file:
            file.write(content)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return len(done), sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def _place(path: Path, report: Path) -> Path:
    """Return where a file is in the site."""
    if path.is_relative_to(report):
        return path.relative_to(report)
    return Path("files") / path.relative_to(report.parent)


def _move_links(page: Path, report: Path) -> tuple[str, list[Path]]:
    """Return a page with the links of the site, and the files that it links to."""
    found: list[Path] = []

    def move(match: re.Match[str]) -> str:
        name, anchor = urldefrag(unescape(match[2]))
        if not name:
            return match[0]
        target = Path(*_walk(page.parent, unquote(name)))
        if not _belongs(target, report):
            return match[1]
        found.append(target)
        up = "../" * len(page.relative_to(report).parent.parts)
        link = up + quote(_place(target, report).as_posix()) + (f"#{anchor}" if anchor else "")
        return f'{match[1]} href="{escape(link)}"'

    text = page.read_text(encoding="utf-8")
    text = text.replace(PDF_PLACE, PDF_LINK if (report / PDF).is_file() else "")
    return LINK.sub(move, text), found


def _walk(folder: Path, name: str) -> Iterator[str]:
    """Follow a relative name without asking the disk, so that links in it are not followed."""
    parts = list(folder.parts)
    for part in Path(name).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return iter(parts)


def _belongs(path: Path, report: Path) -> bool:
    if not path.is_relative_to(report.parent) or not path.is_file():
        return False
    is_record = path.suffix == ".json" and path.stat().st_size <= MAX_BYTES
    return path.is_relative_to(report) or is_record
