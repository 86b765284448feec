"""Loads a model of the list, or of a folder, onto a device."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inpaint import graph, holding, hub, layers
from inpaint.blend import BlendModel
from inpaint.denoiser import Denoiser
from inpaint.devices import Device, is_out_of_memory
from inpaint.filling import Filler, Pyramid
from inpaint.models import (
    MODELS,
    ModelError,
    ModelSpec,
    check_sums,
    defaults,
    first_line,
    listed,
)
from inpaint.scales import inscribed_radius, shrink
from inpaint.selfpatch import SelfModel

if TYPE_CHECKING:
    from inpaint.pipeline import InpaintPipeline


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to use.

    Attributes
    ----------
    filler : Filler
        What fills windows.
    digest, revision : str
        SHA-256 of its weights, and its commit on the hub; "" without.
    dtype : str
        What a network over pixels computes in, as `PixelModel.dtype`; "" for other models.
    """

    filler: Filler
    digest: str = ""
    revision: str = ""
    dtype: str = ""

    @property
    def reads(self) -> bool:
        """Whether it hears prompts, guidance and the choice of a scheduler."""
        return not isinstance(self.filler, Pyramid)


@dataclass(frozen=True, slots=True)
class PixelModel:
    """A UNet over pixels as a model for `inpaint.filling`.

    Windows are twice the size that the network was trained at, and a tile's core half of that.
    """

    pipeline: InpaintPipeline
    batch: int | None = None
    refine: float = 0.5
    graph: str = ""
    """What OpenVINO computes in, where it does."""
    weights: int = field(init=False)

    def __post_init__(self) -> None:
        """Count the weights once: it takes milliseconds."""
        weights = sum(p.numel() for p in self.pipeline.unet.parameters())
        object.__setattr__(self, "weights", weights)

    @property
    def dtype(self) -> str:
        """Name of what the network computes in: float32, openvino-float32, ..."""
        if self.graph:
            return f"openvino-{self.graph}"
        return str(self.pipeline.unet.dtype).removeprefix("torch.")

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
        self,
        known: Tensor,
        mask: Tensor,
        guess: Tensor,
        coarser: PixelLevel | None,
        halved: int = 0,
    ) -> PixelLevel:
        """Return a level; the network needs no preparation."""
        return PixelLevel(guess, self.pipeline.denoiser)

    def work(self, mask: Tensor) -> float:
        """Multiply-adds, about: each weight is used once on every second pixel of its level."""
        return float(mask.shape[-1] * mask.shape[-2] * self.weights / 32)


@dataclass(frozen=True, slots=True)
class PixelLevel:
    """A level of a `PixelModel`."""

    guess: Tensor
    denoiser: Callable[[Tensor, Tensor], Denoiser]


def load(name: str, device: Device, progress: hub.Progress = lambda done, total: None) -> Loaded:
    """Load a model of the list, or a folder in diffusers' layout.

    The last model stays in memory. Another lets it go, but only when its files are on this
    machine: a download that fails leaves the one there is.

    Parameters
    ----------
    name : str
        Of a row of `listed`, or a folder.
    device : Device
        Where it shall run.
    progress : callable
        Told (bytes done, bytes in all) of a download.

    Raises
    ------
    ModelError
        If there is no such model, it cannot be downloaded, or its files are broken.
    """
    how = (device.name, device.dtype, device.turns, device.compiled)
    spec = listed().get(name)
    key = (name, spec, _written(spec.repository if spec else name), *how)
    found: Loaded | None = holding.held(key)
    return found or holding.instead(key, _resolved(name, device, progress))


def _written(folder: str) -> int:
    """Return when a model was written, which training does again; 0 if it is in no folder."""
    with suppress(OSError, ValueError):
        return Path(folder, "model_index.json").stat().st_mtime_ns
    return 0


def _resolved(name: str, device: Device, progress: hub.Progress) -> Callable[[], Loaded]:
    """Have a model's files here, and return what loads them."""
    spec = listed().get(name)
    if name == "self":
        return lambda: Loaded(Pyramid(SelfModel()))
    if spec is not None:
        return partial(load_folder, device=device, spec=spec, **_folders(spec, progress))
    if os.path.isdir(name):  # unlike Path.is_dir false, not an error, for a name too long
        return partial(load_folder, Path(name), device)
    raise ModelError(
        f"There is no model {name!r}; choose {', '.join(listed())} or give a folder that holds one."
    )


def _folders(spec: ModelSpec, progress: hub.Progress) -> dict[str, Path]:
    """Have the folders of a model here, after downloads if need be."""
    try:
        return {
            key: source.fetch(about=spec.download, gated=spec.gated, progress=progress)
            for key, source in spec.sources().items()
        }
    except hub.HubError as error:
        raise ModelError(str(error)) from error


def load_folder(
    folder: Path,
    device: Device,
    spec: ModelSpec | None = None,
    prior: Path | None = None,
    lora: Path | None = None,
) -> Loaded:
    """Load a folder in diffusers' layout, safetensors only, by the class that it names.

    A network over pixels, alone or in a pipeline, gets our samplers, and the patches of `self`
    beside it where it is trained for narrow holes; a pipeline over latents is called as diffusers
    has it.
    """
    if not any((folder / name).is_file() for name in ("model_index.json", "config.json")):
        raise ModelError(f"{folder} holds no model: it has no model_index.json.")
    check_sums(folder)
    if layers.config_of(folder).get("narrow"):
        return Loaded(Pyramid(_blend(folder, device)), _weights_digest(folder))
    # Imported here: diffusers takes seconds to import, and `self` does without.
    from inpaint.latent.loading import class_of, load_pipeline

    variant, dtype = spec.variant if spec is not None else "", ""
    try:
        filler: Filler
        if class_of(folder) in OVER_PIXELS:
            network = _pixel_model(folder, device)
            filler, dtype = Pyramid(network), network.dtype
        else:
            filler = load_pipeline(
                folder,
                device,
                kind=spec.pipeline if spec is not None else "",
                prior=prior,
                lora=lora,
                variant=variant,
                size=spec.size if spec is not None else 0,
                guidance=spec.guidance if spec is not None else None,
                memory=spec.memory if spec is not None else 0.0,
            )
    except Exception as error:  # diffusers, transformers and safetensors raise a dozen kinds
        if is_out_of_memory(error):
            raise
        raise ModelError(f"The model in {folder} cannot be loaded: {first_line(error)}") from error
    return Loaded(filler, _weights_digest(folder), hub.revision(folder), dtype)


def _blend(folder: Path, device: Device) -> BlendModel:
    """Put patches beside it; neither needs diffusers."""
    try:
        network = layers.load(folder).to(device.name)
    except Exception as error:  # torch and safetensors raise several kinds
        if is_out_of_memory(error):
            raise
        raise ModelError(f"The model in {folder} cannot be loaded: {first_line(error)}") from error
    return BlendModel(SelfModel(), network)


NETWORKS = ("UNet2DModel", "InpaintUNet")
OVER_PIXELS = ("InpaintPipeline", "DDPMPipeline", "DDIMPipeline", *NETWORKS)


def _pixel_model(folder: Path, device: Device) -> PixelModel:
    from diffusers.utils import logging

    from inpaint.backends import dtype_on
    from inpaint.latent.loading import class_of
    from inpaint.pipeline import InpaintPipeline

    logging.disable_progress_bar()
    options = {"dtype": dtype_on(device), "use_safetensors": True, "local_files_only": True}
    if class_of(folder) in NETWORKS:
        pipeline = _around_network(folder, options)
    else:
        pipeline = InpaintPipeline.from_pretrained(str(folder), **options)
    pipeline.unet.to(device.name, memory_format=torch.channels_last).eval()
    pipeline.denoiser(torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16))  # says what it is not
    if device.compiled:
        compile_network(pipeline.unet)
    elif device.dtype is None and isinstance(pipeline.unet, layers.Layers):
        return PixelModel(pipeline, graph=graph.attach(pipeline.unet, folder))
    return PixelModel(pipeline)


def compile_network(unet: Any) -> None:
    """Have torch.compile compile a network over pixels when it is first asked.

    On CUDA its kernels are replayed as one graph, which spares starting each.
    """
    unet.compile(mode="reduce-overhead" if unet.device.type == "cuda" else None)


def _around_network(folder: Path, options: dict[str, Any]) -> InpaintPipeline:
    """Put a network that was saved alone into a pipeline.

    Without a scheduler beside it, it is taken to predict ε of the linear schedule of Ho et al.
    2020, which is how such networks are trained where nothing is said.
    """
    import diffusers

    from inpaint.latent.loading import class_of
    from inpaint.pipeline import InpaintPipeline
    from inpaint.unet import InpaintUNet

    network = InpaintUNet if class_of(folder) == "InpaintUNet" else diffusers.UNet2DModel
    scheduler = diffusers.DDPMScheduler()
    if (folder / "scheduler_config.json").is_file():
        scheduler = diffusers.DDPMScheduler.from_pretrained(str(folder), local_files_only=True)
    return InpaintPipeline(network.from_pretrained(str(folder), **options), scheduler)


def _weights_digest(folder: Path) -> str:
    """SHA-256 of the denoising network's weights, file by file in the order of their names."""
    total = hashlib.sha256()
    places = ("unet/*.safetensors", "transformer/*.safetensors", "*.safetensors")
    for file in next((found for place in places if (found := sorted(folder.glob(place)))), []):
        with file.open("rb") as opened:
            while block := opened.read(2**24):
                total.update(block)
    return total.hexdigest()


__all__ = [
    "MODELS",
    "Loaded",
    "ModelError",
    "ModelSpec",
    "PixelModel",
    "defaults",
    "listed",
    "load",
]
