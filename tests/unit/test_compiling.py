"""torch.compile, where an operator asks for it."""

import shutil

import numpy as np
import pytest
import torch

from inpaint import catalog, devices, holding
from inpaint.backends import dtype_on
from inpaint.editing import edit
from inpaint.pipeline import InpaintPipeline
from inpaint.tools.bench_network import evaluation
from inpaint.training.loss import training_scheduler
from inpaint.unet import InpaintUNet

pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script_method. is deprecated:DeprecationWarning"  # torch's own compiler
)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
MASK = np.zeros((40, 44), bool)
MASK[12:24, 14:26] = True


@pytest.fixture(autouse=True)
def fresh():
    holding.let_go()
    yield
    holding.let_go()


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    unet = InpaintUNet(sample_size=32, channels=(32,), blocks=1, attention=(False,))
    torch.nn.init.normal_(unet.head.weight, std=0.1)
    InpaintPipeline(unet, training_scheduler()).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("value, wanted", [("1", True), ("0", False), (None, False)])
def test_the_variable_decides(value, wanted, monkeypatch):
    monkeypatch.delenv(devices.COMPILE, raising=False)
    if value is not None:
        monkeypatch.setenv(devices.COMPILE, value)
    assert devices.pick("cpu").compiled is wanted


def test_a_network_is_compiled_once_it_is_asked_for_so(folder, monkeypatch):
    plain = catalog.load(str(folder), devices.pick("cpu")).filler.model.pipeline.unet
    monkeypatch.setenv(devices.COMPILE, "1")
    other = catalog.load(str(folder), devices.pick("cpu")).filler.model.pipeline.unet
    assert plain._compiled_call_impl is None and other._compiled_call_impl is not None


@pytest.mark.parametrize("name, part", [("sd", "unet"), ("flux-fill", "transformer")])
def test_so_is_that_of_a_pipeline_over_latents(name, part, saved, monkeypatch):
    monkeypatch.setenv(devices.COMPILE, "1")
    filler = catalog.load(str(saved / name), devices.pick("cpu")).filler
    assert getattr(filler.pipeline, part)._compiled_call_impl is not None


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_it_fills_alike(folder, monkeypatch):
    settings = {"model": str(folder), "steps": 2, "seed": 0, "device": "cpu"}
    plain = edit(PIXELS, MASK, **settings).candidates[0].picture().pixels
    monkeypatch.setenv(devices.COMPILE, "1")
    compiled = edit(PIXELS, MASK, **settings).candidates[0].picture().pixels
    most = 1 if dtype_on(devices.pick("cpu")) == torch.float32 else 8
    assert np.abs(compiled.astype(int) - plain).max() <= most


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_bench_compares_it():
    rows = {row.what: row for row in evaluation(True, compiled=True)}
    assert rows["bf16, compiled"].value > 0
    assert rows["bf16, compiled: error of x₀"].value < 1
