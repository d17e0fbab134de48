import numpy as np
import pytest

from records.contributions import (
    Contribution,
    can_pair,
    choose_pairs,
    compute_joint_variance,
    compute_sum_variance,
    read_contributions,
    write_contributions,
)
from records.errors import UserError

PROTOCOL = {
    "samples": {"sha256": "a"},
    "reference": {"sha256": "b"},
    "network": {"sha256": "c"},
    "seed": 0,
}


def test_smooth_metrics_have_both_orders_of_the_difference():
    rng = np.random.default_rng(0)
    each, other = rng.normal(size=50), rng.normal(size=50)
    pairs = np.full(8, 3.0)
    left, right = Contribution(each, pairs), Contribution(other, pairs)
    variance = compute_joint_variance([(1.0, left), (-0.5, right)])
    curved = 2 * 1.5**2 / 50**2
    assert variance == pytest.approx((each - 0.5 * other).var(ddof=1) / 50 - curved)
    # Equal batches: nothing of first order is left, nor of second.
    assert compute_joint_variance([(1.0, left), (-1.0, left)]) == 0
    same = Contribution(each, -pairs)
    assert compute_joint_variance([(1.0, left), (-1.0, same)]) == pytest.approx(2 * 36 / 50**2)


def test_values_of_images_have_the_variance_of_their_mean():
    left, right = (Contribution(np.array(one)) for one in ([1.0, 2.0, 6.0], [0.0, 2.0, 4.0]))
    assert compute_joint_variance([(1.0, left), (-1.0, right)]) == pytest.approx(1 / 3)


def test_memberships_count_images_that_differ_and_one_more():
    left = Contribution(np.array([True, True, True, False]))
    right = Contribution(np.array([True, False, False, True]))
    # b = 2, c = 1; Agresti & Min: b + 1/2, c + 1/2, n + 2.
    expected = ((2.5 + 1.5) - (2.5 - 1.5) ** 2 / 6) / 6**2
    assert compute_joint_variance([(1.0, left), (-1.0, right)]) == pytest.approx(expected)
    assert compute_joint_variance([(1.0, left), (-1.0, left)]) == pytest.approx(1 / 6**2)


def test_recall_adds_what_halves_differ_by():
    members = np.ones(4, dtype=bool)
    halves = np.zeros((1, 2, 4), dtype=bool)
    other = halves.copy()
    other[0, 0] = True  # one half of the other covers all, the other half nothing
    left, right = Contribution(members, halves=halves), Contribution(members, halves=other)
    alone = compute_joint_variance([(1.0, Contribution(members)), (-1.0, Contribution(members))])
    assert compute_joint_variance([(1.0, left), (-1.0, right)]) == pytest.approx(alone + 1 / 2)
    # That of a single batch falls as 1 / n.
    single = compute_joint_variance([(1.0, Contribution(members))])
    assert compute_joint_variance([(1.0, right)]) == pytest.approx(single + 1 / 4)
    # What both rows' halves have in common cancels.
    assert compute_joint_variance([(1.0, right), (-1.0, right)]) == pytest.approx(alone)


def test_files_hold_what_was_written(tmp_path):
    rng = np.random.default_rng(0)
    wanted = {
        "fid": Contribution(rng.normal(size=7), rng.normal(size=5)),
        "precision": Contribution(rng.random(7) < 0.5),
        "recall": Contribution(rng.random(11) < 0.5, halves=rng.random((2, 2, 11)) < 0.5),
    }
    path = tmp_path / "x.contributions.npz"
    write_contributions(path, wanted, PROTOCOL)
    found = read_contributions(path, PROTOCOL)
    assert list(found) == list(wanted)
    for name, one in wanted.items():
        for part in ("each", "pairs", "halves"):
            assert np.array_equal(getattr(found[name], part), getattr(one, part))
    with pytest.raises(UserError, match="belongs to other metrics"):
        read_contributions(path, {**PROTOCOL, "seed": 1})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04cut", b"\x93NUMPY"])
def test_damaged_files_are_told(tmp_path, content):
    path = tmp_path / "x.contributions.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be used .*grade again"):
        read_contributions(path, PROTOCOL)


def test_pairs_are_of_different_images():
    first, second = choose_pairs(3, seed=1)
    assert (first != second).all() and set(first) == set(second) == {0, 1, 2}


def test_only_as_many_images_make_pairs():
    one, two = Contribution(np.zeros(3), np.zeros(4)), Contribution(np.zeros(4), np.zeros(4))
    assert can_pair([one, one]) and not can_pair([one, two])


def test_a_sum_without_pairs_has_its_errors_in_quadrature():
    one = Contribution(np.array([1.0, 2.0, 6.0]))
    two, slopes = Contribution(np.array([0.0, 2.0, 4.0])), (1.0, -1.0)
    found = compute_sum_variance(slopes, (one, two), (3.0, 4.0), paired=True)
    assert found == (pytest.approx(1 / 3), True)
    for parts in ((one, None), (one, Contribution(np.zeros(4)))):
        assert compute_sum_variance(slopes, parts, (3.0, 4.0), paired=True) == (25, False)
    assert compute_sum_variance((2.0, -1.0), (one, two), (3.0, 4.0), paired=False) == (52, False)
    assert compute_sum_variance(slopes, (one, two), (3.0, None), paired=False) == (None, False)
