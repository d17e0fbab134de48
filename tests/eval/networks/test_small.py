import numpy as np
import pytest
import torch

from eval.networks.load import load_network
from eval.networks.small import (
    check_spec,
    compute_outputs,
    load_parameters,
    prepare_images,
)
from records.errors import UserError
from records.files import canonical_json
from tests.eval.conftest import QUICK_SPEC


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, r"s: has \[.*'extra'.*exactly \['batch_size'"),
        ({"channels": 0}, "s: channels is 0; a positive int is needed"),
        ({"channels": 2.5}, "s: channels is 2.5; a positive int is needed"),
        ({"seed": True}, "s: seed is True; a positive int is needed"),
        ({"learning_rate": "1"}, "s: learning_rate is '1'; a positive float is needed"),
        ({"recipe": 2}, "s: recipe 2 is asked for; this code trains 1"),
        ({"image_size_px": 7}, "s: image_size_px is 7; it is halved, so even"),
    ],
)
def test_specs_are_checked(change, message):
    with pytest.raises(UserError, match=message):
        check_spec({**QUICK_SPEC, **change}, "s")


def test_a_spec_is_an_object():
    with pytest.raises(UserError, match="s: has list; exactly"):
        check_spec([], "s")


def test_grey_is_rgb_with_equal_channels(network, digits):
    grey = digits[0][:20, :, :, None]
    one, three = prepare_images(grey, 8), prepare_images(grey.repeat(3, axis=3), 8)
    assert torch.equal(one, three) and one.min() == -1 and one.max() == 1


def test_smaller_is_enlarged_bilinearly_and_larger_averaged():
    small = np.array([[0, 255], [0, 255]], np.uint8)[None, :, :, None]
    enlarged = prepare_images(small, 4)[0, 0]
    torch.testing.assert_close(enlarged, torch.tensor([[-1, -0.5, 0.5, 1.0]]).expand(4, 4))
    large = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    averaged = prepare_images(large, 2)[0, 0]
    expected = torch.tensor([[2.5, 4.5], [10.5, 12.5]]) / 127.5 - 1
    torch.testing.assert_close(averaged, expected)


def test_outputs_have_the_shapes_that_the_network_tells(network):
    pool, spatial, softmax = network.run(np.zeros((5, 8, 8, 1), np.uint8))
    assert pool.shape == (5, network.pool_dims) == (5, 64)
    assert spatial.shape == (5, network.spatial_dims) == (5, 112)
    assert softmax.shape == (5, network.num_classes) == (5, 10)
    assert pool.min() >= 0 > spatial.min()


def test_spatial_is_flattened_height_width_channel(network_path):
    own, _ = load_parameters(network_path)
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    flipped = compute_outputs(own, x)[1].reshape(4, 4, 7)
    parameters = {
        name: tensor.flip(3) if tensor.ndim == 4 else tensor for name, tensor in own.items()
    }
    mirrored = compute_outputs(parameters, x.flip(3))[1].reshape(4, 4, 7)
    torch.testing.assert_close(mirrored, flipped.flip(1))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"none.safetensors: no such file; weights of a feature"):
        load_network(tmp_path / "none.safetensors")


def test_a_cut_file_is_told(network_path, tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(network_path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cut.safetensors: not readable safetensors"):
        load_network(path)


def test_weights_that_are_not_as_written_are_told(network_path, tmp_path):
    """Zeroed in place, with the length and the header whole."""
    content = network_path.read_bytes()
    path = tmp_path / "x.safetensors"
    path.write_bytes(content[:-1000] + bytes(1000))
    with pytest.raises(UserError, match=r"damaged: its tensors have the SHA-256"):
        load_network(path)


def test_other_weights_are_told(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=r"not a feature network \(holds 1 tensors"):
        load_network(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: [one], "its header does not describe a feature network by `name` and `spec`"),
        (lambda one: {"spec": one["spec"]}, "does not describe a feature network"),
        (lambda one: {"name": one["name"]}, "does not describe a feature network"),
        (lambda one: {**one, "name": 3}, "does not describe a feature network"),
        (lambda one: {**one, "spec": {**one["spec"], "sede": 1}}, "spec in its header: has .*sede"),
        (lambda one: {**one, "spec": {**one["spec"], "recipe": "1"}}, "header: recipe is '1'; a"),
        (lambda one: {**one, "spec": []}, "spec in its header: has list; exactly"),
    ],
)
def test_a_header_that_lacks_something_is_told(network_path, tmp_path, change, words):
    from safetensors.torch import save_file

    parameters, description = load_parameters(network_path)
    path = tmp_path / "bad.safetensors"
    save_file(parameters, path, metadata={"network": canonical_json(change(description))})
    with pytest.raises(UserError, match=f"bad.safetensors: .*{words}"):
        load_network(path)


def test_a_header_that_is_no_json_is_told(network_path, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "bad.safetensors"
    save_file(load_parameters(network_path)[0], path, metadata={"network": '{"name": '})
    with pytest.raises(UserError, match="does not describe a feature network"):
        load_network(path)
