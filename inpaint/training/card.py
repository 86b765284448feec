"""The model card of a trained model."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from inpaint.training.settings import TrainSettings

MANIFEST = "MANIFEST.csv"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come; `loss` is the training loss, `held_out` that of unseen pictures.

    `loss_text` says what the loss is.
    """

    step: int
    images: int
    seconds: float
    device: str
    parameters: int
    loss: float
    held_out: float | None
    origin: str
    loss_text: str


def credits(data: Path, used: list[Path]) -> tuple[Counter[str], list[str]]:
    """Count the used photographs by licence, and name the authors that CC BY asks to name.

    Reads MANIFEST.csv (columns file, licence, author) in the folder of photographs; a photograph
    that is not in it counts as "not stated".
    """
    rows: dict[str, dict[str, str]] = {}
    if (data / MANIFEST).is_file():
        with (data / MANIFEST).open(newline="", encoding="utf-8") as file:
            rows = {row.get("file") or "": row for row in csv.DictReader(file)}
    licences: Counter[str] = Counter()
    authors = set()
    for path in used:
        row = rows.get(path.relative_to(data).as_posix(), {})
        licence = (row.get("licence") or "not stated").strip()
        licences[licence] += 1
        if licence.upper().startswith("CC BY"):
            authors.add(f"{(row.get('author') or 'unnamed author').strip()} ({licence})")
    return licences, sorted(authors)


def model_card(
    settings: TrainSettings,
    progress: Progress,
    used: list[Path],
    batch: int,
    hashes: dict[str, str],
) -> str:
    """Return the README.md of a model folder."""
    licences, authors = credits(settings.data, used)
    by_licence = "\n".join(f"| {name} | {n} |" for name, n in licences.most_common())
    named = f"\nAuthors of the CC BY photographs: {'; '.join(authors)}.\n" if authors else ""
    held_out = "not measured" if progress.held_out is None else f"{progress.held_out:.4f}"
    weights = "\n".join(f"| `{name}` | `{digest}` |" for name, digest in hashes.items())
    return f"""---
library_name: diffusers
tags: [inpainting, image-to-image]
---

# Inpainting UNet, preset `{settings.preset}`

A pixel-space diffusion network that fills the masked part of a photograph from its surroundings.
It predicts v on the cosine schedule from the noisy picture, the known pixels and the mask
(1 = repaint). What it can draw depends on how long it was trained: look at its samples. Load it
with `inpaint.pipeline.InpaintPipeline.from_pretrained`.

## Training

| | |
| --- | --- |
| parameters | {progress.parameters / 1e6:.1f} million, stored as fp16 |
| started from | {progress.origin} |
| images seen | {progress.images:,} crops of {settings.crop} px |
| steps | {progress.step:,} of {batch} crops |
| time | {progress.seconds / 60:.1f} minutes on {progress.device} |
| noise | the lower {settings.noisiest:.0%} of the schedule |
| learning rate | {settings.learning_rate:g} at its peak, AdamW, cosine decay |
| averaging | EMA, half-life up to {settings.ema_images:,.0f} images |
| loss | {progress.loss_text} |
| seed | {settings.seed} |
| training loss | {progress.loss:.4f} |
| held-out loss (averaged weights) | {held_out} |

## Photographs

{len(used)} photographs, by licence as their manifest states it:

| licence | photographs |
| --- | --- |
{by_licence}
{named}
## Weights

| file | SHA-256 |
| --- | --- |
{weights}
"""
