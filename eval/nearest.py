"""The real images that lie nearest to samples, for pictures of both side by side."""

from pathlib import Path

import numpy as np

from eval.images.checks import check_num_images
from eval.images.image_set import ImageSet
from eval.images.open import open_images, read_all
from eval.metrics.neighbours import compute_nearest
from eval.networks.feature_network import FeatureNetwork
from eval.networks.features import compute_features, demand
from eval.reference import check_sizes
from eval.samples import open_samples
from records.batches import write_arrays
from records.events import EventLog
from records.manifest import make_manifest, write_manifest

OPTIONS = ("num_images", "num_neighbours", "digest", "batch_size", "device")  # of the command


def write_nearest(
    reference_path: str | Path,
    samples_path: str | Path,
    network: FeatureNetwork,
    out: str | Path,
    *,
    num_images: int,
    num_neighbours: int,
    digest: str | None = None,
    batch_size: int = 64,
    device: str = "cpu",
    events: EventLog | None = None,
) -> None:
    """Find the reference images nearest to the first samples in pool features, and store both.

    The .npz holds `samples` uint8 [n, h, w, c], `neighbours` uint8 [n, k, h, w, c], nearest first,
    their places in the reference `rows` int64 [n, k] and Euclidean `distances` float64 [n, k], and
    `own_distances` float64 [n]: of each sample's nearest image to its own nearest one.

    Args:
        reference_path: the images, or a reference batch that holds them.
        samples_path: the samples.
        network: the feature network.
        out: the .npz to write; its manifest appears beside it.
        num_images: how many samples, from the first on.
        num_neighbours: how many images of each.
        digest: of the spec that asked for this, for the manifest.
        batch_size: images at a time.
        device: where distances are computed.
        events: where it is recorded what happens; None for nowhere.

    Raises:
        UserError: unreadable, too few images, or images of different sizes.
    """
    reference = open_images(reference_path)
    check_num_images(reference.num_images, str(reference_path), num_neighbours + 1, "neighbours")
    samples = open_samples(samples_path, num_images=num_images).batch
    assert isinstance(samples, ImageSet)  # opened from a path
    check_sizes(str(samples_path), samples.shape[:2], str(reference_path), reference.shape[:2])
    name = Path(out).stem
    events = events or EventLog(None)
    with events.record(kind="picture", job="nearest", name=name, digest=digest, spec=None) as usage:
        pools = [
            demand(
                compute_features(
                    one, network, outputs=("pool",), batch_size=batch_size, progress=True
                ).pool
            )
            for one in (samples, reference)
        ]
        rows, squares = compute_nearest(pools[0], pools[1], num_neighbours, device=device)
        # Of each sample's nearest image: itself, and the nearest other one.
        own = compute_nearest(pools[1][rows[:, 0]], pools[1], 2, device=device)[1][:, 1]
        shown = np.unique(rows)
        images, _ = read_all(reference.take(shown))
        arrays = {
            "samples": read_all(samples)[0],
            "neighbours": images[np.searchsorted(shown, rows)],
            "rows": rows,
            "distances": np.sqrt(squares),
            "own_distances": np.sqrt(own),
        }
        write_arrays(out, arrays)
        hashes = {"samples": samples, "reference": reference, "network": network}
        manifest = make_manifest(
            kind="nearest",
            name=name,
            digest=digest,
            inputs={role: one.sha256 for role, one in hashes.items()},
            network=network.description,
        )
        write_manifest(out, manifest, usage)
