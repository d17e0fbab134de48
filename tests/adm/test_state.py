import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from adm.model import make_model
from adm.state import (
    PREVIOUS_NAME,
    STATE_NAME,
    load_network_of,
    load_state,
    load_weights,
    read_spec,
    remove_leftovers,
    save_state,
    save_weights,
)
from adm.tensorfile import read_tensors, write_tensors
from adm.training import make_state
from records.errors import UserError
from records.files import spec_digest
from tests.adm.training_case import make_spec

SPEC = make_spec()


def make_used_state(iteration=3):
    """A state as after some steps: every tensor is different."""
    state = make_state(SPEC)
    torch.manual_seed(iteration)
    for parameter in state.model.parameters():
        parameter.grad = torch.randn_like(parameter)
    state.optimiser.step()
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


def test_round_trip(tmp_path):
    saved, loaded = make_used_state(), make_state(SPEC)
    save_state(tmp_path, saved, SPEC)
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
    save_state(tmp_path, saved, SPEC)
    load_state(tmp_path, loaded, SPEC)
    assert loaded.iteration == 2
    assert not loaded.optimiser.state


def test_the_name_does_not_matter(tmp_path):
    save_state(tmp_path, make_used_state(), SPEC)
    load_state(tmp_path, make_state(SPEC), {**SPEC, "name": "another"})


def test_falls_back_to_the_state_before_and_says_so(tmp_path):
    save_state(tmp_path, make_used_state(3), SPEC)
    save_state(tmp_path, make_used_state(6), SPEC)
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
        save_state(tmp_path, make_used_state(iteration), SPEC)
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
    save_state(tmp_path, make_used_state(), SPEC)
    other = make_spec(learning_rate=0.5, architecture={"dropout": 0.0})
    with pytest.raises(UserError) as caught:
        load_state(tmp_path, make_state(other), other)
    text = str(caught.value)
    assert spec_digest(SPEC)[:12] in text
    assert spec_digest(other)[:12] in text
    assert "architecture.dropout 0.1 there, 0.0 here" in text
    assert "training.learning_rate 0.001 there, 0.5 here" in text
    assert "Give another state folder, or delete this one" in text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_save_that_fails_keeps_the_last_good_state(tmp_path, monkeypatch, number):
    save_state(tmp_path, make_used_state(3), SPEC)

    def fail(handle):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(UserError, match=r"state\.safetensors: cannot be written"):
            save_state(tmp_path, make_used_state(6), SPEC)
    loaded = make_state(SPEC)
    assert load_state(tmp_path, loaded, SPEC) == []
    assert_equal_states(loaded, make_used_state(3))
    assert not list(tmp_path.glob(".*"))


def test_leftovers_of_killed_writes_are_removed(tmp_path):
    (tmp_path / ".state.safetensors.abc.tmp").write_bytes(b"half")
    (tmp_path / "state.safetensors").write_bytes(b"kept")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def save_fresh(path, spec, mark="final", iteration=7):
    model = make_model(spec)
    weights = [torch.randn_like(one) for one in model.parameters()]
    save_weights(path, model, weights, spec=spec, mark=mark, iteration=iteration)
    return weights


def test_weights_round_trip(tmp_path):
    weights = save_fresh(tmp_path / "w.safetensors", SPEC)
    about = read_spec(tmp_path / "w.safetensors")
    assert about == {
        "spec": SPEC,
        "digest": spec_digest(SPEC),
        "mark": "final",
        "iteration": 7,
        "recipe": 1,
    }
    model = make_model(SPEC)
    digest = spec_digest(SPEC)
    assert load_weights(tmp_path / "w.safetensors", model, expected_digest=digest) == about
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["diffusion", "classifier"])
@pytest.mark.parametrize("shift", [0, 8])
def test_a_network_is_made_without_fresh_weights(tmp_path, kind, shift):
    """Its weights begin where a CPU's products do not depend on the length of the file's header."""
    path = tmp_path / "w.safetensors"
    spec = {**make_spec(kind), "name": "x" * (shift + 1)}
    weights = save_fresh(path, spec)
    before = torch.get_rng_state()
    model = load_network_of(path, make_model, device="cpu", expected_digest=spec_digest(spec))
    assert torch.equal(before, torch.get_rng_state()) and not model.training
    for given, one in zip(weights, model.parameters(), strict=True):
        assert torch.equal(given, one) and one.data_ptr() % 64 == 0


def test_loading_a_network_starts_no_compiler(tmp_path):
    save_fresh(tmp_path / "w.safetensors", make_spec("classifier"))
    code = (
        "import sys\nfrom adm.model import make_model\nfrom adm.state import load_network_of\n"
        "load_network_of(sys.argv[1], make_model, device='cpu')\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "w.safetensors")]
    assert subprocess.run(command, cwd=Path(__file__).parents[2]).returncode == 0


def test_weights_of_another_type(tmp_path):
    path = tmp_path / "w.safetensors"
    save_fresh(path, SPEC)
    tensors, texts = read_tensors(path, "weights file")
    save_file({name: one.half() for name, one in tensors.items()}, path, texts)
    with pytest.raises(UserError, match=r"not of float32: .*\.weight F16, .* and \d+ more; train"):
        load_weights(path, make_model(SPEC))


def test_weights_of_another_spec(tmp_path):
    save_fresh(tmp_path / "w.safetensors", SPEC)
    other = make_spec(architecture={"channels": 16, "num_classes": None})
    model = make_model(other)
    before = [one.detach().clone() for one in model.parameters()]
    with pytest.raises(UserError) as caught:
        load_weights(tmp_path / "w.safetensors", model, expected_digest=spec_digest(other))
    text = str(caught.value)
    assert f"weights of tiny_diffusion, spec {spec_digest(SPEC)[:12]}" in text
    assert f"{spec_digest(other)[:12]} is needed" in text
    assert "not in the network: label_emb.weight" in text
    assert "of another shape: time_embed.0.weight [32, 8] instead of [64, 16]" in text
    assert "more" in text
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_weights_that_lack_a_tensor(tmp_path):
    save_fresh(tmp_path / "w.safetensors", make_spec(architecture={"num_classes": None}))
    with pytest.raises(UserError, match=r"missing: label_emb\.weight; train the model again"):
        load_weights(tmp_path / "w.safetensors", make_model(SPEC))


def test_weights_of_equal_shape_but_another_training(tmp_path):
    save_fresh(tmp_path / "w.safetensors", SPEC)
    other = spec_digest(make_spec(seed=1))
    with pytest.raises(UserError, match=rf"spec \w{{12}}; {other[:12]} is needed; train"):
        load_weights(tmp_path / "w.safetensors", make_model(SPEC), expected_digest=other)


def test_foreign_and_truncated_weights(tmp_path):
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"a": torch.ones(2)}, {"format": "pt"})
    for read in (read_spec, lambda one: load_weights(one, make_model(SPEC))):
        with pytest.raises(UserError, match=r"without a model spec in its header; .* import it"):
            read(path)
    save_fresh(path, SPEC)
    cut(path)
    for read in (read_spec, lambda one: load_weights(one, make_model(SPEC))):
        with pytest.raises(UserError, match=r"not a whole safetensors file"):
            read(path)
