"""One case of `bench` in a process of its own, so that its memory is its own.

`python -m inpaint.tools.bench_case edit '{"width": 512, "height": 512, "side": 100}'`
"""

from __future__ import annotations

import io
import json
import resource
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def texture(width: int, height: int) -> NDArray[np.uint8]:
    """Draw a picture with structure at every scale, (height, width, 3)."""
    rng = np.random.default_rng(0)
    small = rng.integers(60, 196, (67, 71, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((284, 268), Image.Resampling.BICUBIC))
    grain = rng.integers(-20, 21, smooth.shape)
    tile = (smooth + grain).clip(0, 255).astype(np.uint8)
    times = (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1)
    return np.ascontiguousarray(np.tile(tile, times)[:height, :width])


def box(width: int, height: int, side: int) -> NDArray[np.bool_]:
    """Mask a square in the middle."""
    mask = np.zeros((height, width), bool)
    top, left = (height - side) // 2, (width - side) // 2
    mask[top : top + side, left : left + side] = True
    return mask


def edit(width: int, height: int, side: int, turns: int = 1, steps: int = 12) -> dict[str, float]:
    """Fill a square; seconds, and how much memory rose above what the loaded program took."""
    from inpaint import pictures
    from inpaint.editing import edit as fill

    fill(texture(200, 200), box(200, 200, 40), seed=0, steps=2)
    buffer = io.BytesIO()
    Image.fromarray(texture(width, height)).save(buffer, "PNG", compress_level=1)
    mask = box(width, height, side)
    before, began = _peak(), time.perf_counter()
    picture = pictures.read(buffer.getvalue())
    decoding, read = time.perf_counter() - began, _peak()
    seconds = []
    for _ in range(turns):
        began = time.perf_counter()
        result = fill(picture, mask, seed=0, steps=steps)
        seconds.append(time.perf_counter() - began)
    filled, began = _peak(), time.perf_counter()
    result.candidates[0].encode("PNG")
    return {
        "seconds": median(seconds),
        "decoding": decoding,
        "encoding": time.perf_counter() - began,
        "megabytes": filled - read,
        "megabytes_read": read - before,
    }


def preview(size: int, side: int, began: float) -> dict[str, float]:
    """Fill a square; seconds from `began`, in the clock of `time.time`, to the first preview."""
    from inpaint.editing import Moment
    from inpaint.editing import edit as fill

    seconds: list[float] = []

    def show(moment: Moment) -> None:
        if moment.preview and not seconds:
            moment.preview()
            seconds.append(time.time() - began)

    fill(texture(size, size), box(size, size, side), seed=0, progress=show)
    return {"seconds": seconds[0]}


def _peak() -> float:
    """Return the most memory that this process ever held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    cases: dict[str, Callable[..., dict[str, float]]] = {"edit": edit, "preview": preview}
    print(json.dumps(cases[sys.argv[1]](**json.loads(sys.argv[2]))))
