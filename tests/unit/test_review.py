"""What is laid over the picture after a run: drawn once, however often it is looked at."""

from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from inpaint import masks, pictures, reviewing
from inpaint.editing import edit
from inpaint.pictures import Picture
from inpaint.ui import api, review
from inpaint.ui.session import Session
from inpaint.visit import Visit

SMALL = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
PIXELS = np.asarray(Image.fromarray(SMALL).resize((44, 40), Image.Resampling.BICUBIC))
MASK = np.zeros((40, 44), bool)
MASK[10:24, 12:30] = True


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return Session(Visit.begin("name", b"", Picture(PIXELS)))


@pytest.fixture
def drawn(monkeypatch):
    """How often the differences were drawn, as a list that grows."""
    found, draw = [], reviewing.uncertainty

    def counted(*arguments):
        found.append(1)
        return draw(*arguments)

    monkeypatch.setattr(reviewing, "uncertainty", counted)
    return found


def run(session):
    visit = session.visit
    result = edit(visit.picture, MASK, steps=1, device="cpu", candidates=2)
    return visit.add(result, None, visit.picture, "Done.")


def pick(session, made, index):
    made.chosen = index
    found = review.comparison(session, made)
    return [np.asarray(Image.open(found[name])) for name in ("before", "after", "sure")]


def test_each_candidate_is_shown_and_what_is_the_same_is_drawn_once(session, drawn, tmp_path):
    made = run(session)
    first, second = pick(session, made, 0), pick(session, made, 1)
    assert np.abs(first[1].astype(int) - second[1]).max() > 10
    for file in filter(Path.is_file, tmp_path.rglob("*")):  # swept meanwhile
        file.unlink()
    again = pick(session, made, 0)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[2], second[2])
    assert len(drawn) == 1


def test_a_merged_candidate_and_another_run_are_drawn_anew(session, drawn):
    made = run(session)
    pick(session, made, 0)
    patches = tuple(replace(p, pixels=255 - p.pixels) for p in made.candidates[0].patches)
    made.candidates.append(replace(made.candidates[0], patches=patches))
    seen = pick(session, made, 2)[1][MASK].astype(int)
    far, near = (np.abs(seen - one.picture().pixels[MASK]).mean() for one in made.candidates[1:])
    assert near < far / 2
    assert len(drawn) == 2
    pick(session, run(session), 0)
    assert len(drawn) == 3


def opened(path):
    return pictures.read(path).pixels[..., 0]


def test_the_mask_of_a_result_marks_every_changed_pixel_also_of_a_merge(session):
    made = run(session)
    made.candidates.append(reviewing.merged(*made.candidates, where=MASK & (PIXELS[..., 0] > 99)))
    for made.chosen in range(3):
        mask = opened(review.invented_file(session)) == 255
        assert np.array_equal(mask, masks.grow(MASK, 3)), "with the rim that was taken in"
        changed = (made.picture().pixels != PIXELS).any(axis=2)
        assert changed.any() and not (changed & ~mask).any()


def test_the_mask_of_an_extended_picture_has_its_size(session):
    picture = session.visit.picture
    result = edit(picture, task="extend", left=6, steps=1, device="cpu")
    session.visit.add(result, None, picture, "Done.")
    path = review.invented_file(session)
    mask = opened(path) == 255
    assert Path(path).name == "name-extend-invented.png" and mask.shape == (40, 50)
    assert mask[:, :6].all() and np.array_equal(mask, result.mask)


def test_the_diversity_is_that_of_the_command_line_whatever_was_merged(session, tmp_path):
    result = edit(session.visit.picture, MASK, steps=1, device="cpu", candidates=3)
    made = session.visit.add(result, None, session.visit.picture, "Done.")
    made.candidates.append(reviewing.merged(*made.candidates[:2], where=MASK))
    path = review.diversity_file(session)
    assert Path(path).name == "name-fill-diversity.png"
    wanted = opened(result.save_diversity(tmp_path / "there.png")).astype(int)
    found = opened(path).astype(int)
    assert pictures.read(path).pixels.dtype == np.uint16 and wanted.max() > 1000
    assert np.abs(found - wanted).max() <= 1, "but for the order in which they are added"


def test_without_a_result_there_is_no_mask_of_it(session):
    for file in (review.invented_file, review.diversity_file):
        for nobody in (None, session):
            with pytest.raises(gr.Error, match="Open a picture first"):
                file(nobody)


LOSSES = {
    "a part of a JPEG": ("JPEG", {}, "only the blocks around the edit"),
    "a wider JPEG": ("JPEG", {"task": "extend", "left": 5}, "again as a whole"),
    "all of a JPEG": ("JPEG", {"task": "create"}, "again as a whole"),
    "a long comment": ("JPEG", {"task": "create"}, "loses its comment"),
    "a lossy WebP": ("WEBP", {}, "again as a whole"),
    "all of a lossless WebP": ("WEBP", {"task": "create"}, ""),
}
EXACT = ("a part of a JPEG", "all of a lossless WebP")
"""Those of them whose pixels away from the edit are saved as they are."""


@pytest.mark.parametrize("case", LOSSES)
def test_what_the_own_format_loses_is_the_truth(case, tmp_path, session):
    format, told, said = LOSSES[case]
    file = tmp_path / "in"
    Image.fromarray(PIXELS).save(file, format, quality=80, lossless="lossless" in case)
    picture = pictures.read(file)
    if "comment" in case:
        picture = replace(picture, extras={**picture.extras, "comment": b"x" * 70_000})
    session = Session(Visit.begin("name", b"", picture))
    mask = None if told else MASK
    result = edit(picture, mask, steps=1, device="cpu", model="self", grow=0, feather=0, **told)
    made = session.visit.add(result, None, picture, "Done.")
    own, sentence = review.own_format(made)
    assert own == format and said in sentence and bool(said) == bool(sentence)
    lost = result.loss(f"out.{format.lower()}")
    assert ("the last digits" in lost) == (case not in EXACT)
    assert ("its comment" in lost) == ("its comment" in sentence)
    assert (lost in api._answer(result, "name")[1]["notes"]) == bool(lost)
    saved = pictures.read(result.candidates[0].encode(format))
    differ = (saved.pixels != result.picture.pixels).any(2)
    assert differ[:, -4:].any() == (case not in EXACT)


def test_a_result_that_its_own_format_has_no_room_for_is_saved_as_png(session, tmp_path):
    picture = Picture(np.zeros((2, 16383, 3), np.uint8), format="WEBP", extras={"lossless": True})
    session = Session(Visit.begin("name", b"", picture))
    result = edit(picture, task="extend", right=1, steps=1, device="cpu", model="self")
    made = session.visit.add(result, None, picture, "Done.")
    assert review.own_format(made) == ("PNG", "")
    assert pictures.read(Path(review.result_file(session, None, True))).size == (16384, 2)
