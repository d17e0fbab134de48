"""Where each number of a table came from: its protocol, and what all of them share."""

from collections.abc import Mapping
from typing import Any

from reports.protocol import flatten, make_headline


def find_measured(spec: Mapping, files: Mapping) -> list[tuple[str, str, dict[str, Any]]]:
    """Return label, task and file of every measured cell; labels alone are not unique by task."""
    several_tasks = len({row["task"] for row in spec["rows"]}) > 1
    several_marks = len(spec["table"]["marks"]) > 1
    found = []
    for row in spec["rows"]:
        for mark in spec["table"]["marks"]:
            content = files[row["id"], mark]
            if content is not None:
                label = f"{row['task']}: {row['label']}" if several_tasks else row["label"]
                found.append(
                    (f"{label} at {mark}" if several_marks else label, row["task"], content)
                )
    return found


def make_numbers(spec: Mapping, files: Mapping, ceilings: Mapping) -> list[dict[str, Any]]:
    """Return the protocol of every measured cell and of every ceiling, headline first."""
    entries = [
        (
            f"{row['id']}-{mark}",
            row["label"],
            row["task"],
            mark,
            row["recipe_words"],
            files[row["id"], mark],
        )
        for row in spec["rows"]
        for mark in spec["table"]["marks"]
    ]
    tasks = dict.fromkeys(row["task"] for row in spec["rows"])
    entries += [
        (f"real-{task}", "real images against real images", task, "final", None, ceilings.get(task))
        for task in tasks
    ]
    return [
        {
            "anchor": anchor,
            "label": label,
            "task": task,
            "mark": mark,
            "recipe_words": recipe_words,
            "digest": content.get("digest"),
            "counts": content["counts"],
            "headline": make_headline(content),
            "details": flatten(content["protocol"]),
            "errors": [
                (metric, entry["value"], entry.get("std_error"))
                for metric, entry in sorted(content["metrics"].items())
            ],
        }
        for anchor, label, task, mark, recipe_words, content in entries
        if content is not None
    ]


def summarise_protocol(spec: Mapping, files: Mapping) -> list[tuple[str, str]]:
    """Return each headline fact once, with all its values in the table."""
    headlines = [make_headline(content) for _, _, content in find_measured(spec, files)]
    if not headlines:
        return []
    names = [name for name, _ in headlines[0]]
    facts = {name: list(dict.fromkeys(dict(h)[name] for h in headlines)) for name in names}
    skipped = ("samples", "seeds", "sampler", "guidance scale")  # differ by row on purpose
    summary = [(name, "; ".join(values)) for name, values in facts.items() if name not in skipped]
    counts = sorted({c["counts"]["samples"] for _, _, c in find_measured(spec, files)})
    return [("samples per row", ", ".join(f"{count:,}" for count in counts)), *summary]
