"""Every inpainting class of diffusers in the list, end to end on tiny real pipelines."""

import numpy as np
import pipelines
import pytest
import torch

from inpaint.catalog import load
from inpaint.devices import pick
from inpaint.editing import edit, estimate
from inpaint.filling import Stopped
from inpaint.latent.families import FAMILIES, SCHEDULERS
from inpaint.settings import SAMPLERS, Settings

# diffusers calls NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")
CPU = pick("cpu")
HOLE = (slice(None), slice(None), slice(12, 24), slice(8, 20))


@pytest.fixture(scope="module", params=pipelines.PIPELINES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def filler(name, operator):
    return load(name, CPU).filler


@pytest.fixture
def picture():
    return torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def mask():
    mask = torch.zeros(1, 1, 40, 30)
    mask[HOLE] = 1
    return mask


def settings(prompt="a red cat", steps=2, **more):
    return Settings(prompt=prompt, steps=steps, **more)


def test_every_family_is_tried():
    tried = {type(build()).__name__ for build in pipelines.PIPELINES.values()}
    tried.discard("StableDiffusionPipeline")  # loaded as the inpainting class
    assert tried == set(FAMILIES)


def test_a_fill_keeps_what_is_known_and_repeats(filler, picture, mask):
    steps = []
    first, finished = filler.fill(picture, mask, settings(), [7], steps.append)
    assert finished and first.shape == picture.shape
    known = (mask == 0).expand_as(picture)
    assert torch.equal(first[known], picture[known])
    assert not torch.equal(first, picture) and first.abs().max() <= 1
    again, _ = filler.fill(picture, mask, settings(), [7])
    assert torch.equal(first, again), "a seed gives the same fill"
    (planned,) = filler.plan(mask, settings())
    assert [step.number for step in steps] == [1, 2] and planned.evaluations == 2
    assert all(step.total == 2 for step in steps)
    for step in steps:
        view = step.estimate()
        assert view.shape == picture.shape and torch.equal(view[known], picture[known])
        assert view.isfinite().all() and view.abs().max() <= 1


def test_seed_prompt_and_hole_change_the_fill(filler, picture, mask):
    fills = [
        filler.fill(picture, mask, settings(prompt), [seed])[0]
        for prompt, seed in (("a red cat", 7), ("a red cat", 8), ("blue", 7))
    ]
    assert not torch.equal(fills[0], fills[1]) and not torch.equal(fills[0], fills[2])
    removed = picture.clone()
    removed[HOLE] = -picture[HOLE]
    assert torch.equal(filler.fill(removed, mask, settings(), [7])[0], fills[0]), (
        "at full strength nothing of what was in the hole shows"
    )


def test_a_candidate_does_not_depend_on_the_others(filler, picture, mask):
    one, other = (filler.fill(picture, mask, settings(), [seed])[0] for seed in (3, 4))
    both, _ = filler.fill(picture, mask, settings(), [3, 4])
    assert torch.equal(both, torch.cat([one, other]))


def test_stop_ends_within_a_step(filler, picture, mask):
    calls = []
    network = getattr(filler.pipeline, "transformer", None) or filler.pipeline.unet
    handle = network.register_forward_hook(lambda *_: calls.append(1))
    at_stop = []

    def stop(step):
        at_stop.append(len(calls))
        raise Stopped

    stopped, finished = filler.fill(picture, mask, settings(steps=4), [7, 8], stop)
    handle.remove()
    assert not finished and len(at_stop) == 1 and len(calls) == at_stop[0]
    known = (mask == 0).expand_as(picture)
    assert torch.equal(stopped[:1][known], picture[known])
    assert not torch.equal(stopped[:1], picture), "the estimate so far is kept"
    assert torch.equal(stopped[1:], picture), "the second was not begun"


def test_what_a_pipeline_cannot_do_is_said(filler, picture, mask):
    family = filler.family
    refused = []
    if not family.walks:
        refused.append(({"prompt": "x " * 900}, r"reads \d+ tokens of a prompt, and this one has"))
    if not family.negative:
        refused.append(({"negative": "blur"}, "takes no negative prompt"))
    if not family.strength:
        refused.append(({"strength": 0.5}, "always starts from pure noise"))
    if not family.walks:
        refused.append(({"scheduler": "euler"}, "has a scheduler of its own"))
        refused.append(({"sampler": "repaint"}, "walks its noise levels once"))
    else:
        refused.append(({"scheduler": "nothing"}, "scheduler must be one of ddim, dpmpp"))
    for values, message in refused:
        with pytest.raises(ValueError, match=message):
            filler.fill(picture, mask, settings(**values), [0])


def test_strength_and_negative_prompt_and_guidance_are_heard(filler, picture, mask):
    plain, _ = filler.fill(picture, mask, settings(), [7])
    family = filler.family
    if family.strength:
        steps = []
        half = settings(strength=0.5)
        lighter, _ = filler.fill(picture, mask, half, [7], steps.append)
        assert len(steps) == filler.plan(mask, half)[0].evaluations == 2
        assert not torch.equal(lighter, plain)
    if family.negative:
        words = settings(negative="dull", guidance=5.0), settings(guidance=5.0)
        one, other = (filler.fill(picture, mask, word, [7])[0] for word in words)
        assert not torch.equal(one, other)
        stronger, _ = filler.fill(picture, mask, settings(guidance=9.0), [7])
        assert not torch.equal(stronger, other)


def test_a_window_is_the_native_size_and_costs_the_same_for_small_holes(filler, picture, mask):
    assert filler.batch == 1 and filler.size == 32
    assert filler.context(4) == 14 and filler.context(40) == 20
    (planned,) = filler.plan(mask, settings())
    (guided,) = filler.plan(mask, settings(guidance=3.0))
    assert planned.work > 0 and guided.work >= planned.work
    assert filler.plan(torch.zeros_like(mask), settings()) == []
    same, finished = filler.fill(picture, torch.zeros_like(mask), settings(), [1])
    assert finished and torch.equal(same, picture)


@pytest.mark.parametrize("name", ["sd", "kandinsky", "flux-fill", "qwen"], indirect=True)
def test_an_edit_of_16_bit_keeps_every_byte_outside(filler, name):
    pixels = np.random.default_rng(0).integers(0, 65536, (70, 90, 3), np.uint16)
    mask = np.zeros((70, 90), bool)
    mask[30:40, 50:64] = True
    moments = []
    wanted = {"model": name, "steps": 2, "prompt": "a red cat", "device": "cpu", "grow": 0}
    result = edit(pixels, mask, candidates=2, seed=5, progress=moments.append, **wanted)
    assert result.finished and result.receipt.changed == 0
    made = [candidate.picture().pixels for candidate in result.candidates]
    for one in made:
        assert one.dtype == np.uint16 and np.array_equal(one[~mask], pixels[~mask])
        assert not np.array_equal(one[mask], pixels[mask])
    assert not np.array_equal(*made)
    assert moments[-1].number == moments[-1].total == 4
    assert result.recipe["settings"]["prompt"] == "a red cat" and result.recipe["model_sha256"]
    told = estimate((90, 70), mask, candidates=2, **wanted)
    assert told.evaluations == 4 and told.seconds > 0


@pytest.mark.parametrize(
    "name, scheduler", [*(("sd", each) for each in SCHEDULERS), ("sdxl", "lcm")], indirect=["name"]
)
def test_schedulers_can_be_chosen(filler, picture, mask, scheduler):
    steps = []
    chosen = settings(steps=3, scheduler=scheduler)
    one, finished = filler.fill(picture, mask, chosen, [7], steps.append)
    again, _ = filler.fill(picture, mask, chosen, [7])
    assert finished and len(steps) == 3 and torch.equal(one, again)
    assert steps[-1].estimate().isfinite().all()


@pytest.mark.parametrize(
    "name, sampler",
    [
        *(("sd", each) for each in SAMPLERS),
        ("sd-text-to-image", "repaint"),
        ("sdxl", "repaint"),
    ],
    indirect=["name"],
)
def test_our_samplers_walk_in_latent_space(filler, picture, mask, sampler):
    chosen = settings(sampler=sampler, steps=3, resample=2, jump=1)
    steps = []
    one, finished = filler.fill(picture, mask, chosen, [7], steps.append)
    (planned,) = filler.plan(mask, chosen)
    assert finished and len(steps) == planned.evaluations > 3
    known = (mask == 0).expand_as(picture)
    assert torch.equal(one[known], picture[known])
    assert torch.equal(filler.fill(picture, mask, chosen, [7])[0], one)
    other = settings("blue", sampler=sampler, steps=3, resample=2, jump=1)
    assert not torch.equal(filler.fill(picture, mask, other, [7])[0], one)
    once = settings(sampler=sampler, steps=3, resample=3, jump=1)
    assert not torch.equal(filler.fill(picture, mask, once, [7])[0], one)


@pytest.mark.parametrize("sampler", ["ddim", "repaint"])
@pytest.mark.parametrize("name", ["sd", "sdxl"], indirect=True)
def test_a_long_prompt_is_read_to_its_end(filler, picture, mask, sampler):
    begin = "a red cat on a blue chair " * 2  # more than the 24 tokens of these text encoders
    words = [settings(begin + end, sampler=sampler, guidance=3.0) for end in ("one", "two")]
    words.append(settings(begin + "one", sampler=sampler, guidance=3.0, negative=begin))
    fills = [filler.fill(picture, mask, each, [7])[0] for each in words]
    assert not torch.equal(fills[0], fills[1]) and not torch.equal(fills[0], fills[2])


@pytest.mark.parametrize("name", ["sd-text-to-image"], indirect=True)
def test_stop_in_latent_space_keeps_the_estimate(filler, picture, mask):
    def stop(step):
        raise Stopped

    stopped, finished = filler.fill(picture, mask, settings(sampler="repaint"), [7], stop)
    assert not finished and not torch.equal(stopped, picture)
