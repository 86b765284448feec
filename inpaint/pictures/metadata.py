"""EXIF orientation and thumbnail, and small texts inside XMP."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape, unescape
from typing import Any

import numpy as np
from PIL import Image

from inpaint.pictures.picture import Picture

_XMP_TURN = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|>))[1-8]")
_XMP_START = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
_XMP_START += b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
_XMP_END = b"</rdf:RDF></x:xmpmeta>"
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}  # bytes of a value by its type in TIFF and BigTIFF
EXIF, GPS, INTEROPERABILITY = 0x8769, 0x8825, 0xA005
_POINTERS = (330, EXIF, GPS, INTEROPERABILITY)  # tags that point to further directories
_OURS = b'<rdf:Description rdf:about="" xmlns:inpaint="urn:inpaint:text"'
_OUR_BLOCK = re.compile(re.escape(_OURS) + rb'((?:\s+inpaint:[\w-]+="[^"]*")*)\s*/>')


def upright(
    pixels: np.ndarray,
    alpha: np.ndarray | None,
    format_: str,
    icc: bytes | None,
    exif: bytes | None,
    extras: dict[str, Any],
) -> Picture:
    """Apply the orientation that EXIF asks for, once, and say so in the metadata."""
    exif, orientation = settle_exif(exif) if exif else (None, 1)
    if orientation > 1:
        pixels = turn(pixels, orientation)
        alpha = None if alpha is None else turn(alpha, orientation)
        if "xmp" in extras:  # some readers take the orientation from there
            extras["xmp"] = _XMP_TURN.sub(rb"\g<1>1", extras["xmp"])
        if format_ == "JPEG":
            extras["orientation"] = orientation
    return Picture(pixels, alpha, format_, icc, exif, extras)


def as_stored(picture: Picture) -> Picture:
    """Undo `upright` for a picture from a JPEG, whose blocks lie as it was stored."""
    orientation = picture.extras.get("orientation", 1)
    exif, _ = settle_exif(picture.exif or b"", orientation)
    if settle_exif(exif)[1] != orientation or orientation == 1:
        return picture  # nothing to undo, or its EXIF was taken away
    back = {6: 8, 8: 6}.get(orientation, orientation)  # the others undo themselves
    extras = dict(picture.extras)
    if "xmp" in extras:
        extras["xmp"] = _XMP_TURN.sub(rb"\g<1>%d" % orientation, extras["xmp"])
    alpha = None if picture.alpha is None else turn(picture.alpha, back)
    pixels = turn(picture.pixels, back)
    return replace(picture, pixels=pixels, alpha=alpha, exif=exif, extras=extras)


def turn(array: np.ndarray, orientation: int) -> np.ndarray:
    """Bring an (H, W, ...) array stored with an EXIF orientation of 1 to 8 upright."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(array[::rows, ::columns])


def settle_exif(exif: bytes, settled: int = 1) -> tuple[bytes, int]:
    """Return EXIF with a settled orientation and no thumbnail, and the orientation it had.

    It is changed in place, so that offsets inside maker notes stay true. The thumbnail goes
    because it would still show what the edit removes.
    """
    data = bytearray(exif.removeprefix(b"Exif\0\0"))
    orientation = 1
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(data[:2])]

        def number(kind: str, at: int) -> int:
            return int(struct.unpack_from(order + kind, data, at)[0])

        first = number("I", 4)
        end = first + 2 + 12 * number("H", first)
        for at in range(first + 2, end, 12):
            if number("H", at) == 0x0112:
                orientation = number("I" if number("H", at + 2) == 4 else "H", at + 8)
                struct.pack_into(order + "HIHH", data, at + 2, 3, 1, settled, 0)
        if second := number("I", end):
            struct.pack_into(order + "I", data, end, 0)
            entries = range(second + 2, second + 2 + 12 * number("H", second), 12)
            tags = {number("H", at): number("I", at + 8) for at in entries}
            start, length = tags.get(0x0201, 0), tags.get(0x0202, 0)
            data[start : start + length] = bytes(len(data[start : start + length]))
    except (KeyError, struct.error):
        pass  # damaged EXIF is kept as it is
    return bytes(data), orientation if 1 <= orientation <= 8 else 1


class _AsStored(str):
    """A tag's text, whose bytes Pillow reads as Latin-1 and would write as ASCII."""

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        return super().encode("latin-1")


def texts_kept(exif: Image.Exif) -> Image.Exif:
    """Have the texts of a parsed EXIF block, in UTF-8 say, written with the bytes they had."""
    for tags in (exif, *map(exif.get_ifd, {EXIF, GPS} & set(exif))):
        for tag, value in list(tags.items()):
            if isinstance(value, str):
                tags[tag] = _AsStored(value)
    return exif


def directories(block: bytes) -> Iterator[dict[int, tuple[int, int]]]:
    """Walk the directories of a TIFF file or an EXIF block: each as tag to (count, bytes).

    Nothing is read but the tables themselves, so this is safe before a parser that reads values.
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 16:
        return
    big = struct.unpack_from(order + "H", block, 2)[0] == 43
    number, entry, room = ("Q", "HHQQ", 8) if big else ("I", "HHII", 4)
    head = struct.Struct(order + ("Q" if big else "H"))
    each, link = struct.Struct(order + entry), struct.Struct(order + number)
    ahead, seen = [link.unpack_from(block, 8 if big else 4)[0]], set[int]()
    while ahead:
        at = ahead.pop()
        if at in seen or not 0 < at <= len(block) - head.size:
            continue
        seen.add(at)
        rows = head.unpack_from(block, at)[0]
        end = min(at + head.size + rows * each.size, len(block))
        found = {}
        for place in range(at + head.size, end - each.size + 1, each.size):
            tag, kind, count, value = each.unpack_from(block, place)
            length = count * _SIZES.get(kind, 1)
            found[tag] = (count, length if length > room else 0)
            if tag in _POINTERS:
                ahead.append(value)
        yield found


def tags_fit(block: bytes) -> bool:
    """Whether the values of all tags together are no longer than what they are stored in.

    Tags may point to the same bytes, and a parser would copy these for each: a small file could
    fill any memory. Tags that point behind the end are left to the parser.
    """
    lengths = (length for tags in directories(block) for _, length in tags.values())
    return sum(length for length in lengths if length <= len(block)) <= 2 * len(block)


def add_to_xmp(xmp: bytes | None, text: Mapping[str, str]) -> bytes | None:
    """Put texts into an XMP packet, replacing those that an earlier edit put there."""
    if not text:
        return xmp
    pairs = {**text_in_xmp(xmp or b""), **text}
    body = "".join(f' inpaint:{key}="{escape(value)}"' for key, value in pairs.items())
    return appended(_OUR_BLOCK.sub(b"", xmp or b""), _OURS + body.encode() + b"/>")


def appended(xmp: bytes | None, description: bytes) -> bytes:
    """Put an `rdf:Description` at the end of an XMP packet, or of a new one."""
    if not xmp or b"</rdf:RDF>" not in xmp:
        xmp = _XMP_START + _XMP_END
    head, _, tail = xmp.rpartition(b"</rdf:RDF>")
    return head + description + b"</rdf:RDF>" + tail


def text_in_xmp(data: bytes) -> dict[str, str]:
    """Find the texts that `add_to_xmp` put into a packet, or into a file that holds one."""
    found = {}
    for block in _OUR_BLOCK.findall(data):
        for key, value in re.findall(rb'inpaint:([\w-]+)="([^"]*)"', block):
            found[key.decode()] = unescape(value.decode("utf-8", "replace"))
    return found
