import math

import pytest

from records.inversion import find_ends, weigh_ratio


def test_slopes_at_the_estimate_are_those_of_the_logarithm():
    assert weigh_ratio(2.0, 5.0, math.log(2 / 5)) == pytest.approx((1 / 2, -1 / 5))


@pytest.mark.parametrize("log_ratio", [-0.3, 0.0, 0.4])
def test_slopes_take_values_whose_ratio_is_the_hypothesis(log_ratio):
    left, right = 2.0, 5.0
    middle = (left + math.exp(log_ratio) * right) / 2
    assert weigh_ratio(left, right, log_ratio) == pytest.approx(
        (1 / middle, -math.exp(log_ratio) / middle)
    )


def test_slopes_of_hypotheses_beyond_all_numbers_are_finite():
    assert weigh_ratio(2.0, 5.0, 5e3) == pytest.approx((0.0, -2 / 5))
    assert weigh_ratio(2.0, 5.0, -5e3) == pytest.approx((2 / 2, 0.0))


def test_a_width_that_does_not_move_is_added_on_both_sides():
    assert find_ends(3.0, lambda _: 0.5) == (2.5, 3.5)
    assert find_ends(3.0, lambda _: 0.0) == (3.0, 3.0)


def test_ends_are_contradicted_no_more_than_their_own_width_allows():
    low, high = find_ends(3.0, lambda x: 0.5 + 0.2 * x)
    assert 3.0 - low == pytest.approx(0.5 + 0.2 * low)
    assert high - 3.0 == pytest.approx(0.5 + 0.2 * high)


def test_widths_that_grow_as_fast_as_the_distance_end_somewhere():
    low, high = find_ends(0.0, lambda x: 1 + 2 * abs(x))
    assert -2e3 < low < -1e3 and 1e3 < high < 2e3
