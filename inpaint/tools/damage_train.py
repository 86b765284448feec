"""Train the network of `inpaint.damage` on photographs, with damage drawn on them.

`python -m inpaint.tools.damage_train FOLDER --minutes 60 --out damage.safetensors`, and
`--init-from` goes on from weights that are there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

from inpaint.damage.network import WEIGHTS, DamageNetwork
from inpaint.pictures.writing import put
from inpaint.tools.crops import find
from inpaint.tools.damage_draw import COVERS, KINDS, LOOKS, Layer, Rgb, dress, mixed, photograph

SIDE = 160
"""Pixels of a crop."""
ON_DAMAGE, ANYWHERE, CLEAN, TRIED = 3, 1, 2, 7
"""Crops of a photograph: around damage, from anywhere in the damaged picture, and of those tried
in the clean one those where the network sees most."""
POOL = 72
"""Crops that are shuffled together."""
BATCH = 8
RATE = 1.5e-3
HALF_LIFE = 300
"""Steps after which the average of the weights has forgotten half."""
FAINT = 0.05
"""Opacity below which a pixel counts as clean; from there to `COVERS` it counts as neither."""


class Crops(NamedTuple):
    """Pixels (n, SIDE, SIDE, 3) uint8, whether damaged and whether it counts, (n, SIDE, SIDE)."""

    pixels: NDArray[np.uint8]
    damaged: NDArray[np.bool_]
    counts: NDArray[np.bool_]


def train(
    folder: Path, out: Path, minutes: float, start: Path | None = None, seed: int = 0
) -> None:
    """Train for some minutes, and write the averaged weights every 200 steps and at the end.

    Parameters
    ----------
    folder
        Photographs without damage.
    out
        Safetensors file, fp16.
    minutes
        The learning rate falls to nothing within them, as a cosine.
    start
        Weights to go on from.
    seed
        Decides the damage; with other weights to go on from, take another.

    Raises
    ------
    ValueError
        If the folder holds no photograph that is large enough.
    """
    torch.manual_seed(seed)
    network = DamageNetwork()
    if start:
        network.load_state_dict(load_file(start))
    else:
        nn.init.constant_(network.answer.get_parameter("bias"), -4)  # most pixels are sound
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    coming = batches(find(folder), network, np.random.default_rng(seed))
    began, step, lost = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / 100) * (0.51 + 0.49 * np.cos(np.pi * done))
        loss = loss_of(network, next(coming))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step, lost = step + 1, lost + float(loss.detach())
        kept = 0.5 ** (1 / HALF_LIFE) if step > HALF_LIFE else 0.9
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 - kept)
        if step % 200 == 0:
            print(f"{step * BATCH:7} crops, {done:4.0%}, loss {lost / 200:.4f}", flush=True)
            lost = 0.0
            save(average, out)
    save(average, out)


def loss_of(network: nn.Module, crops: Crops) -> Tensor:
    """Cross-entropy of each pixel that counts, and the Dice loss of all (Milletari et al. 2016)."""
    pixels, truth, counts = (torch.from_numpy(a) for a in crops)
    answer = network(_batch(pixels))
    truth, counts = truth.float(), counts.float()
    entropy = F.binary_cross_entropy_with_logits(
        answer, truth, reduction="none", pos_weight=torch.tensor(2.0)
    )
    chance = answer.sigmoid() * counts
    both = (chance * truth).sum()
    dice: Tensor = 1 - (2 * both + 1) / (chance.sum() + truth.sum() + 1)
    return 6 * (entropy * counts).mean() + 0.2 * dice


def save(weights: dict[str, Tensor], out: Path) -> None:
    """Write a file of fp16 weights, whole or not at all."""
    put(out, serialized({name: value.half().contiguous() for name, value in weights.items()}))


def batches(files: list[Path], network: nn.Module, rng: np.random.Generator) -> Iterator[Crops]:
    """Yield batches for ever, from photographs in random order."""
    read = cache(photograph)
    files = [file for file in files if min(read(file).shape[:2]) >= SIDE]
    if not files:
        raise ValueError(f"No photograph has {SIDE} pixels on each side; give larger ones.")
    pool: list[Crops] = []
    while True:
        rgb = read(files[rng.integers(len(files))])
        if rng.random() < 0.35:
            rgb = cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        if min(rgb.shape[:2]) >= SIDE:
            pool.append(crops_of(rgb, network, rng))
        if sum(len(crops.pixels) for crops in pool) >= POOL:
            pixels, covered, counted = (np.concatenate(part) for part in zip(*pool, strict=True))
            order = rng.permutation(len(pixels))
            for some in order[: len(order) // BATCH * BATCH].reshape(-1, BATCH):
                yield Crops(pixels[some], covered[some], counted[some])
            pool = []


def crops_of(rgb: Rgb, network: nn.Module, rng: np.random.Generator) -> Crops:
    """Cut crops from a photograph in a random look, damaged and not."""
    rgb = dress(rgb, LOOKS[rng.integers(len(LOOKS))], rng)
    rgb = np.rot90(rgb, int(rng.integers(4))) if rng.random() < 0.3 else rgb
    rgb = rgb[:, ::-1] if rng.random() < 0.5 else rgb
    if rng.random() < 0.2:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.1))
    rgb = np.ascontiguousarray(rgb)
    drawn, opacity = damaged_at_will(rgb, rng)
    clean = np.zeros_like(opacity)
    room = np.array(rgb.shape[:2]) - SIDE

    def anywhere() -> NDArray[np.intp]:
        return rng.integers(room + 1)

    on_damage = np.argwhere(opacity >= COVERS)
    if not len(on_damage):
        on_damage = anywhere()[None]
    spots = [
        np.clip(place - rng.integers(SIDE // 8, SIDE - SIDE // 8, 2), 0, room)
        for place in on_damage[rng.integers(len(on_damage), size=ON_DAMAGE)]
    ]
    spots += [anywhere() for _ in range(ANYWHERE)]
    damaged_ones = [(_cut(drawn, spot), _cut(opacity, spot)) for spot in spots]
    tried = [anywhere() for _ in range(TRIED)]
    with torch.no_grad():
        seen = network(_batch(torch.from_numpy(np.stack([_cut(rgb, spot) for spot in tried]))))
    worst = F.softplus(seen).flatten(1).topk(60).values.mean(1).argsort(descending=True)[:CLEAN]
    clean_ones = [(_cut(rgb, tried[i]), _cut(clean, tried[i])) for i in worst]
    cut = damaged_ones + clean_ones
    pixels, covered = np.stack([crop for crop, _ in cut]), np.stack([layer for _, layer in cut])
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))]
        coded = [cv2.imencode(".jpg", crop, quality)[1] for crop in pixels]
        pixels = np.stack([np.asarray(cv2.imdecode(crop, 1)) for crop in coded])
    return Crops(pixels, covered >= COVERS, (covered >= COVERS) | (covered <= FAINT))


def damaged_at_will(rgb: Rgb, rng: np.random.Generator) -> tuple[Rgb, Layer]:
    """Draw one or two kinds of damage, softer, harder, patchier and in more tones than they are."""
    height, width = rgb.shape[:2]
    kinds = [kind for kind in KINDS if kind != "stamp"]
    covered = np.zeros((height, width), np.float32)
    for kind in rng.choice(kinds, 1 + (rng.random() < 0.3), replace=False):
        opacity, tone = KINDS[kind]((width, height), rng)
        edge, colour = rng.random(2)
        if edge < 0.4:
            opacity = cv2.GaussianBlur(opacity, (0, 0), rng.uniform(0.3, 0.9))
        elif edge < 0.6:
            opacity = np.where(opacity > 0.4, np.float32(rng.uniform(0.7, 1)), np.float32(0))
        if rng.random() < 0.3:
            patches = rng.uniform(0.5, 1, (8, 8)).astype(np.float32)
            opacity = opacity * cv2.resize(patches, (width, height))
        if colour < 0.15:
            tone = np.full(3, float(tone.mean() > 0.5))
        elif colour < 0.23:
            tone = np.clip(rng.uniform(0.2, 1.2, 3), 0, 1)
        elif colour < 0.3:
            tone = np.full(3, rng.uniform(0.6, 0.85))
        rgb = mixed(rgb, opacity, tone)
        covered = np.maximum(covered, opacity)
    return rgb, covered


def _cut(image: NDArray[Any], spot: NDArray[np.intp]) -> NDArray[Any]:
    return image[spot[0] : spot[0] + SIDE, spot[1] : spot[1] + SIDE]


def _batch(pixels: Tensor) -> Tensor:
    """Turn (n, h, w, 3) uint8 into what the network takes."""
    return pixels.permute(0, 3, 1, 2).float() / 255


def main() -> None:
    """Read the arguments, and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photographs without damage")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--init-from", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    train(wanted.folder, wanted.out, wanted.minutes, wanted.init_from, wanted.seed)


if __name__ == "__main__":
    main()
