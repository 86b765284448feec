"""Feeds damaged pictures to the reader: `python -m inpaint.tools.fuzz --cases 5000`.

The pictures are read, shown and saved again in a child process with an address-space limit. What
breaks a promise is printed with its number, which makes the same bytes again: any error but
`PictureError`, the child's death, or too much time or memory.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from inpaint import pictures
from inpaint.pictures import Picture, PictureError

SECONDS, MEGABYTES = 2.0, 256
"""What one case may take."""
ADDRESSES = 3 << 30
"""Bytes of addresses the child may use; libraries alone take more than one of them."""
HANG = 20.0
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def sources() -> tuple[tuple[str, bytes], ...]:
    """Return small sound pictures of every kind that is read, by name."""
    rng = np.random.default_rng(7)
    ramp = np.add.outer(np.arange(40), np.arange(48)).astype(np.uint8)
    rgb = np.dstack([ramp, ramp[::-1], ramp[:, ::-1]]) + rng.integers(0, 8, (40, 48, 3), "u1")
    deep = rgb.astype(np.uint16) * 257
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    image = Image.fromarray(rgb)
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(ramp))
    made: dict[str, bytes] = {}

    def save(name: str, image: Image.Image, format: str, **options: Any) -> None:
        out = io.BytesIO()
        image.save(out, format, **options)
        made[name] = out.getvalue()

    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        save(f"{format} profile", image, format, icc_profile=profile, exif=exif.tobytes())
        text = {"inpaint": "x" * 50}
        made[f"{format} text"] = pictures.encode(
            Picture(rgb, exif=exif.tobytes()), format, text=text
        )
    for format in ("PNG", "WEBP", "TIFF"):
        save(f"{format} alpha", clear, format)
        save(f"{format} frames", image, format, save_all=True, append_images=[clear.convert("RGB")])
    for format in ("PNG", "TIFF"):
        for channels, alpha in ((1, None), (1, deep[..., 0]), (3, None), (3, deep[..., 0])):
            name = f"{format} 16 bit, {channels}" + (", alpha" if alpha is not None else "")
            made[name] = pictures.encode(Picture(deep[..., :channels], alpha), format)
    for mode in ("1", "L", "P", "LA"):
        save(f"PNG {mode}", image.convert(mode), "PNG")
        save(f"TIFF {mode}", image.convert(mode), "TIFF")
    save("PNG transparent colour", image.convert("P"), "PNG", transparency=3)
    for compression in ("tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate", "group4", "group3"):
        kind = image.convert("1") if compression.startswith("group") else image
        save(f"TIFF {compression}", kind, "TIFF", compression=compression)
    save("TIFF CMYK", image.convert("CMYK"), "TIFF")
    bands = Picture(
        np.dstack([rgb, rgb]), None, "TIFF", extras={"bands": (1, (0,) * 5)}, bands=True
    )
    made["TIFF bands"] = pictures.encode(bands, "TIFF")
    save("JPEG progressive", image, "JPEG", progressive=True)
    save("JPEG grey", image.convert("L"), "JPEG")
    save("JPEG CMYK", image.convert("CMYK"), "JPEG")
    save("WEBP lossless", image, "WEBP", lossless=True)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        save(f"BMP {mode}", (clear if mode == "RGBA" else image).convert(mode), "BMP")
    save("GIF", image, "GIF")
    save("GIF frames", image, "GIF", save_all=True, append_images=[image.rotate(90)] * 3)
    return tuple(made.items())


def case(seed: int, number: int) -> tuple[str, bytes]:
    """Return the name of a source, and its bytes after the damage that the two numbers decide."""
    rng = random.Random(f"{seed}/{number}")
    name, data = sources()[number % len(sources())]
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(_DAMAGES)(damaged, rng)
    if name.startswith("PNG") and rng.random() < 0.7:
        damaged = _with_checksums(damaged)
    return name, bytes(damaged)


def _place(data: bytearray, rng: random.Random, length: int = 1) -> int:
    """Choose where: half of the time among the first bytes, which hold the headers."""
    reach = len(data) if rng.random() < 0.5 else min(len(data), 120)
    return rng.randrange(max(1, reach - length))


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 8, 40))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _noise(data: bytearray, rng: random.Random) -> None:
    at, length = _place(data, rng), rng.randrange(1, 30)
    data[at : at + length] = rng.randbytes(length)


def _lie(data: bytearray, rng: random.Random) -> None:
    """Write an extreme number over what may be a size, a count or an offset."""
    kind = rng.choice(("B", "<H", ">H", "<I", ">I", "<I", ">I"))
    value = rng.choice((*_EXTREMES, rng.randrange(70000)))
    bytes_ = struct.pack(kind, value % (1 << 8 * struct.calcsize(kind)))
    at = _place(data, rng, len(bytes_))
    data[at : at + len(bytes_)] = bytes_


def _splice(data: bytearray, rng: random.Random) -> None:
    """Put a part of another picture, or of this one, in."""
    other = rng.choice((bytes(data), rng.choice(sources())[1]))
    if other:
        start = rng.randrange(len(other))
        at = _place(data, rng)
        data[at : at + rng.choice((0, 40))] = other[start : start + rng.randrange(1, 200)]


def _remove(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.randrange(1, 60)]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at, length = _place(data, rng), rng.randrange(1, 60)
    data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))


_DAMAGES: tuple[Callable[[bytearray, random.Random], None], ...]
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


def use(data: bytes) -> str:
    """Read a picture, show it and save it again, as the page does. "read" or "refused"."""
    try:
        picture = pictures.read(data)
        pictures.embedded_text(picture)
        pictures.preview(picture, 64)
        pictures.encode(pictures.marked(picture), text={"inpaint": "{}"})
    except PictureError as error:
        if "\n" in str(error) or len(str(error)) > 500:
            raise AssertionError(f"no single sentence: {error}") from error
        return "refused"
    return "read"


def watched(data: bytes) -> dict[str, Any]:
    """Use a picture; say what came of it, in how many seconds and additional megabytes."""
    before, began = _reset_peak(), time.perf_counter()
    try:
        outcome = use(data)
    except BaseException as error:
        outcome = f"{type(error).__name__}: {error}"
    spent, grown = time.perf_counter() - began, _status("VmHWM") - before
    return {"outcome": outcome, "seconds": round(spent, 3), "megabytes": round(grown)}


def broken(report: dict[str, Any]) -> bool:
    """Whether a report breaks a promise."""
    good = report["outcome"] in ("read", "refused")
    return not good or report["seconds"] > SECONDS or report["megabytes"] > MEGABYTES


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def _reset_peak() -> float:
    """Let the kernel forget the peak of this process's memory; return what it holds, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def run(seed: int, cases: range, keep: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yield one report for each case; a dead child is a report, and another goes on after it."""
    at = cases.start
    while at < cases.stop:
        command = [sys.executable, "-m", "inpaint.tools.fuzz", "--child", f"--seed={seed}"]
        command += [f"--first={at}", f"--cases={cases.stop - at}"]
        # The decoders' own words would fill a pipe that nobody empties.
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdout is not None
            for line in child.stdout:
                report = json.loads(line)
                if keep is not None and broken(report):
                    (keep / str(report["number"])).write_bytes(case(seed, report["number"])[1])
                yield report
                at = report["number"] + 1
        if child.returncode:
            name = case(seed, at)[0]
            outcome = f"the process ended with {child.returncode}"
            yield {"number": at, "name": name, "outcome": outcome, "seconds": 0, "megabytes": 0}
            at += 1


def _child(seed: int, cases: range) -> None:
    import resource
    import signal

    pictures.read(pictures.encode(Picture(np.zeros((9, 9, 3), np.uint16))))  # loads the libraries
    for _, data in sources():
        use(data)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in cases:
        name, data = case(seed, number)
        signal.setitimer(signal.ITIMER_REAL, HANG)  # unhandled, the alarm ends the process
        print(json.dumps({"number": number, "name": name, **watched(data)}), flush=True)


def main() -> int:
    """Run as a command; the exit status is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides the damage (%(default)s)")
    parser.add_argument("--keep", type=Path, help="a folder to put the files that broke one in")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    cases = range(options.first, options.first + options.cases)
    if options.child:
        _child(options.seed, cases)
        return 0
    reports = []
    for report in run(options.seed, cases, options.keep):
        reports.append(report)
        if broken(report):
            print(json.dumps(report), flush=True)
    bad, read = sum(map(broken, reports)), sum(r["outcome"] == "read" for r in reports)
    print(
        f"{len(reports)} cases: {read} read, {len(reports) - read - bad} refused, {bad} broke a "
        f"promise; at most {max(r['seconds'] for r in reports):.2f} s and "
        f"{max(r['megabytes'] for r in reports):.0f} MB for one"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
