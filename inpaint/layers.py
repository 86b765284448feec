"""The UNet of this project in plain torch, which imports far sooner than diffusers does."""

from __future__ import annotations

import inspect
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from inpaint.solving import conjugate_gradients

HEAD_CHANNELS = 32
GROUP_CHANNELS = 8
RESIDUAL = 0.35  # typical deviation of a photograph in [-1, 1] from its push-pull fill


def _norm(channels: int, wanted: bool) -> nn.Module:
    """Return the group norm that comes before a convolution, or none."""
    return nn.GroupNorm(channels // GROUP_CHANNELS, channels) if wanted else nn.Identity()


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


def biharmonic(fill: Tensor, mask: Tensor, steps: int = 12) -> Tensor:
    """Bend a smooth fill towards the biharmonic one, which also continues slopes.

    Conjugate gradients on ½‖Δu‖² over the hole (Damelin & Hoang 2018 solve the same equation):
    a dozen steps settle narrow holes, and the rims of wide ones.

    Parameters
    ----------
    fill
        (B, C, H, W), from which to start.
    mask
        (B, 1, H, W), 1 = hole.
    steps
        Of conjugate gradients.

    Returns
    -------
    (B, C, H, W) within [-1, 1], equal to fill outside the hole.
    """

    def bending(u: Tensor) -> Tensor:
        return _laplacian(_laplacian(u)) * mask

    return conjugate_gradients(bending, fill, -bending(fill), steps).clamp(-1, 1)


def _laplacian(u: Tensor) -> Tensor:
    """Sum the differences to the four neighbours; across the picture's edge there are none."""
    wide = F.pad(u, (1, 1, 1, 1), mode="replicate")
    beside = wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:]
    return beside + wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] - 4 * u


class ResBlock(nn.Module):
    """Two 3x3 convolutions around a residual; the level scales and shifts the second norm."""

    def __init__(
        self, inputs: int, outputs: int, embedding: int, dropout: float, norm: bool
    ) -> None:
        super().__init__()
        self.norm1 = _norm(inputs, norm)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.level = nn.Linear(embedding, 2 * outputs)
        self.norm2 = _norm(outputs, norm)
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
        norm: bool,
    ) -> None:
        super().__init__()
        widths = [inputs] + [channels] * (blocks - 1)
        self.blocks = nn.ModuleList(ResBlock(w, channels, embedding, dropout, norm) for w in widths)
        self.attentions = nn.ModuleList(
            Attention(channels) if attention else nn.Identity() for _ in widths
        )

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """x: (B, inputs, h, w); level: (B, embedding) -> (B, channels, h, w)."""
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attention(block(x, level))
        return x


class Embedding(nn.Module):
    """Sinusoidal features of the timestep (Ho et al. 2020) through two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(width, width), nn.Linear(width, width)
        self.width = width

    def forward(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """(B,) float32 -> (B, width)."""
        out: Tensor = self.linear_2(F.silu(self.linear_1(self.features(t).to(dtype))))
        return out

    def features(self, t: Tensor) -> Tensor:
        """(B,) float32 -> (B, width), cosines and sines."""
        half = self.width // 2
        rates = torch.exp(-math.log(10000) / half * torch.arange(half, device=t.device))
        angles = t[:, None] * rates
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Runner(Protocol):
    """What runs the layers of a network: itself, or something that does it faster."""

    def run(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """See `Layers.run`."""

    def rerun(self, x: Tensor, level: Tensor, deep: Tensor) -> Tensor:
        """See `Layers.rerun`."""


class Layers(nn.Module):
    """The network, once `build` has made it; see `inpaint.unet.InpaintUNet`."""

    instead: Runner | None = None
    """What runs the layers in its place, if anything; see `inpaint.graph`."""

    def build(
        self,
        in_channels: int,
        out_channels: int,
        channels: tuple[int, ...],
        blocks: int,
        attention: tuple[bool, ...],
        dropout: float,
        narrow: bool = False,
    ) -> None:
        """Make the layers; the parameters are those of `InpaintUNet`."""
        if len(attention) != len(channels):
            raise ValueError(f"{len(channels)} channels need as many attention flags: {attention}")
        if any(width % HEAD_CHANNELS for width in channels):
            raise ValueError(f"channels must be multiples of {HEAD_CHANNELS}, got {channels}")
        first, last = channels[0], channels[-1]
        embedding = 4 * first
        self.embed = Embedding(embedding)
        self.stem = nn.Conv2d(4 * in_channels, first, 3, padding=1)

        self.is_narrow, norm = narrow, not narrow
        above = (first, *channels[:-1])  # width of the next finer resolution
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.enlarge = nn.ModuleList(), nn.ModuleList()
        for finer, width, attend in zip(above, channels, attention, strict=True):
            self.down.append(Stage(width, width, blocks, attend, embedding, dropout, norm))
            self.up.append(Stage(2 * width, width, blocks, attend, embedding, dropout, norm))
            self.shrink.append(nn.Conv2d(finer, width, 3, stride=2, padding=1))
            self.enlarge.append(nn.Conv2d(width, finer, 1))
        self.shrink[0], self.enlarge[0] = nn.Identity(), nn.Identity()  # the stem did it
        self.middle = Stage(last, last, 1, not narrow, embedding, dropout, norm)

        self.norm = _norm(first, norm)
        self.head = nn.Conv2d(first, 4 * out_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def predict(
        self, sample: Tensor, timestep: Tensor | float | int, deep: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict v, (B, 3, H, W), and return it with the deep features used.

        See `InpaintUNet.forward`.
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
        if self.is_narrow:
            fill = biharmonic(fill, mask)
        rest = x - a * fill
        variance = (RESIDUAL * mask) ** 2
        total = abar * variance + s**2  # the variance of `rest`
        scaled = torch.cat([rest / (abar * RESIDUAL**2 + s**2).sqrt(), fill, mask], dim=1)
        seen = scaled.to(sample.dtype), self.level(t, sample.dtype)
        by = self.instead or self
        if deep is None:
            out, deep = by.run(*seen)
        else:
            out = by.rerun(*seen, deep)
        out = out.float()
        v = a * s * (1 - variance) / total * rest - s * fill + (variance / total).sqrt() * out
        return v.to(sample.dtype), deep

    def run(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Run all layers.

        (B, 7, H, W) and (B, embedding) -> (B, 3, H, W), and what comes up from below half
        resolution: (B, channels, H/2, W/2).
        """
        skips = [self._half(x, level)]
        for shrink, stage in zip(self.shrink[1:], self.down[1:], strict=True):
            skips.append(stage(shrink(skips[-1]), level))
        deep = self.middle(skips[-1], level)
        for index in reversed(range(1, len(self.up))):
            both = torch.cat([deep, skips[index]], dim=1)
            deep = self.enlarge[index](self.up[index](both, level))
            deep = F.interpolate(deep, scale_factor=2, mode="nearest")
        return self._head(skips[0], deep, level), deep

    def rerun(self, x: Tensor, level: Tensor, deep: Tensor) -> Tensor:
        """Run the layers at half resolution alone, with what came up from below them before."""
        return self._head(self._half(x, level), deep, level)

    def _half(self, x: Tensor, level: Tensor) -> Tensor:
        skip: Tensor = self.down[0](self.stem(F.pixel_unshuffle(x, 2)), level)
        return skip

    def _head(self, skip: Tensor, deep: Tensor, level: Tensor) -> Tensor:
        x = self.up[0](torch.cat([deep, skip], dim=1), level)
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), 2)

    def level(self, t: Tensor, dtype: torch.dtype) -> Tensor:
        """(B,) float32 -> (B, embedding), SiLU applied."""
        level: Tensor = F.silu(self.embed(t, dtype))
        return level


def config_of(folder: Path) -> dict[str, Any]:
    """Return what a model folder says of the network in it; {} where it says nothing."""
    with suppress(OSError, ValueError):
        config = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
        if isinstance(config, dict):
            return config
    return {}


def load(folder: Path) -> Layers:
    """Read the network of a model folder as `InpaintUNet` saves it, in float32."""
    config = json.loads((folder / "unet" / "config.json").read_text("utf-8"))
    names = [name for name in inspect.signature(Layers.build).parameters if name != "self"]
    layers = Layers()
    layers.build(**{name: config[name] for name in names if name in config})
    weights: dict[str, Tensor] = {}
    for file in sorted((folder / "unet").glob("*.safetensors")):
        weights |= load_file(file)
    layers.load_state_dict(weights)
    channels_last: Any = {"memory_format": torch.channels_last}  # faster on most processors
    return layers.float().eval().to(**channels_last)
