"""The Python side of the mask canvas: what goes to the browser, and what may come back."""

import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from inpaint.masks import Stroke, Strokes
from inpaint.ui import canvas as module
from inpaint.ui.canvas import MaskCanvas, Sheet, added, preview, rough_strokes, uploaded_file

STROKES = Strokes(
    (640, 480),
    (
        Stroke("brush", 8.5, ((1.5, 2), (30, 40)), erase=True),
        Stroke("paint", 5, ((1, 2), (3, 4)), radii=(1, 5), color="#0080ff"),
        Stroke("grow", 3),
    ),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch) -> Path:
    """Where Gradio keeps uploads and its cache."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return tmp_path / "gradio"


@pytest.fixture
def canvas(folder) -> MaskCanvas:
    return MaskCanvas(render=False)


def load(file: dict[str, str]) -> Image.Image:
    with Image.open(file["path"]) as image:
        image.load()
    return image


def test_a_sheet_and_its_strokes_come_back(canvas):
    image = Image.new("RGB", (64, 48), (200, 30, 40))
    value = canvas.postprocess(Sheet(image, (640, 480), STROKES))
    assert (value["width"], value["height"], value["base"]) == (640, 480, None)
    shown = load(value["src"])
    assert (shown.format, shown.size) == ("JPEG", (64, 48))
    np.testing.assert_allclose(np.asarray(shown)[20, 20], (200, 30, 40), atol=3)
    value["strokes"] = json.loads(json.dumps(value["strokes"]))
    assert canvas.preprocess(value) == STROKES


def test_no_picture_is_none_both_ways(canvas):
    assert canvas.postprocess(None) is None
    assert canvas.preprocess(None) is None
    assert canvas.preprocess("") is None  # how gr.HTML sends an empty value


def test_a_malformed_drawing_is_refused_with_its_sentence(canvas):
    with pytest.raises(gr.Error, match="tool is one of"):
        canvas.preprocess({"width": 4, "height": 4, "strokes": [{"tool": "saw"}]})


def test_alpha_and_colour_profile_reach_the_browser(canvas):
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    clear.info["icc_profile"] = b"a profile"
    shown = load(canvas.postprocess(Sheet(clear, (8, 8)))["src"])
    assert (shown.format, shown.mode) == ("PNG", "RGBA")
    assert shown.info["icc_profile"] == b"a profile"
    for mode in ("L", "LA", "P", "CMYK", "I;16"):
        canvas.postprocess(Sheet(Image.new(mode, (8, 8)), (8, 8)))


def test_a_base_mask_is_the_alpha_of_its_image(canvas):
    base = np.zeros((480, 640), bool)
    base[:, 320:] = True
    value = canvas.postprocess(Sheet(Image.new("RGB", (64, 48)), (640, 480), base=base))
    alpha = np.asarray(load(value["base"]).getchannel("A"))
    np.testing.assert_array_equal(alpha, 255 * base[::10, ::10])


def test_a_preview_is_a_small_data_url_with_its_box():
    value = preview(Image.new("RGB", (512, 512)), (1, 2, 3, 4))
    assert value["box"] == [1, 2, 3, 4]
    assert value["src"].startswith("data:image/jpeg;base64,")
    assert len(value["src"]) < 20_000


def test_only_uploaded_files_are_taken(tmp_path: Path, folder: Path):
    folder.mkdir()
    good = folder / "picture.png"
    good.write_bytes(b"picture")
    assert uploaded_file(gr.EventData(None, {"path": str(good)})) == good.resolve()
    (tmp_path / "secret").write_text("secret")
    link = folder / "link"
    link.symlink_to(tmp_path / "secret")
    for path in (tmp_path / "secret", link, folder / "../secret", folder, folder / "no"):
        with pytest.raises(gr.Error, match="not uploaded"):
            uploaded_file(gr.EventData(None, {"path": str(path)}))


def test_only_uploaded_pictures_are_pasted(canvas, tmp_path: Path, folder: Path):
    folder.mkdir()
    (folder / "second.png").write_bytes(b"picture")
    (tmp_path / "secret.png").write_bytes(b"picture")

    def value(path: Path) -> dict[str, object]:
        stroke = {"tool": "paste", "points": [[1, 2], [3, 4]], "path": str(path)}
        return {"width": 8, "height": 8, "strokes": [stroke]}

    assert canvas.preprocess(value(folder / "second.png")).pasted[0].box == (1, 2, 3, 4)
    for path in (tmp_path / "secret.png", folder / "../secret.png", folder / "no.png"):
        with pytest.raises(gr.Error, match="not uploaded"):
            canvas.preprocess(value(path))


def test_a_rough_stroke_comes_and_found_ones_go():
    stroke = {"tool": "brush", "radius": 4, "points": [[1, 2]], "erase": True}
    data = {"width": 8, "height": 6, "strokes": [stroke]}
    assert rough_strokes(gr.EventData(None, data)) == Strokes(
        (8, 6), (Stroke("brush", 4, ((1, 2),), erase=True),)
    )
    for bad in ({**data, "width": -1}, {"width": 8}, {}):
        with pytest.raises(gr.Error):
            rough_strokes(gr.EventData(None, bad))
    first, second = added(*STROKES.strokes, None), added(*STROKES.strokes)
    assert first["strokes"] == STROKES.plain()
    assert first != second  # or the page would take the second for the first
    assert added(None)["strokes"] == []


def test_the_api_describes_a_value_that_parses(canvas):
    assert canvas.preprocess(canvas.example_payload()).size == (64, 64)
    assert canvas.api_info()["type"] == "object"


def test_gradio_writes_no_stub_beside_the_source():
    assert not Path(module.__file__).with_suffix(".pyi").exists()


def test_its_properties_are_plain_values_on_the_page():
    # gr.HTML answers unknown attributes with event listeners, which drag the whole app along.
    config = MaskCanvas().get_config()
    properties = ("busy", "preview", "append", "grow", "feather", "guide", "lang")
    assert [config[name] for name in properties] == [False, None, None, 0, 0, False, None]
