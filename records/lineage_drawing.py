"""The chain behind a result, as a tree of text and as a picture."""

from collections.abc import Iterator, Sequence
from html import escape

from records.lineage import Artefact, describe, list_artefacts

BOX_PX, GAP_PX, MARGIN_PX = (196, 74), (44, 18), 8
HEAD = ' class="head"'
MAX_LETTERS = {"head": 24, "text": 30}  # in a box
STYLE = """\
.lineage rect{fill:var(--panel,#f6f6f4);stroke:var(--line,#999)}\
.lineage .broken{stroke:var(--bad,#b00020);stroke-width:2}\
.lineage path{fill:none;stroke:var(--soft,#666)}\
.lineage text{fill:var(--soft,#555);font:11px system-ui,sans-serif}\
.lineage .head{fill:var(--ink,#111);font:600 12px system-ui,sans-serif}"""


def draw_tree(first: Artefact) -> str:
    """Write a line for each artefact, what it was made of below it, each chain once.

    Args:
        first: of `records.lineage.trace`.
    """
    told: set[int] = set()
    return "\n".join(_draw_lines(first.kind, first, "", "", told))


def _draw_lines(
    role: str, artefact: Artefact, before: str, below: str, told: set[int]
) -> Iterator[str]:
    """Yield the line of an artefact and those of its inputs.

    Args:
        role: what it is to the artefact above.
        artefact: which one.
        before: what stands before its line.
        below: what stands before the lines below it.
        told: those that stand above already; added to.
    """
    line = f"{before}{role} {artefact.name}: "
    if id(artefact) in told:
        yield f"{line}as above"
        return
    told.add(id(artefact))
    place = "" if artefact.path is None else f"  {artefact.path}"
    yield line + (f"BROKEN: {artefact.fault}" if artefact.fault else describe(artefact)) + place
    for index, (word, one) in enumerate(artefact.inputs, 1):
        is_last = index == len(artefact.inputs)
        yield from _draw_lines(
            word,
            one,
            below + ("└─ " if is_last else "├─ "),
            below + ("   " if is_last else "│  "),
            told,
        )


def draw_svg(first: Artefact) -> str:
    """Draw the chain from the number (left) to the images (right), the same bytes every time.

    Colours are variables of a page where it has them, and a picture of its own needs none.

    Args:
        first: of `records.lineage.trace`.

    Returns:
        An SVG element.
    """
    artefacts = list_artefacts(first)
    columns = _arrange(artefacts)
    places = {
        id(one): (
            MARGIN_PX + column * (BOX_PX[0] + GAP_PX[0]),
            MARGIN_PX + row * (BOX_PX[1] + GAP_PX[1]),
        )
        for column, members in enumerate(columns)
        for row, one in enumerate(members)
    }
    width = 2 * MARGIN_PX + len(columns) * (BOX_PX[0] + GAP_PX[0]) - GAP_PX[0]
    rows = max(len(members) for members in columns)
    height = 2 * MARGIN_PX + rows * (BOX_PX[1] + GAP_PX[1]) - GAP_PX[1]
    words = f"What {first.name} was made of: " + ", ".join(
        f"{one.kind} {one.name}" for one in artefacts[1:]
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" class="lineage" role="img" '
            f'aria-label="{escape(words)}">',
            f"<style>{STYLE}</style>",
            *(
                _draw_edge(places[id(one)], places[id(of)])
                for one in artefacts
                for _, of in one.inputs
            ),
            *(_draw_box(one, places[id(one)]) for one in artefacts),
            "</svg>",
        ]
    )


def _arrange(artefacts: Sequence[Artefact]) -> list[list[Artefact]]:
    """Put each artefact into the first column that is right of all its readers."""
    column = {id(one): 0 for one in artefacts}
    for artefact in artefacts:  # readers come before what they read
        for _, one in artefact.inputs:
            column[id(one)] = max(column[id(one)], column[id(artefact)] + 1)
    return [
        [one for one in artefacts if column[id(one)] == place]
        for place in range(max(column.values()) + 1)
    ]


def _draw_edge(reader: tuple[int, int], read: tuple[int, int]) -> str:
    """Draw a curve from the right side of one box to the left side of another."""
    x0, y0 = reader[0] + BOX_PX[0], reader[1] + BOX_PX[1] // 2
    x1, y1 = read[0], read[1] + BOX_PX[1] // 2
    bend = GAP_PX[0] // 2
    return f'<path d="M{x0} {y0}C{x0 + bend} {y0} {x1 - bend} {y1} {x1} {y1}"/>'


def _draw_box(artefact: Artefact, place: tuple[int, int]) -> str:
    """Draw the box of an artefact: its kind, its name and what its manifest tells."""
    x, y = place
    told = (artefact.fault or describe(artefact)).split(", ")
    half = (len(told) + 1) // 2
    lines = (
        ("text", artefact.kind),
        ("head", artefact.name),
        ("text", ", ".join(told[:half])),
        ("text", ", ".join(told[half:])),
    )
    texts = "".join(
        f'<text x="{x + 8}" y="{y + 18 + 16 * index}"{HEAD if look == "head" else ""}>'
        f"{escape(_shorten(line, MAX_LETTERS[look]))}</text>"
        for index, (look, line) in enumerate(lines)
    )
    title = escape(f"{artefact.kind} {artefact.name}: {artefact.fault or describe(artefact)}")
    frame = ' class="broken"' if artefact.fault else ""
    return (
        f'<g><title>{title}</title><rect x="{x}" y="{y}" width="{BOX_PX[0]}" '
        f'height="{BOX_PX[1]}" rx="4"{frame}/>{texts}</g>'
    )


def _shorten(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
