import numpy as np
import pytest

from eval import neighbours
from eval.neighbours import compute_nearest, iterate_membership


def brute_force(queries, points):
    difference = queries.astype(np.float64)[:, None] - points.astype(np.float64)[None]
    return (difference**2).sum(axis=2)


@pytest.fixture(params=[64 << 20, 4 << 10], ids=["one block", "many blocks"])
def block_bytes(request, monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", request.param)
    monkeypatch.setattr(neighbours, "PAIR_BYTES", request.param)


def make_sets(kind):
    rng = np.random.default_rng(0)
    queries, points = rng.normal(size=(90, 6)), rng.normal(size=(70, 6))
    if kind == "far from the origin":
        queries, points = queries + 1e4, points + 1e4
    if kind == "huge":
        queries, points = queries * 1e15, points * 1e15
    if kind == "duplicates":
        queries, points = np.round(queries), np.round(points)
    if kind == "all equal":
        queries, points = np.ones((90, 6)), np.ones((70, 6))
    return queries.astype(np.float32), points.astype(np.float32)


KINDS = ["plain", "far from the origin", "huge", "duplicates", "all equal"]


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("kind", KINDS)
def test_nearest_is_a_float64_brute_force(kind):
    queries, points = make_sets(kind)
    indices, distances = compute_nearest(queries, points, 3)
    exact = brute_force(queries, points)
    np.testing.assert_array_equal(indices, np.argsort(exact, axis=1, kind="stable")[:, :3])
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :3], rtol=1e-12)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("kind", KINDS)
def test_within_a_set_no_point_is_its_own_neighbour(kind):
    points = make_sets(kind)[1]
    indices, distances = compute_nearest(points, points, 2, same_set=True)
    assert (indices != np.arange(len(points))[:, None]).all()
    exact = brute_force(points, points)
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, 1:3], rtol=1e-12)


@pytest.mark.usefixtures("block_bytes")
@pytest.mark.parametrize("kind", KINDS)
def test_membership_is_exact_even_on_the_surface(kind):
    queries, points = make_sets(kind)
    exact = brute_force(queries, points)
    surface = neighbours.compute_pair_distances(
        queries, points, np.arange(70), np.arange(70)
    )  # every ball has a query on its surface
    radii = np.stack([surface, np.nextafter(surface, -1), np.zeros(70)])
    found = np.empty((3, 90, 70), dtype=bool)
    for rows, number, inside in iterate_membership(queries, points, radii):
        found[number, rows] = inside
    diagonal = np.arange(70)
    assert found[0, diagonal, diagonal].all()
    assert not found[1, diagonal, diagonal].any()
    np.testing.assert_array_equal(found[2], exact == 0)
    clear = np.abs(exact - surface) > 1e-12 * surface
    np.testing.assert_array_equal(found[0][clear], (exact <= surface)[clear])
