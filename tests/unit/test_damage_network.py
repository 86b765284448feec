"""The network that sees damage, and its training."""

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scenes import scene, scratched

from inpaint.damage import network
from inpaint.damage.network import DamageNetwork, log_odds
from inpaint.models import ModelError
from inpaint.tools import damage_train
from inpaint.tools.damage_train import SIDE, crops_of, loss_of, train


def test_the_shipped_network_sees_a_scratch():
    clean = scene((320, 240))
    pixels, truth = scratched(clean)
    before, after = (log_odds(rgb.astype(np.float32) / 255) for rgb in (clean, pixels))
    assert after.shape == truth.shape
    assert np.median(after[truth]) > 2 and np.median(before[truth]) < -2
    assert np.median(after[~cv2.dilate(truth.astype(np.uint8), np.ones((9, 9))).astype(bool)]) < -2


@pytest.mark.parametrize("size", [(24, 24), (53, 47), (640, 37), (90, 1100)])
def test_strips_say_what_the_whole_does(size, monkeypatch):
    rgb = cv2.resize(scene((320, 240)), size[::-1]).astype(np.float32) / 255
    found = log_odds(rgb)
    monkeypatch.setattr(network, "STRIP", 4096)
    np.testing.assert_allclose(found, log_odds(rgb), atol=0.05)


def test_damaged_weights_are_noticed(tmp_path, monkeypatch):
    for file in network.WEIGHTS.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    copy = tmp_path / network.WEIGHTS.name
    data = bytearray(copy.read_bytes())
    data[-1000] ^= 1
    copy.write_bytes(data)
    monkeypatch.setattr(network, "WEIGHTS", copy)
    network.shipped.cache_clear()
    with pytest.raises(ModelError, match="missing or damaged"):
        network.shipped()
    monkeypatch.setattr(network, "WEIGHTS", tmp_path / "elsewhere" / copy.name)
    with pytest.raises(ModelError, match="is missing. Fetch it again"):
        network.shipped()


def test_training_learns_writes_and_goes_on(folder_of_scenes, tmp_path):
    def loss_now(path=None):
        torch.manual_seed(0)
        model = DamageNetwork()
        if path:
            model.load_state_dict(load_file(path))
        rng = np.random.default_rng(5)
        with torch.no_grad():
            return np.mean([float(loss_of(model, crops_of(scene(), model, rng))) for _ in range(4)])

    out = tmp_path / "damage.safetensors"
    train(folder_of_scenes, out, minutes=0.12)
    first = loss_now(out)
    assert first < 0.5 * loss_now()
    assert out.stat().st_size < 300_000 and [file.name for file in tmp_path.iterdir()] == [out.name]
    train(folder_of_scenes, tmp_path / "more.safetensors", minutes=0.02, start=out, seed=1)
    assert loss_now(tmp_path / "more.safetensors") < 1.5 * first


def test_crops_show_damage_and_what_counts():
    model = DamageNetwork()
    crops = crops_of(scene((400, 300)), model, np.random.default_rng(0))
    count = damage_train.ON_DAMAGE + damage_train.ANYWHERE + damage_train.CLEAN
    assert crops.pixels.shape == (count, SIDE, SIDE, 3) and crops.pixels.dtype == np.uint8
    assert all(crop.any() for crop in crops.damaged[: damage_train.ON_DAMAGE])
    assert not crops.damaged[-damage_train.CLEAN :].any()
    assert crops.counts[crops.damaged].all() and 0.9 < crops.counts.mean() < 1


def test_photographs_that_are_too_small_are_refused(folder_of_scenes, tmp_path, monkeypatch):
    monkeypatch.setattr(damage_train, "SIDE", 1000)
    with pytest.raises(ValueError, match="give larger ones"):
        train(folder_of_scenes, tmp_path / "out.safetensors", minutes=0.01)
