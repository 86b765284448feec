"""The editing tasks end to end: each one's defining property, on made pictures."""

import cv2
import numpy as np
import pytest
import torch
from models import conditional

from inpaint import edit, estimate, masks, proposal
from inpaint.filling import fill
from inpaint.masks import Stroke, Strokes
from inpaint.pictures.provenance import EDITED
from inpaint.preparing import PREPARE
from inpaint.selfpatch import SelfModel, Source
from inpaint.settings import Settings
from inpaint.tasks import TASKS

FAST = {"steps": 4, "device": "cpu"}
RNG = np.random.default_rng(0)


def stripes(height, width, period=6, low=60, high=200):
    """Upright stripes with a little noise."""
    x = np.arange(width)
    row = np.where(x // (period // 2) % 2, high, low)
    noisy = np.repeat(row[None], height, 0) + RNG.integers(-6, 7, (height, width))
    return np.repeat(noisy[..., None], 3, 2).astype(np.uint8)


SKY = (cv2.GaussianBlur(RNG.normal(0, 60, (72, 80)), (0, 0), 2)[..., None] + [90, 120, 160]).astype(
    np.uint8
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    conditional().save_pretrained(path)
    return str(path)


def untouched(before, result):
    assert np.array_equal(result.picture.pixels[~result.mask], before[~result.mask])
    assert result.receipt.changed == 0


def nearest(patch, source, side=5):
    """Root mean square distance of each patch to the nearest of a source, averaged."""

    def cut(image):
        grey = image[..., 0].astype(np.float32)
        view = np.lib.stride_tricks.sliding_window_view(grey, (side, side))
        return torch.from_numpy(view.reshape(-1, side * side).copy())

    return float((torch.cdist(cut(patch), cut(source)).amin(1) / side).mean())


# Repair


def test_only_what_was_changed_is_marked_as_generated(tmp_path):
    clean = edit(np.full((40, 44, 3), 90, np.uint8), task="repair", **FAST)
    assert not clean.mask.any()
    mask = np.zeros((40, 44), bool)
    mask[9:12, 9:12] = True
    edited = edit(clean.picture, mask, **FAST)
    again = edit(edited.picture, task="repair", sensitivity=0, **FAST)
    for suffix in ("png", "jpg", "tif"):
        for name, result in (("clean", clean), ("edited", edited), ("again", again)):
            data = result.save(tmp_path / f"{name}.{suffix}").read_bytes()
            assert data.count(EDITED) == (name != "clean")
            assert b"inpaint" in data


def test_a_clean_picture_is_returned_unchanged():
    result = edit(HILLS, task="repair", **FAST)
    assert np.array_equal(result.picture.pixels, HILLS) and result.evaluations == 0
    assert result.notes and result.notes[0].startswith("Nothing to repair was found")
    assert not result.mask.any() and result.finished
    assert not proposal(HILLS).any()


def hills(size=240):
    """Soft shapes with the grain of a photograph."""
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.normal(0, 1, (size, size)), (0, 0), 20)
    soft *= 35 / soft.std()
    grain = rng.normal(0, 2, (size, size, 1))
    return (np.dstack([soft + 110, soft + 120, soft + 140]) + grain).clip(0, 255).astype(np.uint8)


HILLS = hills()


def scratched():
    damaged = HILLS.copy()
    cv2.line(damaged, (30, 15), (150, 220), (250, 250, 250), 2)
    return damaged, (damaged != HILLS).any(axis=2)


def test_a_scratch_is_found_and_filled():
    damaged, scratch = scratched()
    found = proposal(damaged)
    assert (found & scratch).sum() > 0.8 * scratch.sum()
    result = edit(damaged, task="repair", **FAST)
    untouched(damaged, result)
    assert np.array_equal(result.mask, masks.grow(found, 3))
    error = np.abs(result.picture.pixels.astype(int) - HILLS)[scratch].mean()
    assert error < np.abs(damaged.astype(int) - HILLS)[scratch].mean() / 4


def test_a_painted_mask_takes_the_place_of_the_proposal():
    damaged, _ = scratched()
    painted = np.zeros(damaged.shape[:2], bool)
    painted[60:64, 5:12] = True
    result = edit(damaged, painted, task="repair", grow=0, **FAST)
    assert np.array_equal(result.mask, painted)


def test_a_transparent_picture_stays_so_when_repaired():
    damaged, _ = scratched()
    alpha = np.full(damaged.shape[:2], 255, np.uint8)
    alpha[:, 60:] = 40
    result = edit(np.dstack([damaged, alpha]), task="repair", **FAST)
    assert np.array_equal(result.picture.alpha, alpha)


def test_only_repair_proposes_a_mask():
    with pytest.raises(ValueError, match="proposes no mask"):
        proposal(SKY, task="fill")
    assert [n for n, task in TASKS.items() if task.proposes] == [
        n for n in PREPARE if PREPARE[n].propose
    ]


# Replace

PIC = stripes(64, 72)
TONES = np.where(np.arange(72) < 44, 70, 190)[:, None] + RNG.normal(0, 10, (64, 72, 1))
TONES = np.repeat(TONES, 3, 2).astype(np.uint8)


def stroked():
    """Flat light paint on the dark part of a picture of two tones, both grainy."""
    copy = TONES.copy()
    copy[20:44, 10:34] = 190
    return copy


def test_a_flat_stroke_gets_the_pictures_texture_and_keeps_its_tone():
    values = {"task": "replace", "guide": stroked(), "device": "cpu"}
    result = edit(TONES, **values)
    untouched(TONES, result)
    inside = result.picture.pixels[24:40, 14:30]
    assert abs(inside.mean() - 190) < 10 and inside.std() > 3
    assert np.array_equal(edit(TONES, **values).picture.pixels, result.picture.pixels)
    other = edit(TONES, seed=5, **values)
    assert not np.array_equal(other.picture.pixels, result.picture.pixels)


def test_more_strength_keeps_less_of_the_stroke():
    light, gone = (
        edit(TONES, task="replace", guide=stroked(), strength=u, **FAST).picture.pixels[
            24:40, 14:30
        ]
        for u in (0.1, 1.0)
    )
    assert light.mean() > gone.mean() + 40


def test_a_pasted_object_keeps_its_texture_and_loses_its_edge():
    thing = np.repeat(RNG.integers(90, 170, (30, 30, 1), np.uint8), 3, 2)
    thing = cv2.GaussianBlur(thing, (0, 0), 1)
    result = edit(SKY, task="replace", guide=thing, at="24,20", device="cpu")
    untouched(SKY, result)
    hard = SKY.copy()
    hard[20:50, 24:54] = thing
    light, grain = [], []
    for image in (hard, result.picture.pixels):
        grey = image[..., 0].astype(np.float32)
        grain.append((grey - cv2.GaussianBlur(grey, (0, 0), 3))[28:42, 32:46].ravel())
        light.append(abs(grey[20:50, 24:54].mean() - SKY[20:50, 24:54, 0].mean()))
    assert np.corrcoef(*grain)[0, 1] > 0.8
    assert light[1] < light[0] / 3


def test_coloured_strokes_are_the_guide():
    stroke = Stroke("paint", 8.0, ((30.0, 32.0), (42.0, 32.0)), color="#c8c8c8")
    drawn = Strokes((72, 64), (stroke,))
    result = edit(PIC, drawn, task="replace", device="cpu")
    untouched(PIC, result)
    assert np.array_equal(result.mask, masks.grow(masks.rasterize(drawn, (72, 64)), 3))
    copy = masks.paint(drawn, PIC)
    same = edit(PIC, masks.rasterize(drawn, (72, 64)), task="replace", guide=copy, device="cpu")
    assert np.array_equal(same.picture.pixels, result.picture.pixels)
    assert same.recipe == result.recipe and result.recipe["guide_sha256"]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"task": "replace"}, "Paint in colour, or give a second picture"),
        ({"task": "replace", "guide": PIC}, "shows nothing new"),
        ({"task": "replace", "guide": PIC[:9, :9], "at": "here"}, "at cannot be 'here'"),
        ({"task": "replace", "guide": PIC[:9, :9], "at": "500,3"}, "lies outside"),
        ({"task": "restyle"}, "Give a second picture that shows the style"),
    ],
)
def test_what_is_missing_is_one_sentence(settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        edit(PIC, device="cpu", **settings)
    assert "\n" not in str(caught.value)


def test_colours_spread_beyond_their_strokes():
    grey = np.repeat(TONES[..., :1], 3, 2)
    paint = Stroke("paint", 3.0, ((10.0, 10.0), (30.0, 10.0)), color="#2040e0")
    part = Stroke("rectangle", points=((0.0, 0.0), (72.0, 32.0)))
    whole, half = (
        edit(grey, Strokes((72, 64), drawn), task="colourise", device="cpu")
        for drawn in ((paint,), (paint, part))
    )
    made = whole.picture.pixels.astype(int)
    assert (made[40:60, 5:40, 2] - made[40:60, 5:40, 0]).mean() > 40, "far below the stroke"
    assert whole.mask.all() and np.array_equal(half.picture.pixels[33:], grey[33:])
    assert (half.picture.pixels[:30] != grey[:30]).any()


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("width", [3, 9])
def test_a_thin_stroke_does_not_wear_away(width, eta):
    blue = np.array([40, 80, 220])  # nothing in the picture is of that colour
    copy = SKY.copy()
    copy[20 : 20 + width, 8:40] = blue
    result = edit(SKY, task="replace", guide=copy, eta=eta, device="cpu")
    made = result.picture.pixels[20 : 20 + width, 10:38].astype(int)
    assert np.abs(made.mean(axis=(0, 1)) - blue).max() < 25
    untouched(SKY, result)


def test_flat_paint_gets_the_texture_of_its_surroundings():
    copy = TONES.copy()
    copy[12:52, 12:52] = (200, 60, 60)
    made = edit(TONES, task="replace", guide=copy, device="cpu").picture.pixels
    inside = made[20:44, 20:44].astype(float)
    assert np.abs(inside.mean(axis=(0, 1)) - (200, 60, 60)).max() < 12
    assert inside.std(axis=(0, 1)).min() > 2, "it is not flat"


# Create and restyle


def test_what_is_created_has_the_pictures_patches_in_another_order():
    result = edit(PIC, task="create", **FAST)
    made = result.picture.pixels
    assert made.shape == PIC.shape and result.receipt.outside == 0
    assert str(result.receipt) == "the whole picture was made anew"
    assert np.abs(made.astype(int) - PIC).mean() > 5
    assert nearest(made, PIC) < 15 < nearest(RNG.integers(60, 200, PIC.shape, np.uint8), PIC)
    assert np.array_equal(edit(PIC, task="create", **FAST).picture.pixels, made)


def test_a_lower_strength_makes_variations():
    far, near = (
        np.abs(edit(SKY, task="create", strength=u, **FAST).picture.pixels.astype(int) - SKY).mean()
        for u in (1.0, 0.2)
    )
    assert near < far / 2


def test_a_painted_part_alone_is_created():
    mask = np.zeros(PIC.shape[:2], bool)
    mask[20:40, 20:40] = True
    result = edit(PIC, mask, task="create", **FAST)
    untouched(PIC, result)
    assert np.array_equal(result.mask, masks.grow(mask, 3))


def test_a_large_picture_is_created_small_and_that_is_said(folder):
    wide = np.zeros((40, 800, 3), np.uint8)
    result = edit(wide, task="create", model=folder, steps=1, device="cpu")
    assert result.picture.size == (384, 19) and "384 × 19" in result.notes[0]


def test_lost_transparency_is_said(folder):
    clear = np.full((20, 24, 4), 255, np.uint8)
    options = {"task": "create", "model": folder, "steps": 1, "device": "cpu"}
    assert edit(clear, **options).notes == ()
    clear[:5, :5, 3] = 0
    result = edit(clear, **options)
    assert result.picture.alpha is None and "transparency is left out" in result.notes[0]


def test_restyled_has_the_styles_patches_and_the_pictures_structure():
    picture = np.full((64, 64, 3), 40, np.uint8)
    picture[:, 32:] = 220
    dark, light = stripes(64, 48, low=50, high=90), stripes(64, 48, low=160, high=200)
    style = np.hstack([dark, light])
    result = edit(picture, task="restyle", guide=style, **FAST)
    made = result.picture.pixels
    assert nearest(made, style) < nearest(picture, style) / 2
    assert made[:, :28].mean() < 100 < 150 < made[:, 36:].mean()
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    part = edit(picture, mask, task="restyle", guide=style, **FAST)
    untouched(picture, part)


def test_a_network_makes_and_restyles_too(folder):
    for task, more in (("create", {}), ("restyle", {}), ("restyle", {"guide": SKY})):
        result = edit(PIC, task=task, model=folder, **more, **FAST)
        assert result.evaluations > 0 and result.picture.size == (72, 64)
        assert estimate((72, 64), task=task, model=folder, **more, **FAST).evaluations > 0


# Where patches come from


def test_patches_come_from_the_source_alone():
    known = torch.zeros(1, 3, 24, 24)
    source = torch.where(
        torch.rand(1, 1, 40, 30, generator=torch.Generator().manual_seed(0)) > 0.5, 0.5, 0.25
    )
    source = source.expand(-1, 3, -1, -1).contiguous()
    usable = torch.zeros(1, 1, 40, 30)
    model = SelfModel(Source(source, usable, (24, 24)))
    out = fill(model, known, torch.ones(1, 1, 24, 24), Settings(steps=4), [0])[0]
    assert 0.25 <= out.min() and out.max() <= 0.5 and out.std() > 0.05


def test_what_is_unusable_is_not_learnt():
    known, source = torch.zeros(1, 3, 24, 24), torch.full((1, 3, 48, 24), 0.5)
    source[:, :, 24:] = -0.5
    unusable = torch.zeros(1, 1, 48, 24)
    unusable[:, :, 24:] = 1
    model = SelfModel(Source(source, unusable, (24, 24)))
    out = fill(model, known, torch.ones(1, 1, 24, 24), Settings(steps=4), [0])[0]
    assert torch.allclose(out, torch.tensor(0.5), atol=1e-5)


# Candidates that disagree


def test_diversity_is_the_spread_over_candidates():
    mask = np.zeros(PIC.shape[:2], bool)
    mask[20:40, 20:40] = True
    result = edit(PIC, mask, candidates=3, **FAST)
    all_ = np.stack([c.picture().pixels for c in result.candidates]) / 255
    assert result.diversity() == pytest.approx(all_.std(0).mean(-1), abs=1e-6)
    assert result.diversity().dtype == np.float32
    assert not result.diversity()[~result.mask].any() and result.diversity().any()
    one = edit(PIC, mask, **FAST)
    assert not one.diversity().any()
