"""How a run is watched: a fixed set of crops, its loss, and a sheet of fills."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inpaint.denoiser import seeded_noise, unet_denoiser
from inpaint.masks import random_mask
from inpaint.operators import KnownPixels
from inpaint.samplers import ddim, start
from inpaint.schedule import cosine_levels
from inpaint.training.checkpoint import in_one_step
from inpaint.training.data import Crops
from inpaint.training.loss import STEPS, inpaint_loss, narrow_loss, training_scheduler
from inpaint.unet import InpaintUNet

FAMILIES = ("thin", "line", "box", "wide", "half", "wide", "box", "inverted")


def to_unit(crops: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 -> float32 in [-1, 1]."""
    return crops.float() / 127.5 - 1


@torch.no_grad()
def fixed_loss(
    unet: InpaintUNet,
    crops: Crops,
    noisiest: float = 1.0,
    count: int = 128,
    batch: int = 32,
) -> float:
    """Return the loss over `count` crops whose noise and levels never change."""
    device = unet.device
    alphas_cumprod = training_scheduler().alphas_cumprod.to(device)
    rng = torch.Generator().manual_seed(0)
    t = (torch.arange(count) + 0.5) / count * STEPS * noisiest
    losses = []
    for first in range(0, count, batch):
        pixels, masks = crops.batch(first, batch)
        x0 = to_unit(pixels.to(device))
        eps = torch.randn(x0.shape, generator=rng).to(device)
        # Stride through the levels, so that each batch holds early and late ones.
        steps = t[first // batch :: count // batch].long().to(device)
        predict = lambda x, t: unet(x, t).sample  # noqa: E731
        mask = masks.to(device).float()
        if unet.config.narrow:
            loss = narrow_loss(predict, x0, mask)
        else:
            loss = inpaint_loss(predict, x0, mask, eps, steps, alphas_cumprod)
        losses.append(float(loss))
    return float(np.mean(losses))


def save_sheet(
    unet: InpaintUNet, crops: Crops, path: Path, noisiest: float = 1.0, steps: int = 12
) -> None:
    """Write a PNG of three rows, masked, filled and true, one column per family of masks.

    A network that was not trained up to pure noise starts from the truth under its highest noise.
    """
    device, count = unet.device, len(FAMILIES)
    truth = to_unit(crops.batch(0, count)[0])
    rng = np.random.default_rng(0)
    holes = [random_mask(rng, (crops.size, crops.size), family) for family in FAMILIES]
    mask = torch.from_numpy(np.stack(holes))[:, None].float()
    known = truth * (1 - mask)
    noise = seeded_noise(range(count))
    levels = cosine_levels(steps, noisiest)
    filled = ddim(
        unet_denoiser(unet, training_scheduler(), known, mask),
        start((truth if noisiest < 1 else torch.zeros_like(truth)).to(device), levels[0], noise),
        levels,
        noise,
        KnownPixels(truth.to(device), mask.to(device)),
    )
    rows = torch.cat([torch.cat(list(row), dim=2) for row in (known, filled.cpu(), truth)], dim=1)
    pixels = ((rows.permute(1, 2, 0).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    with in_one_step(path) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
