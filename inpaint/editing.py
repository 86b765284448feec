"""`edit`: the one orchestrator. It knows what happens in which order, and computes nothing itself.

picture + mask → regions → crops → fill → pasted patches → result with receipt and recipe.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaint import devices, filling, masks, pictures
from inpaint.catalog import Loaded, load
from inpaint.filling import Step, Stopped
from inpaint.pictures import Picture
from inpaint.recipes import recipe
from inpaint.regions import Box, Region, around_holes
from inpaint.results import Candidate, Estimate, Moment, Patch, Receipt, Result, receipt
from inpaint.settings import Settings
from inpaint.tasks import TASKS

LARGEST_CORE = 1024
"""Holes with a longer side are cut and filled in turn, which bounds memory."""

Mask = NDArray[np.bool_]
Progress = Callable[[Moment], None]


def edit(
    picture: Any,
    mask: Any = None,
    *,
    device: str = "auto",
    progress: Progress = lambda moment: None,
    max_pixels: int = pictures.MAX_PIXELS,
    **settings: Any,
) -> Result:
    """Repaint a part of a picture.

    Parameters
    ----------
    picture : path, bytes, PIL image, (H, W[, C]) uint8 or uint16 array, or Picture
        What to edit; it is not changed.
    mask : path, PIL image, array, Strokes or None
        White or True = repaint; another size than the picture's is resized. None takes the
        picture's transparent pixels, and makes them opaque.
    device : str
        auto, cuda, xpu, mps or cpu.
    progress : callable
        Called after every evaluation with a `Moment`; raise `inpaint.editing.Stopped` in it to end
        the edit and keep what there is.
    max_pixels : int
        Refuse larger pictures.
    **settings
        Fields of `inpaint.settings.Settings`.

    Returns
    -------
    Result

    Raises
    ------
    PictureError, ValueError
        With one sentence that says what to do.
    """
    began = time.perf_counter()
    wanted = _settings(settings)
    chosen = devices.pick(device)
    original = pictures.read(picture, max_pixels=max_pixels)
    painted = _mask(mask, original)
    widened = TASKS[wanted.task].prepare(painted, wanted)
    # A transparent pixel has no colour to blend with: it is replaced whole.
    bare = painted & (mask is None)
    work = _Work(original, widened, bare, wanted, chosen, progress)
    seeds = [(wanted.seed + k) % 2**32 for k in range(wanted.candidates)]
    made: list[tuple[Patch, ...]] = []
    notes: list[str] = []
    while len(made) < len(seeds) and not work.stopped:
        some, note = devices.with_fallback(chosen, partial(work.candidates, seeds[len(made) :]))
        made += some
        notes += [note] * (note != "" and note not in notes)
    seconds = time.perf_counter() - began
    if not work.stopped:
        filling_seconds = time.perf_counter() - work.began
        _learn_speed(wanted.model, chosen.name, work.arithmetic * len(made), filling_seconds)
    story = recipe(wanted, original.pixels, painted, work.loaded.digest)
    candidates = [
        Candidate(
            original,
            patches,
            {**story, "settings": {**story["settings"], "seed": seed}},
            opaque=mask is None,
        )
        for seed, patches in zip(seeds, made, strict=False)
    ]
    first = candidates[0].picture()
    return Result(
        candidates,
        first,
        widened,
        receipt(original, first, widened),
        seconds,
        work.done,
        not work.stopped,
        tuple(notes),
    )


def estimate(
    size: tuple[int, int], mask: Any, *, device: str = "auto", **settings: Any
) -> Estimate:
    """Say what `edit` would cost on a picture of `size` (width, height)."""
    wanted = _settings(settings)
    chosen = devices.pick(device)
    loaded = load(wanted.model, chosen)
    widened = TASKS[wanted.task].prepare(_as_mask(mask, size), wanted)
    regions = _regions(widened, loaded)
    evaluations, arithmetic = _cost(regions, widened, loaded, wanted)
    speed = _speed(wanted.model, chosen.name, loaded)
    count = wanted.candidates
    return Estimate(evaluations * count, arithmetic * count / speed, len(regions))


def _settings(values: dict[str, Any]) -> Settings:
    wanted = Settings.of(**values)
    if wanted.task not in TASKS:
        raise ValueError(f"there is no task {wanted.task!r}; choose {', '.join(TASKS)}")
    return wanted


class _Work:
    """One edit under way: what is to be done, how far it is, and whether it was stopped."""

    def __init__(
        self,
        original: Picture,
        mask: Mask,
        bare: Mask,
        settings: Settings,
        chosen: devices.Device,
        progress: Progress,
    ) -> None:
        self.original, self.mask, self.bare, self.settings = original, mask, bare, settings
        self.chosen, self.progress = chosen, progress
        self.loaded = load(settings.model, chosen)
        self.regions = _regions(mask, self.loaded)
        self.arithmetic = 0.0
        self.done = self.kept = self.made = 0
        self.stopped = False
        self.began = time.perf_counter()

    def candidates(self, seeds: list[int], device: devices.Device) -> list[tuple[Patch, ...]]:
        """Make as many candidates as the device takes at once, each as its patches."""
        loaded = self.loaded
        if device.name != self.chosen.name:
            loaded = load(self.settings.model, device)
        seeds = seeds[: min(device.batch, loaded.model.batch or device.batch)]
        each, self.arithmetic = _cost(self.regions, self.mask, loaded, self.settings, device.tile)
        self.done, ahead = self.kept, each * (self.settings.candidates - self.made)
        patches: list[list[Patch]] = [[] for _ in seeds]
        canvases = [replace(self.original, pixels=self.original.pixels.copy()) for _ in seeds]
        left = self.mask.copy()
        for index, region in enumerate(self.regions):
            hole, core = region.crop_array(left), region.core_mask()[0, 0].numpy() > 0
            filled, finished = filling.fill(
                loaded.model,
                torch.cat([_to_tensor(canvas.rgb(region.box)) for canvas in canvases]),
                torch.from_numpy(hole.astype(np.float32))[None, None],
                self.settings,
                [filling.shuffled(seed, index) for seed in seeds],
                self._reporter(region, len(seeds), self.kept + ahead),
                device.tile,
            )
            # Of a hole that is cut into several regions each pastes its own part.
            alpha = masks.feather(region.crop_array(self.mask), self.settings.feather)
            alpha[region.crop_array(self.bare)] = 1
            alpha[~core] = 0
            for own, canvas, image in zip(patches, canvases, filled, strict=True):
                patch = Patch(region, self.original.native(_to_array(image)), alpha)
                region.paste(canvas.pixels, patch.pixels, patch.alpha)
                own.append(patch)
            hole[core] = False
            if not finished:
                self.stopped = True
                break
        self.made, self.kept = self.made + len(seeds), self.done
        return [tuple(own) for own in patches]

    def _reporter(self, region: Region, batch: int, total: int) -> Callable[[Step], None]:
        before = self.done

        def report(step: Step) -> None:
            self.done = before + step.number * batch
            spent = time.perf_counter() - self.began
            left = spent / self.done * (total - self.done)

            def preview() -> tuple[Box, NDArray[np.uint8]]:
                return region.box, np.rint(_to_array(step.estimate()[0]) * 255).astype(np.uint8)

            self.progress(Moment(self.done, total, step.stage, self.made, left, preview))

        return report


def _to_tensor(rgb: NDArray[np.float32]) -> Tensor:
    """(h, w, 3) in [0, 1] -> (1, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(rgb).permute(2, 0, 1)[None] * 2 - 1


def _to_array(image: Tensor) -> NDArray[np.float32]:
    """(3, h, w) in [-1, 1] -> (h, w, 3) in [0, 1]."""
    array: NDArray[np.float32] = ((image.clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy()
    return array


def _regions(mask: Mask, loaded: Loaded) -> list[Region]:
    """Find where to work; a group of holes too large to hold in memory at once is cut."""
    regions = []
    size = (mask.shape[1], mask.shape[0])
    for region in around_holes(mask, loaded.model.context):
        x0, y0, x1, y1 = region.core
        if max(x1 - x0, y1 - y0) <= LARGEST_CORE:
            regions.append(region)
            continue
        for y in range(y0, y1, LARGEST_CORE):
            for x in range(x0, x1, LARGEST_CORE):
                core = (x, y, min(x + LARGEST_CORE, x1), min(y + LARGEST_CORE, y1))
                if mask[core[1] : core[3], core[0] : core[2]].any():
                    context = loaded.model.context(LARGEST_CORE)
                    regions.append(Region.around(core, context, size))
    return regions


def _cost(
    regions: list[Region], mask: Mask, loaded: Loaded, settings: Settings, shrunken: float = 1.0
) -> tuple[int, float]:
    """Count evaluations and multiply-adds for one candidate."""
    evaluations, arithmetic = 0, 0.0
    left = mask.copy()
    for region in regions:
        hole = region.crop_array(left)
        holes = torch.from_numpy(hole.astype(np.float32))[None, None]
        some, work = filling.overall(filling.plan(loaded.model, holes, settings, shrunken))
        evaluations, arithmetic = evaluations + some, arithmetic + work
        hole[region.core_mask()[0, 0].numpy() > 0] = False
    return evaluations, arithmetic


def _mask(mask: Any, picture: Picture) -> Mask:
    if mask is None:
        if picture.alpha is None:
            raise ValueError("Give a mask: the picture has no transparent pixels to fill.")
        mask = masks.from_alpha(picture)
    return _as_mask(mask, picture.size)


def _as_mask(mask: Any, size: tuple[int, int]) -> Mask:
    painted: Mask
    if isinstance(mask, masks.Strokes):
        painted = masks.rasterize(mask, size)
    else:
        painted = masks.read(mask, size)
    if not painted.any():
        raise ValueError("Nothing is painted; paint over what should be filled.")
    return painted


_speeds: dict[tuple[str, str], float] = {}
"""Multiply-adds a second by model and device: measured once, then learned from every edit."""


def _speed(model: str, device: str, loaded: Loaded) -> float:
    if (model, device) not in _speeds:
        side = 160
        picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
        mask = torch.zeros(1, 1, side, side)
        mask[..., 56:104, 56:104] = 1
        settings = Settings(steps=2, strength=loaded.model.refine)
        passes = filling.plan(loaded.model, mask, settings)
        filling.fill(loaded.model, picture, mask, settings, [0])  # the first run warms up
        began = time.perf_counter()
        filling.fill(loaded.model, picture, mask, settings, [0])
        _learn_speed(model, device, filling.overall(passes)[1], time.perf_counter() - began)
    return _speeds[model, device]


def _learn_speed(model: str, device: str, arithmetic: float, seconds: float) -> None:
    if arithmetic > 0 and seconds > 0:
        known = _speeds.get((model, device))
        now = arithmetic / seconds
        _speeds[model, device] = now if known is None else (known + now) / 2


__all__ = ["Candidate", "Estimate", "Moment", "Receipt", "Result", "Stopped", "edit", "estimate"]
