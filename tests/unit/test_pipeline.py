import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler
from models import tiny_unet
from PIL import Image

from inpaint.denoiser import seeded_noise
from inpaint.operators import KnownPixels
from inpaint.pipeline import InpaintPipeline
from inpaint.samplers import SAMPLERS, start
from inpaint.schedule import cosine_levels
from inpaint.unet import InpaintUNet

RNG = np.random.default_rng(0)
ARRAY = RNG.integers(0, 256, (19, 22, 3), dtype=np.uint8)
HOLE = np.zeros((19, 22), bool)
HOLE[5:12, 8:18] = True
PICTURE, MASK = Image.fromarray(ARRAY), Image.fromarray(HOLE)
FAST = {"num_inference_steps": 2, "resample": 1}


def conditional():
    torch.manual_seed(0)
    unet = InpaintUNet(sample_size=16, channels=(32, 32), attention=(False, False), blocks=1)
    torch.nn.init.normal_(unet.head.weight, std=0.1)  # a new network would answer zero
    return unet.eval()


def quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def pipe():
    v = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    return quiet(InpaintPipeline(conditional(), v))


def seed(value=0):
    return torch.Generator().manual_seed(value)


def run(pipe, **options):
    options = {**FAST, "generator": seed(), "output_type": "np", **options}
    return pipe(PICTURE, MASK, **options).images


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_fills_the_hole_and_touches_nothing_else(pipe, name):
    images = pipe(PICTURE, MASK, sampler=name, generator=seed(), **FAST).images
    out = np.asarray(images[0])
    assert out.dtype == np.uint8
    assert np.array_equal(out[~HOLE], ARRAY[~HOLE])
    assert not np.array_equal(out[HOLE], ARRAY[HOLE])


@pytest.mark.parametrize("resample", [1, 2])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_callback_counts_to_the_announced_number_of_evaluations(pipe, name, resample):
    seen = []

    def callback(pipeline, step, timestep, tensors):
        assert pipeline is pipe
        seen.append((step, timestep, tensors["latents"].shape))

    run(pipe, sampler=name, num_inference_steps=4, resample=resample, jump_length=2,
        callback_on_step_end=callback)  # fmt: skip
    assert [step for step, _, _ in seen] == list(range(SAMPLERS[name].evaluations(4, resample, 2)))
    timesteps = [t for _, t, _ in seen]
    assert timesteps[0] == max(timesteps) > 990
    assert {shape for _, _, shape in seen} == {(1, 3, 19, 22)}


def test_an_exception_in_the_callback_stops_the_run(pipe):
    def stop(pipeline, step, timestep, tensors):
        if step == 1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(pipe, num_inference_steps=5, callback_on_step_end=stop)


def test_the_progress_bar_ends_at_the_number_of_evaluations(pipe, capsys):
    pipe.set_progress_bar_config(disable=False)
    run(pipe, sampler="repaint", num_inference_steps=4, resample=2, jump_length=2)
    quiet(pipe)
    assert "6/6" in capsys.readouterr().err


def test_the_result_is_the_samplers_own(pipe):
    pixels = torch.from_numpy(ARRAY / np.float32(127.5) - 1)[None].movedim(-1, 1)
    mask = torch.from_numpy(HOLE).float()[None, None]
    noise = seeded_noise([int(torch.randint(2**63 - 1, (), generator=seed()))])
    levels = cosine_levels(3, 0.6)
    with torch.no_grad():
        expected = SAMPLERS["dpmpp"].function(
            pipe.denoiser(pixels, mask),
            start(pixels, levels[0], noise),
            levels,
            noise,
            KnownPixels(pixels, mask),
        )
    out = run(pipe, sampler="dpmpp", num_inference_steps=3, strength=0.6, output_type="pt")
    assert torch.allclose(out, expected, atol=1e-5)


def test_all_kinds_of_input_and_output_agree(pipe):
    expected = run(pipe)
    floats = ARRAY / np.float32(255)
    tensor, mask = torch.from_numpy(floats).movedim(-1, 0) * 2 - 1, torch.from_numpy(HOLE).float()
    inputs = [
        (ARRAY, HOLE),
        (ARRAY[None], HOLE[None]),
        (floats, HOLE.astype(np.float32)),
        ([PICTURE], [MASK]),
        (PICTURE.convert("RGBA"), MASK.convert("RGB")),
        (tensor, mask),
        (tensor[None], mask[None, None]),
        ((ARRAY * np.uint16(257)), HOLE.astype(np.uint8) * np.uint8(255)),
    ]
    for image, mask_image in inputs:
        out = pipe(image, mask_image, generator=seed(), output_type="np", **FAST).images
        assert np.allclose(out, expected, atol=1e-5)
    as_tensor = run(pipe, output_type="pt")
    assert as_tensor.shape == (1, 3, 19, 22)
    assert np.allclose(as_tensor.movedim(1, -1).numpy() / 2 + 0.5, expected, atol=1e-6)
    as_picture = run(pipe, output_type="pil")[0]
    assert np.array_equal(np.asarray(as_picture), np.rint(expected[0] * 255))
    (plain,) = pipe(PICTURE, MASK, generator=seed(), return_dict=False, **FAST)
    assert np.array_equal(np.asarray(plain[0]), np.asarray(as_picture))


def test_known_floats_come_back_bit_for_bit(pipe):
    tensor = torch.rand(1, 3, 19, 22, generator=seed()) * 2 - 1
    out = pipe(tensor, MASK, generator=seed(), output_type="pt", **FAST).images
    known = torch.from_numpy(~HOLE).expand_as(out)
    assert torch.equal(out[known], tensor[known])


def test_a_picture_does_not_depend_on_its_batch(pipe):
    alone = run(pipe, generator=[seed(2)])
    three = pipe(
        [PICTURE.transpose(Image.Transpose.FLIP_LEFT_RIGHT), PICTURE, PICTURE],
        MASK,
        generator=[seed(1), seed(2), seed(3)],
        output_type="np",
        **FAST,
    ).images
    assert np.allclose(three[1], alone[0], atol=1e-5)
    assert not np.allclose(three[2], alone[0], atol=1e-2)


def test_more_pictures_of_one_prompt_leave_the_first_as_it_was(pipe):
    one, two = run(pipe), run(pipe, num_images_per_prompt=2)
    assert two.shape == (2, 19, 22, 3)
    assert np.allclose(two[0], one[0], atol=1e-5)
    assert not np.allclose(two[0], two[1], atol=1e-2)


def test_pictures_of_one_image_follow_each_other_each_with_its_mask(pipe):
    flipped = HOLE[:, ::-1]
    out = pipe(np.stack([ARRAY, 255 - ARRAY]), np.stack([HOLE, flipped]), generator=seed(),
               num_images_per_prompt=2, **FAST).images  # fmt: skip
    arrays = [np.asarray(image) for image in out]
    for made in arrays[:2]:
        assert np.array_equal(made[~HOLE], ARRAY[~HOLE])
    for made in arrays[2:]:
        assert np.array_equal(made[~flipped], 255 - ARRAY[~flipped])


def test_a_generator_moves_on_and_the_global_seed_is_the_default(pipe):
    generator = seed()
    first, second = run(pipe, generator=generator), run(pipe, generator=generator)
    assert not np.allclose(first, second, atol=1e-2)
    torch.manual_seed(4)
    third = run(pipe, generator=None)
    torch.manual_seed(4)
    assert np.array_equal(run(pipe, generator=None), third)


def test_less_strength_stays_closer_to_the_content(pipe):
    def moved(strength):
        return np.abs(run(pipe, strength=strength)[0][HOLE] - ARRAY[HOLE] / 255).mean()

    assert moved(0.05) < moved(0.3) < moved(1.0)


def test_a_grey_mask_is_cut_at_a_half(pipe):
    grey = np.where(HOLE, np.uint8(129), np.uint8(126))
    out = pipe(PICTURE, grey, generator=seed(), output_type="np", **FAST).images
    assert np.array_equal(out, run(pipe))


def test_no_hole_returns_the_picture(pipe):
    out = pipe(PICTURE, np.zeros_like(HOLE), generator=seed(), **FAST).images[0]
    assert np.array_equal(np.asarray(out), ARRAY)


def test_our_folder_loads_without_remote_code(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["_class_name"] == "InpaintPipeline"
    assert index["unet"] == ["inpaint.unet", "InpaintUNet"]
    loaded = quiet(InpaintPipeline.from_pretrained(tmp_path))
    assert type(loaded.unet) is InpaintUNet
    assert loaded.scheduler.config.prediction_type == "v_prediction"
    assert np.allclose(run(loaded), run(pipe), atol=1e-6)


def test_our_folder_loads_in_a_program_that_imports_the_pipeline_alone(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    code = (
        "import sys; from inpaint.pipeline import *; InpaintPipeline.from_pretrained(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, capture_output=True)


@pytest.mark.parametrize("out_channels", [3, 6])
@pytest.mark.parametrize(
    ("saved", "scheduler"),
    [
        (DDPMPipeline, DDPMScheduler()),
        (DDPMPipeline, DDPMScheduler(variance_type="learned_range", clip_sample=False)),
        (DDIMPipeline, DDIMScheduler(prediction_type="v_prediction")),
    ],
)
def test_folders_of_diffusers_own_pipelines_load(tmp_path, saved, scheduler, out_channels):
    unet = tiny_unet(out_channels=out_channels)
    saved(unet, scheduler).save_pretrained(tmp_path)
    loaded = quiet(InpaintPipeline.from_pretrained(tmp_path))
    assert loaded.config.unet == ("diffusers", "UNet2DModel")
    out = run(loaded, sampler="lanpaint")
    assert np.array_equal(np.rint(out[0][~HOLE] * 255), ARRAY[~HOLE])
    again = run(quiet(InpaintPipeline(unet, scheduler)), sampler="lanpaint")
    assert np.allclose(out, again, atol=1e-3)  # an ε at the noisiest level multiplies rounding


def test_the_flat_layout_of_early_checkpoints_loads(tmp_path: Path):
    """google/ddpm-celebahq-256 keeps network and scheduler beside model_index.json."""
    tiny_unet().save_pretrained(tmp_path)
    DDPMScheduler().save_pretrained(tmp_path)
    index = {
        "_class_name": "DDPMPipeline",
        "_diffusers_version": "0.1.1",
        "scheduler": ["diffusers", "DDPMScheduler"],
        "unet": ["diffusers", "UNet2DModel"],
    }
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    loaded = quiet(InpaintPipeline.from_pretrained(tmp_path))
    assert run(loaded, sampler="ddnm").shape == (1, 19, 22, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "euler"}, "sampler must be one of ddim, dpmpp"),
        ({"num_inference_steps": 0}, "steps"),
        ({"strength": 0.0}, "strength"),
        ({"strength": math.nan}, "strength"),
        ({"resample": 0}, "resample"),
        ({"sampler": "lanpaint", "resample": 0}, "resample"),
        ({"sampler": "repaint", "jump_length": 0}, "jump"),
        ({"eta": 1.5}, "eta"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt"),
        ({"output_type": "latent"}, "output_type"),
        ({"generator": [seed(), seed()]}, "1 pictures to make but 2 generators"),
        ({"mask_image": HOLE[:-1]}, "image is 22x19 but mask is 22x18"),
        ({"mask_image": np.stack([HOLE, HOLE])}, "1 images but 2 masks"),
        ({"mask_image": torch.zeros(1, 3, 19, 22)}, "mask must have one channel"),
        ({"image": ARRAY[..., 0]}, "image must be RGB"),
        ({"image": [PICTURE, PICTURE.resize((5, 5))]}, "one size"),
        ({"image": torch.full((3, 19, 22), 255.0)}, "range"),
        ({"image": ARRAY.astype(np.float32)}, "range"),
        ({"image": np.full((19, 22, 3), np.nan)}, "range"),
    ],
)
def test_a_bad_argument_is_one_clear_sentence(pipe, options, message):
    arguments = {"image": PICTURE, "mask_image": MASK, **FAST, **options}
    with pytest.raises(ValueError, match=message) as caught:
        pipe(**arguments)
    assert "\n" not in str(caught.value)
