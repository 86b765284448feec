"""Training: the loss against its equation, the data, and runs that stop and go on."""

import csv
import logging
import math
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian import x0_from_v
from PIL import Image

from inpaint.cli import main
from inpaint.pipeline import InpaintPipeline
from inpaint.training import TrainSettings, train
from inpaint.training.card import credits
from inpaint.training.checkpoint import load_state, save_model, weight_hashes
from inpaint.training.data import Crops, batches, load_photographs
from inpaint.training.loss import (
    LEAST,
    STEPS,
    inpaint_loss,
    level_weight,
    narrow_loss,
    noised,
    random_timesteps,
    training_scheduler,
    v_target,
)
from inpaint.training.samples import fixed_loss
from inpaint.training.session import learning_rate, stop_signals
from inpaint.unet import PRESETS, InpaintUNet

SCHEDULER = training_scheduler()
ABAR = SCHEDULER.alphas_cumprod


def picture(width, height, seed=0):
    """Smooth colours, so that there is something to learn."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(autouse=True)
def one_thread():
    """Steps this small lose more to waiting for each other than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photographs"
    (folder / "deeper").mkdir(parents=True)
    picture(40, 48).save(folder / "a.png")
    picture(64, 36, seed=1).save(folder / "deeper" / "b.jpg")
    return folder


@pytest.fixture
def settings(folder, tmp_path):
    return TrainSettings(
        folder, tmp_path / "out", max_steps=6, size=32, batch_size=4, precision="fp32"
    )


# The loss


def test_loss_equals_its_equation():
    """Two levels, one hole pixel of four; every number below is worked out by hand."""
    x0 = torch.zeros(2, 3, 2, 2)
    x0[:, :, 0, 0] = 1  # in the hole
    x0[1, :, 1, 1] = 2  # outside, second picture
    mask = torch.zeros(2, 1, 2, 2)
    mask[:, :, 0, 0] = 1
    abar = torch.tensor([0.5, 0.9])
    loss = inpaint_loss(
        lambda x, t: torch.zeros_like(x[:, :3]),
        *(x0, mask, torch.zeros_like(x0), torch.tensor([0, 1]), abar),
    )
    # SNR 1 -> 2/2, v = -√.5; SNR 9, clipped to 5 -> 6/10, v = -√.1 and -2√.1. Σm = 1.3.
    first = 1.0 * 0.5 / 1.3
    second = 0.6 * (0.1 + 0.1 * 0.4) / 1.3
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_the_hole_weighs_ten_times_the_known_pixels():
    mask = torch.zeros(1, 1, 2, 2)
    mask[..., 0] = 1

    def loss(column):
        def wrong_by_one(x, t):
            v = v_target(x0, eps, ABAR[t].reshape(-1, 1, 1, 1))
            v[..., column] += 1
            return v

        return inpaint_loss(wrong_by_one, x0, mask, eps, torch.tensor([500]), ABAR).item()

    x0, eps = torch.randn(2, 1, 3, 2, 2)
    assert loss(0) == pytest.approx(10 * loss(1), rel=1e-4)


def test_the_network_sees_no_pixel_of_the_hole():
    seen = []
    x0, mask = torch.rand(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    mask[..., 2:4] = 0

    def predict(x, t):
        seen.append(x)
        return x[:, :3]

    inpaint_loss(predict, x0, mask, torch.zeros_like(x0), torch.tensor([500]), ABAR)
    known = seen[0][:, 3:6]
    assert torch.equal(known[..., 2:4], x0[..., 2:4])
    assert not known[..., :2].any() and not known[..., 4:].any()
    assert torch.equal(seen[0][:, 6:], mask)


@pytest.mark.parametrize("t", [0, 300, 700, 999])
def test_v_inverts_to_the_picture(t):
    x0, eps = torch.randn(2, 4, 3, 8, 8, dtype=torch.float64)
    abar = ABAR[t].double()
    x = noised(x0, eps, abar)
    torch.testing.assert_close(x0_from_v(x, v_target(x0, eps, abar), abar), x0)


def test_level_weight_is_min_snr_with_a_floor():
    """w·(error in v)² must be (min(SNR, 5) + 1)·(error in x0)²; x0's error is √(1−ᾱ)·v's."""
    snr = ABAR / (1 - ABAR)
    torch.testing.assert_close(level_weight(ABAR), (snr.clamp(max=5) + 1) * (1 - ABAR))


def test_timesteps_cover_the_schedule_evenly():
    torch.manual_seed(0)
    t = torch.stack([random_timesteps(8) for _ in range(500)])
    assert t.min() >= 0 and t.max() <= STEPS - 1 and t.dtype == torch.int64
    for share in t.float().T / STEPS:  # each place of the batch sees all levels
        assert abs(share.mean() - 0.5) < 0.05 and share.std() > 0.25
    assert (t.sort(dim=1).values.diff(dim=1) >= STEPS // 8).all()


# Narrow holes


def test_the_narrow_loss_equals_its_equation():
    """The logarithm of each crop's mean square error in its hole; the rest counts nothing."""
    x0, mask = torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    mask[0, :, 2:4, 2:4] = mask[1, :, :2] = 1
    wrong = torch.tensor([0.4, 0.1]).reshape(2, 1, 1, 1)
    predict = lambda x, t: torch.where(mask > 0, wrong, 9.0).expand(-1, 3, -1, -1)  # noqa: E731
    wanted = (math.log(0.4**2 + LEAST) + math.log(0.1**2 + LEAST)) / 2
    assert narrow_loss(predict, x0, mask).item() == pytest.approx(wanted, rel=1e-5)


def test_for_narrow_holes_the_network_sees_no_noise_and_no_pixel_of_the_hole():
    seen = []
    x0, mask = torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., 3:5] = 1

    def predict(x, t):
        seen.append((x, t))
        return x[:, :3]

    narrow_loss(predict, x0, mask)
    x, t = seen[0]
    assert torch.equal(x, torch.cat([0 * x0, x0 * (1 - mask), mask], 1)) and t == STEPS - 1


def test_a_narrow_network_learns_and_goes_on_from_its_checkpoint(settings):
    narrow = replace(settings, preset="narrow", max_steps=4)
    train(narrow)
    before = load_state(narrow.out)
    assert before["config"]["narrow"]
    train(replace(narrow, max_steps=8, resume=True))
    after = load_state(narrow.out)
    assert after["step"] == 8 and "no noise" in (narrow.out / "README.md").read_text()
    assert not torch.equal(before["unet"]["head.weight"], after["unet"]["head.weight"])


# The textbook sketch: our form passes an assertion that the sketch's form fails.


def test_noising_uses_the_product_over_all_steps():
    """Sketch: noises with √(1−β_t). The chain's own step, done t times, is the judge."""
    t = 600
    seen = []
    inpaint_loss(
        lambda x, _: seen.append(x[:, :3]) or x[:, :3],
        torch.ones(1, 3, 4, 4),
        torch.ones(1, 1, 4, 4),
        torch.zeros(1, 3, 4, 4),
        torch.tensor([t]),
        ABAR,
    )
    chain = 1.0
    for beta in SCHEDULER.betas[: t + 1].tolist():
        chain *= math.sqrt(1 - beta)
    sketch = math.sqrt(1 - SCHEDULER.betas[t])
    assert seen[0].mean().item() == pytest.approx(chain, rel=1e-3)
    assert sketch != pytest.approx(chain, rel=1e-3) and sketch > 0.9 > 0.7 > chain


def test_the_target_is_what_the_sampler_inverts():
    """Sketch: regresses x0 − x_t. A perfect predictor must score 0 and give back x0."""
    x0, eps = torch.randn(2, 2, 3, 8, 8)
    mask, t = torch.ones(2, 1, 8, 8), torch.tensor([300, 600])
    abar = ABAR[t].reshape(-1, 1, 1, 1)

    def works(target):
        x = noised(x0, eps, abar)
        loss = inpaint_loss(lambda *_: target(x), x0, mask, eps, t, ABAR)
        return loss < 1e-8 and torch.allclose(x0_from_v(x, target(x), abar), x0, atol=1e-4)

    assert works(lambda x: v_target(x0, eps, abar))
    assert not works(lambda x: x0 - x)


def test_one_random_level_per_sample():
    """Sketch: loops over all T per batch. One update must cost one call of the network."""
    x0, eps = torch.randn(2, 4, 3, 8, 8)
    mask = torch.ones(4, 1, 8, 8)

    def cost(loss):
        seen = []
        loss(lambda x, t: seen.append(t) or torch.zeros_like(x[:, :3]))
        return len(seen), len(set(seen[0].tolist()))

    def ours(predict):
        return inpaint_loss(predict, x0, mask, eps, random_timesteps(4), ABAR)

    def sketch(predict):
        every = (torch.full((4,), t) for t in range(STEPS))
        return sum(inpaint_loss(predict, x0, mask, eps, t, ABAR) for t in every)

    assert cost(ours) == (1, 4)
    assert cost(sketch) == (STEPS, 1)


# The data


def test_photographs_are_found_and_bad_files_skipped_with_one_line(folder, caplog):
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    (folder / "notes.txt").write_text("not a picture either")
    picture(20, 400).save(folder / "narrow.png")
    with caplog.at_level(logging.WARNING):
        photographs = load_photographs(folder, size=32)
    assert [p.name for p in photographs.paths] == ["a.png", "b.jpg"]
    assert [a.shape for a in photographs.arrays] == [(48, 40, 3), (36, 64, 3)]
    assert len(caplog.records) == 1
    assert "broken.jpg" in caplog.text and "narrow.png" in caplog.text


def test_large_photographs_and_large_collections_are_bounded(tmp_path, caplog):
    for i in range(4):
        picture(1300, 100).save(tmp_path / f"{i}.png")
    photographs = load_photographs(tmp_path, size=32, memory=2 * 3 * 640**2)
    assert [p.name for p in photographs.paths] == ["0.png", "2.png"]
    assert photographs.arrays[0].shape == (49, 640, 3)
    assert "2 of the 4" in caplog.text


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_without_photographs_is_one_clear_sentence(tmp_path, settings, make):
    empty = tmp_path / "empty"
    if make:
        empty.mkdir()
    with pytest.raises(ValueError, match="holds no photograph" if make else "does not exist"):
        train(replace(settings, data=empty))


def test_some_photographs_are_held_out(tmp_path):
    for i in range(64):
        picture(16, 16, seed=i).save(tmp_path / f"{i:02}.png")
    photographs = load_photographs(tmp_path, size=16)
    kept, held = photographs.split()
    assert [p.name for p in held.paths] == ["00.png", "32.png"] and len(kept) == 62
    assert set(kept.paths).isdisjoint(held.paths)
    assert len(kept.split()[1]) == 0


def test_crops_depend_on_their_number_alone(folder):
    photographs = load_photographs(folder, size=32)
    crops = Crops(photographs, 32, seed=3)
    pixels, masks = crops.batch(0, 8)
    assert pixels.shape == (8, 3, 32, 32) and pixels.dtype == torch.uint8
    assert masks.shape == (8, 1, 32, 32) and masks.dtype == torch.bool
    assert len({p.numpy().tobytes() for p in pixels}) == 8
    again, _ = Crops(photographs, 32, seed=3).batch(5, 3)
    assert torch.equal(again, pixels[5:])
    other, _ = Crops(photographs, 32, seed=4).batch(0, 8)
    assert not torch.equal(other, pixels)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_batches_are_the_same_from_any_number_of_workers_and_processes(folder):
    crops = Crops(load_photographs(folder, size=16), 16, seed=0)

    def take(count, **how):
        stream = batches(
            crops, **{"step": 0, "rank": 0, "ranks": 1, "workers": 0, **how}, pin=False
        )
        taken = torch.cat([next(stream)[0] for _ in range(count)])
        stream.close()
        return taken

    expected = take(4, batch_size=2)
    assert torch.equal(take(4, batch_size=2, workers=2), expected)
    assert torch.equal(take(2, batch_size=2, step=2), expected[4:])
    halves = [take(2, batch_size=2, rank=rank, ranks=2) for rank in (0, 1)]
    shuffled = torch.cat([halves[0][:2], halves[1][:2], halves[0][2:], halves[1][2:]])
    assert torch.equal(shuffled, expected)


def test_the_card_counts_licences_and_names_cc_by_authors(folder, settings):
    rows = [("a.png", "CC BY 4.0", "Ada"), ("unused.png", "CC BY 2.0", "Nobody")]
    with (folder / "MANIFEST.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "licence", "author"), *rows])
    used = load_photographs(folder, size=32).paths
    assert credits(folder, used) == ({"CC BY 4.0": 1, "not stated": 1}, ["Ada (CC BY 4.0)"])
    train(replace(settings, max_steps=1))
    card = (settings.out / "README.md").read_text()
    assert "| CC BY 4.0 | 1 |" in card and "Ada (CC BY 4.0)" in card and "Nobody" not in card
    (digest,) = weight_hashes(settings.out).values()
    assert digest in card


# Runs


def test_loss_falls_on_one_picture(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    picture(16, 16).save(folder / "a.png")
    watched = Crops(load_photographs(folder, size=16), 16, seed=9)
    before = fixed_loss(InpaintUNet(**PRESETS["tiny"]), watched, count=32)
    out = tmp_path / "out"
    train(TrainSettings(folder, out, max_steps=100, size=16, batch_size=8, learning_rate=2e-3))
    after = fixed_loss(InpaintPipeline.from_pretrained(out).unet.float(), watched, count=32)
    assert after < 0.5 * before, (before, after)


def test_resumed_equals_uninterrupted(settings, tmp_path):
    train(settings)
    halves = replace(settings, out=tmp_path / "halves", checkpoint_minutes=0)
    with sent_when(signal.SIGINT, lambda: (halves.out / "samples/0000002.png").exists()):
        train(halves)
    assert 2 <= load_state(halves.out)["step"] < 6
    assert train(replace(halves, resume=True)).step == 6
    whole, resumed = load_state(settings.out), load_state(halves.out)
    for part in ("unet", "ema"):
        assert flat(whole[part]) == flat(resumed[part])
    assert weight_hashes(settings.out) == weight_hashes(halves.out)


def test_an_interrupted_run_leaves_a_model_that_fills(settings):
    endless = replace(settings, max_steps=None, minutes=60)
    with sent_when(signal.SIGTERM, lambda: (settings.out / "training/state.pt").exists()):
        progress = train(endless)
    assert progress.step < 10_000 and progress.images == 4 * progress.step
    pipeline = InpaintPipeline.from_pretrained(settings.out)
    pipeline.set_progress_bar_config(disable=True)
    image, mask = np.full((32, 32, 3), 128, np.uint8), np.zeros((32, 32), np.uint8)
    mask[8:16, 8:16] = 255
    filled = pipeline(image, mask, num_inference_steps=2, output_type="np").images[0]
    assert np.isfinite(filled).all()
    np.testing.assert_allclose(filled[mask == 0], 128 / 255, atol=1e-6)
    assert (settings.out / "README.md").stat().st_size > 500
    assert not list(settings.out.rglob("*.partial")) and not list(settings.out.glob(".saving-*"))


def test_the_command_trains_as_it_is_told(tmp_path):
    picture(80, 70).save(tmp_path / "a.png")
    out = tmp_path / "out"
    command = [
        "train",
        "--data",
        tmp_path,
        "--preset",
        "restore",
        "--minutes",
        "0.001",
        "--out",
        out,
    ]
    told = ["--batch-size", "2", "--ema-images", "8000", "--noisiest", "0.5", "--whole", "0.8"]
    assert main([str(part) for part in (*command, *told)]) == 0
    card = (out / "README.md").read_text()
    assert "| noise | the lower 50% of the schedule |" in card
    assert "of 2 crops |" in card and "half-life up to 8,000 images" in card


def test_a_second_signal_acts_as_usual():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("before"))
    try:
        with stop_signals() as stopped:
            os.kill(os.getpid(), signal.SIGINT)
            assert stopped.wait(1) and not seen
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        assert seen == ["before"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_time_ends_a_run_and_resuming_it_ends_at_once(settings):
    short = replace(settings, max_steps=None, minutes=1 / 60)
    first = train(short)
    assert first.step > 0 and 1 <= first.seconds < 10
    assert train(replace(short, resume=True)).step == first.step


def test_a_run_is_neither_overwritten_nor_resumed_with_other_settings(settings):
    train(replace(settings, max_steps=1))
    with pytest.raises(ValueError, match="already holds a training run"):
        train(settings)
    with pytest.raises(ValueError, match="size 32, not 16"):
        train(replace(settings, resume=True, size=16))
    with pytest.raises(ValueError, match="no training run to resume"):
        train(replace(settings, resume=True, out=settings.out / "elsewhere"))


def test_a_start_that_is_not_there_and_a_file_for_a_folder_are_refused(settings, tmp_path):
    with pytest.raises(ValueError, match="nowhere' to start from"):
        train(replace(settings, init_from=tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="file' is a file; name a folder"):
        train(replace(settings, out=tmp_path / "file"))


def test_a_run_can_start_from_a_model(settings, tmp_path):
    train(settings)
    onward = replace(
        settings, out=tmp_path / "onward", init_from=settings.out, size=16, max_steps=1
    )
    train(replace(onward, learning_rate=1e-9))
    given, moved = (
        InpaintPipeline.from_pretrained(out).unet.parameters() for out in (settings.out, onward.out)
    )
    for a, b in zip(given, moved, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)
    train(replace(onward, init_from=None, resume=True, max_steps=2))
    assert "started from | the weights of `out`" in (onward.out / "README.md").read_text()
    assert str(tmp_path) not in (onward.out / "unet" / "config.json").read_text()


def test_shards_stay_small(tmp_path):
    save_model(InpaintUNet(**PRESETS["base"]), tmp_path)
    sizes = [file.stat().st_size for file in (tmp_path / "unet").iterdir()]
    assert max(sizes) < 15e6 and 25e6 < sum(sizes) < 32e6
    assert len(weight_hashes(tmp_path)) >= 2
    assert InpaintPipeline.from_pretrained(tmp_path).unet.config.sample_size == 128


def test_the_rate_warms_up_and_decays(settings):
    rates = [learning_rate(settings, done) for done in (0, 0.01, 0.02, 0.5, 1)]
    peak = settings.learning_rate
    assert rates == pytest.approx([0, peak / 2, peak, peak / 2, 0], rel=0.01, abs=1e-9)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"preset": "huge"}, "preset must be one of"),
        ({"size": 40}, "multiple of 16"),
        ({"minutes": 0}, "minutes must be positive"),
        ({"minutes": math.nan}, "minutes must be positive"),
        ({"precision": "int8"}, "precision must be one of"),
        ({"checkpoint_minutes": -1}, "must not be negative"),
        ({"resume": True, "init_from": "elsewhere"}, "leave out init_from"),
    ],
)
def test_settings_refuse_what_cannot_work(settings, change, message):
    with pytest.raises(ValueError, match=message):
        replace(settings, **change)


@contextmanager
def sent_when(number, condition):
    """Send this process a signal once a condition holds; it must be handled by then."""

    def wait():
        while not condition():
            time.sleep(0.005)
        os.kill(os.getpid(), number)

    before = signal.signal(number, lambda *_: None)  # in case the run ends first
    sender = threading.Thread(target=wait, daemon=True)
    sender.start()
    try:
        yield
    finally:
        sender.join(5)
        signal.signal(number, before)
    assert not sender.is_alive()


def flat(state):
    """Tensors and numbers of a nested state, comparable with ==."""
    if isinstance(state, torch.Tensor):
        return state.flatten().tolist()
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    return [flat(value) for value in state] if isinstance(state, list) else state
