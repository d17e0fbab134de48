"""The plots of finished pages as SVG files of their own, as `dvc plots` shows them."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from records.errors import UserError
from records.files import atomic_write, read_json
from specs.run_pages import MODELS, list_run_pages

SVG = "http://www.w3.org/2000/svg"
DRAWN = re.compile(r'<svg\b[^>]*\brole="img".*?</svg>', re.DOTALL)
RULES = re.compile(r"^(?::root|\.plot) .*?\}$", re.DOTALL | re.MULTILINE)
STYLES = ("style.css", "runs.css")
LONGEST = 60  # letters of a file's name
# A page has the font; a white ground, as whoever shows the file may have a dark one.
FRAME = "text { font-family: sans-serif; font-size: 11px; } :root { background: var(--paper); }"


def write_plots(page: Path, out: Path) -> list[Path]:
    """Write the plots of a table's page and of its models' pages, or those of the page of figures.

    Args:
        page: HTML, with the pages of models beside it.
        out: folder, which takes the place of an earlier one.

    Returns:
        The files, named after their page and what they show.

    Raises:
        UserError: no such page.
    """
    if not page.is_file():
        raise UserError(f"{page}: no such page; render it first, such as with `make table3`")
    fresh = out.with_name(f"{out.name}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    style = _read_style()
    names, counts = list[str](), Counter[str]()
    for path in (page, *_find_models(page)):
        for text in DRAWN.findall(path.read_text(encoding="utf-8")):
            svg = ElementTree.fromstring(text)
            name = f"{path.stem}-{_shorten(svg.attrib['aria-label'])}".strip("-")
            counts[name] += 1
            names.append(f"{name}-{counts[name]}" if counts[name] > 1 else name)
            with atomic_write(fresh / f"{names[-1]}.svg") as file:
                file.write(_stand_alone(svg, style))
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return [out / f"{name}.svg" for name in names]


def _find_models(page: Path) -> Iterator[Path]:
    """Find the pages of a table's models; figures share the models of tables."""
    spec = page.with_suffix(".runs.json")
    if not spec.exists() or not page.with_suffix(".json").exists():
        return
    for address in list_run_pages(read_json(spec, "specification of runs")):
        path = page.parent / address
        if path.parent.name == MODELS and path.exists():
            yield path


def _shorten(label: str) -> str:
    """Return the beginning of what a plot shows, as the name of a file."""
    words = re.split(r"[,.:(]", label.lower(), maxsplit=1)[0]
    return re.sub(r"[^a-z0-9_]+", "-", words)[:LONGEST].strip("-")


def _read_style() -> str:
    """Return the rules of the pages that plots need, with the colours of a light page."""
    folder = Path(__file__).parent / "templates"
    rules = [rule for name in STYLES for rule in RULES.findall((folder / name).read_text())]
    colours = rules[0].replace("color-scheme: light dark;", "")
    return "\n".join([colours, *(rule for rule in rules[1:] if rule.startswith(".plot")), FRAME])


def _stand_alone(svg: ElementTree.Element, style: str) -> bytes:
    """Return a plot with colours and names of its own, and without links out of its page."""
    for element in svg.iter():
        if element.tag == "a":
            element.tag, element.attrib = "g", {}
    svg.attrib |= {"xmlns": SVG, "class": "plot"}
    title, rules = ElementTree.Element("title"), ElementTree.Element("style")
    title.text, rules.text = svg.attrib["aria-label"], style
    svg[:0] = [title, rules]
    return ElementTree.tostring(svg, encoding="utf-8", xml_declaration=True)
