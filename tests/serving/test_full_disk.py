"""A server whose disk is full, or whose memory is capped: results or sentences, and recovery."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

LARGE = {"picture": "large.jpg", "mask": "hole.png"}
ROOT = Path(__file__).parents[2]
SERVER = """
import sys, time
from inpaint.ui import serving
from inpaint.ui.options import Options
serving.launch(Options(port=int(sys.argv[1]), rate=0, max_upload=100, device="cpu"), quiet=True)
print("ready", flush=True)
time.sleep(600)
"""


class Served:
    """A server in a process of its own, with its folder on a disk of 8 MB."""

    def __init__(self, plain, port, folder):
        mount = 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", mount, str(folder)]
        command += [sys.executable, "-c", SERVER, str(port)]
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
            if b"denied" in self.log.read_bytes() or b"permitted" in self.log.read_bytes():
                pytest.skip("no right to mount a small disk here")
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)
        self.raw = plain(f"http://127.0.0.1:{port}")
        self.folder = Path(f"/proc/{self.process.pid}/root{folder}")  # as the server sees it

    def limit(self, more):
        """Let the process have so many bytes of addresses more than it has; None for all."""
        held = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[0]) * 4096
        most = resource.RLIM_INFINITY if more is None else held + more
        limits = (most, resource.RLIM_INFINITY)
        resource.prlimit(self.process.pid, resource.RLIMIT_AS, limits)

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server(plain, new_port, tmp_path_factory):
    folder = tmp_path_factory.mktemp("visitors")
    server = Served(plain, new_port(), folder)
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


def test_a_full_disk_is_a_sentence_and_passes(server, files, tmp_path):
    raw = server.raw
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
    fill_up(server.folder)
    said = raw.refused("fill", **given, steps=1, seed=5)
    assert said == "The disk of this server is full; try again in a while."
    # No file has a part of its content under its own name.
    for file in server.folder.rglob("*.jpg"):
        Image.open(file).load()
    assert not list(server.folder.rglob(".*.part"))
    (server.folder / "filler").unlink()
    for file in server.folder.rglob("noise.bin"):
        file.unlink()
    assert raw.call("fill", **given, steps=1, seed=5)[-1][0] == "complete"
    assert "Traceback" not in server.log.read_text()


def test_want_of_memory_is_a_sentence_and_passes(server, files, tmp_path):
    raw = server.raw
    given = {"picture": raw.upload(files / "photo.jpg"), "mask": raw.upload(files / "mask.png")}
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (500, 500, 3), np.uint8)
    Image.fromarray(np.tile(noise, (8, 8, 1))).save(tmp_path / "large.jpg", quality=30)
    hole = np.zeros((4000, 4000), np.uint8)
    hole[:600, :600] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    large = {name: raw.upload(tmp_path / file) for name, file in LARGE.items()}
    outcomes = []
    for more in (400, 200, 100, 60, 30):
        server.limit(more << 20)
        kind, data = raw.call("fill", **large, steps=1)[-1]
        server.limit(None)
        outcomes.append(data["error"] if kind == "error" else kind)
    assert "\n" not in "".join(outcomes)
    assert all(said == "complete" or "memory" in said for said in outcomes), outcomes
    assert any("memory" in said for said in outcomes), outcomes
    assert raw.call("fill", **given, steps=1, seed=6)[-1][0] == "complete"
    assert "Traceback" not in server.log.read_text()
