"""JPEG: a new picture in which the blocks that an edit does not touch keep their coefficients.

Encoding decoded pixels again changes nearly all of them a little, everywhere. Here the source's
quantised coefficients are taken over as they are, and only blocks with a changed pixel under them
are computed anew (ITU-T T.81, A.3.3), with the source's own tables and sampling.
"""

from __future__ import annotations

import ctypes
import io
import os
import struct
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, all Huffman-coded
_TABLES = (0xC4, 0xDB, 0xDD)  # Huffman, quantisation, restart interval
_START, _END = b"\xff\xd8", b"\xff\xd9"
_FROM_RGB = np.array(  # Y, Cb, Cr without their offsets; JFIF 1.02
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC = 0x0404
_PREVIEW = b"\x1c\x02\xca"  # record 2, data set 202
_DCT = np.cos(np.outer(np.arange(8), 2 * np.arange(8) + 1) * np.pi / 16) / 2
_DCT[0] /= np.sqrt(2)
_AT_ONCE = 4096  # blocks
_failed: set[int] = set()  # hashes of the sources that `encode` could not use at the last try
_OPTIMISE = 1 << 6  # jpeglib's bit for Huffman tables made for the picture

Segment = tuple[int, bytes]  # marker, and all its bytes
Step = tuple[int, int]  # rows and columns of pixels under one sample of a component


def essence(data: bytes) -> bytes | None:
    """Reduce a JPEG to what its pixels are decoded from, without metadata and trailing data.

    None for kinds that `encode` leaves alone: CMYK, RGB and 12-bit ones, lossless, arithmetic or
    hierarchical coding, and chroma that is not a whole number of times coarser.
    """
    try:
        head, scans = _split(data)
        _frame(head)
    except (IndexError, ValueError):
        return None
    kept = _join(head, (*_FRAMES, *_TABLES))
    return _START + kept + scans.partition(_END)[0] + _END


def iptc(resources: Mapping[int, object]) -> bytes | None:
    """Pick IPTC from Photoshop's resources; not with a preview, as theirs, of what is edited."""
    found = resources.get(_IPTC)
    return found if isinstance(found, bytes) and _PREVIEW not in found else None


def iptc_segment(data: bytes) -> bytes:
    """Make the segment of a JPEG that holds IPTC, as the one of Photoshop's resources."""
    block = _PHOTOSHOP + struct.pack(">4sHHI", b"8BIM", _IPTC, 0, len(data)) + data
    block += bytes(len(data) % 2)
    return b"\xff\xed" + struct.pack(">H", len(block) + 2) + block


def keeps(source: bytes, shape: tuple[int, ...]) -> bool:
    """Whether `encode` keeps coefficients of a source in a picture of (H, W, C), as far as known.

    What `essence` returned has that size, upright or turned, and the last try did not fail.
    """
    size, steps = _frame(_split(source)[0])
    alike = (*sorted(size), len(steps)) == (*sorted(shape[:2]), *shape[2:])
    return alike and hash(source) not in _failed


def exif(data: bytes) -> bytes:
    """Join the EXIF segments as Pillow does; of a file with other segments what there is."""
    found, at = [], 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        if data[at + 1 : at + 2] == b"\xff":  # fill bytes
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1 : at + 2] == b"\xe1" and data[at + 4 : at + 10] == b"Exif\0\0":
            found.append(data[at + 10 : at + 2 + length])
        at += 2 + length
    return b"".join(found)


def encode(image: Image.Image, source: bytes, shell: bytes) -> bytes | None:
    """Encode an image with the coefficients of source wherever it is what source decodes to.

    What differs from source then lies in the blocks of the changed pixels, which with chroma at
    half size are squares of 16 pixels, and one pixel around them, because chroma is interpolated.

    Parameters
    ----------
    image
        Of mode L or RGB, laid out as source is.
    source
        What `essence` returned.
    shell
        Any JPEG with the metadata that the result is to have.

    Returns
    -------
    bytes or None
        None if that fails for any reason; the image must then be encoded afresh. `keeps` says so.
    """
    data = None
    with suppress(Exception):  # no jpeglib, a damaged source, coefficients out of range, no room
        data = _encode(_array(image), source, shell)
    (_failed.discard if data else _failed.add)(hash(source))
    return data


def _encode(pixels: np.ndarray, source: bytes, shell: bytes) -> bytes | None:
    before = _decoded(source)
    size, steps = _frame(_split(source)[0])
    if not pixels.shape == before.shape == (*size, len(steps)):
        return None
    changed = _differ(pixels, before)
    near = np.zeros_like(changed)
    with _file(source) as path:
        planes, tables = _read(path, size, steps)
        for channel, (plane, table, step) in enumerate(zip(planes, tables, steps, strict=True)):
            touched = _blocks_over(changed, step)
            spread = touched.repeat(8 * step[0], axis=0).repeat(8 * step[1], axis=1)
            near |= spread[: size[0], : size[1]]
            places = np.argwhere(touched)
            for at in range(0, len(places), _AT_ONCE):
                rows, columns = places[at : at + _AT_ONCE].T
                blocks = _transform(pixels, rows, columns, channel, step)
                plane[rows, columns] = np.rint(blocks / table)
        head, scans = _split(_write(path, size, planes))
    metadata = _join(_split(shell)[0], range(0xE0, 0xFF))
    data = _START + metadata + _join(head, (*_FRAMES, *_TABLES)) + scans
    near[1:] |= near[:-1]  # the interpolation of chroma
    near[:-1] |= near[1:]
    near[:, 1:] |= near[:, :-1]
    near[:, :-1] |= near[:, 1:]
    # Two decoders can make different things of a damaged source: promise only what is seen.
    kept = not (_differ(_decoded(data), before) & ~near).any()
    return data if kept else None


def _decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return _array(image)


def _array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).reshape(image.height, image.width, -1)


def _differ(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    planes = [first[..., i] != second[..., i] for i in range(first.shape[2])]
    return np.asarray(np.any(planes, axis=0))


def _split(data: bytes) -> tuple[list[Segment], bytes]:
    """Split a JPEG into the segments before its first scan and the rest."""
    at = 2
    found: list[Segment] = []
    while data[at] == 0xFF:
        name = data[at + 1]
        if name == 0xDA:
            return found, data[at:]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if name == 0xFF:  # fill bytes may precede a marker
            end = at + 1
        else:
            found.append((name, data[at:end]))
        at = end
    raise ValueError("bytes between segments")


def _join(segments: Iterable[Segment], names: Iterable[int]) -> bytes:
    return b"".join(segment for name, segment in segments if name in names)


def _frame(head: list[Segment]) -> tuple[Step, list[Step]]:
    """Return (height, width) and the step of each component; ValueError if it is a rare kind."""
    [(name, frame)] = [(n, segment) for n, segment in head if n & 0xF0 == 0xC0 and n != 0xC4]
    names, sampling = frame[10::3], frame[11::3]
    if name not in _FRAMES or frame[4] != 8 or len(frame) != 10 + 3 * frame[9]:
        raise ValueError("not a Huffman-coded picture of 8 bits")
    clear = any(n == 0xEE and s[4:9] == b"Adobe" and s[15:16] == b"\0" for n, s in head)
    if len(names) not in (1, 3) or (len(names) == 3 and (clear or names == b"RGB")):
        raise ValueError("neither grey nor YCbCr")
    counts = [(both & 15, both >> 4) for both in sampling]  # per unit; down, across
    down, across = (max(count) for count in zip(*counts, strict=True))
    if any(not (v and h) or down % v or across % h for v, h in counts):
        raise ValueError("fractional sampling")
    size = int.from_bytes(frame[5:7], "big"), int.from_bytes(frame[7:9], "big")
    return size, [(down // v, across // h) for v, h in counts]


def _blocks_over(changed: np.ndarray, step: Step) -> np.ndarray:
    """Mark the blocks of a component, (rows, columns) bool, that have a changed pixel."""
    high, wide = 8 * step[0], 8 * step[1]
    padded = np.pad(changed, [(0, -changed.shape[0] % high), (0, -changed.shape[1] % wide)])
    rows, columns = padded.shape[0] // high, padded.shape[1] // wide
    return np.asarray(padded.reshape(rows, high, columns, wide).any(axis=(1, 3)))


def _transform(
    pixels: np.ndarray, rows: np.ndarray, columns: np.ndarray, channel: int, step: Step
) -> np.ndarray:
    """Compute the DCT, (n, 8, 8), of a component's blocks; past the edge pixels repeat."""
    y = np.minimum(8 * step[0] * rows[:, None] + np.arange(8 * step[0]), pixels.shape[0] - 1)
    x = np.minimum(8 * step[1] * columns[:, None] + np.arange(8 * step[1]), pixels.shape[1] - 1)
    part = pixels[y[:, :, None], x[:, None, :]]
    plane = part @ _FROM_RGB[channel] if part.shape[3] == 3 else part[..., 0].astype(np.float32)
    if channel == 0:
        plane -= 128
    samples = plane.reshape(-1, 8, step[0], 8, step[1]).mean(axis=(2, 4))
    return np.asarray(_DCT @ samples @ _DCT.T)


# jpeglib's Python calls leave their temporary files behind when a file is damaged, print, and
# keep markers in global variables. The functions of the C library under them do not.


@cache
def _library() -> ctypes.CDLL:
    import jpeglib

    jpeglib.version.set("turbo210")  # sturdier with damaged files than its default, libjpeg 6b
    library: ctypes.CDLL = jpeglib.version._get_lib()
    return library


def _read(path: Path, size: Step, steps: list[Step]) -> tuple[list[np.ndarray], np.ndarray]:
    """Read quantised coefficients, (rows, columns, 8, 8) int16 each, and tables, (n, 8, 8)."""
    library, name = _library(), str(path).encode()
    # The other call fails hard on a bad header, so this one, which does not, goes first.
    if not library.read_jpeg_info(name, *[None] * 9, ctypes.byref(ctypes.c_int()), None):
        raise ValueError("the source cannot be read")
    planes = [
        np.zeros((-(-size[0] // (8 * down)), -(-size[1] // (8 * across)), 8, 8), np.int16)
        for down, across in steps
    ]
    tables, chosen = np.zeros((4, 8, 8), np.uint16), np.zeros(4, np.int16)
    if not library.read_jpeg_dct(name, *_four(planes), tables.ctypes, chosen.ctypes):
        raise ValueError("the source is damaged")
    tables = tables[chosen[: len(steps)]]
    if not tables.all():
        raise ValueError("a quantisation table holds 0")
    return planes, tables


def _write(path: Path, size: Step, planes: list[np.ndarray]) -> bytes:
    """Encode coefficients; everything else is as in the JPEG at path."""
    with _file() as out:
        done = _library().write_jpeg_dct(
            *(str(path).encode(), str(out).encode(), *_four(planes)),
            *((ctypes.c_int * 2)(*size), None, None),  # blocks and sampling: as they are
            *(3 if len(planes) == 3 else 1, len(planes)),  # libjpeg's JCS_YCbCr or JCS_GRAYSCALE
            *(None, ctypes.c_short(-1), None),  # quantisation: as it is
            *(0, None, None, None),  # no markers
            *(ctypes.c_uint(_OPTIMISE), ctypes.c_uint(_OPTIMISE)),
        )
        if not done:
            raise ValueError("the coefficients cannot be written")
        return out.read_bytes()


@contextmanager
def _file(data: bytes = b"") -> Iterator[Path]:
    """Put data where the library finds it by a name: into memory on Linux, else into a folder."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("inpaint"), "wb") as file:
            file.write(data)
            file.flush()
            yield Path(f"/proc/self/fd/{file.fileno()}")
    else:
        with tempfile.TemporaryDirectory(prefix="inpaint-") as folder:
            path = Path(folder, "picture.jpg")
            path.write_bytes(data)
            yield path


def _four(planes: list[np.ndarray]) -> list[object]:
    return [*(plane.ctypes for plane in planes), *[None] * (4 - len(planes))]
