import numpy as np
import pytest
from models import conditional
from PIL import Image

from inpaint.tools.restoration import TRIALS, restoration

RNG = np.random.default_rng(0)


def test_a_row_for_every_method_of_every_task(tmp_path):
    for k in range(2):
        Image.fromarray(RNG.integers(0, 256, (70, 80, 3), np.uint8)).save(tmp_path / f"{k}.png")
    model = tmp_path / "model"
    conditional().save_pretrained(model)
    table = restoration(tmp_path, 2, size=32, model=str(model))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:-2]]
    wanted = [(t, name) for t, (_, methods) in TRIALS.items() for name in (*methods, str(model))]
    assert [tuple(row[:2]) for row in rows] == wanted
    # Noise of 25 of 255 is a PSNR of 20.2 dB, clipping aside.
    noisy = next(row for row in rows if row[:2] == ["denoise", "nothing"])
    assert float(noisy[2].split()[0]) == pytest.approx(20.2, abs=1)


@pytest.mark.parametrize("wrong", [{"tasks": ("fill",)}, {"size": 30}, {"size": 16}, {"count": 1}])
def test_bad_input_is_named(tmp_path, wrong):
    with pytest.raises(ValueError, match="tasks are|size must"):
        restoration(tmp_path, **{"count": 2, "size": 32, **wrong})
