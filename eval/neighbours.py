"""Exact nearest neighbours and ball membership, block by block.

Squared distances are screened in float32 by one matrix product per block. The screen's error has a
bound; every decision closer than that bound is made again in float64 from the differences
themselves. So the results are those of a float64 brute force, at the price of float32.
"""

from collections.abc import Iterator

import numpy as np

BLOCK_BYTES = 64 << 20
PAIR_BYTES = 16 << 20
UNIT_ROUNDOFF = 2.0**-24


def compute_pair_distances(
    queries: np.ndarray, points: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Compute squared distances of listed pairs in float64.

    Args:
        queries, points: [n, dims] and [m, dims].
        rows, columns: int64 [pairs], indices into queries and points.

    Returns:
        float64 [pairs].
    """
    distances = np.empty(len(rows))
    step = max(1, PAIR_BYTES // (8 * queries.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = queries[rows[part]].astype(np.float64) - points[columns[part]]
        distances[part] = np.einsum("ij,ij->i", difference, difference)
    return distances


def compute_nearest(
    queries: np.ndarray, points: np.ndarray, num_neighbours: int, *, same_set: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest points of every query.

    Args:
        queries: [n, dims]; points: [m, dims].
        num_neighbours: how many, at most m (m - 1 within one set).
        same_set: queries and points are the same array, and no point is its own neighbour.

    Returns:
        Indices int64 [n, num_neighbours], nearest first (ties: lower index first), and squared
        distances float64 of the same shape.
    """
    indices = np.empty((len(queries), num_neighbours), dtype=np.int64)
    distances = np.empty((len(queries), num_neighbours))
    for start, screen, tolerance in _iterate_screens(queries, points):
        if same_set:
            own = np.arange(len(screen))
            screen[own, start + own] = np.inf
        last = np.partition(screen, num_neighbours - 1, axis=1)[:, num_neighbours - 1]
        rows, columns = np.nonzero(screen <= (last + 2 * tolerance)[:, None])
        exact = compute_pair_distances(queries, points, start + rows, columns)
        order = np.lexsort((columns, exact, rows))
        first = np.searchsorted(rows, np.arange(len(screen)))
        taken = order[first[:, None] + np.arange(num_neighbours)]
        block = slice(start, start + len(screen))
        indices[block], distances[block] = columns[taken], exact[taken]
    return indices, distances


def iterate_membership(
    queries: np.ndarray, points: np.ndarray, radii: np.ndarray
) -> Iterator[tuple[slice, int, np.ndarray]]:
    """Tell which queries lie in which balls: squared distance <= squared radius of the point.

    Args:
        queries: [n, dims]; points: [m, dims].
        radii: squared radii float64 [sets, m], several sets of radii for the same centres.

    Yields:
        The rows of a block of queries, the number of a set of radii, and bool [rows, m].
    """
    scale = _compute_scale(queries, points)[1] ** 2
    for start, screen, tolerance in _iterate_screens(queries, points):
        for number, radius in enumerate(radii):
            excess = screen - (radius * scale).astype(np.float32)
            inside = excess <= tolerance[:, None]
            rows, columns = np.nonzero(inside & (excess >= -tolerance[:, None]))
            exact = compute_pair_distances(queries, points, start + rows, columns)
            inside[rows, columns] = exact <= radius[columns]
            yield slice(start, start + len(screen)), number, inside


def _compute_scale(queries: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, float]:
    """Compute the centre and the power of two that bring both sets into [-1, 1]."""
    centre = points.mean(axis=0, dtype=np.float64).astype(np.float32)
    largest = max(
        np.maximum(part.max(axis=0) - centre, centre - part.min(axis=0)).max()
        for part in (queries, points)
    )
    return centre, float(2.0 ** -np.ceil(np.log2(largest))) if largest > 0 else 1.0


def _iterate_screens(
    queries: np.ndarray, points: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield blocks of squared distances in float32 with a bound on their error.

    Both sets are centred and scaled first, which makes norms, and with them the error, small.

    Yields:
        First row, screen float32 [rows, m] (scaled squared distances), tolerance float32 [rows].
    """
    centre, scale = _compute_scale(queries, points)
    points32 = ((points - centre) * scale).astype(np.float32, copy=False)
    point_norms = np.einsum("ij,ij->i", points32, points32, dtype=np.float64)
    longest = np.sqrt(point_norms.max())
    rows = max(1, BLOCK_BYTES // (4 * len(points)))
    for start in range(0, len(queries), rows):
        block = ((queries[start : start + rows] - centre) * scale).astype(np.float32, copy=False)
        norms = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        screen = block @ points32.T
        screen *= -2
        screen += norms.astype(np.float32)[:, None]
        screen += point_norms.astype(np.float32)
        # dims roundings in the product, a few in casts and sums (also those of the caller's radii),
        # each at most one unit of (|u| + |v|)^2.
        units = (queries.shape[1] + 16) * UNIT_ROUNDOFF
        yield start, screen, (units * (np.sqrt(norms) + longest) ** 2).astype(np.float32)
