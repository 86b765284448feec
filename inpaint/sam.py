"""Click to select with SAM or SAM 2, where the operator names weights of one; else by graph cuts.

Kirillov et al., "Segment Anything", ICCV 2023; Ravi et al., "SAM 2", ICLR 2025; in transformers'
implementation.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inpaint import devices
from inpaint.hub import HubError, Source
from inpaint.masks import bounding_box
from inpaint.models import ModelError, first_line
from inpaint.snap import Mask, Rgb, snap

WEIGHTS = "INPAINT_SAM"
"""The variable that names the weights: a folder, or owner/name on the hub."""
CLASSES = {"sam": "SamModel", "sam2": "Sam2Model", "sam2_video": "Sam2Model"}
"""Classes of transformers by the model type that a config.json names."""
REACH = 0.3
"""How far around a stroke the network looks, as a share of the picture's longer side."""
POINTS = 8
"""Points of a stroke that are shown to the model."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the colours that both were trained on."""


def find(rgb: Rgb, rough: Mask, device: str = "auto") -> Mask:
    """Find the object under a click or a rough stroke.

    Takes and returns what `inpaint.snap.snap` does, which is asked where no weights are named and
    where the network finds nothing; `device` is auto, cuda, xpu, mps or cpu.

    Raises
    ------
    ModelError
        If the named weights cannot be had.
    """
    name = os.environ.get(WEIGHTS, "").strip()
    if not name:
        return snap(rgb, rough)
    found, _ = devices.with_fallback(
        devices.pick(device), lambda rung: segmenter(name, rung.name).select(rgb, rough)
    )
    return snap(rgb, rough) if found is None else found


@cache
def segmenter(name: str, device: str) -> Segmenter:
    """Load a segmenter from a folder or the hub; safetensors only.

    Raises
    ------
    ModelError
        If it is none, or cannot be had.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        folder = Source(name, files=("config.json", "model*.safetensors")).fetch()
    except HubError as error:
        raise ModelError(str(error)) from error
    try:
        kind = json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
        if kind not in CLASSES:
            raise ValueError(f"it is a {kind}, not one of {', '.join(CLASSES)}")
        network = getattr(transformers, CLASSES[kind]).from_pretrained(
            str(folder), use_safetensors=True, local_files_only=True
        )
    except Exception as error:  # transformers and safetensors raise many kinds
        raise ModelError(f"The model in {folder} cannot be loaded: {first_line(error)}") from error
    return Segmenter(network.to(device).eval(), stretched=kind != "sam")


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A SAM that looks at a window around a stroke.

    Attributes
    ----------
    network : SamModel or Sam2Model
        Of transformers.
    stretched : bool
        Whether its pictures are stretched to a square, as SAM 2 has them, and not padded.
    """

    network: Any
    stretched: bool

    def select(self, rgb: Rgb, rough: Mask) -> Mask | None:
        """Return the object under a stroke, (H, W) bool; None if there is nothing to tell apart."""
        box = bounding_box(rough)
        if box is None or min(rough.shape) < 8:
            return None
        margin = round(REACH * max(rough.shape))
        crop = (
            slice(max(0, box[1] - margin), box[3] + margin),
            slice(max(0, box[0] - margin), box[2] + margin),
        )
        around = _encloses(rough[crop])
        found = self.look(rgb[crop], rough[crop], around)
        if not found.any() or found.mean() > 0.9:
            return None
        out = np.zeros_like(rough) if around else rough.copy()
        out[crop] |= found
        return out

    @torch.inference_mode()
    def look(self, pixels: Rgb, stroke: Mask, around: bool) -> Mask:
        """Return the likeliest mask for a window (h, w, 3) and a stroke (h, w) in it."""
        picture, scale = self.fitted(pixels)
        across, down = scale
        device = self.network.device
        words: dict[str, Tensor]
        if around:
            box = torch.tensor(bounding_box(stroke), dtype=torch.float32)
            words = {"input_boxes": (box * torch.tensor([across, down] * 2))[None, None]}
        else:
            places = np.argwhere(stroke)[:, ::-1] + 0.5
            some = places[np.linspace(0, len(places) - 1, min(POINTS, len(places))).astype(int)]
            points = torch.tensor(some * np.array(scale), dtype=torch.float32)[None, None]
            labels = torch.ones(points.shape[:3], dtype=torch.int64)
            words = {"input_points": points, "input_labels": labels}
        moved = {key: value.to(device) for key, value in words.items()}
        made = self.network(pixel_values=picture.to(device), **moved, multimask_output=True)
        best = int(made.iou_scores[0, 0].argmax())
        return self.unfitted(made.pred_masks[0, 0, best].float().cpu(), pixels.shape[:2])

    def fitted(self, pixels: Rgb) -> tuple[Tensor, tuple[float, float]]:
        """(h, w, 3) uint8 -> (1, 3, side, side) as the network wants it, and its scale (x, y)."""
        height, width = self._inner(pixels.shape[:2])
        small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        colours = (small.astype(np.float32) / 255 - MEAN) / DEVIATION
        picture = torch.from_numpy(colours.astype(np.float32)).permute(2, 0, 1)[None]
        padded = F.pad(picture, (0, self._side - width, 0, self._side - height))
        return padded, (width / pixels.shape[1], height / pixels.shape[0])

    def unfitted(self, scores: Tensor, size: tuple[int, ...]) -> Mask:
        """(k, k) scores of the whole square -> the mask of a window of a size (h, w)."""
        height, width = self._inner(size)
        resized = partial(F.interpolate, mode="bilinear", align_corners=False)
        square = resized(scores[None, None], size=(self._side, self._side))
        inner = resized(square[..., :height, :width], size=tuple(size))
        return np.asarray(inner[0, 0].numpy() > 0)

    @property
    def _side(self) -> int:
        return int(self.network.config.prompt_encoder_config.image_size)

    def _inner(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Height and width that a window has inside the square."""
        if self.stretched:
            return self._side, self._side
        scale = self._side / max(size)
        return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _encloses(stroke: Mask) -> bool:
    """Whether a stroke is drawn around something."""
    lines, _ = cv2.findContours(stroke.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros(stroke.shape, np.uint8)
    cv2.drawContours(filled, lines, -1, 1, cv2.FILLED)
    return bool(filled.sum() > 2 * stroke.sum())
