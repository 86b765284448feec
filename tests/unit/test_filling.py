import math

import numpy as np
import pytest
import torch
from models import conditional, pixel_model, unconditional

from inpaint.catalog import PixelModel
from inpaint.filling import Stopped, fill, overall, plan, shuffled
from inpaint.samplers import SAMPLERS
from inpaint.scales import shrink
from inpaint.schedule import cosine_levels
from inpaint.selfpatch import SelfModel
from inpaint.settings import Settings

MODELS = {
    "self": SelfModel(),
    "unconditional": pixel_model(unconditional),
    "conditional": pixel_model(conditional),
}
HOLES = {
    "speck": (9, 8, 11, 10),
    "small": (10, 9, 22, 18),
    "corner": (0, 0, 14, 11),
    "wide": (4, 8, 54, 30),  # several tiles and levels
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]


def picture(width=60, height=44, seed=0):
    """Smooth shapes: something that a model could continue."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")


def hole(box, width=60, height=44):
    x0, y0, x1, y1 = box
    mask = torch.zeros(1, 1, height, width)
    mask[..., y0:y1, x0:x1] = 1
    return mask


def known_pixels(x, mask):
    return x[:, :, mask[0, 0] == 0]


# Plans


@pytest.mark.parametrize("name", HOLES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_plan_counts_the_calls_that_are_made(model, sampler, name):
    settings = Settings(sampler=sampler, steps=3, resample=2, jump=2)
    mask, calls, steps = hole(HOLES[name]), [], []
    hook = None
    if isinstance(model, PixelModel):
        hook = model.pipeline.unet.register_forward_hook(lambda *call: calls.append(call))
    _, finished = fill(model, picture(), mask, settings, [0], steps.append)
    passes = plan(model, mask, settings)
    total = sum(p.evaluations for p in passes)
    if hook:
        hook.remove()
        assert len(calls) == total
    assert finished and total == overall(passes)[0]
    assert [step.number for step in steps] == list(range(1, total + 1))
    assert {step.total for step in steps} == {total}
    if name == "wide":
        assert len({p.level for p in passes}) > 1, "the test needs several levels"
        assert len(passes) > 3 or model is MODELS["self"], "the test needs several tiles"


@pytest.mark.parametrize("steps", [5, 6])
def test_a_plan_goes_from_coarse_to_fine_and_covers_every_level(model, steps):
    mask = hole(HOLES["wide"])
    settings = Settings(steps=steps)
    passes = plan(model, mask, settings)
    order = [p.level for p in passes]
    assert order == sorted(order, reverse=True) and order[-1] == 0
    for level in range(order[0] + 1):
        covered = torch.zeros_like(mask)
        for p in passes:
            if p.level == level:
                x0, y0, x1, y1 = p.region.core
                covered[..., y0:y1, x0:x1] += 1
        assert torch.equal(covered * mask, mask)
        mask = shrink(mask, mask)[1]
    first = [p for p in passes if p.level == order[0]]
    assert all(len(p.levels) == steps + 1 for p in first)
    assert all(len(p.levels) == 4 for p in passes if p.level < order[0])
    evaluations, work = overall(passes)
    assert work == pytest.approx(sum(p.evaluations * p.work for p in passes)) and work > 0
    assert overall(iter(passes)) == (evaluations, work) and overall([]) == (0, 0)


def test_a_lightly_noised_guide_is_kept_at_its_own_level(model):
    mask = hole(HOLES["wide"])
    assert {p.level for p in plan(model, mask, Settings(strength=model.refine))} == {0}
    assert {p.level for p in plan(model, mask, Settings(strength=1))} != {0}


def test_a_shrunken_tile_makes_more_and_smaller_cores():
    model, mask = MODELS["conditional"], hole((10, 10, 138, 138), 150, 150)
    large = PixelModel(model.pipeline)
    large.pipeline.unet.register_to_config(sample_size=64)
    try:
        counts = [len(plan(large, mask, Settings(strength=0.4), s)) for s in (1.0, 0.5, 0.01)]
        assert counts == [4, 16, 16], "32 pixels is the least"
        out, finished = fill(large, picture(150, 150), mask, Settings(steps=1), [0], shrunken=0.5)
        assert finished and torch.isfinite(out).all()
    finally:
        large.pipeline.unet.register_to_config(sample_size=16)


@pytest.mark.parametrize("width, shrunken", [(1200, 1.0), (600, 0.5)])
def test_self_fills_holes_longer_than_its_tile(width, shrunken):
    mask = hole((20, 8, 20 + width, 12), 40 + width, 20)
    settings = Settings(steps=1)
    out, _ = fill(MODELS["self"], picture(40 + width, 20), mask, settings, [0], shrunken=shrunken)
    assert torch.isfinite(out).all()


def test_nothing_to_fill_is_nothing_done(model):
    calls = []
    out, finished = fill(model, picture(), hole((0, 0, 0, 0)), Settings(), [1, 2], calls.append)
    assert finished and not calls
    assert torch.equal(out, picture().expand(2, -1, -1, -1))


# Fills


@pytest.mark.parametrize("name", HOLES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_known_pixels_are_exact_and_the_hole_is_filled(model, sampler, name):
    known, mask = picture(), hole(HOLES[name])
    settings = Settings(sampler=sampler, steps=2, resample=1)
    out, finished = fill(model, known, mask, settings, [0])
    assert finished and torch.isfinite(out).all() and out.abs().max() <= 1.5
    assert torch.equal(known_pixels(out, mask), known_pixels(known, mask))
    assert not torch.equal(out, known)


@pytest.mark.parametrize("name", HOLES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_at_full_strength_the_hole_does_not_matter(model, sampler, name):
    known, mask = picture(), hole(HOLES[name])
    settings = Settings(sampler=sampler, steps=2, resample=2)
    out = [
        fill(model, torch.where(mask > 0, content, known), mask, settings, [5])[0]
        for content in (-1.0, picture(seed=9))
    ]
    assert torch.equal(*out)


@pytest.mark.parametrize("network", ["conditional", "unconditional"])
@pytest.mark.parametrize("name", ["small", "wide"])
def test_a_small_strength_stays_close(network, name):
    known, mask = picture(), hole(HOLES[name])
    away = []
    for strength in (0.01, 1.0):
        settings = Settings(strength=strength, steps=3, eta=0)
        out, _ = fill(MODELS[network], known, mask, settings, [0])
        away.append(float((out - known).abs().sum() / mask.sum() / 3))
    assert away[0] < 0.05 and away[0] < away[1] / 4


def test_self_keeps_the_content_or_replaces_it_by_what_fits():
    # The right half repeats the left one; the hole shows another place of it.
    generator = torch.Generator().manual_seed(1)
    whole = (torch.rand(1, 3, 44, 36, generator=generator) * 2 - 1).repeat(1, 1, 1, 2)
    mask, content = hole((12, 10, 22, 20), 72, 44), whole.clone()
    content[..., 10:20, 12:22] = whole[..., 30:40, 50:60]
    centre = np.s_[..., 13:17, 15:19]
    for strength, wanted, other in ((0.05, content, whole), (1.0, whole, content)):
        settings = Settings(strength=strength, steps=4)
        out, _ = fill(MODELS["self"], content, mask, settings, [0])
        near, far = ((out - x)[centre].abs().mean() for x in (wanted, other))
        assert near < far / 3


def test_the_same_seed_gives_the_same_fill(model):
    known, mask, settings = picture(), hole(HOLES["wide"]), Settings(steps=2, sampler="ddim")
    first, second = (fill(model, known, mask, settings, [3])[0] for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, fill(model, known, mask, settings, [4])[0])


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", ["conditional", "unconditional"])
def test_a_batch_of_seeds_equals_single_fills(name, sampler):
    known, mask = picture(), hole(HOLES["wide" if sampler == "ddim" else "small"])
    settings = Settings(sampler=sampler, steps=3, resample=2)
    seeds = [7, 3, 11]
    batch, _ = fill(MODELS[name], known, mask, settings, seeds)
    for one, seed in zip(batch, seeds, strict=True):
        alone, _ = fill(MODELS[name], known, mask, settings, [seed])
        assert torch.allclose(one, alone[0], atol=1e-3)
    assert not torch.allclose(batch[0], batch[1], atol=0.05)


def test_each_picture_of_a_batch_is_filled_for_itself():
    both = torch.cat([picture(), -picture(seed=2)])
    mask, settings = hole(HOLES["wide"]), Settings(steps=2)
    batch, _ = fill(MODELS["conditional"], both, mask, settings, [1, 1])
    for k in range(2):
        alone, _ = fill(MODELS["conditional"], both[k : k + 1], mask, settings, [1])
        assert torch.allclose(batch[k], alone[0], atol=1e-3)


def test_the_picture_and_the_mask_are_not_changed(model):
    known, mask = picture(), hole(HOLES["wide"])
    before = known.clone(), mask.clone()
    fill(model, known, mask, Settings(steps=1), [0])
    assert torch.equal(known, before[0]) and torch.equal(mask, before[1])


def seen(known, mask, settings):
    """What the conditional network gets to know, call by call: known pixels and mask."""
    calls = []
    model = MODELS["conditional"]
    hook = model.pipeline.unet.register_forward_pre_hook(lambda unet, x: calls.append(x[0][:, 3:]))
    try:
        out, _ = fill(model, known, mask, settings, [0])
    finally:
        hook.remove()
    return calls, out


def test_the_network_never_sees_the_hole_not_even_shrunken():
    known, mask = picture(), hole((5, 9, 54, 31))  # odd: shrunken, its rim is half known
    settings = Settings(strength=0.8, steps=1)
    assert max(p.level for p in plan(MODELS["conditional"], mask, settings)) > 0
    one, other = (
        seen(torch.where(mask > 0, content, known), mask, settings)[0][0] for content in (-1, 1)
    )
    assert torch.equal(one, other)


def test_each_tile_sees_the_ones_before_it_as_known():
    known, mask, settings = picture(), hole(HOLES["wide"]), Settings(strength=0.4, steps=1)
    passes = plan(MODELS["conditional"], mask, settings)
    calls, out = seen(known, mask, settings)
    assert len(calls) == len(passes) > 1
    left = mask.clone()
    for p, call in zip(passes, calls, strict=True):
        width, height = p.region.size
        hidden = p.region.crop(left)
        assert torch.equal(call[:, 3:, :height, :width], hidden)
        wanted = p.region.crop(out) * (1 - hidden)
        assert torch.allclose(call[:, :3, :height, :width], wanted, atol=1e-6)
        x0, y0, x1, y1 = p.region.core
        left[..., y0:y1, x0:x1] = 0
    assert not left.any()


# Previews and Stop


def test_previews_show_the_region_with_known_pixels(model):
    known, mask, views = picture(), hole(HOLES["wide"]), []
    out, _ = fill(
        model, known, mask, Settings(steps=2), [0], lambda step: views.append(step.estimate())
    )
    for view in views:
        assert view.shape == known.shape and torch.isfinite(view).all()
        assert torch.equal(known_pixels(view, mask), known_pixels(known, mask))
    assert any(not torch.equal(view, views[0]) for view in views)
    assert (views[-1] - out).abs().max() < 1e-4 or len(views) > 1


def test_the_last_preview_is_the_result():
    out, views = None, []
    known, mask = picture(), hole(HOLES["small"])
    for model in (MODELS["self"], MODELS["conditional"]):
        settings = Settings(steps=3, strength=model.refine)
        out, _ = fill(model, known, mask, settings, [0], lambda s: views.append(s.estimate()))
        assert torch.allclose(views[-1], out, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("name", ["small", "wide"])
def test_stop_keeps_the_estimate_and_the_known_pixels(model, name, n):
    known, mask, views = picture(), hole(HOLES[name]), []

    def stop(step):
        views.append(step.estimate())
        if step.number == n:
            raise Stopped

    out, finished = fill(model, known, mask, Settings(steps=5), [0], stop)
    assert not finished and len(views) == n
    assert torch.equal(out, views[-1])
    assert torch.equal(known_pixels(out, mask), known_pixels(known, mask))


def test_stop_at_every_step_of_a_fill_with_levels_and_tiles(model):
    known, mask = picture(), hole(HOLES["wide"])
    settings = Settings(steps=2)
    for n in range(1, overall(plan(model, mask, settings))[0] + 1):

        def stop(step, n=n):
            if step.number == n:
                raise Stopped

        out, finished = fill(model, known, mask, settings, [0], stop)
        assert not finished and out.shape == known.shape and torch.isfinite(out).all()
        assert torch.equal(known_pixels(out, mask), known_pixels(known, mask))


def test_stopped_before_the_last_tile_shows_nothing_of_what_was_removed():
    known, mask = picture(), hole(HOLES["wide"])

    def stop(step):
        raise Stopped

    settings = Settings(steps=2)
    out = [
        fill(MODELS["conditional"], torch.where(mask > 0, c, known), mask, settings, [0], stop)[0]
        for c in (-1.0, 1.0)
    ]
    assert torch.equal(*out)


def test_other_errors_are_not_swallowed(model):
    def fail(step):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fill(model, picture(), hole(HOLES["small"]), Settings(steps=1), [0], fail)


def test_stages_are_named_for_people(model):
    stages = []
    fill(model, picture(), hole(HOLES["wide"]), Settings(steps=1), [0], lambda s: stages.append(s))
    names = list(dict.fromkeys(step.stage for step in stages))
    assert names[0] == "finding the structure" and names[-1] == "finishing the texture"
    stages.clear()
    fill(model, picture(), hole(HOLES["speck"]), Settings(steps=1), [0], lambda s: stages.append(s))
    assert {step.stage for step in stages} == {"filling"}


def test_regions_draw_from_seeds_of_their_own():
    made = {shuffled(seed, region) for seed in (0, 1, 7, 2**32 - 1) for region in range(200)}
    assert len(made) == 800 and all(0 <= seed < 2**63 for seed in made)


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (5, 3), (17, 1), (31, 33)])
def test_any_size(model, size):
    width, height = size
    known = picture(*size) if min(size) > 8 else torch.full((1, 3, height, width), 0.25)
    mask = hole((0, 0, max(width // 2, 1), max(height // 2, 1)), *size)
    if mask.all():
        mask[..., -1, -1] = 0
    out, finished = fill(model, known, mask, Settings(steps=2), [0])
    assert finished and out.shape == known.shape and math.isfinite(out.sum())
    assert np.array_equal(known_pixels(out, mask), known_pixels(known, mask))


@pytest.mark.parametrize("strength", [0.05, 0.2, 0.4, 0.7, 0.9, 0.99, 1.0])
def test_a_guide_is_halved_until_the_usual_noise_buries_as_much_there(strength):
    model, mask = SelfModel(), torch.zeros(1, 1, 256, 256)
    mask[..., 32:224, 32:224] = 1
    first = plan(model, mask, Settings(strength=strength))[0]

    def noise(level):
        return math.sqrt((1 - level) / level)

    usual = noise(cosine_levels(1, model.refine)[0])
    if strength == 1:
        assert first.level == model.halvings(mask) and first.levels[0] < 1e-6
        return
    at_full_size = noise(cosine_levels(1, strength)[0])
    # The mean of 4^n pixels has noise 2^n times smaller.
    assert noise(first.levels[0]) == pytest.approx(at_full_size / 2**first.level, rel=0.01)
    fewest = max(0, math.ceil(math.log2(at_full_size / usual) - 1e-3))
    assert first.level == min(fewest, model.halvings(mask))
