"""The models that a user has made: folders by name, in one place on this machine."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

NAME = r"[a-z0-9][a-z0-9_-]{0,39}"


def home() -> Path:
    """Return the folder of the models: $INPAINT_HOME/models, or ~/.local/share/inpaint/models."""
    own = os.environ.get("INPAINT_HOME")
    return (Path(own) if own else user_folder() / ".local" / "share" / "inpaint") / "models"


def user_folder() -> Path:
    """Return ~.

    Raises
    ------
    OSError
        If this user has none, as in some containers.
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from None


def folder_of(name: str) -> Path:
    """Return the folder of a model, which need not be there yet.

    Raises
    ------
    ValueError
        If the name is none.
    """
    if not re.fullmatch(NAME, name):
        raise ValueError(
            f"A model's name is up to 40 small letters, digits, '-' and '_', not {name[:40]!r}."
        )
    return home() / name


def command(data: str, name: str, minutes: float = 30.0) -> str:
    """Return the command that specialises a model, to be shown and copied; else as `folder_of`."""
    folder_of(name)
    parts = ["python", "-m", "inpaint", "specialise", data, "--name", name]
    return shlex.join([*parts, "--minutes", f"{minutes:g}"])


def own_models() -> dict[str, Path]:
    """Return the folders of the models there are, by name in alphabetical order."""
    try:
        return {
            folder.name: folder
            for folder in sorted(home().iterdir())
            if re.fullmatch(NAME, folder.name) and (folder / "model_index.json").is_file()
        }
    except OSError:  # none yet, or not ours to read
        return {}
