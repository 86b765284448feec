"""Space, container and ZeroGPU, as far as they can be tried without them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gradio.routes import App

from inpaint.ui import page
from inpaint.ui.options import Options

ROOT = Path(__file__).parents[2]
CHECKS = 60


def header():
    """Read the Space's configuration: `key: value` lines between two rules."""
    lines = (ROOT / "README.md").read_text("utf-8").split("---\n")[1].splitlines()
    pairs = (line.partition(": ") for line in lines)
    return {key: value.strip('"') for key, _, value in pairs}


def test_the_header_of_the_space():
    found = header()
    assert f"gradio=={found['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    assert found["sdk"] == "gradio" and (ROOT / found["app_file"]).is_file()
    assert len(found["short_description"]) <= 60
    assert re.fullmatch(r"3\.(10|12)\.\d+", found["python_version"])  # what ZeroGPU offers
    assert found["license"] == "mit" and "MIT" in (ROOT / "LICENSE").read_text()


def test_building_the_page_builds_no_server(monkeypatch):
    # Each takes a tenth of a second and more; `launch` builds the one that serves.
    built = []
    monkeypatch.setattr(App, "create_app", staticmethod(lambda *_, **__: built.append(1)))
    assert page.create_demo(Options()).fns and not built
    App.create_app(None)
    assert built


def dockerfile():
    """Read the instructions of the Dockerfile, as (word, rest)."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def test_the_container_installs_what_is_required_and_runs_without_root():
    steps = dockerfile()
    words = [word for word, _ in steps]
    (install,) = [shlex.split(rest) for word, rest in steps if "pip install" in rest]
    assert install[-2:] == ["-r", "requirements.txt"] and install[:2] == ["pip", "install"]
    assert ("COPY", "requirements.txt ./") in steps[: words.index("RUN")]
    user = dict(steps)["USER"]
    assert user != "root" and any("useradd" in rest and user in rest for _, rest in steps)
    assert words.index("USER") < words.index("CMD") and ("EXPOSE", "7860") in steps
    assert dict(steps)["FROM"].startswith("python:3.11")


def test_the_container_serves_and_is_healthy(tmp_path, port):
    """What is copied is enough: its command runs with its variables, in a tree of that alone."""
    steps = dockerfile()
    allowed = (ROOT / ".dockerignore").read_text().split()
    for word, rest in steps:
        if word == "COPY":
            source, target = rest.split()
            assert f"!{source}" in allowed
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / target)
            else:
                shutil.copy(ROOT / source, tmp_path / target)
    variables = dict(pair.split("=") for pair in dict(steps)["ENV"].split())
    assert variables["INPAINT_HOST"] == "0.0.0.0" and variables["INPAINT_PORT"] == "7860"
    variables |= {"INPAINT_PORT": str(port), "INPAINT_HOST": "127.0.0.1"}
    environment = {**os.environ, **variables, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    check = json.loads(dict(steps)["HEALTHCHECK"].split("CMD ")[1])
    command = json.loads(dict(steps)["CMD"])
    assert check[0] == command[0] == "python"

    def healthy():
        call = [sys.executable, *check[1:]]
        return subprocess.run(call, env=environment, capture_output=True).returncode == 0

    assert not healthy()
    served = subprocess.Popen(
        [sys.executable, *command[1:]],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        until = time.monotonic() + CHECKS
        while not healthy():
            assert served.poll() is None and time.monotonic() < until, served.stdout.read()
            time.sleep(0.5)
    finally:
        served.send_signal(signal.SIGTERM)
        told, _ = served.communicate(timeout=20)
    assert "Traceback" not in told
    left = [path for path in (tmp_path / "tmp").glob("inpaint-*")]
    assert not left, "what visitors brought goes with the server"


SIGNALLED_IN_A_CALLBACK = """
import os, signal, sys, threading, weakref
import app

class Thing: pass

def warm_up(device, model):
    warming = threading.Thread(target=int)
    warming.start()
    return warming

def signalled(*arguments):
    thing = Thing()
    reference = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    del thing
    return before(*arguments)

app.studio.warm_up = warm_up
room, name = sys.argv.pop().split(".")
before = getattr(getattr(app, room), name)
setattr(getattr(app, room), name, signalled)
app.main()
print("ended")
"""


@pytest.mark.parametrize("while_in", ["serving.keep_heard", "studio.warm_up"])
def test_a_signal_within_a_callback_of_the_collector_ends_the_server(port, while_in):
    """An exception is lost there, and with it the only word to stop."""
    environment = {**os.environ, "INPAINT_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SIGNALLED_IN_A_CALLBACK, while_in]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.endswith("ended\n")
    assert "Traceback" not in done.stdout + done.stderr


STAND_IN = '''
"""The part of the package `spaces` that is used: what crosses to the other process is pickled."""

import pickle

import gradio as gr

decorated = []


def GPU(function):
    decorated.append(function.__name__)

    def there(*arguments):
        arguments = pickle.loads(pickle.dumps(arguments))
        if arguments[1]["seed"] == 13:
            raise gr.Error("You have exceeded your GPU quota")
        work = function(*arguments)
        for value in work:
            yield pickle.loads(pickle.dumps(value))

    return there
'''
LENT = """
import numpy as np, spaces
import inpaint
from inpaint.ui import zero

picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
mask = np.zeros((40, 40), bool)
mask[10:20, 10:20] = True
told = []
settings = {"steps": 3, "seed": 5}
there = zero.edit(picture, mask, progress=told.append, **settings)
here = inpaint.edit(picture, mask, **settings)
assert spaces.decorated == ["_edited"] and zero.lent()
assert there.recipe == here.recipe and there.receipt == here.receipt
assert (there.picture.pixels == here.picture.pixels).all()
box, drawn = told[-1].preview()
assert drawn.dtype == np.uint8 and told[-1].number <= told[-1].total

def stop(moment):
    raise inpaint.editing.Stopped

alone = zero.edit(picture, mask, progress=told.append, **{**settings, "seed": 13})
assert alone.finished and alone.notes == ("No GPU was free: this was made on the CPU.",)
try:
    zero.edit(picture, mask, progress=stop, steps=50, seed=1)
except ValueError as error:
    print(error)
"""


def test_on_zero_gpu_the_edit_runs_in_the_lent_function(tmp_path):
    (tmp_path / "spaces.py").write_text(STAND_IN)
    environment = {**os.environ, "SPACES_ZERO_GPU": "true", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", LENT], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "It was stopped."


@pytest.mark.parametrize("variable", ["", "false", "true"])
def test_elsewhere_the_function_is_itself(variable, monkeypatch):
    from inpaint.ui import zero

    monkeypatch.setenv("SPACES_ZERO_GPU", variable)
    assert not zero.lent(), "the package spaces is not here"
    assert zero.gpu(test_the_header_of_the_space) is test_the_header_of_the_space
