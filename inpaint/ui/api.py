"""The page's work for programs: four named endpoints, drawn from the same tables."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

import inpaint
from inpaint import pictures
from inpaint.results import Moment, Result, drawn
from inpaint.settings import OPTIONS
from inpaint.tasks import TASKS, settled
from inpaint.ui import zero
from inpaint.ui.controls import offered
from inpaint.ui.job import Job
from inpaint.ui.options import Options
from inpaint.ui.session import sorry
from inpaint.ui.studio import in_one_sentence, in_turn
from inpaint.ui.turns import Line
from inpaint.ui.uploads import cached, uploaded
from inpaint.ui.words import say

FILES = {
    "picture": "The picture, uploaded: PNG, JPEG, WebP, TIFF, BMP or GIF.",
    "mask": "A picture in which white = repaint; without it, transparent pixels, or what the task "
    "finds itself.",
    "guide": "A second picture, for the tasks that take one.",
}
"""The parameters that are files; the others are the settings."""
FILL = """Do a task with a picture: fill what the mask marks, extend, repair, enlarge and more.

Answers again and again while it works: at first how many are `ahead`, then `stage`, `step`, `steps`
and `seconds_left`; the last answer has the picture, in its own format or as PNG where that has no
room for it, and as the report `receipt`, `recipes`, `seconds`, `evaluations`, `finished`, `notes`,
a file for each of the `candidates`, and the files `mask`, a PNG that is white where a pixel may
have been invented, and `diversity`, a grey PNG of 16 bits that says where the candidates disagree
(null for one candidate)."""
ESTIMATE = "Say what /fill would cost with the same parameters: evaluations, seconds and regions."

KINDS = {name: gr.FileData for name in FILES} | {n: option.kind for n, option in OPTIONS.items()}
"""What each parameter is, in the order in which they arrive."""

Answer = tuple[dict[str, Any] | None, dict[str, Any]]


def wire_api(options: Options, line: Line) -> None:
    """Add the endpoints to the page that is being built."""

    def fill(*values: Any) -> Iterator[Answer]:
        (picture, mask, guide), settings = _taken(values, options)

        def work(progress: Callable[[Moment], None]) -> Result:
            return zero.edit(
                picture,
                mask,
                guide=guide,
                device=options.device,
                max_pixels=options.max_pixels,
                progress=progress,
                **settings,
            )

        result = yield from _told(in_turn(Job(work), line))
        if result is not None:
            with in_one_sentence():
                answer = _answer(result, f"{picture.stem}-{settings['task']}")
            yield answer

    def estimate(*values: Any) -> dict[str, Any]:
        (picture, mask, guide), settings = _taken(values, options)
        with in_one_sentence():
            whole = pictures.read(picture, max_pixels=options.max_pixels)
            cost = inpaint.estimate(whole, mask, guide=guide, device=options.device, **settings)
        return asdict(cost)

    api(_described(fill, FILL, tuple[gr.FileData, dict[str, Any]]), concurrency_limit=None)
    api(_described(estimate, ESTIMATE, dict[str, Any]), concurrency_limit=1)
    api(tasks)
    api(models)


def tasks() -> list[dict[str, Any]]:
    """List what can be done: names, tips, whether mask and guide are needed, own settings."""
    return [
        {
            "name": name,
            "title": task.title,
            "tip": f"{task.tip} {task.pretrained}",
            "mask": task.mask,
            "guide": task.guide,
            "settings": list(task.controls),
            "defaults": dict(task.defaults),
        }
        for name, task in TASKS.items()
    ]


def models() -> list[dict[str, Any]]:
    """List the models that can be used here: names, tips, licences, what a first run downloads."""
    return [
        {
            "name": name,
            "title": spec.title,
            "tip": spec.tip,
            "licence": spec.licence,
            "fills": spec.fills,
            "prompt": spec.prompt,
            "download_gb": 0 if spec.here() else spec.download,
        }
        for name, spec in offered().items()
    ]


def _described(function: Callable[..., Any], text: str, returned: Any) -> Callable[..., Any]:
    """Give a function of any values the names, kinds and tips of the tables."""
    tips = FILES | {name: option.tip for name, option in OPTIONS.items()}
    function.__doc__ = "\n".join([text, "Args:", *(f"  {key}: {tip}" for key, tip in tips.items())])
    function.__annotations__ = KINDS | {"return": returned}
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if name == "picture" else None,
                annotation=kind,
            )
            for name, kind in KINDS.items()
        ],
        return_annotation=returned,
    )
    return function


def _taken(values: tuple[Any, ...], options: Options) -> tuple[list[Any], dict[str, Any]]:
    """Return the files' paths, and the settings that were given, checked."""
    given = {name: value for name, value in zip(KINDS, values, strict=True) if value is not None}
    files = [_file(given.pop(name, None)) for name in FILES]
    if files[0] is None:
        raise sorry("Upload a picture and name its path as the picture.")
    with in_one_sentence():
        wanted = settled(given)
        if "model" not in given and not TASKS[wanted.task].restores:
            given["model"] = options.model
            wanted = settled(given)
    if wanted.model not in offered():
        raise sorry(say("which_model", models=", ".join(offered())))
    return files, {**given, "task": wanted.task}


def _file(value: Any) -> Path | None:
    """Return the path of an uploaded file; None if there is none."""
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("path"), str):
        raise sorry('A file is given as {"path": …, "meta": {"_type": "gradio.FileData"}}.')
    return uploaded(value["path"])


def _told(
    turn: Generator[int | Moment | None, None, Result | None],
) -> Generator[Answer, None, Result | None]:
    """Tell how far the work is, until it returns."""
    while True:
        try:
            event = next(turn)
        except StopIteration as end:
            result: Result | None = end.value
            return result
        if isinstance(event, Moment):
            yield (
                None,
                {
                    "stage": event.stage,
                    "step": event.number,
                    "steps": event.total,
                    "seconds_left": round(event.seconds_left, 1),
                },
            )
        elif event is not None:
            yield None, {"ahead": event}


def _answer(result: Result, name: str) -> Answer:
    """Store the candidates in the picture's own format, and report on them."""
    own = pictures.save_format(result.picture)
    suffix = next(end for end, format in pictures.EXTENSIONS.items() if format == own)
    files = [
        _served(candidate.encode(own), f"{name}-{number}{suffix}")
        for number, candidate in enumerate(result.candidates, 1)
    ]
    spread = drawn(result.diversity()) if len(files) > 1 else None
    return files[0], {
        "receipt": {**asdict(result.receipt), "text": str(result.receipt)},
        "recipes": [candidate.recipe for candidate in result.candidates],
        "seconds": round(result.seconds, 3),
        "evaluations": result.evaluations,
        "finished": result.finished,
        "notes": [*result.notes, *filter(None, [result.loss(f"{name}{suffix}")])],
        "candidates": files,
        "mask": _served(pictures.encode(pictures.read(result.mask), "PNG"), f"{name}-invented.png"),
        "diversity": spread and _served(pictures.encode(spread, "PNG"), f"{name}-diversity.png"),
    }


def _served(data: bytes, name: str) -> dict[str, Any]:
    """Put a file where the client may fetch it from."""
    return gr.FileData(path=cached(data, name), orig_name=name).model_dump()
