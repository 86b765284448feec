"""Models of one's own: trained a few steps on made pictures, then used by name."""

import numpy as np
import pytest
import torch
from models import conditional
from PIL import Image

from inpaint import catalog, edit, own
from inpaint.cli import main
from inpaint.devices import pick
from inpaint.models import ModelError, listed
from inpaint.own import command
from inpaint.training import specialise
from inpaint.training.checkpoint import load_state

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("INPAINT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "pictures").mkdir()
    for k in range(3):
        Image.fromarray(np.roll(PICTURE, k)).save(tmp_path / "pictures" / f"{k}.png")
    return tmp_path / "pictures"


@pytest.fixture
def start(tmp_path):
    conditional().save_pretrained(tmp_path / "start")
    return tmp_path / "start"


def weights(folder):
    from inpaint.pipeline import InpaintPipeline

    return InpaintPipeline.from_pretrained(str(folder)).unet.state_dict()


def test_a_specialised_model_is_listed_and_fills(pictures, start, home):
    before = weights(start)
    folder = specialise(pictures, "slides", start=str(start), max_steps=2, batch_size=2)
    assert folder == home / "models" / "slides" and own.own_models() == {"slides": folder}
    row = listed()["slides"]
    assert row.here() and row.repository == str(folder)
    after = weights(folder)
    assert after.keys() == before.keys()
    moved = [float((after[k].float() - before[k].float()).abs().max()) for k in before]
    assert 0 < max(moved) < 0.02, "it starts from the weights it was given, and leaves them"
    mask = np.zeros((40, 44), bool)
    mask[10:20, 10:20] = True
    result = edit(PICTURE, mask, model="slides", steps=2, device="cpu")
    assert result.receipt.changed == 0 and result.recipe["model_sha256"]


def test_a_run_goes_on_and_may_be_a_start(pictures, start):
    specialise(pictures, "a", start=str(start), max_steps=1, batch_size=2)
    first = weights(own.folder_of("a"))
    specialise(pictures, "a", max_steps=3, batch_size=2)
    later = weights(own.folder_of("a"))
    assert any(not torch.equal(first[k], later[k]) for k in first)
    specialise(pictures, "b", start="a", max_steps=1, batch_size=2)
    assert list(own.own_models()) == ["a", "b"]


def test_who_looks_on_is_told_and_can_stop_it(pictures, start):
    seen = []

    def watch(done, text):
        seen.append(done)
        return len(seen) == 2

    specialise(pictures, "a", start=str(start), max_steps=50, batch_size=2, progress=watch)
    assert seen == [1 / 50, 2 / 50], "it stopped after the second step"
    assert own.own_models() == {"a": own.folder_of("a")}


@pytest.mark.parametrize("name", ["", "../up", "Ünter", "a b", "-x", "x" * 41, "UP", "a/b"])
def test_names_that_are_none(name, pictures):
    with pytest.raises(ValueError, match="A model's name is up to 40"):
        specialise(pictures, name, max_steps=1)
    with pytest.raises(ValueError, match="A model's name"):
        command("folder", name)


def test_bad_input_is_one_sentence(pictures, tmp_path, capsys, monkeypatch):
    with pytest.raises(ValueError, match="already; choose another"):
        specialise(pictures, "photo")
    with pytest.raises(ModelError, match="no model that can be specialised"):
        specialise(pictures, "x", start=str(tmp_path))
    monkeypatch.setattr("signal.signal", lambda *args: None)  # main sets one
    for folder in ("nowhere", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        arguments = ["specialise", str(tmp_path / folder), "--name", "x", "--minutes", "0.01"]
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("inpaint: The folder") and err.count("\n") == 1
    assert own.own_models() == {}


def test_a_run_that_was_over_goes_on_for_as_long_again(pictures, start):
    folder = specialise(pictures, "slides", start=str(start), max_steps=2, batch_size=2)
    first = load_state(folder)
    assert specialise(pictures, "slides", max_steps=2, batch_size=2) == folder
    assert load_state(folder)["step"] == 4
    specialise(pictures, "slides", minutes=first["seconds"] / 600, batch_size=2)
    assert load_state(folder)["step"] > 4


def test_a_model_that_was_trained_further_is_loaded_anew(pictures, start):
    specialise(pictures, "slides", start=str(start), max_steps=1, batch_size=2)
    before = catalog.load("slides", pick("cpu"))
    assert catalog.load("slides", pick("cpu")) is before
    specialise(pictures, "slides", max_steps=1, batch_size=2)
    assert catalog.load("slides", pick("cpu")).digest != before.digest


def test_other_folders_are_no_models(home):
    (home / "models" / "notes").mkdir(parents=True)
    (home / "models" / "Bad Name").mkdir()
    (home / "models" / "Bad Name" / "model_index.json").write_text("{}")
    assert own.own_models() == {}


def test_the_command_can_be_copied():
    import shlex

    from inpaint.cli import _parser

    text = command("my pictures; rm", "slides", 12)
    words = shlex.split(text)
    assert words[:3] == ["python", "-m", "inpaint"]
    options = _parser().parse_args(words[3:])
    assert (str(options.data), options.name, options.minutes) == ("my pictures; rm", "slides", 12)
