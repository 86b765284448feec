import dataclasses
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from models import conditional
from PIL import Image

from inpaint import editing, masks, pictures
from inpaint.catalog import MODELS
from inpaint.editing import Stopped, edit, estimate, receipt
from inpaint.filling import fill
from inpaint.masks import Stroke, Strokes
from inpaint.pictures import Picture
from inpaint.settings import Settings

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 44, 3), np.uint8)
MASK = np.zeros((40, 44), bool)
MASK[12:24, 14:26] = True
FAST = {"steps": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network of our own kind, saved as diffusers saves it."""
    path = tmp_path_factory.mktemp("model")
    conditional().save_pretrained(path)
    return str(path)


def outside_is_untouched(before, result):
    """Compare with the picture as it was, byte for byte, where the mask says so."""
    after, kept = result.picture, ~result.mask
    assert after.pixels.dtype == before.pixels.dtype and after.pixels.shape == before.pixels.shape
    assert np.array_equal(after.pixels[kept], before.pixels[kept])
    assert (after.alpha is None) == (before.alpha is None)
    if before.alpha is not None:
        assert np.array_equal(after.alpha[kept], before.alpha[kept])
    assert (result.receipt.outside, result.receipt.changed) == (kept.sum(), 0)


# What it takes


def encoded(array, format, mode=None):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, format)
    return out.getvalue()


RGBA = np.dstack([PIXELS, RNG.integers(1, 256, MASK.shape, np.uint8)])
SIXTEEN = RNG.integers(0, 65536, (40, 44, 3), np.uint16)
SOURCES = {
    "rgb": PIXELS,
    "grey": PIXELS[..., 0],
    "grey, one channel": PIXELS[..., :1],
    "grey and alpha": RGBA[..., 2:],
    "rgba": RGBA,
    "16 bit": SIXTEEN,
    "16 bit grey": SIXTEEN[..., 0],
    "16 bit rgba": np.dstack([SIXTEEN, SIXTEEN[..., :1]]),
    "Pillow": Image.fromarray(PIXELS),
    "Pillow L": Image.fromarray(PIXELS[..., 0]),
    "Pillow RGBA": Image.fromarray(RGBA),
    "Pillow P": Image.fromarray(PIXELS).quantize(16),
    "Picture": Picture(PIXELS),
    "PNG bytes": encoded(RGBA, "PNG"),
    "JPEG bytes": encoded(PIXELS, "JPEG"),
    "CMYK TIFF": encoded(RGBA, "TIFF", "CMYK"),
    "16 bit PNG": pictures.encode(Picture(SIXTEEN), "PNG"),
    "16 bit TIFF": pictures.encode(Picture(SIXTEEN), "TIFF"),
}


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
@pytest.mark.parametrize("kind", SOURCES)
def test_edit_takes_any_picture(kind):
    source = SOURCES[kind]
    before = pictures.read(source)
    copy = before.pixels.copy()
    result = edit(source, MASK, **FAST)
    outside_is_untouched(before, result)
    assert result.finished and result.notes == () and result.seconds > 0
    assert np.array_equal(before.pixels, copy), "the input is not changed"
    assert not np.array_equal(result.picture.pixels[result.mask], before.pixels[result.mask])
    assert result.picture.format == before.format and result.picture.icc == before.icc


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_edit_takes_files(tmp_path, suffix):
    path, mask = tmp_path / f"in{suffix}", tmp_path / "mask.png"
    Image.fromarray(PIXELS).save(path)
    Image.fromarray(MASK).save(mask)
    before = path.read_bytes()
    for source, painted in ((path, mask), (str(path), str(mask))):
        outside_is_untouched(pictures.read(path), edit(source, painted, **FAST))
    assert path.read_bytes() == before


def test_all_kinds_of_masks_mean_the_same(tmp_path):
    painted = (
        MASK,
        MASK.astype(np.uint8),
        MASK.astype(np.uint8) * 255,
        Image.fromarray(MASK),
        encoded(MASK.astype(np.uint8) * 255, "PNG"),
        Strokes((44, 40), (Stroke("rectangle", 0, ((14, 12), (26, 24))),)),
    )
    results = [edit(PIXELS, mask, **FAST) for mask in painted]
    for result in results:
        assert np.array_equal(result.picture.pixels, results[0].picture.pixels)
        assert result.recipe == results[0].recipe


def test_a_mask_of_another_size_is_fitted():
    result = edit(PIXELS, MASK[::2, ::2], grow=0, **FAST)
    assert np.array_equal(result.mask, np.kron(MASK[::2, ::2], np.ones((2, 2), bool)))


def test_the_mask_is_widened_and_only_it_changes():
    for grow in (0, 5):
        result = edit(PIXELS, MASK, grow=grow, feather=0, **FAST)
        assert np.array_equal(result.mask, masks.grow(MASK, grow))
        outside_is_untouched(Picture(PIXELS), result)


def test_feathering_blends_inside_the_mask():
    hard, soft = (edit(PIXELS, MASK, grow=6, feather=feather, **FAST) for feather in (0, 6))
    alpha = masks.feather(soft.mask, 6)[..., None]
    new = hard.candidates[0].patches[0]
    fresh = np.zeros(PIXELS.shape)
    new.region.crop_array(fresh)[:] = new.pixels
    wanted = np.rint(alpha * fresh + (1 - alpha) * PIXELS)
    assert np.abs(soft.picture.pixels - wanted).max() <= 1


@given(
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    channels=st.sampled_from([1, 2, 3, 4]),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    grow=st.integers(0, 3),
    feather=st.integers(0, 4),
    steps=st.integers(1, 2),
    data=st.data(),
)
@hypothesis_settings(max_examples=40, deadline=None)
def test_outside_the_mask_every_byte_is_kept(size, channels, dtype, grow, feather, steps, data):
    width, height = size
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    array = rng.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)
    painted = rng.random((height, width)) < data.draw(st.sampled_from([0.02, 0.3]))
    settings = {"grow": grow, "feather": feather, "steps": steps, "device": "cpu"}
    if not painted.any():
        with pytest.raises(ValueError, match="Nothing is painted"):
            edit(array, painted, **settings)
    elif masks.grow(painted, grow).all():
        with pytest.raises(ValueError, match="Everything is painted over"):
            edit(array, painted, **settings)
    else:
        before = pictures.read(array)
        outside_is_untouched(before, edit(array, painted, **settings))


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 9), (3, 2), (8, 8)])
def test_one_known_pixel_is_enough(size):
    array = np.full((size[1], size[0], 3), (9, 200, 77), np.uint8)
    painted = np.ones(size[::-1], bool)
    painted[0, 0] = False
    array[painted] = 0
    out = edit(array, painted, grow=0, feather=0, **FAST).picture.pixels
    assert (out == (9, 200, 77)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value", [0, 77, 255])
def test_a_constant_picture_comes_out_constant(dtype, channels, value):
    value = value * (np.iinfo(dtype).max // 255)
    whole = np.full((40, 44, channels), value, dtype)
    painted = np.where(MASK[..., None], np.iinfo(dtype).max - whole, whole).astype(dtype)
    out = edit(painted, MASK, feather=2, device="cpu").picture.pixels
    assert np.array_equal(out, whole), "the painted pixels lie deeper than the blend"


# Alpha


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("grow, feather", [(3, 3), (0, 0), (0, 8), (5, 2)])
def test_without_a_mask_the_transparent_pixels_are_filled_and_opaque(dtype, grow, feather):
    top = np.iinfo(dtype).max
    alpha = np.full(MASK.shape, top, dtype)
    ys, xs = np.mgrid[:40, :44]
    bare = np.hypot(ys - 18, xs - 20) < 7
    alpha[bare] = 0
    alpha[2:5, 2:9] = top // 2 + 1  # no longer transparent
    whole = np.full((40, 44, 3), top // 3, dtype)
    picture = Picture(np.where(bare[..., None], 0, whole).astype(dtype), alpha)
    result = edit(picture, grow=grow, feather=feather, **FAST)
    assert np.array_equal(result.mask, masks.grow(bare, grow))
    outside_is_untouched(picture, result)
    assert (result.picture.alpha[bare] == top).all()
    assert np.array_equal(result.picture.pixels, whole), "nothing of the invisible colour is left"


def test_with_a_mask_on_what_shows_the_alpha_is_kept():
    picture = pictures.read(RGBA)
    picture.alpha[picture.alpha < 128] += 128
    result = edit(picture, MASK, **FAST)
    assert np.array_equal(result.picture.alpha, picture.alpha)
    assert not np.array_equal(result.picture.pixels, picture.pixels)


@pytest.mark.parametrize("wide", [1, 257])
@pytest.mark.parametrize("task", ["fill", "replace", "create"])
def test_what_is_filled_on_transparent_ground_shows(task, wide):
    kind = np.uint8 if wide == 1 else np.uint16
    alpha = np.full(MASK.shape, 255 * wide, kind)
    alpha[:, 20:] = 0
    alpha[:, 19], alpha[2:5, 2:9] = 200 * wide, 150 * wide
    whole = np.full((40, 44, 3), 90 * wide, kind)
    picture = Picture(np.where(alpha[..., None] > 0, whole, 0).astype(kind), alpha)
    result = edit(picture, MASK, task=task, strength=1, model="self", **FAST)
    outside_is_untouched(picture, result)
    assert (result.picture.alpha[MASK] == 255 * wide).sum() >= MASK.sum() - 12 * 5
    assert (result.picture.alpha[MASK][alpha[MASK] == 0] == 255 * wide).all()
    rim = (alpha == 0) & ~MASK
    assert not result.picture.alpha[rim].any(), "beside the paint it stays transparent"
    assert np.array_equal(result.picture.alpha[2:5, 2:9], alpha[2:5, 2:9])


@pytest.mark.parametrize("picture", [PIXELS, np.dstack([PIXELS, np.full(MASK.shape, 255, "u1")])])
def test_without_a_mask_and_without_transparency_a_sentence_says_so(picture):
    with pytest.raises(ValueError, match=r"^(Give a mask: |Nothing is painted; ).*\.$"):
        edit(picture, **FAST)


# The receipt


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_receipt_counts(dtype):
    before = Picture(np.full((5, 6, 3), 9, dtype), np.full((5, 6), 7, dtype))
    mask = np.zeros((5, 6), bool)
    mask[1:3, 1:3] = True
    assert str(receipt(before, before, mask)) == "0 of 26 pixels outside the mask changed"
    pixels, alpha = before.pixels.copy(), before.alpha.copy()
    pixels[1, 1] = 0  # inside
    alpha[2, 2] = 0
    after = dataclasses.replace(before, pixels=pixels, alpha=alpha)
    assert receipt(before, after, mask).changed == 0
    pixels[0, 0, 2] += 1
    pixels[4, 5] = 0
    alpha[4, 5] = alpha[3, 0] = 6
    assert receipt(before, after, mask) == editing.Receipt(outside=26, changed=3)


def test_a_spoilt_result_does_not_pass():
    result = edit(PIXELS, MASK, **FAST)
    spoilt = result.picture.pixels.copy()
    spoilt[tuple(np.argwhere(~result.mask)[17])] ^= 1
    after = dataclasses.replace(result.picture, pixels=spoilt)
    assert receipt(Picture(PIXELS), after, result.mask).changed == 1


def test_a_large_receipt_is_readable():
    assert str(editing.Receipt(12_345_678, 0)) == "0 of 12 345 678 pixels outside the mask changed"


# Several holes, several candidates


def test_several_holes_are_filled_each():
    array = RNG.integers(0, 256, (60, 300, 3), np.uint8)
    painted = np.zeros((60, 300), bool)
    boxes = [np.s_[10:16, 10:18], np.s_[30:34, 150:153], np.s_[50:60, 290:300]]
    for box in boxes:
        painted[box] = True
    result = edit(array, painted, **FAST)
    outside_is_untouched(Picture(array), result)
    assert len(result.candidates[0].patches) == 3
    for box in boxes:
        assert (result.picture.pixels[box] != array[box]).any(axis=2).mean() > 0.9


def test_equal_holes_do_not_get_equal_fills(folder):
    array = np.full((64, 400, 3), 128, np.uint8)
    painted = np.zeros((64, 400), bool)
    painted[20:30, 100:110] = painted[20:30, 300:310] = True
    out = edit(array, painted, model=folder, **FAST).picture.pixels
    assert not np.array_equal(out[20:30, 100:110], out[20:30, 300:310])


def test_candidates_differ_and_have_seeds_of_their_own(folder):
    for model in ("self", folder):
        result = edit(PIXELS, MASK, model=model, seed=2**32 - 2, candidates=3, **FAST)
        seeds = [candidate.recipe["settings"]["seed"] for candidate in result.candidates]
        assert seeds == [2**32 - 2, 2**32 - 1, 0]
        images = [candidate.picture().pixels for candidate in result.candidates]
        assert len({image.tobytes() for image in images}) == 3
        assert np.array_equal(images[0], result.picture.pixels)
        for seed, image in zip(seeds, images, strict=True):
            alone = edit(PIXELS, MASK, model=model, seed=seed, **FAST)
            assert np.array_equal(alone.picture.pixels, image)


def test_a_recipe_replays(folder):
    result = edit(PIXELS, MASK, model=folder, sampler="ddnm", seed=5, candidates=2, **FAST)
    assert len(result.recipe["model_sha256"]) == 64
    for candidate in result.candidates:
        again = edit(PIXELS, MASK, device="cpu", **candidate.recipe["settings"])
        assert np.array_equal(again.picture.pixels, candidate.picture().pixels)
        assert again.recipe == candidate.recipe


def test_the_hole_does_not_show_in_the_result(folder):
    other = np.where(MASK[..., None], 255 - PIXELS, PIXELS)
    for model in ("self", folder):
        out = [edit(p, MASK, model=model, grow=0, feather=0, **FAST) for p in (PIXELS, other)]
        assert np.array_equal(out[0].picture.pixels, out[1].picture.pixels)


def test_a_batch_of_candidates_is_as_good_as_one_by_one(folder):
    # What a GPU does: several at once, through the same model.
    model = editing.load(folder, editing.devices.pick("cpu")).filler.model
    picture = torch.rand(2, 3, 40, 44, generator=torch.Generator().manual_seed(0)) * 2 - 1
    hole = torch.from_numpy(MASK.astype(np.float32))[None, None]
    both, _ = fill(model, picture, hole, Settings(steps=2), [1, 2])
    for k, seed in enumerate((1, 2)):
        alone, _ = fill(model, picture[k : k + 1], hole, Settings(steps=2), [seed])
        assert torch.allclose(both[k], alone[0], atol=1e-4)


# Saving


def test_a_saved_png_is_exact_and_holds_its_recipe(tmp_path):
    for source in (PIXELS, RGBA, SIXTEEN, PIXELS[..., 0]):
        result = edit(source, MASK, seed=4, **FAST)
        path = result.save(tmp_path / "out.png")
        assert json.loads(pictures.embedded_text(path)["inpaint"]) == result.recipe
        again = pictures.read(path)
        assert np.array_equal(again.pixels, result.picture.pixels)
        assert (again.alpha is None) == (result.picture.alpha is None)
        if again.alpha is not None:
            assert np.array_equal(again.alpha, result.picture.alpha)


@pytest.mark.parametrize("format, suffix", [("PNG", ".png"), ("TIFF", ".tif"), ("JPEG", ".jpg")])
def test_each_candidate_is_saved_with_its_own_recipe(tmp_path, format, suffix):
    result = edit(PIXELS, MASK, candidates=2, **FAST)
    for candidate in result.candidates:
        path = candidate.save(tmp_path / f"out{suffix}")
        assert json.loads(pictures.embedded_text(path)["inpaint"]) == candidate.recipe
        text = pictures.embedded_text(candidate.encode(format))
        assert json.loads(text["inpaint"]) == candidate.recipe


# Progress and Stop


def test_progress_counts_up_to_what_was_planned():
    moments = []
    result = edit(PIXELS, MASK, candidates=2, progress=moments.append, **FAST)
    total = result.evaluations
    assert [moment.number for moment in moments] == list(range(1, total + 1))
    assert {moment.total for moment in moments} == {total}
    assert [moment.candidate for moment in moments] == [0] * (total // 2) + [1] * (total // 2)
    assert all(moment.seconds_left >= 0 for moment in moments) and moments[-1].seconds_left == 0
    assert all(moment.stage for moment in moments)


def test_a_preview_is_the_estimate_in_its_place():
    views = []
    edit(SIXTEEN, MASK, progress=lambda moment: views.append(moment.preview()), **FAST)
    (x0, y0, x1, y1), image = views[-1]
    assert image.dtype == np.uint8 and image.shape == (y1 - y0, x1 - x0, 3)
    kept = ~masks.grow(MASK, 3)[y0:y1, x0:x1]
    exact = np.rint(SIXTEEN[y0:y1, x0:x1] / 257).astype(np.uint8)
    assert np.array_equal(image[kept], exact[kept])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_stop_keeps_what_there_is(n):
    numbers = []

    def stop(moment):
        numbers.append(moment.number)
        if len(numbers) == n:
            raise Stopped

    result = edit(PIXELS, MASK, steps=6, candidates=3, device="cpu", progress=stop)
    assert not result.finished and len(result.candidates) == 1 and result.evaluations == n
    outside_is_untouched(Picture(PIXELS), result)


def test_stop_in_the_second_candidate_keeps_the_first():
    def stop(moment):
        if moment.candidate == 1:
            raise Stopped

    result = edit(PIXELS, MASK, candidates=3, progress=stop, **FAST)
    whole = edit(PIXELS, MASK, **FAST)
    assert not result.finished and len(result.candidates) == 2
    assert np.array_equal(result.picture.pixels, whole.picture.pixels)


def test_stop_in_the_first_of_two_holes_leaves_the_second():
    array = RNG.integers(0, 256, (40, 300, 3), np.uint8)
    painted = np.zeros((40, 300), bool)
    painted[10:16, 10:18] = painted[10:16, 250:258] = True

    def stop(moment):
        raise Stopped

    result = edit(array, painted, progress=stop, **FAST)
    assert np.array_equal(result.picture.pixels[:, 200:], array[:, 200:])
    outside_is_untouched(Picture(array), result)


def test_other_errors_of_a_callback_come_through():
    def fail(moment):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        edit(PIXELS, MASK, progress=fail, **FAST)


# What it refuses


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"task": "nothing"}, "^there is no task 'nothing'; choose fill"),
        (
            {"model": "nothing"},
            "^There is no model 'nothing'; choose self, .* or give a",
        ),
        ({"model": "x" * 900}, "^There is no model"),
        ({"stepz": 3}, "^there is no setting 'stepz'; there are task"),
        ({"steps": 0}, "^steps must be a whole number from 1 to 250, got 0$"),
        ({"device": "abacus"}, "^device must be one of auto"),
    ],
)
def test_a_wrong_setting_is_a_sentence(settings, message):
    for call in (lambda s: edit(PIXELS, MASK, **s), lambda s: estimate((44, 40), MASK, **s)):
        with pytest.raises(ValueError, match=message) as caught:
            call(settings)
        assert "\n" not in str(caught.value)


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(ValueError, match="holds no model: it has no model_index.json"):
        edit(PIXELS, MASK, model=str(tmp_path), **FAST)


def test_a_broken_folder_is_told_in_a_line(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(ValueError, match="^The model in .* cannot be loaded: ") as caught:
        edit(PIXELS, MASK, model=str(tmp_path), **FAST)
    assert "\n" not in str(caught.value)


def test_the_shipped_model_is_listed():
    assert list(MODELS)[:3] == ["self", "blend", "photo"] and MODELS["self"].here()


@pytest.mark.parametrize("mask", [MASK & False, np.zeros((3, 3), np.uint8)])
def test_an_empty_mask_is_refused(mask):
    with pytest.raises(ValueError, match="^Nothing is painted; paint over what should be filled.$"):
        edit(PIXELS, mask, **FAST)
    with pytest.raises(ValueError, match="^Nothing is painted"):
        estimate((44, 40), mask)


@pytest.mark.parametrize("size", [(44, 40), (1, 1), (30, 2)])
def test_a_mask_over_everything_is_refused_in_a_sentence(size):
    array = np.zeros((size[1], size[0], 3), np.uint8)
    for grow in (0, 3):
        with pytest.raises(ValueError, match="^Everything is painted over; leave a part of .*$"):
            edit(array, np.ones(size[::-1], bool), grow=grow, **FAST)


def test_a_picture_beyond_the_limit_is_refused():
    with pytest.raises(pictures.PictureError, match="the limit is"):
        edit(PIXELS, MASK, max_pixels=100, **FAST)


@pytest.mark.parametrize("picture", [None, 3, np.zeros((4, 4), float), b"", "missing.png"])
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(pictures.PictureError):
        edit(picture, MASK, **FAST)


# Estimates


HOLES = {
    "one": [np.s_[12:24, 14:26]],
    "speck": [np.s_[3:4, 3:4]],
    "several": [np.s_[5:9, 5:9], np.s_[60:90, 120:180], np.s_[0:3, 190:200]],
}


@pytest.mark.parametrize("holes", HOLES)
@pytest.mark.parametrize("sampler", ["ddim", "repaint", "lanpaint"])
def test_an_estimate_counts_what_the_edit_then_does(holes, sampler, folder):
    painted = np.zeros((100, 200), bool)
    for box in HOLES[holes]:
        painted[box] = True
    array = RNG.integers(0, 256, (100, 200, 3), np.uint8)
    settings = {"sampler": sampler, "steps": 2, "resample": 2, "jump": 2, "candidates": 2}
    for model in ("self", folder):
        planned = estimate((200, 100), painted, device="cpu", model=model, **settings)
        moments = []
        done = edit(array, painted, device="cpu", model=model, progress=moments.append, **settings)
        assert planned.evaluations == done.evaluations == len(moments) == moments[0].total
        assert planned.regions == len(done.candidates[0].patches)
        assert 0 < planned.seconds < 60


def test_an_estimate_grows_with_the_candidates():
    one, four = (estimate((44, 40), MASK, candidates=n, device="cpu") for n in (1, 4))
    assert four.evaluations == 4 * one.evaluations
    assert four.seconds == pytest.approx(4 * one.seconds)


# Holes beyond memory


@pytest.fixture
def cut_holes(monkeypatch):
    monkeypatch.setattr(editing, "LARGEST_CORE", 32)


def test_a_huge_hole_is_cut_and_leaves_nothing_unfilled(cut_holes, folder):
    painted = np.zeros((90, 130), bool)
    painted[8:80, 10:118] = True
    painted[30:40, 50:60] = False
    whole = np.full((90, 130, 3), 90, np.uint8)
    array = np.where(painted[..., None], 255, whole).astype(np.uint8)
    result = edit(array, painted, feather=2, **FAST)
    assert np.array_equal(result.picture.pixels, whole)
    assert len(result.candidates[0].patches) == 3 * 4
    outside_is_untouched(Picture(array), result)
    other = edit(array, painted, model=folder, grow=0, feather=0, **FAST)
    assert (other.picture.pixels[painted] != 255).any(axis=1).all()
    outside_is_untouched(Picture(array), other)


def test_a_cut_hole_has_no_slivers_and_its_patches_no_context(monkeypatch):
    monkeypatch.setattr(editing, "LARGEST_CORE", 128)
    painted = np.zeros((60, 170), bool)
    painted[20:40, 20:150] = True
    array = RNG.integers(0, 256, (60, 170, 3), np.uint8)
    patches = edit(array, painted, grow=0, **FAST).candidates[0].patches
    assert [patch.region.box for patch in patches] == [(20, 20, 116, 40), (116, 20, 150, 40)]
    assert [patch.pixels.shape[:2] for patch in patches] == [(20, 96), (20, 34)]
    assert [patch.alpha.shape for patch in patches] == [(20, 96), (20, 34)]


def test_each_pixel_of_a_cut_hole_is_blended_once(cut_holes):
    painted = np.zeros((70, 90), bool)
    painted[5:64, 6:82] = True
    result = edit(PIXELS[:1, :1].repeat(70, 0).repeat(90, 1), painted, feather=9, **FAST)
    total = np.zeros(painted.shape, np.float32)
    for patch in result.candidates[0].patches:
        patch.region.crop_array(total)[:] += patch.alpha
    assert len(result.candidates[0].patches) > 1
    assert np.array_equal(total, masks.feather(result.mask, 9))


def test_an_estimate_of_a_cut_hole_counts_what_is_done(cut_holes, folder):
    painted = np.zeros((70, 90), bool)
    painted[5:64, 6:82] = True
    array = RNG.integers(0, 256, (70, 90, 3), np.uint8)
    for model in ("self", folder):
        planned = estimate((90, 70), painted, device="cpu", model=model, steps=1)
        moments = []
        done = edit(array, painted, device="cpu", model=model, steps=1, progress=moments.append)
        assert planned.evaluations == done.evaluations == len(moments) == moments[0].total


def test_a_hole_longer_than_the_largest_core_is_filled():
    painted = np.zeros((24, 1300), bool)
    painted[10:14, 20:1280] = True
    array = np.full((24, 1300, 3), 90, np.uint8)
    assert edit(array, painted, steps=1, device="cpu").picture.pixels.max() == 90


# When memory ends


def hungry(times, record):
    """A callback that really asks for more memory than there is, the first `times` times."""

    def progress(moment):
        record.append(moment)
        if len(record) <= times:
            torch.empty(1 << 60)

    return progress


@pytest.mark.parametrize("model", ["self", "folder"])
def test_when_memory_ends_the_edit_is_made_more_frugally_and_says_so(model, folder):
    model = folder if model == "folder" else model
    moments = []
    result = edit(PIXELS, MASK, candidates=2, model=model, progress=hungry(1, moments), **FAST)
    assert result.notes == ("Memory ran out, so this was made with smaller tiles.",)
    assert result.finished and len(result.candidates) == 2
    assert [m.number for m in moments[1:]] == list(range(1, len(moments)))
    assert result.evaluations == len(moments) - 1
    outside_is_untouched(Picture(PIXELS), result)


def test_smaller_tiles_are_counted_as_they_are(tmp_path):
    pipeline = conditional()
    pipeline.unet.register_to_config(sample_size=64)
    pipeline.save_pretrained(tmp_path)
    painted = np.zeros((100, 110), bool)
    painted[20:80, 20:80] = True
    array = RNG.integers(0, 256, (100, 110, 3), np.uint8)
    moments, settings = [], {"model": str(tmp_path), "strength": 0.4, **FAST}
    plain = edit(array, painted, **settings)
    result = edit(array, painted, progress=hungry(1, moments), **settings)
    assert result.evaluations == len(moments) - 1 > plain.evaluations
    assert {m.total for m in moments[1:]} == {result.evaluations}
    assert min(m.seconds_left for m in moments) >= 0


def test_when_nothing_helps_a_sentence_says_so():
    with pytest.raises(MemoryError, match="^There is not enough memory for this fill; paint a s"):
        edit(PIXELS, MASK, progress=hungry(99, []), **FAST)


# Batches


@pytest.mark.parametrize("candidates", [1, 3])
def test_separate_holes_are_filled_in_one_batch_and_alike_without(folder, candidates, monkeypatch):
    pixels = RNG.integers(0, 256, (64, 300, 3), np.uint8)
    mask = np.zeros((64, 300), bool)
    mask[30:34, [20, 21, 150, 151, 270]] = True
    seen = []
    pick = editing.devices.pick

    def run(batch):
        device = dataclasses.replace(pick("cpu"), batch=batch)
        monkeypatch.setattr(editing.devices, "pick", lambda name: device)
        seen.clear()
        return edit(
            pixels,
            mask,
            model=folder,
            candidates=candidates,
            progress=lambda moment: seen.append(moment.number),
            **FAST,
        )

    alone = run(1)
    calls = len(seen)
    together = run(8)
    assert together.evaluations == alone.evaluations == seen[-1]
    assert len(seen) * 3 * candidates <= calls * (1 if candidates == 1 else 2)
    for one, other in zip(alone.candidates, together.candidates, strict=True):
        # The arithmetic of a batch rounds otherwise than that of one.
        gap = one.picture().pixels.astype(int) - other.picture().pixels
        assert np.abs(gap).max() <= 1
