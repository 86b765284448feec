"""What the handlers of results ask of the package: cards, comparisons, merging and files."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from inpaint import masks, pictures, project, reviewing
from inpaint.masks import Strokes
from inpaint.pictures import Picture
from inpaint.results import Candidate, diversity, drawn
from inpaint.tasks import TASKS
from inpaint.ui.canvas import Sheet, compared
from inpaint.ui.session import WORK_COPY, Session, card, drawing_of, jpeg, sheet, sorry
from inpaint.ui.uploads import cached
from inpaint.ui.words import say
from inpaint.visit import Run


def candidate_cards(session: Session, run: Run) -> list[tuple[str, str]]:
    """Thumbnails of the candidates, each with what tells it apart."""
    found = []
    for index, candidate in enumerate(run.candidates):
        seed = candidate.recipe["settings"]["seed"]
        if "merged" in candidate.recipe:
            caption = say("merged")
        elif index == 0 and len(run.candidates) > 1 and run.seams[0]:
            caption = say("best", seed=seed)
        else:
            caption = say("seed", seed=seed)
        found.append((cached(session.cards[run.number][index], "candidate.jpg"), caption))
    return found


def history_cards(session: Session) -> list[tuple[str, str]]:
    """Thumbnails of the original and of each run's chosen candidate."""
    visit = session.visit
    found = [(cached(card(visit.original), "original.jpg"), say("original"))]
    for run in visit.runs:
        task = run.settings["task"]
        title = say(f"task_{task}") if task in TASKS else "?"
        chosen = session.cards[run.number][run.chosen]
        found.append((cached(chosen, "result.jpg"), f"{run.number} · {title}"))
    return found


def comparison(session: Session, run: Run) -> dict[str, object]:
    """Return what the canvas lays over the picture: before, after, and where candidates differ."""
    if session.views is None or session.views[0] is not run:
        session.views = run, {}
    views = session.views[1]

    def view(name: str, draw: Callable[[], Image.Image]) -> str:
        if name not in views:
            views[name] = jpeg(draw())
        return cached(views[name], "large.jpg")

    candidate = run.candidates[run.chosen]
    after = candidate.picture()
    before = run.before if run.before.size == after.size else candidate.original
    touched = reviewing.touched(candidate)

    def differences() -> Image.Image:
        whole = [candidate.picture() for candidate in run.candidates]
        mask = reviewing.touched(run.candidates[0])
        return Image.fromarray(reviewing.uncertainty(whole, mask, WORK_COPY))

    count = len(run.candidates)  # merging adds one
    return compared(
        view("before", lambda: pictures.preview(before, WORK_COPY)),
        view(f"after {run.chosen}", lambda: pictures.preview(after, WORK_COPY)),
        after.size,
        masks.bounding_box(touched) or (0, 0, *after.size),
        view(f"sure {count}", differences) if count > 1 else None,
    )


def is_tight(run: Run) -> bool:
    """Whether to offer a wider mask, with which the run can be made again."""
    needed = TASKS[run.settings["task"]].mask == "needed"
    return needed and reviewing.is_tight(run.candidates[run.chosen]) and run.repeatable


def begin_merging(session: Session, strokes: Strokes | None) -> Sheet:
    """Put the chosen candidate on the canvas, to be painted on."""
    shown = session.visit.shown
    assert shown is not None
    session.parked = drawing_of(session, strokes)
    session.draft = shown.candidates[shown.chosen]
    return _draft_sheet(session)


def merge(session: Session, strokes: Strokes | None, index: int) -> Sheet:
    """Take the painted part from another candidate."""
    shown, draft = session.visit.shown, session.draft
    assert shown is not None and draft is not None
    where = masks.rasterize(strokes) if strokes else None
    if where is None or where.shape != draft.original.pixels.shape[:2] or not where.any():
        raise sorry(say("merging"))
    if not (where & reviewing.touched(draft)).any():
        raise sorry(say("merge_nothing"))
    try:
        session.draft = reviewing.merged(draft, shown.candidates[index], where)
    except ValueError as error:
        raise sorry(str(error)) from None
    return _draft_sheet(session)


def end_merging(session: Session) -> Sheet:
    """Keep the merge as a candidate and go back to the mask."""
    shown, draft, parked = session.visit.shown, session.draft, session.parked
    assert shown is not None and draft is not None
    if not any(draft is candidate for candidate in shown.candidates):
        shown.candidates.append(draft)
        shown.seams.append(reviewing.seam(draft))
        session.cards[shown.number].append(card(draft.picture()))
        shown.chosen = len(shown.candidates) - 1
    session.draft = session.parked = None
    return sheet(session, parked)


def _draft_sheet(session: Session) -> Sheet:
    assert session.draft is not None
    picture = session.draft.picture()
    return Sheet(pictures.preview(picture, WORK_COPY), picture.size)


def own_format(run: Run) -> tuple[str, str]:
    """Return the result's own format, and a sentence on what it loses, if anything."""
    candidate = run.candidates[run.chosen]
    own = pictures.save_format(candidate.original)
    made, whole = pictures.marked(candidate.original), bool(run.invented().all())
    lost = pictures.losses(made, own, text=candidate.text(), whole=whole)
    if lost == [pictures.DIGITS]:
        return own, say("reencoded", format=own)
    if lost:
        return own, pictures.loss(made, own, text=candidate.text(), whole=whole)
    return own, say("around", format=own) if own == "JPEG" else ""


def result_file(session: Session | None, format: str | None, with_recipe: bool) -> str:
    """Write the chosen candidate, marked as partly generated; None for its own format."""
    shown = session.visit.shown if session else None
    if session is None or shown is None:
        raise sorry(say("open_first"))
    candidate = shown.candidates[shown.chosen]
    own = format or pictures.save_format(candidate.original)
    suffix = next(end for end, name in pictures.EXTENSIONS.items() if name == own)
    try:
        data = candidate.encode(own, with_recipe=with_recipe)
    except (pictures.PictureError, OSError) as error:
        raise sorry(str(error)) from None
    return cached(data, f"{session.visit.name}-{shown.settings['task']}{suffix}")


def mask_file(session: Session | None, strokes: Strokes | None) -> str:
    """Write the mask on the canvas as a PNG, white where it is painted."""
    drawing = drawing_of(session, strokes) if session else None
    if session is None or drawing is None:
        raise sorry(say("open_first"))
    data = pictures.encode(pictures.read(drawing.mask()), "PNG")
    return cached(data, f"{session.visit.name}-mask.png")


def invented_file(session: Session | None) -> str:
    """Write a mask as a PNG, white where the result on show may be invented."""
    return _beside(session, "invented", lambda run: pictures.read(run.invented()))


def diversity_file(session: Session | None) -> str:
    """Write where the candidates on show disagree, as a grey PNG of 16 bits."""
    return _beside(
        session, "diversity", lambda run: drawn(diversity(own_candidates(run), run.invented()))
    )


def own_candidates(run: Run) -> list[Candidate]:
    """Return the candidates that were made, without those merged of them."""
    return [one for one in run.candidates if "merged" not in one.recipe]


def _beside(session: Session | None, what: str, draw: Callable[[Run], Picture]) -> str:
    shown = session.visit.shown if session else None
    if session is None or shown is None:
        raise sorry(say("open_first"))
    name = f"{session.visit.name}-{shown.settings['task']}-{what}.png"
    return cached(pictures.encode(draw(shown), "PNG"), name)


def project_file(session: Session | None, strokes: Strokes | None) -> str:
    """Write the visit as a project."""
    if session is None:
        raise sorry(say("open_first"))
    try:
        data = project.save(session.visit, drawing_of(session, strokes))
    except ValueError as error:
        raise sorry(str(error)) from None
    return cached(data, f"{session.visit.name}-project.zip")
