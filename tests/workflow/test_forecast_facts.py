"""The forecast against published figures: the paper's throughput and days, and those on A100s."""

import pytest
import yaml

from tests.workflow.conftest import ROOT
from workflow.forecast_counts import load_counts
from workflow.forecast_facts import (
    choose_speed,
    compute_counted_days,
    compute_published_days,
    load_devices,
    load_published,
)
from workflow.settings import load_plan

TABLES = yaml.safe_load((ROOT / "tests" / "data" / "paper_tables.yaml").read_text())
PAPER = load_plan({"scale": "paper"})
COUNTS = load_counts(PAPER)
PUBLISHED = load_published()
V100 = choose_speed(PAPER, gpu="V100")
ENTRIES = [pytest.param(one, id=one["task"] + " " + one["label"]) for one in PUBLISHED["compute"]]


def test_published_figures_are_those_of_the_papers_tables():
    rows = TABLES["throughput"]["rows"]
    pairs = [
        [next(one[3] for one in rows if one[:2] == [model, kind]) for kind in kinds]
        for kinds in [("optimised", "naive", "theoretical")]
        for model in dict.fromkeys(row[0] for row in rows)
    ]
    assert pairs == [
        [one["images_per_s"], one["naive_images_per_s"], one["bound_images_per_s"]]
        for one in PUBLISHED["throughput"]
    ]
    ours = [row for row in TABLES["compute"]["rows"] if row[2] is not None]
    assert [row[:4] for row in ours] == [
        [one["task"], one["label"], one["generator_days"], one.get("classifier_days")]
        for one in PUBLISHED["compute"]
    ]


@pytest.mark.parametrize("entry", ENTRIES)
def test_images_per_second_give_the_papers_generator_days(entry):
    days = compute_published_days(PAPER, entry["generator"])
    assert days == pytest.approx(entry["generator_days"], rel=0.02)


@pytest.mark.parametrize(
    ("iterations", "days"),
    [
        ({"imagenet_128": 4_360_000}, 4_360_000 * 256 / 24.8 / 86_400),
        ({"imagenet_256": 1_980_000}, 1_980_000 * 256 / 6.4 / 86_400),
        (
            {"imagenet_64": 540_000, "upsampler_64_256": 500_000},
            (540_000 * 2048 / 74.1 + 500_000 * 256 / 9.5) / 86_400,
        ),
    ],
)
def test_days_are_iterations_times_batch_over_images_per_second(iterations, days):
    assert compute_published_days(PAPER, iterations) == pytest.approx(days)
    assert any(round(days) == known for known in (521, 917, 329))


@pytest.mark.parametrize("entry", ENTRIES)
def test_counted_operations_give_the_papers_days(entry):
    days = compute_counted_days(PAPER, COUNTS, entry["generator"], V100)
    assert days == pytest.approx(entry["generator_days"], rel=0.25)
    if entry.get("classifier"):
        days = compute_counted_days(PAPER, COUNTS, entry["classifier"], V100)
        assert days == pytest.approx(entry["classifier_days"], rel=0.25)


@pytest.mark.parametrize("entry", PUBLISHED["throughput"], ids=lambda one: one["models"][0])
def test_counted_operations_give_the_papers_upper_bound_of_images_per_second(entry):
    for model in entry["models"]:
        bound = PUBLISHED["bound_tflops"] * 1e12 / COUNTS[model]["training_flops"]
        assert bound == pytest.approx(entry["bound_images_per_s"], rel=0.005)


def find_published_shares():
    """Shares of a V100's peak: of each network of Table 7 twice, of each classifier of Table 10."""
    peak = V100.peak_tflops["fp16"] * 1e12
    shares = {"diffusion": {}, "upsampler": {}, "classifier": {}}
    for one in PUBLISHED["throughput"]:
        model = one["models"][0]
        for kind in ("images_per_s", "naive_images_per_s"):
            share = one[kind] * COUNTS[model]["training_flops"] / peak
            shares[PAPER.models[model].kind][model, kind] = share
    for one in PUBLISHED["compute"]:
        for model, iterations in (one.get("classifier") or {}).items():
            images = iterations * PAPER.models[model].training.batch_size
            flops = images * COUNTS[model]["training_flops"]
            days = one["classifier_days"]
            shares["classifier"][model, iterations] = flops / peak / (days * 86_400)
    return shares


def find_shares_on_a100():
    """Shares of an A100's peak: of EDM's training, and of drawing 50,000 samples."""
    training, sampling = PUBLISHED["a100"]["training"], PUBLISHED["a100"]["sampling"]
    rate = training["images"] / (training["gpus"] * training["days"] * 86_400)
    steps = sampling["images"] * sampling["steps"] / (sampling["days"] * 86_400)
    return (
        rate * COUNTS[training["model"]]["training_flops"] / 312e12,
        steps * COUNTS[sampling["model"]]["forward_flops"] / 312e12,
    )


def test_utilisation_is_fitted_on_the_figures_that_are_named():
    known = load_devices()["utilisation"]
    shares = find_published_shares()
    edm, drawn = find_shares_on_a100()
    fitted = {
        "diffusion": shares["diffusion"]["imagenet_128", "images_per_s"],
        "upsampler": shares["upsampler"]["upsampler_64_256", "images_per_s"],
        "classifier": shares["classifier"]["classifier_256", 500_000],
    }
    naive = {key[0]: share for key, share in shares["diffusion"].items() if "naive" in key[1]}
    lowest = edm * min(naive.values()) / naive["imagenet_64"]
    ratio = edm / fitted["diffusion"]
    for kind, fit in fitted.items():
        here = fit / fitted["diffusion"]
        ends = min(shares[kind].values()), max(shares[kind].values())
        assert known["V100"][kind] == pytest.approx([ends[0], fit, ends[1]], abs=5e-4)
        a100 = [lowest * here, edm * here, drawn * here]
        assert known["A100"][kind] == pytest.approx(a100, abs=5e-4)
        assert known["H100"][kind] == pytest.approx([a100[0] * ratio, a100[1], fit], abs=5e-4)
    for family in known.values():
        low, fit, _ = family["diffusion"]
        assert family["float32"] == [low, known["V100"]["diffusion"][1], 1.0]


def test_an_a100_trains_the_imagenet_64_model_as_fast_as_edms_log_says():
    speed = choose_speed(PAPER, gpu="A100")
    low, fit, high = (
        rate / COUNTS["imagenet_64"]["training_flops"]
        for rate in speed.compute_rates("training", "fp16", "diffusion")
    )
    assert fit == pytest.approx(70, abs=1) and low < fit < high
    h100 = choose_speed(PAPER, gpu="H100").compute_rates("training", "bf16", "diffusion")
    a100 = speed.compute_rates("training", "bf16", "diffusion")
    assert h100[2] / h100[0] > 4 * a100[2] / a100[0]
