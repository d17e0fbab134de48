"""The claims of one table, judged on its measured numbers and on the published ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.cells import RowMetrics, make_estimate
from reports.claims import (
    INCONCLUSIVE,
    PUBLISHED_ONLY,
    SeedSpread,
    judge_claim,
    judge_comparison,
    judge_published,
)
from reports.comparable import explain_incomparable, withdraw
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


def make_claim(
    claim: PageClaim, spec: PageSpec, files: RowMetrics, spreads: Mapping[str, SeedSpread | None]
) -> dict[str, Any]:
    """Judge a claim on the measured numbers, and on the published ones.

    Args:
        claim: a claim of the page.
        spec: what the page shows, for labels and published numbers.
        files: metrics files (`reports.tables.load_row_metrics`).
        spreads: spread between training seeds, or None, of every metric.

    Returns:
        The claim with verdict, the position of the deciding comparison, whether it holds in the
        paper's own table, and its comparisons with effect, interval, verdict and reason.
    """
    labels, after = {row.id: row.label for row in spec.rows}, spec.table.after
    tested = claim.sources is None or spec.source in claim.sources
    results, cells = [], {}
    for comparison in claim.comparisons:
        addresses, metric = comparison.addresses, comparison.metric
        estimates = [make_estimate(files[a.row, a.mark], metric) for a in addresses]
        published = [find_published(spec, a.row, a.mark, metric) for a in addresses]
        cells |= {labels[a.row] + after[a.mark]: files[a.row, a.mark] for a in addresses}
        results.append(
            {
                **comparison.model_dump(include=SHOWN),
                "cells": [
                    {
                        **address.content(),
                        "after": after[address.mark],
                        "label": labels[address.row],
                        "measured": estimate.value if estimate else None,
                        "published": value,
                    }
                    for address, estimate, value in zip(
                        addresses, estimates, published, strict=True
                    )
                ],
                "seeds_count": comparison.trained_models_differ,
                **judge_comparison(comparison, estimates, spreads[metric]),
                "holds_in_paper": judge_published(comparison, published),
            }
        )
    made = {label: content for label, content in cells.items() if content is not None}
    if reason := explain_incomparable(made, claim.varies):
        results = withdraw(results, reason)
    verdict, deciding = judge_claim(results)
    return {
        **claim.model_dump(exclude={"comparisons"}),
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
