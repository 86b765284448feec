"""The list of models: what each is, needs and may be used for. Loads nothing."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from inpaint import hub, own
from inpaint.latent.families import FAMILIES

SHIPPED = Path(__file__).parent.parent / "assets" / "model"


class ModelError(ValueError):
    """A model that cannot be loaded, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One row of the list of models.

    Attributes
    ----------
    title, tip : str
        What it is called on the page, and a sentence on what it is good for.
    repository : str
        owner/name on the hub, or a folder; "" for what comes with this package.
    prior, lora : str
        Further repositories or folders: Kandinsky's prior, low-rank weights that cut the steps.
    pipeline : str
        Class in diffusers that runs it; "" for a network over pixels.
    variant : str
        Precision of the weights, where the repository holds several.
    size : int
        Side of its window in pixels; 0 for what its files say.
    steps, guidance, sampler, scheduler :
        Settings that suit it; None and "" leave them to the sampler and the family.
    prompt, negative : bool
        Whether it reads a prompt, and a negative one.
    licence : str
        Of the weights, in its usual name.
    download, memory : float
        About how many GB are downloaded, and lie in a GPU's memory while it runs whole at 16 bit.
    gated : bool
        Whether the licence has to be accepted on the hub first.
    """

    title: str
    tip: str
    repository: str = ""
    prior: str = ""
    lora: str = ""
    pipeline: str = ""
    variant: str = ""
    size: int = 0
    steps: int | None = None
    guidance: float | None = None
    sampler: str = ""
    scheduler: str = ""
    prompt: bool = False
    negative: bool = False
    licence: str = ""
    download: float = 0.0
    memory: float = 0.0
    gated: bool = False

    def here(self) -> bool:
        """Say whether it can be loaded on this machine without a download."""
        if not self.repository:
            return self.title == "Self" or (SHIPPED / "model_index.json").is_file()
        return all(_is_here(name) for name in (self.repository, self.prior) if name)


MODELS: dict[str, ModelSpec] = {
    "self": ModelSpec(
        title="Self",
        tip="Learns from this picture alone: its own textures, in any kind of picture.",
    ),
    "photo": ModelSpec(
        title="Photo (experimental)",
        tip="A network trained for an hour on two CPU cores: for thin holes; wide ones turn noisy.",
    ),
    "faces": ModelSpec(
        title="Faces (DDPM)",
        tip="Portraits; never saw a hole, so use repaint, ddnm or lanpaint.",
        repository="google/ddpm-celebahq-256",
        sampler="repaint",
        licence="Apache 2.0",
        download=0.5,
        memory=2,
    ),
    "churches": ModelSpec(
        title="Churches (DDPM)",
        tip="Buildings outdoors; never saw a hole, so use repaint, ddnm or lanpaint.",
        repository="google/ddpm-church-256",
        sampler="repaint",
        licence="Apache 2.0",
        download=0.5,
        memory=2,
    ),
    "bedrooms": ModelSpec(
        title="Bedrooms (DDPM)",
        tip="Rooms; never saw a hole, so use repaint, ddnm or lanpaint.",
        repository="google/ddpm-bedroom-256",
        sampler="repaint",
        licence="Apache 2.0",
        download=0.5,
        memory=2,
    ),
    "sd15": ModelSpec(
        title="Stable Diffusion 1.5",
        tip="Small and well known; any subject, windows of 512 pixels.",
        repository="stable-diffusion-v1-5/stable-diffusion-inpainting",
        pipeline="StableDiffusionInpaintPipeline",
        variant="fp16",
        size=512,
        steps=25,
        sampler="dpmpp",
        prompt=True,
        negative=True,
        licence="CreativeML OpenRAIL-M",
        download=2.8,
        memory=4,
    ),
    "sd15-fast": ModelSpec(
        title="Stable Diffusion 1.5, 4 steps",
        tip="The same with LCM weights: four steps, which a CPU can bear.",
        repository="stable-diffusion-v1-5/stable-diffusion-inpainting",
        lora="latent-consistency/lcm-lora-sdv1-5",
        pipeline="StableDiffusionInpaintPipeline",
        variant="fp16",
        size=512,
        steps=4,
        guidance=1.5,
        scheduler="lcm",
        prompt=True,
        negative=True,
        licence="CreativeML OpenRAIL-M, OpenRAIL++",
        download=2.9,
        memory=4,
    ),
    "sd2": ModelSpec(
        title="Stable Diffusion 2",
        tip="A community copy of a withdrawn model; windows of 512 pixels.",
        repository="sd2-community/stable-diffusion-2-inpainting",
        pipeline="StableDiffusionInpaintPipeline",
        size=512,
        steps=25,
        sampler="dpmpp",
        prompt=True,
        negative=True,
        licence="CreativeML OpenRAIL++-M",
        download=5.2,
        memory=4,
    ),
    "sdxl": ModelSpec(
        title="SDXL",
        tip="More detail, windows of 1024 pixels.",
        repository="diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
        pipeline="StableDiffusionXLInpaintPipeline",
        variant="fp16",
        size=1024,
        steps=25,
        sampler="dpmpp",
        prompt=True,
        negative=True,
        licence="CreativeML OpenRAIL++-M",
        download=7,
        memory=10,
    ),
    "kandinsky": ModelSpec(
        title="Kandinsky 2.2",
        tip="Goes by the meaning of the prompt; windows of 768 pixels.",
        repository="kandinsky-community/kandinsky-2-2-decoder-inpaint",
        prior="kandinsky-community/kandinsky-2-2-prior",
        pipeline="KandinskyV22InpaintCombinedPipeline",
        size=768,
        steps=50,
        prompt=True,
        negative=True,
        licence="Apache 2.0",
        download=16,
        memory=11,
    ),
    "sd35": ModelSpec(
        title="Stable Diffusion 3.5 medium",
        tip="A transformer of 2.5 billion weights; follows long prompts.",
        repository="stabilityai/stable-diffusion-3.5-medium",
        pipeline="StableDiffusion3InpaintPipeline",
        steps=28,
        guidance=5.0,
        prompt=True,
        negative=True,
        licence="Stability AI Community",
        download=16,
        memory=19,
        gated=True,
    ),
    "flux-fill": ModelSpec(
        title="FLUX.1 Fill",
        tip="Made for filling and extending; 12 billion weights.",
        repository="black-forest-labs/FLUX.1-Fill-dev",
        pipeline="FluxFillPipeline",
        steps=28,
        guidance=30.0,
        prompt=True,
        licence="FLUX.1 [dev] Non-Commercial",
        download=34,
        memory=36,
        gated=True,
    ),
    "flux-kontext": ModelSpec(
        title="FLUX.1 Kontext",
        tip="Takes an instruction: make the door red.",
        repository="black-forest-labs/FLUX.1-Kontext-dev",
        pipeline="FluxKontextInpaintPipeline",
        steps=28,
        guidance=2.5,
        prompt=True,
        licence="FLUX.1 [dev] Non-Commercial",
        download=34,
        memory=37,
        gated=True,
    ),
    "flux2-klein": ModelSpec(
        title="FLUX.2 klein",
        tip="Four steps and a free licence; 4 billion weights.",
        repository="black-forest-labs/FLUX.2-klein-4B",
        pipeline="Flux2KleinInpaintPipeline",
        steps=4,
        guidance=1.0,
        prompt=True,
        licence="Apache 2.0",
        download=16,
        memory=18,
    ),
    "z-image": ModelSpec(
        title="Z-Image Turbo",
        tip="Nine steps and a free licence; 6 billion weights.",
        repository="Tongyi-MAI/Z-Image-Turbo",
        pipeline="ZImageInpaintPipeline",
        steps=9,
        guidance=0.0,
        prompt=True,
        licence="Apache 2.0",
        download=33,
        memory=23,
    ),
    "qwen": ModelSpec(
        title="Qwen-Image",
        tip="Strong with lettering and long prompts; 20 billion weights.",
        repository="Qwen/Qwen-Image",
        pipeline="QwenImageInpaintPipeline",
        steps=30,
        guidance=4.0,
        prompt=True,
        negative=True,
        licence="Apache 2.0",
        download=58,
        memory=61,
    ),
}
"""The models that everybody has; `listed` adds the operator's own."""


def listed() -> dict[str, ModelSpec]:
    """Return the list of models: these, the user's own, and those of the file INPAINT_MODELS names.

    The file, TOML or JSON, holds one table for each model, its keys the fields of `ModelSpec`::

        [my-model]
        repository = "/models/my-model"
        title = "Ours"

    Raises
    ------
    ModelError
        If the file cannot be read as such.
    """
    mine = {
        name: ModelSpec(title=name, tip="Your own, made on this machine.", repository=str(folder))
        for name, folder in own.own_models().items()
    }
    return {**MODELS, **mine, **_rows(os.environ.get("INPAINT_MODELS", ""))}


@cache
def _rows(path: str) -> dict[str, ModelSpec]:
    if not path:
        return {}
    try:
        text = Path(path).read_text("utf-8")
        tables = json.loads(text) if path.endswith(".json") else tomllib.loads(text)
        return {name: _row(name, table) for name, table in tables.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"The list of models in {path} cannot be used: {first_line(error)}"
        ) from error


def _row(name: str, table: dict[str, Any]) -> ModelSpec:
    known = {f.name: type(f.default) for f in fields(ModelSpec)}
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"[{name}] has no field {key!r}; there are {', '.join(known)}")
        if not isinstance(value, str | int | float):
            raise ValueError(f"[{name}] {key} must be a text, a number, true or false")
    if not table.get("repository"):
        raise ValueError(f"[{name}] names no repository, which is a folder or owner/name")
    if table.get("pipeline", "") not in ("", *FAMILIES):
        raise ValueError(f"[{name}] pipeline must be one of {', '.join(FAMILIES)}")
    return ModelSpec(**{"title": name, "tip": "Added by the operator.", **table})


def defaults(name: str) -> dict[str, Any]:
    """Return the settings that suit a model: those of its row that are set."""
    spec = listed().get(name)
    names = ("steps", "guidance", "sampler", "scheduler")
    values = {} if spec is None else {key: getattr(spec, key) for key in names}
    return {key: value for key, value in values.items() if value not in (None, "")}


def _is_here(name: str) -> bool:
    return os.path.isdir(name) or hub.cached(name)


def first_line(error: Exception) -> str:
    """Return what an error says in one line of at most 300 characters."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
