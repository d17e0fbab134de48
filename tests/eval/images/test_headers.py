import io
import zlib

import numpy as np
import pytest
from PIL import Image

from eval.images.headers import ImageHeader, decode_image, read_image_header
from records.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encode(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def header_of(data, **options):
    return read_image_header(io.BytesIO(data), "x.png", **options)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_pngs_are_read_as_pillow_reads_them(mode, channels):
    image = Image.fromarray(PIXELS).convert(mode)
    data = encode(image)
    header = header_of(data)
    assert header == ImageHeader(5, 7, channels, is_jpeg=False)
    pixels = decode_image(data, header, "x.png")
    assert pixels.shape == (5, 7, channels) and pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels.squeeze(), np.asarray(image))


def write_png_header(width, height, depth, colour):
    data = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data += bytes([depth, colour, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            encode(Image.fromarray(PIXELS).convert("RGBA")),
            "a PNG of 8-bit RGB and alpha, 5x7 px; 8-bit grey or RGB is needed: put it on a back",
        ),
        (encode(Image.fromarray(PIXELS).convert("LA")), "PNG of 8-bit grey and alpha, "),
        (
            encode(Image.fromarray(PIXELS).quantize(200)),
            "palette, 5x7 px; 8-bit grey or RGB is needed: convert it to RGB",
        ),
        (
            encode(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 256)),
            "a PNG of 16-bit grey, .* round the values to 8 bits",
        ),
        (write_png_header(7, 5, 16, 2), "a PNG of 16-bit RGB, .* round the values"),
        (encode(Image.fromarray(PIXELS).convert("1")), "a PNG of 1-bit grey,.*8 bits per channel"),
        (write_png_header(7, 5, 8, 9), "a PNG of 8-bit unknown"),
        (write_png_header(7, 0, 8, 2), "RGB, 0x7 px"),
        (write_png_header(60_000, 60_000, 8, 2), "60000x60000 px are beyond the limit of 89478485"),
    ],
)
def test_other_pngs_are_refused_by_name(data, words):
    with pytest.raises(UserError, match=f"^x.png: .*{words}"):
        header_of(data)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("WEBP", "WebP"), ("BMP", "BMP"), ("GIF", "GIF"), ("TIFF", "TIFF"), ("PPM", "PPM")],
)
def test_other_formats_are_refused_by_name(kind, name):
    with pytest.raises(
        UserError, match=f"x.png: a {name} file; PNG, 8-bit grey or RGB, is needed: .*without loss"
    ):
        header_of(encode(Image.fromarray(PIXELS), kind))


@pytest.mark.parametrize("data", [b"", b"hello", encode(Image.fromarray(PIXELS))[:20]])
def test_what_is_no_image_is_told(data):
    with pytest.raises(UserError, match=r"x.png: not a readable PNG \(.*make it again"):
        header_of(data)


def test_a_damaged_png_header_is_told():
    data = bytearray(encode(Image.fromarray(PIXELS)))
    data[19] ^= 1
    with pytest.raises(UserError, match=r"not a readable PNG \(its header is damaged\)"):
        header_of(bytes(data))


def test_jpegs_are_refused_with_the_reason():
    words = r"^x.png: a JPEG; lossy .* gave 5\.80, as PNG about 2\.50; .*--allow-jpeg"
    with pytest.raises(UserError, match=words):
        header_of(encode(Image.fromarray(PIXELS), "JPEG"))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"c" * 5000}])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_jpegs_are_read_when_allowed(mode, channels, options):
    image = Image.fromarray(PIXELS).convert(mode)
    data = encode(image, "JPEG", **options)
    header = header_of(data, allow_jpeg=True)
    assert header == ImageHeader(5, 7, channels, is_jpeg=True)
    with Image.open(io.BytesIO(data)) as expected:
        np.testing.assert_array_equal(
            decode_image(data, header, "x").squeeze(), np.asarray(expected)
        )


def test_other_jpegs_are_told():
    data = encode(Image.fromarray(PIXELS).convert("CMYK"), "JPEG")
    with pytest.raises(UserError, match=r"x.png: a JPEG of 4 channels with 8 bits; 8-bit grey"):
        header_of(data, allow_jpeg=True)
    for cut in (3, 10, 40):
        with pytest.raises(UserError, match=r"x.png: not a readable JPEG \(its header is damaged"):
            header_of(data[:cut], allow_jpeg=True)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_damaged_pixels_are_told(kind):
    data = encode(Image.fromarray(np.tile(PIXELS, (30, 30, 1))), kind)
    header = header_of(data, allow_jpeg=True)
    with pytest.raises(UserError, match=r"^x: not a readable image \(.*make it again"):
        decode_image(data[: len(data) // 2], header, "x")


def test_images_that_changed_since_are_told():
    data = encode(Image.fromarray(PIXELS))
    with pytest.raises(UserError, match=r"x: decoded to \[5, 7, 3\], its header says \[7, 5, 3\]"):
        decode_image(data, ImageHeader(7, 5, 3, is_jpeg=False), "x")
    with pytest.raises(UserError, match="x: not a readable image"):
        decode_image(data, ImageHeader(5, 7, 3, is_jpeg=True), "x")
