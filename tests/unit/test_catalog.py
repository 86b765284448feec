import dataclasses
import hashlib
import json
import shutil
import weakref

import diffusers
import numpy as np
import pipelines
import pytest
import torch
from models import conditional, tiny_unet, unconditional
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from inpaint import models
from inpaint.backends import dtype_on
from inpaint.catalog import MODELS, ModelError, PixelModel, defaults, listed, load
from inpaint.devices import pick
from inpaint.editing import edit
from inpaint.filling import Pyramid
from inpaint.latent.families import FAMILIES, SCHEDULERS
from inpaint.latent.filler import LatentFiller
from inpaint.selfpatch import SelfModel
from inpaint.settings import SAMPLERS, Settings

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
    assert 0 < len(spec.title) <= 32 and spec.tip.endswith(".")
    assert isinstance(spec.here(), bool)


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if spec.download])
def test_models_of_the_hub_tell_what_they_need(name):
    spec = MODELS[name]
    assert spec.repository.count("/") == 1 and spec.licence
    assert 0 < spec.download < 100 and 0 < spec.memory < 100
    assert not spec.pipeline or (spec.pipeline in FAMILIES and spec.prompt)
    assert not spec.negative or FAMILIES[spec.pipeline].negative
    assert not spec.scheduler or FAMILIES[spec.pipeline].walks
    Settings.of(model=name, **defaults(name))


def test_the_readme_lists_the_models_of_the_hub():
    readme = (models.HUB_ROWS.parents[1] / "README.md").read_text("utf-8")
    for name, spec in MODELS.items():
        if spec.download:
            weights = spec.repository + (" + LCM weights" if spec.lora else "")
            licence = spec.licence + (" (accept on the hub)" if spec.gated else "")
            row = f"| `{name}` | {weights} | {licence} | {spec.download:g} | {spec.memory:g} |"
            assert row in readme, f"write: {row}"


def test_every_family_that_is_no_mere_stand_in_has_a_row():
    rows = {spec.pipeline for spec in MODELS.values()} - {""}
    assert rows == set(FAMILIES) - {"FluxInpaintPipeline"}


def test_defaults_are_those_of_the_row():
    assert defaults("self") == {} == defaults("/some/folder")
    assert defaults("sd15-fast") == {"steps": 4, "guidance": 1.5, "scheduler": "lcm"}
    assert defaults("z-image")["guidance"] == 0.0
    assert "lcm" in SCHEDULERS and "ddim" in SAMPLERS


def test_a_listed_model_that_is_here_loads():
    for name in ("self", "photo"):
        if MODELS[name].here():
            assert load(name, CPU).filler.context(10) > 0


def test_a_model_whose_folder_was_left_out_says_so(monkeypatch, tmp_path):
    spec = dataclasses.replace(MODELS["photo"], repository=str(tmp_path / "nowhere"))
    monkeypatch.setitem(models.MODELS, "photo", spec)
    assert not spec.here()
    with pytest.raises(ModelError, match="holds no model: it has no model_index.json"):
        load("photo", CPU)


def test_a_folder_loads_with_the_digest_of_its_weights(folder):
    loaded = load(str(folder), CPU)
    weights = (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert loaded.digest == hashlib.sha256(weights).hexdigest()
    assert isinstance(loaded.filler, Pyramid) and loaded.revision == ""
    assert isinstance(loaded.filler.model, PixelModel) and loaded.filler.model.tile == 16
    unet = loaded.filler.model.pipeline.unet
    assert not unet.training and unet.device.type == "cpu" and unet.dtype == dtype_on(CPU)
    same = conditional().unet.state_dict()
    assert all(
        torch.equal(value, same[key].to(value.dtype)) for key, value in unet.state_dict().items()
    )


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
    with pytest.raises(
        ModelError, match="^There is no model .*; choose self, blend, .* or give a fo"
    ):
        load(name, CPU)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ModelError, match="holds no model: it has no model_index.json.$"):
        load(str(tmp_path), CPU)


def spoil_index(folder):
    (folder / "model_index.json").write_text("{}")


def spoil_json(folder):
    (folder / "unet" / "config.json").write_text("{")


def list_for_json(folder):
    (folder / "unet" / "config.json").write_text("[]")


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
    "spoil", [spoil_index, spoil_json, list_for_json, spoil_weights, pickle_weights, foreign_class]
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


# Networks over pixels that never saw a hole


@pytest.mark.parametrize("kind", [diffusers.DDPMPipeline, diffusers.DDIMPipeline])
@pytest.mark.parametrize("sampler", ["repaint", "ddnm", "lanpaint"])
def test_a_ddpm_folder_runs_the_samplers_for_blind_networks(tmp_path, kind, sampler):
    scheduler = diffusers.DDPMScheduler()
    kind(unet=tiny_unet(), scheduler=scheduler).save_pretrained(tmp_path)
    filler = load(str(tmp_path), CPU).filler
    picture = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 8:14, 9:15] = 1
    settings = Settings(sampler=sampler, steps=3, resample=2, jump=1)
    one, finished = filler.fill(picture, mask, settings, [1])
    again, _ = filler.fill(picture, mask, settings, [1])
    other, _ = filler.fill(picture, mask, settings, [2])
    known = (mask == 0).expand_as(picture)
    assert finished and torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(one[known], picture[known]) and one.isfinite().all()


@pytest.mark.parametrize("sampler", ["repaint", "ddnm", "lanpaint"])
def test_a_lone_network_runs_them_too(tmp_path, sampler):
    tiny_unet().save_pretrained(tmp_path)
    loaded = load(str(tmp_path), CPU)
    weights = (tmp_path / "diffusion_pytorch_model.safetensors").read_bytes()
    assert loaded.digest == hashlib.sha256(weights).hexdigest()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 28, 3), np.uint8)
    mask = np.zeros((24, 28), bool)
    mask[8:14, 9:15] = True
    wanted = {"sampler": sampler, "steps": 3, "resample": 2, "jump": 1, "device": "cpu", "grow": 0}
    made = [edit(pixels, mask, model=str(tmp_path), seed=s, **wanted).picture for s in (1, 1, 2)]
    one, again, other = (picture.pixels for picture in made)
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert np.array_equal(one[~mask], pixels[~mask]) and not np.array_equal(one, pixels)


def test_a_lone_network_is_run_as_the_scheduler_beside_it_says(tmp_path):
    tiny_unet().save_pretrained(tmp_path)
    plain = load(str(tmp_path), CPU).filler.model.pipeline.scheduler
    assert plain.config.prediction_type == "epsilon" and plain.config.beta_schedule == "linear"
    load("self", CPU)
    diffusers.DDPMScheduler(prediction_type="v_prediction").save_pretrained(tmp_path)
    told = load(str(tmp_path), CPU).filler.model.pipeline.scheduler
    assert told.config.prediction_type == "v_prediction"


def test_our_own_network_may_come_alone(tmp_path):
    conditional().unet.save_pretrained(tmp_path)
    assert load(str(tmp_path), CPU).filler.model.pipeline.unet.config.in_channels == 7


def no_class(folder):
    (folder / "config.json").write_text("{}")


def four_channels(folder):
    tiny_unet(4, 4).save_pretrained(folder)


def latent_network(folder):
    pipelines.sd_unet(4).save_pretrained(folder)


def cut_short(folder):
    file = folder / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:999])


def pickled_network(folder):
    torch.save(tiny_unet().state_dict(), folder / "diffusion_pytorch_model.bin")
    (folder / "diffusion_pytorch_model.safetensors").unlink()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (no_class, "its config.json names no class"),
        (four_channels, "the network takes 4 channels, not 3 or 7"),
        (latent_network, "it is a UNet2DConditionModel, not one of StableDiffusionInpaint"),
        (cut_short, ""),
        (pickled_network, ""),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_lone_network_that_is_none_is_one_line(tmp_path, spoil, message):
    tiny_unet().save_pretrained(tmp_path)
    spoil(tmp_path)
    with pytest.raises(
        ModelError, match=f"^The model in .* cannot be loaded: .*{message}"
    ) as caught:
        load(str(tmp_path), CPU)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_another_model_frees_the_last(folder, tmp_path):
    network = load(str(folder), CPU).filler.model.pipeline.unet
    gone = weakref.ref(network)
    del network
    load("self", CPU)
    assert gone() is None


# Pipelines over latents: how each runs is in test_latent.py


@pytest.fixture
def latent(saved, tmp_path):
    return shutil.copytree(saved / "sd-text-to-image", tmp_path / "sd")


def test_a_text_to_image_folder_fills(latent):
    loaded = load(str(latent), CPU)
    assert isinstance(loaded.filler, LatentFiller) and loaded.filler.size == 32
    weights = (latent / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert loaded.digest == hashlib.sha256(weights).hexdigest()
    assert type(loaded.filler.pipeline).__name__ == "StableDiffusionInpaintPipeline"
    assert all(not p.requires_grad for p in loaded.filler.pipeline.unet.parameters())


def lose(part):
    def spoil(folder):
        (folder / part).unlink()

    return spoil


def unknown_class(folder):
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "StableVideoDiffusionPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))


def code_of_its_own(folder):
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["evil", "Thing"]
    (folder / "model_index.json").write_text(json.dumps(index))


def pipeline_of_its_own(folder):
    (folder / "pipeline.py").write_text("raise SystemExit('ran')")
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = ["pipeline", "Mine"]
    (folder / "model_index.json").write_text(json.dumps(index))


def network_of_its_own(folder):
    (folder / "unet" / "evil.py").write_text("raise SystemExit('ran')")
    config = json.loads((folder / "unet" / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Thing"}
    (folder / "unet" / "config.json").write_text(json.dumps(config))
    lose("unet/diffusion_pytorch_model.safetensors")(folder)


def pickled_text(folder):
    path = folder / "text_encoder" / "model.safetensors"
    torch.save({}, path.with_name("pytorch_model.bin"))
    path.unlink()


@pytest.mark.parametrize(
    "spoil",
    [
        lose("unet/diffusion_pytorch_model.safetensors"),
        lose("vae/config.json"),
        lose("text_encoder/model.safetensors"),
        lose("scheduler/scheduler_config.json"),
        lose("tokenizer/tokenizer_config.json"),
        spoil_index,
        spoil_weights,
        unknown_class,
        code_of_its_own,
        pipeline_of_its_own,
        network_of_its_own,
        pickled_text,
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_broken_pipeline_is_one_line(latent, spoil):
    spoil(latent)
    try:
        load(str(latent), CPU)
    except ModelError as error:
        assert str(error).startswith(f"The model in {latent} cannot be loaded: ")
        assert "\n" not in str(error) and len(str(error)) < 600
    else:
        assert spoil.__qualname__.startswith("lose"), "only what has a default may be missing"


def test_a_processor_computes_in_what_it_is_fast_in(latent):
    pipeline = load(str(latent), CPU).filler.pipeline
    assert pipeline.unet.dtype == pipeline.vae.dtype == dtype_on(CPU)


def test_a_prompt_that_nobody_reads_is_told(latent):
    mask = np.zeros((20, 20), bool)
    mask[8:12, 8:12] = True
    wanted = {"prompt": "a red cat", "steps": 1, "device": "cpu"}
    (note,) = edit(np.zeros((20, 20, 3), np.uint8), mask, **wanted).notes
    assert note == "The model blend reads no prompt, so it was left out."
    pixels = np.zeros((20, 20, 3), np.uint8)
    assert not edit(pixels, mask, model=str(latent), **wanted).notes


def test_low_rank_weights_are_melted_in(latent, tmp_path, monkeypatch):
    plain = load(str(latent), CPU).filler.pipeline
    before = {key: value.clone() for key, value in plain.unet.state_dict().items()}
    plain.unet.add_adapter(
        LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights="gaussian")
    )
    for key, value in plain.unet.named_parameters():
        if "lora_B" in key:
            torch.nn.init.ones_(value)
    weights = get_peft_model_state_dict(plain.unet)
    plain.save_lora_weights(tmp_path / "lora", unet_lora_layers=weights)
    rows = {"fast": {"repository": str(latent), "lora": str(tmp_path / "lora"), "steps": 4}}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    monkeypatch.setenv("INPAINT_MODELS", str(tmp_path / "rows.json"))
    assert listed()["fast"].here() and defaults("fast") == {"steps": 4}
    after = load("fast", CPU).filler.pipeline.unet.state_dict()
    assert after.keys() == before.keys(), "no adapter is left"
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed and all("to_q" in key or "to_v" in key for key in changed)


# The operator's rows


def test_the_operator_adds_rows(tmp_path, monkeypatch, latent):
    file = tmp_path / "rows.toml"
    file.write_text(f'[ours]\nrepository = "{latent}"\ntitle = "Ours"\nsize = 48\n')
    monkeypatch.setenv("INPAINT_MODELS", str(file))
    assert [*listed()] == [*MODELS, "ours"]
    assert listed()["ours"].title == "Ours" and listed()["ours"].here()
    assert load("ours", CPU).filler.size == 48


@pytest.mark.parametrize(
    "text, message",
    [
        ("[a", "cannot be used"),
        ("[a]\ntitle = 'x'", r"\[a\] names no repository"),
        ("[a]\nrepository = 'x/y'\nsteppes = 3", "has no field 'steppes'; there are title"),
        ("[a]\nrepository = 'x/y'\npipeline = 'os'", "pipeline must be one of StableD"),
        ("[a]\nrepository = ['x']", "must be a text, a number, true or false"),
    ],
)
def test_a_wrong_row_is_one_line(tmp_path, monkeypatch, text, message):
    file = tmp_path / "rows.toml"
    file.write_text(text)
    monkeypatch.setenv("INPAINT_MODELS", str(file))
    with pytest.raises(ModelError, match=message):
        listed()


def test_a_missing_list_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("INPAINT_MODELS", str(tmp_path / "none.toml"))
    with pytest.raises(ModelError, match="The list of models in .*none.toml cannot be used"):
        load("self ", CPU)
