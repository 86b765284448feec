"""What comes in: pictures and projects, examples, masks, objects that are pointed at."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import inpaint
from inpaint import masks, pictures, project
from inpaint.masks import Stroke, Strokes
from inpaint.pictures import Picture
from inpaint.snap import contours
from inpaint.ui.canvas import Sheet
from inpaint.ui.examples import Example
from inpaint.ui.session import WORK_COPY, Session, card, drawing_of, sheet, sorry
from inpaint.ui.studio import alone, settings_of
from inpaint.ui.turns import Line
from inpaint.ui.uploads import cached
from inpaint.ui.words import say
from inpaint.visit import Drawing, Visit

WIDER = 0.012
"""By how much a mask that is too tight is widened, as a share of the picture's longer side."""
LEAST_WIDER = 6


def opened(path: Path, max_pixels: int) -> tuple[Session, Drawing | None]:
    """Open a picture or a project; what is wrong with it becomes one sentence on the page."""
    if path.stat().st_size > pictures.MAX_BYTES:
        raise sorry(say("too_large"))
    data = path.read_bytes()
    try:
        if project.is_project(data):
            visit, drawing = project.open_project(data, max_pixels=max_pixels, keep=cached)
        else:
            picture = pictures.read(data, max_pixels=max_pixels)
            visit, drawing = Visit.begin(path.stem, data, picture), None
    except ValueError as error:
        raise sorry(str(error)) from None
    session = Session(visit)
    for run in visit.runs:
        session.cards[run.number] = [card(c.picture()) for c in run.candidates]
    return session, drawing


def is_see_through(picture: Picture) -> bool:
    """Whether a part of a picture is transparent."""
    mask = masks.from_alpha(picture)
    return bool(mask.any() and not mask.all())


def at_rest(session: Session | None) -> Session:
    """Return a session that may change: nothing runs, and no candidates are merged."""
    session = present(session)
    idle(session)
    if session.draft is not None:
        raise sorry(say("merging"))
    return session


def present(session: Session | None) -> Session:
    """Return a session that is there: one whose tab is left for long goes."""
    if session is None:
        raise sorry(say("open_first"))
    return session


def idle(session: Session | None) -> None:
    """Refuse what would take a picture from under a run."""
    if session and session.job:
        raise sorry(say("running"))


def add_to_mask(session: Session, strokes: Strokes | None, found: NDArray[np.bool_]) -> Sheet:
    """Add (H, W) bool to what is masked.

    It lies under the strokes, which can still be undone, unless they change it; then what they draw
    lies there too.
    """
    visit, drawing = session.visit, drawing_of(session, strokes)
    if drawing is None:
        drawing = Drawing(Strokes(visit.picture.size))
    wanted = drawing.mask() | found
    below = found if visit.base is None else visit.base | found
    joined = Drawing(drawing.strokes, below)
    if not np.array_equal(joined.mask(), wanted):
        joined = Drawing(Strokes(visit.picture.size), wanted)
    visit.base = joined.base
    return sheet(session, joined)


def with_transparent(session: Session | None, strokes: Strokes | None) -> Sheet:
    """Add the transparent part of the picture to what is masked."""
    session = at_rest(session)
    return add_to_mask(session, strokes, masks.from_alpha(session.visit.picture))


def from_example(example: Example) -> tuple[Session, Drawing]:
    """Open an example with its ready mask."""
    session, _ = opened(example.picture, pictures.MAX_PIXELS)
    return session, Drawing(example.strokes)


def with_mask(session: Session | None, strokes: Strokes | None, path: Path) -> Sheet:
    """Add a mask from a file to what is masked."""
    session = at_rest(session)
    try:
        found = masks.read(path, session.visit.picture.size)
    except ValueError as error:
        raise sorry(str(error)) from None
    return add_to_mask(session, strokes, found)


def find(
    session: Session | None, strokes: Strokes | None, line: Line, task: str, *controls: Any
) -> Generator[Any, None, Sheet | None]:
    """Add the mask that the task proposes to what is masked, to be corrected; as `alone`."""
    session = at_rest(session)
    picture, settings = session.visit.picture, settings_of(task, controls)

    def work(progress: Any) -> NDArray[np.bool_]:
        mask = inpaint.proposal(picture, **settings)
        progress(None)  # whoever pressed Stop is heard
        return mask

    found = yield from alone(session, line, work)
    return None if found is None else add_to_mask(session, strokes, found)


def take_guide(session: Session | None, path: Path, max_pixels: int) -> None:
    """Take a second picture."""
    session = at_rest(session)
    try:
        session.visit.guide = pictures.read(path, max_pixels=max_pixels)
    except ValueError as error:
        raise sorry(str(error)) from None


def snapped(session: Session, rough: Strokes, device: str) -> list[Stroke]:
    """Find the object that a stroke is on, in what the browser sees; none where there is none."""
    picture = session.visit.picture
    if session.draft is not None or rough.size != picture.size:
        raise sorry(say("other_mask"))
    seen = pictures.preview(picture, WORK_COPY).convert("RGB")
    marked = masks.rasterize(rough, seen.size)
    from inpaint import sam  # with torch, which the page opens without

    try:
        found = sam.find(np.asarray(seen), marked, device)
    except ValueError as error:  # the weights that the operator named are gone
        raise sorry(str(error)) from None
    moved_on = session.job or session.draft or session.visit.picture is not picture
    if moved_on or not (found & ~marked).any():
        return []
    wider, higher = (size / of for size, of in zip(picture.size, seen.size, strict=True))
    erase = rough.strokes[0].erase
    return [
        replace(s, points=tuple((x * wider, y * higher) for x, y in s.points), erase=erase)
        for s in contours(found).strokes
    ]


def widened(session: Session, strokes: Strokes | None) -> Drawing:
    """Grow the mask, by a step that can be undone."""
    drawing = drawing_of(session, strokes)
    if drawing is None:
        raise sorry(say("open_first"))
    size = drawing.strokes.size
    wider = Stroke("grow", float(max(LEAST_WIDER, round(WIDER * max(size)))))
    return replace(drawing, strokes=Strokes(size, (*drawing.strokes.strokes, wider)))
