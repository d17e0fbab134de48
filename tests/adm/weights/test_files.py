import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from adm.networks.model import make_network
from adm.training.loop import make_state
from adm.training.state import save_state
from adm.weights.files import load_network_of, load_weights, read_header, save_weights
from adm.weights.tensors import read_tensors, write_tensors
from records.errors import UserError
from tests.adm.training_case import make_spec

SPEC = make_spec()


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def make(spec):
    return make_network(spec.architecture)


def save_fresh(path, spec, mark="final", iteration=7):
    model = make(spec)
    weights = [torch.randn_like(one) for one in model.parameters()]
    save_weights(path, model, weights, spec=spec, mark=mark, iteration=iteration)
    return weights


def test_weights_round_trip(tmp_path):
    weights = save_fresh(tmp_path / "w.safetensors", SPEC)
    about = read_header(tmp_path / "w.safetensors")
    assert about.spec.content() == SPEC.content() and about.digest == about.spec.digest
    assert (about.digest, about.mark, about.iteration) == (SPEC.digest, "final", 7)
    _, texts = read_tensors(tmp_path / "w.safetensors", "weights file")
    assert texts["recipe"] == "1"
    model = make(SPEC)
    assert load_weights(tmp_path / "w.safetensors", model, expected_digest=SPEC.digest) == about
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["diffusion", "classifier"])
@pytest.mark.parametrize("shift", [0, 8])
def test_a_network_is_made_without_fresh_weights(tmp_path, kind, shift):
    """Its weights begin where a CPU's products do not depend on the length of the file's header."""
    path = tmp_path / "w.safetensors"
    spec = make_spec(kind).model_copy(update={"name": "x" * (shift + 1)})
    weights = save_fresh(path, spec)
    before = torch.get_rng_state()
    model = load_network_of(path, make, device="cpu", expected_digest=spec.digest)
    assert torch.equal(before, torch.get_rng_state()) and not model.training
    for given, one in zip(weights, model.parameters(), strict=True):
        assert torch.equal(given, one) and one.data_ptr() % 64 == 0


def test_loading_a_network_starts_no_compiler(tmp_path):
    save_fresh(tmp_path / "w.safetensors", make_spec("classifier"))
    code = (
        "import sys\nfrom adm.networks.classifier import Classifier\n"
        "from adm.weights.files import load_network_of\n"
        "load_network_of(sys.argv[1], lambda spec: Classifier(spec.architecture), device='cpu')\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "w.safetensors")]
    assert subprocess.run(command, cwd=Path(__file__).parents[3]).returncode == 0


def test_weights_of_another_type(tmp_path):
    path = tmp_path / "w.safetensors"
    save_fresh(path, SPEC)
    tensors, texts = read_tensors(path, "weights file")
    save_file({name: one.half() for name, one in tensors.items()}, path, texts)
    with pytest.raises(UserError, match=r"not of float32: .*\.weight F16, .* and \d+ more; train"):
        load_weights(path, make(SPEC))


def test_weights_of_another_spec(tmp_path):
    save_fresh(tmp_path / "w.safetensors", SPEC)
    other = make_spec(architecture={"channels": 16, "num_classes": None})
    model = make(other)
    before = [one.detach().clone() for one in model.parameters()]
    with pytest.raises(UserError) as caught:
        load_weights(tmp_path / "w.safetensors", model, expected_digest=other.digest)
    text = str(caught.value)
    assert f"weights of tiny_diffusion, spec {SPEC.digest[:12]}" in text
    assert f"{other.digest[:12]} is needed" in text
    assert "not in the network: label_emb.weight" in text
    assert "of another shape: time_embed.0.weight [32, 8] instead of [64, 16]" in text
    assert "more" in text
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_weights_that_lack_a_tensor(tmp_path):
    save_fresh(tmp_path / "w.safetensors", make_spec(architecture={"num_classes": None}))
    with pytest.raises(UserError, match=r"missing: label_emb\.weight; train the model again"):
        load_weights(tmp_path / "w.safetensors", make(SPEC))


def test_weights_of_equal_shape_but_another_training(tmp_path):
    save_fresh(tmp_path / "w.safetensors", SPEC)
    other = make_spec(seed=1).digest
    with pytest.raises(UserError, match=rf"spec \w{{12}}; {other[:12]} is needed; train"):
        load_weights(tmp_path / "w.safetensors", make(SPEC), expected_digest=other)


def test_foreign_and_truncated_weights(tmp_path):
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"a": torch.ones(2)}, {"format": "pt"})
    for read in (read_header, lambda one: load_weights(one, make(SPEC))):
        with pytest.raises(UserError, match=r"without a model spec in its header; .* import it"):
            read(path)
    save_fresh(path, SPEC)
    cut(path)
    for read in (read_header, lambda one: load_weights(one, make(SPEC))):
        with pytest.raises(UserError, match=r"not a whole safetensors file"):
            read(path)


def test_class_names_travel(tmp_path):
    path, spec = tmp_path / "w.safetensors", make_spec()
    model = make_network(spec.architecture)
    options = {"spec": spec, "mark": "final", "iteration": 1}
    save_weights(path, model, list(model.parameters()), **options)
    assert read_header(path).class_names is None and b"class_names" not in path.read_bytes()
    names = [str(one) for one in range(9)] + ["ünï, [cat]"]
    save_weights(path, model, list(model.parameters()), **options, class_names=names)
    assert read_header(path).class_names == tuple(names)


def test_a_state_holds_the_average_and_the_weights_themselves(tmp_path):
    state = make_state(SPEC)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(1)
    names = [str(one) for one in range(10)]
    save_state(tmp_path, state, SPEC, "0" * 64, names)
    path = tmp_path / "state.safetensors"
    raw = load_network_of(path, make, device="cpu", weights="raw")
    ema = load_network_of(path, make, device="cpu")
    for one, two, three in zip(raw.parameters(), ema.parameters(), state.ema, strict=True):
        assert torch.equal(two, three) and torch.equal(one, two + 1)
    about = read_header(path)
    assert (about.spec.content(), about.mark, about.iteration) == (SPEC.content(), "state", 0)
    assert about.class_names == tuple(names)
    save_fresh(tmp_path / "w.safetensors", SPEC)
    with pytest.raises(UserError, match=r"w\.safetensors: holds the averaged weights alone; the"):
        load_network_of(tmp_path / "w.safetensors", make, device="cpu", weights="raw")
