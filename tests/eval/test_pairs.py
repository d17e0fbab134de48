"""Differences of batches: right values, pairs only where there are any, and as pages have them."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from eval.metrics.registry import compute_metrics
from eval.pairs import compare
from eval.result import GradingResult, make_metric
from records.contributions import find_contributions, read_contributions
from records.errors import UserError
from records.metrics import PAPER
from reports.claims import judge_comparison
from reports.replicates import Replicate
from specs.page import CellAddress, PageComparison
from specs.results import MetricsFile
from tests.eval.test_pairing import NUM, make_features, make_reference

SPEC = {"spec": {"seed": 3, "label_policy": "random"}, "range": [0, NUM]}
T = 1.971957  # Student's quantile at 199 degrees of freedom
LATENTS = np.random.default_rng(0).normal(size=(2, NUM, 6))


def grade_latent(latent, name, told=SPEC, scale=1.2):
    reference = make_reference(np.random.default_rng(1))
    values, contributions = compute_metrics(reference, make_features(latent, scale))
    protocol = {
        "samples": {"sha256": name, **told},
        "reference": {"sha256": "r"},
        "network": {"sha256": "n"},
        "seed": 0,
        "distances": "exact",
    }
    counts = {"samples": len(latent), "reference": 500, "reference_precision_recall": 500}
    metrics = {key: make_metric(content) for key, content in values.items()}
    return GradingResult(name, metrics, (), counts, protocol, contributions=contributions)


FIRST = grade_latent(LATENTS[0], "first")
LIKE = grade_latent(0.9 * LATENTS[0] + 0.436 * LATENTS[1], "like", scale=1.3)


def test_equal_batches_differ_by_nothing():
    """Of shares the interval of Agresti and Min counts one image whose membership differs."""
    found = compare(replace(FIRST, name="again"), FIRST)
    assert (found.name, found.against, found.paired, found.reason) == ("again", "first", True, None)
    assert list(found.differences) == ["is", "fid", "sfid", "precision", "recall"]
    for name in ("is", "fid", "sfid"):
        assert found.differences[name].value == 1
        assert found.differences[name].interval == (1, 1)
    for name, num in (("precision", NUM), ("recall", 500)):
        assert found.differences[name].value == 0
        assert found.differences[name].interval == pytest.approx((-T / (num + 2), T / (num + 2)))


def test_values_are_ratios_and_differences_with_the_intervals_of_pairs():
    found = compare(LIKE, FIRST).differences
    left, right = (one.values["fid"] for one in (LIKE, FIRST))
    assert found["fid"].value == pytest.approx(left / right)
    one, other = (r.contributions["fid"] for r in (LIKE, FIRST))
    assert found["fid"].interval[0] < left / right < found["fid"].interval[1]
    for ratio in found["fid"].interval:
        # An end lies as far away as the error reaches if it were the true ratio.
        middle = (left + ratio * right) / 2
        each = (one.each - ratio * other.each) / middle
        pairs = (one.pairs - ratio * other.pairs) / middle
        curved = 2 * np.mean(pairs**2) / NUM**2
        half = T * math.sqrt(max(each.var(ddof=1) / NUM - curved, curved))
        assert abs(math.log(left / right / ratio)) == pytest.approx(half)
    members = [r.contributions["precision"].each for r in (LIKE, FIRST)]
    gains, losses = (int((a & ~b).sum()) for a, b in (members, members[::-1]))
    assert gains and losses
    assert found["precision"].value == pytest.approx((gains - losses) / NUM)
    variance = (gains + losses + 1 - (gains - losses) ** 2 / (NUM + 2)) / (NUM + 2) ** 2
    half = T * math.sqrt(variance)
    assert found["precision"].interval == pytest.approx(
        (found["precision"].value - half, found["precision"].value + half)
    )


@pytest.mark.parametrize("metric", PAPER)
def test_pages_find_the_same(metric, tmp_path):
    """A page judges the same two files as a comparison of one seed and one trained model."""
    cells = []
    for result in (LIKE, FIRST):
        path = tmp_path / f"{result.name}.json"
        result.write(path)
        content = MetricsFile.model_validate(result.as_dict())
        stored = read_contributions(find_contributions(path), result.protocol)
        cells.append({0: Replicate(content, stored)})
    is_ratio = metric in ("is", "fid", "sfid")
    addresses = [CellAddress(row=name, mark="final") for name in ("like", "first")]
    comparison = PageComparison(
        metric=metric,
        left=addresses[0],
        relation="greater",
        right=addresses[1],
        factor=1.0,
        margin=0.0,
        towards=None,
        statistic="ratio" if is_ratio else "difference",
        trained_models_differ=False,
    )
    page = judge_comparison(comparison, cells, {}, {})
    assert page["paired"]
    found = compare(LIKE, FIRST).differences[metric]
    here = [found.value, *found.interval]
    here = [math.log(one) if is_ratio else one for one in here]
    assert here == pytest.approx([page["effect"], page["low"], page["high"]], rel=1e-5, abs=1e-9)


SHUFFLED = {**SPEC, "graded": {"order": "random"}}
OTHER_SEED = {**SPEC, "spec": {**SPEC["spec"], "seed": 4}}
OTHER_LABELS = {**SPEC, "spec": {**SPEC["spec"], "label_policy": "balanced"}}
DRAWN = {"spec": None, "seeds": {"sampling": 3}, "labels": [1, 2]}
PUBLISHED = {"spec": {"released": "samples.npz"}}


@pytest.mark.parametrize(
    ("told", "others", "says", "words"),
    [
        (SHUFFLED, SPEC, True, "graded in a random order"),
        (SHUFFLED, SHUFFLED, True, "graded in a random order"),
        (OTHER_SEED, SPEC, True, "name other seeds, labels or ranges"),
        (OTHER_LABELS, SPEC, True, "name other seeds, labels or ranges"),
        ({**SPEC, "range": [200, 400]}, SPEC, True, "name other seeds, labels or ranges"),
        ({**DRAWN, "labels": [2, 2]}, DRAWN, True, "name other seeds, labels or ranges"),
        (DRAWN, DRAWN, False, None),
        (SPEC, SPEC, False, None),
        ({}, SPEC, False, r"no manifest says that .* give --paired \(paired=True\)"),
        (PUBLISHED, PUBLISHED, False, r"no manifest says that"),
        ({"spec": "x", "graded": 1, "seeds": []}, {}, False, r"no manifest says that"),
        ({}, {}, True, None),
    ],
)
def test_pairs_are_taken_where_label_and_noise_are_known_to_be_shared(told, others, says, words):
    left, right = (
        replace(one, protocol={**one.protocol, "samples": {"sha256": one.name, **about}})
        for one, about in ((LIKE, told), (FIRST, others))
    )
    found = compare(left, right, paired=says)
    assert found.paired == (words is None)
    pairs = compare(LIKE, FIRST).differences
    if words is None:
        assert found.reason is None and found.differences == pairs
        return
    assert re.search(words, found.reason)
    errors = [one.metrics["precision"].std_error for one in (LIKE, FIRST)]
    half = T * math.hypot(*errors)
    low, high = found.differences["precision"].interval
    assert (high - low) / 2 == pytest.approx(half)
    (left, error), (right, other) = (
        (one.values["fid"], one.metrics["fid"].std_error) for one in (LIKE, FIRST)
    )
    for ratio in found.differences["fid"].interval:
        half = T * math.hypot(error, ratio * other) / ((left + ratio * right) / 2)
        assert abs(math.log(left / right / ratio)) == pytest.approx(half)


def test_a_shuffled_copy_is_unpaired_and_wider_than_pairs():
    order = np.random.default_rng(2).permutation(NUM)
    copy = grade_latent(LATENTS[0][order], "copy", SHUFFLED)
    found = compare(copy, FIRST)
    assert not found.paired
    low, high = found.differences["fid"].interval
    assert found.differences["fid"].value == pytest.approx(1) and low < 0.95 < 1.05 < high


def test_other_counts_are_unpaired():
    found = compare(grade_latent(LATENTS[0][:150], "few"), FIRST, paired=True)
    assert (found.paired, found.reason) == (False, "it has 150 samples, the other 200")


def test_a_value_of_0_has_no_ratio():
    perfect = replace(FIRST, metrics={**FIRST.metrics, "fid": make_metric({"value": 0.0, **NO})})
    found = compare(LIKE, perfect)
    assert found.differences["fid"] is None and found.differences["sfid"] is not None
    assert found.as_dict()["metrics"]["fid"] == {
        "statistic": "ratio", "value": None, "interval": None,
    }  # fmt: skip


NO = {"std_error": 0.0, "interval": [0.0, 0.0]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contributions": {}}, "like and first: no metric of both .* grade both with --intervals"),
        ({"reference": {"sha256": "other"}}, "like and first: graded with reference other and r;"),
        ({"network": {"sha256": "m"}}, "graded with network m and n; grade both with the same"),
        ({"seed": 1}, "graded with seed 1 and 0"),
        ({"distances": "float16"}, "graded with distances float16 and exact"),
    ],
)
def test_what_does_not_compare_is_refused(change, words):
    if "contributions" not in change:
        change = {"protocol": {**LIKE.protocol, **change}}
    with pytest.raises(UserError, match=words):
        compare(replace(LIKE, **change), FIRST)
