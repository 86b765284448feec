"""What networks compute in on a processor: measured with real ones, remembered, and told."""

import json
import math
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from inpaint import backends, catalog, holding, machine, own
from inpaint.backends import UNMEASURED, Choice, choice, measured
from inpaint.cli import main
from inpaint.devices import computing_in, pick
from inpaint.editing import edit
from inpaint.machine import processor
from inpaint.replaying import recipe_of, replay
from inpaint.tools.bench_network import evaluation
from inpaint.unet import InpaintUNet

HALF = Choice("bfloat16", 80.0, 50.0, 0.005, 1e-6)
SINGLE = replace(HALF, dtype="float32", bfloat16=90.0)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
MASK = np.zeros((40, 44), bool)
MASK[12:24, 14:26] = True
QUICK = {"steps": 2, "device": "cpu", "model": "photo", "seed": 3}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A process that has not yet chosen, with a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    choice.cache_clear()
    yield tmp_path / "cache" / "inpaint"
    choice.cache_clear()
    holding.let_go()


def decide(folder, chosen):
    """Remember a choice as another process would have, for the next one to find."""
    place = folder / f"cpu-{processor()}"
    place.mkdir(parents=True, exist_ok=True)
    machine.note(place, chosen)
    choice.cache_clear()
    holding.let_go()


def networks(monkeypatch, **changes):
    """Let networks of a dtype, by its name, answer otherwise: v -> v."""

    class Changed(InpaintUNet):
        def forward(self, sample, timestep):
            out = super().forward(sample, timestep)
            change = changes.get(str(self.dtype).removeprefix("torch."), lambda v: v)
            return type(out)(sample=change(out.sample), deep=out.deep)

    monkeypatch.setattr(backends, "InpaintUNet", Changed)
    monkeypatch.setattr(backends, "SIDE", backends.LITTLE)


def slowly(v):
    time.sleep(0.2)
    return v


def test_what_is_measured_is_plausible():
    state = torch.get_rng_state()
    found = measured()
    assert 0.1 < found.float32 < 10_000 and 0.1 < found.bfloat16 < 10_000
    assert 0 < found.inexact < 1e-4 < found.error and math.isfinite(found.error)
    assert torch.equal(torch.get_rng_state(), state)
    fast = found.float32 >= 1.25 * found.bfloat16 and found.error <= 0.01
    assert found.dtype == ("bfloat16" if fast else "float32")


def test_no_layer_of_the_network_is_silent_and_it_is_always_the_same():
    weights = {name: w for name, w in backends.network().named_parameters() if "weight" in name}
    assert len(weights) > 50 and all(w.abs().sum() > 0 for w in weights.values())
    again = dict(backends.network().named_parameters())
    assert all(torch.equal(again[name], w) for name, w in weights.items())


@pytest.mark.parametrize("change, wanted", [(lambda v: v, "bfloat16"), (slowly, "float32")])
def test_bfloat16_is_taken_where_it_is_faster(change, wanted, monkeypatch):
    monkeypatch.setattr(backends, "ERROR", 1.0)  # whatever this processor makes of it
    networks(monkeypatch, float32=slowly, bfloat16=change)
    assert measured().dtype == wanted


def test_a_wrong_kernel_is_refused(monkeypatch):
    networks(monkeypatch, float32=slowly, bfloat16=lambda v: 1.05 * v)
    found = measured()
    assert found.dtype == "float32" and 0.02 < found.error < 0.2
    assert found.float32 > 1.25 * found.bfloat16


def test_emulation_is_not_waited_for(monkeypatch):
    networks(monkeypatch, bfloat16=slowly)
    monkeypatch.setattr(backends, "SIDE", 1 << 20)  # no memory holds it
    assert measured().dtype == "float32"


def test_wrong_arithmetic_is_told(monkeypatch):
    networks(monkeypatch, float32=lambda v: 1.01 * slowly(v))
    found = measured()
    assert found.dtype == "float32" and "torch computes wrongly" in str(found)
    assert "torch computes wrongly" not in str(HALF)


def test_the_choice_is_remembered(folder, monkeypatch):
    first = choice()
    choice.cache_clear()
    monkeypatch.delattr(backends, "InpaintUNet")
    assert choice() == first
    assert [file.name for file in folder.iterdir()] == [f"cpu-{processor()}"]


def test_of_two_processes_the_first_decides(folder, monkeypatch):
    def meanwhile():
        decide(folder, HALF)
        return SINGLE

    monkeypatch.setattr(backends, "measured", meanwhile)
    assert choice() == HALF


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '"float32"', "\udcff", json.dumps(asdict(HALF) | {"dtype": []})]
)
def test_a_damaged_file_is_ignored_and_replaced(text, folder, monkeypatch):
    monkeypatch.setattr(backends, "measured", lambda: HALF)
    decide(folder, SINGLE)
    (file,) = folder.glob("*/*")
    file.write_text(text, "utf-8", "surrogateescape")
    assert choice() == HALF and Choice(**json.loads(file.read_text())) == HALF


def test_what_was_begun_and_abandoned_goes(folder, monkeypatch):
    monkeypatch.setattr(backends, "measured", lambda: HALF)
    old, new = folder / "a.part", folder / "b.part"
    for part in (old, new):
        (part / "made").mkdir(parents=True)
    long_ago = time.time() - 2 * machine.ABANDONED
    os.utime(old, (long_ago, long_ago))
    assert choice() == HALF and not old.exists() and new.exists()


def test_a_user_without_a_home_remembers_nothing(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("INPAINT_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert choice() == UNMEASURED and own.own_models() == {}


def test_what_cannot_be_remembered_is_float32(folder, monkeypatch):
    monkeypatch.setattr(backends, "measured", lambda: HALF)
    folder.parent.write_text("no folder")
    assert choice() == UNMEASURED and "is not writable" in str(choice())


@pytest.mark.parametrize("chosen", [HALF, SINGLE])
def test_a_network_computes_in_it_and_the_recipe_says_so(chosen, folder):
    decide(folder, chosen)
    loaded = catalog.load("photo", pick("cpu"))
    assert str(loaded.filler.model.pipeline.unet.dtype) == f"torch.{chosen.dtype}"
    assert edit(PIXELS, MASK, **QUICK).recipe["dtype"] == chosen.dtype


def test_a_result_is_made_again_where_another_choice_was_made(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("photo.png")
    decide(folder, HALF)
    edit("photo.png", MASK, **QUICK).save("out.png")
    decide(folder, SINGLE)
    edit("photo.png", MASK, **QUICK).save("other.png")
    assert Path("other.png").read_bytes() != Path("out.png").read_bytes()
    for name in ("out.png", "other.png"):
        replay(name, device="cpu").save("again.png")
        assert Path("again.png").read_bytes() == Path(name).read_bytes()
        assert recipe_of("again.png")["dtype"] == recipe_of(name)["dtype"]


@pytest.mark.parametrize("dtype", [None, "", "float64", "float16", [], 3])
def test_a_recipe_of_anything_else_is_made_again_as_usual(dtype):
    assert computing_in(dtype, pick("cpu")) == pick("cpu")


def test_self_measures_nothing(folder):
    assert edit(PIXELS, MASK, steps=1, device="cpu").recipe["dtype"] == ""
    assert not folder.exists()


def test_doctor_tells_what_was_measured(folder, capsys):
    decide(folder, HALF)
    assert main(["doctor", "--device", "cpu"]) == 0
    said = "networks compute in bfloat16; 80 ms an evaluation in float32, 50 in bfloat16, which"
    assert f"{said} differs by 0.5 %.\n" in capsys.readouterr().out


@pytest.mark.parametrize("chosen, used", [(HALF, "bf16"), (SINGLE, "fp32 channels-last")])
def test_bench_compares_what_is_used(chosen, used, folder):
    decide(folder, chosen)
    last = evaluation(True)[-1]
    assert last.what == f"plain over {used}, which is used" and last.value > 0
