"""How far a number may lie from the published one to be the same, by where it comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.cells import read_measured
from reports.files import MEASURED, find_metrics
from specs.page import Agreement, WantedMetrics
from specs.results import MetricsFile
from specs.tables import Source

AGREES, DIFFERS = "agrees", "differs"
ROUNDING = 0.005  # half a unit of the last digit that the paper prints
FID_MARGIN = 0.05
SHARE = 0.03
RULES: dict[Source, str] = {
    "rescore": "it rounds to the published number",
    "resample": "the published number is within its interval, for FID widened by 0.05 to either "
    "side, for the others by the published rounding",
    "retrain": "it is within 3 % of the published number",
}
OF_STORED_IMAGES = ("precision", "recall")


def find_margins(
    source: Source, metric: str, value: float, low: float | None, high: float | None
) -> tuple[float, float] | None:
    """Return between which published numbers a measured one counts as the same.

    Args:
        source: where the number is from.
        metric: name of the metric.
        value: the measured number.
        low: lower end of its 95 % interval, None when unknown.
        high: upper end.

    Returns:
        Low and high; None when the source's rule needs an interval and there is none.
    """
    if source == "rescore":
        return value - ROUNDING, value + ROUNDING
    if source == "retrain":
        return value / (1 + SHARE), value / (1 - SHARE)
    if low is None or high is None:
        return None
    margin = FID_MARGIN if metric == "fid" else ROUNDING
    return low - margin, high + margin


def takes_other_distances(content: MetricsFile, metric: str) -> bool:
    """Tell whether a number is of other arithmetic than the authors', which moves it by 0.02."""
    return metric in OF_STORED_IMAGES and content.protocol.distances == "exact"


def judge_agreement(
    agreement: Agreement | None,
    source: Source,
    content: MetricsFile | None,
    metric: str,
    published: float | None,
) -> dict[str, Any] | None:
    """Hold a measured number against the published one.

    Args:
        agreement: None where numbers do not compare with the paper's.
        source: where the number is from.
        content: metrics file.
        metric: name of the metric.
        published: the published number, not a difference.

    Returns:
        `verdict` (AGREES, DIFFERS, None) and `words` (why there is none, else empty); None when
        there is nothing to hold against each other.
    """
    found = read_measured(content, metric)
    value = found["measured"]
    if agreement is None or content is None or value is None or published is None:
        return None
    stored = content.counts.reference_precision_recall
    if metric in OF_STORED_IMAGES and stored < agreement.reference_images:
        return {"verdict": None, "words": f"{stored:,} reference images"}
    if takes_other_distances(content, metric):
        return {"verdict": None, "words": "exact distances"}
    margins = find_margins(source, metric, value, found["low"], found["high"])
    if margins is None:
        return {"verdict": None, "words": "no interval"}
    slack = 1e-9  # of the binary form of decimal numbers
    inside = margins[0] - slack <= published <= margins[1] + slack
    return {"verdict": AGREES if inside else DIFFERS, "words": ""}


def make_other(
    source: Source,
    file: WantedMetrics,
    agreement: Agreement | None,
    metric: str,
    published: float | None,
) -> dict[str, Any]:
    """Return what another source says of a cell.

    Args:
        source: the other one.
        file: its metrics file.
        agreement: see `judge_agreement`.
        metric: name of the metric.
        published: the published number, not a difference.

    Returns:
        Source, status (`reports.files`), measured value, interval, verdict and number of samples.
    """
    content, status, _ = find_metrics(file)
    return {
        "source": source,
        "status": status,
        **read_measured(content, metric),
        "agreement": judge_agreement(agreement, source, content, metric, published),
        "num_samples": content.counts.samples if content else None,
    }


def list_other_sources(rows: Sequence[Mapping[str, Any]], *, shown: bool) -> list[str]:
    """Return the other sources whose numbers stand beside those of a table, or are left out."""
    values = [cell["absolute"] or cell for row in rows for cell in row["cells"]]
    others = [other for value in values for other in value["others"]]
    named = [one["source"] for one in others if (one["status"] == MEASURED) == shown]
    return list(dict.fromkeys(named))


def count_agreements(rows: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """Count the verdicts on the values of a table's rows; None when there are none."""
    values = [cell["absolute"] or cell for row in rows for cell in row["cells"]]
    verdicts = [value["agreement"]["verdict"] for value in values if value["agreement"]]
    return {name: verdicts.count(name) for name in (AGREES, DIFFERS)} if verdicts else None
