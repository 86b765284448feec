"""Feeds damaged pictures and clips to the readers: `python -m inpaint.tools.fuzz --cases 5000`.

They are read, shown and saved again in a child process with an address-space limit. What breaks a
promise is printed with its number, which makes the same bytes again: any error but `PictureError`,
the child's death, or too much time or memory. `--kind pictures` damages bytes, `structures` the
parts that pictures are made of, with checksums and lengths that are right again, and `clips` the
bytes or the parts of videos.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inpaint import pictures
from inpaint.pictures import PictureError
from inpaint.tools.fuzz_damage import damaged, rebuilt
from inpaint.tools.fuzz_samples import sample_clips, sample_pictures

SECONDS, MEGABYTES = 2.0, 256
"""What one case may take."""
ADDRESSES = 3 << 30
"""Bytes of addresses the child may use; libraries alone take more than one of them."""
HANG = 20.0


def case(seed: int, number: int, kind: str = "pictures") -> tuple[str, bytes]:
    """Return the name of a sample, and its bytes after the damage that the numbers decide."""
    row = KINDS[kind]
    rng, samples = random.Random(f"{seed}/{number}"), row.samples()
    name, data = samples[number % len(samples)]
    return name, row.damage(data, rng, [data for _, data in samples])


def use(data: bytes, name: str = "") -> str:
    """Read a picture, show it and save it again, as the page does. "read" or "refused"."""
    return _judged(lambda: _use_picture(data))


def use_clip(data: bytes, name: str) -> str:
    """Read a clip, frames, sound and all, and write it again. "read" or "refused"."""
    with tempfile.TemporaryDirectory(prefix="inpaint-fuzz-") as folder:
        path = Path(folder, f"clip.{name.split()[0]}")
        path.write_bytes(data)
        return _judged(lambda: _use_clip(path))


def _judged(work: Callable[[], None]) -> str:
    try:
        work()
    except PictureError as error:
        if "\n" in str(error) or len(str(error)) > 500:
            raise AssertionError(f"no single sentence: {error}") from error
        return "refused"
    return "read"


def _use_picture(data: bytes) -> None:
    picture = pictures.read(data)
    pictures.embedded_text(picture)
    pictures.preview(picture, 64)
    pictures.encode(pictures.marked(picture), text={"inpaint": "{}"})


def _use_clip(path: Path) -> None:
    from inpaint.video.clips import open_clip
    from inpaint.video.saving import open_writer

    clip = open_clip(path)
    writer = open_writer(clip, path.with_stem("out"), lossless=False, recipe="{}")
    try:
        for frame in clip.frames():
            touched = np.zeros(frame.pixels.shape[:2], bool)
            touched[:4, :4] = True
            writer.write(frame, frame.pixels, touched)
        writer.finish(True)
    finally:
        writer.drop()
    [*clip.notes(), *writer.notes()]


def _damaged_clip(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    return rng.choice((damaged, rebuilt, rebuilt))(data, rng, others)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is damaged, how, and what is done with it then."""

    samples: Callable[[], tuple[tuple[str, bytes], ...]]
    damage: Callable[[bytes, random.Random, list[bytes]], bytes]
    use: Callable[[bytes, str], str]


KINDS = {
    "pictures": Kind(sample_pictures, damaged, use),
    "structures": Kind(sample_pictures, rebuilt, use),
    "clips": Kind(sample_clips, _damaged_clip, use_clip),
}


def watched(data: bytes, name: str = "", use: Callable[[bytes, str], str] = use) -> dict[str, Any]:
    """Use a file; say what came of it, in how many seconds of all threads, and megabytes more."""
    before, began = _reset_peak(), time.process_time()
    try:
        outcome = use(data, name)
    except BaseException as error:
        outcome = f"{type(error).__name__}: {error}"
    spent, grown = time.process_time() - began, _status("VmHWM") - before
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


def run(
    seed: int, cases: range, keep: Path | None = None, kind: str = "pictures"
) -> Iterator[dict[str, Any]]:
    """Yield one report for each case; a dead child is a report, and another goes on after it."""
    at = cases.start
    while at < cases.stop:
        command = [sys.executable, "-m", "inpaint.tools.fuzz", "--child", f"--seed={seed}"]
        command += [f"--first={at}", f"--cases={cases.stop - at}", f"--kind={kind}"]
        # The decoders' own words would fill a pipe that nobody empties.
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdout is not None
            for line in child.stdout:
                report = json.loads(line)
                if keep is not None and broken(report):
                    _, data = case(seed, report["number"], kind)
                    (keep / str(report["number"])).write_bytes(data)
                yield report
                at = report["number"] + 1
        if child.returncode:
            name = case(seed, at, kind)[0]
            outcome = f"the process ended with {child.returncode}"
            yield {"number": at, "name": name, "outcome": outcome, "seconds": 0, "megabytes": 0}
            at += 1


def _child(seed: int, cases: range, kind: str) -> None:
    import resource
    import signal

    row = KINDS[kind]
    for name, data in row.samples():  # loads the libraries
        row.use(data, name)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in cases:
        name, data = case(seed, number, kind)
        signal.setitimer(signal.ITIMER_REAL, HANG)  # unhandled, the alarm ends the process
        report = {"number": number, "name": name, **watched(data, name, row.use)}
        print(json.dumps(report), flush=True)


def main() -> int:
    """Run as a command; the exit status is 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides the damage (%(default)s)")
    parser.add_argument("--keep", type=Path, help="a folder to put the files that broke one in")
    parser.add_argument("--kind", choices=KINDS, default="pictures", help="%(default)s")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    cases = range(options.first, options.first + options.cases)
    if options.child:
        _child(options.seed, cases, options.kind)
        return 0
    reports = []
    for report in run(options.seed, cases, options.keep, options.kind):
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
