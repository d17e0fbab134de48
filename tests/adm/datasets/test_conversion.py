import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from adm.datasets.centre_crop import MAX_PIXELS
from adm.datasets.conversion import TRAITS, convert_image, list_versions
from adm.datasets.own_images import UnusableImage
from tests.adm.datasets.small_sources import encode, make_jpeg, make_pixels


def convert(content, size=16, crop="centre"):
    return convert_image(content, image_size_px=size, crop=crop)


def decode(converted):
    image = Image.open(io.BytesIO(converted.png), formats=["PNG"])
    assert image.mode == "RGB"
    return np.asarray(image)


def traits(converted):
    return {name for bit, name in enumerate(TRAITS) if converted.traits >> bit & 1}


def whole(content):
    return decode(convert(content, size=None, crop="none"))


def test_an_ordinary_jpeg_has_nothing_peculiar():
    converted = convert(make_jpeg())
    assert decode(converted).shape == (16, 16, 3)
    assert traits(converted) == {"sides_cut_off"}
    assert traits(convert(make_jpeg(30, 30))) == set()
    assert traits(convert(make_jpeg(), size=None, crop="none")) == set()


def test_lossless_images_keep_their_pixels():
    pixels = make_pixels(20, 12)
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {})):
        np.testing.assert_array_equal(whole(encode(pixels, kind, **options)), pixels)


def test_the_digest_is_of_size_and_pixels():
    pixels = make_pixels(20, 12)
    converted = convert(encode(pixels, "PNG"), size=None, crop="none")
    assert converted.pixels_sha256 == hashlib.sha256(b"20 12 " + pixels.tobytes()).digest()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey_becomes_three_equal_channels(kind):
    grey = make_pixels(16, 16)[..., 0]
    converted = convert(encode(Image.fromarray(grey), kind))
    assert traits(converted) == {"grey"}
    got = decode(converted)
    assert (got == got[..., :1]).all()
    if kind == "PNG":
        np.testing.assert_array_equal(got[..., 0], grey)


def test_one_bit_images_are_grey():
    converted = convert(encode(Image.new("1", (16, 16), 1), "PNG"))
    assert traits(converted) == {"grey"}
    assert (decode(converted) == 255).all()


def test_cmyk_is_converted_as_pillow_does():
    image = Image.fromarray(make_pixels(32, 32)).convert("CMYK")
    content = encode(image, quality=95)
    converted = convert(content, size=32)
    assert traits(converted) == {"cmyk"}
    plain = Image.open(io.BytesIO(content)).convert("RGB")
    np.testing.assert_array_equal(decode(converted), np.asarray(plain))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette(kind):
    image = Image.fromarray(make_pixels(16, 16)).quantize(16)
    converted = convert(encode(image, kind))
    assert traits(converted) == {"palette"}
    np.testing.assert_array_equal(decode(converted), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_dropped_not_blended(mode):
    """The colours under transparent pixels come out, as in the authors' loader."""
    pixels = make_pixels(16, 16)
    if mode == "P":
        image = Image.fromarray(pixels).quantize(8)
        content = encode(image, "PNG", transparency=bytes(8))
        expected, also = np.asarray(image.convert("RGB")), ["palette"]
    else:
        image = Image.fromarray(pixels).convert("L" if mode == "LA" else "RGB")
        expected, also = np.asarray(image.convert("RGB")), ["grey"] if mode == "LA" else []
        image.putalpha(0)
        content = encode(image, "PNG")
    converted = convert(content)
    assert traits(converted) == {*also, "transparency_dropped"}
    np.testing.assert_array_equal(decode(converted), expected)


def test_exif_rotation_is_not_applied_but_counted():
    pixels = make_pixels(24, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    plain, turned = encode(pixels), encode(pixels, exif=exif)
    converted = convert(turned)
    assert traits(converted) == {"sides_cut_off", "exif_rotation_ignored"}
    np.testing.assert_array_equal(decode(converted), decode(convert(plain)))
    exif[0x0112] = 1
    assert traits(convert(encode(pixels, exif=exif))) == {"sides_cut_off"}


def test_damaged_exif_does_no_harm():
    content = encode(make_pixels(24, 16), exif=b"Exif\0\0MM\0*\0\0\xff\xff nonsense")
    assert decode(convert(content)).shape == (16, 16, 3)


def test_first_frame_of_several():
    frames = [Image.fromarray(make_pixels(16, 16, seed)) for seed in (1, 2)]
    content = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    converted = convert(content)
    assert traits(converted) == {"first_of_several_frames"}
    np.testing.assert_array_equal(decode(converted), make_pixels(16, 16, 1))


def write_png(width, height, depth, colour, rows):
    def chunk(name, content):
        crc = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_sixteen_bit_colour_keeps_its_upper_bytes():
    rows = b"\0" + bytes(range(96))  # one row of 16 pixels
    content = write_png(16, 1, 16, 2, rows)
    converted = convert(content, size=1)
    assert traits(converted) == {"sixteen_bits_cut_to_eight", "sides_cut_off"}
    np.testing.assert_array_equal(whole(content).ravel(), np.arange(0, 96, 2))


def test_sixteen_bit_grey_is_refused():
    content = encode(Image.fromarray(np.full((16, 16), 40000, np.uint16)), "PNG")
    with pytest.raises(UnusableImage, match=r"more than 8 bits of grey \(mode I;16\).*to 8 bits"):
        convert(content)
    content = encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF")
    with pytest.raises(UnusableImage, match="more than 8 bits of grey"):
        convert(content)


def test_one_pixel_is_enlarged():
    converted = convert(encode(np.full((1, 1, 3), 77, np.uint8), "PNG"))
    assert traits(converted) == {"enlarged"}
    assert (decode(converted) == 77).all()


@pytest.mark.parametrize(("width", "height"), [(30000, 3000), (60000, 60000)])
def test_decompression_bomb_is_refused_before_it_is_decoded(width, height):
    assert width * height > MAX_PIXELS
    with pytest.raises(UnusableImage, match=r"decompression bomb: .*more than 89478485 pixels"):
        convert(write_png(width, height, 8, 2, b""))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no image of a known format"),
        (b"<html>404</html>", "no image of a known format"),
        (make_jpeg()[:400], "damaged: Truncated"),
        (encode(make_pixels(16, 16), "PNG")[:200], "damaged: "),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "no image of a known format|damaged"),
        (b"%PDF-1.4", "no image of a known format"),
    ],
)
def test_damaged_and_foreign_files(content, words):
    with pytest.raises(UnusableImage, match=words):
        convert(content)


def test_damage_anywhere_is_refused_in_words_or_harmless():
    content = bytearray(encode(make_pixels(16, 16), "PNG"))
    for place in range(0, len(content), 7):
        broken = content.copy()
        broken[place] ^= 0xFF
        try:
            convert(bytes(broken))
        except UnusableImage as error:
            assert str(error)


def test_too_little_memory_is_a_reason_too(monkeypatch):
    def refuse(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("adm.datasets.conversion.make_square", refuse)
    with pytest.raises(UnusableImage, match="not enough memory to decode it"):
        convert(make_jpeg())


def test_versions_name_what_decides_the_bytes():
    assert set(list_versions()) == {"pillow", "libjpeg", "zlib", "webp"}
    assert list_versions()["pillow"] == Image.__version__
