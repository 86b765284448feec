"""The diffusers pipeline: a UNet and a scheduler that fill the holes of pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput, ModelMixin
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

# diffusers loads a component's class only from modules that are already imported, so this import
# is what lets `from_pretrained` read our own folders without remote code.
import inpaint.unet  # noqa: F401
from inpaint.denoiser import Denoiser, seeded_noise, timesteps_of, unet_denoiser, watched
from inpaint.operators import KnownPixels
from inpaint.samplers import SAMPLERS, start
from inpaint.schedule import cosine_levels
from inpaint.settings import Settings

Picture = Image.Image | NDArray[Any] | Tensor
Generators = torch.Generator | Sequence[torch.Generator] | None


class InpaintPipeline(DiffusionPipeline):  # type: ignore[misc]  # diffusers is untyped
    """Fill holes with a pixel-space diffusion model.

    `from_pretrained` reads folders saved by this class, and folders of diffusers' DDPMPipeline and
    DDIMPipeline: unconditional networks work with every sampler too.

    Parameters
    ----------
    unet : ModelMixin
        InpaintUNet, or a UNet2DModel over RGB.
    scheduler : SchedulerMixin
        Tells the noise levels and the prediction type the network was trained with; the steps are
        taken by `inpaint.samplers`.
    """

    model_cpu_offload_seq = "unet"

    def __init__(self, unet: ModelMixin, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    def denoiser(self, known: Tensor, mask: Tensor) -> Denoiser:
        """Make a denoiser for pictures (1 or B, 3, H, W) in [-1, 1] and masks, 1 = repaint."""
        return unet_denoiser(self.unet, self.scheduler, known, mask)

    @torch.no_grad()
    def __call__(
        self,
        image: Picture | Sequence[Picture],
        mask_image: Picture | Sequence[Picture],
        *,
        sampler: str = "ddim",
        num_inference_steps: int | None = None,
        strength: float = 1.0,
        resample: int | None = None,
        jump_length: int | None = None,
        eta: float | None = None,
        num_images_per_prompt: int = 1,
        generator: Generators = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[[Any, int, float, dict[str, Tensor]], Any] | None = None,
    ) -> ImagePipelineOutput | tuple[Any]:
        """Fill the holes of a picture, or of several of one size.

        Parameters
        ----------
        image : PIL image, array, tensor or sequence of PIL images or arrays
            Arrays (H, W, 3) or (B, H, W, 3): uint8, or float in [0, 1]. Tensors (B, 3, H, W) or
            (3, H, W) in [-1, 1].
        mask_image : as `image`
            One mask for all, or one for each; white, 1 or True = repaint, cut at a half. Arrays
            (H, W) or (B, H, W); tensors (B, 1, H, W), (1, H, W) or (H, W) in [0, 1].
        sampler : str
            A key of `SAMPLERS`; it also gives the values of what is left None.
        num_inference_steps : int, optional
            Denoising steps; all of them are taken, whatever the strength.
        strength : float
            In (0, 1]. 1 ignores what is in the hole; less keeps closer to it.
        resample : int, optional
            How often each part of the way is walked, at least 1.
        jump_length : int, optional
            How many steps a walk goes back at once, at least 1.
        eta : float, optional
            Fresh noise per step, in [0, 1].
        num_images_per_prompt : int
            Pictures to make of each image; they follow each other in the output.
        generator : torch.Generator or sequence of them, optional
            One for all, or one per output picture. A picture does not depend on its batch.
        output_type : str
            "pil", "np" ((B, H, W, 3) float in [0, 1]) or "pt" ((B, 3, H, W) in [-1, 1]).
        return_dict : bool
            False returns a plain tuple.
        callback_on_step_end : callable, optional
            Called as (pipeline, evaluation, timestep, {"latents": estimate in [-1, 1]}) after each
            evaluation of the network. What it returns is ignored; raise an exception to stop.

        Returns
        -------
        ImagePipelineOutput
            `images`, outside the mask exactly the input's pixels: byte for byte from 8-bit pictures
            to "pil", bit for bit from tensors to "pt".

        Raises
        ------
        ValueError
            If an argument is out of range, or the sizes of image and mask differ.
        """
        if sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f"output_type must be pil, np or pt, got {output_type!r}")
        chosen = Settings.of(
            sampler=sampler,
            steps=num_inference_steps,
            strength=strength,
            resample=resample,
            jump=jump_length,
            eta=eta,
        )
        if num_images_per_prompt < 1:
            raise ValueError("num_images_per_prompt must be at least 1")
        method = SAMPLERS[chosen.sampler]
        levels = cosine_levels(chosen.steps, chosen.strength)

        pixels, mask = _pixels(image), _mask(mask_image)
        if mask.shape[-2:] != pixels.shape[-2:]:
            raise ValueError(f"image is {_size(pixels)} but mask is {_size(mask)}")
        if len(mask) not in (1, len(pixels)):
            raise ValueError(f"there are {len(pixels)} images but {len(mask)} masks")
        mask = mask.expand(len(pixels), -1, -1, -1)
        device = self._execution_device
        pixels, mask = (
            t.repeat_interleave(num_images_per_prompt, dim=0).to(device) for t in (pixels, mask)
        )
        noise = seeded_noise(_seeds(generator, len(pixels)))
        count = itertools.count()
        timestep_of = timesteps_of(self.scheduler.alphas_cumprod)

        with self.progress_bar(
            total=method.evaluations(chosen.steps, chosen.resample, chosen.jump)
        ) as bar:

            def report(x0: Tensor, level: float) -> None:
                bar.update()
                if callback_on_step_end is not None:
                    callback_on_step_end(self, next(count), timestep_of(level), {"latents": x0})

            x0 = method.function(
                watched(self.denoiser(pixels, mask), report),
                start(pixels, levels[0], noise),
                levels,
                noise,
                KnownPixels(pixels, mask),
                resample=chosen.resample,
                jump=chosen.jump,
                eta=chosen.eta,
            )
        self.maybe_free_model_hooks()
        images = _output(x0, output_type)
        return ImagePipelineOutput(images=images) if return_dict else (images,)


def _pixels(image: Picture | Sequence[Picture]) -> Tensor:
    """Any accepted image -> (B, 3, H, W) float32 in [-1, 1]."""
    if isinstance(image, Tensor):
        pixels = (image if image.ndim == 4 else image[None]).float()
    else:
        pixels = 2 * _unit_array(image, "RGB").movedim(-1, 1) - 1
    if pixels.ndim != 4 or pixels.shape[1] != 3:
        raise ValueError(f"image must be RGB, got shape {tuple(pixels.shape)}")
    if not (pixels.abs() <= 1).all():  # NaN is out of range too
        raise ValueError(
            "image is out of range: arrays lie in [0, 1] or are uint8, tensors in [-1, 1]"
        )
    return pixels


def _mask(mask: Picture | Sequence[Picture]) -> Tensor:
    """Any accepted mask -> (B, 1, H, W) float32, 0 or 1."""
    values = mask.float() if isinstance(mask, Tensor) else _unit_array(mask, "L")
    if values.ndim == 2:
        values = values[None]
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4 or values.shape[1] != 1:
        raise ValueError(f"mask must have one channel, got shape {tuple(values.shape)}")
    return (values >= 0.5).float()


def _unit_array(pictures: Picture | Sequence[Picture], mode: str) -> Tensor:
    """PIL images or arrays -> (B, H, W[, 3]) float32 in [0, 1]."""
    several = pictures if isinstance(pictures, list | tuple) else [pictures]
    arrays = [np.asarray(p.convert(mode) if isinstance(p, Image.Image) else p) for p in several]
    if len({a.shape for a in arrays}) != 1:
        raise ValueError("pictures of one call must be of one size")
    array = np.stack(arrays)
    if array.ndim == 5 or (mode == "L" and array.ndim == 4):
        array = array[0]
    scale = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    return torch.from_numpy(array.astype(np.float32) / np.float32(scale))


def _seeds(generator: Generators, count: int) -> list[int]:
    """One seed per picture, drawn so that a picture does not depend on those after it."""
    several = [generator] * count if isinstance(generator, torch.Generator | None) else generator
    if len(several) != count:
        raise ValueError(f"there are {count} pictures to make but {len(several)} generators")
    return [
        int(torch.randint(2**63 - 1, (), generator=g, device=g.device if g else "cpu"))
        for g in several
    ]


def _size(tensor: Tensor) -> str:
    return f"{tensor.shape[-1]}x{tensor.shape[-2]}"


def _output(x0: Tensor, output_type: str) -> Any:
    """(B, 3, H, W) in [-1, 1] -> what was asked for."""
    if output_type == "pt":
        return x0
    array = ((x0 + 1) / 2).clamp(0, 1).movedim(1, -1).cpu().numpy()
    if output_type == "np":
        return array
    return [Image.fromarray(a) for a in np.rint(array * 255).astype(np.uint8)]
