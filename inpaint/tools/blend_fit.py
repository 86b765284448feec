"""How wrong `self` and `photo` are at each noise: `python -m inpaint.tools.blend_fit FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inpaint import catalog, devices
from inpaint.blend import NOISE
from inpaint.selfpatch import SelfModel
from inpaint.tools.crops import crops

SIZE, COUNT = 128, 24


def errors(folder: Path) -> NDArray[np.float64]:
    """Mean square errors in [-1, 1] of both, (noises, 2), in boxes cut from photographs."""
    loaded = catalog.load("photo", devices.pick("cpu"))
    network, own = loaded.filler.model, SelfModel()  # type: ignore[attr-defined]
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., SIZE // 4 : 3 * SIZE // 4, SIZE // 4 : 3 * SIZE // 4] = 1
    rng = torch.Generator().manual_seed(0)
    found = []
    for crop in crops(folder, SIZE, COUNT, 0):
        truth = torch.from_numpy(crop.pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
        for noise in NOISE:
            level = 1 / (1 + noise**2)
            x = level**0.5 * (truth + noise * torch.randn(truth.shape, generator=rng))
            models = own.level(truth, mask, truth, None), network.level(truth, mask, truth, None)
            found.append([_error(m.denoiser(truth, mask)(x, level), truth, mask) for m in models])
    return np.asarray(np.reshape(found, (-1, len(NOISE), 2)).mean(0))


def _error(estimate: Tensor, truth: Tensor, mask: Tensor) -> float:
    return float((((estimate - truth) * mask) ** 2).sum() / (3 * mask.sum()))


if __name__ == "__main__":
    for noise, (patches, network) in zip(NOISE, errors(Path(sys.argv[1])), strict=True):
        print(f"noise {noise}: self {patches:.4f}, photo {network:.4f}")
