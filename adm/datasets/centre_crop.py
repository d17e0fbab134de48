"""The authors' way from an image of any size to a square of one size."""

from PIL import Image
from PIL.Image import Resampling

from adm.datasets.own_images import UnusableImage

# Pillow's own limit for an image that is not a decompression bomb: a quarter of 2**30 bytes as RGB.
MAX_PIXELS = 2**30 // 4 // 3
CROPS = ("centre", "centre_box", "none")


def resize_short_side(image: Image.Image, short_px: int) -> Image.Image:
    """Resize an image so that its shorter side has a given length.

    While the shorter side is at least twice that, both sides are halved (rounded down) with a box
    filter; a bicubic filter does the rest, each side rounded half to even. (Dhariwal & Nichol
    2021; order and rounding as in their released loader.)

    Args:
        image: in a mode that Pillow can resize.
        short_px: length of the shorter side afterwards.

    Raises:
        UnusableImage: so long and narrow that the result would have more than MAX_PIXELS.
    """
    while min(image.size) >= 2 * short_px:
        image = image.resize((image.width // 2, image.height // 2), Resampling.BOX)
    return image.resize(_scaled_size(image, short_px), Resampling.BICUBIC)


def crop_centre(image: Image.Image, image_size_px: int) -> Image.Image:
    """Cut the middle square out of an image, its offsets rounded down.

    Args:
        image: no side shorter than the square.
        image_size_px: side of the square.
    """
    left = (image.width - image_size_px) // 2
    top = (image.height - image_size_px) // 2
    return image.crop((left, top, left + image_size_px, top + image_size_px))


def make_square(image: Image.Image, *, image_size_px: int | None, crop: str) -> Image.Image:
    """Resize and crop an image as a dataset asks for.

    Args:
        image: RGB.
        image_size_px: side of the result; None for `none`.
        crop: `centre`, the authors' centre crop; `centre_box`, their preparation of LSUN: one box
            filter to the size instead of the halving; `none`, the whole image as it is.

    Raises:
        UnusableImage: so long and narrow that the way there would need too much memory.
    """
    if crop == "none" or image_size_px is None:
        return image
    if crop == "centre_box":
        resized = image.resize(_scaled_size(image, image_size_px), Resampling.BOX)
    else:
        resized = resize_short_side(image, image_size_px)
    return crop_centre(resized, image_size_px)


def _scaled_size(image: Image.Image, short_px: int) -> tuple[int, int]:
    """Return width and height for a given shorter side."""
    scale = short_px / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    if size[0] * size[1] > MAX_PIXELS:
        raise UnusableImage(
            f"{image.width}x{image.height} px, too long and narrow: at {short_px} px it would "
            f"become {size[0]}x{size[1]}"
        )
    return size
