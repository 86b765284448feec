"""Damage for `fuzz`: to the bytes of a file, whatever they mean, or to the parts it is made of."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

Part = tuple[bytes, bytearray]
"""A kind, and a body without its length and checksum."""
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Damage bytes once or a few times; of PNG, most checksums are made right again."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(_DAMAGES)(changed, rng, others)
    if data.startswith(b"\x89PNG") and rng.random() < 0.7:
        changed = _with_checksums(changed)
    return bytes(changed)


def rebuilt(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """Damage the parts of a file; lengths, checksums and packing around them are right again."""
    split, join = next(
        pair for (at, start), pair in STRUCTURES.items() if data.startswith(start, at)
    )
    parts = split(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at, act = rng.randrange(len(parts)), rng.random()
        if act < 0.1 and len(parts) > 1:
            del parts[at]
        elif act < 0.2:
            kind, body = parts[at]
            parts[at:at] = [(kind, bytearray(body))] * rng.choice((1, 1, 3, 200))
        elif act < 0.3:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        else:
            rng.choice(_DAMAGES)(parts[at][1], rng, others)
    return join(data, parts)


def _place(data: bytearray, rng: random.Random, length: int = 1) -> int:
    """Choose where: half of the time among the first bytes, which hold the headers."""
    reach = len(data) if rng.random() < 0.5 else min(len(data), 120)
    return rng.randrange(max(1, reach - length))


def _cut(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    del data[_place(data, rng) :]


def _flip(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    for _ in range(rng.choice((1, 2, 8, 40))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _noise(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    at, length = _place(data, rng), rng.randrange(1, 30)
    data[at : at + length] = rng.randbytes(length)


def _lie(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Write an extreme number over what may be a size, a count or an offset."""
    kind = rng.choice(("B", "<H", ">H", "<I", ">I", "<I", ">I"))
    value = rng.choice((*_EXTREMES, rng.randrange(70000)))
    bytes_ = struct.pack(kind, value % (1 << 8 * struct.calcsize(kind)))
    at = _place(data, rng, len(bytes_))
    data[at : at + len(bytes_)] = bytes_


def _splice(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    """Put a part of another picture, or of this one, in."""
    other = rng.choice((bytes(data), rng.choice(others)))
    if other:
        start = rng.randrange(len(other))
        at = _place(data, rng)
        data[at : at + rng.choice((0, 40))] = other[start : start + rng.randrange(1, 200)]


def _remove(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    at = _place(data, rng)
    del data[at : at + rng.randrange(1, 60)]


def _repeat(data: bytearray, rng: random.Random, others: list[bytes]) -> None:
    at, length = _place(data, rng), rng.randrange(1, 60)
    data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))


_DAMAGES: tuple[Callable[[bytearray, random.Random, list[bytes]], None], ...]
_DAMAGES = (_cut, _flip, _flip, _noise, _lie, _lie, _lie, _splice, _remove, _repeat)


def _with_checksums(data: bytearray) -> bytearray:
    """Make the checksums of a PNG right again, so that the damage behind them is looked at."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return data


# What files are made of


def _split_png(data: bytes) -> list[Part]:
    parts, at = [], 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        parts.append((kind, bytearray(zlib.decompress(body) if kind == b"IDAT" else body)))
        at += 12 + length
    return parts


def _join_png(data: bytes, parts: list[Part]) -> bytes:
    out = [data[:8]]
    for kind, body in parts:
        own = kind + (zlib.compress(body) if kind == b"IDAT" else bytes(body))
        out.append(struct.pack(">I", len(own) - 4) + own + struct.pack(">I", zlib.crc32(own)))
    return b"".join(out)


def _split_jpeg(data: bytes) -> list[Part]:
    """Split into segments; the last one holds its scan too."""
    parts, at = [], 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        parts.append((data[at : at + 2], bytearray(data[at + 4 : at + 2 + length])))
        at += 2 + length
    return [*parts, (b"", bytearray(data[at:]))]


def _join_jpeg(data: bytes, parts: list[Part]) -> bytes:
    def segment(kind: bytes, body: bytearray) -> bytes:
        return kind + struct.pack(">H", (len(body) + 2) & 0xFFFF) + body if kind else bytes(body)

    return data[:2] + b"".join(segment(*part) for part in parts)


def _split_riff(data: bytes) -> list[Part]:
    parts, at = [], 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        parts.append((data[at : at + 4], bytearray(data[at + 8 : at + 8 + length])))
        at += 8 + length + length % 2
    return parts


def _join_riff(data: bytes, parts: list[Part]) -> bytes:
    out = [
        kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for kind, body in parts
    ]
    whole = b"WEBP" + b"".join(out)
    return b"RIFF" + struct.pack("<I", len(whole)) + whole


def _split_tiff(data: bytes) -> list[Part]:
    """Split the first directory into its tags."""
    order = "<" if data[:1] == b"I" else ">"
    (at,) = struct.unpack(order + "I", data[4:8])
    (count,) = struct.unpack(order + "H", data[at : at + 2])
    return [(b"", bytearray(data[at + 2 + 12 * k : at + 14 + 12 * k])) for k in range(count)]


def _join_tiff(data: bytes, parts: list[Part]) -> bytes:
    """Put a new directory at the end; what it points to stays where it is."""
    order = "<" if data[:1] == b"I" else ">"
    start = len(data) + len(data) % 2
    table = b"".join(bytes(body[:12]).ljust(12, b"\0") for _, body in parts)
    head = data[:4] + struct.pack(order + "I", start) + data[8:].ljust(start - 8, b"\0")
    return head + struct.pack(order + "H", len(parts)) + table + bytes(4)


def _split_gif(data: bytes) -> list[Part]:
    """Split into the header with its palette, and blocks: what introduces one, and its bytes."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    parts = [(b"", bytearray(data[:at]))]
    while data[at] != 0x3B:
        fixed = 2
        if data[at] == 0x2C:
            fixed = 11 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0)
        head, body, at = bytearray(data[at : at + fixed]), bytearray(), at + fixed
        while data[at]:
            body += data[at + 1 : at + 1 + data[at]]
            at += 1 + data[at]
        parts += [(b"", head), (b"blocks", body)]
        at += 1
    return parts


def _join_gif(data: bytes, parts: list[Part]) -> bytes:
    out = []
    for kind, body in parts:
        pieces = [body[at : at + 255] for at in range(0, len(body), 255)] if kind else []
        chained = b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"
        out.append(chained if kind else bytes(body))
    return b"".join(out) + b";"


def _split_bmp(data: bytes) -> list[Part]:
    """Split into the numbers of the two headers, and the rest."""
    ends = [2, 6, 10, 14, 18, 22, 26, 28, 30, 34, 38, 42, 46, 50, 54, len(data)]
    pairs = zip([0, *ends[:-1]], ends, strict=True)
    return [(b"", bytearray(data[start:end])) for start, end in pairs]


def _join_plain(data: bytes, parts: list[Part]) -> bytes:
    return b"".join(bytes(body) for _, body in parts)


_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf")


def _split_mp4(data: bytes) -> list[Part]:
    """Split into boxes; one that holds boxes is opened, and closed by a part of kind )."""
    parts: list[Part] = []
    at = 0
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + max(length, 8)]
        if kind in _BOXES:
            parts += [(b"(" + kind, bytearray()), *_split_mp4(body), (b")", bytearray())]
        else:
            parts.append((kind, bytearray(body)))
        at += max(length, 8)
    return parts


def _join_mp4(data: bytes, parts: list[Part]) -> bytes:
    return _join_nested(parts, lambda kind, body: struct.pack(">I", len(body) + 8) + kind + body)


def _split_ebml(data: bytes) -> list[Part]:
    """Split Matroska into its elements; kinds are their numbers, ( and ) as in `_split_mp4`."""
    parts: list[Part] = []
    at = 0
    while at < len(data):
        wide = 9 - data[at].bit_length()
        kind, at = data[at : at + wide], at + wide
        wide = 9 - data[at].bit_length()
        length = int.from_bytes(data[at : at + wide], "big") & ((1 << 7 * wide) - 1)
        at += wide
        body = data[at : at + length]
        if kind in _MASTERS:
            parts += [(b"(" + kind, bytearray()), *_split_ebml(body), (b")", bytearray())]
        else:
            parts.append((kind, bytearray(body)))
        at += length
    return parts


_MASTERS = tuple(
    bytes.fromhex(number)
    for number in ("1a45dfa3", "18538067", "1549a966", "1654ae6b", "ae", "e0", "e1", "1f43b675")
)
"""Header, segment, info, tracks, track, picture, sound, cluster."""


def _join_ebml(data: bytes, parts: list[Part]) -> bytes:
    return _join_nested(
        parts, lambda kind, body: kind + struct.pack(">Q", len(body) | 1 << 56) + body
    )


def _join_nested(parts: list[Part], pack: Callable[[bytes, bytearray], bytes]) -> bytes:
    """Pack parts into one another; close what was opened, as far as the damage left it in pairs."""
    stack, kinds = [bytearray()], []
    for kind, body in [*parts, *[(b")", bytearray())] * len(parts)]:
        if kind[:1] == b"(" and len(kind) > 1:
            kinds.append(kind[1:])
            stack.append(bytearray())
            continue
        if kind == b")":
            if not kinds:
                continue
            kind, body = kinds.pop(), stack.pop()
        stack[-1] += pack(kind, body)
    return bytes(stack[0])


Splitter = Callable[[bytes], list[Part]]
Joiner = Callable[[bytes, list[Part]], bytes]
STRUCTURES: dict[tuple[int, bytes], tuple[Splitter, Joiner]] = {
    (0, b"\x89PNG"): (_split_png, _join_png),
    (0, b"\xff\xd8\xff"): (_split_jpeg, _join_jpeg),
    (8, b"WEBP"): (_split_riff, _join_riff),
    (0, b"II*\0"): (_split_tiff, _join_tiff),
    (0, b"MM\0*"): (_split_tiff, _join_tiff),
    (0, b"GIF8"): (_split_gif, _join_gif),
    (0, b"BM"): (_split_bmp, _join_plain),
    (4, b"ftyp"): (_split_mp4, _join_mp4),
    (0, b"\x1a\x45\xdf\xa3"): (_split_ebml, _join_ebml),
}
"""How a file with these bytes at an offset is taken apart and put together."""
