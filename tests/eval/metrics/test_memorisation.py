import numpy as np
import pytest

from eval.metrics.memorisation import compute_memorised
from records.errors import UserError


def test_on_a_line():
    reference = np.array([[0.0], [1.0], [10.0]])
    samples = np.array([[0.0], [0.4], [-1.0], [9.0], [19.0], [19.1]])
    #           a copy, closer than 1, as far as 1, closer than 9, as far as 9, farther
    expected = [True, True, False, True, False, False]
    np.testing.assert_array_equal(compute_memorised(reference, samples), expected)


@pytest.mark.parametrize(("dims", "expected"), [(1, 2 / 3), (2, 0.6215)])
def test_held_out_points_give_the_documented_share(dims, expected):
    rng = np.random.default_rng(dims)
    points = rng.uniform(size=(4000, dims))
    share = compute_memorised(points[:2000], points[2000:]).mean()
    assert share == pytest.approx(expected, abs=0.04)


def test_copies_give_one():
    points = np.random.default_rng(0).normal(size=(50, 3))
    assert compute_memorised(points, points[:20] + 1e-9).all()


def test_one_reference_image_is_too_few():
    with pytest.raises(UserError, match="reference: got 1 image; at least 2 are needed"):
        compute_memorised(np.zeros((1, 2)), np.zeros((3, 2)))


def test_other_dimensions_are_refused():
    with pytest.raises(UserError, match="reference features have 2 dimensions, sample features 3"):
        compute_memorised(np.zeros((4, 2)), np.zeros((4, 3)))


def test_the_order_of_samples_does_not_matter():
    rng = np.random.default_rng(0)
    reference, samples = rng.normal(size=(60, 5)), rng.normal(size=(40, 5))
    order = rng.permutation(40)
    found = compute_memorised(reference, samples)
    np.testing.assert_array_equal(compute_memorised(reference, samples[order]), found[order])
