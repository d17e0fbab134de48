import math

import pytest
from scipy.stats import t as student

from reports.claims import CONTRADICTED, INCONCLUSIVE, NOT_RUN, SUPPORTED
from reports.deciding import LIMIT, Need, describe_need, find_claim_need, find_need


def judged(effect, variance=0.01, between=0.0, dof=12.0, seeds=3, verdict=INCONCLUSIVE):
    null = {"variance": variance, "between": between, "dof": dof}
    return {"effect": effect, "null": null, "seeds": seeds, "verdict": verdict}


def decides(one, variance, dof):
    """Whether an effect of a variance is significant at 95 %."""
    return abs(one["effect"]) > student.ppf(0.975, dof) * math.sqrt(variance)


@pytest.mark.parametrize("effect", [0.05, -0.12, 0.2])
@pytest.mark.parametrize("between", [0.0, 0.0005, 0.004])
def test_what_is_said_to_decide_decides_and_less_does_not(effect, between):
    one = judged(effect, between=between)
    need = find_need(one)
    assert need is not None and need.side == (SUPPORTED if effect > 0 else CONTRADICTED)

    def with_samples(times):
        return between + (0.01 - between) / times

    def with_seeds(num):
        return 0.01 * 3 / num, 12 * (num - 1) / 2

    if math.isfinite(need.samples):
        assert decides(one, with_samples(need.samples * 1.001), 12)
        assert not decides(one, with_samples(need.samples * 0.999), 12)
    else:
        assert not decides(one, with_samples(1e12), 12)
    assert decides(one, *with_seeds(need.seeds))
    assert not decides(one, *with_seeds(need.seeds - 1))


def test_the_spread_between_seeds_is_not_lowered_by_samples():
    need = find_need(judged(0.1, between=0.009))
    assert need is not None and need.samples == math.inf and need.seeds == 12


def test_one_seed_says_nothing_of_more_and_tiny_effects_have_no_number():
    need = find_need(judged(0.1, seeds=1))
    assert need is not None and need.seeds == math.inf and need.samples > 1
    need = find_need(judged(1e-6))
    assert need is not None and need.seeds == math.inf and need.samples > LIMIT
    assert "too close to none" in describe_need(need, 3)
    assert find_need({**judged(0.1), "null": None}) is None
    assert find_need(judged(0.0)) is None and describe_need(None, 3) == ""


def test_one_comparison_decides_against_a_claim_and_all_for_it():
    small, large = judged(0.05), judged(0.15)
    need = find_claim_need([large, small, judged(9.0, verdict=SUPPORTED)])
    assert need == find_need(small)
    against = judged(-0.1)
    assert find_claim_need([small, against, judged(-0.05)]) == find_need(against)
    assert find_claim_need([small, {**large, "null": None}]) is None


def test_nothing_is_promised_while_a_comparison_was_not_run():
    missing = {**judged(None, verdict=NOT_RUN), "null": None}
    assert find_claim_need([judged(0.1), missing]) is None
    assert find_claim_need([judged(-0.1), missing]) == find_need(judged(-0.1))


def test_words_name_side_and_ways():
    both = describe_need(Need(SUPPORTED, 3.41, 9), 3)
    assert both == (
        "If the effect stays as it is, 9 training seeds (here 3) or 3.5 times as many samples "
        "would support the claim."
    )
    seeds = describe_need(Need(CONTRADICTED, math.inf, 15), 3)
    assert "15 training seeds (here 3) would contradict the claim; more samples alone" in seeds
    samples = describe_need(Need(SUPPORTED, 12.2, math.inf), 1)
    assert "is, 13 times as many samples would support" in samples
