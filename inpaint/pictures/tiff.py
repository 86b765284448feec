"""TIFF: the first page, 8 or 16 bit, in and out."""

from __future__ import annotations

import io
import math
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from inpaint.pictures.metadata import (
    EXIF,
    GPS,
    INTEROPERABILITY,
    directories,
    tags_fit,
    texts_kept,
    turn,
    upright,
)
from inpaint.pictures.picture import Picture, PictureError, check_size
from inpaint.pictures.png import MAX_CHUNK, decode_cv2

# Tags that say how the pixels are stored: written anew. All others are metadata and kept.
_LAYOUT = {
    *range(254, 260), *range(262, 267), 273, 274, *range(277, 284), 284, 290, 291, 292, 293, 296,
    301, *range(317, 326), 330, 332, 334, 338, 339, 340, 341, 342, 347, *range(512, 522),
    *range(529, 533), 700, 34675, 34377, 37724, 40965,
}  # fmt: skip
_DEFLATE = (8, 32946)
_BY_LIBTIFF = (5, 32773)  # LZW and PackBits
_STRIP = 1 << 18  # bytes, about


def _directory(data: bytes) -> ImageFileDirectory_v2:
    tags = ImageFileDirectory_v2(data[: 16 if b"+" in data[2:4] else 8])
    file = io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    return tags


def is_white_zero(image: Image.Image) -> bool:
    """Tell whether 0 means white in a TIFF that Pillow opened."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(262) == 0


def _several(value: object) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def decode16(data: bytes, max_pixels: int) -> Picture | None:
    """Decode 16-bit colour or alpha, and bands; None for what Pillow decodes without loss."""
    if not tags_fit(data):
        raise ValueError("its tags are damaged")
    tags = _directory(data)
    check_size((int(tags.get(256, 0)), int(tags.get(257, 0))), max_pixels)
    bits, samples = set(_several(tags.get(258, 1))), tags.get(277, 1)
    if not all(isinstance(number, int) for number in bits):
        raise ValueError("its tags are damaged")
    if bits - {1, 2, 4, 8, 16} or set(_several(tags.get(339, 1))) - {1, 4}:
        raise PictureError(
            f"This TIFF stores {max(bits)}-bit, signed or floating-point numbers. "
            "Save it with 8 or 16 whole bits per channel first."
        )
    separate = tags.get(284, 1) == 2
    _check_parts(tags, len(data), max_pixels)
    if picture := _decode_bands(data, tags, bits, samples):
        return picture
    if samples == 1 or (bits != {16} and not (separate and samples == 2)):
        return None
    colours = {1: 1, 2: 3, 5: 4}.get(tags.get(262, 2), 0)
    if not colours or samples < colours:
        raise PictureError("This TIFF has unusual colours. Save it as RGB or grey first.")
    if colours == 3 and samples <= 4 and not separate:
        array = decode_cv2(data)  # sets it upright too
    else:
        array = turn(_decode_rare(data, tags), tags.get(274, 1))
    pixels, alpha = np.ascontiguousarray(array[..., :colours]), None
    kind = _several(tags.get(338, 2))[0]  # of the first extra channel: 1 and 2 mean alpha
    if samples > colours and kind in (1, 2):
        alpha = np.ascontiguousarray(array[..., colours])
        if kind == 1:  # premultiplied
            white = np.iinfo(pixels.dtype).max
            scaled = pixels * (white / np.maximum(alpha, 1).astype(np.float64))[..., None]
            pixels = np.rint(scaled.clip(0, white)).astype(pixels.dtype)
    return upright(pixels, alpha, "TIFF", *metadata(data))


def _check_parts(tags: ImageFileDirectory_v2, length: int, max_pixels: int) -> None:
    """Refuse strips and tiles that cannot hold the picture, or are far larger than it."""
    width, height, samples = int(tags[256]), int(tags[257]), int(tags.get(277, 1))
    bits = max(_several(tags.get(258, 1)))
    if width * height * samples > 4 * max_pixels:
        raise PictureError("This TIFF has too many bands for its size. Make it smaller first.")
    planes = samples if tags.get(284, 1) == 2 else 1
    if 322 in tags:
        wide, high = int(tags[322]), int(tags.get(323, 0))
        starts = tags.get(324, ())
    else:
        wide, high = width, min(height, int(tags.get(278, height)))
        starts = tags.get(273, ())
    if min(wide, high) < 1 or wide * high > max(4 * width * height, 1 << 22):
        raise ValueError("its tiles are of no sensible size")
    parts = planes * -(-width // wide) * -(-height // high)
    if len(_several(starts)) < parts:
        raise ValueError("it is cut short")
    raw = width * height * samples * bits // 8
    if tags.get(259, 1) == 1 and tags.get(262) != 6 and raw > length:
        raise ValueError("it is cut short")


def _decode_bands(
    data: bytes, tags: ImageFileDirectory_v2, bits: set[int], samples: int
) -> Picture | None:
    """Decode channels that are no colours; None where they are colours and at most alpha."""
    photometric, kinds = tags.get(262), _several(tags.get(338, ()))
    colours = {1: 1, 2: 3}.get(int(photometric or 0), samples)
    extra = samples - colours
    if extra < 1 or (extra == 1 and (not kinds or kinds[0] in (1, 2))) or bits not in ({8}, {16}):
        return None
    array = np.ascontiguousarray(turn(_decode_rare(data, tags), tags.get(274, 1)))
    icc, exif, extras = metadata(data)
    extras["bands"] = (photometric, (*kinds, *[0] * extra)[:extra])
    return replace(
        upright(array[..., :1], None, "TIFF", icc, exif, extras), pixels=array, bands=True
    )


def _decode_rare(data: bytes, tags: ImageFileDirectory_v2) -> np.ndarray:
    """Decode what OpenCV gets wrong: grey with alpha, separate planes, CMYK, bands; (H, W, C)."""
    bits, packing = set(_several(tags.get(258, 1))), tags.get(259, 1)
    known = packing in (1, *_DEFLATE, *_BY_LIBTIFF)
    if bits not in ({8}, {16}) or not known or tags.get(266, 1) != 1:
        raise PictureError("This TIFF is of a rare kind. Save it without compression.")
    kind = np.dtype(f"{'<' if data[:1] == b'I' else '>'}u{max(bits) // 8}")
    width, height, samples = int(tags[256]), int(tags[257]), int(tags.get(277, 1))
    tiled, planes = 322 in tags, samples if tags.get(284, 1) == 2 else 1
    wide, high = (int(tags[322]), int(tags[323])) if tiled else (width, int(tags.get(278, height)))
    starts, lengths = (_several(tags[tag]) for tag in ((324, 325) if tiled else (273, 279)))
    across, down, each = -(-width // wide), -(-height // high), samples // planes
    array = np.empty((planes, height, width, each), kind.newbyteorder("="))
    for index in range(planes * down * across):
        plane, place = divmod(index, down * across)
        y, x = high * (place // across), wide * (place % across)
        rows = high if tiled else min(high, height - y)
        part = data[starts[index] : starts[index] + lengths[index]]
        length = rows * wide * each * kind.itemsize
        if packing in _BY_LIBTIFF:
            part = _unpacked(part, int(packing), length)
        elif packing != 1:
            part = zlib.decompressobj().decompress(part, length)
        if len(part) < length:
            raise ValueError("it is cut short")
        block = np.frombuffer(part[:length], kind).reshape(rows, wide, each)
        if tags.get(317, 1) == 2:  # differences along the row
            block = np.cumsum(block, axis=1, dtype=array.dtype)
        own = array[plane, y : y + rows, x : x + wide]
        own[:] = block[: own.shape[0], : own.shape[1]]
    return np.concatenate(list(array), axis=2)


def _unpacked(part: bytes, packing: int, length: int) -> bytes:
    """Have libtiff unpack a strip or tile to bytes, as a grey picture of one row."""
    tags = ImageFileDirectory_v2()
    tags[256], tags[257], tags[258], tags[259] = length, 1, 8, packing
    tags[262], tags[277], tags[278], tags[279] = 1, 1, 1, len(part)
    tags.tagtype[273], tags[273] = 4, 0
    out = io.BytesIO()
    tags.save(out)
    with Image.open(io.BytesIO(out.getvalue() + part), formats=["TIFF"]) as row:
        return row.tobytes()


def metadata(data: bytes) -> tuple[bytes | None, bytes | None, dict[str, Any]]:
    """Return the ICC profile, EXIF made of the tags that are not layout, and the rest."""
    tags = _directory(data)
    extras: dict[str, Any] = {"raw": tags.get(259, 1) == 1}
    if 282 in tags and 283 in tags:
        scale = 2.54 if tags.get(296, 2) == 3 else 1.0
        dpi = (float(tags[282]) * scale, float(tags[283]) * scale)
        if all(math.isfinite(dots) and dots > 0 for dots in dpi):
            extras["dpi"] = dpi
    if isinstance(xmp := tags.get(700), bytes):
        extras["xmp"] = xmp
    icc = tags.get(34675)
    block, exif = None, Image.Exif()
    try:
        every = list(directories(data))
        tagged = (item for found in every for item in found.items())
        if sum(length for tag, (_, length) in tagged if tag not in _LAYOUT) > MAX_CHUNK:
            raise ValueError("too much to keep")
        exif.bigtiff, exif.endian = tags._bigtiff, tags._endian  # as Pillow does; see getexif
        exif.load_from_fp(io.BytesIO(data), tags._offset)
        if {tag for tag, (count, _) in every[0].items() if count} - _LAYOUT - set(exif):
            extras["unread"] = True  # of a type that Pillow does not know, say
        for tag in _LAYOUT & set(exif):
            del exif[tag]
        texts_kept(exif).bigtiff = False  # nor is an EXIF block
        block = exif.tobytes() if len(exif) else None
    except Exception:  # metadata that nobody can parse must not cost the picture
        extras["unread"] = True
    return icc if isinstance(icc, bytes) else None, block, extras


def encode(picture: Picture, xmp: bytes | None) -> bytes:
    """Encode grey, RGB or CMYK, 8 or 16 bit, with alpha; deflated unless the source was raw."""
    pixels, extras = picture.pixels, picture.extras
    colours = pixels.shape[2]
    if picture.alpha is not None:
        pixels = np.concatenate([pixels, picture.alpha[..., None]], axis=2)
    pixels = pixels.astype(pixels.dtype.newbyteorder("<"))
    height, width, samples = pixels.shape
    tags = ImageFileDirectory_v2()
    for tag, value in (tags_of(picture.exif) or {}).items():
        tags[tag] = value
    raw = bool(extras.get("raw"))
    if not raw:
        pixels[:, 1:] -= pixels[:, :-1].copy()  # horizontal differencing, modulo 2**bits
        tags[317] = 2
    rows = min(height, max(1, _STRIP // (width * samples * pixels.itemsize)))
    strips = [pixels[at : at + rows].tobytes() for at in range(0, height, rows)]
    if not raw:
        strips = [zlib.compress(strip, 4) for strip in strips]
    lengths = [len(strip) for strip in strips]
    tags[256], tags[257], tags[258] = width, height, (8 * pixels.itemsize,) * samples
    tags[259] = 1 if raw else 8
    tags[262] = {1: 1, 3: 2, 4: 5}.get(colours, 1)
    tags[277], tags[278], tags[284] = samples, rows, 1
    tags.tagtype[273] = tags.tagtype[279] = 4
    tags[273] = tuple(int(start) for start in np.cumsum([0, *lengths[:-1]]))
    tags[279] = tuple(lengths)
    if samples > colours:
        tags[338] = 2
    if picture.bands:
        tags[262], tags[338] = extras.get("bands", (1, (0,) * (samples - 1)))
    if "dpi" in extras:
        tags[282], tags[283] = extras["dpi"]
        tags[296] = 2
    if picture.icc:
        tags.tagtype[34675] = 7
        tags[34675] = picture.icc
    if iptc := extras.get("iptc"):
        tags.tagtype[33723] = 7
        tags[33723] = iptc
    if xmp:
        tags.tagtype[700] = 1
        tags[700] = xmp
    out = io.BytesIO()
    tags.save(out)
    return out.getvalue() + b"".join(strips)


def tags_of(block: bytes | None) -> ImageFileDirectory_v2 | None:
    """Turn an EXIF block into the tags of a TIFF; None if Pillow cannot write all of it."""
    found = ImageFileDirectory_v2()
    try:
        exif = Image.Exif()
        exif.load(block or b"")
        for tag, value in texts_kept(exif).items():
            if tag in (EXIF, GPS):
                inner = dict(exif.get_ifd(tag))
                inner.pop(INTEROPERABILITY, None)  # a pointer to a directory left behind
                found[tag] = inner
            elif tag not in _LAYOUT:
                found[tag] = value
        found.tobytes()
    except Exception:  # metadata that cannot be written must not cost the picture
        return None
    return found
