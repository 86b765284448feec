"""The samplers against data whose posterior is known in closed form."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from gaussian import D, smooth_signals

from inpaint import settings
from inpaint.denoiser import project, seeded_noise, watched
from inpaint.operators import Blurred, Grey, KnownPixels, Noisy, Shrunk
from inpaint.samplers import SAMPLERS, ddim, ddnm, dpmpp, lanpaint, repaint, start
from inpaint.schedule import cosine_levels

PRIOR = smooth_signals()
CONTIGUOUS, THIN, EVERYTHING = torch.zeros(D), torch.zeros(D), torch.ones(D)
CONTIGUOUS[20:44] = 1
THIN[::3] = 1
PIXELS = PRIOR.sample(1, torch.Generator().manual_seed(5))[0, 0, 0]
BATCH = 2000  # exact samples of the posterior are then at .04 from it


def batch_noise(seed):
    rng = torch.Generator().manual_seed(seed)
    return lambda x: torch.randn(x.shape, generator=rng, dtype=x.dtype)


def known(mask, dtype=torch.float32):
    return KnownPixels(*(t.reshape(1, 1, 1, D).to(dtype) for t in (PIXELS, mask)))


def fixed_batch():
    return torch.randn(16, 1, 1, D, generator=torch.Generator().manual_seed(0)).double()


@cache
def distance(sample, steps, mask_name, conditional=False, **options):
    """Relative Wasserstein-2 distance in the hole, of BATCH samples from the exact posterior."""
    mask = {"contiguous": CONTIGUOUS, "thin": THIN}[mask_name]
    posterior = PRIOR.given(PIXELS, mask)
    levels, noise = cosine_levels(steps), batch_noise(0)
    x = start(torch.zeros(BATCH, 1, 1, D), levels[0], noise)
    denoise = (posterior if conditional else PRIOR).denoise
    return posterior.distance(sample(denoise, x, levels, noise, known(mask), **options), mask)


def test_the_measure_is_near_zero_for_exact_samples_and_one_for_their_mean():
    posterior = PRIOR.given(PIXELS, CONTIGUOUS)
    samples = posterior.sample(BATCH, torch.Generator().manual_seed(0))
    assert posterior.distance(samples, CONTIGUOUS) < 0.05
    mean = posterior.mean.expand(BATCH, 1, 1, D)
    assert posterior.distance(mean, CONTIGUOUS) == pytest.approx(1, abs=1e-3)


# Bounds lie a tenth above the distances measured with this seed, which are in the comments;
# other seeds move those by up to .02.
@pytest.mark.parametrize(
    ("sample", "steps", "options", "contiguous", "thin"),
    [
        (ddim, 20, {}, 0.24, 0.18),  # .218 .161
        (dpmpp, 20, {"eta": 1.0}, 0.19, 0.15),  # .174 .133
        (ddnm, 20, {}, 0.27, 0.27),  # .241 .240
        (ddnm, 50, {}, 0.22, 0.20),  # .199 .178
        (repaint, 20, {"resample": 5, "jump": 2}, 0.23, 0.27),  # .204 .239
        (lanpaint, 20, {}, 0.155, 0.145),  # .139 .128
        (lanpaint, 20, {"resample": 5}, 0.13, 0.15),  # .118 .136
    ],
)
def test_distance_to_the_posterior_with_an_unconditional_denoiser(
    sample, steps, options, contiguous, thin
):
    assert distance(sample, steps, "contiguous", **options) < contiguous
    assert distance(sample, steps, "thin", **options) < thin


@pytest.mark.parametrize(
    ("sample", "steps", "contiguous", "thin"),
    [
        (ddim, 8, 0.23, 0.41),  # .206 .373
        (ddim, 16, 0.13, 0.23),  # .115 .205
        (dpmpp, 8, 0.16, 0.375),  # .143 .341
        (dpmpp, 16, 0.08, 0.15),  # .065 .132
    ],
)
def test_distance_to_the_posterior_with_a_conditional_denoiser(sample, steps, contiguous, thin):
    assert distance(sample, steps, "contiguous", conditional=True) < contiguous
    assert distance(sample, steps, "thin", conditional=True) < thin


def test_lanpaint_needs_the_pull_of_the_known_pixels():
    pulled = distance(lanpaint, 20, "contiguous", resample=5)
    assert distance(lanpaint, 20, "contiguous", resample=5, pull=0.0) > 1.25 * pulled  # 1.45


def test_lanpaint_comes_closer_when_the_known_pixels_keep_their_noise():
    def redrawn(denoise, x, levels, noise, operator):
        known_again = []

        def denoise_redrawn(x, level):
            if level not in known_again:
                known_again.append(level)
                x.copy_(operator.redraw(x, level, noise))
            return denoise(x, level)

        return lanpaint(denoise_redrawn, x, levels, noise, operator, resample=5)

    kept = distance(lanpaint, 20, "contiguous", resample=5)
    assert distance(redrawn, 20, "contiguous") > 1.1 * kept  # 1.28


def test_repaint_needs_its_walk_on_a_contiguous_hole():
    walked = distance(repaint, 20, "contiguous", resample=5, jump=2)
    assert distance(repaint, 20, "contiguous", resample=1) > 1.3 * walked  # 1.6
    # More steps instead of the walk do not repair it: 92 evaluations each.
    assert distance(repaint, 92, "contiguous", resample=1) > 1.3 * walked  # 1.5


@pytest.mark.parametrize("mask", ["contiguous", "thin"])
def test_the_noise_estimate_belongs_to_the_networks_own_estimate(mask):
    def with_the_noise_of_the_projection(denoise, x, levels, noise, operator):
        return ddim(project(denoise, operator), x, levels, noise, operator)

    frozen = distance(with_the_noise_of_the_projection, 20, mask)
    assert frozen > 1.5 * distance(ddim, 20, mask)  # 1.8, 5.4


@pytest.mark.parametrize("sample", [ddim, dpmpp])
@pytest.mark.parametrize("options", [{"eta": 1.0}, {"resample": 3, "jump": 4}])
def test_noise_and_walks_keep_the_distribution(sample, options):
    # A wrong amount of noise in any move would show as a wrong variance.
    assert distance(sample, 32, "contiguous", conditional=True, **options) < 0.11


@pytest.mark.parametrize(("sample", "order"), [(ddim, 1), (dpmpp, 2)])
def test_order_of_convergence_to_the_probability_flow(sample, order):
    def error(steps):
        """RMS distance from the flow at ᾱ = .8; the last step to ᾱ = 1 spans infinite log-SNR."""
        first, last = math.acos(math.sqrt(0.1)), math.acos(math.sqrt(0.8))
        angles = [first + (last - first) * i / steps for i in range(steps + 1)]
        levels = [math.cos(angle) ** 2 for angle in angles]
        x = fixed_batch()
        seen = []

        def denoise(x, level):
            seen.append(x)
            return PRIOR.denoise(x, level)

        sample(denoise, x, [*levels, 1.0], batch_noise(0), known(EVERYTHING, torch.float64))
        return (seen[-1] - PRIOR.flow(x, levels[0], levels[-1])).square().mean().sqrt().item()

    assert error(32) / error(64) == pytest.approx(2**order, rel=0.05)


def test_two_estimates_beat_one_on_the_cosine_grid():
    x = fixed_batch()

    def error(sample, steps):
        levels = cosine_levels(steps)
        out = sample(PRIOR.denoise, x, levels, batch_noise(0), known(EVERYTHING, torch.float64))
        return (out - PRIOR.flow(x, levels[0], 1.0)).square().mean().sqrt().item()

    for steps in (8, 16, 32):
        assert error(dpmpp, steps) < error(ddim, steps)


def test_dpmpp_forgets_its_last_estimate_at_a_jump():
    levels = cosine_levels(2)

    def denoise(x, level):
        return torch.tanh(x)

    x = torch.linspace(-1, 1, D).double().reshape(1, 1, 1, D)
    out = dpmpp(
        denoise, x, levels, torch.zeros_like, known(EVERYTHING, torch.float64), resample=2, jump=1
    )
    (a, s), (a_, s_) = ((math.sqrt(level), math.sqrt(1 - level)) for level in levels[:2])

    def first_order(x):
        return s_ / s * x + (a_ - a * s_ / s) * denoise(x, None)

    again = a / a_ * first_order(x)  # the jump, its noise being zero here
    assert torch.allclose(out, denoise(first_order(again), None), atol=1e-12)


RGB = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
HOLE = torch.zeros(1, 1, 8, 8)
HOLE[..., 2:6, 3:7] = 1


def shrink(x, level):
    """A denoiser that pulls each value to 0 as a Gaussian of deviation .5 would."""
    return 0.25 * math.sqrt(level) / (0.25 * level + 1 - level) * x


def fill(name, seeds=(0,), strength=1.0, denoise=shrink, **options):
    levels, noise = cosine_levels(5, strength), seeded_noise(seeds)
    x = start(RGB.expand(len(seeds), -1, -1, -1), levels[0], noise)
    return SAMPLERS[name].function(denoise, x, levels, noise, KnownPixels(RGB, HOLE), **options)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("resample", "jump"), [(1, 1), (3, 2), (2, 9)])
def test_the_number_of_evaluations_is_known_before_the_run(name, resample, jump):
    calls = []
    fill(
        name,
        denoise=watched(shrink, lambda x0, level: calls.append(level)),
        resample=resample,
        jump=jump,
    )
    assert len(calls) == SAMPLERS[name].evaluations(5, resample, jump)


def test_settings_describe_every_sampler():
    assert list(settings.SAMPLERS) == list(SAMPLERS)


@pytest.mark.parametrize("name", SAMPLERS)
def test_known_pixels_are_exact_whatever_the_denoiser_says(name):
    def poisoned(x, level):
        return torch.where(HOLE == 1, shrink(x, level), torch.nan)

    outside = (HOLE == 0).expand(2, 3, 8, 8)
    for denoise in (shrink, lambda x, level: x * 1e4, poisoned):
        out = fill(name, seeds=(3, 4), denoise=denoise, resample=2, jump=2)
        assert torch.equal(out[outside], RGB.expand_as(out)[outside])
    assert out.isfinite().all()  # NaN outside the hole did not reach into it


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_image_does_not_depend_on_its_batch(name):
    alone = fill(name, seeds=(11,), resample=2, jump=2)
    together = fill(name, seeds=(10, 11, 12), resample=2, jump=2)
    assert torch.equal(together[1:2], alone)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("name", SAMPLERS)
def test_strength_says_how_far_the_fill_may_leave_the_content(name):
    def exact(x, level):
        return PRIOR.denoise(x, level)

    content = PIXELS.float().expand(400, 1, 1, D)

    def moved(strength):
        levels, noise = cosine_levels(10, strength), batch_noise(0)
        out = SAMPLERS[name].function(
            exact, start(content, levels[0], noise), levels, noise, known(CONTIGUOUS)
        )
        return (out - content).square().mean().item()

    assert moved(0.1) < moved(0.3) < moved(0.6) < moved(1.0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_at_full_strength_the_content_of_the_hole_is_not_seen(name):
    """The exact denoiser would find a trace of it: strong content, 64 values, one common shift."""

    def end(content):
        levels, noise = cosine_levels(10), batch_noise(0)
        x = start(torch.full((8, 1, 1, D), content), levels[0], noise)
        return SAMPLERS[name].function(PRIOR.denoise, x, levels, noise, known(CONTIGUOUS))

    assert torch.allclose(end(-1.0), end(1.0), atol=1e-3)


def test_known_pixels_are_redrawn_at_their_level_and_the_hole_is_left_alone():
    pixels, mask = torch.full((1, 1, 1, 2), 0.6), torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    x = torch.full((100_000, 1, 1, 2), 9.0)
    redrawn = KnownPixels(pixels, mask).redraw(x, 0.25, batch_noise(0))
    assert torch.equal(redrawn[..., 1], x[..., 1])
    assert redrawn[..., 0].mean().item() == pytest.approx(0.5 * 0.6, abs=0.01)
    assert redrawn[..., 0].var().item() == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("sample", [ddim, dpmpp, ddnm])
@pytest.mark.parametrize("operator", ["shrunk", "grey"])
def test_what_is_known_of_the_whole_picture_holds_in_the_result(sample, operator):
    small, grey = RGB[..., :4, :4], RGB[:, :1]
    known = Shrunk(small, 2) if operator == "shrunk" else Grey(grey)
    levels, noise = cosine_levels(5), seeded_noise([0])
    out = sample(shrink, start(torch.zeros_like(RGB), levels[0], noise), levels, noise, known)
    if operator == "shrunk":
        seen = out.unflatten(-1, (4, 2)).unflatten(-3, (4, 2)).mean(dim=(-1, -3))
        assert torch.allclose(seen, small, atol=1e-6)
    else:
        r, g, b = out.split(1, dim=1)
        assert torch.allclose(0.299 * r + 0.587 * g + 0.114 * b, grey, atol=1e-6)
    assert torch.allclose(known.project(out), out, atol=1e-6)


def test_projection_is_to_the_nearest_picture_that_agrees():
    """Moves along the null space of A leave the size of the correction: it is orthogonal to it."""
    correction = Grey(RGB[:, :1]).project(RGB) - RGB
    to_no_luma = torch.tensor([0.587, -0.299, 0.0]).reshape(1, 3, 1, 1)
    assert (correction * to_no_luma).sum(dim=1).abs().max() < 1e-6


def test_a_blur_is_the_gaussian_with_mirrored_edges():
    ys = torch.arange(-24, 24)
    kernel = torch.exp(-((ys / 1.7) ** 2) / 2)
    kernel = kernel[:, None] * kernel / kernel.sum() ** 2
    far = np.pad(RGB[0, 0].numpy(), 24, mode="symmetric")
    wanted = [
        [(far[y : y + 48, x : x + 48] * kernel.numpy()).sum() for x in range(8)] for y in range(8)
    ]
    assert np.allclose(Blurred(RGB, 1.7, 1).blur(RGB)[0, 0], wanted, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 8), (5, 9)])
def test_deblurring_is_at_the_minimum_of_its_sum(shape):
    torch.manual_seed(0)
    y, x0 = torch.rand(1, 3, *shape).double(), torch.rand(1, 3, *shape).double()
    known = Blurred(y, 1.0, 0.1)
    x = known.project(x0).requires_grad_()
    cost = (known.blur(x) - y).square().sum() + 0.1 * (x - x0).square().sum()
    assert torch.autograd.grad(cost, x)[0].abs().max() < 1e-9


def test_deblurring_without_noise_inverts_the_blur():
    torch.manual_seed(0)
    sharp = torch.rand(1, 3, 9, 12).double()
    known = Blurred(Blurred(sharp, 0.6, 1).blur(sharp), 0.6, 1e-12)
    assert torch.allclose(known.project(torch.zeros_like(sharp)), sharp, atol=1e-6)


def test_plus_form_of_a_noisy_picture_is_ddim_from_its_own_level():
    """DDNM+, eq. 17 with A = I and λ = s/(aσ): x' = a'·(D + λ'(y − D)) below the noise of y."""
    y, deviation, levels = RGB, 0.4, [1 / (1 + 0.4**2), 0.95, 0.99, 1.0]
    x = math.sqrt(levels[0]) * y
    for level, after in zip(levels, levels[1:], strict=False):
        clean = shrink(x, level)
        weight = math.sqrt((1 - after) / after) / math.sqrt((1 - level) / level)
        x = math.sqrt(after) * (clean + weight * (x / math.sqrt(level) - clean))
    assert math.sqrt((1 - levels[0]) / levels[0]) == pytest.approx(deviation)
    out = ddim(shrink, math.sqrt(levels[0]) * y, levels, seeded_noise([0]), Noisy())
    assert torch.allclose(out, x, atol=1e-6)
