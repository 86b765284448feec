"""`edit`: the one orchestrator. It knows what happens in which order, and computes nothing itself.

picture + mask → regions → crops → fill → pasted patches → result with receipt and recipe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaint import devices, filling, masks, pictures
from inpaint.blend import patches_alone
from inpaint.catalog import Loaded, load
from inpaint.filling import Step, Stopped
from inpaint.hub import timed
from inpaint.models import listed
from inpaint.pictures import Picture
from inpaint.preparing import PREPARE, Prepared, Request
from inpaint.recipes import recipe
from inpaint.regions import GROUPING, Box, Region, around_holes, batches, cut
from inpaint.results import (
    DOWNLOADING,
    Candidate,
    Estimate,
    Moment,
    Patch,
    Receipt,
    Result,
    receipt,
)
from inpaint.settings import Settings
from inpaint.tasks import TASKS, Task, settled

LARGEST_CORE = 1152
"""Holes with a longer side are cut and filled in turn, which bounds memory; cores are cut at
multiples of `GROUPING`, and so this is one."""
FIRST_ALONE = "Of several pages or frames only the first is worked on, and only it is saved."

Mask = NDArray[np.bool_]
Progress = Callable[[Moment], None]


def edit(
    picture: Any,
    mask: Any = None,
    *,
    guide: Any = None,
    device: str | devices.Device = "auto",
    progress: Progress = lambda moment: None,
    max_pixels: int = pictures.MAX_PIXELS,
    format: str | None = None,
    **settings: Any,
) -> Result:
    """Repaint a part of a picture.

    Parameters
    ----------
    picture : path, bytes, PIL image, (H, W[, C]) uint8 or uint16 array, or Picture
        What to edit; it is not changed.
    mask : path, PIL image, array, Strokes or None
        White or True = repaint; another size than the picture's is resized. None takes the
        picture's transparent pixels. Some tasks need no mask. Transparent pixels that are filled
        become opaque.
    guide : as picture
        A second picture, for the tasks that take one.
    device : str
        auto, cuda, xpu, mps or cpu; or one that `inpaint.devices.pick` has chosen.
    progress : callable
        Called after every evaluation with a `Moment`, and during a download; raise
        `inpaint.editing.Stopped` in it to end the edit and keep what there is.
    max_pixels : int
        Refuse larger pictures.
    format : str or None
        What the result will be saved as, JPEG say, where that is known: one that has no room for it
        is refused before the work.
    **settings
        Fields of `inpaint.settings.Settings`; `task` names a row of `inpaint.tasks.TASKS`.

    Returns
    -------
    Result

    Raises
    ------
    PictureError, ValueError
        With one sentence that says what to do.
    Stopped
        If it was raised during a download; there is nothing to keep but what has come of the model.
    """
    began = time.perf_counter()
    wanted = settled(settings)
    chosen = devices.pick(device)
    original = pictures.read(picture, max_pixels=max_pixels)
    request = _request(original, mask, guide, wanted, max_pixels)
    prepared, row = PREPARE[wanted.task].prepare(request), PREPARE[wanted.task]
    if format is not None:
        pictures.check_sides(prepared.picture.size, format)
    work = _Work(request, prepared, chosen, progress)
    seeds = [(wanted.seed + k) % 2**32 for k in range(wanted.candidates)]
    made: list[tuple[Patch, ...]] = []
    deaf = not work.reads and (wanted.prompt or wanted.negative)
    unheard = f"The model {wanted.model} reads no prompt, so it was left out." if deaf else ""
    alone = FIRST_ALONE if original.extras.get("more") else ""
    notes = [note for note in (prepared.note, work.note, unheard, alone) if note]
    while len(made) < len(seeds) and not work.stopped:
        left = partial(work.candidates, seeds[len(made) :])
        some, note = devices.with_fallback(work.device, left)
        made += some
        notes += [note] * (note != "" and note not in notes)
    seconds = time.perf_counter() - began
    if not work.stopped:
        filling_seconds = time.perf_counter() - work.began
        _learn_speed(wanted, work.device.name, work.arithmetic * len(made), filling_seconds)
    story = recipe(
        wanted,
        original,
        request.painted,
        work.digest,
        work.revision,
        work.dtype,
        request.guide,
        given=mask is not None,
    )
    candidates = [
        Candidate(
            prepared.picture,
            patches,
            {**story, "settings": {**story["settings"], "seed": seed, "candidates": 1}},
            opaque=prepared.opaque,
        )
        for seed, patches in zip(seeds, made, strict=False)
    ]
    first = candidates[0].picture()
    promise = row.promise(request, first) if row.promise and not work.stopped else ""
    return Result(
        candidates,
        first,
        prepared.mask,
        receipt(prepared.picture, first, prepared.mask, promise),
        seconds,
        work.done,
        not work.stopped,
        tuple(notes),
    )


def estimate(
    picture: Any,
    mask: Any = None,
    *,
    guide: Any = None,
    device: str = "auto",
    **settings: Any,
) -> Estimate:
    """Say what `edit` would cost on a picture, or on one of a size (width, height)."""
    wanted = settled(settings)
    chosen = devices.pick(device)
    if isinstance(picture, tuple):
        picture = Picture(np.broadcast_to(np.uint8(0), (picture[1], picture[0], 3)))
    picture = pictures.read(picture)
    request = _request(picture, mask, guide, wanted, pictures.MAX_PIXELS)
    prepared = PREPARE[wanted.task].prepare(request)
    spec = listed().get(wanted.model)
    if spec is not None and not spec.here():
        raise ValueError(spec.absence())
    filler = _filler(load(wanted.model, chosen), request)
    regions = _regions(prepared.mask, filler)
    evaluations, arithmetic = _cost(regions, prepared.mask, filler, wanted)
    speed = _speed(wanted, chosen.name, filler)
    count = wanted.candidates * picture.groups
    return Estimate(evaluations * count, arithmetic * count / speed, len(regions))


def proposal(
    picture: Any, *, max_pixels: int = pictures.MAX_PIXELS, **settings: Any
) -> NDArray[np.bool_]:
    """Return the mask, (H, W) bool, that a task uses where nothing is painted, to be corrected.

    Raises
    ------
    PictureError, ValueError
        With one sentence; also if the task proposes none.
    """
    wanted = settled({"task": "repair", **settings})
    propose = PREPARE[wanted.task].propose
    if propose is None:
        raise ValueError(f"The task {wanted.task} proposes no mask; repair does.")
    return propose(pictures.read(picture, max_pixels=max_pixels), wanted)


class _Work:
    """One edit under way: what is to be done, how far it is, and whether it was stopped."""

    def __init__(
        self,
        request: Request,
        prepared: Prepared,
        chosen: devices.Device,
        progress: Progress,
    ) -> None:
        self.request, self.settings = request, request.settings
        self.canvas, self.mask, self.bare = prepared.picture, prepared.mask, prepared.bare
        self.start = prepared.start or prepared.picture
        self.restores = TASKS[self.settings.task].restores
        self.progress = progress
        self.regions, self.note = devices.with_fallback(chosen, self._begin)
        self.arithmetic = 0.0
        self.done = self.kept = self.made = 0
        self.stopped = False
        self.began = time.perf_counter()

    def _begin(self, device: devices.Device) -> list[Region]:
        """Have the model in memory, and find where to work."""
        self.device = device

        def report(done: int, total: int, left: float) -> None:
            self.progress(Moment(done, total, DOWNLOADING, 0, left, None))

        loaded = load(self.settings.model, device, timed(report))
        self.digest, self.revision, self.reads = loaded.digest, loaded.revision, loaded.reads
        return _regions(self.mask, _filler(loaded, self.request))

    def candidates(self, seeds: list[int], device: devices.Device) -> list[tuple[Patch, ...]]:
        """Make as many candidates as the device takes at once, each as its patches."""
        self.device, loaded = device, load(self.settings.model, device)
        self.dtype = loaded.dtype
        fillers = [_filler(loaded, request) for request in self.request.groups()]
        filler = fillers[0]  # all plan alike
        at_once = min(device.batch, filler.batch or device.batch)
        seeds = seeds[:at_once]
        each, arithmetic = _cost(self.regions, self.mask, filler, self.settings, device.tile)
        each, self.arithmetic = each * self.canvas.groups, arithmetic * self.canvas.groups
        self.done, ahead = self.kept, each * (self.settings.candidates - self.made)
        patches: list[list[Patch]] = [[] for _ in seeds]
        canvases = [self.start.pixels.copy() for _ in seeds]
        left = self.mask.copy()
        index = 0

        def passes(region: Region) -> tuple[filling.Pass, ...]:
            return tuple(filler.plan(_hole(region, self.mask), self.settings, device.tile))

        for batch in batches(self.regions, passes):
            # Holes before candidates: one candidate's holes do not see each other either way.
            for some in _split(batch, max(1, at_once // len(seeds))):
                jobs = [(region, k) for region in some for k in range(len(seeds))]
                groups = []
                for group, own in enumerate(fillers):
                    windows = (self._window(canvases[k], region, group) for region, k in jobs)
                    groups.append(torch.cat(tuple(windows)))
                    if self.stopped:
                        continue
                    groups[-1], finished = own.fill(
                        groups[-1],
                        torch.cat([_hole(region, left) for region, _ in jobs]),
                        self.settings,
                        [filling.shuffled(seeds[k], index + some.index(r)) for r, k in jobs],
                        self._reporter(some[0], len(jobs), self.kept + ahead),
                        device.tile,
                    )
                    self.stopped = not finished
                index += len(some)
                for (region, k), image in zip(jobs, torch.cat(groups, 1), strict=True):
                    pixels = self.canvas.native(_to_array(region.inside(image)))
                    patch = Patch(region.bare, pixels, self._alpha(region))
                    if not self.restores:  # what is known of a window is the picture as it was
                        patch.region.paste(canvases[k], patch.pixels, patch.alpha)
                    patches[k].append(patch)
                if self.stopped:
                    return [tuple(own) for own in patches]
            for region in batch:
                region.bare.crop_array(left)[:] = False
        self.made, self.kept = self.made + len(seeds), self.done
        return [tuple(own) for own in patches]

    def _window(self, pixels: NDArray[Any], region: Region, group: int) -> Tensor:
        return _to_tensor(replace(self.canvas, pixels=pixels).rgb(region.box, group))

    def _alpha(self, region: Region) -> NDArray[np.float32]:
        """Blend weights of a core; of a hole that is cut each region pastes its own part."""
        alpha = masks.feather(region.crop_array(self.mask), self.settings.feather)
        alpha = region.inside(alpha).copy()
        if self.bare is not None:
            alpha[region.bare.crop_array(self.bare)] = 1
        return alpha

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


def _filler(loaded: Loaded, request: Request) -> filling.Filler:
    """Return what works on a request: the model's filler, or what the task makes of it."""
    filler, own = loaded.filler, PREPARE[request.settings.task].filler
    if own or request.settings.strength < 1:
        filler = patches_alone(filler)  # its network sees nothing of what is to be kept
    return own(filler, request) if own else filler


def _split(regions: list[Region], most: int) -> Iterator[list[Region]]:
    for first in range(0, len(regions), most):
        yield regions[first : first + most]


def _hole(region: Region, mask: Mask) -> Tensor:
    """Crop a (H, W) mask to (1, 1, h, w)."""
    return torch.from_numpy(region.crop_array(mask).astype(np.float32))[None, None]


def _to_tensor(rgb: NDArray[np.float32]) -> Tensor:
    """(h, w, 3) in [0, 1] -> (1, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(rgb).permute(2, 0, 1)[None] * 2 - 1


def _to_array(image: Tensor) -> NDArray[np.float32]:
    """(3, h, w) in [-1, 1] -> (h, w, 3) in [0, 1]."""
    array: NDArray[np.float32] = ((image.clamp(-1, 1) + 1) / 2).permute(1, 2, 0).cpu().numpy()
    return array


def _regions(mask: Mask, filler: filling.Filler) -> list[Region]:
    """Find where to work; a group of holes too large to hold in memory at once is cut."""
    regions = []
    size = (mask.shape[1], mask.shape[0])
    for region in around_holes(mask, filler.context):
        x0, y0, x1, y1 = region.core
        if max(x1 - x0, y1 - y0) <= LARGEST_CORE:
            regions.append(region)
            continue
        for core in cut(region.core, LARGEST_CORE, GROUPING):
            if mask[core[1] : core[3], core[0] : core[2]].any():
                regions.append(Region.around(core, filler.context(LARGEST_CORE), size))
    return regions


def _cost(
    regions: list[Region],
    mask: Mask,
    filler: filling.Filler,
    settings: Settings,
    shrunken: float = 1.0,
) -> tuple[int, float]:
    """Count evaluations and multiply-adds for one candidate."""
    evaluations, arithmetic = 0, 0.0
    left = mask.copy()
    for region in regions:
        some, work = filling.overall(filler.plan(_hole(region, left), settings, shrunken))
        evaluations, arithmetic = evaluations + some, arithmetic + work
        region.bare.crop_array(left)[:] = False
    return evaluations, arithmetic


def _request(
    picture: Picture, mask: Any, guide: Any, settings: Settings, max_pixels: int
) -> Request:
    """Read what belongs to a picture, as far as the task wants it."""
    task, second = TASKS[settings.task], None
    if task.guide != "unused" and guide is not None:
        second = pictures.read(guide, max_pixels=max_pixels)
    elif task.guide != "unused" and isinstance(mask, masks.Strokes) and mask.colored:
        rgb = np.rint(picture.rgb() * picture.maximum).astype(picture.pixels.dtype)
        second = Picture(masks.paint(mask, rgb))
        if task.restores:  # colours spread beyond their strokes
            rest = masks.rasterize(mask.uncolored, picture.size)
            mask = rest if rest.any() else None
    elif task.guide == "needed":
        raise ValueError(f"Give a second picture. {task.guide_tip}")
    painted, propose = _painted(mask, picture, task), PREPARE[settings.task].propose
    if painted is None and propose is not None:
        painted = propose(picture, settings)
    return Request(picture, painted, second, settings, max_pixels)


def _painted(mask: Any, picture: Picture, task: Task) -> Mask | None:
    """Return what was painted as (H, W) bool; None where the task does without."""
    if task.mask == "unused" or (mask is None and task.mask == "optional"):
        return None
    if mask is None:
        if picture.alpha is None:
            raise ValueError("Give a mask: the picture has no transparent pixels to fill.")
        painted = masks.from_alpha(picture)
    elif isinstance(mask, masks.Strokes):
        painted = masks.rasterize(mask, picture.size)
    else:
        painted = masks.read(mask, picture.size)
    if painted.any():
        return painted
    without = " Without a mask the whole picture is meant." if task.mask == "optional" else ""
    raise ValueError(f"Nothing is painted; paint over what should be filled.{without}")


_speeds: dict[tuple[str, str, str], float] = {}
"""Multiply-adds a second by task, model and device: measured once, then learned from every edit."""


def _speed(wanted: Settings, device: str, filler: filling.Filler) -> float:
    key = (wanted.task, wanted.model, device)
    if key not in _speeds:
        side = 160
        picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
        mask = torch.zeros(1, 1, side, side)
        mask[..., 56:104, 56:104] = 1
        settings = replace(wanted, steps=2)
        arithmetic = filling.overall(filler.plan(mask, settings))[1]
        filler.fill(picture, mask, settings, [0])  # the first run warms up
        began = time.perf_counter()
        filler.fill(picture, mask, settings, [0])
        _learn_speed(wanted, device, arithmetic, time.perf_counter() - began)
    return _speeds[key]


def _learn_speed(wanted: Settings, device: str, arithmetic: float, seconds: float) -> None:
    if arithmetic > 0 and seconds > 0:
        key = (wanted.task, wanted.model, device)
        known = _speeds.get(key)
        now = arithmetic / seconds
        _speeds[key] = now if known is None else (known + now) / 2


__all__ = [
    "Candidate",
    "Estimate",
    "Moment",
    "Receipt",
    "Result",
    "Stopped",
    "edit",
    "estimate",
    "proposal",
]
