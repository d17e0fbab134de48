"""How a number was made: the protocol of a metrics file as a list, its headline, and what is mixed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.format import format_count, format_exact

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


def find_all(value: Any, key: str) -> list[Any]:
    """Return everything that a key holds anywhere in nested JSON, outermost first, sorted by path."""
    found = []
    level = [value]
    while level:
        below = []
        for item in level:
            if isinstance(item, Mapping):
                if key in item:
                    found.append(item[key])
                below.extend(item[name] for name in sorted(item))
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return found


def make_headline(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts without which a number must not be published, as pairs of name and words.

    Args:
        content: metrics file.

    Returns:
        One pair each for reference, samples, labels, sampler, guidance scale, number format, feature
        network, seeds, recipes, versions and code; a fact that the file lacks reads `not recorded`.
    """
    protocol, counts = content["protocol"], content["counts"]
    samples = protocol.get("samples") or {}
    reference = protocol.get("reference") or {}
    network = protocol.get("network") or {}
    recall = counts.get("reference_precision_recall", counts["reference"])
    return [
        ("reference", _join(f"{format_count(counts['reference'])} images ({format_count(recall)} for "
                            "precision and recall)", _hash(reference))),
        ("samples", _join(f"{format_count(counts['samples'])} images", _hash(samples))),
        ("labels", _first(samples, "label_policy")),
        ("sampler", _words(samples, ("method", "respacing", "eta"))),
        ("guidance scale", _first(samples, "guidance_scale", missing="none")),
        ("number format", _first(samples, "precision")),
        ("feature network", _join(str(network.get("name", NOT_RECORDED)), _hash(network))),
        ("seeds", _words(samples, ("seed",))),
        ("recipes", _recipes(protocol)),
        ("versions", _versions(protocol)),
        ("code", _first(protocol, "git_commit")),
    ]  # fmt: skip


def _hash(part: Mapping[str, Any]) -> str:
    return f"sha256 {part['sha256']}" if part.get("sha256") else f"sha256 {NOT_RECORDED}"


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _first(value: Any, key: str, missing: str = NOT_RECORDED) -> str:
    found = [item for item in find_all(value, key) if item is not None]
    if found:
        return format_exact(found[0])
    return "none" if find_all(value, key) else missing


def _words(value: Any, keys: Sequence[str]) -> str:
    words = []
    for key in keys:
        found = list(
            dict.fromkeys(format_exact(item) for item in find_all(value, key) if item is not None)
        )
        if found:
            words.append(f"{key} {', '.join(found)}")
    return "; ".join(words) or NOT_RECORDED


def find_recipes(protocol: Any) -> dict[str, str]:
    """Return every recipe number in a protocol by its dotted path."""
    return {path: text for path, text in flatten(protocol) if path.split(".")[-1] == "recipe"}


def _recipes(protocol: Any) -> str:
    recipes = find_recipes(protocol)
    return ", ".join(f"{path} {number}" for path, number in recipes.items()) or NOT_RECORDED


def _versions(protocol: Any) -> str:
    found = [item for item in find_all(protocol, "versions") if isinstance(item, Mapping)]
    merged = sorted({(str(name), str(version)) for item in found for name, version in item.items()})
    return ", ".join(f"{name} {version}" for name, version in merged) or NOT_RECORDED


def find_mixtures(rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[str]:
    """Say what differs between the measured rows of a table although it should not.

    Args:
        rows: label, task and metrics file of every measured cell.

    Returns:
        One sentence each for mixed recipes, feature networks, references within a task, sample
        counts, label policies and number formats, and for facts that rows do not record.
    """
    rows = list(rows)
    sentences = []
    paths = sorted({path for _, _, c in rows for path in find_recipes(c["protocol"])})
    for path in paths:
        values = {label: find_recipes(c["protocol"]).get(path) for label, _, c in rows}
        sentences += _describe(f"Mixed recipes ({path})", values)
    network = {label: _hash(c["protocol"].get("network") or {}) for label, _, c in rows}
    sentences += _describe("Mixed feature networks", network)
    for task in sorted({task for _, task, _ in rows}):
        hashes = {
            label: _hash(c["protocol"].get("reference") or {}) for label, t, c in rows if t == task
        }
        sentences += _describe(f"Mixed references for {task}", hashes)
    headlines = {label: dict(make_headline(content)) for label, _, content in rows}
    for what, fact in (("label policies", "labels"), ("number formats", "number format")):
        values = {label: headline[fact] for label, headline in headlines.items()}
        known = {
            label: value for label, value in values.items() if value not in (NOT_RECORDED, "none")
        }
        sentences += _describe(f"Mixed {what}", known)
    counts = {label: f"{format_count(c['counts']['samples'])} samples" for label, _, c in rows}
    sentences += _describe("Mixed numbers of samples", counts)
    lacking: dict[str, list[str]] = {}
    for label, headline in headlines.items():
        names = ", ".join(name for name, words in headline.items() if NOT_RECORDED in words)
        if names:
            lacking.setdefault(names, []).append(label)
    sentences += [
        f"Not recorded for {', '.join(labels)}: {names}." for names, labels in lacking.items()
    ]
    return sentences


def _describe(what: str, values: Mapping[str, Any]) -> list[str]:
    present = {label: value for label, value in values.items() if value is not None}
    groups: dict[Any, list[str]] = {}
    for label, value in present.items():
        groups.setdefault(value, []).append(label)
    if len(groups) < 2:
        return []
    parts = [f"{value} in {', '.join(labels)}" for value, labels in groups.items()]
    return [f"{what}: {'; '.join(parts)}."]
