import io
import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from inpaint import masks, pictures
from inpaint.masks import Stroke, Strokes
from inpaint.pictures import Picture, PictureError


def draw(size, *strokes, **options):
    return masks.rasterize(Strokes(size, strokes), **options)


def picture_of(mask):
    """Write a mask as rows of '#' and '.'."""
    return ["".join(".#"[int(value)] for value in row) for row in mask]


def distance_to_line(size, points):
    """Distance from every pixel's centre to a polyline, by its definition."""
    x, y = np.meshgrid(*(np.arange(side) + 0.5 for side in size))
    least = np.full(size[::-1], np.inf)
    for a, b in zip(points, points[1:] or points, strict=False):
        ab = np.subtract(b, a)
        t = ((x - a[0]) * ab[0] + (y - a[1]) * ab[1]) / max(ab @ ab, 1e-30)
        t = t.clip(0, 1)
        least = np.minimum(least, np.hypot(x - a[0] - t * ab[0], y - a[1] - t * ab[1]))
    return least


def disc_distance(mask):
    """Distance from every pixel to the nearest of mask, by its definition."""
    ys, xs = np.nonzero(mask)
    y, x = np.indices(mask.shape)
    if not xs.size:
        return np.full(mask.shape, np.inf)
    return np.hypot(y[..., None] - ys, x[..., None] - xs).min(axis=-1)


MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
COORDINATES = st.floats(-20, 60).map(lambda v: round(v * 4) / 4) | st.floats(-20, 60)

# Drawing


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=6),
    st.floats(0.3, 15) | st.sampled_from([0.5, 1.0, 2.5, 10.0]),
)
def test_a_brush_paints_what_is_within_its_radius(points, radius):
    distance = distance_to_line((40, 30), points)
    mask = draw((40, 30), Stroke("brush", radius, tuple(points)))
    sure = np.abs(distance - radius) > 1e-6
    np.testing.assert_array_equal(mask[sure], (distance <= radius)[sure])


@settings(max_examples=60, deadline=None)
@given(*[COORDINATES] * 4, *[st.floats(0.3, 15) | st.sampled_from([0.5, 1.0, 2.5])] * 2)
def test_a_pressed_pen_paints_the_hull_of_two_discs(ax, ay, bx, by, first, last):
    points, radii = ((ax, ay), (bx, by)), (first, last)
    mask = draw((40, 30), Stroke("brush", 3, points, radii=radii))
    x, y = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    # The hull is the union of the discs in between.
    depth = np.full(x.shape, -np.inf)
    for t in np.linspace(0, 1, 501):
        cx, cy = ax * (1 - t) + bx * t, ay * (1 - t) + by * t
        radius = first * (1 - t) + last * t
        depth = np.maximum(depth, radius - np.hypot(x - cx, y - cy))
    sure = np.abs(depth) > 1e-2
    np.testing.assert_array_equal(mask[sure], (depth >= 0)[sure])


def test_equal_radii_are_the_plain_brush():
    points = ((3.3, 4), (20, 25.5), (31, 2))
    pressed = draw((40, 30), Stroke("brush", 9, points, radii=(4.25,) * 3))
    np.testing.assert_array_equal(pressed, draw((40, 30), Stroke("brush", 4.25, points)))


def test_a_dot_is_a_disc():
    assert picture_of(draw((5, 5), Stroke("brush", 2.0, ((2.5, 2.5),)))) == [
        "..#..",
        ".###.",
        "#####",
        ".###.",
        "..#..",
    ]


@settings(max_examples=50, deadline=None)
@given(*[st.integers(-6, 24).map(lambda v: v / 2)] * 4)
def test_boxes_are_exact(ax, ay, bx, by):
    y, x = np.indices((8, 10)) + 0.5
    want = (min(ax, bx) <= x) & (x < max(ax, bx)) & (min(ay, by) <= y) & (y < max(ay, by))
    box = draw((10, 8), Stroke("rectangle", points=((ax, ay), (bx, by))))
    polygon = draw((10, 8), Stroke("polygon", points=((ax, ay), (bx, ay), (bx, by), (ax, by))))
    np.testing.assert_array_equal(box, want)
    np.testing.assert_array_equal(polygon, want)


def test_an_ellipse_is_inscribed():
    mask = draw((9, 7), Stroke("ellipse", points=((8, 1), (1, 6))))
    y, x = np.indices(mask.shape) + 0.5
    np.testing.assert_array_equal(mask, ((x - 4.5) / 3.5) ** 2 + ((y - 3.5) / 2.5) ** 2 <= 1)


def test_a_lasso_that_crosses_itself_has_no_hole():
    twice = ((1, 1), (7, 1), (7, 7), (1, 7)) * 2
    assert draw((8, 8), Stroke("lasso", points=twice)).sum() == 36
    triangle = draw((4, 4), Stroke("lasso", points=((0, 0), (4, 0), (0, 4))))
    assert picture_of(triangle) == ["###.", "##..", "#...", "...."]


def test_polygons_that_share_an_edge_share_no_pixel():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = (tuple(rng.uniform(0, 20, 2)) for _ in range(2))
        left = draw((20, 20), Stroke("polygon", points=(a, b, (-30, 10))))
        right = draw((20, 20), Stroke("polygon", points=(a, b, (50, 10))))
        far = draw((20, 20), Stroke("polygon", points=(a, (50, 10), b, (-30, 10))))
        np.testing.assert_array_equal(left ^ right, far)


def test_strokes_are_applied_in_order():
    box = Stroke("rectangle", points=((0, 0), (4, 4)))
    hole = Stroke("rectangle", points=((1, 1), (3, 3)), erase=True)
    assert draw((4, 4), box, hole).sum() == 12
    assert draw((4, 4), hole, box).sum() == 16
    assert draw((4, 4), box, Stroke("eraser", 0.6, ((1.5, 1.5),))).sum() == 15
    assert draw((4, 4), box, Stroke("clear")).sum() == 0
    assert draw((4, 4), Stroke("invert")).all()
    assert draw((4, 4), Stroke("lasso"), Stroke("brush", 9)).sum() == 0


def test_grow_and_shrink_are_strokes():
    box = Stroke("rectangle", points=((8, 8), (12, 11)))
    plain = draw((30, 20), box)
    for radius in (1, 2.5, 4):
        more, less = Stroke("grow", radius), Stroke("shrink", radius)
        np.testing.assert_array_equal(draw((30, 20), box, more), masks.grow(plain, radius))
        np.testing.assert_array_equal(draw((30, 20), box, more, less), plain)
        later = Stroke("eraser", 1, ((10, 10),))
        assert not draw((30, 20), box, more, later)[10, 10]
    strokes = Strokes((30, 20), (box, Stroke("grow", 2)))
    large = masks.rasterize(strokes, (90, 60))
    np.testing.assert_array_equal(large, masks.grow(plain.repeat(3, 0).repeat(3, 1), 6))


# Colours


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_paint_colours_what_it_masks_and_no_more(dtype):
    full = np.iinfo(dtype).max
    rgb = np.random.default_rng(0).integers(0, full, (30, 40, 3)).astype(dtype)
    first = Stroke("paint", 6, ((10, 10), (30, 12)), color="#ff0080")
    second = Stroke("paint", 3, ((20, 5), (20, 25)), color="#00ff00")
    gone = Stroke("rectangle", points=((0, 0), (15, 30)), erase=True)
    brush = Stroke("brush", 4, ((12, 10),))
    strokes = Strokes((40, 30), (first, second, gone, brush))
    kept = rgb.copy()
    painted = masks.paint(strokes, rgb)
    np.testing.assert_array_equal(rgb, kept)
    unit = full // 255
    erased = ~draw((40, 30), Stroke("invert"), gone)
    on_top = draw((40, 30), second) & ~erased
    below = draw((40, 30), first) & ~erased & ~on_top
    assert (painted[on_top] == (0, full, 0)).all()
    assert (painted[below] == (full, 0, 128 * unit)).all()
    other = ~(on_top | below)
    np.testing.assert_array_equal(painted[other], rgb[other])  # an eraser lays bare
    assert masks.rasterize(strokes)[on_top | below].all()
    assert strokes.colored and not Strokes((40, 30), (gone, brush)).colored
    for last in ((Stroke("clear"), brush), (Stroke("invert"),)):  # paint shows in the mask alone
        bare = masks.paint(Strokes((40, 30), (first, *last)), rgb)
        np.testing.assert_array_equal(bare, rgb)


def test_a_pasted_picture_is_laid_into_its_box(tmp_path):
    second = np.zeros((10, 20, 4), np.uint8)
    second[..., 0], second[..., 3], second[:, 10:, 1] = 200, 255, 100
    second[0, :, 3] = 0
    Image.fromarray(second).save(tmp_path / "second.png")
    paste = Stroke("paste", points=((45, 30), (5, 10)), path=str(tmp_path / "second.png"))
    strokes = Strokes((60, 50), (paste, Stroke("rectangle", points=((0, 0), (15, 50)), erase=True)))
    (pasted,) = strokes.pasted
    assert pasted.box == (5, 10, 45, 30)
    rgb = np.full((50, 60, 3), 50, np.uint8)
    painted, mask = masks.paint(strokes, rgb), masks.rasterize(strokes)
    assert mask.sum() == 30 * 20 and mask[10:30, 15:45].all()
    assert (painted[~mask] == 50).all()
    assert (painted[14:30, 15:24] == (200, 0, 0)).all()
    assert (painted[14:30, 27:45] == (200, 100, 0)).all()
    assert (painted[10, 15:45] == 50).all()  # transparent there
    small = masks.paint(strokes, np.full((10, 12, 3), 50, np.uint8))
    assert small[4, 7] == pytest.approx((200, 100, 0), abs=1)


def test_base_is_the_start_and_is_not_changed():
    base = np.zeros((4, 4), bool)
    base[0] = True
    mask = draw((4, 4), Stroke("rectangle", points=((0, 0), (1, 4)), erase=True), base=base)
    assert picture_of(mask) == [".###", "....", "....", "...."]
    assert base[0].all()
    with pytest.raises(ValueError, match="starting mask"):
        draw((4, 5), base=base)


def test_strokes_scale_with_the_picture():
    strokes = Strokes((10, 8), (Stroke("rectangle", points=((1, 2), (4, 6))),))
    small = masks.rasterize(strokes)
    large = masks.rasterize(strokes, (30, 24))
    np.testing.assert_array_equal(large, small.repeat(3, 0).repeat(3, 1))
    dot = Strokes((10, 10), (Stroke("brush", 3, ((5, 5),)),))
    assert masks.rasterize(dot, (100, 100)).sum() == pytest.approx(math.pi * 900, rel=0.01)


def test_tall_strokes_are_the_same_in_bands():
    points = ((10.2, -5), (40, 300.7), (3, 700))
    distance = distance_to_line((50, 600), points)
    np.testing.assert_array_equal(draw((50, 600), Stroke("brush", 7, points)), distance <= 7)
    lasso = draw((50, 600), Stroke("lasso", points=((0, 0), (50, 0), (50, 600), (0, 600))))
    assert lasso.all()


def test_large_pictures_are_fast():
    angles = np.linspace(0, 20, 500)
    points = tuple(zip(4500 + 190 * angles, 3000 + 2000 * np.sin(angles), strict=True))
    start = time.perf_counter()
    assert draw((9000, 6000), Stroke("brush", 40, points)).any()
    assert time.perf_counter() - start < 2


def test_there_is_a_limit_to_the_work(monkeypatch):
    points = ((0.0, 0.0), (0.0, 9000.0)) * 12_000
    with pytest.raises(ValueError, match="too much"):
        draw((10, 9000), Stroke("brush", 1, points))
    monkeypatch.setattr(masks, "MAX_WORK", 10_000)
    box = Stroke("rectangle", points=((0, 0), (1000, 1000)))
    assert draw((100, 100), *[box] * 10).all()
    for stroke in (box, Stroke("invert"), Stroke("clear")):
        with pytest.raises(ValueError, match="too much"):
            draw((100, 100), *[stroke] * 300)


# The browser's drawing


def payload(**changes):
    stroke = {"tool": "brush", "radius": 3, "points": [[1, 2.5], [3, 4]]} | changes
    return {"width": 40, "height": 30, "strokes": [stroke]}


def test_parse():
    strokes = Strokes.parse(payload())
    assert strokes == Strokes((40, 30), (Stroke("brush", 3.0, ((1.0, 2.5), (3.0, 4.0))),))
    assert Strokes.parse(payload(tool="ellipse", erase=True)).strokes[0].erase
    pressed = Strokes.parse(payload(radii=[2, 0.5]))
    assert pressed.strokes[0].radii == (2.0, 0.5)
    painted = Strokes.parse(payload(tool="paint", color="#0a0b0c"))
    assert painted.strokes[0].color == "#0a0b0c"
    pasted = Strokes.parse(payload(tool="paste", path="/up/second.png"))
    assert pasted.pasted[0].path == "/up/second.png"
    for strokes in (pressed, painted, pasted):
        plain = {"width": 40, "height": 30, "strokes": json.loads(json.dumps(strokes.plain()))}
        assert Strokes.parse(plain) == strokes
    assert Strokes.parse({"width": 1, "height": 1, "strokes": [{"tool": "invert"}]}).strokes
    assert Strokes.parse({"width": 1, "height": 1, "strokes": []}) == Strokes((1, 1))


@pytest.mark.parametrize(
    "bad",
    [
        None, [], {}, "x", {"width": 1, "height": 1}, {"width": 1, "height": 1, "strokes": {}},
        {"width": 0, "height": 1, "strokes": []}, {"width": 1.5, "height": 1, "strokes": []},
        {"width": True, "height": 1, "strokes": []}, {"width": 10**9, "height": 1, "strokes": []},
        {"width": 1, "height": 1, "strokes": [None]},
        {"width": 1, "height": 1, "strokes": [{"tool": "clear"}] * 10_001},
        payload(tool="laser"), payload(tool=["brush"]), payload(radius=-1), payload(radius="3"),
        payload(radius=math.nan), payload(radius=math.inf), payload(radius=True),
        payload(radius=None), payload(points=None), payload(points=[1, 2]),
        payload(points=[[1]]), payload(points=[[1, 2, 3]]), payload(points=[[1, math.nan]]),
        payload(points=[[1, -math.inf]]), payload(points=[[1, "2"]]), payload(points=[["1", 2]]),
        payload(radii=[1]), payload(radii=[1, -1]),
        payload(radii=[1, math.nan]), payload(radii=3), payload(tool="paint"),
        payload(tool="paint", color="red"), payload(tool="paint", color="#ff00ff; x"),
        payload(tool="paint", color=5), payload(tool="paste"), payload(tool="paste", path=5),
        payload(tool="paste", path="x", points=[[1, 2]]),
        payload(points=[[True, 2]]), payload(points=[[10**400, 2]]),
        payload(erase=1),
        payload(points=[[1, 1]] * 1_000_001),
    ],
    ids=lambda bad: repr(bad)[:60],
)  # fmt: skip
def test_parse_refuses_in_one_sentence(bad):
    with pytest.raises(ValueError) as caught:
        Strokes.parse(bad)
    assert str(caught.value).endswith(".")


def test_parse_counts_the_points_of_all_strokes():
    half = {"tool": "brush", "radius": 1, "points": [[0, 0]] * 500_001}
    with pytest.raises(ValueError, match="points"):
        Strokes.parse({"width": 9, "height": 9, "strokes": [half, half]})


# Masks from pictures


def test_read_takes_at_least_half_of_white():
    values = np.array([[0, 127, 128, 255]], np.uint8)
    assert picture_of(masks.read(values, (4, 1))) == ["..##"]
    deep = np.array([[0, 32767, 32768, 65535]], np.uint16)
    assert picture_of(masks.read(deep, (4, 1))) == ["..##"]
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]]], np.uint8)
    assert picture_of(masks.read(colours, (4, 1))) == [".#.#"]


def test_read_takes_masks_of_zero_and_one():
    zero_one = np.array([[0, 1]])
    for array in (zero_one.astype(bool), zero_one.astype(np.uint8), zero_one):
        assert picture_of(masks.read(array, (2, 1))) == [".#"]
    assert not masks.read(np.zeros((2, 2), np.uint8), (2, 2)).any()


def test_read_takes_files_and_images():
    image = Image.fromarray(np.array([[0, 255]], np.uint8))
    out = io.BytesIO()
    image.convert("1").save(out, "PNG")
    for source in (
        out.getvalue(),
        image,
        image.convert("CMYK"),
        Picture(np.array([[[0], [255]]], "u1")),
    ):
        assert picture_of(masks.read(source, (2, 1))) == [".#"]
    with pytest.raises(PictureError):
        masks.read(b"nothing", (2, 1))


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("extra", [0, 255])
def test_read_takes_a_further_band_for_no_colour(colours, extra):
    want = np.zeros((6, 8), bool)
    want[2:4, 3:6] = True
    pixels = np.dstack([np.uint8(255) * want] * colours + [np.full((6, 8), extra, np.uint8)])
    kind = {1: 1, 3: 2}[colours]
    data = pictures.encode(Picture(pixels, bands=True, extras={"bands": (kind, (0,))}), "TIFF")
    assert pictures.read(data).bands
    assert np.array_equal(masks.read(data, (8, 6)), want)


def test_read_resamples_to_the_nearest():
    small = np.array([[0, 255], [255, 0]], np.uint8)
    np.testing.assert_array_equal(masks.read(small, (6, 4)), (small > 0).repeat(2, 0).repeat(3, 1))
    large = np.kron(small, np.ones((3, 3), np.uint8))
    np.testing.assert_array_equal(masks.read(large, (2, 2)), small > 0)


@pytest.mark.parametrize("size", [(44, 40), (88, 80), (22, 20), (132, 119), (432, 400)])
def test_a_mask_of_the_same_shape_may_be_of_another_size(size):
    assert masks.read(np.ones(size[::-1], bool), (44, 40)).all()


@pytest.mark.parametrize("size", [(40, 44), (200, 2), (64, 64)])
def test_a_mask_is_not_stretched(size):
    with pytest.raises(PictureError, match="upright, 44 × 40: give a mask of"):
        masks.read(np.ones(size[::-1], bool), (44, 40))


def test_read_leaves_out_what_is_transparent_unless_all_is_alike():
    white = np.full((1, 3, 2), 255, np.uint8)
    white[0, :, 1] = [0, 127, 128]
    assert picture_of(masks.read(white, (3, 1))) == ["..#"]
    white[..., 1] = 0
    assert masks.read(white, (3, 1)).all()


def test_from_alpha():
    pixels = np.zeros((1, 4, 3), np.uint8)
    alpha = np.array([[0, 127, 128, 255]], np.uint8)
    assert picture_of(masks.from_alpha(Picture(pixels, alpha))) == ["##.."]
    assert not masks.from_alpha(Picture(pixels)).any()


# Changing masks


@settings(max_examples=60, deadline=None)
@given(
    MASKS, st.integers(0, 40).map(lambda v: v / 8) | st.sampled_from([math.sqrt(2), math.sqrt(5)])
)
def test_grow_and_shrink_are_by_a_disc(mask, pixels):
    before = mask.copy()
    np.testing.assert_array_equal(masks.grow(mask, pixels), disc_distance(mask) <= pixels + 1e-3)
    smaller = masks.shrink(mask, pixels)
    np.testing.assert_array_equal(smaller, mask & ~(disc_distance(~mask) <= pixels + 1e-3))
    np.testing.assert_array_equal(mask, before)


def test_the_edge_of_the_picture_does_not_shrink_a_mask():
    mask = np.zeros((5, 6), bool)
    mask[:, :3] = True
    assert picture_of(masks.shrink(mask, 1)) == ["##...."] * 5
    assert masks.shrink(np.ones((3, 3), bool), 9).all()


@settings(max_examples=60, deadline=None)
@given(MASKS, st.floats(0.1, 9))
def test_feather_rises_from_the_border(mask, width):
    alpha = masks.feather(mask, width)
    assert alpha.dtype == np.float32 and alpha.shape == mask.shape
    assert (alpha[~mask] == 0).all() and (alpha[mask] > 0).all() and alpha.max(initial=0) <= 1
    depth = disc_distance(~mask) - 0.5
    assert (alpha[mask & (depth >= width)] == 1).all()
    assert (alpha[mask & (depth < width * 0.99)] < 1).all()
    order = np.argsort(depth[mask], kind="stable")
    assert (np.diff(alpha[mask][order]) >= -1e-6).all()


def test_feather_of_a_half_plane():
    mask = np.zeros((3, 8), bool)
    mask[:, 2:] = True
    depth = np.array([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    np.testing.assert_allclose(masks.feather(mask, 4)[1], 3 * depth**2 - 2 * depth**3, atol=1e-6)
    np.testing.assert_array_equal(masks.feather(mask, 0), mask.astype(np.float32))
    assert (masks.feather(np.ones((4, 4), bool), 3) == 1).all()


@given(MASKS)
@settings(max_examples=40, deadline=None)
def test_bounding_box(mask):
    box = masks.bounding_box(mask)
    if box is None:
        assert not mask.any()
    else:
        x0, y0, x1, y1 = box
        assert mask[y0:y1, x0:x1].sum() == mask.sum()
        inner = mask[y0:y1, x0:x1]
        assert all(side.any() for side in (inner[0], inner[-1], inner[:, 0], inner[:, -1]))


def test_large_masks_cost_their_box():
    mask = np.zeros((6000, 9000), bool)
    mask[3000:3100, 4000:4100] = True
    for change in (masks.grow, masks.shrink, masks.feather):
        start = time.perf_counter()
        change(mask, 16)
        assert time.perf_counter() - start < 1.5, change


# Random masks


@pytest.mark.parametrize("family", masks.FAMILIES)
@pytest.mark.parametrize("size", [(8, 8), (64, 48)])
def test_random_families(family, size):
    drawn = [masks.random_mask(np.random.default_rng(seed), size, family) for seed in range(40)]
    again = masks.random_mask(np.random.default_rng(7), size, family)
    np.testing.assert_array_equal(drawn[7], again)
    for mask in drawn:
        assert mask.shape == size[::-1] and mask.dtype == bool and mask.any()
        assert mask.all() == (family == "full")


def test_random_families_are_what_they_are_called():
    share = {
        family: np.mean([
            masks.random_mask(np.random.default_rng(seed), (128, 128), family).mean()
            for seed in range(60)
        ])
        for family in masks.FAMILIES
    }  # fmt: skip
    assert share["thin"] < 0.1 and share["line"] < 0.1
    assert 0.08 < share["wide"] < 0.4 and 0.1 < share["box"] < 0.4
    assert 0.3 < share["half"] < 0.7 and share["inverted"] > 0.6


def test_halves_and_frames_reach_the_edge_and_lines_cross():
    for seed in range(40):
        half = masks.random_mask(np.random.default_rng(seed), (64, 48), "half")
        known = masks.bounding_box(~half)
        assert (~half).sum() == (known[2] - known[0]) * (known[3] - known[1])
        assert any(side.all() for side in (half[0], half[-1], half[:, 0], half[:, -1]))
        line = masks.random_mask(np.random.default_rng(seed), (64, 48), "line")
        assert sum(side.any() for side in (line[0], line[-1], line[:, 0], line[:, -1])) >= 2


def test_the_mix_of_families():
    rng = np.random.default_rng(0)
    full = np.mean([masks.random_mask(rng, (32, 32)).all() for _ in range(1500)])
    assert full == pytest.approx(0.2, abs=0.04)
    assert sum(masks.FAMILIES.values()) == pytest.approx(1)


def test_random_masks_refuse_nonsense():
    with pytest.raises(ValueError, match="at least 8"):
        masks.random_mask(np.random.default_rng(0), (7, 64))
    with pytest.raises(ValueError, match="family"):
        masks.random_mask(np.random.default_rng(0), (64, 64), "stars")
