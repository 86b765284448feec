"""The network alone: shapes, levels, presets, files."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gaussian import x0_from_v
from torch import nn

from inpaint.layers import ResBlock, biharmonic, cosine_abar, push_pull
from inpaint.training.loss import noised, training_scheduler
from inpaint.unet import PRESETS, InpaintUNet

ABAR = training_scheduler().alphas_cumprod


@pytest.fixture(scope="module")
def unet():
    """Tiny, with a head that is no longer zero."""
    torch.manual_seed(0)
    unet = InpaintUNet(**PRESETS["tiny"]).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    return unet


def inputs(batch, height, width):
    x = torch.randn(batch, 7, height, width, generator=torch.Generator().manual_seed(1))
    x[:, 6] = (x[:, 6] > 0).float()
    x[:, 3:6] *= 1 - x[:, 6:]
    return x


def a_hole(t):
    """(x0, mask, input of the network) with noise at level t and a hole in the middle."""
    rng = torch.Generator().manual_seed(2)
    x0 = torch.rand(1, 3, 32, 32, generator=rng) * 2 - 1
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 4:28] = 1
    x = noised(x0, torch.randn(x0.shape, generator=rng), ABAR[t])
    return x0, mask, torch.cat([x, x0 * (1 - mask), mask], dim=1)


@pytest.mark.parametrize(
    "preset, least, most", [("tiny", 3e6, 5e6), ("narrow", 1e6, 2e6), ("base", 12e6, 16e6)]
)
def test_presets_have_their_size(preset, least, most):
    assert least < sum(p.numel() for p in InpaintUNet(**PRESETS[preset]).parameters()) < most


def test_a_network_may_do_without_norms_and_attention():
    kinds = {type(part).__name__ for part in InpaintUNet(**PRESETS["narrow"]).modules()}
    assert not kinds & {"GroupNorm", "Attention"} and "ResBlock" in kinds
    usual = {type(part).__name__ for part in InpaintUNet(**PRESETS["tiny"]).modules()}
    assert {"GroupNorm", "Attention"} <= usual


@pytest.mark.parametrize("height, width", [(16, 16), (48, 80), (32, 16), (64, 64)])
@torch.no_grad()
def test_runs_at_any_multiple_of_16(unet, height, width):
    assert unet(inputs(2, height, width), 10).sample.shape == (2, 3, height, width)


@pytest.mark.parametrize("height, width", [(40, 32), (32, 8), (33, 33)])
def test_refuses_other_sizes(unet, height, width):
    with pytest.raises(ValueError, match="multiples of 16"):
        unet(inputs(1, height, width), 10)


@pytest.mark.parametrize("t", [0, 30, 500, 998])
@torch.no_grad()
def test_known_pixels_come_back_exactly(unet, t):
    x0, mask, sample = a_hole(t)
    error = (x0_from_v(sample[:, :3], unet(sample, t).sample, ABAR[t]) - x0).abs()
    assert (error * (1 - mask)).max() < 1e-3
    assert (error * mask).max() > 1e-2


@torch.no_grad()
def test_a_new_network_starts_from_the_smooth_fill():
    x0, mask, sample = a_hole(998)
    start = x0_from_v(sample[:, :3], InpaintUNet(**PRESETS["tiny"])(sample, 998).sample, ABAR[998])
    torch.testing.assert_close(start, push_pull(x0 * (1 - mask), mask), rtol=0, atol=0.01)


def test_the_schedule_is_the_schedulers():
    torch.testing.assert_close(cosine_abar(torch.arange(1000.0)), ABAR, rtol=0, atol=1e-5)


def test_the_biharmonic_fill_continues_slopes_and_curves():
    """A cubic is biharmonic: across a narrow hole it comes back, where push-pull leaves a step."""
    x = torch.linspace(-1, 1, 64)
    truth = (x**3 * 0.6 + 0.3 * x[:, None] ** 2).expand(1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 20:60, 54:58] = 1
    smooth = push_pull(truth * (1 - mask), mask)
    fill, settled = biharmonic(smooth, mask), biharmonic(smooth, mask, steps=40)
    assert torch.equal(fill * (1 - mask), smooth * (1 - mask))
    errors = [float((found - truth).abs().max()) for found in (smooth, fill, settled)]
    assert errors[0] > 0.02 and errors[1] < errors[0] / 5 and errors[2] < 1e-3, errors


def test_the_biharmonic_fill_is_scikit_images():
    restoration = pytest.importorskip("skimage.restoration")
    picture = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 12:14, 5:28] = 1
    wanted = restoration.inpaint_biharmonic(picture[0, 0].numpy(), mask[0, 0].numpy() > 0)
    ours = biharmonic(push_pull(picture * (1 - mask), mask), mask, steps=100)[0, 0].numpy()
    assert np.abs(ours - wanted.clip(-1, 1)).max() < 0.02


def test_push_pull_keeps_what_is_known_and_continues_it():
    ramp = torch.linspace(-1, 1, 48).expand(1, 3, 32, 48)
    mask = torch.zeros(1, 1, 32, 48)
    mask[..., 10:20, 20:30] = 1
    fill = push_pull(ramp * (1 - mask), mask)
    assert torch.equal(fill * (1 - mask), ramp * (1 - mask))
    assert (fill - ramp).abs().max() < 0.15
    everything = torch.ones_like(mask)
    assert not push_pull(torch.zeros_like(ramp), everything).any()
    one = everything.clone()
    one[..., 0, 0] = 0
    filled = push_pull(0.5 * (1 - one).expand_as(ramp), one)
    torch.testing.assert_close(filled, torch.full_like(ramp, 0.5))


@torch.no_grad()
def test_each_sample_has_its_own_level(unet):
    x = inputs(2, 32, 32)
    both = unet(x, torch.tensor([100, 900])).sample
    one = unet(x[1:], 900.0, return_dict=False)[0]
    torch.testing.assert_close(both[1:], one, rtol=0, atol=1e-5)
    assert (unet(x, 100).sample - both)[1].abs().max() > 1e-2


@torch.no_grad()
def test_nearby_and_fractional_levels_differ(unet):
    x = inputs(1, 16, 16)
    a, b, c = (unet(x, t).sample for t in (500.0, 500.5, 501))
    assert 1e-4 < (a - b).abs().max() < (a - c).abs().max() < 1


@torch.no_grad()
def test_bfloat16_and_channels_last_stay_close(unet):
    x = inputs(2, 32, 32)
    expected = unet(x, 700).sample
    with torch.autocast("cpu", torch.bfloat16):
        got = unet(x.to(memory_format=torch.channels_last), 700).sample
    assert (got.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_stays_close_at_the_ends_of_the_schedule(unet, dtype):
    """As bfloat16, t = 998 and 1000 are one number."""
    half = InpaintUNet.from_config(unet.config).eval()
    half.load_state_dict(unet.state_dict())
    half.to(dtype)
    x = inputs(2, 32, 32).to(dtype)
    t = torch.tensor([3, 999])
    expected = unet(x.float(), t).sample
    got = half(x, t).sample
    assert got.dtype == dtype
    assert (got.float() - expected).abs().max() < 0.05 * expected.abs().max()


@torch.no_grad()
def test_saved_and_loaded_is_the_same(unet, tmp_path):
    unet.save_pretrained(tmp_path)
    again = InpaintUNet.from_pretrained(tmp_path)
    assert again.config.channels == list(PRESETS["tiny"]["channels"])
    x = inputs(1, 32, 32)
    torch.testing.assert_close(again(x, 3).sample, unet(x, 3).sample, rtol=0, atol=1e-5)
    assert all(map(torch.equal, again.parameters(), unet.parameters()))


@pytest.mark.parametrize(
    "config, message",
    [({"channels": (30, 64)}, "multiples of 32"), ({"channels": (32,)}, "attention flags")],
)
def test_refuses_impossible_configurations(config, message):
    with pytest.raises(ValueError, match=message):
        InpaintUNet(**{"attention": (False, True), **config})


# The textbook sketch: `Linear` on the raw integer t; a 256-d embedding added to 64 channels.


def tells_levels_apart(embed):
    """Early, middle and late levels point in different directions, at the scale of activations."""
    vectors = embed(torch.tensor([10.0, 400.0, 950.0]))
    cosines = F.cosine_similarity(vectors[[0, 0, 1]], vectors[[1, 2, 2]])
    return bool(cosines.max() < 0.98 and vectors.abs().max() < 10)


@torch.no_grad()
def test_the_level_embedding_tells_levels_apart(unet):
    torch.manual_seed(0)
    linear = nn.Linear(1, 256)
    assert tells_levels_apart(lambda t: unet.level(t, torch.float32))
    assert not tells_levels_apart(lambda t: linear(t[:, None]))


@torch.no_grad()
def test_each_block_projects_the_embedding_to_its_own_channels():
    x, level = torch.randn(2, 64, 8, 8), torch.randn(2, 256)
    block = ResBlock(64, 64, embedding=256, dropout=0.0, norm=True)
    nn.init.normal_(block.conv2.weight)
    assert block(x, level).shape == x.shape
    assert not torch.equal(block(x, level), block(x, -level))
    with pytest.raises(RuntimeError, match="must match"):
        x + level[:, :, None, None]
    base = InpaintUNet(**PRESETS["base"])
    projections = [m.level for m in base.modules() if isinstance(m, ResBlock)]
    assert len({id(p.weight) for p in projections}) == len(projections) == 17
