"""What a run leaves on disk: a diffusers model folder, and the state to continue from.

Every file is written beside its place and moved there in one step, so a run that is killed at any
moment leaves a model that loads and a state that resumes.
"""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from inpaint.pipeline import InpaintPipeline
from inpaint.training.loss import training_scheduler
from inpaint.unet import InpaintUNet

STATE = "training/state.pt"
SHARD = "14MB"


@contextmanager
def in_one_step(path: Path) -> Iterator[Path]:
    """Give the place to write a file to; afterwards it replaces `path` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    yield partial
    with partial.open("rb+") as file:  # a power cut must not leave the name without the bytes
        os.fsync(file.fileno())
    os.replace(partial, path)


def save_model(unet: InpaintUNet, out: Path) -> None:
    """Write unet/ (fp16 safetensors, shards under 15 MB), scheduler/ and model_index.json."""
    out.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(unet).half().eval()
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=out) as folder:
        pipeline = InpaintPipeline(unet=half, scheduler=training_scheduler())
        pipeline.save_pretrained(folder, max_shard_size=SHARD)
        # The index of the folder comes last: where it is, everything it names is too.
        for file in sorted(Path(folder).rglob("*"), key=lambda p: p.name == "model_index.json"):
            if file.is_file():
                target = out / file.relative_to(folder)
                target.parent.mkdir(exist_ok=True)
                file.chmod(0o644)  # safetensors makes its files private
                os.replace(file, target)


def weight_hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of each weight file of a model folder."""
    files = sorted((out / "unet").glob("*.safetensors"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def save_state(state: dict[str, Any], out: Path) -> None:
    """Write what `load_state` reads: tensors and plain values only."""
    with in_one_step(out / STATE) as partial:
        torch.save(state, partial)


def load_state(out: Path) -> dict[str, Any]:
    """Read the state of the run in `out`.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not (out / STATE).is_file():
        raise ValueError(f"The folder {out} holds no training run to resume.")
    state: dict[str, Any] = torch.load(out / STATE, map_location="cpu", weights_only=True)
    return state
