"""Example pictures with ready masks, from `assets/examples`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from inpaint.masks import Strokes

FOLDER = Path(__file__).parents[2] / "assets" / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """A picture, what to do with it, and the strokes and settings that do it."""

    picture: Path
    title: str
    strokes: Strokes
    task: str = "fill"
    settings: dict[str, Any] = field(default_factory=dict)


@cache
def examples() -> tuple[Example, ...]:
    """Read the list of examples; none where the folder was left out."""
    index = FOLDER / "examples.json"
    if not index.is_file():
        return ()
    return tuple(
        Example(
            FOLDER / item["picture"],
            item["title"],
            Strokes.parse(item["mask"]),
            item.get("task", "fill"),
            item.get("settings", {}),
        )
        for item in json.loads(index.read_text(encoding="utf-8"))
    )
