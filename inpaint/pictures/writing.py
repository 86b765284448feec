"""Writing: `Picture` to bytes, to a file, and to a small preview."""

from __future__ import annotations

import contextlib
import glob
import io
import math
import os
import re
import secrets
import stat
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from inpaint.pictures import jpeg, png, tiff
from inpaint.pictures.metadata import add_to_xmp, as_stored
from inpaint.pictures.picture import EXTENSIONS, Picture, PictureError
from inpaint.pictures.provenance import mark_alone

_LONGEST = {"JPEG": 65500, "WEBP": 16383}
"""Longest side in pixels that the encoders of a format take."""
_LETTERS = 60
"""Of a file's name that its part keeps: with the rest at most 255 bytes, at 4 a letter."""
_SEGMENT = 65533
"""Bytes that a segment of a JPEG has room for."""
DIGITS = "the last digits of every pixel"
"""What `losses` says of a picture that is encoded again as a whole."""
_CHANNELS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}  # of the colour space an ICC profile is for


def save_format(picture: Picture) -> str:
    """Return the format that keeps the picture best: its own, or PNG where that cannot.

    GIF has no room for new colours, the BMP written here none for alpha, and JPEG and WebP none
    for very long sides.
    """
    if picture.format == "GIF" or (picture.format == "BMP" and picture.alpha is not None):
        return "PNG"
    return "PNG" if max(picture.size) > _longest(picture.format) else picture.format


def _longest(format: str) -> float:
    return _LONGEST.get(format, math.inf)


def check_sides(size: tuple[int, int], format: str) -> None:
    """Refuse a (width, height) that a format has no room for; called before any work.

    Raises
    ------
    PictureError
        With one sentence.
    """
    most = _longest(format)
    if max(size) > most:
        raise PictureError(
            f"A {format} is at most {most} pixels wide and high and this picture is "
            f"{size[0]} × {size[1]}. Choose PNG instead."
        )


def loss(picture: Picture, format: str, **how: Any) -> str:
    """Say in a sentence what `losses` names; "" if a format keeps every bit of a picture."""
    lost = losses(picture, format, **how)
    if not lost:
        return ""
    better = "" if losses(picture, "TIFF", **how) else "; TIFF would keep all"
    return f"Saved as {format} it loses {', '.join(lost)}{better}."


def losses(
    picture: Picture,
    format: str,
    *,
    text: Mapping[str, str] | None = None,
    whole: bool = False,
) -> list[str]:
    """Name what a format does not keep of a picture, and of the texts that are embedded in it.

    `whole` says that every pixel was edited: no coded block of the picture's source is left.
    """
    lost = []
    if picture.pixels.shape[2] == 4 and not picture.bands and format not in ("TIFF", "JPEG"):
        lost.append("the inks of CMYK")
    if format in ("JPEG", "WEBP", "BMP") and picture.maximum > 255:
        lost.append("8 of its 16 bits")
    if format in ("JPEG", "BMP") and picture.alpha is not None:
        lost.append("its transparency")
    if format == "JPEG":
        lost += [f"its {name}, which is too long" for name in _too_long(picture, text or {})]
        coded = picture.extras.get("jpeg")
        if whole or not coded or not jpeg.keeps(coded, picture.pixels.shape):
            lost.append(DIGITS)
    if format == "WEBP" and not picture.extras.get("lossless"):
        lost.append(DIGITS)
    if format not in ("JPEG", "TIFF") and picture.extras.get("iptc"):
        lost.append("its IPTC")
    if picture.extras.get("unread") or (format == "TIFF" and tiff.tags_of(picture.exif) is None):
        lost.append("tags that cannot be read")
    return lost


def encode(
    picture: Picture, format: str | None = None, *, text: Mapping[str, str] | None = None
) -> bytes:
    """Encode a picture as PNG, JPEG, WebP, TIFF or BMP; `save_format` by default.

    PNG and TIFF keep every bit. JPEG, lossy WebP and BMP take 8 bits, JPEG and BMP put alpha
    over white, and only JPEG and TIFF take CMYK. A JPEG keeps its source's tables and
    orientation, and outside the blocks around what was edited its source's very coefficients,
    unless its size was changed or its kind is rare. A WebP is lossless if its source was.

    Parameters
    ----------
    text
        Named texts to embed, such as {"inpaint": recipe}; BMP has no place for them.

    Raises
    ------
    PictureError
        If the format is unknown or cannot hold the picture.
    """
    format = format or save_format(picture)
    text = dict(text or {})
    if any(not re.fullmatch(r"[A-Za-z][\w-]{0,78}", key, re.ASCII) for key in text):
        raise PictureError("A text's name is up to 79 letters, digits, '-' and '_'.")
    if format not in ("PNG", "JPEG", "WEBP", "TIFF", "BMP"):
        raise PictureError(f"A picture cannot be saved as {format}. Choose PNG instead.")
    check_sides(picture.size, format)
    try:
        if format == "TIFF":
            return tiff.encode(picture, add_to_xmp(picture.extras.get("xmp"), text))
        if picture.bands:
            raise ValueError(f"it has {picture.pixels.shape[2]} bands, which only TIFF holds")
        if format == "JPEG":
            picture, text = _fitting(picture, text)
            picture = as_stored(picture)
        else:
            picture = _as_rgb(picture)
        if format == "PNG":
            return png.encode(picture, text)
        return _encode_pillow(picture, format, text)
    except Exception as error:
        raise PictureError(f"This picture cannot be saved as {format}: {error}.") from error


def _too_long(picture: Picture, text: Mapping[str, str]) -> list[str]:
    """Name the metadata that no segment of a JPEG holds, of XMP with the texts in it."""
    xmp, found = png.xmp_of(picture) or b"", []
    most = _SEGMENT - 29  # what a segment of XMP begins with
    if len(add_to_xmp(mark_alone(xmp), text) or b"") > most:
        found.append("recipe")
        text = dict.fromkeys(text, "")
    if len(add_to_xmp(xmp, text) or b"") > most:
        found.append("XMP")
    if len(picture.exif or b"") > _SEGMENT - 6:
        found.append("EXIF")
    if len(picture.extras.get("comment", b"")) > _SEGMENT:
        found.append("comment")
    return found


def _fitting(picture: Picture, text: dict[str, str]) -> tuple[Picture, dict[str, str]]:
    """Leave out the metadata, and the texts, that no segment of a JPEG holds."""
    long, extras = _too_long(picture, text), dict(picture.extras)
    if "XMP" in long:
        extras["xmp"] = mark_alone(extras.get("xmp") or b"")
    if "comment" in long:
        del extras["comment"]
    fitting = replace(picture, exif=None if "EXIF" in long else picture.exif, extras=extras)
    return fitting, dict.fromkeys(text, "") if "recipe" in long else text  # nor an earlier one


def _as_rgb(picture: Picture) -> Picture:
    """Turn CMYK into RGB, for formats that do not have it; and the first three of many bands."""
    if picture.pixels.shape[2] != 4 and not picture.bands:
        return picture
    pixels = np.rint(picture.rgb() * picture.maximum).astype(picture.pixels.dtype)
    return replace(picture, pixels=pixels, icc=None, bands=False)


def _eight_bit(array: np.ndarray) -> np.ndarray:
    """Round uint16 to uint8, 65535 to 255."""
    if array.dtype == np.uint8:
        return array
    return np.take(np.rint(np.arange(65536) / 257).astype(np.uint8), array)


def _to_image(picture: Picture) -> Image.Image:
    """Make an 8-bit Pillow image: L, RGB, CMYK, LA or RGBA (CMYK without its alpha)."""
    pixels = _eight_bit(picture.pixels)
    if pixels.shape[2] == 4:
        return Image.fromarray(pixels, "CMYK")
    if picture.alpha is not None:
        pixels = np.concatenate([pixels, _eight_bit(picture.alpha)[..., None]], axis=2)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    solid = Image.new(image.mode[:-1], image.size, "white")
    solid.paste(image.convert(solid.mode), mask=image.getchannel("A"))
    return solid


def _encode_pillow(picture: Picture, format: str, text: Mapping[str, str]) -> bytes:
    extras, image = picture.extras, _to_image(picture)
    options: dict[str, Any] = {}
    icc, channels = picture.icc, picture.pixels.shape[2]
    if format == "WEBP":
        if channels == 1:
            image = image.convert("RGBA" if picture.alpha is not None else "RGB")
            icc = icc if icc and _CHANNELS.get(icc[16:20]) == 3 else None
        options |= {"lossless": bool(extras.get("lossless")), "quality": 95, "exact": True}
    else:
        image = _over_white(image)
    if format == "JPEG":
        options["quality"] = 95
        options["subsampling"] = 0
        if "qtables" in extras:
            options = {"qtables": extras["qtables"], "progressive": extras["progressive"]}
            if extras["subsampling"] >= 0:
                options["subsampling"] = extras["subsampling"]
        if comment := extras.get("comment"):
            options["comment"] = comment
        if iptc := extras.get("iptc"):
            options["extra"] = jpeg.iptc_segment(iptc)
    if format in ("JPEG", "WEBP"):
        options["icc_profile"] = icc
        if picture.exif:
            options["exif"] = b"Exif\0\0" + picture.exif
        if xmp := add_to_xmp(extras.get("xmp"), text):
            options["xmp"] = xmp
    if "dpi" in extras and format in ("JPEG", "BMP"):
        options["dpi"] = extras["dpi"]
    if format == "JPEG" and "jpeg" in extras:
        shell = _saved(Image.new(image.mode, (1, 1)), format, options)
        if data := jpeg.encode(image, extras["jpeg"], shell):
            return data
    return _saved(image, format, options)


def _saved(image: Image.Image, format: str, options: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.save(out, format, **options)
    return out.getvalue()


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format that a path's suffix asks for; PictureError if it names none."""
    path = Path(path)
    format = EXTENSIONS.get(path.suffix.lower())
    if format in (None, "GIF"):
        known = ", ".join(suffix for suffix in EXTENSIONS if suffix != ".gif")
        raise PictureError(f"A picture cannot be saved as '{path.name}'. End its name in {known}.")
    return format


def write(
    picture: Picture, path: str | os.PathLike[str], *, text: Mapping[str, str] | None = None
) -> Path:
    """Encode by the path's suffix and put the file in place at once, whole or not at all.

    Raises
    ------
    PictureError
        If the suffix is unknown, the format cannot hold the picture, or the disk refuses.
    """
    path = Path(path)
    format = format_of(path)
    data = encode(picture, format, text=text)
    try:
        put(path, data)
    except OSError as error:
        raise PictureError(f"The picture '{path}' cannot be saved: {error.strerror}.") from error
    return path


def part_of(path: Path) -> Path:
    """Name a file beside another that is to become it; never too long where that is not."""
    return path.with_name(f".{path.name[:_LETTERS]}.{secrets.token_hex(4)}.part")


def put(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Give a file its content and its name at once, whole or not at all.

    A file that is there keeps its permissions, and a link goes on leading to it. `lasting` waits
    until the disk has it, so that not even a power cut leaves a part of it.

    Raises
    ------
    OSError
        The disk refuses; nothing is left behind then.
    """
    path = path.resolve()
    part = part_of(path)
    try:
        with part.open("xb") as file:
            _claimed(file)
            with contextlib.suppress(FileNotFoundError):
                part.chmod(stat.S_IMODE(path.stat().st_mode))
            file.write(data)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def tidy(path: Path) -> None:
    """Remove what killed processes left of a file that `put` wrote; others may be writing it."""
    for part in path.parent.glob(f".{glob.escape(path.name[:_LETTERS])}.*.part"):
        with contextlib.suppress(OSError):
            with part.open("r+b") as file:
                left = _claimed(file)
            if left:
                part.unlink()


def _claimed(file: IO[bytes]) -> bool:
    """Take a file for this process until it is closed; False if another has it, or may have."""
    try:
        import fcntl
    except ImportError:  # Windows, which removes no file that is open
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another has it, or these are disks without locks
        return False
    return True


def preview(picture: Picture, long_side: int) -> Image.Image:
    """Return an 8-bit RGB copy, alpha over white, shrunk to long_side pixels if longer."""
    image = _to_image(_as_rgb(picture))
    scale = min(1.0, long_side / max(image.size))
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)
    image = _over_white(image).convert("RGB")
    if picture.icc and picture.pixels.shape[2] == 3:
        image.info["icc_profile"] = picture.icc  # the colours are still in the picture's space
    return image
