"""Files that the browser fetches."""

import gc
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from inpaint.masks import Stroke, Strokes
from inpaint.pictures import Picture
from inpaint.ui.session import Session
from inpaint.ui.uploads import cached, sweep
from inpaint.visit import Drawing, Visit


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def test_a_file_is_stored_under_its_own_name_in_the_folder(folder):
    path = Path(cached(b"a picture", "../../card.jpg"))
    assert path.read_bytes() == b"a picture" and path.name == "card.jpg"
    assert path.is_relative_to(folder)
    assert cached(b"a picture", "card.jpg") == str(path)
    assert cached(b"another", "card.jpg") != str(path)
    assert sum(file.is_file() for file in folder.rglob("*")) == 2


def test_a_file_on_its_way_to_a_browser_is_whole_when_it_is_made_again():
    data = bytes(8_000_000)
    path = Path(cached(data, "large.jpg"))
    again = threading.Thread(target=lambda: [cached(data, "large.jpg") for _ in range(50)])
    again.start()
    sizes = set()
    while again.is_alive():
        sizes.add(path.stat().st_size)
    assert sizes == {len(data)}


def test_the_files_of_an_open_tab_stay(folder):
    clip, masks, old = folder / "a" / "clip.mp4", folder / "masks", folder / "b" / "old.png"
    pasted = [folder / "c" / name for name in ("parked.png", "left.png", "run.png")]
    for file in (clip, masks / "1.png", old, *pasted):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
        os.utime(file, (0, 0))
    paste = [Stroke("paste", points=((0, 0), (4, 4)), path=str(path)) for path in pasted]
    parked, left, drawn = (Drawing(Strokes((8, 8), (stroke,))) for stroke in paste)
    visit = Visit.begin("name", b"", Picture(np.zeros((8, 8, 3), np.uint8)))
    visit.left = visit.picture, left
    visit.runs = [SimpleNamespace(drawing=drawn), SimpleNamespace(drawing=None)]
    session = Session(visit, clip=clip, clip_masks=masks, parked=parked)
    sweep(SimpleNamespace(blocks={}), 3600)
    assert all(file.exists() for file in (clip, masks / "1.png", *pasted)) and not old.exists()
    del session
    gc.collect()
    sweep(SimpleNamespace(blocks={}), 3600)
    assert not any(file.exists() for file in (clip, masks / "1.png", *pasted))


def test_a_sweep_passes_over_what_vanishes_meanwhile(folder):
    def come_and_go():
        for number in range(300):
            cached(bytes([number % 256]), "card.jpg")
            for made in folder.iterdir():
                shutil.rmtree(made)

    others = threading.Thread(target=come_and_go)
    others.start()
    while others.is_alive():
        sweep(SimpleNamespace(blocks={}), 3600)
