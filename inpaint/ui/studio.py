"""Runs: what the page's handlers ask of the package; they translate, and compute nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import inpaint
from inpaint import reviewing
from inpaint.masks import Strokes
from inpaint.pictures import Picture
from inpaint.results import DOWNLOADING, Moment, Receipt, Result, Stopped
from inpaint.tasks import TASKS
from inpaint.ui import zero
from inpaint.ui.canvas import preview
from inpaint.ui.controls import NAMES, is_shown, offered
from inpaint.ui.job import Job
from inpaint.ui.session import CARD, Session, card, drawing_of, jpeg, sorry
from inpaint.ui.turns import Line
from inpaint.ui.uploads import cached
from inpaint.ui.words import say
from inpaint.video import VideoMoment
from inpaint.visit import Drawing, Run

GALLERY = 12
"""Previews kept in the gallery; later ones replace every other one."""
VARIED = 0.5
"""Noise strength of "more like this"."""

M = TypeVar("M")
R = TypeVar("R")


def settings_of(task: str, controls: tuple[Any, ...]) -> dict[str, Any]:
    """Name the values of the controls that the task has; what is cleared has its default.

    The models are those of the list alone.
    """
    named = dict(zip(NAMES, controls, strict=True))
    if task not in TASKS:
        raise sorry(f"Choose a task of the list: {', '.join(TASKS)}.")
    model = named["model"]
    if model not in offered():
        raise sorry(say("which_model", models=", ".join(offered())))
    used = {
        key: value
        for key, value in named.items()
        if value is not None and is_shown(key, task, model)
    }
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
    try:
        if TASKS[task].mask == "needed" and drawing.empty:
            return ""
        cost = inpaint.estimate(
            picture,
            marked(task, drawing),
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


def marked(task: str, drawing: Drawing | None) -> NDArray[np.bool_] | None:
    """Return (H, W) bool, what a drawing marks for a task; None if it marks nothing."""
    if drawing is None or drawing.empty:
        return None
    if not (TASKS[task].restores and drawing.strokes.colored):
        return drawing.mask()
    mask = Drawing(drawing.strokes.uncolored, drawing.base).mask()  # colours spread from theirs
    return mask if mask.any() else None


Progress = Callable[[Moment], None]
Running = Generator[int | Moment | None, None, Run | None]
"""Yields how many are ahead, and moments; returns the run, None if it was stopped before."""


def run(
    strokes: Strokes | None,
    session: Session | None,
    line: Line,
    device: str,
    seed: Any,
    task: str,
    *controls: Any,
) -> Running:
    """Run what is asked for."""
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
    mask = marked(task, used)

    def work(progress: Progress) -> Result:
        return zero.edit(
            picture,
            mask,
            guide=guide,
            device=device,
            progress=progress,
            seed=int(seed or 0),
            **settings,
        )

    return (yield from _worked(session, line, work, used, picture))


def again(strokes: Strokes, session: Session, line: Line, device: str) -> Running:
    """Run with the settings of the result on show, whatever the page's are."""
    shown = session.visit.shown
    if shown is None:
        raise sorry(say("open_first"))
    values = shown.settings
    controls = (values.get(name) for name in NAMES)
    return run(strokes, session, line, device, values["seed"], values["task"], *controls)


def more_like(session: Session, line: Line, device: str, seed: int) -> Running:
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
            guide=shown.guide,
            device=device,
            progress=progress,
            **settings,
        )

    return (yield from _worked(session, line, work, shown.drawing, shown.before, shown))


def _worked(
    session: Session,
    line: Line,
    work: Callable[[Progress], Result],
    drawing: Drawing | None,
    before: Picture,
    varied: Run | None = None,
) -> Running:
    result = yield from alone(session, line, work)
    if result is None:
        return None
    time = duration(result.seconds)
    said = say("done" if result.finished else "stopped", time=time)
    made = session.visit.add(result, drawing, before, " ".join([said, *result.notes]), varied)
    made.receipt = receipt(result.receipt)
    session.cards[made.number] = [card(c.picture()) for c in made.candidates]
    for number in session.cards.keys() - {run.number for run in session.visit.runs}:
        del session.cards[number]  # the oldest runs have made room
    return made


def alone(
    session: Session, line: Line, work: Callable[[Callable[[M], None]], R]
) -> Generator[int | M | None, None, R | None]:
    """Do the one job that a tab may have; as `in_turn`."""
    if session.job:
        raise sorry(say("running"))
    session.job = job = Job(work)
    try:
        return (yield from in_turn(job, line))
    finally:
        session.job = None


def in_turn(job: Job[M, R], line: Line) -> Generator[int | M | None, None, R | None]:
    """Do a job when its turn has come: yields how many are ahead, 0, then moments.

    Returns None if it was stopped before it had anything.
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
    """Show the sentence with which the package refuses; `guarded` has one for all else."""
    try:
        yield
    except ValueError as error:
        raise sorry(str(error)) from None


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


def progress_text(moment: Moment | VideoMoment, step: str = "step") -> str:
    """Say how far a run is."""
    left = duration(moment.seconds_left)
    if moment.stage == DOWNLOADING:
        return say("downloading", done=moment.number, total=moment.total, left=left)
    stage = say(f"stage_{moment.stage.replace(' ', '_')}")
    return say(step, stage=stage, number=moment.number, total=moment.total, left=left)


# This machine


def warm_up(device: str, model: str) -> threading.Thread:
    """Load torch and what the first fill needs, and measure this machine, beside the open page."""

    def work() -> None:
        from inpaint.devices import pick

        print(f"Computing on: {pick(device).why}.", flush=True)
        stroke = {"tool": "brush", "radius": 6, "points": [[32, 32]]}
        mask = Strokes.parse({"width": 64, "height": 64, "strokes": [stroke]})
        with suppress(ValueError):  # whoever fills is told what the model lacks
            inpaint.estimate((64, 64), mask, device=device, model=model)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
