"""The benchmark's own parts: turns, memory, and which variants a machine gets."""

from functools import partial

import pytest

from bench import speed


@pytest.fixture
def short_turns(monkeypatch):
    monkeypatch.setattr(speed, "TURN_SECONDS", 1e-9)


def test_variants_are_measured_in_turns_there_and_back(short_turns):
    calls = []
    work = {name: (lambda name=name: calls.append(name)) for name in "abc"}
    seconds = speed.measure(work, "cpu")
    assert "".join(calls) == "cbaabc" * (len(calls) // 6)
    assert len(calls) == 3 * (speed.NUM_ROUNDS + 1)
    assert set(seconds) == set("abc") and min(seconds.values()) > 0


def hold(num_bytes):
    held = bytearray(b"x") * num_bytes
    return lambda: len(held)


def test_peak_memory_counts_what_the_work_takes_and_nothing_of_this_process():
    here = bytearray(b"x") * (400 * 2**20)
    small = speed.measure_peak_memory_mb(partial(hold, 1), "cpu")
    del here
    large = speed.measure_peak_memory_mb(partial(hold, 100 * 2**20), "cpu")
    assert 95 < large - small < 105


@pytest.mark.parametrize(("device", "amx", "num"), [("cpu", False, 2), ("cpu", True, 3)])
def test_channels_last_is_measured_where_it_can_gain(monkeypatch, device, amx, num):
    monkeypatch.setattr(speed, "has_amx", lambda: amx)
    assert len(speed.choose_variants(device)) == num
    assert len(speed.choose_variants("cuda")) == 3


def test_both_models_train_and_sample(short_turns):
    for shape, _ in speed.make_architectures().values():
        small = shape.model_copy(update={"image_size_px": 8, "attention_resolutions": [4]})
        for make in (speed.make_training, speed.make_sampling):
            options = {"batch": 2, "device": "cpu", **speed.VARIANTS["eager bf16"]}
            make(small, **options)()
