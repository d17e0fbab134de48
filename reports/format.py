"""How numbers, settings and names are written everywhere; escaping of Markdown."""

import math
from collections.abc import Mapping
from typing import Any

from records.metrics import METRICS
from reports.effects import exceed

SETTING_NAMES = {
    "attention_resolutions": "attention at (px)",
    "biggan_updown": "BigGAN up/down",
    "rescale_residual": "rescale residual",
    "head_channels": "channels per head",
    "num_images": "images",
    "num_timesteps": "timesteps",
    "peak_memory_mb": "peak memory (MB)",
    "memory_mb": "memory (MB)",
}
NOTE_WORDS = {
    "quoted": "quoted by the authors from an earlier paper",
    "own": "trained by the paper's authors",
    "stack": "a stack of two resolutions",
    "rejection": "samples filtered by a classifier",
}
SOURCE_WORDS = {
    "rescore": "the samples that the authors published, graded here",
    "resample": "samples drawn here from the weights that the authors published",
    "retrain": "models trained here from scratch",
}
MARKDOWN_SPECIAL = "\\`*_{}[]#|~"


def count_decimals(low: float | None, high: float | None) -> int | None:
    """Return the decimals that show an interval's half-width to its second significant digit.

    None where there is no interval, or one of no width.
    """
    if low is None or high is None or not 0 < high - low < math.inf:
        return None
    exponent = int(f"{(high - low) / 2:.1e}".split("e")[1])
    return min(max(1 - exponent, 0), 9)


def format_number(
    value: float | None, metric: str, *, signed: bool = False, decimals: int | None = None
) -> str:
    """Write a measured number; a missing one is a dash.

    Without decimals it has two for FID, sFID and IS and three for shares; a number below 0.1 keeps
    two significant digits instead, so that a small difference never reads as zero.

    Args:
        value: the number, or None.
        metric: its name.
        signed: write a plus sign too, for differences.
        decimals: how many, where its interval tells (`count_decimals`).
    """
    if value is None:
        return "\u2013"
    if decimals is None:
        decimals = 3 if METRICS[metric].is_share else 2
        if 1e-9 < abs(value) < 0.1:
            decimals = max(decimals, min(9, 1 - math.floor(math.log10(abs(value)))))
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\u2212")


def format_measured(cell: Mapping[str, Any], metric: str | None = None) -> tuple[str, str]:
    """Write a cell's number and its interval, both to the interval's second significant digit.

    Args:
        cell: `measured`, `low`, `high`; `is_difference` and `metric` where it has them.
        metric: of a cell that does not name its own.

    Returns:
        The number, and `low to high`, empty where there is no interval.
    """
    name: str = metric or cell["metric"]
    signed = cell.get("is_difference", False)
    decimals = count_decimals(cell["low"], cell["high"])
    number = format_number(cell["measured"], name, signed=signed, decimals=decimals)
    return number, format_interval(cell["low"], cell["high"], name, signed=signed)


def format_published(value: float | None, *, signed: bool = False) -> str:
    """Write a published number with the two decimals that the paper prints."""
    if value is None:
        return "\u2013"
    return (f"{value:+.2f}" if signed else f"{value:.2f}").replace("-", "\u2212")


def format_interval(
    low: float | None, high: float | None, metric: str, *, signed: bool = False
) -> str:
    """Write an interval as `low to high`; empty when it is not known."""
    if low is None or high is None:
        return ""
    decimals = count_decimals(low, high)
    ends = (format_number(end, metric, signed=signed, decimals=decimals) for end in (low, high))
    return " to ".join(ends)


def format_share(value: float | None) -> str:
    """Write a share in [0, 1] as per cent."""
    return "\u2013" if value is None else f"{100 * value:.1f} %"


def format_count(value: float | int | None) -> str:
    """Write a count with thousands separated by commas."""
    return "\u2013" if value is None else f"{value:,.0f}"


def format_seconds(value: float | None) -> str:
    """Write a duration in the unit in which it is easy to grasp."""
    if value is None:
        return "\u2013"
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{value / 60:.1f} min"
    return f"{value / 3600:,.1f} h"


def format_memory(value_mb: float | None) -> str:
    """Write a size in MB, from 1 GB on in GB."""
    if value_mb is None:
        return "\u2013"
    return f"{value_mb:.0f} MB" if value_mb < 1000 else f"{value_mb / 1000:.1f} GB"


def format_exact(value: Any) -> str:
    """Write a value for machines: enough digits to lose nothing that matters, empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return " ".join(format_exact(item) for item in value)
    return str(value)


def format_setting(value: Any) -> str:
    """Write a setting of a row (on/off, number, list, name) as a reader expects it."""
    if value is None:
        return "\u2013"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) else f"{value:.1f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(format_setting(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def table_number(table: Mapping[str, Any]) -> str:
    """Return a table's number in the NeurIPS version, else in arXiv's."""
    if table["neurips"] is None:
        return f"arXiv Table {table['arxiv_v4']}"
    return f"Table {table['neurips']}"


def setting_name(setting: str) -> str:
    """Return the heading of a settings column."""
    return SETTING_NAMES.get(setting, setting.replace("_", " "))


def metric_name(metric: str) -> str:
    """Return a metric's name as the paper writes it."""
    return METRICS[metric].column


def metric_direction(metric: str) -> str:
    """Say which way a metric is better."""
    return "lower is better" if METRICS[metric].lower_is_better else "higher is better"


def column_name(column: Mapping[str, str]) -> str:
    """Return the heading of a number's column: the metric, and after how many iterations."""
    return metric_name(column["metric"]) + column["after"]


def statistic_name(comparison: Mapping[str, Any]) -> str:
    """Say what a comparison compares: the ratio or the difference of a metric."""
    return f"{comparison['statistic']} of {metric_name(comparison['metric'])}"


def describe_comparison(comparison: Mapping[str, Any]) -> str:
    """Write a comparison as a sentence, with its factor and margin where they matter."""
    metric = metric_name(comparison["metric"])
    names = [f"“{cell['label']}”{cell['after']}" for cell in comparison["cells"]]
    factor = "" if comparison["factor"] == 1 else f"{format_setting(comparison['factor'])} times "
    if comparison["relation"] == "nearer":
        return (
            f"{metric} of {names[0]} is nearer to that of {names[2]} than {factor}the distance "
            f"of {names[1]}"
        )
    margin = f"{comparison['margin']:g}"
    if comparison["relation"] == "greater":
        extra = "" if comparison["margin"] == 0 else f" less {margin}"
        return f"{metric} of {names[0]} is greater than {factor}that of {names[1]}{extra}"
    extra = "" if comparison["margin"] == 0 else f" plus {margin}"
    return f"{metric} of {names[0]} is less than {factor}that of {names[1]}{extra}"


def describe_effect(comparison: Mapping[str, Any]) -> str:
    """Write the number that decides a comparison, with its interval; empty when not measured."""
    number, interval = split_effect(comparison)
    return f"{number} (95\u00a0%: {interval})" if interval else number


def split_effect(comparison: Mapping[str, Any]) -> tuple[str, str]:
    """Write the number that decides a comparison, and its interval; empty where not known."""
    if comparison["effect"] is None:
        return "", ""
    metric = comparison["metric"]
    if comparison["statistic"] == "ratio":
        ends = [comparison[key] for key in ("effect", "low", "high") if comparison[key] is not None]
        effect, *interval = (100 * exceed(one) for one in ends)
        decimals = count_decimals(*interval) if interval else None
        number, *words = (format_per_cent(one, decimals) for one in (effect, *interval))
        return number, " to ".join(words)
    effect = {**comparison, "measured": comparison["effect"], "is_difference": True}
    return format_measured(effect, metric)


def format_per_cent(value: float, decimals: int | None = None) -> str:
    """Write by how many per cent one value exceeds another; to three digits without decimals."""
    form = f"+.{decimals}f" if decimals is not None and abs(value) < 1e6 else "+.3g"
    return f"{value:{form}}\u00a0%".replace("-", "\u2212")


def start_sentence(text: str) -> str:
    """Write the first letter as a capital and leave the others as they are."""
    return text[:1].upper() + text[1:]


def describe_paper(holds: bool | None) -> str:
    """Say whether a claim holds on the published numbers."""
    if holds is None:
        return "cannot be told from the paper's table"
    return "holds in the paper's table" if holds else "does not hold in the paper's table"


def escape_markdown(text: str) -> str:
    """Escape Markdown and HTML, and keep a table cell on one line."""
    text = (
        str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    )
    return "".join(f"\\{c}" if c in MARKDOWN_SPECIAL else c for c in text)
