"""Whether cells may be compared: made alike in all but what a claim is about.

The versions of packages, the commit and the machine are shown but not compared: a change of code
that moves numbers raises a recipe, and recipes are compared, but for those of trained networks.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from records.files import canonical_json
from reports.claims import INCONCLUSIVE, NOT_RUN
from reports.format import format_count
from reports.protocol import list_recipes
from specs.results import MetricsFile
from specs.tables import Topic

SPEC = ("samples", "spec")
SAMPLER = (*SPEC, "sampler")
# What of a protocol must agree: words, place, and the topic of the claims in which it may differ.
FACTS: tuple[tuple[str, tuple[str, ...], Topic | None], ...] = (
    ("feature network", ("network", "sha256"), None),
    ("number format of the features", ("network", "precision"), None),
    ("reference", ("reference", "sha256"), None),
    ("seed of grading", ("seed",), None),
    ("neighbours of precision and recall", ("k",), None),
    ("arithmetic of distances", ("distances",), None),
    ("split size of the Inception Score", ("inception_split_size",), None),
    ("backend of grading", ("backend",), None),
    ("number format of grading", ("precision",), None),
    ("number format of sampling", ("samples", "precision"), None),
    ("label policy", (*SPEC, "label_policy"), None),
    ("seed of sampling", (*SPEC, "seed"), None),
    ("sampler", (*SAMPLER, "method"), "steps"),
    ("sampling steps", (*SAMPLER, "respacing"), "steps"),
    ("eta", (*SAMPLER, "eta"), "steps"),
    ("guidance scale", (*SAMPLER, "guidance_scale"), "guidance"),
    ("classifier", (*SPEC, "classifier"), "guidance"),
    ("model", (*SPEC, "model"), "model"),
    ("noise schedule", (*SAMPLER, "schedule"), "model"),
    ("timesteps of training", (*SAMPLER, "num_timesteps"), "model"),
    ("base", (*SPEC, "low_res"), "base"),
)
MAX_SHOWN = 24  # characters of a value; hashes and whole models are longer


def explain_incomparable(cells: Mapping[str, MetricsFile], varies: Iterable[Topic]) -> str | None:
    """Say in what cells differ that their claim is not about; None when they may be compared.

    Args:
        cells: metrics files by the label of their cell.
        varies: what the claim is about.

    Returns:
        The first such difference in words. What a file does not record is not held against it.
    """
    found = {label: _list_facts(content, {*varies}) for label, content in cells.items()}
    for name in dict.fromkeys(name for facts in found.values() for name in facts):
        values: dict[str, list[str]] = {}
        for label, facts in found.items():
            if name in facts:
                values.setdefault(facts[name], []).append(f"“{label}”")
        if len(values) > 1:
            parts = "; ".join(
                f"{value if len(value) <= MAX_SHOWN else value[:12] + '…'} in {', '.join(labels)}"
                for value, labels in values.items()
            )
            return f"its cells differ in {name} ({parts}), which the claim is not about"
    return None


def withdraw(results: Sequence[Mapping[str, Any]], reason: str) -> list[dict[str, Any]]:
    """Take back the verdicts of a claim's comparisons; what was not run stays so."""
    return [
        {**one, "verdict": INCONCLUSIVE, "reason": reason, "p": None, "null": None}
        if one["verdict"] != NOT_RUN
        else dict(one)
        for one in results
    ]


def _list_facts(content: MetricsFile, varies: set[Topic]) -> dict[str, str]:
    """Return what must agree, by its words, as far as a file records it."""
    counts, protocol = content.counts, content.protocol.content()
    facts = {
        "number of samples": format_count(counts.samples),
        "number of reference images": format_count(counts.reference),
        "reference images of precision and recall": format_count(counts.reference_precision_recall),
    }
    for words, place, topic in FACTS:
        value: Any = protocol
        for key in place:
            value = value.get(key, KeyError) if isinstance(value, Mapping) else KeyError
        if value is not KeyError and topic not in varies:
            facts[words] = value if isinstance(value, str) else canonical_json(value)
    return facts | {f"recipe ({path})": text for path, text in list_recipes(protocol).items()}
