"""Tables as LaTeX floats that fit a text block of 469 pt: packages booktabs and array, no others.

An interval stands as exponent and index: what is added to the number for its upper end, and what is
taken away for its lower one. A table that is too wide gets smaller type, then a label column that
wraps; one that is still too wide goes on beneath, one that is too high in another float.
"""

import itertools
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from reports.agreement import AGREES, DIFFERS
from reports.format import metric_name, setting_name
from reports.notes import PUBLISHED_VALUE
from reports.printed import (
    VIEWS,
    Line,
    Printed,
    describe_note,
    describe_table,
    list_lines,
    list_views,
)

TEXT_WIDTH_PT = 469.0
MAX_LINES = 44  # of a float in scriptsize, so that caption and notes still fit the page
MAX_PIECE = 10  # characters of a word without a place to break it
ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "`": r"\`{}",
    "\u2212": "$-$", "\u2013": "--", "\u2014": "---", "\u00d7": r"$\times$", "\u00b1": r"$\pm$",
    "\u221e": r"$\infty$", "\u201c": "``", "\u201d": "''", "\u2018": "`", "\u2019": "'",
    "\u2026": r"\dots{}", "\u00a0": "~", "\n": " ", "\t": " ",
}  # fmt: skip
LETTERS = {"\u00df": r"\ss{}", "\u00e6": r"\ae{}", "\u00f8": r"\o{}", "\u0131": r"\i{}"}
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"'}
RAGGED = r">{\raggedright\arraybackslash}p{%.1fpt}"
END = "\\bottomrule\n\\end{tabular}\\par}"
VERDICTS = {AGREES: "$^{=}$", DIFFERS: r"$^{\neq}$"}


class Size(NamedTuple):
    """A size of type: command, its height and that of exponents, space beside columns, in pt."""

    command: str
    text_pt: int
    script_pt: int
    sep_pt: float


SIZES = (
    Size(r"\small", 9, 6, 4), Size(r"\footnotesize", 8, 6, 3), Size(r"\scriptsize", 7, 5, 2),
)  # fmt: skip


WIDENED = {9: 1.03, 8: 1.06, 7: 1.14, 6: 1.22, 5: 1.36}  # small type is cut wider


class Column(NamedTuple):
    """The numbers of a metric at a mark: what stands above them, and their cells line by line."""

    after: str
    metric: str
    cells: list[Printed]

    def measure(self, size: Size) -> float:
        """Return the width of its three columns: the paper's, number, interval."""
        numbers = [cell for cell in self.cells if cell.interval]
        words = [_measure(cell.number, size.text_pt) for cell in self.cells if not cell.interval]
        value = max((_measure(cell.number, size.text_pt) for cell in numbers), default=0)
        ends = [end for cell in numbers for end in _list_offsets(cell)]
        interval = max((_measure(end, size.script_pt) + 2 for end in ends), default=0)
        marks = size.script_pt if any(cell.words in VERDICTS for cell in self.cells) else 0
        here = max([value + interval + marks, _measure("here", size.text_pt), *words])
        paper = max(_measure(text, size.text_pt) for text in ["paper", *self._list_papers()])
        head = _measure(self.after or metric_name(self.metric), size.text_pt)
        return max(paper + here + 2 * size.sep_pt, head) + 2 * size.sep_pt

    def _list_papers(self) -> list[str]:
        return [cell.paper for cell in self.cells]


def escape_tex(text: str) -> str:
    """Write text for LaTeX: no character is a command or unknown, and long words can be broken."""
    words = str(text).replace("\n", " ").split(" ")
    return " ".join(
        r"\allowbreak{}".join(
            "".join(map(_escape_character, piece)) for piece in _list_pieces(word)
        )
        for word in words
    )


def _list_pieces(word: str) -> list[str]:
    """Cut a word that is too long for a narrow column."""
    if len(word) <= MAX_PIECE + 4:
        return [word]
    return [word[start : start + MAX_PIECE] for start in range(0, len(word), MAX_PIECE)]


def _escape_character(character: str) -> str:
    if character in ESCAPES or character in LETTERS:
        return ESCAPES.get(character) or LETTERS[character]
    if " " <= character <= "~":
        return character
    letter, *accents = unicodedata.normalize("NFD", character)
    if letter.isascii() and letter.isalpha() and len(accents) == 1 and accents[0] in ACCENTS:
        return rf"\{ACCENTS[accents[0]]}{{{letter}}}"
    return f"U+{ord(character):04X} "


def _measure(text: str, size_pt: int) -> float:
    """Return about how wide a text is in Computer Modern, rather too much than too little."""
    widths = {" ": 0.36, "+": 0.8, "\u2212": 0.8, "%": 0.85, "\u2013": 0.5}
    em = 0.0
    for character in str(text):
        if character in "ijlft.,:;!'|()[]":
            em += 0.4
        elif character.isdigit():
            em += 0.52
        elif character in "mwMW&#@<>" or ord(character) > 126:
            em += 1.05
        else:
            em += widths.get(character, 0.78 if character.isupper() else 0.56)
    return em * WIDENED[size_pt] * size_pt


def _list_offsets(cell: Printed) -> list[str]:
    """Return what leads from a number to the ends of its interval, upper one first."""
    number, low, high = (
        Decimal(text.replace("\u2212", "-")) for text in (cell.number, *cell.interval.split(" to "))
    )
    return [f"+{high - number}".replace("+-", "\u2212"), f"\u2212{number - low}"]


def render_latex(table: Mapping[str, Any]) -> str:
    """Write a table as LaTeX floats: its views, then what is made otherwise than in the paper.

    They need the packages booktabs and array, and fit a text block of 469 pt.
    """
    title = f"{describe_table(table)}. {table['about']}"
    parts = [
        "% needs \\usepackage{array,booktabs}; made from the metrics files, not by hand",
        "% a number's 95 % interval: exponent and index lead from the number to its ends",
    ]
    for view in list_views(table):
        words = title if view == list_views(table)[0] else f"{title} {VIEWS[view]}."
        label = f"tab:{table['name'].replace('_', '-')}-{view}"
        parts += _make_floats(words, label, _make_blocks(table, view), _make_notes(table))
    if table["differences"]:
        words = f"{describe_table(table)}: what differs from the paper."
        label = f"tab:{table['name'].replace('_', '-')}-settings"
        parts += _make_floats(words, label, _make_settings_blocks(table), "")
    return "\n".join(parts) + "\n"


class Block(NamedTuple):
    """A line of a tabular, with the heading above it.

    Attributes:
        frame: what stands before and behind the lines of the tabular.
        rule: what stands between it and the line above.
        text: the line.
        num_lines: about how high it is.
    """

    frame: tuple[str, str]
    rule: str
    text: str
    num_lines: float


def _make_floats(caption: str, label: str, blocks: Iterable[Block], notes: str) -> list[str]:
    """Pack blocks into floats that fit a page; the first has the label, the last the notes."""
    floats: list[list[Block]] = []
    for block in blocks:
        if not floats or sum(one.num_lines for one in floats[-1]) + block.num_lines > MAX_LINES:
            floats.append([])
        floats[-1].append(block)
    parts = []
    for place, chosen in enumerate(floats):
        again = r"\addtocounter{table}{-1}" if place else ""
        words = escape_tex(caption) + (" (Continued.)" if place else "")
        parts += [rf"\begin{{table}}[p]{again}", r"\centering", rf"\caption{{{words}}}"]
        parts += [] if place else [rf"\label{{{label}}}"]
        for (start, end), group in itertools.groupby(chosen, key=lambda one: one.frame):
            first, *others = group
            lines = first.text + "".join(one.rule + one.text for one in others)
            parts += [f"{start}\n{lines}\n{end}"]
        parts += [notes] if notes and place == len(floats) - 1 else []
        parts += [r"\end{table}"]
    return parts


def _make_notes(table: Mapping[str, Any]) -> str:
    """Write the notes, and what marks a verdict."""
    notes = [
        rf"\textsuperscript{{{note['mark']}}}{escape_tex(describe_note(note))}."
        for note in table["footnotes"]
    ]
    if table["agreement"]:
        rule = escape_tex(table["agreement"])
        notes.append(rf"{VERDICTS[AGREES]}agrees: {rule}; {VERDICTS[DIFFERS]}differs: not so.")
    return rf"{{\par\smallskip\scriptsize\raggedright {' '.join(notes)}\par}}" if notes else ""


def _make_blocks(table: Mapping[str, Any], view: str) -> list[Block]:
    """Lay out one view line by line, once for each part of the columns if they are many."""
    groups = [[*list_lines(table, group, view)] for group in table["groups"]]
    lines = [line for group in groups for line, _ in group]
    columns = [
        Column(cell["after"].strip(), cell["metric"], [line.cells[place] for line in lines])
        for place, cell in enumerate(table["groups"][0]["rows"][0]["cells"])
    ]
    heads = [setting_name(key) for key in table["settings"]]
    num = len(columns)
    while True:
        try:
            size, texts = _fit(lines, heads, columns[:num])
            break
        except ValueError:
            num -= 1
    num = math.ceil(len(columns) / math.ceil(len(columns) / num))  # parts of about one width
    blocks = []
    for start in range(0, len(columns), num):
        chosen = range(start, min(start + num, len(columns)))
        frame = _make_frame(size, texts, heads, [columns[place] for place in chosen])
        for group, source in zip(groups, table["groups"], strict=True):
            above, rule = "", "\n\\midrule\n"
            if table["layout"] == "by_task":
                name = escape_tex(f"{source['task']}: {source['task_words']}")
                width = 1 + len(heads) + 3 * len(chosen)
                above = rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{name}}}}} \\" + "\n"
            for line, is_real in group:
                above += "\\addlinespace\n" if is_real else ""
                num_lines = _count_lines(line.label, texts[0], size) + (0.5 if above else 0)
                blocks.append(Block(frame, rule, above + _make_line(line, chosen), num_lines))
                above, rule = "", "\n"
    return blocks


def _count_lines(text: str, width_pt: float | None, size: Size) -> float:
    """Return about how many lines a text takes in a column; exponents need some more."""
    if width_pt is None:
        return 1.15
    return max(1.15, math.ceil(1.25 * _measure(text, size.text_pt) / width_pt))


def _fit(
    lines: Sequence[Line], heads: Sequence[str], columns: Sequence[Column]
) -> tuple[Size, list[float | None]]:
    """Choose the largest type that fits, and the width of each column that has to wrap.

    Raises:
        ValueError: too wide in the smallest type, and there is more than one column of numbers.
    """
    texts = [[line.label for line in lines]]
    texts += [[line.settings[place] for line in lines] for place in range(len(heads))]
    for size in SIZES:
        width = _measurer(size.text_pt)
        natural = [max(map(width, column)) for column in texts]
        words = [
            max(width(piece) for text in column for word in text.split() or [""]
                for piece in _list_pieces(word))
            for column in texts
        ]  # fmt: skip
        least = [max(max(map(width, head.split())), 0) for head in heads]
        settings = [min(n, max(w, 50.0)) for n, w in zip(natural[1:], words[1:], strict=True)]
        used = sum(max(s, one) for s, one in zip(settings, least, strict=True))
        used += sum(column.measure(size) for column in columns) + 2 * size.sep_pt * len(texts)
        free = TEXT_WIDTH_PT - used
        wrapped = [None if s >= n else s for s, n in zip(settings, natural[1:], strict=True)]
        if natural[0] <= free:
            return size, [None, *wrapped]
        last = size is SIZES[-1]
        if free >= max(words[0] + 2, 70.0 if last else 100.0) or (last and len(columns) == 1):
            return size, [max(free, words[0]), *wrapped]
    raise ValueError("too wide")


def _measurer(size_pt: int) -> Callable[[str], float]:
    return lambda text: _measure(text, size_pt)


def _make_frame(
    size: Size, widths: Sequence[float | None], heads: Sequence[str], columns: Sequence[Column]
) -> tuple[str, str]:
    """Write what stands above and beneath the lines: column types, heads in levels, rules."""
    forms = ["l" if width is None else RAGGED % width for width in widths]
    first, blank = 1 + len(heads), " &" * len(heads)
    levels = [[(column.after, column.metric) for column in columns]]
    if any(column.after for column in columns):
        levels.insert(0, [(column.after, "") for column in columns])
    rows = []
    for names in levels:
        cells, rules, place = [], [], first + 1
        for (after, metric), same in itertools.groupby(names):
            span = 3 * len([*same])
            text = escape_tex(metric_name(metric) if metric else after)
            cells.append(rf"\multicolumn{{{span}}}{{c}}{{{text}}}")
            rules.append(rf"\cmidrule(lr){{{place}-{place + span - 1}}}")
            place += span
        rows += [f"{blank} & {' & '.join(cells)} \\\\", "".join(rules)]
    stacked = ["\\shortstack[l]{" + escape_tex(head).replace(" ", r"\\") + "}" for head in heads]
    last = [r"paper & \multicolumn{2}{c}{here}"] * len(columns)
    begin = [
        rf"{{{size.command}\setlength{{\tabcolsep}}{{{size.sep_pt}pt}}"
        r"\renewcommand{\arraystretch}{1.15}",
        rf"\begin{{tabular}}{{@{{}}{''.join(forms)}{'rr@{}l' * len(columns)}@{{}}}}",
        r"\toprule",
        *rows,
        f"{' & '.join(['', *stacked, *last])} \\\\",
        r"\midrule",
    ]
    return "\n".join(begin), END


def _make_line(line: Line, chosen: Iterable[int]) -> str:
    """Write a line of a tabular with the numbers of some columns."""
    notes = rf"\textsuperscript{{{line.notes}}}" if line.notes else ""
    cells = [escape_tex(line.label) + notes, *map(escape_tex, line.settings)]
    cells += [_make_cell(line.cells[place]) for place in chosen]
    return " & ".join(cells) + r" \\"


def _make_cell(cell: Printed) -> str:
    """Write the paper's number, and the measured one with its interval and verdict."""
    paper = escape_tex(cell.paper)
    if not cell.interval:
        words = "--" if cell.number == PUBLISHED_VALUE else escape_tex(cell.number)
        return rf"{paper} & \multicolumn{{2}}{{c}}{{{words}{VERDICTS.get(cell.words, '')}}}"
    up, down = (end.replace("\u2212", "-") for end in _list_offsets(cell))
    return rf"{paper} & {escape_tex(cell.number)} & $^{{{up}}}_{{{down}}}${_mark(cell)}"


def _mark(cell: Printed) -> str:
    return VERDICTS.get(cell.words, "")


def _make_settings_blocks(table: Mapping[str, Any]) -> list[Block]:
    """Lay out what differs from the paper: three columns that wrap."""
    widths, size = (130.0, 150.0, 160.0), SIZES[-1]
    forms = "".join(RAGGED % width for width in widths)
    begin = rf"""{{{size.command}\setlength{{\tabcolsep}}{{4pt}}
\begin{{tabular}}{{@{{}}{forms}@{{}}}}
\toprule
 & paper & here \\
\midrule"""
    blocks = []
    for one in table["differences"]:
        texts = [one[key] for key in ("what", "paper", "here")]
        num_lines = max(
            _count_lines(text, width, size) for text, width in zip(texts, widths, strict=True)
        )
        text = " & ".join(map(escape_tex, texts)) + r" \\"
        blocks.append(Block((begin, END), "\n", text, num_lines))
    return blocks
