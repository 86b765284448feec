"""On a CUDA device: the shipped model, the tiny pipelines, and what happens when memory ends."""

import dataclasses
import gc
import json
import time

import numpy as np
import pipelines
import pytest
import torch

from inpaint import devices
from inpaint.catalog import MODELS, load
from inpaint.devices import TURNS, pick
from inpaint.editing import edit
from inpaint.filling import Stopped
from inpaint.settings import Settings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # diffusers calls NumPy in an old way.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:diffusers"),
]
SIDE = 256
MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def room():
    """Begin and end with a GPU that nothing of ours fills, and the whole of it to use."""
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    load("self", pick("cpu"))
    devices.free_unused()


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)


@pytest.fixture
def mask():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[80:170, 90:180] = True
    return mask


def taken():
    gc.collect()
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated()


def cap(megabytes):
    """Let torch have this many megabytes of the GPU, and no more."""
    devices.free_unused()
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(megabytes * MEGABYTE / total)


def seconds(function, *arguments, **named):
    """Time the better of two runs, after one that warms up."""
    times = []
    for _ in range(3):
        torch.cuda.synchronize()
        began = time.perf_counter()
        function(*arguments, **named)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def test_the_device_computes_in_16_bit():
    device = pick()
    native = torch.cuda.get_device_capability() >= (8, 0)
    assert device.name == "cuda" and device.batch > 1
    assert device.dtype == (torch.bfloat16 if native else torch.float16)


@pytest.mark.skipif(not MODELS["photo"].here(), reason="the shipped model was left out")
def test_the_shipped_model_runs_and_how_much_faster(picture, mask, capsys):
    wanted = {"model": "photo", "steps": 6, "seed": 1, "candidates": 2}
    made = edit(picture, mask, device="cuda", **wanted)
    again = edit(picture, mask, device="cuda", **wanted)
    assert made.receipt.changed == 0 and not made.notes
    assert np.array_equal(made.picture.pixels, again.picture.pixels)
    unet = load("photo", pick("cuda")).filler.model.pipeline.unet
    assert unet.dtype == pick("cuda").dtype and next(unet.parameters()).is_cuda
    weights = [w for w in unet.parameters() if w.ndim == 4 and min(w.shape[1:]) > 1]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    here = edit(picture, mask, device="cpu", **wanted)
    assert np.abs(made.picture.rgb() - here.picture.rgb())[mask].mean() < 0.1, "much the same"
    gpu = seconds(edit, picture, mask, device="cuda", **wanted)
    cpu = seconds(edit, picture, mask, device="cpu", **wanted)
    with capsys.disabled():
        print(
            f"\nphoto, {SIDE} px, 2 candidates: CPU {cpu:.2f} s, GPU {gpu:.2f} s, {cpu / gpu:.1f}x"
        )


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("name", pipelines.PIPELINES)
def test_the_pipelines_run_whole_and_in_turns(operator, name, turns, capsys):
    device = dataclasses.replace(pick("cuda"), turns=turns)
    filler = load(name, device).filler
    window = torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1
    hole = torch.zeros(1, 1, 40, 30)
    hole[..., 12:24, 8:20] = 1
    words = Settings(prompt="a red cat", steps=2)
    made, finished = filler.fill(window, hole, words, [7])
    known = (hole == 0).expand_as(window)
    assert finished and torch.equal(made[known], window[known]) and made.isfinite().all()
    assert not torch.equal(made, window)
    other, _ = filler.fill(window, hole, words, [8])
    assert not torch.equal(made, other)

    def stop(step):
        assert step.estimate().isfinite().all()
        raise Stopped

    assert not filler.fill(window, hole, words, [7], stop)[1]
    if turns == "":
        gpu = seconds(filler.fill, window, hole, words, [7])
        filler = load(name, pick("cpu")).filler
        cpu = seconds(filler.fill, window, hole, words, [7])
        with capsys.disabled():
            print(f"\n{name}: CPU {cpu:.3f} s, GPU {gpu:.3f} s, {cpu / gpu:.2f}x", end="")


@pytest.mark.parametrize("turns", TURNS)
def test_another_model_frees_the_last(operator, turns):
    load("self", pick("cuda"))
    before = taken()
    load("sdxl", dataclasses.replace(pick("cuda"), turns=turns))
    assert turns or taken() > before
    load("self", pick("cuda"))
    assert taken() == before


def test_what_needs_more_than_is_free_takes_turns(saved, tmp_path, monkeypatch):
    rows = {"big": {"repository": str(saved / "sdxl"), "memory": 9999}}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    monkeypatch.setenv("INPAINT_MODELS", str(tmp_path / "rows.json"))
    pipeline = load("big", pick("cuda")).filler.pipeline
    assert hasattr(pipeline.unet, "_hf_hook"), "it has been given a hook that moves it"
    assert not next(pipeline.unet.parameters()).is_cuda


@pytest.mark.skipif(not MODELS["photo"].here(), reason="the shipped model was left out")
@pytest.mark.parametrize("share", [0.6, 0.02])
def test_the_ladder_ends_with_a_result(picture, mask, share):
    """Of what a batch of 8 takes at its peak, a share is left; with 2% not even the weights fit."""
    wanted = {"model": "photo", "steps": 3, "candidates": 8, "seed": 1, "device": "cuda"}
    torch.cuda.reset_peak_memory_stats()
    roomy = edit(picture, mask, **wanted)
    assert not roomy.notes
    peak = torch.cuda.max_memory_reserved() / MEGABYTE
    load("self", pick("cpu"))
    cap(peak * share)
    tight = edit(picture, mask, **wanted)
    assert tight.receipt.changed == 0 and len(tight.candidates) == 8 and tight.finished
    (note,) = tight.notes
    assert note.startswith("Memory ran out, so this was made ")
    assert ("on the CPU" in note) == (share < 0.1)
    torch.cuda.set_per_process_memory_fraction(1.0)
    load("self", pick("cpu"))
    assert not edit(picture, mask, **wanted).notes, "the next edit has the GPU again"
