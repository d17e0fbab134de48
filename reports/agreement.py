"""How far a number may lie from the published one to be the same, by where it comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.cells import load_metrics, make_estimate, read_interval
from reports.notes import MEASURED

AGREES, DIFFERS = "agrees", "differs"
OLDER_SETTINGS = "older settings"
ROUNDING = 0.005  # half a unit of the last digit that the paper prints
FID_MARGIN = 0.05
SHARE = 0.03
RULES = {
    "rescore": "it rounds to the published number",
    "resample": "the published number is within its interval, for FID widened by 0.05 to either "
    "side, for the others by the published rounding",
    "retrain": "it is within 3 % of the published number",
}
OF_STORED_IMAGES = ("precision", "recall")


def find_margins(
    source: str, metric: str, value: float, interval: tuple[float | None, float | None]
) -> tuple[float, float] | None:
    """Return between which published numbers a measured one counts as the same.

    Args:
        source: key of RULES.
        metric: name of the metric.
        value: the measured number.
        interval: its 95 % interval, (None, None) when unknown.

    Returns:
        Low and high; None when the source's rule needs an interval and there is none.
    """
    if source == "rescore":
        return value - ROUNDING, value + ROUNDING
    if source == "retrain":
        return value / (1 + SHARE), value / (1 - SHARE)
    low, high = interval
    if low is None or high is None:
        return None
    margin = FID_MARGIN if metric == "fid" else ROUNDING
    return low - margin, high + margin


def judge_agreement(
    agreement: Mapping[str, Any] | None,
    source: str,
    content: Mapping[str, Any] | None,
    metric: str,
    published: float | None,
) -> dict[str, Any] | None:
    """Hold a measured number against the published one.

    Args:
        agreement: `reference_images`, how many the paper compared precision and recall with; None
            where numbers do not compare with the paper's.
        source: key of RULES.
        content: metrics file.
        metric: name of the metric.
        published: the published number, not a difference.

    Returns:
        `verdict` (AGREES, DIFFERS, None) and `words` (why there is none, else empty); None when
        there is nothing to hold against each other.
    """
    estimate = make_estimate(content, metric)
    if agreement is None or content is None or estimate is None or published is None:
        return None
    stored = content["counts"].get("reference_precision_recall") or agreement["reference_images"]
    if metric in OF_STORED_IMAGES and stored < agreement["reference_images"]:
        return {"verdict": None, "words": f"{stored:,} reference images"}
    margins = find_margins(source, metric, estimate.value, read_interval(content, metric))
    if margins is None:
        return {"verdict": None, "words": "no interval"}
    slack = 1e-9  # of the binary form of decimal numbers
    inside = margins[0] - slack <= published <= margins[1] + slack
    return {"verdict": AGREES if inside else DIFFERS, "words": ""}


def make_other(
    source: str,
    file: Mapping[str, str],
    agreement: Mapping[str, Any] | None,
    metric: str,
    published: float | None,
) -> dict[str, Any]:
    """Return what another source says of a cell.

    Args:
        source: key of RULES.
        file: `path` of its metrics file, and the `digest` that this has with today's settings.
        agreement: see `judge_agreement`.
        metric: name of the metric.
        published: the published number, not a difference.

    Returns:
        Source, status, measured value, interval, verdict and number of samples. A number made with
        other settings has the status OLDER_SETTINGS and is left out.

    Raises:
        UserError: the file is broken.
    """
    content = load_metrics(file["path"])
    is_older = content is not None and content.get("digest") != file["digest"]
    content = None if is_older else content
    estimate = make_estimate(content, metric)
    low, high = read_interval(content, metric)
    return {
        "source": source,
        "status": OLDER_SETTINGS if is_older else MEASURED,
        "measured": estimate.value if estimate else None,
        "low": low,
        "high": high,
        "agreement": judge_agreement(agreement, source, content, metric, published),
        "num_samples": content["counts"]["samples"] if content else None,
    }


def list_other_sources(rows: Sequence[Mapping[str, Any]], status: str) -> list[str]:
    """Return the other sources with a number of some status beside those of a table."""
    values = [cell["absolute"] or cell for row in rows for cell in row["cells"]]
    others = [other for value in values for other in value["others"]]
    return list(dict.fromkeys(one["source"] for one in others if one["status"] == status))


def count_agreements(rows: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """Count the verdicts on the values of a table's rows; None when there are none."""
    values = [cell["absolute"] or cell for row in rows for cell in row["cells"]]
    verdicts = [value["agreement"]["verdict"] for value in values if value["agreement"]]
    return {name: verdicts.count(name) for name in (AGREES, DIFFERS)} if verdicts else None
