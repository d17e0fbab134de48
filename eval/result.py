"""What grading gives: values with their intervals, counts, warnings, and how they were computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from records.contributions import Contribution, find_contributions, write_contributions
from records.files import format_json, write_json
from records.metrics import METRICS

FORMAT = 1


@dataclass(frozen=True)
class Metric:
    """One metric of a batch of samples.

    Attributes:
        value: the metric; shares (precision, recall, memorised) are between 0 and 1.
        std_error: standard error of the value over samples; None where no intervals were asked for.
        interval: both ends of the 95 % interval, which contains the value; None likewise.
        details: what only some metrics have: num_splits and std_over_splits of the Inception Score,
            points ([number of samples, mean distance] each) of fid_infinity with intervals, exact
            (the value by exact distances) of precision and recall with half distances, num_subsets
            and std (over subsets) of kid_subsets, by_class (value and num_images by label) of
            precision and recall where it was asked for.
    """

    value: float
    std_error: float | None = None
    interval: tuple[float, float] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the metric as a JSON object."""
        return {
            "value": self.value,
            "std_error": self.std_error,
            "interval": None if self.interval is None else list(self.interval),
            **self.details,
        }


def make_metric(content: Mapping[str, Any]) -> Metric:
    """Make a metric of the JSON object that eval.metrics.registry.compute_metrics returns."""
    details = dict(content)
    value, std_error, interval = (details.pop(key) for key in ("value", "std_error", "interval"))
    return Metric(value, std_error, None if interval is None else tuple(interval), details)


@dataclass(frozen=True, repr=False)
class GradingResult:
    """What a batch of samples scores against a reference.

    Attributes:
        name: of the samples.
        metrics: by name (is, fid, sfid, precision, recall, ...), those that were asked for.
        warnings: sentences about values that may be misread; often none.
        counts: samples; reference, the images behind the reference's statistics (None where its
            file does not say); reference_precision_recall, its images for precision and recall
            (None where it holds statistics alone).
        protocol: all that the values depend on: path and sha256 of both inputs, the feature
            network, seed, backend, precision, versions, commit, machine.
        digest: of the spec that asked for this; None outside the workflow.
        contributions: what every sample adds to a metric, by metric; none without intervals.
    """

    name: str
    metrics: Mapping[str, Metric]
    warnings: tuple[str, ...]
    counts: Mapping[str, int | None]
    protocol: Mapping[str, Any]
    digest: str | None = None
    contributions: Mapping[str, Contribution] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """The metrics' values by name: `result.values["fid"]`."""
        return {name: metric.value for name, metric in self.metrics.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float] | None]:
        """The ends of the 95 % intervals by name; None where no intervals were asked for."""
        return {name: metric.interval for name, metric in self.metrics.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return the result as the JSON object that `--json` writes."""
        return {
            "format": FORMAT,
            "name": self.name,
            "digest": self.digest,
            "metrics": {name: metric.as_dict() for name, metric in self.metrics.items()},
            "warnings": list(self.warnings),
            "counts": dict(self.counts),
            "protocol": dict(self.protocol),
        }

    def write(self, path: str | Path) -> None:
        """Write the metrics as JSON, with the contributions, where there are any, beside them."""
        if self.contributions:
            write_contributions(find_contributions(path), self.contributions, self.protocol)
        write_json(path, self.as_dict())

    def to_json(self) -> str:
        """Return the text of the file that `--json` writes, byte for byte."""
        return format_json(self.as_dict())

    def describe_metrics(self) -> list[str]:
        """Return a line for each metric: its title, value and interval."""
        lines = []
        for name, about in METRICS.items():
            if name in self.metrics:
                metric = self.metrics[name]
                lines.append(f"{about.title}: {metric.value:.6g}")
                if "exact" in metric.details:
                    lines[-1] += f" (exact: {metric.details['exact']:.6g})"
                if classes := metric.details.get("by_class"):
                    shares = {label: one["value"] for label, one in classes.items()}
                    share, label = min((share, label) for label, share in shares.items())
                    lines[-1] += f" (least: {share:.6g}, of class {label})"
                if "num_subsets" in metric.details:
                    lines[-1] += (
                        " (standard deviation over {num_subsets} subsets {std:.6g})".format(
                            **metric.details
                        )
                    )
                if metric.interval:
                    lines[-1] += " (95 % interval {:.6g} to {:.6g})".format(*metric.interval)
        return lines

    def __repr__(self) -> str:
        """Show the numbers as the command prints them, a line each."""
        counts = self.counts
        known = counts["reference"] or counts["reference_precision_recall"]
        against = "statistics" if known is None else f"{known:,} reference images"
        lines = [f"{self.name}: {counts['samples']:,} samples against {against}"]
        lines += [f"  {line}" for line in self.describe_metrics()]
        network = self.protocol["network"]["name"]
        return "\n".join([*lines, f"  features: {network}", *(f"  {w}" for w in self.warnings)])
