"""What a scale does otherwise than the paper, so that each page can say so: paper | here."""

from collections.abc import Iterable, Iterator
from functools import cache

from records.errors import UserError
from specs.evaluation import Inception
from specs.page import PageDifference
from specs.row_facts import describe_row, load_named_tables
from specs.scale import Scale, load_scale
from specs.tables import Base, Row, Table
from workflow.layout import find_scale, find_shipped
from workflow.plan import Plan

PAPER = "paper"
CLASSIFIER = "classifier: "
PRECISION = "precision of sampling"
SAMPLING = {
    "method": "method of sampling",
    "eta": "eta of DDIM",
    "guidance_scale": "guidance scale",
    "noise_temperature": "noise temperature",
    "eps_temperature": "eps temperature",
}
FIRST = ("images", "samples per row", "sampling steps", *SAMPLING.values(), "iterations")
SWITCHES = {
    "channels": "channels",
    "channel_mult": "channel multiples",
    "depth": "residual blocks per level",
    "attention_resolutions": "attention at (px)",
    "heads": "heads",
    "head_channels": "channels per head",
    "dropout": "dropout",
}
TRAINING = {
    "schedule": "noise schedule",
    "batch_size": "batch size",
    "learning_rate": "learning rate",
    "ema_decay": "decay of the average",
}


def load_paper(plan: Plan) -> tuple[Scale, dict[str, Table]] | None:
    """Return the paper's own scale with the tables of a plan at it.

    Args:
        plan: the plan, which names the file of its tables.

    Returns:
        None where these tables have rows that the paper's scale does not know.
    """
    return _load_paper(plan.settings["tables"])


@cache
def _load_paper(tables: str) -> tuple[Scale, dict[str, Table]] | None:
    scale = load_scale(find_scale(PAPER))
    try:
        return scale, load_named_tables(find_shipped(tables), scale)
    except UserError:
        return None


def list_differences(plan: Plan, name: str) -> list[PageDifference]:
    """Say in what the cells of a table are made otherwise than the paper's.

    What the paper does not print is left out (`assumed` of a row).

    Args:
        plan: the plan of a scale and source.
        name: a table of it.

    Returns:
        By what differs, all pairs of the paper's and the scale's, in the order of the rows: the
        first of `paper` became the first of `here`.
    """
    paper = load_paper(plan)
    if paper is None or name not in paper[1]:
        return []
    pairs: dict[str, dict[tuple[str, str], None]] = {}
    precision = plan.scale.sampling.precision
    if plan.source != "rescore" and precision not in ("float32", "fp16"):
        pairs[PRECISION] = {("fp16 (the authors' code)", precision): None}
    table = plan.tables[name]
    marks = table.marks
    for row_id, row in table.rows.items():
        theirs = paper[1][name].rows.get(row_id)
        if theirs is None:
            continue
        here = _list_facts(plan.scale, row, marks, len(plan.cell_seeds(table, row)))
        known, found = _number(_list_facts(paper[0], theirs, marks, 1)), _number(here)
        for (what, place), printed in known.items():
            if (what, place) not in found:  # guidance is on one side alone
                continue
            pair = printed, found[what, place]
            unknown = any(words.startswith(what) for words in row.assumed)
            if pair[0] != pair[1] and not unknown:
                pairs.setdefault(what, {})[pair] = None
    return [
        PageDifference(
            what=what,
            paper="; ".join(pair[0] for pair in both),
            here="; ".join(pair[1] for pair in both),
        )
        for what, both in sorted(pairs.items(), key=_find_place)
    ]


def _number(facts: Iterable[tuple[str, str]]) -> dict[tuple[str, int], str]:
    """Return facts by what they are about, and which of those about it they are."""
    numbered: dict[tuple[str, int], str] = {}
    for what, words in facts:
        place = sum(key[0] == what for key in numbered)
        numbered[what, place] = words
    return numbered


def _find_place(entry: tuple[str, object]) -> tuple[bool, int]:
    """Return where a fact stands: what matters most first, classifiers last."""
    order = [*FIRST, *SWITCHES.values(), *TRAINING.values(), PRECISION, "features", "reference"]
    what = entry[0].removeprefix(CLASSIFIER)
    return what != entry[0], order.index(what)


def _list_facts(
    scale: Scale, row: Row, marks: list[str], num_seeds: int
) -> Iterator[tuple[str, str]]:
    """Yield what a row's samples are made of at a scale, in words."""
    for half in row.halves or [row]:
        yield "images", scale.tasks[half.task].words
    for half in row.halves:
        own = [half.mark] if half.mark else marks if half is row else []
        yield from _list_half(scale, half, own)
        each = f" of each of {num_seeds} training seeds" if num_seeds > 1 else ""
        yield "samples per row", f"{scale.tasks[row.task].num_samples:,}{each}"
    features = scale.network
    yield "features", (
        "the authors' Inception" if isinstance(features, Inception)
        else f"a small network trained on {scale.tasks[features.task].words}"
    )  # fmt: skip
    yield (
        "reference",
        {
            "released": "statistics of the training set, published by the authors",
            "own": "statistics of the training set, computed here",
        }[scale.evaluation.reference],
    )


def _list_half(scale: Scale, half: Row | Base, marks: list[str]) -> Iterator[tuple[str, str]]:
    """Yield how a model and, where there is one, its classifier are made and sampled."""
    assert half.model is not None and half.sampler is not None
    yield "sampling steps", str(describe_row(scale, half)["steps"])
    for key, words in SAMPLING.items():
        yield words, _write(getattr(half.sampler, key))
    yield from _list_model(scale, half.model, "", marks)
    if half.sampler.classifier is not None:
        mark = half.sampler.classifier_mark
        yield from _list_model(scale, half.sampler.classifier, CLASSIFIER, [mark] if mark else [])


def _list_model(
    scale: Scale, name: str, prefix: str, marks: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield how a model is built and trained up to some marks, by default to the end."""
    model = scale.models[name]
    for names, values in (
        (SWITCHES, model.architecture.model_dump()),
        (TRAINING, model.training.model_dump()),
    ):
        for key, words in names.items():
            if key in values:
                yield f"{prefix}{words}", _write(values[key])
    last = [max(model.marks, key=lambda mark: model.marks[mark])]
    iterations = [model.marks[mark] for mark in marks or last]
    yield f"{prefix}iterations", " and ".join(f"{one:,}" for one in iterations)


def _write(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_write, value))
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)
