"""Figures by matplotlib as SVG for use inside a page and is the same on every run.

matplotlib is imported where a figure is drawn: it takes half a second.
"""

from __future__ import annotations

import io
import logging
import math
import re
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same sizes on every machine
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
}
# Stands for a colour of the page (style.css), so that one figure serves light and dark.
COLOURS = {
    name: f"#fa{place:04x}"
    for place, name in enumerate(
        ("ink", "soft", "paper", "line", "paper-value", *(f"series-{n}" for n in range(1, 7)))
    )
}
TARGET_PX = 24  # across what leads somewhere, where no other is so near
SMALLEST_TARGET_PX = 8
METADATA = ("Creator", "Date", "Format", "Type")  # what matplotlib would write by itself


class Link(NamedTuple):
    """A point of a figure that leads to a page: its place in pixels from the lower left."""

    x_px: float
    y_px: float
    address: str
    words: str


def render_svg(
    draw: Callable[[Figure], Sequence[Link] | None],
    *,
    width_px: int,
    height_px: int,
    name: str,
    words: str,
) -> str:
    """Draw a figure, whatever the user's settings of matplotlib are.

    Args:
        draw: draws into an empty figure in which a point is a pixel; returns what leads somewhere.
        width_px: width.
        height_px: height.
        name: makes the ids of this figure differ from those of the others on its page.
        words: what the figure shows, for those who cannot see it.

    Returns:
        An element for use inside HTML, without ids, styles or addresses that reach beyond it, but
        for those of its links.
    """
    # It would tell where it keeps its list of fonts when the usual place cannot be written.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**SETTINGS, "svg.hashsalt": name})
        # The reader's browser has glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width_px / 72, height_px / 72), dpi=72)
        links = draw(figure) or ()
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata=dict.fromkeys(METADATA), transparent=True)
    size = {"width": str(width_px), "height": str(height_px)}
    svg = _strip(ElementTree.fromstring(out.getvalue()))
    picture = {"role": "img", "aria-label": words}
    svg.attrib = {"viewBox": svg.attrib["viewBox"], **size, **({} if links else picture)}
    if links:
        _add_links(svg, picture, links, height_px)
    text = ElementTree.tostring(svg, encoding="unicode")
    for name, colour in COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    return text


def _add_links(
    svg: ElementTree.Element, picture: dict[str, str], links: Sequence[Link], height_px: int
) -> None:
    """Lay links over a drawing, beside it in the tree: nothing inside a picture is read out."""
    drawing = ElementTree.Element("g", picture)
    drawing.extend(svg)
    svg[:] = [drawing]
    for one in links:
        others = [math.dist(one[:2], other[:2]) for other in links if other is not one]
        size = max(SMALLEST_TARGET_PX, min([TARGET_PX, *others]))
        link = ElementTree.SubElement(svg, "a", {"class": "point", "href": one.address})
        # The link's name, and shown where the pointer rests.
        ElementTree.SubElement(link, "title").text = clean_text(one.words)
        place = {"cx": f"{one.x_px:.1f}", "cy": f"{height_px - one.y_px:.1f}"}
        ElementTree.SubElement(link, "circle", {**place, "r": f"{size / 2:.1f}"})


def clean_text(text: str) -> str:
    """Return a label on one line, without characters that XML does not allow."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _strip(svg: ElementTree.Element) -> ElementTree.Element:
    """Remove what inside a page is of no use, or would reach beyond the figure."""
    values = " ".join(value for element in svg.iter() for value in element.attrib.values())
    used = set(re.findall(r"#(\w+)", values))
    for element in svg.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            key.rpartition("}")[2]: _shorten(key, value)
            for key, value in element.attrib.items()
            if key != "id" or value in used
        }
        if element.tag != "text":
            element.text = None
        element.tail = None
        for child in [child for child in element if child.find("{*}style") is not None]:
            element.remove(child)  # its rule is for all elements, those of the page too
    return svg


def _shorten(key: str, value: str) -> str:
    """Write coordinates in hundredths of a pixel, and leave the font to the page."""
    if key == "style":
        return re.sub(r"font-family: [^;]*(; )?", "", value)
    if key in ("d", "x", "y", "transform"):
        return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", value)
    return value
