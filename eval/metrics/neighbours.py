"""Exact nearest neighbours and ball membership, block by block, on any device of torch.

Blocks of pairs are screened by lower bounds of their squared distances (distance_bounds.py),
one matrix product each; the few pairs that may matter are decided in float64 from the differences
themselves. So the results are those of a float64 brute force, at less than the price of float32,
and the same for any block size and, to the last bit, any device.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from eval.metrics.distance_bounds import (
    PointSet,
    compute_bounds,
    compute_listed_bounds,
    iterate_blocks,
    make_left,
    make_point_sets,
    make_tensor,
    round_limits,
)

# Rows and columns of a block of pairs: small enough for a CPU's cache, large enough for a GPU.
BLOCK_ROWS = {"cpu": 1024, "cuda": 8192}
# Memory of the differences of pairs that are decided together.
PAIR_BYTES = {"cpu": 4 << 20, "cuda": 256 << 20}
# Bounds are looked at by the minimum of so many rows first.
GROUP_ROWS = 16
# Where more than one pair in so many passes the narrow screen, the full product is cheaper.
MIN_PAIRS_PER_PASSED = 16
FIRST_CHUNK = 4096

Limits = Callable[[slice, slice], tuple[torch.Tensor, torch.Tensor]]
Wanted = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def compute_pair_distances(
    queries: np.ndarray,
    points: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    *,
    device: str = "cpu",
) -> np.ndarray:
    """Compute squared distances of listed pairs in float64.

    Args:
        queries, points: [n, dims] and [m, dims].
        rows, columns: int64 [pairs], indices into queries and points.
        device: of torch.

    Returns:
        float64 [pairs].
    """
    first, second = make_tensor(queries, device), make_tensor(points, device)
    pairs = [torch.as_tensor(part, device=device) for part in (rows, columns)]
    return _compute_exact(first, second, *pairs).cpu().numpy()


def compute_nearest(
    queries: np.ndarray,
    points: np.ndarray,
    num_neighbours: int,
    *,
    same_set: bool = False,
    device: str = "cpu",
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest points of every query.

    Args:
        queries: [n, dims]; points: [m, dims].
        num_neighbours: how many, at most m (m - 1 within one set).
        same_set: queries and points are the same array, and no point is its own neighbour.
        device: of torch.

    Returns:
        Indices int64 [n, num_neighbours], nearest first (ties: lower index first), and squared
        distances float64 of the same shape.
    """
    if same_set:
        (points_set,) = make_point_sets([points], device)
        return find_nearest(points_set, points_set, num_neighbours)
    return find_nearest(*make_point_sets([queries, points], device), num_neighbours=num_neighbours)


def find_nearest(
    queries: PointSet, points: PointSet, num_neighbours: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest points of every query, as compute_nearest; one set when both are the same.

    Within one set each block of pairs is looked at once, for its rows and for its columns. Every
    query has a limit, the distance of the last of the neighbours found so far, and pairs beyond the
    limits of both their points are passed over.
    """
    same_set = queries is points
    device = queries.features.device
    limits = torch.full((len(queries.features),), torch.inf, device=device)
    none = torch.full((len(points.features),), -torch.inf, device=device)
    column_limits = limits if same_set else none
    indices = np.full((len(queries.features), num_neighbours), np.iinfo(np.int64).max)
    distances = np.full(indices.shape, np.inf)

    def wanted(rows: torch.Tensor, columns: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
        near = (bounds <= limits[rows]) | (bounds <= column_limits[columns])
        return near & (rows < columns) if same_set else near

    def limits_of(rows: slice, columns: slice) -> tuple[torch.Tensor, torch.Tensor]:
        return limits[rows], column_limits[columns]

    pairs = _iterate_pairs(queries, points, limits_of, wanted, num_neighbours)
    for rows, columns in pairs:
        exact = _compute_exact(queries.features, points.features, rows, columns)
        found = [part.cpu().numpy() for part in (rows, columns, exact)]
        if same_set:
            one, other, exact = found
            found = [np.concatenate(part) for part in ((one, other), (other, one), (exact, exact))]
        touched = _merge(indices, distances, *found)
        last = torch.from_numpy(distances[touched, -1])
        rounded = round_limits(last, queries.scale)
        # Blocks come in the order of their columns, so that a later point at the same distance
        # cannot displace an earlier one, and none is nearer than 0: copies end the search.
        rounded[last == 0] = -torch.inf
        places = torch.from_numpy(touched).to(device)
        limits[places] = torch.minimum(limits[places], rounded.to(device))
    return indices, distances


def find_covered(
    first: PointSet, second: PointSet, first_radii: np.ndarray, second_radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tell which points of each set lie in at least one ball around a point of the other.

    Args:
        first, second: made together, n and m points.
        first_radii, second_radii: squared radii float64 [n] and [m].

    Returns:
        bool [n]: in a ball of the second set; bool [m]: in a ball of the first. A point on the
        surface is inside.
    """
    device = first.features.device
    radii = [make_tensor(part, device) for part in (first_radii, second_radii)]
    limits = [round_limits(part, first.scale) for part in radii]
    covered = [torch.zeros(len(part), dtype=torch.bool, device=device) for part in radii]

    def wanted(rows: torch.Tensor, columns: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
        covers_column = (bounds <= limits[0][rows]) & ~covered[1][columns]
        return covers_column | ((bounds <= limits[1][columns]) & ~covered[0][rows])

    def limits_of(rows: slice, columns: slice) -> tuple[torch.Tensor, torch.Tensor]:
        row_limits, column_limits = limits[0][rows], limits[1][columns]
        if covered[1][columns].all():
            row_limits = torch.full_like(row_limits, -torch.inf)
        if covered[0][rows].all():
            column_limits = torch.full_like(column_limits, -torch.inf)
        return row_limits, column_limits

    for rows, columns in _iterate_pairs(first, second, limits_of, wanted):
        exact = _compute_exact(first.features, second.features, rows, columns)
        covered[0][rows[exact <= radii[1][columns]]] = True
        covered[1][columns[exact <= radii[0][rows]]] = True
    return covered[0].cpu().numpy(), covered[1].cpu().numpy()


def iterate_membership(
    queries: np.ndarray, points: np.ndarray, radii: np.ndarray, *, device: str = "cpu"
) -> Iterator[tuple[slice, int, np.ndarray]]:
    """Tell which queries lie in which balls: squared distance <= squared radius of the point.

    Args:
        queries: [n, dims]; points: [m, dims].
        radii: squared radii float64 [sets, m], several sets of radii for the same centres.
        device: of torch.

    Yields:
        The rows of a block of queries, the number of a set of radii, and bool [rows, m].
    """
    first, second = make_point_sets([queries, points], device, narrow=False)
    exact_radii = make_tensor(radii, device)
    limits = round_limits(exact_radii, first.scale)
    num_rows = max(1, 16 * _get_size(BLOCK_ROWS, device) ** 2 // len(points))
    tile = torch.empty(num_rows * len(points), device=device)
    for block in iterate_blocks(len(queries), num_rows):
        vectors = first.vectors[-1][block]
        lower = compute_bounds(make_left(vectors, len(vectors)), second.vectors[-1], tile)
        slack = first.slack[block, None] + second.slack
        for number in range(len(radii)):
            # Outside, inside for certain, and what lies between, which float64 decides. The slack
            # is wide enough to make up for limits that are rounded upwards.
            inside = lower <= limits[number]
            rows, columns = (inside & (lower + slack > limits[number])).nonzero(as_tuple=True)
            exact = _compute_exact(first.features, second.features, block.start + rows, columns)
            inside[rows, columns] = exact <= exact_radii[number, columns]
            yield block, number, inside.cpu().numpy()


def _get_size(sizes: dict[str, int], device: str | torch.device) -> int:
    """Return the size for this kind of device; kinds that are not listed work like a GPU."""
    return sizes.get(torch.device(device).type, sizes["cuda"])


def _compute_exact(
    first: torch.Tensor, second: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Compute squared distances of listed pairs, float64 [pairs].

    The sum is taken by halves, elementwise: its order, and so the last bit, is the same for any
    number of pairs, any number of threads and any device. Ties stay ties.
    """
    distances = torch.empty(len(rows), dtype=torch.float64, device=first.device)
    step = max(1, _get_size(PAIR_BYTES, first.device) // (8 * first.shape[1]))
    for part in iterate_blocks(len(rows), step):
        terms = first[rows[part]].double()
        terms -= second[columns[part]]
        terms *= terms
        width = terms.shape[1]
        while width > 1:
            half = width // 2
            terms[:, :half] += terms[:, width - half : width]
            width -= half
        distances[part] = terms[:, 0]
    return distances


def _iterate_pairs(
    first: PointSet, second: PointSet, limits_of: Limits, wanted: Wanted, num_neighbours: int = 0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the pairs that no screen rules out, in small portions.

    A pair is ruled out when its bound is above the limits of both its points. Limits may fall
    between portions: what is not wanted any more is not yielded.

    Args:
        first, second: made together; when they are one set, blocks below the diagonal are left out.
        limits_of: for rows and columns of a block, their limits, float32; called for each block.
            What it returns are views of the caller's when num_neighbours is given.
        wanted: for rows, columns and bounds of pairs, bool: still to be decided.
        num_neighbours: limits that are infinite are lowered, in place, to what the block shows, and
            the partners of any one point come in ascending order; 0 for neither.

    Yields:
        Rows and columns, int64.
    """
    num_rows = -(-_get_size(BLOCK_ROWS, first.features.device) // GROUP_ROWS) * GROUP_ROWS
    tile = torch.empty(num_rows * num_rows, device=first.features.device)
    for rows in iterate_blocks(len(first.features), num_rows):
        num_padded = -(-(rows.stop - rows.start) // GROUP_ROWS) * GROUP_ROWS
        lefts = [make_left(vectors[rows], num_padded) for vectors in first.vectors]
        for columns in iterate_blocks(len(second.features), num_rows):
            if first is second and columns.start < rows.start:
                continue
            limits = limits_of(rows, columns)
            rights = [vectors[columns] for vectors in second.vectors]
            highest = max(part.max() for part in limits)
            if highest == -torch.inf:
                continue
            pairs = None
            if len(lefts) > 1 and highest < torch.inf:
                bounds = compute_bounds(lefts[0], rights[0], tile)
                pairs = _list_near(bounds, *limits, bounds.numel() // MIN_PAIRS_PER_PASSED)
                if pairs is not None:
                    pairs = _tighten(lefts[-1], rights[-1], *pairs[:2])
            if pairs is None:
                bounds = compute_bounds(lefts[-1], rights[-1], tile)
                if num_neighbours and highest == torch.inf:
                    slack = first.slack[rows], second.slack[columns]
                    own = first is second and rows == columns
                    _start_limits(bounds, slack, limits, num_neighbours, own)
                pairs = _list_near(bounds, *limits, bounds.numel())
                assert pairs is not None  # there cannot be more
            pairs = rows.start + pairs[0], columns.start + pairs[1], pairs[2]
            yield from _iterate_portions(*pairs, wanted, in_order=num_neighbours > 0)


def _start_limits(
    bounds: torch.Tensor,
    slack: tuple[torch.Tensor, torch.Tensor],
    limits: tuple[torch.Tensor, torch.Tensor],
    num_neighbours: int,
    own: bool,
) -> None:
    """Lower infinite limits, in place, to the upper bound of the last neighbour in this block.

    Args:
        bounds: full lower bounds [padded rows, columns].
        slack, limits: of the rows and of the columns.
        num_neighbours: which neighbour is the last.
        own: rows and columns are the same points.
    """
    upper = bounds[: len(limits[0])] + slack[0][:, None] + slack[1]
    if own:
        upper.fill_diagonal_(torch.inf)
    for values, part in ((upper, limits[0]), (upper.T, limits[1])):
        if values.shape[1] >= num_neighbours and part.max() == torch.inf:
            last = values.contiguous().topk(num_neighbours, largest=False)[0][:, -1]
            part.copy_(torch.minimum(part, last))


def _tighten(
    left: torch.Tensor,
    right: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Replace the narrow bounds of listed pairs by the full ones, in row-major order."""
    order = torch.argsort(rows * len(right) + columns)
    rows, columns = rows[order], columns[order]
    return rows, columns, compute_listed_bounds(left, right, rows, columns)


def _list_near(
    bounds: torch.Tensor, row_limits: torch.Tensor, column_limits: torch.Tensor, most: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """List the pairs of a block whose bound is within the limit of the row or of the column.

    Args:
        bounds: [padded rows, columns], padded to whole groups.
        row_limits, column_limits: [rows], [columns].
        most: how many are worth listing.

    Returns:
        Rows, columns and bounds of the pairs; None when there are more.
    """
    padding = row_limits.new_full((len(bounds) - len(row_limits),), -torch.inf)
    by_group = torch.cat([row_limits, padding]).view(-1, GROUP_ROWS)
    grouped = bounds.view(-1, GROUP_ROWS, bounds.shape[1])
    near = grouped.amin(dim=1)
    near = near <= torch.maximum(by_group.amax(dim=1)[:, None], column_limits)
    if int(near.count_nonzero()) > most:
        return None
    groups, columns = near.nonzero(as_tuple=True)
    members = grouped[groups, :, columns]
    near = members <= torch.maximum(by_group[groups], column_limits[columns, None])
    places, offsets = near.nonzero(as_tuple=True)
    if len(places) > most:
        return None
    rows = groups[places] * GROUP_ROWS + offsets
    real = rows < len(row_limits)
    return rows[real], columns[places][real], members[places, offsets][real]


def _iterate_portions(
    rows: torch.Tensor,
    columns: torch.Tensor,
    bounds: torch.Tensor,
    wanted: Wanted,
    *,
    in_order: bool,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield pairs in growing portions, each time without those that are not wanted any more.

    In random order a portion touches most points, so that most of the rest soon is not wanted.
    """
    size = FIRST_CHUNK
    if not in_order and len(rows) > size:
        generator = torch.Generator(rows.device).manual_seed(0)
        order = torch.randperm(len(rows), generator=generator, device=rows.device)
        rows, columns, bounds = rows[order], columns[order], bounds[order]
    while len(rows):
        kept = wanted(rows, columns, bounds)
        rows, columns, bounds = rows[kept], columns[kept], bounds[kept]
        if len(rows):
            yield rows[:size], columns[:size]
        rows, columns, bounds, size = rows[size:], columns[size:], bounds[size:], 2 * size


def _merge(
    indices: np.ndarray,
    distances: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    exact: np.ndarray,
) -> np.ndarray:
    """Merge pairs into the lists of nearest neighbours, in place.

    Returns:
        The rows whose lists were looked at, int64.
    """
    touched = np.unique(rows)
    num = indices.shape[1]
    all_rows = np.concatenate([np.repeat(touched, num), rows])
    all_indices = np.concatenate([indices[touched].ravel(), columns])
    all_distances = np.concatenate([distances[touched].ravel(), exact])
    order = np.lexsort((all_indices, all_distances, all_rows))
    first = np.searchsorted(all_rows[order], touched)
    taken = order[first[:, None] + np.arange(num)]
    indices[touched], distances[touched] = all_indices[taken], all_distances[taken]
    return touched
