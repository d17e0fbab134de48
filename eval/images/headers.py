"""What kind of image a file holds, told from its first bytes, and which kinds are refused.

The size, depth and colour type of a PNG are in its IHDR chunk (PNG specification, 11.2.1), so
that a whole data set can be checked before one image is decoded.
"""

import io
import zlib
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image

from eval.images.checks import check_num_pixels
from eval.images.damaged_files import DAMAGE
from records.errors import UserError

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
# Other formats by how they begin: bytes to skip, then bytes that tell.
OTHERS = (
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIF"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"P5", "PGM"),
    (0, b"P6", "PPM"),
)
# Start-of-frame markers of a JPEG: all of 0xC0 to 0xCF but for three that mean other things.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGB and alpha"}
WHY_NOT_JPEG = (
    "lossy compression moves FID: in a published case a reference kept as JPEG gave 5.80, as PNG "
    "about 2.50; keep images as PNG from the start, or take JPEGs as they are with --allow-jpeg"
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Size of an image, its channels (1 or 3), and whether it is a JPEG."""

    height: int
    width: int
    channels: int
    is_jpeg: bool


def read_image_header(file: IO[bytes], where: str, *, allow_jpeg: bool = False) -> ImageHeader:
    """Check one image by its first bytes.

    Args:
        file: at the image's start.
        where: the file it came from, for messages.
        allow_jpeg: take JPEGs too.

    Raises:
        UserError: not an 8-bit grey or RGB PNG (or JPEG, where allowed), or of too many pixels.
    """
    start = file.read(33)
    if start.startswith(PNG):
        header = _read_png_header(start, where)
    elif start.startswith(JPEG):
        if not allow_jpeg:
            raise UserError(f"{where}: a JPEG; {WHY_NOT_JPEG}")
        header = _read_jpeg_header(file, where)
    else:
        for skip, magic, name in OTHERS:
            if start[skip:].startswith(magic):
                raise UserError(
                    f"{where}: a {name} file; PNG, 8-bit grey or RGB, is needed: convert the "
                    "images without loss"
                )
        raise UserError(
            f"{where}: not a readable PNG (it begins with {start[:8]!r}); make it again"
        )
    check_num_pixels(header.height, header.width, where)
    return header


def decode_image(data: bytes, header: ImageHeader, where: str) -> np.ndarray:
    """Decode an image whose header was read before.

    Args:
        data: the whole file.
        header: from read_image_header; the pixels must agree with it.
        where: the file it came from, for messages.

    Returns:
        uint8 [height, width, channels].

    Raises:
        UserError: damaged, or changed since.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG" if header.is_jpeg else "PNG"]) as image:
            pixels = np.asarray(image)
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise UserError(f"{where}: not a readable image ({error}); make it again") from None
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if pixels.shape != (header.height, header.width, header.channels):
        raise UserError(
            f"{where}: decoded to {list(pixels.shape)}, its header says "
            f"{[header.height, header.width, header.channels]}; make it again"
        )
    return pixels


def _read_png_header(start: bytes, where: str) -> ImageHeader:
    """Read the IHDR chunk; a palette, alpha or another depth than 8 bits is refused by name."""
    if len(start) < 33 or start[12:16] != b"IHDR" or not _checksum_holds(start):
        raise UserError(f"{where}: not a readable PNG (its header is damaged); make it again")
    width, height = int.from_bytes(start[16:20], "big"), int.from_bytes(start[20:24], "big")
    depth, colour = start[24], start[25]
    if depth != 8 or colour not in (0, 2) or 0 in (width, height):
        raise UserError(
            f"{where}: a PNG of {depth}-bit {COLOURS.get(colour, 'unknown')}, {height}x{width} px; "
            f"8-bit grey or RGB is needed: {_advise(depth, colour)}"
        )
    return ImageHeader(height, width, 1 if colour == 0 else 3, is_jpeg=False)


def _checksum_holds(start: bytes) -> bool:
    return zlib.crc32(start[12:29]) == int.from_bytes(start[29:33], "big")


def _advise(depth: int, colour: int) -> str:
    """Say how to make a PNG of another kind an 8-bit one."""
    if colour in (4, 6):
        return "put it on a background and save it without alpha"
    if colour == 3:
        return "convert it to RGB, which loses nothing"
    if depth == 16:
        return "round the values to 8 bits as the sampler would have"
    return "save it with 8 bits per channel"


def _read_jpeg_header(file: IO[bytes], where: str) -> ImageHeader:
    """Read size and channels of a JPEG from its start-of-frame segment (ITU-T T.81, B.2.2)."""
    file.seek(2)
    while len(marker := file.read(4)) == 4 and marker[0] == 0xFF:
        if marker[1] in FRAMES:
            frame = file.read(6)
            height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
            if len(frame) < 6 or 0 in (height, width):
                break
            if frame[0] != 8 or frame[5] not in (1, 3):
                raise UserError(
                    f"{where}: a JPEG of {frame[5]} channels with {frame[0]} bits; 8-bit grey or "
                    "RGB is needed"
                )
            return ImageHeader(height, width, frame[5], is_jpeg=True)
        file.seek(int.from_bytes(marker[2:], "big") - 2, 1)
    raise UserError(f"{where}: not a readable JPEG (its header is damaged); make it again")
