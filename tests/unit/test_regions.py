from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inpaint.regions import GROUPING, Region, around_holes, batches, cut, tiles
from inpaint.scales import enlarge, inscribed_radius, nearest, shrink, spread

RNG = np.random.default_rng(0)
masks = arrays.arrays(bool, st.tuples(st.integers(1, 70), st.integers(1, 70)))


def hole(size, *boxes):
    """An (H, W) mask of a picture of size (width, height) with these boxes painted."""
    mask = np.zeros(size[::-1], bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def as_tensor(mask):
    return torch.from_numpy(mask.astype(np.float32))[None, None]


# Groups of holes


def test_nothing_painted_is_no_region():
    assert around_holes(np.zeros((9, 7), bool), lambda side: 3) == []


def test_one_hole_gets_its_context():
    found = around_holes(hole((200, 150), (60, 50, 90, 65)), lambda side: side // 2)
    # 15 pixels on every side, and sides rounded up to a multiple of 32.
    assert found == [Region((60, 50, 90, 65), (43, 26, 107, 90))]
    assert found[0].size == (64, 64)


@pytest.mark.parametrize("box", [(0, 0, 5, 4), (195, 146, 200, 150), (0, 0, 200, 150)])
def test_a_region_ends_where_the_picture_ends(box):
    [region] = around_holes(hole((200, 150), box), lambda side: 10)
    x0, y0, x1, y1 = box
    left, top, right, bottom = region.box
    assert region.core == box
    assert 0 <= left <= max(x0 - 10, 0) and 0 <= top <= max(y0 - 10, 0)
    assert min(x1 + 10, 200) <= right <= 200 and min(y1 + 10, 150) <= bottom <= 150
    assert region.size in ((32, 32), (200, 150))


def test_far_holes_are_apart_and_in_reading_order():
    boxes = [(300, 20, 310, 30), (10, 20, 20, 30), (150, 200, 155, 205)]
    found = around_holes(hole((400, 300), *boxes), lambda side: 20)
    assert [region.core for region in found] == [boxes[1], boxes[0], boxes[2]]


def test_near_holes_are_joined():
    boxes = [(10, 10, 20, 20), (25, 12, 30, 40)]
    [region] = around_holes(hole((400, 300), *boxes), lambda side: 2)
    assert region.core == (10, 10, 30, 40)


def test_holes_in_reach_of_a_context_are_joined_with_it():
    boxes = [(0, 0, 60, 60), (130, 0, 134, 4)]
    apart = around_holes(hole((400, 300), *boxes), lambda side: 40)
    joined = around_holes(hole((400, 300), *boxes), lambda side: 2 * side)
    assert [region.core for region in apart] == boxes
    assert [region.core for region in joined] == [(0, 0, 134, 60)]


def test_joining_goes_on_until_nothing_is_near():
    # Joined, two of them want so much context that they reach the third, on either side.
    for middle in (140, 160):
        boxes = [(0, 0, 20, 20), (middle, 0, middle + 20, 20), (300, 0, 320, 20)]
        context = {20: 121}
        found = around_holes(hole((600, 30), *boxes), lambda side, c=context: c.get(side, side))
        assert [region.core for region in found] == [(0, 0, 320, 20)]


def test_a_thousand_specks_are_a_few_groups():
    mask = np.zeros((600, 800), bool)
    mask[RNG.integers(100, 300, 1000), RNG.integers(100, 400, 1000)] = True
    mask[500:503, 700:703] = True
    found = around_holes(mask, lambda side: 24)
    assert len(found) == 2
    ys, xs = np.nonzero(mask[:400])
    assert found[0].core == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


@given(masks, st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_each_hole_pixel_is_in_one_core_and_in_no_other_box(mask, context):
    found = around_holes(mask, lambda side: context)
    covered = np.zeros(mask.shape, int)
    for region in found:
        x0, y0, x1, y1 = region.core
        assert mask[y0, x0:x1].any() and mask[y1 - 1, x0:x1].any()
        assert mask[y0:y1, x0].any() and mask[y0:y1, x1 - 1].any()
        region.crop_array(covered)[:] += 1
    assert np.array_equal(covered[mask], np.ones(mask.sum()))


def test_the_mask_may_be_a_view():
    mask = hole((GROUPING * 8, 90), (40, 30, 60, 50))
    for view in (mask[:, ::2], mask[::-1, ::-1], mask.T):
        [region] = around_holes(view, lambda side: 0)
        x0, y0, x1, y1 = region.core
        assert view[y0:y1, x0:x1].all() and view.sum() == (x1 - x0) * (y1 - y0)


# Crops and pastes


def test_crops_are_views_of_the_box():
    region = Region((3, 2, 5, 4), (1, 1, 8, 5))
    array, tensor = RNG.random((7, 9, 2)), torch.rand(2, 3, 7, 9)
    assert np.array_equal(region.crop_array(array), array[1:5, 1:8])
    region.crop(tensor).zero_()
    assert tensor[..., 1:5, 1:8].abs().sum() == 0 and tensor[..., 0, :].all()
    array[2:4, 3:5] = 2
    crop = region.crop_array(array).transpose(2, 0, 1)
    for window in (crop, torch.from_numpy(crop)):
        assert region.inside(window).shape[-2:] == (2, 2) and (region.inside(window) == 2).all()
    assert np.array_equal(region.bare.crop_array(array), np.full((2, 2, 2), 2))


@pytest.mark.parametrize("multiple", [1, 32])
@pytest.mark.parametrize("width, parts", [(1, 1), (64, 1), (65, 2), (96, 2), (127, 2), (190, 3)])
def test_a_box_is_cut_evenly(width, parts, multiple):
    cores = list(cut((3, 5, 3 + width, 7), 64, multiple))
    widths = [x1 - x0 for x0, _, x1, _ in cores]
    assert len(cores) == parts and sum(widths) == width and 0 < min(widths) <= max(widths) <= 64
    assert max(widths) - min(widths) <= (1 if multiple == 1 else 2 * multiple - 1)
    assert all(step % multiple == 0 for step in widths[:-1])
    assert all(a[2] == b[0] for a, b in pairwise(cores)) and cores[-1][2] == 3 + width


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_paste_blends_and_leaves_the_rest_alone(dtype, channels):
    top = np.iinfo(dtype).max
    before = RNG.integers(0, top + 1, (12, 15, channels), dtype, endpoint=False)
    region = Region((4, 3, 8, 9), (2, 2, 11, 10))
    patch = RNG.uniform(0, top, (8, 9, channels)).astype(np.float32)
    alpha = RNG.uniform(0, 1, (8, 9)).astype(np.float32)
    alpha[0], alpha[1] = 0, 1
    alpha[2], alpha[3] = 1e-7, 5e-4
    canvas = before.copy()
    region.paste(canvas, patch, alpha)
    part, old = canvas[2:10, 2:11], before[2:10, 2:11].astype(float)
    assert np.array_equal(part[0], before[2, 2:11]), "alpha 0 keeps every byte"
    assert np.array_equal(part[1], np.rint(patch[1])), "alpha 1 is the patch"
    assert np.array_equal(part[2], before[4, 2:11])
    mixed = alpha[..., None] * patch.astype(float) + (1 - alpha[..., None].astype(float)) * old
    assert np.abs(part - mixed).max() <= 0.5 + top * 1e-6
    canvas[2:10, 2:11] = before[2:10, 2:11]
    assert np.array_equal(canvas, before)


def test_paste_cannot_wrap_around():
    canvas = np.full((2, 2, 1), 250, np.uint8)
    patch = np.array([[[-9], [300]], [[255.4], [0.4]]], np.float32)
    Region((0, 0, 2, 2), (0, 0, 2, 2)).paste(canvas, patch, np.ones((2, 2), np.float32))
    assert canvas[..., 0].tolist() == [[0, 255], [255, 0]]


def test_paste_does_not_read_the_patch_where_alpha_is_zero():
    canvas = np.full((1, 2, 1), 9, np.uint8)
    patch = np.array([[[np.nan], [4]]], np.float32)
    Region((0, 0, 2, 1), (0, 0, 2, 1)).paste(canvas, patch, np.array([[0, 1]], np.float32))
    assert canvas[..., 0].tolist() == [[9, 4]]


# Tiles


@given(masks, st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_tiles_cover_every_hole_pixel_once(mask, side, context):
    covered = np.zeros(mask.shape, int)
    for tile in tiles(as_tensor(mask), side, context):
        x0, y0, x1, y1 = tile.core
        if tile.core == tile.box == (0, 0, *mask.shape[::-1]):
            assert max(mask.shape) <= 2 * side
            return
        assert 0 < x1 - x0 <= side and 0 < y1 - y0 <= side
        assert mask[y0:y1, x0:x1].any(), "a tile without a hole is wasted"
        assert tile == Region.around(tile.core, context, mask.shape[::-1])
        covered[y0:y1, x0:x1] += 1
    assert covered.max() <= 1 and np.array_equal(covered[mask], np.ones(mask.sum()))


def test_tiles_are_even_and_in_reading_order():
    cut = [tile.core for tile in tiles(as_tensor(hole((99, 99), (10, 20, 43, 36))), 16, 4)]
    assert cut == [(10, 20, 21, 36), (21, 20, 32, 36), (32, 20, 43, 36)]


# Scales


def test_shrink_takes_the_mean_of_what_is_known():
    known = torch.tensor([[[[1.0, 3.0, 5.0], [9.0, 7.0, 6.0], [2.0, 4.0, 8.0]]]])
    mask = torch.tensor([[[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]]])
    small, holes = shrink(known, mask)
    # Three of four, one of two, none of two, one of one.
    assert torch.allclose(small, torch.tensor([[[[11 / 3, 6.0], [0.0, 8.0]]]]))
    assert holes.tolist() == [[[[0.0, 0.0], [1.0, 0.0]]]]


def test_shrink_calls_one_known_of_four_a_hole():
    mask = torch.ones(1, 1, 2, 4)
    mask[..., 0, 0] = 0
    mask[..., 0, 2:] = 0
    assert shrink(mask, mask)[1].tolist() == [[[[1.0, 0.0]]]]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 1), (7, 7), (6, 9)])
def test_shrink_of_a_known_picture_is_its_block_mean(size):
    width, height = size
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    small, holes = shrink(x, torch.zeros(1, 1, height, width))
    assert small.shape == (2, 3, -(-height // 2), -(-width // 2)) and not holes.any()
    for i in range(small.shape[2]):
        for j in range(small.shape[3]):
            mean = x[..., 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((-1, -2))
            assert torch.allclose(small[..., i, j], mean, atol=1e-6)


def test_shrink_does_not_read_the_hole():
    x = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    mask = as_tensor(hole((8, 9), (2, 3, 7, 6)))
    other = torch.where(mask > 0, -x, x)
    assert torch.equal(shrink(x, mask)[0], shrink(other, mask)[0])


@pytest.mark.parametrize("size", [(1, 1), (5, 4), (6, 3), (7, 8)])
def test_enlarge_keeps_a_constant_and_fits_the_size(size):
    small = torch.full((2, 3, -(-size[1] // 2), -(-size[0] // 2)), 0.25)
    large = enlarge(small, size)
    assert large.shape == (2, 3, size[1], size[0])
    assert torch.allclose(large, torch.full_like(large, 0.25), atol=1e-6)


def test_enlarge_follows_a_ramp_and_stays_in_range():
    ramp = torch.linspace(-0.8, 0.8, 12).expand(1, 1, 12, 12)
    step = 1.6 / 11
    centres = -0.8 - step / 4 + step / 2 * torch.arange(24)
    assert torch.allclose(enlarge(ramp, (24, 24))[0, 0, 9, 4:20], centres[4:20], atol=step / 16)
    edge = torch.ones(1, 1, 6, 6)
    edge[..., 3:] = -1
    assert enlarge(edge, (12, 12)).abs().max() == 1


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (9, 1), (12, 11), (33, 20)])
def test_spread_of_a_constant_is_the_constant(size):
    unknown = np.zeros(size[::-1], bool)
    unknown[: size[1] // 2 + 1, : size[0] // 2 + 1] = size != (1, 1)
    values = torch.where(as_tensor(unknown) > 0, 9.0, torch.full((1, 3, *size[::-1]), -0.5))
    for smoothing in (0, 1, 3):
        filled = spread(values, as_tensor(unknown), smoothing)
        assert filled.shape == values.shape
        assert torch.allclose(filled, torch.full_like(filled, -0.5), atol=1e-6)


def test_spread_keeps_known_values_and_stays_between_them():
    values = torch.rand(1, 2, 30, 41, generator=torch.Generator().manual_seed(0))
    unknown = as_tensor(hole((41, 30), (5, 4, 33, 25)))
    filled = spread(torch.where(unknown > 0, 1e6, values), unknown)
    assert torch.equal(filled[:, :, unknown[0, 0] == 0], values[:, :, unknown[0, 0] == 0])
    assert filled.min() >= values.min() and filled.max() <= values.max()


def test_spread_bridges_a_ramp():
    ramp = torch.linspace(-1, 1, 40).expand(1, 1, 30, 40).clone()
    unknown = as_tensor(hole((40, 30), (12, 8, 28, 22)))
    filled = spread(torch.where(unknown > 0, 0.0, ramp), unknown)
    assert (filled - ramp).abs().max() < 0.2
    middle = filled[0, 0, 15, 12:28]
    assert (middle[1:] >= middle[:-1] - 0.02).all() and middle[-1] - middle[0] > 0.4


def test_smoothing_replaces_the_finest_values():
    checks = torch.ones(1, 1, 16, 16)
    checks[..., ::2, 1::2] = checks[..., 1::2, ::2] = -1
    unknown = as_tensor(hole((16, 16), (6, 6, 10, 10)))
    assert spread(checks, unknown).abs()[0, 0, 0, 0] == 1
    assert spread(checks, unknown, 1).abs().max() < 1e-6


def test_smoothing_keeps_the_coarser_values():
    small = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    small_unknown = as_tensor(hole((16, 16), (5, 6, 9, 10)))
    values, unknown = (
        t.repeat_interleave(2, -1).repeat_interleave(2, -2) for t in (small, small_unknown)
    )
    below = spread(small, small_unknown)
    wanted = torch.nn.functional.interpolate(below, scale_factor=2, mode="bilinear")
    assert torch.allclose(spread(values, unknown, 1), wanted, atol=1e-6)


def test_spread_of_nothing_known_is_finite():
    assert torch.equal(
        spread(torch.ones(1, 1, 5, 5), torch.ones(1, 1, 5, 5)), torch.zeros(1, 1, 5, 5)
    )


@pytest.mark.parametrize("side, radius", [(1, 1), (2, 1), (3, 2), (4, 2), (9, 5)])
def test_inscribed_radius_of_squares(side, radius):
    box = (6, 5, 6 + side, 5 + side)
    assert inscribed_radius(as_tensor(hole((30, 25), box))) == pytest.approx(radius, abs=1e-4)


def test_inscribed_radius_is_that_of_the_widest_place():
    mask = hole((60, 40), (0, 10, 60, 11), (20, 20, 27, 27), (50, 20, 60, 22))
    assert inscribed_radius(as_tensor(mask)) == pytest.approx(4, abs=1e-4)
    assert inscribed_radius(torch.zeros(1, 1, 4, 4)) == 0


# Batches


def test_rounded_windows_stay_inside_and_hold_their_context():
    for core in ((0, 0, 5, 4), (90, 40, 99, 50), (30, 10, 60, 44)):
        x0, y0, x1, y1 = core
        left, top, right, bottom = Region.around(core, 7, (100, 50), 16).box
        assert left <= max(x0 - 7, 0) and min(x1 + 7, 100) <= right <= 100 and left >= 0
        assert top <= max(y0 - 7, 0) and min(y1 + 7, 50) <= bottom <= 50 and top >= 0
        assert (right - left) % 16 == 0 and (bottom - top) % 16 in (0, 50 % 16)


def window(x, y, side=8):
    return Region((x + 2, y + 2, x + side - 2, y + side - 2), (x, y, x + side, y + side))


def test_a_batch_has_equal_windows_that_do_not_see_each_other():
    a, b, c = window(0, 0), window(20, 0), window(40, 0, 12)
    near_a = window(4, 0)
    assert batches([a, b, c], lambda region: 0) == [[a, b], [c]]
    assert batches([a, b], lambda region: region.box) == [[a], [b]]
    # What sees another region comes after it; what does not may join either.
    assert batches([a, near_a, b], lambda region: 0) == [[a], [near_a, b]]
    assert batches([], lambda region: 0) == []


def test_the_nearest_pixel_is_found():
    wanted = torch.zeros(20, 31, dtype=torch.bool)
    wanted[torch.tensor([3, 3, 17]), torch.tensor([4, 29, 12])] = True
    found = nearest(wanted)
    places = wanted.nonzero().float()
    here = torch.cartesian_prod(torch.arange(20.0), torch.arange(31.0))
    away = torch.cdist(here, places).amin(1)
    theirs = torch.stack([found // 31, found % 31], 1).float()
    assert wanted.flatten()[found].all()
    assert ((here - theirs).norm(dim=1) <= 1.03 * away + 1e-4).all()
