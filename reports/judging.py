"""The claims of one table, judged on its measured numbers and on the published ones."""

from collections.abc import Sequence
from typing import Any

from reports.claims import (
    INCONCLUSIVE,
    PUBLISHED_ONLY,
    combine_p_values,
    judge_claim,
    judge_comparison,
)
from reports.comparable import explain_incomparable, withdraw
from reports.effects import compute_published_effect, holds
from reports.replicates import CellReplicates, average_metric, list_group
from specs.page import PageClaim, PageSpec

SHOWN = {"metric", "relation", "factor", "margin", "statistic"}  # of a comparison, as it is


def find_published(spec: PageSpec, row_id: str, mark: str, metric: str) -> float | None:
    """Return a published number as an absolute value (first row plus printed difference)."""
    rows = {row.id: row for row in spec.rows}
    value = rows[row_id].published.get(mark, {}).get(metric)
    first = spec.rows[0]
    if value is None or spec.table.layout != "deltas" or row_id == first.id:
        return value
    base = first.published.get(mark, {}).get(metric)
    return None if base is None else base + value


def make_claim(claim: PageClaim, spec: PageSpec, replicates: CellReplicates) -> dict[str, Any]:
    """Judge a claim on the measured numbers, and on the published ones.

    Args:
        claim: a claim of the page.
        spec: what the page shows, for labels and published numbers.
        replicates: what was measured with each training seed.

    Returns:
        The claim with verdict, the position of the deciding comparison, p-value, whether it holds
        in the paper's own table, and its comparisons with effect, interval, verdict and reason.
    """
    rows = {row.id: row for row in spec.rows}
    tested = claim.sources is None or spec.source in claim.sources
    results, cells = [], {}
    for comparison in claim.comparisons:
        addresses, metric = comparison.addresses, comparison.metric
        chosen = [replicates[a.row, a.mark] for a in addresses]
        published = [find_published(spec, a.row, a.mark, metric) for a in addresses]
        for address, cell in zip(addresses, chosen, strict=True):
            label = rows[address.row].label + spec.table.after[address.mark]
            cells |= {(label, seed): one.content for seed, one in cell.items()}
        tasks = {rows[a.row].task for a in addresses}
        group = list_group(spec, replicates, tasks, comparison.left.mark)
        results.append(
            {
                **comparison.model_dump(include=SHOWN),
                "cells": [
                    {
                        **address.content(),
                        "label": rows[address.row].label,
                        "after": spec.table.after[address.mark],
                        "measured": average_metric(cell, metric),
                        "published": value,
                    }
                    for address, cell, value in zip(addresses, chosen, published, strict=True)
                ],
                "seeds_count": comparison.trained_models_differ,
                **judge_comparison(
                    comparison, chosen, group, {row.id: row.trained for row in spec.rows}
                ),
                "published_effect": (paper := compute_published_effect(comparison, published)),
                "holds_in_paper": holds(paper),
            }
        )
    for seed in dict.fromkeys(seed for _, seed in cells):
        made = {label: content for (label, one), content in cells.items() if one == seed}
        if reason := explain_incomparable(made, claim.varies):
            results = withdraw(results, reason)
            break
    verdict, deciding = judge_claim(results)
    return {
        **claim.model_dump(exclude={"comparisons"}),
        "verdict": verdict if tested else PUBLISHED_ONLY,
        "deciding": deciding,
        "p": combine_p_values(results) if tested else None,
        "reason": results[deciding]["reason"] if verdict == INCONCLUSIVE and tested else None,
        "holds_in_paper": _combine_published([result["holds_in_paper"] for result in results]),
        "comparisons": results,
    }


def _combine_published(answers: Sequence[bool | None]) -> bool | None:
    if False in answers:
        return False
    return None if None in answers else True
