import json
import os
import re
import signal
import threading
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

import adm.training.step
from adm.training.loop import make_state
from adm.training.state import STATE_NAME
from adm.training.watchdog import Diverged
from adm.weights.files import read_header
from records.errors import UserError
from records.events import read_events
from records.files import canonical_json, sha256_file
from records.interrupts import Stopped
from records.locks import exclusive_lock
from records.manifest import read_manifest
from records.system_metrics import watch_machine
from tests.adm.training_case import make_data, make_spec, random_images, run, write_set


def events_of(folder, name):
    return [one for one in read_events(folder / "events.jsonl")[0] if one["event"] == name]


@pytest.mark.parametrize("kind", ["diffusion", "upsampler", "classifier"])
def test_weights_say_what_they_are_and_events_tell_the_way(tmp_path, kind):
    spec = make_spec(kind)
    path = run(tmp_path, spec, 4, mark="250K")
    about = read_header(path)
    assert about.spec.content() == spec.content()
    assert (about.digest, about.mark, about.iteration) == (spec.digest, "250K", 4)
    assert path.samefile(tmp_path / "state" / "ema-4.safetensors")
    assert load_file(path).keys() == make_state(spec).model.state_dict().keys()
    events = read_events(tmp_path / "events.jsonl")[0]
    events = [one for one in events if one["event"] != "system"]
    *events, made = events
    assert [one["event"] for one in events] == ["start", "progress", "progress", "mark", "end"]
    assert made["event"] == "made" and made["files"] == {str(path): sha256_file(path)}
    assert [one.get("iteration") for one in events] == [0, 2, 4, 4, 4]
    needed = {"loss", "grad_norm", "lr", "images_per_second"}
    needed |= {"accuracy_by_quarter"} if kind == "classifier" else {"mse", "vb"}
    assert needed <= events[1].keys()
    assert events[-1]["cpu_seconds"] > 0


@pytest.mark.parametrize(
    ("kind", "iterations", "share"), [("diffusion", 60, 0.6), ("classifier", 300, 0.95)]
)
def test_training_learns(tmp_path, kind, iterations, share):
    options = {"learning_rate": 5e-3, "batch_size": 32}
    run(tmp_path, make_spec(kind, **options), iterations, log_every_iterations=30)
    events = events_of(tmp_path, "progress")
    assert events[-1]["loss"] < share * events[0]["loss"]
    if kind == "classifier":  # what little noise leaves can be read, what much noise leaves cannot
        little, *_, much = events[-1]["accuracy_by_quarter"]
        assert little > 0.4 > 0.2 > much


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path):
    first, second, third = (
        run(tmp_path, make_spec(seed=seed), 2, state=f"s{i}", out=f"o{i}").read_bytes()
        for i, seed in enumerate((0, 0, 1))
    )
    assert first == second != third


def test_a_look_at_the_machine_changes_no_number(tmp_path, monkeypatch):
    first = run(tmp_path, make_spec(), 4, state="s1", out="o1").read_bytes()
    assert events_of(tmp_path, "system") == []
    often = partial(watch_machine, interval_s=0.001)
    monkeypatch.setattr("records.events.watch_machine", often)
    assert run(tmp_path, make_spec(), 4, state="s2", out="o2").read_bytes() == first
    told = events_of(tmp_path, "system")
    assert told and all(one["process_memory_usage_megabytes"] > 10 for one in told)


def test_annealing_reaches_the_optimiser(tmp_path):
    spec = make_spec("classifier", anneal_iterations=4)
    run(tmp_path, spec, 4, log_every_iterations=1)
    rates = [one["lr"] for one in events_of(tmp_path, "progress")]
    assert rates == pytest.approx([1e-3, 0.75e-3, 0.5e-3, 0.25e-3])


def test_iterations_out_of_range(tmp_path):
    with pytest.raises(UserError, match=r"mark final: 0 iterations; needed: 1"):
        run(tmp_path, make_spec(), 0)
    with pytest.raises(UserError, match=r"5 iterations; needed: 1 to anneal_iterations, 4"):
        run(tmp_path, make_spec(anneal_iterations=4), 5)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_16_bit_training_runs_and_goes_on(tmp_path, precision):
    spec = make_spec(precision=precision)
    whole = run(tmp_path, spec, 6)
    run(tmp_path, spec, 3, state="cut", out="part")
    resumed = run(tmp_path, spec, 6, state="cut", out="resumed")
    assert whole.read_bytes() == resumed.read_bytes()
    states = [load_state_texts(tmp_path / name) for name in ("state", "cut")]
    assert states[0] == states[1]
    if precision == "fp16":
        skipped = sum(one["skipped"] for one in events_of(tmp_path, "progress")[:3])
        scale = json.loads(states[0]["loss_scale"])
        assert scale["exponent"] == pytest.approx(20 - skipped + 0.001 * (6 - skipped))


def load_state_texts(folder):
    from safetensors import safe_open

    with safe_open(folder / STATE_NAME, framework="pt") as file:
        return file.metadata()


def test_a_mark_that_was_reached_is_not_trained_again(tmp_path, monkeypatch):
    spec = make_spec()
    path = run(tmp_path, spec, 3)
    content = path.read_bytes()
    path.unlink()
    monkeypatch.setattr("adm.training.loop.make_state", None)
    assert run(tmp_path, spec, 3).read_bytes() == content
    assert events_of(tmp_path, "restored")[0]["iteration"] == 3
    renamed = spec.model_copy(update={"name": "same_training"})
    other = run(tmp_path, renamed, 3, mark="again", out="other")
    about = read_header(other)
    assert (about.mark, about.spec.name) == ("again", "same_training")
    assert torch.equal(load_file(other)["out.2.weight"], load_file(path)["out.2.weight"])


def test_a_state_that_is_not_kept_goes_and_the_weights_stay(tmp_path, monkeypatch):
    spec = make_spec()
    kept = run(tmp_path, spec, 3, state="kept", out="kept").read_bytes()
    path = run(tmp_path, spec, 3, keep_state=False)
    assert path.read_bytes() == kept and not (tmp_path / "state" / STATE_NAME).exists()
    assert [one["mark"] for one in events_of(tmp_path, "dropped")] == ["final"]
    path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr("adm.training.loop.make_state", None)
        assert run(tmp_path, spec, 3).read_bytes() == kept
    later, fresh = run(tmp_path, spec, 5, out="later"), run(tmp_path, spec, 5, state="kept")
    assert torch.equal(load_file(later)["out.2.weight"], load_file(fresh)["out.2.weight"])


def test_an_earlier_mark_is_trained_beside_the_state(tmp_path):
    spec = make_spec()
    fresh = run(tmp_path, spec, 2, state="fresh", out="fresh").read_bytes()
    run(tmp_path, spec, 5, save_every_iterations=2)
    before = (tmp_path / "state" / STATE_NAME).read_bytes()
    earlier = run(tmp_path, spec, 2, mark="early", out="early")
    assert torch.equal(
        load_file(earlier)["out.2.weight"],
        load_file(tmp_path / "fresh.safetensors")["out.2.weight"],
    )
    assert run(tmp_path, spec, 2, out="again").read_bytes() == fresh
    assert (tmp_path / "state" / STATE_NAME).read_bytes() == before
    assert not (tmp_path / "state" / "replay-2").exists()
    run(tmp_path, spec, 6)
    assert events_of(tmp_path, "resume")[-1]["iteration"] == 5


@pytest.mark.parametrize(
    ("end", "words"), [(b"", "not a whole safetensors file"), (bytes(10), "damaged: its tensors")]
)
def test_damaged_kept_weights_are_made_again(tmp_path, capsys, end, words):
    spec = make_spec()
    path = run(tmp_path, spec, 3)
    good = path.read_bytes()
    path.unlink()
    kept = tmp_path / "state" / "ema-3.safetensors"
    kept.write_bytes(good[:-10] + end)
    assert run(tmp_path, spec, 3).read_bytes() == good
    assert kept.read_bytes() == good
    assert f"ema-3.safetensors: {words}" in capsys.readouterr().err


@pytest.mark.parametrize("keep_state", [True, False])
def test_other_images_are_another_run(tmp_path, capsys, keep_state):
    """Each goes on by itself, whichever was begun first, and ends in the same bits as alone."""
    spec, iterations = make_spec(num_timesteps=50), 3
    other = write_set(
        tmp_path / "other.zip",
        random_images(20, 8),
        labels=[one % 10 for one in range(20)],
        num_classes=10,
    )
    options = {"keep_state": keep_state, "data_path": other}
    alone = run(tmp_path, spec, iterations, state="alone", out="alone", **options).read_bytes()
    first = run(tmp_path, spec, iterations, out="first", keep_state=keep_state).read_bytes()
    assert "other images" not in capsys.readouterr().err
    for _ in range(2):
        assert run(tmp_path, spec, iterations, **options).read_bytes() == alone != first
        hashes = (sha256_file(one)[:12] for one in (tmp_path / "data.zip", other))
        words = (
            "holds a run on other images, SHA-256 {}; .*other.zip has {}: the run on these is in"
        )
        assert re.search(words.format(*hashes), capsys.readouterr().err)
    assert run(tmp_path, spec, iterations, out="first").read_bytes() == first
    assert len(events_of(tmp_path, "start")) == 3
    assert read_header(tmp_path / "out.safetensors").data_sha256 == sha256_file(other)
    renamed = spec.model_copy(update={"name": "same_training"})
    again = run(tmp_path, renamed, iterations, mark="again", out="again", **options)
    assert read_header(again).data_sha256 == sha256_file(other)


def test_two_runs_of_one_model(tmp_path):
    with (
        exclusive_lock(tmp_path / "state" / "lock", "x"),
        pytest.raises(UserError, match=r"model tiny_diffusion: already being worked on by process"),
    ):
        run(tmp_path, make_spec(), 2)
    assert not (tmp_path / "out.safetensors").exists()


def test_state_of_another_spec_is_refused(tmp_path):
    run(tmp_path, make_spec(), 2)
    with pytest.raises(UserError, match=r"training\.seed 0 there, 1 here"):
        run(tmp_path, make_spec(seed=1), 3)


def spoil_from(monkeypatch, iteration, factor):
    """Make the loss of an iteration (counted from 1) and of all later ones not finite."""
    make_loss_fn, calls = adm.training.loop.make_loss_fn, []

    def make_spoiled(*arguments):
        loss_fn = make_loss_fn(*arguments)

        def spoiled(*inputs):
            calls.append(None)
            losses = loss_fn(*inputs)
            if len(calls) >= iteration:
                losses["loss"] = losses["loss"] * factor
            return losses

        return spoiled

    monkeypatch.setattr("adm.training.loop.make_loss_fn", make_spoiled)


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_divergence_keeps_the_last_good_state(tmp_path, monkeypatch, factor):
    spec = make_spec()
    whole = run(tmp_path, spec, 8, state="whole", out="whole").read_bytes()
    with monkeypatch.context() as patch:
        spoil_from(patch, 6, factor)
        with pytest.raises(Diverged) as caught:
            run(tmp_path, spec, 8, save_every_iterations=2)
    assert caught.value.exit_code == 4
    text = str(caught.value)
    assert "tiny_diffusion: iteration 6: loss " in text
    assert f"The state after iteration 4 is kept in {tmp_path / 'state'}" in text
    assert events_of(tmp_path, "diverged")[0]["iteration"] == 6
    assert not (tmp_path / "out.safetensors").exists()
    assert run(tmp_path, spec, 8).read_bytes() == whole
    assert events_of(tmp_path, "resume")[-1]["iteration"] == 4


def test_divergence_before_any_save(tmp_path, monkeypatch):
    spoil_from(monkeypatch, 1, float("nan"))
    with pytest.raises(Diverged, match=r"No state was saved before"):
        run(tmp_path, make_spec(), 8)


def test_fp16_divergence_ends_at_the_floor_of_the_loss_scale(tmp_path, monkeypatch):
    spoil_from(monkeypatch, 3, float("inf"))
    with pytest.raises(Diverged, match=r"fp16 gradients overflowed \d+ times in a row"):
        run(tmp_path, make_spec(precision="fp16", batch_size=2), 60)
    assert 20 <= events_of(tmp_path, "diverged")[0]["iteration"] <= 25


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_stop_signal_saves_and_the_run_goes_on_to_the_same_bits(tmp_path, monkeypatch, number):
    spec = make_spec()
    whole = run(tmp_path, spec, 6, state="whole", out="whole").read_bytes()
    update_ema, calls = adm.training.step.update_ema, []

    def update_then_signal(*arguments):
        calls.append(None)
        if len(calls) == 3:
            os.kill(os.getpid(), number)
        update_ema(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("adm.training.step.update_ema", update_then_signal)
        before = signal.getsignal(number)
        with pytest.raises(Stopped) as caught:
            run(tmp_path, spec, 6)
        assert signal.getsignal(number) is before
    assert caught.value.exit_code == 143
    name = signal.Signals(number).name
    assert f"stopped by {name} after iteration 3 of 6; the state is saved" in str(caught.value)
    assert events_of(tmp_path, "stopped")[0]["signal"] == name
    assert run(tmp_path, spec, 6).read_bytes() == whole
    assert events_of(tmp_path, "resume")[0]["iteration"] == 3


def test_who_presses_ctrl_c_again_does_not_wait(tmp_path, monkeypatch):
    """As while a long iteration runs."""

    def press_twice(*arguments):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("adm.training.step.update_ema", press_twice)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, make_spec(), 6)


def test_training_outside_the_main_thread(tmp_path):
    thread = threading.Thread(target=run, args=(tmp_path, make_spec(), 2))
    thread.start()
    thread.join()
    assert (tmp_path / "out.safetensors").exists()


def test_a_full_gpu_says_what_to_lower(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("adm.training.loop.train_step", full)
    for size, images in ((None, 8), (3, 3)):
        words = rf"memory is too small for {images} images at a time; give a smaller --microbatch"
        with pytest.raises(UserError, match=words):
            run(tmp_path, make_spec(), 2, microbatch_size=size)


def test_unknown_precision(tmp_path):
    spec = make_spec()
    unknown = spec.training.model_copy(update={"precision": "fp8"})
    with pytest.raises(UserError, match=r"training: precision: got 'fp8'"):
        run(tmp_path, spec.model_copy(update={"training": unknown}), 2)


def test_initial_weights_follow_the_seed():
    digests = [
        canonical_json([one.sum().item() for one in make_state(make_spec(seed=seed)).ema])
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_restored_mark_keeps_the_manifest_of_its_training(tmp_path):
    spec = make_spec()
    first = read_manifest(run(tmp_path, spec, 2))
    assert first is not None and first["kind"] == "weights" and first["run"]["wall_seconds"] > 0
    assert first["inputs"]["data"] == sha256_file(make_data(tmp_path))
    again = read_manifest(run(tmp_path, spec, 2, out="again", threads=2))
    assert again == first
    other = read_manifest(run(tmp_path, spec, 2, mark="other", out="other"))
    assert other is not None and other["mark"] == "other" and other["run"] == first["run"]
    assert other["sha256"] == sha256_file(tmp_path / "other.safetensors") != first["sha256"]


def test_a_training_in_parts_ends_in_the_same_bytes(tmp_path):
    """Each part saves when its time is up and notes how far it came; the weights come last."""
    spec = make_spec()
    whole = run(tmp_path, spec, 6, state="whole", out="whole").read_bytes()
    notes = []
    for part in range(20):
        options = {"is_part": True, "stop_after_seconds": 1e-6, "out": f"part{part}"}
        note = run(tmp_path, spec, 6, **options)
        notes.append(json.loads(note.read_text()))
        if notes[-1]["iteration"] == 6:
            break
    assert [one["iteration"] for one in notes] == [1, 2, 3, 4, 5, 6]
    about = {"name": spec.name, "digest": spec.digest, "mark": "final", "iterations": 6}
    assert all(about.items() <= one.items() for one in notes)
    assert not (tmp_path / "out.safetensors").exists()
    assert run(tmp_path, spec, 6).read_bytes() == whole


def test_a_training_whose_time_is_up_too_early_says_how_to_go_on(tmp_path):
    words = r"stopped by --stop-after-seconds after iteration 1 of 6; .* the same command again"
    with pytest.raises(Stopped, match=words):
        run(tmp_path, make_spec(), 6, stop_after_seconds=1e-6)
    assert run(tmp_path, make_spec(), 6).exists()
