"""Runs that are killed at any moment, and machines without memory or disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import inpaint

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(inpaint.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",
}
START = """
import io, os, random, resource, signal, sys, threading, time
from pathlib import Path
import numpy as np, torch
from inpaint import pictures
from inpaint.editing import edit
from tqdm.std import tqdm
torch.set_num_threads(1)
# Its usual lock is shared by forked processes: a killed one would hold it for ever.
tqdm.set_lock(threading.RLock())
tqdm.monitor_interval = 0
rng = random.Random(int(sys.argv[2]))
photo = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
mask = np.zeros((300, 300), bool)
mask[20:30, 20:30] = True
fill = lambda: edit(photo, mask, steps=1, device="cpu")
class SlowFile(io.BufferedWriter):
    "Takes its time, so that many kills come while a file is being written."
    def write(self, data):
        part = len(data) // 8 + 1
        for at in range(0, len(data), part):
            super().write(data[at : at + part])
            self.flush()
            time.sleep(0.005)
def slow_disk():
    quick = Path.open
    def opened(path, mode="r", *more, **others):
        if mode not in ("wb", "xb"):
            return quick(path, mode, *more, **others)
        return SlowFile(io.FileIO(path, mode[0]))
    Path.open = opened
def killed_in(longest, work):
    "Run work in a forked process and kill it at a random moment; whether it had ended before."
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    end, late = time.monotonic() + rng.uniform(0, longest), False
    while time.monotonic() < end and not late:
        late = os.waitpid(child, os.WNOHANG)[0] != 0
        time.sleep(0.001)
    if not late:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return late
"""


def python(code, *arguments, cwd):
    command = [sys.executable, "-c", START + code, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


FILLS = """
first = fill()
whole = {first.candidates[0].encode(format) for format in ("PNG", "TIFF")}
slow_disk()
def work():
    while True:
        made = fill()
        for name in ("out.png", "out.tif"):
            made.save(name)
began = time.monotonic()
made = fill()
for name in ("try.png", "try.tif"):
    made.save(name)
    Path(name).unlink()
longest = max(0.4, 4 * (time.monotonic() - began))  # on a slow machine a fill takes longer
seen = cut = 0
for turn in range(int(sys.argv[1])):
    killed_in(longest, work)
    for name in ("out.png", "out.tif"):
        if Path(name).exists():
            seen += 1
            cut += Path(name).read_bytes() not in whole
print(seen, cut, *(f.name for f in Path().iterdir() if f.name[0] != "."))
"""


@pytest.mark.parametrize("kills", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_a_fill_that_is_killed_leaves_no_part_of_a_file(kills, tmp_path):
    seen, cut, *names = python(FILLS, kills, 0, cwd=tmp_path)
    assert int(seen) > kills / 2 and cut == "0"
    assert sorted(names) == ["out.png", "out.tif"]


BATCHES = """
from inpaint.batch import batch, plan
Path("in").mkdir()
names = [f"{k}{end}" for k in range(4) for end in (".png", ".tif", ".jpg")]
for name in names:
    pictures.write(pictures.read(photo[:90, :90]), Path("in", name))
    pictures.write(pictures.read(mask[:90, :90]), Path("in", f"{name[0]}-mask.png"))
settings = {"steps": 1}
def work(out):
    for outcome in batch(plan(Path("in"), Path(out), **settings), device="cpu", **settings):
        assert outcome.state != "failed", outcome.said
work("whole")
slow_disk()
kills = cut = 0
while kills < int(sys.argv[1]):
    late = killed_in(0.5, lambda: work("out"))
    kills += not late
    made = [f for f in Path("out").iterdir() if f.name[0] != "."] if Path("out").exists() else []
    cut += sum(f.read_bytes() != Path("whole", f.name).read_bytes() for f in made)
    if len(made) == len(names):
        for file in made:
            file.unlink()
work("out")
print(cut, sorted(os.listdir("out")) == sorted(names))
"""


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_batch_that_is_killed_leaves_no_part_of_a_file_and_goes_on(kills, tmp_path):
    assert python(BATCHES, kills, 3, cwd=tmp_path) == ["0", "True"]


CLIPS = """
import av
from inpaint import video
from inpaint.video import saving
class SlowContainer:
    "Takes its time with what is left to write, which is nearly all of a clip so short."
    def __init__(self, container):
        self.container = container
    def __getattr__(self, name):
        return getattr(self.container, name)
    def mux(self, packets):
        for packet in packets if isinstance(packets, list) else [packets]:
            time.sleep(0.1)
            self.container.mux(packet)
finish = saving.VideoWriter.finish
def slowly(writer, whole):
    writer.container = SlowContainer(writer.container)
    finish(writer, whole)
saving.VideoWriter.finish = slowly
frames = np.random.default_rng(1).integers(0, 256, (5, 32, 48, 3), np.uint8)
with av.open("in.mp4", "w") as container:
    stream = container.add_stream("libx264", rate=10, width=48, height=32)
    for frame in frames:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
    container.mux(stream.encode(None))
hole = np.zeros((32, 48), bool)
hole[10:14, 10:14] = True
def whole(path):
    try:
        with av.open(path) as container:
            return len(list(container.decode(video=0))) == len(frames)
    except av.FFmpegError:
        return False
def work(out="out.mp4"):
    while True:
        video.edit("in.mp4", hole, out, steps=1, device="cpu", reach=2)
        if out != "out.mp4":
            return
began = time.monotonic()
work("first.mp4")
longest = 2.5 * (time.monotonic() - began)
seen = cut = 0
for turn in range(int(sys.argv[1])):
    killed_in(longest, work)
    if Path("out.mp4").exists():
        seen += 1
        cut += not whole("out.mp4")
work("last.mp4")
print(seen, cut, whole("last.mp4"))
"""


@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_a_clip_that_is_killed_leaves_no_part_of_a_file(kills, tmp_path):
    seen, cut, whole = python(CLIPS, kills, 5, cwd=tmp_path)
    assert int(seen) > 0 and cut == "0" and whole == "True"


TRAINING = """
from dataclasses import replace
from PIL import Image
from inpaint.training import TrainSettings, train
from inpaint.training.checkpoint import load_state, weight_hashes
from inpaint.unet import PRESETS
# A small network: what is saved is what takes time, and it is saved at every step.
PRESETS["tiny"] |= {"channels": (32, 32, 32), "attention": (False, False, True)}
slow_disk()
def alike(one, two):
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(alike(one[k], two[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(alike, one, two))
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two
Path("data").mkdir()
for k in range(4):
    Image.fromarray(photo[k * 40 : k * 40 + 48, :48]).save(f"data/{k}.png")
steps = 2 * int(sys.argv[1])
settings = TrainSettings(
    Path("data"), Path("whole"), max_steps=steps, size=32, batch_size=2, precision="fp32"
)
began = time.monotonic()
train(settings)
longest = 1.5 * (time.monotonic() - began)
kills = 0
often = replace(settings, out=Path("often"), checkpoint_minutes=0)
while kills < int(sys.argv[1]):
    have = (often.out / "training/state.pt").exists()
    done = have and load_state(often.out)["step"] >= steps
    if done:
        break
    late = killed_in(longest, lambda: train(replace(often, resume=have)))
    kills += not late
have = (often.out / "training/state.pt").exists()
train(replace(often, resume=have))
same = weight_hashes(often.out) == weight_hashes(settings.out)
one, two = load_state(settings.out), load_state(often.out)
for part in ("unet", "ema"):
    same &= alike(one[part], two[part])
print(kills, same)
"""


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_training_that_is_killed_goes_on_to_the_same_weights(kills, tmp_path):
    done, same = python(TRAINING, kills, 1, cwd=tmp_path)
    assert int(done) >= kills / 2 and same == "True"


SCARCE = """
fill()
held = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
large = np.random.default_rng(0).integers(0, 256, (6000, 6000, 3), np.uint8)
hole = np.zeros((6000, 6000), bool)
hole[:900, :900] = True
held = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (held + (60 << 20), resource.RLIM_INFINITY))
try:
    edit(large, hole, steps=1, device="cpu")
    print("a result")
except (MemoryError, ValueError) as error:
    print("refused", "not enough memory" in str(error), len(str(error).splitlines()))
again = fill()
print("recovered" if again.receipt.changed == 0 else "spoilt")
"""


def test_real_want_of_memory_is_a_sentence_and_passes(tmp_path):
    *outcome, after = python(SCARCE, 0, 0, cwd=tmp_path)
    assert outcome in (["refused", "True", "1"], ["a", "result"])
    assert after == "recovered"


FULL = """
made = fill()
Path("disk/filler").write_bytes(bytes((1 << 20) - 100_000))
try:
    made.save("disk/out.png")
    print("saved")
except pictures.PictureError as error:
    print("refused", len(str(error).splitlines()), *(f.name for f in Path("disk").iterdir()))
Path("disk/filler").unlink()
made.save("disk/out.png")
print(pictures.read("disk/out.png").size[0])
"""


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield tmp_path
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_a_sentence_and_passes(small_disk):
    assert python(FULL, 0, 0, cwd=small_disk) == ["refused", "1", "filler", "300"]
