"""Pictures that are damaged, or made to exhaust: refused or read, quickly and in little memory."""

import contextlib
import gc
import io
import os
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from inpaint import pictures
from inpaint.pictures.metadata import directories, tags_fit
from inpaint.tools import fuzz
from inpaint.tools.fuzz_damage import STRUCTURES


def no_promise_is_broken(seed, cases, kind="pictures"):
    reports = list(fuzz.run(seed, range(cases), kind=kind))
    assert [report["number"] for report in reports] == list(range(cases))
    assert not [report for report in reports if fuzz.broken(report)]
    return {report["outcome"] for report in reports}


def test_damaged_pictures_are_read_or_refused():
    assert no_promise_is_broken(0, 1000) == {"read", "refused"}


@pytest.mark.parametrize("kind, cases", [("structures", 700), ("clips", 40)])
def test_files_of_damaged_parts_are_read_or_refused(kind, cases):
    assert no_promise_is_broken(0, cases, kind) == {"read", "refused"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_many_damaged_files_are_read_or_refused(seed, kind):
    no_promise_is_broken(seed, 1000 if kind == "clips" else 5000, kind)


def test_a_case_is_made_again_from_its_number():
    assert fuzz.case(3, 77) == fuzz.case(3, 77) != fuzz.case(4, 77)


def test_the_samples_are_the_same_in_every_process():
    code = (
        "import hashlib; from inpaint.tools.fuzz_samples import sample_clips, sample_pictures;"
        "whole = b''.join(data for _, data in (*sample_clips(), *sample_pictures()));"
        "print(hashlib.sha256(whole).hexdigest())"
    )
    command = [sys.executable, "-c", code]
    first, again = (subprocess.run(command, capture_output=True, check=True) for _ in "12")
    assert first.stdout == again.stdout


def test_what_breaks_a_promise_is_noticed(monkeypatch):
    monkeypatch.setattr(fuzz.pictures, "read", lambda data: np.ones(400 << 17))
    report = fuzz.watched(b"")
    assert fuzz.broken(report) and report["megabytes"] > 256
    good = {"outcome": "refused", "seconds": 0.1, "megabytes": 1}
    assert not fuzz.broken(good)
    assert fuzz.broken(good | {"outcome": "KeyError: 3"}) and fuzz.broken(good | {"seconds": 3})


def test_a_tag_of_letters_is_not_repeated_as_a_number():
    name, data = fuzz.case(9, 40312)
    assert name == "TIFF alpha" and fuzz.use(data) == "refused"


def test_a_png_that_deflate_could_not_pack_so_tightly_is_refused():
    name, data = fuzz.case(11, 2058)
    assert name == "PNG alpha" and fuzz.watched(data)["outcome"] == "refused"
    assert fuzz.watched(data)["megabytes"] < 50
    flat = flat_png(3000)
    assert len(flat) < 3000**2 / 900 and pictures.read(flat).size == (3000, 3000)


def test_a_clip_that_was_read_leaves_no_file_and_no_thread():
    fuzz.use_clip(
        fuzz.sample_clips()[0][1], "mp4"
    )  # what is imported keeps frames of its first use
    gc.collect()
    before = running()
    gc.disable()
    try:
        for name, data in fuzz.sample_clips() * 2:
            assert fuzz.use_clip(data, name) == "read"
            assert not [path for path in opened() if "inpaint-fuzz" in path]
    finally:
        gc.enable()
    assert all(now <= then for now, then in zip(running(), before, strict=True))


def running():
    """How many threads there are, and how many of the system's."""
    return threading.active_count(), len(os.listdir("/proc/self/task"))


def opened():
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/self/fd/{number}")


@pytest.mark.parametrize("kind", fuzz.KINDS.values(), ids=fuzz.KINDS)
def test_every_sample_is_read(kind):
    assert {kind.use(data, name) for name, data in kind.samples()} == {"read"}


def test_a_file_that_is_taken_apart_and_put_together_is_still_read():
    for name, data in (*fuzz.sample_pictures(), *fuzz.sample_clips()):
        split, join = next(
            pair for (at, start), pair in STRUCTURES.items() if data.startswith(start, at)
        )
        whole = join(data, split(data))
        use = fuzz.use_clip if name.split()[0].islower() else fuzz.use
        assert len(split(data)) > 0 and use(whole, name) == "read", name
        if use is fuzz.use:
            before, after = pictures.read(data), pictures.read(whole)
            np.testing.assert_array_equal(before.pixels, after.pixels)


# Bombs


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, *parts, depth=8, pixels=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *parts, chunk(b"IDAT", zlib.compress(pixels)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def flat_png(side):
    """A whole one, all black, in a few hundred kilobytes."""
    packer, out = zlib.compressobj(9), []
    for _ in range(side):
        out.append(packer.compress(bytes(side + 1)))
    body = b"".join(out) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def text_bomb(name):
    packed = zlib.compress(bytes(200 << 20))
    body = b"a\0\1\0\0\0" + packed if name == b"iTXt" else b"a\0\0" + packed
    return png(1, 1, chunk(name, body), pixels=b"\0\0")


def frames(format, count=1000):
    out, one = io.BytesIO(), Image.new("RGB", (160, 120))
    others = [Image.new("RGB", one.size, (i % 256, i // 256, 9)) for i in range(1, count)]
    one.save(out, format, save_all=True, append_images=others)
    return out.getvalue()


def jpeg(width, height, marker=0xC0, scans=1):
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "JPEG", progressive=marker == 0xC2)
    data = out.getvalue()
    frame, scan = data.index(bytes([0xFF, marker])), data.index(b"\xff\xda")
    size = struct.pack(">HH", height, width)
    return data[: frame + 5] + size + data[frame + 9 : scan] + data[scan:-2] * scans + data[-2:]


def tiff(*changes, length=4000):
    """A grey TIFF of 20 × 20 pixels, with tags (number, type, count, value) added or changed."""
    tags = {256: (3, 1, 20), 257: (3, 1, 20), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    tags |= {273: (4, 1, 8), 277: (3, 1, 1), 278: (3, 1, 20), 279: (4, 1, 400)}
    tags |= {tag: rest for tag, *rest in changes}
    rows = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    table = struct.pack("<H", len(tags)) + rows + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + length) + bytes(length) + table


def crowded(count=5000, each=30_000):
    """Tags that all point to the same bytes."""
    return tiff(*[(40000 + i, 7, each, 8) for i in range(count)], length=each)


def with_exif(block):
    data = jpeg(8, 8)[2:]
    parts = [b"Exif\0\0" + block[at : at + 60000] for at in range(0, len(block), 60000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in parts)
    return b"\xff\xd8" + segments + data[data.index(b"\xff\xdb") :]


def shared_strips():
    """64 million 16-bit pixels whose strips are all the same few bytes."""
    packed = zlib.compress(bytes(64000 * 3 * 2 * 10))
    start = 8 + 4 * 2 * 100
    data = struct.pack("<100I", *[start] * 100) + struct.pack("<100I", *[len(packed)] * 100)
    changes = [(256, 3, 1, 64000), (257, 3, 1, 60000), (258, 3, 1, 16), (259, 3, 1, 8)]
    changes += [(273, 4, 100, 8), (279, 4, 100, 408), (277, 3, 1, 3), (278, 3, 1, 10)]
    whole = bytearray(tiff(*changes, length=len(data) + len(packed)))
    whole[8 : 8 + len(data) + len(packed)] = data + packed
    return bytes(whole)


BOMBS = {
    "a flat PNG": lambda: flat_png(17000),
    "a flat PNG of 16 bit": lambda: png(17000, 17000, depth=16),
    "a PNG without its pixels": lambda: png(8000, 8000),
    "a PNG of 16 bit without its pixels": lambda: png(8000, 8000, depth=16),
    "packed text": lambda: text_bomb(b"zTXt"),
    "packed Unicode text": lambda: text_bomb(b"iTXt"),
    "a packed profile": lambda: text_bomb(b"iCCP"),
    "an APNG": lambda: frames("PNG"),
    "a WebP": lambda: frames("WEBP"),
    "a GIF": lambda: frames("GIF"),
    "a GIF without its pixels": lambda: frames("GIF", 1)[:6] + b"\x40\x1f\x40\x1f" + bytes(30),
    "a huge JPEG": lambda: jpeg(65500, 65500),
    "a JPEG without its pixels": lambda: jpeg(8000, 8000),
    "a progressive JPEG without its pixels": lambda: jpeg(8000, 8000, 0xC2),
    "a JPEG of many scans": lambda: jpeg(2000, 2000, 0xC2, 1000),
    "EXIF that points to itself": lambda: with_exif(crowded()),
    "tags that share their bytes": crowded,
    "a tag without end": lambda: tiff((40000, 4, 2**31, 8)),
    "strips that share their bytes": shared_strips,
    "a strip without end": lambda: tiff((279, 4, 1, 2**32 - 1), (257, 3, 1, 65535)),
    "a huge tile": lambda: tiff(
        (322, 4, 1, 2**30), (323, 4, 1, 2**30), (324, 4, 1, 8), (325, 4, 1, 9), (259, 3, 1, 8)
    ),
    "bands without end": lambda: tiff((277, 3, 1, 65535), (256, 4, 1, 8000), (257, 4, 1, 8000)),
    "directories in a ring": lambda: tiff((330, 4, 1, 4008), (0x8769, 4, 1, 4008)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(name):
    data = BOMBS[name]()
    fuzz.use(fuzz.sample_pictures()[0][1])  # libraries are loaded by now
    report = fuzz.watched(data)
    assert report["outcome"] in ("read", "refused"), report
    assert report["seconds"] < 1 and report["megabytes"] < 100, report


def test_the_sound_picture_that_the_bombs_are_made_of_is_read():
    for data in (tiff(), jpeg(8, 8), jpeg(8, 8, 0xC2), png(2, 1, pixels=bytes(3))):
        assert fuzz.use(data) == "read"
    assert pictures.read(frames("GIF", 3)).size == (160, 120)


def test_tags_are_counted_without_being_read():
    assert tags_fit(tiff()) and not tags_fit(crowded())
    assert next(directories(tiff()))[256] == (1, 0)
    assert next(directories(crowded()))[40001] == (30_000, 30_000)
    assert not list(directories(b"")) and not list(directories(b"II*\0" + b"\xff" * 20))
