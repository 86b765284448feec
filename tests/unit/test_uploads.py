"""Files that the browser fetches."""

import gc
import os
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from inpaint.ui.session import Session
from inpaint.ui.uploads import cached, sweep


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


def test_the_clip_of_an_open_tab_and_its_masks_stay(folder):
    clip, masks, old = folder / "a" / "clip.mp4", folder / "masks", folder / "b" / "old.png"
    for file in (clip, masks / "1.png", old):
        file.parent.mkdir()
        file.write_bytes(b"x")
        os.utime(file, (0, 0))
    session = Session(None, clip=clip, clip_masks=masks)
    sweep(SimpleNamespace(blocks={}), 3600)
    assert clip.exists() and (masks / "1.png").exists() and not old.exists()
    del session
    gc.collect()
    sweep(SimpleNamespace(blocks={}), 3600)
    assert not clip.exists() and not (masks / "1.png").exists()


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
