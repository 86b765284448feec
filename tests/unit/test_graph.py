"""OpenVINO beside torch: tried in a process of its own, used where it wins, never in the way."""

import json
import shutil
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from inpaint import backends, catalog, graph, holding, layers, machine
from inpaint.backends import Choice
from inpaint.cli import main
from inpaint.devices import pick
from inpaint.editing import edit
from inpaint.graph import Graphs, Trial, trial
from inpaint.machine import FOUND
from inpaint.models import SHIPPED
from inpaint.replaying import replay
from inpaint.tools.bench_network import evaluation

SINGLE = Choice("float32", 50.0, 90.0, 0.005, 1e-6)
WINS = Trial("float32", 30.0, 20.0, 1e-6)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
MASK = np.zeros((40, 44), bool)
MASK[12:24, 14:26] = True
QUICK = {"steps": 2, "device": "cpu", "model": "photo", "seed": 3}


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """What OpenVINO made of the shipped network here: a folder that holds the graph."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(graph.VARIABLE, "1")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("tried")))
        found = trial(SHIPPED, torch.float32)
        place = machine.cache_folder() / graph._name(SHIPPED, torch.float32)
    if not found.openvino:
        pytest.skip("OpenVINO does not run on this machine")
    return place


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A process that has tried nothing, on a machine that computes in float32."""
    monkeypatch.setenv(graph.VARIABLE, "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "inpaint"
    folder.mkdir(parents=True)
    (folder / f"cpu-{machine.processor()}").mkdir()
    machine.note(folder / f"cpu-{machine.processor()}", SINGLE)
    forget()
    yield folder
    forget()


def forget():
    """Be another process."""
    backends.choice.cache_clear()
    holding.let_go()


@pytest.fixture
def wins(tried, cache):
    """OpenVINO was tried with `photo`, and wins."""
    place = cache / graph._name(SHIPPED, torch.float32)
    shutil.copytree(tried, place)
    machine.note(place, WINS)
    return place


@pytest.fixture
def endings(monkeypatch, tmp_path):
    """Let every other process end at once, as a crash does; what is listed is who began."""
    program, began = tmp_path / "python", tmp_path / "began"
    program.write_text(f'#!/bin/sh\necho "$@" >> {began}\nkill -SEGV $$\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    return lambda: began.read_text().splitlines() if began.exists() else []


def test_the_trial_is_plausible(tried):
    found = Trial(**json.loads((tried / FOUND).read_text()))
    assert 0.1 < found.torch < 10_000 and 0.1 < found.openvino < 10_000 and found.error < 0.02
    assert (found.precision != "") == (found.torch >= graph.FASTER * found.openvino)
    assert found.precision or "by torch; " in str(found)


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 48, 16), (2, 64, 80)])
def test_graphs_compute_what_the_layers_do(shape, tried):
    network, (count, height, width) = layers.load(SHIPPED), shape
    x, y = torch.randn(2, count, 7, height, width, generator=torch.Generator().manual_seed(0))
    level = network.level(torch.full((count,), 300.0), torch.float32).detach()
    graphs = Graphs(tried, "float32")
    with torch.inference_mode():
        out, deep = network.run(x, level)
        found = graphs.run(x.to(memory_format=torch.channels_last), level)
        again = graphs.rerun(y, level, found[1])
        for a, b in ((found[0], out), (found[1], deep), (again, network.rerun(y, level, deep))):
            assert a.shape == b.shape and (a - b).norm() < 1e-4 * b.norm()


def test_threads_do_not_get_each_others_answers(tried):
    graphs = Graphs(tried, "float32")
    level = layers.load(SHIPPED).level(torch.tensor([300.0]), torch.float32).detach()
    seen = torch.randn(2, 60, 1, 7, 32, 32, generator=torch.Generator().manual_seed(0))
    answer = lambda one: [graphs.run(x, level)[0] for x in one]  # noqa: E731
    wanted = [answer(one) for one in seen]
    with ThreadPoolExecutor(2) as threads:
        found = [*threads.map(answer, seen)]
    for a, b in zip(sum(found, []), sum(wanted, []), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_the_other_process_ends_with_this_one(tmp_path):
    """It does however this one ends, and would else convert for a minute more."""
    code = (
        "import subprocess, sys\n"
        "command = [sys.executable, '-m', 'inpaint.graph', sys.argv[1], 'float32', sys.argv[2]]\n"
        "other = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        "print(other.pid, flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(SHIPPED), str(tmp_path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as this:
        other = Path(f"/proc/{int(this.stdout.readline())}")
        if not other.is_dir():
            pytest.skip("there is no /proc")
        while b"inpaint.graph" not in (other / "cmdline").read_bytes():
            time.sleep(0.01)
        this.kill()
    until = time.monotonic() + 30
    while other.is_dir() and (other / "cmdline").read_bytes():  # a zombie has none
        assert time.monotonic() < until
        time.sleep(0.1)
    assert not (tmp_path / FOUND).exists()


def test_graphs_of_few_shapes_are_kept(tried, monkeypatch):
    monkeypatch.setattr(graph, "KEPT", 2)
    one = Graphs(tried, "float32")
    level = layers.load(SHIPPED).level(torch.tensor([300.0]), torch.float32).detach()
    shapes = [(1, 7, 16, 16 * n) for n in (1, 2, 3)]
    for shape in [*shapes[:-1], shapes[0], shapes[-1]]:
        one.run(torch.zeros(shape), level)
    assert [shape for _, shape in one.compiled] == [shapes[0], shapes[2]]


def test_where_it_wins_it_computes_and_the_recipe_says_so(wins, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("photo.png")
    edit("photo.png", MASK, **QUICK).save("out.png")
    result = edit("photo.png", MASK, **QUICK)
    network = catalog.load("photo", pick("cpu")).filler.model.pipeline.unet
    assert result.recipe["dtype"] == "openvino-float32" and len(network.instead.compiled) >= 1
    replay("out.png", device="cpu").save("again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "out.png").read_bytes()
    monkeypatch.setenv(graph.VARIABLE, "0")
    forget()
    plain = edit("photo.png", MASK, **QUICK)
    assert plain.recipe["dtype"] == "float32"
    pair = (one.candidates[0].picture().pixels.astype(int) for one in (result, plain))
    assert np.abs(np.subtract(*pair)).max() <= 1


def test_a_network_in_bfloat16_becomes_float32(wins):
    network = layers.load(SHIPPED).bfloat16()
    wins.rename(wins.with_name(graph._name(SHIPPED, torch.bfloat16)))
    assert graph.attach(network, SHIPPED) == "float32"
    assert network.head.weight.dtype == torch.float32 and network.instead is not None


def test_where_torch_wins_it_computes(wins):
    machine.note(wins, replace(WINS, precision=""))
    assert catalog.load("photo", pick("cpu")).filler.model.dtype == "float32"


def test_a_crash_ends_nothing_and_is_not_tried_again(endings, cache):
    assert edit(PIXELS, MASK, **QUICK).recipe["dtype"] == "float32"
    forget()
    assert edit(PIXELS, MASK, **QUICK).recipe["dtype"] == "float32"
    assert len(endings()) == 1 and "-m inpaint.graph" in endings()[0]
    assert str(trial(SHIPPED, torch.float32)) == "by torch; OpenVINO does not run here."
    assert not list(cache.glob("*.part"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"precision": 3}', json.dumps({"torch": "1"})])
def test_a_damaged_trial_is_made_again(text, wins, endings):
    (wins / FOUND).write_text(text)
    assert trial(SHIPPED, torch.float32) == Trial() and len(endings()) == 1


def test_a_trial_that_is_gone_is_made_again(wins, endings):
    (wins / FOUND).unlink()
    assert trial(SHIPPED, torch.float32) == Trial() and len(endings()) == 1


@pytest.mark.parametrize(("name", "left"), [("run.xml", 2000), ("rerun.bin", 2000), ("run.bin", 0)])
def test_damaged_graphs_are_made_again_and_torch_computes(name, left, wins, endings):
    kept = (wins / name).read_bytes()[:left]
    (wins / name).unlink()
    if left:
        (wins / name).write_bytes(kept)
    assert edit(PIXELS, MASK, **QUICK).recipe["dtype"] == "float32" and not endings()
    forget()
    assert edit(PIXELS, MASK, **QUICK).recipe["dtype"] == "float32" and len(endings()) == 1


def test_a_model_that_was_trained_further_is_tried_anew(wins, endings, tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "mine")
    assert trial(tmp_path / "mine", torch.float32) == WINS and not endings()
    network = layers.load(SHIPPED)
    file = tmp_path / "mine" / "unet" / "diffusion_pytorch_model.safetensors"
    save_file(
        {name: 0.9 * value.contiguous() for name, value in network.state_dict().items()}, file
    )
    assert trial(tmp_path / "mine", torch.float32) == Trial() and len(endings()) == 1


def test_what_cannot_be_remembered_is_not_tried(cache, endings):
    shutil.rmtree(cache.parent)
    cache.parent.write_text("no folder")
    assert trial(SHIPPED, torch.float32) == Trial() and not endings()


def test_it_can_be_turned_off(endings, monkeypatch):
    monkeypatch.setenv(graph.VARIABLE, "0")
    assert trial(SHIPPED, torch.float32) == Trial() and not endings()


def test_other_networks_are_not_tried(endings, tmp_path):
    (tmp_path / "unet").mkdir()
    for config in ("", "[1", '{"_class_name": "UNet2DModel"}'):
        (tmp_path / "unet" / "config.json").write_text(config)
        assert trial(tmp_path, torch.float32) == Trial()
    assert trial(SHIPPED.with_name("narrow"), torch.float32) == Trial()
    assert trial(tmp_path / "nowhere", torch.float32) == Trial() and not endings()


def test_doctor_and_bench_tell(wins, endings, capsys):
    assert main(["doctor", "--device", "cpu"]) == 0
    said = "computed by OpenVINO in float32; 20 ms an evaluation by OpenVINO, 30 by torch.\n"
    assert said in capsys.readouterr().out
    rows = {row.what: row for row in evaluation(True)}
    assert rows["OpenVINO in float32: error of x₀"].value < 0.01
    assert rows["plain over OpenVINO in float32, which is used"].value > 0
