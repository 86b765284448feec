"""What several files of tests share, made once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save every tiny pipeline in a folder of its name, and beside them models.json, the list."""
    import pipelines

    base = tmp_path_factory.mktemp("pipelines")
    rows = {}
    for name in pipelines.PIPELINES:
        pipelines.save(name, base / name)
        rows[name] = {"repository": str(base / name), "size": 32}
    (base / "models.json").write_text(json.dumps(rows))
    return base


@pytest.fixture(scope="module")
def folder_of_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save three made photographs."""
    from PIL import Image
    from scenes import scene

    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(3):
        Image.fromarray(scene(seed=seed)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def operator(saved: Path) -> Iterator[None]:
    """Name the list of tiny pipelines as an operator does.

    Qwen-Image-Edit scales every picture to 1024 pixels, which takes 20 s a fill: here to 32.
    """
    import diffusers

    editing = sys.modules[diffusers.QwenImageEditInpaintPipeline.__module__]
    dimensions = editing.calculate_dimensions
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INPAINT_MODELS", str(saved / "models.json"))
        patch.setattr(editing, "calculate_dimensions", lambda area, r: dimensions(32 * 32, r))
        yield
