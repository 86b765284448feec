"""PNG: metadata, the 16-bit decoder and the encoder."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from inpaint.pictures.metadata import upright
from inpaint.pictures.picture import Picture, check_size

MAX_CHUNK = 1 << 22  # bytes of one text or profile, unpacked
DEFLATE = 1032  # the most bytes that one byte can stand for
SIGNATURE = b"\x89PNG\r\n\x1a\n"
INCH = 0.0254
"""In metres."""
_KEPT = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"pHYs", b"tEXt", b"zTXt", b"iTXt")
_XMP = b"XML:com.adobe.xmp"

Chunk = tuple[bytes, bytes]  # name, body


def chunks(data: bytes) -> Iterator[Chunk]:
    """Walk the chunks of a PNG; the bodies of pixel chunks and of huge ones are left out."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if name != b"IDAT" and length <= MAX_CHUNK:
            yield name, data[at + 8 : at + 8 + length]
        at += 12 + length


def metadata(data: bytes) -> tuple[bytes | None, bytes | None, dict[str, Any]]:
    """Return the ICC profile, EXIF, and the other chunks to write again."""
    icc = exif = None
    kept, total = [], 0
    for name, body in chunks(data):
        if name == b"iCCP":
            icc = _inflate(body.partition(b"\0")[2][1:])
        elif name == b"eXIf":
            exif = body
        elif name in _KEPT and (total := total + len(body)) <= 4 * MAX_CHUNK:
            kept.append((name, body))
    extras: dict[str, Any] = {"png": tuple(kept)}
    density = dict(kept).get(b"pHYs", b"")
    if len(density) == 9 and density[8] == 1:  # pixels a metre, not only their shape
        across, down = struct.unpack(">II", density[:8])
        extras["dpi"] = (round(across * INCH, 2), round(down * INCH, 2))
    return icc, exif, extras


def could_hold(data: bytes) -> bool:
    """Say whether the pixels that the header tells of can be packed into so few bytes."""
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    samples = {2: 3, 4: 2, 6: 4}.get(colour, 1)
    return bool(height * (1 + (width * bits * samples + 7) // 8) <= DEFLATE * len(data))


def xmp_of(picture: Picture) -> bytes | None:
    """Return a picture's XMP packet, of a PNG the one among its texts; None if it has none."""
    xmp = picture.extras.get("xmp")
    if xmp is None and (text := text_of(picture.extras.get("png", ())).get(_XMP.decode())):
        xmp = text.encode()
    return xmp


def text_of(parts: Iterable[Chunk]) -> dict[str, str]:
    """Read the text chunks; damaged and huge ones are left out."""
    found = {}
    for name, body in parts:
        key, _, value = body.partition(b"\0")
        text: bytes | None = value
        codec = "latin-1"
        if name == b"zTXt":
            text = _inflate(value[1:])
        elif name == b"iTXt" and len(value) >= 2:
            codec = "utf-8"
            text = value[2:].split(b"\0", 2)[-1]
            text = _inflate(text) if value[0] else text
        elif name != b"tEXt":
            continue
        if text is not None:
            found[key.decode("latin-1")] = text.decode(codec, "replace")
    return found


def _inflate(data: bytes) -> bytes | None:
    """Inflate a text or profile; None if damaged or huge: it must not cost the picture."""
    try:
        out = zlib.decompressobj().decompress(data, MAX_CHUNK + 1)
    except zlib.error:
        return None
    return out if len(out) <= MAX_CHUNK else None


def decode16(data: bytes, max_pixels: int) -> Picture:
    """Decode a PNG with 16 bits per sample."""
    if data[8:16] != b"\0\0\0\rIHDR":
        raise ValueError("its header is damaged")
    width, height, _, colour = struct.unpack(">IIBB", data[16:26])
    check_size((width, height), max_pixels)
    array = decode_cv2(_only_pixels(data, 2 * width * height))
    if array.shape[:2] != (height, width):
        raise ValueError("its header is damaged")
    icc, exif, extras = metadata(data)
    pixels = np.ascontiguousarray(array[..., : 1 if colour in (0, 4) else 3])
    alpha = np.ascontiguousarray(array[..., 3]) if array.shape[2] == 4 else None
    transparent = dict(chunks(data)).get(b"tRNS", b"") if colour == 0 else b""
    if len(transparent) == 2:  # OpenCV honours a transparent RGB colour, but not a grey
        seen = pixels[..., 0] != int.from_bytes(transparent, "big")
        alpha = seen.astype(np.uint16) * np.uint16(65535)
    return upright(pixels, alpha, "PNG", icc, exif, extras)


def _only_pixels(data: bytes, least: int) -> bytes:
    """Copy the chunks that pixels are made of: OpenCV believes all lengths, and animations."""
    out, at, total = [SIGNATURE], len(SIGNATURE), 0
    while at + 12 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            raise ValueError("it is cut short")
        if name in (b"IHDR", b"tRNS", b"IDAT", b"IEND") and (name != b"IHDR" or len(out) == 1):
            out.append(data[at:end])
            total += length * (name == b"IDAT")
        at = end
    if total * DEFLATE < least:
        raise ValueError("it is far too short for the size that it says it has")
    return b"".join(out)


def decode_cv2(data: bytes) -> np.ndarray:
    """Decode 16-bit data to (H, W, C) uint16 with C = 1, 3 or 4 in RGB order."""
    import cv2

    log = cv2.utils.logging
    log.setLogLevel(log.LOG_LEVEL_ERROR)  # it would warn of every tag that is not TIFF's own
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16:
        raise ValueError("its 16-bit data are damaged or of a rare kind")
    array = array.reshape(*array.shape[:2], -1)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[array.shape[2]]
    return np.ascontiguousarray(array[..., order])


def encode(picture: Picture, text: Mapping[str, str]) -> bytes:
    """Encode grey or RGB, 8 or 16 bit, with alpha and metadata; text replaces equal keys."""
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = np.concatenate([pixels, picture.alpha[..., None]], axis=2)
    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, colour, 0, 0, 0)
    parts: list[Chunk] = [(b"IHDR", header)]
    if picture.icc:
        parts.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(picture.icc)))
    texts = {key.encode("latin-1"): value.encode() for key, value in text.items()}
    if xmp := picture.extras.get("xmp"):
        texts.setdefault(_XMP, xmp)
    kept = picture.extras.get("png", ())
    if "dpi" in picture.extras and b"pHYs" not in dict(kept):
        density = (min(round(float(dots) / INCH), 2**31 - 1) for dots in picture.extras["dpi"])
        parts.append((b"pHYs", struct.pack(">IIB", *density, 1)))
    for name, body in kept:
        if not (name.endswith(b"Xt") and body.partition(b"\0")[0] in texts):
            parts.append((name, body))
    if picture.exif:
        parts.append((b"eXIf", picture.exif))
    parts.extend((b"iTXt", key + b"\0\0\0\0\0" + value) for key, value in texts.items())
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    parts.append((b"IDAT", zlib.compress(_filtered(rows, channels * pixels.itemsize).data, 4)))
    parts.append((b"IEND", b""))
    out = [SIGNATURE]
    for name, body in parts:
        check = zlib.crc32(body, zlib.crc32(name))
        out += [struct.pack(">I", len(body)), name, body, struct.pack(">I", check)]
    return b"".join(out)


def _filtered(rows: np.ndarray, step: int) -> np.ndarray:
    """Filter rows of bytes (H, n), each by Sub, Up or Paeth, whichever leaves least."""
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    above = np.zeros((1, rows.shape[1]), np.uint8)
    for at in range(0, len(rows), 32):  # few rows at a time stay in the processor's cache
        band = rows[at : at + 32]
        up = np.concatenate([above, band[:-1]])
        above = band[-1:]
        left, corner = np.zeros_like(band), np.zeros_like(band)
        left[:, step:], corner[:, step:] = band[:, :-step], up[:, :-step]
        a, b = up.astype(np.int16) - corner, left.astype(np.int16) - corner
        to_left, to_up, to_corner = np.abs(a), np.abs(b), np.abs(a + b)
        paeth = np.where(to_up <= to_corner, up, corner)
        paeth = np.where((to_left <= to_up) & (to_left <= to_corner), left, paeth)
        tries = np.stack([band - left, band - up, band - paeth])
        cost = np.abs(tries.view(np.int8).astype(np.int16)).sum(axis=2)
        best = cost.argmin(axis=0)
        out[at : at + 32, 0] = np.array([1, 2, 4], np.uint8)[best]
        out[at : at + 32, 1:] = tries[best, np.arange(len(band))]
    return out
