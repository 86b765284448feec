"""A Stable Diffusion UNet as a `Denoiser` of latents, so that every sampler of ours can drive it.

RePaint (Lugmayr et al. 2022) then walks in latent space as it does in pixels: the same schedule,
the same resampling, the known part redrawn at every level.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint.denoiser import Denoiser, clean, seeded_noise, timesteps_of
from inpaint.latent.words import embeddings
from inpaint.operators import KnownPixels
from inpaint.samplers import SAMPLERS, start
from inpaint.schedule import cosine_levels
from inpaint.settings import Settings


def shrunk_mask(mask: Tensor, factor: int) -> Tensor:
    """(1, 1, H, W) -> (1, 1, H/factor, W/factor): a latent is known if all its pixels are."""
    return F.max_pool2d(mask, factor)


@torch.no_grad()
def sample_latents(
    pipeline: Any,
    picture: Tensor,
    mask: Tensor,
    settings: Settings,
    guidance: float,
    seed: int,
    watch: Callable[[Denoiser], Denoiser],
) -> Tensor:
    """Fill a hole with one of our samplers in the latent space of a Stable Diffusion pipeline.

    Parameters
    ----------
    pipeline : StableDiffusionInpaintPipeline or StableDiffusionXLInpaintPipeline
        Its UNet takes 4 channels, or 9 with the mask and the known latents.
    picture : Tensor
        (1, 3, H, W) in [-1, 1], sides multiples of the autoencoder's factor.
    mask : Tensor
        (1, 1, H, W), 1 = repaint.
    settings : Settings
        Sampler, steps, strength, resample count, jump length, eta, prompt and negative prompt.
    guidance : float
        Classifier-free guidance (Ho & Salimans 2022); 1 or less does without.
    seed : int
        Of all noise.
    watch : callable
        Wraps the denoiser, to report what it returns.

    Returns
    -------
    Tensor
        (1, 4, h, w), the latents of the filled picture, as the UNet knows them.
    """
    known = encode(pipeline, picture).float().cpu()
    hole = shrunk_mask(mask, pipeline.vae_scale_factor)
    masked = encode(pipeline, picture * (1 - mask)).float().cpu()
    denoise = latent_denoiser(pipeline, settings, guidance, hole, masked)
    levels = cosine_levels(settings.steps, settings.strength)
    noise = seeded_noise([seed])
    return SAMPLERS[settings.sampler].function(
        watch(denoise),
        start(known, levels[0], noise),
        levels,
        noise,
        KnownPixels(known, hole),
        resample=settings.resample,
        jump=settings.jump,
        eta=settings.eta,
    )


def latent_denoiser(
    pipeline: Any, settings: Settings, guidance: float, hole: Tensor, masked: Tensor
) -> Denoiser:
    """Make the denoiser of latents (1, 4, h, w) for a prompt; what it returns is not clamped."""
    unet, scheduler = pipeline.unet, pipeline.scheduler
    device = pipeline._execution_device
    alphas_cumprod = scheduler.alphas_cumprod.detach().double().cpu()
    least = float(alphas_cumprod[alphas_cumprod > 0].min())
    timestep_of = timesteps_of(alphas_cumprod)
    guided = guidance > 1
    height, width = (side * pipeline.vae_scale_factor for side in hole.shape[-2:])
    texts = _texts(pipeline, settings, guided, (height, width))
    beside = torch.cat([hole, masked], dim=1) if unet.config.in_channels == 9 else None

    def denoise(x: Tensor, level: float) -> Tensor:
        level = max(level, least)
        t = torch.tensor(timestep_of(level), device=device)
        with torch.no_grad():
            seen = x if beside is None else torch.cat([x, beside], dim=1)
            seen = seen.to(device, unet.dtype)
            # One after the other: half the memory of a batch of two.
            outs = [unet(seen, t, **text, return_dict=False)[0] for text in texts]
        out = outs[0].float().cpu()
        if guided:
            out = out + guidance * (outs[1].float().cpu() - out)
        return clean(scheduler.config.prediction_type, x.float(), out, level)

    return denoise


def _texts(
    pipeline: Any, settings: Settings, guided: bool, size: tuple[int, int]
) -> list[dict[str, Any]]:
    """Return the UNet's arguments for each evaluation: [negative, positive], or the positive."""
    device, dtype = pipeline._execution_device, pipeline.unet.dtype
    encoded = embeddings(pipeline, settings, guided)
    # SDXL adds a pooled text, and where in which picture the crop lies.
    place = torch.tensor([[*size, 0, 0, *size]], device=device, dtype=dtype)
    found = []
    for sign in ("negative_", "") if guided else ("",):
        text: dict[str, Any] = {"encoder_hidden_states": encoded[f"{sign}prompt_embeds"]}
        pooled = encoded.get(f"{sign}pooled_prompt_embeds")
        if pooled is not None:
            text["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": place}
        found.append(text)
    return found


@torch.no_grad()
def encode(pipeline: Any, picture: Tensor) -> Tensor:
    """Encode a (1, 3, H, W) picture into latents on the scale that the network knows."""
    latents: Tensor
    vae = pipeline.movq if hasattr(pipeline, "movq") else pipeline.vae
    pixels = picture.to(pipeline._execution_device, vae.dtype)
    if hasattr(pipeline, "movq"):
        latents = vae.encode(pixels).latents
        return latents
    if hasattr(vae, "temperal_downsample"):  # a video autoencoder: one frame
        pixels = pixels[:, :, None]
    if hasattr(pipeline, "_encode_vae_image"):
        generator = torch.Generator().manual_seed(0)
        latents = pipeline._encode_vae_image(pixels, generator)
        return latents
    latents = vae.encode(pixels).latent_dist.mode() - (vae.config.shift_factor or 0)
    return latents * float(vae.config.scaling_factor)


@torch.no_grad()
def decode(pipeline: Any, latents: Tensor) -> Tensor:
    """Decode latents of a Stable Diffusion UNet into (1, 3, H, W), on the CPU in float32."""
    vae = pipeline.vae
    # SDXL's autoencoder overflows in float16; its own pipeline does the same.
    upcast = vae.dtype == torch.float16 and vae.config.force_upcast
    if upcast:
        vae.to(torch.float32)
    latents = latents.to(pipeline._execution_device, vae.dtype) / vae.config.scaling_factor
    picture: Tensor = vae.decode(latents, return_dict=False)[0].float().cpu()
    if upcast:
        vae.to(torch.float16)
    return picture
