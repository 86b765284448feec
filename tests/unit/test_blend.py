"""`blend` is the precision-weighted mean of two denoisers, and fills like any model."""

import numpy as np
import pytest
import torch

import inpaint
from inpaint import catalog, devices
from inpaint.blend import NETWORK, NOISE, PATCHES, network_share


@pytest.fixture(scope="module")
def model():
    return catalog.load("blend", devices.pick("cpu")).filler.model


@pytest.mark.parametrize("noise", NOISE)
def test_each_counts_by_its_precision(noise):
    own, trained = (errors[NOISE.index(noise)] for errors in (PATCHES, NETWORK))
    share = network_share(1 / (1 + noise**2))
    assert share == pytest.approx((1 / trained) / (1 / own + 1 / trained))


def test_beyond_what_was_measured_the_ends_hold():
    assert network_share(1.0) == pytest.approx(network_share(1 / (1 + NOISE[0] ** 2)))
    assert network_share(0.0) == pytest.approx(network_share(1 / (1 + NOISE[-1] ** 2)))


def test_the_estimate_is_the_weighted_mean_of_both(model):
    known = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 24:40, 24:40] = 1
    level, x = 0.5, torch.randn(known.shape, generator=torch.Generator().manual_seed(1))
    both = model.level(known, mask, known, None)
    own = model.patches.level(known, mask, known, None).denoiser(known, mask)(x, level)
    trained = model.network.pipeline.denoiser(known, mask)(x, level)
    share = network_share(level)
    wanted = share * trained + (1 - share) * own
    assert torch.allclose(both.denoiser(known, mask)(x, level), wanted, atol=1e-5)
    assert not torch.allclose(own, trained, atol=0.1)


def test_it_fills_and_touches_nothing_else(model):
    picture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    mask = np.zeros((80, 80), bool)
    mask[30:50, 30:50] = True
    result = inpaint.edit(picture, mask, model="blend", steps=3, grow=0, feather=0, device="cpu")
    changed = (result.picture.pixels != picture).any(-1)
    assert changed[mask].mean() > 0.9 and not changed[~mask].any()
