"""The UNet of this project as a model of diffusers, which saves and loads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import Tensor

from inpaint.layers import Layers

PRESETS: dict[str, dict[str, Any]] = {
    # 3.9 M parameters: trains on a laptop.
    "tiny": {"sample_size": 64, "channels": (32, 64, 96, 128)},
    # 3.8 M parameters: for the lower half of the noise, which two cores can learn.
    "restore": {
        "sample_size": 64,
        "channels": (64, 96, 128),
        "attention": (False, False, False),
    },
    # 1.7 M parameters: for narrow holes, told by no noise, which two cores can learn.
    "narrow": {
        "sample_size": 128,
        "channels": (32, 64, 96),
        "attention": (False, False, False),
        "narrow": True,
    },
    # 15.4 M parameters: wants a GPU; 31 MB as fp16.
    "base": {"sample_size": 128, "channels": (64, 128, 192, 256), "dropout": 0.1},
}


@dataclass
class InpaintUNetOutput(UNet2DOutput):  # type: ignore[misc]  # diffusers is untyped
    """What the network returns: v in `sample`, and the features of its deep layers."""

    deep: Tensor | None = None


class InpaintUNet(ModelMixin, Layers, ConfigMixin):  # type: ignore[misc]  # diffusers is untyped
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
    narrow
        Whether it knows narrow holes and the noisiest level alone, where it sees zeros for x: μ is
        then nearly biharmonic, there are no norms, which cost contrast, and no attention in the
        middle, for what is far tells little. `inpaint.blend` puts patches beside it.
    """

    config: Any
    to: Any
    register_to_config: Any

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
        narrow: bool = False,
    ) -> None:
        super().__init__()
        self.build(in_channels, out_channels, channels, blocks, attention, dropout, narrow)

    @property
    def device(self) -> torch.device:
        """Where the weights are; diffusers walks through all of them to tell."""
        return self.head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are in."""
        return self.head.weight.dtype

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        return_dict: bool = True,
        deep: Tensor | None = None,
    ) -> InpaintUNetOutput | tuple[Tensor]:
        """Predict v.

        Parameters
        ----------
        sample
            (B, 7, H, W): noisy picture and known pixels in [-1, 1], mask in [0, 1].
        timestep
            Position on the 1000-step schedule, one or (B,); fractions are allowed.
        return_dict
            False gives a plain tuple.
        deep
            (B, channels, H/2, W/2): features of the deep layers from a timestep nearby, which are
            then not run (DeepCache, Ma et al. 2024).

        Raises
        ------
        ValueError
            If H or W is not a multiple of 16 (of 2 per resolution).
        """
        v, deep = self.predict(sample, timestep, deep)
        return InpaintUNetOutput(sample=v, deep=deep) if return_dict else (v,)
