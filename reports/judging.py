"""The claims of one table, judged on its measured numbers and on the published ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.cells import make_estimate
from reports.claims import (
    INCONCLUSIVE,
    PUBLISHED_ONLY,
    find_unequal_counts,
    judge_claim,
    judge_comparison,
    judge_published,
    refuse_comparison,
)

SIDES = ("left", "right", "towards")


def find_published(spec: Mapping[str, Any], row_id: str, mark: str, metric: str) -> float | None:
    """Return a published number as an absolute value (first row plus printed difference)."""
    rows = {row["id"]: row for row in spec["rows"]}
    value = rows[row_id]["published"].get(mark, {}).get(metric)
    first = spec["rows"][0]
    if value is None or spec["table"]["layout"] != "deltas" or row_id == first["id"]:
        return value
    base = first["published"].get(mark, {}).get(metric)
    return None if base is None else base + value


def make_claim(
    claim: Mapping[str, Any], spec: Mapping[str, Any], files: Mapping, spreads: Mapping
) -> dict[str, Any]:
    """Judge a claim on the measured numbers, and on the published ones.

    Args:
        claim: a claim of the specification.
        spec: the whole specification, for labels and published numbers.
        files: metrics file, or None, of every (row id, mark).
        spreads: spread between training seeds, or None, of every metric.

    Returns:
        The claim with verdict, the position of the deciding comparison, whether it holds in the
        paper's own table, and its comparisons with effect, interval, verdict and reason.
    """
    labels = {row["id"]: row["label"] for row in spec["rows"]}
    tested = claim["sources"] is None or spec["source"] in claim["sources"]
    results, everything = [], []
    for comparison in claim["comparisons"]:
        addresses = [comparison[side] for side in SIDES if comparison[side] is not None]
        metric = comparison["metric"]
        estimates = [make_estimate(files[a["row"], a["mark"]], metric) for a in addresses]
        published = [find_published(spec, a["row"], a["mark"], metric) for a in addresses]
        estimates += [None] * (3 - len(addresses))
        published += [None] * (3 - len(addresses))
        everything += estimates
        results.append(
            {
                **{key: comparison[key] for key in ("metric", "relation", "factor", "margin")},
                "cells": [
                    {
                        "row": address["row"],
                        "label": labels[address["row"]],
                        "mark": address["mark"],
                        "measured": estimate.value if estimate else None,
                        "published": value,
                    }
                    for address, estimate, value in zip(
                        addresses, estimates, published, strict=False
                    )
                ],
                "seeds_count": comparison["trained_models_differ"],
                **judge_comparison(comparison, estimates, spreads[metric]),
                "holds_in_paper": judge_published(comparison, published),
            }
        )
    counts = find_unequal_counts(everything)
    if counts:
        results = [{**result, **refuse_comparison(result, counts)} for result in results]
    verdict, deciding = judge_claim(results)
    return {
        **{key: claim[key] for key in ("id", "text", "where", "sources")},
        "verdict": verdict if tested else PUBLISHED_ONLY,
        "deciding": deciding,
        "reason": results[deciding]["reason"] if verdict == INCONCLUSIVE and tested else None,
        "holds_in_paper": _combine_published([result["holds_in_paper"] for result in results]),
        "comparisons": results,
    }


def _combine_published(answers: Sequence[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True
