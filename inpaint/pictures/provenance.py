"""Where a picture comes from: the mark of generated parts, and manifests that an edit ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from inpaint.pictures import png
from inpaint.pictures.metadata import appended
from inpaint.pictures.picture import Picture

EDITED = b"http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's digital source type of a picture of which a part was generated."""
_MARK = b'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt='
_MARK += b'"http://iptc.org/std/Iptc4xmpExt/2008-02-29/" Iptc4xmpExt:DigitalSourceType="%s"/>'
_OTHER_MARKS = re.compile(
    rb'\s+Iptc4xmpExt:DigitalSourceType\s*=\s*("[^"]*"|\'[^\']*\')'
    rb"|<Iptc4xmpExt:DigitalSourceType[^>]*(/>|>[^<]*</Iptc4xmpExt:DigitalSourceType>)"
)


def marked(picture: Picture) -> Picture:
    """Say in its XMP that a part of it was generated; a source type that stood there goes."""
    xmp = png.xmp_of(picture)
    mark = _MARK % EDITED
    if not xmp or mark not in xmp:
        xmp = appended(_OTHER_MARKS.sub(b"", xmp) if xmp else None, mark)
    return replace(picture, extras={**picture.extras, "xmp": xmp})


def mark_alone(xmp: bytes) -> bytes | None:
    """Return an XMP packet with nothing but the mark that `marked` put there, if it did."""
    mark = _MARK % EDITED
    return appended(None, mark) if mark in xmp else None


def has_manifest(data: bytes) -> bool:
    """Whether a JPEG, PNG or WebP carries a C2PA manifest, which says who made it with what.

    It is bound to the bytes of the file, so that any edit ends its validity. C2PA 2.1, A.3: a JPEG
    holds it as JUMBF in APP11 segments, a PNG in `caBX`, a WebP in `C2PA`.
    """
    if data.startswith(png.SIGNATURE):
        return any(name == b"caBX" for name, _ in _png_chunks(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return any(name == b"C2PA" for name, _ in _riff_chunks(data))
    if data.startswith(b"\xff\xd8"):
        return any(
            marker == 0xEB and body[:2] == b"JP" and b"c2pa" in body
            for marker, body in _jpeg_segments(data)
        )
    return False


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], length
        at += 12 + length


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], length
        at += 8 + length + length % 2


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk the segments before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)
