import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from inpaint.rounding import blocks, grey, unblocked, with_grey, with_sums

RNG = np.random.default_rng(0)


def test_grey_is_that_of_pillow():
    rgb = RNG.integers(0, 256, (300, 300, 3), np.uint8)
    assert np.array_equal(grey(rgb.astype(np.int64)), Image.fromarray(rgb).convert("L"))


@pytest.mark.parametrize("maximum", [255, 65535])
def test_any_colour_takes_any_grey(maximum):
    wanted = RNG.integers(0, maximum + 1, (400, 100))
    wanted[:9], wanted[9:18] = 0, maximum
    rgb = RNG.normal(maximum / 2, maximum, (400, 100, 3))
    out = with_grey(rgb, wanted, maximum)
    assert np.array_equal(grey(out), wanted)
    assert out.min() >= 0 and out.max() <= maximum


@settings(deadline=None)
@given(
    arrays(np.float64, (16, 3), elements=st.sampled_from([0, 0.5, 1, 1.5, 127.5, 254.5, 255, 400])),
    arrays(np.int64, (16,), elements=st.integers(0, 255)),
)
def test_ties_and_borders_of_the_gamut_keep_their_grey_too(rgb, wanted):
    assert np.array_equal(grey(with_grey(rgb, wanted, 255)), wanted)


def test_a_colour_of_the_right_grey_is_only_rounded():
    rgb = RNG.integers(0, 256, (1000, 3))
    assert np.abs(with_grey(rgb.astype(float), grey(rgb), 255) - rgb).max() <= 1


@settings(deadline=None)
@given(
    arrays(np.float64, (9, 16), elements=st.floats(-300, 600)),
    arrays(np.int64, (9,), elements=st.integers(0, 16 * 255)),
)
def test_rows_add_up_to_what_they_must(values, sums):
    out = with_sums(values, sums, 255)
    assert np.array_equal(out.sum(axis=1), sums)
    assert out.min() >= 0 and out.max() <= 255


def test_rows_that_add_up_are_only_rounded():
    values = RNG.uniform(1, 254, (500, 16))
    values += (np.rint(values.sum(axis=1)) - values.sum(axis=1))[:, None] / 16
    out = with_sums(values, np.rint(values.sum(axis=1)).astype(np.int64), 255)
    assert np.abs(out - values).max() < 1


@pytest.mark.parametrize("factor, shape", [(2, (6, 4, 3)), (4, (8, 12, 1))])
def test_blocks_come_apart_and_together(factor, shape):
    values = RNG.integers(0, 99, shape)
    cut = blocks(values, factor)
    assert np.array_equal(unblocked(cut, shape, factor), values)
    assert set(cut[0]) == set(values[:factor, :factor, 0].ravel())
    assert set(cut[-1]) == set(values[-factor:, -factor:, -1].ravel())


def test_three_halves_that_are_all_rounded_up_tip_no_grey_over():
    half = np.array([[1.5, 53.5, 185.5], [9.5, 61.5, 193.5]])  # their luma is whole
    wanted = np.rint(half @ [0.29899597, 0.58700562, 0.11399841]).astype(np.int64)
    assert (grey(np.ceil(half).astype(np.int64)) == wanted + 1).all(), "the test needs ties"
    assert np.array_equal(grey(with_grey(half, wanted, 255)), wanted)
