"""The UNet of this project: a small pixel-space network for mask-conditional denoising."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import Tensor, nn

PRESETS: dict[str, dict[str, Any]] = {
    # 3.9 M parameters: trains on a laptop.
    "tiny": {"sample_size": 64, "channels": (32, 64, 96, 128)},
    # 3.8 M parameters: for the lower half of the noise, which two cores can learn.
    "restore": {
        "sample_size": 64,
        "channels": (64, 96, 128),
        "attention": (False, False, False),
    },
    # 15.4 M parameters: wants a GPU; 31 MB as fp16.
    "base": {"sample_size": 128, "channels": (64, 128, 192, 256), "dropout": 0.1},
}
HEAD_CHANNELS = 32
GROUP_CHANNELS = 8
RESIDUAL = 0.35  # typical deviation of a photograph in [-1, 1] from its push-pull fill


def cosine_abar(timestep: Tensor) -> Tensor:
    """ᾱ at a fractional one of 1000 timesteps: Nichol & Dhariwal 2021, eq. 17."""
    angle = ((timestep + 1) / 1000 + 0.008) / 1.008 * math.pi / 2
    return torch.cos(angle) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2


def push_pull(known: Tensor, mask: Tensor) -> Tensor:
    """Fill a hole smoothly: known averages at ever coarser scales, each filled from the next.

    Push-pull interpolation, Gortler et al. 1996, section 3.4, with a bilinear pull. A picture of
    which nothing is known becomes 0.

    Parameters
    ----------
    known
        (B, 3, H, W), zero in the hole.
    mask
        (B, 1, H, W), 1 = hole.

    Returns
    -------
    (B, 3, H, W), equal to known outside the hole.
    """
    scales = [(known, 1 - mask)]
    while all(side % 2 == 0 for side in scales[-1][0].shape[-2:]):
        scales.append((F.avg_pool2d(scales[-1][0], 2), F.avg_pool2d(scales[-1][1], 2)))
    total, weight = (mean.mean(dim=(2, 3), keepdim=True) for mean in scales[-1])
    fill = total / weight.clamp(min=1e-6)
    for total, weight in reversed(scales):
        fill = F.interpolate(fill, size=total.shape[-2:], mode="bilinear", align_corners=False)
        fill = total + (1 - weight) * fill
    return fill


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a residual; the level scales and shifts the second norm."""

    def __init__(self, inputs: int, outputs: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(inputs // GROUP_CHANNELS, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.level = nn.Linear(embedding, 2 * outputs)
        self.norm2 = nn.GroupNorm(outputs // GROUP_CHANNELS, outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)  # a new block is the identity, so depth costs no start-up
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x: (B, inputs, h, w); level: (B, embedding) -> (B, outputs, h, w)."""
        scale, shift = self.level(level)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        out: Tensor = self.skip(x) + self.conv2(self.dropout(h))
        return out


class Attention(nn.Module):
    """Self-attention over all positions, added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(channels // GROUP_CHANNELS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, h, w) -> (B, C, h, w)."""
        b, c, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, c // HEAD_CHANNELS, HEAD_CHANNELS, -1)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        h = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = x + self.out(h.transpose(-1, -2).reshape(b, c, height, width))
        return out


class Stage(nn.Module):
    """Residual blocks at one resolution, each followed by attention if asked for."""

    def __init__(
        self,
        inputs: int,
        channels: int,
        blocks: int,
        attention: bool,
        embedding: int,
        dropout: float,
    ) -> None:
        super().__init__()
        widths = [inputs] + [channels] * (blocks - 1)
        self.blocks = nn.ModuleList(ResBlock(w, channels, embedding, dropout) for w in widths)
        self.attentions = nn.ModuleList(
            Attention(channels) if attention else nn.Identity() for _ in widths
        )

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x: (B, inputs, h, w); level: (B, embedding) -> (B, channels, h, w)."""
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attention(block(x, level))
        return x


class InpaintUNet(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers is untyped
    """UNet over (noisy picture, known pixels with the hole zeroed, mask; 1 = repaint).

    Works at half resolution (pixel-unshuffle), so that two cores can run it. It predicts v of the
    cosine schedule (Salimans & Ho 2022, appendix D); `denoiser.unet_denoiser` inverts that.
    An all-ones mask with zeros as known pixels makes it an unconditional model.

    The layers only learn how the hole differs from its smooth fill μ: with x0 − μ taken as normal
    of deviation σ, v has the mean c·(x − √ᾱ·μ) − √(1−ᾱ)·μ, and what is left, scaled to unit
    variance, is the layers' job (preconditioning as in Karras et al. 2022, section 5). Outside
    the hole σ is 0, so known pixels come back exactly, whatever the weights.

    Parameters
    ----------
    in_channels, out_channels
        7 and 3 for RGB pictures.
    sample_size
        Side of the training crops in pixels; the network runs at any multiple of 16.
    channels
        Width at 1/2, 1/4, 1/8, ... resolution, each a multiple of 32.
    blocks
        Residual blocks per resolution, on the way down and again on the way up.
    attention
        Per resolution, whether self-attention follows each block.
    dropout
        Probability, inside each residual block.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        in_channels: int = 7,
        out_channels: int = 3,
        sample_size: int = 128,
        channels: tuple[int, ...] = (64, 128, 192, 256),
        blocks: int = 2,
        attention: tuple[bool, ...] = (False, False, True, True),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(attention) != len(channels):
            raise ValueError(f"{len(channels)} channels need as many attention flags: {attention}")
        if any(width % HEAD_CHANNELS for width in channels):
            raise ValueError(f"channels must be multiples of {HEAD_CHANNELS}, got {channels}")
        first, last = channels[0], channels[-1]
        embedding = 4 * first
        self.features = Timesteps(embedding, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.embed = TimestepEmbedding(embedding, embedding)
        self.stem = nn.Conv2d(4 * in_channels, first, 3, padding=1)

        above = (first, *channels[:-1])  # width of the next finer resolution
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.enlarge = nn.ModuleList(), nn.ModuleList()
        for finer, width, attend in zip(above, channels, attention, strict=True):
            self.down.append(Stage(width, width, blocks, attend, embedding, dropout))
            self.up.append(Stage(2 * width, width, blocks, attend, embedding, dropout))
            self.shrink.append(nn.Conv2d(finer, width, 3, stride=2, padding=1))
            self.enlarge.append(nn.Conv2d(width, finer, 1))
        self.shrink[0], self.enlarge[0] = nn.Identity(), nn.Identity()  # the stem did it
        self.middle = Stage(last, last, 1, True, embedding, dropout)

        self.norm = nn.GroupNorm(first // GROUP_CHANNELS, first)
        self.head = nn.Conv2d(first, 4 * out_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(
        self, sample: Tensor, timestep: Tensor | float | int, return_dict: bool = True
    ) -> UNet2DOutput | tuple[Tensor]:
        """Predict v.

        Parameters
        ----------
        sample
            (B, 7, H, W): noisy picture and known pixels in [-1, 1], mask in [0, 1].
        timestep
            Position on the 1000-step schedule, one or (B,); fractions are allowed.
        return_dict
            False gives a plain tuple.

        Raises
        ------
        ValueError
            If H or W is not a multiple of 16 (of 2 per resolution).
        """
        multiple = 2 ** len(self.down)
        if sample.shape[-2] % multiple or sample.shape[-1] % multiple:
            raise ValueError(f"height and width must be multiples of {multiple}: {sample.shape}")
        t = torch.as_tensor(timestep, dtype=torch.float32, device=sample.device)
        t = t.reshape(-1).expand(len(sample))
        # In float32: bfloat16 cannot tell t = 999 from 1000, nor x from √ᾱ·x0 at the last steps.
        x, known, mask = sample.float().tensor_split((3, 6), dim=1)
        abar = cosine_abar(t).clamp(0, 1).reshape(-1, 1, 1, 1)
        a, s = abar.sqrt(), (1 - abar).sqrt()
        fill = push_pull(known, mask)
        rest = x - a * fill
        variance = (RESIDUAL * mask) ** 2
        total = abar * variance + s**2  # the variance of `rest`
        scaled = torch.cat([rest / (abar * RESIDUAL**2 + s**2).sqrt(), fill, mask], dim=1)
        out = self._layers(scaled.to(sample.dtype), self._level(t, sample.dtype)).float()
        v = a * s * (1 - variance) / total * rest - s * fill + (variance / total).sqrt() * out
        v = v.to(sample.dtype)
        return UNet2DOutput(sample=v) if return_dict else (v,)

    def _layers(self, x: Tensor, level: Tensor) -> Tensor:
        """(B, 7, H, W) and (B, embedding) -> (B, 3, H, W)."""
        x = self.stem(F.pixel_unshuffle(x, 2))
        skips = []
        for shrink, stage in zip(self.shrink, self.down, strict=True):
            x = stage(shrink(x), level)
            skips.append(x)
        x = self.middle(x, level)
        for index in reversed(range(len(self.up))):
            x = self.enlarge[index](self.up[index](torch.cat([x, skips[index]], dim=1), level))
            if index:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), 2)

    def _level(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """(B,) float32 -> (B, embedding), SiLU applied."""
        level: Tensor = F.silu(self.embed(self.features(t).to(dtype)))
        return level
