import math

import cv2
import numpy as np
import pytest

from inpaint import metrics
from inpaint.metrics import PatchDistance, bootstrap, interval, mean_of, ratio_of

SIZE = 64


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noise(rng, deviation=0.1, size=SIZE):
    return np.float32(0.5) + rng.normal(0, deviation, (size, size, 3)).astype(np.float32)


def box(size=SIZE, margin=16):
    mask = np.zeros((size, size), bool)
    mask[margin:-margin, margin:-margin] = True
    return mask


def test_an_error_of_a_tenth_is_20_db_wherever_else_the_fill_is_wrong(rng):
    truth, mask = noise(rng), box()
    fill = truth + np.where(mask[..., None], 0.1, 5).astype(np.float32)
    assert metrics.psnr(truth, fill, mask) == pytest.approx(20, abs=1e-3)
    assert metrics.psnr(truth, truth, mask) == math.inf


def test_ssim_is_that_of_scikit_image(rng):
    structure = pytest.importorskip("skimage.metrics")
    truth, mask = noise(rng), box()
    fill = cv2.GaussianBlur(truth, (0, 0), 1) + 0.02
    expected = structure.structural_similarity(
        truth,
        fill,
        data_range=1,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1][mask].mean()
    assert metrics.ssim(truth, fill, mask) == pytest.approx(expected, abs=1e-4)
    assert metrics.ssim(truth, truth, mask) == pytest.approx(1)


def test_the_seam_of_a_ramp_lifted_in_the_hole_is_known():
    step, lift = 1 / 256, 3 / 256
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    ramp = ((x + y) * step).astype(np.float32)[..., None].repeat(3, axis=2)
    mask = box()
    lifted = ramp + np.where(mask[..., None], np.float32(lift), 0)
    border, contour = metrics.seam(ramp, mask)
    assert border == pytest.approx(step) and contour == pytest.approx(step)
    # Steps of step + lift on two sides of the box, and of lift - step on the others.
    border, contour = metrics.seam(lifted, mask)
    assert border / contour == pytest.approx(lift / step, rel=1e-3)


def test_a_contour_that_leaves_the_picture_counts_for_nothing():
    mask = np.ones((SIZE, SIZE), bool)
    mask[30:32, 30:32] = False
    assert metrics.seam(np.zeros((SIZE, SIZE, 3), np.float32), mask) == (0, 0)


def test_doubling_the_contrast_is_6_db_of_texture(rng):
    truth, mask = noise(rng), box()
    for factor in (2, 0.5):
        fill = 0.5 + factor * (truth - 0.5)
        assert metrics.texture(truth, fill, mask) == pytest.approx(20 * math.log10(2), abs=0.01)
    assert metrics.texture(truth, truth, mask) == 0


def test_texture_sees_blur_and_only_the_hole(rng):
    truth, mask = noise(rng), box()
    blurred = cv2.GaussianBlur(truth, (0, 0), 1.5)
    other = np.where(mask[..., None], noise(rng), truth)
    assert metrics.texture(truth, blurred, mask) > 15
    assert metrics.texture(truth, other, mask) < 3, "other noise of the same kind is close"
    outside = np.where(mask[..., None], truth, 0).astype(np.float32)
    assert metrics.texture(truth, outside, mask) == 0


def test_fills_a_distance_apart_deviate_by_it_over_the_root_of_two(rng):
    fill, mask = noise(rng), box()
    other = fill + np.float32(0.3)
    assert metrics.diversity([fill, other], mask) == pytest.approx(0.3 / math.sqrt(2), rel=1e-4)
    assert metrics.diversity([fill, fill], mask) == 0


def test_the_pyramid_adds_up_to_the_picture(rng):
    picture = noise(rng, size=133)
    bands = metrics.laplacian_pyramid(picture)
    assert [len(band) for band in bands] == [133, 67, 34]
    back = bands[-1]
    for band in reversed(bands[:-1]):
        back = band + cv2.pyrUp(back, dstsize=band.shape[1::-1])
    np.testing.assert_allclose(back, picture, atol=1e-5)


@pytest.mark.parametrize("shift, scale", [(0.5, 1), (0, 2), (0.1, 0.7)])
def test_the_integral_is_wassersteins_distance(rng, shift, scale):
    stats = pytest.importorskip("scipy.stats")
    a, b = rng.normal(size=(2000, 3)), shift + scale * rng.normal(size=(1500, 3))
    gap = PatchDistance.distribution(a) - PatchDistance.distribution(b)
    expected = np.mean([stats.wasserstein_distance(*pair) for pair in zip(a.T, b.T, strict=True)])
    assert PatchDistance._integral(gap[None])[0] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("contrast", [0.5, 2])
def test_noise_of_another_contrast_is_as_far_as_normal_distributions_are(rng, contrast):
    # W1 of N(0, 1) and N(0, k²) is |k - 1|·√(2/π). Were each set standardised with its own
    # statistics it would be 0; with the fill's, k would act as 1/k.
    truths = [noise(rng) for _ in range(8)]
    everything = [np.ones((SIZE, SIZE), bool)] * 8
    fills = [0.5 + contrast * (truth - 0.5) for truth in truths]
    value = PatchDistance(truths, everything).compare(fills)(np.full((1, 8), 1 / 8))
    assert value[0] == pytest.approx(abs(contrast - 1) * math.sqrt(2 / math.pi), rel=0.1)


def test_photographs_get_the_floor_and_blur_gets_more(rng):
    truths, holes = [noise(rng) for _ in range(8)], [box()] * 8
    distance, equal = PatchDistance(truths, holes), np.full((1, 8), 1 / 8)
    floor = distance.compare(truths)(equal)[0]
    fresh = distance.compare([noise(rng) for _ in range(8)])(equal)[0]
    blurred = distance.compare([cv2.GaussianBlur(t, (0, 0), 1) for t in truths])(equal)[0]
    assert 0 < floor < 0.05 < blurred
    assert fresh < 2 * floor, "the same texture, other pixels"


def test_patches_far_from_the_hole_do_not_count(rng):
    truths, mask = [noise(rng, size=128)], np.zeros((128, 128), bool)
    mask[60:68, 60:68] = True
    far = truths[0].copy()
    far[:8] = 1
    distance, one = PatchDistance(truths, [mask]), np.ones((1, 1))
    assert distance.compare([far])(one) == pytest.approx(distance.compare(truths)(one), abs=1e-6)
    near = truths[0].copy()
    near[60:68] = 1
    assert distance.compare([near])(one) > 2 * distance.compare(truths)(one)


def test_every_crop_has_its_weight(rng):
    truths, holes = [noise(rng) for _ in range(2)], [box(), box(margin=24)]
    fills = [truths[0], np.zeros_like(truths[1])]
    statistic = PatchDistance(truths, holes).compare(fills)
    good, even, bad = statistic(np.array([[1, 0], [0.5, 0.5], [0, 1]]))
    assert good < even < bad


def test_a_copy_is_found_mirrored_and_in_other_light(rng):
    training = [noise(rng) for _ in range(3)]
    copy = 0.2 + 0.5 * training[1][:, ::-1]  # its mirror image, darker and paler
    queries = metrics.memory_queries(copy.astype(np.float32), np.ones((SIZE, SIZE), bool))
    assert len(queries) == 4
    assert metrics.nearest(queries, training).max() < 1e-2
    assert metrics.nearest(queries, training[:1]).min() > 1


def test_only_patches_wholly_in_the_hole_are_looked_up(rng):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[10:25, :] = True  # 15 rows, and patches have 16
    assert len(metrics.memory_queries(noise(rng), mask)) == 0
    mask[25] = True
    assert len(metrics.memory_queries(noise(rng), mask)) == 4


def test_the_interval_of_a_mean_is_the_normal_one(rng):
    values = rng.normal(3, 2, 400)
    found = interval(bootstrap(mean_of(values.tolist()), 400))
    assert found.value == pytest.approx(values.mean())
    width = 1.96 * values.std() / math.sqrt(400)
    assert found.high - found.value == pytest.approx(width, rel=0.15)
    assert found.value - found.low == pytest.approx(width, rel=0.15)


def test_pairs_share_their_draws(rng):
    values = rng.normal(3, 2, 50)
    a, b = mean_of((values + 0.1).tolist()), mean_of(values.tolist())
    gap = interval(bootstrap(a, 50) - bootstrap(b, 50))
    assert (gap.low, gap.value, gap.high) == pytest.approx((0.1, 0.1, 0.1))


def test_a_distance_lies_in_its_interval(rng):
    truths, holes = [noise(rng) for _ in range(6)], [box()] * 6
    floor = interval(bootstrap(PatchDistance(truths, holes).compare(truths), 6))
    assert floor.low < floor.value < floor.high, "resampling alone makes distances larger"


def test_crops_without_a_value_are_left_out():
    weights = np.full((1, 3), 1 / 3)
    assert mean_of([1.0, math.nan, 3.0])(weights) == 2
    assert ratio_of([1, 2, 3], [2, 2, 0])(weights) == 1.5
    assert math.isnan(interval(bootstrap(mean_of([math.nan, math.nan]), 2)).value)
