"""Photographs in memory, and the endless stream of crops and masks made from them."""

from __future__ import annotations

import itertools
import logging
import math
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from inpaint import pictures
from inpaint.masks import random_mask

log = logging.getLogger(__name__)

LONG_SIDE = 640
MEMORY = 8 * 2**30
WHOLE = 0.15  # share of crops that show as much of the photograph as a square can
Batch = tuple[Tensor, Tensor]
"""Crops (B, 3, S, S) uint8 and masks (B, 1, S, S) bool, True = repaint."""


@dataclass(frozen=True)
class Photographs:
    """Decoded photographs, (h, w, 3) uint8 each, with their paths."""

    paths: list[Path]
    arrays: list[np.ndarray]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.arrays)

    def split(self) -> tuple[Photographs, Photographs]:
        """Return (for training, held out): every 32nd is held out where there are 64 or more."""
        if len(self) < 64:
            return self, Photographs([], [])
        kept = [i for i in range(len(self)) if i % 32]
        held = range(0, len(self), 32)
        return self._take(kept), self._take(held)

    def _take(self, indices: list[int] | range) -> Photographs:
        return Photographs([self.paths[i] for i in indices], [self.arrays[i] for i in indices])


def load_photographs(folder: Path, size: int, memory: int = MEMORY) -> Photographs:
    """Decode every photograph under a folder once.

    Parameters
    ----------
    folder
        Searched with its subfolders.
    size
        Side of the crops; photographs with a shorter side are skipped, for enlarging them would
        teach blur.
    memory
        Bytes to use at most. A larger collection is thinned evenly, so that training never waits
        for a disk.

    Raises
    ------
    ValueError
        If the folder is missing or holds no photograph that can be used.
    """
    if not folder.is_dir():
        raise ValueError(f"The folder of photographs {folder} does not exist.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in pictures.EXTENSIONS)
    most = max(1, memory // (3 * LONG_SIDE**2))
    if len(paths) > most:
        log.warning("Using %d of the %d photographs, what fits in memory.", most, len(paths))
        paths = [paths[i * len(paths) // most] for i in range(most)]
    with ThreadPoolExecutor() as pool:
        arrays = list(pool.map(lambda path: _decode(path, size), paths))
    found = [(p, a) for p, a in zip(paths, arrays, strict=True) if a is not None]
    if len(found) < len(paths):
        skipped = [p.name for p, a in zip(paths, arrays, strict=True) if a is None]
        names = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        log.warning("Skipped %d unreadable or too small files: %s", len(skipped), names)
    if not found:
        raise ValueError(f"The folder {folder} holds no photograph of {size} pixels or more.")
    return Photographs([p for p, _ in found], [a for _, a in found])


def _decode(path: Path, size: int) -> np.ndarray | None:
    """(h, w, 3) uint8 with no side above LONG_SIDE, or None."""
    try:
        rgb = np.rint(pictures.read(path).rgb() * 255).astype(np.uint8)
    except ValueError:
        return None
    scale = LONG_SIDE / max(rgb.shape[:2])
    if scale < 1:
        width, height = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
        small = Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS)
        rgb = np.asarray(small)
    return rgb if min(rgb.shape[:2]) >= size else None


class Crops(Dataset[tuple[np.ndarray, np.ndarray]]):
    """Random squares of photographs with random masks.

    Number `index` depends on (seed, index) alone, not on the processes that make the crops, nor
    on where a run was interrupted.
    """

    def __init__(
        self,
        photographs: Photographs,
        size: int,
        seed: int,
        whole: float | None = None,
        narrow: bool = False,
    ) -> None:
        self.photographs, self.size, self.seed = photographs, size, seed
        self.whole, self.narrow = whole, narrow

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a crop, (3, S, S) uint8, and a mask, (1, S, S) bool, True = repaint."""
        rng = np.random.default_rng([self.seed, index])
        rgb = self.photographs.arrays[rng.integers(len(self.photographs))]
        short = min(rgb.shape[:2])
        # Evenly in log-scale: details and views are equally frequent at every factor of 2.
        side = self.size * (short / self.size) ** rng.random()
        side = short if rng.random() < WHOLE else math.floor(side)
        top, left = (int(rng.integers(extent - side + 1)) for extent in rgb.shape[:2])
        square = Image.fromarray(rgb[top : top + side, left : left + side])
        crop = np.asarray(square.resize((self.size, self.size), Image.Resampling.LANCZOS))
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        family = "narrow" if self.narrow else None
        if self.whole is not None and rng.random() < self.whole:
            family = "full"
        mask = random_mask(rng, (self.size, self.size), family)
        return np.ascontiguousarray(crop.transpose(2, 0, 1)), mask[None]

    def batch(self, start: int, count: int) -> Batch:
        """Stack crops start, start + 1, ..."""
        crops, masks = zip(*(self[start + i] for i in range(count)), strict=True)
        return torch.from_numpy(np.stack(crops)), torch.from_numpy(np.stack(masks))


def batches(
    crops: Crops, batch_size: int, step: int, rank: int, ranks: int, workers: int, pin: bool
) -> Iterator[Batch]:
    """Stream batches from `step` on, without end; each of `ranks` processes gets its own part."""
    starts = ((s * ranks + rank) * batch_size for s in itertools.count(step))
    # Forked workers share the decoded photographs; anything else would copy them.
    fork = workers > 0 and "fork" in multiprocessing.get_all_start_methods()
    loader: DataLoader[tuple[np.ndarray, np.ndarray]] = DataLoader(
        crops,
        batch_sampler=(list(range(start, start + batch_size)) for start in starts),
        num_workers=workers,
        worker_init_fn=_ignore_signals,
        multiprocessing_context="fork" if fork else None,
        prefetch_factor=4 if workers else None,
        pin_memory=pin,
    )
    yield from loader


def _ignore_signals(worker: int) -> None:
    """Leave Ctrl-C to the main process, which still wants crops for its last step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
