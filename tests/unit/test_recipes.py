import hashlib
import json

import numpy as np

import inpaint
from inpaint.pictures import Picture
from inpaint.recipes import digest, recipe
from inpaint.settings import Settings

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 9, 3), np.uint8)
MASK = np.zeros((5, 9), bool)
MASK[2, 3:6] = True


def test_a_recipe_is_plain_and_says_everything():
    settings = Settings(seed=3, sampler="ddnm")
    made = recipe(settings, Picture(PIXELS), MASK, "abc")
    assert json.loads(json.dumps(made)) == made
    assert made["inpaint"] == inpaint.__version__ and made["size"] == [9, 5]
    assert Settings.of(**made["settings"]) == settings and made["model_sha256"] == "abc"
    assert made["picture_sha256"] == hashlib.sha256(PIXELS.tobytes()).hexdigest()


def test_digests_tell_pictures_and_masks_apart():
    made = recipe(Settings(), Picture(PIXELS), MASK, "")
    other, mask = PIXELS.copy(), MASK.copy()
    other[0, 0, 0] ^= 1
    mask[0, 0] = True
    assert recipe(Settings(), Picture(other), MASK, "")["picture_sha256"] != made["picture_sha256"]
    assert recipe(Settings(), Picture(PIXELS), mask, "")["mask_sha256"] != made["mask_sha256"]
    assert recipe(Settings(), Picture(PIXELS.copy()), MASK.copy(), "") == made
    clear, guide = Picture(PIXELS, other[..., 0]), Picture(other)
    assert recipe(Settings(), clear, MASK, "")["picture_alpha_sha256"] == digest(other[..., 0])
    assert made["picture_alpha_sha256"] == made["guide_sha256"] == made["guide_alpha_sha256"] == ""
    assert recipe(Settings(), clear, MASK, "", guide=guide)["guide_sha256"] == digest(other)


def test_a_digest_ignores_how_an_array_lies_in_memory():
    wide = np.zeros((5, 18, 3), np.uint8)
    wide[:, ::2] = PIXELS
    assert digest(wide[:, ::2]) == digest(PIXELS) == digest(np.asfortranarray(PIXELS))
