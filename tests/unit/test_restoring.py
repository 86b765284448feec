"""The restoring tasks: what is known holds to the last unit, whatever the network says."""

import cv2
import numpy as np
import pytest
import torch
from models import conditional, pixel_model, unconditional
from PIL import Image

from inpaint import editing, masks, restoring
from inpaint.colouring import spread_colours
from inpaint.editing import Stopped, edit, estimate
from inpaint.operators import Noisy, Shrunk
from inpaint.pictures import MAX_PIXELS, Picture, PictureError
from inpaint.preparing import LEAST_NOISE
from inpaint.restoring import Restorer, beyond_blur, estimated_noise, network_of, strength_of
from inpaint.rounding import grey
from inpaint.schedule import cosine_levels
from inpaint.selfpatch import SelfModel
from inpaint.settings import Settings
from inpaint.tasks import TASKS, settled

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 23, 3), np.uint8)
SMOOTH = np.clip(
    np.add.outer(np.arange(40) * 2, np.arange(52))[..., None] + [20, 50, 80], 0, 255
).astype(np.uint8)
RESTORING = [name for name, task in TASKS.items() if task.restores]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    conditional().save_pretrained(path)
    return str(path)


def restored(picture, task, folder, **more):
    options = {"model": folder, "device": "cpu", "task": task, "steps": 2} | more
    return edit(picture, **options)


# Enlarge


PICTURES = {
    "8 bit": Picture(PIXELS),
    "grey": Picture(PIXELS[..., :1]),
    "alpha": Picture(PIXELS, alpha=PIXELS[..., 0]),
    "16 bit": Picture(RNG.integers(0, 65536, (20, 23, 3), np.uint16)),
    "16 bit grey": Picture(RNG.integers(0, 65536, (20, 23, 1), np.uint16)),
    "black and white": Picture(255 * RNG.integers(0, 2, (20, 23, 3), np.uint8)),
}


def means(pixels, scale):
    height, width = pixels.shape[:2]
    shape = height // scale, scale, width // scale, scale, -1
    return pixels.reshape(shape).astype(np.float64).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("scale", [2, 4])
def test_an_enlarged_picture_shrinks_back_exactly(kind, scale, folder):
    before = PICTURES[kind]
    result = restored(before, "enlarge", folder, scale=scale)
    after = result.picture
    assert after.size == (23 * scale, 20 * scale) and after.pixels.dtype == before.pixels.dtype
    assert np.array_equal(means(after.pixels, scale), before.pixels)
    if before.alpha is not None:
        assert np.array_equal(means(after.alpha, scale)[..., 0], before.alpha)
    assert str(result.receipt) == f"Shrunk by {scale} it is the original, exactly"


def test_a_network_that_sees_the_picture_alone_will_do(tmp_path):
    unconditional().save_pretrained(tmp_path)
    result = restored(PIXELS, "enlarge", str(tmp_path))
    assert np.array_equal(means(result.picture.pixels, 2), PIXELS)


def test_an_enlarged_picture_in_inks_becomes_rgb_and_shrinks_back(folder):
    inks = Picture(RNG.integers(0, 256, (8, 9, 4), np.uint8))
    result = restored(inks, "enlarge", folder)
    assert np.array_equal(means(result.picture.pixels, 2), np.rint(inks.rgb() * 255))
    assert str(result.receipt).endswith("exactly")


def test_the_receipt_of_an_enlargement_counts(folder):
    from inpaint.preparing import PREPARE, Request

    request = Request(Picture(PIXELS), None, None, Settings(task="enlarge", scale=2))
    wrong = np.repeat(np.repeat(PIXELS, 2, axis=0), 2, axis=1)
    wrong[0, 0] = np.where(wrong[0, 0] < 128, wrong[0, 0] + 4, wrong[0, 0] - 4)
    assert PREPARE["enlarge"].promise(request, Picture(wrong)).endswith("to within 1 of 255")


def test_what_would_be_too_large_is_refused_before_it_is_made(folder):
    huge = Picture(np.broadcast_to(np.uint8(0), (MAX_PIXELS // 4000, 2000, 3)))
    with pytest.raises(PictureError, match="limit"):
        restored(huge, "enlarge", folder, scale=4)


# Colourise


def tones(pixels):
    return grey(pixels.astype(np.int64))


@pytest.mark.parametrize("kind", PICTURES)
def test_a_coloured_picture_keeps_every_grey(kind, folder):
    before = PICTURES[kind]
    result = restored(before, "colourise", folder)
    wanted = before.pixels[..., 0] if before.pixels.shape[2] == 1 else tones(before.pixels)
    assert np.array_equal(tones(result.picture.pixels), wanted)
    if before.pixels.dtype == np.uint8:
        assert np.array_equal(Image.fromarray(result.picture.pixels).convert("L"), wanted)
    assert str(result.receipt) == "Turned to grey it is the original's grey, exactly"


def test_strokes_give_their_colours(folder):
    photo = np.full((40, 60), 120, np.uint8)
    photo[:, 30:] = 60
    layer = np.zeros((40, 60, 4), np.uint8)
    layer[5:9, 5:9], layer[30:34, 50:54] = (200, 60, 60, 255), (40, 40, 160, 255)
    out = restored(photo, "colourise", folder, guide=layer, strength=0.01).picture.pixels
    assert np.array_equal(tones(out), photo)
    red, _, blue = np.moveaxis(out.astype(int), 2, 0)
    assert (red[:, :28] > blue[:, :28] + 40).all() and (blue[:, 32:] > red[:, 32:] + 40).all()


def test_colours_on_a_copy_are_found_and_sizes_must_agree(folder):
    photo = np.full((30, 30, 3), 120, np.uint8)
    copy = photo.copy()
    copy[4:8, 4:8] = 200, 60, 60
    out = restored(photo, "colourise", folder, guide=copy, strength=0.01).picture.pixels
    assert (out[..., 0] > out[..., 2].astype(int) + 40).all()
    with pytest.raises(ValueError, match="same size"):
        restored(photo, "colourise", folder, guide=copy[:20])


def test_only_what_is_painted_is_coloured(folder):
    mask = np.zeros(PIXELS.shape[:2], bool)
    mask[5:12, 6:15] = True
    result = restored(PIXELS, "colourise", folder, mask=mask)
    assert np.array_equal(result.picture.pixels[~mask], PIXELS[~mask])
    assert not np.array_equal(result.picture.pixels[mask], PIXELS[mask])
    assert np.array_equal(tones(result.picture.pixels), tones(PIXELS))


def test_spread_colours_have_no_luma_of_their_own():
    luma = RNG.random((33, 47)).astype(np.float32)
    painted = RNG.random((33, 47)) < 0.01
    colours = RNG.random((33, 47, 3)).astype(np.float32)
    out = spread_colours(luma, colours, painted)
    assert np.allclose(out @ np.array([0.299, 0.587, 0.114]), luma, atol=1e-3)
    nothing = spread_colours(luma, colours, np.zeros_like(painted))
    assert np.allclose(nothing, luma[..., None], atol=1e-6)


# Denoise and deblur


@pytest.mark.parametrize("deviation", [2, 10, 25, 60])
def test_noise_is_estimated(deviation):
    smooth = np.repeat(np.add.outer(np.arange(200), np.arange(300))[..., None], 3, axis=2)
    noisy = smooth + RNG.normal(0, deviation, smooth.shape)
    assert estimated_noise(noisy.astype(np.float32)) == pytest.approx(deviation, rel=0.03)
    assert estimated_noise(smooth.astype(np.float32)) < 1e-3


@pytest.mark.parametrize("noise", [0.01, 0.2, 1.0, 3.0])
def test_the_sampler_starts_where_the_noise_is_that_of_the_picture(noise):
    level = cosine_levels(1, strength_of(noise))[0]
    assert ((1 - level) / level) ** 0.5 == pytest.approx(noise, rel=1e-6)


def test_denoising_asks_the_network_for_the_mean():
    """One step is D(√ᾱ·y, ᾱ) at the level of the noise: the mean, and nothing else."""
    model, noise = pixel_model(unconditional), 0.3
    y, hole = torch.rand(1, 3, 32, 32) * 2 - 1, torch.ones(1, 1, 32, 32)
    out, _ = Restorer(model, lambda window: Noisy(), noise=noise).fill(
        y, hole, Settings(steps=1), [0]
    )
    level = 1 / (1 + noise**2)
    wanted = model.pipeline.denoiser(y, hole)(level**0.5 * y, level)
    assert torch.allclose(out, wanted, atol=1e-4)


@pytest.mark.parametrize("task", ["denoise", "deblur"])
def test_only_what_is_painted_is_restored(task, folder):
    mask = np.zeros(PIXELS.shape[:2], bool)
    mask[5:12, 6:15] = True
    result = restored(PIXELS, task, folder, mask=mask)
    assert np.array_equal(result.picture.pixels[~mask], PIXELS[~mask])
    assert not np.array_equal(result.picture.pixels[mask], PIXELS[mask])
    assert result.receipt.changed == 0


@pytest.mark.parametrize("task", ["denoise", "deblur"])
def test_a_painted_part_is_grown_and_blended_in(task, folder):
    mask = np.zeros(PIXELS.shape[:2], bool)
    mask[5:12, 6:15] = True
    result = restored(PIXELS, task, folder, mask=mask, noise=20, grow=4, feather=3)
    grown = masks.grow(mask, 4)
    assert np.array_equal(result.mask, grown) and result.receipt.changed == 0
    share = masks.feather(grown, 3)[..., None]
    hard = restored(PIXELS, task, folder, mask=mask, noise=20, grow=4).picture.pixels.astype(float)
    wanted = share * hard + (1 - share) * PIXELS
    assert np.abs(result.picture.pixels - wanted).max() <= 1


def test_the_receipt_of_a_painted_part_is_about_that_part(folder):
    mask = np.zeros(PIXELS.shape[:2], bool)
    mask[5:12, 6:15] = True
    result = restored(PIXELS, "denoise", folder, noise=20, mask=mask)
    taken = np.sqrt(np.square(result.picture.pixels.astype(float) - PIXELS)[mask].mean())
    assert f"and {taken:.1f} taken away" in str(result.receipt)


def test_the_receipt_says_how_much_noise_was_taken(folder):
    result = restored(PIXELS, "denoise", folder, noise=20)
    taken = np.sqrt(np.square(result.picture.pixels.astype(float) - PIXELS).mean())
    assert str(result.receipt) == f"Noise of 20.0 of 255 was looked for, and {taken:.1f} taken away"
    assert LEAST_NOISE < 1


def test_the_receipt_of_deblurring_blurs_again(folder):
    result = restored(SMOOTH, "deblur", folder, blur=1, noise=0, steps=1, strength=0.01)
    rest = float(str(result.receipt).removesuffix(" of 255").split()[-1])
    assert rest < 2


@pytest.mark.parametrize("radius", [0.8, 1.0, 2.0, 5.0])
def test_what_a_blur_would_have_removed_is_the_noise_if_it_is_as_stated(radius):
    sharp = RNG.normal(0, 60, (300, 400, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(sharp, (0, 0), radius, borderType=cv2.BORDER_REFLECT)
    noisy = blurred + RNG.normal(0, 2, sharp.shape).astype(np.float32)
    assert beyond_blur(noisy, radius) == pytest.approx(2, rel=0.15)
    assert beyond_blur(sharp, radius) == pytest.approx(60, rel=0.15)
    assert beyond_blur(noisy[:5, :7], radius) < 10
    assert beyond_blur(sharp, 0.3) == 0


def test_a_picture_that_is_not_blurred_as_stated_is_not_turned_into_stripes(folder):
    photo = cv2.GaussianBlur(PIXELS.repeat(8, 0).repeat(8, 1), (0, 0), 1)
    result = restored(photo, "deblur", folder, blur=2, steps=1, strength=0.01)
    changed = result.picture.pixels.astype(float) - photo
    assert np.sqrt(np.square(changed).mean()) < 20
    assert str(result.receipt).endswith(
        "of 255, which is not blurred so much: try a smaller radius"
    )


@pytest.mark.parametrize("task", RESTORING)
def test_a_picture_of_several_windows_has_no_seams(task, folder, monkeypatch):
    photo = SMOOTH[:, np.abs(np.arange(-80, 80)) % 52] // 2 + RNG.integers(0, 99, (40, 160, 1))
    options = {"steps": 1, "noise": 0, "blur": 1, "strength": 0.01}
    whole = restored(photo.astype(np.uint8), task, folder, **options)
    monkeypatch.setattr(editing, "LARGEST_CORE", 64)
    cut = restored(photo.astype(np.uint8), task, folder, **options)
    assert cut.evaluations > whole.evaluations
    difference = cut.picture.pixels.astype(int) - whole.picture.pixels
    assert np.abs(difference).max() <= 4


# All of them


@pytest.mark.parametrize("task", RESTORING)
def test_evaluations_are_planned_and_a_stop_keeps_what_there_is(task, folder):
    moments = []
    whole = restored(SMOOTH, task, folder, progress=moments.append)
    guess = estimate(Picture(SMOOTH), device="cpu", task=task, model=folder, steps=2)
    assert guess.evaluations == whole.evaluations == moments[-1].total == len(moments)
    box, view = moments[0].preview()
    assert view.shape == (box[3] - box[1], box[2] - box[0], 3)

    def stop(moment):
        raise Stopped

    stopped = restored(SMOOTH, task, folder, progress=stop)
    assert not stopped.finished and stopped.evaluations == 1
    assert stopped.picture.size == whole.picture.size
    if task == "enlarge":
        assert np.array_equal(means(stopped.picture.pixels, 2), SMOOTH)
    if task == "colourise":
        assert np.array_equal(tones(stopped.picture.pixels), tones(SMOOTH))


@pytest.mark.parametrize("task", RESTORING)
def test_the_seed_matters_only_where_noise_is_added(task, folder):
    def made(seed, eta):
        return restored(SMOOTH, task, folder, seed=seed, eta=eta).picture.pixels

    assert np.array_equal(made(1, 0), made(2, 0))
    assert np.array_equal(made(1, 1), made(1, 1))
    assert not np.array_equal(made(1, 1), made(2, 1))


@pytest.mark.parametrize("task", RESTORING)
def test_a_task_that_restores_needs_a_network_and_a_sampler_that_projects(task):
    with pytest.raises(ValueError, match=f"^self can only fill holes; {task} needs a network"):
        settled({"task": task, "model": "self"})
    with pytest.raises(ValueError, match="^repaint can only fill holes; choose ddim"):
        settled({"task": task, "sampler": "repaint"})
    from inpaint.filling import Pyramid

    with pytest.raises(ValueError, match="needs a network"):
        network_of(Pyramid(SelfModel()))


def test_windows_do_not_depend_on_their_batch():
    model = pixel_model(conditional)
    windows, hole = torch.rand(3, 3, 32, 48) * 2 - 1, torch.ones(1, 1, 32, 48)
    settings = Settings(steps=2, eta=1, strength=0.5)
    worker = Restorer(model, lambda w: Shrunk(torch.nn.functional.avg_pool2d(w, 4), 4))
    batch, _ = worker.fill(windows, hole, settings, [5, 6, 7])
    for k in range(3):
        alone, _ = worker.fill(windows[k : k + 1], hole, settings, [5 + k])
        assert torch.allclose(batch[k], alone[0], atol=1e-5)


class Constant:
    """A network whose answer tells tiles apart: a step between them would be seen."""

    def __init__(self):
        self.calls = 0

    def denoiser(self, known, mask):
        assert (known == 0).all() and (mask == 1).all(), "the network is told that nothing is known"
        self.calls += 1
        value = 0.5 * (-1) ** self.calls
        return lambda x, level: torch.full_like(x, value)


def test_tiles_blend_into_each_other(monkeypatch):
    monkeypatch.setattr(restoring, "SIDE", 64)
    tiled = restoring._Tiled(
        Constant().denoiser,
        Noisy(),
        list(restoring.tiles(torch.ones(1, 1, 64, 192), 64, restoring.CONTEXT)),
        lambda step: None,
        3,
        torch.zeros(1, 3, 64, 192),
    )
    out = tiled(torch.zeros(1, 3, 64, 192), 0.5)
    assert tiled.done == 3 and out.min() < -0.4 and out.max() > 0.4
    # Over an overlap of 64 pixels the estimates of two tiles that differ by 1 change places.
    assert (out.diff(dim=-1).abs() < 0.04).all()
