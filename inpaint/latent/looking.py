"""What Qwen-Image-Edit reads an instruction and a picture with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

IMAGE = "<|image_pad|>"


class LookingProcessor:
    """Text and one picture as a Qwen language model takes them.

    It does what transformers' Qwen2VLProcessor does with these two. That class reads videos too, so
    it cannot be made without torchvision.

    Parameters
    ----------
    images : Qwen2VLImageProcessorPil
        Cuts a picture into patches.
    tokenizer : Qwen2Tokenizer
        Knows the token that stands for a patch.
    """

    def __init__(self, images: Any, tokenizer: Any) -> None:
        self.images, self.tokenizer = images, tokenizer

    @classmethod
    def of(cls, folder: Path) -> LookingProcessor:
        """Make it from the files of a pipeline's folder."""
        from transformers import Qwen2Tokenizer, Qwen2VLImageProcessorPil

        return cls(
            Qwen2VLImageProcessorPil.from_pretrained(folder / "processor", local_files_only=True),
            Qwen2Tokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        )

    def __call__(self, text: list[str], images: Any, **options: Any) -> Any:
        """Return ids, and the patches of the picture in the place of its mark."""
        from transformers import BatchFeature

        seen = self.images(images=images, return_tensors="pt")
        patches = int(seen["image_grid_thw"][0].prod()) // self.images.merge_size**2
        marked = [each.replace(IMAGE, IMAGE * patches, 1) for each in text]
        return BatchFeature({**self.tokenizer(marked, **options), **seen})
