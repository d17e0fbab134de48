import errno
import os
from types import SimpleNamespace

import pytest
import torch

from adm.training.loop import make_state
from adm.training.state import (
    PREVIOUS_NAME,
    STATE_NAME,
    check_memory,
    find_run,
    load_state,
    save_state,
)
from adm.weights.tensors import write_tensors
from records.errors import OutOfMemory, UserError
from records.files import remove_leftovers, write_json
from tests.adm.training_case import make_spec

SPEC = make_spec()
DATA = "d" * 64


def make_used_state(iteration=3):
    """A state as after some steps: every tensor is different."""
    state = make_state(SPEC)
    torch.manual_seed(iteration)
    for parameter in state.model.parameters():
        parameter.grad = torch.randn_like(parameter)
    state.optimiser.step(1e-3)
    state.ema = [torch.randn_like(one) for one in state.ema]
    state.iteration = iteration
    state.loss_scale.exponent = 12.003
    state.loss_scale.num_skipped_in_a_row = 2
    return state


def assert_equal_states(one, two):
    for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert torch.equal(a, b)
        first, second = one.optimiser.state[a], two.optimiser.state[b]
        assert first.keys() == second.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(torch.equal(a, b) for a, b in zip(one.ema, two.ema, strict=True))
    assert (one.iteration, one.loss_scale) == (two.iteration, two.loss_scale)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("has_room", [True, False])
def test_a_gpu_that_does_not_hold_the_state_is_refused(monkeypatch, has_room):
    model = make_state(SPEC).model
    needed = 20 * sum(one.numel() for one in model.parameters())
    gpu = SimpleNamespace(name="a small GPU", total_memory=needed - (not has_room))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: gpu)
    check_memory("x", model, torch.device("cpu"))
    if has_room:
        check_memory("x", model, torch.device("cuda"))
        return
    words = "a small GPU has .* GB; take GPUs with more memory"
    with pytest.raises(OutOfMemory, match=f"^x: weights.*{words}"):
        check_memory("x", model, torch.device("cuda"))
    with pytest.raises(OutOfMemory, match=f"^{SPEC.name}: weights"):
        make_state(SPEC, "cuda")


def test_round_trip(tmp_path):
    saved, loaded = make_used_state(), make_state(SPEC)
    save_state(tmp_path, saved, SPEC, DATA)
    assert load_state(tmp_path, loaded, SPEC) == []
    assert_equal_states(saved, loaded)


def test_an_empty_folder_changes_nothing(tmp_path):
    state = make_state(SPEC)
    assert load_state(tmp_path, state, SPEC) == []
    assert state.iteration == 0


def test_a_state_without_optimiser_steps(tmp_path):
    """fp16 may leave out every step so far."""
    saved, loaded = make_state(SPEC), make_state(SPEC)
    saved.iteration = 2
    save_state(tmp_path, saved, SPEC, DATA)
    load_state(tmp_path, loaded, SPEC)
    assert loaded.iteration == 2
    assert not loaded.optimiser.state


def test_the_name_does_not_matter(tmp_path):
    save_state(tmp_path, make_used_state(), SPEC, DATA)
    load_state(tmp_path, make_state(SPEC), SPEC.model_copy(update={"name": "another"}))


def test_falls_back_to_the_state_before_and_says_so(tmp_path):
    save_state(tmp_path, make_used_state(3), SPEC, DATA)
    save_state(tmp_path, make_used_state(6), SPEC, DATA)
    loaded = make_state(SPEC)
    load_state(tmp_path, loaded, SPEC)
    assert loaded.iteration == 6
    cut(tmp_path / STATE_NAME)
    notices = load_state(tmp_path, loaded, SPEC)
    assert_equal_states(loaded, make_used_state(3))
    assert len(notices) == 1
    assert "state.safetensors: not a whole safetensors file" in notices[0]
    assert f"Continuing from {tmp_path / PREVIOUS_NAME}" in notices[0]


def test_only_damaged_states(tmp_path):
    for iteration in (3, 6):
        save_state(tmp_path, make_used_state(iteration), SPEC, DATA)
    cut(tmp_path / STATE_NAME)
    (tmp_path / PREVIOUS_NAME).unlink()
    write_tensors(tmp_path / PREVIOUS_NAME, {"a": torch.ones(2)}, {})
    with pytest.raises(UserError) as caught:
        load_state(tmp_path, make_state(SPEC), SPEC)
    text = str(caught.value)
    assert "not a whole safetensors file" in text
    assert "a safetensors file, but no training state" in text
    assert f"No good state is left: delete {tmp_path} to start over" in text


def test_state_of_another_spec_shows_both_digests_and_what_differs(tmp_path):
    save_state(tmp_path, make_used_state(), SPEC, DATA)
    other = make_spec(learning_rate=0.5, architecture={"dropout": 0.0})
    with pytest.raises(UserError) as caught:
        load_state(tmp_path, make_state(other), other)
    text = str(caught.value)
    assert SPEC.digest[:12] in text
    assert other.digest[:12] in text
    assert "architecture.dropout 0.1 there, 0.0 here" in text
    assert "training.learning_rate 0.001 there, 0.5 here" in text
    assert "Give another state folder, or delete this one" in text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_save_that_fails_keeps_the_last_good_state(tmp_path, monkeypatch, number):
    save_state(tmp_path, make_used_state(3), SPEC, DATA)

    def fail(handle):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(UserError, match=r"state\.safetensors: cannot be written"):
            save_state(tmp_path, make_used_state(6), SPEC, DATA)
    loaded = make_state(SPEC)
    assert load_state(tmp_path, loaded, SPEC) == []
    assert_equal_states(loaded, make_used_state(3))
    assert not list(tmp_path.glob(".*"))


def test_leftovers_of_killed_writes_are_removed(tmp_path):
    (tmp_path / ".state.safetensors.abc.tmp").write_bytes(b"half")
    (tmp_path / "state.safetensors").write_bytes(b"kept")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_each_image_set_has_a_run_of_its_own(tmp_path):
    assert find_run(tmp_path, DATA) == (tmp_path, None)
    save_state(tmp_path, make_used_state(), SPEC, DATA)
    assert find_run(tmp_path, DATA) == (tmp_path, None)
    assert find_run(tmp_path, "e" * 64) == (tmp_path / "data-eeeeeeeeeeee", DATA)


def test_a_state_of_an_earlier_version_goes_on(tmp_path):
    """Nothing says which images it is of, unless the manifest of a mark does."""
    write_tensors(tmp_path / STATE_NAME, {}, {"format": "training state 1"})
    (tmp_path / "ema-2.safetensors").write_bytes(b"damaged")
    assert find_run(tmp_path, DATA) == (tmp_path, None)
    write_tensors(tmp_path / "ema-3.safetensors", {}, {})
    write_json(tmp_path / "ema-3.manifest.json", {"inputs": {"data": "e" * 64}})
    assert find_run(tmp_path, DATA) == (tmp_path / "data-dddddddddddd", "e" * 64)
