"""Click to select with SAM: tiny networks with random weights, made here from configs."""

import cv2
import gradio as gr
import numpy as np
import pytest
import torch
from transformers import (
    Sam2Config,
    Sam2Model,
    SamConfig,
    SamImageProcessorPil,
    SamModel,
)

from inpaint import hub, sam
from inpaint.masks import Stroke, Strokes, rasterize
from inpaint.models import ModelError
from inpaint.pictures import Picture
from inpaint.snap import contours, snap
from inpaint.ui import opening
from inpaint.ui.session import Session
from inpaint.visit import Visit

SIDE = 64


def tiny_sam():
    return SamModel(
        SamConfig(
            vision_config={
                "hidden_size": 16,
                "output_channels": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "image_size": SIDE,
                "patch_size": 8,
                "window_size": 2,
                "global_attn_indexes": [0],
                "num_pos_feats": 8,
                "mlp_dim": 16,
            },
            prompt_encoder_config={
                "hidden_size": 16,
                "image_size": SIDE,
                "patch_size": 8,
                "mask_input_channels": 4,
            },
            mask_decoder_config=DECODER,
        )
    )


def tiny_sam2():
    return Sam2Model(
        Sam2Config(
            vision_config={
                "backbone_config": {
                    "model_type": "sam2_hiera_det_model",
                    "hidden_size": 8,
                    "image_size": [SIDE, SIDE],
                    "blocks_per_stage": [1, 1, 2, 1],
                    "embed_dim_per_stage": [8, 16, 32, 64],
                    "num_attention_heads_per_stage": [1, 1, 2, 2],
                    "global_attention_blocks": [3],
                    "window_positional_embedding_background_size": [2, 2],
                },
                "backbone_channel_list": [64, 32, 16, 8],
                "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
                "fpn_hidden_size": 16,
            },
            prompt_encoder_config={
                "hidden_size": 16,
                "image_size": SIDE,
                "patch_size": 16,
                "mask_input_channels": 4,
            },
            mask_decoder_config=DECODER,
        )
    )


DECODER = {
    "hidden_size": 16,
    "mlp_dim": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 16,
}


def made(kind):
    """Make one whose answers differ: with its first weights it says much the same of everything."""
    torch.manual_seed(0)
    network = kind()
    for weights in network.parameters():
        if weights.ndim > 1:
            torch.nn.init.normal_(weights, std=0.5 if kind is tiny_sam else 0.1)
    return network


@pytest.fixture(scope="module", params=[tiny_sam, tiny_sam2])
def weights(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param.__name__)
    made(request.param).save_pretrained(folder)
    return folder


@pytest.fixture
def named(weights, monkeypatch):
    monkeypatch.setenv(sam.WEIGHTS, str(weights))
    return weights


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


def dot(x, y, radius=3, size=(60, 90)):
    mask = np.zeros(size, np.uint8)
    cv2.circle(mask, (x, y), radius, 1, -1)
    return mask > 0


def ring(x, y, radius=15, size=(60, 90)):
    mask = np.zeros(size, np.uint8)
    cv2.circle(mask, (x, y), radius, 1, 2)
    return mask > 0


def test_a_click_is_answered_by_the_network(named, picture):
    rough = dot(40, 30)
    found = sam.find(picture, rough, "cpu")
    assert found.shape == rough.shape and found.dtype == bool
    assert found[rough].all() and np.array_equal(found, sam.find(picture, rough, "cpu"))
    network = sam.segmenter(str(named), "cpu")
    own = network.select(picture, rough)
    assert own is None or np.array_equal(found, own)
    looks = [network.look(picture, stroke, False) for stroke in (rough, dot(80, 10))]
    assert not np.array_equal(*looks), "where it was clicked matters"
    assert not np.array_equal(looks[0], network.look(picture[::-1].copy(), rough, False))


def test_what_is_drawn_around_is_a_box(named, picture):
    network = sam.segmenter(str(named), "cpu")
    assert sam._encloses(ring(45, 30)) and not sam._encloses(dot(45, 30))
    around, beside = (network.look(picture, ring(x, 30), True) for x in (30, 60))
    assert around.shape == (60, 90) and not np.array_equal(around, beside)
    assert not np.array_equal(around, network.look(picture, ring(30, 30), False))


def test_the_network_sees_what_transformers_shows_it(picture):
    network = sam.Segmenter(made(tiny_sam), stretched=False)
    theirs = SamImageProcessorPil(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
    )
    smooth = cv2.GaussianBlur(picture, (0, 0), 3)
    expected = torch.as_tensor(np.asarray(theirs(smooth)["pixel_values"][0]))
    seen, scale = network.fitted(smooth)
    assert seen.shape == (1, 3, SIDE, SIDE) and scale == pytest.approx((64 / 90, 43 / 60))
    assert (seen[0] - expected).abs().mean() < 0.02, "but for another filter to shrink with"


@pytest.mark.parametrize("stretched", [False, True])
@pytest.mark.parametrize("size", [(60, 90), (90, 60), (300, 40)])
def test_places_come_back_to_where_they_were(stretched, size):
    network = sam.Segmenter(made(tiny_sam), stretched)
    height, width = size
    y, x = height // 4, width * 2 // 3
    pixels = np.zeros((*size, 3), np.uint8)
    cv2.circle(pixels, (x, y), 6, (255, 255, 255), -1)
    seen, (across, down) = network.fitted(pixels)
    bright = (seen[0].mean(0) > 0).nonzero().float().mean(0)
    assert bright[0] + 0.5 == pytest.approx((y + 0.5) * down, abs=1)
    assert bright[1] + 0.5 == pytest.approx((x + 0.5) * across, abs=1)
    scores = torch.full((SIDE, SIDE), -1.0)
    scores[seen[0].mean(0) > 0] = 1
    back = np.argwhere(network.unfitted(scores, size)).mean(0)
    assert back == pytest.approx([y, x], abs=2 * max(size) / SIDE)


def test_without_weights_the_picture_is_cut(picture, monkeypatch):
    monkeypatch.delenv(sam.WEIGHTS, raising=False)
    picture[20:40, 30:60] = (250, 20, 20)
    found = sam.find(picture, dot(45, 30))
    assert np.array_equal(found, snap(picture, dot(45, 30))) and found[22:38, 32:58].mean() > 0.9


def test_where_the_network_finds_nothing_the_picture_is_cut(named, picture, monkeypatch):
    network = sam.segmenter(str(named), "cpu")
    assert network.select(picture, np.zeros((60, 90), bool)) is None
    assert not sam.find(picture, np.zeros((60, 90), bool), "cpu").any()


def test_the_page_answers_a_click_with_it(named, picture, monkeypatch, tmp_path):
    session = Session(Visit.begin("photo", b"", Picture(picture)))
    rough = Strokes((90, 60), (Stroke("brush", 3.0, points=((40.0, 30.0),)),))
    marked = rasterize(rough, (90, 60))
    found = sam.find(picture, marked, "cpu")
    expected = contours(found).strokes if (found & ~marked).any() else ()
    assert opening.snapped(session, rough, "cpu") == list(expected)
    assert not np.array_equal(found, snap(picture, marked))
    monkeypatch.setenv(sam.WEIGHTS, str(tmp_path / "gone"))
    with pytest.raises(gr.Error, match="cannot be loaded"):
        opening.snapped(session, rough, "cpu")


def no_model(folder):
    (folder / "config.json").write_text('{"model_type": "bert"}')


def cut_short(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])


def pickled(folder):
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def empty(folder):
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.parametrize("spoil", [no_model, cut_short, pickled, empty])
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_segmenter_is_one_line(tmp_path, spoil):
    made(tiny_sam).save_pretrained(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ModelError, match="^The model in .* cannot be loaded: ") as caught:
        sam.segmenter(str(tmp_path), "cpu")
    assert "\n" not in str(caught.value)


def test_weights_of_the_hub_follow_the_operators_policy(monkeypatch):
    monkeypatch.setenv(hub.WHERE, "none")
    with pytest.raises(ModelError, match="^some/sam is not on this machine .* switched off here.$"):
        sam.segmenter("some/sam", "cpu")
