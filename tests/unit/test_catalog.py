import hashlib
import json

import pytest
import torch
from models import conditional, unconditional

from inpaint import catalog
from inpaint.catalog import MODELS, ModelError, PixelModel, load
from inpaint.devices import pick
from inpaint.selfpatch import SelfModel

CPU = pick("cpu")


@pytest.fixture
def folder(tmp_path):
    conditional().save_pretrained(tmp_path)
    return tmp_path


def hole(side, width=300, height=280):
    mask = torch.zeros(1, 1, height, width)
    mask[..., 100 : 100 + side, 90 : 90 + side] = 1
    return mask


def test_self_needs_no_files():
    loaded = load("self", CPU)
    assert isinstance(loaded.filler.model, SelfModel) and loaded.digest == ""
    assert MODELS["self"].here()


@pytest.mark.parametrize("name", MODELS)
def test_models_have_words_for_people(name):
    spec = MODELS[name]
    assert 0 < len(spec.title.split()) <= 2 and spec.tip.endswith(".")
    assert isinstance(spec.here(), bool)


def test_a_listed_model_that_is_here_loads():
    for spec in MODELS.values():
        if spec.here():
            assert spec.load(CPU).filler.model.tile >= 16


def test_the_shipped_model_says_when_it_is_not_here(monkeypatch, tmp_path):
    monkeypatch.setattr(catalog, "SHIPPED", tmp_path / "nowhere")
    assert not MODELS["photo"].here()
    with pytest.raises(ModelError, match="holds no model: it has no model_index.json"):
        MODELS["photo"].load(CPU)


def test_a_folder_loads_with_the_digest_of_its_weights(folder):
    loaded = load(str(folder), CPU)
    weights = (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert loaded.digest == hashlib.sha256(weights).hexdigest()
    assert isinstance(loaded.filler.model, PixelModel) and loaded.filler.model.tile == 16
    unet = loaded.filler.model.pipeline.unet
    assert not unet.training and unet.device.type == "cpu" and unet.dtype == torch.float32
    same = conditional().unet.state_dict()
    assert all(torch.equal(value, same[key]) for key, value in unet.state_dict().items())


def test_a_diffusers_folder_of_another_network_loads(tmp_path):
    unconditional().save_pretrained(tmp_path)
    assert load(str(tmp_path), CPU).filler.model.pipeline.unet.config.in_channels == 3


def test_the_last_model_stays_and_another_lets_it_go(folder):
    first = load(str(folder), CPU)
    assert load(str(folder), CPU) is first
    load("self", CPU)
    assert load(str(folder), CPU) is not first


@pytest.mark.parametrize("name", ["nothing", "x" * 900, "../x\0y", " "])
def test_what_is_no_model_is_told_what_is(name):
    with pytest.raises(ModelError, match="^There is no model .*; choose self, photo, restore or g"):
        load(name, CPU)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no model: it has no model_index.json.$"):
        load(str(tmp_path), CPU)


def spoil_index(folder):
    (folder / "model_index.json").write_text("{}")


def spoil_json(folder):
    (folder / "unet" / "config.json").write_text("{")


def spoil_weights(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def pickle_weights(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(conditional().unet.state_dict(), path.with_name("diffusion_pytorch_model.bin"))
    path.unlink()


def foreign_class(folder):
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["os", "system"]
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    "spoil", [spoil_index, spoil_json, spoil_weights, pickle_weights, foreign_class]
)
@pytest.mark.filterwarnings("ignore")
def test_a_broken_folder_is_one_line(folder, spoil):
    spoil(folder)
    with pytest.raises(ModelError, match="^The model in .* cannot be loaded: ") as caught:
        load(str(folder), CPU)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_a_network_works_around_its_training_size():
    model = PixelModel(conditional())
    assert [model.context(side) for side in (1, 8, 12, 100)] == [4, 4, 6, 8]
    assert model.tile == 16 and model.batch is None and 0 < model.refine < 1


@pytest.mark.parametrize("side, count", [(1, 0), (7, 0), (9, 1), (16, 1), (40, 3)])
def test_a_network_starts_where_the_hole_spans_half_its_size(side, count):
    assert PixelModel(conditional()).halvings(hole(side)) == count


def test_the_work_of_a_network_grows_with_the_window():
    model = PixelModel(conditional())
    assert model.work(torch.ones(1, 1, 64, 64)) == 4 * model.work(torch.ones(1, 1, 32, 32)) > 0
