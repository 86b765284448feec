"""Our sketch-mask canvas: paint, in the browser, over what should change.

`MaskCanvas` is a `gr.HTML` whose script shows a small work copy of the picture and records the
user's strokes as vectors in the picture's own pixels, so that a mask is exact at any size and
little to send. Wire it like this::

    canvas = MaskCanvas(elem_id="canvas")
    canvas.upload(on_upload, outputs=[canvas, picture])  # a file was dropped, pasted or chosen
    canvas.input(on_input, inputs=canvas, trigger_mode="always_last")
    run.click(on_run, inputs=[canvas, picture], outputs=canvas, show_progress="hidden")

    def on_upload(event: gr.EventData):
        path = uploaded_file(event)  # the original bytes, for `inpaint.pictures` to decode
        ...
        return Sheet(work_copy, size), picture

    def on_run(strokes: Strokes | None, picture):  # None: there is no picture
        yield gr.update(busy=True)
        yield gr.update(preview=preview(frame, box))
        yield gr.update(busy=False, value=Sheet(result, size))  # ends the previews, too

The other events carry what the user asks for, and Python answers::

    canvas.mask_upload(on_mask, [canvas, picture], canvas)
    canvas.snap(on_snap, picture, canvas, show_progress="hidden")
    canvas.mask_download(make_png, [canvas, picture], hidden_download_button).then(
        None, js="() => document.querySelector('#hidden-download').click()"
    )

    def on_mask(strokes, picture, event: gr.EventData):
        base = masks.read(uploaded_file(event), picture.size)  # keep it: `Strokes` have no base
        return Sheet(work_copy, picture.size, base=base)

    def on_snap(picture, event: gr.EventData):
        rough = rough_strokes(event)
        found = snap(rgb, rasterize(rough))
        return gr.update(append=added(*contours(found).strokes))

`gr.update(append=…)` appends strokes as one step that the user can undo. Properties to set alike:
`grow` and `feather`, in pixels of the picture, show the band that will be blended in around the
mask; `guide` offers the tools that paint in colour and paste a second picture, for
`inpaint.masks.paint`; `lang` chooses the language ("de"), which otherwise is the browser's.
While `merging` no mask is loaded from a file.
`review`, made by `compared`, lays what came of a run over the picture, with a handle between before
and after, until something is painted again; undoing that comes before undoing strokes.

`input` fires when the user has changed the strokes, `change` also when Python has. A new value
of the same size keeps the zoom; any other one shows the whole picture.
"""

from __future__ import annotations

import base64
import io
import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inpaint.masks import Stroke, Strokes
from inpaint.ui.uploads import cached, uploaded

Box = tuple[int, int, int, int]
ROUGH = ("width", "height", "strokes")
PARTS = "words regions drawing view review files camera strokes shapes pasting panel".split()
SCRIPTS = (*(f"canvas_{part}.js" for part in PARTS), "canvas.js")


@dataclass(frozen=True, slots=True)
class Sheet:
    """What the canvas shows.

    Attributes
    ----------
    image
        The work copy, 8 bits per channel, upright; a long side of 2048 is plenty.
    size
        (width, height) of the picture itself, which the strokes are measured in.
    strokes
        Strokes to begin with; the user can undo them.
    base
        (H, W) bool of any size, shown under the strokes; 1 = repaint.
    caption
        What stands above the picture.
    """

    image: Image.Image
    size: tuple[int, int]
    strokes: Strokes | None = None
    base: NDArray[np.bool_] | None = None
    caption: str = ""


def uploaded_file(event: gr.EventData) -> Path:
    """Path of the file that an `upload` event brought, as the user sent it.

    Raises
    ------
    gr.Error
        The path is not one of an uploaded file: event data is the browser's word.
    """
    return uploaded(str(event.path))


def preview(image: Image.Image, box: Box) -> dict[str, object]:
    """Value for `gr.update(preview=…)`: an image shown over (left, top, right, bottom)."""
    data, kind = _encode(image)
    return {"src": f"data:image/{kind};base64,{base64.b64encode(data).decode()}", "box": list(box)}


def compared(
    before: str, after: str, size: tuple[int, int], box: Box, sure: str | None = None
) -> dict[str, object]:
    """Value for `gr.update(review=…)`: what came of a run, to be laid over the picture.

    Parameters
    ----------
    before, after, sure
        Paths of pictures of one shape that the browser may fetch; `sure` shows where candidates
        differ.
    size
        (width, height) of the result itself, which may be another one than the picture's.
    box
        (left, top, right, bottom) of what has changed, in its pixels.
    """
    (width, height), number = size, secrets.token_hex(4)
    files = {"before": before, "after": after, "sure": sure}
    return {**files, "width": width, "height": height, "box": list(box), "number": number}


def added(*strokes: Stroke | None) -> dict[str, object]:
    """Value for `gr.update(append=…)`: strokes to append as one step, or news of none."""
    some = tuple(stroke for stroke in strokes if stroke is not None)
    # Equal values would be no news to the page; the number makes each one differ.
    return {"strokes": Strokes((1, 1), some).plain(), "number": secrets.token_hex(4)}


def rough_strokes(event: gr.EventData) -> Strokes:
    """Return what a `snap` event brought: one brush stroke, erasing if its object is to go.

    Raises
    ------
    gr.Error
        It is no drawing: event data is the browser's word.
    """
    try:
        return Strokes.parse({name: getattr(event, name, None) for name in ROUGH})
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None


class MaskCanvas(gr.HTML):
    """A picture to paint a mask on. Value in: `Sheet` or None; value out: `Strokes` or None.

    Parameters
    ----------
    value
        What to show at first; None shows an invitation to drop a picture.
    busy
        A run is going on: painting and opening files rest, zooming does not.
    merging
        What is painted is no mask to fill: none is loaded from a file.
    preview
        Result of `preview`, shown over the picture while busy.
    grow, feather
        Of the fill to come, in pixels of the picture: its blend band is shown.
    guide
        Whether to offer painting in colour and pasting a second picture.
    lang
        Language of the canvas, say "fr"; None for the browser's.
    append
        Result of `added`: strokes to append.
    review
        Result of `compared`: what came of a run; None takes it away.
    earlier
        Whether there is a step before the first stroke: undoing it fires `back`.
    **kwargs
        As for `gr.HTML`: `elem_id`, `visible`, `scale`, …
    """

    def __init__(
        self,
        value: Sheet | None = None,
        *,
        busy: bool = False,
        merging: bool = False,
        preview: dict[str, object] | None = None,
        grow: float = 0,
        feather: float = 0,
        guide: bool = False,
        lang: str | None = None,
        append: dict[str, object] | None = None,
        review: dict[str, object] | None = None,
        earlier: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            value=value,
            html_template=_asset("canvas.html"),
            css_template=_asset("canvas.css"),
            js_on_load="\n".join(map(_asset, SCRIPTS)),
            apply_default_css=False,
            busy=busy,
            merging=merging,
            preview=preview,
            grow=grow,
            feather=feather,
            guide=guide,
            lang=lang,
            append=append,
            review=review,
            earlier=earlier,
            **kwargs,
        )
        # gr.HTML takes unknown attributes for events, and Gradio reads the parameters' names.
        self.busy, self.merging, self.preview, self.append = busy, merging, preview, append
        self.grow, self.feather, self.guide, self.lang = grow, feather, guide, lang
        self.review, self.earlier = review, earlier

    def preprocess(self, payload: dict[str, Any] | None) -> Strokes | None:  # type: ignore[override]
        """Strokes of the browser's value, checked; None when there is no picture."""
        if not payload:
            return None
        try:
            strokes = Strokes.parse(payload)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from None
        for pasted in strokes.pasted:
            uploaded(pasted.path)
        return strokes

    def postprocess(self, value: Sheet | None) -> dict[str, Any] | None:  # type: ignore[override]
        """Put the work copy and the base mask into Gradio's cache, and describe the sheet."""
        if value is None:
            return None
        base = None if value.base is None else _mask_image(value.base, value.image.size)
        return {
            "src": self._cached(value.image),
            "base": base and self._cached(base),
            "width": value.size[0],
            "height": value.size[1],
            "caption": value.caption,
            "strokes": value.strokes.plain() if value.strokes else [],
        }

    def api_info(self) -> dict[str, Any]:
        """Shape of the value over the API: the picture's size and a list of strokes."""
        stroke = {
            "tool": {"type": "string"},
            "radius": {"type": "number"},
            "points": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            "erase": {"type": "boolean"},
            "radii": {"type": "array", "items": {"type": "number"}},
            "color": {"type": "string"},
        }
        strokes = {"type": "array", "items": {"type": "object", "properties": stroke}}
        size = {"width": {"type": "integer"}, "height": {"type": "integer"}}
        return {"type": "object", "properties": {**size, "strokes": strokes}}

    def example_payload(self) -> Any:
        """Return an example of the value for the API page."""
        stroke = {"tool": "brush", "radius": 8, "points": [[16, 16], [48, 32]]}
        return {"width": 64, "height": 64, "strokes": [stroke]}

    def example_value(self) -> Any:
        """Return an example of what an event returns: nothing to show."""
        return None

    def _cached(self, image: Image.Image) -> dict[str, Any]:
        data, kind = _encode(image)
        return gr.FileData(path=cached(data, f"sheet.{kind}")).model_dump()


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _encode(image: Image.Image) -> tuple[bytes, str]:
    """Encode for the browser: JPEG, or PNG with alpha; the colour profile goes along."""
    buffer = io.BytesIO()
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        if image.mode == "P":
            image = image.convert("RGBA")
        image.save(buffer, "PNG", compress_level=1, icc_profile=profile)
        return buffer.getvalue(), "png"
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    image.save(buffer, "JPEG", quality=90, icc_profile=profile)
    return buffer.getvalue(), "jpeg"


def _mask_image(mask: NDArray[np.bool_], size: tuple[int, int]) -> Image.Image:
    """(H, W) bool -> white with the mask as its alpha, at the work copy's size."""
    alpha = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    return Image.merge("LA", (Image.new("L", size, 255), alpha))
