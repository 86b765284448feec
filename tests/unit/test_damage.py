import time

import cv2
import numpy as np
import pytest
from PIL import Image
from scenes import SIZE, drawn, scene, scratched
from skimage import data

from inpaint import damage, masks
from inpaint.damage.folds import folds
from inpaint.damage.relations import relations
from inpaint.masks import Stroke
from inpaint.tools import damage_check, damage_fit
from inpaint.tools.damage_draw import COVERS, KINDS, LOOKS, damaged, dress


def dusty(rgb, value=245):
    size = rgb.shape[1::-1]
    rng = np.random.default_rng(1)
    dots = [
        Stroke("brush", rng.uniform(1.2, 2.4), (tuple(rng.uniform(8, size)),)) for _ in range(25)
    ]
    truth = drawn(size, *dots)
    out = rgb.copy()
    out[truth] = value
    return out, truth


def quality(found, truth):
    precision = (found & masks.grow(truth, 2)).sum() / max(1, found.sum())
    recall = (truth & masks.grow(found, 1)).sum() / truth.sum()
    return precision, recall


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("grain", [0, 2, 8])
def test_a_clean_picture_yields_nothing(seed, grain):
    assert not damage.find(scene(seed=seed, grain=grain)).any()


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "camera", "coins", "moon"])
def test_clean_photographs_yield_nothing(name):
    assert not damage.find(getattr(data, name)()).any()


def test_noise_and_texture_yield_nothing():
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(200), np.arange(200))
    for texture in (
        rng.integers(0, 256, (200, 200, 3), np.uint8),
        (128 + 100 * np.sin(x / 2)).astype(np.uint8),
        (((x // 10 + y // 10) % 2) * 255).astype(np.uint8),
    ):
        assert not damage.find(texture).any()


@pytest.mark.parametrize("make", [scratched, dusty])
def test_damage_is_found(make):
    pixels, truth = make(scene())
    precision, recall = quality(damage.find(pixels), truth)
    assert precision > 0.95 and recall > 0.85


def test_dark_scratches_are_found_when_asked_for():
    pixels, truth = scratched(scene(), value=5)
    precision, recall = quality(damage.find(pixels, 0.7), truth)
    assert precision > 0.9 and recall > 0.85


def test_scratches_are_found_on_a_photograph():
    pixels, truth = scratched(data.astronaut())
    precision, recall = quality(damage.find(pixels), truth)
    assert precision > 0.75 and recall > 0.8


def test_a_date_is_found():
    rng = np.random.default_rng(3)
    pixels, truth = damaged(scene((480, 360)), "stamp", rng)
    precision, recall = quality(damage.find(pixels), truth)
    assert precision > 0.8 and recall > 0.9
    # Orange things elsewhere are no date.
    middle = np.roll(pixels, -150, axis=0)
    assert not damage.find(middle).any()


def creased(rgb, y=90, colour=(240, 240, 240), reach=1.0, wide=6):
    """A soft white line from the left edge, across the whole picture if it reaches that far."""
    rows, columns = np.indices(rgb.shape[:2])
    line = (np.abs(rows - y - 0.05 * columns) <= wide / 2) & (columns < reach * rgb.shape[1])
    worn = 0.8 * cv2.GaussianBlur(line.astype(np.float32), (0, 0), 1.2)[..., None]
    return (rgb + worn * (np.array(colour) - rgb)).astype(np.uint8), worn[..., 0] > 0.3


@pytest.mark.parametrize("turn", [lambda a: a, lambda a: a[::-1], np.rot90])
def test_a_fold_is_found_from_edge_to_edge(turn):
    pixels, truth = map(turn, creased(scene()))
    precision, recall = quality(damage.find(np.ascontiguousarray(pixels)), truth)
    assert precision > 0.95 and recall > 0.98


def test_a_fold_is_found_across_white_ground():
    rgb = scene()
    rgb[:, 40:140] = 250
    pixels, truth = creased(rgb)
    truth[:, 36:144] = False  # where nothing is to be seen
    assert quality(damage.find(pixels), truth)[1] > 0.95


def fold_of(pixels):
    return folds(pixels.astype(np.float32) / 255, 0.5)


def test_what_only_resembles_a_fold_is_none():
    rgb = scene()
    assert fold_of(creased(rgb)[0]).any()
    yellow, short, wide = {"colour": (240, 200, 60)}, {"reach": 0.85}, {"wide": 12}
    for unlike in (yellow, short, wide):
        assert not fold_of(creased(rgb, **unlike)[0]).any(), unlike
    # The rim of a stage, which is bright only next to the dark.
    assert not fold_of(creased(rgb // 4, colour=(115, 115, 115))[0]).any()
    # A ledge that the light falls upon, and fades below.
    below = np.indices(rgb.shape[:2])[0] - 90
    faded = 0.9 * np.where(below >= 0, 1 - below / 13, 0).clip(0)[..., None]
    assert not fold_of((rgb + faded * (240.0 - rgb)).astype(np.uint8)).any()
    # A bright shore between two regions.
    shore = rgb.copy()
    shore[np.indices(rgb.shape[:2])[0] > 90 + 0.05 * np.arange(SIZE[0])] = 40
    assert not fold_of(creased(shore, colour=(200, 200, 200))[0]).any()
    # Stairs.
    for y in range(20, 180, 20):
        rgb, _ = creased(rgb, y)
    assert not fold_of(rgb).any()


@pytest.mark.parametrize("make", [scratched, dusty])
@pytest.mark.parametrize("turn", [lambda a: a[::-1], lambda a: a[:, ::-1], np.rot90])
def test_the_picture_may_be_turned(make, turn):
    pixels, _ = make(scene())
    found = damage.find(pixels)
    turned = damage.find(np.ascontiguousarray(turn(pixels)))
    both = turn(found) & turned
    assert both.sum() > 0.97 * max(found.sum(), turned.sum()) > 0


def test_depth_and_channels_do_not_matter():
    grey = np.ascontiguousarray(scratched(scene())[0][..., 0])
    found = damage.find(grey)
    assert found.any()
    for same in (
        grey[..., None],
        np.dstack([grey] * 3),
        grey.astype(np.uint16) * 257,
        grey.astype(np.float32) / 255,
        grey / 255,
    ):
        np.testing.assert_array_equal(damage.find(same), found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_sensitivity_finds_all_that_a_lower_one_does(kind):
    pixels, _ = damaged(scene(), kind, np.random.default_rng(2))
    before = np.zeros(SIZE[::-1], bool)
    for sensitivity in (0, 0.3, 0.5, 0.7, 0.9, 1):
        found = damage.find(pixels, sensitivity)
        assert not (before & ~found).any()
        before = found
    assert before.any()


def test_damage_is_marked_in_its_whole_width():
    rgb = scene()
    truth = drawn(SIZE, Stroke("brush", 2.5, ((30, 20), (200, 90))))
    rgb[truth] = 245
    found = damage.find(rgb)
    assert (found & truth).sum() > 0.97 * truth.sum()
    assert not (found & ~masks.grow(truth, 4)).any()


@pytest.mark.parametrize("shape", [(1, 1), (0, 0), (5, 400), (23, 23, 3), (50, 50, 3), (3, 3000)])
def test_small_and_plain_pictures_yield_nothing(shape):
    for value in (0, 128, 255):
        found = damage.find(np.full(shape, value, np.uint8), 1)
        assert found.shape == shape[:2] and found.dtype == bool and not found.any()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="sensitivity"):
        damage.find(scene(), 1.1)
    with pytest.raises(ValueError, match="shape"):
        damage.find(np.zeros((30, 30, 4), np.uint8))


def test_a_large_picture_takes_seconds_and_is_not_changed():
    small, truth = scratched(scene((600, 400)))
    large = small.repeat(10, 0).repeat(10, 1)
    before = large[::50].copy()
    start = time.process_time()
    found = damage.find(large)
    assert time.process_time() - start < 10
    np.testing.assert_array_equal(large[::50], before)
    assert found.shape == (4000, 6000)
    precision, recall = quality(found, truth.repeat(10, 0).repeat(10, 1))
    assert precision > 0.6 and recall > 0.8


# Drawing and measuring


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_damage_is_where_its_mask_says(kind):
    rgb = scene((400, 300))
    pixels, truth = damaged(rgb, kind, np.random.default_rng(0))
    again, _ = damaged(rgb, kind, np.random.default_rng(0))
    np.testing.assert_array_equal(pixels, again)
    changed = np.abs(pixels.astype(int) - rgb).max(2)
    assert 0 < truth.mean() < 0.1 and 0 < COVERS < 1
    assert (changed[truth] > 8).mean() > 0.9
    assert changed[~masks.grow(truth, 8)].max() <= 8


@pytest.mark.parametrize("look", LOOKS)
def test_looks(look):
    rgb = scene()
    out = dress(rgb, look, np.random.default_rng(0)).astype(float)
    if look == "colour":
        np.testing.assert_array_equal(out, rgb)
    else:
        grey = (out[..., 0] == out[..., 2]).all()
        assert grey == (look == "grey")
        assert (
            np.diff(out[5:20, 120:200, 1]).std()
            > np.diff(rgb[5:20, 120:200, 1].astype(float)).std() * 0.5
        )


def test_measure(folder_of_scenes):
    rows = damage_check.measure(folder_of_scenes, count=6, seed=1, sensitivity=0.6, repairs=1)
    assert [row.kind for row in rows] == ["clean", *KINDS]
    assert rows[0].proposed == 0 and rows[0].pictures == 3
    film = rows[1 + list(KINDS).index("film")]
    assert film.recall > 0.6 and film.precision > 0.9
    assert film.after > film.before + 3
    lines = damage_check.table(rows).splitlines()
    assert len(lines) == 2 + len(rows) and lines[2].startswith("| clean | 3 | 0.0% | – |")


def test_pictures_that_cannot_be_read_are_passed_over(folder_of_scenes, tmp_path):
    (tmp_path / "cut.png").write_bytes((folder_of_scenes / "0.png").read_bytes()[:200])
    with pytest.raises(ValueError, match="No picture in .* can be read"):
        damage_check.measure(tmp_path, count=1)
    (tmp_path / "whole.png").write_bytes((folder_of_scenes / "0.png").read_bytes())
    assert damage_check.measure(tmp_path, count=1)[0].pictures == 1


def test_fit_recovers_the_log_odds_of_a_logistic_model():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (40_000, 2))
    true = np.array([1.0, -0.5, -1.5])
    labels = (rng.random(len(x)) < 1 / (1 + np.exp(-(x @ true[:2] + true[2])))).astype(float)
    np.testing.assert_allclose(damage_fit.fit(x, labels, np.ones(len(x))), true, atol=0.08)


def test_gather_tells_what_was_drawn_and_weights_what_tells_it(tmp_path):
    lines, _, dust = damage.KINDS
    files = [tmp_path / f"{name}.png" for name in ("astronaut", "coffee", "chelsea")]
    for file in files:
        Image.fromarray(getattr(data, file.stem)()[:300, :400]).save(file)
    gathered = damage_fit.gather(files, lines.propose, lines.levels)
    assert set(gathered.damage) >= {"", "scratch", "crack"}
    shapes = {values.shape for values in gathered.features.values()}
    assert shapes == {gathered.damage.shape} == {gathered.hits.shape} == {gathered.sizes.shape}
    assert not gathered.hits[gathered.damage == ""].any()
    hits = gathered.hits[gathered.damage == "scratch"] >= damage_fit.HIT
    assert hits.any() and np.isfinite(np.concatenate([*gathered.features.values()])).all()
    found = damage_fit.weights(gathered, lines)
    assert set(found) == set(lines.weights) and found["odds"] > 0
    assert set(dust.weights) - {"bias"} <= set(
        damage_fit.gather(files[:1], dust.propose, dust.levels).features
    )


def test_a_line_that_others_go_on_with_is_aligned():
    rows = np.concatenate([np.full(30, 20), np.full(30, 21), np.arange(60, 80)])
    columns = np.concatenate([np.arange(10, 40), np.arange(60, 90), np.full(20, 50)])
    owner = np.repeat([0, 1, 2], [30, 30, 20])
    found = relations(rows, columns, owner, (100, 100))
    np.testing.assert_allclose(found["aligned"], [0.6, 0.6, 0.2], atol=0.03)
    np.testing.assert_allclose(np.exp(found["share"]), [0.3, 0.3, 0.2], rtol=0.02)
    np.testing.assert_allclose(np.exp(found["width"]), 1, atol=0.05)
