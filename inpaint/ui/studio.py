"""The page's handlers: they translate events into calls of the package, and compute nothing."""

from __future__ import annotations

import io
import logging
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from inpaint import editing, pictures
from inpaint.catalog import MODELS
from inpaint.editing import Candidate, Moment, Result
from inpaint.masks import Strokes
from inpaint.pictures import Picture
from inpaint.settings import SAMPLERS
from inpaint.ui.canvas import Sheet, preview, uploaded_file
from inpaint.ui.examples import Example
from inpaint.ui.job import Job

WORK_COPY = 2048
"""Long side in pixels of what the browser gets to see of a picture."""
CARD = 512
"""Long side in pixels of a card in the gallery."""
GALLERY = 12
"""Previews kept in the gallery; later ones replace every other one."""
CONTROLS = (
    "steps",
    "strength",
    "resample",
    "candidates",
    "model",
    "sampler",
    "jump",
    "eta",
    "grow",
    "feather",
)
"""The settings that the page sends with a fill, in this order; the seed goes apart."""

SAMPLER_DEFAULTS = ("steps", "resample", "jump", "eta")
"""The settings that follow the choice of a sampler."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Session:
    """What one open tab works on."""

    picture: Picture
    name: str
    candidates: list[Candidate] = field(default_factory=list)
    chosen: int = 0
    job: Job | None = None

    def current(self) -> Picture:
        """Return the original with the chosen candidate in it."""
        return self.candidates[self.chosen].picture()


def sorry(sentence: str) -> gr.Error:
    """Make the error that the page shows as one sentence, without a traceback in the terminal."""
    return gr.Error(sentence, print_exception=False)


def opened(path: Path | str, name: str, max_pixels: int) -> Session:
    """Open a file as a new session; what is wrong with it becomes one sentence on the page."""
    try:
        return Session(pictures.read(path, max_pixels=max_pixels), name)
    except pictures.PictureError as error:
        raise sorry(str(error)) from None


def sheet(picture: Picture, strokes: Strokes | None = None) -> Sheet:
    """Make what the canvas shows of a picture."""
    return Sheet(pictures.preview(picture, WORK_COPY), picture.size, strokes)


def from_upload(event: gr.EventData, max_pixels: int) -> tuple[Sheet, Session]:
    """Open the file that the canvas received."""
    path = uploaded_file(event)
    session = opened(path, path.stem, max_pixels)
    return sheet(session.picture), session


def from_example(example: Example) -> tuple[Sheet, Session]:
    """Open an example with its ready mask."""
    session = opened(example.picture, example.picture.stem, pictures.MAX_PIXELS)
    return sheet(session.picture, example.strokes), session


def settings_of(controls: tuple[Any, ...]) -> dict[str, Any]:
    """Name the values of the controls; the models on the page are those of the list alone."""
    settings = dict(zip(CONTROLS, controls, strict=True))
    if settings["model"] not in MODELS:
        raise sorry(f"Choose a model of the list: {', '.join(MODELS)}.")
    return settings


def estimate(strokes: Strokes | None, device: str, *controls: Any) -> str:
    """Say what a fill would cost; empty while there is nothing to fill."""
    if strokes is None or not strokes.strokes:
        return ""
    try:
        cost = editing.estimate(strokes.size, strokes, device=device, **settings_of(controls))
    except ValueError as error:
        return str(error)
    places = "1 place" if cost.regions == 1 else f"{cost.regions} places"
    return f"{cost.evaluations} evaluations in {places}, about {duration(cost.seconds)}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 1:
        return "a second"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def sampler_defaults(name: str) -> list[float]:
    """Return the settings that suit a sampler, in the order of `SAMPLER_DEFAULTS`."""
    return [getattr(SAMPLERS[name], setting) for setting in SAMPLER_DEFAULTS]


def new_seed(locked: bool, seed: float | None) -> float | None:
    """Return the seed to use: the same if locked, else another."""
    return seed if locked else random.randrange(2**32)


def fill(
    strokes: Strokes | None, session: Session | None, seed: Any, device: str, *controls: Any
) -> Iterator[Moment | Result | None]:
    """Run a fill; yield moments, None as signs of life, and at last the result."""
    if session is None or strokes is None:
        raise sorry("Open a picture first: drop one on the canvas or take an example.")
    if strokes.size != session.picture.size:
        raise sorry("The mask belongs to another picture; paint it again.")
    settings = settings_of(controls)
    job = Job(
        lambda progress: editing.edit(
            session.picture, strokes, device=device, progress=progress, seed=seed, **settings
        )
    )
    session.job = job
    try:
        yield from job.moments()
        result = job.result()
    except (ValueError, MemoryError) as error:
        raise sorry(str(error)) from None
    except Exception:
        log.exception("fill failed")
        raise sorry("Something went wrong; the picture is unchanged. Try again.") from None
    finally:
        session.job = None
    session.candidates, session.chosen = result.candidates, 0
    yield result


def stop(session: Session | None) -> None:
    """End the running fill at its next step."""
    if session and session.job:
        session.job.stop()


def views(moment: Moment) -> tuple[dict[str, object], str]:
    """Return the estimate as it stands: a preview for the canvas, a card for the gallery."""
    box, array = moment.preview()
    image = Image.fromarray(array)
    return preview(image, box), thumbnail(image)


def progress_text(moment: Moment) -> str:
    """Say how far a fill is."""
    return (
        f"{moment.stage.capitalize()}: step {moment.number} of {moment.total}, "
        f"{duration(moment.seconds_left)} left"
    )


def thumbnail(image: Image.Image) -> str:
    """Store a small copy where the gallery finds it, and return its path."""
    image = image.copy()
    image.thumbnail((CARD, CARD))
    return _cached(_jpeg(image), "preview.jpg")


def candidate_cards(session: Session) -> list[tuple[str, str]]:
    """Thumbnails of the candidates with their seeds."""
    return [
        (thumbnail(pictures.preview(c.picture(), CARD)), f"seed {c.recipe['settings']['seed']}")
        for c in session.candidates
    ]


def before_after(session: Session) -> tuple[str, str]:
    """Store the pair that the slider compares."""
    pair = (session.picture, session.current())
    first, second = (_cached(_jpeg(pictures.preview(p, 1600)), "compare.jpg") for p in pair)
    return first, second


def downloads(session: Session) -> tuple[str, str, str | None]:
    """Write the chosen candidate in its own format, and as PNG where that format is lossy.

    Returns what to call the first file, and the paths of both.
    """
    candidate, extras = session.candidates[session.chosen], session.picture.extras
    own = pictures.save_format(session.picture)
    lossy = own == "JPEG" or (own == "WEBP" and not extras.get("lossless"))
    name = f"{session.name}-filled"
    suffix = next(end for end, format in pictures.EXTENSIONS.items() if format == own)
    label = f"Download {own}"
    if lossy:
        label += " (only around the edit re-encoded)" if "jpeg" in extras else " (re-encoded)"
    try:
        first = _cached(candidate.encode(own), name + suffix)
        return label, first, _cached(candidate.encode("PNG"), f"{name}.png") if lossy else None
    except (pictures.PictureError, OSError) as error:
        raise sorry(str(error)) from None


def proceed(session: Session) -> tuple[Sheet, Session]:
    """Make the chosen candidate the picture to go on with."""
    following = Session(session.current(), session.name)
    return sheet(following.picture), following


def warm_up(device: str) -> None:
    """Load what the first fill needs and measure this machine, beside the starting page."""

    def work() -> None:
        mask = Strokes.parse(
            {
                "width": 64,
                "height": 64,
                "strokes": [{"tool": "brush", "radius": 6, "points": [[32, 32]]}],
            }
        )
        editing.estimate((64, 64), mask, device=device)

    threading.Thread(target=work, daemon=True).start()


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, icc_profile=image.info.get("icc_profile"))
    return buffer.getvalue()


def _cached(data: bytes, name: str) -> str:
    return str(save_bytes_to_cache(data, name, cache_dir=get_upload_folder()))
