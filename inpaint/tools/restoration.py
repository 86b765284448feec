"""How well the restoring tasks do, next to classical methods and to doing nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inpaint import metrics
from inpaint.colouring import spread_colours
from inpaint.editing import edit
from inpaint.metrics import bootstrap, interval, mean_of
from inpaint.operators import Blurred
from inpaint.preparing import ERROR, LEAST_NOISE
from inpaint.rounding import grey, with_grey
from inpaint.tools.crops import crops

Pixels = NDArray[np.uint8]
Method = Callable[[Pixels, np.random.Generator], Pixels]
"""(what is given, randomness) -> what is made of it."""

SCALE, NOISE, BLUR = 4, 25, 2.0
"""Enlargement, deviation of the noise of 255, deviation of the blur in pixels."""
STROKES, WIDTH = 12, 5
"""Number and side of the dots of true colour that colourising is given, in pixels."""


def restoration(
    folder: Path,
    count: int = 24,
    seed: int = 0,
    *,
    size: int = 128,
    model: str = "restore",
    tasks: tuple[str, ...] = ("enlarge", "denoise", "deblur", "colourise"),
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> str:
    """Spoil crops of photographs, restore them, and return a Markdown table.

    Parameters
    ----------
    folder : Path
        Photographs that no model was trained on.
    count, seed, size : int
        Number of crops, what decides them, and their side in pixels, a multiple of 4.
    model : str
        A network of the list, or a folder.
    tasks : tuple of str
        Keys of `TRIALS`.
    progress : callable
        (trials done, trials in all, what is being done).

    Raises
    ------
    ValueError
        If a task is unknown, the size does not fit, or the folder holds no photograph.
    """
    for task in tasks:
        if task not in TRIALS:
            raise ValueError(f"tasks are some of {', '.join(TRIALS)}, got {task!r}")
    if size < 32 or size % SCALE or count < 2:
        raise ValueError("size must be a multiple of 4 from 32 on, and count at least 2")
    found = crops(folder, size, count, seed)
    everything = np.ones((size, size), bool)
    lines = ["| task | method | PSNR | SSIM | s |", "| --- | --- | --- | --- | --- |"]
    trials = [(task, name) for task in tasks for name in (*TRIALS[task][1], model)]
    for place, (task, name) in enumerate(trials):
        spoil, methods = TRIALS[task]
        method = methods.get(name, _ours(task, model))
        values: dict[str, list[float]] = {"psnr": [], "ssim": [], "seconds": []}
        for index, crop in enumerate(found):
            progress(place * count + index, len(trials) * count, f"{task}, {name}")
            # Every method is given the same noise and the same strokes.
            given = spoil(crop.pixels, np.random.default_rng([seed, index]))
            began = time.perf_counter()
            made = method(given, np.random.default_rng([seed, index]))
            values["seconds"].append(time.perf_counter() - began)
            pair = [p.astype(np.float32) / np.float32(255) for p in (crop.pixels, made)]
            values["psnr"].append(metrics.psnr(pair[0], pair[1], everything))
            values["ssim"].append(metrics.ssim(pair[0], pair[1], everything))
        cells = [task, name, _cell(values["psnr"], 2), _cell(values["ssim"], 3)]
        lines.append(f"| {' | '.join(cells)} | {np.median(values['seconds']):.2f} |")
    return "\n".join(
        [
            *lines,
            "",
            f"{count} crops of {size} pixels; 95 % bootstrap intervals. Enlarge by {SCALE} what "
            f"was shrunk by block means; noise of {NOISE} of 255, its level estimated; Gaussian "
            f"blur of {BLUR:g} pixels, told; {STROKES} dots of the true colours.",
        ]
    )


def _cell(values: list[float], digits: int) -> str:
    found = interval(bootstrap(mean_of(values), len(values), 0))
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def _ours(task: str, model: str) -> Method:
    told: dict[str, dict[str, Any]] = {"enlarge": {"scale": SCALE}, "deblur": {"blur": BLUR}}

    def restored(given: Pixels, rng: np.random.Generator) -> Pixels:
        guide = given[..., 3:] if task == "colourise" else None
        options = {"guide": guide, "task": task, "model": model, **told.get(task, {})}
        return np.asarray(edit(given[..., :3], **options).picture.pixels)

    return restored


def _shrunk(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    height, width, _ = pixels.shape
    cut = pixels.reshape(height // SCALE, SCALE, width // SCALE, SCALE, 3)
    return np.asarray(np.rint(cut.mean(axis=(1, 3))), np.uint8)


def _noisy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    noisy = pixels + NOISE * rng.standard_normal(pixels.shape)
    return np.asarray(np.rint(noisy).clip(0, 255), np.uint8)


def _blurred(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    soft = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), BLUR, borderType=cv2.BORDER_REFLECT)
    return np.asarray(np.rint(soft).clip(0, 255), np.uint8)


def _uncoloured(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the grey picture, and a layer of dots of the true colours: (H, W, 3 + 4)."""
    tones = grey(pixels.astype(np.int64)).astype(np.uint8)
    layer = np.zeros((*tones.shape, 4), np.uint8)
    for _ in range(STROKES):
        y, x = (int(rng.integers(side - WIDTH)) for side in tones.shape)
        dot = slice(y, y + WIDTH), slice(x, x + WIDTH)
        layer[dot] = np.dstack([pixels[dot], np.full((WIDTH, WIDTH), 255, np.uint8)])
    return np.dstack([tones, tones, tones, layer])


def _resized(how: int) -> Method:
    def resize(given: Pixels, rng: np.random.Generator) -> Pixels:
        size = given.shape[1] * SCALE, given.shape[0] * SCALE
        return np.asarray(cv2.resize(given, size, interpolation=how))

    return resize


def _nothing(given: Pixels, rng: np.random.Generator) -> Pixels:
    return np.ascontiguousarray(given[..., :3])


def _spread(given: Pixels, rng: np.random.Generator) -> Pixels:
    """Spread the strokes' colours, and let no network refine them."""
    tones, colours = given[..., 0].astype(np.int64), (given[..., 3:6] / 255).astype(np.float32)
    made = spread_colours((tones / 255).astype(np.float32), colours, given[..., 6] > 0)
    return np.asarray(with_grey(made * 255, tones, 255), np.uint8)


def _means(given: Pixels, rng: np.random.Generator) -> Pixels:
    """Non-local means at the strength that suits it: told the noise, unlike ours."""
    return np.asarray(cv2.fastNlMeansDenoisingColored(given, None, 0.6 * NOISE, 0.6 * NOISE, 7, 21))


def _wiener(given: Pixels, rng: np.random.Generator) -> Pixels:
    """Deblur without the network, with the ratio of noise that ours takes for such pictures."""
    y = torch.from_numpy(given.astype(np.float32)).permute(2, 0, 1)[None]
    sharp = Blurred(y, BLUR, (LEAST_NOISE / ERROR) ** 2).project(y)[0].permute(1, 2, 0)
    return np.asarray(np.rint(sharp.numpy()).clip(0, 255), np.uint8)


TRIALS: dict[str, tuple[Method, dict[str, Method]]] = {
    "enlarge": (
        _shrunk,
        {"bicubic": _resized(cv2.INTER_CUBIC), "Lanczos": _resized(cv2.INTER_LANCZOS4)},
    ),
    "denoise": (_noisy, {"nothing": _nothing, "non-local means": _means}),
    "deblur": (_blurred, {"nothing": _nothing, "Wiener": _wiener}),
    "colourise": (_uncoloured, {"nothing": _nothing, "spreading alone": _spread}),
}
"""By task: how a crop is spoilt, and what ours is compared with."""
