"""What the inpainting classes of diffusers have in common, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """How one inpainting class of diffusers is called.

    Attributes
    ----------
    also : tuple of str
        Other classes whose saved pipelines it takes.
    size : int
        Side in pixels of the pictures that such models were trained on, if they do not tell.
    multiple : int
        Sides that it takes are multiples of this.
    guidance : str
        Name of the argument that holds the guidance.
    steps, scale : int, float
        Steps and guidance that suit a model of which nothing more is known.
    negative, strength : bool
        Whether it takes a negative prompt, and a strength below 1.
    walks : bool
        Whether our own samplers can drive its network, and other schedulers its pipeline: it has a
        UNet and the variance-preserving noise of `inpaint.schedule`.
    stops : bool
        Whether it can leave its loop early and still decode what there is.
    area : str
        Name of an argument that holds the pixels of the window; "" for none.
    reader : str
        Which of its tokenizers reads a prompt to its end.
    tokens : int
        How many tokens of a prompt it reads; 0 for what that tokenizer says, and where long
        prompts are read in pieces.
    more : mapping
        Further arguments of every call.
    """

    also: tuple[str, ...] = ()
    size: int = 1024
    multiple: int = 16
    guidance: str = "guidance_scale"
    steps: int = 28
    scale: float = 3.5
    negative: bool = True
    strength: bool = True
    walks: bool = False
    stops: bool = True
    area: str = ""
    reader: str = "tokenizer"
    tokens: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)


FAMILIES: dict[str, Family] = {
    "StableDiffusionInpaintPipeline": Family(
        also=("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
        size=512,
        multiple=8,
        steps=25,
        scale=7.5,
        walks=True,
    ),
    "StableDiffusionXLInpaintPipeline": Family(
        also=("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
        multiple=8,
        steps=25,
        scale=7.0,
        walks=True,
    ),
    "StableDiffusion3InpaintPipeline": Family(
        also=("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline"),
        scale=5.0,
        reader="tokenizer_3",
        tokens=256,
    ),
    "KandinskyV22InpaintCombinedPipeline": Family(
        also=("KandinskyV22InpaintPipeline",),
        size=768,
        multiple=64,
        steps=50,
        scale=4.0,
        strength=False,
        stops=False,
        reader="prior_tokenizer",
    ),
    "FluxFillPipeline": Family(scale=30.0, negative=False, reader="tokenizer_2", tokens=512),
    "FluxInpaintPipeline": Family(
        also=("FluxPipeline", "FluxImg2ImgPipeline"),
        scale=7.0,
        negative=False,
        reader="tokenizer_2",
        tokens=512,
    ),
    "FluxKontextInpaintPipeline": Family(
        also=("FluxKontextPipeline",),
        negative=False,
        area="max_area",
        reader="tokenizer_2",
        tokens=512,
        more={"_auto_resize": False},
    ),
    "Flux2KleinInpaintPipeline": Family(
        also=("Flux2KleinPipeline",),
        steps=4,
        scale=1.0,
        negative=False,
        tokens=500,  # and its template
    ),
    "ChromaInpaintPipeline": Family(
        also=("ChromaPipeline", "ChromaImg2ImgPipeline"), steps=40, scale=3.0, tokens=256
    ),
    "QwenImageInpaintPipeline": Family(
        also=("QwenImagePipeline", "QwenImageImg2ImgPipeline"),
        guidance="true_cfg_scale",
        scale=4.0,
        tokens=512,
    ),
    "QwenImageEditInpaintPipeline": Family(
        also=("QwenImageEditPipeline",),
        multiple=32,
        guidance="true_cfg_scale",
        steps=50,
        scale=4.0,
        tokens=500,
    ),
    "ZImageInpaintPipeline": Family(
        also=("ZImagePipeline", "ZImageImg2ImgPipeline"),
        steps=9,
        scale=0.0,
        tokens=500,  # and its template
    ),
}
"""By the name of the class in diffusers."""

SCHEDULERS: dict[str, tuple[str, str]] = {
    "ddim": ("DDIM", "DDIMScheduler"),
    "dpmpp": ("DPM-Solver++", "DPMSolverMultistepScheduler"),
    "unipc": ("UniPC", "UniPCMultistepScheduler"),
    "euler": ("Euler", "EulerDiscreteScheduler"),
    "euler_a": ("Euler, ancestral", "EulerAncestralDiscreteScheduler"),
    "lcm": ("LCM, for models distilled to few steps", "LCMScheduler"),
}
"""Titles and classes of the schedulers that families which `walks` take."""


def family_of(name: str) -> str | None:
    """Return the inpainting class for pipelines saved as class `name`; None if there is none."""
    return next((key for key, family in FAMILIES.items() if name in (key, *family.also)), None)
