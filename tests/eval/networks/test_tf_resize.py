import numpy as np
import pytest
import torch
import torch.nn.functional as F

from eval.networks.tf_resize import resize_bilinear


def test_a_row_by_hand():
    """Place i looks at i * 2 / 4: 0, 1/2, 1, 1 1/2, where the last pixel repeats."""
    x = torch.tensor([[0.0, 10.0]]).reshape(1, 1, 2, 1)
    np.testing.assert_array_equal(resize_bilinear(x, (1, 4)).flatten(), [0, 5, 10, 10])


def test_a_reduction_takes_every_second_pixel():
    x = torch.arange(36, dtype=torch.float32).reshape(1, 6, 6, 1)
    np.testing.assert_array_equal(resize_bilinear(x, (3, 3)), x[:, ::2, ::2])


def test_the_same_size_and_a_constant_stay():
    x = torch.rand(2, 5, 7, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize_bilinear(x, (5, 7)), x)
    constant = torch.full((1, 9, 4, 2), 3.7)
    assert torch.equal(resize_bilinear(constant, (13, 29)), torch.full((1, 13, 29, 2), 3.7))


def test_a_ramp_stays_a_ramp_up_to_the_edge():
    """Corners are not aligned: the ramp goes on with the old slope, then stays at its end."""
    x = torch.arange(8, dtype=torch.float32).reshape(1, 8, 1, 1)
    expected = np.minimum(np.arange(32) / 4, 7)
    np.testing.assert_allclose(resize_bilinear(x, (32, 1)).flatten(), expected, rtol=1e-6)


def test_inputs_are_left_alone():
    x = torch.rand(1, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    resize_bilinear(x, (9, 9))
    assert torch.equal(x, before)


def test_half_pixel_centres_differ():
    x = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    other = F.interpolate(x.permute(0, 3, 1, 2), (19, 19), mode="bilinear").permute(0, 2, 3, 1)
    assert (resize_bilinear(x, (19, 19)) - other).abs().max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (32, 48), (256, 200), (299, 64), (512, 512)])
def test_equals_tensorflow_bit_by_bit(size):
    tf = pytest.importorskip("tensorflow")
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.float32)
    expected = tf.raw_ops.ResizeBilinear(
        images=images, size=[299, 299], align_corners=False, half_pixel_centers=False
    ).numpy()
    np.testing.assert_array_equal(resize_bilinear(torch.from_numpy(images), (299, 299)), expected)
