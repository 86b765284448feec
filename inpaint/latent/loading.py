"""From a folder in diffusers' layout to a `LatentFiller` on a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from inpaint.backends import dtype_on
from inpaint.devices import TURNS, Device
from inpaint.latent.families import FAMILIES, family_of
from inpaint.latent.filler import LatentFiller
from inpaint.latent.looking import LookingProcessor

HEADROOM = 2.5e9
"""Bytes that activations take beside the weights, about."""


def class_of(folder: Path) -> str:
    """Return the class of the pipeline, or of the lone network, that a folder holds.

    Raises
    ------
    ValueError
        If it names none.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        index = folder / "config.json"
    name = json.loads(index.read_text("utf-8")).get("_class_name")
    if not isinstance(name, str):
        raise ValueError(f"its {index.name} names no class")
    return name


def load_pipeline(
    folder: Path,
    device: Device,
    *,
    kind: str = "",
    prior: Path | None = None,
    lora: Path | None = None,
    variant: str = "",
    size: int = 0,
    guidance: float | None = None,
    memory: float = 0.0,
) -> LatentFiller:
    """Load a pipeline: safetensors only, no code of its own.

    Parameters
    ----------
    folder : Path
        Saved by a class in `FAMILIES` or by one that such a class stands in for.
    device : Device
        Where it shall run.
    kind : str
        A key of `FAMILIES`; "" takes the class that the folder names, or the one in its stead.
    prior : Path or None
        Kandinsky: the pipeline that turns the prompt into an image embedding, if not in `folder`.
    lora : Path or None
        A folder with low-rank weights, melted into the network's.
    variant : str
        Which precision of the weights to read, if the folder holds several.
    size, guidance : int, float
        Window and guidance; 0 and None for what the folder or the family says.
    memory : float
        GB that it takes in a GPU's memory while it runs whole, if that is known.

    Raises
    ------
    Exception
        Of many kinds, if files are missing or broken; ValueError if the class is not known.
    """
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    name = kind or family_of(class_of(folder))
    if name is None:
        known = ", ".join(key.removesuffix("Pipeline") for key in FAMILIES)
        raise ValueError(f"it is a {class_of(folder)}, not one of {known}")
    options: dict[str, Any] = {
        "dtype": dtype_on(device),
        "use_safetensors": True,
        "local_files_only": True,
        "variant": variant or None,
    }
    if name == "QwenImageEditInpaintPipeline":
        options["processor"] = None
    if prior is None:
        pipeline = getattr(diffusers, name).from_pretrained(str(folder), **options)
    else:
        pipeline = _with_prior(folder, prior, options)
    if lora is not None:
        pipeline.load_lora_weights(str(lora), use_safetensors=True, local_files_only=True)
        pipeline.fuse_lora()
        pipeline.unload_lora_weights()
    if name == "QwenImageEditInpaintPipeline":
        pipeline.register_modules(processor=LookingProcessor.of(folder))
    if name == "ChromaInpaintPipeline":  # diffusers 0.42 asks for what this network never has
        pipeline.transformer.register_to_config(guidance_embeds=False)
    pipeline.set_progress_bar_config(disable=True)
    place(pipeline, device, memory * 1e9)
    family = FAMILIES[name]
    return LatentFiller(
        pipeline,
        size or native_size(pipeline) or family.size,
        family.scale if guidance is None else guidance,
    )


def _with_prior(folder: Path, prior: Path, options: dict[str, Any]) -> Any:
    """Join Kandinsky's decoder and prior, which the hub keeps apart."""
    import diffusers

    decoder = diffusers.KandinskyV22InpaintPipeline.from_pretrained(str(folder), **options)
    first = diffusers.KandinskyV22PriorPipeline.from_pretrained(str(prior), **options)
    parts = {f"prior_{key}": part for key, part in first.components.items()}
    return diffusers.KandinskyV22InpaintCombinedPipeline(**decoder.components, **parts)


def native_size(pipeline: Any) -> int:
    """Return the side that a UNet says it was trained at, in pixels; 0 if it says none."""
    unet, factor = getattr(pipeline, "unet", None), getattr(pipeline, "vae_scale_factor", 0)
    size = unet.config.get("sample_size") if unet is not None else None
    return size * factor if isinstance(size, int) else 0


def place(pipeline: Any, device: Device, need: float = 0.0) -> None:
    """Move a pipeline to its device; if it does not fit in free memory, in turns.

    Whole if all fits; part by part if the largest does; layer by layer, slowly, if not even that,
    or as `device.turns` says at least.

    Parameters
    ----------
    need : float
        Bytes that it is known to take while it runs whole; 0 to go by its weights alone.
    """
    parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    for module in parts:
        module.eval().requires_grad_(False)
    vae = getattr(pipeline, "vae", None)
    for thrift in ("enable_slicing", "enable_tiling"):
        if hasattr(vae, thrift):
            getattr(vae, thrift)()
    if vae is not None and vae.dtype != torch.float16 and "force_upcast" in vae.config:
        vae.register_to_config(force_upcast=False)  # only float16 overflows
    way = ""
    if device.name == "cuda":
        # The faster order for convolutions; a video autoencoder's are three-dimensional.
        if hasattr(pipeline, "unet"):
            pipeline.unet.to(memory_format=torch.channels_last)
        weights = [sum(p.numel() * p.element_size() for p in part.parameters()) for part in parts]
        way = max(how_to_place(weights, free_bytes(), need), device.turns, key=TURNS.index)
    if way == "parts":
        pipeline.enable_model_cpu_offload()
    elif way == "layers":
        pipeline.enable_sequential_cpu_offload()
    else:
        pipeline.to(device.name)
        if device.compiled:  # not into CUDA's graphs, for schedulers keep what they were told
            (pipeline.unet if hasattr(pipeline, "unet") else pipeline.transformer).compile()


def free_bytes() -> int:
    """Return the bytes of the GPU's memory that torch may still take."""
    free, total = torch.cuda.mem_get_info()
    # A share may have been set with `torch.cuda.set_per_process_memory_fraction`.
    share = torch.cuda.get_per_process_memory_fraction()
    return min(free, int(share * total) - torch.cuda.memory_reserved())


def how_to_place(weights: list[int], free: int, need: float = 0.0) -> str:
    """Choose of `TURNS`, from the bytes of each part, of those free and those needed in all."""
    if max(sum(weights) + HEADROOM, need) <= free:
        return ""
    return "parts" if max(weights) + HEADROOM <= free else "layers"
