import dataclasses
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from models import conditional, unconditional
from PIL import Image

from inpaint.cli import main
from inpaint.denoiser import unet_denoiser
from inpaint.models import MODELS
from inpaint.schedule import evaluations
from inpaint.tools import patchmatch
from inpaint.tools.crops import HOLE, crops, hole, is_texture
from inpaint.tools.evaluate import Evaluation, evaluate
from inpaint.tools.methods import methods
from inpaint.tools.repaint import DEFAULT, EpsilonUNet, RePaint, cheaper, epsilon

FAST = ("telea", "ns")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(48), np.arange(40))
    for number in range(4):
        waves = 128 + 60 * np.sin(x / (2 + number)) + 40 * np.cos(y / 3) + rng.normal(0, 8, x.shape)
        pixels = np.stack([waves, waves[::-1], waves[:, ::-1]], 2).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / ("more" if number % 2 else "") / f"{number}.png")
    return folder


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network"
    conditional().save_pretrained(path)
    return path


def run(folder, **options):
    found = {"size": 32, "count": 3, "masks": ("box", "thin"), "methods": FAST, **options}
    return evaluate(Evaluation(folder, **found))


def report(folder, tmp_path, **options):
    run(folder, json=tmp_path / "report.json", **options)
    out = json.loads((tmp_path / "report.json").read_text())
    for row in out["rows"]:
        del row["seconds"]
    return out


# Crops and holes


def test_a_seed_decides_crops_and_holes(folder):
    first, again, other = (crops(folder, 32, 6, seed) for seed in (0, 0, 1))
    assert [c.box for c in first] == [c.box for c in again] != [c.box for c in other]
    assert all((a.pixels == b.pixels).all() for a, b in zip(first, again, strict=True))
    assert {crop.file for crop in first[:4]} == {"0.png", "2.png", "more/1.png", "more/3.png"}
    assert first[0].file == first[4].file and first[0].box != first[4].box
    assert (hole("box", 32, 0, 1) == hole("box", 32, 0, 1)).all()
    assert (hole("box", 32, 0, 1) != hole("box", 32, 0, 2)).any()


def test_a_longer_run_begins_with_a_shorter_ones_crops(folder):
    short, long = crops(folder, 32, 2, 0), crops(folder, 32, 5, 0)
    assert [c.box for c in short] == [c.box for c in long[:2]]


@pytest.mark.parametrize("family", ["thin", "wide", "box", "half", "line"])
def test_holes_leave_half_the_window(family):
    shares = [hole(family, 32, 0, i).mean() for i in range(20)]
    assert min(shares) >= HOLE[0] and max(shares) <= HOLE[1]


WEAVE = np.random.default_rng(1).integers(60, 196, (64, 64, 1), np.uint8).repeat(3, 2)


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda weave: weave, True),
        (lambda weave: 128 + (weave - 128) // 64, False),  # hardly any gradient
        (lambda weave: np.where(np.arange(64)[:, None, None] < 16, 128, weave), False),
        (lambda weave: weave + np.where(np.arange(64)[:, None, None] < 32, -50, 50), False),
    ],
    ids=["texture", "faint", "bare on one side", "darker on one side"],
)
def test_a_texture_is_busy_and_alike_throughout(change, expected):
    assert is_texture(change(WEAVE.astype(int)).astype(np.uint8)) == expected


def test_only_textures_are_cut_where_textures_are_wanted(folder, tmp_path):
    Image.fromarray(WEAVE).save(folder / "weave.png")
    Image.new("RGB", (64, 64), "gray").save(folder / "bare.png")
    found = crops(folder, 32, 6, 0, "texture")
    assert all(is_texture(crop.pixels) for crop in found)
    assert "weave.png" in {crop.file for crop in found}
    assert "bare.png" not in {crop.file for crop in found}
    (tmp_path / "bare").mkdir()
    (folder / "bare.png").rename(tmp_path / "bare/bare.png")
    with pytest.raises(ValueError, match="bare holds no texture of 32 pixels or more.$"):
        crops(tmp_path / "bare", 32, 1, 0, "texture")


def test_pictures_that_cannot_be_used_are_passed_over(folder):
    (folder / "a.png").write_bytes(b"no picture")
    Image.new("RGB", (400, 31)).save(folder / "b.png")
    assert {c.file for c in crops(folder, 32, 8, 0)}.isdisjoint({"a.png", "b.png"})


# The command


def test_one_table_with_a_row_for_each_method_and_family(folder):
    lines = run(folder).splitlines()
    assert {len(line) for line in lines[:8]} == {len(lines[0])}, "the columns are aligned"
    names = [tuple(cell.strip() for cell in line.split("|")[1:4]) for line in lines[2:8]]
    assert names == [(f, m, "3") for f in ("box", "thin") for m in (*FAST, "truth")]


def test_the_same_seed_gives_the_same_numbers(folder, tmp_path):
    options = {"methods": ("self", "patchmatch"), "count": 2, "masks": ("box",)}
    first, again = (report(folder, tmp_path, **options) for _ in range(2))
    assert first == again != report(folder, tmp_path, **options, seed=1)
    ours, patches, truth = first["rows"]
    assert (ours["method"], ours["evaluations"] > 0, patches["evaluations"]) == ("self", True, 0)
    assert ours["diversity"][0] > 0 and "diversity" not in patches and "psnr" not in truth
    assert ours["psnr"][1] <= ours["psnr"][0] <= ours["psnr"][2]


def test_an_exact_fill_does_not_decide_the_mean(folder, tmp_path):
    (folder / "more" / "1.png").unlink()
    Image.new("RGB", (48, 40), "teal").save(folder / "1.png")
    row, *_ = report(folder, tmp_path, masks=("box",), methods=("ns",), count=12)["rows"]
    assert all(10 < value < 58.9 for value in row["psnr"])


def test_differences_are_paired_with_the_first_method(folder, tmp_path):
    rows = report(folder, tmp_path, masks=("box",))["rows"]
    telea, ns, truth = rows
    for key in ("psnr", "ssim", "texture", "swd"):
        gap = ns["minus_first_method"][key][0]
        assert gap == pytest.approx(ns[key][0] - telea[key][0], abs=2e-6)
    assert telea["minus_first_method"] == {}
    assert telea["swd_above"][0] == pytest.approx(telea["swd"][0] - truth["swd"][0], abs=2e-6)


def test_the_truth_in_the_hole_is_shown_to_no_method(folder, monkeypatch):
    seen = []

    def spying(*arguments):
        def fill(original, picture, mask, seed):
            seen.append((picture[mask] == 128).all())
            return original(picture, mask, seed)

        real = methods(*arguments)
        for method in real:
            object.__setattr__(method, "fill", partial(fill, method.fill))
        return real

    monkeypatch.setattr("inpaint.tools.evaluate.methods", spying)
    run(folder)
    assert len(seen) == 12 and all(seen)


@pytest.mark.parametrize("name", ["self", "telea", "ns", "biharmonic", "patchmatch"])
def test_a_method_fills_the_hole_and_nothing_else(folder, name):
    if name == "biharmonic":
        pytest.importorskip("skimage")
    crop, mask = crops(folder, 32, 1, 0)[0].pixels.copy(), hole("box", 32, 0, 0)
    crop[mask] = (0, 255, 0)
    fills, _ = methods([name], None, 32)[0].fill(crop, mask, 5)
    assert len(fills) == (4 if name == "self" else 1)
    for fill in fills:
        assert fill.dtype == np.uint8 and (fill[~mask] == crop[~mask]).all()
        assert (fill[mask] != (0, 255, 0)).any(axis=1).all()


def test_a_network_is_measured_next_to_repaint(folder, network, tmp_path):
    train = tmp_path / "train"
    folder.rename(train)
    text = run(train, model=str(network), methods=("repaint-short",), masks=("half",), train=train)
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()[2:5]]
    assert [row[2] for row in rows] == ["network", "repaint-short", "truth"]
    ours, theirs = (float(row[-3]) for row in rows[:2])
    assert 12 <= ours <= 24 and ours - 3 <= theirs <= ours, "on the same budget"
    assert "nearest" in text.splitlines()[0]


def test_a_method_on_fewer_crops_is_paired_with_the_first_on_those(
    folder, network, tmp_path, monkeypatch
):
    monkeypatch.setattr("inpaint.tools.methods.DEFAULT", (4, 2, 2))
    monkeypatch.setattr("inpaint.tools.methods.FEW", 2)
    options = {"model": str(network), "methods": ("ns", "repaint"), "masks": ("box",)}
    long = report(folder, tmp_path, **options, count=3)["rows"]
    short = report(folder, tmp_path, **options, count=2)["rows"]
    assert [row["crops"] for row in long] == [3, 3, 2, 3]
    for key in ("psnr", "ssim", "seam", "texture"):
        assert long[2]["minus_first_method"][key] == short[2]["minus_first_method"][key]
        assert long[1]["minus_first_method"][key] != short[1]["minus_first_method"][key]


def test_the_sheet_has_a_column_for_each_method_and_three_rows_a_family(folder, tmp_path):
    run(folder, sheet=tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        width, height = sheet.size
    assert width == 4 + 4 * (128 + 4) and height == 18 + 6 * (128 + 18)


def test_the_command_prints_the_table_and_progress_apart(folder, capsys):
    options = f"evaluate --pictures {folder} --size 32 --count 2 --masks box --methods ns"
    assert main(options.split()) == 0
    out, err = capsys.readouterr()
    assert out.startswith("| masks") and "| box   | ns " in out
    assert err == "inpaint: 0 of 2 crops, ns, box\n"


@pytest.mark.parametrize(
    "options, sentence",
    [
        ("--pictures nowhere", "The folder of photographs nowhere does not exist."),
        ("--pictures {folder} --size 48", "holds no photograph of 48 pixels or more."),
        ("--pictures {folder} --crops moon", "crops are any or texture, got 'moon'"),
        ("--pictures {folder} --masks moon", "half, line, narrow, got 'moon'"),
        ("--pictures {folder} --methods magic", "There is no method 'magic' here; choose from"),
        ("--pictures {folder} --model nowhere", "There is no model 'nowhere'"),
        ("--pictures {folder} --count 1", "count must be at least 2, got 1"),
        ("--pictures {folder} --json {folder}/no/a.json", "no does not exist."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(folder, capsys, options, sentence):
    given = options.format(folder=folder).split()
    given += [] if "--methods" in given or "--model" in given else ["--methods", "ns"]
    assert main(["evaluate", *given]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_repaint_needs_a_network(folder, capsys, monkeypatch):
    missing = dataclasses.replace(MODELS["photo"], repository=str(folder / "nowhere"))
    monkeypatch.setitem(MODELS, "photo", missing)
    given = ["--pictures", str(folder), "--methods", "repaint", "--model", "self"]
    assert main(["evaluate", *given]) == 2
    error = capsys.readouterr().err
    assert error == "inpaint: repaint needs a network; name one with --model.\n"


def test_beside_a_model_that_is_no_network_repaint_takes_the_shipped_one():
    assert [one.name for one in methods(("repaint-short",), "blend", 64)] == [
        "blend",
        "repaint-short",
    ]


def test_by_default_everything_here_is_measured(monkeypatch):
    names = [one.name for one in methods((), None, 64)]
    assert names[:3] == ["self", "blend", "photo"] and "biharmonic" in names
    monkeypatch.setattr("inpaint.tools.methods.find_spec", lambda name: None)
    assert [n for n in names if n != "biharmonic"] == [one.name for one in methods((), None, 64)]


# diffusers' RePaint


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_every_prediction_becomes_epsilon(kind):
    x0, eps, abar = torch.randn(5), torch.randn(5), 0.3
    a, s = math.sqrt(abar), math.sqrt(1 - abar)
    out = {"epsilon": eps, "v_prediction": a * eps - s * x0, "sample": x0}[kind]
    torch.testing.assert_close(epsilon(kind, a * x0 + s * eps, out, abar), eps)


@pytest.mark.parametrize("make", [conditional, unconditional])
def test_the_adapter_is_the_network_that_knows_nothing(make):
    pipeline, x = make(), torch.randn(1, 3, 16, 16)
    scheduler = pipeline.scheduler
    abar = float(scheduler.alphas_cumprod[400])
    nothing = torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    x0 = unet_denoiser(pipeline.unet, scheduler, *nothing)(x, abar)
    with torch.no_grad():
        eps = EpsilonUNet(pipeline.unet, scheduler)(x, torch.tensor(400)).sample
    same = (x - math.sqrt(1 - abar) * eps) / math.sqrt(abar)
    torch.testing.assert_close(same.clamp(-1, 1), x0, atol=1e-4, rtol=1e-4)


def test_the_peer_repaints_the_hole_with_the_networks_schedule(folder):
    pipeline, picture = conditional(), crops(folder, 32, 1, 0)[0].pixels.copy()
    mask, calls = hole("box", 32, 0, 0), []
    picture[mask] = 128
    repaint = RePaint(pipeline.unet, pipeline.scheduler)
    torch.testing.assert_close(
        repaint.pipeline.scheduler.alphas_cumprod,
        DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod,
        atol=1e-5,
        rtol=1e-3,
    )
    repaint.pipeline.unet.register_forward_hook(lambda *call: calls.append(1))
    fill = repaint(picture, mask, 0, (20, 4, 3))
    assert len(calls) == evaluations(20, 3, 4)
    # With the mask's other polarity the hole would keep its grey.
    assert (fill[mask] != 128).any(axis=1).mean() > 0.9
    assert (fill[~mask] == picture[~mask]).all()


def test_the_short_walk_is_the_longest_within_the_budget():
    steps, jump, times = cheaper(12)
    assert evaluations(steps, times, jump) <= 12 < evaluations(steps + 1, times, jump)
    assert evaluations(DEFAULT[0], DEFAULT[2], DEFAULT[1]) == 2410


# PatchMatch


def test_stripes_are_continued():
    x = np.arange(64)
    stripes = np.broadcast_to(np.where(x // 4 % 2, 200, 50)[None, :, None], (64, 64, 3))
    picture = stripes.astype(np.uint8).copy()
    mask = np.zeros((64, 64), bool)
    mask[24:40, 24:40] = True
    picture[mask] = 128
    filled = patchmatch.complete(picture, mask, 0)
    assert np.abs(filled[mask].astype(int) - stripes[mask]).mean() < 5
    assert (filled[~mask] == picture[~mask]).all()


def test_a_texture_is_found_again_by_propagation():
    # Random search alone leaves an error of 10 grey levels here.
    tile = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).repeat(2, 0).repeat(2, 1)
    truth = np.tile(tile, (6, 6, 1)).astype(np.uint8)
    mask = np.zeros((96, 96), bool)
    mask[38:58, 38:58] = True
    filled = patchmatch.complete(np.where(mask[..., None], 128, truth).astype(np.uint8), mask, 0)
    assert np.abs(filled.astype(int) - truth).max() <= 1
