"""A forecast as lines for a terminal."""

import math
import shutil
from collections.abc import Sequence
from typing import Any

from records.errors import UserError
from workflow.forecast_counts import load_counts
from workflow.forecast_facts import choose_speed
from workflow.forecast_jobs import make_jobs
from workflow.graph import make_kinds
from workflow.job import Key
from workflow.plan import Plan

HOURS_WORTH_SAYING = 1.0
BYTES_WORTH_SAYING = 10e9
SMALL_NETWORK_FLOPS = 1e11  # forward and backward, of an image; the paper's begin at six times that
SCALES = ((1e24, "Y"), (1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"))
HALVES = ("generator", "classifier")


def format_flops(flops: float) -> str:
    """Write a number of operations with three digits and a prefix."""
    return _scaled(flops, SCALES, "FLOP")


def format_bytes(num_bytes: float) -> str:
    """Write a number of bytes with three digits and a prefix."""
    return _scaled(num_bytes, SCALES[2:], "B") if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


def _scaled(value: float, scales: tuple[tuple[float, str], ...], unit: str) -> str:
    size, prefix = next((one for one in scales if value >= one[0]), scales[-1])
    return (
        f"{value / size:.3g} {prefix}{unit}"
        if value / size < 1000
        else (f"{value / size:,.0f} {prefix}{unit}")
    )


def format_hours(hours: float) -> str:
    """Write a time in days, hours or minutes, whichever fits."""
    if hours >= 48:
        return f"{hours / 24:,.1f} days"
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"


def describe_device(device: dict[str, Any], num_gpus: int) -> str:
    """Say on what a forecast stands."""
    if not device["utilisation"]:
        return f"on {num_gpus} x {device['gpu']} ({device['about']}; {device['words']})."
    peaks = ", ".join(f"{name} {peak:g}" for name, peak in device["peak_tflops"].items())
    shares = ", ".join(
        f"{kind} {fit:g}" + (f" ({low:g} to {high:g})" if low < high else "")
        for kind, (low, fit, high) in device["utilisation"].items()
    )
    return (
        f"on {num_gpus} x {device['gpu']} ({device['about']}; peak TFLOP/s {peaks}).\n"
        f"Shares of the peak: {shares}.\nThey are {device['words']}."
    )


def format_forecast(forecast: dict[str, Any]) -> str:
    """Write a forecast as lines."""
    unit = f"{forecast['device']['gpu']} h"
    ends = f"{'from':>14}{'to':>14}" if _has_range(forecast["hours_range"]) else ""
    lines = [
        f"Forecast of {', '.join(forecast['targets'])} at scale {forecast['scale']}, source "
        f"{forecast['source']}, as if nothing had been done yet",
        describe_device(forecast["device"], forecast["num_gpus"]),
        "",
        *_format_models(forecast, unit),
        *_format_rows(forecast, unit),
        f"{'stage':34}{'jobs':>6}{'operations':>14}{unit:>14}{ends}",
    ]
    for name, stage in forecast["stages"].items():
        lines.append(
            f"{name:34}{stage['jobs']:>6}{_blank(format_flops, stage['flops']):>14}"
            f"{_blank(_short, stage['hours']):>14}{ends and _format_ends(stage)}"
        )
    lines.append(
        f"{'total':34}{sum(forecast['jobs'].values()):>6}{format_flops(forecast['flops']):>14}"
        f"{_short(forecast['hours']):>14}{ends and _format_ends(forecast)}"
    )
    lines += ["", *_format_paper(forecast["paper"]), *_format_disk(forecast)]
    hours, wall = (
        format_range(forecast[name], forecast[f"{name}_range"]) for name in ("hours", "wall_hours")
    )
    lines += [
        f"Total: {hours} of {forecast['device']['gpu']} time; wall time {wall} on "
        f"{forecast['num_gpus']}, the longest chain of jobs "
        f"{format_hours(forecast['longest_chain_hours'])} (a job has one device).",
        "Not in it: making image sets, small feature networks, pages, loading and waiting.",
    ]
    sizes = [one["training_flops_per_image"] for one in forecast["models"]]
    if forecast["device"]["utilisation"] and max(sizes, default=math.inf) < SMALL_NETWORK_FLOPS:
        lines.append(
            "These networks are far smaller than those behind the utilisation and will reach less "
            "of a GPU's peak; measure one and say --utilisation."
        )
    return "\n".join(lines)


def _short(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def format_range(hours: float, ends: Sequence[float]) -> str:
    """Write a time with the range between the highest and the lowest shares of the peak."""
    words = f" ({' to '.join(map(format_hours, ends))})" if _has_range(ends) else ""
    return format_hours(hours) + words


def _has_range(ends: Sequence[float]) -> bool:
    return ends[1] > 1.001 * ends[0]  # sums of measured times differ by rounding


def _format_ends(entry: dict[str, Any]) -> str:
    """Write both ends of the hours of a line of the table of stages."""
    return "".join(f"{_blank(_short, hours):>14}" for hours in entry["hours_range"])


def _blank(write: Any, value: float) -> str:
    return write(value) if value else "-"


def _format_models(forecast: dict[str, Any], unit: str) -> list[str]:
    """Write the models that are trained, with the paper's days where it prints them."""
    if not forecast["models"]:
        return []
    printed = {
        one[half]["models"][0]: one[half]["printed_days"]
        for one in forecast["paper"]
        for half in HALVES
        if half in one and len(one[half]["models"]) == 1
    }
    beside = f"{'V100 d, paper':>15}" if printed else ""
    lines = [
        f"{'model':34}{'jobs':>6}{'iterations':>12}{'batch':>7}{'forward':>13}{'and backward':>14}"
        f"{'operations':>14}{unit:>14}{'weights':>11}{'state':>11}{beside}"
    ]
    for one in forecast["models"]:
        days = f"{printed.get(one['name'], '-'):>15}" if printed else ""
        lines.append(
            f"{one['name']:34}{one['jobs']:>6}{one['iterations']:>12,}{one['batch_size']:>7,}"
            f"{format_flops(one['forward_flops_per_image']):>13}"
            f"{format_flops(one['training_flops_per_image']):>14}{format_flops(one['flops']):>14}"
            f"{_short(one['hours']):>14}{format_bytes(one['weights_bytes']):>11}"
            f"{format_bytes(one['state_bytes']):>11}{days}"
        )
    return [*lines, ""]


def _format_rows(forecast: dict[str, Any], unit: str) -> list[str]:
    """Write the batches of samples that are drawn."""
    if not forecast["rows"]:
        return []
    lines = [f"{'row':34}{'images':>8}{'steps':>7}{'operations':>14}{unit:>14}{'samples':>11}"]
    for one in forecast["rows"]:
        lines.append(
            f"{one['name']:34}{one['num_images']:>8,}{one['steps']:>7}"
            f"{format_flops(one['flops']):>14}{_short(one['hours']):>14}"
            f"{format_bytes(one['samples_bytes']):>11}"
        )
    return [*lines, ""]


def _format_paper(paper: list[dict[str, Any]]) -> list[str]:
    """Write the paper's compute table beside what follows from its images/s and from counting."""
    if not paper:
        return []
    lines = [
        "V100-days of training, arXiv v4 Table 10",
        f"{'row':52}{'printed':>9}{'images/s':>10}{'counted':>9}",
    ]
    for one in paper:
        for half in HALVES:
            if half in one:
                days = one[half]["images_per_s_days"]
                shown = "-" if days is None else f"{days:.0f}"
                name = f"{one['task']} {one['label']}, {half}"
                lines.append(
                    f"{name:52}{one[half]['printed_days']:>9}{shown:>10}"
                    f"{one[half]['counted_days']:>9.0f}"
                )
    return [*lines, ""]


def _format_disk(forecast: dict[str, Any]) -> list[str]:
    """Write what is on disk, and under which policy."""
    disk = dict(forecast["disk_bytes"])
    most, end = disk.pop("at most"), disk.pop("at the end")
    parts = ", ".join(f"{name} {format_bytes(size)}" for name, size in disk.items() if size)
    policy = "features are not kept"
    if forecast["models"]:
        policy = (
            "optimiser states are kept"
            if forecast["keep_state"]
            else "each optimiser state goes after its model's last mark"
        ) + f"; {policy}"
    lines = [
        f"Disk: {format_bytes(most)} at most, {format_bytes(end)} at the end ({parts}); {policy}."
    ]
    if forecast["not_counted"]:
        lines.append(
            f"Not in it: the images of {', '.join(forecast['not_counted'])}, whose number is not "
            "known."
        )
    return lines


def describe_start(plan: Plan, planned: list[Key]) -> str | None:
    """Say what a run that is about to start costs, if that is more than an hour or 10 GB.

    Args:
        plan: the plan.
        planned: rule and names of each job that would run.

    Returns:
        A sentence, also where the counts are missing; None when there is nothing to say.
    """
    try:
        speed = choose_speed(plan)
        known = make_jobs(plan, load_counts(plan), speed, ["reproduce_all"])
    except UserError as error:
        return f"no forecast: {error}"
    jobs = [known[key] for key in planned if key in known]
    fetched = [known[key].kept_bytes for key in planned if key in known and "fetch_" in key[0]]
    computing = [job.seconds for job in jobs if job.seconds]
    hours, kept_bytes = sum(computing) / 3600, sum(job.kept_bytes for job in jobs)
    ends = [sum(job.seconds_range[end] for job in jobs) / 3600 for end in (0, 1)]
    if hours <= HOURS_WORTH_SAYING and kept_bytes <= BYTES_WORTH_SAYING:
        return None
    downloads = f"{len(fetched)} downloads of {format_bytes(sum(fetched))} among them"
    return (
        f"forecast: {len(computing)} jobs that compute, {format_range(hours, ends)} of {speed.gpu} "
        f"time; {format_bytes(kept_bytes)} on disk{f' ({downloads})' if fetched else ''}; python "
        f"-m workflow plan --scale {plan.scale.name} --source {plan.source} says more, and for "
        "other GPUs"
    )


def warn_of_missing_gpu(plan: Plan, planned: list[Key]) -> str | None:
    """Say so where jobs need CUDA and this machine has no GPU, as far as its driver's tool tells.

    Args:
        plan: the plan.
        planned: rule and names of each job that would run.

    Returns:
        A sentence; None when there is nothing to say. No error: the jobs may run elsewhere.
    """
    kinds = make_kinds(plan)
    computes = any(kinds[rule].on_device for rule, *_ in planned if rule in kinds)
    if not plan.device.startswith("cuda") or not computes or shutil.which("nvidia-smi"):
        return None
    return (
        f"warning: jobs compute on device {plan.device} and this machine shows no GPU (no "
        "nvidia-smi); unless they run on another one, stop this and add device=cpu to --config, "
        "which makes nothing stale"
    )
