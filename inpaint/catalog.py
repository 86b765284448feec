"""The models there are, and how to load one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from inpaint.denoiser import Denoiser
from inpaint.devices import Device
from inpaint.filling import Filler, Pyramid
from inpaint.regions import inscribed_radius, shrink
from inpaint.selfpatch import SelfModel

if TYPE_CHECKING:
    from inpaint.pipeline import InpaintPipeline

SHIPPED = Path(__file__).parent.parent / "assets" / "model"
RESTORE = SHIPPED.with_name("restore")


class ModelError(ValueError):
    """A model that cannot be loaded, in one sentence."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One row of the list of models."""

    title: str
    tip: str
    load: Callable[[Device], Loaded]
    here: Callable[[], bool] = lambda: True
    """Whether it can be loaded on this machine as it is."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to use, and the SHA-256 of its weights ("" without any)."""

    filler: Filler
    digest: str = ""


@dataclass(frozen=True, slots=True)
class PixelModel:
    """A UNet over pixels as a model for `inpaint.filling`.

    Windows are twice the size that the network was trained at, and a tile's core half of that.
    """

    pipeline: InpaintPipeline
    batch: int | None = None
    refine: float = 0.5

    @property
    def tile(self) -> int:
        """Side of a core: the training size."""
        size = self.pipeline.unet.config.sample_size or 128  # some networks do not tell
        return int(size if isinstance(size, int) else max(size))

    def context(self, side: int) -> int:
        """Look around by half the hole, and at least by a quarter of the training size."""
        return min(max(side // 2, self.tile // 4), self.tile // 2)

    def halvings(self, mask: Tensor) -> int:
        """Halve until the largest disc in the holes spans at most half the training size."""
        count = 0
        while 4 * inscribed_radius(mask) > self.tile and min(mask.shape[-2:]) > self.tile:
            mask = shrink(mask, mask)[1]
            count += 1
        return count

    def level(
        self, known: Tensor, mask: Tensor, guess: Tensor, coarser: PixelLevel | None
    ) -> PixelLevel:
        """Return a level; the network needs no preparation."""
        return PixelLevel(guess, self.pipeline.denoiser)

    def work(self, mask: Tensor) -> float:
        """Multiply-adds, about: each weight is used once on every second pixel of its level."""
        weights = sum(p.numel() for p in self.pipeline.unet.parameters())
        return float(mask.shape[-1] * mask.shape[-2] * weights / 32)


@dataclass(frozen=True, slots=True)
class PixelLevel:
    """A level of a `PixelModel`."""

    guess: Tensor
    denoiser: Callable[[Tensor, Tensor], Denoiser]


def _load_self(device: Device) -> Loaded:
    return Loaded(Pyramid(SelfModel()))


def _load_shipped(device: Device) -> Loaded:
    return load_folder(SHIPPED, device)


def _load_restore(device: Device) -> Loaded:
    return load_folder(RESTORE, device)


MODELS: dict[str, ModelSpec] = {
    "self": ModelSpec(
        "Self",
        "Learns from this picture alone: its own textures, in any kind of picture, no download.",
        _load_self,
    ),
    "photo": ModelSpec(
        "Photo (experimental)",
        "A network trained for an hour on two CPU cores: for thin holes; wide ones turn noisy.",
        _load_shipped,
        lambda: (SHIPPED / "model_index.json").is_file(),
    ),
    "restore": ModelSpec(
        "Restore",
        "A small network that knows noise from detail: to enlarge, denoise and deblur.",
        _load_restore,
        lambda: (RESTORE / "model_index.json").is_file(),
    ),
}


def load(name: str, device: Device) -> Loaded:
    """Load a model of the list, or a folder in diffusers' layout (a UNet and a scheduler).

    The last model stays in memory; loading another lets it go.

    Raises
    ------
    ModelError
        If there is no such model or its files are broken.
    """
    return _load(name, device)


@lru_cache(maxsize=1)
def _load(name: str, device: Device) -> Loaded:
    if name in MODELS:
        return MODELS[name].load(device)
    if os.path.isdir(name):  # unlike Path.is_dir false, not an error, for a name too long
        return load_folder(Path(name), device)
    raise ModelError(
        f"There is no model {name!r}; choose {', '.join(MODELS)} or give a folder that holds one."
    )


def load_folder(folder: Path, device: Device) -> Loaded:
    """Load a diffusers pipeline folder with a `unet` and a `scheduler`, safetensors only."""
    if not (folder / "model_index.json").is_file():
        raise ModelError(f"{folder} holds no model: it has no model_index.json.")
    # Imported here: diffusers takes seconds to import, and `self` does without.
    from diffusers.utils import logging

    from inpaint.pipeline import InpaintPipeline

    logging.disable_progress_bar()
    try:
        pipeline = InpaintPipeline.from_pretrained(
            str(folder), dtype=device.dtype, use_safetensors=True, local_files_only=True
        )
    except Exception as error:  # diffusers and safetensors raise a dozen kinds
        raise ModelError(f"The model in {folder} cannot be loaded: {_first_line(error)}") from error
    pipeline.unet.to(device.name, memory_format=torch.channels_last).eval()
    return Loaded(Pyramid(PixelModel(pipeline)), _weights_digest(folder))


def _weights_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for file in sorted(folder.glob("unet/*.safetensors")):
        total.update(file.read_bytes())
    return total.hexdigest()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
