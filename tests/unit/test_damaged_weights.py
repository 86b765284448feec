"""Models whose files are damaged, foreign or hostile: refused by name, and nothing in them runs."""

import io
import json
import shutil

import pytest
import torch
from models import conditional
from safetensors.torch import load_file, save_file

from inpaint import catalog, models
from inpaint.devices import pick
from inpaint.models import MODELS, ModelError

CPU = pick("cpu")
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
SHIPPED = [name for name in ("blend", "photo", "restore") if MODELS[name].here()]


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def folder(tmp_path):
    conditional().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def refused(folder):
    with pytest.raises(ModelError, match=str(folder)) as caught:
        catalog.load(str(folder), CPU)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def copied(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(MODELS[name].repository, folder)
    return folder


@pytest.mark.parametrize("name", SHIPPED)
def test_every_file_of_a_shipped_model_is_listed(name, tmp_path):
    folder = copied(name, tmp_path)
    listed = {line.split("  ")[1] for line in (folder / models.SUMS).read_text().splitlines()}
    files = [file for file in folder.rglob("*") if file.suffix in (".json", ".safetensors")]
    assert listed == {file.relative_to(folder).as_posix() for file in files}
    catalog.load(str(folder), CPU)


@pytest.mark.parametrize("where", [0.2, 0.5, 0.999])
def test_a_flipped_bit_in_a_shipped_model_is_noticed(where, tmp_path):
    folder = copied("restore", tmp_path)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[int(len(data) * where)] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(ModelError, match=f"{WEIGHTS} is missing or damaged"):
        catalog.load(str(folder), CPU)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("length", [0, 7, 8, 400, 0.5, 0.999])
def test_cut_weights_are_refused(folder, length):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: length if length >= 1 else int(length * len(data))])
    refused(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("header", [2**63, 2**32, 10**6])
def test_a_header_that_lies_is_refused(folder, header):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(header.to_bytes(8, "little") + data[8:])
    refused(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", ["shape", "missing", "all missing"])
def test_weights_that_do_not_fit_are_refused(folder, change):
    weights = load_file(folder / WEIGHTS)
    first = next(iter(weights))
    if change == "shape":
        weights[first] = torch.zeros(3, 3)
    elif change == "missing":
        del weights[first]
    else:
        weights = {"something": torch.zeros(1)}
    save_file(weights, folder / WEIGHTS)
    refused(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        WEIGHTS,
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.bin",
        "unet/pytorch_model.bin",
        "unet/model.ckpt",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "model_index.json",
    ],
)
def test_no_pickle_is_opened_under_any_name(folder, name, tmp_path):
    canary = tmp_path / "canary"
    (folder / WEIGHTS).unlink()
    torch.save({"weight": Canary(canary)}, folder / name)
    refused(folder)
    assert not canary.exists()
    torch.load(io.BytesIO((folder / name).read_bytes()), weights_only=False)
    assert canary.exists(), "the canary itself must sing"


@pytest.mark.filterwarnings("ignore")
def test_code_beside_the_weights_is_not_run(folder, tmp_path):
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'w')\n"
    for name in ("pipeline.py", "unet/mine.py", "mine.py"):
        (folder / name).write_text(code)
    index = json.loads((folder / "model_index.json").read_text())
    for wild in (["mine", "Net"], ["unet.mine", "Net"], ["pipeline", "Net"]):
        (folder / "model_index.json").write_text(json.dumps({**index, "unet": wild}))
        refused(folder)
    assert not canary.exists()
