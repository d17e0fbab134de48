import math

import numpy as np
import pytest
from scipy.stats import t as student

from records.contributions import Contribution
from reports.claims import (
    CONTRADICTED,
    INCONCLUSIVE,
    NOT_RUN,
    SEEDS_UNKNOWN,
    SUPPORTED,
    Spread,
    combine_p_values,
    compute_interval,
    compute_p_value,
    find_surviving,
    judge_claim,
    judge_comparison,
    make_spread,
)
from reports.replicates import Replicate
from reports.seed_variance import SeedVariance
from specs.page import CellAddress, PageComparison

NUM = 1000


def comparison(relation="greater", factor=1.0, differ=False, statistic="difference", metric="fid"):
    left, right, towards = (CellAddress(row=name, mark="final") for name in "abc")
    return PageComparison(
        metric=metric,
        left=left,
        relation=relation,
        right=right,
        factor=factor,
        margin=0.0,
        towards=towards if relation == "nearer" else None,
        statistic=statistic,
        trained_models_differ=differ,
    )


@pytest.fixture
def make_cell(make_metrics):
    """A cell by training seed: values with one standard error, drawn with its own noise."""

    def make(*values, std_error=0.1, contributions=None):
        cell = {}
        for seed, value in enumerate(values):
            content = make_metrics(fid=(value, std_error))
            content.protocol.samples["spec"] = {"seed": seed}
            cell[seed] = Replicate(content, contributions or {})
        return cell

    return make


def judge(one, cells, models="abc"):
    group = dict(zip("abc", cells, strict=False))
    return judge_comparison(one, cells, group, dict(zip("abc", models, strict=False)))


def test_interval_is_students():
    low, high = compute_interval(1.0, Spread(0.02, 49))
    half = student.ppf(0.975, 49) * math.sqrt(0.02)
    assert (low, high) == pytest.approx((1 - half, 1 + half))
    assert compute_interval(0.3, Spread(0.0, 49)) == (0.3, 0.3)
    low, high = compute_interval(0.0, Spread(4.0, math.inf))
    assert (low, high) == pytest.approx((-3.919928, 3.919928), abs=1e-5)


def test_p_value_is_five_per_cent_at_the_end_of_the_interval():
    spread = Spread(0.02, 7)
    _, high = compute_interval(0.0, spread)
    assert compute_p_value(high, spread) == pytest.approx(0.05)
    assert compute_p_value(-high, spread) == pytest.approx(0.05)
    assert compute_p_value(0.0, Spread(0.0, 7)) == 1.0
    assert compute_p_value(0.1, Spread(0.0, 7)) == 0.0


def test_spread_adds_sampling_and_what_seeds_add_beyond_it():
    seeds = SeedVariance(size=0.5, dof=12, sampling=0.2)
    spread = make_spread(0.7, NUM, (1.0, -1.0), seeds, 3)
    assert spread.variance == pytest.approx((0.7 + 2 * 0.3) / 3)
    uncertain = (0.7 / 3) ** 2 / 999 + (2 * 0.5 / 3) ** 2 / 12
    assert spread.dof == pytest.approx(spread.variance**2 / uncertain)
    # Less sampling error than the pool has is not credited: what is left is the pool's spread.
    small = make_spread(0.001, NUM, (1.0, -1.0), seeds, 3)
    assert small[:2] == pytest.approx((2 * 0.5 / 3, 12), rel=0.01)
    assert small.between == spread.between == pytest.approx(2 * 0.3 / 3)
    # Seeds that spread less than sampling alone add nothing.
    assert make_spread(0.3, NUM, (1.0,), SeedVariance(0.1, 12, 0.2), 3).variance == 0.3 / 3
    assert make_spread(0.3, NUM, (1.0,), None, 1) == pytest.approx((0.3, 999, 0))


def test_noise_that_all_seeds_share_neither_falls_nor_spreads_with_them():
    seeds = SeedVariance(size=0.5, dof=12, sampling=0.2)
    spread = make_spread(0.3, NUM, (1.0, -1.0), seeds, 3, shared=True)
    assert spread.variance == pytest.approx(0.3 + 2 * 0.5 / 3)
    assert spread.dof == pytest.approx(spread.variance**2 / (0.3**2 / 999 + (1 / 3) ** 2 / 12))


def test_sampling_errors_of_unpaired_cells_add_in_quadrature(make_cell):
    cells = [make_cell(1.0, std_error=0.3), make_cell(0.0, std_error=0.4)]
    result = judge(comparison(), cells)
    half = student.ppf(0.975, NUM - 1) * 0.5
    assert (result["effect"], result["paired"]) == (1.0, False)
    assert result["high"] - result["low"] == pytest.approx(2 * half)
    assert result["verdict"] == SUPPORTED and result["p"] == pytest.approx(0.0458, abs=1e-4)


def test_paired_cells_have_the_error_of_the_difference(make_cell):
    rng = np.random.default_rng(0)
    common, own = 30 * rng.normal(size=NUM), rng.normal(size=NUM)
    left, right = ({"fid": Contribution(one, np.zeros(4))} for one in (common, common + own))
    cells = [make_cell(1.0, contributions=left), make_cell(1.2, contributions=right)]
    result = judge(comparison("less"), cells)
    half = student.ppf(0.975, NUM - 1) * own.std(ddof=1) / math.sqrt(NUM)
    assert result["paired"] and result["verdict"] == SUPPORTED
    assert result["high"] == pytest.approx(0.2 + half)
    # Other noise on one side: the rows are compared as before.
    cells[1][0].content.protocol.samples["spec"]["seed"] = 5
    assert not judge(comparison("less"), cells)["paired"]


def test_ratios_have_relative_errors(make_cell):
    cells = [make_cell(8.0, std_error=0.08), make_cell(10.0, std_error=0.2)]
    result = judge(comparison("less", statistic="ratio"), cells)
    assert result["effect"] == pytest.approx(math.log(1.25))
    for end in (result["low"], result["high"]):
        # The error of the ratio if the end were true: of values that have this ratio.
        middle = (8 * math.exp(end) + 10) / 2
        half = student.ppf(0.975, NUM - 1) * math.hypot(0.08 * math.exp(end), 0.2) / middle
        assert abs(end - math.log(1.25)) == pytest.approx(half)
    nothing = judge(comparison("less", statistic="ratio"), [make_cell(0.0), make_cell(1.0)])
    assert nothing["verdict"] == INCONCLUSIVE and "0 in a cell" in nothing["reason"]


@pytest.mark.parametrize(
    ("relation", "left", "right", "expected"),
    [
        ("greater", 3.0, 1.0, SUPPORTED),
        ("greater", 1.0, 3.0, CONTRADICTED),
        ("less", 1.0, 3.0, SUPPORTED),
        ("less", 3.0, 1.0, CONTRADICTED),
        ("greater", 1.05, 1.0, INCONCLUSIVE),
        ("less", 1.05, 1.0, INCONCLUSIVE),
    ],
)
@pytest.mark.parametrize("statistic", ["ratio", "difference"])
def test_verdict_follows_the_sign(make_cell, relation, left, right, expected, statistic):
    cells = [make_cell(left), make_cell(right)]
    assert judge(comparison(relation, statistic=statistic), cells)["verdict"] == expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [(11.0, SUPPORTED), (9.0, SUPPORTED), (20.0, CONTRADICTED), (18.05, INCONCLUSIVE)],
)
def test_nearer_compares_distances(make_cell, left, expected):
    cells = [make_cell(left), make_cell(26.0), make_cell(10.0)]
    assert judge(comparison("nearer", 0.5), cells)["verdict"] == expected


def test_seeds_are_blocks(make_cell):
    """What a seed does to both rows drops out; what is left decides, with its own few degrees."""
    cells = [make_cell(1.0, 5.0, 9.0, std_error=0.0), make_cell(3.1, 7.0, 10.9, std_error=0.0)]
    result = judge(comparison("less", differ=True), cells)
    assert result["effect"] == pytest.approx(2.0)
    assert result["effects"] == pytest.approx([2.1, 2.0, 1.9])
    half = student.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert result["high"] - result["effect"] == pytest.approx(half)
    assert (result["seeds"], result["dof"]) == (3, pytest.approx(2))


def test_one_seed_on_a_side_takes_the_spread_of_rows_with_several(make_cell):
    several = make_cell(10.0, 11.0, 12.0, std_error=0.0)
    result = judge(comparison("less", differ=True), [make_cell(5.0, std_error=0.0), several])
    assert (result["effect"], result["seeds"]) == (5.0, 1)
    assert result["high"] - 5 == pytest.approx(student.ppf(0.975, 2) * math.sqrt(2))


def test_one_model_with_one_seed_needs_none(make_cell):
    assert judge(comparison("less"), [make_cell(9.0), make_cell(10.0)])["verdict"] == SUPPORTED


@pytest.mark.parametrize(("left", "right"), [(1.0, 10.0), (10.0, 1.0)])
def test_unknown_seeds_are_inconclusive_however_large_the_effect(make_cell, left, right):
    result = judge(comparison("less", differ=True), [make_cell(left), make_cell(right)])
    assert (result["verdict"], result["reason"]) == (INCONCLUSIVE, SEEDS_UNKNOWN)
    assert abs(result["effect"]) == 9 and result["p"] is None


def test_unknown_sampling_error_is_inconclusive(make_cell):
    result = judge(comparison(), [make_cell(9.0, std_error=None), make_cell(1.0)])
    assert result["verdict"] == INCONCLUSIVE and "sampling error" in result["reason"]


def test_missing_cell_is_not_run(make_cell):
    assert judge(comparison(), [{}, make_cell(1.0)])["verdict"] == NOT_RUN
    cells = [make_cell(1.0), make_cell(2.0), {}]
    assert judge(comparison("nearer"), cells)["verdict"] == NOT_RUN


@pytest.mark.parametrize("num_rows", [2, 7])
def test_intervals_of_seeds_cover(make_cell, num_rows):
    """Rows + seeds + residuals, with a known sampling error: 95 % of 600 draws hold the effect."""
    rng = np.random.default_rng(num_rows)
    letters = "abcdefg"[:num_rows]
    covered = 0
    for _ in range(600):
        values = 20 + rng.normal(size=3) + 0.5 * rng.normal(size=(num_rows, 3))
        values += 0.2 * rng.normal(size=(num_rows, 3))  # sampling
        group = {
            row: make_cell(*found, std_error=0.2)
            for row, found in zip(letters, values, strict=True)
        }
        found = judge_comparison(
            comparison("less", differ=True),
            [group["a"], group["b"]],
            group,
            {row: row for row in letters},
        )
        covered += found["low"] <= 0 <= found["high"]
    assert 0.93 <= covered / 600 <= 0.975


def test_intervals_of_alike_rows_among_unlike_ones_cover(make_cell):
    """Two rows have a tenth of the sampling error of the others, with which they are pooled."""
    rng = np.random.default_rng(0)
    errors = np.array([0.05, 0.05, 0.5, 0.5])[:, None]
    covered, dofs = 0, []
    for _ in range(600):
        values = 20 + rng.normal(size=3) + 0.1 * rng.normal(size=(4, 3))
        values += errors * rng.normal(size=(4, 3))
        group = {
            row: make_cell(*found, std_error=float(error))
            for row, found, (error,) in zip("abcd", values, errors, strict=True)
        }
        found = judge_comparison(
            comparison("less", differ=True),
            [group["a"], group["b"]],
            group,
            {row: row for row in "abcd"},
        )
        covered += found["low"] <= 0 <= found["high"]
        dofs.append(found["dof"])
    assert covered / 600 >= 0.93  # wider than need be, since it is pooled with noisier rows
    assert min(dofs) > 5  # of 6


def result(verdict, effect=1.0, low=0.5, high=1.5, p=0.01):
    return {"verdict": verdict, "effect": effect, "low": low, "high": high, "reason": None, "p": p}


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


def test_deciding_comparison_of_an_open_claim_is_the_one_in_its_way():
    near = result(INCONCLUSIVE, 0.2, -0.8, 1.2)
    against = result(INCONCLUSIVE, -0.5, -1.5, 0.5)
    unknown = result(INCONCLUSIVE, 0.9, None, None)
    seeds = {**result(INCONCLUSIVE, -0.9, -1.0, -0.8), "reason": SEEDS_UNKNOWN}
    tie = result(INCONCLUSIVE, 0.0, 0.0, 0.0)
    assert judge_claim([result(SUPPORTED), near, against]) == (INCONCLUSIVE, 2)
    assert judge_claim([against, unknown, near]) == (INCONCLUSIVE, 0)
    for open_ in (unknown, seeds, tie, result(NOT_RUN, None, None, None)):
        assert judge_claim([near, open_]) == (INCONCLUSIVE, 1)


def test_p_value_of_a_claim():
    yes, no = result(SUPPORTED, p=0.02), result(CONTRADICTED, effect=-1.0, p=0.001)
    assert combine_p_values([yes, result(SUPPORTED, p=0.04)]) == 0.04
    assert combine_p_values([yes, no]) == 0.002
    assert combine_p_values([yes, result(NOT_RUN, None, p=None)]) is None
    assert combine_p_values([]) is None


def test_holm_goes_up_until_the_first_that_fails():
    # 0.01 <= 0.05 / 3, 0.02 <= 0.05 / 2, 0.03 <= 0.05.
    assert find_surviving([0.03, 0.01, 0.02]) == [True, True, True]
    # 0.03 > 0.05 / 2: it fails, and so does what comes after it.
    assert find_surviving([0.03, 0.01, 0.035]) == [False, True, False]
    assert find_surviving([]) == []
