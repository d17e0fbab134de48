"""One image from the bytes of a file to the PNG of a dataset; needs Pillow and nothing heavy."""

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageChops, UnidentifiedImageError, features

from adm.datasets.centre_crop import MAX_PIXELS, make_square
from adm.datasets.own_images import UnusableImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
# The last levels gain a percent of space for twice the time.
PNG_LEVEL = 4
EXIF_ORIENTATION = 0x0112
# What is worth counting about the files of a dataset; each is a bit of Converted.traits.
TRAITS = (
    "grey",
    "palette",
    "cmyk",
    "transparency_dropped",
    "other_colours",
    "sixteen_bits_cut_to_eight",
    "exif_rotation_ignored",
    "first_of_several_frames",
    "enlarged",
    "sides_cut_off",
    "colour_made_grey",
)
COLOURS = {"1": "grey", "L": "grey", "LA": "grey", "P": "palette", "PA": "palette", "CMYK": "cmyk"}


@dataclass(frozen=True)
class Converted:
    """An image as it goes into a dataset.

    Attributes:
        png: the file.
        pixels_sha256: of width, height and RGB or grey bytes, whatever zlib made of them.
        traits: bits in the order of TRAITS.
    """

    png: bytes
    pixels_sha256: bytes
    traits: int


def convert_image(
    content: bytes, *, image_size_px: int | None, crop: str, image_channels: int = 3
) -> Converted:
    """Decode, convert to RGB as the authors' loader does, or to grey, crop, and encode as PNG.

    Pillow's plain conversion to RGB: transparency is dropped, a CMYK or embedded colour profile
    and an EXIF rotation are not applied; the first frame of several is taken. Grey is then Pillow's
    luma, (299 R + 587 G + 114 B) / 1000 (ITU-R BT.601), which leaves grey images as they are.

    Args:
        content: bytes of a file of one of FORMATS.
        image_size_px: side of the result; None with crop `none`.
        crop: see `make_square`.
        image_channels: 3, or 1 for a grey PNG.

    Raises:
        UnusableImage: damaged, cut short, foreign, 16-bit grey, or larger than MAX_PIXELS.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; sizes are checked
            image, names = _decode(content)
            if image_size_px is not None and min(image.size) < image_size_px:
                names.add("enlarged")
            if image_size_px is not None and image.width != image.height:
                names.add("sides_cut_off")
            colours = image.convert("RGB")
            if image_channels == 1:
                if _has_colour(colours):
                    names.add("colour_made_grey")
                colours = colours.convert("L")
            square = make_square(colours, image_size_px=image_size_px, crop=crop)
    except UnusableImage:
        raise
    except MemoryError:
        raise UnusableImage("not enough memory to decode it") from None
    except Image.DecompressionBombError:
        raise UnusableImage(f"decompression bomb: more than {MAX_PIXELS} pixels") from None
    except UnidentifiedImageError:
        raise UnusableImage(f"no image of a known format ({', '.join(FORMATS)})") from None
    except Exception as error:  # decoders raise whatever a damaged file leads them into
        raise UnusableImage(f"damaged: {error or type(error).__name__}") from None
    png = io.BytesIO()
    square.save(png, format="PNG", compress_level=PNG_LEVEL)
    pixels = hashlib.sha256(b"%d %d " % square.size)
    pixels.update(square.tobytes())
    traits = sum(1 << TRAITS.index(name) for name in names)
    return Converted(png=png.getvalue(), pixels_sha256=pixels.digest(), traits=traits)


def _decode(content: bytes) -> tuple[Image.Image, set[str]]:
    """Decode an image and say what is peculiar about it."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise UnusableImage(
            f"decompression bomb: {image.width}x{image.height} px, more than {MAX_PIXELS} pixels"
        )
    if image.mode.startswith("I") or image.mode == "F":
        raise UnusableImage(
            f"more than 8 bits of grey (mode {image.mode}), which Pillow would clip to white; "
            "convert it to 8 bits"
        )
    names = set()
    if image.tile and ";16" in str(image.tile[0][3]):
        names.add("sixteen_bits_cut_to_eight")
    if image.mode in COLOURS:
        names.add(COLOURS[image.mode])
    elif image.mode not in ("RGB", "RGBA"):
        names.add("other_colours")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        names.add("transparency_dropped")
    if getattr(image, "n_frames", 1) > 1:
        names.add("first_of_several_frames")
    image.load()
    if _read_orientation(image) not in (0, 1):
        names.add("exif_rotation_ignored")
    return image, names


def _has_colour(image: Image.Image) -> bool:
    """Tell whether any pixel of an RGB image has channels that differ."""
    red, green, blue = image.split()
    return any(ImageChops.difference(green, other).getbbox() for other in (red, blue))


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none that makes sense."""
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception:  # EXIF blocks are damaged in all ways; it is not applied anyway
        return 1


def list_versions() -> dict[str, str]:
    """Return the versions of what decides the bytes of a dataset."""
    parts = {"libjpeg": "jpg", "zlib": "zlib", "webp": "webp"}
    found = {name: features.version(part) or "none" for name, part in parts.items()}
    return {"pillow": str(Image.__version__), **found}
