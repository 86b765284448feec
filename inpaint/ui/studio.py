"""What the page's handlers ask of the package: they translate, and compute nothing."""

from __future__ import annotations

import base64
import io
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from inpaint import editing, masks, pictures, project, reviewing
from inpaint.editing import Candidate, Moment, Result, Stopped
from inpaint.masks import Strokes
from inpaint.pictures import Picture
from inpaint.results import DOWNLOADING, Receipt
from inpaint.tasks import TASKS
from inpaint.ui import zero
from inpaint.ui.canvas import Sheet, preview
from inpaint.ui.controls import NAMES, is_shown, offered
from inpaint.ui.examples import Example
from inpaint.ui.job import Job
from inpaint.ui.turns import Line, LineFull
from inpaint.ui.words import say
from inpaint.visit import Drawing, Run, Visit

WORK_COPY = 2048
"""Long side in pixels of what the browser gets to see of a picture."""
CARD = 512
"""Long side in pixels of a card in the gallery."""
GALLERY = 12
"""Previews kept in the gallery; later ones replace every other one."""
VARIED = 0.5
"""Noise strength of "more like this"."""

log = logging.getLogger(__name__)
M = TypeVar("M")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class Session:
    """What one open tab works on.

    Attributes
    ----------
    job
        The run that is going on.
    cards
        Of each run, by its number, a small JPEG of each candidate.
    clip, clip_masks
        The video whose first frame is painted on, and masks for its frames in place of what is.
    draft, parked
        While candidates are merged: the result so far, and the mask to come back to.
    """

    visit: Visit
    job: Job[Any, Any] | None = None
    cards: dict[int, list[bytes]] = field(default_factory=dict)
    clip: Path | None = None
    clip_masks: Path | None = None
    draft: Candidate | None = None
    parked: Drawing | None = None


def sorry(sentence: str) -> gr.Error:
    """Make the error that the page shows as one sentence, without a traceback in the terminal."""
    return gr.Error(sentence, print_exception=False)


# Opening


def opened(path: Path, max_pixels: int) -> tuple[Session, Drawing | None]:
    """Open a picture or a project; what is wrong with it becomes one sentence on the page."""
    if path.stat().st_size > pictures.MAX_BYTES:
        raise sorry(say("too_large"))
    data = path.read_bytes()
    try:
        if project.is_project(data):
            visit, drawing = project.open_project(data, max_pixels=max_pixels)
        else:
            picture = pictures.read(data, max_pixels=max_pixels)
            visit, drawing = Visit.begin(path.stem, data, picture), None
    except ValueError as error:
        raise sorry(str(error)) from None
    session = Session(visit)
    for run in visit.runs:
        session.cards[run.number] = [card(c.picture()) for c in run.candidates]
    return session, drawing


def from_example(example: Example) -> tuple[Session, Drawing]:
    """Open an example with its ready mask."""
    session, _ = opened(example.picture, pictures.MAX_PIXELS)
    return session, Drawing(example.strokes)


def sheet(session: Session, drawing: Drawing | None = None) -> Sheet:
    """Make what the canvas shows: the picture that is painted on, and a mask."""
    visit = session.visit
    strokes = drawing.strokes if drawing else None
    return Sheet(
        pictures.preview(visit.picture, WORK_COPY), visit.picture.size, strokes, visit.base
    )


def with_mask(session: Session, path: Path) -> Sheet:
    """Put a mask from a file under the strokes."""
    try:
        session.visit.base = masks.read(path, session.visit.picture.size)
    except ValueError as error:
        raise sorry(str(error)) from None
    return sheet(session)


def find(session: Session | None, task: str, *controls: Any) -> Sheet:
    """Put the mask that the task proposes under the strokes, to be corrected."""
    if session is None:
        raise sorry(say("open_first"))
    visit = session.visit
    try:
        visit.base = editing.proposal(visit.picture, **settings_of(task, controls))
    except ValueError as error:
        raise sorry(str(error)) from None
    return sheet(session)


def take_guide(session: Session | None, path: Path, max_pixels: int) -> Picture:
    """Take a second picture."""
    if session is None:
        raise sorry(say("open_first"))
    try:
        session.visit.guide = pictures.read(path, max_pixels=max_pixels)
    except ValueError as error:
        raise sorry(str(error)) from None
    return session.visit.guide


def drawing_of(session: Session, strokes: Strokes | None) -> Drawing | None:
    """Return the mask as it is painted; None where there is nothing on the canvas."""
    if strokes is None or session.draft is not None:
        return session.parked
    if strokes.size != session.visit.picture.size:
        raise sorry(say("other_mask"))
    return Drawing(strokes, session.visit.base)


# Running


def settings_of(task: str, controls: tuple[Any, ...]) -> dict[str, Any]:
    """Name the values of the controls that the task has; the models are those of the list alone."""
    named = dict(zip(NAMES, controls, strict=True))
    if task not in TASKS:
        raise sorry(f"Choose a task of the list: {', '.join(TASKS)}.")
    model = named["model"]
    if model not in offered():
        raise sorry(say("which_model", models=", ".join(offered())))
    used = {key: value for key, value in named.items() if is_shown(key, task, model)}
    return {"task": task, **used}


def estimate(
    strokes: Strokes | None,
    session: Session | None,
    device: str,
    task: str,
    *controls: Any,
) -> str:
    """Say what a run would cost; empty while there is nothing to do."""
    if session is None or strokes is None or session.draft is not None:
        return ""
    picture = session.visit.picture
    if strokes.size != picture.size:
        return ""
    drawing = Drawing(strokes, session.visit.base)
    if TASKS[task].mask == "needed" and drawing.empty:
        return ""
    try:
        cost = editing.estimate(
            picture,
            None if drawing.empty else drawing.mask(),
            guide=session.visit.guide,
            device=device,
            **settings_of(task, controls),
        )
    except ValueError as error:
        return str(error)
    places = say("one_place") if cost.regions == 1 else say("places", count=cost.regions)
    return say("cost", evaluations=cost.evaluations, places=places, time=duration(cost.seconds))


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 1:
        return say("a_second")
    if seconds < 90:
        return say("seconds", count=round(seconds))
    return say("minutes", count=round(seconds / 60))


Progress = Callable[[Moment], None]


def run(
    strokes: Strokes | None,
    session: Session | None,
    line: Line,
    device: str,
    seed: Any,
    task: str,
    *controls: Any,
) -> Iterator[int | Moment | Run | None]:
    """Run what is asked for: yields how many are ahead, moments, and at last the run."""
    if session is None or strokes is None:
        raise sorry(say("open_first"))
    drawing = drawing_of(session, strokes)
    settings = settings_of(task, controls)
    picture, guide = session.visit.picture, session.visit.guide
    row = TASKS[task]
    used = drawing if row.mask != "unused" else None
    if used and used.empty and (row.mask == "optional" or picture.alpha is not None):
        used = None  # then the whole picture is meant, or its transparent pixels
    if used and used.empty and row.mask == "needed":
        raise sorry(say("nothing_painted"))
    if guide is None and row.guide != "unused" and used and strokes.colored:
        guide = used.painted_on(picture)

    def work(progress: Progress) -> Result:
        mask = used.mask() if used else None
        return zero.edit(
            picture,
            mask,
            guide=guide,
            device=device,
            progress=progress,
            seed=seed,
            **settings,
        )

    yield from _worked(session, line, work, used, picture)


def more_like(session: Session, line: Line, device: str, seed: int) -> Iterator[Any]:
    """Run the chosen candidate's settings again, from it, with other seeds and less noise."""
    shown = session.visit.shown
    if shown is None:
        raise sorry(say("open_first"))
    candidate = shown.candidates[shown.chosen]
    settings = {**shown.settings, "seed": seed, "strength": VARIED, "grow": 0}
    settings["candidates"] = max(settings["candidates"], 3)
    if TASKS[settings["task"]].mask == "unused":
        raise sorry(say("cannot_vary"))

    def work(progress: Progress) -> Result:
        return zero.edit(
            candidate.picture(),
            reviewing.touched(candidate),
            guide=session.visit.guide,
            device=device,
            progress=progress,
            **settings,
        )

    yield from _worked(session, line, work, shown.drawing, shown.before)


def _worked(
    session: Session,
    line: Line,
    work: Callable[[Progress], Result],
    drawing: Drawing | None,
    before: Picture,
) -> Iterator[int | Moment | Run | None]:
    if session.job:
        raise sorry(say("running"))
    session.job = job = Job(work)
    try:
        result = yield from in_turn(job, line)
    finally:
        session.job = None
    if result is None:
        return
    time = duration(result.seconds)
    said = say("done" if result.finished else "stopped", time=time)
    made = session.visit.add(result, drawing, before, " ".join([said, *result.notes]))
    made.receipt = receipt(result.receipt)
    session.cards[made.number] = [card(c.picture()) for c in made.candidates]
    yield made


def in_turn(job: Job[M, R], line: Line) -> Generator[int | M | None, None, R | None]:
    """Do a job when its turn has come: yields how many are ahead, 0, then moments.

    Returns None if it was stopped before it had anything; what goes wrong becomes one sentence.
    """
    with in_one_sentence():
        with line.place() as ahead:
            while (count := ahead()) and not job.stopped:
                yield count
                job.wait()
            if job.stopped:
                return None
            yield 0
            yield from job.moments()
        try:
            return job.result()
        except Stopped:  # there is nothing to show yet
            return None


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """Turn what goes wrong into the error that is shown as one sentence."""
    try:
        yield
    except LineFull:
        raise sorry(say("full")) from None
    except (ValueError, MemoryError) as error:
        raise sorry(str(error)) from None
    except Exception:
        log.exception("the run failed")
        raise sorry(say("failed")) from None


def stop(session: Session | None) -> None:
    """End the run at its next step."""
    if session and session.job:
        session.job.stop()


def views(moment: Moment) -> tuple[dict[str, object], str] | None:
    """Return the estimate as it stands, if any: for the canvas, and as a card for the gallery."""
    if moment.preview is None:
        return None
    box, array = moment.preview()
    image = Image.fromarray(array)
    small = image.copy()
    small.thumbnail((CARD, CARD))
    return preview(image, box), cached(jpeg(small), "preview.jpg")


def receipt(proof: Receipt) -> str:
    """Say what a receipt says."""
    if proof.outside == 0 and proof.promise:
        return f"{proof.promise}."
    outside = f"{proof.outside:,}".replace(",", " ")
    counted = say("receipt", changed=proof.changed, outside=outside)
    return f"{counted}; {proof.promise}." if proof.promise else f"{counted}."


def progress_text(moment: Moment) -> str:
    """Say how far a run is."""
    left = duration(moment.seconds_left)
    if moment.stage == DOWNLOADING:
        return say("downloading", done=moment.number, total=moment.total, left=left)
    stage = say(f"stage_{moment.stage.replace(' ', '_')}")
    return say("step", stage=stage, number=moment.number, total=moment.total, left=left)


# This machine


def warm_up(device: str) -> None:
    """Load what the first fill needs and measure this machine, beside the starting page."""

    def work() -> None:
        stroke = {"tool": "brush", "radius": 6, "points": [[32, 32]]}
        mask = Strokes.parse({"width": 64, "height": 64, "strokes": [stroke]})
        editing.estimate((64, 64), mask, device=device)

    threading.Thread(target=work, daemon=True).start()


def cached(data: bytes, name: str) -> str:
    """Put a file where the browser may fetch it from, and return its path."""
    return str(save_bytes_to_cache(data, name, cache_dir=get_upload_folder()))


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
