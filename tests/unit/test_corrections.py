"""What the textbook sketch gets wrong: our form passes an assertion that the sketch's form fails.

One test for each mistake that sampling code can make. Those of training are in its own tests.
"""

import math

import pytest
import torch
from diffusers import DDPMScheduler
from gaussian import D, GaussianNetwork, smooth_signals

from inpaint.denoiser import unet_denoiser
from inpaint.operators import KnownPixels
from inpaint.samplers import ddim, lanpaint, start
from inpaint.schedule import cosine_levels
from inpaint.unet import InpaintUNet

SCHEDULER = DDPMScheduler()
BETAS = SCHEDULER.betas.double()
LEVELS = (1 - BETAS).cumprod(0)


def noise(x):
    return torch.randn(x.shape, generator=noise.rng, dtype=x.dtype)


@pytest.fixture(autouse=True)
def reseed():
    noise.rng = torch.Generator().manual_seed(0)


def everything(x):
    return KnownPixels(torch.zeros_like(x[:1]), torch.ones_like(x[:1]))


def test_noising_jumps_straight_to_where_the_chain_of_small_steps_leads():
    """x_t = √ᾱ_t·x0 + √(1−ᾱ_t)·ε, not √(1−β_t)·x0 + √β_t·ε."""
    t = 300
    signal, variance = 1.0, 0.0
    for beta in BETAS[: t + 1].tolist():
        signal, variance = math.sqrt(1 - beta) * signal, (1 - beta) * variance + beta

    def right(x0, t):
        return start(x0, float(LEVELS[t]), noise)

    def wrong(x0, t):
        return torch.sqrt(1 - BETAS[t]) * x0 + torch.sqrt(BETAS[t]) * noise(x0)

    def agrees(noised):
        x = noised(torch.ones(100_000).double(), t)
        return abs(x.mean() - signal) < 0.01 and abs(x.var() - variance) < 0.01

    assert agrees(right)
    assert not agrees(wrong)


def test_the_reverse_step_is_the_ancestral_one():
    """(x_t − β_t·ε̂/√(1−ᾱ_t))/√(1−β_t) + √β̃_t·z, to the last digit."""
    t, x = 400, torch.linspace(-2, 2, 50).double().reshape(1, 1, 1, 50)
    level, after = float(LEVELS[t]), float(LEVELS[t - 1])
    seen = []

    def denoise(x, level):
        seen.append(x)
        return torch.tanh(x)

    ddim(denoise, x, [level, after, 1.0], noise, everything(x), eta=1.0)
    noise.rng = torch.Generator().manual_seed(0)
    eps = (x - math.sqrt(level) * torch.tanh(x)) / math.sqrt(1 - level)
    mean = (x - BETAS[t] * eps / math.sqrt(1 - level)) / torch.sqrt(1 - BETAS[t])
    expected = mean + torch.sqrt(BETAS[t] * (1 - after) / (1 - level)) * noise(x)
    assert torch.allclose(seen[1], expected, atol=1e-9)


def test_the_reverse_chain_ends_with_the_variance_of_the_data():
    def right(denoise, x):
        levels = [*LEVELS.flip(0).tolist(), 1.0]
        return ddim(denoise, x, levels, noise, everything(x), eta=1.0)

    def wrong(denoise, x):
        """No noise, and √(1−α_t) where √(1−ᾱ_t) belongs."""
        for t in reversed(range(len(BETAS))):
            level, alpha = float(LEVELS[t]), 1 - BETAS[t]
            eps = (x - math.sqrt(level) * denoise(x, level)) / math.sqrt(1 - level)
            x = (x - BETAS[t] / torch.sqrt(1 - alpha) * eps) / torch.sqrt(alpha)
        return x

    def agrees(sample):
        x = sample(GaussianNetwork.clean, noise(torch.zeros(4000, 1, 1, 1).double()))
        return abs(float(x.std()) - 0.5) < 0.02

    assert agrees(right)
    assert not agrees(wrong)


def test_no_noise_is_left_by_the_last_step():
    """If the data are one picture, the result is that picture; noise at the last step shows."""
    picture = torch.linspace(-1, 1, 50).double().reshape(1, 1, 1, 50)

    def wrong(denoise, x, levels, noise, operator, eta):
        sigma = math.sqrt(float(BETAS[0]))
        return ddim(denoise, x, levels, noise, operator, eta=eta) + sigma * noise(x)

    def agrees(sample):
        levels, x = cosine_levels(10), noise(picture)
        out = sample(lambda x, level: picture, x, levels, noise, everything(x), eta=1.0)
        return torch.allclose(out, picture, atol=1e-9)

    assert agrees(ddim)
    assert not agrees(wrong)


def test_what_the_network_regresses_is_what_sampling_inverts():
    """A network of x0 − x_t sampled as if it told ε does not denoise; one of ε, v or x0 does."""
    x = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) / 4
    known, mask = torch.zeros_like(x), torch.ones(1, 1, 16, 16)

    def agrees(regressed, inverted):
        network = GaussianNetwork(regressed, "linear")
        scheduler = DDPMScheduler(prediction_type=inverted)
        x0 = unet_denoiser(network, scheduler, known, mask)(x, 0.3)
        return torch.allclose(x0, GaussianNetwork.clean(x, 0.3), atol=1e-3)

    for kind in ("epsilon", "v_prediction", "sample"):
        assert agrees(kind, kind)
    assert not agrees("difference", "epsilon")
    assert not agrees("v_prediction", "epsilon")


def test_the_level_reaches_the_network_at_one_scale():
    """Sinusoidal features of t, not a Linear on the raw integer, which grows a thousandfold."""
    t = torch.arange(1000.0)
    torch.manual_seed(0)
    linear = torch.nn.Linear(1, 256)

    def agrees(features):
        norms = features(t).norm(dim=1)
        return bool(norms.max() < 2 * norms.min())

    assert agrees(InpaintUNet().embed.features)
    with torch.no_grad():
        assert not agrees(lambda t: linear(t[:, None]))


def test_each_block_projects_the_level_to_its_own_width():
    """A 256-wide embedding cannot be added to 64 channels."""
    embedding, image = torch.zeros(1, 256), torch.zeros(1, 64, 8, 8)
    unet = InpaintUNet(channels=(64, 96), attention=(False, False), blocks=1)
    block = unet.down[0].blocks[0]
    assert block(image, embedding).shape == image.shape
    with pytest.raises(RuntimeError, match="must match"):
        image + embedding[:, :, None, None]


def test_known_pixels_are_imposed_at_every_level_and_exact_at_the_end():
    """Noising the damaged picture and denoising it is not inpainting."""
    prior = smooth_signals()
    pixels = prior.sample(1, noise.rng)[0, 0, 0]
    mask = torch.zeros(D).double()
    mask[20:44] = 1
    posterior = prior.given(pixels, mask)
    damaged = ((1 - mask) * pixels).expand(2000, 1, 1, D)
    known = KnownPixels(pixels.reshape(1, 1, 1, D), mask.reshape(1, 1, 1, D))

    def right():
        levels = cosine_levels(20)
        return lanpaint(prior.denoise, start(damaged, levels[0], noise), levels, noise, known)

    def wrong(strength):
        levels = cosine_levels(20, strength)
        x = start(damaged, levels[0], noise)
        return ddim(prior.denoise, x, levels, noise, everything(x))

    def exact(out):
        return torch.equal(out[..., mask == 0], damaged[..., mask == 0])

    def likely(out):
        return posterior.distance(out, mask) < 0.2

    assert exact(right())
    assert likely(right())
    for strength in (0.2, 0.5, 1.0):
        assert not exact(wrong(strength))
        assert not likely(wrong(strength))
