"""What is laid over the picture after a run: drawn once, however often it is looked at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inpaint import reviewing
from inpaint.editing import edit
from inpaint.pictures import Picture
from inpaint.ui import review
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
