"""The second picture: where it is laid, and how it is matched."""

import numpy as np
import pytest

from inpaint import edit, guides, masks, pictures
from inpaint.masks import Stroke, Strokes
from inpaint.pictures import Picture
from inpaint.preparing import strokes

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 60, 3), np.uint8)
PICTURE = Picture(PIXELS)


def ramp(height, width):
    """Smooth light, different in each channel."""
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 2, y * 3, 40 + x + y]).astype(np.uint8)


def test_a_painted_copy_is_taken_over_where_it_differs():
    copy = PIXELS.copy()
    copy[5:9, 10:20] = 255 - copy[5:9, 10:20]
    copy[5:9, 10:20, 0] = (PIXELS[5:9, 10:20, 0].astype(int) + 100) % 256
    copy[30, 30] = np.clip(PIXELS[30, 30].astype(int) + 5, 0, 255)  # as from a JPEG
    laid, mask, cut = guides.laid(PICTURE, Picture(copy), None, "")
    assert mask[5:9, 10:20].all() and mask.sum() == 40 and not cut
    assert np.array_equal(laid.pixels[mask], copy[mask])
    assert np.array_equal(laid.pixels[~mask], PIXELS[~mask])


def test_a_painted_copy_is_taken_over_where_it_is_masked():
    mask = np.zeros((40, 60), bool)
    mask[2:4, 3:9] = True
    laid, found, _ = guides.laid(PICTURE, Picture(255 - PIXELS), mask, "")
    assert np.array_equal(found, mask)
    assert np.array_equal(laid.pixels, np.where(mask[..., None], 255 - PIXELS, PIXELS))


@pytest.mark.parametrize(
    "at, box",
    [
        ("5,7", (5, 7, 15, 13)),
        ("-4,-2", (0, 0, 6, 4)),
        ("55,38", (55, 38, 60, 40)),
        ("5,7,20,30", (5, 7, 25, 37)),
        ("", (25, 17, 35, 23)),
    ],
)
def test_an_object_goes_where_it_is_told(at, box):
    flat = Picture(np.full((6, 10, 3), 77, np.uint8))
    laid, mask, cut = guides.laid(PICTURE, flat, None, at)
    wanted = np.zeros((40, 60), bool)
    wanted[box[1] : box[3], box[0] : box[2]] = True
    assert np.array_equal(mask, wanted) and cut
    assert (laid.pixels[mask] == 77).all()
    assert np.array_equal(laid.pixels[~mask], PIXELS[~mask])


def test_an_object_is_fitted_into_what_was_painted_and_a_large_one_into_the_middle():
    painted = np.zeros((40, 60), bool)
    painted[10:30, 20:30] = True
    thing = Picture(np.full((5, 5, 3), 9, np.uint8))
    assert guides.laid(PICTURE, thing, painted, "")[1][15:25, 20:30].sum() == 100
    large = Picture(np.full((400, 400, 3), 9, np.uint8))
    assert guides.laid(PICTURE, large, None, "")[1][10:30, 20:40].sum() == 400


def test_transparent_parts_of_an_object_are_left_out():
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:20, 10:20], alpha[10:20, 20] = 255, 64
    layer = Picture(np.full((40, 60, 3), 200, np.uint8), alpha=alpha)
    laid, mask, cut = guides.laid(PICTURE, layer, None, "")
    assert np.array_equal(mask, alpha >= 128) and not cut
    assert (laid.pixels[mask] == 200).all()
    assert np.array_equal(laid.pixels[alpha == 0], PIXELS[alpha == 0])


@pytest.mark.parametrize(
    "guide, at, message",
    [
        (PICTURE, "", "shows nothing new"),
        (Picture(PIXELS[:5, :5]), "60,0", "lies outside"),
        (Picture(PIXELS[:5, :5]), "-5,0", "lies outside"),
        (Picture(PIXELS[:5, :5], alpha=np.zeros((5, 5), np.uint8)), "", "wholly transparent"),
    ],
)
def test_a_guide_that_shows_nothing_is_refused(guide, at, message):
    with pytest.raises(ValueError, match=message):
        guides.laid(PICTURE, guide, None, at)


def test_a_place_and_a_mask_are_too_much():
    with pytest.raises(ValueError, match=r"^Give the second picture a place or a mask .*\.$"):
        guides.laid(PICTURE, Picture(PIXELS[:5, :5]), np.ones((40, 60), bool), "3,4")


@pytest.mark.parametrize("pixels", [PIXELS[..., :1], PIXELS.astype(np.uint16) * 257])
def test_the_picture_keeps_its_kind(pixels):
    thing = Picture(np.full((6, 10, 3), 77, np.uint8))
    laid = guides.laid(Picture(pixels), thing, None, "")[0]
    assert laid.pixels.shape == pixels.shape and laid.pixels.dtype == pixels.dtype
    assert laid.pixels[20, 30, 0] == 77 * (257 if pixels.dtype == np.uint16 else 1)


def test_flat_paint_is_told_from_texture():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:30] = True
    painted = PIXELS.copy()
    painted[10:30, 10:20], painted[10:30, 20:30] = 30, 90  # two strokes
    assert guides.is_flat(Picture(painted), mask)
    assert not guides.is_flat(PICTURE, mask)


def test_blending_undoes_a_shift_in_light_and_keeps_gradients():
    before = ramp(40, 60)
    mask = np.zeros((40, 60), bool)
    mask[10:30, 15:45] = True
    pasted = before.copy()
    pasted[mask] += np.array([60, 20, 0], np.uint8)
    pasted[20, 30] += 30  # a detail of its own
    after = guides.blended(Picture(before), Picture(pasted), mask).pixels.astype(int)
    detail = after[20, 30] - after[20, 31]
    after[20, 30] = before[20, 30]
    assert np.abs(after - before).max() <= 1
    assert np.array_equal(after[~mask], before[~mask])
    assert (np.abs(detail - 30) <= 4).all()


def test_recoloured_has_the_mean_and_covariance_of_the_style():
    style = RNG.normal(120, 12, (50, 50, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.2], [0, 0, 0.7]])
    style = Picture(style.clip(0, 255).astype(np.uint8))
    before = Picture(RNG.integers(60, 120, (40, 60, 3), np.uint8))
    out = guides.recoloured(before, style)
    a, b = (p.rgb().reshape(-1, 3) for p in (out, style))
    assert a.mean(0) == pytest.approx(b.mean(0), abs=0.005)
    assert np.cov(a.T) == pytest.approx(np.cov(b.T), rel=0.03, abs=1e-4)
    assert guides.recoloured(before, before).pixels.astype(int) == pytest.approx(
        before.pixels.astype(int), abs=1
    )


def test_recoloured_like_or_of_one_pixel():
    one = Picture(np.full((1, 1, 3), 50, np.uint8))
    assert np.abs(guides.recoloured(PICTURE, one).pixels.astype(int) - 50).max() <= 1
    assert guides.recoloured(one, PICTURE).pixels.shape == (1, 1, 3)


def test_recoloured_with_one_flat_colour():
    flat = Picture(np.full((8, 8, 3), 50, np.uint8))
    assert np.abs(guides.recoloured(PICTURE, flat).pixels.astype(int) - 50).max() <= 1


@pytest.mark.parametrize(
    "size, wanted", [((60, 40), (30, 20)), ((20, 30), (20, 30)), ((900, 3), (30, 1))]
)
def test_fitted(size, wanted):
    picture = Picture(np.zeros((size[1], size[0], 1), np.uint8))
    assert guides.fitted(picture, 30).size == wanted
    assert guides.fitted(picture, 30).pixels.shape[2] == 1


@pytest.mark.parametrize("wide", [1, 257])
def test_a_painted_copy_of_a_picture_with_transparency_is_a_copy(wide):
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:8, :8], alpha[8] = 0, 128
    copy, own = PIXELS.copy(), Picture(PIXELS, alpha)
    copy[10:20, 30:40] = 255 - copy[10:20, 30:40]
    copy[10:20, 30:40, 0] = (PIXELS[10:20, 30:40, 0].astype(int) + 100) % 256
    copy[:4, :8] = 255 - PIXELS[:4, :8]  # not seen
    kind = np.uint8 if wide == 1 else np.uint16
    wanted = np.zeros((40, 60), bool)
    wanted[10:20, 30:40] = True
    guide = Picture(copy.astype(kind) * kind(wide), alpha.astype(kind) * kind(wide))
    _, mask, cut = guides.laid(own, guide, None, "")
    assert np.array_equal(mask, wanted) and not cut
    colours, painted = strokes(guide, own)
    assert np.array_equal(painted, wanted) and colours[15, 35] == pytest.approx(copy[15, 35] / 255)
    wanted[2, 2] = guide.alpha[2, 2] = 255 * wide  # painted where nothing was
    assert np.array_equal(guides.laid(own, guide, None, "")[1], wanted)
    assert np.array_equal(guides.laid(own, Picture(PIXELS[::-1]), None, "")[1].any(1), [True] * 40)


@pytest.mark.parametrize("wide", [1, 257])
def test_what_is_pasted_on_transparent_ground_shows(wide):
    kind = np.uint8 if wide == 1 else np.uint16
    alpha = np.full((40, 60), 255 * wide, kind)
    alpha[:, 30:] = 0
    pixels = np.where(alpha[..., None] > 0, PIXELS, 0).astype(kind) * kind(wide)
    picture, thing = Picture(pixels, alpha), disc(16, 5)
    thing.pixels[..., 1:] = 0
    result = edit(picture, task="replace", guide=thing, at="36,12", model="self", steps=2, grow=1)
    shown, kept = result.picture, ~result.mask
    there = np.hypot(*(np.mgrid[:40, :60] - np.reshape([19.5, 43.5], (2, 1, 1)))) <= 5
    assert (shown.alpha[there] == 255 * wide).all()
    assert not shown.alpha[~there & (alpha == 0)].any()
    assert shown.pixels[there].min(axis=0)[0] > 200 * wide, "no black of the ground shows through"
    assert np.array_equal(shown.pixels[kept], pixels[kept])
    assert np.array_equal(shown.alpha[kept], alpha[kept])


def test_nothing_hidden_shows_through_the_soft_edge_of_an_object():
    clear = Picture(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8))
    soft = Picture(np.full((9, 9, 3), 255, np.uint8), np.full((9, 9), 140, np.uint8))
    laid, mask, _ = guides.laid(clear, soft, None, "5,5")
    assert (laid.pixels[mask] == 255).all()
    assert (guides.blended(clear, laid, mask).pixels[mask] == 255).all()


# Hidden colours


def disc(side=60, radius=25):
    """A white disc on transparent ground, which hides black."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    inside = (np.hypot(x, y) <= radius).astype(np.uint8) * 255
    return Picture(np.repeat(inside[..., None], 3, axis=2), inside)


@pytest.mark.parametrize("at", ["3,3,23,23", "3,3", "-20,-9,130,70"])
def test_a_resized_object_has_no_halo_of_what_it_hides(at):
    white = Picture(np.full((64, 64, 3), 255, np.uint8))
    laid, mask, _ = guides.laid(white, disc(), None, at)
    assert (laid.pixels == 255).all() and mask.any()


def test_a_pasted_picture_has_no_halo_of_what_it_hides(tmp_path):
    pictures.write(disc(), tmp_path / "disc.png")
    paste = Stroke("paste", points=((3.3, 4), (27, 26)), path=str(tmp_path / "disc.png"))
    white = np.full((40, 40, 3), 255, np.uint8)
    assert (masks.paint(Strokes((40, 40), (paste,)), white) == 255).all()


def test_only_what_a_style_shows_counts():
    shown = RNG.integers(120, 200, (50, 50, 3), np.uint8)
    alpha = np.full((50, 50), 255, np.uint8)
    alpha[:, 25:] = 0
    hiding = Picture(np.where(alpha[..., None] > 0, shown, 0), alpha)
    of_it = guides.recoloured(PICTURE, hiding).pixels
    assert np.array_equal(of_it, guides.recoloured(PICTURE, Picture(shown[:, :25])).pixels)
    small = guides.fitted(hiding, 17)
    assert small.pixels[~masks.from_alpha(small)].min() > 110
    result = edit(PIXELS, task="restyle", guide=hiding, model="self", steps=2, strength=1)
    assert result.picture.pixels.min() > 100
    with pytest.raises(ValueError, match="wholly transparent"):
        edit(PIXELS, task="restyle", guide=Picture(shown, 0 * alpha), model="self")
