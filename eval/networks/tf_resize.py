"""Bilinear resize as TensorFlow 1 does it, which is not as anybody else does it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def resize_bilinear(images: "torch.Tensor", size_px: tuple[int, int]) -> "torch.Tensor":
    """Resize by the rule of TensorFlow's ResizeBilinear, corners not aligned, no half pixels.

    Output place i looks at s = i * (size_in / size_out), a float32 product, and gives
    v[floor s] + (v[floor s + 1] - v[floor s]) (s - floor s), where the last pixel repeats beyond
    the edge; along the width first, then along the height (resize_bilinear_op.cc and
    image_resizer_state.h of TensorFlow). Places are not shifted by half a pixel and reductions
    are not smoothed, so F.interpolate agrees with it for no size but the same one.

    Args:
        images: float32 [n, h, w, c].
        size_px: height and width wanted.

    Returns:
        float32 [n, *size_px, c].
    """
    for axis, size in ((2, size_px[1]), (1, size_px[0])):
        if images.shape[axis] != size:
            images = _resize_axis(images, axis, size)
    return images


def _resize_axis(images: "torch.Tensor", axis: int, size: int) -> "torch.Tensor":
    """Resize along one axis."""
    import torch

    size_in = images.shape[axis]
    scale = torch.tensor(size_in, dtype=torch.float32) / torch.tensor(size, dtype=torch.float32)
    places = (torch.arange(size, dtype=torch.float32) * scale).to(images.device)
    lower = places.floor()
    fraction = places - lower
    lower = lower.long()
    upper = (lower + 1).clamp_max(size_in - 1)
    low = images.index_select(axis, lower)
    high = images.index_select(axis, upper)
    shape = [1, 1, 1, 1]
    shape[axis] = size
    return high.sub_(low).mul_(fraction.view(shape)).add_(low)
