"""What is forecast: closed forms, words, and bad input."""

import dataclasses
import json
import re

import pytest

from records.errors import UserError
from workflow.cli import main
from workflow.forecast import PROCESS_MB, compute_resources, make_forecast
from workflow.forecast_counts import FOLDER, count_networks, load_counts, make_network_key
from workflow.forecast_facts import choose_speed
from workflow.forecast_jobs import (
    Work,
    compute_chains,
    compute_set_size,
    compute_wall_seconds,
    count_steps,
    make_jobs,
)
from workflow.forecast_text import describe_start, format_flops, format_forecast, format_hours
from workflow.settings import load_plan

PAPER = load_plan({"scale": "paper"})
COUNTS = load_counts(PAPER)
V100 = choose_speed(PAPER, gpu="V100")


def check_counts(scale, models):
    plan = load_plan({"scale": scale})
    counts, known = count_networks(plan, models), load_counts(plan)
    for key, entry in counts.items():
        for name in entry.pop("models"):
            assert make_network_key(plan.models[name]) == key
            assert known[name].items() >= entry.items(), name


def test_committed_counts_are_what_counting_gives():
    check_counts("paper", ["classifier_128_stack"])


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["digits", "cifar10", "paper"])
def test_all_committed_counts_are_what_counting_gives(scale):
    check_counts(scale, None)


@pytest.mark.parametrize("scale", ["digits", "cifar10", "paper"])
def test_committed_counts_name_the_models_of_their_scale_and_no_others(scale):
    named = {}
    for name, spec in load_plan({"scale": scale}).models.items():
        named.setdefault(make_network_key(spec), []).append(name)
    committed = json.loads((FOLDER / f"{scale}.json").read_text())["networks"]
    assert {key: entry["models"] for key, entry in committed.items()} == named


def test_counts_of_another_architecture_are_stale():
    model = PAPER.models["imagenet_256"]

    def change(part, **values):
        changed = getattr(model, part).model_copy(update=values)
        models = {**PAPER.models, "imagenet_256": model.model_copy(update={part: changed})}
        return dataclasses.replace(PAPER, models=models)

    words = "imagenet_256, which is new or was changed .* python -m workflow plan --scale paper --w"
    with pytest.raises(UserError, match=words):
        load_counts(change("architecture", channels=128))
    assert load_counts(change("training", learning_rate=1.0)) == COUNTS


def test_a_scale_that_was_never_counted_says_so_and_still_gets_resources():
    plan = dataclasses.replace(PAPER, scale=PAPER.scale.model_copy(update={"name": "mine"}))
    with pytest.raises(UserError, match="have not been counted: run python -m workflow plan"):
        load_counts(plan)
    assert describe_start(plan, []).startswith("no forecast: ")
    assert compute_resources(plan, "train", "imagenet_128", "final") == {
        "mem_mb": 2000,
        "runtime": 60,
    }


def test_operations_of_training_and_sampling_are_products():
    jobs = make_jobs(PAPER, COUNTS, V100, ["reproduce_table3"])
    training = jobs["train", "imagenet_256", "final"]
    earlier = jobs["train", "imagenet_256", "1500K"]
    assert training.flops == 480_000 * 256 * COUNTS["imagenet_256"]["training_flops"]
    assert earlier.flops == 500_000 * 256 * COUNTS["imagenet_256"]["training_flops"]
    assert training.seconds == pytest.approx(training.flops / (0.365 * 125e12))
    assert training.kept_bytes == 4 * COUNTS["imagenet_256"]["num_parameters"]
    guided = jobs["sample", "t3_cond_guided_1"]
    step = COUNTS["imagenet_256"]["forward_flops"] + COUNTS["classifier_256"]["guidance_flops"]
    assert guided.flops == 50_000 * 250 * step
    assert guided.seconds == pytest.approx(guided.flops / (0.365 * 15.7e12))
    assert guided.kept_bytes == 50_000 * (3 * 256**2 + 8)
    assert ("train", "classifier_256", "final") in guided.needs


def test_marks_of_a_model_are_a_chain_that_adds_up():
    jobs = make_jobs(PAPER, COUNTS, V100, ["table1"])
    first, second = (jobs["train", "arch_heads", mark] for mark in ("700K", "1200K"))
    assert ("train", "arch_heads", "700K") in second.needs
    images = (first.flops + second.flops) / COUNTS["arch_heads"]["training_flops"]
    assert images == pytest.approx(1_200_000 * 256)


def test_samples_in_16_bits_take_the_peak_and_the_share_of_16_bits():
    sampling = PAPER.scale.sampling.model_copy(update={"precision": "bf16"})
    scale = PAPER.scale.model_copy(update={"sampling": sampling})
    samples = {
        name: spec.model_copy(
            update={"sampler": spec.sampler.model_copy(update={"precision": "bf16"})}
        )
        for name, spec in PAPER.samples.items()
    }
    plan = dataclasses.replace(PAPER, scale=scale, samples=samples)
    assert choose_speed(plan).gpu == "H100"  # a V100 has no bf16
    jobs = make_jobs(plan, COUNTS, choose_speed(plan, gpu="A100"), ["table5"])
    for name, share in (("t3_cond_guided_1", 0.147), ("t5_256_adm_admu", 0.116)):
        job = jobs["sample", name]
        assert job.seconds == pytest.approx(job.flops / (share * 312e12))


@pytest.mark.parametrize(
    ("respacing", "steps"), [("250", 250), ("ddim25", 25), ("90,60,60,20,20", 250)]
)
def test_steps(respacing, steps):
    sampler = PAPER.drawn("t3_cond").sampler.model_copy(update={"respacing": respacing})
    assert count_steps(sampler) == steps


def make_work(**seconds_and_needs):
    return {
        (name,): Work(0.0, seconds, (seconds, seconds), 0.0, tuple((need,) for need in needs))
        for name, (seconds, *needs) in seconds_and_needs.items()
    }


def test_wall_time_of_chains():
    jobs = make_work(a=(3.0,), b=(2.0, "a"), c=(4.0,), d=(0.0, "b", "c"), e=(1.0, "d"))
    assert compute_chains(jobs) == {("a",): 6, ("b",): 3, ("c",): 5, ("d",): 1, ("e",): 1}
    assert compute_wall_seconds(jobs, 1) == 10
    assert compute_wall_seconds(jobs, 2) == compute_wall_seconds(jobs, 9) == 6
    assert compute_wall_seconds({}, 1) == 0


def test_more_gpus_take_less_time_until_the_longest_chain():
    walls = [make_forecast(PAPER, ["reproduce_all"], num_gpus=count) for count in (1, 2, 8, 1000)]
    hours = [one["wall_hours"] for one in walls]
    assert hours[0] == pytest.approx(walls[0]["hours"])
    assert hours == sorted(hours, reverse=True)
    assert hours[-1] == pytest.approx(walls[0]["longest_chain_hours"])


def test_disk_follows_the_retention_policy():
    dropped, kept = (
        make_forecast(PAPER, ["table3"], keep_state=keep)["disk_bytes"] for keep in (False, True)
    )
    states = [32 * COUNTS[name]["num_parameters"] for name in
              ("imagenet_256", "imagenet_256_uncond", "classifier_256")]  # fmt: skip
    assert dropped["at most"] - dropped["at the end"] == max(states)
    assert kept["at most"] == kept["at the end"] == dropped["at the end"] + sum(states)
    assert dropped["samples"] == 6 * 50_000 * (3 * 256**2 + 8)


def test_image_sets_are_counted_by_their_pixels():
    num_images, num_bytes = compute_set_size(PAPER, "imagenet_64")
    assert (num_images, num_bytes) == (1_281_167, 1_281_167 * 3 * 64**2 * 0.75)
    ships = compute_set_size(load_plan({"scale": "cifar10"}), "lsun_bedroom_256")
    assert ships[0] == 5000
    assert compute_set_size(load_plan({}), "imagenet_64") == (0, 0)


def test_the_utilisation_scales_the_hours_and_the_gpu_its_peak():
    v100, half, a100 = (
        make_forecast(PAPER, ["table6"], gpu=gpu, utilisation=share)["stages"]["train"]["hours"]
        for gpu, share in (("V100", 0.4), ("V100", 0.2), ("A100", 0.4))
    )
    assert half == pytest.approx(2 * v100) and a100 == pytest.approx(v100 * 125 / 312)


def test_the_range_of_hours_is_that_of_the_shares():
    forecast = make_forecast(PAPER, ["table6"], gpu="A100", num_gpus=2)
    for entry in (forecast["stages"]["train"], *forecast["models"]):
        low, high = entry["hours_range"]
        assert low == pytest.approx(entry["hours"] * 0.147 / 0.208)
        assert high == pytest.approx(entry["hours"] * 0.147 / 0.128)
    for row in forecast["rows"]:
        assert row["hours_range"] == pytest.approx(
            [row["hours"] * 0.365, row["hours"] * 0.365 / 0.128]
        )
    for end in (0, 1):
        stages = sum(stage["hours_range"][end] for stage in forecast["stages"].values())
        assert forecast["hours_range"][end] == pytest.approx(stages)
    low, high = forecast["wall_hours_range"]
    assert low < forecast["wall_hours"] < high < forecast["hours_range"][1]
    stated = make_forecast(PAPER, ["table6"], gpu="A100", utilisation=0.4)
    assert stated["hours_range"] == pytest.approx([stated["hours"]] * 2)


def test_resources_follow_from_the_forecast():
    train = compute_resources(PAPER, "train", "imagenet_128", "final")
    job = make_jobs(PAPER, COUNTS, V100, ["all"])["train", "imagenet_128", "final"]
    assert job.seconds_range[1] > 1.5 * job.seconds  # the slow end counts where it is more
    assert train["runtime"] == pytest.approx(job.seconds_range[1] / 60, abs=1)
    # The state's four tensors, the network, and one more while they are read.
    assert train["mem_mb"] > 24 * COUNTS["imagenet_128"]["num_parameters"] / 1e6
    samples = compute_resources(PAPER, "sample", "t4_512_adm")["mem_mb"] - PROCESS_MB
    # The network once, and the images of a shard twice: not the batch's.
    network = 4 * COUNTS["imagenet_512"]["num_parameters"] / 1e6
    shard = PAPER.scale.sampling.images_per_shard * 3 * 512**2 / 1e6
    assert network + 2 * shard < samples < network + 2 * shard + 1 < 50_000 * 3 * 512**2 / 1e6
    # The base of a stack is read a shard at a time: bytes, and float32 of them.
    stack = compute_resources(PAPER, "sample", "t5_512_adm_admu")["mem_mb"] - PROCESS_MB
    other = 4 * COUNTS["upsampler_128_512"]["num_parameters"] / 1e6
    base = PAPER.scale.sampling.images_per_shard * (3 * 128**2 + 8) * 5 / 1e6
    assert stack == pytest.approx(other + 2 * shard + base, abs=2)
    # Real images against real ones: pool, spatial and softmax of both halves, twice; not of all.
    ceilings = {
        compute_resources(PAPER, "ceiling", task)["mem_mb"]
        for task in ("imagenet_64", "lsun_bedroom_256")
    }
    assert len(ceilings) == 1
    assert 2 * 4 * (2048 + 2023 + 1008) * 100_000 / 1e6 < ceilings.pop() - PROCESS_MB < 8000
    for key in make_jobs(PAPER, COUNTS, V100, ["all"]):
        if key[0] in ("train", "sample", "evaluate", "accuracy", "ceiling"):
            wanted = compute_resources(PAPER, *key)
            assert all(isinstance(value, int) for value in wanted.values())
            assert wanted["mem_mb"] >= 2000 and wanted["runtime"] >= 60
    small = compute_resources(load_plan({}), "train", "arch_heads", "700K")
    assert small["mem_mb"] < 2000 and small["runtime"] == 60


def test_a_start_is_announced_when_it_takes_more_than_an_hour_or_ten_gigabytes():
    jobs = [("train", "imagenet_64", "final"), ("table", "table3"), ("reproduce_table3",)]
    said = describe_start(PAPER, jobs)
    assert said.startswith("forecast: 1 jobs that compute, 116.2 days (108.8 days to ")
    assert " of V100 time; 1.18 GB on disk; " in said
    assert said.endswith("; python -m workflow plan --scale paper --source retrain says "
                         "more, and for other GPUs")  # fmt: skip
    assert describe_start(PAPER, jobs[1:]) is None
    rescore = load_plan({"scale": "paper", "source": "rescore"})
    files = [rescore.samples[name].released for name in ("t3_cond", "t4_512_adm")]
    fetched = [("fetch_npz", one.removesuffix(".npz")) for one in files]
    said = describe_start(rescore, fetched)
    assert "0.0 minutes of V100 time; 49.2 GB on disk (2 downloads of 49.2 GB among them)" in said
    assert describe_start(rescore, fetched[:1]) is None
    digits = load_plan({})
    everything = list(make_jobs(digits, load_counts(digits), choose_speed(digits), ["all"]))
    assert describe_start(digits, everything[:40]) is None


def test_the_printed_plan(capsys):
    assert main(["plan", "--scale", "paper", "--gpu", "A100", "--num-gpus", "8", "guidance"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].startswith("Forecast of guidance at scale paper, source retrain")
    assert "8 x A100 (NVIDIA A100, SXM4; peak TFLOP/s fp16 312" in text
    assert "diffusion 0.147 (0.128 to 0.208), upsampler" in text
    assert "fitted on EDM's training of the ImageNet-64 network" in text
    assert re.search(r"^stage .* A100 h +from +to$", text, re.M)
    assert re.search(r"^Total: .* days \(.* days to .* days\) of A100 time; wall ", text, re.M)
    line = next(one for one in text.splitlines() if one.startswith("imagenet_256 ")).split()
    assert line[1:5] == ["6", "1,980,000", "256", "2.24"] and line[-1] == "916"
    assert "each optimiser state goes after its model's last mark" in text
    assert re.search(r"imagenet_256 ADM-G \(1980K\), generator +916 +917 +864$", text, re.M)


def test_the_plan_as_json(capsys):
    assert main(["plan", "--scale", "paper", "--json", "reproduce_table6", "table6"]) == 0
    forecast = json.loads(capsys.readouterr().out)
    assert forecast["tables"] == ["table6"] and forecast["jobs"]["train"] == 2
    assert forecast == json.loads(json.dumps(make_forecast(PAPER, ["reproduce_table6", "table6"])))
    assert [one["name"] for one in forecast["models"]] == [
        "attention_head_channels_64",
        "embedding_addition",
    ]


def test_sources_leave_out_what_was_published():
    rescored = make_forecast(load_plan({"scale": "paper", "source": "rescore"}), ["table4"])
    assert rescored["models"] == rescored["rows"] == rescored["paper"] == []
    assert rescored["disk_bytes"]["published files"] > 100e9
    assert "model  " not in format_forecast(rescored)
    resampled = make_forecast(load_plan({"scale": "paper", "source": "resample"}), ["table4"])
    assert resampled["models"] == [] and len(resampled["rows"]) == 14


def test_a_device_of_measured_rates_says_where_they_are_from():
    text = format_forecast(make_forecast(load_plan({"scale": "digits"}), ["table6"]))
    assert "on 1 x cpu-core (one core of the machine of docs/results.md; measured)." in text
    assert re.search(r"^stage .* cpu-core h$", text, re.M)
    assert re.search(r"^Total: [0-9.]+ minutes of cpu-core time; wall", text, re.M)


def test_small_networks_come_with_a_warning():
    text = format_forecast(make_forecast(load_plan({"scale": "cifar10"}), ["table6"]))
    assert "1 x H100" in text and "will reach less of a GPU's peak" in text
    assert "will reach less" not in format_forecast(make_forecast(PAPER, ["table6"]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table9"], "target: got 'table9'; needed: reproduce_all, or one of table1, architecture"),
        (["--gpu", "V200"], "--gpu: got 'V200'; needed: one of V100, A100, H100, H200, cpu-core"),
        (["--gpu", "cpu-core", "--utilisation", "0.5"], "cpu-core has measured rates and no peak"),
        (["--scale", "cifar10", "--gpu", "V100"], "--gpu V100: has no bf16, in which this scale"),
        (["--source", "rescore", "table1"], "table1: no row of it has source rescore"),
    ],
)
def test_bad_input(arguments, words, capsys):
    scale = [] if "--scale" in arguments else ["--scale", "paper"]
    assert main(["plan", *scale, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_numbers_as_people_read_them():
    assert format_flops(2.0551e21) == "2.06 ZFLOP" and format_flops(1e9) == "1 GFLOP"
    assert [format_hours(hours) for hours in (0.5, 3.14, 12_513.0)] == [
        "30.0 minutes",
        "3.1 hours",
        "521.4 days",
    ]
