import math

import pytest
from scipy.stats import t as student

from reports.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_RUN,
    SAMPLING_DOF,
    SEEDS_UNKNOWN,
    SUPPORTED,
    Estimate,
    SeedSpread,
    compute_effect,
    compute_interval,
    compute_seed_spread,
    judge_claim,
    judge_comparison,
    judge_published,
)
from specs.page import CellAddress, PageComparison


def comparison(relation="greater", factor=1.0, margin=0.0, differ=False):
    left, right, towards = (CellAddress(row=name, mark="final") for name in "abc")
    return PageComparison(
        metric="fid",
        left=left,
        relation=relation,
        right=right,
        factor=factor,
        margin=margin,
        towards=towards,
        statistic="ratio",
        trained_models_differ=differ,
    )


def cell(value, std_error=0.1, num_samples=1000):
    return Estimate(value, std_error, num_samples)


def test_interval_of_two_equal_errors_is_students():
    low, high = compute_interval(1.0, [(0.02, SAMPLING_DOF)])
    half = student.ppf(0.975, 49) * math.sqrt(0.02)
    assert (low, high) == pytest.approx((1 - half, 1 + half))


def test_interval_with_many_degrees_of_freedom_is_normal():
    low, high = compute_interval(0.0, [(4.0, 10**9)])
    assert (low, high) == pytest.approx((-3.919928, 3.919928), abs=1e-5)


def test_degrees_of_freedom_are_welch_satterthwaite():
    # Equal variances with 49 and 2 degrees: nu = 4 / (1/49 + 1/2).
    low, high = compute_interval(0.0, [(1.0, 49), (1.0, 2)])
    nu = 4 / (1 / 49 + 1 / 2)
    assert high == pytest.approx(student.ppf(0.975, nu) * math.sqrt(2))
    assert low == -high


def test_interval_without_variance_is_a_point():
    assert compute_interval(0.3, [(0.0, 49)]) == (0.3, 0.3)


def test_known_case_is_decided_by_quadrature_of_both_errors():
    result = judge_comparison(comparison(), [cell(1.0, 0.3), cell(0.0, 0.4), None], None)
    half = student.ppf(0.975, 49) * 0.5
    assert result["effect"] == 1.0
    assert result["high"] - result["low"] == pytest.approx(2 * half)
    assert result["verdict"] == INCONCLUSIVE  # 1.0 < 1.005
    closer = judge_comparison(comparison(), [cell(1.01, 0.3), cell(0.0, 0.4), None], None)
    assert closer["verdict"] == SUPPORTED


def test_factor_scales_the_error_of_the_right_cell():
    result = judge_comparison(comparison("less", 2.0), [cell(1.0, 0), cell(1.0, 0.1), None], None)
    assert result["effect"] == 1.0
    assert result["high"] - 1 == pytest.approx(student.ppf(0.975, 49) * 0.2)


@pytest.mark.parametrize(
    "relation, left, right, expected",
    [
        ("greater", 3.0, 1.0, SUPPORTED),
        ("greater", 1.0, 3.0, CONTRADICTED),
        ("less", 1.0, 3.0, SUPPORTED),
        ("less", 3.0, 1.0, CONTRADICTED),
        ("greater", 1.05, 1.0, INCONCLUSIVE),
        ("less", 1.05, 1.0, INCONCLUSIVE),
    ],
)
def test_verdict_follows_the_sign(relation, left, right, expected):
    result = judge_comparison(comparison(relation), [cell(left), cell(right), None], None)
    assert result["verdict"] == expected


def test_margin_forgives_a_small_fall():
    allowed = comparison("greater", margin=0.5)
    cells = [cell(0.9, 0.01), cell(1.0, 0.01), None]
    assert judge_comparison(allowed, cells, None)["verdict"] == SUPPORTED
    assert judge_comparison(comparison(), cells, None)["verdict"] == CONTRADICTED


@pytest.mark.parametrize(
    "left, right, towards, expected",
    [
        (11.0, 26.0, 10.0, SUPPORTED),  # 1 < 0.5 * 16
        (9.0, 26.0, 10.0, SUPPORTED),  # from the other side
        (20.0, 26.0, 10.0, CONTRADICTED),  # 10 > 8
        (18.05, 26.0, 10.0, INCONCLUSIVE),
    ],
)
def test_nearer_compares_distances(left, right, towards, expected):
    cells = [cell(left), cell(right), cell(towards)]
    assert judge_comparison(comparison("nearer", 0.5), cells, None)["verdict"] == expected


def test_derivatives_of_nearer_match_finite_differences():
    point = (12.0, 26.0, 10.0)
    effect, slopes = compute_effect("nearer", *point, factor=0.5)
    for index, slope in enumerate(slopes):
        moved = list(point)
        moved[index] += 1e-6
        changed, _ = compute_effect("nearer", *moved, factor=0.5)
        assert (changed - effect) / 1e-6 == pytest.approx(slope, abs=1e-6)


def test_seeds_widen_the_interval_and_can_undecide_it():
    cells = [cell(9.0, 0.1), cell(10.0, 0.1), None]
    decided = judge_comparison(comparison("less"), cells, None)
    spread = SeedSpread(size=0.05, relative=True, dof=2)
    widened = judge_comparison(comparison("less", differ=True), cells, spread)
    assert decided["verdict"] == SUPPORTED
    assert widened["verdict"] == INCONCLUSIVE
    seeds = 0.05**2 * (81 + 100)
    nu = (0.02 + seeds) ** 2 / (0.02**2 / 49 + seeds**2 / 2)
    half = student.ppf(0.975, nu) * math.sqrt(0.02 + seeds)
    assert widened["high"] == pytest.approx(1 + half)


def test_same_model_needs_no_seeds():
    cells = [cell(9.0), cell(10.0), None]
    spread = SeedSpread(size=0.5, relative=True, dof=2)
    assert judge_comparison(comparison("less"), cells, spread)["verdict"] == SUPPORTED


@pytest.mark.parametrize("left, right", [(1.0, 10.0), (10.0, 1.0)])
def test_unknown_seeds_are_inconclusive_however_large_the_effect(left, right):
    result = judge_comparison(
        comparison("less", differ=True), [cell(left), cell(right), None], None
    )
    assert result["verdict"] == INCONCLUSIVE
    assert result["reason"] == SEEDS_UNKNOWN
    assert abs(result["effect"]) == 9


def test_unknown_sampling_error_is_inconclusive():
    result = judge_comparison(comparison(), [cell(9.0, None), cell(1.0), None], None)
    assert result["verdict"] == INCONCLUSIVE
    assert "sampling error" in result["reason"]


def test_missing_cell_is_not_run():
    assert judge_comparison(comparison(), [None, cell(1.0), None], None)["verdict"] == NOT_RUN
    cells = [cell(1.0), cell(2.0), None]
    assert judge_comparison(comparison("nearer"), cells, None)["verdict"] == NOT_RUN


def test_seed_spread_is_relative_for_fid_and_absolute_for_recall():
    fid = compute_seed_spread("fid", [("m", [9.0, 10.0, 11.0])])
    assert (fid.size, fid.relative, fid.dof) == (pytest.approx(0.1), True, 2)
    assert fid.variance(50.0) == pytest.approx(25.0)
    recall = compute_seed_spread("recall", [("m", [0.5, 0.6, 0.7])])
    assert (recall.size, recall.relative, recall.dof) == (pytest.approx(0.1), False, 2)
    assert recall.variance(0.9) == pytest.approx(0.01)


def test_seed_spread_pools_models_by_degrees_of_freedom():
    groups = [("m", [9.0, 10.0, 11.0]), ("n", [19.6, 20.4]), ("single", [5.0]), ("none", [])]
    spread = compute_seed_spread("fid", groups)
    second = (19.6 - 20.4) ** 2 / 2 / 400
    assert spread.dof == 3
    assert spread.size == pytest.approx(math.sqrt((2 * 0.01 + second) / 3))


def test_two_marks_of_the_same_trainings_count_once():
    spread = compute_seed_spread("fid", [("m", [9.0, 10.0, 11.0]), ("m", [8.0, 10.0, 12.0])])
    assert spread.dof == 2
    assert spread.size == pytest.approx(math.sqrt((0.01 + 0.04) / 2))


def test_no_seed_spread_from_single_trainings():
    assert compute_seed_spread("fid", [("m", [9.0]), ("n", [8.0])]) is None
    assert compute_seed_spread("fid", []) is None


def result(verdict, effect=1.0, low=0.5, high=1.5):
    return {"verdict": verdict, "effect": effect, "low": low, "high": high, "reason": None}


def test_claim_combines_comparisons():
    yes, no, open_ = result(SUPPORTED), result(CONTRADICTED), result(INCONCLUSIVE)
    missing = result(NOT_RUN, None, None, None)
    assert judge_claim([yes, yes])[0] == SUPPORTED
    assert judge_claim([yes, open_]) == (INCONCLUSIVE, 1)
    assert judge_claim([open_, yes, no]) == (CONTRADICTED, 2)
    assert judge_claim([missing, missing]) == (NOT_RUN, 0)
    assert judge_claim([yes, missing]) == (INCONCLUSIVE, 1)


def test_deciding_comparison_of_a_supported_claim_is_the_closest_call():
    clear, close = result(SUPPORTED, 5.0, 4.0, 6.0), result(SUPPORTED, 1.0, 0.1, 1.9)
    assert judge_claim([clear, close]) == (SUPPORTED, 1)


def test_published_numbers_are_judged_without_intervals():
    assert judge_published(comparison("less"), [4.59, 10.94, None]) is True
    assert judge_published(comparison("greater"), [4.59, 10.94, None]) is False
    assert judge_published(comparison("less", 2.1), [5.98, 2.97, None]) is True
    assert judge_published(comparison("greater", margin=0.02), [0.63, 0.65, None]) is False
    assert judge_published(comparison("nearer", 0.5), [12.0, 26.21, 10.94]) is True
    assert judge_published(comparison("less"), [None, 1.0, None]) is None
