import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage import data

from inpaint import masks
from inpaint.masks import Stroke, Strokes
from inpaint.snap import contours, snap

SIZE = (240, 160)


def drawn(size, *strokes):
    return masks.rasterize(Strokes(size, strokes))


def overlap(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


SHAPES = {
    "disc": Stroke("brush", 30, ((120, 80),)),
    "box": Stroke("rectangle", points=((90, 45), (150, 115))),
    "ell": Stroke(
        "polygon", points=((90, 40), (115, 40), (115, 95), (160, 95), (160, 118), (90, 118))
    ),
}


def scene(shape, size=SIZE, scale=1):
    """A reddish shape on a green ground, both with noise and a gradient."""
    rng = np.random.default_rng(0)
    truth = drawn(size, SHAPES[shape]) if isinstance(shape, str) else shape
    x = np.arange(size[0])[None, :, None]
    ground = np.array([60, 120, 70]) + 30 * x / size[0]
    rgb = np.where(truth[..., None], np.array([180, 90, 60]), ground)
    rgb = rgb + rng.normal(0, 6, rgb.shape)
    return np.clip(rgb, 0, 255).astype(np.uint8), truth


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "stroke",
    [
        Stroke("brush", 4, ((100, 80),)),
        Stroke("brush", 5, ((98, 60), (106, 100), (110, 108))),
        Stroke("brush", 3, ((75, 30), (170, 30), (170, 128), (75, 128), (75, 30))),
    ],
    ids=["click", "scribble", "around"],
)
def test_the_object_is_found(shape, stroke):
    rgb, truth = scene(shape)
    rough = drawn(SIZE, stroke)
    before = rough.copy()
    found = snap(rgb, rough)
    assert found.shape == rough.shape and found.dtype == bool
    assert overlap(found, truth) > 0.95
    np.testing.assert_array_equal(rough, before)


def test_a_scribble_may_stray_off_the_object():
    rgb, truth = scene("box")
    rough = drawn(SIZE, Stroke("brush", 3, ((100, 38), (120, 100))))
    assert overlap(snap(rgb, rough), truth | rough) > 0.95


def test_only_what_is_connected_with_the_stroke():
    size = (300, 120)
    left, right = (drawn(size, Stroke("brush", 25, ((x, 60),))) for x in (110, 190))
    rgb, _ = scene(left | right, size)
    found = snap(rgb, drawn(size, Stroke("brush", 4, ((110, 60),))))
    assert overlap(found, left) > 0.95 and not (found & right).any()


def test_holes_are_closed():
    ring = drawn(SIZE, SHAPES["disc"]) & ~drawn(SIZE, Stroke("brush", 10, ((120, 80),)))
    rgb, _ = scene(ring)
    found = snap(rgb, drawn(SIZE, Stroke("brush", 4, ((100, 80),))))
    assert overlap(found, drawn(SIZE, SHAPES["disc"])) > 0.95


def test_it_is_the_same_each_time():
    rgb, rough = data.astronaut(), drawn((512, 512), Stroke("brush", 8, ((400, 420),)))
    first = snap(rgb, rough)
    np.testing.assert_array_equal(first, snap(rgb, rough))
    assert first[400, 430] and not first[300, 480] and not first[450, 250]  # the helmet
    assert 0.05 < first.mean() < 0.2


def test_a_coin_is_found():
    coins = np.dstack([data.coins()] * 3)
    found = snap(coins, drawn(coins.shape[1::-1], Stroke("brush", 5, ((150, 52),))))
    assert overlap(found, drawn(coins.shape[1::-1], Stroke("brush", 23, ((153, 52),)))) > 0.8


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (7, 300), (8, 8), (60, 90)])
@pytest.mark.parametrize("value", [0, 130])
def test_where_nothing_can_be_told_apart_the_stroke_is_returned(shape, value):
    rgb = np.full((*shape, 3), value, np.uint8)
    rough = np.zeros(shape, bool)
    np.testing.assert_array_equal(snap(rgb, rough), rough)
    rough[: 1 + shape[0] // 3, : 1 + shape[1] // 3] = True
    np.testing.assert_array_equal(snap(rgb, rough), rough)
    rough[:] = True
    np.testing.assert_array_equal(snap(rgb, rough), rough)


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3))),
    st.integers(0, 2**32 - 1),
)
def test_anything_is_taken(rgb, seed):
    rough = np.random.default_rng(seed).random(rgb.shape[:2]) < 0.2
    found = snap(rgb, rough)
    assert found.shape == rough.shape and found.dtype == bool


def test_a_large_picture_takes_seconds_and_its_edges_are_met():
    rgb, truth = scene("ell")
    big, wanted = (np.kron(a, np.ones((25, 25, 1)[: a.ndim], a.dtype)) for a in (rgb, truth))
    rough = drawn((6000, 4000), Stroke("brush", 100, ((2500, 2000),)))
    start = time.process_time()
    found = snap(big, rough)
    assert time.process_time() - start < 6
    assert overlap(found, wanted) > 0.95


# Polygons

MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14)))


@settings(max_examples=80, deadline=None)
@given(MASKS)
def test_exact_contours_draw_the_mask(mask):
    np.testing.assert_array_equal(masks.rasterize(contours(mask, tolerance=0)), mask)


def test_contours_keep_holes_and_islands_in_them():
    rings = [
        drawn((200, 200), Stroke("brush", radius, ((100, 100),))) for radius in (90, 70, 50, 20)
    ]
    mask = rings[0] & ~rings[1] | rings[2] & ~rings[3]
    strokes = contours(mask)
    assert [stroke.erase for stroke in strokes.strokes] == [False, False]
    assert overlap(masks.rasterize(strokes), mask) > 0.98


def test_contours_are_simple_and_within_a_pixel():
    mask = drawn(
        (900, 600),
        Stroke("brush", 200, ((450, 300),)),
        Stroke("brush", 40, ((100, 80), (800, 500))),
    )
    strokes = contours(mask)
    assert sum(len(stroke.points) for stroke in strokes.strokes) < 250
    again = masks.rasterize(strokes)
    assert overlap(again, mask) > 0.98
    assert not (again & ~masks.grow(mask, 1)).any() and not (masks.shrink(mask, 1) & ~again).any()


LARGE = {
    "disc": Stroke("ellipse", points=((100, 40), (500, 360))),
    "column": Stroke("rectangle", points=((230, 20), (370, 390))),
    "half": Stroke("rectangle", points=((150, 80), (510, 400))),  # to the picture's edge
}


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("place", [(300, 220), (240, 300)], ids=["middle", "aside"])
def test_a_large_object_is_not_cut(shape, place):
    size = (600, 400)
    truth = drawn(size, LARGE[shape])
    rgb, _ = scene(truth, size)
    assert overlap(snap(rgb, drawn(size, Stroke("brush", 6, (place,)))), truth) > 0.98


def test_a_small_object_in_a_line_around_it():
    size = (600, 400)
    truth = drawn(size, Stroke("brush", 20, ((240, 200),)))
    rgb, _ = scene(truth, size)
    loop = ((208, 168), (272, 168), (272, 232), (208, 232), (208, 168))
    assert overlap(snap(rgb, drawn(size, Stroke("brush", 6, loop))), truth) > 0.95
