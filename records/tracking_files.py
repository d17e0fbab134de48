"""What of a run MLflow keeps as files (its spec, its page of the report), and its description."""

import html
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from records.files import digest
from records.runs import Run
from records.tracking_store import MAX_VALUE

SPEC, PAGE = "spec.json", "page.html"
FOLDERS = {"model": "models", "row": "samples", "page": "."}  # of their pages, in the report
DONE = {  # by jobs
    "train": "trained",
    "sample": "samples drawn",
    "evaluate": "images graded",
    "table": "claims judged",
    "figures": "drawn",
}
COMMAND = re.compile(r'<pre class="command"[^>]*>([^<]+)</pre>')
SENT = "adm.sent"  # tags with the digest of what was sent
NOTE, NOTE_SENT = "mlflow.note.content", f"{SENT}.note"


class Page(NamedTuple):
    """A page of the report, and its text."""

    path: Path
    text: str


def shorten_seed(name: str, word: str = "") -> str:
    """Replace the training seed in a name: row-seed1 has the page of `row`, row-s1 is MLflow's."""
    return re.sub(r"-seed(\d+)", rf"-{word}\1" if word else "", name)


def list_files(run: Run, page: Page | None) -> dict[str, str]:
    """Return the files of a run by name; never images, weights or batches."""
    files = {SPEC: json.dumps(run.spec, sort_keys=True, indent=1) + "\n"} if run.spec else {}
    return files | ({PAGE: page.text} if page else {})


def find_page(run: Run) -> Page | None:
    """Find a run's page in the report of its scale; of training seeds the first has one for all."""
    name = shorten_seed(run.name)
    if run.folder is None or not re.fullmatch(r"[\w.-]+", name):
        return None
    path = run.folder / "report" / FOLDERS[run.kind] / f"{name}.html"
    title = html.escape(f" ({run.tags.get('scale')}, {run.tags.get('source')})")
    if run.kind != "page":  # whose title is in words
        title = html.escape(f" {name}") + title
    with suppress(OSError, UnicodeError):
        # Of another source it is not this run's.
        if path.is_file() and f"{title}</title>" in (text := path.read_text("utf-8")):
            return Page(path, text)
    return None


def renew_note(run: Run, page: Page | None, told: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a run's description when they must be sent.

    What a user wrote instead stays, and so does the description of a copy of the results.

    Args:
        run: the run.
        page: of the report.
        told: the tags that MLflow has.
    """
    done = [word for job, word in DONE.items() if job in run.jobs]
    what = f"{run.kind.capitalize()} {_quote(run.name)} of {_quote(run.experiment)}"
    facts = [f"{what} ({', '.join(done)})." if done else f"{what}."]
    if run.kind == "page":
        search = f"tags.pages LIKE '%{run.name}%'"
        facts.append(f"Its models and rows are found by {_quote(search)}.")
    elif pages := run.tags.get("pages"):
        facts.append(f"Shown in {', '.join(map(_quote, pages.split(',')))}.")
    place = ""
    if page is not None:
        place = f"Page in the report: {_quote(os.path.relpath(page.path))}"
        if run.name == shorten_seed(run.name) and (found := COMMAND.search(page.text)):
            facts.append(f"Made by {_quote(html.unescape(found[1]))}")
    elif f"{SENT}.{PAGE}" in told:
        return {}  # another copy of the results has it
    text = "\n\n".join(filter(None, (*facts, place)))[:MAX_VALUE]
    mark = digest([*facts, page is not None])[:16]
    sent, _, sent_text = told.get(NOTE_SENT, "").partition(":")
    is_ours = NOTE not in told or digest(told[NOTE]) == sent_text
    return {NOTE: text, NOTE_SENT: f"{mark}:{digest(text)}"} if mark != sent and is_ours else {}


def _quote(text: str) -> str:
    """Put a text from a file into Markdown as code, where nothing in it is more than text."""
    return f"`{' '.join(text.replace('`', ' ').split())[:300]}`"
