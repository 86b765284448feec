"""A server whose disk is full, or whose memory is capped: results or sentences, and recovery."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SERVER = """
import resource, sys, threading, time
from pathlib import Path
from inpaint import devices
devices.pick("cpu")
import torch
torch.set_num_threads(1)
from inpaint.ui import serving
from inpaint.ui.options import Options
serving.launch(Options(port=int(sys.argv[1]), rate=0, max_upload=100, device="cpu"), quiet=True)
from inpaint.editing import edit
import numpy as np
edit(np.zeros((40, 40, 3), np.uint8), np.eye(40, dtype=bool), steps=1, device="cpu")
if extra := int(sys.argv[2]):  # megabytes of addresses more than it has now
    held = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (held + (extra << 20), resource.RLIM_INFINITY))
print("ready", flush=True)
time.sleep(600)
"""


class Served:
    """A server in a process of its own, with its folder on a disk of 8 MB if that is allowed."""

    def __init__(self, plain, port, folder, *, disk="", memory=0):
        command = [sys.executable, "-c", SERVER, str(port), str(memory)]
        if disk:
            mount = f'mount -t tmpfs -o size={disk} tmpfs "$0" && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mount, str(folder), *command]
        self.log = folder.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "GRADIO_TEMP_DIR": str(folder), "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 60
        while b"ready" not in self.log.read_bytes():
            if self.process.poll() is not None and disk:
                pytest.skip("no right to mount a small disk here")
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)
        self.raw = plain(f"http://127.0.0.1:{port}")
        self.folder = Path(f"/proc/{self.process.pid}/root{folder}")  # as the server sees it

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "visitors"
    made.mkdir()
    return made


@pytest.fixture
def small_disk(plain, port, folder):
    server = Served(plain, port, folder, disk="8m")
    yield server
    server.end()


@pytest.fixture
def little_memory(plain, port, folder):
    server = Served(plain, port, folder, memory=300)
    yield server
    server.end()


def fill_up(folder):
    """Leave no block free."""
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def test_a_full_disk_is_a_sentence_and_passes(small_disk, files, tmp_path):
    raw = small_disk.raw
    given = {"picture": raw.upload(files / "photo.jpg"), "mask": raw.upload(files / "mask.png")}
    assert raw.call("fill", **given, steps=1)[-1][0] == "complete"
    # Visitors fill it.
    (tmp_path / "noise.bin").write_bytes(os.urandom(3_000_000))
    sent = []
    while len(sent) < 6:
        with (tmp_path / "noise.bin").open("rb") as opened:
            url = f"{raw.address}/gradio_api/upload"
            sent.append(httpx.post(url, files={"files": opened}, timeout=60))
        (tmp_path / "noise.bin").write_bytes(os.urandom(3_000_000))
    refused = [answer for answer in sent if answer.status_code != 200]
    assert refused and {answer.status_code for answer in refused} == {507}
    assert refused[0].json()["detail"].startswith("The disk of this server is full")
    fill_up(small_disk.folder)
    said = raw.refused("fill", **given, steps=1, seed=5)
    assert said == "The disk of this server is full; try again in a while."
    # No file has a part of its content under its own name.
    for file in small_disk.folder.rglob("*.jpg"):
        Image.open(file).load()
    assert not list(small_disk.folder.rglob(".*.part"))
    (small_disk.folder / "filler").unlink()
    for file in small_disk.folder.rglob("noise.bin"):
        file.unlink()
    assert raw.call("fill", **given, steps=1, seed=5)[-1][0] == "complete"
    assert "Traceback" not in small_disk.log.read_text()


def test_want_of_memory_is_a_sentence_and_passes(little_memory, files, tmp_path):
    raw = little_memory.raw
    given = {"picture": raw.upload(files / "photo.jpg"), "mask": raw.upload(files / "mask.png")}
    assert raw.call("fill", **given, steps=1)[-1][0] == "complete"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (5000, 5000, 3), np.uint8)).save(tmp_path / "large.jpg")
    hole = np.zeros((5000, 5000), np.uint8)
    hole[:600, :600] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    large = {
        "picture": raw.upload(tmp_path / "large.jpg"),
        "mask": raw.upload(tmp_path / "hole.png"),
    }
    kind, data = raw.call("fill", **large, steps=1)[-1]
    if kind == "error":
        assert "memory" in data["error"] and "\n" not in data["error"]
    assert raw.call("fill", **given, steps=1, seed=5)[-1][0] == "complete"
    assert "Traceback" not in little_memory.log.read_text()
