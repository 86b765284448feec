import math
from dataclasses import replace

import numpy as np
import pytest

from inpaint import reviewing
from inpaint.pictures import Picture
from inpaint.regions import Region
from inpaint.results import Candidate, Patch

RNG = np.random.default_rng(0)
SIZE = 120
HOLE = (40, 40, 80, 80)


def smooth(seed: int) -> np.ndarray:
    """A picture whose neighbours differ a little everywhere alike: a random walk."""
    steps = np.random.default_rng(seed).normal(0, 2, (SIZE, SIZE, 3))
    return (128 + steps.cumsum(0) * 0.5 + steps.cumsum(1) * 0.5).clip(0, 255)


def candidate(patch: np.ndarray, original: Picture, seed: int = 0) -> Candidate:
    alpha = np.ones((HOLE[3] - HOLE[1], HOLE[2] - HOLE[0]), np.float32)
    region = Region(HOLE, HOLE)
    patches = (Patch(region, patch.astype(np.float32), alpha),)
    return Candidate(original, patches, {"settings": {"seed": seed}})


@pytest.fixture
def original() -> Picture:
    return Picture(smooth(1).astype(np.uint8))


def inside(array: np.ndarray) -> np.ndarray:
    return array[HOLE[1] : HOLE[3], HOLE[0] : HOLE[2]]


def test_touched_is_where_alpha_is(original):
    one = candidate(inside(smooth(1)), original)
    alpha = one.patches[0].alpha.copy()
    alpha[0] = 0
    one = replace(one, patches=(replace(one.patches[0], alpha=alpha),))
    expected = np.zeros((SIZE, SIZE), bool)
    expected[HOLE[1] + 1 : HOLE[3], HOLE[0] : HOLE[2]] = True
    assert np.array_equal(reviewing.touched(one), expected)


def test_the_seamless_candidate_comes_first(original):
    truth = inside(smooth(1))
    bright = candidate(truth + 60, original, 0)
    good = candidate(truth, original, 1)
    ranked = reviewing.ranked([bright, good])
    assert [one for one, _ in ranked] == [good, bright]
    scores = [abs(math.log(score)) for _, score in ranked]
    assert scores[0] < scores[1] / 2 and scores[1] > 1


def test_what_was_repainted_whole_has_no_seam_and_keeps_its_order(original):
    region = Region((0, 0, SIZE, SIZE), (0, 0, SIZE, SIZE))
    whole = Patch(region, smooth(2).astype(np.float32), np.ones((SIZE, SIZE), np.float32))
    ones = [Candidate(original, (whole,), {"settings": {"seed": k}}) for k in range(3)]
    assert reviewing.ranked(ones) == [(one, None) for one in ones]
    assert not reviewing.is_tight(ones[0])


@pytest.mark.parametrize("rim, tight", [(0, False), (3, True)])
def test_the_rim_of_an_object_tells_a_tight_mask(rim, tight):
    pixels = smooth(1)
    x0, y0, x1, y1 = HOLE
    pixels[y0 - rim : y1 + rim, x0 - rim : x1 + rim] = 230  # an object, covered but for its rim
    one = candidate(inside(smooth(1)), Picture(pixels.astype(np.uint8)))
    assert reviewing.is_tight(one) == tight


def test_a_merge_is_one_picture_here_and_the_other_there(original):
    first = candidate(inside(smooth(3)), original, 5)
    second = candidate(inside(smooth(4)), original, 6)
    where = np.zeros((SIZE, SIZE), bool)
    where[:, 60:] = True
    both = reviewing.merged(first, second, where)
    expected = np.where(where[..., None], second.picture().pixels, first.picture().pixels)
    assert np.array_equal(both.picture().pixels, expected)
    assert both.recipe["merged"] == [5, 6]
    again = reviewing.merged(both, first, ~where)
    assert again.recipe["merged"] == [5, 6]


def test_candidates_of_other_runs_cannot_be_merged(original):
    first = candidate(inside(smooth(3)), original)
    other = candidate(inside(smooth(3)), Picture(original.pixels.copy()))
    with pytest.raises(ValueError, match="one run"):
        reviewing.merged(first, other, np.ones((SIZE, SIZE), bool))


def test_the_map_is_dark_where_all_agree_and_bright_where_they_differ(original):
    patch = inside(smooth(1)).copy()
    other = patch.copy()
    other[:, 20:] = 255 - other[:, 20:] + 60
    ones = [candidate(p.clip(0, 255), original) for p in (patch, other)]
    seen = reviewing.uncertainty([one.picture() for one in ones], reviewing.touched(ones[0]), SIZE)
    assert seen.shape == (SIZE, SIZE, 3) and seen.dtype == np.uint8
    assert seen[45:75, 42:58].max() < 20, "agreed"
    assert seen[45:75, 62:78].mean() > 60, "differ"
    outside = seen[:30].astype(int)
    assert (outside.max(2) == outside.min(2)).all(), "grey outside"
