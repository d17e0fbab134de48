import math

import pytest

from reports.effects import compute_effect, compute_published_effect, holds
from specs.page import CellAddress, PageComparison


def comparison(relation="greater", factor=1.0, margin=0.0, statistic="difference"):
    left, right, towards = (CellAddress(row=name, mark="final") for name in "abc")
    return PageComparison(
        metric="fid",
        left=left,
        relation=relation,
        right=right,
        factor=factor,
        margin=margin,
        towards=towards if relation == "nearer" else None,
        statistic=statistic,
        trained_models_differ=False,
    )


CASES = [
    comparison("greater", 0.5, 0.1),
    comparison("less", 2.0),
    comparison("greater", 0.5, statistic="ratio"),
    comparison("less", 2.0, statistic="ratio"),
    comparison("nearer", 0.5),
]


@pytest.mark.parametrize("case", CASES)
def test_slopes_match_finite_differences(case):
    point = [12.0, 26.0, 10.0][: len(case.addresses)]
    effect = compute_effect(case, point)
    for index, slope in enumerate(effect.raw_slopes):
        moved = list(point)
        moved[index] += 1e-6
        change = (compute_effect(case, moved).value - effect.value) / 1e-6
        assert change == pytest.approx(slope, abs=1e-6)
        on_scale = point[index] if case.statistic == "ratio" else 1.0
        assert effect.slopes[index] == pytest.approx(slope * on_scale)


def test_effects_are_positive_when_the_claim_holds():
    assert compute_effect(
        comparison("less", statistic="ratio"), [5.0, 10.0]
    ).value == pytest.approx(math.log(2))
    assert compute_effect(comparison("greater", 2.0), [5.0, 2.0]).value == 1.0
    assert compute_effect(comparison("less", margin=0.5), [1.2, 1.0]).value == pytest.approx(0.3)
    # 1 against half of 16; and from the other side.
    assert compute_effect(comparison("nearer", 0.5), [11.0, 26.0, 10.0]).value == 7.0
    assert compute_effect(comparison("nearer", 0.5), [9.0, 26.0, 10.0]).value == 7.0


@pytest.mark.parametrize("statistic", ["ratio", "difference"])
def test_published_numbers_are_judged_without_intervals(statistic):
    def judge(*arguments, values, **options):
        return holds(
            compute_published_effect(comparison(*arguments, statistic=statistic, **options), values)
        )

    assert judge("less", values=[4.59, 10.94]) is True
    assert judge("greater", values=[4.59, 10.94]) is False
    assert judge("less", 2.1, values=[5.98, 2.97]) is True
    assert judge("less", values=[0.1 + 0.2, 0.3]) is False
    assert judge("less", values=[None, 1.0]) is None


def test_published_distances_are_judged():
    assert holds(compute_published_effect(comparison("nearer", 0.5), [12.0, 26.21, 10.94])) is True
    assert holds(compute_published_effect(comparison("nearer", 0.5), [12.0, 26.21, None])) is None
    assert (
        holds(compute_published_effect(comparison("greater", margin=0.02), [0.63, 0.65])) is False
    )
