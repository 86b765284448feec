"""Makes a result again from the recipe inside it, and its original."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from inpaint import devices, masks, pictures
from inpaint.editing import Progress, edit
from inpaint.pictures import PictureError
from inpaint.recipes import digest, digests, unpacked_mask
from inpaint.results import Result
from inpaint.settings import Settings

SOURCES = ("picture", "mask", "guide")
"""What a result is made of."""
MOST_FILES = 200
"""How many pictures beside a result are tried as its original."""


def replay(
    path: str | Path,
    picture: Any = None,
    mask: Any = None,
    *,
    guide: Any = None,
    device: str = "auto",
    progress: Progress = lambda moment: None,
    format: str | None = None,
) -> Result:
    """Make a saved result again.

    Parameters
    ----------
    path : path
        A picture that `inpaint` saved.
    picture, mask, guide : as in `inpaint.edit`
        What it was made of. Left out, the pictures in the folder of `path` are searched for
        those that the recipe knows by their digest; a small mask lies in the recipe itself.
    device : str
        As in `inpaint.edit`. A network computes in what the recipe names, if the device can. The
        same bytes come from the same kind of machine only.
    progress, format
        As in `inpaint.edit`.

    Raises
    ------
    PictureError, ValueError
        If there is no recipe, or what it was made of is not found or another one.
    """
    path = Path(path)
    recipe = recipe_of(path)
    if recipe.get("merged"):
        raise ValueError(
            f"{path.name} was merged from several candidates, which is not made again: "
            "fill its original anew and merge them on the page."
        )
    settings = Settings.of(**recipe["settings"])
    found: dict[str, Any] = {"picture": picture, "guide": guide, "mask": mask}
    if mask is None and recipe.get("mask"):
        found["mask"] = unpacked_mask(recipe["mask"], recipe["size"])
    for what in SOURCES:
        if not recipe[f"{what}_sha256"] or (what == "mask" and recipe.get("mask") is None):
            found[what] = None  # it was made without
            continue
        if found[what] is None:
            found[what] = _searched(path, recipe, what)
        if found[what] is None:
            raise ValueError(
                f"The {what} that {path.name} was made of is not beside it; name it with --{what}."
            )
        if not _fits(recipe, what, found[what]):
            raise ValueError(f"This is not the {what} that {path.name} was made of.")
    return edit(
        found["picture"],
        found["mask"],
        guide=found["guide"],
        device=devices.computing_in(recipe.get("dtype"), devices.pick(device)),
        progress=progress,
        format=format,
        **settings.as_dict(),
    )


def source_of(path: str | Path, file: str | Path) -> str | None:
    """Return which of its `SOURCES` a saved result was made of a file holds; None for another."""
    recipe = recipe_of(path)
    for what in SOURCES:
        try:
            if recipe[f"{what}_sha256"] and _fits(recipe, what, file):
                return what
        except PictureError:
            continue
    return None


def recipe_of(path: str | Path) -> dict[str, Any]:
    """Return the recipe inside a saved result; ValueError if there is none that can be used."""
    pictures.read(path)  # says what is wrong with the file, if anything is
    try:
        recipe: dict[str, Any] = json.loads(pictures.embedded_text(path)["inpaint"])
        names = ("picture_sha256", "mask_sha256", "guide_sha256")
        width, height = recipe["size"]
        usable = isinstance(recipe["settings"], dict) and type(width) is type(height) is int
        usable = usable and all(isinstance(recipe[name], str) for name in names)
    except (KeyError, TypeError, ValueError):
        usable = False
    if not usable:
        raise ValueError(f"There is no recipe in {Path(path).name}: inpaint did not save it so.")
    return recipe


def _fits(recipe: dict[str, Any], what: str, source: Any) -> bool:
    """Whether a recipe knows a source by its digests; older recipes have none of alpha."""
    if what == "mask":
        width, height = recipe["size"]
        found = {"mask_sha256": digest(np.packbits(masks.read(source, (width, height))))}
    else:
        found = digests(what, pictures.read(source))
    return all(recipe.get(name, one) == one for name, one in found.items())


def _searched(path: Path, recipe: dict[str, Any], what: str) -> Path | None:
    for file in _beside(path):
        try:
            if _fits(recipe, what, file):
                return file
        except PictureError:
            continue
    return None


def _beside(path: Path) -> Iterator[Path]:
    """Give the pictures in a result's folder, those of its own kind first."""
    files = [file for file in path.parent.iterdir() if file != path and file.is_file()]
    known = [file for file in files if file.suffix.lower() in pictures.EXTENSIONS]
    known.sort(key=lambda file: (_format(file) != _format(path), file))
    yield from known[:MOST_FILES]


def _format(path: Path) -> str | None:
    return pictures.EXTENSIONS.get(path.suffix.lower())
