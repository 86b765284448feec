"""What a prompt becomes, and what each family of models says it cannot do."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from inpaint.latent.families import SCHEDULERS, Family
from inpaint.settings import Settings

OURS = ("repaint", "ddnm", "lanpaint")
"""Samplers that diffusers has no scheduler for: they run in latent space."""
EMBEDDINGS = (
    "prompt_embeds",
    "negative_prompt_embeds",
    "pooled_prompt_embeds",
    "negative_pooled_prompt_embeds",
)
"""What `encode_prompt` returns, in this order; Stable Diffusion the first two."""


def check(pipeline: Any, family: Family, settings: Settings) -> None:
    """Raise ValueError, with one sentence, if settings ask for what a pipeline cannot do."""
    name = type(pipeline).__name__.removesuffix("Pipeline")
    if settings.negative and not family.negative:
        raise ValueError(f"{name} takes no negative prompt; leave it empty.")
    if settings.strength < 1 and not family.strength:
        raise ValueError(f"{name} always starts from pure noise; set the noise strength to 1.")
    if family.walks:
        if settings.scheduler and settings.scheduler not in SCHEDULERS:
            names = ", ".join(SCHEDULERS)
            raise ValueError(f"scheduler must be one of {names}, got {settings.scheduler!r}")
        return
    if settings.scheduler:
        raise ValueError(f"{name} has a scheduler of its own; leave the scheduler empty.")
    if settings.resample > 1 or settings.sampler in OURS:
        raise ValueError(
            f"{name} walks its noise levels once; choose the sampler ddim or dpmpp and a "
            "resample count of 1."
        )
    tokenizer, most = getattr(pipeline, family.reader), family.tokens
    if tokenizer is None:  # it was saved without its large text encoder
        tokenizer, most = pipeline.tokenizer, 0
    most = most or tokenizer.model_max_length
    for title, text in (("prompt", settings.prompt), ("negative prompt", settings.negative)):
        count = _count(tokenizer, text)
        if count > most:
            raise ValueError(
                f"{name} reads {most} tokens of a {title}, and this one has {count}; shorten it."
            )


def embeddings(pipeline: Any, settings: Settings, guided: bool) -> dict[str, Tensor]:
    """Encode the prompts of a Stable Diffusion pipeline, however long they are.

    CLIP reads 77 tokens. A longer prompt is cut between words, its pieces are encoded apart, and
    the network attends to all of them.

    Returns
    -------
    dict
        Arguments of the pipeline's call: prompt_embeds (1, n · 77, d) and, if guided, as many
        negative_prompt_embeds; for SDXL the pooled ones of the first piece too.
    """
    positive = pieces(pipeline.tokenizer, settings.prompt)
    negative = pieces(pipeline.tokenizer, settings.negative) if guided else [""]
    encoded = [
        pipeline.encode_prompt(
            prompt=some,
            device=pipeline._execution_device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=guided,
            negative_prompt=other if settings.negative else None,
        )
        for some, other in zip_longest(positive, negative, fillvalue="")
    ]
    found = {}
    for number, key in enumerate(EMBEDDINGS):
        some = [each[number] for each in encoded if number < len(each)]
        if some and some[0] is not None:
            found[key] = some[0] if "pooled" in key else torch.cat(some, dim=1)
    return found


def pieces(tokenizer: Any, text: str) -> list[str]:
    """Cut a text between words into pieces that a tokenizer reads whole; at least one.

    A single word that is too long is left to be cut off by the tokenizer.
    """
    found = [""]
    for word in text.split():
        longer = f"{found[-1]} {word}".strip()
        if found[-1] and _count(tokenizer, longer) > tokenizer.model_max_length:
            found.append(word)
        else:
            found[-1] = longer
    return found


def _count(tokenizer: Any, text: str) -> int:
    """Count the tokens of a text, with those that mark its beginning and end."""
    return len(tokenizer(text, verbose=False).input_ids)
