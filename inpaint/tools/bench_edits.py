"""Sections of `bench` about whole edits: what they cost beside the model, and how they grow."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from PIL import Image

from inpaint.blend import BlendLevel, BlendModel
from inpaint.editing import Moment, edit
from inpaint.tools.bench_case import box, texture
from inpaint.tools.bench_rows import Row, apart, in_turns

PREVIEWS = 0.1
"""Least seconds between previews, as on the page."""


def overhead(brief: bool) -> list[Row]:
    """Compare an edit of 128 × 128 pixels, previews on, with the time inside of its model.

    Of `blend` that is its evaluations and the preparation of its levels, which is as much its own.
    """
    from inpaint.unet import InpaintUNet

    side, turns = (48, 1) if brief else (128, 7)
    pixels, mask = texture(side, side), box(side, side, side // 3)
    rows = []
    for model, parts in {
        "photo": [(InpaintUNet, "forward")],
        "blend": [(BlendLevel, "estimate"), (BlendModel, "level")],
    }.items():
        edit(pixels, mask, model=model, seed=0)
        ratios = []
        for turn in range(turns):
            with clocked(parts) as inside:
                began = time.perf_counter()
                edit(pixels, mask, model=model, seed=turn, progress=_previewed())
                whole = time.perf_counter() - began
            ratios.append((whole / sum(inside), whole))
        ratio, whole = sorted(ratios)[len(ratios) // 2]
        rows.append(Row(f"{model}: an edit", whole))
        rows.append(Row(f"{model}: an edit over its model", ratio, "×", most=1.1))
    return rows


@contextmanager
def clocked(parts: list[tuple[type, str]]) -> Iterator[list[float]]:
    """Note the seconds of every call of methods."""
    seconds: list[float] = []

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            out = work(*arguments, **named)
            seconds.append(time.perf_counter() - began)
            return out

        return call

    patches = [patch.object(owner, name, timed(getattr(owner, name))) for owner, name in parts]
    for one in patches:
        one.start()
    try:
        yield seconds
    finally:
        for one in patches:
            one.stop()


def _previewed() -> Callable[[Moment], None]:
    """Draw previews as often as the page does."""
    last = -math.inf

    def show(moment: Moment) -> None:
        nonlocal last
        if moment.preview and time.perf_counter() - last >= PREVIEWS:
            moment.preview()
            last = time.perf_counter()

    return show


def picture(brief: bool) -> list[Row]:
    """Compare the same hole of 100 pixels in 0.25 and in 24 megapixels, each in its own process."""
    side, turns = (20, 1) if brief else (100, 3)
    small = apart("edit", width=512, height=512, side=side, turns=turns)
    width, height = (1500, 1000) if brief else (6000, 4000)
    large = apart("edit", width=width, height=height, side=side, turns=turns)
    size = f"{width * height / 1e6:g} megapixels"
    return [
        Row("0.26 megapixels", small["seconds"]),
        Row(size, large["seconds"]),
        Row(f"{size}: time", large["seconds"] / small["seconds"], "×", most=1.5),
        Row(f"{size}: memory", large["megabytes"] - small["megabytes"], "MB", most=400),
        Row(f"{size}: decoding, apart", large["decoding"]),
        Row(f"{size}: encoding, apart", large["encoding"]),
    ]


def hole(brief: bool) -> list[Row]:
    """Fill ever larger holes in few steps, each in its own process; seconds, and memory."""
    rows, found = [], {}
    sides = (16, 32) if brief else (128, 256, 512, 1024, 2048)
    for side in sides:
        whole = max(2 * side, side + 400)
        found[side] = apart("edit", width=whole, height=whole, side=side, steps=4)
        rows.append(Row(f"hole of {side} × {side}", found[side]["seconds"]))
        rows.append(Row(f"hole of {side} × {side}: memory", found[side]["megabytes"], "MB"))
    least, *_, last = sides
    mid, before = sides[-3:][0], sides[-2]
    growth = math.log(found[last]["seconds"] / found[before]["seconds"]) / math.log(
        last**2 / before**2
    )
    each = found[last]["seconds"] / last**2 / (found[mid]["seconds"] / mid**2)
    above = found[last]["megabytes"] - found[least]["megabytes"]
    return [
        *rows,
        Row("power of the masked area that time grows with", growth, "", most=1.1),
        Row(f"time for a masked pixel, {last} over {mid}", each, "×", most=1.3),
        Row(f"memory, {last} above {least}", above, "MB", most=600),
    ]


def candidates(brief: bool) -> list[Row]:
    """Make 1, 2 and 4 candidates."""
    side = 48 if brief else 128
    pixels, mask = texture(side, side), box(side, side, side // 3)
    works: dict[str, Callable[[], object]] = {
        f"{count}": partial(edit, pixels, mask, seed=0, candidates=count) for count in (1, 2, 4)
    }
    seconds = in_turns(works, 1 if brief else 5)
    rows = [Row(f"{count} candidates", each) for count, each in seconds.items()]
    return [*rows, Row("4 over 1", seconds["4"] / seconds["1"], "×")]


def cold(brief: bool) -> list[Row]:
    """Start programs: the help, and a fill of 100 × 100 pixels, to its first preview and whole."""
    size, side = (64, 12) if brief else (512, 100)
    pixels, mask = texture(size, size), box(size, size, side)
    edit(pixels, mask, seed=0)
    turns = 1 if brief else 3
    warm = in_turns({"warm": lambda: edit(pixels, mask, seed=0)}, turns)["warm"]
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("photo.png", "mask.png", "out.png")]
        Image.fromarray(pixels).save(files[0])
        Image.fromarray(mask).save(files[1])
        command = ["fill", files[0], "--mask", files[1], "-o", files[2]]
        seconds = in_turns({"help": lambda: _run("--help"), "fill": lambda: _run(*command)}, turns)
    previews = [apart("preview", size=size, side=side, began=time.time()) for _ in range(turns)]
    return [
        Row("python -m inpaint --help", seconds["help"], most=0.5),
        Row("a warm fill", warm),
        Row("a process until its first preview", median(one["seconds"] for one in previews)),
        Row("a cold fill", seconds["fill"], most=round(1.6 * warm + 4, 2)),
    ]


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "inpaint", *arguments], check=True, capture_output=True)
