"""Every setting, flag and keyword with every value: taken as it is, or refused in one sentence."""

import contextlib
import io
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import inpaint
from inpaint.cli import main
from inpaint.editing import edit, estimate
from inpaint.settings import OPTIONS, Settings
from inpaint.tasks import TASKS

NUMBERS = [0, -1, 1, 0.5, 1e9, -1e308, math.nan, math.inf, -math.inf, 2**31, 2**63, 2**70, 10**400]
TEXTS = ["", " ", "nan", "inf", "1e999", "0x10", "٣", "1_0", "\0", "\n", "é" * 3, "x" * 100_000]
TEXTS += ["../../etc/passwd", "http://127.0.0.1/", "$(reboot)", "%s%n", "{0}", "\ud800", "-", "--"]
WILD = st.one_of(
    st.sampled_from([*NUMBERS, *TEXTS, None, True, False, (), [], {}, b"", object(), 1j, np.nan]),
    st.integers(),
    st.floats(),
    st.text(max_size=50),
    st.lists(st.integers(), max_size=3),
)
PICTURE = np.zeros((6, 6, 3), np.uint8)
MASK = np.eye(6, dtype=bool)


def one_sentence(error):
    text = str(error)
    assert text and "\n" not in text and len(text) < 1000, text[:2000]
    assert "Traceback" not in text


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(OPTIONS)), WILD)
def test_a_setting_is_in_range_or_refused(name, value):
    try:
        made = Settings.of(**{name: value})
    except ValueError as error:
        one_sentence(error)
        return
    taken, option = getattr(made, name), OPTIONS[name]
    if taken is None or option.kind is str:
        return
    assert type(taken) is option.kind and option.low <= taken <= option.high


WORDS = {name: st.just(name) for name in (*OPTIONS, "nothing", "Task", "self", "", "x" * 5000)}


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(WORDS)), WILD, min_size=1, max_size=3))
def test_a_keyword_is_taken_or_refused(values):
    # Quick where all happen to be good; the mask is refused before any work.
    with pytest.raises(ValueError) as caught:
        edit(PICTURE, MASK & False, **{"task": "fill", **values}, device="cpu")
    one_sentence(caught.value)


@pytest.mark.parametrize("value", [*NUMBERS, *TEXTS, None, [], {}], ids=lambda v: repr(v)[:20])
def test_devices_and_paths_are_refused(value):
    for attempt in (
        lambda: edit(PICTURE, MASK, device=value, steps=1),
        lambda: edit(value, MASK, device="cpu", steps=1),
        lambda: edit(PICTURE, MASK, device="cpu", steps=1, model=value),
    ):
        with pytest.raises(ValueError) as caught:
            attempt()
        one_sentence(caught.value)


def run(arguments):
    """Run the command in this process; its exit status and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
    return status, said.getvalue()


FLAGS = sorted(OPTIONS.keys() - {"task"})


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(TASKS)),
    st.sampled_from(FLAGS),
    st.one_of(st.sampled_from([*map(str, NUMBERS), *TEXTS]), st.text(max_size=40)),
)
def test_a_flag_is_taken_or_refused(task, flag, value):
    status, said = run([task, "missing.png", "-o", "out.png", f"--{flag}={value}"])
    assert status == 2, (status, said[-500:])
    assert "Traceback" not in said
    assert any(line.startswith("inpaint") for line in said.splitlines()), said[-500:]


@pytest.mark.parametrize(
    "command", ["train", "specialise", "evaluate", "video", "replay", "doctor"]
)
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "x" * 3000, "\n", ""])
def test_other_commands_refuse_too(command, value, tmp_path):
    new = str(tmp_path / "new")
    flags = {
        "train": ["--data", str(tmp_path), "--out", new, "--minutes", value],
        "specialise": [str(tmp_path), "--name", "mine", "--minutes", value],
        "evaluate": ["--pictures", str(tmp_path), "--count", value],
        "video": ["missing.mp4", "--mask", "m.png", "-o", "out.mp4", "--reach", value],
        "replay": [value],
        "doctor": ["--device", value],
    }
    status, said = run([command, *flags[command]])
    assert status == 2 and "Traceback" not in said


def test_in_a_process_of_its_own_there_is_no_traceback(tmp_path):
    path = Path(inpaint.__file__).parent.parent
    command = [sys.executable, "-m", "inpaint", "fill", "a\ud800.png", "-o", "out.png", "--eta=nan"]
    command = [os.fsencode(part) if "\ud800" not in part else b"a\xff.png" for part in command]
    done = subprocess.run(
        command, capture_output=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(path)}
    )
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert done.stderr.decode() == "inpaint: eta must be a number from 0 to 1, got nan\n"


def test_an_estimate_refuses_what_an_edit_does():
    for wild in ({"steps": math.nan}, {"sampler": "x"}, {"nothing": 1}):
        with pytest.raises(ValueError) as caught:
            estimate((20, 20), MASK, device="cpu", **wild)
        one_sentence(caught.value)
