"""The same bytes again: from a seed, from a batch, and from the recipe inside a result."""

import json
from pathlib import Path

import numpy as np
import pytest
from models import conditional
from PIL import Image

from inpaint import editing, pictures
from inpaint.cli import main
from inpaint.editing import edit
from inpaint.recipes import MOST_LETTERS, packed_mask, unpacked_mask
from inpaint.replaying import recipe_of, replay
from inpaint.reviewing import merged

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
MASK = np.zeros((40, 44), bool)
MASK[12:24, 14:26] = True
CLEAR = np.dstack([PIXELS, np.where(MASK, 0, 255).astype(np.uint8)])
QUICK = {"steps": 2, "device": "cpu"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PIXELS).save("photo.png")
    Image.fromarray(MASK).save("mask.png")
    return tmp_path


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_a_result_is_made_again_to_the_byte(suffix, folder):
    edit("photo.png", "mask.png", seed=5, **QUICK).save(f"out.{suffix}")
    (folder / "mask.png").unlink()  # it lies in the recipe
    replay(f"out.{suffix}", device="cpu").save(f"again.{suffix}")
    assert (folder / f"again.{suffix}").read_bytes() == (folder / f"out.{suffix}").read_bytes()


def test_a_format_without_room_is_refused_before_the_work(folder, capsys, monkeypatch):
    Image.new("L", (16380, 2)).save("photo.png")
    edit("photo.png", task="extend", right=9, model="self", **QUICK).save("out.png")
    monkeypatch.setattr(editing, "load", None)  # no work can begin
    assert main(["replay", "out.png", "--device", "cpu", "-o", "again.webp"]) == 2
    assert "A WEBP is at most 16383 pixels wide" in capsys.readouterr().err


def test_each_candidate_is_made_again_alone(folder):
    made = edit("photo.png", "mask.png", candidates=3, seed=2**32 - 2, **QUICK).candidates
    for number, candidate in enumerate(made):
        out = candidate.save(f"{number}.png")
        assert main(["replay", str(out), "--device", "cpu"]) == 0


def test_what_the_replay_goes_over_is_compared_first(folder, capsys):
    result = edit("photo.png", "mask.png", **QUICK)
    story = {"inpaint": json.dumps(result.recipe)}
    pictures.write(pictures.read("photo.png"), "out.png", text=story)  # other bytes
    assert main(["replay", "out.png", "--device", "cpu", "-o", "out.png"]) == 0
    assert "made again, with other bytes" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["repair", "enlarge", "denoise"])
def test_a_task_without_a_mask_is_made_again(task, capsys):
    edit("photo.png", task=task, **QUICK).save("out.png")
    assert recipe_of("out.png")["mask"] is None
    assert main(["replay", "out.png", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "out.png: made again, the same to the byte\n"


def test_a_merged_result_is_not_made_again_and_says_so():
    first, second = edit("photo.png", "mask.png", candidates=2, **QUICK).candidates
    merged(first, second, MASK & (np.arange(44) < 20)).save("out.png")
    with pytest.raises(ValueError, match=r"^out.png was merged from several .*\.$"):
        replay("out.png")


def test_transparent_pixels_are_filled_again_and_opaque(capsys):
    Image.fromarray(CLEAR).save("clear.png")
    edit("clear.png", **QUICK).save("out.png")
    assert main(["replay", "out.png", "--device", "cpu", "-o", "again.png"]) == 0
    assert pictures.read("again.png").alpha.min() == 255


def test_an_opaque_picture_is_not_taken_for_the_one_with_a_hole():
    Image.fromarray(PIXELS).save("a.png")  # alike but for alpha, and first by its name
    Image.fromarray(CLEAR).save("cut.png")
    edit("cut.png", **QUICK).save("out.png")
    assert main(["replay", "out.png", "--device", "cpu"]) == 0
    assert main(["replay", "out.png", "--device", "cpu", "--picture", "a.png"]) == 2


def test_a_recipe_without_digests_of_alpha_is_made_again():
    Image.fromarray(CLEAR).save("a.png")
    candidate = edit("a.png", **QUICK).candidates[0]
    for name in ("picture_alpha_sha256", "guide_alpha_sha256"):
        assert candidate.recipe.pop(name) is not None
    candidate.save("out.png")
    assert bytes_of(replay("out.png", "a.png", device="cpu").candidates[0]) == bytes_of(candidate)


def test_a_picture_of_the_same_kind_is_tried_first():
    picture = Image.fromarray(PIXELS)
    picture.save("photo.jpg", comment=b"a comment, which the result has too")
    Image.open("photo.jpg").save("photo.bmp")  # the same pixels, and first by its name
    edit("photo.jpg", "mask.png", **QUICK).save("out.jpg")
    assert main(["replay", "out.jpg", "--device", "cpu"]) == 0


@pytest.mark.parametrize("out", ["photo.png", "mask.png", "guide.png", "./photo.png"])
def test_what_it_was_made_of_is_not_overwritten(out, folder, capsys, monkeypatch):
    Image.fromarray(PIXELS[::-1].copy()).save("guide.png")
    edit("photo.png", "mask.png", task="replace", guide="guide.png", **QUICK).save("out.png")
    before = (folder / out).read_bytes()
    monkeypatch.setattr(editing, "load", None)  # no work can begin
    assert main(["replay", "out.png", "--device", "cpu", "-o", out]) == 2
    what = out.strip("./").replace("photo", "picture").removesuffix(".png")
    error = f"inpaint: '{Path(out)}' is the {what} that out.png was made of; choose another name.\n"
    assert capsys.readouterr().err == error and (folder / out).read_bytes() == before


def test_a_folder_that_is_not_there_is_told_before_the_work(capsys, monkeypatch):
    edit("photo.png", "mask.png", **QUICK).save("out.png")
    monkeypatch.setattr(editing, "load", None)
    assert main(["replay", "out.png", "--device", "cpu", "-o", "none/again.png"]) == 2
    assert "There is no folder 'none'" in capsys.readouterr().err


def test_a_mask_too_large_to_embed_is_looked_for_by_its_digest(folder):
    rng = np.random.default_rng(1)
    mask = rng.random((500, 500)) < 0.5
    assert packed_mask(mask) == ""
    picture = rng.integers(0, 256, (500, 500), np.uint8)
    Image.fromarray(picture).save("large.png")
    candidate = edit("large.png", mask, steps=1, grow=0, device="cpu").candidates[0]
    candidate.save("out.png")
    with pytest.raises(ValueError, match="^The mask that out.png was made of is not beside it"):
        replay("out.png")
    Image.fromarray(mask).save("large-mask.png")
    assert bytes_of(replay("out.png", device="cpu").candidates[0]) == bytes_of(candidate)


def test_a_packed_mask_comes_back():
    rng = np.random.default_rng(1)
    small = rng.random((40, 44)) < 0.5
    np.testing.assert_array_equal(unpacked_mask(packed_mask(small), (44, 40)), small)
    assert len(packed_mask(np.zeros((5000, 5000), bool))) < MOST_LETTERS
    with pytest.raises(ValueError, match="damaged; name its file with --mask.$"):
        unpacked_mask(packed_mask(small), (44, 400))


@pytest.mark.parametrize("what", ["picture", "mask"])
def test_another_original_is_refused(what, folder, capsys):
    edit("photo.png", "mask.png", **QUICK).save("out.png")
    other = PIXELS[::-1] if what == "picture" else MASK[::-1]
    Image.fromarray(np.ascontiguousarray(other)).save("other.png")
    assert main(["replay", "out.png", f"--{what}", "other.png"]) == 2
    error = f"inpaint: This is not the {what} that out.png was made of.\n"
    assert capsys.readouterr().err == error


def test_what_is_missing_is_named(folder, capsys):
    edit("photo.png", "mask.png", **QUICK).save("out.png")
    (folder / "photo.png").unlink()
    assert main(["replay", "out.png"]) == 2
    assert capsys.readouterr().err.endswith("is not beside it; name it with --picture.\n")


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"size": [1, 2], "settings": 3}'])
def test_a_picture_without_a_recipe_says_so(text):
    data = pictures.encode(pictures.read(PIXELS), text={} if text is None else {"inpaint": text})
    Path("plain.png").write_bytes(data)
    with pytest.raises(ValueError, match="^There is no recipe in plain.png"):
        replay("plain.png")


def test_a_recipe_of_wild_settings_is_one_sentence():
    recipe = edit("photo.png", "mask.png", **QUICK).recipe
    recipe["settings"] = {**recipe["settings"], "steps": 1e9}
    text = {"inpaint": json.dumps(recipe)}
    pictures.write(pictures.read(PIXELS), "wild.png", text=text)
    with pytest.raises(ValueError, match="^steps must be a whole number"):
        replay("wild.png")


@pytest.fixture
def network(folder):
    conditional().save_pretrained(folder / "network")
    return str(folder / "network")


def bytes_of(candidate):
    return candidate.picture().pixels.tobytes()


def test_twenty_runs_are_alike(network):
    for model, runs in (("self", 20), (network, 20)):
        made = {
            bytes_of(edit(PIXELS, MASK, model=model, **QUICK).candidates[0]) for _ in range(runs)
        }
        assert len(made) == 1


@pytest.mark.parametrize("model", ["self", "network"])
def test_a_candidate_does_not_depend_on_how_many_there_are(model, network):
    model = network if model == "network" else model
    four = edit(PIXELS, MASK, model=model, candidates=4, seed=7, **QUICK).candidates
    for number, candidate in enumerate(four):
        one = edit(PIXELS, MASK, model=model, seed=7 + number, **QUICK)
        assert bytes_of(one.candidates[0]) == bytes_of(candidate)
