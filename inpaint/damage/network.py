"""A small network that says of each pixel of a photograph how likely it is to be damaged.

A U-Net (Ronneberger et al. 2015) on the picture and its halves, quarters and eighths: what a line
is, it sees at full size, and whether the picture goes on behind it in the smaller ones.
`python -m inpaint.tools.damage_train` trains it on photographs with drawn damage.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from inpaint.models import ModelError, check_sums

WEIGHTS = Path(__file__).parents[2] / "assets" / "damage" / "damage.safetensors"
WIDTHS = (12, 24, 40, 48)
"""Channels at each size, the full one first."""
RISING = (12, 20, 32)
"""Channels of what is made of a size and the smaller ones together."""
MULTIPLE = 2 ** (len(WIDTHS) - 1)
"""What the sides of a batch must be multiples of."""
STRIP, MARGIN = 256, 64
"""Rows that are looked at at once, and those around them that their answer may depend on."""


class Block(nn.Sequential):
    """Two convolutions; the second may see `apart` pixels far."""

    def __init__(self, inputs: int, outputs: int, apart: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=apart, dilation=apart),
            nn.ReLU(),
        )


class DamageNetwork(nn.Module):
    """(B, 3, h, w) in [0, 1], sides multiples of `MULTIPLE` -> log-odds of damage, (B, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.falling = nn.ModuleList(
            Block(inputs, outputs, 1 + (place >= 2))
            for place, (inputs, outputs) in enumerate(zip((3, *WIDTHS), WIDTHS, strict=False))
        )
        self.rising = nn.ModuleList(
            Block(below + beside, outputs)
            for below, beside, outputs in zip(
                (*RISING[1:], WIDTHS[-1]), WIDTHS, RISING, strict=False
            )
        )
        self.answer = nn.Conv2d(RISING[0], 1, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return the log-odds."""
        x, seen = (rgb - 0.45) * 4, []
        for place, block in enumerate(self.falling):
            if place:
                x = F.max_pool2d(x, 2) if place == 1 else F.avg_pool2d(x, 2)
            x = block(x)
            seen.append(x)
        for block, beside in zip(reversed(self.rising), reversed(seen[:-1]), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, beside], 1))
        answer: Tensor = self.answer(x)
        return answer[:, 0]


@cache
def shipped() -> DamageNetwork:
    """Load the network that lies in `assets/damage`, once.

    Raises
    ------
    inpaint.models.ModelError
        If its file is missing or damaged.
    """
    if not WEIGHTS.is_file():
        raise ModelError(f"The network that sees damage, {WEIGHTS}, is missing. Fetch it again.")
    check_sums(WEIGHTS.parent)
    network = DamageNetwork()
    network.load_state_dict(load_file(WEIGHTS))  # fp16, computed in float32
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.5 × as fast
    return network.eval()


def log_odds(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log-odds of damage, (h, w), of (h, w, 3) in [0, 1]; strip by strip."""
    height, width = rgb.shape[:2]
    found = np.empty((height, width), np.float32)
    network = shipped()
    for top in range(0, height, STRIP):
        first, last = max(top - MARGIN, 0), min(top + STRIP + MARGIN, height)
        strip = torch.from_numpy(rgb[first:last]).permute(2, 0, 1)[None]
        below, right = -(last - first) % MULTIPLE, -width % MULTIPLE
        strip = F.pad(strip, (0, right, 0, below), mode="replicate")
        with torch.inference_mode():
            answer = network(strip.contiguous(memory_format=torch.channels_last))[0]
        found[top : top + STRIP] = answer[top - first : last - first, :width][:STRIP].numpy()
    return found
