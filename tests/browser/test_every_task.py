"""Every task on the page, on small real pictures and a clip: the button, the run, the result."""

from __future__ import annotations

import importlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from person import costs, filled, number, paint, saved, shows, until, upload
from PIL import Image

from inpaint import masks, pictures
from inpaint.pipeline import InpaintPipeline
from inpaint.rounding import blocks, grey
from inpaint.tasks import TASKS
from inpaint.ui.examples import examples
from inpaint.unet import InpaintUNet

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 96, 80
BLUE = (40, 80, 200)
FRAMES, RATE = 8, 12
SPOILT = {
    "repair": "scratched.png",
    "colourise": "grey.png",
    "denoise": "noisy.png",
    "deblur": "blurred.png",
}
"""What is put in, where it is not the photograph."""
SLOW = ("fill", "extend", "repair", "replace", "create", "restyle")
"""Tasks that fill by many steps; two of them are enough here."""
QUICK = ("extend", "repair", "restyle")
"""Tasks that no other browser test runs, and that take seconds."""


@pytest.fixture(scope="module")
def address(serve, tmp_path_factory) -> str:
    """Serve the page to visitors who may train models, which lie in a folder of the test's."""
    from inpaint.ui import words
    from inpaint.ui.page import CSS, Options, create_demo

    look = {"css_paths": CSS, "footer_links": [], "run_history": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INPAINT_HOME", str(tmp_path_factory.mktemp("home")))
        yield serve(create_demo(Options(specialise=True)), i18n=words.translations(), **look)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Make small pictures and a clip, with sound, of an example of the page."""
    folder = tmp_path_factory.mktemp("small")
    whole = Image.open(examples()[0].picture).convert("RGB").resize((256, 256))
    rgb = np.asarray(whole)[20 : 20 + HEIGHT, 10 : 10 + WIDTH]
    Image.fromarray(rgb).save(folder / "photo.png")
    Image.fromarray(rgb).convert("L").save(folder / "grey.png")
    noise = np.random.default_rng(0).normal(0, 20, rgb.shape)
    Image.fromarray((rgb + noise).clip(0, 255).astype(np.uint8)).save(folder / "noisy.png")
    Image.fromarray(cv2.GaussianBlur(rgb, (0, 0), 2)).save(folder / "blurred.png")
    scratched = rgb.copy()
    for row in range(2, HEIGHT - 2):
        scratched[row, 30 + row // 4 : 33 + row // 4] = scratched[row, 70:73] = 250
    Image.fromarray(scratched).save(folder / "scratched.png")
    Image.open(examples()[2].picture).convert("RGB").resize((64, 64)).save(folder / "style.png")
    pan = np.asarray(whole)[60 : 60 + HEIGHT]
    frames = [pan[:, 3 * t : 3 * t + WIDTH].copy() for t in range(FRAMES)]
    for frame in frames:
        frame[8:24, 60:84] = (200, 30, 30)  # a logo
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=48000, layout="mono")
        wave = np.sin(np.arange(1024) / 40).astype(np.float32)[None]
        for number in range(30):
            part = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
            part.sample_rate, part.pts = 48000, 1024 * number
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return folder


def in_colour(tab) -> None:
    """Draw two strokes of blue."""
    tab.click(".mask-canvas [data-do=paint]")
    tab.fill(".mask-canvas input[type=color]", "#{:02x}{:02x}{:02x}".format(*BLUE))
    until(tab, "document.querySelector('.mask-canvas').canvasView.mode == 'paint'")
    paint(tab, (20, 30), (70, 30))
    paint(tab, (20, 60), (50, 60))


def style(tab, files: Path) -> None:
    with tab.expect_file_chooser() as chooser:
        tab.click("#guide")
    chooser.value.set_files(files / "style.png")
    until(tab, "document.querySelector('#guide-view img')?.naturalWidth > 0")


def prepare(tab, task: str, files: Path) -> Path:
    """Do what a person does before the button is pressed; return the picture."""
    name = SPOILT.get(task, "photo.png")
    upload(tab, files / name)
    if TASKS[task].mask != "needed":
        until(tab, "text('#cost') != ''")  # the page has come to rest
    if task == "fill":
        paint(tab, (40, 40), (50, 44))
    elif task == "repair":
        tab.click("#find")
        until(tab, "document.querySelector('#status .progress-text') === null")
    elif task in ("replace", "colourise"):
        in_colour(tab)
    elif task == "restyle":
        style(tab, files)
    costs(tab)
    return files / name


def holds(
    task: str, before: np.ndarray, after: np.ndarray, truth: np.ndarray, receipt: str
) -> None:
    """Check what defines a task; `truth` is the picture before it was spoilt."""
    if task == "extend":
        assert after.shape == (HEIGHT, HEIGHT * 7 // 5, 3)
        added = (after.shape[1] - WIDTH) // 2
        # Three pixels of the old edge are blended in.
        assert np.array_equal(after[:, added + 3 : added + WIDTH - 3], before[:, 3:-3])
        assert np.ptp(after[:, :added]) > 0 and np.ptp(after[:, -added:]) > 0
        return
    if task == "enlarge":
        means = blocks(after, 2).mean(axis=1).reshape(before.shape)
        assert np.abs(means - before).max() <= 0.5 and "Shrunk by 2" in receipt
        return
    changed = (before != after).any(axis=2)
    assert changed.any()
    errors = [np.square(x.astype(int) - truth).mean() for x in (before, after)]
    if task in ("fill", "repair"):
        assert changed.mean() < 0.5 and receipt.startswith("0 of ")
        assert task == "fill" or errors[1] < 0.5 * errors[0], "the scratches are gone"
    elif task == "replace":
        stroke, far = after[30, 30:60].astype(int), after[70:, 70:]
        assert np.abs(np.median(stroke, axis=0) - BLUE).max() < 40, "the stroke keeps its colour"
        assert np.array_equal(far, before[70:, 70:]) and receipt.startswith("0 of ")
    elif task == "colourise":
        assert np.array_equal(grey(after.astype(int)), grey(before.astype(int)))
        tint = after[..., 2].astype(int) - after[..., 0]
        assert tint[60, 20:50].mean() > 40 and tint[10:25, 30:60].mean() > 20, "the blue spreads"
        assert "exactly" in receipt
    elif task in ("denoise", "deblur"):
        assert errors[1] < 0.7 * errors[0] and "of 255" in receipt
    else:
        assert "made anew" in receipt and after.shape == before.shape


@pytest.mark.parametrize(
    "task",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TASKS],
)
def test_every_task(visit, files, screenshot, tmp_path, task):
    tab = visit()
    tab.locator("#task label", has_text=TASKS[task].title).click()
    until(tab, "text('#fill') == it", TASKS[task].title)
    if task in SLOW:
        number(tab, "steps", 2)
    if task == "extend":
        tab.locator("#aspect input").fill("7:5")
        tab.locator("#aspect input").press("Tab")
    if task == "repair":
        number(tab, "sensitivity", 1)
    source = prepare(tab, task, files)
    screenshot(tab, f"{task}-1-before")
    tab.click("#fill")
    filled(tab)
    screenshot(tab, f"{task}-2-after")
    result = pictures.read(saved(tab, "#download", tmp_path))
    before, truth, style = (
        np.rint(pictures.read(path).rgb() * 255).astype(np.uint8)
        for path in (source, files / "photo.png", files / "style.png")
    )
    receipt = tab.inner_text("#receipt")
    if task == "restyle":
        assert colours_apart(result.pixels, style) < 0.8 * colours_apart(before, style)
    holds(task, before, result.pixels, truth, receipt)


def colours_apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance between the sorted values of each channel: Wasserstein's, in levels of 255."""
    levels = np.linspace(0, 1, 100)
    return float(
        np.abs(np.subtract(*(np.quantile(x, levels, (0, 1)) for x in (one, other)))).mean()
    )


def test_a_picture_without_damage_comes_back_as_it_was(visit, files, tmp_path):
    tab = visit("?task=repair")
    upload(tab, files / "photo.png")
    until(tab, "text('#fill') == 'Repair'")
    tab.click("#fill")
    until(tab, "text('#status').includes('Nothing to repair was found')")
    after = pictures.read(saved(tab, "#download", tmp_path)).pixels
    assert np.array_equal(after, pictures.read(files / "photo.png").pixels)


def test_the_mask_that_is_downloaded_marks_every_pixel_that_changed(
    visit, files, screenshot, tmp_path
):
    """A repair by one press, the result extended, and several candidates for a painted hole."""

    def marks(before: np.ndarray, shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
        after = pictures.read(saved(tab, "#download", tmp_path)).pixels
        mask = np.asarray(Image.open(saved(tab, "#download-mask", tmp_path)))
        assert set(np.unique(mask)) == {0, 255} and mask.shape == after.shape[:2]
        changed = (after[:, shift:] != before).any(axis=2)
        assert changed.any() and not (changed & (mask[:, shift:] == 0)).any()
        return mask == 255, changed

    before = pictures.read(files / "scratched.png").pixels
    tab = visit("?task=repair&steps=2&sensitivity=1")
    upload(tab, files / "scratched.png")
    until(tab, "text('#fill') == 'Repair'")
    tab.click("#fill")
    filled(tab)
    repaired, _ = marks(before)
    assert repaired[10:70, 70:73].all() and repaired.mean() < 0.5
    assert not tab.locator("#download-diversity").is_visible(), "one candidate has no spread"
    screenshot(tab, "marks-one")

    tab.click("#proceed")
    tab.locator("#results").wait_for(state="hidden")
    tab.get_by_label("Extend").check()
    until(tab, "text('#fill') == 'Extend'")
    number(tab, "left", 16)
    tab.click("#fill")
    filled(tab)
    extended, _ = marks(before, shift=16)
    assert extended[:, :16].all() and (extended[:, 16:] & repaired).sum() == repaired.sum()

    tab = visit("?steps=2&candidates=2")
    upload(tab, files / "photo.png")
    paint(tab, (40, 40), (50, 44))
    costs(tab)
    tab.click("#fill")
    filled(tab)
    screenshot(tab, "marks-two")
    mask, _ = marks(pictures.read(files / "photo.png").pixels)
    tab.locator(".mask-canvas [data-do=more]").click()
    painted = np.asarray(Image.open(saved(tab, ".mask-canvas .menu [data-do=save]", tmp_path)))
    assert np.array_equal(mask, masks.grow(painted > 127, 3))
    spread = pictures.read(saved(tab, "#download-diversity", tmp_path)).pixels[..., 0]
    assert spread.dtype == np.uint16 and spread[mask].any() and not spread[~mask].any()


def open_clip(tab, path: Path) -> None:
    with tab.expect_file_chooser() as chooser:
        tab.click("#open-clip")
    chooser.value.set_files(path)
    shows(tab, (WIDTH, HEIGHT))
    until(tab, "text('#clip-told').includes(it)", f"{FRAMES} frames of {WIDTH} × {HEIGHT}")


def frames_of(path: Path) -> tuple[list[np.ndarray], float, int]:
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
        sound = sum(packet.size > 0 for packet in container.demux(audio=0))
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)], rate, sound


@pytest.mark.parametrize("masked", ["painted", "pictures"])
def test_a_clip(visit, files, screenshot, tmp_path, masked):
    tab = visit("?steps=2")
    open_clip(tab, files / "clip.mp4")
    if masked == "painted":
        paint(tab, (60, 11), (84, 11), (84, 16), (60, 16), (60, 22), (84, 22))
    else:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[6:26, 58:86] = 255
        names = [tmp_path / f"mask-{number}.png" for number in range(FRAMES)]
        for name in names:
            Image.fromarray(mask).save(name)
        for again in (True, False):
            with tab.expect_file_chooser() as chooser:
                tab.click("#clip-masks")
            chooser.value.set_files(names)
            until(tab, "text('#clip-told').startsWith(it)", f"{FRAMES} mask files")
            tab.wait_for_selector("#clip-masks-remove")
            if again:
                tab.click("#clip-masks-remove")
                until(tab, "text('#clip-told').includes('paint over the first')")
                tab.wait_for_selector("#clip-masks-remove", state="hidden")
    screenshot(tab, f"video-1-{masked}")
    tab.click("#clip-fill")
    until(tab, "/^Done/.test(text('#status')) && !document.querySelector('#clip-fill').disabled")
    assert "Flicker" in tab.inner_text("#status")
    until(tab, "document.querySelector('#clip-view video')?.videoWidth == it", WIDTH)
    until(tab, "document.querySelector('#clip-view video').readyState > 2")
    screenshot(tab, f"video-2-{masked}-filled")
    path = saved(tab, "#clip-save", tmp_path)
    assert path.name == "clip-filled.mp4"
    before, after = frames_of(files / "clip.mp4"), frames_of(path)
    assert len(after[0]) == FRAMES and after[1:] == before[1:]
    for frame in after[0]:
        assert frame.shape == (HEIGHT, WIDTH, 3)
        inside = frame[10:22, 64:80].astype(int)
        assert (inside[..., 0] - inside[..., 1]).mean() < 80, "the logo is gone"
    shown = np.abs(np.subtract(before[0], after[0], dtype=int))[:, 40:, :40]
    assert shown.mean() < 3


def test_a_clip_can_be_stopped_and_a_bad_one_is_one_sentence(visit, files, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no clip" * 100)
    tab = visit("?steps=50")
    with tab.expect_file_chooser() as chooser:
        tab.click("#open-clip")
    chooser.value.set_files(broken)
    tab.get_by_text("cannot be read").wait_for()
    open_clip(tab, files / "clip.mp4")
    paint(tab, (20, 20), (70, 60), (20, 60), (70, 20))
    tab.click("#clip-fill")
    until(tab, "text('#status').includes('frame')")
    tab.click("#stop")
    until(tab, "!document.querySelector('#clip-fill').disabled")


def test_a_model_is_specialised(visit, files, screenshot, monkeypatch, tmp_path):
    torch.manual_seed(0)
    unet = InpaintUNet(sample_size=16, channels=(32, 32), attention=(False, False), blocks=1)
    schedule = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    InpaintPipeline(unet, schedule).save_pretrained(tmp_path / "start")  # smaller than ours
    module = importlib.import_module("inpaint.training.specialise")
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "start")
    tab = visit()
    tab.locator("#special button").first.click()
    tab.locator("#special-command").wait_for()
    tab.fill("#special-name input, #special-name textarea", "mine")
    tab.locator("#special-minutes input").fill("0.03")
    wanted = "python -m inpaint specialise folder/ --name mine --minutes 0.03"
    until(tab, "document.querySelector('#special-command textarea')?.value == it", wanted)
    tab.locator("#special-pictures input[type=file]").set_input_files(
        [files / "photo.png", files / "style.png"]
    )
    until(tab, "text('#special-pictures').includes('style')")
    screenshot(tab, "specialise-1")
    tab.click("#special-start")
    until(tab, "text('#special-told').includes('mine')")
    screenshot(tab, "specialise-2")
    tab.locator("#model input").click()
    tab.get_by_role("option", name="mine").wait_for()
