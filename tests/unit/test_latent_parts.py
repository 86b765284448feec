import math

import diffusers
import pipelines
import pytest
import torch
import torch.nn.functional as F
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor

from inpaint.devices import TURNS
from inpaint.latent.denoiser import _texts, encode, latent_denoiser, sample_latents, shrunk_mask
from inpaint.latent.families import FAMILIES, SCHEDULERS, family_of
from inpaint.latent.filler import LatentFiller, _evaluations, _steps
from inpaint.latent.frame import Frame, settle
from inpaint.latent.loading import HEADROOM, how_to_place
from inpaint.latent.observing import Observed
from inpaint.latent.preview import linear_preview
from inpaint.latent.words import embeddings, pieces
from inpaint.settings import Settings

# diffusers calls NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers")


@pytest.fixture(params=["sd", "sd-text-to-image", "sdxl"])
def pipeline(request):
    torch.manual_seed(0)
    made = pipelines.PIPELINES[request.param]()
    made.set_progress_bar_config(disable=True)
    if request.param == "sd-text-to-image":
        made = diffusers.StableDiffusionInpaintPipeline(
            **made.components, requires_safety_checker=False
        )
    return made


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# The frame


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([8, 16, 64]))
def test_a_frame_takes_the_size_that_the_model_knows(height, width, multiple):
    frame = Frame.of(height, width, 512, multiple)
    assert all(side % multiple == 0 for side in frame.outer)
    assert all(0 <= o - i < multiple for o, i in zip(frame.outer, frame.inner, strict=True))
    assert max(frame.inner) <= 1.25 * 1024
    if max(height, width) <= 2 * min(height, width):
        assert 0.6 < math.prod(frame.inner) / 512**2 < 1.7
        assert abs(math.log(frame.inner[0] / frame.inner[1] * width / height)) < 0.01


def test_a_crop_near_the_native_size_is_not_resampled():
    picture = noise(1, 3, 30, 35).clamp(-1, 1)
    frame = Frame.of(30, 35, 32, 16)
    assert frame.inner == (30, 35) and frame.outer == (32, 48)
    window = frame.enter(picture)
    assert torch.equal(window[..., :30, :35], picture) and torch.equal(frame.leave(window), picture)


def test_a_shrunken_mask_holds_every_pixel_of_the_hole():
    mask = torch.zeros(1, 1, 200, 200)
    mask[..., 77, 133] = 1
    frame = Frame.of(200, 200, 32, 8)
    small = frame.enter_mask(mask)
    assert small.shape[-2:] == (32, 32) and small.sum() >= 1
    assert shrunk_mask(small, 8).sum() >= 1
    assert not frame.enter_mask(torch.zeros_like(mask)).any()


def test_a_shift_of_colour_is_taken_off():
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 50:80, 40:90] = 1
    truth = 0.3 * noise(1, 3, 128, 128).clamp(-1, 1)
    shifted = truth + torch.tensor([0.1, -0.2, 0.05]).reshape(1, 3, 1, 1)
    assert torch.allclose(settle(shifted, truth, mask), truth, atol=1e-6)
    ramp = truth + torch.linspace(-0.2, 0.2, 128)
    left = settle(ramp, truth, mask) - truth
    assert left.abs().max() < 0.06 < (ramp - truth).abs().max()
    assert torch.equal(settle(ramp, truth, mask)[..., :50, :], truth[..., :50, :])


def test_texture_of_its_own_is_left_to_the_model():
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 48:80, 48:80] = 1
    truth, made = (0.2 * noise(1, 3, 128, 128, seed=seed) for seed in (0, 1))
    hole = (mask > 0).expand_as(truth)
    assert (settle(made, truth, mask)[hole] - made[hole]).abs().max() < 0.05


# The preview


def test_a_preview_of_latents_that_are_colours_is_exact():
    picture = noise(1, 3, 64, 48).clamp(-1, 1)
    colours = F.avg_pool2d(picture, 2)
    mix = noise(8, 3)
    latents = torch.einsum("cr,brhw->bchw", mix, colours) + 0.3
    look = linear_preview(latents, picture)
    assert (look(latents) - colours).abs().max() < 0.02
    packed = F.pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2)
    assert torch.allclose(look(packed), look(latents), atol=1e-5)
    rows = latents.flatten(2).transpose(1, 2)
    assert torch.allclose(look(rows), look(latents), atol=1e-5)
    assert torch.allclose(look(latents[:, :, None]), look(latents), atol=1e-5)
    other = F.interpolate(latents, (16, 12))  # a pipeline's own choice of a size
    packed = F.pixel_unshuffle(other, 2).flatten(2).transpose(1, 2)
    assert torch.allclose(look(packed), look(other), atol=1e-5)


# Steps and estimates


@pytest.mark.parametrize("strength", [1.0, 0.99, 0.7, 0.55, 0.3, 0.1])
def test_all_steps_are_spent_below_the_strength(strength):
    for steps in range(1, 101):
        asked = _steps(Settings(steps=steps, strength=strength))
        assert _evaluations(asked, strength) == steps or asked == 1000


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_estimate_of_a_step_is_the_clean_picture(name):
    own = getattr(diffusers, SCHEDULERS[name][1]).from_config(pipelines.sd_schedule().config)
    own.set_timesteps(4)
    observed = Observed(own)
    x0, eps = noise(1, 4, 8, 8), noise(1, 4, 8, 8, seed=1)
    t = own.timesteps[1]
    if "Euler" in type(own).__name__:
        sample = x0 + own.sigmas[1] * eps
        own.scale_model_input(sample, t)
    else:
        level = own.alphas_cumprod[int(t)]
        sample = level.sqrt() * x0 + (1 - level).sqrt() * eps
    own.step(eps, t, sample, return_dict=False)
    if name == "lcm":  # it leans on the noisy picture near the end of the noise
        assert (observed.estimate - x0).abs().max() < 0.1
    else:
        assert torch.allclose(observed.estimate, x0, atol=1e-3)


def test_the_estimate_of_flow_matching():
    own = diffusers.FlowMatchEulerDiscreteScheduler()
    own.set_timesteps(4)
    observed = Observed(own)
    x0, eps = noise(1, 4, 8, 8), noise(1, 4, 8, 8, seed=1)
    sigma = own.sigmas[0]
    own.step(eps - x0, own.timesteps[0], (1 - sigma) * x0 + sigma * eps, return_dict=False)
    assert torch.allclose(observed.estimate, x0, atol=1e-5)


# Our samplers on a UNet over latents


def call(pipeline, **more):
    side = 32
    picture = (255 * torch.rand(side, side, 3)).byte().numpy()
    mask = Image.new("L", (side, side))
    mask.paste(255, (8, 8, 24, 24))
    return pipeline(
        prompt="a red cat",
        negative_prompt="dull",
        image=Image.fromarray(picture),
        mask_image=mask,
        height=side,
        width=side,
        num_inference_steps=1,
        strength=1.0,
        output_type="np",
        **more,
    )


def test_the_network_is_told_what_the_pipeline_tells_it(pipeline):
    seen = {}

    def look(module, args, named):
        seen.update(named)

    handle = pipeline.unet.register_forward_pre_hook(look, with_kwargs=True)
    call(pipeline, guidance_scale=5.0)
    handle.remove()
    words = Settings(prompt="a red cat", negative="dull")
    ours = _texts(pipeline, words, True, (32, 32))
    both = torch.cat([text["encoder_hidden_states"] for text in ours])
    assert torch.allclose(both, seen["encoder_hidden_states"], atol=1e-6)
    theirs = seen["added_cond_kwargs"] or {}
    for key, value in theirs.items():
        mine = torch.cat([text["added_cond_kwargs"][key] for text in ours])
        assert torch.allclose(mine, value, atol=1e-6), key
    assert len(_texts(pipeline, words, False, (32, 32))) == 1


@given(st.text("ab é", max_size=80))
def test_a_long_text_is_cut_between_words(text):
    tokenizer = pipelines.clip_tokenizer()
    found = pieces(tokenizer, text)
    assert " ".join(found).split() == text.split()
    for piece in found:
        fits = len(tokenizer(piece).input_ids) <= tokenizer.model_max_length
        assert fits or " " not in piece


def test_a_short_prompt_is_encoded_as_the_pipeline_does(pipeline):
    words = Settings(prompt="a red cat", negative="dull")
    ours = embeddings(pipeline, words, True)
    theirs = pipeline.encode_prompt("a red cat", device="cpu", num_images_per_prompt=1,
        do_classifier_free_guidance=True, negative_prompt="dull")  # fmt: skip
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours.values(), theirs, strict=True))
    assert set(embeddings(pipeline, words, False)) < set(ours)


def test_a_long_prompt_is_as_long_as_its_pieces(pipeline):
    words = Settings(prompt="a red cat on a blue chair " * 3, negative="dull")
    ours = embeddings(pipeline, words, True)
    count = len(pieces(pipeline.tokenizer, words.prompt))
    assert count > 2
    for sign in ("", "negative_"):
        assert ours[f"{sign}prompt_embeds"].shape[:2] == (1, count * 24)
    first = embeddings(pipeline, Settings(prompt=pieces(pipeline.tokenizer, words.prompt)[0]), True)
    assert torch.equal(ours["prompt_embeds"][:, :24], first["prompt_embeds"])


def test_a_latent_denoiser_agrees_with_the_scheduler(pipeline):
    scheduler, unet = pipeline.scheduler, pipeline.unet
    words = Settings(prompt="a red cat", negative="dull")
    hole, masked = torch.ones(1, 1, 16, 16), noise(1, 4, 16, 16, seed=2)
    x, t, scale = noise(1, 4, 16, 16), 481, 3.0
    denoise = latent_denoiser(pipeline, words, scale, hole, masked)
    x0 = denoise(x, float(scheduler.alphas_cumprod[t]))
    seen = torch.cat([x, hole, masked], 1) if unet.config.in_channels == 9 else x
    with torch.no_grad():
        texts = _texts(pipeline, words, True, (32, 32))
        negative, positive = (unet(seen, t, **text).sample for text in texts)
    scheduler.set_timesteps(10)
    eps = negative + scale * (positive - negative)
    expected = scheduler.step(eps, t, x).pred_original_sample
    assert torch.allclose(x0, expected, atol=1e-3)


def test_known_latents_come_through(pipeline):
    picture = noise(1, 3, 32, 32).clamp(-1, 1)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 9:20, 11:17] = 1
    chosen = Settings(sampler="repaint", steps=3, resample=2, jump=1)
    latents = sample_latents(pipeline, picture, mask, chosen, 1.0, 5, lambda denoise: denoise)
    known = shrunk_mask(mask, 2) == 0
    assert known[0, 0, 4:10, 5:9].sum() == 0, "a latent with one pixel of the hole is the hole's"
    assert torch.equal(
        latents[known.expand_as(latents)], encode(pipeline, picture)[known.expand_as(latents)]
    )


def test_what_the_safety_check_withholds_is_said():
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "image_size": 32,
        "patch_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = CLIPConfig(vision_config=vision, projection_dim=8)
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-2.0)  # every picture is further than that
    parts = pipelines.sd().components
    parts["safety_checker"] = checker
    parts["feature_extractor"] = CLIPImageProcessor(size=32, crop_size=32)
    filler = LatentFiller(diffusers.StableDiffusionInpaintPipeline(**parts), 32, 1.0)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:16, 8:16] = 1
    with pytest.raises(ValueError, match="safety check withheld this fill; try another seed"):
        filler.fill(torch.zeros(1, 3, 32, 32), mask, Settings(steps=1), [0])


# Loading


def test_saved_classes_find_the_class_that_fills():
    assert family_of("StableDiffusionPipeline") == "StableDiffusionInpaintPipeline"
    assert family_of("FluxPipeline") == "FluxInpaintPipeline"
    assert family_of("StableVideoDiffusionPipeline") is None
    for key, family in FAMILIES.items():
        assert family_of(key) == key
        for name in (key, *family.also):
            assert hasattr(diffusers, name), name


@pytest.mark.parametrize(
    "free, need, way",
    [
        (13e9, 0, ""),
        (13e9, 12e9, ""),
        (13e9, 14e9, "parts"),
        (12e9, 0, "parts"),
        (8.5e9, 0, "parts"),
        (8.4e9, 0, "layers"),
    ],
)
def test_what_does_not_fit_is_moved_in_turns(free, need, way):
    assert HEADROOM == 2.5e9
    assert how_to_place([int(6e9), int(4e9)], int(free), need) == way and way in TURNS
