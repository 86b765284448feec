"""What one open tab works on, and what the browser gets to see of it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from inpaint import pictures
from inpaint.masks import Strokes
from inpaint.pictures import Picture
from inpaint.results import Candidate
from inpaint.ui.canvas import Sheet
from inpaint.ui.job import Job
from inpaint.ui.uploads import keep_files_of
from inpaint.ui.words import say
from inpaint.visit import Drawing, Run, Visit

WORK_COPY = 2048
"""Long side in pixels of what the browser gets to see of a picture."""
CARD = 512
"""Long side in pixels of a card in the gallery."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Session:
    """What one open tab works on.

    Attributes
    ----------
    job
        The run that is going on.
    cards
        Of each run, by its number, a small JPEG of each candidate.
    views
        The run that is on show, and of it, by name, the JPEGs to be laid over the picture.
    clip, clip_masks, clip_made
        The video whose first frame is painted on, masks for its frames in place of what is, and
        what came of it.
    clip_told
        A sentence about the video.
    draft, parked
        While candidates are merged: the result so far, and the mask to come back to.
    """

    visit: Visit
    job: Job[Any, Any] | None = None
    cards: dict[int, list[bytes]] = field(default_factory=dict)
    views: tuple[Run, dict[str, bytes]] | None = None
    clip: Path | None = None
    clip_masks: Path | None = None
    clip_made: Path | None = None
    clip_told: str = ""
    draft: Candidate | None = None
    parked: Drawing | None = None

    def __post_init__(self) -> None:
        """Keep what is open from being swept."""
        keep_files_of(self)

    def files(self) -> set[str]:
        """Return the files that it may come back to: clips, masks, and what was pasted."""
        drawings = [self.parked, *(run.drawing for run in list(self.visit.runs))]
        if self.visit.left:
            drawings.append(self.visit.left[1])
        pasted = {one.path for drawing in drawings if drawing for one in drawing.strokes.pasted}
        clips = (self.clip, self.clip_masks, self.clip_made)
        return pasted | {str(path) for path in clips if path}


def sorry(sentence: str) -> gr.Error:
    """Make the error that the page shows as one sentence, without a traceback in the terminal."""
    return gr.Error(sentence, print_exception=False)


def sheet(session: Session, drawing: Drawing | None = None) -> Sheet:
    """Make what the canvas shows: the picture that is painted on, and a mask."""
    visit = session.visit
    strokes = drawing.strokes if drawing else None
    picture = visit.picture
    copy = pictures.preview(picture, WORK_COPY)
    return Sheet(copy, picture.size, strokes, visit.base, caption(visit))


def caption(visit: Visit) -> str:
    """Say what picture is open: its name, size and depth."""
    width, height = visit.picture.size
    depth = f" · {8 * visit.picture.pixels.itemsize} bit"
    return f"{visit.name} · {width} × {height}{depth}"


def drawing_of(session: Session, strokes: Strokes | None) -> Drawing | None:
    """Return the mask as it is painted; None where there is nothing on the canvas."""
    if strokes is None or session.draft is not None:
        return session.parked
    if strokes.size != session.visit.picture.size:
        raise sorry(say("other_mask"))
    return Drawing(strokes, session.visit.base)


def thumbnail(picture: Picture) -> str:
    """Return a small copy of a picture as a link that holds it."""
    return f"data:image/jpeg;base64,{base64.b64encode(card(picture)).decode()}"


def card(picture: Picture) -> bytes:
    """Encode a small copy of a picture."""
    return jpeg(pictures.preview(picture, CARD))


def jpeg(image: Image.Image) -> bytes:
    """Encode for the browser."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88, icc_profile=image.info.get("icc_profile"))
    return buffer.getvalue()
