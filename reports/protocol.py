"""How a number was made: the protocol as a list, its headline, and what is mixed in a table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.format import format_count, format_exact
from specs.results import MetricsFile

NOT_RECORDED = "not recorded"


def flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Write nested JSON as sorted pairs of dotted path and text."""
    if isinstance(value, Mapping) and value:
        return [
            pair
            for key in sorted(value)
            for pair in flatten(value[key], f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        return [pair for i, item in enumerate(value) for pair in flatten(item, f"{prefix}[{i}]")]
    if value is None:
        return [(prefix, "none")]
    if isinstance(value, (Mapping, list)):
        return [(prefix, ", ".join(format_exact(item) for item in value) or "empty")]
    return [(prefix, format_exact(value))]


def find_facts(facts: Iterable[tuple[str, str]], key: str) -> dict[str, str]:
    """Return everything that a key holds anywhere in a flat protocol, by its dotted path."""
    return {path: text for path, text in facts if path.split(".")[-1] == key}


def make_headline(content: MetricsFile) -> list[tuple[str, str]]:
    """Return the facts without which a number must not be published, as pairs of name and words.

    Args:
        content: metrics file.

    Returns:
        One pair each for reference, samples, labels, sampler, guidance scale (published samples:
        address, licence, day of retrieval), number format, feature network, seeds, recipes,
        versions and code; a fact that the file lacks reads `not recorded`.
    """
    facts, counts = flatten(content.protocol.content()), content.counts
    samples = content.protocol.samples or {}
    drawn = flatten(samples)
    network = content.protocol.network or {}
    recall = format_count(counts.reference_precision_recall)
    sampler = [f"{key} {_value(drawn, key)}" for key in ("method", "respacing", "eta")]
    return [
        (
            "reference",
            f"{_count_reference(counts.reference)} ({recall} for precision and recall), "
            f"{_hash(content.protocol.reference)}",
        ),
        ("samples", f"{format_count(counts.samples)} images, {_hash(samples)}"),
        *(
            _published(samples)
            or [
                ("labels", _value(drawn, "label_policy")),
                ("sampler", NOT_RECORDED if NOT_RECORDED in sampler[0] else ", ".join(sampler)),
                ("guidance scale", _value(drawn, "guidance_scale")),
            ]
        ),
        ("number format", _agree(find_facts(facts, "precision"))),
        ("feature network", f"{network.get('name', NOT_RECORDED)}, {_hash(network)}"),
        ("seeds", _list(find_facts(facts, "seed"))),
        ("recipes", _list(find_facts(facts, "recipe"))),
        ("versions", _versions(facts)),
        ("code", _agree(find_facts(facts, "git_commit"))),
    ]


def _count_reference(count: int | None) -> str:
    """Say of how many images the statistics are; published files do not tell."""
    return "the authors' statistics" if count is None else f"{format_count(count)} images"


def _published(samples: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return where published samples are from, and on what terms."""
    if "url" not in samples:
        return []
    facts = [("published at", "url"), ("licence", "licence"), ("retrieved", "retrieved")]
    return [(name, str(samples.get(key) or NOT_RECORDED)) for name, key in facts]


def _hash(part: Mapping[str, Any] | None) -> str:
    return f"sha256 {(part or {}).get('sha256') or NOT_RECORDED}"


def _value(facts: Iterable[tuple[str, str]], key: str) -> str:
    """Return what a key holds nearest to the root, or that it is not recorded."""
    found = find_facts(facts, key)
    return found[min(found, key=lambda path: (path.count("."), path))] if found else NOT_RECORDED


def _agree(facts: Mapping[str, str]) -> str:
    """Write one value when all paths agree, else all."""
    values = set(facts.values())
    return values.pop() if len(values) == 1 else _list(facts)


def _list(facts: Mapping[str, str]) -> str:
    """Write facts as `path value`."""
    return ", ".join(f"{path} {text}" for path, text in facts.items()) or NOT_RECORDED


def _versions(facts: Iterable[tuple[str, str]]) -> str:
    """Write the versions of packages, each once."""
    pairs = {
        (parts[-1], text) for path, text in facts if len(parts := path.rsplit("versions.", 1)) == 2
    }
    return ", ".join(f"{name} {version}" for name, version in sorted(pairs)) or NOT_RECORDED


def list_recipes(protocol: Any) -> dict[str, str]:
    """Return the recipes that cells must have in common, by their paths.

    That of a trained network is its own, as its width is: it changes for the networks that a change
    of code moves, and the digest that a page demands of each cell holds it.
    """
    networks = (".model.recipe", ".classifier.recipe")
    recipes = find_facts(flatten(protocol), "recipe")
    return {path: text for path, text in recipes.items() if not path.endswith(networks)}


def find_mixtures(rows: Iterable[tuple[str, str, MetricsFile]]) -> list[str]:
    """Say what differs between the measured rows of a table although it should not.

    Args:
        rows: label, task and metrics file of every measured cell.

    Returns:
        One sentence each for mixed recipes, feature networks, label policies and number formats,
        for mixed references and numbers of samples within a task, and for facts that rows do not
        record.
    """
    rows = list(rows)
    sentences = []
    recipes = {label: list_recipes(content.protocol.content()) for label, _, content in rows}
    for path in sorted({path for found in recipes.values() for path in found}):
        values = {label: found[path] for label, found in recipes.items() if path in found}
        sentences += _describe(f"Mixed recipes ({path})", values)
    networks = {label: _hash(content.protocol.network) for label, _, content in rows}
    sentences += _describe("Mixed feature networks", networks)
    for task in sorted({task for _, task, _ in rows}):
        mine = {label: content for label, where, content in rows if where == task}
        hashes = {label: _hash(c.protocol.reference) for label, c in mine.items()}
        sentences += _describe(f"Mixed references for {task}", hashes)
        counts = {label: format_count(c.counts.samples) for label, c in mine.items()}
        sentences += _describe(f"Mixed numbers of samples for {task}", counts)
    headlines = {label: dict(make_headline(content)) for label, _, content in rows}
    for what, fact in (("label policies", "labels"), ("number formats", "number format")):
        values = {label: headline.get(fact, "none") for label, headline in headlines.items()}
        known = {k: value for k, value in values.items() if value not in (NOT_RECORDED, "none")}
        sentences += _describe(f"Mixed {what}", known)
    lacking: dict[str, list[str]] = {}
    for label, headline in headlines.items():
        names = ", ".join(name for name, words in headline.items() if NOT_RECORDED in words)
        if names:
            lacking.setdefault(names, []).append(label)
    for names, labels in lacking.items():
        sentences.append(f"Not recorded for {_quote(labels)}: {names}.")
    return sentences


def _describe(what: str, values: Mapping[str, str]) -> list[str]:
    """Return one sentence that lists who has which value, or nothing when all have the same."""
    groups: dict[str, Sequence[str]] = {}
    for label, value in values.items():
        groups[value] = [*groups.get(value, []), label]
    if len(groups) < 2:
        return []
    parts = [f"{value} in {_quote(labels)}" for value, labels in groups.items()]
    return [f"{what}: {'; '.join(parts)}."]


def _quote(labels: Iterable[str]) -> str:
    """List labels, which may themselves hold commas."""
    return ", ".join(f"“{label}”" for label in labels)
