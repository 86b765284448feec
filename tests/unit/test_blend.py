"""`blend`: patches everywhere, and the network where a hole is narrow."""

import shutil

import numpy as np
import pytest
import torch

import inpaint
from inpaint import catalog, devices, models
from inpaint.blend import DETAIL, NARROW, WIDE, BlendModel, narrowness


@pytest.fixture(scope="module")
def model():
    return catalog.load("blend", devices.pick("cpu")).filler.model


def holes(*spans):
    """(1, 1, 64, 64), 1 in each (rows, columns)."""
    mask = torch.zeros(1, 1, 64, 64)
    for rows, columns in spans:
        mask[..., rows, columns] = 1
    return mask


def test_a_line_is_narrow_and_a_box_is_not():
    line, box = (slice(5, 6), slice(8, 56)), (slice(20, 50), slice(20, 50))
    narrow = narrowness(holes(line, box))[0, 0]
    assert (narrow[line] == 1).all()
    assert (narrow[box][5:-5, 5:-5] == 0).all(), "its rim is as wide as the rest"
    assert narrow[8:18].max() == 0, "there is no hole"


@pytest.mark.parametrize("radius", range(WIDE + 2))
def test_it_falls_evenly_with_the_width(radius):
    span = slice(20, 21 + 2 * radius), slice(0, 64)
    middle = narrowness(holes(span))[0, 0, 20 + radius, 32]
    wanted = np.clip((WIDE - radius) / (WIDE - NARROW), 0, 1)
    assert middle == pytest.approx(wanted, abs=1e-6)


def test_a_hole_at_the_pictures_edge_counts_as_twice_as_wide():
    edge, inside = (narrowness(holes((rows, slice(0, 64)))) for rows in (slice(0, 5), slice(9, 18)))
    assert edge[0, 0, 0, 32] == inside[0, 0, 13, 32] < 1


def estimates(model, known, mask):
    """The patches' own estimate, that of both, and the level of both."""
    level, x = 0.5, torch.randn(known.shape, generator=torch.Generator().manual_seed(1))
    both = model.level(known, mask, known, None)
    own = model.patches.level(known, mask, known, None).denoiser(known, mask)(x, level)
    return own, both.denoiser(known, mask)(x, level), both


def test_in_narrow_holes_the_network_decides_the_smooth_part_and_the_patches_the_detail(model):
    known = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    line, box = (slice(5, 8), slice(8, 56)), (slice(24, 40), slice(24, 40))
    own, estimate, both = estimates(model, known, holes(line, box))
    middle = (..., 6, slice(9, 55))

    def smooth(picture):
        return torch.nn.functional.avg_pool2d(picture, DETAIL, 1, 1)[middle]

    moved, whole = estimate - own, both.mean - own
    assert torch.allclose(moved[middle], smooth(whole), atol=1e-5)
    assert (smooth(whole).abs() > 0.1).any()
    assert torch.equal(estimate[..., 30:34, 30:34], own[..., 30:34, 30:34])


@pytest.mark.parametrize("noise", [0, 0.02])
def test_where_the_picture_repeats_itself_the_patches_are_believed(model, noise):
    random = torch.Generator().manual_seed(0)
    cell = torch.rand(1, 3, 8, 8, generator=random) * 2 - 1
    exact = cell.repeat(1, 1, 12, 12)
    picture = exact + noise * torch.randn(exact.shape, generator=random)
    pixels = ((picture[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    mask = np.zeros((96, 96), bool)
    mask[40:44, 20:80] = True
    fill = inpaint.edit(pixels, mask, model="blend", seed=0, grow=0, feather=0, device="cpu")
    wanted = (exact[0].permute(1, 2, 0).numpy() + 1) * 127.5
    error = np.abs(fill.picture.pixels - wanted)[mask].mean()
    assert error < 0.5 + 2 * 127.5 * noise


def test_what_the_network_sees_does_not_depend_on_the_hidden_pixels(model):
    known = torch.zeros(1, 3, 64, 64)
    mask = holes((slice(30, 32), slice(0, 64)))
    spoilt = torch.where(mask > 0, 1.0, known)
    assert torch.equal(
        model.level(known, mask, known, None).mean * mask,
        model.level(spoilt, mask, known, None).mean * mask,
    )


def test_the_network_stays_within_the_range_around(model):
    known = torch.full((1, 3, 64, 64), 0.3)
    known[..., 40:] = torch.linspace(-1, 1, 24)
    mask = holes((slice(30, 33), slice(0, 64)))
    fill = model.fill(known, mask)
    assert (fill[..., 30:33, :20] == known[0, 0, 0, 0]).all(), "what is even stays even"
    assert fill[..., 30:33, 45:].std() > 0.3


def test_on_coarse_levels_the_patches_are_alone(model):
    known = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = holes((slice(30, 32), slice(0, 64)))
    trusts = [model.level(known, mask, known, None, halved).trust.max() for halved in (0, 1)]
    assert trusts[0] > 0 and trusts[1] == 0


def test_it_fills_and_touches_nothing_else(model):
    assert isinstance(model, BlendModel)
    picture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    mask = np.zeros((80, 80), bool)
    mask[30:50, 30:50] = True
    mask[60:62] = True
    result = inpaint.edit(picture, mask, model="blend", steps=3, grow=0, feather=0, device="cpu")
    changed = (result.picture.pixels != picture).any(-1)
    assert changed[mask].mean() > 0.9 and not changed[~mask].any()


@pytest.mark.parametrize("wanted", [{"strength": 0.5}, {"task": "create"}], ids=str)
def test_where_something_is_to_be_kept_the_patches_are_alone(wanted):
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[18:20] = True
    fills = [
        inpaint.edit(picture, mask, model=model, steps=3, device="cpu", **wanted).picture.pixels
        for model in ("self", "blend")
    ]
    assert np.array_equal(*fills)


def test_a_damaged_network_is_refused_in_a_sentence(tmp_path):
    shutil.copytree(models.MODELS["blend"].repository, tmp_path / "narrow")
    (tmp_path / "narrow" / "SHA256SUMS").unlink(missing_ok=True)
    weights = next((tmp_path / "narrow" / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(models.ModelError, match="cannot be loaded"):
        catalog.load(str(tmp_path / "narrow"), devices.pick("cpu"))
