"""Write the pages of models and sample sets beside those of tables."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from records.errors import UserError
from records.files import atomic_write
from records.lineage import find_artefacts, trace
from records.lineage_drawing import draw_svg
from reports.files import condense
from reports.render import has_page, make_environment
from reports.runs.models import make_model
from reports.runs.samples import make_samples
from specs.run_pages import MODELS, SAMPLES, PageSamples, RunPages, name_run_page


def list_pages(out_dir: Path, folder: str) -> set[str]:
    """Return the names of the models or sample sets that have pages."""
    return {path.stem for path in (out_dir / folder).glob("*.html")}


def find_sample_pages(runs: RunPages | None) -> dict[str, str]:
    """Return the addresses of sample sets' pages, by `row-mark`."""
    return {
        f"{cell.row}-{cell.mark}": name_run_page(SAMPLES, one.name)
        for one in (runs.samples if runs else ())
        for cell in one.cells
        if not cell.role
    }


def write_run_pages(runs: RunPages, out_dir: Path) -> list[str]:
    """Write the pages of models and sample sets, each read and written at once.

    Sets that several tables show are written with each of these tables, from the same files.

    Args:
        runs: what they show.
        out_dir: the folder of the tables' pages.

    Returns:
        What is wrong with files, in words.
    """
    environment, problems = make_environment(), list[str]()
    known_files = find_artefacts(runs.root)
    parts: list[tuple[str, str, list[Any], Callable[..., dict[str, Any]]]] = [
        (SAMPLES, "samples.html.j2", [*runs.samples], make_samples),
        (MODELS, "model.html.j2", [*runs.models], make_model),
    ]
    for folder, template, shown, make in parts:
        (out_dir / folder).mkdir(parents=True, exist_ok=True)
        page = environment.get_template(template)
        for one in shown:
            own: list[str] = []
            content = make(runs, one, own)
            known = {"runs": runs, "one": content, "problems": condense(own)}
            known["chain"] = _draw_chain(one, runs.root, known_files) if folder == SAMPLES else None
            text = page.render(**known, **_make_links(out_dir, folder))
            with atomic_write(out_dir / name_run_page(folder, one.name)) as file:
                file.write(text.encode("utf-8"))
            problems += own
    return problems


def _draw_chain(
    one: PageSamples, root: str, known_files: Mapping[str, Sequence[Path]]
) -> Markup | None:
    """Draw what the numbers of a sample set were made of; None where they are not there."""
    path = one.batches[0].metrics.path
    try:
        return Markup(draw_svg(trace(path, root, known_files)))
    except UserError:
        return None


def _make_links(out_dir: Path, folder: str) -> Mapping[str, Any]:
    """Return what templates know of the files around them."""
    here = os.path.abspath(out_dir / folder)

    def link(path: str) -> str | None:
        return Path(os.path.relpath(path, here)).as_posix() if os.path.exists(path) else None

    # Of sets that another table or the figures show the page may be still to come.
    pages = list_pages(out_dir, SAMPLES)
    return {"link": link, "has_figures": has_page(out_dir, "figures"), "sample_pages": pages}
