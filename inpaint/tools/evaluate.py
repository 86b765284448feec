"""`python -m inpaint evaluate`: how good fills are, next to others' on the same crops."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import inpaint
from inpaint import masks, metrics
from inpaint.metrics import (
    Interval,
    PatchDistance,
    Statistic,
    bootstrap,
    interval,
    mean_of,
    ratio_of,
)
from inpaint.tools.crops import KINDS, Crop, crops, hole, views
from inpaint.tools.methods import SAMPLES, Method, methods
from inpaint.tools.sheet import draw

COLUMNS = {
    "psnr": ("PSNR", 1),
    "psnr_mean": ("PSNR of mean", 1),
    "ssim": ("SSIM", 3),
    "ssim_mean": ("SSIM of mean", 3),
    "seam": ("seam", 2),
    "texture": ("texture", 2),
    "swd": ("SWD", 3),
    "swd_above": ("above floor", 3),
    "diversity": ("diversity", 3),
    "nearest": ("nearest", 2),
}
"""Key of each measure: its heading and decimals."""
TRUTH = "truth"
ROUNDED = 10 * math.log10(12 * 255**2)
"""PSNR in dB after rounding to 8 bits; an exact fill counts as this, lest it decide the mean."""

Progress = Callable[[int, int, str], None]
"""(crops done, crops in all, what is being done)."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What to evaluate; the fields are the command's options."""

    pictures: Path
    size: int = 128
    count: int = 200
    crops: str = "any"
    masks: tuple[str, ...] = ("thin", "wide", "box", "half")
    methods: tuple[str, ...] = ()
    model: str | None = None
    seed: int = 0
    json: Path | None = None
    sheet: Path | None = None
    train: Path | None = None

    def __post_init__(self) -> None:
        """Check what would otherwise fail after hours."""
        if not 32 <= self.size <= 1024:
            raise ValueError(f"size must be from 32 to 1024, got {self.size}")
        if self.count < 2:
            raise ValueError(f"count must be at least 2, got {self.count}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be from 0 to {2**31 - 1}, got {self.seed}")
        if self.crops not in KINDS:
            raise ValueError(f"crops are {' or '.join(KINDS)}, got {self.crops!r}")
        families = [name for name in masks.FAMILIES if name not in ("full", "inverted")]
        for name in self.masks:
            if name not in families:
                raise ValueError(f"masks are some of {', '.join(families)}, got {name!r}")
        for path in (self.json, self.sheet):
            if path is not None and not path.absolute().parent.is_dir():
                raise ValueError(f"The folder {path.absolute().parent} does not exist.")


@dataclass(slots=True)
class Row:
    """One method on one family of masks."""

    family: str
    method: str
    crops: int
    evaluations: float = 0.0
    seconds: float = 0.0
    values: dict[str, Interval] = field(default_factory=dict)
    against_first: dict[str, Interval] = field(default_factory=dict)
    """This row minus the first method's, paired on the same crops."""


@dataclass(slots=True)
class _Filled:
    """A method's fills of one family's crops."""

    method: str
    fills: list[list[NDArray[np.uint8]]]
    evaluations: list[int]
    seconds: list[float]
    trained: bool = False


def evaluate(wanted: Evaluation, progress: Progress = lambda done, total, text: None) -> str:
    """Fill, measure, write what was asked for, and return the table.

    Raises
    ------
    ValueError
        If the folder, a method or a setting is not usable.
    """
    chosen = methods(wanted.methods, wanted.model, wanted.size)
    found = crops(wanted.pictures, wanted.size, wanted.count, wanted.seed, wanted.crops)
    total = len(wanted.masks) * sum(min(m.most or wanted.count, wanted.count) for m in chosen)
    done, rows, sections = 0, [], []
    for family in wanted.masks:
        holes = [hole(family, wanted.size, wanted.seed, i) for i in range(len(found))]
        filled = []
        for method in chosen:
            step = lambda n, text, done=done: progress(done + n, total, text)  # noqa: E731
            filled.append(_fill(method, family, found, holes, wanted.seed, step))
            done += len(filled[-1].fills)
        some, textures = _measure(family, found, holes, filled, wanted)
        rows += some
        sections.append((family, found, holes, filled, textures))
    if wanted.sheet is not None:
        _replace(wanted.sheet, draw(_picked(sections), [m.name for m in chosen]))
    if wanted.json is not None:
        _replace(wanted.json, _report(wanted, found, rows).encode())
    return table(rows)


def _fill(
    method: Method,
    family: str,
    found: list[Crop],
    holes: list[NDArray[np.bool_]],
    seed: int,
    progress: Callable[[int, str], None],
) -> _Filled:
    out = _Filled(method.name, [], [], [], method.trained)
    for index, (crop, mask) in enumerate(zip(found[: method.most], holes, strict=False)):
        progress(index, f"{method.name}, {family}")
        masked = crop.pixels.copy()
        masked[mask] = 128  # nobody gets to see what is to be guessed
        began = time.perf_counter()
        fills, evaluations = method.fill(masked, mask, (seed + SAMPLES * index) % 2**32)
        out.seconds.append((time.perf_counter() - began) / len(fills))
        out.fills.append(fills)
        out.evaluations.append(evaluations)
    return out


def _measure(
    family: str,
    found: list[Crop],
    holes: list[NDArray[np.bool_]],
    filled: list[_Filled],
    wanted: Evaluation,
) -> tuple[list[Row], list[float]]:
    """Return the rows of a family, and the first method's texture distance for each crop."""
    truths = [_unit(crop.pixels) for crop in found]
    distance = PatchDistance(truths, holes, wanted.seed)
    itself = _Filled(TRUTH, [[crop.pixels] for crop in found], [0] * len(found), [0.0], True)
    everyone = [*filled, itself]
    statistics = [_statistics(one, truths, holes, distance) for one in everyone]
    if wanted.train is not None:
        _add_nearest(everyone, holes, statistics, wanted)
    counts = [len(one.fills) for one in everyone]

    @cache
    def values(index: int, key: str, count: int) -> NDArray[np.float64]:
        if key == "swd_above":
            return values(index, "swd", count) - values(-1, "swd", count)
        statistic = _of_first(statistics[index][key], count, counts[index])
        return bootstrap(statistic, count, wanted.seed)

    rows = []
    for index, (one, count) in enumerate(zip(everyone, counts, strict=True)):
        row = Row(family, one.method, count)
        row.evaluations = float(np.mean(one.evaluations))
        row.seconds = float(np.median(one.seconds))
        for key in (*statistics[index], *([] if one is itself else ["swd_above"])):
            row.values[key] = interval(values(index, key, count))
            # Pairs need the same crops, and a row of fewer crops has the first of them.
            if 0 < index and count <= counts[0] and key in (*statistics[0], "swd_above"):
                gap = values(index, key, count) - values(0, key, count)
                row.against_first[key] = interval(gap)
        rows.append(row)
    textures = [
        metrics.texture(truth, _unit(fills[0]), mask)
        for truth, fills, mask in zip(truths, filled[0].fills, holes, strict=False)
    ]
    return rows, textures


def _of_first(statistic: Statistic, some: int, count: int) -> Statistic:
    """Take a statistic over the first `some` of `count` crops."""
    return lambda weights: statistic(np.pad(weights, ((0, 0), (0, count - some))))


def _statistics(
    one: _Filled,
    truths: list[NDArray[np.float32]],
    holes: list[NDArray[np.bool_]],
    distance: PatchDistance,
) -> dict[str, Statistic]:
    fills = [[_unit(fill) for fill in some] for some in one.fills]
    singles = [some[0] for some in fills]
    means = [np.asarray(np.mean(some, axis=0), np.float32) for some in fills]
    border, outside = zip(*map(metrics.seam, singles, holes), strict=True)
    out = {"seam": ratio_of(border, outside), "swd": distance.compare(singles)}
    if one.method == TRUTH:
        return out
    for some, suffix in ((singles, ""), (means, "_mean")):
        ratios = map(metrics.psnr, truths, some, holes)
        out[f"psnr{suffix}"] = mean_of([min(ratio, ROUNDED) for ratio in ratios])
        out[f"ssim{suffix}"] = mean_of(list(map(metrics.ssim, truths, some, holes)))
    out["texture"] = mean_of(list(map(metrics.texture, truths, singles, holes)))
    if min(map(len, fills)) > 1:
        out["diversity"] = mean_of(list(map(metrics.diversity, fills, holes)))
    return out


def _add_nearest(
    everyone: list[_Filled],
    holes: list[NDArray[np.bool_]],
    statistics: list[dict[str, Statistic]],
    wanted: Evaluation,
) -> None:
    """Look up all fills that could be remembered, and the truth, in one walk through the folder."""
    assert wanted.train is not None
    asked = [
        [
            metrics.memory_queries(_unit(fills[0]), mask)
            for fills, mask in zip(one.fills, holes, strict=False)
        ]
        for one in everyone
        if one.trained
    ]
    queries = np.concatenate([rows for some in asked for rows in some])
    distances = iter(metrics.nearest(queries, views(wanted.train, wanted.size)).tolist())
    for some, mine in zip(
        asked, (s for one, s in zip(everyone, statistics, strict=True) if one.trained), strict=True
    ):
        each = [[next(distances) for _ in rows] for rows in some]
        mine["nearest"] = mean_of([float(np.mean(d)) if d else float("nan") for d in each])


def _unit(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(255)


def _picked(sections: list[Any]) -> list[tuple[str, list[NDArray[np.uint8]]]]:
    """Choose each family's worst, median and best crop by the first method's texture distance."""
    picked = []
    for family, found, holes, filled, textures in sections:
        # Only crops that every method filled can be shown side by side.
        order = np.argsort(textures[: min(len(one.fills) for one in filled)])[::-1]
        places = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]}
        for name, index in places.items():
            masked = found[index].pixels.copy()
            masked[holes[index]] = 128
            fills = [one.fills[index][0] for one in filled]
            picked.append((f"{family}, {name}", [masked, *fills, found[index].pixels]))
    return picked


def _report(wanted: Evaluation, found: list[Crop], rows: list[Row]) -> str:
    def plain(values: dict[str, Interval]) -> dict[str, list[float | None]]:
        return {
            key: [round(v, 6) if np.isfinite(v) else None for v in (i.value, i.low, i.high)]
            for key, i in values.items()
        }

    report = {
        "version": inpaint.__version__,
        "size": wanted.size,
        "kind": wanted.crops,
        "seed": wanted.seed,
        "crops": [{"file": crop.file, "box": crop.box} for crop in found],
        "rows": [
            {
                "masks": row.family,
                "method": row.method,
                "crops": row.crops,
                "evaluations": row.evaluations,
                "seconds": round(row.seconds, 4),
                **plain(row.values),
                "minus_first_method": plain(row.against_first),
            }
            for row in rows
        ],
    }
    return json.dumps(report, indent=2) + "\n"


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def table(rows: Sequence[Row]) -> str:
    """Lay out the rows as a Markdown table, and say how to read it."""
    keys = [key for key in COLUMNS if any(key in row.values for row in rows)]
    headings = ["masks", "method", "crops", *(COLUMNS[k][0] for k in keys), "evaluations", "s"]
    lines = [headings, ["---"] * len(headings)]
    for row in rows:
        cells = [row.family, row.method, str(row.crops)]
        cells += [_cell(row, key) for key in keys]
        cost = ["", ""] if row.method == TRUTH else [f"{row.evaluations:.0f}", f"{row.seconds:.2f}"]
        lines.append([*cells, *cost])
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    lines[1] = ["-" * width for width in widths]
    drawn = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([*drawn, "", *_legend(keys)])


def _cell(row: Row, key: str) -> str:
    if key not in row.values:
        return ""
    value, digits = row.values[key], COLUMNS[key][1]
    if np.isnan(value.value):
        return "none"
    gap = row.against_first.get(key)
    surely = gap is not None and (gap.low > 0 or gap.high < 0)
    span = f"{value.low:.{digits}f} to {value.high:.{digits}f}"
    return f"{value.value:.{digits}f} ({span}){'*' if surely else ''}"


def _legend(keys: list[str]) -> list[str]:
    lines = [
        "In the hole; 95 % bootstrap intervals over crops. * differs from the family's first "
        "method: the interval of the paired difference leaves out 0.",
        f"PSNR in dB and SSIM of one fill, and of the mean of {SAMPLES}: they reward blur. "
        "Seam: 1 is perfect. Texture: dB between power spectra, 0 is perfect.",
        "SWD: lower is better; a perfect fill gets the truth's, the real-to-real floor. "
        f"Diversity: deviation between {SAMPLES} seeds, in [0, 1].",
        "Evaluations and seconds are for one fill.",
    ]
    if "nearest" in keys:
        lines.append("Nearest: distance to training patches; far below the truth's is memorised.")
    return lines
