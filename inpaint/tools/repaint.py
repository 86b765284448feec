"""diffusers' own RePaint on our network: a peer for the evaluation.

`RePaintPipeline` wants a network that sees the noisy picture alone and predicts ε, and masks that
are 0 where to repaint. Its known faults are left as they are: it is measured as it is shipped.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inpaint.schedule import evaluations

Walk = tuple[int, int, int]
"""Steps, jump length, and times that a stretch is walked."""

DEFAULT: Walk = (250, 10, 10)
"""Its own defaults."""


class EpsilonUNet(nn.Module):
    """A network as an unconditional one that predicts ε.

    Parameters
    ----------
    unet
        3 input channels, or 7: it is then told that nothing is known.
    scheduler
        Read for `alphas_cumprod` and `config.prediction_type`.
    """

    def __init__(self, unet: Any, scheduler: Any) -> None:
        super().__init__()
        self.unet, self.kind = unet, scheduler.config.prediction_type
        self.alphas_cumprod: Tensor = scheduler.alphas_cumprod

    @property
    def dtype(self) -> torch.dtype:
        """Of the pipeline's arithmetic: 16 bits are for networks, not for samplers."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return torch.device(self.unet.device)

    def forward(self, x: Tensor, t: Tensor) -> Any:
        """Return an object with `sample`, the ε in x (B, 3, H, W) at timestep t."""
        from diffusers.models.unets.unet_2d import UNet2DOutput

        seen = x
        if self.unet.config.in_channels == 7:
            nothing_known = torch.zeros_like(x[:, :1]).expand(-1, 3, -1, -1)
            seen = torch.cat([x, nothing_known, torch.ones_like(x[:, :1])], dim=1)
        out = self.unet(seen.to(self.unet.dtype), t).sample[:, :3].float()
        return UNet2DOutput(sample=epsilon(self.kind, x, out, float(self.alphas_cumprod[int(t)])))


def epsilon(kind: str, x: Tensor, out: Tensor, abar: float) -> Tensor:
    """Turn a network's output into ε, given x = a·x0 + s·ε: v = a·ε − s·x0 (Salimans & Ho 2022)."""
    a, s = math.sqrt(abar), math.sqrt(1 - abar)
    if kind == "v_prediction":
        return s * x + a * out
    if kind == "sample":
        return (x - a * out) / s
    return out


def cheaper(budget: int) -> Walk:
    """Return the longest walk within `budget` evaluations, each jump of 2 steps walked twice."""
    jump = times = 2
    steps = 1
    while evaluations(steps + 1, times, jump) <= budget:
        steps += 1
    return steps, jump, times


class RePaint:
    """The pipeline with a network of ours in it."""

    def __init__(self, unet: Any, scheduler: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # it is deprecated; we know
            from diffusers import RePaintPipeline, RePaintScheduler
        betas = 1 - scheduler.alphas_cumprod[1:] / scheduler.alphas_cumprod[:-1]
        betas = torch.cat([1 - scheduler.alphas_cumprod[:1], betas]).float().cpu().numpy()
        own = RePaintScheduler(num_train_timesteps=len(betas), trained_betas=betas)
        self.pipeline = RePaintPipeline(EpsilonUNet(unet, scheduler), own)
        self.pipeline.to(unet.device)
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(
        self, picture: NDArray[np.uint8], mask: NDArray[np.bool_], seed: int, walk: Walk
    ) -> NDArray[np.uint8]:
        """Fill the hole of a picture (H, W, 3), mask (H, W) True in the hole."""
        steps, jump, times = walk
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        keep = torch.from_numpy(~mask)[None, None].float()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            made = self.pipeline(
                image,
                keep,
                num_inference_steps=steps,
                jump_length=jump,
                jump_n_sample=times,
                generator=torch.Generator().manual_seed(seed),
                output_type="np",
            ).images[0]
        filled = np.rint(made * 255).astype(np.uint8)
        return np.where(mask[..., None], filled, picture)
