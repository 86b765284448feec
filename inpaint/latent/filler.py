"""`LatentFiller`: a pipeline of diffusers as what fills a window."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inpaint.denoiser import Denoiser, watched
from inpaint.filling import Pass, Step, Stopped
from inpaint.latent.denoiser import decode, encode, sample_latents
from inpaint.latent.families import FAMILIES, SCHEDULERS, Family
from inpaint.latent.frame import Frame, settle
from inpaint.latent.observing import Observed
from inpaint.latent.preview import linear_preview
from inpaint.latent.words import OURS, check, embeddings
from inpaint.regions import Region
from inpaint.samplers import SAMPLERS
from inpaint.scales import spread
from inpaint.schedule import cosine_levels
from inpaint.settings import Settings


@dataclass(frozen=True, slots=True)
class LatentFiller:
    """A pretrained inpainting pipeline.

    It sees one window at the size it was trained at, and its result is fitted back into the crop:
    colours matched to the surroundings, known pixels exact.

    Parameters
    ----------
    pipeline : DiffusionPipeline
        Of a class in `FAMILIES`.
    size : int
        Side of its window in pixels.
    guidance : float
        Used if the settings leave it to the model.
    batch : int
        Pictures at a time. Always 1: a candidate then never depends on its neighbours.
    """

    pipeline: Any
    size: int
    guidance: float
    batch: int | None = 1

    @property
    def family(self) -> Family:
        """What its class takes."""
        return FAMILIES[type(self.pipeline).__name__]

    def context(self, side: int) -> int:
        """Fill the window around small holes, and look around by half of large ones."""
        return max(side // 2, (self.size - side) // 2)

    def plan(self, mask: Tensor, settings: Settings, shrunken: float = 1.0) -> list[Pass]:
        """One pass over the whole (1, 1, H, W) mask, or none if it is empty."""
        if not mask.any():
            return []
        steps, strength = settings.steps, settings.strength
        if self._ours(settings):
            sampler = SAMPLERS[settings.sampler]
            evaluations = sampler.evaluations(steps, settings.resample, settings.jump)
        else:
            evaluations = _evaluations(_steps(settings), strength)
        box = (0, 0, mask.shape[-1], mask.shape[-2])
        height, width = self._frame(mask, shrunken).outer
        work = self._work(height * width, settings)
        levels = tuple(cosine_levels(steps, strength))
        return [Pass(0, Region(box, box), levels, evaluations, work)]

    def _work(self, pixels: int, settings: Settings) -> float:
        """Multiply-adds of one evaluation: each weight of a transformer once for each token."""
        network = getattr(self.pipeline, "transformer", None)
        tokens = pixels / 256
        if network is None:  # a UNet's weights lie mostly where latents are coarse
            network, tokens = self.pipeline.unet, pixels / 64 / 12
        twice = 2 if self._guidance(settings) > 1 and self.family.negative else 1
        return float(twice * tokens * sum(p.numel() for p in network.parameters()))

    def fill(
        self,
        picture: Tensor,
        mask: Tensor,
        settings: Settings,
        seeds: list[int],
        on_step: Callable[[Step], None] = lambda step: None,
        shrunken: float = 1.0,
    ) -> tuple[Tensor, bool]:
        """Fill the holes of a region, candidate by candidate; see `inpaint.filling.Filler`.

        Raises
        ------
        ValueError
            If the settings ask for what this pipeline cannot do.
        """
        check(self.pipeline, self.family, settings)
        filled = picture.expand(len(seeds), -1, -1, -1).clone()
        masks = mask.expand(len(seeds), -1, -1, -1)
        each = sum(p.evaluations for p in self.plan(mask, settings, shrunken))
        for k, seed in enumerate(seeds):
            known, hole = filled[k : k + 1].clone(), masks[k : k + 1]
            if not hole.any():
                continue
            # What is to go must not leak into latents beside it; a lighter strength builds on it.
            guide = spread(known, hole) if settings.strength == 1 else known
            job = _Job(self._frame(hole, shrunken), known, guide, hole, on_step)
            job.number, job.total = k * each, len(seeds) * each
            make = self._walk if self._ours(settings) else self._call
            filled[k : k + 1] = job.fit(make(job, settings, seed))
            if job.stopped:
                return filled, False
        return filled, True

    def _ours(self, settings: Settings) -> bool:
        """Whether our samplers drive the network, and not the pipeline's own loop."""
        wanted = settings.sampler in OURS or settings.resample > 1
        return self.family.walks and not settings.scheduler and wanted

    def _guidance(self, settings: Settings) -> float:
        return self.guidance if settings.guidance is None else settings.guidance

    def _frame(self, mask: Tensor, shrunken: float) -> Frame:
        side = max(int(self.size * shrunken), self.family.multiple)
        return Frame.of(mask.shape[-2], mask.shape[-1], side, self.family.multiple)

    def _walk(self, job: _Job, settings: Settings, seed: int) -> Tensor:
        """Fill with one of our samplers in latent space: (1, 3, *outer)."""
        look = self._preview(job)

        def watch(denoise: Denoiser) -> Denoiser:
            return watched(denoise, lambda x0, level: job.step(x0, look))

        try:
            latents = sample_latents(
                self.pipeline,
                job.window,
                job.hole,
                settings,
                self._guidance(settings),
                seed,
                watch,
            )
        except Stopped:
            job.stopped, latents = True, job.estimate
        picture = decode(self.pipeline, latents)
        self.pipeline.maybe_free_model_hooks()
        return picture

    def _call(self, job: _Job, settings: Settings, seed: int) -> Tensor:
        """Fill with the pipeline's own call: (1, 3, *outer), or about that size."""
        pipeline, look = self.pipeline, self._preview(job)
        scheduler = Observed(self._scheduler(settings))
        getattr(pipeline, "decoder_pipe", pipeline).scheduler = scheduler.own

        def on_step_end(own: Any, i: int, t: Any, values: dict[str, Any]) -> dict[str, Any]:
            if job.stopped:  # a pipeline that cannot leave its loop
                return values
            x0 = scheduler.estimate
            try:
                job.step(values["latents"] if x0 is None else x0, look)
            except Stopped:
                job.stopped = True
                if not self.family.stops:
                    raise
                own._interrupt = True
                return {"latents": job.estimate.to(values["latents"])}
            return {}

        height, width = job.frame.outer
        words = self._words(settings)
        if self.family.area:
            words[self.family.area] = height * width
        try:
            made = pipeline(
                image=_to_pil((job.window[0] + 1) / 2),
                mask_image=_to_pil(job.hole[0]),
                height=height,
                width=width,
                num_inference_steps=_steps(settings),
                generator=torch.Generator().manual_seed(seed),
                output_type="np",
                callback_on_step_end=on_step_end,
                **words,
            )
        except Stopped:
            return look()(job.estimate)
        finally:
            pipeline.maybe_free_model_hooks()
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            raise ValueError(
                "The model's own safety check withheld this fill; try another seed or prompt."
            )
        array = np.nan_to_num(np.asarray(made.images[0], np.float32))
        return torch.from_numpy(array).permute(2, 0, 1)[None] * 2 - 1

    def _words(self, settings: Settings) -> dict[str, Any]:
        """Return the arguments that not every pipeline takes."""
        family, guidance = self.family, self._guidance(settings)
        words = {**family.more, family.guidance: guidance}
        if family.walks:
            words |= embeddings(self.pipeline, settings, guidance > 1)
        else:
            words["prompt"] = settings.prompt
            if family.negative:
                words["negative_prompt"] = settings.negative
        if family.strength:
            words["strength"] = max(settings.strength, 0.001)
        if family.walks and settings.sampler == "ddim" and not settings.scheduler:
            words["eta"] = settings.eta
        return words

    def _scheduler(self, settings: Settings) -> Any:
        """Return a scheduler of its own for each fill, for they keep state."""
        own = getattr(self.pipeline, "decoder_pipe", self.pipeline).scheduler
        kind = type(own)
        if self.family.walks:
            import diffusers

            kind = getattr(diffusers, SCHEDULERS[settings.scheduler or settings.sampler][1])
        return kind.from_config(own.config)

    def _preview(self, job: _Job) -> Callable[[], Callable[[Tensor], Tensor]]:
        """Return what makes the preview when one is first asked for."""
        return cache(lambda: linear_preview(encode(self._encoder, job.window), job.window))

    @property
    def _encoder(self) -> Any:
        return getattr(self.pipeline, "decoder_pipe", self.pipeline)


@dataclass(slots=True)
class _Job:
    """One candidate under way: what the model sees, and how far it is."""

    frame: Frame
    known: Tensor
    guide: Tensor
    mask: Tensor
    on_step: Callable[[Step], None]
    number: int = 0
    total: int = 0
    stopped: bool = False
    window: Tensor = field(init=False)
    hole: Tensor = field(init=False)
    estimate: Tensor = field(init=False)
    """Latents of the clean picture, as the last step would have them."""

    def __post_init__(self) -> None:
        self.window = self.frame.enter(self.guide)
        self.hole = self.frame.enter_mask(self.mask)

    def step(self, x0: Tensor, look: Callable[[], Callable[[Tensor], Tensor]]) -> None:
        """Report a step; raises `Stopped` if so answered."""
        self.number, self.estimate = self.number + 1, x0

        def view() -> Tensor:
            return self.fit(look()(x0))

        self.on_step(Step(self.number, self.total, "filling", view))

    def fit(self, made: Tensor) -> Tensor:
        """Fit what the model made into the crop."""
        return settle(self.frame.leave(made), self.known, self.mask)


def _steps(settings: Settings) -> int:
    """Return the steps to ask a pipeline for, so that `settings.steps` are left by the strength.

    Pipelines drop a share of the steps at a strength below 1; ours are all spent below it.
    """
    steps = math.ceil(settings.steps / max(settings.strength, 0.001))
    while _evaluations(steps, settings.strength) < settings.steps:
        steps += 1
    return min(steps, 1000)


def _evaluations(steps: int, strength: float) -> int:
    return min(int(steps * max(strength, 0.001)), steps)


def _to_pil(tensor: Tensor) -> Image.Image:
    """(1 or 3, H, W) in [0, 1] -> a picture of 8 bits."""
    array = (tensor * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array.squeeze())
