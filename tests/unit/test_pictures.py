import dataclasses
import io
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps, TiffImagePlugin

from inpaint import pictures
from inpaint.pictures import Picture, PictureError, georeference, metadata

LOSSLESS = ("PNG", "TIFF")
RNG = np.random.default_rng(0)
GREY, GREY_ALPHA, RGB, RGBA = (RNG.integers(0, 256, (13, 17, c), np.uint8) for c in (1, 2, 3, 4))
SIXTEEN = {c: RNG.integers(0, 65536, (13, 17, c), np.uint16) for c in (1, 2, 3, 4)}
# The header of a profile is all that anyone here looks at: bytes 16 to 20 are its colour space.
PROFILE = struct.pack(">I", 132) + bytes(12) + b"RGB XYZ " + bytes(12) + b"acsp" + bytes(92)


def saved(array, format, **options):
    """Encode an array with Pillow."""
    out = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(out, format, **options)
    return out.getvalue()


def joined(picture):
    """Pixels and alpha in one array."""
    if picture.alpha is None:
        return picture.pixels
    return np.concatenate([picture.pixels, picture.alpha[..., None]], axis=2)


def exif(orientation, thumbnail=b""):
    """Write an EXIF block by hand: IFD0 with orientation and maker, IFD1 with a thumbnail."""
    head = b"II*\0" + struct.pack("<I", 8)
    ifd0 = struct.pack("<HHHII", 2, 0x010F, 2, 4, 0x414141) + struct.pack(
        "<HHIHHI", 0x0112, 3, 1, orientation, 0, 38 if thumbnail else 0
    )
    ifd1 = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, 68, 0x0202, 4, 1, len(thumbnail), 0)
    return head + ifd0 + (ifd1 + thumbnail if thumbnail else b"")


def chunk(name, body):
    check = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + check


def png(width, height, depth, colour, rows, *extra):
    """Write a PNG by hand."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


# Round trips


@pytest.mark.parametrize("format", LOSSLESS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_lossless_formats_keep_every_bit(format, data):
    shape = data.draw(st.tuples(*[st.integers(1, 9)] * 2, st.integers(1, 4)))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    array = data.draw(arrays.arrays(dtype, shape))
    again = pictures.read(pictures.encode(pictures.read(array), format))
    assert again.format == format
    assert again.pixels.dtype == dtype
    np.testing.assert_array_equal(joined(again), array)


@pytest.mark.parametrize("format", LOSSLESS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_smooth_and_tall_pictures_keep_every_bit(format, dtype):
    y, x = np.mgrid[:200, :50]
    array = np.stack([x + y, x // 3 + y // 2, (x - y) ** 2 // 40], axis=2).astype(dtype)
    if dtype == np.uint16:
        array *= 97
    again = pictures.read(pictures.encode(pictures.read(array), format))
    np.testing.assert_array_equal(again.pixels, array)


@pytest.mark.parametrize("format", LOSSLESS)
@pytest.mark.parametrize("array", [GREY, RGB, RGBA, *SIXTEEN.values()], ids=lambda a: str(a.shape))
def test_other_decoders_read_what_is_encoded(format, array):
    data = pictures.encode(pictures.read(array), format)
    if array.dtype == np.uint8:
        with Image.open(io.BytesIO(data)) as image:
            np.testing.assert_array_equal(np.asarray(image).reshape(array.shape), array)
    elif array.shape[2] != 2:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        swapped = array[..., [2, 1, 0, 3][: array.shape[2]]] if array.shape[2] > 1 else array
        np.testing.assert_array_equal(decoded.reshape(array.shape), swapped)
    elif format == "TIFF":
        tifffile = pytest.importorskip("tifffile")
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), array)


@pytest.mark.parametrize("compression", [1, 5, 8], ids=["raw", "lzw", "deflate"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiff_of_others(channels, compression):
    array = SIXTEEN[channels]
    swapped = array[..., [2, 1, 0, 3][:channels]] if channels > 1 else array
    _, data = cv2.imencode(".tif", swapped, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    picture = pictures.read(data.tobytes())
    np.testing.assert_array_equal(joined(picture), array)
    np.testing.assert_array_equal(joined(pictures.read(pictures.encode(picture))), array)


@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_tiff_planes_byte_order_and_orientation(channels, order, planes):
    tifffile = pytest.importorskip("tifffile")
    array, out = SIXTEEN[channels], io.BytesIO()
    options = {} if channels == 1 else {"planarconfig": planes}
    if channels in (2, 4):
        options["extrasamples"] = ["unassalpha"]
    tifffile.imwrite(
        out,
        np.moveaxis(array, 2, 0) if planes == "separate" and channels > 1 else array.squeeze(),
        photometric="rgb" if channels > 2 else "minisblack",
        byteorder=order,
        extratags=[(274, "H", 1, 6, True)],
        metadata=None,
        **options,
    )
    np.testing.assert_array_equal(joined(pictures.read(out.getvalue())), np.rot90(array, -1))


def test_16_bit_tiff_where_zero_is_white_is_inverted():
    tifffile = pytest.importorskip("tifffile")
    out, array = io.BytesIO(), SIXTEEN[1]
    tifffile.imwrite(out, array[..., 0], photometric="miniswhite", metadata=None)
    np.testing.assert_array_equal(pictures.read(out.getvalue()).pixels, 65535 - array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk_tiff_keeps_every_bit(dtype):
    cmyk = (SIXTEEN[4] >> (0 if dtype == np.uint16 else 8)).astype(dtype)
    again = pictures.read(pictures.encode(Picture(cmyk), "TIFF"))
    np.testing.assert_array_equal(again.pixels, cmyk)
    assert again.alpha is None


def test_lossless_webp_stays_lossless_and_lossy_stays_lossy():
    picture = pictures.read(saved(RGBA, "WEBP", lossless=True, exact=True))
    np.testing.assert_array_equal(joined(pictures.read(pictures.encode(picture))), RGBA)
    assert not pictures.read(saved(RGBA, "WEBP")).extras["lossless"]


def test_bmp_and_gif():
    np.testing.assert_array_equal(pictures.read(saved(RGB, "BMP")).pixels, RGB)
    again = pictures.read(pictures.encode(pictures.read(RGB), "BMP"))
    np.testing.assert_array_equal(again.pixels, RGB)
    gif = pictures.read(saved(RGB, "GIF"))
    assert (gif.format, pictures.save_format(gif), gif.pixels.shape) == ("GIF", "PNG", RGB.shape)
    with pytest.raises(PictureError, match="PNG"):
        pictures.encode(gif, "GIF")


def test_bmp_with_alpha_is_saved_as_png():
    assert pictures.save_format(Picture(RGB, RGBA[..., 3], "BMP")) == "PNG"


def test_jpeg_is_written_with_its_own_tables_and_sampling():
    smooth = cv2.GaussianBlur(RGB, (0, 0), 5).repeat(4, 0).repeat(4, 1)
    for sampling in (0, 2):
        data = saved(smooth, "JPEG", quality=71, subsampling=sampling)
        again = pictures.encode(pictures.read(data))
        with Image.open(io.BytesIO(data)) as a, Image.open(io.BytesIO(again)) as b:
            assert a.quantization == b.quantization
            assert a.layer == b.layer
            difference = np.abs(np.asarray(a).astype(int) - np.asarray(b))
            assert difference.mean() < 0.5


def test_cmyk_jpeg_is_not_inverted():
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[..., 1] = 255  # magenta ink alone
    out = io.BytesIO()
    Image.fromarray(cmyk, "CMYK").save(out, "JPEG", quality=100)
    picture = pictures.read(out.getvalue())
    np.testing.assert_allclose(picture.rgb()[0, 0], [1, 0, 1], atol=0.02)
    assert pictures.read(pictures.encode(picture)).pixels.shape == (16, 16, 4)
    np.testing.assert_allclose(
        pictures.read(pictures.encode(picture, "PNG")).rgb()[0, 0], [1, 0, 1], atol=0.02
    )


def test_animation_and_pages_give_their_first():
    first, second = (Image.fromarray(np.full((4, 5, 3), v, np.uint8)) for v in (10, 200))
    lossless = {"lossless": True}
    for format, options in dict(PNG={}, TIFF={}, WEBP=lossless, GIF={}, MPO={}).items():
        out = io.BytesIO()
        first.save(out, format, save_all=True, append_images=[second], **options)
        picture = pictures.read(out.getvalue())
        assert (picture.pixels == 10).all() and picture.extras["more"], format
        out = io.BytesIO()
        first.save(out, format, **options)
        assert "more" not in pictures.read(out.getvalue()).extras, format


def test_a_smaller_copy_of_a_page_is_no_page():
    large, small = Image.new("L", (8, 8)), Image.new("L", (4, 4))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1
    small.encoderinfo = {"tiffinfo": tags}
    out = io.BytesIO()
    large.save(out, "TIFF", save_all=True, append_images=[small])
    with Image.open(out) as image:
        assert image.n_frames == 2
    assert "more" not in pictures.read(out.getvalue()).extras
    out = io.BytesIO()
    large.save(out, "MPO", save_all=True, append_images=[small])
    kind = struct.pack("<I", 0x010001)  # of what cameras show on their screen
    entry = out.getvalue().index(struct.pack("<I", 0x030000)) + 16
    copied = out.getvalue()[:entry] + kind + out.getvalue()[entry + 4 :]
    assert "more" in pictures.read(out.getvalue()).extras
    assert "more" not in pictures.read(copied).extras


# Palettes and transparency


def test_palette_becomes_rgb_and_its_transparency_alpha():
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    out = io.BytesIO()
    image.save(out, "PNG", transparency=bytes([255, 128, 0]))
    picture = pictures.read(out.getvalue())
    np.testing.assert_array_equal(picture.pixels[0], [[10, 20, 30], [40, 50, 60]])
    np.testing.assert_array_equal(picture.alpha, [[255, 128], [0, 128]])


@pytest.mark.parametrize("depth, colour", [(8, 0), (8, 2), (16, 0), (16, 2)])
def test_a_transparent_colour_becomes_alpha(depth, colour):
    samples = 3 if colour else 1
    kind = ">u2" if depth == 16 else "u1"
    array = RNG.integers(0, 2**depth, (3, 4, samples)).astype(kind)
    rows = b"".join(b"\0" + row.tobytes() for row in array)
    clear = chunk(b"tRNS", array[1, 2].astype(">u2").tobytes())
    picture = pictures.read(png(4, 3, depth, colour, rows, clear))
    want = np.where((array == array[1, 2]).all(-1), 0, picture.maximum)
    np.testing.assert_array_equal(picture.alpha, want)
    np.testing.assert_array_equal(picture.pixels, array)


def test_one_bit_becomes_grey():
    picture = pictures.read(png(4, 1, 1, 0, b"\0\xa0"))
    np.testing.assert_array_equal(picture.pixels[0, :, 0], [255, 0, 255, 0])


# Metadata


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("array", [RGB, SIXTEEN[3]], ids=["8", "16"])
def test_orientation_is_applied_once_and_the_rest_of_exif_kept(array, orientation):
    block = exif(orientation)
    data = pictures.encode(Picture(array, exif=block))
    with Image.open(io.BytesIO(saved(RGB, "PNG", exif=block))) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    picture = pictures.read(data)
    assert picture.pixels.shape == upright.shape
    if array is RGB:
        np.testing.assert_array_equal(picture.pixels, upright)
    else:
        np.testing.assert_array_equal(picture.pixels >> 8, upright_of_high_bytes(array, block))
    assert picture.exif == exif(1)
    again = pictures.read(pictures.encode(picture))
    np.testing.assert_array_equal(again.pixels, picture.pixels)


def upright_of_high_bytes(array, block):
    with Image.open(io.BytesIO(saved((array >> 8).astype(np.uint8), "PNG", exif=block))) as image:
        return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("array", [RGB, SIXTEEN[3], SIXTEEN[4]], ids=["8", "16", "16a"])
def test_profile_and_exif_travel(array, format):
    picture = dataclasses.replace(pictures.read(array), icc=PROFILE, exif=exif(1))
    data = pictures.encode(picture, format)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif()[0x010F] == "AAA"
    again = pictures.read(data)
    assert again.icc == PROFILE
    assert b"AAA" in again.exif


def test_exif_directories_travel_through_tiff():
    block = Image.Exif()
    block.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    block.get_ifd(0x8825)[1] = "N"
    picture = Picture(SIXTEEN[3], exif=block.tobytes()[6:])
    again = pictures.read(pictures.encode(picture, "TIFF"))
    found = Image.Exif()
    found.load(again.exif)
    assert found.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert found.get_ifd(0x8825)[1] == "N"


def test_the_exif_thumbnail_is_blanked():
    picture = pictures.read(saved(RGB, "JPEG", exif=b"Exif\0\0" + exif(6, b"SECRET FACE")))
    assert b"SECRET" not in picture.exif
    assert picture.exif[:38] == exif(1)[:34] + bytes(4)
    assert len(picture.exif) == len(exif(6, b"SECRET FACE"))


def test_damaged_exif_does_not_cost_the_picture():
    for block in (b"II*\0\xff\xff\xff\xff", b"junk", exif(6)[:20], exif(77)):
        picture = pictures.read(saved(RGB, "PNG", exif=block))
        np.testing.assert_array_equal(picture.pixels, RGB)
        assert pictures.encode(picture, "TIFF")


def test_tags_that_cannot_be_read_are_named():
    data = saved(RGB, "TIFF", tiffinfo={270: "a scene", 65000: 3}, big_tiff=True)
    assert pictures.losses(pictures.read(data), "TIFF") == []
    kind = data.index(struct.pack("<HHQQ", 65000, 3, 1, 3)) + 2
    odd = pictures.read(data[:kind] + b"\x12" + data[kind + 1 :])  # IFD8
    damaged = Picture(RGB, exif=b"II*\0\xff\xff\xff\xff")
    for picture in (odd, damaged):
        said = "Saved as TIFF it loses tags that cannot be read."
        assert pictures.loss(picture, "TIFF") == said
    assert pictures.losses(damaged, "PNG") == []
    with Image.open(io.BytesIO(pictures.encode(odd, "TIFF"))) as image:
        assert image.tag_v2[270] == "a scene" and 65000 not in image.tag_v2


def test_png_text_gamma_and_resolution_are_kept():
    gamma = chunk(b"gAMA", struct.pack(">I", 100000))
    text = chunk(b"tEXt", b"Author\0me")
    data = png(1, 1, 8, 0, b"\0\7", gamma, chunk(b"pHYs", b"\0\0\1\0\0\0\1\0\1"), text)
    again = pictures.encode(pictures.read(data), text={"inpaint": "x"})
    assert gamma in again and text in again and b"pHYs" in again
    assert pictures.embedded_text(again) == {"Author": "me", "inpaint": "x"}


@pytest.mark.parametrize("into", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_resolution_goes_from_format_to_format(format, into):
    data = pictures.encode(pictures.read(saved(RGB, format, dpi=(300, 200))), into)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["dpi"] == pytest.approx((300, 200), abs=0.01)


@pytest.mark.parametrize(
    ("array", "format", "lost"),
    [
        (RGB, "PNG", ""),
        (RGB, "TIFF", ""),
        (RGB, "BMP", ""),
        (RGB, "JPEG", "the last digits of every pixel"),
        (RGB, "WEBP", "the last digits of every pixel"),
        (SIXTEEN[4], "BMP", "8 of its 16 bits, its transparency"),
    ],
)
def test_what_a_format_loses(array, format, lost):
    said = pictures.loss(pictures.read(array), format)
    assert said == (lost and f"Saved as {format} it loses {lost}; TIFF would keep all.")
    own = pictures.read(saved(RGB, "JPEG"))
    assert pictures.loss(own, "JPEG") == ""


def test_jpeg_and_tiff_resolution_is_kept():
    for format in ("JPEG", "TIFF"):
        data = pictures.encode(pictures.read(saved(RGB, format, dpi=(300, 300))))
        with Image.open(io.BytesIO(data)) as image:
            assert image.info["dpi"] == (300, 300)


RECIPE = '{"seed": 7, "note": "<ü & \\"quotes\\">\\n"}'


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("array", [RGB, SIXTEEN[4]], ids=["8", "16"])
def test_text_is_embedded_replaced_and_read_back(array, format):
    first = pictures.encode(pictures.read(array), format, text={"inpaint": "old", "other": "kept"})
    picture = pictures.read(first)
    again = pictures.encode(picture, text={"inpaint": RECIPE})
    want = {"inpaint": RECIPE, "other": "kept"}
    assert pictures.embedded_text(again) == want
    assert pictures.embedded_text(io.BytesIO(again)) == want
    assert pictures.embedded_text(pictures.read(again)) == want
    assert b"old" not in again


def test_text_joins_the_xmp_that_is_there():
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
        b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="holiday"/></rdf:RDF></x:xmpmeta>'
    )
    data = pictures.encode(pictures.read(saved(RGB, "JPEG", xmp=packet)), text={"inpaint": "x"})
    with Image.open(io.BytesIO(data)) as image:
        tree = ElementTree.fromstring(image.info["xmp"])
    assert [v for part in tree.iter() for v in part.attrib.values() if v] == ["holiday", "x"]
    assert pictures.embedded_text(data) == {"inpaint": "x"}


def test_text_names_are_checked():
    with pytest.raises(PictureError, match="name"):
        pictures.encode(pictures.read(RGB), text={"a b": "x"})


# Arrays, Pillow images, and values


def test_arrays():
    np.testing.assert_array_equal(pictures.read(GREY[..., 0]).pixels, GREY)
    np.testing.assert_array_equal(pictures.read(GREY > 99).pixels, (GREY > 99) * 255)
    picture = pictures.read(GREY_ALPHA)
    np.testing.assert_array_equal(picture.alpha, GREY_ALPHA[..., 1])
    assert (picture.size, picture.format, picture.maximum) == ((17, 13), "PNG", 255)
    array = RGB.copy()
    picture = pictures.read(array)
    array[:] = 0
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert pictures.read(picture) is picture


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.int32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.array([["a"]]),
    ],
    ids=lambda a: f"{a.shape} {a.dtype}",
)
def test_arrays_that_are_no_pictures(array):
    with pytest.raises(PictureError):
        pictures.read(array)


def test_pillow_images():
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16"):
        image = Image.new(mode, (5, 4))
        assert pictures.read(image).size == (5, 4), mode
    for mode in ("I", "F", "LAB"):
        with pytest.raises(PictureError, match="unusual"):
            pictures.read(Image.new(mode, (5, 4)))
    with pytest.raises(PictureError, match="empty"):
        pictures.read(Image.new("L", (0, 4)))


@pytest.mark.parametrize("pixels", [GREY, RGB, SIXTEEN[1], SIXTEEN[3]], ids=lambda a: str(a.dtype))
def test_native_inverts_rgb(pixels):
    picture = Picture(pixels)
    box = (3, 2, 11, 9)
    rgb = picture.rgb(box)
    assert rgb.dtype == np.float32 and rgb.shape == (7, 8, 3) and 0 <= rgb.min() <= rgb.max() <= 1
    np.testing.assert_array_equal(np.rint(picture.native(rgb)), pixels[2:9, 3:11])


def test_native_inverts_rgb_of_cmyk_without_black():
    pixels = np.concatenate([RGB, np.zeros_like(GREY)], axis=2)
    picture = Picture(pixels)
    np.testing.assert_array_equal(np.rint(picture.native(picture.rgb())), pixels)
    black = Picture(np.array([[[0, 0, 0, 255]]], np.uint8))
    np.testing.assert_array_equal(black.rgb(), [[[0, 0, 0]]])


def test_native_grey_is_luma():
    native = Picture(GREY).native(np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1]]], np.float32))
    np.testing.assert_allclose(native[0, :, 0] / 255, [0.299, 0.587, 0.114], rtol=1e-6)


def test_the_cost_of_a_box_is_its_own():
    large = Picture(np.zeros((4000, 6000, 3), np.uint8))
    tracemalloc.start()
    large.rgb((10, 20, 30, 50))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**5


# Previews


def test_preview_is_small_over_white_and_averages():
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    image = pictures.preview(pictures.read(stripes), 32)
    assert (image.size, image.mode) == ((32, 16), "RGB")
    assert abs(np.asarray(image).astype(int) - 127).max() <= 2
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4, :, 3] = 255
    for array in (clear, clear.astype(np.uint16) * 257):
        seen = np.asarray(pictures.preview(pictures.read(array), 8))
        assert (seen[:4] == 0).all() and (seen[4:] == 255).all()
    assert pictures.preview(pictures.read(RGB), 500).size == (17, 13)
    assert pictures.preview(Picture(SIXTEEN[4]), 9).mode == "RGB"


def test_16_bits_become_8_by_rounding():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    seen = np.asarray(pictures.preview(pictures.read(ramp), 256))[..., 0]
    np.testing.assert_array_equal(seen, np.floor(ramp / 257 + 0.5))


def test_formats_without_alpha_put_it_over_white():
    picture = pictures.read(np.zeros((8, 8, 4), np.uint8))
    for format in ("JPEG", "BMP"):
        assert (pictures.read(pictures.encode(picture, format)).pixels == 255).all()


# Files


def test_write_goes_by_suffix_and_leaves_nothing_else(tmp_path):
    for name, format in {
        "a.png": "PNG",
        "b.JPG": "JPEG",
        "c.tif": "TIFF",
        "d.webp": "WEBP",
    }.items():
        path = pictures.write(pictures.read(RGB), tmp_path / name, text={"inpaint": "x"})
        assert path == tmp_path / name
        assert pictures.read(path).format == format
        assert pictures.embedded_text(str(path)) == {"inpaint": "x"}
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.JPG", "c.tif", "d.webp"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o666 & ~mask


def test_write_replaces_a_file_at_once(tmp_path):
    path, other = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(b"old")
    os.link(path, other)
    pictures.write(pictures.read(RGB), path)
    assert other.read_bytes() == b"old"  # the old file was never written into


@pytest.mark.parametrize("letter, count", [("a", 251), ("日", 83), ("🖌", 62)])
def test_the_longest_names_are_written(letter, count, tmp_path):
    name, picture = f"{letter * count}.png", pictures.read(np.zeros((2, 2, 3), np.uint8))
    assert len(name.encode()) > 250 and pictures.write(picture, tmp_path / name).exists()
    left = pictures.part_of(tmp_path / name)
    left.touch()
    pictures.tidy(tmp_path / name)
    assert not left.exists()


def test_a_file_keeps_its_permissions_and_a_link_leads_on(tmp_path):
    path, link = tmp_path / "a.png", tmp_path / "link.png"
    path.write_bytes(b"old")
    path.chmod(0o600)
    link.symlink_to(path)
    pictures.write(pictures.read(RGB), link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o600
    assert np.array_equal(pictures.read(path).pixels, pictures.read(RGB).pixels)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(b"old")
    with pytest.raises(PictureError, match="WEBP"):
        pictures.write(Picture(np.zeros((1, 20000, 3), np.uint8)), path)  # too wide for WebP
    assert path.read_bytes() == b"old"
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PictureError, match="cannot be saved"):
        pictures.write(pictures.read(RGB), tmp_path / "folder.png")
    with pytest.raises(PictureError, match="cannot be saved"):
        pictures.write(pictures.read(RGB), tmp_path / "missing" / "a.png")
    for name in ("a", "a.gif", "a.xyz"):
        with pytest.raises(PictureError, match="PNG|png"):
            pictures.write(pictures.read(RGB), tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["a.webp", "folder.png"]


def test_sources(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(saved(RGB, "PNG"))
    with path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), file):
            np.testing.assert_array_equal(pictures.read(source).pixels, RGB)


@pytest.mark.parametrize(
    "source",
    [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0", b"GIF89a", b"BM", None, 7,
     "", ".", "no such file.png", Path("no/such"), "a\0b", io.StringIO("text")],
    ids=lambda source: repr(source).partition(" object")[0],
)  # fmt: skip
def test_what_is_no_picture_gets_one_sentence(source):
    with pytest.raises(PictureError) as caught:
        pictures.read(source)
    assert str(caught.value).endswith(".")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(tmp_path):
    path = tmp_path / "x.png"
    path.touch(mode=0)
    with pytest.raises(PictureError, match="denied"):
        pictures.read(path)


# Limits


@pytest.mark.parametrize(
    "depth, size", [(8, 8001), (8, 10000), (16, 8001), (8, 60000), (16, 2**31 - 1)]
)
def test_too_many_pixels_are_refused_from_the_header(depth, size):
    with pytest.raises(PictureError, match="64 million"):
        pictures.read(png(size, size, depth, 2, b""))


def test_the_limit_is_an_argument():
    for data in (saved(RGB, "PNG"), saved(RGB, "TIFF"), pictures.encode(Picture(SIXTEEN[3]))):
        assert pictures.read(data, max_pixels=221).size == (17, 13)
        with pytest.raises(PictureError, match="17 × 13"):
            pictures.read(data, max_pixels=220)
    for source in (RGB, Image.fromarray(RGB), Picture(RGB)):
        with pytest.raises(PictureError, match="17 × 13"):
            pictures.read(source, max_pixels=220)


def test_packed_text_is_not_unpacked_without_limit():
    bomb = zlib.compress(bytes(50_000_000))
    huge = chunk(b"zTXt", b"a\0\0" + bomb), chunk(b"iCCP", b"a\0\0" + bomb)
    data = png(1, 1, 16, 0, b"\0\0\7", *huge)
    tracemalloc.start()
    picture = pictures.read(data)
    assert picture.icc is None
    assert pictures.embedded_text(picture) == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e7


SEEDS = [
    pictures.encode(Picture(array, alpha, exif=exif(6), icc=PROFILE), format, text={"a": "b"})
    for array, alpha in ((RGB, None), (SIXTEEN[3], SIXTEEN[1][..., 0]), (SIXTEEN[1], None))
    for format in ("PNG", "TIFF", "JPEG", "WEBP", "BMP")
] + [saved(RGB, "GIF"), saved(RGB, "TIFF", compression="tiff_lzw")]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_bytes_raise_anything_else(data):
    seed = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(0, 4))):
        reach = min(len(seed), data.draw(st.sampled_from([80, 9999])))
        where = data.draw(st.integers(0, reach - 1))
        seed[where] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([None, None, None, len(seed) // 2, len(seed) - 3]))
    try:
        picture = pictures.read(bytes(seed[:cut]), max_pixels=10**6)
    except PictureError as error:
        assert str(error).endswith(".")
    else:
        pictures.embedded_text(picture)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda d: repr(d[:4]))
def test_cut_files_are_refused(seed):
    with pytest.raises(PictureError):
        pictures.read(seed[: len(seed) * 2 // 3])


def test_importing_costs_no_heavy_library():
    heavy = "{'cv2', 'torch', 'gradio', 'tifffile'}"
    code = f"import sys, inpaint.pictures; print(*{heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# What a format has no room for


def xmp_of(text):
    """Make a packet that holds a text; of 65 504 bytes a JPEG has room for it."""
    source = (
        b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="'
    )
    return metadata.appended(None, source + text + b'"/>')


@pytest.mark.parametrize("what", ["XMP", "EXIF", "comment"])
@pytest.mark.parametrize("source", ["JPEG", "TIFF"])
def test_what_no_segment_of_a_jpeg_holds_is_left_out_and_that_is_said(what, source):
    picture = pictures.read(saved(RGB, source))
    tags = Image.Exif()
    tags[270] = "x" * 70_000
    long = {
        "XMP": {"xmp": xmp_of(b"x" * 65_100)},
        "EXIF": {},
        "comment": {"comment": b"x" * 70_000},
    }[what]
    block = tags.tobytes().removeprefix(b"Exif\0\0") if what == "EXIF" else picture.exif
    picture = dataclasses.replace(picture, exif=block, extras={**picture.extras, **long})
    picture, text = pictures.marked(picture), {"inpaint": "a recipe"}
    assert f"its {what}, which is too long" in pictures.loss(picture, "JPEG", text=text)
    assert what not in pictures.loss(picture, "TIFF", text=text)
    data = pictures.encode(picture, "JPEG", text=text)
    again = pictures.read(data)
    assert again.size == picture.size and again.exif in (None, picture.exif)
    assert b"compositeWithTrainedAlgorithmicMedia" in again.extras["xmp"]
    assert pictures.embedded_text(data) == {"inpaint": "a recipe"}
    for format in ("PNG", "TIFF", "WEBP"):
        assert pictures.read(pictures.encode(picture, format)).size == picture.size


@pytest.mark.parametrize("length", [30_000, 35_000, 36_000, 66_000])
def test_what_a_recipe_leaves_no_room_for_is_said_and_the_rest_is_kept(length):
    """Metadata and recipe share a segment: what goes is what is said to."""
    own = xmp_of(b"x" * 30_000)
    earlier = pictures.encode(pictures.read(saved(RGB, "JPEG", xmp=own)), text={"inpaint": "old"})
    picture, text = pictures.marked(pictures.read(earlier)), {"inpaint": "r" * length}
    lost = pictures.losses(picture, "JPEG", text=text)
    data = pictures.encode(picture, "JPEG", text=text)
    kept = pictures.read(data).extras["xmp"]
    assert b"compositeWithTrainedAlgorithmicMedia" in kept
    assert (b"x" * 30_000 in kept) == ("its XMP, which is too long" not in lost)
    assert (pictures.embedded_text(data) == text) == ("its recipe, which is too long" not in lost)
    assert b"old" not in kept
    assert len(lost) == (length > 34_900)


def test_what_a_jpeg_of_another_size_loses_is_said():
    picture = pictures.read(saved(RGB, "JPEG"))
    larger = dataclasses.replace(picture, pixels=np.pad(picture.pixels, ((0, 0), (8, 0), (0, 0))))
    assert pictures.losses(picture, "JPEG") == []
    assert pictures.losses(picture, "JPEG", whole=True) == [pictures.DIGITS]
    assert pictures.losses(larger, "JPEG") == [pictures.DIGITS]


def test_a_turned_jpeg_stays_upright_without_its_exif():
    picture = pictures.read(saved(RGB, "JPEG", exif=b"Exif\0\0" + exif(6)))
    picture = dataclasses.replace(picture, exif=picture.exif + bytes(66_000))
    assert pictures.read(pictures.encode(picture, "JPEG")).size == picture.size


@pytest.mark.parametrize(
    ("format", "size"), [("JPEG", (65501, 1)), ("WEBP", (1, 16384)), ("PNG", (65501, 1))]
)
def test_sides_beyond_a_format_are_refused_in_a_sentence(format, size):
    picture = Picture(np.zeros((size[1], size[0], 3), np.uint8))
    if format == "PNG":
        assert pictures.read(pictures.encode(picture, format)).size == size
        return
    with pytest.raises(PictureError, match=rf"^A {format} is at most \d+ pixels .* PNG instead\.$"):
        pictures.encode(picture, format)
    with pytest.raises(PictureError, match="at most"):
        pictures.check_sides(size, format)
    assert pictures.save_format(dataclasses.replace(picture, format=format)) == "PNG"


@pytest.mark.parametrize("rational", [(0, 0), (0, 1), (1, 0)])
def test_a_tiff_of_no_resolution_is_saved(rational):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag in (282, 283):
        tags.tagtype[tag], tags[tag] = 5, TiffImagePlugin.IFDRational(*rational)
    picture = pictures.read(saved(RGB, "TIFF", tiffinfo=tags))
    for format in ("TIFF", "PNG", "JPEG", "BMP", "WEBP"):
        assert pictures.read(pictures.encode(picture, format)).size == picture.size


NAME = "Jörg Mülle, 東京".encode()
"""Text in UTF-8, which TIFF's ASCII tags often hold."""


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("array", [RGB, SIXTEEN[3]])
def test_texts_of_tiff_tags_keep_their_bytes(array, moved):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[315], tags[33432], tags.tagtype[65000] = NAME, "(c) plain", 2
    tags[65000] = NAME
    tags[33550] = (2.0, 2.0, 0.0)
    picture = pictures.read(pictures.encode(pictures.read(array), "TIFF"))
    first = saved(RGB, "TIFF", tiffinfo=tags)
    picture = dataclasses.replace(picture, exif=pictures.read(first).exif)
    if moved:
        picture = dataclasses.replace(picture, exif=georeference.moved(picture.exif, offset=(1, 1)))
    with Image.open(io.BytesIO(pictures.encode(picture, "TIFF"))) as image:
        assert image.tag_v2[315].encode("latin-1") == NAME
        assert image.tag_v2[65000].encode("latin-1") == NAME
        assert image.tag_v2[33432] == "(c) plain"


def test_texts_of_the_exif_directory_keep_their_bytes():
    found = Image.Exif()
    found[315] = found.get_ifd(0x8769)[0xA430] = metadata._AsStored(NAME.decode("latin-1"))
    source = saved(RGB, "JPEG", exif=found)
    data = pictures.encode(pictures.read(source), "TIFF")
    again = pictures.read(pictures.encode(pictures.read(data), "TIFF"))
    read = Image.Exif()
    read.load(again.exif)
    assert read[315].encode("latin-1") == read.get_ifd(0x8769)[0xA430].encode("latin-1") == NAME
