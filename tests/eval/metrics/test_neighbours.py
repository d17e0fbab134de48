import numpy as np
import pytest
import torch

from eval.metrics import distance_bounds, neighbours
from eval.metrics.distance_bounds import make_point_sets
from eval.metrics.neighbours import (
    compute_nearest,
    compute_pair_distances,
    find_covered,
    find_nearest,
    iterate_membership,
)


def brute_force(queries, points):
    difference = queries.astype(np.float64)[:, None] - points.astype(np.float64)[None]
    return (difference**2).sum(axis=2)


def exact_distances(queries, points):
    """All distances to the last bit, as the module sums them."""
    rows, columns = np.indices((len(queries), len(points))).reshape(2, -1)
    return compute_pair_distances(queries, points, rows, columns).reshape(len(queries), -1)


def set_sizes(monkeypatch, block_rows, pair_bytes, first_chunk):
    monkeypatch.setitem(neighbours.BLOCK_ROWS, "cpu", block_rows)
    monkeypatch.setitem(neighbours.PAIR_BYTES, "cpu", pair_bytes)
    monkeypatch.setattr(neighbours, "FIRST_CHUNK", first_chunk)


def use_narrow_screens(monkeypatch):
    """Try narrow screens on sets of any size, whatever they cost."""
    monkeypatch.setattr(distance_bounds, "MIN_POINTS", 1)
    monkeypatch.setattr(distance_bounds, "MIN_DIMS", 1)
    monkeypatch.setattr(distance_bounds, "NARROW_WIDTHS", (1,))
    monkeypatch.setattr(distance_bounds, "PAIR_COST", 0)


@pytest.fixture(params=["one block", "many blocks", "narrow", "narrow, but everything passes"])
def way(request, monkeypatch):
    """Every way through the code; small sizes make many blocks and portions."""
    if request.param != "one block":
        set_sizes(monkeypatch, 32, 2048, 30)
    if "narrow" in request.param:
        use_narrow_screens(monkeypatch)
        rarely = "everything" in request.param
        monkeypatch.setattr(neighbours, "MIN_PAIRS_PER_PASSED", 1e9 if rarely else 1)
    return request.param


def make_sets(kind):
    rng = np.random.default_rng(0)
    queries, points = rng.normal(size=(90, 6)), rng.normal(size=(70, 6))
    if kind == "far from the origin":
        queries, points = queries + 1e4, points + 1e4
    if kind == "far apart":
        queries, points = queries + 1e5, points - 1e5
    if kind == "huge":
        queries, points = queries * 1e15, points * 1e15
    if kind == "tiny":
        queries, points = queries * 1e-15, points * 1e-15
    if kind == "one far outlier":
        queries[3] = 1e6
    if kind == "duplicates":
        queries, points = np.round(queries), np.round(points)
    if kind == "all equal":
        queries, points = np.ones((90, 6)), np.ones((70, 6))
    if kind == "tight modes":
        modes = np.random.default_rng(1).normal(size=(3, 6))
        queries = modes[rng.integers(3, size=90)] + 1e-5 * queries
        points = modes[rng.integers(3, size=70)] + 1e-5 * points
    if kind == "float64":
        return queries, points
    return queries.astype(np.float32), points.astype(np.float32)


KINDS = [
    "plain",
    "far from the origin",
    "far apart",
    "huge",
    "tiny",
    "one far outlier",
    "duplicates",
    "all equal",
    "tight modes",
    "float64",
]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("kind", "num_neighbours"), [("plain", 20), *((k, 3) for k in KINDS)])
def test_nearest_is_a_float64_brute_force(kind, num_neighbours):
    queries, points = make_sets(kind)
    indices, distances = compute_nearest(queries, points, num_neighbours)
    exact = exact_distances(queries, points)
    np.testing.assert_allclose(exact, brute_force(queries, points), rtol=1e-14)
    expected = np.argsort(exact, axis=1, kind="stable")[:, :num_neighbours]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(distances, np.sort(exact, axis=1)[:, :num_neighbours])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(("kind", "num_neighbours"), [("plain", 20), *((k, 2) for k in KINDS)])
def test_within_a_set_no_point_is_its_own_neighbour(kind, num_neighbours):
    points = make_sets(kind)[1]
    indices, distances = compute_nearest(points, points, num_neighbours, same_set=True)
    exact = exact_distances(points, points)
    np.fill_diagonal(exact, np.inf)
    expected = np.argsort(exact, axis=1, kind="stable")[:, :num_neighbours]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(distances, np.sort(exact, axis=1)[:, :num_neighbours])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", KINDS)
def test_membership_is_exact_even_on_the_surface(kind):
    queries, points = make_sets(kind)
    exact = exact_distances(queries, points)
    surface = np.diagonal(exact).copy()  # every ball has a query on its surface
    radii = np.stack([surface, np.nextafter(surface, -1), np.zeros(70)])
    found = np.empty((3, 90, 70), dtype=bool)
    for rows, number, inside in iterate_membership(queries, points, radii):
        found[number, rows] = inside
    np.testing.assert_array_equal(found, exact <= radii[:, None])
    assert found[0].diagonal().all()
    assert not found[1].diagonal().any()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("kind", "shrink"), [("plain", 0.3), ("plain", 30.0), *((k, 1.0) for k in KINDS)]
)
def test_coverage_is_exact_even_on_the_surface(kind, shrink):
    queries, points = make_sets(kind)
    exact = exact_distances(queries, points)
    query_radii, point_radii = shrink * exact.min(axis=1), shrink * exact.min(axis=0)
    found = find_covered(*make_point_sets([queries, points]), query_radii, point_radii)
    np.testing.assert_array_equal(found[0], (exact <= point_radii).any(axis=1))
    np.testing.assert_array_equal(found[1], (exact <= query_radii[:, None]).any(axis=0))


def test_block_sizes_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(150, 40)).astype(np.float32)
    expected = compute_nearest(points, points, 3, same_set=True)
    for sizes in ((48, 4096, 5), (100, 640, 100), (16, 2000, 40)):
        set_sizes(monkeypatch, *sizes)
        for found, values in zip(
            compute_nearest(points, points, 3, same_set=True), expected, strict=True
        ):
            np.testing.assert_array_equal(found, values)


def test_the_last_bit_does_not_depend_on_the_number_of_pairs_or_their_direction():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(9, 333))
    together = exact_distances(points, points)
    np.testing.assert_array_equal(together, together.T)
    alone = compute_pair_distances(points, points, np.array([2]), np.array([5]))
    assert alone[0] == together[2, 5]


def test_copies_of_one_image_are_not_all_compared(monkeypatch):
    """A collapsed generator: all pairs tie, which would make all of them close calls."""
    counted = []
    compute_exact = neighbours._compute_exact

    def count(first, second, rows, columns):
        counted.append(len(rows))
        return compute_exact(first, second, rows, columns)

    monkeypatch.setattr(neighbours, "_compute_exact", count)
    samples = np.ones((3000, 8), dtype=np.float32)
    reference = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    first, second = make_point_sets([samples, reference])
    indices, distances = find_nearest(first, first, 3)
    assert (distances == 0).all()
    assert indices[0].tolist() == [1, 2, 3]
    assert indices[2000].tolist() == [0, 1, 2]
    find_covered(first, second, distances[:, -1], np.full(500, 100.0))
    assert sum(counted) < 0.02 * 3000**2


def test_read_only_and_strided_features_are_welcome():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 12)).astype(np.float32)[:, ::-2]
    points.flags.writeable = False
    indices = compute_nearest(points, points, 1, same_set=True)[0]
    exact = brute_force(points, points)
    np.fill_diagonal(exact, np.inf)
    np.testing.assert_array_equal(indices[:, 0], exact.argmin(axis=1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_bits():
    rng = np.random.default_rng(0)
    queries, points = (rng.normal(size=(n, 300)).astype(np.float32) for n in (6000, 5000))
    for here, there in zip(
        compute_nearest(queries, points, 3),
        compute_nearest(queries, points, 3, device="cuda"),
        strict=True,
    ):
        np.testing.assert_array_equal(here, there)
