import subprocess
import sys

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from gaussian import GaussianNetwork
from models import tiny_unet

from inpaint.denoiser import project, seeded_noise, timesteps_of, unet_denoiser, watched
from inpaint.operators import KnownPixels
from inpaint.training.loss import training_scheduler
from inpaint.unet import InpaintUNet

SHAPE = (1, 3, 24, 20)
KNOWN = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1
MASK = torch.zeros(1, 1, 24, 20)
MASK[..., 8:16, 5:15] = 1
X = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("schedule", ["linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("level", [2e-4, 0.01, 0.31, 0.77, 0.999])
def test_every_parametrisation_gives_the_posterior_mean(kind, schedule, level):
    network = GaussianNetwork(kind, schedule)
    scheduler = DDPMScheduler(beta_schedule=schedule, prediction_type=kind)
    denoise = unet_denoiser(network, scheduler, KNOWN, MASK)
    x = X / 4
    # ε and x at the noisiest level differ by 1.4 % of either, which float32 keeps to 1e-3.
    assert torch.allclose(denoise(x, level), network.clean(x, level), atol=2e-3)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("zero_snr", [False, True])
def test_what_is_noisier_than_the_last_timestep_is_taken_for_it(kind, zero_snr):
    """At ᾱ = 0 an ε says nothing of x0, and dividing by √ᾱ would make pure black and white."""
    scheduler = DDPMScheduler(prediction_type=kind, rescale_betas_zero_snr=zero_snr)
    levels = scheduler.alphas_cumprod
    last = float(levels[levels > 0].min())
    denoise = unet_denoiser(tiny_unet(), scheduler, KNOWN, MASK)
    for level in (0.0, last / 2):
        assert torch.equal(denoise(X, level), denoise(X, last))


def test_estimates_stay_in_the_range_of_pictures():
    x0 = unet_denoiser(tiny_unet(), DDPMScheduler(), KNOWN, MASK)(5 * X, 0.001)
    assert x0.min() == -1
    assert x0.max() == 1


def test_trained_levels_map_to_their_own_timesteps_and_others_between():
    levels = DDPMScheduler().alphas_cumprod.double()
    timestep_of = timesteps_of(levels)
    for t in (0, 1, 500, 999):
        assert timestep_of(float(levels[t])) == pytest.approx(t, abs=1e-6)
    between = float(levels[300] + levels[301]) / 2
    assert 300.4 < timestep_of(between) < 300.6
    assert timestep_of(1.0) == 0
    assert timestep_of(0.0) == 999


@pytest.mark.parametrize(("height", "width"), [(24, 20), (16, 32), (5, 40), (1, 3)])
@pytest.mark.parametrize("in_channels", [3, 7])
def test_any_size_comes_back_at_its_size(height, width, in_channels):
    known, mask = torch.zeros(1, 3, height, width), torch.ones(1, 1, height, width)
    denoise = unet_denoiser(tiny_unet(in_channels), DDPMScheduler(), known, mask)
    x0 = denoise(torch.zeros(2, 3, height, width), 0.5)
    assert x0.shape == (2, 3, height, width)
    assert x0.dtype == torch.float32


def test_padding_reflects_to_a_multiple_of_sixteen():
    unet, scheduler = tiny_unet(), DDPMScheduler(prediction_type="sample")
    rows, columns = [*range(24), *range(22, 14, -1)], [*range(20), *range(18, 6, -1)]
    padded = X[:, :, rows][..., columns]
    with torch.no_grad():
        t = timesteps_of(scheduler.alphas_cumprod)(0.5)
        expected = unet(padded, torch.tensor(t)).sample[..., :24, :20].clamp(-1, 1)
    assert torch.equal(unet_denoiser(unet, scheduler, KNOWN, MASK)(X, 0.5), expected)


def test_inpaint_unet_of_five_resolutions_gets_a_multiple_of_32():
    unet = InpaintUNet(channels=(32,) * 5, attention=(False,) * 5, blocks=1).eval()
    scheduler = DDPMScheduler(prediction_type="v_prediction")
    assert unet_denoiser(unet, scheduler, KNOWN, MASK)(X, 0.5).shape == SHAPE


def test_learned_variance_is_dropped():
    unet, scheduler = tiny_unet(out_channels=6), DDPMScheduler(prediction_type="sample")
    before = unet_denoiser(unet, scheduler, KNOWN, MASK)(X, 0.5)
    assert before.shape == SHAPE
    with torch.no_grad():
        unet.conv_out.weight[3:] += 1
    assert torch.equal(unet_denoiser(unet, scheduler, KNOWN, MASK)(X, 0.5), before)


def test_a_conditional_network_sees_known_pixels_and_mask_but_not_the_hole():
    unet, scheduler = tiny_unet(7), DDPMScheduler()

    def estimate(known, mask):
        return unet_denoiser(unet, scheduler, known, mask)(X, 0.5)

    x0 = estimate(KNOWN, MASK)
    assert torch.equal(estimate(KNOWN + MASK, MASK), x0)
    assert not torch.equal(estimate(KNOWN + 1 - MASK, MASK), x0)
    assert not torch.equal(estimate(KNOWN, MASK.roll(3, -1)), x0)


def test_an_unconditional_network_sees_neither():
    unet, scheduler = tiny_unet(), DDPMScheduler()
    x0 = unet_denoiser(unet, scheduler, KNOWN, MASK)(X, 0.5)
    assert torch.equal(unet_denoiser(unet, scheduler, -KNOWN, 1 - MASK)(X, 0.5), x0)


def test_guidance_extrapolates_from_the_blind_estimate():
    unet, scheduler = tiny_unet(7), DDPMScheduler(prediction_type="sample")
    with torch.no_grad():
        unet.conv_out.weight.mul_(0.1)  # within [-1, 1], where nothing is clamped

    def estimate(known, mask, guidance):
        return unet_denoiser(unet, scheduler, known, mask, guidance=guidance)(X, 0.5)

    seeing = estimate(KNOWN, MASK, 1.0)
    blind = estimate(torch.zeros(SHAPE), torch.ones(1, 1, 24, 20), 1.0)
    assert not torch.allclose(seeing, blind, atol=1e-3)
    assert torch.allclose(estimate(KNOWN, MASK, 1.5), blind + 1.5 * (seeing - blind), atol=1e-6)


class Counting:
    """Counts which layers of a network are run."""

    def __init__(self, network):
        self.network, self.calls = network, []
        network.instead = self

    def run(self, *seen):
        self.calls.append("all")
        return self.network.run(*seen)

    def rerun(self, *seen):
        self.calls.append("some")
        return self.network.rerun(*seen)


@pytest.fixture
def counted():
    torch.manual_seed(0)
    network = InpaintUNet(channels=(32, 64), blocks=1, attention=(False, False)).eval()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return Counting(network)


def ask(denoise, timesteps):
    levels = training_scheduler().alphas_cumprod
    return [denoise(X, float(levels[t])) for t in timesteps]


@pytest.mark.parametrize(
    "timesteps, calls",
    [
        ((900, 801, 700, 601), "all some all some"),
        ((900, 870, 840, 810, 780), "all some some some all"),
        ((900, 700, 500), "all all all"),
        ((100, 60, 900, 850), "all some all some"),  # RePaint's way back
        ((900, 900), "all some"),
    ],
)
def test_deep_layers_are_run_again_when_the_level_has_moved_on(timesteps, calls, counted):
    ask(unet_denoiser(counted.network, training_scheduler(), KNOWN, MASK), timesteps)
    assert counted.calls == calls.split()


def test_features_of_another_picture_are_never_used(counted):
    first = unet_denoiser(counted.network, training_scheduler(), KNOWN, MASK)
    ask(first, (900,))
    again = unet_denoiser(counted.network, training_scheduler(), -KNOWN, MASK)
    alone = ask(again, (880,))[0]
    assert counted.calls == ["all", "all"] and not torch.equal(alone, ask(first, (880,))[0])
    both = unet_denoiser(counted.network, training_scheduler(), KNOWN, MASK, guidance=2.0)
    counted.calls.clear()
    ask(both, (900, 880))
    assert counted.calls == ["all", "all", "some", "some"]


def test_features_used_at_once_change_nothing_and_later_little(counted):
    fresh = unet_denoiser(counted.network, training_scheduler(), KNOWN, MASK)
    kept = unet_denoiser(counted.network, training_scheduler(), KNOWN, MASK)
    one, same, later = ask(kept, (500, 500, 420))
    assert torch.equal(one, same)
    (wanted,) = ask(fresh, (420,))
    assert 0 < (later - wanted).norm() < 0.1 * (wanted - one).norm()


def test_a_half_precision_network_gives_ordinary_float32_tensors():
    denoise = unet_denoiser(tiny_unet(), DDPMScheduler(), KNOWN, MASK)
    half = unet_denoiser(tiny_unet().to(torch.bfloat16), DDPMScheduler(), KNOWN, MASK)
    x0 = half(X, 0.7)
    assert x0.dtype == torch.float32
    assert torch.allclose(x0, denoise(X, 0.7), atol=0.05)
    x0 += 1  # would raise on a tensor of inference mode


def test_whole_timesteps_for_networks_that_look_them_up():
    unet = tiny_unet(time_embedding_type="learned", num_train_timesteps=1000)
    x0 = unet_denoiser(unet, DDPMScheduler(), KNOWN, MASK)(X, 0.31)
    assert x0.shape == SHAPE


@pytest.mark.parametrize(
    ("unet", "scheduler", "guidance", "message"),
    [
        (tiny_unet(4), DDPMScheduler(), 1.0, "4 channels"),
        (tiny_unet(), DDIMScheduler(prediction_type="flow"), 1.0, "'flow'"),
        (tiny_unet(), FlowMatchEulerDiscreteScheduler(), 1.0, "FlowMatchEuler"),
        (tiny_unet(), DDPMScheduler(), 1.5, "guidance"),
    ],
)
def test_what_cannot_be_adapted_is_refused(unet, scheduler, guidance, message):
    with pytest.raises(ValueError, match=message):
        unet_denoiser(unet, scheduler, KNOWN, MASK, guidance=guidance)


def test_noise_of_an_image_depends_on_its_seed_alone():
    x = torch.zeros(3, 3, 8, 8)
    three, one = seeded_noise([7, 8, 9]), seeded_noise([8])
    for _ in range(2):  # the second draw too
        batch = three(x)
        assert torch.equal(batch[1:2], one(x[:1]))
        assert not torch.equal(batch[0], batch[1])
    assert torch.equal(seeded_noise([7])(x[:1].double()), seeded_noise([7])(x[:1]).double())


def test_noise_refuses_a_batch_it_has_no_seeds_for():
    with pytest.raises(ValueError, match="2 seeds but the batch has 3"):
        seeded_noise([0, 1])(torch.zeros(3, 3, 8, 8))


def test_a_watcher_sees_every_estimate_and_can_stop():
    seen = []

    def watch(x0, level):
        seen.append((x0, level))
        if len(seen) == 2:
            raise InterruptedError

    denoise = watched(lambda x, level: x / 2, watch)
    x0 = denoise(X, 0.4)
    assert torch.equal(x0, X / 2)
    assert seen == [(x0, 0.4)]
    with pytest.raises(InterruptedError):
        denoise(X, 0.5)


def test_projection_holds_known_pixels_exactly_and_blends_soft_edges():
    soft = MASK.clone()
    soft[..., 8, :] = 0.25
    x0 = project(lambda x, level: x, KnownPixels(KNOWN, soft))(X, 0.5)
    assert torch.equal(x0[..., :8, :], KNOWN[..., :8, :])
    assert torch.equal(x0[..., 9:16, 5:15], X[..., 9:16, 5:15])
    assert torch.allclose(x0[..., 8, :], 0.75 * KNOWN[..., 8, :] + 0.25 * X[..., 8, :])


def test_the_core_imports_nothing_but_torch():
    code = (
        "import sys, inpaint.samplers, inpaint.denoiser;"
        "print([m for m in ('diffusers', 'PIL', 'gradio', 'cv2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
