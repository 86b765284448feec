"""A folder of pictures: what is done, skipped and refused, and what is left when it is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inpaint
from inpaint import masks, pictures
from inpaint.cli import main
from inpaint.editing import edit

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 34, 3), np.uint8)
MASK = np.zeros((30, 34), bool)
MASK[10:14, 10:14] = True


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Three pictures with masks; `main` sets a signal handler, which must not outlive the test."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "in"
    made.mkdir()
    for name in ("a.png", "b.tif", "c.gif"):
        Image.fromarray(PIXELS).save(made / name)
        Image.fromarray(MASK).save(made / f"{name[0]}-mask.png")
    yield made
    signal.signal(signal.SIGTERM, before)


def batch(*more, out="out"):
    return main(["batch", "in", "-o", out, "--device", "cpu", "--steps", "1", *more])


def names(folder="out"):
    return sorted(os.listdir(folder))


def states(capsys):
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {line["picture"]: line["state"] for line in lines}


def test_every_picture_is_done_as_alone():
    assert batch("--seed", "4") == 0
    assert names() == ["a.png", "b.tif", "c.png"]
    alone = edit("in/a.png", "in/a-mask.png", seed=4, steps=1, device="cpu")
    assert (pictures.read("out/a.png").pixels == alone.picture.pixels).all()
    assert json.loads(pictures.embedded_text("out/b.tif")["inpaint"])["settings"]["seed"] == 4


def test_what_a_format_loses_is_told(folder, capsys):
    Image.fromarray(PIXELS).save(folder / "d.webp", quality=80)
    Image.fromarray(MASK).save(folder / "d-mask.png")
    assert batch() == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "loses" in line]
    assert len(told) == 1 and told[0].startswith("out/d.webp: ")
    assert "Saved as WEBP it loses the last digits of every pixel" in told[0]


def test_what_is_done_is_skipped(capsys):
    assert batch("--json", "--shard", "2/2") == 0
    assert states(capsys) == {"b.tif": "done"}
    made = os.stat("out/b.tif").st_mtime_ns
    assert batch("--json") == 0
    assert states(capsys) == {"a.png": "done", "b.tif": "skipped", "c.gif": "done"}
    assert os.stat("out/b.tif").st_mtime_ns == made


def test_one_that_fails_stops_no_other_and_is_tried_again(capsys, folder):
    whole = (folder / "b.tif").read_bytes()
    (folder / "b.tif").write_bytes(whole[:300])
    (folder / "a-mask.png").unlink()
    assert batch() == 1
    out, err = capsys.readouterr()
    assert names() == ["c.png"] and out.endswith("1 done, 0 skipped, 2 failed\n")
    said = err.splitlines()
    assert [line.split(": ")[1] for line in said] == ["a.png", "b.tif"] and "mask" in said[0]
    (folder / "b.tif").write_bytes(whole)
    Image.fromarray(MASK).save(folder / "a-mask.png")
    assert batch() == 0
    assert capsys.readouterr().out.endswith("2 done, 1 skipped, 0 failed\n")


def test_a_fault_of_ours_costs_one_picture(monkeypatch, capsys):
    from inpaint import batch as module

    def faulty(picture, *others, **more):
        if picture.name == "a.png":
            raise RuntimeError("a fault\nof two lines")
        return edit(picture, *others, **more)

    monkeypatch.setattr(module, "edit", faulty)
    assert batch() == 1 and names() == ["b.tif", "c.png"]
    assert capsys.readouterr().err == "inpaint: a.png: RuntimeError: 'a fault\\nof two lines'\n"


def test_candidates_are_numbered_and_done_when_all_are_there(capsys):
    assert batch("--candidates", "2", "--shard", "1/3", "--json") == 0
    assert names() == ["a-1.png", "a-2.png"]
    os.unlink("out/a-2.png")
    assert batch("--candidates", "2", "--shard", "1/3", "--json") == 0
    assert names() == ["a-1.png", "a-2.png"]
    assert capsys.readouterr().out.count('"done"') == 2


def test_a_second_picture_lies_beside(folder):
    for name in ("a", "b", "c"):
        Image.fromarray(255 - PIXELS).save(folder / f"{name}-guide.png")
    assert batch("--task", "replace") == 0
    alone = edit(
        "in/a.png", "in/a-mask.png", guide="in/a-guide.png", task="replace", steps=1, device="cpu"
    )
    assert (pictures.read("out/a.png").pixels == alone.picture.pixels).all()


def test_masks_lie_beside_the_results_and_mark_what_changed(folder):
    assert batch("--mask-out", "--grow", "2") == 0
    assert names() == ["a-invented.png", "a.png", "b-invented.png", "b.tif", "c-invented.png"] + [
        "c.png"
    ]
    for result in ("a.png", "b.tif", "c.png"):
        mask = pictures.read(f"out/{result[0]}-invented.png").pixels[..., 0] == 255
        assert np.array_equal(mask, masks.grow(MASK, 2))
        before = pictures.read(next(folder.glob(f"{result[0]}.*"))).pixels
        changed = (pictures.read(f"out/{result}").pixels != before).any(axis=2)
        assert changed.any() and not (changed & ~mask).any()


def test_a_repair_and_a_larger_picture_are_marked(folder):
    hills = np.add.outer(np.arange(90), np.arange(80)).astype(np.uint8)
    hills = np.repeat(hills[..., None], 3, axis=2)
    for path in folder.iterdir():
        path.unlink()
    scratched = hills.copy()
    scratched[5:85, 40:42] = 250
    Image.fromarray(scratched).save(folder / "old.png")
    assert batch("--mask-out", "--task", "repair", out="repaired") == 0
    mask = pictures.read("repaired/old-invented.png").pixels[..., 0] == 255
    changed = (pictures.read("repaired/old.png").pixels != scratched).any(axis=2)
    assert changed[10:80, 40:42].all() and not (changed & ~mask).any() and mask.mean() < 0.3
    assert batch("--mask-out", "--task", "extend", "--left", "8", out="wide") == 0
    mask = pictures.read("wide/old-invented.png").pixels[..., 0] == 255
    assert mask.shape == (90, 88) and mask[:, :8].all() and not mask[:, 12:].any()


def test_a_result_without_its_mask_is_made_again_and_one_with_it_is_skipped(capsys):
    assert batch("--shard", "1/3", "--candidates", "2", "--json") == 0
    for state in ("done", "skipped"):
        capsys.readouterr()
        assert batch("--shard", "1/3", "--candidates", "2", "--json", "--mask-out") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["state"] == state
        assert told["files"] == ["out/a-1.png", "out/a-2.png", "out/a-invented.png"]
    assert names() == ["a-1.png", "a-2.png", "a-invented.png"]


@pytest.mark.parametrize("candidates", ["1", "2"])
def test_a_mask_beside_a_result_is_no_input(candidates, folder, capsys):
    assert batch("--mask-out", "--candidates", candidates) == 0
    Image.fromarray(PIXELS).save("out/newly-invented.png")  # belongs to nothing: a picture
    capsys.readouterr()
    arguments = ["batch", "out", "-o", "more", "--task", "extend", "--left", "4", "--steps", "1"]
    assert main([*arguments, "--device", "cpu", "--json", "--mask-out"]) == 0
    results = {name for name in names() if not name[1:].startswith("-inv")}
    assert set(states(capsys)) == results and len(results) == 3 * int(candidates) + 1


def test_a_picture_that_is_called_like_a_mask_of_none_is_one(folder, capsys):
    shutil.copy(folder / "a.png", folder / "gas-mask.png")
    assert batch("--task", "repair") == 0
    assert names() == ["a.png", "b.tif", "c.png", "gas-mask.png"]


def test_two_pictures_with_one_mask_file_are_refused(folder, capsys):
    shutil.copy(folder / "a.png", folder / "a.bmp")
    assert batch("--mask-out") == 2
    assert "both become 'a-invented.png'" in capsys.readouterr().err


REFUSED = {
    "no folder": (lambda f: shutil.rmtree(f), (), "There is no folder"),
    "no pictures": (lambda f: [p.unlink() for p in f.glob("*.*")], (), "There are no pictures"),
    "the same names": (lambda f: shutil.copy(f / "a.png", f / "c.png"), (), "both become 'c.png'"),
    "shard 0": (lambda f: None, ("--shard", "0/3"), "from 1/3 to 3/3"),
    "shard 4": (lambda f: None, ("--shard", "4/3"), "from 1/3 to 3/3"),
    "steps": (lambda f: None, ("--steps", "0"), "steps must be"),
    "task": (lambda f: None, ("--task", "paint"), "there is no task"),
    "a file": (lambda f: None, ("-o", "in/a.png"), "'in/a.png' is a file; name a folder"),
    "in place": (lambda f: None, ("-o", "in"), "another folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_begin_is_one_sentence(case, folder, capsys):
    change, more, told = REFUSED[case]
    change(folder)
    assert batch(*more) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and told in err
    assert not os.path.exists("out")


def test_what_a_killed_run_left_is_removed():
    os.mkdir("out")
    for left in (".a.png.00.part", ".other.png.00.part"):
        (open(f"out/{left}", "w")).close()
    assert batch("--shard", "1/3") == 0
    assert names() == [".other.png.00.part", "a.png"]


def test_what_another_run_is_writing_stays(monkeypatch):
    sync, inner = os.fsync, []

    def while_written(file):
        """Have another process do the same batch before the first part gets its name."""
        sync(file)
        if not inner:
            command = [sys.executable, "-m", "inpaint", "batch", "in", "-o", "out", "--steps", "1"]
            environment = os.environ | {"PYTHONPATH": str(Path(inpaint.__file__).parents[1])}
            inner.append(subprocess.run([*command, "--device", "cpu"], env=environment).returncode)

    monkeypatch.setattr(os, "fsync", while_written)
    assert batch() == 0 and inner == [0]
    assert names() == ["a.png", "b.tif", "c.png"]
