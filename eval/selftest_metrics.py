"""Checks of the metrics on stored features with known results; they need no feature network.

selftest_data.npz beside this file holds three of the sets of synthetic features on which the
authors' code was run (tests/data/reference/metrics.npz), with its results.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from eval.metrics.fid import compute_frechet_distance, compute_moments
from eval.metrics.inception_score import compute_inception_score
from eval.metrics.precision_recall import compute_precision_recall
from records.errors import UserError

DATA = Path(__file__).with_name("selftest_data.npz")
FEATURE_SETS = ("dead_dims", "fewer_samples_than_dims", "few_points")


class DeviationError(UserError):
    """A value is not what it has to be."""


def _load_data() -> dict[str, np.ndarray]:
    with np.load(DATA, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def demand(
    values: dict[str, float], needed: dict[str, tuple[float, float]], digits: int = 9
) -> str:
    """Demand values within tolerances and say what was got.

    Args:
        values: what was got, by name.
        needed: what is needed and how far it may be away (absolute), by name.
        digits: to show.

    Raises:
        DeviationError: one of them is further away, or NaN; all such are named.
    """
    wrong = [
        f"{name} is {values[name]:.{digits}g}, needed is {value:.{digits}g} within {tolerance:.1g}"
        for name, (value, tolerance) in needed.items()
        if not abs(values[name] - value) <= tolerance
    ]
    if wrong:
        raise DeviationError("; ".join(wrong))
    return ", ".join(f"{name} {values[name]:.{digits}g}" for name in needed)


def _compute_values(reference: np.ndarray, samples: np.ndarray, device: str) -> dict[str, float]:
    """Compute what the stored sets have known results for."""
    moments = [compute_moments(part) for part in (samples, reference)]
    exact = compute_precision_recall(reference, samples, device=device)
    half = compute_precision_recall(reference, samples, device=device, half_distances=True)
    return {
        "fid": compute_frechet_distance(*moments[0], *moments[1]),
        "precision_exact": exact.precision,
        "recall_exact": exact.recall,
        "precision_reference": half.precision,
        "recall_reference": half.recall,
    }


def _make_needed(data: dict[str, np.ndarray], name: str) -> dict[str, tuple[float, float]]:
    """Read the results of a stored set, with the tolerance of each."""
    needed = {}
    for metric in ("fid", "precision_exact", "recall_exact"):
        value = float(data[f"{name}.{metric}"])
        needed[metric] = (value, 1e-6 * value if metric == "fid" else 0.0)
    for metric in ("precision_reference", "recall_reference"):  # float16: devices add differently
        needed[metric] = (float(data[f"{name}.{metric}"]), 0.02)
    return needed


def check_stored_features(device: str) -> str:
    """Compare every metric of the stored features with the authors' results."""
    data = _load_data()
    for name in FEATURE_SETS:
        values = _compute_values(data[f"{name}.reference"], data[f"{name}.samples"], device)
        _demand_of(name, values, _make_needed(data, name))
    for split_size in (5000, 100):
        needed = float(data[f"inception_score.{split_size}"])
        score = compute_inception_score(data["inception_score.softmax"], split_size)
        _demand_of(f"splits of {split_size}", {"is": score}, {"is": (needed, 1e-5 * needed)})
    return (
        f"FID, precision and recall of {len(FEATURE_SETS)} sets and Inception Score of two splits "
        "are the authors'"
    )


def _demand_of(name: str, values: dict[str, float], needed: dict[str, tuple[float, float]]) -> str:
    """Demand values and say whose they are."""
    try:
        return demand(values, needed)
    except DeviationError as error:
        raise DeviationError(f"{name}: {error}") from None


def check_pair_is_equal(reference: list[np.ndarray], samples: list[np.ndarray], device: str) -> str:
    """Demand FID (of the first features), sFID (of the second) about 0, precision and recall 1."""
    values, needed = {}, {}
    for name, left, right in zip(("fid", "sfid"), reference, samples, strict=True):
        moments = [compute_moments(part) for part in (left, right)]
        values[name] = compute_frechet_distance(*moments[0], *moments[1])
        needed[name] = (0.0, 1e-9 * sum(float(np.trace(sigma)) for _, sigma in moments))
    found = compute_precision_recall(reference[0], samples[0], device=device)
    values |= {"precision": found.precision, "recall": found.recall}
    needed |= {"precision": (1.0, 0.0), "recall": (1.0, 0.0)}
    return demand(values, needed, digits=2)


def check_identity(device: str) -> str:
    """Compare stored features with themselves: some dimensions are dead, or rows too few."""
    data = _load_data()
    batch = [data["dead_dims.samples"], data["fewer_samples_than_dims.samples"]]
    return check_pair_is_equal(batch, batch, device)


def check_wrong_pair(device: str) -> str:
    """Demand that the checks above refuse what is wrong: by much, by little, and NaN."""
    data = _load_data()
    refused = []

    def refuse(what: str, check: Callable[[], str]) -> None:
        try:
            said = check()
        except DeviationError:
            refused.append(what)
            return
        raise UserError(f"{what} was accepted ({said}); the checks above prove nothing")

    samples, reference = data["dead_dims.samples"], data["dead_dims.reference"]
    spatial = data["fewer_samples_than_dims.samples"]
    needed = _make_needed(data, "dead_dims")
    refuse(
        "another batch in the place of itself",
        lambda: check_pair_is_equal([reference, spatial], [samples, spatial], device),
    )
    refuse(
        "another sFID in the place of 0",
        lambda: check_pair_is_equal([samples, spatial], [samples, spatial * 1.01], device),
    )
    refuse(
        "samples that are 0.1 % too large",
        lambda: demand(
            _compute_values(reference, samples * np.float32(1.001), device),
            {"fid": needed["fid"]},
        ),
    )
    refuse(
        "reference and samples exchanged",
        lambda: demand(
            _compute_values(samples, reference, device),
            {name: needed[name] for name in ("precision_exact", "recall_exact")},
        ),
    )
    refuse("NaN", lambda: demand({"fid": float("nan")}, {"fid": needed["fid"]}))
    return f"refused, as it must be: {', '.join(refused)}"
