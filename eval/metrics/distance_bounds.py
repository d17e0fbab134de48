"""Vectors whose matrix products are certain lower bounds of squared distances, for all pairs.

One float32 product per block of pairs tells which pairs may be close; only those are looked at in
float64 (neighbours.py). A screen never misses a close pair: the largest possible rounding error is
subtracted from the norms, so that it costs no pass of its own.

The bound. A set is centred and scaled by a power of two, which rounds each component once: u is the
float32 vector. Let e = 2^-24, g(n) = n e / (1 - n e) (Higham 2002, lemma 3.1: the error of any
order of n additions and products, fused or not, blocked or not, relative to the sum of the absolute
terms). Screening computes h(u) + h(v) - 2 u.v as one product of dims + 2 terms, of absolute sum at
most (|u| + |v|)^2. Its error is below g(dims + 2) of that, the float32 norms add 2 e, and centring
moves each point by e |u|, the squared distance by 2 e + e^2 of that: below g(dims + 16) together.
As (|u| + |v|)^2 <= 2 |u|^2 + 2 |v|^2, it suffices that h(u) = |u|^2 (1 - 2 g(dims + 16)).

The narrow screen does the same in few dimensions, p = B^T u with |B| <= 1: |p - q| <= |u - v|. Here
p is computed in float64 and rounded once, which moves it by 2 e |u| at most and the squared
distance by 4 e + 4 e^2 of (|u| + |v|)^2, within the 16. B spans the directions in which the sets
spread most, so that few distant pairs pass; features of Inception spread in few of theirs.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

UNIT_ROUNDOFF = 2.0**-24
# Subtracted from every norm: more than what underflow can add to a sum of products.
SMALLEST = 2.0**-100
ROWS_BYTES = 16 << 20
# Narrow screens are tried only where they can save more than they cost.
MIN_POINTS = 4096
MIN_DIMS = 256
NARROW_WIDTHS = (64, 128, 256, 512)
NUM_QUERIES = 64
NUM_PROBED = 1024
# A pair on its own costs about as much as so many pairs of a full matrix product.
PAIR_COST = 12


@dataclass(frozen=True)
class PointSet:
    """A set of points and its screens, narrow to full.

    Attributes:
        features: the points themselves, float32 or float64 [n, dims] on the device.
        vectors: per screen float32 [n, width + 2]: coordinates, one, lowered norm.
        slack: float32 [n]; full bound + slack of both points >= the scaled squared distance.
        scale: what squared distances are multiplied with in the screens, a power of two.
    """

    features: torch.Tensor
    vectors: tuple[torch.Tensor, ...]
    slack: torch.Tensor
    scale: float


def make_point_sets(
    features: Sequence[np.ndarray], device: str = "cpu", *, narrow: bool = True
) -> list[PointSet]:
    """Prepare sets of points for screening against each other.

    Args:
        features: the sets, each float [n, dims] with the same dims.
        device: of torch, where the screens and the features are kept.
        narrow: make a narrow screen where it pays.

    Returns:
        As many point sets; on the CPU they share the memory of the features.
    """
    tensors = [make_tensor(part, device) for part in features]
    centre, scale = _compute_scale(tensors)
    dims = tensors[0].shape[1]
    lowered = 2 * compute_error_bound(dims + 16)
    basis = _make_narrow_basis(tensors, centre, scale) if narrow else None
    bases = [] if basis is None else [basis]
    sets = []
    for tensor in tensors:
        full = torch.empty(len(tensor), dims + 2, device=device)
        slack = torch.empty(len(tensor), device=device)
        shadow_vectors = [
            torch.empty(len(tensor), one.shape[1] + 2, device=device) for one in bases
        ]
        for rows in iterate_blocks(len(tensor), _count_rows(dims)):
            points = _place(tensor[rows], centre, scale)
            norms = compute_norms(points)
            _fill(full[rows], points, norms, lowered * norms)
            # Twice what was subtracted, and once more for the roundings of whoever adds it.
            slack[rows] = (3 * lowered * norms + 4 * SMALLEST).float()
            for vectors, one in zip(shadow_vectors, bases, strict=True):
                shadows = (points.double() @ one).float()
                loss = 2 * compute_error_bound(shadows.shape[1] + 16) * norms
                _fill(vectors[rows], shadows, compute_norms(shadows), loss)
        sets.append(PointSet(tensor, (*shadow_vectors, full), slack, scale * scale))
    return sets


def compute_error_bound(num_roundings: int) -> float:
    """Compute g(n) = n e / (1 - n e), Higham's bound of n float32 roundings, relative."""
    return num_roundings * UNIT_ROUNDOFF / (1 - num_roundings * UNIT_ROUNDOFF)


def compute_norms(points: torch.Tensor) -> torch.Tensor:
    """Compute squared norms in float64, [n, dims] -> [n]."""
    return points.double().square_().sum(dim=1)


def make_left(vectors: torch.Tensor, num_rows: int) -> torch.Tensor:
    """Make the left factor of a block of bounds, so that left @ vectors.T are the bounds.

    Args:
        vectors: of a block of points [n, width + 2].
        num_rows: rows of the factor, at least n; the others give infinite bounds.

    Returns:
        float32 [num_rows, width + 2]: -2 coordinates, lowered norm, one.
    """
    left = torch.zeros(num_rows, vectors.shape[1], device=vectors.device)
    left[:, -2] = torch.inf
    block = left[: len(vectors)]
    torch.mul(vectors[:, :-2], -2, out=block[:, :-2])
    block[:, -2], block[:, -1] = vectors[:, -1], vectors[:, -2]
    return left


def compute_bounds(left: torch.Tensor, vectors: torch.Tensor, tile: torch.Tensor) -> torch.Tensor:
    """Compute a block of lower bounds into (the first elements of) a flat buffer.

    Products are taken in full float32, whatever the process allows elsewhere (TF32, bfloat16).

    Args:
        left: from make_left, [rows, width + 2].
        vectors: [columns, width + 2].
        tile: float32 buffer of at least rows * columns elements.
    """
    bounds = tile[: len(left) * len(vectors)].view(len(left), len(vectors))
    backends = (
        torch.backends.cuda.matmul,
        torch.backends.mkldnn.matmul,  # pyright: ignore[reportAttributeAccessIssue]  # made at run time
    )
    allowed = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        return torch.mm(left, vectors.T, out=bounds)
    finally:
        for backend, precision in zip(backends, allowed, strict=True):
            backend.fp32_precision = precision


def compute_listed_bounds(
    left: torch.Tensor, vectors: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Compute the lower bounds of listed pairs, as compute_bounds does for all.

    Args:
        left: from make_left, [rows, width + 2].
        vectors: [columns, width + 2].
        rows, columns: int64 [pairs] in row-major order.

    Returns:
        float32 [pairs].
    """
    if left.device.type != "cpu":
        step = max(1, ROWS_BYTES // left.shape[1])
        parts = iterate_blocks(len(rows), step)
        return torch.cat([(left[rows[p]] * vectors[columns[p]]).sum(dim=1) for p in parts])
    starts = torch.searchsorted(rows, torch.arange(len(left) + 1))
    values = torch.zeros(len(rows))
    shape = (len(left), len(vectors))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        listed = torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)
        return torch.sparse.sampled_addmm(listed, left, vectors.T, beta=0.0).values()


def round_limits(limits: torch.Tensor, scale: float) -> torch.Tensor:
    """Round squared distances, float64, upwards to what bounds are compared with, float32."""
    return (limits * (scale * (1 + 2.0**-22)) + SMALLEST).float()


def iterate_blocks(num_points: int, num_rows: int) -> list[slice]:
    """List slices of at most num_rows that cover num_points."""
    starts = range(0, num_points, num_rows)
    return [slice(start, min(start + num_rows, num_points)) for start in starts]


def make_tensor(features: np.ndarray, device: str | torch.device) -> torch.Tensor:
    """Put features on the device, without a copy where they are there already."""
    if features.dtype not in (np.float32, np.float64):
        wider = np.float32 if features.dtype == np.float16 else np.float64
        features = features.astype(wider)
    with warnings.catch_warnings():
        # Read-only arrays (memory maps) are welcome: nothing here writes to features.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(features)).to(device)


def _count_rows(dims: int) -> int:
    """Return how many rows of float64 fit the memory for intermediate results."""
    return max(1, ROWS_BYTES // (8 * dims))


def _compute_scale(tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, float]:
    """Compute the centre (in the type of the points) and the power of two to [-1, 1]."""
    total = sum(len(tensor) for tensor in tensors)
    means = [tensor.sum(dim=0, dtype=torch.float64) / total for tensor in tensors]
    # A float32 centre can be subtracted from either type with one rounding at most.
    centre = sum(means, start=torch.zeros_like(means[0])).float()
    largest = max(
        float(torch.maximum(t.amax(0).double() - centre, centre - t.amin(0).double()).max())
        for t in tensors
    )
    return centre, float(2.0 ** -np.ceil(np.log2(largest))) if largest > 0 else 1.0


def _place(features: torch.Tensor, centre: torch.Tensor, scale: float) -> torch.Tensor:
    """Centre and scale a block of features, float32."""
    return ((features - centre) * scale).float()


def _fill(
    vectors: torch.Tensor, points: torch.Tensor, norms: torch.Tensor, loss: torch.Tensor
) -> None:
    """Write coordinates, one and lowered norm of a block of points."""
    vectors[:, :-2] = points
    vectors[:, -2] = 1
    vectors[:, -1] = (norms - loss - SMALLEST).float()


def _make_narrow_basis(
    tensors: Sequence[torch.Tensor], centre: torch.Tensor, scale: float
) -> torch.Tensor | None:
    """Find the directions of the narrow screen, float64 [dims, width], norm at most one.

    The width is the cheapest for a few points of each set: what a product of that width costs, and
    what the pairs that it lets pass. No narrow screen costs 1, in theory; 0.7 is demanded.

    Returns:
        None where no narrow screen would pay.
    """
    dims = tensors[0].shape[1]
    total = sum(len(tensor) ** 2 for tensor in tensors)
    if dims < MIN_DIMS or total < MIN_POINTS**2:
        return None
    probes = [_place(tensor[:: -(-len(tensor) // NUM_PROBED)], centre, scale) for tensor in tensors]
    basis = _compute_main_directions(torch.cat(probes), min(max(NARROW_WIDTHS), dims // 4))
    costs = {0: 0.7}
    costs |= {width: width / dims for width in NARROW_WIDTHS if width <= basis.shape[1]}
    for tensor, probe in zip(tensors, probes, strict=True):
        step = -(-len(probe) // NUM_QUERIES)
        limits = _compute_usual_limits(probe[::step], tensor, centre, scale)
        for width in list(costs)[1:]:
            shadows = probe @ basis[:, :width].float()
            passed = (torch.cdist(shadows[::step], shadows) <= limits).double().mean()
            costs[width] += len(tensor) ** 2 / total * min(1.0, PAIR_COST * float(passed))
    width = min(costs, key=costs.__getitem__)
    return basis[:, :width].contiguous() if width else None


def _compute_main_directions(points: torch.Tensor, width: int) -> torch.Tensor:
    """Compute about the main axes of points by a subspace iteration, widest first, norm <= 1."""
    some = points[:: max(1, len(points) // width)][:width].T
    basis = torch.linalg.qr(points.T @ (points @ some))[0].double()
    shadows = points.double() @ basis
    basis = basis @ torch.linalg.eigh(shadows.T @ shadows)[1].flip(1)
    # The 2-norm of a symmetric matrix is at most its largest absolute row sum.
    return basis / (basis.T @ basis).abs().sum(dim=1).max().sqrt() / (1 + 2.0**-40)


def _compute_usual_limits(
    queries: torch.Tensor, tensor: torch.Tensor, centre: torch.Tensor, scale: float
) -> torch.Tensor:
    """Compute about the distance of queries to their third neighbour in a set, [n, 1]."""
    nearest = torch.full((len(queries), 4), torch.inf, device=tensor.device)
    for rows in iterate_blocks(len(tensor), _count_rows(tensor.shape[1])):
        distances = torch.cdist(queries, _place(tensor[rows], centre, scale))
        nearest = torch.cat([nearest, distances], dim=1).topk(4, largest=False)[0]
    return nearest[:, -1:]
