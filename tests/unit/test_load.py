"""What the client that plays many users counts."""

import os
import time

import numpy as np
import pytest

from inpaint import pictures
from inpaint.tools import load


def test_growth_is_measured_after_the_warm_up():
    warm = [(t, 50.0 * t, 4, 9) for t in range(20)]
    level = [(t, 1000 + t / 30, 4, 9 + (t - 20) // 2) for t in range(20, 61)]
    memory, threads, files = load.growth(warm + level)
    assert memory == pytest.approx(2) and threads == pytest.approx(0)
    assert files == pytest.approx(30, rel=0.01)
    assert load.growth([]) == [0, 0, 0]


def test_a_process_is_sampled():
    samples = load.watch(os.getpid(), time.monotonic() + 0.2, every=0.05)
    assert len(samples) >= 3
    assert all(memory > 10 and threads >= 1 and files >= 3 for _, memory, threads, files in samples)


def test_the_picture_of_another_user_is_told_apart(tmp_path):
    rng = np.random.default_rng(0)
    own, other = rng.integers(0, 256, (2, 96, 96, 3), np.uint8)
    mask = np.zeros((96, 96), bool)
    mask[40:52, 40:52] = True
    filled = own.copy()
    filled[mask] = 0
    for pixels, said in ((filled, "answered"), (other, "another's answer"), (own[:9], "another's")):
        path = pictures.write(pictures.read(pixels), tmp_path / "out.png")
        assert load._judged((str(path), {}), own, mask).startswith(said)
