"""Fine-tunes a model on a user's own pictures and puts it among the models of this machine."""

from __future__ import annotations

from pathlib import Path

from inpaint import layers, own
from inpaint.models import MODELS, SHIPPED, ModelError
from inpaint.training.checkpoint import STATE, load_state
from inpaint.training.loop import Watch, no_watch, train
from inpaint.training.settings import TrainSettings

LEARNING_RATE = 2e-4
"""A fifth of what random weights take: what the model knows already is to stay."""


def specialise(
    data: Path,
    name: str,
    *,
    minutes: float = 30.0,
    start: str = "photo",
    max_steps: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    progress: Watch = no_watch,
) -> Path:
    """Fine-tune a model on a folder of pictures.

    A run that was stopped goes on, and one that was over goes on for as long again.

    Parameters
    ----------
    data : Path
        The pictures.
    name : str
        What the model is called in the list of models.
    minutes, max_steps
        How long; see `TrainSettings`.
    start : str
        What to start from: photo, another model of one's own, or a folder that holds one.
    batch_size, seed
        See `TrainSettings`.
    progress
        See `inpaint.training.loop.train`.

    Returns
    -------
    Path
        The model's folder.

    Raises
    ------
    ValueError
        If the name is taken or none, the start is no network of ours, or there are no pictures.
    """
    if name in MODELS:
        raise ValueError(f"There is a model {name!r} already; choose another name.")
    out = own.folder_of(name)
    begun = (out / STATE).is_file()
    if begun:
        state = load_state(out)
        if state["seconds"] >= 60 * minutes:
            minutes += state["seconds"] / 60
        if max_steps is not None and state["step"] >= max_steps:
            max_steps += state["step"]
    origin = out if begun else _folder(start)
    train(
        TrainSettings(
            data=data,
            out=out,
            minutes=minutes,
            max_steps=max_steps,
            size=_size(origin),
            batch_size=batch_size,
            learning_rate=LEARNING_RATE,
            seed=seed,
            init_from=None if begun else origin,
            resume=begun,
        ),
        progress,
    )
    return out


def _folder(start: str) -> Path:
    if start == "photo":
        return SHIPPED
    return own.own_models().get(start, Path(start))


def _size(folder: Path) -> int:
    """Return the side of the crops that a network was trained on."""
    try:
        config = layers.config_of(folder)
        if config["_class_name"] != "InpaintUNet":
            raise ValueError
        return int(config["sample_size"])
    except (ValueError, KeyError, TypeError):
        raise ModelError(
            f"{folder} holds no model that can be specialised; start from photo or one of your own."
        ) from None
