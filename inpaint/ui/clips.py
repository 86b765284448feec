"""Clips: the first frame is painted on, and what is painted goes from every frame."""

from __future__ import annotations

import mimetypes
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from inpaint import video
from inpaint.masks import Strokes
from inpaint.pictures import EXTENSIONS, Picture
from inpaint.ui import studio
from inpaint.ui.canvas import preview
from inpaint.ui.layout import Parts
from inpaint.ui.opening import idle, present
from inpaint.ui.options import Options
from inpaint.ui.running import bar, busy, followed, freed
from inpaint.ui.session import WORK_COPY, Session, drawing_of, sorry
from inpaint.ui.showing import SAVE, Updates, on_canvas, opened, quiet
from inpaint.ui.turns import Line
from inpaint.ui.words import say
from inpaint.video import VideoMoment, VideoResult
from inpaint.visit import Visit

USED = ("model", "sampler", "steps", "strength", "resample", "jump", "eta", "grow", "feather")
"""The settings that a clip is filled with."""


def wire_clips(parts: Parts, options: Options, line: Line) -> None:
    """Let clips be opened, filled and saved."""

    def on_clip(before: Session | None, path: str, task: str) -> Updates:
        idle(before)
        return shown_clip(parts, Path(path), options.max_pixels, task)

    parts.open_clip.upload(
        on_clip,
        [parts.session, parts.open_clip, parts.task],
        parts.outputs,
        **on_canvas(parts),
    )

    def on_masks(session: Session | None, paths: list[str]) -> Updates:
        session = present(session)
        session.clip_masks = together([Path(path) for path in paths])
        return {
            parts.clip_told: say("clip_masked", count=len(paths)),
            parts.clip_masks_remove: gr.update(visible=True),
        }

    parts.clip_masks.upload(
        on_masks, [parts.session, parts.clip_masks], parts.outputs, **on_canvas(parts)
    )

    def on_masks_remove(session: Session | None) -> Updates:
        """Let what is painted count again."""
        if session is None or session.clip is None:
            raise sorry(say("open_first"))
        session.clip_masks = None
        return {
            parts.clip_told: session.clip_told,
            parts.clip_masks_remove: gr.update(visible=False),
        }

    parts.clip_masks_remove.click(on_masks_remove, parts.session, parts.outputs, **quiet(parts))

    def on_fill(
        strokes: Strokes | None, session: Session, seed: Any, task: str, *values: Any
    ) -> Iterator[Updates]:
        work = filled(strokes, session, line, options, seed, task, *values)
        yield from followed(
            work,
            parts.status,
            _begun(parts),
            lambda moment: _moment(parts, moment),
            lambda result: _ended(parts, result),
        )

    parts.clip_fill.click(
        on_fill,
        [parts.canvas, parts.session, parts.seed, parts.task, *parts.values],
        parts.outputs,
        concurrency_limit=None,
        trigger_mode="once",
        **quiet(parts),
    )
    parts.clip_save.click(lambda path: path, parts.clip_view, parts.file, **quiet(parts)).success(
        None, parts.file, None, js=SAVE, **quiet(parts)
    )


def is_clip(path: Path) -> bool:
    """Whether a file calls itself a video."""
    return (mimetypes.guess_type(path.name)[0] or "").startswith("video/")


def shown_clip(parts: Parts, path: Path, max_pixels: int, task: str) -> Updates:
    """Open a video and show its first frame, to be painted on."""
    session = from_clip(path, max_pixels)
    return opened(parts, session, None, task) | {
        parts.clip_told: session.clip_told,
        parts.clip_masks_remove: gr.update(visible=False),
        parts.clip_view: gr.update(value=None, visible=False),
        parts.clip_save: gr.update(visible=False),
    }


def from_clip(path: Path, max_pixels: int) -> Session:
    """Open a video: its first frame to paint on, and a sentence about it."""
    with studio.in_one_sentence():
        from inpaint.video.clips import open_clip  # takes a while to import

        clip = open_clip(path, max_pixels)
        frame = next(clip.frames())
    width, height = clip.size
    told = say("clip_told", frames=clip.expected, width=width, height=height)
    visit = Visit.begin(path.stem, b"", Picture(frame.pixels))
    return Session(visit, clip=path, clip_told=told)


def together(paths: list[Path]) -> Path:
    """Return one mask or mask clip as it is, and pictures, one for each frame, as a folder."""
    if len(paths) == 1:
        return paths[0]
    if not all(path.suffix.lower() in EXTENSIONS for path in paths):
        raise sorry(say("clip_which_masks"))
    folder = _folder()
    for path in paths:
        shutil.copy(path, folder / path.name)
    return folder


def filled(
    strokes: Strokes | None,
    session: Session,
    line: Line,
    options: Options,
    seed: Any,
    task: str,
    *controls: Any,
) -> Generator[int | VideoMoment | None, None, VideoResult | None]:
    """Fill the clip: yields how many are ahead, and moments; returns the result, if any."""
    if session is None or session.clip is None or strokes is None:
        raise sorry(say("open_first"))
    drawing = drawing_of(session, strokes)
    mask: Any = session.clip_masks
    if mask is None:
        if drawing is None or drawing.empty:
            raise sorry(say("nothing_painted"))
        mask = drawing.mask()
    settings = studio.settings_of(task, controls)
    used: dict[str, Any] = {"task": task, "seed": int(seed or 0)} | {
        name: settings[name] for name in USED if name in settings
    }
    clip = session.clip
    from inpaint.video.saving import CONTAINERS  # as above

    suffix = clip.suffix.lower() if clip.suffix.lower() in CONTAINERS else ".mp4"
    out = _folder() / f"{clip.stem}-filled{suffix}"

    def work(progress: Any) -> VideoResult:
        return video.edit(
            clip,
            mask,
            out,
            device=options.device,
            max_pixels=options.max_pixels,
            progress=progress,
            **used,
        )

    result = yield from studio.alone(session, line, work)
    session.clip_made = result.path if result else None
    return result


def _folder() -> Path:
    """Make a folder among the uploads, which are swept."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))


def told(result: VideoResult) -> str:
    """Say what was done, in a few sentences."""
    time = studio.duration(result.seconds)
    parts = say(
        "clip_done",
        borrowed=round(100 * result.borrowed),
        carried=round(100 * result.carried),
        invented=round(100 * result.invented),
        flicker=f"{result.flicker:.1f}",
        around=f"{result.flicker_around:.1f}",
    )
    said = say("done" if result.finished else "stopped", time=time)
    return " ".join([said, parts, *result.notes])


def _begun(parts: Parts) -> Updates:
    return {
        **busy(parts, True),
        parts.clip_view: gr.update(value=None, visible=False),
        parts.clip_save: gr.update(visible=False),
    }


def _ended(parts: Parts, result: VideoResult | str) -> Updates:
    said = result if isinstance(result, str) else told(result)
    page = freed(parts, said)
    if isinstance(result, str):
        return page
    return page | {
        parts.clip_view: gr.update(value=str(result.path), visible=True),
        parts.clip_save: gr.update(visible=True),
    }


def _moment(parts: Parts, moment: VideoMoment) -> Updates:
    share = moment.number / max(moment.total, 1)
    told = {parts.status: bar(studio.progress_text(moment, "clip_step"), share)}
    if moment.preview is None:
        return told
    image = Image.fromarray(moment.preview())
    box = (0, 0, *image.size)
    image.thumbnail((WORK_COPY, WORK_COPY))
    return {parts.canvas: gr.update(preview=preview(image, box)), **told}
