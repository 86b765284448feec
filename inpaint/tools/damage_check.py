"""How much damage `inpaint.damage` finds, how much it invents, and what repair gains.

Six kinds of damage are drawn on photographs in three looks: as they are, and grey or sepia with
film grain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import inpaint
from inpaint import damage, masks
from inpaint.pictures import PictureError
from inpaint.tools.crops import find
from inpaint.tools.damage_draw import KINDS, LOOKS, Mask, Rgb, damaged, dress, photograph

REPAIRED = 6
"""Pictures of each kind that the command line has repaired, which takes longer than finding."""
TOLERANCE = 2
"""Pixels by which a found pixel may miss the truth."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured for one kind of damage.

    Attributes
    ----------
    kind : str
        Or "clean".
    pictures : int
    proposed : float
        Share of the pictures in which anything was proposed.
    precision, recall : float
        Of pixels, all pictures together, within `TOLERANCE`; NaN without any.
    before, after : float
        Mean PSNR in dB of the damaged and the repaired pictures; NaN if none was repaired.
    seconds : float
        Mean time to find.
    """

    kind: str
    pictures: int
    proposed: float
    precision: float
    recall: float
    before: float
    after: float
    seconds: float


def measure(
    folder: Path,
    count: int = 30,
    seed: int = 0,
    sensitivity: float = 0.5,
    repairs: int = 0,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> list[Row]:
    """Measure on `count` photographs of a folder for each kind, and on all of them without damage.

    Parameters
    ----------
    folder
        Photographs without damage of their own.
    count
        How many for each kind; drawn anew for each, in the three looks in turn.
    seed
        Decides the photographs and the damage.
    sensitivity
        Of `damage.find`.
    repairs
        How many of each kind are repaired, by the default model.
    progress
        (trials done, trials in all, what is being done).

    Raises
    ------
    ValueError
        If the count is below 1, or the folder holds no photograph.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    files, row = _clean(find(folder), sensitivity)
    if not files:
        raise ValueError(f"No picture in {folder} can be read.")
    rows = [row]
    for place, kind in enumerate(KINDS):
        order = np.random.default_rng([seed, *kind.encode()]).permutation(len(files))
        cases = []
        for turn in range(count):
            rng = np.random.default_rng([seed, turn, *kind.encode()])
            progress(place * count + turn, len(KINDS) * count, f"repair, {kind}")
            # A stamp is burnt in by cameras that take colour.
            look = LOOKS[turn % len(LOOKS)] if kind != "stamp" else "colour"
            clean = dress(photograph(files[order[turn % len(order)]]), look, rng)
            drawn, truth = damaged(clean, kind, rng)
            began = time.perf_counter()
            found = damage.find(drawn, sensitivity)
            cases.append(_case(clean, drawn, truth, found, began, turn < repairs))
        rows.append(_row(kind, np.array(cases)))
    return rows


def _clean(files: list[Path], sensitivity: float) -> tuple[list[Path], Row]:
    """Measure on the photographs as they are; those that can be read come back too."""
    read, fired, seconds = [], [], []
    for path in files:
        try:
            clean = photograph(path)
        except PictureError:
            continue
        began = time.perf_counter()
        fired.append(damage.find(clean, sensitivity).any())
        seconds.append(time.perf_counter() - began)
        read.append(path)
    none = float("nan")
    share, each = (float(np.mean(values)) if read else none for values in (fired, seconds))
    return read, Row("clean", len(read), share, none, none, none, none, each)


def _case(
    clean: Rgb, drawn: Rgb, truth: Mask, found: Mask, began: float, repair: bool
) -> tuple[float, ...]:
    """Found, found rightly, true, truly found (pixels), PSNR before and after, seconds."""
    seconds = time.perf_counter() - began
    right = (found & masks.grow(truth, TOLERANCE)).sum()
    met = (truth & masks.grow(found, TOLERANCE)).sum()
    before = after = float("nan")
    if repair:
        before = after = _psnr(clean, drawn)
        if found.any():
            repaired = inpaint.edit(drawn, found, grow=1, device="cpu").picture
            after = _psnr(clean, repaired.pixels)
    return float(found.sum()), float(right), float(truth.sum()), float(met), before, after, seconds


def _row(kind: str, cases: NDArray[np.float64]) -> Row:
    found, right, true, met = cases[:, :4].sum(0)
    repaired = cases[np.isfinite(cases[:, 4])]
    before, after = repaired[:, 4:6].mean(0) if len(repaired) else (float("nan"),) * 2
    return Row(
        kind,
        len(cases),
        float((cases[:, 0] > 0).mean()),
        float(right / found) if found else float("nan"),
        float(met / true) if true else float("nan"),
        float(before),
        float(after),
        float(cases[:, 6].mean()),
    )


def _psnr(first: Rgb, second: NDArray[np.generic]) -> float:
    error = np.mean((first.astype(float) - second.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-12)))


def table(rows: list[Row]) -> str:
    """Lay the rows out as Markdown."""
    lines = [
        "| damage | pictures | proposals | precision | recall | PSNR before | after | seconds |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        numbers = (
            f"{row.proposed:.1%}",
            f"{row.precision:.2f}",
            f"{row.recall:.2f}",
            f"{row.before:.1f}",
            f"{row.after:.1f}",
            f"{row.seconds:.2f}",
        )
        shown = " | ".join("–" if number == "nan" else number for number in numbers)
        lines.append(f"| {row.kind} | {row.pictures} | {shown} |")
    return "\n".join(lines)
