"""What this machine is, how networks are measured on it, and where that is remembered."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from inpaint.own import user_folder

FOUND = "found.json"
ABANDONED = 3600
"""Seconds after which what a process has begun to find out is deleted: it was killed."""

T = TypeVar("T")


def cache_folder() -> Path:
    """Return where it is remembered: $XDG_CACHE_HOME/inpaint, or ~/.cache/inpaint."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else user_folder() / ".cache") / "inpaint"


def remembered(name: str, kind: type[T], find_out: Callable[[Path], None]) -> T | None:
    """Return what was found out by this process, or by the first one on this machine that asked.

    Parameters
    ----------
    name : str
        Of the folder that holds it, in `cache_folder`.
    kind : type
        A dataclass that raises TypeError or ValueError for what it cannot be made of.
    find_out : callable
        Fills an empty folder, and puts a `kind` there with `note`.

    Returns
    -------
    found
        None where nothing can be remembered.
    """
    try:
        place = cache_folder() / name
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            return noted(place, kind)
        except (FileNotFoundError, TypeError, ValueError):
            shutil.rmtree(place, ignore_errors=True)  # damaged, or a part of it is gone
        for left in place.parent.glob("*.part"):
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=place.parent, suffix=".part") as part:
            made = Path(part, "made")
            made.mkdir()
            find_out(made)
            with suppress(OSError):  # another process was faster: what it found holds
                made.rename(place)
        return noted(place, kind)
    except (OSError, TypeError, ValueError):
        return None


def note(folder: Path, found: Any) -> None:
    """Write a dataclass into a folder."""
    (folder / FOUND).write_text(json.dumps(asdict(found), indent=2))


def noted(folder: Path, kind: type[T]) -> T:
    """Read what `note` has written."""
    return kind(**json.loads((folder / FOUND).read_text("utf-8")))


def processor() -> str:
    """Name the processor, its cores and torch in a few letters."""
    parts = [torch.__version__, torch.backends.cpu.get_cpu_capability(), str(os.cpu_count())]
    try:
        first = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0]
        names = ("model", "cpu family", "flags", "Features", "CPU implementer", "CPU part")
        parts += [line for line in first.splitlines() if line.startswith(names)]
    except OSError:  # not Linux
        parts += [platform.machine(), platform.processor()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def sample(side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Make waves, (1, 3, S, S), a hole in their middle, (1, 1, S, S), and noise like the waves."""
    t = 2 * math.pi * torch.arange(side) / side
    waves = [(t[:, None] * rows + t * columns).sin() for rows, columns in ((1, 0), (0, 1), (1, 2))]
    known, mask = 0.8 * torch.stack(waves)[None], torch.zeros(1, 1, side, side)
    mask[..., side // 4 : -side // 4, side // 4 : -side // 4] = 1
    return known, mask, torch.randn(known.shape, generator=torch.Generator().manual_seed(0))


def seconds(works: Sequence[Callable[[], Tensor]], least: float = 0, turns: int = 3) -> list[float]:
    """Return the shortest time of each, done in turns, so many at least and for so long."""
    found: list[list[float]] = [[] for _ in works]
    first = time.perf_counter()
    while len(found[0]) < turns or time.perf_counter() - first < least:
        for times, work in zip(found, works, strict=True):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return [min(times[1:]) for times in found]  # the first one warms up


def apart(x: Tensor, wanted: Tensor) -> float:
    """Return ‖x − wanted‖/‖wanted‖."""
    return float((x - wanted).norm() / wanted.norm())
