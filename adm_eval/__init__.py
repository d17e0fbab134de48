"""Grade images from Python as *Diffusion Models Beat GANs* did: docs/evaluation.md, From Python.

    import adm_eval

    result = adm_eval.grade(samples, "reference.npz", intervals=True)
    result.values["fid"], result.intervals["fid"]

`python -m eval` and `adm-eval` compute the same numbers. The code behind both is the package
`eval`, whose name hides Python's builtin where it is imported; this one hides nothing.
"""

from collections.abc import Collection
from pathlib import Path

from eval.comparison import format_table
from eval.grade import grade as grade_against
from eval.images.image_set import ImageSet
from eval.inputs import (
    IN_MEMORY,
    Gradable,
    ImageFeatures,
    Images,
    compute_image_features,
    open_array,
)
from eval.networks.device import check_device
from eval.networks.feature_network import FeatureNetwork
from eval.networks.load import load_network
from eval.pairs import Comparison, compare
from eval.paths import check_paths
from eval.result import GradingResult, Metric
from records.errors import UserError
from records.metrics import EXTRAS
from records.metrics import METRICS as KNOWN
from records.metrics import PAPER as METRICS

__all__ = [
    "EXTRAS",
    "METRICS",
    "Comparison",
    "FeatureNetwork",
    "GradingResult",
    "ImageFeatures",
    "Images",
    "Metric",
    "UserError",
    "compare",
    "compute_features",
    "format_table",
    "grade",
    "load_network",
]

Network = str | Path | FeatureNetwork | None


def grade(
    samples: Images | ImageFeatures,
    reference: Images | ImageFeatures,
    *,
    network: Network = None,
    name: str | None = None,
    metrics: Collection[str] = METRICS,
    intervals: bool = False,
    seed: int = 0,
    batch_size: int = 64,
    device: str = "cpu",
    half_distances: bool = False,
    num_images: int | None = None,
    shuffle: bool = False,
    by_class: bool = False,
    allow_jpeg: bool = False,
    progress: bool = False,
) -> GradingResult:
    """Grade samples against a reference: FID, sFID, Inception Score, precision, recall.

    Args:
        samples: the images to grade: uint8 [n, h, w, 1 or 3] (numpy, or a tensor in the CPU's
            memory), a pair of these and labels [n], which are checked and move no number, the path
            of an .npz, .npy, zip or folder, or what compute_features returned.
        reference: what they are compared with, of the same kinds and the same size; statistics
            that a reference .npz holds are used.
        network: the feature network: a path or what load_network returned; None for that of
            computed features, where one side is such, else for the published Inception, which is
            downloaded once.
        name: of the samples, for the result; None for the file's name.
        metrics: out of METRICS (the paper's five) and EXTRAS (memorised, kid, ...).
        intervals: also compute standard errors and 95 % intervals of the sampling error.
        seed: of random pairs and halves; moves intervals and fid_infinity alone.
        batch_size: images at a time; changes speed, memory and the last bits.
        device: where torch computes: cpu, cuda or cuda:1. A network that is loaded stays where
            it is.
        half_distances: precision and recall with the authors' float16 arithmetic, their exact
            values in the details.
        num_images: how many samples are graded: the first, or random ones with shuffle; None for
            all.
        shuffle: grade the samples in a random order (of seed), which moves the Inception Score of
            those that come class by class.
        by_class: add precision of the samples, and recall of the reference images, of each class,
            in the metrics' details.
        allow_jpeg: take JPEG files, although they move FID.
        progress: show progress bars in a terminal.

    Returns:
        Values, intervals, counts, warnings and protocol, as `python -m eval --json` writes them.

    Raises:
        UserError: an input is missing, unreadable, not made of 8-bit images of one size, or has
            too few; features are of another network; a setting that is none.
    """
    names = _check_settings(metrics, seed=seed, batch_size=batch_size, num_images=num_images)
    graded, compared = (
        one if isinstance(one, ImageFeatures) else _open_images(one) for one in (samples, reference)
    )
    chosen = _choose_network(network, graded, compared, device=device)
    return grade_against(
        compared,
        graded,
        chosen,
        name=name or _make_name(graded),
        metrics=names,
        intervals=intervals,
        seed=seed,
        batch_size=batch_size,
        device=device,
        half_distances=half_distances,
        num_images=num_images,
        shuffle=shuffle,
        by_class=by_class,
        allow_jpeg=allow_jpeg,
        progress=progress,
    )


def compute_features(
    images: Images,
    *,
    network: Network = None,
    batch_size: int = 64,
    device: str = "cpu",
    allow_jpeg: bool = False,
    progress: bool = False,
) -> ImageFeatures:
    """Run the feature network over images once, to grade them, or against them, several times.

    Args:
        images: as in grade.
        network: as in grade.
        batch_size: images at a time.
        device: where torch runs a network that is not loaded yet.
        allow_jpeg: take JPEG files.
        progress: show a progress bar in a terminal.

    Returns:
        What grade takes in the place of samples or reference: in memory, with Inception 20 kB an
        image, and 67 MB of statistics.

    Raises:
        UserError: the images are missing, unreadable or too few, or their file holds statistics of
            another network.
    """
    _check_settings(METRICS, seed=0, batch_size=batch_size)
    opened = _open_images(images)
    return compute_image_features(
        opened,
        _choose_network(network, device=device),
        batch_size=batch_size,
        allow_jpeg=allow_jpeg,
        progress=progress,
    )


def _check_settings(
    metrics: Collection[str], *, seed: int, batch_size: int, num_images: int | None = None
) -> tuple[str, ...]:
    """Refuse settings that are none, before anything is loaded; return metrics in their order."""
    names = [name.lower() for name in ([metrics] if isinstance(metrics, str) else metrics)]
    unknown = [name for name in names if name not in KNOWN]
    if unknown or not names:
        got = repr(unknown[0]) if unknown else "none"
        raise UserError(f"metrics: got {got}; choose out of {', '.join(KNOWN)}")
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; give 1 or more")
    if num_images is not None and num_images < 1:
        raise UserError(f"num_images is {num_images}; give 1 or more, or None for all")
    if seed < 0:
        raise UserError(f"seed is {seed}; give 0 or more")
    return tuple(name for name in KNOWN if name in names)


def _open_images(images: Images) -> str | Path | ImageSet:
    """Check images in memory, and that a path leads to something, before a network is loaded."""
    if not isinstance(images, str | Path):
        return open_array(images)
    check_paths([images])
    return images


def _choose_network(network: Network, *inputs: Gradable, device: str) -> FeatureNetwork:
    """Return the network that was given, else that of computed features, else Inception."""
    check_device(device)
    if isinstance(network, FeatureNetwork):
        return network
    computed = [one.network for one in inputs if isinstance(one, ImageFeatures)]
    if network is None and computed:
        return computed[0]
    return load_network(network, device=device)


def _make_name(samples: Gradable) -> str:
    """Name samples after their file."""
    if not isinstance(samples, ImageSet | ImageFeatures):
        return Path(samples).stem
    return "samples" if samples.kind == IN_MEMORY else Path(samples.path).stem
