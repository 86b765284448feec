"""Reading: paths, bytes, arrays and Pillow images to `Picture`."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin

from inpaint.pictures import jpeg, png, tiff
from inpaint.pictures.metadata import tags_fit, text_in_xmp, upright
from inpaint.pictures.picture import MAX_PIXELS, Picture, PictureError, check_size
from inpaint.settings import short

MAX_BYTES = 1 << 30  # of a file
File = str | os.PathLike[str] | bytes | BinaryIO
PAGES = 32
"""Of a TIFF that are looked at."""
_PIXELS_PER_BYTE = {"JPEG": 512, "GIF": 2731, "BMP": 1024}
"""The most that a format can pack into a byte: one bit for a block of 64 pixels in JPEG, codes of
12 bits for 4096 pixels in GIF, runs in BMP; `png.could_hold` knows of PNG. What says more of itself
lies, and is refused before memory is set aside for it."""
_MAX_SCANS = 100  # of a JPEG; each takes as long as the whole picture, and ten are usual
_PLUGINS = (TiffImagePlugin, WebPImagePlugin)  # imported here, or Pillow would import them all


def read(
    source: File | Image.Image | np.ndarray | Picture, *, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Read a PNG, JPEG, WebP, TIFF, BMP or GIF, or an array or Pillow image.

    Of several pages or frames the first; then `extras` has "more".

    Parameters
    ----------
    source
        A path, a file's bytes, an open binary file, a Pillow image, a `Picture` (returned as it
        is), or an array of bool, uint8 or uint16: (H, W) or (H, W, C) with C = 1 (grey),
        2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
    max_pixels
        Larger pictures are refused from their header, before anything is decoded.

    Raises
    ------
    PictureError
        For everything that cannot be read, whatever the reason.
    """
    try:
        with warnings.catch_warnings():  # Pillow warns of what is refused or repaired here
            warnings.simplefilter("ignore")
            if isinstance(source, Picture):
                check_size(source.size, max_pixels)
                return source
            if isinstance(source, np.ndarray):
                return _from_array(source, max_pixels)
            if isinstance(source, Image.Image):
                return _from_image(source, "PNG", max_pixels)
            data = _bytes_of(source)
            picture = _decode(data, max_pixels)
            if _has_more(data, picture.format):
                picture = replace(picture, extras={**picture.extras, "more": True})
            return picture
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(
            f"This picture has more than {max_pixels / 1e6:g} million pixels, the limit. "
            "Make it smaller first."
        ) from None
    except MemoryError:
        raise PictureError(
            "There is not enough memory to open this picture. Make it smaller first."
        ) from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, cv2.error, ...
        raise PictureError(
            "This file is not a picture that can be read: "
            f"{str(error).rstrip('.') or type(error).__name__}. "
            "It may be damaged or cut short; try saving it again as PNG."
        ) from error


def embedded_text(source: File | Picture) -> dict[str, str]:
    """Return the texts that `encode(..., text=...)` put into a picture, by name."""
    if isinstance(source, Picture):
        chunks, xmp = source.extras.get("png", ()), source.extras.get("xmp", b"")
        return {**png.text_of(chunks), **text_in_xmp(xmp)}
    data = _bytes_of(source)
    if data.startswith(png.SIGNATURE):
        return png.text_of(png.chunks(data))
    return text_in_xmp(data)


def _bytes_of(source: object) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        path, name = Path(source), short(os.fspath(source), 300)
        try:
            if not path.is_file():
                what = "a folder or a device, not a file" if path.exists() else "not there"
                raise PictureError(f"The picture {name} is {what}. Check its name.")
            with path.open("rb") as file:
                return _bytes_of(file)
        except OSError as error:
            raise PictureError(f"The picture {name} cannot be opened: {error.strerror}.") from None
    data = source.read(MAX_BYTES + 1) if hasattr(source, "read") else None
    if not isinstance(data, bytes):
        raise PictureError(f"A picture is a file, its bytes or an array, not {type(source)}.")
    if len(data) > MAX_BYTES:
        raise PictureError("This file is larger than 1 GB. Save the picture smaller first.")
    return data


def _sniff(data: bytes) -> str:
    """Name the format by its first bytes. This is the list of what is let in."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    starts = {
        png.SIGNATURE: "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP",
        b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
    }  # fmt: skip
    for start, name in starts.items():
        if data.startswith(start):
            return name
    what = "is not a PNG, JPEG, WebP, TIFF, BMP or GIF picture" if data else "is empty"
    raise PictureError(f"This file {what}. Try saving the picture again as PNG.")


def _decode(data: bytes, max_pixels: int) -> Picture:
    format_ = _sniff(data)
    if format_ == "PNG" and data[24:25] == b"\x10":
        return png.decode16(data, max_pixels)
    if format_ == "TIFF" and (picture := tiff.decode16(data, max_pixels)):
        return picture
    if format_ == "JPEG" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise ValueError("it is coded in more than 100 scans")
    if format_ == "JPEG" and not tags_fit(jpeg.exif(data)):
        raise ValueError("its EXIF is damaged")
    with Image.open(io.BytesIO(data), formats=[format_]) as image:
        check_size(image.size, max_pixels)
        most = _PIXELS_PER_BYTE.get(format_, max_pixels) * len(data)
        if image.size[0] * image.size[1] > most or (format_ == "PNG" and not png.could_hold(data)):
            raise ValueError("it is far too short for the size that it says it has")
        return _from_image(image, format_, max_pixels, data)


def _from_array(array: np.ndarray, max_pixels: int) -> Picture:
    shape = array.shape
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (1, 2, 3, 4)):
        raise PictureError(f"An array picture is (height, width[, 1 to 4 channels]), not {shape}.")
    check_size((shape[1], shape[0]), max_pixels)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.uint8, np.uint16):
        raise PictureError(
            f"An array picture holds bool, uint8 or uint16, not {array.dtype}. "
            "Multiply values in [0, 1] by 255 and round them first."
        )
    array = array.reshape(shape[0], shape[1], -1).copy(order="C")
    if array.shape[2] in (1, 3):
        return Picture(array)
    return Picture(np.ascontiguousarray(array[..., :-1]), np.ascontiguousarray(array[..., -1]))


def _from_image(
    image: Image.Image, format_: str, max_pixels: int, data: bytes | None = None
) -> Picture:
    """Split a Pillow image, read from data if given, into pixels and alpha; set it upright."""
    check_size(image.size, max_pixels)
    image.load()
    mode, alpha = image.mode, image.has_transparency_data
    if mode in ("1", "L", "LA", "La"):
        array = np.asarray(image.convert("LA" if alpha else "L"))
    elif mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV"):
        array = np.asarray(image.convert("RGBA" if alpha else "RGB"))
    elif mode == "CMYK" or mode.startswith("I;16"):
        array = np.asarray(image)
        if format_ == "TIFF" and mode != "CMYK" and tiff.is_white_zero(image):
            array = 65535 - array  # Pillow inverts the 8-bit ones only
    else:
        raise PictureError(
            f"This picture is of an unusual kind ({mode}). Save it as 8- or 16-bit RGB or grey."
        )
    picture = Picture(array.copy()) if mode == "CMYK" else _from_array(array, max_pixels)
    info = image.info
    icc = info.get("icc_profile") or None
    exif = info["exif"] if isinstance(info.get("exif"), bytes) else None
    extras = {key: info[key] for key in ("dpi", "xmp", "comment") if info.get(key)}
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        if iptc := jpeg.iptc(info.get("photoshop", {})):
            extras["iptc"] = iptc
        extras["qtables"] = image.quantization
        extras["subsampling"] = JpegImagePlugin.get_sampling(image)
        extras["progressive"] = bool(info.get("progressive"))
        if data and (coded := jpeg.essence(data)):
            extras["jpeg"] = coded
    elif format_ == "PNG" and data:
        icc, exif, extras = png.metadata(data)
    elif format_ == "TIFF" and data:
        icc, exif, extras = tiff.metadata(data)
    elif format_ == "WEBP" and data:
        extras["lossless"] = _is_lossless(data)
    return upright(picture.pixels, picture.alpha, format_, icc, exif, extras)


def _has_more(data: bytes, format_: str) -> bool:
    """Say whether a file holds more pages or frames; what is a smaller copy of one is none."""
    if format_ not in ("TIFF", "GIF", "WEBP", "PNG", "JPEG"):
        return False
    with suppress(Exception), Image.open(io.BytesIO(data), formats=[format_]) as image:
        for page in range(1, PAGES):
            image.seek(page)  # raises EOFError after the last one
            if not _is_copy(image, page):
                return True
    return False


def _is_copy(image: Image.Image, page: int) -> bool:
    """Say whether the page that a file was turned to is a smaller copy of another."""
    if isinstance(image, MpoImagePlugin.MpoImageFile) and image.mpinfo:
        kind: str = image.mpinfo[0xB002][page]["Attribute"]["MPType"]
        return kind.startswith("Large Thumbnail")  # as cameras put it into every picture
    return isinstance(image, TiffImagePlugin.TiffImageFile) and bool(image.tag_v2.get(254))


def _is_lossless(webp: bytes) -> bool:
    """Look for the chunk that holds lossless pixels, in the first frame if there are several."""
    at = 12
    while at + 8 <= len(webp):
        name, length = webp[at : at + 4], int.from_bytes(webp[at + 4 : at + 8], "little")
        if name in (b"VP8L", b"VP8 "):
            return name == b"VP8L"
        at += 24 if name == b"ANMF" else 8 + length + length % 2
    return False
