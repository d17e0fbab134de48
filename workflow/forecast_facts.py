"""Speeds of devices, and what was published about cost (params/forecast/*.yaml)."""

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import yaml

from records.errors import UserError
from workflow.forecast_counts import FOLDER
from workflow.plan import Plan

SECONDS_PER_DAY = 86_400

Rates: TypeAlias = tuple[float, float, float]  # lowest, fitted, highest


@dataclass(frozen=True)
class Speed:
    """How fast a device computes: a share of its peak, or rates that were measured.

    Attributes:
        gpu: name of the device.
        about: what it is.
        utilisation: lowest, fitted and highest share of the peak, 0 to 1, by kind of network in 16
            bits, and `float32` for all kinds; empty with measured rates.
        words: where these shares come from.
        peak_tflops: by precision, TFLOP/s.
        measured_tflops: by kind of work (training, sampling), TFLOP/s.
    """

    gpu: str
    about: str
    utilisation: dict[str, Rates]
    words: str
    peak_tflops: dict[str, float]
    measured_tflops: dict[str, float]

    def compute_rates(self, work: str, precision: str, kind: str) -> Rates:
        """Return the operations per second of `training` or `sampling` a kind of network.

        Returns:
            The lowest, the fitted and the highest; all the same where it was measured.

        Raises:
            UserError: the device lacks the precision.
        """
        if not self.utilisation:
            rate = self.measured_tflops[work] * 1e12
            return rate, rate, rate
        if precision not in self.peak_tflops:
            raise UserError(
                f"--gpu {self.gpu}: has no {precision}, in which this scale computes; choose "
                "another GPU, or another precision in the scale's file"
            )
        low, fit, high = self.utilisation["float32" if precision == "float32" else kind]
        peak = self.peak_tflops[precision] * 1e12
        return low * peak, fit * peak, high * peak


@cache
def load_published() -> dict[str, Any]:
    """Read what was published about cost."""
    return yaml.safe_load((FOLDER / "published.yaml").read_text(encoding="utf-8"))


@cache
def load_devices() -> dict[str, Any]:
    """Read the devices and the utilisation that is taken when none is said."""
    return yaml.safe_load((FOLDER / "devices.yaml").read_text(encoding="utf-8"))


def choose_speed(plan: Plan, *, gpu: str | None = None, utilisation: float | None = None) -> Speed:
    """Choose the device of a forecast.

    Args:
        plan: the plan, whose scale says what is used when no device is named.
        gpu: name of a device.
        utilisation: share of its peak that is reached, above 0, at most 1; None for the one in
            the data.

    Raises:
        UserError: an unknown device, or a share for a device that has no peak.
    """
    facts = load_devices()
    name = gpu or _find_default(plan)
    if name not in facts["devices"]:
        raise UserError(f"--gpu: got {name!r}; needed: one of {', '.join(facts['devices'])}")
    entry = facts["devices"][name]
    shares: dict[str, Rates] = {}
    words = "measured"
    if "peak_tflops" in entry:
        family = dict(facts["utilisation"][entry["family"]])
        words = f"{family.pop('words')}; {facts['float32_words']}"
        shares = {kind: (low, fit, high) for kind, (low, fit, high) in family.items()}
        if utilisation is not None:
            shares = dict.fromkeys(shares, (utilisation, utilisation, utilisation))
            words = "stated by --utilisation"
    elif utilisation is not None:
        raise UserError(
            f"--utilisation: {name} has measured rates and no peak to take a share of; leave it "
            "out, or name a GPU with --gpu"
        )
    return Speed(
        gpu=name,
        about=entry["about"],
        utilisation=shares,
        words=words,
        peak_tflops=entry.get("peak_tflops", {}),
        measured_tflops=entry.get("measured_tflops", {}),
    )


def _find_default(plan: Plan) -> str:
    """Return the first device for a scale that has the precisions in which it computes."""
    facts = load_devices()
    names = facts["default"][plan.device.partition(":")[0]]
    needed = {model.training.precision for model in plan.scale.models.values()}
    needed.add(plan.scale.sampling.precision)
    for name in names:
        peaks = facts["devices"][name].get("peak_tflops")
        if peaks is None or needed <= set(peaks):
            return str(name)
    return str(names[-1])


def compute_published_days(plan: Plan, iterations: dict[str, int]) -> float | None:
    """Compute V100-days of training from the paper's images per second.

    Sum over models of iterations x batch / (images/s) (arXiv v4, Tables 7 and 11).

    Args:
        plan: the plan of the paper's scale.
        iterations: by model.

    Returns:
        Days, or None where the throughput of a model was not published.
    """
    rates = {
        model: entry["images_per_s"]
        for entry in load_published()["throughput"]
        for model in entry["models"]
    }
    if not set(iterations) <= set(rates):
        return None
    return sum(
        count * plan.models[model].training.batch_size / rates[model] / SECONDS_PER_DAY
        for model, count in iterations.items()
    )


def compute_counted_days(
    plan: Plan, counts: dict[str, dict[str, Any]], iterations: dict[str, int], speed: Speed
) -> float:
    """Compute days of training from counted operations on one device.

    Args:
        plan: the plan.
        counts: of `load_counts`.
        iterations: by model.
        speed: of the device.
    """
    seconds = 0.0
    for model, count in iterations.items():
        training = plan.models[model].training
        flops = count * training.batch_size * counts[model]["training_flops"]
        rates = speed.compute_rates("training", training.precision, plan.models[model].kind)
        seconds += flops / rates[1]
    return seconds / SECONDS_PER_DAY


def compare_with_paper(
    plan: Plan, counts: dict[str, dict[str, Any]], models: set[str]
) -> list[dict[str, Any]]:
    """Set the paper's compute table beside what is forecast for a V100.

    Args:
        plan: the plan.
        counts: of `load_counts`.
        models: those of the forecast.

    Returns:
        For each entry of the table whose models are forecast, with the same iterations: task,
        label, and for generator and classifier the V100-days that are printed, that follow from
        the paper's images/s (None where it prints none) and from counted operations.
    """
    speed = choose_speed(plan, gpu="V100")
    last = {name: max(marks.values()) for name, marks in plan.marks.items() if name in models}
    compared = []
    for entry in load_published()["compute"]:
        one = {"task": entry["task"], "label": entry["label"]}
        for half in ("generator", "classifier"):
            iterations = entry.get(half)
            if iterations and iterations.items() <= last.items():
                one[half] = {
                    "models": list(iterations),
                    "printed_days": entry[f"{half}_days"],
                    "images_per_s_days": compute_published_days(plan, iterations),
                    "counted_days": compute_counted_days(plan, counts, iterations, speed),
                }
        if "generator" in one:
            compared.append(one)
    return compared
