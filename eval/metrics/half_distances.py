"""Distances in float16, as the authors' evaluator takes them, to explain published decimals.

The authors cast features to float16 and take |u|^2 - 2 u.v + |v|^2, floored at 0, in float16; a
block of 10,000 x 10,000 pairs in which anything overflows is taken again in float32. The distance
of a point to itself is then not always 0, and distances lie on a coarse grid (steps of 1/4 between
256 and 512), so that many tie with a radius and count as inside. Precision and recall move in the
third decimal, mostly upwards.

Float16 results depend on the order in which a device adds. Here products and squares of float16
numbers are added in float32 and the sums rounded once, which is nearest to what the authors' code
gave on a CPU, and what tensor cores do.
"""

from collections.abc import Iterator

import numpy as np
import torch

from eval.metrics.distance_bounds import iterate_blocks, make_tensor

BLOCK_ROWS = 10_000
# Rows of a block that are in memory together; what overflows still counts for the whole block.
SLAB_ROWS = 500


def compute_half_radii(features: np.ndarray, k: int, *, device: str = "cpu") -> np.ndarray:
    """Compute element [k] of every point's sorted squared distances to its set, itself included.

    Args:
        features: [n, dims], n > k.
        k: neighbours.
        device: of torch.

    Returns:
        float64 [n].
    """
    nearest = torch.full((len(features), k + 1), torch.inf, device=device)
    points = make_tensor(features, device)
    for rows, _, distances in _iterate_half_distances(points, points):
        near = distances.topk(min(k + 1, distances.shape[1]), largest=False)[0]
        found = torch.cat([nearest[rows], near], dim=1)
        nearest[rows] = found.topk(k + 1, largest=False)[0]
    return nearest[:, k].double().cpu().numpy()


def compute_half_coverage(
    first: np.ndarray,
    second: np.ndarray,
    first_radii: np.ndarray,
    second_radii: np.ndarray,
    *,
    device: str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Tell which points of each set lie in at least one ball around a point of the other.

    Args:
        first, second: features [n, dims] and [m, dims].
        first_radii, second_radii: squared radii [n] and [m] from compute_half_radii.
        device: of torch.

    Returns:
        bool [n]: in a ball of the second set; bool [m]: in a ball of the first.
    """
    tensors = [make_tensor(part, device) for part in (first, second)]
    radii = [torch.from_numpy(part).float().to(device) for part in (first_radii, second_radii)]
    covered = [torch.zeros(len(part), dtype=torch.bool, device=device) for part in radii]
    for rows, columns, distances in _iterate_half_distances(*tensors):
        covered[0][rows] |= (distances <= radii[1][columns]).any(dim=1)
        covered[1][columns] |= (distances <= radii[0][rows, None]).any(dim=0)
    return covered[0].cpu().numpy(), covered[1].cpu().numpy()


def _iterate_half_distances(
    first: torch.Tensor, second: torch.Tensor
) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Yield rows, columns and squared distances [rows, columns] as float32 of float16 values.

    Whether a block overflows is known after all of it, so it is gone through twice.
    """
    for block in iterate_blocks(len(first), BLOCK_ROWS):
        for columns in iterate_blocks(len(second), BLOCK_ROWS):
            slabs = [
                slice(block.start + part.start, block.start + part.stop)
                for part in iterate_blocks(block.stop - block.start, SLAB_ROWS)
            ]
            fits = all(
                bool(_compute_half(first[rows], second[columns]).isfinite().all()) for rows in slabs
            )
            for rows in slabs:
                compute = _compute_half if fits else _compute_single
                yield rows, columns, compute(first[rows], second[columns])


def _compute_half(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Compute squared distances in float16, returned as float32."""
    first, second = first.half().float(), second.half().float()
    norms = [part.square().half().float().sum(dim=1).half() for part in (first, second)]
    distances = (first @ second.T).half()
    distances.mul_(-2).add_(norms[0][:, None]).add_(norms[1])
    return distances.clamp_(min=0).float()


def _compute_single(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Compute squared distances in float32, of features that are not rounded to float16."""
    first, second = first.float(), second.float()
    norms = [part.square().sum(dim=1) for part in (first, second)]
    return (norms[0][:, None] - 2 * (first @ second.T) + norms[1]).clamp_(min=0)
